/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Records: the envelope of every small object (format.md 1.2), and signed bodies. */
#pragma once

#include "format/cursor.h"

typedef enum HfRecordKind {
  HF_RECORD_CONFIG = 1, HF_RECORD_SLOT = 2, HF_RECORD_SLOT_HIDDEN = 3, HF_RECORD_RING = 4, HF_RECORD_WRITER = 5,
  HF_RECORD_WRITER_REMOVED = 6, HF_RECORD_SESSION = 7, HF_RECORD_CHECKPOINT = 8, HF_RECORD_OUTCOME = 9,
  HF_RECORD_POINT = 10, HF_RECORD_MARK = 11, HF_RECORD_THIN = 12, HF_RECORD_DAMAGE = 13, HF_RECORD_TOMBSTONE = 14,
  HF_RECORD_KEY_FILE = 15, HF_RECORD_CREDENTIAL = 16, HF_RECORD_SEAL = 17,
  HF_RECORD_LOST = 18, HF_RECORD_PASS = 19,
} HfRecordKind;

#define HF_RECORD_LIMIT (64u << 20)   /* body */
#define HF_RECORD_ENVELOPE_BYTES 48u /* around it */
#define HF_RECORD_BYTES_LIMIT (HF_RECORD_LIMIT + HF_RECORD_ENVELOPE_BYTES) /* what a reader must take */

/* The whole record around `body` of at most HF_RECORD_LIMIT bytes. */
GBytes *hf_record_wrap(HfRecordKind kind, const void *body, gsize length);
/* Checks envelope and digest; `body` becomes a view into `bytes`. HF_ERROR_FORMAT for another magic or (with a right
 * digest) another version, HF_ERROR_DAMAGED for a wrong digest or length, HF_ERROR_INVALID for another kind. `what`
 * names it in errors. */
gboolean hf_record_open(const void *bytes, gsize length, HfRecordKind kind, const char *what, HfView *body,
                        GError **error);

/* Appends the signature over label || 0 || what `body` holds so far. */
void hf_body_sign(GByteArray *body, const HfKey *seed, const char *label);
/* Splits off and checks the signature; `signed_part` becomes the bytes before it. HF_ERROR_DAMAGED when it is not by
 * this key. */
gboolean hf_body_verify(HfView body, const guint8 public_half[32], const char *label, const char *what,
                        HfView *signed_part, GError **error);
/* Splits without checking (for who must read the public key first). */
gboolean hf_body_split(HfView body, HfView *signed_part, HfView *signature);

/* The record of a body that is done. With `seed`, the body is signed first; it stays the caller's. */
GBytes *hf_record_finish(HfRecordKind kind, GByteArray *body, const HfKey *seed, const char *label);
/* Opens a record whose body is signed. The signature is checked when `public_half` is given; `body` is what it
 * covers. */
gboolean hf_record_open_signed(GBytes *record, HfRecordKind kind, const guint8 *public_half, const char *label,
                               const char *what, HfView *body, GError **error);
