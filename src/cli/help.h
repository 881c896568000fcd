/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The texts of --help; they are made by spec/gen-options.py and fit 80 columns. */
#pragma once

#include "cli/spec.h"

/* The text for `topic` (ended by NULL): no word is the program, one or two words are a verb or a group of verbs.
 * Static. NULL with HF_ERROR_USAGE when there is no such thing. */
const char *hf_help_text(char *const *topic, GError **error);
