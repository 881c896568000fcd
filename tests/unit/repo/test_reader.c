/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/reader.h"

#include "fakerepo.h"
#include "repo/blobcache.h"
#include "repo/indexstate.h"

#define BLOBS 60u

/* A repository with blobs of known content: number n has the text of seed n. */
typedef struct Lab {
  FakeRepo fake;
  HfId data[BLOBS], meta[BLOBS], blocks[4], large;
  HfId refs[8];
  guint8 *block; /* 1 MiB: text, noise, zeros in turn; block n begins with its number */
  HfBlobCache *cache;
  HfBlobReader *reader;
} Lab;

#define LARGE_BYTES (700u << 10)
#define BLOCK_BYTES (1u << 20)

static gsize length_of(guint number)
{
  return number == 7 ? 0 : 500 + number * 157;
}

static void set_block(Lab *lab, guint number)
{
  memcpy(lab->block, &number, sizeof number);
}

/* A reader that knows nothing yet. */
static void new_reader(Lab *lab, gsize cache_bytes)
{
  g_autoptr(GError) error = NULL;
  hf_blob_reader_free(lab->reader);
  hf_blob_cache_free(lab->cache);
  lab->cache = hf_blob_cache_new(&lab->fake.repo, cache_bytes);
  lab->reader = hf_blob_reader_new(lab->cache, FAKE_DOMAIN, &error);
  g_assert_no_error(error);
  lab->fake.gets = 0;
  lab->fake.bytes_got = 0;
}

/* The same over an index that is read anew. */
static void open_reader(Lab *lab, gsize cache_bytes)
{
  fake_reload(&lab->fake);
  new_reader(lab, cache_bytes);
}

/* Writes everything once more into packs of its own: a second place for each blob. */
static void write_all(Lab *lab)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(HfBlobStore) store = hf_blob_store_new(fake_session(&lab->fake), &lab->fake.repo, -1, 0, &error);
  g_autoptr(HfBlobWriter) writer = hf_blob_writer_new(store);
  g_autofree guint8 *payload = g_malloc(LARGE_BYTES);
  for (guint i = 0; i < BLOBS; i++) {
    fill_text(payload, length_of(i), i);
    g_assert_true(hf_blob_write(writer, HF_BLOB_DATA, NULL, 0, payload, length_of(i), &lab->data[i], NULL, &error));
    g_assert_true(
      hf_blob_write(writer, HF_BLOB_PAGE, lab->refs, i % 8, payload, length_of(i), &lab->meta[i], NULL, &error));
  }
  fill_text(payload, LARGE_BYTES, 1000);
  g_assert_true(hf_blob_write(writer, HF_BLOB_DATA, NULL, 0, payload, LARGE_BYTES, &lab->large, NULL, &error));
  for (guint i = 0; i < G_N_ELEMENTS(lab->blocks); i++) {
    set_block(lab, i);
    g_assert_true(hf_block_write(writer, lab->block, BLOCK_BYTES, &lab->blocks[i], NULL, &error));
  }
  g_assert_true(hf_blob_writer_flush(writer, &error));
  g_assert_true(hf_blob_store_flush(store, &error));
}

static void lab_begin(Lab *lab, guint parity)
{
  memset(lab, 0, sizeof *lab);
  fake_init(&lab->fake, parity);
  fill_noise((guint8 *)lab->refs, sizeof lab->refs, 77);
  lab->block = g_malloc0(BLOCK_BYTES);
  for (guint i = 0; i < BLOCK_BYTES / HF_PIECE_BYTES; i++)
    if (i % 3 < 2)
      (i % 3 == 0 ? fill_text : fill_noise)(lab->block + i * (gsize)HF_PIECE_BYTES, HF_PIECE_BYTES, i + 1);
}

static void lab_init(Lab *lab, guint parity)
{
  lab_begin(lab, parity);
  write_all(lab);
  open_reader(lab, 4 << 20);
}

static void lab_clear(Lab *lab)
{
  hf_blob_reader_free(lab->reader);
  hf_blob_cache_free(lab->cache);
  fake_clear(&lab->fake);
  g_free(lab->block);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Lab, lab_clear)

static void assert_text(const HfBlob *blob, gsize length, guint64 seed)
{
  g_autofree guint8 *payload = g_malloc(length + 1);
  fill_text(payload, length, seed);
  assert_bytes(blob->payload, blob->length, payload, length);
}

static void read_data(Lab *lab, guint number)
{
  g_autoptr(GError) error = NULL;
  g_auto(HfBlob) blob = { 0 };
  g_assert_true(hf_blob_read(lab->reader, &lab->data[number], HF_BLOB_DATA, &blob, &error));
  g_assert_no_error(error);
  assert_text(&blob, length_of(number), number);
  g_assert_cmpuint(blob.ref_count, ==, 0);
}

static void read_meta(Lab *lab, guint number)
{
  g_autoptr(GError) error = NULL;
  g_auto(HfBlob) blob = { 0 };
  g_assert_true(hf_blob_read(lab->reader, &lab->meta[number], HF_BLOB_PAGE, &blob, &error));
  g_assert_no_error(error);
  assert_text(&blob, length_of(number), number);
  assert_bytes(blob.refs, blob.ref_count, lab->refs, number % 8);
}

