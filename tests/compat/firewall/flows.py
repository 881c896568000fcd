# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets of flows of one host: which remote addresses may be reached (or may connect) over which ports. Two sets are
equal when they let the same packets through, however they were written down."""
import collections
import ipaddress


def address_span(text):
    """'10.0.0.1', '10.0.0.0/24' or '10.0.0.1-10.0.0.9' -> (version, first, last) as numbers."""
    if '-' in text:
        first, last = (ipaddress.ip_address(part) for part in text.split('-'))
        if first.version != last.version or first > last:
            raise ValueError(f'no range: {text}')
        return first.version, int(first), int(last)
    network = ipaddress.ip_network(text)
    return network.version, int(network[0]), int(network[-1])


def port_span(text, sign='-'):
    first, _, last = text.partition(sign)
    span = int(first), int(last or first)
    if not 0 < span[0] <= span[1] < 65536:
        raise ValueError(f'no ports: {text}')
    return span


def merged(spans):
    """Ascending spans of numbers that neither overlap nor touch."""
    result = []
    for first, last in sorted(spans):
        if result and first <= result[-1][1] + 1:
            result[-1] = (result[-1][0], max(result[-1][1], last))
        else:
            result.append((first, last))
    return tuple(result)


class Flows:
    def __init__(self):
        self.parts = collections.defaultdict(list)  # (direction, version, transport) -> (first, last, port, port)

    def add(self, direction, addresses, transport, ports):
        if direction not in ('in', 'out') or transport not in ('tcp', 'udp'):
            raise ValueError(f'no flow: {direction} {transport}')
        version, first, last = addresses
        self.parts[direction, version, transport].append((first, last, *ports))

    def __len__(self):
        return sum(len(parts) for parts in self.parts.values())

    def normal(self):
        """What two equal sets have in common: pieces of addresses with the ports that are open there."""
        return {key: normal_part(parts) for key, parts in self.parts.items() if parts}

    def overlaps(self):
        """Pairs of parts that let the same packet through."""
        found = []
        for key, parts in self.parts.items():
            ordered = sorted(parts)
            for i, one in enumerate(ordered):
                for other in ordered[i + 1:]:
                    if other[0] > one[1]:
                        break
                    if one[2] <= other[3] and other[2] <= one[3]:
                        found.append((key, one, other))
        return found


def normal_part(parts):
    bounds = sorted({part[0] for part in parts} | {part[1] + 1 for part in parts})
    starts = collections.defaultdict(list)
    for part in parts:
        starts[part[0]].append(part)
    active, pieces = [], []
    for first, end in zip(bounds, bounds[1:]):
        active = [part for part in active if part[1] >= first] + starts[first]
        ports = merged((part[2], part[3]) for part in active)
        if not ports:
            continue
        if pieces and pieces[-1][1] + 1 == first and pieces[-1][2] == ports:
            pieces[-1] = (pieces[-1][0], end - 1, ports)
        else:
            pieces.append((first, end - 1, ports))
    return pieces
