/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The verbs about fleets: ports plan and ports diff. */
#include <glib/gstdio.h>
#include <jansson.h>
#include <string.h>
#include <unistd.h>

#include "capture.h"
#include "cli/cli.h"

/* What a command line prints; what it complains of by `complaint`. Fails unless it ends with `code`. Caller frees. */
static char *run(const char *line, int code, char **complaint)
{
  g_auto(GStrv) words = NULL;
  g_autoptr(Capture) out = capture_new();
  g_autoptr(Capture) err = capture_new();
  HfCancel cancel = { 0 };
  g_assert_true(g_shell_parse_argv(line, NULL, &words, NULL));
  int found = hf_cli_run(words, out->stream, err->stream, &cancel);
  char *text = g_strdup(capture_text(err));
  if (found != code)
    g_error("'%s' ends with %d and not %d: %s", line, found, code, text);
  if (complaint != NULL)
    *complaint = text;
  else
    g_free(text);
  return g_strdup(capture_text(out));
}

static void expect(const char *line, int code, const char *const *parts)
{
  g_autofree char *text = run(line, code, NULL);
  for (; *parts != NULL; parts++)
    if (strstr(text, *parts) == NULL)
      g_error("'%s' prints no '%s' but '%s'", line, *parts, text);
}
#define EXPECT(line, code, ...) expect(line, code, (const char *const[]){ __VA_ARGS__, NULL })

#define BUCKETS EXAMPLES "/object-storage.topology"

/* A topology in a file of its own. Caller unlinks and frees. */
static char *write_file(const char *text)
{
  char *path = g_build_filename(g_get_tmp_dir(), "hf-ports-XXXXXX", NULL);
  int fd = g_mkstemp(path);
  g_assert_cmpint(fd, >=, 0);
  close(fd);
  g_assert_true(g_file_set_contents(path, text, -1, NULL));
  return path;
}

static void test_table(void)
{
  EXPECT("ports plan " BUCKETS, 0, "CONNECTS", "tcp 9000", "m18.10", "*.amazonaws.com (bucket)");
  EXPECT("ports plan --host minio " BUCKETS, 0, "gate1", "tcp 9000");
  EXPECT("ports plan --host console1 " EXAMPLES "/staging.topology", 0, "tcp 2500-3300 (fallback)");
}

static void test_formats(void)
{
  EXPECT("ports plan --format markdown " BUCKETS, 0, "# Ports of Object storage\n", "| from | to |");
  EXPECT("ports plan --format dot " BUCKETS, 0, "digraph ports {");
  EXPECT("ports plan --format svg --host gate1 " BUCKETS, 0, "<svg ", "Object storage: gate1", "</svg>\n");
}

/* Every line is an object; gives how many are of `type`. */
static guint count_lines(const char *text, const char *type)
{
  guint n = 0;
  g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
  for (guint i = 0; lines[i] != NULL && *lines[i] != '\0'; i++) {
    json_error_t error;
    json_t *object = json_loads(lines[i], 0, &error);
    if (object == NULL)
      g_error("'%s': %s", lines[i], error.text);
    n += strcmp(json_string_value(json_object_get(object, "type")), type) == 0 ? 1 : 0;
    json_decref(object);
  }
  return n;
}

static void test_json(void)
{
  g_autofree char *whole = run("ports plan --json " BUCKETS, 0, NULL);
  g_autofree char *same = run("ports plan --format json " BUCKETS, 0, NULL);
  g_assert_cmpstr(whole, ==, same);
  g_assert_cmpuint(count_lines(whole, "flow"), >, 40);
  g_assert_cmpuint(count_lines(whole, "group"), ==, 11);
  g_assert_cmpuint(count_lines(whole, "summary"), ==, 1);
  g_assert_nonnull(strstr(whole, "\"set\":\"*.amazonaws.com\",\"from\":[\"gate2\"],\"to\":[\"bucket\"],\"addresses\":["
                                 "\"52.219.0.0/16\"]"));
  g_autofree char *own = run("ports plan --json --host gate1 " BUCKETS, 0, NULL);
  g_assert_nonnull(
    strstr(own, "\"direction\":\"out\",\"peers\":[\"minio\"],\"addresses\":[\"10.8.2.20\"],\"host_names\":[]"));
  g_assert_cmpuint(count_lines(own, "group"), ==, 0);
  g_autofree char *sites = run("ports plan --json " EXAMPLES "/two-sites.topology", 0, NULL);
  g_assert_nonnull(strstr(sites, "\"site\":\"north\""));
  g_assert_cmpuint(count_lines(sites, "optional"), ==, 0);
  g_autofree char *optional = run("ports plan --json " EXAMPLES "/staging.topology", 0, NULL);
  g_assert_cmpuint(count_lines(optional, "unresolved"), ==, 0);
}

