# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a ruleset of nftables, from its text or as the kernel gives it back, and tells which new connections pass. It
knows the part of the language that a ruleset of ours may use; whatever else stands there is an error."""
import re

from flows import Flows, address_span, port_span

TOKEN = re.compile(r'[ \t]+ | \#[^\n]* | (?P<text>"[^"\n]*") | (?P<end>[;\n]) | (?P<mark>[{},.]) | '
                   r'(?P<word>[A-Za-z0-9_@:/\-&<>=!]+(?:\.[A-Za-z0-9_:/\-]+)*)', re.VERBOSE)
BASE = [
    'iifname "lo" accept', 'oifname "lo" accept',
    'icmpv6 type { nd-router-solicit , nd-router-advert , nd-neighbor-solicit , nd-neighbor-advert } '
    'ip6 hoplimit 255 accept',
    'icmpv6 type { mld-listener-query , mld-listener-report , mld-listener-done , mld2-listener-report } accept',
    'icmp type { destination-unreachable , time-exceeded , parameter-problem } accept',
    'icmpv6 type { destination-unreachable , packet-too-big , time-exceeded , parameter-problem } accept',
]
LOOKUP = re.compile(r'ct state new (ip6?) ([sd])addr \. meta l4proto \. th dport @(\w+) accept')
NAMED = re.compile(r'ct state new (ip6?) ([sd])addr @(\w+) meta l4proto \. th dport @(\w+) accept')
LOG = re.compile(r'log group \d+ snaplen \d+ prefix "holdfast-\w+"')
HOOKS = {'input': 'in', 'output': 'out', 'forward': 'forward'}


def tokens_of(text):
    place, found = 0, []
    while place < len(text):
        match = TOKEN.match(text, place)
        if not match:
            raise ValueError(f'not a word of nft: {text[place:place + 40]!r}')
        place = match.end()
        if match.lastgroup == 'end':
            found.append(';')
        elif match.lastgroup:
            found.append(match.group())
    return found


class Reader:
    def __init__(self, text):
        self.tokens, self.place = tokens_of(text), 0
        self.sets, self.chains, self.counters = {}, {}, []
        self.comments = {}  # (set, element) -> comment

    def next(self):
        self.place += 1
        return self.tokens[self.place - 1]

    def peek(self):
        return self.tokens[self.place] if self.place < len(self.tokens) else None

    def expect(self, *words):
        for word in words:
            found = self.next()
            if found != word:
                raise ValueError(f'{found!r} stands for {word!r} at token {self.place}')

    def skip_ends(self):
        while self.peek() == ';':
            self.next()

    def statement(self):
        """Words up to the end of the line; braces go over lines."""
        words, depth = [], 0
        while depth > 0 or self.peek() not in (';', '}'):
            word = self.next()
            depth += (word == '{') - (word == '}')
            if word != ';':
                words.append(word)
        return words

    def ruleset(self):
        self.skip_ends()
        self.expect('table', 'inet', 'holdfast', ';')
        self.expect('delete', 'table', 'inet', 'holdfast', ';')
        self.expect('table', 'inet', 'holdfast', '{')
        while True:
            self.skip_ends()
            kind = self.next()
            if kind == '}':
                break
            name = self.next()
            self.expect('{')
            {'set': self.set, 'chain': self.chain, 'counter': self.counter}[kind](name)
        self.skip_ends()
        if self.peek() is not None:
            raise ValueError(f'{self.peek()!r} stands after the table')

    def counter(self, name):
        self.counters.append(name)
        self.skip_ends()
        self.expect('}')

    def set(self, name):
        words = {}
        while True:
            self.skip_ends()
            if self.peek() == '}':
                self.next()
                break
            statement = self.statement()
            if statement[0] in words:
                raise ValueError(f"set '{name}' has '{statement[0]}' twice")
            words[statement[0]] = statement[1:]
        if not {'type', 'flags', 'counter'} <= set(words) <= {'type', 'flags', 'counter', 'comment', 'elements'}:
            raise ValueError(f"set '{name}' has {sorted(words)}")
        if words['flags'] != ['interval']:
            raise ValueError(f"set '{name}' has flags {words['flags']}")
        self.sets[name] = (' '.join(words['type']), list(self.elements(name, words.get('elements', []))))

    def elements(self, name, words):
        """= { a . tcp . 80 counter comment "text" , ... }"""
        if not words:
            return
        if words[:2] != ['=', '{'] or words[-1] != '}':
            raise ValueError(f"set '{name}' has no list of elements")
        element = []
        for word in [*words[2:-1], ',']:
            if word != ',':
                element.append(word)
            elif element:
                if element[-3:-1] != ['counter', 'comment']:
                    raise ValueError(f"an element of '{name}' has no counter and comment: {element}")
                value = tuple(element[:-3])
                self.comments[name, value] = element[-1][1:-1]
                yield value
                element = []

    def chain(self, name):
        rules = []
        while True:
            self.skip_ends()
            if self.peek() == '}':
                self.next()
                break
            rules.append(' '.join(self.statement()))
        self.chains[name] = rules


def plain(rule):
    """The rule without what only counts or tells."""
    return re.sub(r' counter(?= (?!name))| comment "[^"]*"$', '', rule)


def read_elements(reader, name, family):
    kind, elements = reader.sets[name]
    if kind != f'{family}_addr . inet_proto . inet_service':
        raise ValueError(f"set '{name}' is of type {kind}")
    for value in elements:
        address, dot, transport, dot2, ports = value
        if dot + dot2 != '..':
            raise ValueError(f'no element: {value}')
        yield address_span(address), transport, port_span(ports)


def read_named(reader, members, ports, family):
    if reader.sets[members][0] != f'{family}_addr' or reader.sets[ports][0] != 'inet_proto . inet_service':
        raise ValueError(f"'{members}' and '{ports}' are of types {reader.sets[members][0]}, {reader.sets[ports][0]}")
    for (address,) in reader.sets[members][1]:
        for transport, _, span in reader.sets[ports][1]:
            yield address_span(address), transport, port_span(span)


def read_chain(reader, name, flows):
    rules = [plain(rule) for rule in reader.chains[name]]
    if rules[:2] != [f'type filter hook {name} priority filter', 'policy drop']:
        raise ValueError(f"chain '{name}' begins with {rules[:2]}")
    way = HOOKS[name]
    rest = rules[2:]
    if rest[-1] != f'counter name "dropped_{way}"':
        raise ValueError(f"chain '{name}' ends with {rest[-1]}")
    rest = [rule for rule in rest[:-1] if not LOG.fullmatch(rule)]
    if way == 'forward':
        if rest:
            raise ValueError(f'forwarding passes: {rest}')
        return
    head = ['ct state established , related accept', f'ct state invalid counter name "invalid_{way}" drop', 'jump base']
    if rest[:3] != head:
        raise ValueError(f"chain '{name}' has {rest[:3]}")
    for rule in rest[3:]:
        lookup, named = LOOKUP.fullmatch(rule), NAMED.fullmatch(rule)
        if not lookup and not named:
            raise ValueError(f'unknown rule: {rule}')
        match = lookup or named
        if match[2] != ('s' if way == 'in' else 'd'):
            raise ValueError(f'the wrong end: {rule}')
        family = 'ipv4' if match[1] == 'ip' else 'ipv6'
        found = (read_elements(reader, match[3], family) if lookup
                 else read_named(reader, match[3], match[4], family))
        for addresses, transport, ports in found:
            if addresses[0] != int(family[-1]):
                raise ValueError(f'an address of the other family in {rule}')
            flows.add(way, addresses, transport, ports)


def read_text(text):
    """(flows, reader) of what holdfast wrote."""
    reader, flows = Reader(text), Flows()
    reader.ruleset()
    if [plain(rule) for rule in reader.chains['base'] if not rule.startswith('comment ')] != BASE:
        raise ValueError(f"the base block is {reader.chains['base']}")
    if set(reader.chains) != {'base', *HOOKS}:
        raise ValueError(f'chains {sorted(reader.chains)}')
    for name in HOOKS:
        read_chain(reader, name, flows)
    return flows, reader


# ------------------------------------------------------------------------------------------ what the kernel has --

def json_span(value):
    if isinstance(value, dict) and 'range' in value:
        return '-'.join(map(str, value['range']))
    if isinstance(value, dict) and 'prefix' in value:
        return f"{value['prefix']['addr']}/{value['prefix']['len']}"
    return str(value)


def json_sets(items):
    sets = {}
    for each in (item['set'] for item in items if 'set' in item):
        values = []
        for item in each.get('elem', []):
            value = item['elem']['val']
            if 'counter' not in item['elem'] or 'comment' not in item['elem']:
                raise ValueError(f"an element of '{each['name']}' has no counter and comment")
            values.append([json_span(part) for part in value['concat']] if isinstance(value, dict) and 'concat' in value
                          else [json_span(value)])
        sets[each['name']] = values
    return sets


def json_lookups(rule):
    """[(what is looked up, set)] of a rule that accepts by sets."""
    found = []
    for part in rule['expr']:
        match = part.get('match')
        if match and isinstance(match['right'], str) and match['right'].startswith('@'):
            left = match['left']
            fields = left.get('concat', [left])
            found.append(([next(iter(field.values())).get('field') or next(iter(field.values())).get('key')
                           for field in fields], match['right'][1:]))
    return found


def read_json(document):
    """Flows of `nft -j list ruleset`, as far as rules with sets go (read_text looks at the other rules)."""
    items, flows = document['nftables'], Flows()
    sets = json_sets(items)
    for rule in (item['rule'] for item in items if 'rule' in item):
        lookups = json_lookups(rule)
        if not lookups:
            continue
        way = HOOKS[rule['chain']]
        end = 'saddr' if way == 'in' else 'daddr'
        if len(lookups) == 1 and lookups[0][0] == [end, 'l4proto', 'dport']:
            values = sets[lookups[0][1]]
        elif len(lookups) == 2 and [fields for fields, _ in lookups] == [[end], ['l4proto', 'dport']]:
            values = [[*member, *ports] for member in sets[lookups[0][1]] for ports in sets[lookups[1][1]]]
        else:
            raise ValueError(f'unknown rule: {lookups}')
        for address, transport, ports in values:
            flows.add(way, address_span(address), transport, port_span(ports))
    return flows
