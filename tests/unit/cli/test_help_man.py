#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every option that --help of a verb shows is in the verb's part of the man page, and the other way round; the bash
completion offers the same: test_help_man.py PROGRAM MAN-PAGE COMPLETION"""
import os
import re
import subprocess
import sys
import unittest

HOLDFAST, PAGE, COMPLETION = sys.argv[1:]
NAME = os.path.basename(HOLDFAST)
LEAST_VERBS = {'holdfast': 20}
WORDS = {
    'holdfast': [('resto', ['restore']), ('key ro', ['rotate']), ('init --encryption ', ['password', 'none']),
                 ('help mou', ['mount']), ('backup --name ', [])],
    'holdfast-agent': [('enr', ['enroll']), ('help un', ['unenroll']), ('enroll --tok', ['--token', '--token-file'])],
}


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
    for verb, text in re.findall(rf'^\.SS {NAME} ([\w ]+)\n(.*?)(?=^\.S[HS]|\Z)', verbs_part,
                                 re.MULTILINE | re.DOTALL):
        sets = re.search(r'takes the common options for ([\w, ]+)\.', text).group(1)
        found[verb] = options_of_roff(text).union(*(common[name] for name in re.split(r', | and ', sets)))
    return found


class HelpAndMan(unittest.TestCase):
    def test_same_verbs(self):
        self.assertGreater(len(verbs()), LEAST_VERBS.get(NAME, 3))
        self.assertEqual(sorted(verbs()), sorted(man_sections()))

    def test_same_options(self):
        sections = man_sections()
        for verb in verbs():
            with self.subTest(verb=verb):
                shown = options_of_help(verb)
                self.assertIn((None, '--json', None), shown)
                self.assertEqual(shown, sections[verb])

    def complete(self, *words):
        script = f'source "{COMPLETION}"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); ' \
                 f'_{NAME.replace("-", "_")}; ' \
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
        for words, expected in WORDS.get(NAME, []):
            with self.subTest(words=words):
                self.assertEqual(self.complete(*words.split(' ')), expected)


unittest.main(argv=sys.argv[:1])
