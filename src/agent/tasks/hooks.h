/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Scripts before and after a task: programs with arguments, a user and a timeout. No shell is involved.
 *
 * They are run by a process of their own ("--role scripts"), a child of the keeper, which has the network and all else
 * that the host has; the worker has no network. What it runs it takes from the order as the server signed it, which the
 * keeper hands over: nobody tells it a path.
 *
 * INVARIANTS
 * 1. When a script has ended, took too long, or the keeper is gone, nothing that it started runs on: this process is
 *    the one to which orphans go (PR_SET_CHILD_SUBREAPER), and kills until it has no child. When this process is killed
 *    itself, the script goes with it (PR_SET_PDEATHSIG), and the keeper kills what bears HF_HOOKS_MARK of the task.
 * 2. Each script gets an environment made anew: PATH, HOME, USER, LOGNAME, SHELL, LANG of its user, and
 *      HOLDFAST_TASK     the task (HF_HOOKS_MARK)
 *      HOLDFAST_WHEN     before, after
 *      HOLDFAST_OUTCOME  after: success, failed, stopped
 */
#pragma once

#include "agent/hooks.h"

/*
 * Takes an HfHooksOrder from the control socket, runs the scripts one after the other, sends the first lines of what
 * they print (HF_CONTROL_LINE) and at the end HF_CONTROL_RESULT with an error or none. One that fails or takes too long
 * is a warning, or, when it is required, the error. Then those before are not run any further; those after are all run.
 * HF_CONTROL_CANCEL ends the one that runs.
 */
gboolean hf_hooks_serve(HfControl *control, GError **error);
