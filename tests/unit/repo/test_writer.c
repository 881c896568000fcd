/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/writer.h"

#include "fakerepo.h"
#include "repo/sealerhook.h"

/* Everything that the packs of a folder hold: ids to the number of times that each is there. */
static GHashTable *stored_ids(FakeRepo *fake, HfPackKind kind, guint *frames, guint *most_blobs)
{
  GHashTable *ids = g_hash_table_new_full(hf_id_hash, hf_id_equal_func, g_free, NULL);
  g_autoptr(GPtrArray) names = hf_store_list_names(fake->repo.store, kind == HF_PACK_DATA ? "data/" : "meta/", NULL);
  *frames = *most_blobs = 0;
  for (guint i = 0; i < names->len; i++) {
    g_autoptr(GError) error = NULL;
    g_auto(HfPackInfo) info = { 0 };
    HfShortId pack;
    hf_pack_info_init(&info);
    g_assert_true(hf_name_short_id(g_ptr_array_index(names, i), &pack));
    g_assert_true(hf_pack_read_info(fake->repo.store, kind, &pack, &info, &error));
    for (guint n = 0; n < info.ids->len; n++) {
      const HfId *id = &g_array_index(info.ids, HfId, n);
      guint times = GPOINTER_TO_UINT(g_hash_table_lookup(ids, id));
      g_hash_table_insert(ids, g_memdup2(id, sizeof *id), GUINT_TO_POINTER(times + 1));
    }
    for (guint n = 0; n < info.frames->len; n++)
      *most_blobs = MAX(*most_blobs, g_array_index(info.frames, HfPackFrame, n).blobs);
    *frames += info.frames->len;
  }
  return ids;
}

static void assert_stored_once(FakeRepo *fake, HfPackKind kind, guint count)
{
  guint frames, most;
  g_autoptr(GHashTable) ids = stored_ids(fake, kind, &frames, &most);
  g_assert_cmpuint(g_hash_table_size(ids), ==, count);
  GHashTableIter iter;
  gpointer times;
  g_hash_table_iter_init(&iter, ids);
  while (g_hash_table_iter_next(&iter, NULL, &times))
    g_assert_cmpuint(GPOINTER_TO_UINT(times), ==, 1);
}

static HfBlobStore *new_store(FakeRepo *fake, int codec)
{
  g_autoptr(GError) error = NULL;
  HfBlobStore *store = hf_blob_store_new(fake_session(fake), &fake->repo, codec, 3, &error);
  g_assert_no_error(error);
  return store;
}

static void flush(HfBlobWriter *writer, HfBlobStore *store)
{
  g_autoptr(GError) error = NULL;
  g_assert_true(hf_blob_writer_flush(writer, &error));
  g_assert_no_error(error);
  g_assert_true(hf_blob_store_flush(store, &error));
  g_assert_no_error(error);
}

static HfId write_text(HfBlobWriter *writer, gsize length, guint64 seed, gboolean expect_fresh)
{
  g_autoptr(GError) error = NULL;
  g_autofree guint8 *payload = g_malloc(length + 1);
  HfId id;
  gboolean fresh;
  fill_text(payload, length, seed);
  g_assert_true(hf_blob_write(writer, HF_BLOB_DATA, NULL, 0, payload, length, &id, &fresh, &error));
  g_assert_no_error(error);
  g_assert_true(fresh == expect_fresh);
  return id;
}

static void assert_reads(FakeRepo *fake, HfBlobType type, const HfId *id, const HfId *refs, guint ref_count,
                         const void *payload, gsize length)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(HfBlobCache) cache = hf_blob_cache_new(&fake->repo, 4 << 20);
  g_autoptr(HfBlobReader) reader = hf_blob_reader_new(cache, FAKE_DOMAIN, &error);
  g_auto(HfBlob) blob = { 0 };
  g_assert_true(hf_blob_read(reader, id, type, &blob, &error));
  g_assert_no_error(error);
  g_assert_cmpuint(blob.type, ==, type);
  assert_bytes(blob.payload, blob.length, payload, length);
  assert_bytes(blob.refs, blob.ref_count, refs, ref_count);
}

/* ---- What is written is read. ---- */

