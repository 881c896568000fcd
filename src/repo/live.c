/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/live.h"

#include <string.h>

#include "base/error.h"
#include "format/point.h"
#include "repo/objects.h"

struct HfLive {
  HfRepo *repo;
  GPtrArray *packs;    /* of HfLivePack*, owned */
  GHashTable *numbers; /* HfShortId* (of the pack) to number + 1 */
  GArray *pending;     /* stack of Pending */
  GHashTable *lost;    /* set of HfId*, owned: recorded by repair */
  gboolean all_copies; /* L3 */
};

/* A metadata blob whose refs are to be followed. */
typedef struct Pending {
  guint32 pack, frame;
  guint32 domain;
} Pending;

/* ---- Packs. ---- */

static void pack_free(gpointer data)
{
  HfLivePack *pack = data;
  if (pack->frames)
    g_array_unref(pack->frames);
  g_array_unref(pack->sessions);
  g_free(pack->live);
  g_free(pack->walked);
  g_free(pack);
}

static HfLivePack *pack_new(HfStore *store, const HfPackState *state, GError **error)
{
  g_auto(HfPackInfo) info;
  HfLivePack *pack = g_new0(HfLivePack, 1);
  pack->state = *state;
  pack->sessions = g_array_new(FALSE, FALSE, sizeof(HfShortId));
  hf_pack_info_init(&info);
  g_autoptr(GError) problem = NULL;
  if (!hf_pack_read_info(store, state->pack.kind, &state->pack.id, &info, &problem)) {
    if (hf_error_is_damage(problem))
      return pack; /* without frames: nothing in it is found */
    g_propagate_error(error, g_steal_pointer(&problem));
    pack_free(pack);
    return NULL;
  }
  pack->state.pack = (HfIndexPack){ .id = info.id, .kind = info.kind, .domain = info.domain, .length = info.length };
  pack->frames = g_array_sized_new(FALSE, FALSE, sizeof(HfLiveFrame), info.frames->len);
  for (guint i = 0; i < info.frames->len; i++) {
    const HfPackFrame *frame = &g_array_index(info.frames, HfPackFrame, i);
    HfLiveFrame kept = { frame->offset, frame->stored_length, frame->first_blob };
    g_array_append_val(pack->frames, kept);
    pack->frame_bytes += frame->stored_length;
  }
  for (guint i = 0; i < info.slots->len; i++)
    g_array_append_val(pack->sessions, g_array_index(info.slots, HfSessionSlot, i).session);
  pack->blobs = info.ids->len;
  gsize words = (gsize)pack->blobs / 64 + 1;
  pack->live = g_new0(guint64, words);
  if (info.kind == HF_PACK_META)
    pack->walked = g_new0(guint64, words);
  return pack;
}

static gboolean read_lost(HfLive *live, GError **error)
{
  g_autoptr(GPtrArray) names = hf_store_list_names(live->repo->store, "gc/", error);
  for (guint i = 0; names && i < names->len; i++) {
    g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(HfId));
    if (!g_str_has_prefix(names->pdata[i], "gc/lost."))
      continue;
    g_autoptr(GBytes) record = hf_store_get_all(live->repo->store, names->pdata[i], HF_RECORD_BYTES_LIMIT, NULL);
    if (!record || !hf_lost_decode(record, ids, NULL))
      continue; /* it only allows: without it the walk is stricter */
    for (guint k = 0; k < ids->len; k++)
      g_hash_table_add(live->lost, g_memdup2(&g_array_index(ids, HfId, k), sizeof(HfId)));
  }
  return names != NULL;
}

HfLive *hf_live_new(HfRepo *repo, GError **error)
{
  g_autoptr(HfLive) live = g_new0(HfLive, 1);
  live->repo = repo;
  live->packs = g_ptr_array_new_with_free_func(pack_free);
  live->numbers = g_hash_table_new(hf_id_hash, hf_short_id_equal_func);
  live->pending = g_array_new(FALSE, FALSE, sizeof(Pending));
  live->lost = g_hash_table_new_full(hf_id_hash, hf_id_equal_func, g_free, NULL);
  if (!read_lost(live, error))
    return NULL;
  g_autoptr(GArray) states = hf_index_packs(repo->index);
  for (guint i = 0; i < states->len; i++) {
    if (hf_cancelled(repo->cancel, error))
      return NULL;
    HfLivePack *pack = pack_new(repo->store, &g_array_index(states, HfPackState, i), error);
    if (!pack)
      return NULL;
    g_ptr_array_add(live->packs, pack);
    g_hash_table_insert(live->numbers, &pack->state.pack.id, GUINT_TO_POINTER(live->packs->len));
  }
  return g_steal_pointer(&live);
}

void hf_live_free(HfLive *live)
{
  if (!live)
    return;
  g_hash_table_unref(live->numbers);
  g_ptr_array_unref(live->packs);
  g_array_unref(live->pending);
  g_hash_table_unref(live->lost);
  g_free(live);
}

