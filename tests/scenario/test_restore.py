# SPDX-License-Identifier: GPL-3.0-or-later
"""Restoring and looking, judged by other tools.  usage: test_restore.py HOLDFAST MAKE_FIXTURE COMPARE_TREES"""
import base64
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

HOLDFAST = MAKE_FIXTURE = COMPARE_TREES = None


class Case(unittest.TestCase):
    def setUp(self):
        above = None if os.environ.get("TMPDIR") or not os.access("/dev/shm", os.W_OK) else "/dev/shm"
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-restore-", dir=above))
        self.addCleanup(subprocess.run, [MAKE_FIXTURE, "--remove", self.base], check=False)
        self.tree, self.repo, self.out = (self.base / name for name in ("tree", "repo", "out"))
        self.run_("init", "--encryption", "none", "--parity", "0")

    def run_(self, verb, *words, code=0):
        done = subprocess.run([HOLDFAST, verb, "-r", self.repo, *map(str, words)], capture_output=True, timeout=300,
                              env={"PATH": os.environ["PATH"], "HOME": str(self.base), "TZ": "UTC"}, check=False)
        self.assertEqual(done.returncode, code, f"{verb} {words}: {done.stdout[-800:]}{done.stderr[-800:]}")
        return done

    def json(self, verb, *words, **more):
        return [json.loads(line) for line in self.run_(verb, *words, "--json", **more).stdout.splitlines()]

    def backup(self, *paths, name="n", code=0):
        done = self.json("backup", "-n", name, *(paths or (self.tree,)), code=code)
        return [line for line in done if line.get("type") == "summary"][-1]["point"]

    def write(self, name, data):
        path = self.tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    def rsync_finds_nothing(self, a, b):
        done = subprocess.run(["rsync", "-n", "-aHAXc", "--delete", "--itemize-changes", f"{a}/", f"{b}/"],
                              capture_output=True, text=True, check=True)
        self.assertEqual(done.stdout, "")


class Fidelity(Case):
    def test_everything(self):
        """A tree that holds one of everything comes back to the eyes of find, getfattr, getfacl, lsattr and rsync."""
        subprocess.run([MAKE_FIXTURE, self.tree], check=True, stdout=subprocess.DEVNULL)
        self.backup()
        self.run_("restore", "latest", "--to", self.out)
        subprocess.run([sys.executable, COMPARE_TREES, "--top", self.tree, self.out / "tree"], check=True)
        listed = {line["path"] for line in self.json("ls", "latest", "--recursive")}
        found = subprocess.run(["find", self.tree, "-printf", "."], capture_output=True, check=True).stdout
        self.assertEqual(len(listed), len(found))

    @unittest.skipIf(os.geteuid(), "what belongs to root is restored by root only")
    def test_system_folders(self):
        self.backup("/etc", "/usr/include")
        self.run_("restore", "latest", "--to", self.out)
        self.rsync_finds_nothing("/etc", self.out / "etc")
        self.rsync_finds_nothing("/usr/include", self.out / "include")

    def test_disk(self):
        disk, target = self.base / "disk.raw", self.base / "target.raw"
        with open(disk, "wb") as image:
            image.truncate(40 << 20)
            for at in (0, 5 << 20, (30 << 20) + 12345):
                image.seek(at)
                image.write(os.urandom(700000))
        self.run_("backup", "-n", "disk", "--disk", disk)
        target.write_bytes(b"noise " * (9 << 20))
        self.run_("restore", "disk", "--disk-to", target, code=1)
        self.run_("restore", "disk", "--disk-to", target, "--overwrite")
        self.assertEqual(disk.read_bytes(), target.read_bytes())
        self.assertLess(target.stat().st_blocks * 512, 10 << 20)
        self.run_("restore", "disk", "--to", self.out)
        self.assertEqual(disk.read_bytes(), (self.out / "disk.raw").read_bytes())
        self.assertEqual(disk.read_bytes(), self.run_("cat", "disk", disk).stdout)
        self.assertEqual(self.json("ls", "disk")[0]["type"], "disk")


