#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of the REST interface with 200 hosts and 10,000 sessions in the database, 64 clients at once.

    rest.py SERVE CLIENT [postgresql] [changes=MILLISECONDS]

A new SQLite file, or a database of a PostgreSQL server that is started for it. With "changes" a job runs meanwhile and
tells its progress that often, so that no answer can be remembered for longer. The table has medians, 95th
percentiles, and the processor time of one request: of the server, and of PostgreSQL."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "unit" / "api"))
import restcase  # noqa: E402  pylint: disable=wrong-import-position

CLIENTS, ROUNDS = 64, 20
TICK = os.sysconf("SC_CLK_TCK")


def processor_ms(root):
    """Of a process and all below it."""
    times, parents = {}, {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            words = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        pid = int(stat.parent.name)
        parents[pid], times[pid] = int(words[1]), int(words[11]) + int(words[12])

    def below(pid):
        while pid not in (root, 0):
            pid = parents.get(pid, 0)
        return pid == root
    return sum(time for pid, time in times.items() if below(pid)) * 1000 / TICK


def measure(port, client, roots):
    print("| list | median ms | 95 % ms | a second | server CPU ms | database CPU ms |\n| --- | --- | --- | --- | --- | --- |")
    with subprocess.Popen([client, str(port), str(CLIENTS), str(ROUNDS)], stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if not line.startswith("{"):
                before = [processor_ms(root) for root in roots]
                continue
            row = json.loads(line)
            used = [(processor_ms(root) - was) / (CLIENTS * ROUNDS) for root, was in zip(roots, before)]
            used += [0] * (2 - len(used))
            print(f"| `{row['list']}` | {row['median_ms']} | {row['p95_ms']} | {row['per_second']} | {used[0]:.2f} | "
                  f"{used[1]:.2f} |", flush=True)
        return process.wait()


def main():
    serve, client, *words = restcase.WORDS
    database = restcase.Postgresql() if "postgresql" in words else None
    try:
        with tempfile.TemporaryDirectory(prefix="holdfast-rest-") as folder:
            folder = pathlib.Path(folder)
            restcase.certificate(folder)
            environment = dict(os.environ)
            environment.update({"CHANGES_MS": word[8:] for word in words if word.startswith("changes=")})
            with subprocess.Popen([serve, database.new() if database else folder / "db", folder / "cert.pem",
                                   folder / "key.pem", "many"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                  env=environment) as server:
                port = server.stdout.readline().strip()
                roots = [server.pid] + ([database.process.pid] if database else [])
                failed = measure(port, client, roots)
                server.stdin.close()
                return server.wait() or failed
    finally:
        if database:
            database.close()


if __name__ == "__main__":
    sys.exit(main())
