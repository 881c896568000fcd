/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What happened on this host and the server has not taken yet. Events have numbers that rise while the keeper lives;
 * `epoch` tells one life of the keeper from another.
 *
 * INVARIANTS
 * 1. Of the progress of a task only the last is kept, under a new number.
 * 2. Lines (log, warnings, notes) are kept up to HF_EVENTS_LINES and HF_EVENTS_LINE_BYTES; then the oldest go, and
 *    their number is counted for the task.
 * 3. Results stay until they are taken.
 *
 * Threads: all functions may be called from any thread.
 */
#pragma once

#include <glib.h>

#define HF_EVENTS_LINES 8192u
#define HF_EVENTS_LINE_BYTES (2u << 20)

typedef enum HfEventKind {
  HF_EVENT_PROGRESS = 1, /* body: an encoded Progress (spec/messages/installer.toml) */
  HF_EVENT_LOG,          /* body: text */
  HF_EVENT_WARNING,      /* body: text */
  HF_EVENT_RESULT,       /* body: an encoded Result */
  HF_EVENT_NOTE,         /* of the host, not of a task: a role died, started... body: text */
} HfEventKind;

typedef struct HfEvent {
  guint64 number;
  HfEventKind kind;
  guint64 task; /* 0: of the host */
  char *name;   /* of the task, "" for the host */
  gint64 time;  /* ns, by the clock of this host: for showing */
  GBytes *body;
} HfEvent;

typedef struct HfEvents HfEvents;

HfEvents *hf_events_new(void);
void hf_events_free(HfEvents *events);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfEvents, hf_events_free)

guint64 hf_events_epoch(const HfEvents *events);
/* `body` is taken over, `name` is copied. */
void hf_events_add(HfEvents *events, HfEventKind kind, guint64 task, const char *name, GBytes *body);
/* Lines of the task that had to go; forgotten by this call. */
guint64 hf_events_lost(HfEvents *events, guint64 task);

/* The events after number `after`, oldest first, at most `most` (HfEvent *, all of them copies of the caller's: unref
 * the array). Waits up to `wait_ms` while there are none; an empty array then, or once woken. */
GPtrArray *hf_events_after(HfEvents *events, guint64 after, guint most, guint wait_ms);
/* The server has all up to `number`: they are forgotten. Gives the tasks whose results were among them (guint64). */
GArray *hf_events_taken(HfEvents *events, guint64 number);
/* Ends all waits, now and later. */
void hf_events_close(HfEvents *events);