static void check_types(int codec, gboolean noise)
{
  static const gsize lengths[] = { 0, 1, 300, 5000, (512 << 10) - 1, 512 << 10, 1 << 20, HF_PAYLOAD_MAX };
  static const HfBlobType types[] = { HF_BLOB_DATA, HF_BLOB_LIST, HF_BLOB_PAGE, HF_BLOB_MAP, HF_BLOB_ROOTS };
  g_autoptr(GError) error = NULL;
  g_auto(FakeRepo) fake;
  fake_init(&fake, 5);
  g_autoptr(HfBlobStore) store = new_store(&fake, codec);
  g_autoptr(HfIdentity) identity = fake_identity();
  g_autoptr(HfBlobWriter) writer = hf_blob_writer_new(store);
  g_autofree guint8 *payload = g_malloc(HF_PAYLOAD_MAX);
  g_autofree HfId *refs = g_new(HfId, 1000);
  HfId ids[G_N_ELEMENTS(types)][G_N_ELEMENTS(lengths)], expected;
  (noise ? fill_noise : fill_text)(payload, HF_PAYLOAD_MAX, 5);
  fill_noise((guint8 *)refs, 1000 * sizeof *refs, 6);
  for (guint t = 0; t < G_N_ELEMENTS(types); t++)
    for (guint i = 0; i < G_N_ELEMENTS(lengths); i++) {
      gboolean fresh = FALSE;
      guint count = t == 0 ? 0 : i % 2 * (t * 30 + i);
      g_assert_true(hf_blob_write(writer, types[t], refs, count, payload, lengths[i], &ids[t][i], &fresh, &error));
      g_assert_no_error(error);
      g_assert_true(fresh);
      hf_identity_blob(identity, types[t], refs, count, payload, lengths[i], &expected);
      g_assert_true(hf_id_equal(&expected, &ids[t][i]));
    }
  flush(writer, store);
  fake_reload(&fake);
  for (guint t = 0; t < G_N_ELEMENTS(types); t++)
    for (guint i = 0; i < G_N_ELEMENTS(lengths); i++)
      assert_reads(&fake, types[t], &ids[t][i], refs, t == 0 ? 0 : i % 2 * (t * 30 + i), payload, lengths[i]);
  g_assert_cmpuint(fake.warnings, ==, 0);
  HfBlobTotals totals = hf_blob_store_totals(store);
  g_assert_cmpuint(totals.new_blobs, ==, G_N_ELEMENTS(types) * G_N_ELEMENTS(lengths));
  gsize sum = 0;
  for (guint i = 0; i < G_N_ELEMENTS(lengths); i++)
    sum += lengths[i];
  g_assert_cmpuint(totals.new_bytes, ==, sum * G_N_ELEMENTS(types));
  g_assert_cmpuint(totals.stored_bytes, >, 0);
  g_assert_cmpuint(totals.parity_bytes, >, 0);
}

static void test_types(void)
{
  check_types(HF_CODEC_NONE, FALSE);
  check_types(HF_CODEC_LZ4, FALSE);
  check_types(HF_CODEC_ZSTD, FALSE);
  check_types(-1, TRUE);
}

