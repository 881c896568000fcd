/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What all wrappers share: calls that go straight to the inner store. A wrapper's table names these for what it leaves
 * as it is, and its own functions for the rest. */
#pragma once

#include "storage/store.h"

/* First member of every wrapper's own struct. */
typedef struct HfPass {
  HfStore store;
  HfStore *inner; /* owned */
} HfPass;

/* First member of every wrapper's own put struct. */
typedef struct HfPassPut {
  HfPut put;
  HfPut *inner; /* owned */
} HfPassPut;

/* Fills in the base of a wrapper: its table, and features and location of `inner`, which it owns from now on. */
void hf_pass_init(HfPass *pass, const HfStoreOps *ops, HfStore *inner);
/* Frees the inner store and then the struct of the wrapper. */
void hf_pass_free(HfStore *store);

/* A zeroed put struct of `size` bytes around a new put of the inner store. */
HfPut *hf_pass_put_new(HfStore *store, const char *name, gsize size, GError **error);

HfPut *hf_pass_put_begin(HfStore *store, const char *name, GError **error);
gboolean hf_pass_put_write(HfPut *put, const struct iovec *vector, int count, GError **error);
gboolean hf_pass_put_read(HfPut *put, guint64 offset, void *bytes, gsize length, GError **error);
gboolean hf_pass_put_commit(HfPut *put, GError **error);
void hf_pass_put_free(HfPut *put);
gboolean hf_pass_get(HfStore *store, const char *name, guint64 offset, void *bytes, gsize length, GError **error);
gboolean hf_pass_size(HfStore *store, const char *name, guint64 *size, GError **error);
gboolean hf_pass_list(HfStore *store, const char *prefix, HfStoreListFunc func, gpointer user, GError **error);
gboolean hf_pass_remove(HfStore *store, const char *name, GError **error);
gboolean hf_pass_usage(HfStore *store, HfStoreUsage *usage, GError **error);
gboolean hf_pass_held(HfStore *store, const char *name);
/* The sink of the inner store itself. */
HfSink *hf_pass_sink_open(HfStore *store, const HfSinkOptions *options, GError **error);

static inline HfStore *hf_pass_inner(HfStore *store)
{
  return ((HfPass *)store)->inner;
}

static inline HfPut *hf_pass_inner_put(HfPut *put)
{
  return ((HfPassPut *)put)->inner;
}
