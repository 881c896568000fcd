/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "server/inventory/record.h"

#include <jansson.h>
#include <string.h>

#include "base/error.h"
#include "server/auth/audited.h"

/* ---- struct and row ---- */

void hf_record_free(const HfTable *table, gpointer row)
{
  if (row == NULL)
    return;
  for (guint i = 0; i < table->n_fields; i++)
    if (table->fields[i].kind <= HF_FIELD_OPTIONAL)
      g_free(G_STRUCT_MEMBER(char *, row, table->fields[i].offset));
  g_free(row);
}

static gpointer row_of(const HfTable *table, HfDbRows *rows)
{
  gpointer row = g_malloc0(table->size);
  for (guint i = 0; i < table->n_fields; i++) {
    const HfField *field = &table->fields[i];
    if (field->kind <= HF_FIELD_OPTIONAL)
      G_STRUCT_MEMBER(char *, row, field->offset) = g_strdup(hf_db_text(rows, i));
    else if (field->kind == HF_FIELD_FLAG)
      G_STRUCT_MEMBER(gboolean, row, field->offset) = hf_db_int(rows, i) != 0;
    else
      G_STRUCT_MEMBER(gint64, row, field->offset) = hf_db_int(rows, i);
  }
  return row;
}

static HfDbValue value_of(const HfField *field, gconstpointer row)
{
  switch (field->kind) {
  case HF_FIELD_FLAG:
    return HF_DB_INT(G_STRUCT_MEMBER(gboolean, row, field->offset) ? 1 : 0);
  case HF_FIELD_NUMBER:
    return HF_DB_INT(G_STRUCT_MEMBER(gint64, row, field->offset));
  case HF_FIELD_TIME: {
    gint64 time = G_STRUCT_MEMBER(gint64, row, field->offset);
    return time == 0 ? HF_DB_NULL : HF_DB_INT(time);
  }
  default: {
    const char *text = G_STRUCT_MEMBER(char *, row, field->offset);
    if (text == NULL && field->kind == HF_FIELD_TEXT)
      text = field->otherwise != NULL ? field->otherwise : "";
    return HF_DB_TEXT(text);
  }
  }
}

static char *select_sql(const HfTable *table, const char *rest)
{
  GString *sql = g_string_new("SELECT ");
  for (guint i = 0; i < table->n_fields; i++)
    g_string_append_printf(sql, "%s%s", i == 0 ? "" : ", ", table->fields[i].column);
  g_string_append_printf(sql, " FROM %s %s", table->name, rest);
  return g_string_free(sql, FALSE);
}

gpointer hf_record_find(HfDbLink *link, const HfTable *table, const char *condition, const HfDbValue *values,
                        gsize n_values, GError **error)
{
  g_autofree char *rest = g_strdup_printf("WHERE %s", condition);
  g_autofree char *sql = select_sql(table, rest);
  g_autoptr(HfDbRows) rows = hf_db_query(link, sql, values, n_values, error);
  return rows != NULL && hf_db_next(rows, error) ? row_of(table, rows) : NULL;
}

gpointer hf_record_get(HfDbLink *link, const HfTable *table, const char *key, GError **error)
{
  g_autofree char *condition = g_strdup_printf("%s = ?", table->fields[0].column);
  g_autoptr(GError) problem = NULL;
  gpointer row = hf_record_find(link, table, condition, HF_DB_VALUES(HF_DB_TEXT(key)), &problem);
  if (problem != NULL)
    g_propagate_error(error, g_steal_pointer(&problem));
  else if (row == NULL)
    hf_fail(error, HF_ERROR_NOT_FOUND, "there is no %s '%s'", table->what, key != NULL ? key : "");
  return row;
}

GPtrArray *hf_record_load(HfDbLink *link, const HfTable *table, const char *rest, const HfDbValue *values,
                          gsize n_values, GDestroyNotify free_row, GError **error)
{
  g_autofree char *sql = select_sql(table, rest);
  g_autoptr(HfDbRows) rows = hf_db_query(link, sql, values, n_values, error);
  if (rows == NULL)
    return NULL;
  g_autoptr(GPtrArray) array = g_ptr_array_new_with_free_func(free_row);
  while (hf_db_next(rows, error))
    g_ptr_array_add(array, row_of(table, rows));
  return hf_db_failed(rows) ? NULL : g_steal_pointer(&array);
}

gpointer hf_record_read(HfDb *db, const HfTable *table, const char *key, GError **error)
{
  g_autoptr(HfDbLink) link = hf_db_read(db, error);
  return link == NULL ? NULL : hf_record_get(link, table, key, error);
}

GPtrArray *hf_record_read_all(HfDb *db, const HfTable *table, const char *rest, const HfDbValue *values,
                              gsize n_values, GDestroyNotify free_row, GError **error)
{
  g_autoptr(HfDbLink) link = hf_db_read(db, error);
  return link == NULL ? NULL : hf_record_load(link, table, rest, values, n_values, free_row, error);
}

gboolean hf_record_insert(HfDbLink *link, const HfTable *table, gconstpointer row, GError **error)
{
  g_autoptr(GString) sql = g_string_new(NULL);
  g_autofree HfDbValue *values = g_new0(HfDbValue, table->n_fields);
  g_string_printf(sql, "INSERT INTO %s (", table->name);
  for (guint i = 0; i < table->n_fields; i++) {
    g_string_append_printf(sql, "%s%s", i == 0 ? "" : ", ", table->fields[i].column);
    values[i] = value_of(&table->fields[i], row);
  }
  g_string_append(sql, ") VALUES (");
  for (guint i = 0; i < table->n_fields; i++)
    g_string_append(sql, i == 0 ? "?" : ", ?");
  g_string_append_c(sql, ')');
  return hf_db_exec(link, sql->str, values, table->n_fields, NULL, error);
}

