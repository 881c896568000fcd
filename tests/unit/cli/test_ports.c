/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The verbs about the port catalogue: ports list, explain and roles. */
#include "cli/cli.h"

#include <string.h>

#include "capture.h"
#include "ports/catalogue/catalogue.h"

/* Runs a command line; what it prints, and what it complains of by `complaint`. Caller frees. */
static char *run_both(const char *line, int code, char **complaint)
{
  g_auto(GStrv) words = NULL;
  g_autoptr(Capture) out = capture_new();
  g_autoptr(Capture) err = capture_new();
  HfCancel cancel = { 0 };
  g_assert_true(g_shell_parse_argv(line, NULL, &words, NULL));
  int found = hf_cli_run(words, out->stream, err->stream, &cancel);
  *complaint = g_strdup(capture_text(err));
  if (found != code)
    g_error("'%s' ends with %d and not %d: %s", line, found, code, *complaint);
  return g_strdup(capture_text(out));
}

static char *run(const char *line)
{
  g_autofree char *complaint = NULL;
  char *text = run_both(line, 0, &complaint);
  g_assert_cmpstr(complaint, ==, "");
  return text;
}

static void assert_prints(const char *line, const char *expected)
{
  g_autofree char *text = run(line);
  if (strstr(text, expected) == NULL)
    g_error("'%s' prints '%s', not '%s'", line, text, expected);
}

static void assert_refused(const char *line, const char *expected)
{
  g_autofree char *complaint = NULL;
  g_autofree char *text = run_both(line, 2, &complaint);
  g_assert_cmpstr(text, ==, "");
  if (strstr(complaint, expected) == NULL)
    g_error("'%s' complains '%s', not '%s'", line, complaint, expected);
}

static guint count_lines(const char *text)
{
  guint lines = 0;
  for (; (text = strchr(text, '\n')) != NULL; text++)
    lines++;
  return lines;
}

static guint lines_of(const char *line)
{
  g_autofree char *text = run(line);
  return count_lines(text);
}

static void test_tsv(void)
{
  static const char first[] = "page\tsection\ttable\trow\tfrom\tto\tprotocol\tport\tid\t";
  g_autofree char *text = run("ports list --format tsv");
  g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
  guint n;
  const HfPortRow *rows = hf_port_rows(&n);
  g_assert_cmpuint(g_strv_length(lines), ==, n + 2);
  g_assert_true(g_str_has_prefix(lines[0], first));
  g_auto(GStrv) titles = g_strsplit(lines[0], "\t", -1);
  for (guint i = 0; i < n; i++) {
    g_auto(GStrv) cells = g_strsplit(lines[i + 1], "\t", -1);
    g_assert_cmpuint(g_strv_length(cells), ==, g_strv_length(titles));
    g_assert_cmpstr(cells[4], ==, rows[i].printed.from);
    g_assert_cmpstr(cells[5], ==, rows[i].printed.to);
    g_assert_cmpstr(cells[6], ==, rows[i].printed.protocol);
    g_assert_cmpstr(cells[7], ==, rows[i].printed.port);
    g_assert_cmpstr(cells[8], ==, rows[i].id);
    for (guint j = 0; cells[j] != NULL; j++)
      g_assert_cmpstr(cells[j], !=, "");
  }
}

static void test_cells_of_tsv(void)
{
  assert_prints("ports list --format tsv --from console --port 389",
                "\nexplorer\tPorts\t1\t5\tVeeam Backup & Replication console\tStaging server\tTCP, UDP, LDAP\t389\tx1.5\t27\t"
                "In this article\t-\tconsole\tstaging-server\ttcp,udp\tldap\tall\t389\t-\t-\trequired\t-\tany\tno\t"
                "not-transport\tR32\t");
  assert_prints("ports list --format tsv --section 'cache repository connections' --port 6160 --from backup-server",
                "\t2500 to 3300, 6160, 6162\tm42.4\t601\tCache Repository Connections\t-\tbackup-server\tcache-repository\t"
                "tcp\tholdfast\tall\t2500-3300,6160,6162\tchannels,installer,transport\t");
}

static void test_filters(void)
{
  g_assert_cmpuint(lines_of("ports list --format tsv --section storage-systems"), ==, 56);
  g_assert_cmpuint(lines_of("ports list --format tsv --section 'connections with non-persistent runtime components'"), ==,
                   8);
  g_assert_cmpuint(lines_of("ports list --format tsv --service installer-failover"), ==, 5);
  g_assert_cmpuint(lines_of("ports list --format tsv --from 'REST client' --to backup-server --port 9419"), ==, 2);
  g_assert_cmpuint(lines_of("ports list --format tsv --condition high-availability=yes"), ==, 3);
  g_assert_cmpuint(lines_of("ports list --format tsv --condition guest-components=persistent --condition os=windows"), ==,
                   4);
  g_assert_cmpuint(lines_of("ports list --format tsv --from tape-server --port 22"), ==, 1);
}

