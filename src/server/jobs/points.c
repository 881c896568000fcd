/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From the points of a repository to the rows of the catalogue. A point says by its tags which job and object it is of,
 * so that the catalogue can be made anew from the repositories alone.
 */
#include <string.h>

#include "base/error.h"
#include "server/jobs/state.h"
#include "storage/service/service.h"
#include "storage/service/terms.h"

#define PLATFORM "LinuxPhysical"

static const char *find_tag(const HfPointDetails *details, const char *prefix)
{
  for (guint i = 0; i < details->tags->len; i++)
    if (g_str_has_prefix(details->tags->pdata[i], prefix))
      return (const char *)details->tags->pdata[i] + strlen(prefix);
  return NULL;
}

/* Every point is whole by itself; the first of a source is the one whose data were all sent. */
gboolean hf_jobs_is_first(const GPtrArray *infos, guint number)
{
  const HfPointInfo *info = infos->pdata[number];
  for (guint i = 0; i < number; i++)
    if (hf_short_id_equal(&((HfPointInfo *)infos->pdata[i])->point.source, &info->point.source))
      return FALSE;
  return TRUE;
}

gboolean hf_jobs_is_of(const HfPointInfo *info, const char *job_id)
{
  const char *tag = info->details == NULL || !info->known_signer ? NULL : find_tag(info->details, HF_JOBS_TAG_JOB);
  return tag != NULL && g_str_equal(tag, job_id);
}

static gboolean is_made_by(const HfPointInfo *info, const char *task_id)
{
  const char *tag = info->details == NULL || !info->known_signer ? NULL : find_tag(info->details, HF_JOBS_TAG_TASK);
  return tag != NULL && g_str_equal(tag, task_id);
}

/* Its host is waited for by who orders something; here it is asked only when it is there. */
static gboolean is_away(HfJobs *jobs, const char *host_id)
{
  HF_LOCK(&jobs->lock);
  return g_hash_table_contains(jobs->away, host_id);
}

gboolean hf_jobs_find_made(HfJobs *jobs, const HfRepositoryRow *repository, const char *task_id, HfWorkBackupDone *done)
{
  g_autoptr(HfJobsDoor) door =
    is_away(jobs, repository->host_id) ? NULL : hf_jobs_door_open(jobs, repository, HF_TICKET_READ, NULL, NULL, NULL);
  g_autoptr(GPtrArray) infos = door == NULL ? NULL : hf_points_load(door->repo, NULL, NULL);
  for (guint i = 0; infos != NULL && i < infos->len; i++) {
    const HfPointInfo *info = infos->pdata[i];
    const HfPointDetails *details = info->details;
    if (!is_made_by(info, task_id))
      continue;
    *done = (HfWorkBackupDone){
      .point = info->point.id, .source = info->point.source, .files = details->files,
      .directories = details->directories, .bytes = details->bytes, .new_bytes = details->new_bytes,
      .stored_bytes = details->stored_bytes, .warnings = details->warnings, .first = hf_jobs_is_first(infos, i),
    };
    return TRUE;
  }
  return FALSE;
}

static char *join_roots(const HfPointDetails *details)
{
  g_autoptr(GString) text = g_string_new(NULL);
  for (guint i = 0; i < details->roots->len; i++) {
    const HfPointRoot *root = details->roots->pdata[i];
    gsize length;
    const char *bytes = g_bytes_get_data(root->path, &length);
    g_autofree char *valid = g_utf8_make_valid(bytes, (gssize)length);
    g_string_append_printf(text, "%s%s", i > 0 ? ", " : "", valid);
  }
  return g_string_free(g_steal_pointer(&text), FALSE);
}

/* A job or host that a tag names and that is not there (any more) is none. */
static char *known_job(HfJobs *jobs, const char *id)
{
  g_autoptr(HfJobRow) row = id == NULL ? NULL : hf_inv_job_get(jobs->inv, id, NULL);
  return row == NULL ? NULL : g_strdup(id);
}

static char *known_host(HfJobs *jobs, const char *id)
{
  g_autoptr(HfHostRow) row = id == NULL ? NULL : hf_inv_host_get(jobs->inv, id, NULL);
  return row == NULL ? NULL : g_strdup(id);
}

static HfBackupRow *make_backup(HfJobs *jobs, const HfRepositoryRow *repository, const HfPointDetails *details)
{
  HfBackupRow *row = g_new0(HfBackupRow, 1);
  const char *type = find_tag(details, HF_JOBS_TAG_TYPE), *name = find_tag(details, HF_JOBS_TAG_JOB_NAME);
  row->job_id = known_job(jobs, find_tag(details, HF_JOBS_TAG_JOB));
  row->job_type = g_strdup(type != NULL ? type : "LinuxAgentBackup");
  row->name = g_strdup(name != NULL ? name : details->name);
  row->platform = g_strdup(PLATFORM);
  row->repository_id = g_strdup(repository->id);
  return row;
}

static HfObjectRow *make_object(HfJobs *jobs, const HfPointInfo *info, const char *name)
{
  const HfPointDetails *details = info->details;
  gboolean disk = details->roots->len > 0 && ((const HfPointRoot *)details->roots->pdata[0])->kind == 2;
  HfObjectRow *row = g_new0(HfObjectRow, 1);
  row->host_id = known_host(jobs, find_tag(details, HF_JOBS_TAG_OBJECT));
  row->name = g_strdup(name);
  row->type = g_strdup(disk ? "Disk" : "Files");
  row->platform = g_strdup(PLATFORM);
  row->path = join_roots(details);
  row->source_id = hf_hex(info->point.source.b, sizeof info->point.source.b);
  return row;
}

