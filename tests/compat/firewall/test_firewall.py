# SPDX-License-Identifier: GPL-3.0-or-later
"""What every format of `holdfast ports firewall` lets through is what the plan says, read by readers that share nothing
with the program; and the tools of the firewalls accept it.
usage: test_firewall.py HOLDFAST DATA-FOLDER EXAMPLES-FOLDER"""
import collections
import csv
import ipaddress
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import fleets
import read_firewalls
import read_nftables
from flows import Flows, address_span

HOLDFAST = DATA = EXAMPLES = None
SEED = int(os.environ.get('HOLDFAST_TEST_SEED', '20261122'))
ROUNDS = int(os.environ.get('HOLDFAST_TEST_ROUNDS', '12'))
PACKETS = pathlib.Path(__file__).with_name('packets.py')
FORMATS = ('nftables', 'iptables', 'firewalld', 'ufw', 'windows', 'csv', 'json')


def holdfast(*words, codes=(0, 3)):
    done = subprocess.run([HOLDFAST, *map(str, words)], capture_output=True, check=False)
    if done.returncode not in codes:
        raise AssertionError(f'{words}: {done.returncode} {done.stderr.decode()}')
    return done.stdout.decode()


def json_lines(*words):
    return [json.loads(line) for line in holdfast(*words).splitlines()]


def render(topology, host, kind, *more):
    return holdfast('ports', 'firewall', topology, '--host', host, '--format', kind, *more)


def hosts_of(topology):
    return [node for line in json_lines('ports', 'plan', topology, '--json') if line['type'] == 'group'
            and not line['external'] for node in line['nodes']]


def plan_lines(topology, host):
    return [line for line in json_lines('ports', 'plan', topology, '--host', host, '--json') if line['type'] == 'flow']


def planned(topology, host):
    flows = Flows()
    for line in plan_lines(topology, host):
        for address in line['addresses']:
            flows.add(line['direction'], address_span(address), line['transport'], (line['first'], line['last']))
    return flows


def catalogue():
    with open(pathlib.Path(DATA, 'conditions.tsv'), encoding='utf-8') as stream:
        lines = csv.DictReader((line for line in stream if not line.startswith('#')), delimiter='\t',
                               quoting=csv.QUOTE_NONE)
        conditions = [(line['id'], line['scope'], line['values'].split(',')) for line in lines]
    return fleets.Fleets(json_lines('ports', 'roles', '--json'), json_lines('ports', 'list', '--json'), conditions)


def expand(comment):
    """'m2.17,18,20-22 x1.3 +4 | who' -> (rows in full, how many are not named)."""
    rows, missing = [], 0
    for word in comment.split(' | ')[0].split():
        if word[0] == '+':
            missing = int(word[1:])
            continue
        table, numbers = word.split('.')
        for part in numbers.split(','):
            first, _, last = part.partition('-')
            rows += [f'{table}.{number}' for number in range(int(first), int(last or first) + 1)]
    return rows, missing


class Case(unittest.TestCase):
    hosts = 3  # of each topology, at most

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='holdfast-firewall-'))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def topologies(self):
        """(name, path) of the examples and of random ones."""
        for path in sorted(pathlib.Path(EXAMPLES).glob('*.topology')):
            yield path.name, path
        offer = catalogue()
        for number in range(ROUNDS):
            path = self.folder / f'{number}.topology'
            fleets.accepted(HOLDFAST, offer.topology(random.Random(SEED + number)), path)
            yield f'seed {SEED + number}', path

    def cases(self):
        for name, path in self.topologies():
            hosts = hosts_of(path)
            for host in random.Random(name).sample(hosts, min(self.hosts, len(hosts))):
                yield f'{name}, host {host}', path, host


