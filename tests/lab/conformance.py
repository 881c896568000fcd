# SPDX-License-Identifier: GPL-3.0-or-later
"""Which rows of the catalogue Holdfast itself exercised in a lab: what its parts logged of their connections, held against
the plan of the topology and the counters of the firewalls. Makes docs/conformance.md."""
import collections
import json
import re
import subprocess

import coverage

LINE = re.compile(r'row ([a-z0-9.,-]+): (connected|looked up|logged in|sent|listening)(.*)')
HEAD = '''<!-- SPDX-License-Identifier: GPL-3.0-or-later -->
<!-- Made by tests/lab/test_parts.py --report; not written by hand. -->
# Rows that Holdfast exercises

The fleet of `examples/fleet.topology` runs in [the lab](lab.md): {hosts} hosts, each behind the firewall that
`holdfast ports firewall` renders for it, all with default drop. The test enrols hosts by SSH and by token, backs up, copies
between repositories, restores to other hosts, verifies, tells mail and syslog servers of results, upgrades an agent, and
collects logs; with ports closed it goes through others or says what is closed. What is listed here was named by the part
that made the connection (the server and the agents log the rows of each), is planned between these two ends, and was
counted by the firewalls at both.

| row | from | to | port | for |
| --- | --- | --- | --- | --- |
'''
FOOT = '''
{rows} rows. Packets that fell to a default drop: {stray}.

Planned for these hosts and not exercised, as nothing in Holdfast needs them yet: {idle}.
'''


def flows_of(lab):
    """What the firewalls of a lab know: (from, to) -> list of (transport, ports, rows, both counted it)."""
    found = []
    for node in lab.nodes:
        if not node.external:
            found += coverage.elements(lab.ruleset(node.name), node.name)
    counted, rows = collections.defaultdict(dict), collections.defaultdict(set)
    for element in found:
        for peer in coverage.peers_of(element, lab.nodes):
            out = element['direction'] == 'out'
            ends = (element['host'], peer) if out else (peer, element['host'])
            key = (*ends, element['transport'], *element['ports'])
            side = counted[key]
            side[out] = side.get(out, False) or element['packets'] > 0
            rows[key].update(element['rows'])
    return {key: (rows[key], all(sides.values())) for key, sides in counted.items()}


def end_of(text, lab, fleet):
    """The host that a line speaks of: by name, by address or by its id."""
    for node in lab.nodes:
        words = [*node.names, *(str(address) for address, _ in node.addresses)]
        if any(re.search(rf'(?<![\w.]){re.escape(word)}(?![\w.])', text) for word in words):
            return node.name
    return next((name for name, host in fleet.hosts.items() if host.id in text), None)


# Who is at the other end where a line cannot say it.
KNOWN = {'listening': ('rest', 'server'), 'looked up': ('server', 'dns')}


def connections(lab, fleet, since):
    """(from, to, port or None, rows): what parts logged."""
    logs = [('server', fleet.server_log()[since:])] + [(host, fleet.agent_log(host)) for host in fleet.hosts]
    # Logins over SSH come before anybody knows what a host will be; the plan says which of the rows counts.
    logs.append(('server', '\n'.join(line for line in fleet.server_log()[:since].splitlines() if 'logged in' in line)))
    for host, text in logs:
        for line in text.splitlines():
            match = LINE.search(line)
            if not match or match[1] == '-':
                continue
            ends = KNOWN.get(match[2]) or (host, end_of(match[3], lab, fleet) or ('db' if 'database' in line else None))
            port = re.search(r'port (\d+)', match[3])
            yield (*ends, int(port[1]) if port else None, tuple(match[1].split(',')))


def of_lab(lab, fleet, since):
    """{'rows': row -> set of (from, to, transport, ports); 'unplanned', 'uncounted': what should not be; 'idle'}"""
    flows = flows_of(lab)
    rows, unplanned, uncounted = collections.defaultdict(set), set(), set()
    for source, target, port, named in set(connections(lab, fleet, since)):
        matching = [(key, row) for key, (planned, _) in flows.items() if key[:2] == (source, target) and
                    (port is None or key[3] <= port <= key[4]) for row in named if row in planned]
        if not matching:
            unplanned.add((source, target, port, named))
        elif not any(flows[key][1] for key, _ in matching):
            uncounted.add((source, target, port, named))
        for key, row in matching:
            if flows[key][1]:
                rows[row].add(key)
    planned = {row for each, _ in flows.values() for row in each}
    return {'rows': dict(rows), 'unplanned': sorted(unplanned, key=str), 'uncounted': sorted(uncounted, key=str),
            'idle': sorted(planned - set(rows), key=coverage.row_order), 'stray': len(lab.stray()),
            'hosts': len(lab.nodes)}


def ports_text(key):
    return f'{key[2]} {key[3]}' + (f'-{key[4]}' if key[4] != key[3] else '')


def purposes(program):
    done = subprocess.run([program, 'ports', 'list', '--json'], capture_output=True, text=True, check=True)
    return {row['row']: row['purpose'] for row in map(json.loads, done.stdout.splitlines()) if 'row' in row}


def page(report, program):
    lines, about = [], purposes(program)
    for row in sorted(report['rows'], key=coverage.row_order):
        keys = report['rows'][row]
        cells = (', '.join(sorted({key[0] for key in keys})), ', '.join(sorted({key[1] for key in keys})),
                 ', '.join(sorted({ports_text(key) for key in keys})), about[row])
        lines.append(f"| {row} | {' | '.join(cells)} |")
    return (HEAD.format(hosts=report['hosts']) + '\n'.join(lines) + '\n' +
            FOOT.format(rows=len(lines), stray=report['stray'], idle=', '.join(report['idle'])))