class Damage(Case):
    def test_named_and_set_aside(self):
        contents = {f"f{number:02}": os.urandom(90000) for number in range(40)}
        for name, data in contents.items():
            self.write(name, data)
        self.backup()
        pack = next(path for path in (self.repo / "data").rglob("*") if path.is_file())
        data = bytearray(pack.read_bytes())
        data[len(data) // 2] ^= 1
        pack.chmod(0o600)
        pack.write_bytes(data)
        done = self.run_("restore", "latest", "--to", self.out, "--json", code=4)
        summary = json.loads(done.stdout)
        lost = {os.path.basename(item["path"]) for item in summary["missing"]}
        self.assertGreater(len(lost), 0)
        self.assertEqual(summary["damaged"], len(lost))
        self.assertEqual(summary["files"], len(contents) - len(lost))
        for name, wanted in contents.items():
            place = self.out / "tree" / name
            if name in lost:
                self.assertFalse(place.exists())
                self.assertEqual(place.with_name(name + ".damaged").stat().st_size, len(wanted))
                self.assertIn(f"/{name}".encode(), done.stderr)
            else:
                self.assertEqual(place.read_bytes(), wanted)

    def test_listing_goes_on(self):
        self.write("a/f", "x")
        self.backup()
        for pack in [path for path in (self.repo / "meta").rglob("*") if path.is_file()]:
            pack.unlink()
        self.run_("ls", "latest", code=4)
        self.run_("restore", "latest", "--to", self.out, code=4)
        self.assertFalse(self.out.exists())


class Looking(Case):
    def test_ls(self):
        self.write("plain", "12345")
        self.write(os.fsdecode(b"latin-\xff"), "x")
        (self.tree / "link").symlink_to("plain")
        (self.tree / "plain").chmod(0o640)
        os.utime(self.tree / "plain", ns=(0, 1600000000123456789))
        self.backup()
        self.assertEqual([line["path"] for line in self.json("ls", "latest")], [str(self.tree)])
        entries = {line["path"].rsplit("/", 1)[1]: line for line in self.json("ls", "latest", self.tree)}
        self.assertEqual(entries["plain"]["mode"], 0o640)
        self.assertEqual(entries["plain"]["size"], 5)
        self.assertEqual(entries["plain"]["mtime"], "2020-09-13T12:26:40.123456789Z")
        self.assertEqual(entries["plain"]["uid"], os.getuid())
        self.assertEqual(entries["link"]["target"], "plain")
        odd = entries["latin-\ufffd"]
        self.assertEqual(base64.b64decode(odd["path_bytes"]), os.fsencode(self.tree) + b"/latin-\xff")
        text = self.run_("ls", "-l", "latest", self.tree).stdout.decode()
        self.assertRegex(text, r"(?m)^-rw-r----- \S+ +\S+ +5 2020-09-13 12:26:40 +\S+/plain$")
        self.assertRegex(text, r"(?m)/link -> plain$")
        self.assertIn("\\xff", text)
        self.assertEqual(len(self.json("ls", "latest", self.tree / "plain")), 1)
        self.assertEqual([line["type"] for line in self.json("ls", "latest", "/")], ["folder"])
        self.run_("ls", "latest", "/nowhere", code=1)

    def test_find_and_diff(self):
        self.write("a.txt", "1")
        self.write("d/b.txt", "2" * 3000)
        first = self.backup()
        self.write("a.txt", "22")
        self.write("d/c.txt", "3")
        second = self.backup()
        other = self.backup(name="other")
        versions = [(line["path"].rsplit("/", 1)[1], line["size"], line["points"])
                    for line in self.json("find", "*.txt", "-n", "n")]
        self.assertEqual(versions, [("a.txt", 1, [first]), ("a.txt", 2, [second]), ("b.txt", 3000, [first, second]),
                                    ("c.txt", 1, [second])])
        self.assertEqual(len(self.json("find", "b.txt")[0]["points"]), 3)
        self.assertIn(first[:8], self.run_("find", "a.txt").stdout.decode())
        changes = {line["path"].rsplit("/", 1)[1]: line for line in self.json("diff", first, second)}
        self.assertEqual(changes["a.txt"]["change"], "content")
        self.assertEqual((changes["a.txt"]["old_size"], changes["a.txt"]["new_size"]), (1, 2))
        self.assertEqual(changes["c.txt"]["change"], "added")
        self.assertEqual(self.json("diff", second, other), [])
        text = self.run_("diff", second, first).stdout.decode()
        self.assertIn(f"- {self.tree}/d/c.txt\n", text)
        self.assertIn("1 removed", text)

    def test_points_and_cat(self):
        self.write("f", bytes(range(256)) * 4000)
        point = self.backup()
        shown = self.json("points")[0]
        self.assertEqual(shown["point"], point)
        self.assertEqual(shown["roots"], [str(self.tree)])
        self.assertEqual(shown["signer"], "known")
        self.assertIn(point[:8], self.run_("points").stdout.decode())
        self.assertEqual(self.run_("cat", point[:8], self.tree / "f").stdout, bytes(range(256)) * 4000)
        self.run_("cat", point[:8], self.tree, code=2)

    def test_pipe_that_ends(self):
        for number in range(3000):
            self.write(f"d{number % 10}/name-{number}", "")
        self.backup()
        command = f"'{HOLDFAST}' ls -r '{self.repo}' latest -R | head -1"
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
        self.assertEqual(done.stdout, f"{self.tree}\n")
        self.assertEqual(done.stderr, "")


class Choosing(Case):
    def test_parts(self):
        self.write("a/one", "1")
        self.write("b/two", "2")
        self.backup()
        self.run_("restore", "latest", self.tree / "a", self.tree / "b/two", "--to", self.out)
        self.assertEqual(sorted(os.listdir(self.out)), ["a", "two"])
        shutil.rmtree(self.out)
        self.run_("restore", "latest", self.tree / "a", "--full-path", "--to", self.out)
        self.assertEqual((self.out / str(self.tree / "a/one").lstrip("/")).read_text(), "1")
        shutil.rmtree(self.out)
        self.run_("restore", "latest", self.tree / "c", "--to", self.out, code=1)
        self.assertFalse(self.out.exists())
        self.run_("restore", "latest", code=2)
        self.run_("restore", "latest", "--disk-to", self.out, code=1)


if __name__ == "__main__":
    HOLDFAST, MAKE_FIXTURE, COMPARE_TREES = (os.path.abspath(sys.argv.pop(1)) for _ in range(3))
    unittest.main(verbosity=1)
