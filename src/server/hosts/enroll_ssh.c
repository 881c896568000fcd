/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Enrolment over SSH: put the agent there, let it wait for a token, enrol it by that, start it. */
#include <string.h>

#include "base/error.h"
#include "crypto/crypto.h"
#include "ports/catalogue/catalogue.h"
#include "server/hosts/private.h"
#include "server/hosts/rows.h"
#include "server/hosts/ssh.h"

#define TARGET "/usr/bin/holdfast-agent"
#define READY_MS 60000
#define END_MS 30000
#define WAIT_SECONDS "120"

static guint16 ssh_port(guint16 port)
{
  return port != 0 ? port : hf_port_service("ssh")->first;
}

char *hf_ssh_host_key(const char *address, guint16 port, GError **error)
{
  g_autoptr(HfSsh) ssh = hf_ssh_connect(address, ssh_port(port), NULL, error);
  return ssh != NULL ? hf_ssh_fingerprint(ssh, error) : NULL;
}

/* ---- running there ---- */

typedef struct Place {
  HfSsh *ssh;
  const HfSshWish *wish;
  const char *target;
  gboolean asks; /* sudo asks for a password */
} Place;

/* Whether sudo asks: one that does not (by its rules, or as it was given the password a moment ago) leaves the password
 * to the program as its input. "-k": what was given before does not count. */
static gboolean sudo_asks(HfSsh *ssh, const HfSshWish *wish)
{
  static const char *const words[] = { "sudo", "-k", "-n", "--", "true", NULL };
  return wish->sudo && wish->password != NULL && !hf_ssh_run(ssh, words, NULL, NULL, NULL);
}

/* The words, behind sudo where the user is not root. sudo reads its password as the first line of standard input. */
static GPtrArray *as_root(const Place *place, const char *const *words, const char *input, char **whole_input)
{
  GPtrArray *line = g_ptr_array_new();
  const HfSshWish *wish = place->wish;
  if (wish->sudo) {
    g_ptr_array_add(line, (gpointer) "sudo");
    g_ptr_array_add(line, (gpointer) "-k");
    g_ptr_array_add(line, (gpointer)(place->asks ? "-S" : "-n"));
    g_ptr_array_add(line, (gpointer) "-p");
    g_ptr_array_add(line, (gpointer) "");
    g_ptr_array_add(line, (gpointer) "--");
  }
  for (; *words != NULL; words++)
    g_ptr_array_add(line, (gpointer)*words);
  g_ptr_array_add(line, NULL);
  *whole_input = g_strconcat(place->asks ? wish->password : "", place->asks ? "\n" : "", input != NULL ? input : "",
                             NULL);
  return line;
}

static void wipe_text(char *text)
{
  hf_wipe(text, strlen(text));
  g_free(text);
}

static gboolean run(const Place *place, const char *const *words, GError **error)
{
  char *input;
  g_autoptr(GPtrArray) line = as_root(place, words, NULL, &input);
  gboolean done = hf_ssh_run(place->ssh, (const char *const *)line->pdata, input, NULL, error);
  wipe_text(input);
  return done;
}

/* ---- installing ---- */

/* By apt and not by dpkg: a fresh host lacks libraries of the agent. Its lists of packages may be old or missing, and
 * are fetched only then. */
static gboolean install_package(const Place *place, const char *copy, GError **error)
{
  const char *const words[] = { "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "--yes", "--quiet",
                                "--reinstall", "--allow-downgrades", "--no-install-recommends", "-o",
                                "Dpkg::Options::=--force-confold", copy, NULL };
  const char *const update[] = { "apt-get", "update", "--quiet", NULL };
  return run(place, words, NULL) || (run(place, update, NULL), run(place, words, error));
}

static gboolean install(const Place *place, GError **error)
{
  const HfSshWish *wish = place->wish;
  const char *path = wish->package != NULL ? wish->package : wish->program;
  if (path == NULL)
    return TRUE;
  g_autofree char *folder = NULL;
  const char *const make[] = { "mktemp", "-d", "-t", "holdfast.XXXXXXXX", NULL };
  if (!hf_ssh_run(place->ssh, make, NULL, &folder, error))
    return FALSE;
  g_autofree char *copy = g_strconcat(g_strchomp(folder), wish->package != NULL ? "/agent.deb" : "/agent", NULL);
  const char *const program[] = { "install", "-D", "-m", "0755", copy, place->target, NULL };
  const char *const clean[] = { "rm", "-rf", "--", folder, NULL };
  gboolean done = hf_ssh_copy(place->ssh, path, copy, error) &&
                  (wish->package != NULL ? install_package(place, copy, error) : run(place, program, error));
  hf_ssh_run(place->ssh, clean, NULL, NULL, NULL);
  return done;
}

/* ---- enrolling ---- */

