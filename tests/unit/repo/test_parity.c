/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/parity.h"

#include <isa-l/erasure_code.h>
#include <time.h>

#include "frametest.h"
#include "labstore.h"
#include "repo/objects.h"

#define CELL HF_CELL_BYTES

/* ---- Packs of any length that are in order: noise in frames. ---- */

typedef struct Lab {
  HfStore *store;
  HfShortId pack;
  char data[HF_NAME_BYTES], parity[HF_NAME_BYTES];
  guint8 *original;
  gsize length;
  guint stripes;
} Lab;

static void put_frame(GByteArray *pack, HfPackInfo *info, gsize length, guint64 seed)
{
  HfPackFrame frame = { .offset = pack->len,
                        .stored_length = (guint32)length,
                        .kind = HF_FRAME_GROUP,
                        .blobs = 1,
                        .first_blob = info->ids->len };
  HfId id;
  g_byte_array_set_size(pack, pack->len + (guint)length);
  fill_noise(pack->data + frame.offset, length, seed);
  hf_xxh128(pack->data + frame.offset, length, frame.digest);
  fill_noise(id.b, sizeof id.b, seed + 1);
  g_array_append_val(info->frames, frame);
  g_array_append_val(info->ids, id);
}

/* A pack of exactly `length` bytes, at least 1 KiB. */
static GByteArray *make_pack(const HfShortId *id, gsize length, guint64 seed)
{
  g_auto(HfPackInfo) info = { 0 };
  hf_pack_info_init(&info);
  GByteArray *pack = g_byte_array_new();
  HfSessionSlot slot = { .domain = 5 };
  info.id = *id;
  info.kind = HF_PACK_DATA;
  info.domain = 5;
  g_array_append_val(info.slots, slot);
  hf_pack_head_encode(&info, pack);
  gsize fixed = pack->len + 12 + HF_SESSION_SLOT_BYTES + HF_PACK_TRAILER_BYTES, per_frame = 24 + 32;
  gsize left = length - fixed;
  while (left > (8u << 20)) {
    put_frame(pack, &info, 4 << 20, seed++);
    left -= (4 << 20) + per_frame;
  }
  put_frame(pack, &info, left - per_frame, seed);
  info.length = length;
  hf_pack_end_encode(&info, pack->len, pack);
  g_assert_cmpuint(pack->len, ==, length);
  return pack;
}

static gboolean read_memory(gpointer source, guint64 offset, void *bytes, gsize length, GError **error)
{
  const GByteArray *pack = source;
  if (pack == NULL)
    return hf_fail(error, HF_ERROR_IO, "cannot read");
  g_assert_cmpuint(offset + length, <=, pack->len);
  memcpy(bytes, pack->data + offset, length);
  return TRUE;
}

static void lab_init(Lab *lab, gsize length, guint percent)
{
  g_autoptr(GError) error = NULL;
  lab->store = lab_store_new();
  lab->pack = short_id_of((guint8)length);
  lab->length = length;
  hf_name_pack(lab->data, HF_PACK_DATA, &lab->pack);
  hf_name_parity(lab->parity, &lab->pack);
  g_autoptr(GByteArray) pack = make_pack(&lab->pack, length, length);
  guint64 bytes;
  g_assert_true(hf_parity_make(lab->store, &lab->pack, length, percent, read_memory, pack, &bytes, &error));
  g_assert_no_error(error);
  g_assert_true(hf_store_put(lab->store, lab->data, pack->data, pack->len, &error));
  lab->original = g_memdup2(pack->data, pack->len);
  gsize stored, cells = (length + CELL - 1) / CELL;
  lab_object(lab->store, lab->parity, &stored);
  g_assert_cmpuint(stored, ==, bytes);
  guint k = percent == 5 ? 80 : 40;
  lab->stripes = (guint)((cells + k - 1) / k);
}

static void lab_clear(Lab *lab)
{
  hf_store_free(lab->store);
  g_free(lab->original);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Lab, lab_clear)

