/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/message.h"

#include "base/error.h"

#define LABEL_BYTES 1 /* of a presence flag */

static gconstpointer at(gconstpointer message, gsize offset)
{
  return (const guint8 *)message + offset;
}

static gpointer at_mutable(gpointer message, gsize offset)
{
  return (guint8 *)message + offset;
}

/* Bytes that one value of the field takes in memory. */
static gsize value_size(const HfMessageField *field)
{
  switch (field->type) {
  case HF_MESSAGE_U8:
    return sizeof(guint8);
  case HF_MESSAGE_U16:
    return sizeof(guint16);
  case HF_MESSAGE_U32:
  case HF_MESSAGE_BOOL:
  case HF_MESSAGE_ENUM:
    return sizeof(guint32);
  case HF_MESSAGE_U64:
  case HF_MESSAGE_I64:
    return sizeof(guint64);
  case HF_MESSAGE_ID16:
    return sizeof(HfShortId);
  case HF_MESSAGE_ID32:
    return sizeof(HfId);
  case HF_MESSAGE_STRUCT:
    return field->of->size;
  case HF_MESSAGE_TEXT:
  case HF_MESSAGE_BYTES:
  default:
    return sizeof(gpointer);
  }
}

/* TRUE for values that are a pointer in the struct, NULL when absent. */
static gboolean is_pointer(const HfMessageField *field)
{
  return field->type == HF_MESSAGE_TEXT || field->type == HF_MESSAGE_BYTES ||
         (field->type == HF_MESSAGE_STRUCT && (field->flags & HF_MESSAGE_OPTIONAL) != 0);
}

/* The number that a value is written as. */
static guint64 value_number(const HfMessageField *field, gconstpointer value)
{
  switch (field->type) {
  case HF_MESSAGE_U8:
    return *(const guint8 *)value;
  case HF_MESSAGE_U16:
    return *(const guint16 *)value;
  case HF_MESSAGE_U32:
  case HF_MESSAGE_ENUM:
    return *(const guint32 *)value;
  case HF_MESSAGE_BOOL:
    return *(const gboolean *)value != FALSE;
  case HF_MESSAGE_I64:
    return hf_zigzag(*(const gint64 *)value);
  default:
    return *(const guint64 *)value;
  }
}

static gsize varint_size(guint64 value)
{
  gsize size = 1;
  for (; value >= 0x80; value >>= 7)
    size++;
  return size;
}

/* ---- Clearing ---- */

static void clear_value(const HfMessageField *field, gpointer value)
{
  gboolean secret = (field->flags & HF_MESSAGE_SECRET) != 0;
  if (field->type == HF_MESSAGE_TEXT) {
    char **text = value;
    if (secret && *text != NULL)
      hf_wipe(*text, strlen(*text));
    g_clear_pointer(text, g_free);
  } else if (field->type == HF_MESSAGE_BYTES) {
    g_clear_pointer((GBytes **)value, g_bytes_unref);
  } else if (field->type == HF_MESSAGE_STRUCT) {
    hf_message_clear(field->of, value);
  }
}

static void clear_list(const HfMessageField *field, gpointer message)
{
  guint8 **items = at_mutable(message, field->offset);
  guint count = *(guint *)at_mutable(message, field->beside);
  gsize size = value_size(field);
  for (guint i = 0; i < count; i++)
    clear_value(field, *items + i * size);
  if ((field->flags & HF_MESSAGE_SECRET) != 0 && *items != NULL)
    hf_wipe(*items, count * size);
  g_free(*items);
}

void hf_message_clear(const HfMessageKind *kind, gpointer message)
{
  for (guint i = 0; i < kind->count; i++) {
    const HfMessageField *field = &kind->fields[i];
    gpointer member = at_mutable(message, field->offset);
    if ((field->flags & HF_MESSAGE_LIST) != 0) {
      clear_list(field, message);
    } else if (field->type == HF_MESSAGE_STRUCT && is_pointer(field)) {
      gpointer *inner = member;
      if (*inner != NULL)
        hf_message_clear(field->of, *inner);
      g_free(*inner);
    } else {
      clear_value(field, member);
    }
  }
  if (kind->secret)
    hf_wipe(message, kind->size);
  memset(message, 0, kind->size);
}

/* ---- Encoding: one pass that counts and judges, one that writes what was counted. ---- */

