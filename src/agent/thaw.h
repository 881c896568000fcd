/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Frozen file systems, and that none stays so. A file system is frozen (FIFREEZE) by a guardian process
 * (agent/tasks/freeze.h); before it is, a note in a folder of the agent's state names it, and until when. The note
 * stays until it was thawed, and is locked (flock) as long as worker or guardian live: a freeze that is under way
 * cannot be interrupted, and who was killed in it lives until it is done. A note that nobody holds is one that nobody
 * else will see to: the keeper does, when a worker has ended and when it starts. One that is held for longer than it
 * should (by processes that were stopped) is not waited for.
 *
 * Threads: all functions may be called from any thread.
 */
#pragma once

#include <glib.h>
#include <sys/types.h>

typedef struct HfFrozen {
  char *mount;  /* a place where it is mounted */
  dev_t device; /* of its super block, as mountinfo has it */
} HfFrozen;
void hf_frozen_free(gpointer frozen);

/* When process `pid` began: tells it from another that got its number. 0: there is none. */
guint64 hf_process_start(pid_t pid);
/* Milliseconds since this machine was started. Safe between fork and exec. */
gint64 hf_thaw_clock_ms(void);
/* The number in mountinfo of the mount that `fd` (O_PATH will do) lies in; -1: not known. */
int hf_mount_id(int fd);

/* Opens `frozen`: a descriptor that FIFREEZE and FITHAW take, -1 with an error when it is not mounted (any more). */
int hf_frozen_open(const HfFrozen *frozen, GError **error);
/* Thaws them all at once, as one may have to wait for another that it lies upon. failed[i]: 0 or errno; EINVAL: it
 * was not frozen. */
void hf_thaw_all(const int *fds, guint count, int *failed);

/* Writes the note of this process (durably), about `places` (of HfFrozen*) and `until` (hf_thaw_clock_ms). Gives its
 * path, the caller's, and a descriptor that holds its lock. */
char *hf_thaw_note(const char *folder, const GPtrArray *places, gint64 until, int *held, GError **error);

/* Thaws what the notes of processes that are no more name, and removes these notes; and, behind the caller's back, what
 * others should have thawed HF_THAW_OVERDUE_SECONDS ago. Gives what was done, in texts: "'/srv' was frozen by a task
 * that is no more: thawed". *again: there are notes still; look again in a second. */
#define HF_THAW_OVERDUE_SECONDS 15
GPtrArray *hf_thaw_left(const char *folder, gboolean *again);
