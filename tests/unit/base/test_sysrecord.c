/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/sysrecord.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/sys.h"
#include "base/sysfault.h"

typedef struct Ground {
  char *folder, *record, *work; /* work is below folder; the recording is outside it */
  int dir;                      /* of work */
  GString *story;
} Ground;

static void set_up(Ground *ground, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *made = g_dir_make_tmp("hf-record-XXXXXX", NULL);
  char resolved[4096];
  g_assert_nonnull(realpath(made, resolved));
  ground->folder = g_strdup(resolved);
  ground->record = g_build_filename(ground->folder, "record", NULL);
  ground->work = g_build_filename(ground->folder, "work", NULL);
  ground->story = g_string_new(NULL);
  g_assert_cmpint(g_mkdir(ground->work, 0700), ==, 0);
  ground->dir = open(ground->work, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  g_assert_true(hf_sys_record_install(ground->record, &error));
  g_assert_no_error(error);
}

static void tear_down(Ground *ground, gconstpointer data G_GNUC_UNUSED)
{
  hf_sys_record_remove();
  close(ground->dir);
  g_autofree char *command = g_strdup_printf("rm -r '%s'", ground->folder);
  g_assert_true(g_spawn_command_line_sync(command, NULL, NULL, NULL, NULL));
  g_free(ground->folder);
  g_free(ground->record);
  g_free(ground->work);
  g_string_free(ground->story, TRUE);
}

static guint64 get(const guint8 *from, guint size)
{
  guint64 value = 0;
  for (guint i = size; i-- > 0;)
    value = value << 8 | from[i];
  return value;
}

/* A path as in the story: relative to the work folder, and without the number of a nameless file. */
static char *tell_path(const Ground *ground, const guint8 *text, gsize length)
{
  g_autofree char *path = g_strndup((const char *)text, length);
  if (!g_str_has_prefix(path, ground->work))
    return g_steal_pointer(&path);
  if (g_str_has_suffix(path, " (deleted)"))
    return g_strdup("(nameless)");
  const char *rest = path + strlen(ground->work);
  return g_strdup(*rest == '/' ? rest + 1 : ".");
}

/* The recording as one line a record: kind, flags, paths, offset+length, argument, bytes. */
static const char *read_story(Ground *ground)
{
  static const char *const kinds[] = { "?", "open", "write", "fsync", "fdatasync", "syncfs", "truncate",
                                       "allocate", "link", "rename", "unlink", "mkdir", "close", "mark" };
  g_autofree char *bytes = NULL;
  gsize length;
  hf_sys_record_remove();
  g_assert_true(g_file_get_contents(ground->record, &bytes, &length, NULL));
  g_string_truncate(ground->story, 0);
  for (const guint8 *p = (guint8 *)bytes, *end = p + length; p < end; p += get(p + 4, 4)) {
    g_assert_cmpint((end - p), >=, 64);
    g_assert_cmpmem(p, 4, "HFRC", 4);
    g_assert_cmpuint(get(p + 16, 4), ==, (guint64)getpid());
    g_assert_cmpuint(get(p + 32, 8), !=, 0);
    gsize first = get(p + 10, 2), second = get(p + 12, 2), data = get(p + 4, 4) - 64 - first - second;
    g_autofree char *path = tell_path(ground, p + 64, first), *other = tell_path(ground, p + 64 + first, second);
    g_string_append_printf(ground->story, "%s %d", kinds[get(p + 8, 2)], (int)get(p + 14, 2));
    g_string_append_printf(ground->story, " '%s' '%s' %d+%d %x %.*s\n", path, other, (int)get(p + 40, 8),
                           (int)get(p + 48, 8), (guint)get(p + 56, 4), (int)data, p + 64 + first + second);
  }
  return ground->story->str;
}

static void test_names(Ground *ground, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *absolute = g_build_filename(ground->work, "a", "x", NULL);
  g_assert_cmpint(hf_sys->mkdirat(ground->dir, "a//", 0700), ==, 0);
  g_assert_cmpint(symlinkat("a", ground->dir, "to-a"), ==, 0);
  g_assert_cmpint(hf_sys->mkdirat(AT_FDCWD, absolute, 0700), ==, 0);
  g_assert_cmpint(hf_sys->renameat2(ground->dir, "to-a/x", ground->dir, "y", RENAME_NOREPLACE), ==, 0);
  g_assert_cmpint(hf_sys->linkat(ground->dir, "to-a", ground->dir, "also", 0), ==, 0);
  g_assert_cmpint(hf_sys->unlinkat(ground->dir, "a/../y", AT_REMOVEDIR), ==, 0);
  g_assert_cmpint(chdir(ground->work), ==, 0);
  g_assert_cmpint(hf_sys->mkdirat(AT_FDCWD, "here", 0700), ==, 0);
  /* What fails is not recorded. */
  g_assert_cmpint(hf_sys->mkdirat(ground->dir, "a", 0700), ==, -1);
  g_assert_cmpint(hf_sys->linkat(ground->dir, "none", ground->dir, "z", 0), ==, -1);
  g_assert_cmpint(hf_sys->renameat2(ground->dir, "none", ground->dir, "z", 0), ==, -1);
  g_assert_cmpint(hf_sys->unlinkat(ground->dir, "none", 0), ==, -1);
  g_assert_cmpstr(read_story(ground), ==,
                  "mkdir 2 'a' '' 0+0 0 \n"
                  "mkdir 2 'a/x' '' 0+0 0 \n"
                  "rename 2 'a/x' 'y' 0+0 1 \n"
                  "link 0 '' 'also' 0+0 0 \n"
                  "unlink 2 'y' '' 0+0 200 \n"
                  "mkdir 2 'here' '' 0+0 0 \n");
}

static void test_writes(Ground *ground, gconstpointer data G_GNUC_UNUSED)
{
  struct iovec vector[2] = { { (char *)"abc", 3 }, { (char *)"de", 2 } };
  int fd = hf_sys->openat(ground->dir, "f", O_RDWR | O_CREAT, 0600);
  g_assert_cmpint(hf_sys->write(fd, "0123", 4), ==, 4);
  g_assert_cmpint(hf_sys->writev(fd, vector, 2), ==, 5);
  g_assert_cmpint(hf_sys->pwrite(fd, "X", 1, 2), ==, 1);
  g_assert_cmpint(hf_sys->ftruncate(fd, 6), ==, 0);
  g_assert_cmpint(hf_sys->fallocate(fd, FALLOC_FL_KEEP_SIZE, 4, 100), ==, 0);
  g_assert_cmpint(hf_sys->fdatasync(fd), ==, 0);
  g_assert_cmpint(hf_sys->fsync(fd), ==, 0);
  g_assert_cmpint(hf_sys->fsync(ground->dir), ==, 0);
  g_assert_cmpint(hf_sys->syncfs(ground->dir), ==, 0);
  g_assert_cmpint(hf_sys->close(fd), ==, 0);
  g_autofree char *expected = g_strdup_printf(
    "open 1 'f' '' 0+0 %x \n"
    "write 0 'f' '' 0+4 0 0123\n"
    "write 0 'f' '' 4+5 0 abcde\n"
    "write 0 'f' '' 2+1 0 X\n"
    "truncate 0 'f' '' 6+0 0 \n"
    "allocate 0 'f' '' 4+100 1 \n"
    "fdatasync 0 'f' '' 0+0 0 \n"
    "fsync 0 'f' '' 0+0 0 \n"
    "fsync 2 '.' '' 0+0 0 \n"
    "syncfs 2 '.' '' 0+0 0 \n"
    "close 0 'f' '' 0+0 0 \n", (guint)(O_RDWR | O_CREAT));
  g_assert_cmpstr(read_story(ground), ==, expected);
}

static void test_nameless(Ground *ground, gconstpointer data G_GNUC_UNUSED)
{
  int fd = hf_sys->openat(ground->dir, ".", O_WRONLY | O_TMPFILE, 0600);
  g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);
  g_assert_cmpint(hf_sys->write(fd, "data", 4), ==, 4);
  g_assert_cmpint(hf_sys->linkat(AT_FDCWD, link, ground->dir, "named", AT_SYMLINK_FOLLOW), ==, 0);
  g_assert_cmpint(hf_sys->close(fd), ==, 0);
  g_autofree char *expected = g_strdup_printf(
    "open 1 '(nameless)' '' 0+0 %x \n"
    "write 0 '(nameless)' '' 0+4 0 data\n"
    "link 0 '' 'named' 0+0 400 \n"
    "close 0 '(nameless)' '' 0+0 0 \n", (guint)(O_WRONLY | O_TMPFILE));
  g_assert_cmpstr(read_story(ground), ==, expected);
}

