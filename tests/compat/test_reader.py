# SPDX-License-Identifier: GPL-3.0-or-later
"""The independent reader gives back what Holdfast stored; Holdfast and the reader open repositories of earlier versions.

usage: test_reader.py HOLDFAST
"""
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest

HERE = pathlib.Path(__file__).parent
PYTHON = "/usr/bin/python3"  # Debian's: it has Debian's modules
HOLDFAST = None


class Case(unittest.TestCase):
    def setUp(self):
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-compat-"))
        self.addCleanup(shutil.rmtree, self.base, ignore_errors=True)
        self.password = self.base / "password"
        self.password.write_text("witness")

    def holdfast(self, *words, code=0):
        done = subprocess.run([HOLDFAST, *map(str, words)], capture_output=True, text=True, timeout=300,
                              env={"PATH": os.environ["PATH"], "HOLDFAST_PASSWORD_FILE": str(self.password)})
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout

    def reader(self, repo, *words):
        done = subprocess.run([PYTHON, "-B", str(HERE / "reader.py"), str(repo), "--password-file", str(self.password),
                               *map(str, words)], capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def assert_same(self, a, b):
        done = subprocess.run(["rsync", "-n", "-aHAXc", "--delete", "--itemize-changes", f"{a}/", f"{b}/"],
                              capture_output=True, text=True, check=True)
        self.assertEqual(done.stdout, "")

    def make_tree(self, tree):
        (tree / "deep/er").mkdir(parents=True)
        (tree / "tiny").write_text("tiny")
        (tree / "deep/text").write_text("some words " * 5000)
        (tree / "deep/er/noise").write_bytes(os.urandom(700000))
        (tree / "large").write_bytes(os.urandom(5 << 20) + b"\0" * (2 << 20) + os.urandom(1 << 20))
        with open(tree / "sparse", "wb") as sparse:
            sparse.seek(3 << 20)
            sparse.write(b"x" * 100000)
            sparse.truncate(9 << 20)
        (tree / "link").symlink_to("deep/text")
        os.link(tree / "large", tree / "deep/second-name")
        os.mkfifo(tree / "fifo")
        many = tree / "many"
        many.mkdir()
        for number in range(3000):
            (many / f"entry-{number:05}").write_text(str(number) * (number % 40))
        os.utime(tree / "deep", ns=(5, 1234567890123456789))


class Reader(Case):
    def test_files(self):
        for codec in ("zstd", "lz4", "none"):
            tree, repo, out = (self.base / f"{name}-{codec}" for name in ("tree", "repo", "out"))
            self.make_tree(tree)
            self.holdfast("init", "-r", repo, "--compression", codec)
            self.holdfast("backup", "-r", repo, "-n", "one", tree)
            (tree / "tiny").write_text("changed")
            self.holdfast("backup", "-r", repo, "-n", "two", tree)
            self.assertEqual([line.split()[1] for line in self.reader(repo, "list").splitlines()], ["one", "two"])
            self.reader(repo, "restore", "latest", out)
            self.assert_same(tree, out / tree.name)

    def test_disk(self):
        repo, out, disk = self.base / "repo", self.base / "out", self.base / "disk.img"
        with open(disk, "wb") as file:
            file.write(os.urandom(3 << 20))
            file.seek(1 << 30)
            file.write(os.urandom((2 << 20) + 512))
            file.truncate((2 << 30) + 1024)
        self.holdfast("init", "-r", repo)
        self.holdfast("backup", "-r", repo, "-n", "disk", "--disk", disk)
        self.reader(repo, "restore", "latest", out)
        self.assertEqual(subprocess.run(["cmp", str(disk), str(out / "disk.img")], check=False).returncode, 0)


class Fixtures(Case):
    """Each format*.tar.xz holds a repository and `manifest`: path and SHA-256 of every file of its newest point."""

    def test_all(self):
        fixtures = sorted(HERE.glob("format*.tar.xz"))
        self.assertTrue(fixtures)
        for fixture in fixtures:
            place = self.base / fixture.name
            with tarfile.open(fixture) as tar:
                tar.extractall(place)
            repo = place / "repository"
            want = dict(reversed(line.split("  ", 1)) for line in (place / "manifest").read_text().splitlines())
            self.holdfast("verify", "-r", repo)
            for out, restore in ((place / "a", lambda to: self.holdfast("restore", "-r", repo, "latest", "--to", to)),
                                 (place / "b", lambda to: self.reader(repo, "restore", "latest", to))):
                restore(out)
                got = {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
                       for path in out.rglob("*") if path.is_file() and not path.is_symlink()}
                self.assertEqual(got, want)


if __name__ == "__main__":
    HOLDFAST = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=1)
