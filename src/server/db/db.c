/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "server/db/db.h"

#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/work.h"
#include "server/db/driver.h"

#define WRITE_TRIES 12
#define RECONNECT_US (15 * G_USEC_PER_SEC)

struct HfDbLink {
  HfDb *db;
  HfDbConnection *connection; /* NULL: not open, or lost */
  gboolean fresh;             /* a reader's transaction that has asked nothing yet */
  guint generation;           /* the database's when the transaction began */
};

struct HfDb {
  const HfDbDriver *driver;
  char *where, *version;
  guint schema;

  GMutex write_mutex; /* held for the whole of a writing transaction */
  HfDbLink writer;

  GMutex mutex; /* guards the rest */
  GCond returned;
  GPtrArray *idle; /* HfDbLink*: readers that nobody has */
  guint n_readers, max_readers;
  GHashTable *kept; /* key (hf_db_remember) -> Kept* */
  gsize kept_bytes;
  guint generation; /* rises with each new connection: it may show another database. What is kept is of the last */
};

static void kept_free(gpointer data);

static void drop(HfDbLink *link)
{
  if (link->connection != NULL)
    link->db->driver->disconnect(link->connection);
  link->connection = NULL;
}

static void reader_free(gpointer link)
{
  drop(link);
  g_free(link);
}

HfDb *hf_db_open(const char *where, guint readers, GError **error)
{
  g_autoptr(HfDb) db = g_new0(HfDb, 1);
  gboolean postgresql = g_str_has_prefix(where, "postgresql://") || g_str_has_prefix(where, "postgres://");
  db->driver = postgresql ? &hf_db_postgresql : &hf_db_sqlite;
  db->where = g_strdup(where);
  g_mutex_init(&db->write_mutex);
  g_mutex_init(&db->mutex);
  g_cond_init(&db->returned);
  db->idle = g_ptr_array_new_with_free_func(reader_free);
  db->max_readers = CLAMP(readers, 1, 64);
  db->kept = g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref, kept_free);
  db->writer.db = db;
  db->writer.connection = db->driver->connect(where, TRUE, &db->version, error);
  if (db->writer.connection == NULL ||
      !hf_db_migrate(db->writer.connection, hf_db_migrations, hf_db_n_migrations, &db->schema, error))
    return NULL;
  return g_steal_pointer(&db);
}

void hf_db_close(HfDb *db)
{
  if (db == NULL)
    return;
  g_ptr_array_unref(db->idle);
  g_hash_table_unref(db->kept);
  drop(&db->writer); /* last, so that SQLite folds its log into the file */
  g_mutex_clear(&db->write_mutex);
  g_mutex_clear(&db->mutex);
  g_cond_clear(&db->returned);
  g_free(db->where);
  g_free(db->version);
  g_free(db);
}

HfDbKind hf_db_kind(HfDb *db)
{
  return db->driver->kind;
}

const char *hf_db_version(HfDb *db)
{
  return db->version;
}

guint hf_db_schema(HfDb *db)
{
  return db->schema;
}

/* ---- links ---- */

static gboolean begin_on(HfDbLink *link, gboolean writer, GError **error)
{
  const HfDbDriver *driver = link->db->driver;
  return writer ? driver->script(link->connection, driver->begin_write, error)
                : driver->begin_read(link->connection, error);
}

/* Forgets what was kept once the connection is there, not before: connections of before can add nothing then. */
static gboolean begin_anew(HfDbLink *link, gboolean writer, GError **error)
{
  HfDb *db = link->db;
  link->connection = db->driver->connect(db->where, writer, NULL, error);
  if (link->connection == NULL)
    return FALSE;
  g_mutex_lock(&db->mutex);
  g_hash_table_remove_all(db->kept);
  db->kept_bytes = 0;
  link->generation = ++db->generation;
  g_mutex_unlock(&db->mutex);
  return begin_on(link, writer, error);
}

