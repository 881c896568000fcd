/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ports/catalogue/catalogue.h"

#include <string.h>

static const HfPortRole *role_of(const char *id)
{
  const HfPortRole *role = hf_port_role_find(id);
  g_assert_nonnull(role);
  return role;
}

static const HfPortCondition *condition_of(const char *id)
{
  const HfPortCondition *condition = hf_port_condition_find(id);
  g_assert_nonnull(condition);
  return condition;
}

/* "m1.1 m1.2" for what the filter selects. */
static char *selected(const HfPortFilter *filter)
{
  g_autoptr(GPtrArray) rows = hf_port_select(filter);
  GString *text = g_string_new(NULL);
  for (guint i = 0; i < rows->len; i++)
    g_string_append_printf(text, "%s%s", i > 0 ? " " : "", ((const HfPortRow *)rows->pdata[i])->id);
  return g_string_free(text, FALSE);
}

static void assert_selects(const HfPortFilter *filter, const char *ids)
{
  g_autofree char *text = selected(filter);
  g_assert_cmpstr(text, ==, ids);
}

static guint count(const HfPortFilter *filter)
{
  g_autoptr(GPtrArray) rows = hf_port_select(filter);
  return rows->len;
}

static void test_find_role(void)
{
  g_assert_cmpstr(role_of("backup-repository")->id, ==, "backup-repository");
  g_assert_cmpstr(role_of("esxi HOST")->id, ==, "esxi");
  g_assert_cmpstr(role_of("ESXi server")->id, ==, "esxi");
  g_assert_cmpstr(role_of(" Microsoft   SQL VM guest OS ")->id, ==, "mssql-guest");
  g_assert_cmpstr(role_of("WAN accelerator  (target)")->id, ==, "wan-accelerator-target");
  g_assert_null(hf_port_role_find("ESXihost"));
  g_assert_null(hf_port_role_find("ESXi host and more"));
  g_assert_null(hf_port_role_find("ESX"));
  g_assert_null(hf_port_role_find("ESXi h"));
  g_assert_null(hf_port_role_find(""));
}

static void test_roles_in_roles(void)
{
  g_assert_true(hf_port_role_is(role_of("mssql-guest"), role_of("guest")));
  g_assert_true(hf_port_role_is(role_of("guest"), role_of("guest")));
  g_assert_false(hf_port_role_is(role_of("guest"), role_of("mssql-guest")));
  g_assert_true(hf_port_role_is(role_of("s3-sosapi"), role_of("object-storage")));
  g_assert_false(hf_port_role_is(role_of("amazon-s3"), role_of("google-storage")));
}

static void test_find_others(void)
{
  g_assert_cmpstr(hf_port_section_find("backup-repositories")->title, ==, "Backup Repositories");
  g_assert_cmpstr(hf_port_section_find("WAN accelerator")->id, ==, "wan-accelerator");
  g_assert_null(hf_port_section_find("backup"));
  g_assert_cmpstr(hf_port_table_find("helper host connections")->id, ==, "m59");
  g_assert_cmpstr(hf_port_table_find("In this article")->id, ==, "x1");
  g_assert_null(hf_port_table_find("connections"));
  g_assert_null(hf_port_row_find("m1.16"));
  g_assert_null(hf_port_row_find("1.1"));
  g_assert_null(hf_port_condition_find("none"));
  g_assert_cmpint(hf_port_condition_value(condition_of("os"), "linux"), ==, 1);
  g_assert_cmpint(hf_port_condition_value(condition_of("os"), "plan9"), ==, -1);
  g_assert_null(hf_port_service_find("teleport"));
}

/* ---- Services ---- */

