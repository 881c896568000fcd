#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make what spec/options.toml declares: gen-options.py header|source|man|bash INPUT VERSION OUTPUT"""
import sys

import options_bash
import options_c
import options_man
import options_model


def main():
    kind, source, version, output = sys.argv[1:]
    spec = options_model.load(source)
    text = {
        'header': lambda: options_c.header(spec),
        'source': lambda: options_c.source(spec),
        'man': lambda: options_man.page(spec, version),
        'bash': lambda: options_bash.completion(spec),
    }[kind]()
    with open(output, 'w', encoding='ascii') as stream:
        stream.write(text)


if __name__ == '__main__':
    try:
        main()
    except (ValueError, KeyError) as problem:
        sys.exit(f'gen-options: {problem}')
