/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The actions of the interface over the real server: server/jobs and its managed hosts. */
#pragma once

#include "api/actions.h"
#include "server/jobs/managed.h"

typedef struct HfProgramActions {
  HfJobs *jobs;
  HfManaged *managed;
  HfScheduler *scheduler;    /* may be NULL */
  const char *agent_package; /* installed on hosts that are added by SSH; NULL: none */
  const char *agent_program; /* or this program; NULL: it is there */
} HfProgramActions;
/* `real` must outlive the table. */
void hf_program_actions(HfProgramActions *real, HfApiActions *actions);
