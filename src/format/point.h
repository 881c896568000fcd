/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Restore points, sessions, outcomes, checkpoints, marks (format.md 9 to 11). Structs own their strings and arrays. */
#pragma once

#include "format/pack.h"
#include "format/record.h"

typedef enum HfPointFlag { HF_POINT_LIVE = 1 << 0, HF_POINT_WARNINGS = 1 << 1 } HfPointFlag;

typedef struct HfPointRoot {
  GBytes *path;
  guint8 kind; /* 1 tree, 2 disk */
  guint64 entries;
  GBytes *cookie; /* NULL: none */
} HfPointRoot;

/* What only who holds keys can read. */
typedef struct HfPointDetails {
  char *name, *host, *user, *program;
  gint64 started, ended;
  GPtrArray *tags;  /* of char*, owned */
  guint64 files, directories, bytes, new_bytes, stored_bytes, warnings;
  GPtrArray *roots; /* of HfPointRoot*, owned */
} HfPointDetails;
HfPointDetails *hf_point_details_new(void);
void hf_point_details_free(HfPointDetails *details);
HfPointRoot *hf_point_root_new(const void *path, gsize length, guint8 kind);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfPointDetails, hf_point_details_free)
void hf_point_details_encode(const HfPointDetails *details, GByteArray *plain);
HfPointDetails *hf_point_details_decode(const void *plain, gsize length, GError **error);

typedef struct HfPoint {
  HfShortId id, session, writer, source;
  guint32 domain, flags;
  HfId roots;
  HfSessionSlot slot;
  guint8 nonce[HF_NONCE_BYTES];
  GBytes *sealed; /* details, sealed */
  guint8 signature[HF_SIGNATURE_BYTES];
  guint64 sequence;
  gint64 time;
  guint64 lock;
} HfPoint;
void hf_point_clear(HfPoint *point);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HfPoint, hf_point_clear)
/* The clear part; with zeros for the id it is what is authenticated when sealing, and signed. */
void hf_point_clear_part(const HfPoint *point, gboolean zero_id, GByteArray *out);
/* Sets id and signature from everything but the stamp. */
void hf_point_sign(HfPoint *point, const HfKey *seed);
gboolean hf_point_verify(const HfPoint *point, const guint8 writer_public[32]);
GBytes *hf_point_encode(const HfPoint *point);
/* Checks that the id is right; the signature is checked by hf_point_verify. */
gboolean hf_point_decode(GBytes *record, HfPoint *point, GError **error);

typedef enum HfPurpose {
  HF_PURPOSE_BACKUP = 1, HF_PURPOSE_COPY = 2, HF_PURPOSE_COLLECT = 3, HF_PURPOSE_READ = 4, HF_PURPOSE_REPAIR = 5,
} HfPurpose;
typedef struct HfSessionOpen {
  HfShortId id, writer, boot;
  guint8 purpose;
  guint32 domain, pid;
  guint64 pid_start, pid_namespace;
  gint64 started;
  gboolean has_slot;
  HfSessionSlot slot;
} HfSessionOpen;
GBytes *hf_session_open_encode(const HfSessionOpen *open);
gboolean hf_session_open_decode(GBytes *record, HfSessionOpen *open, GError **error);

typedef enum HfOutcomeState { HF_OUTCOME_COMMITTED = 1, HF_OUTCOME_FENCED = 2, HF_OUTCOME_ENDED = 3 } HfOutcomeState;
/* `point` is the whole record of the point, NULL unless committed. */
GBytes *hf_outcome_encode(HfOutcomeState state, GBytes *point);
/* *point is new, or NULL. */
gboolean hf_outcome_decode(GBytes *record, HfOutcomeState *state, GBytes **point, GError **error);

typedef struct HfCheckpoint {
  HfShortId source, writer;
  guint32 domain;
  HfId roots;
  gint64 time;
  HfSessionSlot slot;
} HfCheckpoint;
GBytes *hf_checkpoint_encode(const HfCheckpoint *checkpoint, const HfKey *seed);
/* The signature is checked when `writer_public` is given. */
gboolean hf_checkpoint_decode(GBytes *record, const guint8 writer_public[32], HfCheckpoint *checkpoint, GError **error);

typedef struct HfMark {
  guint64 generation;
  gint64 time;
  HfShortId collector;               /* session that made it */
  GArray *sessions, *points, *packs; /* of HfShortId */
} HfMark;
void hf_mark_init(HfMark *mark);
void hf_mark_clear(HfMark *mark);
GBytes *hf_mark_encode(const HfMark *mark);
gboolean hf_mark_decode(GBytes *record, HfMark *mark, GError **error);
/* Decides whether a mark counts: only the one by `collector`, and only when sealed. */
typedef struct HfSeal {
  gboolean sealed; /* else void */
  HfShortId collector;
} HfSeal;
GBytes *hf_seal_encode(const HfSeal *seal);
gboolean hf_seal_decode(GBytes *record, HfSeal *seal, GError **error);

/* Kind 18, lost blobs: GArray of HfId. decode appends. */
GBytes *hf_lost_encode(const GArray *ids);
gboolean hf_lost_decode(GBytes *record, GArray *ids, GError **error);

/* Kinds 12 (thin frames) and 13 (damage): GArray of HfPlace. decode appends. */
#define HF_PLACE_WHOLE_PACK G_MAXUINT32
typedef struct HfPlace {
  HfShortId pack;
  guint32 offset; /* of the frame */
} HfPlace;
GBytes *hf_places_encode(HfRecordKind kind, const GArray *places);
gboolean hf_places_decode(GBytes *record, HfRecordKind kind, GArray *places, GError **error);
