#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab itself, with hand-written rules: it is one wire with addresses, it counts and logs, and nothing is left of it
however it ends.   test_lab.py"""
import ipaddress
import os
import pathlib
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

import coverage
import fleet
import labs
import nflog
import packets

COMMAND = [sys.executable, '-B', str(pathlib.Path(__file__).with_name('lab'))]
TOPOLOGY = '''
# two hosts in two networks, and a server without a firewall
[host a[1-2]]
address = 10.1.0.1-10.1.0.2 lan, 10.9.0.1-10.9.0.2 storage, 2001:db8::1-2001:db8::2
roles = backup-proxy
[external x]   # outside
address = 192.0.2.0/24, 2001:db8:f::1
name = x.example.org
roles = dns-server
'''
RULES = '''
table inet holdfast {
  set out_ipv4 { type ipv4_addr . inet_proto . inet_service; flags interval; counter
    elements = { 10.1.0.1-10.1.0.2 . tcp . 22 counter comment "m1.1 m2.3 | a1", 192.0.2.1 . udp . 53 counter comment "m2.29" } }
  set in_ipv4 { type ipv4_addr . inet_proto . inet_service; flags interval; counter
    elements = { 10.1.0.1-10.1.0.2 . tcp . 22 counter comment "m1.1 m2.3 | a1" } }
  chain out { type filter hook output priority 0; policy drop; ct state established,related accept; oif lo accept
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
    ip daddr . meta l4proto . th dport @out_ipv4 accept; }
  chain in { type filter hook input priority 0; policy drop; ct state established,related accept; iif lo accept
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
    ip saddr . meta l4proto . th dport @in_ipv4 accept; }
  chain forward { type filter hook forward priority 0; policy drop; }
}
'''


def main_network():
    """What a lab must leave alone."""
    return [subprocess.run(command, capture_output=True, text=True, check=False).stdout for command in
            (['ip', '-o', 'link'], ['ip', 'route'], ['ip', '-6', 'route'], ['nft', '-s', 'list', 'ruleset'])] + [
                [line for line in pathlib.Path('/proc/self/mounts').read_text(encoding='utf-8').splitlines()
                 if 'holdfast-lab' in line]]


def wait_until(condition, seconds=10):
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


class Parts(unittest.TestCase):
    """What needs no privilege."""

    def test_names_and_addresses(self):
        nodes = fleet.parse(TOPOLOGY)
        self.assertEqual([(node.name, node.external) for node in nodes], [('a1', False), ('a2', False), ('x', True)])
        self.assertEqual([(str(address), network) for address, network in nodes[1].addresses],
                         [('10.1.0.2', 'lan'), ('10.9.0.2', 'storage'), ('2001:db8::2', None)])
        self.assertEqual(str(nodes[2].addresses[0][0]), '192.0.2.1')
        self.assertEqual(nodes[2].names, ['x.example.org'])
        self.assertEqual(fleet.expand('n[08-10].lab'), ['n08.lab', 'n09.lab', 'n10.lab'])

    def test_bad_topologies(self):
        for text in ('[host a]\naddress = 10.1\n', '[host a[1-2]]\naddress = 10.0.0.1\n', 'nonsense\n',
                     '[host a]\naddress = 10.0.0.1 lan extra\n'):
            with self.assertRaisesRegex(fleet.TopologyError, 'line '):
                fleet.parse(text)

    def test_rows_of_comments(self):
        self.assertEqual(coverage.rows_of('m2.17 m2.18 x1.3'), (['m2.17', 'm2.18', 'x1.3'], 0))
        self.assertEqual(coverage.rows_of('m2.17,18,20-22 x1.3 | m9.9'),
                         (['m2.17', 'm2.18', 'm2.20', 'm2.21', 'm2.22', 'x1.3'], 0))
        self.assertEqual(coverage.rows_of('m2.17,18 +6'), (['m2.17', 'm2.18'], 6))

    def test_flows_are_counted_once(self):
        nodes = fleet.parse(TOPOLOGY)
        out = {'host': 'a1', 'direction': 'out', 'named': False, 'peer': ('10.1.0.2', '10.1.0.2'), 'transport': 'tcp',
               'ports': (22, 22), 'packets': 1}
        into = out | {'host': 'a2', 'direction': 'in', 'peer': ('10.1.0.1', '10.1.0.1'), 'packets': 0}
        self.assertEqual(coverage.flows_of([out, into], nodes), {('a1', 'a2', 'tcp', 22, 22): False})
        self.assertEqual(coverage.flows_of([out, into | {'packets': 2}], nodes), {('a1', 'a2', 'tcp', 22, 22): True})

    def test_packets_of_nflog(self):
        four = (b'\x46' + bytes(8) + b'\x11' + bytes(2) + ipaddress.ip_address('10.0.0.1').packed +
                ipaddress.ip_address('10.0.0.2').packed + bytes(4) + struct.pack('>HH', 999, 53))
        self.assertEqual(nflog.parse_packet(four), ('udp', '10.0.0.1', 999, '10.0.0.2', 53))
        six = (b'\x60' + bytes(5) + b'\x00' + bytes(1) + ipaddress.ip_address('::1').packed +
               ipaddress.ip_address('::2').packed + b'\x06' + bytes(7) + struct.pack('>HH', 999, 22))
        self.assertEqual(nflog.parse_packet(six), ('tcp', '::1', 999, '::2', 22))
        for length in range(len(six)):
            self.assertIsNone(nflog.parse_packet(six[:length]))


class Living(unittest.TestCase):
    def setUp(self):
        reason = labs.why_not()
        if reason:
            self.skipTest(reason)
        self.place = tempfile.TemporaryDirectory(prefix='holdfast-lab-')
        self.addCleanup(self.place.cleanup)
        self.topology = pathlib.Path(self.place.name, 'fleet.topology')
        self.topology.write_text(TOPOLOGY, encoding='ascii')
        for name in ('a1', 'a2'):
            pathlib.Path(self.place.name, f'{name}.nft').write_text(RULES, encoding='ascii')
        self.before = main_network()

    def tearDown(self):
        self.assertEqual(main_network(), self.before)

    def up(self, suffix='', **more):
        lab = labs.Lab.up(self.topology, name=f'test-{os.getpid()}{suffix}', rules=self.place.name, **more)
        self.addCleanup(lab.down)
        return lab

    def command(self, *words, **more):
        return subprocess.run([*COMMAND, *words], capture_output=True, text=True, check=False, timeout=30, **more)

    def test_wire_counters_and_log(self):
        lab = self.up()
        places = [('10.1.0.2', 'tcp', 22), ('10.1.0.2', 'tcp', 23), ('192.0.2.1', 'udp', 53), ('192.0.2.1', 'tcp', 53),
                  ('2001:db8:f::1', 'udp', 53)]
        results = lab.call('a1', packets.try_all, places, 0.5)
        self.assertEqual([results[place] for place in places], [True, False, True, False, False])
        self.assertEqual(lab.call('x', packets.try_all, [('10.1.0.1', 'tcp', 22)], 0.5), {('10.1.0.1', 'tcp', 22): False})
        stray = {(record['host'], record['direction'], record['source'], record['target'], record['transport'],
                  record['port'], record['user']) for record in lab.stray()}
        self.assertEqual(stray, {('a1', 'out', '10.1.0.1', '10.1.0.2', 'tcp', 23, 0),
                                 ('a1', 'out', '10.1.0.1', '192.0.2.1', 'tcp', 53, 0),
                                 ('a1', 'out', '2001:db8::1', '2001:db8:f::1', 'udp', 53, 0),
                                 ('a1', 'in', '192.0.2.1', '10.1.0.1', 'tcp', 22, None)})
        report = coverage.of_lab(lab)
        self.assertEqual(report['packets_by_row'], {'m1.1': 2, 'm2.3': 2, 'm2.29': 1})
        # a1 to a2, a1 to x; not a2 to a1, a2 to x, nor the hosts to themselves, which the set's range has too.
        self.assertEqual(report['flows_exercised'], 2)

    def test_commands(self):
        name = f'test-{os.getpid()}-c'
        done = self.command('up', str(self.topology), '--name', name, '--rules', self.place.name, '--owner',
                            str(os.getpid()))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.addCleanup(lambda: self.command('down', '--name', name))
        self.assertIn('x\t192.0.2.1\t2001:db8:f::1\texternal', done.stdout)
        self.assertEqual(self.command('exec', '--name', name, 'a1', 'hostname').stdout, 'a1\n')
        self.assertEqual(self.command('exec', '--name', name, 'a1', 'sh', '-c', 'exit 7').returncode, 7)
        self.assertEqual(self.command('exec', '--name', name, 'a1', 'sh', '-c', 'kill -9 $$').returncode, 137)
        self.assertEqual(self.command('exec', '--name', name, 'a1', '/no/such').returncode, 127)
        self.assertEqual(self.command('exec', '--name', name, 'a1', 'getent', 'hosts', 'x.example.org').stdout.split()[0],
                         '2001:db8:f::1')
        self.assertIn('no machine', self.command('exec', '--name', name, 'b', 'true').stderr)
        self.assertIn('already', self.command('up', str(self.topology), '--name', name).stderr)
        self.command('exec', '--name', name, 'a1', 'bash', '-c', 'exec 3<>/dev/tcp/10.1.0.2/25')
        self.assertIn('a1\tout\ta2\t10.1.0.2\ttcp\t25\troot\t', self.command('stray', '--name', name).stdout)
        self.assertIn('rows exercised:  0 of 3', self.command('coverage', '--name', name).stdout)
        self.assertIn(name, self.command('list').stdout.split())
        self.assertEqual(self.command('down', '--name', name).returncode, 0)
        self.assertNotIn(name, self.command('list').stdout.split())
        self.assertIn('no lab', self.command('down', '--name', name).stderr)

    def test_networks_of_a_name(self):
        """Between addresses in a network of the same name, and not from another one."""
        lab = self.up()
        route = lab.run('a1', 'ip', 'route', 'get', '10.9.0.2').stdout
        self.assertIn('src 10.9.0.1', route)

    def test_forwarding_is_dropped(self):
        lab = self.up()
        policies = {item['chain']['hook']: item['chain']['policy'] for item in lab.ruleset('a1')
                    if item.get('chain', {}).get('hook')}
        self.assertEqual(policies, {'input': 'drop', 'output': 'drop', 'forward': 'drop'})

    def test_two_at_once(self):
        first, second = self.up('-1'), self.up('-2')
        server = first.popen('a2', [sys.executable, '-c', 'import socket, time; s = socket.socket(); '
                                    's.bind(("", 22)); s.listen(); time.sleep(60)'])
        self.addCleanup(server.wait)
        self.addCleanup(first.down)
        connect = 'exec 3<>/dev/tcp/10.1.0.2/22'
        self.assertTrue(wait_until(lambda: first.run('a1', 'bash', '-c', connect).returncode == 0))
        self.assertNotEqual(second.run('a1', 'bash', '-c', connect).returncode, 0)

    def test_nothing_is_left(self):
        lab = self.up()
        child = lab.popen('a1', ['sleep', '1000'])
        self.assertTrue(wait_until(lambda: lab.run('a1', 'pgrep', 'sleep').returncode == 0))
        lab.down()
        self.assertNotEqual(child.wait(10), 0)
        self.assertFalse(lab.folder.exists())

    def test_keeper_killed(self):
        lab = self.up()
        child = lab.popen('a1', ['sleep', '1000'])
        self.assertTrue(wait_until(lambda: lab.run('a1', 'pgrep', 'sleep').returncode == 0))
        os.kill(lab.init, signal.SIGKILL)
        self.assertNotEqual(child.wait(10), 0)
        self.assertTrue(wait_until(lambda: not os.path.exists(f'/proc/{lab.init}')))
        labs.sweep()
        self.assertFalse(lab.folder.exists())

    def test_owner_killed(self):
        owner = subprocess.Popen(['sleep', '1000'])
        lab = self.up(owner=owner.pid)
        owner.kill()
        owner.wait()
        self.assertTrue(wait_until(lambda: not lab.folder.exists()))
        self.assertTrue(wait_until(lambda: not os.path.exists(f'/proc/{lab.init}')))

    def test_bad_rules(self):
        pathlib.Path(self.place.name, 'a1.nft').write_text('table inet {\n', encoding='ascii')
        with self.assertRaisesRegex(labs.LabError, 'syntax error'):
            self.up()
        self.assertFalse((labs.ROOT / f'test-{os.getpid()}').exists())


if __name__ == '__main__':
    unittest.main(verbosity=2)
