/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "format/index.h"
#include "testing.h"

#define PAGE \
  "11*20 010000 20030000 e90300 0000 12*20 020000 00100000 ffffff 0200 00*4000 0200 00*22 f9944f8b60eaa9bb"
#define FOOT \
  "4846696478310a00 11*16 ff00000000000000 0300000000000000 02000000 4001000000000000 22*16 0200 33*16 44*16 " \
  "00*3986 ca6ee87cb150dfbc"

/* Where things lie in a page and in the foot. */
enum { AT_COUNT = 4064, AT_ENTRIES = 24, AT_PAGES = 32, AT_PACKS = 40, AT_FILTER = 44, AT_SUPERSEDES = 68 };

static gboolean decode_page(const guint8 *bytes, gsize length, GError **error)
{
  guint count;
  return hf_index_page_decode(bytes, length, &count, error);
}

static gboolean decode_foot(const guint8 *bytes, gsize length, GError **error)
{
  HfIndexFoot foot;
  return hf_index_foot_decode(bytes, length, &foot, error);
}

static void store_check(guint8 *page)
{
  hf_store_be64(page + 4088, hf_xxh64(page, 4088));
}

static void test_page(void)
{
  HfIndexEntry entries[2] = { { .pack = 1, .offset = 800, .stored_length = 1001, .blob = 0 },
                              { .pack = 2, .offset = 4096, .stored_length = 0xffffff, .blob = 2 } };
  guint8 page[HF_INDEX_PAGE_BYTES];
  guint count;
  GError *error = NULL;
  fill(entries[0].key, 0x11, sizeof entries[0].key);
  fill(entries[1].key, 0x12, sizeof entries[1].key);
  hf_index_page_encode(entries, 2, page);
  assert_parts(page, sizeof page, PAGE);
  g_assert_true(hf_index_page_decode(page, sizeof page, &count, &error));
  g_assert_no_error(error);
  g_assert_cmpuint(count, ==, 2);
  for (guint i = 0; i < 2; i++) {
    HfIndexEntry entry;
    hf_index_entry_decode(page, i, &entry);
    assert_bytes(entry.key, sizeof entry.key, entries[i].key, sizeof entries[i].key);
    g_assert_cmpuint(entry.pack, ==, entries[i].pack);
    g_assert_cmpuint(entry.offset, ==, entries[i].offset);
    g_assert_cmpuint(entry.stored_length, ==, entries[i].stored_length);
    g_assert_cmpuint(entry.blob, ==, entries[i].blob);
  }
}

static void test_full_page(void)
{
  HfIndexEntry entries[HF_INDEX_ENTRIES_A_PAGE] = { 0 };
  guint8 page[HF_INDEX_PAGE_BYTES];
  guint count;
  /* Keys that differ in their last byte only, each twice. */
  for (guint i = 0; i < HF_INDEX_ENTRIES_A_PAGE; i++)
    entries[i].key[19] = (guint8)(i / 2);
  hf_index_page_encode(entries, HF_INDEX_ENTRIES_A_PAGE, page);
  g_assert_true(hf_index_page_decode(page, sizeof page, &count, NULL));
  g_assert_cmpuint(count, ==, HF_INDEX_ENTRIES_A_PAGE);
  page[AT_COUNT] = 128;
  store_check(page);
  assert_refused_as(decode_page, page, sizeof page, HF_ERROR_INVALID);
}

static void page_refused(gsize at, const char *patch)
{
  g_autoptr(GByteArray) page = patched(PAGE, at, patch);
  store_check(page->data);
  assert_refused_as(decode_page, page->data, page->len, HF_ERROR_INVALID);
}

static void test_bad_pages(void)
{
  g_autoptr(GByteArray) page = parts(PAGE);
  assert_refused_as(decode_page, page->data, 4095, HF_ERROR_DAMAGED);
  assert_refused_as(decode_page, page->data, 0, HF_ERROR_DAMAGED);
  for (guint i = 0; i < page->len; i += 37) {
    page->data[i] ^= 1;
    assert_refused_as(decode_page, page->data, page->len, HF_ERROR_DAMAGED);
    page->data[i] ^= 1;
  }
  page_refused(AT_COUNT, "0000");
  page_refused(AT_COUNT, "8000");
  page_refused(AT_COUNT, "0100");
  page_refused(AT_COUNT, "0300");
  page_refused(AT_COUNT + 2, "01");
  page_refused(AT_COUNT + 23, "01");
  page_refused(64, "01");
  page_refused(32, "10");
  page_refused(32, "11*19 10");
}

