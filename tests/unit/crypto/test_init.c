/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "crypto/crypto.h"

static void test_init(void)
{
  g_autoptr(GError) error = NULL;

  g_assert_true(hf_crypto_init(&error));
  g_assert_no_error(error);
  g_assert_true(hf_crypto_init(&error));
  g_assert_no_error(error);
}

static void test_wipe(void)
{
  static const HfKey zero;
  HfKey key;

  memset(&key, 0xff, sizeof key);
  hf_wipe(&key, 5);
  g_assert_cmpmem(&key, 5, &zero, 5);
  g_assert_cmphex(key.b[5], ==, 0xff);
  hf_key_clear(&key);
  g_assert_cmpmem(&key, sizeof key, &zero, sizeof zero);
}

static void test_random(void)
{
  guint8 a[32], b[32];

  hf_random(a, sizeof a);
  hf_random(b, sizeof b);
  g_assert_cmpint(memcmp(a, b, sizeof a), !=, 0);
  memcpy(b, a, sizeof b);
  hf_random(a, 0);
  g_assert_cmpmem(a, sizeof a, b, sizeof b);
}

/* Ids that differ in one bit anywhere are unequal. */
static void test_ids(void)
{
  HfId a, b;
  HfShortId c, d;

  hf_random(&a, sizeof a);
  hf_random(&c, sizeof c);
  b = a;
  d = c;
  g_assert_true(hf_id_equal(&a, &b) && hf_id_equal_func(&a, &b));
  g_assert_true(hf_short_id_equal(&c, &d) && hf_short_id_equal_func(&c, &d));
  g_assert_cmpuint(hf_id_hash(&a), ==, hf_id_hash(&b));
  g_assert_cmpuint(hf_id_hash(&c), ==, hf_id_hash(&d));
  for (gsize bit = 0; bit < 8 * sizeof b; bit++) {
    b.b[bit / 8] ^= (guint8)(1 << bit % 8);
    g_assert_false(hf_id_equal(&a, &b) || hf_id_equal_func(&a, &b));
    b.b[bit / 8] ^= (guint8)(1 << bit % 8);
  }
  for (gsize bit = 0; bit < 8 * sizeof d; bit++) {
    d.b[bit / 8] ^= (guint8)(1 << bit % 8);
    g_assert_false(hf_short_id_equal(&c, &d) || hf_short_id_equal_func(&c, &d));
    d.b[bit / 8] ^= (guint8)(1 << bit % 8);
  }
  b.b[0] ^= 1;
  g_assert_cmpuint(hf_id_hash(&a), !=, hf_id_hash(&b));
}

static void test_id_table(void)
{
  g_autoptr(GHashTable) table = g_hash_table_new_full(hf_id_hash, hf_id_equal_func, g_free, NULL);
  HfId id = {{0}};

  for (guint i = 0; i < 1000; i++) {
    id.b[0] = (guint8)i;
    id.b[31] = (guint8)(i >> 8);
    g_hash_table_add(table, g_memdup2(&id, sizeof id));
  }
  g_assert_cmpuint(g_hash_table_size(table), ==, 1000);
  g_assert_true(g_hash_table_contains(table, &id));
  id.b[16] = 1;
  g_assert_false(g_hash_table_contains(table, &id));
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/crypto/init/init", test_init);
  g_test_add_func("/crypto/init/wipe", test_wipe);
  g_test_add_func("/crypto/init/random", test_random);
  g_test_add_func("/crypto/init/ids", test_ids);
  g_test_add_func("/crypto/init/id-table", test_id_table);
  return g_test_run();
}