static void test_tables(void)
{
  g_assert_cmpuint(lines_of("ports list"), ==, 450);
  assert_prints("ports list --service wan-data",
                "m46.8  WAN accelerator (source and target)  WAN accelerator (source and target)  TCP       6165");
  assert_prints("ports list --from tape-server --port 22", "no rule is like that\n");
  assert_prints("ports list --format markdown --port 9555",
                "| Rule | From | To | Protocol | Port | For | When |\n| --- | --- | --- | --- | --- | --- | --- |\n"
                "| m70.17 | Restored VM | Instant Recovery to Azure helper appliance | TCP | 9555 |");
  assert_prints("ports list --format markdown --section 'nfs backup repository'", "| mountd\\_port |");
}

static void test_json(void)
{
  g_autofree char *text = run("ports list --json --from console --to mail-server"), *same = NULL;
  same = run("ports list --format json --from console --to mail-server");
  g_assert_cmpstr(text, ==, same);
  json_error_t problem;
  json_t *row = json_loads(text, 0, &problem);
  g_assert_nonnull(row);
  const json_t *ports = json_object_get(row, "ports");
  g_assert_cmpstr(json_string_value(json_object_get(row, "row")), ==, "x1.6");
  g_assert_cmpuint(json_array_size(ports), ==, 4);
  g_assert_cmpstr(json_string_value(json_object_get(json_array_get(ports, 0), "when")), ==, "to.encryption!=tls");
  g_assert_cmpstr(json_string_value(json_object_get(json_array_get(ports, 2), "kind")), ==, "unknown");
  g_assert_cmpstr(json_string_value(json_object_get(json_array_get(ports, 2), "name")), ==, "mail_port");
  g_assert_null(json_object_get(json_array_get(ports, 2), "first"));
  g_assert_cmpint(json_integer_value(json_object_get(json_array_get(ports, 3), "first")), ==, 443);
  g_assert_cmpint(json_integer_value(json_object_get(json_array_get(ports, 3), "group")), ==, 1);
  g_assert_true(json_is_true(json_object_get(row, "customisable")));
  json_decref(row);
  g_assert_cmpuint(lines_of("ports list --json"), ==, 449);
  assert_prints("ports list --json --port 2049 --from esxi", "\"transports\":[\"tcp\",\"udp\"]");
  assert_prints("ports list --json --section 'veeam data cloud vault' --to entra-id",
                "\"endpoints\":[{\"kind\":\"name\",\"text\":\"login.microsoftonline.com\"");
  assert_prints("ports list --json --port 8500", "\"heading\":\"Communication with Configuration Databases\"");
}

static void test_roles(void)
{
  guint n;
  hf_port_roles(&n);
  g_assert_cmpuint(lines_of("ports roles"), ==, n + 1);
  g_assert_cmpuint(lines_of("ports roles --json"), ==, n);
  assert_prints("ports roles", "mssql-guest");
  assert_prints("ports roles --json",
                "{\"role\":\"cdp-proxy-source\",\"title\":\"CDP proxy at the sending side\",\"kind\":\"holdfast\","
                "\"external\":false,\"is\":\"cdp-proxy\",\"assumed\":true,\"names\":[\"CDP proxy (source)\"]}\n");
}

static void test_explain_port(void)
{
  assert_prints("ports explain 6162",
                "port 6162\nservice 'management-agent' (Agent that stays in a guest): 6162, tcp, by rule m50.2\n"
                "service 'transport' (Data mover on every managed host): 6162, tcp, by rule m2.8\n"
                "  where that cannot be reached: 'channels', 2500 to 3300\n\nin the catalogue: ");
  assert_prints("ports explain 6166", "in the catalogue: 1 rule\n"
                                        "m45.5   Backup server -> Tape server: TCP 6166\n        Steer drives, ");
  assert_prints("ports explain 1239", "\n        optional\n");
  assert_prints("ports explain 3389", "\n        optional when to.os=windows\n");
  assert_prints("ports explain 8500", "\n        only when high-availability=yes\n");
  assert_prints("ports explain 2049", "service 'vpower-nfs' (NFS server for disks): the first free port from 2049 on, tcp,udp");
  assert_prints("ports explain 65000", "port 65000\n\nin the catalogue: 3 rules\n");
  assert_prints("ports explain 4000", "port 4000\n\nin the catalogue: 0 rules\n");
  assert_prints("ports explain 9419 --json", "{\"port\":9419,\"services\":[\"rest\"],\"rows\":[{\"row\":\"m1.9\",");
}

static void test_explain_role(void)
{
  assert_prints("ports explain mssql-guest",
                "role 'mssql-guest' (Protected machine with Microsoft SQL Server): guest\n  each one is also 'guest'\n"
                "  on the pages: MS SQL VM guest OS; Microsoft SQL VM guest OS\n\nothers connect to it: ");
  assert_prints("ports explain 'vCenter Server (target)'",
                "hypervisor, outside the fleet\n  each one is also 'vcenter', and each of those is one unless");
  assert_prints("ports explain object-storage", "role 'object-storage' (Object storage of any kind): cloud, outside the fleet\n"
                                                "\nothers connect to it: ");
  assert_prints("ports explain rest-client", "others connect to it: 0 rules\n\nit connects to others: 1 rule\n");
  assert_prints("ports explain ndmp-server --json", "\"connects\":[]");
}

