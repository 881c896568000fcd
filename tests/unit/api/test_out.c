/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "api/out.h"

#include <jansson.h>
#include <math.h>

static void test_values(void)
{
  HfApiOut out = { .text = g_string_new(NULL) };
  hf_api_out_open(&out, '{');
  hf_api_out_pair(&out, "text", "a\"b\\c\n\x01\u00e9");
  hf_api_out_pair(&out, "absent", NULL);
  hf_api_out_pair_int(&out, "least", G_MININT64);
  hf_api_out_pair_int(&out, "most", G_MAXINT64);
  hf_api_out_pair_bool(&out, "yes", TRUE);
  hf_api_out_pair_time(&out, "time", 0);
  hf_api_out_key(&out, "list");
  hf_api_out_open(&out, '[');
  hf_api_out_double(&out, 0.5);
  hf_api_out_double(&out, NAN);
  hf_api_out_raw(&out, "{}");
  hf_api_out_text(&out, "bad\xff");
  hf_api_out_open(&out, '[');
  hf_api_out_close(&out, ']');
  hf_api_out_bool(&out, FALSE);
  hf_api_out_close(&out, ']');
  hf_api_out_close(&out, '}');
  g_assert_cmpuint(out.depth, ==, 0);
  g_assert_cmpstr(out.text->str, ==,
                  "{\"text\":\"a\\\"b\\\\c\\u000a\\u0001\u00e9\",\"least\":-9223372036854775808,"
                  "\"most\":9223372036854775807,\"yes\":true,\"time\":\"1970-01-01T00:00:00.000000+00:00\","
                  "\"list\":[0.5,0,{},\"bad\ufffd\",[],false]}");
  json_t *parsed = json_loads(out.text->str, 0, NULL);
  g_assert_nonnull(parsed);
  g_assert_cmpstr(json_string_value(json_object_get(parsed, "text")), ==, "a\"b\\c\n\x01\u00e9");
  json_decref(parsed);
  g_string_free(out.text, TRUE);
}

static void check_rate(gint64 bytes, const char *wanted)
{
  HfApiOut out = { .text = g_string_new(NULL) };
  hf_api_out_rate(&out, bytes);
  g_assert_cmpstr(out.text->str, ==, wanted);
  g_string_free(out.text, TRUE);
}

static void test_rates(void)
{
  check_rate(-1, "\"0 bytes/s\"");
  check_rate(1000, "\"1000 bytes/s\"");
  check_rate(3 << 20, "\"3.0 MiB/s\"");
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/out/values", test_values);
  g_test_add_func("/out/rates", test_rates);
  return g_test_run();
}
