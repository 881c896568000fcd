/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdio.h>

#include "agent/agent.h"
#include "agent/builtin.h"
#include "agent/tasks/hooks.h"
#include "agent/tasks/tasks.h"
#include "agent/vault/vault.h"
#include "base/sysfault.h"
#include "storage/local/local.h"

int main(int argc, char **argv)
{
  static const HfTaskKind *const tasks[] = { &hf_task_backup, &hf_task_copy, &hf_task_list, &hf_task_logs,
                                             &hf_task_restore, NULL };
  static const HfAgentParts parts = { tasks, hf_vault_serve, hf_hooks_serve, hf_vault_take_over, hf_vault_hold_by };
  g_autoptr(GError) error = NULL;
  if (!hf_sys_fault_from_environment(&error)) {
    fprintf(stderr, "holdfast-agent: %s\n", error->message);
    return 2;
  }
  hf_local_register();
  return hf_agent_main(argc, argv, &parts);
}