static gboolean begin(HfDbLink *link, gboolean writer, GError **error)
{
  const HfDbDriver *driver = link->db->driver;
  link->fresh = !writer;
  if (link->connection != NULL) {
    g_autoptr(GError) stale = NULL;
    if (begin_on(link, writer, &stale))
      return TRUE;
    if (driver->trouble(link->connection) != HF_DB_TROUBLE_LOST) {
      g_propagate_error(error, g_steal_pointer(&stale));
      return FALSE;
    }
    drop(link); /* the server was started anew since */
  }
  return begin_anew(link, writer, error);
}

static HfDbLink *take_reader(HfDb *db)
{
  HF_LOCK(&db->mutex);
  while (db->idle->len == 0 && db->n_readers == db->max_readers)
    g_cond_wait(&db->returned, &db->mutex);
  HfDbLink *link;
  if (db->idle->len > 0) {
    link = g_ptr_array_steal_index(db->idle, db->idle->len - 1);
  } else {
    link = g_new0(HfDbLink, 1);
    link->db = db;
    db->n_readers++;
  }
  link->generation = db->generation;
  return link;
}

static void give_reader(HfDbLink *link)
{
  HF_LOCK(&link->db->mutex);
  g_ptr_array_add(link->db->idle, link);
  g_cond_signal(&link->db->returned);
}

HfDbLink *hf_db_read(HfDb *db, GError **error)
{
  HfDbLink *link = take_reader(db);
  if (begin(link, FALSE, error))
    return link;
  give_reader(link);
  return NULL;
}

void hf_db_release(HfDbLink *link)
{
  if (link == NULL)
    return;
  if (link->connection != NULL && !link->db->driver->end_read(link->connection))
    drop(link);
  give_reader(link);
}

/* ---- writing ---- */

typedef enum Outcome { OUTCOME_DONE, OUTCOME_FAILED, OUTCOME_AGAIN, OUTCOME_LOST } Outcome;

static Outcome outcome_of(HfDbLink *link)
{
  if (link->connection == NULL)
    return OUTCOME_LOST;
  HfDbTrouble trouble = link->db->driver->trouble(link->connection);
  return trouble == HF_DB_TROUBLE_AGAIN ? OUTCOME_AGAIN : trouble == HF_DB_TROUBLE_LOST ? OUTCOME_LOST : OUTCOME_FAILED;
}

static Outcome attempt(HfDbLink *link, HfDbWork work, gpointer user, GError **error)
{
  const HfDbDriver *driver = link->db->driver;
  if (!begin(link, TRUE, error))
    return outcome_of(link);
  if (!work(link, user, error)) {
    Outcome outcome = outcome_of(link);
    if (!driver->script(link->connection, "ROLLBACK", NULL))
      drop(link);
    return outcome;
  }
  if (driver->script(link->connection, "COMMIT", error))
    return OUTCOME_DONE;
  Outcome outcome = outcome_of(link);
  if (outcome == OUTCOME_LOST)
    g_prefix_error(error, "the connection was lost while committing, look whether it was done: ");
  if (!driver->script(link->connection, "ROLLBACK", NULL))
    drop(link);
  /* What was lost while committing may have been done: never again by itself. */
  return outcome == OUTCOME_AGAIN ? OUTCOME_AGAIN : OUTCOME_FAILED;
}

gboolean hf_db_write(HfDb *db, HfDbWork work, gpointer user, GError **error)
{
  HF_LOCK(&db->write_mutex);
  gint64 give_up = hf_clock_monotonic_us() + RECONNECT_US;
  for (guint tries = 1;; tries++) {
    g_autoptr(GError) problem = NULL;
    Outcome outcome = attempt(&db->writer, work, user, &problem);
    if (outcome == OUTCOME_DONE)
      return TRUE;
    gboolean last = outcome == OUTCOME_FAILED || (outcome == OUTCOME_AGAIN && tries >= WRITE_TRIES) ||
                    hf_clock_monotonic_us() > give_up;
    if (last) {
      if (problem == NULL)
        hf_fail(&problem, HF_ERROR_FAILED, "database: a change was given up without a reason");
      g_propagate_error(error, g_steal_pointer(&problem));
      return FALSE;
    }
    /* Longer each time, and not the same for two programs. */
    g_usleep(outcome == OUTCOME_LOST ? G_USEC_PER_SEC / 2 : g_random_int_range(1000, 2000 << MIN(tries, 7)));
  }
}

