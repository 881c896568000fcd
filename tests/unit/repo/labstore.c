/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "labstore.h"

#include <string.h>

#include "base/error.h"
#include "base/work.h"

typedef struct LabStore {
  HfStore store;
  GMutex lock;
  GHashTable *objects; /* name to GByteArray */
  LabFault fault;
  gpointer user;
} LabStore;

typedef struct LabPut {
  HfPut put;
  LabStore *store;
  char *name;
  GByteArray *bytes;
} LabPut;

static gboolean struck(LabStore *store, LabOp op, const char *name, guint64 offset, void *bytes, gsize length,
                       GError **error)
{
  int code = store->fault == NULL ? 0 : store->fault(op, name, offset, bytes, length, store->user);
  if (code == 0)
    return FALSE;
  hf_fail(error, (HfErrorCode)code, "a fault struck '%s'", name);
  return TRUE;
}

static HfPut *put_begin(HfStore *base, const char *name, GError **error)
{
  LabStore *store = (LabStore *)base;
  if (struck(store, LAB_BEGIN, name, 0, NULL, 0, error))
    return NULL;
  LabPut *put = g_new0(LabPut, 1);
  put->store = store;
  put->name = g_strdup(name);
  put->bytes = g_byte_array_new();
  return &put->put;
}

static gboolean put_write(HfPut *base, const struct iovec *vector, int count, GError **error)
{
  LabPut *put = (LabPut *)base;
  gsize at = put->bytes->len;
  for (int i = 0; i < count; i++)
    if (vector[i].iov_len > 0)
      g_byte_array_append(put->bytes, vector[i].iov_base, (guint)vector[i].iov_len);
  return !struck(put->store, LAB_WRITE, put->name, at, put->bytes->data + at, put->bytes->len - at, error);
}

static gboolean put_read(HfPut *base, guint64 offset, void *bytes, gsize length, GError **error)
{
  LabPut *put = (LabPut *)base;
  memcpy(bytes, put->bytes->data + offset, length);
  return !struck(put->store, LAB_READ_BACK, put->name, offset, bytes, length, error);
}

static gboolean put_commit(HfPut *base, GError **error)
{
  LabPut *put = (LabPut *)base;
  if (struck(put->store, LAB_COMMIT, put->name, 0, NULL, put->bytes->len, error))
    return FALSE;
  g_mutex_lock(&put->store->lock);
  gboolean exists = g_hash_table_contains(put->store->objects, put->name);
  if (!exists)
    g_hash_table_insert(put->store->objects, g_strdup(put->name), g_steal_pointer(&put->bytes));
  g_mutex_unlock(&put->store->lock);
  if (exists)
    return hf_fail(error, HF_ERROR_EXISTS, "object '%s' exists", put->name);
  return !struck(put->store, LAB_COMMITTED, put->name, 0, NULL, 0, error);
}

static void put_free(HfPut *base)
{
  LabPut *put = (LabPut *)base;
  if (put->bytes != NULL)
    g_byte_array_unref(put->bytes);
  g_free(put->name);
  g_free(put);
}

static gboolean get(HfStore *base, const char *name, guint64 offset, void *bytes, gsize length, GError **error)
{
  LabStore *store = (LabStore *)base;
  g_mutex_lock(&store->lock);
  const GByteArray *object = g_hash_table_lookup(store->objects, name);
  gboolean found = object != NULL, whole = found && offset + length <= object->len;
  if (whole)
    memcpy(bytes, object->data + offset, length);
  g_mutex_unlock(&store->lock);
  if (!found)
    return hf_fail(error, HF_ERROR_NOT_FOUND, "no object '%s'", name);
  if (!whole)
    return hf_fail(error, HF_ERROR_DAMAGED, "object '%s' is too short", name);
  return !struck(store, LAB_GET, name, offset, bytes, length, error);
}