static void test_open_flags(Ground *ground, gconstpointer data G_GNUC_UNUSED)
{
  static const int flags[] = { O_WRONLY | O_CREAT | O_EXCL, O_WRONLY | O_CREAT, O_WRONLY | O_TRUNC, O_RDONLY | O_CREAT,
                               O_RDONLY };
  for (gsize i = 0; i < G_N_ELEMENTS(flags); i++)
    close(hf_sys->openat(ground->dir, "f", flags[i], 0600));
  g_assert_cmpint(hf_sys->openat(ground->dir, "f", flags[0], 0600), ==, -1);
  g_autofree char *expected = g_strdup_printf(
    "open 1 'f' '' 0+0 %x \nopen 0 'f' '' 0+0 %x \nopen 0 'f' '' 0+0 %x \nopen 0 'f' '' 0+0 %x \n",
    (guint)flags[0], (guint)flags[1], (guint)flags[2], (guint)flags[3]);
  g_assert_cmpstr(read_story(ground), ==, expected);
}

static void test_appending(Ground *ground, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *path = g_build_filename(ground->work, "f", NULL);
  g_assert_true(g_file_set_contents(path, "0123456789", 10, NULL));
  int fd = hf_sys->openat(ground->dir, "f", O_WRONLY | O_APPEND, 0);
  g_assert_cmpint(hf_sys->write(fd, "ab", 2), ==, 2);
  g_assert_cmpint(hf_sys->pwrite(fd, "cd", 2, 0), ==, 2);
  close(fd);
  g_autofree char *expected = g_strdup_printf("open 0 'f' '' 0+0 %x \n"
                                              "write 0 'f' '' 10+2 0 ab\n"
                                              "write 0 'f' '' 12+2 0 cd\n", (guint)(O_WRONLY | O_APPEND));
  g_assert_cmpstr(read_story(ground), ==, expected);
}

