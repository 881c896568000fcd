/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/portpool.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "net/connect.h"
#include "ports/catalogue/catalogue.h"

#define SERVICE "channels"

struct HfPortPool {
  char *folder;
  int fd; /* the folder */
  guint16 first, last;
};

HfPortPool *hf_port_pool_new(const char *folder, guint16 first, guint16 last, GError **error)
{
  if (first == 0 && last == 0) {
    const HfPortService *service = hf_port_service(SERVICE);
    first = service->first;
    last = service->last;
  }
  if (first == 0 || last < first) {
    (void)hf_fail(error, HF_ERROR_USAGE, "%u to %u is no range of ports", first, last);
    return NULL;
  }
  int fd = -1;
  if (g_mkdir_with_parents(folder, 0700) != 0 || (fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
    (void)hf_fail_errno(error, errno, "cannot use the folder '%s' for the locks of ports", folder);
    return NULL;
  }
  HfPortPool *pool = g_new0(HfPortPool, 1);
  *pool = (HfPortPool){ g_strdup(folder), fd, first, last };
  return pool;
}

void hf_port_pool_free(HfPortPool *pool)
{
  if (pool == NULL)
    return;
  close(pool->fd);
  g_free(pool->folder);
  g_free(pool);
}

/* The lock of a port, -1 when another holds it (error not set) or it cannot be made. Lock files stay: who removed one
 * could remove it under somebody who is about to lock it. */
static int lock_port(HfPortPool *pool, guint16 port, GError **error)
{
  char name[8];
  g_snprintf(name, sizeof name, "%u", port);
  int fd = openat(pool->fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) {
    (void)hf_fail_errno(error, errno, "cannot lock port %u in '%s'", port, pool->folder);
    return -1;
  }
  if (flock(fd, LOCK_EX | LOCK_NB) == 0)
    return fd;
  int failure = errno;
  close(fd);
  if (failure != EWOULDBLOCK)
    (void)hf_fail_errno(error, failure, "cannot lock port %u in '%s'", port, pool->folder);
  return -1;
}

/* *lease stays NULL when the port is taken. FALSE when no other need be tried. */
static gboolean try_port(HfPortPool *pool, guint16 port, const char *address, HfPortLease **lease, GError **error)
{
  g_autoptr(GError) cause = NULL;
  int lock = lock_port(pool, port, &cause);
  if (lock < 0 && cause == NULL)
    return TRUE;
  int fd = lock < 0 ? -1 : hf_net_listen(address, port, &cause);
  if (fd >= 0) {
    *lease = g_new(HfPortLease, 1);
    **lease = (HfPortLease){ port, fd, lock };
    return TRUE;
  }
  if (lock >= 0)
    close(lock);
  if (lock >= 0 && hf_error_is(cause, HF_ERROR_EXISTS))
    return TRUE;
  g_propagate_error(error, g_steal_pointer(&cause));
  return FALSE;
}

HfPortLease *hf_port_take(HfPortPool *pool, const char *address, GError **error)
{
  HfPortLease *lease = NULL;
  for (guint port = pool->first; port <= pool->last && lease == NULL; port++) {
    if (!try_port(pool, (guint16)port, address, &lease, error))
      return NULL;
  }
  if (lease == NULL)
    (void)hf_fail(error, HF_ERROR_BUSY, "all ports from %u to %u are in use; let fewer tasks run at a time, or "
                  "configure a larger range", pool->first, pool->last);
  return lease;
}

int hf_port_accept(HfPortLease *lease, const char *from, int timeout_ms, char **peer, GError **error)
{
  gint64 until = hf_clock_monotonic_us() + (gint64)timeout_ms * 1000;
  for (;;) {
    g_autofree char *who = NULL;
    gint64 left = timeout_ms < 0 ? -1 : MAX((until - hf_clock_monotonic_us()) / 1000, 0);
    int fd = hf_net_accept(lease->fd, (int)left, &who, error);
    if (fd < 0)
      return -1;
    g_autofree char *address = hf_net_peer_address(fd);
    if (from != NULL && strcmp(address, from) != 0) {
      g_info("port %u is for '%s': '%s' was turned away", lease->port, from, who);
      close(fd);
      continue;
    }
    close(lease->fd);
    lease->fd = -1;
    if (peer != NULL)
      *peer = g_steal_pointer(&who);
    return fd;
  }
}

gboolean hf_port_listen_again(HfPortLease *lease, const char *address, GError **error)
{
  if (lease->fd < 0)
    lease->fd = hf_net_listen(address, lease->port, error);
  return lease->fd >= 0;
}

void hf_port_lease_stop(HfPortLease *lease)
{
  (void)shutdown(lease->fd, SHUT_RDWR);
}

void hf_port_release(HfPortLease *lease)
{
  if (lease == NULL)
    return;
  if (lease->fd >= 0)
    close(lease->fd);
  close(lease->lock);
  g_free(lease);
}
