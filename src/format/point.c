/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "format/point.h"

#include "base/error.h"
#include "format/tree.h"

#define LABEL "holdfast point"
#define WHAT "the point"
#define FLAGS_KNOWN (HF_POINT_LIVE | HF_POINT_WARNINGS)
#define SEALED_MAX (16u << 20)
#define COOKIE_MAX (1u << 20)

/* ---- Details ---- */

static void root_free(gpointer data)
{
  HfPointRoot *root = data;
  g_bytes_unref(root->path);
  g_clear_pointer(&root->cookie, g_bytes_unref);
  g_free(root);
}

HfPointRoot *hf_point_root_new(const void *path, gsize length, guint8 kind)
{
  HfPointRoot *root = g_new0(HfPointRoot, 1);
  root->path = g_bytes_new(path, length);
  root->kind = kind;
  return root;
}

HfPointDetails *hf_point_details_new(void)
{
  HfPointDetails *details = g_new0(HfPointDetails, 1);
  details->tags = g_ptr_array_new_with_free_func(g_free);
  details->roots = g_ptr_array_new_with_free_func(root_free);
  return details;
}

void hf_point_details_free(HfPointDetails *details)
{
  if (details == NULL)
    return;
  g_free(details->name);
  g_free(details->host);
  g_free(details->user);
  g_free(details->program);
  g_ptr_array_unref(details->tags);
  g_ptr_array_unref(details->roots);
  g_free(details);
}

static void put_g_bytes(GByteArray *out, GBytes *bytes)
{
  gsize length = 0;
  const void *data = bytes != NULL ? g_bytes_get_data(bytes, &length) : NULL;
  hf_put_bytes(out, data, length);
}

void hf_point_details_encode(const HfPointDetails *details, GByteArray *plain)
{
  hf_put_text(plain, details->name);
  hf_put_text(plain, details->host);
  hf_put_text(plain, details->user);
  hf_put_text(plain, details->program);
  hf_put_i64(plain, details->started);
  hf_put_i64(plain, details->ended);
  hf_put_varint(plain, details->tags->len);
  for (guint i = 0; i < details->tags->len; i++)
    hf_put_text(plain, g_ptr_array_index(details->tags, i));
  hf_put_u64(plain, details->files);
  hf_put_u64(plain, details->directories);
  hf_put_u64(plain, details->bytes);
  hf_put_u64(plain, details->new_bytes);
  hf_put_u64(plain, details->stored_bytes);
  hf_put_u64(plain, details->warnings);
  hf_put_varint(plain, details->roots->len);
  for (guint i = 0; i < details->roots->len; i++) {
    const HfPointRoot *root = g_ptr_array_index(details->roots, i);
    put_g_bytes(plain, root->path);
    hf_put_u8(plain, root->kind);
    hf_put_u64(plain, root->entries);
    put_g_bytes(plain, root->cookie);
  }
}

static void get_tags(HfReader *reader, GPtrArray *tags)
{
  guint count = hf_get_count(reader, 1);
  for (guint i = 0; i < count && !reader->failed; i++) {
    char *tag = hf_get_text(reader, HF_TEXT_MAX);
    if (tag != NULL)
      g_ptr_array_add(tags, tag);
  }
}

/* The least that a root takes: path of one byte, kind, entries, no cookie. */
#define ROOT_BYTES (2 + 1 + 8 + 1)

static void get_roots(HfReader *reader, GPtrArray *roots)
{
  guint count = hf_get_count(reader, ROOT_BYTES);
  for (guint i = 0; i < count && !reader->failed; i++) {
    HfView path = hf_get_bytes(reader, HF_PATH_MAX);
    guint8 kind = hf_get_u8(reader);
    guint64 entries = hf_get_u64(reader);
    HfView cookie = hf_get_bytes(reader, COOKIE_MAX);
    if (!hf_path_valid(path) || (kind != 1 && kind != 2))
      hf_reader_fail(reader);
    HfPointRoot *root = hf_point_root_new(path.data, path.length, kind);
    root->entries = entries;
    root->cookie = cookie.length > 0 ? g_bytes_new(cookie.data, cookie.length) : NULL;
    g_ptr_array_add(roots, root);
  }
}

HfPointDetails *hf_point_details_decode(const void *plain, gsize length, GError **error)
{
  g_autoptr(HfPointDetails) details = hf_point_details_new();
  HfReader reader = hf_reader(plain, length);
  details->name = hf_get_text(&reader, HF_TEXT_MAX);
  details->host = hf_get_text(&reader, HF_TEXT_MAX);
  details->user = hf_get_text(&reader, HF_TEXT_MAX);
  details->program = hf_get_text(&reader, HF_TEXT_MAX);
  details->started = hf_get_i64(&reader);
  details->ended = hf_get_i64(&reader);
  get_tags(&reader, details->tags);
  details->files = hf_get_u64(&reader);
  details->directories = hf_get_u64(&reader);
  details->bytes = hf_get_u64(&reader);
  details->new_bytes = hf_get_u64(&reader);
  details->stored_bytes = hf_get_u64(&reader);
  details->warnings = hf_get_u64(&reader);
  get_roots(&reader, details->roots);
  if (!hf_reader_done(&reader, "the sealed part of the point", error))
    return NULL;
  return g_steal_pointer(&details);
}