static void test_blocks(void)
{
  static const gsize lengths[] = { 1, 512, HF_PIECE_BYTES, 256 << 10, 1 << 20, (1 << 20) - 512, 4 << 20 };
  g_autoptr(GError) error = NULL;
  g_auto(FakeRepo) fake;
  fake_init(&fake, 5);
  g_autoptr(HfBlobStore) store = new_store(&fake, -1);
  g_autoptr(HfIdentity) identity = fake_identity();
  g_autoptr(HfBlobWriter) writer = hf_blob_writer_new(store);
  g_autofree guint8 *block = g_malloc0(4 << 20), *out = g_malloc(4 << 20);
  HfId ids[G_N_ELEMENTS(lengths)], leaves[HF_PIECES_MAX], expected;
  fill_text(block, 900 << 10, 1); /* zeros at the end */
  for (guint i = 0; i < G_N_ELEMENTS(lengths); i++)
    for (int again = 0; again < 2; again++) {
      gboolean fresh;
      g_assert_true(hf_block_write(writer, block, lengths[i], &ids[i], again ? NULL : &fresh, &error));
      g_assert_no_error(error);
      g_assert_true(again || fresh);
      hf_identity_whole_block(identity, block, lengths[i], leaves, &expected);
      g_assert_true(hf_id_equal(&expected, &ids[i]));
    }
  flush(writer, store);
  fake_reload(&fake);
  assert_stored_once(&fake, HF_PACK_DATA, G_N_ELEMENTS(lengths));
  g_autoptr(HfBlobCache) cache = hf_blob_cache_new(&fake.repo, 1 << 20);
  g_autoptr(HfBlobReader) reader = hf_blob_reader_new(cache, FAKE_DOMAIN, &error);
  for (guint i = 0; i < G_N_ELEMENTS(lengths); i++) {
    g_assert_true(hf_block_read(reader, &ids[i], lengths[i], 0, lengths[i], out, &error));
    assert_bytes(out, lengths[i], block, lengths[i]);
  }
  g_assert_false(hf_block_write(writer, block, 0, &ids[0], NULL, &error));
  assert_failed(&error, HF_ERROR_FAILED, 0);
}

/* A file is read right into its place in the open group; one that is there already leaves no trace. */
static void test_room(void)
{
  g_autoptr(GError) error = NULL;
  g_auto(FakeRepo) fake;
  fake_init(&fake, 0);
  g_autoptr(HfBlobStore) store = new_store(&fake, -1);
  g_autoptr(HfBlobWriter) writer = hf_blob_writer_new(store);
  HfId ids[60];
  guint8 *before = NULL;
  for (guint i = 0; i < 60; i++) {
    gsize length = i == 50 ? 600 << 10 : 100 + i * 700; /* number 50 gets a frame of its own */
    guint8 *room = hf_blob_room(writer, length + 4096, &error);
    g_assert_nonnull(room);
    if (before != NULL && i < 10)
      g_assert_true(room > before);
    fill_text(room, length, i / 2); /* every second one is new */
    gboolean fresh;
    if (i % 2 == 1)
      length = i == 51 ? 600 << 10 : 100 + (i - 1) * 700;
    if (i == 51) {
      room = hf_blob_room(writer, length, &error);
      fill_text(room, length, i / 2);
    }
    g_assert_true(hf_blob_write(writer, HF_BLOB_DATA, NULL, 0, room, length, &ids[i], &fresh, &error));
    g_assert_true(fresh == (i % 2 == 0));
    if (fresh)
      before = room;
    else
      g_assert_true(hf_id_equal(&ids[i], &ids[i - 1]));
  }
  flush(writer, store);
  fake_reload(&fake);
  assert_stored_once(&fake, HF_PACK_DATA, 30);
  g_autofree guint8 *payload = g_malloc(600 << 10);
  for (guint i = 0; i < 60; i += 2) {
    gsize length = i == 50 ? 600 << 10 : 100 + i * 700;
    fill_text(payload, length, i / 2);
    assert_reads(&fake, HF_BLOB_DATA, &ids[i], NULL, 0, payload, length);
  }
}

/* ---- Grouping. ---- */

static void test_groups(void)
{
  g_autoptr(GError) error = NULL;
  g_auto(FakeRepo) fake;
  fake_init(&fake, 0);
  g_autoptr(HfBlobStore) store = new_store(&fake, -1);
  g_autoptr(HfBlobWriter) writer = hf_blob_writer_new(store);
  guint frames, most;
  for (guint i = 0; i < 640; i++) /* 640 KiB: ten frames of 64 KiB */
    write_text(writer, 1024, i, TRUE);
  flush(writer, store);
  g_autoptr(GHashTable) data = stored_ids(&fake, HF_PACK_DATA, &frames, &most);
  g_assert_cmpuint(g_hash_table_size(data), ==, 640);
  g_assert_cmpuint(frames, ==, 10);
  g_assert_cmpuint(most, ==, 64);
  /* Refs count as well: 40 maps of 32 KiB of refs and a few bytes. */
  g_autofree HfId *refs = g_new(HfId, 1024);
  for (guint i = 0; i < 40; i++) {
    HfId id;
    fill_noise((guint8 *)refs, 1024 * sizeof *refs, i);
    g_assert_true(hf_blob_write(writer, HF_BLOB_MAP, refs, 1024, "map", 3, &id, NULL, &error));
  }
  flush(writer, store);
  g_autoptr(GHashTable) meta = stored_ids(&fake, HF_PACK_META, &frames, &most);
  g_assert_cmpuint(g_hash_table_size(meta), ==, 40);
  g_assert_cmpuint(frames, ==, 40);
  /* And empty groups are not sealed. */
  flush(writer, store);
  g_autoptr(GHashTable) again = stored_ids(&fake, HF_PACK_META, &frames, &most);
  g_assert_cmpuint(g_hash_table_size(again), ==, 40);
  g_assert_cmpuint(frames, ==, 40);
}

