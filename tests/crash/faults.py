# SPDX-License-Identifier: GPL-3.0-or-later
"""The N-th system call of an operation fails, for every N: EIO, ENOSPC, EINTR, and counts cut short.

Each operation starts from a copy of the same small repository. EINTR and short counts must be invisible. After any
other fault
the operation has succeeded (then with its whole effect), or has failed with exit code 1, 4 or 5 and a message;
nothing has
crashed or hung; `verify` finds nothing, what was acknowledged before is listed, and the operation succeeds when
run again.

usage: faults.py HOLDFAST [--stride N] [--seed S] [--operations LIST] [--errors LIST]
"""
import concurrent.futures
import pathlib
import tempfile

import rig as base_rig

ERRORS = ("EIO", "ENOSPC", "EINTR", "SHORT")
INVISIBLE = ("EINTR", "SHORT")
OPERATIONS = ("init", "backup", "forget", "prune", "copy", "verify", "restore", "repair", "points")


class Rig(base_rig.Rig):
    def prepare(self):
        """A repository with three points, dead packs for prune to take, and a sibling."""
        self.home = self.base / "home"
        self.home.mkdir()
        self.tree, self.repo, self.sibling = (self.home / name for name in ("tree", "repo", "sibling"))
        base_rig.make_tree(self.tree, self.random, folders=3, files=4, noise=200000)
        self.must("init", "-r", self.repo, "--encryption", "none", "--parity", "5")
        self.must("init", "-r", self.sibling, "--like", self.repo)
        for _ in range(4):
            base_rig.change_tree(self.tree, self.random, 12, (100, 3000, 60000))
            self.must("backup", "-r", self.repo, "-n", "f", self.tree)
        self.latest = self.must("points", "-r", self.repo).documents()[-1]["point"]
        self.at_latest = self.base / "latest"
        base_rig.copy_tree(self.tree, self.at_latest)
        base_rig.change_tree(self.tree, self.random, 12, (100, 3000, 60000))
        self.before = self.points(self.repo)
        # What prune finds: a repository of which two points were forgotten.
        self.forgotten = self.home / "forgotten"
        base_rig.copy_tree(self.repo, self.forgotten)
        self.must("forget", "-r", self.forgotten, "--keep-last", "2")
        self.kept = self.points(self.forgotten)
        # What repair finds: a data pack with a run of damage, a lost mirror, a lost copy of the config.
        self.damaged = self.home / "damaged"
        base_rig.copy_tree(self.repo, self.damaged)
        pack = max(self.damaged.glob("data/*/*"), key=lambda path: path.stat().st_size)
        pack.chmod(0o600)
        with open(pack, "r+b") as stream:
            stream.seek(pack.stat().st_size // 2)
            stream.write(bytes(3000))
        next(self.damaged.glob("mirror/*/*")).unlink()
        (self.damaged / "config.1").unlink()

    def words(self, operation, place):
        """The words of an operation, and the folder of this try that it works on."""
        repo = place / "repo"
        return {"init": ("init", "-r", place / "new", "--encryption", "none"),
                "backup": ("backup", "-r", repo, "-n", "f", self.tree),
                "forget": ("forget", "-r", repo, "--keep-last", "2"),
                "prune": ("prune", "-r", repo),
                "copy": ("copy", "-r", repo, "--to", place / "sibling"),
                "verify": ("verify", "-r", repo),
                "restore": ("restore", "-r", repo, "latest", "--to", place / "out"),
                "repair": ("repair", "-r", repo),
                "points": ("points", "-r", repo)}[operation]

    def make_place(self, operation):
        place = pathlib.Path(tempfile.mkdtemp(prefix=operation, dir=self.base))
        source = {"prune": self.forgotten, "repair": self.damaged}.get(operation, self.repo)
        if operation != "init":
            base_rig.copy_tree(source, place / "repo")
        if operation == "copy":
            base_rig.copy_tree(self.sibling, place / "sibling")
        return place

    def calls(self, operation):
        place = self.make_place(operation)
        count = place / "count"
        answer = self.run(*self.words(operation, place), env={"HOLDFAST_FAULT_COUNT": str(count)})
        total = int(count.read_text()) if count.exists() else 0
        base_rig.remove_tree(place)
        if answer.code not in (0, 3):
            self.fail(f"without a fault {answer}")
        return total

    def environment(self, **more):
        """One thread: so the N-th call is mostly the same in every run."""
        return super().environment(**{"HOLDFAST_THREADS": "1", **more})

    def effect(self, operation, place, answer):
        """What is wrong with an operation that says it succeeded."""
        repo = place / "repo"
        if operation == "backup":
            point = answer.summary().get("point")
            listed = self.points(repo) or set()
            if point not in listed:
                return "the point is not listed"
            return self.restored(repo, point, self.tree) if answer.code == 0 else None
        if operation == "forget" and self.points(repo) != self.kept:
            return "other points are left than asked for"
        if operation == "copy" and answer.code == 0 and self.points(place / "sibling") != self.before:
            return "not all points were copied"
        if operation == "restore" and answer.code == 0:
            return base_rig.compare(self.at_latest, place / "out" / "tree")
        return None

    def lost(self, operation, place):
        if operation == "init":
            return None
        listed = self.points(place / "repo") or set()
        need = self.kept if operation in ("prune", "forget") else self.before
        return f"{len(need - listed)} points are lost" if need - listed else None

    def one(self, operation, nth, error):
        place = self.make_place(operation)
        try:
            return self.judge(operation, place, nth, error)
        finally:
            base_rig.remove_tree(place)

    def judge(self, operation, place, nth, error):
        words = self.words(operation, place)
        answer = self.run(*words, env={"HOLDFAST_FAULT": f"{nth}:{error}"}, timeout=60)
        if answer.code not in (0, 1, 3, 4, 5):
            return f"crashed or hung: {answer}", "crash"
        if error in INVISIBLE and answer.code != 0 and operation != "repair":
            return f"was not invisible: {answer}", "seen"
        if answer.code in (1, 4, 5) and not ('"message":"' in answer.err and len(answer.errors()) > 40):
            return f"failed without a cause: {answer}", "silent"
        wrong = self.effect(operation, place, answer) if answer.code in (0, 3) else None
        if wrong:
            return f"said {answer.code}, but {wrong}: {answer.errors()[-300:]}", "effect"
        wrong = self.lost(operation, place)
        if wrong:
            return f"{wrong}: {answer}", "lost"
        outcome = {0: "succeeded", 3: "warned"}.get(answer.code, "failed cleanly")
        if operation == "init":
            if answer.code == 0:
                return self.sound(place / "new"), outcome
            again = self.run(*words)
            return (None if again.code == 0 else f"after {answer} again {again}"), outcome
        if operation != "repair":
            wrong = self.sound(place / "repo")
            if wrong:
                return f"after {answer}: {wrong}", "unsound"
        if operation == "restore":
            base_rig.remove_tree(place / "out")
        again = self.run(*words)
        if again.code not in (0, 3):
            return f"after {answer} again {again}", "again"
        wrong = self.effect(operation, place, again) or self.sound(place / "repo")
        return (f"after {answer} again: {wrong}" if wrong else None), outcome

    def alone(self):
        """A folder whose only file cannot be read: a warning that names it, and an empty folder in the point."""
        place = pathlib.Path(tempfile.mkdtemp(prefix="alone", dir=self.base))
        (place / "tree" / "folder").mkdir(parents=True)
        (place / "tree" / "folder" / "unreadable").write_bytes(b"x" * 100)
        self.must("init", "-r", place / "repo", "--encryption", "none")
        warned = 0
        for nth in range(1, 90):
            base_rig.remove_tree(place / "try")
            base_rig.copy_tree(place / "repo", place / "try")
            answer = self.run("backup", "-r", place / "try", "-n", "alone", place / "tree",
                              env={"HOLDFAST_FAULT": f"{nth}:EIO:openat"})
            warned += answer.code == 3 and "unreadable" in answer.err
            self.check(answer.code in (0, 1, 3), f"a file that is alone, {nth}:EIO:openat: {answer}")
            if warned:
                break
        self.check(warned, "the file that is alone was never unreadable")
        problem = self.sound(place / "try")
        self.check(problem is None, problem)
        base_rig.remove_tree(place)

    def main(self):
        self.prepare()
        self.alone()
        jobs = []
        for operation in self.args.operations.split(","):
            total = self.calls(operation)
            self.counts[f"calls of {operation}"] = total
            for error in self.args.errors.split(","):
                first = self.random.randrange(self.args.stride) + 1
                jobs += [(operation, nth, error) for nth in range(first, total + 1, self.args.stride)]
        with concurrent.futures.ThreadPoolExecutor(self.args.jobs) as pool:
            for job, (problem, outcome) in zip(jobs, pool.map(lambda job: self.one(*job), jobs)):
                operation, nth, error = job
                self.counts[f"{operation} {error}: {outcome}"] += 1
                self.check(problem is None, f"{operation} with HOLDFAST_FAULT={nth}:{error} {problem}")
        return self.end(self.args.keep)


def main():
    args = base_rig.arguments(__doc__.splitlines()[0], 0, stride=(int, 1, "try every N-th call only"),
                              operations=(str, ",".join(OPERATIONS), "which, with commas"),
                              errors=(str, ",".join(ERRORS), "which, with commas"),
                              jobs=(int, 2, "tries at once"))
    return Rig("faults", args).main()


if __name__ == "__main__":
    base_rig.main(main)