static void read_block(Lab *lab, guint number, gsize offset, gsize length)
{
  g_autoptr(GError) error = NULL;
  g_autofree guint8 *out = g_malloc0(length + 1);
  set_block(lab, number);
  g_assert_true(hf_block_read(lab->reader, &lab->blocks[number], BLOCK_BYTES, offset, length, out, &error));
  g_assert_no_error(error);
  assert_bytes(out, length, lab->block + offset, length);
}

static void read_all(Lab *lab)
{
  g_autoptr(GError) error = NULL;
  for (guint i = 0; i < BLOBS; i++) {
    read_data(lab, i);
    read_meta(lab, i);
  }
  g_auto(HfBlob) blob = { 0 };
  g_assert_true(hf_blob_read(lab->reader, &lab->large, HF_BLOB_DATA, &blob, &error));
  assert_text(&blob, LARGE_BYTES, 1000);
  for (guint i = 0; i < G_N_ELEMENTS(lab->blocks); i++)
    read_block(lab, i, 0, BLOCK_BYTES);
}

static void data_fails(Lab *lab, guint number, int code)
{
  g_autoptr(GError) error = NULL;
  g_auto(HfBlob) blob = { 0 };
  g_assert_false(hf_blob_read(lab->reader, &lab->data[number], HF_BLOB_DATA, &blob, &error));
  assert_failed(&error, code, 0);
  g_assert_null(blob.frame);
}

static HfLocation locate(Lab *lab, const HfId *id)
{
  g_autoptr(GError) error = NULL;
  HfLocation place;
  g_assert_true(hf_blob_locate(lab->reader, id, &place, &error));
  g_assert_no_error(error);
  return place;
}

static guint8 *pack_bytes(Lab *lab, const HfLocation *place, gsize *length)
{
  char name[HF_NAME_BYTES];
  hf_name_pack(name, (HfPackKind)place->kind, &place->pack);
  return lab_object(lab->fake.repo.store, name, length);
}

/* ---- Reading what is whole. ---- */

static void test_all(void)
{
  for (guint parity = 0; parity <= 5; parity += 5) {
    g_auto(Lab) lab;
    lab_init(&lab, parity);
    read_all(&lab);
    open_reader(&lab, 0); /* nothing is kept */
    read_all(&lab);
    open_reader(&lab, 100 << 10); /* the oldest go */
    read_all(&lab);
    read_all(&lab);
    g_assert_cmpuint(lab.fake.warnings, ==, 0);
    g_assert_false(hf_index_has_absent(lab.fake.repo.index));
  }
}

static void test_cache(void)
{
  g_auto(Lab) lab;
  lab_init(&lab, 0);
  read_all(&lab);
  guint gets = lab.fake.gets;
  g_assert_cmpuint(gets, >, 0);
  for (guint i = 0; i < BLOBS; i++) {
    read_meta(&lab, i);
    read_data(&lab, i);
  }
  g_assert_cmpuint(lab.fake.gets, ==, gets);
}

/* What a blob views stays while the cache lets go of it. */
static void test_held(void)
{
  g_autoptr(GError) error = NULL;
  g_auto(Lab) lab;
  g_auto(HfBlob) held = { 0 };
  lab_init(&lab, 0);
  open_reader(&lab, 300 << 10);
  g_assert_true(hf_blob_read(lab.reader, &lab.meta[3], HF_BLOB_PAGE, &held, &error));
  read_all(&lab);
  read_all(&lab);
  assert_text(&held, length_of(3), 3);
  hf_blob_release(&held);
  hf_blob_release(&held);
}

static void test_pieces(void)
{
  g_autoptr(GError) error = NULL;
  g_auto(Lab) lab;
  lab_init(&lab, 0);
  guint8 byte;
  guint64 state = 4;
  for (guint i = 0; i < 300; i++) {
    gsize offset = random_below(&state, BLOCK_BYTES),
          length = random_below(&state, MIN(BLOCK_BYTES - offset, i % 3 ? 5000 : BLOCK_BYTES) + 1);
    read_block(&lab, i % 4, offset, length);
  }
  /* Only the piece that is needed is read, and its table only once. */
  open_reader(&lab, 4 << 20);
  read_block(&lab, 0, 5, 10);
  gsize first = lab.fake.bytes_got;
  g_assert_cmpuint(first, <, HF_PIECE_BYTES);
  guint gets = lab.fake.gets;
  read_block(&lab, 0, 1000, 5000); /* of the same piece: it is at hand */
  g_assert_cmpuint(lab.fake.gets, ==, gets);
  read_block(&lab, 0, HF_PIECE_BYTES + 7, 100);
  g_assert_cmpuint(lab.fake.gets, ==, gets + 1);
  g_assert_cmpuint(lab.fake.bytes_got - first, ==, HF_PIECE_BYTES + HF_TAG_BYTES);
  read_block(&lab, 0, 2 * HF_PIECE_BYTES + 7, 100); /* zeros cost nothing */
  g_assert_cmpuint(lab.fake.gets, ==, gets + 1);
  read_block(&lab, 0, HF_PIECE_BYTES, 4 * HF_PIECE_BYTES); /* what lies side by side is one read */
  g_assert_cmpuint(lab.fake.gets, ==, gets + 2);
  g_assert_false(hf_block_read(lab.reader, &lab.blocks[0], BLOCK_BYTES, BLOCK_BYTES, 1, &byte, &error));
  assert_failed(&error, HF_ERROR_FAILED, 0);
  g_assert_false(hf_block_read(lab.reader, &lab.blocks[0], 5 << 20, 0, 1, &byte, &error));
  assert_failed(&error, HF_ERROR_FAILED, 0);
  g_assert_true(hf_block_read(lab.reader, &lab.blocks[0], BLOCK_BYTES, BLOCK_BYTES, 0, NULL, &error));
}

