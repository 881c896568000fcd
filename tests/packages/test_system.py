#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Units, users, folders and configuration as they are installed: whether systemd takes them, how much they leave open,
whether the programs know every setting that stands in them, and whether the agent gets along with the capabilities
that its unit leaves it. Usage: test_system.py BUILD SOURCE"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

BUILD = SOURCE = None
SERVICES = ('holdfast-server', 'holdfast-agent')
# Exposure by systemd's own reckoning, times ten: what the units reach now, and a little.
EXPOSED = {'holdfast-server': 15, 'holdfast-agent': 60}


def run(*command, **more):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, **more)


def needs(program):
    return unittest.skipUnless(shutil.which(program), f'{program} is not here')


def setting(text, key):
    """All words that a unit file gives for `key`."""
    return [word for line in text.splitlines() if line.startswith(key + '=') for word in line.partition('=')[2].split()]


class SystemTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='holdfast-system-'))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def unit(self, service):
        """As it is installed, but with the program of this build."""
        text = (BUILD / 'data' / f'{service}.service').read_text(encoding='ascii')
        changed = re.sub(r'^ExecStart=\S+', f'ExecStart={BUILD}/src/bin/{service}', text, flags=re.MULTILINE)
        self.assertNotRegex(changed, r'@[a-z]+@')
        path = self.folder / f'{service}.service'
        path.write_text(changed, encoding='ascii')
        return path

    @needs('systemd-analyze')
    def test_units_are_valid(self):
        for service in SERVICES:
            done = run('systemd-analyze', 'verify', '--man=no', '--recursive-errors=no', self.unit(service))
            self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ''))

    @needs('systemd-analyze')
    def test_units_are_hardened(self):
        for service in SERVICES:
            done = run('systemd-analyze', 'security', '--offline=true', f'--threshold={EXPOSED[service]}', '--no-pager',
                       self.unit(service))
            self.assertEqual(done.returncode, 0, done.stdout[-200:] + done.stderr)

    @needs('systemd-sysusers')
    def test_users_and_folders(self):
        for place in ('etc', 'var/lib'):
            (self.folder / place).mkdir(parents=True)
        for kind in ('sysusers', 'tmpfiles'):
            for service in SERVICES:
                target = self.folder / 'usr' / 'lib' / f'{kind}.d' / f'{service}.conf'
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(SOURCE / 'data' / 'systemd' / f'{service}.{kind}', target)
        done = run('systemd-sysusers', f'--root={self.folder}')
        self.assertEqual(done.returncode, 0, done.stderr)
        users = (self.folder / 'etc' / 'passwd').read_text(encoding='ascii')
        for user in ('holdfast', 'holdfast-server'):
            self.assertRegex(users, rf'(?m)^{user}:.*nologin$')
        if os.geteuid() != 0 or not shutil.which('systemd-tmpfiles'):
            return
        done = run('systemd-tmpfiles', '--create', f'--root={self.folder}')
        self.assertEqual(done.returncode, 0, done.stderr)
        owner = next(int(line.split(':')[2]) for line in users.splitlines() if line.startswith('holdfast-server:'))
        status = (self.folder / 'var/lib/holdfast-server').stat()
        self.assertEqual((status.st_mode & 0o777, status.st_uid), (0o700, owner))

    def keys_of(self, path):
        """What a configuration file shows, commented out or not: [(group, key, value)]."""
        group, found = None, []
        for line in path.read_text(encoding='ascii').splitlines():
            if match := re.fullmatch(r'\[(\w+)\]', line):
                group = match.group(1)
            elif match := re.fullmatch(r'#?([a-z-]+)=(.*)', line):
                found.append((group, match.group(1), match.group(2)))
        return found

    def test_server_knows_its_configuration(self):
        shown = self.keys_of(BUILD / 'data' / 'server.conf')
        source = (SOURCE / 'src' / 'program' / 'server.c').read_text(encoding='ascii')
        known = set(re.findall(r'\{ "([a-z-]+)", &settings->', source)) | {'port'}
        self.assertEqual({key for _, key, _ in shown} | {'agent-package', 'agent-program'}, known)
        for _, key, value in shown:
            config = self.folder / 'one.conf'
            config.write_text(f'[server]\n{key}={value}\n', encoding='ascii')
            done = run(BUILD / 'src/bin/holdfast-server', 'password', 'nobody', '--config', config, '--state',
                       self.folder / 'state', stdin=subprocess.DEVNULL)
            self.assertNotIn('no setting', done.stderr)
            self.assertNotIn('must be', done.stderr)
        config.write_text('[server]\ncolour=red\n', encoding='ascii')
        done = run(BUILD / 'src/bin/holdfast-server', 'password', 'nobody', '--config', config, stdin=subprocess.DEVNULL)
        self.assertIn("'colour' is no setting", done.stderr)

    def test_agent_knows_its_configuration(self):
        shown = self.keys_of(SOURCE / 'data' / 'conf' / 'agent.conf')
        source = (SOURCE / 'src' / 'agent' / 'settings.c').read_text(encoding='ascii')
        known = re.search(r'known\[\] = \{(.*?)NULL', source, re.DOTALL).group(1)
        self.assertEqual({f'{group}/{key}' for group, key, _ in shown}, set(re.findall(r'"([a-z/]+)"', known)))
        config = self.folder / 'all.conf'
        config.write_text(re.sub(r'(?m)^#(?=[a-z]+=)', '', (SOURCE / 'data/conf/agent.conf').read_text()), encoding='ascii')
        done = run(BUILD / 'src/bin/holdfast-agent', 'status', '--config', config, '--state', self.folder / 'state')
        self.assertEqual((done.returncode, done.stderr), (0, ''))

    def test_configuration_is_kept(self):
        """Who installs a new version keeps what he wrote."""
        script = SOURCE / 'data' / 'install-conf'
        new = SOURCE / 'data' / 'conf' / 'agent.conf'
        environment = {**os.environ, 'DESTDIR': str(self.folder)}
        for expected in ('Installing', 'Keeping'):
            done = run(script, '/etc/holdfast', new, 'agent.conf', env=environment)
            self.assertEqual((done.returncode, done.stdout.split()[0]), (0, expected))
            target = self.folder / 'etc/holdfast/agent.conf'
            if expected == 'Installing':
                self.assertEqual(target.read_bytes(), new.read_bytes())
                target.write_text('[agent]\n', encoding='ascii')
        self.assertEqual(target.read_text(encoding='ascii'), '[agent]\n')


