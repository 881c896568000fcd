# SPDX-License-Identifier: GPL-3.0-or-later
"""Random topologies: odd mixtures of roles, networks in networks, members of several sets, addresses of both families,
machines with names only."""
import re
import subprocess

PLACE = re.compile(r':(\d+):\d+: ')
NETWORKS = ['192.0.2.0/24', '192.0.2.0/28', '192.0.2.16/28', '192.0.0.0/16', '198.51.100.0/25', '2001:db8:f::/48',
            '2001:db8:f:1::/64', '2001:db8::/32', '203.0.113.7', '192.0.2.20', '2001:db8:f:1::9']
TITLES = ['Plain', 'Quoted "fleet"', "It's $(reboot) `reboot` ${HOME}", '*/ --> ]]> </zone> #> @" \\', '-- ; drop; }']


class Fleets:
    """Knows what the catalogue offers."""
    def __init__(self, roles, rows, conditions):
        self.inner = [role['role'] for role in roles if not role['external']]
        self.outer = [role['role'] for role in roles if role['kind'] != 'holdfast' or role['external']]
        self.conditions = conditions  # [(id, scope, values)]
        self.endpoints = sorted({end['host'] for row in rows for end in row['endpoints'] if end['kind'] != 'address'})
        self.placeholders = sorted({end['placeholder'] for row in rows for end in row['endpoints']
                                    if end.get('placeholder')})
        self.names = sorted({port['name'] for row in rows for port in row['ports'] if 'name' in port})

    def members(self, random):
        found = random.sample(NETWORKS, random.randint(0, 3))
        if random.random() < 0.3:
            found.append(f'member{random.randint(1, 9)}.example.org')
        return ', '.join(found)

    def settings(self, random, scope):
        lines = []
        for name, its_scope, values in random.sample(self.conditions, random.randint(0, 6)):
            if scope == 'fleet' or its_scope == 'host':
                lines.append(f'{name} = {random.choice(values)}')
        if random.random() < 0.5:
            lines.append(f"want = {random.choice(['all', 'm1', 'm2, m5'])}")
        if random.random() < 0.2:
            lines.append('fallback-ports = no')
        if random.random() < 0.2:
            lines.append(f'open-ports = {random.randint(1, 20)}')
        for name in self.names:
            if random.random() < (0.5 if scope == 'fleet' else 0.15):
                first = random.randint(1, 60000)
                ports = random.choice([f'{first}/tcp', f'{first}-{first + 90}/udp', f'{first}'])
                lines.append(f'port {name} = {ports}')
        return lines

    def names_lines(self, random, share):
        lines = [f'names {end} = {members}' for end in self.endpoints
                 if random.random() < share and (members := self.members(random))]
        return lines + [f'value {name} = value{random.randint(1, 3)}' for name in self.placeholders
                        if random.random() < share]

    def addresses(self, random, number, count):
        """Of `count` machines in a row, in one or two networks."""
        first, six = 1 + 40 * (number % 5), f'2001:db8:1:{number:x}::'
        found = []
        family = random.random()
        if family < 0.8:
            found.append(f'10.0.{number}.{first}' + (f'-10.0.{number}.{first + count - 1}' if count > 1 else ''))
        if family > 0.5:
            found.append(f'{six}{first:x}' + (f'-{six}{first + count - 1:x}' if count > 1 else ''))
        if random.random() < 0.2:
            found = [f'{address} lan' for address in found]
            last = f'-10.9.{number}.{first + count - 1}' if count > 1 else ''
            found.append(f'10.9.{number}.{first}{last} san')
        return ', '.join(found)

    def roles(self, random, offered):
        share = random.choice([1, 3, 10, 10, 30, len(offered)])
        return 'roles = ' + ', '.join(random.sample(offered, min(share, len(offered))))

    def topology(self, random):
        lines = ['[fleet]', f'title = {random.choice(TITLES)}', *self.settings(random, 'fleet'),
                 *self.names_lines(random, 0.3)]
        for number in range(random.randint(1, 7)):
            count = random.choice([1, 1, 1, 2, 7, 40])
            name = f'h{number}' + (f'-[1-{count}]' if count > 1 else '')
            lines += [f'[host {name}]', self.roles(random, self.inner)]
            lines.append(f'address = {self.addresses(random, number, count)}' if random.random() < 0.8 else
                         f'name = {name}.example.org')
            lines += self.settings(random, 'host')
        for number in range(random.randint(0, 7)):
            lines += [f'[external e{number}]', self.roles(random, self.outer)]
            kind = random.random()
            if kind < 0.4:
                lines.append(f'address = {self.addresses(random, 100 + number, 1)}')
            elif kind < 0.8:
                lines.append(f'address = {random.choice(NETWORKS)}')
            if kind > 0.7:
                lines.append(f'name = e{number}.example.org')
            lines += self.settings(random, 'host') + self.names_lines(random, 0.3)
        return lines


def accepted(program, lines, path):
    """Writes the topology without the lines that the program refuses, as what a role does not take."""
    while True:
        path.write_text('\n'.join(lines) + '\n', encoding='utf-8')
        done = subprocess.run([program, 'ports', 'plan', path], capture_output=True, text=True, check=False)
        place = PLACE.search(done.stderr)
        if done.returncode in (0, 3):
            return
        if done.returncode != 2 or not place:
            raise AssertionError(f'{path}: {done.stderr}')
        del lines[int(place.group(1)) - 1]
