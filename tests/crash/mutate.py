# SPDX-License-Identifier: GPL-3.0-or-later
"""Single mutations of a repository: each is found, and none loses or falsifies anything silently.

A repository with parity is made from a small tree. Then, --count times: one object is chosen (half of the times by
its size,
half by its name), one bit of it flipped, 4 KiB of it zeroed, its end cut off, or it is removed. `verify` must tell, and
`restore` must give back every file as it was, or name the file that it cannot give. With parity no file may be
lost to a bit or to
zeros, nor by anything that happens to config, keys, points or metadata; when `restore` cannot do it alone, after
`repair`. Then all
is put back. Counts are printed; a seed replays a run.

usage: mutate.py HOLDFAST [--count N] [--seed S] [--parity 0|5|10]
"""
import concurrent.futures
import queue
import random
import shutil

import rig as base_rig

CELL = 4096
KINDS = ("bit", "zero", "cut", "remove")
TRIPLES = ("config", "keys", "ring", "writers", "points")


class Failure(Exception):
    pass


class Place:
    """A copy of the repository that one worker mutates."""

    def __init__(self, repo, out, saved):
        self.repo, self.out, self.saved = repo, out, saved

    def put_back(self):
        """What was mutated, healed or noted goes back, so that each mutation stands alone."""
        for path in list(self.repo.rglob("*")):
            if path.is_file() and str(path.relative_to(self.repo)) not in self.saved:
                path.unlink()
        for name, data in self.saved.items():
            path = self.repo / name
            if not path.exists() or path.read_bytes() != data:
                self.write(path, data)

    def write(self, path, data):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            path.unlink()
        path.write_bytes(data)
        path.chmod(0o400)

    def is_back(self, name):
        path = self.repo / name
        return path.exists() and path.read_bytes() == self.saved[name]


def mutated(before, kind, random_):
    """The bytes after a mutation; None: removed."""
    after = bytearray(before)
    if kind == "remove":
        return None
    if kind == "bit":
        after[random_.randrange(len(after))] ^= 1 << random_.randrange(8)
    elif kind == "zero":
        at = random_.randrange(max(len(after) - CELL, 1))
        after[at:at + CELL] = bytes(len(after[at:at + CELL]))
    else:
        del after[random_.randrange(len(after)):]
    return bytes(after)


def read_tree(root):
    return {str(path.relative_to(root)): path.read_bytes()
            for path in sorted(root.rglob("*")) if path.is_file() and not path.is_symlink()}


