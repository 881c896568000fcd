# SPDX-License-Identifier: GPL-3.0-or-later
"""Namespaces of Linux, and the keeper of a lab.

The keeper is one process, the init of a PID namespace of its own, and holds everything that a lab is: a network
namespace with a bridge, and for each machine a network, a mount and a host name of its own. When the keeper ends,
however it ends, the kernel ends every process of the lab and takes all namespaces away with them: nothing is left to
clean up but a folder in /run. It ends by itself when the process ends for which the lab was built. Nothing is ever
made or changed in the network namespace of the caller.
"""
import ctypes
import json
import os
import select
import signal
import socket
import subprocess

import nflog

NEWNS, NEWUTS, NEWPID, NEWNET = 0x00020000, 0x04000000, 0x20000000, 0x40000000
MS_BIND, MS_REC, MS_PRIVATE, MS_NOSUID, MS_NODEV = 4096, 16384, 1 << 18, 2, 4
PR_SET_PDEATHSIG = 1
KINDS = ('mnt', 'net', 'uts')

libc = ctypes.CDLL(None, use_errno=True)


def check(result, what):
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f'{what}: {os.strerror(number)}')


def unshare(flags):
    check(libc.unshare(flags), 'unshare')


def setns(descriptor):
    check(libc.setns(descriptor, 0), 'setns')


def mount(source, target, kind=None, flags=0, options=None):
    def text(value):
        return value.encode() if value is not None else None
    check(libc.mount(text(source), text(target), text(kind), ctypes.c_ulong(flags), text(options)), f'mount {target}')


def die_with_parent():
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def open_spaces(pid='self'):
    return {kind: os.open(f'/proc/{pid}/ns/{kind}', os.O_RDONLY | os.O_CLOEXEC) for kind in KINDS}


def enter(spaces):
    """Into all of them; the mount namespace first, because it changes what /proc is."""
    for kind in KINDS:
        setns(spaces[kind])


def run(command, text=None):
    done = subprocess.run(command, input=text, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout.strip()}")
    return done.stdout


def write(path, text):
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text)


# What a machine of a lab does not do: wait for duplicate addresses, ask for routers, or be thrifty with ICMP errors.
SYSCTLS = {
    'net/ipv6/conf/all/disable_ipv6': '0', 'net/ipv6/conf/default/accept_dad': '0',
    'net/ipv6/conf/default/accept_ra': '0', 'net/ipv4/icmp_ratemask': '0', 'net/ipv4/icmp_ratelimit': '0',
    'net/ipv6/icmp/ratelimit': '0', 'net/ipv4/tcp_syn_retries': '2', 'net/ipv4/ip_unprivileged_port_start': '0',
}


def link_commands(node, nodes, port, switch):
    """The commands of `ip` that plug a machine in. Everybody is on one wire, whatever the addresses are; where both
    ends have an address in a network of the same name, these are the ones to use."""
    lines = ['link set lo up', f'link add eth0 type veth peer name {port} netns {switch}', 'link set eth0 up']
    for address, _ in node.addresses:
        lines.append(f'address add {address}/{address.max_prefixlen} dev eth0' +
                     (' nodad' if address.version == 6 else ''))
    families = {address.version for address, _ in node.addresses}
    lines += [f"route add {'::/0' if family == 6 else '0.0.0.0/0'} dev eth0" for family in sorted(families)]
    for own, network in node.addresses:
        for peer in nodes:
            if network is None or peer is node:
                continue
            lines += [f'route add {address} dev eth0 src {own}' for address, other in peer.addresses
                      if other == network and address.version == own.version]
    return lines


