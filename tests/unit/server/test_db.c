/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "place.h"
#include "server/db/driver.h"

/* ---- text ---- */

static void test_dialect(void)
{
  g_autofree char *numbered = hf_db_number_values("a = ? AND b = '?''?' AND \"c?\" = ? -- ?\nAND d = ?");
  g_assert_cmpstr(numbered, ==, "a = $1 AND b = '?''?' AND \"c?\" = $2 -- ?\nAND d = $3");
  g_autofree char *types = hf_db_postgresql_types("a BLOB, b TEXT NOT NULL, TEXTS, 'TEXT' -- BLOB");
  g_assert_cmpstr(types, ==, "a BYTEA, b TEXT COLLATE \"C\" NOT NULL, TEXTS, 'TEXT' -- BLOB");
  g_autofree char *open = hf_db_number_values("'?");
  g_assert_cmpstr(open, ==, "'?");
  g_autofree char *line = hf_db_short_sql("SELECT\n1");
  g_assert_cmpstr(line, ==, "SELECT 1");
  g_autofree char *cut = hf_db_short_sql("0123456789012345678901234567890123456789"
                                         "01234567890123456789012345678901234567890123");
  g_assert_cmpuint(strlen(cut), ==, 80);
}

/* ---- values ---- */

static gboolean put_values(HfDbLink *link, gpointer user, GError **error)
{
  (void)user;
  static const guint8 bytes[] = {0, 1, 0xff, '\'', '\\', 0};
  gint64 changed = 0;
  g_assert_true(hf_db_exec(link, "CREATE TABLE things (id TEXT PRIMARY KEY, number BIGINT, words TEXT)", HF_DB_NONE,
                           NULL,
                           error));
  g_assert_true(hf_db_exec(link, "INSERT INTO things (id, number, words) VALUES (?, ?, ?), (?, ?, ?), (?, ?, ?)",
                           HF_DB_VALUES(HF_DB_TEXT("a"), HF_DB_INT(G_MAXINT64), HF_DB_TEXT("gr\xc3\xbc\xc3\x9f 'x' ?"),
                                        HF_DB_TEXT("b"), HF_DB_INT(G_MININT64), HF_DB_TEXT(NULL), HF_DB_TEXT("c"),
                                        HF_DB_NULL, HF_DB_TEXT("bad \xff byte")), &changed, error));
  g_assert_cmpint(changed, ==, 3);
  g_autoptr(GBytes) nothing = g_bytes_new(NULL, 0);
  g_assert_true(hf_db_exec(link, "INSERT INTO settings (name, value) VALUES ('k', ?)", HF_DB_VALUES(HF_DB_TEXT("v")),
                           NULL,
                           error));
  return hf_db_exec(link, "INSERT INTO credentials (id, username, description, type, sealed_password, "
                          "sealed_passphrase, "
                          "sealed_private_key, ssh_port, authentication, elevate_to_root, add_to_sudoers, use_su, "
                          "created, "
                          "modified) VALUES ('i', 'u', '', 'Linux', ?, ?, ?, 0, 'Password', 0, 0, 0, 1, 1)",
                    HF_DB_VALUES(HF_DB_BLOB(bytes, sizeof bytes), HF_DB_BYTES(nothing), HF_DB_BYTES(NULL)), NULL,
                        error);
}