/* Blobs and blocks asked for as what they are not. */
static void test_confused(void)
{
  g_autoptr(GError) error = NULL;
  g_auto(Lab) lab;
  g_auto(HfBlob) blob = { 0 };
  guint8 out[100];
  HfId nobody = { { 1 } };
  lab_init(&lab, 0);
  g_assert_false(hf_blob_read(lab.reader, &lab.meta[1], HF_BLOB_MAP, &blob, &error));
  assert_failed(&error, HF_ERROR_INVALID, 0);
  g_assert_null(blob.frame);
  g_assert_false(hf_blob_read(lab.reader, &nobody, HF_BLOB_MAP, &blob, &error));
  assert_failed(&error, HF_ERROR_DAMAGED, 0);
  HfLocation place;
  g_assert_false(hf_blob_locate(lab.reader, &nobody, &place, &error));
  assert_failed(&error, HF_ERROR_DAMAGED, 0);
  /* The table of a row does not serve as a group, nor the other way round. */
  read_block(&lab, 1, 0, 10);
  g_assert_true(hf_blob_read(lab.reader, &lab.blocks[1], HF_BLOB_BLOCK, &blob, &error));
  set_block(&lab, 1);
  assert_bytes(blob.payload, blob.length, lab.block, BLOCK_BYTES);
  hf_blob_release(&blob);
  g_assert_true(hf_blob_read(lab.reader, &lab.blocks[2], HF_BLOB_BLOCK, &blob, &error));
  hf_blob_release(&blob);
  read_block(&lab, 2, 100, 10);
  g_assert_cmpuint(lab.fake.warnings, ==, 0);
  g_assert_false(hf_block_read(lab.reader, &lab.blocks[3], 4 << 20, 0, 100, out, &error)); /* of another length */
  assert_failed(&error, HF_ERROR_DAMAGED, 0);
  g_assert_false(hf_block_read(lab.reader, &lab.data[3], length_of(3), 0, 100, out, &error));
  assert_failed(&error, HF_ERROR_DAMAGED, 0);
  g_assert_false(hf_block_read(lab.reader, &lab.data[1], HF_PIECES_MAX * HF_PIECE_BYTES, 0, 100, out, &error));
  assert_failed(&error, HF_ERROR_DAMAGED, 0);
}

/* ---- Damage. ---- */

/* Flips a bit in the frame of a blob. */
static void spoil_frame(Lab *lab, const HfLocation *place, gsize at)
{
  gsize length;
  guint8 *bytes = pack_bytes(lab, place, &length);
  bytes[place->offset + at % place->stored_length] ^= 4;
}

static void assert_noted(Lab *lab, const HfId *id, guint packs)
{
  gboolean absent;
  g_assert_cmpuint(lab->fake.warnings, ==, packs);
  g_assert_true(hf_index_has_absent(lab->fake.repo.index));
  if (id != NULL) {
    g_assert_true(hf_index_is_absent(lab->fake.repo.index, FAKE_DOMAIN, id, &absent, NULL));
    g_assert_true(absent);
  }
}

static void test_parity(void)
{
  g_auto(Lab) lab;
  lab_init(&lab, 5);
  HfLocation place = locate(&lab, &lab.data[5]);
  for (gsize at = 0; at < place.stored_length; at += 301)
    spoil_frame(&lab, &place, at);
  open_reader(&lab, 4 << 20);
  read_all(&lab);
  assert_noted(&lab, &lab.data[5], 1);
  g_assert_nonnull(strstr(lab.fake.last_warning, "is damaged"));
  /* Blocks too, with and without their table. */
  for (guint part = 0; part < 2; part++) {
    place = locate(&lab, &lab.blocks[part]);
    spoil_frame(&lab, &place, part == 0 ? 60 : 60000);
  }
  open_reader(&lab, 4 << 20);
  lab.fake.warnings = 0;
  read_all(&lab);
  read_block(&lab, 0, 100, 200);
  read_block(&lab, 1, 1000, 200000);
  g_assert_cmpuint(lab.fake.warnings, >=, 1);
}

static void test_mirror(void)
{
  g_auto(Lab) lab;
  lab_init(&lab, 5);
  HfLocation place = locate(&lab, &lab.meta[5]);
  gsize length;
  guint8 *bytes = pack_bytes(&lab, &place, &length);
  memset(bytes, 0, length); /* all of it */
  new_reader(&lab, 4 << 20);
  for (guint i = 0; i < BLOBS; i++)
    read_meta(&lab, i);
  assert_noted(&lab, &lab.meta[5], 1);
}

