#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Immutable files through the whole system: what locked points need has the inode flag, whoever is killed, and loses
it when the locks have ended. Skipped where this machine has no root, loop devices or ext4.
Usage: test_hold.py BUILD [TEST...]"""
import array
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

import rig

BUILD = None
GET_FLAGS, SET_FLAGS = 0x80086601, 0x40086602
IMMUTABLE = 0x10
DAY = 86400
SERVICE = 'nobody' # an account that every system has


def run(*words, **more):
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False, **more)


def is_immutable(path):
    with open(path, 'rb') as file:
        flags = array.array('l', [0])
        fcntl.ioctl(file.fileno(), GET_FLAGS, flags, True)
        return bool(flags[0] & IMMUTABLE)


class HoldTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='holdfast-fleet-'))
        self.folder.chmod(0o711) # the service must get to its repository
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.place = self.folder / 'place'
        self.place.mkdir()
        self.mount()
        self.repository = self.place / 'repository'
        self.fleet = rig.Fleet(self.folder, BUILD)
        self.addCleanup(self.fleet.__exit__)
        self.fleet.start_server()
        self.agent = self.fleet.add_agent('one', user=SERVICE)
        self.source = self.folder / 'source'
        self.source.mkdir()

    def mount(self):
        image = self.folder / 'image'
        if os.geteuid() != 0:
            self.skipTest('needs root')
        if run('truncate', '-s', '300M', image).returncode or run('mkfs.ext4', '-q', image).returncode:
            self.skipTest('needs mkfs.ext4')
        found = run('losetup', '-f', '--show', image)
        if found.returncode:
            self.skipTest('needs loop devices')
        device = found.stdout.strip()
        self.addCleanup(run, 'losetup', '-d', device)
        if run('mount', device, self.place).returncode:
            self.skipTest('needs ext4 in the kernel')
        self.addCleanup(run, 'umount', '-l', self.place)
        probe = self.place / 'probe'
        probe.touch()
        if run('chattr', '+i', probe).returncode or run('chattr', '-i', probe).returncode:
            self.skipTest('needs the right to set the immutable flag')
        probe.unlink()
        shutil.chown(self.place, SERVICE)

    def fill(self):
        for number in range(8):
            (self.source / f'file-{number}').write_bytes(os.urandom(500000))

    def files(self, *folders):
        return {path for folder in folders for path in (self.repository / folder).rglob('*') if path.is_file()}

    def needed(self):
        found = self.files('data', 'meta', 'parity', 'mirror', 'points', 'keys', 'ring', 'writers')
        return {path for path in found | set(self.repository.glob('config.*')) if path.suffix != '.gone'}

    def wait_held(self):
        rig.wait_for('the flags', 20, lambda: all(map(is_immutable, self.needed())))

    def status(self):
        return json.loads(run(*self.agent.argv('status', '--json')).stdout)['immutable']

    def forward(self, service, keeper):
        """As if the service had kept the repository, and the keeper its files, for so many seconds more."""
        self.agent.stop()
        folder = self.repository / 'clock'
        folder.mkdir(exist_ok=True) # it may not have counted a second yet
        last = max((int(path.name, 16) for path in folder.iterdir()), default=0)
        clock = folder / f'{last + service:016x}'
        clock.touch()
        for path in (folder, clock):
            shutil.chown(path, SERVICE)
        for path in {book.with_suffix('.clock') for book in (self.agent.folder / 'state' / 'holds').iterdir()}:
            reached = int(path.read_text(encoding='ascii').split()[0]) if path.exists() else 0
            number = str(reached + keeper)
            digest = hashlib.sha256(number.encode('ascii')).hexdigest()[:16]
            path.write_text(f'{number} {digest}\n', encoding='ascii')
        self.agent.start()

    def check_bars(self):
        """Neither root nor the service's user can do anything to what has the flag."""
        for path in sorted(self.needed())[::5]:
            for words in (['rm', '-f'], ['truncate', '-s', '0'], ['touch', '-c'], ['chmod', '600']):
                self.assertNotEqual(run(*words, path).returncode, 0, words)
                self.assertNotEqual(run(*words, path, user=SERVICE).returncode, 0, words)
            with self.assertRaises(OSError):
                path.rename(path.with_name('other'))
        run('rm', '-rf', self.repository / 'points', user=SERVICE)
        self.assertTrue(self.files('points'))
        self.assertFalse(any(map(is_immutable, self.files('clock', 'index', 'sessions', 'gc'))))
        self.assertTrue(os.path.exists(self.repository / 'reserve'))
        self.assertFalse(is_immutable(self.repository / 'reserve'))

    def test_life(self):
        repository = self.fleet.add_repository('hard', self.agent, self.repository, immutable_days=1)
        job = self.fleet.add_job('job', self.agent, [self.source], repository, points=1)
        self.fill()
        self.fleet.run(job)
        self.wait_held()
        self.check_bars()
        first = self.files('data')
        self.assertTrue(first)
        shown = self.status()
        self.assertTrue(shown['able'])
        self.assertEqual([(row['path'], 'problem' in row) for row in shown['repositories']],
                         [(str(self.repository), False)])
        self.assertGreaterEqual(shown['repositories'][0]['files'], len(self.needed()))

        # Whoever is killed: they stay, and what comes is held as well.
        self.agent.kill()
        self.assertTrue(all(map(is_immutable, self.needed())))
        self.agent.start()
        self.fill()
        self.fleet.run(job)
        self.wait_held()

        # The locks have ended, the flags have not: what is not needed any more is later.
        self.forward(DAY + 60, 0)
        self.fill()
        session = self.fleet.run(job)
        self.assertIn('immutable files yet', '\n'.join(self.fleet.logs(session)))
        self.assertEqual(first - self.files('data'), set())

        # The flags end, too, and it goes.
        self.forward(DAY + 60, 2 * DAY)
        rig.wait_for('the flags to go', 20, lambda: not any(map(is_immutable, first)))
        self.fill()
        self.fleet.run(job)
        self.assertEqual(first & self.files('data'), set())
        self.wait_held()
        self.assertEqual(len(self.fleet.points()), 1)

    def test_unable(self):
        """A file system without the flag: as ever, and status says why."""
        bare = self.place / 'bare'
        bare.mkdir()
        if run('mount', '-t', 'ramfs', 'bare', bare).returncode:
            self.skipTest('needs ramfs')
        self.addCleanup(run, 'umount', '-l', bare)
        shutil.chown(bare, SERVICE)
        repository = self.fleet.add_repository('soft', self.agent, bare / 'repository', immutable_days=1)
        self.fill()
        self.fleet.run(self.fleet.add_job('job', self.agent, [self.source], repository))
        rig.wait_for('the word about it', 20, lambda: any(
            'no immutable flag' in row.get('problem', '') for row in self.status()['repositories']))


if __name__ == '__main__':
    BUILD = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=2)
