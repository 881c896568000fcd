# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of the benchmark: what is done, who does it, and what Holdfast must reach."""

import os
from dataclasses import dataclass
from typing import Callable

from data import call
from measure import BenchError, Step, say

TOOLS = ("restic", "borg", "holdfast")
MB = 1e6
MIB = float(1 << 20)
POINTS = 200
INDEX_BLOBS = 100_000_000
READ_SECONDS = 5
ONE_FILE = "dir-500/note-500.txt"


@dataclass
class Check:
    """A figure of Holdfast that must not exceed (or, `least`, fall below) a limit."""
    label: str
    value: Callable  # of the medians of a row ({contender: {field: value}}); raises KeyError when one is missing
    limit: float
    unit: str = ""
    least: bool = False
    beside: Callable = None  # the same comparison in processor time, shown beside and not judged

    def reached(self, value):
        return value >= self.limit if self.least else value <= self.limit


def times(other, limit, what="wall"):
    """Holdfast takes at most `limit` times what another contender takes."""
    def ratio(field):
        return lambda row: row["holdfast"][field] / row[other][field]
    return Check(f"{what} / {other}", ratio(what), limit, "x", beside=ratio("cpu") if what == "wall" else None)


def at_most(what, limit, unit, scale):
    return Check(what, lambda row: row["holdfast"][what] / scale, limit, unit)


@dataclass
class Row:
    id: str
    title: str
    dataset: str
    contenders: tuple
    measure: Callable  # (arena, contender) -> sample, a dict of numbers
    checks: list
    shows: tuple = ("wall",)  # fields of a sample that the table shows
    runs: int = 3
    warm: bool = True  # read all data before each measurement, for some systems drop cold pages by themselves
    prepare: Callable = None  # (arena, contenders), once before the first run
    before: Callable = None  # (arena, contenders), before each run


def first(dataset):
    def measure(arena, contender):
        source = arena.source(dataset)
        if contender in TOOLS:
            return arena.backup(arena.fresh(contender, dataset), dataset)
        output = os.path.join(arena.scratch(), "output")
        if contender == "loop-a":
            return _loop(arena, "a", source)
        if contender == "loop-b":
            return _loop(arena, "b", source, output)
        if contender == "walk":
            return _walk(arena, source)
        if contender == "tar":
            script = 'tar -C "$1" -cf - . | zstd -q -3 -T0 -o "$2"'
            sample = arena.plain(["sh", "-c", script, "-", source, output])
            return sample | {"stored": os.path.getsize(output)}
        return arena.plain(["sh", "-c", 'cp -a "$1" "$2" && sync -f "$2"', "-", source, output])
    return measure


def _loop(arena, which, *arguments):
    """A bare loop; its own clocks count, which leave the walk out."""
    cost, result = arena.helper("bench_loops", which, *arguments)
    return cost | {"wall": result["seconds"], "cpu": result["cpu_seconds"], "stored": result["bytes_out"]}


def _walk(arena, source):
    cost, result = arena.helper("bench_walk", source)
    return cost | {"wall": result["seconds"]}


def again(dataset, key_file=False):
    """A backup where nothing changed. With key_file, 'holdfast' opens its repository with a key file and
    'holdfast-password' does it as all others do: the difference is the cost of the password."""
    def measure(arena, contender):
        if contender == "walk":
            return _walk(arena, arena.source(dataset))
        tool = arena.current(contender.removesuffix("-password"), dataset)
        if not key_file or contender != "holdfast":
            return arena.backup(tool, dataset)
        if not os.path.exists(tool.key_file):
            arena.run(tool, tool.add_key_file())
        tool.use_key_file = True
        try:
            return arena.backup(tool, dataset)
        finally:
            tool.use_key_file = False
    return measure


def bring_up_to_date(dataset):
    def prepare(arena, contenders):
        for name in contenders:
            if name in TOOLS:
                arena.current(name, dataset)
    return prepare


def change(dataset):
    """Before each run: all tools have the data as they are, then 1 % of the files change."""
    def before(arena, contenders):
        bring_up_to_date(dataset)(arena, contenders)
        count, size = arena.data.change(dataset)
        say(f"  changed {count} files of {size / MB:.1f} MB")
    return before


