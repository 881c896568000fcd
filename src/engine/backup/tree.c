/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "engine/backup/tree.h"

#include <string.h>

#include "engine/backup/lists.h"

#define PAGE_WEIGHT_MAX HF_PAGE_FULL_BYTES
#define ENTRY_WEIGHT 32u
#define TEXT_BLOCK 4096u

static void page_drop_contents(HfTreePage *page)
{
  g_clear_pointer(&page->entries, g_array_unref);
  g_clear_pointer(&page->texts, g_string_chunk_free);
  g_clear_pointer(&page->tails, g_array_unref);
  g_clear_pointer(&page->tail, g_byte_array_unref);
  g_clear_pointer(&page->children, g_ptr_array_unref);
}

static void page_free(gpointer data)
{
  HfTreePage *page = data;
  for (guint i = 0; page->children && i < page->children->len; i++)
    hf_tree_dir_free(page->children->pdata[i]);
  page_drop_contents(page);
  g_free((gpointer)page->item.last_name.data);
  g_free(page);
}

static HfTreeDir *dir_new(HfBackupState *state)
{
  HfTreeDir *dir = g_new0(HfTreeDir, 1);
  dir->state = state;
  dir->pages = g_ptr_array_new_with_free_func(page_free);
  dir->pending = 1;
  return dir;
}

HfTreeDir *hf_tree_new(HfBackupState *state)
{
  return dir_new(state);
}

void hf_tree_dir_free(HfTreeDir *dir)
{
  if (!dir)
    return;
  g_ptr_array_unref(dir->pages);
  hf_source_dir_unref(dir->source);
  hf_source_dir_unref(dir->parent_source);
  g_free(dir->name);
  g_free(dir->path);
  g_free(dir);
}

HfTreePage *hf_tree_page(HfTreeDir *dir)
{
  HfTreePage *page = dir->pages->len ? dir->pages->pdata[dir->pages->len - 1] : NULL;
  if (page && !page->closed)
    return page;
  page = g_new0(HfTreePage, 1);
  page->dir = dir;
  page->pending = 1;
  page->entries = g_array_new(FALSE, FALSE, sizeof(HfEntry));
  page->texts = g_string_chunk_new(TEXT_BLOCK);
  page->tails = g_array_new(FALSE, FALSE, sizeof(HfTailSource));
  page->tail = g_byte_array_new();
  g_ptr_array_add(dir->pages, page);
  g_atomic_int_inc(&dir->pending);
  return page;
}

static HfView keep_text(HfTreePage *page, HfView view)
{
  if (view.length == 0)
    return (HfView){ NULL, 0 };
  const char *kept = g_string_chunk_insert_len(page->texts, (const char *)view.data, (gssize)view.length);
  return (HfView){ (const guint8 *)kept, view.length };
}

void hf_tree_drop_empty(HfTreeDir *dir)
{
  HfTreePage *page = dir->pages->len ? dir->pages->pdata[dir->pages->len - 1] : NULL;
  if (!page || page->closed || page->entries->len)
    return;
  g_ptr_array_set_size(dir->pages, (gint)dir->pages->len - 1);
  /* Never the last wait: the walker's own is still there. */
  g_atomic_int_add(&dir->pending, -1);
}

HfEntry *hf_tree_add(HfTreePage *page, const HfEntry *entry, gboolean *full)
{
  HfEntry copy = *entry;
  copy.name = keep_text(page, entry->name);
  copy.target = keep_text(page, entry->target);
  copy.extras = keep_text(page, entry->extras);
  page->weight += ENTRY_WEIGHT + copy.name.length + copy.target.length + copy.extras.length;
  g_array_append_val(page->entries, copy);
  if (page->children)
    g_ptr_array_add(page->children, NULL);
  *full = page->dir->parent && /* roots have one page */
          (page->entries->len >= HF_CUT_MAXIMUM || page->weight >= PAGE_WEIGHT_MAX ||
           (page->entries->len >= HF_CUT_MINIMUM && hf_name_is_cut(entry->name.data, entry->name.length, 0)));
  return &g_array_index(page->entries, HfEntry, page->entries->len - 1);
}

