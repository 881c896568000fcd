/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/buffer.h"

#include <string.h>

#include "base/error.h"

gboolean hf_buffer_reserve(HfBuffer *buffer, gsize capacity, GError **error)
{
  if (capacity <= buffer->capacity)
    return TRUE;
  guint8 *data = g_try_realloc(buffer->data, capacity);
  if (data == NULL)
    return hf_fail(error, HF_ERROR_FAILED, "out of memory: cannot have a buffer of %zu bytes", capacity);
  buffer->data = data;
  buffer->capacity = capacity;
  return TRUE;
}

gboolean hf_buffer_resize(HfBuffer *buffer, gsize length, GError **error)
{
  if (length > buffer->capacity) {
    /* Half as much again, so that many small appends cost linear time. */
    gsize grown = buffer->capacity + buffer->capacity / 2;
    if (!hf_buffer_reserve(buffer, MAX(grown, length), error))
      return FALSE;
  }
  buffer->length = length;
  return TRUE;
}

gboolean hf_buffer_append(HfBuffer *buffer, const void *bytes, gsize length, GError **error)
{
  gsize old = buffer->length, total;
  if (!g_size_checked_add(&total, old, length))
    return hf_fail(error, HF_ERROR_FAILED, "out of memory: a buffer cannot grow by %zu bytes", length);
  if (!hf_buffer_resize(buffer, total, error))
    return FALSE;
  if (length > 0)
    memcpy(buffer->data + old, bytes, length);
  return TRUE;
}

void hf_buffer_clear(HfBuffer *buffer)
{
  g_free(buffer->data);
  *buffer = (HfBuffer)HF_BUFFER_INIT;
}

void hf_buffer_wipe(HfBuffer *buffer)
{
  if (buffer->data != NULL)
    explicit_bzero(buffer->data, buffer->capacity);
  hf_buffer_clear(buffer);
}

gboolean hf_bytes_all_zero(const void *bytes, gsize length)
{
  const guint8 *p = bytes;
  gsize head = MIN(length, 16);
  for (gsize i = 0; i < head; i++)
    if (p[i] != 0)
      return FALSE;
  /* The first 16 bytes are zero; so is the rest when each byte equals the one 16 before it. memcmp is the fastest
   * loop the machine has. */
  return memcmp(p + head, p, length - head) == 0;
}

char *hf_format_size(guint64 bytes)
{
  static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
  guint unit = 0;
  double value = (double)bytes;
  /* 1023.95 would be shown as "1024.0": go up before that. */
  while (unit < G_N_ELEMENTS(units) - 1 && value >= (unit == 0 ? 1024.0 : 1023.95)) {
    value /= 1024.0;
    unit++;
  }
  if (unit == 0)
    return g_strdup_printf("%" G_GUINT64_FORMAT " B", bytes);
  char number[G_ASCII_DTOSTR_BUF_SIZE];
  g_ascii_formatd(number, sizeof number, "%.1f", value);
  return g_strdup_printf("%s %s", number, units[unit]);
}

/* Reads the digits at *text and moves past them. FALSE when there are none or the number is over 64 bits. */
static gboolean read_digits(const char **text, guint64 *value)
{
  const char *p = *text;
  guint64 sum = 0;
  for (; g_ascii_isdigit(*p); p++)
    if (!g_uint64_checked_mul(&sum, sum, 10) || !g_uint64_checked_add(&sum, sum, (guint64)(*p - '0')))
      return FALSE;
  gboolean found = p > *text;
  *text = p;
  *value = sum;
  return found;
}

/* The shift for a unit: 0 for "" and "B", 10 for "K" and "KiB", ...; -1 when it is none. */
static int unit_shift(const char *unit)
{
  static const char letters[] = "KMGTPE";
  if (*unit == '\0' || g_ascii_strcasecmp(unit, "B") == 0)
    return 0;
  const char *letter = strchr(letters, g_ascii_toupper(*unit));
  if (letter == NULL || (unit[1] != '\0' && g_ascii_strcasecmp(unit + 1, "iB") != 0))
    return -1;
  return 10 * (int)(letter - letters + 1);
}

