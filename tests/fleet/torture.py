#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults while a whole fleet is at work, chosen by a seed. Each round changes the sources, starts a backup of two hosts
(retention is part of it), often a copy or a restore beside it, and lets faults fall on them: any process killed or
stopped, cables cut in one or both directions, a full disk, a server that restarts, a host that is away, a host that is
enrolled anew. Then all is made whole, and it is looked whether

 - every session ends by itself, and the next run succeeds,
 - what the next run sends is at most what came since the last checkpoint,
 - each listed point that is asked for comes back byte for byte (all of them at the end),
 - no object below sessions/ outlives its holder by more than 60 s.

As root it runs in network and mount namespaces of its own: there cables can be cut and disks be small; else these
faults are passed over. The agents take checkpoints every second (a debug build listens to that).

usage: torture.py BUILD [--seed S] [--count FAULTS] [--seconds S] [--keep]
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

CHECKPOINT_MS = 1000
LEASE_SECONDS = 60 + 30  # the promise, and what a slow machine may add to it
KEPT_POINTS = 4
LARGE_BYTES = 96 << 20
RATE_MEGABYTES = 20
# A role that dies again and again is started after a pause of up to 30 s.
BACKING_OFF = 'role of this host does not run'
DISK_BYTES = 2 << 30
INSIDE = 'HOLDFAST_TORTURE_INSIDE'


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
    """The name after --role of a process of an agent."""
    with contextlib.suppress(OSError):
        words = pathlib.Path(f'/proc/{pid}/cmdline').read_bytes().split(b'\0')
        if b'--role' in words:
            return words[words.index(b'--role') + 1].decode()
    return None


class Cables:
    """Cuts in the namespace that is ours alone."""

    def __init__(self):
        self.usable = INSIDE in os.environ and shutil.which('nft') is not None
        if self.usable:
            self.nft('add table inet torture')
            self.nft('add chain inet torture cut { type filter hook input priority 0; }')

    @staticmethod
    def nft(words):
        subprocess.run(['nft', *words.split(' ')], check=True, capture_output=True)

    def cut(self, ports, way):
        """`way`: to those who listen, from them, or both. What is cut is swallowed, as by a cable."""
        text = '{ ' + ', '.join(ports) + ' }'
        for key in {'to': ('dport',), 'from': ('sport',), 'both': ('dport', 'sport')}[way]:
            self.nft(f'add rule inet torture cut tcp {key} {text} drop')

    def heal(self):
        if self.usable:
            self.nft('flush chain inet torture cut')


