/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * PostgreSQL by libpq. Values go as text with their types said, blobs as bytes; results come as text.
 *
 * A reading transaction costs one round trip for its first query: BEGIN, the name of the state and the query go out
 * together, and nobody waits for the answer to its ROLLBACK before the connection is used again.
 */
#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "server/db/driver.h"

#define MAX_STATEMENTS 256
/* Readers ask the same few statements for small pages of tables that are in memory: planning them anew each time costs
 * as much as running them, and by the default price of a page a thousand rows are read to find a hundred. */
#define READER_SETTINGS                                                                                                \
  "SET default_transaction_read_only = on; SET plan_cache_mode = force_generic_plan; SET random_page_cost = 1.1"
#define BEGIN_NAME "begin" /* statements that each reading connection has prepared */
#define STATE_NAME "state"
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
  gboolean reader;
  gboolean begin_due; /* a reading transaction has to be begun before the next query */
  gboolean reading;   /* it was begun */
  gboolean broken;    /* libpq was left in the middle of a pipeline */
  gboolean ending;    /* the answer to a ROLLBACK has not been read */
  char *server;       /* which one it is, and since when it runs: snapshots of two servers are not compared */
  char *state;        /* what it sees */
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
  gboolean told = result != NULL && *PQresultErrorMessage(result) != '\0';
  g_autofree char *said = g_strdup(told ? PQresultErrorMessage(result) : PQerrorMessage(pg->handle));
  g_strdelimit(g_strchomp(said), "\n", ' ');
  if (lost) /* a server that shuts down says so by 57P01 and closes */
    pg->trouble = HF_DB_TROUBLE_LOST;
  else if (state != NULL && (strcmp(state, "40001") == 0 || strcmp(state, "40P01") == 0))
    pg->trouble = HF_DB_TROUBLE_AGAIN;
  HfErrorCode code = lost ? HF_ERROR_IO : state == NULL ? HF_ERROR_FAILED : code_of(state);
  return hf_fail(error, code, "database: %s (in '%s')", said, statement);
}

