/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/fleet.h"

#include <stdarg.h>
#include <string.h>

#include "base/error.h"
#include "base/nearest.h"
#include "base/sys.h"
#include "cli/secretfile.h"

#define PAGE 500
#define CANDIDATES 10u
#define LEAST_DIGITS 4u /* of an id */

const HfFleetKind hf_fleet_host = { "host", "/api/v1/holdfast/hosts", "nameFilter", "name", "address", "host list" };
const HfFleetKind hf_fleet_repository = { "repository",      "/api/v1/backupInfrastructure/repositories",
                                          "nameFilter",      "name",
                                          "repository.path", "repository list" };
const HfFleetKind hf_fleet_job = { "job", "/api/v1/jobs", "nameFilter", "name", "type", "job list" };
const HfFleetKind hf_fleet_credential = { "credential", "/api/v1/credentials", "nameFilter",
                                          "username",   "description",         "credential list" };
const HfFleetKind hf_fleet_proxy = { "proxy",           "/api/v1/backupInfrastructure/proxies",
                                     "nameFilter",      "name",
                                     "server.hostName", "proxy list" };
const HfFleetKind hf_fleet_account = { "account",     "/api/v1/holdfast/accounts", "nameFilter", "name", "role",
                                       "account list" };

void hf_json_clear(json_t **value)
{
  json_decref(*value);
  *value = NULL;
}

/* ---- Opening. ---- */

gboolean hf_fleet_open_with(HfFleet *fleet, HfLogin *login, HfCli *cli, GError **error)
{
  fleet->cli = cli;
  fleet->login = login;
  fleet->rest = hf_rest_new(&login->server, cli->cancel, error);
  if (fleet->rest != NULL)
    hf_rest_set_token(fleet->rest, login->access);
  return fleet->rest != NULL;
}

gboolean hf_fleet_open(HfFleet *fleet, const HfOptions *options, HfCli *cli, GError **error)
{
  g_autofree char *address = options->server == NULL ? NULL : hf_rest_address(options->server, error);
  if (options->server != NULL && address == NULL)
    return FALSE;
  g_autoptr(HfLogins) logins = hf_logins_open(error);
  HfLogin *login = logins == NULL ? NULL : hf_logins_get(logins, address, error);
  return login != NULL && hf_fleet_open_with(fleet, login, cli, error);
}

void hf_fleet_clear(HfFleet *fleet)
{
  g_clear_pointer(&fleet->rest, hf_rest_free);
  g_clear_pointer(&fleet->login, hf_login_free);
}

/* ---- Asking. ---- */

char *hf_fleet_query(const char *path, const char *const *pairs)
{
  GString *text = g_string_new(path);
  char mark = strchr(path, '?') != NULL ? '&' : '?';
  for (; pairs[0] != NULL; pairs += 2) {
    if (pairs[1] == NULL)
      continue;
    g_string_append_printf(text, "%c%s=", mark, pairs[0]);
    g_string_append_uri_escaped(text, pairs[1], NULL, FALSE);
    mark = '&';
  }
  return g_string_free(text, FALSE);
}

char *hf_fleet_path(const char *format, ...)
{
  GString *text = g_string_new(NULL);
  va_list arguments;
  va_start(arguments, format);
  for (const char *p = format; *p != '\0'; p++)
    if (p[0] == '%' && p[1] == 's') {
      g_string_append_uri_escaped(text, va_arg(arguments, const char *), NULL, FALSE);
      p++;
    } else {
      g_string_append_c(text, *p);
    }
  va_end(arguments);
  return g_string_free(text, FALSE);
}

static gboolean ended(const HfFleet *fleet, GError **error)
{
  return hf_fail(error, HF_ERROR_PERMISSION, "your login at '%s' has ended; run 'holdfast login %s'",
                 fleet->login->server.address, fleet->login->server.address);
}

static void replace_secret(char **text, const char *with)
{
  hf_secret_text_clear(text);
  *text = g_strdup(with);
}

