#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Debian packages, in a copy of this system that is thrown away: lintian, installation, a first start under the
user of the package, a host that the installed server adds over SSH, upgrade, removal and purge. Needs root, as it mounts
an overlay over / in mounts of its own, with a network of its own.
Usage: test_packages.py FOLDER   (of the .deb files that `make deb` built)"""
import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

FOLDER = None
NAMES = ('holdfast', 'holdfast-server', 'holdfast-agent', 'holdfast-doc')
APART = 'HOLDFAST_TEST_APART'


def run(*command, **more):
    return subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, **more)


def package(name):
    return next(FOLDER.glob(f'{name}_*.deb'))


def field(path, name):
    return subprocess.check_output(['dpkg-deb', '--field', path, name], text=True).strip()


def enter_namespace():
    """Starts this program anew in mounts and a network of its own, which end with it."""
    if APART not in os.environ:
        os.environ[APART] = 'yes'
        os.execvp('unshare', ['unshare', '--mount', '--propagation', 'private', '--net', sys.executable, '-B', *sys.argv])
    run('ip', 'link', 'set', 'lo', 'up')


class Root:
    """This system as it is, and what is written goes to memory."""

    def __init__(self):
        self.base = pathlib.Path(tempfile.mkdtemp(prefix='holdfast-packages-'))
        self.must('mount', '-t', 'tmpfs', 'tmpfs', self.base)
        self.upper, self.path = self.base / 'upper', self.base / 'root'
        for folder in (self.upper, self.base / 'work', self.path):
            folder.mkdir()
        self.must('mount', '-t', 'overlay', 'overlay', '-o', f'lowerdir=/,upperdir={self.upper},workdir={self.base}/work',
                  self.path)
        self.must('mount', '--bind', '/dev', self.path / 'dev')
        self.must('mount', '-t', 'proc', 'proc', self.path / 'proc')
        for place in ('run', 'tmp'):
            self.must('mount', '-t', 'tmpfs', 'tmpfs', self.path / place)

    @staticmethod
    def must(*command):
        done = run(*command)
        if done.returncode:
            raise RuntimeError(f'{command}: {done.stdout}')

    def end(self):
        run('umount', '--recursive', self.path)
        run('umount', self.base)
        self.base.rmdir()

    def run(self, *command, **more):
        return run('chroot', self.path, *command, **more)

    def dpkg(self, *words):
        """Whatever happened before: nobody is there to be asked."""
        environment = {**os.environ, 'DEBIAN_FRONTEND': 'noninteractive'}
        return self.run('dpkg', '--force-confold', *words, stdin=subprocess.DEVNULL, env=environment)

    def install(self, *paths):
        inside = []
        for path in paths:
            shutil.copy(path, self.path / 'tmp')
            inside.append(f'/tmp/{path.name}')
        return self.dpkg('--install', *inside)

    def left(self):
        """What was written that has our name, and is still there."""
        found = []
        for folder, folders, files in os.walk(self.upper):
            for name in [*folders, *files]:
                path = pathlib.Path(folder) / name
                gone = path.is_char_device()  # so an overlay says it
                if 'holdfast' in name and not gone:
                    found.append('/' + str(path.relative_to(self.upper)))
        return found

    def processes(self):
        """{pid: program} of ours that run in this root."""
        found = {}
        for entry in pathlib.Path('/proc').iterdir():
            try:
                program = os.readlink(entry / 'exe')
            except OSError:
                continue
            if entry.name.isdigit() and program.startswith(str(self.path)) and 'holdfast' in program:
                found[int(entry.name)] = program
        return found

    def end_processes(self):
        """The keeper takes its roles with it; the server is stopped by who started it."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + 60
        while self.processes() and time.monotonic() < end:
            time.sleep(0.1)


def repacked(source, version, change=None):
    """The package as another version, with what `change` does to its files."""
    with tempfile.TemporaryDirectory() as folder:
        run('dpkg-deb', '--raw-extract', source, folder)
        control = pathlib.Path(folder) / 'DEBIAN' / 'control'
        control.write_text(control.read_text().replace(f"Version: {field(source, 'Version')}\n", f'Version: {version}\n'))
        if change:
            change(pathlib.Path(folder))
        target = pathlib.Path(tempfile.gettempdir()) / f"{field(source, 'Package')}_{version}.deb"
        done = run('dpkg-deb', '--root-owner-group', '--build', '-Znone', folder, target)
        assert done.returncode == 0, done.stdout
        return target


