/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is remembered of the database is never stale, whoever changed it, and takes no more memory than it may. */
#include <string.h>

#include "base/error.h"
#include "place.h"
#include "server/db/driver.h"

#define COUNT "SELECT COUNT(*) FROM settings"

static GBytes *key_of(const char *name)
{
  return hf_db_key(name, HF_DB_NONE);
}

static void remember(HfDbLink *link, const char *name, const char *text)
{
  g_autoptr(GBytes) key = key_of(name);
  g_autoptr(GBytes) value = g_bytes_new(text, strlen(text) + 1);
  hf_db_remember(link, key, value);
}

static gboolean knows(HfDbLink *link, const char *name, const char *text)
{
  g_autoptr(GBytes) key = key_of(name);
  g_autoptr(GBytes) value = hf_db_recall(link, key);
  if (value != NULL && text != NULL)
    g_assert_cmpstr(g_bytes_get_data(value, NULL), ==, text);
  return value != NULL;
}

static HfDbLink *reader(HfDb *db)
{
  GError *error = NULL;
  HfDbLink *link = hf_db_read(db, &error);
  g_assert_no_error(error);
  return link;
}

/* One link, given back and taken again, since the last that was given back is taken first. */
static gboolean known_to_next(HfDb *db, const char *name, const char *text)
{
  g_autoptr(HfDbLink) link = reader(db);
  return knows(link, name, text);
}

static void remember_now(HfDb *db, const char *name, const char *text)
{
  g_autoptr(HfDbLink) link = reader(db);
  remember(link, name, text);
}

static gint64 count(HfDbLink *link, const char *sql)
{
  GError *error = NULL;
  gint64 number = -1;
  hf_db_count(link, sql, HF_DB_NONE, &number, &error);
  g_assert_no_error(error);
  return number;
}

static gint64 count_anew(HfDbLink *link, const char *sql)
{
  GError *error = NULL;
  gint64 number = -1;
  hf_db_query_int(link, sql, HF_DB_NONE, &number, &error);
  g_assert_no_error(error);
  return number;
}

/* ---- keys ---- */

static void test_keys(void)
{
  g_autoptr(GHashTable) keys = g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref, NULL);
  const struct {
    const char *sql;
    HfDbValue first, second;
  } asked[] = {
    {"s", HF_DB_NULL, HF_DB_NULL},
    {"s", HF_DB_INT(0), HF_DB_NULL},
    {"s", HF_DB_INT(1), HF_DB_NULL},
    {"s", HF_DB_NULL, HF_DB_INT(1)},
    {"s", HF_DB_TEXT(""), HF_DB_NULL},
    {"s", HF_DB_TEXT("1"), HF_DB_NULL},
    {"s", HF_DB_BLOB("1", 1), HF_DB_NULL},
    {"s", HF_DB_TEXT("ab"), HF_DB_TEXT("c")},
    {"s", HF_DB_TEXT("a"), HF_DB_TEXT("bc")},
    {"s ", HF_DB_TEXT("a"), HF_DB_TEXT("bc")},
  };
  for (guint i = 0; i < G_N_ELEMENTS(asked); i++)
    g_assert_true(g_hash_table_add(keys, hf_db_key(asked[i].sql, HF_DB_VALUES(asked[i].first, asked[i].second))));
  g_autoptr(GBytes) again = hf_db_key("s", HF_DB_VALUES(HF_DB_INT(1), HF_DB_NULL));
  g_assert_true(g_hash_table_contains(keys, again));
}

/* ---- states ---- */

static void test_same_state(TestPlace *place)
{
  test_open(place);
  g_assert_false(known_to_next(place->db, "k", NULL));
  remember_now(place->db, "k", "one");
  g_assert_true(known_to_next(place->db, "k", "one"));
  g_assert_false(known_to_next(place->db, "other", NULL));
  remember_now(place->db, "k", "two");
  g_assert_true(known_to_next(place->db, "k", "two"));
  g_autoptr(HfDbLink) link = reader(place->db);
  g_assert_cmpint(count(link, COUNT), ==, 0);
  g_assert_cmpint(count(link, COUNT), ==, 0);
}

