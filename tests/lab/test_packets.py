#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Random fleets in the lab: every planned flow passes, and unplanned packets are dropped by the firewall that should, and
logged.   test_packets.py HOLDFAST [SEED...]"""
import collections
import ipaddress
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import unittest

import coverage
import labs
import packets

HOLDFAST = None
SEEDS = list(range(1, 7))
UNPLANNED = 120  # of each fleet


def roles():
    """(roles for hosts, roles for externals)"""
    lines = subprocess.check_output([HOLDFAST, 'ports', 'roles', '--json'], text=True).splitlines()
    both = collections.defaultdict(list)
    for role in map(json.loads, lines):
        both[role['external']].append(role['role'])
    return both[False], both[True]


def fleet(seed):
    """A small one: four to six hosts of one to three roles, two or three other systems, IPv4 and mostly IPv6."""
    rng = random.Random(seed)
    inside, outside = roles()
    text = ['[fleet]', f'title = Random {seed}', f"os = {rng.choice(['linux', 'windows'])}", 'want = all']
    for index in range(rng.randint(4, 6) + rng.randint(2, 3)):
        external = index >= 5
        wide = f', 2001:db8:{seed:x}::{index + 1:x}' if rng.random() < 0.8 else ''
        names = rng.sample(outside, rng.randint(1, 2)) if external else rng.sample(inside, rng.randint(1, 3))
        if index == 0:
            names = sorted({*names, 'backup-server'})
        text += [f"[{'external' if external else 'host'} n{index}]", f'address = 10.{seed}.0.{index + 1}{wide}',
                 f"roles = {', '.join(names)}"]
    return '\n'.join(text) + '\n'


def planned(topology, node, addresses):
    """(address, transport, first, last) that the node opens, of those addresses that are in the lab."""
    done = subprocess.run([HOLDFAST, 'ports', 'plan', topology, '--host', node, '--json'], capture_output=True, text=True,
                          check=False)
    flows = [json.loads(line) for line in done.stdout.splitlines()]
    return [(address, flow['transport'], flow['first'], flow['last']) for flow in flows
            if flow['type'] == 'flow' and flow['direction'] == 'out' for address in flow['addresses']
            if address in addresses]


class Packets(unittest.TestCase):
    def setUp(self):
        self.place = tempfile.TemporaryDirectory(prefix='holdfast-packets-')
        self.addCleanup(self.place.cleanup)

    def build(self, seed):
        self.rng = random.Random(seed + 1000)
        self.topology = f'{self.place.name}/{seed}.topology'
        pathlib.Path(self.topology).write_text(fleet(seed), encoding='ascii')
        self.lab = labs.Lab.up(self.topology, name=f'packets-{os.getpid()}-{seed}', program=HOLDFAST)
        self.addCleanup(self.lab.down)
        self.owner = {str(address): node for node in self.lab.nodes for address, _ in node.addresses}
        self.plan = {node.name: planned(self.topology, node.name, self.owner) for node in self.lab.nodes}

    def pass_planned(self):
        total = 0
        for node in self.lab.nodes:
            places = set()
            for address, transport, first, last in self.plan[node.name]:
                places |= {(address, transport, port) for port in (first, last, self.rng.randint(first, last))}
            results = self.lab.call(node.name, packets.try_all, sorted(places), 3)
            lost = sorted(place for place, passed in results.items() if not passed)
            self.assertEqual(lost, [], f'from {node.name}')
            total += len(results)
        return total

    def is_planned(self, node, address, transport, port):
        return any(address == to and transport == kind and first <= port <= last
                   for to, kind, first, last in self.plan[node.name])

    def unplanned(self):
        """Places for each node that its plan has not: near what it has, and anywhere."""
        known = sorted({(kind, port) for flows in self.plan.values() for _, kind, first, last in flows
                        for port in (first, last, first - 1, last + 1) if 0 < port < 65536})
        places = collections.defaultdict(set)
        for _ in range(UNPLANNED):
            source, target = self.rng.sample(self.lab.nodes, 2)
            versions = {a.version for a, _ in source.addresses} & {a.version for a, _ in target.addresses}
            if not versions or (source.external and target.external):
                continue
            version = self.rng.choice(sorted(versions))
            address = next(str(a) for a, _ in target.addresses if a.version == version)
            transport, port = self.rng.choice(known) if known and self.rng.random() < 0.7 else (
                self.rng.choice(['tcp', 'udp']), self.rng.randint(1, 65535))
            if not self.is_planned(source, address, transport, port):
                places[source.name].add((address, transport, port))
        return places

    def drop_unplanned(self):
        total = 0
        for name, places in self.unplanned().items():
            source = self.lab.node(name)
            results = self.lab.call(name, packets.try_all, sorted(places), 0.3)
            self.assertEqual([place for place, passed in results.items() if passed], [], f'from {name}')
            logged = {(record['host'], record['direction'], record['source'], record['target'], record['transport'],
                       record['port']) for record in self.lab.stray()}
            for address, transport, port in places:
                version = ipaddress.ip_address(address).version
                own = next(str(a) for a, _ in source.addresses if a.version == version)
                dropper = (self.owner[address].name, 'in') if source.external else (name, 'out')
                self.assertIn((*dropper, own, address, transport, port), logged)
            total += len(places)
        return total

    def run_fleet(self, seed):
        self.build(seed)
        self.assertEqual(self.lab.stray(), [])
        passed = self.pass_planned()
        self.assertEqual(self.lab.stray(), [], 'planned packets were dropped')
        report = coverage.of_lab(self.lab)
        self.assertEqual(report['flows_exercised'], report['flows'], 'a planned flow was not counted')
        dropped = self.drop_unplanned()
        print(f"# fleet {seed}: {passed} planned packets passed, {dropped} unplanned ones were dropped, "
              f"{report['rows']} rows", file=sys.stderr)
        self.assertGreater(passed, 0)
        self.assertGreater(dropped, 0)


def add_tests():
    for seed in SEEDS:
        setattr(Packets, f'test_fleet_{seed}', lambda self, seed=seed: self.run_fleet(seed))


if __name__ == '__main__':
    HOLDFAST = sys.argv.pop(1)
    SEEDS = [int(seed) for seed in sys.argv[1:]] or SEEDS
    why = labs.why_not()
    if why:
        print(f'1..0 # SKIP {why}')
        sys.exit(77)
    add_tests()
    unittest.main(argv=sys.argv[:1], verbosity=2)
