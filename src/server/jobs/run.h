/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The run of a backup job (run.c) and of a copy job (copy.c): HfJobsWork whose data is a config, owned by the run. */
#pragma once

#include "server/jobs/state.h"

/* Also takes up a run whose tasks are there already. */
gboolean hf_jobs_run_backup(HfJobsRun *run, gpointer config, const char **result, GError **error);
gboolean hf_jobs_run_copy(HfJobsRun *run, gpointer config, const char **result, GError **error);
/* A run of the job ended: begins the copy jobs that take its points at once (mode Immediate). */
void hf_jobs_start_copies(HfJobs *jobs, const char *job_id);
/* Runs a command of the server's administrator around a run, by the same rules as on hosts: absolute path and arguments
 * divided by blanks, no shell. */
/* Does a run of this session have to do with the object? A retry is for what failed only. */
gboolean hf_jobs_wanted(HfJobs *jobs, const HfSessionRow *session, const HfJobObject *object);
gboolean hf_jobs_command(HfJobsRun *run, const char *command, const char *when, GError **error);
