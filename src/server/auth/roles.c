/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/error.h"
#include "server/auth/auth.h"

static const char *const names[] = {
  [HF_ROLE_VIEWER] = "viewer",
  [HF_ROLE_RESTORE_OPERATOR] = "restore-operator",
  [HF_ROLE_OPERATOR] = "operator",
  [HF_ROLE_ADMINISTRATOR] = "administrator",
};

/* The least role that may; roles contain each other. */
static const HfRole least[] = {
  [HF_ACTION_VIEW] = HF_ROLE_VIEWER,
  [HF_ACTION_AUDIT] = HF_ROLE_ADMINISTRATOR,
  [HF_ACTION_RUN] = HF_ROLE_OPERATOR,
  [HF_ACTION_SWITCH] = HF_ROLE_OPERATOR,
  [HF_ACTION_RESTORE] = HF_ROLE_RESTORE_OPERATOR,
  [HF_ACTION_RESTORE_ELSEWHERE] = HF_ROLE_OPERATOR,
  [HF_ACTION_RESCAN] = HF_ROLE_OPERATOR,
  [HF_ACTION_CONFIGURE] = HF_ROLE_ADMINISTRATOR,
  [HF_ACTION_DELETE] = HF_ROLE_ADMINISTRATOR,
  [HF_ACTION_ACCOUNTS] = HF_ROLE_ADMINISTRATOR,
};

const char *hf_role_name(HfRole role)
{
  return names[role];
}

gboolean hf_role_parse(const char *name, HfRole *role, GError **error)
{
  for (gsize i = 0; i < G_N_ELEMENTS(names); i++)
    if (g_strcmp0(names[i], name) == 0) {
      *role = (HfRole)i;
      return TRUE;
    }
  return hf_fail(error, HF_ERROR_USAGE, "there is no role '%s'; roles are administrator, operator, restore-operator "
                                        "and "
                 "viewer", name != NULL ? name : "");
}

gboolean hf_role_allows(HfRole role, HfAction action)
{
  return role >= least[action];
}

gboolean hf_actor_may(const HfActor *actor, HfAction action, GError **error)
{
  static const char *const what[] = {
    [HF_ACTION_VIEW] = "look at the system",
    [HF_ACTION_AUDIT] = "read the audit trail",
    [HF_ACTION_RUN] = "start and stop jobs",
    [HF_ACTION_SWITCH] = "enable and disable jobs and proxies",
    [HF_ACTION_RESTORE] = "restore",
    [HF_ACTION_RESTORE_ELSEWHERE] = "restore to another host",
    [HF_ACTION_RESCAN] = "rescan hosts and repositories",
    [HF_ACTION_CONFIGURE] = "change the configuration",
    [HF_ACTION_DELETE] = "delete backups",
    [HF_ACTION_ACCOUNTS] = "manage accounts",
  };
  return hf_role_allows(actor->role, action) ||
         hf_fail(error, HF_ERROR_PERMISSION, "'%s' (%s) may not %s; ask an administrator", actor->account,
                 hf_role_name(actor->role), what[action]);
}
