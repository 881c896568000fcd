/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A store in memory whose objects a test may spoil, and whose calls a test may make fail. Thread-safe. */
#pragma once

#include "storage/store.h"

typedef enum LabOp {
  LAB_BEGIN, LAB_WRITE, LAB_READ_BACK, LAB_COMMIT, LAB_GET, LAB_SIZE, LAB_LIST, LAB_REMOVE,
  LAB_COMMITTED, /* after it was done: an answer that is lost */
} LabOp;

/* Returns the HfErrorCode that the call is to fail with, or 0. `bytes` are those that are about to be written or were
 * just read (NULL for other calls, and for writes of several parts): they may be changed. */
typedef int (*LabFault)(LabOp op, const char *name, guint64 offset, guint8 *bytes, gsize length, gpointer user);

HfStore *lab_store_new(void);
void lab_store_fault(HfStore *store, LabFault fault, gpointer user);

/* The bytes of an object: valid until it is removed or its length is changed. Fails the test when it is missing. */
guint8 *lab_object(HfStore *store, const char *name, gsize *length);
gboolean lab_has(HfStore *store, const char *name);
/* Cuts an object short, or appends 0xee. */
void lab_set_length(HfStore *store, const char *name, gsize length);
void lab_drop(HfStore *store, const char *name);
guint lab_count(HfStore *store, const char *prefix);
/* The only object whose name begins with `prefix`; caller frees. */
char *lab_only(HfStore *store, const char *prefix);
