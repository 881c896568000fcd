/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>

/* A list of the regular files of a tree, in the order in which a backup would read them. */

typedef struct {
  char *path;  /* relative to the root; owned by the list */
  guint64 size;  /* bytes */
} BenchFile;

typedef struct {
  int root;  /* open directory */
  GArray *list;  /* of BenchFile: files of a directory by name, before its sub-directories; empty files left out */
} BenchFiles;

/* Walks `path` (a directory, or one regular file). Returns NULL with errno set when anything cannot be read. */
BenchFiles *bench_files_new(const char *path);
void bench_files_free(BenchFiles *files);
