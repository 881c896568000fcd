#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rig behind `make bench`: Holdfast beside restic, borg, plain tools and bare loops, on the same data, in the same
minute. Prints a markdown table; nothing is asserted. See --help and --list; measure.py says how figures are taken."""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile

import report
from arena import Arena
from data import Data
from measure import BenchError, say
from rows import ROWS
from tools import Borg, Holdfast, Restic

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.join(HERE, "..", "..", "build")
MEMORY_NEEDED = 10 << 30  # bytes free below --memory at the start


def parse_arguments():
    parser = argparse.ArgumentParser(description="measure Holdfast beside restic, borg and the machine's limits")
    parser.add_argument("--holdfast", metavar="FILE", help="program to measure; without it only the others run")
    parser.add_argument("--programs", metavar="DIR", default=os.path.join(BUILD, "tests", "bench"),
                        help="where bench_loops and its siblings were built")
    parser.add_argument("--data", metavar="DIR", help="cache of the data (default $HOLDFAST_BENCH_DATA, else "
                        "build/bench-data; 3 GiB)",
                        default=os.environ.get("HOLDFAST_BENCH_DATA", os.path.join(BUILD, "bench-data")))
    parser.add_argument("--memory", metavar="DIR", default="/dev/shm", help="file system in memory for repositories")
    parser.add_argument("--sources", metavar="DIR", help="where the trees to back up stand (default: in --memory)")
    parser.add_argument("--rows", metavar="ID,...", help="only these rows")
    parser.add_argument("--contenders", metavar="NAME,...", help="only these contenders")
    parser.add_argument("--runs", metavar="N", type=int, help="runs of each row (default 3, long rows 1)")
    parser.add_argument("--output", metavar="FILE", help="write the markdown tables here too")
    parser.add_argument("--json", metavar="FILE", help="write every sample here")
    parser.add_argument("--log", metavar="FILE", default=os.path.join(tempfile.gettempdir(), "holdfast-bench.log"),
                        help="what the programs said")
    parser.add_argument("--list", action="store_true", help="list the rows and end")
    return parser.parse_args()


def choose_rows(arguments):
    if not arguments.rows:
        return ROWS
    wanted = arguments.rows.split(",")
    unknown = set(wanted) - {row.id for row in ROWS}
    if unknown:
        raise BenchError(f"there is no row '{sorted(unknown)[0]}'; see --list")
    return [row for row in ROWS if row.id in wanted]


def find_tools(arguments):
    """({name: maker}, {name: version}) of the tools that are here."""
    makers, versions = {}, {}
    for kind in (Restic, Borg, Holdfast):
        program = os.path.abspath(arguments.holdfast) if arguments.holdfast else None
        version = kind.version(program) if kind is not Holdfast or program else None
        if version is None:
            say(f"'{kind.name}' is not here, its column stays empty")
            continue
        versions[kind.name] = version
        makers[kind.name] = (lambda home, kind=kind, program=program:
                             kind(home, program) if kind is Holdfast else kind(home))
    return makers, versions


def contenders_of(row, makers, only):
    """Contenders of a row that are here and wanted."""
    def here(name):
        tool = name.removesuffix("-password")
        return tool in makers or tool not in (Restic.name, Borg.name, Holdfast.name)
    return [name for name in row.contenders if here(name) and (not only or name in only)]


def run_row(arena, row, contenders, runs):
    """All runs of a row, contenders taking turns in going first."""
    samples, errors = {name: [] for name in contenders}, {}
    load = os.getloadavg()[0]
    say(f"{row.id}: {row.title}")
    if row.prepare:
        row.prepare(arena, contenders)
    for number in range(runs):
        arena.check_memory()
        if row.before:
            row.before(arena, contenders)
        turn = number % max(len(contenders), 1)
        for name in contenders[turn:] + contenders[:turn]:
            if name in errors:
                continue
            if row.warm and row.dataset:
                arena.data.warm(row.dataset)
            try:
                sample = row.measure(arena, name)
            except BenchError as error:
                errors[name] = str(error)
                say(f"  {name}: {error}")
            else:
                samples[name].append(sample)
                say(f"  {name}: " + ", ".join(report.show(field, sample[field]) for field in row.shows
                                              if field in sample))
            finally:
                arena.clear_scratch()
    return {"load_before": load, "samples": {name: runs for name, runs in samples.items() if runs}, "errors": errors}


def run_rows(arena, rows, makers, arguments):
    only = set(arguments.contenders.split(",")) if arguments.contenders else None
    results = {}
    for position, row in enumerate(rows):
        contenders = contenders_of(row, makers, only)
        try:
            results[row.id] = run_row(arena, row, contenders, arguments.runs or row.runs)
        except BenchError as error:  # of preparing: nobody can run
            say(f"  {error}")
            results[row.id] = {"samples": {}, "errors": {"preparation": str(error)}}
        if row.dataset and row.dataset not in {later.dataset for later in rows[position + 1:]}:
            arena.finish(row.dataset)
    return results


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def bench(arguments):
    rows = choose_rows(arguments)
    makers, versions = find_tools(arguments)
    if shutil.disk_usage(arguments.memory).free < MEMORY_NEEDED:
        raise BenchError(f"'{arguments.memory}' has less than {MEMORY_NEEDED >> 30} GiB free; give another --memory")
    memory = tempfile.mkdtemp(prefix="holdfast-bench-", dir=arguments.memory)
    try:
        with open(arguments.log, "wb") as log:
            sources = tempfile.mkdtemp(prefix="sources-", dir=arguments.sources or memory)
            arena = Arena(Data(arguments.data, sources), memory, arguments.programs, makers, log)
            try:
                results = run_rows(arena, rows, makers, arguments)
            finally:
                for dataset in {row.dataset for row in rows if row.dataset}:
                    arena.finish(dataset)
                arena.clear_scratch()
                shutil.rmtree(sources, ignore_errors=True)
            about = report.machine() | {"versions": versions, "kernel_tree": arena.data.kernel_version(),
                                       "sources": arguments.sources or "memory"}
    finally:
        shutil.rmtree(memory, ignore_errors=True)
    text = report.markdown(rows, results, about)
    print(text, end="")
    if arguments.output:
        write(arguments.output, text)
    if arguments.json:
        write(arguments.json, json.dumps({"about": about, "rows": results}, indent=2) + "\n")
    return 1 if any(result["errors"] for result in results.values()) else 0


def interrupted(*_):
    raise KeyboardInterrupt


def main():
    arguments = parse_arguments()
    if arguments.list:
        for row in ROWS:
            print(f"{row.id:22} {row.title}: {', '.join(row.contenders)}")
        return 0
    signal.signal(signal.SIGTERM, interrupted)
    try:
        return bench(arguments)
    except BenchError as error:
        say(f"bench: {error}")
        return 1
    except KeyboardInterrupt:
        say("bench: stopped")
        return 130


if __name__ == "__main__":
    sys.exit(main())
