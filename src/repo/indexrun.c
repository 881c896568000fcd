/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/indexrun.h"

#include <string.h>

#include "base/buffer.h"
#include "base/error.h"
#include "repo/objects.h"

#define SCAN_PAGES 64u
#define WRITE_BYTES (256u << 10)

HfRun *hf_run_ref(HfRun *run)
{
  g_atomic_int_inc(&run->references);
  return run;
}

void hf_run_unref(HfRun *run)
{
  if (!run || !g_atomic_int_dec_and_test(&run->references))
    return;
  g_free(run->name);
  g_free(run->fences);
  g_free(run->filter);
  if (run->packs)
    g_array_unref(run->packs);
  g_free(run);
}

guint64 hf_run_memory(const HfRun *run)
{
  return sizeof *run + run->foot.pages * sizeof *run->fences + run->foot.filter_bytes +
         (guint64)run->foot.packs * sizeof(HfIndexPack);
}

/* Reads the tables between the entry pages and the foot, in the order in which they are digested. */
static gboolean read_tables(HfRun *run, GError **error)
{
  guint64 fences_bytes = run->foot.pages * 8, packs_bytes = (guint64)run->foot.packs * HF_INDEX_PACK_BYTES;
  g_autofree guint8 *packs = g_try_malloc(MAX(packs_bytes, 1));
  run->fences = g_try_malloc(MAX(fences_bytes, 1));
  run->filter = g_try_malloc(MAX(run->foot.filter_bytes, 1));
  if (!packs || !run->fences || !run->filter)
    return hf_fail(error, HF_ERROR_FAILED, "out of memory for the tables of index run '%s'", run->name);
  if (!hf_store_get(run->store, run->name, hf_index_fences_offset(&run->foot), run->fences, fences_bytes, error) ||
      !hf_store_get(run->store, run->name, hf_index_packs_offset(&run->foot), packs, packs_bytes, error) ||
      !hf_store_get(run->store, run->name, hf_index_filter_offset(&run->foot), run->filter, run->foot.filter_bytes,
                    error))
    return FALSE;

  g_autoptr(HfXxh128) state = hf_xxh128_new();
  guint8 digest[16];
  hf_xxh128_update(state, run->fences, fences_bytes);
  hf_xxh128_update(state, packs, packs_bytes);
  hf_xxh128_update(state, run->filter, run->foot.filter_bytes);
  hf_xxh128_final(state, digest);
  if (memcmp(digest, run->foot.tables_digest, sizeof digest) != 0)
    return hf_fail(error, HF_ERROR_DAMAGED, "the tables of index run '%s' are damaged", run->name);

  for (guint64 i = 0; i < run->foot.pages; i++)
    run->fences[i] = hf_load_be64((const guint8 *)&run->fences[i]);
  run->packs = g_array_sized_new(FALSE, FALSE, sizeof(HfIndexPack), run->foot.packs);
  for (guint32 i = 0; i < run->foot.packs; i++) {
    HfIndexPack pack;
    if (!hf_index_pack_decode(packs + (gsize)i * HF_INDEX_PACK_BYTES, &pack))
      return hf_fail(error, HF_ERROR_INVALID, "the pack table of index run '%s' is malformed", run->name);
    g_array_append_val(run->packs, pack);
  }
  return TRUE;
}

HfRun *hf_run_open(HfStore *store, const char *name, GError **error)
{
  g_autoptr(HfRun) run = g_new0(HfRun, 1);
  run->references = 1;
  run->store = store;
  run->name = g_strdup(name);
  guint64 size;
  guint8 foot[HF_INDEX_PAGE_BYTES];
  if (!hf_store_size(store, name, &size, error))
    return NULL;
  if (size < sizeof foot) {
    hf_fail(error, HF_ERROR_DAMAGED, "index run '%s' is too short", name);
    return NULL;
  }
  if (!hf_store_get(store, name, size - sizeof foot, foot, sizeof foot, error) ||
      !hf_index_foot_decode(foot, sizeof foot, &run->foot, error))
    return NULL;
  if (hf_index_object_length(&run->foot) != size) {
    hf_fail(error, HF_ERROR_DAMAGED, "index run '%s' has another length than its foot says", name);
    return NULL;
  }
  if (!read_tables(run, error))
    return NULL;
  return g_steal_pointer(&run);
}

