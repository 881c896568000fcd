/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Parity of data packs (format.md 6): Reed-Solomon over 4 KiB cells, with ISA-L. No keys. */
#pragma once

#include "base/report.h"
#include "format/pack.h"
#include "storage/store.h"

/* Reads the pack through `read` (from an open put or from the store), once and from beginning to end, and writes
 * parity/XX/PACK durably; *bytes is its length. Memory: that of the parity object, a twentieth or a tenth of it. */
typedef gboolean (*HfParityRead)(gpointer source, guint64 offset, void *bytes, gsize length, GError **error);
gboolean hf_parity_make(HfStore *store, const HfShortId *pack, guint64 length, guint percent, HfParityRead read,
                        gpointer source, guint64 *bytes, GError **error);

typedef struct HfParityResult {
  guint64 cells, bad_cells, mended_cells;
  guint64 bad_parity; /* damaged cells, pages of sums and heads of the parity object itself */
  GBytes *mended;     /* the whole pack as it was; NULL when nothing was bad or too much was */
} HfParityResult;
void hf_parity_result_clear(HfParityResult *result);
/* Checks the pack (which may be shortened, lengthened or missing: what cannot be read is taken for bad cells, what is
 * too much too) against its parity; with `mend`, rebuilds it in memory, and gives it out only after its head, directory
 * and frames have matched their digests. A missing parity object is HF_ERROR_NOT_FOUND, one without a head
 * HF_ERROR_DAMAGED. */
gboolean hf_parity_check(HfStore *store, const HfShortId *pack, gboolean mend, HfParityResult *result, GError **error);
