#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Power losses under the folder driver: test_crash_local.py PATH-OF-CRASH-WRITER FOLDER-OF-REPLAY [STATES] [SEED]

A program writes and removes objects with four threads; what the disk may hold after a power loss at any moment is
rebuilt many times. Each time: an object whose commit had returned, and whose removal had not been asked for, is there;
every object that is there is whole; nothing else is there but unfinished files with dot names."""
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile

WRITER, REPLAY = sys.argv[1:3]
STATES = int(sys.argv[3]) if len(sys.argv) > 3 else 150
SEED = int(sys.argv[4]) if len(sys.argv) > 4 else 1
OBJECTS = 40
NAME = re.compile(r'(data/0[012]/object|sessions/\d+/outcome)-(\d+)')

sys.path.insert(0, REPLAY)
import replay  # noqa: E402


def content(number):
    return number.to_bytes(4, 'little') * (250 + 9 * number)


def expected(recording, crash):
    """Numbers of the objects that must be there after a loss at that record."""
    lines = b''.join(record.data for record in recording.records[:crash]
                     if record.kind == replay.WRITE and record.path.endswith(b'/diary')).decode().splitlines()
    put = {int(line.split()[1]) for line in lines if line.startswith('put ')}
    return put - {int(line.split()[1]) for line in lines if line.startswith('remove ')}


def check(folder, must):
    """What is wrong in a folder, None when all is well."""
    there = set()
    for path in sorted(folder.rglob('*')):
        relative = path.relative_to(folder).as_posix()
        if path.is_dir() or path.name.startswith('.tmp-'):
            continue
        match = NAME.fullmatch(relative)
        if not match:
            return f"'{relative}' is there"
        number = int(match.group(2))
        there.add(number)
        if path.read_bytes() != content(number):
            return f"'{relative}' is not whole"
    return f'{sorted(must - there)} are lost' if must - there else None


def run(number, mode, top):
    store, tape = top / 'store', top / 'tape'
    subprocess.run([WRITER, store, str(OBJECTS), *mode], check=True,
                   env={**os.environ, 'HOLDFAST_RECORD': str(tape)})
    problem = check(store, {n for n in range(OBJECTS) if n % 3 == 2})
    recording = replay.Recording.load(tape)
    count, promised, rng = len(recording.records), 0, random.Random(f'{SEED} {mode}')
    for state in range(STATES):
        if problem is not None:
            break
        crash, out = rng.randint(0, count), top / 'out'
        told = replay.materialise(recording, out, store, crash, f'{SEED} {state}')
        must = expected(recording, crash)
        promised += len(must)
        problem = check(out, must)
        problem = problem and f'{problem}: {told}'
        subprocess.run(['chmod', '-R', 'u+w', out], check=True)
        shutil.rmtree(out)
    if problem is None and promised < STATES:
        problem = f'only {promised} objects were promised: this tests nothing'
    print(f'# {mode}: {count} records, {STATES} states, {promised} promises kept, seed {SEED}')
    print(f'{"not ok" if problem else "ok"} {number} /conform/crash/{mode[0] if mode else "unnamed"}')
    if problem:
        print(f'# {problem}')
    sys.stdout.flush()
    return problem is None


def main():
    print('1..3')
    good = True
    for number, mode in enumerate(([], ['named'], ['linked']), 1):
        # In memory: many small files, and nobody needs them after a real power loss.
        with tempfile.TemporaryDirectory(dir='/dev/shm' if os.access('/dev/shm', os.W_OK) else None) as holder:
            good = run(number, mode, pathlib.Path(holder).resolve()) and good
    sys.exit(0 if good else 1)


main()
