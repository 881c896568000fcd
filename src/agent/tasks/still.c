/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/tasks/still.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/error.h"

#define SUBVOLUME_INODE 256u /* of the root of every btrfs subvolume */
#define NAME_PREFIX ".holdfast-still-"
#define NOTE_PREFIX "still-"

typedef struct Snapshot {
  char *subvolume; /* its root */
  char *name;      /* of the snapshot, in that root */
} Snapshot;

struct HfStill {
  HfWorker *worker;
  char *note;            /* file that names the snapshots */
  GPtrArray *snapshots;  /* of Snapshot*, owned */
  GHashTable *places;    /* path to char* */
};

static void snapshot_free(gpointer data)
{
  Snapshot *snapshot = data;
  g_free(snapshot->subvolume);
  g_free(snapshot->name);
  g_free(snapshot);
}

/* ---- btrfs. ---- */

/* The root of the subvolume that `path` lies in; NULL when it is not on btrfs. */
static char *find_subvolume(const char *path)
{
  struct statfs system;
  struct stat status;
  if (statfs(path, &system) != 0 || system.f_type != BTRFS_SUPER_MAGIC)
    return NULL;
  g_autofree char *at = g_strdup(path);
  for (;;) {
    if (stat(at, &status) != 0)
      return NULL;
    if (S_ISDIR(status.st_mode) && status.st_ino == SUBVOLUME_INODE)
      return g_steal_pointer(&at);
    if (g_str_equal(at, "/"))
      return NULL;
    char *parent = g_path_get_dirname(at);
    g_free(at);
    at = parent;
  }
}

