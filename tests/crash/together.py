# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups, restores, copies and verifications at once with forget and prune, again and again.

Each of several loops does one thing --count times while the others go on: two sources are backed up and their
newest point restored and
compared, all points are copied to a sibling, everything is verified, old points are forgotten, and two loops
prune. Everything must
succeed within a minute, nothing is lost, and what is left verifies.

usage: together.py HOLDFAST [--count N] [--seed S]
"""
import pathlib
import random
import tempfile
import threading
import time

import rig as base_rig

LONGEST = 60  # seconds that a single operation may take


class Rig(base_rig.Rig):
    def prepare(self):
        self.repo, self.sibling = self.base / "repo", self.base / "sibling"
        self.must("init", "-r", self.repo, "--encryption", "none", "--parity", "5")
        self.must("init", "-r", self.sibling, "--like", self.repo)
        self.lock = threading.Lock()
        self.over = threading.Event()
        self.longest = 0.0

    def do(self, *words, codes=(0, 3)):
        start = time.monotonic()
        answer = self.run(*words, timeout=2 * LONGEST)
        took = time.monotonic() - start
        with self.lock:
            self.longest = max(self.longest, took)
            self.counts[words[0]] += 1
            good = answer.code in codes and took <= LONGEST
            self.check(good, f"after {took:.1f} s {answer}")
        return answer if good else None

    def source(self, name):
        """Backs up and restores its own tree."""
        random_ = random.Random(f"{self.args.seed} {name}")
        tree = self.base / name
        base_rig.make_tree(tree, random_, folders=5, files=10, noise=400000)
        for _ in range(self.args.count):
            base_rig.change_tree(tree, random_, 20)
            answer = self.do("backup", "-r", self.repo, "-n", name, tree, codes=(0,))
            if not answer:
                continue
            out = pathlib.Path(tempfile.mkdtemp(prefix="out", dir=self.base))
            restored = self.do("restore", "-r", self.repo, answer.summary()["point"], "--to", out / "to", codes=(0,))
            problem = restored and base_rig.compare(tree, out / "to" / name)
            with self.lock:
                self.check(not problem, f"{name} came back different: {problem}")
            base_rig.remove_tree(out)

    def again(self, *words):
        while not self.over.is_set():
            self.do(*words)
            time.sleep(0.05)

    def main(self):
        self.prepare()
        sources = [threading.Thread(target=self.source, args=(name,)) for name in ("one", "two", "three")]
        loops = [("prune", "-r", self.repo), ("prune", "-r", self.repo),
                 ("forget", "-r", self.repo, "--keep-last", str(self.args.keep_last)),
                 ("verify", "-r", self.repo), ("copy", "-r", self.repo, "--to", self.sibling),
                 ("verify", "-r", self.sibling, "--stored"), ("points", "-r", self.repo)]
        others = [threading.Thread(target=self.again, args=words) for words in loops]
        for thread in sources + others:
            thread.start()
        for thread in sources:
            thread.join()
        self.over.set()
        for thread in others:
            thread.join()
        for repo in (self.repo, self.sibling):
            self.do("prune", "-r", repo)
            problem = self.sound(repo, codes=(0,))
            self.check(problem is None, f"in the end {problem}")
        for name in ("one", "two", "three"):
            problem = self.restored(self.repo, name, self.base / name)
            self.check(problem is None, f"in the end {name}: {problem}")
        self.counts["seconds of the longest operation"] = round(self.longest, 1)
        return self.end(self.args.keep)


if __name__ == "__main__":
    base_rig.main(lambda: Rig("together", base_rig.arguments(
        __doc__.splitlines()[0], 5, keep_last=(int, 4, "points of a source that forget leaves"))).main())
