# SPDX-License-Identifier: GPL-3.0-or-later
"""Loads spec/options.toml, refuses what would mislead, and fills in what was left out."""
import os
import re
import tomllib

TYPES = ('flag', 'text', 'list', 'choice', 'size', 'rate', 'number', 'percent')
HIGHEST = {'size': 1 << 62, 'rate': 1 << 40, 'number': 1 << 62, 'percent': 100}
OPTION_KEYS = {'name', 'letter', 'type', 'value', 'help', 'default', 'values', 'low', 'high', 'environment', 'required',
               'field', 'complete'}
POSITIONAL_KEYS = {'name', 'help', 'field', 'min', 'max', 'complete'}
VERB_KEYS = {'name', 'section', 'summary', 'description', 'common', 'json', 'positional', 'option', 'example',
             'exclusive', 'one_of', 'forms', 'optional'}
MOST_OPTIONS = 64  # groups of options are bit masks


def require(condition, message):
    if not condition:
        raise ValueError(message)


def paragraphs(text):
    """The paragraphs of a text, each on one line."""
    return [' '.join(part.split()) for part in text.strip().split('\n\n')]


def fill_option(option):
    name = option['name']
    require(set(option) <= OPTION_KEYS, f"option '{name}': unknown key in {sorted(option)}")
    require(re.fullmatch(r'[a-z]+(-[a-z]+)*', name), f"option '{name}': words of a-z joined by '-'")
    require(option['type'] in TYPES, f"option '{name}': no type '{option['type']}'")
    require(option['type'] != 'choice' or option.get('values'), f"option '{name}': a choice has values")
    option['help'] = ' '.join(option['help'].split())
    option.setdefault('field', name.replace('-', '_'))
    option.setdefault('values', [])
    option.setdefault('required', False)
    option.setdefault('complete', '')
    if option['type'] != 'flag':
        option.setdefault('value', '|'.join(option['values']))
        require(option['value'], f"option '{name}': its value has no name")
    option.setdefault('low', 0)
    option.setdefault('high', HIGHEST.get(option['type'], 0))


def fill_positional(positional):
    name = positional['name']
    require(set(positional) <= POSITIONAL_KEYS, f"positional '{name}': unknown key in {sorted(positional)}")
    positional['help'] = ' '.join(positional['help'].split())
    positional.setdefault('min', 1)
    positional.setdefault('max', 1)
    positional.setdefault('field', name.lower())
    positional.setdefault('complete', '')


def positional_form(positional):
    text = positional['name'] if positional['min'] else f"[{positional['name']}]"
    return text + ('...' if positional['max'] == 0 else '')


def may_lack(option, verb):
    """An option of a common set as this verb takes it."""
    return dict(option, required=False) if option['name'] in verb.get('optional', []) else option


def fill_verb(verb, commons):
    name = verb['name']
    require(set(verb) <= VERB_KEYS, f"verb '{name}': unknown key in {sorted(verb)}")
    verb.setdefault('positional', [])
    verb.setdefault('option', [])
    verb.setdefault('exclusive', [])
    verb.setdefault('one_of', [])
    for option in verb['option']:
        fill_option(option)
    for positional in verb['positional']:
        fill_positional(positional)
    verb['sets'] = [('Options', verb['option'])] if verb['option'] else []
    for common in verb['common']:
        options = [may_lack(option, verb) for option in commons[common]['option']]
        verb['sets'].append((commons[common]['title'], options))
        verb['exclusive'] = verb['exclusive'] + commons[common].get('exclusive', [])
    verb['options'] = [option for _, options in verb['sets'] for option in options]
    verb.setdefault('forms', [' '.join(['[OPTION]...'] + [positional_form(p) for p in verb['positional']])])
    check_verb(verb)


def check_verb(verb):
    name = verb['name']
    names = [option['name'] for option in verb['options']]
    letters = [option['letter'] for option in verb['options'] if 'letter' in option]
    require(len(names) == len(set(names)), f"verb '{name}': an option stands there twice")
    require(len(letters) == len(set(letters)), f"verb '{name}': a letter stands there twice")
    require(len(names) <= MOST_OPTIONS, f"verb '{name}': more than {MOST_OPTIONS} options")
    for group in verb['exclusive'] + verb['one_of'] + [verb.get('optional', [])]:
        for member in group:
            require(member in names, f"verb '{name}': a group names '{member}', which it does not take")
    open_ended = [p for p in verb['positional'] if p['max'] == 0]
    require(len(open_ended) <= 1, f"verb '{name}': one positional at most may take any number")
    require(verb.get('example'), f"verb '{name}': it has no example")
    for example in verb['example']:
        require(len(example['command']) <= 76, f"verb '{name}': an example does not fit the line")


def kind(option):
    """How the value of an option is kept; verbs that share a field must agree in it."""
    return option['type'] if option['type'] in ('flag', 'list', 'choice') else \
        'text' if option['type'] == 'text' else 'number'


def fields(spec):
    """Every field of HfOptions: name -> (kind, comment, option or None)."""
    found = {}
    for verb in spec['verb']:
        for option in verb['options']:
            old = found.setdefault(option['field'], (kind(option), '--' + option['name'], option))
            require(old[0] == kind(option), f"field '{option['field']}' is declared as two kinds")
            require(old[2] is None or old[2]['values'] == option['values'] or kind(option) != 'choice',
                    f"field '{option['field']}': two sets of choices")
        for positional in verb['positional']:
            wanted = 'list' if positional['max'] == 0 else 'text'
            old = found.setdefault(positional['field'], (wanted, positional['name'], None))
            require(old[0] == wanted, f"field '{positional['field']}' is declared as two kinds")
    return found


def load(path):
    with open(path, 'rb') as stream:
        spec = tomllib.load(stream)
    spec['file'] = os.path.basename(path)
    spec['program'].setdefault('section', 1)
    spec.setdefault('group', [])
    spec.setdefault('variable', [])
    commons = {common['name']: common for common in spec['common']}
    for common in spec['common']:
        for option in common['option']:
            fill_option(option)
    for verb in spec['verb']:
        fill_verb(verb, commons)
    names = [verb['name'] for verb in spec['verb']]
    require(len(names) == len(set(names)), 'a verb is declared twice')
    groups = {group['name'] for group in spec['group']}
    for name in names:
        require(' ' not in name or name.split()[0] in groups, f"verb '{name}': its first word is no group")
    spec['fields'] = fields(spec)
    return spec