static void test_values(TestPlace *place)
{
  GError *error = NULL;
  gsize size = 0;
  test_open(place);
  g_assert_true(hf_db_write(place->db, put_values, NULL, &error));
  g_assert_no_error(error);
  g_autoptr(HfDbLink) link = hf_db_read(place->db, &error);
  g_autoptr(HfDbRows) rows = hf_db_query(link, "SELECT id, number, words FROM things ORDER BY id", HF_DB_NONE, &error);
  g_assert_no_error(error);
  g_assert_cmpuint(hf_db_columns(rows), ==, 3);
  g_assert_cmpstr(hf_db_column_name(rows, 2), ==, "words");
  g_assert_true(hf_db_next(rows, &error));
  g_assert_cmpint(hf_db_int(rows, 1), ==, G_MAXINT64);
  g_assert_cmpint(hf_db_kind_of(rows, 1), ==, HF_DB_KIND_INT);
  g_assert_cmpint(hf_db_kind_of(rows, 2), ==, HF_DB_KIND_TEXT);
  g_assert_cmpstr(hf_db_text(rows, 2), ==, "gr\xc3\xbc\xc3\x9f 'x' ?");
  g_assert_true(hf_db_next(rows, &error));
  g_assert_cmpint(hf_db_int(rows, 1), ==, G_MININT64);
  g_assert_true(hf_db_is_null(rows, 2));
  g_assert_null(hf_db_text(rows, 2));
  g_assert_null(hf_db_blob(rows, 2, &size));
  g_assert_true(hf_db_next(rows, &error));
  g_assert_cmpint(hf_db_int(rows, 1), ==, 0);
  g_assert_cmpstr(hf_db_text(rows, 2), ==, "bad \xef\xbf\xbd byte");
  g_assert_false(hf_db_next(rows, &error));
  g_assert_false(hf_db_failed(rows));
  g_assert_no_error(error);

  g_autoptr(HfDbRows) blobs = hf_db_query(link, "SELECT sealed_password, sealed_passphrase, sealed_private_key, "
                                                "COUNT(*) = 1 FROM credentials GROUP BY 1, 2, 3", HF_DB_NONE, &error);
  g_assert_no_error(error);
  g_assert_true(hf_db_next(blobs, &error));
  g_assert_cmpint(hf_db_kind_of(blobs, 0), ==, HF_DB_KIND_BLOB);
  gconstpointer bytes = hf_db_blob(blobs, 0, &size);
  g_assert_cmpuint(size, ==, 6);
  g_assert_cmpmem(bytes, (int)size, ((guint8[]){0, 1, 0xff, '\'', '\\', 0}), 6);
  g_assert_null(hf_db_blob(blobs, 1, &size));
  g_assert_cmpuint(size, ==, 0);
  g_assert_false(hf_db_is_null(blobs, 1));
  g_assert_true(hf_db_is_null(blobs, 2));
  g_assert_cmpint(hf_db_int(blobs, 3), ==, 1);
}

/* ---- what it says of itself ---- */

static void test_facts(TestPlace *place)
{
  test_open(place);
  g_assert_cmpint(hf_db_kind(place->db), ==, place->postgresql ? HF_DB_POSTGRESQL : HF_DB_SQLITE);
  g_assert_true(g_str_has_prefix(hf_db_version(place->db), place->postgresql ? "PostgreSQL 1" : "SQLite 3."));
  g_assert_cmpuint(hf_db_schema(place->db), ==, hf_db_n_migrations);
  g_assert_cmpint(test_number(place->db, "SELECT COUNT(*) FROM migrations"), ==, hf_db_n_migrations);
  g_autofree char *id = hf_db_new_id();
  g_assert_true(hf_db_id_valid(id));
  g_assert_false(hf_db_id_valid("x"));
  g_assert_false(hf_db_id_valid(NULL));
  if (!place->postgresql) {
    GStatBuf status;
    g_assert_cmpint(g_stat(place->where, &status), ==, 0);
    g_assert_cmpint(status.st_mode & 0777, ==, 0600);
  }
}

/* ---- errors ---- */

static gboolean run_sql(HfDbLink *link, gpointer user, GError **error)
{
  return hf_db_exec(link, user, HF_DB_NONE, NULL, error);
}