/* Puts the pack back as it was. */
static void heal(Lab *lab)
{
  lab_set_length(lab->store, lab->data, lab->length);
  memcpy(lab_object(lab->store, lab->data, NULL), lab->original, lab->length);
}

static void spoil(Lab *lab, gsize offset, gsize length)
{
  guint8 *bytes = lab_object(lab->store, lab->data, NULL);
  for (gsize i = offset; i < offset + length; i++)
    bytes[i] ^= 0x55;
}

static void assert_mended(Lab *lab)
{
  g_autoptr(GError) error = NULL;
  HfParityResult result;
  g_assert_true(hf_parity_check(lab->store, &lab->pack, TRUE, &result, &error));
  g_assert_no_error(error);
  g_assert_cmpuint(result.bad_cells, >, 0);
  g_assert_cmpuint(result.mended_cells, ==, result.bad_cells);
  g_assert_nonnull(result.mended);
  gsize length;
  const guint8 *mended = g_bytes_get_data(result.mended, &length);
  assert_bytes(mended, length, lab->original, lab->length);
  hf_parity_result_clear(&result);
}

/* Too much is said to be too much. */
static void assert_not_mended(Lab *lab)
{
  g_autoptr(GError) error = NULL;
  HfParityResult result;
  g_assert_true(hf_parity_check(lab->store, &lab->pack, TRUE, &result, &error));
  g_assert_no_error(error);
  g_assert_cmpuint(result.bad_cells, >, 0);
  g_assert_null(result.mended);
  hf_parity_result_clear(&result);
}

static void assert_whole(Lab *lab, guint64 bad_parity)
{
  g_autoptr(GError) error = NULL;
  HfParityResult result;
  g_assert_true(hf_parity_check(lab->store, &lab->pack, TRUE, &result, &error));
  g_assert_no_error(error);
  g_assert_cmpuint(result.cells, ==, (lab->length + CELL - 1) / CELL);
  g_assert_cmpuint(result.bad_cells, ==, 0);
  g_assert_cmpuint(result.bad_parity, ==, bad_parity);
  g_assert_null(result.mended);
  hf_parity_result_clear(&result);
}

/* ---- The code itself. ---- */

/* The matrix of format.md is ISA-L's Cauchy matrix. */
static void test_matrix(void)
{
  for (guint k = 40; k <= 80; k += 40) {
    guint8 matrix[84 * 80];
    gf_gen_cauchy1_matrix(matrix, (int)k + 4, (int)k);
    for (guint j = 0; j < 4; j++)
      for (guint i = 0; i < k; i++)
        g_assert_cmpuint(matrix[(k + j) * k + i], ==, gf_inv((guint8)((k + j) ^ i)));
  }
}

/* Multiplication in GF(2^8) with polynomial 0x11d, as a second implementation would write it. */
static guint8 times(guint8 a, guint8 b)
{
  guint product = 0;
  for (guint bit = 0; bit < 8; bit++)
    if (b >> bit & 1)
      product ^= (guint)a << bit;
  for (guint bit = 15; bit >= 8; bit--)
    if (product >> bit & 1)
      product ^= 0x11du << (bit - 8);
  return (guint8)product;
}

static guint8 inverse(guint8 a)
{
  for (guint b = 1; b < 256; b++)
    if (times(a, (guint8)b) == 1)
      return (guint8)b;
  g_assert_not_reached();
}

