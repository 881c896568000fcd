/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/error.h"
#include "format/tree.h"

void hf_node_begin(GByteArray *payload, guint8 level)
{
  hf_put_u8(payload, level);
  hf_put_u8(payload, 0);
}

void hf_node_add(GByteArray *payload, GArray *refs, const HfNodeItem *item)
{
  hf_put_bytes(payload, item->last_name.data, item->last_name.length);
  hf_put_varint(payload, item->entries);
  g_array_append_val(refs, item->ref);
}

static gboolean finish(const HfPageReader *page, GError **error)
{
  if (page->reader.failed || page->next_ref != page->ref_count)
    return hf_fail(error, HF_ERROR_INVALID, "a directory page of level %u is malformed", page->level);
  return FALSE;
}

gboolean hf_node_next(HfPageReader *page, HfNodeItem *item, GError **error)
{
  HfReader *reader = &page->reader;
  g_assert(page->level > 0);
  if (hf_reader_left(reader) == 0)
    return finish(page, error);
  gboolean full = page->entries >= HF_PAGE_ENTRIES_MAX || (gsize)(reader->end - page->start) > HF_PAGE_BYTES_MAX;
  item->last_name = hf_get_bytes(reader, HF_NAME_MAX);
  item->entries = hf_get_varint(reader, G_MAXUINT64);
  if (full || !hf_name_valid(item->last_name) || item->entries == 0 || page->next_ref >= page->ref_count ||
      (page->entries > 0 && hf_name_compare(page->last_name, item->last_name) >= 0) ||
      !g_uint64_checked_add(&page->below, page->below, item->entries))
    hf_reader_fail(reader);
  if (reader->failed)
    return finish(page, error);
  item->ref = page->refs[page->next_ref++];
  page->last_name = item->last_name;
  page->entries++;
  return TRUE;
}
