/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ports/live/audit.h"

#include <arpa/inet.h>
#include <string.h>

#include "fleet.h"

/* A server with inbound and outbound flows, a range and a named set. */
static const char topology_text[] =
  "[host srv]\naddress = 10.1.0.10, 2001:db8::10\nroles = backup-server\nos = linux\nappliance = yes\n"
  "[host repo1]\naddress = 10.1.0.21\nroles = backup-repository\nos = linux\n"
  "[host repo2]\naddress = 10.1.0.23, 2001:db8::23\nroles = backup-repository\nos = linux\n"
  "[external pg]\naddress = 10.1.2.1\nroles = postgresql-database\n"
  "[external names]\naddress = 10.1.2.2\nroles = dns-server\n"
  "[external up]\nroles = update-repository\nnames repository.veeam.com = 198.51.100.7, mirror.example.org\n";

typedef struct Case {
  Fleet *fleet;
  HfFirewall *firewall;
} Case;

static void clear_case(Case *one)
{
  hf_firewall_free(one->firewall);
  fleet_free(one->fleet);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Case, clear_case)

static void start(Case *one)
{
  one->fleet = fleet_plan(topology_text);
  one->firewall = hf_firewall_new(one->fleet->plan, fleet_node(one->fleet, "srv"), HF_FIREWALL_NAMES_APART);
  g_assert_cmpuint(one->firewall->n_elements, >, 5);
  g_assert_cmpuint(one->firewall->n_sets, ==, 1);
}

/* ---- a ruleset of the shape that is rendered, written here ---- */

typedef struct Text {
  GString *sets[2][2]; /* by direction is in, by family is IPv6 */
} Text;

static void add(Text *text, HfPlanDirection direction, const HfFirewallRange *peer, guint transport, guint first,
                guint last, guint packets)
{
  char low[INET6_ADDRSTRLEN], high[INET6_ADDRSTRLEN];
  GString *set = text->sets[direction == HF_PLAN_IN][peer->family == AF_INET6];
  inet_ntop(peer->family, peer->first, low, sizeof low);
  inet_ntop(peer->family, peer->last, high, sizeof high);
  g_string_append_printf(set,
                         "%s{\"elem\": {\"val\": {\"concat\": [{\"range\": [\"%s\", \"%s\"]}, \"%s\", {\"range\": [%u, "
                         "%u]}]}, \"comment\": \"c\", \"counter\": {\"packets\": %u, \"bytes\": 0}}}",
                         set->len > 0 ? ", " : "", low, high, transport == HF_PORT_TCP ? "tcp" : "udp", first, last,
                         packets);
}

static void begin_text(Text *text)
{
  for (guint i = 0; i < 4; i++)
    text->sets[i / 2][i % 2] = g_string_new(NULL);
}

/* All elements but that of place `skip`, with 1 packet each. */
static void add_planned(Text *text, const HfFirewall *firewall, guint skip)
{
  for (guint i = 0; i < firewall->n_elements; i++) {
    const HfFirewallElement *element = &firewall->elements[i];
    if (i != skip)
      add(text, element->direction, &element->peer, element->transport, element->first, element->last, 1);
  }
  const HfFirewallSet *set = &firewall->sets[0];
  for (guint i = 0; i < set->n_members; i++)
    for (guint j = 0; j < set->n_ports; j++)
      add(text, set->ports[j].direction, &set->members[i], set->ports[j].transport, set->ports[j].first,
          set->ports[j].last, 1);
}

static HfNftRuleset *end_text(Text *text, const char *more)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GString) json = g_string_new("{\"nftables\": [");
  static const char *const hooks[] = { "output", "input" }, *const families[] = { "ip", "ip6" };
  for (guint i = 0; i < 2; i++) {
    g_string_append_printf(json, "%s{\"chain\": {\"family\": \"inet\", \"table\": \"holdfast\", \"name\": \"c%u\", \"type\": "
                           "\"filter\", \"hook\": \"%s\", \"policy\": \"drop\"}}", i > 0 ? ", " : "", i, hooks[i]);
    for (guint j = 0; j < 2; j++) {
      g_string_append_printf(json, ", {\"set\": {\"family\": \"inet\", \"table\": \"holdfast\", \"name\": \"s%u%u\", "
                             "\"type\": [\"ipv%u_addr\", \"inet_proto\", \"inet_service\"], \"elem\": [%s]}}",
                             i, j, j == 0 ? 4 : 6, text->sets[i][j]->str);
      g_string_append_printf(json, ", {\"rule\": {\"family\": \"inet\", \"table\": \"holdfast\", \"chain\": \"c%u\", "
                             "\"handle\": %u, \"expr\": [{\"match\": {\"op\": \"==\", \"left\": {\"concat\": "
                             "[{\"payload\": {\"protocol\": \"%s\", \"field\": \"%s\"}}, {\"meta\": {\"key\": "
                             "\"l4proto\"}}, {\"payload\": {\"protocol\": \"th\", \"field\": \"dport\"}}]}, \"right\": "
                             "\"@s%u%u\"}}, {\"accept\": null}]}}",
                             i, 10 * i + j, families[j], i == 0 ? "daddr" : "saddr", i, j);
      g_string_free(text->sets[i][j], TRUE);
    }
  }
  g_string_append_printf(json, "%s]}", more);
  HfNftRuleset *ruleset = hf_nft_parse(json->str, json->len, &error);
  g_assert_no_error(error);
  return ruleset;
}

