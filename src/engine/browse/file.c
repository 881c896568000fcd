/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Contents: lists of chunks and maps of blocks are the same thing here, a tree of tables whose rows cover the file in
 * order. One table a level is in hand, so that reading on reads each of them once.
 */
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "engine/browse/private.h"

#define LEVELS_MAX (HF_LEVEL_MAX + 1)

typedef struct Row {
  guint64 end; /* of what it covers, from the start of the file */
  gboolean hole;
  HfId ref;
} Row;

/* A list or map in hand. */
typedef struct Table {
  guint64 start, end; /* of the file; equal: none in hand */
  guint8 level;
  GArray *rows; /* of Row */
} Table;

struct HfTreeFile {
  HfBlobReader *reader; /* the browser's */
  HfTreeNode *node;
  guint64 size;
  Table tables[LEVELS_MAX]; /* from the top down */
  gboolean has_blob;
  HfBlob blob; /* the data blob read last */
  HfId blob_id;
};

HfTreeFile *hf_tree_file_open(HfBrowser *browser, const HfTree *tree, const HfTreeNode *node, GError **error)
{
  if (!S_ISREG(node->entry.mode) && !hf_tree_node_is_disk(node)) {
    g_autofree char *shown = hf_printable((const char *)node->entry.name.data, (gssize)node->entry.name.length);
    hf_fail(error, HF_ERROR_USAGE, "'%s' is neither a file nor a disk", shown);
    return NULL;
  }
  HfBlobReader *reader = hf_browser_reader(browser, tree->domain, error);
  if (reader == NULL)
    return NULL;
  HfTreeFile *file = g_new0(HfTreeFile, 1);
  file->reader = reader;
  file->node = hf_tree_node_copy(node);
  file->size = node->entry.content == HF_CONTENT_NONE && !hf_tree_node_is_disk(node) ? 0 : node->entry.size;
  return file;
}

void hf_tree_file_free(HfTreeFile *file)
{
  if (file == NULL)
    return;
  for (guint i = 0; i < LEVELS_MAX; i++)
    g_clear_pointer(&file->tables[i].rows, g_array_unref);
  hf_blob_release(&file->blob);
  hf_tree_node_free(file->node);
  g_free(file);
}

guint64 hf_tree_file_size(const HfTreeFile *file)
{
  return file->size;
}

/* ---- Tables. ---- */

static gboolean fill_from_list(Table *table, const HfBlob *blob, GError **error)
{
  HfListReader list;
  HfListItem item;
  g_autoptr(GError) problem = NULL;
  if (!hf_list_open(&list, blob->payload, blob->length, blob->refs, blob->ref_count, error))
    return FALSE;
  table->level = list.level;
  while (hf_list_next(&list, &item, &problem)) {
    Row row = { .end = table->start + list.covered, .hole = item.hole, .ref = item.ref };
    g_array_append_val(table->rows, row);
  }
  if (problem != NULL) {
    g_propagate_error(error, g_steal_pointer(&problem));
    return FALSE;
  }
  return list.covered == table->end - table->start ||
    hf_fail(error, HF_ERROR_INVALID, "a list covers %" G_GUINT64_FORMAT " bytes instead of %" G_GUINT64_FORMAT,
            list.covered, table->end - table->start);
}

/* Bytes that one row of a map of `level` covers; the greatest number stands for more than any disk has. */
static guint64 row_span(guint32 block_size, guint8 level)
{
  guint64 span = block_size;
  for (guint i = 0; i < level; i++)
    if (!g_uint64_checked_mul(&span, span, HF_MAP_FANOUT))
      return G_MAXUINT64;
  return span;
}

static gboolean fill_from_map(Table *table, const HfBlob *blob, guint32 block_size, GError **error)
{
  gint32 index[HF_MAP_FANOUT];
  guint count;
  if (!hf_map_decode(blob->payload, blob->length, blob->ref_count, &table->level, &count, index, error))
    return FALSE;
  guint64 span = row_span(block_size, table->level), length = table->end - table->start;
  if (count != (length - 1) / span + 1)
    return hf_fail(error, HF_ERROR_INVALID, "a disk map has %u entries for %" G_GUINT64_FORMAT " bytes", count, length);
  for (guint i = 0; i < count; i++) {
    Row row = { .end = i + 1 == count ? table->end : table->start + (i + 1) * span, .hole = index[i] < 0 };
    if (!row.hole)
      row.ref = blob->refs[index[i]];
    g_array_append_val(table->rows, row);
  }
  return TRUE;
}

static gboolean fill(HfTreeFile *file, const HfId *id, Table *table, GError **error)
{
  g_auto(HfBlob) blob = { 0 };
  gboolean disk = hf_tree_node_is_disk(file->node);
  if (table->rows == NULL)
    table->rows = g_array_new(FALSE, FALSE, sizeof(Row));
  g_array_set_size(table->rows, 0);
  if (!hf_blob_read(file->reader, id, disk ? HF_BLOB_MAP : HF_BLOB_LIST, &blob, error))
    return FALSE;
  return disk ? fill_from_map(table, &blob, file->node->entry.block_size, error) : fill_from_list(table, &blob, error);
}

