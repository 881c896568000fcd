/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "engine/backup/walk.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "engine/backup/content.h"

/* What one folder's walk needs. */
typedef struct Walk {
  HfBackupWorker *worker;
  HfTreeDir *dir;
  HfSourceDir *source;
  const char *folder;   /* path */
  HfBaseCursor *bases[HF_BASES];
  GPtrArray *children;  /* of HfTreeDir*, to be queued */
} Walk;

static gboolean same_file(const HfEntry *old, const HfEntry *entry)
{
  return ((old->mode ^ entry->mode) & S_IFMT) == 0 && old->size == entry->size &&
         old->mtime_sec == entry->mtime_sec && old->mtime_nsec == entry->mtime_nsec &&
         old->ctime_sec == entry->ctime_sec && old->ctime_nsec == entry->ctime_nsec && old->inode == entry->inode &&
         !(old->flags & HF_ENTRY_RACY);
}

/* ---- Tails. ---- */

static gboolean reuse_tail(HfBackupWorker *worker, HfTreePage *page, gboolean *reused, GError **error)
{
  const HfTailSource *first = &g_array_index(page->tails, HfTailSource, 0);
  gboolean absent = FALSE;
  *reused = first->reuse && first->old_count == page->tails->len;
  for (guint i = 1; *reused && i < page->tails->len; i++) {
    const HfTailSource *tail = &g_array_index(page->tails, HfTailSource, i);
    *reused = tail->reuse && hf_id_equal(&tail->old_tail, &first->old_tail);
  }
  if (!*reused)
    return TRUE;
  if (!hf_index_is_absent(worker->state->repo->index, hf_keyring_domain(worker->state->repo->keys), &first->old_tail,
                          &absent, error))
    return FALSE;
  *reused = !absent;
  page->tail_id = first->old_tail;
  return TRUE;
}

gboolean hf_walk_store_tail(HfBackupWorker *worker, HfTreeDir *dir, HfTreePage *page, GError **error)
{
  gboolean reused;
  page->has_tail = page->tails->len > 0;
  if (!page->has_tail)
    return TRUE;
  if (!reuse_tail(worker, page, &reused, error))
    return FALSE;
  if (reused)
    return TRUE;

  g_autoptr(GByteArray) bytes = g_byte_array_new();
  for (guint i = 0; i < page->tails->len; i++) {
    const HfTailSource *tail = &g_array_index(page->tails, HfTailSource, i);
    HfEntry *entry = &g_array_index(page->entries, HfEntry, tail->entry);
    if (!tail->reuse) {
      g_byte_array_append(bytes, page->tail->data + tail->offset, (guint)entry->size);
      continue;
    }
    g_autofree char *name = g_strndup((const char *)entry->name.data, entry->name.length);
    HfFilePlace place = { dir->source, name, dir->path };
    if (!hf_content_read_again(&place, entry, bytes)) {
      hf_warn_place(worker, &place, "changed or vanished while it was backed up; it is empty in this point");
      entry->content = HF_CONTENT_NONE;
      entry->size = 0;
      entry->flags |= HF_ENTRY_INCOMPLETE;
    }
  }
  page->has_tail = bytes->len > 0;
  return !page->has_tail ||
         hf_blob_write(worker->writer, HF_BLOB_DATA, NULL, 0, bytes->data, bytes->len, &page->tail_id, NULL, error);
}

/* ---- One entry. ---- */

static gboolean close_page(Walk *walk, HfTreePage *page, GError **error)
{
  return hf_walk_store_tail(walk->worker, walk->dir, page, error) && hf_tree_close(walk->worker, page, error);
}

static gboolean add_entry(Walk *walk, const HfEntry *entry, const HfTailSource *tail, GError **error)
{
  HfTreePage *page = hf_tree_page(walk->dir);
  gboolean full;
  if (entry->content == HF_CONTENT_INLINE) {
    g_assert(tail != NULL);
    HfTailSource source = *tail;
    source.entry = page->entries->len;
    g_array_append_val(page->tails, source);
  }
  hf_tree_add(page, entry, &full);
  return !full || close_page(walk, page, error);
}