static HfNftRuleset *ruleset_without(const Case *one, guint skip, const char *more)
{
  Text text;
  begin_text(&text);
  add_planned(&text, one->firewall, skip);
  return end_text(&text, more);
}

/* "in tcp 22-22 10.0.0.1": what was found of the kind; caller frees. */
static char *found(const HfAudit *audit, HfAuditKind kind)
{
  GString *text = g_string_new(NULL);
  for (guint i = 0; i < audit->findings->len; i++) {
    const HfAuditFinding *finding = &g_array_index(audit->findings, HfAuditFinding, i);
    if (finding->kind != kind)
      continue;
    g_autofree char *peer = finding->peer.family != 0 ? hf_firewall_range_text(&finding->peer) : g_strdup("-");
    g_string_append_printf(text, "%s%s %s %u-%u %s", text->len > 0 ? "; " : "",
                           finding->direction == HF_PLAN_IN ? "in" : "out", hf_port_transports_text(finding->transport),
                           finding->first, finding->last, peer);
  }
  return g_string_free(text, FALSE);
}

static void expect(const HfAudit *audit, HfAuditKind kind, const char *text)
{
  g_autofree char *said = found(audit, kind);
  g_assert_cmpstr(said, ==, text);
}

/* ---- rules ---- */

static void test_as_planned(void)
{
  g_auto(Case) one;
  start(&one);
  g_autoptr(HfNftRuleset) ruleset = ruleset_without(&one, G_MAXUINT, "");
  g_autoptr(HfAudit) audit = hf_audit_new(one.firewall, ruleset, NULL);
  g_assert_cmpuint(audit->findings->len, ==, 0);
  g_assert_true(audit->whole);
  g_assert_cmpuint(audit->elements, ==, one.firewall->n_elements + one.firewall->sets[0].n_members);
}

/* Each element in turn is not there, or was never used. */
static void test_each_missing(void)
{
  g_auto(Case) one;
  start(&one);
  for (guint i = 0; i < one.firewall->n_elements; i++) {
    const HfFirewallElement *element = &one.firewall->elements[i];
    g_autoptr(HfNftRuleset) ruleset = ruleset_without(&one, i, "");
    g_autoptr(HfAudit) audit = hf_audit_new(one.firewall, ruleset, NULL);
    g_assert_cmpuint(audit->findings->len, ==, 1);
    const HfAuditFinding *finding = &g_array_index(audit->findings, HfAuditFinding, 0);
    g_assert_cmpint(finding->kind, ==, HF_AUDIT_MISSING);
    g_assert_cmpint(finding->direction, ==, element->direction);
    g_assert_cmpuint(finding->first, ==, element->first);
    g_assert_true(finding->reason == element->reason);
    g_assert_nonnull(strstr(finding->place, "policy"));
  }
}

static void test_unused(void)
{
  g_auto(Case) one;
  start(&one);
  Text text;
  begin_text(&text);
  add_planned(&text, one.firewall, 0);
  const HfFirewallElement *element = &one.firewall->elements[0];
  add(&text, element->direction, &element->peer, element->transport, element->first, element->last, 0);
  g_autoptr(HfNftRuleset) ruleset = end_text(&text, "");
  g_autoptr(HfAudit) audit = hf_audit_new(one.firewall, ruleset, NULL);
  g_assert_cmpuint(audit->findings->len, ==, 1);
  const HfAuditFinding *finding = &g_array_index(audit->findings, HfAuditFinding, 0);
  g_assert_cmpint(finding->kind, ==, HF_AUDIT_UNUSED);
  g_assert_true(finding->reason == element->reason);
  g_assert_cmpstr(finding->comment, ==, "c");
}

static HfFirewallRange range_of(const char *first, const char *last)
{
  HfFirewallRange range = { .family = AF_INET };
  g_assert_cmpint(inet_pton(AF_INET, first, range.first), ==, 1);
  g_assert_cmpint(inet_pton(AF_INET, last, range.last), ==, 1);
  return range;
}

