/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "storage/local/fds.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/sys.h"

static int open_null(void)
{
  int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  g_assert_cmpint(fd, >=, 0);
  return fd;
}

static gboolean is_open(int fd)
{
  return fcntl(fd, F_GETFD) >= 0;
}

/* Adds a new descriptor under `name` and lets go of it; its number. */
static int add(HfFds *fds, const char *name)
{
  guint stamp;
  g_assert_null(hf_fds_find(fds, name, &stamp));
  g_autoptr(HfFd) added = hf_fds_add(fds, name, open_null(), stamp);
  return added->fd;
}

static gboolean has(HfFds *fds, const char *name)
{
  guint stamp;
  g_autoptr(HfFd) found = hf_fds_find(fds, name, &stamp);
  return found != NULL;
}

static void test_limit(void)
{
  HfFds *fds = hf_fds_new(2);
  int a = add(fds, "a"), b = add(fds, "b");
  g_assert_true(has(fds, "a")); /* b is the older one now */
  int c = add(fds, "c");
  g_assert_true(is_open(a));
  g_assert_false(is_open(b));
  g_assert_false(has(fds, "b"));
  hf_fds_free(fds);
  g_assert_false(is_open(a));
  g_assert_false(is_open(c));
  hf_fds_free(NULL);
}

static void test_holders(void)
{
  HfFds *fds = hf_fds_new(2);
  guint stamp;
  int number = add(fds, "a");
  HfFd *held = hf_fds_find(fds, "a", &stamp);
  g_assert_cmpint(held->fd, ==, number);
  hf_fds_drop(fds, "a");
  g_assert_false(has(fds, "a"));
  g_assert_true(is_open(number)); /* still ours */
  hf_fd_unref(held);
  g_assert_false(is_open(number));
  hf_fd_unref(NULL);
  hf_fds_free(fds);
}

/* What was opened before a removal may be what was removed: it is used once and not kept. */
static void test_stamp(void)
{
  HfFds *fds = hf_fds_new(2);
  guint stamp;
  g_assert_null(hf_fds_find(fds, "a", &stamp));
  hf_fds_drop(fds, "a");
  HfFd *used = hf_fds_add(fds, "a", open_null(), stamp);
  int number = used->fd;
  g_assert_false(has(fds, "a"));
  g_assert_true(is_open(number));
  hf_fd_unref(used);
  g_assert_false(is_open(number));
  hf_fds_free(fds);
}

static void test_two_at_once(void)
{
  HfFds *fds = hf_fds_new(2);
  guint stamp;
  g_assert_null(hf_fds_find(fds, "a", &stamp));
  g_autoptr(HfFd) first = hf_fds_add(fds, "a", open_null(), stamp);
  int number = open_null();
  g_autoptr(HfFd) second = hf_fds_add(fds, "a", number, stamp);
  g_assert_true(first == second);
  g_assert_false(is_open(number));
  hf_fds_free(fds);
}

/* ---- Syncs. ---- */

static struct {
  GMutex mutex;
  GCond changed;
  guint entered, let_in; /* fsync calls that began; that may end */
  int errnums[8];        /* what each gives, in order */
} gate;

static int gated_fsync(int fd G_GNUC_UNUSED)
{
  g_mutex_lock(&gate.mutex);
  guint number = gate.entered++;
  g_cond_broadcast(&gate.changed);
  while (gate.let_in <= number)
    g_cond_wait(&gate.changed, &gate.mutex);
  g_mutex_unlock(&gate.mutex);
  errno = gate.errnums[number];
  return errno != 0 ? -1 : 0;
}

static void let_in(guint count)
{
  g_mutex_lock(&gate.mutex);
  gate.let_in += count;
  g_cond_broadcast(&gate.changed);
  g_mutex_unlock(&gate.mutex);
}

static void wait_entered(guint count)
{
  g_mutex_lock(&gate.mutex);
  while (gate.entered < count)
    g_cond_wait(&gate.changed, &gate.mutex);
  g_mutex_unlock(&gate.mutex);
}