/* The whole parity object, from format.md alone. */
static void check_object(gsize length, guint percent)
{
  g_auto(Lab) lab;
  lab_init(&lab, length, percent);
  gsize size, cells = (length + CELL - 1) / CELL, S = lab.stripes;
  guint k = percent == 5 ? 80 : 40;
  const guint8 *object = lab_object(lab.store, lab.parity, &size);
  gsize pages = (cells + 4 * S + 510) / 511;
  g_assert_cmpuint(size, ==, 2 * (48 + pages * CELL) + 4 * S * CELL);
  g_assert_cmpint(memcmp(object, "HFpar1\n\0", 8), ==, 0);
  g_assert_cmpint(memcmp(object + 8, lab.pack.b, 16), ==, 0);
  g_assert_cmpuint(hf_load_u64(object + 24), ==, length);
  g_assert_cmpuint(hf_load_u16(object + 32), ==, k);
  g_assert_cmpuint(hf_load_u16(object + 34), ==, 4);
  g_assert_cmpuint(hf_load_u32(object + 36), ==, S);
  g_assert_cmpuint(hf_load_be64(object + 40), ==, hf_xxh64(object, 40));
  assert_bytes(object + size - 48, 48, object, 48);
  assert_bytes(object + size - 48 - pages * CELL, pages * CELL, object + 48, pages * CELL);
  g_autofree guint8 *padded = g_malloc0((gsize)k * S * CELL);
  memcpy(padded, lab.original, length);
  const guint8 *parity = object + 48 + pages * CELL;
  for (gsize n = 0; n < cells + 4 * S; n++) {
    const guint8 *cell = n < cells ? padded + n * CELL : parity + (n - cells) * CELL;
    g_assert_cmpuint(hf_load_be64(object + 48 + n / 511 * CELL + n % 511 * 8), ==, hf_xxh64(cell, CELL));
  }
  for (gsize page = 0; page < pages; page++) {
    const guint8 *bytes = object + 48 + page * CELL;
    g_assert_cmpuint(hf_load_be64(bytes + 4088), ==, hf_xxh64(bytes, 4088));
  }
  for (guint j = 0; j < 4; j++)
    for (gsize stripe = 0; stripe < S; stripe++)
      for (gsize byte = stripe % 7; byte < CELL; byte += 509) {
        guint8 sum = 0;
        for (guint i = 0; i < k; i++)
          sum ^= times(inverse((guint8)((k + j) ^ i)), padded[(i * S + stripe) * CELL + byte]);
        g_assert_cmpuint(parity[(j * S + stripe) * CELL + byte], ==, sum);
      }
}

static void test_object(void)
{
  for (guint percent = 5; percent <= 10; percent += 5) {
    check_object(1024, percent);
    check_object(79 * CELL + 1, percent);
    check_object(80 * CELL, percent);
    check_object(3 * 80 * CELL + 77, percent);
    check_object((2 << 20) + 12345, percent);
  }
}

/* ---- Single runs. ---- */

/* Runs of the stated length at `positions` places spread over the pack and at the places around each cell border near
 * both ends; then one more cell, which is never mended wrongly. */
static void check_runs(gsize length, guint percent, guint positions)
{
  g_auto(Lab) lab;
  lab_init(&lab, length, percent);
  gsize stated = MIN(((gsize)4 * lab.stripes - 1) * CELL + 1, length);
  guint runs = 0;
  guint64 state = length;
  for (guint i = 0; i < positions; i++) {
    gsize last = length - stated;
    gsize at = i == 0   ? 0
               : i == 1 ? last
               : i == 2 ? last / CELL * CELL
               : i == 3 ? MIN(last, CELL - 1)
                        : random_below(&state, last + 1);
    spoil(&lab, at, stated);
    assert_mended(&lab);
    heal(&lab);
    runs++;
  }
  g_test_message("%zu bytes at %u %%: %u runs of %zu bytes mended", length, percent, runs, stated);
  gsize cells = (length + CELL - 1) / CELL, more = (gsize)4 * lab.stripes + 1;
  if (cells >= more)
    for (guint i = 0; i < 3; i++) {
      gsize first = random_below(&state, cells - more + 1) * CELL;
      spoil(&lab, first, MIN(more * CELL, length - first));
      assert_not_mended(&lab);
      heal(&lab);
    }
  assert_whole(&lab, 0);
}

