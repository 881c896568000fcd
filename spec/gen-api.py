#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the tables of the REST interface: gen-api.py header|source|document FOLDER OUTPUT"""
import sys

import api_c
import api_model
import api_openapi


def main():
    what, folder, output = sys.argv[1:]
    spec = api_model.Spec(folder)
    documents = api_openapi.documents(spec, len(api_model.ERAS))
    text = {
        "header": lambda: api_c.header(spec),
        "source": lambda: api_c.source(spec, documents),
        "document": lambda: documents[-1].replace("@VERSION@", spec.versions[-1]["name"]) + "\n",
    }[what]()
    with open(output, "w", encoding="ascii") as stream:
        stream.write(text)


if __name__ == "__main__":
    try:
        main()
    except (ValueError, KeyError) as problem:
        sys.exit(f"gen-api: {problem}")