/* Pipes and devices are no files of a repository; failures and reading leave nothing. */
static void test_not_recorded(Ground *ground, gconstpointer data G_GNUC_UNUSED)
{
  int ends[2], null = hf_sys->openat(AT_FDCWD, "/dev/null", O_WRONLY, 0);
  g_assert_cmpint(pipe(ends), ==, 0);
  g_assert_cmpint(hf_sys->write(ends[1], "x", 1), ==, 1);
  g_assert_cmpint(hf_sys->write(null, "x", 1), ==, 1);
  g_assert_cmpint(hf_sys->close(ends[0]), ==, 0);
  g_assert_cmpint(hf_sys->close(ends[1]), ==, 0);
  g_assert_cmpint(hf_sys->close(null), ==, 0);
  g_assert_cmpint(hf_sys->close(-1), ==, -1);
  g_assert_cmpint(hf_sys->write(-1, "x", 1), ==, -1);
  g_assert_cmpint(hf_sys->pwrite(ground->dir, "x", 1, 0), ==, -1);
  g_assert_cmpint(hf_sys->writev(-1, NULL, 0), ==, -1);
  g_assert_cmpint(hf_sys->fsync(-1), ==, -1);
  g_assert_cmpint(hf_sys->ftruncate(-1, 0), ==, -1);
  g_assert_cmpint(hf_sys->fallocate(-1, 0, 0, 1), ==, -1);
  g_assert_cmpstr(read_story(ground), ==, "");
}

static gpointer write_much(gpointer data)
{
  int fd = GPOINTER_TO_INT(data);
  for (int i = 0; i < 500; i++)
    g_assert_cmpint(hf_sys->write(fd, "x", 1), ==, 1);
  return NULL;
}