static void test_runs(void)
{
  static const guint cells[] = { 1, 2, 3, 4, 5, 39, 40, 41, 79, 80, 81, 160, 161 };
  for (guint percent = 5; percent <= 10; percent += 5)
    for (guint i = 0; i < G_N_ELEMENTS(cells); i++) {
      check_runs(cells[i] * CELL, percent, 40);
      check_runs(cells[i] * CELL - 1000, percent, 40);
    }
}

static void test_runs_large(void)
{
  check_runs(5 << 20, 5, 200);
  check_runs((5 << 20) + 1, 10, 100);
  check_runs(64 << 20, 5, g_test_slow() ? 100 : 8);
}

/* Every position of the run in small packs, one byte at a time near the borders of cells. */
static void test_every_position(void)
{
  g_auto(Lab) lab;
  lab_init(&lab, 9 * CELL + 5, 5);
  gsize stated = 3 * CELL + 1;
  for (gsize at = 0; at + stated <= lab.length; at += at % CELL < 3 || at % CELL > CELL - 4 ? 1 : 511) {
    spoil(&lab, at, stated);
    assert_mended(&lab);
    heal(&lab);
  }
}

/* Any four cells of a stripe, wherever they lie, and every count of good parity cells. */
static void test_scattered(void)
{
  g_auto(Lab) lab;
  lab_init(&lab, 500 * CELL, 5);
  guint64 state = 12;
  for (guint round = 0; round < 200; round++) {
    guint spoilt = 0, count = 1 + round % 4;
    guint8 *parity = lab_object(lab.store, lab.parity, NULL) + 48 + 2 * CELL;
    guint stripe = (guint)random_below(&state, lab.stripes);
    for (guint attempt = 0; spoilt < count && attempt < 100; attempt++) {
      gsize cell = random_below(&state, 500 / lab.stripes) * lab.stripes + stripe;
      if (cell < 500 &&
          memcmp(lab_object(lab.store, lab.data, NULL) + cell * CELL, lab.original + cell * CELL, CELL) == 0) {
        spoil(&lab, cell * CELL + random_below(&state, CELL), 1);
        spoilt++;
      }
    }
    for (guint j = 0; j < 4 - spoilt; j++)
      parity[((gsize)j * lab.stripes + stripe) * CELL + 7] ^= 1;
    assert_mended(&lab);
    if (spoilt < 4) {
      parity[((gsize)3 * lab.stripes + stripe) * CELL + 7] ^= 1;
      assert_not_mended(&lab);
      parity[((gsize)3 * lab.stripes + stripe) * CELL + 7] ^= 1;
    }
    for (guint j = 0; j < 4 - spoilt; j++)
      parity[((gsize)j * lab.stripes + stripe) * CELL + 7] ^= 1;
    heal(&lab);
  }
}

/* ---- Other lengths. ---- */

static void test_shortened(void)
{
  g_auto(Lab) lab;
  lab_init(&lab, 1000 * CELL + 100, 5);
  gsize stated = ((gsize)4 * lab.stripes - 1) * CELL + 1;
  for (gsize missing = 1; missing <= stated; missing = missing * 3 + 1) {
    lab_set_length(lab.store, lab.data, lab.length - missing);
    assert_mended(&lab);
    heal(&lab);
  }
  lab_set_length(lab.store, lab.data, lab.length - stated);
  assert_mended(&lab);
  heal(&lab);
  lab_set_length(lab.store, lab.data, lab.length - ((gsize)4 * lab.stripes + 1) * CELL);
  assert_not_mended(&lab);
  lab_set_length(lab.store, lab.data, 0);
  assert_not_mended(&lab);
}

static void test_lengthened(void)
{
  g_autoptr(GError) error = NULL;
  g_auto(Lab) lab;
  lab_init(&lab, 100 * CELL + 100, 5);
  lab_set_length(lab.store, lab.data, lab.length + 1);
  assert_mended(&lab);
  lab_set_length(lab.store, lab.data, lab.length + 3 * CELL);
  spoil(&lab, 50, 4 * CELL);
  assert_mended(&lab);
  HfParityResult result;
  g_assert_true(hf_parity_check(lab.store, &lab.pack, FALSE, &result, &error));
  g_assert_cmpuint(result.bad_cells, ==, 5 + 3);
  g_assert_cmpuint(result.mended_cells, ==, 0);
  g_assert_null(result.mended);
}

