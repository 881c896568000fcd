/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A worker without a keeper: what tasks tell is kept in memory. Linked in place of agent/worker.c. */
#pragma once

#include "agent/worker.h"

struct HfWorker {
  HfCancel cancel;
  HfReport *report;
  char *state;      /* folder */
  GPtrArray *lines; /* of char*: log lines, and warnings behind "warning: " */
};
void fake_worker_init(HfWorker *worker, const char *state);
void fake_worker_clear(HfWorker *worker);
gboolean fake_worker_told(const HfWorker *worker, const char *text);