HfTreeDir *hf_tree_child(HfTreePage *page, HfSourceDir *source, const char *name, const char *path)
{
  HfTreeDir *dir = dir_new(page->dir->state);
  dir->parent = page;
  dir->parent_entry = page->entries->len - 1;
  dir->parent_source = source ? hf_source_dir_ref(source) : NULL;
  dir->name = g_strdup(name);
  dir->path = g_strdup(path);
  dir->mount = page->dir->mount;
  if (!page->children)
    page->children = g_ptr_array_new();
  if (page->children->len < page->entries->len)
    g_ptr_array_set_size(page->children, (gint)page->entries->len);
  page->children->pdata[dir->parent_entry] = dir;
  g_atomic_int_inc(&page->pending);
  return dir;
}

/* ---- Storing. ---- */

static gboolean write_page(HfBackupWorker *worker, HfPageWriter *out, HfId *id, GError **error)
{
  return hf_blob_write(worker->writer, out->roots ? HF_BLOB_ROOTS : HF_BLOB_PAGE,
                       (const HfId *)(void *)out->refs->data, out->refs->len, out->payload->data, out->payload->len, id,
                       NULL, error);
}

static gboolean store_page(HfBackupWorker *worker, HfTreePage *page, GError **error)
{
  HfPageWriter out;
  hf_page_begin(&out, page->dir->parent == NULL, page->has_tail ? &page->tail_id : NULL);
  for (guint i = 0; i < page->entries->len; i++)
    hf_page_add(&out, &g_array_index(page->entries, HfEntry, i));
  const HfEntry *last = &g_array_index(page->entries, HfEntry, page->entries->len - 1);
  page->item.last_name = (HfView){ g_memdup2(last->name.data, last->name.length), last->name.length };
  page->item.entries = page->entries->len;
  gboolean done = write_page(worker, &out, &page->item.ref, error);
  hf_page_clear(&out);
  page->stored = done;
  page_drop_contents(page);
  return done;
}

/* All pages are stored: gives the folder's content to its entry in the parent's page. */
static gboolean end_dir(HfBackupWorker *worker, HfTreeDir *dir, GError **error)
{
  HfId top;
  if (dir->pages->len) {
    g_autofree HfNodeItem *items = g_new(HfNodeItem, dir->pages->len);
    for (guint i = 0; i < dir->pages->len; i++)
      items[i] = ((HfTreePage *)dir->pages->pdata[i])->item;
    if (!hf_nodes_store(worker->writer, items, dir->pages->len, &top, error))
      return FALSE;
  }
  if (!dir->parent) {
    dir->state->complete = dir->pages->len > 0;
    if (dir->state->complete)
      dir->state->roots_id = top;
    return TRUE;
  }
  HfEntry *entry = &g_array_index(dir->parent->entries, HfEntry, dir->parent_entry);
  entry->content = dir->pages->len ? HF_CONTENT_PAGE : HF_CONTENT_NONE;
  if (dir->pages->len)
    entry->ref = top;
  dir->parent->children->pdata[dir->parent_entry] = NULL;
  hf_tree_dir_free(dir);
  return TRUE;
}

/* Drops one wait of the folder, then, while counts reach zero, goes on upward. */
static gboolean release_dir(HfBackupWorker *worker, HfTreeDir *dir, GError **error)
{
  while (g_atomic_int_dec_and_test(&dir->pending)) {
    HfTreePage *page = dir->parent;
    if (!end_dir(worker, dir, error))
      return FALSE;
    if (!page || !g_atomic_int_dec_and_test(&page->pending))
      return TRUE;
    if (!store_page(worker, page, error))
      return FALSE;
    dir = page->dir;
  }
  return TRUE;
}

gboolean hf_tree_close(HfBackupWorker *worker, HfTreePage *page, GError **error)
{
  page->closed = TRUE;
  g_byte_array_set_size(page->tail, 0);
  if (!g_atomic_int_dec_and_test(&page->pending))
    return TRUE;
  return store_page(worker, page, error) && release_dir(worker, page->dir, error);
}

gboolean hf_tree_walked(HfBackupWorker *worker, HfTreeDir *dir, GError **error)
{
  return release_dir(worker, dir, error);
}

/* ---- Checkpoints. ---- */

static gboolean partial_dir(HfBackupWorker *worker, HfTreeDir *dir, HfId *top, gboolean *any, GError **error);

