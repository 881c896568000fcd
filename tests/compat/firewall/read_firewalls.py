# SPDX-License-Identifier: GPL-3.0-or-later
"""Readers of the other formats of `holdfast ports firewall`: each tells which new connections pass. They know what a
ruleset of ours may hold; whatever else stands there is an error."""
import csv
import io
import ipaddress
import json
import re
import shlex
import xml.etree.ElementTree

from flows import Flows, address_span, port_span


def lines_of(text):
    return [line for line in text.splitlines() if line and not line.startswith('#')]


def refuse(what):
    raise ValueError(f'not expected: {what}')


# ------------------------------------------------------------------------------------------------------ iptables --

IPTABLES_HEAD = [
    '-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT', '-A INPUT -m conntrack --ctstate INVALID -j DROP',
    '-A INPUT -j HOLDFAST-BASE', '-A INPUT -m conntrack --ctstate NEW -j HOLDFAST-IN', '-A INPUT -j HOLDFAST-DROPPED',
    '-A OUTPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
    '-A OUTPUT -m conntrack --ctstate INVALID -j DROP', '-A OUTPUT -j HOLDFAST-BASE',
    '-A OUTPUT -m conntrack --ctstate NEW -j HOLDFAST-OUT', '-A OUTPUT -j HOLDFAST-DROPPED',
    '-A FORWARD -j HOLDFAST-DROPPED']
IPTABLES_CHAINS = [':INPUT DROP [0:0]', ':FORWARD DROP [0:0]', ':OUTPUT DROP [0:0]', ':HOLDFAST-BASE - [0:0]',
                   ':HOLDFAST-IN - [0:0]', ':HOLDFAST-OUT - [0:0]', ':HOLDFAST-DROPPED - [0:0]']
ICMPV6 = {130, 131, 132, 143, 133, 134, 135, 136, 1, 2, 3, 4}


def iptables_options(words):
    """{'-p': 'tcp', '--dport': '22', ...}; -m is left out."""
    options, place = {}, 0
    while place < len(words):
        if words[place] not in ('-m', '-A', '-j', '-p', '-s', '-d', '-i', '-o') and not words[place].startswith('--'):
            refuse(words)
        if words[place] != '-m':
            if words[place] in options:
                refuse(words)
            options[words[place]] = words[place + 1]
        place += 2
    return options


def iptables_base(family, options, seen):
    keys = set(options) - {'-A', '-j', '--comment'}
    if keys in ({'-i'}, {'-o'}) and family is None and 'lo' in options.values():
        seen.add(next(iter(keys)))
    elif family == 4 and keys == {'-p', '--icmp-type'} and options['-p'] == 'icmp':
        seen.add(('icmp', int(options['--icmp-type'])))
    elif family == 6 and options.get('-p') == 'ipv6-icmp' and keys <= {'-p', '--icmpv6-type', '--hl-eq'}:
        kind = int(options['--icmpv6-type'])
        if (133 <= kind <= 136) != (options.get('--hl-eq') == '255'):
            refuse(options)
        seen.add(('icmpv6', kind))
    else:
        refuse(options)


def iptables_element(family, options, flows):
    way, end = ('in', 's') if options['-A'] == 'HOLDFAST-IN' else ('out', 'd')
    range_key = '--src-range' if way == 'in' else '--dst-range'
    addresses = [options[key] for key in (f'-{end}', range_key) if key in options]
    if set(options) - {'-A', '-j', '-p', f'-{end}', range_key, '--dport', '--comment'} or len(addresses) != 1:
        refuse(options)
    span = address_span(addresses[0])
    if span[0] != family or len(options['--comment']) > 255:
        refuse(options)
    flows.add(way, span, options['-p'], port_span(options['--dport'], ':'))


def read_iptables(text):
    flows, seen, lines = Flows(), set(), lines_of(text)
    if lines[:8] != ['*filter', *IPTABLES_CHAINS] or lines[-1] != 'COMMIT' or lines[8:19] != IPTABLES_HEAD:
        refuse(lines[:19])
    for line in lines[19:-1]:
        words = shlex.split(line)
        family = int(words.pop(0)[1:]) if words[0] in ('-4', '-6') else None
        options = iptables_options(words)
        if options['-A'] == 'HOLDFAST-DROPPED' and options['-j'] in ('RETURN', 'NFLOG'):
            continue
        if options['-j'] != 'ACCEPT':
            refuse(line)
        if options['-A'] == 'HOLDFAST-BASE':
            iptables_base(family, options, seen)
        elif options['-A'] in ('HOLDFAST-IN', 'HOLDFAST-OUT'):
            iptables_element(family, options, flows)
        else:
            refuse(line)
    if seen != {'-i', '-o', *(('icmp', kind) for kind in (3, 11, 12)), *(('icmpv6', kind) for kind in ICMPV6)}:
        refuse(seen)
    return flows