static void test_foot(void)
{
  HfIndexFoot foot = { .entries = 255, .pages = 3, .packs = 2, .filter_bytes = 320, .supersedes = 2 }, decoded;
  guint8 bytes[HF_INDEX_PAGE_BYTES], again[HF_INDEX_PAGE_BYTES];
  GError *error = NULL;
  fill(&foot.run, 0x11, sizeof foot.run);
  fill(foot.tables_digest, 0x22, sizeof foot.tables_digest);
  fill(&foot.superseded[0], 0x33, sizeof foot.superseded[0]);
  fill(&foot.superseded[1], 0x44, sizeof foot.superseded[1]);
  hf_index_foot_encode(&foot, bytes);
  assert_parts(bytes, sizeof bytes, FOOT);
  g_assert_true(hf_index_foot_decode(bytes, sizeof bytes, &decoded, &error));
  g_assert_no_error(error);
  hf_index_foot_encode(&decoded, again);
  assert_bytes(again, sizeof again, bytes, sizeof bytes);
  g_assert_cmpuint(hf_index_fences_offset(&foot), ==, 3 * 4096);
  g_assert_cmpuint(hf_index_packs_offset(&foot), ==, 3 * 4096 + 24);
  g_assert_cmpuint(hf_index_filter_offset(&foot), ==, 3 * 4096 + 24 + 64);
  g_assert_cmpuint(hf_index_object_length(&foot), ==, 3 * 4096 + 24 + 64 + 320 + 4096);
}

static void foot_with(gsize at, const char *patch, gboolean valid)
{
  g_autoptr(GByteArray) foot = patched(FOOT, at, patch);
  store_check(foot->data);
  if (valid)
    assert_accepted(decode_foot, foot->data, foot->len);
  else
    assert_refused_as(decode_foot, foot->data, foot->len, HF_ERROR_INVALID);
}

static void test_bad_feet(void)
{
  g_autoptr(GByteArray) foot = parts(FOOT);
  assert_refused_as(decode_foot, foot->data, 4095, HF_ERROR_DAMAGED);
  for (guint i = 0; i < foot->len; i += 11) {
    foot->data[i] ^= 1;
    assert_refused_as(decode_foot, foot->data, foot->len, HF_ERROR_DAMAGED);
    foot->data[i] ^= 1;
  }
  foot_with(0, "49", FALSE);
  foot_with(AT_ENTRIES, "00*8 00*8", TRUE);
  foot_with(AT_ENTRIES, "00*8 01 00*7", FALSE);
  foot_with(AT_ENTRIES, "7e01", FALSE);
  foot_with(AT_ENTRIES, "fe00", FALSE);
  foot_with(AT_PAGES, "0400", FALSE);
  foot_with(AT_PACKS, "00000001", TRUE);
  foot_with(AT_PACKS, "01000001", FALSE);
  foot_with(AT_FILTER, "00*8", FALSE);
  foot_with(AT_FILTER, "4101", FALSE);
  foot_with(AT_FILTER, "0000000000100000", TRUE);
  foot_with(AT_FILTER, "4000000000100000", FALSE);
  foot_with(AT_SUPERSEDES, "0100", FALSE);
  foot_with(AT_SUPERSEDES, "0300", TRUE);
  foot_with(AT_SUPERSEDES, "4000", TRUE);
  foot_with(AT_SUPERSEDES, "4100", FALSE);
  foot_with(AT_SUPERSEDES, "ffff", FALSE);
  foot_with(4087, "01", FALSE);
}

/* The most entries there may be. */
static void test_largest(void)
{
  HfIndexFoot foot = { .entries = G_GUINT64_CONSTANT(1) << 40,
                       .packs = 1u << 24,
                       .filter_bytes = G_GUINT64_CONSTANT(1) << 44 };
  guint8 bytes[HF_INDEX_PAGE_BYTES];
  foot.pages = (foot.entries + 126) / 127;
  hf_index_foot_encode(&foot, bytes);
  assert_accepted(decode_foot, bytes, sizeof bytes);
  g_assert_cmpuint(hf_index_object_length(&foot), ==,
                   foot.pages * 4104 + (G_GUINT64_CONSTANT(32) << 24) + foot.filter_bytes + 4096);
  foot.entries++;
  foot.pages = (foot.entries + 126) / 127;
  hf_index_foot_encode(&foot, bytes);
  assert_refused_as(decode_foot, bytes, sizeof bytes, HF_ERROR_INVALID);
}

