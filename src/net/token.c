/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One-time tokens for enrolment: 160 bits in 32 characters, shown in groups of four. */
#include <string.h>

#include "base/buffer.h"
#include "base/error.h"
#include "net/tls_private.h"

#define TOKEN_CHARS 32
#define TOKEN_GROUP 4

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

char *hf_tls_token_new(void)
{
  guint8 random[TOKEN_CHARS];
  GString *text = g_string_sized_new(TOKEN_CHARS + TOKEN_CHARS / TOKEN_GROUP);
  hf_random(random, sizeof random);
  for (guint i = 0; i < TOKEN_CHARS; i++) {
    if (i > 0 && i % TOKEN_GROUP == 0)
      g_string_append_c(text, '-');
    g_string_append_c(text, alphabet[random[i] % 32]);
  }
  hf_wipe(random, sizeof random);
  return g_string_free(text, FALSE);
}

void hf_tls_token_free(char *token)
{
  if (token != NULL)
    hf_wipe(token, strlen(token));
  g_free(token);
}

/* The characters that count, in upper case. */
static gboolean plain_token(const char *token, char plain[TOKEN_CHARS])
{
  guint n = 0;
  for (const char *at = token; *at != '\0'; at++) {
    char letter = g_ascii_toupper(*at);
    if (letter == '-' || letter == ' ')
      continue;
    if (n == TOKEN_CHARS || strchr(alphabet, letter) == NULL)
      return FALSE;
    plain[n++] = letter;
  }
  return n == TOKEN_CHARS;
}

gboolean hf_tls_token_valid(const char *token)
{
  char plain[TOKEN_CHARS];
  gboolean valid = plain_token(token, plain);
  hf_wipe(plain, sizeof plain);
  return valid;
}

/* SHA-256 over a label and the token. */
static gboolean token_hash(const char *label, const char *token, guint8 digest[32])
{
  char bytes[64 + TOKEN_CHARS];
  gsize length = strlen(label) + 1;
  g_assert(length <= 64);
  memcpy(bytes, label, length);
  gboolean valid = plain_token(token, bytes + length);
  if (valid)
    hf_sha256(bytes, length + TOKEN_CHARS, digest);
  hf_wipe(bytes, sizeof bytes);
  return valid;
}

gboolean hf_tls_token_key(const char *token, HfKey *key, GError **error)
{
  if (token_hash("holdfast enrolment key", token, key->b))
    return TRUE;
  return hf_fail(error, HF_ERROR_USAGE, "this is no enrolment token; it has %d letters and digits", TOKEN_CHARS);
}

char *hf_tls_token_name(const char *token)
{
  guint8 digest[32];
  return token_hash("holdfast enrolment name", token, digest) ? hf_hex(digest, 8) : g_strdup("");
}
