#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real programs in the places of the rows: what the plan allows works from the hosts that should, everything else is
refused and counted.   test_programs.py HOLDFAST"""
import json
import pathlib
import smtplib
import socket
import ssl
import sys
import tempfile
import time
import unittest

import coverage
import labs
import programs

HOLDFAST = None
TARGET = 'iqn.2026-11.test:disk'
TOPOLOGY = '''
[fleet]
title = Programs

[host vbr]
address = 10.20.0.10, 2001:db8:20::10
roles = backup-server
os = linux

[host proxy]
address = 10.20.0.21, 2001:db8:20::21
roles = backup-proxy
os = linux

[host repo]
address = 10.20.0.31, 2001:db8:20::31
roles = backup-repository
os = linux

[host db]
address = 10.20.0.41, 2001:db8:20::41
roles = postgresql-database

[external nas]
address = 10.20.1.1
roles = nfs-repository
peers gateway-server = none
port mountd_port = 20048
port statd_port = 32765
port lockd_port = 32768

[external files]
address = 10.20.1.2
roles = smb-repository
peers gateway-server = none

[external array]
address = 10.20.1.3
roles = dell-unity

[external mail]
address = 10.20.1.4
roles = smtp-server
encryption = both

[external logs]
address = 10.20.1.5
roles = syslog-server
encryption = both

[external dc]
address = 10.20.1.6
roles = domain-controller

[external kms]
address = 10.20.1.7
roles = kms-server
'''


def connect(address, port, seconds=1.0):
    """'open', 'refused' or 'nothing': what a connection gets."""
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    with socket.socket(family) as channel:
        channel.settimeout(seconds)
        try:
            channel.connect((address, port))
            return 'open'
        except ConnectionRefusedError:
            return 'refused'
        except (TimeoutError, OSError):
            return 'nothing'


def send_mail(address):
    with smtplib.SMTP(address, timeout=5) as server:
        return server.sendmail('a@lab', ['b@lab'], 'Subject: lab\n\nhello\n')


def send_events(address):
    """One over UDP, one over TCP, one over TLS."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.sendto(b'<13>lab: over udp', (address, 514))
    with socket.create_connection((address, 514), 5) as channel:
        channel.sendall(b'<13>lab: over tcp\n')
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((address, 6514), 5) as plain, context.wrap_socket(plain) as channel:
        channel.sendall(b'<13>lab: over tls\n')


KMIP_CLIENT = '''
import sys
from kmip import enums
from kmip.pie.client import ProxyKmipClient
host, folder = sys.argv[1:]
with ProxyKmipClient(hostname=host, port=5696, cert=f'{folder}/vbr.pem', key=f'{folder}/vbr.key', ca=f'{folder}/ca.pem',
                     config_file='/dev/null', kmip_version=enums.KMIPVersion.KMIP_1_2) as client:
    print(len(client.get(client.create(enums.CryptographicAlgorithm.AES, 256, name='k')).value))
'''


