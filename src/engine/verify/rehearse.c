/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "engine/verify/rehearse.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/sys.h"
#include "engine/browse/browse.h"
#include "engine/restore/restore.h"

#define CACHE_BYTES (16u << 20)
#define STEP_BYTES (1u << 20)

typedef struct Rehearsal {
  HfRepo *repo;
  HfRehearseResult *result;
  HfBrowser *browser;
  HfTree *tree;
  int scratch;        /* descriptor */
  int folder;         /* of `folder_path`, or -1 */
  char *folder_path;
  guint8 *want, *got; /* STEP_BYTES each */
} Rehearsal;

static void different(Rehearsal *run, const char *path, const char *how)
{
  run->result->different++;
  hf_report_warning(run->repo->report, path, "the rehearsed restore differs: %s", how);
}

/* Part by part, so that paths of any length work. */
static gboolean enter(Rehearsal *run, const char *path, GError **error)
{
  if (run->folder >= 0 && g_strcmp0(path, run->folder_path) == 0)
    return TRUE;
  g_auto(GStrv) parts = g_strsplit(path, "/", -1);
  int fd = hf_open(run->scratch, ".", O_RDONLY | O_DIRECTORY, 0, error);
  for (guint i = 0; fd >= 0 && parts[i]; i++) {
    if (!*parts[i])
      continue;
    int next = hf_open(fd, parts[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, error);
    hf_close_ptr(&fd);
    fd = next;
  }
  if (fd < 0)
    return FALSE;
  hf_close_ptr(&run->folder);
  run->folder = fd;
  g_free(run->folder_path);
  run->folder_path = g_strdup(path);
  return TRUE;
}

static gboolean compare_bytes(Rehearsal *run, const char *path, const char *name, const HfTreeNode *node,
                              GError **error)
{
  g_autoptr(HfTreeFile) file = hf_tree_file_open(run->browser, run->tree, node, error);
  hf_autofd int fd = file ? hf_open(run->folder, name, O_RDONLY | O_NOFOLLOW, 0, error) : -1;
  if (fd < 0)
    return FALSE;
  for (guint64 at = 0; at < hf_tree_file_size(file); at += STEP_BYTES) {
    if (hf_cancelled(run->repo->cancel, error))
      return FALSE;
    gssize want = hf_tree_file_read(file, at, run->want, STEP_BYTES, error);
    gssize got = want < 0 ? -1 : hf_pread_full(fd, run->got, STEP_BYTES, (goffset)at, path, error);
    if (got < 0)
      return FALSE;
    if (want != got || memcmp(run->want, run->got, (gsize)want) != 0) {
      different(run, path, "its bytes");
      return TRUE;
    }
    run->result->bytes += (guint64)got;
  }
  return TRUE;
}

static gboolean same_target(Rehearsal *run, const char *name, HfView target)
{
  char text[4096];
  gssize length = readlinkat(run->folder, name, text, sizeof text);
  return length == (gssize)target.length && memcmp(text, target.data, target.length) == 0;
}

static gboolean compare_node(Rehearsal *run, const char *path, const HfTreeNode *node, GError **error)
{
  const HfEntry *entry = &node->entry;
  g_autofree char *folder = g_path_get_dirname(path), *name = g_path_get_basename(path);
  struct stat status;
  guint32 mode = hf_tree_node_is_disk(node) ? S_IFREG : entry->mode;
  if (node->is_virtual)
    return TRUE;
  if (!enter(run, folder, NULL) || hf_sys->fstatat(run->folder, name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
    different(run, path, "it is missing");
    return TRUE;
  }
  run->result->files++;
  if ((status.st_mode & S_IFMT) != (mode & S_IFMT)) {
    different(run, path, "its type");
    return TRUE;
  }
  if (entry->mode && !S_ISLNK(mode) && (status.st_mode & 01777) != (mode & 01777))
    different(run, path, "its mode");
  if (entry->mode &&
      (status.st_mtim.tv_sec != entry->mtime_sec || (guint32)status.st_mtim.tv_nsec != entry->mtime_nsec))
    different(run, path, "its time");
  if (S_ISLNK(mode) && !same_target(run, name, entry->target))
    different(run, path, "its target");
  if (!S_ISREG(mode))
    return TRUE;
  if ((guint64)status.st_size != entry->size) {
    different(run, path, "its size");
    return TRUE;
  }
  return compare_bytes(run, path, name, node, error);
}

static gboolean compare_point(Rehearsal *run, GError **error)
{
  HfTreeNode top;
  hf_tree_top(run->tree, &top);
  g_autoptr(HfTreeWalk) walk = hf_tree_walk_new(run->browser, run->tree, &top, "/");
  for (;;) {
    HfTreeNode node;
    g_autoptr(GError) problem = NULL;
    if (!hf_tree_walk_next(walk, &node, &problem)) {
      if (!problem)
        return TRUE;
      if (!hf_error_is_damage(problem)) {
        g_propagate_error(error, g_steal_pointer(&problem));
        return FALSE;
      }
      different(run, hf_tree_walk_path(walk), problem->message);
      continue;
    }
    if (!compare_node(run, hf_tree_walk_path(walk), &node, &problem)) {
      if (!hf_error_is_damage(problem)) {
        g_propagate_error(error, g_steal_pointer(&problem));
        return FALSE;
      }
      different(run, hf_tree_walk_path(walk), problem->message);
    }
  }
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
  (void)status;
  (void)type;
  (void)place;
  return remove(path);
}

static gboolean rehearse_point(Rehearsal *run, const HfPointInfo *info, const char *folder, GError **error)
{
  g_auto(HfRestoreResult) restored = { 0 };
  HfRestoreOptions options = { .target = folder, .full_path = TRUE };
  if (!hf_restore(run->repo, info, &options, &restored, error))
    return FALSE;
  run->result->different += restored.damaged + restored.failed;
  run->tree = hf_tree_open(run->browser, &info->point, error);
  run->scratch = run->tree ? hf_open(AT_FDCWD, folder, O_RDONLY | O_DIRECTORY, 0, error) : -1;
  run->folder = -1;
  gboolean good = run->scratch >= 0 && compare_point(run, error);
  hf_close_ptr(&run->folder);
  hf_close_ptr(&run->scratch);
  g_clear_pointer(&run->folder_path, g_free);
  g_clear_pointer(&run->tree, hf_tree_free);
  run->result->points++;
  return good;
}

gboolean hf_rehearse(HfRepo *repo, const GPtrArray *points, const char *scratch, HfRehearseResult *result,
                     GError **error)
{
  g_autoptr(HfBlobCache) cache = hf_blob_cache_new(repo, CACHE_BYTES);
  g_autoptr(HfBrowser) browser = hf_browser_new(repo, cache);
  g_autofree guint8 *want = g_malloc(STEP_BYTES), *got = g_malloc(STEP_BYTES);
  Rehearsal run = { .repo = repo, .result = result, .browser = browser, .want = want, .got = got };
  gboolean good = TRUE;
  *result = (HfRehearseResult){ 0 };
  for (guint i = 0; good && i < points->len; i++) {
    g_autofree char *folder = g_build_filename(scratch ? scratch : g_get_tmp_dir(), "holdfast-rehearsal-XXXXXX", NULL);
    if (!mkdtemp(folder))
      return hf_fail_errno(error, errno, "cannot make a scratch folder '%s'; choose another place with TMPDIR", folder);
    good = rehearse_point(&run, points->pdata[i], folder, error);
    nftw(folder, remove_one, 32, FTW_DEPTH | FTW_PHYS);
  }
  return good;
}
