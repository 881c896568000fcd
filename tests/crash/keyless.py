# SPDX-License-Identifier: GPL-3.0-or-later
"""Prune with rewriting, copy between siblings and verify --stored on a machine that holds no key.

The repository is encrypted with a password. Its `keys/` folder, which holds what a password opens, is made
unreadable for the
time (moved away), the environment is empty: no password, no key file, no home. What was left is then verified with
the password.

usage: keyless.py HOLDFAST [--count N] [--seed S]
"""
import os
import subprocess

import rig as base_rig


class Rig(base_rig.Rig):
    def keyless(self, *words):
        """Runs with an empty environment, without standard input."""
        process = subprocess.Popen([self.holdfast, *map(str, words), "--json"], env={}, stdin=subprocess.DEVNULL,
        cwd="/",
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        return self.finish(process, words)

    def one(self, number):
        tree, repo, other = (self.base / f"{name}{number}" for name in ("tree", "repo", "sibling"))
        base_rig.make_tree(tree, self.random, folders=4, files=12, noise=300000)
        self.must("init", "-r", repo, "--parity", "5")
        self.must("init", "-r", other, "--like", repo)
        for _ in range(5):
            base_rig.change_tree(tree, self.random, 30)
            (tree / "churn").write_bytes(self.random.randbytes(500000))
            self.must("backup", "-r", repo, "-n", "k", tree)
        self.must("forget", "-r", repo, "--keep-last", "1")
        for place in (repo, other):
            os.rename(place / "keys", self.base / f"hidden-{place.name}")
        try:
            steps = [("verify", "-r", repo, "--stored"), ("prune", "-r", repo), ("verify", "-r", repo, "--stored"),
                     ("copy", "-r", repo, "--to", other), ("verify", "-r", other, "--stored")]
            for words in steps:
                answer = self.keyless(*words)
                if answer.code not in (0, 3):
                    return f"without keys {answer}"
                if words[0] == "prune":
                    self.counts["packs rewritten without keys"] += answer.summary().get("rewritten_packs", 0)
                    self.counts["packs removed without keys"] += answer.summary().get("removed_packs", 0)
        finally:
            for place in (repo, other):
                if (place / "keys").exists():
                    return f"a keys folder was made in {place.name}"
                os.rename(self.base / f"hidden-{place.name}", place / "keys")
        answer = self.keyless("verify", "-r", repo)
        if answer.code not in (2, 5):
            return f"contents were verified without a key: {answer}"
        for place in (repo, other):
            problem = self.sound(place, codes=(0,)) or self.restored(place, "latest", tree)
            if problem:
                return f"{place.name}: {problem}"
        return None

    def main(self):
        for number in range(self.args.count):
            problem = self.one(number)
            self.check(problem is None, f"round {number}: {problem}")
        return self.end(self.args.keep)


if __name__ == "__main__":
    base_rig.main(lambda: Rig("keyless", base_rig.arguments(__doc__.splitlines()[0], 2), password="keyless").main())
