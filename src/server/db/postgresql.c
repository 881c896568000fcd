/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * PostgreSQL by libpq. Values go as text with their types said, blobs as bytes; results come as text.
 */
#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "server/db/driver.h"

#define MAX_STATEMENTS 256
#define VERSION_UNIT (100 * 100) /* 150018 is 15.18 */
/* Types by the numbers of the catalogue pg_type, which never change. */
#define OID_BOOL 16
#define OID_BYTEA 17
#define OID_INT8 20
#define OID_INT4 23
#define OID_TEXT 25

typedef struct Pg {
  HfDbConnection base;
  PGconn *handle;
  GHashTable *statements; /* types and sql -> name */
  guint next_name;
  HfDbTrouble trouble;
} Pg;

typedef struct PgRows {
  HfDbRows base;
  PGresult *result;
  int row;
  GPtrArray *blobs; /* unescaped, of the current row */
} PgRows;

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PGresult, PQclear)

static HfErrorCode code_of(const char *state)
{
  if (strcmp(state, "23505") == 0)
    return HF_ERROR_EXISTS;
  if (strcmp(state, "23503") == 0 || strcmp(state, "55P03") == 0)
    return HF_ERROR_BUSY;
  if (strcmp(state, "53100") == 0)
    return HF_ERROR_NO_SPACE;
  if (g_str_has_prefix(state, "XX"))
    return HF_ERROR_DAMAGED;
  if (strcmp(state, "42501") == 0 || strcmp(state, "25006") == 0 || g_str_has_prefix(state, "28"))
    return HF_ERROR_PERMISSION;
  return HF_ERROR_FAILED;
}

static gboolean fail(Pg *pg, const PGresult *result, const char *sql, GError **error)
{
  const char *state = result == NULL ? NULL : PQresultErrorField(result, PG_DIAG_SQLSTATE);
  gboolean lost = PQstatus(pg->handle) != CONNECTION_OK;
  g_autofree char *statement = hf_db_short_sql(sql);
  g_autofree char *said = g_strdup(PQerrorMessage(pg->handle));
  g_strdelimit(g_strchomp(said), "\n", ' ');
  if (lost) /* a server that shuts down says so by 57P01 and closes */
    pg->trouble = HF_DB_TROUBLE_LOST;
  else if (state != NULL && (strcmp(state, "40001") == 0 || strcmp(state, "40P01") == 0))
    pg->trouble = HF_DB_TROUBLE_AGAIN;
  HfErrorCode code = lost ? HF_ERROR_IO : state == NULL ? HF_ERROR_FAILED : code_of(state);
  return hf_fail(error, code, "database: %s (in '%s')", said, statement);
}

static gboolean pg_script(HfDbConnection *connection, const char *sql, GError **error)
{
  Pg *pg = (Pg *)connection;
  pg->trouble = HF_DB_TROUBLE_NONE;
  g_autoptr(PGresult) result = PQexec(pg->handle, sql);
  ExecStatusType status = PQresultStatus(result);
  return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || fail(pg, result, sql, error);
}

static gboolean pg_migrate(HfDbConnection *connection, const char *sql, GError **error)
{
  g_autofree char *own = hf_db_postgresql_types(sql);
  return pg_script(connection, own, error);
}

static void pg_disconnect(HfDbConnection *connection)
{
  Pg *pg = (Pg *)connection;
  g_hash_table_unref(pg->statements);
  PQfinish(pg->handle);
  g_free(pg);
}

static void ignore_notice(void *user, const PGresult *result)
{
  (void)user;
  (void)result;
}

/* What is not said in `where` is said here: a server that is gone is noticed. */
static PGconn *dial(const char *where)
{
  const char *const names[] = {"connect_timeout", "tcp_user_timeout", "keepalives_idle", "application_name", "dbname",
                               "client_encoding", NULL};
  const char *const values[] = {"10", "30000", "30", "holdfast-server", where, "UTF8", NULL};
  return PQconnectdbParams(names, values, 1);
}

/* "postgresql://user:secret@host/db" must not show its secret in messages. */
static char *without_password(const char *where)
{
  const char *start = strstr(where, "://");
  start = start == NULL ? where : start + 3;
  const char *at = strchr(start, '@');
  const char *colon = at == NULL ? NULL : memchr(start, ':', (gsize)(at - start));
  return colon == NULL ? g_strdup(where) : g_strdup_printf("%.*s:...%s", (int)(colon - where), where, at);
}