class Torture:
    def __init__(self, args):
        self.args = args
        self.random = random.Random(args.seed)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='holdfast-torture-'))
        self.fleet = rig.Fleet(self.folder, args.build, {'HOLDFAST_TEST_CHECKPOINT_MS': str(CHECKPOINT_MS)})
        self.cables = Cables()
        self.counts = collections.Counter()
        self.failures = []
        self.trees = {}      # of each host: digests of all that its source ever was
        self.current = set() # the digests of now
        self.checked = {}    # point: digest that it came back with
        self.stopped = {}    # pid: when to let it go on
        self.lock = threading.Lock()
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
            print(f'not ok: round {self.round}: {what}', flush=True)
        return good

    # ---- The fleet. ----

    def set_up(self):
        fleet = self.fleet
        fleet.start_server()
        self.one, self.two, self.keep = (fleet.add_agent(name) for name in ('one', 'two', 'keep'))
        self.main = self.keep.folder / 'main'
        if INSIDE in os.environ:
            self.main = self.folder / 'disk'
            self.main.mkdir()
            subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={DISK_BYTES}', 'torture', self.main], check=True)
            self.main = self.main / 'main'
        self.second = self.one.folder / 'second'
        main = self.main_id = fleet.add_repository('main', self.keep, self.main)
        second = fleet.add_repository('second', self.one, self.second)
        self.sources = {}
        for agent in (self.one, self.two):
            source = self.folder / f'source-{agent.name}'
            self.sources[agent.name] = source
            self.trees[agent.name] = set()
            for number in range(60):
                path = source / f'folder-{number % 6}' / f'file-{number}'
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(self.random.randbytes(self.random.choice((100, 5000, 60000, 400000))))
        # A host backs up what its own name says: both folders lie on this one machine.
        self.jobs = [fleet.add_job(f'job-{agent.name}', agent, [self.sources[agent.name]], main, points=KEPT_POINTS)
                     for agent in (self.one, self.two)]
        self.copy = fleet.post('/api/v1/jobs', {
            'type': 'BackupCopy', 'name': 'copy', 'description': '', 'isHighPriority': False, 'mode': 'Periodic',
            'sourceObjects': {'includes': {'jobs': [{'id': job} for job in self.jobs]}},
            'target': {'backupRepositoryId': second,
                       'retentionPolicy': {'type': 'RestorePoints', 'quantity': KEPT_POINTS}}})['id']
        self.remember()
        for job in self.jobs:
            fleet.run(job)
        self.say('the fleet stands')

    def remember(self):
        self.current = {name: digest(source) for name, source in self.sources.items()}
        for name, found in self.current.items():
            self.trees[name].add(found)
        self.current = set(self.current.values())

    def change(self):
        """New bytes in some files; the sizes make a run of a second or two."""
        changed = 0
        for name, source in self.sources.items():
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
            found += [(f'{role} {agent.name}', pid) for pid in agent.children() if (role := role_of(pid))]
        return found

    def pick_process(self):
        found = self.processes()
        kinds = sorted({name.split()[0] for name, _ in found})
        if not kinds:
            return None
        # Workers are few and short-lived: when there is one it is often chosen.
        kind = 'worker' if 'worker' in kinds and self.random.random() < 0.4 else self.random.choice(kinds)
        return self.random.choice([entry for entry in found if entry[0].split()[0] == kind])

    def kill(self):
        chosen = self.pick_process()
        if chosen is None:
            return None
        name, pid = chosen
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return f'kill {name}'

    def stop(self):
        chosen = self.pick_process()
        if chosen is None:
            return None
        name, pid = chosen
        seconds = self.duration()
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
        self.stopped[pid] = time.monotonic() + seconds
        return f'stop {name} for {seconds:.0f} s'

    def duration(self):
        longest = 3 if self.args.quick else 40
        return min(self.random.expovariate(1 / 4) + 1, longest)

    def cut(self):
        if not self.cables.usable:
            return None
        agent = self.random.choice(self.agents())
        ports = {'installer': [str(agent.installer)], 'transport': [str(agent.transport)],
                 'data': [str(agent.transport), f'{agent.channels[0]}-{agent.channels[1]}'],
                 'all': [str(agent.installer), str(agent.transport), f'{agent.channels[0]}-{agent.channels[1]}']}
        what = self.random.choice(sorted(ports))
        way = self.random.choice(('to', 'from', 'both'))
        self.cables.cut(ports[what], way)
        return f'cut {what} of {agent.name}, {way}'

    def fill(self):
        """The disk of the repository is full until all is made whole."""
        if INSIDE not in os.environ or self.ballast is not None:
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
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.fleet.server.pid, signal.SIGCONT)
        self.fleet.stop_server()
        return 'server ended, started anew'

    def vanish(self):
        agent = self.random.choice(self.agents())
        agent.kill()
        return f'{agent.name} vanishes'

    def enroll(self):
        """The host has its name and port already: it must not become two, and go on."""
        agent = self.random.choice(self.agents())
        try:
            self.asked(self.fleet.post, '/api/v1/holdfast/hosts', {
                'name': f'127.0.0.1:{agent.installer}', 'description': 'again', 'token': rig.new_token()}, seconds=20)
        except rig.FleetError:
            pass
        return f'{agent.name} enrolled again'

    FAULTS = (('kill', 10), ('stop', 4), ('cut', 5), ('fill', 1), ('restart', 3), ('vanish', 1), ('enroll', 1))

    def hurt(self):
        names = [name for name, weight in self.FAULTS for _ in range(weight)]
        while True:
            kind = self.random.choice(names)
            told = getattr(self, kind)()
            if told is not None:
                self.counts[kind] += 1
                self.say(told)
                self.rouse()
                return

    def rouse(self):
        """What has been dead long enough comes back; what was stopped goes on when it is time."""
        now = time.monotonic()
        for pid, until in list(self.stopped.items()):
            if now >= until:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
                del self.stopped[pid]
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
        self.cables.heal()
        for pid in self.stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self.stopped.clear()
        if self.ballast is not None:
            self.ballast.unlink(missing_ok=True)
            self.ballast = None
        if self.fleet.server is None or not self.fleet.server.alive():
            self.start_server()
        for agent in self.agents():
            if agent.process is None or not agent.process.alive():
                agent.start()

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

    def available(self):
        def all_here():
            rows = self.asked(self.fleet.all, '/api/v1/backupInfrastructure/managedServers')
            return all(row['status'] == 'Available' for row in rows if row['id'] in {a.id for a in self.agents()})
        try:
            rig.wait_for('all hosts to be back', 90, all_here)
            return True
        except rig.FleetError:
            return False

    def points(self):
        return self.asked(self.fleet.points)

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
        """Sessions in the repositories, by name."""
        found = {}
        for repository in (self.main, self.second):
            folder = repository / 'sessions'
            for entry in folder.iterdir() if folder.is_dir() else ():
                if (entry / 'open').exists() and not (entry / 'outcome').exists():
                    found[str(entry)] = True
        return set(found)

    def watch_leases(self, before, since):
        """Those of `before` must go within the time."""
        while time.monotonic() - since < LEASE_SECONDS:
            before &= self.leases()
            if not before:
                return set()
            time.sleep(1)
        return before & self.leases()

    # ---- A round. ----

    def begin_work(self):
        sessions = {}
        changed = self.change()
        for number, job in enumerate(self.jobs):
            sessions[self.asked(self.fleet.start, job)] = f'backup {number}'
        if self.random.random() < 0.4:
            sessions[self.asked(self.fleet.start, self.copy)] = 'copy'
        if self.random.random() < 0.3:
            points = self.points()
            thread = threading.Thread(target=self.restore_beside, args=(self.random.choice(points)['id'],), daemon=True)
            thread.start()
            return changed, sessions, thread
        return changed, sessions, None

    def restore_beside(self, point):
        """It may fail: what it gives is not looked at."""
        with contextlib.suppress(Exception):
            self.fleet.restore(point, self.folder / 'beside', host=self.two, seconds=60)

    def sent(self, session):
        return sum(task['progress']['transferredSize'] for task in self.asked(self.fleet.tasks, session))

    def set_rate(self, megabytes):
        """What the repository takes in a second; 0: all it can."""
        path = f'/api/v1/backupInfrastructure/repositories/{self.main_id}'
        model = self.fleet.get(path)
        model['repository']['readWriteLimitEnabled'] = megabytes > 0
        model['repository']['readWriteRate'] = megabytes
        self.fleet.ask('PUT', path, model)

    def resume_round(self):
        """A worker is killed in the middle of much that is new: what its last checkpoint has is not sent again."""
        self.round += 1
        agent, job = self.random.choice(list(zip((self.one, self.two), self.jobs)))
        large = self.sources[agent.name] / 'large'
        large.write_bytes(self.random.randbytes(LARGE_BYTES))
        self.remember()
        self.set_rate(RATE_MEGABYTES)
        session = self.asked(self.fleet.start, job)
        begun = time.monotonic()
        with contextlib.suppress(rig.FleetError):
            enough = LARGE_BYTES * self.random.uniform(0.3, 0.7)
            rig.wait_for('much to be sent', 60, lambda: self.sent(session) > enough or self.ended(session))
        taken = time.monotonic() - begun
        for name, pid in self.processes():
            if name == f'worker {agent.name}':
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                self.counts['kill'] += 1
        self.wait_sessions({session: 'backup'}, 150)
        first = self.sent(session)
        self.set_rate(0)
        again = self.asked(self.fleet.start, job)
        self.fleet.expect(again, 'Success', 200)
        second = self.sent(again)
        if self.fleet.session(session)['result']['result'] == 'Failed':
            self.counts['resumed'] += 1
            # What goes out between two checkpoints, and between the last progress and the end.
            window = (RATE_MEGABYTES << 20) * (CHECKPOINT_MS / 1000 + 1)
            self.check(first + second <= LARGE_BYTES * 1.05 + window + (4 << 20),
                       f'{first} and then {second} bytes were sent of {LARGE_BYTES}, in {taken:.1f} s')
            self.say(f'resumed: {first >> 20} and then {second >> 20} of {LARGE_BYTES >> 20} MiB in {taken:.1f} s')
        large.unlink()
        self.remember()
        self.asked(self.fleet.run, job)

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
        old = self.leases()
        for number, job in enumerate(self.jobs):
            self.again(job, changed)
        rows = self.points()
        latest = {}
        for row in rows:
            latest[row['name']] = row
        for name, row in latest.items():
            self.check(self.restores(row, f'newest of {name}') and self.checked[row['id']] in self.current,
                       f"the newest point of {name} is not what its host had in the last run")
        self.restores(self.random.choice(rows), 'any')
        outlived = self.watch_leases(old, healed)
        self.check(not outlived, f'sessions outlived their holders: {sorted(outlived)}')
        self.say(f'round {self.round} took {time.monotonic() - healed:.1f} s to settle; {len(rows)} points')

    def again(self, job, changed):
        """A run without faults; it sends at most what is new in this round."""
        try:
            for _ in range(8):
                session = self.asked(self.fleet.start, job)
                found = self.fleet.wait(session, 200)
                if BACKING_OFF not in found['result']['message']:
                    break
                self.counts['runs that a role was too late for'] += 1
                time.sleep(5)
        except rig.FleetError as error:
            self.check(False, f'the run after the faults: {error}')
            return
        if self.check(found['result']['result'] in ('Success', 'Warning'),
                      f"the run after the faults: {found['result']} {self.fleet.logs(session)}"):
            sent = self.sent(session)
            self.check(sent <= changed * 1.1 + (2 << 20), f'{sent} bytes were sent where {changed} are new')

    def run(self):
        self.set_up()
        done = 0
        while done < self.args.count:
            faults = min(self.random.randrange(2, 8), self.args.count - done)
            self.one_round(faults)
            done += faults
            if self.round % 8 == 4:
                self.resume_round()
            if self.args.seconds and time.monotonic() - self.begun > self.args.seconds:
                break
        self.round += 1
        for row in self.points():
            self.restores(row, 'in the end')
        return done

    def end(self):
        self.cables.heal()
        for pid in self.stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self.fleet.__exit__()
        if INSIDE in os.environ:
            subprocess.run(['umount', '-l', self.folder / 'disk'], check=False, capture_output=True)
        if self.args.keep or self.failures:
            print(f'# kept in {self.folder}')
        else:
            shutil.rmtree(self.folder, ignore_errors=True)


