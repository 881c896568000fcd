/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/reader.h"

#include <string.h>

#include "base/error.h"
#include "repo/blobcache.h"
#include "repo/objects.h"

#define ROW_CLEAR_BYTES 36u
#define MOVES_MAX 4u /* a blob is looked for anew after as many packs of it have gone */

/* The bytes of a place: from its pack, or from what stands in for it (mirror, parity). */
typedef enum Way { WAY_PACK, WAY_SPARE } Way;

struct HfBlobReader {
  HfBlobCache *cache;
  HfRepo *repo;
  guint32 domain;
  HfIdentity *identity;
  HfOpener *opener;
  HfBuffer stored;
  HfBuffer piece; /* the piece of a block that was read last in part, */
  HfId piece_id;  /* of this block, */
  guint piece_number;
  gsize piece_length; /* 0: none */
};

HfBlobReader *hf_blob_reader_new(HfBlobCache *cache, guint32 domain, GError **error)
{
  HfRepo *repo = hf_cache_repo(cache);
  g_auto(HfKey) domain_key;
  if (repo->keys == NULL) {
    hf_fail(error, HF_ERROR_PERMISSION, "the repository was opened without keys; its content cannot be read");
    return NULL;
  }
  if (!hf_keyring_domain_key(repo->keys, domain, &domain_key, error))
    return NULL;
  HfBlobReader *reader = g_new0(HfBlobReader, 1);
  reader->cache = cache;
  reader->repo = repo;
  reader->domain = domain;
  reader->identity = hf_identity_new(&domain_key);
  reader->opener = hf_opener_new();
  return reader;
}

void hf_blob_reader_free(HfBlobReader *reader)
{
  if (reader == NULL)
    return;
  hf_identity_free(reader->identity);
  hf_opener_free(reader->opener);
  hf_buffer_clear(&reader->stored);
  hf_buffer_clear(&reader->piece);
  g_free(reader);
}

void hf_blob_release(HfBlob *blob)
{
  hf_cached_frame_unref(blob->frame);
  memset(blob, 0, sizeof *blob);
}

/* ---- Bytes. ---- */

static gboolean fetch_mended(HfBlobReader *reader, const HfLocation *place, guint64 offset, void *out, gsize length,
                             GError **error)
{
  g_autoptr(GBytes) pack = hf_cache_mended(reader->cache, &place->pack, error);
  if (pack == NULL)
    return FALSE;
  gsize size;
  const guint8 *bytes = g_bytes_get_data(pack, &size);
  if (offset > size || length > size - offset)
    return hf_fail(error, HF_ERROR_DAMAGED, "the pack is too short");
  memcpy(out, bytes + offset, length);
  return TRUE;
}

/* `offset` counts from the start of the pack. */
static gboolean fetch(HfBlobReader *reader, const HfLocation *place, Way way, guint64 offset, void *out, gsize length,
                      GError **error)
{
  char name[HF_NAME_BYTES];
  if (way == WAY_PACK)
    hf_name_pack(name, (HfPackKind)place->kind, &place->pack);
  else if (place->kind == HF_PACK_META)
    hf_name_mirror(name, &place->pack);
  else
    return fetch_mended(reader, place, offset, out, length, error);
  return hf_store_get(reader->repo->store, name, offset, out, length, error);
}

/* Into reader->stored. */
static gboolean fetch_stored(HfBlobReader *reader, const HfLocation *place, Way way, guint64 offset, gsize length,
                             GError **error)
{
  return hf_buffer_resize(&reader->stored, length, error) &&
         fetch(reader, place, way, offset, reader->stored.data, length, error);
}

static void note_damage(HfBlobReader *reader, const HfLocation *place, const GError *why)
{
  gboolean gone = hf_error_is(why, HF_ERROR_NOT_FOUND);
  HfPlace damage = { place->pack, gone ? HF_PLACE_WHOLE_PACK : place->offset };
  hf_index_note_damage(reader->repo->index, &damage);
  if (!hf_cache_first_warning(reader->cache, &place->pack))
    return;
  g_autofree char *pack = hf_hex(place->pack.b, sizeof place->pack.b);
  hf_report_warning(reader->repo->report, NULL, "pack '%s' is damaged: %s; run 'holdfast repair'", pack, why->message);
}

