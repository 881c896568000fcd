# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets that a rule of nftables sent to a group of NFLOG, over netlink, without a library."""
import ipaddress
import os
import socket
import struct

NETLINK_NETFILTER = 12
ULOG = 4 << 8  # the subsystem in the upper byte of a message's type
PACKET, CONFIG = 0, 1
NLM_REQUEST_ACK = 1 | 4
NLM_ERROR = 2
CFG_CMD, CFG_MODE, CFG_QTHRESH = 1, 2, 5
CMD_BIND = 1
COPY_PACKET = 2
A_HEADER, A_PAYLOAD, A_PREFIX, A_UID = 1, 9, 10, 11
DIRECTIONS = {1: 'in', 2: 'forward', 3: 'out'}  # by hook of netfilter
TRANSPORTS = {6: 'tcp', 17: 'udp'}
SKIPPED_HEADERS = (0, 43, 60)  # of IPv6: hop-by-hop, routing, destination options


def attribute(kind, payload):
    length = 4 + len(payload)
    return struct.pack('=HH', length, kind) + payload + bytes(-length % 4)


def attributes(data):
    found, offset = {}, 0
    while offset + 4 <= len(data):
        length, kind = struct.unpack_from('=HH', data, offset)
        if length < 4:
            break
        found[kind & 0x3fff] = data[offset + 4:offset + length]
        offset += (length + 3) & ~3
    return found


def configure(channel, group, *settings):
    body = struct.pack('=BBH', socket.AF_UNSPEC, 0, socket.htons(group)) + b''.join(settings)
    channel.send(struct.pack('=IHHII', 16 + len(body), ULOG | CONFIG, NLM_REQUEST_ACK, 1, 0) + body)
    answer = channel.recv(4096)
    kind, = struct.unpack_from('=H', answer, 4)
    code, = struct.unpack_from('=i', answer, 16)
    if kind != NLM_ERROR or code:
        raise OSError(-code, f'NFLOG group {group}: {os.strerror(-code)}')


def listen(group):
    """A socket that gets the group's packets of the network namespace that the caller is in."""
    channel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER)
    channel.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE: bursts of packets
    channel.bind((0, 0))
    configure(channel, group, attribute(CFG_CMD, struct.pack('=B', CMD_BIND)))
    configure(channel, group, attribute(CFG_MODE, struct.pack('>IBB', 128, COPY_PACKET, 0)),
              attribute(CFG_QTHRESH, struct.pack('>I', 1)))
    channel.setblocking(False)
    return channel


def parse_packet(payload):
    """(transport, source, source port, destination, destination port) of an IP packet; None for other protocols."""
    if len(payload) < 20:
        return None
    if payload[0] >> 4 == 4:
        protocol, offset = payload[9], (payload[0] & 15) * 4
        source, target = ipaddress.ip_address(payload[12:16]), ipaddress.ip_address(payload[16:20])
    elif len(payload) >= 40:
        protocol, offset = payload[6], 40
        source, target = ipaddress.ip_address(payload[8:24]), ipaddress.ip_address(payload[24:40])
        while protocol in SKIPPED_HEADERS and len(payload) >= offset + 2:
            protocol, offset = payload[offset], offset + 8 + payload[offset + 1] * 8
    else:
        return None
    if protocol not in TRANSPORTS or len(payload) < offset + 4:
        return None
    ports = struct.unpack_from('>HH', payload, offset)
    return TRANSPORTS[protocol], str(source), ports[0], str(target), ports[1]


def parse_messages(data):
    """A record for each TCP and UDP packet in what the socket gave."""
    records, offset = [], 0
    while offset + 16 <= len(data):
        length, kind = struct.unpack_from('=IH', data, offset)
        if length < 20:
            break
        if kind == ULOG | PACKET:
            found = attributes(data[offset + 20:offset + length])
            packet = parse_packet(found.get(A_PAYLOAD, b''))
            if packet:
                transport, source, source_port, target, target_port = packet
                direction = DIRECTIONS.get(found[A_HEADER][2], '?') if A_HEADER in found else '?'
                records.append({
                    'direction': direction, 'transport': transport, 'source': source, 'source_port': source_port,
                    'target': target, 'port': target_port,
                    'user': struct.unpack('>I', found[A_UID])[0] if A_UID in found else None,
                    'prefix': found.get(A_PREFIX, b'').rstrip(b'\0').decode('utf-8', 'replace').strip()})
        offset += (length + 3) & ~3
    return records


def drain(channel):
    """All packets that wait in the socket. `lost` in a record: the kernel had no room for some."""
    records = []
    while True:
        try:
            records += parse_messages(channel.recv(1 << 17))
        except BlockingIOError:
            return records
        except OSError as error:
            if error.errno != 105:  # ENOBUFS
                raise
            records.append({'lost': True})