class PackagesTest(unittest.TestCase):
    def setUp(self):
        self.root = Root()
        self.addCleanup(self.root.end)

    def good(self, done):
        self.assertEqual(done.returncode, 0, done.stdout[-3000:])
        return done.stdout

    def install_all(self):
        return self.good(self.root.install(*(package(name) for name in NAMES)))

    def stat(self, path):
        status = (self.root.path / path.lstrip('/')).stat()
        owner = self.good(self.root.run('stat', '-c', '%U:%G', path)).strip()
        return f'{status.st_mode & 0o7777:04o} {owner}'

    def there(self, path):
        return (self.root.path / path.lstrip('/')).exists()

    def status(self, name):
        done = self.root.run('dpkg-query', '--show', '--showformat=${db:Status-Status} ${Version}', name)
        return done.stdout if done.returncode == 0 else 'unknown'

    def keep_something(self):
        """State, a repository and a changed configuration, as a system has them after a while."""
        for path in ('var/lib/holdfast-server/server.db', 'var/lib/holdfast-agent/identity', 'var/lib/holdfast/r/config'):
            place = self.root.path / path
            place.parent.mkdir(exist_ok=True)
            place.write_text('state\n', encoding='ascii')
        with open(self.root.path / 'etc/holdfast/server.conf', 'a', encoding='ascii') as stream:
            stream.write('name=changed\n')

    def test_install(self):
        self.install_all()
        self.assertEqual(self.stat('/var/lib/holdfast-server'), '0700 holdfast-server:holdfast-server')
        self.assertEqual(self.stat('/var/lib/holdfast-agent'), '0700 root:root')
        self.assertEqual(self.stat('/var/lib/holdfast'), '0700 holdfast:holdfast')
        self.assertEqual(self.stat('/etc/holdfast/server.conf'), '0640 root:holdfast-server')
        self.assertEqual(self.stat('/etc/holdfast/agent.conf'), '0644 root:root')
        for user in ('holdfast', 'holdfast-server'):
            shell = self.good(self.root.run('getent', 'passwd', user)).strip().rpartition(':')[2]
            self.assertEqual(shell, '/usr/sbin/nologin')
            self.assertIn(' L ', self.good(self.root.run('passwd', '--status', user)))
        for name, file in (('holdfast-server', 'server.conf'), ('holdfast-agent', 'agent.conf')):
            listed = self.root.run('dpkg-query', '--show', '--showformat=${Conffiles}', name).stdout
            self.assertIn(f'/etc/holdfast/{file} ', listed)
        for name in ('holdfast', 'holdfast-server', 'holdfast-agent'):
            self.assertEqual(self.good(self.root.run(f'/usr/bin/{name}', 'version')).split()[0], name)
            self.assertNotIn('not found', self.root.run('ldd', f'/usr/bin/{name}').stdout)
        self.assertEqual(self.root.processes(), {})  # there is no service manager to start them
        done = self.root.run('systemd-analyze', 'verify', '--man=no', '/lib/systemd/system/holdfast-server.service',
                             '/lib/systemd/system/holdfast-agent.service')
        self.assertEqual((done.returncode, done.stdout), (0, ''))

    def test_server_brings_the_agent(self):
        """What the server sends to a new host is the agent of this very build."""
        self.install_all()
        config = (self.root.path / 'etc/holdfast/server.conf').read_text(encoding='ascii')
        line = next(line for line in config.splitlines() if line.startswith('agent-package='))
        inside = self.root.path / line.partition('=')[2].lstrip('/')
        digests = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (inside, package('holdfast-agent'))}
        self.assertEqual(len(digests), 1)

    @contextlib.contextmanager
    def server(self):
        """As the unit starts it: by its own user, with the configuration that was installed. Gives what it tells."""
        with subprocess.Popen(['chroot', self.root.path, 'setpriv', '--reuid=holdfast-server', '--regid=holdfast-server',
                               '--clear-groups', '--bounding-set=-all', '--no-new-privs', '/usr/bin/holdfast-server',
                               'run', '--json'], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
            try:
                yield json.loads(server.stdout.readline())
            finally:
                server.terminate()
                self.assertEqual(server.wait(60), 0)

    def test_first_start(self):
        self.install_all()
        with self.server() as told:
            self.assertEqual(len(self.root.processes()), 1)
        self.assertEqual(told['port'], 9419)
        self.assertIn('password', told)
        self.assertEqual(self.stat('/var/lib/holdfast-server/seal.key'), '0600 holdfast-server:holdfast-server')

    def holdfast(self, *words):
        environment = {**os.environ, 'XDG_CONFIG_HOME': '/tmp/login'}
        return self.good(self.root.run('holdfast', *words, env=environment, stdin=subprocess.DEVNULL))

    @contextlib.contextmanager
    def sshd(self, port):
        """Lets root in by a key. Gives the fingerprint of the host."""
        folder = self.root.path / 'tmp' / 'ssh'
        folder.mkdir(mode=0o700)
        (self.root.path / 'run' / 'sshd').mkdir(mode=0o755)
        for name in ('host', 'user'):
            self.good(run('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', folder / name))
        shutil.copy(folder / 'user.pub', folder / 'keys')
        (folder / 'config').write_text(
            f'Port {port}\nListenAddress 127.0.0.1\nHostKey /tmp/ssh/host\nPidFile none\nStrictModes no\nUsePAM no\n'
            'AuthorizedKeysFile /tmp/ssh/keys\nPermitRootLogin yes\nSubsystem sftp internal-sftp\n', encoding='ascii')
        with open(self.root.base / 'sshd.log', 'wb') as log, subprocess.Popen(
                ['chroot', self.root.path, '/usr/sbin/sshd', '-D', '-e', '-f', '/tmp/ssh/config'], stderr=log) as daemon:
            try:
                yield run('ssh-keygen', '-l', '-f', folder / 'host.pub').stdout.split()[1]
            finally:
                daemon.terminate()

    @unittest.skipUnless(os.path.exists('/usr/sbin/sshd') and shutil.which('apt-get'), 'sshd and apt are not here')
    def test_one_command_adds_a_host(self):
        """The server that was installed brings its agent to a host over SSH; then a job runs there."""
        self.good(self.root.install(package('holdfast'), package('holdfast-server')))
        self.assertFalse(self.there('/usr/bin/holdfast-agent'))
        self.addCleanup(self.root.end_processes)
        with self.server() as told, self.sshd(2222) as fingerprint:
            (self.root.path / 'tmp' / 'password').write_text(told['password'] + '\n', encoding='ascii')
            self.holdfast('login', 'localhost', '--user', 'admin', '--password-file', '/tmp/password', '--fingerprint',
                          'SHA256:' + told['fingerprint'])
            self.holdfast('host', 'add', '127.0.0.1', '--ssh', 'root', '--no-sudo', '--key', '/tmp/ssh/user',
                          '--ssh-port', '2222', '--fingerprint', fingerprint)
            self.assertTrue(self.status('holdfast-agent').startswith('installed '))
            self.holdfast('repository', 'add', 'main', '--host', '127.0.0.1', '--path', '/var/lib/holdfast/main')
            self.holdfast('job', 'create', 'etc', '--repository', 'main', '--host', '127.0.0.1', '--path', '/etc/holdfast')
            self.holdfast('job', 'start', 'etc', '--follow')
            self.holdfast('restore', '127.0.0.1', '--to', '127.0.0.1', '--target', '/tmp/back', '--follow')
            self.assertEqual((self.root.path / 'tmp/back/etc/holdfast/server.conf').read_bytes(),
                             (self.root.path / 'etc/holdfast/server.conf').read_bytes())
            self.assertEqual(self.stat('/var/lib/holdfast/main').split()[1], 'holdfast:holdfast')

    def test_upgrade(self):
        self.install_all()
        self.keep_something()

        def new_default(folder):
            with open(folder / 'etc/holdfast/server.conf', 'a', encoding='ascii') as stream:
                stream.write('# new\n')
        newer = [repacked(package('holdfast-server'), '9.1', new_default), repacked(package('holdfast-agent'), '9.1')]
        self.good(self.root.install(*newer))
        self.assertEqual(self.status('holdfast-server'), 'installed 9.1')
        self.assertIn('name=changed', (self.root.path / 'etc/holdfast/server.conf').read_text(encoding='ascii'))
        self.assertTrue(self.there('/etc/holdfast/server.conf.dpkg-dist'))
        self.assertEqual(self.stat('/etc/holdfast/server.conf'), '0640 root:holdfast-server')
        for path in ('/var/lib/holdfast-server/server.db', '/var/lib/holdfast-agent/identity'):
            self.assertTrue(self.there(path))

    def test_rights_of_the_administrator_are_kept(self):
        self.install_all()
        self.good(self.root.run('dpkg-statoverride', '--update', '--add', 'root', 'root', '0600',
                                '/etc/holdfast/server.conf'))
        self.good(self.root.install(repacked(package('holdfast-server'), '9.2')))
        self.assertEqual(self.stat('/etc/holdfast/server.conf'), '0600 root:root')

    def test_remove_and_purge(self):
        self.install_all()
        self.keep_something()
        self.good(self.root.dpkg('--remove', *NAMES))
        self.assertEqual(self.status('holdfast-server').split()[0], 'config-files')
        self.assertFalse(self.there('/usr/bin/holdfast-server'))
        for path in ('/etc/holdfast/server.conf', '/var/lib/holdfast-server/server.db', '/var/lib/holdfast-agent/identity'):
            self.assertTrue(self.there(path), path)
        self.install_all()
        self.assertTrue(self.there('/var/lib/holdfast-server/server.db'))
        self.good(self.root.dpkg('--purge', *NAMES))
        # Backups are not the package's to remove.
        self.assertEqual(self.root.left(), ['/var/lib/holdfast'])
        self.assertTrue(self.there('/var/lib/holdfast/r/config'))

    def test_purge_leaves_nothing(self):
        self.install_all()
        self.good(self.root.dpkg('--purge', *NAMES))
        self.assertEqual(self.root.left(), [])


class LintianTest(unittest.TestCase):
    @unittest.skipUnless(shutil.which('lintian'), 'lintian is not here')
    def test_lintian(self):
        start = time.monotonic()
        done = run('lintian', '--allow-root', '--fail-on', 'error', *(package(name) for name in NAMES))
        print(f'{done.stdout}lintian took {time.monotonic() - start:.0f} s')
        self.assertEqual(done.returncode, 0, done.stdout)


if __name__ == '__main__':
    if len(sys.argv) < 2:
        sys.exit('usage: test_packages.py FOLDER')
    if os.geteuid() != 0:
        print('1..0 # SKIP needs root: it mounts a copy of this system')
        sys.exit(77)
    enter_namespace()
    FOLDER = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main(verbosity=2)
