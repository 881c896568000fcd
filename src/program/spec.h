/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The tables that spec/gen-options.py makes from spec/options-server.toml. All static. */
#pragma once

#include "base/options.h"
#include "program/options.gen.h"

extern const HfVerbSpec hf_server_verb_specs[HF_SERVER_VERBS];
extern const char hf_server_program_help[];
extern const HfProgramSpec hf_server_program;
