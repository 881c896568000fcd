/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Opens what a verb works on, the way the common options ask for. */
#pragma once

#include "cli/cli.h"
#include "storage/store.h"

/* The store at `location`: failed calls are tried again, and --limit holds. */
HfStore *hf_cli_open_store(HfCli *cli, const HfOptions *options, const char *location, gboolean create, GError **error);
