/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who is enrolled: the writers of a repository, by their records in the store. Needs no key: whoever keeps a repository
 * checks with it who signed what (K1 of keyring.h: only what the admin key signed counts).
 */
#pragma once

#include "format/repository.h"
#include "storage/store.h"

/* An enrolled writer. Never freed before the table is freed; `removed` only goes from 0 to a time. */
typedef struct HfEnrolled {
  HfWriter writer;
  gboolean is_removed;
  gint64 removed;
} HfEnrolled;

/* All writers whose records the admin key signed. Grows only. Thread-safe. */
typedef struct HfWriterTable HfWriterTable;
HfWriterTable *hf_writer_table_new(const guint8 admin_public[32]);
void hf_writer_table_free(HfWriterTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfWriterTable, hf_writer_table_free)
/* Takes in what is new in the store. `complaints` (char*) gets a line for each record that cannot be used. */
gboolean hf_writer_table_load(HfWriterTable *table, HfStore *store, GPtrArray *complaints, GError **error);
/* NULL when not enrolled. *removed is TRUE, and *when set, for a removed one; both may be NULL. */
const HfWriter *hf_writer_table_find(HfWriterTable *table, const HfShortId *writer, gboolean *removed, gint64 *when);
/* Of HfEnrolled (borrowed), by time of creation. */
GPtrArray *hf_writer_table_all(HfWriterTable *table);