static HfPointRow *make_point(const HfRepositoryRow *repository, const HfPointInfo *info, const HfTaskRow *task,
                              gboolean first, const char *name, guint64 lock_now)
{
  const HfPointDetails *details = info->details;
  const HfPoint *point = &info->point;
  HfPointRow *row = g_new0(HfPointRow, 1);
  row->repository_id = g_strdup(repository->id);
  row->point = hf_hex(point->id.b, sizeof point->id.b);
  row->name = g_strdup(name);
  row->sequence = (gint64)MIN(point->sequence, G_MAXINT64);
  row->time = point->time / 1000;
  row->source_time = details->started / 1000;
  row->type = g_strdup(first ? "Full" : "Increment");
  row->original_size = (gint64)details->bytes;
  row->read_size = (gint64)details->new_bytes;
  row->stored_size = (gint64)details->stored_bytes;
  row->entries = (gint64)(details->files + details->directories);
  row->session_id = task == NULL ? NULL : g_strdup(task->session_id);
  row->writer = hf_hex(point->writer.b, sizeof point->writer.b);
  /* By the service's running time; shown as the earliest date on which it can end. */
  row->locked_until = point->lock > lock_now
    ? hf_db_now() + (gint64)MIN(point->lock - lock_now, G_MAXINT64 / (4 * G_USEC_PER_SEC)) * G_USEC_PER_SEC
    : 0;
  row->facts = g_strdup_printf("{\"warnings\": %" G_GUINT64_FORMAT ", \"files\": %" G_GUINT64_FORMAT
                               ", \"directories\": %" G_GUINT64_FORMAT "}",
                               details->warnings, details->files, details->directories);
  return row;
}

gboolean hf_jobs_catalogue(HfJobs *jobs, const HfRepositoryRow *repository, const HfPointInfo *info,
                           const HfTaskRow *task, gboolean first, guint64 lock_now, char **row_id, GError **error)
{
  if (info->details == NULL || !info->known_signer)
    return TRUE; /* it cannot be read, or is by nobody we know: `holdfast points` shows it */
  g_autofree char *host = g_utf8_make_valid(info->details->host, -1);
  g_autoptr(HfHostRow) managed = NULL;
  const char *id = find_tag(info->details, HF_JOBS_TAG_OBJECT);
  if (id != NULL)
    managed = hf_inv_host_get(jobs->inv, id, NULL);
  const char *name = managed != NULL ? managed->name : host;
  g_autoptr(HfBackupRow) backup = make_backup(jobs, repository, info->details);
  g_autoptr(HfObjectRow) object = make_object(jobs, info, name);
  g_autoptr(HfPointRow) point = make_point(repository, info, task, first, name, lock_now);
  if (!hf_inv_point_add(jobs->inv, backup, object, point, error))
    return FALSE;
  if (row_id != NULL)
    *row_id = g_strdup(point->id);
  return TRUE;
}

gboolean hf_jobs_rescan(HfJobs *jobs, const HfRepositoryRow *repository, guint *points, GError **error)
{
  g_autoptr(HfJobsDoor) door = hf_jobs_door_open(jobs, repository, HF_TICKET_READ, NULL, NULL, error);
  g_autoptr(GPtrArray) infos = door == NULL ? NULL : hf_jobs_rescan_by(jobs, repository, door, error);
  *points = infos == NULL ? 0 : infos->len;
  return infos != NULL;
}

GPtrArray *hf_jobs_rescan_by(HfJobs *jobs, const HfRepositoryRow *repository, HfJobsDoor *door, GError **error)
{
  gint64 begun = hf_db_now();
  g_autoptr(GPtrArray) infos = hf_points_load(door->repo, NULL, error);
  if (infos == NULL)
    return NULL;
  if (*repository->unique_id == '\0')
    hf_jobs_note_identity(jobs, repository, door, NULL); /* of an earlier version's row */
  guint64 now = hf_service_visit(door->repo->store).seconds;
  for (guint i = 0; i < infos->len; i++)
    if (!hf_jobs_catalogue(jobs, repository, infos->pdata[i], NULL, hf_jobs_is_first(infos, i), now, NULL, error))
      return NULL;
  if (!hf_inv_points_forget_unseen(jobs->inv, repository->id, begun, NULL, error) ||
      !hf_jobs_space(jobs, repository, door, error))
    return NULL;
  return g_steal_pointer(&infos);
}

/* ---- Space. ---- */

gboolean hf_jobs_space(HfJobs *jobs, const HfRepositoryRow *repository, HfJobsDoor *door, GError **error)
{
  HfStoreUsage usage;
  g_autoptr(GError) why = NULL;
  if (!hf_store_usage(door->repo != NULL ? door->repo->store : door->store, &usage, &why))
    return hf_inv_repository_state(jobs->inv, repository->id, FALSE, why->message, 0, 0, 0, FALSE, error);
  return hf_inv_repository_state(jobs->inv, repository->id, TRUE, "", (gint64)usage.bytes_total,
                                 (gint64)usage.bytes_free, (gint64)(usage.bytes_total - usage.bytes_free), FALSE,
                                 error);
}
