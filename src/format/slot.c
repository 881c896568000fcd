/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/error.h"
#include "format/repository.h"

#define LABEL "holdfast slot"
#define WHAT "the key slot"
#define PASSES_MAX 64u
#define MEMORY_KIB_MIN 8u
#define MEMORY_KIB_MAX (1024u * 1024u)
#define BUNDLE_ITEM_BYTES 37u
#define BUNDLE_MAX (1u << 20)

void hf_slot_clear(HfSlot *slot)
{
  g_free(slot->label);
  g_clear_pointer(&slot->bundle, g_bytes_unref);
  memset(slot, 0, sizeof *slot);
}

GBytes *hf_slot_encode(const HfSlot *slot, const HfKey *admin_seed)
{
  gsize length;
  const void *bundle = g_bytes_get_data(slot->bundle, &length);
  g_autoptr(GByteArray) body = g_byte_array_new();
  hf_put_raw(body, slot->id.b, HF_SHORT_ID_BYTES);
  hf_put_u8(body, slot->way);
  hf_put_u32(body, slot->passes);
  hf_put_u32(body, slot->memory_kib);
  hf_put_raw(body, slot->salt, sizeof slot->salt);
  hf_put_raw(body, slot->public_half, sizeof slot->public_half);
  hf_put_i64(body, slot->created);
  hf_put_text(body, slot->label);
  hf_put_bytes(body, bundle, length);
  return hf_record_finish(HF_RECORD_SLOT, body, admin_seed, LABEL);
}

/* What a password costs is bounded here, before anybody computes it. Other ways have no cost and no salt. */
static gboolean way_valid(const HfSlot *slot)
{
  if (slot->way == HF_SLOT_PASSWORD)
    return slot->passes >= 1 && slot->passes <= PASSES_MAX && slot->memory_kib >= MEMORY_KIB_MIN &&
      slot->memory_kib <= MEMORY_KIB_MAX;
  return slot->way <= HF_SLOT_KEY_FILE && slot->passes == 0 && slot->memory_kib == 0 &&
    hf_bytes_all_zero(slot->salt, sizeof slot->salt);
}

gboolean hf_slot_decode(GBytes *record, const guint8 admin_public[32], HfSlot *slot, GError **error)
{
  HfView body;
  memset(slot, 0, sizeof *slot);
  if (!hf_record_open_signed(record, HF_RECORD_SLOT, admin_public, LABEL, WHAT, &body, error))
    return FALSE;
  HfReader reader = hf_reader(body.data, body.length);
  hf_get_raw(&reader, slot->id.b, HF_SHORT_ID_BYTES);
  slot->way = hf_get_u8(&reader);
  slot->passes = hf_get_u32(&reader);
  slot->memory_kib = hf_get_u32(&reader);
  hf_get_raw(&reader, slot->salt, sizeof slot->salt);
  hf_get_raw(&reader, slot->public_half, sizeof slot->public_half);
  slot->created = hf_get_i64(&reader);
  slot->label = hf_get_text(&reader, HF_TEXT_MAX);
  HfView bundle = hf_get_bytes(&reader, BUNDLE_MAX);
  if (bundle.length <= HF_SEAL_BYTES || !way_valid(slot))
    hf_reader_fail(&reader);
  if (!hf_reader_done(&reader, WHAT, error)) {
    hf_slot_clear(slot);
    return FALSE;
  }
  slot->bundle = g_bytes_new(bundle.data, bundle.length);
  return TRUE;
}

void hf_bundle_encode(const HfBundleItem *items, guint count, GByteArray *plain)
{
  /* Room for everything at once: growing would leave copies of secrets behind. */
  guint start = plain->len;
  g_byte_array_set_size(plain, start + HF_VARINT_BYTES + count * BUNDLE_ITEM_BYTES);
  guint8 *at = hf_store_varint(plain->data + start, count);
  for (guint i = 0; i < count; i++) {
    *at++ = items[i].kind;
    hf_store_u32(at, items[i].number);
    memcpy(at + 4, items[i].secret.b, HF_KEY_BYTES);
    at += 4 + HF_KEY_BYTES;
  }
  g_byte_array_set_size(plain, (guint)(at - plain->data));
}

static gboolean item_valid(const HfBundleItem *item)
{
  switch (item->kind) {
  case HF_BUNDLE_RING:
  case HF_BUNDLE_DOMAIN:
    return TRUE;
  case HF_BUNDLE_ADMIN:
  case HF_BUNDLE_OWNER:
    return item->number == 0;
  default:
    return FALSE;
  }
}

gboolean hf_bundle_decode(const void *plain, gsize length, GArray *items, GError **error)
{
  HfReader reader = hf_reader(plain, length);
  guint count = hf_get_count(&reader, BUNDLE_ITEM_BYTES), before = items->len;
  for (guint i = 0; i < count; i++) {
    HfBundleItem item = { .kind = hf_get_u8(&reader), .number = hf_get_u32(&reader) };
    hf_get_raw(&reader, item.secret.b, HF_KEY_BYTES);
    if (!item_valid(&item))
      hf_reader_fail(&reader);
    g_array_append_val(items, item);
    hf_key_clear(&item.secret);
  }
  if (hf_reader_done(&reader, "what the key slot opens", error))
    return TRUE;
  g_array_set_size(items, before);
  return FALSE;
}

/* The label of a notice, or NULL where notices of this kind are not signed. */
static const char *notice_label(HfRecordKind kind)
{
  switch (kind) {
  case HF_RECORD_SLOT_HIDDEN:
    return "holdfast hidden";
  case HF_RECORD_WRITER_REMOVED:
    return "holdfast removed";
  default:
    g_assert(kind == HF_RECORD_TOMBSTONE);
    return NULL;
  }
}

static const char *notice_name(HfRecordKind kind)
{
  switch (kind) {
  case HF_RECORD_SLOT_HIDDEN:
    return "the mark of a hidden key slot";
  case HF_RECORD_WRITER_REMOVED:
    return "the mark of a removed writer";
  default:
    return "the tombstone of a point";
  }
}

GBytes *hf_notice_encode(HfRecordKind kind, const HfShortId *id, gint64 time, const HfKey *admin_seed)
{
  const char *label = notice_label(kind);
  g_autoptr(GByteArray) body = g_byte_array_new();
  hf_put_raw(body, id->b, HF_SHORT_ID_BYTES);
  hf_put_i64(body, time);
  return hf_record_finish(kind, body, label != NULL ? admin_seed : NULL, label);
}

gboolean hf_notice_decode(GBytes *record, HfRecordKind kind, const guint8 admin_public[32], HfShortId *id, gint64 *time,
                          GError **error)
{
  const char *label = notice_label(kind), *what = notice_name(kind);
  gsize length;
  const void *bytes = g_bytes_get_data(record, &length);
  HfView body;
  if (label != NULL ? !hf_record_open_signed(record, kind, admin_public, label, what, &body, error)
                    : !hf_record_open(bytes, length, kind, what, &body, error))
    return FALSE;
  HfReader reader = hf_reader(body.data, body.length);
  hf_get_raw(&reader, id->b, HF_SHORT_ID_BYTES);
  *time = hf_get_i64(&reader);
  return hf_reader_done(&reader, what, error);
}
