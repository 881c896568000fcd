/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/recopy.h"

#include <string.h>

#include "base/error.h"
#include "repo/objects.h"
#include "repo/packer.h"

gboolean hf_pack_bytes_info(GBytes *whole, HfPackInfo *info, GError **error)
{
  gsize length;
  const guint8 *bytes = g_bytes_get_data(whole, &length);
  HfShortId id;
  guint64 offset, directory;
  guint8 digest[16];
  info->length = length;
  if (!hf_pack_head_decode(bytes, length, info, error))
    return FALSE;
  info->length = length;
  if (length < HF_PACK_TRAILER_BYTES ||
      !hf_pack_trailer_decode(bytes + length - HF_PACK_TRAILER_BYTES, HF_PACK_TRAILER_BYTES, &id, &offset, &directory,
                              digest, error))
    return FALSE;
  if (!hf_short_id_equal(&id, &info->id) || directory > length || offset != length - HF_PACK_TRAILER_BYTES - directory)
    return hf_fail(error, HF_ERROR_DAMAGED, "the trailer of a pack does not fit it");
  return hf_pack_directory_decode(bytes + offset, directory, offset, digest, info, error);
}

static gboolean source_info(HfRecopy *recopy, const HfRecopySource *source, HfPackInfo *info, GError **error)
{
  return source->whole ? hf_pack_bytes_info(source->whole, info, error)
                       : hf_pack_read_info(recopy->from, source->kind, &source->pack, info, error);
}

static gboolean digest_fits(const HfPackFrame *frame, const HfBuffer *stored)
{
  guint8 digest[16];
  hf_xxh128(stored->data, stored->length, digest);
  return memcmp(digest, frame->digest, sizeof digest) == 0;
}

/* The frame's bytes, checked: from memory, the pack, or, for metadata, the mirror. */
static gboolean read_frame(HfRecopy *recopy, const HfRecopySource *source, const HfPackFrame *frame, HfBuffer *stored,
                           GError **error)
{
  if (!hf_buffer_resize(stored, frame->stored_length, error))
    return FALSE;
  if (source->whole) {
    memcpy(stored->data, (const guint8 *)g_bytes_get_data(source->whole, NULL) + frame->offset, frame->stored_length);
    if (digest_fits(frame, stored))
      return TRUE;
  }
  for (guint copy = 0; copy < (source->kind == HF_PACK_META ? 2u : 1u); copy++) {
    char name[HF_NAME_BYTES];
    if (copy == 0)
      hf_name_pack(name, source->kind, &source->pack);
    else
      hf_name_mirror(name, &source->pack);
    if (hf_store_get(recopy->from, name, frame->offset, stored->data, stored->length, NULL) &&
        digest_fits(frame, stored))
      return TRUE;
  }
  g_autofree char *hex = hf_hex(source->pack.b, sizeof source->pack.b);
  return hf_fail(error, HF_ERROR_DAMAGED, "the frame at %u of pack '%s' is damaged; run 'holdfast repair'",
                 frame->offset, hex);
}

static gboolean copy_frame(HfRecopy *recopy, const HfRecopySource *source, const HfPackInfo *info, guint number,
                           HfPacker *packer, HfBuffer *stored, GError **error)
{
  const HfPackFrame *frame = &g_array_index(info->frames, HfPackFrame, number);
  gboolean want = TRUE;
  g_autoptr(GError) problem = NULL;
  if (recopy->want && !recopy->want(source, info, number, recopy->user, &want, error))
    return FALSE;
  if (!want)
    return TRUE;
  if (!read_frame(recopy, source, frame, stored, &problem)) {
    if (!recopy->rescue || !hf_error_is_damage(problem)) {
      g_propagate_error(error, g_steal_pointer(&problem));
      return FALSE;
    }
    if (!recopy->rescue(source, info, number, stored, recopy->user, error))
      return FALSE;
    if (stored->length == 0)
      return TRUE; /* lost: the caller has noted it */
  }
  recopy->frames++;
  recopy->bytes += frame->stored_length;
  return hf_packer_add_stored(packer, frame, stored->data, &g_array_index(info->ids, HfId, frame->first_blob), error);
}