gboolean hf_record_update(HfDbLink *link, const HfTable *table, gconstpointer row, GError **error)
{
  g_autoptr(GString) sql = g_string_new(NULL);
  g_autofree HfDbValue *values = g_new0(HfDbValue, table->n_fields + 1);
  gsize count = 0;
  g_string_printf(sql, "UPDATE %s SET ", table->name);
  for (guint i = 0; i < table->n_fields; i++) {
    if (!table->fields[i].change)
      continue;
    g_string_append_printf(sql, "%s%s = ?", count == 0 ? "" : ", ", table->fields[i].column);
    values[count++] = value_of(&table->fields[i], row);
  }
  g_string_append_printf(sql, " WHERE %s = ?", table->fields[0].column);
  values[count++] = value_of(&table->fields[0], row);
  return hf_inv_exec_one(link, table, G_STRUCT_MEMBER(char *, row, table->fields[0].offset), sql->str, values, count,
                         error);
}

/* ---- audited changes ---- */

gboolean hf_inv_audited(const HfChange *change, HfDbWork work, gpointer user, GError **error)
{
  HfAudited audited = {.db = change->inv->db, .actor = change->actor, .action = change->action,
                       .table = change->table->name, .id = change->id, .name = change->name};
  return hf_audited(&audited, work, user, error);
}

/* ---- rules ---- */

gboolean hf_inv_check_name(const char *what, const char *name, GError **error)
{
  if (name == NULL || *name == '\0')
    return hf_fail(error, HF_ERROR_USAGE, "the %s needs a name", what);
  if (!g_utf8_validate(name, -1, NULL) || g_utf8_strlen(name, -1) > 255)
    return hf_fail(error, HF_ERROR_USAGE, "the name of the %s is not text of at most 255 characters", what);
  for (const char *at = name; *at != '\0'; at = g_utf8_next_char(at))
    if (g_unichar_iscntrl(g_utf8_get_char(at)))
      return hf_fail(error, HF_ERROR_USAGE, "the name of the %s holds a control character", what);
  if (g_ascii_isspace(name[0]) || g_ascii_isspace(name[strlen(name) - 1]))
    return hf_fail(error, HF_ERROR_USAGE, "the name '%s' begins or ends with a blank", name);
  return TRUE;
}

gboolean hf_inv_check_range(const char *what, gint64 value, gint64 low, gint64 high, GError **error)
{
  if (value >= low && value <= high)
    return TRUE;
  return hf_fail(error, HF_ERROR_USAGE, "%s is %" G_GINT64_FORMAT "; it must be %" G_GINT64_FORMAT " to %"
                 G_GINT64_FORMAT,
                 what, value, low, high);
}

gboolean hf_inv_check_word(const char *what, const char *word, const char *const *words, GError **error)
{
  if (word != NULL && g_strv_contains(words, word))
    return TRUE;
  g_autofree char *all = g_strjoinv(", ", (char **)words);
  return hf_fail(error, HF_ERROR_USAGE, "%s is '%s'; it must be one of %s", what, word != NULL ? word : "", all);
}

gboolean hf_inv_check_json(const char *what, const char *json, gboolean array, GError **error)
{
  if (json == NULL)
    return TRUE;
  json_t *value = json_loads(json, 0, NULL);
  gboolean good = array ? json_is_array(value) : json_is_object(value);
  json_decref(value);
  return good || hf_fail(error, HF_ERROR_USAGE, "%s is not a JSON %s", what, array ? "array" : "object");
}

gboolean hf_inv_check_name_free(HfDbLink *link, const HfTable *table, const char *name, const char *id, GError **error)
{
  g_autofree char *sql = g_strdup_printf("SELECT id FROM %s WHERE LOWER(name) = LOWER(?) AND id <> ?", table->name);
  g_autoptr(HfDbRows) rows = hf_db_query(link, sql, HF_DB_VALUES(HF_DB_TEXT(name), HF_DB_TEXT(id)), error);
  if (rows == NULL)
    return FALSE;
  if (hf_db_next(rows, error))
    return hf_fail(error, HF_ERROR_EXISTS, "the name '%s' is taken by the %s %s; choose another", name, table->what,
                   hf_db_text(rows, 0));
  return !hf_db_failed(rows);
}

gboolean hf_inv_check_unused(HfDbLink *link, const char *thing, const char *id, const char *user, const char *sql,
                             GError **error)
{
  g_autoptr(HfDbRows) rows = hf_db_query(link, sql, HF_DB_VALUES(HF_DB_TEXT(id)), error);
  if (rows == NULL)
    return FALSE;
  if (hf_db_next(rows, error))
    return hf_fail(error, HF_ERROR_EXISTS, "the %s '%s' is used by the %s '%s'; change or delete that first", thing, id,
                   user, hf_db_text(rows, 0));
  return !hf_db_failed(rows);
}

gboolean hf_inv_exec_one(HfDbLink *link, const HfTable *table, const char *id, const char *sql, const HfDbValue *values,
                         gsize n_values, GError **error)
{
  gint64 changed = 0;
  if (!hf_db_exec(link, sql, values, n_values, &changed, error))
    return FALSE;
  return changed > 0 ||
         hf_fail(error, HF_ERROR_NOT_FOUND, "there is no %s '%s'", table->what, id != NULL ? id : "");
}
