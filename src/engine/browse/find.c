/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <fnmatch.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "engine/browse/private.h"

typedef struct Find {
  HfTree *const *trees;
  guint words;      /* of 64 bits in a set */
  const char *pattern;
  gboolean whole_path;
  HfTreeFindFunc func;
  gpointer user;
  guint64 *set;     /* of the trees that have a version, */
  guint8 *shown;    /* which versions were dealt with */
  guint shown_size;
} Find;

static gboolean matches(const Find *find, const char *path)
{
  const char *last = strrchr(path, '/') + 1;
  return find->whole_path ? fnmatch(find->pattern, path, FNM_PATHNAME) == 0 : fnmatch(find->pattern, last, 0) == 0;
}

/* What the user would call the same version: of a folder, what lies below it does not count. */
static gboolean same_version(const Find *find, const HfTreeVersion *one, const HfTreeVersion *other)
{
  const HfEntry *a = &one->node.entry, *b = &other->node.entry;
  if ((a->mode & S_IFMT) != (b->mode & S_IFMT) || a->size != b->size || a->mtime_sec != b->mtime_sec ||
      a->mtime_nsec != b->mtime_nsec)
    return FALSE;
  if (hf_tree_node_is_folder(&one->node) || a->content < HF_CONTENT_BLOB || b->content < HF_CONTENT_BLOB)
    return TRUE;
  return a->content == b->content &&
    hf_tree_domain(find->trees[one->tree]) == hf_tree_domain(find->trees[other->tree]) && hf_id_equal(&a->ref, &b->ref);
}

static gboolean give(Find *find, const char *path, const HfTreeVersion *versions, guint count, guint first,
                     GError **error)
{
  HfTreeVersion version = versions[first];
  memset(find->set, 0, find->words * sizeof *find->set);
  for (guint i = first; i < count; i++) {
    if (find->shown[i] || !same_version(find, &version, &versions[i]))
      continue;
    find->shown[i] = TRUE;
    for (guint word = 0; word < find->words; word++)
      find->set[word] |= versions[i].trees[word];
  }
  version.trees = find->set;
  return find->func(path, &version, find->user, error);
}

static gboolean visit(gpointer user, const char *path, const HfTreeVersion *versions, guint count, GError **error)
{
  Find *find = user;
  if (!matches(find, path))
    return TRUE;
  if (count > find->shown_size) {
    find->shown = g_realloc(find->shown, count);
    find->shown_size = count;
  }
  memset(find->shown, 0, count);
  for (guint i = 0; i < count; i++)
    if (!find->shown[i] && !versions[i].node.is_virtual && !give(find, path, versions, count, i, error))
      return FALSE;
  return TRUE;
}

gboolean hf_tree_find(HfBrowser *browser, HfTree *const *trees, guint count, const char *pattern, HfTreeFindFunc func,
                      gpointer user, guint64 *damaged, GError **error)
{
  Find find = { .trees = trees, .words = (count + 63) / 64, .pattern = pattern, .func = func, .user = user,
                .whole_path = strchr(pattern, '/') != NULL };
  find.set = g_new0(guint64, find.words);
  g_autoptr(HfTreeMerge) merge = hf_tree_merge_new(browser, trees, count, FALSE);
  gboolean good = hf_tree_merge_visit(merge, visit, &find, damaged, error);
  g_free(find.set);
  g_free(find.shown);
  return good;
}
