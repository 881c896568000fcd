/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/rpc_frame.h"

#include "base/error.h"
#include "format/cursor.h"

void hf_rpc_frame_encode(const HfRpcFrame *frame, guint8 out[HF_RPC_HEADER_BYTES])
{
  hf_store_u32(out, frame->length);
  out[4] = frame->type;
  out[5] = frame->flags;
  hf_store_u16(out + 6, frame->method);
  hf_store_u32(out + 8, frame->call);
}

/* What each type may have. */
typedef struct Rule {
  guint8 must, may; /* flags */
  gboolean of_call, method;
  guint32 least, most; /* bytes of the body; `most` 0 with `framed`: frame_max */
  gboolean framed;
} Rule;

static const Rule rules[] = {
  [HF_RPC_HELLO] = { 0, 0, FALSE, FALSE, 0, HF_RPC_HELLO_MAX, FALSE },
  [HF_RPC_CALL] = { 0, HF_RPC_END, TRUE, TRUE, 0, 0, TRUE },
  [HF_RPC_DATA] = { 0, HF_RPC_END | HF_RPC_ANSWER, TRUE, FALSE, 0, 0, TRUE },
  [HF_RPC_CREDIT] = { 0, HF_RPC_ANSWER, TRUE, FALSE, 4, 4, FALSE },
  [HF_RPC_REPLY] = { HF_RPC_ANSWER, HF_RPC_ANSWER, TRUE, FALSE, 0, 0, TRUE },
  [HF_RPC_ERROR] = { HF_RPC_ANSWER, HF_RPC_ANSWER, TRUE, FALSE, 2, HF_RPC_ERROR_MAX, FALSE },
  [HF_RPC_CANCEL] = { 0, 0, TRUE, FALSE, 0, 0, FALSE },
  [HF_RPC_PING] = { 0, 0, FALSE, FALSE, 0, 0, FALSE },
  [HF_RPC_PONG] = { 0, 0, FALSE, FALSE, 0, 0, FALSE },
  [HF_RPC_GOODBYE] = { 0, 0, FALSE, FALSE, 2, HF_RPC_ERROR_MAX, FALSE },
};

gboolean hf_rpc_frame_decode(const guint8 in[HF_RPC_HEADER_BYTES], guint32 frame_max, HfRpcFrame *frame, GError **error)
{
  *frame = (HfRpcFrame){ .length = hf_load_u32(in), .type = in[4], .flags = in[5], .method = hf_load_u16(in + 6),
                         .call = hf_load_u32(in + 8) };
  if (frame->type < HF_RPC_HELLO || frame->type >= G_N_ELEMENTS(rules))
    return hf_fail(error, HF_ERROR_INVALID, "a frame of unknown type %u", frame->type);
  const Rule *rule = &rules[frame->type];
  if ((frame->flags & rule->must) != rule->must || (frame->flags & ~(rule->must | rule->may)) != 0)
    return hf_fail(error, HF_ERROR_INVALID, "a frame of type %u with flags %u", frame->type, frame->flags);
  if ((frame->call != 0) != rule->of_call || (frame->method != 0) != rule->method)
    return hf_fail(error, HF_ERROR_INVALID, "a frame of type %u with call %u and method %u", frame->type, frame->call,
                   frame->method);
  if (frame->length < rule->least || frame->length > (rule->framed ? frame_max : rule->most))
    return hf_fail(error, HF_ERROR_INVALID, "a frame of type %u with %u bytes", frame->type, frame->length);
  if (frame->type == HF_RPC_DATA && frame->length == 0 && (frame->flags & HF_RPC_END) == 0)
    return hf_fail(error, HF_ERROR_INVALID, "an empty piece");
  return TRUE;
}

void hf_rpc_hello_clear(HfRpcHello *hello)
{
  g_clear_pointer(&hello->service, g_free);
  g_clear_pointer(&hello->program, g_free);
}

void hf_rpc_hello_encode(const HfRpcHello *hello, GByteArray *out)
{
  hf_put_u32(out, HF_RPC_MAGIC);
  hf_put_u16(out, hello->rpc_low);
  hf_put_u16(out, hello->rpc_high);
  hf_put_u16(out, hello->low);
  hf_put_u16(out, hello->high);
  hf_put_u32(out, hello->frame_max);
  hf_put_u32(out, hello->window);
  hf_put_u32(out, hello->max_calls);
  hf_put_text(out, hello->service);
  hf_put_text(out, hello->program);
}

gboolean hf_rpc_hello_decode(const guint8 *bytes, gsize length, HfRpcHello *hello, GError **error)
{
  HfReader reader = hf_reader(bytes, length);
  gboolean ours = hf_get_u32(&reader) == HF_RPC_MAGIC;
  hello->rpc_low = hf_get_u16(&reader);
  hello->rpc_high = hf_get_u16(&reader);
  hello->low = hf_get_u16(&reader);
  hello->high = hf_get_u16(&reader);
  hello->frame_max = hf_get_u32(&reader);
  hello->window = hf_get_u32(&reader);
  hello->max_calls = hf_get_u32(&reader);
  hello->service = hf_get_text(&reader, HF_RPC_NAME_MAX);
  hello->program = hf_get_text(&reader, HF_RPC_NAME_MAX);
  /* What follows is of a newer version. */
  if (!reader.failed && ours && hello->rpc_low <= hello->rpc_high && hello->low <= hello->high &&
      hello->frame_max > 0 && hello->window > 0 && hello->max_calls > 0)
    return TRUE;
  hf_rpc_hello_clear(hello);
  return hf_fail(error, HF_ERROR_INVALID, "the hello is malformed");
}

void hf_rpc_error_encode(const GError *error, GByteArray *out)
{
  const gsize room = HF_RPC_ERROR_MAX - 2 - HF_VARINT_BYTES;
  if (error == NULL) {
    hf_put_u16(out, 0);
    hf_put_text(out, "");
    return;
  }
  hf_put_u16(out, error->domain == HF_ERROR && error->code > 0 ? (guint16)error->code : HF_ERROR_FAILED);
  g_autofree char *message = g_utf8_make_valid(error->message, -1);
  if (strlen(message) > room) {
    const char *cut = g_utf8_find_prev_char(message, message + room);
    message[cut - message] = '\0';
  }
  hf_put_text(out, message);
}

gboolean hf_rpc_error_decode(const guint8 *bytes, gsize length, GError **said, GError **error)
{
  HfReader reader = hf_reader(bytes, length);
  guint16 code = hf_get_u16(&reader);
  g_autofree char *message = hf_get_text(&reader, HF_RPC_ERROR_MAX);
  if (reader.failed)
    return hf_fail(error, HF_ERROR_INVALID, "an error is malformed");
  *said = NULL;
  if (code == 0)
    return TRUE;
  /* A code of a newer version is still an error. */
  gboolean known = strcmp(hf_error_code_name(code), "unknown") != 0;
  *said = g_error_new_literal(HF_ERROR, known ? code : HF_ERROR_FAILED, message);
  return TRUE;
}
