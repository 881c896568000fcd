/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>
#include <xxhash.h>

#include "chunk/cut.h"

/* SplitMix64, as the worked example of docs/format.md 7.7 states it. */
static guint64 split_mix(guint64 *state)
{
  guint64 z = *state += G_GUINT64_CONSTANT(0x9e3779b97f4a7c15);

  z = (z ^ z >> 30) * G_GUINT64_CONSTANT(0xbf58476d1ce4e5b9);
  z = (z ^ z >> 27) * G_GUINT64_CONSTANT(0x94d049bb133111eb);
  return z ^ z >> 31;
}

static void make_gear(guint64 seed, guint64 gear[256])
{
  for (gsize i = 0; i < 256; i++)
    gear[i] = split_mix(&seed);
}

static guint8 *make_random(guint64 seed, gsize length)
{
  guint8 *bytes = g_malloc(length);

  for (gsize i = 0; i < length; i += 8) {
    guint64 word = GUINT64_TO_LE(split_mix(&seed));
    memcpy(bytes + i, &word, MIN(length - i, sizeof word));
  }
  return bytes;
}

/* The rule in its plain form: the oracle. */
static gsize plain_next(const guint64 gear[256], gsize minimum, gsize average, gsize maximum, const guint8 *bytes,
                        gsize length)
{
  guint log2_average = g_bit_storage(average) - 1;
  guint64 strict = ~G_GUINT64_CONSTANT(0) << (64 - (log2_average + 2));
  guint64 loose = ~G_GUINT64_CONSTANT(0) << (64 - (log2_average - 2));
  guint64 print = 0;
  gsize end = MIN(length, maximum);

  for (gsize i = minimum > 64 ? minimum - 64 : 0; i < end; i++) {
    print = (print << 1) + gear[bytes[i]];
    if (i + 1 >= minimum && (print & (i + 1 < average ? strict : loose)) == 0)
      return i + 1;
  }
  return end;
}

static void compare(const guint64 gear[256], guint32 minimum, guint32 average, guint32 maximum, const guint8 *bytes,
                    gsize length)
{
  HfCutter cutter;

  hf_cutter_init(&cutter, gear, minimum, average, maximum);
  for (gsize at = 0; at < length;) {
    gsize cut = hf_cutter_next(&cutter, bytes + at, length - at);

    g_assert_cmpuint(cut, >, 0);
    g_assert_cmpuint(cut, <=, maximum);
    g_assert_cmpuint(cut, ==, plain_next(gear, minimum, average, maximum, bytes + at, length - at));
    at += cut;
  }
}

static const struct {
  guint32 minimum, average, maximum;
} sizes[] = {
    {0, 8, 9},           {0, 16, 5000},          {1, 64, 1024},         {63, 64, 65},
    {64, 128, 512},      {65, 256, 20000},       {2048, 8192, 32768},   {4096, 16384, 65536},
    {0, 65536, 131072},  {30000, 32768, 200000}, {16384, 65536, 262144}, {262144, 1048576, 4194304},
};

static void compare_all(const guint8 *bytes, gsize length)
{
  guint64 gear[256];

  for (guint64 seed = 1; seed <= 2; seed++) {
    make_gear(seed, gear);
    for (gsize i = 0; i < G_N_ELEMENTS(sizes); i++)
      compare(gear, sizes[i].minimum, sizes[i].average, sizes[i].maximum, bytes, length);
  }
}

static void test_random(void)
{
  gsize length = (6 << 20) + 321;
  g_autofree guint8 *bytes = make_random(2, length);

  compare_all(bytes, length);
}

static void test_zero(void)
{
  gsize length = 1 << 20;
  g_autofree guint8 *bytes = g_malloc0(length);

  compare_all(bytes, length);
}

static void test_text(void)
{
  gsize length = 2 << 20;
  g_autofree guint8 *bytes = g_malloc(length + 32);

  for (gsize at = 0, i = 0; at < length; i++)
    at += (gsize)g_snprintf((char *)bytes + at, 32, "line %" G_GSIZE_FORMAT " of a text\n", i * i % 7919);
  compare_all(bytes, length);
}

/* Short periods, among them those of the window and of the strides. */
static void test_periodic(void)
{
  static const gsize periods[] = {2, 3, 63, 64, 65, 4095, 4096, 4097, 8192};
  gsize length = 1 << 20;
  g_autofree guint8 *bytes = make_random(3, length);

  for (gsize i = 0; i < G_N_ELEMENTS(periods); i++) {
    for (gsize at = periods[i]; at < length; at++)
      bytes[at] = bytes[at - periods[i]];
    compare_all(bytes, length);
  }
}

