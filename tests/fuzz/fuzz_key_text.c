/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hf_key_text_decode: on the input as a text, and on a text made of it: the first byte chooses the line, the rest is
 * the body of the record. */
#include "format/repository.h"
#include "fuzz.h"

static char *text_of(const guint8 *body, gsize length, gboolean is_credential)
{
  HfRecordKind kind = is_credential ? HF_RECORD_CREDENTIAL : HF_RECORD_KEY_FILE;
  g_autoptr(GBytes) record = hf_record_wrap(kind, body, length);
  g_autofree char *encoded = g_base64_encode(g_bytes_get_data(record, NULL), g_bytes_get_size(record));
  GString *text = g_string_new(is_credential ? "holdfast credential 1\n" : "holdfast key file 1\n");
  for (gsize at = 0; at < strlen(encoded); at += 64)
    g_string_append_printf(text, "%.64s\n", encoded + at);
  return g_string_free(text, FALSE);
}

/* The text that was decoded, written anew; NULL when it was refused. */
static char *decode(const char *text, gsize length)
{
  HfKeyFile file;
  HfCredential credential;
  gboolean is_credential;
  GError *error = NULL;
  if (!fuzz_judge(hf_key_text_decode(text, length, &file, &credential, &is_credential, &error), &error))
    return NULL;
  char *again = is_credential ? hf_credential_encode(&credential) : hf_key_file_encode(&file);
  hf_credential_clear(&credential);
  return again;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  fuzz_begin();
  g_autofree char *first = decode((const char *)data, size);
  if (first != NULL) {
    g_autofree char *second = decode(first, strlen(first));
    g_assert_cmpstr(first, ==, second);
  }
  if (size > 0 && size < 4096) {
    g_autofree char *text = text_of(data + 1, size - 1, data[0] & 1);
    g_autofree char *again = decode(text, strlen(text));
    g_assert_true(again == NULL || strcmp(text, again) == 0);
  }
  return 0;
}
