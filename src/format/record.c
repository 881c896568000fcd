/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "format/record.h"

#include "base/error.h"

#define MAGIC "HOLDFAST"
#define VERSION 1
#define HEADER_BYTES 16u
#define DIGEST_BYTES 32u
G_STATIC_ASSERT(HEADER_BYTES + DIGEST_BYTES == HF_RECORD_ENVELOPE_BYTES);

GBytes *hf_record_wrap(HfRecordKind kind, const void *body, gsize length)
{
  g_assert(length <= HF_RECORD_LIMIT);
  gsize total = HEADER_BYTES + length + DIGEST_BYTES;
  guint8 *record = g_malloc(total);
  memcpy(record, MAGIC, 8);
  hf_store_u16(record + 8, VERSION);
  hf_store_u16(record + 10, (guint16)kind);
  hf_store_u32(record + 12, (guint32)length);
  if (length > 0)
    memcpy(record + HEADER_BYTES, body, length);
  hf_sha256(record, HEADER_BYTES + length, record + HEADER_BYTES + length);
  return g_bytes_new_take(record, total);
}

gboolean hf_record_open(const void *bytes, gsize length, HfRecordKind kind, const char *what, HfView *body,
                        GError **error)
{
  const guint8 *record = bytes;
  guint8 digest[DIGEST_BYTES];
  if (length < 8 || memcmp(record, MAGIC, 8) != 0)
    return hf_fail(error, HF_ERROR_FORMAT, "%s is not an object of a holdfast repository", what);
  if (length < HF_RECORD_ENVELOPE_BYTES)
    return hf_fail(error, HF_ERROR_DAMAGED, "%s is cut short", what);
  if (length > HF_RECORD_BYTES_LIMIT)
    return hf_fail(error, HF_ERROR_DAMAGED, "%s is longer than any record", what);
  /* The digest comes first: a flipped bit in the version must not pass for a newer format. */
  gsize end = length - DIGEST_BYTES;
  hf_sha256(record, end, digest);
  if (memcmp(digest, record + end, DIGEST_BYTES) != 0)
    return hf_fail(error, HF_ERROR_DAMAGED, "%s does not match its digest", what);
  guint version = hf_load_u16(record + 8), found = hf_load_u16(record + 10);
  if (version != VERSION)
    return hf_fail(error, HF_ERROR_FORMAT, "%s has format version %u; this program reads version %u", what, version,
                   VERSION);
  if (hf_load_u32(record + 12) != end - HEADER_BYTES)
    return hf_fail(error, HF_ERROR_DAMAGED, "%s does not have the length that it states", what);
  if (found != (guint)kind)
    return hf_fail(error, HF_ERROR_INVALID, "%s is a record of kind %u, not %u", what, found, (guint)kind);
  *body = (HfView){ record + HEADER_BYTES, end - HEADER_BYTES };
  return TRUE;
}

void hf_body_sign(GByteArray *body, const HfKey *seed, const char *label)
{
  guint8 signature[HF_SIGNATURE_BYTES];
  hf_sign(seed, label, body->data, body->len, signature);
  hf_put_raw(body, signature, sizeof signature);
}

gboolean hf_body_split(HfView body, HfView *signed_part, HfView *signature)
{
  if (body.length < HF_SIGNATURE_BYTES)
    return FALSE;
  gsize length = body.length - HF_SIGNATURE_BYTES;
  *signed_part = (HfView){ body.data, length };
  *signature = (HfView){ body.data + length, HF_SIGNATURE_BYTES };
  return TRUE;
}

gboolean hf_body_verify(HfView body, const guint8 public_half[32], const char *label, const char *what,
                        HfView *signed_part, GError **error)
{
  HfView signature;
  if (!hf_body_split(body, signed_part, &signature))
    return hf_fail(error, HF_ERROR_INVALID, "%s is too short to be signed", what);
  if (!hf_signature_valid(public_half, label, signed_part->data, signed_part->length, signature.data))
    return hf_fail(error, HF_ERROR_DAMAGED, "%s is not signed by the key that it should be signed by", what);
  return TRUE;
}

GBytes *hf_record_finish(HfRecordKind kind, GByteArray *body, const HfKey *seed, const char *label)
{
  if (seed != NULL)
    hf_body_sign(body, seed, label);
  return hf_record_wrap(kind, body->data, body->len);
}

gboolean hf_record_open_signed(GBytes *record, HfRecordKind kind, const guint8 *public_half, const char *label,
                               const char *what, HfView *body, GError **error)
{
  gsize length;
  const void *bytes = g_bytes_get_data(record, &length);
  HfView whole, signature;
  if (!hf_record_open(bytes, length, kind, what, &whole, error))
    return FALSE;
  if (public_half != NULL)
    return hf_body_verify(whole, public_half, label, what, body, error);
  if (!hf_body_split(whole, body, &signature))
    return hf_fail(error, HF_ERROR_INVALID, "%s is too short to be signed", what);
  return TRUE;
}