static void test_services(void)
{
  const HfPortService *transport = hf_port_service("transport");
  g_assert_cmpuint(transport->first, ==, 6162);
  g_assert_cmpuint(transport->last, ==, 6162);
  g_assert_cmpuint(transport->transports, ==, HF_PORT_TCP);
  g_assert_true(transport->own);
  g_assert_false(transport->open_end);
  g_assert_true(transport->fallback == hf_port_service_find("channels"));
  g_assert_cmpuint(transport->fallback->last - transport->fallback->first + 1, ==, 801);
  g_assert_null(transport->fallback->fallback);
  g_assert_cmpuint(hf_port_service("installer")->fallback->first, ==, 11731);
  g_assert_cmpuint(hf_port_service("vpower-mount")->first, ==, 1063);
  g_assert_true(hf_port_service("vpower-mount")->open_end);
  g_assert_cmpuint(hf_port_service("vpower-mount")->transports, ==, HF_PORT_TCP | HF_PORT_UDP);
  g_assert_false(hf_port_service("ndmp")->own);
  g_assert_cmpuint(hf_port_service("ndmp")->first, ==, 10000);
}

/* The ports that the pages give to parts of the system, each held against what is known of them. */
static void test_known_services(void)
{
  static const struct {
    const char *id;
    guint first, last;
  } known[] = {
    { "archive-appliance", 443, 443 },   { "azure-iscsi", 3260, 3262 },     { "backup-service", 9401, 9401 },
    { "cdp-agent", 33050, 33050 },       { "cdp-control", 6182, 6182 },     { "cdp-coordinator", 33034, 33034 },
    { "cdp-data", 33032, 33032 },        { "cdp-filter", 33036, 33036 },    { "cdp-filter-install", 33035, 33035 },
    { "cdp-transfer", 33033, 33033 },    { "channels", 2500, 3300 },        { "console-update", 9420, 9420 },
    { "guest-helper", 6173, 6173 },      { "guest-interaction", 6190, 6190 }, { "host-management", 10443, 10443 },
    { "hyperv-integration", 6163, 6163 }, { "installer", 6160, 6160 },      { "log-shipping", 6167, 6167 },
    { "mount", 6170, 6170 },             { "platform-converter", 9555, 9555 }, { "rest", 9419, 9419 },
    { "staging-iscsi", 3260, 3270 },     { "tape", 6166, 6166 },            { "vpower-control", 6161, 6161 },
    { "vpower-mount-server", 1058, 65535 }, { "vpower-nfs", 2049, 65535 },  { "vpower-portmap", 111, 111 },
    { "vss", 6210, 6210 },               { "wan-control", 6164, 6164 },     { "wan-data", 6165, 6165 },
    { "wan-throttle", 6220, 6220 },      { "web", 443, 443 },               { "ha-manage", 8008, 8008 },
    { "ha-state", 8500, 8500 },          { "syslog-tls", 6514, 6514 },      { "kmip", 5696, 5696 },
  };
  for (guint i = 0; i < G_N_ELEMENTS(known); i++) {
    const HfPortService *service = hf_port_service(known[i].id);
    g_assert_cmpstr(service->id, ==, known[i].id);
    g_assert_cmpuint(service->first, ==, known[i].first);
    g_assert_cmpuint(service->last, ==, known[i].last);
  }
}

static void test_services_come_from_rows(void)
{
  guint n, n_rows;
  const HfPortService *services = hf_port_services(&n);
  const HfPortRow *rows = hf_port_rows(&n_rows);
  for (guint i = 0; i < n; i++) {
    gboolean found = FALSE;
    g_assert_cmpuint(services[i].index, ==, i);
    for (guint j = 0; j < services[i].source->n_items; j++)
      found = found || services[i].source->items[j].first == services[i].first;
    g_assert_true(found);
  }
  for (guint i = 0; i < n_rows; i++)
    for (guint j = 0; j < rows[i].n_items; j++) {
      const HfPortItem *item = &rows[i].items[j];
      if (item->service != NULL) {
        g_assert_true(item->service->own);
        g_assert_cmpuint(item->service->first, ==, item->first);
      }
    }
}

