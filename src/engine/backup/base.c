/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "engine/backup/base.h"

#include <string.h>

#include "base/error.h"

#define POINTS_LOOKED_AT 10u

typedef struct Roots {
  HfBlob blob; /* entries are views into it */
  GArray *entries;
  const HfPointDetails *details; /* of the point; NULL for a checkpoint */
} Roots;

struct HfBase {
  Roots checkpoint;
  gboolean has_checkpoint;
  GPtrArray *points; /* of Roots*, newest first */
  const HfPointDetails *details;
};

static void roots_clear(Roots *roots)
{
  hf_blob_release(&roots->blob);
  g_clear_pointer(&roots->entries, g_array_unref);
}

static void roots_free(gpointer data)
{
  roots_clear(data);
  g_free(data);
}

static gboolean roots_read(Roots *roots, HfBlobReader *reader, const HfId *id, GError **error)
{
  HfPageReader page;
  HfEntry entry;
  g_autoptr(GError) problem = NULL;
  roots->entries = g_array_new(FALSE, FALSE, sizeof(HfEntry));
  if (!hf_blob_read(reader, id, HF_BLOB_ROOTS, &roots->blob, error) ||
      !hf_page_open(&page, roots->blob.payload, roots->blob.length, roots->blob.refs, roots->blob.ref_count, TRUE,
                    error))
    return FALSE;
  while (hf_page_next(&page, &entry, &problem))
    g_array_append_val(roots->entries, entry);
  if (!problem)
    return TRUE;
  g_propagate_error(error, g_steal_pointer(&problem));
  return FALSE;
}

static void find_checkpoint(HfBase *base, HfRepo *repo, HfBlobReader *reader, const HfShortId *source,
                            GPtrArray *sessions)
{
  const HfSessionInfo *best = NULL;
  for (guint i = 0; i < sessions->len; i++) {
    const HfSessionInfo *info = sessions->pdata[i];
    gboolean over = info->has_outcome || info->dead_here || !info->opened;
    if (info->has_checkpoint && over && hf_short_id_equal(&info->checkpoint.source, source) &&
        hf_short_id_equal(&info->checkpoint.writer, hf_keyring_writer_id(repo->keys)) &&
        (!best || best->checkpoint.time < info->checkpoint.time))
      best = info;
  }
  g_autoptr(GError) problem = NULL;
  if (!best)
    return;
  if (roots_read(&base->checkpoint, reader, &best->checkpoint.roots, &problem)) {
    base->has_checkpoint = TRUE;
  } else {
    hf_report_warning(repo->report, NULL, "the checkpoint of an interrupted backup cannot be used: %s",
                      problem->message);
    roots_clear(&base->checkpoint);
  }
}

HfBase *hf_base_new(HfRepo *repo, HfSession *session, HfBlobReader *reader, GPtrArray *points, const HfShortId *source,
                    GError **error)
{
  g_autoptr(HfBase) base = g_new0(HfBase, 1);
  base->points = g_ptr_array_new_with_free_func(roots_free);
  g_autoptr(GPtrArray) sessions = hf_sessions_list(repo, session, error);
  if (!sessions)
    return NULL;
  find_checkpoint(base, repo, reader, source, sessions);
  for (guint i = points->len; i-- > 0 && base->points->len < POINTS_LOOKED_AT;) {
    const HfPointInfo *info = points->pdata[i];
    if (!info->known_signer || info->future || !hf_short_id_equal(&info->point.source, source))
      continue;
    Roots *roots = g_new0(Roots, 1);
    g_autoptr(GError) problem = NULL;
    roots->details = info->details;
    if (!base->details)
      base->details = info->details;
    if (roots_read(roots, reader, &info->point.roots, &problem)) {
      g_ptr_array_add(base->points, roots);
    } else {
      hf_report_warning(repo->report, NULL, "an earlier point of this source cannot be compared with: %s",
                        problem->message);
      roots_free(roots);
    }
  }
  return g_steal_pointer(&base);
}

void hf_base_free(HfBase *base)
{
  if (!base)
    return;
  roots_clear(&base->checkpoint);
  g_ptr_array_unref(base->points);
  g_free(base);
}

gboolean hf_base_resumed(const HfBase *base)
{
  return base->has_checkpoint;
}

const HfPointDetails *hf_base_details(const HfBase *base)
{
  return base->details;
}

static const HfEntry *find_root(const Roots *roots, const char *path)
{
  gsize length = strlen(path);
  for (guint i = 0; roots->entries && i < roots->entries->len; i++) {
    const HfEntry *entry = &g_array_index(roots->entries, HfEntry, i);
    if (entry->name.length == length && memcmp(entry->name.data, path, length) == 0)
      return entry;
  }
  return NULL;
}

void hf_base_root(const HfBase *base, const char *path, gboolean found[HF_BASES], HfEntry entry[HF_BASES])
{
  const HfEntry *known = base->has_checkpoint ? find_root(&base->checkpoint, path) : NULL;
  found[0] = known != NULL;
  if (known)
    entry[0] = *known;
  found[1] = FALSE;
  for (guint i = 0; i < base->points->len && !found[1]; i++) {
    known = find_root(base->points->pdata[i], path);
    found[1] = known != NULL;
    if (known)
      entry[1] = *known;
  }
}

