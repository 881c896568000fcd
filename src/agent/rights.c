/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/rights.h"

#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"

gboolean hf_rights_end_with_keeper(void)
{
  return prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0;
}

static gboolean drop_capabilities(GError **error)
{
  struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
  struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };
  for (int i = 0; prctl(PR_CAPBSET_READ, i, 0, 0, 0) >= 0; i++)
    prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
  if (syscall(SYS_capset, &header, none) == 0)
    return TRUE;
  return hf_fail_errno(error, errno, "cannot give up capabilities");
}

static gboolean become(const char *user, GError **error)
{
  if (geteuid() != 0 || user == NULL)
    return TRUE;
  const struct passwd *entry = getpwnam(user);
  if (entry == NULL)
    return hf_fail(error, HF_ERROR_PERMISSION, "there is no user '%s' for the network roles; make one ('adduser "
                   "--system'), or name another with 'user' in the configuration", user);
  uid_t uid = entry->pw_uid;
  gid_t gid = entry->pw_gid;
  for (int i = 0; prctl(PR_CAPBSET_READ, i, 0, 0, 0) >= 0; i++)
    prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
  if (initgroups(user, gid) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
    return hf_fail_errno(error, errno, "cannot become user '%s'", user);
  return drop_capabilities(error);
}

gboolean hf_rights_drop(const char *user, GError **error)
{
  if (!become(user, error))
    return FALSE;
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  return hf_rights_end_with_keeper() || hf_fail_errno(error, errno, "cannot tie this process to the keeper");
}
