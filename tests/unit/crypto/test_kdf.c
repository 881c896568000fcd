/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/buffer.h"
#include "base/error.h"
#include "crypto/crypto.h"

static const guint8 salt[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

/* One lane, version 0x13, no secret; computed by OpenSSL's implementation of RFC 9106. */
static const struct {
  guint32 passes, memory_kib;
  const char *password;
  gsize length;
  const char *key;
} vectors[] = {
    {1, 8, "password", 8, "3a008963c65f7ffa7331a90babd1fd17ea9f03bd05356b857ceb43f7b7080adc"},
    {1, 8, "", 0, "31ed41e2d73f27fdfe4eb4bec651341e58ba43477051c6fe4adad735d82ee08a"},
    {2, 64, "password", 8, "716882821df77bc6414358b07159fb63ca1c90beaeb9d0ca0e43bd887dcf2ca9"},
    {3, 65536, "pass\0word", 9, "004545580c67f17430d44b9b35e9c593218a94c0170c7932f3557e444d6dc92f"},
};

static void test_vectors(void)
{
  for (gsize i = 0; i < G_N_ELEMENTS(vectors); i++) {
    GError *error = NULL;
    HfKey key;

    g_assert_true(hf_password_key(vectors[i].password, vectors[i].length, salt, vectors[i].passes,
                                  vectors[i].memory_kib, &key, &error));
    g_assert_no_error(error);
    g_autofree char *text = hf_hex(key.b, sizeof key.b);
    g_assert_cmpstr(text, ==, vectors[i].key);
  }
}

static void test_costs_out_of_range(void)
{
  static const guint32 costs[][2] = {{0, 8}, {65, 8}, {1, 7}, {1, 0}, {1, 1048577}, {G_MAXUINT32, G_MAXUINT32}};

  for (gsize i = 0; i < G_N_ELEMENTS(costs); i++) {
    g_autoptr(GError) error = NULL;
    HfKey key;

    g_assert_false(hf_password_key("password", 8, salt, costs[i][0], costs[i][1], &key, &error));
    g_assert_error(error, HF_ERROR, HF_ERROR_INVALID);
  }
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/crypto/kdf/vectors", test_vectors);
  g_test_add_func("/crypto/kdf/costs-out-of-range", test_costs_out_of_range);
  return g_test_run();
}