def changed(dataset):
    return lambda arena, contender: arena.backup(arena.tool(contender, dataset), dataset)


def touch_image(arena, _):
    """So that all blocks must be read again: the times of the file say that it changed."""
    os.utime(arena.source("image"))


def restore(dataset, on_disk=False):
    def measure(arena, contender):
        source, target, disk = arena.source(dataset), arena.scratch(on_disk), dataset == "image"
        if contender == "cp":
            arguments = ["--sparse=always"] if disk else ["-a"]
            restored = os.path.join(target, os.path.basename(source))
            script = 'cp "$1" "$2" "$3" && sync -f "$3"'
            sample = arena.plain(["sh", "-c", script, "-", *arguments, source, restored])
        else:
            tool = arena.current(contender, dataset)
            steps = tool.restore(source, target, disk)
            cost, _ = arena.run(tool, steps + [Step(["sync", "-f", target])])
            sample, restored = cost.as_dict(), tool.restored_path(source, target)
        if disk:
            call(["cmp", source, restored])
        else:
            arena.same_tree(source, restored)
        return sample
    return measure


def random_reads(arena, contender):
    image, target = arena.source("image"), arena.scratch()
    if contender == "raw":
        result = arena.random_reads([arena.program("bench_rawfuse"), image, target], dict(os.environ), READ_SECONDS)
    else:
        tool = arena.current(contender, "image")
        result = arena.random_reads(tool.mount(target), tool.env(), READ_SECONDS)
    return {each: result[f"{each}_reads"] / result[f"{each}_seconds"] for each in ("cold", "warm")}


def verify(arena, contender):
    tool = arena.current(contender, "kernel")
    return arena.run(tool, tool.verify())[0].as_dict()


def two_points(arena, contenders):
    """Bring every repository to exactly two points, 1 % of the files changed between them."""
    for name in contenders:
        tool = arena.current(name, "million")
        if tool.points > 1:
            arena.run(tool, tool.keep_last(1))
    arena.data.change("million")
    for name in contenders:
        arena.current(name, "million").save()


def many_points(arena, contenders):
    """POINTS points of a small tree, 1 % of the files changed before each."""
    for number in range(POINTS):
        bring_up_to_date("small")(arena, contenders)
        if number + 1 < POINTS:
            arena.data.change("small")
    for name in contenders:
        arena.tool(name, "small").save()


def prune(dataset, points, keep):
    """Forget all but `keep` of the newest `points` and give the space back. What each of these added over the one
    before it replaced about as much, so that `freed_share` is near 1 when all that died is gone."""
    def measure(arena, contender):
        tool = arena.tool(contender, dataset)
        tool.put_back()
        before = arena.sizes(tool)["stored"]
        cost, _ = arena.run(tool, tool.keep_last(keep))
        after = arena.sizes(tool)
        freed = before - after["stored"]
        died = sum(tool.added[1 - points:][:points - keep])
        return cost.as_dict() | after | {"freed": freed, "freed_share": freed / died}
    return measure


def one_file(arena, contender):
    tool = arena.current(contender, "million")
    source = arena.source("million")
    cost, output = arena.run(tool, tool.one_file(source, ONE_FILE))
    with open(os.path.join(source, ONE_FILE), "rb") as file:
        if output != file.read():
            raise BenchError(f"{contender} returned another content of '{ONE_FILE}'")
    return cost.as_dict()


def index(arena, _):
    """bench_index FOLDER BLOBS makes a synthetic index and looks blobs up; it prints a JSON object with at least
    anon_bytes, cache_bytes (the fixed cache, part of anon_bytes), runs, lookups, found, page_reads and seconds."""
    cost, result = arena.helper("bench_index", arena.scratch(on_disk=True), str(INDEX_BLOBS))
    if result["found"] != result["lookups"]:
        raise BenchError(f"the index found {result['found']} of {result['lookups']} blobs that it holds")
    return cost | {
        "bytes_per_blob": (result["anon_bytes"] - result["cache_bytes"]) / INDEX_BLOBS,
        "runs": result["runs"],
        "reads_per_run": result["page_reads"] / (result["lookups"] * result["runs"]),
        "lookups_per_second": result["lookups"] / result["seconds"]}