/* ---- Keys. ---- */

static gboolean take_slots(HfBlobReader *reader, const HfPackInfo *info, const HfShortId *session, GError **error)
{
  for (guint i = 0; i < info->slots->len; i++) {
    const HfSessionSlot *slot = &g_array_index(info->slots, HfSessionSlot, i);
    if (!hf_short_id_equal(&slot->session, session))
      continue;
    const HfKey *data_key, *meta_key;
    if (slot->domain != reader->domain)
      return hf_fail(error, HF_ERROR_DAMAGED, "a frame was sealed in domain %u instead of %u", slot->domain,
                     reader->domain);
    if (!hf_keyring_open_slot(reader->repo->keys, slot, &data_key, &meta_key, error))
      return FALSE;
    hf_cache_note_keys(reader->cache, session, data_key, meta_key);
    return TRUE;
  }
  return hf_fail(error, HF_ERROR_DAMAGED, "the pack has no key slot for one of its frames");
}

static gboolean slots_at_head(HfBlobReader *reader, const HfLocation *place, Way way, const HfShortId *session,
                              GError **error)
{
  guint8 fixed[HF_PACK_HEAD_FIXED];
  gsize length;
  if (!fetch(reader, place, way, 0, fixed, sizeof fixed, error) ||
      !hf_pack_head_peek(fixed, sizeof fixed, &length, error))
    return FALSE;
  g_autofree guint8 *head = g_malloc(length);
  g_auto(HfPackInfo) info = { 0 };
  hf_pack_info_init(&info);
  return fetch(reader, place, way, 0, head, length, error) && hf_pack_head_decode(head, length, &info, error) &&
         take_slots(reader, &info, session, error);
}

/* The second copy: in the directory. */
static gboolean slots_at_end(HfBlobReader *reader, const HfLocation *place, const HfShortId *session)
{
  char name[HF_NAME_BYTES];
  guint8 trailer[HF_PACK_TRAILER_BYTES], digest[16];
  HfShortId pack;
  guint64 size, offset, length;
  hf_name_pack(name, (HfPackKind)place->kind, &place->pack);
  if (!hf_store_size(reader->repo->store, name, &size, NULL) || size < sizeof trailer ||
      !hf_store_get(reader->repo->store, name, size - sizeof trailer, trailer, sizeof trailer, NULL) ||
      !hf_pack_trailer_decode(trailer, sizeof trailer, &pack, &offset, &length, digest, NULL) || length > size)
    return FALSE;
  g_autofree guint8 *directory = g_try_malloc(length);
  g_auto(HfPackInfo) info = { 0 };
  hf_pack_info_init(&info);
  info.kind = place->kind;
  info.length = size;
  return directory != NULL && hf_store_get(reader->repo->store, name, offset, directory, length, NULL) &&
         hf_pack_directory_decode(directory, length, offset, digest, &info, NULL) &&
         take_slots(reader, &info, session, NULL);
}

/* The key of a frame. The slots are read once a session: whichever copy is whole. */
static const HfKey *find_key(HfBlobReader *reader, const HfLocation *place, const HfShortId *session, GError **error)
{
  const HfKey *data_key, *meta_key;
  if (!hf_cache_keys(reader->cache, session, &data_key, &meta_key)) {
    g_autoptr(GError) why = NULL;
    if (!slots_at_head(reader, place, WAY_PACK, session, &why) &&
        (!hf_cache_is_damage(why) ||
         (!slots_at_end(reader, place, session) && !slots_at_head(reader, place, WAY_SPARE, session, NULL)))) {
      g_propagate_error(error, g_steal_pointer(&why));
      return NULL;
    }
    hf_cache_keys(reader->cache, session, &data_key, &meta_key);
  }
  const HfKey *key = place->kind == HF_PACK_META ? meta_key : data_key;
  if (key == NULL)
    hf_fail(error, HF_ERROR_PERMISSION, "these keys do not open the content of this point; use the password");
  return key;
}

