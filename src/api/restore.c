/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Restore of files: points that are open, what is in them, and what of it is brought back. */
#include <string.h>

#include "api/call.h"
#include "api/routes.gen.h"
#include "server/inventory/sessions.h"

gboolean hf_api_flr_mount(HfApiCall *call, GError **error)
{
  char *session = NULL;
  HfApiActor by = hf_api_actor(call);
  const HfApiActions *actions = call->api->settings.actions;
  const char *point = hf_api_text_at(call->body, "restorePointId"), *reason = hf_api_text_at(call->body, "reason");
  guint minutes = hf_api_bool_at(call->body, "autoUnmount.isEnabled", TRUE)
                    ? (guint)hf_api_int_at(call->body, "autoUnmount.noActivityPeriodInMinutes", 0)
                    : 10080;
  if (!hf_api_exists(call, &hf_api_view_point, point, error) || !HF_API_NEED(call, mount, error) ||
      !actions->mount(actions->data, &by, point, minutes, reason != NULL ? reason : "", &session, error))
    return FALSE;
  g_autofree char *id = session;
  return hf_api_answer_row(call, &hf_api_view_mount, id, error);
}

gboolean hf_api_flr_unmount(HfApiCall *call, GError **error)
{
  HfApiActor by = hf_api_actor(call);
  const HfApiActions *actions = call->api->settings.actions;
  return hf_api_exists(call, &hf_api_view_mount, call->params[0], error) && HF_API_NEED(call, unmount, error) &&
         actions->unmount(actions->data, &by, call->params[0], error) &&
         hf_api_answer_row(call, &hf_api_view_session, call->params[0], error);
}

/* ---- Browsing ---- */

#define ENTRIES_MAX 200000u /* of one folder: more are not held in memory */

typedef struct Entry {
  char *name, *location, *owner, *link;
  char type;
  guint64 size;
  gint64 changed, modified;
} Entry;

static void entry_free(gpointer data)
{
  Entry *entry = data;
  g_free(entry->name);
  g_free(entry->location);
  g_free(entry->owner);
  g_free(entry->link);
  g_free(entry);
}

typedef struct Folder {
  GPtrArray *entries;
  const char *types; /* to show: of "dfl"; NULL: all */
  const char *only;  /* what lies in this folder itself; NULL: all */
  gboolean full;
} Folder;

static gboolean take_entry(const HfApiEntry *entry, gpointer to)
{
  Folder *folder = to;
  char type = entry->type == 'o' ? 'f' : entry->type;
  if ((folder->types != NULL && strchr(folder->types, type) == NULL) ||
      (folder->only != NULL && strcmp(folder->only, entry->location) != 0))
    return TRUE;
  folder->full = folder->entries->len >= ENTRIES_MAX;
  if (folder->full)
    return FALSE;
  Entry *copy = g_new(Entry, 1);
  *copy = (Entry){ g_strdup(entry->name), g_strdup(entry->location), g_strdup(entry->owner), g_strdup(entry->link),
                   type, entry->size, entry->changed, entry->modified };
  g_ptr_array_add(folder->entries, copy);
  return TRUE;
}

typedef struct Order {
  const char *column;
  gboolean descending;
} Order;

static int compare_numbers(gint64 a, gint64 b)
{
  return (a > b) - (a < b);
}

/* Folders come first, then the column asked for, then the name. */
static int compare_entries(gconstpointer a, gconstpointer b, gpointer data)
{
  const Entry *x = *(Entry *const *)a, *y = *(Entry *const *)b;
  const Order *order = data;
  if ((x->type == 'd') != (y->type == 'd'))
    return x->type == 'd' ? -1 : 1;
  int result = 0;
  if (strcmp(order->column, "Size") == 0)
    result = compare_numbers((gint64)x->size, (gint64)y->size);
  else if (strcmp(order->column, "ModifiedDate") == 0)
    result = compare_numbers(x->modified, y->modified);
  else if (strcmp(order->column, "CreationDate") == 0)
    result = compare_numbers(x->changed, y->changed);
  else if (strcmp(order->column, "Owner") == 0)
    result = g_strcmp0(x->owner, y->owner);
  else if (strcmp(order->column, "Location") == 0)
    result = g_strcmp0(x->location, y->location);
  else if (strcmp(order->column, "Type") == 0)
    result = x->type - y->type;
  if (result == 0)
    result = strcmp(x->name, y->name);
  return order->descending ? -result : result;
}

