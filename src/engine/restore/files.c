/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "engine/restore/files.h"

#include <errno.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/sys.h"

#define DAMAGED_SUFFIX ".damaged"
#define RANGES_NAMED 8u
#define SPARSE_BYTES (64u << 10)
#define LOCKING_FLAGS ((guint32)(FS_IMMUTABLE_FL | FS_APPEND_FL))

/* ---- Messages. ---- */

const char *hf_restore_path(HfRestoreWorker *worker, const HfSpot *spot)
{
  hf_spot_path(spot, worker->path);
  return worker->path->str;
}

gboolean hf_restore_goes_on(HfRestoreWorker *worker, const char *path, GError *problem)
{
  if (!hf_error_is(problem, HF_ERROR_NO_SPACE) && !hf_error_is(problem, HF_ERROR_CANCELLED)) {
    g_error_free(problem);
    return TRUE;
  }
  g_autofree char *shown = hf_printable(path, -1);
  if (worker->fatal == NULL)
    g_propagate_prefixed_error(&worker->fatal, problem, "cannot restore '%s': ", shown);
  else
    g_error_free(problem);
  return FALSE;
}

char *hf_damaged_name(const char *name)
{
  gsize length = MIN(strlen(name), HF_NAME_MAX - strlen(DAMAGED_SUFFIX));
  return g_strdup_printf("%.*s" DAMAGED_SUFFIX, (int)length, name);
}

/* ---- Metadata. ---- */

/* Extras of a node; when they cannot be read, none, and a warning. */
static HfView find_extras(HfRestoreWorker *worker, const HfTreeNode *node, const HfSpot *spot, HfBlob *blob)
{
  HfView extras;
  g_autoptr(GError) problem = NULL;
  if (hf_tree_extras(worker->browser, worker->state->tree, node, blob, &extras, &problem))
    return extras;
  const char *path = hf_restore_path(worker, spot);
  hf_report_warning(worker->state->report, path, "its extended attributes cannot be read: %s", problem->message);
  hf_restore_missing(worker->state, path, TRUE);
  return (HfView){ hf_nothing, 0 };
}

/* Writes extras without immutable and append to `out`; TRUE when one of them was there. */
static gboolean without_locks(HfView extras, GByteArray *out)
{
  HfReader reader = hf_reader(extras.data, extras.length);
  guint64 tag;
  HfView value;
  gboolean found = FALSE;
  while (hf_extras_next(&reader, &tag, &value, NULL)) {
    guint8 flags[4];
    if (tag == HF_EXTRA_INODE_FLAGS) {
      guint32 all = hf_load_u32(value.data);
      found = (all & LOCKING_FLAGS) != 0;
      hf_store_u32(flags, all & ~LOCKING_FLAGS);
      value.data = flags;
    }
    hf_extras_add(out, (HfExtra)tag, value.data, value.length);
  }
  return found;
}

void hf_restore_apply(HfRestoreWorker *worker, HfSpot *spot, int fd, const HfTreeNode *node, gboolean lock,
                      gboolean *locked)
{
  HfRestoreState *state = worker->state;
  g_auto(HfBlob) blob = { 0 };
  g_autoptr(GError) problem = NULL;
  g_autoptr(GByteArray) fewer = NULL;
  HfView extras = find_extras(worker, node, spot, &blob);
  if (!lock && extras.length > 0) {
    fewer = g_byte_array_new();
    *locked = without_locks(extras, fewer);
    extras = (HfView){ fewer->data, fewer->len };
  }
  int parent = fd < 0 ? hf_spot_open(&state->spots, spot->parent, &problem) : -1;
  const char *path = hf_restore_path(worker, spot);
  if (problem == NULL)
    hf_target_apply(parent, spot->name, fd, &node->entry, extras, state->report, path, &problem);
  if (parent >= 0)
    hf_spot_unpin(&state->spots, spot->parent);
  if (problem != NULL)
    hf_report_warning(state->report, path, "its metadata cannot be set: %s", problem->message);
}

/* ---- Folders. ---- */

HfRestoreFolder *hf_folder_new(HfRestoreFolder *parent, const char *name, const HfTreeNode *node, const char *shown)
{
  HfRestoreFolder *folder = g_new0(HfRestoreFolder, 1);
  folder->holds = 1;
  folder->name = g_strdup(name);
  folder->shown = g_strdup(shown);
  folder->node = node != NULL ? hf_tree_node_copy(node) : NULL;
  hf_spot_init(&folder->spot, parent != NULL ? &parent->spot : NULL, folder->name, folder->shown, TRUE);
  if (parent != NULL)
    hf_folder_hold(parent);
  return folder;
}