class Equivalence(Case):
    def same(self, found, expected, what):
        self.assertEqual(found.normal(), expected.normal(), what)

    def check_rows(self, path, host, lines):
        """Each element names the rows of just the flows that are open there."""
        plan = [(line, address_span(address)) for line in plan_lines(path, host) for address in line['addresses']]
        for element in (line for line in lines if line['type'] == 'element'):
            version, first, last = address_span(f"{element['peer_first']}-{element['peer_last']}")
            rows = {row['row'] for line, span in plan
                    if line['direction'] == element['direction'] and line['transport'] == element['transport']
                    and 'set' not in line and line['first'] <= element['first'] and element['last'] <= line['last']
                    and span[0] == version and span[1] <= last and first <= span[2] for row in line['rows']}
            self.assertEqual(rows, set(element['rows']), element)

    def check_comments(self, reader, lines):
        by_value = {(line['set'], address_span(line['peer']), line['transport'], line['first'], line['last']):
                    line['rows'] for line in lines if line['type'] == 'element'}
        found = 0
        for (name, value), comment in reader.comments.items():
            self.assertLessEqual(len(comment), 128)
            rows, missing = expand(comment)
            self.assertTrue(rows, comment)
            if re.fullmatch('(in|out)_ipv[46]', name):
                ports = [int(part) for part in value[4].split('-')]
                expected = by_value[name, address_span(value[0]), value[2], ports[0], ports[-1]]
                self.assertEqual(len(rows) + missing, len(expected), comment)
                self.assertEqual(rows, expected[:len(rows)], comment)
                found += 1
        self.assertEqual(found, len(by_value))

    def notice(self, reader, lines):
        """Counts what the cases must have between them, for the comparison to mean something."""
        elements = [line for line in lines if line['type'] == 'element']
        sets = [line for line in lines if line['type'] == 'set']
        self.seen['IPv4'] += sum(':' not in line['peer'] for line in elements)
        self.seen['IPv6'] += sum(':' in line['peer'] for line in elements)
        self.seen['ranges'] += sum('-' in line['peer'] for line in elements)
        self.seen['networks'] += sum('/' in line['peer'] for line in elements)
        self.seen['sets with members'] += sum(bool(line['members']) for line in sets)
        self.seen['sets of host names'] += sum(bool(line['host_names']) for line in sets)
        self.seen['inbound sets'] += sum(ports['direction'] == 'in' for line in sets for ports in line['ports'])
        self.seen['unresolved'] += sum(line['type'] == 'unresolved' for line in lines)
        self.seen['fallback'] += sum(line['type'] == 'reason' and line['fallback'] for line in lines)
        self.seen['optional'] += sum(line['type'] == 'reason' and line['optional'] for line in lines)
        self.seen['rows folded'] += sum(',' in comment.split(' | ')[0] for comment in reader.comments.values())

    def check_host(self, path, host, expected):
        """Gives the fixed part of the script for Windows."""
        texts = {kind: render(path, host, kind) for kind in FORMATS}
        nft, reader = read_nftables.read_text(texts['nftables'])
        objects, lines = read_firewalls.read_json(texts['json'])
        windows, head = read_firewalls.read_windows(texts['windows'])
        self.same(nft, expected, 'nftables')
        self.same(objects, expected, 'json')
        self.same(windows, expected, 'windows')
        for kind, read in (('iptables', read_firewalls.read_iptables), ('ufw', read_firewalls.read_ufw),
                           ('firewalld', read_firewalls.read_firewalld), ('csv', read_firewalls.read_csv)):
            found = read(texts[kind])
            self.same(found, expected, kind)
            if kind != 'csv':
                self.assertEqual(found.overlaps(), [], kind)
        self.check_rows(path, host, lines)
        self.check_comments(reader, lines)
        self.notice(reader, lines)
        return re.sub('(?m)^# .*\n', '', head)

    def test_formats(self):
        hosts = flows = 0
        bases = set()
        self.seen = collections.Counter()
        for case, path, host in self.cases():
            with self.subTest(case):
                expected = planned(path, host)
                bases.add(self.check_host(path, host, expected))
                hosts, flows = hosts + 1, flows + len(expected)
        self.assertEqual(len(bases), 1)
        self.assertGreater(flows, 5 * hosts)
        print(f'{hosts} hosts, {flows} planned flows, {len(FORMATS)} formats; {dict(self.seen)}', file=sys.stderr)
        self.assertEqual([what for what, count in self.seen.items() if count == 0], [])

    def test_closed(self):
        """Host names open nothing, and are told with the line to write."""
        path = self.folder / 't.topology'
        path.write_text('[host a]\naddress = 10.0.0.1\nroles = backup-server\n'
                        '[host b[1-2]]\nname = b[1-2].example.org\nroles = backup-proxy\n'
                        '[external s3]\nroles = amazon-s3\nnames *.amazonaws.com = s3.example.org\n', encoding='utf-8')
        for kind in FORMATS:
            text = render(path, 'a', kind)
            self.assertIn('b1.example.org', text, kind)
            self.assertIn('s3.example.org', text, kind)
            if kind not in ('csv', 'json', 'nftables'):
                self.assertIn('write: address = ADDRESS in [host b[1-2]]', text, kind)
        self.assertEqual(len(planned(path, 'a')), 0)
        for kind in ('iptables', 'ufw', 'firewalld'):
            self.assertEqual(len(getattr(read_firewalls, f'read_{kind}')(render(path, 'a', kind))), 0, kind)
        self.assertEqual(len(read_nftables.read_text(render(path, 'a', 'nftables'))[0]), 0)

    def test_words(self):
        """What the verb says to wrong words."""
        path = self.folder / 't.topology'
        path.write_text('[host a]\naddress = 10.0.0.1\nroles = guest\n[external b]\nroles = dns-server\n',
                        encoding='utf-8')
        for words in ([path], [path, '--host', 'aa'], [path, '--host', 'b'], [path, '--host', 'a', '--format', 'pf'],
                      [path, '--host', 'a', '--log-group', 0], [self.folder / 'none', '--host', 'a']):
            holdfast('ports', 'firewall', *words, codes=(1, 2))
        self.assertEqual(render(path, 'a', 'json'), holdfast('ports', 'firewall', path, '--host', '10.0.0.1', '--json'))

    def test_same_bytes(self):
        path = next(self.topologies())[1]
        host = hosts_of(path)[0]
        for kind in FORMATS:
            self.assertEqual(render(path, host, kind), render(path, host, kind))

    def test_log_group(self):
        path = pathlib.Path(EXAMPLES, 'all-in-one.topology')
        host = hosts_of(path)[0]
        text = render(path, host, 'nftables', '--log-group', 7)
        self.assertEqual(re.findall(r'^    log group 7 snaplen 128 prefix "holdfast-(\w+)"$', text, re.MULTILINE),
                         ['out', 'in', 'forward'])
        text = render(path, host, 'iptables', '--log-group', 7)
        self.assertIn('-A HOLDFAST-DROPPED -j NFLOG --nflog-group 7 --nflog-prefix "holdfast"\n', text)
        holdfast('ports', 'firewall', path, '--host', host, '--format', 'ufw', '--log-group', 7, codes=(2,))