static void wait_asked(HfFd *fd, guint64 count)
{
  for (gboolean enough = FALSE; !enough; g_usleep(1000)) {
    g_mutex_lock(&fd->mutex);
    enough = fd->asked >= count;
    g_mutex_unlock(&fd->mutex);
  }
}

static gpointer sync_it(gpointer data)
{
  return GINT_TO_POINTER(hf_fd_sync(data, 0));
}

static const HfSys *real;
static HfSys table;

static HfFd *set_up(void)
{
  real = hf_sys;
  table = *hf_sys;
  table.fsync = gated_fsync;
  hf_sys = &table;
  gate.entered = gate.let_in = 0;
  for (gsize i = 0; i < G_N_ELEMENTS(gate.errnums); i++)
    gate.errnums[i] = 0;
  return hf_fd_new("folder", open_null());
}

static void tear_down(HfFd *fd)
{
  hf_fd_unref(fd);
  hf_sys = real;
}

/* A sync that runs already may have missed the change: who comes during it waits for the next, all together. */
static void test_shared_sync(void)
{
  HfFd *fd = set_up();
  GThread *first = g_thread_new("first", sync_it, fd);
  wait_entered(1);
  GThread *late[3];
  for (gsize i = 0; i < G_N_ELEMENTS(late); i++)
    late[i] = g_thread_new("late", sync_it, fd);
  wait_asked(fd, 4);
  g_assert_cmpuint(gate.entered, ==, 1);
  let_in(1);
  g_assert_cmpint(GPOINTER_TO_INT(g_thread_join(first)), ==, 0);
  wait_entered(2);
  let_in(1);
  for (gsize i = 0; i < G_N_ELEMENTS(late); i++)
    g_assert_cmpint(GPOINTER_TO_INT(g_thread_join(late[i])), ==, 0);
  g_assert_cmpuint(gate.entered, ==, 2);
  tear_down(fd);
}

/* The kernel tells one caller of lost writes, once. All whose changes may be among them have to hear of it. */
static void test_failed_sync(void)
{
  HfFd *fd = set_up();
  gate.errnums[0] = ENOSPC;
  GThread *first = g_thread_new("first", sync_it, fd);
  wait_entered(1);
  GThread *late = g_thread_new("late", sync_it, fd); /* its change was made before the failure */
  wait_asked(fd, 2);
  let_in(2);
  g_assert_cmpint(GPOINTER_TO_INT(g_thread_join(first)), ==, ENOSPC);
  g_assert_cmpint(GPOINTER_TO_INT(g_thread_join(late)), ==, EIO);
  let_in(2);
  g_assert_cmpint(hf_fd_sync(fd, 0), ==, EIO); /* an old change stays in doubt */
  guint failures = hf_fd_failures(fd);
  g_assert_cmpuint(failures, ==, 1);
  g_assert_cmpint(hf_fd_sync(fd, failures), ==, 0); /* a new one is fine */
  tear_down(fd);
}

static void test_sync_errors(void)
{
  HfFd *fd = set_up();
  let_in(8);
  gate.errnums[0] = EINTR;  /* again */
  gate.errnums[1] = EINVAL; /* no such thing here: as good as it gets */
  gate.errnums[2] = EOPNOTSUPP;
  gate.errnums[3] = EIO;
  g_assert_cmpint(hf_fd_sync(fd, 0), ==, 0);
  g_assert_cmpuint(gate.entered, ==, 2);
  g_assert_cmpint(hf_fd_sync(fd, 0), ==, 0);
  g_assert_cmpint(hf_fd_sync(fd, 0), ==, EIO);
  tear_down(fd);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/storage/fds/limit", test_limit);
  g_test_add_func("/storage/fds/holders", test_holders);
  g_test_add_func("/storage/fds/stamp", test_stamp);
  g_test_add_func("/storage/fds/two-at-once", test_two_at_once);
  g_test_add_func("/storage/fds/shared-sync", test_shared_sync);
  g_test_add_func("/storage/fds/failed-sync", test_failed_sync);
  g_test_add_func("/storage/fds/sync-errors", test_sync_errors);
  return g_test_run();
}
