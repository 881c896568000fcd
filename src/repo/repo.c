/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/repo.h"

#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "repo/keystate.h"
#include "repo/objects.h"
#include "repo/pointstate.h"
#include "repo/sessionstate.h"

#define RESERVE "reserve"
#define RESERVE_BYTES (1u << 20)
/* The reserve is made anew only where this much is free: else it would at once be in the way of others. */
#define RESERVE_FREE_BYTES (16u << 20)

/* ---- Opening. ---- */

static gboolean read_config(HfRepo *repo, GError **error)
{
  g_autoptr(GError) why = NULL;
  g_autoptr(GBytes) record = hf_triple_get(repo->store, "config", HF_RECORD_CONFIG, NULL, &why);
  if (record != NULL) {
    if (!hf_config_decode(record, &repo->config, error))
      return FALSE;
    hf_fingerprint(&repo->config.family, repo->config.admin_public, &repo->fingerprint);
    return TRUE;
  }
  if (hf_error_is(why, HF_ERROR_NOT_FOUND))
    return hf_fail(error, HF_ERROR_FORMAT, "'%s' is not a repository; 'holdfast init' makes one",
                   repo->store->location);
  if (hf_error_is(why, HF_ERROR_DAMAGED))
    return hf_fail(error, HF_ERROR_DAMAGED,
                   "cannot open repository '%s': %s; put the config back from an export of the keys "
                   "with 'holdfast repair --keys'",
                   repo->store->location, why->message);
  g_propagate_prefixed_error(error, g_steal_pointer(&why), "cannot open repository '%s': ", repo->store->location);
  return FALSE;
}

static gboolean unlock(HfRepo *repo, const HfUnlock *how, GError **error)
{
  if (how == NULL)
    return TRUE;
  repo->keys = hf_keyring_open(repo->store, &repo->config, how, error);
  if (repo->keys == NULL)
    return FALSE;
  repo->access = hf_keyring_access(repo->keys);
  hf_keyring_report(repo->keys, repo->report);
  return TRUE;
}

/* A service that keeps the store does this itself. What is put right fails silently where the store cannot be written,
 * except that the report was told of the damage. */
static gboolean mend(HfRepo *repo, GError **error)
{
  if (repo->read_only || (repo->store->features & HF_STORE_KEPT))
    return TRUE;
  hf_keyring_heal(repo->store, repo->report);
  return hf_points_heal(repo, error) && hf_sessions_finish(repo, error);
}

HfRepo *hf_repo_open(HfStore *store, const HfRepoOptions *options, GError **error)
{
  g_autoptr(HfRepo) repo = g_new0(HfRepo, 1);
  repo->store = store;
  repo->report = options->report;
  repo->cancel = options->cancel;
  repo->read_only = options->read_only;
  if (!read_config(repo, error) || !unlock(repo, options->unlock, error))
    return NULL;
  /* A newer version's repository that may only be read. */
  if (!hf_config_writable(&repo->config, NULL))
    repo->read_only = TRUE;
  return mend(repo, error) ? g_steal_pointer(&repo) : NULL;
}

void hf_repo_free(HfRepo *repo)
{
  if (repo == NULL)
    return;
  hf_index_free(repo->index);
  hf_keyring_free(repo->keys);
  hf_store_free(repo->store);
  g_free(repo);
}

gboolean hf_repo_load_index(HfRepo *repo, GError **error)
{
  if (repo->index == NULL)
    repo->index = hf_index_open(repo->store, repo->report, error);
  return repo->index != NULL;
}

gboolean hf_repo_fresh_index(HfRepo *repo, GError **error)
{
  return repo->index != NULL ? hf_index_refresh(repo->index, error) : hf_repo_load_index(repo, error);
}

/* ---- Making. ---- */

static gboolean refuse_object(const char *name, guint64 size, gpointer user, GError **error)
{
  HfStore *store = user;
  (void)size;
  return hf_fail(error, HF_ERROR_REFUSED, "'%s' is not empty: it holds '%s'; choose another place", store->location,
                 name);
}

