/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Shares limits of traffic among the tasks that run, and tells their hosts.
 *
 * Two things limit a task: the traffic rule that decides for its pair of addresses (while its window is open), and the
 * rate of its repository. Each limit is one for all tasks that it decides. They are shared max-min fair: all rates grow
 * together from nothing; when a limit is used up, the tasks below it stay where they are and the others go on growing.
 * So what one task cannot have because of its other limit is had by the others.
 *
 * INVARIANTS
 * 1. The rates that hosts may be at work with add up to no more than each limit: what shrinks is told before what
 *    grows, and before a new task learns its rate. A limit that was lowered, or that begins, holds once its hosts have
 *    been told. No task gets less than HF_BROKER_LEAST, so limits below that for each task are exceeded.
 * 2. A host that cannot be told keeps what it was told last: that stands aside, the others share what is left. It is
 *    tried again, ever more seldom, and at once when it answers again.
 * 3. Nobody is told what he knows. Hosts are told when a task joins or leaves, rules change, or a window opens or
 *    closes: nothing is asked in between. (Clocks that are set are noticed after HF_BROKER_LOOK_SECONDS.)
 * 4. Once ended it tells nothing: tasks go on as they are, and who leaves frees nothing for others.
 *
 * Threads: any. A thread of its own reads rules and tells hosts.
 */
#pragma once

#include "server/inventory/traffic.h"

#define HF_BROKER_LEAST 4096u /* bytes a second: with less, connections would be taken for dead */
#define HF_BROKER_LOOK_SECONDS 900

typedef struct HfBroker HfBroker;

typedef struct HfBrokerOps {
  gpointer user;
  /* The rules, as hf_inv_traffic_load; NULL: those of before go on, and it is asked again. */
  GPtrArray *(*rules)(gpointer user, GError **error);
  /* Tells a host the rate of a task, 0: no limit. HF_ERROR_NOT_FOUND: the host has no such task. May take seconds. */
  gboolean (*tell)(gpointer user, const char *host_id, const char *task, guint64 rate, GError **error);
  /* Told when a task got another rule (its name; NULL: none) or a much different rate, for people. May be NULL. */
  void (*note)(gpointer user, const char *task, const char *rule, guint64 rate);
  gint64 (*now)(gpointer user); /* microseconds since 1970; NULL: the clock */
  GTimeZone *zone;              /* of windows, borrowed; NULL: the server's */
} HfBrokerOps;

/* `ops` is copied. */
HfBroker *hf_broker_new(const HfBrokerOps *ops);
/* From now on nothing is told (invariant 4). Does not wait. */
void hf_broker_freeze(HfBroker *broker);
/* The same, and waits for its thread, which may be telling somebody. NULL is allowed. */
void hf_broker_end(HfBroker *broker);
void hf_broker_free(HfBroker *broker);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfBroker, hf_broker_free)

typedef struct HfBrokerTask {
  const char *id, *host_id;    /* host_id: who is told */
  const char *source, *target; /* IP addresses of its data connection; NULL: it has none, so that no rule decides */
  const char *repository_id;
  guint64 repository_rate;     /* bytes a second for all tasks of the repository, of whoever joined last; 0: no limit */
} HfBrokerTask;
/* A task is about to start: waits until the others have made room (some seconds at most; then it begins with little),
 * and returns its rate; 0: no limit. */
guint64 hf_broker_join(HfBroker *broker, const HfBrokerTask *task);
/* A task runs already, at a rate that nobody knows: it is told its rate. One that its host does not know is dropped. */
void hf_broker_join_running(HfBroker *broker, const HfBrokerTask *task);
/* Does nothing for a task that is not there. */
void hf_broker_leave(HfBroker *broker, const char *id);
/* Rules were changed. */
void hf_broker_changed(HfBroker *broker);
/* A host answers (again). */
void hf_broker_host(HfBroker *broker, const char *host_id);
/* What a task may have now, and its rule (caller frees; NULL: none). FALSE when nobody knows it. */
gboolean hf_broker_look(HfBroker *broker, const char *id, guint64 *rate, char **rule);
