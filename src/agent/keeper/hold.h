/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Immutable files: what the repository service asks for and cannot do itself, as it has no capability. The keeper gives
 * files of repositories the inode flag, and takes it away when their time has passed by its own clock.
 *
 * INVARIANTS
 * 1. The flag is given only to regular files with one link that belong to the service's user, lie below a folder that a
 *    ticket of the server named as a repository (keeper/repositories.h), on its file system, are reached without any
 *    link, and have the name of an object that is never replaced (the table stands in hold.c).
 * 2. Nothing that the service says takes the flag away or brings its end nearer. Nor does it hold anything for longer
 *    than the longest lock that the server ordered for that repository, and HF_HOLD_MARGIN.
 * 3. What has the flag stands in a book (keeper/holdbook.h) since before it got it. Files with the flag of which no
 *    book knows are taken up for one lock: nothing is stuck for ever, and nothing is let go early.
 *
 * Threads: one at a time.
 */
#pragma once

#include <sys/types.h>

#include "agent/hold.h"

#define HF_HOLD_MARGIN (2u * 3600u)
#define HF_HOLD_LOCK (30u * 86400u) /* for a repository of which no lock is known (its book was lost) */

typedef struct HfHolds HfHolds;

/* `state` is the keeper's state folder, `user` the service's. HF_ERROR_UNSUPPORTED where flags would protect nothing or
 * cannot be given: this process or that user is not who it must be. What was left is taken up. */
HfHolds *hf_holds_new(const char *state, uid_t user, GError **error);
void hf_holds_free(HfHolds *holds);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfHolds, hf_holds_free)

/* The service has ended. The clock of a repository runs from the first request for it until then, as that of its locks
 * does (format.md 9.4): what nobody can lengthen does not end meanwhile. */
void hf_holds_stop(HfHolds *holds);
/* The server ordered that points of this repository be locked for so long. */
gboolean hf_holds_lock(HfHolds *holds, const char *path, guint64 seconds, GError **error);
/* Holds the names (there may be none: the service keeps the repository, that is all) for `seconds` from now on. Those
 * that must not be, or are not there, are counted in *refused. FALSE with HF_ERROR_UNSUPPORTED when the file system has
 * no such flag, HF_ERROR_REFUSED for what is no repository. */
gboolean hf_holds_hold(HfHolds *holds, const HfHoldRequest *request, guint *refused, GError **error);
/* Lets go whose time has come, and puts the clock down: to be called about once a minute. */
void hf_holds_look(HfHolds *holds);

/* For each repository with files that are held; `says`: what is wrong there, or NULL. */
typedef void (*HfHoldsFunc)(const char *path, guint files, const char *says, gpointer user);
void hf_holds_each(HfHolds *holds, HfHoldsFunc func, gpointer user);

/* How flags are read and set: -1 with errno. Tests put their own there. */
typedef struct HfHoldFlags {
  int (*get)(int fd, int *flags);
  int (*set)(int fd, int flags);
  gboolean (*may)(void); /* has this process the right to? */
} HfHoldFlags;
extern HfHoldFlags hf_hold_flags;
