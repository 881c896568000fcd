/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The tables that spec/gen-options.py makes from spec/options-agent.toml. All static. */
#pragma once

#include "agent/options.gen.h"
#include "base/options.h"

extern const HfVerbSpec hf_agent_verb_specs[HF_AGENT_VERBS];
extern const char hf_agent_program_help[];
extern const HfProgramSpec hf_agent_program;