static gboolean size(HfStore *base, const char *name, guint64 *bytes, GError **error)
{
  LabStore *store = (LabStore *)base;
  if (struck(store, LAB_SIZE, name, 0, NULL, 0, error))
    return FALSE;
  HF_LOCK(&store->lock);
  const GByteArray *object = g_hash_table_lookup(store->objects, name);
  if (object == NULL)
    return hf_fail(error, HF_ERROR_NOT_FOUND, "no object '%s'", name);
  *bytes = object->len;
  return TRUE;
}

static gboolean list(HfStore *base, const char *prefix, HfStoreListFunc func, gpointer user, GError **error)
{
  LabStore *store = (LabStore *)base;
  if (struck(store, LAB_LIST, prefix, 0, NULL, 0, error))
    return FALSE;
  HF_LOCK(&store->lock);
  GHashTableIter iter;
  gpointer name, object;
  g_hash_table_iter_init(&iter, store->objects);
  while (g_hash_table_iter_next(&iter, &name, &object))
    if (g_str_has_prefix(name, prefix) && !func(name, ((GByteArray *)object)->len, user, error))
      return FALSE;
  return TRUE;
}

static gboolean remove_object(HfStore *base, const char *name, GError **error)
{
  LabStore *store = (LabStore *)base;
  if (struck(store, LAB_REMOVE, name, 0, NULL, 0, error))
    return FALSE;
  HF_LOCK(&store->lock);
  return g_hash_table_remove(store->objects, name) || hf_fail(error, HF_ERROR_NOT_FOUND, "no object '%s'", name);
}

static void free_store(HfStore *base)
{
  LabStore *store = (LabStore *)base;
  g_hash_table_unref(store->objects);
  g_mutex_clear(&store->lock);
  g_free(store);
}

static const HfStoreOps ops = { .put_begin = put_begin,
                                .put_write = put_write,
                                .put_read = put_read,
                                .put_commit = put_commit,
                                .put_free = put_free,
                                .get = get,
                                .size = size,
                                .list = list,
                                .remove = remove_object,
                                .free = free_store };

HfStore *lab_store_new(void)
{
  LabStore *store = g_new0(LabStore, 1);
  store->store.ops = &ops;
  store->store.features = HF_STORE_EXCLUSIVE | HF_STORE_LOCAL;
  store->store.location = g_strdup("memory");
  g_mutex_init(&store->lock);
  store->objects = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_byte_array_unref);
  return &store->store;
}

void lab_store_fault(HfStore *store, LabFault fault, gpointer user)
{
  ((LabStore *)store)->fault = fault;
  ((LabStore *)store)->user = user;
}

guint8 *lab_object(HfStore *store, const char *name, gsize *length)
{
  GByteArray *object = g_hash_table_lookup(((LabStore *)store)->objects, name);
  g_assert_nonnull(object);
  if (length != NULL)
    *length = object->len;
  return object->data;
}

gboolean lab_has(HfStore *store, const char *name)
{
  return g_hash_table_contains(((LabStore *)store)->objects, name);
}

void lab_set_length(HfStore *store, const char *name, gsize length)
{
  GByteArray *object = g_hash_table_lookup(((LabStore *)store)->objects, name);
  gsize old = object->len;
  g_byte_array_set_size(object, (guint)length);
  if (length > old)
    memset(object->data + old, 0xee, length - old);
}

void lab_drop(HfStore *store, const char *name)
{
  g_assert_true(g_hash_table_remove(((LabStore *)store)->objects, name));
}

guint lab_count(HfStore *store, const char *prefix)
{
  g_autoptr(GPtrArray) names = hf_store_list_names(store, prefix, NULL);
  return names->len;
}

char *lab_only(HfStore *store, const char *prefix)
{
  g_autoptr(GPtrArray) names = hf_store_list_names(store, prefix, NULL);
  g_assert_cmpuint(names->len, ==, 1);
  return g_strdup(g_ptr_array_index(names, 0));
}