/* A pack that vanished while the repository is open. */
static void test_vanished(void)
{
  g_auto(Lab) lab;
  char name[HF_NAME_BYTES];
  lab_init(&lab, 5);
  HfLocation place = locate(&lab, &lab.meta[5]);
  hf_name_pack(name, HF_PACK_META, &place.pack);
  lab_drop(lab.fake.repo.store, name);
  read_meta(&lab, 5);
  place = locate(&lab, &lab.data[5]);
  HfLocation others[BLOBS];
  for (guint i = 0; i < BLOBS; i++)
    others[i] = locate(&lab, &lab.data[i]);
  hf_name_pack(name, HF_PACK_DATA, &place.pack);
  lab_drop(lab.fake.repo.store, name);
  data_fails(&lab, 5, HF_ERROR_DAMAGED);
  for (guint i = 0; i < BLOBS; i++) /* with it, all that the pack had */
    if (hf_short_id_equal(&others[i].pack, &place.pack))
      data_fails(&lab, i, HF_ERROR_DAMAGED);
  guint gets = lab.fake.gets;
  data_fails(&lab, 5, HF_ERROR_DAMAGED); /* hopeless: parity is not tried again */
  g_assert_cmpuint(lab.fake.gets, <=, gets + 2);
}

static void test_no_spare(void)
{
  g_autoptr(GError) error = NULL;
  g_auto(Lab) lab;
  g_auto(HfBlob) blob = { 0 };
  guint8 out[10];
  lab_init(&lab, 0);
  HfLocation place = locate(&lab, &lab.data[5]);
  spoil_frame(&lab, &place, 100);
  data_fails(&lab, 5, HF_ERROR_DAMAGED);
  place = locate(&lab, &lab.meta[5]);
  spoil_frame(&lab, &place, 100);
  g_assert_false(hf_blob_read(lab.reader, &lab.meta[5], HF_BLOB_PAGE, &blob, &error));
  assert_failed(&error, HF_ERROR_DAMAGED, 0);
  HfLocation data = locate(&lab, &lab.data[5]), block = locate(&lab, &lab.blocks[0]);
  spoil_frame(&lab, &block, 100);
  g_assert_false(hf_block_read(lab.reader, &lab.blocks[0], BLOCK_BYTES, 0, 10, out, &error));
  assert_failed(&error, HF_ERROR_DAMAGED, 0);
  assert_noted(&lab, &lab.data[5], hf_short_id_equal(&data.pack, &block.pack) ? 2 : 3);
}

/* A second place serves as well, and both being damaged is told. */
static void test_second_place(void)
{
  g_autoptr(GError) error = NULL;
  g_auto(Lab) lab;
  guint8 out[100];
  lab_init(&lab, 0);
  HfLocation first = locate(&lab, &lab.data[5]), first_block = locate(&lab, &lab.blocks[1]);
  /* The index forgets everything, so that all is written again. */
  HfIndex *kept = lab.fake.repo.index;
  g_autoptr(HfStore) empty = lab_store_new();
  lab.fake.repo.index = hf_index_open(empty, NULL, &error);
  write_all(&lab);
  hf_index_free(lab.fake.repo.index);
  lab.fake.repo.index = kept;
  open_reader(&lab, 4 << 20);
  spoil_frame(&lab, &first, 70);
  spoil_frame(&lab, &first_block, 80);
  read_all(&lab);
  g_assert_cmpuint(lab.fake.warnings, <=, 2);
  HfLocation second = locate(&lab, &lab.data[5]), second_block = locate(&lab, &lab.blocks[1]);
  if (hf_short_id_equal(&second.pack, &first.pack) && second.offset == first.offset) {
    gboolean found; /* the good one came first, and nobody has noticed */
    g_assert_true(hf_index_find(lab.fake.repo.index, FAKE_DOMAIN, &lab.data[5], 1, &found, &second, &error));
    g_assert_true(found);
  }
  open_reader(&lab, 4 << 20);
  for (guint attempt = 0; attempt < 2; attempt++) {
    gboolean found;
    g_assert_true(hf_index_find(lab.fake.repo.index, FAKE_DOMAIN, &lab.data[5], attempt, &found, &second, &error));
    g_assert_true(found);
    gsize length;
    memset(pack_bytes(&lab, &second, &length) + second.offset, 0, second.stored_length);
    g_assert_true(
      hf_index_find(lab.fake.repo.index, FAKE_DOMAIN, &lab.blocks[1], attempt, &found, &second_block, &error));
    memset(pack_bytes(&lab, &second_block, &length) + second_block.offset, 0, second_block.stored_length);
  }
  data_fails(&lab, 5, HF_ERROR_DAMAGED);
  g_assert_false(hf_block_read(lab.reader, &lab.blocks[1], BLOCK_BYTES, 0, 100, out, &error));
  assert_failed(&error, HF_ERROR_DAMAGED, 0);
}

