# SPDX-License-Identifier: GPL-3.0-or-later
"""Trials: one fault each, put where it hurts, and the promise that belongs to it measured."""
import contextlib
import os
import pathlib
import shutil
import signal
import time

import rig
import world

RATE_MEGABYTES = 20
LOST_SECONDS = 60 + 5    # the promise, and what a slow machine may add to it
CUTS = (30, 35, 45, 60, 75, 90, 120)
SLOW_MEGABYTES = 2
GOOD = ('Success', 'Warning') # it warns where a file system was thawed before all was read


class Trials:
    def __init__(self, torture):
        self.torture = torture
        self.fleet = torture.fleet
        self.random = torture.random
        self.order = [self.resume, self.resume_file, self.restart_server, self.kill_host, self.twice]
        if world.inside():
            self.order += [self.cut_source, self.full, self.cut_repository]
        self.random.shuffle(self.order)
        self.number = 0
        self.long_cut = torture.args.long_cut
        self.large_bytes = torture.args.large << 20

    def only(self, names):
        for name in names:
            self.torture.round += 1
            self.take(getattr(self, name))

    def next(self):
        trial = self.order[self.number % len(self.order)]
        self.number += 1
        self.take(trial)

    def take(self, trial):
        torture = self.torture
        torture.counts['trial'] += 1
        torture.counts[f'trial: {trial.__name__}'] += 1
        try:
            trial()
        finally:
            torture.make_whole()
            with contextlib.suppress(Exception):
                self.set_rate(0)
        torture.check(torture.available(), f'not all hosts are back after the trial {trial.__name__}')

    # ---- What trials share. ----

    def check(self, good, what):
        return self.torture.check(good, what)

    def say(self, text):
        self.torture.say(text)

    def asked(self, action, *words, **more):
        return self.torture.asked(action, *words, **more)

    def choose_source(self):
        torture = self.torture
        return self.random.choice(list(zip((torture.one, torture.two), torture.jobs)))

    def set_rate(self, megabytes):
        """What the repository takes in a second; 0: all it can."""
        path = f'/api/v1/backupInfrastructure/repositories/{self.torture.main_id}'
        model = self.asked(self.fleet.get, path)
        model['repository']['readWriteLimitEnabled'] = megabytes > 0
        model['repository']['readWriteRate'] = megabytes
        self.asked(self.fleet.ask, 'PUT', path, model)

    @contextlib.contextmanager
    def large(self, agent, size, files=None):
        """Much that is new, on the host, for as long as this lasts."""
        folder = self.torture.sources[agent.name] / 'large'
        folder.mkdir()
        files = files or size >> 20
        for number in range(files):
            with open(folder / f'file-{number}', 'wb') as file:
                for _ in range((size >> 20) // files):
                    file.write(self.random.randbytes(1 << 20))
        self.torture.remember()
        try:
            yield
        finally:
            shutil.rmtree(folder)
            self.torture.remember()

    def workers(self, agent):
        return [pid for name, pid in self.torture.processes() if name == f'worker {agent.name}']

    def start_and_wait(self, agent, job, enough, look=lambda sent: None):
        """A run of the job of which so many bytes have left its host: as the cable saw it, where there is one. `look` is
        told of them now and then."""
        before = agent.place.sent() if world.inside() else 0
        session = self.asked(self.fleet.start, job)

        def sent():
            found = agent.place.sent() - before if world.inside() else self.torture.sent(session)
            look(found)
            return found
        with contextlib.suppress(rig.FleetError):
            patience = 60 + (self.large_bytes >> 20) / RATE_MEGABYTES
            rig.wait_for('much to be sent', patience, lambda: sent() > enough or self.torture.ended(session))
        return session

    def names(self, session, agent):
        """Does the session say which host it was?"""
        model = self.asked(self.fleet.session, session)
        text = model['result']['message'] + '\n' + '\n'.join(self.asked(self.fleet.logs, session))
        return f'{agent.address}:{agent.installer}' in text, text

    def fails_in_time(self, session, agent, since, what):
        with contextlib.suppress(rig.FleetError):
            rig.wait_for('the session to fail', LOST_SECONDS + 30, lambda: self.torture.ended(session))
        taken = time.monotonic() - since
        model = self.asked(self.fleet.session, session)
        self.check(model['state'] == 'Stopped' and taken <= LOST_SECONDS, f'{what}: the session took {taken:.1f} s to end')
        good, text = self.names(session, agent)
        self.check(model['result']['result'] == 'Failed' and good,
                   f"{what}: the session ended with {model['result']}, and names no host: {text}")
        self.torture.counts['lost hosts that were told'] += 1
        return taken

    def succeeds(self, job, what):
        session = self.asked(self.fleet.start, job)
        with contextlib.suppress(rig.FleetError):
            self.fleet.wait(session, 200)
        result = self.asked(self.fleet.session, session)['result']
        self.check(result['result'] in GOOD, f'{what}: {result} {self.asked(self.fleet.logs, session)}')
        return session

    # ---- The trials. ----

    def checkpoints(self):
        return {str(path) for path in self.torture.main.glob('sessions/*/checkpoint.*')}

    def resume(self):
        self.kill_and_resume(None)

    def resume_file(self):
        """All of it is one file, which no checkpoint has as a whole."""
        self.kill_and_resume(1)

    def kill_and_resume(self, files):
        """A worker is killed in the middle of much that is new: what its last checkpoint has is not sent again. What is
        sent is what the cable saw, and so is how much it was when the last checkpoint was there."""
        agent, job = self.choose_source()
        large = self.large_bytes
        known, covered = self.checkpoints(), 0

        def look(sent):
            nonlocal known, covered
            if not (found := self.checkpoints()) <= known:
                known, covered = found, sent
        self.set_rate(RATE_MEGABYTES)
        with self.large(agent, large, files):
            before = agent.place.sent() if world.inside() else 0
            session = self.start_and_wait(agent, job, large * self.random.uniform(0.5, 0.8), look)
            for pid in self.workers(agent):
                world.tell(pid, signal.SIGKILL)
            self.torture.wait_sessions({session: 'backup'}, 150)
            first = agent.place.sent() - before if world.inside() else self.torture.sent(session)
            self.set_rate(0)
            again = self.succeeds(job, 'the run that resumes')
            second = (agent.place.sent() - before if world.inside() else first + self.torture.sent(again)) - first
            killed = self.asked(self.fleet.session, session)['result']
            if self.check(killed['result'] == 'Failed' and covered > 0,
                          f'what was killed had {covered} bytes in checkpoints, and ended: {killed}'):
                self.torture.counts['resumed'] += 1
                # Frames cost a little, and what is on its way when a checkpoint is seen counts as covered by it.
                most = large * 1.03 + first - covered + (4 << 20)
                self.check(first + second <= most, f'{first} and then {second} bytes were sent of {large}, with '
                                                   f'{covered} in checkpoints')
                self.say(f'resumed: {first >> 20} MiB, of which {covered >> 20} in a checkpoint, and then {second >> 20} '
                         f"of {large >> 20} MiB{', one file' if files else ''}")
        self.succeeds(job, 'the run after the one that resumed')

    def restart_server(self):
        """The server restarts while a job runs: the same worker and the same session go on, to a good end."""
        agent, job = self.choose_source()
        orderly = self.random.random() < 0.5
        self.set_rate(SLOW_MEGABYTES)
        with self.large(agent, SLOW_MEGABYTES * 30 << 20):
            session = self.start_and_wait(agent, job, 1 << 20)
            workers = self.workers(agent)
            if orderly:
                begun = time.monotonic()
                self.fleet.stop_server()
                self.check(time.monotonic() - begun < 15, 'the server took more than 15 s to end')
            else:
                self.fleet.kill_server()
            time.sleep(self.random.uniform(0, 4))
            self.torture.start_server()
            state = self.asked(self.fleet.session, session)['state']
            self.check(state != 'Stopped' and self.workers(agent) == workers != [],
                       f'the task did not go on while the server restarted: {state}, {workers}, {self.workers(agent)}')
            with contextlib.suppress(rig.FleetError):
                self.fleet.wait(session, 150)
            result = self.asked(self.fleet.session, session)['result']
            self.check(result['result'] in GOOD, f'the session whose server restarted: {result} '
                                                 f'{self.asked(self.fleet.logs, session)}')
            self.say(f"the server was {'stopped' if orderly else 'killed'} while a job ran, which ended: {result['result']}")
        self.set_rate(0)
        self.succeeds(job, 'the run after that')

    def kill_host(self):
        """All processes of a source at once, and nobody starts them again."""
        agent, job = self.choose_source()
        self.set_rate(SLOW_MEGABYTES)
        with self.large(agent, SLOW_MEGABYTES * 80 << 20):
            session = self.start_and_wait(agent, job, 1 << 20)
            since = time.monotonic()
            agent.kill()
            self.torture.thaw(agent)
            taken = self.fails_in_time(session, agent, since, f'{agent.name} was killed')
            self.say(f'{agent.name} was killed while it worked: the job failed after {taken:.1f} s')
        self.torture.make_whole()
        self.set_rate(0)
        self.torture.available()
        self.succeeds(job, 'the run after its host was killed')

    def pick_cut(self):
        seconds = self.long_cut or self.random.choice(CUTS)
        self.long_cut = 0
        return seconds

    def cut_host(self, agent, worker, job):
        """A cable is cut, and nobody is told. Where that lasts longer than a host may be silent, the job fails by name; in
        any case the session ends by itself, while it is cut or after, and all is well afterwards."""
        torture = self.torture
        seconds = self.pick_cut()
        self.set_rate(SLOW_MEGABYTES)
        with self.large(worker, SLOW_MEGABYTES * 80 << 20):
            session = self.start_and_wait(worker, job, 1 << 20)
            since = time.monotonic()
            heal = torture.cables.cut(agent.place, 'both')
            if seconds > LOST_SECONDS:
                taken = self.fails_in_time(session, agent, since, f'{agent.name} was cut off')
                self.say(f'{agent.name} was cut off for {seconds} s: the job failed after {taken:.1f} s')
            else:
                self.say(f'{agent.name} was cut off for {seconds} s')
            time.sleep(max(0, seconds - (time.monotonic() - since)))
            heal()
            torture.counts[f'cut for {seconds} s'] += 1
            self.set_rate(0)
            left = torture.wait_sessions({session: 'backup'}, 150)
            self.check(not left, f'the session of a host that was cut off did not end: {agent.name}, {seconds} s')
        healed = time.monotonic()
        if self.check(torture.available(60), f'{agent.name} was not back a minute after its cable was mended'):
            self.say(f'it was back after {time.monotonic() - healed:.1f} s')
        self.succeeds(job, f'the run after {agent.name} was cut off')

    def cut_source(self):
        agent, job = self.choose_source()
        self.cut_host(agent, agent, job)

    def cut_repository(self):
        agent, job = self.choose_source()
        self.cut_host(self.torture.keep, agent, job)

    def full(self):
        """The disk of the repository runs full in the middle of a run. What is there can still be read; with room again the
        next run is good."""
        torture = self.torture
        agent, job = self.choose_source()
        torture.ballast = torture.main.parent / 'ballast'
        state = os.statvfs(torture.main.parent)
        with open(torture.ballast, 'wb') as file:
            os.posix_fallocate(file.fileno(), 0, max(state.f_bavail * state.f_frsize - (8 << 20), 1))
        with self.large(agent, 40 << 20):
            session = self.asked(self.fleet.start, job)
            with contextlib.suppress(rig.FleetError):
                self.fleet.wait(session, 200)
            result = self.asked(self.fleet.session, session)['result']
            text = result['message'] + ''.join(self.asked(self.fleet.logs, session))
            self.check(result['result'] == 'Failed' and ('space' in text or 'full' in text),
                       f'the run that filled the disk: {result}')
            rows = torture.points()
            torture.restores(self.random.choice(rows), 'while the disk is full')
            torture.ballast.unlink()
            torture.ballast = None
            again = self.succeeds(job, 'the run after there was room again')
            sent = torture.sent(again)
            self.check(sent <= (40 << 20) * 1.1 + (2 << 20), f'{sent} bytes were sent of {40 << 20}')
            self.say(f"the disk ran full: {result['message']}")
        self.succeeds(job, 'the run after that')

    def twice(self):
        """A host that is managed waits to be enrolled, and is added once more under another name: it must not become two,
        and goes on as who it is."""
        agent, job = self.choose_source()
        before = len(self.asked(self.fleet.all, '/api/v1/backupInfrastructure/managedServers'))
        if world.inside():
            with contextlib.suppress(Exception):
                world.run(*agent.place.prefix(), 'ip', 'address', 'add', f'{agent.address}/24', 'dev', 'eth0')
        other = 'localhost' if not world.inside() else alias(self.torture.folder, agent.address)
        token = rig.new_token()
        (agent.folder / 'token').write_text(token, encoding='ascii')
        log = agent.folder / 'enroll-again'
        log.unlink(missing_ok=True)
        enroll = rig.Process(agent.argv('enroll', '--again', '--json', '--token-file', agent.folder / 'token'), log)
        try:
            rig.wait_for('the agent to listen', 40, lambda: '"port"' in enroll.output())
            session = self.asked(self.fleet.post, '/api/v1/holdfast/hosts', {
                'name': f'{other}:{agent.installer}', 'description': 'once more', 'token': token})['id']
            with contextlib.suppress(rig.FleetError):
                self.fleet.wait(session, 60)
            result = self.asked(self.fleet.session, session)['result']
            self.check(result['result'] == 'Failed' and agent.id in result['message'],
                       f'the second enrolment of {agent.name}: {result}')
        finally:
            enroll.stop()
        after = len(self.asked(self.fleet.all, '/api/v1/backupInfrastructure/managedServers'))
        self.check(before == after, f'{before} hosts became {after}')
        self.check(self.torture.available(60), f'{agent.name} is not back after it was enrolled twice')
        self.succeeds(job, 'the run of a host that was enrolled twice')
        self.say(f"enrolled twice: {result['message']}")


def alias(folder, address):
    """Another name of the host: names are looked up in a file of our own here."""
    own = folder / 'hosts'
    text = pathlib.Path('/etc/hosts').read_text(encoding='utf-8') if not own.exists() else own.read_text(encoding='utf-8')
    name = 'again-' + address.replace('.', '-')
    if name not in text:
        mounted = own.exists()
        own.write_text(f'{text}\n{address} {name}\n', encoding='utf-8')
        if not mounted:
            world.run('mount', '--bind', own, '/etc/hosts')
    return name
