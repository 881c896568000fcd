/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "api/check.h"

#include <string.h>

#include "base/error.h"

static const HfApiMember colour_members[] = { { "red", { "Rot", "Rot", "Red", "Red" } },
                                              { "blue", { "Blau", "Blau", "Blue", "Blue" } } };
static const HfApiEnum colours = { "EColour", 2, colour_members };

static const HfApiField inner_fields[] = { { "deep", HF_API_INT, FALSE, TRUE, NULL, NULL, 1, 9 } };
static const HfApiSchema inner = { "Inner", 1, inner_fields, NULL, 0, NULL };

static const HfApiField red_fields[] = { { "heat", HF_API_DOUBLE, FALSE, TRUE, NULL, NULL, 0, 0 } };
static const HfApiSchema red = { "Red", 1, red_fields, NULL, 0, NULL };
static const HfApiCase cases[] = { { "red", &red } };

static const HfApiField fields[] = {
  { "colour", HF_API_ENUM, FALSE, TRUE, &colours, NULL, 0, 0 },
  { "text", HF_API_TEXT, FALSE, FALSE, NULL, NULL, 2, 4 },
  { "id", HF_API_UUID, FALSE, FALSE, NULL, NULL, 0, 0 },
  { "flag", HF_API_BOOL, FALSE, FALSE, NULL, NULL, 0, 0 },
  { "time", HF_API_TIME, FALSE, FALSE, NULL, NULL, 0, 0 },
  { "clock", HF_API_CLOCK, FALSE, FALSE, NULL, NULL, 0, 0 },
  { "any", HF_API_OBJECT, FALSE, FALSE, NULL, NULL, 0, 0 },
  { "inner", HF_API_OBJECT, FALSE, FALSE, NULL, &inner, 0, 0 },
  { "list", HF_API_OBJECT, TRUE, FALSE, NULL, &inner, 0, 0 },
};
static const HfApiSchema schema = { "Test", G_N_ELEMENTS(fields), fields, "colour", 1, cases };

static json_t *check(const char *text, GError **error)
{
  json_t *body = hf_api_body_parse(text, strlen(text), FALSE, error);
  json_t *checked = body == NULL ? NULL : hf_api_check(&schema, body, error);
  hf_api_body_free(body);
  return checked;
}

static void good(const char *text, const char *wanted)
{
  GError *error = NULL;
  json_t *checked = check(text, &error);
  g_assert_no_error(error);
  char *dumped = json_dumps(checked, JSON_COMPACT | JSON_SORT_KEYS);
  g_assert_cmpstr(dumped, ==, wanted);
  free(dumped);
  hf_api_body_free(checked);
}

static void bad(const char *text, int code, const char *words)
{
  g_autoptr(GError) error = NULL;
  g_assert_null(check(text, &error));
  g_assert_error(error, HF_ERROR, code);
  if (strstr(error->message, words) == NULL)
    g_error("'%s' does not say '%s'", error->message, words);
}

static void test_sloppy(void)
{
  good("{\"colour\":\"red\",\"heat\":1}", "{\"colour\":\"red\",\"heat\":1.0}");
  good("{\"COLOUR\":\"rot\",\"heat\":\"1.5\",\"text\":null,\"id\":\"\",\"unknown\":[null]}",
       "{\"colour\":\"red\",\"heat\":1.5}");
  good("{\"colour\":\"RED\",\"heat\":0,\"flag\":\"True\",\"text\":1234}",
       "{\"colour\":\"red\",\"flag\":true,\"heat\":0.0,\"text\":\"1234\"}");
  good("{\"colour\":\"Red\",\"heat\":0,\"flag\":0,\"clock\":\"22:00\",\"time\":\"1970-01-01T00:00:01Z\"}",
       "{\"clock\":\"22:00\",\"colour\":\"red\",\"flag\":false,\"heat\":0.0,\"time\":1000000}");
  good("{\"colour\":\"Red\",\"heat\":0,\"id\":\"{01234567-89AB-CDEF-0123-456789ABCDEF}\",\"any\":{\"x\":[1]}}",
       "{\"any\":{\"x\":[1]},\"colour\":\"red\",\"heat\":0.0,\"id\":\"01234567-89ab-cdef-0123-456789abcdef\"}");
  good("{\"colour\":\"Red\",\"heat\":0,\"inner\":{\"deep\":\"5\"},\"list\":[{\"deep\":1.0},{\"deep\":9}]}",
       "{\"colour\":\"red\",\"heat\":0.0,\"inner\":{\"deep\":5},\"list\":[{\"deep\":1},{\"deep\":9}]}");
}