static void test_errors(TestPlace *place)
{
  GError *error = NULL;
  test_open(place);
  test_exec(place->db, "INSERT INTO settings (name, value) VALUES ('a', 'b')");
  g_assert_false(hf_db_write(place->db, run_sql, (gpointer)"INSERT INTO settings (name, value) VALUES ('a', 'c')",
                             &error));
  test_refused(&error, HF_ERROR_EXISTS, "INSERT INTO settings");
  g_assert_false(hf_db_write(place->db, run_sql,
                             (gpointer)"INSERT INTO preferred_networks (id, position) VALUES ('x', 1)", &error));
  test_refused(&error, HF_ERROR_FAILED, "network");
  g_assert_false(hf_db_write(place->db, run_sql, (gpointer)"INSERT INTO job_hosts (job_id, host_id) VALUES ('x', 'y')",
                             &error));
  test_refused(&error, HF_ERROR_BUSY, "database");
  g_assert_false(hf_db_write(place->db, run_sql, (gpointer)"NO SQL", &error));
  test_refused(&error, HF_ERROR_FAILED, "NO SQL");
  g_assert_false(hf_db_write(place->db, run_sql, (gpointer)"DELETE FROM settings WHERE name = ?", &error));
  test_refused(&error, HF_ERROR_FAILED, "settings");

  g_autoptr(HfDbLink) link = hf_db_read(place->db, &error);
  gint64 value = 0;
  g_assert_false(hf_db_query_int(link, "SELECT 1 FROM settings WHERE name = ?", HF_DB_VALUES(HF_DB_TEXT("none")),
                                 &value,
                                 &error));
  test_refused(&error, HF_ERROR_NOT_FOUND, "no row");
  g_assert_null(hf_db_setting(link, "none", &error));
  g_assert_no_error(error);
  /* A reader changes nothing. */
  g_assert_false(hf_db_exec(link, "DELETE FROM settings", HF_DB_NONE, NULL, &error));
  test_refused(&error, HF_ERROR_PERMISSION, "DELETE");
  g_clear_pointer(&link, hf_db_release);
  g_assert_cmpint(test_number(place->db, "SELECT COUNT(*) FROM settings"), ==, 1);
}

static gboolean give_up(HfDbLink *link, gpointer user, GError **error)
{
  g_assert_true(hf_db_exec(link, "INSERT INTO settings (name, value) VALUES ('x', 'y')", HF_DB_NONE, NULL, error));
  return user != NULL ? hf_fail(error, HF_ERROR_REFUSED, "no") : FALSE;
}

static void test_rollback(TestPlace *place)
{
  GError *error = NULL;
  test_open(place);
  g_assert_false(hf_db_write(place->db, give_up, place, &error));
  test_refused(&error, HF_ERROR_REFUSED, "no");
  g_assert_false(hf_db_write(place->db, give_up, NULL, &error));
  test_refused(&error, HF_ERROR_FAILED, "without a reason");
  g_assert_cmpint(test_number(place->db, "SELECT COUNT(*) FROM settings"), ==, 0);
}

static gboolean settings_work(HfDbLink *link, gpointer user, GError **error)
{
  return hf_db_set_setting(link, "lang", user, error);
}

static void test_settings(TestPlace *place)
{
  GError *error = NULL;
  test_open(place);
  g_assert_true(hf_db_write(place->db, settings_work, (gpointer)"one", &error));
  g_assert_true(hf_db_write(place->db, settings_work, (gpointer)"two", &error));
  g_autoptr(HfDbLink) link = hf_db_read(place->db, &error);
  g_autofree char *value = hf_db_setting(link, "lang", &error);
  g_assert_cmpstr(value, ==, "two");
}

/* ---- readers ---- */