static void test_many_tiny(void)
{
  g_auto(FakeRepo) fake;
  fake_init(&fake, 0);
  fake.repo.config.frame_target = 4 << 20;
  g_autoptr(HfBlobStore) store = new_store(&fake, HF_CODEC_LZ4);
  g_autoptr(HfBlobWriter) writer = hf_blob_writer_new(store);
  guint frames, most;
  for (guint i = 0; i < 66000; i++) {
    g_autoptr(GError) error = NULL;
    HfId id;
    g_assert_true(hf_blob_write(writer, HF_BLOB_DATA, NULL, 0, &i, sizeof i, &id, NULL, &error));
  }
  flush(writer, store);
  g_autoptr(GHashTable) ids = stored_ids(&fake, HF_PACK_DATA, &frames, &most);
  g_assert_cmpuint(g_hash_table_size(ids), ==, 66000);
  g_assert_cmpuint(frames, ==, 2);
  g_assert_cmpuint(most, ==, 65535);
}

static void test_deduplication(void)
{
  g_auto(FakeRepo) fake;
  fake_init(&fake, 5);
  for (guint session = 0; session < 3; session++) {
    g_autoptr(HfBlobStore) store = new_store(&fake, -1);
    g_autoptr(HfBlobWriter) writer = hf_blob_writer_new(store), other = hf_blob_writer_new(store);
    for (guint i = 0; i < 100; i++) {
      write_text(writer, 3000, i, session == 0);
      write_text(other, 3000, i, FALSE);
    }
    g_assert_true(hf_blob_writer_flush(other, NULL));
    flush(writer, store);
    if (session == 1)
      fake_reload(&fake);
    assert_stored_once(&fake, HF_PACK_DATA, 100);
  }
}

/* ---- Threads. ---- */

typedef struct Work {
  HfBlobStore *store;
  guint number;
  HfId ids[400];
  guint fresh;
} Work;

/* Every thread writes the same blobs, in another order. */
static gpointer write_many(gpointer user)
{
  Work *work = user;
  g_autoptr(HfBlobWriter) writer = hf_blob_writer_new(work->store);
  g_autofree guint8 *payload = g_malloc(600 << 10);
  for (guint i = 0; i < 400; i++) {
    g_autoptr(GError) error = NULL;
    guint number = (i * 37 + work->number * 101) % 400;
    gboolean fresh, done;
    gsize length = number % 97 == 0 ? 600 << 10 : 100 + number * 13;
    fill_text(payload, length, number);
    if (number % 5 == 0)
      done = hf_block_write(writer, payload, length, &work->ids[number], &fresh, &error);
    else
      done = hf_blob_write(writer, number % 2 ? HF_BLOB_DATA : HF_BLOB_PAGE, NULL, 0, payload, length,
                           &work->ids[number], &fresh, &error);
    g_assert_no_error(error);
    g_assert_true(done);
    work->fresh += fresh;
  }
  g_assert_true(hf_blob_writer_flush(writer, NULL));
  return NULL;
}

