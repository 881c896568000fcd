# SPDX-License-Identifier: GPL-3.0-or-later
"""Holdfast itself in a lab: hosts with disks of their own, a name server, a mail server, the backup server on the lab's
PostgreSQL, and agents that listen on the ports of the catalogue. Everything ends with the lab."""
import hashlib
import json
import os
import pathlib
import secrets
import shutil
import ssl
import subprocess
import sys
import types
import urllib.error
import urllib.parse
import urllib.request

import labs
import programs
import spaces

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / 'fleet'))
import rig

OWN = ('etc', 'usr/bin', 'var/lib', 'srv')  # folders in which a host writes for itself alone
USER = 'holdfast:x:64900:64900::/nonexistent:/usr/sbin/nologin'


# ---- What runs inside a host (labs.Lab.call). ----

def give_disk(name, resolver):
    """Lays folders of the host's own over those of the machine: what it writes is seen by it alone, and ends with the
    lab. It knows no host by name; who has a resolver asks that."""
    for place in OWN:
        upper, work = f'/run/disk/{place}/upper', f'/run/disk/{place}/work'
        os.makedirs(upper)
        os.makedirs(work)
        spaces.mount('disk', f'/{place}', 'overlay', 0, f'lowerdir=/{place},upperdir={upper},workdir={work}')
    texts = {'hosts': f'127.0.0.1 localhost\n::1 localhost\n127.0.1.1 {name}\n',
             'resolv.conf': f'nameserver {resolver}\noptions timeout:1 attempts:2\n' if resolver else '',
             'nsswitch.conf': 'passwd: files\ngroup: files\nhosts: files dns\n',
             'machine-id': secrets.token_hex(16) + '\n'}
    for file, text in texts.items():
        path = pathlib.Path('/etc', file)
        path.unlink(missing_ok=True)
        path.write_text(text, encoding='ascii')
    for file, line in (('passwd', USER), ('group', 'holdfast:x:64900:')):
        path = pathlib.Path('/etc', file)
        if not any(each.startswith('holdfast:') for each in path.read_text(encoding='utf-8').splitlines()):
            with open(path, 'a', encoding='utf-8') as out:
                out.write(line + '\n')
    os.makedirs('/var/lib/holdfast', 0o700, exist_ok=True)
    os.chown('/var/lib/holdfast', 64900, 64900)


def install(program):
    subprocess.run(['install', '-m', '0755', program, '/usr/bin/holdfast-agent'], check=True)


def write_files(folder, count, size):
    for number in range(count):
        path = pathlib.Path(folder, str(number % 5), f'file-{number}')
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(size))


def digests(folder):
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(pathlib.Path(folder).rglob('*')) if path.is_file()}


def read_text(path):
    return pathlib.Path(path).read_text(encoding='utf-8', errors='replace') if os.path.exists(path) else ''


def ask(url, method, headers, data, seconds):
    """(status, body): one request."""
    request = urllib.request.Request(url, data=data, headers=headers, method=method)
    context = ssl._create_unverified_context()  # the fleet's own authority; checked by tests of the interface
    try:
        with urllib.request.urlopen(request, context=context, timeout=seconds) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


# ---- Servers of others. ----

def dns(lab, host, folder, nodes):
    """Answers for the names of the topology and for nothing else; what it was asked is in its log."""
    table = programs.write(folder, 'names', ''.join(f"{address} {' '.join(node.names)}\n" for node in nodes
                                                    for address, _ in node.addresses), 0o644)
    programs.start(lab, host, ['/usr/sbin/dnsmasq', '--keep-in-foreground', '--conf-file=/dev/null', '--port=53',
                               '--no-resolv', '--no-hosts', f'--addn-hosts={table}', '--log-queries', '--log-facility=-',
                               '--user=root', '--pid-file=', '--local=//'], 53, folder)
    return pathlib.Path(folder, f'{host}-53.log')


def mail(lab, host, folder, name):
    """Keeps what comes: plain on one port, and on the other only after STARTTLS."""
    sink = pathlib.Path(__file__).with_name('mail_sink.py')
    kept = {}
    for port, tls in ((25, ()), (587, (f'{folder}/{name}.pem', f'{folder}/{name}.key'))):
        kept[port] = pathlib.Path(folder, f'mail-{port}')
        kept[port].mkdir()
        programs.start(lab, host, [programs.PYTHON, '-B', sink, kept[port], str(port), *tls], port, folder)
    return kept


# ---- Holdfast. ----

