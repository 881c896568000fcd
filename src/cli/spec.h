/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The tables that spec/gen-options.py makes from spec/options.toml (options.gen.c). All static. */
#pragma once

#include "base/options.h"
#include "cli/options.gen.h"

extern const HfVerbSpec hf_verb_specs[HF_VERBS]; /* by HfVerb */
extern const HfVerbGroupSpec hf_verb_group_specs[HF_VERB_GROUPS];
extern const char hf_program_help[];
extern const HfProgramSpec hf_program;