static void test_unresolved(void)
{
  g_autofree char *complaint = NULL;
  g_autofree char *path = write_file("[host p]\nroles = backup-proxy\naddress = 10.0.0.1\n"
                                     "[external n]\nroles = nfs-repository\naddress = 10.0.0.2\nport mountd_port = 1\n"
                                     "[host b]\nroles = backup-server, mount-server\naddress = 10.0.0.3\n"
                                     "[external s]\nroles = signature-server\n");
  g_autofree char *line = g_strdup_printf("ports plan %s", path);
  g_autofree char *text = run(line, 3, &complaint);
  g_assert_nonnull(strstr(text, "unresolved, and closed until the topology says more:\n"));
  g_assert_nonnull(strstr(text, "nobody says which port 'statd_port' of 'n' is; write 'port statd_port = NUMBER in "
                                "[external n]'"));
  g_assert_nonnull(strstr(text, "row m57.5 is optional: 'want = m57.5' opens it"));
  g_assert_nonnull(strstr(complaint, "2 things are unresolved"));
  g_autofree char *json = g_strdup_printf("ports plan --json %s", path);
  g_autofree char *objects = run(json, 3, NULL);
  g_assert_cmpuint(count_lines(objects, "unresolved"), ==, 2);
  g_assert_cmpuint(count_lines(objects, "optional"), ==, 1);
  g_assert_nonnull(strstr(objects, "{\"type\":\"unresolved\",\"cause\":\"no-port\",\"from\":[\"p\"],\"to\":\"n\","
                                   "\"what\":\"statd_port\""));
  g_autofree char *host = g_strdup_printf("ports plan --host b %s", path);
  g_autofree char *clean = run(host, 0, NULL);
  g_assert_null(strstr(clean, "unresolved"));
  g_unlink(path);
}

static void test_refused(void)
{
  g_autofree char *complaint = NULL;
  g_autofree char *path = write_file("[host a]\nroles = bakup-server\n");
  g_autofree char *line = g_strdup_printf("ports plan %s", path);
  g_autofree char *text = run(line, 2, &complaint);
  g_assert_cmpstr(text, ==, "");
  g_assert_nonnull(strstr(complaint, ":2:9: unknown role 'bakup-server'; did you mean 'backup-server'?"));
  g_free(run("ports plan --host nobody " BUCKETS, 1, NULL));
  g_free(run("ports plan /nonexistent", 1, NULL));
  g_autofree char *diff = g_strdup_printf("ports diff %s %s", BUCKETS, path);
  g_free(run(diff, 2, NULL));
  g_unlink(path);
}

static void test_diff(void)
{
  g_autofree char *complaint = NULL;
  g_autofree char *same = run("ports diff " BUCKETS " " BUCKETS, 0, NULL);
  g_assert_cmpstr(same, ==, "0 opened, 0 closed\n");
  g_autofree char *before = write_file("[host p]\nroles = backup-proxy\naddress = 10.0.0.1\n"
                                       "[host b]\nroles = backup-server\naddress = 10.0.0.2\n"
                                       "[host g]\nroles = gateway-server\naddress = 10.0.0.5\n"
                                       "[external s]\nroles = amazon-s3\nnames *.amazonaws.com = 10.1.0.0/16\n");
  g_autofree char *after = write_file("[host q]\nroles = backup-proxy\naddress = 10.0.0.4\n"
                                      "[host b]\nroles = backup-server\naddress = 10.0.0.3\n"
                                      "[host g]\nroles = gateway-server\naddress = 10.0.0.5\n"
                                      "[external s]\nroles = amazon-s3\nnames *.amazonaws.com = 10.2.0.0/16\n"
                                      "names *.amazontrust.com = 10.1.0.0/16\n");
  g_autofree char *line = g_strdup_printf("ports diff %s %s", before, after);
  g_autofree char *text = run(line, 3, &complaint);
  g_assert_nonnull(strstr(text, "+ q: added\n- p: removed\nM b: other addresses\nM *.amazonaws.com: other members"));
  g_assert_nonnull(strstr(text, "- b -> p tcp 22 (m5.4)\n"));
  g_assert_nonnull(strstr(text, "+ b -> q tcp 22 (m5.4)\n"));
  g_assert_nonnull(strstr(complaint, "the firewalls of this fleet change"));
  g_autofree char *json = g_strdup_printf("ports diff --json %s %s", after, before);
  g_autofree char *objects = run(json, 3, NULL);
  g_assert_cmpuint(count_lines(objects, "node"), ==, 5);
  g_assert_nonnull(strstr(objects,
                          "\"change\":\"closed\",\"from\":[\"b\"],\"to\":[\"q\"],\"transport\":\"tcp\",\"first\":22,"
                          "\"last\":22,\"rows\":[\"m5.4\"]"));
  g_assert_nonnull(strstr(objects, "{\"type\":\"summary\",\"opened\":"));
  g_unlink(before);
  g_unlink(after);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/cli/ports-plan/table", test_table);
  g_test_add_func("/cli/ports-plan/formats", test_formats);
  g_test_add_func("/cli/ports-plan/json", test_json);
  g_test_add_func("/cli/ports-plan/unresolved", test_unresolved);
  g_test_add_func("/cli/ports-plan/refused", test_refused);
  g_test_add_func("/cli/ports-plan/diff", test_diff);
  return g_test_run();
}
