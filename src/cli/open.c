/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/open.h"

#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "crypto/crypto.h"
#include "storage/wrap/wrap.h"

#define TRIES 5

HfStore *hf_cli_open_store(HfCli *cli, const HfOptions *options, const char *location, gboolean create, GError **error)
{
  HfStore *store = hf_store_open(location, create, error);
  if (store == NULL)
    return NULL;
  store = hf_wrap_retry(store, TRIES, cli->cancel);
  return options->limit == 0 ? store : hf_wrap_throttle(store, options->limit, options->limit);
}

/* FALSE for a folder that this process may not write to. */
static gboolean is_writable(const HfStore *store, const char *location)
{
  const char *path = g_str_has_prefix(location, "file:") ? location + strlen("file:") : location;
  return !(store->features & HF_STORE_LOCAL) || access(path, W_OK) == 0;
}

static HfRepo *open_with(HfCli *cli, const HfOptions *options, const char *location, const HfUnlock *unlock,
                         GError **error)
{
  HfStore *store = hf_cli_open_store(cli, options, location, FALSE, error);
  if (store == NULL)
    return NULL;
  HfRepoOptions how = {
    .unlock = unlock, .read_only = !is_writable(store, location), .report = cli->report, .cancel = cli->cancel
  };
  return hf_repo_open(store, &how, error);
}

/* Without a question. *locked: it has a password, NULL is returned and no error set. */
static HfRepo *open_unlocked(HfCli *cli, const HfOptions *options, const char *location, gboolean *locked,
                             GError **error)
{
  g_autoptr(GError) problem = NULL;
  HfUnlock none = { .kind = HF_UNLOCK_NONE };
  HfRepo *repo = open_with(cli, options, location, &none, &problem);
  *locked = hf_error_is(problem, HF_ERROR_PASSWORD);
  if (problem != NULL && !*locked)
    g_propagate_error(error, g_steal_pointer(&problem));
  return repo;
}

HfRepo *hf_cli_open_other(HfCli *cli, const HfOptions *options, const char *location, const HfKeySource *source,
                          GError **error)
{
  if (!hf_crypto_init(error))
    return NULL;
  if (source == NULL)
    return open_with(cli, options, location, NULL, error);
  if (!hf_key_source_given(source)) {
    /* Perhaps it has no password: nobody should be asked for one then. */
    gboolean locked;
    HfRepo *repo = open_unlocked(cli, options, location, &locked, error);
    if (!locked)
      return repo;
  }
  g_auto(HfCredentials) credentials = { 0 };
  if (!hf_credentials_get(source, location, FALSE, cli->cancel, &credentials, error))
    return NULL;
  return open_with(cli, options, location, &credentials.unlock, error);
}

HfRepo *hf_cli_open_repository(HfCli *cli, const HfOptions *options, gboolean keys, GError **error)
{
  HfKeySource source = hf_key_source(options);
  return hf_cli_open_other(cli, options, options->repository, keys ? &source : NULL, error);
}

HfRepo *hf_cli_open_unasked(HfCli *cli, const HfOptions *options, GError **error)
{
  HfKeySource source = hf_key_source(options);
  gboolean locked;
  if (hf_key_source_given(&source))
    return hf_cli_open_other(cli, options, options->repository, &source, error);
  if (!hf_crypto_init(error))
    return NULL;
  /* It may have a password, and the keys may be elsewhere: neither is needed. */
  HfRepo *repo = open_unlocked(cli, options, options->repository, &locked, NULL);
  return repo != NULL ? repo : hf_cli_open_other(cli, options, options->repository, NULL, error);
}
