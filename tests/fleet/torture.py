#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults while a whole fleet is at work, chosen by a seed. Each round changes the sources, starts a backup of two hosts
(retention is part of it), often a copy or a restore beside it, and lets faults fall on them: any process killed or
stopped, cables cut in one or both directions, connections that are dead without anybody being told, a full disk, a
server that restarts, a host that is away, a host that is enrolled anew, a clock that jumps, a database that restarts.
Then all is made whole, and it is looked whether

 - every session ends by itself, and the next run succeeds,
 - what the next run sends is at most what is new,
 - the scripts after a task ran wherever those before it did, and no file system stays frozen,
 - points that were listed are listed until retention takes them, and come back byte for byte (all of them at the end),
 - no session of a repository outlives its holder by more than 60 s,
 - at the end, whatever is stored passes verification.

Between the rounds there are trials (trials.py), each of one promise.

As root each host has a network namespace and a cable of its own, and the repository a small disk; else faults that need
these are passed over. The agents take checkpoints every second (a debug build listens to that).

usage: torture.py BUILD [--seed S] [--count FAULTS] [--seconds S] [--postgresql] [--long-cut S] [--large MIB] [--trials NAMES]
       [--keep]
"""
import argparse
import collections
import contextlib
import hashlib
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.error

import rig
import trials
import world

CHECKPOINT_MS = 1000
LEASE_SECONDS = 60 + 10  # the promise, and what a slow machine may add to it
KEPT_POINTS = 4
FREEZE_SECONDS = 30
THAW_SECONDS = FREEZE_SECONDS + 15 + 10 # when all who should thaw are killed or asleep, and what a slow machine may add
DISK_BYTES = 2 << 30
# A role that is being started anew takes nothing for a moment.
STARTING = 'role of this host does not run'


def digest(folder):
    """Of names, kinds and bytes below a folder."""
    found = hashlib.sha256()
    folder = pathlib.Path(folder)
    for path in sorted(folder.rglob('*')):
        found.update(str(path.relative_to(folder)).encode() + b'\0')
        if path.is_symlink():
            found.update(b'l' + os.readlink(path).encode())
        elif path.is_file():
            found.update(b'f' + hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


def role_of(pid):
    """What a process of an agent is, by the title that it gave itself; None for programs that it started."""
    with contextlib.suppress(OSError):
        title = pathlib.Path(f'/proc/{pid}/comm').read_text(encoding='ascii', errors='replace').strip()
        if title.startswith('hf-'):
            return title[3:]
    return None


class Torture:
    def __init__(self, args):
        self.args = args
        self.random = random.Random(args.seed)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='holdfast-torture-'))
        self.folder.chmod(0o755)
        self.places = [world.Place(number) for number in (2, 3, 4)] if world.inside() else []
        self.cables = world.Cables()
        self.later = world.Later()
        self.database = world.Postgres(self.folder / 'postgres') if args.postgresql else None
        self.fleet = rig.Fleet(self.folder, args.build, {'HOLDFAST_TEST_CHECKPOINT_MS': str(CHECKPOINT_MS)},
                               f'{world.NETWORK}.1' if world.inside() else '127.0.0.1')
        if self.database is not None:
            self.fleet.settings += f'database = {self.database.url}\n'
        self.counts = collections.Counter()
        self.failures = []
        self.volume = None   # of the source that is frozen while it is read
        self.trees = {}      # of each host: digests of all that its source ever was
        self.current = set() # the digests of now
        self.checked = {}    # point: digest that it came back with
        self.listed = {}     # backup and name: points in the order in which they were first listed
        self.ballast = None
        self.round = 0
        self.begun = time.monotonic()

    # ---- Telling. ----

    def say(self, text):
        print(f'# {time.monotonic() - self.begun:6.1f} {text}', flush=True)

    def check(self, good, what):
        self.counts['checks'] += 1
        if not good:
            self.failures.append(what)
            print(f'not ok: {time.monotonic() - self.begun:.1f} round {self.round}: {what}', flush=True)
        return good

    # ---- The fleet. ----

    def add_agent(self, name):
        if not self.places:
            return self.fleet.add_agent(name)
        place = self.places[len(self.fleet.agents)]
        agent = self.fleet.add_agent(name, place.address, place.prefix())
        agent.place = place
        return agent

    def set_up(self):
        fleet = self.fleet
        fleet.start_server()
        self.one, self.two, self.keep = (self.add_agent(name) for name in ('one', 'two', 'keep'))
        self.main = self.keep.folder / 'main'
        if world.inside():
            self.main = self.folder / 'disk'
            self.main.mkdir()
            world.run('mount', '-t', 'tmpfs', '-o', f'size={DISK_BYTES}', 'torture', self.main)
            self.main = self.main / 'main'
        self.second = self.one.folder / 'second'
        main = self.main_id = fleet.add_repository('main', self.keep, self.main)
        second = fleet.add_repository('second', self.one, self.second)
        self.sources = {}
        for agent in (self.one, self.two):
            source = self.folder / f'source-{agent.name}'
            if agent is self.one:
                self.volume = world.Volume(self.folder / 'image', source)
            self.sources[agent.name] = source
            self.trees[agent.name] = set()
            for number in range(60):
                path = source / f'folder-{number % 6}' / f'file-{number}'
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(self.random.randbytes(self.random.choice((100, 5000, 60000, 400000))))
        # A host backs up what its own name says: both folders lie on this one machine.
        more = {'one': {'freezeSeconds': FREEZE_SECONDS} if self.volume.made else {}, 'two': self.add_scripts()}
        self.jobs = [fleet.add_job(f'job-{agent.name}', agent, [self.sources[agent.name]], main, points=KEPT_POINTS,
                                   **more[agent.name]) for agent in (self.one, self.two)]
        self.copy = fleet.add_copy(self.jobs, second, KEPT_POINTS)
        self.remember()
        for job in self.jobs:
            fleet.run(job)
        self.say('the fleet stands')

    def add_scripts(self):
        """What a job says to have scripts run that write down for which task they ran."""
        scripts = {}
        for which, body in (('pre', 'sleep 0.3'), ('post', 'sleep 0.1')):
            path = self.folder / f'{which}-script'
            path.write_text(f'#!/bin/sh\necho "$HOLDFAST_TASK" >> {self.folder}/{which}-ran\n{body}\n', encoding='ascii')
            path.chmod(0o755)
            scripts[f'{which}JobScript'] = str(path)
        return {'guestProcessing': {'appAwareProcessing': {'isEnabled': True, 'appSettings': [
            {'scripts': {'isExecutionEnabled': True, 'jobScripts': scripts}}]}}}

    def owed(self):
        """Tasks whose script before ran and whose script after did not."""
        ran = {}
        for which in ('pre', 'post'):
            path = self.folder / f'{which}-ran'
            ran[which] = set(path.read_text(encoding='ascii').split()) if path.exists() else set()
        return ran['pre'] - ran['post']

    def remember(self):
        self.current = {name: digest(source) for name, source in self.sources.items()}
        for name, found in self.current.items():
            self.trees[name].add(found)
        self.current = set(self.current.values())

    def change(self):
        """New bytes in some files; the sizes make a run of a second or two."""
        changed = 0
        for source in self.sources.values():
            for _ in range(self.random.randrange(4, 30)):
                path = source / f'folder-{self.random.randrange(6)}' / f'file-{self.random.randrange(80)}'
                if path.exists() and self.random.random() < 0.2:
                    path.unlink()
                    continue
                data = self.random.randbytes(self.random.choice((0, 700, 20000, 300000, 2000000)))
                path.write_bytes(data)
                changed += len(data)
        self.remember()
        return changed

    def asked(self, action, *words, seconds=90, **more):
        """Asks until the server answers: it may be away, and forget who we are when it comes back."""
        end = time.monotonic() + seconds
        while True:
            try:
                return action(*words, **more)
            except (urllib.error.URLError, OSError) as error:
                problem = error
            except rig.RestError as error:
                if error.status == 401:
                    with contextlib.suppress(Exception):
                        self.fleet.login()
                elif error.status < 500:
                    raise
                problem = error
            if time.monotonic() > end:
                raise rig.FleetError(f'the server did not answer for {seconds} s: {problem}')
            time.sleep(0.2)

    # ---- Faults. ----

    def agents(self):
        return self.fleet.agents

    def processes(self):
        """What can be hit: (name, pid)."""
        found = []
        if self.fleet.server is not None and self.fleet.server.alive():
            found.append(('server', self.fleet.server.pid))
        for agent in self.agents():
            if agent.process is None or not agent.process.alive():
                continue
            found.append((f'keeper {agent.name}', agent.process.pid))
            found += [(f'{role} {agent.name}', pid) for pid in agent.descendants() if (role := role_of(pid))]
        return found

    def pick_process(self):
        found = self.processes()
        kinds = sorted({name.split()[0] for name, _ in found})
        if not kinds:
            return None
        # Some are few and short-lived: when there is one it is often chosen.
        rare = [kind for kind in ('guardian', 'scripts', 'worker') if kind in kinds and self.random.random() < 0.4]
        kind = rare[0] if rare else self.random.choice(kinds)
        return self.random.choice([entry for entry in found if entry[0].split()[0] == kind])

    def kill(self):
        chosen = self.pick_process()
        if chosen is None:
            return None
        world.tell(chosen[1], signal.SIGKILL)
        self.counts[f'kill: {chosen[0].split()[0]}'] += 1
        return f'kill {chosen[0]}'

    def stop(self):
        chosen = self.pick_process()
        if chosen is None:
            return None
        name, pid = chosen
        seconds = self.duration()
        world.tell(pid, signal.SIGSTOP)
        self.later.add(seconds, lambda: world.tell(pid, signal.SIGCONT))
        return f'stop {name} for {seconds:.0f} s'

    def duration(self):
        longest = 3 if self.args.quick else 40
        return min(self.random.expovariate(1 / 5) + 1, longest)

    def cut(self):
        if not self.cables.usable:
            return None
        agent = self.random.choice(self.agents())
        ports = {'installer': agent.installer, 'transport': agent.transport,
                 'data': f'{agent.transport}, {agent.channels[0]}-{agent.channels[1]}', 'cable': None}
        what = self.random.choice(sorted(ports))
        way = self.random.choice(('to', 'from', 'both'))
        seconds = self.duration()
        self.later.add(seconds, self.cables.cut(agent.place, way, ports[what]))
        return f'cut {what} of {agent.name}, {way}, for {seconds:.0f} s'

    def halve(self):
        if not self.cables.usable:
            return None
        agent = self.random.choice(self.agents())
        _, count = self.cables.halve(agent.place)
        if count == 0:
            return None
        return f'{count} connections of {agent.name} are half open'

    def fill(self):
        """The disk of the repository is full until all is made whole."""
        if not world.inside() or self.ballast is not None:
            return None
        self.ballast = self.main.parent / 'ballast'
        state = os.statvfs(self.main.parent)
        left = max(state.f_bavail * state.f_frsize - self.random.choice((0, 65536, 1 << 20)), 0)
        with contextlib.suppress(OSError), open(self.ballast, 'wb') as file:
            os.posix_fallocate(file.fileno(), 0, left)
        return 'full disk'

    def restart(self):
        """In order, or not."""
        if self.fleet.server is None or not self.fleet.server.alive():
            return None
        if self.random.random() < 0.5:
            self.fleet.kill_server()
            return 'server killed, started anew'
        world.tell(self.fleet.server.pid, signal.SIGCONT)
        begun = time.monotonic()
        self.fleet.stop_server()
        taken = time.monotonic() - begun
        self.check(taken < 15, f'the server took {taken:.1f} s to end')
        return f'server ended in {taken:.1f} s, started anew'

    def vanish(self):
        agent = self.random.choice(self.agents())
        agent.kill()
        return f'{agent.name} vanishes'

    def enroll(self):
        """The host has its name and port already: it must not become two, and go on."""
        agent = self.random.choice(self.agents())
        with contextlib.suppress(rig.FleetError):
            self.asked(self.fleet.post, '/api/v1/holdfast/hosts', {
                'name': f'{agent.address}:{agent.installer}', 'description': 'again', 'token': rig.new_token()},
                seconds=20)
        return f'{agent.name} enrolled again'

    def clock(self):
        """A source or the server comes back with another time; who keeps the points has its own test of that."""
        shift = self.random.choice((-2400, -60, 30, 3600, 86400 * 3, 0, 0))
        env = {**self.fleet.env, 'HOLDFAST_TEST_TIME': str(shift)}
        if self.random.random() < 0.5:
            if self.fleet.server is None:
                return None
            self.fleet.kill_server()
            self.fleet.server_env = env
            return f'the clock of the server is {shift} s ahead'
        agent = self.random.choice((self.one, self.two))
        agent.kill()
        agent.env = env
        return f'the clock of {agent.name} is {shift} s ahead'

    def restart_database(self):
        if self.database is None:
            return None
        number = self.random.choice((signal.SIGQUIT, signal.SIGINT))
        self.database.stop(number)
        time.sleep(self.random.choice((0, 0.5, 3)))
        self.database.start()
        return f'database restarted ({number.name})'

    FAULTS = {'kill': 10, 'stop': 4, 'cut': 5, 'halve': 2, 'fill': 1, 'restart': 3, 'vanish': 1, 'enroll': 1, 'clock': 1,
              'restart_database': 2}

    def hurt(self):
        names = [name for name, weight in self.FAULTS.items() for _ in range(weight)]
        while True:
            kind = self.random.choice(names)
            told = getattr(self, kind)()
            if told is not None:
                self.counts[kind] += 1
                self.say(told)
                self.rouse()
                return

    def rouse(self):
        """What has been dead long enough comes back."""
        if self.fleet.server is None or not self.fleet.server.alive():
            self.start_server()
        for agent in self.agents():
            if (agent.process is None or not agent.process.alive()) and self.random.random() < 0.5:
                agent.start()

    def start_server(self):
        for _ in range(3):
            try:
                self.fleet.start_server()
                return
            except (rig.FleetError, urllib.error.URLError, OSError) as error:
                self.say(f'the server did not start: {error}')
                if self.fleet.server is not None:
                    self.fleet.server.kill()
        raise rig.FleetError('the server does not start any more')

    def make_whole(self):
        self.later.now()
        self.cables.heal()
        if self.ballast is not None:
            self.ballast.unlink(missing_ok=True)
            self.ballast = None
        if self.fleet.server is None or not self.fleet.server.alive():
            self.start_server()
        for agent in self.agents():
            if agent.process is None or not agent.process.alive():
                agent.start()

    def thaw(self, agent):
        """What the service manager does after the agent's end."""
        if self.volume.made and agent is self.one:
            done = subprocess.run([str(word) for word in agent.argv('thaw')], check=False, capture_output=True, text=True)
            self.check(done.returncode == 0, f'thawing what {agent.name} left: {done.stdout}{done.stderr}')

    # ---- What must hold. ----

    def ended(self, session):
        return self.asked(self.fleet.session, session)['state'] == 'Stopped'

    def wait_sessions(self, sessions, seconds):
        """They end by themselves: those that do not."""
        end = time.monotonic() + seconds
        left = dict(sessions)
        while left and time.monotonic() < end:
            for session in list(left):
                if self.ended(session):
                    del left[session]
            time.sleep(0.3)
        return left

    def available(self, seconds=90):
        time.sleep(1)  # who died a moment ago may be taken for alive

        def all_here():
            rows = self.asked(self.fleet.all, '/api/v1/backupInfrastructure/managedServers')
            return all(row['status'] == 'Available' for row in rows if row['id'] in {a.id for a in self.agents()})
        try:
            rig.wait_for('all hosts to be back', seconds, all_here)
            return True
        except rig.FleetError:
            return False

    def points(self):
        """All of them; none is gone that retention did not take."""
        rows = self.asked(self.fleet.points)
        there = {row['id'] for row in rows}
        for row in rows:
            known = self.listed.setdefault((row['backupId'], row['name']), [])
            if row['id'] not in known:
                known.append(row['id'])
        for (_, name), known in self.listed.items():
            lost = [point for point in known[-KEPT_POINTS:] if point not in there]
            self.check(not lost, f'points of {name} are not listed any more: {lost}')
        return rows

    def restores(self, point, why):
        """Comes the point back as one of the trees that its host had?"""
        out = self.folder / 'out'
        shutil.rmtree(out, ignore_errors=True)
        try:
            self.fleet.restore(point['id'], out, host=self.random.choice((self.one, self.two)))
        except rig.FleetError as error:
            return self.check(False, f"point {point['id']} ({why}) does not come back: {error}")
        found = None
        for name in self.sources:
            for folder in [out, *out.rglob(f'source-{name}')]:
                if folder.name == f'source-{name}' and folder.is_dir():
                    found = (name, digest(folder))
        good = found is not None and found[1] in self.trees[found[0]]
        self.check(good, f"point {point['id']} ({why}) came back as no tree that there was: "
                         f'{found}, {[str(path) for path in out.glob("*")]}')
        if good and point['id'] in self.checked:
            self.check(self.checked[point['id']] == found[1], f"point {point['id']} came back otherwise than before")
        if good:
            self.checked[point['id']] = found[1]
        shutil.rmtree(out, ignore_errors=True)
        return good

    def leases(self):
        """Sessions that stand in the repositories, by path."""
        found = set()
        for repository in (self.main, self.second):
            folder = repository / 'sessions'
            for entry in folder.iterdir() if folder.is_dir() else ():
                if (entry / 'open').exists() and not (entry / 'outcome').exists():
                    found.add(str(entry))
        return found

    def watch_leases(self, before, since):
        """Those of `before`, whose holders are gone since then, must go within the time."""
        while before and time.monotonic() - since < LEASE_SECONDS:
            before &= self.leases()
            time.sleep(0.5)
        return before & self.leases()

    @staticmethod
    def settle(left, seconds):
        """Until left() is empty."""
        with contextlib.suppress(rig.FleetError):
            rig.wait_for('all to be done', seconds, lambda: not left())

    # ---- A round. ----

    def begin_work(self):
        sessions = {}
        changed = self.change()
        for number, job in enumerate(self.jobs):
            sessions[self.asked(self.fleet.start, job)] = f'backup {number}'
        if self.random.random() < 0.4:
            sessions[self.asked(self.fleet.start, self.copy)] = 'copy'
        if self.random.random() < 0.3:
            point = self.random.choice(self.points())['id']
            thread = threading.Thread(target=self.restore_beside, args=(point,), daemon=True)
            thread.start()
            return changed, sessions, thread
        return changed, sessions, None

    def restore_beside(self, point):
        """It may fail: what it gives is not looked at."""
        with contextlib.suppress(Exception):
            self.fleet.restore(point, self.folder / 'beside', host=self.two, seconds=60)

    def sent(self, session):
        return sum(task['progress']['transferredSize'] for task in self.asked(self.fleet.tasks, session))

    def one_round(self, faults):
        self.round += 1
        changed, sessions, beside = self.begin_work()
        for _ in range(faults):
            time.sleep(self.random.random() * (0.4 if self.args.quick else 1.5))
            self.hurt()
        time.sleep(self.random.random())
        self.make_whole()
        healed = time.monotonic()
        left = self.wait_sessions(sessions, 150)
        for session, what in left.items():
            self.check(False, f'{what}: session {session} did not end: {self.asked(self.fleet.logs, session)}')
        if beside is not None:
            beside.join(120)
        self.check(self.available(), 'not all hosts are back 90 s after the last fault')
        ended, old = time.monotonic(), self.leases()
        for job in self.jobs:
            self.again(job, changed)
        rows = self.points()
        latest = {}
        for row in rows:
            latest[row['name']] = row
        for name, row in latest.items():
            self.check(self.restores(row, f'newest of {name}') and self.checked[row['id']] in self.current,
                       f'the newest point of {name} is not what its host had in the last run')
        self.restores(self.random.choice(rows), 'any')
        if self.volume.made:
            self.check(self.volume.writable(THAW_SECONDS), 'the file system of a source stayed frozen')
        self.settle(self.owed, 30)
        self.check(not self.owed(), f'no script ran after these tasks: {self.owed()}')
        outlived = self.watch_leases(old, ended)
        self.check(not outlived, f'sessions outlived their holders: {sorted(outlived)}')
        self.say(f'round {self.round} took {time.monotonic() - healed:.1f} s to settle; {len(rows)} points')

    def again(self, job, changed):
        """A run without faults; it sends at most what is new in this round."""
        try:
            for _ in range(3):
                session = self.asked(self.fleet.start, job)
                found = self.fleet.wait(session, 200)
                if STARTING not in found['result']['message']:
                    break
                self.counts['runs that a role was too late for'] += 1
                time.sleep(1)
        except rig.FleetError as error:
            self.check(False, f'the run after the faults: {error}')
            return
        if self.check(found['result']['result'] in ('Success', 'Warning'),
                      f"the run after the faults: {found['result']} {self.fleet.logs(session)}"):
            sent = self.sent(session)
            self.check(sent <= changed * 1.1 + (2 << 20), f'{sent} bytes were sent where {changed} are new')

    def count_faults(self):
        return sum(self.counts[name] for name in (*self.FAULTS, 'trial'))

    def run(self):
        self.set_up()
        show = trials.Trials(self)
        if self.args.trials:
            show.only(self.args.trials.split(','))
        while not self.args.trials and self.count_faults() < self.args.count:
            self.one_round(min(self.random.randrange(2, 8), self.args.count - self.count_faults()))
            if self.round % 3 == 2 and not self.args.quick:
                self.round += 1
                show.next()
            if self.args.seconds and time.monotonic() - self.begun > self.args.seconds:
                break
        self.round += 1
        for row in self.points():
            self.restores(row, 'in the end')
        self.verify()

    def verify(self):
        """What lies in the repositories, by a program that has no key."""
        for agent in self.agents():
            agent.stop()
        for repository in (self.main, self.second):
            done = subprocess.run([self.fleet.program('holdfast'), 'verify', '-r', repository, '--stored'], check=False,
                                  capture_output=True, text=True, stdin=subprocess.DEVNULL)
            self.check(done.returncode == 0, f'{repository} is not sound: {done.stdout}{done.stderr}')

    def end(self):
        with contextlib.suppress(Exception):
            self.later.now()
            self.later.ended = True
            self.cables.heal()
        self.fleet.__exit__()
        if self.database is not None:
            self.database.end()
        if self.volume is not None:
            self.volume.end()
        for place in self.places:
            place.end()
        if world.inside():
            subprocess.run(['umount', '-l', self.folder / 'disk'], check=False, capture_output=True)
        if self.args.keep or self.failures:
            print(f'# kept in {self.folder}')
        else:
            shutil.rmtree(self.folder, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('build')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--count', type=int, default=500)
    parser.add_argument('--seconds', type=int, default=0, help='begin no further round after so long')
    parser.add_argument('--quick', action='store_true', help='nothing is stopped or cut for longer than a few seconds')
    parser.add_argument('--postgresql', action='store_true', help='the database is a PostgreSQL that restarts as well')
    parser.add_argument('--long-cut', type=int, default=0, help='the first long cut lasts so many seconds')
    parser.add_argument('--large', type=int, default=256, help='MiB of what a killed run resumes')
    parser.add_argument('--trials', help='only these, one after the other, divided by commas; no rounds')
    parser.add_argument('--keep', action='store_true')
    args = parser.parse_args()
    args.build = os.path.abspath(args.build)
    world.enter_namespaces()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    torture = Torture(args)
    try:
        torture.run()
    except Exception:  # the rig itself, or a fleet that is beyond help: both are failures to look at
        torture.failures.append(traceback.format_exc())
        print(torture.failures[-1], flush=True)
    finally:
        torture.end()
    for what, count in sorted(torture.counts.items()):
        print(f'# {count:7} {what}')
    passed = torture.counts['checks'] - len(torture.failures)
    print(f'fleet: {max(passed, 0)} passed, {len(torture.failures)} failed, seed {args.seed}, '
          f'{torture.count_faults()} faults')
    return 1 if torture.failures or not torture.count_faults() else 0


if __name__ == '__main__':
    sys.exit(main())
