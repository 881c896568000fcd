/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/packer.h"

#include "frametest.h"
#include "labstore.h"
#include "repo/index.h"
#include "repo/objects.h"
#include "repo/parity.h"

/* ---- Frames to pack: noise with a right digest. What is in them does not matter here. ---- */

typedef struct Frame {
  HfSealed sealed;
  HfId ids[8];
} Frame;

static void frame_init(Frame *frame, gsize length, guint blobs, guint64 seed)
{
  hf_sealed_init(&frame->sealed);
  HfSealed *sealed = &frame->sealed;
  fill_noise(sealed->prefix, sizeof sealed->prefix, seed);
  g_byte_array_set_size(sealed->clear, seed % 3 == 0 ? 40 : 0);
  fill_noise(sealed->clear->data, sealed->clear->len, seed + 1);
  g_assert_true(hf_buffer_resize(&sealed->body, length, NULL));
  fill_noise(sealed->body.data, length, seed + 2);
  sealed->kind = HF_FRAME_GROUP;
  sealed->blobs = (guint16)blobs;
  sealed->stored_length = (guint32)(sizeof sealed->prefix + sealed->clear->len + length);
  g_autoptr(HfXxh128) digest = hf_xxh128_new();
  hf_xxh128_update(digest, sealed->prefix, sizeof sealed->prefix);
  hf_xxh128_update(digest, sealed->clear->data, sealed->clear->len);
  hf_xxh128_update(digest, sealed->body.data, length);
  hf_xxh128_final(digest, sealed->digest);
  fill_noise((guint8 *)frame->ids, sizeof frame->ids, seed + 3);
}

static void frame_clear(Frame *frame)
{
  hf_sealed_clear(&frame->sealed);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Frame, frame_clear)

static gboolean add_frame(HfPacker *packer, gsize length, guint blobs, guint64 seed, GError **error)
{
  g_auto(Frame) frame;
  frame_init(&frame, length, blobs, seed);
  return hf_packer_add(packer, &frame.sealed, frame.ids, error);
}

/* ---- What came out. ---- */

typedef struct Lab {
  HfStore *store;
  HfPackerOptions options;
  HfSessionSlot slots[3];
  GMutex lock;
  GHashTable *done; /* of pack ids */
  guint frames, blobs;
  guint64 bytes;
  int fail_done; /* code that `done` fails with */
  /* The fault that is to strike, */
  LabOp op;
  const char *prefix;
  gint nth; /* at the call of this number, from 1 */
  int code; /* with this; 0: flips a bit of what was read */
  gint struck;
} Lab;

static gboolean pack_done(const HfPackInfo *info, gpointer user, GError **error)
{
  Lab *lab = user;
  char name[HF_NAME_BYTES];
  if (lab->fail_done != 0)
    return hf_fail(error, (HfErrorCode)lab->fail_done, "the index failed");
  g_mutex_lock(&lab->lock);
  hf_name_pack(name, lab->options.kind, &info->id);
  g_assert_true(lab_has(lab->store, name)); /* P1 */
  hf_name_parity(name, &info->id);
  g_assert_true(lab_has(lab->store, name) == (lab->options.kind == HF_PACK_DATA && lab->options.parity > 0));
  hf_name_mirror(name, &info->id);
  g_assert_true(lab_has(lab->store, name) == (lab->options.kind == HF_PACK_META && lab->options.parity > 0));
  g_assert_true(g_hash_table_add(lab->done, g_memdup2(&info->id, sizeof info->id)));
  lab->frames += info->frames->len;
  lab->blobs += info->ids->len;
  lab->bytes += info->length;
  g_mutex_unlock(&lab->lock);
  return TRUE;
}

static int strike(LabOp op, const char *name, guint64 offset G_GNUC_UNUSED, guint8 *bytes, gsize length, gpointer user)
{
  Lab *lab = user;
  if (op != lab->op || lab->prefix == NULL || !g_str_has_prefix(name, lab->prefix) ||
      !g_atomic_int_dec_and_test(&lab->nth))
    return 0;
  g_atomic_int_inc(&lab->struck);
  if (lab->code == 0)
    bytes[length / 2] ^= 0x10;
  return lab->code;
}