gboolean hf_run_may_have(const HfRun *run, const guint8 *id)
{
  return run->foot.pages > 0 && hf_filter_has(run->filter, run->foot.filter_bytes, id);
}

guint64 hf_run_first_page(const HfRun *run, const guint8 *id)
{
  guint64 prefix = hf_load_be64(id);
  /* The last page whose first key is below the prefix: equal keys may begin on the page before an equal fence. */
  guint64 low = 0, high = run->foot.pages;
  while (low < high) {
    guint64 middle = low + (high - low) / 2;
    if (run->fences[middle] < prefix)
      low = middle + 1;
    else
      high = middle;
  }
  return low ? low - 1 : 0;
}

gboolean hf_run_read_page(const HfRun *run, guint64 page, guint8 out[HF_INDEX_PAGE_BYTES], guint *count, GError **error)
{
  return hf_store_get(run->store, run->name, page * HF_INDEX_PAGE_BYTES, out, HF_INDEX_PAGE_BYTES, error) &&
         hf_index_page_decode(out, HF_INDEX_PAGE_BYTES, count, error);
}

void hf_run_scan_init(HfRunScan *scan, HfRun *run)
{
  *scan = (HfRunScan){ .run = run, .pages = g_malloc((gsize)SCAN_PAGES * HF_INDEX_PAGE_BYTES) };
}

void hf_run_scan_clear(HfRunScan *scan)
{
  g_clear_pointer(&scan->pages, g_free);
}

/* Makes the next page the current one, reading ahead by many. */
static gboolean scan_page(HfRunScan *scan, GError **error)
{
  if (scan->page + 1 < scan->pages_read) {
    scan->page++;
  } else {
    guint64 left = scan->run->foot.pages - scan->next_page;
    guint pages = (guint)MIN(left, SCAN_PAGES);
    if (!hf_store_get(scan->run->store, scan->run->name, scan->next_page * HF_INDEX_PAGE_BYTES, scan->pages,
                      (gsize)pages * HF_INDEX_PAGE_BYTES, error))
      return FALSE;
    scan->next_page += pages;
    scan->pages_read = pages;
    scan->page = 0;
  }
  scan->entry = 0;
  return hf_index_page_decode(scan->pages + (gsize)scan->page * HF_INDEX_PAGE_BYTES, HF_INDEX_PAGE_BYTES, &scan->count,
                              error);
}

gboolean hf_run_scan_next(HfRunScan *scan, HfIndexEntry *entry, GError **error)
{
  while (scan->entry >= scan->count) {
    if (scan->page + 1 >= scan->pages_read && scan->next_page >= scan->run->foot.pages)
      return FALSE;
    if (!scan_page(scan, error))
      return FALSE;
  }
  hf_index_entry_decode(scan->pages + (gsize)scan->page * HF_INDEX_PAGE_BYTES, scan->entry++, entry);
  if (entry->pack >= scan->run->foot.packs)
    return hf_fail(error, HF_ERROR_INVALID, "index run '%s' names a pack that it does not list", scan->run->name);
  return TRUE;
}

struct HfRunWriter {
  HfStore *store;
  HfPut *put;
  char *name;
  HfIndexFoot foot;
  guint8 *filter;
  GArray *fences; /* guint64, as stored */
  HfIndexEntry page[HF_INDEX_ENTRIES_A_PAGE];
  guint page_count;
  GByteArray *pending; /* whole pages not yet handed to the store */
};

HfRunWriter *hf_run_writer_new(HfStore *store, guint64 most, GError **error)
{
  g_autoptr(HfRunWriter) writer = g_new0(HfRunWriter, 1);
  char name[HF_NAME_BYTES];
  writer->store = store;
  hf_random(&writer->foot.run, sizeof writer->foot.run);
  hf_name_run(name, &writer->foot.run);
  writer->name = g_strdup(name);
  writer->foot.filter_bytes = hf_filter_bytes(most);
  writer->filter = g_try_malloc0(writer->foot.filter_bytes);
  writer->fences = g_array_new(FALSE, FALSE, sizeof(guint64));
  writer->pending = g_byte_array_new();
  if (!writer->filter) {
    hf_fail(error, HF_ERROR_FAILED, "out of memory for the filter of an index run of %" G_GUINT64_FORMAT " entries",
            most);
    return NULL;
  }
  writer->put = hf_put_begin(store, writer->name, error);
  return writer->put ? g_steal_pointer(&writer) : NULL;
}