/* Looks the name up in the bases: old[i] is NULL where it is not known. */
static void find_old(Walk *walk, const char *name, const HfEntry *old[HF_BASES])
{
  for (guint i = 0; i < HF_BASES; i++) {
    g_autoptr(GError) problem = NULL;
    old[i] = walk->bases[i] ? hf_base_cursor_seek(walk->bases[i], name, &problem) : NULL;
    if (problem)
      hf_report_warning(walk->worker->state->report, walk->folder,
                        "what the last point says of this folder cannot be read, its files are read anew: %s",
                        problem->message);
  }
}

/* Extras of something that is not a regular file to be read: taken over when nothing changed. */
static gboolean find_extras(Walk *walk, const HfFilePlace *place, const HfEntry *old[HF_BASES], HfEntry *entry,
                            GError **error)
{
  HfBackupWorker *worker = walk->worker;
  for (guint i = 0; i < HF_BASES; i++) {
    gboolean absent = FALSE;
    if (!old[i] || !same_file(old[i], entry))
      continue;
    if (!hf_content_absent(worker, old[i], &absent, error))
      return FALSE;
    if (absent)
      continue;
    entry->flags |= old[i]->flags & (HF_ENTRY_EXTRAS | HF_ENTRY_EXTRAS_BLOB);
    entry->extras = old[i]->extras;
    entry->extras_ref = old[i]->extras_ref;
    return TRUE;
  }
  g_autoptr(GError) problem = NULL;
  g_autofree char *path = hf_place_path(place);
  g_byte_array_set_size(worker->extras, 0);
  if (!hf_source_extras(place->dir, place->name, -1, entry->mode, worker->extras, worker->state->report, path,
                        &problem)) {
    hf_warn_place(worker, place, problem->message);
    g_byte_array_set_size(worker->extras, 0);
  }
  if (hf_content_racy(entry))
    entry->flags |= HF_ENTRY_RACY;
  return hf_content_extras(worker, entry, error);
}

/* Takes an unchanged regular file over from a base (B1). */
static gboolean take_over(Walk *walk, const HfEntry *old[HF_BASES], HfEntry *entry, HfTailSource *tail, gboolean *taken,
                          GError **error)
{
  *taken = FALSE;
  for (guint i = 0; i < HF_BASES && !*taken; i++) {
    gboolean absent;
    if (!old[i] || !same_file(old[i], entry) || (old[i]->flags & HF_ENTRY_INCOMPLETE))
      continue;
    if (!hf_content_absent(walk->worker, old[i], &absent, error))
      return FALSE;
    if (absent)
      continue;
    entry->content = old[i]->content;
    entry->ref = old[i]->ref;
    entry->flags |= old[i]->flags & (HF_ENTRY_EXTRAS | HF_ENTRY_EXTRAS_BLOB);
    entry->extras = old[i]->extras;
    entry->extras_ref = old[i]->extras_ref;
    *tail = (HfTailSource){ .reuse = TRUE };
    if (entry->content == HF_CONTENT_INLINE)
      tail->old_tail = *hf_base_cursor_tail(walk->bases[i], &tail->old_count);
    *taken = TRUE;
  }
  return TRUE;
}

static gboolean walk_file(Walk *walk, const HfFilePlace *place, const HfSourceStat *status,
                          const HfEntry *old[HF_BASES], HfEntry *entry, GError **error)
{
  HfBackupWorker *worker = walk->worker;
  HfTailSource tail = { 0 };
  gboolean taken;
  if (!take_over(walk, old, entry, &tail, &taken, error))
    return FALSE;
  if (!taken) {
    HfTreePage *page = hf_tree_page(walk->dir);
    HfReadResult result;
    tail.offset = page->tail->len;
    if (!hf_content_read(worker, place, entry, status, page->tail, &result, error))
      return FALSE;
    if (result == HF_READ_SKIPPED)
      return TRUE;
  }
  worker->counts.files++;
  worker->counts.bytes += entry->size;
  worker->counts.unchanged += taken;
  return add_entry(walk, entry, &tail, error);
}

