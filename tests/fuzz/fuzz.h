/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the fuzz targets share. Each target decodes its input; what was accepted must encode to the same bytes again,
 * and what was refused must have set an error that says so. Digests, checks and signatures would turn nearly every
 * input away at the door, so targets make them right before they decode: fuzz_record has the doors themselves.
 */
#pragma once

#include <glib.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/error.h"
#include "format/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_REFS 256

static inline void fuzz_begin(void)
{
  static gboolean begun;
  if (!begun)
    g_assert_true(hf_crypto_init(NULL));
  begun = TRUE;
}

/* Returns `done`; clears `*error`, which must be there exactly when it should. */
static inline gboolean fuzz_judge(gboolean done, GError **error)
{
  g_assert_true(done == (*error == NULL));
  g_assert_true(done || hf_error_is(*error, HF_ERROR_INVALID) || hf_error_is(*error, HF_ERROR_DAMAGED) ||
                hf_error_is(*error, HF_ERROR_FORMAT));
  g_clear_error(error);
  return done;
}

static inline void fuzz_same(const void *a, gsize a_length, const void *b, gsize b_length)
{
  g_assert_true(a_length == b_length);
  g_assert_true(a_length == 0 || memcmp(a, b, a_length) == 0);
}

static inline void fuzz_same_array(const GByteArray *array, const void *bytes, gsize length)
{
  fuzz_same(array->data, array->len, bytes, length);
}

/* `record` begins with the envelope of `body`; what follows is a digest, or a signature and a digest. */
static inline void fuzz_same_body(GBytes *record, const void *body, gsize length)
{
  gsize whole;
  const guint8 *bytes = g_bytes_get_data(record, &whole);
  gsize after = whole - length - HF_RECORD_ENVELOPE_BYTES;
  g_assert_true(whole >= length + HF_RECORD_ENVELOPE_BYTES && (after == 0 || after == HF_SIGNATURE_BYTES));
  fuzz_same(bytes + 16, length, body, length);
}

/* The record of a body with room for a signature that nobody checks. */
static inline GBytes *fuzz_signed_record(HfRecordKind kind, const void *body, gsize length)
{
  g_autoptr(GByteArray) whole = g_byte_array_new();
  hf_put_raw(whole, body, length);
  hf_put_zeros(whole, HF_SIGNATURE_BYTES);
  return hf_record_wrap(kind, whole->data, whole->len);
}

static const HfKey fuzz_seed = { { 1, 2, 3 } };

/* Refs for payloads that begin with their number: ref number i is i, 32 times. */
static inline const HfId *fuzz_refs(void)
{
  static HfId refs[FUZZ_REFS];
  if (refs[1].b[0] == 0)
    for (guint i = 0; i < FUZZ_REFS; i++)
      memset(&refs[i], (int)i, sizeof refs[i]);
  return refs;
}

/* The refs that an encoder collected are those that the payload had. */
static inline void fuzz_same_refs(const GArray *refs, guint count)
{
  fuzz_same(refs->data, refs->len * sizeof(HfId), fuzz_refs(), count * sizeof(HfId));
}
