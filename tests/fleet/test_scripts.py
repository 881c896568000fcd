#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scripts on a host around its reading, through the whole system: they have the network of the host, and those after
run whoever was killed. Usage: test_scripts.py BUILD"""
import os
import pathlib
import shutil
import signal
import socket
import sys
import tempfile
import threading
import unittest

import rig

BUILD = None


class ScriptsTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='holdfast-fleet-'))
        self.fleet = rig.Fleet(self.folder, BUILD)
        self.fleet.start_server()
        self.agent = self.fleet.add_agent('one')
        self.repository = self.fleet.add_repository('main', self.agent)
        self.source = self.folder / 'source'
        self.source.mkdir()
        for number in range(200):
            (self.source / f'file-{number}').write_bytes(os.urandom(300000))

    def tearDown(self):
        self.fleet.__exit__()
        shutil.rmtree(self.folder, ignore_errors=True)

    def script(self, name, body):
        path = self.folder / name
        path.write_text(f'#!/usr/bin/env bash\ncd {self.folder}\n{body}\n', encoding='ascii')
        path.chmod(0o755)
        return str(path)

    def job(self, before, after='echo "$HOLDFAST_OUTCOME" >> outcome', **more):
        scripts = {'isExecutionEnabled': True,
                   'jobScripts': {'preJobScript': self.script('before', before),
                                  'postJobScript': self.script('after', after)}, **more}
        return self.fleet.add_job('docs', self.agent, [self.source], self.repository, guestProcessing={
            'appAwareProcessing': {'isEnabled': True, 'appSettings': [{'scripts': scripts}]}})

    def outcome(self):
        path = self.folder / 'outcome'
        return path.read_text(encoding='ascii') if path.exists() else ''

    def wait_for_file(self, name):
        rig.wait_for(name, 30, lambda: (self.folder / name).exists())

    def workers(self):
        found = []
        for pid in self.agent.children():
            if pathlib.Path(f'/proc/{pid}/comm').read_text(encoding='ascii').strip() == 'hf-worker':
                found.append(pid)
        return found

    def test_network(self):
        """A script reaches a service of its host, as psql and curl do; what it prints is in the log."""
        with socket.create_server(('127.0.0.1', 0)) as listener:
            def serve():
                peer, _ = listener.accept()
                with peer:
                    peer.sendall(b'a database is here\n')
            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            port = listener.getsockname()[1]
            session = self.fleet.run(self.job(f'exec 5<>/dev/tcp/127.0.0.1/{port}; head -n 1 <&5', timeoutSeconds=20))
            thread.join(10)
        lines = '\n'.join(self.fleet.logs(session))
        self.assertIn('before: a database is here', lines)
        self.assertEqual(self.outcome(), 'success\n')

    def test_before_fails(self):
        self.fleet.run(self.job('exit 3'), 'Failed')
        self.assertEqual(self.outcome(), 'failed\n')
        self.assertEqual(self.fleet.points(), [])

    def test_after_fails(self):
        """The point is there, and the session says that what was stopped may be standing still."""
        session = self.fleet.run(self.job('true', 'exit 5'), 'Failed')
        self.assertTrue(any('ended with 5' in line for line in self.fleet.logs(session)))

    def test_stopped(self):
        session = self.fleet.start(self.job('touch began; sleep 300'))
        self.wait_for_file('began')
        self.fleet.post(f'/api/v1/sessions/{session}/stop')
        self.fleet.wait(session)
        rig.wait_for('the script after', 30, self.outcome)
        self.assertEqual(self.outcome(), 'stopped\n')

    def test_worker_killed(self):
        session = self.fleet.start(self.job('touch began; sleep 2'))
        self.wait_for_file('began')
        for pid in self.workers():
            os.kill(pid, signal.SIGKILL)
        self.fleet.expect(session, 'Failed')
        self.assertEqual(self.outcome(), 'failed\n')

    def test_agent_killed(self):
        """The next agent does what this one owed, and no script of it runs on."""
        session = self.fleet.start(self.job('setsid setsid sh -c "touch began; sleep 8; touch late" & sleep 300'))
        self.wait_for_file('began')
        self.agent.kill()
        self.agent.start()
        self.fleet.expect(session, 'Failed')
        rig.wait_for('the script after', 30, self.outcome)
        self.assertEqual(self.outcome(), 'failed\n')
        self.assertFalse((self.folder / 'late').exists())


if __name__ == '__main__':
    BUILD = sys.argv.pop(1)
    unittest.main(verbosity=2)
