/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/error.h"
#include "engine/restore/plan.h"
#include "engine/restore/running.h"

/* The disk that was asked for, or the only one. */
static HfTreeNode *find_disk(HfBrowser *browser, const HfTree *tree, const char *path, GError **error)
{
  HfTreeNode root;
  g_autoptr(HfTreeNode) found = NULL;
  if (path != NULL) {
    found = hf_tree_lookup(browser, tree, path, error);
    if (found != NULL && !hf_tree_node_is_disk(found)) {
      hf_fail(error, HF_ERROR_USAGE, "'%s' is no disk; restore it with --to", path);
      return NULL;
    }
    return g_steal_pointer(&found);
  }
  for (guint i = 0; i < hf_tree_root_count(tree); i++) {
    hf_tree_root(tree, i, &root);
    if (!hf_tree_node_is_disk(&root))
      continue;
    if (found != NULL) {
      hf_fail(error, HF_ERROR_USAGE,
              "this point holds several disks; name the one to restore, 'holdfast ls' lists them");
      return NULL;
    }
    found = hf_tree_node_copy(&root);
  }
  if (found == NULL)
    hf_fail(error, HF_ERROR_NOT_FOUND, "this point holds no disk; restore its files with --to");
  return g_steal_pointer(&found);
}

/* Lost ranges are to read as zeros, whatever the target held. */
static gboolean zero_lost(HfRestoreFile *file, HfDiskTarget *target, GError **error)
{
  for (guint i = 0; file->lost != NULL && i < file->lost->len; i++) {
    const HfLostRange *range = &g_array_index(file->lost, HfLostRange, i);
    if (!hf_disk_target_zero(target, range->offset, range->length, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean write_disk(HfRestoreWorker *walker, const HfTreeNode *disk, HfDiskTarget *target, const char *shown,
                           GError **error)
{
  HfRestoreState *state = walker->state;
  HfRestoreFile *file = hf_file_new(NULL, shown, disk, shown);
  file->disk = target;
  hf_report_total(state->report, 1, disk->entry.size);
  hf_running_start(state);
  gboolean good = hf_plan_extents(walker, file, error) && hf_window_finish(walker, error);
  if (!good) {
    hf_file_drop(file);
    hf_running_stop(state, walker, error);
  }
  good = good && zero_lost(file, target, error);
  if (file->lost != NULL)
    hf_disk_target_set_damaged(target);
  good = good && hf_disk_target_finish(target, error);
  hf_file_release(walker, file);
  return good;
}

static gboolean restore_disk(HfRestoreState *state, const HfPointInfo *point, const HfRestoreDiskOptions *options,
                             GError **error)
{
  g_autoptr(HfRestoreWorker) walker = hf_restore_worker_new(state, error);
  if (walker == NULL)
    return FALSE;
  state->tree = hf_tree_open(walker->browser, &point->point, error);
  if (state->tree == NULL)
    return FALSE;
  g_autoptr(HfTreeNode) disk = find_disk(walker->browser, state->tree, options->path, error);
  if (disk == NULL)
    return FALSE;
  g_autoptr(HfDiskTarget) target = hf_disk_target_open(options->target, disk->entry.size, options->overwrite, error);
  g_autofree char *name = g_strndup((const char *)disk->entry.name.data, disk->entry.name.length);
  if (disk->entry.flags & HF_ENTRY_INCOMPLETE)
    hf_report_warning(state->report, name,
                      "could not be read whole when it was saved; zeros stand for what is missing");
  return target != NULL && write_disk(walker, disk, target, options->path != NULL ? options->path : name, error);
}

gboolean hf_restore_disk(HfRepo *repo, const HfPointInfo *point, const HfRestoreDiskOptions *options,
                         HfRestoreResult *result, GError **error)
{
  HfRestoreState state;
  if (!hf_running_open(&state, repo, &point->point, result, error))
    return FALSE;
  gboolean good = restore_disk(&state, point, options, error);
  hf_running_close(&state);
  return good;
}
