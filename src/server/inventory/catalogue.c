/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "server/inventory/catalogue.h"

#include <string.h>

#include "base/error.h"
#include "server/inventory/tables.h"

#define R HfBackupRow
static const HfField backup_fields[] = {
  HF_FIELD(R, id, TEXT),   HF_FIELD(R, job_id, OPTIONAL), HF_FIELD(R, job_type, TEXT),
  HF_FIELD(R, name, TEXT), HF_FIELD(R, platform, TEXT),   HF_FIELD(R, repository_id, TEXT),
  HF_FIELD(R, created, NUMBER),
};
#undef R
static const HfTable backups = {"backups", "backup", sizeof(HfBackupRow), backup_fields, G_N_ELEMENTS(backup_fields)};

#define R HfObjectRow
static const HfField object_fields[] = {
  HF_FIELD(R, id, TEXT),
  HF_FIELD_CHANGES(R, host_id, OPTIONAL),
  HF_FIELD(R, name, TEXT),
  HF_FIELD_CHANGES(R, type, TEXT),
  HF_FIELD_CHANGES(R, platform, TEXT),
  HF_FIELD_CHANGES(R, path, TEXT),
  HF_FIELD(R, source_id, TEXT),
  HF_FIELD(R, last_run_failed, FLAG),
  HF_FIELD(R, created, NUMBER),
};
#undef R
static const HfTable objects = {"backup_objects", "backup object", sizeof(HfObjectRow), object_fields,
                                G_N_ELEMENTS(object_fields)};

#define R HfPointRow
static const HfField point_fields[] = {
  HF_FIELD(R, id, TEXT),
  HF_FIELD_CHANGES(R, backup_id, TEXT),
  HF_FIELD_CHANGES(R, object_id, TEXT),
  HF_FIELD_CHANGES(R, file_id, OPTIONAL),
  HF_FIELD(R, repository_id, TEXT),
  HF_FIELD(R, point, TEXT),
  HF_FIELD_CHANGES(R, name, TEXT),
  HF_FIELD_CHANGES(R, sequence, NUMBER),
  HF_FIELD_CHANGES(R, time, NUMBER),
  HF_FIELD_CHANGES(R, source_time, TIME),
  HF_FIELD_CHANGES(R, type, TEXT),
  HF_FIELD_CHANGES(R, original_size, NUMBER),
  HF_FIELD_CHANGES(R, read_size, NUMBER),
  HF_FIELD_CHANGES(R, stored_size, NUMBER),
  HF_FIELD_CHANGES(R, entries, NUMBER),
  HF_FIELD_CHANGES(R, session_id, OPTIONAL),
  HF_FIELD_CHANGES(R, writer, TEXT),
  HF_FIELD_CHANGES(R, locked_until, TIME),
  HF_FIELD_CHANGES(R, damaged, FLAG),
  HF_FIELD_JSON(R, facts, TRUE, "{}"),
  HF_FIELD_CHANGES(R, seen, NUMBER),
};
#undef R
static const HfTable points = {"restore_points", "restore point", sizeof(HfPointRow), point_fields,
                               G_N_ELEMENTS(point_fields)};

void hf_backup_free(HfBackupRow *row)
{
  hf_record_free(&backups, row);
}

void hf_object_free(HfObjectRow *row)
{
  hf_record_free(&objects, row);
}

void hf_point_row_free(HfPointRow *row)
{
  hf_record_free(&points, row);
}

HfBackupRow *hf_inv_backup_get(const HfInventory *inv, const char *id, GError **error)
{
  return hf_record_read(inv->db, &backups, id, error);
}

HfObjectRow *hf_inv_object_get(const HfInventory *inv, const char *id, GError **error)
{
  return hf_record_read(inv->db, &objects, id, error);
}

HfPointRow *hf_inv_point_get(const HfInventory *inv, const char *id, GError **error)
{
  return hf_record_read(inv->db, &points, id, error);
}

GPtrArray *hf_inv_points_of(const HfInventory *inv, const char *backup_id, const char *object_id, GError **error)
{
  GDestroyNotify free_row = (GDestroyNotify)hf_point_row_free;
  if (object_id == NULL)
    return hf_record_read_all(inv->db, &points, "WHERE backup_id = ? ORDER BY time, sequence, id",
                              HF_DB_VALUES(HF_DB_TEXT(backup_id)), free_row, error);
  return hf_record_read_all(inv->db, &points, "WHERE backup_id = ? AND object_id = ? ORDER BY time, sequence, id",
                            HF_DB_VALUES(HF_DB_TEXT(backup_id), HF_DB_TEXT(object_id)), free_row, error);
}