static void test_unknown_service(void)
{
  if (g_test_subprocess()) {
    hf_port_service("teleport");
    return;
  }
  g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
  g_test_trap_assert_failed();
  g_test_trap_assert_stderr("*bug: service 'teleport' is not in data/ports/services.tsv*");
}

/* ---- Conditions ---- */

/* Answers from a list "subject.condition=value" ended by NULL; subjects as letters: f(leet), F(rom), T(o), S(erver). */
static int answer_of(const HfPortCondition *condition, HfPortSubject subject, gpointer user)
{
  for (const char *const *answers = user; *answers != NULL; answers++) {
    const char *sign = strchr(*answers, '=');
    if ((*answers)[0] == "fFTS"[subject] && strlen(condition->id) == (gsize)(sign - *answers - 2) &&
        strncmp(*answers + 2, condition->id, (gsize)(sign - *answers - 2)) == 0)
      return hf_port_condition_value(condition, sign + 1);
  }
  return -1;
}

static gboolean holds(const char *row, const char *answer, const char *other)
{
  const char *const answers[] = { answer, other, NULL };
  return hf_port_when_holds(&hf_port_row_find(row)->when, answer_of, (gpointer)answers);
}

static void test_conditions(void)
{
  g_assert_true(holds("m2.5", NULL, NULL));
  g_assert_true(holds("m2.6", NULL, NULL));
  g_assert_false(holds("m2.6", "T.deployment-kit=yes", NULL));
  g_assert_true(holds("m2.6", "F.deployment-kit=yes", NULL));
  /* both clauses */
  g_assert_true(holds("m52.6", NULL, NULL));
  g_assert_false(holds("m52.6", "f.log-shipping-server=used", NULL));
  g_assert_false(holds("m52.6", "F.direct-to-repository=no", NULL));
  /* one answer of a clause */
  g_assert_true(holds("m48.2", "T.vsphere-before-6.5=yes", NULL));
  g_assert_true(holds("m48.2", "T.vcenter-connection=yes", NULL));
  g_assert_false(holds("m48.2", "T.vsphere-before-6.5=yes", "T.vcenter-connection=yes"));
  /* not */
  g_assert_true(holds("m54.3", "T.networkless=powershell-direct", NULL));
  g_assert_false(holds("m54.3", "T.networkless=vsphere", NULL));
  /* the backup server, though it is at the other end */
  g_assert_false(holds("m41.3", "f.file-shares=yes", NULL));
  g_assert_true(holds("m41.3", "f.file-shares=yes", "S.os=windows"));
  /* what the words above the table say */
  g_assert_false(holds("m49.1", "T.os=windows", "T.networkless=vsphere"));
  g_assert_true(holds("m49.1", "T.os=windows", NULL));
}

static void test_condition_texts(void)
{
  g_autofree char *none = hf_port_when_text(&hf_port_row_find("m2.5")->when);
  g_autofree char *one = hf_port_when_text(&hf_port_row_find("m54.1")->when);
  g_autofree char *either = hf_port_when_text(&hf_port_row_find("m48.2")->when);
  g_autofree char *server = hf_port_when_text(&hf_port_row_find("m41.3")->when);
  g_assert_cmpstr(none, ==, "");
  g_assert_cmpstr(one, ==, "to.guest-components=runtime&to.networkless!=vsphere");
  g_assert_cmpstr(either, ==, "to.vsphere-before-6.5=no|to.vcenter-connection=no");
  g_assert_cmpstr(server, ==, "file-shares=yes&server.os=windows");
}

/* ---- Rows ---- */

