# SPDX-License-Identifier: GPL-3.0-or-later
"""Run programs and measure what they cost.

Memory is anonymous memory: the sum of RssAnon of /proc/PID/status over the process and all its descendants, sampled
every SAMPLE_SECONDS; the peak is the largest sum seen. Pages of files (the program itself, a mapped cache) do not
count. `rss` is the kernel's own peak of the resident set of the largest single process, files included: an upper bound
that no sampling can miss. `read_bytes` is what the process asked of read and pread (rchar), descendants not included.
`others` is the processor time that everything else on the machine took meanwhile (other programs, this rig, and what
the hypervisor took away): when it is not small, wall times are worth little, and `cpu` is the better figure.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass

SAMPLE_SECONDS = 0.02
CHILDREN_EVERY = 5  # look for new descendants at every n-th sample


class BenchError(Exception):
    """Something that the person at the terminal must know; ends the row or the run."""


@dataclass
class Step:
    """One program to run."""
    argv: list
    cwd: str = None
    ok: tuple = (0,)


@dataclass
class Cost:
    """What one or more programs cost; costs of steps that ran one after the other can be added."""
    wall: float = 0.0  # seconds; a row may put another clock's time here
    elapsed: float = 0.0  # seconds from start to end
    cpu: float = 0.0  # seconds, user and system
    anon: int = 0  # bytes, peak
    rss: int = 0  # bytes, peak
    read_bytes: int = 0
    others: float = 0.0  # seconds of processor time
    warnings: int = 0  # programs that ended with another accepted code than 0

    def __add__(self, other):
        return Cost(self.wall + other.wall, self.elapsed + other.elapsed, self.cpu + other.cpu,
                    max(self.anon, other.anon), max(self.rss, other.rss), self.read_bytes + other.read_bytes,
                    self.others + other.others, self.warnings + other.warnings)

    def as_dict(self):
        return asdict(self)


def _read(path):
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:  # the process ended
        return ""


def _descendants(pid):
    found = [pid]
    for each in found:
        try:
            threads = os.listdir(f"/proc/{each}/task")
        except OSError:
            continue
        for thread in threads:
            found += [int(child) for child in _read(f"/proc/{each}/task/{thread}/children").split()]
    return found


def anonymous_bytes(pid):
    """RssAnon of one process, 0 when it is gone."""
    for line in _read(f"/proc/{pid}/status").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


class Sampler(threading.Thread):
    """Watches the memory of a process and its descendants until stopped."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid = pid
        self.peak = 0
        self.stopped = threading.Event()

    def run(self):
        family, count = [self.pid], 0
        while True:
            if count % CHILDREN_EVERY == 0:
                family = _descendants(self.pid)
            count += 1
            self.peak = max(self.peak, sum(anonymous_bytes(pid) for pid in family))
            if self.stopped.wait(SAMPLE_SECONDS):
                return

    def stop(self):
        self.stopped.set()
        self.join()
        return self.peak


def _busy():
    """Seconds of processor time that the whole machine has spent, what the hypervisor took away included."""
    user, nice, system, _, _, irq, softirq, steal = map(int, _read("/proc/stat").split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _rchar(pid):
    for line in _read(f"/proc/{pid}/io").splitlines():
        if line.startswith("rchar:"):
            return int(line.split()[1])
    return 0


def _run_step(step, env, log):
    log.write(f"\n$ {' '.join(step.argv)}\n".encode())
    log.flush()
    busy, start = _busy(), time.monotonic()
    try:
        process = subprocess.Popen(step.argv, cwd=step.cwd, env=env, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=log, start_new_session=True)
    except OSError as error:
        raise BenchError(f"cannot start '{step.argv[0]}': {error.strerror}") from error
    sampler = Sampler(process.pid)
    sampler.start()
    try:
        output = process.stdout.read()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    except BaseException:  # the person at the terminal stops the bench: leave nothing running
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    wall, busy = time.monotonic() - start, _busy() - busy
    read_bytes = _rchar(process.pid)  # of the zombie: complete, and gone after the next line
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close()
    cpu = usage.ru_utime + usage.ru_stime
    cost = Cost(wall, wall, cpu, sampler.stop(), usage.ru_maxrss * 1024, read_bytes, max(0.0, busy - cpu),
                int(process.returncode != 0))
    log.write(output[-4096:])
    log.flush()
    if process.returncode not in step.ok:
        raise BenchError(f"'{' '.join(step.argv)}' ended with {process.returncode}; see '{log.name}'")
    return cost, output


def run(steps, env, log):
    """Run steps one after the other. Returns their Cost and the output of the last one."""
    total, output = Cost(), b""
    for step in steps:
        cost, output = _run_step(step, env, log)
        total += cost
    return total, output


def run_json(steps, env, log):
    """Like run, for a last program that prints one JSON object."""
    cost, output = run(steps, env, log)
    try:
        return cost, json.loads(output)
    except ValueError as error:
        raise BenchError(f"'{steps[-1].argv[0]}' printed no JSON object: {error}") from error


def tree_bytes(path, without=()):
    """Sum of the sizes of the regular files below path, folders named in `without` (at the top) left out."""
    total = 0
    for folder, folders, files in os.walk(path):
        if folder == path:
            folders[:] = [name for name in folders if name not in without]
        total += sum(os.lstat(os.path.join(folder, name)).st_size for name in files)
    return total


def say(text):
    print(text, file=sys.stderr, flush=True)