/* Many places pass the test: cuts in both strides at once, and right after the minimum. */
static void test_dense(void)
{
  gsize length = 1 << 20;
  g_autofree guint8 *bytes = make_random(4, length);
  guint64 gear[256];

  make_gear(5, gear);
  for (gsize i = 0; i < 256; i++)
    gear[i] >>= 40;
  for (gsize i = 0; i < G_N_ELEMENTS(sizes); i++)
    compare(gear, sizes[i].minimum, sizes[i].average, sizes[i].maximum, bytes, length);
}

/*
 * Cuts planted exactly where wanted: a run of 64 bytes of value 0, whose gear is 0, empties the fingerprint; the other
 * value never does. `second` is planted too, so that a cut of the other stride must not win.
 */
static void test_planted(void)
{
  static const gsize ends[] = {4095,  4096,  4097,  4159,  4160,  8191,  8192,  8193,  8255,  8256,  12287, 12288,
                               12289, 16384, 20479, 20480, 20481, 32766, 32767, 32768, 32769, 36863, 36864, 36865,
                               40959, 40960, 40961, 45000, 98303, 98304, 98305, 131071, 131072, 131073};
  const gsize minimum = 4096, average = 32768, maximum = 131072, length = maximum + 100;
  g_autofree guint8 *bytes = g_malloc(length);
  guint64 gear[256];
  HfCutter cutter;

  for (gsize i = 0; i < 256; i++)
    gear[i] = i == 0 ? 0 : G_GUINT64_CONSTANT(0x5555555555555555);
  hf_cutter_init(&cutter, gear, minimum, average, maximum);
  for (gsize first = 0; first < G_N_ELEMENTS(ends); first++)
    for (gsize second = first; second < G_N_ELEMENTS(ends); second++) {
      gsize cut = ends[first] >= minimum ? ends[first] : ends[second];

      memset(bytes, 1, length);
      memset(bytes + ends[first] - 64, 0, 64);
      memset(bytes + ends[second] - 64, 0, 64);
      if (ends[first] < minimum && ends[second] - 64 <= ends[first])
        cut = minimum; /* one run that goes on past the minimum */
      if (ends[first] < minimum && second == first)
        cut = maximum;
      cut = MIN(cut, maximum);
      g_assert_cmpuint(hf_cutter_next(&cutter, bytes, length), ==, cut);
      g_assert_cmpuint(plain_next(gear, minimum, average, maximum, bytes, length), ==, cut);
    }
}

/* The cut does not depend on what follows it, and the end of the data is a cut. */
static void test_lengths(void)
{
  g_autofree guint8 *bytes = make_random(6, 70000);
  guint64 gear[256];
  HfCutter cutter;
  gsize cut;

  make_gear(7, gear);
  hf_cutter_init(&cutter, gear, 4096, 16384, 65536);
  cut = hf_cutter_next(&cutter, bytes, 70000);
  g_assert_cmpuint(cut, >, 4096);
  g_assert_cmpuint(cut, <, 65536);
  for (gsize length = 0; length <= 70000; length += length < 5000 ? 1 : 13) {
    g_autofree guint8 *copy = g_memdup2(bytes, length); /* exact, for the address sanitizer */

    g_assert_cmpuint(hf_cutter_next(&cutter, copy, length), ==, MIN(cut, length));
  }
}

/* docs/format.md 7.7, worked example. */
static void test_worked_example(void)
{
  static const gsize expected[] = {8990, 8522, 9188, 8523, 9550,  8617,  13497, 9027, 8509, 5756,
                                   8410, 8775, 8546, 5463, 9002,  12328, 8675,  8613, 9346, 9367,
                                   8563, 8892, 7653, 13272, 12225, 9686, 5875,  7892, 9382};
  const gsize length = 262144;
  g_autofree guint8 *bytes = make_random(2, length);
  guint64 gear[256];
  HfCutter cutter;
  gsize at = 0;

  make_gear(1, gear);
  g_assert_cmphex(gear[0], ==, G_GUINT64_CONSTANT(0x910a2dec89025cc1));
  g_assert_cmphex(gear[255], ==, G_GUINT64_CONSTANT(0x20933f9b9211242a));
  hf_cutter_init(&cutter, gear, 2048, 8192, 32768);
  g_assert_cmphex(cutter.mask_small, ==, G_GUINT64_CONSTANT(0xfffe000000000000));
  g_assert_cmphex(cutter.mask_large, ==, G_GUINT64_CONSTANT(0xffe0000000000000));
  for (gsize i = 0; i < G_N_ELEMENTS(expected); i++) {
    g_assert_cmpuint(hf_cutter_next(&cutter, bytes + at, length - at), ==, expected[i]);
    at += expected[i];
  }
  g_assert_cmpuint(at, ==, length);
  memset(bytes, 0, 65536);
  g_assert_cmpuint(hf_cutter_next(&cutter, bytes, 65536), ==, 32768);
}

