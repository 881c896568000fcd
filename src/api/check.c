/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "api/check.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "api/query.h"
#include "api/value.h"
#include "base/error.h"
#include "crypto/crypto.h"

/* ---- One value. Each gives a new value, or NULL without an error: not of this kind. Texts are copied: the body that
 * they came from is wiped. ---- */

static json_t *as_bool(json_t *value)
{
  if (json_is_boolean(value))
    return json_copy(value);
  if (json_is_integer(value) && (json_integer_value(value) == 0 || json_integer_value(value) == 1))
    return json_boolean(json_integer_value(value));
  const char *text = json_string_value(value);
  if (text != NULL && (g_ascii_strcasecmp(text, "true") == 0 || strcmp(text, "1") == 0))
    return json_true();
  if (text != NULL && (g_ascii_strcasecmp(text, "false") == 0 || strcmp(text, "0") == 0))
    return json_false();
  return NULL;
}

static json_t *as_int(json_t *value)
{
  if (json_is_integer(value))
    return json_copy(value);
  double number = json_real_value(value);
  if (json_is_real(value) && fabs(number) < 9e15 && floor(number) == number)
    return json_integer((json_int_t)number);
  gint64 parsed;
  const char *text = json_string_value(value);
  if (text != NULL && g_ascii_string_to_signed(text, 10, G_MININT64, G_MAXINT64, &parsed, NULL))
    return json_integer(parsed);
  return NULL;
}

static json_t *as_double(json_t *value)
{
  if (json_is_number(value))
    return json_real(json_number_value(value));
  const char *text = json_string_value(value);
  char *end;
  if (text == NULL || *text == '\0')
    return NULL;
  double number = g_ascii_strtod(text, &end);
  return *end == '\0' && isfinite(number) ? json_real(number) : NULL;
}

static json_t *as_text(json_t *value)
{
  if (json_is_string(value))
    return json_copy(value);
  if (json_is_integer(value)) {
    g_autofree char *digits = g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
    return json_string(digits);
  }
  return NULL;
}

static json_t *as_uuid(json_t *value)
{
  char id[37];
  const char *text = json_string_value(value);
  return text != NULL && hf_api_uuid_parse(text, id) ? json_string(id) : NULL;
}

static json_t *as_time(json_t *value)
{
  gint64 time;
  const char *text = json_string_value(value);
  return text != NULL && hf_api_time_parse(text, &time) ? json_integer(time) : NULL;
}

static json_t *as_clock(json_t *value)
{
  const char *text = json_string_value(value);
  return text != NULL && hf_api_clock_valid(text) ? json_copy(value) : NULL;
}

static json_t *as_member(const HfApiEnum *members, json_t *value)
{
  const char *text = json_string_value(value);
  const char *stored = text == NULL ? NULL : hf_api_enum_stored(members, text);
  return stored == NULL ? NULL : json_string(stored);
}

static json_t *as_kind(const HfApiField *field, json_t *value)
{
  switch (field->kind) {
  case HF_API_BOOL:
    return as_bool(value);
  case HF_API_INT:
    return as_int(value);
  case HF_API_DOUBLE:
    return as_double(value);
  case HF_API_UUID:
    return as_uuid(value);
  case HF_API_TIME:
    return as_time(value);
  case HF_API_CLOCK:
    return as_clock(value);
  case HF_API_ENUM:
    return as_member(field->members, value);
  case HF_API_OBJECT:
    return json_is_object(value) ? json_deep_copy(value) : NULL;
  default:
    return as_text(value);
  }
}

static const char *kind_name(const HfApiField *field)
{
  static const char *const names[] = { "a text", "a UUID", "true or false", "a whole number", "a number",
                                       "a time of RFC 3339", "a time of day (HH:MM)", "a known word", "an object",
                                       "a text" };
  return names[field->kind];
}

/* ---- Objects ---- */

/* Where in the body something is wrong: fields from the outermost. */
typedef struct Place {
  const struct Place *outer;
  const char *name;
  gssize index; /* in a list, or -1 */
} Place;

