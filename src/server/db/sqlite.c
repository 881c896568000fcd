/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * SQLite: write-ahead log, so that readers never wait for the writer; every commit is synced before it is reported.
 */
#include <sqlite3.h>
#include <string.h>

#include "base/error.h"
#include "base/sys.h"
#include "server/db/driver.h"

#define BUSY_TIMEOUT_MS (10 * 1000)
#define MAX_STATEMENTS 256

typedef struct Lite {
  HfDbConnection base;
  sqlite3 *handle;
  GHashTable *statements; /* sql -> sqlite3_stmt*, those that nobody uses */
  HfDbTrouble trouble;
  char state[24];
} Lite;

typedef struct LiteRows {
  HfDbRows base;
  Lite *lite;
  sqlite3_stmt *statement;
} LiteRows;

static HfErrorCode code_of(int result)
{
  switch (result) {
  case SQLITE_CONSTRAINT_UNIQUE:
  case SQLITE_CONSTRAINT_PRIMARYKEY:
    return HF_ERROR_EXISTS;
  case SQLITE_CONSTRAINT_FOREIGNKEY:
    return HF_ERROR_BUSY;
  default:
    break;
  }
  switch (result & 0xff) {
  case SQLITE_FULL:
    return HF_ERROR_NO_SPACE;
  case SQLITE_CORRUPT:
  case SQLITE_NOTADB:
    return HF_ERROR_DAMAGED;
  case SQLITE_PERM:
  case SQLITE_READONLY:
  case SQLITE_AUTH:
    return HF_ERROR_PERMISSION;
  case SQLITE_BUSY:
  case SQLITE_LOCKED:
    return HF_ERROR_BUSY;
  case SQLITE_IOERR:
  case SQLITE_CANTOPEN:
    return HF_ERROR_IO;
  default:
    return HF_ERROR_FAILED;
  }
}

static gboolean fail(Lite *lite, const char *sql, GError **error)
{
  int result = sqlite3_extended_errcode(lite->handle);
  int primary = result & 0xff;
  lite->trouble = primary == SQLITE_BUSY || primary == SQLITE_LOCKED ? HF_DB_TROUBLE_AGAIN : HF_DB_TROUBLE_NONE;
  g_autofree char *statement = hf_db_short_sql(sql);
  return hf_fail(error, code_of(result), "database: %s (in '%s')", sqlite3_errmsg(lite->handle), statement);
}

static gboolean lite_script(HfDbConnection *connection, const char *sql, GError **error)
{
  Lite *lite = (Lite *)connection;
  return sqlite3_exec(lite->handle, sql, NULL, NULL, NULL) == SQLITE_OK || fail(lite, sql, error);
}

static void finalize(gpointer statement)
{
  sqlite3_finalize(statement);
}

static void lite_disconnect(HfDbConnection *connection)
{
  Lite *lite = (Lite *)connection;
  g_hash_table_unref(lite->statements);
  sqlite3_close(lite->handle);
  g_free(lite);
}

/* The file is made here and not by SQLite, so that nobody else may read it; its side files take its mode over. One that
 * is there is not opened: to close it would give up all locks that SQLite holds on it for this process, and the next
 * program that reads the database would take itself for the only one and remove the log that we write to. */
static gboolean make_file(const char *where, GError **error)
{
  g_autoptr(GError) why = NULL;
  hf_autofd int fd = hf_open(AT_FDCWD, where, O_RDWR | O_CREAT | O_EXCL, 0600, &why);
  if (fd >= 0 || g_error_matches(why, HF_ERROR, HF_ERROR_EXISTS))
    return TRUE;
  g_propagate_prefixed_error(error, g_steal_pointer(&why), "cannot open database: ");
  return FALSE;
}

static HfDbConnection *lite_connect(const char *where, gboolean writer, char **version, GError **error)
{
  if (!make_file(where, error))
    return NULL;
  Lite *lite = g_new0(Lite, 1);
  lite->base.driver = &hf_db_sqlite;
  lite->statements = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, finalize);
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  gboolean good = sqlite3_open_v2(where, &lite->handle, flags, NULL) == SQLITE_OK || fail(lite, where, error);
  if (good) {
    sqlite3_busy_timeout(lite->handle, BUSY_TIMEOUT_MS);
    good = lite_script(&lite->base, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
                                    "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON", error) &&
           (writer || lite_script(&lite->base, "PRAGMA query_only = ON", error));
  }
  if (!good) {
    g_prefix_error(error, "cannot open database '%s': ", where);
    lite_disconnect(&lite->base);
    return NULL;
  }
  if (version != NULL)
    *version = g_strdup_printf("SQLite %s", sqlite3_libversion());
  return &lite->base;
}

