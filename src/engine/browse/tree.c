/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "engine/browse/private.h"

#define VIRTUAL_MODE (S_IFDIR | 0755)

/* ---- Browsers. ---- */

typedef struct DomainReader {
  guint32 domain;
  HfBlobReader *reader;
} DomainReader;

struct HfBrowser {
  HfRepo *repo;       /* borrowed */
  HfBlobCache *cache; /* borrowed */
  GArray *readers;    /* of DomainReader */
};

HfBrowser *hf_browser_new(HfRepo *repo, HfBlobCache *cache)
{
  HfBrowser *browser = g_new0(HfBrowser, 1);
  browser->repo = repo;
  browser->cache = cache;
  browser->readers = g_array_new(FALSE, FALSE, sizeof(DomainReader));
  return browser;
}

void hf_browser_free(HfBrowser *browser)
{
  if (browser == NULL)
    return;
  for (guint i = 0; i < browser->readers->len; i++)
    hf_blob_reader_free(g_array_index(browser->readers, DomainReader, i).reader);
  g_array_unref(browser->readers);
  g_free(browser);
}

HfRepo *hf_browser_repo(HfBrowser *browser)
{
  return browser->repo;
}

HfBlobReader *hf_browser_reader(HfBrowser *browser, guint32 domain, GError **error)
{
  for (guint i = 0; i < browser->readers->len; i++) {
    const DomainReader *known = &g_array_index(browser->readers, DomainReader, i);
    if (known->domain == domain)
      return known->reader;
  }
  DomainReader fresh = { domain, hf_blob_reader_new(browser->cache, domain, error) };
  if (fresh.reader != NULL)
    g_array_append_val(browser->readers, fresh);
  return fresh.reader;
}

gboolean hf_tree_is_damage(const GError *error)
{
  return hf_error_is(error, HF_ERROR_DAMAGED) || hf_error_is(error, HF_ERROR_INVALID);
}

/* ---- Roots. ---- */

/* As if every path were a list of names: a folder is followed by all that lies in it. */
static gint compare_roots(gconstpointer a, gconstpointer b)
{
  HfView x = ((const HfEntry *)a)->name, y = ((const HfEntry *)b)->name;
  gsize common = MIN(x.length, y.length);
  for (gsize i = 0; i < common; i++) {
    int one = x.data[i] == '/' ? -1 : x.data[i], other = y.data[i] == '/' ? -1 : y.data[i];
    if (one != other)
      return one - other;
  }
  return (x.length > y.length) - (x.length < y.length);
}

static gboolean read_roots(HfTree *tree, const HfBlob *blob, GError **error)
{
  HfPageReader page;
  HfEntry entry;
  g_autoptr(GError) problem = NULL;
  if (!hf_buffer_append(&tree->payload, blob->payload, blob->length, error))
    return FALSE;
  g_array_append_vals(tree->refs, blob->refs, blob->ref_count);
  if (!hf_page_open(&page, tree->payload.data, tree->payload.length, (const HfId *)(void *)tree->refs->data,
                    tree->refs->len, TRUE, error))
    return FALSE;
  while (hf_page_next(&page, &entry, &problem))
    g_array_append_val(tree->roots, entry);
  if (problem != NULL) {
    g_propagate_error(error, g_steal_pointer(&problem));
    return FALSE;
  }
  tree->has_tail = page.tail != NULL;
  if (tree->has_tail)
    tree->tail = *page.tail;
  g_array_sort(tree->roots, compare_roots);
  return TRUE;
}

HfTree *hf_tree_open(HfBrowser *browser, const HfPoint *point, GError **error)
{
  g_auto(HfBlob) blob = { 0 };
  HfBlobReader *reader = hf_browser_reader(browser, point->domain, error);
  if (reader == NULL || !hf_blob_read(reader, &point->roots, HF_BLOB_ROOTS, &blob, error))
    return NULL;
  g_autoptr(HfTree) tree = g_new0(HfTree, 1);
  tree->domain = point->domain;
  tree->refs = g_array_new(FALSE, FALSE, sizeof(HfId));
  tree->roots = g_array_new(FALSE, FALSE, sizeof(HfEntry));
  return read_roots(tree, &blob, error) ? g_steal_pointer(&tree) : NULL;
}

void hf_tree_free(HfTree *tree)
{
  if (tree == NULL)
    return;
  hf_buffer_clear(&tree->payload);
  g_array_unref(tree->refs);
  g_array_unref(tree->roots);
  g_free(tree);
}

guint32 hf_tree_domain(const HfTree *tree)
{
  return tree->domain;
}

static const HfEntry *root_at(const HfTree *tree, guint number)
{
  return &g_array_index(tree->roots, HfEntry, number);
}

guint hf_tree_root_count(const HfTree *tree)
{
  return tree->roots->len;
}

void hf_tree_root(const HfTree *tree, guint number, HfTreeNode *node)
{
  *node = (HfTreeNode){ .entry = *root_at(tree, number), .has_tail = tree->has_tail, .tail = tree->tail };
}