static gboolean check_empty(HfStore *store, GError **error)
{
  return hf_store_list(store, "", refuse_object, store, error);
}

static gboolean put_reserve(HfStore *store, GError **error)
{
  g_autofree guint8 *bytes = g_malloc(RESERVE_BYTES);
  /* Not zeros: a file system that compresses would give nothing up with them. */
  hf_random(bytes, RESERVE_BYTES);
  return hf_store_put(store, RESERVE, bytes, RESERVE_BYTES, error);
}

/* The config comes last: it makes a repository of what is there. */
static gboolean put_config(HfStore *store, const HfKeyring *keys, const HfConfig *config, GError **error)
{
  g_autoptr(GBytes) record = hf_keyring_sign_config(keys, config, error);
  return record != NULL && put_reserve(store, error) && hf_triple_put(store, "config", record, error);
}

static void new_ids(HfConfig *config, gboolean family)
{
  hf_random(config->repository.b, sizeof config->repository.b);
  if (family)
    hf_random(config->family.b, sizeof config->family.b);
  config->created = hf_clock_real_ns();
}

/* After a failure: takes away what was put, so that the place can be used again; the config first, so that what stays
 * when this fails too is no repository. Not when an object was there already: another is making a repository here. */
static gboolean undo(HfStore *store, GError *why, GError **error)
{
  g_autoptr(GPtrArray) names = NULL;
  if (!hf_error_is(why, HF_ERROR_EXISTS)) {
    hf_triple_remove(store, "config", NULL);
    names = hf_store_list_names(store, "", NULL);
  }
  for (guint i = 0; names != NULL && i < names->len; i++)
    hf_object_remove(store, names->pdata[i], NULL);
  g_propagate_error(error, why);
  return FALSE;
}

gboolean hf_repo_create(HfStore *store, HfConfig *config, const HfUnlock *how, char **made, GError **error)
{
  if (!check_empty(store, error))
    return FALSE;
  new_ids(config, TRUE);
  GError *why = NULL;
  g_autoptr(HfKeyring) keys = hf_keyring_create(store, config, how, made, &why);
  if (keys != NULL && put_config(store, keys, config, &why))
    return TRUE;
  if (keys != NULL && made != NULL && *made != NULL) {
    hf_wipe(*made, strlen(*made));
    g_clear_pointer(made, g_free);
  }
  return undo(store, why, error);
}

gboolean hf_repo_create_like(HfStore *store, const HfRepo *like, GError **error)
{
  HfConfig config = like->config;
  if (!hf_keyring_need_admin(like->keys, "making a sibling", error) || !hf_config_writable(&config, error) ||
      !check_empty(store, error))
    return FALSE;
  new_ids(&config, FALSE);
  GError *why = NULL;
  return (hf_keyring_clone(like->store, store, &why) && put_config(store, like->keys, &config, &why)) ||
         undo(store, why, error);
}

/* ---- The reserve. ---- */

gboolean hf_repo_put_urgent(HfRepo *repo, const char *name, GBytes *record, GError **error)
{
  gsize length;
  const void *bytes = g_bytes_get_data(record, &length);
  g_autoptr(GError) why = NULL;
  if (hf_store_put(repo->store, name, bytes, length, &why))
    return TRUE;
  if (!hf_error_is(why, HF_ERROR_NO_SPACE)) {
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
  }
  /* When it is gone already another may have given it up just now, and there is room for both. */
  hf_store_remove(repo->store, RESERVE, NULL);
  return hf_store_put(repo->store, name, bytes, length, error);
}

void hf_repo_restore_reserve(HfRepo *repo)
{
  HfStoreUsage usage;
  gboolean there;
  if (repo->read_only || !hf_object_exists(repo->store, RESERVE, &there, NULL) || there)
    return;
  if (hf_store_usage(repo->store, &usage, NULL) && (usage.bytes_total == 0 || usage.bytes_free >= RESERVE_FREE_BYTES))
    put_reserve(repo->store, NULL);
}
