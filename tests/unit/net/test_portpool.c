/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ports of data connections: one holder each, across threads, processes and kill -9. */
#include "net/portpool.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "fleet.h"
#include "net/connect.h"
#include "ports/catalogue/catalogue.h"

#define PORTS 12u
#define CHILDREN 4
#define ROUNDS 60

static char *folder;
static guint16 first; /* of a range that is free, as far as that can be known */

/* Finds a stretch of free ports above those that the system gives out by itself. */
static guint16 find_range(void)
{
  for (guint start = 61200; start < 65000; start += 97) {
    gboolean free_range = TRUE;
    for (guint i = 0; i < PORTS && free_range; i++) {
      int fd = hf_net_listen("127.0.0.1", (guint16)(start + i), NULL);
      free_range = fd >= 0;
      if (fd >= 0)
        close(fd);
    }
    if (free_range)
      return (guint16)start;
  }
  g_error("no free ports");
}

static HfPortPool *new_pool(guint n)
{
  GError *error = NULL;
  HfPortPool *pool = hf_port_pool_new(folder, first, (guint16)(first + n - 1), &error);
  g_assert_no_error(error);
  return pool;
}

static void test_ascending(void)
{
  g_autoptr(HfPortPool) pool = new_pool(3);
  g_autoptr(HfPortPool) other = new_pool(3);
  GError *error = NULL;
  HfPortLease *a = hf_port_take(pool, "127.0.0.1", &error), *b = hf_port_take(other, "127.0.0.1", &error);
  HfPortLease *c = hf_port_take(pool, "127.0.0.1", &error);
  g_assert_no_error(error);
  g_assert_cmpuint(a->port, ==, first);
  g_assert_cmpuint(b->port, ==, first + 1);
  g_assert_cmpuint(c->port, ==, first + 2);
  g_assert_null(hf_port_take(other, "127.0.0.1", &error));
  assert_error(error, HF_ERROR_BUSY, "are in use");
  g_clear_error(&error);
  hf_port_release(b);
  b = hf_port_take(other, NULL, &error);
  g_assert_no_error(error);
  g_assert_cmpuint(b->port, ==, first + 1);
  hf_port_release(a);
  hf_port_release(b);
  hf_port_release(c);
  hf_port_release(NULL);
}

/* A port that somebody else has is passed over. */
static void test_foreign(void)
{
  g_autoptr(HfPortPool) pool = new_pool(2);
  GError *error = NULL;
  int foreign = hf_net_listen("127.0.0.1", first, NULL);
  g_autoptr(HfPortLease) lease = hf_port_take(pool, "127.0.0.1", &error);
  g_assert_no_error(error);
  g_assert_cmpuint(lease->port, ==, first + 1);
  close(foreign);
}

static void test_connection(void)
{
  g_autoptr(HfPortPool) pool = new_pool(1);
  GError *error = NULL;
  g_autofree char *peer = NULL;
  g_autoptr(HfPortLease) lease = hf_port_take(pool, "127.0.0.1", &error);
  int stranger = hf_net_connect("127.0.0.1", first, 5000, NULL);
  g_assert_cmpint(hf_port_accept(lease, "192.0.2.1", 50, NULL, &error), ==, -1);
  assert_error(error, HF_ERROR_IO, "nobody connected");
  g_clear_error(&error);
  char byte;
  int got;
  while ((got = (int)recv(stranger, &byte, 1, 0)) < 0 && errno == EAGAIN)
    g_usleep(1000);
  g_assert_cmpint(got, <=, 0); /* turned away */
  close(stranger);

  int near = hf_net_connect("127.0.0.1", first, 5000, NULL);
  int far = hf_port_accept(lease, "127.0.0.1", 5000, &peer, &error);
  g_assert_no_error(error);
  g_assert_true(g_str_has_prefix(peer, "127.0.0.1 port "));
  /* One connection: nobody listens any more, and nobody else gets the port while it lives. */
  g_assert_cmpint(hf_net_connect("127.0.0.1", first, 5000, NULL), ==, -1);
  g_assert_null(hf_port_take(pool, "127.0.0.1", NULL));
  close(near);
  close(far);

  /* It was a stranger after all. */
  g_assert_true(hf_port_listen_again(lease, "127.0.0.1", &error));
  g_assert_true(hf_port_listen_again(lease, "127.0.0.1", &error));
  near = hf_net_connect("127.0.0.1", first, 5000, &error);
  g_assert_no_error(error);
  far = hf_port_accept(lease, NULL, -1, NULL, &error);
  g_assert_cmpint(far, >=, 0);
  close(near);
  close(far);
}

static gpointer stop(gpointer lease)
{
  g_usleep(30000);
  hf_port_lease_stop(lease);
  return NULL;
}

static void test_stop(void)
{
  g_autoptr(HfPortPool) pool = new_pool(1);
  GError *error = NULL;
  g_autoptr(HfPortLease) lease = hf_port_take(pool, "127.0.0.1", NULL);
  GThread *thread = g_thread_new("stop", stop, lease);
  g_assert_cmpint(hf_port_accept(lease, NULL, -1, NULL, &error), ==, -1);
  assert_error(error, HF_ERROR_CANCELLED, "no longer listening");
  g_clear_error(&error);
  g_thread_join(thread);
}