class Programs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.place = tempfile.TemporaryDirectory(prefix='holdfast-lab-')
        cls.addClassCleanup(cls.place.cleanup)
        cls.folder = cls.place.name
        pathlib.Path(cls.folder).chmod(0o755)
        cls.topology = f'{cls.folder}/fleet.topology'
        pathlib.Path(cls.topology).write_text(TOPOLOGY, encoding='ascii')
        cls.lab = labs.Lab.up(cls.topology, name=f'programs-{pathlib.Path(cls.folder).name[13:]}', program=HOLDFAST)
        cls.addClassCleanup(cls.lab.down)
        programs.certificates(cls.folder, ['vbr', 'logs', 'dc', 'kms'])
        programs.sshd(cls.lab, 'repo', cls.folder)
        programs.sshd(cls.lab, 'proxy', cls.folder)
        programs.postgresql(cls.lab, 'db', cls.folder)
        cls.export, _ = programs.nfs(cls.lab, 'nas', cls.folder, 20048, 32765, 32768)
        programs.smb(cls.lab, 'files', cls.folder, 'secret')
        programs.iscsi(cls.lab, 'array', cls.folder, TARGET)
        programs.smtp(cls.lab, 'mail', cls.folder)
        cls.events = programs.syslog(cls.lab, 'logs', cls.folder, 'logs')
        programs.ldap(cls.lab, 'dc', cls.folder, 'dc')
        programs.kmip(cls.lab, 'kms', cls.folder, 'kms')

    def succeed(self, host, *command, says=None):
        done = self.lab.run(host, *command)
        self.assertEqual(done.returncode, 0, f'{command}: {done.stdout}{done.stderr}')
        if says is not None:
            self.assertIn(says, done.stdout)

    # ---- what is planned works ----

    def test_ssh(self):
        for host in ('repo', 'proxy'):
            for version in (4, 6):
                self.succeed('vbr', 'ssh', '-i', f'{self.folder}/ssh_key', '-o', 'StrictHostKeyChecking=no', '-o',
                             'UserKnownHostsFile=/dev/null', '-o', 'BatchMode=yes', self.lab.address(host, version),
                             'hostname', says=host)

    def test_postgresql(self):
        self.succeed('vbr', 'psql', '-h', 'db', '-U', 'postgres', '-Atc', 'select 6 * 7', says='42')

    def test_nfs(self):
        address = self.lab.address('nas')
        self.succeed('proxy', 'nfs-ls', f'nfs://{address}{self.export}?version=3', says='hello')
        self.succeed('proxy', 'nfs-ls', f'nfs://{address}/export?version=4', says='hello')

    def test_smb(self):
        self.succeed('proxy', 'smbclient', '-U', 'root%secret', f"//{self.lab.address('files')}/share", '-c', 'ls',
                     says='hello')

    def test_iscsi(self):
        self.succeed('proxy', 'iscsi-ls', f"iscsi://{self.lab.address('array')}:3260", says=TARGET)

    def test_mail(self):
        self.assertEqual(self.lab.call('vbr', send_mail, self.lab.address('mail')), {})

    def test_syslog(self):
        self.lab.call('vbr', send_events, self.lab.address('logs'))
        wanted = {'<13>lab: over udp', '<13>lab: over tcp', '<13>lab: over tls'}
        for _ in range(50):
            if self.events.exists() and wanted <= set(self.events.read_text(encoding='ascii').splitlines()):
                return
            time.sleep(0.1)
        self.fail(f'of {wanted} came {self.events.read_text() if self.events.exists() else "nothing"}')

    def test_ldap(self):
        for scheme in ('ldap', 'ldaps'):
            self.succeed('vbr', 'env', f'LDAPTLS_CACERT={self.folder}/ca.pem', 'ldapwhoami', '-x', '-H', f'{scheme}://dc',
                         '-D', 'cn=admin,dc=lab', '-w', 'secret', says='cn=admin')

    def test_kmip(self):
        self.succeed('vbr', programs.PYTHON, '-c', KMIP_CLIENT, self.lab.address('kms'), self.folder, says='32')

    # ---- what is not planned is refused and counted ----

    def dropped(self, host, direction):
        return sum(item['counter']['packets'] for item in self.lab.ruleset(host)
                   if item.get('counter', {}).get('name') == f'dropped_{direction}')

    def refuse(self, source, target, port, by, direction):
        """A real service that this host may not use: nothing comes back, and the drop is counted and logged."""
        for version in (4, 6):
            if not all(any(address.version == version for address, _ in self.lab.node(name).addresses)
                       for name in (source, target)):
                continue
            address = self.lab.address(target, version)
            before = self.dropped(by, direction)
            self.assertEqual(self.lab.call(source, connect, address, port, 0.4), 'nothing', f'{source} {target} {port}')
            self.assertGreater(self.dropped(by, direction), before)
            peer = address if direction == 'out' else self.lab.address(source, version)
            side = 'target' if direction == 'out' else 'source'
            self.assertTrue([record for record in self.lab.stray() if record['host'] == by and record['port'] == port
                             and record['direction'] == direction and record[side] == peer
                             and record['user'] == (0 if direction == 'out' else None)], (source, target, port))

    def test_refused_on_the_way_out(self):
        for source, target, port in (('repo', 'db', 5432), ('proxy', 'db', 5432), ('vbr', 'nas', 2049),
                                     ('repo', 'files', 445), ('vbr', 'array', 3260), ('proxy', 'mail', 25),
                                     ('proxy', 'kms', 5696), ('db', 'repo', 22), ('repo', 'logs', 6514),
                                     ('repo', 'dc', 389)):
            self.refuse(source, target, port, source, 'out')

    def test_refused_on_the_way_in(self):
        """From machines without a firewall of ours."""
        for source, target, port in (('mail', 'db', 5432), ('logs', 'repo', 22), ('kms', 'proxy', 22),
                                     ('dc', 'db', 5432)):
            self.refuse(source, target, port, target, 'in')

    # ---- ports check and ports audit see it ----

    def check(self, host, *options):
        done = self.lab.run(host, HOLDFAST, 'ports', 'check', self.topology, '--json', '--timeout', '1000', *options)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        return done.returncode, {(line['to'], line['transport'], line['port']): line for line in lines
                                 if line['type'] == 'result' and ':' not in line['address']}, lines[-1]

    def test_check(self):
        # Mail over TLS is planned too; a web server in its place is the wrong service.
        programs.start(self.lab, 'mail', [programs.PYTHON, '-m', 'http.server', '587'], 587, self.folder)
        code, results, summary = self.check('vbr')
        self.assertEqual(code, 3)
        wanted = {('repo', 'tcp', 22): ('open', 'ssh'), ('proxy', 'tcp', 22): ('open', 'ssh'),
                  ('db', 'tcp', 5432): ('open', 'postgresql'), ('mail', 'tcp', 25): ('open', 'smtp'),
                  ('mail', 'tcp', 587): ('wrong', None), ('logs', 'tcp', 514): ('open', None),
                  ('logs', 'udp', 514): ('silent', None), ('logs', 'tcp', 6514): ('open', 'syslog-tls'),
                  ('dc', 'tcp', 389): ('open', 'ldap'), ('dc', 'tcp', 636): ('open', 'ldaps'),
                  ('dc', 'udp', 389): ('closed', None), ('kms', 'tcp', 5696): ('open', 'kmip'),
                  ('repo', 'tcp', 2500): ('closed', None), ('repo', 'tcp', 3300): ('closed', None)}
        for place, (state, application) in wanted.items():
            self.assertIn(place, results)
            self.assertEqual((results[place]['state'], results[place].get('application')), (state, application),
                             results[place])
        self.assertTrue(results['repo', 'tcp', 22]['banner'].startswith('SSH-2.0-OpenSSH'))
        for host, port in (('dc', 636), ('kms', 5696), ('logs', 6514)):
            self.assertEqual(results[host, 'tcp', port]['subject'], f'CN={host}')
            self.assertEqual(results[host, 'tcp', port]['issuer'], 'CN=Lab CA')
        self.assertGreater(summary['scanned'], 1000)

    def test_check_of_a_range(self):
        """A data channel that listens inside its range is shown."""
        programs.start(self.lab, 'repo', [programs.PYTHON, '-m', 'http.server', '2777'], 2777, self.folder)
        _, results, _ = self.check('vbr')
        self.assertEqual(results['repo', 'tcp', 2777]['state'], 'open')

    def test_check_of_storage(self):
        code, results, _ = self.check('proxy')
        wanted = {('nas', 'tcp', 111): 'portmap', ('nas', 'udp', 111): 'portmap', ('nas', 'tcp', 2049): 'nfs',
                  ('nas', 'tcp', 20048): 'mountd', ('nas', 'tcp', 32768): 'lockd', ('files', 'tcp', 445): 'smb',
                  ('array', 'tcp', 3260): 'iscsi'}
        for place, application in wanted.items():
            self.assertEqual((results[place]['state'], results[place].get('application')), ('open', application),
                             results[place])
        self.assertEqual(results['nas', 'tcp', 32765]['state'], 'closed')  # ganesha has no statd
        self.assertEqual(code, 3)

    def test_check_from_elsewhere(self):
        """What is open for one host is not for another: its own firewall swallows it."""
        code, results, _ = self.check('repo', '--host', 'vbr', '--timeout', '300')
        self.assertEqual(code, 3)
        self.assertEqual((results['db', 'tcp', 5432]['state'], results['db', 'tcp', 5432]['reason']),
                         ('filtered', 'no answer in 0.3 s'))
        self.assertEqual(results['logs', 'udp', 514]['state'], 'filtered')
        self.assertIn('firewall of this machine', results['logs', 'udp', 514]['reason'])
        self.assertEqual({line['state'] for place, line in results.items() if place[0] != 'repo'}, {'filtered'})
        done = self.lab.run('repo', HOLDFAST, 'ports', 'check', self.topology, '--host', 'vbr', '--timeout', '100')
        self.assertIn('this machine has none of its addresses', done.stderr)

    def test_audit_finds_what_is_wrong(self):
        """A service that nobody planned, a hole in the firewall, and a planned element that was taken away."""
        programs.start(self.lab, 'proxy', [programs.PYTHON, '-m', 'http.server', '8099'], 8099, self.folder)
        rules = ('add rule inet holdfast input tcp dport 8099 accept\ninsert rule inet holdfast output ip daddr '
                 f'{self.lab.address("array")} tcp dport 3260 drop\n')
        self.assertEqual(self.lab.run('proxy', 'sh', '-c', f"printf '{rules}' | nft -f -").returncode, 0)
        done = self.lab.run('proxy', HOLDFAST, 'ports', 'audit', self.topology, '--host', 'proxy', '--json')
        self.assertEqual(done.returncode, 3)
        found = {(line['kind'], line['direction'], line['transport'], line['first'])
                 for line in map(json.loads, done.stdout.splitlines()) if line['type'] == 'finding'}
        self.lab.run('proxy', 'sh', '-c', 'for chain in input output; do nft -a list chain inet holdfast $chain | sed -n '
                     '"s/.*\\(8099\\|3260\\).*handle //p" | xargs -rn1 nft delete rule inet holdfast $chain handle; done')
        self.assertIn(('stray', 'in', 'tcp', 8099), found)
        self.assertIn(('surplus', 'in', 'tcp', 8099), found)
        self.assertIn(('missing', 'out', 'tcp', 3260), found)
        self.assertEqual({place for place in found if place[0] in ('missing', 'surplus')},
                         {('surplus', 'in', 'tcp', 8099), ('missing', 'out', 'tcp', 3260)})

    def test_audit(self):
        done = self.lab.run('db', HOLDFAST, 'ports', 'audit', self.topology, '--host', 'db', '--json')
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertEqual([lines[-1][kind] for kind in ('missing', 'surplus', 'unsure', 'stray', 'no-service')], [0] * 5)
        self.assertGreater(lines[-1]['elements'], 0)

    def test_coverage(self):
        self.lab.call('vbr', connect, self.lab.address('db'), 5432)
        report = coverage.of_lab(self.lab)
        self.assertGreater(report['packets_by_row']['m2.16'], 0)
        self.assertLess(report['flows_exercised'], report['flows'])
        self.assertGreater(report['rows_exercised'], 0)


def skip(reason):
    print(f'1..0 # SKIP {reason}')
    sys.exit(77)


if __name__ == '__main__':
    HOLDFAST = sys.argv.pop(1)
    why = labs.why_not()
    if why:
        skip(why)
    if programs.missing():
        skip(f"not installed: {' '.join(programs.missing())}")
    unittest.main(verbosity=2, warnings='ignore')  # servers run until the lab ends
