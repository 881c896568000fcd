/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Texts of a topology never become rules. The reader of topologies refuses most of these texts; here they are put into
 * the topology behind its back, for the renderers must not rely on it.
 */
#include <jansson.h>

#include "fleet.h"
#include "ports/firewall/firewall.h"

static const char *const hostile[] = {
  "x\" accept; } flush ruleset; #", "x'; Remove-Item C:/ -Recurse #", "x\nufw disable", "x\r\nbad", "$(reboot)",
  "`reboot`", "${HOME}", "--></zone><zone target=\"ACCEPT\">", "]]>", "*/", "END_OF_FILE",
  "x\nEND_OF_FILE\nreboot\n", "COMMIT",
  "x\nCOMMIT\n*filter\n:INPUT ACCEPT", "=cmd|' /C calc'!A0", "+1", "-1", "@sum", "\"\"", "a,b\",\"c", "\xff\xfe\"",
  "\xe2\x80\x99; Remove-Item", "\xe2\x80\xa8reboot", "\xd2\x92", "\x01\x1b[31m", "%s%n%d", "\\", "a\\\"b", "#>", "<#",
  "x\\\nreboot", "~", "comment \"a\"", "// \"", "{\"a\": 1}",
  "a very long name that goes on and on and on and on and on and on and on and on and on and on and on\" accept }",
};

static const char fleet_text[] =
  "[fleet]\ntitle = TITLE\n"
  "[host vbr]\nroles = backup-server\naddress = 10.0.0.1, 2001:db8::1\n"
  "[host proxy]\nroles = backup-proxy\naddress = 10.0.0.11, 2001:db8::11\n"
  "[host late]\nroles = backup-proxy\nname = late.example.org\n"
  "[external nas]\nroles = nfs-repository\naddress = 10.0.0.2\n"
  "[external blob]\nroles = azure-blob\nvalue storage-account = account\n"
  "[external s3]\nroles = amazon-s3\nnames *.amazonaws.com = 192.0.2.0/24, s3.example.org\n";

static const char *keep(const char *text)
{
  return g_intern_string(text);
}

/* The same fleet with `text` for every title, name and host name, and for the value of every placeholder. */
static Fleet *fleet_with(const char *text)
{
  Fleet *fleet = g_new0(Fleet, 1);
  fleet->topology = fleet_read(fleet_text);
  fleet->topology->title = keep(text);
  for (guint i = 0; i < fleet->topology->n_nodes; i++) {
    HfTopologyNode *node = (HfTopologyNode *)fleet->topology->nodes[i];
    const HfTopologyProfile *profile = node->profile;
    g_autofree char *name = g_strdup_printf("%s%u", text, i);
    node->name = keep(name);
    for (guint k = 0; node->dns[k] != NULL; k++)
      ((const char **)node->dns)[k] = keep(text);
    for (guint k = 0; k < profile->n_values; k++)
      ((const char **)profile->values[k].texts)[0] = keep(text);
    for (guint k = 0; k < profile->n_names; k++)
      for (guint n = 0; profile->names[k].texts[n] != NULL; n++)
        ((const char **)profile->names[k].texts)[n] = keep(text);
  }
  fleet->plan = hf_plan_new(fleet->topology);
  return fleet;
}

static char *render(const Fleet *fleet, HfFirewallFormat format)
{
  return hf_firewall_render(fleet->plan, fleet->topology->nodes[0], format, HF_FIREWALL_NO_LOG, NULL);
}

/* Replaces what `pattern` finds. */
static void mask(char **text, const char *pattern, const char *by)
{
  g_autoptr(GRegex) regex = g_regex_new(pattern, G_REGEX_MULTILINE, 0, NULL);
  char *masked = g_regex_replace_literal(regex, *text, -1, 0, by, 0, NULL);
  g_free(*text);
  *text = masked;
}

/* The rules without comments and names of sets. */
static char *shape(const Fleet *fleet, HfFirewallFormat format)
{
  char *text = render(fleet, format);
  switch (format) {
  case HF_FIREWALL_NFTABLES:
    mask(&text, "comment \"[^\"\n]*\"", "comment");
    mask(&text, "^ *#.*\n", "");
    mask(&text, "[a-z0-9_]+(_ipv4|_ipv6|_in|_out)\\b", "SET");
    break;
  case HF_FIREWALL_IPTABLES:
    mask(&text, "--comment \"[^\"\n]*\"", "--comment");
    mask(&text, "^#.*\n", "");
    break;
  case HF_FIREWALL_FIREWALLD:
    mask(&text, "^#.*\n", "");
    mask(&text, "^  <!-- (?:(?!--).)* -->\n", "");
    break;
  case HF_FIREWALL_UFW:
    mask(&text, "comment 'holdfast [^'\n]*'$", "comment");
    mask(&text, "^#.*\n", "");
    break;
  case HF_FIREWALL_WINDOWS:
  default:
    mask(&text, "^(Allow '[^'\n]*' '[^'\n]*') '[^'\n]*'", "Allow");
    mask(&text, "^#.*\n", "");
  }
  return text;
}

