#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast data go through the fleet: on loopback beside the engine alone, and over a long link (75 ms each way, 200
Mbit/s, with and without loss) beside iperf3 with as many streams: backup, the same again, restore, copy. With `others`
restic over `rclone serve restic` and borg over ssh, too.

    tests/bench/fleet.py BUILD loopback [FOLDER]          FOLDER: what is saved; /usr/share unless given
    tests/bench/fleet.py BUILD link [MEGABYTES] [others]  root; 200 unless given

The source is at the far end. Rates are megabytes of files a second, from when a session is made until its end; iperf3
runs 20 s after its first 3, and once more, from its beginning, for as many bytes as are saved.
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


def lasted(fleet, session):
    found = fleet.session(session)
    times = [time.mktime(time.strptime(found[key][:19], '%Y-%m-%dT%H:%M:%S')) + float('0.' + found[key][20:26])
             for key in ('creationTime', 'endTime')]
    return times[1] - times[0]


def through(fleet, job):
    session = fleet.run(job, seconds=3600)
    return lasted(fleet, session), fleet.tasks(session)[0]['progress']


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


def congestion():
    """What the agents' connections ask the kernel for (net/connect.c), where it has it: iperf3 gets the same."""
    known = pathlib.Path('/proc/sys/net/ipv4/tcp_available_congestion_control').read_text(encoding='ascii').split()
    return ['-C', 'bbr'] if 'bbr' in known else []


def iperf(link, *amount):
    with subprocess.Popen(['iperf3', '-s', '-1', '-B', NEAR], stdout=subprocess.DEVNULL) as server:
        time.sleep(0.5)
        found = json.loads(run(*link.far, 'iperf3', '-c', NEAR, '-P', STREAMS, *amount, *congestion(), '-J').stdout)
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


def borg(link, folder, source):
    port = rig.free_ports(1)[0]
    home = folder / 'borg'
    home.mkdir()
    for name in ('host', 'user'):
        run('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', home / name)
    pathlib.Path('/run/sshd').mkdir(exist_ok=True)
    server = subprocess.Popen(['/usr/sbin/sshd', '-D', '-f', '/dev/null', '-p', str(port), '-h', home / 'host',
                               '-o', f'ListenAddress={NEAR}', '-o', f"AuthorizedKeysFile={home / 'user.pub'}", '-o',
                               'StrictModes=no', '-o', 'PermitRootLogin=yes', '-o', 'PidFile=none'],
                              stderr=subprocess.DEVNULL)
    time.sleep(1)
    repository = f"ssh://root@{NEAR}:{port}{home / 'repository'}"
    env = {**os.environ, 'BORG_PASSPHRASE': 'x', 'BORG_BASE_DIR': str(home),
           'BORG_RSH': f"ssh -i {home / 'user'} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"}
    try:
        run(*link.far, 'borg', 'init', '-e', 'repokey-blake2', repository, env=env)
        begun = time.monotonic()
        run(*link.far, 'borg', 'create', f'{repository}::one', source, env=env)
        return time.monotonic() - begun
    finally:
        server.kill()
        server.wait()


def copy_job(fleet, job, repository):
    return fleet.post('/api/v1/jobs', {
        'type': 'BackupCopy', 'name': 'copy', 'description': '', 'isHighPriority': False, 'mode': 'Periodic',
        'sourceObjects': {'includes': {'jobs': [{'id': job}]}},
        'target': {'backupRepositoryId': repository,
                   'retentionPolicy': {'type': 'RestorePoints', 'quantity': 7}}})['id']


def measure(link, folder, fleet, megabytes):
    """What the fleet does over the link: seconds of each."""
    fleet.start_server()
    near, far = fleet.add_agent('near'), fleet.add_agent('far', FAR, link.far)
    job = fleet.add_job('job', far, [folder / 'source'], fleet.add_repository('main', near))
    backup, progress = through(fleet, job)
    again, _ = through(fleet, job)
    restore = lasted(fleet, fleet.restore(fleet.points()[-1]['id'], folder / 'out', host=far, seconds=3600))
    run('diff', '-r', folder / 'source', f"{folder / 'out'}{folder / 'source'}")
    copy = lasted(fleet, fleet.run(copy_job(fleet, job, fleet.add_repository('second', far)), seconds=3600))
    return {'backup_s': backup, 'again_s': again, 'restore_s': restore, 'copy_s': copy,
            'fleet_MBs': progress['transferredSize'] / backup / 1e6, 'bottleneck': progress['bottleneck'],
            'restore_MBs': megabytes * 1.048576 / restore, 'copy_MBs': megabytes * 1.048576 / copy}


def link_row(build, folder, megabytes, loss, others):
    source = folder / 'source'
    source.mkdir()
    for number in range(megabytes):
        (source / f'{number:05}').write_bytes(os.urandom(1 << 20))
    with Link(build, loss) as link, rig.Fleet(folder / 'fleet', build, address=NEAR) as fleet:
        limit = iperf(link, '-t', '20', '-O', '3') / 1e6
        same = iperf(link, '-n', f'{megabytes}M') / 1e6
        row = {'megabytes': megabytes, 'loss_permille': loss, 'load': os.getloadavg()[0], 'iperf3_MBs': limit,
               'iperf3_same_bytes_MBs': same, **measure(link, folder, fleet, megabytes)}
        row |= {'ratio': row['fleet_MBs'] / limit, 'ratio_same_bytes': row['fleet_MBs'] / same}
        if others:
            row |= {'restic_s': restic(link, folder, source), 'borg_s': borg(link, folder, source)}
        show({key: round(value, 2) if isinstance(value, float) else value for key, value in row.items()})


def long_link(build, megabytes, others):
    for loss in (0, 10):
        folder = pathlib.Path(tempfile.mkdtemp(prefix='holdfast-bench-'))
        try:
            link_row(build, folder, megabytes, loss, others)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def main():
    build, what = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
    if what == 'loopback':
        loopback(build, sys.argv[3] if len(sys.argv) > 3 else '/usr/share')
    elif os.environ.get('HOLDFAST_BENCH_ALONE') != '1':
        os.execvpe('unshare', ['unshare', '-n', sys.executable, *sys.argv], {**os.environ, 'HOLDFAST_BENCH_ALONE': '1'})
    else:
        long_link(build, int(sys.argv[3]) if len(sys.argv) > 3 else 200, 'others' in sys.argv[4:])


if __name__ == '__main__':
    main()
