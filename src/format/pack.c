/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "format/pack.h"

#include "base/error.h"

#define HEAD_MAGIC "HFpack1\n"
#define TRAILER_MAGIC "HFend1\n" /* and its NUL */
#define SLOT_LABEL "holdfast session"
#define SLOT_SIGNED_BYTES 232u
#define SLOT_ZEROS_AT 200u
#define SLOT_ZEROS 32u
#define CHECK_BYTES 8u
#define DIRECTORY_FIXED_BYTES 12u
#define FRAME_ROW_BYTES 24u
#define PACK_LENGTH_MAX G_MAXUINT32

G_STATIC_ASSERT(SLOT_ZEROS_AT + SLOT_ZEROS == SLOT_SIGNED_BYTES);
G_STATIC_ASSERT(SLOT_SIGNED_BYTES + HF_SIGNATURE_BYTES == HF_SESSION_SLOT_BYTES);

/* ---- Key slots of sessions ---- */

static void encode_signed_part(const HfSessionSlot *slot, guint8 *out)
{
  memcpy(out, slot->session.b, HF_SHORT_ID_BYTES);
  memcpy(out + 16, slot->writer.b, HF_SHORT_ID_BYTES);
  hf_store_u32(out + 32, slot->domain);
  hf_store_u32(out + 36, slot->generation);
  memcpy(out + 40, slot->sealed_key, sizeof slot->sealed_key);
  memcpy(out + 120, slot->sealed_meta_key, sizeof slot->sealed_meta_key);
  memset(out + SLOT_ZEROS_AT, 0, SLOT_ZEROS);
}

void hf_session_slot_encode(HfSessionSlot *slot, const HfKey *seed, guint8 out[HF_SESSION_SLOT_BYTES])
{
  encode_signed_part(slot, out);
  if (seed != NULL)
    hf_sign(seed, SLOT_LABEL, out, SLOT_SIGNED_BYTES, slot->signature);
  memcpy(out + SLOT_SIGNED_BYTES, slot->signature, HF_SIGNATURE_BYTES);
}

gboolean hf_session_slot_decode(const guint8 bytes[HF_SESSION_SLOT_BYTES], HfSessionSlot *slot)
{
  memcpy(slot->session.b, bytes, HF_SHORT_ID_BYTES);
  memcpy(slot->writer.b, bytes + 16, HF_SHORT_ID_BYTES);
  slot->domain = hf_load_u32(bytes + 32);
  slot->generation = hf_load_u32(bytes + 36);
  memcpy(slot->sealed_key, bytes + 40, sizeof slot->sealed_key);
  memcpy(slot->sealed_meta_key, bytes + 120, sizeof slot->sealed_meta_key);
  memcpy(slot->signature, bytes + SLOT_SIGNED_BYTES, HF_SIGNATURE_BYTES);
  return hf_bytes_all_zero(bytes + SLOT_ZEROS_AT, SLOT_ZEROS);
}

gboolean hf_session_slot_verify(const HfSessionSlot *slot, const guint8 writer_public[32])
{
  guint8 bytes[SLOT_SIGNED_BYTES];
  encode_signed_part(slot, bytes);
  return hf_signature_valid(writer_public, SLOT_LABEL, bytes, sizeof bytes, slot->signature);
}

void hf_put_session_slot(GByteArray *out, const HfSessionSlot *slot)
{
  guint8 bytes[HF_SESSION_SLOT_BYTES];
  encode_signed_part(slot, bytes);
  memcpy(bytes + SLOT_SIGNED_BYTES, slot->signature, HF_SIGNATURE_BYTES);
  hf_put_raw(out, bytes, sizeof bytes);
}

void hf_get_session_slot(HfReader *reader, HfSessionSlot *slot)
{
  guint8 bytes[HF_SESSION_SLOT_BYTES];
  hf_get_raw(reader, bytes, sizeof bytes);
  if (!hf_session_slot_decode(bytes, slot))
    hf_reader_fail(reader);
}

static void put_slots(GByteArray *out, const GArray *slots)
{
  for (guint i = 0; i < slots->len; i++)
    hf_put_session_slot(out, &g_array_index(slots, HfSessionSlot, i));
}

/* The caller has checked that `count` slots are there. */
static void get_slots(HfReader *reader, guint count, GArray *slots)
{
  g_array_set_size(slots, 0);
  for (guint i = 0; i < count; i++) {
    HfSessionSlot slot;
    hf_get_session_slot(reader, &slot);
    g_array_append_val(slots, slot);
  }
}

/* ---- Packs ---- */

