/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/error.h"
#include "base/work.h"

/* A job is a number. What it does is said by the test's function; what happened to it is counted here. */
typedef struct Ground {
  HfPool *pool;
  gint ran, workers_made, workers_freed; /* atomic */
  GMutex mutex;
  GString *order;    /* of jobs run, guarded by mutex */
  gint gate;         /* atomic: 0 holds jobs that wait for it */
  guint fail_worker; /* making the n-th worker fails */
} Ground;

typedef struct Worker {
  Ground *ground;
  GThread *thread; /* on which it was made */
} Worker;

static gint dropped; /* atomic; drop has no user pointer */

static void count_drop(gpointer job G_GNUC_UNUSED)
{
  g_atomic_int_inc(&dropped);
}

static void note(Ground *ground, gpointer job)
{
  HF_LOCK(&ground->mutex);
  g_string_append_printf(ground->order, "%u ", GPOINTER_TO_UINT(job));
}

static gpointer make_worker(gpointer user, GError **error)
{
  Ground *ground = user;
  guint number = (guint)g_atomic_int_add(&ground->workers_made, 1) + 1;
  if (number == ground->fail_worker) {
    hf_fail(error, HF_ERROR_FAILED, "no worker %u", number);
    return NULL;
  }
  Worker *worker = g_new(Worker, 1);
  *worker = (Worker){ ground, g_thread_self() };
  return worker;
}

static void free_worker(gpointer data)
{
  Worker *worker = data;
  g_assert_true(worker->thread == g_thread_self());
  g_atomic_int_inc(&worker->ground->workers_freed);
  g_free(worker);
}

static void wait_for_gate(Ground *ground)
{
  while (g_atomic_int_get(&ground->gate) == 0)
    g_usleep(200);
}

/* Job 1 waits for the gate, so that the others queue up behind it. */
static gboolean run_noting(gpointer job, gpointer worker, gpointer user, GError **error G_GNUC_UNUSED)
{
  Ground *ground = user;
  g_assert_true(((Worker *)worker)->ground == ground);
  g_assert_true(((Worker *)worker)->thread == g_thread_self());
  g_atomic_int_inc(&ground->ran);
  note(ground, job);
  if (GPOINTER_TO_UINT(job) == 1)
    wait_for_gate(ground);
  return TRUE;
}

/* A job n > 1 pushes two of n - 1: 2^n - 1 jobs in all. */
static gboolean run_splitting(gpointer job, gpointer worker G_GNUC_UNUSED, gpointer user, GError **error G_GNUC_UNUSED)
{
  Ground *ground = user;
  guint depth = GPOINTER_TO_UINT(job);
  g_atomic_int_inc(&ground->ran);
  if (depth > 1) {
    hf_pool_push(ground->pool, GUINT_TO_POINTER(depth - 1));
    hf_pool_push_front(ground->pool, GUINT_TO_POINTER(depth - 1));
  }
  return TRUE;
}

/* Job 1 waits for the gate; job 13 fails, 14 fails without a reason. */
static gboolean run_failing(gpointer job, gpointer worker G_GNUC_UNUSED, gpointer user, GError **error)
{
  Ground *ground = user;
  guint number = GPOINTER_TO_UINT(job);
  g_atomic_int_inc(&ground->ran);
  if (number == 1)
    wait_for_gate(ground);
  if (number == 13)
    return hf_fail(error, HF_ERROR_IO, "job %u", number);
  return number != 14;
}

static void set_up(Ground *ground, guint threads, HfJobFunc run, HfCancel *cancel, guint fail_worker)
{
  *ground = (Ground){ .fail_worker = fail_worker };
  HfPoolOps ops = { .new_worker = make_worker, .free_worker = free_worker, .run = run, .drop = count_drop };
  g_mutex_init(&ground->mutex);
  ground->order = g_string_new(NULL);
  g_atomic_int_set(&dropped, 0);
  ground->pool = hf_pool_new(threads, &ops, ground, cancel);
}

static void tear_down(Ground *ground)
{
  hf_pool_free(ground->pool);
  g_mutex_clear(&ground->mutex);
  g_string_free(ground->order, TRUE);
}

static void push_numbers(Ground *ground, guint from, guint to)
{
  for (guint i = from; i <= to; i++)
    hf_pool_push(ground->pool, GUINT_TO_POINTER(i));
}

