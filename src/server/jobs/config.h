/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a job's config says (docs/rest.md 7), as structs. Pure. */
#pragma once

#include <glib.h>

typedef struct HfJobObject {
  char *host_id, *name;
  GPtrArray *paths, *excludes; /* of char*, owned */
  gboolean disks;              /* the paths are block devices */
  gboolean entire;             /* every local file system: paths is { "/" } and stays on no one of them */
} HfJobObject;


typedef struct HfJobConfig {
  GPtrArray *objects; /* of HfJobObject*, owned, in the order of work */
  gboolean snapshot;
  guint freeze;                        /* seconds; 0: not given */
  guint keep_points, keep_days;        /* one of them, or neither */
  guint keep_weekly, keep_monthly, keep_yearly;
  char *before, *after;                /* commands on the server; NULL: none */
  char *hook_before, *hook_after, *hook_user; /* on each host; NULL: none */
  guint hook_timeout;                  /* seconds */
  gboolean hook_required;
  /* BackupCopy */
  gboolean immediate;
  GPtrArray *source_jobs, *source_repositories, *source_backups; /* of char*, owned */
} HfJobConfig;

/* HF_ERROR_USAGE naming the key that is wrong. */
HfJobConfig *hf_job_config_parse(const char *json, GError **error);
void hf_job_config_free(HfJobConfig *config);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfJobConfig, hf_job_config_free)

/* The name under which an object is kept in a repository: that of its host, and of the job. Caller frees. */
char *hf_job_object_label(const char *job_name, const HfJobObject *object);
