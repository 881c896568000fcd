/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hf_paper_key_decode: on the input as a text, and on the text of a key made of it. */
#include "format/repository.h"
#include "fuzz.h"

/* Upper case, without what does not count. */
static char *squeezed(const char *text)
{
  GString *out = g_string_new(NULL);
  for (; *text != '\0'; text++)
    if (!g_ascii_isspace(*text) && *text != '-')
      g_string_append_c(out, g_ascii_toupper(*text));
  return g_string_free(out, FALSE);
}

static gboolean decode(const char *text)
{
  HfShortId slot;
  HfKey secret;
  GError *error = NULL;
  if (!fuzz_judge(hf_paper_key_decode(text, &slot, &secret, &error), &error))
    return FALSE;
  g_autofree char *again = hf_paper_key_encode(&slot, &secret), *found = squeezed(again), *given = squeezed(text);
  g_assert_cmpstr(found, ==, given);
  return TRUE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  fuzz_begin();
  g_autofree char *text = g_strndup((const char *)data, size);
  decode(text);
  if (size >= HF_SHORT_ID_BYTES + HF_KEY_BYTES) {
    HfShortId slot;
    HfKey secret;
    memcpy(slot.b, data, sizeof slot.b);
    memcpy(secret.b, data + sizeof slot.b, sizeof secret.b);
    g_autofree char *made = hf_paper_key_encode(&slot, &secret);
    g_assert_true(decode(made));
  }
  return 0;
}