/* ---- adding ---- */

typedef struct Adding {
  HfBackupRow *backup;
  HfObjectRow *object;
  HfPointRow *point;
} Adding;

static void take_id(char **to, char **from)
{
  g_free(*to);
  *to = from != NULL ? g_strdup(*from) : hf_db_new_id();
}

static gboolean add_backup(HfDbLink *link, HfBackupRow *backup, gint64 time, GError **error)
{
  g_autoptr(GError) problem = NULL;
  g_autoptr(HfBackupRow) old =
      backup->job_id != NULL
          ? hf_record_find(link, &backups, "repository_id = ? AND job_id = ? AND name = ?",
                           HF_DB_VALUES(HF_DB_TEXT(backup->repository_id), HF_DB_TEXT(backup->job_id),
                                        HF_DB_TEXT(backup->name)), &problem)
          : hf_record_find(link, &backups, "repository_id = ? AND job_id IS NULL AND name = ?",
                           HF_DB_VALUES(HF_DB_TEXT(backup->repository_id), HF_DB_TEXT(backup->name)), &problem);
  if (problem != NULL) {
    g_propagate_error(error, g_steal_pointer(&problem));
    return FALSE;
  }
  take_id(&backup->id, old != NULL ? &old->id : NULL);
  backup->created = old != NULL ? old->created : time;
  if (old == NULL)
    return hf_record_insert(link, &backups, backup, error);
  /* A rescan may meet points in any order. */
  return time >= old->created || hf_db_exec(link, "UPDATE backups SET created = ? WHERE id = ?",
                                            HF_DB_VALUES(HF_DB_INT(time), HF_DB_TEXT(backup->id)), NULL, error);
}

static gboolean add_object(HfDbLink *link, HfObjectRow *object, GError **error)
{
  g_autoptr(GError) problem = NULL;
  g_autoptr(HfObjectRow) old = hf_record_find(link, &objects, "source_id = ? AND name = ?",
                                              HF_DB_VALUES(HF_DB_TEXT(object->source_id), HF_DB_TEXT(object->name)),
                                              &problem);
  if (problem != NULL) {
    g_propagate_error(error, g_steal_pointer(&problem));
    return FALSE;
  }
  take_id(&object->id, old != NULL ? &old->id : NULL);
  object->created = old != NULL ? old->created : hf_db_now();
  if (old == NULL)
    return hf_record_insert(link, &objects, object, error);
  if (object->host_id == NULL) /* a rescan may not know the host any more */
    object->host_id = g_strdup(old->host_id);
  return hf_record_update(link, &objects, object, error);
}

static gint64 percent(gint64 part, gint64 whole)
{
  return whole <= 0 || part < 0 ? 100 : (gint64)((double)part * 100 / (double)whole);
}

/* The file that stands for the point. */
static gboolean add_file(HfDbLink *link, HfPointRow *point, GError **error)
{
  if (point->file_id != NULL)
    return hf_db_exec(link, "UPDATE backup_files SET backup_id = ?, object_id = ?, data_size = ?, backup_size = ?, "
                            "dedup_ratio = ?, compress_ratio = ?, created = ? WHERE id = ?",
                      HF_DB_VALUES(HF_DB_TEXT(point->backup_id), HF_DB_TEXT(point->object_id),
                                   HF_DB_INT(point->original_size), HF_DB_INT(point->stored_size),
                                   HF_DB_INT(percent(point->read_size, point->original_size)),
                                   HF_DB_INT(percent(point->stored_size, point->read_size)), HF_DB_INT(point->time),
                                   HF_DB_TEXT(point->file_id)), NULL, error);
  point->file_id = hf_db_new_id();
  g_autofree char *name = g_strdup_printf("%s-%.8s", point->name, point->point);
  return hf_db_exec(link, "INSERT INTO backup_files (id, backup_id, object_id, name, data_size, backup_size, "
                          "dedup_ratio, compress_ratio, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    HF_DB_VALUES(HF_DB_TEXT(point->file_id), HF_DB_TEXT(point->backup_id), HF_DB_TEXT(point->object_id),
                                 HF_DB_TEXT(name), HF_DB_INT(point->original_size), HF_DB_INT(point->stored_size),
                                 HF_DB_INT(percent(point->read_size, point->original_size)),
                                 HF_DB_INT(percent(point->stored_size, point->read_size)), HF_DB_INT(point->time)),
                                     NULL,
                    error);
}