static gboolean kind_size(const HfMessageKind *kind, gconstpointer message, gsize *size, GError **error);

static gboolean known_value(const HfMessageField *field, guint64 value)
{
  for (guint i = 0; i < field->n_values; i++) {
    if (field->values[i] == value)
      return TRUE;
  }
  return FALSE;
}

static gboolean text_size(const HfMessageKind *kind, const HfMessageField *field, const char *text, gsize *size,
                          GError **error)
{
  gsize length = text != NULL ? strlen(text) : 0;
  if (length > field->max)
    return hf_fail(error, HF_ERROR_USAGE, "%s: '%s' has %" G_GSIZE_FORMAT " bytes; at most %u can be sent", kind->name,
                   field->name, length, field->max);
  if (text != NULL && !g_utf8_validate(text, -1, NULL))
    return hf_fail(error, HF_ERROR_USAGE, "%s: '%s' is not UTF-8; only UTF-8 can be sent", kind->name, field->name);
  *size += varint_size(length) + length;
  return TRUE;
}

static gboolean bytes_size(const HfMessageKind *kind, const HfMessageField *field, GBytes *bytes, gsize *size,
                           GError **error)
{
  gsize length = bytes != NULL ? g_bytes_get_size(bytes) : 0;
  if (length > field->max)
    return hf_fail(error, HF_ERROR_USAGE, "%s: '%s' has %" G_GSIZE_FORMAT " bytes; at most %u can be sent", kind->name,
                   field->name, length, field->max);
  *size += varint_size(length) + length;
  return TRUE;
}

static gboolean size_value(const HfMessageKind *kind, const HfMessageField *field, gconstpointer value, gsize *size,
                           GError **error)
{
  gsize inner = 0;
  switch (field->type) {
  case HF_MESSAGE_TEXT:
    return text_size(kind, field, *(char *const *)value, size, error);
  case HF_MESSAGE_BYTES:
    return bytes_size(kind, field, *(GBytes *const *)value, size, error);
  case HF_MESSAGE_STRUCT:
    if (!kind_size(field->of, value, &inner, error))
      return FALSE;
    *size += varint_size(inner) + inner;
    return TRUE;
  case HF_MESSAGE_ID16:
  case HF_MESSAGE_ID32:
    *size += value_size(field);
    return TRUE;
  case HF_MESSAGE_U8:
  case HF_MESSAGE_BOOL:
    *size += 1;
    return TRUE;
  case HF_MESSAGE_ENUM:
    if (!known_value(field, value_number(field, value)))
      return hf_fail(error, HF_ERROR_USAGE, "%s: '%s' has no value %u", kind->name, field->name,
                     (guint)value_number(field, value));
    break;
  default:
    break;
  }
  *size += varint_size(value_number(field, value));
  return TRUE;
}

/* The value of an optional field, NULL when absent. */
static gconstpointer optional_value(const HfMessageField *field, gconstpointer message)
{
  gconstpointer member = at(message, field->offset);
  if (!is_pointer(field))
    return *(const gboolean *)at(message, field->beside) ? member : NULL;
  gconstpointer pointer = *(gconstpointer const *)member;
  if (pointer == NULL)
    return NULL;
  return field->type == HF_MESSAGE_STRUCT ? pointer : member;
}

