/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writing packs. Under the lock there is only what orders frames: one writev and the growing directory. */
#include "repo/packer.h"

#include <string.h>

#include "base/error.h"
#include "base/work.h"
#include "repo/objects.h"
#include "repo/parity.h"

#define TARGET_MAX ((guint64)1 << 31)
#define READ_BYTES (256u << 10)
#define DIRECTORY_FRAME_BYTES 24u

typedef struct Pack {
  HfPut *put;
  HfPackInfo info;
  GByteArray *head, *end; /* as they were written; frames lie in between */
} Pack;

struct HfPacker {
  HfStore *store;
  HfPackerOptions options; /* without slots */
  GArray *slots;           /* of HfSessionSlot */
  GMutex lock;             /* guards everything below */
  GCond finished;
  Pack *pack; /* the one at hand, or NULL */
  HfSink *sink; /* P5: opened with the first frame; then there is no pack here */
  guint finishing;
  GError *failed; /* P4 */
  guint64 pack_bytes, parity_bytes;
};

/* ---- The pack at hand. ---- */

static void pack_free(Pack *pack)
{
  if (pack == NULL)
    return;
  hf_put_free(pack->put);
  hf_pack_info_clear(&pack->info);
  g_byte_array_unref(pack->head);
  g_byte_array_unref(pack->end);
  g_free(pack);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Pack, pack_free)

static Pack *pack_new(HfPacker *packer, GError **error)
{
  g_autoptr(Pack) pack = g_new0(Pack, 1);
  char name[HF_NAME_BYTES];
  hf_pack_info_init(&pack->info);
  pack->head = g_byte_array_new();
  pack->end = g_byte_array_new();
  hf_random(pack->info.id.b, sizeof pack->info.id.b);
  pack->info.kind = (guint8)packer->options.kind;
  pack->info.domain = packer->options.domain;
  g_array_append_vals(pack->info.slots, packer->slots->data, packer->slots->len);
  hf_pack_head_encode(&pack->info, pack->head);
  hf_name_pack(name, packer->options.kind, &pack->info.id);
  pack->put = hf_put_begin(packer->store, name, error);
  struct iovec vector = { pack->head->data, pack->head->len };
  if (pack->put == NULL || !hf_put_write(pack->put, &vector, 1, error))
    return NULL;
  return g_steal_pointer(&pack);
}

static gboolean pack_append(Pack *pack, const HfPackFrame *frame, const struct iovec *vector, int count,
                            const HfId *ids, GError **error)
{
  HfPackFrame placed = *frame;
  placed.offset = (guint32)pack->put->length;
  placed.first_blob = pack->info.ids->len;
  if (!hf_put_write(pack->put, vector, count, error))
    return FALSE;
  g_array_append_val(pack->info.frames, placed);
  g_array_append_vals(pack->info.ids, ids, frame->blobs);
  return TRUE;
}

/* As long as it will be, roughly: many small blobs make a long directory. */
static guint64 pack_length(const Pack *pack)
{
  return pack->put->length + (guint64)pack->info.frames->len * DIRECTORY_FRAME_BYTES +
         (guint64)pack->info.ids->len * sizeof(HfId);
}

/* ---- Finishing: outside the lock. ---- */

/* Reads a pack back from its beginning to its end and compares it with what was meant to be written (P3). */
typedef struct ReadBack {
  Pack *pack;
  HfXxh128 *digest;
  guint frame; /* the one that the next byte belongs to */
} ReadBack;

static gboolean read_back_differs(const Pack *pack, GError **error)
{
  return hf_fail(error, HF_ERROR_FAILED,
                 "what was read back of '%s' is not what was written; the memory or the storage of this machine may be "
                 "faulty: test it, then run again",
                 pack->put->name);
}

/* Compares what is left of the frame at `at`; returns how many bytes that took, 0 when it differs. */
static gsize take_frame(ReadBack *back, guint64 at, const guint8 *bytes, gsize length)
{
  const HfPackFrame *frame = &g_array_index(back->pack->info.frames, HfPackFrame, back->frame);
  gsize left = (gsize)(frame->offset + (guint64)frame->stored_length - at), part = MIN(left, length);
  hf_xxh128_update(back->digest, bytes, part);
  if (part < left)
    return part;
  guint8 digest[16];
  hf_xxh128_final(back->digest, digest);
  back->frame++;
  return memcmp(digest, frame->digest, sizeof digest) == 0 ? part : 0;
}

static gsize take_other(const GByteArray *expected, guint64 from, const guint8 *bytes, gsize length)
{
  gsize part = (gsize)MIN(length, expected->len - from);
  return memcmp(bytes, expected->data + from, part) == 0 ? part : 0;
}