static void test_explain_rule(void)
{
  assert_prints("ports explain m20.5",
                "  printed:   Amazon EC2 helper appliance -> Amazon S3 object storage (*.amazonaws.com, *.amazonaws.com.cn), "
                "TCP, 443\n  from:      ec2-archive-appliance\n");
  assert_prints("ports explain m20.5", "  endpoints: *.amazonaws.com{to.region=global|to.region=government} ");
  assert_prints("ports explain m20.5", "  region: Which part of the cloud is it?\n");
  assert_prints("ports explain m61.4", "  on-backup-server: Is it the backup server's own machine?\n  R6: ");
  assert_prints("ports explain m5.6", "6162 (all), tcp; can be set to another one\n  needed:    conditional, when to.os=linux\n");
  assert_prints("ports explain x1.5", "  odd: The protocol that is printed is none of the transport layer\n");
  assert_prints("ports explain m17.6 --json", "\"conditions\":[{\"condition\":\"data-cloud-vault\"");
  assert_prints("ports explain m1.3 --json", "\"oddities\":[{\"mark\":\"to-carried\"");
  assert_prints("ports explain m18.3 --json", "\"stated\":[{\"rule\":\"R17\"");
}

static void test_explain_others(void)
{
  assert_prints("ports explain channels", "service 'channels' (Data channels: one port a connection): 2500 to 3300, tcp, by rule "
                                          "m2.14\n\nin the catalogue: ");
  assert_prints("ports explain ndmp", "service 'ndmp' (Filers that are backed up over NDMP): 10000, tcp, by rule m44.1\n");
  assert_prints("ports explain installer --json", "\"first\":6160,\"last\":6160,\"rows\":[");
  assert_prints("ports explain installer --json", "\"fallback\":\"installer-failover\"}\n");
  assert_prints("ports explain cdp",
                "condition 'cdp': Is continuous data protection of vSphere used?\n  answers for each fleet: yes, no; when "
                "nobody says: no\n  with the role 'cdp-proxy' in the fleet: yes\n\nasked by: 16 rules\n");
  assert_prints("ports explain on-backup-server", "  with the role 'backup-server' on the host: yes\n");
  assert_prints("ports explain os --json", "{\"condition\":\"os\",\"title\":\"Which operating system does the machine run?\","
                                           "\"scope\":\"host\",\"values\":[\"windows\",\"linux\"],\"default\":\"linux\",");
}

static void test_refusals(void)
{
  assert_refused("ports list --from backup-serve", "there is no role 'backup-serve'; did you mean 'backup-server'?");
  assert_refused("ports list --to qqq", "there is no role 'qqq'; 'holdfast ports roles' lists them");
  assert_refused("ports list --section 'Backup repositorys'", "did you mean 'Backup Repositories'?");
  assert_refused("ports list --section 'Helper hosts connections'", "did you mean 'Helper Host Connections'?");
  assert_refused("ports list --section zzz", "there is no section 'zzz'; column 'section'");
  assert_refused("ports list --service transprt", "there is no service 'transprt'; did you mean 'transport'?");
  assert_refused("ports list --service zzz", "there is no service 'zzz'; column 'service'");
  assert_refused("ports list --condition os", "'os' is no condition with its answer; write it as in os=linux");
  assert_refused("ports list --condition netwrkless=no", "did you mean 'networkless'?");
  assert_refused("ports list --condition zzz=no", "there is no condition 'zzz'; column 'when'");
  assert_refused("ports list --condition os=plan9", "condition 'os' has no answer 'plan9'; there are: windows, linux");
  assert_refused("ports list --port 0", "0");
  assert_refused("ports list --port 65536", "65536");
  assert_refused("ports list --format xml", "xml");
  assert_refused("ports explain tape-servr", "the catalogue does not know 'tape-servr'; did you mean 'tape-server'?");
  assert_refused("ports explain 0", "the catalogue does not know '0'; give a port from 1 to 65535, a role");
  assert_refused("ports explain", "WHAT");
  assert_refused("ports lst", "did you mean 'ports list'?");
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/cli/ports/tsv", test_tsv);
  g_test_add_func("/cli/ports/cells-of-tsv", test_cells_of_tsv);
  g_test_add_func("/cli/ports/filters", test_filters);
  g_test_add_func("/cli/ports/tables", test_tables);
  g_test_add_func("/cli/ports/json", test_json);
  g_test_add_func("/cli/ports/roles", test_roles);
  g_test_add_func("/cli/ports/explain-port", test_explain_port);
  g_test_add_func("/cli/ports/explain-role", test_explain_role);
  g_test_add_func("/cli/ports/explain-rule", test_explain_rule);
  g_test_add_func("/cli/ports/explain-others", test_explain_others);
  g_test_add_func("/cli/ports/refusals", test_refusals);
  return g_test_run();
}
