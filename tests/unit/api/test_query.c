/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "api/query.h"

#include <string.h>

#include "base/error.h"

static GPtrArray *parse(const char *text, HfApiQueryKind kind)
{
  g_autoptr(GError) error = NULL;
  GPtrArray *pairs = hf_api_query_parse(text, strlen(text), kind, &error);
  g_assert_true((pairs == NULL) == hf_error_is(error, HF_ERROR_USAGE));
  return pairs;
}

static void check(const char *text, HfApiQueryKind kind, const char *name, const char *wanted)
{
  g_autoptr(GPtrArray) pairs = parse(text, kind);
  g_assert_nonnull(pairs);
  g_assert_cmpstr(hf_api_query_get(pairs, name), ==, wanted);
}

static void test_pairs(void)
{
  check("", HF_API_QUERY_URL, "a", NULL);
  check("a=1&b=2&A=3", HF_API_QUERY_URL, "a", "3");
  check("&&a&&", HF_API_QUERY_URL, "a", "");
  check("a=b=c", HF_API_QUERY_URL, "a", "b=c");
  check("a=%C3%A9+x", HF_API_QUERY_URL, "a", "\u00e9 x");
  check("t=2026-11-21T06:47:07+00:00", HF_API_QUERY_URL, "t", "2026-11-21T06:47:07+00:00");
  check("t=2026-11-21T06:47:07+00:00", HF_API_QUERY_FORM, "t", "2026-11-21T06:47:07 00:00");
  check("p=50%", HF_API_QUERY_FORM, "p", "50%");
  check("p=a%zzb%4", HF_API_QUERY_FORM, "p", "a%zzb%4");
  check("p=per%cent", HF_API_QUERY_FORM, "p", "per%cent");
  g_assert_null(parse("p=per%cent", HF_API_QUERY_URL));
  g_assert_null(parse("%00=1", HF_API_QUERY_FORM));
  g_assert_null(parse("a=\xff", HF_API_QUERY_FORM));
  g_autoptr(GString) many = g_string_new(NULL);
  for (guint i = 0; i < HF_API_PAIRS_MAX; i++)
    g_string_append(many, "a=1&");
  check(many->str, HF_API_QUERY_URL, "a", "1");
  g_string_append(many, "a=1");
  g_assert_null(parse(many->str, HF_API_QUERY_URL));
}

static void test_paths(void)
{
  g_auto(HfApiPath) path = { 0 };
  g_assert_true(hf_api_path_parse("//api//v1/x%2fy/", &path));
  g_assert_cmpuint(path.n, ==, 3);
  g_assert_cmpstr(path.segments[2], ==, "x/y");
  hf_api_path_clear(&path);
  g_assert_false(hf_api_path_parse("/api/%00", &path));
  g_assert_cmpuint(path.n, ==, 0);
  g_assert_false(hf_api_path_parse("/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17", &path));
}

static const HfApiRoute *find(const char *method, const char *text, char **allowed)
{
  g_auto(HfApiPath) path = { 0 };
  g_assert_true(hf_api_path_parse(text, &path));
  return hf_api_route_find(method, &path, allowed);
}

static void test_routes(void)
{
  g_autofree char *allowed = NULL;
  g_assert_cmpstr(find("GET", "/API/v1/JOBS/States", &allowed)->operation, ==, "GetAllJobsStates");
  g_assert_cmpstr(find("HEAD", "/api/v1/jobs/anything", &allowed)->operation, ==, "GetJob");
  g_assert_null(find("GET", "/api/v1/none", &allowed));
  g_assert_null(allowed);
  g_assert_null(find("BREW", "/api/v1/jobs/x", &allowed));
  g_assert_cmpstr(allowed, ==, "GET, PUT, DELETE");
}

/* Each route is found by its own path: none hides another. */
static void test_every_route(void)
{
  for (guint i = 0; i < hf_api_n_routes; i++) {
    g_autofree char *allowed = NULL;
    g_assert_true(find(hf_api_routes[i].method, hf_api_routes[i].path, &allowed) == &hf_api_routes[i]);
  }
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/query/pairs", test_pairs);
  g_test_add_func("/query/paths", test_paths);
  g_test_add_func("/query/routes", test_routes);
  g_test_add_func("/query/every-route", test_every_route);
  return g_test_run();
}