static void place_text(const Place *place, GString *to)
{
  if (place->outer != NULL)
    place_text(place->outer, to);
  if (place->name != NULL)
    g_string_append_printf(to, "%s%s", to->len > 0 ? "." : "", place->name);
  if (place->index >= 0)
    g_string_append_printf(to, "[%" G_GSSIZE_FORMAT "]", place->index);
}

static void G_GNUC_PRINTF(3, 4) refuse(const Place *place, GError **error, const char *format, ...)
{
  g_autoptr(GString) where = g_string_new(NULL);
  place_text(place, where);
  va_list arguments;
  va_start(arguments, format);
  g_autofree char *what = g_strdup_vprintf(format, arguments);
  va_end(arguments);
  hf_fail(error, HF_ERROR_USAGE, "'%s' %s", where->len > 0 ? where->str : "body", what);
}

static gboolean within(const HfApiField *field, json_t *value, const Place *place, GError **error)
{
  if (json_is_string(value)) {
    gsize length = json_string_length(value), most = field->max > 0 ? (gsize)field->max : HF_API_TEXT_MAX;
    if (length > most || length < (gsize)field->min) {
      refuse(place, error, "must have %" G_GINT64_FORMAT " to %" G_GSIZE_FORMAT " bytes", field->min, most);
      return FALSE;
    }
  } else if (json_is_integer(value) && field->kind == HF_API_INT && (field->min != 0 || field->max != 0)) {
    gint64 number = json_integer_value(value);
    if (number < field->min || number > field->max) {
      refuse(place, error, "must be %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT, field->min, field->max);
      return FALSE;
    }
  }
  return TRUE;
}

static json_t *check_object(const HfApiSchema *schema, json_t *body, const Place *place, GError **error);

static json_t *check_value(const HfApiField *field, json_t *value, const Place *place, GError **error)
{
  if (field->schema != NULL) {
    if (json_is_object(value))
      return check_object(field->schema, value, place, error);
    refuse(place, error, "must be an object");
    return NULL;
  }
  g_autofree char *shown = json_is_string(value) ? g_strndup(json_string_value(value), 40) : NULL;
  json_t *result = as_kind(field, value);
  if (result == NULL && field->kind == HF_API_ENUM && shown != NULL)
    refuse(place, error, "is '%s', which is no %s", shown, field->members->name);
  else if (result == NULL)
    refuse(place, error, "must be %s", kind_name(field));
  if (result == NULL || within(field, result, place, error))
    return result;
  json_decref(result);
  return NULL;
}

static json_t *check_array(const HfApiField *field, json_t *value, const Place *outer, GError **error)
{
  if (!json_is_array(value)) {
    refuse(outer, error, "must be a list");
    return NULL;
  }
  json_t *list = json_array(), *item;
  size_t index;
  json_array_foreach(value, index, item)
  {
    Place place = { outer, NULL, (gssize)index };
    json_t *checked = check_value(field, item, &place, error);
    if (checked == NULL) {
      hf_api_body_free(list);
      return NULL;
    }
    json_array_append_new(list, checked);
  }
  return list;
}

static json_t *find(json_t *object, const char *name)
{
  json_t *exact = json_object_get(object, name), *value;
  const char *key;
  if (exact != NULL)
    return exact;
  json_object_foreach(object, key, value)
  {
    if (g_ascii_strcasecmp(key, name) == 0)
      return value;
  }
  return NULL;
}

/* "" and null stand for "none" where something else than text is asked for. */
static gboolean absent(const HfApiField *field, json_t *value)
{
  if (value == NULL || json_is_null(value))
    return TRUE;
  return field->kind != HF_API_TEXT && !field->array && json_is_string(value) && json_string_length(value) == 0;
}

static gboolean check_fields(const HfApiSchema *schema, json_t *body, json_t *to, const Place *outer, GError **error)
{
  for (guint i = 0; i < schema->n_fields; i++) {
    const HfApiField *field = &schema->fields[i];
    json_t *value = find(body, field->name);
    Place place = { outer, field->name, -1 };
    if (absent(field, value)) {
      if (!field->required)
        continue;
      refuse(&place, error, "is missing");
      return FALSE;
    }
    json_t *checked = field->array ? check_array(field, value, &place, error)
                                   : check_value(field, value, &place, error);
    if (checked == NULL)
      return FALSE;
    json_object_set_new(to, field->name, checked);
  }
  return TRUE;
}

static gboolean check_case(const HfApiSchema *schema, json_t *body, json_t *to, const Place *place, GError **error)
{
  const char *value = json_string_value(json_object_get(to, schema->selector));
  for (guint i = 0; value != NULL && i < schema->n_cases; i++)
    if (strcmp(schema->cases[i].value, value) == 0)
      return check_fields(schema->cases[i].schema, body, to, place, error);
  return hf_fail(error, HF_ERROR_UNSUPPORTED, "'%s' '%s' is not supported by this server", schema->selector,
                 value == NULL ? "" : value);
}

static json_t *check_object(const HfApiSchema *schema, json_t *body, const Place *place, GError **error)
{
  json_t *to = json_object();
  if (check_fields(schema, body, to, place, error) &&
      (schema->selector == NULL || check_case(schema, body, to, place, error)))
    return to;
  hf_api_body_free(to);
  return NULL;
}

json_t *hf_api_check(const HfApiSchema *schema, json_t *body, GError **error)
{
  Place place = { NULL, NULL, -1 };
  if (json_is_object(body))
    return check_object(schema, body, &place, error);
  hf_fail(error, HF_ERROR_USAGE, "the body is no JSON object");
  return NULL;
}

/* ---- From bytes, and values by path ---- */

static json_t *form_parse(const char *bytes, gsize length, GError **error)
{
  g_autoptr(GPtrArray) pairs = hf_api_query_parse(bytes, length, HF_API_QUERY_FORM, error);
  if (pairs == NULL)
    return NULL;
  json_t *object = json_object();
  for (guint i = 0; i < pairs->len; i++) {
    const HfApiPair *pair = pairs->pdata[i];
    json_object_set_new(object, pair->name, json_string(pair->value));
  }
  return object;
}

static gboolean only_blanks(const char *bytes, gsize length)
{
  for (gsize i = 0; i < length; i++)
    if (!g_ascii_isspace(bytes[i]))
      return FALSE;
  return TRUE;
}

json_t *hf_api_body_parse(const char *bytes, gsize length, gboolean form, GError **error)
{
  if (only_blanks(bytes, length))
    return json_object();
  if (form)
    return form_parse(bytes, length, error);
  if (length >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0) {
    bytes += 3;
    length -= 3;
  }
  json_error_t problem;
  json_t *body = json_loadb(bytes, length, JSON_DECODE_ANY, &problem);
  if (body == NULL)
    hf_fail(error, HF_ERROR_USAGE, "the body is no JSON: %s in line %d", problem.text, problem.line);
  return body;
}

static void wipe(json_t *value)
{
  const char *key;
  json_t *inner;
  size_t index;
  if (json_is_string(value)) {
    hf_wipe((char *)(gsize)json_string_value(value), json_string_length(value));
  } else if (json_is_object(value)) {
    json_object_foreach(value, key, inner)
    {
      wipe(inner);
    }
  } else if (json_is_array(value)) {
    json_array_foreach(value, index, inner)
    {
      wipe(inner);
    }
  }
}

void hf_api_body_free(json_t *body)
{
  if (body == NULL)
    return;
  wipe(body);
  json_decref(body);
}

json_t *hf_api_at(json_t *object, const char *path)
{
  char name[64];
  while (object != NULL && *path != '\0') {
    gsize length = strcspn(path, ".");
    g_assert(length < sizeof name);
    memcpy(name, path, length);
    name[length] = '\0';
    object = json_object_get(object, name);
    path += length + (path[length] == '.');
  }
  return object;
}

const char *hf_api_text_at(json_t *object, const char *path)
{
  return json_string_value(hf_api_at(object, path));
}

gint64 hf_api_int_at(json_t *object, const char *path, gint64 otherwise)
{
  json_t *value = hf_api_at(object, path);
  return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

gboolean hf_api_bool_at(json_t *object, const char *path, gboolean otherwise)
{
  json_t *value = hf_api_at(object, path);
  return json_is_boolean(value) ? json_boolean_value(value) : otherwise;
}
