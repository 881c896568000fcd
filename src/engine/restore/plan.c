/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "engine/restore/plan.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/sys.h"

/* ---- Contents. ---- */

/* Finds the blob and queues the need. A blob that is nowhere is a lost range. */
static gboolean add_need(HfRestoreWorker *walker, HfRestoreFile *file, const HfTreeExtent *extent, GError **error)
{
  HfNeed need = { .file = file, .has_blob = TRUE, .block = extent->block, .whole = extent->whole, .id = extent->ref,
                  .start = (guint32)extent->start, .length = (guint32)extent->length, .offset = extent->offset };
  g_autoptr(GError) problem = NULL;
  if (hf_blob_locate(walker->reader, &need.id, &need.place, &problem)) {
    hf_file_hold(file);
    return hf_window_add(walker, &need, error);
  }
  if (hf_restore_is_damage(problem)) {
    hf_file_lose(walker, file, extent->offset, extent->length, problem->message);
    return TRUE;
  }
  g_propagate_error(error, g_steal_pointer(&problem));
  return FALSE;
}

static gboolean pass_hole(HfRestoreWorker *walker, HfRestoreFile *file, const HfTreeExtent *extent, GError **error)
{
  if (file->counted)
    walker->progress += extent->length;
  return file->disk == NULL || hf_disk_target_zero(file->disk, extent->offset, extent->length, error);
}

gboolean hf_plan_extents(HfRestoreWorker *walker, HfRestoreFile *file, GError **error)
{
  g_autoptr(HfTreeFile) content = hf_tree_file_open(walker->browser, walker->state->tree, file->node, error);
  guint64 size = content != NULL ? hf_tree_file_size(content) : 0;
  gboolean good = content != NULL;
  file->counted = file->link == NULL; /* names of links are counted when they stand */
  for (guint64 at = 0; good && at < size;) {
    HfTreeExtent extent;
    g_autoptr(GError) problem = NULL;
    if (hf_cancelled(walker->state->repo->cancel, error))
      return FALSE;
    if (hf_tree_file_extent(content, at, &extent, &problem)) {
      good = extent.hole ? pass_hole(walker, file, &extent, error) : add_need(walker, file, &extent, error);
    } else if (hf_restore_is_damage(problem)) {
      hf_file_lose(walker, file, extent.offset, extent.length, problem->message);
    } else {
      good = FALSE;
      g_propagate_error(error, g_steal_pointer(&problem));
    }
    at = extent.offset + extent.length;
  }
  return good;
}

/* A file of several extents is made at once, with its size, so that they can come in any order. */
static gboolean plan_long(HfRestoreWorker *walker, HfRestoreFile *file, GError **error)
{
  HfSpots *spots = &walker->state->spots;
  GError *problem = NULL;
  hf_file_make(walker, file);
  if (!file->made)
    return TRUE;
  int fd = hf_spot_open(spots, &file->spot, &problem);
  gboolean sized = fd >= 0 && HF_AGAIN(hf_sys->ftruncate(fd, (off_t)file->node->entry.size)) == 0;
  if (fd >= 0 && !sized)
    hf_fail_errno(&problem, errno, "cannot make it as large as %" G_GUINT64_FORMAT " bytes", file->node->entry.size);
  if (fd >= 0)
    hf_spot_unpin(spots, &file->spot);
  if (sized)
    return hf_plan_extents(walker, file, error);
  hf_file_fail(walker, file, problem);
  return TRUE;
}

static gboolean plan_short(HfRestoreWorker *walker, HfRestoreFile *file, GError **error)
{
  const HfTreeNode *node = file->node;
  if (!S_ISREG(node->entry.mode) || node->entry.content == HF_CONTENT_NONE) {
    HfNeed need = { .file = file };
    hf_file_hold(file);
    return hf_window_add(walker, &need, error);
  }
  gboolean tail = node->entry.content == HF_CONTENT_INLINE;
  HfTreeExtent extent = { .length = node->entry.size, .whole = !tail, .ref = tail ? node->tail : node->entry.ref,
                          .start = tail ? node->entry.tail_offset : 0 };
  return add_need(walker, file, &extent, error);
}

static gboolean plan_content(HfRestoreWorker *walker, HfRestoreFile *file, GError **error)
{
  const HfTreeNode *node = file->node;
  gboolean several = node->entry.content == HF_CONTENT_LIST || hf_tree_node_is_disk(node);
  if (node->entry.flags & HF_ENTRY_INCOMPLETE)
    hf_report_warning(walker->state->report, hf_restore_path(walker, &file->spot),
                      "was not saved whole; what was saved of it is restored");
  gboolean good = several ? plan_long(walker, file, error) : plan_short(walker, file, error);
  if (!good)
    hf_file_drop(file);
  hf_file_release(walker, file);
  return good;
}

