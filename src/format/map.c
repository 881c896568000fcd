/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/error.h"
#include "format/tree.h"

void hf_map_encode(guint8 level, const guint8 *present, guint count, GByteArray *payload)
{
  guint8 bitmap[HF_MAP_FANOUT / 8] = { 0 };
  g_assert(count >= 1 && count <= HF_MAP_FANOUT);
  for (guint i = 0; i < count; i++)
    if (present[i])
      bitmap[i / 8] |= (guint8)(1u << i % 8);
  hf_put_u8(payload, level);
  hf_put_varint(payload, count);
  hf_put_raw(payload, bitmap, (count + 7) / 8);
}

gboolean hf_map_decode(const void *payload, gsize length, guint ref_count, guint8 *level, guint *count, gint32 *index,
                       GError **error)
{
  HfReader reader = hf_reader(payload, length);
  guint found = 0;
  *level = hf_get_u8(&reader);
  *count = (guint)hf_get_varint(&reader, HF_MAP_FANOUT);
  HfView bitmap = hf_get_view(&reader, (*count + 7) / 8);
  if (*level > HF_MAP_LEVEL_MAX || *count == 0)
    hf_reader_fail(&reader);
  for (guint i = 0; i < 8 * bitmap.length; i++) {
    gboolean set = bitmap.data[i / 8] >> i % 8 & 1;
    if (i < *count)
      index[i] = set ? (gint32)found : -1;
    else if (set)
      hf_reader_fail(&reader);
    found += set;
  }
  if (found != ref_count)
    hf_reader_fail(&reader);
  return hf_reader_done(&reader, "a disk map", error);
}

guint8 hf_map_level(guint64 blocks)
{
  guint8 level = 0;
  for (guint64 last = blocks > 0 ? blocks - 1 : 0; last >= HF_MAP_FANOUT; last /= HF_MAP_FANOUT)
    level++;
  return level;
}