static void test_missing(void)
{
  g_autoptr(GError) error = NULL;
  HfParityResult result;
  g_auto(Lab) small, large;
  lab_init(&small, 4 * CELL, 5);
  lab_drop(small.store, small.data);
  assert_mended(&small); /* four cells: parity is all that is needed */
  lab_init(&large, 10 * CELL, 5);
  lab_drop(large.store, large.data);
  assert_not_mended(&large);
  lab_drop(large.store, large.parity);
  g_assert_false(hf_parity_check(large.store, &large.pack, TRUE, &result, &error));
  assert_failed(&error, HF_ERROR_NOT_FOUND, 0);
}

/* ---- Damage to the parity object. ---- */

/* One run of damage in the parity object, at any place: the pack can still be mended. */
static void test_damaged_parity(void)
{
  g_auto(Lab) lab;
  lab_init(&lab, 700 * CELL + 9, 5);
  gsize size;
  guint8 *object = lab_object(lab.store, lab.parity, &size);
  g_autofree guint8 *kept = g_memdup2(object, size);
  guint64 state = 99;
  for (guint i = 0; i < 150; i++) {
    gsize length = MIN(1 + random_below(&state, 2 * CELL), size);
    gsize at = i == 0 ? 0 : i == 1 ? size - length : random_below(&state, size - length + 1);
    for (gsize b = at; b < at + length; b++)
      object[b] ^= 0x81;
    g_autoptr(GError) error = NULL;
    HfParityResult result;
    g_assert_true(hf_parity_check(lab.store, &lab.pack, FALSE, &result, &error));
    g_assert_cmpuint(result.bad_cells, ==, 0);
    g_assert_cmpuint(result.bad_parity, >, 0);
    spoil(&lab, random_below(&state, lab.length), 1);
    assert_mended(&lab);
    heal(&lab);
    memcpy(object, kept, size);
  }
  assert_whole(&lab, 0);
}

static void test_parity_lengths(void)
{
  g_autoptr(GError) error = NULL;
  HfParityResult result;
  g_auto(Lab) lab;
  lab_init(&lab, 700 * CELL + 9, 5);
  gsize size;
  lab_object(lab.store, lab.parity, &size);
  lab_set_length(lab.store, lab.parity, size + 1);
  assert_whole(&lab, 1);
  lab_set_length(lab.store, lab.parity, size - 1);
  assert_whole(&lab, 1); /* the last head */
  spoil(&lab, 5 * CELL, 100);
  assert_mended(&lab);
  lab_set_length(lab.store, lab.parity, size - 3 * CELL);
  assert_mended(&lab);
  lab_set_length(lab.store, lab.parity, 48 + 2 * CELL);
  assert_not_mended(&lab);
  lab_object(lab.store, lab.parity, NULL)[9] ^= 1;
  g_assert_false(hf_parity_check(lab.store, &lab.pack, TRUE, &result, &error));
  assert_failed(&error, HF_ERROR_DAMAGED, 0);
  lab_set_length(lab.store, lab.parity, 3);
  g_assert_false(hf_parity_check(lab.store, &lab.pack, TRUE, &result, &error));
  assert_failed(&error, HF_ERROR_DAMAGED, 0);
}

/* Both copies of a page of sums are lost: what is mended must still be right, or nothing comes out. */
static void test_sums_lost(void)
{
  g_auto(Lab) lab;
  lab_init(&lab, 700 * CELL, 5);
  gsize size;
  guint8 *object = lab_object(lab.store, lab.parity, &size);
  object[48 + 10] ^= 1;
  object[size - 48 - 2 * CELL + 10] ^= 1;
  assert_whole(&lab, 2);
  spoil(&lab, 600 * CELL, 10); /* its sum is in the second page */
  assert_mended(&lab);
  heal(&lab);
  spoil(&lab, 600 * CELL, 10);
  spoil(&lab, (600 % lab.stripes) * CELL, 10); /* of the same stripe, and not seen: the sums of mended cells differ */
  assert_not_mended(&lab);
  heal(&lab);
  spoil(&lab, 600 * CELL, 10);
  spoil(&lab, (600 % lab.stripes + 1) * CELL, 10); /* of another stripe: the digests of the pack differ */
  assert_not_mended(&lab);
}

