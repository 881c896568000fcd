/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Ports of data connections: each connection of a job has one of its own from the range of the host (docs/fleet.md 2).
 * All processes of a host that share a folder share the range.
 *
 * INVARIANTS
 * 1. A port is held by at most one lease at a time: by a lock (flock) on the file PORT in the folder, which the kernel
 *    releases when the holder ends, however it ends.
 * 2. Ports are tried in ascending order; one that somebody else has bound is passed over.
 * 3. A lease ends after its connection: the lock is kept until hf_port_release.
 *
 * Threads: a pool by any; a lease by one at a time, but hf_port_lease_stop by any.
 */
#pragma once

#include <glib.h>

typedef struct HfPortPool HfPortPool;
/* `folder` is made (mode 0700) when missing. `first` and `last` 0: the range of the catalogue. */
HfPortPool *hf_port_pool_new(const char *folder, guint16 first, guint16 last, GError **error);
void hf_port_pool_free(HfPortPool *pool);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfPortPool, hf_port_pool_free)

typedef struct HfPortLease {
  guint16 port;
  int fd;   /* listening; -1 once hf_port_accept gave a connection */
  int lock; /* private */
} HfPortLease;

/* Takes the lowest port that is free and listens on it at `address` (NULL: all). HF_ERROR_BUSY when the whole range is
 * taken: the message has the range. */
HfPortLease *hf_port_take(HfPortPool *pool, const char *address, GError **error);
/*
 * Waits for the connection that the lease is for: the first from `from` (an address; NULL: from anywhere). Others are
 * closed at once. Then it stops listening: a lease takes one connection. The socket is the caller's; -1 with
 * HF_ERROR_IO after `timeout_ms`, HF_ERROR_CANCELLED after hf_port_lease_stop. `peer` may be NULL; see hf_net_accept.
 */
int hf_port_accept(HfPortLease *lease, const char *from, int timeout_ms, char **peer, GError **error);
/* When what connected turned out to be a stranger (TLS refused it): listens again on the same port. */
gboolean hf_port_listen_again(HfPortLease *lease, const char *address, GError **error);
/* Ends a wait. */
void hf_port_lease_stop(HfPortLease *lease);
/* Stops listening and gives the port back: after the connection was closed. NULL is allowed. */
void hf_port_release(HfPortLease *lease);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfPortLease, hf_port_release)