/* What a reader began to see it goes on seeing. */
static void test_snapshot(TestPlace *place)
{
  GError *error = NULL;
  gint64 before = 0, after = 0;
  test_open(place);
  g_autoptr(HfDbLink) link = hf_db_read(place->db, &error);
  g_assert_true(hf_db_query_int(link, "SELECT COUNT(*) FROM settings", HF_DB_NONE, &before, &error));
  test_exec(place->db, "INSERT INTO settings (name, value) VALUES ('a', 'b')");
  g_assert_true(hf_db_query_int(link, "SELECT COUNT(*) FROM settings", HF_DB_NONE, &after, &error));
  g_assert_cmpint(before, ==, after);
  g_clear_pointer(&link, hf_db_release);
  g_assert_cmpint(test_number(place->db, "SELECT COUNT(*) FROM settings"), ==, 1);
}

static gpointer waiting_reader(gpointer db)
{
  return GINT_TO_POINTER((int)test_number(db, "SELECT 42"));
}

/* The fifth of four waits for one to be given back. */
static void test_readers_are_bounded(TestPlace *place)
{
  GError *error = NULL;
  HfDbLink *links[4];
  test_open(place);
  for (guint i = 0; i < 4; i++)
    g_assert_nonnull(links[i] = hf_db_read(place->db, &error));
  g_autoptr(GThread) thread = g_thread_new("reader", waiting_reader, place->db);
  g_usleep(50000);
  hf_db_release(links[0]);
  g_assert_cmpint(GPOINTER_TO_INT(g_thread_join(g_steal_pointer(&thread))), ==, 42);
  for (guint i = 1; i < 4; i++)
    hf_db_release(links[i]);
}

/* More statements than are kept. */
static void test_many_statements(TestPlace *place)
{
  GError *error = NULL;
  test_open(place);
  g_autoptr(HfDbLink) link = hf_db_read(place->db, &error);
  for (int i = 0; i < 600; i++) {
    gint64 value = -1;
    g_autofree char *sql = g_strdup_printf("SELECT %d + ?", i);
    g_assert_true(hf_db_query_int(link, sql, HF_DB_VALUES(HF_DB_INT(1)), &value, &error));
    g_assert_cmpint(value, ==, i + 1);
  }
  /* The same statement twice at once. */
  g_autoptr(HfDbRows) outer = hf_db_query(link, "SELECT name FROM counters ORDER BY name", HF_DB_NONE, &error);
  g_autoptr(HfDbRows) inner = hf_db_query(link, "SELECT name FROM counters ORDER BY name", HF_DB_NONE, &error);
  g_assert_true(hf_db_next(outer, &error));
  g_assert_true(hf_db_next(inner, &error) && hf_db_next(inner, &error));
  g_assert_cmpstr(hf_db_text(outer, 0), ==, "order");
  g_assert_cmpstr(hf_db_text(inner, 0), ==, "usn");
}

/* ---- two programs ---- */

typedef struct Counting {
  HfDb *db;
  guint times;
} Counting;

static gboolean count_slowly(HfDbLink *link, gpointer user, GError **error)
{
  (void)user;
  gint64 value = 0;
  if (!hf_db_query_int(link, "SELECT value FROM counters WHERE name = 'usn'", HF_DB_NONE, &value, error))
    return FALSE;
  g_usleep(500);
  return hf_db_exec(link, "UPDATE counters SET value = ? WHERE name = 'usn'", HF_DB_VALUES(HF_DB_INT(value + 1)), NULL,
                    error);
}

static gpointer count_many(gpointer user)
{
  Counting *counting = user;
  for (guint i = 0; i < counting->times; i++) {
    GError *error = NULL;
    hf_db_write(counting->db, count_slowly, NULL, &error);
    g_assert_no_error(error);
  }
  return NULL;
}

/* Two pools on one database are two programs: none of their counts is lost. */
static void test_two_programs(TestPlace *place)
{
  GError *error = NULL;
  test_open(place);
  g_autoptr(HfDb) other = hf_db_open(place->where, 1, &error);
  g_assert_no_error(error);
  Counting first = {place->db, 40}, second = {other, 40};
  GThread *threads[] = {g_thread_new("first", count_many, &first), g_thread_new("second", count_many, &second),
                        g_thread_new("third", count_many, &first)};
  for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
    g_thread_join(threads[i]);
  g_assert_cmpint(test_number(place->db, "SELECT value FROM counters WHERE name = 'usn'"), ==, 120);
}

