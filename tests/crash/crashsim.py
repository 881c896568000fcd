# SPDX-License-Identifier: GPL-3.0-or-later
"""Power losses: backup, prune, forget, repair and copy are recorded, and states that a crash could leave are rebuilt.

For every sync of a recording --states states are made with replay.py: unsynced writes dropped, torn, reordered.
Each state must
open, verify clean, list every point whose commit was acknowledged before the crash (and, for forget, none come
back wrongly
deleted), and let the operation be run again.

usage: crashsim.py HOLDFAST [--states N] [--stride N] [--seed S] [--operations LIST]
"""
import concurrent.futures
import pathlib
import random
import tempfile

import replay
import rig as base_rig

OPERATIONS = ("backup", "prune", "forget", "repair", "copy")


class Rig(base_rig.Rig):
    def prepare(self):
        self.home = self.base / "home"
        self.home.mkdir()
        self.tree = self.home / "tree"
        self.first = self.home / "first"
        base_rig.make_tree(self.tree, self.random, folders=4, files=8, noise=300000)
        self.must("init", "-r", self.first, "--encryption", "none", "--parity", "5")
        self.must("init", "-r", self.home / "sibling", "--like", self.first)
        for _ in range(4):
            base_rig.change_tree(self.tree, self.random, 12, (100, 3000, 60000))
            self.must("backup", "-r", self.first, "-n", "c", self.tree)
        base_rig.change_tree(self.tree, self.random, 12, (100, 3000, 60000))
        self.before = self.points(self.first)

    def setting(self, operation):
        """The folder that is watched, as it is before the operation; the words; the points that must stay."""
        watched = self.home / f"{operation}-watched"
        copy = operation == "copy"
        base_rig.copy_tree(self.home / "sibling" if copy else self.first, watched)
        need = set() if copy else set(self.before)
        if operation in ("prune", "forget"):
            keep = ("forget", "-r", watched, "--keep-last", "2")
            if operation == "prune":
                self.must(*keep)
                need = self.points(watched)
                return watched, ("prune", "-r", watched), need
            newest = [document["point"] for document in self.must("points", "-r", self.first).documents()
                      if "point" in document]
            return watched, keep, set(newest[-2:]) if self.oldest_first() else set(newest[:2])
        if operation == "repair":
            self.damage(watched)
        words = {"backup": ("backup", "-r", watched, "-n", "c", self.tree), "repair": ("repair", "-r", watched),
                 "copy": ("copy", "-r", self.first, "--to", watched)}[operation]
        return watched, words, need

    def oldest_first(self):
        times = [document["time"] for document in self.must("points", "-r", self.first).documents() if "point" in document]
        return times == sorted(times)

    def damage(self, repo):
        pack = max(repo.glob("data/*/*"), key=lambda path: path.stat().st_size)
        pack.chmod(0o600)
        with open(pack, "r+b") as stream:
            stream.seek(pack.stat().st_size // 2)
            stream.write(bytes(3000))
        next(repo.glob("mirror/*/*")).unlink()
        (repo / "config.1").unlink()

    def record(self, operation):
        watched, words, need = self.setting(operation)
        start = self.home / f"{operation}-start"
        base_rig.copy_tree(watched, start)
        record = self.home / f"{operation}-record"
        self.must(*words, codes=(0, 3), env={"HOLDFAST_RECORD": str(record)})
        replay.mark(record, "acknowledged")
        after = self.points(watched)
        recording = replay.Recording.load(record)
        self.counts[f"syncs of {operation}"] = len(recording.syncs)
        return recording, start, watched, words, need, after

    def plan(self, recording):
        """Crash points: --states in each gap between syncs, every --stride gaps; the last one always."""
        gaps = set(range(self.random.randrange(self.args.stride), len(recording.syncs) + 1, self.args.stride))
        gaps.add(len(recording.syncs))
        for gap in sorted(gaps):
            first, last = recording.gap(gap)
            for number in range(self.args.states):
                # The first try lies right before the next sync: there most is open.
                yield last if number == 0 else self.random.randint(first, last)

    def one(self, operation, made, crash, seed):
        recording, start, watched, words, need, after = made
        place = pathlib.Path(tempfile.mkdtemp(prefix=operation, dir=self.base))
        state = place / "state"
        try:
            told = replay.materialise(recording, state, watched, crash, seed, start)
            done = bool(recording.marked(crash))
            problem = self.judge(operation, state, words, watched, after if done else need, after, done)
            return f"{told}: {problem}" if problem else None
        finally:
            base_rig.remove_tree(place)

    def judge(self, operation, state, words, watched, need, after, done):
        listed = self.points(state)
        if listed is None:
            return "points cannot be listed"
        if need - listed:
            return f"{len(need - listed)} acknowledged points are not listed"
        if operation == "forget" and done and listed != after:
            return "a point that was forgotten is back"
        if operation != "repair":
            problem = self.sound(state)
            if problem:
                return problem
        words = [state if word == watched else word for word in words]
        again = self.run(*words)
        if again.code not in (0, 3):
            return f"again {again}"
        problem = self.sound(state)
        if problem:
            return f"afterwards {problem}"
        if operation == "backup":
            return self.restored(state, "latest", self.tree)
        listed = self.points(state)
        if operation == "forget" and listed != after:
            return f"{len(listed)} points are left, {len(after)} are wanted"
        return f"{len(after - listed)} points are missing afterwards" if after - listed else None

    def main(self):
        self.prepare()
        for operation in self.args.operations.split(","):
            made = self.record(operation)
            jobs = [(crash, random.Random(f"{self.args.seed} {number}").randrange(1 << 30))
                    for number, crash in enumerate(self.plan(made[0]))]
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                for (crash, seed), problem in zip(jobs, pool.map(lambda job: self.one(operation, made, *job), jobs)):
                    self.counts[f"states of {operation}"] += 1
                    self.check(problem is None, f"{operation}, state {crash} seed {seed}: {problem}")
        return self.end(self.args.keep)


def main():
    args = base_rig.arguments(__doc__.splitlines()[0], 0, states=(int, 4, "states for each gap between two syncs"),
                              stride=(int, 1, "every N-th gap only"),
                              operations=(str, ",".join(OPERATIONS), "which, with commas"))
    return Rig("crashsim", args).main()


if __name__ == "__main__":
    base_rig.main(main)
