#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fleet of eleven hosts, each behind the firewall that its topology asks for: enrolment, jobs, notes to others, and
that no packet fell to a default drop.   test_parts.py HOLDFAST BUILD [--report FILE]"""
import contextlib
import email
import io
import json
import pathlib
import sys
import tarfile
import tempfile
import unittest

import conformance
import coverage
import labs
import parts
import programs
import rig

HOLDFAST, BUILD, REPORT = None, None, None
TOPOLOGY = labs.SOURCE / 'examples' / 'fleet.topology'
AGENTS = ('source1', 'source2', 'repo', 'vault')


class Parts(unittest.TestCase):
    """In the order of their names: each goes on where the one before ended."""
    @classmethod
    def setUpClass(cls):
        cls.place = tempfile.TemporaryDirectory(prefix='holdfast-lab-')
        cls.addClassCleanup(cls.place.cleanup)
        cls.folder = pathlib.Path(cls.place.name)
        cls.folder.chmod(0o755)
        cls.lab = labs.Lab.up(TOPOLOGY, name=f'parts-{cls.folder.name[13:]}', program=HOLDFAST)
        cls.addClassCleanup(cls.lab.down)
        for host in (*AGENTS, 'server'):
            cls.lab.call(host, parts.give_disk, host, cls.lab.address('dns') if host == 'server' else None)
        names = {node.name: node.names[0] for node in cls.lab.nodes}
        programs.certificates(cls.folder, [names['logs'], names['mail']])
        cls.queries = parts.dns(cls.lab, 'dns', cls.folder, cls.lab.nodes)
        programs.postgresql(cls.lab, 'db', cls.folder)
        programs.sshd(cls.lab, 'source1', cls.folder)
        programs.sshd(cls.lab, 'repo', cls.folder)
        cls.mails = parts.mail(cls.lab, 'mail', cls.folder, names['mail'])
        cls.events = programs.syslog(cls.lab, 'logs', cls.folder, names['logs'])
        cls.fleet = parts.LabFleet(cls.lab, cls.folder / 'fleet', BUILD)
        cls.fleet.start_server()

    def test_01_enrolment(self):
        fleet = self.fleet
        credentials = fleet.post('/api/v1/credentials', {
            'type': 'Linux', 'username': 'root', 'description': 'lab', 'authenticationType': 'SshKey',
            'privateKey': (self.folder / 'ssh_key').read_text(encoding='ascii')})['id']
        for host in ('source1', 'repo'):
            fleet.add_by_ssh(host, credentials)
        for host in ('source2', 'vault'):
            fleet.add_by_token(host)

    def test_02_repositories(self):
        fleet = self.fleet
        type(self).main = fleet.add_repository('main', fleet.hosts['repo'], '/var/lib/holdfast/main')
        type(self).hard = fleet.add_repository('hard', fleet.hosts['vault'], '/var/lib/holdfast/hard', immutable_days=7)
        states = {row['name']: row for row in fleet.all('/api/v1/backupInfrastructure/repositories/states')}
        self.assertEqual((states['main']['type'], states['hard']['type']), ('LinuxLocal', 'LinuxHardened'))
        # What hosts are is known now: from here on each connection names the rows of just that.
        fleet.stop_server()
        type(self).known = len(fleet.server_log())
        fleet.start_server()

    def test_03_backup_and_increment(self):
        fleet, lab = self.fleet, self.lab
        for host in ('source1', 'source2'):
            lab.call(host, parts.write_files, '/srv/data', 40, 50000)
        type(self).job = fleet.add_job('docs', [fleet.hosts['source1'], fleet.hosts['source2']], ['/srv/data'], self.main)
        fleet.run(self.job)
        lab.call('source1', parts.write_files, '/srv/data/new', 2, 50000)
        for task in fleet.tasks(fleet.run(self.job)):
            self.assertEqual(task['result']['result'], 'Success')
            self.assertLess(task['progress']['transferredSize'], 400000)
        self.assertEqual(len(fleet.points()), 4)

    def test_04_copy(self):
        """From repository to repository, by the range alone: no row names the transport port for that."""
        fleet = self.fleet
        before = self.packets('repo', 'vault', 'x1.8', 'out', 6162)
        type(self).copy = fleet.add_copy(self.job, self.hard)
        fleet.run(self.copy)
        self.assertEqual(len(fleet.points()), 8)
        self.assertEqual(self.packets('repo', 'vault', 'x1.8', 'out', 6162), before)

    def packets(self, host, peer, row, direction, port):
        """Connections that the host's firewall let through towards (from) the peer, on the element that names the row."""
        address = self.lab.address(peer)
        return sum(element['packets'] for element in coverage.elements(self.lab.ruleset(host), host)
                   if row in element['rows'] and element['direction'] == direction and element['ports'][0] == port
                   and element['peer'][0] <= address <= element['peer'][1])

    def test_05_restore_to_other_hosts(self):
        """From each repository: to the other source, which is a mover, and to the repositories' hosts, which are mount
        servers."""
        fleet = self.fleet
        before = fleet.files('source1', '/srv/data')
        for repository in (self.main, self.hard):
            backup = next(row['id'] for row in fleet.all('/api/v1/backups') if row['repositoryId'] == repository)
            point = [row for row in fleet.points(fleet.name('source1')) if row['backupId'] == backup][-1]
            for host in ('source2', 'vault', 'repo'):
                folder = f'/srv/{repository}'
                fleet.restore(point['id'], folder, paths=['/srv/data'], host=fleet.hosts[host])
                self.assertEqual(fleet.files(host, folder + '/data'), before)

    def test_06_verification(self):
        fleet = self.fleet
        for backup in fleet.all('/api/v1/backups'):
            found = fleet.post('/api/v1/backups/runHealthcheck', {'backupIds': [backup['id']]})
            for session in found['sessions'] if 'sessions' in found else found['data']:
                fleet.expect(session['id'])

    # ---- What is told to others. ----

    def told(self, mail, syslog):
        """Runs the job with these settings; its result is told to the mail server and to the syslog server."""
        fleet = self.fleet
        fleet.ask('PUT', '/api/v1/holdfast/notifications', {
            'mail': {'isEnabled': True, 'host': fleet.name('mail'), 'from': 'backup@fleet.example',
                     'to': ['admin@fleet.example'], 'onSuccess': True, **mail},
            'syslog': {'isEnabled': True, 'host': fleet.name('logs'), **syslog}})
        kept = self.mails[587 if mail['tls'] == 'starttls' else 25]
        fleet.post('/api/v1/holdfast/notifications/testMail')
        before = len(list(kept.iterdir()))
        session = fleet.run(self.job)
        rig.wait_for('the mail', 20, lambda: len([path for path in kept.iterdir() if path.name != 'draft']) > before)
        message = email.message_from_bytes((kept / str(before + 1)).read_bytes())
        self.assertIn('Success', message['Subject'])
        text = message.get_payload(decode=True).decode()
        self.assertIn(fleet.name('source1'), text)
        rig.wait_for('the event', 20, lambda: session in parts.read_text(self.events))

    def test_07_mail_and_syslog(self):
        ca = str(self.folder / 'ca.pem')
        self.told({'tls': 'plain'}, {'transport': 'udp'})
        self.told({'tls': 'starttls', 'caFile': ca}, {'transport': 'tcp'})
        self.told({'tls': 'starttls', 'caFile': ca}, {'transport': 'tls', 'caFile': ca})

    # ---- Care of hosts. ----

    def test_08_upgrade(self):
        """The agent is replaced by another file of its version, over the connection that the server has."""
        fleet, lab = self.fleet, self.lab
        inode = lab.run('source2', 'stat', '-c', '%i', '/usr/bin/holdfast-agent').stdout
        with open(fleet.agent, 'ab') as out:
            out.write(b'\0')  # behind its last section: another file, and the same program
        fleet.expect(fleet.post(f"/api/v1/holdfast/hosts/{fleet.hosts['source2'].id}/upgrade")['id'])
        rig.wait_for('the upgrade', 30, lambda: 'upgraded to' in fleet.agent_log('source2'))
        self.assertNotEqual(lab.run('source2', 'stat', '-c', '%i', '/usr/bin/holdfast-agent').stdout, inode)
        self.assertEqual(lab.run('source2', 'cmp', '/usr/bin/holdfast-agent', fleet.agent).returncode, 0)
        fleet.run(self.job)

    def test_09_logs(self):
        """From each host, over the range."""
        fleet = self.fleet
        for host in AGENTS:
            path = f'/api/v1/holdfast/hosts/{fleet.hosts[host].id}/logs'
            fleet.expect(fleet.post(path)['id'])
            with tarfile.open(fileobj=io.BytesIO(fleet.fetch(path))) as tar:
                text = b''.join(tar.extractfile(member).read() for member in tar if member.isfile()).decode()
            self.assertIn('session of the server begun', text)

    # ---- Closed ports. ----

    @contextlib.contextmanager
    def closed(self, host, ports):
        """A drop that is not the default one: nothing strays, packets are just gone."""
        rule = ['nft', 'insert', 'rule', 'inet', 'holdfast', 'input', 'tcp', 'dport', ports, 'drop']
        self.assertEqual(self.lab.run(host, *rule).returncode, 0)
        try:
            yield
        finally:
            rules = json.loads(self.lab.run(host, 'nft', '-j', '-a', 'list', 'chain', 'inet', 'holdfast', 'input').stdout)
            handle = next(item['rule']['handle'] for item in rules['nftables'] if 'rule' in item)  # the first
            self.lab.run(host, 'nft', 'delete', 'rule', 'inet', 'holdfast', 'input', 'handle', str(handle))

    def test_10_transport_port_closed(self):
        """Rows that have the range besides go through that."""
        fleet = self.fleet
        marks = {host: len(fleet.agent_log(host)) for host in AGENTS}
        mark = len(fleet.server_log())
        with self.closed('repo', '6162'):
            session = fleet.run(self.job)
        for host in ('source1', 'source2'):
            text = fleet.agent_log(host)[marks[host]:]
            self.assertRegex(text, r'row m8\.8: connected to host \S+ \(10\.86\.0\.31 port (2[5-9]|3[0-3])')
            self.assertNotIn('port 6162)', text)
        self.assertRegex(fleet.server_log()[mark:], r'row m8\.7: connected to host repo\S+ \(\S+ port (2[5-9]|3[0-3])')
        self.assertEqual(fleet.session(session)['result']['result'], 'Success')

    def test_11_range_closed(self):
        """A copy has no row for the transport port: it does not try it, and says what is closed."""
        fleet = self.fleet
        before = self.packets('repo', 'vault', 'x1.8', 'out', 6162)
        with self.closed('vault', '2500-3300'):
            session = fleet.start(self.copy)
            found = fleet.wait(session)
        self.assertEqual(found['result']['result'], 'Failed')
        self.assertRegex('\n'.join(fleet.logs(session)), r"cannot connect to '10\.86\.0\.32' port (2[5-9]|3[0-3])\d\d: ")
        self.assertEqual(self.packets('repo', 'vault', 'x1.8', 'out', 6162), before)
        fleet.run(self.copy)

    def test_12_both_closed(self):
        """The job fails and names both ports; with them open it runs again."""
        fleet = self.fleet
        with self.closed('repo', '{ 6162, 2500-3300 }'):
            session = fleet.start(self.job)
            found = fleet.wait(session)
        self.assertEqual(found['result']['result'], 'Failed')
        self.assertRegex('\n'.join(fleet.logs(session)), r'port 6162: .*port (2[5-9]|3[0-3])\d\d: ')
        fleet.run(self.job)

    # ---- What all of it touched. ----

    def test_98_every_connection_is_a_row(self):
        """Each connection that a part names since all roles are known is planned between the two ends with one of the
        rows it names, and both firewalls counted it there. Twenty rows and more."""
        report = conformance.of_lab(self.lab, self.fleet, self.known)
        self.assertEqual(report['unplanned'], [])
        self.assertEqual(report['uncounted'], [])
        self.assertGreaterEqual(len(report['rows']), 20, sorted(report['rows']))
        page = conformance.page(report, HOLDFAST)
        if REPORT:
            pathlib.Path(REPORT).write_text(page, encoding='utf-8')
        else:
            self.assertEqual(page, (labs.SOURCE / 'docs' / 'conformance.md').read_text(encoding='utf-8'),
                             'make it anew: test_parts.py HOLDFAST BUILD --report docs/conformance.md')

    def test_99_nothing_strayed(self):
        self.assertEqual(self.lab.stray(), [])


if __name__ == '__main__':
    HOLDFAST, BUILD = sys.argv.pop(1), sys.argv.pop(1)
    if '--report' in sys.argv:
        at = sys.argv.index('--report')
        REPORT = sys.argv[at + 1]
        del sys.argv[at:at + 2]
    why = parts.why_not()
    if why:
        print(f'1..0 # SKIP {why}')
        sys.exit(77)
    unittest.main(verbosity=2, warnings='ignore')  # servers run until the lab ends
