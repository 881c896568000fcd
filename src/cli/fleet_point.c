/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The verbs point list and point ls, restore at a server, and what they share. */
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "cli/fleet.h"

#define POINTS "/api/v1/holdfast/points"
#define BROWSED 1000 /* entries of a folder asked for at once */

/* ---- Which points. ---- */

typedef struct PointSearch {
  HfFleet *fleet;
  const char *name, *before, *after; /* filters, or NULL */
  char *repository;
  json_t *rows;
} PointSearch;

/* `filter` names what `id` is of; both NULL for all points. */
static gboolean add_points(PointSearch *search, const char *filter, const char *id, GError **error)
{
  /* The pair that may be missing comes last: a name that is missing ends the list. */
  g_autofree char *path = HF_QUERY(POINTS, "repositoryIdFilter", search->repository, "nameFilter", search->name,
                                   "timeBeforeFilter", search->before, "timeAfterFilter", search->after, filter, id);
  hf_autojson json_t *more = hf_fleet_list(search->fleet, path, 0, error);
  return more != NULL && json_array_extend(search->rows, more) == 0;
}

/* The points of every row (an object or a backup) of the list at `path`. */
static gboolean add_points_of(PointSearch *search, const char *path, const char *filter, GError **error)
{
  hf_autojson json_t *owners = hf_fleet_list(search->fleet, path, 0, error);
  json_t *owner;
  size_t index;
  if (owners == NULL)
    return FALSE;
  json_array_foreach(owners, index, owner)
  {
    if (!add_points(search, filter, hf_json_text(owner, "id"), error))
      return FALSE;
  }
  return TRUE;
}

static gboolean add_points_of_host(PointSearch *search, const char *host_id, GError **error)
{
  g_autofree char *path = HF_QUERY("/api/v1/backupObjects", "computerIdFilter", host_id);
  return add_points_of(search, path, "objectIdFilter", error);
}

static gboolean add_points_of_job(PointSearch *search, const char *job_id, GError **error)
{
  g_autofree char *path = HF_QUERY("/api/v1/backups", "jobIdFilter", job_id);
  return add_points_of(search, path, "backupIdFilter", error);
}

/* Newest first. */
static int compare_times(const void *a, const void *b)
{
  const char *x = hf_json_text(*(json_t *const *)a, "time"), *y = hf_json_text(*(json_t *const *)b, "time");
  return g_strcmp0(y, x);
}

static void sort_points(json_t **rows)
{
  gsize count = json_array_size(*rows);
  g_autofree json_t **list = g_new(json_t *, count + 1);
  for (gsize i = 0; i < count; i++)
    list[i] = json_array_get(*rows, i);
  qsort(list, count, sizeof *list, compare_times);
  json_t *sorted = json_array();
  for (gsize i = 0; i < count; i++)
    json_array_append(sorted, list[i]);
  json_decref(*rows);
  *rows = sorted;
}

static gboolean search_points(PointSearch *search, const HfOptions *options, GError **error)
{
  HfFleet *fleet = search->fleet;
  if (options->from_repository != NULL) {
    search->repository = hf_fleet_id(fleet, &hf_fleet_repository, options->from_repository, error);
    if (search->repository == NULL)
      return FALSE;
  }
  if (options->host != NULL) {
    g_autofree char *host = hf_fleet_id(fleet, &hf_fleet_host, options->host, error);
    return host != NULL && add_points_of_host(search, host, error);
  }
  if (options->job != NULL) {
    g_autofree char *job = hf_fleet_id(fleet, &hf_fleet_job, options->job, error);
    return job != NULL && add_points_of_job(search, job, error);
  }
  return add_points(search, NULL, NULL, error);
}

gboolean hf_verb_point_list(const HfOptions *options, HfCli *cli, GError **error)
{
  static const HfFleetColumn columns[] = {
    { { .title = "ID" }, "id", HF_CELL_ID },
    { { .title = "TIME" }, "time", HF_CELL_TIME },
    { { .title = "NAME", .shrink = TRUE }, "name", HF_CELL_TEXT },
    { { .title = "TYPE" }, "type", HF_CELL_TEXT },
    { { .title = "SIZE", .right = TRUE }, "originalSize", HF_CELL_SIZE },
    { { .title = "STORED", .right = TRUE }, "storedSize", HF_CELL_SIZE },
    { { .title = "LOCKED UNTIL" }, "lockedUntil", HF_CELL_TIME },
    { { .title = "DAMAGED" }, "isDamaged", HF_CELL_FLAG },
  };
  g_auto(HfFleet) fleet = { 0 };
  g_autofree char *since = NULL;
  if ((options->since != NULL && !hf_fleet_since(options->since, &since, error)) ||
      !hf_fleet_open(&fleet, options, cli, error))
    return FALSE;
  PointSearch search = { .fleet = &fleet, .after = since, .rows = json_array() };
  gboolean found = search_points(&search, options, error);
  hf_autojson json_t *rows = search.rows;
  g_free(search.repository);
  if (!found)
    return FALSE;
  sort_points(&rows);
  hf_fleet_print_rows(cli, rows, columns, G_N_ELEMENTS(columns), "there are no such points");
  return TRUE;
}

