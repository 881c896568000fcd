/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "memstore.h"

#include <string.h>

#include "base/error.h"
#include "base/work.h"

#define MIB (1024 * 1024)

/* What all handles of one location share. */
typedef struct MemData {
  GMutex mutex; /* guards everything below */
  GHashTable *objects; /* name -> GBytes */
  char *last; /* the name created last */
  guint handles, removals;
  MemLie lie;
  MemCalls calls;
} MemData;

typedef struct MemStore {
  HfStore store;
  MemData *data;
  char *where;
} MemStore;

typedef struct MemPut {
  HfPut put;
  MemData *data;
  char *name;
  GByteArray *bytes;
  gboolean committed;
} MemPut;

static GHashTable *locations; /* where -> MemData; tests open and close stores in one thread, or not at the same time */

static MemData *data_of(HfStore *store)
{
  return ((MemStore *)store)->data;
}

static gboolean missing(MemData *data, const char *name, GError **error)
{
  return hf_fail(error, data->lie == MEM_MISSING_IO ? HF_ERROR_IO : HF_ERROR_NOT_FOUND, "no object '%s'", name);
}

static char *kept_name(MemData *data, const char *name)
{
  return data->lie == MEM_LONG_NAMES_CUT ? g_strndup(name, 180) : g_strdup(name);
}

static void insert_locked(MemPut *put)
{
  g_hash_table_replace(put->data->objects, g_strdup(put->name), g_bytes_new(put->bytes->data, put->bytes->len));
  g_free(put->data->last);
  put->data->last = g_strdup(put->name);
}

static HfPut *mem_put_begin(HfStore *store, const char *name, GError **error G_GNUC_UNUSED)
{
  MemPut *put = g_new0(MemPut, 1);
  put->data = data_of(store);
  put->name = kept_name(put->data, name);
  put->bytes = g_byte_array_new();
  return &put->put;
}

static gboolean mem_put_write(HfPut *base, const struct iovec *vector, int count, GError **error G_GNUC_UNUSED)
{
  MemPut *put = (MemPut *)base;
  for (int i = 0; i < count; i++)
    g_byte_array_append(put->bytes, vector[i].iov_base, (guint)vector[i].iov_len);
  HF_LOCK(&put->data->mutex);
  if (put->data->lie == MEM_EARLY)
    insert_locked(put);
  return TRUE;
}

static gboolean mem_put_read(HfPut *base, guint64 offset, void *bytes, gsize length, GError **error G_GNUC_UNUSED)
{
  MemPut *put = (MemPut *)base;
  memcpy(bytes, put->bytes->data + offset, length);
  HF_LOCK(&put->data->mutex);
  if (put->data->lie == MEM_BACK_WRONG)
    *(guint8 *)bytes ^= 1;
  return TRUE;
}

static gboolean mem_put_commit(HfPut *base, GError **error)
{
  MemPut *put = (MemPut *)base;
  MemData *data = put->data;
  HF_LOCK(&data->mutex);
  if (g_hash_table_contains(data->objects, put->name) && data->lie != MEM_OVERWRITES && data->lie != MEM_EARLY)
    return hf_fail(error, HF_ERROR_EXISTS, "object '%s' exists", put->name);
  if (data->lie == MEM_LOSES_LARGE && put->bytes->len > 2 * MIB)
    return hf_fail(error, HF_ERROR_NO_SPACE, "object '%s' is too large", put->name);
  put->committed = TRUE;
  data->calls.puts++;
  if (data->lie != MEM_LOSES_DOTS || strstr(put->name, "..") == NULL)
    insert_locked(put);
  return TRUE;
}

static void mem_put_free(HfPut *base)
{
  MemPut *put = (MemPut *)base;
  g_mutex_lock(&put->data->mutex);
  if (!put->committed && put->data->lie == MEM_ABORT_STAYS)
    insert_locked(put);
  g_mutex_unlock(&put->data->mutex);
  g_byte_array_unref(put->bytes);
  g_free(put->name);
  g_free(put);
}

/* A reference to the object, or NULL. */
static GBytes *find(MemData *data, const char *name)
{
  HF_LOCK(&data->mutex);
  g_autofree char *kept = kept_name(data, name);
  GBytes *found = g_hash_table_lookup(data->objects, kept);
  return found != NULL ? g_bytes_ref(found) : NULL;
}

static gboolean mem_get(HfStore *store, const char *name, guint64 offset, void *bytes, gsize length, GError **error)
{
  MemData *data = data_of(store);
  g_autoptr(GBytes) object = find(data, name);
  if (object == NULL)
    return missing(data, name, error);
  gsize size;
  const guint8 *all = g_bytes_get_data(object, &size);
  memset(bytes, 0, length);
  if (data->lie == MEM_FAR_WRONG && offset >= 32 * MIB)
    return TRUE;
  if (offset + length > size && data->lie != MEM_PADS)
    return hf_fail(error, HF_ERROR_DAMAGED, "object '%s' is too short", name);
  if (offset < size)
    memcpy(bytes, all + offset, (gsize)MIN(length, size - offset));
  HF_LOCK(&data->mutex);
  data->calls.gets++;
  data->calls.bytes_got += length;
  return TRUE;
}

