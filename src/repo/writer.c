/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/writer.h"

#include <string.h>

#include "base/error.h"

#define ALONE_BYTES (512u << 10)   /* payloads and refs from here on get a frame of their own */
#define HEADROOM_BYTES (16u << 10) /* for the table of a group; a longer one costs a copy of the group */
#define GROUP_BLOBS_MAX 65535u
#define SESSION_FRAMES_MAX ((guint64)1 << 28)

struct HfBlobStore {
  HfSession *session; /* borrowed */
  HfRepo *repo;       /* borrowed */
  guint32 domain;
  HfKey domain_key;
  HfCodec codec;
  int level;
  HfPacker *data, *meta;
  GMutex lock;    /* guards everything below */
  GError *failed; /* W2 */
  guint64 frames, new_blobs, new_bytes;
};

/* Blobs that will be sealed together: payloads side by side behind the headroom. */
typedef struct Group {
  HfBuffer buffer;
  gsize payload_bytes;
  GArray *items;      /* HfGroupItem */
  GArray *ref_counts; /* guint32 */
  GArray *refs, *ids; /* HfId */
  GArray *sums;       /* guint64 */
} Group;

struct HfBlobWriter {
  HfBlobStore *store;
  HfIdentity *identity;
  HfSealer *sealer;
  HfSealed sealed;
  Group data, meta;
};

/* ---- The store. ---- */

/* Remembers the first failure of all; `why` stays the caller's. */
static gboolean note_failure(HfBlobStore *store, const GError *why)
{
  HF_LOCK(&store->lock);
  if (store->failed == NULL)
    store->failed = g_error_copy(why);
  return FALSE;
}

/* What every failing function of a writer returns by: W2. */
static gboolean lose(HfBlobStore *store, GError *why, GError **error)
{
  note_failure(store, why);
  g_propagate_error(error, why);
  return FALSE;
}

static gboolean pack_done(const HfPackInfo *info, gpointer user, GError **error)
{
  HfBlobStore *store = user;
  return hf_index_add_pack(store->repo->index, info, error);
}

static HfPacker *new_packer(HfBlobStore *store, HfPackKind kind)
{
  const HfConfig *config = &store->repo->config;
  HfPackerOptions options = { .kind = kind,
                              .domain = store->domain,
                              .target = kind == HF_PACK_DATA ? config->pack_target : config->meta_pack_target,
                              .parity = config->parity,
                              .slots = hf_session_slot(store->session),
                              .slot_count = 1,
                              .done = pack_done,
                              .user = store };
  return hf_packer_new(store->repo->store, &options);
}

HfBlobStore *hf_blob_store_new(HfSession *session, HfRepo *repo, int codec, int level, GError **error)
{
  g_autoptr(HfBlobStore) store = g_new0(HfBlobStore, 1);
  g_mutex_init(&store->lock);
  store->session = session;
  store->repo = repo;
  store->domain = hf_session_slot(session)->domain;
  if (!hf_keyring_domain_key(repo->keys, store->domain, &store->domain_key, error))
    return NULL;
  store->codec = codec >= 0 ? (HfCodec)codec : (HfCodec)repo->config.codec;
  store->level = codec >= 0 ? level : repo->config.level;
  store->data = new_packer(store, HF_PACK_DATA);
  store->meta = new_packer(store, HF_PACK_META);
  return g_steal_pointer(&store);
}

void hf_blob_store_free(HfBlobStore *store)
{
  if (store == NULL)
    return;
  hf_packer_free(store->data);
  hf_packer_free(store->meta);
  /* Of a session that failed: the next one in this process must not count on them. */
  hf_index_drop_claims(store->repo->index);
  hf_key_clear(&store->domain_key);
  g_clear_error(&store->failed);
  g_mutex_clear(&store->lock);
  g_free(store);
}