/* ---- One point. ---- */

static gboolean looks_like_digits(const char *text)
{
  return strspn(text, "0123456789abcdefABCDEF-") == strlen(text);
}

/* NULL without an error when no id begins so. */
static json_t *point_by_digits(HfFleet *fleet, const char *text, GError **error)
{
  if (hf_fleet_is_id(text)) {
    g_autofree char *path = hf_fleet_path(POINTS "/%s", text);
    return hf_fleet_get(fleet, path, error);
  }
  hf_autojson json_t *rows = hf_fleet_list(fleet, POINTS, 0, error);
  json_t *row, *found = NULL;
  size_t index;
  json_array_foreach(rows, index, row)
  {
    if (!hf_fleet_is_start_of(text, hf_json_text(row, "id")) && !hf_fleet_is_start_of(text, hf_json_text(row, "point")))
      continue;
    if (found != NULL) {
      hf_fail(error, HF_ERROR_USAGE, "the ids of several points begin with '%s'; give more digits: %s, %s", text,
              hf_json_text(found, "id"), hf_json_text(row, "id"));
      return NULL;
    }
    found = row;
  }
  return json_incref(found);
}

/* TRUE when all rows are of one backup: the newest is then the one that is meant. */
static gboolean one_backup(json_t *rows, const char *name, GError **error)
{
  g_autoptr(GHashTable) backups = g_hash_table_new(g_str_hash, g_str_equal);
  GString *list = g_string_new(NULL);
  json_t *row;
  size_t index;
  json_array_foreach(rows, index, row)
  {
    const char *backup = hf_json_text(row, "backupId");
    g_autofree char *time = hf_fleet_cell(row, "time", HF_CELL_TIME);
    if (backup != NULL && g_hash_table_add(backups, (gpointer)backup))
      g_string_append_printf(list, "%s%.8s (%s)", list->len > 0 ? ", " : "", hf_json_text(row, "id"), time);
  }
  gboolean one = g_hash_table_size(backups) < 2;
  if (!one)
    hf_fail(error, HF_ERROR_USAGE,
            "'%s' has points of several jobs; choose with --job, or give the id of the newest of "
            "one of them: %s",
            name, list->str);
  g_string_free(list, TRUE);
  return one;
}

/* Of a host of this name if there is one, else of points of this name. */
static gboolean search_name(PointSearch *search, const char *name, const char *job, GError **error)
{
  g_autoptr(GError) problem = NULL;
  g_autofree char *host = hf_fleet_id(search->fleet, &hf_fleet_host, name, &problem);
  if (problem != NULL && !hf_error_is(problem, HF_ERROR_NOT_FOUND)) {
    g_propagate_error(error, g_steal_pointer(&problem));
    return FALSE;
  }
  if (host != NULL && !add_points_of_host(search, host, error))
    return FALSE;
  if (host == NULL) {
    search->name = name;
    if (!add_points(search, NULL, NULL, error))
      return FALSE;
  }
  if (job == NULL)
    return TRUE;
  g_autofree char *job_id = hf_fleet_id(search->fleet, &hf_fleet_job, job, error);
  g_autofree char *path = job_id == NULL ? NULL : HF_QUERY("/api/v1/backups", "jobIdFilter", job_id);
  hf_autojson json_t *backups = path == NULL ? NULL : hf_fleet_list(search->fleet, path, 0, error);
  if (backups == NULL)
    return FALSE;
  g_autoptr(GHashTable) wanted = g_hash_table_new(g_str_hash, g_str_equal);
  json_t *row;
  size_t index;
  json_array_foreach(backups, index, row)
  {
    if (!hf_fleet_has_id(search->fleet, row, error))
      return FALSE;
    g_hash_table_add(wanted, (gpointer)hf_json_text(row, "id"));
  }
  for (gsize i = json_array_size(search->rows); i-- > 0;) {
    const char *backup = hf_json_text(json_array_get(search->rows, i), "backupId");
    if (backup == NULL || !g_hash_table_contains(wanted, backup))
      json_array_remove(search->rows, i);
  }
  return TRUE;
}

