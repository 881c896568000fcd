/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the tests of frames, packs and blobs share. Random numbers come from seeds: failures can be replayed. */
#pragma once

#include <glib.h>
#include <string.h>

#include "base/error.h"
#include "crypto/crypto.h"

static inline guint64 next_random(guint64 *state)
{
  guint64 value = *state += G_GUINT64_CONSTANT(0x9e3779b97f4a7c15);
  value = (value ^ (value >> 30)) * G_GUINT64_CONSTANT(0xbf58476d1ce4e5b9);
  value = (value ^ (value >> 27)) * G_GUINT64_CONSTANT(0x94d049bb133111eb);
  return value ^ (value >> 31);
}

static inline gsize random_below(guint64 *state, gsize bound)
{
  return (gsize)(next_random(state) % bound);
}

static inline void fill_noise(guint8 *out, gsize length, guint64 seed)
{
  guint64 state = seed;
  gsize i = 0;
  for (; i + 8 <= length; i += 8) {
    guint64 word = next_random(&state);
    memcpy(out + i, &word, 8);
  }
  for (; i < length; i++)
    out[i] = (guint8)next_random(&state);
}

/* Shrinks to about a quarter. */
static inline void fill_text(guint8 *out, gsize length, guint64 seed)
{
  static const char *const words[] = { "static ", "return ", "struct ", "buffer", "length", "->", " = ",    ";\n  ",
                                       "if (",    "NULL",    ")\n",     "the ",   "error",  ", ", "gsize ", "for " };
  guint64 state = seed;
  gsize at = 0;
  while (at < length) {
    guint64 word = next_random(&state);
    char number[24];
    const char *text = words[word % G_N_ELEMENTS(words)];
    if (word >> 60 == 0) {
      g_snprintf(number, sizeof number, "%x", (guint)(word >> 8));
      text = number;
    }
    gsize part = MIN(strlen(text), length - at);
    memcpy(out + at, text, part);
    at += part;
  }
}

static inline HfKey key_of(guint8 byte)
{
  HfKey key;
  memset(key.b, byte, sizeof key.b);
  return key;
}

static inline HfShortId short_id_of(guint8 byte)
{
  HfShortId id;
  memset(id.b, byte, sizeof id.b);
  return id;
}

static inline void assert_bytes(const void *found, gsize found_length, const void *wanted, gsize length)
{
  g_assert_cmpuint(found_length, ==, length);
  g_assert_true(length == 0 || memcmp(found, wanted, length) == 0);
}

/* Fails unless `error` is set and has one of two codes; clears it. */
static inline void assert_failed(GError **error, int code, int other)
{
  g_assert_nonnull(*error);
  g_assert_true((*error)->domain == HF_ERROR);
  if ((*error)->code != code && (*error)->code != other)
    g_error("error %d instead of %d or %d: %s", (*error)->code, code, other, (*error)->message);
  g_clear_error(error);
}
#define ASSERT_DAMAGED(error) assert_failed((error), HF_ERROR_DAMAGED, HF_ERROR_INVALID)
