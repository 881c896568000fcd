/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "place.h"

#include <glib/gstdio.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crypto/crypto.h"
#include "server/inventory/hosts.h"
#include "server/inventory/jobs.h"
#include "server/inventory/repositories.h"

const HfActor test_actor = {"00000000-0000-4000-8000-000000000001", "tester", "192.0.2.1", HF_ROLE_ADMINISTRATOR};

/* ---- the PostgreSQL server ---- */

static char *cluster; /* its folder; NULL: not started */
static char *programs;
static GPid server;
static guint next_database;

static void become_postgres(gpointer user)
{
  const struct passwd *account = user;
  if (account != NULL && (setgid(account->pw_gid) != 0 || setuid(account->pw_uid) != 0))
    _exit(127);
}

/* The server does not outlive a test that was aborted. */
static void become_server(gpointer user)
{
  become_postgres(user);
  prctl(PR_SET_PDEATHSIG, SIGINT);
}

/* PostgreSQL refuses to be run by root. */
static gpointer other_account(void)
{
  return getuid() == 0 ? getpwnam("postgres") : NULL;
}

static char *find_programs(void)
{
  g_autoptr(GDir) versions = g_dir_open("/usr/lib/postgresql", 0, NULL);
  for (const char *name; versions != NULL && (name = g_dir_read_name(versions)) != NULL;) {
    g_autofree char *path = g_build_filename("/usr/lib/postgresql", name, "bin", NULL);
    g_autofree char *initdb = g_build_filename(path, "initdb", NULL);
    if (g_file_test(initdb, G_FILE_TEST_IS_EXECUTABLE))
      return g_steal_pointer(&path);
  }
  return NULL;
}

static void run_program(const char *name, const char *const *arguments)
{
  g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);
  g_autofree char *said = NULL;
  int status = 0;
  g_ptr_array_add(argv, g_build_filename(programs, name, NULL));
  for (; *arguments != NULL; arguments++)
    g_ptr_array_add(argv, g_strdup(*arguments));
  g_ptr_array_add(argv, NULL);
  GError *error = NULL;
  g_spawn_sync(cluster, (char **)argv->pdata, NULL, G_SPAWN_STDOUT_TO_DEV_NULL, become_postgres, other_account(), NULL,
               &said, &status, &error);
  g_assert_no_error(error);
  if (status != 0)
    g_error("%s: %s", name, said);
}

static void query(const char *sql)
{
  run_program("psql", (const char *const[]){"-q", "-h", cluster, "-U", "postgres", "-d", "postgres", "-c", sql, NULL});
}

static gboolean answers(void)
{
  g_autofree char *program = g_build_filename(programs, "pg_isready", NULL);
  char *argv[] = {program, "-q", "-h", cluster, NULL};
  int status = -1;
  return g_spawn_sync(NULL, argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, NULL, NULL, &status, NULL) && status == 0;
}

void test_postgresql_start(void)
{
  g_autofree char *program = g_build_filename(programs, "postgres", NULL);
  g_autofree char *data = g_build_filename(cluster, "data", NULL);
  char *argv[] = {program, "-D", data, "-k", cluster, "-c", "listen_addresses=", "-c", "logging_collector=off",
                  "-c", "log_min_messages=fatal", NULL};
  GError *error = NULL;
  g_spawn_async(cluster, argv, NULL,
                G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL, become_server,
                other_account(), &server, &error);
  g_assert_no_error(error);
  for (guint i = 0; i < 300 && !answers(); i++)
    g_usleep(100000);
  g_assert_true(answers());
}

void test_postgresql_stop(void)
{
  g_assert_cmpint(kill(server, SIGINT), ==, 0); /* fast: sessions are cut */
  waitpid(server, NULL, 0);
  server = 0;
}

/* Asked only when a test of it runs. */
static gboolean have_postgresql(void)
{
  if (cluster != NULL)
    return TRUE;
  programs = find_programs();
  if (programs == NULL || (getuid() == 0 && other_account() == NULL))
    return FALSE;
  cluster = g_dir_make_tmp("holdfast-pg-XXXXXX", NULL);
  g_assert_nonnull(cluster);
  const struct passwd *account = other_account();
  if (account != NULL)
    g_assert_cmpint(chown(cluster, account->pw_uid, account->pw_gid), ==, 0);
  g_assert_cmpint(g_chmod(cluster, 0755), ==, 0); /* its socket is in it */
  g_autofree char *data = g_build_filename(cluster, "data", NULL);
  run_program("initdb", (const char *const[]){"-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "-N",
                                              "-D", data, NULL});
  test_postgresql_start();
  return TRUE;
}

/* ---- places ---- */

static void delete_tree(const char *path)
{
  char *argv[] = {"rm", "-rf", (char *)path, NULL};
  g_assert_true(g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL));
}

