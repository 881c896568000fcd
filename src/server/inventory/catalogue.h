/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The catalogue: backups, their objects and restore points. It is a cache of what the repositories hold: a rescan tells
 * it every point of a repository and then forgets those that it did not see.
 */
#pragma once

#include "server/inventory/inventory.h"

typedef struct HfBackupRow {
  char *id;
  char *job_id;   /* may be NULL */
  char *job_type, *name, *platform, *repository_id;
  gint64 created;
} HfBackupRow;
void hf_backup_free(HfBackupRow *row);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfBackupRow, hf_backup_free)

typedef struct HfObjectRow {
  char *id;
  char *host_id;   /* may be NULL */
  char *name;
  char *type;      /* "Files", "Disk" */
  char *platform, *path;
  char *source_id; /* hex */
  gboolean last_run_failed;
  gint64 created;
} HfObjectRow;
void hf_object_free(HfObjectRow *row);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfObjectRow, hf_object_free)

typedef struct HfPointRow {
  char *id;
  char *backup_id, *object_id;
  char *file_id;   /* may be NULL */
  char *repository_id;
  char *point;     /* 32 hex digits */
  char *name;
  gint64 sequence, time;
  gint64 source_time;
  char *type;      /* "Full", "Increment" */
  gint64 original_size, read_size, stored_size, entries;
  char *session_id; /* may be NULL */
  char *writer;
  gint64 locked_until;
  gboolean damaged;
  char *facts;     /* JSON */
  gint64 seen;
} HfPointRow;
void hf_point_row_free(HfPointRow *row);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfPointRow, hf_point_row_free)

HfBackupRow *hf_inv_backup_get(const HfInventory *inv, const char *id, GError **error);
HfObjectRow *hf_inv_object_get(const HfInventory *inv, const char *id, GError **error);
HfPointRow *hf_inv_point_get(const HfInventory *inv, const char *id, GError **error);
/* HfPointRow*, oldest first; `object_id` NULL: all of the backup. */
GPtrArray *hf_inv_points_of(const HfInventory *inv, const char *backup_id, const char *object_id, GError **error);

/* Adds a point, with its backup, object and file where they are missing, in one transaction; a point that is there
 * already (repository and point) is brought up to date. `backup` needs job_id (or NULL), job_type, name, platform,
 * repository_id; `object` host_id, name, type, platform, path, source_id; `point` what the engine told. Ids are filled
 * in to all three. */
gboolean hf_inv_point_add(const HfInventory *inv, HfBackupRow *backup, HfObjectRow *object, HfPointRow *point,
                          GError **error);
/* Forgets points that are gone (by the engine's ids, ended by NULL), and objects and backups that have none left. */
gboolean hf_inv_points_forget(const HfInventory *inv, const char *repository_id, const char *const *points,
                              GError **error);
/* The end of a rescan: forgets all points of the repository with `seen` before `since`. `*forgotten` may be NULL. */
gboolean hf_inv_points_forget_unseen(const HfInventory *inv, const char *repository_id, gint64 since, gint64 *forgotten,
                                     GError **error);
/* Notes for what rules beyond the last points (HfInvPeriod, or'ed) retention keeps each of `n` points (by the engine's
 * ids) of the repository; those that the catalogue does not know are passed over. */
typedef enum HfInvPeriod {
  HF_INV_PERIOD_WEEKLY = 1,
  HF_INV_PERIOD_MONTHLY = 2,
  HF_INV_PERIOD_YEARLY = 4,
} HfInvPeriod;
gboolean hf_inv_points_periods(const HfInventory *inv, const char *repository_id, const char *const *ids,
                               const guint *periods, guint n, GError **error);
gboolean hf_inv_point_damaged(const HfInventory *inv, const char *id, gboolean damaged, GError **error);
gboolean hf_inv_point_lock(const HfInventory *inv, const char *id, gint64 locked_until, GError **error);
gboolean hf_inv_object_result(const HfInventory *inv, const char *id, gboolean failed, GError **error);
/* Deletes a backup from the catalogue (its points are gone from the repository, or the repository itself is). */
gboolean hf_inv_backup_delete(const HfInventory *inv, const HfActor *actor, const char *id, GError **error);