/* A parity object that belongs to something else, or to a pack that is none. */
static void test_not_a_pack(void)
{
  g_autoptr(GError) error = NULL;
  HfParityResult result;
  guint64 bytes;
  HfShortId id = short_id_of(7), other = short_id_of(8);
  char name[HF_NAME_BYTES];
  g_autoptr(HfStore) store = lab_store_new();
  for (guint round = 0; round < 2; round++) {
    g_autoptr(GByteArray) pack = round == 0 ? g_byte_array_new() : make_pack(&other, 3000, 4);
    if (round == 0)
      g_byte_array_append(pack, (const guint8 *)"short", 5);
    g_assert_true(hf_parity_make(store, &id, pack->len, 5, read_memory, pack, &bytes, &error));
    g_assert_true(hf_parity_check(store, &id, TRUE, &result, &error)); /* the pack is missing */
    g_assert_cmpuint(result.bad_cells, ==, 1);
    g_assert_null(result.mended);
    hf_name_parity(name, &id);
    lab_drop(store, name);
  }
}

/* ---- Failing stores. ---- */

typedef struct Plan {
  LabOp op;
  const char *prefix;
  guint64 offset; /* reads that touch this byte fail */
  int code;
} Plan;

static int fail_by_plan(LabOp op, const char *name, guint64 offset, guint8 *bytes G_GNUC_UNUSED, gsize length,
                        gpointer user)
{
  const Plan *plan = user;
  gboolean hit = op == plan->op && g_str_has_prefix(name, plan->prefix) &&
                 (op != LAB_GET || (offset <= plan->offset && plan->offset < offset + length));
  return hit ? plan->code : 0;
}

static void test_unreadable_sector(void)
{
  g_auto(Lab) lab;
  lab_init(&lab, 300 * CELL + 5, 5);
  Plan plan = { LAB_GET, "data/", 77 * CELL + 5, HF_ERROR_IO };
  lab_store_fault(lab.store, fail_by_plan, &plan);
  assert_mended(&lab);
  plan = (Plan){ LAB_GET, "data/", lab.length - 1, HF_ERROR_IO };
  assert_mended(&lab);
  plan = (Plan){ LAB_GET, "parity/", 48 + 3 * CELL, HF_ERROR_IO };
  assert_whole(&lab, 2); /* parity cells do not lie on the borders of sectors */
}

