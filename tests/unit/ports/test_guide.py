# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the commands of docs/ports.md and compares what they print, and the pictures that they draw.

A block that is indented by four spaces and begins with '# NAME.topology' is a file; the first of a block that begins with
'$ ' is a command, the rest is what it prints, errors last. A line that ends in '...' is the beginning of one. Examples lie in
the same folder. With --write as the last argument the pictures are drawn anew.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

HOLDFAST, ROOT = map(os.path.abspath, sys.argv[1:3])
WRITE = sys.argv[3:] == ["--write"]
GUIDE = os.path.join(ROOT, "docs", "ports.md")


def blocks():
    """The indented blocks; an empty line inside a block belongs to it."""
    found, block = [], []
    with open(GUIDE, encoding="utf-8") as guide:
        lines = guide.read().split("\n")
    for line in lines + ["end"]:
        if line.startswith("    "):
            block.append(line[4:])
        elif line == "" and block:
            block.append("")
        elif block:
            while block[-1] == "":
                block.pop()
            found += split(block)
            block = []
    return found


def split(block):
    """A file and the commands behind it are blocks of their own."""
    parts = [[]]
    for line in block:
        if line.startswith("$ ") and parts[-1]:
            parts.append([])
        parts[-1].append(line)
    return parts


class Guide(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        os.mkdir(os.path.join(self.folder, "pictures"))
        os.symlink(HOLDFAST, os.path.join(self.folder, "holdfast"))
        for name in os.listdir(os.path.join(ROOT, "examples")):
            shutil.copy(os.path.join(ROOT, "examples", name), self.folder)

    def run_command(self, command):
        environment = dict(os.environ, PATH=self.folder + os.pathsep + os.environ["PATH"])
        done = subprocess.run(["bash", "-c", command], cwd=self.folder, env=environment, capture_output=True, text=True)
        self.assertIn(done.returncode, (0, 2, 3), done.stderr)
        return (done.stdout + done.stderr).rstrip("\n").split("\n")

    def check_output(self, command, expected, printed):
        expected = [line for line in expected if line != ""]
        printed = [line.rstrip() for line in printed if line != ""]
        self.assertEqual(len(expected), len(printed), f"{command} prints\n" + "\n".join(printed))
        for wanted, line in zip(expected, printed):
            if wanted.endswith("..."):
                self.assertTrue(line.startswith(wanted[:-3]), f"{line!r} and not {wanted!r}")
            else:
                self.assertEqual(wanted, line, command)

    def check_picture(self, name):
        kept = os.path.join(ROOT, "docs", "pictures", name)
        drawn = os.path.join(self.folder, "pictures", name)
        if WRITE:
            shutil.copy(drawn, kept)
        with open(kept, encoding="utf-8") as a, open(drawn, encoding="utf-8") as b:
            self.assertTrue(a.read() == b.read(), f"docs/pictures/{name} is old: run {__file__} HOLDFAST ROOT --write")

    def test_commands(self):
        commands = pictures = 0
        for block in blocks():
            name = re.fullmatch(r"# (\S+\.topology)", block[0])
            if name:
                with open(os.path.join(self.folder, name.group(1)), "w", encoding="utf-8") as file:
                    file.write("\n".join(block) + "\n")
            elif block[0].startswith("$ "):
                printed = self.run_command(block[0][2:])
                picture = re.search(r"> pictures/(\S+)$", block[0])
                commands += 1
                if picture:
                    self.check_picture(picture.group(1))
                    pictures += 1
                else:
                    self.check_output(block[0], block[1:], printed)
        self.assertGreaterEqual(commands, 6)
        self.assertGreaterEqual(pictures, 3)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
