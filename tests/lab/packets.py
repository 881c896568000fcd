# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether packets get from one machine of a lab to another: nothing needs to listen there, a refusal is an answer too."""
import errno
import select
import socket
import time

PASSED = {0, errno.ECONNREFUSED}


def begin(address, transport, port):
    """A socket on its way; or None and the error that came at once."""
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    kind = socket.SOCK_STREAM if transport == 'tcp' else socket.SOCK_DGRAM
    channel = socket.socket(family, kind | socket.SOCK_NONBLOCK)
    code = channel.connect_ex((address, port))
    if transport == 'udp' and code == 0:
        try:
            channel.send(b'')
        except OSError as error:
            code = error.errno
    if code not in (0, errno.EINPROGRESS):
        channel.close()
        return None, code
    return channel, None


def try_all(places, seconds, at_once=400):
    """For each (address, transport, port): True when something came back. Runs inside a host (labs.Lab.call)."""
    results, waiting = {}, list(places)
    while waiting:
        batch, waiting = waiting[:at_once], waiting[at_once:]
        poll, open_sockets = select.poll(), {}
        for place in batch:
            channel, code = begin(*place)
            if channel is None:
                results[place] = code in PASSED
                continue
            open_sockets[channel.fileno()] = (channel, place)
            poll.register(channel, select.POLLOUT if place[1] == 'tcp' else select.POLLIN)
        until = time.monotonic() + seconds
        while open_sockets and time.monotonic() < until:
            for descriptor, _ in poll.poll(max(1, int((until - time.monotonic()) * 1000))):
                channel, place = open_sockets.pop(descriptor)
                poll.unregister(descriptor)
                results[place] = channel.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) in PASSED
                channel.close()
        for channel, place in open_sockets.values():
            results[place] = False
            channel.close()
    return results
