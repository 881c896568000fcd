/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Freezing file systems made in files, on ext4 and XFS: writing waits, and goes on whoever is killed. What a machine
 * cannot do (no root, no loop devices, no such file system) is skipped by name. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/tasks/freeze.h"
#include "agent/tasks/mounts.h"
#include "agent/tasks/still.h"
#include "base/error.h"
#include "base/sys.h"
#include "fakeworker.h"
#include "fixture.h"

#define SOON (5 * G_USEC_PER_SEC)

typedef struct Lab {
  char *folder, *place, *state, *image;
  GPtrArray *places; /* of HfFrozen* */
  gboolean mounted;
} Lab;

static gboolean run(const char *const *argv)
{
  int status;
  return g_spawn_sync(NULL, (char **)argv, NULL,
                      G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, NULL,
                      NULL, &status, NULL) && status == 0;
}

static gboolean can_freeze(const char *place)
{
  hf_autofd int fd = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return ioctl(fd, FIFREEZE, 0) == 0 && ioctl(fd, FITHAW, 0) == 0;
}

static void lab_close(Lab *lab)
{
  /* Who was killed may have it open for a moment. */
  for (guint i = 0; lab->mounted && umount(lab->place) != 0 && errno == EBUSY && i < 500; i++)
    g_usleep(10000);
  g_ptr_array_unref(lab->places);
  hf_fixture_remove(lab->folder);
  g_free(lab->folder);
  g_free(lab->place);
  g_free(lab->state);
  g_free(lab->image);
}

/* FALSE: skipped, and closed. */
static gboolean lab_open(Lab *lab, const char *type)
{
  *lab = (Lab){ .folder = g_dir_make_tmp("holdfast-XXXXXX", NULL) };
  lab->place = g_build_filename(lab->folder, "place", NULL);
  lab->state = g_build_filename(lab->folder, "state", "work", NULL);
  lab->image = g_build_filename(lab->folder, "image", NULL);
  lab->places = g_ptr_array_new_with_free_func(hf_frozen_free);
  g_mkdir_with_parents(lab->place, 0700);
  g_mkdir_with_parents(lab->state, 0700);
  g_autofree char *maker = g_strdup_printf("mkfs.%s", type);
  const char *make[] = { "truncate", "-s", "320M", lab->image, NULL };
  const char *format[] = { maker, "-q", lab->image, NULL };
  const char *attach[] = { "mount", "-o", "loop", lab->image, lab->place, NULL };
  const char *missing = geteuid() != 0 ? "root" : !run(make) || !run(format) ? maker : NULL;
  lab->mounted = missing == NULL && run(attach);
  if (missing == NULL)
    missing = !lab->mounted ? "loop devices, and this file system in the kernel" : NULL;
  if (missing == NULL && !can_freeze(lab->place))
    missing = "FIFREEZE";
  if (missing == NULL) {
    g_ptr_array_add(lab->places, hf_mounts_of_path(lab->place, NULL));
    return TRUE;
  }
  g_autofree char *text = g_strdup_printf("freezing %s needs %s", type, missing);
  g_test_skip(text);
  lab_close(lab);
  return FALSE;
}

/* Starts to write a file there: pid of who does. */
static pid_t start_writing(const Lab *lab)
{
  g_autofree char *path = g_build_filename(lab->place, "written", NULL);
  pid_t pid = fork();
  if (pid == 0) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    _exit(fd >= 0 && write(fd, "x", 1) == 1 && fsync(fd) == 0 ? 0 : 1);
  }
  return pid;
}

static gboolean ends_within(pid_t pid, gint64 patience)
{
  int status = -1;
  for (gint64 end = g_get_monotonic_time() + patience; g_get_monotonic_time() < end; g_usleep(5000))
    if (waitpid(pid, &status, WNOHANG) == pid)
      return status == 0;
  return FALSE;
}

static gboolean is_writable(const Lab *lab)
{
  return ends_within(start_writing(lab), SOON);
}

