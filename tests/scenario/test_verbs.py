# SPDX-License-Identifier: GPL-3.0-or-later
"""Holdfast as a user runs it: every verb on real files.  usage: test_verbs.py HOLDFAST"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

HOLDFAST = None


class Case(unittest.TestCase):
    def setUp(self):
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-verbs-"))
        self.addCleanup(shutil.rmtree, self.base, ignore_errors=True)
        self.tree, self.repo, self.out = (self.base / name for name in ("tree", "repo", "out"))
        self.tree.mkdir()

    def run_(self, *words, code=0, password="secret", cwd=None, **env):
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.base), "TZ": "UTC", **env}
        if password:
            environment["HOLDFAST_PASSWORD"] = password
        done = subprocess.run([HOLDFAST, *map(str, words)], env=environment, capture_output=True, text=True, timeout=300,
                              cwd=cwd)
        codes = code if isinstance(code, tuple) else (code,)
        self.assertIn(done.returncode, codes, f"{words}: {done.stdout[-800:]}{done.stderr[-800:]}")
        return done

    def json(self, *words, **more):
        return [json.loads(line) for line in self.run_(*words, "--json", **more).stdout.splitlines()]

    def init(self, *more):
        return self.run_("init", "-r", self.repo, *more)

    def backup(self, *more, name="n", **keys):
        lines = self.json("backup", "-r", self.repo, "-n", name, *(more or (self.tree,)), **keys)
        return [line for line in lines if line.get("type") == "summary"][-1]

    def write(self, name, content, age=10):
        """Older than a moment: what is brand new is read again the next time."""
        place = self.tree / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content if isinstance(content, bytes) else content.encode())
        return place

    def restore(self, point="latest", *more, **keys):
        shutil.rmtree(self.out, ignore_errors=True)
        return self.run_("restore", "-r", self.repo, point, *more, "--to", self.out, **keys)

    def assert_same(self, a, b):
        done = subprocess.run(["rsync", "-n", "-aHAXc", "--delete", "--itemize-changes", f"{a}/", f"{b}/"],
                              capture_output=True, text=True, check=True)
        self.assertEqual(done.stdout, "")


class Backups(Case):
    def test_round_trip(self):
        self.init()
        self.write("small", "x" * 300)
        self.write("a/b/c/page", "y" * 20000)
        self.write("big", os.urandom(3 << 20) + bytes(3 << 20))
        self.write("empty", "")
        (self.tree / "link").symlink_to("a/b")
        os.link(self.tree / "big", self.tree / "a" / "hard")
        (self.tree / "void").mkdir()
        os.mkfifo(self.tree / "fifo")
        os.utime(self.tree / "small", ns=(1, 123456789012345678))
        with open(self.tree / "sparse", "wb") as sparse:
            sparse.truncate(50 << 20)
            sparse.seek(20 << 20)
            sparse.write(b"middle")
        self.write(os.fsdecode(b"bad-\xff\xfe-name"), "latin")
        summary = self.backup()
        self.assertEqual(summary["warnings"], 0)
        self.restore()
        self.assert_same(self.tree, self.out / "tree")
        self.assertLess((self.out / "tree/sparse").stat().st_blocks, 1000)
        self.assertEqual((self.out / "tree/big").stat().st_ino, (self.out / "tree/a/hard").stat().st_ino)

    def test_incremental_reads_nothing_twice(self):
        self.init()
        for number in range(50):
            self.write(f"d{number % 5}/f{number}", f"content {number} " * (1 + 30 * number))
        time.sleep(2.2)  # so that no file is newer than the clock of a file system can tell
        first = self.backup()
        second = self.backup()
        self.assertEqual(second["files_unchanged"], 50)
        self.assertEqual(second["new_bytes"], 0)
        self.write("d1/f1", "changed")
        third = self.backup()
        self.assertEqual(third["files_unchanged"], 49)
        self.assertLess(third["stored_bytes"], first["stored_bytes"])
        rescan = self.backup("--rescan", self.tree)
        self.assertEqual(rescan["files_unchanged"], 0)
        self.restore()
        self.assert_same(self.tree, self.out / "tree")

    def test_same_size_same_second(self):
        """A file that changes twice in one tick of the clock is not missed."""
        self.init()
        place = self.write("f", "one")
        self.backup()
        stamp = place.stat().st_mtime_ns
        place.write_text("two")
        os.utime(place, ns=(stamp, stamp))
        self.backup()
        self.restore()
        self.assertEqual((self.out / "tree/f").read_text(), "two")

    def test_vanished_and_empty_roots(self):
        self.init()
        self.write("f", "data")
        self.backup()
        shutil.rmtree(self.tree)
        done = self.run_("backup", "-r", self.repo, "-n", "n", self.tree, code=1)
        self.assertIn("gone", done.stderr)
        self.tree.mkdir()
        done = self.run_("backup", "-r", self.repo, "-n", "n", self.tree, code=1)
        self.assertIn("--allow-empty", done.stderr)
        self.assertEqual(len(self.json("points", "-r", self.repo)), 1)
        self.backup("--allow-empty", self.tree, self.tree)
        self.assertEqual(len(self.json("points", "-r", self.repo)), 2)

    def test_allow_empty_takes_the_path_as_it_is_given(self):
        self.init()
        for name in ("a/f", "b/f"):
            self.write(name, "data")
        words = ("backup", "-r", self.repo, "-n", "n", "a", "b")
        self.run_(*words, cwd=self.tree)
        (self.tree / "a/f").unlink()
        self.run_(*words, cwd=self.tree, code=1)
        self.run_(*words, "--allow-empty", "./a/", cwd=self.tree)
        shutil.rmtree(self.tree / "b")
        done = self.run_(*words, "--allow-empty", "a", cwd=self.tree, code=1)
        self.assertIn(f"--allow-empty {self.tree}/b", done.stderr)
        done = self.run_(*words, "--allow-empty", "b", cwd=self.tree, code=3)
        self.assertIn(f"'{self.tree}/b': is missing", done.stderr)
        self.assertEqual(self.json("points", "-r", self.repo)[-1]["roots"], [f"{self.tree}/a"])
        self.run_("backup", "-r", self.repo, "-n", "n", "b", "--allow-empty", "b", cwd=self.tree, code=1)
        self.assertEqual(len(self.json("points", "-r", self.repo)), 3)

    def test_host_that_looks_like_an_id(self):
        self.init()
        if os.geteuid() != 0:
            self.skipTest("only root gives a host another name")
        words = ["unshare", "-u", "sh", "-c", 'hostname cafe && exec "$@"', "sh", HOLDFAST, "backup", "-r", self.repo,
                 self.tree]
        done = subprocess.run(words, env={"PATH": os.environ["PATH"], "HOLDFAST_PASSWORD": "secret"},
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("give one with --name", done.stderr)

    def test_root_behind_a_link(self):
        self.init()
        self.write("true/d/f", "data")
        (self.tree / "link").symlink_to("true/d")
        roots = {"link": "link", "link/": "true/d", "link/.": "true/d", "link/..": "true", "link/../d": "true/d",
                 "true/../link": "link"}
        for given, saved in roots.items():
            self.run_("backup", "-r", self.repo, "-n", "n", given, cwd=self.tree)
            self.assertEqual(self.json("points", "-r", self.repo)[-1]["roots"], [f"{self.tree}/{saved}"])

    def test_unreadable_is_named(self):
        self.init()
        self.write("good", "x")
        bad = self.write("d/secret", "y")
        if os.geteuid() == 0:
            self.skipTest("root reads everything")
        bad.chmod(0)
        done = self.run_("backup", "-r", self.repo, self.tree, code=3)
        self.assertIn("secret", done.stderr)

    def test_exclude_and_tags(self):
        self.init()
        for name in ("keep", "drop.tmp", "cache/a", "deep/cache/b", "deep/keep.txt"):
            self.write(name, name)
        rules = self.base / "rules"
        rules.write_text("# comment\ncache/\n")
        self.backup("-x", "*.tmp", "--exclude-from", rules, "-t", "one", "-t", "two", self.tree)
        names = sorted(line["path"] for line in self.json("ls", "-r", self.repo, "latest", "--recursive") if "path" in line)
        text = " ".join(names)
        self.assertIn("keep.txt", text)
        self.assertNotIn("drop.tmp", text)
        self.assertNotIn("cache", text)
        self.assertEqual(self.json("points", "-r", self.repo, "-t", "two")[0]["tags"], ["one", "two"])
        self.assertEqual(self.json("points", "-r", self.repo, "-t", "three"), [])

    def test_file_root_and_several(self):
        self.init()
        one = self.write("one/f", "1")
        two = self.write("two/f", "2")
        self.backup(one, two)
        self.restore()
        self.assertEqual((self.out / str(two).lstrip("/")).read_text(), "2")
        self.assertEqual((self.out / str(one).lstrip("/")).read_text(), "1")

    def test_none_encryption_and_codecs(self):
        for number, words in enumerate((("--encryption", "none"), ("--compression", "none"), ("--compression", "lz4"),
                                        ("--compression", "zstd:9", "--parity", "10", "--block-size", "4M"))):
            self.repo = self.base / f"repo{number}"
            self.init(*words)
            self.write("f", "text " * 9000)
            password = None if "--encryption" in words else "secret"
            self.backup(password=password)
            self.restore(password=password)
            self.assert_same(self.tree, self.out / "tree")
            self.run_("verify", "-r", self.repo, password=password)


class Looking(Case):
    def test_points_by_name(self):
        self.init()
        self.write("f", "1")
        a = self.backup(name="alpha")["point"]
        self.write("f", "2")
        b = self.backup(name="alpha")["point"]
        c = self.backup(name="beta")["point"]
        def cat(spec):
            return self.run_("cat", "-r", self.repo, spec, self.tree / "f").stdout
        self.assertEqual(cat(a[:12]), "1")
        self.assertEqual(cat("alpha"), "2")
        self.assertEqual(cat("alpha@latest"), "2")
        self.assertEqual(cat("latest"), "2")
        self.run_("cat", "-r", self.repo, "gamma", "f", code=1)
        self.run_("cat", "-r", self.repo, "alpha@1999-01-01", "f", code=1)
        self.assertEqual([p["name"] for p in self.json("points", "-r", self.repo, "-n", "beta")], ["beta"])
        changes = self.json("diff", "-r", self.repo, a[:10], b[:10])
        self.assertTrue(any(line.get("path", "").endswith("/f") for line in changes))
        found = self.json("find", "-r", self.repo, "f")
        self.assertTrue(found)
        self.run_("backup", "-r", self.repo, "-n", "cafe", self.tree, code=2)
        self.assertNotEqual(b, c)

    def test_restore_refuses_and_overwrites(self):
        self.init()
        self.write("f", "1")
        self.backup()
        self.restore()
        self.run_("restore", "-r", self.repo, "latest", "--to", self.out, code=1)
        (self.out / "tree/f").write_text("mine")
        self.run_("restore", "-r", self.repo, "latest", "--to", self.out, "--overwrite")
        self.assertEqual((self.out / "tree/f").read_text(), "1")
        self.restore("latest", self.tree / "f")
        self.restore("latest", "--full-path")
        self.assertTrue((self.out / str(self.tree).lstrip("/") / "f").exists())


class Keeping(Case):
    def points(self):
        return [line["point"] for line in self.json("points", "-r", self.repo)]

    def test_forget_and_prune(self):
        self.init()
        for number in range(6):
            self.write("changing", os.urandom(300000))
            self.write(f"f{number}", os.urandom(50000))
            self.backup()
        self.run_("forget", "-r", self.repo, code=2)
        self.run_("forget", "-r", self.repo, "--keep-last", "2", "--dry-run")
        self.assertEqual(len(self.points()), 6)
        self.run_("forget", "-r", self.repo, "--keep-last", "2")
        kept = self.points()
        self.assertEqual(len(kept), 2)
        before = sum(p.stat().st_size for p in self.repo.rglob("*") if p.is_file())
        self.run_("prune", "-r", self.repo, password=None)
        after = sum(p.stat().st_size for p in self.repo.rglob("*") if p.is_file())
        self.assertLess(after, before)
        self.run_("verify", "-r", self.repo)
        self.restore()
        self.assert_same(self.tree, self.out / "tree")
        self.run_("forget", "-r", self.repo, kept[0][:12])
        self.run_("forget", "-r", self.repo, kept[1][:12], code=1)
        self.run_("forget", "-r", self.repo, kept[1][:12], "--all")
        self.run_("prune", "-r", self.repo)
        self.assertEqual(list((self.repo / "data").rglob("*")) if (self.repo / "data").exists() else [], [])

    def test_copy_to_sibling_needs_no_key(self):
        self.init()
        self.write("f", os.urandom(200000))
        self.backup()
        other = self.base / "other"
        self.run_("init", "-r", other, "--like", self.repo)
        self.run_("copy", "-r", self.repo, "--to", other, password=None)
        self.assertEqual(self.json("copy", "-r", self.repo, "--to", other)[-1]["points"], 0)
        self.run_("verify", "-r", other)
        shutil.rmtree(self.repo)
        self.repo = other
        self.restore()
        self.assert_same(self.tree, self.out / "tree")

    def test_copy_to_stranger(self):
        self.init()
        self.write("f", os.urandom(200000))
        self.write("d/sparse", b"x" + bytes(3 << 20) + b"y")
        self.backup()
        other, secret = self.base / "other", self.base / "secret2"
        secret.write_text("another\n")
        self.run_("init", "-r", other, password="another")
        self.run_("copy", "-r", self.repo, "--to", other, "--to-password-file", secret)
        self.repo = other
        self.restore(password="another")
        self.assert_same(self.tree, self.out / "tree")

    def test_strangers_keep_order_and_time(self):
        """Copied in any order: 'latest', times and retention are those of the source."""
        self.init()
        self.write("f", "one")
        self.backup()
        self.write("f", "two")
        self.backup()
        before = self.json("points", "-r", self.repo)
        other, secret = self.base / "other", self.base / "secret2"
        secret.write_text("another\n")
        self.run_("init", "-r", other, password="another")
        self.run_("copy", "-r", self.repo, "--to", other, "--to-password-file", secret, before[1]["point"])
        self.run_("copy", "-r", self.repo, "--to", other, "--to-password-file", secret)
        after = self.json("points", "-r", other, password="another")
        self.assertEqual([line["time"] for line in after], [line["time"] for line in before])
        self.repo = other
        self.restore(password="another")
        self.assertEqual((self.out / "tree/f").read_text(), "two")
        self.backup(password="another")
        self.assertGreater(self.json("points", "-r", other, password="another")[-1]["time"], before[1]["time"])

    def test_repair_again_copies_nothing_again(self):
        """A pack with a frame that nothing can mend stays damaged; what is whole in it is copied once."""
        self.init("--parity", "0")
        for number in range(3000):
            self.write(f"d/f{number}", os.urandom(1500))
        self.backup()
        path = max((p for p in (self.repo / "data").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
        with open(path, "r+b") as pack:
            pack.seek(5000)
            pack.write(b"spoiled")
        first = self.json("repair", "-r", self.repo, code=4)[-1]
        second = self.json("repair", "-r", self.repo, code=4)[-1]
        self.assertGreater(first["mended_frames"], 0)
        self.assertEqual(second["mended_frames"], 0)
        self.assertEqual(first["lost_blobs"], second["lost_blobs"])
        self.backup("--rescan", self.tree)
        self.run_("verify", "-r", self.repo)
        self.assertEqual(self.json("repair", "-r", self.repo)[-1]["mended_frames"], 0)

    def test_keys_out_of_another_text(self):
        self.init()
        text = self.write("text", "not keys\n")
        done = self.run_("repair", "-r", self.repo, "--keys", text, code=1)
        self.assertIn(f"'{text}' is of no use", done.stderr)

    def test_sample_says_how_sure(self):
        self.init()
        self.write("f", os.urandom(3 << 20))
        self.backup()
        done = self.run_("verify", "-r", self.repo, "--sample", "50%")
        self.assertRegex(done.stderr + done.stdout, r"sample of 50 %.* likelihood of [0-9.]+ %")
        half = self.json("verify", "-r", self.repo, "--sample", "50%")[-1]
        self.assertEqual(half["sample"], 50)
        self.assertAlmostEqual(half["confidence"], 100 * (1 - 0.99 ** half["frames"]), 6)
        self.assertNotIn("confidence", self.json("verify", "-r", self.repo)[-1])

    def damage(self, folder, at=5000):
        path = sorted(p for p in (self.repo / folder).rglob("*") if p.is_file())[0]
        data = bytearray(path.read_bytes())
        data[at % len(data)] ^= 4
        path.chmod(0o600)
        path.write_bytes(data)
        return path

    def test_damage_is_found_and_mended(self):
        self.init()
        for number in range(30):
            self.write(f"f{number}", os.urandom(60000))
        self.backup()
        for folder in ("data", "meta", "parity", "mirror"):
            self.damage(folder)
            done = self.run_("verify", "-r", self.repo, code=(3, 4))
            self.assertTrue(done.stderr)
            self.run_("repair", "-r", self.repo, code=(0, 3))
            self.run_("verify", "-r", self.repo)
            self.run_("prune", "-r", self.repo)
            self.run_("verify", "-r", self.repo)
            self.restore()
            self.assert_same(self.tree, self.out / "tree")

    def test_lost_data_heals_with_the_next_backup(self):
        self.init("--parity", "0")
        for number in range(30):
            self.write(f"f{number}", os.urandom(60000))
        time.sleep(2.2)
        self.backup()
        self.damage("data")
        self.run_("verify", "-r", self.repo, code=4)
        self.run_("repair", "-r", self.repo, code=4)
        self.backup()
        self.restore()
        self.assert_same(self.tree, self.out / "tree")
        self.run_("verify", "-r", self.repo)
        self.run_("prune", "-r", self.repo)
        self.run_("verify", "-r", self.repo)

    def test_lost_index(self):
        self.init()
        self.write("f", os.urandom(200000))
        self.backup()
        shutil.rmtree(self.repo / "index")
        self.restore()
        self.assert_same(self.tree, self.out / "tree")
        self.run_("rebuild", "-r", self.repo)
        self.restore()


class BadInput(Case):
    def test_wrong_and_missing(self):
        self.run_("points", "-r", self.base / "nothing", code=1)
        self.tree.joinpath("f").write_text("x")
        self.run_("points", "-r", self.tree, code=1)
        self.run_("init", "-r", self.tree, code=1)
        self.init()
        self.run_("init", "-r", self.repo, code=1)
        done = self.run_("points", "-r", self.repo, password="wrong", code=5)
        self.assertIn("password", done.stderr)
        self.run_("backup", "-r", self.repo, self.base / "absent", code=1)
        self.run_("backup", "-r", self.repo, code=2)
        self.run_("frobnicate", code=2)
        self.run_("restore", "-r", self.repo, "latest", "--to", self.out, code=1)

    def test_small_objects_heal(self):
        self.init()
        self.write("f", "x")
        self.backup()
        for path in sorted(p for p in self.repo.rglob("*.1") if p.is_file()):
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 1
            path.chmod(0o600)
            path.write_bytes(data)
        self.run_("points", "-r", self.repo, code=(0, 3))
        self.run_("verify", "-r", self.repo)

    def test_paper_key(self):
        made = self.json("init", "-r", self.repo)[-1]
        self.write("f", "x")
        self.backup()
        paper = self.base / "paper"
        paper.write_text(made["paper_key"].lower())
        self.run_("points", "-r", self.repo, "--key-file", paper, password=None)


if __name__ == "__main__":
    HOLDFAST = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=1)
