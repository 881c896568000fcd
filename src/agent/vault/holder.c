/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/vault/holder.h"

#include <string.h>

#include "agent/hold.h"
#include "agent/vault/vault.h"
#include "base/error.h"
#include "repo/live.h"
#include "repo/objects.h"
#include "repo/points.h"

#define HOUR 3600u
#define PASS_US (6 * G_TIME_SPAN_HOUR)
#define AGAIN_US (10 * G_TIME_SPAN_MINUTE) /* after one that failed */
#define REST_PARTS 10                      /* a pass is followed by so many times its length without one */
#define REST_MAX_US G_TIME_SPAN_HOUR

static HfHoldFunc hold_func; /* set before the first depot is opened */

void hf_vault_hold_by(HfHoldFunc ask)
{
  hold_func = ask;
}

/* ---- Asking. ---- */

typedef struct Pass {
  const HfHeld *held;
  HfStore *store;
  char *path;
  guint64 seconds; /* for which what is added now is to be held */
  GPtrArray *names;
  guint refused;
} Pass;

static void pass_clear(Pass *pass)
{
  g_free(pass->path);
  g_ptr_array_unref(pass->names);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Pass, pass_clear)

static gboolean ask(Pass *pass, GError **error)
{
  guint refused;
  gboolean held = hold_func(pass->path, pass->seconds, pass->names, &refused, error);
  g_ptr_array_set_size(pass->names, 0);
  pass->refused += refused;
  return held;
}

static gboolean add(Pass *pass, const char *name, GError **error)
{
  g_ptr_array_add(pass->names, g_strdup(name));
  return pass->names->len < HF_HOLD_NAMES || ask(pass, error);
}

static gboolean flush(Pass *pass, GError **error)
{
  return pass->names->len == 0 || ask(pass, error);
}

/* For as long as the lock lasts, by whole hours and one more: the clocks of keeper and service do not begin at once. */
static guint64 term_of(const Pass *pass, const HfPointInfo *info)
{
  guint64 now = pass->held->seconds(pass->held->owner);
  guint64 left = info->point.lock > now ? info->point.lock - now : 0;
  return (left + HOUR - 1) / HOUR * HOUR + HOUR;
}

static gboolean set_term(Pass *pass, guint64 seconds, GError **error)
{
  if (seconds != pass->seconds && !flush(pass, error))
    return FALSE;
  pass->seconds = seconds;
  return TRUE;
}

/* ---- What is needed to open any point. ---- */

