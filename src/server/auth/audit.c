/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "server/auth/audited.h"

const HfActor hf_actor_server = {NULL, "", "", HF_ROLE_ADMINISTRATOR};

gboolean hf_audit_write(HfDbLink *link, const HfActor *actor, const HfAudit *audit, GError **error)
{
  g_autofree char *id = hf_db_new_id();
  return hf_db_exec(link, "INSERT INTO audit (id, time, account, address, action, object_kind, object_id, object_name, "
                          "old_value, new_value, result) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    HF_DB_VALUES(HF_DB_TEXT(id), HF_DB_INT(hf_db_now()), HF_DB_TEXT(actor->account),
                                 HF_DB_TEXT(actor->address), HF_DB_TEXT(audit->action), HF_DB_TEXT(audit->object_kind),
                                 HF_DB_TEXT(audit->object_id), HF_DB_TEXT(audit->object_name),
                                 HF_DB_TEXT(audit->old_value), HF_DB_TEXT(audit->new_value),
                                 HF_DB_TEXT(audit->refused != NULL ? audit->refused->message : "ok")), NULL, error);
}

typedef struct Note {
  const HfActor *actor;
  const HfAudit *audit;
} Note;

static gboolean note(HfDbLink *link, gpointer user, GError **error)
{
  const Note *work = user;
  return hf_audit_write(link, work->actor, work->audit, error);
}

gboolean hf_audit_note(HfDb *db, const HfActor *actor, const HfAudit *audit, GError **error)
{
  Note work = {actor, audit};
  return hf_db_write(db, note, &work, error);
}

static gboolean sweep(HfDbLink *link, gpointer user, GError **error)
{
  const gint64 *before = user;
  return hf_db_exec(link, "DELETE FROM audit WHERE time < ?", HF_DB_VALUES(HF_DB_INT(*before)), NULL, error);
}

gboolean hf_audit_sweep(HfDb *db, gint64 before, GError **error)
{
  return hf_db_write(db, sweep, &before, error);
}

/* ---- rows as JSON ---- */

static gboolean secret(const char *column)
{
  return g_str_has_prefix(column, "sealed_") || g_str_has_suffix(column, "_hash");
}

static json_t *value_of(HfDbRows *rows, guint column)
{
  if (secret(hf_db_column_name(rows, column)))
    return json_string("(secret)");
  if (hf_db_kind_of(rows, column) == HF_DB_KIND_INT)
    return json_integer(hf_db_int(rows, column));
  const char *text = hf_db_text(rows, column);
  /* Configurations are JSON themselves: they are shown as such. */
  json_t *inner = text[0] == '{' || text[0] == '[' ? json_loads(text, 0, NULL) : NULL;
  return inner != NULL ? inner : json_string(text);
}

char *hf_audit_row(HfDbLink *link, const char *table, const char *id, GError **error)
{
  g_autofree char *sql = g_strdup_printf("SELECT * FROM %s WHERE id = ?", table);
  g_autoptr(HfDbRows) rows = hf_db_query(link, sql, HF_DB_VALUES(HF_DB_TEXT(id)), error);
  if (rows == NULL)
    return NULL;
  if (!hf_db_next(rows, error))
    return hf_db_failed(rows) ? NULL : g_strdup("null");
  json_t *object = json_object();
  for (guint i = 0; i < hf_db_columns(rows); i++)
    if (!hf_db_is_null(rows, i))
      json_object_set_new(object, hf_db_column_name(rows, i), value_of(rows, i));
  char *text = json_dumps(object, JSON_COMPACT);
  json_decref(object);
  char *copy = g_strdup(text);
  free(text);
  return copy;
}

/* ---- changes with their lines ---- */

typedef struct Work {
  const HfAudited *change;
  HfDbWork work;
  gpointer user;
} Work;

/* What the thing is called, from its row: the first of these members that it has. */
static char *name_in(const char *row)
{
  static const char *const members[] = {"name", "username", "hint", "path"};
  json_t *object = json_loads(row, JSON_DECODE_ANY, NULL);
  char *name = NULL;
  for (gsize i = 0; i < G_N_ELEMENTS(members) && name == NULL; i++)
    name = g_strdup(json_string_value(json_object_get(object, members[i])));
  json_decref(object);
  return name != NULL ? name : g_strdup("");
}

static const char *unless_null(const char *row)
{
  return strcmp(row, "null") == 0 ? NULL : row;
}

static gboolean run(HfDbLink *link, gpointer user, GError **error)
{
  const Work *work = user;
  const HfAudited *change = work->change;
  g_autofree char *before = hf_audit_row(link, change->table, change->id, error);
  if (before == NULL || !work->work(link, work->user, error))
    return FALSE;
  g_autofree char *after = hf_audit_row(link, change->table, change->id, error);
  if (after == NULL)
    return FALSE;
  g_autofree char *name = name_in(unless_null(after) != NULL ? after : before);
  HfAudit line = {.action = change->action, .object_kind = change->table, .object_id = change->id,
                  .object_name = name, .old_value = unless_null(before), .new_value = unless_null(after)};
  return hf_audit_write(link, change->actor, &line, error);
}

gboolean hf_audited(const HfAudited *change, HfDbWork work, gpointer user, GError **error)
{
  Work whole = {change, work, user};
  g_autoptr(GError) problem = NULL;
  if (hf_db_write(change->db, run, &whole, &problem))
    return TRUE;
  HfAudit line = {.action = change->action, .object_kind = change->table, .object_id = change->id,
                  .object_name = change->name != NULL ? change->name : "", .refused = problem};
  hf_audit_note(change->db, change->actor, &line, NULL);
  g_propagate_error(error, g_steal_pointer(&problem));
  return FALSE;
}