void hf_pack_info_init(HfPackInfo *info)
{
  memset(info, 0, sizeof *info);
  info->slots = g_array_new(FALSE, FALSE, sizeof(HfSessionSlot));
  info->frames = g_array_new(FALSE, FALSE, sizeof(HfPackFrame));
  info->ids = g_array_new(FALSE, FALSE, sizeof(HfId));
}

void hf_pack_info_clear(HfPackInfo *info)
{
  g_clear_pointer(&info->slots, g_array_unref);
  g_clear_pointer(&info->frames, g_array_unref);
  g_clear_pointer(&info->ids, g_array_unref);
  memset(info, 0, sizeof *info);
}

gsize hf_pack_head_length(guint slots)
{
  return HF_PACK_HEAD_FIXED + (gsize)slots * HF_SESSION_SLOT_BYTES + CHECK_BYTES;
}

static void put_check(GByteArray *out, guint from)
{
  guint8 check[CHECK_BYTES];
  hf_store_be64(check, hf_xxh64(out->data + from, out->len - from));
  hf_put_raw(out, check, sizeof check);
}

void hf_pack_head_encode(const HfPackInfo *info, GByteArray *out)
{
  guint start = out->len;
  hf_put_raw(out, HEAD_MAGIC, 8);
  hf_put_raw(out, info->id.b, HF_SHORT_ID_BYTES);
  hf_put_u8(out, info->kind);
  hf_put_u8(out, 0);
  hf_put_u16(out, (guint16)info->slots->len);
  hf_put_u32(out, info->domain);
  put_slots(out, info->slots);
  put_check(out, start);
}

gboolean hf_pack_head_peek(const void *bytes, gsize length, gsize *head_length, GError **error)
{
  const guint8 *at = bytes;
  if (length < HF_PACK_HEAD_FIXED)
    return hf_fail(error, HF_ERROR_DAMAGED, "the pack is cut short");
  guint slots = hf_load_u16(at + 26);
  if (memcmp(at, HEAD_MAGIC, 8) != 0 || slots == 0 || slots > HF_PACK_SLOTS_MAX)
    return hf_fail(error, HF_ERROR_INVALID, "the head of the pack is malformed");
  *head_length = hf_pack_head_length(slots);
  return TRUE;
}

gboolean hf_pack_head_decode(const void *bytes, gsize length, HfPackInfo *info, GError **error)
{
  const guint8 *at = bytes;
  gsize head;
  if (!hf_pack_head_peek(bytes, length, &head, error))
    return FALSE;
  if (length < head)
    return hf_fail(error, HF_ERROR_DAMAGED, "the pack is cut short");
  if (hf_load_be64(at + head - CHECK_BYTES) != hf_xxh64(at, head - CHECK_BYTES))
    return hf_fail(error, HF_ERROR_DAMAGED, "the head of the pack does not match its check");
  HfReader reader = hf_reader(at + 8, head - CHECK_BYTES - 8);
  hf_get_raw(&reader, info->id.b, HF_SHORT_ID_BYTES);
  info->kind = hf_get_u8(&reader);
  if ((info->kind != HF_PACK_DATA && info->kind != HF_PACK_META) || hf_get_u8(&reader) != 0)
    hf_reader_fail(&reader);
  guint slots = hf_get_u16(&reader);
  info->domain = hf_get_u32(&reader);
  get_slots(&reader, slots, info->slots);
  return hf_reader_done(&reader, "the head of the pack", error);
}

void hf_pack_end_encode(const HfPackInfo *info, guint64 offset, GByteArray *out)
{
  guint8 digest[16];
  guint start = out->len;
  hf_put_u32(out, info->frames->len);
  hf_put_u32(out, info->ids->len);
  hf_put_u16(out, (guint16)info->slots->len);
  hf_put_u16(out, 0);
  put_slots(out, info->slots);
  for (guint i = 0; i < info->frames->len; i++) {
    const HfPackFrame *frame = &g_array_index(info->frames, HfPackFrame, i);
    hf_put_u32(out, frame->stored_length);
    hf_put_u8(out, frame->kind);
    hf_put_u8(out, 0);
    hf_put_u16(out, frame->blobs);
    hf_put_raw(out, frame->digest, sizeof frame->digest);
  }
  hf_put_raw(out, info->ids->data, (gsize)info->ids->len * sizeof(HfId));
  guint length = out->len - start;
  hf_xxh128(out->data + start, length, digest);
  guint trailer = out->len;
  hf_put_raw(out, TRAILER_MAGIC, 8);
  hf_put_raw(out, info->id.b, HF_SHORT_ID_BYTES);
  hf_put_u64(out, offset);
  hf_put_u64(out, length);
  hf_put_raw(out, digest, sizeof digest);
  put_check(out, trailer);
}