static void test_threads(void)
{
  g_autoptr(GError) error = NULL;
  g_auto(FakeRepo) fake;
  fake_init(&fake, 5);
  g_autoptr(HfBlobStore) store = new_store(&fake, -1);
  g_autofree Work *works = g_new0(Work, 4);
  GThread *threads[4];
  guint fresh = 0;
  for (guint i = 0; i < 4; i++) {
    works[i].store = store;
    works[i].number = i;
    threads[i] = g_thread_new("writes", write_many, &works[i]);
  }
  for (guint i = 0; i < 4; i++) {
    g_thread_join(threads[i]);
    fresh += works[i].fresh;
    assert_bytes(works[i].ids, sizeof works[i].ids, works[0].ids, sizeof works[0].ids);
  }
  g_assert_cmpuint(fresh, ==, 400);
  g_assert_true(hf_blob_store_flush(store, &error));
  g_assert_cmpuint(hf_blob_store_totals(store).new_blobs, ==, 400);
  fake_reload(&fake);
  guint frames, most;
  g_autoptr(GHashTable) data = stored_ids(&fake, HF_PACK_DATA, &frames, &most),
                        meta = stored_ids(&fake, HF_PACK_META, &frames, &most);
  g_assert_cmpuint(g_hash_table_size(data) + g_hash_table_size(meta), ==, 400);
  g_autofree guint8 *payload = g_malloc(600 << 10);
  for (guint number = 0; number < 400; number++)
    if (number % 5 != 0) {
      gsize length = number % 97 == 0 ? 600 << 10 : 100 + number * 13;
      fill_text(payload, length, number);
      assert_reads(&fake, number % 2 ? HF_BLOB_DATA : HF_BLOB_PAGE, &works[0].ids[number], NULL, 0, payload, length);
    }
}

/* ---- W2. ---- */

static void assert_lost(HfBlobStore *store, int code)
{
  g_autoptr(GError) error = NULL;
  for (int again = 0; again < 2; again++) {
    g_assert_false(hf_blob_store_flush(store, &error));
    assert_failed(&error, code, 0);
  }
}

/* The store fails at each step; whatever call tells it, the flush does. */
static void test_failing_store(void)
{
  static const struct {
    LabOp op;
    const char *prefix;
  } places[] = { { LAB_BEGIN, "data/" },  { LAB_WRITE, "data/" },    { LAB_READ_BACK, "data/" },
                 { LAB_COMMIT, "data/" }, { LAB_COMMIT, "parity/" }, { LAB_BEGIN, "meta/" },
                 { LAB_WRITE, "meta/" },  { LAB_COMMIT, "meta/" },   { LAB_COMMIT, "mirror/" } };
  for (guint i = 0; i < G_N_ELEMENTS(places); i++)
    for (int nth = 1; nth < 4; nth++) {
      g_auto(FakeRepo) fake;
      fake_init(&fake, 5);
      fake.repo.config.pack_target = fake.repo.config.meta_pack_target = 20000;
      g_autoptr(HfBlobStore) store = new_store(&fake, -1);
      g_autoptr(HfBlobWriter) writer = hf_blob_writer_new(store);
      fake_fail(&fake, places[i].op, places[i].prefix, nth, HF_ERROR_NO_SPACE);
      g_autofree guint8 *payload = g_malloc(10000);
      for (guint n = 0; n < 60; n++) {
        HfId id;
        fill_noise(payload, 10000, n);
        hf_blob_write(writer, n % 2 ? HF_BLOB_DATA : HF_BLOB_PAGE, NULL, 0, payload, 10000, &id, NULL, NULL);
      }
      hf_blob_writer_flush(writer, NULL);
      assert_lost(store, HF_ERROR_NO_SPACE);
    }
}

static void test_given_up(void)
{
  g_auto(FakeRepo) fake;
  fake_init(&fake, 0);
  g_autoptr(HfBlobStore) store = new_store(&fake, -1);
  HfBlobWriter *writer = hf_blob_writer_new(store);
  g_assert_nonnull(hf_blob_writer_identity(writer));
  hf_blob_writer_free(writer);
  hf_blob_writer_free(NULL);
  g_assert_true(hf_blob_store_flush(store, NULL)); /* nothing was open */
  writer = hf_blob_writer_new(store);
  write_text(writer, 100, 1, TRUE);
  hf_blob_writer_free(writer);
  assert_lost(store, HF_ERROR_FAILED);
  hf_blob_store_free(NULL);
}