static gboolean is_store(const HfBackupState *state, const HfEntry *entry, const HfSourceStat *status)
{
  return state->store_inode && entry->inode == state->store_inode && status->device == state->store_device;
}

static gboolean walk_folder(Walk *walk, const HfFilePlace *place, const HfSourceStat *status,
                            const HfEntry *old[HF_BASES], HfEntry *entry, GError **error)
{
  HfBackupState *state = walk->worker->state;
  g_autofree char *path = hf_place_path(place);
  if (is_store(state, entry, status)) {
    hf_report_item(state->report, path, "left out: it is the repository");
    return TRUE;
  }
  if (!find_extras(walk, place, old, entry, error))
    return FALSE;
  walk->worker->counts.directories++;
  gboolean other = state->options->one_file_system && status->mount != walk->dir->mount;
  /* The page may not be closed before the child waits in it: closing is done here, not by add_entry. */
  HfTreePage *page = hf_tree_page(walk->dir);
  gboolean full;
  entry->content = HF_CONTENT_NONE;
  hf_tree_add(page, entry, &full);
  if (!other) {
    HfTreeDir *child = hf_tree_child(page, walk->source, place->name, path);
    for (guint i = 0; i < HF_BASES; i++) {
      child->base.has[i] = old[i] && S_ISDIR(old[i]->mode) && old[i]->content == HF_CONTENT_PAGE;
      if (child->base.has[i])
        child->base.ref[i] = old[i]->ref;
    }
    g_ptr_array_add(walk->children, child);
  }
  return !full || close_page(walk, page, error);
}

static gboolean walk_special(Walk *walk, const HfFilePlace *place, const HfEntry *old[HF_BASES], HfEntry *entry,
                             GError **error)
{
  if (!find_extras(walk, place, old, entry, error))
    return FALSE;
  walk->worker->counts.files++;
  return add_entry(walk, entry, NULL, error);
}

static gboolean excluded(Walk *walk, const HfFilePlace *place, const HfEntry *entry)
{
  const HfExclude *exclude = walk->worker->state->options->exclude;
  if (!exclude)
    return FALSE;
  g_autofree char *path = hf_place_path(place);
  return hf_exclude_match(exclude, path, S_ISDIR(entry->mode));
}

static gboolean walk_name(Walk *walk, const char *name, GError **error)
{
  HfBackupWorker *worker = walk->worker;
  HfFilePlace place = { walk->source, name, walk->folder };
  HfEntry entry;
  HfSourceStat status;
  const HfEntry *old[HF_BASES];
  g_autoptr(GError) problem = NULL;
  if (!hf_source_stat(walk->source, name, &entry, &status, worker->scratch, &problem)) {
    hf_warn_place(worker, &place,
                  hf_error_is(problem, HF_ERROR_NOT_FOUND) ? "vanished before it was read" : problem->message);
    return TRUE;
  }
  if (excluded(walk, &place, &entry))
    return TRUE;
  find_old(walk, name, old);
  if (S_ISREG(entry.mode))
    return walk_file(walk, &place, &status, old, &entry, error);
  if (S_ISDIR(entry.mode))
    return walk_folder(walk, &place, &status, old, &entry, error);
  return walk_special(walk, &place, old, &entry, error);
}

/* ---- A folder. ---- */

static gboolean walk_names(Walk *walk, GError **error)
{
  HfBackupState *state = walk->worker->state;
  guint count = hf_source_dir_count(walk->source);
  for (guint i = 0; i < count; i++) {
    hf_gate_yield(&state->gate);
    if (hf_pool_stopping(state->pool) || hf_cancelled(state->repo->cancel, NULL))
      return hf_fail(error, HF_ERROR_CANCELLED, "cancelled");
    if (!walk_name(walk, hf_source_dir_name(walk->source, i), error))
      return FALSE;
  }
  hf_tree_drop_empty(walk->dir);
  HfTreePage *page = walk->dir->pages->len ? walk->dir->pages->pdata[walk->dir->pages->len - 1] : NULL;
  return !page || page->closed || close_page(walk, page, error);
}

