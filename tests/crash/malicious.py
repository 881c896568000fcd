# SPDX-License-Identifier: GPL-3.0-or-later
"""A malicious store: what whoever can write to the folder, and has no key, can do without being found out.

Objects are put into each other's place, within a repository, between siblings (equal keys) and between strangers,
and old states
are brought back. Whatever is done, `restore` gives back each file as it was at the point that was asked for, or
names what it cannot
give: never other bytes, never with exit code 0 when something is missing; and nothing crashes or hangs. (That the
newest points were
taken away altogether cannot be seen from what is left.)

usage: malicious.py HOLDFAST [--count N] [--seed S]
"""
import shutil

import rig as base_rig

PARTS = ("data", "meta", "parity", "mirror", "index", "points", "keys", "ring", "writers", "config")


class Rig(base_rig.Rig):
    def prepare(self):
        self.repo, self.sibling, self.stranger = (self.base / name for name in ("repo", "sibling", "stranger"))
        self.must("init", "-r", self.repo, "--parity", "5")
        self.must("init", "-r", self.sibling, "--like", self.repo)
        self.must("init", "-r", self.stranger, "--parity", "5")
        self.want = {}
        tree = self.base / "tree"
        base_rig.make_tree(tree, self.random, folders=3, files=8, noise=150000)
        for number, repo in enumerate((self.repo, self.repo, self.sibling, self.repo, self.stranger, self.stranger)):
            base_rig.change_tree(tree, self.random, 20, (100, 3000, 60000))
            (tree / "noise").write_bytes(self.random.randbytes(150000))
            point = self.must("backup", "-r", repo, "-n", "m", tree).summary()["point"]
            self.want[point] = self.base / f"at{number}"
            base_rig.copy_tree(tree, self.want[point])
            if number == 1:
                base_rig.copy_tree(self.repo, self.base / "old")
        self.points_here = sorted(self.points(self.repo))

    def objects(self, repo, part):
        return sorted(path for path in repo.rglob("*")
                      if path.is_file() and str(path.relative_to(repo)).replace(".", "/").split("/")[0] == part)

    def put(self, source, target):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        shutil.copyfile(source, target)

    def attack(self, repo):
        """Does something to `repo`; returns what."""
        kind = self.random.choice(("swap", "sibling", "stranger", "old", "add", "all copies", "cross"))
        part = self.random.choice(PARTS)
        ours = self.objects(repo, part)
        if kind == "swap":  # two of one kind into each other's place
            one, two = self.random.choice(ours), self.random.choice(ours)
            first, second = one.read_bytes(), two.read_bytes()
            for path, data in ((one, second), (two, first)):
                path.unlink(missing_ok=True)
                path.write_bytes(data)
        elif kind == "cross":  # an object of another kind
            self.put(self.random.choice(self.objects(self.base / "repo", self.random.choice(PARTS))), self.random.choice(ours))
        elif kind == "add":  # objects of another repository under their own names
            other = self.random.choice((self.sibling, self.stranger))
            for path in self.objects(other, part):
                self.put(path, repo / path.relative_to(other))
        elif kind == "all copies":  # all of one kind replaced by another repository's, name by name
            theirs = self.objects(self.random.choice((self.sibling, self.stranger)), part)
            for number, path in enumerate(ours):
                if theirs:
                    self.put(theirs[number % len(theirs)], path)
        else:
            source = {"sibling": self.sibling, "stranger": self.stranger, "old": self.base / "old"}[kind]
            theirs = self.objects(source, part)
            if not theirs:
                return f"{kind} {part}: nothing"
            self.put(self.random.choice(theirs), self.random.choice(ours))
        return f"{kind} {part}"

    def judge(self, repo):
        if self.random.random() < 0.5:
            answer = self.run("verify", "-r", repo)
            if answer.code not in (0, 1, 3, 4, 5):
                return str(answer)
        for point in [*self.points_here, "latest"]:
            out = self.base / "out"
            base_rig.remove_tree(out)
            answer = self.run("restore", "-r", repo, point, "--to", out)
            if answer.code not in (0, 1, 2, 3, 4, 5) or (answer.code and not answer.errors()):
                return str(answer)
            got = next(out.iterdir(), None) if out.exists() else None
            if got is None:
                if answer.code == 0:
                    return f"nothing came back: {answer}"
                self.counts["restores refused"] += 1
                continue
            candidates = self.want.values() if point == "latest" else (self.want[point],)
            if answer.code == 0 and all(base_rig.compare(want, got) for want in candidates):
                return f"{point} came back different: {base_rig.compare(self.want[self.points_here[0]], got)}"
            if answer.code != 0 and not any(self.no_other_bytes(want, got) for want in candidates):
                return f"{point} came back with other bytes: {answer}"
            self.counts["restores whole" if answer.code == 0 else "restores with losses named"] += 1
        return None

    def no_other_bytes(self, want, got):
        for path in got.rglob("*"):
            if path.is_file() and not path.is_symlink() and not path.name.endswith(".damaged"):
                there = want / path.relative_to(got)
                if not there.exists() or there.read_bytes() != path.read_bytes():
                    return False
        return True

    def main(self):
        self.prepare()
        for number in range(self.args.count):
            repo = self.base / "try"
            base_rig.copy_tree(self.repo, repo)
            what = self.attack(repo)
            problem = self.judge(repo)
            self.counts[what] += 1
            self.check(problem is None, f"attack {number}, {what}: {problem}")
            base_rig.remove_tree(repo)
        return self.end(self.args.keep)


if __name__ == "__main__":
    base_rig.main(lambda: Rig("malicious", base_rig.arguments(__doc__.splitlines()[0], 40), password="malicious").main())