static HfDbConnection *pg_connect(const char *where, gboolean writer, char **version, GError **error)
{
  Pg *pg = g_new0(Pg, 1);
  pg->base.driver = &hf_db_postgresql;
  pg->statements = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
  pg->handle = dial(where);
  g_autofree char *place = without_password(where);
  PQsetNoticeReceiver(pg->handle, ignore_notice, NULL);
  gboolean good = PQstatus(pg->handle) == CONNECTION_OK;
  if (!good) {
    g_autofree char *said = g_strdup(PQerrorMessage(pg->handle));
    g_strdelimit(g_strchomp(said), "\n", ' ');
    hf_fail(error, HF_ERROR_IO, "cannot open database '%s': %s", place, said);
  } else if (g_strcmp0(PQparameterStatus(pg->handle, "server_encoding"), "UTF8") != 0) {
    good = hf_fail(error, HF_ERROR_UNSUPPORTED, "database '%s' is not encoded in UTF8; make it anew with "
                   "CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0", place);
  } else {
    good = pg_script(&pg->base, "SET lock_timeout = '10s'", error) &&
           (writer || pg_script(&pg->base, "SET default_transaction_read_only = on", error));
  }
  if (!good) {
    pg_disconnect(&pg->base);
    return NULL;
  }
  if (version != NULL)
    *version = g_strdup_printf("PostgreSQL %d.%d", PQserverVersion(pg->handle) / VERSION_UNIT,
                               PQserverVersion(pg->handle) % VERSION_UNIT);
  return &pg->base;
}

static HfDbTrouble pg_trouble(HfDbConnection *connection)
{
  return ((Pg *)connection)->trouble;
}

/* The name of the prepared statement; NULL on error. A statement is one for each combination of types. */
static const char *prepare(Pg *pg, const char *sql, const HfDbValue *values, gsize n_values, GError **error)
{
  static const Oid types[] = {[HF_DB_KIND_NULL] = 0, [HF_DB_KIND_INT] = OID_INT8, [HF_DB_KIND_TEXT] = OID_TEXT,
                              [HF_DB_KIND_BLOB] = OID_BYTEA};
  g_autofree Oid *oids = g_new0(Oid, n_values + 1);
  g_autofree char *key = g_malloc(n_values + 1 + strlen(sql) + 1);
  for (gsize i = 0; i < n_values; i++) {
    oids[i] = types[values[i].kind];
    key[i] = (char)('0' + values[i].kind);
  }
  key[n_values] = ' ';
  strcpy(key + n_values + 1, sql);
  const char *known = g_hash_table_lookup(pg->statements, key);
  if (known != NULL)
    return known;
  if (g_hash_table_size(pg->statements) >= MAX_STATEMENTS) {
    if (!pg_script(&pg->base, "DEALLOCATE ALL", error))
      return NULL;
    g_hash_table_remove_all(pg->statements);
  }
  char *name = g_strdup_printf("hf%u", pg->next_name++);
  g_autofree char *numbered = hf_db_number_values(sql);
  g_autoptr(PGresult) result = PQprepare(pg->handle, name, numbered, (int)n_values, oids);
  if (PQresultStatus(result) != PGRES_COMMAND_OK) {
    fail(pg, result, sql, error);
    g_free(name);
    return NULL;
  }
  g_hash_table_insert(pg->statements, g_steal_pointer(&key), name);
  return name;
}

static PGresult *run(Pg *pg, const char *sql, const HfDbValue *values, gsize n_values, GError **error)
{
  pg->trouble = HF_DB_TROUBLE_NONE;
  const char *name = prepare(pg, sql, values, n_values, error);
  if (name == NULL)
    return NULL;
  g_autofree const char **bytes = g_new0(const char *, n_values + 1);
  g_autofree int *lengths = g_new0(int, n_values + 1);
  g_autofree int *formats = g_new0(int, n_values + 1);
  g_autofree char *digits = g_malloc0(24 * (n_values + 1));
  for (gsize i = 0; i < n_values; i++) {
    const HfDbValue *value = &values[i];
    formats[i] = value->kind == HF_DB_KIND_BLOB;
    lengths[i] = (int)value->length;
    if (value->kind == HF_DB_KIND_INT) {
      g_snprintf(digits + 24 * i, 24, "%" G_GINT64_FORMAT, value->number);
      bytes[i] = digits + 24 * i;
    } else if (value->kind != HF_DB_KIND_NULL) {
      bytes[i] = value->bytes != NULL ? value->bytes : "";
    }
  }
  g_autoptr(PGresult) result = PQexecPrepared(pg->handle, name, (int)n_values, bytes, lengths, formats, 0);
  ExecStatusType status = PQresultStatus(result);
  if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
    return g_steal_pointer(&result);
  fail(pg, result, sql, error);
  return NULL;
}