static gboolean add_point(HfDbLink *link, gpointer user, GError **error)
{
  Adding *adding = user;
  HfPointRow *point = adding->point;
  if (!add_backup(link, adding->backup, point->time, error) || !add_object(link, adding->object, error))
    return FALSE;
  g_autoptr(GError) problem = NULL;
  g_autoptr(HfPointRow) old = hf_record_find(link, &points, "repository_id = ? AND point = ?",
                                             HF_DB_VALUES(HF_DB_TEXT(adding->backup->repository_id),
                                                          HF_DB_TEXT(point->point)), &problem);
  if (problem != NULL) {
    g_propagate_error(error, g_steal_pointer(&problem));
    return FALSE;
  }
  take_id(&point->id, old != NULL ? &old->id : NULL);
  g_free(point->file_id);
  point->file_id = old != NULL ? g_strdup(old->file_id) : NULL;
  take_id(&point->backup_id, &adding->backup->id);
  take_id(&point->object_id, &adding->object->id);
  take_id(&point->repository_id, &adding->backup->repository_id);
  point->seen = hf_db_now();
  if (old != NULL && point->session_id == NULL) /* a rescan does not know the server's session */
    point->session_id = g_strdup(old->session_id);
  return add_file(link, point, error) && (old == NULL ? hf_record_insert(link, &points, point, error)
                                                      : hf_record_update(link, &points, point, error));
}

gboolean hf_inv_point_add(const HfInventory *inv, HfBackupRow *backup, HfObjectRow *object, HfPointRow *point,
                          GError **error)
{
  static const char *const types[] = {"Full", "Increment", NULL};
  static const char *const kinds[] = {"Files", "Disk", NULL};
  if (point->point == NULL || strlen(point->point) != 32)
    return hf_fail(error, HF_ERROR_USAGE, "'%s' is no id of a point", point->point != NULL ? point->point : "");
  if (!hf_inv_check_word("the type of the point", point->type, types, error) ||
      !hf_inv_check_word("the type of the object", object->type, kinds, error) ||
      !hf_inv_check_json("the facts of the point", point->facts, FALSE, error))
    return FALSE;
  Adding adding = {backup, object, point};
  return hf_db_write(inv->db, add_point, &adding, error);
}

/* ---- forgetting ---- */

/* Files, objects and backups that no point is left of. */
static gboolean forget_empty(HfDbLink *link, const char *repository_id, GError **error)
{
  return hf_db_exec(link, "DELETE FROM backup_files WHERE backup_id IN (SELECT id FROM backups WHERE repository_id = "
                          "?) "
                          "AND NOT EXISTS (SELECT 1 FROM restore_points WHERE file_id = backup_files.id)",
                    HF_DB_VALUES(HF_DB_TEXT(repository_id)), NULL, error) &&
         hf_db_exec(link, "DELETE FROM backups WHERE repository_id = ? AND "
                          "NOT EXISTS (SELECT 1 FROM restore_points WHERE backup_id = backups.id)",
                    HF_DB_VALUES(HF_DB_TEXT(repository_id)), NULL, error) &&
         hf_db_exec(link, "DELETE FROM backup_objects WHERE "
                          "NOT EXISTS (SELECT 1 FROM restore_points WHERE object_id = backup_objects.id)",
                    HF_DB_NONE, NULL, error);
}

typedef struct Forgetting {
  const char *repository_id;
  const char *const *points;
  gint64 since, forgotten;
} Forgetting;

static gboolean forget(HfDbLink *link, gpointer user, GError **error)
{
  const Forgetting *forgetting = user;
  for (const char *const *point = forgetting->points; *point != NULL; point++)
    if (!hf_db_exec(link, "DELETE FROM restore_points WHERE repository_id = ? AND point = ?",
                    HF_DB_VALUES(HF_DB_TEXT(forgetting->repository_id), HF_DB_TEXT(*point)), NULL, error))
      return FALSE;
  return forget_empty(link, forgetting->repository_id, error);
}

gboolean hf_inv_points_forget(const HfInventory *inv, const char *repository_id, const char *const *forgotten,
                              GError **error)
{
  Forgetting forgetting = {.repository_id = repository_id, .points = forgotten};
  return hf_db_write(inv->db, forget, &forgetting, error);
}

