/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Tries ports of other machines, many at once: connects over TCP or sends a datagram over UDP, and where it knows the
 * protocol that should be spoken there, says hello and looks whether the answer is one.
 *
 * One thread, non-blocking sockets, at most HF_PROBE_AT_ONCE of them open. Nothing is sent that changes anything on the
 * other side: no log in, no write, at most a greeting or a question that everybody may ask.
 *
 * INVARIANTS
 * 1. Each target is tried at its address, port and transport and nowhere else, at most once a hello to try.
 * 2. Each target ends with a result within 2 * timeout for each hello, whatever the other side does; what it sends is
 *    read up to HF_PROBE_MAX_ANSWER bytes and never trusted: texts in results are printable.
 */
#pragma once

#include <glib.h>

#include "base/work.h"
#include "ports/catalogue/catalogue.h"
#include "ports/topology/topology.h"

#define HF_PROBE_AT_ONCE 1000
#define HF_PROBE_MAX_ANSWER 4096  /* bytes of an answer that are looked at, outside TLS */
#define HF_PROBE_MAX_APPLICATIONS 4

typedef enum HfProbeState {
  HF_PROBE_UNTRIED,  /* cancelled, or this machine could not try: the reason tells */
  HF_PROBE_OPEN,     /* who should answer does, or accepts connections and nobody can be asked who he is */
  HF_PROBE_CLOSED,   /* the packet gets there, and nothing listens */
  HF_PROBE_FILTERED, /* something on the way swallows it or refuses it */
  HF_PROBE_SILENT,   /* UDP without an answer: open or filtered, nobody can tell which */
  HF_PROBE_WRONG,    /* something else listens there */
} HfProbeState;

typedef struct HfProbeTarget {
  HfTopologyAddress address; /* a single one */
  guint transport;           /* HF_PORT_TCP or HF_PORT_UDP */
  guint16 port;
  /* The protocols that may be spoken there (ids of data/ports/applications.tsv), tried one after another until one of
   * them is; with none, or one that cannot be asked, a connection is enough. */
  const char *applications[HF_PROBE_MAX_APPLICATIONS];
  guint n_applications;
  const char *host_name; /* for TLS (SNI), or NULL */
  gpointer user;         /* the caller's */
} HfProbeTarget;

/* A certificate that was shown; nothing about it was verified. */
typedef struct HfProbeCertificate {
  char *subject, *issuer;  /* RFC 4514, printable */
  gint64 from, until;      /* seconds since 1970 */
} HfProbeCertificate;

typedef struct HfProbeResult {
  HfProbeState state;
  const char *application; /* the one that was found to be spoken, or NULL: not asked or not found */
  char *reason;            /* why, in one line: "connection refused", "no answer in 2.0 s"; NULL when there is none */
  char *banner;            /* the first line that it said, printable, at most 120 bytes; or NULL */
  HfProbeCertificate *certificate; /* with TLS, else NULL */
  gint64 microseconds;     /* until the connection stood or the answer came; until the end when there was none */
} HfProbeResult;

/* What a run tells its caller: results one by one, as they come; `result` lives only for the call. */
typedef void (*HfProbeDone)(const HfProbeTarget *target, const HfProbeResult *result, gpointer user);

typedef struct HfProber HfProber;
/* `timeout_ms` is how long a connection, and after it an answer, may take: 1 to 600,000. */
HfProber *hf_prober_new(guint timeout_ms, HfProbeDone done, gpointer user);
void hf_prober_free(HfProber *prober);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfProber, hf_prober_free)

/* Adds a target, also from within `done`. Texts in it are borrowed until its result came. */
void hf_prober_add(HfProber *prober, const HfProbeTarget *target);
/* Tries all that was added, and what `done` adds meanwhile, and returns when all have their results. After a cancel
 * those that are left end UNTRIED and it fails with HF_ERROR_CANCELLED. HF_ERROR_IO when this machine gives no sockets
 * at all. */
gboolean hf_prober_run(HfProber *prober, HfCancel *cancel, GError **error);

/* "open", "closed", "filtered", "silent", "wrong", "untried"; static. */
const char *hf_probe_state_text(HfProbeState state);
