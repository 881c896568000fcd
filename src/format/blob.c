/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "format/blob.h"

struct HfIdentity {
  HfHasher *id, *leaf;
};

gboolean hf_blob_type_valid(guint8 type)
{
  switch (type) {
  case HF_BLOB_DATA:
  case HF_BLOB_BLOCK:
  case HF_BLOB_LIST:
  case HF_BLOB_PAGE:
  case HF_BLOB_MAP:
  case HF_BLOB_ROOTS:
    return TRUE;
  default:
    return FALSE;
  }
}

HfIdentity *hf_identity_new(const HfKey *domain_key)
{
  g_auto(HfKey) key = { 0 };
  HfIdentity *identity = g_new0(HfIdentity, 1);
  hf_derive(domain_key, "holdfast id", &key);
  identity->id = hf_hasher_new(&key);
  hf_derive(domain_key, "holdfast leaf", &key);
  identity->leaf = hf_hasher_new(&key);
  return identity;
}

void hf_identity_free(HfIdentity *identity)
{
  if (identity == NULL)
    return;
  hf_hasher_free(identity->id);
  hf_hasher_free(identity->leaf);
  g_free(identity);
}

static void begin(HfIdentity *identity, guint8 type, guint32 refs)
{
  guint8 head[5] = { type };
  hf_store_u32(head + 1, refs);
  hf_hasher_update(identity->id, head, sizeof head);
}

void hf_identity_blob(HfIdentity *identity, HfBlobType type, const HfId *refs, guint count, const void *payload,
                      gsize length, HfId *id)
{
  begin(identity, (guint8)type, count);
  if (count > 0)
    hf_hasher_update(identity->id, refs, (gsize)count * sizeof *refs);
  if (length > 0)
    hf_hasher_update(identity->id, payload, length);
  hf_hasher_final(identity->id, id->b);
}

void hf_identity_leaf(HfIdentity *identity, const void *piece, gsize length, HfId *leaf)
{
  hf_hasher_update(identity->leaf, piece, length);
  hf_hasher_final(identity->leaf, leaf->b);
}

void hf_identity_block(HfIdentity *identity, guint32 length, const HfId *leaves, guint count, HfId *id)
{
  guint8 bytes[4];
  begin(identity, HF_BLOB_BLOCK, 0);
  hf_store_u32(bytes, length);
  hf_hasher_update(identity->id, bytes, sizeof bytes);
  hf_hasher_update(identity->id, leaves, (gsize)count * sizeof *leaves);
  hf_hasher_final(identity->id, id->b);
}

guint hf_identity_whole_block(HfIdentity *identity, const void *block, gsize length, HfId *leaves, HfId *id)
{
  g_assert(length > 0 && length <= (gsize)HF_PIECES_MAX * HF_PIECE_BYTES);
  guint count = 0;
  for (gsize at = 0; at < length; at += HF_PIECE_BYTES)
    hf_identity_leaf(identity, (const guint8 *)block + at, MIN(HF_PIECE_BYTES, length - at), &leaves[count++]);
  hf_identity_block(identity, (guint32)length, leaves, count, id);
  return count;
}

void hf_identity_source(HfIdentity *identity, const char *name, HfShortId *source)
{
  HfId digest;
  hf_hasher_update(identity->id, "source", 6);
  hf_hasher_update(identity->id, name, strlen(name));
  hf_hasher_final(identity->id, digest.b);
  memcpy(source->b, digest.b, sizeof source->b);
}

void hf_gear_table(const HfKey *domain_key, guint64 gear[256])
{
  g_auto(HfKey) key = { 0 };
  hf_derive(domain_key, "holdfast gear", &key);
  g_autoptr(HfHasher) hasher = hf_hasher_new(&key);
  for (guint i = 0; i < 256; i++) {
    guint8 byte = (guint8)i, digest[32];
    hf_hasher_update(hasher, &byte, 1);
    hf_hasher_final(hasher, digest);
    gear[i] = hf_load_u64(digest);
  }
}