static void test_other_errors(void)
{
  g_autoptr(GError) error = NULL;
  HfParityResult result;
  guint64 bytes;
  g_auto(Lab) lab;
  lab_init(&lab, 300 * CELL + 5, 5);
  gsize size;
  lab_object(lab.store, lab.parity, &size);
  spoil(&lab, 0, 1);
  const Plan plans[] = {
    { LAB_GET, "data/", 5, HF_ERROR_PERMISSION },          { LAB_GET, "parity/", 5, HF_ERROR_PERMISSION },
    { LAB_GET, "parity/", size - 1, HF_ERROR_PERMISSION }, { LAB_GET, "parity/", 48 + CELL, HF_ERROR_PERMISSION },
    { LAB_SIZE, "data/", 0, HF_ERROR_PERMISSION },         { LAB_SIZE, "parity/", 0, HF_ERROR_PERMISSION }
  };
  for (guint i = 0; i < G_N_ELEMENTS(plans); i++) {
    Plan plan = plans[i];
    lab_store_fault(lab.store, fail_by_plan, &plan);
    g_assert_false(hf_parity_check(lab.store, &lab.pack, TRUE, &result, &error));
    assert_failed(&error, HF_ERROR_PERMISSION, 0);
    g_assert_null(result.mended);
  }
  lab_object(lab.store, lab.parity, NULL)[0] ^= 1; /* the other head is read */
  Plan plan = { LAB_GET, "parity/", size - 1, HF_ERROR_PERMISSION };
  lab_store_fault(lab.store, fail_by_plan, &plan);
  g_assert_false(hf_parity_check(lab.store, &lab.pack, TRUE, &result, &error));
  assert_failed(&error, HF_ERROR_PERMISSION, 0);
  HfShortId id = short_id_of(99);
  g_assert_false(hf_parity_make(lab.store, &id, 5000, 5, read_memory, NULL, &bytes, &error));
  assert_failed(&error, HF_ERROR_IO, 0);
  plan = (Plan){ LAB_COMMIT, "parity/", 0, HF_ERROR_NO_SPACE };
  g_autoptr(GByteArray) pack = make_pack(&id, 5000, 1);
  g_assert_false(hf_parity_make(lab.store, &id, 5000, 5, read_memory, pack, &bytes, &error));
  assert_failed(&error, HF_ERROR_NO_SPACE, 0);
}

/* Seconds of this thread's processor time: other programs do not count. */
static double seconds(void)
{
  struct timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Not a test of right or wrong: `-m perf` prints how fast parity is made and checked. */
static void measure(void)
{
  g_autoptr(GError) error = NULL;
  HfParityResult result;
  guint64 bytes;
  HfShortId id = short_id_of(1);
  gsize length = 64 << 20;
  g_autoptr(GByteArray) pack = make_pack(&id, length, 1);
  g_autoptr(HfStore) store = lab_store_new();
  char name[HF_NAME_BYTES];
  hf_name_parity(name, &id);
  double best = 1e9;
  for (guint i = 0; i < 7; i++) {
    double start = seconds();
    g_assert_true(hf_parity_make(store, &id, length, 5, read_memory, pack, &bytes, &error));
    best = MIN(best, seconds() - start);
    if (i < 6)
      lab_drop(store, name);
  }
  g_test_message("parity made: %.2f GB/s", (double)length / best / 1e9);
  hf_name_pack(name, HF_PACK_DATA, &id);
  g_assert_true(hf_store_put(store, name, pack->data, pack->len, &error));
  double start = seconds();
  g_assert_true(hf_parity_check(store, &id, FALSE, &result, &error));
  g_test_message("pack checked: %.2f GB/s", (double)length / (seconds() - start) / 1e9);
  memset(lab_object(store, name, NULL) + (20 << 20), 0, 3 << 20);
  start = seconds();
  g_assert_true(hf_parity_check(store, &id, TRUE, &result, &error));
  g_test_message("3 MiB of 64 mended: %.3f s", seconds() - start);
  g_assert_nonnull(result.mended);
  hf_parity_result_clear(&result);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/parity/matrix", test_matrix);
  g_test_add_func("/parity/object", test_object);
  g_test_add_func("/parity/runs", test_runs);
  g_test_add_func("/parity/runs-large", test_runs_large);
  g_test_add_func("/parity/every-position", test_every_position);
  g_test_add_func("/parity/scattered", test_scattered);
  g_test_add_func("/parity/shortened", test_shortened);
  g_test_add_func("/parity/lengthened", test_lengthened);
  g_test_add_func("/parity/missing", test_missing);
  g_test_add_func("/parity/damaged-parity", test_damaged_parity);
  g_test_add_func("/parity/parity-lengths", test_parity_lengths);
  g_test_add_func("/parity/sums-lost", test_sums_lost);
  g_test_add_func("/parity/not-a-pack", test_not_a_pack);
  g_test_add_func("/parity/unreadable-sector", test_unreadable_sector);
  g_test_add_func("/parity/other-errors", test_other_errors);
  if (g_test_perf())
    g_test_add_func("/parity/speed", measure);
  return g_test_run();
}