/* ---- Points ---- */

void hf_point_clear(HfPoint *point)
{
  g_clear_pointer(&point->sealed, g_bytes_unref);
  memset(point, 0, sizeof *point);
}

void hf_point_clear_part(const HfPoint *point, gboolean zero_id, GByteArray *out)
{
  if (zero_id)
    hf_put_zeros(out, HF_SHORT_ID_BYTES);
  else
    hf_put_raw(out, point->id.b, HF_SHORT_ID_BYTES);
  hf_put_raw(out, point->session.b, HF_SHORT_ID_BYTES);
  hf_put_raw(out, point->writer.b, HF_SHORT_ID_BYTES);
  hf_put_u32(out, point->domain);
  hf_put_raw(out, point->source.b, HF_SHORT_ID_BYTES);
  hf_put_raw(out, point->roots.b, HF_ID_BYTES);
  hf_put_u32(out, point->flags);
  hf_put_session_slot(out, &point->slot);
}

/* What is signed, with zeros for the id, which comes from it. */
static GByteArray *signed_part(const HfPoint *point, gboolean zero_id)
{
  GByteArray *part = g_byte_array_new();
  hf_point_clear_part(point, zero_id, part);
  hf_put_raw(part, point->nonce, HF_NONCE_BYTES);
  put_g_bytes(part, point->sealed);
  return part;
}

static void id_of(const GByteArray *part, HfShortId *id)
{
  guint8 digest[32];
  hf_sha256(part->data, part->len, digest);
  memcpy(id->b, digest, HF_SHORT_ID_BYTES);
}

void hf_point_sign(HfPoint *point, const HfKey *seed)
{
  g_autoptr(GByteArray) part = signed_part(point, TRUE);
  id_of(part, &point->id);
  hf_sign(seed, LABEL, part->data, part->len, point->signature);
}

gboolean hf_point_verify(const HfPoint *point, const guint8 writer_public[32])
{
  g_autoptr(GByteArray) part = signed_part(point, TRUE);
  return hf_signature_valid(writer_public, LABEL, part->data, part->len, point->signature);
}

GBytes *hf_point_encode(const HfPoint *point)
{
  g_autoptr(GByteArray) body = signed_part(point, FALSE);
  hf_put_raw(body, point->signature, HF_SIGNATURE_BYTES);
  hf_put_u64(body, point->sequence);
  hf_put_i64(body, point->time);
  hf_put_u64(body, point->lock);
  return hf_record_finish(HF_RECORD_POINT, body, NULL, NULL);
}

/* The slot in a point is the one of its session; the id is computed from the rest. */
static gboolean consistent(const HfPoint *point)
{
  HfShortId id;
  g_autoptr(GByteArray) part = signed_part(point, TRUE);
  id_of(part, &id);
  return (point->flags & ~FLAGS_KNOWN) == 0 && hf_short_id_equal(&point->session, &point->slot.session) &&
    hf_short_id_equal(&point->writer, &point->slot.writer) && point->domain == point->slot.domain &&
    hf_short_id_equal(&point->id, &id);
}

gboolean hf_point_decode(GBytes *record, HfPoint *point, GError **error)
{
  gsize length;
  const void *bytes = g_bytes_get_data(record, &length);
  HfView body;
  memset(point, 0, sizeof *point);
  if (!hf_record_open(bytes, length, HF_RECORD_POINT, WHAT, &body, error))
    return FALSE;
  HfReader reader = hf_reader(body.data, body.length);
  hf_get_raw(&reader, point->id.b, HF_SHORT_ID_BYTES);
  hf_get_raw(&reader, point->session.b, HF_SHORT_ID_BYTES);
  hf_get_raw(&reader, point->writer.b, HF_SHORT_ID_BYTES);
  point->domain = hf_get_u32(&reader);
  hf_get_raw(&reader, point->source.b, HF_SHORT_ID_BYTES);
  hf_get_raw(&reader, point->roots.b, HF_ID_BYTES);
  point->flags = hf_get_u32(&reader);
  hf_get_session_slot(&reader, &point->slot);
  hf_get_raw(&reader, point->nonce, HF_NONCE_BYTES);
  HfView sealed = hf_get_bytes(&reader, SEALED_MAX);
  hf_get_raw(&reader, point->signature, HF_SIGNATURE_BYTES);
  point->sequence = hf_get_u64(&reader);
  point->time = hf_get_i64(&reader);
  point->lock = hf_get_u64(&reader);
  point->sealed = g_bytes_new(sealed.data, sealed.length);
  if (sealed.length <= HF_TAG_BYTES || !consistent(point))
    hf_reader_fail(&reader);
  if (hf_reader_done(&reader, WHAT, error))
    return TRUE;
  hf_point_clear(point);
  return FALSE;
}