@unittest.skipUnless(os.geteuid() == 0 and shutil.which('setpriv'), 'needs root and setpriv')
class RightsTest(unittest.TestCase):
    """The whole round with just the rights that the units leave."""

    def test_capabilities_suffice(self):
        sys.path.insert(0, str(SOURCE / 'tests' / 'fleet'))
        import rig  # pylint: disable=import-outside-toplevel
        unit = (BUILD / 'data' / 'holdfast-agent.service').read_text(encoding='ascii')
        kept = [word.removeprefix('CAP_').lower() for word in setting(unit, 'CapabilityBoundingSet')]
        bounds = ','.join(['-all', *('+' + name for name in kept)])

        class Bounded(rig.Agent):
            def argv(self, verb, *more):
                return ['setpriv', '--no-new-privs', '--inh-caps=-all', f'--bounding-set={bounds}', '--',
                        *super().argv(verb, *more)]

        folder = pathlib.Path(tempfile.mkdtemp(prefix='holdfast-rights-'))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o755)
        with rig.Fleet(folder, BUILD) as fleet:
            fleet.start_server()
            rig.Agent, plain = Bounded, rig.Agent
            try:
                agent = fleet.add_agent('one')
            finally:
                rig.Agent = plain
            self.use_faces_user(rig, fleet, agent)
            self.round(fleet, agent, folder)
            agent.stop()

    def use_faces_user(self, rig, fleet, agent):
        """Faces become another user, as they do on a host."""
        agent.stop()
        agent.config.write_text(agent.config.read_text().replace('user = root', 'user = nobody'), encoding='ascii')
        agent.start()
        rig.wait_for('the agent', 60, lambda: fleet.get(f'/api/v1/backupInfrastructure/managedServers/{agent.id}')
                     ['status'] == 'Available')
        faces = agent.children()
        self.assertEqual(len(faces), 2)
        for pid in faces:
            status = pathlib.Path(f'/proc/{pid}/status').read_text(encoding='ascii')
            self.assertRegex(status, r'(?m)^CapBnd:\s+0+$')
            self.assertNotRegex(status, r'(?m)^Uid:\s+0\b')

    def round(self, fleet, agent, folder):
        source = folder / 'source'
        source.mkdir()
        (source / 'tool').write_text('#!/bin/sh\n', encoding='ascii')
        os.chown(source / 'tool', 12, 34)
        (source / 'tool').chmod(0o4750)
        os.setxattr(source / 'tool', 'trusted.note', b'kept')
        os.mknod(source / 'node', 0o600 | 0o020000, os.makedev(1, 3))
        (source / 'secret').mkdir(0o000)
        vault = folder / 'vault'  # the roles with the network own repositories
        vault.mkdir()
        shutil.chown(vault, 'nobody')
        fleet.run(fleet.add_job('docs', agent, [source], fleet.add_repository('main', agent, vault / 'main')))
        shutil.move(source, folder / 'kept')
        fleet.restore(fleet.points()[-1]['id'])
        status = (source / 'tool').stat()
        self.assertEqual((status.st_uid, status.st_gid, status.st_mode & 0o7777), (12, 34, 0o4750))
        self.assertEqual(os.getxattr(source / 'tool', 'trusted.note'), b'kept')
        self.assertEqual((source / 'node').stat().st_rdev, os.makedev(1, 3))
        self.assertEqual((source / 'secret').stat().st_mode & 0o777, 0)


if __name__ == '__main__':
    SOURCE = pathlib.Path(sys.argv.pop(2)).resolve()
    BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main(verbosity=2)
