#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The crash simulator: rebuilds from a recording of system calls (src/base/sysrecord.h) what a power loss could leave.

  replay.py list FILE                   the records, one a line
  replay.py mark FILE TEXT              append a mark: between two programs, "the first one had reported success"
  replay.py make FILE --prefix FOLDER --out FOLDER [--base FOLDER] [--seed N] [--crash N | --sync K]
                                        put one crash state of the recorded folder into a new folder

What is assumed of the disk and the file system, and no more:
 - The power is lost after the first N records. What a sync among them covers is durable; of all else each piece is kept
   or lost by itself, whatever its order: a sector (512 bytes) of a write, a truncation, a change of names.
 - fsync and fdatasync of a file cover its bytes and its length, not its name; fsync of a folder covers the names in it,
   not the bytes behind them; syncfs covers all on its file system.
 - A change of names is atomic. A rename is durable once the folder of its new name is synced.
 - A length may be kept without the bytes: they read as zeros.
The choices are drawn from the seed: none, all, the first few, or any; so that both plain and odd states come up.
"""
import argparse
import bisect
import mmap
import os
import random
import shutil
import stat
import struct
import sys

SECTOR = 512
HEADER = struct.Struct('<4sIHHHHIIQQQQII')
MAGIC = b'HFRC'
FLAG_CREATED = 1

OPEN, WRITE, FSYNC, FDATASYNC, SYNCFS, TRUNCATE, ALLOCATE, LINK, RENAME, UNLINK, MKDIR, CLOSE, MARK = range(1, 14)
KINDS = {OPEN: 'open', WRITE: 'write', FSYNC: 'fsync', FDATASYNC: 'fdatasync', SYNCFS: 'syncfs', TRUNCATE: 'truncate',
         ALLOCATE: 'allocate', LINK: 'link', RENAME: 'rename', UNLINK: 'unlink', MKDIR: 'mkdir', CLOSE: 'close',
         MARK: 'mark'}
SYNCS = (FSYNC, FDATASYNC, SYNCFS)

O_TMPFILE = os.O_TMPFILE
RENAME_EXCHANGE = 2
FALLOC_KEEP_SIZE, FALLOC_PUNCH_HOLE, FALLOC_ZERO_RANGE = 1, 2, 16


class Record:
    """One call. `key` names the file: (st_dev, st_ino)."""
    __slots__ = ('kind', 'flags', 'pid', 'mode', 'key', 'offset', 'length', 'argument', 'path', 'other', 'data')

    def __init__(self, kind, path=b'', other=b'', data=b'', **more):
        self.kind, self.path, self.other, self.data = kind, path, other, data
        self.flags = self.pid = self.mode = self.offset = self.length = self.argument = 0
        self.key = (0, 0)
        for name, value in more.items():
            setattr(self, name, value)

    def pack(self):
        size = HEADER.size + len(self.path) + len(self.other) + len(self.data)
        return HEADER.pack(MAGIC, size, self.kind, len(self.path), len(self.other), self.flags, self.pid, self.mode,
                           *self.key, self.offset, self.length, self.argument, 0) + self.path + self.other + self.data

    def __str__(self):
        text = f'{KINDS[self.kind]:9} {os.fsdecode(self.path)}'
        if self.other:
            text += f' -> {os.fsdecode(self.other)}'
        if self.kind in (WRITE, ALLOCATE):
            text += f' {self.offset}+{self.length}'
        elif self.kind == TRUNCATE:
            text += f' {self.offset}'
        return text + (' (made)' if self.flags & FLAG_CREATED else '')


class Recording:
    """All records of a file, in order. What a killed process left of its last record is ignored."""

    def __init__(self, records):
        self.records = records
        self.syncs = [i for i, record in enumerate(records) if record.kind in SYNCS]
        self.marks = [(i, os.fsdecode(record.path)) for i, record in enumerate(records) if record.kind == MARK]

    @classmethod
    def load(cls, path):
        records, start = [], 0
        with open(path, 'rb') as stream:
            if not os.fstat(stream.fileno()).st_size:
                return cls(records)
            view = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
        while len(view) - start >= HEADER.size:
            magic, size, kind, first, second, flags, pid, mode, dev, ino, offset, length, argument, _ = \
                HEADER.unpack_from(view, start)
            if magic != MAGIC or kind not in KINDS or size < HEADER.size + first + second:
                raise ValueError(f'{path}: no record at offset {start}')
            if len(view) - start < size:
                break
            names = start + HEADER.size
            data = names + first + second
            records.append(Record(kind, bytes(view[names:names + first]), bytes(view[names + first:data]),
                                  view[data:start + size], flags=flags, pid=pid, mode=mode, key=(dev, ino),
                                  offset=offset, length=length, argument=argument))
            start += size
        return cls(records)

    def gap(self, k):
        """The crash points at which exactly the first k syncs had returned: (first, last)."""
        first = self.syncs[k - 1] + 1 if k else 0
        last = self.syncs[k] if k < len(self.syncs) else len(self.records)
        return first, last

    def plan(self, count, seed):
        """`count` crash points, spread so that every gap between syncs is as likely as any other."""
        rng = random.Random(f'plan {seed}')
        return [rng.randint(*self.gap(rng.randint(0, len(self.syncs)))) for _ in range(count)]

    def marked(self, crash):
        """The texts of the marks that lie before a crash point, in order."""
        return [text for index, text in self.marks if index < crash]


def mark(path, text):
    with open(path, 'ab') as stream:
        stream.write(Record(MARK, os.fsencode(text)).pack())


class Node:
    """A file, a folder, or something else (a symbolic link of the base) that is only copied."""

    def __init__(self, mode, base=None):
        self.mode, self.base = mode, base
        self.initial = {}  # of a folder: what it held before the recording
        self.entries = {}  # of a folder: what it holds for the running programs
        self.ops = []      # of a file: what was done to its bytes
        self.synced = 0    # how many of the ops are durable
        self.dev = None


class NameChange:
    """Sets names at once; node None: the name is gone."""

    def __init__(self, dev, *settings):
        self.dev, self.settings = dev, settings
        self.durable = False


class Disk:
    """Plays records, and knows afterwards what is durable and what is not."""

    def __init__(self, prefix, base=None):
        self.root = Node(stat.S_IFDIR | 0o755)
        self.nodes = {}  # (dev, ino) -> Node
        self.files = []
        self.changes = []
        self.unsynced = {}  # folder -> its changes that are not durable
        self.home = self.folder(os.fsencode(os.path.realpath(prefix)))
        if base is not None:
            self.load_base(self.home, os.fsencode(base), {})

    def load_base(self, folder, path, links):
        for entry in os.scandir(path):
            status = entry.stat(follow_symlinks=False)
            node = links.get((status.st_dev, status.st_ino))
            if node is None:
                node = links[status.st_dev, status.st_ino] = Node(status.st_mode, entry.path)
                self.files.append(node)
            if stat.S_ISDIR(status.st_mode):
                self.load_base(node, entry.path, links)
            folder.initial[entry.name] = folder.entries[entry.name] = node

    def folder(self, path):
        """The folder now at a path; one that was never recorded has been there before."""
        node = self.root
        for name in path.split(b'/'):
            if name:
                if name not in node.entries:
                    node.initial[name] = node.entries[name] = Node(stat.S_IFDIR | 0o755)
                node = node.entries[name]
        return node

    def find(self, path):
        """What is now at a path, None when nothing is."""
        node = self.root
        for name in path.split(b'/'):
            if name and node is not None:
                node = node.entries.get(name)
        return node

    def place(self, path):
        parent, name = os.path.split(path)
        return self.folder(parent), name

    def node(self, record):
        """The file that a record is about, wherever it was seen first."""
        node = self.nodes.get(record.key) or self.find(record.path)
        if node is None:
            folder, name = self.place(record.path)
            node = folder.initial[name] = folder.entries[name] = self.new_file(record)
        self.nodes[record.key] = node
        return node

    def new_file(self, record):
        node = Node(record.mode)
        self.nodes[record.key] = node
        self.files.append(node)
        return node

    def add_op(self, record, *op):
        node = self.node(record)
        node.dev = record.key[0]
        node.ops.append(op)

    def rename(self, record, *settings):
        for folder, name, node in settings:
            if node is None:
                folder.entries.pop(name, None)
            else:
                folder.entries[name] = node
        change = NameChange(record.key[0], *settings)
        self.changes.append(change)
        # The last setting is the new name.
        self.unsynced.setdefault(settings[-1][0], []).append(change)

    def play(self, records):
        for record in records:
            action = getattr(self, 'on_' + KINDS[record.kind], None)
            if action is not None:
                action(record)

    def on_open(self, record):
        nameless = record.argument & O_TMPFILE == O_TMPFILE
        if record.flags & FLAG_CREATED:
            node = self.new_file(record)
            if not nameless:
                self.rename(record, (*self.place(record.path), node))
        else:
            # The number may be that of a file long gone: the path says more.
            self.nodes[record.key] = self.find(record.path) or self.node(record)
            if record.argument & os.O_TRUNC:
                self.add_op(record, TRUNCATE, 0)

    def on_write(self, record):
        self.add_op(record, WRITE, record.offset, record.data)

    def on_truncate(self, record):
        self.add_op(record, TRUNCATE, record.offset)

    def on_allocate(self, record):
        if record.argument & ~(FALLOC_KEEP_SIZE | FALLOC_PUNCH_HOLE | FALLOC_ZERO_RANGE):
            raise ValueError(f'fallocate mode {record.argument} is not known')
        self.add_op(record, ALLOCATE, record.offset, record.length, record.argument)

    def on_fsync(self, record):
        if not stat.S_ISDIR(record.mode):
            node = self.node(record)
            node.synced = len(node.ops)
            return
        for change in self.unsynced.pop(self.find(record.path), ()):
            change.durable = True

    on_fdatasync = on_fsync

    def on_syncfs(self, record):
        for node in self.files:
            if node.dev == record.key[0]:
                node.synced = len(node.ops)
        for change in self.changes:
            if change.dev == record.key[0]:
                change.durable = True

    def on_link(self, record):
        if record.key in self.nodes:
            self.rename(record, (*self.place(record.other), self.nodes[record.key]))

    def on_rename(self, record):
        old, new = self.place(record.path), self.place(record.other)
        moved, replaced = old[0].entries.get(old[1]), new[0].entries.get(new[1])
        if moved is None:
            moved = self.nodes.get(record.key) or self.new_file(record)
        back = replaced if record.argument & RENAME_EXCHANGE else None
        self.rename(record, (*old, back), (*new, moved))

    def on_unlink(self, record):
        self.rename(record, (*self.place(record.path), None))

    def on_mkdir(self, record):
        if self.find(record.path) is self.home:
            return  # made by the recorded program: still taken to be there
        self.rename(record, (*self.place(record.path), Node(record.mode)))


class Crash:
    """Draws from a seed what of the rest survived, and writes the state down."""
    STYLES = ('none', 'all', 'first', 'any')

    def __init__(self, disk, seed):
        self.disk, self.rng = disk, random.Random(seed)
        self.written = {}  # Node -> its path, for hard links
        self.style = self.rng.choice(self.STYLES)
        self.lost_changes = 0
        self.trees = self.draw_names()

    def draw_names(self):
        """Folder -> its names after the crash, for folders whose names changed."""
        pending = [change for change in self.disk.changes if not change.durable]
        limit, share = self.rng.randint(0, len(pending)), self.rng.random()
        kept = {'none': [], 'all': pending, 'first': pending[:limit],
                'any': [change for change in pending if self.rng.random() < share]}[self.style]
        kept = set(map(id, kept))
        self.lost_changes = len(pending) - len(kept)
        trees = {}
        for change in self.disk.changes:
            if change.durable or id(change) in kept:
                for folder, name, node in change.settings:
                    trees.setdefault(folder, dict(folder.initial))[name] = node
        return trees

    def write_folder(self, folder, path):
        names = self.trees.get(folder, folder.initial)
        for name, node in sorted(names.items()):
            if node is not None:
                self.write_node(node, os.path.join(path, name))

    def write_node(self, node, path):
        if stat.S_ISDIR(node.mode):
            os.mkdir(path)
            self.write_folder(node, path)
            os.chmod(path, stat.S_IMODE(node.mode))
        elif node in self.written:
            os.link(self.written[node], path)
        elif stat.S_ISREG(node.mode):
            self.written[node] = path
            self.write_file(node, path)
        elif node.base is not None:
            shutil.copyfile(node.base, path, follow_symlinks=False)

    def write_file(self, node, path):
        with open(path, 'w+b', buffering=0) as stream:
            if node.base is not None:
                with open(node.base, 'rb') as source:
                    shutil.copyfileobj(source, stream)
            for op in node.ops[:node.synced]:
                apply(stream.fileno(), op)
            self.write_pending(stream.fileno(), node.ops[node.synced:])
            os.fchmod(stream.fileno(), stat.S_IMODE(node.mode))

    def write_pending(self, fd, pending):
        style = self.rng.choice(self.STYLES)
        limit = {'none': 0, 'first': self.rng.randint(0, len(pending))}.get(style, len(pending))
        share = self.rng.random()
        for op in pending[:limit]:
            if style != 'any':
                apply(fd, op)
            elif op[0] == WRITE:
                self.tear(fd, op, lambda: self.rng.random() < share)
            elif self.rng.random() < share:
                apply(fd, op)
        if style == 'first' and limit < len(pending) and pending[limit][0] == WRITE:
            left = iter(range(self.rng.randint(0, len(pending[limit][2]) // SECTOR + 1)))
            self.tear(fd, pending[limit], lambda: next(left, None) is not None)

    def tear(self, fd, op, keeps):
        """Keeps those sectors of a write for which keeps() is true, and perhaps the length without the bytes."""
        _, offset, data = op
        cuts = [0, *range(SECTOR - offset % SECTOR, len(data), SECTOR), len(data)]
        for start, end in zip(cuts, cuts[1:]):
            if keeps():
                pwrite(fd, data[start:end], offset + start)
        if self.rng.random() < 0.5 and os.fstat(fd).st_size < offset + len(data):
            os.ftruncate(fd, offset + len(data))


def pwrite(fd, data, offset):
    while data:
        count = os.pwrite(fd, data, offset)
        data, offset = data[count:], offset + count


def apply(fd, op):
    """Does what was done to a file."""
    if op[0] == WRITE:
        pwrite(fd, op[2], op[1])
    elif op[0] == TRUNCATE:
        os.ftruncate(fd, op[1])
    else:
        _, offset, length, mode = op
        size = os.fstat(fd).st_size
        if mode & (FALLOC_PUNCH_HOLE | FALLOC_ZERO_RANGE):
            pwrite(fd, bytes(max(0, min(offset + length, size) - offset)), offset)
        if not mode & FALLOC_KEEP_SIZE and size < offset + length:
            os.ftruncate(fd, offset + length)


def materialise(recording, out, prefix, crash, seed, base=None):
    """Makes the folder `out`: what may be left of `prefix` after a power loss at record `crash` (0: before the first).
    `base` is a copy of `prefix` from before the recording; without it, `prefix` was empty; its own name is taken to be
    durable. The same arguments give the
    same state. Returns a line that tells what was done."""
    disk = Disk(prefix, base)
    disk.play(recording.records[:crash])
    state = Crash(disk, f'{seed} {crash}')
    os.mkdir(out)
    state.write_folder(disk.home, os.fsencode(out))
    syncs = bisect.bisect_left(recording.syncs, crash)
    return (f'crash {crash} of {len(recording.records)} records after {syncs} syncs, seed {seed}: '
            f'{state.style}, {state.lost_changes} changes of names lost')


def make(arguments):
    recording = Recording.load(arguments.file)
    crash = arguments.crash
    if crash is None:
        sync = arguments.sync if arguments.sync is not None else len(recording.syncs)
        if not 0 <= sync <= len(recording.syncs):
            sys.exit(f'replay: there are {len(recording.syncs)} syncs')
        crash = random.Random(f'sync {arguments.seed}').randint(*recording.gap(sync))
    print(materialise(recording, arguments.out, arguments.prefix, crash, arguments.seed, arguments.base))


def list_records(arguments):
    for index, record in enumerate(Recording.load(arguments.file).records):
        print(f'{index:6} {record}')


def main():
    parser = argparse.ArgumentParser(description='The crash simulator.')
    verbs = parser.add_subparsers(required=True)
    verb = verbs.add_parser('list')
    verb.set_defaults(run=list_records)
    verb.add_argument('file')
    verb = verbs.add_parser('mark')
    verb.set_defaults(run=lambda arguments: mark(arguments.file, arguments.text))
    verb.add_argument('file')
    verb.add_argument('text')
    verb = verbs.add_parser('make')
    verb.set_defaults(run=make)
    verb.add_argument('file')
    verb.add_argument('--prefix', required=True)
    verb.add_argument('--out', required=True)
    verb.add_argument('--base')
    verb.add_argument('--seed', default='1')
    verb.add_argument('--crash', type=int)
    verb.add_argument('--sync', type=int)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == '__main__':
    main()
