/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From damaged places to the files that lie there. */
#include "base/error.h"
#include "engine/browse/browse.h"
#include "engine/verify/check.h"

#define CACHE_BYTES (8u << 20)

typedef struct Hunt {
  HfRepo *repo;
  HfBrowser *browser;
  GHashTable *places; /* set of HfPlace*, borrowed from the result */
  HfVerifyResult *result;
  GPtrArray *points;  /* HfPointInfo* of the trees, in their order */
  GPtrArray *trees;   /* of HfTree* */
} Hunt;

static guint place_hash(gconstpointer key)
{
  const HfPlace *place = key;
  return hf_id_hash(&place->pack) ^ place->offset * 2654435761u;
}

static gboolean place_equal(gconstpointer a, gconstpointer b)
{
  const HfPlace *x = a, *y = b;
  return x->offset == y->offset && hf_short_id_equal(&x->pack, &y->pack);
}

/* A ref is hit when every place where it lies is damaged, or when it lies nowhere. */
static gboolean ref_hit(Hunt *hunt, guint32 domain, const HfId *id, gboolean *hit, GError **error)
{
  *hit = TRUE;
  for (guint attempt = 0; *hit; attempt++) {
    gboolean found;
    HfLocation location;
    if (!hf_index_find(hunt->repo->index, domain, id, attempt, &found, &location, error))
      return FALSE;
    if (!found)
      break;
    HfPlace frame = { location.pack, location.offset }, whole = { location.pack, HF_PLACE_WHOLE_PACK };
    *hit = g_hash_table_contains(hunt->places, &frame) || g_hash_table_contains(hunt->places, &whole);
  }
  return TRUE;
}

static gboolean file_hit(Hunt *hunt, const HfTreeVersion *version, gboolean *hit, GError **error)
{
  const HfTree *tree = hunt->trees->pdata[version->tree];
  g_autoptr(GError) problem = NULL;
  g_autoptr(HfTreeFile) file = hf_tree_file_open(hunt->browser, tree, &version->node, &problem);
  *hit = file == NULL;
  for (guint64 at = 0; file && !*hit && at < hf_tree_file_size(file);) {
    HfTreeExtent extent;
    if (!hf_tree_file_extent(file, at, &extent, &problem)) {
      *hit = TRUE;
      break;
    }
    if (!extent.hole && !ref_hit(hunt, hf_tree_domain(tree), &extent.ref, hit, error))
      return FALSE;
    at = extent.offset + extent.length;
  }
  return TRUE;
}

static void add_affected(Hunt *hunt, guint tree, const char *path)
{
  HfAffected *affected = g_new0(HfAffected, 1);
  affected->point = ((HfPointInfo *)hunt->points->pdata[tree])->point.id;
  affected->path = g_strdup(path);
  g_ptr_array_add(hunt->result->affected, affected);
}

static gboolean hunt_merge(Hunt *hunt, GError **error)
{
  g_autoptr(HfTreeMerge) merge = hf_tree_merge_new(hunt->browser, (HfTree *const *)hunt->trees->pdata, hunt->trees->len,
                                                   FALSE);
  for (;;) {
    const HfTreeVersion *versions;
    guint count;
    g_autoptr(GError) problem = NULL;
    if (hf_cancelled(hunt->repo->cancel, error))
      return FALSE;
    if (!hf_tree_merge_next(merge, &versions, &count, &problem)) {
      if (!problem)
        return TRUE;
      if (!hf_error_is(problem, HF_ERROR_DAMAGED) && !hf_error_is(problem, HF_ERROR_INVALID)) {
        g_propagate_error(error, g_steal_pointer(&problem));
        return FALSE;
      }
      add_affected(hunt, 0, hf_tree_merge_path(merge));
      continue;
    }
    for (guint i = 0; i < count; i++) {
      gboolean hit = FALSE;
      const HfEntry *entry = &versions[i].node.entry;
      if ((entry->content == HF_CONTENT_INLINE || entry->content == HF_CONTENT_BLOB ||
           entry->content == HF_CONTENT_LIST || entry->content == HF_CONTENT_MAP) &&
          !file_hit(hunt, &versions[i], &hit, error))
        return FALSE;
      if (hit)
        add_affected(hunt, versions[i].tree, hf_tree_merge_path(merge));
    }
  }
}

gboolean hf_verify_affected(HfRepo *repo, const GPtrArray *points, HfVerifyResult *result, GError **error)
{
  g_autoptr(HfBlobCache) cache = hf_blob_cache_new(repo, CACHE_BYTES);
  g_autoptr(HfBrowser) browser = hf_browser_new(repo, cache);
  g_autoptr(GHashTable) places = g_hash_table_new(place_hash, place_equal);
  g_autoptr(GPtrArray) trees = g_ptr_array_new_with_free_func((GDestroyNotify)hf_tree_free);
  g_autoptr(GPtrArray) opened = g_ptr_array_new();
  Hunt hunt = {
    .repo = repo, .browser = browser, .places = places, .result = result, .points = opened, .trees = trees
  };
  for (guint i = 0; i < result->places->len; i++)
    g_hash_table_add(places, &g_array_index(result->places, HfPlace, i));
  for (guint i = points->len; i-- > 0;) { /* newest first: a path is named with the newest point that has it */
    g_autoptr(GError) problem = NULL;
    HfPointInfo *info = points->pdata[i];
    HfTree *tree = hf_tree_open(browser, &info->point, &problem);
    if (!tree) {
      g_ptr_array_add(opened, info);
      g_ptr_array_add(trees, NULL);
      add_affected(&hunt, opened->len - 1, "/");
      g_ptr_array_set_size(opened, (gint)opened->len - 1);
      g_ptr_array_set_size(trees, (gint)trees->len - 1);
      continue;
    }
    g_ptr_array_add(opened, info);
    g_ptr_array_add(trees, tree);
  }
  return trees->len == 0 || hunt_merge(&hunt, error);
}
