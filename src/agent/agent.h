/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The program holdfast-agent, put together from `parts`. */
#pragma once

#include "agent/worker.h"

/* Gives the exit code. */
int hf_agent_main(int argc, char **argv, const HfAgentParts *parts);
