# SPDX-License-Identifier: GPL-3.0-or-later
"""What the scenarios of disks and mounts share: running holdfast, images of noise and holes, loop devices."""
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

MIB = 1 << 20
PATIENCE = 60  # seconds until something that must happen has happened


class Case(unittest.TestCase):
    holdfast = None

    def setUp(self):
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-disks-")).resolve()
        self.addCleanup(shutil.rmtree, self.base, ignore_errors=True)
        self.repo = self.base / "repo"
        self.random = random.Random(self.id())

    def environment(self):
        return {"PATH": os.environ["PATH"], "HOME": str(self.base), "TZ": "UTC"}

    def run_(self, *words, code=0):
        done = subprocess.run([self.holdfast, *map(str, words)], env=self.environment(), capture_output=True, text=True,
                              timeout=300, check=False)
        self.assertEqual(done.returncode, code, f"{words}: {done.stdout[-800:]}{done.stderr[-800:]}")
        return done

    def init(self, *more):
        self.run_("init", "-r", self.repo, "--encryption", "none", *more)

    def backup(self, *words, name="n", code=0):
        done = self.run_("backup", "-r", self.repo, "-n", name, "--json", *words, code=code)
        return [json.loads(line) for line in done.stdout.splitlines()][-1]

    def restore_disk(self, target, *more, point="latest", code=0):
        return self.run_("restore", "-r", self.repo, point, *more, "--disk-to", target, code=code)

    # ---- Images.

    def noise(self, path, size):
        with open(path, "wb") as file:
            for left in range(size, 0, -MIB):
                file.write(self.random.randbytes(min(left, MIB)))
        return path

    def image(self, path, size, data):
        """A sparse file of `size` with noise at each (offset, length) of `data`."""
        with open(path, "wb") as file:
            file.truncate(size)
            for offset, length in data:
                file.seek(offset)
                file.write(self.random.randbytes(length))
        return path

    def change(self, path, places):
        with open(path, "r+b") as file:
            for offset, length in places:
                file.seek(offset)
                file.write(self.random.randbytes(length))

    def assert_same(self, first, second, length=None):
        command = ["cmp", *(["-n", str(length)] if length is not None else []), str(first), str(second)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    # ---- Devices.

    def loop(self, path):
        """A loop device over a file, or skips."""
        if os.geteuid() != 0 or not os.path.exists("/dev/loop-control"):
            self.skipTest("loop devices need root")
        made = subprocess.run(["losetup", "--find", "--show", str(path)], capture_output=True, text=True, check=False)
        if made.returncode != 0:
            self.skipTest(f"no loop device: {made.stderr.strip()}")
        device = made.stdout.strip()
        self.addCleanup(subprocess.run, ["losetup", "--detach", device], check=False)
        return device

    def mount_device(self, device, *options):
        place = self.base / "place"
        place.mkdir(exist_ok=True)
        subprocess.run(["mount", *options, device, place], check=True)
        self.addCleanup(subprocess.run, ["umount", place], check=False, stderr=subprocess.DEVNULL)
        return place

    def format(self, path):
        subprocess.run(["mkfs.ext4", "-q", "-F", str(path)], check=True)


class Mount:
    """holdfast mount in the background."""

    def __init__(self, case, *words, place=None):
        self.case = case
        self.place = place or pathlib.Path(tempfile.mkdtemp(dir=case.base, prefix="mnt-"))
        # A file, not a pipe: nobody reads while it runs.
        self.said = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([case.holdfast, "mount", "-r", str(case.repo), *map(str, words), str(self.place)],
                                        env=case.environment(), stdout=self.said, stderr=self.said)
        case.addCleanup(self.kill)
        deadline = time.monotonic() + PATIENCE
        while not os.path.ismount(self.place):
            if self.process.poll() is not None or time.monotonic() > deadline:
                case.fail(f"not mounted: {self.output()}")
            time.sleep(0.02)

    def output(self):
        self.said.seek(0)
        return self.said.read()

    def end(self, code=0, by=None):
        """Ends it by a signal, or by umount, and checks how it ended."""
        if by is None:
            subprocess.run(["umount", self.place], check=True)
        else:
            self.process.send_signal(by)
        self.process.wait(PATIENCE)
        self.case.assertEqual(self.process.returncode, code, self.output())
        self.case.assertFalse(os.path.ismount(self.place))

    def kill(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        subprocess.run(["umount", "--lazy", self.place], check=False, stderr=subprocess.DEVNULL)
        self.said.close()


def can_mount():
    return os.access("/dev/fuse", os.R_OK | os.W_OK)
