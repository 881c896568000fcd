/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The scripts around a task, as the keeper sees them: a child that runs them ("--role scripts", agent/tasks/hooks.h),
 * and a file that says that those after the task are owed.
 *
 *   new --(the worker asks)--> before runs --> owed --(the worker has ended)--> after runs --> over
 *                                 \---------- the worker has ended ------------/
 *   owed --(the keeper was killed)--> the next one runs those after, outcome "failed"
 *
 * INVARIANTS
 * 1. From before the first script runs until those after have ended, the file is there (NUMBER.scripts in the folder of
 *    tasks): what a script has stopped is started again also by the next keeper. Those after may so run twice.
 * 2. What is run is what the signed order says: the worker tells when, not what.
 * 3. A child that did not end in order leaves no process of its scripts behind: all that bear the task's mark in their
 *    environment are killed, also at the start of a keeper.
 *
 * Threads: the keeper's main thread.
 */
#pragma once

#include "agent/control.h"

typedef struct HfScripts HfScripts;

typedef struct HfScriptsOps {
  /* HF_CONTROL_LINE of the child. */
  void (*line)(gpointer user, HfReader *reader);
  /* Those before or those after have ended; `error` NULL: well. The scripts may be freed after the latter. */
  void (*ended)(gpointer user, gboolean after, const GError *error);
} HfScriptsOps;

typedef struct HfScriptsOf {
  const char *program; /* path of this program */
  const char *folder;  /* of tasks */
  guint64 number;
  const char *task, *kind;
  GBytes *order; /* the message of the task, as it was signed */
} HfScriptsOf;

/* Copies what it needs. */
HfScripts *hf_scripts_new(const HfScriptsOf *of, const HfScriptsOps *ops, gpointer user);
/* Those of a task that an earlier keeper left; NULL when it owes none. Kills what still runs of them. */
HfScripts *hf_scripts_left(const HfScriptsOf *of, const HfScriptsOps *ops, gpointer user);
/* Kills what runs; the file stays. */
void hf_scripts_free(HfScripts *scripts);

/* Runs those before; `ended` is told. FALSE: nothing runs, nothing is owed. */
gboolean hf_scripts_before(HfScripts *scripts, GError **error);
/* Runs those after when they are owed, as soon as those before have ended: TRUE, and `ended` will be told. */
gboolean hf_scripts_after(HfScripts *scripts, const char *outcome);
/* Ends those before. */
void hf_scripts_cancel(HfScripts *scripts);