void hf_folder_hold(HfRestoreFolder *folder)
{
  g_atomic_int_inc(&folder->holds);
}

gboolean hf_folder_make(HfRestoreWorker *worker, HfRestoreFolder *folder, HfOverwrite overwrite)
{
  HfRestoreState *state = worker->state;
  HfSpot *spot = &folder->spot;
  GError *problem = NULL;
  int parent = hf_spot_open(&state->spots, spot->parent, &problem), fd = -1;
  if (parent >= 0) {
    fd = hf_target_folder(parent, spot->name, overwrite, &problem);
    hf_spot_unpin(&state->spots, spot->parent);
  }
  if (fd < 0) {
    const char *path = hf_restore_path(worker, spot);
    g_autofree char *message = g_strdup(problem->message);
    g_clear_pointer(&folder->node, hf_tree_node_free);
    if (hf_restore_goes_on(worker, path, problem)) {
      hf_report_warning(state->report, path, "this folder, and all in it, cannot be restored: %s", message);
      hf_restore_missing(state, path, FALSE);
    }
    return FALSE;
  }
  if (state->overwrite == HF_OVERWRITE_REPLACE)
    hf_target_clear(fd);
  if (folder->node != NULL && (folder->node->entry.flags & HF_ENTRY_EXTRAS))
    hf_target_prepare(fd, folder->node->entry.extras);
  hf_spot_take(&state->spots, spot, fd);
  hf_spot_unpin(&state->spots, spot);
  return TRUE;
}

static void finish_folder(HfRestoreWorker *worker, HfRestoreFolder *folder)
{
  HfRestoreState *state = worker->state;
  g_autoptr(GError) problem = NULL;
  if (folder->node != NULL && !g_atomic_int_get(&state->aborted)) {
    int fd = hf_spot_open(&state->spots, &folder->spot, &problem);
    if (fd >= 0) {
      hf_restore_apply(worker, &folder->spot, fd, folder->node, TRUE, NULL);
      hf_spot_unpin(&state->spots, &folder->spot);
    } else {
      hf_report_warning(state->report, hf_restore_path(worker, &folder->spot), "its metadata cannot be set: %s",
                        problem->message);
    }
    worker->directories++;
  }
  hf_spot_close(&state->spots, &folder->spot);
  if (folder->node != NULL)
    hf_tree_node_free(folder->node);
  g_free(folder->shown);
  g_free(folder->name);
}

void hf_folder_release(HfRestoreWorker *worker, HfRestoreFolder *folder)
{
  while (folder != NULL && g_atomic_int_dec_and_test(&folder->holds)) {
    HfRestoreFolder *parent = (HfRestoreFolder *)folder->spot.parent;
    finish_folder(worker, folder);
    g_free(folder);
    folder = parent;
  }
}

/* ---- Files: making and writing. ---- */

HfRestoreFile *hf_file_new(HfRestoreFolder *folder, const char *name, const HfTreeNode *node, const char *shown)
{
  HfRestoreFile *file = g_new0(HfRestoreFile, 1);
  file->holds = 1;
  file->folder = folder;
  file->name = g_strdup(name);
  file->shown = g_strdup(shown);
  file->node = hf_tree_node_copy(node);
  hf_spot_init(&file->spot, folder != NULL ? &folder->spot : NULL, file->name, file->shown, FALSE);
  if (folder != NULL)
    hf_folder_hold(folder);
  return file;
}

static gboolean is_regular(const HfRestoreFile *file)
{
  return S_ISREG(file->node->entry.mode) || hf_tree_node_is_disk(file->node);
}

void hf_file_fail(HfRestoreWorker *worker, HfRestoreFile *file, GError *problem)
{
  if (file->disk != NULL && worker->fatal == NULL) {
    worker->fatal = problem;
    hf_file_drop(file);
    return;
  }
  g_autofree char *message = g_strdup(problem->message);
  if (!hf_restore_goes_on(worker, hf_restore_path(worker, &file->spot), problem)) {
    hf_file_drop(file);
    return;
  }
  g_mutex_lock(&worker->state->lock);
  if (file->failure == NULL)
    file->failure = g_steal_pointer(&message);
  g_mutex_unlock(&worker->state->lock);
}