static void make_virtual(HfTreeNode *node)
{
  *node = (HfTreeNode){ .entry = { .mode = VIRTUAL_MODE }, .is_virtual = TRUE };
  node->entry.target = node->entry.extras = (HfView){ hf_nothing, 0 };
}

void hf_tree_top(const HfTree *tree, HfTreeNode *node)
{
  guint below = 0;
  if (tree->roots->len > 0 && root_at(tree, 0)->name.length == 1)
    hf_tree_root(tree, below++, node);
  else
    make_virtual(node);
  node->entry.name = (HfView){ (const guint8 *)"/", 1 };
  node->first_root = below;
  node->end_root = tree->roots->len;
  node->prefix = 1;
}

/* ---- Roots below a folder. ---- */

HfView hf_tree_group_name(const HfTree *tree, guint first, gsize prefix)
{
  HfView path = root_at(tree, first)->name;
  const guint8 *start = path.data + prefix, *slash = memchr(start, '/', path.length - prefix);
  return (HfView){ start, slash != NULL ? (gsize)(slash - start) : path.length - prefix };
}

guint hf_tree_group_end(const HfTree *tree, guint first, guint end, gsize prefix)
{
  HfView name = hf_tree_group_name(tree, first, prefix);
  guint next = first + 1;
  while (next < end && hf_name_compare(hf_tree_group_name(tree, next, prefix), name) == 0)
    next++;
  return next;
}

void hf_tree_group_node(const HfTree *tree, guint first, guint end, gsize prefix, const HfTreeNode *real,
                        HfTreeNode *node)
{
  HfView name = hf_tree_group_name(tree, first, prefix);
  guint below = first;
  if (root_at(tree, first)->name.length == prefix + name.length)
    hf_tree_root(tree, below++, node);
  else if (real != NULL && hf_tree_node_is_folder(real))
    *node = *real;
  else
    make_virtual(node);
  node->entry.name = name;
  node->first_root = below;
  node->end_root = hf_tree_node_is_folder(node) ? end : below;
  node->prefix = prefix + name.length + 1;
}

/* ---- Nodes. ---- */

gboolean hf_tree_node_is_folder(const HfTreeNode *node)
{
  return S_ISDIR(node->entry.mode);
}

gboolean hf_tree_node_is_disk(const HfTreeNode *node)
{
  return node->entry.mode == 0;
}

gboolean hf_tree_node_has_entries(const HfTreeNode *node)
{
  return hf_tree_node_is_folder(node) &&
    (node->entry.content == HF_CONTENT_PAGE || node->first_root < node->end_root);
}

static guint8 *place_view(guint8 *at, HfView *view)
{
  if (view->length > 0)
    memcpy(at, view->data, view->length);
  at[view->length] = '\0';
  view->data = at;
  return at + view->length + 1;
}

HfTreeNode *hf_tree_node_copy(const HfTreeNode *node)
{
  const HfEntry *entry = &node->entry;
  HfTreeNode *copy = g_malloc(sizeof *copy + entry->name.length + entry->target.length + entry->extras.length + 3);
  *copy = *node;
  guint8 *at = place_view((guint8 *)(copy + 1), &copy->entry.name);
  at = place_view(at, &copy->entry.target);
  place_view(at, &copy->entry.extras);
  return copy;
}

void hf_tree_node_free(HfTreeNode *node)
{
  g_free(node);
}

gboolean hf_tree_extras(HfBrowser *browser, const HfTree *tree, const HfTreeNode *node, HfBlob *blob, HfView *extras,
                        GError **error)
{
  *extras = (HfView){ hf_nothing, 0 };
  if (node->entry.flags & HF_ENTRY_EXTRAS) {
    *extras = node->entry.extras; /* checked by hf_page_next */
    return TRUE;
  }
  if (!(node->entry.flags & HF_ENTRY_EXTRAS_BLOB))
    return TRUE;
  HfBlobReader *reader = hf_browser_reader(browser, tree->domain, error);
  if (reader == NULL || !hf_blob_read(reader, &node->entry.extras_ref, HF_BLOB_DATA, blob, error))
    return FALSE;
  HfView found = { blob->payload, blob->length };
  if (!hf_extras_valid(found))
    return hf_fail(error, HF_ERROR_INVALID, "extended attributes are malformed");
  *extras = found;
  return TRUE;
}

/* ---- Pages. ---- */

void hf_tree_page_clear(HfTreePageCopy *copy)
{
  hf_buffer_clear(&copy->payload);
  hf_buffer_clear(&copy->refs);
}

static gboolean page_copy(const HfBlob *blob, int level, HfTreePageCopy *copy, GError **error)
{
  if (!hf_buffer_append(&copy->payload, blob->payload, blob->length, error) ||
      !hf_buffer_append(&copy->refs, blob->refs, blob->ref_count * sizeof(HfId), error) ||
      !hf_page_open(&copy->page, copy->payload.data, copy->payload.length, (const HfId *)(void *)copy->refs.data,
                    blob->ref_count, FALSE, error))
    return FALSE;
  return level < 0 || copy->page.level == level ||
         hf_fail(error, HF_ERROR_INVALID, "a directory page of level %u stands where one of level %d should",
                 copy->page.level, level);
}