/* ---- statements ---- */

HfDbValue hf_db_text_value(const char *text)
{
  return text == NULL ? HF_DB_NULL : (HfDbValue){.kind = HF_DB_KIND_TEXT, .bytes = text};
}

HfDbValue hf_db_blob_value(gconstpointer data, gsize size)
{
  return data == NULL ? HF_DB_NULL : (HfDbValue){.kind = HF_DB_KIND_BLOB, .bytes = data, .length = size};
}

HfDbValue hf_db_bytes_value(GBytes *bytes)
{
  if (bytes == NULL)
    return HF_DB_NULL;
  gsize size;
  gconstpointer data = g_bytes_get_data(bytes, &size);
  return hf_db_blob_value(data == NULL ? "" : data, size);
}

/* Names of files may hold any bytes, the databases only take UTF-8: others are replaced. */
typedef struct Clean {
  HfDbValue *values; /* NULL: those that were given are clean */
  GPtrArray *texts;
} Clean;

static void clean_clear(Clean *clean)
{
  g_free(clean->values);
  g_clear_pointer(&clean->texts, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Clean, clean_clear)

static const HfDbValue *cleaned(Clean *clean, const HfDbValue *values, gsize n_values)
{
  for (gsize i = 0; i < n_values; i++) {
    if (values[i].kind != HF_DB_KIND_TEXT || g_utf8_validate(values[i].bytes, -1, NULL))
      continue;
    if (clean->values == NULL) {
      clean->values = g_memdup2(values, n_values * sizeof *values);
      clean->texts = g_ptr_array_new_with_free_func(g_free);
    }
    char *text = g_utf8_make_valid(values[i].bytes, -1);
    g_ptr_array_add(clean->texts, text);
    clean->values[i].bytes = text;
  }
  return clean->values != NULL ? clean->values : values;
}

static gboolean connected(HfDbLink *link, GError **error)
{
  return link->connection != NULL || hf_fail(error, HF_ERROR_IO, "database: the connection was lost");
}

HfDbRows *hf_db_query(HfDbLink *link, const char *sql, const HfDbValue *values, gsize n_values, GError **error)
{
  const HfDbDriver *driver = link->db->driver;
  g_auto(Clean) clean = {NULL, NULL};
  g_autoptr(GError) problem = NULL;
  const HfDbValue *given = cleaned(&clean, values, n_values);
  gboolean fresh = link->fresh;
  link->fresh = FALSE;
  if (!connected(link, error))
    return NULL;
  HfDbRows *rows = driver->query(link->connection, sql, given, n_values, &problem);
  if (rows != NULL)
    return rows;
  if (fresh && driver->trouble(link->connection) == HF_DB_TROUBLE_LOST) {
    drop(link); /* the server was started anew since the connection was last used */
    return begin_anew(link, FALSE, error) ? driver->query(link->connection, sql, given, n_values, error) : NULL;
  }
  g_propagate_error(error, g_steal_pointer(&problem));
  return NULL;
}

gboolean hf_db_exec(HfDbLink *link, const char *sql, const HfDbValue *values, gsize n_values, gint64 *changed,
                    GError **error)
{
  g_auto(Clean) clean = {NULL, NULL};
  return connected(link, error) && link->db->driver->exec(link->connection, sql, cleaned(&clean, values, n_values),
                                                          n_values, changed, error);
}

gboolean hf_db_query_int(HfDbLink *link, const char *sql, const HfDbValue *values, gsize n_values, gint64 *value,
                         GError **error)
{
  g_autoptr(HfDbRows) rows = hf_db_query(link, sql, values, n_values, error);
  if (rows == NULL)
    return FALSE;
  if (hf_db_next(rows, error)) {
    *value = hf_db_int(rows, 0);
    return TRUE;
  }
  if (hf_db_failed(rows))
    return FALSE;
  g_autofree char *statement = hf_db_short_sql(sql);
  return hf_fail(error, HF_ERROR_NOT_FOUND, "database: no row for '%s'", statement);
}

/* ---- what is remembered ---- */

#define KEPT_MAX (32u << 20) /* bytes of all that is kept */
#define KEPT_COST 256        /* of one entry: its place in the table, and what the allocator adds */

/* True as long as the database is in `state`. */
typedef struct Kept {
  char *state;
  GBytes *value;
  gsize size; /* of all of it */
} Kept;

static void kept_free(gpointer data)
{
  Kept *kept = data;
  g_free(kept->state);
  g_bytes_unref(kept->value);
  g_free(kept);
}

GBytes *hf_db_key(const char *sql, const HfDbValue *values, gsize n_values)
{
  GByteArray *key = g_byte_array_new();
  for (gsize i = 0; i < n_values; i++) {
    const HfDbValue *value = &values[i];
    gsize length = value->kind == HF_DB_KIND_TEXT ? strlen(value->bytes) : value->length;
    guint8 kind = (guint8)value->kind;
    g_byte_array_append(key, &kind, 1);
    g_byte_array_append(key, (const guint8 *)&value->number, sizeof value->number);
    g_byte_array_append(key, (const guint8 *)&length, sizeof length);
    if (length > 0)
      g_byte_array_append(key, value->bytes, (guint)length);
  }
  g_byte_array_append(key, (const guint8 *)sql, (guint)strlen(sql));
  return g_byte_array_free_to_bytes(key);
}

/* Where names of states mean something on one connection only, so does what is kept. */
static GBytes *own_key(HfDbLink *link, GBytes *key)
{
  if (link->db->driver->states_shared)
    return g_bytes_ref(key);
  gsize size;
  const guint8 *bytes = g_bytes_get_data(key, &size);
  GByteArray *own = g_byte_array_sized_new((guint)(size + sizeof link));
  g_byte_array_append(own, (const guint8 *)&link, sizeof link);
  g_byte_array_append(own, bytes, (guint)size);
  return g_byte_array_free_to_bytes(own);
}

GBytes *hf_db_recall(HfDbLink *link, GBytes *key)
{
  HfDb *db = link->db;
  const char *state = link->connection == NULL ? NULL : db->driver->state(link->connection);
  if (state == NULL)
    return NULL;
  link->fresh = FALSE;
  g_autoptr(GBytes) own = own_key(link, key);
  HF_LOCK(&db->mutex);
  const Kept *kept = link->generation == db->generation ? g_hash_table_lookup(db->kept, own) : NULL;
  return kept != NULL && strcmp(kept->state, state) == 0 ? g_bytes_ref(kept->value) : NULL;
}

void hf_db_remember(HfDbLink *link, GBytes *key, GBytes *value)
{
  HfDb *db = link->db;
  const char *state = link->connection == NULL ? NULL : db->driver->state(link->connection);
  g_autoptr(GBytes) own = own_key(link, key);
  gsize size = g_bytes_get_size(own) + g_bytes_get_size(value) + KEPT_COST;
  if (state == NULL || size > KEPT_MAX / 16)
    return;
  size += strlen(state);
  HF_LOCK(&db->mutex);
  if (link->generation != db->generation)
    return;
  const Kept *old = g_hash_table_lookup(db->kept, own);
  db->kept_bytes -= old == NULL ? 0 : old->size;
  if (db->kept_bytes + size > KEPT_MAX) {
    g_hash_table_remove_all(db->kept);
    db->kept_bytes = 0;
  }
  Kept *kept = g_new0(Kept, 1);
  *kept = (Kept){g_strdup(state), g_bytes_ref(value), size};
  g_hash_table_replace(db->kept, g_steal_pointer(&own), kept);
  db->kept_bytes += size;
}

gboolean hf_db_count(HfDbLink *link, const char *sql, const HfDbValue *values, gsize n_values, gint64 *number,
                     GError **error)
{
  g_autoptr(GBytes) key = hf_db_key(sql, values, n_values);
  g_autoptr(GBytes) known = hf_db_recall(link, key);
  if (known != NULL) {
    memcpy(number, g_bytes_get_data(known, NULL), sizeof *number);
    return TRUE;
  }
  if (!hf_db_query_int(link, sql, values, n_values, number, error))
    return FALSE;
  g_autoptr(GBytes) value = g_bytes_new(number, sizeof *number);
  hf_db_remember(link, key, value);
  return TRUE;
}

gboolean hf_db_next(HfDbRows *rows, GError **error)
{
  return rows->driver->next(rows, error);
}

gboolean hf_db_failed(HfDbRows *rows)
{
  return rows->failed;
}

void hf_db_rows_free(HfDbRows *rows)
{
  if (rows != NULL)
    rows->driver->rows_free(rows);
}

guint hf_db_columns(HfDbRows *rows)
{
  return rows->driver->columns(rows);
}

const char *hf_db_column_name(HfDbRows *rows, guint column)
{
  return rows->driver->column_name(rows, column);
}

gboolean hf_db_is_null(HfDbRows *rows, guint column)
{
  return rows->driver->kind_of(rows, column) == HF_DB_KIND_NULL;
}

int hf_db_kind_of(HfDbRows *rows, guint column)
{
  return rows->driver->kind_of(rows, column);
}

gint64 hf_db_int(HfDbRows *rows, guint column)
{
  return rows->driver->integer(rows, column);
}

const char *hf_db_text(HfDbRows *rows, guint column)
{
  return rows->driver->text(rows, column);
}

gconstpointer hf_db_blob(HfDbRows *rows, guint column, gsize *size)
{
  return rows->driver->blob(rows, column, size);
}

/* ---- small things ---- */

char *hf_db_new_id(void)
{
  return g_uuid_string_random();
}

gboolean hf_db_id_valid(const char *id)
{
  return id != NULL && g_uuid_string_is_valid(id);
}

gint64 hf_db_now(void)
{
  return hf_clock_real_ns() / 1000;
}

gint64 hf_db_count_up(HfDbLink *link, const char *counter, GError **error)
{
  gint64 value = 0;
  gboolean done = hf_db_query_int(link, "UPDATE counters SET value = value + 1 WHERE name = ? RETURNING value",
                                  HF_DB_VALUES(HF_DB_TEXT(counter)), &value, error);
  return done ? value : -1;
}

char *hf_db_setting(HfDbLink *link, const char *name, GError **error)
{
  g_autoptr(HfDbRows) rows = hf_db_query(link, "SELECT value FROM settings WHERE name = ?",
                                         HF_DB_VALUES(HF_DB_TEXT(name)), error);
  return rows != NULL && hf_db_next(rows, error) ? g_strdup(hf_db_text(rows, 0)) : NULL;
}

gboolean hf_db_set_setting(HfDbLink *link, const char *name, const char *value, GError **error)
{
  return hf_db_exec(link, "INSERT INTO settings (name, value) VALUES (?, ?) "
                          "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                    HF_DB_VALUES(HF_DB_TEXT(name), HF_DB_TEXT(value)), NULL, error);
}

gboolean hf_db_backup(HfDb *db, const char *path, GError **error)
{
  if (db->driver->kind != HF_DB_SQLITE)
    return hf_fail(error, HF_ERROR_UNSUPPORTED, "the database is kept by PostgreSQL; save it with pg_dump");
  return hf_db_sqlite_backup(db->where, path, error);
}