/* It is spoken of under its own path all the same. Nobody else knows the file yet. */
static void name_beside(HfRestoreWorker *worker, HfRestoreFile *file)
{
  if (file->shown == NULL)
    file->shown = g_strdup(hf_restore_path(worker, &file->spot));
  file->spot.shown = file->shown;
  file->spot.name = file->beside;
}

/* It is whole, and all but locked: what stands under its name gives place. */
static gboolean take_place(HfRestoreWorker *worker, HfRestoreFile *file, GError **error)
{
  HfSpots *spots = &worker->state->spots;
  int parent = hf_spot_open(spots, file->spot.parent, error);
  if (parent < 0)
    return FALSE;
  gboolean good = hf_target_replace(parent, file->beside, file->name, error);
  hf_spot_unpin(spots, file->spot.parent);
  if (good) {
    file->spot.name = file->name;
    g_clear_pointer(&file->beside, g_free);
  }
  return good;
}

/* Makes it under `name`, which is its own or another in the same folder. */
static gboolean make_as(HfRestoreWorker *worker, HfRestoreFile *file, const char *name, HfOverwrite overwrite,
                        GError **error)
{
  HfRestoreState *state = worker->state;
  int parent = hf_spot_open(&state->spots, file->spot.parent, error);
  if (parent < 0)
    return FALSE;
  if (is_regular(file)) {
    int fd = hf_target_file(parent, name, overwrite, &file->beside, error);
    file->made = fd >= 0;
    if (file->beside != NULL)
      name_beside(worker, file);
    if (fd >= 0 && (file->node->entry.flags & HF_ENTRY_EXTRAS))
      hf_target_prepare(fd, file->node->entry.extras);
    if (fd >= 0)
      hf_spot_take(&state->spots, &file->spot, fd);
  } else {
    file->made = hf_target_special(parent, name, &file->node->entry, overwrite, error);
  }
  hf_spot_unpin(&state->spots, file->spot.parent);
  return file->made;
}

void hf_file_make(HfRestoreWorker *worker, HfRestoreFile *file)
{
  GError *problem = NULL;
  HfOverwrite overwrite = file->link != NULL ? HF_OVERWRITE_REFUSE : worker->state->overwrite;
  /* In a target that was empty only the rest of another file can be in the way, which must give place. */
  if (g_str_has_suffix(file->name, DAMAGED_SUFFIX))
    overwrite = HF_OVERWRITE_REPLACE;
  if (!make_as(worker, file, file->name, overwrite, &problem))
    hf_file_fail(worker, file, problem);
  else if (is_regular(file))
    hf_spot_unpin(&worker->state->spots, &file->spot);
}

