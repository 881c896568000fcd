#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restores by a server: what is there is kept or replaced, also when the host dies in between, and other hosts.
Usage: test_restore.py BUILD"""
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
MIB = 1 << 20


class RestoreTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='holdfast-restore-'))
        self.fleet = rig.Fleet(self.folder, BUILD)
        self.fleet.start_server()

    def tearDown(self):
        self.fleet.__exit__()
        shutil.rmtree(self.folder, ignore_errors=True)

    def source(self, files, size):
        folder = self.folder / 'source'
        for number in range(files):
            path = folder / str(number % 3) / f'file-{number}'
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(os.urandom(size))
        return folder

    def files(self, folder):
        return {str(path.relative_to(folder)): path.read_bytes() for path in pathlib.Path(folder).rglob('*')
                if path.is_file()}

    def bring(self, kind, paths, target=None, host=None, result='Success', wait=True):
        """By REST: the session of the restore."""
        mount = self.fleet.mount(self.fleet.points()[-1]['id'])
        body = {'sourcePath': [str(path) for path in paths], 'restoreType': kind}
        if target is not None:
            body['targetPath'] = str(target)
        if host is not None:
            body['targetHost'] = {'type': 'Agent', 'protectedComputerId': host.id}
        try:
            task = self.fleet.post(f'/api/v1/backupBrowser/flr/{mount}/{"restoreTo" if host else "restore"}', body)
            if wait:
                self.fleet.expect(task['id'], result)
            return task['id']
        finally:
            if wait:
                self.fleet.post(f'/api/v1/restore/flr/{mount}/unmount')

    def holdfast(self, *words):
        env = {name: text for name, text in os.environ.items() if not name.startswith('HOLDFAST_')}
        done = subprocess.run([self.fleet.program('holdfast'), *map(str, words)], check=False, capture_output=True,
                              text=True, env={**env, 'XDG_CONFIG_HOME': str(self.folder / 'config')})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def login(self):
        (self.folder / 'password').write_text(self.fleet.password, encoding='ascii')
        told = next(line for line in self.fleet.server.output().splitlines() if line.startswith('{"port"'))
        self.holdfast('login', f'127.0.0.1:{self.fleet.port}', '--user', 'admin', '--password-file',
                      self.folder / 'password', '--fingerprint', json.loads(told)['fingerprint'])

    def test_modes(self):
        """To the original places, by REST and by the command line; then to another host and another path."""
        fleet = self.fleet
        one, two = fleet.add_agent('one'), fleet.add_agent('two')
        source = self.source(9, 20000)
        saved = self.files(source)
        fleet.run(fleet.add_job('docs', one, [source], fleet.add_repository('main', two)))
        (source / '0' / 'file-0').write_bytes(b'of today')
        (source / '0' / 'mine').write_bytes(b'new')
        (source / '1' / 'file-1').unlink()
        now = self.files(source)

        # Kept: all of it stands beside, also a second time.
        session = self.bring('Keep', ['/'])
        self.assertEqual(self.files(source), now)
        self.assertEqual(self.files(self.folder / 'RESTORED-source'), saved)
        self.assertTrue(any(f'restored as {self.folder}/RESTORED-source' in line for line in fleet.logs(session)))
        self.login()
        host = fleet.points()[-1]['name']
        self.holdfast('restore', host, source / '0' / 'file-0', source / '1' / 'file-1', '-f')
        self.assertEqual(self.files(source), {**now, '0/RESTORED-file-0': saved['0/file-0'],
                                              '1/file-1': saved['1/file-1']})
        self.holdfast('restore', host, '-f')
        self.assertEqual(self.files(self.folder / 'RESTORED-2-source'), saved)

        # Replaced: what the point does not have stays.
        (source / '0' / 'RESTORED-file-0').unlink()
        self.holdfast('restore', host, source / '0', '--overwrite', '-f')
        self.assertEqual(self.files(source), {**saved, '0/mine': b'new'})
        (source / '2' / 'file-2').write_bytes(b'of today')
        self.bring('Overwrite', ['/'])
        self.assertEqual(self.files(source), {**saved, '0/mine': b'new'})

        # Elsewhere.
        out = self.folder / 'out'
        for kind, name in (('Keep', 'source'), ('Keep', 'RESTORED-source'), ('Overwrite', 'source')):
            self.bring(kind, [source], target=out, host=two)
            self.assertEqual(self.files(out / name), saved)
        self.assertEqual(sorted(os.listdir(out)), ['RESTORED-source', 'source'])

    def sent(self, session):
        return sum(task['progress']['transferredSize'] for task in self.fleet.tasks(session))

    def test_copy_between_strangers(self):
        """Repositories of different passwords: what is missing goes over, and can be restored when the first is gone."""
        fleet = self.fleet
        one, two = fleet.add_agent('one'), fleet.add_agent('two')
        password = fleet.post('/api/v1/encryptionPasswords', {'password': 'of the other one', 'hint': 'other'})['id']
        main = fleet.add_repository('main', two)
        other = fleet.add_repository('other', one, password=password)
        source = self.source(12, 300000)
        job = fleet.add_job('docs', [one, two], [source], main)
        fleet.run(job)
        copy = fleet.add_copy(job, other)
        self.assertGreater(self.sent(fleet.run(copy)), 12 * 300000)
        self.assertEqual(len(fleet.points()), 4)
        self.assertLess(self.sent(fleet.run(copy)), 200000)
        (source / '0' / 'file-0').write_bytes(os.urandom(300000))
        saved = self.files(source)
        fleet.run(job)
        session = fleet.run(copy)
        self.assertLess(self.sent(session), 4 * 300000)
        self.assertGreater(self.sent(session), 2 * 300000)
        self.assertEqual(len(fleet.points()), 8)

        # The first repository, and its host, are gone; a third host takes the data.
        three = fleet.add_agent('three')
        two.kill()
        shutil.rmtree(two.folder / 'main')
        backup = next(row['id'] for row in fleet.all('/api/v1/backups') if row['repositoryId'] == other)
        points = [row['id'] for row in fleet.points() if row['backupId'] == backup]
        self.assertEqual(len(points), 4)
        for number, point in enumerate(points[-2:]):
            out = self.folder / f'out-{number}'
            fleet.restore(point, out, paths=[source], host=three)
            self.assertEqual(self.files(out / 'source'), saved)

    def test_killed(self):
        """The host dies while files are replaced: each is what it was or what was saved, whole. Then all is restored."""
        fleet = self.fleet
        one, two = fleet.add_agent('one'), fleet.add_agent('two')
        source = self.source(24, 4 * MIB)
        saved = self.files(source)
        fleet.run(fleet.add_job('docs', one, [source], fleet.add_repository('main', two)))
        now = {name: b'of today ' + os.urandom(MIB) for name in saved}
        for name, content in now.items():
            (source / name).write_bytes(content)
        session = self.bring('Overwrite', ['/'], wait=False)
        rig.wait_for('a file that is on its way', 30, lambda: list(source.glob('*/.holdfast-*')))
        one.kill()
        left = [name for name in self.files(source) if '.holdfast-' in name]
        for name, content in now.items():
            self.assertIn((source / name).read_bytes(), (content, saved[name]), name)
        for name in left:
            (source / name).unlink()
        whole = self.files(source) == saved # a busy machine may be done before it is killed
        one.start()
        if not whole:
            self.assertNotEqual(fleet.wait(session)['result']['result'], 'Success')
        self.bring('Overwrite', ['/'])
        self.assertEqual(self.files(source), saved)


if __name__ == '__main__':
    BUILD = sys.argv.pop(1)
    unittest.main(verbosity=2)