/* Reading fails, but not because of damage: that is told as it is, and nothing is noted. */
static void test_other_errors(void)
{
  g_autoptr(GError) error = NULL;
  g_auto(Lab) lab;
  guint8 out[10];
  lab_init(&lab, 5);
  read_data(&lab, 1); /* the keys are known */
  open_reader(&lab, 0);
  fake_fail(&lab.fake, LAB_GET, "data/", 1, HF_ERROR_PERMISSION);
  data_fails(&lab, 5, HF_ERROR_PERMISSION);
  g_assert_false(hf_block_read(lab.reader, &lab.blocks[0], BLOCK_BYTES, 0, 10, out, &error));
  assert_failed(&error, HF_ERROR_PERMISSION, 0);
  HfLocation place = locate(&lab, &lab.data[5]);
  HfOpened opened;
  hf_opened_init(&opened);
  g_assert_false(hf_frame_read(lab.reader, &place, NULL, 0, &opened, &error));
  assert_failed(&error, HF_ERROR_PERMISSION, 0);
  hf_opened_clear(&opened);
  g_assert_cmpuint(lab.fake.warnings, ==, 0);
  /* A sector that cannot be read is damage: parity has it. */
  fake_fail(&lab.fake, LAB_GET, "data/", 1, HF_ERROR_IO);
  data_fails(&lab, 5, HF_ERROR_DAMAGED); /* every sector */
  g_assert_cmpuint(lab.fake.warnings, ==, 1);
  /* The spare fails for another reason: it is not given up for good. */
  spoil_frame(&lab, &place, 50);
  fake_fail(&lab.fake, LAB_GET, NULL, 0, 0);
  open_reader(&lab, 0);
  fake_fail(&lab.fake, LAB_GET, "parity/", 1, HF_ERROR_PERMISSION);
  data_fails(&lab, 5, HF_ERROR_PERMISSION);
  fake_fail(&lab.fake, LAB_GET, NULL, 0, 0);
  read_data(&lab, 5);
  place = locate(&lab, &lab.meta[5]);
  spoil_frame(&lab, &place, 50);
  fake_fail(&lab.fake, LAB_GET, "mirror/", 1, HF_ERROR_PERMISSION);
  g_auto(HfBlob) blob = { 0 };
  g_assert_false(hf_blob_read(lab.reader, &lab.meta[5], HF_BLOB_PAGE, &blob, &error));
  assert_failed(&error, HF_ERROR_PERMISSION, 0);
}

/* The reader's index was read before anything was stored. */
static void test_late(void)
{
  g_autoptr(GError) error = NULL;
  g_auto(Lab) lab;
  HfLocation place;
  lab_begin(&lab, 0);
  HfIndex *late = hf_index_open(lab.fake.repo.store, NULL, &error);
  write_all(&lab);
  hf_index_free(lab.fake.repo.index);
  lab.fake.repo.index = late;
  new_reader(&lab, 0);
  g_assert_true(hf_blob_locate(lab.reader, &lab.data[5], &place, &error));
  read_all(&lab);
  /* What is nowhere is not looked for again and again. */
  HfId nowhere = { { 1 } };
  guint loads = late->generation;
  for (guint i = 0; i < 100; i++) {
    g_assert_false(hf_blob_locate(lab.reader, &nowhere, &place, &error));
    assert_failed(&error, HF_ERROR_DAMAGED, 0);
  }
  g_assert_cmpuint(late->generation - loads, <, 50);
}

/* The index cannot be asked. */
static void test_failing_index(void)
{
  g_autoptr(GError) error = NULL;
  g_auto(Lab) lab;
  lab_init(&lab, 5);
  g_assert_true(hf_index_flush(lab.fake.repo.index, FALSE, &error));
  g_assert_true(hf_index_rebuild(lab.fake.repo.store, NULL, &(guint64){ 0 }, &(guint64){ 0 }, &error));
  g_assert_no_error(error);
  open_reader(&lab, 0);
  HfLocation place;
  fake_fail(&lab.fake, FAKE_ANY_OP, "", 1, HF_ERROR_PERMISSION);
  data_fails(&lab, 5, HF_ERROR_PERMISSION);
  g_assert_false(hf_blob_locate(lab.reader, &lab.data[9], &place, &error));
  assert_failed(&error, HF_ERROR_PERMISSION, 0);
}

/* ---- Keys. ---- */

static void spoil_head(Lab *lab, const HfLocation *place)
{
  gsize length;
  pack_bytes(lab, place, &length)[HF_PACK_HEAD_FIXED + 5] ^= 1;
}

static void spoil_trailer(Lab *lab, const HfLocation *place)
{
  gsize length;
  guint8 *bytes = pack_bytes(lab, place, &length);
  bytes[length - 5] ^= 1;
}

/* The key slots stand at both ends, and once more in mirror or parity. Index opened before the damage. */
static void test_slots(void)
{
  for (guint round = 0; round < 3; round++) {
    g_auto(Lab) lab;
    lab_init(&lab, round == 1 ? 0 : 5);
    HfLocation data = locate(&lab, &lab.data[5]), meta = locate(&lab, &lab.meta[5]);
    spoil_head(&lab, &data);
    if (round == 2)
      spoil_trailer(&lab, &data);
    read_data(&lab, 5);
    new_reader(&lab, 1 << 20);
    spoil_head(&lab, &meta);
    if (round == 2)
      spoil_trailer(&lab, &meta);
    read_meta(&lab, 5);
  }
  g_auto(Lab) lab;
  lab_init(&lab, 0);
  HfLocation place = locate(&lab, &lab.data[5]);
  spoil_head(&lab, &place);
  spoil_trailer(&lab, &place);
  data_fails(&lab, 5, HF_ERROR_DAMAGED);
}

