/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "api/query.h"

#include <string.h>

#include "base/error.h"
#include "crypto/crypto.h"

static void pair_free(gpointer data)
{
  HfApiPair *pair = data;
  hf_wipe(pair->value, strlen(pair->value));
  g_free(pair->value);
  g_free(pair->name);
  g_free(pair);
}

/* Decodes %XX, and '+' as `plus` says. NULL: a zero byte, or bytes that are no UTF-8. */
static char *decode(const char *text, gsize length, char plus)
{
  char *result = g_malloc(length + 1), *to = result;
  for (gsize i = 0; i < length; i++) {
    int high = text[i] == '%' && i + 2 < length ? g_ascii_xdigit_value(text[i + 1]) : -1;
    int low = high >= 0 ? g_ascii_xdigit_value(text[i + 2]) : -1;
    if (low >= 0) {
      *to++ = (char)(high << 4 | low);
      i += 2;
    } else {
      *to++ = text[i] == '+' ? plus : text[i];
    }
  }
  *to = '\0';
  if (memchr(result, '\0', (gsize)(to - result)) == NULL && g_utf8_validate(result, to - result, NULL))
    return result;
  hf_wipe(result, length);
  g_free(result);
  return NULL;
}

/* Clients send passwords in forms as they are: where escapes make no text, there were none. */
static char *decode_value(const char *text, gsize length, char plus, HfApiQueryKind kind)
{
  char *result = decode(text, length, plus);
  if (result != NULL || kind != HF_API_QUERY_FORM || memchr(text, '\0', length) != NULL ||
      !g_utf8_validate(text, (gssize)length, NULL))
    return result;
  return g_strndup(text, length);
}

/* "...T06:47:07+00:00": a sign that should have been escaped. */
static char plus_of(const char *text, gsize length, HfApiQueryKind kind)
{
  const char *plus = kind == HF_API_QUERY_URL ? memchr(text, '+', length) : NULL;
  gboolean time = plus != NULL && plus - text >= 16 && (text[10] == 'T' || text[10] == 't');
  return time ? '+' : ' ';
}

/* "name=value" up to `stop`. */
static gboolean take_pair(GPtrArray *pairs, const char *text, const char *stop, HfApiQueryKind kind)
{
  const char *equal = memchr(text, '=', (gsize)(stop - text));
  const char *name_end = equal == NULL ? stop : equal, *value = equal == NULL ? stop : equal + 1;
  gsize length = (gsize)(stop - value);
  g_autofree char *name = decode(text, (gsize)(name_end - text), ' ');
  char *decoded = name == NULL ? NULL : decode_value(value, length, plus_of(value, length, kind), kind);
  if (decoded == NULL)
    return FALSE;
  HfApiPair *pair = g_new(HfApiPair, 1);
  pair->name = g_steal_pointer(&name);
  pair->value = decoded;
  g_ptr_array_add(pairs, pair);
  return TRUE;
}

GPtrArray *hf_api_query_parse(const char *text, gsize length, HfApiQueryKind kind, GError **error)
{
  g_autoptr(GPtrArray) pairs = g_ptr_array_new_with_free_func(pair_free);
  const char *end = text + length;
  while (text < end) {
    const char *amp = memchr(text, '&', (gsize)(end - text));
    const char *stop = amp == NULL ? end : amp;
    if (stop > text && (pairs->len >= HF_API_PAIRS_MAX || !take_pair(pairs, text, stop, kind))) {
      hf_fail(error, HF_ERROR_USAGE, "parameters are no UTF-8 text, or more than %d", HF_API_PAIRS_MAX);
      return NULL;
    }
    text = stop + 1;
  }
  return g_steal_pointer(&pairs);
}

const char *hf_api_query_get(const GPtrArray *pairs, const char *name)
{
  for (guint i = pairs->len; i-- > 0;) {
    const HfApiPair *pair = pairs->pdata[i];
    if (g_ascii_strcasecmp(pair->name, name) == 0)
      return pair->value;
  }
  return NULL;
}

gboolean hf_api_path_parse(const char *text, HfApiPath *path)
{
  path->n = 0;
  while (*text != '\0') {
    gsize length = strcspn(text, "/");
    if (length > 0) {
      char *segment = path->n < HF_API_SEGMENTS_MAX ? decode(text, length, '+') : NULL;
      if (segment == NULL) {
        hf_api_path_clear(path);
        return FALSE;
      }
      path->segments[path->n++] = segment;
    }
    text += length + (text[length] == '/');
  }
  return TRUE;
}

void hf_api_path_clear(HfApiPath *path)
{
  for (guint i = 0; i < path->n; i++)
    g_free(path->segments[i]);
  path->n = 0;
}

static gboolean fits(const HfApiRoute *route, const HfApiPath *path)
{
  if (route->n_segments != path->n)
    return FALSE;
  for (guint i = 0; i < path->n; i++)
    if (route->segments[i] != NULL && g_ascii_strcasecmp(route->segments[i], path->segments[i]) != 0)
      return FALSE;
  return TRUE;
}

const HfApiRoute *hf_api_route_find(const char *method, const HfApiPath *path, char **allowed)
{
  const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;
  g_autoptr(GString) methods = g_string_new(NULL);
  *allowed = NULL;
  for (guint i = 0; i < hf_api_n_routes; i++) {
    const HfApiRoute *route = &hf_api_routes[i];
    if (!fits(route, path))
      continue;
    if (strcmp(route->method, wanted) == 0)
      return route;
    g_string_append_printf(methods, "%s%s", methods->len > 0 ? ", " : "", route->method);
  }
  if (methods->len > 0)
    *allowed = g_string_free(g_steal_pointer(&methods), FALSE);
  return NULL;
}
