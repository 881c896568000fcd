#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The generator of the error table: test_gen_errors.py PATH-OF-GENERATOR"""
import pathlib
import subprocess
import sys
import tempfile
import unittest

GENERATOR = sys.argv.pop(1)
ROW = '[[error]]\nnumber = {}\nname = "{}"\nexit = {}\nhelp = "{}"\n'


class GeneratorTest(unittest.TestCase):
    def generate(self, text):
        with tempfile.TemporaryDirectory() as folder:
            source, output = pathlib.Path(folder, 'errors.toml'), pathlib.Path(folder, 'errors.gen.h')
            source.write_text(text, encoding='utf-8')
            done = subprocess.run([sys.executable, GENERATOR, source, output], capture_output=True, text=True,
                                  check=False)
            return done, output.read_text() if output.exists() else None

    def test_rows_come_out_in_order_of_number(self):
        done, header = self.generate(ROW.format(7, 'not-found', 4, r'say \"no\"') + ROW.format(2, 'usage', 2, 'x'))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn('HF_ERROR_NOT_FOUND = 7,', header)
        self.assertIn(r'X(7, "not-found", 4, "say \"no\"")', header)
        self.assertLess(header.index('HF_ERROR_USAGE'), header.index('HF_ERROR_NOT_FOUND'))

    def test_bad_tables_are_refused(self):
        good = ROW.format(1, 'failed', 1, 'x')
        for bad in (ROW.format(1, 'usage', 1, 'x'), ROW.format(2, 'failed', 1, 'x'), ROW.format(2, 'Usage', 1, 'x'),
                    ROW.format(0, 'usage', 1, 'x'), ROW.format(2, 'usage', 0, 'x'), ROW.format(2, 'usage', 6, 'x'),
                    ROW.format(2, 'usage', 1, 'x') + 'more = 1\n', '[[error]]\nnumber = 2\n', 'no toml'):
            done, header = self.generate(good + bad)
            self.assertNotEqual(done.returncode, 0, bad)
            self.assertTrue(done.stderr.startswith('gen-errors: '), done.stderr)
            self.assertIsNone(header)


unittest.main()