static HfDbTrouble lite_trouble(HfDbConnection *connection)
{
  return ((Lite *)connection)->trouble;
}

static gboolean lite_begin_read(HfDbConnection *connection, GError **error)
{
  return lite_script(connection, "BEGIN", error);
}

static gboolean lite_end_read(HfDbConnection *connection)
{
  return lite_script(connection, "ROLLBACK", NULL);
}

static gboolean bind(sqlite3_stmt *statement, int place, const HfDbValue *value)
{
  switch (value->kind) {
  case HF_DB_KIND_INT:
    return sqlite3_bind_int64(statement, place, value->number) == SQLITE_OK;
  case HF_DB_KIND_TEXT:
    return sqlite3_bind_text(statement, place, value->bytes, -1, SQLITE_TRANSIENT) == SQLITE_OK;
  case HF_DB_KIND_BLOB:
    return sqlite3_bind_blob64(statement, place, value->length == 0 ? "" : value->bytes, value->length,
                               SQLITE_TRANSIENT) == SQLITE_OK;
  default:
    return sqlite3_bind_null(statement, place) == SQLITE_OK;
  }
}

/* Takes the statement out of the cache, or makes it; give_back puts it there again. */
static sqlite3_stmt *take(Lite *lite, const char *sql, const HfDbValue *values, gsize n_values, GError **error)
{
  gpointer key = NULL, found = NULL;
  lite->trouble = HF_DB_TROUBLE_NONE;
  if (g_hash_table_steal_extended(lite->statements, sql, &key, &found))
    g_free(key);
  sqlite3_stmt *statement = found;
  if (statement == NULL &&
      sqlite3_prepare_v3(lite->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) != SQLITE_OK) {
    fail(lite, sql, error);
    return NULL;
  }
  if (statement == NULL || (gsize)sqlite3_bind_parameter_count(statement) != n_values) {
    g_autofree char *text = hf_db_short_sql(sql);
    hf_fail(error, HF_ERROR_FAILED, "database: %zu values for '%s'", n_values, text);
    sqlite3_finalize(statement);
    return NULL;
  }
  for (gsize i = 0; i < n_values; i++)
    if (!bind(statement, (int)i + 1, &values[i])) {
      fail(lite, sql, error);
      sqlite3_finalize(statement);
      return NULL;
    }
  return statement;
}

static void give_back(Lite *lite, sqlite3_stmt *statement)
{
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);
  if (g_hash_table_size(lite->statements) >= MAX_STATEMENTS)
    g_hash_table_remove_all(lite->statements);
  g_hash_table_replace(lite->statements, g_strdup(sqlite3_sql(statement)), statement);
}

static HfDbRows *lite_query(HfDbConnection *connection, const char *sql, const HfDbValue *values, gsize n_values,
                            GError **error)
{
  Lite *lite = (Lite *)connection;
  sqlite3_stmt *statement = take(lite, sql, values, n_values, error);
  if (statement == NULL)
    return NULL;
  LiteRows *rows = g_new0(LiteRows, 1);
  rows->base.driver = &hf_db_sqlite;
  rows->lite = lite;
  rows->statement = statement;
  return &rows->base;
}

static gboolean lite_next(HfDbRows *base, GError **error)
{
  LiteRows *rows = (LiteRows *)base;
  int result = sqlite3_step(rows->statement);
  if (result == SQLITE_ROW)
    return TRUE;
  if (result == SQLITE_DONE)
    return FALSE;
  base->failed = TRUE;
  return fail(rows->lite, sqlite3_sql(rows->statement), error);
}

static void lite_rows_free(HfDbRows *base)
{
  LiteRows *rows = (LiteRows *)base;
  give_back(rows->lite, rows->statement);
  g_free(rows);
}

