/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A repository under siege: two hosts have a locked point each, and enemies speak to the service byte by byte, below
 * the store that honest visitors use. After each attack siege_stands() looks whether both points are there, locked,
 * whole, and come back byte for byte, with the password and with a pass, also after a prune.
 */
#pragma once

#include "format/point.h"
#include "net/rpc.h"
#include "repo/sealer.h"
#include "vaultlab.h"

#define SIEGE_LOCK 86400u

typedef struct Siege {
  VaultLab *lab;
  HfStore *local; /* the folder itself */
  char *sources[2], *credentials[2];
  HfShortId writers[2], points[2];
  guint attacks, passed;
} Siege;

Siege *siege_new(void);
void siege_free(Siege *siege);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Siege, siege_free)
/* After an attack: counts it. */
void siege_stands(Siege *siege, const char *attack);
/* The same without a look, for attacks of which many come together. */
void siege_count(Siege *siege, guint attacks);
/* All names below `prefix`; free with g_ptr_array_unref. */
GPtrArray *siege_names(Siege *siege, const char *prefix);
/* Ids of all blobs of a host in packs of this kind. */
GArray *siege_ids(Siege *siege, guint host, HfPackKind kind);
GBytes *siege_point(Siege *siege, guint host);

typedef struct Enemy {
  Siege *siege;
  HfChannel *channel;
  HfRpc *rpc;
  GThread *thread; /* of the service */
  HfRepo *repo; /* opened with the credential of `host` */
  guint host;
  HfShortId session;
  HfSessionSlot slot;
  HfKey data_key, meta_key;
} Enemy;
/* Connects with these rights as that host's writer; keys and a slot of a session are made, but no session is opened. */
Enemy *enemy_new(Siege *siege, guint host, guint32 rights, guint64 lock);
void enemy_free(Enemy *enemy);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Enemy, enemy_free)
/* A new session id, with its slot. */
void enemy_new_session(Enemy *enemy);
/* Opens that session as an honest host would. */
void enemy_open(Enemy *enemy);
char *enemy_name(Enemy *enemy, const char *part);
const HfKey *enemy_seed(Enemy *enemy);

/* Each gives whether the service did it. */
gboolean enemy_call(Enemy *enemy, guint method, const void *request, gsize length);
gboolean enemy_put(Enemy *enemy, const char *name, GBytes *content);
gboolean enemy_put_text(Enemy *enemy, const char *name, const char *content);
gboolean enemy_remove(Enemy *enemy, const char *name);
gboolean enemy_read(Enemy *enemy, const char *name);
gboolean enemy_list(Enemy *enemy, const char *prefix);
gboolean enemy_flush(Enemy *enemy);
gboolean enemy_forget(Enemy *enemy, const HfShortId *points, guint count);
gboolean enemy_prune(Enemy *enemy);
gboolean enemy_outcome(Enemy *enemy, HfOutcomeState state, GBytes *point);

/* Frames: opens a sink, sends pieces, takes the answer. */
typedef struct Frame {
  guint8 *stored;
  gsize length;
  HfPackFrame header;
  GArray *ids;
} Frame;
/* A group of garbage that claims these ids, sealed rightly; with `refs` (of HfId) the first blob has these. */
Frame *frame_new(Enemy *enemy, HfPackKind kind, const HfId *ids, guint count, const GArray *refs);
void frame_free(Frame *frame);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Frame, frame_free)
GBytes *frame_piece(const Frame *frame);
gboolean enemy_sink(Enemy *enemy, guint8 kind, guint32 domain, GBytes *slots, GBytes *const *pieces, guint count);
GBytes *enemy_slots(Enemy *enemy); /* the right ones */
gboolean enemy_frame(Enemy *enemy, HfPackKind kind, const Frame *frame);

/* A point that is right for this session but for what the caller changes before enemy_sign. */
void enemy_point(Enemy *enemy, const HfId *roots, HfPoint *point);
GBytes *enemy_sign(Enemy *enemy, HfPoint *point);