FREED = Check("freed / what died", lambda row: row["holdfast"]["freed_share"], 0.5, "x", least=True)
ROWS = [
    Row("kernel-first", "kernel tree, first backup", "kernel", TOOLS + ("tar", "cp", "loop-a", "loop-b"),
        first("kernel"), [times("loop-b", 1.25), at_most("stored", 215, "MB", MB)], ("wall", "stored")),
    Row("kernel-again", "kernel tree, nothing changed", "kernel", TOOLS + ("holdfast-password", "walk"),
        again("kernel", key_file=True), [times("walk", 1.5)], prepare=bring_up_to_date("kernel")),
    Row("kernel-changed", "kernel tree, 1 % of the files changed", "kernel", TOOLS,
        changed("kernel"), [times("restic", 0.25), at_most("added", 4.8, "MB", MB)], ("wall", "added"),
        before=change("kernel")),
    Row("kernel-restore-tmpfs", "restore of the kernel tree, tmpfs", "kernel", TOOLS + ("cp",),
        restore("kernel"), [times("cp", 1.0)], prepare=bring_up_to_date("kernel")),
    Row("kernel-restore-ext4", "restore of the kernel tree, ext4", "kernel", TOOLS + ("cp",),
        restore("kernel", on_disk=True), [times("cp", 1.0)], prepare=bring_up_to_date("kernel")),
    Row("verify", "verify, all content (kernel tree)", "kernel", TOOLS, verify, [times("restic", 0.5)], warm=False,
        prepare=bring_up_to_date("kernel")),
    Row("million-first", "a million files of 30-400 bytes, first", "million", TOOLS + ("walk", "loop-b"),
        first("million"), [times("restic", 0.2), at_most("stored", 300, "MB", MB), at_most("anon", 128, "MiB", MIB)],
        ("wall", "stored", "anon"), runs=1),
    Row("million-again", "a million files, nothing changed", "million", TOOLS + ("walk",),
        again("million"), [times("walk", 2.0)], ("wall", "anon"), runs=1, prepare=bring_up_to_date("million")),
    Row("one-file", "one small file out of a point of a million", "million", TOOLS,
        one_file, [times("restic", 0.25), times("restic", 0.25, "read_bytes")], ("wall", "read_bytes"),
        warm=False, prepare=bring_up_to_date("million")),
    Row("million-prune", "forget and prune one of two such points", "million", TOOLS,
        prune("million", 2, 1), [times("restic", 0.2), FREED], ("wall", "freed", "anon"), runs=1, warm=False,
        prepare=two_points),
    Row("image-first", "disk image of 4 GiB, first backup", "image", TOOLS + ("loop-a", "loop-b"),
        first("image"), [times("restic", 0.333)], ("wall", "stored")),
    Row("image-again", "disk image, all blocks read again", "image", TOOLS,
        again("image"), [times("restic", 0.2)], prepare=bring_up_to_date("image"), before=touch_image),
    Row("image-restore", "restore of the image", "image", TOOLS + ("cp",),
        restore("image"), [times("cp", 2.0)], prepare=bring_up_to_date("image")),
    Row("image-fuse", "4 KiB random reads of the image through FUSE, one core", "image",
        ("restic", "holdfast", "raw"), random_reads,
        [Check("cold", lambda row: row["holdfast"]["cold"], 3000, "reads/s", least=True)], ("cold", "warm"),
        prepare=bring_up_to_date("image")),
    Row("prune-200", f"forget and prune half of {POINTS} points (folder fs of the kernel tree)", "small", TOOLS,
        prune("small", POINTS, POINTS // 2), [times("restic", 0.2), FREED], ("wall", "freed"), warm=False,
        prepare=many_points),
    Row("index-100m", "index of 100 million blobs", None, ("holdfast",), index,
        [Check("bytes a blob", lambda row: row["holdfast"]["bytes_per_blob"], 2, "bytes"),
         Check("page reads a run", lambda row: row["holdfast"]["reads_per_run"], 1),
         Check("runs", lambda row: row["holdfast"]["runs"], 4)],
        ("bytes_per_blob", "reads_per_run", "runs", "lookups_per_second"), runs=1),
]
