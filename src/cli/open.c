/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/open.h"

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
