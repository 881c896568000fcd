#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every option that --help of a verb shows is in the verb's part of the man page, and the other way round; the bash
completion offers the same: test_help_man.py HOLDFAST MAN-PAGE COMPLETION"""
import re
import subprocess
import sys
import unittest

HOLDFAST, PAGE, COMPLETION = sys.argv[1:]


def holdfast(*words):
    return subprocess.run([HOLDFAST, *words], check=True, capture_output=True, text=True).stdout


def verbs():
    """All verbs, from the lists of the program and of its groups."""
    found = re.findall(r'^  (\w+(?: \w+)?)(?:  | *$)', holdfast('help').split('\nFirst steps:')[0], re.MULTILINE)
    return [verb for verb in found if verb]


def options_of_help(verb):
    """(spellings, with the value's name) of every option, from the left column."""
    text = holdfast('help', *verb.split())
    return {tuple(match.groups()) for match in
            re.finditer(r'^  (?:(-\w), |    )(--[a-z-]+)(?: (\S+))?(?=\s{2}|$)', text, re.MULTILINE)}


def plain(roff):
    return re.sub(r'\\f[BIR]|\\&', '', roff).replace('\\-', '-').replace('\\(aq', "'")


def options_of_roff(text):
    return {tuple(match.groups()) for match in
            re.finditer(r'^\.TP\n(?:(-\w), )?(--[a-z-]+)(?: (\S+))?$', plain(text), re.MULTILINE)}


def man_sections():
    """The options of each verb in the page: its own and those of the common sets that it names."""
    with open(PAGE, encoding='ascii') as stream:
        page = stream.read()
    verbs_part, common_part = re.split(r'^\.SH COMMON OPTIONS$', page, flags=re.MULTILINE)
    common = {title.lower(): options_of_roff(text) for title, text in
              re.findall(r'^\.SS (\w+)\n(.*?)(?=^\.S[HS]|\Z)', common_part, re.MULTILINE | re.DOTALL)}
    found = {}
    for verb, text in re.findall(r'^\.SS holdfast ([\w ]+)\n(.*?)(?=^\.S[HS]|\Z)', verbs_part,
                                 re.MULTILINE | re.DOTALL):
        sets = re.search(r'takes the common options for ([\w, ]+)\.', text).group(1)
        found[verb] = options_of_roff(text).union(*(common[name] for name in re.split(r', | and ', sets)))
    return found


class HelpAndMan(unittest.TestCase):
    def test_same_verbs(self):
        self.assertGreater(len(verbs()), 20)
        self.assertEqual(sorted(verbs()), sorted(man_sections()))

    def test_same_options(self):
        sections = man_sections()
        for verb in verbs():
            with self.subTest(verb=verb):
                shown = options_of_help(verb)
                self.assertIn((None, '--json', None), shown)
                self.assertEqual(shown, sections[verb])

    def complete(self, *words):
        script = f'source "{COMPLETION}"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _holdfast; ' \
                 'printf "%s\\n" "${COMPREPLY[@]}"'
        output = subprocess.run(['bash', '-c', script, 'bash', 'holdfast', *words], check=True, capture_output=True,
                                text=True).stdout
        return output.split()

    def test_completion_options(self):
        for verb in verbs():
            with self.subTest(verb=verb):
                names = sorted(name for _, name, _ in options_of_help(verb))
                self.assertEqual(sorted(self.complete(*verb.split(), '--')), names)

    def test_completion_words(self):
        self.assertEqual(self.complete('resto'), ['restore'])
        self.assertEqual(self.complete('key', 'ro'), ['rotate'])
        self.assertEqual(self.complete('init', '--encryption', ''), ['password', 'none'])
        self.assertEqual(self.complete('help', 'mou'), ['mount'])
        self.assertEqual(self.complete('backup', '--name', ''), [])


unittest.main(argv=sys.argv[:1])