static void lab_init(Lab *lab, HfPackKind kind, guint parity, guint64 target)
{
  memset(lab, 0, sizeof *lab);
  lab->store = lab_store_new();
  lab_store_fault(lab->store, strike, lab);
  lab->done = g_hash_table_new_full(hf_id_hash, hf_short_id_equal_func, g_free, NULL);
  g_mutex_init(&lab->lock);
  for (guint i = 0; i < 3; i++)
    lab->slots[i] = (HfSessionSlot){ .session = short_id_of((guint8)(i + 1)), .domain = 4 };
  lab->options = (HfPackerOptions){ .kind = kind,
                                    .domain = 4,
                                    .target = target,
                                    .parity = parity,
                                    .slots = lab->slots,
                                    .slot_count = 3,
                                    .done = pack_done,
                                    .user = lab };
}

static void lab_plan(Lab *lab, LabOp op, const char *prefix, int nth, int code)
{
  lab->op = op;
  lab->prefix = prefix;
  lab->nth = nth;
  lab->code = code;
  lab->struck = 0;
}

static void lab_clear(Lab *lab)
{
  hf_store_free(lab->store);
  g_hash_table_unref(lab->done);
  g_mutex_clear(&lab->lock);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Lab, lab_clear)

/* Reads every pack of the store and checks everything in it; counts frames by the seed's first id. */
static void check_packs(Lab *lab)
{
  g_autoptr(GError) error = NULL;
  const char *folder = lab->options.kind == HF_PACK_DATA ? "data/" : "meta/";
  g_autoptr(GPtrArray) names = hf_store_list_names(lab->store, folder, NULL);
  g_assert_cmpuint(names->len, ==, g_hash_table_size(lab->done));
  guint frames = 0, blobs = 0;
  guint64 bytes = 0;
  for (guint i = 0; i < names->len; i++) {
    g_auto(HfPackInfo) info = { 0 };
    HfShortId id;
    hf_pack_info_init(&info);
    g_assert_true(hf_name_short_id(g_ptr_array_index(names, i), &id));
    g_assert_true(hf_pack_read_info(lab->store, lab->options.kind, &id, &info, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(info.domain, ==, 4);
    g_assert_cmpuint(info.slots->len, ==, 3);
    gsize length;
    const guint8 *pack = lab_object(lab->store, g_ptr_array_index(names, i), &length);
    g_assert_cmpuint(info.length, ==, length);
    for (guint f = 0; f < info.frames->len; f++) {
      const HfPackFrame *frame = &g_array_index(info.frames, HfPackFrame, f);
      guint8 digest[16];
      hf_xxh128(pack + frame->offset, frame->stored_length, digest);
      assert_bytes(digest, 16, frame->digest, 16);
    }
    frames += info.frames->len;
    blobs += info.ids->len;
    bytes += info.length;
    if (lab->options.parity > 0 && lab->options.kind == HF_PACK_DATA) {
      HfParityResult result;
      g_assert_true(hf_parity_check(lab->store, &id, FALSE, &result, &error));
      g_assert_cmpuint(result.bad_cells + result.bad_parity, ==, 0);
    } else if (lab->options.parity > 0) {
      char mirror[HF_NAME_BYTES];
      gsize mirror_length;
      hf_name_mirror(mirror, &id);
      const guint8 *copy = lab_object(lab->store, mirror, &mirror_length);
      assert_bytes(copy, mirror_length, pack, length);
    }
  }
  g_assert_cmpuint(frames, ==, lab->frames);
  g_assert_cmpuint(blobs, ==, lab->blobs);
  g_assert_cmpuint(bytes, ==, lab->bytes);
}

/* ---- Round trips. ---- */

static void check_kind(HfPackKind kind, guint parity)
{
  g_autoptr(GError) error = NULL;
  g_auto(Lab) lab;
  lab_init(&lab, kind, parity, 100000);
  g_autoptr(HfPacker) packer = hf_packer_new(lab.store, &lab.options);
  g_assert_true(hf_packer_flush(packer, &error)); /* nothing at hand: nothing is made */
  g_assert_cmpuint(lab_count(lab.store, ""), ==, 0);
  for (guint i = 0; i < 50; i++)
    g_assert_true(add_frame(packer, 1 + i * 397, 1 + i % 8, i * 10, &error));
  g_assert_cmpuint(g_hash_table_size(lab.done), >, 3);
  g_assert_true(hf_packer_flush(packer, &error));
  g_assert_cmpuint(lab.frames, ==, 50);
  check_packs(&lab);
  guint64 packs, second;
  hf_packer_totals(packer, &packs, &second);
  g_assert_cmpuint(packs, ==, lab.bytes);
  g_assert_true(parity > 0 ? second > 0 : second == 0);
  if (kind == HF_PACK_META && parity > 0)
    g_assert_cmpuint(second, ==, packs);
  guint before = g_hash_table_size(lab.done);
  g_assert_true(hf_packer_flush(packer, &error));
  g_assert_cmpuint(g_hash_table_size(lab.done), ==, before);
  g_assert_true(add_frame(packer, 100, 3, 7, &error)); /* and it goes on */
  g_assert_true(hf_packer_flush(packer, &error));
  check_packs(&lab);
}

static void test_kinds(void)
{
  for (guint parity = 0; parity <= 10; parity += 5) {
    check_kind(HF_PACK_DATA, parity);
    check_kind(HF_PACK_META, parity);
  }
}

/* The directory counts: packs of many tiny blobs end, too. */
static void test_directory_counts(void)
{
  g_autoptr(GError) error = NULL;
  g_auto(Lab) lab;
  lab_init(&lab, HF_PACK_META, 0, 10000);
  g_autoptr(HfPacker) packer = hf_packer_new(lab.store, &lab.options);
  for (guint i = 0; i < 30; i++)
    g_assert_true(add_frame(packer, 20, 8, i, &error));
  g_assert_cmpuint(g_hash_table_size(lab.done), ==, 1);
}

static void test_add_stored(void)
{
  g_autoptr(GError) error = NULL;
  g_auto(Lab) lab;
  g_auto(Frame) made;
  lab_init(&lab, HF_PACK_DATA, 5, 1 << 20);
  frame_init(&made, 5000, 2, 1);
  g_autoptr(HfPacker) packer = hf_packer_new(lab.store, &lab.options);
  g_autoptr(GByteArray) stored = g_byte_array_new();
  hf_put_raw(stored, made.sealed.prefix, sizeof made.sealed.prefix);
  hf_put_raw(stored, made.sealed.clear->data, made.sealed.clear->len);
  hf_put_raw(stored, made.sealed.body.data, made.sealed.body.length);
  HfPackFrame frame = {
    .stored_length = stored->len, .kind = HF_FRAME_ROW, .blobs = 1, .offset = 999, .first_blob = 777
  };
  memcpy(frame.digest, made.sealed.digest, 16);
  g_assert_true(hf_packer_add_stored(packer, &frame, stored->data, made.ids, &error));
  stored->data[100] ^= 1;
  g_assert_false(hf_packer_add_stored(packer, &frame, stored->data, made.ids, &error));
  assert_failed(&error, HF_ERROR_DAMAGED, 0);
  stored->data[100] ^= 1;
  g_assert_true(hf_packer_add_stored(packer, &frame, stored->data, made.ids, &error));
  g_assert_true(hf_packer_flush(packer, &error));
  g_assert_cmpuint(lab.frames, ==, 2);
  check_packs(&lab);
}

/* ---- Threads. ---- */

typedef struct Work {
  HfPacker *packer;
  guint number;
} Work;

static gpointer add_many(gpointer user)
{
  const Work *work = user;
  for (guint i = 0; i < 100; i++) {
    g_autoptr(GError) error = NULL;
    g_assert_true(add_frame(work->packer, 200 + i * 31, 1 + i % 8, work->number * 1000 + i, &error));
  }
  return NULL;
}

static void test_threads(void)
{
  g_autoptr(GError) error = NULL;
  g_auto(Lab) lab;
  lab_init(&lab, HF_PACK_DATA, 5, 50000);
  g_autoptr(HfPacker) packer = hf_packer_new(lab.store, &lab.options);
  GThread *threads[4];
  Work works[4];
  for (guint i = 0; i < 4; i++) {
    works[i] = (Work){ packer, i };
    threads[i] = g_thread_new("adds", add_many, &works[i]);
  }
  for (guint i = 0; i < 4; i++)
    g_thread_join(threads[i]);
  g_assert_true(hf_packer_flush(packer, &error));
  g_assert_cmpuint(lab.frames, ==, 400);
  check_packs(&lab);
}

/* A flush waits for what other threads are finishing. */
typedef struct Gate {
  GMutex lock;
  GCond changed;
  gboolean waiting, open;
} Gate;

static int wait_at_gate(LabOp op, const char *name, guint64 offset G_GNUC_UNUSED, guint8 *bytes G_GNUC_UNUSED,
                        gsize length G_GNUC_UNUSED, gpointer user)
{
  Gate *gate = user;
  if (op != LAB_COMMIT || !g_str_has_prefix(name, "data/"))
    return 0;
  g_mutex_lock(&gate->lock);
  gate->waiting = TRUE;
  g_cond_broadcast(&gate->changed);
  while (!gate->open)
    g_cond_wait(&gate->changed, &gate->lock);
  g_mutex_unlock(&gate->lock);
  return 0;
}

static gpointer add_one_large(gpointer user)
{
  g_assert_true(add_frame(user, 5000, 1, 5, NULL));
  return NULL;
}

static gpointer flush(gpointer user)
{
  g_assert_true(hf_packer_flush(user, NULL));
  return NULL;
}

static void test_flush_waits(void)
{
  g_auto(Lab) lab;
  Gate gate = { .waiting = FALSE };
  g_mutex_init(&gate.lock);
  g_cond_init(&gate.changed);
  lab_init(&lab, HF_PACK_DATA, 0, 5000);
  lab_store_fault(lab.store, wait_at_gate, &gate);
  g_autoptr(HfPacker) packer = hf_packer_new(lab.store, &lab.options);
  GThread *adding = g_thread_new("adds", add_one_large, packer);
  g_mutex_lock(&gate.lock);
  while (!gate.waiting)
    g_cond_wait(&gate.changed, &gate.lock);
  g_mutex_unlock(&gate.lock);
  g_assert_true(add_frame(packer, 10, 1, 6, NULL)); /* the next pack goes on meanwhile */
  g_assert_cmpuint(g_hash_table_size(lab.done), ==, 0);
  GThread *flushing = g_thread_new("flushes", flush, packer);
  g_mutex_lock(&gate.lock);
  gate.open = TRUE;
  g_cond_broadcast(&gate.changed);
  g_mutex_unlock(&gate.lock);
  g_thread_join(flushing);
  g_assert_cmpuint(g_hash_table_size(lab.done), ==, 2);
  g_thread_join(adding);
  g_mutex_clear(&gate.lock);
  g_cond_clear(&gate.changed);
}

/* ---- Failures. ---- */

/* With this plan nothing must be acknowledged, nothing left behind (P2), nothing forgotten (P4). */
static void check_failure(HfPackKind kind, guint parity, LabOp op, const char *prefix, int nth, int code)
{
  g_autoptr(GError) error = NULL;
  g_auto(Lab) lab;
  lab_init(&lab, kind, parity, 1 << 20);
  lab_plan(&lab, op, prefix, nth, code);
  g_autoptr(HfPacker) packer = hf_packer_new(lab.store, &lab.options);
  gboolean good = TRUE;
  for (guint i = 0; i < 3 && good; i++)
    good = add_frame(packer, 3000, 2, i, &error);
  if (good)
    good = hf_packer_flush(packer, &error);
  g_assert_cmpint(lab.struck, ==, 1);
  g_assert_false(good);
  int expected = code == 0 ? HF_ERROR_FAILED : code;
  assert_failed(&error, expected, 0);
  g_assert_false(hf_packer_flush(packer, &error));
  assert_failed(&error, expected, 0);
  g_assert_false(add_frame(packer, 10, 1, 1, &error));
  assert_failed(&error, expected, 0);
  g_assert_cmpuint(g_hash_table_size(lab.done), ==, 0);
  g_assert_cmpuint(lab_count(lab.store, ""), ==, 0);
}

static void test_failures(void)
{
  static const LabOp writes[] = { LAB_BEGIN, LAB_COMMIT, LAB_COMMITTED, LAB_READ_BACK };
  for (guint parity = 0; parity <= 5; parity += 5)
    for (guint i = 0; i < G_N_ELEMENTS(writes); i++) {
      check_failure(HF_PACK_DATA, parity, writes[i], "data/", 1, HF_ERROR_IO);
      check_failure(HF_PACK_META, parity, writes[i], "meta/", 1, HF_ERROR_NO_SPACE);
    }
  for (int nth = 1; nth <= 5; nth++) /* head, three frames, directory */
    check_failure(HF_PACK_DATA, 5, LAB_WRITE, "data/", nth, HF_ERROR_NO_SPACE);
  static const LabOp seconds[] = { LAB_BEGIN, LAB_WRITE, LAB_COMMIT, LAB_COMMITTED };
  for (guint i = 0; i < G_N_ELEMENTS(seconds); i++) {
    check_failure(HF_PACK_DATA, 5, seconds[i], "parity/", 1, HF_ERROR_IO);
    check_failure(HF_PACK_META, 5, seconds[i], "mirror/", 1, HF_ERROR_IO);
  }
}

/* P3: other bytes come back than were written, in head, frames and directory. */
static int flip_back(LabOp op, const char *name G_GNUC_UNUSED, guint64 offset, guint8 *bytes, gsize length,
                     gpointer user)
{
  const gsize *at = user;
  if (op == LAB_READ_BACK && offset <= *at && *at < offset + length)
    bytes[*at - offset] ^= 2;
  return 0;
}

static void test_read_back(void)
{
  for (guint parity = 0; parity <= 5; parity += 5)
    for (gsize at = 0; at < 10100; at += at < 1000 || at > 9900 ? 9 : 300) {
      g_autoptr(GError) error = NULL;
      g_auto(Lab) lab;
      lab_init(&lab, HF_PACK_DATA, parity, 1 << 20);
      lab_store_fault(lab.store, flip_back, &at);
      g_autoptr(HfPacker) packer = hf_packer_new(lab.store, &lab.options);
      for (guint i = 0; i < 3; i++)
        g_assert_true(add_frame(packer, 2600, 2, i, &error));
      g_assert_false(hf_packer_flush(packer, &error));
      assert_failed(&error, HF_ERROR_FAILED, 0);
      g_assert_cmpuint(lab_count(lab.store, ""), ==, 0);
    }
}

static void test_done_fails(void)
{
  g_autoptr(GError) error = NULL;
  g_auto(Lab) lab;
  lab_init(&lab, HF_PACK_DATA, 0, 1000);
  lab.fail_done = HF_ERROR_IO;
  g_autoptr(HfPacker) packer = hf_packer_new(lab.store, &lab.options);
  g_assert_false(add_frame(packer, 2000, 1, 1, &error));
  assert_failed(&error, HF_ERROR_IO, 0);
  lab.fail_done = 0;
  g_assert_false(hf_packer_flush(packer, &error));
  assert_failed(&error, HF_ERROR_IO, 0);
}

/* Two threads fail: the first failure is the one that is told. */
static gpointer add_until_failure(gpointer user)
{
  GError *error = NULL;
  for (guint i = 0; error == NULL; i++)
    add_frame(user, 3000, 1, i, &error);
  return error;
}

static void test_threads_fail(void)
{
  g_auto(Lab) lab;
  lab_init(&lab, HF_PACK_DATA, 5, 10000);
  lab.fail_done = HF_ERROR_NO_SPACE;
  g_autoptr(HfPacker) packer = hf_packer_new(lab.store, &lab.options);
  GThread *threads[3];
  for (guint i = 0; i < 3; i++)
    threads[i] = g_thread_new("adds", add_until_failure, packer);
  for (guint i = 0; i < 3; i++) {
    GError *error = g_thread_join(threads[i]);
    assert_failed(&error, HF_ERROR_NO_SPACE, 0);
  }
}

static void test_given_up(void)
{
  g_auto(Lab) lab;
  lab_init(&lab, HF_PACK_DATA, 5, 1 << 20);
  HfPacker *packer = hf_packer_new(lab.store, &lab.options);
  g_assert_true(add_frame(packer, 2000, 1, 1, NULL));
  hf_packer_free(packer);
  hf_packer_free(NULL);
  g_assert_cmpuint(lab_count(lab.store, ""), ==, 0);
  lab.options.done = NULL;
  packer = hf_packer_new(lab.store, &lab.options);
  g_assert_true(add_frame(packer, 2000, 1, 1, NULL));
  g_assert_true(hf_packer_flush(packer, NULL));
  hf_packer_free(packer);
  g_assert_cmpuint(lab_count(lab.store, ""), ==, 2);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_assert_true(hf_crypto_init(NULL));
  g_test_add_func("/packer/kinds", test_kinds);
  g_test_add_func("/packer/directory-counts", test_directory_counts);
  g_test_add_func("/packer/add-stored", test_add_stored);
  g_test_add_func("/packer/threads", test_threads);
  g_test_add_func("/packer/flush-waits", test_flush_waits);
  g_test_add_func("/packer/failures", test_failures);
  g_test_add_func("/packer/read-back", test_read_back);
  g_test_add_func("/packer/done-fails", test_done_fails);
  g_test_add_func("/packer/threads-fail", test_threads_fail);
  g_test_add_func("/packer/given-up", test_given_up);
  return g_test_run();
}
