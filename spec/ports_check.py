# SPDX-License-Identifier: GPL-3.0-or-later
"""Loads data/ports/ and checks all that must hold in it. `Catalogue` is what the generator of C works from."""
import collections
import re

import ports_text as text
from ports_text import EMPTY

KINDS = ('holdfast', 'management', 'hypervisor', 'storage', 'cloud', 'directory', 'database', 'guest', 'application',
         'mail', 'network', 'vendor')
PAGES = ('explorer', 'main')
TRANSPORTS = {'TCP': 'tcp', 'UDP': 'udp', 'TLS': 'tcp', 'NDMP': 'tcp', 'LDAP': None}
DASH = '\N{EM DASH}'
# A mark, and which rows have it: those of which the function says so, and no others.
MARKED = {
    'not-transport': lambda row: bool(set(re.findall('[A-Z]+', row['protocol'])) - {'TCP', 'UDP'}),
    'missing-protocol': lambda row: row['protocol'] == DASH,
    'comma-missing': lambda row: ' ' in row['protocol'] and ',' not in row['protocol'],
    'order-unusual': lambda row: row['protocol'].startswith('UDP,'),
    'range-hyphen': lambda row: re.search(r'\d-\d', row['port']) is not None,
    'list-means-fallback': lambda row: row['mode'] == 'fallback' and ' or ' not in row['port'],
}