static gboolean size_field(const HfMessageKind *kind, const HfMessageField *field, gconstpointer message, gsize *size,
                           GError **error)
{
  gconstpointer member = at(message, field->offset);
  if ((field->flags & HF_MESSAGE_OPTIONAL) != 0) {
    gconstpointer value = optional_value(field, message);
    *size += LABEL_BYTES;
    return value == NULL || size_value(kind, field, value, size, error);
  }
  if ((field->flags & HF_MESSAGE_LIST) == 0)
    return size_value(kind, field, member, size, error);

  const guint8 *items = *(const guint8 *const *)member;
  guint count = *(const guint *)at(message, field->beside);
  if (count > field->list)
    return hf_fail(error, HF_ERROR_USAGE, "%s: '%s' has %u elements; at most %u can be sent", kind->name, field->name,
                   count, field->list);
  *size += varint_size(count);
  for (guint i = 0; i < count; i++) {
    if (!size_value(kind, field, items + i * value_size(field), size, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean kind_size(const HfMessageKind *kind, gconstpointer message, gsize *size, GError **error)
{
  for (guint i = 0; i < kind->count; i++) {
    if (!size_field(kind, &kind->fields[i], message, size, error))
      return FALSE;
  }
  return TRUE;
}

static guint8 *write_kind(const HfMessageKind *kind, gconstpointer message, guint8 *out);

static guint8 *write_block(guint8 *out, const void *bytes, gsize length)
{
  out = hf_store_varint(out, length);
  if (length > 0)
    memcpy(out, bytes, length);
  return out + length;
}

static guint8 *write_value(const HfMessageField *field, gconstpointer value, guint8 *out)
{
  gsize length = 0;
  switch (field->type) {
  case HF_MESSAGE_TEXT: {
    const char *text = *(char *const *)value;
    return write_block(out, text, text != NULL ? strlen(text) : 0);
  }
  case HF_MESSAGE_BYTES: {
    GBytes *bytes = *(GBytes *const *)value;
    const void *data = bytes != NULL ? g_bytes_get_data(bytes, &length) : NULL;
    return write_block(out, data, length);
  }
  case HF_MESSAGE_STRUCT:
    /* It was judged already: this only counts. */
    (void)kind_size(field->of, value, &length, NULL);
    return write_kind(field->of, value, hf_store_varint(out, length));
  case HF_MESSAGE_ID16:
  case HF_MESSAGE_ID32:
    memcpy(out, value, value_size(field));
    return out + value_size(field);
  case HF_MESSAGE_U8:
  case HF_MESSAGE_BOOL:
    *out = (guint8)value_number(field, value);
    return out + 1;
  default:
    return hf_store_varint(out, value_number(field, value));
  }
}

static guint8 *write_field(const HfMessageField *field, gconstpointer message, guint8 *out)
{
  gconstpointer member = at(message, field->offset);
  if ((field->flags & HF_MESSAGE_OPTIONAL) != 0) {
    gconstpointer value = optional_value(field, message);
    *out++ = value != NULL;
    return value != NULL ? write_value(field, value, out) : out;
  }
  if ((field->flags & HF_MESSAGE_LIST) == 0)
    return write_value(field, member, out);

  const guint8 *items = *(const guint8 *const *)member;
  guint count = *(const guint *)at(message, field->beside);
  out = hf_store_varint(out, count);
  for (guint i = 0; i < count; i++)
    out = write_value(field, items + i * value_size(field), out);
  return out;
}

static guint8 *write_kind(const HfMessageKind *kind, gconstpointer message, guint8 *out)
{
  for (guint i = 0; i < kind->count; i++)
    out = write_field(&kind->fields[i], message, out);
  return out;
}

typedef struct Secret {
  gsize length;
  guint8 bytes[];
} Secret;

static void free_secret(gpointer data)
{
  Secret *secret = data;
  hf_wipe(secret->bytes, secret->length);
  g_free(secret);
}

static Secret *new_secret(gsize length)
{
  Secret *secret = g_malloc(sizeof *secret + length);
  secret->length = length;
  return secret;
}

GBytes *hf_message_secret(const void *bytes, gsize length)
{
  Secret *secret = new_secret(length);
  if (length > 0)
    memcpy(secret->bytes, bytes, length);
  return g_bytes_new_with_free_func(secret->bytes, length, free_secret, secret);
}

GBytes *hf_message_encode(const HfMessageKind *kind, gconstpointer message, GError **error)
{
  gsize size = 0;
  if (!kind_size(kind, message, &size, error))
    return NULL;
  if (size > HF_MESSAGE_MAX) {
    hf_fail(error, HF_ERROR_USAGE, "%s: %" G_GSIZE_FORMAT " bytes are too many; at most %u can be sent", kind->name,
            size, HF_MESSAGE_MAX);
    return NULL;
  }
  Secret *secret = new_secret(size);
  guint8 *end = write_kind(kind, message, secret->bytes);
  g_assert(end == secret->bytes + size);
  return g_bytes_new_with_free_func(secret->bytes, size, kind->secret ? free_secret : g_free, secret);
}

/* ---- Decoding ---- */

typedef struct Decoder {
  HfReader reader;
  gboolean no_memory;
} Decoder;

static void read_kind(const HfMessageKind *kind, Decoder *decoder, gpointer message);

/* The fewest bytes that one value takes on the wire. */
static gsize least_size(const HfMessageField *field)
{
  return field->type == HF_MESSAGE_ID16 || field->type == HF_MESSAGE_ID32 ? value_size(field) : 1;
}

/* Memory for what is there: tried, because a message decides how much. Zeroed. */
static gpointer try_memory(Decoder *decoder, gsize count, gsize size)
{
  gpointer memory = decoder->reader.failed ? NULL : g_try_malloc0_n(count, size);
  if (memory == NULL && !decoder->reader.failed) {
    decoder->no_memory = TRUE;
    hf_reader_fail(&decoder->reader);
  }
  return memory;
}

static void read_text(const HfMessageField *field, Decoder *decoder, char **text)
{
  HfView view = hf_get_bytes(&decoder->reader, field->max);
  if (!decoder->reader.failed && !g_utf8_validate_len((const char *)view.data, view.length, NULL))
    hf_reader_fail(&decoder->reader);
  *text = try_memory(decoder, view.length + 1, 1);
  if (*text != NULL)
    memcpy(*text, view.data, view.length);
}

static void read_bytes(const HfMessageField *field, Decoder *decoder, GBytes **bytes)
{
  HfView view = hf_get_bytes(&decoder->reader, field->max);
  if (decoder->reader.failed)
    return;
  Secret *secret = try_memory(decoder, sizeof *secret + view.length, 1);
  if (secret == NULL)
    return;
  secret->length = view.length;
  memcpy(secret->bytes, view.data, view.length);
  gboolean wipe = (field->flags & HF_MESSAGE_SECRET) != 0;
  *bytes = g_bytes_new_with_free_func(secret->bytes, view.length, wipe ? free_secret : g_free, secret);
}

static void read_inner(const HfMessageField *field, Decoder *decoder, gpointer value)
{
  HfView view = hf_get_bytes(&decoder->reader, G_MAXUINT32);
  if (decoder->reader.failed)
    return;
  Decoder inner = { hf_reader(view.data, view.length), FALSE };
  read_kind(field->of, &inner, value);
  decoder->no_memory = inner.no_memory;
  if (inner.reader.failed)
    hf_reader_fail(&decoder->reader);
}

static gboolean read_flag(HfReader *reader)
{
  guint8 flag = hf_get_u8(reader);
  if (flag > 1)
    hf_reader_fail(reader);
  return flag == 1;
}

static void read_enum(const HfMessageField *field, HfReader *reader, guint32 *value)
{
  *value = (guint32)hf_get_varint(reader, G_MAXUINT32);
  if (!known_value(field, *value))
    hf_reader_fail(reader);
}

static void read_value(const HfMessageField *field, Decoder *decoder, gpointer value)
{
  HfReader *reader = &decoder->reader;
  switch (field->type) {
  case HF_MESSAGE_U8:
    *(guint8 *)value = hf_get_u8(reader);
    break;
  case HF_MESSAGE_U16:
    *(guint16 *)value = (guint16)hf_get_varint(reader, G_MAXUINT16);
    break;
  case HF_MESSAGE_U32:
    *(guint32 *)value = (guint32)hf_get_varint(reader, G_MAXUINT32);
    break;
  case HF_MESSAGE_U64:
    *(guint64 *)value = hf_get_varint(reader, G_MAXUINT64);
    break;
  case HF_MESSAGE_I64:
    *(gint64 *)value = hf_get_zigzag(reader);
    break;
  case HF_MESSAGE_BOOL:
    *(gboolean *)value = read_flag(reader);
    break;
  case HF_MESSAGE_TEXT:
    read_text(field, decoder, value);
    break;
  case HF_MESSAGE_BYTES:
    read_bytes(field, decoder, value);
    break;
  case HF_MESSAGE_ID16:
  case HF_MESSAGE_ID32:
    hf_get_raw(reader, value, value_size(field));
    break;
  case HF_MESSAGE_ENUM:
    read_enum(field, reader, value);
    break;
  case HF_MESSAGE_STRUCT:
  default:
    read_inner(field, decoder, value);
    break;
  }
}

static void read_optional(const HfMessageField *field, Decoder *decoder, gpointer message)
{
  gpointer member = at_mutable(message, field->offset);
  if (!read_flag(&decoder->reader) || decoder->reader.failed)
    return;
  if (field->type == HF_MESSAGE_STRUCT) {
    gpointer inner = *(gpointer *)member = try_memory(decoder, 1, field->of->size);
    if (inner != NULL)
      read_value(field, decoder, inner);
    return;
  }
  if (!is_pointer(field))
    *(gboolean *)at_mutable(message, field->beside) = TRUE;
  read_value(field, decoder, member);
}

/* Elements that there is room for in a list of `count`: the next power of two, so that at least one of zeros stands
 * behind the last (lists of texts end by NULL), and hf_message_grow knows when it is full. */
static gsize list_room(guint count)
{
  return (gsize)1 << g_bit_storage(count);
}

static void read_list(const HfMessageField *field, Decoder *decoder, gpointer message)
{
  HfReader *reader = &decoder->reader;
  guint count = hf_get_count(reader, least_size(field));
  if (count > field->list)
    hf_reader_fail(reader);
  if (reader->failed || count == 0)
    return;
  guint8 *items = try_memory(decoder, list_room(count), value_size(field));
  *(gpointer *)at_mutable(message, field->offset) = items;
  *(guint *)at_mutable(message, field->beside) = items != NULL ? count : 0;
  for (guint i = 0; i < count && !reader->failed; i++)
    read_value(field, decoder, items + i * value_size(field));
}

/* What a field that an older sender left out is: an empty text or empty bytes are never NULL. */
static void set_absent(const HfMessageField *field, gpointer message)
{
  if ((field->flags & (HF_MESSAGE_OPTIONAL | HF_MESSAGE_LIST)) != 0)
    return;
  gpointer member = at_mutable(message, field->offset);
  if (field->type == HF_MESSAGE_TEXT)
    *(char **)member = g_strdup("");
  else if (field->type == HF_MESSAGE_BYTES)
    *(GBytes **)member = g_bytes_new_static("", 0);
}

static void read_kind(const HfMessageKind *kind, Decoder *decoder, gpointer message)
{
  for (guint i = 0; i < kind->count && !decoder->reader.failed; i++) {
    const HfMessageField *field = &kind->fields[i];
    if ((field->flags & HF_MESSAGE_LATE) != 0 && hf_reader_left(&decoder->reader) == 0)
      set_absent(field, message);
    else if ((field->flags & HF_MESSAGE_OPTIONAL) != 0)
      read_optional(field, decoder, message);
    else if ((field->flags & HF_MESSAGE_LIST) != 0)
      read_list(field, decoder, message);
    else
      read_value(field, decoder, at_mutable(message, field->offset));
  }
}

gboolean hf_message_decode(const HfMessageKind *kind, const void *bytes, gsize length, gpointer message,
                           GError **error)
{
  Decoder decoder = { hf_reader(bytes, length), FALSE };
  read_kind(kind, &decoder, message);
  if (!decoder.reader.failed)
    return TRUE;
  hf_message_clear(kind, message);
  if (decoder.no_memory)
    return hf_fail(error, HF_ERROR_FAILED, "%s: out of memory", kind->name);
  return hf_fail(error, HF_ERROR_INVALID, "%s is malformed", kind->name);
}

/* ---- The rest ---- */

void hf_message_grow(void *items, guint *count, gsize size)
{
  guint8 **list = items;
  if (*list == NULL || list_room(*count) != list_room(*count + 1))
    *list = g_realloc_n(*list, list_room(*count + 1), size);
  memset(*list + *count * size, 0, 2 * size);
  (*count)++;
}

gboolean hf_message_call(HfRpc *rpc, guint method, const HfMessageKind *request_kind, gconstpointer request,
                         const HfMessageKind *reply_kind, gpointer reply, int timeout_ms, GError **error)
{
  g_autoptr(GBytes) question = NULL;
  if (request_kind != NULL) {
    question = hf_message_encode(request_kind, request, error);
    if (question == NULL)
      return FALSE;
  }
  g_autoptr(GBytes) answer = hf_rpc_call(rpc, method, question, timeout_ms, error);
  if (answer == NULL)
    return FALSE;
  gsize length;
  const void *data = g_bytes_get_data(answer, &length);
  return reply_kind == NULL || hf_message_decode(reply_kind, data, length, reply, error);
}
