/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/error.h"
#include "format/repository.h"

#define LABEL "holdfast ring"
#define WHAT "the ring generation"

G_STATIC_ASSERT(sizeof(HfRingShare) == 96);

void hf_ring_clear(HfRing *ring)
{
  g_clear_pointer(&ring->shares, g_array_unref);
  memset(ring, 0, sizeof *ring);
}

GBytes *hf_ring_encode(const HfRing *ring, const HfKey *admin_seed)
{
  g_autoptr(GByteArray) body = g_byte_array_new();
  hf_put_u32(body, ring->generation);
  hf_put_raw(body, ring->public_half, sizeof ring->public_half);
  hf_put_i64(body, ring->created);
  hf_put_varint(body, ring->shares->len);
  for (guint i = 0; i < ring->shares->len; i++) {
    const HfRingShare *share = &g_array_index(ring->shares, HfRingShare, i);
    hf_put_raw(body, share->slot.b, HF_SHORT_ID_BYTES);
    hf_put_raw(body, share->sealed, sizeof share->sealed);
  }
  return hf_record_finish(HF_RECORD_RING, body, admin_seed, LABEL);
}

gboolean hf_ring_decode(GBytes *record, const guint8 admin_public[32], HfRing *ring, GError **error)
{
  HfView body;
  memset(ring, 0, sizeof *ring);
  if (!hf_record_open_signed(record, HF_RECORD_RING, admin_public, LABEL, WHAT, &body, error))
    return FALSE;
  HfReader reader = hf_reader(body.data, body.length);
  ring->generation = hf_get_u32(&reader);
  hf_get_raw(&reader, ring->public_half, sizeof ring->public_half);
  ring->created = hf_get_i64(&reader);
  guint count = hf_get_count(&reader, sizeof(HfRingShare));
  ring->shares = g_array_sized_new(FALSE, FALSE, sizeof(HfRingShare), count);
  for (guint i = 0; i < count; i++) {
    HfRingShare share;
    hf_get_raw(&reader, share.slot.b, HF_SHORT_ID_BYTES);
    hf_get_raw(&reader, share.sealed, sizeof share.sealed);
    g_array_append_val(ring->shares, share);
  }
  if (hf_reader_done(&reader, WHAT, error))
    return TRUE;
  hf_ring_clear(ring);
  return FALSE;
}