/* ---- migrations ---- */

static void test_newer_is_refused(TestPlace *place)
{
  GError *error = NULL;
  test_open(place);
  test_exec(place->db, "INSERT INTO migrations (number, name, applied) VALUES (999, 'future', 1)");
  gint64 tables = test_number(place->db, "SELECT COUNT(*) FROM counters");
  test_close(place);
  g_assert_null(hf_db_open(place->where, 1, &error));
  test_refused(&error, HF_ERROR_FORMAT, "schema 999");
  const HfDbDriver *driver = place->postgresql ? &hf_db_postgresql : &hf_db_sqlite;
  HfDbConnection *connection = driver->connect(place->where, TRUE, NULL, &error);
  g_assert_true(driver->exec(connection, "DELETE FROM migrations WHERE number = 999", NULL, 0, NULL, &error));
  driver->disconnect(connection);
  test_open(place);
  g_assert_cmpint(test_number(place->db, "SELECT COUNT(*) FROM counters"), ==, tables);
}

/* A migration that fails half-way leaves nothing; once mended it is run. */
static void test_upgrade(TestPlace *place)
{
  GError *error = NULL;
  const HfDbDriver *driver = place->postgresql ? &hf_db_postgresql : &hf_db_sqlite;
  const HfDbMigration steps[] = {
    {1, "start", "CREATE TABLE a (id TEXT PRIMARY KEY, data BLOB); INSERT INTO a (id) VALUES ('kept');"},
    {2, "broken", "CREATE TABLE b (id TEXT PRIMARY KEY); INSERT INTO nowhere VALUES (1);"},
  };
  guint schema = 0;
  HfDbConnection *connection = driver->connect(place->where, TRUE, NULL, &error);
  g_assert_no_error(error);
  g_assert_true(hf_db_migrate(connection, steps, 1, &schema, &error));
  g_assert_cmpuint(schema, ==, 1);
  g_assert_false(hf_db_migrate(connection, steps, 2, &schema, &error));
  test_refused(&error, HF_ERROR_FAILED, "migration 2 (broken)");
  const HfDbMigration mended[] = {steps[0], {2, "mended", "CREATE TABLE b (id TEXT PRIMARY KEY);"}};
  g_assert_true(hf_db_migrate(connection, mended, 2, &schema, &error));
  g_assert_no_error(error);
  g_assert_cmpuint(schema, ==, 2);
  HfDbRows *rows = driver->query(connection, "SELECT id FROM a", NULL, 0, &error);
  g_assert_true(driver->next(rows, &error));
  g_assert_cmpstr(driver->text(rows, 0), ==, "kept");
  driver->rows_free(rows);
  driver->disconnect(connection);
}

static gpointer open_now(gpointer where)
{
  GError *error = NULL;
  HfDb *db = hf_db_open(where, 1, &error);
  g_assert_no_error(error);
  return db;
}

/* Whoever else opens the file must find it locked while we have it open: else it takes itself for the last one, and
 * removes the log that we write to. Locks are a process's: closing the file anywhere in it gives up all. */
static void test_stays_locked(TestPlace *place)
{
  if (place->postgresql)
    return;
  test_open(place);
  test_exec(place->db, "INSERT INTO settings (name, value) VALUES ('k', 'v')");
  g_assert_cmpint(test_number(place->db, "SELECT COUNT(*) FROM settings"), >, 0);
  pid_t child = fork();
  g_assert_cmpint(child, >=, 0);
  if (child == 0) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open(place->where, O_RDWR);
    _exit(fd < 0 || fcntl(fd, F_GETLK, &lock) != 0 ? 2 : lock.l_type == F_UNLCK ? 1 : 0);
  }
  int status;
  g_assert_cmpint(waitpid(child, &status, 0), ==, child);
  g_assert_cmpint(status, ==, 0);
}