gboolean hf_blob_store_flush(HfBlobStore *store, GError **error)
{
  g_autoptr(GError) why = NULL;
  if (!hf_packer_flush(store->data, &why) || !hf_packer_flush(store->meta, &why))
    note_failure(store, why);
  HF_LOCK(&store->lock);
  if (store->failed == NULL)
    return TRUE;
  g_propagate_error(error, g_error_copy(store->failed));
  return FALSE;
}

HfBlobTotals hf_blob_store_totals(HfBlobStore *store)
{
  guint64 data, meta, parity, mirror;
  hf_packer_totals(store->data, &data, &parity);
  hf_packer_totals(store->meta, &meta, &mirror);
  HF_LOCK(&store->lock);
  return (HfBlobTotals){ store->new_blobs, store->new_bytes, data + meta, parity + mirror };
}

/* ---- Groups. ---- */

static void group_init(Group *group)
{
  group->items = g_array_new(FALSE, FALSE, sizeof(HfGroupItem));
  group->ref_counts = g_array_new(FALSE, FALSE, sizeof(guint32));
  group->refs = g_array_new(FALSE, FALSE, sizeof(HfId));
  group->ids = g_array_new(FALSE, FALSE, sizeof(HfId));
  group->sums = g_array_new(FALSE, FALSE, sizeof(guint64));
}

static void group_clear(Group *group)
{
  hf_buffer_clear(&group->buffer);
  g_array_unref(group->items);
  g_array_unref(group->ref_counts);
  g_array_unref(group->refs);
  g_array_unref(group->ids);
  g_array_unref(group->sums);
}

static void group_empty(Group *group)
{
  group->payload_bytes = 0;
  g_array_set_size(group->items, 0);
  g_array_set_size(group->ref_counts, 0);
  g_array_set_size(group->refs, 0);
  g_array_set_size(group->ids, 0);
  g_array_set_size(group->sums, 0);
}

static gsize group_bytes(const Group *group)
{
  return group->payload_bytes + group->refs->len * sizeof(HfId);
}

/* Where the next payload goes, with room for `length` bytes. The first call makes room for a whole group. */
static guint8 *group_room(Group *group, gsize length, gsize target, GError **error)
{
  gsize needed = HEADROOM_BYTES + group->payload_bytes + length;
  if (!hf_buffer_reserve(&group->buffer, MAX(needed, HEADROOM_BYTES + target + ALONE_BYTES), error))
    return NULL;
  return group->buffer.data + HEADROOM_BYTES + group->payload_bytes;
}

/* ---- Writers. ---- */

HfBlobWriter *hf_blob_writer_new(HfBlobStore *store)
{
  HfBlobWriter *writer = g_new0(HfBlobWriter, 1);
  writer->store = store;
  writer->identity = hf_identity_new(&store->domain_key);
  writer->sealer = hf_sealer_new(hf_session_id(store->session), hf_session_data_key(store->session),
                                 hf_session_meta_key(store->session), store->codec, store->level);
  hf_sealed_init(&writer->sealed);
  group_init(&writer->data);
  group_init(&writer->meta);
  return writer;
}

void hf_blob_writer_free(HfBlobWriter *writer)
{
  if (writer == NULL)
    return;
  if (writer->data.items->len + writer->meta.items->len > 0) {
    g_autoptr(GError) why = g_error_new(HF_ERROR, HF_ERROR_FAILED, "%u blobs were given up before they were stored",
                                        writer->data.items->len + writer->meta.items->len);
    note_failure(writer->store, why);
  }
  group_clear(&writer->data);
  group_clear(&writer->meta);
  hf_sealed_clear(&writer->sealed);
  hf_sealer_free(writer->sealer);
  hf_identity_free(writer->identity);
  g_free(writer);
}

HfIdentity *hf_blob_writer_identity(HfBlobWriter *writer)
{
  return writer->identity;
}

