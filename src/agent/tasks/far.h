/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A repository that a worker reaches by its links, and what is measured on the way to it.
 */
#pragma once

#include "agent/worker.h"
#include "net/messages/work.h"
#include "repo/repo.h"
#include "storage/service/service.h"

typedef struct HfFar {
  HfWorker *worker; /* borrowed */
  HfRepo *repo;     /* owned; its store is one of storage/service */
  gint64 begun;     /* monotonic microseconds */
  const struct HfFar *other; /* whose figures are told together with these, or NULL */
} HfFar;

/* Opens all links of `where` and the repository behind them; `key` NULL: without keys; `throttle` (NULL: none, and it
 * must outlive the result) for what goes out and comes in. HF_ERROR_REFUSED when it is another repository than the
 * server said. */
HfFar *hf_far_open(HfWorker *worker, const HfWorkRepository *where, const HfWorkKey *key, HfThrottle *throttle,
                   GError **error);
void hf_far_free(HfFar *far);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfFar, hf_far_free)

/* The worker's secret as a key; wiped by hf_work_key_clear. */
gboolean hf_far_key(HfWorker *worker, HfWorkKey *key, GError **error);

/* Leaves an encoded result (taken over; NULL: FALSE) in `out`. */
gboolean hf_far_result(GBytes *encoded, GByteArray *out);

/* Tells what is measured here, and at `other` (NULL: nowhere else), with the progress of the task, until either is
 * freed. */
void hf_far_tell(HfFar *far, const HfFar *other);

/* Fills in what was measured since the repository was opened; several repositories of a task add up. */
void hf_far_figures(const HfFar *far, HfWorkFigures *figures);
