/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What listens on a machine, from the tables of the kernel: /proc/net/tcp, tcp6, udp and udp6. */
#pragma once

#include <glib.h>

#include "ports/topology/topology.h"

typedef struct HfSocket {
  guint transport; /* HF_PORT_TCP or HF_PORT_UDP */
  /* Where it listens; prefix 0: at all addresses of the family. */
  HfTopologyAddress address;
  /* A socket of IPv6 at all addresses may take IPv4 too (IPV6_V6ONLY is not in the tables): TRUE for these. */
  gboolean both;
  guint16 port;
  guint32 uid;
  guint64 inode;
  char *program; /* its name where it can be found out, else NULL */
} HfSocket;

/* TCP sockets that listen, UDP sockets that are bound and not connected; by transport, port, address. HfSocket by
 * value; caller unrefs (programs are freed with it). */
GArray *hf_sockets_live(GError **error);
/* The same from a file ("-": standard input) that holds these tables one after another, each under a line with its
 * name, as `tail -n +1 /proc/net/tcp /proc/net/tcp6 /proc/net/udp /proc/net/udp6` prints them. HF_ERROR_INVALID for a
 * line that is none of such a table. */
GArray *hf_sockets_load(const char *path, GError **error);
GArray *hf_sockets_parse(const char *text, gsize length, const char *name, GError **error);
