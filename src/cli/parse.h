/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The command line into HfOptions, by the tables of cli/spec.h and the rules of base/options.h. */
#pragma once

#include "cli/spec.h"

/* hf_program_parse for this program. Free with hf_options_free. */
HfOptions *hf_options_parse(char *const *arguments, GError **error);
void hf_options_free(HfOptions *options);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfOptions, hf_options_free)