static gboolean forget_unseen(HfDbLink *link, gpointer user, GError **error)
{
  Forgetting *forgetting = user;
  return hf_db_exec(link, "DELETE FROM restore_points WHERE repository_id = ? AND seen < ?",
                    HF_DB_VALUES(HF_DB_TEXT(forgetting->repository_id), HF_DB_INT(forgetting->since)),
                    &forgetting->forgotten, error) &&
         forget_empty(link, forgetting->repository_id, error);
}

gboolean hf_inv_points_forget_unseen(const HfInventory *inv, const char *repository_id, gint64 since, gint64 *forgotten,
                                     GError **error)
{
  Forgetting forgetting = {.repository_id = repository_id, .since = since};
  if (!hf_db_write(inv->db, forget_unseen, &forgetting, error))
    return FALSE;
  if (forgotten != NULL)
    *forgotten = forgetting.forgotten;
  return TRUE;
}

/* ---- what retention keeps points for ---- */

typedef struct Periods {
  const char *repository_id;
  const char *const *points;
  const guint *periods;
  guint n;
} Periods;

static gboolean note_periods(HfDbLink *link, gpointer user, GError **error)
{
  static const char *const words[] = { "[\"None\"]", "[\"Weekly\"]", "[\"Monthly\"]", "[\"Weekly\",\"Monthly\"]",
                                       "[\"Yearly\"]", "[\"Weekly\",\"Yearly\"]", "[\"Monthly\",\"Yearly\"]",
                                       "[\"Weekly\",\"Monthly\",\"Yearly\"]" };
  const Periods *work = user;
  for (guint i = 0; i < work->n; i++) {
    HfDbValue gfs = HF_DB_TEXT(words[work->periods[i] % G_N_ELEMENTS(words)]);
    if (!hf_db_exec(link, "UPDATE backup_files SET gfs = ? WHERE gfs <> ? AND id = (SELECT file_id FROM restore_points "
                          "WHERE repository_id = ? AND point = ?)",
                    HF_DB_VALUES(gfs, gfs, HF_DB_TEXT(work->repository_id), HF_DB_TEXT(work->points[i])), NULL, error))
      return FALSE;
  }
  return TRUE;
}

gboolean hf_inv_points_periods(const HfInventory *inv, const char *repository_id, const char *const *ids,
                               const guint *periods, guint n, GError **error)
{
  Periods work = { repository_id, ids, periods, n };
  return hf_db_write(inv->db, note_periods, &work, error);
}

typedef struct Mark {
  const HfTable *table;
  const char *id, *sql;
  HfDbValue value;
} Mark;

static gboolean mark(HfDbLink *link, gpointer user, GError **error)
{
  const Mark *work = user;
  return hf_inv_exec_one(link, work->table, work->id, work->sql, HF_DB_VALUES(work->value, HF_DB_TEXT(work->id)),
                         error);
}

gboolean hf_inv_point_damaged(const HfInventory *inv, const char *id, gboolean damaged, GError **error)
{
  Mark work = {&points, id, "UPDATE restore_points SET damaged = ? WHERE id = ?", HF_DB_INT(damaged)};
  return hf_db_write(inv->db, mark, &work, error);
}

gboolean hf_inv_point_lock(const HfInventory *inv, const char *id, gint64 locked_until, GError **error)
{
  Mark work = {&points, id, "UPDATE restore_points SET locked_until = ? WHERE id = ?", HF_DB_INT(locked_until)};
  return hf_db_write(inv->db, mark, &work, error);
}

gboolean hf_inv_object_result(const HfInventory *inv, const char *id, gboolean failed, GError **error)
{
  Mark work = {&objects, id, "UPDATE backup_objects SET last_run_failed = ? WHERE id = ?", HF_DB_INT(failed)};
  return hf_db_write(inv->db, mark, &work, error);
}

static gboolean delete_backup(HfDbLink *link, gpointer user, GError **error)
{
  const char *id = user;
  g_autoptr(HfBackupRow) row = hf_record_get(link, &backups, id, error);
  return row != NULL &&
         hf_db_exec(link, "DELETE FROM backups WHERE id = ?", HF_DB_VALUES(HF_DB_TEXT(id)), NULL, error) &&
         forget_empty(link, row->repository_id, error);
}

gboolean hf_inv_backup_delete(const HfInventory *inv, const HfActor *actor, const char *id, GError **error)
{
  return hf_inv_audited(&(HfChange){inv, actor, "delete", &backups, id, NULL}, delete_backup, (gpointer)id, error);
}