/* Two programs that start on an empty database at once. */
static void test_two_start(TestPlace *place)
{
  GThread *threads[4];
  for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
    threads[i] = g_thread_new("start", open_now, place->where);
  for (guint i = 0; i < G_N_ELEMENTS(threads); i++) {
    g_autoptr(HfDb) db = g_thread_join(threads[i]);
    g_assert_cmpuint(hf_db_schema(db), ==, hf_db_n_migrations);
  }
}

/* ---- places that cannot be opened ---- */

static void test_cannot_open(void)
{
  GError *error = NULL;
  g_autofree char *folder = g_dir_make_tmp("holdfast-db-XXXXXX", NULL);
  g_autofree char *nowhere = g_build_filename(folder, "none", "x.db", NULL);
  g_assert_null(hf_db_open(nowhere, 1, &error));
  test_refused(&error, HF_ERROR_NOT_FOUND, "cannot open database");
  g_autofree char *garbage = g_build_filename(folder, "garbage.db", NULL);
  g_autofree char *bytes = g_strnfill(8192, 'x');
  g_assert_true(g_file_set_contents(garbage, bytes, 8192, NULL));
  g_assert_null(hf_db_open(garbage, 1, &error));
  test_refused(&error, HF_ERROR_DAMAGED, "garbage.db");
  g_assert_null(hf_db_open("postgresql://me:hidden@127.0.0.1:1/x?connect_timeout=2", 1, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_IO);
  g_assert_null(strstr(error->message, "hidden"));
  g_assert_nonnull(strstr(error->message, "me:...@127.0.0.1"));
  g_clear_error(&error);
  g_unlink(garbage);
  g_rmdir(folder);
}

/* ---- a copy ---- */

static void test_backup(TestPlace *place)
{
  GError *error = NULL;
  test_open(place);
  test_exec(place->db, "INSERT INTO settings (name, value) VALUES ('a', 'b')");
  g_autofree char *copy = g_build_filename(place->folder, "copy.db", NULL);
  if (place->postgresql) {
    g_assert_false(hf_db_backup(place->db, copy, &error));
    test_refused(&error, HF_ERROR_UNSUPPORTED, "pg_dump");
    return;
  }
  g_assert_true(hf_db_backup(place->db, copy, &error));
  g_assert_no_error(error);
  GStatBuf status;
  g_assert_cmpint(g_stat(copy, &status), ==, 0);
  g_assert_cmpint(status.st_mode & 0777, ==, 0600);
  g_assert_false(hf_db_backup(place->db, copy, &error));
  test_refused(&error, HF_ERROR_EXISTS, "copy.db");
  g_autoptr(HfDb) opened = hf_db_open(copy, 1, &error);
  g_assert_cmpint(test_number(opened, "SELECT COUNT(*) FROM settings"), ==, 1);
}

/* ---- crashes ---- */

#define PAIR "INSERT INTO settings (name, value) VALUES (?, ?)"

static gboolean put_pair(HfDbLink *link, gpointer user, GError **error)
{
  const int *number = user;
  g_autofree char *left = g_strdup_printf("left-%d", *number);
  g_autofree char *right = g_strdup_printf("right-%d", *number);
  return hf_db_exec(link, PAIR, HF_DB_VALUES(HF_DB_TEXT(left), HF_DB_TEXT("1")), NULL, error) &&
         hf_db_exec(link, PAIR, HF_DB_VALUES(HF_DB_TEXT(right), HF_DB_TEXT("1")), NULL, error);
}

/* The child writes pairs and tells each that is done; it is killed at a random moment. Pairs are whole, and those that
 * were told are there. */
static void crash_once(TestPlace *place, int round)
{
  int told[2];
  g_assert_cmpint(pipe(told), ==, 0);
  pid_t child = fork();
  g_assert_cmpint(child, >=, 0);
  if (child == 0) {
    HfDb *db = hf_db_open(place->where, 1, NULL);
    for (int i = 0; db != NULL; i++) {
      int number = round * 100000 + i;
      if (!hf_db_write(db, put_pair, &number, NULL) || write(told[1], &number, sizeof number) != sizeof number)
        break;
    }
    _exit(1);
  }
  close(told[1]);
  g_usleep((gulong)g_test_rand_int_range(20000, 120000));
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  g_autoptr(GArray) numbers = g_array_new(FALSE, FALSE, sizeof(int));
  for (int number; read(told[0], &number, sizeof number) == sizeof number;)
    g_array_append_val(numbers, number);
  close(told[0]);

  test_open(place);
  gint64 left = test_number(place->db, "SELECT COUNT(*) FROM settings WHERE name LIKE 'left%'");
  gint64 right = test_number(place->db, "SELECT COUNT(*) FROM settings WHERE name LIKE 'right%'");
  g_assert_cmpint(left, ==, right);
  for (guint i = 0; i < numbers->len; i++) {
    g_autofree char *sql = g_strdup_printf("SELECT COUNT(*) FROM settings WHERE name = 'right-%d'",
                                           g_array_index(numbers, int, i));
    g_assert_cmpint(test_number(place->db, sql), ==, 1);
  }
  if (!place->postgresql) {
    g_autofree char *whole = test_text(place->db, "PRAGMA integrity_check");
    g_assert_cmpstr(whole, ==, "ok");
  }
  g_test_message("round %d: %u pairs told, %d kept in all", round, numbers->len, (int)left);
  test_close(place);
}

static void test_crash(TestPlace *place)
{
  for (int round = 1; round <= 10; round++)
    crash_once(place, round);
}

/* PostgreSQL is started anew while links are open: readers and the writer connect again. */
static void test_server_restarts(TestPlace *place)
{
  if (!place->postgresql) {
    g_test_skip("SQLite has no server");
    return;
  }
  GError *error = NULL;
  test_open(place);
  g_assert_cmpint(test_number(place->db, "SELECT COUNT(*) FROM settings"), ==, 0);
  HfDbLink *held = hf_db_read(place->db, &error);
  test_postgresql_stop();
  gint64 value = 0;
  g_assert_false(hf_db_query_int(held, "SELECT 1", HF_DB_NONE, &value, &error));
  test_refused(&error, HF_ERROR_IO, "database");
  hf_db_release(held);
  g_assert_null(hf_db_read(place->db, &error));
  test_refused(&error, HF_ERROR_IO, "cannot open");
  test_postgresql_start();
  test_exec(place->db, "INSERT INTO settings (name, value) VALUES ('a', 'b')");
  g_assert_cmpint(test_number(place->db, "SELECT COUNT(*) FROM settings"), ==, 1);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/server/db/dialect", test_dialect);
  g_test_add_func("/server/db/cannot-open", test_cannot_open);
  test_add("/server/db/values", test_values);
  test_add("/server/db/facts", test_facts);
  test_add("/server/db/errors", test_errors);
  test_add("/server/db/rollback", test_rollback);
  test_add("/server/db/settings", test_settings);
  test_add("/server/db/snapshot", test_snapshot);
  test_add("/server/db/readers-are-bounded", test_readers_are_bounded);
  test_add("/server/db/many-statements", test_many_statements);
  test_add("/server/db/two-programs", test_two_programs);
  test_add("/server/db/newer-is-refused", test_newer_is_refused);
  test_add("/server/db/upgrade", test_upgrade);
  test_add("/server/db/two-start", test_two_start);
  test_add("/server/db/stays-locked", test_stays_locked);
  test_add("/server/db/backup", test_backup);
  test_add("/server/db/crash", test_crash);
  test_add("/server/db/server-restarts", test_server_restarts);
  return test_run();
}
