/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "format/cursor.h"

#include "base/error.h"

const guint8 hf_nothing[1] = { 0 };

void hf_store_u16(guint8 *at, guint16 value)
{
  value = GUINT16_TO_LE(value);
  memcpy(at, &value, sizeof value);
}

void hf_store_u24(guint8 *at, guint32 value)
{
  at[0] = (guint8)value;
  at[1] = (guint8)(value >> 8);
  at[2] = (guint8)(value >> 16);
}

void hf_store_u32(guint8 *at, guint32 value)
{
  value = GUINT32_TO_LE(value);
  memcpy(at, &value, sizeof value);
}

void hf_store_u64(guint8 *at, guint64 value)
{
  value = GUINT64_TO_LE(value);
  memcpy(at, &value, sizeof value);
}

void hf_store_be64(guint8 *at, guint64 value)
{
  value = GUINT64_TO_BE(value);
  memcpy(at, &value, sizeof value);
}

guint64 hf_get_long_varint(HfReader *reader, guint64 maximum)
{
  const guint8 *at = reader->next;
  guint count = (guint)MIN(hf_reader_left(reader), HF_VARINT_BYTES);
  guint64 value = 0;
  for (guint i = 0; i < count; i++) {
    value |= (guint64)(at[i] & 0x7f) << 7 * i;
    if (at[i] >= 0x80)
      continue;
    /* A last byte of zero would be a longer form of the same value; the tenth has room for one bit. */
    if ((at[i] == 0 && i > 0) || (i == HF_VARINT_BYTES - 1 && at[i] > 1) || value > maximum)
      break;
    reader->next = at + i + 1;
    return value;
  }
  hf_reader_fail(reader);
  return 0;
}

char *hf_get_text(HfReader *reader, gsize maximum)
{
  HfView view = hf_get_bytes(reader, maximum);
  if (!reader->failed && !g_utf8_validate_len((const char *)view.data, view.length, NULL))
    hf_reader_fail(reader);
  return reader->failed ? NULL : g_strndup((const char *)view.data, view.length);
}

void hf_get_raw(HfReader *reader, void *out, gsize length)
{
  const guint8 *at = hf_reader_take(reader, length);
  if (at != NULL)
    memcpy(out, at, length);
  else
    memset(out, 0, length);
}

guint hf_get_count(HfReader *reader, gsize size)
{
  guint64 count = hf_get_varint(reader, G_MAXUINT32);
  if (count > hf_reader_left(reader) / size) {
    hf_reader_fail(reader);
    return 0;
  }
  return (guint)count;
}

gboolean hf_reader_done(const HfReader *reader, const char *what, GError **error)
{
  if (reader->failed || reader->next != reader->end)
    return hf_fail(error, HF_ERROR_INVALID, "%s is malformed", what);
  return TRUE;
}

void hf_put_raw(GByteArray *out, const void *bytes, gsize length)
{
  g_assert(length <= G_MAXUINT);
  if (length > 0)
    g_byte_array_append(out, bytes, (guint)length);
}

void hf_put_zeros(GByteArray *out, gsize length)
{
  guint old = out->len;
  g_assert(length <= G_MAXUINT - old);
  g_byte_array_set_size(out, old + (guint)length);
  memset(out->data + old, 0, length);
}

void hf_put_u8(GByteArray *out, guint8 value)
{
  hf_put_raw(out, &value, 1);
}

void hf_put_u16(GByteArray *out, guint16 value)
{
  guint8 bytes[2];
  hf_store_u16(bytes, value);
  hf_put_raw(out, bytes, sizeof bytes);
}

void hf_put_u24(GByteArray *out, guint32 value)
{
  guint8 bytes[3];
  hf_store_u24(bytes, value);
  hf_put_raw(out, bytes, sizeof bytes);
}

void hf_put_u32(GByteArray *out, guint32 value)
{
  guint8 bytes[4];
  hf_store_u32(bytes, value);
  hf_put_raw(out, bytes, sizeof bytes);
}

void hf_put_u64(GByteArray *out, guint64 value)
{
  guint8 bytes[8];
  hf_store_u64(bytes, value);
  hf_put_raw(out, bytes, sizeof bytes);
}

void hf_put_i64(GByteArray *out, gint64 value)
{
  hf_put_u64(out, (guint64)value);
}

void hf_put_varint(GByteArray *out, guint64 value)
{
  guint8 bytes[HF_VARINT_BYTES];
  guint8 *end = hf_store_varint(bytes, value);
  hf_put_raw(out, bytes, (gsize)(end - bytes));
}

void hf_put_zigzag(GByteArray *out, gint64 value)
{
  hf_put_varint(out, hf_zigzag(value));
}

void hf_put_bytes(GByteArray *out, const void *bytes, gsize length)
{
  hf_put_varint(out, length);
  hf_put_raw(out, bytes, length);
}

void hf_put_text(GByteArray *out, const char *text)
{
  hf_put_bytes(out, text, text != NULL ? strlen(text) : 0);
}