static gboolean walk_open(Walk *walk)
{
  HfTreeDir *dir = walk->dir;
  g_autoptr(GError) problem = NULL;
  dir->source = hf_source_dir_open(dir->parent_source, dir->name, &problem);
  g_clear_pointer(&dir->parent_source, hf_source_dir_unref);
  if (!dir->source) {
    hf_report_warning(walk->worker->state->report, dir->path, "this folder cannot be read: %s", problem->message);
    g_array_index(dir->parent->entries, HfEntry, dir->parent_entry).flags |= HF_ENTRY_INCOMPLETE;
    return FALSE;
  }
  walk->source = dir->source;
  for (guint i = 0; i < HF_BASES; i++)
    if (dir->base.has[i] && !walk->worker->state->options->rescan)
      walk->bases[i] = hf_base_cursor_new(walk->worker->reader, &dir->base.ref[i]);
  return TRUE;
}

static gboolean dir_run(HfBackupJob *job, HfBackupWorker *worker, GError **error)
{
  HfTreeDir *dir = (HfTreeDir *)job;
  HfBackupState *state = worker->state;
  g_autoptr(GPtrArray) children = g_ptr_array_new();
  Walk walk = { .worker = worker, .dir = dir, .folder = dir->path, .children = children };
  hf_gate_enter(&state->gate);
  gboolean good = !walk_open(&walk) || walk_names(&walk, error);
  for (guint i = 0; i < HF_BASES; i++)
    hf_base_cursor_free(walk.bases[i]);
  if (good) {
    /* Last in, first out: the first child is walked next, so that files of neighbouring folders lie side by side. */
    for (guint i = children->len; i-- > 0;)
      hf_walk_push(children->pdata[i]);
    g_clear_pointer(&dir->source, hf_source_dir_unref);
    good = hf_tree_walked(worker, dir, error);
  }
  hf_gate_leave(&state->gate);
  hf_backup_count(worker);
  return good;
}

static void dir_drop(HfBackupJob *job)
{
  (void)job; /* the tree owns its folders */
}

void hf_walk_push(HfTreeDir *dir)
{
  dir->job = (HfBackupJob){ dir_run, dir_drop };
  hf_pool_push(dir->state->pool, dir);
}

/* ---- Roots. ---- */

static gboolean may_be_empty(const HfBackupState *state, const char *path)
{
  const GPtrArray *allowed = state->allow_empty;
  for (guint i = 0; i < allowed->len; i++)
    if (g_str_equal(allowed->pdata[i], path))
      return TRUE;
  return FALSE;
}

/* Where a root is read: at a snapshot of it, or at itself. */
static const char *place_of(const HfBackupState *state, const char *path)
{
  const char *place = state->options->places ? g_hash_table_lookup(state->options->places, path) : NULL;
  return place ? place : path;
}

gboolean hf_walk_passes_over(const HfBackupState *state, const char *path)
{
  struct stat status;
  return may_be_empty(state, path) && lstat(place_of(state, path), &status) != 0 && errno == ENOENT;
}

static gboolean check_empty(HfBackupState *state, const char *path, const HfEntry *old, GError **error)
{
  if (!old || old->content == HF_CONTENT_NONE || may_be_empty(state, path))
    return TRUE;
  g_autoptr(HfSourceDir) dir = hf_source_dir_open(NULL, place_of(state, path), error);
  if (!dir)
    return FALSE;
  return hf_source_dir_count(dir) > 0 ||
         hf_fail(error, HF_ERROR_REFUSED,
                 "'%s' is empty, but was not in its last point; is it mounted? Allow it with --allow-empty %s", path,
                 path);
}

