/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Records of a running session: open, outcome, checkpoint (format.md 10). */
#include "base/error.h"
#include "format/point.h"

#define CHECKPOINT_LABEL "holdfast checkpoint"

/* ---- Open ---- */

GBytes *hf_session_open_encode(const HfSessionOpen *open)
{
  g_autoptr(GByteArray) body = g_byte_array_new();
  hf_put_raw(body, open->id.b, HF_SHORT_ID_BYTES);
  hf_put_u8(body, open->purpose);
  hf_put_raw(body, open->writer.b, HF_SHORT_ID_BYTES);
  hf_put_u32(body, open->domain);
  hf_put_raw(body, open->boot.b, HF_SHORT_ID_BYTES);
  hf_put_u32(body, open->pid);
  hf_put_u64(body, open->pid_start);
  hf_put_u64(body, open->pid_namespace);
  hf_put_i64(body, open->started);
  hf_put_varint(body, open->has_slot ? HF_SESSION_SLOT_BYTES : 0);
  if (open->has_slot)
    hf_put_session_slot(body, &open->slot);
  return hf_record_finish(HF_RECORD_SESSION, body, NULL, NULL);
}

gboolean hf_session_open_decode(GBytes *record, HfSessionOpen *open, GError **error)
{
  gsize length;
  const void *bytes = g_bytes_get_data(record, &length);
  HfView body;
  memset(open, 0, sizeof *open);
  if (!hf_record_open(bytes, length, HF_RECORD_SESSION, "the session", &body, error))
    return FALSE;
  HfReader reader = hf_reader(body.data, body.length);
  hf_get_raw(&reader, open->id.b, HF_SHORT_ID_BYTES);
  open->purpose = hf_get_u8(&reader);
  hf_get_raw(&reader, open->writer.b, HF_SHORT_ID_BYTES);
  open->domain = hf_get_u32(&reader);
  hf_get_raw(&reader, open->boot.b, HF_SHORT_ID_BYTES);
  open->pid = hf_get_u32(&reader);
  open->pid_start = hf_get_u64(&reader);
  open->pid_namespace = hf_get_u64(&reader);
  open->started = hf_get_i64(&reader);
  guint64 slot = hf_get_varint(&reader, HF_SESSION_SLOT_BYTES);
  open->has_slot = slot != 0;
  if (open->has_slot)
    hf_get_session_slot(&reader, &open->slot);
  gboolean own =
    !open->has_slot || (slot == HF_SESSION_SLOT_BYTES && hf_short_id_equal(&open->id, &open->slot.session) &&
                        hf_short_id_equal(&open->writer, &open->slot.writer) && open->domain == open->slot.domain);
  if (!own || open->purpose < HF_PURPOSE_BACKUP || open->purpose > HF_PURPOSE_REPAIR)
    hf_reader_fail(&reader);
  return hf_reader_done(&reader, "the session", error);
}

/* ---- Outcome ---- */

GBytes *hf_outcome_encode(HfOutcomeState state, GBytes *point)
{
  gsize length = 0;
  const void *bytes = point != NULL ? g_bytes_get_data(point, &length) : NULL;
  g_autoptr(GByteArray) body = g_byte_array_new();
  hf_put_u8(body, (guint8)state);
  hf_put_bytes(body, bytes, length);
  return hf_record_finish(HF_RECORD_OUTCOME, body, NULL, NULL);
}

static gboolean point_valid(GBytes *record, GError **error)
{
  g_auto(HfPoint) point = { 0 };
  return hf_point_decode(record, &point, error);
}

gboolean hf_outcome_decode(GBytes *record, HfOutcomeState *state, GBytes **point, GError **error)
{
  gsize length;
  const void *bytes = g_bytes_get_data(record, &length);
  HfView body;
  *point = NULL;
  if (!hf_record_open(bytes, length, HF_RECORD_OUTCOME, "the outcome of the session", &body, error))
    return FALSE;
  HfReader reader = hf_reader(body.data, body.length);
  guint8 found = hf_get_u8(&reader);
  HfView view = hf_get_bytes(&reader, HF_RECORD_LIMIT);
  if (found < HF_OUTCOME_COMMITTED || found > HF_OUTCOME_ENDED || (view.length > 0) != (found == HF_OUTCOME_COMMITTED))
    hf_reader_fail(&reader);
  if (!hf_reader_done(&reader, "the outcome of the session", error))
    return FALSE;
  *state = found;
  if (found != HF_OUTCOME_COMMITTED)
    return TRUE;
  g_autoptr(GBytes) copy = g_bytes_new(view.data, view.length);
  if (!point_valid(copy, error))
    return FALSE;
  *point = g_steal_pointer(&copy);
  return TRUE;
}

/* ---- Checkpoint ---- */

GBytes *hf_checkpoint_encode(const HfCheckpoint *checkpoint, const HfKey *seed)
{
  g_autoptr(GByteArray) body = g_byte_array_new();
  hf_put_raw(body, checkpoint->source.b, HF_SHORT_ID_BYTES);
  hf_put_u32(body, checkpoint->domain);
  hf_put_raw(body, checkpoint->writer.b, HF_SHORT_ID_BYTES);
  hf_put_raw(body, checkpoint->roots.b, HF_ID_BYTES);
  hf_put_i64(body, checkpoint->time);
  hf_put_session_slot(body, &checkpoint->slot);
  return hf_record_finish(HF_RECORD_CHECKPOINT, body, seed, CHECKPOINT_LABEL);
}

gboolean hf_checkpoint_decode(GBytes *record, const guint8 writer_public[32], HfCheckpoint *checkpoint, GError **error)
{
  HfView body;
  if (!hf_record_open_signed(record, HF_RECORD_CHECKPOINT, writer_public, CHECKPOINT_LABEL, "the checkpoint", &body,
                             error))
    return FALSE;
  HfReader reader = hf_reader(body.data, body.length);
  hf_get_raw(&reader, checkpoint->source.b, HF_SHORT_ID_BYTES);
  checkpoint->domain = hf_get_u32(&reader);
  hf_get_raw(&reader, checkpoint->writer.b, HF_SHORT_ID_BYTES);
  hf_get_raw(&reader, checkpoint->roots.b, HF_ID_BYTES);
  checkpoint->time = hf_get_i64(&reader);
  hf_get_session_slot(&reader, &checkpoint->slot);
  if (!hf_short_id_equal(&checkpoint->writer, &checkpoint->slot.writer) ||
      checkpoint->domain != checkpoint->slot.domain)
    hf_reader_fail(&reader);
  return hf_reader_done(&reader, "the checkpoint", error);
}
