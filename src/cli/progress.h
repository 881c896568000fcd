/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How a running operation shows itself (base/report.h): a bar on a terminal, one JSON object a line, or nothing but
 * warnings. Warnings are always printed, each with the thing that it is about.
 *
 * JSON: {"type":"progress","files_done","bytes_done","files_total","bytes_total","stored_bytes","seconds"} once a
 * second and at the end (totals only once they are known), {"type":"warning","path","message"},
 * {"type":"item","path","what"}.
 */
#pragma once

#include <stdio.h>

#include "base/report.h"

typedef enum HfProgressMode {
  HF_PROGRESS_NONE, /* warnings and, with verbose, items as text */
  HF_PROGRESS_BAR,
  HF_PROGRESS_JSON,
} HfProgressMode;

typedef struct HfProgressView HfProgressView;
/* `stream` is borrowed. The view is called by one thread at a time: HfReport sees to that. */
HfProgressView *hf_progress_new(FILE *stream, HfProgressMode mode, gboolean verbose);
void hf_progress_free(HfProgressView *view);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfProgressView, hf_progress_free)

/* A report that shows itself in `view`, which must outlive it. */
HfReport *hf_progress_report(HfProgressView *view);

/* Takes the bar off the terminal, for a line of standard output to stand there; the next progress brings it back. */
void hf_progress_hide(HfProgressView *view);

/* The line of the bar in at most `width` columns: `rate` in bytes a second, `seconds` since the start; files are left
 * out when none were counted. Caller frees. */
char *hf_progress_line(const HfProgress *progress, double rate, double seconds, gsize width);
