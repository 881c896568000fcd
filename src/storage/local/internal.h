/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of the folder driver share. */
#pragma once

#include <errno.h>

#include "base/sys.h"
#include "storage/local/fds.h"
#include "storage/store.h"

/* Unfinished files of file systems without O_TMPFILE have names that start with this. */
#define HF_LOCAL_TEMPORARY ".tmp-"

typedef struct HfLocal {
  HfStore store;
  HfFd *root;
  HfFds *objects; /* open for reading, by object name */
  HfFds *folders; /* open for writing into them, by path below the root; their path is on disk (I3 of put.c) */
  gint named;     /* atomic: 1 once unnamed files (O_TMPFILE) turned out not to work here */
  gint linked;    /* atomic: 1 once RENAME_NOREPLACE turned out not to work here */
} HfLocal;

HfPut *hf_local_put_begin(HfStore *store, const char *name, GError **error);
gboolean hf_local_put_write(HfPut *put, const struct iovec *vector, int count, GError **error);
gboolean hf_local_put_read(HfPut *put, guint64 offset, void *bytes, gsize length, GError **error);
gboolean hf_local_put_commit(HfPut *put, GError **error);
void hf_local_put_free(HfPut *put);

gboolean hf_local_list(HfStore *store, const char *prefix, HfStoreListFunc func, gpointer user, GError **error);
