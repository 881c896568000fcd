#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Freezing through the whole system: what is read is still, and whoever is killed, writing goes on within seconds.
Skipped where this machine has no root, loop devices or ext4. Usage: test_freeze.py BUILD [TEST...]"""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import rig

BUILD = None


def run(*words):
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)


class Writer:
    """Writes a file on and on; knows the longest time that a write took, and when the last one ended."""

    def __init__(self, path):
        self.path = path
        self.last = time.monotonic()
        self.ending = False
        self.thread = threading.Thread(target=self.write, daemon=True)
        self.thread.start()

    def write(self):
        while not self.ending:
            with open(self.path, 'wb') as file:
                file.write(b'x')
                file.flush()
                os.fsync(file.fileno())
            self.last = time.monotonic()
            time.sleep(0.01)

    def stands(self):
        return time.monotonic() - self.last > 0.3

    def end(self):
        self.ending = True
        self.thread.join(10)


class FreezeTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='holdfast-fleet-'))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.place = self.folder / 'place'
        self.place.mkdir()
        self.mount()
        self.fleet = rig.Fleet(self.folder, BUILD)
        self.addCleanup(self.fleet.__exit__)
        self.fleet.start_server()
        self.agent = self.fleet.add_agent('one')
        self.repository = self.fleet.add_repository('main', self.agent)
        self.writer = None

    def tearDown(self):
        if self.writer is not None:
            self.writer.end()

    def mount(self):
        image = self.folder / 'image'
        if os.geteuid() != 0:
            self.skipTest('needs root')
        if run('truncate', '-s', '600M', image).returncode or run('mkfs.ext4', '-q', image).returncode:
            self.skipTest('needs mkfs.ext4')
        found = run('losetup', '-f', '--show', image)
        if found.returncode:
            self.skipTest('needs loop devices')
        self.device = found.stdout.strip()
        self.addCleanup(run, 'losetup', '-d', self.device)
        if run('mount', self.device, self.place).returncode:
            self.skipTest('needs ext4 in the kernel')
        self.addCleanup(run, 'umount', self.place)
        if run('fsfreeze', '-f', self.place).returncode or run('fsfreeze', '-u', self.place).returncode:
            self.skipTest('needs FIFREEZE')

    def fill(self, files):
        for number in range(files):
            (self.place / f'file-{number}').write_bytes(os.urandom(4000000))

    def job(self, **more):
        job = {'type': 'LinuxAgentBackup', 'name': 'frozen', 'description': '', 'isHighPriority': False,
               'computers': [{'id': self.agent.id}], 'storage': {
                   'backupRepositoryId': self.repository,
                   'retentionPolicy': {'type': 'RestorePoints', 'quantity': 7}}, **more}
        return self.fleet.post('/api/v1/jobs', job)['id']

    def files(self, **more):
        return self.job(backupMode='FileLevel', files={'customFiles': [str(self.place)]}, **more)

    def notes(self):
        return list((self.agent.folder / 'state' / 'work').glob('frozen-*'))

    def workers(self):
        found = []
        for pid in self.agent.children():
            with contextlib.suppress(OSError):
                if pathlib.Path(f'/proc/{pid}/comm').read_text(encoding='ascii').strip() == 'hf-worker':
                    found.append(pid)
        return found

    def lines(self, session):
        return '\n'.join(self.fleet.logs(session))

    def test_files(self):
        """Only by explicit wish."""
        self.fill(3)
        session = self.fleet.run(self.files(freezeSeconds=30))
        self.assertIn(f"'{self.place}' is frozen, for at most 30 seconds", self.lines(session))
        self.assertIn('thawed after', self.lines(session))
        self.assertEqual(self.notes(), [])
        self.assertNotIn('frozen', self.lines(self.fleet.run(self.job(
            name='plain', backupMode='FileLevel', files={'customFiles': [str(self.place)]}))))

    def test_device(self):
        """A device that is mounted and written to gives an image that is whole, without a word of warning."""
        self.fill(3)
        self.writer = Writer(self.place / 'written')
        session = self.fleet.run(self.job(backupMode='Volumes', volumes={'volumeObject': [
            {'type': 'Device', 'path': self.device}]}))
        self.writer.end()
        self.assertIn('is frozen, for at most 60 seconds', self.lines(session))
        self.assertNotIn('torn', self.lines(session))

    def test_device_as_it_is(self):
        self.fill(1)
        session = self.fleet.run(self.job(backupMode='Volumes', useSnapshotlessFileLevelBackup=True, volumes={
            'volumeObject': [{'type': 'Device', 'path': self.device}]}), 'Warning')
        self.assertIn('torn', self.lines(session))
        self.assertNotIn('is frozen', self.lines(session))

    def test_too_slow(self):
        """Time is up: reading goes on, and the session warns."""
        self.fill(120)
        run('sh', '-c', 'sync; echo 3 > /proc/sys/vm/drop_caches')
        session = self.fleet.run(self.files(freezeSeconds=1), 'Warning')
        self.assertIn('crash-consistent', self.lines(session))

    def test_needed(self):
        """The file system of a repository of this host stays as it is."""
        self.fleet.add_repository('inside', self.agent, self.place / 'repository')
        self.fill(1)
        session = self.fleet.run(self.files(freezeSeconds=30), 'Warning')
        self.assertIn('has to go on writing', self.lines(session))

    def kill_while_frozen(self, kill):
        self.fill(120)
        self.writer = Writer(self.place / 'written')
        session = self.fleet.start(self.files(freezeSeconds=60))
        rig.wait_for('the freeze', 60, lambda: self.notes() and self.writer.stands())
        kill()
        rig.wait_for('writing to go on', 8, lambda: not self.writer.stands())
        self.fleet.wait(session)
        rig.wait_for('the notes to go', 10, lambda: not self.notes())

    def stop_workers(self):
        """Returns when no thread of theirs does anything any more."""
        workers = self.workers()
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
        rig.wait_for('the workers to stop', 10, lambda: all(
            (task / 'stat').read_text(encoding='ascii').rpartition(')')[2].split()[0] == 'T'
            for pid in workers for task in pathlib.Path(f'/proc/{pid}/task').iterdir()))
        return workers

    def test_worker_killed(self):
        def kill():
            for pid in self.workers():
                os.kill(pid, signal.SIGKILL)
        self.kill_while_frozen(kill)

    def guardians(self):
        found = []
        for entry in pathlib.Path('/proc').iterdir():
            with contextlib.suppress(OSError, ValueError):
                if entry.name.isdigit() and (entry / 'comm').read_text(encoding='ascii').strip() == 'hf-guardian' and \
                        any(os.readlink(fd) == str(self.place) for fd in (entry / 'fd').iterdir()):
                    found.append(int(entry.name))
        return found

    def test_guardian_killed(self):
        def kill():
            for pid in self.guardians():
                os.kill(pid, signal.SIGKILL)
        self.kill_while_frozen(kill)

    def test_both_killed(self):
        """The keeper sees that its worker is gone, and thaws."""
        def kill():
            for pid in self.guardians() + self.stop_workers():
                os.kill(pid, signal.SIGKILL)
        self.kill_while_frozen(kill)

    def test_keeper_killed(self):
        """Its worker dies with it, and the guardian thaws."""
        def kill():
            self.agent.kill()
            rig.wait_for('writing to go on', 5, lambda: not self.writer.stands())
            self.agent.start()
        self.kill_while_frozen(kill)

    def kill_all(self):
        guardians = self.guardians()
        self.stop_workers()
        for pid in guardians:
            os.kill(pid, signal.SIGKILL)
        self.agent.kill()
        time.sleep(1)
        self.assertTrue(self.writer.stands())

    def test_all_killed(self):
        """As by a service manager that ends all of a unit: the next agent thaws."""
        def kill():
            self.kill_all()
            self.agent.start()
        self.kill_while_frozen(kill)

    def test_thaw(self):
        """As the service manager does when there is no next agent."""
        def kill():
            self.kill_all()
            done = run(*self.agent.argv('thaw', '--json'))
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(json.loads(done.stdout)['done'],
                             [f"'{self.place}' was frozen by a task that is no more: thawed"])
            rig.wait_for('writing to go on', 5, lambda: not self.writer.stands())
            self.agent.start()
            rig.wait_for('the agent', 20, lambda: run(*self.agent.argv('thaw')).returncode == 1)
        self.kill_while_frozen(kill)

    def test_stopped(self):
        """A worker and its guardian that were stopped: the keeper thaws a while after the time is over."""
        self.fill(120)
        self.writer = Writer(self.place / 'written')
        session = self.fleet.start(self.files(freezeSeconds=5))
        rig.wait_for('the freeze', 60, lambda: self.notes() and self.writer.stands())
        stopped = self.guardians() + self.stop_workers()
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        rig.wait_for('writing to go on', 30, lambda: not self.writer.stands())
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
        self.assertEqual(self.fleet.wait(session)['result']['result'], 'Warning')


if __name__ == '__main__':
    BUILD = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=2)