static void test_select_by_role(void)
{
  assert_selects(&(HfPortFilter){ .from = role_of("rest-client") }, "m1.9");
  assert_selects(&(HfPortFilter){ .from = role_of("tape-server"), .to = role_of("backup-server") }, "m1.6");
  assert_selects(&(HfPortFilter){ .either = role_of("ndmp-server") }, "m44.1");
  /* A holder of a role has the wider ones, and the narrower ones that are assumed. */
  assert_selects(&(HfPortFilter){ .from = role_of("standby-backup-server"), .port = 5432 }, "m2.16");
  assert_selects(&(HfPortFilter){ .from = role_of("backup-server"), .port = 8500 }, "m2.18");
  assert_selects(&(HfPortFilter){ .to = role_of("backup-server"), .port = 8500 }, "");
  assert_selects(&(HfPortFilter){ .to = role_of("guest"), .port = 6167 }, "");
  assert_selects(&(HfPortFilter){ .to = role_of("mssql-guest"), .port = 6167 }, "m52.5");
  /* A role that no row has stands for all that are narrower. */
  assert_selects(&(HfPortFilter){ .to = role_of("file-share"), .port = 6170 }, "m41.23");
}

static void test_select_by_port(void)
{
  assert_selects(&(HfPortFilter){ .port = 6166 }, "m45.5");
  assert_selects(&(HfPortFilter){ .port = 9555 }, "m70.17");
  assert_selects(&(HfPortFilter){ .port = 3261, .from = role_of("restored-vm") }, "m70.16");
  assert_selects(&(HfPortFilter){ .port = 1067 }, "m61.4");
  assert_selects(&(HfPortFilter){ .port = 1073 }, "");
  assert_selects(&(HfPortFilter){ .port = 2058, .to = role_of("vpower-server") }, "m61.5");
  assert_selects(&(HfPortFilter){ .port = 2059 }, "");
  g_assert_cmpuint(count(&(HfPortFilter){ .port = 11731 }), ==, 4);
  g_assert_false(hf_port_item_has(&hf_port_row_find("m9.2")->items[0], 0));
  g_assert_false(hf_port_item_has(&hf_port_row_find("m9.2")->items[0], 2049));
}

static void test_select_by_place(void)
{
  g_assert_cmpuint(count(&(HfPortFilter){ 0 }), ==, 449);
  g_assert_cmpuint(count(&(HfPortFilter){ .section = hf_port_section_find("Storage Systems") }), ==, 55);
  /* Two tables have this title. */
  g_assert_cmpuint(
    count(&(HfPortFilter){ .table_title = "connections with Non-Persistent Runtime Components" }), ==, 7);
  assert_selects(&(HfPortFilter){ .service = hf_port_service("wan-data") }, "m46.8");
  g_assert_cmpuint(count(&(HfPortFilter){ .service = hf_port_service("installer-failover") }), ==, 4);
}

static void test_select_by_condition(void)
{
  const HfPortCondition *availability = condition_of("high-availability"), *region = condition_of("region");
  assert_selects(&(HfPortFilter){ .condition = availability, .value = 0 }, "m2.17 m2.18");
  assert_selects(&(HfPortFilter){ .condition = availability, .value = 1 }, "");
  /* asked for by an endpoint, by a port, by a role of either end */
  g_assert_cmpuint(count(&(HfPortFilter){ .condition = region, .value = 2 }), ==, 8);
  g_assert_cmpuint(count(&(HfPortFilter){ .condition = condition_of("smb1"), .value = 0 }), ==, 10);
  g_assert_cmpuint(count(&(HfPortFilter){ .condition = condition_of("connection"), .value = 0 }), ==, 10);
  assert_selects(&(HfPortFilter){ .condition = condition_of("cloud-connect"), .value = 0 }, "m46.9");
}

