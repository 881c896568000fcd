/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/error.h"
#include "format/tree.h"

void hf_extras_add(GByteArray *extras, HfExtra tag, const void *value, gsize length)
{
  hf_put_varint(extras, tag);
  hf_put_bytes(extras, value, length);
}

/* The name at the start of the value of an extended attribute; empty when there is none. */
static HfView attribute_name(HfView value)
{
  const guint8 *end = value.length > 0 ? memchr(value.data, '\0', value.length) : NULL;
  return (HfView){ value.data, end != NULL ? (gsize)(end - value.data) : 0 };
}

/* Takes one extra, whatever stands before and after it. */
static void take(HfReader *reader, guint64 *tag, HfView *value)
{
  *tag = hf_get_varint(reader, HF_EXTRA_PROJECT);
  *value = hf_get_bytes(reader, HF_PAYLOAD_MAX);
  gsize name = attribute_name(*value).length;
  if (*tag == HF_EXTRA_XATTR ? name == 0 || name > HF_NAME_MAX : *tag == 0 || value->length != 4)
    hf_reader_fail(reader);
}

static gboolean in_order(guint64 tag, HfView value, guint64 next_tag, HfView next_value)
{
  if (tag == HF_EXTRA_XATTR && next_tag == HF_EXTRA_XATTR)
    return hf_name_compare(attribute_name(value), attribute_name(next_value)) < 0;
  return tag < next_tag;
}

gboolean hf_extras_next(HfReader *extras, guint64 *tag, HfView *value, GError **error)
{
  if (hf_reader_left(extras) == 0) {
    if (extras->failed)
      return hf_fail(error, HF_ERROR_INVALID, "the extras of an entry are malformed");
    return FALSE;
  }
  take(extras, tag, value);
  /* The order is checked against the one that follows: so a reader is all the state there is. */
  HfReader ahead = *extras;
  if (hf_reader_left(&ahead) > 0) {
    guint64 next_tag;
    HfView next_value;
    take(&ahead, &next_tag, &next_value);
    if (ahead.failed || !in_order(*tag, *value, next_tag, next_value))
      hf_reader_fail(extras);
  }
  if (extras->failed)
    return hf_fail(error, HF_ERROR_INVALID, "the extras of an entry are malformed");
  return TRUE;
}

gboolean hf_extras_valid(HfView extras)
{
  HfReader reader = hf_reader(extras.data, extras.length);
  guint64 tag;
  HfView value;
  while (hf_extras_next(&reader, &tag, &value, NULL))
    continue;
  return !reader.failed;
}
