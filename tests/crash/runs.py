# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of damage in data packs, up to the length that format.md section 6 promises to mend.

--count times: a run of zeros or of noise is put at a random place of a real data pack, or the end of it is cut
off, with a
random length up to (4 S - 1) * 4096 + 1 bytes. `repair` must mend it: everything verifies, also after a second
`repair` and after a
`prune`, and the point comes back as it was.

usage: runs.py HOLDFAST [--count N] [--seed S]
"""
import concurrent.futures
import pathlib
import random
import tempfile

import rig as base_rig

CELL, DATA_CELLS, PARITY_CELLS = 4096, 80, 4


def longest(length):
    cells = -(-length // CELL)
    stripes = -(-cells // DATA_CELLS)
    return (PARITY_CELLS * stripes - 1) * CELL + 1


class Rig(base_rig.Rig):
    def prepare(self):
        self.tree, self.repo = self.base / "tree", self.base / "repo"
        base_rig.make_tree(self.tree, self.random, folders=4, files=10, noise=3 << 20)
        self.must("init", "-r", self.repo, "--encryption", "none", "--parity", "5")
        self.must("backup", "-r", self.repo, "-n", "r", self.tree)
        self.packs = sorted(str(path.relative_to(self.repo)) for path in self.repo.glob("data/*/*"))

    def damage(self, repo, random_):
        path = repo / random_.choice(self.packs)
        data = bytearray(path.read_bytes())
        most = min(longest(len(data)), len(data))
        length = random_.choice((most, random_.randint(1, most)))
        kind = random_.choice(("zeros", "noise", "cut"))
        start = len(data) - length if kind == "cut" else random_.randint(0, len(data) - length)
        if kind == "cut":
            del data[start:]
        else:
            data[start:start + length] = bytes(length) if kind == "zeros" else random_.randbytes(length)
        path.chmod(0o600)
        path.write_bytes(data)
        return kind, f"{kind} of {length} bytes at {start} of {len(data)}"

    def one(self, number):
        random_ = random.Random(f"{self.args.seed} {number}")
        place = pathlib.Path(tempfile.mkdtemp(prefix="run", dir=self.base))
        try:
            repo = place / "repo"
            base_rig.copy_tree(self.repo, repo)
            kind, what = self.damage(repo, random_)
            for words in (("repair",), ("verify",), ("repair",), ("verify",), ("prune",), ("verify",)):
                answer = self.run(*words, "-r", repo)
                if answer.code not in ((0, 3) if words[0] == "repair" else (0,)):
                    return kind, f"{what}: {answer}"
            problem = self.restored(repo, "latest", self.tree)
            return kind, problem and f"{what}: {problem}"
        finally:
            base_rig.remove_tree(place)

    def main(self):
        self.prepare()
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for number, (kind, problem) in enumerate(pool.map(self.one, range(self.args.count))):
                self.counts[kind] += 1
                self.check(problem is None, f"run {number}: {problem}")
        return self.end(self.args.keep)


if __name__ == "__main__":
    base_rig.main(lambda: Rig("runs", base_rig.arguments(__doc__.splitlines()[0], 10)).main())
