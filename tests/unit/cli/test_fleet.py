#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verbs of the fleet against a server whose actions only write rows: test_fleet.py SERVE HOLDFAST
FOLDER-OF-RESTCASE [CLASS...]"""
import json
import os
import pathlib
import pty
import select
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HOLDFAST = os.path.abspath(sys.argv[2])
sys.path.insert(0, sys.argv[3])
sys.dont_write_bytecode = True
CLASSES = sys.argv[4:]
del sys.argv[2:]
import restcase  # noqa: E402 (it stands beside the tests of the interface)


class Fleet(unittest.TestCase):
    environment = {}

    def setUp(self):
        self.server = restcase.Server(restcase.PROGRAM, **self.environment)
        self.addCleanup(self.server.close)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='holdfast-cli-'))
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.address = f'localhost:{self.server.port}'
        for name in restcase.ROLES:
            (self.folder / name).write_text(f'{name}-password\n', encoding='utf-8')
        self.fingerprint = subprocess.run(
            ['openssl', 'x509', '-in', self.server.folder / 'cert.pem', '-noout', '-fingerprint', '-sha256'],
            check=True, capture_output=True, text=True).stdout.split('=')[1].strip()

    def words(self):
        environment = {name: text for name, text in os.environ.items() if not name.startswith('HOLDFAST_')}
        return dict(environment, XDG_CONFIG_HOME=str(self.folder / 'config'), TZ='UTC')

    def run_it(self, *words, given=None, **environment):
        return subprocess.run([HOLDFAST, *map(str, words)], env=dict(self.words(), **environment), cwd=self.folder,
                              stdin=subprocess.DEVNULL if given is None else None, input=given, capture_output=True,
                              text=True, check=False, timeout=60, start_new_session=True)

    def holdfast(self, *words, code=0, **more):
        done = self.run_it(*words, **more)
        self.assertEqual(done.returncode, code, f'{words}: {done.stdout}{done.stderr}')
        return done.stdout if code in (0, 3) else done.stderr

    def lines(self, *words, **more):
        return [json.loads(line) for line in self.holdfast(*words, '--json', **more).splitlines()]

    def document(self, *words, **more):
        found = self.lines(*words, **more)
        self.assertEqual(len(found), 1, found)
        return found[0]

    def login(self, name='admin', **more):
        return self.holdfast('login', self.address, '--user', name, '--password-file', name, '--fingerprint',
                             self.fingerprint, **more)

    def client(self):
        client = restcase.Client(self.server)
        self.addCleanup(client.close)
        self.assertEqual(client.login().status, 200)
        return client


class Login(Fleet):
    def file(self):
        return self.folder / 'config' / 'holdfast' / 'login'

    def stored(self):
        return json.loads(self.file().read_text(encoding='utf-8'))['servers'][self.address]

    def change(self, **values):
        whole = json.loads(self.file().read_text(encoding='utf-8'))
        whole['servers'][self.address].update(values)
        self.file().write_text(json.dumps(whole), encoding='utf-8')

    def test_login(self):
        self.assertIn("run 'holdfast login SERVER'", self.holdfast('host', 'list', code=1))
        self.assertIn(self.address, self.login())
        self.assertEqual(stat.S_IMODE(self.file().stat().st_mode), 0o600)
        self.assertEqual(self.stored()['user'], 'admin')
        self.assertNotIn('admin-password', self.file().read_text(encoding='utf-8'))
        me = self.document('whoami')
        self.assertEqual((me['name'], me['role']), ('admin', 'administrator'))
        self.assertIn('administrator', self.holdfast('whoami'))
        old = self.stored()
        self.assertIn('logged out', self.holdfast('logout'))
        self.assertIn('not logged in', self.holdfast('whoami', code=1))
        # The tokens are worth nothing any more.
        client = restcase.Client(self.server)
        self.addCleanup(client.close)
        client.token = old['access']
        self.assertEqual(client.get('/api/v1/jobs').status, 401)

    def test_json(self):
        document = self.document('login', self.address, '--user', 'admin', '--password-file', '-', '--fingerprint',
                                 'SHA256:' + self.fingerprint.replace(':', '').lower(), given='admin-password\n')
        self.assertEqual(document, {'server': self.address, 'user': 'admin',
                                    'fingerprint': self.fingerprint.replace(':', '').lower()})

    def test_wrong(self):
        (self.folder / 'wrong').write_text('wrong\n', encoding='utf-8')
        self.holdfast('login', self.address, '--user', 'admin', '--password-file', 'wrong', '--fingerprint',
                      self.fingerprint, code=5)
        self.assertFalse(self.file().exists())
        said = self.holdfast('login', self.address, '--password-file', 'admin', '--fingerprint', '00' * 32, code=5)
        self.assertIn('not the one of --fingerprint', said)
        self.assertIn('is no fingerprint', self.holdfast('login', self.address, '--fingerprint', 'abc', code=2))
        self.assertIn('no terminal', self.holdfast('login', self.address, '--fingerprint', self.fingerprint, code=2))
        for address in ('a b', '[::1', '[::1]x', '', 'host:0', 'host:99999', 'host:x'):
            self.holdfast('login', address, code=2)
        self.assertIn('cannot reach', self.holdfast('login', '127.0.0.1:1', code=1))
        self.assertIn('cannot reach', self.holdfast('login', '[::1]:1', code=1))

    def test_unknown_certificate(self):
        for words in ([], ['--json']):
            said = self.holdfast('login', self.address, '--password-file', 'admin', *words, code=2)
            self.assertIn('--fingerprint SHA256:' + self.fingerprint.replace(':', '').lower(), said)

    def on_terminal(self, words, answers):
        """Runs with a terminal; each answer is typed once the text before it was shown. (exit code, what was shown)"""
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(self.folder)
            os.execve(HOLDFAST, [HOLDFAST, *words], self.words())
        shown, answers, end = '', list(answers), time.monotonic() + 30
        while time.monotonic() < end:
            if answers and answers[0][0] in shown:
                os.write(terminal, answers.pop(0)[1].encode())
            if not select.select([terminal], [], [], 0.1)[0]:
                continue
            try:
                piece = os.read(terminal, 4096)
            except OSError:
                break
            shown += piece.decode(errors='replace')
        os.close(terminal)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown

    def test_terminal(self):
        words = ['login', self.address, '--user', 'admin']
        code, shown = self.on_terminal(words, [("Type 'yes'", 'no\n')])
        self.assertEqual(code, 1, shown)
        self.assertIn('not confirmed', shown)
        self.assertIn(self.fingerprint.replace(':', '').lower(), shown)
        code, shown = self.on_terminal(words, [("Type 'yes'", 'yes\n'), ('password of', 'admin-password\n')])
        self.assertEqual(code, 0, shown)
        self.assertNotIn('admin-password', shown)
        # Known now: only the password is asked for, of the same user.
        code, shown = self.on_terminal(words[:2], [('password of', 'admin-password\n')])
        self.assertEqual(code, 0, shown)
        self.assertNotIn('yes', shown)

    def test_ca(self):
        ca = self.server.folder / 'cert.pem'
        self.holdfast('login', self.address, '--user', 'admin', '--password-file', 'admin', '--ca', ca)
        self.holdfast('host', 'list')
        other = tempfile.mkdtemp(dir=self.folder)
        restcase.certificate(pathlib.Path(other))
        self.holdfast('logout')
        said = self.holdfast('login', self.address, '--user', 'admin', '--password-file', 'admin', '--ca',
                             f'{other}/cert.pem', code=5)
        self.assertIn('nothing was sent', said)
        # A name that the certificate does not have.
        said = self.holdfast('login', f'127.0.0.1:{self.server.port}', '--password-file', 'admin', '--ca', ca, code=5)
        self.assertIn('not proven', said)
        self.holdfast('login', self.address, '--ca', 'nowhere', code=1)
        self.holdfast('login', self.address, '--ca', ca, '--fingerprint', 'a', code=2)

    def test_changed_certificate(self):
        self.login()
        self.change(pin='A' * 43 + '=', fingerprint='0' * 64)
        said = self.holdfast('host', 'list', code=5)
        self.assertIn('SHOWS ANOTHER CERTIFICATE', said)
        self.assertIn(self.fingerprint.replace(':', '').lower(), said)
        self.assertIn('holdfast logout', said)
        said = self.holdfast('login', self.address, '--password-file', 'admin', code=5)
        self.assertIn('SHOWS ANOTHER CERTIFICATE', said)
        # Nobody asks it away, but who has the new fingerprint may go on.
        self.login()
        self.holdfast('host', 'list')

    def test_file(self):
        self.login()
        self.file().chmod(0o644)
        self.assertIn('chmod 600', self.holdfast('host', 'list', code=5))
        self.file().chmod(0o600)
        self.file().write_text('{}', encoding='utf-8')
        self.assertIn('no file of logins', self.holdfast('host', 'list', code=1))
        self.file().write_text(json.dumps({'servers': {self.address: {'user': 'x'}}}), encoding='utf-8')
        self.assertIn('not whole', self.holdfast('host', 'list', code=1))
        self.file().unlink()
        self.file().parent.chmod(0o700)
        shutil.rmtree(self.file().parent)
        self.file().parent.write_text('', encoding='utf-8')
        self.holdfast('host', 'list', code=1)

    def test_several_servers(self):
        self.login()
        other = restcase.Server(restcase.PROGRAM)
        self.addCleanup(other.close)
        self.assertIn('not logged in at', self.holdfast('whoami', '--server', f'localhost:{other.port}', code=1))
        self.holdfast('login', f'localhost:{other.port}', '--user', 'viewer', '--password-file', 'viewer', '--ca',
                      other.folder / 'cert.pem')
        self.assertEqual(self.document('whoami')['name'], 'viewer')
        self.assertEqual(self.document('whoami', '--server', self.address)['name'], 'admin')
        self.assertEqual(self.document('whoami', HOLDFAST_SERVER=self.address)['name'], 'admin')
        self.holdfast('logout')
        self.assertEqual(self.document('whoami')['name'], 'admin')

    def test_ended(self):
        self.login()
        self.change(access='x')
        self.assertEqual(self.document('whoami')['name'], 'admin')
        self.change(access='x', refresh='x')
        self.assertIn('has ended', self.holdfast('whoami', code=5))
        # Logging out forgets it although the tokens are worth nothing.
        self.holdfast('logout')
        self.holdfast('whoami', code=1)

    def test_refresh_at_once(self):
        """A refresh token works once: of several that need a new one, all must get on."""
        self.login()
        self.change(access='x')
        results = []
        threads = [threading.Thread(target=lambda: results.append(self.run_it('whoami').returncode)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(results, [0] * 6)

    def test_roles(self):
        self.login('viewer')
        said = self.holdfast('job', 'start', 'nightly', code=5)
        self.assertTrue(said.startswith('holdfast: '))
        error = json.loads(self.holdfast('job', 'start', 'nightly', '--json', code=5).splitlines()[-1])
        self.assertEqual((error['type'], error['code'], error['exit']), ('error', 'permission', 5))

    def test_server_gone(self):
        self.login()
        gone = restcase.Server(restcase.PROGRAM)
        self.holdfast('login', f'localhost:{gone.port}', '--user', 'admin', '--password-file', 'admin', '--ca',
                      shutil.copy(gone.folder / 'cert.pem', self.folder))
        address = f'localhost:{gone.port}'
        gone.close()
        self.assertIn(f"cannot reach server '{address}'", self.holdfast('host', 'list', code=1))
        self.assertIn('was not told', self.run_it('logout').stderr)
        self.assertEqual(self.document('whoami')['name'], 'admin')


# Every verb that asks, and what it takes; those of CHANGES need more than a viewer's role.
LOOKS = [['whoami'], ['host', 'list'], ['host', 'show', 'web1.example'], ['credential', 'list'], ['repository', 'list'],
         ['repository', 'show', 'first'], ['proxy', 'list'], ['job', 'list'], ['job', 'show', 'nightly'], ['session', 'list'],
         ['session', 'list', '--job', 'nightly'], ['session', 'show', 'nightly'], ['session', 'follow', 'nightly'],
         ['point', 'list'], ['point', 'list', '--host', 'web1.example'], ['point', 'list', '--job', 'nightly'],
         ['traffic', 'list'], ['notification', 'show']]
CHANGES = [['host', 'add', 'x.example', '--token', 'T'], ['host', 'add', 'x', '--ssh', 'u', '--key', 'admin'],
           ['host', 'rescan', 'web1.example'],
           ['host', 'remove', 'web1.example'], ['host', 'upgrade', 'web1.example'],
           ['host', 'start', 'web1.example'], ['host', 'stop', 'web1.example'], ['host', 'restart', 'web1.example'],
           ['host', 'logs', 'web1.example', '--to', 'x.tar'], ['credential', 'add', 'x', '--password-file', 'admin'],
           ['credential', 'change', 'root', '--description', 'x'], ['credential', 'remove', 'root'],
           ['credential', 'change', 'root', '--password-file', 'admin'],
           ['repository', 'add', 'x', '--host', 'web1.example', '--path', '/x', '--password-file', 'admin'],
           ['repository', 'change', 'first', '--tasks', '2'], ['repository', 'remove', 'first'],
           ['repository', 'rescan', 'first'], ['proxy', 'add', 'web1.example'], ['proxy', 'change', 'proxy', '--disable'],
           ['proxy', 'remove', 'proxy'], ['job', 'create', 'x', '--repository', 'first', '--host', 'web1.example', '--entire'],
           ['job', 'change', 'nightly', '--manual'], ['job', 'start', 'nightly'], ['job', 'stop', 'nightly'],
           ['job', 'retry', 'nightly'], ['job', 'enable', 'nightly'], ['job', 'disable', 'nightly'],
           ['job', 'remove', 'nightly'], ['session', 'stop', 'nightly'], ['point', 'ls', 'web1.example'],
           ['restore', 'web1.example'], ['traffic', 'add', 'x', '--source', '10.0.0.1', '--target', '10.0.0.2', '--limit', '1M'],
           ['account', 'list'], ['account', 'add', 'x', '--role', 'viewer', '--password-file', 'admin'],
           ['account', 'change', 'viewer', '--disable'], ['account', 'password', 'viewer', '--password-file', 'admin'],
           ['account', 'remove', 'viewer'], ['audit'], ['notification', 'mail', '--off'], ['notification', 'syslog', '--off'],
           ['notification', 'test']]


class Every(Fleet):
    def test_without_login(self):
        for words in LOOKS + CHANGES + [['traffic', 'remove', 'x'], ['logout']]:
            self.assertIn("run 'holdfast login SERVER'", self.holdfast(*words, code=1), words)
            said = self.holdfast(*words, '--server', 'a b', code=2)
            self.assertIn('no address', said, words)

    def test_as_viewer(self):
        self.login('viewer')
        for words in LOOKS:
            self.assertIn(self.run_it(*words).returncode, (0, 3), words)
        for words in CHANGES:
            self.holdfast(*words, code=5)

    def test_server_gone(self):
        gone = restcase.Server(restcase.PROGRAM)
        address = f'localhost:{gone.port}'
        self.holdfast('login', address, '--user', 'admin', '--password-file', 'admin', '--ca',
                      shutil.copy(gone.folder / 'cert.pem', self.folder))
        gone.close()
        for words in LOOKS[:12] + LOOKS[13:] + CHANGES + [['traffic', 'remove', 'x']]:
            self.assertIn('cannot reach server', self.holdfast(*words, code=1), words)


class Verbs(Fleet):
    def setUp(self):
        super().setUp()
        self.login()

    def test_names(self):
        hosts = self.lines('host', 'list')
        web = next(host for host in hosts if host['name'] == 'web1.example')
        for name in ('web1.example', web['id'], web['id'].upper(), web['id'][:8]):
            self.assertEqual(self.document('host', 'show', name)['id'], web['id'])
        self.assertIn("did you mean 'web1.example'?", self.holdfast('host', 'show', 'web1.exmple', code=1))
        self.assertIn("'holdfast host list' lists them", self.holdfast('host', 'show', 'zzz', code=1))
        self.assertIn("'holdfast host list'", self.holdfast('host', 'show', '*', code=1))
        self.holdfast('host', 'show', '00000000-0000-0000-0000-000000000001', code=1)
        # Several of one name: all are listed with what tells them apart.
        for text in ('one', 'two'):
            self.holdfast('credential', 'add', 'twin', '--password-file', 'admin', '--description', text)
        said = self.holdfast('credential', 'remove', 'twin', code=2)
        ids = [row['id'] for row in self.lines('credential', 'list') if row['username'] == 'twin']
        for word in (*ids, '(one)', '(two)'):
            self.assertIn(word, said)
        self.holdfast('credential', 'remove', ids[0][:8])
        self.holdfast('credential', 'remove', 'twin')

    def test_hosts(self):
        table = self.holdfast('host', 'list')
        self.assertIn('NAME', table.splitlines()[0])
        self.assertIn('web1.example', table)
        self.assertIn('last seen', self.holdfast('host', 'show', 'web1.example'))
        added = self.lines('host', 'add', 'web2.example', '--token', 'ABCD-EFGH', '--description', 'new')
        self.assertEqual(added[-1]['state'], 'Stopped')
        self.assertEqual(self.document('host', 'show', 'web2.example')['description'], 'new')
        self.holdfast('host', 'add', 'web3.example', '--token-file', '-', given='ABCD\n')
        self.assertIn('Success', self.holdfast('host', 'rescan', 'web2.example'))
        self.assertRegex(self.holdfast('host', 'rescan', 'web2.example', '--no-wait'), '^session [0-9a-f-]{36}\n$')
        self.assertIn('Success', self.holdfast('host', 'remove', 'web2.example'))
        self.holdfast('host', 'show', 'web2.example', code=1)
        self.holdfast('host', 'add', 'web4.example', code=2)
        self.holdfast('host', 'add', 'web4.example', '--token', 'a', '--ssh', 'b', code=2)

    def test_host_by_ssh(self):
        said = self.holdfast('host', 'add', 'web5.example', '--ssh', 'root', '--password-file', 'admin', code=2)
        self.assertIn('SHA256:test', said)
        self.assertIn('--fingerprint', said)
        self.holdfast('host', 'add', 'web5.example', '--ssh', 'root', '--password-file', 'admin', '--fingerprint',
                      'SHA256:test', '--ssh-port', 2222, '--no-sudo')
        (self.folder / 'key').write_text('-----BEGIN KEY-----\n', encoding='utf-8')
        self.holdfast('host', 'add', 'web6.example', '--ssh', 'root', '--key', 'key', '--fingerprint', 'SHA256:test')
        self.holdfast('host', 'add', 'web7.example', '--ssh', 'root', '--credential', 'root', '--fingerprint',
                      'SHA256:test')
        self.holdfast('host', 'add', 'web8.example', '--ssh', 'root', '--credential', 'nobody', '--fingerprint',
                      'SHA256:test', code=1)
        self.holdfast('host', 'add', 'web8.example', '--ssh', 'root', '--key', 'missing', '--fingerprint', 'a', code=1)
        self.assertIn('no terminal', self.holdfast('host', 'add', 'web8.example', '--ssh', 'root', '--fingerprint', 'a',
                                                   code=2))
        names = {row['name'] for row in self.lines('host', 'list')}
        self.assertTrue({'web5.example', 'web6.example', 'web7.example'} <= names)

    def test_credentials(self):
        added = self.document('credential', 'add', 'backup', '--password-file', '-', '--sudo', '--ssh-port', 2222,
                              given='secret\n')
        self.assertEqual((added['authenticationType'], added['elevateToRoot'], added['SSHPort']), ('Password', True, 2222))
        changed = self.document('credential', 'change', 'backup', '--description', 'for web', '--no-sudo')
        self.assertEqual((changed['description'], changed['elevateToRoot'], changed['username']),
                         ('for web', False, 'backup'))
        self.holdfast('credential', 'change', 'backup', '--user', 'saver', '--password-file', 'admin')
        (self.folder / 'key').write_text('-----BEGIN KEY-----\n', encoding='utf-8')
        keyed = self.document('credential', 'add', 'keyed', '--key', 'key', '--password-file', 'admin')
        self.assertEqual(keyed['authenticationType'], 'SshKey')
        self.holdfast('credential', 'change', 'keyed', '--key', 'key')
        self.assertIn('saver', self.holdfast('credential', 'list'))
        self.assertNotIn('secret', self.holdfast('credential', 'list', '--json'))
        self.holdfast('credential', 'remove', 'saver')
        self.holdfast('credential', 'remove', 'saver', code=1)
        (self.folder / 'latin').write_bytes(b'p\xe4ss\n')
        self.assertIn('not UTF-8', self.holdfast('credential', 'add', 'a', '--password-file', 'latin', code=2))

    def test_repositories(self):
        table = self.holdfast('repository', 'list')
        self.assertIn('1.0 TiB', table)
        self.holdfast('repository', 'add', 'vault', '--host', 'web1.example', '--path', '/srv/hf', '--immutable', 14,
                      '--tasks', 2, '--limit', '20M', '--description', 'locked')
        found = self.document('repository', 'show', 'vault')
        self.assertEqual(found['type'], 'LinuxHardened')
        self.assertEqual(found['repository']['makeRecentBackupsImmutableDays'], 14)
        self.assertEqual(found['repository']['maxTaskCount'], 2)
        self.assertEqual(found['repository']['readWriteRate'], 21)
        shown = self.holdfast('repository', 'show', 'vault')
        self.assertRegex(shown, r'(?m)^immutable days\s+14$')
        self.assertRegex(shown, r'(?m)^host\s+web1.example$')
        self.holdfast('repository', 'change', 'vault', '--name', 'safe', '--tasks', 8, '--immutable', 20)
        found = self.document('repository', 'show', 'safe')
        self.assertEqual((found['repository']['maxTaskCount'], found['description']), (8, 'locked'))
        self.assertIn('without --immutable', self.holdfast('repository', 'change', 'first', '--immutable', 3, code=2))
        self.holdfast('repository', 'rescan', 'safe')
        before = len(self.client().get('/api/v1/encryptionPasswords').json['data'])
        self.holdfast('repository', 'add', 'taken', '--host', 'web1.example', '--path', '/srv/old', '--import',
                      '--password-file', '-', given='old password\n')
        self.assertEqual(len(self.client().get('/api/v1/encryptionPasswords').json['data']), before + 1)
        self.assertIn('removed', self.holdfast('repository', 'remove', 'taken'))
        self.holdfast('repository', 'remove', 'safe', '--delete-backups')
        self.holdfast('repository', 'add', 'x', '--host', 'nowhere', '--path', '/srv', code=1)
        self.holdfast('repository', 'add', 'x', '--host', 'web1.example', '--path', '/srv', '--import', code=2)

    def test_proxies(self):
        self.holdfast('proxy', 'add', 'web1.example', '--tasks', 3, '--description', 'mover')
        rows = self.lines('proxy', 'list')
        mine = next(row for row in rows if row['server'].get('hostName') == 'web1.example')
        self.assertEqual(mine['server']['maxTaskCount'], 3)
        self.holdfast('proxy', 'change', mine['id'], '--tasks', 5, '--disable')
        self.assertTrue(next(row for row in self.lines('proxy', 'list', '--states') if row['id'] == mine['id'])['isDisabled'])
        self.holdfast('proxy', 'change', mine['id'], '--enable', '--description', 'again')
        self.assertIn('again', self.holdfast('proxy', 'list'))
        self.holdfast('proxy', 'remove', mine['id'])
        self.assertNotIn(mine['id'], self.holdfast('proxy', 'list', '--json'))

    def test_accounts(self):
        added = self.document('account', 'add', 'ada', '--role', 'restore-operator', '--password-file', '-',
                              given='a long password\n')
        self.assertEqual(added['role'], 'restore-operator')
        changed = self.document('account', 'change', 'ada', '--disable', '--description', 'on leave')
        self.assertEqual((changed['isDisabled'], changed['role']), (True, 'restore-operator'))
        changed = self.document('account', 'change', 'ada', '--role', 'viewer')
        self.assertEqual((changed['isDisabled'], changed['role'], changed['description']), (True, 'viewer', 'on leave'))
        self.assertFalse(self.document('account', 'change', 'ada', '--enable')['isDisabled'])
        self.holdfast('account', 'password', 'ada', '--password-file', '-', given='another long one\n')
        self.assertIn('ada', self.holdfast('account', 'list'))
        self.holdfast('account', 'remove', 'ada')
        self.holdfast('account', 'add', 'x', '--role', 'king', code=2)
        # One's own: all tokens end, and the new one works.
        self.holdfast('account', 'password', '--old-password-file', 'admin', '--password-file', '-',
                      given='my new password\n')
        self.assertIn('has ended', self.holdfast('whoami', code=5))
        (self.folder / 'admin').write_text('my new password\n', encoding='utf-8')
        self.login()

    def test_audit(self):
        self.holdfast('credential', 'add', 'traced', '--password-file', 'admin')
        rows = self.lines('audit', '--account', 'admin', '--action', 'create')
        self.assertEqual((rows[0]['objectName'], rows[0]['result']), ('traced', 'ok'))
        self.assertEqual(len(self.lines('audit', '--last', 2)), 2)
        self.assertEqual(self.lines('audit', '--since', '2100-01-01'), [])
        self.assertGreater(len(self.lines('audit', '--since', '2020-01-01')), 3)
        self.assertGreater(len(self.lines('audit', '--since', '2020-01-01T10:00')), 3)
        self.holdfast('audit', '--since', 'yesterday', code=2)
        self.assertIn('traced', self.holdfast('audit'))

    def test_notifications(self):
        self.assertIn('nobody is told', self.holdfast('notification', 'show'))
        told = self.document('notification', 'mail', '--host', 'mail.example.org', '--port', 2525, '--from', 'b@example.org',
                             '--to', 'a@example.org', '--to', 'c@example.org', '--starttls', '--user', 'backup',
                             '--password-file', '-', '--on', 'failures', '--subject', '%JobName%', given='secret\n')['mail']
        self.assertEqual(told['to'], ['a@example.org', 'c@example.org'])
        self.assertEqual([told[key] for key in ('isEnabled', 'onSuccess', 'onWarning', 'onFailure', 'hasPassword', 'port')],
                         [True, False, False, True, True, 2525])
        self.holdfast('notification', 'syslog', '--host', 'log.example.org', '--transport', 'tcp')
        told = self.document('notification', 'mail', '--off')
        self.assertEqual((told['mail']['isEnabled'], told['mail']['hasPassword']), (False, True))
        self.assertEqual((told['syslog']['isEnabled'], told['syslog']['transport']), (True, 'tcp'))
        self.assertIn('log.example.org', self.holdfast('notification', 'show'))
        self.assertNotIn('secret', self.holdfast('notification', 'show', '--json'))
        self.holdfast('notification', 'syslog', '--off')
        self.holdfast('notification', 'mail', '--on', 'monday', code=2)
        self.assertNotEqual(self.run_it('notification', 'test').returncode, 0)

    def test_host_care(self):
        """What is done at a host is waited for, and what cannot be done is said."""
        for words in (['upgrade'], ['stop'], ['start'], ['restart'], ['start', '--role', 'installer'],
                      ['restart', '--role', 'installer']):
            self.assertIn('Success', self.holdfast('host', words[0], 'web1.example', *words[1:]))
        done = self.run_it('host', 'stop', 'web1.example', '--role', 'installer')
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('it cannot be stopped', done.stderr)
        self.holdfast('host', 'logs', 'nobody.example', '--to', 'logs.tar', code=1)
        self.assertFalse((self.folder / 'logs.tar').exists())
        self.holdfast('host', 'logs', 'web1.example', '--to', 'logs.tar')
        self.assertEqual((self.folder / 'logs.tar').read_bytes(), b'a\0tar')
        self.assertIn('cannot write', self.holdfast('host', 'logs', 'web1.example', '--to', 'none/logs.tar', code=1))

    def test_traffic(self):
        self.assertIn('no traffic rules', self.holdfast('traffic', 'list'))
        self.holdfast('traffic', 'add', 'far', '--source', '10.1.0.0/16', '--target', '10.2.0.1-10.2.0.9', '--limit',
                      '5M', '--hours', '20-6')
        self.holdfast('traffic', 'add', 'six', '--source', 'fd00::/64', '--target', 'fd01::1', '--limit', '1M')
        rules = self.document('traffic', 'list')['trafficRules']
        self.assertEqual([rules[0][key] for key in ('sourceIPStart', 'sourceIPEnd', 'targetIPStart', 'targetIPEnd')],
                         ['10.1.0.0', '10.1.255.255', '10.2.0.1', '10.2.0.9'])
        self.assertEqual((rules[0]['throttlingUnit'], rules[0]['throttlingValue']), ('KbytePerSec', 5120))
        hours = rules[0]['throttlingWindowOptions']['days'][0]['hours'].split(',')
        self.assertEqual([hour for hour in range(24) if hours[hour] == '1'], [0, 1, 2, 3, 4, 5, 20, 21, 22, 23])
        self.assertEqual(rules[1]['sourceIPEnd'], 'fd00::ffff:ffff:ffff:ffff')
        table = self.holdfast('traffic', 'list')
        self.assertIn('10.2.0.1-10.2.0.9', table)
        self.assertIn('5.0 MiB/s', table)
        self.assertNotIn('preferred networks', table)
        for network in ('10.1.0.0/33', '10.1.0', 'x', '10.0.0.9-10.0.0.1', '10.0.0.1-fd00::1', 'x/8'):
            self.holdfast('traffic', 'add', 'x', '--source', network, '--target', '10.0.0.1', '--limit', '1M', code=2)
        for hours in ('8', '8-25', '24-3', 'a-b'):
            self.holdfast('traffic', 'add', 'x', '--source', '10.0.0.1', '--target', '10.0.0.1', '--limit', '1M',
                          '--hours', hours, code=2)
        self.holdfast('traffic', 'remove', 'far')
        self.holdfast('traffic', 'remove', 'far', code=1)
        self.holdfast('traffic', 'add', 'six', '--source', 'fd00::/64', '--target', 'fd01::1', '--limit', '1M')
        self.assertIn('means 2 traffic rules', self.holdfast('traffic', 'remove', 'six', code=2))
        self.holdfast('traffic', 'remove', self.document('traffic', 'list')['trafficRules'][0]['id'])
        rules = self.document('traffic', 'list')
        self.assertEqual(len(rules['trafficRules']), 1)
        rules['preferredNetworks'] = {'isEnabled': True, 'networks': [{'cidrNotation': '10.8.0.0/16'},
                                                                      {'cidrNotation': 'fd08::/32'}]}
        self.client().ask('PUT', '/api/v1/trafficRules', rules)
        self.assertIn('preferred networks: 10.8.0.0/16, fd08::/32', self.holdfast('traffic', 'list'))


class Jobs(Fleet):
    def setUp(self):
        super().setUp()
        self.login()

    def create(self, name, *words, **more):
        return self.document('job', 'create', name, '--repository', 'first', *words, **more)

    def test_create(self):
        job = self.create('web', '--host', 'web1.example', '--host', 'server.example', '--path', '/etc', '--path', '/srv',
                          '-x', '*.tmp', '--daily', '22:00', '--day', 'mon', '--day', 'Friday', '--keep-days', 14,
                          '--weekly', 4, '--monthly', 12, '--yearly', 3, '--retries', 2, '--before-script', '/opt/freeze',
                          '--after-script', '/opt/thaw', '--script-user', 'postgres', '--script-timeout', 60,
                          '--compress', 'high', '--description', 'all of it', '--no-snapshot')
        self.assertEqual([computer['name'] for computer in job['computers']], ['web1.example', 'server.example'])
        for computer in job['computers']:
            self.assertEqual((computer['paths'], computer['excludes']), (['/etc', '/srv'], ['*.tmp']))
        self.assertEqual((job['backupMode'], job['description']), ('FileLevel', 'all of it'))
        self.assertTrue(job['useSnapshotlessFileLevelBackup'])
        storage = job['storage']
        self.assertEqual(storage['retentionPolicy'], {'type': 'Days', 'quantity': 14})
        self.assertEqual(storage['gfsPolicy']['monthly'], {'isEnabled': True, 'keepForNumberOfMonths': 12})
        self.assertEqual(storage['advancedSettings']['storageData']['compressionLevel'].lower(), 'high')
        daily = job['schedule']['daily']
        self.assertEqual((daily['localTime'], daily['dailyKind'], daily['days']),
                         ('22:00', 'SelectedDays', ['Monday', 'Friday']))
        self.assertEqual(job['schedule']['retry'], {'isEnabled': True, 'retryCount': 2, 'awaitMinutes': 10})
        scripts = job['guestProcessing']['appAwareProcessing']['appSettings'][0]['scripts']
        self.assertEqual(scripts['jobScripts'], {'preJobScript': '/opt/freeze', 'postJobScript': '/opt/thaw'})
        self.assertEqual((scripts['user'], scripts['timeoutSeconds']), ('postgres', 60))
        shown = self.holdfast('job', 'show', 'web')
        self.assertIn('web1.example: /etc /srv', shown)
        self.assertRegex(shown, r'(?m)^repository\s+first$')
        self.assertIn('web', self.holdfast('job', 'list'))

    def test_change(self):
        self.create('web', '--host', 'web1.example', '--path', '/etc', '--daily', '22:00', '--keep-points', 7)
        job = self.document('job', 'change', 'web', '--every', '90m', '--name', 'often')
        self.assertNotIn('daily', job['schedule'])
        self.assertEqual(job['schedule']['periodically'],
                         {'isEnabled': True, 'periodicallyKind': 'Minutes', 'frequency': 90})
        self.assertEqual((job['name'], job['storage']['retentionPolicy']['quantity']), ('often', 7))
        self.assertEqual(job['computers'][0]['paths'], ['/etc'])
        job = self.document('job', 'change', 'often', '--every', '6h')
        self.assertEqual(job['schedule']['periodically']['periodicallyKind'], 'Hours')
        job = self.document('job', 'change', 'often', '--after', 'nightly')
        self.assertEqual(job['schedule']['afterThisJob']['jobName'], 'nightly')
        # A host that comes to a job is read as the others are.
        job = self.document('job', 'change', 'often', '--host', 'server.example', '--manual')
        self.assertEqual([(c['name'], c['paths']) for c in job['computers']], [('server.example', ['/etc'])])
        self.assertFalse(job['schedule']['runAutomatically'])
        job = self.document('job', 'change', 'often', '--device', '/dev/vdb')
        self.assertEqual((job['backupMode'], job['computers'][0]['devices']), ('Volumes', ['/dev/vdb']))
        self.assertNotIn('paths', job['computers'][0])
        job = self.document('job', 'change', 'often', '--entire', '--script-user', 'root')
        self.assertEqual(job['backupMode'], 'EntireComputer')
        self.assertNotIn('devices', job['computers'][0])
        self.assertIn('cannot become', self.holdfast('job', 'change', 'often', '--copy-of', 'nightly', code=2))

    def test_copy(self):
        copy = self.create('away', '--copy-of', 'nightly', '--keep-points', 30)
        nightly = self.document('job', 'show', 'nightly')
        self.assertEqual((copy['type'], copy['mode']), ('BackupCopy', 'Immediate'))
        self.assertEqual([job['id'] for job in copy['sourceObjects']['includes']['jobs']], [nightly['id']])
        self.assertEqual(copy['target']['retentionPolicy']['quantity'], 30)
        copy = self.document('job', 'change', 'away', '--daily', '03:00')
        self.assertEqual((copy['mode'], copy['schedule']['type']), ('Periodic', 'Periodic'))
        self.assertIn('reads no hosts', self.holdfast('job', 'change', 'away', '--host', 'web1.example', code=2))
        self.holdfast('job', 'create', 'x', '--repository', 'first', '--copy-of', 'nowhere', code=1)

    def test_wrong(self):
        def bad(*words, code=2):
            return self.holdfast('job', 'create', 'x', '--repository', 'first', *words, code=code)
        self.assertIn("needs '--host'", bad())
        self.assertIn("needs '--host'", bad('--host', 'web1.example'))
        self.assertIn("needs '--host'", bad('--path', '/etc'))
        source = ('--host', 'web1.example', '--path', '/etc')
        self.assertIn('no absolute path', bad('--host', 'web1.example', '--path', 'etc'))
        for time_of_day in ('25:00', '2:00', '22:60', '22.00', 'noon'):
            self.assertIn('HH:MM', bad(*source, '--daily', time_of_day))
        for period in ('5', '0m', '25h', 'm', '5d'):
            bad(*source, '--every', period)
        self.assertIn('day of the week', bad(*source, '--daily', '22:00', '--day', 'someday'))
        self.assertIn("'--daily'", bad(*source, '--day', 'mon'))
        bad(*source, '--after', 'nothing', code=1)
        bad('--host', 'nowhere', '--path', '/etc', code=1)
        bad(*source, '--daily', '22:00', '--every', '5m')
        self.holdfast('job', 'create', 'x', '--repository', 'nowhere', *source, code=1)
        self.holdfast('job', 'create', 'x', *source, code=2)

    def test_run(self):
        session = self.document('job', 'start', 'nightly', '--full')
        self.assertEqual(session['sessionType'], 'BackupJob')
        self.assertIn('nightly', self.holdfast('job', 'stop', 'nightly', '--now', code=0) + 'nightly')
        self.assertEqual(self.document('job', 'retry', 'nightly')['state'], 'Working')
        self.holdfast('job', 'stop', 'nightly')
        self.assertIn('disabled', self.holdfast('job', 'disable', 'nightly'))
        self.assertTrue(self.document('job', 'show', 'nightly')['isDisabled'])
        self.holdfast('job', 'enable', 'nightly')
        self.assertFalse(self.document('job', 'show', 'nightly')['isDisabled'])
        self.holdfast('job', 'remove', 'idle')
        self.holdfast('job', 'show', 'idle', code=1)
        self.holdfast('job', 'start', 'idle', code=1)

    def watch(self, *words):
        # pylint: disable-next=consider-using-with
        return subprocess.Popen([HOLDFAST, 'session', 'follow', 'nightly', *words], env=self.words(),
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def test_follow_stopped(self):
        """Stopped while it is watched: the log was shown, and the exit code is that of the session."""
        session = self.document('job', 'start', 'nightly')['id']
        watcher = self.watch('--json')
        time.sleep(1)
        self.assertIsNone(watcher.poll())
        self.holdfast('session', 'stop', session)
        out, err = watcher.communicate(timeout=30)
        self.assertEqual(watcher.returncode, 1, err)
        self.assertEqual(json.loads(out.splitlines()[-1])['id'], session)
        self.assertEqual(json.loads(err.splitlines()[-1])['type'], 'error')
        self.assertIn('was stopped', err)

    def test_follow_warning(self):
        self.document('job', 'start', 'nightly')
        watcher = self.watch()
        time.sleep(0.5)
        client = self.client()
        nightly = self.document('job', 'show', 'nightly')['id']
        client.post(f'/api/v1/jobs/{nightly}/stop', {'gracefulStop': True})
        _, err = watcher.communicate(timeout=30)
        self.assertEqual(watcher.returncode, 3, err)
        self.assertIn('warning: ', err)

    def test_follow_interrupted(self):
        self.document('job', 'start', 'nightly')
        watcher = self.watch()
        time.sleep(1)
        watcher.send_signal(signal.SIGINT)
        _, err = watcher.communicate(timeout=30)
        self.assertEqual(watcher.returncode, 1)
        self.assertIn('goes on', err)
        self.assertEqual(self.lines('session', 'list', '--last', 1)[0]['state'], 'Working')

    def test_sessions(self):
        rows = self.lines('session', 'list')
        self.assertGreaterEqual(len(rows), 3)
        self.assertEqual(len(self.lines('session', 'list', '--last', 2)), 2)
        self.assertEqual(self.lines('session', 'list', '--since', '2100-01-01'), [])
        self.assertEqual(self.lines('session', 'list', '--failed'), [])
        self.assertEqual(self.lines('session', 'list', '--job', 'idle'), [])
        self.assertIn('there are no such sessions', self.holdfast('session', 'list', '--job', 'idle'))
        first = rows[0]['id']
        for name in (first, first[:8], 'nightly'):
            self.assertEqual(self.lines('session', 'show', name)[0]['id'], first)
        shown = self.holdfast('session', 'show', 'nightly')
        for word in ('web1.example', 'Began', 'A file changed', 'BOTTLENECK'):
            self.assertIn(word, shown)
        followed = self.holdfast('session', 'follow', 'nightly')
        self.assertIn('Warning: A file changed', followed)
        self.assertIn('web1.example: Read', followed)
        self.assertIn('nightly: Success', followed)
        lines = self.lines('session', 'follow', first)
        self.assertEqual([line.get('title') for line in lines], ['Began', 'A file changed', 'Read', None])
        self.holdfast('session', 'show', 'nothing', code=1)
        self.assertIn('has not run yet', self.holdfast('session', 'follow', 'idle', code=1))
        self.document('restore', 'web1.example')
        named = self.lines('session', 'list', '--last', 1)[0]
        self.assertEqual(self.lines('session', 'show', named['name'])[0]['id'], named['id'])
        self.holdfast('session', 'show', '00000000-0000-0000-0000-000000000001', code=1)


class Points(Fleet):
    def setUp(self):
        super().setUp()
        self.login()

    def test_list(self):
        rows = self.lines('point', 'list')
        self.assertGreaterEqual(len(rows), 3)
        self.assertEqual(rows, sorted(rows, key=lambda row: row['time'], reverse=True))
        for words in (['--host', 'web1.example'], ['--job', 'nightly'], ['--repository', 'first']):
            self.assertEqual(len(self.lines('point', 'list', *words)), len(rows), words)
        for words in (['--host', 'server.example'], ['--job', 'idle'], ['--repository', 'hard'], ['--since', '2100-01-01']):
            self.assertEqual(self.lines('point', 'list', *words), [], words)
        self.assertIn('STORED', self.holdfast('point', 'list'))
        self.holdfast('point', 'list', '--host', 'nowhere', code=1)
        self.holdfast('point', 'list', '--repository', 'nowhere', code=1)

    def test_ls(self):
        newest = self.lines('point', 'list')[0]
        for name in ('web1.example', 'web1.example@latest', 'web1.example@2100-01-01', newest['id'], newest['id'][:8],
                     newest['point']):
            names = [item['name'] for item in self.lines('point', 'ls', name)]
            self.assertIn('etc', names)
        self.assertIn('/etc', self.holdfast('point', 'ls', 'web1.example', '/'))
        self.assertIn('no folder', self.holdfast('point', 'ls', 'web1.example', '/nowhere', code=1))
        self.assertIn('no point', self.holdfast('point', 'ls', 'web1.example@2000-01-01', code=1))
        self.assertIn('no point', self.holdfast('point', 'ls', 'nothing', code=1))
        self.holdfast('point', 'ls', 'web1.example@then', code=2)
        self.holdfast('point', 'ls', '00000000-0000-0000-0000-000000000001', code=1)
        self.assertIn('etc', self.holdfast('point', 'ls', 'web1.example', '--job', 'nightly'))
        self.assertIn('no point', self.holdfast('point', 'ls', 'web1.example', '--job', 'idle', code=1))
        # Every mount was let go.
        mounts = self.client().get('/api/v1/backupBrowser/flr', stateFilter='Working').json['data']
        self.assertEqual(mounts, [])

    def test_restore(self):
        newest = self.lines('point', 'list')[0]['id']
        task = self.document('restore', newest, '/etc')
        self.assertIn('id', task)
        followed = self.lines('restore', 'web1.example', '--path', '/etc', '--path', '/home', '--overwrite', '--follow')
        self.assertEqual((followed[-1]['sessionType'], followed[-1]['state']), ('FileLevelRestore', 'Stopped'))
        self.assertIn('session ', self.holdfast('restore', 'web1.example', '--to', 'server.example', '--target', '/tmp/b'))
        self.holdfast('restore', 'web1.example', '--to', 'nowhere', code=1)
        self.holdfast('restore', 'web9.example', code=1)
        self.holdfast('restore', 'web1.example', code=0, HOLDFAST_SERVER=self.address)
        audit = self.lines('audit', '--action', 'restore')
        self.assertGreaterEqual(len([row for row in audit if row['result'] == 'ok']), 4)


if __name__ == '__main__':
    unittest.main(argv=[sys.argv[0], *CLASSES])
