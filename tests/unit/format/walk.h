/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Payloads under test stand behind one byte that says how many refs they have. */
#pragma once

#include "format/tree.h"
#include "testing.h"

#define TEST_REFS 256

/* Ref number i is 32 bytes of the value i. */
static inline const HfId *test_refs(void)
{
  static HfId refs[TEST_REFS];
  for (guint i = 0; i < TEST_REFS; i++)
    fill(&refs[i], (guint8)i, sizeof refs[i]);
  return refs;
}

static inline gboolean walk_page(const guint8 *bytes, gsize length, gboolean roots, GError **error)
{
  HfPageReader page;
  HfEntry entry;
  GError *found = NULL;
  if (!hf_page_open(&page, bytes + 1, length - 1, test_refs(), bytes[0], roots, error))
    return FALSE;
  while (hf_page_next(&page, &entry, &found))
    continue;
  if (found == NULL)
    return TRUE;
  /* Who goes on after an error gets it again. */
  g_assert_false(hf_page_next(&page, &entry, NULL));
  g_propagate_error(error, found);
  return FALSE;
}

/* The same without the refs byte, for lengths: `length` may be 0. */
static inline gboolean copied(const guint8 *bytes, gsize length, guint8 refs, TestDecode decode, GError **error)
{
  g_autoptr(GByteArray) whole = g_byte_array_new();
  hf_put_u8(whole, refs);
  hf_put_raw(whole, bytes, length);
  return decode(whole->data, whole->len, error);
}