/* What is more than planned is told, just that. */
static void test_surplus(void)
{
  g_auto(Case) one;
  start(&one);
  Text text;
  HfFirewallRange around = range_of("10.1.0.20", "10.1.0.24"), other = range_of("192.0.2.1", "192.0.2.1");
  begin_text(&text);
  add_planned(&text, one.firewall, G_MAXUINT);
  add(&text, HF_PLAN_OUT, &around, HF_PORT_TCP, 2499, 3301, 1); /* a planned range of two hosts, a bit wider */
  add(&text, HF_PLAN_IN, &other, HF_PORT_UDP, 7, 7, 1);
  g_autoptr(HfNftRuleset) ruleset = end_text(&text, "");
  g_autoptr(HfAudit) audit = hf_audit_new(one.firewall, ruleset, NULL);
  expect(audit, HF_AUDIT_MISSING, "");
  expect(audit, HF_AUDIT_SURPLUS,
         "out tcp 2499-2499 10.1.0.21; out tcp 2499-2499 10.1.0.23; out tcp 2499-3301 10.1.0.20; "
         "out tcp 2499-3301 10.1.0.22; out tcp 2499-3301 10.1.0.24; out tcp 3301-3301 10.1.0.21; "
         "out tcp 3301-3301 10.1.0.23; in udp 7-7 192.0.2.1");
}

#define CHAIN(name, hook, policy) \
  ", {\"chain\": {\"family\": \"inet\", \"table\": \"t\", \"name\": \"" name "\", \"type\": \"filter\", \"hook\": \"" hook \
  "\", \"policy\": \"" policy "\"}}"
#define RULE(chain, expression) \
  ", {\"rule\": {\"family\": \"inet\", \"table\": \"t\", \"chain\": \"" chain "\", \"handle\": 9, \"expr\": [" expression \
  "]}}"
#define PORT(n) \
  "{\"match\": {\"op\": \"==\", \"left\": {\"payload\": {\"protocol\": \"tcp\", \"field\": \"dport\"}}, \"right\": " n "}}"

/* Another table may drop what ours lets through, and cannot open what ours does not. */
static void test_other_tables(void)
{
  g_auto(Case) one;
  start(&one);
  g_autoptr(HfNftRuleset) open = ruleset_without(&one, G_MAXUINT, CHAIN("x", "input", "accept"));
  g_autoptr(HfAudit) same = hf_audit_new(one.firewall, open, NULL);
  g_assert_cmpuint(same->findings->len, ==, 0);
  g_autoptr(HfNftRuleset) strict =
    ruleset_without(&one, G_MAXUINT, CHAIN("x", "output", "accept") RULE("x", PORT("5432") ", {\"drop\": null}"));
  g_autoptr(HfAudit) less = hf_audit_new(one.firewall, strict, NULL);
  expect(less, HF_AUDIT_MISSING, "out tcp 5432-5432 10.1.2.1");
  g_assert_cmpstr(g_array_index(less->findings, HfAuditFinding, 0).place, ==, "inet t x, handle 9");
  g_autoptr(HfNftRuleset) strange = ruleset_without(
    &one, G_MAXUINT, CHAIN("x", "output", "accept") RULE("x", PORT("5432") ", {\"xt\": {}}, {\"drop\": null}"));
  g_autoptr(HfAudit) unsure = hf_audit_new(one.firewall, strange, NULL);
  expect(unsure, HF_AUDIT_MISSING, "");
  expect(unsure, HF_AUDIT_UNSURE, "out tcp 5432-5432 10.1.2.1");
}

static void test_no_firewall(void)
{
  g_auto(Case) one;
  g_autoptr(GError) error = NULL;
  start(&one);
  g_autoptr(HfNftRuleset) ruleset = hf_nft_parse("{\"nftables\": []}", 16, &error);
  g_autoptr(HfAudit) audit = hf_audit_new(one.firewall, ruleset, NULL);
  expect(audit, HF_AUDIT_MISSING, "");
  g_assert_cmpuint(audit->counts[HF_AUDIT_SURPLUS], >, 8);
}

