# SPDX-License-Identifier: GPL-3.0-or-later
"""The texts of data/ports/: tables of cells, and the small grammars that cells have (docs/port-catalogue.md)."""
import dataclasses
import re

COLUMNS = {
    'sections': ('page', 'id', 'title'),
    'tables': ('page', 'table', 'section', 'line', 'rows', 'title', 'when', 'rules'),
    'rows': ('page', 'section', 'table', 'row', 'from', 'to', 'protocol', 'port', 'line', 'heading', 'from-roles',
             'to-roles', 'transport', 'application', 'mode', 'ports', 'service', 'endpoints', 'need', 'when', 'pair',
             'custom', 'marks', 'rules', 'purpose'),
    'roles': ('id', 'title', 'kind', 'external', 'is', 'assumed', 'names'),
    'conditions': ('id', 'title', 'scope', 'values', 'default', 'implied'),
    'services': ('id', 'kind', 'title', 'source', 'fallback'),
    'applications': ('id', 'title'),
    'marks': ('id', 'title'),
    'rules': ('id', 'title'),
}
EMPTY = '-'
LARGEST = 65535


class Findings:
    """What is wrong, each with file, line and column (the number of the cell)."""

    def __init__(self):
        self.texts = []

    def add(self, place, message):
        self.texts.append(f'{place}: {message}')


class Record:
    """A line of a table: cells by the name of their column. Its `key` is what others call it by."""

    def __init__(self, file, line, cells, columns, findings):
        self.file, self.line, self.cells, self.columns, self.findings = file, line, cells, columns, findings
        self.key = None

    def __getitem__(self, column):
        return self.cells[self.columns.index(column)]

    def has(self, column):
        return self[column] != EMPTY

    def complain(self, column, message):
        self.findings.add(f'{self.file}:{self.line}:{self.columns.index(column) + 1}', f"column '{column}': {message}")

    def number(self, column):
        """The cell as a number from 1, or 0 after a complaint."""
        if re.fullmatch('[1-9][0-9]{0,4}', self[column]):
            return int(self[column])
        self.complain(column, f"'{self[column]}' is not a number from 1 on")
        return 0

    def choice(self, column, allowed):
        if self[column] not in allowed:
            self.complain(column, f"'{self[column]}' is none of: {', '.join(allowed)}")
            return False
        return True

    def words(self, column, separator=','):
        return [] if not self.has(column) else split(self[column], separator)


def split(text, separators):
    """`text` at any of the characters of `separators`, but not inside braces."""
    parts, depth = [''], 0
    for letter in text:
        depth += {'{': 1, '}': -1}.get(letter, 0)
        if letter in separators and depth == 0:
            parts.append('')
        else:
            parts[-1] += letter
    return parts


def check_cell(text):
    """Why a cell is badly written, or None."""
    if not text:
        return "it is empty; write '-'"
    if text != text.strip() or '  ' in text:
        return 'it has spaces at an end, or two in a row'
    for letter in text:
        if not letter.isprintable():
            return f'it has the character U+{ord(letter):04X}'
    return None


def read(path, name, findings):
    """The records of the table `name`. What is no table at all raises ValueError."""
    columns = COLUMNS[name]
    with open(path, 'rb') as stream:
        content = stream.read()
    try:
        text = content.decode('utf-8')
    except UnicodeDecodeError as error:
        raise ValueError(f'{path}:{content[:error.start].count(10) + 1}: not UTF-8') from error
    if not text.endswith('\n'):
        raise ValueError(f'{path}: no line break at the end')
    lines = text[:-1].split('\n')
    top = 0
    while top < len(lines) and lines[top].startswith('#'):
        top += 1
    if top == len(lines) or tuple(lines[top].split('\t')) != columns:
        raise ValueError(f"{path}:{top + 1}: the columns are not: {' '.join(columns)}")
    records = []
    for number, line in enumerate(lines[top + 1:], top + 2):
        cells = line.split('\t')
        if len(cells) != len(columns):
            findings.add(f'{path}:{number}', f'{len(cells)} cells where there are {len(columns)} columns')
            continue
        record = Record(path, number, cells, columns, findings)
        for column, cell in zip(columns, cells):
            reason = check_cell(cell)
            if reason:
                record.complain(column, reason)
        records.append(record)
    return records


# ------------------------------------------------------------------------------------------------------- conditions

@dataclasses.dataclass(frozen=True)
class Atom:
    subject: str  # "fleet", "from", "to", "server"
    condition: str
    value: str
    negated: bool


def parse_when(text):
    """A tuple of clauses, each a tuple of atoms; ValueError when `text` is none."""
    if text == EMPTY:
        return ()
    return tuple(tuple(parse_atom(atom) for atom in clause.split('|')) for clause in text.split('&'))


def parse_atom(text):
    match = re.fullmatch(r'(?:(from|to|server)\.)?([a-z0-9][a-z0-9.-]*?)(!?=)([a-z0-9.-]+)', text)
    if not match:
        raise ValueError(f"'{text}' is not condition=value")
    return Atom(match[1] or 'fleet', match[2], match[4], match[3] == '!=')


