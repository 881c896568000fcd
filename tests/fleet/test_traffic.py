#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits of traffic on a wire, and preferred networks: agents in network namespaces of their own on two bridges, whose
ports count the bytes. Of bytes and rates only upper bounds are asserted, so that a busy machine changes nothing.
Usage: test_traffic.py BUILD"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

import rig

BUILD = None
KIB, MIB = 1 << 10, 1 << 20
# What may be on its way in buffers between the throttle and the wire, of ten connections, and talk with the server.
SLACK = 4 * MIB


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr}")


class Net:
    """Bridges 10.77.0.0/24 and 10.78.0.0/24, and machines on both."""

    def __init__(self):
        self.machines = {}
        run('ip', 'link', 'set', 'lo', 'up')
        for number in (77, 78):
            run('ip', 'link', 'add', f'br{number}', 'type', 'bridge', 'mcast_snooping', '0')
            run('ip', 'link', 'set', f'br{number}', 'up')
        run('ip', 'address', 'add', '10.77.0.1/24', 'dev', 'br77')

    def add(self, name):
        """Its address on the first network, and the words that start a program there."""
        holder = subprocess.Popen(['unshare', '--net', 'sleep', 'infinity'])
        self.machines[name] = holder
        number = len(self.machines) + 1
        space = f'/proc/{holder.pid}/ns/net'
        rig.wait_for('the namespace', 10, lambda: os.stat(space).st_ino != os.stat('/proc/self/ns/net').st_ino)
        inside = ['nsenter', '-t', str(holder.pid), '-n', '--']
        run(*inside, 'ip', 'link', 'set', 'lo', 'up')
        for network in (77, 78):
            port = f'{name}{network}'
            run('ip', 'link', 'add', port, 'type', 'veth', 'peer', 'name', f'eth{network}', 'netns', str(holder.pid))
            run('ip', 'link', 'set', port, 'master', f'br{network}', 'up')
            run(*inside, 'ip', 'address', 'add', f'10.{network}.0.{number}/24', 'dev', f'eth{network}')
            run(*inside, 'ip', 'link', 'set', f'eth{network}', 'up')
        return f'10.77.0.{number}', inside

    def bytes_of(self, *ports):
        """That went over these ports so far, both ways."""
        total = 0
        for line in pathlib.Path('/proc/net/dev').read_text(encoding='ascii').splitlines():
            name, _, fields = line.partition(':')
            if name.strip() in ports:
                total += int(fields.split()[0]) + int(fields.split()[8])
        return total

    def down(self):
        for name, holder in self.machines.items():
            holder.kill()
            holder.wait()
            for network in (77, 78):
                subprocess.run(['ip', 'link', 'delete', f'{name}{network}'], capture_output=True, check=False)
        for number in (77, 78):
            subprocess.run(['ip', 'link', 'delete', f'br{number}'], capture_output=True, check=False)


class TrafficTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='holdfast-traffic-'))
        self.net = Net()
        self.addCleanup(self.net.down)
        self.fleet = rig.Fleet(self.folder, BUILD, address='10.77.0.1')
        self.fleet.start_server()

    def tearDown(self):
        self.fleet.__exit__()
        shutil.rmtree(self.folder, ignore_errors=True)

    def agent(self, name):
        address, prefix = self.net.add(name)
        return self.fleet.add_agent(name, address, prefix, listen='::')

    def source(self, name, megabytes):
        folder = self.folder / name
        folder.mkdir()
        for number in range(megabytes):
            (folder / f'file-{number}').write_bytes(os.urandom(MIB))
        return folder

    def rules(self, kilobytes=0, preferred=()):
        """One rule for the first network, or none."""
        rule = {'name': 'wire', 'sourceIPStart': '10.77.0.0', 'sourceIPEnd': '10.77.0.255',
                'targetIPStart': '10.77.0.0', 'targetIPEnd': '10.77.0.255', 'encryptionEnabled': True,
                'throttlingEnabled': True, 'throttlingUnit': 'KbytePerSec', 'throttlingValue': kilobytes}
        self.fleet.ask('PUT', '/api/v1/trafficRules', {
            'useMultipleStreamsPerJob': True, 'uploadStreamsCount': 5, 'trafficRules': [rule] if kilobytes else [],
            'preferredNetworks': {'isEnabled': bool(preferred),
                                  'networks': [{'cidrNotation': network} for network in preferred]}})

    def said(self, session, text):
        return sum(text in line for line in self.fleet.logs(session))

    def await_said(self, session, text, times=1):
        rig.wait_for(f"'{text}' in the log", 60, lambda: self.said(session, text) >= times)

    def assert_rate(self, most, seconds, *ports):
        begun, before = time.monotonic(), self.net.bytes_of(*ports)
        time.sleep(seconds)
        sent = self.net.bytes_of(*ports) - before
        self.assertLessEqual(sent, most * (time.monotonic() - begun) * 1.1 + SLACK)

    def bottlenecks(self, session):
        return [task['progress']['bottleneck'] for task in self.fleet.tasks(session)]

    def test_rules(self):
        """Two jobs share a rule; one ends; the rule is changed, the server killed, the rule removed: all while the other
        runs. Then a restore and a copy under a rule."""
        fleet, net = self.fleet, self.net
        one, two, store = (self.agent(name) for name in ('one', 'two', 'store'))
        main = fleet.add_repository('main', store)
        second = fleet.add_repository('second', two)
        large = fleet.add_job('large', one, [self.source('large', 40)], main)
        small = fleet.add_job('small', two, [self.source('small', 8)], main)
        self.rules(3 * KIB)
        sent_before = net.bytes_of('one77')
        long, short = fleet.start(large), fleet.start(small)
        begun, before = time.monotonic(), net.bytes_of('one77', 'two77')
        for session in (long, short):
            self.await_said(session, "Traffic rule 'wire' leaves 1.5 MiB a second")
        self.assert_rate(3 * MIB, 2, 'one77', 'two77')
        self.assertEqual(fleet.session(long)['state'], 'Working')
        fleet.expect(short)
        sent = net.bytes_of('one77', 'two77') - before
        self.assertLessEqual(sent, 3 * MIB * (time.monotonic() - begun) * 1.1 + SLACK)
        self.assertEqual(self.bottlenecks(short), ['Throttling'])

        # What the second had is the first one's.
        whole = "Traffic rule 'wire' leaves 3.0 MiB a second"
        self.await_said(long, whole, 1 + (self.said(long, whole) > 1))
        self.assert_rate(3 * MIB, 1, 'one77')
        self.rules(100)
        self.await_said(long, "Traffic rule 'wire' leaves 100.0 KiB a second")
        self.assert_rate(100 * KIB, 3, 'one77')
        task = fleet.tasks(long)[0]
        self.assertEqual(task['state'], 'Working')
        # What a task has sent so far is told while it runs, and is no more than what went over the wire.
        self.assertGreater(task['progress']['transferredSize'], MIB)
        self.assertLessEqual(task['progress']['transferredSize'], net.bytes_of('one77') - sent_before)

        # At that rate what is left takes minutes. Another server, which knows the task that runs, lifts it.
        fleet.kill_server()
        fleet.start_server()
        self.assertEqual(fleet.session(long)['state'], 'Working')
        self.rules(0)
        fleet.expect(long, seconds=100)
        self.assertEqual(self.bottlenecks(long), ['Throttling'])

        # Received bytes count as well, and those from mover to mover.
        self.rules(2 * KIB)
        begun = time.monotonic()
        fleet.restore(self.point_of(small), self.folder / 'out', paths=[self.folder / 'small'], host=one)
        self.assertGreaterEqual(time.monotonic() - begun, (8 * MIB - SLACK) / (2 * MIB))
        left = subprocess.run(['diff', '-r', str(self.folder / 'small'), str(self.folder / 'out' / 'small')], check=False)
        self.assertEqual(left.returncode, 0)

        self.rules(4 * KIB)
        copy = fleet.add_copy(small, second)
        begun = time.monotonic()
        session = fleet.run(copy)
        self.assertGreaterEqual(time.monotonic() - begun, (8 * MIB - SLACK) / (4 * MIB))
        self.assertEqual(self.said(session, "Traffic rule 'wire' leaves 4.0 MiB a second"), 1)

    def point_of(self, job):
        backup = next(row for row in self.fleet.all('/api/v1/backups') if row['jobId'] == job)['id']
        return next(row for row in self.fleet.points() if row['backupId'] == backup)['id']

    def test_preferred(self):
        """Data go by the preferred network; when that is cut they go as before, and the log says so."""
        fleet, net = self.fleet, self.net
        one, store = self.agent('one'), self.agent('store')
        main = fleet.add_repository('main', store)
        source = self.source('source', 20)
        job = fleet.add_job('docs', one, [source], main)
        self.rules(0, preferred=['10.99.0.0/16', '10.78.0.0/24'])
        before = net.bytes_of('one78')
        session = fleet.run(job)
        self.assertGreaterEqual(net.bytes_of('one78') - before, 20 * MIB)
        self.assertEqual(self.said(session, 'preferred network'), 0)
        log = one.process.output()
        self.assertIn(f'10.78.0.3 port {store.transport})', log)
        self.assertNotIn('(10.77.0.3 port', log)

        # Cut there: the other address, on the same port.
        run('ip', 'link', 'set', 'store78', 'down')
        for number in range(8):
            (source / f'file-{number}').write_bytes(os.urandom(MIB))
        before = net.bytes_of('one77')
        session = fleet.run(job)
        self.assertGreaterEqual(net.bytes_of('one77') - before, 8 * MIB)
        self.assertEqual(self.said(session, "'10.78.0.3' of a preferred network was not reached"), 1)
        self.assertIn(f'10.77.0.3 port {store.transport})', one.process.output())


if __name__ == '__main__':
    if os.environ.get('HOLDFAST_TEST_NET') is None:
        os.environ['HOLDFAST_TEST_NET'] = '1'
        os.execvp('unshare', ['unshare', '--net', sys.executable, '-B', *sys.argv])
    BUILD = sys.argv.pop(1)
    unittest.main(verbosity=2)