static void write_entry(HfApiCall *call, const Entry *entry)
{
  HfApiOut *out = &call->out;
  const char type[] = { entry->type, '\0' };
  hf_api_out_open(out, '{');
  hf_api_out_pair(out, "location", entry->location);
  hf_api_out_pair(out, "displayName", entry->name);
  hf_api_out_pair(out, "name", entry->name);
  hf_api_out_pair(out, "type", hf_api_enum_spelled(&hf_api_enum_EFlrItemType, type, call->era));
  hf_api_out_pair_int(out, "size", (gint64)MIN(entry->size, (guint64)G_MAXINT64));
  hf_api_out_pair_time(out, "creationDate", entry->changed);
  hf_api_out_pair_time(out, "modifiedDate", entry->modified);
  hf_api_out_pair(out, "itemState", "Unchanged");
  hf_api_out_pair(out, "owner", entry->owner);
  hf_api_out_pair(out, "linkTarget", entry->link);
  hf_api_out_close(out, '}');
}

/* What is shown: a folder, or what is below it with `text` in its name. */
typedef struct Wanted {
  const char *path;
  const char *text; /* NULL: a folder */
  gboolean flat;    /* no deeper than the folder itself */
  gboolean told;    /* the answer says what was searched for */
} Wanted;

static void write_folder(HfApiCall *call, const Wanted *wanted, GPtrArray *entries)
{
  HfApiOut *out = &call->out;
  gint64 limit = hf_api_int_at(call->body, "pagination.limit", HF_API_PAGE);
  HfApiPage page = { .skip = MAX(hf_api_int_at(call->body, "pagination.skip", 0), 0), .limit = MAX(limit, 0) };
  page.most = page.limit == 0 ? HF_API_PAGE_MAX : MIN(page.limit, HF_API_PAGE_MAX);
  gint64 count = 0;
  hf_api_out_open(out, '{');
  hf_api_out_pair(out, "path", wanted->path);
  if (wanted->told)
    hf_api_out_pair(out, "searchString", wanted->text);
  hf_api_out_key(out, "items");
  hf_api_out_open(out, '[');
  for (gint64 i = page.skip; i < (gint64)entries->len && count < page.most; i++, count++)
    write_entry(call, entries->pdata[i]);
  hf_api_out_close(out, ']');
  hf_api_page_write(call, &page, entries->len, count);
  hf_api_out_close(out, '}');
}

static void read_types(json_t *body, char types[8])
{
  json_t *list = hf_api_at(body, "filter.itemTypes"), *item;
  size_t index, n = 0;
  json_array_foreach(list, index, item)
  {
    if (n < 7)
      types[n++] = json_string_value(item)[0];
  }
  types[n] = '\0';
}

/* The folder's path as the mount names it: absolute, without '/' at its end. */
static char *folder_path(const char *path)
{
  GString *clean = g_string_new(path != NULL && *path == '/' ? NULL : "/");
  g_string_append(clean, path != NULL ? path : "");
  while (clean->len > 1 && clean->str[clean->len - 1] == '/')
    g_string_truncate(clean, clean->len - 1);
  return g_string_free(clean, FALSE);
}

static gboolean show(HfApiCall *call, const Wanted *wanted, GError **error)
{
  const HfApiActions *actions = call->api->settings.actions;
  const char *path = wanted->path, *text = wanted->text;
  const char *column = hf_api_text_at(call->body, "order.orderColumn");
  char types[8];
  read_types(call->body, types);
  g_autoptr(GPtrArray) entries = g_ptr_array_new_with_free_func(entry_free);
  Folder folder = { .entries = entries, .types = types[0] != '\0' ? types : NULL, .only = wanted->flat ? path : NULL };
  if (!hf_api_exists(call, &hf_api_view_mount, call->params[0], error))
    return FALSE;
  if (text == NULL && (!HF_API_NEED(call, browse, error) ||
                       !actions->browse(actions->data, call->params[0], path, take_entry, &folder, error)))
    return FALSE;
  if (text != NULL && (!HF_API_NEED(call, search, error) ||
                       !actions->search(actions->data, call->params[0], path, text, take_entry, &folder, error)))
    return FALSE;
  if (folder.full && text == NULL)
    return hf_fail(error, HF_ERROR_UNSUPPORTED, "'%s' has more than %u entries; search in it instead", path,
                   ENTRIES_MAX);
  Order order = { column != NULL ? column : "Name", !hf_api_bool_at(call->body, "order.orderAsc", TRUE) };
  g_ptr_array_sort_with_data(entries, compare_entries, &order);
  write_folder(call, wanted, entries);
  return TRUE;
}

static const char *path_at(HfApiCall *call)
{
  const char *path = hf_api_text_at(call->body, "path");
  return path == NULL || *path == '\0' ? "/" : path;
}

gboolean hf_api_flr_browse(HfApiCall *call, GError **error)
{
  Wanted wanted = { .path = path_at(call) };
  return show(call, &wanted, error);
}

gboolean hf_api_flr_search(HfApiCall *call, GError **error)
{
  Wanted wanted = { .path = path_at(call), .text = hf_api_text_at(call->body, "searchString") };
  return show(call, &wanted, error);
}