/* value = whole.fraction << shift, where fraction is `digits` decimal digits. FALSE when over 64 bits. */
static gboolean scale(guint64 whole, const char *fraction, gsize digits, int shift, guint64 *value)
{
  guint64 sum, part = 0, weight = G_GUINT64_CONSTANT(1) << shift;
  if (!g_uint64_checked_mul(&sum, whole, weight))
    return FALSE;
  guint64 divisor = 1;
  for (gsize i = 0; i < MIN(digits, 9); i++) {
    part = part * 10 + (guint64)(fraction[i] - '0');
    divisor *= 10;
  }
  /* part < divisor <= 10^9, so both products stay below 2^30 * weight / divisor + 2^60. */
  guint64 more = part * (weight / divisor) + part * (weight % divisor) / divisor;
  return g_uint64_checked_add(value, sum, more);
}

gboolean hf_parse_size(const char *name, const char *text, guint64 low, guint64 high, guint64 *value, GError **error)
{
  const char *p = text, *fraction = NULL;
  gsize digits = 0;
  guint64 whole, parsed;
  gboolean valid = read_digits(&p, &whole);
  if (valid && *p == '.') {
    fraction = ++p;
    while (g_ascii_isdigit(*p))
      p++;
    digits = (gsize)(p - fraction);
    valid = digits > 0;
  }
  int shift = valid ? unit_shift(p) : -1;
  if (shift < 0 || (fraction != NULL && shift == 0))
    return hf_fail(error, HF_ERROR_USAGE, "'%s' is not a size for '%s'; write a number with K, M, G or T", text, name);
  if (!scale(whole, fraction, digits, shift, &parsed) || parsed < low || parsed > high) {
    g_autofree char *from = hf_format_size(low), *to = hf_format_size(high);
    return hf_fail(error, HF_ERROR_USAGE, "'%s' is out of range for '%s'; it must be %s to %s", text, name, from, to);
  }
  *value = parsed;
  return TRUE;
}

gboolean hf_parse_number(const char *name, const char *text, guint64 low, guint64 high, guint64 *value, GError **error)
{
  const char *p = text;
  guint64 parsed = 0;
  gboolean digits_only = *text != '\0' && text[strspn(text, "0123456789")] == '\0';
  if (!digits_only)
    return hf_fail(error, HF_ERROR_USAGE, "'%s' is not a number for '%s'", text, name);
  if (!read_digits(&p, &parsed) || parsed < low || parsed > high)
    return hf_fail(error, HF_ERROR_USAGE, "'%s' is out of range for '%s'; it must be %" G_GUINT64_FORMAT " to %"
                   G_GUINT64_FORMAT, text, name, low, high);
  *value = parsed;
  return TRUE;
}

char *hf_hex(const guint8 *bytes, gsize length)
{
  static const char digits[] = "0123456789abcdef";
  char *text = g_malloc(2 * length + 1);
  for (gsize i = 0; i < length; i++) {
    text[2 * i] = digits[bytes[i] >> 4];
    text[2 * i + 1] = digits[bytes[i] & 15];
  }
  text[2 * length] = '\0';
  return text;
}

gboolean hf_unhex(const char *text, guint8 *bytes, gsize length)
{
  if (strlen(text) != 2 * length)
    return FALSE;
  for (gsize i = 0; i < length; i++) {
    int high = g_ascii_xdigit_value(text[2 * i]), low = g_ascii_xdigit_value(text[2 * i + 1]);
    if (high < 0 || low < 0)
      return FALSE;
    bytes[i] = (guint8)(high << 4 | low);
  }
  return TRUE;
}

/* Line and paragraph separators count as printable for GLib, yet break a line on some terminals. */
static gboolean is_shown(gunichar c)
{
  return g_unichar_isprint(c) && c != 0x2028 && c != 0x2029;
}

static char *printable(const char *name, gssize length, gboolean lines)
{
  const char *p = name, *end = name + (length < 0 ? (gssize)strlen(name) : length);
  GString *shown = g_string_sized_new((gsize)(end - p));
  while (p < end) {
    gunichar c = *p == '\0' ? 0 : g_utf8_get_char_validated(p, end - p);
    gboolean valid = c < 0x110000;
    gssize size = valid ? g_utf8_skip[(guint8)*p] : 1;
    if (valid && (is_shown(c) || (lines && (c == '\n' || c == '\t'))))
      g_string_append_len(shown, p, size);
    else
      for (gssize i = 0; i < size; i++)
        g_string_append_printf(shown, "\\x%02x", (guint8)p[i]);
    p += size;
  }
  return g_string_free(shown, FALSE);
}

char *hf_printable(const char *name, gssize length)
{
  return printable(name, length, FALSE);
}

char *hf_printable_lines(const char *text)
{
  return printable(text, -1, TRUE);
}