static gboolean mem_size(HfStore *store, const char *name, guint64 *size, GError **error)
{
  MemData *data = data_of(store);
  g_autoptr(GBytes) object = find(data, name);
  *size = 0;
  if (object == NULL)
    return data->lie == MEM_MISSING_EMPTY || missing(data, name, error);
  *size = g_bytes_get_size(object);
  if (data->lie == MEM_SIZE_WRONG && *size > 65536)
    ++*size;
  HF_LOCK(&data->mutex);
  data->calls.sizes++;
  return TRUE;
}

typedef struct MemItem {
  char *name;
  guint64 size;
} MemItem;

static void clear_item(gpointer item)
{
  g_free(((MemItem *)item)->name);
}

static GArray *collect_locked(MemData *data, const char *prefix)
{
  GArray *items = g_array_new(FALSE, FALSE, sizeof(MemItem));
  g_array_set_clear_func(items, clear_item);
  g_autofree char *wanted = g_strdup(prefix);
  if (data->lie == MEM_LIST_PREFIX && *wanted != '\0')
    wanted[strlen(wanted) - 1] = '\0';
  GHashTableIter iter;
  gpointer name, object;
  g_hash_table_iter_init(&iter, data->objects);
  while (g_hash_table_iter_next(&iter, &name, &object)) {
    if (!g_str_has_prefix(name, wanted) || (data->lie == MEM_STALE_LIST && g_strcmp0(name, data->last) == 0))
      continue;
    for (int times = data->lie == MEM_LIST_TWICE ? 2 : 1; times > 0; times--) {
      MemItem item = { g_strdup(name), g_bytes_get_size(object) + (data->lie == MEM_LIST_SIZE ? 1 : 0) };
      g_array_append_val(items, item);
    }
  }
  return items;
}

static gboolean mem_list(HfStore *store, const char *prefix, HfStoreListFunc func, gpointer user, GError **error)
{
  MemData *data = data_of(store);
  g_mutex_lock(&data->mutex);
  data->calls.lists++;
  g_autoptr(GArray) items = collect_locked(data, prefix);
  g_mutex_unlock(&data->mutex);
  gboolean going = TRUE;
  for (guint i = 0; i < items->len && (going || data->lie == MEM_LIST_GOES_ON); i++) {
    MemItem *item = &g_array_index(items, MemItem, i);
    going = func(item->name, item->size, user, going ? error : NULL);
  }
  return going;
}

static gboolean mem_remove(HfStore *store, const char *name, GError **error)
{
  MemData *data = data_of(store);
  HF_LOCK(&data->mutex);
  g_autofree char *kept = kept_name(data, name);
  if (!g_hash_table_contains(data->objects, kept))
    return data->lie == MEM_REMOVE_ANY || missing(data, name, error);
  if (data->lie == MEM_REMOVE_FAILS && ++data->removals % 100 == 0)
    return hf_fail(error, HF_ERROR_PERMISSION, "not today");
  if (data->lie != MEM_REMOVE_STAYS)
    g_hash_table_remove(data->objects, kept);
  return TRUE;
}

static gboolean mem_usage(HfStore *store, HfStoreUsage *usage, GError **error G_GNUC_UNUSED)
{
  MemData *data = data_of(store);
  usage->bytes_total = 1000;
  usage->bytes_free = data->lie == MEM_USAGE_WRONG ? 2000 : 500;
  return TRUE;
}

static void mem_free(HfStore *store)
{
  MemStore *mem = (MemStore *)store;
  MemData *data = mem->data;
  if (--data->handles == 0) {
    g_hash_table_remove(locations, mem->where);
    g_hash_table_unref(data->objects);
    g_mutex_clear(&data->mutex);
    g_free(data->last);
    g_free(data);
  }
  g_free(mem->where);
  g_free(mem);
}

static const HfStoreOps mem_ops = {
  .put_begin = mem_put_begin,
  .put_write = mem_put_write,
  .put_read = mem_put_read,
  .put_commit = mem_put_commit,
  .put_free = mem_put_free,
  .get = mem_get,
  .size = mem_size,
  .list = mem_list,
  .remove = mem_remove,
  .free = mem_free,
  .usage = mem_usage,
};

static HfStore *open_where(const char *where, gboolean create G_GNUC_UNUSED, GError **error)
{
  if (locations == NULL)
    locations = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  MemData *data = g_hash_table_lookup(locations, where);
  if (data == NULL) {
    data = g_new0(MemData, 1);
    g_mutex_init(&data->mutex);
    data->objects = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_bytes_unref);
    g_hash_table_insert(locations, g_strdup(where), data);
  }
  if (data->lie == MEM_NO_SECOND) {
    hf_fail(error, HF_ERROR_BUSY, "'%s' is in use", where);
    return NULL;
  }
  data->handles++;
  MemStore *mem = g_new0(MemStore, 1);
  mem->store.ops = &mem_ops;
  mem->store.features = HF_STORE_EXCLUSIVE;
  mem->data = data;
  mem->where = g_strdup(where);
  return &mem->store;
}

void mem_register(void)
{
  hf_store_register("mem", open_where);
}

HfStore *mem_open(const char *where)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *location = g_strconcat("mem:", where, NULL);
  HfStore *store = hf_store_open(location, TRUE, &error);
  g_assert_no_error(error);
  return store;
}

void mem_lie(HfStore *store, MemLie lie)
{
  data_of(store)->lie = lie;
}

MemCalls mem_calls(HfStore *store)
{
  MemData *data = data_of(store);
  HF_LOCK(&data->mutex);
  MemCalls calls = data->calls;
  data->calls = (MemCalls){ 0 };
  return calls;
}