/* The key of the frame that begins reader->stored. */
static const HfKey *key_of_stored(HfBlobReader *reader, const HfLocation *place, HfFrameHeader *header, GError **error)
{
  const guint8 *stored = reader->stored.data;
  if (!hf_frame_decode(stored, reader->stored.length, header, error) ||
      !hf_frame_check(stored, reader->stored.length, header, error))
    return NULL;
  return find_key(reader, place, &header->session, error);
}

/* ---- All ways to a blob. ---- */

typedef gboolean (*TryFunc)(HfBlobReader *reader, const HfLocation *place, Way way, gpointer what, GError **error);

/* A place that fails so says nothing about the others: it is damaged, or under keys that are not ours. (A host that was
 * taken over may have stored garbage under any key.) */
static gboolean is_of_place(const GError *why)
{
  return hf_cache_is_damage(why) || hf_error_is(why, HF_ERROR_PERMISSION);
}

static gboolean lost(const HfId *id, const GError *why, GError **error)
{
  g_autofree char *hex = hf_hex(id->b, sizeof id->b);
  return hf_fail(error, HF_ERROR_DAMAGED, "blob '%s' cannot be read: %s; run 'holdfast repair'", hex,
                 why == NULL ? "no pack has it" : why->message);
}

static gboolean all_places(HfBlobReader *reader, const HfId *id, GArray *places, GError **error)
{
  for (guint attempt = 0;; attempt++) {
    HfLocation place;
    gboolean found;
    if (!hf_index_find(reader->repo->index, reader->domain, id, attempt, &found, &place, error))
      return FALSE;
    if (!found)
      return TRUE;
    g_array_append_val(places, place);
  }
}

static gboolean same_place(const HfLocation *a, const HfLocation *b)
{
  return a->offset == b->offset && hf_short_id_equal(&a->pack, &b->pack);
}

/* After the first place has failed with `first`: the other places, then what stands in for each. All places are listed
 * before any damage is noted, since that changes their order. */
static gboolean try_other_ways(HfBlobReader *reader, const HfId *id, const HfLocation *failed, const GError *first,
                               TryFunc try, gpointer what, GError **error)
{
  g_autoptr(GArray) places = g_array_new(FALSE, FALSE, sizeof(HfLocation));
  if (!all_places(reader, id, places, error))
    return FALSE;
  g_autoptr(GError) closed = NULL; /* a place that is not ours to open: it may be whole */
  if (hf_cache_is_damage(first))
    note_damage(reader, failed, first);
  else
    closed = g_error_copy(first);
  for (Way way = WAY_PACK; way <= WAY_SPARE; way++)
    for (guint i = 0; i < places->len; i++) {
      const HfLocation *place = &g_array_index(places, HfLocation, i);
      g_autoptr(GError) why = NULL;
      if (way == WAY_PACK && same_place(place, failed))
        continue;
      if (try(reader, place, way, what, &why))
        return TRUE;
      if (!is_of_place(why)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
      }
      if (!hf_cache_is_damage(why) && closed == NULL)
        closed = g_steal_pointer(&why);
      else if (way == WAY_PACK && hf_cache_is_damage(why))
        note_damage(reader, place, why);
    }
  if (closed == NULL)
    return lost(id, first, error);
  g_propagate_error(error, g_steal_pointer(&closed));
  return FALSE;
}

/* A pack that is gone may have been swept: a prune had condemned it before we came, and has put what points need of it
 * into another one, which an index loaded anew knows. What is damaged after that is not looked for again. */
static gboolean may_have_moved(const HfLocation *place, const GError *why)
{
  return hf_error_is(why, HF_ERROR_NOT_FOUND) && place->standing != HF_STANDING_DAMAGED;
}

