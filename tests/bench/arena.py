# SPDX-License-Identifier: GPL-3.0-or-later
"""What rows run in: the data, the tools with their repositories in memory, and one way to do and measure each verb."""

import os
import shutil
import subprocess
import time

from measure import BenchError, Step, run, run_json, say, tree_bytes

MEMORY_LIMIT = 10 << 30  # bytes of data that the bench keeps in memory at most
MOUNT_SECONDS = 60  # how long a mount may take to appear
PINNED = ["taskset", "-c", "0"]


class Arena:
    def __init__(self, data, memory, programs, tool_makers, log):
        self.data = data
        self.memory = memory
        self.programs = programs
        self.tool_makers = tool_makers  # name: function of the home folder
        self.log = log
        self.tools = {}  # (name, data set): Tool

    def tool(self, name, dataset):
        if (name, dataset) not in self.tools:
            tool = self.tool_makers[name](os.path.join(self.memory, f"{name}-{dataset}"))
            tool.clear()
            self.tools[name, dataset] = tool
        return self.tools[name, dataset]

    def program(self, name):
        path = os.path.join(self.programs, name)
        if not os.access(path, os.X_OK):
            raise BenchError(f"'{path}' is not there; build it with 'ninja bench-programs'")
        return path

    def run(self, tool, steps):
        return run(steps, tool.env(), self.log)

    def helper(self, name, *arguments):
        """Run a helper program that prints JSON: Cost as a dict and the object."""
        cost, result = run_json([Step([self.program(name), *arguments])], dict(os.environ), self.log)
        return cost.as_dict(), result

    def plain(self, argv):
        """Run a plain tool like cp: Cost as a dict."""
        return run([Step(argv)], dict(os.environ), self.log)[0].as_dict()

    def source(self, dataset):
        work = self.data.work(dataset)
        return os.path.join(work, "disk.img") if dataset == "image" else work

    def scratch(self, on_disk=False):
        """An empty folder for restores and outputs, in memory or beside the data; see clear_scratch."""
        path = os.path.join(self.data.cache if on_disk else self.memory, "scratch")
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(path)
        return path

    def clear_scratch(self):
        for folder in (self.data.cache, self.memory):
            shutil.rmtree(os.path.join(folder, "scratch"), ignore_errors=True)

    def check_memory(self):
        """Raise when the bench occupies more memory than it said; blocks count, not sizes: images are sparse."""
        used = int(subprocess.run(["du", "-s", "--block-size=1", self.memory], capture_output=True, check=True,
                                  text=True).stdout.split()[0])
        if used > MEMORY_LIMIT:
            raise BenchError(f"'{self.memory}' holds {used >> 20} MiB, over the limit of {MEMORY_LIMIT >> 20} MiB")

    def sizes(self, tool):
        return {"stored": tree_bytes(tool.repo, tool.state_folders), "whole": tree_bytes(tool.repo)}

    def fresh(self, name, dataset):
        """An empty repository; not timed."""
        tool = self.tool(name, dataset)
        tool.clear()
        self.run(tool, tool.init())
        return tool

    def backup(self, tool, dataset):
        """One backup: Cost as a dict, with the sizes of the repository after it and what it added."""
        before = self.sizes(tool)
        cost, _ = self.run(tool, tool.backup(self.source(dataset), dataset == "image"))
        tool.points += 1
        tool.generation = self.data.generation[dataset]
        after = self.sizes(tool)
        tool.added.append(after["stored"] - before["stored"])
        return cost.as_dict() | after | {"added": tool.added[-1]}

    def current(self, name, dataset):
        """The tool, with a repository whose newest point is of the data as they are now; not timed."""
        tool = self.tool(name, dataset)
        self.data.work(dataset)
        if tool.points == 0:
            say(f"  {name}: backing up '{dataset}' first")
            self.fresh(name, dataset)
        if tool.generation != self.data.generation[dataset]:
            self.backup(tool, dataset)
        return tool

    def same_tree(self, source, restored):
        """Raise unless both trees have the same number of entries, files and bytes."""
        _, want = self.helper("bench_walk", source)
        _, got = self.helper("bench_walk", restored)
        for field in ("entries", "files", "bytes"):
            if want[field] != got[field]:
                raise BenchError(f"'{restored}' has {got[field]} {field}, the source has {want[field]}")

    def random_reads(self, argv, env, seconds):
        """Mount with argv (whose last item is the mount point) and read at random, all on one core."""
        target, image = argv[-1], self.source("image")
        process = subprocess.Popen(PINNED + argv, env=env, stdin=subprocess.DEVNULL, stdout=self.log,
                                   stderr=self.log)
        try:
            path = _wait_for_file(process, target, os.path.getsize(image))
            reader = [*PINNED, self.program("bench_randread"), path, image, str(seconds), "1"]
            return run_json([Step(reader)], dict(os.environ), self.log)[1]
        finally:
            subprocess.run(["fusermount3", "-u", target], check=False, stderr=self.log)
            _end(process)

    def finish(self, dataset):
        """Remove everything that belongs to a data set, but the originals."""
        for key in [key for key in self.tools if key[1] == dataset]:
            self.tools.pop(key).remove()
        self.data.drop(dataset)


def _wait_for_file(process, target, size):
    """Path of the file of that size below a mount point that is about to appear."""
    deadline = time.monotonic() + MOUNT_SECONDS
    while not os.path.ismount(target):
        if process.poll() not in (None, 0) or time.monotonic() > deadline:
            raise BenchError(f"'{target}' was not mounted; see the log")
        time.sleep(0.05)
    for folder, _, names in os.walk(target):
        for name in names:
            path = os.path.join(folder, name)
            if not os.path.islink(path) and os.path.getsize(path) == size:
                return path
    raise BenchError(f"'{target}' shows no file of {size} bytes")


def _end(process):
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.terminate()
        process.wait()
