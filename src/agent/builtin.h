/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Task kinds of every agent (spec/messages/installer.toml has their messages). */
#pragma once

#include "agent/worker.h"

extern const HfTaskKind hf_task_list; /* "list": ListTask -> List */
extern const HfTaskKind hf_task_logs; /* "logs": LogsTask; a tar stream over link 0 */
