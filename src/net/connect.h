/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Making TCP connections. Sockets come close-on-exec, without delay (TCP_NODELAY) and with keepalive (30 seconds idle,
 * 3 probes 10 seconds apart), and do not block: channels wait by themselves. Any thread.
 */
#pragma once

#include <glib.h>

#include "base/work.h"

/*
 * Connects to `host` (an IPv4 or IPv6 address, or a name: all its addresses are tried in the order of the resolver) and
 * `port` within `timeout_ms` in all. The socket is the caller's, or -1. Errors name host, port and each address that
 * was tried with its cause: HF_ERROR_NOT_FOUND for a name that does not resolve, else HF_ERROR_IO.
 */
int hf_net_connect(const char *host, guint16 port, int timeout_ms, GError **error);
/* The same; HF_ERROR_CANCELLED a moment after `cancel` (NULL: never) was set. A name that is being looked up is waited
 * for. */
int hf_net_connect_or_cancel(const char *host, guint16 port, int timeout_ms, HfCancel *cancel, GError **error);

/* Listens on `address` (NULL or "": all addresses, IPv6 and IPv4) and `port` (0: one that is free). HF_ERROR_EXISTS
 * when the port is in use, HF_ERROR_PERMISSION when it may not be taken. */
int hf_net_listen(const char *address, guint16 port, GError **error);
/* The port that a socket is bound to; 0 for other sockets. */
guint16 hf_net_port(int fd);

/* The next connection, waiting at most `timeout_ms` (-1: for ever); -1 with HF_ERROR_IO. shutdown() of the listening
 * socket by another thread ends the wait with HF_ERROR_CANCELLED. `peer` (may be NULL) is set to "ADDRESS port N". */
int hf_net_accept(int listener, int timeout_ms, char **peer, GError **error);

/* Address (without port) of a socket's other end as text; "" when it has none. Caller frees. */
char *hf_net_peer_address(int fd);
/* "ADDRESS port N"; "unknown" for sockets without addresses. Caller frees. */
char *hf_net_peer_text(int fd);