static gboolean root_folder(HfBackupWorker *worker, HfTreePage *page, const char *path, HfEntry *entry,
                            const HfSourceStat *status, const HfEntry *old[HF_BASES], HfTreeDir **child, GError **error)
{
  if (!check_empty(worker->state, path, old[1], error))
    return FALSE;
  g_byte_array_set_size(worker->extras, 0);
  gboolean full;
  const char *place = place_of(worker->state, path);
  g_autoptr(HfSourceDir) dir = hf_source_dir_open(NULL, place, error);
  if (!dir ||
      !hf_source_extras(dir, ".", hf_source_dir_fd(dir), entry->mode, worker->extras, worker->state->report, path,
                        error) ||
      !hf_content_extras(worker, entry, error))
    return FALSE;
  entry->content = HF_CONTENT_NONE;
  hf_tree_add(page, entry, &full);
  worker->counts.directories++;
  *child = hf_tree_child(page, NULL, place, path);
  (*child)->mount = status->mount;
  for (guint i = 0; i < HF_BASES; i++) {
    (*child)->base.has[i] = old[i] && S_ISDIR(old[i]->mode) && old[i]->content == HF_CONTENT_PAGE;
    if ((*child)->base.has[i])
      (*child)->base.ref[i] = old[i]->ref;
  }
  return TRUE;
}

/* A root that is no folder: read through its parent folder. */
static gboolean root_other(HfBackupWorker *worker, HfTreePage *page, const char *path, HfEntry *entry,
                           const HfSourceStat *status, GError **error)
{
  const char *at = place_of(worker->state, path);
  g_autofree char *folder = g_path_get_dirname(at), *name = g_path_get_basename(at);
  g_autoptr(HfSourceDir) dir = hf_source_dir_open(NULL, folder, error);
  if (!dir)
    return FALSE;
  HfFilePlace place = { dir, name, folder };
  HfTailSource tail = { .entry = page->entries->len, .offset = page->tail->len };
  HfReadResult result = HF_READ_DONE;
  gboolean full;
  if (S_ISREG(entry->mode)) {
    if (!hf_content_read(worker, &place, entry, status, page->tail, &result, error))
      return FALSE;
    if (result == HF_READ_SKIPPED)
      return hf_fail(error, HF_ERROR_IO, "cannot read '%s'", path);
  } else {
    g_byte_array_set_size(worker->extras, 0);
    if (!hf_source_extras(dir, name, -1, entry->mode, worker->extras, worker->state->report, path, error) ||
        !hf_content_extras(worker, entry, error))
      return FALSE;
  }
  if (entry->content == HF_CONTENT_INLINE)
    g_array_append_val(page->tails, tail);
  hf_tree_add(page, entry, &full);
  worker->counts.files++;
  worker->counts.bytes += entry->size;
  return TRUE;
}

gboolean hf_walk_root(HfBackupWorker *worker, HfTreePage *page, const char *path, HfTreeDir **child, GError **error)
{
  HfBackupState *state = worker->state;
  HfEntry entry, bases[HF_BASES];
  HfSourceStat status;
  gboolean found[HF_BASES];
  const HfEntry *old[HF_BASES] = { NULL, NULL };
  *child = NULL;
  hf_base_root(state->base, path, found, bases);
  for (guint i = 0; i < HF_BASES; i++)
    if (found[i])
      old[i] = &bases[i];
  g_autoptr(GError) problem = NULL;
  if (!hf_source_stat_path(place_of(state, path), &entry, &status, worker->scratch, &problem)) {
    if (hf_error_is(problem, HF_ERROR_NOT_FOUND) && old[1])
      return hf_fail(error, HF_ERROR_NOT_FOUND,
                     "'%s' is gone, but was in the last point; mount it, or allow it with --allow-empty %s", path,
                     path);
    g_propagate_error(error, g_steal_pointer(&problem));
    return FALSE;
  }
  entry.name = (HfView){ (const guint8 *)path, strlen(path) };
  if (S_ISDIR(entry.mode))
    return root_folder(worker, page, path, &entry, &status, old, child, error);
  return root_other(worker, page, path, &entry, &status, error);
}