/* ---- Searching as a task ---- */

/* What a point holds never changes: the task keeps what to search for, and each page of its result is found anew. */
static gboolean keep_search(HfApiCall *call, HfSessionRow *row, GError **error)
{
  const char *text = hf_api_text_at(call->body, "searchString");
  g_autofree char *path = folder_path(hf_api_text_at(call->body, "path"));
  json_t *search = json_pack("{s:s, s:s, s:b}", "path", path, "text", text, "flat",
                             hf_api_bool_at(call->body, "disableRecursiveSearch", FALSE));
  row->name = g_strdup_printf("Search in '%s'", path);
  row->type = g_strdup("FileLevelRestore");
  row->resource_id = g_strdup(call->params[0]);
  row->resume = json_dumps(search, JSON_COMPACT);
  json_decref(search);
  return hf_inv_session_create(hf_api_inventory(call), call->actor, row, error) &&
         hf_inv_session_resume(hf_api_inventory(call), row->id, row->resume, error) &&
         hf_inv_session_finish(hf_api_inventory(call), row->id, HF_RESULT_SUCCESS, "", FALSE, error);
}

gboolean hf_api_flr_search_start(HfApiCall *call, GError **error)
{
  g_autoptr(HfSessionRow) row = g_new0(HfSessionRow, 1);
  return hf_api_exists(call, &hf_api_view_mount, call->params[0], error) && HF_API_NEED(call, search, error) &&
         keep_search(call, row, error) && hf_api_answer_row(call, &hf_api_view_task, row->id, error);
}

gboolean hf_api_flr_search_result(HfApiCall *call, GError **error)
{
  g_autoptr(HfSessionRow) row = hf_inv_session_get(hf_api_inventory(call), call->params[1], error);
  if (row == NULL)
    return FALSE;
  json_t *search = row->resume == NULL ? NULL : json_loads(row->resume, 0, NULL);
  Wanted wanted = { .path = json_string_value(json_object_get(search, "path")),
                    .text = json_string_value(json_object_get(search, "text")),
                    .flat = json_is_true(json_object_get(search, "flat")),
                    .told = TRUE };
  gboolean its = wanted.path != NULL && wanted.text != NULL && g_strcmp0(row->resource_id, call->params[0]) == 0;
  gboolean done = its ? show(call, &wanted, error)
                      : hf_fail(error, HF_ERROR_NOT_FOUND, "'%s' is no search in this point", call->params[1]);
  json_decref(search);
  return done;
}

/* ---- Bringing back ---- */

static gboolean start_restore(HfApiCall *call, const char *host_id, GError **error)
{
  HfApiActor by = hf_api_actor(call);
  const HfApiActions *actions = call->api->settings.actions;
  json_t *list = hf_api_at(call->body, "sourcePath"), *item;
  g_autofree const char **paths = g_new0(const char *, json_array_size(list) + 1);
  const char *type = hf_api_text_at(call->body, "restoreType");
  char *session = NULL;
  size_t index;
  json_array_foreach(list, index, item)
  {
    paths[index] = json_string_value(item);
    if (paths[index][0] != '/')
      return hf_fail(error, HF_ERROR_USAGE, "'%s' is no absolute path", paths[index]);
  }
  HfApiRestoreSpec spec = {
    .mount_id = call->params[0],
    .paths = paths,
    .host_id = host_id,
    .target = hf_api_text_at(call->body, "targetPath"),
    .keep = strcmp(type, "Keep") == 0,
    .metadata_only = strcmp(type, "PermissionOnly") == 0,
  };
  if (paths[0] == NULL)
    return hf_fail(error, HF_ERROR_USAGE, "'sourcePath' is empty");
  if (spec.target != NULL && spec.target[0] != '\0' && spec.target[0] != '/')
    return hf_fail(error, HF_ERROR_USAGE, "'targetPath' must be absolute");
  if (spec.target != NULL && spec.target[0] == '\0')
    spec.target = NULL;
  if (!hf_api_exists(call, &hf_api_view_mount, spec.mount_id, error) || !HF_API_NEED(call, restore, error) ||
      !actions->restore(actions->data, &by, &spec, &session, error))
    return FALSE;
  g_autofree char *id = session;
  return hf_api_answer_row(call, &hf_api_view_task, id, error);
}

gboolean hf_api_flr_restore(HfApiCall *call, GError **error)
{
  return start_restore(call, NULL, error);
}

gboolean hf_api_flr_restore_to(HfApiCall *call, GError **error)
{
  const char *host = hf_api_text_at(call->body, "targetHost.protectedComputerId");
  if (host == NULL)
    return hf_fail(error, HF_ERROR_USAGE, "'targetHost.protectedComputerId' is missing");
  return hf_api_exists(call, &hf_api_view_host, host, error) && start_restore(call, host, error);
}
