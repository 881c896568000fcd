/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "server/inventory/repositories.h"

#include <string.h>

#include "base/error.h"
#include "server/inventory/tables.h"

#define R HfRepositoryRow
static const HfField repository_fields[] = {
  HF_FIELD(R, id, TEXT),
  HF_FIELD_CHANGES(R, name, TEXT),
  HF_FIELD_CHANGES(R, description, TEXT),
  HF_FIELD(R, type, TEXT),
  HF_FIELD(R, host_id, TEXT),
  HF_FIELD(R, path, TEXT),
  HF_FIELD_CHANGES(R, task_limit, NUMBER),
  HF_FIELD_CHANGES(R, rate_limit, NUMBER),
  HF_FIELD_CHANGES(R, immutable_days, NUMBER),
  HF_FIELD_CHANGES(R, encryption_password_id, OPTIONAL),
  HF_FIELD(R, fingerprint, TEXT),
  HF_FIELD(R, unique_id, TEXT),
  HF_FIELD_JSON(R, settings, TRUE, "{}"),
  HF_FIELD(R, capacity, NUMBER),
  HF_FIELD(R, free, NUMBER),
  HF_FIELD(R, used, NUMBER),
  HF_FIELD(R, online, FLAG),
  HF_FIELD(R, out_of_date, FLAG),
  HF_FIELD(R, status_message, TEXT),
  HF_FIELD(R, checked, TIME),
  HF_FIELD(R, created, NUMBER),
};
#undef R
const HfTable hf_table_repositories = {"repositories", "repository", sizeof(HfRepositoryRow), repository_fields,
                                       G_N_ELEMENTS(repository_fields)};

#define R HfWriterRow
static const HfField writer_fields[] = {
  HF_FIELD(R, id, TEXT),     HF_FIELD(R, host_id, TEXT), HF_FIELD(R, repository_id, TEXT),
  HF_FIELD(R, writer, TEXT), HF_FIELD(R, domain, TEXT),  HF_FIELD(R, created, NUMBER),
};
#undef R
static const HfTable writers = {"repository_writers", "writer", sizeof(HfWriterRow), writer_fields,
                                G_N_ELEMENTS(writer_fields)};

#define R HfProxyRow
static const HfField proxy_fields[] = {
  HF_FIELD(R, id, TEXT),
  HF_FIELD_CHANGES(R, name, TEXT),
  HF_FIELD_CHANGES(R, description, TEXT),
  HF_FIELD(R, type, TEXT),
  HF_FIELD(R, host_id, TEXT),
  HF_FIELD_CHANGES(R, max_tasks, NUMBER),
  HF_FIELD_CHANGES(R, disabled, FLAG),
  HF_FIELD(R, created, NUMBER),
};
#undef R
static const HfTable proxies = {"proxies", "proxy", sizeof(HfProxyRow), proxy_fields, G_N_ELEMENTS(proxy_fields)};

void hf_repository_free(HfRepositoryRow *row)
{
  hf_record_free(&hf_table_repositories, row);
}

void hf_writer_free(HfWriterRow *row)
{
  hf_record_free(&writers, row);
}

void hf_proxy_free(HfProxyRow *row)
{
  hf_record_free(&proxies, row);
}

static gboolean there(HfDbLink *link, const HfTable *table, const char *id, GError **error)
{
  gpointer row = hf_record_get(link, table, id, error);
  hf_record_free(table, row);
  return row != NULL;
}

/* ---- repositories ---- */

HfRepositoryRow *hf_inv_repository_get(const HfInventory *inv, const char *id, GError **error)
{
  return hf_record_read(inv->db, &hf_table_repositories, id, error);
}

GPtrArray *hf_inv_repositories_load(const HfInventory *inv, GError **error)
{
  return hf_record_read_all(inv->db, &hf_table_repositories, "ORDER BY name, id", HF_DB_NONE,
                            (GDestroyNotify)hf_repository_free, error);
}

