/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The only door to clocks. Durations and leases use the monotonic clock; wall time is for showing and for retention. */
#pragma once

#include <glib.h>

/* Microseconds of CLOCK_BOOTTIME (goes on during suspend, never jumps). */
gint64 hf_clock_monotonic_us(void);

/* Nanoseconds since 1970-01-01 UTC. HOLDFAST_TEST_TIME (seconds, may be negative) shifts it in debug builds. */
gint64 hf_clock_real_ns(void);

/* "2026-11-22T10:00:00+00:00" in local time of `ns`; caller frees. */
char *hf_clock_format_local(gint64 ns);
/* "2026-11-22T10:00:00.123456789Z"; caller frees. */
char *hf_clock_format_utc(gint64 ns);
/* Parses YYYY-MM-DD[THH:MM[:SS]][Z|+HH:MM] (local time when no zone is given). The value is the last nanosecond of
 * what was written: "2026-11-22T10:00" means up to 10:00:59.999999999. */
gboolean hf_clock_parse(const char *text, gint64 *ns, GError **error);
