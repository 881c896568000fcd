/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Points opened for looking: the repository is read by this server, over one connection, while its mount lasts. */
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/work.h"
#include "engine/browse/browse.h"
#include "repo/session.h"
#include "server/jobs/state.h"
#include "storage/service/terms.h"

#define IDLE_MINUTES 30u
#define CACHE_BYTES (16u << 20)
#define FOUND_MAX (10u * 1024u)

typedef struct HfJobsMount {
  char *session, *point_id;
  gint64 idle_us, used; /* monotonic microseconds of the last call */
  guint users;          /* under jobs->lock, like `used` */
  GMutex lock;          /* one reader at a time: guards what follows */
  HfJobsDoor *door;
  HfSession *lease; /* what the point needs stays while it is looked at */
  HfBlobCache *cache;
  HfBrowser *browser;
  HfTree *tree;
} HfJobsMount;

static void mount_free(HfJobsMount *mount)
{
  hf_tree_free(mount->tree);
  hf_browser_free(mount->browser);
  hf_blob_cache_free(mount->cache);
  hf_session_free(mount->lease);
  hf_jobs_door_free(mount->door);
  g_mutex_clear(&mount->lock);
  g_free(mount->session);
  g_free(mount->point_id);
  g_free(mount);
}

/* ---- Opening. ---- */

static const HfPointInfo *find_point(const GPtrArray *infos, const char *hex, GError **error)
{
  HfShortId id;
  if (hf_unhex(hex, id.b, sizeof id.b))
    for (guint i = 0; i < infos->len; i++) {
      const HfPointInfo *info = infos->pdata[i];
      if (hf_short_id_equal(&info->point.id, &id))
        return info;
    }
  hf_fail(error, HF_ERROR_NOT_FOUND, "the point is not in its repository any more; rescan the repository");
  return NULL;
}

gboolean hf_jobs_point_domain(HfJobs *jobs, const HfRepositoryRow *repository, const char *point, guint32 *domain,
                              GError **error)
{
  g_autoptr(HfJobsDoor) door = hf_jobs_door_open(jobs, repository, HF_TICKET_READ, NULL, NULL, error);
  g_autoptr(GPtrArray) infos = door == NULL ? NULL : hf_points_load(door->repo, NULL, error);
  const HfPointInfo *info = infos == NULL ? NULL : find_point(infos, point, error);
  if (info != NULL)
    *domain = info->point.domain;
  return info != NULL;
}

static gboolean open_tree(HfJobs *jobs, HfJobsMount *mount, const HfPointRow *point, GError **error)
{
  g_autoptr(HfRepositoryRow) repository = hf_inv_repository_get(jobs->inv, point->repository_id, error);
  if (repository == NULL)
    return FALSE;
  mount->door = hf_jobs_door_open(jobs, repository, HF_TICKET_READ, NULL, NULL, error);
  if (mount->door == NULL)
    return FALSE;
  mount->lease = hf_session_open(mount->door->repo, HF_PURPOSE_READ, error);
  if (mount->lease == NULL || !hf_repo_load_index(mount->door->repo, error))
    return FALSE;
  g_autoptr(GPtrArray) infos = hf_points_load(mount->door->repo, NULL, error);
  const HfPointInfo *info = infos == NULL ? NULL : find_point(infos, point->point, error);
  if (info == NULL)
    return FALSE;
  mount->cache = hf_blob_cache_new(mount->door->repo, CACHE_BYTES);
  mount->browser = hf_browser_new(mount->door->repo, mount->cache);
  mount->tree = hf_tree_open(mount->browser, &info->point, error);
  return mount->tree != NULL;
}