static gboolean read_back(gpointer source, guint64 at, void *out, gsize length, GError **error)
{
  ReadBack *back = source;
  const Pack *pack = back->pack;
  if (!hf_put_read(pack->put, at, out, length, error))
    return FALSE;
  guint64 directory = pack->info.length - pack->end->len;
  for (const guint8 *bytes = out; length > 0;) {
    gsize part = at < pack->head->len ? take_other(pack->head, at, bytes, length)
                 : at < directory     ? take_frame(back, at, bytes, length)
                                      : take_other(pack->end, at - directory, bytes, length);
    if (part == 0)
      return read_back_differs(pack, error);
    at += part;
    bytes += part;
    length -= part;
  }
  return TRUE;
}

/* Reads back, and writes it to `mirror` when there is one. */
static gboolean read_through(ReadBack *back, HfPut *mirror, GError **error)
{
  g_autofree guint8 *bytes = g_malloc(READ_BYTES);
  guint64 length = back->pack->info.length;
  for (guint64 at = 0; at < length; at += READ_BYTES) {
    struct iovec vector = { bytes, (gsize)MIN(length - at, READ_BYTES) };
    if (!read_back(back, at, bytes, vector.iov_len, error) ||
        (mirror != NULL && !hf_put_write(mirror, &vector, 1, error)))
      return FALSE;
  }
  return TRUE;
}

static gboolean make_mirror(HfPacker *packer, ReadBack *back, const char *name, GError **error)
{
  g_autoptr(HfPut) mirror = hf_put_begin(packer->store, name, error);
  return mirror != NULL && read_through(back, mirror, error) && hf_put_commit(mirror, error);
}

/* Proves the pack and makes its parity or mirror durable; `second` becomes the name of that, or empty. */
static gboolean make_second(HfPacker *packer, Pack *pack, char second[HF_NAME_BYTES], guint64 *bytes, GError **error)
{
  g_autoptr(HfXxh128) digest = hf_xxh128_new();
  ReadBack back = { .pack = pack, .digest = digest };
  const HfShortId *id = &pack->info.id;
  *bytes = 0;
  second[0] = '\0';
  if (packer->options.parity == 0)
    return read_through(&back, NULL, error);
  if (packer->options.kind == HF_PACK_META) {
    hf_name_mirror(second, id);
    *bytes = pack->info.length;
    return make_mirror(packer, &back, second, error);
  }
  hf_name_parity(second, id);
  return hf_parity_make(packer->store, id, pack->info.length, packer->options.parity, read_back, &back, bytes, error);
}

static gboolean finish_pack(HfPacker *packer, Pack *pack, guint64 *second_bytes, GError **error)
{
  char second[HF_NAME_BYTES], name[HF_NAME_BYTES];
  hf_pack_end_encode(&pack->info, pack->put->length, pack->end);
  struct iovec vector = { pack->end->data, pack->end->len };
  if (!hf_put_write(pack->put, &vector, 1, error))
    return FALSE;
  pack->info.length = pack->put->length;
  if (make_second(packer, pack, second, second_bytes, error) && hf_put_commit(pack->put, error))
    return TRUE;
  /* An answer may have been lost, so either may be there (P2); that it was not there is no error. */
  hf_name_pack(name, packer->options.kind, &pack->info.id);
  hf_store_remove(packer->store, name, NULL);
  if (second[0] != '\0')
    hf_store_remove(packer->store, second, NULL);
  return FALSE;
}

/* Keeps the first error, and gives it to who asks. */
static gboolean fail_locked(HfPacker *packer, GError *why, GError **error)
{
  if (packer->failed == NULL)
    packer->failed = why;
  else
    g_clear_error(&why);
  g_propagate_error(error, g_error_copy(packer->failed));
  return FALSE;
}

/* `lock` is held, released meanwhile, and held again on return. */
static gboolean finish_locked(HfPacker *packer, GError **error)
{
  g_autoptr(Pack) pack = g_steal_pointer(&packer->pack);
  packer->finishing++;
  g_mutex_unlock(&packer->lock);
  GError *why = NULL;
  guint64 second_bytes = 0;
  gboolean done = finish_pack(packer, pack, &second_bytes, &why) &&
                  (packer->options.done == NULL || packer->options.done(&pack->info, packer->options.user, &why));
  g_mutex_lock(&packer->lock);
  packer->finishing--;
  g_cond_broadcast(&packer->finished);
  if (!done)
    return fail_locked(packer, why, error);
  packer->pack_bytes += pack->info.length;
  packer->parity_bytes += second_bytes;
  return TRUE;
}

/* ---- A service packs (P5). ---- */

static gboolean is_kept(const HfPacker *packer)
{
  return (packer->store->features & HF_STORE_KEPT) != 0;
}

static HfSink *get_sink(HfPacker *packer, GError **error)
{
  HfSinkOptions options = { .kind = packer->options.kind,
                            .domain = packer->options.domain,
                            .slots = (const HfSessionSlot *)(void *)packer->slots->data,
                            .slot_count = packer->slots->len };
  HF_LOCK(&packer->lock);
  GError *why = NULL;
  if (packer->failed == NULL && packer->sink == NULL)
    packer->sink = hf_sink_open(packer->store, &options, &why);
  if (packer->failed != NULL || why != NULL) {
    fail_locked(packer, why, error);
    return NULL;
  }
  return packer->sink;
}

