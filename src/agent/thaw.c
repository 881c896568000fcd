/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/thaw.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "agent/state.h"
#include "base/error.h"
#include "base/sys.h"

#define NOTE_PREFIX "frozen-"

void hf_frozen_free(gpointer frozen)
{
  HfFrozen *one = frozen;
  g_free(one->mount);
  g_free(one);
}

guint64 hf_process_start(pid_t pid)
{
  g_autofree char *path = g_strdup_printf("/proc/%d/stat", (int)pid), *text = NULL;
  if (!g_file_get_contents(path, &text, NULL, NULL))
    return 0;
  const char *at = strrchr(text, ')'); /* names may hold anything */
  for (guint field = 2; at != NULL && field < 22; field++)
    at = strchr(at + 1, ' ');
  return at == NULL ? 0 : g_ascii_strtoull(at + 1, NULL, 10);
}

gint64 hf_thaw_clock_ms(void)
{
  struct timespec now;
  clock_gettime(CLOCK_BOOTTIME, &now);
  return (gint64)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- opening ---- */

int hf_mount_id(int fd)
{
  g_autofree char *path = g_strdup_printf("/proc/self/fdinfo/%d", fd), *text = NULL;
  const char *at = g_file_get_contents(path, &text, NULL, NULL) ? strstr(text, "mnt_id:") : NULL;
  return at != NULL ? (int)g_ascii_strtoll(at + strlen("mnt_id:"), NULL, 10) : -1;
}

/* Line of mountinfo: id parent major:minor root place... Another mount may lie over the place: then it leads there. */
static int open_mount(const char *line, dev_t device)
{
  unsigned high, low;
  int id;
  g_auto(GStrv) fields = g_strsplit(line, " ", 6);
  if (g_strv_length(fields) < 6 || sscanf(line, "%d %*d %u:%u", &id, &high, &low) != 3 || makedev(high, low) != device)
    return -1;
  g_autofree char *place = g_strcompress(fields[4]);
  hf_autofd int fd = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return fd >= 0 && hf_mount_id(fd) == id ? hf_steal_fd(&fd) : -1;
}

int hf_frozen_open(const HfFrozen *frozen, GError **error)
{
  int fd = -1;
  g_autofree char *text = NULL;
  g_file_get_contents("/proc/self/mountinfo", &text, NULL, NULL);
  g_auto(GStrv) lines = g_strsplit(text != NULL ? text : "", "\n", -1);
  for (guint i = 0; fd < 0 && lines[i] != NULL; i++)
    fd = open_mount(lines[i], frozen->device);
  if (fd < 0)
    hf_fail(error, HF_ERROR_NOT_FOUND, "the file system of '%s' is not mounted any more", frozen->mount);
  return fd;
}

/* ---- thawing ---- */

typedef struct Thaw {
  int fd, failed;
  GThread *thread;
} Thaw;

static gpointer thaw_one(gpointer data)
{
  Thaw *thaw = data;
  thaw->failed = ioctl(thaw->fd, FITHAW, 0) == 0 ? 0 : errno;
  return NULL;
}

void hf_thaw_all(const int *fds, guint count, int *failed)
{
  g_autofree Thaw *all = g_new0(Thaw, MAX(count, 1u));
  for (guint i = 0; i < count; i++) {
    all[i].fd = fds[i];
    all[i].thread = g_thread_try_new("hf-thaw", thaw_one, &all[i], NULL);
    if (all[i].thread == NULL)
      thaw_one(&all[i]);
  }
  for (guint i = 0; i < count; i++) {
    if (all[i].thread != NULL)
      g_thread_join(all[i].thread);
    failed[i] = all[i].failed;
  }
}

/* ---- notes ---- */

/* After a start of the machine nothing is frozen by us. */
static char *boot_id(void)
{
  char *text = NULL;
  return g_file_get_contents("/proc/sys/kernel/random/boot_id", &text, NULL, NULL) ? g_strchomp(text) : g_strdup("-");
}

/* BOOT TAB UNTIL, and for each place DEVICE TAB MOUNT, escaped. */
char *hf_thaw_note(const char *folder, const GPtrArray *places, gint64 until, int *held, GError **error)
{
  g_autoptr(GString) text = g_string_new(NULL);
  g_autofree char *boot = boot_id();
  g_autofree char *name = g_strdup_printf(NOTE_PREFIX "%d-%" G_GUINT64_FORMAT, (int)getpid(),
                                          hf_process_start(getpid()));
  g_string_append_printf(text, "%s\t%" G_GINT64_FORMAT "\n", boot, until);
  for (guint i = 0; i < places->len; i++) {
    const HfFrozen *place = places->pdata[i];
    g_autofree char *escaped = g_strescape(place->mount, NULL);
    g_string_append_printf(text, "%" G_GUINT64_FORMAT "\t%s\n", (guint64)place->device, escaped);
  }
  if (!hf_state_write(folder, name, text->str, text->len, error))
    return NULL;
  g_autofree char *path = g_build_filename(folder, name, NULL);
  hf_autofd int fd = hf_open(AT_FDCWD, path, O_RDONLY, 0, error);
  if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0) {
    hf_fail_errno(fd < 0 ? NULL : error, errno, "cannot lock '%s'", path);
    unlink(path);
    return NULL;
  }
  *held = hf_steal_fd(&fd);
  return g_steal_pointer(&path);
}

