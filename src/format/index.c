/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "format/index.h"

#include "base/error.h"

#define MAGIC "HFidx1\n" /* and its NUL */
#define FOOT_FIXED_BYTES 70u
#define CHECK_AT (HF_INDEX_PAGE_BYTES - 8)
#define ENTRY_BYTES 32u
#define COUNT_AT (HF_INDEX_ENTRIES_A_PAGE * ENTRY_BYTES)
#define FENCE_BYTES 8u
#define ENTRIES_MAX (G_GUINT64_CONSTANT(1) << 40)
#define PACKS_MAX (1u << 24)
#define FILTER_BYTES_MAX (G_GUINT64_CONSTANT(1) << 44)
#define FILTER_BITS_AN_ENTRY 10u

static guint64 pages_of(guint64 entries)
{
  return (entries + HF_INDEX_ENTRIES_A_PAGE - 1) / HF_INDEX_ENTRIES_A_PAGE;
}

static void store_check(guint8 *page)
{
  hf_store_be64(page + CHECK_AT, hf_xxh64(page, CHECK_AT));
}

static gboolean check_page(const guint8 *page, gsize length, const char *what, GError **error)
{
  if (length < HF_INDEX_PAGE_BYTES)
    return hf_fail(error, HF_ERROR_DAMAGED, "%s is cut short", what);
  if (hf_load_be64(page + CHECK_AT) != hf_xxh64(page, CHECK_AT))
    return hf_fail(error, HF_ERROR_DAMAGED, "%s does not match its check", what);
  return TRUE;
}

void hf_index_foot_encode(const HfIndexFoot *foot, guint8 out[HF_INDEX_PAGE_BYTES])
{
  memset(out, 0, HF_INDEX_PAGE_BYTES);
  memcpy(out, MAGIC, 8);
  memcpy(out + 8, foot->run.b, HF_SHORT_ID_BYTES);
  hf_store_u64(out + 24, foot->entries);
  hf_store_u64(out + 32, foot->pages);
  hf_store_u32(out + 40, foot->packs);
  hf_store_u64(out + 44, foot->filter_bytes);
  memcpy(out + 52, foot->tables_digest, sizeof foot->tables_digest);
  hf_store_u16(out + 68, foot->supersedes);
  memcpy(out + FOOT_FIXED_BYTES, foot->superseded, foot->supersedes * sizeof foot->superseded[0]);
  store_check(out);
}

/* The bounds keep every offset below 2^63. */
static gboolean foot_valid(const HfIndexFoot *foot)
{
  return foot->entries <= ENTRIES_MAX && foot->pages == pages_of(foot->entries) && foot->packs <= PACKS_MAX &&
    foot->filter_bytes > 0 && foot->filter_bytes % HF_FILTER_BLOCK_BYTES == 0 &&
    foot->filter_bytes <= FILTER_BYTES_MAX && foot->supersedes <= HF_INDEX_SUPERSEDES_MAX;
}

gboolean hf_index_foot_decode(const void *bytes, gsize length, HfIndexFoot *foot, GError **error)
{
  const guint8 *at = bytes;
  if (!check_page(at, length, "the foot of the index run", error))
    return FALSE;
  memset(foot, 0, sizeof *foot);
  memcpy(foot->run.b, at + 8, HF_SHORT_ID_BYTES);
  foot->entries = hf_load_u64(at + 24);
  foot->pages = hf_load_u64(at + 32);
  foot->packs = hf_load_u32(at + 40);
  foot->filter_bytes = hf_load_u64(at + 44);
  memcpy(foot->tables_digest, at + 52, sizeof foot->tables_digest);
  foot->supersedes = hf_load_u16(at + 68);
  gboolean valid = memcmp(at, MAGIC, 8) == 0 && foot_valid(foot);
  if (valid) {
    gsize used = FOOT_FIXED_BYTES + foot->supersedes * sizeof foot->superseded[0];
    memcpy(foot->superseded, at + FOOT_FIXED_BYTES, used - FOOT_FIXED_BYTES);
    valid = hf_bytes_all_zero(at + used, CHECK_AT - used);
  }
  if (!valid)
    return hf_fail(error, HF_ERROR_INVALID, "the foot of the index run is malformed");
  return TRUE;
}