/* Hands the sealed frame to a packer. */
static gboolean pack_sealed(HfBlobWriter *writer, gboolean meta, const HfId *ids, gsize plain_bytes, GError **error)
{
  HfBlobStore *store = writer->store;
  g_mutex_lock(&store->lock);
  gboolean over = ++store->frames > SESSION_FRAMES_MAX;
  store->new_blobs += writer->sealed.blobs;
  store->new_bytes += plain_bytes;
  g_mutex_unlock(&store->lock);
  if (over)
    return hf_fail(error, HF_ERROR_FAILED, "a session can seal no more than 2^28 frames; back up in smaller parts");
  return hf_packer_add(meta ? store->meta : store->data, &writer->sealed, ids, error);
}

static gboolean seal_open_group(HfBlobWriter *writer, gboolean meta, GError **error)
{
  Group *group = meta ? &writer->meta : &writer->data;
  if (group->items->len == 0)
    return TRUE;
  HfGroup sealing = { .items = (const HfGroupItem *)(void *)group->items->data,
                      .ref_counts = (const guint32 *)(void *)group->ref_counts->data,
                      .blobs = group->items->len,
                      .refs = (const HfId *)(void *)group->refs->data,
                      .payloads = group->buffer.data + HEADROOM_BYTES,
                      .payload_bytes = group->payload_bytes,
                      .headroom = HEADROOM_BYTES,
                      .sums = (const guint64 *)(void *)group->sums->data };
  gboolean done = hf_seal_group(writer->sealer, meta, &sealing, &writer->sealed, error) &&
                  pack_sealed(writer, meta, (const HfId *)(void *)group->ids->data, group->payload_bytes, error);
  group_empty(group);
  return done;
}

/* A blob in hand, identified. */
typedef struct Blob {
  HfBlobType type;
  const HfId *refs;
  guint32 ref_count;
  const guint8 *payload;
  gsize length;
  guint64 sum;
  HfId id;
} Blob;

static gboolean seal_alone(HfBlobWriter *writer, gboolean meta, const Blob *blob, GError **error)
{
  HfGroupItem item = { .type = (guint8)blob->type, .length = (guint32)blob->length };
  HfGroup group = { .items = &item,
                    .ref_counts = &blob->ref_count,
                    .blobs = 1,
                    .refs = blob->refs,
                    .payloads = blob->payload,
                    .payload_bytes = blob->length,
                    .sums = &blob->sum };
  return hf_seal_group(writer->sealer, meta, &group, &writer->sealed, error) &&
         pack_sealed(writer, meta, &blob->id, blob->length, error);
}

static gboolean add_to_group(HfBlobWriter *writer, gboolean meta, const Blob *blob, GError **error)
{
  Group *group = meta ? &writer->meta : &writer->data;
  gsize target = meta ? writer->store->repo->config.meta_frame_target : writer->store->repo->config.frame_target;
  guint8 *place = group_room(group, blob->length, target, error);
  if (place == NULL)
    return FALSE;
  if (blob->payload != place && blob->length > 0)
    memcpy(place, blob->payload, blob->length);
  HfGroupItem item = { .type = (guint8)blob->type, .length = (guint32)blob->length };
  g_array_append_val(group->items, item);
  g_array_append_val(group->ref_counts, blob->ref_count);
  g_array_append_val(group->ids, blob->id);
  g_array_append_val(group->sums, blob->sum);
  if (blob->ref_count > 0)
    g_array_append_vals(group->refs, blob->refs, blob->ref_count);
  group->payload_bytes += blob->length;
  if (group_bytes(group) < target && group->items->len < GROUP_BLOBS_MAX)
    return TRUE;
  return seal_open_group(writer, meta, error);
}

static gboolean write_claimed(HfBlobWriter *writer, const Blob *blob, GError **error)
{
  gboolean meta = hf_blob_is_meta(blob->type);
  if (blob->length + blob->ref_count * sizeof(HfId) >= ALONE_BYTES)
    return seal_alone(writer, meta, blob, error);
  return add_to_group(writer, meta, blob, error);
}