static gboolean try_ways(HfBlobReader *reader, const HfId *id, TryFunc try, gpointer what, GError **error)
{
  HfIndex *index = reader->repo->index;
  HfShortId gone = { { 0 } };
  g_autoptr(GError) before = NULL;
  for (guint moves = 0;; moves++) {
    HfLocation place;
    gboolean found;
    g_autoptr(GError) why = NULL;
    if (!hf_index_find_anew(index, reader->domain, id, &found, &place, error))
      return FALSE;
    if (!found)
      return lost(id, before, error);
    if (try(reader, &place, WAY_PACK, what, &why))
      return TRUE;
    if (!is_of_place(why)) {
      g_propagate_error(error, g_steal_pointer(&why));
      return FALSE;
    }
    if (!may_have_moved(&place, why) || moves == MOVES_MAX || hf_short_id_equal(&gone, &place.pack))
      return try_other_ways(reader, id, &place, why, try, what, error);
    gone = place.pack;
    g_clear_error(&before);
    before = g_steal_pointer(&why);
    if (!hf_index_refresh(index, error))
      return FALSE;
  }
}

/* ---- Blobs in groups. ---- */

static void view_blob(const HfOpened *opened, guint number, HfBlob *blob)
{
  const HfGroupItem *item = &g_array_index(opened->items, HfGroupItem, number);
  guint32 start = g_array_index(opened->ref_starts, guint32, number);
  blob->type = (HfBlobType)item->type;
  blob->payload = opened->plain.data + g_array_index(opened->offsets, gsize, number);
  blob->length = item->length;
  blob->ref_count = g_array_index(opened->ref_counts, guint32, number);
  blob->refs = blob->ref_count == 0 ? NULL : &g_array_index(opened->refs, HfId, start);
}

/* R1 for one blob of an opened frame. */
static gboolean blob_is(HfBlobReader *reader, const HfOpened *opened, guint number, const HfId *id, HfId *computed,
                        GError **error)
{
  HfBlob blob = { 0 };
  if (number >= opened->blobs)
    return hf_fail(error, HF_ERROR_DAMAGED, "a frame has %u blobs and no blob %u", opened->blobs, number);
  view_blob(opened, number, &blob);
  if (blob.type == HF_BLOB_BLOCK) {
    HfId leaves[HF_PIECES_MAX];
    hf_identity_whole_block(reader->identity, blob.payload, blob.length, leaves, computed);
  } else {
    hf_identity_blob(reader->identity, blob.type, blob.refs, blob.ref_count, blob.payload, blob.length, computed);
  }
  return hf_id_equal(computed, id) || hf_fail(error, HF_ERROR_DAMAGED, "a blob is not what its id says");
}

/* A row opens to one blob. */
static void list_block(HfOpened *opened)
{
  HfGroupItem item = { .type = HF_BLOB_BLOCK, .length = (guint32)opened->plain.length };
  gsize offset = 0;
  guint32 none = 0;
  g_array_set_size(opened->items, 0);
  g_array_set_size(opened->offsets, 0);
  g_array_set_size(opened->ref_counts, 0);
  g_array_set_size(opened->ref_starts, 0);
  g_array_set_size(opened->refs, 0);
  g_array_append_val(opened->items, item);
  g_array_append_val(opened->offsets, offset);
  g_array_append_val(opened->ref_counts, none);
  g_array_append_val(opened->ref_starts, none);
  opened->blobs = 1;
}

static gboolean open_frame(HfBlobReader *reader, const HfLocation *place, Way way, HfOpened *opened, GError **error)
{
  HfFrameHeader header;
  opened->blobs = 0;
  if (!fetch_stored(reader, place, way, place->offset, place->stored_length, error))
    return FALSE;
  const HfKey *key = key_of_stored(reader, place, &header, error);
  if (key == NULL)
    return FALSE;
  if (header.kind == HF_FRAME_GROUP)
    return hf_open_group(reader->opener, key, reader->stored.data, reader->stored.length, opened, error);
  if (!hf_open_row(reader->opener, key, reader->stored.data, reader->stored.length, &opened->plain, error))
    return FALSE;
  list_block(opened);
  return TRUE;
}

