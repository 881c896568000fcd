/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How long this process was inside system calls on user data, summed over its threads: who reads waits for the source,
 * who writes for the target. Measured by a table of system calls that looks at the clock around those in force.
 */
#pragma once

#include <glib.h>

/* Once, before threads start (base/sys.h). */
void hf_busy_start(void);
/* Microseconds; 0 before hf_busy_start. */
guint64 hf_busy_reading_us(void);
guint64 hf_busy_writing_us(void);
