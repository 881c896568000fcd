/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "storage/service/terms.h"

#include "base/error.h"
#include "format/cursor.h"

GBytes *hf_repository_terms_encode(const HfRepositoryTerms *terms)
{
  g_autoptr(GByteArray) out = g_byte_array_new();
  hf_put_u8(out, 1);
  hf_put_u8(out, terms->create ? 1 : 0);
  hf_put_u64(out, terms->lock);
  return g_byte_array_free_to_bytes(g_steal_pointer(&out));
}

gboolean hf_repository_terms_decode(GBytes *bytes, HfRepositoryTerms *terms, GError **error)
{
  HfReader reader = hf_reader(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
  guint8 version = hf_get_u8(&reader), flags = hf_get_u8(&reader);
  terms->lock = hf_get_u64(&reader);
  terms->create = (flags & 1) != 0;
  if (!hf_reader_done(&reader, "the terms of a ticket", error))
    return FALSE;
  return (version == 1 && flags <= 1) ||
    hf_fail(error, HF_ERROR_UNSUPPORTED, "the server asks for terms that this agent does not know; upgrade the agent");
}
