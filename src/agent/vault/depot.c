/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/vault/depot.h"
#include "agent/vault/vault.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/sys.h"
#include "base/work.h"
#include "repo/points.h"
#include "repo/sessionstate.h"

#define CLOCK_US (60 * G_USEC_PER_SEC)
#define WATCH_SECONDS 75u /* more than a session may be silent */

/* What a folder is, whatever path leads to it. It stays taken as long as the depot's store has it open. */
typedef struct Place {
  dev_t device;
  ino_t inode;
} Place;

struct HfDepot {
  Place place; /* first: hashed by it */
  char *path;  /* one that led to it when it was visited last; under the lock of paths */
  HfStore *store; /* objects that need no repository */
  GMutex lock;    /* guards what follows; commits and deletions hold it, too */
  HfRepo *repo;
  HfWriterTable *writers;
  HfKeeperClock clock;
  HfHolder *holder;
  GCond wake;
  GThread *ticker, *reaper;
  HfCancel cancel; /* of the reaper */
  gboolean stop;
};

/* Locks are taken in this order: of all depots, of one depot, of paths. */
static struct {
  GMutex lock;
  GHashTable *depots; /* by place */
  GMutex paths;       /* guards the path of each */
} all;

/* ---- Places. ---- */

static guint place_hash(gconstpointer key)
{
  const Place *place = key;
  guint64 inode = place->inode, device = place->device;
  return g_int64_hash(&inode) ^ g_int64_hash(&device);
}

static gboolean place_equal(gconstpointer a, gconstpointer b)
{
  const Place *x = a, *y = b;
  return x->device == y->device && x->inode == y->inode;
}

static gboolean find_place(const char *path, Place *place)
{
  struct stat status;
  if (HF_AGAIN(hf_sys->fstatat(AT_FDCWD, path, &status, 0)) != 0)
    return FALSE;
  *place = (Place){ status.st_dev, status.st_ino };
  return TRUE;
}

/* ---- Life. ---- */

static gpointer tick(gpointer data)
{
  HfDepot *depot = data;
  g_mutex_lock(&depot->lock);
  while (!depot->stop) {
    gint64 until = g_get_monotonic_time() + CLOCK_US;
    while (!depot->stop && g_cond_wait_until(&depot->wake, &depot->lock, until))
      ;
    /* What could not be put down only makes locks longer. */
    hf_keeper_clock_keep(&depot->clock, depot->repo->store, NULL);
  }
  g_mutex_unlock(&depot->lock);
  return NULL;
}

/* Sessions of visitors whose service was killed, and of programs on this folder that were: nobody comes to end them.
 * They are fenced and cleared away also when nothing is pruned. What cannot be done now is tried again. */
static gpointer reap(gpointer data)
{
  HfDepot *depot = data;
  g_mutex_lock(&depot->lock);
  while (!depot->stop) {
    g_mutex_unlock(&depot->lock);
    hf_keeper_clear_sessions(depot->repo, WATCH_SECONDS, NULL);
    g_mutex_lock(&depot->lock);
    gint64 until = g_get_monotonic_time() + hf_session_beat_us();
    while (!depot->stop && g_cond_wait_until(&depot->wake, &depot->lock, until))
      ;
  }
  g_mutex_unlock(&depot->lock);
  return NULL;
}

static void depot_free(gpointer data)
{
  HfDepot *depot = data;
  hf_holder_free(depot->holder);
  hf_cancel_set(&depot->cancel);
  g_mutex_lock(&depot->lock);
  depot->stop = TRUE;
  g_cond_broadcast(&depot->wake);
  g_mutex_unlock(&depot->lock);
  if (depot->reaper != NULL)
    g_thread_join(depot->reaper);
  if (depot->ticker != NULL)
    g_thread_join(depot->ticker);
  hf_writer_table_free(depot->writers);
  hf_store_free(depot->store);
  hf_repo_free(depot->repo);
  g_mutex_clear(&depot->lock);
  g_cond_clear(&depot->wake);
  g_free(depot->path);
  g_free(depot);
}