def enter_namespaces():
    """Runs this program again where cables can be cut, when we may."""
    if INSIDE in os.environ or os.geteuid() != 0 or shutil.which('unshare') is None:
        return
    words = ['unshare', '-n', '-m', '--propagation', 'private', 'sh', '-c', 'ip link set lo up && exec "$0" "$@"',
             sys.executable, '-B', *sys.argv]
    if subprocess.run([*words[:5], 'sh', '-c', 'ip link set lo up'], check=False, capture_output=True).returncode == 0:
        os.execvpe('unshare', words, {**os.environ, INSIDE: '1'})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('build')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--count', type=int, default=500)
    parser.add_argument('--seconds', type=int, default=0, help='begin no further round after so long')
    parser.add_argument('--quick', action='store_true', help='nothing is stopped or cut for longer than a few seconds')
    parser.add_argument('--keep', action='store_true')
    args = parser.parse_args()
    args.build = os.path.abspath(args.build)
    enter_namespaces()
    torture = Torture(args)
    done = 0
    try:
        done = torture.run()
    except Exception:  # the rig itself, or a fleet that is beyond help: both are failures to look at
        torture.failures.append(traceback.format_exc())
        print(torture.failures[-1], flush=True)
    finally:
        torture.end()
    for what, count in sorted(torture.counts.items()):
        print(f'# {count:7} {what}')
    passed = torture.counts['checks'] - len(torture.failures)
    print(f'fleet: {max(passed, 0)} passed, {len(torture.failures)} failed, seed {args.seed}, '
          f'{sum(torture.counts[name] for name, _ in Torture.FAULTS)} faults')
    return 1 if torture.failures or not done else 0


if __name__ == '__main__':
    sys.exit(main())