static void test_refused(void)
{
  bad("{}", HF_ERROR_USAGE, "'colour' is missing");
  bad("[]", HF_ERROR_USAGE, "no JSON object");
  bad("{", HF_ERROR_USAGE, "no JSON");
  bad("{\"colour\":\"green\"}", HF_ERROR_USAGE, "'green', which is no EColour");
  bad("{\"colour\":5}", HF_ERROR_USAGE, "a known word");
  bad("{\"colour\":\"blue\"}", HF_ERROR_UNSUPPORTED, "'colour' 'blue' is not supported");
  bad("{\"colour\":\"red\"}", HF_ERROR_USAGE, "'heat' is missing");
  bad("{\"colour\":\"red\",\"heat\":\"1x\"}", HF_ERROR_USAGE, "a number");
  bad("{\"colour\":\"red\",\"heat\":1,\"text\":\"x\"}", HF_ERROR_USAGE, "2 to 4 bytes");
  bad("{\"colour\":\"red\",\"heat\":1,\"text\":\"xxxxx\"}", HF_ERROR_USAGE, "2 to 4 bytes");
  bad("{\"colour\":\"red\",\"heat\":1,\"text\":[]}", HF_ERROR_USAGE, "a text");
  bad("{\"colour\":\"red\",\"heat\":1,\"id\":\"x\"}", HF_ERROR_USAGE, "a UUID");
  bad("{\"colour\":\"red\",\"heat\":1,\"flag\":2}", HF_ERROR_USAGE, "true or false");
  bad("{\"colour\":\"red\",\"heat\":1,\"time\":\"soon\"}", HF_ERROR_USAGE, "RFC 3339");
  bad("{\"colour\":\"red\",\"heat\":1,\"clock\":\"25:00\"}", HF_ERROR_USAGE, "HH:MM");
  bad("{\"colour\":\"red\",\"heat\":1,\"any\":5}", HF_ERROR_USAGE, "an object");
  bad("{\"colour\":\"red\",\"heat\":1,\"inner\":5}", HF_ERROR_USAGE, "'inner' must be an object");
  bad("{\"colour\":\"red\",\"heat\":1,\"inner\":{\"deep\":1.5}}", HF_ERROR_USAGE, "'inner.deep' must be a whole");
  bad("{\"colour\":\"red\",\"heat\":1,\"list\":{}}", HF_ERROR_USAGE, "a list");
  bad("{\"colour\":\"red\",\"heat\":1,\"list\":[{\"deep\":1},{\"deep\":0}]}", HF_ERROR_USAGE, "'list[1].deep' must be 1 to 9");
}

static void test_forms(void)
{
  g_autoptr(GError) error = NULL;
  json_t *body = hf_api_body_parse("a=1&b=x+y", 9, TRUE, &error);
  g_assert_cmpstr(hf_api_text_at(body, "b"), ==, "x y");
  hf_api_body_free(body);
  g_assert_null(hf_api_body_parse("a=\xff", 3, TRUE, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_USAGE);
  body = hf_api_body_parse(" \r\n", 3, FALSE, NULL);
  g_assert_cmpuint(json_object_size(body), ==, 0);
  hf_api_body_free(body);
  body = hf_api_body_parse("\xef\xbb\xbf{}", 5, FALSE, NULL);
  g_assert_true(json_is_object(body));
  hf_api_body_free(body);
  hf_api_body_free(NULL);
}

static void test_paths(void)
{
  json_t *body = json_loads("{\"a\":{\"b\":{\"c\":\"x\",\"n\":5,\"t\":true}}}", 0, NULL);
  g_assert_cmpstr(hf_api_text_at(body, "a.b.c"), ==, "x");
  g_assert_null(hf_api_text_at(body, "a.none.c"));
  g_assert_null(hf_api_text_at(body, "a.b.n"));
  g_assert_cmpint(hf_api_int_at(body, "a.b.n", 1), ==, 5);
  g_assert_cmpint(hf_api_int_at(body, "a.b.c", 1), ==, 1);
  g_assert_true(hf_api_bool_at(body, "a.b.t", FALSE));
  g_assert_true(hf_api_bool_at(NULL, "a", TRUE));
  json_decref(body);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/check/sloppy", test_sloppy);
  g_test_add_func("/check/refused", test_refused);
  g_test_add_func("/check/forms", test_forms);
  g_test_add_func("/check/paths", test_paths);
  return g_test_run();
}
