/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "loop.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define TRIES 20 /* another test may take the free one first */

static gboolean configure(HfLoop *loop, int number, int file, guint sector_size)
{
  struct loop_config config = { .fd = (guint32)file, .block_size = sector_size };
  loop->device = g_strdup_printf("/dev/loop%d", number);
  loop->fd = open(loop->device, O_RDWR | O_CLOEXEC);
  config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
  if (loop->fd >= 0 && ioctl(loop->fd, LOOP_CONFIGURE, &config) == 0)
    return TRUE;
  if (loop->fd >= 0)
    close(loop->fd);
  g_clear_pointer(&loop->device, g_free);
  return FALSE;
}

HfLoop *hf_loop_attach(const char *path, guint sector_size)
{
  HfLoop *loop = g_new0(HfLoop, 1);
  int file = open(path, O_RDWR | O_CLOEXEC), control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
  gboolean good = FALSE;
  for (int i = 0; !good && file >= 0 && control >= 0 && i < TRIES; i++) {
    int number = ioctl(control, LOOP_CTL_GET_FREE);
    good = number >= 0 && configure(loop, number, file, sector_size);
    if (!good)
      g_usleep(20000);
  }
  if (file >= 0)
    close(file);
  if (control >= 0)
    close(control);
  if (!good)
    g_clear_pointer(&loop, g_free);
  return loop;
}

void hf_loop_detach(HfLoop *loop)
{
  if (loop == NULL)
    return;
  close(loop->fd);
  g_free(loop->device);
  g_free(loop);
}

HfLoop *hf_loop_new(const char *path, guint megabytes)
{
  int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  gboolean made = fd >= 0 && ftruncate(fd, (off_t)megabytes << 20) == 0;
  if (fd >= 0)
    close(fd);
  return made ? hf_loop_attach(path, 512) : NULL;
}

gboolean hf_run(const char *const *arguments)
{
  int status;
  return g_spawn_sync(NULL, (char **)arguments, NULL,
                      G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, NULL,
                      NULL, &status, NULL) &&
         g_spawn_check_wait_status(status, NULL);
}
