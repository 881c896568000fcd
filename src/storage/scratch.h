/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the suite and the measuring share: names below a scratch prefix, contents made from a seed, and threads. */
#pragma once

#include "storage/store.h"

#define HF_SCRATCH_THREADS 8

typedef struct HfScratch {
  HfStore *store;
  char *prefix;   /* "conform/RANDOM/" */
  guint64 random; /* state of hf_scratch_random */
} HfScratch;

void hf_scratch_init(HfScratch *scratch, HfStore *store);
/* Removes every object below the prefix. */
gboolean hf_scratch_clean(HfScratch *scratch, GError **error);
void hf_scratch_clear(HfScratch *scratch);

/* prefix + printf text; caller frees. */
char *hf_scratch_name(HfScratch *scratch, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* A number below `bound`. */
guint64 hf_scratch_random(HfScratch *scratch, guint64 bound);

/* The bytes [offset, offset + length) of the endless content of `seed`. */
void hf_content_fill(guint64 seed, guint64 offset, guint8 *bytes, gsize length);
/* FALSE with HF_ERROR_FAILED naming the first byte that differs. */
gboolean hf_content_check(guint64 seed, guint64 offset, const guint8 *bytes, gsize length, const char *what,
                          GError **error);
/* Puts an object of `size` bytes of the content of `seed`, in pieces of `piece` bytes. */
gboolean hf_content_put(HfStore *store, const char *name, guint64 size, guint64 seed, gsize piece, GError **error);
/* Gets a range and checks it. */
gboolean hf_content_get(HfStore *store, const char *name, guint64 offset, gsize length, guint64 seed, GError **error);

/* Runs `func` with numbers 0 .. threads - 1, one thread each; FALSE with the first error. */
typedef gboolean (*HfScratchFunc)(guint number, gpointer user, GError **error);
gboolean hf_scratch_run(guint threads, HfScratchFunc func, gpointer user, GError **error);
