/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Between strangers: every blob is read, its refs are replaced by their new names, and it is stored: leaves first. */
#include "base/error.h"
#include "engine/copy/private.h"
#include "format/tree.h"
#include "repo/reader.h"
#include "repo/writer.h"

#define CACHE_BYTES (16u << 20)

typedef struct Renamer {
  HfCopyRun *run;
  HfBlobReader *reader;
  HfBlobWriter *writer;
  GHashTable *names; /* HfId* (old) to HfId* (new), both in one allocation */
  HfBuffer block;
} Renamer;

typedef struct Name {
  HfId old, new;
} Name;

/* What a ref leads to. */
typedef struct Child {
  HfBlobType type;
  guint64 disk_size, first; /* maps and blocks: of the disk; first block covered */
  guint32 block_size;
} Child;

static gboolean rename_blob(Renamer *renamer, const HfId *old, const Child *what, HfId *new, GError **error);

/* ---- What the refs of a blob are: their types follow from its payload. ---- */

static void add_child(GArray *children, HfBlobType type)
{
  Child child = { .type = type };
  g_array_append_val(children, child);
}

static void entry_children(const HfEntry *entry, GArray *children)
{
  static const HfBlobType types[] = { [HF_CONTENT_BLOB] = HF_BLOB_DATA, [HF_CONTENT_LIST] = HF_BLOB_LIST,
                                      [HF_CONTENT_PAGE] = HF_BLOB_PAGE, [HF_CONTENT_MAP] = HF_BLOB_MAP };
  if (entry->flags & HF_ENTRY_EXTRAS_BLOB)
    add_child(children, HF_BLOB_DATA);
  if (entry->content < HF_CONTENT_BLOB)
    return;
  Child child = { .type = types[entry->content], .disk_size = entry->size, .block_size = entry->block_size };
  g_array_append_val(children, child);
}

static gboolean page_children(const HfBlob *blob, GArray *children, GError **error)
{
  HfPageReader page;
  HfEntry entry;
  HfNodeItem item;
  g_autoptr(GError) problem = NULL;
  if (!hf_page_open(&page, blob->payload, blob->length, blob->refs, blob->ref_count, blob->type == HF_BLOB_ROOTS,
                    error))
    return FALSE;
  if (page.tail)
    add_child(children, HF_BLOB_DATA);
  if (page.level == 0)
    while (hf_page_next(&page, &entry, &problem))
      entry_children(&entry, children);
  else
    while (hf_node_next(&page, &item, &problem))
      add_child(children, HF_BLOB_PAGE);
  if (!problem)
    return TRUE;
  g_propagate_error(error, g_steal_pointer(&problem));
  return FALSE;
}

static gboolean list_children(const HfBlob *blob, GArray *children, GError **error)
{
  HfListReader list;
  HfListItem item;
  g_autoptr(GError) problem = NULL;
  if (!hf_list_open(&list, blob->payload, blob->length, blob->refs, blob->ref_count, error))
    return FALSE;
  while (hf_list_next(&list, &item, &problem))
    if (!item.hole)
      add_child(children, list.level ? HF_BLOB_LIST : HF_BLOB_DATA);
  if (!problem)
    return TRUE;
  g_propagate_error(error, g_steal_pointer(&problem));
  return FALSE;
}

static gboolean map_children(const HfBlob *blob, const Child *map, GArray *children, GError **error)
{
  guint8 level;
  guint count;
  g_autofree gint32 *index = g_new(gint32, HF_MAP_FANOUT);
  if (!hf_map_decode(blob->payload, blob->length, blob->ref_count, &level, &count, index, error))
    return FALSE;
  guint64 span = 1;
  for (guint8 i = 0; i < level; i++)
    span *= HF_MAP_FANOUT;
  for (guint slot = 0; slot < count; slot++) {
    Child child = { .type = level ? HF_BLOB_MAP : HF_BLOB_BLOCK, .disk_size = map->disk_size,
                    .block_size = map->block_size, .first = map->first + slot * span };
    if (index[slot] >= 0)
      g_array_append_val(children, child);
  }
  return TRUE;
}

/* ---- Storing. ---- */

static gboolean store_block(Renamer *renamer, const HfId *old, const Child *what, HfId *new, GError **error)
{
  guint64 at = what->first * what->block_size;
  if (at >= what->disk_size)
    return hf_fail(error, HF_ERROR_INVALID, "a disk map names a block behind the end of the disk");
  gsize length = (gsize)MIN(what->block_size, what->disk_size - at);
  if (!hf_buffer_resize(&renamer->block, length, error) ||
      !hf_block_read(renamer->reader, old, length, 0, length, renamer->block.data, error))
    return FALSE;
  renamer->run->result->blobs++;
  return hf_block_write(renamer->writer, renamer->block.data, length, new, NULL, error);
}

