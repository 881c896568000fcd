/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reads what a pack says of itself: head, trailer, directory. */
#include <string.h>

#include "base/error.h"
#include "repo/index.h"
#include "repo/objects.h"

#define DIRECTORY_LIMIT (1u << 30)

static gboolean read_head(HfStore *store, const char *name, HfPackInfo *info, GError **error)
{
  guint8 fixed[HF_PACK_HEAD_FIXED];
  gsize length;
  if (info->length < sizeof fixed + HF_PACK_TRAILER_BYTES)
    return hf_fail(error, HF_ERROR_DAMAGED, "pack '%s' is too short", name);
  if (!hf_store_get(store, name, 0, fixed, sizeof fixed, error) ||
      !hf_pack_head_peek(fixed, sizeof fixed, &length, error))
    return FALSE;
  if (length > info->length)
    return hf_fail(error, HF_ERROR_DAMAGED, "pack '%s' is shorter than its head", name);
  g_autofree guint8 *head = g_malloc(length);
  return hf_store_get(store, name, 0, head, length, error) && hf_pack_head_decode(head, length, info, error);
}

static gboolean read_end(HfStore *store, const char *name, HfPackInfo *info, GError **error)
{
  guint8 trailer[HF_PACK_TRAILER_BYTES], digest[16];
  HfShortId id;
  guint64 offset, length;
  if (!hf_store_get(store, name, info->length - sizeof trailer, trailer, sizeof trailer, error) ||
      !hf_pack_trailer_decode(trailer, sizeof trailer, &id, &offset, &length, digest, error))
    return FALSE;
  if (!hf_short_id_equal(&id, &info->id) || length > DIRECTORY_LIMIT ||
      offset + length + sizeof trailer != info->length)
    return hf_fail(error, HF_ERROR_DAMAGED, "the trailer of pack '%s' does not fit the pack", name);
  g_autofree guint8 *directory = g_try_malloc(MAX(length, 1));
  if (!directory)
    return hf_fail(error, HF_ERROR_FAILED, "out of memory for the directory of pack '%s'", name);
  return hf_store_get(store, name, offset, directory, length, error) &&
         hf_pack_directory_decode(directory, length, offset, digest, info, error);
}

gboolean hf_pack_read_copy(HfStore *store, const char *name, const HfShortId *pack, HfPackInfo *info, GError **error)
{
  hf_pack_info_clear(info);
  hf_pack_info_init(info);
  guint64 length;
  if (!hf_store_size(store, name, &length, error))
    return FALSE;
  info->length = length;
  if (!read_head(store, name, info, error))
    return FALSE;
  if (!hf_short_id_equal(&info->id, pack))
    return hf_fail(error, HF_ERROR_DAMAGED, "pack '%s' says that it is another one", name);
  return read_end(store, name, info, error);
}

gboolean hf_pack_read_info(HfStore *store, HfPackKind kind, const HfShortId *pack, HfPackInfo *info, GError **error)
{
  char name[HF_NAME_BYTES];
  g_autoptr(GError) first = NULL;
  hf_name_pack(name, kind, pack);
  if (hf_pack_read_copy(store, name, pack, info, &first))
    return TRUE;
  if (kind == HF_PACK_META) {
    hf_name_mirror(name, pack);
    if (hf_pack_read_copy(store, name, pack, info, NULL))
      return TRUE;
  }
  g_propagate_error(error, g_steal_pointer(&first));
  return FALSE;
}