static gboolean give_up(HfDbLink *link, gpointer user, GError **error)
{
  (void)user;
  return hf_db_exec(link, "INSERT INTO settings (name, value) VALUES ('never', '')", HF_DB_NONE, NULL, error) &&
         hf_fail(error, HF_ERROR_REFUSED, "no");
}

/* By this program, and by another one. */
static void test_written(TestPlace *place)
{
  GError *error = NULL;
  test_open(place);
  g_autoptr(HfDb) other = hf_db_open(place->where, 1, &error);
  g_assert_no_error(error);
  HfDb *const writers[] = {place->db, other};
  for (int i = 0; i < 6; i++) {
    g_autofree char *sql = g_strdup_printf("INSERT INTO settings (name, value) VALUES ('n%d', '')", i);
    remember_now(place->db, "k", "before");
    g_assert_true(known_to_next(place->db, "k", "before"));
    test_exec(writers[i % 2], sql);
    g_assert_false(known_to_next(place->db, "k", NULL));
    g_autoptr(HfDbLink) link = reader(place->db);
    g_assert_cmpint(count(link, COUNT), ==, i + 1);
    g_assert_cmpint(count(link, COUNT), ==, i + 1);
  }
  g_assert_false(hf_db_write(place->db, give_up, NULL, &error));
  test_refused(&error, HF_ERROR_REFUSED, "no");
  g_autoptr(HfDbLink) link = reader(place->db);
  g_assert_cmpint(count(link, COUNT), ==, 6);
}

/* A reader of an old state, and one of the newest: neither gets what follows from the other's. */
static void test_two_states(TestPlace *place)
{
  test_open(place);
  g_autoptr(HfDbLink) old = reader(place->db);
  g_assert_cmpint(count_anew(old, COUNT), ==, 0);
  test_exec(place->db, "INSERT INTO settings (name, value) VALUES ('a', '')");
  g_autoptr(HfDbLink) new = reader(place->db);
  for (int i = 0; i < 3; i++) {
    g_assert_cmpint(count(new, COUNT), ==, 1);
    g_assert_cmpint(count(old, COUNT), ==, 0);
  }
  remember(old, "k", "old");
  g_assert_false(knows(new, "k", NULL));
  remember(new, "k", "new");
  g_assert_false(place->postgresql && knows(old, "k", NULL)); /* of the same key the newest stays */
  g_assert_true(knows(new, "k", "new"));
}

typedef struct Watch {
  HfDb *db;
  gint stop;
  gint looked;
} Watch;

static gpointer watch(gpointer user)
{
  Watch *watch = user;
  while (!g_atomic_int_get(&watch->stop)) {
    g_autoptr(HfDbLink) link = reader(watch->db);
    gint64 known = count(link, COUNT);
    g_assert_cmpint(known, ==, count_anew(link, COUNT));
    g_atomic_int_inc(&watch->looked);
    g_usleep(100);
  }
  return NULL;
}

/* Readers that remember, amid writes of two programs: what is recalled is what the same reader sees. */
static void test_never_stale(TestPlace *place)
{
  GError *error = NULL;
  GThread *threads[6];
  test_open(place);
  g_autoptr(HfDb) other = hf_db_open(place->where, 1, &error);
  Watch watching = {.db = place->db};
  for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
    threads[i] = g_thread_new("watch", watch, &watching);
  for (int i = 0; i < 100; i++) {
    g_autofree char *sql = g_strdup_printf("INSERT INTO settings (name, value) VALUES ('n%d', '')", i);
    test_exec(i % 2 == 0 ? place->db : other, sql);
    g_usleep(1000);
  }
  g_atomic_int_set(&watching.stop, 1);
  for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
    g_thread_join(threads[i]);
  g_test_message("looked %d times", watching.looked);
  g_assert_cmpint(watching.looked, >, 100);
}

/* ---- memory ---- */

