/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Invariants:
 *  C1 Whether a chunk may end after a byte is decided by the 64 bytes that end with it (fewer at the start of a chunk
 *     whose minimum is shorter), never by where the chunk began: data that was shifted is cut alike again.
 *  C2 The mask after `average` is a part of the mask before it, so a place that passes the strict test passes both.
 *  C3 Two places are rolled side by side for speed only: the first cut found is the one a plain loop would find.
 */
#include "chunk/cut.h"

#include <string.h>
#include <xxhash.h>

#define HF_CUT_WINDOW 64
#define HF_CUT_STRIDE 4096 /* bytes that each of two streams looks at before they meet */
#define HF_CUT_NONE G_MAXSIZE

/* The top `bits` bits: they have seen the most bytes. */
static guint64 top_bits(guint bits)
{
  return ~G_GUINT64_CONSTANT(0) << (64 - bits);
}

void hf_cutter_init(HfCutter *cutter, const guint64 gear[256], guint32 minimum, guint32 average, guint32 maximum)
{
  guint log2_average = g_bit_nth_msf(average, -1);

  g_assert(average >= 8 && (average & (average - 1)) == 0 && minimum < average && average < maximum);
  memcpy(cutter->gear, gear, sizeof cutter->gear);
  cutter->minimum = minimum;
  cutter->average = average;
  cutter->maximum = maximum;
  cutter->mask_small = top_bits(log2_average + 2);
  cutter->mask_large = top_bits(log2_average - 2);
}

static guint64 roll(const guint64 *gear, guint64 print, guint8 byte)
{
  return (print << 1) + gear[byte];
}

/* The fingerprint just before byte `at` is taken in. */
static guint64 warm(const HfCutter *cutter, const guint8 *bytes, gsize at)
{
  guint64 print = 0;

  for (gsize i = at >= HF_CUT_WINDOW - 1 ? at - (HF_CUT_WINDOW - 1) : 0; i < at; i++)
    print = roll(cutter->gear, print, bytes[i]);
  return print;
}

/* The first byte of [from, to) whose fingerprint has no bit of `mask`, or HF_CUT_NONE. */
static gsize scan_one(const HfCutter *cutter, const guint8 *bytes, gsize from, gsize to, guint64 mask)
{
  guint64 print = warm(cutter, bytes, from);

  for (gsize i = from; i < to; i++) {
    print = roll(cutter->gear, print, bytes[i]);
    if ((print & mask) == 0)
      return i;
  }
  return HF_CUT_NONE;
}

/* As scan_one over exactly two strides. A cut in the second one counts only when the rest of the first has none. */
static gsize scan_pair(const HfCutter *cutter, const guint8 *bytes, gsize from, guint64 mask)
{
  const guint64 *gear = cutter->gear;
  const guint8 *first = bytes + from, *second = first + HF_CUT_STRIDE;
  guint64 a = warm(cutter, bytes, from), b = warm(cutter, bytes, from + HF_CUT_STRIDE);

#pragma GCC unroll 4
  for (gsize i = 0; i < HF_CUT_STRIDE; i++) {
    a = roll(gear, a, first[i]);
    b = roll(gear, b, second[i]);
    if (G_UNLIKELY((a & mask) == 0))
      return from + i;
    if (G_UNLIKELY((b & mask) == 0)) {
      gsize earlier = scan_one(cutter, bytes, from + i + 1, from + HF_CUT_STRIDE, mask);
      return earlier != HF_CUT_NONE ? earlier : from + HF_CUT_STRIDE + i;
    }
  }
  return HF_CUT_NONE;
}

static gsize scan(const HfCutter *cutter, const guint8 *bytes, gsize from, gsize to, guint64 mask)
{
  for (; from < to && to - from >= 2 * HF_CUT_STRIDE; from += 2 * HF_CUT_STRIDE) {
    gsize found = scan_pair(cutter, bytes, from, mask);

    if (found != HF_CUT_NONE)
      return found;
  }
  return scan_one(cutter, bytes, from, to, mask);
}

gsize hf_cutter_next(const HfCutter *cutter, const guint8 *bytes, gsize length)
{
  gsize end = MIN(length, cutter->maximum);
  gsize first = MAX(cutter->minimum, 1) - 1; /* the byte a chunk of `minimum` bytes ends with */
  gsize found;

  if (end <= first + 1)
    return end;
  found = scan(cutter, bytes, first, MIN(end, (gsize)cutter->average - 1), cutter->mask_small);
  if (found == HF_CUT_NONE && end >= cutter->average)
    found = scan(cutter, bytes, cutter->average - 1, end, cutter->mask_large);
  return found == HF_CUT_NONE ? end : found + 1;
}

gboolean hf_name_is_cut(const void *name, gsize length, guint level)
{
  return level <= 7 && ((XXH3_64bits(name, length) >> (8 * level)) & 0x3f) == 0;
}

gboolean hf_id_is_cut(const guint8 id[32], guint level)
{
  return level < 32 && id[level] == 0;
}