static gboolean succeeded(const PGresult *result)
{
  ExecStatusType status = PQresultStatus(result);
  return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

/* Reads what is left of the transaction before. When the connection was lost, the next statement says so. */
static void settle(Pg *pg)
{
  PGresult *result;
  while (pg->ending && (result = PQgetResult(pg->handle)) != NULL)
    PQclear(result);
  pg->ending = FALSE;
}

static gboolean pg_script(HfDbConnection *connection, const char *sql, GError **error)
{
  Pg *pg = (Pg *)connection;
  pg->trouble = HF_DB_TROUBLE_NONE;
  settle(pg);
  g_autoptr(PGresult) result = PQexec(pg->handle, sql);
  return succeeded(result) || fail(pg, result, sql, error);
}

static gboolean pg_migrate(HfDbConnection *connection, const char *sql, GError **error)
{
  g_autofree char *own = hf_db_postgresql_types(sql);
  return pg_script(connection, own, error);
}

static gboolean prepare_as(Pg *pg, const char *name, const char *sql, int n_values, const Oid *types, GError **error)
{
  g_autoptr(PGresult) result = PQprepare(pg->handle, name, sql, n_values, types);
  return PQresultStatus(result) == PGRES_COMMAND_OK || fail(pg, result, sql, error);
}

/* A server that was started anew, or another one at the same address, counts its transactions in its own way. */
static gboolean name_server(Pg *pg, GError **error)
{
  static const char ask[] = "SELECT CAST(EXTRACT(EPOCH FROM pg_postmaster_start_time()) AS TEXT)";
  g_autoptr(PGresult) result = PQexec(pg->handle, ask);
  if (!succeeded(result))
    return fail(pg, result, ask, error);
  pg->server = g_strdup(PQgetvalue(result, 0, 0));
  return TRUE;
}

/* A snapshot is the list of the transactions that it sees as ended: equal snapshots see equal content. */
static gboolean prepare_own(Pg *pg, GError **error)
{
  return !pg->reader ||
         (prepare_as(pg, BEGIN_NAME, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", 0, NULL, error) &&
          prepare_as(pg, STATE_NAME, "SELECT CAST(pg_current_snapshot() AS TEXT)", 0, NULL, error));
}

static void pg_disconnect(HfDbConnection *connection)
{
  Pg *pg = (Pg *)connection;
  g_hash_table_unref(pg->statements);
  PQfinish(pg->handle);
  g_free(pg->server);
  g_free(pg->state);
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
  pg->reader = !writer;
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
           (writer || (pg_script(&pg->base, READER_SETTINGS, error) && name_server(pg, error) &&
                       prepare_own(pg, error)));
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

static gboolean pg_begin_read(HfDbConnection *connection, GError **error)
{
  (void)error;
  ((Pg *)connection)->begin_due = TRUE;
  return TRUE;
}

static gboolean pg_end_read(HfDbConnection *connection)
{
  Pg *pg = (Pg *)connection;
  if (pg->reading)
    pg->ending = PQsendQuery(pg->handle, "ROLLBACK") == 1;
  gboolean good = !pg->broken && (pg->begin_due || pg->ending);
  pg->begin_due = pg->reading = FALSE;
  return good;
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
    if (!pg_script(&pg->base, "DEALLOCATE ALL", error) || !prepare_own(pg, error))
      return NULL;
    g_hash_table_remove_all(pg->statements);
  }
  char *name = g_strdup_printf("hf%u", pg->next_name++);
  g_autofree char *numbered = hf_db_number_values(sql);
  if (!prepare_as(pg, name, numbered, (int)n_values, oids, error)) {
    g_free(name);
    return NULL;
  }
  g_hash_table_insert(pg->statements, g_steal_pointer(&key), name);
  return name;
}

/* Values as libpq takes them; those of `values` are borrowed. */
typedef struct Sent {
  const char **bytes;
  int *lengths, *formats;
  char *digits;
} Sent;

static void sent_clear(Sent *sent)
{
  g_free(sent->bytes);
  g_free(sent->lengths);
  g_free(sent->formats);
  g_free(sent->digits);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Sent, sent_clear)

static void sent_fill(Sent *sent, const HfDbValue *values, gsize n_values)
{
  *sent = (Sent){g_new0(const char *, n_values + 1), g_new0(int, n_values + 1), g_new0(int, n_values + 1),
                 g_malloc0(24 * (n_values + 1))};
  for (gsize i = 0; i < n_values; i++) {
    const HfDbValue *value = &values[i];
    sent->formats[i] = value->kind == HF_DB_KIND_BLOB;
    sent->lengths[i] = (int)value->length;
    if (value->kind == HF_DB_KIND_INT) {
      g_snprintf(sent->digits + 24 * i, 24, "%" G_GINT64_FORMAT, value->number);
      sent->bytes[i] = sent->digits + 24 * i;
    } else if (value->kind != HF_DB_KIND_NULL) {
      sent->bytes[i] = value->bytes != NULL ? value->bytes : "";
    }
  }
}

/* The result of the next statement of a pipeline. */
static PGresult *next_result(Pg *pg)
{
  PGresult *result = PQgetResult(pg->handle);
  if (result != NULL)
    PQclear(PQgetResult(pg->handle)); /* NULL ends the results of a statement */
  return result;
}

static void set_state(Pg *pg, const PGresult *snapshot)
{
  pg->state = g_strconcat(pg->server, " ", PQgetvalue(snapshot, 0, 0), NULL);
}

/* BEGIN, the name of the state and the statement (`name` NULL: none) in one round trip. The statement's result, or the
 * first that is an error. */
static PGresult *run_first(Pg *pg, const char *name, const Sent *sent, int n_values)
{
  PGconn *handle = pg->handle;
  pg->broken = TRUE;
  g_clear_pointer(&pg->state, g_free);
  if (PQenterPipelineMode(handle) == 0 || PQsendQueryPrepared(handle, BEGIN_NAME, 0, NULL, NULL, NULL, 0) == 0 ||
      PQsendQueryPrepared(handle, STATE_NAME, 0, NULL, NULL, NULL, 0) == 0 ||
      (name != NULL &&
       PQsendQueryPrepared(handle, name, n_values, sent->bytes, sent->lengths, sent->formats, 0) == 0) ||
      PQpipelineSync(handle) == 0)
    return NULL;
  g_autoptr(PGresult) begun = next_result(pg);
  g_autoptr(PGresult) state = next_result(pg);
  g_autoptr(PGresult) result = name == NULL ? NULL : next_result(pg);
  PQclear(PQgetResult(handle)); /* of the sync */
  pg->broken = PQexitPipelineMode(handle) != 1;
  pg->reading = !pg->broken && succeeded(begun);
  pg->begin_due = !pg->reading;
  if (!pg->reading)
    return g_steal_pointer(&begun);
  if (!succeeded(state) || name == NULL)
    return g_steal_pointer(&state);
  set_state(pg, state);
  return g_steal_pointer(&result);
}

static const char *pg_state(HfDbConnection *connection)
{
  Pg *pg = (Pg *)connection;
  settle(pg);
  if (pg->begin_due) {
    g_autoptr(PGresult) state = run_first(pg, NULL, NULL, 0);
    if (pg->reading && succeeded(state))
      set_state(pg, state);
  }
  return pg->state;
}

static PGresult *run(Pg *pg, const char *sql, const HfDbValue *values, gsize n_values, GError **error)
{
  pg->trouble = HF_DB_TROUBLE_NONE;
  settle(pg);
  const char *name = prepare(pg, sql, values, n_values, error);
  if (name == NULL)
    return NULL;
  g_auto(Sent) sent = {0};
  sent_fill(&sent, values, n_values);
  g_autoptr(PGresult) result =
      pg->begin_due ? run_first(pg, name, &sent, (int)n_values)
                    : PQexecPrepared(pg->handle, name, (int)n_values, sent.bytes, sent.lengths, sent.formats, 0);
  if (succeeded(result))
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
  .begin_write = "BEGIN ISOLATION LEVEL SERIALIZABLE",
  /* Read committed: after the wait for the lock the newest state has to be seen. */
  .begin_migration = "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock(4831079461)",
  .connect = pg_connect,
  .disconnect = pg_disconnect,
  .trouble = pg_trouble,
  .begin_read = pg_begin_read,
  .end_read = pg_end_read,
  .state = pg_state,
  .states_shared = TRUE,
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