static void test_bounds(TestPlace *place)
{
  test_open(place);
  g_autoptr(HfDbLink) link = reader(place->db);
  g_autofree char *large = g_strnfill((2 << 20) + 1, 'x'), *page = g_strnfill(1 << 20, 'x');
  remember(link, "too large", large);
  g_assert_false(knows(link, "too large", NULL));
  guint kept = 0;
  for (guint i = 0; i < 40; i++) {
    g_autofree char *name = g_strdup_printf("page %u", i);
    remember(link, name, page);
    g_assert_true(knows(link, name, page));
  }
  for (guint i = 0; i < 40; i++) {
    g_autofree char *name = g_strdup_printf("page %u", i);
    kept += knows(link, name, NULL) ? 1 : 0;
  }
  g_assert_cmpuint(kept, <, 32);
  g_assert_cmpuint(kept, >, 0);
}

/* Small things are counted with what it costs to keep them. */
static void test_small_things(TestPlace *place)
{
  test_open(place);
  g_autoptr(HfDbLink) link = reader(place->db);
  remember(link, "first", "x");
  guint n = 0;
  for (; knows(link, "first", "x") && n < 1000000; n++) {
    g_autofree char *name = g_strdup_printf("%u", n);
    remember(link, name, "x");
  }
  g_test_message("%u small things were kept", n);
  g_assert_cmpuint(n, >, 50000);
  g_assert_cmpuint(n, <, 130000);
  /* The same thing again and again takes its place once. */
  remember(link, "first", "x");
  for (guint i = 0; i < 200000; i++)
    remember(link, "again", "x");
  g_assert_true(knows(link, "first", "x"));
}

/* ---- connections ---- */

static char *state_now(const HfDbDriver *driver, HfDbConnection *connection)
{
  GError *error = NULL;
  g_assert_true(driver->begin_read(connection, &error));
  char *state = g_strdup(driver->state(connection));
  g_assert_true(driver->end_read(connection));
  return state;
}

/* On PostgreSQL all connections give one name to one state, and a server that was started anew gives other ones. */
static void test_names(TestPlace *place)
{
  GError *error = NULL;
  test_open(place);
  const HfDbDriver *driver = place->postgresql ? &hf_db_postgresql : &hf_db_sqlite;
  HfDbConnection *one = driver->connect(place->where, FALSE, NULL, &error);
  HfDbConnection *two = driver->connect(place->where, FALSE, NULL, &error);
  g_assert_no_error(error);
  g_autofree char *first = state_now(driver, one), *same = state_now(driver, two), *again = state_now(driver, one);
  g_assert_cmpstr(first, ==, again);
  g_assert_true(!driver->states_shared || g_strcmp0(first, same) == 0);
  test_exec(place->db, "INSERT INTO settings (name, value) VALUES ('a', '')");
  g_autofree char *changed = state_now(driver, one);
  g_assert_cmpstr(first, !=, changed);
  driver->disconnect(one);
  driver->disconnect(two);
  if (!place->postgresql)
    return;
  test_postgresql_stop();
  test_postgresql_start();
  one = driver->connect(place->where, FALSE, NULL, &error);
  g_assert_no_error(error);
  g_autofree char *anew = state_now(driver, one);
  driver->disconnect(one);
  g_autofree char *server = g_strndup(changed, strcspn(changed, " "));
  g_assert_false(g_str_has_prefix(anew, server));
}