static gboolean make_snapshot(const Snapshot *snapshot, GError **error)
{
  int root = open(snapshot->subvolume, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (root < 0)
    return hf_fail_errno(error, errno, "cannot open '%s'", snapshot->subvolume);
  struct btrfs_ioctl_vol_args_v2 arguments = { .fd = root, .flags = BTRFS_SUBVOL_RDONLY };
  g_strlcpy(arguments.name, snapshot->name, sizeof arguments.name);
  int made = ioctl(root, BTRFS_IOC_SNAP_CREATE_V2, &arguments), why = errno;
  close(root);
  return made == 0 || hf_fail_errno(error, why, "cannot make a snapshot of '%s'", snapshot->subvolume);
}

static gboolean remove_snapshot(const char *subvolume, const char *name, GError **error)
{
  int root = open(subvolume, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (root < 0)
    return errno == ENOENT || hf_fail_errno(error, errno, "cannot open '%s'", subvolume);
  struct btrfs_ioctl_vol_args arguments = { .fd = 0 };
  g_strlcpy(arguments.name, name, sizeof arguments.name);
  int gone = ioctl(root, BTRFS_IOC_SNAP_DESTROY, &arguments), why = errno;
  close(root);
  return gone == 0 || why == ENOENT ||
    hf_fail_errno(error, why, "cannot remove the snapshot '%s' of '%s'; remove it by hand", name, subvolume);
}

/* ---- Notes: what has to be removed when this process is killed. ---- */

static guint64 process_start(pid_t pid)
{
  g_autofree char *path = g_strdup_printf("/proc/%d/stat", (int)pid), *text = NULL;
  if (!g_file_get_contents(path, &text, NULL, NULL))
    return 0;
  const char *at = strrchr(text, ')'); /* names may hold anything */
  for (guint field = 2; at != NULL && field < 22; field++)
    at = strchr(at + 1, ' ');
  return at == NULL ? 0 : g_ascii_strtoull(at + 1, NULL, 10);
}

static gboolean write_note(const HfStill *still, GError **error)
{
  g_autoptr(GString) text = g_string_new(NULL);
  for (guint i = 0; i < still->snapshots->len; i++) {
    const Snapshot *snapshot = still->snapshots->pdata[i];
    g_autofree char *escaped = g_strescape(snapshot->subvolume, NULL);
    g_string_append_printf(text, "%s\t%s\n", snapshot->name, escaped);
  }
  return g_file_set_contents_full(still->note, text->str, (gssize)text->len, G_FILE_SET_CONTENTS_DURABLE, 0600, error);
}

static gboolean remove_noted(const char *note, GError **error)
{
  g_autofree char *text = NULL;
  if (!g_file_get_contents(note, &text, NULL, error))
    return FALSE;
  g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
  for (guint i = 0; lines[i] != NULL; i++) {
    char *tab = strchr(lines[i], '\t');
    if (tab == NULL || !g_str_has_prefix(lines[i], NAME_PREFIX))
      continue;
    *tab = '\0';
    g_autofree char *subvolume = g_strcompress(tab + 1);
    if (!remove_snapshot(subvolume, lines[i], error))
      return FALSE;
  }
  unlink(note);
  return TRUE;
}

/* Of workers that are no more. */
static void remove_left(HfWorker *worker)
{
  const char *folder = hf_worker_state(worker), *name;
  g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
  while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
    int pid;
    guint64 start;
    g_autoptr(GError) why = NULL;
    if (sscanf(name, NOTE_PREFIX "%d-%" G_GUINT64_FORMAT, &pid, &start) != 2 || process_start(pid) == start)
      continue;
    g_autofree char *note = g_build_filename(folder, name, NULL);
    if (remove_noted(note, &why))
      hf_worker_log(worker, "removed the snapshots of a task that was killed");
    else
      hf_report_warning(hf_worker_report(worker), NULL, "%s", why->message);
  }
}

/* ---- Beginning and end. ---- */

static const Snapshot *snapshot_of(HfStill *still, const char *subvolume, GError **error)
{
  for (guint i = 0; i < still->snapshots->len; i++)
    if (g_str_equal(((Snapshot *)still->snapshots->pdata[i])->subvolume, subvolume))
      return still->snapshots->pdata[i];
  Snapshot *snapshot = g_new0(Snapshot, 1);
  snapshot->subvolume = g_strdup(subvolume);
  snapshot->name = g_strdup_printf(NAME_PREFIX "%s-%u", hf_worker_name(still->worker), still->snapshots->len);
  g_ptr_array_add(still->snapshots, snapshot);
  return write_note(still, error) && make_snapshot(snapshot, error) ? snapshot : NULL;
}

static gboolean still_path(HfStill *still, const char *path, GError **error)
{
  g_autofree char *real = realpath(path, NULL);
  g_autofree char *subvolume = real == NULL ? NULL : find_subvolume(real);
  if (subvolume == NULL)
    return hf_fail(error, HF_ERROR_UNSUPPORTED, "'%s' is not on a file system that has snapshots", path);
  const Snapshot *snapshot = snapshot_of(still, subvolume, error);
  if (snapshot == NULL)
    return FALSE;
  const char *below = g_str_equal(subvolume, "/") ? real : real + strlen(subvolume);
  g_hash_table_insert(still->places, g_strdup(real), g_build_filename(subvolume, snapshot->name, below, NULL));
  return TRUE;
}

HfStill *hf_still_begin(HfWorker *worker, const HfWorkBackup *task, GError **error)
{
  g_autoptr(HfStill) still = g_new0(HfStill, 1);
  still->worker = worker;
  still->snapshots = g_ptr_array_new_with_free_func(snapshot_free);
  still->places = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
  still->note = g_strdup_printf("%s/" NOTE_PREFIX "%d-%" G_GUINT64_FORMAT, hf_worker_state(worker), (int)getpid(),
                                process_start(getpid()));
  remove_left(worker);
  for (guint i = 0; !task->disks && task->freeze != HF_WORK_FREEZE_NONE && i < task->n_paths; i++) {
    g_autoptr(GError) why = NULL;
    if (still_path(still, task->paths[i], &why))
      continue;
    if (task->freeze == HF_WORK_FREEZE_SNAPSHOT) {
      g_propagate_error(error, g_steal_pointer(&why));
      return NULL;
    }
    hf_worker_log(worker, "reading without a snapshot: %s", why->message);
  }
  return g_steal_pointer(&still);
}

void hf_still_free(HfStill *still)
{
  if (still == NULL)
    return;
  for (guint i = still->snapshots->len; i-- > 0;) {
    const Snapshot *snapshot = still->snapshots->pdata[i];
    g_autoptr(GError) why = NULL;
    if (!remove_snapshot(snapshot->subvolume, snapshot->name, &why))
      hf_report_warning(hf_worker_report(still->worker), NULL, "%s", why->message);
  }
  unlink(still->note);
  g_ptr_array_unref(still->snapshots);
  g_hash_table_unref(still->places);
  g_free(still->note);
  g_free(still);
}

GHashTable *hf_still_places(HfStill *still)
{
  return still->places;
}