/* Turns the refresh token in, unless another process did so meanwhile. */
static gboolean renew(HfFleet *fleet, GError **error)
{
  g_autoptr(HfLogins) logins = hf_logins_open(error);
  if (logins == NULL)
    return FALSE;
  HfLogin *login = fleet->login;
  g_autoptr(HfLogin) stored = hf_logins_get(logins, login->server.address, NULL);
  if (stored == NULL)
    return ended(fleet, error);
  gboolean newer = g_strcmp0(stored->access, login->access) != 0;
  replace_secret(&login->access, stored->access);
  replace_secret(&login->refresh, stored->refresh);
  if (!newer) {
    g_auto(HfRestAnswer) answer = { 0 };
    const char *const form[] = { "grant_type", "refresh_token", "refresh_token", login->refresh, NULL };
    hf_rest_set_token(fleet->rest, NULL);
    if (!hf_rest_form(fleet->rest, "/api/oauth2/token", form, &answer, error))
      return FALSE;
    const char *access = hf_json_text(answer.body, "access_token"),
               *refresh = hf_json_text(answer.body, "refresh_token");
    if (answer.status != 200 || access == NULL || refresh == NULL)
      return answer.status >= 500 ? hf_rest_check(&answer, error) : ended(fleet, error);
    replace_secret(&login->access, access);
    replace_secret(&login->refresh, refresh);
    if (!hf_logins_renew(logins, login, error))
      return FALSE;
  }
  hf_rest_set_token(fleet->rest, login->access);
  return TRUE;
}

static gboolean ask_twice(HfFleet *fleet, const char *method, const char *path, json_t *body, HfRestAnswer *answer,
                          GError **error)
{
  if (!hf_rest_ask(fleet->rest, method, path, body, answer, error))
    return FALSE;
  if (answer->status != 401)
    return hf_rest_check(answer, error);
  hf_rest_answer_clear(answer);
  if (!renew(fleet, error) || !hf_rest_ask(fleet->rest, method, path, body, answer, error))
    return FALSE;
  return answer->status == 401 ? ended(fleet, error) : hf_rest_check(answer, error);
}

gboolean hf_fleet_ask(HfFleet *fleet, const char *method, const char *path, json_t *body, json_t **answer,
                      GError **error)
{
  g_auto(HfRestAnswer) got = { 0 };
  gboolean done = ask_twice(fleet, method, path, body, &got, error);
  json_decref(body);
  if (done && answer != NULL)
    *answer = got.body != NULL ? g_steal_pointer(&got.body) : json_object();
  return done;
}

json_t *hf_fleet_get(HfFleet *fleet, const char *path, GError **error)
{
  json_t *answer = NULL;
  return hf_fleet_ask(fleet, "GET", path, NULL, &answer, error) ? answer : NULL;
}

gboolean hf_fleet_each(HfFleet *fleet, const char *path, guint most, HfFleetRowFunc func, gpointer user, GError **error)
{
  gint64 skip = 0, total = 0;
  do {
    g_autofree char *from = g_strdup_printf("%" G_GINT64_FORMAT, skip);
    g_autofree char *limit = g_strdup_printf("%" G_GINT64_FORMAT, most > 0 ? MIN(PAGE, (gint64)most - skip) : PAGE);
    g_autofree char *page = HF_QUERY(path, "skip", from, "limit", limit);
    hf_autojson json_t *answer = hf_fleet_get(fleet, page, error);
    if (answer == NULL)
      return FALSE;
    json_t *data = json_object_get(answer, "data"), *row;
    size_t index;
    if (!json_is_array(data))
      return hf_fail(error, HF_ERROR_INVALID, "the answer of '%s' to '%s' is no list", fleet->login->server.address,
                     path);
    json_array_foreach(data, index, row)
    {
      if (!func(row, user, error))
        return FALSE;
    }
    if (json_array_size(data) == 0)
      return TRUE;
    skip += (gint64)json_array_size(data);
    total = hf_json_int(answer, "pagination.total", skip);
  } while (skip < total && (most == 0 || skip < (gint64)most));
  return TRUE;
}