/* ---- Entries. ---- */

static gboolean plan_file(HfRestoreWorker *walker, HfRestoreFolder *folder, const char *name, const HfTreeNode *node,
                          const char *shown, GError **error)
{
  HfRestoreFile *file = NULL;
  if ((node->entry.flags & HF_ENTRY_HARD_LINK) && hf_links_add(walker, folder, name, node, shown, &file)) {
    if (file == NULL)
      return hf_window_weigh(walker, error);
  } else {
    file = hf_file_new(folder, name, node, shown);
  }
  return plan_content(walker, file, error);
}

/* Makes a folder; NULL when the target does not take it. The result is held. */
static HfRestoreFolder *plan_folder(HfRestoreWorker *walker, HfRestoreFolder *parent, const char *name,
                                    const HfTreeNode *node, const char *shown)
{
  HfRestoreFolder *folder = hf_folder_new(parent, name, node->is_virtual ? NULL : node, shown);
  if (!hf_folder_make(walker, folder, walker->state->overwrite)) {
    hf_folder_release(walker, folder);
    return NULL;
  }
  if (node->entry.flags & HF_ENTRY_INCOMPLETE)
    hf_report_warning(walker->state->report, hf_restore_path(walker, &folder->spot),
                      "was not saved whole; what was saved of it is restored");
  return folder;
}

/* ---- Walking. ---- */

typedef struct Walk {
  HfRestoreWorker *walker;
  HfTreeWalk *walk;
  GPtrArray *folders; /* of HfRestoreFolder*, held: the start, and the folders on the way to the present one */
} Walk;

static void leave(Walk *walk, guint depth)
{
  while (walk->folders->len > depth) {
    hf_folder_release(walk->walker, walk->folders->pdata[walk->folders->len - 1]);
    g_ptr_array_set_size(walk->folders, (gint)walk->folders->len - 1);
  }
}

static gboolean plan_node(Walk *walk, const HfTreeNode *node, GError **error)
{
  char name[HF_NAME_MAX + 1];
  guint depth = hf_tree_walk_depth(walk->walk);
  leave(walk, depth + 1);
  memcpy(name, node->entry.name.data, node->entry.name.length);
  name[node->entry.name.length] = '\0';
  HfRestoreFolder *folder = walk->folders->pdata[depth];
  if (!hf_tree_node_is_folder(node))
    return plan_file(walk->walker, folder, name, node, NULL, error);
  HfRestoreFolder *child = plan_folder(walk->walker, folder, name, node, NULL);
  if (child != NULL)
    g_ptr_array_add(walk->folders, child);
  else
    hf_tree_walk_skip(walk->walk);
  return TRUE;
}

/* A page that cannot be read: what it holds cannot even be named. */
static gboolean pass_damage(Walk *walk, GError *problem, GError **error)
{
  HfRestoreState *state = walk->walker->state;
  const char *path = hf_tree_walk_path(walk->walk);
  if (!hf_restore_is_damage(problem)) {
    g_propagate_error(error, problem);
    return FALSE;
  }
  hf_report_warning(state->report, path, "not all that is in this folder can be read: %s", problem->message);
  hf_restore_missing(state, path, TRUE);
  g_error_free(problem);
  return TRUE;
}

static gboolean walk_on(Walk *walk, gboolean *end, GError **error)
{
  HfTreeNode node;
  GError *problem = NULL;
  *end = FALSE;
  if (hf_tree_walk_next(walk->walk, &node, &problem)) {
    if (!plan_node(walk, &node, error))
      return FALSE;
  } else if (problem != NULL) {
    if (!pass_damage(walk, problem, error))
      return FALSE;
  } else {
    *end = TRUE;
  }
  if (!hf_restore_is_alive(walk->walker, error))
    return FALSE;
  return !hf_pool_stopping(walk->walker->state->pool) || hf_fail(error, HF_ERROR_CANCELLED, "cancelled");
}

/* Everything below `folder`, which is let go. */
static gboolean plan_tree(HfRestoreWorker *walker, HfRestoreFolder *folder, const HfSelection *selection,
                          GError **error)
{
  Walk walk = { .walker = walker, .folders = g_ptr_array_new() };
  g_ptr_array_add(walk.folders, folder);
  walk.walk = hf_tree_walk_new(walker->browser, walker->state->tree, selection->node, selection->path);
  gboolean good = TRUE;
  for (gboolean end = FALSE; good && !end;)
    good = walk_on(&walk, &end, error);
  if (!good)
    g_atomic_int_set(&walker->state->aborted, TRUE);
  leave(&walk, 0);
  hf_tree_walk_free(walk.walk);
  g_ptr_array_unref(walk.folders);
  return good;
}