static guint notes(const Lab *lab)
{
  guint count = 0;
  g_autoptr(GDir) dir = g_dir_open(lab->state, 0, NULL);
  while (g_dir_read_name(dir) != NULL)
    count++;
  return count;
}

static void check_life(const char *type)
{
  Lab lab;
  g_autoptr(GError) error = NULL;
  if (!lab_open(&lab, type))
    return;
  HfFreeze *freeze = hf_freeze_begin(lab.state, lab.places, 60, &error);
  g_assert_no_error(error);
  g_assert_true(hf_freeze_held(freeze));
  g_assert_true(hf_freeze_has(freeze, 0));
  g_assert_false(hf_freeze_has(freeze, 1));
  g_assert_cmpuint(notes(&lab), ==, 1);
  pid_t writer = start_writing(&lab);
  g_assert_false(ends_within(writer, G_USEC_PER_SEC / 2));
  /* Nobody else's. */
  g_assert_null(hf_freeze_begin(lab.state, lab.places, 60, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_BUSY);
  g_assert_true(hf_freeze_end(freeze));
  g_assert_true(ends_within(writer, SOON));
  g_assert_cmpuint(notes(&lab), ==, 0);
  g_assert_false(hf_freeze_held(NULL));
  g_assert_false(hf_freeze_end(NULL));
  lab_close(&lab);
}

static void test_ext4(void)
{
  check_life("ext4");
}

static void test_xfs(void)
{
  check_life("xfs");
}

static void test_deadline(void)
{
  Lab lab;
  if (!lab_open(&lab, "ext4"))
    return;
  HfFreeze *freeze = hf_freeze_begin(lab.state, lab.places, 1, NULL);
  g_assert_nonnull(freeze);
  pid_t writer = start_writing(&lab);
  g_assert_false(ends_within(writer, G_USEC_PER_SEC / 2));
  g_assert_true(ends_within(writer, SOON));
  for (guint i = 0; i < 100 && hf_freeze_held(freeze); i++)
    g_usleep(10000);
  g_assert_false(hf_freeze_held(freeze));
  g_assert_false(hf_freeze_end(freeze));
  g_assert_cmpuint(notes(&lab), ==, 0);
  lab_close(&lab);
}

/* Somebody thaws by hand: nothing hangs. */
static void test_thawed_by_hand(void)
{
  Lab lab;
  if (!lab_open(&lab, "ext4"))
    return;
  HfFreeze *freeze = hf_freeze_begin(lab.state, lab.places, 60, NULL);
  hf_autofd int fd = open(lab.place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  g_assert_cmpint(ioctl(fd, FITHAW, 0), ==, 0);
  hf_freeze_end(freeze);
  g_assert_true(is_writable(&lab));
  hf_close_ptr(&fd);
  lab_close(&lab);
}

/* ---- Deaths. ---- */

static pid_t find_child(pid_t parent)
{
  g_autofree char *path = g_strdup_printf("/proc/%d/task/%d/children", (int)parent, (int)parent), *text = NULL;
  return g_file_get_contents(path, &text, NULL, NULL) ? (pid_t)g_ascii_strtoull(text, NULL, 10) : 0;
}

/* As the keeper does, until nothing is left to do: what it told. */
static GPtrArray *thaw_left(const Lab *lab)
{
  gboolean again;
  GPtrArray *told = hf_thaw_left(lab->state, &again);
  for (guint i = 0; again && i < 500; i++) {
    g_usleep(10000);
    g_autoptr(GPtrArray) more = hf_thaw_left(lab->state, &again);
    g_ptr_array_extend_and_steal(told, g_steal_pointer(&more));
  }
  return told;
}

/* A worker that freezes and then sleeps; returns when it has: pid, and that of its guardian. */
static pid_t start_worker(const Lab *lab, pid_t *guardian)
{
  int ready[2];
  char byte;
  g_assert_cmpint(pipe(ready), ==, 0);
  pid_t pid = fork();
  if (pid == 0) {
    HfFreeze *freeze = hf_freeze_begin(lab->state, lab->places, 60, NULL);
    if (freeze == NULL || write(ready[1], "x", 1) != 1)
      _exit(1);
    for (;;)
      pause();
  }
  close(ready[1]);
  g_assert_cmpint(read(ready[0], &byte, 1), ==, 1);
  close(ready[0]);
  *guardian = find_child(pid);
  g_assert_cmpint(*guardian, >, 0);
  return pid;
}

static void reap(pid_t pid)
{
  kill(pid, SIGKILL);
  g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
}

static void test_worker_killed(void)
{
  Lab lab;
  pid_t guardian;
  if (!lab_open(&lab, "ext4"))
    return;
  pid_t worker = start_worker(&lab, &guardian);
  pid_t writer = start_writing(&lab);
  g_assert_false(ends_within(writer, G_USEC_PER_SEC / 4));
  reap(worker);
  g_assert_true(ends_within(writer, SOON));
  for (guint i = 0; i < 200 && notes(&lab) > 0; i++)
    g_usleep(10000);
  g_assert_cmpuint(notes(&lab), ==, 0);
  lab_close(&lab);
}

static void test_guardian_killed(void)
{
  Lab lab;
  pid_t guardian;
  if (!lab_open(&lab, "ext4"))
    return;
  pid_t worker = start_worker(&lab, &guardian);
  pid_t writer = start_writing(&lab);
  g_assert_false(ends_within(writer, G_USEC_PER_SEC / 4));
  g_assert_cmpint(kill(guardian, SIGTERM), ==, 0); /* it does not listen to that */
  g_assert_false(ends_within(writer, G_USEC_PER_SEC / 4));
  g_assert_cmpint(kill(guardian, SIGKILL), ==, 0);
  g_assert_true(ends_within(writer, SOON));
  reap(worker);
  lab_close(&lab);
}

/* In this process: it notices, too. */
static void test_guardian_killed_here(void)
{
  Lab lab;
  if (!lab_open(&lab, "ext4"))
    return;
  HfFreeze *freeze = hf_freeze_begin(lab.state, lab.places, 60, NULL);
  kill(find_child(getpid()), SIGKILL);
  g_assert_true(is_writable(&lab));
  for (guint i = 0; i < 100 && hf_freeze_held(freeze); i++)
    g_usleep(10000);
  g_assert_false(hf_freeze_end(freeze));
  g_assert_cmpuint(notes(&lab), ==, 0);
  lab_close(&lab);
}

/* Worker and guardian at once: it stays frozen until the keeper looks. */
static void test_both_killed(void)
{
  Lab lab;
  pid_t guardian;
  if (!lab_open(&lab, "ext4"))
    return;
  pid_t worker = start_worker(&lab, &guardian);
  g_autoptr(GPtrArray) early = thaw_left(&lab); /* the worker lives: nothing is done */
  g_assert_cmpuint(early->len, ==, 0);
  kill(worker, SIGSTOP); /* else it would thaw before it is killed */
  kill(guardian, SIGKILL);
  reap(worker);
  pid_t writer = start_writing(&lab);
  g_assert_false(ends_within(writer, G_USEC_PER_SEC / 4));
  g_assert_cmpuint(notes(&lab), ==, 1);
  g_autoptr(GPtrArray) told = thaw_left(&lab);
  g_assert_cmpuint(told->len, ==, 1);
  g_assert_true(ends_within(writer, SOON));
  g_assert_cmpuint(notes(&lab), ==, 0);
  lab_close(&lab);
}

/* Stopped, it does not answer: it is woken. */
static void test_guardian_stopped(void)
{
  Lab lab;
  if (!lab_open(&lab, "ext4"))
    return;
  HfFreeze *freeze = hf_freeze_begin(lab.state, lab.places, 60, NULL);
  g_assert_nonnull(freeze);
  kill(find_child(getpid()), SIGSTOP);
  const gint64 begun = g_get_monotonic_time();
  g_assert_true(hf_freeze_end(freeze));
  g_assert_cmpint(g_get_monotonic_time() - begun, <, SOON);
  g_assert_true(is_writable(&lab));
  lab_close(&lab);
}

/* Changes the first line of the only note, whose lock stays. */
static void rewrite_note(const Lab *lab, const char *boot, const char *until)
{
  g_autofree char *text = NULL;
  g_autoptr(GDir) dir = g_dir_open(lab->state, 0, NULL);
  g_autofree char *path = g_build_filename(lab->state, g_dir_read_name(dir), NULL);
  g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
  g_auto(GStrv) lines = g_strsplit(text, "\n", 2);
  g_auto(GStrv) first = g_strsplit(lines[0], "\t", 2);
  g_autofree char *changed = g_strdup_printf("%s\t%s\n%s", boot != NULL ? boot : first[0], until, lines[1]);
  hf_autofd int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
  g_assert_cmpint(write(fd, changed, strlen(changed)), ==, (gssize)strlen(changed));
}

/* Worker and guardian sleep on: in the end they are not waited for. */
static void test_overdue(void)
{
  Lab lab;
  pid_t guardian;
  gboolean again;
  if (!lab_open(&lab, "ext4"))
    return;
  pid_t worker = start_worker(&lab, &guardian);
  kill(worker, SIGSTOP);
  kill(guardian, SIGSTOP);
  pid_t writer = start_writing(&lab);
  g_autoptr(GPtrArray) early = hf_thaw_left(lab.state, &again);
  g_assert_cmpuint(early->len, ==, 0);
  g_assert_true(again);
  g_assert_false(ends_within(writer, G_USEC_PER_SEC / 4));
  rewrite_note(&lab, NULL, "1");
  g_autoptr(GPtrArray) told = hf_thaw_left(lab.state, &again);
  g_assert_cmpuint(told->len, ==, 1);
  g_assert_true(ends_within(writer, SOON));
  for (guint i = 0; i < 200 && notes(&lab) > 0; i++)
    g_usleep(10000);
  g_assert_cmpuint(notes(&lab), ==, 0);
  kill(guardian, SIGKILL);
  reap(worker);
  lab_close(&lab);
}

/* A note from before the machine was started says nothing of what is frozen now. */
static void test_other_boot(void)
{
  Lab lab;
  pid_t guardian;
  if (!lab_open(&lab, "ext4"))
    return;
  pid_t worker = start_worker(&lab, &guardian);
  kill(worker, SIGSTOP);
  kill(guardian, SIGKILL);
  reap(worker);
  rewrite_note(&lab, "other", "1");
  pid_t writer = start_writing(&lab);
  g_autoptr(GPtrArray) told = thaw_left(&lab);
  g_assert_cmpuint(told->len, ==, 0);
  g_assert_cmpuint(notes(&lab), ==, 0);
  g_assert_false(ends_within(writer, G_USEC_PER_SEC / 4));
  hf_autofd int fd = hf_frozen_open(lab.places->pdata[0], NULL);
  g_assert_cmpint(ioctl(fd, FITHAW, 0), ==, 0);
  g_assert_true(ends_within(writer, SOON));
  hf_close_ptr(&fd);
  lab_close(&lab);
}

/* Another mount lies over the place when it is to be thawed. */
static void test_hidden_place(void)
{
  Lab lab;
  pid_t guardian;
  if (!lab_open(&lab, "ext4"))
    return;
  g_autofree char *other = g_build_filename(lab.folder, "other", NULL);
  g_mkdir_with_parents(other, 0700);
  g_assert_cmpint(mount(lab.place, other, NULL, MS_BIND, NULL), ==, 0);
  pid_t worker = start_worker(&lab, &guardian);
  g_assert_cmpint(mount("none", lab.place, "tmpfs", 0, NULL), ==, 0);
  kill(worker, SIGSTOP);
  kill(guardian, SIGKILL);
  reap(worker);
  g_autoptr(GPtrArray) told = thaw_left(&lab);
  g_assert_cmpuint(told->len, ==, 1);
  umount(lab.place);
  g_assert_true(is_writable(&lab));
  umount(other);
  lab_close(&lab);
}

/* At any moment around the freezing itself. */
static void test_killed_anywhere(void)
{
  Lab lab;
  if (!lab_open(&lab, "ext4"))
    return;
  for (guint i = 0; i < 40; i++) {
    pid_t pid = fork();
    if (pid == 0) {
      hf_freeze_end(hf_freeze_begin(lab.state, lab.places, 60, NULL));
      _exit(0);
    }
    g_usleep(i * 500);
    pid_t guardian = i % 2 == 0 ? find_child(pid) : 0;
    if (guardian > 0)
      kill(guardian, SIGKILL);
    reap(pid);
    g_ptr_array_unref(thaw_left(&lab));
    g_assert_true(is_writable(&lab));
  }
  /* A guardian that was about to thaw may do so a little later. */
  for (guint i = 0; i < 200 && notes(&lab) > 0; i++)
    g_usleep(10000);
  g_assert_cmpuint(notes(&lab), ==, 0);
  lab_close(&lab);
}

/* ---- What is frozen, and what is not. ---- */

static void test_unsupported(void)
{
  Lab lab;
  if (!lab_open(&lab, "ext4"))
    return;
  g_autofree char *other = g_build_filename(lab.folder, "other", NULL);
  g_mkdir_with_parents(other, 0700);
  g_assert_cmpint(mount("none", other, "tmpfs", 0, NULL), ==, 0);
  HfFrozen *memory = hf_mounts_of_path(other, NULL);
  g_ptr_array_insert(lab.places, 0, memory);
  HfFreeze *freeze = hf_freeze_begin(lab.state, lab.places, 60, NULL);
  g_assert_false(hf_freeze_has(freeze, 0));
  g_assert_true(hf_freeze_has(freeze, 1));
  g_assert_true(hf_freeze_end(freeze));
  umount(other);
  g_autoptr(GError) error = NULL;
  g_assert_null(hf_freeze_begin(lab.state, lab.places, 60, &error)); /* one is not there any more */
  g_assert_error(error, HF_ERROR, HF_ERROR_NOT_FOUND);
  lab_close(&lab);
}

/* Somebody else's freeze stays, and what was frozen before it was met is thawed. */
static void test_frozen_already(void)
{
  Lab lab, other;
  g_autoptr(GError) error = NULL;
  if (!lab_open(&lab, "ext4"))
    return;
  g_assert_true(lab_open(&other, "ext4"));
  hf_autofd int fd = hf_frozen_open(other.places->pdata[0], NULL);
  g_assert_cmpint(ioctl(fd, FIFREEZE, 0), ==, 0);
  g_ptr_array_extend_and_steal(lab.places, g_steal_pointer(&other.places));
  g_assert_null(hf_freeze_begin(lab.state, lab.places, 60, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_BUSY);
  g_assert_true(is_writable(&lab));
  g_assert_cmpuint(notes(&lab), ==, 0);
  g_assert_cmpint(ioctl(fd, FITHAW, 0), ==, 0); /* it was frozen still */
  hf_close_ptr(&fd);
  other.places = g_ptr_array_new();
  lab_close(&other);
  lab_close(&lab);
}

/* An image in the file system that is frozen with it: it is frozen first, or freezing would wait for ever. */
static void test_stacked(void)
{
  Lab lab;
  if (!lab_open(&lab, "ext4"))
    return;
  g_autofree char *image = g_build_filename(lab.place, "image", NULL);
  g_autofree char *upper = g_build_filename(lab.folder, "upper", NULL);
  g_autofree char *written = g_build_filename(upper, "written", NULL);
  const char *make[] = { "truncate", "-s", "32M", image, NULL }, *format[] = { "mkfs.ext4", "-q", image, NULL };
  const char *attach[] = { "mount", "-o", "loop", image, upper, NULL };
  g_mkdir_with_parents(upper, 0700);
  g_assert_true(run(make) && run(format) && run(attach));
  g_ptr_array_add(lab.places, hf_mounts_of_path(upper, NULL));
  hf_mounts_order(lab.places);
  g_assert_cmpstr(((HfFrozen *)lab.places->pdata[0])->mount, ==, upper);
  for (guint i = 0; i < 3; i++) {
    g_assert_true(g_file_set_contents(written, "dirty", -1, NULL));
    HfFreeze *freeze = hf_freeze_begin(lab.state, lab.places, 30, NULL);
    g_assert_nonnull(freeze);
    g_assert_true(hf_freeze_end(freeze));
  }
  g_assert_cmpint(umount(upper), ==, 0);
  lab_close(&lab);
}

/* Subvolumes give files numbers of their own: the file system is one. And nobody knows what an overlay lies over. */
static void test_numbers(void)
{
  Lab lab;
  if (!lab_open(&lab, "btrfs"))
    return;
  const HfFrozen *place = lab.places->pdata[0];
  g_autofree char *inner = g_build_filename(lab.place, "inner", NULL);
  const char *make[] = { "btrfs", "-q", "subvolume", "create", inner, NULL };
  const char *const needed[] = { inner, NULL };
  if (run(make)) {
    g_autofree char *why = hf_mounts_refusal(place, needed);
    g_assert_nonnull(why);
    HfFrozen *found = hf_mounts_of_path(inner, NULL);
    g_assert_cmpuint(found->device, ==, place->device);
    hf_frozen_free(found);
  }
  g_autofree char *over = g_build_filename(lab.folder, "over", NULL);
  g_autofree char *options = g_strdup_printf("lowerdir=%s:%s", lab.state, lab.place);
  const char *const through[] = { over, NULL };
  g_mkdir_with_parents(over, 0700);
  if (mount("overlay", over, "overlay", MS_RDONLY, options) == 0) {
    g_autofree char *why = hf_mounts_refusal(place, through);
    g_assert_nonnull(why);
    umount(over);
  }
  lab_close(&lab);
}

static void test_mounts(void)
{
  Lab lab;
  g_autoptr(GError) error = NULL;
  g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(hf_frozen_free);
  g_assert_null(hf_mounts_of_path("/no/such/path", &error));
  hf_mounts_of_disk("/no/such/disk", found);
  g_assert_cmpuint(found->len, ==, 0);
  if (!lab_open(&lab, "ext4"))
    return;
  const HfFrozen *place = lab.places->pdata[0];
  g_assert_cmpstr(place->mount, ==, lab.place);
  hf_mounts_of_disk(lab.image, found);
  g_assert_cmpuint(found->len, ==, 1);
  g_assert_cmpstr(((HfFrozen *)found->pdata[0])->mount, ==, lab.place);
  g_autofree char *inside = g_build_filename(lab.place, "inside", NULL);
  const char *const well[] = { "/no/such/path", lab.folder, NULL }, *const ill[] = { inside, NULL };
  g_mkdir_with_parents(inside, 0700);
  g_assert_null(hf_mounts_refusal(place, well));
  g_autofree char *why = hf_mounts_refusal(place, ill);
  g_assert_nonnull(strstr(why, inside));
  /* What is written to an image is written to where the image lies. */
  HfFrozen *below = hf_mounts_of_path(lab.folder, NULL);
  const char *const in_image[] = { lab.place, NULL };
  g_autofree char *through = hf_mounts_refusal(below, in_image);
  g_assert_nonnull(through);
  hf_frozen_free(below);
  lab_close(&lab);
}

/* As a task does: with warnings for what is not frozen. */
static void check_still(const char *path, gboolean disks, gboolean frozen, const char *told, Lab *lab)
{
  HfWorker worker;
  g_auto(HfWorkBackup) task = { .freeze = HF_WORK_FREEZE_AUTO, .freeze_seconds = 30, .disks = disks };
  fake_worker_init(&worker, lab->state);
  hf_work_backup_add_paths(&task, path);
  HfStill *still = hf_still_begin(&worker, &task, NULL);
  const HfBackupHold *hold = hf_still_hold(still);
  g_assert_true(hold->begin(hold->user, NULL));
  g_assert_cmpuint(notes(lab), ==, frozen ? 1 : 0);
  if (disks)
    g_assert_true(hold->held(hold->user, path) == frozen);
  hold->end(hold->user);
  g_assert_true(fake_worker_told(&worker, told));
  g_assert_cmpuint(notes(lab), ==, 0);
  hf_still_free(still);
  fake_worker_clear(&worker);
}

static void test_still(void)
{
  Lab lab;
  if (!lab_open(&lab, "ext4"))
    return;
  check_still(lab.place, FALSE, TRUE, "thawed after", &lab);
  check_still(lab.image, TRUE, TRUE, "thawed after", &lab);
  check_still("/", FALSE, FALSE, "is not frozen", &lab);
  /* A repository of this host. */
  g_autofree char *list = g_build_filename(lab.folder, "state", "repositories", NULL);
  g_autofree char *escaped = g_strescape(lab.place, NULL), *text = g_strconcat("/nowhere\n", escaped, "\n", NULL);
  g_assert_true(g_file_set_contents(list, text, -1, NULL));
  check_still(lab.place, FALSE, FALSE, "has to go on writing", &lab);
  lab_close(&lab);
}

static void test_still_too_slow(void)
{
  Lab lab;
  HfWorker worker;
  if (!lab_open(&lab, "ext4"))
    return;
  g_auto(HfWorkBackup) task = { .freeze = HF_WORK_FREEZE_AUTO, .freeze_seconds = 1, .disks = TRUE };
  fake_worker_init(&worker, lab.state);
  hf_work_backup_add_paths(&task, lab.image);
  HfStill *still = hf_still_begin(&worker, &task, NULL);
  const HfBackupHold *hold = hf_still_hold(still);
  hold->begin(hold->user, NULL);
  g_assert_true(is_writable(&lab)); /* after a second */
  g_assert_false(hold->held(hold->user, lab.image));
  hf_still_free(still);
  g_assert_true(fake_worker_told(&worker, "crash-consistent"));
  /* What is too large for the time is not frozen at all. */
  task.freeze_seconds = 0;
  g_assert_cmpint(truncate(lab.image, (off_t)3 << 30), ==, 0);
  still = hf_still_begin(&worker, &task, NULL);
  hold = hf_still_hold(still);
  hold->begin(hold->user, NULL);
  g_assert_cmpuint(notes(&lab), ==, 0);
  hf_still_free(still);
  task.freeze_seconds = 1;
  g_assert_cmpint(truncate(lab.image, (off_t)5 << 30), ==, 0);
  still = hf_still_begin(&worker, &task, NULL);
  hold = hf_still_hold(still);
  hold->begin(hold->user, NULL);
  g_assert_true(fake_worker_told(&worker, "cannot be read within"));
  hf_still_free(still);
  fake_worker_clear(&worker);
  lab_close(&lab);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/freeze/ext4", test_ext4);
  g_test_add_func("/freeze/xfs", test_xfs);
  g_test_add_func("/freeze/deadline", test_deadline);
  g_test_add_func("/freeze/thawed-by-hand", test_thawed_by_hand);
  g_test_add_func("/freeze/worker-killed", test_worker_killed);
  g_test_add_func("/freeze/guardian-killed", test_guardian_killed);
  g_test_add_func("/freeze/guardian-killed-here", test_guardian_killed_here);
  g_test_add_func("/freeze/both-killed", test_both_killed);
  g_test_add_func("/freeze/guardian-stopped", test_guardian_stopped);
  g_test_add_func("/freeze/overdue", test_overdue);
  g_test_add_func("/freeze/other-boot", test_other_boot);
  g_test_add_func("/freeze/hidden-place", test_hidden_place);
  g_test_add_func("/freeze/frozen-already", test_frozen_already);
  g_test_add_func("/freeze/stacked", test_stacked);
  g_test_add_func("/freeze/numbers", test_numbers);
  g_test_add_func("/freeze/killed-anywhere", test_killed_anywhere);
  g_test_add_func("/freeze/unsupported", test_unsupported);
  g_test_add_func("/freeze/mounts", test_mounts);
  g_test_add_func("/freeze/still", test_still);
  g_test_add_func("/freeze/still-too-slow", test_still_too_slow);
  return g_test_run();
}
