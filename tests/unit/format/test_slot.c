/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "format/repository.h"
#include "testing.h"

#define BODY "11*16 01 03000000 00000100 22*16 33*32 f6ffffffffffffff 05 'Admin' 32 44*50"
#define GOLDEN \
  "'HOLDFAST' 0100 0200 ca000000 " BODY \
  " 8a96ef2986ff8538ac6f1310aa1d364b347c6fb93566fec0810a2035424b28b0" \
  "839cf2feb8addeae9b0e8dacd1ec0935b87e8facda44f7f2473332afbcfa8e05" \
  " b9aa826828b5c0fc12635f28fc34de6460b738e13799de769f7b02676f0b323a"
#define KEY_BODY "11*16 02 00*4 00*4 00*16 33*32 f6ffffffffffffff 00 32 44*50"

static gboolean decode(const guint8 *bytes, gsize length, GError **error)
{
  HfSlot slot;
  g_autoptr(GBytes) record = unsigned_record(HF_RECORD_SLOT, bytes, length);
  gboolean done = hf_slot_decode(record, NULL, &slot, error);
  if (done)
    hf_slot_clear(&slot);
  return done;
}

static void test_golden(void)
{
  g_autoptr(GByteArray) bundle = parts("44*50");
  HfSlot slot = { .way = HF_SLOT_PASSWORD, .passes = 3, .memory_kib = 65536, .created = -10, .label = (char *)"Admin" };
  fill(&slot.id, 0x11, sizeof slot.id);
  fill(slot.salt, 0x22, sizeof slot.salt);
  fill(slot.public_half, 0x33, sizeof slot.public_half);
  slot.bundle = g_bytes_new(bundle->data, bundle->len);
  g_autoptr(GBytes) record = hf_slot_encode(&slot, &test_seed);
  g_bytes_unref(slot.bundle);
  assert_g_bytes_parts(record, GOLDEN);

  guint8 public_half[32];
  HfSlot decoded;
  GError *error = NULL;
  hf_sign_public(&test_seed, public_half);
  g_assert_true(hf_slot_decode(record, public_half, &decoded, &error));
  g_assert_no_error(error);
  g_assert_cmpuint(decoded.way, ==, HF_SLOT_PASSWORD);
  g_assert_cmpuint(decoded.passes, ==, 3);
  g_assert_cmpuint(decoded.memory_kib, ==, 65536);
  g_assert_cmpint(decoded.created, ==, -10);
  g_assert_cmpstr(decoded.label, ==, "Admin");
  g_autoptr(GBytes) again = hf_slot_encode(&decoded, &test_seed);
  g_assert_true(g_bytes_equal(record, again));
  hf_slot_clear(&decoded);
  g_assert_null(decoded.bundle);
  public_half[3] ^= 1;
  g_assert_false(hf_slot_decode(record, public_half, &decoded, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_DAMAGED);
  g_clear_error(&error);
}

static void test_refused(void)
{
  assert_exact_length(decode, BODY, HF_ERROR_INVALID);
  assert_taken(decode, KEY_BODY);
  assert_patch_taken(decode, KEY_BODY, 16, "00");
  static const struct {
    const char *body;
    gsize at;
    const char *patch;
  } bad[] = {
    { BODY, 16, "00" }, { BODY, 16, "02" }, { BODY, 16, "03" }, { BODY, 17, "00000000" }, { BODY, 17, "41000000" },
    { BODY, 21, "07000000" }, { BODY, 21, "01001000" }, { BODY, 82, "00" }, { KEY_BODY, 16, "01" },
    { KEY_BODY, 16, "03" }, { KEY_BODY, 17, "01" }, { KEY_BODY, 21, "01" }, { KEY_BODY, 40, "01" },
  };
  for (gsize i = 0; i < G_N_ELEMENTS(bad); i++)
    assert_patch_refused(decode, bad[i].body, bad[i].at, bad[i].patch);
  assert_patch_taken(decode, BODY, 17, "40000000 00001000");
  assert_patch_taken(decode, BODY, 17, "01000000 08000000");
  /* A bundle that is no more than what sealing adds; labels and bundles of any length are bounded. */
  assert_refused(decode, "11*16 02 00*4 00*4 00*16 33*32 f6ffffffffffffff 00 30 44*48");
  assert_taken(decode, "11*16 02 00*24 33*32 00*8 8020 61*4096 31 44*49");
  assert_refused(decode, "11*16 02 00*24 33*32 00*8 8120 61*4097 31 44*49");
  assert_taken(decode, "11*16 02 00*24 33*32 00*8 00 808040 44*1048576");
  assert_refused(decode, "11*16 02 00*24 33*32 00*8 00 818040 44*1048577");
}

static void test_bundle(void)
{
  HfBundleItem items[4] = { { .kind = HF_BUNDLE_RING, .number = 7 }, { .kind = HF_BUNDLE_ADMIN },
                            { .kind = HF_BUNDLE_OWNER }, { .kind = HF_BUNDLE_DOMAIN, .number = 0x01020304 } };
  for (guint i = 0; i < 4; i++)
    fill(&items[i].secret, (guint8)(0x51 + i), HF_KEY_BYTES);
  g_autoptr(GByteArray) plain = g_byte_array_new(), longer = parts("'abc'");
  hf_bundle_encode(items, 1, longer);
  assert_array_parts(longer, "'abc' 01 01 07000000 51*32");
  hf_bundle_encode(items, 4, plain);
  assert_array_parts(plain, "04 01 07000000 51*32 02 00000000 52*32 03 00000000 53*32 04 04030201 54*32");
  g_autoptr(GArray) decoded = g_array_new(FALSE, FALSE, sizeof(HfBundleItem));
  GError *error = NULL;
  g_assert_true(hf_bundle_decode(plain->data, plain->len, decoded, &error));
  g_assert_no_error(error);
  g_assert_cmpuint(decoded->len, ==, 4);
  for (guint i = 0; i < 4; i++) {
    const HfBundleItem *item = &g_array_index(decoded, HfBundleItem, i);
    g_assert_cmpuint(item->kind, ==, items[i].kind);
    g_assert_cmpuint(item->number, ==, items[i].number);
    assert_bytes(item->secret.b, HF_KEY_BYTES, items[i].secret.b, HF_KEY_BYTES);
  }
  /* Decoding appends; what fails leaves nothing behind. */
  g_assert_false(hf_bundle_decode(plain->data, plain->len - 1, decoded, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_INVALID);
  g_clear_error(&error);
  g_assert_cmpuint(decoded->len, ==, 4);
  g_assert_true(hf_bundle_decode(plain->data, plain->len, decoded, &error));
  g_assert_no_error(error);
  g_assert_cmpuint(decoded->len, ==, 8);
}

static gboolean decode_bundle(const guint8 *bytes, gsize length, GError **error)
{
  g_autoptr(GArray) items = g_array_new(FALSE, FALSE, sizeof(HfBundleItem));
  return hf_bundle_decode(bytes, length, items, error);
}

static void test_bad_bundle(void)
{
  assert_exact_length(decode_bundle, "02 01 07000000 51*32 04 00000000 52*32", HF_ERROR_INVALID);
  assert_taken(decode_bundle, "00");
  assert_refused(decode_bundle, "01 00 00000000 51*32");
  assert_refused(decode_bundle, "01 05 00000000 51*32");
  assert_refused(decode_bundle, "01 02 01000000 51*32");
  assert_refused(decode_bundle, "01 03 01000000 51*32");
  assert_refused(decode_bundle, "ffffffff0f 01 00000000 51*32");
}

typedef struct NoticeRow {
  HfRecordKind kind;
  const char *golden;
} NoticeRow;

static const NoticeRow notices[] = {
  { HF_RECORD_SLOT_HIDDEN,
    "'HOLDFAST' 0100 0300 58000000 11*16 0807060504030201"
    " 608d7a6b8d4257b4e99618b43397d567d25f7f7f1cedc473e439cf1ac5ec196d"
    "dd539bb8a203ad6b0500d1dc9e2a0544b09ea32edbe24bae04e6ddf313687f0a"
    " 1c7043fce9ead7bb32d29f7a3173eb815240b4f16ac5addd3a0b085b5f3841a8" },
  { HF_RECORD_WRITER_REMOVED,
    "'HOLDFAST' 0100 0600 58000000 11*16 0807060504030201"
    " a41a693de0b698716a0cd1aa0fef02ef7b1b39885f5f2143a8b92af51a07e423"
    "e7a5a53d3d94ea341a9425f62bbc396aad2ef826eba3dbc894a81f166148780e"
    " 95c153bb93afc78b1ea71bf85f0de04191d5544236c2db0d331ea59bd2703270" },
  { HF_RECORD_TOMBSTONE,
    "'HOLDFAST' 0100 0e00 18000000 11*16 0807060504030201"
    " 18fc49b8a1ef486c522c1d9f9039d256be64025d69b94fe0fa81a377a311d15c" },
};

static void test_notices(void)
{
  guint8 public_half[32];
  hf_sign_public(&test_seed, public_half);
  for (gsize i = 0; i < G_N_ELEMENTS(notices); i++) {
    HfRecordKind kind = notices[i].kind;
    HfShortId id, decoded;
    gint64 time;
    GError *error = NULL;
    fill(&id, 0x11, sizeof id);
    const HfKey *seed = kind != HF_RECORD_TOMBSTONE ? &test_seed : NULL;
    g_autoptr(GBytes) record = hf_notice_encode(kind, &id, 0x0102030405060708, seed);
    assert_g_bytes_parts(record, notices[i].golden);
    g_assert_true(hf_notice_decode(record, kind, public_half, &decoded, &time, &error));
    g_assert_no_error(error);
    g_assert_true(hf_short_id_equal(&id, &decoded));
    g_assert_cmpint(time, ==, 0x0102030405060708);
    /* One kind never passes for another. */
    HfRecordKind other = notices[(i + 1) % G_N_ELEMENTS(notices)].kind;
    g_assert_false(hf_notice_decode(record, other, public_half, &decoded, &time, &error));
    g_assert_error(error, HF_ERROR, HF_ERROR_INVALID);
    g_clear_error(&error);
  }
}

static gboolean decode_hidden(const guint8 *bytes, gsize length, GError **error)
{
  HfShortId id;
  gint64 time;
  g_autoptr(GBytes) record = unsigned_record(HF_RECORD_SLOT_HIDDEN, bytes, length);
  return hf_notice_decode(record, HF_RECORD_SLOT_HIDDEN, NULL, &id, &time, error);
}

static gboolean decode_tombstone(const guint8 *bytes, gsize length, GError **error)
{
  HfShortId id;
  gint64 time;
  g_autoptr(GBytes) record = hf_record_wrap(HF_RECORD_TOMBSTONE, bytes, length);
  return hf_notice_decode(record, HF_RECORD_TOMBSTONE, NULL, &id, &time, error);
}

static void test_bad_notices(void)
{
  assert_exact_length(decode_hidden, "11*16 22*8", HF_ERROR_INVALID);
  assert_exact_length(decode_tombstone, "11*16 22*8", HF_ERROR_INVALID);
}

int main(int argc, char **argv)
{
  test_begin(&argc, &argv);
  g_test_add_func("/slot/golden", test_golden);
  g_test_add_func("/slot/refused", test_refused);
  g_test_add_func("/slot/bundle", test_bundle);
  g_test_add_func("/slot/bad-bundle", test_bad_bundle);
  g_test_add_func("/slot/notices", test_notices);
  g_test_add_func("/slot/bad-notices", test_bad_notices);
  return g_test_run();
}
