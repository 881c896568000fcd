/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Pages of level 0 and roots: decoded, and written anew entry by entry. The first byte is the number of refs. */
#pragma once

#include "format/tree.h"
#include "fuzz.h"

static inline void fuzz_page(const guint8 *data, gsize size, gboolean roots)
{
  HfPageReader page;
  HfPageWriter writer;
  HfEntry entry;
  GError *error = NULL;
  if (size == 0)
    return;
  if (!fuzz_judge(hf_page_open(&page, data + 1, size - 1, fuzz_refs(), data[0], roots, &error), &error) ||
      page.level > 0)
    return;
  hf_page_begin(&writer, roots, page.tail);
  while (hf_page_next(&page, &entry, &error))
    hf_page_add(&writer, &entry);
  if (fuzz_judge(error == NULL, &error)) {
    fuzz_same_array(writer.payload, data + 1, size - 1);
    fuzz_same_refs(writer.refs, data[0]);
  } else {
    g_assert_false(hf_page_next(&page, &entry, NULL));
  }
  hf_page_clear(&writer);
}
