/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a backup that was ended has stored is not stored again, also of a file or disk that it was just reading. */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/sys.h"
#include "engine/backup/backup.h"
#include "engine/prune/prune.h"
#include "fakedisk.h"
#include "storage/wrap/wrap.h"
#include "treelab.h"

#define LARGE_BYTES (24u << 20)
#define DISK_BYTES (32u << 20)
#define RATE (20u << 20) /* a second: so that it is ended before it is done, however busy the machine */

static void noise(TreeLab *lab, const char *name, gsize length)
{
  g_autofree guint8 *bytes = g_malloc(length);
  hf_random(bytes, length);
  tree_lab_file(lab, name, bytes, length);
}

static gboolean back_up(TreeLab *lab, const char *name, gboolean disk, HfBackupResult *result, GError **error)
{
  g_autofree char *path = tree_lab_path(lab, name);
  g_autoptr(GPtrArray) paths = g_ptr_array_new();
  g_ptr_array_add(paths, path);
  HfBackupOptions options = { .name = "test", .paths = paths, .disks = disk, .codec = -1 };
  return hf_backup(lab->repo, &options, result, error);
}

/* Bytes of all data packs. */
static guint64 stored_bytes(TreeLab *lab)
{
  g_autoptr(GPtrArray) names = hf_store_list_names(lab->repo->store, "data/", NULL);
  guint64 stored = 0;
  for (guint i = 0; names != NULL && i < names->len; i++) {
    guint64 size;
    if (hf_store_size(lab->repo->store, names->pdata[i], &size, NULL))
      stored += size;
  }
  return stored;
}

typedef struct Ender {
  TreeLab *lab;
  guint64 enough;
} Ender;

static gpointer end_when_enough(gpointer user)
{
  const Ender *ender = user;
  while (stored_bytes(ender->lab) < ender->enough)
    g_usleep(200);
  hf_cancel_set(&ender->lab->cancel);
  return NULL;
}

/* Ends a backup in the midst of much, prunes, and makes it again: what is stored then is not more than what was not. */
static void end_and_resume(TreeLab *lab, const char *name, gboolean disk, guint64 bytes)
{
  g_autoptr(GError) error = NULL;
  HfBackupResult result;
  HfPruneOptions options = { 0 };
  HfPruneResult pruned;
  Ender ender = { lab, bytes / 4 };
  lab->repo->store = hf_wrap_throttle(lab->repo->store, RATE, 0);
  GThread *thread = g_thread_new("ender", end_when_enough, &ender);
  g_assert_false(back_up(lab, name, disk, &result, &error));
  g_thread_join(thread);
  g_assert_error(error, HF_ERROR, HF_ERROR_CANCELLED);
  g_clear_error(&error);
  lab->cancel.flag = 0;
  for (guint i = 0; i < 2; i++) {
    hf_prune(lab->repo, &options, &pruned, &error);
    g_assert_no_error(error);
  }
  back_up(lab, name, disk, &result, &error);
  g_assert_no_error(error);
  g_assert_true(result.resumed);
  g_assert_cmpuint(result.bytes, >=, bytes);
  g_test_message("%" G_GUINT64_FORMAT " bytes were stored of %" G_GUINT64_FORMAT, result.stored_bytes, bytes);
  g_assert_cmpuint(result.stored_bytes, <, bytes * 8 / 10);
}

/* In a folder, and as a root itself. */
static void test_large_file(void)
{
  const char *const names[] = { "source", "source/large" };
  for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
    g_autoptr(TreeLab) lab = tree_lab_new();
    noise(lab, "source/large", LARGE_BYTES);
    tree_lab_text(lab, "source/note", "text");
    end_and_resume(lab, names[i], FALSE, LARGE_BYTES);
  }
}

/* One page of a folder is never full: what is done of it counts all the same. */
static void test_few_files(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  for (guint i = 0; i < 12; i++) {
    g_autofree char *name = g_strdup_printf("source/file-%u", i), *note = g_strdup_printf("source/note-%u", i);
    noise(lab, name, 1 << 20);
    tree_lab_text(lab, note, "text");
  }
  end_and_resume(lab, "source", FALSE, 12 << 20);
}

static void test_disk(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  g_autofree char *path = tree_lab_path(lab, "disk");
  g_autoptr(FakeDisk) disk = fake_disk_new(path, DISK_BYTES);
  fake_disk_noise(disk, 0, DISK_BYTES, 1);
  end_and_resume(lab, "disk", TRUE, DISK_BYTES);
}

static guint64 checkpoint_number(TreeLab *lab)
{
  g_autoptr(GPtrArray) names = hf_store_list_names(lab->repo->store, "sessions/", NULL);
  guint64 number = 0;
  for (guint i = 0; names != NULL && i < names->len; i++) {
    const char *part = strstr(names->pdata[i], "/checkpoint.");
    if (part != NULL)
      number = MAX(number, g_ascii_strtoull(part + strlen("/checkpoint."), NULL, 10));
  }
  return number;
}

/* Killed, a few checkpoints later: nobody had time to leave anything. */
static void test_killed(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  g_autoptr(GError) error = NULL;
  HfBackupResult result;
  noise(lab, "source/large", 4 * LARGE_BYTES);
  pid_t pid = fork();
  if (pid == 0) {
    g_setenv("HOLDFAST_TEST_CHECKPOINT_MS", "1", TRUE);
    lab->repo->store = hf_wrap_throttle(lab->repo->store, RATE, 0);
    back_up(lab, "source", FALSE, &result, NULL);
    _exit(0);
  }
  while (checkpoint_number(lab) < 4 || stored_bytes(lab) < LARGE_BYTES) {
    g_assert_cmpint(HF_AGAIN(waitpid(pid, NULL, WNOHANG)), ==, 0);
    g_usleep(200);
  }
  kill(pid, SIGKILL);
  g_assert_cmpint(HF_AGAIN(waitpid(pid, NULL, 0)), ==, pid);
  guint64 number = checkpoint_number(lab), stored = stored_bytes(lab);
  back_up(lab, "source", FALSE, &result, &error);
  g_assert_no_error(error);
  g_assert_true(result.resumed);
  g_test_message("checkpoint %" G_GUINT64_FORMAT ": %" G_GUINT64_FORMAT " bytes were there, %" G_GUINT64_FORMAT
                 " were stored", number, stored, result.stored_bytes);
  g_assert_cmpuint(stored + result.stored_bytes, <, 4 * (guint64)LARGE_BYTES * 11 / 10);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/resume/killed", test_killed);
  g_test_add_func("/resume/large-file", test_large_file);
  g_test_add_func("/resume/few-files", test_few_files);
  g_test_add_func("/resume/disk", test_disk);
  return g_test_run();
}