/* The session of a mount: it only waits until nobody has looked for a while. */
static gboolean run_mount(HfJobsRun *run, gpointer data G_GNUC_UNUSED, const char **result G_GNUC_UNUSED,
                          GError **error G_GNUC_UNUSED)
{
  HfJobs *jobs = run->jobs;
  g_mutex_lock(&jobs->lock);
  HfJobsMount *mount = g_hash_table_lookup(jobs->mounts, run->session);
  while (mount != NULL && !jobs->ending && hf_run_stop(run) == HF_JOBS_GO_ON &&
         (mount->users > 0 || g_get_monotonic_time() - mount->used < mount->idle_us))
    g_cond_wait_until(&jobs->changed, &jobs->lock, g_get_monotonic_time() + G_USEC_PER_SEC);
  g_hash_table_remove(jobs->mounts, run->session);
  while (mount != NULL && mount->users > 0)
    g_cond_wait(&jobs->changed, &jobs->lock);
  g_mutex_unlock(&jobs->lock);
  if (mount != NULL)
    mount_free(mount);
  return TRUE;
}

gboolean hf_jobs_mount(HfJobs *jobs, const HfActor *actor, const char *point_id, guint idle_minutes, char **session,
                       GError **error)
{
  g_autoptr(HfPointRow) point = hf_inv_point_get(jobs->inv, point_id, error);
  if (point == NULL)
    return FALSE;
  HfJobsMount *mount = g_new0(HfJobsMount, 1);
  g_mutex_init(&mount->lock);
  mount->point_id = g_strdup(point_id);
  mount->idle_us = (gint64)(idle_minutes > 0 ? idle_minutes : IDLE_MINUTES) * 60 * G_USEC_PER_SEC;
  mount->used = g_get_monotonic_time();
  g_autoptr(HfSessionRow) row = g_new0(HfSessionRow, 1);
  row->name = g_strdup(point->name);
  row->type = g_strdup("FileLevelRestore");
  row->repository_id = g_strdup(point->repository_id);
  row->related_id = g_strdup(point_id);
  row->resource_id = g_strdup(point_id);
  row->resource_reference = g_strdup_printf("/api/v1/restorePoints/%s", point_id);
  if (!open_tree(jobs, mount, point, error) || !hf_inv_session_create(jobs->inv, actor, row, error)) {
    mount_free(mount);
    return FALSE;
  }
  mount->session = g_strdup(row->id);
  g_mutex_lock(&jobs->lock);
  g_hash_table_insert(jobs->mounts, mount->session, mount);
  g_mutex_unlock(&jobs->lock);
  *session = g_strdup(row->id);
  hf_jobs_spawn_row(jobs, row->id, NULL, run_mount, NULL, NULL);
  return TRUE;
}

void hf_jobs_mounts_close(HfJobs *jobs)
{
  GHashTableIter iter;
  gpointer mount;
  g_hash_table_iter_init(&iter, jobs->mounts);
  while (g_hash_table_iter_next(&iter, NULL, &mount))
    mount_free(mount);
  g_hash_table_remove_all(jobs->mounts);
}

/* ---- Using. ---- */

static HfJobsMount *take(HfJobs *jobs, const char *session, GError **error)
{
  HF_LOCK(&jobs->lock);
  HfJobsMount *mount = g_hash_table_lookup(jobs->mounts, session);
  if (mount == NULL) {
    hf_fail(error, HF_ERROR_NOT_FOUND, "there is no such mount, or it was closed as nobody used it; open the "
                                        "point again");
    return NULL;
  }
  mount->users++;
  mount->used = g_get_monotonic_time();
  return mount;
}

static void give(HfJobs *jobs, HfJobsMount *mount)
{
  HF_LOCK(&jobs->lock);
  mount->users--;
  mount->used = g_get_monotonic_time();
  g_cond_broadcast(&jobs->changed);
}

gboolean hf_jobs_unmount(HfJobs *jobs, const HfActor *actor, const char *mount_session, GError **error)
{
  HfJobsMount *mount = take(jobs, mount_session, error);
  if (mount == NULL)
    return FALSE;
  give(jobs, mount);
  return hf_jobs_stop_session(jobs, actor, mount_session, TRUE, error);
}

char *hf_jobs_mounted_point(HfJobs *jobs, const char *mount_session, GError **error)
{
  HfJobsMount *mount = take(jobs, mount_session, error);
  if (mount == NULL)
    return NULL;
  char *point = g_strdup(mount->point_id);
  give(jobs, mount);
  return point;
}

static char *view_text(HfView view)
{
  return g_utf8_make_valid((const char *)view.data, (gssize)view.length);
}

