/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A testing aid: makes chosen calls of hf_sys fail. The layer is compiled in always, so that tests run what is
 * shipped; the environment is listened to only in debug builds (HF_TEST_HOOKS in src/base/meson.build).
 *
 *   HOLDFAST_FAULT=N:ERRNO[:FUNCTION][:persist]
 *                             the N-th call (from 1) of FUNCTION, a member of HfSys, fails with ERRNO, for example
 *                             "3:ENOSPC:write"; without FUNCTION the N-th call of any; with "persist" all after it too
 *   HOLDFAST_FAULT=N:SHORT[:FUNCTION][:persist]
 *                             it moves half of the bytes only; calls that move no bytes, or one, are left alone
 *   HOLDFAST_FAULT_COUNT=FILE the number of all calls is written to FILE at exit, so that a test can try each N
 *   HOLDFAST_KILL=N           the process ends by SIGKILL instead of making the N-th call
 *   HOLDFAST_RECORD=FILE      the calls that change files are recorded (base/sysrecord.h)
 *
 * A call that is made to fail is not made, except close, which never leaves a file descriptor open on Linux. "EINTR"
 * with "persist" is of no use: who retries on EINTR never ends.
 *
 * Threads: install and remove before other threads start and after they end; the layer itself is thread-safe. With
 * several threads, which call is the N-th may differ from run to run.
 */
#pragma once

#include <glib.h>

typedef struct HfSysFault {
  guint64 nth;          /* from 1; 0: count only */
  const char *function; /* a member of HfSys; NULL: any call */
  int errnum;           /* 0: a short count */
  gboolean persist;
  guint64 kill_nth; /* of all calls; 0: never */
} HfSysFault;

/* Puts the layer around the table in force, or only replaces its plan; counts start at 0. `fault->function` must
 * stay valid. HF_ERROR_USAGE when it is no member of HfSys. */
gboolean hf_sys_fault_install(const HfSysFault *fault, GError **error);
/* Puts the table back that was there before; without effect when not installed. */
void hf_sys_fault_remove(void);

/* Calls since the layer was installed: of `function`, or all for NULL. */
guint64 hf_sys_fault_calls(const char *function);
/* How many calls were made to fail or cut short: a test should see that its fault was hit. */
guint64 hf_sys_fault_hits(void);

/* Reads the value of HOLDFAST_FAULT; kill_nth is left alone. */
gboolean hf_sys_fault_parse(const char *text, HfSysFault *fault, GError **error);

/* Sets up what the environment asks for. main() calls it first of all. */
gboolean hf_sys_fault_from_environment(GError **error);
