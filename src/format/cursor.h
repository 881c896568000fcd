/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Cursors: the only way in which bytes from outside become values, and back. A reader checks each length once, keeps
 * the first failure and from then on gives zeros and empty views; the caller asks once, at the end, with
 * hf_reader_done. Views point into the input: they live as long as it does. Not shared between threads.
 */
#pragma once

#include <glib.h>
#include <string.h>

#include "base/buffer.h"
#include "crypto/crypto.h"

typedef struct HfView {
  const guint8 *data; /* never NULL in a view that a reader gave */
  gsize length;
} HfView;

typedef struct HfReader {
  const guint8 *next, *end;
  gboolean failed;
} HfReader;

#define HF_VARINT_BYTES 10u  /* the longest varint */
#define HF_TEXT_MAX 4096u    /* the longest text, in bytes, where format.md says nothing else */

/* What views of nothing point at. */
extern const guint8 hf_nothing[1];

/* ---- Fixed places, for headers that are filled in by offset. ---- */
static inline guint16 hf_load_u16(const guint8 *at)
{
  guint16 value;
  memcpy(&value, at, sizeof value);
  return GUINT16_FROM_LE(value);
}
static inline guint32 hf_load_u24(const guint8 *at) { return at[0] | (guint32)at[1] << 8 | (guint32)at[2] << 16; }
static inline guint32 hf_load_u32(const guint8 *at)
{
  guint32 value;
  memcpy(&value, at, sizeof value);
  return GUINT32_FROM_LE(value);
}
static inline guint64 hf_load_u64(const guint8 *at)
{
  guint64 value;
  memcpy(&value, at, sizeof value);
  return GUINT64_FROM_LE(value);
}
static inline guint64 hf_load_be64(const guint8 *at)
{
  guint64 value;
  memcpy(&value, at, sizeof value);
  return GUINT64_FROM_BE(value);
}
void hf_store_u16(guint8 *at, guint16 value);
void hf_store_u24(guint8 *at, guint32 value);
void hf_store_u32(guint8 *at, guint32 value);
void hf_store_u64(guint8 *at, guint64 value);
void hf_store_be64(guint8 *at, guint64 value);
/* Writes at most HF_VARINT_BYTES; returns where the next byte goes. */
static inline guint8 *hf_store_varint(guint8 *at, guint64 value)
{
  for (; value >= 0x80; value >>= 7)
    *at++ = (guint8)(value | 0x80);
  *at++ = (guint8)value;
  return at;
}
static inline guint64 hf_zigzag(gint64 value) { return (guint64)value << 1 ^ (value < 0 ? G_MAXUINT64 : 0); }
static inline gint64 hf_unzigzag(guint64 value) { return (gint64)(value >> 1 ^ (0 - (value & 1))); }

/* ---- Reading. ---- */
static inline HfReader hf_reader(const void *bytes, gsize length)
{
  const guint8 *start = length > 0 ? (const guint8 *)bytes : hf_nothing;
  return (HfReader){ start, start + length, FALSE };
}
static inline gsize hf_reader_left(const HfReader *reader) { return (gsize)(reader->end - reader->next); }
/* Marks the reader failed: for rules beyond lengths. */
static inline void hf_reader_fail(HfReader *reader)
{
  reader->failed = TRUE;
  reader->next = reader->end;
}
/* The next `length` bytes, or NULL once failed (never NULL before that). */
static inline const guint8 *hf_reader_take(HfReader *reader, gsize length)
{
  const guint8 *at = reader->next;
  if (G_UNLIKELY(length > hf_reader_left(reader) || reader->failed)) {
    hf_reader_fail(reader);
    return NULL;
  }
  reader->next += length;
  return at;
}
static inline guint8 hf_get_u8(HfReader *reader)
{
  const guint8 *at = hf_reader_take(reader, 1);
  return at != NULL ? *at : 0;
}
static inline guint16 hf_get_u16(HfReader *reader)
{
  const guint8 *at = hf_reader_take(reader, 2);
  return at != NULL ? hf_load_u16(at) : 0;
}
static inline guint32 hf_get_u24(HfReader *reader)
{
  const guint8 *at = hf_reader_take(reader, 3);
  return at != NULL ? hf_load_u24(at) : 0;
}
static inline guint32 hf_get_u32(HfReader *reader)
{
  const guint8 *at = hf_reader_take(reader, 4);
  return at != NULL ? hf_load_u32(at) : 0;
}
static inline guint64 hf_get_u64(HfReader *reader)
{
  const guint8 *at = hf_reader_take(reader, 8);
  return at != NULL ? hf_load_u64(at) : 0;
}
static inline gint64 hf_get_i64(HfReader *reader) { return (gint64)hf_get_u64(reader); }
/* A varint of more than one byte. */
guint64 hf_get_long_varint(HfReader *reader, guint64 maximum);
/* Shortest form only; above `maximum` the reader fails. */
static inline guint64 hf_get_varint(HfReader *reader, guint64 maximum)
{
  if (G_LIKELY(reader->next < reader->end && *reader->next < 0x80 && *reader->next <= maximum))
    return *reader->next++;
  return hf_get_long_varint(reader, maximum);
}
static inline gint64 hf_get_zigzag(HfReader *reader) { return hf_unzigzag(hf_get_varint(reader, G_MAXUINT64)); }
/* A view of exactly `length` bytes. */
static inline HfView hf_get_view(HfReader *reader, gsize length)
{
  const guint8 *at = hf_reader_take(reader, length);
  return at != NULL ? (HfView){ at, length } : (HfView){ hf_nothing, 0 };
}
/* varint length (at most `maximum`), then a view of it. */
static inline HfView hf_get_bytes(HfReader *reader, gsize maximum)
{
  return hf_get_view(reader, (gsize)hf_get_varint(reader, maximum));
}
/* As bytes, but must be UTF-8 without NUL; a new string, NULL once failed. */
char *hf_get_text(HfReader *reader, gsize maximum);
/* Copies `length` bytes; zeros once failed. */
void hf_get_raw(HfReader *reader, void *out, gsize length);
/* A varint number of elements that take `size` bytes each: fails when so many are not left. */
guint hf_get_count(HfReader *reader, gsize size);
/* TRUE when nothing failed and nothing is left; else HF_ERROR_INVALID "`what` is malformed". */
gboolean hf_reader_done(const HfReader *reader, const char *what, GError **error);

/* ---- Writers append to a GByteArray (small objects, pages). They cannot fail. ---- */
void hf_put_u8(GByteArray *out, guint8 value);
void hf_put_u16(GByteArray *out, guint16 value);
void hf_put_u24(GByteArray *out, guint32 value);
void hf_put_u32(GByteArray *out, guint32 value);
void hf_put_u64(GByteArray *out, guint64 value);
void hf_put_i64(GByteArray *out, gint64 value);
void hf_put_varint(GByteArray *out, guint64 value);
void hf_put_zigzag(GByteArray *out, gint64 value);
void hf_put_raw(GByteArray *out, const void *bytes, gsize length);
void hf_put_zeros(GByteArray *out, gsize length);
void hf_put_bytes(GByteArray *out, const void *bytes, gsize length);
void hf_put_text(GByteArray *out, const char *text); /* NULL counts as "" */
