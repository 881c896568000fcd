/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A small object store for the test of the crash simulator: it keeps objects as a careful program does, or leaves out
 * one step on purpose.
 *
 *   sample FOLDER COUNT [no-file-sync|no-folder-sync|no-write-order]
 *
 * Object n is made of 1000 + 37 * n bytes of the value n, in two writes; even ones get their name by linkat, odd ones
 * by renameat2. After each one, n is added to the file "acknowledged" beside FOLDER.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/sys.h"
#include "base/sysfault.h"

typedef struct Store {
  int folder, acknowledged;
  const char *flaw;
} Store;

static gboolean has_flaw(const Store *store, const char *flaw)
{
  return g_strcmp0(store->flaw, flaw) == 0;
}

static gboolean sync_file(int fd, const char *what, GError **error)
{
  return hf_sys->fsync(fd) == 0 || hf_fail_errno(error, errno, "cannot sync '%s'", what);
}

static gboolean give_name(const Store *store, int fd, int number, const char *name, GError **error)
{
  g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);
  int result;
  if (number % 2 == 0)
    result = hf_sys->linkat(AT_FDCWD, link, store->folder, name, AT_SYMLINK_FOLLOW);
  else
    result = hf_sys->renameat2(store->folder, "temporary", store->folder, name, RENAME_NOREPLACE);
  return result == 0 || hf_fail_errno(error, errno, "cannot name '%s'", name);
}

static gboolean put_object(const Store *store, int number, GError **error)
{
  guint8 bytes[1 << 16];
  gsize length = 1000 + 37 * (gsize)number;
  g_autofree char *name = g_strdup_printf("%d", number);
  g_autofree char *line = g_strdup_printf("%d\n", number);
  gboolean nameless = number % 2 == 0;
  g_assert(length <= sizeof bytes);
  memset(bytes, number, length);
  hf_autofd int fd = hf_open(store->folder, nameless ? "." : "temporary",
                             O_WRONLY | (nameless ? O_TMPFILE : O_CREAT | O_EXCL), 0600, error);
  if (fd < 0 || !hf_write_all(fd, bytes, length / 2, name, error) ||
      !hf_pwrite_all(fd, bytes, length - length / 2, (goffset)(length / 2), name, error))
    return FALSE;
  gboolean late = has_flaw(store, "no-write-order");
  if (!late && !has_flaw(store, "no-file-sync") && !sync_file(fd, name, error))
    return FALSE;
  if (!give_name(store, fd, number, name, error))
    return FALSE;
  if (!has_flaw(store, "no-folder-sync") && !sync_file(store->folder, "folder", error))
    return FALSE;
  if (late && !sync_file(fd, name, error))
    return FALSE;
  return hf_write_all(store->acknowledged, line, strlen(line), "acknowledged", error);
}

static gboolean run(char **argv, GError **error)
{
  Store store = { -1, -1, argv[3] };
  g_autofree char *list = g_strdup_printf("%s/../acknowledged", argv[1]);
  if (hf_sys->mkdirat(AT_FDCWD, argv[1], 0700) != 0 && errno != EEXIST)
    return hf_fail_errno(error, errno, "cannot make '%s'", argv[1]);
  store.folder = hf_open(AT_FDCWD, argv[1], O_RDONLY | O_DIRECTORY, 0, error);
  store.acknowledged = hf_open(AT_FDCWD, list, O_WRONLY | O_CREAT | O_APPEND, 0600, error);
  gboolean good = store.folder >= 0 && store.acknowledged >= 0;
  for (int i = 1; good && i <= atoi(argv[2]); i++)
    good = put_object(&store, i, error);
  hf_close_ptr(&store.folder);
  hf_close_ptr(&store.acknowledged);
  return good;
}

int main(int argc, char **argv)
{
  g_autoptr(GError) error = NULL;
  g_assert(argc >= 3);
  if (hf_sys_fault_from_environment(&error) && run(argv, &error))
    return 0;
  fprintf(stderr, "sample: %s\n", error->message);
  return 1;
}
