/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The base of a backup: what is known of the source from its last checkpoint and its last point, so that unchanged
 * files need not be read. A folder's base is a pair of page refs; a cursor walks both pages beside the sorted names.
 */
#pragma once

#include "format/point.h"
#include "format/tree.h"
#include "repo/points.h"
#include "repo/reader.h"
#include "repo/session.h"

#define HF_BASES 2u /* 0: checkpoint, 1: last point */

/* Base of one folder: refs of its pages; has[i] FALSE: none. */
typedef struct HfBaseRefs {
  gboolean has[HF_BASES];
  HfId ref[HF_BASES];
} HfBaseRefs;

typedef struct HfBase HfBase;
/* Finds the newest points of `source` (at most 10 are looked at) and the checkpoint of a session that is over, other
 * than `session`. Damage is a warning: the base is then smaller. `points` is borrowed as long as the base lives. */
HfBase *hf_base_new(HfRepo *repo, HfSession *session, HfBlobReader *reader, GPtrArray *points, const HfShortId *source,
                    GError **error);
void hf_base_free(HfBase *base);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfBase, hf_base_free)
gboolean hf_base_resumed(const HfBase *base);
/* The details of the last point; NULL when there is none. */
const HfPointDetails *hf_base_details(const HfBase *base);

/* A root's entry in the base: TRUE in found[i] when base i knows the path. The views live as long as the base. */
void hf_base_root(const HfBase *base, const char *path, gboolean found[HF_BASES], HfEntry entry[HF_BASES]);
/* The tracking cookie of a disk, from the very point whose entry hf_base_root gives as entry[1]: what changed since
 * must never be told against another point. NULL: none. */
GBytes *hf_base_cookie(const HfBase *base, const char *path);

/* Walks the pages of one folder in one base, level by level. Belongs to one thread. */
typedef struct HfBaseCursor HfBaseCursor;
HfBaseCursor *hf_base_cursor_new(HfBlobReader *reader, const HfId *top);
void hf_base_cursor_free(HfBaseCursor *cursor);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfBaseCursor, hf_base_cursor_free)
/* Goes on to `name` (names must rise from call to call). NULL: not there, or the base is damaged here (it then ends;
 * *problem is set once). The entry and its views are valid until the next call. */
const HfEntry *hf_base_cursor_seek(HfBaseCursor *cursor, const char *name, GError **problem);
/* The tail of the page in which the last found entry lies (NULL: none), and how many inline entries that page has. */
const HfId *hf_base_cursor_tail(HfBaseCursor *cursor, guint *inline_entries);
