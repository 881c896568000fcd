/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/role.h"

#include <grp.h>
#include <linux/capability.h>
#include <malloc.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"

#define SERIALS_MAX 100000u
#define PEM_MAX (64u << 10)

/* ---- setup ---- */

static void put_pem(GByteArray *body, const char *text)
{
  hf_put_bytes(body, text, strlen(text));
}

static char *get_pem(HfReader *reader)
{
  return hf_get_text(reader, PEM_MAX);
}

void hf_face_setup_put(GByteArray *body, const HfSettings *settings, const HfMembership *identity,
                       const char *const *revoked)
{
  hf_put_text(body, settings->state);
  hf_put_text(body, settings->runtime);
  hf_put_text(body, settings->address);
  hf_put_text(body, settings->user);
  hf_put_u16(body, settings->installer_port);
  hf_put_u16(body, settings->transport_port);
  hf_put_u16(body, settings->channels_first);
  hf_put_u16(body, settings->channels_last);
  hf_put_text(body, identity->host);
  hf_put_text(body, identity->server);
  put_pem(body, identity->key);
  put_pem(body, identity->certificate);
  put_pem(body, identity->authority);
  put_pem(body, identity->server_certificate);
  hf_put_varint(body, g_strv_length((char **)revoked));
  for (guint i = 0; revoked[i] != NULL; i++)
    hf_put_text(body, revoked[i]);
}

static char *text_or_null(HfReader *reader)
{
  g_autofree char *text = hf_get_text(reader, HF_TEXT_MAX);
  return text != NULL && *text != '\0' ? g_steal_pointer(&text) : NULL;
}

gboolean hf_face_setup_get(const GByteArray *body, HfFaceSetup *setup, GError **error)
{
  HfReader reader = hf_reader(body->data, body->len);
  HfSettings *settings = setup->settings = g_new0(HfSettings, 1);
  settings->state = hf_get_text(&reader, HF_TEXT_MAX);
  settings->runtime = hf_get_text(&reader, HF_TEXT_MAX);
  settings->address = text_or_null(&reader);
  settings->user = text_or_null(&reader);
  settings->installer_port = hf_get_u16(&reader);
  settings->transport_port = hf_get_u16(&reader);
  settings->channels_first = hf_get_u16(&reader);
  settings->channels_last = hf_get_u16(&reader);
  HfMembership *identity = setup->identity = g_new0(HfMembership, 1);
  identity->host = hf_get_text(&reader, HF_TEXT_MAX);
  identity->server = hf_get_text(&reader, HF_TEXT_MAX);
  identity->key = get_pem(&reader);
  identity->certificate = get_pem(&reader);
  identity->authority = get_pem(&reader);
  identity->server_certificate = get_pem(&reader);
  guint64 count = hf_get_varint(&reader, SERIALS_MAX);
  setup->revoked = g_new0(char *, count + 1);
  for (guint64 i = 0; i < count && !reader.failed; i++)
    setup->revoked[i] = hf_get_text(&reader, HF_TEXT_MAX);
  return hf_reader_done(&reader, "the setup of a role", error);
}

void hf_face_setup_clear(HfFaceSetup *setup)
{
  g_clear_pointer(&setup->settings, hf_settings_free);
  g_clear_pointer(&setup->identity, hf_membership_free);
  g_clear_pointer(&setup->revoked, g_strfreev);
}

/* ---- rights ---- */

/* The keeper is the parent, and this process ends with it: by the kernel, at once. (A keeper that died before this was
 * said is found by the control socket, which has ended.) To be said again after each change of user. */
static gboolean die_with_parent(void)
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

gboolean hf_role_drop(const char *user, GError **error)
{
  if (!become(user, error))
    return FALSE;
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  return die_with_parent() || hf_fail_errno(error, errno, "cannot tie this process to the keeper");
}

/* ---- start ---- */

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
  if (!g_str_equal(name, "scripts") && !die_with_parent())
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
