/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/tasks/still.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "agent/state.h"
#include "agent/tasks/freeze.h"
#include "agent/tasks/mounts.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/sys.h"

#define SUBVOLUME_INODE 256u /* of the root of every btrfs subvolume */
#define NAME_PREFIX ".holdfast-still-"
#define NOTE_PREFIX "still-"
#define READ_BYTES_MAX (G_GUINT64_CONSTANT(2) << 30) /* a second: no disk is read faster, and sealed */

typedef struct Snapshot {
  char *subvolume; /* its root */
  char *name;      /* of the snapshot, in that root */
} Snapshot;

struct HfStill {
  HfWorker *worker;
  char *note;            /* file that names the snapshots */
  GPtrArray *snapshots;  /* of Snapshot*, owned */
  GHashTable *places;    /* path to char* */
  const HfWorkBackup *task;
  guint seconds; /* of freezing; 0: none */
  HfBackupHold hold;
  GPtrArray *mounts; /* of HfFrozen*, owned: what is frozen, by its index */
  HfFreeze *freeze;  /* NULL: nothing is */
  gint64 frozen;     /* since when; monotonic microseconds */
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
    if (sscanf(name, NOTE_PREFIX "%d-%" G_GUINT64_FORMAT, &pid, &start) != 2 || hf_process_start(pid) == start)
      continue;
    g_autofree char *note = g_build_filename(folder, name, NULL);
    if (remove_noted(note, &why))
      hf_worker_log(worker, "removed the snapshots of a task that was killed");
    else
      hf_report_warning(hf_worker_report(worker), NULL, "%s", why->message);
  }
}

/* ---- Freezing. ---- */

static void warn(const HfStill *still, const char *path, const char *text)
{
  hf_report_warning(hf_worker_report(still->worker), path, "%s", text);
}

/* What must go on being written to while a file system is frozen: else nobody could say that it is to be thawed. */
static char **needed_paths(const HfStill *still)
{
  static const char *const always[] = { "/", "/tmp", "/var/tmp", "/var/lib", "/var/log", "/var/log/journal", "/run/log",
                                        "/proc/self/fd/1", "/proc/self/fd/2" };
  GPtrArray *paths = g_ptr_array_new();
  const char *work = hf_worker_state(still->worker);
  g_autofree char *state = g_path_get_dirname(work), *text = NULL;
  g_autofree char *list = g_build_filename(state, HF_STATE_REPOSITORIES, NULL);
  for (guint i = 0; i < G_N_ELEMENTS(always); i++)
    g_ptr_array_add(paths, g_strdup(always[i]));
  g_ptr_array_add(paths, g_strdup(work));
  g_ptr_array_add(paths, g_strdup(state));
  g_file_get_contents(list, &text, NULL, NULL);
  g_auto(GStrv) lines = g_strsplit(text != NULL ? text : "", "\n", -1);
  for (guint i = 0; lines[i] != NULL; i++)
    g_ptr_array_add(paths, g_strcompress(lines[i]));
  g_ptr_array_add(paths, NULL);
  return (char **)g_ptr_array_free(paths, FALSE);
}

static void find_mounts(HfStill *still)
{
  const HfWorkBackup *task = still->task;
  for (guint i = 0; i < task->n_paths; i++) {
    g_autofree char *real = realpath(task->paths[i], NULL);
    g_autoptr(GError) why = NULL;
    if (real == NULL || g_hash_table_contains(still->places, real))
      continue;
    if (task->disks) {
      hf_mounts_of_disk(real, still->mounts);
      continue;
    }
    HfFrozen *mount = hf_mounts_of_path(real, &why);
    guint j = 0;
    while (mount != NULL && j < still->mounts->len && ((HfFrozen *)still->mounts->pdata[j])->device != mount->device)
      j++;
    if (mount == NULL)
      warn(still, real, why->message);
    else if (j < still->mounts->len)
      hf_frozen_free(mount);
    else
      g_ptr_array_add(still->mounts, mount);
  }
}

static void drop_needed(HfStill *still)
{
  g_auto(GStrv) needed = needed_paths(still);
  for (guint i = still->mounts->len; i-- > 0;) {
    g_autofree char *why = hf_mounts_refusal(still->mounts->pdata[i], (const char *const *)needed);
    if (why == NULL)
      continue;
    warn(still, NULL, why);
    g_ptr_array_remove_index(still->mounts, i);
  }
}

static guint64 size_of_disk(const char *path)
{
  hf_autofd int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
  return size < 0 ? 0 : (guint64)size;
}

