# SPDX-License-Identifier: GPL-3.0-or-later
"""A server and its agents on one machine, each a real process with a folder and free ports of its own: what `make run`
shows, what the scenarios of the fleet test, and what its torture kills.

    with Fleet(folder, build) as fleet:
        fleet.start_server()
        host = fleet.add_agent('one')
        repository = fleet.add_repository('main', host)
        job = fleet.add_job('docs', host, ['/etc'], repository)
        session = fleet.run(job)
"""
import base64
import contextlib
import getpass
import json
import os
import pathlib
import secrets
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

VERSION = '1.3-rev1'
CHANNELS = 100 # of each agent


class FleetError(Exception):
    pass


class RestError(FleetError):
    def __init__(self, status, body):
        super().__init__(f'{status}: {body}')
        self.status = status
        self.body = body


class Ports:
    """Numbers for listeners of this program and of nobody else: fleets run beside each other. A block of numbers is ours
    while we hold a name of the same network namespace; none of them is given to outgoing connections by the kernel."""
    FIRST, BLOCK, BLOCKS = 12000, 1000, 20

    def __init__(self):
        self.name = None
        self.first = self.next = 0

    def hold(self):
        for number in range(self.BLOCKS):
            name = socket.socket(socket.AF_UNIX)
            try:
                name.bind(f'\0holdfast-test-ports-{number}')
            except OSError:
                name.close()
                continue
            self.name, self.first = name, self.FIRST + number * self.BLOCK
            return
        raise FleetError(f'{self.BLOCKS} other programs hold all ports for tests')

    @staticmethod
    def is_free(port):
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(('', port))
            return True
        return False

    def take(self, count):
        """The first of so many in a row; the numbers of long ago come again in the end."""
        if self.name is None:
            self.hold()
        for _ in range(2 * self.BLOCK):
            if self.next + count > self.BLOCK:
                self.next = 0
            port = self.first + self.next
            self.next += count
            if self.is_free(port):
                return port
        raise FleetError(f'no port from {self.first} to {self.first + self.BLOCK - 1} is free')


PORTS = Ports()


def free_ports(count):
    """Ports that nobody listens on."""
    return [PORTS.take(1) for _ in range(count)]


def new_token():
    return '-'.join(base64.b32encode(secrets.token_bytes(20)).decode()[i:i + 4] for i in range(0, 32, 4))


def wait_for(what, seconds, probe):
    """Until probe() gives something true."""
    end = time.monotonic() + seconds
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > end:
            raise FleetError(f'waited {seconds} s in vain for {what}')
        time.sleep(0.05)


def parents():
    """Of each process of this machine, the pid of its parent."""
    found = {}
    for entry in pathlib.Path('/proc').iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / 'stat').read_text(encoding='ascii', errors='replace').rpartition(')')[2].split()
                found[int(entry.name)] = int(fields[1])
    return found


