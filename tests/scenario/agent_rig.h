/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Agents as processes on free ports of 127.0.0.1, and a server that writes down what they tell. */
#pragma once

#include <sys/types.h>

#include "server/hosts/hosts.h"

typedef struct Agent {
  char *folder, *config;
  guint16 installer, transport, first, last;
  GPid pid; /* of the keeper; 0: it does not run */
  char *host; /* id, once enrolled */
} Agent;

typedef struct Rig {
  HfServerIdentity *identity;
  HfHosts *hosts;
  GMutex lock;
  GCond changed;
  GPtrArray *told;    /* HfInstallerEvent *, in order, of all hosts */
  GHashTable *up;     /* host -> GINT_TO_POINTER(times it came up) */
  GHashTable *machines; /* hex of a machine -> host */
  GPtrArray *issued;  /* certificates */
  gboolean deaf;      /* told() refuses */
} Rig;

/* A server of its own; `identity` NULL: a new one, else borrowed and copied. */
Rig *rig_new(const HfServerIdentity *identity);
/* The server ends; the rig's memory of events stays until rig_free. */
void rig_stop(Rig *rig);
void rig_start(Rig *rig);
void rig_free(Rig *rig);

/* `program` is the agent's. */
void agent_program(const char *program);
Agent *agent_new(void);
void agent_start(Agent *agent);
/* SIGTERM, and waits. */
void agent_stop(Agent *agent);
void agent_kill(Agent *agent);
void agent_free(Agent *agent);
/* Starts "enroll" with this token; its pid. Output goes to the folder's "enroll.out". */
GPid agent_begin_enroll(Agent *agent, const char *token, gboolean again);
/* Waits for a process: its exit code, or -1 when it does not end in time. */
int wait_exit(GPid pid, guint seconds);
/* Enrols by a token and adds it; the keeper need not run. */
void agent_join(Agent *agent, Rig *rig);
/* Process ids of the keeper's children by role ("hf-installer"), 0: none. */
pid_t agent_child(const Agent *agent, const char *name);
/* The status verb's document has this text. */
gboolean agent_status_has(const Agent *agent, const char *text);

/* Runs a task to its end. TRUE: done. */
gboolean rig_do(Rig *rig, const char *host, const char *kind, const char *task, const char *secret, char **result,
                GError **error);
/* Starts one; its name. Caller frees. */
char *rig_begin(Rig *rig, const char *host, const char *kind, const char *task);
/* Waits until the result of `task` was told (TRUE), filling `result` unless NULL. */
gboolean rig_wait_result(Rig *rig, const char *task, guint seconds, HfInstallerResult *result);
guint rig_count(Rig *rig, const char *task, HfInstallerEventKind kind);
gboolean rig_wait_note(Rig *rig, const char *text, guint seconds);
/* Waits until `condition` holds. */
#define WAIT_FOR(condition, seconds) \
  G_STMT_START { \
    gint64 wait_end = g_get_monotonic_time() + (gint64)(seconds) * G_TIME_SPAN_SECOND; \
    gboolean came_true = FALSE; \
    while (!(came_true = (condition)) && g_get_monotonic_time() < wait_end) \
      g_usleep(20000); \
    if (!came_true) \
      g_error("not within %d seconds: %s", (int)(seconds), #condition); \
  } G_STMT_END

/* A port of 127.0.0.1 that nobody has. */
guint16 free_port(void);
char *test_folder(void);
void remove_folder(const char *folder);
