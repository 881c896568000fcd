/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The keeper: the process that is root where the agent is, talks to no network, starts the faces and the workers, and
 * carries out what the server ordered.
 *
 *   not enrolled --(identity appears)--> faces run, the server calls, tasks --(identity goes)--> not enrolled
 *
 * INVARIANTS
 * 1. What a face says decides nothing but what that face is for. What is done as root was ordered by a signature
 *    (keeper/order.h).
 * 2. Everything here happens on the main thread, but for the RPC handlers, which hand over by hf_keeper_ask.
 * 3. Every task that was started has one result, and the result stays until the server took it: a task whose keeper
 *    was killed gets it when the keeper starts again.
 */
#pragma once

#include "agent/keeper/child.h"
#include "agent/keeper/events.h"
#include "agent/keeper/order.h"
#include "agent/settings.h"
#include "agent/worker.h"

typedef struct HfKeeper HfKeeper;
typedef struct HfFace HfFace;
typedef struct HfTasks HfTasks;
typedef struct HfUpgrade HfUpgrade;
typedef struct HfService HfService;
typedef struct HfHolding HfHolding;

struct HfKeeper {
  HfSettings *settings;
  const HfAgentParts *parts;
  char *program;   /* path of this program, as it was when the keeper started */
  char **arguments; /* of this process, for starting it anew */
  GMainLoop *loop;
  HfMembership *identity; /* NULL: not enrolled */
  char **revoked;
  char *pending_key; /* of the last request for a certificate; NULL: none */
  HfEvents *events;
  HfOrderBook *book;
  HfFace *installer, *transport; /* NULL while not enrolled */
  HfTasks *tasks;
  GHashTable *tickets; /* order number -> HfAsk: tickets that the transport face is opening */
  HfUpgrade *upgrade;
  HfService *service;
  HfHolding *holding;
  int watch, lock; /* inotify of the state folder; held while the keeper runs */
  guint look_timer, wait_timer; /* after a change; while an enrolment waits */
  gint64 started;
  gboolean ending, again; /* again: start the program anew at the end */
  int exit_code;
};

/* Runs the keeper until SIGTERM or SIGINT; gives the exit code. */
int hf_keeper_run(HfSettings *settings, const HfAgentParts *parts, char **arguments);

/* ---- within the keeper ---- */

/* Something happened to this host: told to the server, and logged. */
void hf_keeper_note(HfKeeper *keeper, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* Looks whether this host is enrolled, and starts or stops what hangs on it. */
void hf_keeper_look(HfKeeper *keeper);
/* The same in a second or two, and not before, whatever changes meanwhile: what is being sent goes out first. */
void hf_keeper_look_later(HfKeeper *keeper);
/* Gives the faces identity and revoked serials again. */
void hf_keeper_setup_faces(HfKeeper *keeper);
/* Ends the loop when nothing hinders it any more: called when a task or face has ended. */
void hf_keeper_maybe_end(HfKeeper *keeper);
/* Asks tasks to end, then ends; `again`: starts the program anew then. */
void hf_keeper_end(HfKeeper *keeper, gboolean again);
/* Writes what 'holdfast-agent status' shows. */
void hf_keeper_write_status(HfKeeper *keeper);

/* ---- asks: a question from an RPC thread to the main thread ---- */
typedef struct HfAsk HfAsk;
/* Carries it out on the main thread; must see to it that hf_ask_done is called once, now or later. */
typedef void (*HfAskFunc)(HfKeeper *keeper, HfAsk *ask, gpointer data);
/* Hands over and waits for the answer (NULL: failed); HF_ERROR_IO after a minute. `data` is the ask's: freed by
 * `free_data` (or NULL) with it. */
GBytes *hf_keeper_ask(HfKeeper *keeper, HfAskFunc func, gpointer data, GDestroyNotify free_data, GError **error);
HfAsk *hf_ask_ref(HfAsk *ask);
void hf_ask_unref(HfAsk *ask);
/* `answer` (NULL: empty) and `error` (NULL: done) are taken over. */
void hf_ask_done(HfAsk *ask, GBytes *answer, GError *error);