gboolean hf_live_has_losses(const HfLive *live)
{
  return g_hash_table_size(live->lost) > 0;
}

void hf_live_keep_copies(HfLive *live, gboolean all)
{
  live->all_copies = all;
}

void hf_live_reset(HfLive *live)
{
  for (guint i = 0; i < live->packs->len; i++) {
    HfLivePack *pack = live->packs->pdata[i];
    gsize bytes = ((gsize)pack->blobs / 64 + 1) * sizeof *pack->live;
    pack->live_blobs = 0;
    if (pack->live)
      memset(pack->live, 0, bytes);
    if (pack->walked)
      memset(pack->walked, 0, bytes);
  }
}

static gint64 find_frame(const HfLivePack *pack, guint32 offset)
{
  guint low = 0, high = pack->frames ? pack->frames->len : 0;
  while (low < high) {
    guint middle = (low + high) / 2;
    guint32 at = g_array_index(pack->frames, HfLiveFrame, middle).offset;
    if (at == offset)
      return middle;
    if (at < offset)
      low = middle + 1;
    else
      high = middle;
  }
  return -1;
}

gboolean hf_live_bit(const HfLivePack *pack, guint32 blob)
{
  return (pack->live[blob / 64] >> (blob % 64)) & 1;
}

const HfLivePack *hf_live_find_pack(const HfLive *live, const HfShortId *pack)
{
  gpointer number = g_hash_table_lookup(live->numbers, pack);
  return number ? live->packs->pdata[GPOINTER_TO_UINT(number) - 1] : NULL;
}

gboolean hf_live_at(const HfLive *live, const HfLocation *location)
{
  const HfLivePack *pack = hf_live_find_pack(live, &location->pack);
  gint64 frame = pack ? find_frame(pack, location->offset) : -1;
  if (frame < 0)
    return FALSE;
  guint32 blob = g_array_index(pack->frames, HfLiveFrame, (guint)frame).first_blob + location->blob;
  return blob < pack->blobs && hf_live_bit(pack, blob);
}

guint hf_live_in_frame(const HfLivePack *pack, guint frame, guint *blobs)
{
  const HfLiveFrame *frames = (const HfLiveFrame *)(void *)pack->frames->data;
  guint32 end = frame + 1 < pack->frames->len ? frames[frame + 1].first_blob : pack->blobs;
  guint count = 0;
  for (guint32 blob = frames[frame].first_blob; blob < end; blob++)
    count += hf_live_bit(pack, blob);
  *blobs = end - frames[frame].first_blob;
  return count;
}

GPtrArray *hf_live_packs(HfLive *live)
{
  for (guint i = 0; i < live->packs->len; i++) {
    HfLivePack *pack = live->packs->pdata[i];
    guint blobs;
    pack->live_bytes = 0;
    for (guint f = 0; pack->frames && f < pack->frames->len; f++)
      if (hf_live_in_frame(pack, f, &blobs))
        pack->live_bytes += g_array_index(pack->frames, HfLiveFrame, f).stored_length;
  }
  return live->packs;
}

/* ---- The walk. ---- */

typedef struct Loss {
  HfLossFunc func;
  gpointer user;
} Loss;

static gboolean lose(HfLive *live, const Loss *loss, const HfId *id, GError **error)
{
  if (loss->func) {
    loss->func(id, loss->user);
    return TRUE;
  }
  if (g_hash_table_contains(live->lost, id))
    return TRUE;
  g_autofree char *hex = hf_hex(id->b, sizeof id->b);
  return hf_fail(error, HF_ERROR_DAMAGED,
                 "blob '%s' is missing or unreadable: nothing is deleted below it; run 'holdfast verify', then "
                 "'holdfast repair'", hex);
}

/* Marks one copy. FALSE: its pack came after the packs were listed, or is not what the index says. Metadata seen for
 * the first time is queued. */
static gboolean mark_at(HfLive *live, const HfLocation *location)
{
  gpointer number = g_hash_table_lookup(live->numbers, &location->pack);
  if (!number)
    return FALSE;
  HfLivePack *pack = live->packs->pdata[GPOINTER_TO_UINT(number) - 1];
  gint64 frame = find_frame(pack, location->offset);
  if (frame < 0)
    return FALSE;
  guint32 blob = g_array_index(pack->frames, HfLiveFrame, (guint)frame).first_blob + location->blob;
  if (blob >= pack->blobs)
    return FALSE;
  if (hf_live_bit(pack, blob))
    return TRUE;
  pack->live[blob / 64] |= G_GUINT64_CONSTANT(1) << (blob % 64);
  pack->live_blobs++;
  if (location->kind != HF_PACK_META)
    return TRUE;
  Pending pending = { GPOINTER_TO_UINT(number) - 1, (guint32)frame, location->domain };
  const Pending *top = live->pending->len ? &g_array_index(live->pending, Pending, live->pending->len - 1) : NULL;
  if (!top || top->pack != pending.pack || top->frame != pending.frame)
    g_array_append_val(live->pending, pending);
  return TRUE;
}

