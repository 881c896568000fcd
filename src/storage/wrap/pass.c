/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "storage/wrap/pass.h"

void hf_pass_init(HfPass *pass, const HfStoreOps *ops, HfStore *inner)
{
  pass->store.ops = ops;
  pass->store.features = inner->features;
  pass->store.location = g_strdup(inner->location);
  pass->inner = inner;
}

void hf_pass_free(HfStore *store)
{
  hf_store_free(hf_pass_inner(store));
  g_free(store);
}

HfPut *hf_pass_put_new(HfStore *store, const char *name, gsize size, GError **error)
{
  HfPut *inner = hf_put_begin(hf_pass_inner(store), name, error);
  if (inner == NULL)
    return NULL;
  HfPassPut *put = g_malloc0(size);
  put->inner = inner;
  return &put->put;
}

HfPut *hf_pass_put_begin(HfStore *store, const char *name, GError **error)
{
  return hf_pass_put_new(store, name, sizeof(HfPassPut), error);
}

gboolean hf_pass_put_write(HfPut *put, const struct iovec *vector, int count, GError **error)
{
  return hf_put_write(hf_pass_inner_put(put), vector, count, error);
}

gboolean hf_pass_put_read(HfPut *put, guint64 offset, void *bytes, gsize length, GError **error)
{
  return hf_put_read(hf_pass_inner_put(put), offset, bytes, length, error);
}

gboolean hf_pass_put_commit(HfPut *put, GError **error)
{
  return hf_put_commit(hf_pass_inner_put(put), error);
}

void hf_pass_put_free(HfPut *put)
{
  hf_put_free(hf_pass_inner_put(put));
  g_free(put);
}

gboolean hf_pass_get(HfStore *store, const char *name, guint64 offset, void *bytes, gsize length, GError **error)
{
  return hf_store_get(hf_pass_inner(store), name, offset, bytes, length, error);
}

gboolean hf_pass_size(HfStore *store, const char *name, guint64 *size, GError **error)
{
  return hf_store_size(hf_pass_inner(store), name, size, error);
}

gboolean hf_pass_list(HfStore *store, const char *prefix, HfStoreListFunc func, gpointer user, GError **error)
{
  return hf_store_list(hf_pass_inner(store), prefix, func, user, error);
}

gboolean hf_pass_remove(HfStore *store, const char *name, GError **error)
{
  return hf_store_remove(hf_pass_inner(store), name, error);
}

gboolean hf_pass_usage(HfStore *store, HfStoreUsage *usage, GError **error)
{
  return hf_store_usage(hf_pass_inner(store), usage, error);
}

gboolean hf_pass_held(HfStore *store, const char *name)
{
  return hf_store_held(hf_pass_inner(store), name);
}

HfSink *hf_pass_sink_open(HfStore *store, const HfSinkOptions *options, GError **error)
{
  return hf_sink_open(hf_pass_inner(store), options, error);
}
