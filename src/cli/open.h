/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Opens what a verb works on, the way the common options ask for. */
#pragma once

#include "cli/cli.h"
#include "cli/credentials.h"
#include "repo/repo.h"

/* The store at `location`: failed calls are tried again, and --limit holds. */
HfStore *hf_cli_open_store(HfCli *cli, const HfOptions *options, const char *location, gboolean create, GError **error);

/* The repository of --repository. With `keys` the password is taken from the options or asked for; a repository without
 * encryption is opened without a question. The index is not loaded. A repository that cannot be written (a read-only
 * mount, another user's) is opened for reading. */
HfRepo *hf_cli_open_repository(HfCli *cli, const HfOptions *options, gboolean keys, GError **error);

/* The same for verbs that work without keys and do more with them: the options are used when given, nobody is asked. */
HfRepo *hf_cli_open_unasked(HfCli *cli, const HfOptions *options, GError **error);

/* Another repository; `source` says how it is opened, NULL opens it without keys. */
HfRepo *hf_cli_open_other(HfCli *cli, const HfOptions *options, const char *location, const HfKeySource *source,
                          GError **error);
