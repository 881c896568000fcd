# SPDX-License-Identifier: GPL-3.0-or-later
"""The data of the benchmark, the same on every machine; what is fetched or slow to make is kept in the cache folder.

kernel   the tree of Debian's linux-source-6.1
million  a million files of 30 to 400 bytes of text-like content in 1,000 directories
image    an ext4 image of 4 GiB with a Debian system on it
small    a part of the kernel tree, for the row with 200 points

Rows work on a copy, because some change 1 % of the files. It stands in memory by default: a file system on a disk is
only as warm as the kernel keeps it, and four gigabytes of small files do not stay in every machine's page cache.
"""

import glob
import os
import random
import shutil
import subprocess

from measure import BenchError, say

KERNEL_PACKAGE = "linux-source-6.1"
KERNEL_VERSION = "6.1.192-2"
SUITE = "bookworm"
IMAGE_SIZE = 4 << 30
IMAGE_PACKAGES = "linux-image-amd64,build-essential,git,man-db,python3,rsync"  # what a small server has: about 1 GB
IMAGE_UUID = "6a1f0d2e-5b7c-4c8e-9d3f-0123456789ab"  # fixed, so that two images of one day differ little
FOLDERS = 1000
FILES_PER_FOLDER = 1000
FILE_MIN, FILE_MAX = 30, 400
SEED = 20241122
CHANGED_SHARE = 0.01
SMALL_PART = "fs"  # folder of the kernel tree that is the data set 'small'


def call(argv, cwd=None, log=None):
    """Run a program that prepares data; its failure is an error that names it."""
    result = subprocess.run(argv, cwd=cwd, stdin=subprocess.DEVNULL, stdout=log or subprocess.DEVNULL,
                            stderr=log or subprocess.PIPE, check=False)
    if result.returncode != 0:
        detail = (result.stderr or b"").decode(errors="replace").strip()
        raise BenchError(f"'{' '.join(argv)}' ended with {result.returncode}: {detail}")


def as_root(argv):
    return argv if os.geteuid() == 0 else ["sudo", "-n"] + argv


def _words(rng, n):
    """n invented words, short ones first as in any language."""
    onset = "b c d f g h k l m n p r s t v w br st tr pl sh ch".split()
    vowel = "a e i o u ai ea ou".split()
    words = set()
    while len(words) < n:
        syllables = rng.choice((1, 2, 2, 3))
        words.add("".join(rng.choice(onset) + rng.choice(vowel) for _ in range(syllables)))
    return sorted(words, key=lambda word: (len(word), word))


