# SPDX-License-Identifier: GPL-3.0-or-later
"""Loads rules of a host in a network namespace with a neighbour and sends packets: what the plan allows gets through
(and is refused by the system behind, for nobody listens), everything else is dropped.
usage: unshare --net --mount python3 packets.py FORMAT RULES PLAN

PLAN: a JSON object with "host" and "peer" (two addresses each, IPv4 and IPv6) and "flows" (direction, transport, first,
last). Prints how many were tried, and each that went wrong."""
import concurrent.futures
import errno
import json
import pathlib
import socket
import subprocess
import sys

LOAD = {
    'nftables': 'nft -f "$1"',
    'iptables': 'iptables-restore "$1"; ip6tables-restore "$1"',
    'ufw': 'mkdir /run/ufw-copy; cp -a /etc/ufw /run/ufw-copy/ufw; cp /etc/default/ufw /run/ufw-copy/default; '
           'mount --bind /run/ufw-copy/ufw /etc/ufw; mount --bind /run/ufw-copy/default /etc/default/ufw; '
           'sh "$1" > /dev/null; sh "$1" > /dev/null',
}
BUILD = ('mount --make-rprivate /; mount -t tmpfs none /run; mkdir /run/netns; ip netns add peer; '
         'ip link add here type veth peer name there netns peer; ip link set lo up; ip -n peer link set lo up; '
         'ip addr add "$1/24" dev here; ip addr add "$2/64" dev here nodad; ip link set here up; '
         'ip -n peer addr add "$3/24" dev there; ip -n peer addr add "$4/64" dev there nodad; '
         'ip -n peer link set there up')
PASSED, DROPPED = 'passed', 'dropped'


def shell(script, *words):
    subprocess.run(['sh', '-euc', script, 'sh', *words], check=True)


def send(address, transport, port):
    """What becomes of one packet: the answer of a closed port means that it got through, and the answer back."""
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM if transport == 'tcp' else socket.SOCK_DGRAM) as channel:
        channel.settimeout(0.5)
        try:
            channel.connect((address, port))
            if transport == 'udp':
                channel.send(b'x')
                channel.recv(1)
        except OSError as error:
            if isinstance(error, TimeoutError) or error.errno == errno.EPERM:
                return DROPPED
            if error.errno == errno.ECONNREFUSED:
                return PASSED
            raise
    return 'open'


def try_all(addresses, ports):
    tries = [(address, transport, port) for address in addresses for transport in ('tcp', 'udp') for port in ports]
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        return [[*each, found] for each, found in zip(tries, pool.map(lambda each: send(*each), tries))]


def ports_of(flows):
    found = {1, 22, 65535}
    for flow in flows:
        found |= {flow['first'] - 1, flow['first'], flow['last'], flow['last'] + 1}
    return sorted(found & set(range(1, 65536)))


def main(kind, rules, plan):
    plan = json.loads(pathlib.Path(plan).read_text(encoding='utf-8'))
    shell(BUILD, *plan['host'], *plan['peer'])
    shell(LOAD[kind], rules)
    ports = ports_of(plan['flows'])
    words = ['ip', 'netns', 'exec', 'peer', sys.executable, '-B', __file__, json.dumps([plan['host'], ports])]
    inbound = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    tried = {'out': try_all(plan['peer'], ports), 'in': inbound}
    for way, results in tried.items():
        for address, transport, port, found in results:
            allowed = any(flow['direction'] == way and flow['transport'] == transport and
                          flow['first'] <= port <= flow['last'] for flow in plan['flows'])
            if found != (PASSED if allowed else DROPPED):
                print('wrong:', way, address, transport, port, found)
    print(sum(map(len, tried.values())), 'tried')


if __name__ == '__main__':
    if len(sys.argv) == 2:
        print(json.dumps(try_all(*json.loads(sys.argv[1]))))
    else:
        main(*sys.argv[1:])
