/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Scripts before and after a task: programs with arguments, a user and a timeout. No shell is involved. */
#pragma once

#include "agent/worker.h"
#include "net/messages/work.h"

/* Runs them one after the other; `when` ("before") is for the log, which gets the first lines of what they print. One
 * that fails or takes too long is a warning, or, when it is required, HF_ERROR_FAILED; then the rest is not run. Each
 * runs in a process group of its own, which is killed as a whole. */
gboolean hf_hooks_run(HfWorker *worker, const HfWorkScript *scripts, guint count, const char *when, GError **error);
