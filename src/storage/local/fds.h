/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Open file descriptors that threads share: a cache by name, and a sync that serves all who wait for it. */
#pragma once

#include <glib.h>

typedef struct HfFds HfFds;

/* Holders may use `fd` until they call hf_fd_unref, also when the cache has let go of it. */
typedef struct HfFd {
  int fd;
  gint refs;
  char *name;
  GList link; /* in the cache, the youngest first; guarded by the mutex of the cache */

  GMutex mutex; /* guards what follows */
  GCond ended;
  guint64 asked, synced; /* tickets given out; tickets that an ended sync covered */
  guint failures;        /* syncs that failed */
  gboolean syncing;
} HfFd;

/* A cache that keeps the `limit` descriptors used last. */
HfFds *hf_fds_new(guint limit);
/* Waits for nobody: descriptors in use are closed by their last holder. */
void hf_fds_free(HfFds *fds);

/* The caller's reference, or NULL. *stamp is for hf_fds_add after a miss: take it before opening. */
HfFd *hf_fds_find(HfFds *fds, const char *name, guint *stamp);
/* Takes `fd` over and returns the caller's reference. It is kept in the cache unless a name was dropped since `stamp`
 * was taken: the file may be gone already. Where the name is kept already the older descriptor stays. */
HfFd *hf_fds_add(HfFds *fds, const char *name, int fd, guint stamp);
void hf_fds_drop(HfFds *fds, const char *name);

/* A descriptor outside any cache. */
HfFd *hf_fd_new(const char *name, int fd);
HfFd *hf_fd_ref(HfFd *fd);
void hf_fd_unref(HfFd *fd);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfFd, hf_fd_unref)

/* fsync of a folder, for all threads that ask during one. Returns 0 or an errno value.
 * The kernel tells of a failed sync once and forgets: a later sync that succeeds does not mean that the lost change
 * reached the disk. So the caller takes hf_fd_failures before its change and gives it as `failures`: every sync that
 * failed since, whoever asked for it, fails this call too. */
guint hf_fd_failures(HfFd *fd);
int hf_fd_sync(HfFd *fd, guint failures);