static void test_packs(void)
{
  HfIndexPack pack = { .kind = HF_PACK_META, .domain = 7, .length = 0x01020304 }, decoded;
  guint8 bytes[HF_INDEX_PACK_BYTES];
  fill(&pack.id, 0x66, sizeof pack.id);
  hf_index_pack_encode(&pack, bytes);
  assert_parts(bytes, sizeof bytes, "66*16 02 000000 07000000 0403020100000000");
  g_assert_true(hf_index_pack_decode(bytes, &decoded));
  g_assert_true(hf_short_id_equal(&decoded.id, &pack.id));
  g_assert_cmpuint(decoded.kind, ==, pack.kind);
  g_assert_cmpuint(decoded.domain, ==, pack.domain);
  g_assert_cmpuint(decoded.length, ==, pack.length);
  static const struct {
    gsize at;
    guint8 value;
  } bad[] = { { 16, 0 }, { 16, 3 }, { 17, 1 }, { 18, 1 }, { 19, 1 }, { 28, 1 }, { 31, 0x80 } };
  for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
    guint8 other[HF_INDEX_PACK_BYTES];
    memcpy(other, bytes, sizeof other);
    other[bad[i].at] = bad[i].value;
    g_assert_false(hf_index_pack_decode(other, &decoded));
  }
}

static void test_filter_places(void)
{
  /* Five blocks; the bits of block 2 were computed by hand. */
  static const guint bits[] = { 495, 486, 106, 241, 86, 282 };
  guint8 filter[5 * 64] = { 0 }, expected[5 * 64] = { 0 };
  g_autoptr(GByteArray) id = parts("00*7 80 efcdab8967452301");
  g_assert_false(hf_filter_has(filter, sizeof filter, id->data));
  hf_filter_add(filter, sizeof filter, id->data);
  for (guint i = 0; i < G_N_ELEMENTS(bits); i++)
    expected[2 * 64 + bits[i] / 8] |= (guint8)(1u << bits[i] % 8);
  assert_bytes(filter, sizeof filter, expected, sizeof expected);
  g_assert_true(hf_filter_has(filter, sizeof filter, id->data));
  for (guint i = 0; i < G_N_ELEMENTS(bits); i++) {
    filter[2 * 64 + bits[i] / 8] ^= (guint8)(1u << bits[i] % 8);
    g_assert_false(hf_filter_has(filter, sizeof filter, id->data));
    filter[2 * 64 + bits[i] / 8] ^= (guint8)(1u << bits[i] % 8);
  }
}

static void random_id(GRand *random, HfId *id)
{
  for (guint i = 0; i < sizeof id->b; i += 4)
    hf_store_u32(id->b + i, g_rand_int(random));
}

static void test_filter_rate(void)
{
  enum { ENTRIES = 50000 };
  guint64 bytes = hf_filter_bytes(ENTRIES);
  g_autofree guint8 *filter = g_malloc0(bytes);
  GRand *random = g_rand_new_with_seed(1);
  HfId id;
  g_assert_cmpuint(bytes, ==, 62528);
  for (guint i = 0; i < ENTRIES; i++) {
    random_id(random, &id);
    hf_filter_add(filter, bytes, id.b);
    g_assert_true(hf_filter_has(filter, bytes, id.b));
  }
  guint wrong = 0;
  for (guint i = 0; i < ENTRIES; i++) {
    random_id(random, &id);
    wrong += hf_filter_has(filter, bytes, id.b);
  }
  g_rand_free(random);
  /* About 1 % of what is not there seems to be there. */
  g_assert_cmpuint(wrong, <, ENTRIES / 50);
  g_assert_cmpuint(wrong, >, ENTRIES / 1000);
}

static void test_filter_bytes(void)
{
  g_assert_cmpuint(hf_filter_bytes(0), ==, 64);
  g_assert_cmpuint(hf_filter_bytes(51), ==, 64);
  g_assert_cmpuint(hf_filter_bytes(52), ==, 128);
  /* Of the most entries there may be it is one that a foot may have. */
  g_assert_cmpuint(hf_filter_bytes(G_GUINT64_CONSTANT(1) << 40), <=, G_GUINT64_CONSTANT(1) << 44);
}

int main(int argc, char **argv)
{
  test_begin(&argc, &argv);
  g_test_add_func("/index/page", test_page);
  g_test_add_func("/index/full-page", test_full_page);
  g_test_add_func("/index/bad-pages", test_bad_pages);
  g_test_add_func("/index/foot", test_foot);
  g_test_add_func("/index/bad-feet", test_bad_feet);
  g_test_add_func("/index/largest", test_largest);
  g_test_add_func("/index/packs", test_packs);
  g_test_add_func("/index/filter-places", test_filter_places);
  g_test_add_func("/index/filter-rate", test_filter_rate);
  g_test_add_func("/index/filter-bytes", test_filter_bytes);
  return g_test_run();
}
