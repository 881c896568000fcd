# SPDX-License-Identifier: GPL-3.0-or-later
"""Single mutations of a repository: each is found, and none loses or falsifies anything silently.

A repository with parity is made from a small tree. Then, --count times: one object is chosen, one bit of it flipped, 4 KiB of
it zeroed, its end cut off, or it is removed; `verify` must tell, and `restore` must give back every file as it was, or
name the file it cannot give. Then the object is put back. Counts and seed are printed; a seed replays a run.

usage: mutate.py HOLDFAST [--count N] [--seed S] [--keep]
"""
import argparse
import collections
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

CELL = 4096


def run(holdfast, *words, **more):
    env = dict(os.environ, HOLDFAST_PASSWORD="mutate", HOLDFAST_THREADS="2")
    return subprocess.run([holdfast, *map(str, words)], env=env, capture_output=True, timeout=300, **more)


def make_tree(root, random_):
    """Text and noise, small and large, many in a folder: about 12 MiB."""
    for folder in range(12):
        place = root / f"folder{folder}"
        place.mkdir(parents=True)
        for number in range(40):
            size = random_.choice((0, 40, 300, 3000, 30000))
            words = " ".join(random_.choice(("alpha", "beta", "gamma", "delta")) + str(random_.randrange(50))
                             for _ in range(size // 7))
            (place / f"file{number}.txt").write_text(words)
    (root / "noise").write_bytes(random_.randbytes(6 << 20))
    with open(root / "sparse", "wb") as sparse:
        sparse.seek(3 << 20)
        sparse.write(random_.randbytes(1 << 20))
        sparse.truncate(9 << 20)


def read_tree(root):
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def mutate(path, kind, random_):
    """Returns what puts the object back, or None when the mutation changes nothing."""
    before = path.read_bytes()
    mode = path.stat().st_mode
    if kind == "remove":
        path.unlink()
    else:
        after = bytearray(before)
        if kind == "bit":
            at = random_.randrange(len(after))
            after[at] ^= 1 << random_.randrange(8)
        elif kind == "zero":
            at = random_.randrange(max(len(after) - CELL, 1))
            after[at:at + CELL] = bytes(len(after[at:at + CELL]))
        else:
            del after[random_.randrange(len(after)):]
        if bytes(after) == before:
            return None
        path.chmod(0o600)
        path.write_bytes(after)

    def restore():
        if path.exists():
            path.chmod(0o600)
            path.unlink()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(before)
        path.chmod(mode & 0o777)
    return restore


def is_referenced(name):
    """The reserve is no data; what `gc/` and `damage/` hold is not made here."""
    return name != "reserve"


class Failure(Exception):
    pass


def check_restore(args, repo, out, want, within_parity):
    """Every file is as it was, or named as damaged; within the reach of parity all are as they were."""
    shutil.rmtree(out, ignore_errors=True)
    result = run(args.holdfast, "restore", "-r", repo, "latest", "--to", out)
    if result.returncode not in (0, 3, 4):
        if within_parity:
            raise Failure(f"restore ended with {result.returncode}: {result.stderr.decode()[-500:]}")
        if not result.stderr:
            raise Failure("restore failed without a word")
        return "refused"
    got = read_tree(out / "tree") if (out / "tree").exists() else {}
    wrong = [name for name, data in got.items() if not name.endswith(".damaged") and want.get(name) != data]
    if wrong:
        raise Failure(f"SILENT: {wrong[:3]} came back with other bytes (exit {result.returncode})")
    missing = [name for name in want if name not in got]
    if missing and result.returncode != 4:
        raise Failure(f"SILENT: {missing[:3]} are missing, and restore ended with {result.returncode}")
    text = result.stderr.decode(errors="replace")
    unnamed = [name for name in missing if name.rsplit("/", 1)[-1] not in text and name.split("/")[0] not in text]
    if unnamed:
        raise Failure(f"missing and not named: {unnamed[:3]}")
    if missing and within_parity:
        raise Failure(f"lost within the reach of parity: {missing[:3]}")
    return "whole" if not missing else "partly"


def one(args, repo, out, want, names, random_, counts):
    name = random_.choice(names)
    kind = random_.choice(("bit", "zero", "cut", "remove"))
    folder = name.split("/")[0].split(".")[0]
    restore = mutate(repo / name, kind, random_)
    if restore is None:
        counts["no change"] += 1
        return
    try:
        within = kind in ("bit", "zero") or folder not in ("data",)
        verify = run(args.holdfast, "verify", "-r", repo, "--json")
        found = verify.returncode != 0
        if not found and is_referenced(name):
            # Copies of small objects are healed when the repository is opened: that is told as a note, and mends it.
            healed = b"heal" in verify.stderr or b"restored" in verify.stderr
            if not healed:
                raise Failure(f"verify did not find it: {verify.stderr.decode()[-300:]}")
        state = check_restore(args, repo, out, want, within)
        counts[f"{folder} {kind}: {state}"] += 1
    except Failure as failure:
        print(f"not ok: {kind} of {name}: {failure}", flush=True)
        counts["FAILED"] += 1
    finally:
        restore()


def snapshot(repo):
    return {str(p.relative_to(repo)): p.read_bytes() for p in repo.rglob("*") if p.is_file()}


def put_back(repo, saved):
    """What healing or verification changed goes back as well, so that each mutation stands alone."""
    for path in list(repo.rglob("*")):
        if path.is_file() and str(path.relative_to(repo)) not in saved:
            path.chmod(0o600)
            path.unlink()
    for name, data in saved.items():
        path = repo / name
        if not path.exists() or path.read_bytes() != data:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                path.chmod(0o600)
            path.write_bytes(data)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("holdfast")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true")
    args = parser.parse_args()
    random_ = random.Random(args.seed)
    base = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-mutate-"))
    counts = collections.Counter()
    try:
        tree, repo, out = base / "tree", base / "repo", base / "out"
        make_tree(tree, random_)
        for words in (("init", "-r", repo, "--parity", "5"), ("backup", "-r", repo, "-n", "m", tree)):
            made = run(args.holdfast, *words)
            if made.returncode:
                print(made.stderr.decode(), file=sys.stderr)
                return 1
        want = read_tree(tree)
        saved = snapshot(repo)
        names = sorted(saved)
        for _ in range(args.count):
            one(args, repo, out, want, names, random_, counts)
            put_back(repo, saved)
    finally:
        if not args.keep:
            shutil.rmtree(base, ignore_errors=True)
    for what, count in sorted(counts.items()):
        print(f"# {count:6} {what}")
    failed = counts["FAILED"]
    print(f"mutations: {args.count - failed} passed, {failed} failed, seed {args.seed}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