class Process:
    """A program that goes on in the background; its output is in a file."""

    def __init__(self, argv, log, env=None):
        self.argv = [str(arg) for arg in argv]
        self.log = pathlib.Path(log)
        with open(self.log, 'ab') as out:
            self.popen = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                          start_new_session=True, env={**os.environ, **(env or {})})

    @property
    def pid(self):
        return self.popen.pid

    def alive(self):
        return self.popen.poll() is None

    def output(self):
        return self.log.read_text(encoding='utf-8', errors='replace')

    def kill(self):
        """kill -9 of this process alone."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.popen.wait()

    def stop(self, seconds=90):
        if self.alive():
            self.popen.terminate()
        try:
            self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise FleetError(f'{self.argv[0]} did not end within {seconds} s; its output:\n{self.output()}') from None


class Agent:
    def __init__(self, fleet, name, address=None, prefix=(), listen=None, user=None):
        self.fleet = fleet
        self.name = name
        self.address = address or fleet.address
        self.prefix = list(prefix)
        self.folder = fleet.folder / f'agent-{name}'
        self.folder.mkdir()
        self.installer, self.transport = free_ports(2)
        first = PORTS.take(CHANNELS)
        self.channels = (first, first + CHANNELS - 1)
        self.id = None
        self.process = None
        self.env = fleet.env
        self.config = self.folder / 'agent.conf'
        self.config.write_text(f'[agent]\naddress = {listen or self.address}\nuser = {user or getpass.getuser()}\n'
                               f'[ports]\ninstaller = {self.installer}\n'
                               f'transport = {self.transport}\nchannels = {self.channels[0]}-{self.channels[1]}\n',
                               encoding='ascii')

    def argv(self, verb, *more):
        return [*self.prefix, self.fleet.program('holdfast-agent'), verb, *more, '--config', self.config, '--state',
                self.folder / 'state', '--runtime', self.folder / 'run']

    def start(self):
        self.process = Process(self.argv('run'), self.folder / 'log', self.env)

    def stop(self):
        if self.process is not None:
            self.process.stop()
            self.process = None

    def kill(self):
        """All processes of the agent at once, as a power cut would."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.kill()
            self.process = None

    def stop_keeper(self):
        """Only the keeper sleeps: its faces and workers go on, and nobody is told of anything."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def children(self):
        """Pids of faces, of workers and of those who run scripts."""
        return [pid for pid, parent in parents().items() if self.process is not None and parent == self.process.pid]

    def descendants(self):
        """Pids of these, and of theirs."""
        known, found = parents(), {self.process.pid} if self.process is not None else set()
        while more := {pid for pid, parent in known.items() if parent in found} - found:
            found |= more
        return sorted(found - {self.process.pid}) if found else []


class Fleet:
    def __init__(self, folder, build, env=None, address='127.0.0.1'):
        self.address = address
        self.folder = pathlib.Path(folder)
        self.build = pathlib.Path(build)
        self.env = self.server_env = env or {}
        self.settings = '' # more lines of the server's configuration
        self.folder.mkdir(parents=True, exist_ok=True)
        self.agents = []
        self.server = None
        self.password = None
        self.token = None
        self.port = free_ports(1)[0]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for agent in self.agents:
            agent.kill()
        if self.server is not None:
            self.server.kill()

    def program(self, name):
        return self.build / 'src' / 'bin' / name

    # ---- The server. ----

    def start_server(self, *more):
        config = self.folder / 'server.conf'
        config.write_text(f'[server]\nport = {self.port}\naddress = {self.address}\nname = test\n{self.settings}',
                          encoding='ascii')
        log = self.folder / 'server.log'
        begun = log.stat().st_size if log.exists() else 0
        self.server = Process([self.program('holdfast-server'), 'run', '--config', config, '--state',
                               self.folder / 'server', '--json', *more], log, self.server_env)

        def told():
            if not self.server.alive():
                raise FleetError(f'the server ended:\n{self.server.output()}')
            for line in self.server.output()[begun:].splitlines():
                if line.startswith('{"port"'):
                    return json.loads(line)
            return None
        told = wait_for('the server', 60, told)
        self.password = told.get('password', self.password)
        self.login()

    def stop_server(self):
        self.server.stop()
        self.server = None

    def kill_server(self):
        self.server.kill()
        self.server = None

    # ---- REST. ----

    def ask(self, method, path, body=None, form=False, seconds=60):
        data, headers = None, {'x-api-version': VERSION}
        if self.token:
            headers['Authorization'] = 'Bearer ' + self.token
        if body is not None:
            data = (urllib.parse.urlencode(body) if form else json.dumps(body)).encode()
            headers['Content-Type'] = 'application/x-www-form-urlencoded' if form else 'application/json'
        request = urllib.request.Request(f'https://{self.address}:{self.port}{path}', data=data, headers=headers,
                                         method=method)
        context = ssl._create_unverified_context()  # the fleet's own authority; checked by tests of the interface
        try:
            with urllib.request.urlopen(request, context=context, timeout=seconds) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise RestError(error.code, error.read().decode()) from None
        return json.loads(text) if text else None

    def login(self):
        self.token = None
        self.token = self.ask('POST', '/api/oauth2/token', {'grant_type': 'password', 'username': 'admin',
                                                            'password': self.password}, form=True)['access_token']

    def get(self, path):
        return self.ask('GET', path)

    def post(self, path, body=None):
        return self.ask('POST', path, body if body is not None else {})

    def all(self, path):
        return self.get(path)['data']

    # ---- Sessions. ----

    def session(self, session):
        return self.get(f'/api/v1/sessions/{session}')

    def tasks(self, session):
        return self.all(f'/api/v1/sessions/{session}/taskSessions')

    def logs(self, session):
        lines = self.get(f'/api/v1/sessions/{session}/logs')['records']
        for task in self.tasks(session):
            with contextlib.suppress(RestError):
                lines += self.get(f"/api/v1/taskSessions/{task['id']}/logs")['records']
        return [f"{line['status']}: {line['title']}" for line in lines]

    def wait(self, session, seconds=120):
        """Until the session has ended: its model."""
        def ended():
            found = self.session(session)
            return found if found['state'] == 'Stopped' else None
        return wait_for(f'session {session}', seconds, ended)

    def expect(self, session, result='Success', seconds=120):
        found = self.wait(session, seconds)
        if found['result']['result'] != result:
            lines = '\n'.join(self.logs(session))
            raise FleetError(f"session '{found['name']}' ended with {found['result']} instead of {result}\n{lines}")
        return found

    # ---- What there is. ----

    def add_agent(self, name, address=None, prefix=(), listen=None, user=None):
        """`prefix`: words before the program's, to start it elsewhere (a network namespace). `listen`: where it listens,
        other than at the address by which the server calls it. `user`: of the network roles, when this is root."""
        agent = Agent(self, name, address, prefix, listen, user)
        self.agents.append(agent)
        token = new_token()
        (agent.folder / 'token').write_text(token, encoding='ascii')
        enroll = Process(agent.argv('enroll', '--json', '--token-file', agent.folder / 'token'), agent.folder / 'enroll')
        wait_for('the agent to listen', 30, lambda: '"port"' in enroll.output())
        session = self.post('/api/v1/holdfast/hosts', {'name': f'{agent.address}:{agent.installer}', 'description': name,
                                                       'token': token})
        wait_for('the enrolment', 30, lambda: not enroll.alive())
        if '"host"' not in enroll.output():
            raise FleetError(f'the agent was not enrolled:\n{enroll.output()}')
        agent.start()
        self.expect(session['id'])
        agent.id = json.loads(enroll.output().splitlines()[-1])['host']
        return agent

    def add_repository(self, name, agent, path=None, immutable_days=0, tasks=8, password=None, existing=False,
                       result='Success'):
        """`password`: an encryption password (id) other than the common one; `existing`: import it."""
        path = path or agent.folder / name
        kind = 'LinuxHardened' if immutable_days else 'LinuxLocal'
        repository = {'path': str(path), 'maxTaskCount': tasks}
        if immutable_days:
            repository['makeRecentBackupsImmutableDays'] = immutable_days
        more = {'encryptionPasswordId': password} if password is not None else {}
        session = self.post('/api/v1/backupInfrastructure/repositories', {
            'type': kind, 'name': name, 'description': name, 'hostId': agent.id, 'repository': repository,
            'mountServer': {'mountServerSettingsType': 'Linux'}, 'importBackup': existing,
            **more})
        self.expect(session['id'], result)
        if result != 'Success':
            return session['id']
        return next(row for row in self.all('/api/v1/backupInfrastructure/repositories') if row['name'] == name)['id']

    def add_job(self, name, hosts, paths, repository, points=7, **more):
        hosts = hosts if isinstance(hosts, list) else [hosts]
        return self.post('/api/v1/jobs', {
            'type': 'LinuxAgentBackup', 'name': name, 'description': name, 'isHighPriority': False,
            'backupMode': 'FileLevel', 'computers': [{'id': host.id} for host in hosts],
            'files': {'customFiles': [str(path) for path in paths]},
            'storage': {'backupRepositoryId': repository,
                        'retentionPolicy': {'type': 'RestorePoints', 'quantity': points}}, **more})['id']

    def add_copy(self, jobs, repository, points=7):
        """A job that copies what other jobs have stored."""
        jobs = jobs if isinstance(jobs, list) else [jobs]
        return self.post('/api/v1/jobs', {
            'type': 'BackupCopy', 'name': 'copy', 'description': '', 'isHighPriority': False, 'mode': 'Periodic',
            'sourceObjects': {'includes': {'jobs': [{'id': job} for job in jobs]}},
            'target': {'backupRepositoryId': repository,
                       'retentionPolicy': {'type': 'RestorePoints', 'quantity': points}}})['id']

    def start(self, job, full=False):
        return self.post(f'/api/v1/jobs/{job}/start', {'performActiveFull': full})['id']

    def run(self, job, result='Success', full=False, seconds=300):
        session = self.start(job, full)
        self.expect(session, result, seconds)
        return session

    def points(self, name=None):
        """Oldest first."""
        rows = self.all('/api/v1/restorePoints?orderColumn=CreationTime&orderAsc=true&limit=1000')
        return [row for row in rows if name is None or row['name'] == name]

    # ---- Restores. ----

    def mount(self, point):
        session = self.post('/api/v1/restore/flr', {'restorePointId': point, 'type': 'Linux',
                                                    'autoUnmount': {'isEnabled': False}})
        return session.get('sessionId', session.get('id'))

    def restore(self, point, target=None, paths=('/',), host=None, seconds=300, result='Success'):
        """Through a mount, as users do: to `target` on `host`, or, without them, to where it came from."""
        mount = self.mount(point)
        try:
            body = {'sourcePath': [str(path) for path in paths], 'restoreType': 'Overwrite'}
            if host is not None:
                body['targetHost'] = {'type': 'Agent', 'protectedComputerId': host.id}
            if target is not None:
                body['targetPath'] = str(target)
            verb = 'restore' if host is None else 'restoreTo'
            task = self.post(f'/api/v1/backupBrowser/flr/{mount}/{verb}', body)
            self.expect(task['id'], result, seconds)
            return task['id']
        finally:
            self.unmount(mount)

    def unmount(self, mount, seconds=60):
        """A mount holds what its point needs: it is let go also when server or database were just away."""
        def done():
            try:
                self.post(f'/api/v1/restore/flr/{mount}/unmount')
            except RestError as error:
                if error.status == 404:
                    return True # it ended with its server
                if error.status < 500:
                    raise
                return False
            except OSError:
                return False
            return True
        wait_for('the mount to be closed', seconds, done)
