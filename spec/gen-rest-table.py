#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which operations of the standard interface are served: docs/rest-operations.md.

    gen-rest-table.py FOLDER OPERATIONS PAGE [check]

FOLDER holds the declarations of what is served, OPERATIONS is rest-operations.toml. Each operation is either served or
has a reason why not, and no reason stands for what is served. With "check" the page is compared, not written."""
import pathlib
import re
import sys
import textwrap
import tomllib

BASE = "/api/v1"
HEAD = """<!-- Made by spec/gen-rest-table.py of spec/rest-operations.toml and spec/api/: change those. -->
# Operations of the REST interface

What the standard has and what of it this server serves ([rest.md](rest.md) says how). Paths are below `/api/v1`
unless they begin with `/api/`. Addresses that are not served answer 404 (or 405 where another method is); types that
this server has not (jobs of hypervisors, repositories in object storage) are refused with 501.
"""


def full(path):
    return path if path.startswith("/api/") else BASE + path


def plain(method, path):
    return method, re.sub(r"\{\w+\}", "{}", path).lower()


def served_by(folder):
    """What is declared: (method, path with {} for ids) -> (method, path)."""
    found = {}
    for file in sorted(pathlib.Path(folder).glob("*.toml")):
        for op in tomllib.loads(file.read_text(encoding="utf-8")).get("op", []):
            found[plain(op["method"], op["path"])] = (op["method"], op["path"])
    return found


class Table:
    def __init__(self, served, operations):
        self.served, self.reasons = served, operations["reasons"]
        self.groups, self.others = operations["group"], operations["others"]
        self.used, self.problems, self.known = set(), [], set()

    def reason(self, path):
        for start, why in self.reasons.items():
            if path == start or (start.endswith("*") and path.startswith(start[:-1])):
                self.used.add(start)
                return why
        return None

    def row(self, text):
        method, path = text.split(" ")
        key = plain(method, full(path))
        if key in self.served:
            self.known.add(key)
            return f"| `{text}` | yes |"
        why = self.reason(path)
        if why is None:
            self.problems.append(f"'{text}' is not served and has no reason")
        return f"| `{text}` | {why} |"

    def below(self, start):
        keys = [key for key in self.served if key[1].startswith((BASE + start).lower()) and key not in self.known]
        self.known.update(keys)
        return len(keys)

    def text(self):
        parts, counts = [HEAD], []
        for group in self.groups:
            rows = [self.row(text) for text in group["operations"]]
            n = sum(row.endswith("| yes |") for row in rows)
            counts.append(f"| {group['name']} | {len(rows)} | {n} | |")
            table = "| operation | served, or why not |\n| --- | --- |\n" + "\n".join(rows)
            parts.append(f"## {group['name']}\n\n{table}\n")
        for name, (n, start, why) in self.others.items():
            counts.append(f"| {name} | {n} | {self.below(start)} | {why} |")
        parts.insert(1, "| group | operations | served | |\n| --- | --- | --- | --- |\n" + "\n".join(counts) + "\n")
        own = sorted({path for key, (_, path) in self.served.items()
                      if key not in self.known and path.startswith(BASE + "/")})
        names = "What the standard has no name for: " + ", ".join(f"`{path[len(BASE):]}`" for path in own) + "."
        parts.append("## What is ours besides\n\n" + textwrap.fill(names, 120, break_on_hyphens=False) + "\n")
        for start in self.reasons.keys() - self.used:
            self.problems.append(f"the reason for '{start}' stands for nothing that is not served")
        return "\n".join(parts)


def main():
    folder, operations, page, *check = sys.argv[1:]
    table = Table(served_by(folder), tomllib.loads(pathlib.Path(operations).read_text(encoding="utf-8")))
    text = table.text()
    if table.problems:
        sys.exit("\n".join(table.problems))
    if not check:
        pathlib.Path(page).write_text(text, encoding="utf-8")
    elif pathlib.Path(page).read_text(encoding="utf-8") != text:
        sys.exit(f"{page} is not what the declarations say; run spec/gen-rest-table.py without 'check'")


if __name__ == "__main__":
    main()
