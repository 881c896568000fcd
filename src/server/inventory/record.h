/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Rows as structs: a table says which member is which column, and reading, inserting, changing and freeing follow from
 * it. Only the folder includes this.
 */
#pragma once

#include "server/inventory/inventory.h"

typedef enum HfFieldKind {
  HF_FIELD_TEXT,     /* char *; NULL is written as `otherwise` */
  HF_FIELD_OPTIONAL, /* char *; NULL is NULL */
  HF_FIELD_NUMBER,   /* gint64 */
  HF_FIELD_FLAG,     /* gboolean */
  HF_FIELD_TIME,     /* gint64; 0 is NULL */
} HfFieldKind;

typedef struct HfField {
  const char *column;
  HfFieldKind kind;
  gsize offset;
  gboolean change;       /* written by hf_record_update */
  const char *otherwise; /* NULL: "" */
} HfField;
#define HF_FIELD(type, member, kind) { #member, HF_FIELD_##kind, offsetof(type, member), FALSE, NULL }
#define HF_FIELD_CHANGES(type, member, kind) { #member, HF_FIELD_##kind, offsetof(type, member), TRUE, NULL }
#define HF_FIELD_JSON(type, member, change, otherwise) \
  { #member, HF_FIELD_TEXT, offsetof(type, member), change, otherwise }

typedef struct HfTable {
  const char *name; /* "hosts" */
  const char *what; /* "host": for messages */
  gsize size;
  const HfField *fields; /* the first is the key */
  guint n_fields;
} HfTable;

void hf_record_free(const HfTable *table, gpointer row);
/* The row that `condition` ("id = ?") finds; NULL without an error when there is none. */
gpointer hf_record_find(HfDbLink *link, const HfTable *table, const char *condition, const HfDbValue *values,
                        gsize n_values, GError **error);
/* By key; HF_ERROR_NOT_FOUND "there is no host '...'". */
gpointer hf_record_get(HfDbLink *link, const HfTable *table, const char *key, GError **error);
/* `rest`: everything after FROM and the table ("WHERE a = ? ORDER BY b"). `free_row` for the array's elements. */
GPtrArray *hf_record_load(HfDbLink *link, const HfTable *table, const char *rest, const HfDbValue *values,
                          gsize n_values, GDestroyNotify free_row, GError **error);
/* The same three in a reading transaction of their own. */
gpointer hf_record_read(HfDb *db, const HfTable *table, const char *key, GError **error);
GPtrArray *hf_record_read_all(HfDb *db, const HfTable *table, const char *rest, const HfDbValue *values,
                              gsize n_values, GDestroyNotify free_row, GError **error);
gboolean hf_record_insert(HfDbLink *link, const HfTable *table, gconstpointer row, GError **error);
/* Writes the fields that may change. */
gboolean hf_record_update(HfDbLink *link, const HfTable *table, gconstpointer row, GError **error);

/* A change by `actor`: runs `work` in a transaction, with an audit line of what the row was before and after; when it
 * is refused, a line about that. */
typedef struct HfChange {
  const HfInventory *inv;
  const HfActor *actor;
  const char *action; /* "create", "change", "delete", ... */
  const HfTable *table;
  const char *id;
  const char *name; /* of the thing, for a refusal; may be NULL */
} HfChange;
gboolean hf_inv_audited(const HfChange *change, HfDbWork work, gpointer user, GError **error);

/* ---- Rules that many nouns share. ---- */
/* 1 to 255 characters, no control characters, no blanks at the ends. */
gboolean hf_inv_check_name(const char *what, const char *name, GError **error);
gboolean hf_inv_check_range(const char *what, gint64 value, gint64 low, gint64 high, GError **error);
/* One of `words`, ended by NULL. */
gboolean hf_inv_check_word(const char *what, const char *word, const char *const *words, GError **error);
/* NULL is good. */
gboolean hf_inv_check_json(const char *what, const char *json, gboolean array, GError **error);
/* HF_ERROR_EXISTS when another row than `id` of the table has this name, without regard to case. */
gboolean hf_inv_check_name_free(HfDbLink *link, const HfTable *table, const char *name, const char *id, GError **error);
/* HF_ERROR_EXISTS "... is used by WHAT 'name'" when the query (one value: `id`) finds a name. */
gboolean hf_inv_check_unused(HfDbLink *link, const char *thing, const char *id, const char *user, const char *sql,
                             GError **error);
/* HF_ERROR_NOT_FOUND unless the statement changed a row. */
gboolean hf_inv_exec_one(HfDbLink *link, const HfTable *table, const char *id, const char *sql, const HfDbValue *values,
                         gsize n_values, GError **error);
