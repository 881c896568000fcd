/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What every child of the keeper does first. */
#pragma once

#include "agent/worker.h"

/* Runs "--role NAME" on the control socket HF_CONTROL_FD; gives the exit code. */
int hf_role_main(const char *name, const HfAgentParts *parts);