static int compare_lines(gconstpointer a, gconstpointer b)
{
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The order of named sets changes with their names. Takes `text`; caller frees. */
static char *sorted(char *text)
{
  g_autoptr(GPtrArray) lines = g_ptr_array_new();
  g_auto(GStrv) each = g_strsplit(text, "\n", -1);
  for (guint i = 0; each[i] != NULL; i++)
    g_ptr_array_add(lines, each[i]);
  g_ptr_array_sort(lines, compare_lines);
  g_ptr_array_add(lines, NULL);
  g_free(text);
  return g_strjoinv("\n", (char **)lines->pdata);
}

static void expect_ascii(const char *text)
{
  for (const char *at = text; *at != '\0'; at++)
    g_assert_true(*at == '\n' || (*at >= ' ' && *at <= '~'));
}

/* ---------------------------------------------------------------------------------------------------- tests -- */

static void test_rules(gconstpointer user)
{
  HfFirewallFormat format = GPOINTER_TO_UINT(user);
  g_autoptr(Fleet) plain = fleet_with("plain");
  g_autofree char *expected = sorted(shape(plain, format));
  for (guint i = 0; i < G_N_ELEMENTS(hostile); i++) {
    g_autoptr(Fleet) fleet = fleet_with(hostile[i]);
    g_autofree char *raw = render(fleet, format), *found = sorted(shape(fleet, format));
    g_assert_cmpstr(found, ==, expected);
    expect_ascii(raw);
  }
}

/* What json gives back is the text itself, as far as it is UTF-8. */
static void test_json(void)
{
  for (guint i = 0; i < G_N_ELEMENTS(hostile); i++) {
    g_autoptr(Fleet) fleet = fleet_with(hostile[i]);
    g_autofree char *text = render(fleet, HF_FIREWALL_JSON), *valid = g_utf8_make_valid(hostile[i], -1);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    guint titles = 0, names = 0;
    for (guint k = 0; *lines[k] != '\0'; k++) {
      json_error_t error;
      json_t *line = json_loads(lines[k], 0, &error);
      if (line == NULL)
        g_error("%s in %s", error.text, lines[k]);
      const char *title = json_string_value(json_object_get(line, "fleet"));
      const char *name = json_string_value(json_array_get(json_object_get(line, "host_names"), 0));
      titles += title != NULL && g_str_equal(title, valid);
      names += name != NULL && g_str_equal(name, valid);
      json_decref(line);
    }
    g_assert_cmpuint(titles, ==, 1);
    g_assert_cmpuint(names, >=, 2);
  }
}

/* The cells of one line of csv; all are quoted. `at` goes behind the line. */
static GPtrArray *read_line(const char **at)
{
  GPtrArray *cells = g_ptr_array_new_with_free_func(g_free);
  for (;;) {
    GString *cell = g_string_new(NULL);
    g_assert_true(**at == '"');
    for ((*at)++; **at != '"' || (*at)[1] == '"'; (*at)++) {
      g_assert_false(g_ascii_iscntrl(**at));
      g_string_append_c(cell, **at);
      *at += **at == '"';
    }
    (*at)++;
    g_ptr_array_add(cells, g_string_free(cell, FALSE));
    if (**at != ',')
      break;
    (*at)++;
  }
  g_assert_true(g_str_has_prefix(*at, "\r\n"));
  *at += 2;
  return cells;
}

static void test_csv(void)
{
  guint expected = 0;
  for (guint i = 0; i < G_N_ELEMENTS(hostile); i++) {
    g_autoptr(Fleet) fleet = fleet_with(hostile[i]);
    g_autofree char *text = render(fleet, HF_FIREWALL_CSV);
    guint lines = 0, names = 0;
    for (const char *at = text; *at != '\0'; lines++) {
      g_autoptr(GPtrArray) cells = read_line(&at);
      g_assert_cmpuint(cells->len, ==, 10);
      for (guint k = 0; k < cells->len; k++)
        g_assert_cmpuint(strspn(cells->pdata[k], "=+-@"), ==, 0);
      names += g_str_equal(cells->pdata[0], "name") && strstr(cells->pdata[4], hostile[i]) != NULL;
    }
    expected = expected == 0 ? lines : expected;
    g_assert_cmpuint(lines, ==, expected);
    gboolean kept = g_utf8_validate(hostile[i], -1, NULL) && strpbrk(hostile[i], "\n\r\x01") == NULL &&
      strstr(hostile[i], "\xe2\x80\xa8") == NULL;
    g_assert_true(!kept || names > 0);
  }
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_data_func("/hostile/nftables", GUINT_TO_POINTER(HF_FIREWALL_NFTABLES), test_rules);
  g_test_add_data_func("/hostile/iptables", GUINT_TO_POINTER(HF_FIREWALL_IPTABLES), test_rules);
  g_test_add_data_func("/hostile/firewalld", GUINT_TO_POINTER(HF_FIREWALL_FIREWALLD), test_rules);
  g_test_add_data_func("/hostile/ufw", GUINT_TO_POINTER(HF_FIREWALL_UFW), test_rules);
  g_test_add_data_func("/hostile/windows", GUINT_TO_POINTER(HF_FIREWALL_WINDOWS), test_rules);
  g_test_add_func("/hostile/csv", test_csv);
  g_test_add_func("/hostile/json", test_json);
  return g_test_run();
}