/* A disk image is sparse wherever it can be. */
static gboolean write_sparse(int fd, guint64 offset, const guint8 *bytes, gsize length, const char *name,
                             GError **error)
{
  for (gsize at = 0; at < length; at += SPARSE_BYTES) {
    gsize part = MIN(SPARSE_BYTES, length - at);
    if (!hf_bytes_all_zero(bytes + at, part) &&
        !hf_pwrite_all(fd, bytes + at, part, (goffset)(offset + at), name, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean write_file(HfRestoreWorker *worker, HfRestoreFile *file, guint64 offset, const void *bytes,
                           gsize length, GError **error)
{
  HfSpots *spots = &worker->state->spots;
  if (file->disk != NULL)
    return hf_disk_target_write(file->disk, offset, bytes, length, error);
  int fd = hf_spot_open(spots, &file->spot, error);
  if (fd < 0)
    return FALSE;
  gboolean good = hf_tree_node_is_disk(file->node)
    ? write_sparse(fd, offset, bytes, length, file->name, error)
    : hf_pwrite_all(fd, bytes, length, (goffset)offset, file->name, error);
  hf_spot_unpin(spots, &file->spot);
  return good;
}

void hf_file_write(HfRestoreWorker *worker, HfRestoreFile *file, guint64 offset, const void *bytes, gsize length)
{
  GError *problem = NULL;
  if (g_atomic_int_get(&file->dropped) || (!file->made && file->disk == NULL))
    return;
  if (!write_file(worker, file, offset, bytes, length, &problem))
    hf_file_fail(worker, file, problem);
  else if (file->counted)
    worker->progress += length;
}

void hf_file_lose(HfRestoreWorker *worker, HfRestoreFile *file, guint64 offset, guint64 length, const char *reason)
{
  HfLostRange range = { offset, length };
  g_mutex_lock(&worker->state->lock);
  if (file->lost == NULL)
    file->lost = g_array_new(FALSE, FALSE, sizeof(HfLostRange));
  g_array_append_val(file->lost, range);
  if (file->reason == NULL)
    file->reason = g_strdup(reason);
  g_mutex_unlock(&worker->state->lock);
}

void hf_file_drop(HfRestoreFile *file)
{
  g_atomic_int_set(&file->dropped, TRUE);
}

void hf_file_hold(HfRestoreFile *file)
{
  g_atomic_int_inc(&file->holds);
}

/* ---- Files: the end. ---- */

/* Takes an unfinished file away (D5). */
static void remove_made(HfRestoreWorker *worker, HfRestoreFile *file)
{
  HfSpots *spots = &worker->state->spots;
  if (file->disk != NULL)
    return;
  hf_spot_close(spots, &file->spot);
  int parent = file->made ? hf_spot_open(spots, file->spot.parent, NULL) : -1;
  if (parent < 0)
    return;
  HF_AGAIN(hf_sys->unlinkat(parent, file->spot.name, 0));
  hf_spot_unpin(spots, file->spot.parent);
}

static gint compare_ranges(gconstpointer a, gconstpointer b)
{
  guint64 x = ((const HfLostRange *)a)->offset, y = ((const HfLostRange *)b)->offset;
  return (x > y) - (x < y);
}

/* "bytes 0-4095, 8192-12287 and 3 more ranges" */
static char *describe_ranges(GArray *lost)
{
  GString *text = g_string_new("bytes ");
  guint count = 0;
  g_array_sort(lost, compare_ranges);
  for (guint i = 0; i < lost->len; count++) {
    HfLostRange range = g_array_index(lost, HfLostRange, i);
    for (i++; i < lost->len && g_array_index(lost, HfLostRange, i).offset == range.offset + range.length; i++)
      range.length += g_array_index(lost, HfLostRange, i).length;
    if (count < RANGES_NAMED)
      g_string_append_printf(text, "%s%" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT, count > 0 ? ", " : "", range.offset,
                             range.offset + range.length - 1);
  }
  if (count > RANGES_NAMED)
    g_string_append_printf(text, " and %u more ranges", count - RANGES_NAMED);
  return g_string_free(text, FALSE);
}

/* Like renameat2 with RENAME_NOREPLACE, which some file systems lack. */
static gboolean rename_new(int parent, const char *from, const char *to)
{
  if (HF_AGAIN(hf_sys->renameat2(parent, from, parent, to, RENAME_NOREPLACE)) == 0)
    return TRUE;
  return errno == EINVAL && HF_AGAIN(hf_sys->linkat(parent, from, parent, to, 0)) == 0 &&
         HF_AGAIN(hf_sys->unlinkat(parent, from, 0)) == 0;
}

/* Puts what is there of a damaged file under its other name (D1). */
static gboolean set_aside(HfRestoreWorker *worker, HfRestoreFile *file, GError **error)
{
  HfSpots *spots = &worker->state->spots;
  g_autofree char *name = hf_damaged_name(file->name);
  if (!file->made) {
    if (!make_as(worker, file, name, HF_OVERWRITE_REFUSE, error))
      return FALSE;
    hf_spot_unpin(spots, &file->spot);
  } else {
    int parent = hf_spot_open(spots, file->spot.parent, error);
    if (parent < 0)
      return FALSE;
    gboolean renamed = rename_new(parent, file->spot.name, name);
    int errnum = errno;
    hf_spot_unpin(spots, file->spot.parent);
    if (!renamed)
      return hf_fail_errno(error, errnum, "cannot make '%s'", name);
  }
  g_free(file->name);
  file->name = g_steal_pointer(&name);
  file->spot.name = file->name;
  g_clear_pointer(&file->beside, g_free);
  return TRUE;
}

/* TRUE when there is something that is to have metadata. */
static gboolean settle_damaged(HfRestoreWorker *worker, HfRestoreFile *file)
{
  g_autoptr(GError) problem = NULL;
  g_autofree char *ranges = describe_ranges(file->lost), *end = NULL;
  g_autofree char *path = g_strdup(hf_restore_path(worker, &file->spot));
  gboolean kept = file->disk == NULL && set_aside(worker, file, &problem);
  if (file->disk != NULL)
    end = g_strdup_printf("they are zeros in '%s'", hf_disk_target_path(file->disk));
  else if (problem != NULL)
    end = g_strdup_printf("the rest of it is not kept: %s", problem->message);
  else if (file->link != NULL)
    end = g_strdup("the rest of it is beside it");
  else
    end = g_strdup_printf("the rest of it is in '%s'", file->name);
  hf_report_warning(worker->state->report, path, "%s cannot be read: %s; %s", ranges, file->reason, end);
  hf_restore_missing(worker->state, path, TRUE);
  return kept;
}

/* Size, metadata, and what the file system says when it is closed. FALSE: it is not in spot. */
static gboolean complete(HfRestoreWorker *worker, HfRestoreFile *file)
{
  HfSpots *spots = &worker->state->spots;
  GError *problem = NULL;
  gboolean lock = file->link == NULL && file->beside == NULL;
  if (!is_regular(file)) {
    hf_restore_apply(worker, &file->spot, -1, file->node, lock, &file->locked);
    return TRUE;
  }
  int fd = hf_spot_open(spots, &file->spot, &problem);
  gboolean good = fd >= 0;
  if (good && file->lost != NULL && HF_AGAIN(hf_sys->ftruncate(fd, (off_t)file->node->entry.size)) < 0)
    good = hf_fail_errno(&problem, errno, "cannot set the size of '%s'", file->name);
  if (good && !hf_tree_node_is_disk(file->node))
    hf_restore_apply(worker, &file->spot, fd, file->node, lock, &file->locked);
  /* Further names of a link may replace something as well. */
  if (good && (file->beside != NULL || (file->link != NULL && worker->state->overwrite == HF_OVERWRITE_REPLACE)))
    good = hf_target_settle(fd, file->name, &problem);
  if (fd >= 0)
    hf_spot_unpin(spots, &file->spot);
  int errnum = hf_spot_close(spots, &file->spot);
  if (good && errnum != 0)
    good = hf_fail_errno(&problem, errnum, "cannot write '%s'", file->name);
  if (good && file->beside != NULL) {
    good = take_place(worker, file, &problem);
    if (good && file->locked)
      hf_restore_apply(worker, &file->spot, -1, file->node, TRUE, NULL);
  }
  if (!good)
    hf_file_fail(worker, file, problem);
  return good;
}

static void count_whole(HfRestoreWorker *worker, HfRestoreFile *file)
{
  guint64 size = is_regular(file) ? file->node->entry.size : 0;
  worker->files++;
  worker->bytes += size;
  if (!file->counted)
    worker->progress += size;
  hf_report_item(worker->state->report, hf_restore_path(worker, &file->spot), "restored");
}

static void finish_file(HfRestoreWorker *worker, HfRestoreFile *file)
{
  HfRestoreState *state = worker->state;
  gboolean in_place = FALSE, damaged = file->lost != NULL;
  if (!g_atomic_int_get(&file->dropped) && file->failure == NULL) {
    if (damaged)
      in_place = settle_damaged(worker, file);
    else
      in_place = file->made || file->disk != NULL;
    if (in_place && file->disk == NULL)
      in_place = complete(worker, file);
  }
  if (!in_place)
    remove_made(worker, file);
  if (in_place && !damaged && file->link == NULL)
    count_whole(worker, file);
  if (file->failure != NULL) {
    const char *path = hf_restore_path(worker, &file->spot);
    hf_report_warning(state->report, path, "cannot be restored: %s", file->failure);
    hf_restore_missing(state, path, FALSE);
  }
  if (file->link != NULL)
    hf_links_settle(worker, file, in_place, damaged);
}

void hf_file_release(HfRestoreWorker *worker, HfRestoreFile *file)
{
  if (!g_atomic_int_dec_and_test(&file->holds))
    return;
  finish_file(worker, file);
  if (file->folder != NULL)
    hf_folder_release(worker, file->folder);
  if (file->lost != NULL)
    g_array_unref(file->lost);
  hf_tree_node_free(file->node);
  g_free(file->reason);
  g_free(file->failure);
  g_free(file->shown);
  g_free(file->beside);
  g_free(file->name);
  g_free(file);
}