static HfDepot *depot_new(const char *path, const Place *place, HfStore *store)
{
  HfDepot *depot = g_new0(HfDepot, 1);
  depot->place = *place;
  depot->path = g_strdup(path);
  depot->store = store;
  g_mutex_init(&depot->lock);
  g_cond_init(&depot->wake);
  return depot;
}

static void set_path(HfDepot *depot, const char *path)
{
  HF_LOCK(&all.paths);
  g_free(depot->path);
  depot->path = g_strdup(path);
}

HfDepot *hf_depot_open(const char *path, gboolean create, GError **error)
{
  Place place;
  HF_LOCK(&all.lock);
  if (all.depots == NULL)
    all.depots = g_hash_table_new_full(place_hash, place_equal, NULL, depot_free);
  HfDepot *depot = find_place(path, &place) ? g_hash_table_lookup(all.depots, &place) : NULL;
  if (depot != NULL) {
    set_path(depot, path);
    return depot;
  }
  g_autoptr(HfStore) store = hf_store_open(path, create, error);
  if (store == NULL)
    return NULL;
  /* It may have been made only now, or been put there since. */
  if (!find_place(path, &place)) {
    hf_fail_errno(error, errno, "cannot look at '%s'", path);
    return NULL;
  }
  depot = g_hash_table_lookup(all.depots, &place);
  if (depot == NULL) {
    depot = depot_new(path, &place, g_steal_pointer(&store));
    g_hash_table_insert(all.depots, &depot->place, depot);
  }
  return depot;
}

void hf_depots_close(void)
{
  HF_LOCK(&all.lock);
  g_clear_pointer(&all.depots, g_hash_table_unref);
}

/* ---- For the holder. ---- */

static guint64 seconds_of(gpointer depot)
{
  return hf_depot_seconds(depot);
}

static char *path_of(gpointer depot)
{
  return hf_depot_path(depot);
}

static HfRepo *reopen(gpointer depot, HfCancel *cancel, GError **error)
{
  return hf_depot_reopen(depot, NULL, cancel, error);
}

HfHeld hf_depot_held(HfDepot *depot)
{
  return (HfHeld){ .owner = depot, .repo = depot->repo, .seconds = seconds_of, .path = path_of, .reopen = reopen };
}

/* ---- The repository. ---- */

HfStore *hf_depot_store(HfDepot *depot)
{
  return depot->store;
}

char *hf_depot_path(HfDepot *depot)
{
  HF_LOCK(&all.paths);
  return g_strdup(depot->path);
}

void hf_vault_take_over(const char *repository, HfCancel *cancel)
{
  HfRepoOptions options = { .cancel = cancel };
  g_autoptr(GError) why = NULL;
  HfStore *store = hf_store_open(repository, FALSE, &why);
  g_autoptr(HfRepo) repo = store != NULL ? hf_repo_open(store, &options, &why) : NULL;
  if (repo == NULL || !hf_keeper_clear_sessions(repo, WATCH_SECONDS, &why))
    g_debug("sessions of repository '%s' were not looked through: %s", repository, why->message);
}

static HfRepo *open_repo(HfDepot *depot, GError **error)
{
  HfRepoOptions options = { 0 };
  Place place;
  g_autofree char *path = hf_depot_path(depot);
  HfStore *store = hf_store_open(path, FALSE, error);
  if (store == NULL)
    return NULL;
  g_autoptr(HfRepo) repo = hf_repo_open(store, &options, error);
  if (repo == NULL)
    return NULL;
  if (!find_place(path, &place) || !place_equal(&place, &depot->place)) {
    hf_fail(error, HF_ERROR_REFUSED, "'%s' is another folder now than when it was visited; try again", path);
    return NULL;
  }
  return hf_repo_load_index(repo, error) ? g_steal_pointer(&repo) : NULL;
}

HfRepo *hf_depot_repo(HfDepot *depot, GError **error)
{
  HF_LOCK(&depot->lock);
  if (depot->repo != NULL)
    return depot->repo;
  g_autoptr(HfRepo) repo = open_repo(depot, error);
  if (repo == NULL || !hf_keeper_clock_open(&depot->clock, repo->store, error))
    return NULL;
  depot->writers = hf_writer_table_new(repo->config.admin_public);
  repo->running_seconds = hf_keeper_clock_seconds(&depot->clock);
  repo->cancel = &depot->cancel;
  depot->repo = g_steal_pointer(&repo);
  depot->reaper = g_thread_new("vault-reaper", reap, depot);
  depot->ticker = g_thread_new("vault-clock", tick, depot);
  const HfHeld held = hf_depot_held(depot);
  depot->holder = hf_holder_new(&held);
  return depot->repo;
}

