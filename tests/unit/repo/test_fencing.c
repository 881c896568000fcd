/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who decides a session's outcome: threads and processes that commit and fence at the same time, are killed, or are
 * stopped for long and go on. However it ends: what a writer was told is what is listed. */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "repo/objects.h"
#include "repo/points.h"
#include "repo/sessionstate.h"
#include "repolab.h"

#define BEAT_MS "20"
#define ROUNDS 60

/* What a child says by its exit code. */
enum { CHILD_COMMITTED = 10, CHILD_FENCED = 11, CHILD_FAILED = 12 };

static guint count_names(Lab *lab, const char *prefix)
{
  g_autoptr(GPtrArray) names = lab_names(lab, prefix);
  return names->len;
}

static guint count_points(HfRepo *repo)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GPtrArray) points = hf_points_load(repo, NULL, &error);
  g_assert_no_error(error);
  return points->len;
}

static gboolean put_fence(HfStore *store, const HfShortId *session)
{
  char name[HF_NAME_BYTES];
  g_autoptr(GBytes) record = hf_outcome_encode(HF_OUTCOME_FENCED, NULL);
  hf_name_session(name, session, "outcome");
  return hf_store_put(store, name, g_bytes_get_data(record, NULL), g_bytes_get_size(record), NULL);
}

/* ---- Threads. ---- */

typedef struct Fencer {
  HfStore *store;
  HfShortId session;
  gulong delay;
  gboolean won;
} Fencer;

static gpointer fence(gpointer user)
{
  Fencer *fencer = user;
  g_usleep(fencer->delay);
  fencer->won = put_fence(fencer->store, &fencer->session);
  return NULL;
}

static void test_threads(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  g_autoptr(HfRepo) repo = lab_open_full(lab), other = lab_open_full(lab);
  guint committed = 0, fenced = 0;
  for (guint i = 0; i < 4 * ROUNDS; i++) {
    g_autoptr(GError) error = NULL;
    HfSession *session = hf_session_open(repo, HF_PURPOSE_BACKUP, &error);
    Fencer fencer = { other->store, *hf_session_id(session), (gulong)g_test_rand_int_range(0, 1500), FALSE };
    GThread *thread = g_thread_new("fence", fence, &fencer);
    gboolean done = lab_try_commit(session, repo, "one", NULL, &error);
    g_thread_join(thread);
    hf_session_free(session);
    g_assert_true(done || fencer.won);
    if (!done)
      g_assert_error(error, HF_ERROR, HF_ERROR_FENCED);
    committed += done;
    fenced += !done;
    /* A fence that came after all was over is void. */
    g_assert_true(hf_sessions_tidy(other, NULL));
    g_assert_cmpuint(count_names(lab, "sessions/"), ==, 0);
  }
  g_assert_cmpuint(count_points(other), ==, committed);
  g_test_message("%u committed, %u fenced", committed, fenced);
}

/* Many finish the same commits at once, while others open and tidy. */
static gpointer open_often(gpointer user)
{
  Lab *lab = user;
  for (guint i = 0; i < 10; i++) {
    g_autoptr(HfRepo) repo = lab_open_full(lab);
    g_assert_true(hf_sessions_tidy(repo, NULL));
  }
  return NULL;
}

static gpointer commit_often(gpointer user)
{
  g_autoptr(HfRepo) repo = lab_open_full(user);
  for (guint i = 0; i < 10; i++)
    lab_commit(repo, "one");
  return NULL;
}

static void test_finishers(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  GThread *threads[6];
  for (guint i = 0; i < 6; i++)
    threads[i] = g_thread_new("worker", i < 3 ? commit_often : open_often, lab);
  for (guint i = 0; i < 6; i++)
    g_thread_join(threads[i]);
  g_autoptr(HfRepo) repo = lab_open_full(lab);
  g_assert_cmpuint(count_points(repo), ==, 30);
  g_assert_cmpuint(count_names(lab, "points/"), ==, 90);
  g_assert_cmpuint(count_names(lab, "sessions/"), ==, 0);
}

/* ---- Processes. ---- */

/* A child that opens a session, tells its id, waits for a byte, and commits. */
typedef struct Child {
  pid_t pid;
  int to, from;
  HfShortId session;
} Child;

static void child_main(Lab *lab, int in, int out)
{
  char byte;
  g_autoptr(GError) error = NULL;
  HfRepo *repo = lab_open_full(lab);
  HfSession *session = hf_session_open(repo, HF_PURPOSE_BACKUP, &error);
  if (session == NULL || write(out, hf_session_id(session), sizeof(HfShortId)) != sizeof(HfShortId) ||
      read(in, &byte, 1) != 1)
    _exit(CHILD_FAILED);
  gboolean done = lab_try_commit(session, repo, "one", NULL, &error);
  hf_session_free(session);
  _exit(done ? CHILD_COMMITTED : hf_error_is(error, HF_ERROR_FENCED) ? CHILD_FENCED : CHILD_FAILED);
}

static Child child_start(Lab *lab)
{
  int to[2], from[2];
  g_assert_true(pipe(to) == 0 && pipe(from) == 0);
  Child child = { .pid = fork() };
  g_assert_cmpint(child.pid, >=, 0);
  if (child.pid == 0)
    child_main(lab, to[0], from[1]);
  close(to[0]);
  close(from[1]);
  child.to = to[1];
  child.from = from[0];
  g_assert_cmpint(read(child.from, &child.session, sizeof child.session), ==, sizeof child.session);
  return child;
}

static void child_go(const Child *child)
{
  g_assert_cmpint(write(child->to, "x", 1), ==, 1);
}