static void test_keyring(void)
{
  g_autoptr(GError) error = NULL;
  g_auto(Lab) lab;
  guint8 out[10];
  lab_init(&lab, 5);
  fake_keyring_fails(&lab.fake, HF_ERROR_PERMISSION);
  data_fails(&lab, 5, HF_ERROR_PERMISSION);
  fake_keyring_fails(&lab.fake, HF_ERROR_PASSWORD); /* metadata only */
  read_meta(&lab, 5);
  data_fails(&lab, 5, HF_ERROR_PERMISSION);
  g_assert_false(hf_block_read(lab.reader, &lab.blocks[0], BLOCK_BYTES, 0, 10, out, &error));
  assert_failed(&error, HF_ERROR_PERMISSION, 0);
  fake_keyring_fails(&lab.fake, 0);
  g_assert_cmpuint(lab.fake.warnings, ==, 0);
  open_reader(&lab, 0);
  read_data(&lab, 5);
  fake_keyring_fails(&lab.fake, HF_ERROR_DAMAGED); /* the keys are known by now */
  read_all(&lab);
  g_assert_null(hf_blob_reader_new(lab.cache, FAKE_DOMAIN + 1, &error));
  assert_failed(&error, HF_ERROR_PERMISSION, 0);
  lab.fake.repo.keys = NULL;
  g_assert_null(hf_blob_reader_new(lab.cache, FAKE_DOMAIN, &error));
  assert_failed(&error, HF_ERROR_PERMISSION, 0);
  hf_blob_reader_free(NULL);
  hf_blob_cache_free(NULL);
}

/* ---- Lying writers: packs in order, with content that is not. ---- */

typedef struct Lie {
  HfId id;          /* what the directory says */
  guint blobs;      /* what the directory says */
  guint32 domain;   /* of the slot */
  gboolean no_slot; /* the frame's session is not that of the pack */
} Lie;

static void put_lie(Lab *lab, const Lie *lie)
{
  g_autoptr(GError) error = NULL;
  HfSession *session = fake_session(&lab->fake), *other = fake_session(&lab->fake);
  fake_session_set_domain(session, lie->domain);
  HfPackerOptions options = { .kind = HF_PACK_DATA,
                              .domain = FAKE_DOMAIN,
                              .target = 1 << 20,
                              .parity = 5,
                              .slots = hf_session_slot(lie->no_slot ? other : session),
                              .slot_count = 1 };
  g_autoptr(HfPacker) packer = hf_packer_new(lab->fake.repo.store, &options);
  g_autoptr(HfSealer) sealer =
    hf_sealer_new(hf_session_id(session), hf_session_data_key(session), hf_session_meta_key(session), HF_CODEC_NONE, 1);
  HfGroupItem item = { HF_BLOB_DATA, 7 };
  guint32 none = 0;
  HfGroup group = {
    .items = &item, .ref_counts = &none, .blobs = 1, .payloads = (const guint8 *)"garbage", .payload_bytes = 7
  };
  HfSealed sealed;
  hf_sealed_init(&sealed);
  g_assert_true(hf_seal_group(sealer, FALSE, &group, &sealed, &error));
  sealed.blobs = (guint16)lie->blobs;
  HfId ids[2] = { { { 5 } }, lie->id };
  g_assert_true(hf_packer_add(packer, &sealed, lie->blobs == 2 ? ids : &ids[1], &error));
  g_assert_true(hf_packer_flush(packer, &error));
  hf_sealed_clear(&sealed);
  open_reader(lab, 1 << 20);
}

static void test_liars(void)
{
  const Lie lies[] = { { { { 200 } }, 1, FAKE_DOMAIN, FALSE },     /* garbage under another's id */
                       { { { 201 } }, 2, FAKE_DOMAIN, FALSE },     /* a blob that the frame does not have */
                       { { { 202 } }, 1, FAKE_DOMAIN + 1, FALSE }, /* sealed in another domain */
                       { { { 203 } }, 1, FAKE_DOMAIN, TRUE } };    /* no slot for the frame */
  g_autoptr(GError) error = NULL;
  g_auto(Lab) lab;
  lab_init(&lab, 5);
  for (guint i = 0; i < G_N_ELEMENTS(lies); i++) {
    g_auto(HfBlob) blob = { 0 };
    guint8 out[7];
    put_lie(&lab, &lies[i]);
    g_assert_false(hf_blob_read(lab.reader, &lies[i].id, HF_BLOB_DATA, &blob, &error));
    assert_failed(&error, HF_ERROR_DAMAGED, 0);
    g_assert_false(hf_block_read(lab.reader, &lies[i].id, 7, 0, 7, out, &error));
    assert_failed(&error, HF_ERROR_DAMAGED, 0);
  }
  read_all(&lab);
}