static gboolean copy_pack(HfRecopy *recopy, HfRecopySource *source, HfPacker *packer, HfBuffer *stored, GError **error)
{
  g_auto(HfPackInfo) info;
  hf_pack_info_init(&info);
  if (!source_info(recopy, source, &info, error))
    return FALSE;
  for (guint f = 0; f < info.frames->len; f++)
    if (hf_cancelled(recopy->to->cancel, error) || !copy_frame(recopy, source, &info, f, packer, stored, error))
      return FALSE;
  return TRUE;
}

/* The key slots of all these packs, each session once. Unreadable packs give none: they will not be copied. */
static GArray *gather_slots(HfRecopy *recopy, const GPtrArray *sources)
{
  GArray *slots = g_array_new(FALSE, FALSE, sizeof(HfSessionSlot));
  g_autoptr(GHashTable) seen = g_hash_table_new_full(hf_id_hash, hf_short_id_equal_func, g_free, NULL);
  for (guint i = 0; i < sources->len; i++) {
    g_auto(HfPackInfo) info;
    hf_pack_info_init(&info);
    if (!source_info(recopy, sources->pdata[i], &info, NULL))
      continue;
    for (guint s = 0; s < info.slots->len; s++) {
      const HfSessionSlot *slot = &g_array_index(info.slots, HfSessionSlot, s);
      if (g_hash_table_add(seen, g_memdup2(&slot->session, sizeof slot->session)))
        g_array_append_vals(slots, slot, 1);
    }
  }
  return slots;
}

static gboolean pack_done(const HfPackInfo *info, gpointer user, GError **error)
{
  HfRecopy *recopy = user;
  return hf_index_add_pack(recopy->to->index, info, error);
}

/* Sources of one kind and domain, so many that their slots fit one head. */
static gboolean copy_some(HfRecopy *recopy, const GPtrArray *sources, GError **error)
{
  const HfConfig *config = &recopy->to->config;
  const HfRecopySource *first = sources->pdata[0];
  g_autoptr(GArray) slots = gather_slots(recopy, sources);
  HfPackerOptions options = {
    .kind = first->kind, .domain = first->domain, .parity = config->parity,
    .target = first->kind == HF_PACK_DATA ? config->pack_target : config->meta_pack_target,
    .slots = (const HfSessionSlot *)(void *)slots->data, .slot_count = slots->len, .done = pack_done, .user = recopy,
  };
  g_autoptr(HfPacker) packer = hf_packer_new(recopy->to->store, &options);
  g_auto(HfBuffer) stored = HF_BUFFER_INIT;
  g_autoptr(GPtrArray) copied = g_ptr_array_new();
  for (guint i = 0; i < sources->len; i++) {
    g_autoptr(GError) problem = NULL;
    if (copy_pack(recopy, sources->pdata[i], packer, &stored, &problem)) {
      g_ptr_array_add(copied, sources->pdata[i]);
      continue;
    }
    if (!hf_error_is_damage(problem)) {
      g_propagate_error(error, g_steal_pointer(&problem));
      return FALSE;
    }
    hf_report_warning(recopy->to->report, NULL, "%s", problem->message);
  }
  if (!hf_packer_flush(packer, error) || !hf_index_flush(recopy->to->index, TRUE, error))
    return FALSE;
  for (guint i = 0; i < copied->len; i++)
    ((HfRecopySource *)copied->pdata[i])->done = TRUE;
  recopy->packs += copied->len;
  return TRUE;
}

gboolean hf_recopy(HfRecopy *recopy, HfRecopySource *sources, guint count, GError **error)
{
  g_autoptr(GPtrArray) left = g_ptr_array_new();
  for (guint i = 0; i < count; i++)
    g_ptr_array_add(left, &sources[i]);
  while (left->len) {
    const HfRecopySource *first = left->pdata[0];
    g_autoptr(GPtrArray) same = g_ptr_array_new(), others = g_ptr_array_new();
    guint slots = 0;
    for (guint i = 0; i < left->len; i++) {
      const HfRecopySource *source = left->pdata[i];
      gboolean fits = source->kind == first->kind && source->domain == first->domain &&
                      (same->len == 0 || slots + source->slots <= HF_PACK_SLOTS_MAX);
      slots += fits ? source->slots : 0;
      g_ptr_array_add(fits ? same : others, left->pdata[i]);
    }
    if (!copy_some(recopy, same, error))
      return FALSE;
    g_ptr_array_unref(left);
    left = g_steal_pointer(&others);
  }
  return TRUE;
}
