/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names, and ranges of names: "node[1-500]". */
#include <string.h>

#include "base/buffer.h"
#include "ports/topology/read.h"

#define MAX_DIGITS 9

void hf_range_clear(HfRange *range)
{
  g_free(range->prefix);
  g_free(range->suffix);
  *range = (HfRange){ 0 };
}

char *hf_range_name(const HfRange *range, guint i)
{
  if (!range->numbered)
    return g_strdup(range->prefix);
  return g_strdup_printf("%s%0*u%s", range->prefix, (int)range->width, range->first + i, range->suffix);
}

static gboolean is_name_char(char c)
{
  return g_ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
}

/* Checks the characters of `text`, a part of `word`. */
static gboolean check_chars(const HfMaker *maker, HfWord word, const char *text, gboolean begins, GError **error)
{
  for (const char *at = text; *at != '\0'; at++)
    if (!is_name_char(*at)) {
      g_autofree char *shown = hf_printable(word.text, -1);
      return hf_maker_fail(
        maker, word.place, error,
        "'%s' is no name: names have letters, digits, '.', '_' and '-', and many at once are written "
        "node[1-500]",
        shown);
    }
  if (begins && *text != '\0' && !g_ascii_isalnum(*text))
    return hf_maker_fail(maker, word.place, error, "name '%s' must begin with a letter or a digit", word.text);
  return TRUE;
}

/* "1-500", between `from` and `to`. */
static gboolean parse_numbers(const HfMaker *maker, HfWord word, const char *from, const char *to, HfRange *range,
                              GError **error)
{
  g_autofree char *text = g_strndup(from, (gsize)(to - from));
  char *dash = strchr(text, '-');
  guint64 first, last;
  if (dash != NULL)
    *dash = '\0';
  if (dash == NULL || strlen(text) > MAX_DIGITS || strlen(dash + 1) > MAX_DIGITS ||
      !g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT32, &first, NULL) ||
      !g_ascii_string_to_unsigned(dash + 1, 10, 0, G_MAXUINT32, &last, NULL))
    return hf_maker_fail(maker, word.place, error,
                         "'%s' has no range of numbers in its brackets; write it as node[1-500]", word.text);
  if (last < first)
    return hf_maker_fail(maker, word.place, error, "the range of '%s' runs backwards; write the smaller number first",
                         word.text);
  if (last - first >= HF_TOPOLOGY_MAX_NODES)
    return hf_maker_fail(maker, word.place, error, "'%s' is more than the %u nodes that a topology may have", word.text,
                         HF_TOPOLOGY_MAX_NODES);
  range->numbered = TRUE;
  range->first = (guint)first;
  range->count = (guint)(last - first) + 1;
  range->width = text[0] == '0' ? (guint)strlen(text) : 0;
  return TRUE;
}

gboolean hf_range_parse(const HfMaker *maker, HfWord word, HfRange *range, GError **error)
{
  const char *open = strchr(word.text, '[');
  const char *close = open != NULL ? strchr(open, ']') : NULL;
  *range = (HfRange){ .count = 1 };
  if (close == NULL) {
    range->prefix = g_strdup(word.text);
    range->suffix = g_strdup("");
  } else {
    range->prefix = g_strndup(word.text, (gsize)(open - word.text));
    range->suffix = g_strdup(close + 1);
    if (!parse_numbers(maker, word, open + 1, close, range, error))
      return FALSE;
  }
  if (!check_chars(maker, word, range->prefix, TRUE, error) || !check_chars(maker, word, range->suffix, FALSE, error))
    return FALSE;
  if (strlen(range->prefix) + strlen(range->suffix) + (range->numbered ? MAX_DIGITS : 0) > HF_TOPOLOGY_MAX_NAME)
    return hf_maker_fail(maker, word.place, error, "name '%s' is too long; names have at most %u characters", word.text,
                         HF_TOPOLOGY_MAX_NAME);
  return TRUE;
}