static gboolean check_repository(HfDbLink *link, const HfRepositoryRow *row, GError **error)
{
  static const char *const types[] = {"LinuxLocal", "LinuxHardened", NULL};
  if (!hf_inv_check_name("repository", row->name, error) ||
      !hf_inv_check_word("the type of the repository", row->type, types, error) ||
      !hf_inv_check_range("the task limit", row->task_limit, 0, 1000, error) ||
      !hf_inv_check_range("the rate limit", row->rate_limit, 0, G_MAXINT64, error) ||
      !hf_inv_check_range("the days of the lock", row->immutable_days, 0, 9999, error) ||
      !hf_inv_check_json("the settings of the repository", row->settings, FALSE, error))
    return FALSE;
  if (row->path == NULL || row->path[0] != '/')
    return hf_fail(error, HF_ERROR_USAGE, "the path '%s' of the repository is not absolute",
                   row->path != NULL ? row->path : "");
  if (strcmp(row->type, "LinuxHardened") == 0 && row->immutable_days < 1)
    return hf_fail(error, HF_ERROR_USAGE, "a hardened repository locks points for at least 1 day");
  if (row->encryption_password_id != NULL) {
    gint64 found = 0;
    if (!hf_db_query_int(link, "SELECT COUNT(*) FROM encryption_passwords WHERE id = ?",
                         HF_DB_VALUES(HF_DB_TEXT(row->encryption_password_id)), &found, error))
      return FALSE;
    if (found == 0)
      return hf_fail(error, HF_ERROR_NOT_FOUND, "there is no encryption password '%s'", row->encryption_password_id);
  }
  return there(link, &hf_table_hosts, row->host_id, error) &&
         hf_inv_check_name_free(link, &hf_table_repositories, row->name, row->id, error);
}

static gboolean insert_repository(HfDbLink *link, gpointer user, GError **error)
{
  const HfRepositoryRow *row = user;
  if (!check_repository(link, row, error))
    return FALSE;
  g_autoptr(HfDbRows) rows = hf_db_query(link, "SELECT name FROM repositories WHERE host_id = ? AND path = ?",
                                         HF_DB_VALUES(HF_DB_TEXT(row->host_id), HF_DB_TEXT(row->path)), error);
  if (rows == NULL)
    return FALSE;
  if (hf_db_next(rows, error))
    return hf_fail(error, HF_ERROR_EXISTS, "the folder '%s' of that host holds the repository '%s' already", row->path,
                   hf_db_text(rows, 0));
  return !hf_db_failed(rows) && hf_record_insert(link, &hf_table_repositories, row, error);
}

gboolean hf_inv_repository_create(const HfInventory *inv, const HfActor *actor, HfRepositoryRow *row, GError **error)
{
  if (row->id == NULL)
    row->id = hf_db_new_id();
  row->created = hf_db_now();
  return hf_inv_audited(&(HfChange){inv, actor, "create", &hf_table_repositories, row->id, row->name},
                        insert_repository, row, error);
}

static gboolean update_repository(HfDbLink *link, gpointer user, GError **error)
{
  HfRepositoryRow row = *(const HfRepositoryRow *)user;
  g_autoptr(HfRepositoryRow) old = hf_record_get(link, &hf_table_repositories, row.id, error);
  if (old == NULL)
    return FALSE;
  row.type = old->type;
  row.host_id = old->host_id;
  row.path = old->path;
  if (strcmp(row.type, "LinuxHardened") == 0 && row.immutable_days < old->immutable_days)
    return hf_fail(error, HF_ERROR_REFUSED, "the hardened repository '%s' locks points for %" G_GINT64_FORMAT
                   " days; that is never made shorter", old->name, old->immutable_days);
  return check_repository(link, &row, error) && hf_record_update(link, &hf_table_repositories, &row, error);
}

gboolean hf_inv_repository_change(const HfInventory *inv, const HfActor *actor, const HfRepositoryRow *row,
                                  GError **error)
{
  return hf_inv_audited(&(HfChange){inv, actor, "change", &hf_table_repositories, row->id, row->name},
                        update_repository, (gpointer)row, error);
}

typedef struct Deletion {
  const char *id;
  gboolean forget_backups;
} Deletion;