# ----------------------------------------------------------------------------------------------------- firewalld --

FIREWALLD_ICMP = ({(family, kind) for family in ('ipv4', 'ipv6')
                   for kind in ('destination-unreachable', 'time-exceeded', 'parameter-problem')} |
                  {('ipv6', kind) for kind in ('packet-too-big', 'router-solicitation', 'router-advertisement',
                                               'neighbour-solicitation', 'neighbour-advertisement')})
HERE = re.compile(r"^cat > \"\$folder/(\S+)\" <<'END_OF_FILE'\n(.*?)^END_OF_FILE\n", re.DOTALL | re.MULTILINE)


def firewalld_files(text):
    """({name: XML}, the script without them)."""
    return dict(HERE.findall(text)), HERE.sub('', text)


def firewalld_rule(rule, way, flows, icmp):
    end = 'source' if way == 'in' else 'destination'
    tags = [child.tag for child in rule]
    family = rule.attrib['family']
    if rule.attrib.keys() != {'family'} or tags[-1] != 'accept' or rule[-1].attrib:
        refuse(xml.etree.ElementTree.tostring(rule))
    if tags == ['icmp-type', 'accept']:
        icmp.add((family, rule[0].attrib['name']))
    elif tags == [end, 'protocol', 'accept'] and rule[1].attrib == {'value': 'ipv6-icmp'}:
        icmp.add((family, rule[0].attrib['address']))
    elif tags == [end, 'port', 'accept'] and rule[0].attrib.keys() == {'address'}:
        span = address_span(rule[0].attrib['address'])
        if f'ipv{span[0]}' != family or '-' in rule[0].attrib['address']:
            refuse(rule[0].attrib)
        flows.add(way, span, rule[1].attrib['protocol'], port_span(rule[1].attrib['port']))
    else:
        refuse(xml.etree.ElementTree.tostring(rule))


def read_firewalld(text):
    flows = Flows()
    files, _ = firewalld_files(text)
    if list(files) != ['zones/holdfast.xml', 'policies/holdfast-out.xml']:
        refuse(list(files))
    zone, policy = (xml.etree.ElementTree.fromstring(content) for content in files.values())
    ends = [(child.tag, child.attrib['name']) for child in policy if child.tag.endswith('-zone')]
    if ends != [('ingress-zone', 'HOST'), ('egress-zone', 'ANY')]:
        refuse(ends)
    for root, tag, way, group in ((zone, 'zone', 'in', 'fe80::/10'), (policy, 'policy', 'out', 'ff00::/8')):
        icmp = set()
        if root.tag != tag or root.attrib != {'target': 'DROP'}:
            refuse((root.tag, root.attrib))
        for child in root:
            if child.tag == 'rule':
                firewalld_rule(child, way, flows, icmp)
            elif child.tag not in ('short', 'ingress-zone', 'egress-zone'):
                refuse(child.tag)
        if icmp != FIREWALLD_ICMP | {('ipv6', group)}:
            refuse(icmp)
    return flows


# ----------------------------------------------------------------------------------------------------------- ufw --

UFW_HEAD = ['set -eu', """case "$*" in '' | --dry-run) ;; *) echo "usage: sh $0 [--dry-run]" >&2; exit 2 ;; esac""",
            """ufw show added | sed -n "s/^ufw \\(.* comment 'holdfast .*'\\)\\$/\\1/p" |""",
            """  xargs -r -L 1 ufw "$@" --force delete"""]
UFW_TAIL = ['ufw "$@" default deny incoming', 'ufw "$@" default deny outgoing', 'ufw "$@" default deny routed',
            '[ $# -gt 0 ] || ufw --force enable']


def read_ufw(text):
    flows, lines = Flows(), lines_of(text)
    if lines[:4] != UFW_HEAD or lines[-4:] != UFW_TAIL:
        refuse(lines[:4] + lines[-4:])
    for line in lines[4:-4]:
        words = shlex.split(line)
        if words[:3] != ['ufw', '$@', 'allow'] or words[4:14:2] != ['proto', 'from', 'to', 'port', 'comment']:
            refuse(line)
        way, (transport, source, target, ports, comment) = words[3], words[5:15:2]
        if len(words) != 14 or (target if way == 'in' else source) != 'any' or not comment.startswith('holdfast '):
            refuse(line)
        flows.add(way, address_span(source if way == 'in' else target), transport, port_span(ports, ':'))
    return flows


TUPLE = re.compile(r'^### tuple ### allow (tcp|udp) ([0-9:]+) (\S+) any (\S+) (in|out) comment=[0-9a-f]+$',
                   re.MULTILINE)


def read_ufw_tuples(text):
    """What ufw itself says it would do, from what its dry runs print."""
    flows, any_address = Flows(), {'0.0.0.0/0', '::/0'}
    for transport, ports, target, source, way in TUPLE.findall(text):
        if (target if way == 'in' else source) not in any_address:
            refuse((target, source, way))
        flows.add(way, address_span(source if way == 'in' else target), transport, port_span(ports, ':'))
    return flows