static gboolean keep_row(json_t *row, gpointer user, GError **error G_GNUC_UNUSED)
{
  json_array_append(user, row);
  return TRUE;
}

json_t *hf_fleet_list(HfFleet *fleet, const char *path, guint most, GError **error)
{
  json_t *rows = json_array();
  if (hf_fleet_each(fleet, path, most, keep_row, rows, error))
    return rows;
  json_decref(rows);
  return NULL;
}

/* ---- Names. ---- */

gboolean hf_fleet_is_id(const char *text)
{
  return g_uuid_string_is_valid(text);
}

static gboolean several(const HfFleetKind *kind, const char *name, json_t *rows, GError **error)
{
  GString *list = g_string_new(NULL);
  for (guint i = 0; i < MIN(json_array_size(rows), CANDIDATES); i++) {
    json_t *row = json_array_get(rows, i);
    const char *more = kind->more == NULL ? NULL : hf_json_text(row, kind->more);
    g_string_append_printf(list, "%s%s%s%s%s", i > 0 ? ", " : "", hf_json_text(row, "id"), more ? " (" : "",
                           more ? more : "", more ? ")" : "");
  }
  hf_fail(error, HF_ERROR_USAGE, "'%s' may be any of %zu of kind %s; give one of their ids: %s", name,
          json_array_size(rows), kind->word, list->str);
  g_string_free(list, TRUE);
  return FALSE;
}

static gboolean no_such(const HfFleetKind *kind, const char *name, json_t *all, GError **error)
{
  g_autoptr(HfNearest) nearest = hf_nearest_new(name);
  json_t *row;
  size_t index;
  json_array_foreach(all, index, row)
  {
    const char *candidate = hf_json_text(row, kind->name);
    if (candidate != NULL)
      hf_nearest_offer(nearest, candidate);
  }
  const char *found = hf_nearest_result(nearest);
  if (found != NULL)
    return hf_fail(error, HF_ERROR_NOT_FOUND, "there is no %s '%s'; did you mean '%s'?", kind->word, name, found);
  return hf_fail(error, HF_ERROR_NOT_FOUND, "there is no %s '%s'; 'holdfast %s' lists them", kind->word, name,
                 kind->verb);
}

gboolean hf_fleet_is_start_of(const char *text, const char *id)
{
  return strlen(text) >= LEAST_DIGITS && id != NULL && g_ascii_strncasecmp(text, id, strlen(text)) == 0;
}

/* By the first digits of an id, where there is no such name. */
static json_t *find_start(HfFleet *fleet, const HfFleetKind *kind, const char *name, GError **error)
{
  hf_autojson json_t *all = hf_fleet_list(fleet, kind->list, 0, error), *begun = json_array();
  json_t *row;
  size_t index;
  if (all == NULL)
    return NULL;
  json_array_foreach(all, index, row)
  {
    if (hf_fleet_is_start_of(name, hf_json_text(row, "id")))
      json_array_append(begun, row);
  }
  if (json_array_size(begun) == 1)
    return json_incref(json_array_get(begun, 0));
  if (json_array_size(begun) == 0)
    no_such(kind, name, all, error);
  else
    several(kind, name, begun, error);
  return NULL;
}

static json_t *find_row(HfFleet *fleet, const HfFleetKind *kind, const char *name, GError **error)
{
  if (hf_fleet_is_id(name)) {
    g_autofree char *id = g_ascii_strdown(name, -1);
    g_autofree char *path = g_strdup_printf("%s/%s", kind->list, id);
    return hf_fleet_get(fleet, path, error);
  }
  g_autofree char *path = HF_QUERY(kind->list, kind->filter, name);
  hf_autojson json_t *rows = hf_fleet_list(fleet, path, 0, error), *same = json_array();
  if (rows == NULL)
    return NULL;
  json_t *row;
  size_t index;
  /* The filter knows '*' and no capitals; a name here is exact. */
  json_array_foreach(rows, index, row)
  {
    if (g_strcmp0(hf_json_text(row, kind->name), name) == 0)
      json_array_append(same, row);
  }
  if (json_array_size(same) == 1)
    return json_incref(json_array_get(same, 0));
  if (json_array_size(same) == 0)
    return find_start(fleet, kind, name, error);
  several(kind, name, same, error);
  return NULL;
}