static GBytes *find_cookie(const HfPointDetails *details, const char *path)
{
  for (guint i = 0; details && i < details->roots->len; i++) {
    const HfPointRoot *root = details->roots->pdata[i];
    gsize length;
    const char *known = g_bytes_get_data(root->path, &length);
    if (root->kind == 2 && length == strlen(path) && memcmp(known, path, length) == 0)
      return root->cookie;
  }
  return NULL;
}

GBytes *hf_base_cookie(const HfBase *base, const char *path)
{
  for (guint i = 0; i < base->points->len; i++) {
    const Roots *roots = base->points->pdata[i];
    if (find_root(roots, path))
      return find_cookie(roots->details, path);
  }
  return NULL;
}

/* ---- The cursor. ---- */

#define DEPTH_MAX 8u

typedef struct Step {
  HfBlob blob;
  HfPageReader page;
} Step;

struct HfBaseCursor {
  HfBlobReader *reader; /* borrowed */
  HfId top;
  Step steps[DEPTH_MAX];
  guint depth; /* steps in use */
  gboolean started, ended, has_entry;
  HfEntry entry;
  guint inline_entries; /* of the page at hand; counted when first asked for */
  gboolean inline_counted;
};

HfBaseCursor *hf_base_cursor_new(HfBlobReader *reader, const HfId *top)
{
  HfBaseCursor *cursor = g_new0(HfBaseCursor, 1);
  cursor->reader = reader;
  cursor->top = *top;
  return cursor;
}

void hf_base_cursor_free(HfBaseCursor *cursor)
{
  if (!cursor)
    return;
  for (guint i = 0; i < cursor->depth; i++)
    hf_blob_release(&cursor->steps[i].blob);
  g_free(cursor);
}

static gboolean push(HfBaseCursor *cursor, const HfId *id, GError **error)
{
  if (cursor->depth == DEPTH_MAX)
    return hf_fail(error, HF_ERROR_INVALID, "a folder of the base is nested too deep");
  Step *step = &cursor->steps[cursor->depth];
  *step = (Step){ 0 };
  if (!hf_blob_read(cursor->reader, id, HF_BLOB_PAGE, &step->blob, error))
    return FALSE;
  cursor->depth++;
  cursor->inline_counted = FALSE;
  return hf_page_open(&step->page, step->blob.payload, step->blob.length, step->blob.refs, step->blob.ref_count, FALSE,
                      error);
}

static void pop(HfBaseCursor *cursor)
{
  hf_blob_release(&cursor->steps[--cursor->depth].blob);
}

static int compare_name(HfView view, const char *name, gsize length)
{
  gsize common = MIN(view.length, length);
  int order = common ? memcmp(view.data, name, common) : 0;
  return order ? order : view.length < length ? -1 : view.length > length ? 1 : 0;
}

/* One step on: the next entry, or down into the child of a node that can hold `name`, or up. FALSE with error unset:
 * the end. */
static gboolean advance(HfBaseCursor *cursor, const char *name, gsize length, GError **error)
{
  while (cursor->depth) {
    g_autoptr(GError) problem = NULL;
    Step *step = &cursor->steps[cursor->depth - 1];
    if (step->page.level == 0) {
      if (hf_page_next(&step->page, &cursor->entry, &problem))
        return TRUE;
    } else {
      HfNodeItem item;
      gboolean down = FALSE;
      while (!down && hf_node_next(&step->page, &item, &problem))
        down = compare_name(item.last_name, name, length) >= 0;
      if (down) {
        if (!push(cursor, &item.ref, error))
          return FALSE;
        continue;
      }
    }
    if (problem) {
      g_propagate_error(error, g_steal_pointer(&problem));
      return FALSE;
    }
    pop(cursor);
  }
  return FALSE;
}

const HfEntry *hf_base_cursor_seek(HfBaseCursor *cursor, const char *name, GError **problem)
{
  gsize length = strlen(name);
  g_autoptr(GError) error = NULL;
  if (cursor->ended)
    return NULL;
  if (!cursor->started) {
    cursor->started = TRUE;
    if (!push(cursor, &cursor->top, &error)) {
      cursor->ended = TRUE;
      g_propagate_error(problem, g_steal_pointer(&error));
      return NULL;
    }
  }
  for (;;) {
    if (cursor->has_entry) {
      int order = compare_name(cursor->entry.name, name, length);
      if (order >= 0)
        return order == 0 ? &cursor->entry : NULL;
    }
    cursor->has_entry = advance(cursor, name, length, &error);
    if (!cursor->has_entry) {
      cursor->ended = TRUE;
      if (error)
        g_propagate_error(problem, g_steal_pointer(&error));
      return NULL;
    }
  }
}

const HfId *hf_base_cursor_tail(HfBaseCursor *cursor, guint *inline_entries)
{
  const Step *step = &cursor->steps[cursor->depth - 1];
  if (!cursor->inline_counted) {
    HfPageReader page;
    HfEntry entry;
    guint count = 0;
    if (hf_page_open(&page, step->blob.payload, step->blob.length, step->blob.refs, step->blob.ref_count, FALSE, NULL))
      while (hf_page_next(&page, &entry, NULL))
        count += entry.content == HF_CONTENT_INLINE;
    cursor->inline_entries = count;
    cursor->inline_counted = TRUE;
  }
  *inline_entries = cursor->inline_entries;
  return step->page.tail;
}