static gboolean delete_repository(HfDbLink *link, gpointer user, GError **error)
{
  const Deletion *deletion = user;
  const char *id = deletion->id;
  if (!hf_inv_check_unused(link, "repository", id, "job", "SELECT name FROM jobs WHERE repository_id = ?", error) ||
      (!deletion->forget_backups &&
       !hf_inv_check_unused(link, "repository", id, "backup", "SELECT name FROM backups WHERE repository_id = ?",
                            error)))
    return FALSE;
  return hf_db_exec(link, "DELETE FROM backups WHERE repository_id = ?", HF_DB_VALUES(HF_DB_TEXT(id)), NULL, error) &&
         hf_db_exec(link, "DELETE FROM backup_objects WHERE NOT EXISTS "
                          "(SELECT 1 FROM restore_points WHERE object_id = backup_objects.id)", HF_DB_NONE, NULL,
                    error) &&
         hf_inv_exec_one(link, &hf_table_repositories, id, "DELETE FROM repositories WHERE id = ?",
                         HF_DB_VALUES(HF_DB_TEXT(id)), error);
}

gboolean hf_inv_repository_delete(const HfInventory *inv, const HfActor *actor, const char *id, gboolean forget_backups,
                                  GError **error)
{
  Deletion deletion = {id, forget_backups};
  return hf_inv_audited(&(HfChange){inv, actor, "delete", &hf_table_repositories, id, NULL}, delete_repository,
                        &deletion, error);
}

typedef struct State {
  const char *id, *text;
  gboolean online, out_of_date;
  gint64 capacity, free, used;
} State;

typedef struct Made {
  const char *id, *fingerprint, *unique_id;
} Made;

static gboolean put_made(HfDbLink *link, gpointer user, GError **error)
{
  const Made *made = user;
  g_autoptr(HfDbRows) rows = hf_db_query(link, "SELECT r.name, h.name, r.path FROM repositories r "
                                               "JOIN hosts h ON h.id = r.host_id WHERE r.unique_id = ? AND r.id <> ?",
                                         HF_DB_VALUES(HF_DB_TEXT(made->unique_id), HF_DB_TEXT(made->id)), error);
  if (rows == NULL)
    return FALSE;
  if (hf_db_next(rows, error))
    return hf_fail(error, HF_ERROR_EXISTS, "this is the repository '%s' (%s:%s), which is here already; use that one, "
                   "or remove it first", hf_db_text(rows, 0), hf_db_text(rows, 1), hf_db_text(rows, 2));
  return !hf_db_failed(rows) &&
         hf_inv_exec_one(link, &hf_table_repositories, made->id,
                         "UPDATE repositories SET fingerprint = ?, unique_id = ? WHERE id = ?",
                         HF_DB_VALUES(HF_DB_TEXT(made->fingerprint), HF_DB_TEXT(made->unique_id),
                                      HF_DB_TEXT(made->id)), error);
}

gboolean hf_inv_repository_made(const HfInventory *inv, const char *id, const char *fingerprint, const char *unique_id,
                                GError **error)
{
  Made made = {id, fingerprint, unique_id};
  return hf_db_write(inv->db, put_made, &made, error);
}

static gboolean put_state(HfDbLink *link, gpointer user, GError **error)
{
  const State *state = user;
  if (!state->online)
    return hf_inv_exec_one(link, &hf_table_repositories, state->id,
                           "UPDATE repositories SET online = 0, status_message = ? WHERE id = ?",
                           HF_DB_VALUES(HF_DB_TEXT(state->text), HF_DB_TEXT(state->id)), error);
  return hf_inv_exec_one(link, &hf_table_repositories, state->id,
                         "UPDATE repositories SET online = 1, status_message = ?, capacity = ?, free = ?, used = ?, "
                         "out_of_date = ?, checked = ? WHERE id = ?",
                         HF_DB_VALUES(HF_DB_TEXT(state->text), HF_DB_INT(state->capacity), HF_DB_INT(state->free),
                                      HF_DB_INT(state->used), HF_DB_INT(state->out_of_date), HF_DB_INT(hf_db_now()),
                                      HF_DB_TEXT(state->id)), error);
}

gboolean hf_inv_repository_state(const HfInventory *inv, const char *id, gboolean online, const char *message,
                                 gint64 capacity, gint64 free, gint64 used, gboolean out_of_date, GError **error)
{
  State state = {id, message != NULL ? message : "", online, out_of_date, capacity, free, used};
  return hf_db_write(inv->db, put_state, &state, error);
}

