/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of this driver share. */
#pragma once

#include <sys/stat.h>

#include "source/tree.h"

#define HF_PROC_FD_BYTES 32

/* As openat with O_CLOEXEC, for a path of any length: `flags` count for its last part, symbolic links of all parts
 * before are followed. Returns -1 with errno set. */
int hf_open_long(const char *path, int flags);
/* Opens `name` below `parent`, without touching its atime where allowed; a link is not followed. -1 with errno. */
int hf_open_quietly(int parent, const char *name, int flags);
/* Writes the name under which /proc shows a descriptor: the way to what was opened with O_PATH. */
void hf_proc_fd(int fd, char name[HF_PROC_FD_BYTES]);
