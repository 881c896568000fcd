/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of server/hosts share. */
#pragma once

#include "base/work.h"
#include "net/rpc.h"
#include "net/tls.h"
#include "server/hosts/hosts.h"

#define HF_HOST_CALL_MS 90000 /* longer than the keeper's own patience with an order */

/* A task that somebody waits for (hf_hosts_do). */
typedef struct HfWaiter {
  const char *task;
  gboolean done;
  HfInstallerResult *result;
} HfWaiter;

typedef struct HfHost {
  HfHosts *hosts;
  gint references; /* under the lock of hosts */
  char *id, *name, *address;
  guint16 port;
  GThread *thread;
  GMutex telling;  /* held while status or still are told, so that what is told last is what is so */
  GMutex ordering; /* held from the number of an order to its answer (invariant 3) */
  GMutex lock;     /* of all below */
  GCond changed;
  gboolean removed, nudged, available;
  gint64 away_since;  /* monotonic us: since when it is not available */
  char *why;       /* it does not answer, or NULL */
  char *reached;   /* the address that answered last, or NULL: other hosts may have no name server */
  HfChannel *channel; /* while a session stands or begins */
  HfRpc *rpc;         /* while it is available */
  guint users;        /* of rpc, on other threads */
  guint64 order;      /* the last number that was used or told */
  gint64 clock_ahead; /* of the host's clock over ours, ns */
  gint64 certificate_until; /* seconds since 1970, as it told */
  guint64 epoch, after; /* the last event that was taken */
  GList *waiters;
} HfHost;

struct HfHosts {
  HfHostsOps ops;
  HfTlsIdentity *tls;
  GMutex lock; /* of all below */
  HfServerIdentity *identity;
  GHashTable *hosts; /* id -> HfHost */
  char **revoked;
  GArray *dialing;   /* int: second descriptors of sockets that are no channels yet */
  HfCancel broken;   /* set under the lock as well */
};

/* ---- Connections that are being made: what is waited for there ends when calls are broken off. ---- */
/* Connects, as hf_net_connect does. */
int hf_hosts_dial(HfHosts *hosts, const char *address, guint16 port, int timeout_ms, GError **error);
/* From here to hf_hosts_dialed, with what this gave, `fd` is shut down when calls are broken off. */
int hf_hosts_dialing(HfHosts *hosts, int fd);
void hf_hosts_dialed(HfHosts *hosts, int handle);

/* The host, referenced, or NULL with HF_ERROR_NOT_FOUND. */
HfHost *hf_host_ref(HfHosts *hosts, const char *id, GError **error);
void hf_host_unref(HfHost *host);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfHost, hf_host_unref)

/* The session of the host for a call, or NULL with HF_ERROR_IO; given back by hf_host_leave. */
HfRpc *hf_host_enter(HfHost *host, GError **error);
void hf_host_leave(HfHost *host);

/* Logs the rows of a connection from this server to a service of the host. */
void hf_host_log_rows(HfHost *host, const char *service, const char *peer);

/* Tells ops.still what is so. */
void hf_host_tell_again(HfHost *host);
/* The thread of a host: calls it until it is removed. */
gpointer hf_host_thread(gpointer host);
/* By what it told of its certificate. */
gboolean hf_host_renew_is_due(HfHost *host);
/* Renews the certificate of a host that answers. */
gboolean hf_host_renew(HfHost *host, GError **error);
/* Signs and sends. */
GBytes *hf_host_order(HfHost *host, HfInstallerAct act, GBytes *body, GError **error);
/* Tells the serials that are void. */
gboolean hf_host_send_revoked(HfHost *host, GError **error);
/* A certificate for a host, told to ops.issued. Caller frees. */
char *hf_hosts_issue(HfHosts *hosts, const char *host, const char *name, const char *request, GError **error);
