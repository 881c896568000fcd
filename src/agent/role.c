/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/role.h"

#include <malloc.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "agent/control.h"
#include "agent/installer.h"
#include "agent/rights.h"
#include "agent/transport/face.h"
#include "base/error.h"

static void prepare(void)
{
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  struct sigaction ignore = { .sa_handler = SIG_IGN };
  sigaction(SIGPIPE, &ignore, NULL);
  setpgid(0, 0);
  mallopt(M_ARENA_MAX, 2);
  mallopt(M_TRIM_THRESHOLD, 128 << 10);
  struct rlimit no_core = { 0, 0 };
  setrlimit(RLIMIT_CORE, &no_core);
}

static gboolean run_role(const char *name, HfControl *control, const HfAgentParts *parts, GError **error)
{
  if (g_str_equal(name, "installer"))
    return hf_installer_run(control, error);
  if (g_str_equal(name, "transport"))
    return hf_transport_run(control, parts, error);
  if (g_str_equal(name, "worker"))
    return hf_worker_run(control, parts, error);
  if (g_str_equal(name, "scripts"))
    return parts->scripts(control, error);
  return hf_fail(error, HF_ERROR_USAGE, "there is no role '%s'", name);
}

int hf_role_main(const char *name, const HfAgentParts *parts)
{
  g_autoptr(GError) error = NULL;
  prepare();
  /* Who runs scripts ends with the keeper by itself: it has to end them, and all they started, before. */
  if (!g_str_equal(name, "scripts") && !hf_rights_end_with_keeper())
    return 1;
  g_autofree char *title = g_strdup_printf("hf-%s", name);
  prctl(PR_SET_NAME, title, 0, 0, 0);
  HfControl *control = hf_control_new(HF_CONTROL_FD);
  gboolean done = hf_crypto_init(&error) && run_role(name, control, parts, &error);
  if (!done)
    g_warning("%s: %s", name, error != NULL ? error->message : "ended");
  /* Threads of a face may be at it still: nothing is taken down behind them. */
  if (!g_str_equal(name, "worker"))
    _exit(done ? 0 : 1);
  hf_control_free(control);
  return done ? 0 : 1;
}
