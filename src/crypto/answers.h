/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Known-answer tests that hf_crypto_init runs at every start: a broken library or memory must not make a repository.
 */
#pragma once

#include <glib.h>

#define HF_ANSWER_BYTES_MAX 64

typedef struct HfKnownAnswer {
  const char *name;
  /* Writes the answer and returns its length, or 0 when it could not be computed. */
  gsize (*compute)(guint8 answer[HF_ANSWER_BYTES_MAX]);
  const char *expected; /* hexadecimal */
} HfKnownAnswer;

/* The answers of all that crypto.h offers, ended by a NULL name. */
extern const HfKnownAnswer hf_known_answers[];

/* FALSE with HF_ERROR_FAILED when one answer is another one. */
gboolean hf_known_answers_check(const HfKnownAnswer *answers, GError **error);
