/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files that a verb makes for secrets: new, readable by their owner only, durable, and gone when the verb fails. */
#pragma once

#include <glib.h>

typedef struct HfSecretFile {
  int fd;
  char *path;
} HfSecretFile;

#define HF_SECRET_FILE_INIT { -1, NULL }

/* Makes the file; HF_ERROR_EXISTS when something is there. */
gboolean hf_secret_file_create(HfSecretFile *file, const char *path, GError **error);
/* Writes `text`, makes it durable and keeps the file. */
gboolean hf_secret_file_finish(HfSecretFile *file, const char *text, GError **error);
/* Removes a file that was not finished. */
void hf_secret_file_clear(HfSecretFile *file);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HfSecretFile, hf_secret_file_clear)

/* A text on the heap that is wiped and freed when it goes out of scope. */
#define hf_autosecrettext __attribute__((cleanup(hf_secret_text_clear)))
void hf_secret_text_clear(char **text);
