#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The signals of the real program: test_signals.py HOLDFAST"""
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

HOLDFAST = os.path.abspath(sys.argv[1])


class Signals(unittest.TestCase):
    def test_reader_gone(self):
        """A reader that goes away ends the program without a message, as people expect of '| head'."""
        reading, writing = os.pipe()
        os.close(reading)
        result = subprocess.run([HOLDFAST, 'version'], stdout=writing, stderr=subprocess.PIPE, check=False)
        os.close(writing)
        self.assertEqual((result.returncode, result.stderr), (1, b''))

    def start(self, *words):
        # pylint: disable-next=consider-using-with
        program = subprocess.Popen([HOLDFAST, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(program.stdout.close)
        self.addCleanup(program.stderr.close)
        self.addCleanup(program.kill)
        return program

    def test_cancel(self):
        """The first signal ends what runs, in order and with a message."""
        for number in (signal.SIGINT, signal.SIGTERM):
            program = self.start('benchmark')
            self.wait_for_handler(program)
            program.send_signal(number)
            self.assertEqual(program.wait(timeout=60), 1)
            self.assertIn('cancelled', program.stderr.read())

    def test_second_signal(self):
        """The second one ends the process at once, whatever it waits for."""
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([HOLDFAST, 'init', '-r', folder, '--encryption', 'none'], check=True, capture_output=True)
            program = self.start('points', '-r', folder, '--password-command', 'sleep 20')
            self.wait_for_handler(program)
            time.sleep(1)
            program.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            self.assertIsNone(program.poll())
            program.send_signal(signal.SIGINT)
            self.assertEqual(program.wait(timeout=3), 128 + signal.SIGINT)

    def wait_for_handler(self, program):
        """Until the program has taken the signals over."""
        while True:
            self.assertIsNone(program.poll())
            with open(f'/proc/{program.pid}/status', encoding='ascii') as stream:
                caught = [int(line.split()[1], 16) for line in stream if line.startswith('SigCgt:')][0]
            if caught >> (signal.SIGTERM - 1) & 1:
                return
            time.sleep(0.01)

    def test_no_words(self):
        result = subprocess.run([HOLDFAST], capture_output=True, check=False)
        self.assertEqual(result.returncode, 2)
        self.assertIn(b'Usage: holdfast', result.stderr)


unittest.main(argv=sys.argv[:1])
