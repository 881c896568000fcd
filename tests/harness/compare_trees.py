#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""compare_trees.py A B: compares two trees by the eyes of find, getfattr, getfacl, lsattr, rsync, and by
the holes and bytes of each file. Prints what differs and fails when anything does. What cannot be the same twice is
left aside: inode numbers, ctimes and atimes, and how a file system lays out a file.

  --without ASPECT    (repeated) leaves an aspect out: find, attributes, acls, flags, bytes, rsync
  --top               compares the metadata of A and B themselves too
"""
import argparse
import collections
import hashlib
import os
import stat
import subprocess
import sys

# Longer paths are beyond tools that take names; find and the reading of bytes go down folder by folder.
LONGEST_NAME = 3800
# Tools are given so many names at a time.
BATCH = 400
# Letters of lsattr that tell how the file system keeps a file, not what its user wanted.
LAYOUT_FLAGS = b'eINVEhBZX'
BLOCK = 1 << 20

FIND_FORMAT = r'%p\0%y %m %U:%G %n %s %T@ %l\0'
# The size of a folder is the file system's own affair.
FIND_FOLDER_FORMAT = r'%p\0%y %m %U:%G %n %T@\0'
FIND_NODE_FORMAT = r'%p\0%y %m %U:%G %n %T@ %l\0'


def output(top, *command, codes=(0,), **more):
    done = subprocess.run(command, cwd=top, check=False, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=dict(os.environ, LC_ALL='C'), **more)
    if done.returncode not in codes:
        sys.exit(f'compare_trees: {command[0]} failed in {top}: {done.stderr[:2000]!r}')
    return done.stdout


def works(top, *command):
    return subprocess.run(command, cwd=top, check=False, stderr=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL).returncode == 0


def names_below(top):
    """[(name, type letter)], sorted."""
    fields = output(top, 'find', '.', '-mindepth', '1', '-printf', r'%p\0%y\0').split(b'\0')[:-1]
    return sorted(zip(fields[::2], fields[1::2]))


def by_find(top, _names, whole):
    depth = [] if whole else ['-mindepth', '1']
    found = output(top, 'find', '.', *depth, '(', '-type', 'd', '-printf', FIND_FOLDER_FORMAT, ')', '-o', '(', '-type',
                   'f', '-printf', FIND_FORMAT, ')', '-o', '-printf', FIND_NODE_FORMAT).split(b'\0')[:-1]
    seen = dict(zip(found[::2], found[1::2]))
    for name in seen:
        if seen[name][:1] in b'cb' and len(name) < LONGEST_NAME:
            seen[name] += b' %d' % os.lstat(os.path.join(os.fsencode(top), name)).st_rdev
    return seen


def in_batches(top, names, command, codes=(0,)):
    """Runs `command` over `names`, some at a time: {first name of a batch: output}."""
    seen = {}
    for start in range(0, len(names), BATCH):
        batch = names[start:start + BATCH]
        seen[batch[0]] = output(top, *command, *batch, codes=codes)
    return seen


def short(names, types, whole):
    chosen = [name for name, kind in names if kind in types and len(name) < LONGEST_NAME]
    return ([b'.'] if whole else []) + chosen


def records(seen, separator):
    """Cuts outputs of batches into one record a name."""
    cut = {}
    for text in seen.values():
        for record in text.split(separator):
            if record.strip():
                cut[record.split(b'\n', 1)[0]] = record
    return cut


def by_attributes(top, names, whole):
    seen = in_batches(top, short(names, b'fdlpsbc', whole), ['getfattr', '-h', '-d', '-m', '-', '-e', 'hex', '--'])
    cut = records(seen, b'# file: ')
    return {name: b'\n'.join(sorted(record.split(b'\n'))) for name, record in cut.items()}


def by_acls(top, names, whole):
    return records(in_batches(top, short(names, b'fdpsbc', whole), ['getfacl', '-n', '-p', '-E', '--']), b'# file: ')


def by_flags(top, names, whole):
    chosen = short(names, b'fd', whole)
    options = next((options for options in ('-pd', '-d') if works(top, 'lsattr', options, '.')), None)
    if options is None:  # the file system knows no flags
        return {}
    seen = {}
    for start in range(0, len(chosen), BATCH):
        batch = chosen[start:start + BATCH]
        text = output(top, 'lsattr', options, '--', *batch)
        seen.update(flags_of(text, batch))
    return seen


def flags_of(text, batch):
    seen = {}
    for name in batch:
        end = text.index(b' ' + name + b'\n')
        fields = text[:end].split()
        text = text[end + len(name) + 2:]
        fields[-1] = bytes(letter for letter in fields[-1] if letter not in LAYOUT_FLAGS and letter != ord('-'))
        seen[name] = b' '.join(fields)
    return seen


def map_of(descriptor):
    """[(offset, end)] of the data of a file."""
    runs, at, size = [], 0, os.fstat(descriptor).st_size
    while at < size:
        try:
            start = os.lseek(descriptor, at, os.SEEK_DATA)
        except OSError:
            break
        at = os.lseek(descriptor, start, os.SEEK_HOLE)
        runs.append((start, at))
    return runs


def by_bytes(top, _names, _whole):
    """What each regular file holds and where its holes are, and which names are one file; goes down by descriptors."""
    seen, links = {}, collections.defaultdict(list)

    def visit(folder, path):
        with os.scandir(folder) as entries:
            names = sorted(os.fsencode(entry.name) for entry in entries)
        for name in names:
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            below = path + b'/' + name
            if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
                links[status.st_ino].append(below)
            if stat.S_ISDIR(status.st_mode):
                child = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
                visit(child, below)
                os.close(child)
            elif stat.S_ISREG(status.st_mode):
                descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder)
                digest = hashlib.sha256()
                while block := os.read(descriptor, BLOCK):
                    digest.update(block)
                seen[below] = f'{digest.hexdigest()} {map_of(descriptor)}'.encode()
                os.close(descriptor)
            elif stat.S_ISLNK(status.st_mode):
                seen[below] = os.fsencode(os.readlink(name, dir_fd=folder))

    top_descriptor = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    visit(top_descriptor, b'.')
    os.close(top_descriptor)
    for group in links.values():
        seen[b'links of ' + min(group)] = b' = '.join(sorted(group))
    return seen


ASPECTS = {'find': by_find, 'attributes': by_attributes, 'acls': by_acls, 'flags': by_flags, 'bytes': by_bytes}


def show(difference):
    return difference.decode('utf-8', 'backslashreplace').replace('\n', '\\n')[:300]


def differences(aspect, first, second):
    count = 0
    for name in sorted(first.keys() | second.keys()):
        if first.get(name) != second.get(name):
            count += 1
            if count <= 20:
                print(f'{aspect}: {show(name)}\n  A: {show(first.get(name, b"(not there)"))}\n'
                      f'  B: {show(second.get(name, b"(not there)"))}')
    if count > 20:
        print(f'{aspect}: and {count - 20} more')
    return count


def by_rsync(first, second, names):
    too_deep = sorted({name.split(b'/')[1] for name, _ in names if len(name) >= LONGEST_NAME})
    leave_out = [b'--exclude=/' + name for name in too_deep]
    options = ['-n', '-i', '-a', '-H', '-A', '-X', '-c', '--delete', '--numeric-ids', '--modify-window=-1']
    said = output('/', 'rsync', *options, *leave_out, first + '/', second + '/')
    if said:
        print('rsync: ' + show(said))
    return len(said.splitlines())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('first')
    parser.add_argument('second')
    parser.add_argument('--without', action='append', default=[], choices=[*ASPECTS, 'rsync'])
    parser.add_argument('--top', action='store_true')
    chosen = parser.parse_args()
    first, second = os.path.abspath(chosen.first), os.path.abspath(chosen.second)
    names = names_below(first)
    other_names = names_below(second)
    if not names:
        sys.exit(f'compare_trees: {first} is empty: nothing was compared')
    found = differences('names', dict(names), dict(other_names))
    if found:
        return 1
    for aspect, look in ASPECTS.items():
        if aspect not in chosen.without:
            found += differences(aspect, look(first, names, chosen.top), look(second, names, chosen.top))
    if 'rsync' not in chosen.without:
        found += by_rsync(first, second, names)
    return 1 if found else 0


if __name__ == '__main__':
    sys.exit(main())
