/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A process of the keeper: this program again, with "--role NAME" and a control socket. It dies with the keeper (the
 * child asks the kernel for that, agent/role.h), and what it started dies with it: it is the head of a process group.
 *
 * Threads: the keeper's main thread only.
 */
#pragma once

#include "agent/control.h"

typedef struct HfChild HfChild;

typedef struct HfChildOps {
  /* A message from the child, which stays the caller's. The child may be stopped, not freed. */
  void (*message)(HfChild *child, HfControlMessage *message, gpointer user);
  /* Once: it has ended, and everything that it sent was handed over. `how` tells people ("exit code 1", "signal 9").
   * The child may be freed here. */
  void (*ended)(HfChild *child, const char *how, gpointer user);
} HfChildOps;

/* `program` is the path of this program. NULL with an error when no process could be started; `ended` is not called. */
HfChild *hf_child_start(const char *program, const char *role, const HfChildOps *ops, gpointer user, GError **error);
/* Kills what still runs and waits for it; `ended` is not called. */
void hf_child_free(HfChild *child);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfChild, hf_child_free)

/* Sends a message; a child that does not take it is killed (its end is told as usual). */
gboolean hf_child_send(HfChild *child, HfControlKind kind, const GByteArray *body, int fd);
/* Ends it: SIGTERM now, SIGKILL `grace` seconds later (0: at once). */
void hf_child_stop(HfChild *child, guint grace);
/* Ends it `seconds` from now, if it still runs then. */
void hf_child_stop_later(HfChild *child, guint seconds);
GPid hf_child_pid(const HfChild *child);
