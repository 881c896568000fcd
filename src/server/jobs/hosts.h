/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the job runner asks of managed hosts; server/hosts gives it (its header declares the functions that fill this
 * table), tests give their own. Every function may block for seconds and is called from any thread. Ids of hosts are
 * those of the table `hosts`. Errors of a host that does not answer: HF_ERROR_IO, naming it.
 */
#pragma once

#include "crypto/crypto.h"
#include "net/channel.h"

/* A connection that a task may have: to the repository service of another host (or of the same). */
typedef struct HfJobLink {
  const char *host_id;     /* who is called */
  HfId token;              /* what is shown there */
  guint16 transport_port;  /* 0: the range only */
  guint16 channel_port;    /* 0: none */
  const char *role;        /* of the port catalogue: as what the host of the task calls there; static */
  const char *preferred;   /* an address of host_id that is called before its ordinary one; NULL: none */
} HfJobLink;

/* A ticket of the repository service of a host (agent/ticket.h says what the members mean). */
typedef struct HfJobTicket {
  HfShortId id;
  HfId token;          /* its hash is what the host learns */
  const char *peer_id; /* host that will show it; NULL: this server */
  const char *path;    /* of the repository */
  guint32 rights;
  HfShortId writer;
  GBytes *terms;
  guint32 seconds;
  guint32 streams;     /* connections at a time; as many channel ports are opened for it */
} HfJobTicket;

#define HF_JOB_STREAMS_MAX 16u
typedef struct HfJobTicketOpen {
  guint16 transport_port;
  guint16 channel_ports[HF_JOB_STREAMS_MAX];
  guint ports;
} HfJobTicketOpen;

typedef struct HfJobHosts {
  gpointer user;
  /* Puts a ticket in place at the host. */
  gboolean (*ticket)(gpointer user, const char *host_id, const HfJobTicket *ticket, HfJobTicketOpen *open,
                     GError **error);
  /* Takes it back; what it opened is closed. Failing is not an error: tickets end by themselves. */
  void (*ticket_close)(gpointer user, const char *host_id, const HfShortId *ticket);
  /* Orders a task by name (an uuid). HF_ERROR_EXISTS when the host has that task already. */
  gboolean (*order)(gpointer user, const char *host_id, const char *name, const char *kind, GBytes *task,
                    GBytes *secret, const HfJobLink *links, guint count, GError **error);
  gboolean (*cancel)(gpointer user, const char *host_id, const char *name, GError **error);
  /* Bytes a second that a task may have on the wire from now on, both ways together; 0: no limit. HF_ERROR_NOT_FOUND
   * when the host does not know it. */
  gboolean (*set_rate)(gpointer user, const char *host_id, const char *name, guint64 rate, GError **error);
  /* The IP address by which the host was reached last, and by which others call it; NULL: it was not. Caller frees. */
  char *(*address)(gpointer user, const char *host_id);
  /* Connects this server to the repository service of a host with a ticket's token: one channel, TLS done. */
  HfChannel *(*connect)(gpointer user, const char *host_id, const HfId *token, const HfJobTicketOpen *open, guint index,
                        GError **error);
  /* Names of the tasks that the host knows (running, or ended and not yet told); NULL when it does not answer. Of
   * char*; free with g_ptr_array_unref. */
  GPtrArray *(*tasks)(gpointer user, const char *host_id, GError **error);
} HfJobHosts;

/* What hosts tell; the pump of server/hosts calls these, one at a time for each host. Views live for the call. */
typedef struct HfJobProgress {
  guint64 files_done, bytes_done, files_total, bytes_total, stored_bytes;
  GBytes *figures; /* HfWorkFigures as the worker gave it, or NULL */
} HfJobProgress;
struct HfJobs;
void hf_jobs_told_progress(struct HfJobs *jobs, const char *host_id, const char *task, const HfJobProgress *progress);
void hf_jobs_told_line(struct HfJobs *jobs, const char *host_id, const char *task, gboolean warning, const char *line);
/* The end of a task: `why` NULL when it was done. `wire` bytes over its links. */
void hf_jobs_told_result(struct HfJobs *jobs, const char *host_id, const char *task, const GError *why, GBytes *result,
                         guint64 wire_sent, guint64 wire_received);
/* The host does not answer, or answers again. Tasks of a host that is away for HF_JOB_LOST_SECONDS fail: that a cable
 * was cut is seen after 15 seconds, and in 60 it is to be known. */
#define HF_JOB_LOST_SECONDS 40
void hf_jobs_told_host(struct HfJobs *jobs, const char *host_id, gboolean here);