typedef struct BlobWish {
  const HfId *id;
  HfBlob *blob;
} BlobWish;

static gboolean try_blob(HfBlobReader *reader, const HfLocation *place, Way way, gpointer what, GError **error)
{
  const BlobWish *wish = what;
  HfId id;
  g_autoptr(HfCachedFrame) frame = hf_cache_find(reader->cache, &place->pack, place->offset);
  if (frame == NULL || frame->prefix.length > 0) {
    hf_cached_frame_unref(frame);
    frame = hf_cached_frame_new(&place->pack, place->offset);
    if (!open_frame(reader, place, way, &frame->opened, error))
      return FALSE;
    hf_cache_add(reader->cache, frame);
  }
  if (place->blob >= frame->opened.blobs || !hf_cache_known_id(reader->cache, frame, place->blob, &id) ||
      !hf_id_equal(&id, wish->id)) {
    if (!blob_is(reader, &frame->opened, place->blob, wish->id, &id, error))
      return FALSE;
    hf_cache_note_id(reader->cache, frame, place->blob, &id);
  }
  view_blob(&frame->opened, place->blob, wish->blob);
  wish->blob->frame = g_steal_pointer(&frame);
  return TRUE;
}

gboolean hf_blob_read(HfBlobReader *reader, const HfId *id, HfBlobType type, HfBlob *blob, GError **error)
{
  memset(blob, 0, sizeof *blob);
  BlobWish wish = { id, blob };
  if (!try_ways(reader, id, try_blob, &wish, error))
    return FALSE;
  if (blob->type == type)
    return TRUE;
  g_autofree char *hex = hf_hex(id->b, sizeof id->b);
  hf_fail(error, HF_ERROR_INVALID, "blob '%s' is of type %u instead of %u", hex, (guint)blob->type, (guint)type);
  hf_blob_release(blob);
  return FALSE;
}

/* ---- Blocks in rows. ---- */

typedef struct BlockWish {
  const HfId *id;
  gsize block_length, offset, length;
  guint8 *out;
} BlockWish;

/* Checks the table of a row against the id of the block. */
static gboolean row_is(HfBlobReader *reader, const guint8 *bytes, const HfFrameHeader *header, const BlockWish *wish,
                       GError **error)
{
  HfRowPiece pieces[HF_PIECES_MAX];
  HfId leaves[HF_PIECES_MAX], id;
  HfView clear = { bytes + HF_FRAME_PREFIX_BYTES, header->clear_length };
  if (header->kind != HF_FRAME_ROW || header->plain_length != wish->block_length)
    return hf_fail(error, HF_ERROR_DAMAGED, "a frame does not hold a block of %zu bytes", wish->block_length);
  if (!hf_row_decode(clear, header, pieces, error))
    return FALSE;
  for (guint i = 0; i < header->count; i++)
    leaves[i] = pieces[i].leaf;
  hf_identity_block(reader->identity, header->plain_length, leaves, header->count, &id);
  return hf_id_equal(&id, wish->id) || hf_fail(error, HF_ERROR_DAMAGED, "a block is not what its id says");
}

