/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Records of deletion: marks and their seals, thin frames, damage (format.md 11). */
#include "base/error.h"
#include "format/point.h"

#define PLACE_BYTES 20u

G_STATIC_ASSERT(sizeof(HfShortId) == HF_SHORT_ID_BYTES && sizeof(HfId) == HF_ID_BYTES);

/* An array of ids, of `size` bytes each: they are stored as they lie in memory. */
static void put_ids(GByteArray *out, const GArray *ids, gsize size)
{
  hf_put_varint(out, ids->len);
  hf_put_raw(out, ids->data, ids->len * size);
}

static void get_ids(HfReader *reader, GArray *ids, gsize size)
{
  guint count = hf_get_count(reader, size);
  HfView view = hf_get_view(reader, count * size);
  if (view.length > 0)
    g_array_append_vals(ids, view.data, count);
}

/* ---- Marks ---- */

void hf_mark_init(HfMark *mark)
{
  memset(mark, 0, sizeof *mark);
  mark->sessions = g_array_new(FALSE, FALSE, sizeof(HfShortId));
  mark->points = g_array_new(FALSE, FALSE, sizeof(HfShortId));
  mark->packs = g_array_new(FALSE, FALSE, sizeof(HfShortId));
}

void hf_mark_clear(HfMark *mark)
{
  g_clear_pointer(&mark->sessions, g_array_unref);
  g_clear_pointer(&mark->points, g_array_unref);
  g_clear_pointer(&mark->packs, g_array_unref);
  memset(mark, 0, sizeof *mark);
}

GBytes *hf_mark_encode(const HfMark *mark)
{
  g_autoptr(GByteArray) body = g_byte_array_new();
  hf_put_u64(body, mark->generation);
  hf_put_i64(body, mark->time);
  hf_put_raw(body, mark->collector.b, HF_SHORT_ID_BYTES);
  put_ids(body, mark->sessions, sizeof(HfShortId));
  put_ids(body, mark->points, sizeof(HfShortId));
  put_ids(body, mark->packs, sizeof(HfShortId));
  return hf_record_finish(HF_RECORD_MARK, body, NULL, NULL);
}

gboolean hf_mark_decode(GBytes *record, HfMark *mark, GError **error)
{
  gsize length;
  const void *bytes = g_bytes_get_data(record, &length);
  HfView body;
  hf_mark_init(mark);
  gboolean done = hf_record_open(bytes, length, HF_RECORD_MARK, "the mark", &body, error);
  if (done) {
    HfReader reader = hf_reader(body.data, body.length);
    mark->generation = hf_get_u64(&reader);
    mark->time = hf_get_i64(&reader);
    hf_get_raw(&reader, mark->collector.b, HF_SHORT_ID_BYTES);
    get_ids(&reader, mark->sessions, sizeof(HfShortId));
    get_ids(&reader, mark->points, sizeof(HfShortId));
    get_ids(&reader, mark->packs, sizeof(HfShortId));
    done = hf_reader_done(&reader, "the mark", error);
  }
  if (!done)
    hf_mark_clear(mark);
  return done;
}

/* ---- Seals ---- */

GBytes *hf_seal_encode(const HfSeal *seal)
{
  g_autoptr(GByteArray) body = g_byte_array_new();
  hf_put_u8(body, seal->sealed ? 1 : 2);
  hf_put_raw(body, seal->collector.b, HF_SHORT_ID_BYTES);
  return hf_record_finish(HF_RECORD_SEAL, body, NULL, NULL);
}

gboolean hf_seal_decode(GBytes *record, HfSeal *seal, GError **error)
{
  gsize length;
  const void *bytes = g_bytes_get_data(record, &length);
  HfView body;
  if (!hf_record_open(bytes, length, HF_RECORD_SEAL, "the seal of a mark", &body, error))
    return FALSE;
  HfReader reader = hf_reader(body.data, body.length);
  guint8 state = hf_get_u8(&reader);
  if (state != 1 && state != 2)
    hf_reader_fail(&reader);
  seal->sealed = state == 1;
  hf_get_raw(&reader, seal->collector.b, HF_SHORT_ID_BYTES);
  return hf_reader_done(&reader, "the seal of a mark", error);
}

/* ---- Places: thin frames, damage ---- */

GBytes *hf_places_encode(HfRecordKind kind, const GArray *places)
{
  g_autoptr(GByteArray) body = g_byte_array_new();
  hf_put_varint(body, places->len);
  for (guint i = 0; i < places->len; i++) {
    const HfPlace *place = &g_array_index(places, HfPlace, i);
    hf_put_raw(body, place->pack.b, HF_SHORT_ID_BYTES);
    hf_put_u32(body, place->offset);
  }
  return hf_record_finish(kind, body, NULL, NULL);
}

gboolean hf_places_decode(GBytes *record, HfRecordKind kind, GArray *places, GError **error)
{
  gsize length;
  const void *bytes = g_bytes_get_data(record, &length);
  const char *what = kind == HF_RECORD_THIN ? "the list of thin frames" : "the list of damage";
  HfView body;
  guint before = places->len;
  if (!hf_record_open(bytes, length, kind, what, &body, error))
    return FALSE;
  HfReader reader = hf_reader(body.data, body.length);
  guint count = hf_get_count(&reader, PLACE_BYTES);
  for (guint i = 0; i < count; i++) {
    HfPlace place;
    hf_get_raw(&reader, place.pack.b, HF_SHORT_ID_BYTES);
    place.offset = hf_get_u32(&reader);
    g_array_append_val(places, place);
  }
  if (hf_reader_done(&reader, what, error))
    return TRUE;
  g_array_set_size(places, before);
  return FALSE;
}

/* ---- Lost blobs ---- */

GBytes *hf_lost_encode(const GArray *ids)
{
  g_autoptr(GByteArray) body = g_byte_array_new();
  put_ids(body, ids, sizeof(HfId));
  return hf_record_finish(HF_RECORD_LOST, body, NULL, NULL);
}

gboolean hf_lost_decode(GBytes *record, GArray *ids, GError **error)
{
  gsize length;
  const void *bytes = g_bytes_get_data(record, &length);
  HfView body;
  guint before = ids->len;
  if (!hf_record_open(bytes, length, HF_RECORD_LOST, "the list of lost blobs", &body, error))
    return FALSE;
  HfReader reader = hf_reader(body.data, body.length);
  get_ids(&reader, ids, sizeof(HfId));
  if (hf_reader_done(&reader, "the list of lost blobs", error))
    return TRUE;
  g_array_set_size(ids, before);
  return FALSE;
}