def parse_braced(text):
    """("what", clauses) for 'what{condition}' or 'what'."""
    match = re.fullmatch(r'([^{}]+)(?:\{([^{}]+)\})?', text)
    if not match:
        raise ValueError(f"'{text}' has braces that do not pair, or nothing in them")
    return match[1], parse_when(match[2] or EMPTY)


# ------------------------------------------------------------------------------------------------------------ ports

@dataclasses.dataclass(frozen=True)
class Item:
    kind: str  # "number", "range", "open", "symbol", "unknown"
    first: int = 0
    last: int = 0
    name: str = ''
    legacy: bool = False
    when: tuple = ()
    group: int = 0
    mode: str = 'all'


def parse_item(text):
    """An Item, for what stands before the braces: '443', '2500-3300', '2049+', '$mountd_port', '?sql_port'."""
    match = re.fullmatch(r'([$?])([a-z][a-z0-9_]*)', text)
    if match:
        return Item('symbol' if match[1] == '$' else 'unknown', name=match[2])
    match = re.fullmatch(r'([1-9]\d{0,4})(?:-([1-9]\d{0,4})|(\+))?', text)
    if not match:
        raise ValueError(f"'{text}' is no port")
    first = int(match[1])
    if match[3]:
        item = Item('open', first, LARGEST)
    elif match[2]:
        item = Item('range', first, int(match[2]))
    else:
        item = Item('number', first, first)
    if item.last > LARGEST or item.kind == 'range' and item.first >= item.last:
        raise ValueError(f"'{text}' is no port: a number is at most {LARGEST}, a range goes upwards")
    return item


def parse_ports(text):
    """The items of the column 'ports', with groups and their modes."""
    items = []
    for group, piece in enumerate(split(text, ',')):
        words = split(piece, '|>')
        separators = {letter for letter in re.sub(r'\{[^}]*\}', '', piece) if letter in '|>'}
        if len(separators) > 1:
            raise ValueError(f"'{piece}' mixes '|' and '>'")
        mode = 'all' if not separators else 'any' if separators == {'|'} else 'fallback'
        for word in words:
            bare, when = parse_braced(word)
            item = parse_item(bare.removesuffix('!'))
            if bare.endswith('!') and not when:
                raise ValueError(f"'{word}' is for old systems but has no condition that tells them")
            items.append(dataclasses.replace(item, legacy=bare.endswith('!'), when=when, group=group, mode=mode))
    return items


def row_mode(items):
    return items[0].mode if items[-1].group == 0 else 'all'


def parse_printed(text):
    """What the column 'port' says, read without regard to `ports`: a list of (kind, first, last, name)."""
    text = re.sub(r'\s*\([^()]*\)$', '', text)
    if text in ('\N{EM DASH}', 'Depends on device configuration'):
        return [('unknown', 0, 0, None)]
    found = []
    for word in re.split(r',\s*| or | and ', text):
        numbers = [int(number) for number in re.findall(r'\d+', word)]
        if word in ('another port', 'other'):
            found.append(('unknown', 0, 0, None))
        elif re.fullmatch(r'\d+', word):
            found.append(('number', numbers[0], numbers[0], ''))
        elif re.fullmatch(r'\d+(-| to )\d+', word):
            found.append(('range', numbers[0], numbers[1], ''))
        elif re.fullmatch(r'\d+\+', word):
            found.append(('open', numbers[0], LARGEST, ''))
        elif re.fullmatch(r'[a-z]+_port', word):
            found.append(('symbol', 0, 0, word))
        else:
            raise ValueError(f"'{word}' is nothing that the pages write for a port")
    return found


# -------------------------------------------------------------------------------------------------------- endpoints

@dataclasses.dataclass(frozen=True)
class Endpoint:
    kind: str  # "name", "wildcard", "placeholder", "address"
    text: str
    host: str
    placeholder: str
    when: tuple


def parse_endpoint(text):
    bare, when = parse_braced(text)
    host = re.sub(r'^https?://', '', bare).split('/')[0]
    if re.fullmatch(r'\d+(\.\d+){3}', host):
        return Endpoint('address', bare, host, '', when)
    match = re.fullmatch(r'(\*\.)?(?:<([a-z-]+|[a-z]+(?:\.[a-z]+)+)>)?([a-z0-9.-]*)', host)
    if not match or not host or match[1] and match[2]:
        raise ValueError(f"'{text}' is no host name, wildcard, placeholder or address")
    kind = 'wildcard' if match[1] else 'placeholder' if match[2] else 'name'
    return Endpoint(kind, bare, host, match[2] or '', when)


def printed_endpoints(text):
    """What the column 'to' lists in parentheses at its end, where those are endpoints."""
    match = re.search(r'\(([^()]*(?:\.|<|://)[^()]*)\)$', text)
    return match[1].split(', ') if match else []


def fold(text):
    """For comparing names: case and white space do not count."""
    return ' '.join(text.split()).casefold()
