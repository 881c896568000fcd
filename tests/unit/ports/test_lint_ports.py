#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""tools/lint-ports: what it takes for a port, and what not. test_lint_ports.py LINT"""
import pathlib
import subprocess
import sys
import tempfile
import unittest

LINT = sys.argv.pop()


class LintTest(unittest.TestCase):
    def lines(self, text):
        """The lines of `text` in which a port is found."""
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, 'code.c').write_text(text, encoding='utf-8')
            done = subprocess.run([LINT, folder], capture_output=True, text=True, check=False)
        self.assertEqual(done.stderr, '')
        self.assertEqual(done.returncode, 1 if done.stdout else 0)
        return [int(line.split(':')[1]) for line in done.stdout.splitlines()]

    def finds(self, *texts):
        for text in texts:
            self.assertEqual(self.lines('int before;\n' + text + '\n'), [2], text)

    def takes(self, *texts):
        for text in texts:
            self.assertEqual(self.lines('int before;\n' + text + '\n'), [], text)

    def test_numbers_that_are_ports_anywhere(self):
        self.finds('x = 6162;', 'x = 6162u;', 'f(a, 2500);', 'x = 3300;', '#define CHANNEL 33033', 'x = 0x1812;',
                   'x = 014022;', 'int a[] = { 10000 };')

    def test_numbers_that_are_ports_beside_such_words(self):
        self.finds('address.sin_port = htons(443);', 'listen_on(22);', '#define HF_PORT 80', 'defaultPort = 111;',
                   'if (port == 135) {', 'connect(name, 20);')

    def test_texts(self):
        self.finds('f("6162");', 'f("443");', 'f("example.org:443");', 'f("[::1]:80");')

    def test_what_is_none(self):
        self.takes('x = 443;', 'report(22);', 'export_it(80);', 'x = 6162.5;', 'x = 61620;', '/* port 6162 */', '// 6162',
                   'f("about 6162 of them");', 'f("44300");', 'x = 1024; port = 7;', 'x = 65535;', 'port = y; x = 22;',
                   '#include "ports/6162.h"', "port = '2';", 'a443 = port;')

    def test_statements_and_lines(self):
        self.assertEqual(self.lines('port =\n\n  443;\nx =\n  22;\n#define A \\\n  6160\n'), [3, 7])


unittest.main()
