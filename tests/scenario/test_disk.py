# SPDX-License-Identifier: GPL-3.0-or-later
"""Disk images and block devices, there and back.  usage: test_disk.py HOLDFAST"""
import os
import signal
import subprocess
import sys
import time
import unittest

from diskcase import MIB, PATIENCE, Case

KIB = 1024
BLOCK_SIZES = {"256K": 256 * KIB, "512K": 512 * KIB, "1M": MIB, "4M": 4 * MIB}
# Noise at both ends, in the middle of nowhere, across the edges of blocks; a size that is no multiple of anything.
SIZE = 70 * MIB + 12345
DATA = ((0, 300 * KIB), (5 * MIB - 7, 20), (9 * MIB + 100, 5 * MIB), (33 * MIB, 1), (SIZE - 5000, 5000))


class Images(Case):
    def round_trip(self, block_size):
        disk, back = self.base / "disk", self.base / "back"
        self.init("--block-size", block_size)
        self.image(disk, SIZE, DATA)
        self.backup("--disk", disk)
        self.restore_disk(back)
        self.assert_same(disk, back)
        self.assertEqual(back.stat().st_size, SIZE)
        self.assertLess(back.stat().st_blocks * 512, 16 * MIB)
        # Only the blocks that changed are stored.
        changes = ((0, 1), (12 * MIB, 100 * KIB), (40 * MIB, 5))
        self.change(disk, changes)
        block = BLOCK_SIZES[block_size]
        changed = {at // block for offset, length in changes for at in (offset, offset + length - 1)}
        again = self.backup("--disk", disk)
        self.assertLess(again["new_bytes"], len(changed) * block + 10000)
        self.assertGreaterEqual(again["new_bytes"], len(changed) * min(block, 64 * KIB))
        back.unlink()
        self.restore_disk(back)
        self.assert_same(disk, back)
        self.run_("verify", "-r", self.repo)

    def test_all_block_sizes(self):
        for block_size in BLOCK_SIZES:
            with self.subTest(block_size=block_size):
                self.repo = self.base / f"repo-{block_size}"
                self.round_trip(block_size)
                (self.base / "back").unlink()

    def test_sizes(self):
        self.init("--block-size", "256K")
        for size in (1, 511, 512, 256 * KIB - 1, 256 * KIB, 256 * KIB + 1):
            disk, back = self.base / f"disk-{size}", self.base / f"back-{size}"
            self.noise(disk, size)
            self.backup("--disk", disk)
            self.restore_disk(back)
            self.assert_same(disk, back)
        (self.base / "empty").touch()
        self.run_("backup", "-r", self.repo, "--disk", self.base / "empty", code=2)

    def test_three_terabytes_of_nothing(self):
        disk, back = self.base / "disk", self.base / "back"
        self.init()
        try:
            self.image(disk, 3 << 40, ((2 << 40, 5 * KIB), ((3 << 40) - 1, 1)))
        except OSError as error:
            self.skipTest(f"no file may be so large here: {error}")
        stored = self.backup("--disk", disk)
        self.assertLess(stored["stored_bytes"], 100 * KIB)
        self.restore_disk(back)
        self.assertEqual(back.stat().st_size, 3 << 40)
        self.assertLess(back.stat().st_blocks, 2000)
        for offset in (2 << 40) - 10, (2 << 40) + 4 * KIB, (3 << 40) - 4 * KIB:
            with open(disk, "rb") as first, open(back, "rb") as second:
                first.seek(offset)
                second.seek(offset)
                self.assertEqual(first.read(8 * KIB), second.read(8 * KIB))

    def test_onto_a_file(self):
        disk = self.image(self.base / "disk", SIZE, DATA)
        self.init()
        self.backup("--disk", disk)
        for size in (SIZE // 2, SIZE, SIZE + 3 * MIB):
            target = self.noise(self.base / f"target-{size}", size)
            before = target.stat()
            refused = self.restore_disk(target, code=1)
            self.assertIn("--overwrite", refused.stderr)
            self.assertEqual(target.stat().st_mtime_ns, before.st_mtime_ns)
            self.restore_disk(target, "--overwrite")
            self.assert_same(disk, target)
            self.assertEqual(target.stat().st_ino, before.st_ino)
            self.assertLess(target.stat().st_blocks * 512, 20 * MIB)

    def test_several_disks(self):
        one, two = self.image(self.base / "one", 5 * MIB, ((0, MIB),)), self.image(self.base / "two", 3 * MIB, ((5, 7),))
        self.init()
        self.backup("--disk", one, two)
        self.assertIn("several", self.restore_disk(self.base / "x", code=2).stderr)
        self.restore_disk(self.base / "back", two)
        self.assert_same(two, self.base / "back")

    def test_killed_restore(self):
        disk, target = self.noise(self.base / "disk", 200 * MIB), self.base / "target"
        self.init("--compression", "none")
        self.backup("--disk", disk)
        process = subprocess.Popen([self.holdfast, "restore", "-r", self.repo, "latest", "--disk-to", target],
                                   env=self.environment(), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        partial, deadline = self.base / "target.partial", time.monotonic() + PATIENCE
        while not (partial.exists() and partial.stat().st_blocks) and process.poll() is None:
            self.assertLess(time.monotonic(), deadline)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if target.exists():  # it was faster than we
            self.assert_same(disk, target)
            return
        self.assertIn("target.partial", self.restore_disk(target, code=1).stderr)
        self.restore_disk(target, "--overwrite")
        self.assert_same(disk, target)
        self.assertFalse(partial.exists())

    def test_changed_while_it_was_read(self):
        disk = self.noise(self.base / "disk", 100 * MIB)
        self.init("--compression", "none", "--parity", "0")
        process = subprocess.Popen([self.holdfast, "backup", "-r", self.repo, "-n", "n", "--limit", "50M", "--disk", disk],
                                   env=self.environment(), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        while process.poll() is None:
            self.change(disk, ((50 * MIB, 1),))
            time.sleep(0.01)
        self.assertEqual(process.returncode, 3)
        self.assertIn("changed while it was read", process.communicate()[1])


class Damage(Case):
    def spoil(self, share):
        """Turns a bit of every `share`-th page of the data packs."""
        spoiled = 0
        for pack in sorted((self.repo / "data").rglob("*")):
            if not pack.is_file():
                continue
            pack.chmod(0o600)
            with open(pack, "r+b") as file:
                for at in range(4096 * share, pack.stat().st_size, 4096 * share):
                    file.seek(at)
                    byte = file.read(1)[0]
                    file.seek(at)
                    file.write(bytes((byte ^ 1,)))
                    spoiled += 1
        self.assertGreater(spoiled, 0)

    def assert_zeros_in_place(self, disk, back):
        """Each piece is what it was, or zeros; some are, and not all."""
        lost = whole = 0
        with open(disk, "rb") as first, open(back, "rb") as second:
            while wanted := first.read(128 * KIB):
                found = second.read(128 * KIB)
                if found == wanted:
                    whole += 1
                else:
                    self.assertEqual(found.count(0), len(found))
                    lost += 1
            self.assertEqual(second.read(1), b"")
        self.assertGreater(lost, 0)
        self.assertGreater(whole, lost)
        return lost

    def test_damage(self):
        disk, back = self.noise(self.base / "disk", 20 * MIB), self.base / "back"
        old = self.noise(self.base / "old", 30 * MIB)
        self.init("--parity", "0")
        self.backup("--disk", disk)
        self.spoil(700)
        said = self.restore_disk(back, code=4)
        self.assertIn("cannot be read", said.stderr)
        self.assertIn("they are zeros in", said.stderr)
        self.assertFalse(back.exists())
        lost = self.assert_zeros_in_place(disk, self.base / "back.damaged")
        self.assertIn("bytes ", said.stderr)
        self.restore_disk(old, "--overwrite", code=4)
        self.assertEqual(self.assert_zeros_in_place(disk, old), lost)
        # What is known to be damaged, the next backup of the disk heals.
        self.run_("verify", "-r", self.repo, code=4)
        self.backup("--disk", disk)
        self.restore_disk(back)
        self.assert_same(disk, back)

    def test_parity_mends(self):
        disk, back = self.noise(self.base / "disk", 20 * MIB), self.base / "back"
        self.init()
        self.backup("--disk", disk)
        self.spoil(2000)
        self.restore_disk(back, code=3)
        self.assert_same(disk, back)


class Devices(Case):
    def device(self, size):
        return self.loop(self.noise(self.base / f"backing-{size}", size))

    def test_there_and_back(self):
        device, size = self.device(24 * MIB), 24 * MIB
        self.init("--block-size", "256K")
        self.format(device)
        place = self.mount_device(device)
        self.noise(place / "file", 3 * MIB)
        # Mounted for writing: only with --live, and then marked.
        self.assertIn("mounted at", self.run_("backup", "-r", self.repo, "--disk", device, code=1).stderr)
        live = self.backup("--live", "--disk", device, name="live", code=3)
        self.assertEqual(live["warnings"], 1)
        subprocess.run(["umount", place], check=True)
        self.mount_device(device, "-o", "ro")
        self.backup("--disk", device)
        subprocess.run(["umount", place], check=True)
        # To a file, and to a device full of something else that is larger.
        self.restore_disk(self.base / "back")
        self.assert_same(device, self.base / "back", size)
        other = self.device(25 * MIB)
        self.restore_disk(other)
        self.assert_same(device, other, size)
        self.assertEqual(subprocess.run(["fsck.ext4", "-f", "-n", other], capture_output=True, check=False).returncode, 0)
        with open(other, "rb") as restored, open(self.base / f"backing-{25 * MIB}", "rb") as backing:
            restored.seek(size)
            self.assertEqual(len(restored.read()), MIB)
            backing.seek(size)
            self.assertGreater(len(set(backing.read())), 1)
        # What was restored is a file system now: it is not written over by mistake.
        self.assertIn("holds 'ext4'", self.restore_disk(other, code=1).stderr)
        self.mount_device(other)
        self.assertIn("mounted at", self.restore_disk(other, "--overwrite", code=1).stderr)

    def test_too_small(self):
        self.init()
        self.backup("--disk", self.image(self.base / "disk", 9 * MIB, ((0, 10),)))
        device = self.device(8 * MIB)
        self.assertIn("bytes", self.restore_disk(device, "--overwrite", code=1).stderr)
        self.assert_same(device, self.base / f"backing-{8 * MIB}")

    def test_damage_onto_a_device(self):
        disk = self.noise(self.base / "disk", 8 * MIB)
        self.init("--parity", "0")
        self.backup("--disk", disk)
        Damage.spoil(self, 900)
        device = self.device(8 * MIB)
        self.assertIn(f"they are zeros in '{device}'", self.restore_disk(device, code=4).stderr)
        Damage.assert_zeros_in_place(self, disk, device)


if __name__ == "__main__":
    Case.holdfast = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=1)