/* Rows whose table is not that of the block. */
static void test_lying_rows(void)
{
  g_autoptr(GError) error = NULL;
  g_auto(Lab) lab;
  guint8 out[1000];
  lab_init(&lab, 0);
  HfSession *session = fake_session(&lab.fake);
  HfPackerOptions options = {
    .kind = HF_PACK_DATA, .domain = FAKE_DOMAIN, .target = 1 << 20, .slots = hf_session_slot(session), .slot_count = 1
  };
  g_autoptr(HfPacker) packer = hf_packer_new(lab.fake.repo.store, &options);
  g_autoptr(HfSealer) sealer =
    hf_sealer_new(hf_session_id(session), hf_session_data_key(session), hf_session_meta_key(session), HF_CODEC_ZSTD, 1);
  g_autoptr(HfIdentity) identity = fake_identity();
  HfSealed sealed;
  HfId leaf, ids[2];
  hf_sealed_init(&sealed);
  memset(out, 7, sizeof out);
  hf_identity_whole_block(identity, out, sizeof out, &leaf, &ids[0]);
  leaf.b[3] ^= 1;
  hf_identity_block(identity, sizeof out, &leaf, 1, &ids[1]); /* an id that fits the wrong leaf */
  g_assert_true(hf_seal_row(sealer, out, sizeof out, &leaf, NULL, 1, &sealed, &error));
  for (guint i = 0; i < 2; i++)
    g_assert_true(hf_packer_add(packer, &sealed, &ids[i], &error));
  g_assert_true(hf_packer_flush(packer, &error));
  open_reader(&lab, 1 << 20);
  for (guint i = 0; i < 2; i++) {
    g_assert_false(hf_block_read(lab.reader, &ids[i], sizeof out, 0, sizeof out, out, &error));
    assert_failed(&error, HF_ERROR_DAMAGED, 0);
    g_assert_false(hf_block_read(lab.reader, &ids[i], sizeof out, 3, 5, out, &error));
    assert_failed(&error, HF_ERROR_DAMAGED, 0);
    g_auto(HfBlob) blob = { 0 };
    /* Read as a whole, the bytes speak for themselves: number 0 is right. */
    g_assert_true(hf_blob_read(lab.reader, &ids[i], HF_BLOB_BLOCK, &blob, &error) == (i == 0));
    if (i == 1)
      assert_failed(&error, HF_ERROR_DAMAGED, 0);
  }
  hf_sealed_clear(&sealed);
}

/* ---- Whole frames. ---- */

static void assert_wanted(const HfOpened *opened, const HfWanted *wanted, guint count, const guint *numbers)
{
  for (guint i = 0; i < count; i++) {
    const HfGroupItem *item = &g_array_index(opened->items, HfGroupItem, wanted[i].blob);
    HfBlob blob = { .payload = opened->plain.data + g_array_index(opened->offsets, gsize, wanted[i].blob),
                    .length = item->length };
    assert_text(&blob, length_of(numbers[i]), numbers[i]);
  }
}

/* The blobs of number 0 to 59 that lie in the same frame as number 5. */
static guint wanted_with(Lab *lab, const HfId *ids, const HfLocation *place, HfWanted *wanted, guint *numbers)
{
  guint count = 0;
  for (guint i = 0; i < BLOBS; i++) {
    HfLocation other = locate(lab, &ids[i]);
    if (other.offset == place->offset && hf_short_id_equal(&other.pack, &place->pack)) {
      wanted[count] = (HfWanted){ other.blob, ids[i] };
      numbers[count++] = i;
    }
  }
  g_assert_cmpuint(count, >, 2);
  return count;
}

static void test_frames(void)
{
  g_autoptr(GError) error = NULL;
  g_auto(Lab) lab;
  HfWanted wanted[BLOBS];
  guint numbers[BLOBS];
  HfOpened opened;
  hf_opened_init(&opened);
  lab_init(&lab, 5);
  HfLocation place = locate(&lab, &lab.data[5]);
  guint count = wanted_with(&lab, lab.data, &place, wanted, numbers);
  g_assert_true(hf_frame_read(lab.reader, &place, wanted, count, &opened, &error));
  g_assert_cmpuint(opened.blobs, >=, count);
  assert_wanted(&opened, wanted, count, numbers);
  HfLocation block = locate(&lab, &lab.blocks[2]);
  HfWanted whole = { block.blob, lab.blocks[2] };
  g_assert_true(hf_frame_read(lab.reader, &block, &whole, 1, &opened, &error));
  g_assert_cmpuint(opened.blobs, ==, 1);
  set_block(&lab, 2);
  assert_bytes(opened.plain.data, opened.plain.length, lab.block, BLOCK_BYTES);
  g_assert_cmpuint(lab.fake.warnings, ==, 0);
  /* Damaged: parity has it. */
  spoil_frame(&lab, &place, 100);
  g_assert_true(hf_frame_read(lab.reader, &place, wanted, count, &opened, &error));
  assert_wanted(&opened, wanted, count, numbers);
  assert_noted(&lab, &lab.data[5], 1);
  /* An id that nobody has. */
  whole.id.b[0] ^= 1;
  g_assert_false(hf_frame_read(lab.reader, &block, &whole, 1, &opened, &error));
  assert_failed(&error, HF_ERROR_DAMAGED, 0);
  hf_opened_clear(&opened);
}

