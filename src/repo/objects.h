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
/* "sessions/SESSION/PART" */
void hf_name_session(char out[HF_NAME_BYTES], const HfShortId *session, const char *part);
/* The short id at the end of `name` (after its last '/', up to the next '.'); FALSE when there is none. */
gboolean hf_name_short_id(const char *name, HfShortId *id);

/* Three copies `base`.0 .1 .2. put: all three durable, or an error (what was written of it may stay; it is valid). */
gboolean hf_triple_put(HfStore *store, const char *base, GBytes *record, GError **error);
/* The first copy for which `valid` (may be NULL: envelope and digest of `kind` are checked) holds. *healthy (may be NULL)
 * tells whether all three were good. HF_ERROR_NOT_FOUND when none exists, HF_ERROR_DAMAGED when all are bad. */
GBytes *hf_triple_get(HfStore *store, const char *base, guint kind, gboolean *healthy, GError **error);
/* Puts bad and missing copies right from a good one; the report gets one note. Failing is not an error (read-only). */
void hf_triple_heal(HfStore *store, const char *base, guint kind, HfReport *report);
gboolean hf_triple_remove(HfStore *store, const char *base, GError **error);
/* The bases (without ".C") below `folder` ("points/"), sorted, each once, of names BASE.0 .1 .2 only. */
GPtrArray *hf_triple_list(HfStore *store, const char *folder, GError **error);