class Rig(base_rig.Rig):
    def prepare(self):
        tree, repo = self.base / "tree", self.base / "repo"
        base_rig.make_tree(tree, self.random, folders=6, files=15, noise=500000)
        self.must("init", "-r", repo, "--encryption", "none", "--parity", self.args.parity)
        self.must("backup", "-r", repo, "-n", "m", tree)
        base_rig.change_tree(tree, self.random, 12, (100, 3000, 60000))
        self.must("backup", "-r", repo, "-n", "m", tree)
        self.want = read_tree(tree)
        saved = {str(path.relative_to(repo)): path.read_bytes() for path in repo.rglob("*") if path.is_file()}
        # Ids are random: by size, so that a seed chooses the same kinds of objects again.
        self.names = sorted((name for name in saved if saved[name]),
                            key=lambda name: (name.split("/")[0], len(saved[name]), name))
        self.sizes = [len(saved[name]) for name in self.names]
        self.places = queue.SimpleQueue()
        for number in range(self.args.jobs):
            copy = self.base / f"copy{number}"
            base_rig.copy_tree(repo, copy)
            self.places.put(Place(copy, self.base / f"out{number}", saved))

    def restore(self, place):
        """whole, partly or refused; raises when a file is wrong, or missing without being named."""
        shutil.rmtree(place.out, ignore_errors=True)
        answer = self.run("restore", "-r", place.repo, "latest", "--to", place.out)
        text = answer.errors()
        if answer.code not in (0, 1, 3, 4, 5):
            raise Failure(str(answer))
        got = read_tree(place.out / "tree") if (place.out / "tree").exists() else {}
        wrong = [name for name, data in got.items() if not name.endswith(".damaged") and self.want.get(name) != data]
        missing = [name for name in self.want if name not in got]
        if wrong:
            raise Failure(f"SILENT: {wrong[:3]} came back with other bytes: {answer}")
        if missing and (answer.code == 0 or not text):
            raise Failure(f"SILENT: {missing[:3]} are missing: {answer}")
        if not got:
            return "refused"
        unnamed = [name for name in missing if not any(part in text for part in name.split("/"))]
        if unnamed and answer.code not in (1, 4):
            raise Failure(f"missing and not named: {unnamed[:3]}: {answer}")
        return "partly" if missing else "whole"

    def found(self, place, name, kind, answer):
        folder = name.split("/")[0].split(".")[0]
        if answer.code != 0 or place.is_back(name):
            return True
        # What is no part of any point: random bytes that are given up when the store is full; a cache that can be made anew.
        return folder == "reserve" or (folder == "index" and kind == "remove")

    def judge(self, place, name, kind):
        folder = name.split("/")[0].split(".")[0]
        verify = self.run("verify", "-r", place.repo)
        if not self.found(place, name, kind, verify):
            raise Failure(f"verify did not find it: {verify}")
        state = self.restore(place)
        within = folder != "data" or kind in ("bit", "zero")
        if self.args.parity == 0:
            within = folder not in ("data", "meta")
        if state == "whole" or not within:
            return f"{folder} {kind}: {state}"
        repair = self.run("repair", "-r", place.repo)
        state = self.restore(place)
        if state != "whole":
            raise Failure(f"lost within the reach of parity ({state}) after {repair}")
        return f"{folder} {kind}: whole after repair"

    def one(self, seed):
        random_ = random.Random(seed)
        name = random_.choice(self.names) if random_.random() < 0.5 else random_.choices(self.names, self.sizes)[0]
        kind = random_.choice(KINDS)
        place = self.places.get()
        try:
            before = place.saved[name]
            after = mutated(before, kind, random_)
            if after == before:
                return "no change", None
            if after is None:
                (place.repo / name).unlink()
            else:
                place.write(place.repo / name, after)
            return self.judge(place, name, kind), None
        except Failure as failure:
            return f"{name.split('/')[0].split('.')[0]} {kind}: FAILED", f"{kind} of {name}, mutation {seed}: {failure}"
        finally:
            place.put_back()
            self.places.put(place)

    def ends(self):
        """Bits of head, directory and trailer of all packs and mirrors: what is read of one of the two only."""
        place = self.places.get()
        for name in self.names:
            folder, data = name.split("/")[0], place.saved[name]
            for at in (20, len(data) - 30, len(data) - 100) if folder in ("data", "meta", "mirror") else ():
                problem = None
                place.write(place.repo / name, data[:at] + bytes((data[at] ^ 1,)) + data[at + 1:])
                try:
                    self.judge(place, name, "bit")
                except Failure as failure:
                    problem = failure
                self.check(problem is None, f"bit at {at} of {len(data)} of {name}: {problem}")
                place.put_back()
        self.places.put(place)

    def main(self):
        self.prepare()
        self.ends()
        seeds = [f"{self.args.seed} {number}" for number in range(self.args.count)]
        if self.args.only:
            seeds = [self.args.only]
        with concurrent.futures.ThreadPoolExecutor(self.args.jobs) as pool:
            for outcome, problem in pool.map(self.one, seeds):
                self.counts[outcome] += 1
                self.check(problem is None, problem)
        return self.end(self.args.keep)


def main():
    args = base_rig.arguments(__doc__.splitlines()[0], 200, parity=(int, 5, "parity of the repository"),
                              only=(str, "", "one mutation, as a failure names it"), jobs=(int, 2, "mutations at once"))
    return Rig("mutate", args).main()


if __name__ == "__main__":
    base_rig.main(main)
