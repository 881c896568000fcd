# SPDX-License-Identifier: GPL-3.0-or-later
"""The contenders: how each backup program is told to do the same work.

A tool has a home folder in memory per data set, which holds its repository, its cache and its state, so that it can be
saved, put back and removed as a whole. Every method returns the Steps to run; what is not timed (init) is named so.
All repositories are encrypted, and compressed with zstd 3 or the nearest setting that the tool has.
"""

import os
import shutil
import subprocess

from measure import Step

PASSWORD = "correct horse battery staple"
WARNINGS = 3  # exit code of Holdfast and restic for a backup that is complete but for named files


def version_of(argv):
    try:
        result = subprocess.run(argv, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return (result.stdout or result.stderr).strip().split("\n")[0] if result.returncode == 0 else None


class Tool:
    name = None
    state_folders = ()  # folders of the repository that are protection, not content

    def __init__(self, home):
        self.home = home
        self.generation = None  # of the data, at the newest backup
        self.points = 0
        self.added = []  # bytes that each backup added

    @property
    def repo(self):
        return os.path.join(self.home, "repo")

    @property
    def cache(self):
        return os.path.join(self.home, "cache")

    def env(self):
        env = {key: os.environ[key] for key in ("PATH", "LANG", "TMPDIR") if key in os.environ}
        env.update(HOME=self.home, XDG_CACHE_HOME=self.cache, XDG_STATE_HOME=os.path.join(self.home, "state"))
        return env

    def clear(self):
        shutil.rmtree(self.home, ignore_errors=True)
        os.makedirs(self.home)
        self.generation, self.points, self.added = None, 0, []

    def save(self):
        """Keep the state of the home folder, for put_back."""
        shutil.rmtree(self.home + ".saved", ignore_errors=True)
        shutil.copytree(self.home, self.home + ".saved", symlinks=True)

    def put_back(self):
        shutil.rmtree(self.home)
        shutil.copytree(self.home + ".saved", self.home, symlinks=True)

    def remove(self):
        shutil.rmtree(self.home, ignore_errors=True)
        shutil.rmtree(self.home + ".saved", ignore_errors=True)


class Restic(Tool):
    name = "restic"

    @staticmethod
    def version(_):
        return version_of(["restic", "version"])

    def env(self):
        return super().env() | {"RESTIC_REPOSITORY": self.repo, "RESTIC_PASSWORD": PASSWORD,
                                "RESTIC_CACHE_DIR": self.cache}

    def init(self):
        return [Step(["restic", "-q", "init", "--repository-version", "2"])]

    def backup(self, source, _disk):
        return [Step(["restic", "-q", "backup", "--compression", "auto", source])]

    def restore(self, _source, target, _disk):
        return [Step(["restic", "-q", "restore", "latest", "--target", target])]

    def restored_path(self, source, target):
        return target + source

    def verify(self):
        return [Step(["restic", "-q", "check", "--read-data"])]

    def keep_last(self, n):
        return [Step(["restic", "-q", "forget", "--keep-last", str(n), "--prune"])]

    def one_file(self, source, inner):
        return [Step(["restic", "-q", "dump", "latest", os.path.join(source, inner)])]

    def mount(self, target):
        return ["restic", "-q", "mount", target]


class Borg(Tool):
    name = "borg"

    @staticmethod
    def version(_):
        return version_of(["borg", "--version"])

    def env(self):
        return super().env() | {"BORG_REPO": self.repo, "BORG_PASSPHRASE": PASSWORD, "BORG_BASE_DIR": self.home}

    def init(self):
        return [Step(["borg", "init", "-e", "repokey-blake2"])]

    def backup(self, source, _disk):
        return [Step(["borg", "create", "--compression", "zstd,3", f"::p{self.points}", source])]

    def restore(self, _source, target, disk):
        sparse = ["--sparse"] if disk else []
        return [Step(["borg", "extract", *sparse, f"::p{self.points - 1}"], cwd=target)]

    def restored_path(self, source, target):
        return target + source

    def verify(self):
        return [Step(["borg", "check", "--verify-data"])]

    def keep_last(self, n):
        return [Step(["borg", "prune", "--keep-last", str(n)]), Step(["borg", "compact"])]

    def one_file(self, source, inner):
        return [Step(["borg", "extract", "--stdout", f"::p{self.points - 1}", os.path.join(source, inner).lstrip("/")])]

    mount = None  # needs a Python binding of FUSE that Debian only suggests


class Holdfast(Tool):
    name = "holdfast"
    state_folders = ("parity", "mirror")
    NAME = "bench"

    def __init__(self, home, program):
        super().__init__(home)
        self.program = program
        self.use_key_file = False

    @staticmethod
    def version(program):
        return version_of([program, "--version"])

    @property
    def key_file(self):
        return os.path.join(self.home, "key-file")

    def env(self):
        key = {"HOLDFAST_KEY_FILE": self.key_file} if self.use_key_file else {"HOLDFAST_PASSWORD": PASSWORD}
        return super().env() | {"HOLDFAST_REPOSITORY": self.repo} | key

    def _verb(self, verb, *arguments, ok=(0,)):
        return Step([self.program, verb, *arguments], ok=ok)

    def init(self):
        return [self._verb("init", "--encryption", "password", "--compression", "zstd:3")]

    def add_key_file(self):
        """Not timed: a second way to open the repository, without the cost of a password."""
        return [self._verb("key", "add", "--new-key-file", self.key_file)]

    def backup(self, source, disk):
        return [self._verb("backup", "-n", self.NAME, *(["--disk"] if disk else []), source, ok=(0, WARNINGS))]

    def restore(self, source, target, disk):
        if disk:
            return [self._verb("restore", self.NAME, "--disk-to", self.restored_path(source, target))]
        return [self._verb("restore", self.NAME, "--to", target)]

    def restored_path(self, source, target):
        return os.path.join(target, os.path.basename(source))

    def verify(self):
        return [self._verb("verify", "--content")]

    def keep_last(self, n):
        """Twice prune: the first run marks, and the space is back when the second has swept."""
        return [self._verb("forget", "--keep-last", str(n), "-n", self.NAME), self._verb("prune"), self._verb("prune")]

    def one_file(self, source, inner):
        return [self._verb("cat", self.NAME, os.path.join(source, inner))]

    def mount(self, target):
        return [self.program, "mount", self.NAME, target]
