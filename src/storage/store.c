/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What all stores have in common: names, the states of a put, ranges, and the choice of the driver. */
#include "storage/store.h"

#include <string.h>

#include "base/error.h"

#define NAME_MAX_LENGTH 200
#define MAX_SCHEMES 16

enum { PUT_WRITING, PUT_COMMITTED, PUT_BROKEN };

static struct {
  const char *scheme;
  HfStoreOpenFunc open;
} drivers[MAX_SCHEMES];

/* ---- Names. ---- */

static gboolean name_char(char c)
{
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

gboolean hf_store_name_valid(const char *name)
{
  if (strnlen(name, NAME_MAX_LENGTH + 1) > NAME_MAX_LENGTH)
    return FALSE;
  gboolean part_begins = TRUE;
  for (; *name != '\0'; name++) {
    if (*name == '/' ? part_begins : !name_char(*name) || (part_begins && *name == '.'))
      return FALSE;
    part_begins = *name == '/';
  }
  return !part_begins;
}

gboolean hf_store_name_keeps(const char *name)
{
  return !g_str_has_prefix(name, "leases/") && !g_str_has_prefix(name, "sessions/");
}

static gboolean check_name(HfStore *store, const char *name, GError **error)
{
  if (hf_store_name_valid(name))
    return TRUE;
  g_autofree char *shown = g_strescape(name, NULL);
  return hf_fail(error, HF_ERROR_INVALID, "'%s' cannot be the name of an object in '%s'", shown, store->location);
}

static gboolean check_prefix(HfStore *store, const char *prefix, GError **error)
{
  gsize length = strlen(prefix);
  if (length == 0)
    return TRUE;
  g_autofree char *folder = g_strndup(prefix, length - 1);
  if (prefix[length - 1] == '/' && hf_store_name_valid(folder))
    return TRUE;
  g_autofree char *shown = g_strescape(prefix, NULL);
  return hf_fail(error, HF_ERROR_INVALID, "'%s' is not a folder that could be listed in '%s'", shown, store->location);
}

/* ---- Opening. ---- */

void hf_store_register(const char *scheme, HfStoreOpenFunc open)
{
  for (gsize i = 0; i < G_N_ELEMENTS(drivers); i++)
    if (drivers[i].scheme == NULL || g_str_equal(drivers[i].scheme, scheme)) {
      drivers[i].scheme = scheme;
      drivers[i].open = open;
      return;
    }
  g_error("more than %d storage drivers", MAX_SCHEMES);
}

static HfStoreOpenFunc find_driver(const char *scheme)
{
  for (gsize i = 0; i < G_N_ELEMENTS(drivers) && drivers[i].scheme != NULL; i++)
    if (g_str_equal(drivers[i].scheme, scheme))
      return drivers[i].open;
  return NULL;
}

HfStore *hf_store_open(const char *location, gboolean create, GError **error)
{
  gsize length = strcspn(location, ":/");
  gboolean plain = location[length] != ':';
  g_autofree char *scheme = plain ? g_strdup("file") : g_strndup(location, length);
  HfStoreOpenFunc open = find_driver(scheme);
  if (open == NULL) {
    hf_fail(error, HF_ERROR_USAGE, "cannot open '%s': there is no storage of kind '%s'; write './%s' if it is a folder",
            location, scheme, location);
    return NULL;
  }
  HfStore *store = open(plain ? location : location + length + 1, create, error);
  if (store != NULL) {
    g_free(store->location);
    store->location = g_strdup(location);
  }
  return store;
}

void hf_store_free(HfStore *store)
{
  if (store == NULL)
    return;
  char *location = store->location;
  store->ops->free(store);
  g_free(location);
}

/* ---- Writing. ---- */

HfPut *hf_put_begin(HfStore *store, const char *name, GError **error)
{
  if (!check_name(store, name, error))
    return NULL;
  HfPut *put = store->ops->put_begin(store, name, error);
  if (put == NULL)
    return NULL;
  put->store = store;
  put->name = g_strdup(name);
  put->length = 0;
  put->state = PUT_WRITING;
  return put;
}

static gboolean check_state(HfPut *put, GError **error)
{
  if (put->state == PUT_WRITING)
    return TRUE;
  return hf_fail(error, HF_ERROR_FAILED, "object '%s' of '%s' %s", put->name, put->store->location,
                 put->state == PUT_COMMITTED ? "is complete already" : "cannot be used after a failed write");
}

gboolean hf_put_write(HfPut *put, const struct iovec *vector, int count, GError **error)
{
  if (!check_state(put, error))
    return FALSE;
  guint64 length = 0;
  for (int i = 0; i < count; i++)
    length += vector[i].iov_len;
  if (length == 0)
    return TRUE;
  if (!put->store->ops->put_write(put, vector, count, error)) {
    put->state = PUT_BROKEN;
    return FALSE;
  }
  put->length += length;
  return TRUE;
}

gboolean hf_put_read(HfPut *put, guint64 offset, void *bytes, gsize length, GError **error)
{
  if (!check_state(put, error))
    return FALSE;
  if (offset > put->length || length > put->length - offset)
    return hf_fail(error, HF_ERROR_FAILED,
                   "cannot read back %" G_GSIZE_FORMAT " bytes at %" G_GUINT64_FORMAT " of '%s': it has only %"
                   G_GUINT64_FORMAT " bytes", length, offset, put->name, put->length);
  return length == 0 || put->store->ops->put_read(put, offset, bytes, length, error);
}

gboolean hf_put_commit(HfPut *put, GError **error)
{
  if (!check_state(put, error))
    return FALSE;
  g_autoptr(GError) why = NULL;
  if (put->store->ops->put_commit(put, &why)) {
    put->state = PUT_COMMITTED;
    return TRUE;
  }
  if (!hf_error_is(why, HF_ERROR_EXISTS) && !hf_error_is(why, HF_ERROR_IO))
    put->state = PUT_BROKEN;
  g_propagate_error(error, g_steal_pointer(&why));
  return FALSE;
}

void hf_put_free(HfPut *put)
{
  if (put == NULL)
    return;
  char *name = put->name;
  put->store->ops->put_free(put);
  g_free(name);
}

gboolean hf_store_put(HfStore *store, const char *name, const void *bytes, gsize length, GError **error)
{
  g_autoptr(HfPut) put = hf_put_begin(store, name, error);
  struct iovec vector = { .iov_base = (void *)bytes, .iov_len = length };
  return put != NULL && hf_put_write(put, &vector, 1, error) && hf_put_commit(put, error);
}

/* ---- Reading. ---- */

static gboolean too_short(HfStore *store, const char *name, guint64 offset, gsize length, GError **error)
{
  return hf_fail(error, HF_ERROR_DAMAGED,
                 "object '%s' of '%s' is too short: it has no %" G_GSIZE_FORMAT " bytes at %" G_GUINT64_FORMAT, name,
                 store->location, length, offset);
}

gboolean hf_store_get(HfStore *store, const char *name, guint64 offset, void *bytes, gsize length, GError **error)
{
  if (!check_name(store, name, error))
    return FALSE;
  if (length == 0 || offset > G_MAXINT64 || length > G_MAXINT64 - offset) {
    guint64 size;
    if (!store->ops->size(store, name, &size, error))
      return FALSE;
    return (length == 0 && offset <= size) || too_short(store, name, offset, length, error);
  }
  return store->ops->get(store, name, offset, bytes, length, error);
}

GBytes *hf_store_get_all(HfStore *store, const char *name, gsize limit, GError **error)
{
  guint64 size;
  if (!hf_store_size(store, name, &size, error))
    return NULL;
  if (size > limit) {
    hf_fail(error, HF_ERROR_INVALID,
            "object '%s' of '%s' has %" G_GUINT64_FORMAT " bytes; at most %" G_GSIZE_FORMAT " are allowed", name,
            store->location, size, limit);
    return NULL;
  }
  g_autofree guint8 *bytes = g_try_malloc((gsize)size);
  if (bytes == NULL && size > 0) {
    hf_fail(error, HF_ERROR_FAILED, "cannot read object '%s' of '%s': out of memory", name, store->location);
    return NULL;
  }
  if (size > 0 && !hf_store_get(store, name, 0, bytes, (gsize)size, error))
    return NULL;
  return g_bytes_new_take(g_steal_pointer(&bytes), (gsize)size);
}

void hf_store_will_read(HfStore *store, const HfStoreRange *ranges, guint count)
{
  if (store->ops->will_read != NULL && count > 0)
    store->ops->will_read(store, ranges, count);
}

gboolean hf_store_size(HfStore *store, const char *name, guint64 *size, GError **error)
{
  return check_name(store, name, error) && store->ops->size(store, name, size, error);
}

gboolean hf_store_list(HfStore *store, const char *prefix, HfStoreListFunc func, gpointer user, GError **error)
{
  return check_prefix(store, prefix, error) && store->ops->list(store, prefix, func, user, error);
}

static gboolean collect_name(const char *name, guint64 size G_GNUC_UNUSED, gpointer user, GError **error G_GNUC_UNUSED)
{
  g_ptr_array_add(user, g_strdup(name));
  return TRUE;
}

static gint compare_names(gconstpointer a, gconstpointer b)
{
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

GPtrArray *hf_store_list_names(HfStore *store, const char *prefix, GError **error)
{
  g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
  if (!hf_store_list(store, prefix, collect_name, names, error))
    return NULL;
  g_ptr_array_sort(names, compare_names);
  return g_steal_pointer(&names);
}

gboolean hf_store_remove(HfStore *store, const char *name, GError **error)
{
  return check_name(store, name, error) && store->ops->remove(store, name, error);
}

gboolean hf_store_held(HfStore *store, const char *name)
{
  return store->ops->held != NULL && check_name(store, name, NULL) && store->ops->held(store, name);
}

gboolean hf_store_usage(HfStore *store, HfStoreUsage *usage, GError **error)
{
  *usage = (HfStoreUsage){ 0, 0 };
  return store->ops->usage == NULL || store->ops->usage(store, usage, error);
}

/* ---- Sinks. ---- */

HfSink *hf_sink_open(HfStore *store, const HfSinkOptions *options, GError **error)
{
  if (store->ops->sink_open == NULL) {
    hf_fail(error, HF_ERROR_FAILED, "'%s' has no service that could pack frames", store->location);
    return NULL;
  }
  HfSink *sink = store->ops->sink_open(store, options, error);
  /* A wrapper hands on the sink of the store within. */
  if (sink != NULL && sink->store == NULL)
    sink->store = store;
  return sink;
}

gboolean hf_sink_add(HfSink *sink, const HfPackFrame *frame, const struct iovec *stored, int count, const HfId *ids,
                     GError **error)
{
  return sink->store->ops->sink_add(sink, frame, stored, count, ids, error);
}

gboolean hf_sink_flush(HfSink *sink, HfSinkTotals *totals, GError **error)
{
  HfSinkTotals ignored;
  return sink->store->ops->sink_flush(sink, totals != NULL ? totals : &ignored, error);
}

void hf_sink_free(HfSink *sink)
{
  if (sink != NULL)
    sink->store->ops->sink_free(sink);
}
