#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server, agents and repositories as real processes: backup, increment, copy, restore to another host, verification,
retention, rescan of a lost catalogue, and restarts in the middle. Usage: test_fleet.py BUILD"""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest

import rig

BUILD = None


def same(left, right):
    return subprocess.run(['diff', '-r', '--no-dereference', str(left), str(right)], capture_output=True, text=True,
                          check=False)


class FleetTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='holdfast-fleet-'))
        self.fleet = rig.Fleet(self.folder, BUILD)
        self.fleet.start_server()

    def tearDown(self):
        self.fleet.__exit__()
        shutil.rmtree(self.folder, ignore_errors=True)

    def source(self, name, files=40, size=20000):
        folder = self.folder / name
        for number in range(files):
            path = folder / str(number % 5) / f'file-{number}'
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(os.urandom(size))
        return folder

    def status_of(self, host):
        return self.fleet.get(f'/api/v1/backupInfrastructure/managedServers/{host.id}')['status']

    def assert_same(self, left, right):
        found = same(left, right)
        self.assertEqual(found.returncode, 0, found.stdout[:2000])

    def test_round(self):
        """Two sources, two repositories, everything that a job does."""
        fleet = self.fleet
        one, two = fleet.add_agent('one'), fleet.add_agent('two')
        main = fleet.add_repository('main', two)
        second = fleet.add_repository('second', one)
        source = self.source('source')
        job = fleet.add_job('docs', [one, two], [source], main, points=2)
        fleet.run(job)
        self.assertEqual(len(fleet.points()), 2)
        (source / 'new').write_bytes(os.urandom(30000))
        session = fleet.run(job)
        for task in fleet.tasks(session):
            self.assertEqual(task['result']['result'], 'Success')
            self.assertLess(task['progress']['transferredSize'], 200000)
            self.assertIn(task['progress']['bottleneck'], ('Source', 'Proxy', 'Network', 'Target'))

        # To another host, and to a folder that is new.
        point = fleet.points()[-1]
        fleet.restore(point['id'], self.folder / 'out', paths=[source], host=one)
        self.assert_same(source, self.folder / 'out' / source.name)

        # To where it was.
        shutil.move(source, self.folder / 'kept')
        fleet.restore(point['id'])
        self.assert_same(self.folder / 'kept', source)

        # Retention keeps two of each host.
        for _ in range(2):
            fleet.run(job)
        self.assertEqual(len(fleet.points()), 4)

        # A copy into the sibling, and a restore from it after the first repository is gone.
        copy = fleet.add_copy(job, second)
        fleet.run(copy)
        self.assertEqual(len(fleet.points()), 8)
        for point in fleet.points():
            fleet.post(f"/api/v1/restore/flr/{fleet.mount(point['id'])}/unmount")

        # Verification where the data lie.
        backup = fleet.all('/api/v1/backups')[0]['id']
        found = fleet.post('/api/v1/backups/runHealthcheck', {'backupIds': [backup]})
        for session in found['sessions'] if 'sessions' in found else found['data']:
            fleet.expect(session['id'])

    def test_point_is_forgotten_while_it_is_mounted(self):
        """What is mounted can be looked through to its end: a session in the repository keeps it from being swept."""
        fleet = self.fleet
        one, two = fleet.add_agent('one'), fleet.add_agent('two')
        repository = fleet.add_repository('main', two)
        source = self.source('source', files=300, size=3000)
        job = fleet.add_job('docs', one, [source], repository, points=1)
        fleet.run(job)
        point = fleet.points()[0]['id']
        mount = fleet.mount(point)

        def held():
            return list((two.folder / 'main' / 'sessions').glob('*/open'))
        self.assertEqual(len(held()), 1)
        for _ in range(2):
            for path in source.rglob('file-*'):
                path.write_bytes(os.urandom(3000))
            fleet.run(job)
        self.assertNotIn(point, [row['id'] for row in fleet.points()])
        for number in range(5):
            found = fleet.post(f'/api/v1/backupBrowser/flr/{mount}/browse', {'path': f'{source}/{number}'})
            self.assertEqual(len(found['items']), 60)
        fleet.post(f'/api/v1/restore/flr/{mount}/unmount')
        rig.wait_for('the session of the mount to end', 20, lambda: not held())

    def test_catalogue_is_a_cache(self):
        fleet = self.fleet
        one = fleet.add_agent('one')
        repository = fleet.add_repository('main', one)
        job = fleet.add_job('docs', one, [self.source('source')], repository)
        fleet.run(job)
        fleet.run(job)
        before = [(row['name'], row['type'], row['creationTime'], row['originalSize']) for row in fleet.points()]
        fleet.stop_server()
        base = sqlite3.connect(self.folder / 'server' / 'server.db')
        for table in ('restore_points', 'backup_files', 'backup_objects', 'backups'):
            base.execute(f'DELETE FROM {table}')
        base.commit()
        base.close()
        done = subprocess.run([fleet.program('holdfast-server'), 'rescan', '--config', self.folder / 'server.conf',
                               '--state', self.folder / 'server'], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        fleet.start_server()
        after = [(row['name'], row['type'], row['creationTime'], row['originalSize']) for row in fleet.points()]
        self.assertEqual(before, after)

    def test_server_dies_while_a_job_runs(self):
        """The task goes on; the next server takes the session up, and its point is in the catalogue."""
        self.without_server(self.fleet.kill_server)

    def test_server_is_stopped_while_a_job_runs(self):
        self.without_server(self.fleet.stop_server)

    def without_server(self, end):
        fleet = self.fleet
        one = fleet.add_agent('one')
        repository = fleet.add_repository('main', one)
        source = self.source('source', files=300, size=200000)
        session = fleet.start(fleet.add_job('docs', one, [source], repository))
        rig.wait_for('the task', 30, lambda: fleet.tasks(session))
        end()
        fleet.start_server()
        fleet.expect(session, seconds=120)
        point = fleet.points()[-1]
        fleet.restore(point['id'], self.folder / 'out', paths=[source], host=one)
        self.assert_same(source, self.folder / 'out' / source.name)

    def test_agent_vanishes(self):
        """The job fails with the host's name within a minute, and the next run goes well."""
        fleet = self.fleet
        one, two = fleet.add_agent('one'), fleet.add_agent('two')
        repository = fleet.add_repository('main', two)
        source = self.source('source', files=300, size=300000)
        job = fleet.add_job('docs', one, [source], repository)
        session = fleet.start(job)
        rig.wait_for('the task', 30, lambda: fleet.tasks(session))
        one.kill()
        found = fleet.wait(session, seconds=75)
        self.assertEqual(found['result']['result'], 'Failed')
        self.assertTrue(any(f'127.0.0.1:{one.installer}' in line for line in fleet.logs(session)))
        one.start()
        rig.wait_for('the agent', 60, lambda: fleet.get(f'/api/v1/backupInfrastructure/managedServers/{one.id}')
                     ['status'] == 'Available')
        fleet.run(job)
        fleet.restore(fleet.points()[-1]['id'], self.folder / 'out', paths=[source], host=two)
        self.assert_same(source, self.folder / 'out' / source.name)

    def test_silent_host(self):
        """Nobody is told when a cable is cut: the job fails by name within a minute all the same, and a server that is
        stopped meanwhile does not wait for the host."""
        fleet = self.fleet
        one, two = fleet.add_agent('one'), fleet.add_agent('two')
        repository = fleet.add_repository('main', two)
        source = self.source('source', files=300, size=300000)
        job = fleet.add_job('docs', one, [source], repository)
        session = fleet.start(job)
        rig.wait_for('the worker', 30, lambda: len(one.children()) > 2)
        stopped = [*one.children(), one.process.pid]
        begun = time.monotonic()
        for pid in reversed(stopped):
            os.kill(pid, signal.SIGSTOP)
        try:
            found = fleet.wait(session, seconds=90)
            self.assertLess(time.monotonic() - begun, 65)
            self.assertEqual(found['result']['result'], 'Failed')
            self.assertIn(f'127.0.0.1:{one.installer}', found['result']['message'])
            fleet.start(job)
            time.sleep(2)
            begun = time.monotonic()
            fleet.stop_server()
            self.assertLess(time.monotonic() - begun, 10)
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
        fleet.start_server()
        rig.wait_for('all runs to end', 90, lambda: all(row['state'] == 'Stopped' for row in fleet.all(
            '/api/v1/sessions?typeFilter=BackupJob')))
        fleet.run(job)

    def test_sessions_end_with_their_service(self):
        """Who serves the repository is killed, or all of its host: nobody has to visit it for its sessions to end."""
        fleet = self.fleet
        one, keep = fleet.add_agent('one'), fleet.add_agent('keep')
        repository = fleet.add_repository('main', keep)
        job = fleet.add_job('docs', one, [self.source('source', files=400, size=400000)], repository)
        stored = keep.folder / 'main' / 'sessions'

        def held():
            return [path for path in stored.glob('*/open') if not (path.parent / 'outcome').exists()]

        def role():
            return next((pid for pid in keep.children() if
                         pathlib.Path(f'/proc/{pid}/comm').read_text(encoding='ascii').strip() == 'hf-transport'), None)

        def kill_host():
            keep.kill()
            time.sleep(1)
            keep.start()
        for kill in (lambda: os.kill(role(), signal.SIGKILL), kill_host):
            session = fleet.start(job)
            rig.wait_for('the session of the worker', 60, lambda: list(keep.folder.glob('main/data/*/*')) and held())
            left = held()
            kill()
            begun = time.monotonic()
            rig.wait_for('the sessions in the repository to end', 30, lambda left=left: not set(left) & set(held()))
            print(f'# they were there for {time.monotonic() - begun:.1f} s')
            self.assertEqual(fleet.wait(session)['result']['result'], 'Failed')
            rig.wait_for('the host', 60, lambda: fleet.get(f'/api/v1/backupInfrastructure/managedServers/{keep.id}')
                         ['status'] == 'Available')
        fleet.run(job)

    def test_roles(self):
        """Stopped, a role serves nobody until it is started, also when its agent is told twice."""
        fleet = self.fleet
        one, keep = fleet.add_agent('one'), fleet.add_agent('keep')
        repository = fleet.add_repository('main', keep)
        job = fleet.add_job('docs', one, [self.source('source')], repository)
        told = f'/api/v1/holdfast/hosts/{keep.id}/roles'

        def tell(action, role='transport'):
            session = fleet.post(told, {'role': role, 'action': action})['id']
            return fleet.wait(session)['result']['result']

        def state():
            return fleet.get(f'/api/v1/holdfast/hosts/{keep.id}')['roles']['transport']
        self.assertEqual(state(), 'running')
        self.assertEqual([tell('Stop'), tell('Stop'), state()], ['Success', 'Success', 'stopped'])
        session = fleet.start(job)
        self.assertEqual(fleet.wait(session)['result']['result'], 'Failed')
        self.assertEqual([tell('Start'), tell('Start'), state()], ['Success', 'Success', 'running'])
        fleet.run(job)
        self.assertEqual(tell('Stop', 'installer'), 'Failed')
        self.assertEqual([tell('Restart'), tell('Restart', 'installer')], ['Success', 'Success'])
        rig.wait_for('the host', 60, lambda: self.status_of(keep) == 'Available')
        fleet.run(job)

    def test_status_that_was_not_kept(self):
        """The database was away when a host came back: what stands there is mended, without anything that happens."""
        one = self.fleet.add_agent('one')
        with contextlib.closing(sqlite3.connect(self.folder / 'server' / 'server.db')) as database, database:
            database.execute("UPDATE hosts SET status = 'Unavailable', last_seen = 0 WHERE id = ?", [one.id])
        self.assertEqual(self.status_of(one), 'Unavailable')
        rig.wait_for('the status', 40, lambda: self.status_of(one) == 'Available')
        self.assertGreater(self.fleet.get(f'/api/v1/holdfast/hosts/{one.id}')['lastSeen'], '2026')

    def test_no_inotify(self):
        """All instances of inotify are taken by others: the agent looks now and then instead."""
        words = 'echo 0 > /proc/sys/user/max_inotify_instances && exec unshare --map-user=1 --map-group=1 "$0" "$@"'
        prefix = ['unshare', '-r', 'sh', '-c', words]
        if subprocess.run([*prefix, 'true'], capture_output=True, check=False).returncode != 0:
            self.skipTest('no namespaces of users here')
        one = self.fleet.add_agent('one', prefix=prefix)
        repository = self.fleet.add_repository('main', one)
        self.fleet.run(self.fleet.add_job('docs', one, [self.source('source')], repository))
        self.assertEqual((one.folder / 'log').read_text(encoding='utf-8').count('it is looked at every'), 1)

    def test_result_is_lost(self):
        """The keeper is killed after the commit and before it told: the point is the task's result, and the only one."""
        fleet = self.fleet
        one, two = fleet.add_agent('one'), fleet.add_agent('two')
        repository = fleet.add_repository('main', two)
        job = fleet.add_job('docs', one, [self.source('source', files=400, size=400000)], repository)
        stored = two.folder / 'main'
        session = fleet.start(job)
        rig.wait_for('the session of the worker', 60, lambda: list(stored.glob('data/*/*')))
        one.stop_keeper()
        self.assertFalse(list(stored.glob('points/*')))
        rig.wait_for('the commit', 60, lambda: list(stored.glob('points/*')))
        one.kill()
        one.start()
        fleet.expect(session, seconds=120)
        self.assertEqual(len(fleet.points()), 1)
        self.assertTrue(any('did not tell' in line for line in fleet.logs(session)))
        task = fleet.tasks(session)[0]
        self.assertEqual(task['restorePointId'], fleet.points()[0]['id'])

    def test_result_is_lost_with_the_server(self):
        """The row says "ordered" and the host knows nothing: what was committed is not made a second time."""
        fleet = self.fleet
        one = fleet.add_agent('one')
        repository = fleet.add_repository('main', one)
        job = fleet.add_job('docs', one, [self.source('source')], repository)
        session = fleet.run(job)
        fleet.kill_server()
        # As the rows were before the result was put down.
        base = sqlite3.connect(self.folder / 'server' / 'server.db')
        base.execute("UPDATE task_sessions SET ended = NULL, result = 'None', state = 'Working', "
                     "restore_point_id = NULL, resume = '{\"ordered\": true}' WHERE session_id = ?", (session,))
        base.execute("UPDATE sessions SET ended = NULL, result = 'None', state = 'Working' WHERE id = ?", (session,))
        base.commit()
        base.close()
        fleet.start_server()
        fleet.expect(session)
        self.assertEqual(len(fleet.points()), 1)
        self.assertEqual(fleet.tasks(session)[0]['restorePointId'], fleet.points()[0]['id'])

    def test_server_dies_with_a_new_writer(self):
        """The repository has a writer for the host whose credential nobody has: the host gets another."""
        fleet = self.fleet
        one = fleet.add_agent('one')
        job = fleet.add_job('docs', one, [self.source('source')], fleet.add_repository('main', one))
        fleet.run(job)
        fleet.kill_server()
        base = sqlite3.connect(self.folder / 'server' / 'server.db')
        base.execute('DELETE FROM repository_writers')
        base.commit()
        base.close()
        fleet.start_server()
        fleet.run(job, seconds=30)
        fleet.run(job, seconds=30)
        self.assertEqual(len(fleet.points()), 3)

    def writers(self, path, password):
        """{name: removed} of all writers but the owner."""
        (self.folder / 'password').write_text(password, encoding='ascii')
        done = subprocess.run([self.fleet.program('holdfast'), 'writer', 'list', '-r', path, '--password-file',
                               self.folder / 'password', '--json'], capture_output=True, text=True, check=True)
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        return {row['name']: row.get('removed', False) for row in rows if not row.get('owner')}

    def test_host_is_removed(self):
        """Its writer is removed from the repositories, its points stay, and it may come back."""
        fleet = self.fleet
        one, two = fleet.add_agent('one'), fleet.add_agent('two')
        password = fleet.post('/api/v1/encryptionPasswords', {'password': 'of the writers', 'hint': 'writers'})['id']
        main = fleet.add_repository('main', one, password=password)
        second = fleet.add_repository('second', one, password=password)
        source = self.source('source')
        # The clock of the repositories is ahead: the last points are stamped later than they are let go.
        one.stop()
        one.env = {**(one.env or {}), 'HOLDFAST_TEST_TIME': '600'}
        one.start()
        job = fleet.add_job('docs', [one, two], [source], main)
        fleet.run(job)
        points = [row['id'] for row in fleet.points()]
        copy = fleet.add_copy(job, second)
        model = fleet.get(f'/api/v1/jobs/{job}')
        model['computers'] = [{'id': one.id}]
        fleet.ask('PUT', f'/api/v1/jobs/{job}', model)
        fleet.expect(fleet.ask('DELETE', f'/api/v1/backupInfrastructure/managedServers/{two.id}')['id'])
        for path in ('main', 'second'):
            gone = self.writers(one.folder / path, 'of the writers')
            self.assertEqual(sorted(gone.values()), [False, True])
        fleet.run(copy)
        self.assertEqual(len(fleet.points()), 4)
        for point in points:
            fleet.restore(point, self.folder / point, paths=[source], host=one)
            self.assert_same(source, self.folder / point / source.name)

        # It may come back; and when it goes once more, the repository may be away.
        again = fleet.add_agent('again', address=two.address)
        more = fleet.add_job('more', again, [source], main)
        fleet.run(more)
        self.assertEqual(len(fleet.points()), 5)
        fleet.ask('DELETE', f'/api/v1/jobs/{more}')
        one.stop()
        session = fleet.ask('DELETE', f'/api/v1/backupInfrastructure/managedServers/{again.id}')['id']
        fleet.expect(session, 'Warning')
        self.assertIn("stays enrolled in repository 'main'", str(fleet.logs(session)))

    def test_server_dies_in_retention(self):
        """The repository has let go of a point, and the catalogue was not told: the next run sees to that."""
        fleet = self.fleet
        one = fleet.add_agent('one')
        repository = fleet.add_repository('main', one)
        job = fleet.add_job('docs', one, [self.source('source')], repository, points=1)
        fleet.run(job)
        before = {}
        base = sqlite3.connect(self.folder / 'server' / 'server.db')
        for table in ('backup_files', 'restore_points'):
            before[table] = base.execute(f'SELECT * FROM {table}').fetchone()
        base.close()
        fleet.run(job)
        fleet.kill_server()
        base = sqlite3.connect(self.folder / 'server' / 'server.db')
        for table, row in before.items():
            base.execute(f"INSERT INTO {table} VALUES ({', '.join('?' for _ in row)})", row)
        base.commit()
        base.close()
        fleet.start_server()
        self.assertEqual(len(fleet.points()), 2)
        fleet.run(job)
        self.assertEqual(len(fleet.points()), 1)

    def test_one_repository_by_two_paths(self):
        """It is registered once: else two would take turns at it without knowing of each other."""
        fleet = self.fleet
        one = fleet.add_agent('one')
        fleet.add_repository('main', one)
        (one.folder / 'other').symlink_to('main')
        (self.folder / 'parent').symlink_to(one.folder)
        paths = ['other', '/main', 'state/../main', '../parent/main']
        for path in [f'{one.folder}/{path}' for path in paths]:
            session = fleet.add_repository('again', one, path, existing=True, result='Failed')
            self.assertIn("'main'", fleet.session(session)['result']['message'])
        self.assertEqual(len(fleet.all('/api/v1/backupInfrastructure/repositories')), 1)

    def test_lock(self):
        """Points of a hardened repository cannot be deleted by anyone who asks."""
        fleet = self.fleet
        one = fleet.add_agent('one')
        repository = fleet.add_repository('hard', one, immutable_days=7)
        job = fleet.add_job('docs', one, [self.source('source')], repository, points=1)
        for _ in range(3):
            fleet.run(job)
        self.assertEqual(len(fleet.points()), 3)
        backup = fleet.all('/api/v1/backups')[0]['id']
        session = fleet.ask('DELETE', f'/api/v1/backups/{backup}')
        fleet.wait(session['id'])
        self.assertEqual(len(fleet.points()), 3)


if __name__ == '__main__':
    BUILD = sys.argv.pop(1)
    unittest.main(verbosity=2)