def missing_tools(*tools):
    if os.geteuid() != 0:
        return 'only root can make a network namespace'
    absent = [tool for tool in tools if not shutil.which(tool)]
    if absent:
        return f"not installed: {' '.join(absent)}"
    made = subprocess.run(['unshare', '--net', '--mount', 'true'], capture_output=True, text=True, check=False)
    return made.stderr.strip() and f'no namespaces here: {made.stderr.strip()}'  # in a container, or below a chroot


class Tools(Case):
    """What the firewalls' own tools say. Everything happens in namespaces of its own."""
    hosts = 1  # a tool judges the form of what is written, which is that of all hosts; a process or two for each

    def need(self, *tools):
        reason = missing_tools('unshare', *tools)
        if reason:
            self.skipTest(reason)

    def inside(self, script, *files, mounts=False):
        """Runs a script of sh in new namespaces, with files as $1, $2... Gives what it prints."""
        done = subprocess.run(['unshare', '--net', *(['--mount'] if mounts else []), 'sh', '-euc', script, 'sh',
                               *map(str, files)], capture_output=True, text=True, check=False, cwd=self.folder)
        self.assertEqual(done.returncode, 0, f'{done.stdout[-2000:]}{done.stderr[-2000:]}')
        return done.stdout

    def write(self, path, host, kind, *more):
        file = self.folder / f'rules.{kind}'
        file.write_text(render(path, host, kind, *more), encoding='utf-8')
        return file

    def test_nftables(self):
        self.need('nft')
        for case, path, host in self.cases():
            file = self.write(path, host, 'nftables', '--log-group', 5)
            said = self.inside('nft -c -f "$1"; nft add table inet other; nft -f "$1"; nft -f "$1"; '
                               'nft list table inet other > /dev/null; nft delete table inet other; '
                               'nft -j list ruleset', file)
            self.assertEqual(read_nftables.read_json(json.loads(said)).normal(), planned(path, host).normal(), case)

    def test_iptables(self):
        self.need('iptables-restore', 'ip6tables-restore')
        for case, path, host in self.cases():
            file = self.write(path, host, 'iptables', '--log-group', 5)
            said = self.inside('iptables-restore --test "$1"; ip6tables-restore --test "$1"; iptables-restore "$1"; '
                               'ip6tables-restore "$1"; iptables-save; ip6tables-save', file)
            rules = [line for line in said.splitlines() if re.match('-A HOLDFAST-(IN|OUT) ', line)]
            written = [line for line in file.read_text().splitlines() if re.match('-[46] -A HOLDFAST-(IN|OUT) ', line)]
            self.assertEqual(len(rules), len(written), case)

    def test_firewalld(self):
        self.need('firewall-offline-cmd')
        for number, (_, path, host) in enumerate(self.cases()):
            file = self.write(path, host, 'firewalld')
            folder = self.folder / f'firewalld-{number}'
            folder.mkdir()
            shutil.copy('/etc/firewalld/firewalld.conf', folder)
            said = self.inside('sh "$1" "$2" 2>&1', file, folder)
            self.assertEqual(said, '')  # of what is wrong it only warns, and ends well
            if number > 3:
                continue
            said = self.inside('for what in --zone=holdfast --policy=holdfast-out; do firewall-offline-cmd '
                               '--system-config "$1" "$what" --list-rich-rules; done', folder)
            written = re.findall('<rule ', file.read_text())
            self.assertEqual(len([line for line in said.splitlines() if line.startswith('rule ')]), len(written))

    def test_ufw(self):
        self.need('ufw')
        path = pathlib.Path(EXAMPLES, 'one-site.topology')
        for host in hosts_of(path)[-2:]:
            file = self.write(path, host, 'ufw')
            said = self.inside('mount --make-rprivate /; cp -a /etc/ufw ufw; cp /etc/default/ufw default; '
                               'mount --bind ufw /etc/ufw; mount --bind default /etc/default/ufw; sh "$1" --dry-run; '
                               'diff -r /etc/ufw ufw; umount /etc/ufw; diff -r /etc/ufw ufw >&2; rm -r ufw default',
                               file, mounts=True)
            self.assertEqual(read_firewalls.read_ufw_tuples(said).normal(), planned(path, host).normal())

    def test_packets(self):
        """Real packets, for the formats that can be loaded in a namespace."""
        self.need('ip', 'nft', 'iptables-restore', 'ip6tables-restore', 'ufw')
        host, peer = ('10.0.0.1', '2001:db8::1'), ('10.0.0.11', '2001:db8::11')
        path, plan = self.folder / 't.topology', self.folder / 'plan'
        path.write_text(f"[host vbr]\nroles = backup-server\naddress = {', '.join(host)}\n"
                        f"[host proxy]\nroles = backup-proxy\naddress = {', '.join(peer)}\n"
                        '[external late]\nroles = dns-server\nname = late.example.org\n', encoding='utf-8')
        flows = [line for line in plan_lines(path, 'vbr') if line['addresses']]
        self.assertEqual({line['direction'] for line in flows}, {'in', 'out'})
        plan.write_text(json.dumps({'host': host, 'peer': peer, 'flows': flows}), encoding='utf-8')
        for kind in ('nftables', 'iptables', 'ufw'):
            with self.subTest(kind):
                done = subprocess.run(['unshare', '--net', '--mount', sys.executable, '-B', PACKETS, kind,
                                       self.write(path, 'vbr', kind), plan], capture_output=True, text=True, check=False)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertRegex(done.stdout, r'^[1-9][0-9]+ tried\n$')

    def test_shell(self):
        for _, path, host in self.cases():
            for kind in ('ufw', 'firewalld'):
                subprocess.run(['sh', '-n', self.write(path, host, kind)], check=True)


class Readers(unittest.TestCase):
    """The comparison itself can fail."""
    def test_differences(self):
        base = Flows()
        base.add('in', address_span('10.0.0.0/30'), 'tcp', (80, 90))
        for address, transport, ports in (('10.0.0.0-10.0.0.2', 'tcp', (80, 90)), ('10.0.0.0/30', 'tcp', (80, 89)),
                                          ('10.0.0.0/30', 'udp', (80, 90)), ('10.0.0.0/29', 'tcp', (80, 90))):
            other = Flows()
            other.add('in', address_span(address), transport, ports)
            self.assertNotEqual(base.normal(), other.normal())
        other = Flows()
        for address in ipaddress.ip_network('10.0.0.0/30'):
            other.add('in', address_span(str(address)), 'tcp', (80, 85))
            other.add('in', address_span(str(address)), 'tcp', (84, 90))
        self.assertEqual(base.normal(), other.normal())
        self.assertEqual(len(other.overlaps()), 4)


if __name__ == '__main__':
    HOLDFAST, DATA, EXAMPLES = (os.path.abspath(word) for word in sys.argv[1:4])
    del sys.argv[1:4]
    unittest.main(verbosity=1)
