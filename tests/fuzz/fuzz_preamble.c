/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What goes first over a data connection: a ticket as the side that was called reads it, and the answer as the side
 * that called reads it. The first byte says which. */
#include "fuzz.h"
#include "net/preamble.h"

#define INPUT_MAX (16u << 10)

static gboolean judge(gboolean done, GError **error)
{
  g_assert_true(done == (*error == NULL));
  g_assert_true(done || strcmp(hf_error_code_name((HfErrorCode)(*error)->code), "unknown") != 0);
  g_assert_true(done || g_utf8_validate((*error)->message, -1, NULL));
  g_clear_error(error);
  return done;
}

static void fuzz_ticket(HfChannel *channel, const uint8_t *data, size_t size)
{
  guint8 token[32];
  guint16 port;
  GError *error = NULL;
  if (!judge(hf_preamble_read(channel, token, &port, &error), &error))
    return;
  g_assert_true(size >= 40);
  fuzz_same(token, sizeof token, data + 4, 32);
  g_assert_true(port == hf_load_u16(data + 36));
}

static void fuzz_answer(HfChannel *channel, const uint8_t *data, size_t size)
{
  static const guint8 token[32] = { 7 };
  GError *error = NULL;
  if (judge(hf_preamble_show(channel, token, 0, &error), &error))
    g_assert_true(size >= 5 && hf_load_u32(data) == 1 && data[4] == 0);
}

/* What was put comes out as it was. */
static void fuzz_error(const uint8_t *data, size_t size)
{
  g_autofree char *text = g_strndup((const char *)data, size);
  g_autoptr(GByteArray) body = g_byte_array_new();
  g_autoptr(GError) put = g_error_new_literal(HF_ERROR, HF_ERROR_REFUSED, text);
  GError *error = NULL;
  hf_put_error(body, put);
  HfReader reader = hf_reader(body->data, body->len);
  g_assert_false(hf_get_error(&reader, &error));
  g_assert_true(!reader.failed && hf_error_is(error, HF_ERROR_REFUSED));
  if (g_utf8_validate(text, -1, NULL) && g_utf8_strlen(text, -1) <= 1000)
    g_assert_cmpstr(error->message, ==, text);
  g_clear_error(&error);
  HfReader raw = hf_reader(data, size);
  judge(hf_get_error(&raw, &error), &error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  HfChannel *ours, *theirs;
  if (size == 0 || size > INPUT_MAX)
    return 0;
  if (data[0] % 3 == 2) {
    fuzz_error(data + 1, size - 1);
    return 0;
  }
  g_assert_true(hf_channel_pair(&ours, &theirs, NULL));
  g_assert_true(hf_channel_send(theirs, data + 1, size - 1, NULL));
  g_assert_true(hf_channel_end(theirs, NULL));
  (data[0] % 3 == 0 ? fuzz_ticket : fuzz_answer)(ours, data + 1, size - 1);
  hf_channel_free(ours);
  hf_channel_free(theirs);
  return 0;
}
