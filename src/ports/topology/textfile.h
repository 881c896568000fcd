/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whole text files of bounded size. */
#pragma once

#include <glib.h>

/* Reads a file ("-": standard input) of at most `limit` bytes; a NUL follows the `length` bytes. HF_ERROR_INVALID when
 * there is more. Caller frees. */
gboolean hf_text_load(const char *path, gsize limit, char **text, gsize *length, GError **error);