static gboolean identify(HfBlobWriter *writer, Blob *blob, GError **error)
{
  gboolean meta = hf_blob_is_meta(blob->type);
  if (blob->length > HF_PAYLOAD_MAX || blob->ref_count > HF_REFS_MAX || (!meta && blob->ref_count > 0))
    return hf_fail(error, HF_ERROR_FAILED, "cannot store a blob of %zu bytes and %u refs", blob->length,
                   blob->ref_count);
  blob->sum = hf_seal_sum(blob->type, blob->refs, blob->ref_count, blob->payload, blob->length);
  hf_identity_blob(writer->identity, blob->type, blob->refs, blob->ref_count, blob->payload, blob->length, &blob->id);
  return TRUE;
}

static gboolean write_blob(HfBlobWriter *writer, Blob *blob, HfId *id, gboolean *fresh, GError **error)
{
  gboolean claimed;
  if (!identify(writer, blob, error))
    return FALSE;
  *id = blob->id;
  if (!hf_index_claim(writer->store->repo->index, writer->store->domain, id, &claimed, error))
    return FALSE;
  if (fresh != NULL)
    *fresh = claimed;
  return !claimed || write_claimed(writer, blob, error);
}

gboolean hf_blob_write(HfBlobWriter *writer, HfBlobType type, const HfId *refs, guint ref_count, const void *payload,
                       gsize length, HfId *id, gboolean *fresh, GError **error)
{
  Blob blob = { .type = type, .refs = refs, .ref_count = ref_count, .payload = payload, .length = length };
  GError *why = NULL;
  return write_blob(writer, &blob, id, fresh, &why) || lose(writer->store, why, error);
}

gboolean hf_blob_write_again(HfBlobWriter *writer, HfBlobType type, const HfId *refs, guint ref_count,
                             const void *payload, gsize length, HfId *id, GError **error)
{
  Blob blob = { .type = type, .refs = refs, .ref_count = ref_count, .payload = payload, .length = length };
  GError *why = NULL;
  if (!identify(writer, &blob, &why) || !write_claimed(writer, &blob, &why))
    return lose(writer->store, why, error);
  *id = blob.id;
  return TRUE;
}

static gboolean write_block(HfBlobWriter *writer, const guint8 *block, gsize length, HfId *id, gboolean *fresh,
                            GError **error)
{
  HfId leaves[HF_PIECES_MAX];
  guint64 sums[HF_PIECES_MAX];
  gboolean claimed;
  if (length == 0 || length > (gsize)HF_PIECES_MAX * HF_PIECE_BYTES)
    return hf_fail(error, HF_ERROR_FAILED, "cannot store a block of %zu bytes", length);
  guint pieces = (guint)((length + HF_PIECE_BYTES - 1) / HF_PIECE_BYTES);
  for (guint i = 0; i < pieces; i++)
    sums[i] = hf_xxh64(block + i * (gsize)HF_PIECE_BYTES, hf_piece_length((guint32)length, i));
  hf_identity_whole_block(writer->identity, block, length, leaves, id);
  if (!hf_index_claim(writer->store->repo->index, writer->store->domain, id, &claimed, error))
    return FALSE;
  if (fresh != NULL)
    *fresh = claimed;
  return !claimed || (hf_seal_row(writer->sealer, block, length, leaves, sums, pieces, &writer->sealed, error) &&
                      pack_sealed(writer, FALSE, id, length, error));
}

gboolean hf_block_write(HfBlobWriter *writer, const void *block, gsize length, HfId *id, gboolean *fresh,
                        GError **error)
{
  GError *why = NULL;
  return write_block(writer, block, length, id, fresh, &why) || lose(writer->store, why, error);
}

void *hf_blob_room(HfBlobWriter *writer, gsize length, GError **error)
{
  return group_room(&writer->data, length, writer->store->repo->config.frame_target, error);
}

gboolean hf_blob_writer_flush(HfBlobWriter *writer, GError **error)
{
  GError *why = NULL;
  return (seal_open_group(writer, FALSE, &why) && seal_open_group(writer, TRUE, &why)) ||
         lose(writer->store, why, error);
}
