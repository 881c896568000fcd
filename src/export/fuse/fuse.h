/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A tree as a file system of the kernel, through FUSE. The kernel's handles are the items themselves; what lives
 * forever is asked for once and stays in the kernel's caches.
 *
 * One thread at a time waits for requests, and hands the waiting on before it answers, so that the others sleep.
 */
#pragma once

#include "base/work.h"
#include "export/tree.h"

typedef struct HfFuseOptions {
  const char *place;  /* the folder to mount at */
  const char *source; /* shown in the list of mounts */
  guint threads;      /* 0: a few more than processors */
  HfCancel *cancel;   /* may be NULL */
  void (*mounted)(gpointer user); /* called once it can be used; may be NULL */
  gpointer user;
} HfFuseOptions;

/* Mounts, serves until it is unmounted or cancelled (which unmounts it, also while it is used), and returns TRUE then.
 * HF_ERROR_NOT_FOUND, HF_ERROR_REFUSED (not an empty folder), HF_ERROR_PERMISSION, HF_ERROR_UNSUPPORTED (no FUSE
 * here). */
gboolean hf_fuse_serve(HfExport *export, const HfFuseOptions *options, GError **error);
