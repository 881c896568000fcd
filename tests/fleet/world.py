# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the torture of the fleet takes place. As root, each host has a network namespace of its own, plugged into one
bridge by a cable that can be cut, and the server stands beside them; else all share 127.0.0.1 and no cable is cut."""
import contextlib
import heapq
import itertools
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import sys
import threading
import time

import rig

INSIDE = 'HOLDFAST_TORTURE_INSIDE'
NETWORK = '10.77.0'


def inside():
    return INSIDE in os.environ


def enter_namespaces():
    """Runs this program again where cables can be laid, when we may."""
    if inside() or os.geteuid() != 0 or any(shutil.which(tool) is None for tool in ('unshare', 'nsenter', 'ip', 'nft')):
        return
    words = ['unshare', '-n', '-m', '--propagation', 'private', 'sh', '-c',
             'ip link set lo up && ip link add br0 type bridge mcast_snooping 0 && nft add table bridge torture && '
             f'ip address add {NETWORK}.1/24 dev br0 && ip link set br0 up']
    if subprocess.run(words, check=False, capture_output=True).returncode == 0:
        words[-1] += ' && exec "$0" "$@"'
        os.execvpe('unshare', [*words, sys.executable, '-B', *sys.argv], {**os.environ, INSIDE: '1'})


def run(*words):
    return subprocess.run([str(word) for word in words], check=True, capture_output=True, text=True).stdout


def tell(pid, number):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


class Later:
    """Does things when it is time, whatever else waits."""

    def __init__(self):
        self.lock = threading.Lock()
        self.order = itertools.count()
        self.due = []
        self.ended = False
        threading.Thread(target=self.loop, daemon=True).start()

    def loop(self):
        while not self.ended:
            time.sleep(0.05)
            for action in self.take(time.monotonic()):
                with contextlib.suppress(Exception):
                    action()

    def take(self, until):
        found = []
        with self.lock:
            while self.due and self.due[0][0] <= until:
                found.append(heapq.heappop(self.due)[2])
        return found

    def add(self, seconds, action):
        with self.lock:
            heapq.heappush(self.due, (time.monotonic() + seconds, next(self.order), action))

    def now(self):
        """Everything at once."""
        for action in self.take(float('inf')):
            action()


class Place:
    """A network namespace with one cable to the bridge."""

    def __init__(self, number):
        self.number = number
        self.address = f'{NETWORK}.{number}'
        self.cable = f'v{number}'
        self.anchor = subprocess.Popen(['unshare', '-n', 'sleep', 'infinity'])
        rig.wait_for('a namespace', 10, lambda: self.space('/proc/self') != self.space(f'/proc/{self.anchor.pid}'))
        run('ip', 'link', 'add', self.cable, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', self.anchor.pid)
        run('ip', 'link', 'set', self.cable, 'master', 'br0', 'up')
        for words in ('link set lo up', f'address add {self.address}/24 dev eth0', 'link set eth0 up'):
            run(*self.prefix(), 'ip', *words.split(' '))

    @staticmethod
    def space(process):
        with contextlib.suppress(OSError):
            return os.readlink(f'{process}/ns/net')
        return os.readlink('/proc/self/ns/net')

    def prefix(self):
        return ['nsenter', f'--net=/proc/{self.anchor.pid}/ns/net']

    def sent(self):
        """Bytes that came out of the host so far, as its cable saw them."""
        for line in pathlib.Path('/proc/self/net/dev').read_text(encoding='ascii').splitlines():
            name, _, figures = line.partition(':')
            if name.strip() == self.cable:
                return int(figures.split()[0])
        raise rig.FleetError(f'cable {self.cable} is gone')

    def connections(self):
        """(own port, address, port) of TCP connections that go through the cable."""
        found = []
        for line in pathlib.Path(f'/proc/{self.anchor.pid}/net/tcp').read_text(encoding='ascii').splitlines()[1:]:
            own, other, state = line.split()[1:4]
            address = '.'.join(str(byte) for byte in reversed(bytes.fromhex(other.split(':')[0])))
            if state == '01' and address.startswith(NETWORK + '.') and address != self.address:
                found.append((int(own.split(':')[1], 16), address, int(other.split(':')[1], 16)))
        return found

    def end(self):
        self.anchor.kill()
        self.anchor.wait()


class Cables:
    """What is cut is swallowed: nobody is told."""

    def __init__(self):
        self.usable = inside()
        if self.usable:
            self.nft('add chain bridge torture from { type filter hook prerouting priority 0; }')
            self.nft('add chain bridge torture to { type filter hook postrouting priority 0; }')

    @staticmethod
    def nft(words):
        return run('nft', *words.split(' '))

    def add(self, rules):
        """Gives what takes them away again."""
        handles = []
        for rule in rules:
            text = run('nft', '-a', '-e', *f'add rule bridge torture {rule} drop'.split(' '))
            handles.append((rule.split(' ')[0], text.rsplit('handle ', 1)[1].split()[0]))

        def heal():
            for chain, handle in handles:
                with contextlib.suppress(subprocess.CalledProcessError):
                    self.nft(f'delete rule bridge torture {chain} handle {handle}')
        return heal

    def cut(self, place, way, ports=None):
        """`way`: to the host, from it, or both. `ports`: only what goes to or from these of the host."""
        rules = []
        if way != 'from':
            rules.append(f'to oifname {place.cable}' + (f' tcp dport {{ {ports} }}' if ports else ''))
        if way != 'to':
            rules.append(f'from iifname {place.cable}' + (f' tcp sport {{ {ports} }}' if ports else ''))
        return self.add(rules)

    def halve(self, place):
        """Connections that stand are dead from now on, and nobody is told; new ones are let through."""
        rules = []
        for own, address, port in place.connections():
            rules += [f'from ip saddr {place.address} ip daddr {address} tcp sport {own} tcp dport {port}',
                      f'from ip saddr {address} ip daddr {place.address} tcp sport {port} tcp dport {own}']
        return self.add(rules), len(rules) // 2

    def heal(self):
        if self.usable:
            self.nft('flush chain bridge torture from')
            self.nft('flush chain bridge torture to')


class Volume:
    """A file system of its own for a source, so that it can be frozen while it is read. None is made where this machine has
    no loop devices, ext4 or freezing."""
    BYTES = 3 << 30 # of which only what is written takes room

    def __init__(self, image, folder):
        self.folder = folder
        folder.mkdir()
        with open(image, 'wb') as file:
            file.truncate(self.BYTES)
        self.made = False
        if not inside() or any(shutil.which(tool) is None for tool in ('mkfs.ext4', 'fsfreeze', 'losetup')):
            return
        with contextlib.suppress(subprocess.CalledProcessError):
            run('mkfs.ext4', '-q', '-m', '0', image)
            run('mount', '-o', 'loop', image, folder)
            self.made = True
            (folder / 'lost+found').rmdir()
            run('fsfreeze', '-f', folder)
            run('fsfreeze', '-u', folder)

    def writable(self, seconds):
        """Can be written to within the time. (A process that waits for a frozen file system cannot be killed.)"""
        probe = subprocess.Popen(['sh', '-c', 'echo > "$0" && sync "$0" && rm "$0"', self.folder / '.probe'])
        with contextlib.suppress(subprocess.TimeoutExpired):
            return probe.wait(seconds) == 0
        self.thaw()
        probe.wait()
        return False

    def thaw(self):
        subprocess.run(['fsfreeze', '-u', self.folder], check=False, capture_output=True)

    def end(self):
        if self.made:
            self.thaw()
            subprocess.run(['umount', '-l', self.folder], check=False, capture_output=True)


class Postgres:
    """A database server, reached by a socket in its folder."""

    def __init__(self, folder):
        self.folder = folder
        self.account = pwd.getpwnam('postgres')
        folder.mkdir()
        os.chown(folder, self.account.pw_uid, self.account.pw_gid)
        self.data = folder / 'data'
        tools = sorted(pathlib.Path('/usr/lib/postgresql').glob('*/bin'))[-1]
        self.program = tools / 'postgres'
        self.call(tools / 'initdb', '-A', 'trust', '-U', 'postgres', '-E', 'UTF8', '--locale=C', '-N', '-D', self.data)
        self.process = None
        self.url = f'postgresql://postgres@/holdfast?host={folder}'
        self.start()
        # Hundreds of restarts are a lot of waiting for disks otherwise; the machine itself is never cut off here.
        self.call('createdb', '-h', folder, '-U', 'postgres', 'holdfast')

    def words(self, words):
        return ['runuser', '-u', 'postgres', '--', *(str(word) for word in words)]

    def call(self, *words):
        subprocess.run(self.words(words), check=True, capture_output=True, cwd='/')

    def start(self):
        self.process = rig.Process(self.words([self.program, '-D', self.data, '-c', 'listen_addresses=', '-c',
                                               f'unix_socket_directories={self.folder}', '-c', 'fsync=off']),
                                   self.folder.parent / 'postgres.log')
        rig.wait_for('PostgreSQL', 30, lambda: subprocess.run(
            ['pg_isready', '-q', '-h', self.folder], check=False).returncode == 0)

    def pid(self):
        with contextlib.suppress(OSError, ValueError):
            return int((self.data / 'postmaster.pid').read_text(encoding='ascii').splitlines()[0])
        return None

    def stop(self, number):
        """SIGINT: at once, in order; SIGQUIT: as by a crash."""
        pid = self.pid()
        if pid is not None:
            tell(pid, number)
        self.process.popen.wait(60)

    def restart(self, number):
        self.stop(number)
        self.start()

    def end(self):
        with contextlib.suppress(Exception):
            self.stop(signal.SIGQUIT)
