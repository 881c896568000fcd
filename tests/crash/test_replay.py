#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test of the crash simulator: test_replay.py PATH-OF-SAMPLE

A simulator is worth something when it lets a careful program pass and catches each careless one: the sample program is
run as both."""
import os
import pathlib
import stat
import subprocess
import sys
import tempfile
import unittest

import replay
from replay import Record, Recording

SAMPLE = sys.argv.pop(1) if len(sys.argv) > 1 and not sys.argv[1].startswith('-') else None
FILE, FOLDER = stat.S_IFREG | 0o600, stat.S_IFDIR | 0o700
STATES = 150


class Ground(unittest.TestCase):
    def setUp(self):
        # In memory: many small files, and nobody needs them after a real power loss.
        holder = tempfile.TemporaryDirectory(dir='/dev/shm' if os.access('/dev/shm', os.W_OK) else None)
        self.addCleanup(holder.cleanup)
        self.top = pathlib.Path(holder.name).resolve()
        self.count = 0

    def out(self):
        self.count += 1
        return self.top / f'out{self.count}'


class Story:
    """Records written by hand: files are named by number, paths are below /store."""

    def __init__(self):
        self.records = []

    def add(self, kind, path='', file=1, **more):
        other = more.pop('other', None)
        self.records.append(Record(kind, os.fsencode('/store' + path), os.fsencode('/store' + other) if other else b'',
                                   key=(7, file), **{'mode': FILE, **more}))
        return self

    def create(self, path, file):
        return self.add(replay.OPEN, path, file, flags=replay.FLAG_CREATED, argument=os.O_CREAT)

    def write(self, file, offset, data):
        return self.add(replay.WRITE, '', file, offset=offset, length=len(data), data=data)

    def sync(self, file):
        return self.add(replay.FSYNC, '', file)

    def sync_folder(self, path=''):
        return self.add(replay.FSYNC, path, 99, mode=FOLDER)


class ModelTest(Ground):
    def states(self, story, base=None, seeds=200):
        """The set of states that come up over many seeds, each a tuple of (path, content) pairs; folders are None."""
        found = set()
        recording = Recording(story.records)
        for seed in range(seeds):
            out = self.out()
            replay.materialise(recording, out, '/store', len(story.records), seed, base)
            found.add(tuple((str(path.relative_to(out)), path.read_bytes() if path.is_file() else None)
                            for path in sorted(out.rglob('*'))))
        return found

    def test_unsynced_name_and_bytes(self):
        story = Story().create('/a', 1).write(1, 0, b'x' * 600)
        whole, torn, hole, empty = b'x' * 600, b'x' * 512, bytes(512) + b'x' * 88, b''
        self.assertEqual(self.states(story), {(), *((('a', content),) for content in
                                                   (whole, torn, torn + bytes(88), hole, empty, bytes(600)))})

    def test_sync_of_file_covers_bytes_not_name(self):
        story = Story().create('/a', 1).write(1, 0, b'x' * 600).sync(1)
        self.assertEqual(self.states(story), {(), (('a', b'x' * 600),)})

    def test_sync_of_folder_covers_name_not_bytes(self):
        story = Story().create('/a', 1).write(1, 0, b'xy').sync_folder()
        self.assertEqual(self.states(story), {(('a', b'xy'),), (('a', b''),), (('a', bytes(2)),)})

    def test_both_synced(self):
        story = Story().create('/a', 1).write(1, 0, b'xy').sync(1).sync_folder()
        self.assertEqual(self.states(story), {(('a', b'xy'),)})

    def test_syncfs_covers_its_file_system(self):
        story = Story().create('/a', 1).write(1, 0, b'xy').add(replay.SYNCFS, '', 99)
        self.assertEqual(self.states(story), {(('a', b'xy'),)})
        story = Story().create('/a', 1).write(1, 0, b'xy').add(replay.SYNCFS, '', 99)
        story.records[-1].key = (8, 99)
        self.assertIn((), self.states(story))

    def test_bytes_after_the_sync_are_reordered(self):
        story = Story().create('/a', 1).write(1, 0, b'1' * 1024).sync(1).sync_folder()
        story.write(1, 0, b'2' * 512).write(1, 512, b'3' * 512)
        self.assertEqual(self.states(story), {(('a', first * 512 + second * 512),)
                                              for first in (b'1', b'2') for second in (b'1', b'3')})

    def test_sectors_are_those_of_the_disk(self):
        story = Story().create('/a', 1).write(1, 0, b'1' * 1024).sync(1).sync_folder().write(1, 500, b'2' * 24)
        old, new = b'1' * 12, b'2' * 12
        self.assertEqual(self.states(story), {(('a', b'1' * 500 + first + second + b'1' * 500),)
                                              for first in (old, new) for second in (old, new)})

    def test_rename_is_atomic(self):
        story = Story().create('/a', 1).write(1, 0, b'x').sync(1).create('/b', 2).sync_folder()
        story.add(replay.RENAME, '/a', 1, other='/b')
        self.assertEqual(self.states(story), {(('a', b'x'), ('b', b'')), (('b', b'x'),)})
        story.sync_folder()
        self.assertEqual(self.states(story), {(('b', b'x'),)})

    def test_rename_is_durable_with_its_new_folder(self):
        story = Story().add(replay.MKDIR, '/d', 50, mode=FOLDER).create('/a', 1).sync_folder()
        story.add(replay.RENAME, '/a', 1, other='/d/a').sync_folder()
        self.assertEqual(self.states(story), {(('a', b''), ('d', None)), (('d', None), ('d/a', b''))})
        story.sync_folder('/d')
        self.assertEqual(self.states(story), {(('d', None), ('d/a', b''))})

    def test_exchange(self):
        story = Story().create('/a', 1).write(1, 0, b'1').sync(1).create('/b', 2).write(2, 0, b'2').sync(2)
        story.sync_folder().add(replay.RENAME, '/a', 1, other='/b', argument=replay.RENAME_EXCHANGE).sync_folder()
        self.assertEqual(self.states(story), {(('a', b'2'), ('b', b'1'))})

    def test_changes_of_names_are_reordered(self):
        story = Story().create('/a', 1).create('/b', 2)
        self.assertEqual(self.states(story), {(), (('a', b''),), (('b', b''),), (('a', b''), ('b', b''))})

    def test_lost_folder_takes_its_files(self):
        story = Story().add(replay.MKDIR, '/d', 50, mode=FOLDER).create('/d/a', 1).sync(1).sync_folder('/d')
        self.assertEqual(self.states(story), {(), (('d', None), ('d/a', b''))})

    def test_nameless_file(self):
        story = Story().add(replay.OPEN, '/#5 (deleted)', 1, flags=replay.FLAG_CREATED, argument=os.O_TMPFILE)
        story.write(1, 0, b'x').sync(1).add(replay.LINK, '', 1, other='/a')
        self.assertEqual(self.states(story), {(), (('a', b'x'),)})

    def test_unlink(self):
        story = Story().create('/a', 1).sync_folder().add(replay.UNLINK, '/a', 1)
        self.assertEqual(self.states(story), {(), (('a', b''),)})
        story.sync_folder().create('/a', 1).write(1, 0, b'new').sync(1).sync_folder()
        self.assertEqual(self.states(story), {(('a', b'new'),)})

    def test_truncate_and_allocate(self):
        story = Story().create('/a', 1).write(1, 0, b'12345678').add(replay.TRUNCATE, '', 1, offset=6)
        story.add(replay.ALLOCATE, '', 1, offset=1, length=2,
                  argument=replay.FALLOC_PUNCH_HOLE | replay.FALLOC_KEEP_SIZE)
        story.add(replay.ALLOCATE, '', 1, offset=7, length=1).add(replay.ALLOCATE, '', 1, offset=20, length=1,
                                                                  argument=replay.FALLOC_KEEP_SIZE)
        story.sync(1).sync_folder()
        self.assertEqual(self.states(story, seeds=20), {(('a', b'1\0\x00456\0\0'),)})
        story.add(replay.TRUNCATE, '', 1, offset=0)
        self.assertEqual(self.states(story), {(('a', b'1\0\x00456\0\0'),), (('a', b''),)})
        story.add(replay.ALLOCATE, '', 1, offset=0, length=1, argument=8)
        with self.assertRaises(ValueError):
            self.states(story, seeds=1)

    def test_base(self):
        base = self.top / 'base'
        (base / 'd').mkdir(parents=True)
        (base / 'd' / 'a').write_bytes(b'old')
        (base / 'also').hardlink_to(base / 'd' / 'a')
        (base / 'link').symlink_to('d/a')
        story = Story().add(replay.OPEN, '/d/a', 1, argument=os.O_WRONLY | os.O_TRUNC).write(1, 0, b'new').sync(1)
        out = self.out()
        replay.materialise(Recording(story.records), out, '/store', 3, 1, base)
        self.assertEqual((out / 'also').read_bytes(), b'new')
        self.assertTrue((out / 'also').samefile(out / 'd' / 'a'))
        self.assertEqual(os.readlink(out / 'link'), 'd/a')
        self.assertEqual((base / 'also').read_bytes(), b'old')
        out = self.out()
        replay.materialise(Recording(story.records), out, '/store', 0, 1, base)
        self.assertEqual((out / 'd' / 'a').read_bytes(), b'old')

    def test_files_that_were_there_before(self):
        story = Story().add(replay.OPEN, '/d/a', 1, argument=os.O_WRONLY).write(1, 0, b'x').sync(1)
        story.add(replay.RENAME, '/e', 2, other='/f').sync_folder().sync_folder('/gone (deleted)')
        self.assertEqual(self.states(story), {(('d', None), ('d/a', b'x'), ('f', b''))})

    def test_number_of_a_file_comes_again(self):
        story = Story().create('/a', 1).write(1, 0, b'a').sync(1).add(replay.UNLINK, '/a', 1)
        story.create('/b', 1).write(1, 0, b'b').sync(1).sync_folder()
        self.assertEqual(self.states(story), {(('b', b'b'),)})

    def test_same_seed_same_state(self):
        story = Story().create('/a', 1).write(1, 0, os.urandom(20000)).create('/b', 2).write(2, 0, b'b' * 9999)
        for seed in range(20):
            found = []
            for _ in range(2):
                out = self.out()
                line = replay.materialise(Recording(story.records), out, '/store', 4, seed)
                found.append([line] + [(path.name, path.read_bytes()) for path in sorted(out.iterdir())])
            self.assertEqual(*found)


class FileTest(Ground):
    def test_torn_tail_is_ignored(self):
        story = Story().create('/a', 1).write(1, 3, b'xyz')
        whole = b''.join(record.pack() for record in story.records)
        path = self.top / 'record'
        for length in range(len(whole) + 1):
            path.write_bytes(whole[:length])
            records = Recording.load(path).records
            self.assertEqual(len(records), 2 if length == len(whole) else
                             1 if length >= len(story.records[0].pack()) else 0)
        self.assertEqual((records[1].kind, records[1].key, records[1].offset, bytes(records[1].data)),
                         (replay.WRITE, (7, 1), 3, b'xyz'))
        path.write_bytes(whole + b'x' * 100)
        with self.assertRaises(ValueError):
            Recording.load(path)

    def test_marks_and_gaps(self):
        path = self.top / 'record'
        tool = pathlib.Path(replay.__file__)
        path.write_bytes(b''.join(record.pack() for record in Story().create('/a', 1).sync(1).records))
        subprocess.run([sys.executable, tool, 'mark', path, 'first done'], check=True)
        with open(path, 'ab') as stream:
            stream.write(b''.join(record.pack() for record in Story().write(1, 0, b'x').sync_folder().records))
        recording = Recording.load(path)
        self.assertEqual(recording.syncs, [1, 4])
        self.assertEqual([recording.gap(k) for k in range(3)], [(0, 1), (2, 4), (5, 5)])
        self.assertEqual(recording.marked(2), [])
        self.assertEqual(recording.marked(3), ['first done'])
        plan = recording.plan(300, 1)
        self.assertEqual(plan, recording.plan(300, 1))
        self.assertEqual(set(plan), set(range(6)))
        listed = subprocess.run([sys.executable, tool, 'list', path], check=True, capture_output=True, text=True)
        self.assertIn('write     /store 0+1', listed.stdout)
        self.assertIn('open      /store/a (made)', listed.stdout)
        out = self.out()
        made = subprocess.run([sys.executable, tool, 'make', path, '--prefix', '/store', '--out', out, '--sync', '2'],
                              check=True, capture_output=True, text=True)
        self.assertIn('crash 5 of 5 records after 2 syncs', made.stdout)
        self.assertTrue((out / 'a').exists())
        bad = subprocess.run([sys.executable, tool, 'make', path, '--prefix', '/store', '--out', out, '--sync', '3'],
                             check=False, capture_output=True, text=True)
        self.assertIn('there are 2 syncs', bad.stderr)


class SampleTest(Ground):
    """Each rule of the sample's store, looked at in many crash states of a real recording."""

    def record(self, *flaw, runs=1):
        record = self.top / 'record'
        for _ in range(runs):
            subprocess.run([SAMPLE, self.top / 'store', '12', *flaw], check=True,
                           env={**os.environ, 'HOLDFAST_RECORD': str(record)})
        return Recording.load(record)

    def clean(self):
        subprocess.run(['rm', '-rf', self.top / 'store', self.top / 'acknowledged', self.top / 'record'], check=True)

    def acknowledged(self, recording, crash):
        lines = b''.join(bytes(record.data) for record in recording.records[:crash]
                         if record.kind == replay.WRITE and record.path == os.fsencode(self.top / 'acknowledged'))
        return [int(line) for line in lines.split()]

    def check(self, recording, crash, seed):
        """The faults of one crash state: 'torn' objects, 'lost' acknowledged ones."""
        out = self.out()
        replay.materialise(recording, out, self.top / 'store', crash, seed)
        faults = set()
        objects = {path.name: path.read_bytes() for path in out.iterdir() if path.name != 'temporary'}
        for name, content in objects.items():
            if content != bytes([int(name)]) * (1000 + 37 * int(name)):
                faults.add('torn')
        if any(str(number) not in objects for number in self.acknowledged(recording, crash)):
            faults.add('lost')
        return faults

    def faults(self, recording):
        found = set()
        for seed, crash in enumerate(recording.plan(STATES, 1)):
            found |= self.check(recording, crash, seed)
        return found

    def test_careful_program_passes(self):
        recording = self.record()
        # An open, two writes, a name, a line and a close of each; and the folder, the list and its close.
        self.assertEqual(len(recording.records), 12 * 8 + 3)
        self.assertEqual(len(recording.syncs), 24)
        self.assertEqual(self.faults(recording), set())

    def test_careless_programs_are_caught(self):
        for flaw, fault in (('no-file-sync', {'torn'}), ('no-folder-sync', {'lost'}), ('no-write-order', {'torn'})):
            self.clean()
            self.assertEqual(self.faults(self.record(flaw)), fault, flaw)

    def test_kept_is_what_is_there(self):
        recording = self.record()
        for seed in range(30):
            out = self.out()
            replay.materialise(recording, out, self.top / 'store', len(recording.records), seed)
            self.assertEqual({path.name: path.read_bytes() for path in out.iterdir()},
                             {path.name: path.read_bytes() for path in (self.top / 'store').iterdir()})

    def test_killed_program(self):
        """The recording of a program that was killed can be replayed up to its last call."""
        for nth in range(1, 60, 7):
            self.clean()
            killed = subprocess.run([SAMPLE, self.top / 'store', '12'], check=False,
                                    env={**os.environ, 'HOLDFAST_RECORD': str(self.top / 'record'),
                                         'HOLDFAST_KILL': str(nth)})
            self.assertEqual(killed.returncode, -9)
            recording = Recording.load(self.top / 'record')
            self.assertLess(len(recording.records), nth)
            for seed in range(10):
                self.assertEqual(self.check(recording, len(recording.records), seed), set())


if __name__ == '__main__':
    unittest.main()