gboolean hf_fleet_has_id(HfFleet *fleet, json_t *row, GError **error)
{
  const char *id = hf_json_text(row, "id");
  return (id != NULL && hf_fleet_is_id(id)) ||
         hf_fail(error, HF_ERROR_INVALID, "an answer of '%s' has no id; is it a Holdfast server?",
                 fleet->login->server.address);
}

json_t *hf_fleet_find(HfFleet *fleet, const HfFleetKind *kind, const char *name, GError **error)
{
  hf_autojson json_t *row = find_row(fleet, kind, name, error);
  return row != NULL && hf_fleet_has_id(fleet, row, error) ? g_steal_pointer(&row) : NULL;
}

char *hf_fleet_id(HfFleet *fleet, const HfFleetKind *kind, const char *name, GError **error)
{
  hf_autojson json_t *row = hf_fleet_find(fleet, kind, name, error);
  return row == NULL ? NULL : g_strdup(hf_json_text(row, "id"));
}

/* ---- Questions. ---- */

/* What stands for standard input. */
static const char *file_name(const char *file)
{
  return file != NULL && strcmp(file, "-") == 0 ? "/dev/stdin" : file;
}

gboolean hf_fleet_password(HfCli *cli, const char *file, const char *prompt, const char *hint, gboolean confirm,
                           HfBuffer *password, GError **error)
{
  HfPasswordRequest request = { .file = file_name(file), .prompt = prompt, .hint = hint, .confirm = confirm };
  if (!hf_password_read(&request, cli->cancel, password, error))
    return FALSE;
  return g_utf8_validate((const char *)password->data, -1, NULL) ||
         hf_fail(error, HF_ERROR_USAGE, "the %s is not UTF-8", prompt);
}

json_t *hf_fleet_secret_file(const char *file, GError **error)
{
  hf_autosecret HfBuffer secret = HF_BUFFER_INIT;
  if (!hf_secret_file_read(file_name(file), &secret, error))
    return NULL;
  json_t *text = json_stringn((const char *)secret.data, secret.length);
  if (text == NULL)
    hf_fail(error, HF_ERROR_USAGE, "'%s' holds no text", file);
  return text;
}

gboolean hf_fleet_confirm(HfCli *cli, const char *question, const char *refusal, GError **error)
{
  char answer[16];
  gsize length = 0;
  hf_autofd int tty = -1;
  if (!hf_output_is_json(cli->output))
    tty = hf_open(AT_FDCWD, "/dev/tty", O_RDWR | O_NOCTTY, 0, NULL);
  if (tty < 0)
    return hf_fail(error, HF_ERROR_USAGE, "%s", refusal);
  g_autofree char *plain = hf_printable_lines(question);
  g_autofree char *shown = g_strconcat(plain, "\nType 'yes' if so: ", NULL);
  if (!hf_write_all(tty, shown, strlen(shown), "/dev/tty", error))
    return FALSE;
  while (length < sizeof answer - 1) {
    ssize_t count = hf_sys->read(tty, answer + length, 1);
    if (hf_cancelled(cli->cancel, error))
      return FALSE;
    if (count < 0 && errno == EINTR)
      continue;
    if (count <= 0 || answer[length] == '\n')
      break;
    length++;
  }
  answer[length] = '\0';
  return strcmp(answer, "yes") == 0 || hf_fail(error, HF_ERROR_CANCELLED, "not confirmed; nothing was done");
}
