/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Content-defined cuts: FastCDC (Xia et al., "FastCDC: a Fast and Efficient Content-Defined Chunking Approach", USENIX
 * ATC 2016) with normalised chunking, over a gear table drawn from a key, so that cut points tell a stranger nothing.
 * Pure: bytes in, cuts out. The exact rule is on disk for good: docs/format.md section 7.3.
 */
#pragma once

#include <glib.h>

typedef struct HfCutter {
  guint64 gear[256];
  guint32 minimum, average, maximum; /* bytes */
  guint64 mask_small, mask_large;    /* before and after `average` */
} HfCutter;

/* `gear` is the caller's keyed table (format.md 2.1) and is copied: wipe the cutter when it is done with. average is a
 * power of two of at least 8, minimum < average < maximum. */
void hf_cutter_init(HfCutter *cutter, const guint64 gear[256], guint32 minimum, guint32 average, guint32 maximum);

/* The length of the first chunk of `bytes`: in (0, maximum], or 0 for no bytes. When length <= maximum and no cut is
 * found, `length` is returned: the caller passes at least `maximum` bytes unless the data ends there. Thread-safe. */
gsize hf_cutter_next(const HfCutter *cutter, const guint8 *bytes, gsize length);

/* Whether a list of named things (a directory) is cut after the thing `name`: docs/format.md section 7.4. Levels count
 * from 0; a name decides up to level 7 and an id up to level 31: above that nothing is cut. */
gboolean hf_name_is_cut(const void *name, gsize length, guint level);
/* Whether a list of ids is cut after `id`. */
gboolean hf_id_is_cut(const guint8 id[32], guint level);