/* A process that takes and gives back, and writes each port it holds to a pipe: +PORT, -PORT. */
static void child(int pipe_fd)
{
  HfPortPool *pool = new_pool(PORTS);
  HfPortLease *held[3] = { NULL };
  for (guint i = 0; i < ROUNDS; i++) {
    guint slot = i % G_N_ELEMENTS(held);
    gint16 told;
    if (held[slot] != NULL) {
      told = (gint16)-(gint)(held[slot]->port - first + 1);
      g_assert_cmpint(write(pipe_fd, &told, sizeof told), ==, sizeof told);
      hf_port_release(held[slot]);
    }
    held[slot] = hf_port_take(pool, "127.0.0.1", NULL);
    g_assert_nonnull(held[slot]);
    told = (gint16)(held[slot]->port - first + 1);
    g_assert_cmpint(write(pipe_fd, &told, sizeof told), ==, sizeof told);
  }
  pause(); /* killed with three ports in hand */
}

static void test_processes(void)
{
  int pipe_fds[2];
  pid_t children[CHILDREN];
  gint holders[PORTS + 1] = { 0 };
  g_assert_cmpint(pipe(pipe_fds), ==, 0);
  for (guint i = 0; i < CHILDREN; i++) {
    children[i] = fork();
    if (children[i] == 0) {
      child(pipe_fds[1]);
      _exit(1);
    }
  }
  /* A release is told before it is done, a take after: so no port may ever have two holders. */
  for (guint n = 0; n < CHILDREN * (ROUNDS + ROUNDS - 3); n++) {
    gint16 told;
    g_assert_cmpint(read(pipe_fds[0], &told, sizeof told), ==, sizeof told);
    gint *holder = &holders[ABS(told)];
    *holder += told > 0 ? 1 : -1;
    g_assert_cmpint(*holder, >=, 0);
    g_assert_cmpint(*holder, <=, 1);
  }
  g_autoptr(HfPortPool) pool = new_pool(PORTS);
  g_assert_null(hf_port_take(pool, "127.0.0.1", NULL));
  for (guint i = 0; i < CHILDREN; i++)
    g_assert_cmpint(kill(children[i], SIGKILL), ==, 0);
  for (guint i = 0; i < CHILDREN; i++)
    g_assert_cmpint(waitpid(children[i], NULL, 0), ==, children[i]);
  /* The kernel has given them all back. */
  HfPortLease *leases[PORTS];
  for (guint i = 0; i < PORTS; i++) {
    leases[i] = hf_port_take(pool, "127.0.0.1", NULL);
    g_assert_nonnull(leases[i]);
    g_assert_cmpuint(leases[i]->port, ==, first + i);
  }
  for (guint i = 0; i < PORTS; i++)
    hf_port_release(leases[i]);
  close(pipe_fds[0]);
  close(pipe_fds[1]);
}

static void test_bad(void)
{
  GError *error = NULL;
  g_assert_null(hf_port_pool_new(folder, 20, 10, &error));
  assert_error(error, HF_ERROR_USAGE, "no range of ports");
  g_clear_error(&error);
  g_assert_null(hf_port_pool_new("/proc/nowhere", 10, 20, &error));
  assert_error(error, HF_ERROR_NOT_FOUND, "cannot use the folder");
  g_clear_error(&error);
  hf_port_pool_free(NULL);

  /* A lock that cannot be made. */
  g_autofree char *name = g_strdup_printf("%s/%u", folder, first);
  g_assert_cmpint(g_remove(name), ==, 0);
  g_assert_cmpint(symlink("elsewhere", name), ==, 0);
  g_autoptr(HfPortPool) pool = new_pool(1);
  g_assert_null(hf_port_take(pool, "127.0.0.1", &error));
  assert_error(error, HF_ERROR_IO, "cannot lock port");
  g_clear_error(&error);
  g_assert_cmpint(g_remove(name), ==, 0);

  /* An address that is not ours is no reason to try other ports. */
  g_assert_null(hf_port_take(pool, "192.0.2.1", &error));
  assert_error(error, HF_ERROR_IO, "192.0.2.1");
  g_clear_error(&error);
}

static void test_catalogue(void)
{
  g_autoptr(HfPortPool) pool = hf_port_pool_new(folder, 0, 0, NULL);
  GError *error = NULL;
  g_autoptr(HfPortLease) lease = hf_port_take(pool, "127.0.0.1", &error);
  g_assert_no_error(error);
  g_assert_cmpuint(lease->port, >=, hf_port_service("channels")->first);
  g_assert_cmpuint(lease->port, <=, hf_port_service("channels")->last);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_autofree char *place = g_dir_make_tmp("holdfast-ports-XXXXXX", NULL);
  folder = g_build_filename(place, "run", "ports", NULL);
  first = find_range();
  g_test_add_func("/net/portpool/ascending", test_ascending);
  g_test_add_func("/net/portpool/foreign", test_foreign);
  g_test_add_func("/net/portpool/connection", test_connection);
  g_test_add_func("/net/portpool/stop", test_stop);
  g_test_add_func("/net/portpool/processes", test_processes);
  g_test_add_func("/net/portpool/bad", test_bad);
  g_test_add_func("/net/portpool/catalogue", test_catalogue);
  int result = g_test_run();
  char *arguments[] = { (char *)"rm", (char *)"-rf", (char *)"--", place, NULL };
  (void)g_spawn_sync(NULL, arguments, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL);
  g_free(folder);
  return result;
}