/* ---- The way to a selection. ---- */

/* Is there anything of this name? What cannot be looked at is taken for there. */
static gboolean stands(HfRestoreState *state, HfRestoreFolder *parent, const char *name)
{
  struct stat status;
  int fd = hf_spot_open(&state->spots, &parent->spot, NULL);
  if (fd < 0)
    return TRUE;
  gboolean none = HF_AGAIN(hf_sys->fstatat(fd, name, &status, AT_SYMLINK_NOFOLLOW)) < 0 && errno == ENOENT;
  hf_spot_unpin(&state->spots, &parent->spot);
  return !none;
}

/* A folder on the way: what is there already stays as it is; a new one is like the one that was saved. */
static HfRestoreFolder *make_parent(HfRestoreWorker *walker, HfRestoreFolder *parent, const char *name,
                                    const char *path)
{
  HfRestoreState *state = walker->state;
  g_autoptr(HfTreeNode) node = hf_tree_lookup(walker->browser, state->tree, path, NULL);
  gboolean known = node != NULL && hf_tree_node_is_folder(node) && !node->is_virtual;
  gboolean shared = state->keep || state->overwrite == HF_OVERWRITE_REPLACE;
  if (known && shared)
    known = !stands(state, parent, name);
  HfRestoreFolder *folder = hf_folder_new(parent, name, known ? node : NULL, NULL);
  if (hf_folder_make(walker, folder, shared ? HF_OVERWRITE_ENTER : state->overwrite))
    return folder;
  hf_folder_release(walker, folder);
  return NULL;
}

/* The folder that `target` lies in; NULL when it cannot be made. Borrowed from `parents`, or the target itself. */
static HfRestoreFolder *find_parent(HfRestoreWorker *walker, const char *target, GHashTable *parents)
{
  HfRestoreFolder *folder = walker->state->target;
  for (const char *at = target, *slash; folder != NULL && (slash = strchr(at, '/')) != NULL; at = slash + 1) {
    g_autofree char *path = g_strdup_printf("/%.*s", (int)(slash - target), target);
    HfRestoreFolder *known = g_hash_table_lookup(parents, path);
    if (known == NULL) {
      g_autofree char *name = g_strndup(at, (gsize)(slash - at));
      known = make_parent(walker, folder, name, path);
      if (known != NULL)
        g_hash_table_insert(parents, g_strdup(path), known);
    }
    folder = known;
  }
  return folder;
}

#define BESIDE "RESTORED-"
#define BESIDE_MOST 1000u

/* A name in `parent` that is free: its own, or one beside it; caller frees. */
static char *free_name(HfRestoreState *state, HfRestoreFolder *parent, const char *name, const char *target)
{
  char *chosen = g_strdup(name);
  for (guint tries = 1; tries < BESIDE_MOST && stands(state, parent, chosen); tries++) {
    char start[sizeof BESIDE + 12];
    g_free(chosen);
    if (tries == 1)
      g_strlcpy(start, BESIDE, sizeof start);
    else
      g_snprintf(start, sizeof start, BESIDE "%u-", tries);
    chosen = g_strdup_printf("%s%.*s", start, (int)(HF_NAME_MAX - strlen(start)), name);
  }
  if (!g_str_equal(chosen, name)) {
    char *path = g_strdup_printf("%.*s%s", (int)(strlen(target) - strlen(name)), target, chosen);
    g_ptr_array_add(state->result->beside, path);
  }
  return chosen;
}

gboolean hf_plan(HfRestoreWorker *walker, const HfSelection *selection, GHashTable *parents, GError **error)
{
  HfRestoreState *state = walker->state;
  const char *slash = strrchr(selection->target, '/'), *name = slash != NULL ? slash + 1 : selection->target;
  g_autofree char *chosen = NULL;
  if (*name == '\0') {
    if (!selection->node->is_virtual)
      state->target->node = hf_tree_node_copy(selection->node);
    hf_folder_hold(state->target);
    return plan_tree(walker, state->target, selection, error);
  }
  HfRestoreFolder *parent = find_parent(walker, selection->target, parents);
  if (parent == NULL) {
    hf_restore_missing(state, selection->path, FALSE);
    return TRUE;
  }
  if (state->keep)
    name = chosen = free_name(state, parent, name, selection->target);
  if (!hf_tree_node_is_folder(selection->node))
    return plan_file(walker, parent, name, selection->node, selection->path, error);
  HfRestoreFolder *folder = plan_folder(walker, parent, name, selection->node, selection->path);
  return folder == NULL || plan_tree(walker, folder, selection, error);
}
