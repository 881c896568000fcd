/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/secretfile.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "base/sys.h"
#include "crypto/crypto.h"

gboolean hf_secret_file_create(HfSecretFile *file, const char *path, GError **error)
{
  file->fd = hf_open(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL, 0600, error);
  if (file->fd < 0)
    return FALSE;
  file->path = g_strdup(path);
  return TRUE;
}

gboolean hf_secret_file_finish(HfSecretFile *file, const char *text, GError **error)
{
  if (!hf_write_all(file->fd, text, strlen(text), file->path, error))
    return FALSE;
  if (hf_sys->fsync(file->fd) != 0)
    return hf_fail_errno(error, errno, "cannot make '%s' durable", file->path);
  hf_close_ptr(&file->fd);
  g_clear_pointer(&file->path, g_free);
  return TRUE;
}

void hf_secret_file_clear(HfSecretFile *file)
{
  if (file->path != NULL)
    hf_sys->unlinkat(AT_FDCWD, file->path, 0);
  hf_close_ptr(&file->fd);
  g_clear_pointer(&file->path, g_free);
}

void hf_secret_text_clear(char **text)
{
  if (*text != NULL)
    hf_wipe(*text, strlen(*text));
  g_clear_pointer(text, g_free);
}
