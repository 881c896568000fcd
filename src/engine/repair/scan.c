/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A pack whose directory is gone, and that parity cannot mend: its frames say themselves where they begin and end, and
 * with the keys what is in them says its ids. From what opens, a whole pack is made in memory.
 */
#include <string.h>

#include "base/error.h"
#include "engine/repair/private.h"
#include "repo/objects.h"
#include "repo/sealer.h"

typedef struct Scan {
  HfRepo *repo;
  const guint8 *bytes; /* the damaged pack */
  gsize length;
  HfPackInfo *info; /* of the new one */
  GByteArray *made;
  HfOpener *opener;
  HfOpened opened;
  HfBuffer block;
  HfIdentity *identity;
} Scan;

static const HfKey *find_key(const Scan *scan, const HfShortId *session)
{
  for (guint i = 0; i < scan->info->slots->len; i++) {
    const HfSessionSlot *slot = &g_array_index(scan->info->slots, HfSessionSlot, i);
    const HfKey *data_key, *meta_key;
    if (hf_short_id_equal(&slot->session, session) && slot->domain == scan->info->domain &&
        hf_keyring_open_slot(scan->repo->keys, slot, &data_key, &meta_key, NULL))
      return scan->info->kind == HF_PACK_DATA ? data_key : meta_key;
  }
  return NULL;
}

static void add_group_ids(Scan *scan)
{
  const HfOpened *opened = &scan->opened;
  for (guint b = 0; b < opened->blobs; b++) {
    const HfGroupItem *item = &g_array_index(opened->items, HfGroupItem, b);
    guint refs = g_array_index(opened->ref_counts, guint32, b);
    guint32 start = g_array_index(opened->ref_starts, guint32, b);
    HfId id;
    hf_identity_blob(scan->identity, (HfBlobType)item->type, refs ? &g_array_index(opened->refs, HfId, start) : NULL,
                     refs, opened->plain.data + g_array_index(opened->offsets, gsize, b), item->length, &id);
    g_array_append_val(scan->info->ids, id);
  }
}

/* Opens a frame and adds the ids of what is in it; 0 when it does not open. */
static guint add_ids(Scan *scan, const HfFrameHeader *header, const guint8 *stored, gsize length)
{
  const HfKey *key = find_key(scan, &header->session);
  if (!key)
    return 0;
  if (header->kind == HF_FRAME_GROUP) {
    if (!hf_open_group(scan->opener, key, stored, length, &scan->opened, NULL))
      return 0;
    add_group_ids(scan);
    return scan->opened.blobs;
  }
  HfId id, leaves[HF_PIECES_MAX];
  if (!hf_open_row(scan->opener, key, stored, length, &scan->block, NULL))
    return 0;
  hf_identity_whole_block(scan->identity, scan->block.data, scan->block.length, leaves, &id);
  g_array_append_val(scan->info->ids, id);
  return 1;
}

/* The length of the frame that begins at `at` and opens, which is taken over; else 0. */
static gsize take_frame(Scan *scan, gsize at)
{
  const guint8 *stored = scan->bytes + at;
  gsize left = scan->length - at;
  HfFrameHeader header;
  if (!hf_frame_decode(stored, left, &header, NULL))
    return 0;
  gsize length = hf_frame_stored(&header);
  if (length > left || !hf_frame_check(stored, left, &header, NULL))
    return 0;
  HfPackFrame frame = { .offset = scan->made->len, .stored_length = (guint32)length, .kind = header.kind,
                        .first_blob = scan->info->ids->len };
  frame.blobs = (guint16)add_ids(scan, &header, stored, length);
  if (frame.blobs == 0)
    return 0;
  hf_xxh128(stored, length, frame.digest);
  g_array_append_val(scan->info->frames, frame);
  g_byte_array_append(scan->made, stored, (guint)length);
  return length;
}

/* Frames lie one behind the other. Where one does not open, the next is looked for byte by byte. */
static gboolean take_frames(Scan *scan, gsize at, GError **error)
{
  while (at + HF_FRAME_PREFIX_BYTES <= scan->length) {
    gsize taken = take_frame(scan, at);
    at += MAX(taken, 1);
    if (taken && hf_cancelled(scan->repo->cancel, error))
      return FALSE;
  }
  return scan->info->frames->len > 0 ||
         hf_fail(error, HF_ERROR_DAMAGED, "neither its directory nor any frame of it can be read");
}

static GBytes *make_whole(HfRepo *repo, GBytes *damaged, HfPackInfo *info, GError **error)
{
  g_auto(HfKey) domain_key;
  if (!hf_keyring_domain_key(repo->keys, info->domain, &domain_key, error))
    return NULL;
  g_autoptr(GByteArray) made = g_byte_array_new();
  Scan scan = { .repo = repo, .info = info, .made = made, .block = HF_BUFFER_INIT };
  scan.bytes = g_bytes_get_data(damaged, &scan.length);
  scan.opener = hf_opener_new();
  scan.identity = hf_identity_new(&domain_key);
  hf_opened_init(&scan.opened);
  hf_pack_head_encode(info, made);
  gboolean good = take_frames(&scan, made->len, error);
  if (good)
    hf_pack_end_encode(info, made->len, made);
  hf_opened_clear(&scan.opened);
  hf_buffer_clear(&scan.block);
  hf_identity_free(scan.identity);
  hf_opener_free(scan.opener);
  return good ? g_byte_array_free_to_bytes(g_steal_pointer(&made)) : NULL;
}

GBytes *hf_repair_scan(HfRepairRun *run, HfPackKind kind, const HfShortId *pack, GError **error)
{
  HfRepo *repo = run->repo;
  char name[HF_NAME_BYTES];
  g_auto(HfPackInfo) info;
  hf_pack_info_init(&info);
  hf_name_pack(name, kind, pack);
  gsize limit = 2 * (gsize)MAX(repo->config.pack_target, repo->config.meta_pack_target) + 2 * HF_FRAME_STORED_MAX;
  g_autoptr(GBytes) damaged = hf_store_get_all(repo->store, name, limit, error);
  if (!damaged)
    return NULL;
  gsize length;
  const guint8 *bytes = g_bytes_get_data(damaged, &length);
  if (!hf_pack_head_decode(bytes, length, &info, error))
    return NULL;
  if (!hf_short_id_equal(&info.id, pack)) {
    hf_fail(error, HF_ERROR_DAMAGED, "it is another pack");
    return NULL;
  }
  return make_whole(repo, damaged, &info, error);
}
