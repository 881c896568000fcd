# SPDX-License-Identifier: GPL-3.0-or-later
"""What the rigs of this folder share: running holdfast, trees of files, comparing, counting."""
import argparse
import collections
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

MEMORY = pathlib.Path("/dev/shm")


class Answer:
    """What a run of holdfast gave: exit code (negative: signal), output, errors."""

    def __init__(self, words, code, out, err):
        self.words, self.code, self.out, self.err = words, code, out, err

    def documents(self):
        found = []
        for line in self.out.splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                pass  # a line that was cut by a kill
        return found

    def summary(self):
        """The object that tells the result."""
        for document in self.documents():
            if document.get("type", "summary") == "summary":
                return document
        return {}

    def errors(self):
        """The lines of the error stream without progress."""
        return "\n".join(line for line in self.err.splitlines() if '"type":"progress"' not in line)

    def __str__(self):
        return f"{' '.join(map(str, self.words[:1]))} ended with {self.code}: {self.errors()[-700:]}"


class Rig:
    """A working folder in memory, a seeded source of chance, a count of passes and failures."""

    def __init__(self, name, args, password=None):
        self.password = password  # None: repositories are not encrypted, which saves the work on a password
        self.name, self.args, self.holdfast = name, args, args.holdfast
        self.random = random.Random(args.seed)
        self.base = pathlib.Path(tempfile.mkdtemp(prefix=f"holdfast-{name}-", dir=MEMORY if MEMORY.is_dir() else None))
        self.counts = collections.Counter()
        self.passed = 0
        self.failures = []

    def environment(self, **more):
        plain = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
        if self.password:
            plain["HOLDFAST_PASSWORD"] = self.password
        return {**plain, "HOLDFAST_THREADS": "2", **more}

    def start(self, *words, env=None, json_output=True, **more):
        extra = ["--json"] if json_output else []
        return subprocess.Popen([self.holdfast, *map(str, words), *extra], env=self.environment(**(env or {})),
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)

    def finish(self, process, words=(), timeout=300):
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            return Answer(words, "no end", out.decode(errors="replace"), err.decode(errors="replace"))
        return Answer(words, process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))

    def run(self, *words, env=None, timeout=300, **more):
        return self.finish(self.start(*words, env=env, **more), words, timeout)

    def must(self, *words, codes=(0,), **more):
        answer = self.run(*words, **more)
        if answer.code not in codes:
            raise SystemExit(f"{self.name}: cannot prepare: {answer}")
        return answer

    def check(self, good, what):
        if good:
            self.passed += 1
        else:
            self.fail(what)
        return good

    def fail(self, what):
        self.failures.append(str(what))
        print(f"not ok: {what}", flush=True)

    def points(self, repo, **more):
        """Ids of the points that are listed; None when listing failed."""
        answer = self.run("points", "-r", repo, **more)
        if answer.code not in (0, 3):
            self.fail(answer)
            return None
        return {document["point"] for document in answer.documents() if "point" in document}

    def sound(self, repo, *words, codes=(0, 3), **more):
        """Whether `verify` finds nothing; else what it said."""
        answer = self.run("verify", "-r", repo, *words, **more)
        return None if answer.code in codes else str(answer)

    def restored(self, repo, point, want, codes=(0,)):
        """None when a point comes back as the tree `want`; else what differs."""
        out = pathlib.Path(tempfile.mkdtemp(prefix="out", dir=self.base))
        try:
            answer = self.run("restore", "-r", repo, point, "--to", out / "to")
            if answer.code not in codes:
                return str(answer)
            return compare(want, next((out / "to").iterdir()))  # the only root, by its last name
        finally:
            shutil.rmtree(out, ignore_errors=True)

    def end(self, keep=False):
        for what, count in sorted(self.counts.items()):
            print(f"# {count:7} {what}")
        if keep:
            print(f"# kept in {self.base}")
        else:
            remove_tree(self.base)
        print(f"{self.name}: {self.passed} passed, {len(self.failures)} failed, seed {self.args.seed}")
        return 1 if self.failures or not self.passed else 0


def arguments(description, count, **more):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("holdfast")
    parser.add_argument("--count", type=int, default=count)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="leave the working folder behind")
    for name, (kind, default, text) in more.items():
        parser.add_argument("--" + name.replace("_", "-"), type=kind, default=default, help=text)
    args = parser.parse_args()
    args.holdfast = os.path.abspath(args.holdfast)
    return args


def remove_tree(path):
    if path.exists():
        subprocess.run(["chmod", "-R", "u+rwX", path], check=False, capture_output=True)
        shutil.rmtree(path, ignore_errors=True)


def copy_tree(source, target):
    subprocess.run(["cp", "-a", source, target], check=True)


def compare(want, got):
    """None when two trees hold the same names, kinds, modes, times of files and bytes; else the first differences."""
    check = subprocess.run(["rsync", "-n", "-rlpgotc", "--delete", "--out-format=%o %n", f"{want}/", f"{got}/"],
                           capture_output=True, text=True, check=False)
    # Times of folders change by the copying of the rig itself.
    lines = [line for line in check.stdout.splitlines() if line and not line.endswith("/")]
    if check.returncode:
        return f"rsync ended with {check.returncode}: {check.stderr[-300:]}"
    return f"{len(lines)} differences: {lines[:3]}" if lines else None


def words_text(random_, size):
    words = ("alpha", "beta", "gamma", "delta", "epsilon")
    return " ".join(random_.choice(words) + str(random_.randrange(90)) for _ in range(size // 8 + 1))[:size].encode()


def make_tree(root, random_, folders=8, files=20, noise=2 << 20):
    """Text and noise, small and large, many in a folder, a file with holes."""
    for folder in range(folders):
        place = root / f"folder{folder}"
        place.mkdir(parents=True)
        for number in range(files):
            (place / f"file{number}").write_bytes(words_text(random_, random_.choice((0, 40, 300, 3000, 30000))))
    if noise:
        (root / "noise").write_bytes(random_.randbytes(noise))
        with open(root / "sparse", "wb") as sparse:
            sparse.seek(1 << 20)
            sparse.write(random_.randbytes(300000))
            sparse.truncate(4 << 20)
    (root / "link").symlink_to("noise")


def change_tree(root, random_, changes=20, sizes=(0, 100, 5000, 100000, 400000)):
    for _ in range(random_.randrange(1, changes)):
        place = root / f"folder{random_.randrange(8)}" / f"file{random_.randrange(40)}"
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.exists() and random_.random() < 0.3:
            place.unlink()
            continue
        size = random_.choice(sizes)
        place.write_bytes(random_.randbytes(size // 2) + words_text(random_, size - size // 2))


def wait_until(condition, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return False


def main(function):
    sys.exit(function())