/* ---- writers ---- */

HfWriterRow *hf_inv_writer_get(const HfInventory *inv, const char *host_id, const char *repository_id, GError **error)
{
  g_autoptr(HfDbLink) link = hf_db_read(inv->db, error);
  if (link == NULL)
    return NULL;
  g_autoptr(GError) problem = NULL;
  HfWriterRow *row = hf_record_find(link, &writers, "host_id = ? AND repository_id = ?",
                                    HF_DB_VALUES(HF_DB_TEXT(host_id), HF_DB_TEXT(repository_id)), &problem);
  if (problem != NULL)
    g_propagate_error(error, g_steal_pointer(&problem));
  else if (row == NULL)
    hf_fail(error, HF_ERROR_NOT_FOUND, "the host '%s' has no writer in the repository '%s'", host_id, repository_id);
  return row;
}

GPtrArray *hf_inv_writers_of(const HfInventory *inv, const char *repository_id, GError **error)
{
  return hf_record_read_all(inv->db, &writers, "WHERE repository_id = ? ORDER BY created, id",
                            HF_DB_VALUES(HF_DB_TEXT(repository_id)), (GDestroyNotify)hf_writer_free, error);
}

GPtrArray *hf_inv_writers_for(const HfInventory *inv, const char *host_id, GError **error)
{
  return hf_record_read_all(inv->db, &writers, "WHERE host_id = ? ORDER BY created, id",
                            HF_DB_VALUES(HF_DB_TEXT(host_id)), (GDestroyNotify)hf_writer_free, error);
}

typedef struct WriterWork {
  const HfInventory *inv;
  const HfWriterRow *row;
  gconstpointer credential;
  gsize length;
} WriterWork;

static gboolean insert_writer(HfDbLink *link, gpointer user, GError **error)
{
  const WriterWork *work = user;
  const HfWriterRow *row = work->row;
  g_autoptr(GBytes) sealed = hf_secrets_seal(work->inv->secrets, "repository_writers.sealed_credential", row->id,
                                           work->credential, work->length, error);
  return sealed != NULL && there(link, &hf_table_hosts, row->host_id, error) &&
         there(link, &hf_table_repositories, row->repository_id, error) &&
         hf_db_exec(link, "INSERT INTO repository_writers (id, host_id, repository_id, writer, domain, "
                          "sealed_credential, created) VALUES (?, ?, ?, ?, ?, ?, ?)",
                    HF_DB_VALUES(HF_DB_TEXT(row->id), HF_DB_TEXT(row->host_id), HF_DB_TEXT(row->repository_id),
                                 HF_DB_TEXT(row->writer), HF_DB_TEXT(row->domain), HF_DB_BYTES(sealed),
                                 HF_DB_INT(row->created)), NULL, error);
}

gboolean hf_inv_writer_add(const HfInventory *inv, const HfActor *actor, HfWriterRow *row, gconstpointer credential,
                           gsize length, GError **error)
{
  g_free(row->id);
  row->id = hf_db_new_id();
  row->created = hf_db_now();
  WriterWork work = {inv, row, credential, length};
  return hf_inv_audited(&(HfChange){inv, actor, "create", &writers, row->id, NULL}, insert_writer, &work, error);
}

char *hf_inv_writer_credential(const HfInventory *inv, const HfWriterRow *row, gsize *length, GError **error)
{
  g_autoptr(HfDbLink) link = hf_db_read(inv->db, error);
  g_autoptr(HfDbRows) rows =
      link == NULL ? NULL
                   : hf_db_query(link, "SELECT sealed_credential FROM repository_writers WHERE id = ?",
                                 HF_DB_VALUES(HF_DB_TEXT(row->id)), error);
  if (rows == NULL)
    return NULL;
  if (!hf_db_next(rows, error)) {
    if (!hf_db_failed(rows))
      hf_fail(error, HF_ERROR_NOT_FOUND, "there is no writer '%s'", row->id);
    return NULL;
  }
  gsize size;
  gconstpointer bytes = hf_db_blob(rows, 0, &size);
  g_autoptr(GBytes) sealed = g_bytes_new(bytes, size);
  return hf_secrets_unseal(inv->secrets, "repository_writers.sealed_credential", row->id, sealed, length, error);
}

