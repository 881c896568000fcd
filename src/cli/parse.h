/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The command line into HfOptions, by the tables of cli/spec.h. */
#pragma once

#include "cli/spec.h"

/*
 * Parses `arguments` (without the program's name, ended by NULL): VERB, then options and arguments in any order.
 * Options are --name VALUE, --name=VALUE, -n VALUE, -nVALUE and bundles of flags as in -qv; "--" ends them, and a lone
 * "-" is an argument. Long names are not abbreviated. An option given twice keeps the last value, a list keeps all.
 *
 * What is not given comes from the option's environment variable (an empty one counts as unset), unless an option that
 * excludes it is given, then from its default. With --help nothing that is missing is an error.
 *
 * Every error is HF_ERROR_USAGE, names the word that is wrong and, where there is one, the nearest right one. Free with
 * hf_options_free.
 */
HfOptions *hf_options_parse(char *const *arguments, GError **error);
void hf_options_free(HfOptions *options);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfOptions, hf_options_free)

/* The verb of `words` (the first or the first two) and how many words name it; HF_ERROR_USAGE when there is none. */
gboolean hf_verb_lookup(char *const *words, HfVerb *verb, guint *used, GError **error);

/* The place of the group called `word`, or -1. */
int hf_verb_group_find(const char *word);
