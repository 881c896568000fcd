/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whether what is planned works: tries, from this machine, every flow whose connecting end is one host.
 *
 * INVARIANTS
 * 1. Only addresses, transports and ports of the plan's outbound elements of the host are tried, each once.
 * 2. At most `limit` ports are tried; what is left out is counted and said.
 * 3. Of a range the first and the last port are tried. When a packet gets through to one of them (it is not filtered)
 *    and the range has at most `scan` ports, the others are tried too: those that are closed are only counted
 *    (`scanned`), because on most of a range nothing listens. Of ranges over UDP only the first and the last are tried,
 *    because systems limit how often they say that a port is closed.
 */
#pragma once

#include <glib.h>

#include "base/report.h"
#include "ports/plan/plan.h"
#include "ports/live/probe.h"

typedef struct HfCheckOptions {
  guint timeout_ms;
  guint64 limit;     /* ports to try at most, over all */
  guint scan;        /* ranges of at most so many ports are looked through for what listens; 0: none */
  gboolean paths;    /* only whether packets get through: nobody is asked who he is, and closed is good */
} HfCheckOptions;

/* What became of one port at one address. All borrowed, for the time of the call. */
typedef struct HfCheckResult {
  const HfPlanFlow *flow;
  const HfTopologyNode *node; /* who listens there */
  const HfPlanName *name;     /* the named set, or NULL */
  const char *host_name;      /* by which the address was found, or NULL */
  const HfTopologyAddress *address; /* a network where there is no single one to try; NULL: there is none at all */
  guint16 port;
  const HfProbeResult *probe; /* its state is HF_PROBE_UNTRIED, with a reason, where nothing was tried */
  gboolean good; /* nothing to do about it: open or silent, closed in a range or with `paths`, without an address */
} HfCheckResult;

typedef void (*HfCheckDone)(const HfCheckResult *result, gpointer user);

typedef struct HfCheckSummary {
  guint64 results[HF_PROBE_WRONG + 1]; /* by HfProbeState */
  guint64 bad;   /* results that are not good */
  guint64 tried; /* ports that were tried, those of ranges included */
  guint64 scanned; /* ports inside ranges that were tried and are no result: nothing listens there */
  guint64 left;  /* ports that were not tried because of `limit` */
} HfCheckSummary;

/*
 * Finds the host that this machine is, by the addresses of its interfaces: HF_ERROR_NOT_FOUND when none of them is in
 * the topology, HF_ERROR_USAGE when several hosts have one of them.
 */
const HfTopologyNode *hf_check_self(const HfTopology *topology, GError **error);
/* TRUE when an interface of this machine has an address of `node`. */
gboolean hf_check_is_self(const HfTopologyNode *node);

/* Tries what `host` connects to and calls `done` for each result, in the order in which they come. `report` shows how
 * far it is (files: ports). FALSE when it was cancelled or cannot be done here; `summary` tells what was done then. */
gboolean hf_check_run(const HfPlan *plan, const HfTopologyNode *host, const HfCheckOptions *options, HfReport *report,
                      HfCancel *cancel, HfCheckDone done, gpointer user, HfCheckSummary *summary, GError **error);
