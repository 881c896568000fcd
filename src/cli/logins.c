/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/logins.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/error.h"
#include "base/sys.h"
#include "cli/password.h"
#include "cli/secretfile.h"

#define FILE_NAME "login"
#define LOCK_NAME "login.lock"

struct HfLogins {
  char *path;
  int lock;
  json_t *root; /* {"current": ADDRESS, "servers": {ADDRESS: {...}}} */
};

void hf_login_free(HfLogin *login)
{
  if (login == NULL)
    return;
  hf_rest_server_clear(&login->server);
  g_free(login->fingerprint);
  g_free(login->user);
  hf_secret_text_clear(&login->access);
  hf_secret_text_clear(&login->refresh);
  g_free(login);
}

/* Invariant 3. */
static gboolean check_private(const char *path, GError **error)
{
  struct stat status;
  if (g_stat(path, &status) != 0)
    return hf_fail_errno(error, errno, "cannot look at '%s'", path);
  if (status.st_uid != geteuid() || (status.st_mode & 077) != 0)
    return hf_fail(error, HF_ERROR_PERMISSION,
                   "'%s' can be read by others than you; run 'chmod 600' on it, and log in "
                   "again if somebody may have read it",
                   path);
  return TRUE;
}

static gboolean load(HfLogins *logins, GError **error)
{
  hf_autosecret HfBuffer text = HF_BUFFER_INIT;
  if (!g_file_test(logins->path, G_FILE_TEST_EXISTS)) {
    logins->root = json_pack("{s:{}}", "servers");
    return TRUE;
  }
  if (!check_private(logins->path, error) || !hf_secret_file_read(logins->path, &text, error))
    return FALSE;
  logins->root = json_loadb((const char *)text.data, text.length, 0, NULL);
  return json_is_object(hf_json_at(logins->root, "servers")) ||
         hf_fail(error, HF_ERROR_FAILED, "'%s' is no file of logins; remove it and log in again", logins->path);
}

static int take_lock(const char *folder, GError **error)
{
  g_autofree char *path = g_build_filename(folder, LOCK_NAME, NULL);
  int fd = hf_open(AT_FDCWD, path, O_RDWR | O_CREAT, 0600, error);
  if (fd < 0)
    return -1;
  if (flock(fd, LOCK_EX) == 0)
    return fd;
  hf_fail_errno(error, errno, "cannot lock '%s'", path);
  hf_close_ptr(&fd);
  return -1;
}

HfLogins *hf_logins_open(GError **error)
{
  g_autofree char *folder = g_build_filename(g_get_user_config_dir(), "holdfast", NULL);
  if (!hf_rest_init(error))
    return NULL;
  if (g_mkdir_with_parents(folder, 0700) != 0) {
    hf_fail_errno(error, errno, "cannot make '%s'", folder);
    return NULL;
  }
  g_autoptr(HfLogins) logins = g_new0(HfLogins, 1);
  logins->path = g_build_filename(folder, FILE_NAME, NULL);
  logins->lock = take_lock(folder, error);
  return logins->lock >= 0 && load(logins, error) ? g_steal_pointer(&logins) : NULL;
}

void hf_logins_free(HfLogins *logins)
{
  if (logins == NULL)
    return;
  json_decref(logins->root);
  hf_close_ptr(&logins->lock);
  g_free(logins->path);
  g_free(logins);
}

/* Invariant 1. */
static gboolean save(HfLogins *logins, GError **error)
{
  g_autofree char *next = g_strconcat(logins->path, ".next", NULL);
  g_auto(HfSecretFile) file = HF_SECRET_FILE_INIT;
  hf_sys->unlinkat(AT_FDCWD, next, 0); /* of a process that was killed; the lock is ours */
  if (!hf_secret_file_create(&file, next, error))
    return FALSE;
  hf_autosecrettext char *text = json_dumps(logins->root, JSON_INDENT(2));
  if (!hf_secret_file_finish(&file, text, error))
    return FALSE;
  if (hf_sys->renameat2(AT_FDCWD, next, AT_FDCWD, logins->path, 0) == 0)
    return TRUE;
  int problem = errno;
  hf_sys->unlinkat(AT_FDCWD, next, 0);
  return hf_fail_errno(error, problem, "cannot replace '%s'", logins->path);
}

static json_t *servers(HfLogins *logins)
{
  return json_object_get(logins->root, "servers");
}

/* What is used when no server is named: the last login's, or the only one. */
static const char *usual(HfLogins *logins)
{
  const char *current = hf_json_text(logins->root, "current");
  if (current != NULL && json_object_get(servers(logins), current) != NULL)
    return current;
  return json_object_size(servers(logins)) == 1 ? json_object_iter_key(json_object_iter(servers(logins))) : NULL;
}

HfLogin *hf_logins_get(HfLogins *logins, const char *address, GError **error)
{
  if (address == NULL)
    address = usual(logins);
  json_t *found = address == NULL ? NULL : json_object_get(servers(logins), address);
  if (found == NULL && address == NULL)
    hf_fail(error, HF_ERROR_NOT_FOUND, "you are not logged in at a server; run 'holdfast login SERVER'");
  else if (found == NULL)
    hf_fail(error, HF_ERROR_NOT_FOUND, "you are not logged in at '%s'; run 'holdfast login %s'", address, address);
  if (found == NULL)
    return NULL;
  HfLogin *login = g_new0(HfLogin, 1);
  login->server.address = g_strdup(address);
  login->server.pin = g_strdup(hf_json_text(found, "pin"));
  login->server.ca = g_strdup(hf_json_text(found, "ca"));
  login->fingerprint = g_strdup(hf_json_text(found, "fingerprint"));
  login->user = g_strdup(hf_json_text(found, "user"));
  login->access = g_strdup(hf_json_text(found, "access"));
  login->refresh = g_strdup(hf_json_text(found, "refresh"));
  if ((login->server.pin != NULL) != (login->server.ca != NULL) && login->access != NULL && login->refresh != NULL)
    return login;
  hf_login_free(login);
  hf_fail(error, HF_ERROR_FAILED, "the login at '%s' in '%s' is not whole; log in again", address, logins->path);
  return NULL;
}

static void set(json_t *object, const char *name, const char *text)
{
  if (text != NULL)
    json_object_set_new(object, name, json_string(text));
}

static json_t *pack(const HfLogin *login)
{
  json_t *entry = json_object();
  set(entry, "user", login->user);
  set(entry, "pin", login->server.pin);
  set(entry, "ca", login->server.ca);
  set(entry, "fingerprint", login->fingerprint);
  set(entry, "access", login->access);
  set(entry, "refresh", login->refresh);
  return entry;
}

gboolean hf_logins_renew(HfLogins *logins, const HfLogin *login, GError **error)
{
  json_object_set_new(servers(logins), login->server.address, pack(login));
  return save(logins, error);
}

gboolean hf_logins_put(HfLogins *logins, const HfLogin *login, GError **error)
{
  set(logins->root, "current", login->server.address);
  return hf_logins_renew(logins, login, error);
}

gboolean hf_logins_remove(HfLogins *logins, const char *address, GError **error)
{
  json_object_del(servers(logins), address);
  if (g_strcmp0(hf_json_text(logins->root, "current"), address) == 0)
    json_object_del(logins->root, "current");
  return save(logins, error);
}
