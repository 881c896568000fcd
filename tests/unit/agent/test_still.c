/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Snapshots of btrfs subvolumes: what is read stays as it was, they are gone afterwards, also those of a worker that was
 * killed. The file system is made in a file. */
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/tasks/still.h"
#include "base/error.h"
#include "fakeworker.h"
#include "fixture.h"

typedef struct Lab {
  char *folder, *place, *state;
  HfWorker worker;
} Lab;

static gboolean run(const char *const *argv)
{
  int status;
  return g_spawn_sync(NULL, (char **)argv, NULL,
                      G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, NULL,
                      NULL, &status, NULL) && status == 0;
}

/* FALSE: this machine cannot. */
static gboolean lab_open(Lab *lab)
{
  lab->folder = g_dir_make_tmp("holdfast-XXXXXX", NULL);
  lab->place = g_build_filename(lab->folder, "place", NULL);
  lab->state = g_build_filename(lab->folder, "state", NULL);
  g_autofree char *image = g_build_filename(lab->folder, "image", NULL);
  g_mkdir_with_parents(lab->place, 0700);
  g_mkdir_with_parents(lab->state, 0700);
  fake_worker_init(&lab->worker, lab->state);
  const char *make[] = { "truncate", "-s", "200M", image, NULL }, *format[] = { "mkfs.btrfs", "-q", image, NULL };
  const char *attach[] = { "mount", "-o", "loop", image, lab->place, NULL };
  return geteuid() == 0 && run(make) && run(format) && run(attach);
}

static void lab_close(Lab *lab)
{
  umount(lab->place);
  fake_worker_clear(&lab->worker);
  hf_fixture_remove(lab->folder);
  g_free(lab->folder);
  g_free(lab->place);
  g_free(lab->state);
}

static void write_text(const Lab *lab, const char *name, const char *text)
{
  g_autofree char *path = g_build_filename(lab->place, name, NULL), *folder = g_path_get_dirname(path);
  g_mkdir_with_parents(folder, 0700);
  g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static guint left(const Lab *lab)
{
  guint count = 0;
  const char *name;
  g_autoptr(GDir) dir = g_dir_open(lab->place, 0, NULL);
  while ((name = g_dir_read_name(dir)) != NULL)
    count += g_str_has_prefix(name, ".holdfast-still-");
  return count;
}

static void test_snapshot(void)
{
  Lab lab;
  g_autoptr(GError) error = NULL;
  if (!lab_open(&lab)) {
    g_test_skip("needs root, mkfs.btrfs and loop devices");
    lab_close(&lab);
    return;
  }
  write_text(&lab, "a/file", "before");
  g_autofree char *path = g_build_filename(lab.place, "a", NULL), *text = NULL;
  g_auto(HfWorkBackup) task = { .freeze = HF_WORK_FREEZE_SNAPSHOT };
  hf_work_backup_add_paths(&task, path);
  HfStill *still = hf_still_begin(&lab.worker, &task, &error);
  g_assert_no_error(error);
  write_text(&lab, "a/file", "after");
  const char *place = g_hash_table_lookup(hf_still_places(still), path);
  g_assert_nonnull(place);
  g_autofree char *file = g_build_filename(place, "file", NULL);
  g_assert_true(g_file_get_contents(file, &text, NULL, NULL));
  g_assert_cmpstr(text, ==, "before");
  g_assert_cmpuint(left(&lab), ==, 1);
  hf_still_free(still);
  g_assert_cmpuint(left(&lab), ==, 0);

  /* A worker is killed while it reads: the next one removes what it left. */
  pid_t pid = fork();
  if (pid == 0) {
    hf_still_begin(&lab.worker, &task, NULL);
    kill(getpid(), SIGKILL);
  }
  waitpid(pid, NULL, 0);
  g_assert_cmpuint(left(&lab), ==, 1);
  HfStill *next = hf_still_begin(&lab.worker, &task, &error);
  g_assert_no_error(error);
  g_assert_cmpuint(left(&lab), ==, 1);
  g_assert_true(fake_worker_told(&lab.worker, "of a task that was killed"));
  hf_still_free(next);
  g_assert_cmpuint(left(&lab), ==, 0);
  lab_close(&lab);
}

static void test_none(void)
{
  Lab lab;
  g_autoptr(GError) error = NULL;
  lab.folder = g_dir_make_tmp("holdfast-XXXXXX", NULL);
  g_auto(HfWorkBackup) task = { .freeze = HF_WORK_FREEZE_SNAPSHOT };
  fake_worker_init(&lab.worker, lab.folder);
  hf_work_backup_add_paths(&task, "/proc");
  g_assert_null(hf_still_begin(&lab.worker, &task, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_UNSUPPORTED);
  task.freeze = HF_WORK_FREEZE_AUTO;
  HfStill *still = hf_still_begin(&lab.worker, &task, NULL);
  g_assert_nonnull(still);
  g_assert_cmpuint(g_hash_table_size(hf_still_places(still)), ==, 0);
  g_assert_true(fake_worker_told(&lab.worker, "without a snapshot"));
  hf_still_free(still);
  fake_worker_clear(&lab.worker);
  hf_fixture_remove(lab.folder);
  g_free(lab.folder);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/still/snapshot", test_snapshot);
  g_test_add_func("/still/none", test_none);
  return g_test_run();
}