void hf_index_page_encode(const HfIndexEntry *entries, guint count, guint8 out[HF_INDEX_PAGE_BYTES])
{
  g_assert(count <= HF_INDEX_ENTRIES_A_PAGE);
  guint8 *at = out;
  for (guint i = 0; i < count; i++, at += ENTRY_BYTES) {
    memcpy(at, entries[i].key, HF_INDEX_KEY_BYTES);
    hf_store_u24(at + 20, entries[i].pack);
    hf_store_u32(at + 23, entries[i].offset);
    hf_store_u24(at + 27, entries[i].stored_length);
    hf_store_u16(at + 30, entries[i].blob);
  }
  memset(at, 0, (gsize)(out + CHECK_AT - at));
  hf_store_u16(out + COUNT_AT, (guint16)count);
  store_check(out);
}

/* Keys never fall. The first eight bytes nearly always decide. */
static gboolean keys_sorted(const guint8 *page, guint count)
{
  guint64 last = hf_load_be64(page);
  for (guint i = 1; i < count; i++) {
    const guint8 *key = page + i * ENTRY_BYTES;
    guint64 next = hf_load_be64(key);
    if (next < last || (next == last && memcmp(key - ENTRY_BYTES, key, HF_INDEX_KEY_BYTES) > 0))
      return FALSE;
    last = next;
  }
  return TRUE;
}

gboolean hf_index_page_decode(const void *bytes, gsize length, guint *count, GError **error)
{
  const guint8 *page = bytes;
  if (!check_page(page, length, "a page of the index run", error))
    return FALSE;
  guint entries = hf_load_u16(page + COUNT_AT);
  if (entries == 0 || entries > HF_INDEX_ENTRIES_A_PAGE ||
      !hf_bytes_all_zero(page + entries * ENTRY_BYTES, COUNT_AT - entries * ENTRY_BYTES) ||
      !hf_bytes_all_zero(page + COUNT_AT + 2, CHECK_AT - COUNT_AT - 2) || !keys_sorted(page, entries))
    return hf_fail(error, HF_ERROR_INVALID, "a page of the index run is malformed");
  *count = entries;
  return TRUE;
}

void hf_index_pack_encode(const HfIndexPack *pack, guint8 out[HF_INDEX_PACK_BYTES])
{
  memset(out, 0, HF_INDEX_PACK_BYTES);
  memcpy(out, pack->id.b, HF_SHORT_ID_BYTES);
  out[16] = pack->kind;
  hf_store_u32(out + 20, pack->domain);
  hf_store_u64(out + 24, pack->length);
}

gboolean hf_index_pack_decode(const guint8 bytes[HF_INDEX_PACK_BYTES], HfIndexPack *pack)
{
  memcpy(pack->id.b, bytes, HF_SHORT_ID_BYTES);
  pack->kind = bytes[16];
  pack->domain = hf_load_u32(bytes + 20);
  pack->length = hf_load_u64(bytes + 24);
  return (pack->kind == HF_PACK_DATA || pack->kind == HF_PACK_META) && hf_bytes_all_zero(bytes + 17, 3) &&
    pack->length <= G_MAXUINT32;
}

guint64 hf_index_fences_offset(const HfIndexFoot *foot)
{
  return foot->pages * HF_INDEX_PAGE_BYTES;
}

guint64 hf_index_packs_offset(const HfIndexFoot *foot)
{
  return hf_index_fences_offset(foot) + foot->pages * FENCE_BYTES;
}

guint64 hf_index_filter_offset(const HfIndexFoot *foot)
{
  return hf_index_packs_offset(foot) + (guint64)foot->packs * HF_INDEX_PACK_BYTES;
}

guint64 hf_index_object_length(const HfIndexFoot *foot)
{
  return hf_index_filter_offset(foot) + foot->filter_bytes + HF_INDEX_PAGE_BYTES;
}

guint64 hf_filter_bytes(guint64 entries)
{
  guint64 block_bits = HF_FILTER_BLOCK_BYTES * 8;
  return MAX((entries * FILTER_BITS_AN_ENTRY + block_bits - 1) / block_bits, 1) * HF_FILTER_BLOCK_BYTES;
}
