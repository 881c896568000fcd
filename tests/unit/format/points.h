/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The slot and the point that several tests use. */
#pragma once

#include "format/point.h"
#include "testing.h"

#define TEST_SLOT \
  "11*16 22*16 07000000 09000000 33*80 44*80 00*32 " \
  "7ad8beaf0b7bc02806f2d607e123b92a5b3d1685e6858fe70acd0fb0701d5470" \
  "2bef030215ed65f2c0edae2bbb0864ca52f1b963ba4d81d890fa42753c52c108"
#define TEST_POINT_BODY \
  "b7d22c5b12785f63d608c7a826480d87 11*16 22*16 07000000 55*16 66*32 01000000 " TEST_SLOT " 77*12 15 88*21 " \
  "aa357aee920f7875efaefe92f8f1b5ce398abcbb2e5743b2d6ce9b6782597244" \
  "43fb2192a271176321de91b9bcc573abc4d8fd05a0fd8b00078ebbac8500cb0c" \
  " 0300000000000000 0807060504030201 0400000000000000"
#define TEST_POINT_RECORD \
  "'HOLDFAST' 0100 0a00 0a020000 " TEST_POINT_BODY \
  " 25e4884ae9506ff4324f6005ffb9e44eaa233ef4bd14f596362093afd8dc98ae"

static inline void make_slot(HfSessionSlot *slot)
{
  guint8 bytes[HF_SESSION_SLOT_BYTES];
  memset(slot, 0, sizeof *slot);
  fill(&slot->session, 0x11, sizeof slot->session);
  fill(&slot->writer, 0x22, sizeof slot->writer);
  slot->domain = 7;
  slot->generation = 9;
  fill(slot->sealed_key, 0x33, sizeof slot->sealed_key);
  fill(slot->sealed_meta_key, 0x44, sizeof slot->sealed_meta_key);
  hf_session_slot_encode(slot, &test_seed, bytes);
}

/* Everything but id and signature. */
static inline void make_point(HfPoint *point)
{
  static const guint8 sealed[21] = { 0x88, 0x88, 0x88, 0x88, 0x88, 0x88, 0x88, 0x88, 0x88, 0x88, 0x88,
                                     0x88, 0x88, 0x88, 0x88, 0x88, 0x88, 0x88, 0x88, 0x88, 0x88 };
  memset(point, 0, sizeof *point);
  make_slot(&point->slot);
  point->session = point->slot.session;
  point->writer = point->slot.writer;
  point->domain = 7;
  fill(&point->source, 0x55, sizeof point->source);
  fill(&point->roots, 0x66, sizeof point->roots);
  point->flags = HF_POINT_LIVE;
  fill(point->nonce, 0x77, sizeof point->nonce);
  point->sealed = g_bytes_new(sealed, sizeof sealed);
  point->sequence = 3;
  point->time = 0x0102030405060708;
  point->lock = 4;
}