static GPtrArray *agent_words(const Place *place, const char *const *verb)
{
  GPtrArray *words = g_ptr_array_new();
  for (; *verb != NULL; verb++)
    g_ptr_array_add(words, (gpointer)*verb);
  for (const char *const *option = place->wish->places; option != NULL && *option != NULL; option++)
    g_ptr_array_add(words, (gpointer)*option);
  g_ptr_array_add(words, NULL);
  return words;
}

static HfSshRun *begin_enroll(const Place *place, const char *token, GError **error)
{
  const char *const verb[] = { place->target, "enroll", "--json", "--wait", WAIT_SECONDS, "--token-file", "-",
                               place->wish->replaces != NULL ? "--again" : NULL, NULL };
  char *input;
  g_autofree char *line_of_token = g_strconcat(token, "\n", NULL);
  g_autoptr(GPtrArray) words = agent_words(place, verb);
  g_autoptr(GPtrArray) line = as_root(place, (const char *const *)words->pdata, line_of_token, &input);
  HfSshRun *run_there = hf_ssh_begin(place->ssh, (const char *const *)line->pdata, input, error);
  wipe_text(input);
  hf_wipe(line_of_token, strlen(line_of_token));
  return run_there;
}

static gboolean enroll_there(HfHosts *hosts, const Place *place, const char *token, HfEnrolled *enrolled,
                             GError **error)
{
  const HfSshWish *wish = place->wish;
  HfSshRun *there = begin_enroll(place, token, error);
  if (there == NULL)
    return FALSE;
  g_autoptr(GError) why = NULL;
  g_autofree char *ready = hf_ssh_line(there, READY_MS, &why);
  if (ready == NULL) {
    /* Its own words say more than that it fell silent. */
    if (!hf_ssh_end(there, END_MS, error) || why == NULL)
      return error != NULL && *error != NULL ? FALSE : hf_fail(error, HF_ERROR_FAILED, "the agent did not wait");
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
  }
  const HfEnrollWish by_token = { .address = wish->address, .port = wish->installer_port, .token = token,
                                  .replaces = wish->replaces, .wait_seconds = 5 };
  if (!hf_hosts_enroll(hosts, &by_token, enrolled, error)) {
    hf_ssh_run_free(there);
    return FALSE;
  }
  return hf_ssh_end(there, END_MS, error);
}

/* A host with systemd has the service from the package; elsewhere the program runs by itself. */
static gboolean start(const Place *place, GError **error)
{
  const char *const systemd[] = { "test", "-d", "/run/systemd/system", NULL };
  const char *const enable[] = { "systemctl", "enable", "--now", "holdfast-agent", NULL };
  const char *const verb[] = { "setsid", "--fork", "sh", "-c", "exec \"$@\" </dev/null >/dev/null 2>&1", "sh",
                               place->target, "run", NULL };
  if (place->wish->program == NULL && hf_ssh_run(place->ssh, systemd, NULL, NULL, NULL))
    return run(place, enable, error);
  g_autoptr(GPtrArray) words = agent_words(place, verb);
  return run(place, (const char *const *)words->pdata, error);
}

static HfSsh *log_in(const HfSshWish *wish, char **fingerprint, GError **error)
{
  g_autoptr(HfSsh) ssh = hf_ssh_connect(wish->address, ssh_port(wish->port), wish->user, error);
  if (ssh == NULL || (*fingerprint = hf_ssh_fingerprint(ssh, error)) == NULL)
    return NULL;
  if (g_strcmp0(*fingerprint, wish->host_key) != 0) {
    hf_fail(error, HF_ERROR_REFUSED, "the SSH key of '%s' is %s, not %s; compare it on the host itself", wish->address,
            *fingerprint, wish->host_key != NULL ? wish->host_key : "one that was confirmed");
    return NULL;
  }
  gboolean in = wish->private_key != NULL ? hf_ssh_login_key(ssh, wish->private_key, wish->passphrase, error)
                                          : hf_ssh_login_password(ssh, wish->password != NULL ? wish->password : "",
                                                                  error);
  if (in) {
    /* What the host will be is not known yet. */
    static const char *const any[] = { "backup-proxy", "backup-repository", NULL };
    g_autofree char *rows = hf_rows_to("backup-server", any, "ssh");
    g_message("row %s: logged in to %s", rows, wish->address);
  }
  return in ? g_steal_pointer(&ssh) : NULL;
}

gboolean hf_hosts_enroll_ssh(HfHosts *hosts, const HfSshWish *wish, HfEnrolled *enrolled, GError **error)
{
  g_autofree char *fingerprint = NULL;
  g_autoptr(HfSsh) ssh = log_in(wish, &fingerprint, error);
  if (ssh == NULL)
    return FALSE;
  const Place place = { ssh, wish, wish->target != NULL ? wish->target : TARGET, sudo_asks(ssh, wish) };
  char *token = hf_tls_token_new();
  gboolean done = install(&place, error) && enroll_there(hosts, &place, token, enrolled, error) && start(&place, error);
  hf_tls_token_free(token);
  enrolled->ssh_host_key = g_steal_pointer(&fingerprint);
  return done;
}