gboolean hf_tree_page_read(HfBlobReader *reader, const HfId *id, int level, HfTreePageCopy *copy, GError **error)
{
  g_auto(HfBlob) blob = { 0 };
  memset(copy, 0, sizeof *copy);
  if (!hf_blob_read(reader, id, HF_BLOB_PAGE, &blob, error))
    return FALSE;
  if (page_copy(&blob, level, copy, error))
    return TRUE;
  hf_tree_page_clear(copy);
  return FALSE;
}

void hf_tree_page_node(const HfTreePageCopy *copy, const HfEntry *entry, HfTreeNode *node)
{
  *node = (HfTreeNode){ .entry = *entry, .has_tail = copy->page.tail != NULL };
  if (node->has_tail)
    node->tail = *copy->page.tail;
}

/* ---- Looking up. ---- */

/* The entry in a page of level 0, as a copy. */
static HfTreeNode *search_entries(HfTreePageCopy *copy, HfView name, GError **error)
{
  HfEntry entry;
  while (hf_page_next(&copy->page, &entry, error)) {
    int order = hf_name_compare(entry.name, name);
    if (order > 0)
      return NULL;
    if (order == 0) {
      HfTreeNode node;
      hf_tree_page_node(copy, &entry, &node);
      return hf_tree_node_copy(&node);
    }
  }
  return NULL;
}

/* In a page of a higher level: the page below that can hold `name`. */
static gboolean search_items(HfTreePageCopy *copy, HfView name, HfId *below, GError **error)
{
  HfNodeItem item;
  while (hf_node_next(&copy->page, &item, error))
    if (hf_name_compare(item.last_name, name) >= 0) {
      *below = item.ref;
      return TRUE;
    }
  return FALSE;
}

static HfTreeNode *find_real(HfBlobReader *reader, const HfId *top, HfView name, GError **error)
{
  HfId id = *top;
  for (int level = -1;;) {
    HfTreePageCopy copy;
    if (!hf_tree_page_read(reader, &id, level, &copy, error))
      return NULL;
    HfTreeNode *found = NULL;
    gboolean down = FALSE;
    if (copy.page.level == 0)
      found = search_entries(&copy, name, error);
    else
      down = search_items(&copy, name, &id, error);
    level = copy.page.level - 1;
    hf_tree_page_clear(&copy);
    if (!down)
      return found;
  }
}

HfTreeNode *hf_tree_find_child(HfBrowser *browser, const HfTree *tree, const HfTreeNode *folder, HfView name,
                               GError **error)
{
  g_autoptr(HfTreeNode) real = NULL;
  g_autoptr(GError) problem = NULL;
  if (hf_tree_node_is_folder(folder) && folder->entry.content == HF_CONTENT_PAGE) {
    HfBlobReader *reader = hf_browser_reader(browser, tree->domain, error);
    if (reader == NULL)
      return NULL;
    real = find_real(reader, &folder->entry.ref, name, &problem);
  }
  for (guint first = folder->first_root; first < folder->end_root;) {
    guint end = hf_tree_group_end(tree, first, folder->end_root, folder->prefix);
    if (hf_name_compare(hf_tree_group_name(tree, first, folder->prefix), name) == 0) {
      HfTreeNode node; /* a root is found even where the folder around it cannot be read */
      hf_tree_group_node(tree, first, end, folder->prefix, real, &node);
      return hf_tree_node_copy(&node);
    }
    first = end;
  }
  if (problem != NULL)
    g_propagate_error(error, g_steal_pointer(&problem));
  return g_steal_pointer(&real);
}

static gboolean not_there(const char *path, const char *end, GError **error)
{
  g_autofree char *shown = hf_printable(path, end - path);
  return hf_fail(error, HF_ERROR_NOT_FOUND, "'%s' is not in this point; 'holdfast ls' shows what is", shown);
}

HfTreeNode *hf_tree_lookup(HfBrowser *browser, const HfTree *tree, const char *path, GError **error)
{
  HfTreeNode top;
  hf_tree_top(tree, &top);
  g_autoptr(HfTreeNode) node = hf_tree_node_copy(&top);
  for (const char *at = path;;) {
    at += strspn(at, "/");
    gsize length = strcspn(at, "/");
    if (length == 0)
      return g_steal_pointer(&node);
    GError *problem = NULL;
    HfTreeNode *child =
      hf_tree_find_child(browser, tree, node, (HfView){ (const guint8 *)at, length }, &problem);
    if (child == NULL) {
      if (problem != NULL)
        g_propagate_error(error, problem);
      else
        not_there(path, at + length, error);
      return NULL;
    }
    hf_tree_node_free(node);
    node = child;
    at += length;
  }
}