def _text(rng, words, weights, length):
    """At least `length` bytes of words whose frequency falls with their rank, in lines of twelve."""
    text = ""
    while len(text) < length:
        chosen = rng.choices(words, cum_weights=weights, k=length // 6)
        text += "\n".join(" ".join(chosen[i:i + 12]) for i in range(0, len(chosen), 12)) + "\n"
    return text.encode()


def make_million(path):
    rng = random.Random(SEED)
    words = _words(rng, 4000)
    weights, total = [], 0.0
    for rank in range(len(words)):
        total += 1.0 / (rank + 3)
        weights.append(total)
    for folder in range(FOLDERS):
        name = os.path.join(path, f"dir-{folder:03d}")
        os.mkdir(name)
        sizes = [rng.randint(FILE_MIN, FILE_MAX) for _ in range(FILES_PER_FOLDER)]
        text = _text(rng, words, weights, sum(sizes))
        fd, at = os.open(name, os.O_RDONLY | os.O_DIRECTORY), 0
        for number, size in enumerate(sizes):
            file = os.open(f"note-{number:03d}.txt", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=fd)
            os.write(file, text[at:at + size])
            os.close(file)
            at += size
        os.close(fd)


def fetch_kernel(cache, path):
    found = glob.glob(os.path.join(cache, KERNEL_PACKAGE + "_*.deb"))
    if not found:
        try:
            call(["apt-get", "-q", "download", f"{KERNEL_PACKAGE}={KERNEL_VERSION}"], cwd=cache)
        except BenchError:
            say(f"  version {KERNEL_VERSION} is not on the mirror; taking the newest")
            call(["apt-get", "-q", "download", KERNEL_PACKAGE], cwd=cache)
        found = glob.glob(os.path.join(cache, KERNEL_PACKAGE + "_*.deb"))
    if len(found) != 1:
        raise BenchError(f"'{cache}' must hold one package {KERNEL_PACKAGE}, not {len(found)}; remove the others")
    inner = f"./usr/src/{KERNEL_PACKAGE}.tar.xz"
    script = 'dpkg-deb --fsys-tarfile "$1" | tar -xOf - "$2" | tar -xJf - --strip-components=1 -C "$3"'
    call(["bash", "-o", "pipefail", "-c", script, "-", found[0], inner, path])


def make_image(cache, path):
    system = os.path.join(cache, "image-system.tmp")
    call(as_root(["rm", "-rf", "--one-file-system", system]))
    with open(os.path.join(cache, "debootstrap.log"), "wb") as log:
        call(as_root(["debootstrap", f"--include={IMAGE_PACKAGES}", SUITE, system]), log=log)
    call(as_root(["find", os.path.join(system, "var/cache/apt/archives"), "-name", "*.deb", "-delete"]))
    image = os.path.join(path, "disk.img")
    with open(image, "wb") as file:
        file.truncate(IMAGE_SIZE)
    call(as_root(["mke2fs", "-q", "-F", "-t", "ext4", "-U", IMAGE_UUID, "-E", f"hash_seed={IMAGE_UUID}",
                  "-d", system, image]))
    call(as_root(["rm", "-rf", "--one-file-system", system]))


class Data:
    """The originals in the cache folder, and the copies of them that rows read and change."""

    def __init__(self, cache, sources):
        self.cache = os.path.abspath(cache)
        self.sources = os.path.abspath(sources)  # folder of the copies
        self.copies = {}  # data set: path of its copy
        self.generation = {}  # data set: how often the copy was changed
        os.makedirs(self.cache, exist_ok=True)

    def original(self, name):
        """Path of the kernel tree or the image; it is made when it is not there or was not finished."""
        path, mark = os.path.join(self.cache, name), os.path.join(self.cache, name + ".complete")
        if os.path.exists(mark):
            return path
        say(f"preparing '{path}'")
        shutil.rmtree(path, ignore_errors=True)
        os.mkdir(path)
        if name == "kernel":
            fetch_kernel(self.cache, path)
        else:
            make_image(self.cache, path)
        with open(mark, "w", encoding="ascii") as file:
            file.write("complete\n")
        return path

    def kernel_version(self):
        found = glob.glob(os.path.join(self.cache, KERNEL_PACKAGE + "_*.deb"))
        return os.path.basename(found[0]).split("_")[1] if found else "unknown"

    def work(self, name):
        """Path of the copy of a data set that this invocation may change."""
        if name not in self.copies:
            copy = os.path.join(self.sources, name)
            shutil.rmtree(copy, ignore_errors=True)
            os.makedirs(self.sources, exist_ok=True)
            if name == "million":
                say(f"making '{copy}'")
                os.mkdir(copy)
                make_million(copy)
            else:
                original = os.path.join(self.original("kernel"), SMALL_PART) if name == "small" else self.original(name)
                say(f"copying '{original}'")
                call(["cp", "-a", "--sparse=always", original, copy])
            call(["sync", "-f", copy])
            self.copies[name] = copy
            self.generation[name] = 0
        return self.copies[name]

    def warm(self, name):
        """Read all of it, so that every contender finds it in the page cache."""
        call(["sh", "-c", 'tar -C "$1" -cSf - . | cat >/dev/null', "-", self.work(name)])

    def change(self, name):
        """Change 1 % of the files, others each time. Returns how many files and how many bytes these have."""
        root = self.work(name)
        self.generation[name] += 1
        rng = random.Random(f"{SEED}-{name}-{self.generation[name]}")
        files = sorted(os.path.join(folder, each) for folder, _, names in os.walk(root) for each in names
                       if not os.path.islink(os.path.join(folder, each)))
        chosen = rng.sample(files, round(len(files) * CHANGED_SHARE))
        total = 0
        for path in chosen:
            with open(path, "r+b") as file:
                content = file.read()
                at = rng.randint(0, len(content))
                file.seek(at)
                file.write(b"changed %016x\n" % rng.getrandbits(64) + content[at:])
                total += file.tell()
        call(["sync", "-f", root])
        return len(chosen), total

    def drop(self, name):
        path = self.copies.pop(name, None)
        if path:
            shutil.rmtree(path, ignore_errors=True)