HfWriterTable *hf_depot_writers(HfDepot *depot, GError **error)
{
  HfRepo *repo = hf_depot_repo(depot, error);
  return repo != NULL && hf_writer_table_load(depot->writers, repo->store, NULL, error) ? depot->writers : NULL;
}

gboolean hf_depot_refresh(HfDepot *depot, GError **error)
{
  HfRepo *repo = hf_depot_repo(depot, error);
  return repo != NULL && hf_index_refresh(repo->index, error);
}

HfRepo *hf_depot_reopen(HfDepot *depot, HfReport *report, HfCancel *cancel, GError **error)
{
  if (hf_depot_repo(depot, error) == NULL)
    return NULL;
  HfRepo *repo = open_repo(depot, error);
  if (repo == NULL)
    return NULL;
  repo->report = report;
  repo->cancel = cancel;
  repo->running_seconds = hf_depot_seconds(depot);
  return repo;
}

guint64 hf_depot_seconds(HfDepot *depot)
{
  HF_LOCK(&depot->lock);
  return depot->repo == NULL ? 0 : hf_keeper_clock_seconds(&depot->clock);
}

/* ---- What changes points. ---- */

gboolean hf_depot_commit(HfDepot *depot, const HfKeeperTerms *terms, const HfShortId *session, GBytes *point,
                         GError **error)
{
  HfWriterTable *writers = hf_depot_writers(depot, error);
  if (writers == NULL)
    return FALSE;
  HF_LOCK(&depot->lock);
  hf_keeper_clock_keep(&depot->clock, depot->repo->store, NULL);
  depot->repo->running_seconds = hf_keeper_clock_seconds(&depot->clock);
  if (!hf_keeper_commit(depot->repo, writers, terms, session, point, NULL, error))
    return FALSE;
  if (terms->lock > 0)
    hf_holder_wake(depot->holder);
  return TRUE;
}

void hf_depot_rewritten(HfDepot *depot)
{
  HF_LOCK(&depot->lock);
  hf_holder_wake(depot->holder);
}

static const HfPointInfo *find_point(const GPtrArray *infos, const HfShortId *id)
{
  for (guint i = 0; i < infos->len; i++) {
    const HfPointInfo *info = infos->pdata[i];
    if (hf_short_id_equal(&info->point.id, id))
      return info;
  }
  return NULL;
}

/* Points that are gone already are passed over: forgetting twice is no failure. */
static gboolean choose(const GPtrArray *infos, const GArray *points, GPtrArray *chosen, GError **error)
{
  for (guint i = 0; i < points->len; i++) {
    const HfPointInfo *info = find_point(infos, &g_array_index(points, HfShortId, i));
    char shown[33];
    if (info == NULL)
      continue;
    hf_point_short_name(info, shown);
    if (info->locked)
      return hf_fail(error, HF_ERROR_REFUSED, "point '%s' is locked; nothing was deleted", shown);
    g_ptr_array_add(chosen, (gpointer)info);
  }
  return TRUE;
}

gboolean hf_depot_forget(HfDepot *depot, const GArray *points, guint *forgotten, GError **error)
{
  HfRepo *repo = hf_depot_repo(depot, error);
  g_autoptr(GPtrArray) chosen = g_ptr_array_new();
  *forgotten = 0;
  if (repo == NULL)
    return FALSE;
  HF_LOCK(&depot->lock);
  repo->running_seconds = hf_keeper_clock_seconds(&depot->clock);
  g_autoptr(GPtrArray) infos = hf_points_load(repo, NULL, error);
  if (infos == NULL || !choose(infos, points, chosen, error))
    return FALSE;
  for (guint i = 0; i < chosen->len; i++, ++*forgotten)
    if (!hf_points_forget(repo, chosen->pdata[i], error))
      return FALSE;
  return TRUE;
}