static gboolean store_blob(Renamer *renamer, const HfId *old, const Child *what, HfId *new, GError **error)
{
  HfBlobType type = what->type;
  g_auto(HfBlob) blob = { 0 };
  g_autoptr(GArray) children = g_array_new(FALSE, FALSE, sizeof(Child));
  gboolean fresh;
  if (!hf_blob_read(renamer->reader, old, type, &blob, error))
    return FALSE;
  gboolean read = type == HF_BLOB_LIST ? list_children(&blob, children, error)
                  : type == HF_BLOB_MAP ? map_children(&blob, what, children, error)
                  : type == HF_BLOB_DATA || page_children(&blob, children, error);
  if (!read)
    return FALSE;
  if (children->len != blob.ref_count)
    return hf_fail(error, HF_ERROR_INVALID, "a blob has refs that nothing in it names");
  g_autofree HfId *refs = g_new(HfId, MAX(blob.ref_count, 1));
  for (guint i = 0; i < blob.ref_count; i++) {
    if (!rename_blob(renamer, &blob.refs[i], &g_array_index(children, Child, i), &refs[i], error))
      return FALSE;
  }
  if (!hf_blob_write(renamer->writer, type, refs, blob.ref_count, blob.payload, blob.length, new, &fresh, error))
    return FALSE;
  renamer->run->result->blobs++;
  if (type == HF_BLOB_DATA)
    hf_report_add(renamer->run->to->report, 0, blob.length, 0);
  return TRUE;
}

static gboolean rename_blob(Renamer *renamer, const HfId *old, const Child *what, HfId *new, GError **error)
{
  const Name *known = g_hash_table_lookup(renamer->names, old);
  if (known) {
    *new = known->new;
    return TRUE;
  }
  if (hf_cancelled(renamer->run->to->cancel, error))
    return FALSE;
  if (!(what->type == HF_BLOB_BLOCK ? store_block(renamer, old, what, new, error)
                                    : store_blob(renamer, old, what, new, error)))
    return FALSE;
  Name *name = g_new(Name, 1);
  *name = (Name){ *old, *new };
  g_hash_table_insert(renamer->names, name, name);
  return TRUE;
}

static gboolean commit(HfCopyRun *run, HfBlobStore *store, HfBlobWriter *writer, const HfPointInfo *info,
                       const HfId *roots, GError **error)
{
  HfRepo *to = run->to;
  g_auto(HfPoint) point = { .flags = info->point.flags, .domain = hf_keyring_domain(to->keys), .roots = *roots,
                            .sequence = info->point.sequence, .time = info->point.time };
  hf_identity_source(hf_blob_writer_identity(writer), info->details->name, &point.source);
  if (!hf_blob_writer_flush(writer, error) || !hf_blob_store_flush(store, error) ||
      !hf_index_flush(to->index, TRUE, error))
    return FALSE;
  run->result->new_bytes += hf_blob_store_totals(store).new_bytes;
  run->result->points++;
  return hf_session_commit(run->session, &point, info->details, error);
}

gboolean hf_copy_to_stranger(HfCopyRun *run, const HfPointInfo *info, GError **error)
{
  Renamer renamer = { .run = run };
  HfId roots;
  if (!info->details)
    return hf_fail(error, HF_ERROR_PERMISSION, "a point cannot be opened with this key");
  g_autoptr(HfBlobCache) cache = hf_blob_cache_new(run->from, CACHE_BYTES);
  g_autoptr(HfBlobReader) reader = hf_blob_reader_new(cache, info->point.domain, error);
  g_autoptr(HfBlobStore) store = reader ? hf_blob_store_new(run->session, run->to, -1, 0, error) : NULL;
  if (!store)
    return FALSE;
  g_autoptr(HfBlobWriter) writer = hf_blob_writer_new(store);
  g_autoptr(GHashTable) names = g_hash_table_new_full(hf_id_hash, hf_id_equal_func, g_free, NULL);
  renamer.reader = reader;
  renamer.writer = writer;
  renamer.names = names;
  gboolean good = rename_blob(&renamer, &info->point.roots, &(Child){ .type = HF_BLOB_ROOTS }, &roots, error) &&
                  commit(run, store, writer, info, &roots, error);
  hf_buffer_clear(&renamer.block);
  return good;
}