class Keeper:
    """Runs as PID 1 of the lab."""

    def __init__(self, folder, nodes, rules, group, owner):
        self.folder, self.nodes, self.rules, self.group, self.owner = folder, nodes, rules, group, owner
        self.spaces, self.channels = {}, {}
        self.log = None

    def build(self):
        unshare(NEWNS)
        mount('none', '/', None, MS_REC | MS_PRIVATE)
        mount('proc', '/proc', 'proc', MS_NOSUID | MS_NODEV)
        base = open_spaces()
        unshare(NEWNET)
        run(['ip', '-batch', '-'], 'link set lo up\nlink add br0 type bridge mcast_snooping 0\nlink set br0 up\n')
        switch = open_spaces()
        anchor = os.fork()  # stays in the namespace of the bridge while the others are plugged in
        if anchor == 0:
            signal.pause()
        try:
            for index, node in enumerate(self.nodes):
                self.build_machine(node, index, anchor)
                enter(base | {'net': switch['net']})
            run(['ip', '-batch', '-'], ''.join(f'link set p{index} master br0 up\n'
                                               for index in range(len(self.nodes))))
        finally:
            os.kill(anchor, signal.SIGKILL)
            os.waitpid(anchor, 0)

    def build_machine(self, node, index, switch):
        unshare(NEWNET | NEWNS | NEWUTS)
        socket.sethostname(node.name)
        for name in ('hosts', 'resolv.conf'):
            target = os.path.realpath(f'/etc/{name}')
            if os.path.exists(target):
                mount(f'{self.folder}/{name}', target, None, MS_BIND)
        mount('run', '/run', 'tmpfs', MS_NOSUID | MS_NODEV, 'mode=755')
        os.mkdir('/run/lock')
        for name, value in SYSCTLS.items():
            if os.path.exists(f'/proc/sys/{name}'):
                write(f'/proc/sys/{name}', value)
        run(['ip', '-batch', '-'], '\n'.join(link_commands(node, self.nodes, f'p{index}', switch)) + '\n')
        if node.name in self.rules:
            run(['nft', '-f', '-'], self.rules[node.name])
            self.log_drops()
            self.channels[nflog.listen(self.group)] = node.name
        self.spaces[node.name] = open_spaces()

    def log_drops(self):
        """Adds what hand-written rules may lack: packets that reach the end of a chain that drops go to our group."""
        ruleset = json.loads(run(['nft', '-j', 'list', 'ruleset']))['nftables']
        logged = {(rule['family'], rule['table'], rule['chain'])
                  for rule in (item['rule'] for item in ruleset if 'rule' in item)
                  if any('log' in part and part['log'].get('group') == self.group for part in rule['expr'])}
        for chain in (item['chain'] for item in ruleset if 'chain' in item):
            place = chain['family'], chain['table'], chain['name']
            if chain.get('policy') == 'drop' and place not in logged:
                run(['nft', 'add', 'rule', *place, 'counter', 'log', 'group', str(self.group)])

    def take(self, channel):
        for record in nflog.drain(channel):
            self.log.write(json.dumps({'host': self.channels[channel]} | record) + '\n')
        self.log.flush()

    def answer(self, control):
        """One request of one byte: 's' all packets so far are written, 'd' the end."""
        peer, _ = control.accept()
        with peer:
            peer.settimeout(2)
            request = peer.recv(1)
            for channel in self.channels:
                self.take(channel)
            peer.sendall(b'k')
        return request != b'd'

    def serve(self, control):
        self.log = open(f'{self.folder}/stray.jsonl', 'a', encoding='utf-8')
        poll = select.poll()
        sources = {channel.fileno(): channel for channel in self.channels}
        for descriptor in (*sources, control.fileno(), self.owner):
            poll.register(descriptor, select.POLLIN)
        going = True
        while going:
            ready = {descriptor for descriptor, _ in poll.poll(500)}
            for descriptor in ready & set(sources):
                self.take(sources[descriptor])
            if control.fileno() in ready:
                try:
                    going = self.answer(control)
                except OSError:
                    pass  # who asked has gone away
            if self.owner in ready:
                going = False
            self.reap()

    @staticmethod
    def reap():
        """Children of processes that ended come to us, as to every init."""
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass
