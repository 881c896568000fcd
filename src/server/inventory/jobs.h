/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Jobs, as rows; what runs them is server/jobs, what starts them server/schedule. */
#pragma once

#include "server/inventory/inventory.h"

typedef struct HfJobRow {
  char *id;
  char *name, *description;
  char *type;          /* "LinuxAgentBackup", "FileBackup", "BackupCopy" */
  gboolean disabled, high_priority;
  char *repository_id; /* may be NULL */
  char *config;        /* JSON object; server/jobs says what is in it */
  char *schedule;      /* JSON object for hf_schedule_parse */
  gint64 objects_count;
  char *after_job_id;  /* may be NULL; set from the schedule's "afterThisJob" by create and change */
  char *status;        /* "Running", "Inactive", "Disabled", "Stopping", "Starting" */
  gint64 next_run;
  char *next_run_policy;
  gint64 last_run;
  char *last_result;
  char *last_session_id; /* may be NULL */
  gint64 retries;
  gint64 created, modified;
} HfJobRow;
void hf_job_free(HfJobRow *row);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfJobRow, hf_job_free)

HfJobRow *hf_inv_job_get(const HfInventory *inv, const char *id, GError **error);
HfJobRow *hf_inv_job_find(const HfInventory *inv, const char *name, GError **error);
GPtrArray *hf_inv_jobs_load(const HfInventory *inv, GError **error);
/* `hosts`: ids of the hosts that the config names, ended by NULL. The schedule is parsed; a chain of jobs that comes
 * back to itself is HF_ERROR_USAGE. */
gboolean hf_inv_job_create(const HfInventory *inv, const HfActor *actor, HfJobRow *row, const char *const *hosts,
                           GError **error);
/* Name, description, high_priority, repository, config, schedule, objects_count. `hosts` NULL: stay. */
gboolean hf_inv_job_change(const HfInventory *inv, const HfActor *actor, const HfJobRow *row, const char *const *hosts,
                           GError **error);
/* HF_ERROR_BUSY while it runs, HF_ERROR_EXISTS while another job runs after it. Its backups stay. */
gboolean hf_inv_job_delete(const HfInventory *inv, const HfActor *actor, const char *id, GError **error);
gboolean hf_inv_job_switch(const HfInventory *inv, const HfActor *actor, const char *id, gboolean disabled,
                           GError **error);
/* Ids of the hosts that the job names; g_strfreev. */
char **hf_inv_job_hosts(const HfInventory *inv, const char *id, GError **error);

/* A run begins: status Starting, last_run and last_session_id set. HF_ERROR_BUSY when it runs already: only one caller
 * wins. A planned run sets `retries` to 0, `retry` counts it up. */
gboolean hf_inv_job_begin(const HfInventory *inv, const char *id, const char *session_id, gboolean retry,
                          GError **error);
/* "Running", "Stopping": only while a run lasts. */
gboolean hf_inv_job_status(const HfInventory *inv, const char *id, const char *status, GError **error);
/* The run ended: status Inactive or Disabled, last_result. */
gboolean hf_inv_job_end(const HfInventory *inv, const char *id, const char *result, GError **error);
