/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/buffer.h"
#include "crypto/crypto.h"

/* Vectors of xxHash's own sanity check (unseeded), over the bytes that its generator makes. */
static const struct {
  gsize length;
  guint64 hash64;
  const char *hash128;
} vectors[] = {
    {0, G_GUINT64_CONSTANT(0x2D06800538D394C2), "99aa06d3014798d86001c324468d497f"},
    {1, G_GUINT64_CONSTANT(0xC44BDFF4074EECDB), "a6cd5e9392000f6ac44bdff4074eecdb"},
    {6, G_GUINT64_CONSTANT(0x27B56A84CD2D7325), "082afe0b8162d12a3e7039bdda43cfc6"},
    {12, G_GUINT64_CONSTANT(0xA713DAF0DFBB77E7), "6e3efd8fc7802b18061a192713f69ad9"},
    {24, G_GUINT64_CONSTANT(0xA3FE70BF9D3510EB), "0ce966e4678d37611e7044d28b1b901d"},
    {48, G_GUINT64_CONSTANT(0x397DA259ECBA1F11), "a002ac4e5478227ef942219aed80f67b"},
    {80, G_GUINT64_CONSTANT(0xBCDEFBBB2C47C90A), "fdf2cefde9eaac8a454ae6bf7a8a532d"},
    {195, G_GUINT64_CONSTANT(0xCD94217EE362EC3A), "7729543a26b207ee3fb593c086a66075"},
    {403, G_GUINT64_CONSTANT(0xCDEB804D65C6DEA4), "1b6de21e332dd73dcdeb804d65c6dea4"},
    {512, G_GUINT64_CONSTANT(0x617E49599013CB6B), "18d2d110dcc9bca1617e49599013cb6b"},
    {2048, G_GUINT64_CONSTANT(0xDD59E2C3A5F038E0), "f736557fd47073a5dd59e2c3a5f038e0"},
    {2240, G_GUINT64_CONSTANT(0x6E73A90539CF2948), "ccb134fbfa7ce49d6e73a90539cf2948"},
    {2367, G_GUINT64_CONSTANT(0xCB37AEB9E5D361ED), "e89c0f6ff369b427cb37aeb9e5d361ed"},
};

static void fill(guint8 *bytes, gsize length)
{
  guint64 state = 2654435761U;

  for (gsize i = 0; i < length; i++) {
    bytes[i] = (guint8)(state >> 56);
    state *= G_GUINT64_CONSTANT(11400714785074694797);
  }
}

static void expect(const guint8 digest[16], const char *hex)
{
  g_autofree char *text = hf_hex(digest, 16);

  g_assert_cmpstr(text, ==, hex);
}

static void test_vectors(void)
{
  g_autoptr(HfXxh128) state = hf_xxh128_new();
  guint8 bytes[2367], digest[16];

  fill(bytes, sizeof bytes);
  for (gsize i = 0; i < G_N_ELEMENTS(vectors); i++) {
    gsize part = vectors[i].length / 3;

    g_assert_cmphex(hf_xxh64(bytes, vectors[i].length), ==, vectors[i].hash64);
    hf_xxh128(bytes, vectors[i].length, digest);
    expect(digest, vectors[i].hash128);
    hf_xxh128_update(state, bytes, part);
    hf_xxh128_update(state, bytes + part, vectors[i].length - part);
    hf_xxh128_final(state, digest);
    expect(digest, vectors[i].hash128);
  }
  hf_xxh128_free(NULL);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/crypto/rot/vectors", test_vectors);
  return g_test_run();
}
