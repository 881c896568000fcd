/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/preamble.h"

#include <string.h>

#include "base/error.h"

#define MAGIC "HFT1"
#define ANSWER_MAX 8192u
#define PREAMBLE_BYTES 40u
#define MESSAGE_MAX 1000 /* characters */

void hf_put_error(GByteArray *body, const GError *error)
{
  hf_put_u8(body, error != NULL);
  if (error == NULL)
    return;
  hf_put_varint(body, (guint64)(error->domain == HF_ERROR ? error->code : HF_ERROR_FAILED));
  g_autofree char *valid = g_utf8_make_valid(error->message, -1);
  g_autofree char *cut = g_utf8_substring(valid, 0, MIN(g_utf8_strlen(valid, -1), MESSAGE_MAX));
  hf_put_text(body, cut);
}

gboolean hf_get_error(HfReader *reader, GError **error)
{
  if (hf_get_u8(reader) == 0)
    return !reader->failed || hf_fail(error, HF_ERROR_INVALID, "an answer is malformed");
  int code = (int)hf_get_varint(reader, 1000);
  g_autofree char *message = hf_get_text(reader, HF_TEXT_MAX);
  if (message == NULL)
    return hf_fail(error, HF_ERROR_INVALID, "an answer is malformed");
  /* A code of a newer version is still an error, and so is one that says that there is none. */
  gboolean known = strcmp(hf_error_code_name(code), "unknown") != 0;
  return hf_fail(error, known ? (HfErrorCode)code : HF_ERROR_FAILED, "%s", message);
}

gboolean hf_preamble_hear(HfChannel *channel, GError **error)
{
  guint8 length[4], body[ANSWER_MAX];
  if (!hf_channel_read(channel, length, sizeof length, error))
    return FALSE;
  guint32 size = hf_load_u32(length);
  if (size > sizeof body)
    return hf_fail(error, HF_ERROR_INVALID, "%s answers nonsense", hf_channel_peer(channel));
  if (!hf_channel_read(channel, body, size, error))
    return FALSE;
  HfReader reader = hf_reader(body, size);
  return hf_get_error(&reader, error) && hf_reader_done(&reader, "the answer to a ticket", error);
}

void hf_preamble_put(GByteArray *out, const guint8 token[32], guint16 port)
{
  hf_put_raw(out, MAGIC, 4);
  hf_put_raw(out, token, 32);
  hf_put_u16(out, port);
  hf_put_u16(out, 0);
}

gboolean hf_preamble_show(HfChannel *channel, const guint8 token[32], guint16 port, GError **error)
{
  g_autoptr(GByteArray) bytes = g_byte_array_sized_new(PREAMBLE_BYTES);
  hf_preamble_put(bytes, token, port);
  gboolean sent = hf_channel_send(channel, bytes->data, bytes->len, error);
  hf_wipe(bytes->data, bytes->len);
  return sent && hf_preamble_hear(channel, error);
}

gboolean hf_preamble_read(HfChannel *channel, guint8 token[32], guint16 *port, GError **error)
{
  guint8 bytes[PREAMBLE_BYTES];
  if (!hf_channel_read(channel, bytes, sizeof bytes, error))
    return FALSE;
  gboolean sound = memcmp(bytes, MAGIC, 4) == 0 && hf_load_u16(bytes + 38) == 0;
  memcpy(token, bytes + 4, 32);
  *port = hf_load_u16(bytes + 36);
  hf_wipe(bytes, sizeof bytes);
  return sound || hf_fail(error, HF_ERROR_INVALID, "%s shows no ticket", hf_channel_peer(channel));
}

gboolean hf_preamble_answer(HfChannel *channel, const GError *refusal, GError **error)
{
  g_autoptr(GByteArray) body = g_byte_array_new();
  hf_put_u32(body, 0);
  hf_put_error(body, refusal);
  hf_store_u32(body->data, body->len - 4);
  return hf_channel_send(channel, body->data, body->len, error);
}