/* The next session in this process stores anew what a failed one only claimed. */
static void test_after_failure(void)
{
  g_auto(FakeRepo) fake;
  fake_init(&fake, 0);
  HfBlobStore *store = new_store(&fake, -1);
  HfBlobWriter *writer = hf_blob_writer_new(store);
  write_text(writer, 100, 1, TRUE);
  hf_blob_writer_free(writer);
  hf_blob_store_free(store);
  store = new_store(&fake, -1);
  writer = hf_blob_writer_new(store);
  write_text(writer, 100, 1, TRUE);
  flush(writer, store);
  assert_stored_once(&fake, HF_PACK_DATA, 1);
  hf_blob_writer_free(writer);
  hf_blob_store_free(store);
}

static void test_limits(void)
{
  g_autoptr(GError) error = NULL;
  g_autofree guint8 *payload = g_malloc0(HF_PAYLOAD_MAX + 1);
  g_autofree HfId *refs = g_new0(HfId, HF_REFS_MAX + 1);
  for (guint i = 0; i < 4; i++) {
    g_auto(FakeRepo) fake;
    fake_init(&fake, 0);
    g_autoptr(HfBlobStore) store = new_store(&fake, -1);
    g_autoptr(HfBlobWriter) writer = hf_blob_writer_new(store);
    HfId id;
    gboolean done = i == 0
                      ? hf_blob_write(writer, HF_BLOB_DATA, NULL, 0, payload, HF_PAYLOAD_MAX + 1, &id, NULL, &error)
                    : i == 1 ? hf_blob_write(writer, HF_BLOB_MAP, refs, HF_REFS_MAX + 1, payload, 1, &id, NULL, &error)
                    : i == 2 ? hf_blob_write(writer, HF_BLOB_DATA, refs, 1, payload, 1, &id, NULL, &error)
                             : hf_block_write(writer, payload, (4 << 20) + 1, &id, NULL, &error);
    g_assert_false(done);
    assert_failed(&error, HF_ERROR_FAILED, 0);
    assert_lost(store, HF_ERROR_FAILED);
  }
  g_auto(FakeRepo) fake;
  fake_init(&fake, 0);
  g_autoptr(HfBlobStore) store = new_store(&fake, -1);
  g_autoptr(HfBlobWriter) writer = hf_blob_writer_new(store);
  HfId id;
  g_assert_true(hf_blob_write(writer, HF_BLOB_MAP, refs, HF_REFS_MAX, payload, HF_PAYLOAD_MAX, &id, NULL, &error));
  flush(writer, store);
  assert_reads(&fake, HF_BLOB_MAP, &id, refs, HF_REFS_MAX, payload, HF_PAYLOAD_MAX);
}

/* The index cannot be asked: nothing is known to be there. */
static void test_failing_index(void)
{
  g_autoptr(GError) error = NULL;
  g_auto(FakeRepo) fake;
  fake_init(&fake, 0);
  {
    g_autoptr(HfBlobStore) store = new_store(&fake, -1);
    g_autoptr(HfBlobWriter) writer = hf_blob_writer_new(store);
    for (guint i = 0; i < 300; i++)
      write_text(writer, 100, i, TRUE);
    flush(writer, store);
    g_assert_true(hf_index_flush(fake.repo.index, FALSE, &error));
    fake_reload(&fake);
  }
  for (int block = 0; block < 2; block++) {
    g_autoptr(HfBlobStore) store = new_store(&fake, -1);
    g_autoptr(HfBlobWriter) writer = hf_blob_writer_new(store);
    g_autofree guint8 *payload = g_malloc(100);
    HfId id;
    gboolean done = TRUE;
    fake_fail(&fake, FAKE_ANY_OP, "", 1, HF_ERROR_PERMISSION);
    for (guint i = 0; i < 2000 && done; i++) { /* until one passes a filter */
      fill_text(payload, 100, i);
      done = block ? hf_block_write(writer, payload, 1 + i % 100, &id, NULL, &error)
                   : hf_blob_write(writer, HF_BLOB_DATA, NULL, 0, payload, 100, &id, NULL, &error);
    }
    g_assert_false(done);
    assert_failed(&error, HF_ERROR_PERMISSION, 0);
    assert_lost(store, HF_ERROR_PERMISSION);
    fake_fail(&fake, LAB_GET, NULL, 0, 0);
    fake_reload(&fake);
  }
}

