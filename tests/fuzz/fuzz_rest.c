/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A request as text ("METHOD TARGET", a new line, then the body) through everything of the interface that reads what
 * comes from outside before an account is known, and through the check of the body that follows. What was accepted holds
 * to the promises of the headers. */
#include <string.h>

#include "api/check.h"
#include "api/query.h"
#include "api/value.h"
#include "fuzz.h"

static void no_nulls(json_t *value)
{
  const char *key;
  json_t *inner;
  size_t index;
  g_assert_false(json_is_null(value));
  if (json_is_object(value)) {
    json_object_foreach(value, key, inner)
    {
      no_nulls(inner);
    }
  } else if (json_is_array(value)) {
    json_array_foreach(value, index, inner)
    {
      no_nulls(inner);
    }
  }
}

static void try_value(const char *text)
{
  gint64 time, again;
  char id[37], shown[HF_API_TIME_BYTES], once_more[HF_API_TIME_BYTES];
  if (hf_api_uuid_parse(text, id))
    g_assert_true(strlen(id) == 36 && hf_api_uuid_parse(id, id));
  if (hf_api_time_parse(text, &time)) {
    hf_api_time_text(time, shown);
    g_assert_true(hf_api_time_parse(shown, &again));
    hf_api_time_text(again, once_more);
    g_assert_cmpstr(once_more, ==, shown);
  }
  hf_api_clock_valid(text);
}

static void try_query(const char *text, HfApiQueryKind kind)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GPtrArray) pairs = hf_api_query_parse(text, strlen(text), kind, &error);
  g_assert_true((pairs == NULL) == hf_error_is(error, HF_ERROR_USAGE));
  for (guint i = 0; pairs != NULL && i < pairs->len; i++) {
    const HfApiPair *pair = pairs->pdata[i];
    g_assert_true(g_utf8_validate(pair->name, -1, NULL) && g_utf8_validate(pair->value, -1, NULL));
    g_assert_nonnull(hf_api_query_get(pairs, pair->name));
    try_value(pair->value);
  }
}

static void try_body(const HfApiSchema *schema, const char *bytes, gsize length, gboolean form)
{
  g_autoptr(GError) error = NULL;
  json_t *body = hf_api_body_parse(bytes, length, form, &error);
  g_assert_true((body == NULL) == hf_error_is(error, HF_ERROR_USAGE));
  json_t *checked = body == NULL ? NULL : hf_api_check(schema, body, &error);
  g_assert_true(checked != NULL || hf_error_is(error, HF_ERROR_USAGE) || hf_error_is(error, HF_ERROR_UNSUPPORTED));
  g_assert_true(error == NULL || g_utf8_validate(error->message, -1, NULL));
  if (checked != NULL)
    no_nulls(checked);
  hf_api_body_free(body);
  hf_api_body_free(checked);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  g_autofree char *text = g_strndup((const char *)data, size);
  char *end = strchr(text, '\n');
  const char *body = end == NULL ? "" : (const char *)data + (end - text) + 1;
  gsize length = end == NULL ? 0 : size - (gsize)(body - (const char *)data);
  if (end != NULL)
    *end = '\0';
  char *target = strchr(text, ' ');
  if (target == NULL)
    return 0;
  *target++ = '\0';
  char *query = strchr(target, '?');
  if (query != NULL)
    *query++ = '\0';
  try_query(query != NULL ? query : "", HF_API_QUERY_URL);
  try_query(query != NULL ? query : "", HF_API_QUERY_FORM);
  g_autofree char *allowed = NULL;
  g_auto(HfApiPath) path = { 0 };
  if (!hf_api_path_parse(target, &path))
    return 0;
  const HfApiRoute *route = hf_api_route_find(text, &path, &allowed);
  g_assert_true(route == NULL || allowed == NULL);
  if (route != NULL && route->body != NULL)
    try_body(route->body, body, length, route->form);
  return 0;
}