/* Chunks come out near the average, and data that was shifted is soon cut alike again. */
static void test_shape(void)
{
  const gsize length = 16 << 20, shift = 777;
  g_autofree guint8 *bytes = make_random(8, length + shift);
  g_autoptr(GHashTable) cuts = g_hash_table_new(NULL, NULL);
  guint64 gear[256];
  HfCutter cutter;
  guint count = 0, shared = 0;

  make_gear(9, gear);
  hf_cutter_init(&cutter, gear, 16384, 65536, 262144);
  for (gsize at = shift; at < length + shift; count++) {
    at += hf_cutter_next(&cutter, bytes + at, length + shift - at);
    g_hash_table_add(cuts, GSIZE_TO_POINTER(at));
  }
  for (gsize at = 0; at < length + shift;) {
    at += hf_cutter_next(&cutter, bytes + at, length + shift - at);
    shared += g_hash_table_contains(cuts, GSIZE_TO_POINTER(at));
  }
  g_assert_cmpuint(length / count, >, 60000);
  g_assert_cmpuint(length / count, <, 85000);
  g_assert_cmpuint(shared, >, count * 95 / 100);
}

static void init_wrong(gconstpointer data)
{
  static const guint64 gear[256];
  const guint32 *size = data;
  HfCutter cutter;

  if (g_test_subprocess()) {
    hf_cutter_init(&cutter, gear, size[0], size[1], size[2]);
    return;
  }
  g_test_trap_subprocess(NULL, 0, 0);
  g_test_trap_assert_failed();
  g_test_trap_assert_stderr("*assertion failed*");
}

static void test_name(void)
{
  guint counts[8] = {0};

  for (guint i = 0; i < 20000; i++) {
    g_autofree char *name = g_strdup_printf("name-%u", i);
    guint64 hash = XXH3_64bits(name, strlen(name));

    for (guint level = 0; level < 8; level++, hash >>= 8) {
      g_assert_cmpint(hf_name_is_cut(name, strlen(name), level), ==, (hash & 0x3f) == 0);
      counts[level] += (hash & 0xff) == 0;
    }
    g_assert_false(hf_name_is_cut(name, strlen(name), 8));
    g_assert_false(hf_name_is_cut(name, strlen(name), G_MAXUINT));
  }
  for (guint level = 0; level < 8; level++) {
    g_assert_cmpuint(counts[level], >, 20000 / 256 / 2);
    g_assert_cmpuint(counts[level], <, 20000 / 256 * 2);
  }
}

static void test_id(void)
{
  guint8 id[32];

  for (guint level = 0; level < 32; level++) {
    memset(id, 1, sizeof id);
    g_assert_false(hf_id_is_cut(id, level));
    id[level] = 0;
    for (guint other = 0; other < 32; other++)
      g_assert_cmpint(hf_id_is_cut(id, other), ==, other == level);
  }
  memset(id, 0, sizeof id);
  g_assert_false(hf_id_is_cut(id, 32));
  g_assert_false(hf_id_is_cut(id, G_MAXUINT));
}

int main(int argc, char **argv)
{
  static const guint32 wrong[][3] = {{0, 4, 64}, {16, 100, 400}, {64, 64, 128}, {16, 64, 64}};

  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/chunk/cut/random", test_random);
  g_test_add_func("/chunk/cut/zero", test_zero);
  g_test_add_func("/chunk/cut/text", test_text);
  g_test_add_func("/chunk/cut/periodic", test_periodic);
  g_test_add_func("/chunk/cut/dense", test_dense);
  g_test_add_func("/chunk/cut/planted", test_planted);
  g_test_add_func("/chunk/cut/lengths", test_lengths);
  g_test_add_func("/chunk/cut/worked-example", test_worked_example);
  g_test_add_func("/chunk/cut/shape", test_shape);
  g_test_add_data_func("/chunk/cut/wrong/average-too-small", wrong[0], init_wrong);
  g_test_add_data_func("/chunk/cut/wrong/average-no-power", wrong[1], init_wrong);
  g_test_add_data_func("/chunk/cut/wrong/minimum", wrong[2], init_wrong);
  g_test_add_data_func("/chunk/cut/wrong/maximum", wrong[3], init_wrong);
  g_test_add_func("/chunk/name", test_name);
  g_test_add_func("/chunk/id", test_id);
  return g_test_run();
}