static void test_no_key(void)
{
  g_autoptr(GError) error = NULL;
  g_auto(FakeRepo) fake;
  fake_init(&fake, 0);
  HfSession *session = fake_session(&fake);
  fake_session_set_domain(session, FAKE_DOMAIN + 1);
  g_assert_null(hf_blob_store_new(session, &fake.repo, -1, 0, &error));
  assert_failed(&error, HF_ERROR_PERMISSION, 0);
}

/* A checkpoint: the store is flushed, and the writers go on. */
static void test_going_on(void)
{
  g_auto(FakeRepo) fake;
  fake_init(&fake, 5);
  g_autoptr(HfBlobStore) store = new_store(&fake, -1);
  g_autoptr(HfBlobWriter) writer = hf_blob_writer_new(store);
  for (guint round = 0; round < 4; round++) {
    for (guint i = 0; i < 50; i++)
      write_text(writer, 5000, round * 50 + i, TRUE);
    flush(writer, store);
    assert_stored_once(&fake, HF_PACK_DATA, (round + 1) * 50);
  }
}

#ifdef HF_TEST_HOOKS
static guint flips;
static guint64 flip_state;

static void flip_input(HfSealStage stage, void *bytes, gsize length)
{
  if (stage != HF_SEAL_INPUT || flips > 0)
    return;
  gsize bit = random_below(&flip_state, length * 8);
  ((guint8 *)bytes)[bit / 8] ^= (guint8)(1 << bit % 8);
  flips++;
}

/* Memory changes after the ids were computed: never acknowledged. */
static void test_memory(void)
{
  for (guint i = 0; i < 300; i++) {
    g_autoptr(GError) error = NULL;
    g_auto(FakeRepo) fake;
    fake_init(&fake, 0);
    g_autoptr(HfBlobStore) store = new_store(&fake, (int)(i % 3));
    g_autoptr(HfBlobWriter) writer = hf_blob_writer_new(store);
    flips = 0;
    flip_state = i;
    hf_sealer_hook = flip_input;
    gboolean done = TRUE;
    g_autofree guint8 *payload = g_malloc(600 << 10);
    for (guint n = 0; n < 5 && done; n++) {
      gsize length = i % 10 == 0 ? 600 << 10 : 200 + n * 31;
      HfId id;
      fill_text(payload, length, i * 10 + n);
      done = i % 4 == 3 ? hf_block_write(writer, payload, length, &id, NULL, &error)
                        : hf_blob_write(writer, HF_BLOB_DATA, NULL, 0, payload, length, &id, NULL, &error);
    }
    if (done)
      done = hf_blob_writer_flush(writer, &error);
    hf_sealer_hook = NULL;
    g_assert_cmpuint(flips, ==, 1);
    g_assert_false(done);
    assert_failed(&error, HF_ERROR_FAILED, 0);
    assert_lost(store, HF_ERROR_FAILED);
  }
}
#endif

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_assert_true(hf_crypto_init(NULL));
  g_test_add_func("/writer/types", test_types);
  g_test_add_func("/writer/blocks", test_blocks);
  g_test_add_func("/writer/room", test_room);
  g_test_add_func("/writer/groups", test_groups);
  g_test_add_func("/writer/many-tiny", test_many_tiny);
  g_test_add_func("/writer/deduplication", test_deduplication);
  g_test_add_func("/writer/threads", test_threads);
  g_test_add_func("/writer/failing-store", test_failing_store);
  g_test_add_func("/writer/given-up", test_given_up);
  g_test_add_func("/writer/after-failure", test_after_failure);
  g_test_add_func("/writer/limits", test_limits);
  g_test_add_func("/writer/failing-index", test_failing_index);
  g_test_add_func("/writer/no-key", test_no_key);
  g_test_add_func("/writer/going-on", test_going_on);
#ifdef HF_TEST_HOOKS
  g_test_add_func("/writer/memory", test_memory);
#endif
  return g_test_run();
}