class LabFleet(rig.Fleet):
    """The server and the agents of a lab, asked from its REST client."""

    def __init__(self, lab, folder, build):
        super().__init__(folder, build)
        self.lab, self.hosts = lab, {}
        self.client, self.server_host = 'rest', 'server'
        self.log = self.folder / 'server.log'
        self.agent = self.folder / 'holdfast-agent'  # what the server gives to hosts
        shutil.copy(self.program('holdfast-agent'), self.agent)

    def name(self, host):
        return self.lab.node(host).names[0]

    def start_server(self, *more):
        config = self.folder / 'server.conf'
        config.write_text(f"[server]\nname = {self.name(self.server_host)}\n"
                          f"database = postgresql://postgres@{self.name('db')}/postgres\n"
                          f"agent-program = {self.agent}\n", encoding='ascii')
        begun = len(self.server_log())
        with open(self.log, 'ab') as out:
            self.server = self.lab.popen(self.server_host, [self.program('holdfast-server'), 'run', '--config', config,
                                                            '--state', self.folder / 'server', '--json', *more],
                                         stdin=subprocess.DEVNULL, stdout=out, stderr=out)

        def told():
            if self.server.poll() is not None:
                raise rig.FleetError(f'the server ended:\n{self.server_log()[begun:]}')
            return next((json.loads(line) for line in self.server_log()[begun:].splitlines()
                         if line.startswith('{"port"')), None)
        found = rig.wait_for('the server', 60, told)
        self.port = found['port']
        self.password = found.get('password', self.password)
        self.login()

    def stop_server(self):
        self.server.terminate()
        self.server.wait(60)

    def server_log(self):
        return read_text(self.log)

    def fetch(self, path):
        """The bytes of an answer that is no document."""
        status, answer = self.lab.call(self.client, ask, f'https://{self.name(self.server_host)}:{self.port}{path}', 'GET',
                                       {'x-api-version': rig.VERSION, 'Authorization': 'Bearer ' + self.token}, None, 60)
        if status >= 400:
            raise rig.RestError(status, answer.decode())
        return answer

    def ask(self, method, path, body=None, form=False, seconds=60):
        data, headers = None, {'x-api-version': rig.VERSION}
        if self.token:
            headers['Authorization'] = 'Bearer ' + self.token
        if body is not None:
            data = (urllib.parse.urlencode(body) if form else json.dumps(body)).encode()
            headers['Content-Type'] = 'application/x-www-form-urlencoded' if form else 'application/json'
        status, answer = self.lab.call(self.client, ask, f'https://{self.name(self.server_host)}:{self.port}{path}',
                                       method, headers, data, seconds)
        if status >= 400:
            raise rig.RestError(status, answer.decode())
        return json.loads(answer) if answer else None

    # ---- Hosts. ----

    def keep_host(self, host, session):
        self.expect(session['id'])
        row = next(row for row in self.all('/api/v1/backupInfrastructure/managedServers')
                   if row['name'] == self.name(host))
        self.hosts[host] = types.SimpleNamespace(id=row['id'], name=host, folder=pathlib.Path('/srv'))
        return self.hosts[host]

    def add_by_ssh(self, host, credentials):
        """As an administrator does: looks at the key of the host, then gives it with the wish."""
        key = self.post('/api/v1/connectionCertificate', {'serverName': self.name(host), 'type': 'LinuxHost'})
        return self.keep_host(host, self.post('/api/v1/backupInfrastructure/managedServers', {
            'type': 'LinuxHost', 'name': self.name(host), 'description': host, 'credentialsStorageType': 'Permanent',
            'credentialsId': credentials, 'sshFingerprint': key['fingerprint']}))

    def add_by_token(self, host):
        token, log = rig.new_token(), self.folder / f'enroll-{host}.log'
        file = programs.write(self.folder, f'token-{host}', token)
        self.lab.call(host, install, str(self.agent))
        with open(log, 'wb') as out:
            waiting = self.lab.popen(host, ['/usr/bin/holdfast-agent', 'enroll', '--json', '--token-file', file],
                                     stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        rig.wait_for(f'the agent of {host}', 30, lambda: '"port"' in read_text(log))
        session = self.post('/api/v1/holdfast/hosts', {'name': self.name(host), 'description': host, 'token': token})
        if waiting.wait(30):
            raise rig.FleetError(f'{host} was not enrolled:\n{read_text(log)}')
        self.start_agent(host)
        return self.keep_host(host, session)

    def start_agent(self, host):
        with open(self.folder / f'agent-{host}.log', 'ab') as out:
            return self.lab.popen(host, ['/usr/bin/holdfast-agent', 'run'], stdin=subprocess.DEVNULL, stdout=out,
                                  stderr=out)

    def agent_log(self, host):
        return self.lab.call(host, read_text, '/var/lib/holdfast-agent/log/agent.log')

    def files(self, host, folder):
        return self.lab.call(host, digests, folder)


NEEDED = {'dnsmasq-base', 'gnutls-bin', 'openssh-client', 'openssh-server', 'postgresql', 'python3-aiosmtpd', 'rsyslog'}


def why_not():
    """Why these parts cannot run in a lab here; None when they can."""
    lack = NEEDED & set(programs.missing())
    return labs.why_not() or (f"not installed: {' '.join(sorted(lack))}" if lack else None)