/* Offsets of writes at the shared file position come in order: call and record are one step. */
static void test_threads(Ground *ground, gconstpointer data G_GNUC_UNUSED)
{
  int fd = hf_sys->openat(ground->dir, "f", O_WRONLY | O_CREAT, 0600);
  GThread *threads[3];
  for (guint i = 0; i < 3; i++)
    threads[i] = g_thread_new("writer", write_much, GINT_TO_POINTER(fd));
  for (guint i = 0; i < 3; i++)
    g_thread_join(threads[i]);
  close(fd);
  g_auto(GStrv) lines = g_strsplit(read_story(ground), "\n", -1);
  g_assert_cmpuint(g_strv_length(lines), ==, 1 + 1500 + 1);
  for (guint i = 0; i < 1500; i++) {
    g_autofree char *expected = g_strdup_printf("write 0 'f' '' %u+1 0 x", i);
    g_assert_cmpstr(lines[1 + i], ==, expected);
  }
}

/* What a process killed by the fault layer has done is recorded to the last byte, whatever its other threads did. */
static void test_killed(Ground *ground, gconstpointer data G_GNUC_UNUSED)
{
  pid_t child = fork();
  if (child == 0) {
    g_assert_true(hf_sys_fault_install(&(HfSysFault){ .kill_nth = 700 }, NULL));
    int fd = hf_sys->openat(ground->dir, "f", O_WRONLY | O_CREAT, 0600);
    GThread *threads[3];
    for (guint i = 0; i < 3; i++)
      threads[i] = g_thread_new("writer", write_much, GINT_TO_POINTER(fd));
    for (guint i = 0; i < 3; i++)
      g_thread_join(threads[i]);
    _exit(1);
  }
  int status;
  struct stat file, record;
  g_autofree char *path = g_build_filename(ground->work, "f", NULL);
  g_assert_cmpint(waitpid(child, &status, 0), ==, child);
  g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  g_assert_cmpint(stat(path, &file), ==, 0);
  g_assert_cmpint(stat(ground->record, &record), ==, 0);
  /* At most one call in each of the two other threads had been counted and was not made. */
  g_assert_cmpint(file.st_size, <=, 698);
  g_assert_cmpint(file.st_size, >=, 696);
  gsize each = 64 + strlen(path);
  g_assert_cmpint(record.st_size, ==, (goffset)(each + (gsize)file.st_size * (each + 1)));
}

static void test_install(void)
{
  const HfSys *before = hf_sys;
  g_autoptr(GError) error = NULL;
  g_assert_false(hf_sys_record_install("/nowhere/record", &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_NOT_FOUND);
  g_assert_true(hf_sys == before);
  hf_sys_record_remove();
  g_assert_true(hf_sys == before);
}

static void test_full_recording(void)
{
  if (g_test_subprocess()) {
    g_assert_true(hf_sys_record_install("/dev/full", NULL));
    hf_sys->fsync(open(g_get_tmp_dir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return;
  }
  g_test_trap_subprocess(NULL, 0, 0);
  g_test_trap_assert_failed();
  g_test_trap_assert_stderr("*cannot write the recording*");
}

int main(int argc, char **argv)
{
  /* In memory where there is such a place: syncing a disk that others use takes its time. */
  if (access("/dev/shm", W_OK) == 0)
    g_setenv("TMPDIR", "/dev/shm", TRUE);
  g_test_init(&argc, &argv, NULL);
#define ADD(path, function) g_test_add(path, Ground, NULL, set_up, function, tear_down)
  ADD("/sysrecord/names", test_names);
  ADD("/sysrecord/writes", test_writes);
  ADD("/sysrecord/nameless", test_nameless);
  ADD("/sysrecord/open-flags", test_open_flags);
  ADD("/sysrecord/appending", test_appending);
  ADD("/sysrecord/not-recorded", test_not_recorded);
  ADD("/sysrecord/threads", test_threads);
  ADD("/sysrecord/killed", test_killed);
  g_test_add_func("/sysrecord/install", test_install);
  g_test_add_func("/sysrecord/full-recording", test_full_recording);
  return g_test_run();
}