/* An address that a host name got while the firewall was loaded is no surplus; other ports for it are. */
static void test_host_names(void)
{
  g_auto(Case) one;
  start(&one);
  const HfFirewallSet *set = &one.firewall->sets[0];
  g_autofree char *more = g_strdup_printf(
    ", {\"set\": {\"family\": \"inet\", \"table\": \"holdfast\", \"name\": \"%s_ipv4\", \"type\": \"ipv4_addr\", \"elem\": "
    "[\"203.0.113.9\"]}}, {\"set\": {\"family\": \"inet\", \"table\": \"holdfast\", \"name\": \"%s_out\", \"type\": "
    "[\"inet_proto\", \"inet_service\"], \"elem\": [{\"concat\": [\"tcp\", %u]}, {\"concat\": [\"tcp\", 7]}]}}, "
    "{\"rule\": {\"family\": \"inet\", \"table\": \"holdfast\", \"chain\": \"c0\", \"handle\": 99, \"expr\": [{\"match\": "
    "{\"op\": \"==\", \"left\": {\"payload\": {\"protocol\": \"ip\", \"field\": \"daddr\"}}, \"right\": \"@%s_ipv4\"}}, "
    "{\"match\": {\"op\": \"==\", \"left\": {\"concat\": [{\"meta\": {\"key\": \"l4proto\"}}, {\"payload\": "
    "{\"protocol\": \"th\", \"field\": \"dport\"}}]}, \"right\": \"@%s_out\"}}, {\"accept\": null}]}}",
    set->id, set->id, set->ports[0].first, set->id, set->id);
  g_autoptr(HfNftRuleset) ruleset = ruleset_without(&one, G_MAXUINT, more);
  g_autoptr(HfAudit) audit = hf_audit_new(one.firewall, ruleset, NULL);
  expect(audit, HF_AUDIT_SURPLUS, "out tcp 7-7 203.0.113.9");
  g_assert_cmpuint(audit->findings->len, ==, 1);
}

/* ---- sockets ---- */

static void listen_at(GArray *sockets, const char *address, guint transport, guint16 port)
{
  HfSocket one = { .transport = transport, .port = port };
  g_assert_true(hf_topology_address_parse(address, FALSE, &one.address));
  g_array_append_val(sockets, one);
}

static void test_sockets(void)
{
  g_auto(Case) one;
  start(&one);
  g_autoptr(GArray) sockets = g_array_new(FALSE, FALSE, sizeof(HfSocket));
  HfSocket any = { .transport = HF_PORT_TCP, .port = 2777, .address = { .family = AF_INET } };
  g_array_append_val(sockets, any);                        /* in a planned range */
  listen_at(sockets, "127.0.0.1", HF_PORT_TCP, 631);       /* nobody else gets there */
  listen_at(sockets, "::1", HF_PORT_TCP, 631);
  listen_at(sockets, "10.1.0.10", HF_PORT_TCP, 8080);      /* stray */
  listen_at(sockets, "10.1.0.10", HF_PORT_UDP, 2777);      /* planned for TCP only */
  listen_at(sockets, "10.1.0.10", HF_PORT_UDP, 40000);     /* a client, most likely */
  g_autoptr(HfAudit) audit = hf_audit_new(one.firewall, NULL, sockets);
  expect(audit, HF_AUDIT_STRAY, "in tcp 8080-8080 -; in udp 2777-2777 -");
  g_assert_cmpuint(g_array_index(audit->findings, HfAuditFinding, 0).socket->port, ==, 8080);
}

/* Single ports that are planned must be there; on the loopback they are of no use. */
static void test_services(void)
{
  static const char text[] = "[host db]\naddress = 10.1.0.5\nroles = postgresql-database\n"
                             "[host srv]\naddress = 10.1.0.10\nroles = backup-server\n";
  g_autoptr(Fleet) fleet = fleet_plan(text);
  g_autoptr(HfFirewall) firewall = hf_firewall_new(fleet->plan, fleet_node(fleet, "db"), HF_FIREWALL_NAMES_APART);
  g_autoptr(GArray) sockets = g_array_new(FALSE, FALSE, sizeof(HfSocket));
  listen_at(sockets, "127.0.0.1", HF_PORT_TCP, 5432);
  g_autoptr(HfAudit) without = hf_audit_new(firewall, NULL, sockets);
  expect(without, HF_AUDIT_NO_SERVICE, "in tcp 5432-5432 -");
  listen_at(sockets, "10.1.0.5", HF_PORT_TCP, 5432);
  g_autoptr(HfAudit) with = hf_audit_new(firewall, NULL, sockets);
  g_assert_cmpuint(with->findings->len, ==, 0);
}

static void test_texts(void)
{
  g_assert_cmpstr(hf_audit_kind_text(HF_AUDIT_MISSING), ==, "missing");
  g_assert_cmpstr(hf_audit_kind_text(HF_AUDIT_NO_SERVICE), ==, "no-service");
  hf_audit_free(NULL);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/audit/as-planned", test_as_planned);
  g_test_add_func("/audit/each-missing", test_each_missing);
  g_test_add_func("/audit/unused", test_unused);
  g_test_add_func("/audit/surplus", test_surplus);
  g_test_add_func("/audit/other-tables", test_other_tables);
  g_test_add_func("/audit/no-firewall", test_no_firewall);
  g_test_add_func("/audit/host-names", test_host_names);
  g_test_add_func("/audit/sockets", test_sockets);
  g_test_add_func("/audit/services", test_services);
  g_test_add_func("/audit/texts", test_texts);
  return g_test_run();
}
