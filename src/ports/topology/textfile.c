/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ports/topology/textfile.h"

#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/sys.h"

#define PIECE 65536

static gboolean read_all(int fd, const char *path, gsize limit, HfBuffer *buffer, GError **error)
{
  gsize used = 0;
  for (;;) {
    if (!hf_buffer_resize(buffer, MAX(used * 2, (gsize)PIECE), error))
      return FALSE;
    gssize got = hf_read_full(fd, buffer->data + used, buffer->length - used, path, error);
    if (got < 0)
      return FALSE;
    gboolean ended = (gsize)got < buffer->length - used;
    used += (gsize)got;
    if (used > limit)
      return hf_fail(error, HF_ERROR_INVALID, "'%s' has more than %" G_GSIZE_FORMAT " bytes", path, limit);
    if (ended)
      return hf_buffer_resize(buffer, used, error);
  }
}

gboolean hf_text_load(const char *path, gsize limit, char **text, gsize *length, GError **error)
{
  g_auto(HfBuffer) buffer = HF_BUFFER_INIT;
  gboolean standard = strcmp(path, "-") == 0;
  hf_autofd int fd = standard ? dup(STDIN_FILENO) : hf_open(AT_FDCWD, path, O_RDONLY, 0, error);
  if (fd < 0 && standard)
    return hf_fail_errno(error, errno, "cannot read standard input");
  if (fd < 0 || !read_all(fd, path, limit, &buffer, error))
    return FALSE;
  *length = buffer.length;
  *text = g_malloc(buffer.length + 1);
  memcpy(*text, buffer.data, buffer.length);
  (*text)[buffer.length] = '\0';
  return TRUE;
}