# ------------------------------------------------------------------------------------------------------- windows --

POWERSHELL = re.compile(r"[ \t\r\n]+ | \#[^\n]* | (?P<text>'(?:[^'\u2018-\u201b]|'')*') | (?P<mark>@\{|@\(|[})=;,]) | "
                        r"(?P<word>[A-Za-z$][\w-]*)", re.VERBOSE)
WINDOWS_LAST = 'Set-NetFirewallProfile -All -Enabled True -DefaultInboundAction Block -DefaultOutboundAction Block\n'


def powershell_tokens(text):
    place = 0
    while place < len(text):
        match = POWERSHELL.match(text, place)
        if not match:
            refuse(text[place:place + 60])
        place = match.end()
        if match.lastgroup == 'text':
            yield 'text', match.group()[1:-1].replace("''", "'")
        elif match.lastgroup:
            yield match.lastgroup, match.group()


def windows_value(tokens):
    """A text, or @('a', 'b'), as a list."""
    kind, value = next(tokens)
    if kind == 'text':
        return [value]
    if value != '@(':
        refuse(value)
    values = []
    while True:
        values.append(next(tokens)[1])
        mark = next(tokens)
        if mark == ('mark', ')'):
            return values
        if mark != ('mark', ','):
            refuse(mark)


def windows_rule(tokens):
    """(texts, {key: values}) of what stands behind Allow."""
    texts, what = [], {}
    for kind, value in tokens:
        if kind == 'text':
            texts.append(value)
        else:
            if value != '@{':
                refuse(value)
            break
    while True:
        kind, key = next(tokens)
        if next(tokens) != ('mark', '=') or kind != 'word' or key in what:
            refuse(key)
        what[key] = windows_value(tokens)
        mark = next(tokens)
        if mark == ('mark', '}'):
            return texts, what
        if mark != ('mark', ';'):
            refuse(mark)


def read_windows(text):
    flows, names = Flows(), set()
    if not text.isascii() or not text.endswith(WINDOWS_LAST):
        refuse('the end')
    lines = text[:-len(WINDOWS_LAST)].splitlines(keepends=True)
    base = next(i for i, line in enumerate(lines) if line.startswith('foreach'))
    end = next(i for i in range(base, len(lines)) if lines[i] == '}\n') + 1
    head = ''.join(lines[:end])
    for part in ("Get-NetFirewallRule -Group 'Holdfast'", "'ICMPv4'; IcmpType = '3', '11', '12'",
                 "'1', '2', '3', '4', '130', '131', '132', '133', '134', '135', '136', '143'",
                 "$ErrorActionPreference = 'Stop'", '-Action Allow'):
        if part not in head:
            refuse(head)
    tokens = powershell_tokens(''.join(lines[end:]))
    for word in tokens:
        if word != ('word', 'Allow'):
            refuse(word)
        (name, direction, rows), what = windows_rule(tokens)
        way = {'Inbound': 'in', 'Outbound': 'out'}[direction]
        port_key = 'LocalPort' if way == 'in' else 'RemotePort'
        if what.keys() != {'Protocol', port_key, 'RemoteAddress'} or name in names or not rows:
            refuse(what)
        names.add(name)
        for address in what['RemoteAddress']:
            flows.add(way, address_span(address), what['Protocol'][0].lower(), port_span(what[port_key][0]))
    return flows, head


# -------------------------------------------------------------------------------------------------- csv and json --

def read_csv(text):
    flows = Flows()
    rows = list(csv.DictReader(io.StringIO(text, newline=''), strict=True))
    if [row['kind'] for row in rows].count('drop') != 1 or rows[-1]['kind'] != 'drop':
        refuse('the default')
    for row in rows:
        if None in row or None in row.values() or row['kind'] not in ('base', 'allow', 'name', 'unresolved', 'drop'):
            refuse(row)
        if row['kind'] == 'allow':
            flows.add(row['direction'], address_span(row['peer']), row['transport'], port_span(row['ports']))
    return flows


def json_range(item):
    span = address_span(item['peer'])
    if span != address_span(f"{item['peer_first']}-{item['peer_last']}"):
        refuse(item)
    return span


def read_json(text):
    flows, lines = Flows(), [json.loads(line) for line in text.splitlines()]
    for line in lines:
        if line['type'] == 'element':
            version = ipaddress.ip_address(line['peer_first']).version
            if line['set'] != f"{line['direction']}_ipv{version}":
                refuse(line)
            flows.add(line['direction'], json_range(line), line['transport'], (line['first'], line['last']))
        elif line['type'] == 'set':
            for ports in line['ports']:
                for member in line['members']:
                    flows.add(ports['direction'], json_range(member), ports['transport'],
                              (ports['first'], ports['last']))
    return flows, lines