/* A level must be one less than that above it; that of the topmost map is given by the size. */
static gboolean check_level(const HfTreeFile *file, guint number, GError **error)
{
  guint8 level = file->tables[number].level;
  gboolean right = TRUE;
  if (number > 0) {
    right = level + 1 == file->tables[number - 1].level;
  } else if (hf_tree_node_is_disk(file->node)) {
    guint64 blocks = (file->size - 1) / file->node->entry.block_size + 1;
    right = level == hf_map_level(blocks);
  }
  return right || hf_fail(error, HF_ERROR_INVALID, "a %s of level %u stands in a wrong place",
                          hf_tree_node_is_disk(file->node) ? "disk map" : "list", level);
}

/* Takes the table `id`, which covers [start, end), in hand as number `number`. */
static gboolean load(HfTreeFile *file, guint number, const HfId *id, guint64 start, guint64 end, GError **error)
{
  Table *table = &file->tables[number];
  if (table->start == start && table->end == end)
    return TRUE;
  for (guint i = number; i < LEVELS_MAX; i++)
    file->tables[i].start = file->tables[i].end = 0;
  table->start = start;
  table->end = end;
  if (fill(file, id, table, error) && check_level(file, number, error))
    return TRUE;
  table->start = table->end = 0;
  return FALSE;
}

static const Row *row_around(const Table *table, guint64 offset, guint64 *start)
{
  guint low = 0, high = table->rows->len - 1;
  while (low < high) {
    guint middle = (low + high) / 2;
    if (g_array_index(table->rows, Row, middle).end > offset)
      high = middle;
    else
      low = middle + 1;
  }
  *start = low > 0 ? g_array_index(table->rows, Row, low - 1).end : table->start;
  return &g_array_index(table->rows, Row, low);
}

static gboolean extent_in_tables(HfTreeFile *file, guint64 offset, HfTreeExtent *extent, GError **error)
{
  HfId id = file->node->entry.ref;
  guint64 start = 0, end = file->size;
  for (guint number = 0;; number++) {
    *extent = (HfTreeExtent){ .offset = start, .length = end - start };
    if (!load(file, number, &id, start, end, error))
      return FALSE;
    const Table *table = &file->tables[number];
    const Row *row = row_around(table, offset, &start);
    end = row->end;
    id = row->ref;
    if (row->hole || table->level == 0) {
      *extent = (HfTreeExtent){ .offset = start, .length = end - start, .hole = row->hole, .whole = TRUE,
                                .block = hf_tree_node_is_disk(file->node), .ref = id };
      return TRUE;
    }
  }
}

gboolean hf_tree_file_extent(HfTreeFile *file, guint64 offset, HfTreeExtent *extent, GError **error)
{
  const HfTreeNode *node = file->node;
  g_assert(offset < file->size);
  *extent = (HfTreeExtent){ .length = file->size };
  switch (node->entry.content) {
  case HF_CONTENT_INLINE:
    extent->ref = node->tail;
    extent->start = node->entry.tail_offset;
    return TRUE;
  case HF_CONTENT_BLOB:
    extent->ref = node->entry.ref;
    extent->whole = TRUE;
    return TRUE;
  case HF_CONTENT_LIST:
  case HF_CONTENT_MAP:
    return extent_in_tables(file, offset, extent, error);
  default: /* a disk of zeros */
    extent->hole = TRUE;
    return TRUE;
  }
}

/* ---- Bytes. ---- */

static gboolean read_data(HfTreeFile *file, const HfTreeExtent *extent, guint64 from, void *bytes, gsize length,
                          GError **error)
{
  if (!file->has_blob || !hf_id_equal(&file->blob_id, &extent->ref)) {
    hf_blob_release(&file->blob);
    file->has_blob = hf_blob_read(file->reader, &extent->ref, HF_BLOB_DATA, &file->blob, error);
    if (!file->has_blob)
      return FALSE;
    file->blob_id = extent->ref;
  }
  guint64 end = extent->start + extent->length;
  if (extent->whole ? file->blob.length != end : file->blob.length < end)
    return hf_fail(error, HF_ERROR_INVALID, "a data blob of %zu bytes stands where %" G_GUINT64_FORMAT " are needed",
                   file->blob.length, end);
  memcpy(bytes, file->blob.payload + extent->start + from, length);
  return TRUE;
}

static gboolean read_extent(HfTreeFile *file, const HfTreeExtent *extent, guint64 offset, void *bytes, gsize length,
                            GError **error)
{
  guint64 from = offset - extent->offset;
  if (extent->hole) {
    memset(bytes, 0, length);
    return TRUE;
  }
  if (extent->block)
    return hf_block_read(file->reader, &extent->ref, extent->length, from, length, bytes, error);
  return read_data(file, extent, from, bytes, length, error);
}

gssize hf_tree_file_read(HfTreeFile *file, guint64 offset, void *bytes, gsize length, GError **error)
{
  gsize done = 0;
  if (offset >= file->size)
    return 0;
  gsize wanted = MIN(MIN(length, file->size - offset), G_MAXSSIZE);
  while (done < wanted) {
    HfTreeExtent extent;
    if (!hf_tree_file_extent(file, offset + done, &extent, error))
      return -1;
    gsize part = MIN(wanted - done, extent.offset + extent.length - offset - done);
    if (!read_extent(file, &extent, offset + done, (guint8 *)bytes + done, part, error))
      return -1;
    done += part;
  }
  return (gssize)done;
}
