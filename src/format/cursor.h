/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Cursors: the only way in which bytes from outside become values, and back. A reader checks each length once, keeps
 * the first failure and from then on gives zeros and empty views; the caller asks once, at the end, with
 * hf_reader_done. Views point into the input: they live as long as it does. Not shared between threads.
 */
#pragma once

#include <glib.h>

#include "base/buffer.h"
#include "crypto/crypto.h"

typedef struct HfView {
  const guint8 *data;
  gsize length;
} HfView;

typedef struct HfReader {
  const guint8 *next, *end;
  gboolean failed;
} HfReader;

static inline HfReader hf_reader(const void *bytes, gsize length)
{
  return (HfReader){ bytes, (const guint8 *)bytes + length, FALSE };
}
guint8 hf_get_u8(HfReader *reader);
guint16 hf_get_u16(HfReader *reader);
guint32 hf_get_u24(HfReader *reader);
guint32 hf_get_u32(HfReader *reader);
guint64 hf_get_u64(HfReader *reader);
gint64 hf_get_i64(HfReader *reader);
/* Shortest form only; above `maximum` the reader fails. */
guint64 hf_get_varint(HfReader *reader, guint64 maximum);
gint64 hf_get_zigzag(HfReader *reader);
/* A view of exactly `length` bytes. */
HfView hf_get_view(HfReader *reader, gsize length);
/* varint length (at most `maximum`), then a view of it. */
HfView hf_get_bytes(HfReader *reader, gsize maximum);
/* As bytes, but must be UTF-8 without NUL; a new string, NULL once failed. */
char *hf_get_text(HfReader *reader, gsize maximum);
/* Copies `length` bytes; zeros once failed. */
void hf_get_raw(HfReader *reader, void *out, gsize length);
static inline gsize hf_reader_left(const HfReader *reader) { return (gsize)(reader->end - reader->next); }
/* Marks the reader failed: for rules beyond lengths. */
static inline void hf_reader_fail(HfReader *reader) { reader->failed = TRUE; reader->next = reader->end; }
/* TRUE when nothing failed and nothing is left; else HF_ERROR_INVALID "`what` is malformed". */
gboolean hf_reader_done(const HfReader *reader, const char *what, GError **error);

/* Writers append to a GByteArray (small objects, pages). They cannot fail. */
void hf_put_u8(GByteArray *out, guint8 value);
void hf_put_u16(GByteArray *out, guint16 value);
void hf_put_u24(GByteArray *out, guint32 value);
void hf_put_u32(GByteArray *out, guint32 value);
void hf_put_u64(GByteArray *out, guint64 value);
void hf_put_i64(GByteArray *out, gint64 value);
void hf_put_varint(GByteArray *out, guint64 value);
void hf_put_zigzag(GByteArray *out, gint64 value);
void hf_put_raw(GByteArray *out, const void *bytes, gsize length);
void hf_put_bytes(GByteArray *out, const void *bytes, gsize length);
void hf_put_text(GByteArray *out, const char *text); /* NULL counts as "" */

/* Fixed places, for headers that are filled in by offset. */
void hf_store_u16(guint8 *at, guint16 value);
void hf_store_u24(guint8 *at, guint32 value);
void hf_store_u32(guint8 *at, guint32 value);
void hf_store_u64(guint8 *at, guint64 value);
void hf_store_be64(guint8 *at, guint64 value);
guint16 hf_load_u16(const guint8 *at);
guint32 hf_load_u24(const guint8 *at);
guint32 hf_load_u32(const guint8 *at);
guint64 hf_load_u64(const guint8 *at);
guint64 hf_load_be64(const guint8 *at);
