/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/error.h"
#include "format/repository.h"

#define LABEL "holdfast writer"
#define WHAT "the writer"

void hf_writer_clear(HfWriter *writer)
{
  g_free(writer->name);
  memset(writer, 0, sizeof *writer);
}

GBytes *hf_writer_encode(const HfWriter *writer, const HfKey *admin_seed)
{
  g_autoptr(GByteArray) body = g_byte_array_new();
  hf_put_raw(body, writer->id.b, HF_SHORT_ID_BYTES);
  hf_put_raw(body, writer->public_key, sizeof writer->public_key);
  hf_put_u32(body, writer->domain);
  hf_put_raw(body, writer->state_public, sizeof writer->state_public);
  hf_put_u32(body, writer->generation);
  hf_put_raw(body, writer->sealed_domain_key, sizeof writer->sealed_domain_key);
  hf_put_i64(body, writer->created);
  hf_put_text(body, writer->name);
  return hf_record_finish(HF_RECORD_WRITER, body, admin_seed, LABEL);
}

gboolean hf_writer_decode(GBytes *record, const guint8 admin_public[32], HfWriter *writer, GError **error)
{
  HfView body;
  memset(writer, 0, sizeof *writer);
  if (!hf_record_open_signed(record, HF_RECORD_WRITER, admin_public, LABEL, WHAT, &body, error))
    return FALSE;
  HfReader reader = hf_reader(body.data, body.length);
  hf_get_raw(&reader, writer->id.b, HF_SHORT_ID_BYTES);
  hf_get_raw(&reader, writer->public_key, sizeof writer->public_key);
  writer->domain = hf_get_u32(&reader);
  hf_get_raw(&reader, writer->state_public, sizeof writer->state_public);
  writer->generation = hf_get_u32(&reader);
  hf_get_raw(&reader, writer->sealed_domain_key, sizeof writer->sealed_domain_key);
  writer->created = hf_get_i64(&reader);
  writer->name = hf_get_text(&reader, HF_TEXT_MAX);
  if (hf_reader_done(&reader, WHAT, error))
    return TRUE;
  hf_writer_clear(writer);
  return FALSE;
}
