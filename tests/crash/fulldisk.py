# SPDX-License-Identifier: GPL-3.0-or-later
"""A full disk: a repository on a small tmpfs, which something else fills to the last byte.

A backup fails and says why; forget and prune work, older points are intact, and then a backup works again. Needs root.

usage: fulldisk.py HOLDFAST [--count N] [--seed S]
"""
import os
import subprocess
import sys

import rig as base_rig

SKIPPED = 77  # for meson


class Rig(base_rig.Rig):
    def fill(self, disk, name):
        """Takes all that is free, to the last byte."""
        with open(disk / name, "wb", buffering=0) as filler:
            for size in (1 << 20, 4096, 1):
                try:
                    while True:
                        filler.write(bytes(size))
                except OSError:
                    pass
        left = os.statvfs(disk)
        return left.f_bavail * left.f_frsize

    def one(self, number):
        disk = self.base / f"disk{number}"
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.random.randrange(10, 16)}m", "full", disk], check=True)
        try:
            return self.judge(disk, self.base / f"tree{number}")
        finally:
            subprocess.run(["umount", "-l", disk], check=True)

    def judge(self, disk, tree):
        repo = disk / "repo"
        base_rig.make_tree(tree, self.random, folders=4, files=8, noise=300000)
        self.must("init", "-r", repo, "--encryption", "none", "--parity", str(self.random.choice((0, 5))))
        kept = {}
        for step in range(4):
            base_rig.change_tree(tree, self.random, 12)
            (tree / "churn").write_bytes(self.random.randbytes(400000))
            point = self.must("backup", "-r", repo, "-n", "full", tree).summary()["point"]
            kept[point] = self.base / f"{tree.name}-{step}"
            base_rig.copy_tree(tree, kept[point])
        (tree / "more").write_bytes(self.random.randbytes(2000000))
        if self.fill(disk, "filler"):
            return "the disk could not be filled"
        answer = self.run("backup", "-r", repo, "-n", "full", tree)
        if answer.code != 1 or "space" not in answer.err.lower():
            return f"a backup onto a full disk: {answer}"
        self.fill(disk, "filler2")
        newest = list(kept)[-2:]
        for words in (("forget", "-r", repo, "--keep-last", "2"), ("prune", "-r", repo)):
            answer = self.run(*words)
            if answer.code not in (0, 3):
                return f"at 0 free bytes {answer}"
        free = os.statvfs(disk)
        self.counts["KiB freed by prune"] += free.f_bavail * free.f_frsize // 1024
        if free.f_bavail == 0:
            return "prune freed nothing"
        listed = self.points(repo)
        if listed != set(newest):
            return f"{len(listed or ())} points are listed, 2 are wanted"
        problem = self.sound(repo)
        if problem:
            return problem
        for point in newest:
            problem = self.restored(repo, point, kept[point])
            if problem:
                return problem
        for name in ("filler", "filler2"):
            (disk / name).unlink(missing_ok=True)
        answer = self.run("backup", "-r", repo, "-n", "full", tree)
        if answer.code != 0:
            return f"with room again {answer}"
        return self.sound(repo) or self.restored(repo, "latest", tree)

    def main(self):
        for number in range(self.args.count):
            problem = self.one(number)
            self.check(problem is None, f"disk {number}: {problem}")
        return self.end(self.args.keep)


def main():
    args = base_rig.arguments(__doc__.splitlines()[0], 3)
    if os.geteuid() != 0:
        print("fulldisk: skipped, mounting a tmpfs needs root")
        sys.exit(SKIPPED)
    return Rig("fulldisk", args).main()


if __name__ == "__main__":
    base_rig.main(main)
