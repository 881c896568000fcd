#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make run` and `make up`: what they show a newcomer, that a restore which differs is told, that nothing runs after
them, and that the second start of `make up` has the data of the first. Usage: test_scripts.py BUILD SOURCE"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

BUILD = SOURCE = None


def processes(folder):
    """Command lines of what runs with its files in `folder`."""
    found = []
    for entry in pathlib.Path('/proc').iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / 'cmdline').read_bytes().replace(b'\0', b' ').decode(errors='replace')
            except OSError:
                continue
            if str(folder) in line and 'holdfast-' in line:
                found.append(line)
    return found


class ScriptsTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='holdfast-scripts-'))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.folder.chmod(0o755)
        self.source = self.folder / 'source'
        (self.source / 'below').mkdir(parents=True)
        (self.source / 'below' / 'file').write_bytes(os.urandom(100000))
        (self.source / 'link').symlink_to('below/file')
        self.environment = {**os.environ, 'BUILD': str(BUILD), 'RUN': str(self.folder / 'run')}

    def start(self, script, *words):
        log = self.folder / f'{script}.log'
        with open(log, 'wb') as out:
            process = subprocess.Popen([SOURCE / 'tools' / script, *words], stdin=subprocess.DEVNULL, stdout=out,
                                       stderr=out, env=self.environment, start_new_session=True)
        return process, log

    def finish(self, script, *words):
        process, log = self.start(script, *words)
        code = process.wait(120)
        return code, log.read_text(encoding='utf-8')

    def assert_quiet(self):
        """All has ended, the roles of the agent too."""
        end = time.monotonic() + 10
        while processes(self.folder) and time.monotonic() < end:
            time.sleep(0.1)
        self.assertEqual(processes(self.folder), [])

    @unittest.skipUnless(shutil.which('rsync'), 'rsync is not here')
    def test_run(self):
        code, said = self.finish('run', self.source)
        self.assertEqual(code, 0, said)
        self.assertIn('rsync finds no difference', said)
        self.assertEqual(said.count('docs: Success'), 2, said)
        restored = self.folder / 'run' / 'fleet' / 'restored' / str(self.source).lstrip('/')
        self.assertEqual((restored / 'below' / 'file').read_bytes(), (self.source / 'below' / 'file').read_bytes())
        self.assertEqual((self.folder / 'run/fleet/password').stat().st_mode & 0o777, 0o600)
        self.assert_quiet()

    def test_run_tells_differences(self):
        """An rsync that finds one makes it fail, and all ends just the same."""
        tools = self.folder / 'tools'
        tools.mkdir()
        (tools / 'rsync').write_text('#!/bin/sh\necho ">f.st...... below/file"\n', encoding='ascii')
        (tools / 'rsync').chmod(0o755)
        self.environment['PATH'] = f"{tools}:{os.environ['PATH']}"
        code, said = self.finish('run', self.source)
        self.assertEqual(code, 1, said)
        self.assertIn('>f.st...... below/file', said)
        self.assertIn('differ', said)
        self.assert_quiet()

    def test_run_tells_failures(self):
        code, said = self.finish('run', self.folder / 'missing')
        self.assertEqual(code, 1, said)
        self.assertIn("'holdfast job' failed", said)
        self.assert_quiet()

    def up(self):
        process, log = self.start('up')
        end = time.monotonic() + 60
        while 'Ctrl-C ends it' not in log.read_text(encoding='utf-8'):
            self.assertIsNone(process.poll(), log.read_text(encoding='utf-8'))
            self.assertLess(time.monotonic(), end, log.read_text(encoding='utf-8'))
            time.sleep(0.1)
        return process, log.read_text(encoding='utf-8')

    def down(self, process):
        process.terminate()
        self.assertEqual(process.wait(60), 130)
        self.assert_quiet()

    def holdfast(self, *words):
        config = {**os.environ, 'XDG_CONFIG_HOME': str(self.folder / 'run/up/config')}
        done = subprocess.run([BUILD / 'src/bin/holdfast', *words], capture_output=True, text=True, check=False, env=config)
        self.assertIn(done.returncode, (0, 3), done.stdout + done.stderr)
        return done.stdout

    def test_up(self):
        process, said = self.up()
        password = re.search(r'password, which is not kept anywhere: (\S+)', said).group(1)
        self.holdfast('job', 'start', 'docs', '--follow', '--quiet')
        points = self.holdfast('point', 'list', '--json')
        self.assertTrue(points)
        self.down(process)
        process, said = self.up()
        self.assertNotIn(password, said)
        self.assertEqual(self.holdfast('point', 'list', '--json'), points)
        self.holdfast('job', 'start', 'docs', '--follow', '--quiet')
        self.down(process)


if __name__ == '__main__':
    SOURCE = pathlib.Path(sys.argv.pop(2)).resolve()
    BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main(verbosity=2)