static gboolean fail_sink(HfPacker *packer, GError *why, GError **error)
{
  HF_LOCK(&packer->lock);
  return fail_locked(packer, why, error);
}

static gboolean add_to_sink(HfPacker *packer, const HfPackFrame *frame, const struct iovec *vector, int count,
                            const HfId *ids, GError **error)
{
  GError *why = NULL;
  HfSink *sink = get_sink(packer, error);
  return sink != NULL && (hf_sink_add(sink, frame, vector, count, ids, &why) || fail_sink(packer, why, error));
}

static gboolean flush_sink(HfPacker *packer, GError **error)
{
  GError *why = NULL;
  HfSinkTotals totals;
  if (packer->sink == NULL)
    return TRUE;
  if (!hf_sink_flush(packer->sink, &totals, &why))
    return fail_sink(packer, why, error);
  HF_LOCK(&packer->lock);
  packer->pack_bytes = totals.pack_bytes;
  packer->parity_bytes = totals.second_bytes;
  return TRUE;
}

/* ---- The packer. ---- */

HfPacker *hf_packer_new(HfStore *store, const HfPackerOptions *options)
{
  HfPacker *packer = g_new0(HfPacker, 1);
  packer->store = store;
  packer->options = *options;
  packer->options.target = MIN(options->target, TARGET_MAX);
  packer->options.slots = NULL;
  packer->slots = g_array_new(FALSE, FALSE, sizeof(HfSessionSlot));
  g_array_append_vals(packer->slots, options->slots, options->slot_count);
  g_mutex_init(&packer->lock);
  g_cond_init(&packer->finished);
  return packer;
}

void hf_packer_free(HfPacker *packer)
{
  if (packer == NULL)
    return;
  pack_free(packer->pack);
  hf_sink_free(packer->sink);
  g_array_unref(packer->slots);
  g_clear_error(&packer->failed);
  g_mutex_clear(&packer->lock);
  g_cond_clear(&packer->finished);
  g_free(packer);
}

static gboolean add(HfPacker *packer, const HfPackFrame *frame, const struct iovec *vector, int count, const HfId *ids,
                    GError **error)
{
  if (is_kept(packer))
    return add_to_sink(packer, frame, vector, count, ids, error);
  HF_LOCK(&packer->lock);
  GError *why = NULL;
  if (packer->failed != NULL)
    return fail_locked(packer, NULL, error);
  if (packer->pack == NULL)
    packer->pack = pack_new(packer, &why);
  if (packer->pack == NULL || !pack_append(packer->pack, frame, vector, count, ids, &why))
    return fail_locked(packer, why, error);
  return pack_length(packer->pack) < packer->options.target || finish_locked(packer, error);
}

gboolean hf_packer_add(HfPacker *packer, const HfSealed *sealed, const HfId *ids, GError **error)
{
  HfPackFrame frame = { .stored_length = sealed->stored_length, .kind = (guint8)sealed->kind, .blobs = sealed->blobs };
  memcpy(frame.digest, sealed->digest, sizeof frame.digest);
  struct iovec vector[] = { { (void *)sealed->prefix, sizeof sealed->prefix },
                            { sealed->clear->data, sealed->clear->len },
                            { sealed->body.data, sealed->body.length } };
  return add(packer, &frame, vector, G_N_ELEMENTS(vector), ids, error);
}

gboolean hf_packer_add_stored(HfPacker *packer, const HfPackFrame *frame, const void *stored, const HfId *ids,
                              GError **error)
{
  guint8 digest[16];
  hf_xxh128(stored, frame->stored_length, digest);
  if (memcmp(digest, frame->digest, sizeof digest) != 0)
    return hf_fail(error, HF_ERROR_DAMAGED, "a stored frame of %u bytes does not match its digest",
                   frame->stored_length);
  struct iovec vector = { (void *)stored, frame->stored_length };
  return add(packer, frame, &vector, 1, ids, error);
}

gboolean hf_packer_flush(HfPacker *packer, GError **error)
{
  if (is_kept(packer))
    return flush_sink(packer, error);
  HF_LOCK(&packer->lock);
  if (packer->failed == NULL && packer->pack != NULL)
    finish_locked(packer, NULL);
  while (packer->finishing > 0)
    g_cond_wait(&packer->finished, &packer->lock);
  return packer->failed == NULL || fail_locked(packer, NULL, error);
}

void hf_packer_totals(HfPacker *packer, guint64 *pack_bytes, guint64 *parity_bytes)
{
  HF_LOCK(&packer->lock);
  *pack_bytes = packer->pack_bytes;
  *parity_bytes = packer->parity_bytes;
}
