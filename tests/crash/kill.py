# SPDX-License-Identifier: GPL-3.0-or-later
"""Kills, or stops for a while, at random moments of backup, forget, prune, copy and repair.

A tree changes at random; operations run one after the other or two at once, and are killed (SIGKILL) or stopped
and continued
at random moments. After each: every point that was acknowledged is listed, everything verifies, and nothing needs
an unlock.
At the end every acknowledged point is restored and compared with the copy of the tree that it was made from.

usage: kill.py HOLDFAST [--count N] [--seed S] [--stop-seconds T] [--keep]
"""
import shutil
import signal
import time

import rig as base_rig

BEAT_MS = 200  # of sessions, in test builds: dead after three
CHECKPOINT_MS = 60


class Rig(base_rig.Rig):
    def __init__(self, args):
        super().__init__("kill", args)
        self.tree, self.repo, self.other = (self.base / name for name in ("tree", "repo", "other"))
        self.copies = {}  # point -> folder with what it must hold
        self.maybe = []   # folders of runs that gave no answer: their point may be there

    def environment(self, **more):
        return super().environment(HOLDFAST_TEST_BEAT_MS=str(BEAT_MS), HOLDFAST_TEST_CHECKPOINT_MS=str(CHECKPOINT_MS),
                                   **more)

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
        kept = self.base / f"copy{self.counts['backup']}"
        base_rig.copy_tree(self.tree, kept)
        process = self.start("backup", "-r", self.repo, "-n", "kill", self.tree)
        if disturbed:
            self.disturb(process)
        answer = self.finish_one(process, "backup")
        point = answer.summary().get("point")
        if point and answer.code in (0, 3):
            self.copies[point] = kept
            self.counts["acknowledged"] += 1
            return
        # Killed after the commit and before the answer: the point may be there, and then it must be whole.
        self.maybe.append(kept)
        if answer.code != -signal.SIGKILL and "dead" not in answer.err:
            self.fail(answer)

    def finish_one(self, process, kind):
        self.counts[kind] += 1
        return self.finish(process, (kind,))

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
        answer = self.finish_one(process, kind)
        if not killed and answer.code not in (0, 3) and "dead" not in answer.err:
            self.fail(answer)
        if kind == "forget":
            self.note_forgotten()

    def listed(self):
        return self.points(self.repo) or set()

    def note_forgotten(self):
        """forget goes by sequence: what it may have taken is everything but the newest that were asked for."""
        listed = self.listed()
        for point in list(self.copies):
            if point not in listed:
                shutil.rmtree(self.copies.pop(point))

    def check_all(self):
        listed = self.listed()
        missing = [point for point in self.copies if point not in listed]
        if missing:
            self.fail(f"acknowledged points are not listed: {missing}")
        problem = self.sound(self.repo, codes=(0,))
        if problem:
            self.fail(problem)

    def compare_all(self):
        self.run("prune", "-r", self.repo)
        listed = self.listed()
        for point, kept in self.copies.items():
            problem = self.restored(self.repo, point, kept)
            if problem:
                self.fail(f"{point[:8]}: {problem}")
        self.counts["compared"] = len(self.copies)
        for point in listed - set(self.copies):
            problems = [self.restored(self.repo, point, kept) for kept in self.maybe]
            if problems and all(problems):
                self.fail(f"a point that was not acknowledged is listed, and not whole: {point[:8]}: {problems[-1]}")
            self.counts["committed without an answer"] += 1
        sessions = list((self.repo / "sessions").glob("*"))
        if len(sessions) > 1:  # a checkpoint may stay
            self.fail(f"{len(sessions)} sessions are left behind")

    def resume(self):
        """Killed after a checkpoint, the next run takes from there what was read, or does not store again what it reads
        again: a large file may be all that was read."""
        tree, repo, fresh = self.base / "large", self.base / "resumed", self.base / "fresh"
        base_rig.make_tree(tree, self.random, folders=30, files=60, noise=24 << 20)
        self.must("init", "-r", repo, "--encryption", "none")
        for _ in range(20):
            process = self.start("backup", "-r", repo, "-n", "resume", "--limit", "6M", tree)
            there = base_rig.wait_until(lambda: process.poll() is not None or list(repo.glob("sessions/*/checkpoint.[1-9]*")), 60)
            time.sleep(0.3)
            process.kill()
            self.finish(process)
            if there and list(repo.glob("sessions/*/checkpoint.[1-9]*")):
                break
        summary = self.must("backup", "-r", repo, "-n", "resume", tree).summary()
        self.must("init", "-r", fresh, "--encryption", "none")
        whole = self.must("backup", "-r", fresh, "-n", "resume", tree).summary()
        spared = whole["new_bytes"] - summary["new_bytes"]
        self.check(summary.get("resumed") and spared > 0, f"was not resumed: {summary}")
        self.counts["files not read again"] = summary.get("files_unchanged", 0)
        self.counts["KiB not stored again"] = spared >> 10
        self.check(not self.restored(repo, "latest", tree), "what was resumed came back different")

    def main(self):
        self.change_tree()
        self.must("init", "-r", self.repo, "--encryption", "none")
        self.must("init", "-r", self.other, "--like", self.repo)
        for number in range(self.args.count):
            before = len(self.failures)
            if self.random.random() < 0.6:
                self.backup(disturbed=True)
            else:
                self.other_operation(disturbed=True)
            if self.random.random() < 0.3:
                self.check_all()
            self.passed += len(self.failures) == before
            if len(self.failures) > before:
                print(f"# at operation {number}, seed {self.args.seed}", flush=True)
                if len(self.failures) > 10:
                    break
        self.backup(disturbed=False)
        self.check_all()
        self.compare_all()
        self.resume()
        return self.end(self.args.keep)


def main():
    args = base_rig.arguments(__doc__.splitlines()[0], 60, stop_seconds=(float, 1.5, "how long a process is stopped"),
                              longest=(float, 0.4, "seconds until the blow, at most"))
    return Rig(args).main()


if __name__ == "__main__":
    base_rig.main(main)
