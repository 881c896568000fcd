# SPDX-License-Identifier: GPL-3.0-or-later
"""The machines of a topology with their addresses and names: as much of the format (docs/topology.md) as it takes to
plug them together. Everything else of a topology is for holdfast to read."""
import dataclasses
import ipaddress
import re


@dataclasses.dataclass
class Node:
    name: str
    external: bool
    addresses: list = dataclasses.field(default_factory=list)  # (ipaddress address, name of its network or None)
    names: list = dataclasses.field(default_factory=list)


class TopologyError(Exception):
    pass


def expand(text):
    """'node[1-3].example' -> its three names; without brackets the text alone."""
    match = re.fullmatch(r'(.*)\[(\d+)-(\d+)\](.*)', text)
    if not match:
        return [text]
    head, first, last, tail = match.groups()
    width = len(first) if first.startswith('0') else 0
    return [f'{head}{number:0{width}d}{tail}' for number in range(int(first), int(last) + 1)]


def parse_address(text, line):
    """(first address, how many, network name). A network counts as its first usable address."""
    words = text.split()
    if not 1 <= len(words) <= 2:
        raise TopologyError(f'line {line}: not an address: {text!r}')
    network = words[1] if len(words) == 2 else None
    try:
        if '/' in words[0]:
            block = ipaddress.ip_network(words[0])
            return (block[1] if block.num_addresses > 2 else block[0]), 1, network
        first, _, last = words[0].partition('-')
        first = ipaddress.ip_address(first)
        return first, (int(ipaddress.ip_address(last)) - int(first) + 1 if last else 1), network
    except ValueError as error:
        raise TopologyError(f'line {line}: {error}') from error


def add_value(nodes, key, value, line):
    for item in (part.strip() for part in value.split(',')):
        if key == 'name':
            names = expand(item)
            for node, name in zip(nodes, names if len(names) > 1 else names * len(nodes)):
                node.names.append(name)
        elif key == 'address':
            first, count, network = parse_address(item, line)
            if count != len(nodes):
                raise TopologyError(f'line {line}: {count} addresses for {len(nodes)} machines')
            for offset, node in enumerate(nodes):
                node.addresses.append((first + offset, network))


def parse(text):
    """All hosts and externals, in the order of the file."""
    nodes, section = [], []
    for line, raw in enumerate(text.splitlines(), 1):
        content = re.split(r'(?:^|(?<=\s))#', raw)[0].strip()
        if not content:
            continue
        heading = re.fullmatch(r'\[\s*(fleet|site|host|external)\s*(.*?)\s*\]', content)
        if heading:
            kind, name = heading.groups()
            section = [Node(each, kind == 'external') for each in expand(name)] if kind in ('host', 'external') else []
            nodes += section
        elif '=' in content:
            key, value = (part.strip() for part in content.split('=', 1))
            add_value(section, key, value, line)
        else:
            raise TopologyError(f'line {line}: neither a heading nor key = value')
    return nodes


def load(path):
    with open(path, encoding='utf-8') as file:
        return parse(file.read())