typedef struct Note {
  char *path;
  char **lines; /* the first: boot and until */
} Note;

static void note_clear(Note *note)
{
  g_free(note->path);
  g_strfreev(note->lines);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Note, note_clear)

static void tell(GPtrArray *told, const HfFrozen *frozen, int failed)
{
  if (failed == 0)
    g_ptr_array_add(told, g_strdup_printf("'%s' was frozen by a task that is no more: thawed", frozen->mount));
  else if (failed != EINVAL)
    g_ptr_array_add(told, g_strdup_printf("'%s' is frozen and cannot be thawed: %s; run 'fsfreeze -u'", frozen->mount,
                                          g_strerror(failed)));
}

/* FALSE: not all of it. What is not mounted at the moment, or lies under something else, may be frozen. */
static gboolean thaw_noted(const Note *note, GPtrArray *told)
{
  gboolean good = TRUE;
  g_autoptr(GPtrArray) places = g_ptr_array_new_with_free_func(hf_frozen_free);
  g_autoptr(GArray) fds = g_array_new(FALSE, FALSE, sizeof(int));
  for (char **line = note->lines + 1; *line != NULL; line++) {
    char *end;
    const guint64 device = g_ascii_strtoull(*line, &end, 10);
    HfFrozen *frozen = *end == '\t' ? g_new0(HfFrozen, 1) : NULL;
    if (frozen == NULL)
      continue;
    frozen->mount = g_strcompress(end + 1);
    frozen->device = (dev_t)device;
    int fd = hf_frozen_open(frozen, NULL);
    good = good && fd >= 0;
    if (fd < 0) {
      hf_frozen_free(frozen);
      continue;
    }
    g_ptr_array_add(places, frozen);
    g_array_append_val(fds, fd);
  }
  g_autofree int *failed = g_new0(int, fds->len + 1);
  hf_thaw_all((const int *)(gpointer)fds->data, fds->len, failed);
  for (guint i = 0; i < fds->len; i++) {
    tell(told, places->pdata[i], failed[i]);
    good = good && (failed[i] == 0 || failed[i] == EINVAL);
    close(g_array_index(fds, int, i));
  }
  return good;
}

static gboolean is_held(const char *path)
{
  hf_autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
  return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

/* ---- what should be thawed long since ---- */

static int rescuing; /* a thread is at it: who freezes may be in the kernel, and thawing waits for that */

static gpointer rescue(gpointer data)
{
  Note *note = data;
  g_autoptr(GPtrArray) told = g_ptr_array_new_with_free_func(g_free);
  if (thaw_noted(note, told))
    unlink(note->path);
  note_clear(note);
  g_free(note);
  g_atomic_int_set(&rescuing, 0);
  return NULL;
}

static void start_rescue(Note *note, GPtrArray *told)
{
  if (!g_atomic_int_compare_and_exchange(&rescuing, 0, 1))
    return;
  Note *copy = g_new(Note, 1);
  *copy = *note;
  *note = (Note){ 0 };
  g_ptr_array_add(told, g_strdup_printf("what '%s' names is frozen for longer than it should be: it is thawed",
                                        copy->path));
  GThread *thread = g_thread_try_new("hf-rescue", rescue, copy, NULL);
  if (thread != NULL)
    g_thread_unref(thread);
  else
    rescue(copy);
}

/* TRUE: it is dealt with. */
static gboolean see_to(Note *note, pid_t pid, guint64 start, GPtrArray *told)
{
  char *end = note->lines[0] != NULL ? strchr(note->lines[0], '\t') : NULL;
  g_autofree char *boot = boot_id();
  const gboolean held = hf_process_start(pid) == start || is_held(note->path);
  const gint64 until = end != NULL ? g_ascii_strtoll(end + 1, NULL, 10) : 0;
  if (end != NULL)
    *end = '\0';
  if (end == NULL || strcmp(note->lines[0], boot) != 0 || (!held && thaw_noted(note, told))) {
    unlink(note->path);
    return TRUE;
  }
  if (held && hf_thaw_clock_ms() > until + HF_THAW_OVERDUE_SECONDS * 1000)
    start_rescue(note, told);
  return FALSE;
}

GPtrArray *hf_thaw_left(const char *folder, gboolean *again)
{
  const char *name;
  *again = FALSE;
  GPtrArray *told = g_ptr_array_new_with_free_func(g_free);
  g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
  while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
    int pid;
    guint64 start;
    g_autofree char *text = NULL;
    if (sscanf(name, NOTE_PREFIX "%d-%" G_GUINT64_FORMAT, &pid, &start) != 2)
      continue;
    g_auto(Note) note = { .path = g_build_filename(folder, name, NULL) };
    if (!g_file_get_contents(note.path, &text, NULL, NULL))
      continue; /* it has just gone */
    note.lines = g_strsplit(text, "\n", -1);
    *again = !see_to(&note, pid, start, told) || *again;
  }
  return told;
}
