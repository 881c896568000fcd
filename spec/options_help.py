# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of --help, in 80 columns."""
import textwrap

from options_model import paragraphs

WIDTH = 79
COLUMN = 27  # where the help of an option starts


def wrap(text, indent=0):
    return textwrap.wrap(text, WIDTH, break_on_hyphens=False, break_long_words=False,
                         initial_indent=' ' * indent, subsequent_indent=' ' * indent)


def two_columns(left, text):
    lines = wrap(text, COLUMN)
    if len(left) + 2 <= COLUMN:
        lines[0] = left.ljust(COLUMN) + lines[0].lstrip()
        return lines
    return [left] + lines


def option_left(option):
    letter = f"-{option['letter']}, " if 'letter' in option else '    '
    value = f" {option['value']}" if option['type'] != 'flag' else ''
    return f"  {letter}--{option['name']}{value}"


def option_help(option):
    text = option['help']
    if 'default' in option:
        text += f" Default: {option['default']}."
    if 'environment' in option:
        text += f" Environment: {option['environment']}."
    return text


def verb_help(program, verb):
    lines = []
    for number, form in enumerate(verb['forms']):
        lead = 'Usage: ' if number == 0 else '       '
        lines.append(f"{lead}{program} {verb['name']} {form}")
    for part in paragraphs(verb['description']):
        lines += [''] + wrap(part)
    if verb['positional']:
        lines += ['', 'Arguments:']
        for positional in verb['positional']:
            lines += two_columns('  ' + positional['name'], positional['help'])
    for title, options in verb['sets']:
        lines += ['', title + ':']
        for option in options:
            lines += two_columns(option_left(option), option_help(option))
    lines += ['', 'With --json:']
    lines += wrap(' '.join(verb['json'].split()), 2)
    lines += ['', 'Examples:']
    for example in verb['example']:
        lines += wrap('# ' + example['text'], 2) + ['  ' + example['command']]
    return '\n'.join(lines) + '\n'


def sections(spec):
    """Headings in their order, each with its verbs."""
    found = {}
    for verb in spec['verb']:
        found.setdefault(verb['section'], []).append(verb)
    return found


def group_help(spec, group):
    program = spec['program']['name']
    lines = [f"Usage: {program} {group['name']} VERB [OPTION]...", '', f"{group['summary'].capitalize()}:"]
    for verb in spec['verb']:
        if verb['name'].startswith(group['name'] + ' '):
            lines += two_columns('  ' + verb['name'], verb['summary'])
    lines += ['', f"'{program} help {group['name']} VERB' explains a verb with its options and examples."]
    return '\n'.join(lines) + '\n'


def program_help(spec):
    program = spec['program']
    lines = [f"Usage: {program['name']} VERB [OPTION]... [ARGUMENT]...", '']
    lines += wrap(paragraphs(program['description'])[0])
    for title, verbs in sections(spec).items():
        lines += ['', title + ':']
        for verb in verbs:
            lines += two_columns('  ' + verb['name'], verb['summary'])
    lines += ['', f"'{program['name']} help VERB' explains a verb with its options and examples.",
              '', 'First steps:']
    lines += ['  ' + step for step in program['first']]
    lines += ['', 'Exit codes:']
    for code in spec['exit']:
        lines += two_columns(f"  {code['code']}", code['help'])
    return '\n'.join(lines) + '\n'