static gboolean add_folder(Pass *pass, const char *folder, GError **error)
{
  g_autoptr(GPtrArray) names = hf_store_list_names(pass->store, folder, error);
  if (names == NULL)
    return FALSE;
  for (guint i = 0; i < names->len; i++) {
    const char *name = names->pdata[i];
    if (strstr(name, ".hidden.") == NULL && strstr(name, ".removed.") == NULL && !add(pass, name, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean hold_common(Pass *pass, GError **error)
{
  static const char *const folders[] = { "keys/", "ring/", "writers/" };
  char name[HF_NAME_BYTES];
  for (guint i = 0; i < HF_COPIES; i++) {
    hf_name_copy(name, "config", i);
    if (!add(pass, name, error))
      return FALSE;
  }
  for (gsize i = 0; i < G_N_ELEMENTS(folders); i++)
    if (!add_folder(pass, folders[i], error))
      return FALSE;
  return flush(pass, error);
}

static gboolean hold_record(Pass *pass, const HfPointInfo *info, GError **error)
{
  char base[HF_NAME_BYTES], name[HF_NAME_BYTES];
  hf_name_point(base, &info->point.id);
  for (guint i = 0; i < HF_COPIES; i++) {
    hf_name_copy(name, base, i);
    if (!add(pass, name, error))
      return FALSE;
  }
  return TRUE;
}

/* ---- Packs. ---- */

static gboolean hold_pack(Pass *pass, const HfIndexPack *pack, GError **error)
{
  char name[HF_NAME_BYTES], second[HF_NAME_BYTES];
  gboolean exists;
  hf_name_pack(name, pack->kind, &pack->id);
  if (pack->kind == HF_PACK_DATA)
    hf_name_parity(second, &pack->id);
  else
    hf_name_mirror(second, &pack->id);
  return add(pass, name, error) && hf_object_exists(pass->store, second, &exists, error) &&
    (!exists || add(pass, second, error));
}

/* Those that the walks so far reached, and that were not asked for. */
static gboolean hold_reached(Pass *pass, const GPtrArray *packs, GHashTable *asked, GError **error)
{
  for (guint i = 0; i < packs->len; i++) {
    HfLivePack *pack = packs->pdata[i];
    if (pack->live_blobs > 0 && !pack->state.condemned && g_hash_table_add(asked, pack) &&
        !hold_pack(pass, &pack->state.pack, error))
      return FALSE;
  }
  return TRUE;
}

/* What cannot be read is not held, and hinders nothing else. */
static void note_loss(const HfId *id G_GNUC_UNUSED, gpointer user)
{
  ++*(guint *)user;
}

/* `locked`: the longest first, so that a pack is asked for once. */
static gboolean hold_packs(Pass *pass, HfRepo *repo, const GPtrArray *locked, GError **error)
{
  guint losses = 0;
  g_autoptr(HfLive) live = hf_live_new(repo, error);
  if (live == NULL)
    return FALSE;
  g_autoptr(GHashTable) asked = g_hash_table_new(NULL, NULL);
  const GPtrArray *packs = hf_live_packs(live);
  hf_live_keep_copies(live, TRUE);
  for (guint i = 0; i < locked->len; i++) {
    const HfPointInfo *info = locked->pdata[i];
    guint64 term = term_of(pass, info);
    if (term != pass->seconds && !hold_reached(pass, packs, asked, error))
      return FALSE;
    if (!set_term(pass, term, error) ||
        !hf_live_walk(live, info->point.domain, &info->point.roots, note_loss, &losses, error))
      return FALSE;
  }
  if (losses > 0)
    g_warning("repository '%s': %u blobs that locked points need cannot be found, and are not made immutable",
              pass->path, losses);
  return hold_reached(pass, packs, asked, error) && flush(pass, error);
}

/* ---- A pass. ---- */

static gint by_lock(gconstpointer a, gconstpointer b)
{
  const HfPointInfo *x = *(HfPointInfo *const *)a, *y = *(HfPointInfo *const *)b;
  return x->point.lock < y->point.lock ? 1 : x->point.lock > y->point.lock ? -1 : 0;
}

static GPtrArray *find_locked(const GPtrArray *points, guint64 now)
{
  GPtrArray *locked = g_ptr_array_new();
  for (guint i = 0; i < points->len; i++) {
    HfPointInfo *info = points->pdata[i];
    if (info->point.lock > now)
      g_ptr_array_add(locked, info);
  }
  g_ptr_array_sort(locked, by_lock);
  return locked;
}

static gboolean hold_all(Pass *pass, HfCancel *cancel, const GPtrArray *locked, GError **error)
{
  if (!set_term(pass, term_of(pass, locked->pdata[0]), error) || !hold_common(pass, error))
    return FALSE;
  for (guint i = 0; i < locked->len; i++)
    if (!set_term(pass, term_of(pass, locked->pdata[i]), error) || !hold_record(pass, locked->pdata[i], error))
      return FALSE;
  if (!set_term(pass, term_of(pass, locked->pdata[0]), error) || !flush(pass, error))
    return FALSE;
  g_autoptr(HfRepo) repo = pass->held->reopen(pass->held->owner, cancel, error);
  return repo != NULL && hold_packs(pass, repo, locked, error);
}

gboolean hf_holder_pass(const HfHeld *held, HfCancel *cancel, GError **error)
{
  g_auto(Pass) pass = { .held = held, .store = held->repo->store, .path = held->path(held->owner),
                        .names = g_ptr_array_new_with_free_func(g_free) };
  /* That the repository is kept, which lets the keeper's clock run. */
  if (!ask(&pass, error))
    return FALSE;
  g_autoptr(GPtrArray) points = hf_points_load(held->repo, NULL, error);
  g_autoptr(GPtrArray) locked = points != NULL ? find_locked(points, held->seconds(held->owner)) : NULL;
  if (locked == NULL || (locked->len > 0 && !hold_all(&pass, cancel, locked, error)))
    return FALSE;
  if (pass.refused > 0)
    g_debug("repository '%s': %u files are not immutable: they went meanwhile, or are none of the service's user",
            pass.path, pass.refused);
  return TRUE;
}

/* ---- The thread. ---- */

struct HfHolder {
  HfHeld held;
  HfCancel cancel;
  GThread *thread;
  GMutex lock;
  GCond wake;
  gboolean stop;
  gint64 due, rest; /* monotonic: when the next pass is due; before when there is none */
};

static void pass_once(HfHolder *holder)
{
  g_autoptr(GError) error = NULL;
  gint64 begun = g_get_monotonic_time();
  gboolean able = hf_holder_pass(&holder->held, &holder->cancel, &error);
  if (!able && hf_error_is(error, HF_ERROR_UNSUPPORTED))
    able = TRUE; /* the keeper has said so */
  if (!able && !hf_error_is(error, HF_ERROR_CANCELLED))
    g_warning("what locked points need was not made immutable, it is tried again: %s", error->message);
  gint64 now = g_get_monotonic_time();
  HF_LOCK(&holder->lock);
  gint64 wanted = now + (able ? PASS_US : AGAIN_US);
  holder->rest = now + MIN((now - begun) * REST_PARTS, REST_MAX_US);
  holder->due = MAX(MIN(holder->due, wanted), holder->rest);
}

static gpointer work(gpointer user)
{
  HfHolder *holder = user;
  g_mutex_lock(&holder->lock);
  while (!holder->stop) {
    if (g_get_monotonic_time() < holder->due) {
      g_cond_wait_until(&holder->wake, &holder->lock, holder->due);
      continue;
    }
    holder->due = G_MAXINT64;
    g_mutex_unlock(&holder->lock);
    pass_once(holder);
    g_mutex_lock(&holder->lock);
  }
  g_mutex_unlock(&holder->lock);
  return NULL;
}

HfHolder *hf_holder_new(const HfHeld *held)
{
  if (hold_func == NULL)
    return NULL;
  HfHolder *holder = g_new0(HfHolder, 1);
  holder->held = *held;
  g_mutex_init(&holder->lock);
  g_cond_init(&holder->wake);
  holder->thread = g_thread_new("vault-holder", work, holder);
  return holder;
}

void hf_holder_wake(HfHolder *holder)
{
  if (holder == NULL)
    return;
  HF_LOCK(&holder->lock);
  holder->due = MIN(holder->due, MAX(g_get_monotonic_time(), holder->rest));
  g_cond_signal(&holder->wake);
}

void hf_holder_free(HfHolder *holder)
{
  if (holder == NULL)
    return;
  hf_cancel_set(&holder->cancel);
  g_mutex_lock(&holder->lock);
  holder->stop = TRUE;
  g_cond_signal(&holder->wake);
  g_mutex_unlock(&holder->lock);
  g_thread_join(holder->thread);
  g_mutex_clear(&holder->lock);
  g_cond_clear(&holder->wake);
  g_free(holder);
}