/* Prefix and clear section of the row, from the cache or read anew. */
static HfCachedFrame *find_row(HfBlobReader *reader, const HfLocation *place, Way way, const BlockWish *wish,
                               GError **error)
{
  g_autoptr(HfCachedFrame) row = hf_cache_find(reader->cache, &place->pack, place->offset);
  if (row != NULL && row->prefix.length > 0 && hf_id_equal(&row->block, wish->id))
    return g_steal_pointer(&row);
  HfFrameHeader header;
  gsize pieces = (wish->block_length + HF_PIECE_BYTES - 1) / HF_PIECE_BYTES;
  gsize length = HF_FRAME_PREFIX_BYTES + pieces * ROW_CLEAR_BYTES;
  if (length > place->stored_length) {
    hf_fail(error, HF_ERROR_DAMAGED, "a frame is too short for a block of %zu bytes", wish->block_length);
    return NULL;
  }
  if (!fetch_stored(reader, place, way, place->offset, length, error) ||
      key_of_stored(reader, place, &header, error) == NULL ||
      !row_is(reader, reader->stored.data, &header, wish, error))
    return NULL;
  g_autoptr(HfCachedFrame) fresh = hf_cached_frame_new(&place->pack, place->offset);
  if (!hf_buffer_append(&fresh->prefix, reader->stored.data, length, error))
    return NULL;
  fresh->block = *wish->id;
  hf_cache_add(reader->cache, fresh);
  return g_steal_pointer(&fresh);
}

/* Opens piece `number` and copies what of it is wished for. A piece that is wished for in part stays at hand. */
static gboolean give_piece(HfBlobReader *reader, const HfKey *key, const HfCachedFrame *row, guint number,
                           const guint8 *sealed, gsize sealed_length, const BlockWish *wish, GError **error)
{
  gsize start = number * (gsize)HF_PIECE_BYTES, end = start + hf_piece_length((guint32)wish->block_length, number);
  gsize from = MAX(start, wish->offset), to = MIN(end, wish->offset + wish->length);
  gboolean all = from == start && to == end;
  if (!all) {
    reader->piece_length = 0;
    if (!hf_buffer_reserve(&reader->piece, HF_PIECE_BYTES, error))
      return FALSE;
  }
  guint8 *out = wish->out + (from - wish->offset);
  if (!hf_open_piece(reader->opener, key, reader->identity, row->prefix.data, row->prefix.length, number, sealed,
                     sealed_length, all ? out : reader->piece.data, error))
    return FALSE;
  if (!all) {
    memcpy(out, reader->piece.data + (from - start), to - from);
    reader->piece_id = *wish->id;
    reader->piece_number = number;
    reader->piece_length = end - start;
  }
  return TRUE;
}

static gboolean try_block(HfBlobReader *reader, const HfLocation *place, Way way, gpointer what, GError **error)
{
  const BlockWish *wish = what;
  HfFrameHeader header;
  HfRowPiece pieces[HF_PIECES_MAX];
  g_autoptr(HfCachedFrame) row = find_row(reader, place, way, wish, error);
  if (row == NULL || !hf_frame_decode(row->prefix.data, row->prefix.length, &header, error))
    return FALSE;
  HfView clear = { row->prefix.data + HF_FRAME_PREFIX_BYTES, header.clear_length };
  const HfKey *key = find_key(reader, place, &header.session, error);
  if (key == NULL || !hf_row_decode(clear, &header, pieces, error))
    return FALSE;
  guint first = (guint)(wish->offset / HF_PIECE_BYTES),
        last = (guint)((wish->offset + wish->length - 1) / HF_PIECE_BYTES);
  gsize start = row->prefix.length, length = 0;
  for (guint i = 0; i < first; i++)
    start += pieces[i].stored_length;
  for (guint i = first; i <= last; i++)
    length += pieces[i].stored_length;
  if (start + length > place->stored_length)
    return hf_fail(error, HF_ERROR_DAMAGED, "a row is longer than its frame");
  if (length > 0 && !fetch_stored(reader, place, way, place->offset + start, length, error))
    return FALSE;
  const guint8 *sealed = reader->stored.data;
  for (guint i = first; i <= last; i++) {
    if (!give_piece(reader, key, row, i, sealed, pieces[i].stored_length, wish, error))
      return FALSE;
    sealed += pieces[i].stored_length;
  }
  return TRUE;
}