/* Neither the frame nor parity: the blobs come from elsewhere, one by one. */
static void test_gathered(void)
{
  g_autoptr(GError) error = NULL;
  g_auto(Lab) lab;
  HfWanted wanted[BLOBS];
  guint numbers[BLOBS];
  HfOpened opened;
  hf_opened_init(&opened);
  lab_init(&lab, 0);
  HfLocation data = locate(&lab, &lab.data[5]), meta = locate(&lab, &lab.meta[5]), block = locate(&lab, &lab.blocks[1]);
  guint count = wanted_with(&lab, lab.data, &data, wanted, numbers);
  HfWanted of_meta[BLOBS];
  guint meta_numbers[BLOBS], meta_count = wanted_with(&lab, lab.meta, &meta, of_meta, meta_numbers);
  g_autoptr(HfStore) empty = lab_store_new();
  HfIndex *kept = lab.fake.repo.index;
  lab.fake.repo.index = hf_index_open(empty, NULL, &error);
  write_all(&lab);
  hf_index_free(lab.fake.repo.index);
  lab.fake.repo.index = kept;
  open_reader(&lab, 4 << 20);
  spoil_frame(&lab, &data, 77);
  spoil_frame(&lab, &meta, 77);
  spoil_frame(&lab, &block, 77);
  g_assert_true(hf_frame_read(lab.reader, &data, wanted, count, &opened, &error));
  g_assert_no_error(error);
  assert_wanted(&opened, wanted, count, numbers);
  g_assert_true(hf_frame_read(lab.reader, &meta, of_meta, meta_count, &opened, &error));
  assert_wanted(&opened, of_meta, meta_count, meta_numbers);
  for (guint i = 0; i < meta_count; i++) {
    guint32 refs = g_array_index(opened.ref_counts, guint32, of_meta[i].blob);
    g_assert_cmpuint(refs, ==, meta_numbers[i] % 8);
    guint32 start = g_array_index(opened.ref_starts, guint32, of_meta[i].blob);
    if (refs > 0)
      assert_bytes(&g_array_index(opened.refs, HfId, start), refs * sizeof(HfId), lab.refs, refs * sizeof(HfId));
  }
  HfWanted whole = { block.blob, lab.blocks[1] };
  g_assert_true(hf_frame_read(lab.reader, &block, &whole, 1, &opened, &error));
  set_block(&lab, 1);
  assert_bytes(opened.plain.data, opened.plain.length, lab.block, BLOCK_BYTES);
  hf_opened_clear(&opened);
}

/* ---- Bits at random: never a wrong byte; with parity and mirror, every byte. ---- */

static void test_random_bits(void)
{
  guint64 state = 2026;
  g_auto(Lab) lab;
  lab_init(&lab, 5);
  g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
  static const char *const folders[] = { "data/", "meta/", "parity/", "mirror/" };
  for (guint i = 0; i < G_N_ELEMENTS(folders); i++) {
    g_autoptr(GPtrArray) found = hf_store_list_names(lab.fake.repo.store, folders[i], NULL);
    for (guint n = 0; n < found->len; n++)
      g_ptr_array_add(names, g_strdup(g_ptr_array_index(found, n)));
  }
  for (guint round = 0; round < 60; round++) {
    const char *name = g_ptr_array_index(names, random_below(&state, names->len));
    gsize length;
    guint8 *bytes = lab_object(lab.fake.repo.store, name, &length);
    gsize at = random_below(&state, length);
    guint8 bit = (guint8)(1 << random_below(&state, 8));
    bytes[at] ^= bit;
    new_reader(&lab, 1 << 20);
    read_all(&lab);
    bytes[at] ^= bit;
  }
}

/* ---- Threads share a cache. ---- */

static gpointer read_many(gpointer user)
{
  for (guint round = 0; round < 5; round++)
    for (guint i = 0; i < BLOBS; i++) {
      read_data(user, i);
      read_meta(user, BLOBS - 1 - i);
    }
  return NULL;
}

static void test_threads(void)
{
  for (guint spoilt = 0; spoilt < 2; spoilt++) {
    g_auto(Lab) lab;
    lab_init(&lab, 5);
    open_reader(&lab, 200 << 10);
    if (spoilt) {
      HfLocation place = locate(&lab, &lab.data[5]);
      spoil_frame(&lab, &place, 90);
    }
    GThread *threads[4];
    Lab labs[4]; /* a reader of its own for each thread; everything else is shared */
    for (guint i = 0; i < 4; i++) {
      labs[i] = lab;
      labs[i].reader = hf_blob_reader_new(lab.cache, FAKE_DOMAIN, NULL);
    }
    for (guint i = 0; i < 4; i++)
      threads[i] = g_thread_new("reads", read_many, &labs[i]);
    for (guint i = 0; i < 4; i++) {
      g_thread_join(threads[i]);
      hf_blob_reader_free(labs[i].reader);
    }
    g_assert_cmpuint(lab.fake.warnings, ==, spoilt);
  }
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_assert_true(hf_crypto_init(NULL));
  g_test_add_func("/reader/all", test_all);
  g_test_add_func("/reader/cache", test_cache);
  g_test_add_func("/reader/held", test_held);
  g_test_add_func("/reader/pieces", test_pieces);
  g_test_add_func("/reader/confused", test_confused);
  g_test_add_func("/reader/parity", test_parity);
  g_test_add_func("/reader/mirror", test_mirror);
  g_test_add_func("/reader/vanished", test_vanished);
  g_test_add_func("/reader/no-spare", test_no_spare);
  g_test_add_func("/reader/second-place", test_second_place);
  g_test_add_func("/reader/other-errors", test_other_errors);
  g_test_add_func("/reader/late", test_late);
  g_test_add_func("/reader/failing-index", test_failing_index);
  g_test_add_func("/reader/slots", test_slots);
  g_test_add_func("/reader/keyring", test_keyring);
  g_test_add_func("/reader/liars", test_liars);
  g_test_add_func("/reader/lying-rows", test_lying_rows);
  g_test_add_func("/reader/frames", test_frames);
  g_test_add_func("/reader/gathered", test_gathered);
  g_test_add_func("/reader/random-bits", test_random_bits);
  g_test_add_func("/reader/threads", test_threads);
  return g_test_run();
}