void hf_run_writer_free(HfRunWriter *writer)
{
  if (!writer)
    return;
  hf_put_free(writer->put);
  g_free(writer->name);
  g_free(writer->filter);
  g_array_unref(writer->fences);
  g_byte_array_unref(writer->pending);
  g_free(writer);
}

static gboolean put_bytes(HfRunWriter *writer, const void *bytes, gsize length, GError **error)
{
  struct iovec vector = { (void *)bytes, length };
  return length == 0 || hf_put_write(writer->put, &vector, 1, error);
}

static gboolean flush_pending(HfRunWriter *writer, GError **error)
{
  if (!put_bytes(writer, writer->pending->data, writer->pending->len, error))
    return FALSE;
  g_byte_array_set_size(writer->pending, 0);
  return TRUE;
}

static gboolean finish_page(HfRunWriter *writer, GError **error)
{
  if (writer->page_count == 0)
    return TRUE;
  guint8 fence[8];
  memcpy(fence, writer->page[0].key, sizeof fence);
  g_array_append_vals(writer->fences, fence, 1);
  guint at = writer->pending->len;
  g_byte_array_set_size(writer->pending, at + HF_INDEX_PAGE_BYTES);
  hf_index_page_encode(writer->page, writer->page_count, writer->pending->data + at);
  writer->foot.pages++;
  writer->page_count = 0;
  return writer->pending->len < WRITE_BYTES || flush_pending(writer, error);
}

gboolean hf_run_writer_add(HfRunWriter *writer, const HfIndexEntry *entry, GError **error)
{
  writer->page[writer->page_count++] = *entry;
  writer->foot.entries++;
  hf_filter_add(writer->filter, writer->foot.filter_bytes, entry->key);
  return writer->page_count < HF_INDEX_ENTRIES_A_PAGE || finish_page(writer, error);
}

char *hf_run_writer_finish(HfRunWriter *writer, const HfIndexPack *packs, guint32 pack_count,
                           const HfShortId *superseded, guint superseded_count, GError **error)
{
  g_autoptr(HfXxh128) state = hf_xxh128_new();
  gsize packs_bytes = (gsize)pack_count * HF_INDEX_PACK_BYTES;
  g_autofree guint8 *table = g_malloc(MAX(packs_bytes, 1));
  guint8 foot[HF_INDEX_PAGE_BYTES];
  for (guint32 i = 0; i < pack_count; i++)
    hf_index_pack_encode(&packs[i], table + (gsize)i * HF_INDEX_PACK_BYTES);
  if (!finish_page(writer, error) || !flush_pending(writer, error))
    return NULL;

  gsize fences_bytes = (gsize)writer->fences->len * 8;
  hf_xxh128_update(state, writer->fences->data, fences_bytes);
  hf_xxh128_update(state, table, packs_bytes);
  hf_xxh128_update(state, writer->filter, writer->foot.filter_bytes);
  hf_xxh128_final(state, writer->foot.tables_digest);
  writer->foot.packs = pack_count;
  writer->foot.supersedes = (guint16)MIN(superseded_count, HF_INDEX_SUPERSEDES_MAX);
  if (writer->foot.supersedes)
    memcpy(writer->foot.superseded, superseded, writer->foot.supersedes * sizeof *superseded);
  hf_index_foot_encode(&writer->foot, foot);
  if (!put_bytes(writer, writer->fences->data, fences_bytes, error) ||
      !put_bytes(writer, table, packs_bytes, error) ||
      !put_bytes(writer, writer->filter, writer->foot.filter_bytes, error) ||
      !put_bytes(writer, foot, sizeof foot, error) || !hf_put_commit(writer->put, error))
    return NULL;
  return g_strdup(writer->name);
}