gboolean hf_block_read(HfBlobReader *reader, const HfId *id, gsize block_length, gsize offset, gsize length, void *out,
                       GError **error)
{
  if (block_length > (gsize)HF_PIECES_MAX * HF_PIECE_BYTES || offset > block_length || length > block_length - offset)
    return hf_fail(error, HF_ERROR_FAILED, "a block of %zu bytes has no %zu bytes at %zu", block_length, length,
                   offset);
  if (length == 0)
    return TRUE;
  gsize piece = offset / HF_PIECE_BYTES, inside = offset % HF_PIECE_BYTES;
  if (piece == reader->piece_number && inside + length <= reader->piece_length && hf_id_equal(&reader->piece_id, id)) {
    memcpy(out, reader->piece.data + inside, length);
    return TRUE;
  }
  BlockWish wish = { id, block_length, offset, length, out };
  return try_ways(reader, id, try_block, &wish, error);
}

/* ---- Whole frames. ---- */

gboolean hf_blob_locate(HfBlobReader *reader, const HfId *id, HfLocation *location, GError **error)
{
  gboolean found;
  return hf_index_find_anew(reader->repo->index, reader->domain, id, &found, location, error) &&
         (found || lost(id, NULL, error));
}

static gboolean open_wanted(HfBlobReader *reader, const HfLocation *place, Way way, const HfWanted *wanted, guint count,
                            HfOpened *opened, GError **error)
{
  HfId id;
  if (!open_frame(reader, place, way, opened, error))
    return FALSE;
  for (guint i = 0; i < count; i++)
    if (!blob_is(reader, opened, wanted[i].blob, &wanted[i].id, &id, error))
      return FALSE;
  return TRUE;
}

static void clear_array(GArray *array, guint length)
{
  g_array_set_size(array, length);
  if (length > 0)
    memset(array->data, 0, (gsize)length * g_array_get_element_size(array));
}

/* Puts a frame together from blobs read one by one. */
static gboolean gather(HfBlobReader *reader, const HfWanted *wanted, guint count, HfOpened *opened, GError **error)
{
  guint blobs = 0;
  for (guint i = 0; i < count; i++)
    blobs = MAX(blobs, wanted[i].blob + 1u);
  opened->plain.length = 0;
  clear_array(opened->items, blobs);
  clear_array(opened->offsets, blobs);
  clear_array(opened->ref_counts, blobs);
  clear_array(opened->ref_starts, blobs);
  clear_array(opened->refs, 0);
  for (guint i = 0; i < count; i++) {
    g_auto(HfBlob) blob = { 0 };
    BlobWish wish = { &wanted[i].id, &blob };
    if (!try_ways(reader, &wanted[i].id, try_blob, &wish, error))
      return FALSE;
    guint number = wanted[i].blob;
    g_array_index(opened->items, HfGroupItem, number) = (HfGroupItem){ (guint8)blob.type, (guint32)blob.length };
    g_array_index(opened->offsets, gsize, number) = opened->plain.length;
    g_array_index(opened->ref_counts, guint32, number) = blob.ref_count;
    g_array_index(opened->ref_starts, guint32, number) = opened->refs->len;
    if (blob.ref_count > 0)
      g_array_append_vals(opened->refs, blob.refs, blob.ref_count);
    if (!hf_buffer_append(&opened->plain, blob.payload, blob.length, error))
      return FALSE;
  }
  opened->blobs = blobs;
  return TRUE;
}

gboolean hf_frame_read(HfBlobReader *reader, const HfLocation *location, const HfWanted *wanted, guint count,
                       HfOpened *opened, GError **error)
{
  g_autoptr(GError) why = NULL;
  if (open_wanted(reader, location, WAY_PACK, wanted, count, opened, &why))
    return TRUE;
  if (!hf_cache_is_damage(why)) {
    if (count > 0 && is_of_place(why) && gather(reader, wanted, count, opened, NULL))
      return TRUE;
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
  }
  if (may_have_moved(location, why))
    return gather(reader, wanted, count, opened, error);
  note_damage(reader, location, why);
  return open_wanted(reader, location, WAY_SPARE, wanted, count, opened, NULL) ||
         gather(reader, wanted, count, opened, error);
}
