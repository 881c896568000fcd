/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Workers: a process for each task, started by the keeper on an order of the server. It runs as the keeper does (root,
 * where that is root), has no network (a namespace of its own where that is allowed), and ends when the keeper ends.
 * What it needs of the network are links: socket pairs whose other end the transport role joins to a TLS connection.
 *
 * A task is a kind (a name), an opaque message, secrets, and links. Its code is a function that reads the message, does
 * the work, tells about it, and leaves a result:
 *
 *     static gboolean run_backup(HfWorker *worker, GByteArray *result, GError **error)
 *     {
 *       HfView task = hf_worker_task(worker), secret = hf_worker_secret(worker);
 *       HfChannel *data = hf_worker_link(worker, 0, error);
 *       ...engine with hf_worker_report(worker) and hf_worker_cancel(worker)...
 *     }
 *     const HfTaskKind hf_task_backup = { "backup", run_backup };
 *
 * The keeper keeps what the worker tells until the server has taken it: of progress the last, log lines and warnings up
 * to a bound (then the oldest go, and the number of those is told), the result always, also over a restart of the
 * keeper. A worker that dies gives a result too: failed, by what. To each result the keeper adds the bytes that went
 * over the wire by the links of the task, TLS included.
 *
 * Threads: the functions below may be called from any thread of the worker.
 */
#pragma once

#include <glib.h>

#include "base/work.h"
#include "base/report.h"
#include "format/cursor.h"
#include "net/channel.h"

#define HF_TASK_MESSAGE_MAX (1u << 20) /* bytes of a task message, and of its secrets */
#define HF_TASK_RESULT_MAX (1u << 20)
#define HF_TASK_LINKS_MAX 64u
#define HF_TASK_LINE_MAX 4096u /* a longer log line or warning is cut */

typedef struct HfWorker HfWorker;

/* Runs a task to its end. TRUE: done, with `result` (opaque, at most HF_TASK_RESULT_MAX bytes) for the server, also
 * when there were warnings. FALSE: failed, with an error whose code and message the server shows; what was put into
 * `result` is handed over as well. HF_ERROR_CANCELLED means: stopped because it was asked to. */
typedef gboolean (*HfTaskRun)(HfWorker *worker, GByteArray *result, GError **error);

typedef struct HfTaskKind {
  const char *name; /* "backup" */
  HfTaskRun run;
} HfTaskKind;

/* What the server ordered. Views live as long as the worker; secrets are wiped when it ends. */
guint64 hf_worker_id(const HfWorker *worker);        /* the task's number on this host */
const char *hf_worker_name(const HfWorker *worker);  /* the task's id of the server: an uuid */
const char *hf_worker_host(const HfWorker *worker);  /* the uuid of this host */
const char *hf_worker_state(const HfWorker *worker); /* folder for caches and states of tasks: exists, mode 0700 */
HfView hf_worker_task(const HfWorker *worker);
HfView hf_worker_secret(const HfWorker *worker);

/* Set when the server cancels the task, or the agent is asked to end: stop soon, leave a checkpoint. A worker that goes
 * on for HF_TASK_GRACE_SECONDS is killed. */
#define HF_TASK_GRACE_SECONDS 60u
HfCancel *hf_worker_cancel(HfWorker *worker);

/* The throttle of all that the task sends and receives, the worker's. It has the rate that the server told last, until
 * then `rate` (0: no limit) of the task's message. */
HfThrottle *hf_worker_throttle(HfWorker *worker, guint64 rate);

/* The reports of the engine: its warnings and progress go to the server. */
HfReport *hf_worker_report(HfWorker *worker);
/* Figures of the task's own (busy times, bytes on the wire...), opaque here: whenever progress is told, `measure` is
 * asked for them by the thread that tells it. NULL: no more; nobody asks any longer when this has returned. */
typedef GBytes *(*HfWorkerMeasure)(gpointer user);
void hf_worker_measure(HfWorker *worker, HfWorkerMeasure measure, gpointer user);
/* A line of the task's log. */
void hf_worker_log(HfWorker *worker, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* ---- Links: connections to other hosts, as the order of the task names them. ---- */

guint hf_worker_links(const HfWorker *worker);
/*
 * Joins link `index` to its far end and waits until that is done: an outward link calls the far host (the transport
 * port first, for 3 seconds, unless the order says that the range alone may be used; then the channel port that the far
 * host named for it) and shows the ticket; an inward link waits until the peer of its ticket has called. The channel is
 * plain (the transport role does the TLS) and the caller's: hf_channel_free. Each link is opened once; HF_ERROR_IO
 * names the address and the ports that were tried. `peer`: what errors of the channel call the far end; NULL: the
 * link's number.
 */
HfChannel *hf_worker_link(HfWorker *worker, guint index, const char *peer, GError **error);
/* The same without waiting for the far end: what is written at once (up to 4 KiB) goes out together with the ticket,
 * which saves a round trip. When it cannot be joined the channel is closed, and hf_worker_link_joined says why. */
HfChannel *hf_worker_link_begin(HfWorker *worker, guint index, const char *peer, GError **error);
/* Waits until that link was joined; FALSE with the reason when it was not. */
gboolean hf_worker_link_joined(HfWorker *worker, guint index, GError **error);

/*
 * Lets the keeper run the scripts that the order names before the task, outside of this process (which has no network),
 * and waits for them: FALSE when one that is required failed, or the task was cancelled meanwhile. Once this was called
 * the keeper runs the scripts after the task as well, whatever becomes of the worker and of the keeper. Called at most
 * once, and by tasks that have scripts only.
 */
gboolean hf_worker_scripts(HfWorker *worker, GError **error);

/* ---- The program's side. ---- */

/* What the agent is put together from (src/bin): task kinds and the repository service. */
typedef struct HfTicket HfTicket;
typedef struct HfControl HfControl;
/* hf_hold_ask of agent/hold.h */
typedef gboolean (*HfHoldFunc)(const char *repository, guint64 seconds, const GPtrArray *names, guint *refused,
                               GError **error);
typedef struct HfAgentParts {
  const HfTaskKind *const *tasks; /* ended by NULL */
  /* hf_vault_serve of agent/vault/vault.h */
  gboolean (*serve)(HfChannel *channel, const HfTicket *ticket, const char *peer, HfCancel *cancel, GError **error);
  /* hf_hooks_serve of agent/tasks/hooks.h */
  gboolean (*scripts)(HfControl *control, GError **error);
  /* hf_vault_take_over of agent/vault/vault.h */
  void (*take_over)(const char *repository, HfCancel *cancel);
  /* hf_vault_hold_by of agent/vault/vault.h */
  void (*hold_by)(HfHoldFunc ask);
} HfAgentParts;

/* Takes its task from the control socket and returns when it is done. */
gboolean hf_worker_run(HfControl *control, const HfAgentParts *parts, GError **error);