static gboolean tell(const HfTreeNode *node, const char *folder, HfJobsEntryFunc func, gpointer user)
{
  const HfEntry *entry = &node->entry;
  gboolean is_link = S_ISLNK(entry->mode);
  g_autofree char *name = view_text(entry->name), *link = is_link ? view_text(entry->target) : NULL;
  HfJobsEntry told = { .name = name, .folder = folder, .link = link, .mode = entry->mode, .uid = entry->uid,
                       .gid = entry->gid, .size = entry->size,
                       .type = hf_tree_node_is_folder(node)                          ? 'd'
                               : is_link                                            ? 'l'
                               : S_ISREG(entry->mode) || hf_tree_node_is_disk(node) ? 'f'
                                                                                     : 'o',
                       .mtime_ns = entry->mtime_sec * 1000000000 + entry->mtime_nsec,
                       .ctime_ns = entry->ctime_sec * 1000000000 + entry->ctime_nsec };
  return func(&told, user);
}

static gboolean list(HfJobsMount *mount, const char *path, HfJobsEntryFunc func, gpointer user, GError **error)
{
  HfTreeNode node;
  g_autoptr(GError) problem = NULL;
  g_autoptr(HfTreeNode) folder = hf_tree_lookup(mount->browser, mount->tree, path, error);
  g_autoptr(HfTreeList) entries =
    folder == NULL ? NULL : hf_tree_list_new(mount->browser, mount->tree, folder, NULL, error);
  if (entries == NULL)
    return FALSE;
  while (hf_tree_list_next(entries, &node, &problem))
    if (!tell(&node, path, func, user))
      return TRUE;
  if (problem == NULL)
    return TRUE;
  g_propagate_error(error, g_steal_pointer(&problem));
  return FALSE;
}

gboolean hf_jobs_browse(HfJobs *jobs, const char *mount_session, const char *path, HfJobsEntryFunc func, gpointer user,
                        GError **error)
{
  HfJobsMount *mount = take(jobs, mount_session, error);
  if (mount == NULL)
    return FALSE;
  g_mutex_lock(&mount->lock);
  gboolean done = list(mount, *path == '\0' ? "/" : path, func, user, error);
  g_mutex_unlock(&mount->lock);
  give(jobs, mount);
  return done;
}

static gboolean name_holds(HfView name, const char *folded)
{
  g_autofree char *valid = view_text(name), *fold = g_utf8_casefold(valid, -1);
  return strstr(fold, folded) != NULL;
}

static gboolean search(HfJobsMount *mount, const char *path, const char *text, HfJobsEntryFunc func, gpointer user,
                       GError **error)
{
  HfTreeNode node;
  guint found = 0;
  g_autoptr(GError) problem = NULL;
  g_autofree char *folded = g_utf8_casefold(text, -1);
  g_autoptr(HfTreeNode) folder = hf_tree_lookup(mount->browser, mount->tree, path, error);
  if (folder == NULL)
    return FALSE;
  g_autoptr(HfTreeWalk) walk = hf_tree_walk_new(mount->browser, mount->tree, folder, path);
  while (found < FOUND_MAX && hf_tree_walk_next(walk, &node, &problem)) {
    if (!name_holds(node.entry.name, folded))
      continue;
    g_autofree char *place = g_path_get_dirname(hf_tree_walk_path(walk)), *valid = g_utf8_make_valid(place, -1);
    found++;
    if (!tell(&node, valid, func, user))
      return TRUE;
  }
  if (problem == NULL)
    return TRUE;
  g_propagate_error(error, g_steal_pointer(&problem));
  return FALSE;
}

gboolean hf_jobs_search(HfJobs *jobs, const char *mount_session, const char *path, const char *text,
                        HfJobsEntryFunc func, gpointer user, GError **error)
{
  HfJobsMount *mount = take(jobs, mount_session, error);
  if (mount == NULL)
    return FALSE;
  g_mutex_lock(&mount->lock);
  gboolean done = search(mount, *path == '\0' ? "/" : path, text, func, user, error);
  g_mutex_unlock(&mount->lock);
  give(jobs, mount);
  return done;
}
