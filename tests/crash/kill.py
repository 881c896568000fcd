# SPDX-License-Identifier: GPL-3.0-or-later
"""Kills, or stops for a while, at random moments of backup, forget, prune, copy and repair.

A tree changes at random; operations run one after the other or two at once, and are killed (SIGKILL) or stopped and continued
at random moments. After each: every point that was acknowledged is listed, everything verifies, and nothing needs an unlock.
At the end every acknowledged point is restored and compared with the copy of the tree that it was made from.

usage: kill.py HOLDFAST [--count N] [--seed S] [--stop-seconds T] [--keep]
"""
import argparse
import collections
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

BEAT_MS = 200  # of sessions, in test builds: dead after three


class Rig:
    def __init__(self, args):
        self.args = args
        self.random = random.Random(args.seed)
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-kill-"))
        self.tree, self.repo, self.other = (self.base / name for name in ("tree", "repo", "other"))
        self.copies = {}  # point -> folder with what it must hold
        self.forgotten = set()
        self.counts = collections.Counter()
        self.failures = []

    def env(self):
        return dict(os.environ, HOLDFAST_PASSWORD="kill", HOLDFAST_THREADS="2", HOLDFAST_TEST_BEAT_MS=str(BEAT_MS),
                    HOLDFAST_TEST_CHECKPOINT_MS="60")

    def start(self, *words):
        return subprocess.Popen([self.args.holdfast, *map(str, words), "--json"], env=self.env(), text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run(self, *words):
        process = self.start(*words)
        out, err = process.communicate(timeout=600)
        return process.returncode, out, err

    def fail(self, what):
        print(f"not ok: {what}", flush=True)
        self.failures.append(what)

    def change_tree(self):
        for _ in range(self.random.randrange(1, 30)):
            place = self.tree / f"d{self.random.randrange(8)}" / f"f{self.random.randrange(60)}"
            place.parent.mkdir(parents=True, exist_ok=True)
            if place.exists() and self.random.random() < 0.3:
                place.unlink()
                continue
            size = self.random.choice((0, 100, 5000, 100000, 900000))
            place.write_bytes(self.random.randbytes(size // 2) + b"x" * (size - size // 2))

    def disturb(self, process):
        """Kills, or stops and continues, at a random moment; returns whether it was killed."""
        time.sleep(self.random.random() ** 2 * self.args.longest)
        if process.poll() is not None:
            return False
        if self.random.random() < 0.8:
            process.kill()
            self.counts["killed"] += 1
            return True
        process.send_signal(signal.SIGSTOP)
        self.counts["stopped"] += 1
        if self.random.random() < 0.5:
            self.run("prune", "-r", self.repo)  # finds it dead, or leaves it alone
        time.sleep(self.args.stop_seconds)
        process.send_signal(signal.SIGCONT)
        return False

    def backup(self, disturbed):
        self.change_tree()
        kept = self.base / f"copy{len(self.copies)}-{self.counts['backup']}"
        shutil.copytree(self.tree, kept, symlinks=True)
        process = self.start("backup", "-r", self.repo, "-n", "kill", self.tree)
        if disturbed:
            self.disturb(process)
        out, err = process.communicate(timeout=600)
        self.counts["backup"] += 1
        point = None
        for line in out.splitlines():
            document = json.loads(line)
            point = document.get("point", point) if document.get("type") == "summary" else point
        if point and process.returncode in (0, 3):
            self.copies[point] = kept
            self.counts["acknowledged"] += 1
            return
        # Killed after the commit and before the answer: the point may be there, and then it must be whole.
        self.maybe = getattr(self, "maybe", [])
        self.maybe.append(kept)
        if process.returncode > 0 and "fenced" not in err and "dead" not in err:
            self.fail(f"backup ended with {process.returncode}: {err[-400:]}")

    def other_operation(self, disturbed):
        kind = self.random.choice(("prune", "prune", "forget", "copy", "repair", "verify"))
        if kind == "forget" and len(self.listed()) > 3:
            keep = self.random.randrange(2, 4)
            words = ("forget", "-r", self.repo, "--keep-last", keep)
        elif kind == "copy":
            words = ("copy", "-r", self.repo, "--to", self.other)
        elif kind == "repair":
            words = ("repair", "-r", self.repo)
        elif kind == "verify":
            words = ("verify", "-r", self.repo, "--stored")
        else:
            kind, words = "prune", ("prune", "-r", self.repo)
        process = self.start(*words)
        killed = self.disturb(process) if disturbed else False
        out, err = process.communicate(timeout=600)
        self.counts[kind] += 1
        if not killed and process.returncode not in (0, 3) and "fenced" not in err:
            self.fail(f"{kind} ended with {process.returncode}: {err[-400:]}")
        if kind == "forget":
            self.note_forgotten()

    def listed(self):
        code, out, err = self.run("points", "-r", self.repo)
        if code not in (0, 3):
            self.fail(f"points ended with {code}: {err[-400:]}")
            return set()
        return {json.loads(line)["point"] for line in out.splitlines() if '"point"' in line}

    def note_forgotten(self):
        """forget goes by sequence: what it may have taken is everything but the newest that were asked for."""
        listed = self.listed()
        for point in list(self.copies):
            if point not in listed:
                self.forgotten.add(point)
                shutil.rmtree(self.copies.pop(point))

    def check(self):
        missing = [point for point in self.copies if point not in self.listed()]
        if missing:
            self.fail(f"acknowledged points are not listed: {missing}")
        code, _, err = self.run("verify", "-r", self.repo)
        if code != 0:
            self.fail(f"verify ended with {code}: {err[-600:]}")

    def compare(self, point, kept):
        out = self.base / "out"
        shutil.rmtree(out, ignore_errors=True)
        code, _, err = self.run("restore", "-r", self.repo, point, "--to", out)
        if code != 0:
            return f"restore of {point[:8]} ended with {code}: {err[-400:]}"
        check = subprocess.run(["rsync", "-n", "-rlpgoDc", "--delete", "--out-format=%n", f"{kept}/", f"{out}/tree/"],
                               capture_output=True, text=True)
        differences = [line for line in check.stdout.splitlines() if line and not line.endswith("/")]
        return f"{point[:8]} came back different: {differences[:3]}" if differences else None

    def finish(self):
        self.run("prune", "-r", self.repo)
        listed = self.listed()
        for point, kept in self.copies.items():
            problem = self.compare(point, kept)
            if problem:
                self.fail(problem)
        self.counts["compared"] = len(self.copies)
        for point in listed - set(self.copies):
            problems = [self.compare(point, kept) for kept in getattr(self, "maybe", [])]
            if problems and all(problems):
                self.fail(f"a point that was not acknowledged is listed, and not whole: {point[:8]}")
            self.counts["committed without an answer"] += 1
        sessions = list((self.repo / "sessions").glob("*")) if (self.repo / "sessions").exists() else []
        if len(sessions) > 1:  # a checkpoint may stay
            self.fail(f"{len(sessions)} sessions are left behind")

    def main(self):
        self.change_tree()
        for words in (("init", "-r", self.repo), ("init", "-r", self.other, "--like", self.repo)):
            code, _, err = self.run(*words)
            if code:
                print(err, file=sys.stderr)
                return 1
        try:
            for number in range(self.args.count):
                before = len(self.failures)
                if self.random.random() < 0.6:
                    self.backup(disturbed=True)
                else:
                    self.other_operation(disturbed=True)
                if self.random.random() < 0.3:
                    self.check()
                if len(self.failures) > before:
                    print(f"# at operation {number}, seed {self.args.seed}", flush=True)
                    if len(self.failures) > 10:
                        break
            self.backup(disturbed=False)
            self.check()
            self.finish()
        finally:
            if not self.args.keep:
                shutil.rmtree(self.base, ignore_errors=True)
        for what, count in sorted(self.counts.items()):
            print(f"# {count:6} {what}")
        print(f"kills: {self.args.count} operations, {len(self.failures)} failures, seed {self.args.seed}")
        return 1 if self.failures else 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("holdfast")
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--stop-seconds", type=float, default=1.5)
    parser.add_argument("--longest", type=float, default=0.6, help="seconds until the blow, at most")
    parser.add_argument("--keep", action="store_true")
    return Rig(parser.parse_args()).main()


if __name__ == "__main__":
    sys.exit(main())
