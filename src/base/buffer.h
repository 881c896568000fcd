/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Large byte buffers. Small allocations abort when memory is short (GLib's way); every buffer over 64 KiB and every
 * size that comes from outside is tried instead, so that it can fail cleanly.
 */
#pragma once

#include <glib.h>

/* A growable byte buffer. `data` is valid for `length` bytes, room for `capacity`. Zero-initialise to start empty. */
typedef struct HfBuffer {
  guint8 *data;
  gsize length;
  gsize capacity;
} HfBuffer;

#define HF_BUFFER_INIT { NULL, 0, 0 }

/* Makes room for `capacity` bytes in all; contents stay. FALSE with HF_ERROR_FAILED "out of memory". */
gboolean hf_buffer_reserve(HfBuffer *buffer, gsize capacity, GError **error);
/* Sets the length, making room where needed; new bytes are not initialised. */
gboolean hf_buffer_resize(HfBuffer *buffer, gsize length, GError **error);
gboolean hf_buffer_append(HfBuffer *buffer, const void *bytes, gsize length, GError **error);
/* Frees the bytes and makes the buffer empty; legal on an empty one. */
void hf_buffer_clear(HfBuffer *buffer);
/* As clear, wiping the bytes first. */
void hf_buffer_wipe(HfBuffer *buffer);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HfBuffer, hf_buffer_clear)

/* TRUE when all bytes are zero; length 0 gives TRUE. As fast as memory allows. */
gboolean hf_bytes_all_zero(const void *bytes, gsize length);

/* "1.5 GiB"; caller frees. */
char *hf_format_size(guint64 bytes);
/* Parses "64", "20M", "1.5GiB" (powers of 1024) within [low, high]; `name` is the option named in the error. */
gboolean hf_parse_size(const char *name, const char *text, guint64 low, guint64 high, guint64 *value, GError **error);
/* Parses a decimal number in [low, high]. */
gboolean hf_parse_number(const char *name, const char *text, guint64 low, guint64 high, guint64 *value, GError **error);

/* "0a1b.." for `length` bytes; caller frees. And back: FALSE unless text is exactly 2*length hex digits. */
char *hf_hex(const guint8 *bytes, gsize length);
gboolean hf_unhex(const char *text, guint8 *bytes, gsize length);
/* A name that need not be UTF-8, made printable: bytes outside printable UTF-8 become \xNN; caller frees. */
char *hf_printable(const char *name, gssize length);
/* The same for text that may have several lines and columns: newlines and tabs stay. */
char *hf_printable_lines(const char *text);