static gboolean lite_exec(HfDbConnection *connection, const char *sql, const HfDbValue *values, gsize n_values,
                          gint64 *changed, GError **error)
{
  HfDbRows *rows = lite_query(connection, sql, values, n_values, error);
  if (rows == NULL)
    return FALSE;
  while (lite_next(rows, error))
    ;
  gboolean good = !rows->failed;
  if (good && changed != NULL)
    *changed = sqlite3_changes64(((Lite *)connection)->handle);
  lite_rows_free(rows);
  return good;
}

/* The number that SQLite gives to what this connection sees: another one whenever others have changed it. */
static const char *lite_state(HfDbConnection *connection)
{
  Lite *lite = (Lite *)connection;
  HfDbRows *rows = lite_query(connection, "PRAGMA data_version", NULL, 0, NULL);
  gboolean good = rows != NULL && lite_next(rows, NULL);
  if (good)
    g_snprintf(lite->state, sizeof lite->state, "%d", sqlite3_column_int(((LiteRows *)rows)->statement, 0));
  if (rows != NULL)
    lite_rows_free(rows);
  return good ? lite->state : NULL;
}

static sqlite3_stmt *of(HfDbRows *rows)
{
  return ((LiteRows *)rows)->statement;
}

static guint lite_columns(HfDbRows *rows)
{
  return (guint)sqlite3_column_count(of(rows));
}

static const char *lite_column_name(HfDbRows *rows, guint column)
{
  return sqlite3_column_name(of(rows), (int)column);
}

static int lite_kind_of(HfDbRows *rows, guint column)
{
  switch (sqlite3_column_type(of(rows), (int)column)) {
  case SQLITE_NULL:
    return HF_DB_KIND_NULL;
  case SQLITE_INTEGER:
    return HF_DB_KIND_INT;
  case SQLITE_BLOB:
    return HF_DB_KIND_BLOB;
  default:
    return HF_DB_KIND_TEXT;
  }
}

static gint64 lite_integer(HfDbRows *rows, guint column)
{
  return sqlite3_column_int64(of(rows), (int)column);
}

static const char *lite_text(HfDbRows *rows, guint column)
{
  return (const char *)sqlite3_column_text(of(rows), (int)column);
}

static gconstpointer lite_blob(HfDbRows *rows, guint column, gsize *size)
{
  gconstpointer bytes = sqlite3_column_blob(of(rows), (int)column);
  *size = bytes == NULL ? 0 : (gsize)sqlite3_column_bytes(of(rows), (int)column);
  return bytes;
}

const HfDbDriver hf_db_sqlite = {
  .kind = HF_DB_SQLITE,
  .begin_write = "BEGIN IMMEDIATE",
  .begin_migration = "BEGIN EXCLUSIVE",
  .connect = lite_connect,
  .disconnect = lite_disconnect,
  .trouble = lite_trouble,
  .begin_read = lite_begin_read,
  .end_read = lite_end_read,
  .state = lite_state,
  .script = lite_script,
  .migrate = lite_script,
  .query = lite_query,
  .exec = lite_exec,
  .next = lite_next,
  .rows_free = lite_rows_free,
  .columns = lite_columns,
  .column_name = lite_column_name,
  .kind_of = lite_kind_of,
  .integer = lite_integer,
  .text = lite_text,
  .blob = lite_blob,
};

gboolean hf_db_sqlite_backup(const char *where, const char *path, GError **error)
{
  /* An empty file of our own, so that the copy is nobody else's to read; SQLite fills it. */
  hf_autofd int fd = hf_open(AT_FDCWD, path, O_RDWR | O_CREAT | O_EXCL, 0600, error);
  if (fd < 0)
    return FALSE;
  HfDbConnection *connection = lite_connect(where, TRUE, NULL, error);
  HfDbValue value = HF_DB_TEXT(path);
  gboolean good = connection != NULL && lite_exec(connection, "VACUUM INTO ?", &value, 1, NULL, error);
  if (connection != NULL)
    lite_disconnect(connection);
  if (good && HF_AGAIN(hf_sys->fsync(fd)) != 0)
    good = hf_fail_errno(error, errno, "cannot save '%s'", path);
  if (!good)
    hf_sys->unlinkat(AT_FDCWD, path, 0);
  return good;
}