static void wait_until_taken(Ground *ground)
{
  while (hf_pool_queued(ground->pool) > 0)
    g_usleep(200);
}

static void test_order(void)
{
  Ground ground;
  g_autoptr(GError) error = NULL;
  set_up(&ground, 1, run_noting, NULL, 0);
  push_numbers(&ground, 1, 1);
  wait_until_taken(&ground);
  push_numbers(&ground, 2, 4);
  hf_pool_push_front(ground.pool, GUINT_TO_POINTER(8));
  hf_pool_push_front(ground.pool, GUINT_TO_POINTER(9));
  g_assert_cmpuint(hf_pool_queued(ground.pool), ==, 5);
  g_atomic_int_set(&ground.gate, 1);
  g_assert_true(hf_pool_wait(ground.pool, &error));
  g_assert_no_error(error);
  g_assert_cmpstr(ground.order->str, ==, "1 8 9 4 3 2 ");
  /* The pool can be used again, and waiting with nothing to do is fine. */
  push_numbers(&ground, 5, 5);
  g_assert_true(hf_pool_wait(ground.pool, &error));
  g_assert_true(hf_pool_wait(ground.pool, &error));
  g_assert_cmpint(ground.ran, ==, 7);
  g_assert_false(hf_pool_stopping(ground.pool));
  tear_down(&ground);
  g_assert_cmpint(ground.workers_made, ==, 1);
  g_assert_cmpint(ground.workers_freed, ==, 1);
  g_assert_cmpint(dropped, ==, 0);
}

static void test_jobs_push_jobs(void)
{
  Ground ground;
  set_up(&ground, 4, run_splitting, NULL, 0);
  for (guint round = 1; round <= 20; round++) {
    push_numbers(&ground, 10, 10);
    g_assert_true(hf_pool_wait(ground.pool, NULL));
    g_assert_cmpint(ground.ran, ==, (gint)(round * 1023));
    g_assert_cmpuint(hf_pool_queued(ground.pool), ==, 0);
  }
  tear_down(&ground);
  g_assert_cmpint(ground.workers_freed, ==, 4);
}

