/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names of the repository's objects (format.md 1.1) and the objects that exist three times. */
#pragma once

#include "base/report.h"
#include "format/pack.h"
#include "storage/store.h"

#define HF_NAME_BYTES 96 /* room for every object name, NUL included */

void hf_name_pack(char out[HF_NAME_BYTES], HfPackKind kind, const HfShortId *pack);
void hf_name_parity(char out[HF_NAME_BYTES], const HfShortId *pack);
void hf_name_mirror(char out[HF_NAME_BYTES], const HfShortId *pack);
void hf_name_run(char out[HF_NAME_BYTES], const HfShortId *run);
#define HF_COPIES 3u
/* Bases of triples, and the name of one copy (from 0). */
void hf_name_slot(char out[HF_NAME_BYTES], const HfShortId *slot);
void hf_name_ring(char out[HF_NAME_BYTES], guint32 generation);
void hf_name_writer(char out[HF_NAME_BYTES], const HfShortId *writer);
void hf_name_point(char out[HF_NAME_BYTES], const HfShortId *point);
void hf_name_copy(char out[HF_NAME_BYTES], const char *base, guint copy);
void hf_name_tombstone(char out[HF_NAME_BYTES], const HfShortId *point);
/* "sessions/SESSION/PART" */
void hf_name_session(char out[HF_NAME_BYTES], const HfShortId *session, const char *part);
/* The short id at the end of `name` (after its last '/', up to the next '.'); FALSE when there is none. */
gboolean hf_name_short_id(const char *name, HfShortId *id);

gboolean hf_object_exists(HfStore *store, const char *name, gboolean *exists, GError **error);
/* As hf_store_remove, but an object that is not there is no failure. */
gboolean hf_object_remove(HfStore *store, const char *name, GError **error);

/* Three copies `base`.0 .1 .2 put, in this order: all three durable, or an error (what was written of it may stay; it
 * is valid). A copy that exists already with the same bytes is as good as put; with other bytes: HF_ERROR_EXISTS. */
gboolean hf_triple_put(HfStore *store, const char *base, GBytes *record, GError **error);
/* The first copy whose envelope, digest and kind are right; what is in it is the caller's to check. *healthy (may be
 * NULL) tells whether all three were good and equal. HF_ERROR_NOT_FOUND when none exists, HF_ERROR_DAMAGED when all
 * that exist are bad, HF_ERROR_FORMAT when one is of a newer version, else the error of the store. */
GBytes *hf_triple_get(HfStore *store, const char *base, guint kind, gboolean *healthy, GError **error);
/* Puts bad and missing copies right from a good one. The report gets a warning for each bad copy, an item for each
 * missing one, and a warning when all are bad. Failing is not an error (read-only). */
void hf_triple_heal(HfStore *store, const char *base, guint kind, HfReport *report);
/* Copies that are missing are no failure. */
gboolean hf_triple_remove(HfStore *store, const char *base, GError **error);
/* The bases (without ".C") below `folder` ("points/"), sorted, each once, of names BASE.0 .1 .2 only. */
GPtrArray *hf_triple_list(HfStore *store, const char *folder, GError **error);