/* To stop all writing for a minute, only to say then that it was in vain, helps nobody. */
static gboolean is_hopeless(const HfStill *still)
{
  guint64 size = 0;
  for (guint i = 0; still->task->disks && i < still->task->n_paths; i++)
    size += size_of_disk(still->task->paths[i]);
  if (size / READ_BYTES_MAX <= still->seconds)
    return FALSE;
  g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT " bytes cannot be read within %u seconds: nothing is "
                                          "frozen", size, still->seconds);
  warn(still, NULL, text);
  return TRUE;
}

/* A device's own cache knows nothing of what a file system wrote to it since it was read last. */
static void forget_cached(const HfStill *still)
{
  for (guint i = 0; still->task->disks && i < still->task->n_paths; i++) {
    hf_autofd int fd = open(still->task->paths[i], O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0 && ioctl(fd, BLKFLSBUF, 0) != 0)
      g_debug("the cache of '%s' stays: %s", still->task->paths[i], g_strerror(errno));
  }
}

static void freeze(HfStill *still)
{
  g_autoptr(GError) why = NULL;
  find_mounts(still);
  if (still->mounts->len > 0 && is_hopeless(still))
    g_ptr_array_set_size(still->mounts, 0);
  drop_needed(still);
  if (still->mounts->len == 0)
    return;
  hf_mounts_order(still->mounts);
  still->frozen = hf_clock_monotonic_us();
  still->freeze = hf_freeze_begin(hf_worker_state(still->worker), still->mounts, still->seconds, &why);
  if (still->freeze == NULL) {
    g_prefix_error(&why, "nothing is frozen: ");
    warn(still, NULL, why->message);
  }
  for (guint i = 0; still->freeze != NULL && i < still->mounts->len; i++) {
    const HfFrozen *mount = still->mounts->pdata[i];
    if (hf_freeze_has(still->freeze, i))
      hf_worker_log(still->worker, "'%s' is frozen, for at most %u seconds", mount->mount, still->seconds);
    else
      warn(still, mount->mount, "its file system cannot be frozen");
  }
}

static gboolean hold_begin(gpointer user, GError **error G_GNUC_UNUSED)
{
  HfStill *still = user;
  if (still->task->freeze != HF_WORK_FREEZE_NONE && still->seconds > 0)
    freeze(still);
  forget_cached(still);
  return TRUE;
}

static void hold_end(gpointer user)
{
  HfStill *still = user;
  if (still->freeze == NULL)
    return;
  const gboolean held = hf_freeze_end(g_steal_pointer(&still->freeze));
  const double seconds = (double)(hf_clock_monotonic_us() - still->frozen) / G_USEC_PER_SEC;
  if (held) {
    hf_worker_log(still->worker, "thawed after %.1f seconds", seconds);
    return;
  }
  g_autofree char *text = g_strdup_printf("what was frozen was thawed before all was read (%u seconds are allowed, "
                                          "reading took %.0f): the point is crash-consistent at best",
                                          still->seconds, seconds);
  warn(still, NULL, text);
}

/* Everything that may write to the disk is frozen. */
static gboolean hold_held(gpointer user, const char *path)
{
  HfStill *still = user;
  g_autoptr(GPtrArray) writers = g_ptr_array_new_with_free_func(hf_frozen_free);
  hf_mounts_of_disk(path, writers);
  for (guint i = 0; i < writers->len; i++) {
    guint j = 0;
    while (j < still->mounts->len && ((HfFrozen *)still->mounts->pdata[j])->device !=
                                       ((HfFrozen *)writers->pdata[i])->device)
      j++;
    if (j == still->mounts->len || !hf_freeze_has(still->freeze, j))
      return FALSE;
  }
  return writers->len > 0 && hf_freeze_held(still->freeze);
}

const HfBackupHold *hf_still_hold(HfStill *still)
{
  still->hold = (HfBackupHold){ .begin = hold_begin, .end = hold_end, .held = hold_held, .user = still };
  return &still->hold;
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
  still->task = task;
  still->seconds = MIN(task->freeze_seconds, HF_FREEZE_SECONDS_MAX);
  still->mounts = g_ptr_array_new_with_free_func(hf_frozen_free);
  still->snapshots = g_ptr_array_new_with_free_func(snapshot_free);
  still->places = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
  still->note = g_strdup_printf("%s/" NOTE_PREFIX "%d-%" G_GUINT64_FORMAT, hf_worker_state(worker), (int)getpid(),
                                hf_process_start(getpid()));
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
  hold_end(still);
  g_ptr_array_unref(still->mounts);
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