static void test_error(void)
{
  Ground ground;
  g_autoptr(GError) error = NULL;
  set_up(&ground, 1, run_failing, NULL, 0);
  push_numbers(&ground, 1, 1);
  wait_until_taken(&ground);
  push_numbers(&ground, 2, 12);
  hf_pool_push_front(ground.pool, GUINT_TO_POINTER(13));
  g_atomic_int_set(&ground.gate, 1);
  g_assert_false(hf_pool_wait(ground.pool, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_IO);
  g_assert_cmpstr(error->message, ==, "job 13");
  g_assert_cmpint(ground.ran, ==, 2);
  g_assert_cmpint(dropped, ==, 11);
  g_assert_true(hf_pool_stopping(ground.pool));
  push_numbers(&ground, 30, 30);
  hf_pool_push_front(ground.pool, GUINT_TO_POINTER(31));
  g_assert_cmpint(ground.ran, ==, 2);
  g_assert_cmpint(dropped, ==, 13);
  g_clear_error(&error);
  g_assert_false(hf_pool_wait(ground.pool, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_IO);
  g_assert_false(hf_pool_wait(ground.pool, NULL));
  tear_down(&ground);
}

static void test_error_without_reason(void)
{
  Ground ground;
  g_autoptr(GError) error = NULL;
  set_up(&ground, 2, run_failing, NULL, 0);
  push_numbers(&ground, 14, 14);
  g_assert_false(hf_pool_wait(ground.pool, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_FAILED);
  tear_down(&ground);
}

/* Many jobs fail at once: one error is kept, none leaks, each job has one end. */
static void test_many_errors(void)
{
  Ground ground;
  g_autoptr(GError) error = NULL;
  set_up(&ground, 4, run_failing, NULL, 0);
  for (guint i = 0; i < 500; i++)
    push_numbers(&ground, 13, 13);
  g_assert_false(hf_pool_wait(ground.pool, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_IO);
  tear_down(&ground);
  g_assert_cmpint(ground.ran + dropped, ==, 500);
}

static void test_cancel(void)
{
  Ground ground;
  HfCancel cancel = { 0 };
  g_autoptr(GError) error = NULL;
  set_up(&ground, 2, run_failing, &cancel, 0);
  push_numbers(&ground, 1, 1);
  wait_until_taken(&ground);
  hf_cancel_set(&cancel);
  g_assert_true(hf_pool_stopping(ground.pool));
  push_numbers(&ground, 2, 6);
  g_atomic_int_set(&ground.gate, 1);
  g_assert_false(hf_pool_wait(ground.pool, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_CANCELLED);
  g_assert_cmpint(ground.ran, ==, 1);
  g_assert_cmpint(dropped, ==, 5);
  tear_down(&ground);
}

/* A job that saw the cancel and ended early without an error must not pass for success. */
static void test_cancel_after_last_job(void)
{
  Ground ground;
  HfCancel cancel = { 0 };
  g_autoptr(GError) error = NULL;
  set_up(&ground, 1, run_failing, &cancel, 0);
  push_numbers(&ground, 2, 2);
  g_assert_true(hf_pool_wait(ground.pool, &error));
  hf_cancel_set(&cancel);
  g_assert_false(hf_pool_wait(ground.pool, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_CANCELLED);
  tear_down(&ground);
}

static void test_worker_cannot_be_made(void)
{
  Ground ground;
  g_autoptr(GError) error = NULL;
  set_up(&ground, 3, run_failing, NULL, 2);
  push_numbers(&ground, 2, 11);
  g_assert_false(hf_pool_wait(ground.pool, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_FAILED);
  g_assert_cmpstr(error->message, ==, "no worker 2");
  tear_down(&ground);
  g_assert_cmpint(ground.ran + dropped, ==, 10);
  g_assert_cmpint(ground.workers_made, ==, 3);
  g_assert_cmpint(ground.workers_freed, ==, 2);
}

static void test_free_drops(void)
{
  Ground ground;
  set_up(&ground, 1, run_failing, NULL, 0);
  push_numbers(&ground, 1, 1);
  wait_until_taken(&ground);
  push_numbers(&ground, 2, 6);
  /* Job 1 runs on while the pool is being freed: it ends once it sees that. */
  g_atomic_int_set(&ground.gate, 1);
  tear_down(&ground);
  g_assert_cmpint(ground.ran + dropped, ==, 6);
  hf_pool_free(NULL);
}

static gboolean run_plain(gpointer job, gpointer worker, gpointer user, GError **error G_GNUC_UNUSED)
{
  g_assert_null(worker);
  g_atomic_int_inc((gint *)user);
  return job != NULL;
}

/* Only run is given; the thread count 0 means one. */
static void test_bare_ops(void)
{
  HfPoolOps ops = { .run = run_plain };
  gint ran = 0;
  g_autoptr(HfPool) pool = hf_pool_new(0, &ops, &ran, NULL);
  hf_pool_push(pool, &ran);
  g_assert_true(hf_pool_wait(pool, NULL));
  hf_pool_push(pool, NULL);
  g_assert_false(hf_pool_wait(pool, NULL));
  hf_pool_push(pool, &ran);
  g_assert_cmpint(ran, ==, 2);
}

static void test_processors(void)
{
  g_unsetenv("HOLDFAST_THREADS");
  guint real = hf_processors();
  g_assert_cmpuint(real, >=, 1);
  g_setenv("HOLDFAST_THREADS", "256", TRUE);
  g_assert_cmpuint(hf_processors(), ==, 256);
  static const char *const bad[] = { "0", "257", "x", "" };
  for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
    g_setenv("HOLDFAST_THREADS", bad[i], TRUE);
    g_assert_cmpuint(hf_processors(), ==, real);
  }
  g_unsetenv("HOLDFAST_THREADS");
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/pool/order", test_order);
  g_test_add_func("/pool/jobs-push-jobs", test_jobs_push_jobs);
  g_test_add_func("/pool/error", test_error);
  g_test_add_func("/pool/error-without-reason", test_error_without_reason);
  g_test_add_func("/pool/many-errors", test_many_errors);
  g_test_add_func("/pool/cancel", test_cancel);
  g_test_add_func("/pool/cancel-after-last-job", test_cancel_after_last_job);
  g_test_add_func("/pool/worker-cannot-be-made", test_worker_cannot_be_made);
  g_test_add_func("/pool/free-drops", test_free_drops);
  g_test_add_func("/pool/bare-ops", test_bare_ops);
  g_test_add_func("/pool/processors", test_processors);
  return g_test_run();
}