static void run_at(TestFunc func, gboolean postgresql)
{
  TestPlace place = {.postgresql = postgresql};
  place.folder = g_dir_make_tmp("holdfast-db-XXXXXX", NULL);
  g_assert_nonnull(place.folder);
  if (postgresql) {
    g_autofree char *sql = g_strdup_printf("CREATE DATABASE t%u TEMPLATE template0", ++next_database);
    g_autofree char *socket = g_uri_escape_string(cluster, NULL, FALSE);
    query(sql);
    place.where = g_strdup_printf("postgresql://postgres@%s/t%u", socket, next_database);
  } else {
    place.where = g_build_filename(place.folder, "server.db", NULL);
  }
  func(&place);
  test_close(&place);
  delete_tree(place.folder);
  g_free(place.folder);
  g_free(place.where);
}

static void on_sqlite(gconstpointer func)
{
  run_at(*(const TestFunc *)func, FALSE);
}

static void on_postgresql(gconstpointer func)
{
  if (!have_postgresql()) {
    g_test_skip("the package postgresql is not installed");
    return;
  }
  run_at(*(const TestFunc *)func, TRUE);
}

void test_add(const char *path, TestFunc func)
{
  g_autofree char *sqlite = g_strconcat(path, "/sqlite", NULL);
  g_autofree char *postgresql = g_strconcat(path, "/postgresql", NULL);
  g_test_add_data_func_full(sqlite, g_memdup2(&func, sizeof func), on_sqlite, g_free);
  g_test_add_data_func_full(postgresql, g_memdup2(&func, sizeof func), on_postgresql, g_free);
}

int test_run(void)
{
  g_assert_true(hf_crypto_init(NULL));
  int result = g_test_run();
  if (server != 0)
    test_postgresql_stop();
  if (cluster != NULL)
    delete_tree(cluster);
  return result;
}

void test_open(TestPlace *place)
{
  GError *error = NULL;
  g_autofree char *key = g_build_filename(place->folder, "seal.key", NULL);
  place->db = hf_db_open(place->where, 4, &error);
  g_assert_no_error(error);
  place->secrets = hf_secrets_open(key, TRUE, &error);
  g_assert_no_error(error);
  place->inv = (HfInventory){place->db, place->secrets};
}

void test_close(TestPlace *place)
{
  g_clear_pointer(&place->db, hf_db_close);
  g_clear_pointer(&place->secrets, hf_secrets_free);
}

gint64 test_number(HfDb *db, const char *sql)
{
  GError *error = NULL;
  gint64 value = -1;
  g_autoptr(HfDbLink) link = hf_db_read(db, &error);
  g_assert_no_error(error);
  hf_db_query_int(link, sql, HF_DB_NONE, &value, &error);
  g_assert_no_error(error);
  return value;
}

char *test_text(HfDb *db, const char *sql)
{
  GError *error = NULL;
  g_autoptr(HfDbLink) link = hf_db_read(db, &error);
  g_assert_no_error(error);
  g_autoptr(HfDbRows) rows = hf_db_query(link, sql, HF_DB_NONE, &error);
  g_assert_no_error(error);
  g_assert_true(hf_db_next(rows, &error));
  return g_strdup(hf_db_text(rows, 0));
}

static gboolean exec_work(HfDbLink *link, gpointer user, GError **error)
{
  g_auto(GStrv) statements = g_strsplit(user, ";", -1);
  for (guint i = 0; statements[i] != NULL; i++)
    if (*g_strstrip(statements[i]) != '\0' && !hf_db_exec(link, statements[i], HF_DB_NONE, NULL, error))
      return FALSE;
  return TRUE;
}

void test_exec(HfDb *db, const char *sql)
{
  GError *error = NULL;
  hf_db_write(db, exec_work, (gpointer)sql, &error);
  g_assert_no_error(error);
}

char *test_host(TestPlace *place, const char *name)
{
  GError *error = NULL;
  g_autoptr(HfHostRow) row = g_new0(HfHostRow, 1);
  row->name = g_strdup(name);
  row->address = g_strdup_printf("%s.example", name);
  hf_inv_host_create(&place->inv, &test_actor, row, &error);
  g_assert_no_error(error);
  return g_strdup(row->id);
}

char *test_repository(TestPlace *place, const char *name, const char *host_id)
{
  GError *error = NULL;
  g_autoptr(HfRepositoryRow) row = g_new0(HfRepositoryRow, 1);
  row->name = g_strdup(name);
  row->type = g_strdup("LinuxLocal");
  row->host_id = g_strdup(host_id);
  row->path = g_strdup_printf("/srv/%s", name);
  hf_inv_repository_create(&place->inv, &test_actor, row, &error);
  g_assert_no_error(error);
  return g_strdup(row->id);
}

char *test_job(TestPlace *place, const char *name, const char *repository_id, const char *schedule)
{
  GError *error = NULL;
  g_autoptr(HfJobRow) row = g_new0(HfJobRow, 1);
  row->name = g_strdup(name);
  row->type = g_strdup("LinuxAgentBackup");
  row->repository_id = g_strdup(repository_id);
  row->schedule = g_strdup(schedule);
  hf_inv_job_create(&place->inv, &test_actor, row, NULL, &error);
  g_assert_no_error(error);
  return g_strdup(row->id);
}

void test_refused(GError **error, HfErrorCode code, const char *holds)
{
  g_assert_error(*error, HF_ERROR, (gint)code);
  if (strstr((*error)->message, holds) == NULL)
    g_error("'%s' does not hold '%s'", (*error)->message, holds);
  g_clear_error(error);
}