class Catalogue:
    """All tables, read and checked; `findings` says what is wrong. Raises ValueError for what is no table."""

    def __init__(self, folder):
        self.findings = text.Findings()
        for name in text.COLUMNS:
            setattr(self, name, text.read(f'{folder}/{name}.tsv', name, self.findings))
        self.by = {}
        self.used = collections.defaultdict(set)
        for name in ('sections', 'roles', 'conditions', 'services', 'applications', 'marks', 'rules'):
            self.by[name] = self.index(name)
        self.flows = collections.defaultdict(set)
        for row in self.rows:
            self.flows[row['from'], row['to'], row['protocol'], row['port']].add((row['page'], row['table']))
        self.check_conditions()
        self.check_roles()
        self.check_tables()
        self.check_rows()
        self.check_services()
        self.check_unused()

    # ------------------------------------------------------------------------------------------------- small tables

    def index(self, name):
        """Records by id, which must be well written and unique."""
        found = {}
        for record in getattr(self, name):
            record.key = record['id']
            if not re.fullmatch('R[1-9][0-9]*' if name == 'rules' else '[a-z0-9][a-z0-9.-]*', record.key):
                record.complain('id', f"'{record.key}' is not written as an id")
            if record.key in found:
                record.complain('id', f"'{record.key}' stands in line {found[record.key].line} already")
            found[record.key] = record
        return found

    def ask(self, record, column, name, key):
        """The record of table `name` that a cell names, or None after a complaint."""
        self.used[name].add(key)
        if key not in self.by[name]:
            record.complain(column, f"'{key}' is not in {name}.tsv")
        return self.by[name].get(key)

    def check_conditions(self):
        for record in self.conditions:
            record.choice('scope', ('fleet', 'host'))
            values = record.words('values')
            if len(values) < 2 or len(set(values)) < len(values):
                record.complain('values', 'there must be two or more, each once')
            record.choice('default', values)
            record.implied = None
            if record.has('implied'):
                match = re.fullmatch('([^:@]+)([:@])(.+)', record['implied'])
                if not match or match[1] not in values or match[2] == '@' and record['scope'] == 'fleet':
                    record.complain('implied', "it must be VALUE:ROLE, or for hosts VALUE@ROLE")
                elif self.ask(record, 'implied', 'roles', match[3]):
                    record.implied = match[1], match[2] == '@', match[3]

    def when(self, record, column, cell):
        """The clauses that a cell holds; every atom is of a condition, with a value and a subject that it has."""
        try:
            clauses = text.parse_when(cell) if isinstance(cell, str) else cell
        except ValueError as error:
            record.complain(column, str(error))
            return ()
        good = True
        for atom in (atom for clause in clauses for atom in clause):
            condition = self.ask(record, column, 'conditions', atom.condition)
            if condition is None:
                good = False
            elif (condition['scope'] == 'fleet') != (atom.subject == 'fleet'):
                record.complain(column, f"'{atom.condition}' is about the {condition['scope']}"
                                f"{'; say whose' if atom.subject == 'fleet' else ''}")
                good = False
            elif atom.value not in condition.words('values'):
                record.complain(column, f"'{atom.condition}' has no value '{atom.value}'")
                good = False
        return clauses if good else ()

    def check_roles(self):
        for record in self.roles:
            record.choice('kind', KINDS)
            for column in ('external', 'assumed'):
                record.choice(column, ('yes', 'no'))
            if record.has('is'):
                wider, seen = record, {record.key}
                while wider is not None and wider.has('is'):
                    wider = self.ask(record, 'is', 'roles', wider['is'])
                    if wider is not None and wider.key in seen:
                        record.complain('is', f"'{record.key}' is itself by way of '{wider.key}'")
                        break
                    seen.add(wider.key if wider else None)
            elif record['assumed'] == 'yes':
                record.complain('assumed', 'there is no wider role to assume it from')
            names = [text.fold(name) for name in record.words('names', ';')]
            if len(set(names)) < len(names):
                record.complain('names', 'a name stands there twice')

    def check_tables(self):
        previous = ('explorer', 0)
        self.table_of = {}
        for record in self.tables:
            record.choice('page', PAGES)
            number = record.number('table')
            if (record['page'], number) not in ((previous[0], previous[1] + 1), ('main', 1)):
                record.complain('table', f'it does not follow on table {previous[1]} of page {previous[0]}')
            previous = record['page'], number
            record.key = record['page'].replace('explorer', 'x').replace('main', 'm') + str(number)
            section = self.ask(record, 'section', 'sections', record['section'])
            if section is not None and section['page'] != record['page']:
                record.complain('section', 'that is a section of another page')
            record.number('line')
            record.number('rows')
            record.clauses = self.when(record, 'when', record['when'])
            for rule in record.words('rules'):
                self.ask(record, 'rules', 'rules', rule)
            self.table_of[record['page'], record['table']] = record
        for record in self.sections:
            record.choice('page', PAGES)

    # --------------------------------------------------------------------------------------------------------- rows

    def check_rows(self):
        counts, previous, above, self.row_of = collections.Counter(), None, 0, {}
        order = {key: place for place, key in enumerate(self.table_of)}
        for row in self.rows:
            where = row['page'], row['table']
            row.table = self.table_of.get(where)
            if row.table is None:
                row.complain('table', f"there is no table {where[1]} of page '{where[0]}' in tables.tsv")
                continue
            counts[where] += 1
            row.key = f"{row.table.key}.{row['row']}"
            if row['row'] != str(counts[where]):
                row.complain('row', f"it should be {counts[where]}")
            if previous is not None and order[where] < order[previous['page'], previous['table']]:
                row.complain('table', 'it stands after a table that follows it on the page')
            line = row.number('line')
            if previous is not None and previous['page'] == row['page'] and line <= above:
                row.complain('line', f'it is not after line {above} of the row above')
            previous, above = row, line
            section = self.by['sections'].get(row.table['section'])
            if section is not None and row['section'] != section['title']:
                row.complain('section', f"table {row.table.key} stands in '{section['title']}'")
            self.row_of[row.key] = row
            self.check_row(row)
        for where, table in self.table_of.items():
            if table['rows'] != str(counts[where]):
                table.complain('rows', f'rows.tsv has {counts[where]}')

    def check_row(self, row):
        row.choice('need', ('required', 'conditional', 'optional'))
        row.choice('pair', ('any', 'same-site', 'other-site'))
        row.choice('custom', ('yes', 'no'))
        for column in ('from', 'to', 'protocol', 'port'):
            if '\\' in row[column]:
                row.complain(column, 'an escape of the markdown was left in')
        row.uses = {end: self.check_uses(row, end) for end in ('from', 'to')}
        row.clauses = row.table.clauses + self.when(row, 'when', row['when'])
        if (row['need'] == 'required') == bool(row.clauses) and row['need'] != 'optional':
            row.complain('need', "'required' is for rows without a condition, 'conditional' for those with one")
        self.check_transport(row)
        self.check_ports(row)
        self.check_endpoints(row)
        self.check_marks(row)
        if not row['purpose'][0].isupper() and not row['purpose'][0].isdigit() or row['purpose'].endswith('.'):
            row.complain('purpose', 'it begins with a capital and has no full stop at its end')

    def check_uses(self, row, end):
        """[(role id, clauses)]: each role must be named by what is printed."""
        printed, uses = text.fold(row[end]), []
        for word in row.words(f'{end}-roles'):
            try:
                key, clauses = text.parse_braced(word)
            except ValueError as error:
                row.complain(f'{end}-roles', str(error))
                continue
            role = self.ask(row, f'{end}-roles', 'roles', key)
            if role is None:
                continue
            if not any(text.fold(name) in printed for name in role.words('names', ';')):
                row.complain(f'{end}-roles', f"none of the names of '{key}' stands in '{row[end]}'")
            uses.append((key, self.when(row, f'{end}-roles', clauses)))
        if not uses or len({key for key, _ in uses}) < len(uses):
            row.complain(f'{end}-roles', 'there must be one or more, each once')
        return uses

    def check_transport(self, row):
        words = re.findall('[A-Z]+', row['protocol'])
        if row['protocol'] != DASH and (not words or set(words) - set(TRANSPORTS)):
            row.complain('protocol', 'it is nothing that the pages write for a protocol')
            return
        expected = sorted({TRANSPORTS[word] for word in words if TRANSPORTS[word]})
        if row['transport'] != (','.join(expected) or EMPTY):
            row.complain('transport', f"'{row['protocol']}' stands for '{','.join(expected) or EMPTY}'")

    def check_ports(self, row):
        try:
            row.items = text.parse_ports(row['ports'])
            printed = text.parse_printed(row['port'])
        except ValueError as error:
            row.items = []
            row.complain('ports', str(error))
            return
        mine = [(item.kind, item.first, item.last, item.name) for item in row.items]
        if len(mine) != len(printed) or any(
                one[:3] != two[:3] or two[3] not in (None, one[3]) for one, two in zip(mine, printed)):
            row.complain('ports', f"they are not what is printed: '{row['port']}'")
        if row['mode'] != text.row_mode(row.items):
            row.complain('mode', f"the ports say '{text.row_mode(row.items)}'")
        if ' or ' in row['port'] and all(item.mode == 'all' for item in row.items):
            row.complain('ports', "an 'or' is printed, but all are wanted")
        for item in row.items:
            self.when(row, 'ports', item.when)
        row.applications = self.spread(row, 'application', 'applications')
        row.services = self.spread(row, 'service', 'services')

    def spread(self, row, column, name):
        """One id an item, None where there is none: the cell has one for all, or one each."""
        words = row[column].split(',')
        if len(words) not in (1, len(row.items)):
            row.complain(column, f'there are {len(words)} for {len(row.items)} ports')
            return [None] * len(row.items)
        for word in set(words) - {EMPTY}:
            self.ask(row, column, name, word)
        return [None if word == EMPTY else word for word in (words * len(row.items))[:len(row.items)]]

    def check_endpoints(self, row):
        row.points = []
        for word in row.words('endpoints', ' '):
            try:
                point = text.parse_endpoint(word)
                row.points.append(point)
                self.when(row, 'endpoints', point.when)
            except ValueError as error:
                row.complain('endpoints', str(error))
        printed = text.printed_endpoints(row['to'])
        elsewhere = 'endpoints-elsewhere' in row.words('marks')
        if [point.text for point in row.points] != printed and (printed or not elsewhere):
            row.complain('endpoints', f"printed are: {' '.join(printed) or 'none'}")

    def check_marks(self, row):
        marks = row.words('marks')
        for mark in marks:
            self.ask(row, 'marks', 'marks', mark)
        for mark, test in MARKED.items():
            if test(row) != (mark in marks):
                row.complain('marks', f"'{mark}' {'is missing' if test(row) else 'does not hold here'}")
        repeated = len(self.flows[row['from'], row['to'], row['protocol'], row['port']]) > 1
        if repeated != ('repeated' in marks):
            row.complain('marks', f"'repeated' {'is missing' if repeated else 'does not hold here'}")
        numbers = []
        for rule in row.words('rules'):
            self.ask(row, 'rules', 'rules', rule)
            numbers.append(int(rule[1:]) if rule[1:].isdigit() else 0)
        if numbers != sorted(set(numbers)):
            row.complain('rules', 'they are not in order, each once')

    # ----------------------------------------------------------------------------------------------------- services

    def check_services(self):
        for service in self.services:
            service.choice('kind', ('own', 'used'))
            service.item, service.row = None, None
            match = re.fullmatch(r'([xm]\d+\.\d+)#([1-9]\d*)', service['source'])
            row = self.row_of.get(match[1]) if match else None
            if row is None or int(match[2]) > len(row.items):
                service.complain('source', 'there is no such port of a row')
                continue
            service.row, service.item = row, row.items[int(match[2]) - 1]
            if service.item.first == 0:
                service.complain('source', 'that port has no number')
            if service.has('fallback'):
                other = self.ask(service, 'fallback', 'services', service['fallback'])
                if other is not None and other.has('fallback'):
                    service.complain('fallback', 'the service to fall back on has one itself')
        for row in self.row_of.values():
            for item, key in zip(row.items, row.services if row.items else ()):
                service = self.by['services'].get(key)
                if service is None or service.item is None:
                    continue
                if service['kind'] != 'own':
                    row.complain('service', f"'{key}' is not a service of Holdfast")
                if (service.item.first, service.item.last) != (item.first, item.last):
                    row.complain('service', f"'{key}' has another port, by {service['source']}")

    def check_unused(self):
        own = {service.key for service in self.services if service['kind'] == 'own'}
        for name in self.by:
            for key, record in self.by[name].items():
                abstract = name == 'roles' and not record.has('names')
                if key not in self.used[name] and not abstract and (name != 'services' or key in own):
                    record.complain('id', f"nothing uses '{key}'")