/* The entries of a page that are done. What lies in the tail of a page that is still open is not stored yet. */
static gboolean done_entries(HfBackupWorker *worker, HfTreePage *page, GArray *found, GError **error)
{
  for (guint i = 0; i < page->entries->len; i++) {
    HfEntry entry = g_array_index(page->entries, HfEntry, i);
    HfTreeDir *child = page->children ? page->children->pdata[i] : NULL;
    gboolean some = page->closed || entry.content != HF_CONTENT_INLINE;
    if (child) {
      entry.flags |= HF_ENTRY_INCOMPLETE;
      entry.content = HF_CONTENT_PAGE;
      if (!partial_dir(worker, child, &entry.ref, &some, error))
        return FALSE;
    }
    if (some)
      g_array_append_val(found, entry);
  }
  return TRUE;
}

static gboolean store_entries(HfBackupWorker *worker, HfTreePage *page, const GArray *entries, HfNodeItem *item,
                              GError **error)
{
  HfPageWriter out;
  hf_page_begin(&out, page->dir->parent == NULL, page->closed && page->has_tail ? &page->tail_id : NULL);
  for (guint i = 0; i < entries->len; i++)
    hf_page_add(&out, &g_array_index(entries, HfEntry, i));
  item->last_name = g_array_index(entries, HfEntry, entries->len - 1).name;
  item->entries = entries->len;
  gboolean done = write_page(worker, &out, &item->ref, error);
  hf_page_clear(&out);
  return done;
}

static gboolean partial_page(HfBackupWorker *worker, HfTreePage *page, HfNodeItem *item, gboolean *any, GError **error)
{
  g_autoptr(GArray) entries = g_array_new(FALSE, FALSE, sizeof(HfEntry));
  *any = page->stored;
  *item = page->item;
  if (page->stored)
    return TRUE;
  if (!done_entries(worker, page, entries, error))
    return FALSE;
  *any = entries->len > 0;
  return !*any || store_entries(worker, page, entries, item, error);
}

static gboolean partial_dir(HfBackupWorker *worker, HfTreeDir *dir, HfId *top, gboolean *any, GError **error)
{
  g_autoptr(GArray) items = g_array_new(FALSE, FALSE, sizeof(HfNodeItem));
  for (guint i = 0; i < dir->pages->len; i++) {
    HfNodeItem item;
    gboolean some;
    if (!partial_page(worker, dir->pages->pdata[i], &item, &some, error))
      return FALSE;
    if (some)
      g_array_append_val(items, item);
  }
  *any = items->len > 0;
  return !*any || hf_nodes_store(worker->writer, (const HfNodeItem *)(void *)items->data, items->len, top, error);
}

static int compare_entries(gconstpointer a, gconstpointer b)
{
  return hf_name_compare(((const HfEntry *)a)->name, ((const HfEntry *)b)->name);
}

/* A root that is done stands before what was there of it at another time. */
static void add_parts(GArray *entries, const GArray *parts)
{
  guint roots = entries->len;
  for (guint i = 0; i < parts->len; i++) {
    const HfEntry *part = &g_array_index(parts, HfEntry, i);
    gboolean known = FALSE;
    for (guint r = 0; r < roots && !known; r++)
      known = compare_entries(&g_array_index(entries, HfEntry, r), part) == 0;
    for (guint r = 0; r < i && !known; r++)
      known = compare_entries(&g_array_index(parts, HfEntry, r), part) == 0;
    if (!known)
      g_array_append_vals(entries, part, 1);
  }
  g_array_sort(entries, compare_entries);
}

gboolean hf_tree_partial(HfBackupWorker *worker, HfTreeDir *roots, const GArray *parts, HfId *id, gboolean *any,
                         GError **error)
{
  g_autoptr(GArray) entries = g_array_new(FALSE, FALSE, sizeof(HfEntry));
  HfTreePage *page = roots->pages->len ? roots->pages->pdata[0] : NULL;
  HfNodeItem item;
  *any = page != NULL && page->stored;
  if (*any)
    *id = page->item.ref;
  if (page == NULL || *any)
    return TRUE;
  if (!done_entries(worker, page, entries, error))
    return FALSE;
  add_parts(entries, parts);
  *any = entries->len > 0;
  if (!*any || !store_entries(worker, page, entries, &item, error))
    return !*any;
  *id = item.ref;
  return TRUE;
}
