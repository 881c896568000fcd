#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast data go through the fleet: on loopback beside the engine alone, and over a long link (75 ms each way, 200
Mbit/s, with and without loss) beside iperf3 with as many streams, and restic over `rclone serve restic`.

    tests/bench/fleet.py BUILD loopback [FOLDER]     FOLDER: what is saved; /usr/share unless given
    tests/bench/fleet.py BUILD link [MEGABYTES]      root; 200 unless given
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'fleet'))
import rig  # noqa: E402

NEAR, FAR = '10.9.0.1', '10.9.0.2'
RATE = '200mbit'
STREAMS = 5


def show(row):
    print(json.dumps(row), flush=True)


def run(*argv, **more):
    return subprocess.run([str(arg) for arg in argv], check=True, capture_output=True, text=True, **more)


# ---- Loopback: in turn, so that both see the same machine. ----

def alone(build, folder, source):
    begun = time.monotonic()
    run(build / 'src/bin/holdfast', 'backup', '-r', folder / 'alone', '--password-file', folder / 'password', source)
    return time.monotonic() - begun


def through(fleet, job):
    session = fleet.run(job, seconds=3600)
    progress = fleet.tasks(session)[0]['progress']
    found = fleet.session(session)
    times = [time.mktime(time.strptime(found[key][:19], '%Y-%m-%dT%H:%M:%S')) + float('0.' + found[key][20:26])
             for key in ('creationTime', 'endTime')]
    return times[1] - times[0], progress


def loopback(build, source):
    for turn in range(3):
        folder = pathlib.Path(tempfile.mkdtemp(prefix='holdfast-bench-'))
        try:
            (folder / 'password').write_text('bench password', encoding='ascii')
            run(build / 'src/bin/holdfast', 'init', '-r', folder / 'alone', '--password-file', folder / 'password')
            with rig.Fleet(folder / 'fleet', build) as fleet:
                fleet.start_server()
                agent = fleet.add_agent('one')
                job = fleet.add_job('job', agent, [source], fleet.add_repository('main', agent))
                first = alone(build, folder, source)
                seconds, progress = through(fleet, job)
                show({'loopback': turn, 'alone_s': round(first, 2), 'fleet_s': round(seconds, 2),
                      'ratio': round(first / seconds, 2), 'sent': progress['transferredSize'],
                      'processed': progress['processedSize']})
        finally:
            shutil.rmtree(folder, ignore_errors=True)


# ---- The long link. ----

class Link:
    """This process's network namespace is the near end; `far` is the prefix of commands at the far end."""

    def __init__(self, build, loss):
        self.keeper = subprocess.Popen(['unshare', '-n', 'sleep', 'infinity'])
        time.sleep(0.3)
        self.far = ['nsenter', '-t', str(self.keeper.pid), '-n']
        self.line = subprocess.Popen([build / 'tests/bench/longlink', 'long0', str(self.keeper.pid), '75', str(loss)],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.line.stdout.readline().strip() != 'ready':
            raise rig.FleetError('no link could be made')
        for prefix, address in (([], NEAR), (self.far, FAR)):
            run(*prefix, 'ip', 'link', 'set', 'lo', 'up')
            run(*prefix, 'ip', 'address', 'add', f'{address}/24', 'dev', 'long0')
            run(*prefix, 'ip', 'link', 'set', 'long0', 'up', 'txqueuelen', '10000')
            run(*prefix, 'tc', 'qdisc', 'add', 'dev', 'long0', 'root', 'tbf', 'rate', RATE, 'burst', '256k', 'latency',
                '400ms')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.line.stdin.close()
        self.line.wait()
        self.keeper.kill()
        self.keeper.wait()


def iperf(link, seconds=20):
    server = subprocess.Popen(['iperf3', '-s', '-1', '-B', NEAR], stdout=subprocess.DEVNULL)
    time.sleep(0.5)
    found = json.loads(run(*link.far, 'iperf3', '-c', NEAR, '-P', STREAMS, '-t', seconds, '-O', 3, '-J').stdout)
    server.wait()
    return found['end']['sum_received']['bits_per_second'] / 8


def restic(link, folder, source):
    port = rig.free_ports(1)[0]
    (folder / 'restic').mkdir()
    server = subprocess.Popen(['rclone', 'serve', 'restic', folder / 'restic', '--addr', f'{NEAR}:{port}'],
                              env={**os.environ, 'RCLONE_CONFIG': '/dev/null'}, stderr=subprocess.DEVNULL)
    time.sleep(1)
    env = {**os.environ, 'RESTIC_PASSWORD': 'x', 'RESTIC_REPOSITORY': f'rest:http://{NEAR}:{port}/',
           'RESTIC_CACHE_DIR': str(folder / 'cache')}
    try:
        run(*link.far, 'restic', 'init', env=env)
        begun = time.monotonic()
        run(*link.far, 'restic', 'backup', source, env=env)
        return time.monotonic() - begun
    finally:
        server.kill()
        server.wait()


def long_link(build, megabytes):
    for loss in (0, 10):
        folder = pathlib.Path(tempfile.mkdtemp(prefix='holdfast-bench-'))
        try:
            source = folder / 'source'
            source.mkdir()
            for number in range(megabytes):
                (source / f'{number:05}').write_bytes(os.urandom(1 << 20))
            with Link(build, loss) as link, rig.Fleet(folder / 'fleet', build, address=NEAR) as fleet:
                limit = iperf(link)
                fleet.start_server()
                near, far = fleet.add_agent('near'), fleet.add_agent('far', FAR, link.far)
                job = fleet.add_job('job', far, [source], fleet.add_repository('main', near))
                seconds, progress = through(fleet, job)
                mean = progress['transferredSize'] / seconds
                row = {'loss_permille': loss, 'iperf3_MBs': round(limit / 1e6, 1), 'fleet_MBs': round(mean / 1e6, 1),
                       'ratio': round(mean / limit, 2), 'seconds': round(seconds, 1),
                       'bottleneck': progress['bottleneck']}
                again, _ = through(fleet, job)
                row['again_s'] = round(again, 1)
                row['restic_s'] = round(restic(link, folder, source), 1)
                show(row)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def main():
    build, what = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
    if what == 'loopback':
        loopback(build, sys.argv[3] if len(sys.argv) > 3 else '/usr/share')
    elif os.environ.get('HOLDFAST_BENCH_ALONE') != '1':
        os.execvpe('unshare', ['unshare', '-n', sys.executable, *sys.argv], {**os.environ, 'HOLDFAST_BENCH_ALONE': '1'})
    else:
        long_link(build, int(sys.argv[3]) if len(sys.argv) > 3 else 200)


if __name__ == '__main__':
    main()
