/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/error.h"
#include "format/tree.h"

#define ITEMS_MAX 1024u
#define FILE_MAX ((guint64)G_MAXINT64)

void hf_list_begin(GByteArray *payload, guint8 level)
{
  hf_put_u8(payload, level);
}

void hf_list_add(GByteArray *payload, GArray *refs, guint8 level, const HfListItem *item)
{
  gboolean hole = level == 0 && item->hole;
  hf_put_varint(payload, level == 0 ? item->length << 1 | (hole ? 1 : 0) : item->length);
  if (!hole)
    g_array_append_val(refs, item->ref);
}

gboolean hf_list_open(HfListReader *list, const void *payload, gsize length, const HfId *refs, guint ref_count,
                      GError **error)
{
  *list = (HfListReader){ .reader = hf_reader(payload, length), .refs = refs, .ref_count = ref_count };
  list->level = hf_get_u8(&list->reader);
  if (hf_reader_left(&list->reader) == 0 || list->level > HF_LEVEL_MAX)
    return hf_fail(error, HF_ERROR_INVALID, "the head of a list is malformed");
  return TRUE;
}

static gboolean finish(const HfListReader *list, GError **error)
{
  if (list->reader.failed || list->next_ref != list->ref_count)
    return hf_fail(error, HF_ERROR_INVALID, "a list is malformed");
  return FALSE;
}

gboolean hf_list_next(HfListReader *list, HfListItem *item, GError **error)
{
  HfReader *reader = &list->reader;
  if (hf_reader_left(reader) == 0)
    return finish(list, error);
  memset(item, 0, sizeof *item);
  item->length = hf_get_varint(reader, G_MAXUINT64);
  if (list->level == 0) {
    item->hole = item->length & 1;
    item->length >>= 1;
  }
  gboolean chunk = list->level == 0 && !item->hole;
  if (list->items >= ITEMS_MAX || item->length == 0 || item->length > (chunk ? HF_PAYLOAD_MAX : FILE_MAX) ||
      item->length > FILE_MAX - list->covered || (!item->hole && list->next_ref >= list->ref_count))
    hf_reader_fail(reader);
  if (reader->failed)
    return finish(list, error);
  if (!item->hole)
    item->ref = list->refs[list->next_ref++];
  list->covered += item->length;
  list->items++;
  return TRUE;
}