static json_t *point_by_name(HfFleet *fleet, const char *text, const char *job, GError **error)
{
  const char *at = strrchr(text, '@');
  g_autofree char *name = at == NULL ? g_strdup(text) : g_strndup(text, (gsize)(at - text)), *before = NULL;
  gint64 ns;
  if (at != NULL && strcmp(at, "@latest") != 0) {
    if (!hf_clock_parse(at + 1, &ns, error))
      return NULL;
    before = hf_clock_format_utc(ns);
  }
  PointSearch search = { .fleet = fleet, .before = before, .rows = json_array() };
  gboolean found = search_name(&search, name, job, error);
  hf_autojson json_t *rows = search.rows;
  if (!found)
    return NULL;
  sort_points(&rows);
  if (json_array_size(rows) == 0) {
    hf_fail(error, HF_ERROR_NOT_FOUND, "there is no point '%s'; 'holdfast point list' lists them", text);
    return NULL;
  }
  return one_backup(rows, name, error) ? json_incref(json_array_get(rows, 0)) : NULL;
}

json_t *hf_fleet_point(HfFleet *fleet, const char *text, const char *job, GError **error)
{
  g_autoptr(GError) problem = NULL;
  hf_autojson json_t *point = looks_like_digits(text) ? point_by_digits(fleet, text, &problem) : NULL;
  if (problem != NULL) {
    g_propagate_error(error, g_steal_pointer(&problem));
    return NULL;
  }
  if (point == NULL)
    point = point_by_name(fleet, text, job, error);
  return point != NULL && hf_fleet_has_id(fleet, point, error) ? g_steal_pointer(&point) : NULL;
}

/* ---- Looking into one. ---- */

char *hf_fleet_mount(HfFleet *fleet, const char *point_id, const char *reason, GError **error)
{
  hf_autojson json_t *answer = NULL;
  json_t *body = json_pack("{s:s, s:s, s:{s:b, s:i}, s:s}", "restorePointId", point_id, "type", "Linux", "autoUnmount",
                           "isEnabled", TRUE, "noActivityPeriodInMinutes", 30, "reason", reason);
  if (!hf_fleet_ask(fleet, "POST", "/api/v1/restore/flr", body, &answer, error))
    return NULL;
  char *id = g_strdup(hf_json_text(answer, "sessionId"));
  if (id == NULL)
    hf_fail(error, HF_ERROR_INVALID, "the answer of '%s' names no mount", fleet->login->server.address);
  return id;
}

void hf_fleet_unmount(HfFleet *fleet, const char *mount_id)
{
  g_autofree char *path = hf_fleet_path("/api/v1/restore/flr/%s/unmount", mount_id);
  hf_fleet_ask(fleet, "POST", path, NULL, NULL, NULL); /* else it ends by itself */
}

static gboolean browse(HfFleet *fleet, const char *mount, const char *path, json_t *items, GError **error)
{
  g_autofree char *address = hf_fleet_path("/api/v1/backupBrowser/flr/%s/browse", mount);
  gint64 total;
  do {
    hf_autojson json_t *answer = NULL;
    json_t *body = json_pack("{s:s, s:{s:I, s:i}}", "path", path, "pagination", "skip",
                             (json_int_t)json_array_size(items), "limit", BROWSED);
    if (body == NULL)
      return hf_fail(error, HF_ERROR_USAGE, "the path is not UTF-8; the interface cannot carry it");
    if (!hf_fleet_ask(fleet, "POST", address, body, &answer, error))
      return FALSE;
    json_t *page = json_object_get(answer, "items");
    if (json_array_size(page) == 0)
      return TRUE;
    json_array_extend(items, page);
    total = hf_json_int(answer, "pagination.total", 0);
  } while ((gint64)json_array_size(items) < total);
  return TRUE;
}

gboolean hf_verb_point_ls(const HfOptions *options, HfCli *cli, GError **error)
{
  static const HfFleetColumn columns[] = {
    { { .title = "TYPE" }, "type", HF_CELL_TEXT },
    { { .title = "OWNER" }, "owner", HF_CELL_TEXT },
    { { .title = "SIZE", .right = TRUE }, "size", HF_CELL_SIZE },
    { { .title = "MODIFIED" }, "modifiedDate", HF_CELL_TIME },
    { { .title = "NAME" }, "name", HF_CELL_TEXT },
    { { .title = "LEADS TO" }, "linkTarget", HF_CELL_TEXT },
  };
  g_auto(HfFleet) fleet = { 0 };
  if (!hf_fleet_open(&fleet, options, cli, error))
    return FALSE;
  hf_autojson json_t *point = hf_fleet_point(&fleet, options->point, options->job, error), *items = json_array();
  if (point == NULL)
    return FALSE;
  g_autofree char *mount = hf_fleet_mount(&fleet, hf_json_text(point, "id"), "holdfast point ls", error);
  if (mount == NULL)
    return FALSE;
  gboolean done = browse(&fleet, mount, options->folder != NULL ? options->folder : "/", items, error);
  hf_fleet_unmount(&fleet, mount);
  if (done)
    hf_fleet_print_rows(cli, items, columns, G_N_ELEMENTS(columns), "the folder is empty");
  return done;
}