gboolean hf_pack_trailer_decode(const void *bytes, gsize length, HfShortId *pack, guint64 *offset,
                                guint64 *directory_length, guint8 digest[16], GError **error)
{
  const guint8 *at = bytes;
  if (length != HF_PACK_TRAILER_BYTES)
    return hf_fail(error, HF_ERROR_DAMAGED, "the pack is cut short");
  if (hf_load_be64(at + HF_PACK_TRAILER_BYTES - CHECK_BYTES) != hf_xxh64(at, HF_PACK_TRAILER_BYTES - CHECK_BYTES))
    return hf_fail(error, HF_ERROR_DAMAGED, "the trailer of the pack does not match its check");
  memcpy(pack->b, at + 8, HF_SHORT_ID_BYTES);
  *offset = hf_load_u64(at + 24);
  *directory_length = hf_load_u64(at + 32);
  memcpy(digest, at + 40, 16);
  if (memcmp(at, TRAILER_MAGIC, 8) != 0 || *offset > PACK_LENGTH_MAX || *directory_length > PACK_LENGTH_MAX ||
      *offset + *directory_length + HF_PACK_TRAILER_BYTES > PACK_LENGTH_MAX ||
      *offset <= hf_pack_head_length(1) + HF_FRAME_PREFIX_BYTES || *directory_length < DIRECTORY_FIXED_BYTES)
    return hf_fail(error, HF_ERROR_INVALID, "the trailer of the pack is malformed");
  return TRUE;
}

/* A frame holds more than its prefix; rows hold one blob and stand in data packs only. */
static gboolean frame_valid(const HfPackFrame *frame, guint8 pack_kind)
{
  if (frame->stored_length <= HF_FRAME_PREFIX_BYTES || frame->stored_length > HF_FRAME_STORED_MAX || frame->blobs == 0)
    return FALSE;
  return frame->kind == HF_FRAME_GROUP ||
    (frame->kind == HF_FRAME_ROW && frame->blobs == 1 && pack_kind == HF_PACK_DATA);
}

/* Reads the rows of `count` frames that begin at `start`; they must end at `end` and have `blobs` blobs together. */
static void get_frames(HfReader *reader, guint count, guint64 start, guint64 end, guint64 blobs, HfPackInfo *info)
{
  guint64 offset = start, first = 0;
  g_array_set_size(info->frames, 0);
  for (guint i = 0; i < count && !reader->failed; i++) {
    HfPackFrame frame = { .offset = (guint32)offset, .first_blob = (guint32)first };
    frame.stored_length = hf_get_u32(reader);
    frame.kind = hf_get_u8(reader);
    guint8 zero = hf_get_u8(reader);
    frame.blobs = hf_get_u16(reader);
    hf_get_raw(reader, frame.digest, sizeof frame.digest);
    offset += frame.stored_length;
    first += frame.blobs;
    if (zero != 0 || !frame_valid(&frame, info->kind) || offset > end)
      hf_reader_fail(reader);
    g_array_append_val(info->frames, frame);
  }
  if (offset != end || first != blobs)
    hf_reader_fail(reader);
}

gboolean hf_pack_directory_decode(const void *bytes, gsize length, guint64 offset, const guint8 digest[16],
                                  HfPackInfo *info, GError **error)
{
  guint8 found[16];
  hf_xxh128(bytes, length, found);
  if (memcmp(found, digest, sizeof found) != 0)
    return hf_fail(error, HF_ERROR_DAMAGED, "the directory of the pack does not match its digest");
  HfReader reader = hf_reader(bytes, length);
  guint32 frames = hf_get_u32(&reader), blobs = hf_get_u32(&reader);
  guint16 slots = hf_get_u16(&reader), zero = hf_get_u16(&reader);
  guint64 expected = DIRECTORY_FIXED_BYTES + (guint64)slots * HF_SESSION_SLOT_BYTES +
    (guint64)frames * FRAME_ROW_BYTES + (guint64)blobs * sizeof(HfId);
  /* Once the counts explain the length nothing below can ask for more memory than the directory is long. */
  if (zero != 0 || slots == 0 || slots > HF_PACK_SLOTS_MAX || frames == 0 || expected != length ||
      offset + length + HF_PACK_TRAILER_BYTES != info->length)
    return hf_fail(error, HF_ERROR_INVALID, "the directory of the pack is malformed");
  get_slots(&reader, slots, info->slots);
  get_frames(&reader, frames, hf_pack_head_length(slots), offset, blobs, info);
  HfView ids = hf_get_view(&reader, (gsize)blobs * sizeof(HfId));
  g_array_set_size(info->ids, 0);
  if (ids.length > 0)
    g_array_append_vals(info->ids, ids.data, blobs);
  return hf_reader_done(&reader, "the directory of the pack", error);
}
