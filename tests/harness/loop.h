/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Loop devices for tests: block devices that stand for a file. For root only. */
#pragma once

#include <glib.h>

typedef struct HfLoop {
  char *device; /* "/dev/loop7" */
  int fd;       /* open for writing; keep it: the kernel takes the device back when the last descriptor is closed */
} HfLoop;

/* A device over the file `path`, with sectors of 512 or 4096 bytes. NULL when the machine gives none. */
HfLoop *hf_loop_attach(const char *path, guint sector_size);
/* Closes and frees; NULL is allowed. Whatever still uses the device keeps it. */
void hf_loop_detach(HfLoop *loop);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfLoop, hf_loop_detach)

/* Makes a file of `megabytes`, and a device over it. */
HfLoop *hf_loop_new(const char *path, guint megabytes);

/* Runs a command, silently; TRUE when it ended well. */
gboolean hf_run(const char *const *arguments);
