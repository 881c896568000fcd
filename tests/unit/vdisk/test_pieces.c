/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "vdisk/pieces.h"

#include "base/work.h"

#define KEPT (HF_PIECES_KEPT_BYTES / HF_PIECE_BYTES)

static void put(HfPieces *pieces, guint64 number)
{
  gboolean fill = FALSE;
  HfPiece *piece = hf_pieces_get(pieces, number, &fill, NULL);
  g_assert_nonnull(piece);
  g_assert_true(fill);
  g_assert_cmpuint(piece->number, ==, number);
  piece->bytes[0] = (guint8)number;
  piece->bytes[HF_PIECE_BYTES - 1] = 7;
  hf_pieces_filled(pieces, piece, TRUE);
  hf_pieces_release(pieces, piece);
}

static gboolean has(HfPieces *pieces, guint64 number)
{
  HfPiece *piece = hf_pieces_get(pieces, number, NULL, NULL);
  if (piece == NULL)
    return FALSE;
  g_assert_cmpuint(piece->bytes[0], ==, (guint8)number);
  hf_pieces_release(pieces, piece);
  return TRUE;
}

static void test_bounded(void)
{
  HfPieces *pieces = hf_pieces_new();
  g_assert_false(has(pieces, 0));
  for (guint64 i = 0; i < KEPT; i++)
    put(pieces, i);
  g_assert_true(has(pieces, 0)); /* now the one used last */
  put(pieces, KEPT);
  g_assert_true(has(pieces, 0));
  g_assert_false(has(pieces, 1));
  g_assert_true(has(pieces, 2));
  g_assert_true(has(pieces, KEPT));
  hf_pieces_free(pieces);
  hf_pieces_free(NULL);
}

/* One that is held stays whole although the cache let go of it. */
static void test_held(void)
{
  HfPieces *pieces = hf_pieces_new();
  gboolean fill;
  put(pieces, 5);
  HfPiece *held = hf_pieces_get(pieces, 5, &fill, NULL);
  g_assert_false(fill);
  for (guint64 i = 100; i < 100 + KEPT; i++)
    put(pieces, i);
  g_assert_false(has(pieces, 5));
  g_assert_cmpuint(held->bytes[0], ==, 5);
  hf_pieces_release(pieces, held);
  hf_pieces_free(pieces);
}

static void test_failed(void)
{
  HfPieces *pieces = hf_pieces_new();
  gboolean fill;
  HfPiece *piece = hf_pieces_get(pieces, 1, &fill, NULL);
  g_assert_true(fill);
  hf_pieces_filled(pieces, piece, FALSE);
  hf_pieces_release(pieces, piece);
  g_assert_false(has(pieces, 1));
  put(pieces, 1);
  g_assert_true(has(pieces, 1));
  hf_pieces_free(pieces);
}

/* ---- Threads. ---- */

typedef struct Race {
  HfPieces *pieces;
  gint started, filled, failures; /* atomic; the first `failures` fills fail */
} Race;

static gpointer get_and_fill(gpointer data)
{
  Race *race = data;
  g_atomic_int_inc(&race->started);
  for (;;) {
    gboolean fill = FALSE;
    HfPiece *piece = hf_pieces_get(race->pieces, 3, &fill, NULL);
    gboolean good = TRUE;
    if (fill) {
      good = g_atomic_int_add(&race->filled, 1) >= race->failures;
      while (g_atomic_int_get(&race->started) < 8)
        g_thread_yield(); /* the others wait for us by now, or soon */
      piece->bytes[0] = good ? 3 : 0;
      hf_pieces_filled(race->pieces, piece, good);
    }
    guint8 byte = piece->bytes[0];
    hf_pieces_release(race->pieces, piece);
    if (good) {
      g_assert_cmpuint(byte, ==, 3);
      return NULL;
    }
  }
}

static void check_race(gint failures)
{
  Race race = { .pieces = hf_pieces_new(), .failures = failures };
  GThread *threads[8];
  for (guint i = 0; i < 8; i++)
    threads[i] = g_thread_new("get", get_and_fill, &race);
  for (guint i = 0; i < 8; i++)
    g_thread_join(threads[i]);
  g_assert_cmpint(race.filled, ==, failures + 1);
  hf_pieces_free(race.pieces);
}

static void test_race(void)
{
  for (gint i = 0; i < 20; i++)
    check_race(i % 4);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/pieces/bounded", test_bounded);
  g_test_add_func("/pieces/held", test_held);
  g_test_add_func("/pieces/failed", test_failed);
  g_test_add_func("/pieces/race", test_race);
  return g_test_run();
}
