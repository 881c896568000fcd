#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check data/ports/ and make the tables of src/ports/ from it:

    gen-ports.py check FOLDER
    gen-ports.py source FOLDER OUTPUT

What is wrong is told as file:line:column: message; a column is the number of the cell."""
import os
import sys

sys.dont_write_bytecode = True
import ports_c  # noqa: E402
import ports_check  # noqa: E402

MOST_SHOWN = 40


def main():
    arguments = sys.argv[1:]
    if len(arguments) != {'check': 2, 'source': 3}.get(arguments[0] if arguments else None):
        sys.exit(__doc__)
    try:
        catalogue = ports_check.Catalogue(os.path.relpath(arguments[1]))
    except (ValueError, OSError) as error:
        sys.exit(str(error))
    wrong = catalogue.findings.texts
    if wrong:
        print('\n'.join(wrong[:MOST_SHOWN]), file=sys.stderr)
        sys.exit(f'gen-ports: {len(wrong)} mistakes in {arguments[1]}')
    if arguments[0] == 'source':
        with open(arguments[2], 'w', encoding='utf-8') as stream:
            stream.write(ports_c.source(catalogue))


main()