static void test_texts(void)
{
  g_autofree char *uses = hf_port_uses_text(hf_port_row_find("m20.1")->from, hf_port_row_find("m20.1")->n_from);
  g_autofree char *range = hf_port_item_text(&hf_port_row_find("x1.7")->items[0]);
  g_autofree char *symbol = hf_port_item_text(&hf_port_row_find("m9.2")->items[0]);
  g_autofree char *endpoints = hf_port_endpoints_text(hf_port_row_find("m20.5"));
  g_assert_cmpstr(uses, ==, "gateway-server{to.gateway=named},backup-server{to.gateway=none}");
  g_assert_cmpstr(range, ==, "3260-3270");
  g_assert_cmpstr(symbol, ==, "$mountd_port");
  g_assert_cmpstr(endpoints, ==,
                  "*.amazonaws.com{to.region=global|to.region=government} *.amazonaws.com.cn{to.region=china}");
  g_assert_cmpstr(hf_port_transports_text(0), ==, "unknown");
  g_assert_cmpstr(hf_port_transports_text(HF_PORT_UDP), ==, "udp");
  g_assert_cmpstr(hf_port_pair_text(hf_port_row_find("m46.8")->pair), ==, "other-site");
}

static void test_endpoints(void)
{
  const HfPortEndpoint *address = &hf_port_row_find("m70.11")->endpoints[0];
  const HfPortEndpoint *path = &hf_port_row_find("m70.14")->endpoints[0];
  const HfPortEndpoint *vault = &hf_port_row_find("m17.1")->endpoints[0];
  const HfPortEndpoint *mirror = &hf_port_row_find("m2.25")->endpoints[0];
  const HfPortEndpoint *wild = &hf_port_row_find("m2.27")->endpoints[0];
  g_assert_cmpint(address->kind, ==, HF_PORT_ENDPOINT_ADDRESS);
  g_assert_cmpstr(address->text, ==, "http://169.254.169.254");
  g_assert_cmpstr(address->host, ==, "169.254.169.254");
  g_assert_cmpint(path->kind, ==, HF_PORT_ENDPOINT_NAME);
  g_assert_cmpstr(path->host, ==, "azure.archive.ubuntu.com");
  g_assert_cmpint(vault->kind, ==, HF_PORT_ENDPOINT_PLACEHOLDER);
  g_assert_cmpstr(vault->placeholder, ==, "storage-account");
  g_assert_cmpstr(mirror->placeholder, ==, "localmirrorrepository.domain");
  g_assert_cmpint(wild->kind, ==, HF_PORT_ENDPOINT_WILDCARD);
  g_assert_null(wild->placeholder);
}

/* What the pages state in words has a row that expresses it, or more; only one (the firewall of Windows) has none. */
static void test_rules(void)
{
  guint n;
  const HfPortRule *rules = hf_port_rules(&n);
  g_assert_cmpuint(n, ==, 37);
  for (guint i = 0, number = 1; i < n; i++, number++) {
    if (number == 31)
      number++;
    g_autofree char *id = g_strdup_printf("R%u", number);
    g_assert_cmpstr(rules[i].id, ==, id);
  }
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/ports/catalogue/find-role", test_find_role);
  g_test_add_func("/ports/catalogue/roles-in-roles", test_roles_in_roles);
  g_test_add_func("/ports/catalogue/find-others", test_find_others);
  g_test_add_func("/ports/catalogue/services", test_services);
  g_test_add_func("/ports/catalogue/known-services", test_known_services);
  g_test_add_func("/ports/catalogue/services-come-from-rows", test_services_come_from_rows);
  g_test_add_func("/ports/catalogue/unknown-service", test_unknown_service);
  g_test_add_func("/ports/catalogue/conditions", test_conditions);
  g_test_add_func("/ports/catalogue/condition-texts", test_condition_texts);
  g_test_add_func("/ports/catalogue/select-by-role", test_select_by_role);
  g_test_add_func("/ports/catalogue/select-by-port", test_select_by_port);
  g_test_add_func("/ports/catalogue/select-by-place", test_select_by_place);
  g_test_add_func("/ports/catalogue/select-by-condition", test_select_by_condition);
  g_test_add_func("/ports/catalogue/texts", test_texts);
  g_test_add_func("/ports/catalogue/endpoints", test_endpoints);
  g_test_add_func("/ports/catalogue/rules", test_rules);
  return g_test_run();
}