/* ---- proxies ---- */

HfProxyRow *hf_inv_proxy_get(const HfInventory *inv, const char *id, GError **error)
{
  return hf_record_read(inv->db, &proxies, id, error);
}

GPtrArray *hf_inv_proxies_load(const HfInventory *inv, GError **error)
{
  return hf_record_read_all(inv->db, &proxies, "ORDER BY name, id", HF_DB_NONE, (GDestroyNotify)hf_proxy_free, error);
}

static gboolean check_proxy(HfDbLink *link, const HfProxyRow *row, GError **error)
{
  static const char *const types[] = {"GeneralPurposeProxy", NULL};
  return hf_inv_check_name("proxy", row->name, error) &&
         hf_inv_check_word("the type of the proxy", row->type, types, error) &&
         hf_inv_check_range("the number of tasks", row->max_tasks, 1, 1000, error) &&
         there(link, &hf_table_hosts, row->host_id, error) &&
         hf_inv_check_name_free(link, &proxies, row->name, row->id, error);
}

static gboolean insert_proxy(HfDbLink *link, gpointer user, GError **error)
{
  const HfProxyRow *row = user;
  return check_proxy(link, row, error) &&
         hf_inv_check_unused(link, "host", row->host_id, "proxy", "SELECT name FROM proxies WHERE host_id = ?",
                             error) &&
         hf_record_insert(link, &proxies, row, error);
}

gboolean hf_inv_proxy_create(const HfInventory *inv, const HfActor *actor, HfProxyRow *row, GError **error)
{
  if (row->id == NULL)
    row->id = hf_db_new_id();
  if (row->type == NULL)
    row->type = g_strdup("GeneralPurposeProxy");
  row->created = hf_db_now();
  return hf_inv_audited(&(HfChange){inv, actor, "create", &proxies, row->id, row->name}, insert_proxy, row, error);
}

static gboolean update_proxy(HfDbLink *link, gpointer user, GError **error)
{
  HfProxyRow row = *(const HfProxyRow *)user;
  g_autoptr(HfProxyRow) old = hf_record_get(link, &proxies, row.id, error);
  if (old == NULL)
    return FALSE;
  row.type = old->type;
  row.host_id = old->host_id;
  return check_proxy(link, &row, error) && hf_record_update(link, &proxies, &row, error);
}

gboolean hf_inv_proxy_change(const HfInventory *inv, const HfActor *actor, const HfProxyRow *row, GError **error)
{
  return hf_inv_audited(&(HfChange){inv, actor, "change", &proxies, row->id, row->name}, update_proxy, (gpointer)row,
                        error);
}

typedef struct Switch {
  const char *id;
  gboolean disabled;
} Switch;

static gboolean switch_proxy(HfDbLink *link, gpointer user, GError **error)
{
  const Switch *to = user;
  return hf_inv_exec_one(link, &proxies, to->id, "UPDATE proxies SET disabled = ? WHERE id = ?",
                         HF_DB_VALUES(HF_DB_INT(to->disabled), HF_DB_TEXT(to->id)), error);
}

gboolean hf_inv_proxy_switch(const HfInventory *inv, const HfActor *actor, const char *id, gboolean disabled,
                             GError **error)
{
  Switch to = {id, disabled};
  return hf_inv_audited(&(HfChange){inv, actor, disabled ? "disable" : "enable", &proxies, id, NULL}, switch_proxy, &to,
                        error);
}

static gboolean delete_proxy(HfDbLink *link, gpointer user, GError **error)
{
  const char *id = user;
  return hf_inv_exec_one(link, &proxies, id, "DELETE FROM proxies WHERE id = ?", HF_DB_VALUES(HF_DB_TEXT(id)), error);
}

gboolean hf_inv_proxy_delete(const HfInventory *inv, const HfActor *actor, const char *id, GError **error)
{
  return hf_inv_audited(&(HfChange){inv, actor, "delete", &proxies, id, NULL}, delete_proxy, (gpointer)id, error);
}