static int child_end(Child *child)
{
  int status;
  g_assert_cmpint(waitpid(child->pid, &status, 0), ==, child->pid);
  close(child->to);
  close(child->from);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void test_processes(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  g_autoptr(HfRepo) repo = lab_open_full(lab);
  guint committed = 0;
  for (guint i = 0; i < ROUNDS; i++) {
    Child child = child_start(lab);
    child_go(&child);
    g_usleep((gulong)g_test_rand_int_range(0, 2000));
    gboolean won = put_fence(repo->store, &child.session);
    int code = child_end(&child);
    g_assert_true(code == CHILD_COMMITTED || (code == CHILD_FENCED && won));
    committed += code == CHILD_COMMITTED;
    g_assert_true(hf_sessions_tidy(repo, NULL));
    g_assert_cmpuint(count_points(repo), ==, committed);
    g_assert_cmpuint(count_names(lab, "sessions/"), ==, 0);
  }
  g_test_message("%u of %d committed", committed, ROUNDS);
}

/* Killed at a random moment of its commit: the point is listed or not, and nothing needs an unlock. */
static void test_killed(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  g_autoptr(GError) error = NULL;
  guint listed = 0, told = 0;
  for (guint i = 0; i < ROUNDS; i++) {
    Child child = child_start(lab);
    child_go(&child);
    g_usleep((gulong)g_test_rand_int_range(0, 2000));
    kill(child.pid, SIGKILL);
    int code = child_end(&child);
    told += code == CHILD_COMMITTED;
    g_assert_true(code == CHILD_COMMITTED || code == -SIGKILL);
    g_autoptr(HfRepo) repo = lab_open_full(lab);
    guint now = count_points(repo);
    g_assert_true(now == listed || now == listed + 1);
    g_assert_true(code != CHILD_COMMITTED || now == listed + 1);
    listed = now;
    g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(HfShortId));
    g_array_append_val(ids, child.session);
    g_assert_true(hf_sessions_settle(repo, ids, 0, &error));
    g_assert_cmpuint(ids->len, ==, 0);
    g_assert_true(hf_sessions_tidy(repo, &error));
    g_assert_cmpuint(count_points(repo), ==, listed);
    g_assert_cmpuint(count_names(lab, "sessions/"), ==, 0);
    g_assert_cmpuint(count_names(lab, "points/"), ==, 3 * listed);
  }
  g_test_message("%u listed, %u of them reported by their writer", listed, told);
}

/* Stopped, fenced because it is silent, and gone on; with and without being cleared away meanwhile. */
static void test_stopped(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  g_autoptr(HfRepo) repo = lab_open_full(lab);
  g_autoptr(GError) error = NULL;
  for (guint i = 0; i < 4; i++) {
    Child child = child_start(lab);
    kill(child.pid, SIGSTOP);
    g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(HfShortId));
    g_array_append_val(ids, child.session);
    /* Its process is there: without patience it is at work. */
    g_assert_true(hf_sessions_settle(repo, ids, 0, &error));
    g_assert_cmpuint(ids->len, ==, 1);
    g_assert_true(hf_sessions_settle(repo, ids, 10, &error));
    g_assert_cmpuint(ids->len, ==, 0);
    if (i % 2 == 1)
      g_assert_true(hf_sessions_tidy(repo, &error));
    child_go(&child);
    kill(child.pid, SIGCONT);
    g_assert_cmpint(child_end(&child), ==, CHILD_FENCED);
    g_assert_true(hf_sessions_tidy(repo, &error));
    g_assert_cmpuint(count_names(lab, "sessions/"), ==, 0);
    g_assert_cmpuint(count_points(repo), ==, 0);
  }
}

/* Stopped in the midst of its commit, at random, while others settle and tidy. */
static void test_stopped_committing(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  g_autoptr(HfRepo) repo = lab_open_full(lab);
  g_autoptr(GError) error = NULL;
  guint committed = 0;
  for (guint i = 0; i < ROUNDS / 2; i++) {
    Child child = child_start(lab);
    child_go(&child);
    g_usleep((gulong)g_test_rand_int_range(0, 1500));
    kill(child.pid, SIGSTOP);
    g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(HfShortId));
    g_array_append_val(ids, child.session);
    g_assert_true(hf_sessions_settle(repo, ids, 10, &error));
    g_assert_cmpuint(ids->len, ==, 0);
    g_assert_true(hf_sessions_tidy(repo, &error));
    guint now = count_points(repo);
    kill(child.pid, SIGCONT);
    int code = child_end(&child);
    g_assert_true(code == CHILD_COMMITTED || code == CHILD_FENCED);
    committed += code == CHILD_COMMITTED;
    /* What was decided while it was stopped stays. */
    g_assert_cmpuint(now, ==, committed);
    g_assert_true(hf_sessions_tidy(repo, &error));
    g_assert_cmpuint(count_points(repo), ==, committed);
    g_assert_cmpuint(count_names(lab, "sessions/"), ==, 0);
  }
  g_test_message("%u of %d committed", committed, ROUNDS / 2);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_assert_true(hf_crypto_init(NULL));
  g_setenv("HOLDFAST_TEST_BEAT_MS", BEAT_MS, TRUE);
  /* Processes first: children are made while there is one thread only. */
  g_test_add_func("/fencing/processes", test_processes);
  g_test_add_func("/fencing/killed", test_killed);
  g_test_add_func("/fencing/stopped", test_stopped);
  g_test_add_func("/fencing/stopped-committing", test_stopped_committing);
  g_test_add_func("/fencing/threads", test_threads);
  g_test_add_func("/fencing/finishers", test_finishers);
  return g_test_run();
}
