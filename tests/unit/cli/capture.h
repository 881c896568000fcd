/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A stream in memory that tests let the code under test write to. */
#pragma once

#include <glib.h>
#include <stdio.h>

typedef struct Capture {
  FILE *stream;
  char *text;
  size_t length;
} Capture;

static inline Capture *capture_new(void)
{
  Capture *capture = g_new0(Capture, 1);
  capture->stream = open_memstream(&capture->text, &capture->length);
  g_assert_nonnull(capture->stream);
  return capture;
}

/* What was written since the last call. Borrowed until the next one. */
static inline const char *capture_text(Capture *capture)
{
  fflush(capture->stream);
  capture->text[capture->length] = '\0';
  rewind(capture->stream);
  return capture->text;
}

static inline void capture_free(Capture *capture)
{
  fclose(capture->stream);
  free(capture->text);
  g_free(capture);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Capture, capture_free)