/* The server is started anew while links are open: nothing of before is known, and the next query connects. */
static void test_reconnect(TestPlace *place)
{
  if (!place->postgresql) {
    g_test_skip("SQLite has no server");
    return;
  }
  GError *error = NULL;
  gint64 number = -1;
  test_open(place);
  HfDbLink *old = reader(place->db), *lost = reader(place->db);
  remember(old, "k", "too early"); /* a connection was made since this reader began */
  g_assert_false(knows(lost, "k", NULL));
  hf_db_release(old);
  hf_db_release(lost);
  old = reader(place->db);
  lost = reader(place->db);
  remember(old, "k", "before");
  g_assert_true(knows(old, "k", "before"));
  g_assert_true(knows(lost, "k", "before"));
  hf_db_release(lost);
  test_postgresql_stop();

  lost = reader(place->db);
  g_assert_false(knows(lost, "k", NULL)); /* nobody can say whether it still holds */
  remember(lost, "k", "lost");
  g_assert_false(hf_db_query_int(lost, COUNT, HF_DB_NONE, &number, &error));
  test_refused(&error, HF_ERROR_IO, "cannot open");
  g_assert_false(hf_db_query_int(lost, COUNT, HF_DB_NONE, &number, &error));
  test_refused(&error, HF_ERROR_IO, "connection was lost");
  g_assert_false(hf_db_exec(lost, "DELETE FROM settings", HF_DB_NONE, NULL, &error));
  test_refused(&error, HF_ERROR_IO, "connection was lost");
  g_assert_false(knows(lost, "k", NULL));
  hf_db_release(lost);

  test_postgresql_start();
  g_autoptr(HfDbLink) new = reader(place->db);
  g_assert_false(knows(new, "k", NULL));
  g_assert_cmpint(count(new, COUNT), ==, 0);
  remember(new, "k", "after");
  g_assert_true(knows(new, "k", "after"));
  remember(old, "k", "old"); /* of a connection that is gone */
  hf_db_release(old);
  g_assert_true(knows(new, "k", "after"));
}

/* A first query that fails: its transaction is spoiled, the link is not. */
static void test_failed_first(TestPlace *place)
{
  GError *error = NULL;
  test_open(place);
  for (int i = 0; i < 2; i++) {
    gint64 number = -1;
    g_autoptr(HfDbLink) link = reader(place->db);
    gboolean done = hf_db_query_int(link, "SELECT 1 / CAST(? AS BIGINT)", HF_DB_VALUES(HF_DB_INT(0)), &number, &error);
    g_assert_true(done == !place->postgresql); /* SQLite says NULL */
    if (!done)
      test_refused(&error, HF_ERROR_FAILED, "zero");
    g_clear_pointer(&link, hf_db_release);
    g_assert_cmpint(test_number(place->db, COUNT), ==, 0);
    remember_now(place->db, "k", "x");
    g_assert_true(known_to_next(place->db, "k", "x"));
  }
}

/* More statements than a connection keeps: those that begin and name a state are made anew with the others. */
static void test_many_statements(TestPlace *place)
{
  test_open(place);
  for (int i = 0; i < 300; i++) {
    g_autofree char *sql = g_strdup_printf("SELECT %d", i);
    g_assert_cmpint(test_number(place->db, sql), ==, i);
  }
  remember_now(place->db, "k", "x");
  g_assert_true(known_to_next(place->db, "k", "x"));
}

/* A link that was given back holds no state of the database: PostgreSQL could not clean up behind it. */
static void test_given_back(TestPlace *place)
{
  if (!place->postgresql) {
    g_test_skip("SQLite cannot be asked");
    return;
  }
  GError *error = NULL;
  test_open(place);
  g_assert_cmpint(test_number(place->db, COUNT), ==, 0);
  g_assert_false(known_to_next(place->db, "k", NULL));
  g_autoptr(HfDb) other = hf_db_open(place->where, 1, &error);
  g_assert_no_error(error);
  gint64 open = 1;
  for (int i = 0; i < 500 && open > 0; i++, g_usleep(10000))
    open = test_number(other, "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND "
                              "pid <> pg_backend_pid() AND state <> 'idle'");
  g_assert_cmpint(open, ==, 0);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/server/db-kept/keys", test_keys);
  test_add("/server/db-kept/same-state", test_same_state);
  test_add("/server/db-kept/written", test_written);
  test_add("/server/db-kept/two-states", test_two_states);
  test_add("/server/db-kept/never-stale", test_never_stale);
  test_add("/server/db-kept/bounds", test_bounds);
  test_add("/server/db-kept/small-things", test_small_things);
  test_add("/server/db-kept/names", test_names);
  test_add("/server/db-kept/reconnect", test_reconnect);
  test_add("/server/db-kept/failed-first", test_failed_first);
  test_add("/server/db-kept/many-statements", test_many_statements);
  test_add("/server/db-kept/given-back", test_given_back);
  return test_run();
}
