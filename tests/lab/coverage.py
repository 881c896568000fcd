# SPDX-License-Identifier: GPL-3.0-or-later
"""Which rows of the catalogue were exercised in a lab: the counters of the elements of its firewalls, joined with the
rows that their comments name."""
import collections
import ipaddress
import re

TOKEN = re.compile(r'\b([mx]\d+)\.(\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*)')
LEFT_OUT = re.compile(r'\+(\d+)\b')


def rows_of(comment):
    """'m2.17,18,20-22 x1.3 | who' -> its rows in full; and how many the comment had no room for."""
    rows, comment = [], comment.split(' | ')[0]
    for table, numbers in TOKEN.findall(comment):
        for part in numbers.split(','):
            first, _, last = part.partition('-')
            rows += [f'{table}.{number}' for number in range(int(first), int(last or first) + 1)]
    left = LEFT_OUT.search(comment)
    return rows, int(left.group(1)) if left else 0


def span(value):
    """(first, last) of a port or an address as nft prints it."""
    if isinstance(value, dict) and 'range' in value:
        return tuple(value['range'])
    if isinstance(value, dict) and 'prefix' in value:
        network = ipaddress.ip_network(f"{value['prefix']['addr']}/{value['prefix']['len']}")
        return str(network[0]), str(network[-1])
    return value, value


def elements(ruleset, host):
    """The elements of our table that stand for flows. Those of a named set have its name in place of addresses."""
    found = []
    for each in (item['set'] for item in ruleset if 'set' in item):
        if each['table'] != 'holdfast':
            continue
        for item in each.get('elem', []):
            element = item['elem'] if isinstance(item, dict) and 'elem' in item else {'val': item}
            parts = element['val'].get('concat') if isinstance(element['val'], dict) else None
            if not parts or 'counter' not in element:
                continue
            direction = 'out' if 'out' in each['name'].split('_') else 'in'
            named = len(parts) == 2
            rows, left = rows_of(element.get('comment', ''))
            found.append({'host': host, 'set': each['name'], 'direction': direction,
                          'peer': (each['name'], each['name']) if named else span(parts[0]), 'named': named,
                          'transport': parts[-2], 'ports': span(parts[-1]), 'packets': element['counter']['packets'],
                          'rows': rows, 'left_out': left})
    return found


def peers_of(element, nodes):
    if element['named']:
        return [element['peer'][0]]
    first, last = (ipaddress.ip_address(text) for text in element['peer'])
    return sorted({node.name for node in nodes for address, _ in node.addresses
                   if address.version == first.version and first <= address <= last}) or ['-'.join(element['peer'])]


def flows_of(found, nodes):
    """True or False for each (from, to, transport, first port, last port). A flow between two hosts with firewalls is
    exercised when both counted it; elements of several machines at one end count for each of these."""
    sides = collections.defaultdict(lambda: {'out': [], 'in': []})
    for element in found:
        for peer in peers_of(element, nodes):
            ends = (element['host'], peer) if element['direction'] == 'out' else (peer, element['host'])
            sides[(*ends, element['transport'], *element['ports'])][element['direction']].append(element['packets'] > 0)
    return {flow: all(any(counts) for counts in side.values() if counts) for flow, side in sides.items()}


def of_lab(lab):
    found = []
    for node in lab.nodes:
        if not node.external:
            found += elements(lab.ruleset(node.name), node.name)
    rows = collections.Counter()
    for element in found:
        for row in element['rows']:
            rows[row] += element['packets']
    flows = flows_of(found, lab.nodes)
    return {'flows': len(flows), 'flows_exercised': sum(flows.values()),
            'rows': len(rows), 'rows_exercised': sum(1 for packets in rows.values() if packets),
            'rows_not_named': sum(element['left_out'] for element in found),
            'elements': found, 'packets_by_row': dict(rows)}


def row_order(row):
    table, number = row.split('.')
    return table[0] != 'x', int(table[1:]), int(number)


def text(report):
    lines = [f"flows exercised: {report['flows_exercised']} of {report['flows']}",
             f"rows exercised:  {report['rows_exercised']} of {report['rows']}"]
    if report['rows_not_named']:
        lines.append(f"comments had no room for {report['rows_not_named']} rows; these are not counted")
    lines += ['', 'row\tconnections']
    packets = report['packets_by_row']
    lines += [f'{row}\t{packets[row]}' for row in sorted(packets, key=row_order)]
    return '\n'.join(lines)
