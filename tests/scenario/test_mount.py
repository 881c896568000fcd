# SPDX-License-Identifier: GPL-3.0-or-later
"""Restore points as folders.  usage: test_mount.py HOLDFAST MAKE_FIXTURE COMPARE_TREES"""
import errno
import os
import re
import signal
import subprocess
import sys
import threading
import time
import unittest

from diskcase import MIB, PATIENCE, Case, Mount, can_mount

KIB = 1024
POINT = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d \([0-9a-f]{8,}\)$")


@unittest.skipUnless(can_mount(), "no FUSE here")
class MountCase(Case):
    def tree(self, **files):
        tree = self.base / "tree"
        tree.mkdir(exist_ok=True)
        for name, content in files.items():
            (tree / name).write_text(content)
        return tree

    def inside(self, mount, tree, point="n/latest"):
        """Where `tree` stands below the mount."""
        return mount.place / point / str(tree).lstrip("/")

    def wait_for(self, condition):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.1)


class Trees(MountCase):
    make_fixture = compare_trees = None

    def test_one_of_everything(self):
        tree = self.base / "tree"
        subprocess.run([self.make_fixture, tree], check=True, capture_output=True)
        self.addCleanup(subprocess.run, ["chattr", "-R", "-i", "-a", tree], check=False, stderr=subprocess.DEVNULL)
        self.init()
        self.backup(tree)
        mount = Mount(self)
        shown = self.inside(mount, tree)
        # The number of a file's names is not kept: find would compare that, too.
        done = subprocess.run([sys.executable, "-B", self.compare_trees, "--without", "find", tree, shown],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout[-3000:] + done.stderr[-3000:])
        self.assertEqual(self.found(tree), self.found(shown))
        mount.end()

    def found(self, tree):
        done = subprocess.run(["find", ".", "-mindepth", "1", "-printf", r"%P\0%y %m %U:%G %T@ %l %n\0"], cwd=tree,
                              capture_output=True, check=True)
        fields = done.stdout.split(b"\0")[:-1]
        seen = {}
        for name, about in zip(fields[::2], fields[1::2]):
            about, names = about.rsplit(b" ", 1)
            seen[name] = about, about[:1] != b"d" and int(names) > 1
        return seen

    def test_names(self):
        tree = self.tree(a="one")
        self.init()
        first = self.backup(tree)["point"]
        tree.joinpath("a").write_text("another")
        second = self.backup(tree)["point"]
        self.backup(tree, name="a/b")
        mount = Mount(self)
        self.assertEqual(sorted(os.listdir(mount.place)), ["a%2Fb", "ids", "n"])
        points = sorted(name for name in os.listdir(mount.place / "n") if name != "latest")
        self.assertEqual(len(points), 2)
        for name in points:
            self.assertRegex(name, POINT)
        self.assertIn(second[:8], os.readlink(mount.place / "n" / "latest"))
        self.assertEqual(self.inside(mount, tree, f"ids/{first}").joinpath("a").read_text(), "one")
        self.assertEqual(self.inside(mount, tree).joinpath("a").read_text(), "another")
        self.assertEqual(len(os.listdir(mount.place / "ids")), 3)
        self.assertIn("mounted at", mount.output())
        mount.end()

    def test_one_point(self):
        tree = self.tree(a="one")
        self.init()
        self.backup(tree)
        mount = Mount(self, "n")
        self.assertEqual((mount.place / str(tree).lstrip("/") / "a").read_text(), "one")
        self.assertFalse((mount.place / "ids").exists())
        mount.end()

    def test_new_points_appear(self):
        tree = self.tree(a="one")
        self.init()
        self.backup(tree)
        mount = Mount(self)
        self.assertEqual(len(os.listdir(mount.place / "ids")), 1)
        tree.joinpath("a").write_text("another")
        self.backup(tree)
        self.wait_for(lambda: len(os.listdir(mount.place / "ids")) == 2)
        self.wait_for(lambda: self.inside(mount, tree).joinpath("a").read_text() == "another")
        self.backup(tree, name="other")
        self.wait_for(lambda: (mount.place / "other" / "latest").is_symlink())
        mount.end()

    def test_read_only(self):
        tree = self.tree(a="one")
        self.init()
        self.backup(tree)
        mount = Mount(self)
        shown = self.inside(mount, tree)
        for action in (lambda: (shown / "a").write_text("x"), lambda: (shown / "b").write_text("x"),
                       (shown / "a").unlink, (shown / "c").mkdir, lambda: os.chmod(shown / "a", 0o777),
                       lambda: os.rename(shown / "a", shown / "b"), lambda: os.setxattr(shown / "a", "user.x", b"x")):
            with self.assertRaises(OSError) as caught:
                action()
            self.assertEqual(caught.exception.errno, errno.EROFS)
        with self.assertRaises(FileNotFoundError):
            os.stat(shown / "missing")
        with self.assertRaises(OSError) as caught:
            os.stat(shown / ("x" * 256))
        self.assertEqual(caught.exception.errno, errno.ENAMETOOLONG)
        with self.assertRaises(OSError) as caught:
            os.getxattr(shown / "a", "user.none")
        self.assertEqual(caught.exception.errno, errno.ENODATA)
        mount.end()

    def test_many_entries(self):
        tree = self.tree()
        for number in range(3000):
            (tree / f"file {number}").write_text(str(number))
        self.init()
        self.backup(tree)
        mount = Mount(self)
        shown = self.inside(mount, tree)
        for _ in range(2):  # the second time out of the kernel's cache
            with os.scandir(shown) as entries:
                self.assertEqual({entry.name for entry in entries}, set(os.listdir(tree)))
        trouble = []

        def read_some(start):
            for number in range(start, 3000, 30):
                text = (shown / f"file {number}").read_text()
                if text != str(number):
                    trouble.append(number)

        threads = [threading.Thread(target=read_some, args=(start,)) for start in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(trouble, [])
        mount.end()

    def test_holes(self):
        tree = self.tree()
        sparse = self.image(tree / "sparse", 30 * MIB, ((MIB, 5000), (20 * MIB, 100 * KIB)))
        self.init()
        self.backup(tree)
        mount = Mount(self)
        shown = self.inside(mount, tree) / "sparse"
        self.assert_same(sparse, shown)
        with open(shown, "rb") as file:
            self.assertEqual(os.lseek(file.fileno(), 0, os.SEEK_HOLE), 0)
            data = os.lseek(file.fileno(), 0, os.SEEK_DATA)
            self.assertEqual(data, MIB)
            self.assertGreaterEqual(os.lseek(file.fileno(), data, os.SEEK_HOLE), MIB + 5000)
            with self.assertRaises(OSError) as caught:
                os.lseek(file.fileno(), 29 * MIB, os.SEEK_DATA)
            self.assertEqual(caught.exception.errno, errno.ENXIO)
        mount.end()


class Disks(MountCase):
    def test_disk(self):
        disk = self.image(self.base / "disk.raw", 64 * MIB + 777, ((0, MIB), (30 * MIB - 5, 2 * MIB), (64 * MIB, 777)))
        self.init("--block-size", "256K")
        self.backup("--disk", disk)
        self.change(disk, ((30 * MIB, 10),))
        self.backup("--disk", disk)
        mount = Mount(self)
        shown = self.inside(mount, disk)
        status = shown.stat()
        self.assertEqual(status.st_size, 64 * MIB + 777)
        self.assertLess(status.st_blocks * 512, 5 * MIB)
        self.assert_same(disk, shown)
        with open(disk, "rb") as first, open(shown, "rb") as second:
            for _ in range(300):
                offset = self.random.randrange(0, 64 * MIB)
                first.seek(offset)
                second.seek(offset)
                length = self.random.randrange(1, 300 * KIB)
                self.assertEqual(first.read(length), second.read(length))
            self.assertEqual(os.lseek(second.fileno(), 5 * MIB, os.SEEK_DATA), 30 * MIB - 256 * KIB)
        # A copy finds the holes.
        copy = self.base / "copy"
        subprocess.run(["cp", "--sparse=auto", shown, copy], check=True)
        self.assert_same(disk, copy)
        self.assertLess(copy.stat().st_blocks * 512, 5 * MIB)
        mount.end()

    def test_file_system_inside(self):
        disk = self.image(self.base / "disk.raw", 64 * MIB, ())
        self.format(disk)
        self.init()
        self.backup("--disk", disk)
        mount = Mount(self, "n")
        shown = mount.place / str(disk).lstrip("/")
        done = subprocess.run(["fsck.ext4", "-f", "-n", shown], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)
        # And mounted in turn.
        place = self.mount_device(shown, "-o", "ro,loop,noload")
        self.assertEqual(os.listdir(place), ["lost+found"])
        subprocess.run(["umount", place], check=True)
        mount.end()

    def test_damage(self):
        disk = self.noise(self.base / "disk", 8 * MIB)
        self.init("--parity", "0", "--block-size", "256K")
        self.backup("--disk", disk)
        (pack,) = (path for path in (self.repo / "data").rglob("*") if path.is_file())
        pack.chmod(0o600)
        with open(pack, "r+b") as file:
            file.seek(5 * MIB)
            byte = file.read(1)[0]
            file.seek(5 * MIB)
            file.write(bytes((byte ^ 1,)))
        mount = Mount(self, "n")
        shown, lost = mount.place / str(disk).lstrip("/"), 0
        with open(disk, "rb", buffering=0) as first, open(shown, "rb", buffering=0) as second:
            for at in range(0, 8 * MIB, 128 * KIB):
                first.seek(at)
                second.seek(at)
                wanted = first.read(128 * KIB)
                try:
                    self.assertEqual(second.read(128 * KIB), wanted)
                except OSError as error:
                    self.assertEqual(error.errno, errno.EIO)
                    lost += 1
        # Readahead may have met the bad piece with its neighbour.
        self.assertIn(lost, (1, 2))
        mount.end(code=3)
        self.assertIn("cannot be read", mount.output())


class Lives(MountCase):
    def start(self):
        tree = self.tree(a="one")
        self.init()
        self.backup(tree)
        mount = Mount(self)
        return mount, self.inside(mount, tree)

    def test_signals(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(number):
                if not self.repo.exists():
                    self.init()
                    self.backup(self.tree(a="one"))
                mount = Mount(self)
                os.listdir(mount.place)
                mount.end(by=number)

    def test_unmounted_while_used(self):
        mount, shown = self.start()
        with open(shown / "a", "rb"):
            mount.end(by=signal.SIGTERM)

    def test_killed(self):
        """What is left is told, and goes by umount."""
        mount, _ = self.start()
        mount.process.kill()
        mount.process.wait()
        done = self.run_("mount", "-r", self.repo, mount.place, code=1)
        self.assertIn("umount", done.stderr)
        subprocess.run(["umount", mount.place], check=True)
        Mount(self, place=mount.place).end()

    def test_bad_places(self):
        self.init()
        (self.base / "file").touch()
        (self.base / "full").mkdir()
        (self.base / "full" / "x").touch()
        self.assertIn("not empty", self.run_("mount", "-r", self.repo, self.base / "full", code=1).stderr)
        self.assertIn("not a folder", self.run_("mount", "-r", self.repo, self.base / "file", code=2).stderr)
        self.run_("mount", "-r", self.repo, self.base / "missing", code=1)
        (self.base / "empty").mkdir()
        self.run_("mount", "-r", self.repo, "nobody", self.base / "empty", code=1)

    def test_beside_prune(self):
        """What is mounted stays readable whatever is forgotten and pruned meanwhile."""
        tree = self.tree()
        content = self.noise(tree / "noise", 3 * MIB).read_bytes()
        self.init()
        self.backup(tree)
        mount, second = Mount(self), Mount(self, "n")
        shown = self.inside(mount, tree)
        self.assertEqual(os.listdir(shown), ["noise"])
        (tree / "noise").write_bytes(b"less")
        self.backup(tree)
        oldest = self.run_("points", "-r", self.repo, "--json").stdout.split('"point":')[1].split('"')[1]
        self.run_("forget", "-r", self.repo, oldest)
        for _ in range(3):
            self.run_("prune", "-r", self.repo)
        self.assertEqual((shown / "noise").read_bytes(), content)
        second.end()
        mount.end()
        for _ in range(2):
            self.run_("prune", "-r", self.repo)
        packs = sum(path.stat().st_size for path in (self.repo / "data").rglob("*") if path.is_file())
        self.assertLess(packs, MIB)


if __name__ == "__main__":
    Case.holdfast, Trees.make_fixture, Trees.compare_trees = map(os.path.abspath, sys.argv[1:4])
    del sys.argv[1:4]
    unittest.main(verbosity=1)
