#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The signals of the real program: test_signals.py HOLDFAST"""
import os
import signal
import subprocess
import sys
import unittest

HOLDFAST = sys.argv[1]


class Signals(unittest.TestCase):
    def test_reader_gone(self):
        """A reader that goes away ends the program without a message, as people expect of '| head'."""
        reading, writing = os.pipe()
        os.close(reading)
        result = subprocess.run([HOLDFAST, 'version'], stdout=writing, stderr=subprocess.PIPE, check=False)
        os.close(writing)
        self.assertEqual((result.returncode, result.stderr), (1, b''))

    def test_no_words(self):
        result = subprocess.run([HOLDFAST], capture_output=True, check=False)
        self.assertEqual(result.returncode, 2)
        self.assertIn(b'Usage: holdfast', result.stderr)


unittest.main(argv=sys.argv[:1])
