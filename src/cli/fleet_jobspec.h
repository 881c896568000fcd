/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the options of job create and job change make of a job. */
#pragma once

#include "cli/fleet.h"

/* A job as the interface has it, without name, for the options of job create; the caller's. NULL with an error. */
json_t *hf_jobspec_new(HfFleet *fleet, const HfOptions *options, GError **error);
/* Puts what options say into a job that the interface gave; what they do not say stays. */
gboolean hf_jobspec_apply(HfFleet *fleet, const HfOptions *options, json_t *job, GError **error);

/* "90m", "6h" as number and "Minutes" or "Hours". */
gboolean hf_jobspec_period(const char *text, guint64 *frequency, const char **unit, GError **error);
/* "22:00". */
gboolean hf_jobspec_clock(const char *text, GError **error);