/* Marks the copy that a reader would take first: others may go. But a copy that is condemned, or damaged, holds nothing
 * for whoever decides by this walk: another mark may sweep it, and nobody then looks for points that this walk has
 * seen. So while no better copy was met, all are marked. Under L3 all are, always. */
static gboolean mark(HfLive *live, guint32 domain, const HfId *id, const Loss *loss, GError **error)
{
  gboolean any = FALSE;
  for (guint attempt = 0;; attempt++) {
    gboolean found;
    HfLocation location;
    if (!hf_index_find(live->repo->index, domain, id, attempt, &found, &location, error))
      return FALSE;
    if (!found)
      return any || lose(live, loss, id, error);
    if (!mark_at(live, &location))
      continue;
    any = TRUE;
    if (location.standing <= HF_STANDING_THIN && !live->all_copies)
      return TRUE;
  }
}

/* Reads header and clear section of a frame; from the mirror when the pack does not give them whole. */
static gboolean read_clear(HfLive *live, const HfLivePack *pack, const HfLiveFrame *frame, HfBuffer *bytes,
                           HfFrameHeader *header, GError **error)
{
  for (guint copy = 0;; copy++) {
    char name[HF_NAME_BYTES];
    g_autoptr(GError) problem = NULL;
    if (copy == 0)
      hf_name_pack(name, HF_PACK_META, &pack->state.pack.id);
    else
      hf_name_mirror(name, &pack->state.pack.id);
    if (hf_buffer_resize(bytes, HF_FRAME_PREFIX_BYTES, error) &&
        hf_store_get(live->repo->store, name, frame->offset, bytes->data, HF_FRAME_PREFIX_BYTES, &problem) &&
        hf_frame_decode(bytes->data, bytes->length, header, &problem) &&
        hf_buffer_resize(bytes, HF_FRAME_PREFIX_BYTES + (gsize)header->clear_length, &problem) &&
        hf_store_get(live->repo->store, name, frame->offset, bytes->data, bytes->length, &problem) &&
        hf_frame_check(bytes->data, bytes->length, header, &problem))
      return TRUE;
    if (copy == 1 || (error && *error)) {
      if (problem)
        g_propagate_error(error, g_steal_pointer(&problem));
      return FALSE;
    }
  }
}

/* Follows the refs of all live blobs of a frame that were not followed yet. */
static gboolean follow(HfLive *live, const Pending *pending, const Loss *loss, GError **error)
{
  HfLivePack *pack = live->packs->pdata[pending->pack];
  HfLiveFrame frame = g_array_index(pack->frames, HfLiveFrame, pending->frame);
  g_auto(HfBuffer) bytes = HF_BUFFER_INIT;
  g_autoptr(GError) problem = NULL;
  HfFrameHeader header;
  if (!read_clear(live, pack, &frame, &bytes, &header, &problem)) {
    if (!hf_error_is_damage(problem)) {
      g_propagate_error(error, g_steal_pointer(&problem));
      return FALSE;
    }
    HfId none = { { 0 } };
    memcpy(none.b, pack->state.pack.id.b, sizeof pack->state.pack.id.b); /* the ids of its blobs are not at hand */
    return lose(live, loss, &none, error);
  }
  g_autofree guint32 *counts = g_new0(guint32, MAX(header.count, 1));
  HfView clear = { bytes.data + HF_FRAME_PREFIX_BYTES, header.clear_length };
  const HfId *refs = NULL;
  if (header.kind != HF_FRAME_GROUP || !hf_group_refs_decode(clear, header.count, counts, &refs, error))
    return header.kind != HF_FRAME_GROUP;
  for (guint b = 0; b < header.count; b++) {
    guint32 blob = frame.first_blob + b;
    if (blob < pack->blobs && hf_live_bit(pack, blob) && !((pack->walked[blob / 64] >> (blob % 64)) & 1)) {
      pack->walked[blob / 64] |= G_GUINT64_CONSTANT(1) << (blob % 64);
      for (guint32 r = 0; r < counts[b]; r++)
        if (!mark(live, pending->domain, &refs[r], loss, error))
          return FALSE;
    }
    refs += counts[b];
  }
  return TRUE;
}

gboolean hf_live_walk(HfLive *live, guint32 domain, const HfId *root, HfLossFunc func, gpointer user, GError **error)
{
  Loss loss = { func, user };
  if (!mark(live, domain, root, &loss, error))
    return FALSE;
  while (live->pending->len) {
    Pending pending = g_array_index(live->pending, Pending, live->pending->len - 1);
    g_array_set_size(live->pending, live->pending->len - 1);
    if (hf_cancelled(live->repo->cancel, error) || !follow(live, &pending, &loss, error))
      return FALSE;
  }
  return TRUE;
}