static HfDbRows *pg_query(HfDbConnection *connection, const char *sql, const HfDbValue *values, gsize n_values,
                          GError **error)
{
  PGresult *result = run((Pg *)connection, sql, values, n_values, error);
  if (result == NULL)
    return NULL;
  PgRows *rows = g_new0(PgRows, 1);
  rows->base.driver = &hf_db_postgresql;
  rows->result = result;
  rows->row = -1;
  rows->blobs = g_ptr_array_new_with_free_func(PQfreemem);
  return &rows->base;
}

static gboolean pg_exec(HfDbConnection *connection, const char *sql, const HfDbValue *values, gsize n_values,
                        gint64 *changed, GError **error)
{
  g_autoptr(PGresult) result = run((Pg *)connection, sql, values, n_values, error);
  if (result == NULL)
    return FALSE;
  if (changed != NULL)
    *changed = g_ascii_strtoll(PQcmdTuples(result), NULL, 10);
  return TRUE;
}

/* All rows are there already: libpq has no errors left to tell. */
static gboolean pg_next(HfDbRows *base, GError **error)
{
  (void)error;
  PgRows *rows = (PgRows *)base;
  g_ptr_array_set_size(rows->blobs, 0);
  if (rows->row + 1 >= PQntuples(rows->result))
    return FALSE;
  rows->row++;
  return TRUE;
}

static void pg_rows_free(HfDbRows *base)
{
  PgRows *rows = (PgRows *)base;
  g_ptr_array_unref(rows->blobs);
  PQclear(rows->result);
  g_free(rows);
}

static guint pg_columns(HfDbRows *base)
{
  return (guint)PQnfields(((PgRows *)base)->result);
}

static const char *pg_column_name(HfDbRows *base, guint column)
{
  return PQfname(((PgRows *)base)->result, (int)column);
}

static int pg_kind_of(HfDbRows *base, guint column)
{
  PgRows *rows = (PgRows *)base;
  if (PQgetisnull(rows->result, rows->row, (int)column))
    return HF_DB_KIND_NULL;
  switch (PQftype(rows->result, (int)column)) {
  case OID_BOOL:
  case OID_INT4:
  case OID_INT8:
    return HF_DB_KIND_INT;
  case OID_BYTEA:
    return HF_DB_KIND_BLOB;
  default:
    return HF_DB_KIND_TEXT;
  }
}

static const char *pg_text(HfDbRows *base, guint column)
{
  PgRows *rows = (PgRows *)base;
  return PQgetisnull(rows->result, rows->row, (int)column) ? NULL : PQgetvalue(rows->result, rows->row, (int)column);
}

static gint64 pg_integer(HfDbRows *base, guint column)
{
  const char *text = pg_text(base, column);
  if (text == NULL)
    return 0;
  if (PQftype(((PgRows *)base)->result, (int)column) == OID_BOOL)
    return text[0] == 't';
  return g_ascii_strtoll(text, NULL, 10);
}

static gconstpointer pg_blob(HfDbRows *base, guint column, gsize *size)
{
  *size = 0;
  const char *text = pg_text(base, column);
  guint8 *bytes = text == NULL ? NULL : PQunescapeBytea((const guint8 *)text, size);
  if (bytes != NULL)
    g_ptr_array_add(((PgRows *)base)->blobs, bytes);
  return *size == 0 ? NULL : bytes;
}

const HfDbDriver hf_db_postgresql = {
  .kind = HF_DB_POSTGRESQL,
  .begin_read = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
  .begin_write = "BEGIN ISOLATION LEVEL SERIALIZABLE",
  /* Read committed: after the wait for the lock the newest state has to be seen. */
  .begin_migration = "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock(4831079461)",
  .connect = pg_connect,
  .disconnect = pg_disconnect,
  .trouble = pg_trouble,
  .script = pg_script,
  .migrate = pg_migrate,
  .query = pg_query,
  .exec = pg_exec,
  .next = pg_next,
  .rows_free = pg_rows_free,
  .columns = pg_columns,
  .column_name = pg_column_name,
  .kind_of = pg_kind_of,
  .integer = pg_integer,
  .text = pg_text,
  .blob = pg_blob,
};
