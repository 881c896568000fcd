/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Writes and removes objects in a folder store while the calls are recorded, for test_crash_local.py.
 *
 *   crash_writer FOLDER COUNT [named|linked]
 *
 * Object n is the number n in 4 bytes, little-endian, 250 + 9 n times. Four threads share the numbers. Lines are added
 * to the file "diary" beside FOLDER: "put N" after a commit returned, "remove N" before an object is removed. With
 * "named" the file system has no unnamed files, with "linked" no RENAME_NOREPLACE either.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/sys.h"
#include "base/sysfault.h"
#include "base/work.h"
#include "storage/local/local.h"

#define THREADS 4

typedef struct Job {
  HfStore *store;
  int diary;
  guint first, count;
  GError *error;
} Job;

static const HfSys *real;

static int openat_without_tmpfile(int dirfd, const char *path, int flags, mode_t mode)
{
  if ((flags & O_TMPFILE) != O_TMPFILE)
    return real->openat(dirfd, path, flags, mode);
  errno = EOPNOTSUPP;
  return -1;
}

static int renameat2_unknown(int olddir G_GNUC_UNUSED, const char *oldpath G_GNUC_UNUSED, int newdir G_GNUC_UNUSED,
                             const char *newpath G_GNUC_UNUSED, unsigned flags G_GNUC_UNUSED)
{
  errno = EINVAL;
  return -1;
}

static gboolean note(Job *job, const char *what, guint number, GError **error)
{
  g_autofree char *line = g_strdup_printf("%s %u\n", what, number);
  return hf_write_all(job->diary, line, strlen(line), "diary", error);
}

static gboolean put(Job *job, const char *name, guint number, GError **error)
{
  guint32 words[64];
  struct iovec vector[2] = { { words, sizeof words }, { words, 4 } };
  for (gsize i = 0; i < G_N_ELEMENTS(words); i++)
    words[i] = GUINT32_TO_LE(number);
  g_autoptr(HfPut) object = hf_put_begin(job->store, name, error);
  if (object == NULL)
    return FALSE;
  for (guint left = 250 + 9 * number; left > 0;) {
    guint batch = MIN(left, G_N_ELEMENTS(words) + 1);
    vector[0].iov_len = 4 * (batch - 1);
    if (!hf_put_write(object, vector, 2, error))
      return FALSE;
    left -= batch;
  }
  return hf_put_commit(object, error);
}

/* Some share a folder with others of all threads, some have one of their own that goes with them. */
static char *name_of(guint number)
{
  return number % 4 == 3 ? g_strdup_printf("sessions/%u/outcome-%u", number / 8, number)
                         : g_strdup_printf("data/%02x/object-%u", number % 3, number);
}

static gpointer work(gpointer data)
{
  Job *job = data;
  for (guint number = job->first; number < job->count; number += THREADS) {
    g_autofree char *name = name_of(number);
    if (!put(job, name, number, &job->error) || !note(job, "put", number, &job->error))
      break;
    if (number % 3 != 2 &&
        (!note(job, "remove", number, &job->error) || !hf_store_remove(job->store, name, &job->error)))
      break;
  }
  return NULL;
}

static gboolean run(const char *folder, guint count, GError **error)
{
  g_autofree char *parent = g_path_get_dirname(folder), *diary_path = g_build_filename(parent, "diary", NULL);
  hf_autofd int diary = hf_open(AT_FDCWD, diary_path, O_WRONLY | O_CREAT | O_APPEND, 0600, error);
  if (diary < 0)
    return FALSE;
  g_autoptr(HfStore) store = hf_local_open(folder, TRUE, error);
  if (store == NULL)
    return FALSE;
  Job jobs[THREADS];
  GThread *threads[THREADS];
  for (guint i = 0; i < THREADS; i++) {
    jobs[i] = (Job){ .store = store, .diary = diary, .first = i, .count = count };
    threads[i] = g_thread_new("writer", work, &jobs[i]);
  }
  for (guint i = 0; i < THREADS; i++)
    g_thread_join(threads[i]);
  for (guint i = 0; i < THREADS; i++)
    if (jobs[i].error != NULL) {
      g_propagate_error(error, jobs[i].error);
      return FALSE;
    }
  return TRUE;
}

int main(int argc, char **argv)
{
  g_autoptr(GError) error = NULL;
  if (argc < 3)
    return 2;
  real = hf_sys;
  HfSys table = *hf_sys;
  if (argc > 3)
    table.openat = openat_without_tmpfile;
  if (argc > 3 && g_str_equal(argv[3], "linked"))
    table.renameat2 = renameat2_unknown;
  hf_sys = &table;
  if (hf_sys_fault_from_environment(&error) && run(argv[1], (guint)atoi(argv[2]), &error))
    return 0;
  fprintf(stderr, "crash_writer: %s\n", error->message);
  return 1;
}
