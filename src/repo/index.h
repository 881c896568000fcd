/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The index: where is a blob? (format.md 8.) It is made of sorted runs in the store, read by page behind filters, a
 * table in memory of what this process stored itself, and the directories of packs that no run names.
 *
 * Invariants
 *  I1 The list of packs in the store decides: an entry whose pack is not there does not exist.
 *  I2 For deduplication (hf_index_claim) blobs in condemned packs, in damaged or thin frames, and in packs of which
 *     only the mirror is there, do not exist.
 *  I3 A claimed id is stored by the claimer or the whole session fails; commit waits for all of them. What a session
 *     claimed and did not store is given up with it: so at most one session at a time stores through an index.
 *  I4 Memory: at most 2 bytes a blob for filters and fences, plus a fixed page cache and a bounded table: the table is
 *     written out as a run when it holds HF_INDEX_TABLE_MAX durable entries; runs are merged so that at most 4 remain.
 *  I5 At most one page is read a run and look-up.
 *  I6 In a store that a service keeps (HF_STORE_KEPT) the service alone writes and merges runs. Blobs that this process
 *     handed over stay claimed until hf_index_flush, which then reads the service's runs when there are many.
 *  I7 What is read anew is shown at once and whole: until then look-ups see what was known before, and packs that this
 *     process finished meanwhile stay in the store whether they were listed or not. So a blob that is stored is found
 *     at any moment, by any thread.
 *  I8 While a list of what does not count as stored (I2) cannot be read, though it is there, nothing is said to be
 *     stored: claims fail, look-ups go on. What is damaged is passed over: no collector can go by it either.
 * Threads: all functions are thread-safe.
 */
#pragma once

#include "base/report.h"
#include "format/index.h"
#include "format/point.h"
#include "storage/store.h"

#define HF_INDEX_TABLE_MAX 131072u

typedef struct HfIndex HfIndex;

/* How much a place can be counted on, best first. Only the first two stay until a collector decides otherwise. */
typedef enum HfStanding {
  HF_STANDING_GOOD,
  HF_STANDING_THIN,      /* whole, but it does not count for deduplication; or only its mirror is there */
  HF_STANDING_CONDEMNED, /* swept as soon as the sessions of its mark have ended */
  HF_STANDING_DAMAGED,
} HfStanding;

typedef struct HfLocation {
  HfShortId pack;
  guint8 kind;     /* HfPackKind */
  guint8 standing; /* HfStanding */
  guint32 domain, offset, stored_length;
  guint16 blob;
} HfLocation;

/* Lists packs, runs, marks, thin frames and damage; opens the runs; reads the directories of packs that no run
 * names (with a warning for those that cannot be read). A damaged run is dropped with a warning:
 * its packs then count as not named. `report` may be NULL. */
HfIndex *hf_index_open(HfStore *store, HfReport *report, GError **error);
void hf_index_free(HfIndex *index);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfIndex, hf_index_free)

/* ---- Look-up. ---- */
/* Location number `attempt` (0, 1, ...) of a blob in `domain`; FALSE when there is no such: a blob may be stored twice,
 * who finds the first damaged tries the next. They come in the order of their standing. HF error only for I/O.
 * `found` tells. */
gboolean hf_index_find(HfIndex *index, guint32 domain, const HfId *id, guint attempt, gboolean *found,
                       HfLocation *location, GError **error);
/* As hf_index_find with attempt 0. What is not there may have been moved by a prune that had condemned it before we
 * came: it is looked for once more in an index read anew. At most a tenth of the time is spent on that for what is
 * lost. */
gboolean hf_index_find_anew(HfIndex *index, guint32 domain, const HfId *id, gboolean *found, HfLocation *location,
                            GError **error);
/* TRUE in *claimed: the blob is not there (I2) and the caller now must store it. FALSE: it is there, or another
 * thread has claimed it. */
gboolean hf_index_claim(HfIndex *index, guint32 domain, const HfId *id, gboolean *claimed, GError **error);
/* Gives up all claims of blobs that did not become durable: whoever needs these blobs next claims them anew. */
void hf_index_drop_claims(HfIndex *index);
/* Is anything thin, damaged or condemned at all? When not, refs of a listed point need no look-up. */
gboolean hf_index_has_absent(HfIndex *index);
/* Would a claim of this stored blob succeed because of I2 (condemned, damaged, thin)? Cheap; no page is read when
 * hf_index_has_absent is FALSE. Missing blobs are absent, too. */
gboolean hf_index_is_absent(HfIndex *index, guint32 domain, const HfId *id, gboolean *absent, GError **error);

/* ---- Adding: a durable pack of this process. ---- */
gboolean hf_index_add_pack(HfIndex *index, const HfPackInfo *info, GError **error);
/* Writes what was added since as a run. With `merge`, runs are merged first when there are more than 4
 * (size-tiered). */
gboolean hf_index_flush(HfIndex *index, gboolean merge, GError **error);

/* ---- The whole: packs and entries, for collection, statistics, verification. ---- */
typedef struct HfPackState {
  HfIndexPack pack;      /* length 0 when not known */
  gboolean in_store, condemned, damaged;
  gboolean half; /* of a metadata pack only the mirror is there: a crash came between, or it was lost */
} HfPackState;
/* All packs in the store; elements are HfPackState. Free with g_array_unref. */
GArray *hf_index_packs(HfIndex *index);
guint64 hf_index_entries(HfIndex *index);
guint hf_index_runs(HfIndex *index);
/* Bytes of anonymous memory held for filters, fences, page cache and table. */
guint64 hf_index_memory(HfIndex *index);

/* Reads head, trailer and directory of a pack; falls back to the mirror for meta packs. */
gboolean hf_pack_read_info(HfStore *store, HfPackKind kind, const HfShortId *pack, HfPackInfo *info, GError **error);
/* The same of one object only, the pack or its mirror, by its name. */
gboolean hf_pack_read_copy(HfStore *store, const char *name, const HfShortId *pack, HfPackInfo *info, GError **error);

/* Rewrites the runs as one, without entries of packs that are not in the store; packs without any run are taken in. */
gboolean hf_index_compact(HfIndex *index, GError **error);
/* Makes the index from packs alone: removes all runs and reads all directories. `packs`, `blobs` count. */
gboolean hf_index_rebuild(HfStore *store, HfReport *report, guint64 *packs, guint64 *blobs, GError **error);

/* ---- What is absent (also kept in the store by the caller). ---- */
void hf_index_note_damage(HfIndex *index, const HfPlace *damage);
/* Reads all anew: runs, packs, marks, thin frames and damage. */
gboolean hf_index_refresh(HfIndex *index, GError **error);
