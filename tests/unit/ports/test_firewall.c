/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Firewalls: elements that do not overlap, named sets, texts of ranges and rows. */
#include "ports/firewall/firewall.h"

#include <arpa/inet.h>

#include "fleet.h"
#include "ports/firewall/make.h"

static const char office[] =
  "[fleet]\ntitle = Office\n"
  "[host vbr]\nroles = backup-server\naddress = 10.0.0.1, 2001:db8::1\n"
  "[host proxy[1-3]]\nroles = backup-proxy\naddress = 10.0.0.11-10.0.0.13, 2001:db8::11-2001:db8::13\n"
  "[host proxy4]\nroles = backup-proxy\naddress = 10.0.0.14\n"
  "[host late[1-2]]\nroles = backup-proxy\nname = late[1-2].example.org\n";

static HfFirewall *firewall_of(const Fleet *fleet, const char *host, HfFirewallNames names)
{
  return hf_firewall_new(fleet->plan, fleet_node(fleet, host), names);
}

/* "out tcp 22 10.0.0.11-10.0.0.14 m5.4", or NULL when no element has this direction, port and family. Caller frees. */
static char *element_text(const HfFirewall *firewall, HfPlanDirection direction, guint16 port, int family)
{
  for (guint i = 0; i < firewall->n_elements; i++) {
    const HfFirewallElement *element = &firewall->elements[i];
    if (element->direction != direction || element->peer.family != family || element->first > port ||
        element->last < port)
      continue;
    g_autofree char *range = hf_firewall_range_text(&element->peer);
    g_autofree char *rows = hf_firewall_rows_text(element->reason, 100);
    g_autofree char *ports = hf_plan_ports_text(element->first, element->last);
    return g_strdup_printf("%s %s %s %s", hf_port_transports_text(element->transport), ports, range, rows);
  }
  return NULL;
}

static void expect_text(char *found, const char *expected)
{
  g_assert_cmpstr(found, ==, expected);
  g_free(found);
}

/* --------------------------------------------------------------------------------------------------- ranges -- */

static HfFirewallRange range_of(const char *first, const char *last)
{
  HfFirewallRange range = { .family = strchr(first, ':') != NULL ? AF_INET6 : AF_INET };
  g_assert_cmpint(inet_pton(range.family, first, range.first), ==, 1);
  g_assert_cmpint(inet_pton(range.family, last, range.last), ==, 1);
  return range;
}

static void test_range_text(void)
{
  static const char *const cases[][3] = {
    { "10.0.0.1", "10.0.0.1", "10.0.0.1" },
    { "10.0.0.0", "10.0.0.255", "10.0.0.0/24" },
    { "10.0.0.0", "10.0.1.0", "10.0.0.0-10.0.1.0" },
    { "10.0.0.1", "10.0.0.2", "10.0.0.1-10.0.0.2" },
    { "0.0.0.0", "255.255.255.255", "0.0.0.0/0" },
    { "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::/0" },
    { "2001:db8::", "2001:db8::1ff", "2001:db8::/119" },
    { "2001:db8::1", "2001:db8::1ff", "2001:db8::1-2001:db8::1ff" },
  };
  for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
    HfFirewallRange range = range_of(cases[i][0], cases[i][1]);
    expect_text(hf_firewall_range_text(&range), cases[i][2]);
  }
}

/* The networks of a range, apart by spaces. */
static char *networks_text(const char *first, const char *last)
{
  HfFirewallRange range = range_of(first, last);
  g_autoptr(GArray) networks = hf_firewall_range_networks(&range);
  GString *text = g_string_new(NULL);
  for (guint i = 0; i < networks->len; i++) {
    g_autofree char *one = hf_topology_address_text(&g_array_index(networks, HfTopologyAddress, i));
    g_string_append_printf(text, "%s%s", i > 0 ? " " : "", one);
  }
  return g_string_free(text, FALSE);
}

static void test_range_networks(void)
{
  expect_text(networks_text("10.1.1.1", "10.1.1.40"),
              "10.1.1.1 10.1.1.2/31 10.1.1.4/30 10.1.1.8/29 10.1.1.16/28 10.1.1.32/29 10.1.1.40");
  expect_text(networks_text("0.0.0.0", "255.255.255.255"), "0.0.0.0/0");
  expect_text(networks_text("255.255.255.254", "255.255.255.255"), "255.255.255.254/31");
  expect_text(networks_text("255.255.255.255", "255.255.255.255"), "255.255.255.255");
  expect_text(networks_text("127.255.255.255", "128.0.0.0"), "127.255.255.255 128.0.0.0");
  expect_text(networks_text("2001:db8::ffff", "2001:db8::1:1"), "2001:db8::ffff 2001:db8::1:0/127");
}

static void test_span_ends(void)
{
  guint8 last[16] = { 255, 255, 255, 255 }, first[16] = { 0 };
  g_assert_false(hf_span_step_up(AF_INET, last));
  g_assert_false(hf_span_step_down(AF_INET, first));
  g_autoptr(GArray) ranges = g_array_new(FALSE, FALSE, sizeof(HfFirewallRange));
  HfFirewallRange top = range_of("255.255.255.0", "255.255.255.255"), bottom = range_of("0.0.0.0", "0.0.0.9"),
                  next = range_of("0.0.0.10", "0.0.0.10"), six = range_of("::b", "::c");
  hf_span_append(ranges, &top);
  hf_span_append(ranges, &bottom);
  hf_span_append(ranges, &next);
  hf_span_append(ranges, &six);
  g_assert_cmpuint(ranges->len, ==, 3);
  expect_text(hf_firewall_range_text(&g_array_index(ranges, HfFirewallRange, 1)), "0.0.0.0-0.0.0.10");
}

/* ------------------------------------------------------------------------------------------------- elements -- */

static void test_elements(void)
{
  g_autoptr(Fleet) fleet = fleet_plan(office);
  g_autoptr(HfFirewall) firewall = firewall_of(fleet, "vbr", HF_FIREWALL_NAMES_APART);
  expect_text(element_text(firewall, HF_PLAN_OUT, 22, AF_INET), "tcp 22 10.0.0.11-10.0.0.14 m5.4");
  expect_text(element_text(firewall, HF_PLAN_OUT, 22, AF_INET6), "tcp 22 2001:db8::11-2001:db8::13 m5.4");
  g_assert_null(element_text(firewall, HF_PLAN_IN, 22, AF_INET));
  g_autoptr(HfFirewall) proxy = firewall_of(fleet, "proxy2", HF_FIREWALL_NAMES_APART);
  expect_text(element_text(proxy, HF_PLAN_IN, 22, AF_INET), "tcp 22 10.0.0.1 m5.4");
  for (guint i = 1; i < firewall->n_elements; i++) {
    const HfFirewallElement *before = &firewall->elements[i - 1], *here = before + 1;
    g_assert_true(before->direction == here->direction || here->direction == HF_PLAN_IN);
    g_assert_true(before->direction != here->direction || before->peer.family == here->peer.family ||
                  here->peer.family == AF_INET6);
  }
  g_assert_cmpuint(firewall->n_unresolved, ==, 0);
}

/* Networks in networks: each address and port is in one element, which has the rows of all that meet there. */
static void test_overlaps(void)
{
  g_autoptr(Fleet) fleet = fleet_plan("[host vbr]\nroles = backup-server\naddress = 10.0.0.1\n"
                                      "[external wide]\nroles = esxi\naddress = 10.9.0.0/24\n"
                                      "[external inner]\nroles = vcenter\naddress = 10.9.0.16/28\n");
  g_autoptr(HfFirewall) firewall = firewall_of(fleet, "vbr", HF_FIREWALL_NAMES_APART);
  guint meeting = 0, wide = 0;
  for (guint i = 0; i < firewall->n_elements; i++) {
    const HfFirewallElement *element = &firewall->elements[i];
    g_autofree char *range = hf_firewall_range_text(&element->peer);
    if (element->first != 443)
      continue;
    if (g_str_equal(range, "10.9.0.16/28")) {
      g_assert_cmpuint(element->reason->n_flows, >=, 2);
      g_assert_nonnull(strstr(element->reason->peers, "wide"));
      g_assert_nonnull(strstr(element->reason->peers, "inner"));
      meeting++;
    } else {
      g_assert_true(g_str_equal(range, "10.9.0.0/28") || g_str_equal(range, "10.9.0.32-10.9.0.255"));
      wide++;
    }
  }
  g_assert_cmpuint(meeting, ==, 1);
  g_assert_cmpuint(wide, ==, 2);
}

static void test_same_twice(void)
{
  g_autoptr(Fleet) fleet = fleet_plan(office);
  for (HfFirewallFormat format = HF_FIREWALL_NFTABLES; format <= HF_FIREWALL_JSON; format++) {
    g_autofree char *one = hf_firewall_render(fleet->plan, fleet_node(fleet, "vbr"), format, HF_FIREWALL_NO_LOG, NULL);
    g_autofree char *two = hf_firewall_render(fleet->plan, fleet_node(fleet, "vbr"), format, HF_FIREWALL_NO_LOG, NULL);
    g_assert_cmpstr(one, ==, two);
    g_assert_true(g_str_has_suffix(one, "\n"));
  }
}

/* A host that has to do with nobody still gets its default drop. */
static void test_alone(void)
{
  g_autoptr(Fleet) fleet = fleet_plan("[host h]\nroles = guest\naddress = 10.0.0.1\n");
  for (HfFirewallFormat format = HF_FIREWALL_NFTABLES; format <= HF_FIREWALL_JSON; format++) {
    g_autofree char *text = hf_firewall_render(fleet->plan, fleet_node(fleet, "h"), format, HF_FIREWALL_NO_LOG, NULL);
    static const char *const drops[] = { "policy drop", ":INPUT DROP", "target=\"DROP\"", "default deny incoming",
                                         "-DefaultInboundAction Block", "\"drop\"", "\"policy\": \"drop\"" };
    g_assert_nonnull(strstr(text, drops[format]));
  }
}

/* ----------------------------------------------------------------------------------------------- named sets -- */

static const char cloud[] =
  "[host vbr]\nroles = backup-server\naddress = 10.0.0.1\n"
  "[external one]\nroles = amazon-s3\n"
  "names *.amazonaws.com = 192.0.2.0/25, 192.0.2.128/25, 192.0.2.7, 2001:db8:9::/48, s3.example.org\n"
  "names *.amazontrust.com = 192.0.2.0/24\n"
  "[external two]\nroles = amazon-s3\nnames *.amazonaws.com = 198.51.100.1\n";

static const HfFirewallSet *set_of(const HfFirewall *firewall, const char *id)
{
  for (guint i = 0; i < firewall->n_sets; i++)
    if (g_str_equal(firewall->sets[i].id, id))
      return &firewall->sets[i];
  g_error("no set '%s'", id);
}

static void test_sets_apart(void)
{
  g_autoptr(Fleet) fleet = fleet_plan(cloud);
  g_autoptr(HfFirewall) firewall = firewall_of(fleet, "vbr", HF_FIREWALL_NAMES_APART);
  const HfFirewallSet *set = set_of(firewall, "any_amazonaws_com");
  g_assert_cmpstr(set->text, ==, "*.amazonaws.com");
  g_assert_nonnull(set->name);
  g_assert_null(set->group);
  g_assert_cmpuint(set->n_members, ==, 2);
  expect_text(hf_firewall_range_text(&set->members[0]), "192.0.2.0/24");
  expect_text(hf_firewall_range_text(&set->members[1]), "2001:db8:9::/48");
  g_assert_cmpstr(set->host_names[0], ==, "s3.example.org");
  g_assert_null(set->host_names[1]);
  g_assert_cmpuint(set->n_ports, ==, 1);
  g_assert_cmpuint(set->ports[0].first, ==, 443);
  g_assert_cmpuint(set_of(firewall, "any_amazonaws_com_2")->n_members, ==, 1);
  g_assert_cmpuint(firewall->n_elements, ==, 0);
}

static void test_sets_resolved(void)
{
  g_autoptr(Fleet) fleet = fleet_plan(cloud);
  g_autoptr(HfFirewall) firewall = firewall_of(fleet, "vbr", HF_FIREWALL_NAMES_RESOLVED);
  g_assert_cmpuint(firewall->n_sets, ==, 1);
  g_assert_cmpuint(firewall->sets[0].n_members, ==, 0);
  expect_text(element_text(firewall, HF_PLAN_OUT, 443, AF_INET), "tcp 443 192.0.2.0/24 m18.3");
  expect_text(element_text(firewall, HF_PLAN_OUT, 443, AF_INET6), "tcp 443 2001:db8:9::/48 m18.3");
  expect_text(element_text(firewall, HF_PLAN_OUT, 80, AF_INET), "tcp 80 192.0.2.0/24 m18.4");
}

/* Nodes of which only host names are known are a set in both directions, without the host itself. */
static void test_sets_of_nodes(void)
{
  g_autoptr(Fleet) fleet = fleet_plan(office);
  g_autoptr(HfFirewall) firewall = firewall_of(fleet, "vbr", HF_FIREWALL_NAMES_RESOLVED);
  const HfFirewallSet *set = set_of(firewall, "late_1_2");
  gboolean in = FALSE, out = FALSE;
  g_assert_null(set->name);
  g_assert_nonnull(set->group);
  g_assert_cmpstr(set->host_names[1], ==, "late2.example.org");
  g_assert_null(set->host_names[2]);
  for (guint i = 0; i < set->n_ports; i++) {
    in |= set->ports[i].direction == HF_PLAN_IN;
    out |= set->ports[i].direction == HF_PLAN_OUT;
  }
  g_assert_true(in && out);
  g_autoptr(HfFirewall) late = firewall_of(fleet, "late1", HF_FIREWALL_NAMES_APART);
  for (guint i = 0; i < late->n_sets; i++)
    g_assert_cmpstr(late->sets[i].host_names[0], !=, "late1.example.org");
}

static void test_set_ids(void)
{
  static const char *const cases[][2] = {
    { "*.amazonaws.com", "any_amazonaws_com" }, { "*.Amazonaws.com", "any_amazonaws_com_2" },
    { "in", "set_in" }, { "out", "set_out" }, { "1.example", "set_1_example" }, { "***", "any" }, { "--", "set" },
    { "", "set_2" }, { "a\"; drop", "a_drop" }, { "\xc3\xa4", "set_3" },
    { "a.very.long.name.that.goes.on.and.on.and.on.and.on.example.org", "a_very_long_name_that_goes_on_and_on_and" },
  };
  g_autoptr(GHashTable) taken = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  for (guint i = 0; i < G_N_ELEMENTS(cases); i++)
    expect_text(hf_set_id(cases[i][0], taken), cases[i][1]);
}

/* ---------------------------------------------------------------------------------------------------- texts -- */

static void test_rows_text(void)
{
  static const char *const ids[] = { "x1.1", "m2.17", "m2.18", "m2.20", "m2.21", "m2.22", "m4.3" };
  const HfPortRow *rows[G_N_ELEMENTS(ids)];
  for (guint i = 0; i < G_N_ELEMENTS(ids); i++)
    rows[i] = hf_port_row_find(ids[i]);
  HfFirewallReason reason = { .rows = rows, .n_rows = G_N_ELEMENTS(ids), .peers = "a \"b\"" };
  expect_text(hf_firewall_rows_text(&reason, 60), "x1.1 m2.17 m2.18 m2.20 m2.21 m2.22 m4.3");
  expect_text(hf_firewall_rows_text(&reason, 38), "x1.1 m2.17,18,20-22 m4.3");
  expect_text(hf_firewall_rows_text(&reason, 24), "x1.1 m2.17,18,20-22 m4.3");
  expect_text(hf_firewall_rows_text(&reason, 23), "x1.1 m2.17,18 +4");
  expect_text(hf_element_comment(&reason, 60), "x1.1 m2.17 m2.18 m2.20 m2.21 m2.22 m4.3 | a ?b?");
  expect_text(hf_element_comment(&reason, 50), "x1.1 m2.17 m2.18 m2.20 m2.21 m2.22 m4.3");
}

static void test_plain(void)
{
  expect_text(hf_plain("web[1-40], *.a.org", 60), "web[1-40], *.a.org");
  expect_text(hf_plain("a\"b'c`d$e\\f<g>h\ni\rj\tk{l}m|n&o;p#q%r!s~t^u", 80),
              "a?b?c?d?e?f?g?h?i?j?k?l?m?n?o;p?q?r?s?t?u");
  expect_text(hf_plain("\xff\xfe\xe2\x80\x99\xc3\xa4\x7f", 60), "?????");
  expect_text(hf_plain("0123456789", 10), "0123456789");
  expect_text(hf_plain("0123456789a", 10), "0123456...");
}

/* A reason is optional, or for a fallback, when all that it stands for is. */
static void test_reasons(void)
{
  g_autoptr(GPtrArray) owned = g_ptr_array_new_with_free_func(g_free);
  GStringChunk *strings = g_string_chunk_new(64);
  HfReasons *reasons = hf_reasons_new(owned, strings);
  const HfPlanRow rows[] = { { .row = hf_port_row_find("m2.17") },
                             { .row = hf_port_row_find("m2.18"), .optional = TRUE },
                             { .row = hf_port_row_find("x1.1"), .optional = TRUE } };
  const HfPlanPeers peers = { .n_groups = 0 };
  const HfPlanFlow mixed = { .index = 1, .from = &peers, .to = &peers, .rows = rows, .n_rows = 2, .fallback = TRUE };
  const HfPlanFlow spare = { .index = 2, .from = &peers, .to = &peers, .rows = rows + 1, .n_rows = 2 };
  const HfPlanFlow *const both[] = { &spare, &mixed, &spare };
  const HfFirewallReason *one = hf_reasons_get(reasons, HF_PLAN_IN, both, 1, NULL);
  const HfFirewallReason *two = hf_reasons_get(reasons, HF_PLAN_IN, both, 3, NULL);
  g_assert_true(one->optional && !one->fallback);
  g_assert_true(!two->optional && !two->fallback);
  g_assert_cmpuint(two->n_flows, ==, 2);
  expect_text(hf_firewall_rows_text(two, 60), "x1.1 m2.17 m2.18");
  one = hf_reasons_get(reasons, HF_PLAN_IN, both + 1, 1, NULL);
  g_assert_true(!one->optional && one->fallback);
  g_assert_true(hf_reasons_get(reasons, HF_PLAN_IN, both + 1, 2, NULL) == two);
  g_assert_true(hf_reasons_get(reasons, HF_PLAN_OUT, both + 1, 2, NULL) != two);
  g_autoptr(GPtrArray) all = hf_reasons_finish(reasons);
  g_assert_cmpuint(all->len, ==, 4);
  g_assert_true(all->pdata[0] == one);
  hf_reasons_free(reasons);
  g_string_chunk_free(strings);
}

static void test_many_names(void)
{
  g_autoptr(Fleet) fleet = fleet_plan("[host vbr]\nroles = backup-server\naddress = 10.0.0.1\n"
                                      "[host late[1-600]]\nroles = backup-proxy\nname = late[1-600].example.org\n");
  const HfTopologyNode *host = fleet_node(fleet, "vbr");
  g_autofree char *text = hf_firewall_render(fleet->plan, host, HF_FIREWALL_UFW, HF_FIREWALL_NO_LOG, NULL);
  g_assert_nonnull(strstr(text, ", late500.example.org and others; write: address = ADDRESS in [host late[1-600]]"));
  g_assert_null(strstr(text, "late501.example.org"));
}

static void test_many_peers(void)
{
  g_autoptr(GString) text = g_string_new("[host vbr]\nroles = backup-server\naddress = 10.0.0.1\n");
  for (guint i = 0; i < 60; i++)
    g_string_append_printf(text, "[host proxy-%c%c]\nroles = backup-proxy\naddress = 10.0.1.%u\npeers guest = none\n"
                                 "open-ports = %u\n", 'a' + i / 10, 'a' + i % 10, i + 1, i + 1);
  g_autoptr(Fleet) fleet = fleet_plan(text->str);
  g_autoptr(HfFirewall) firewall = firewall_of(fleet, "vbr", HF_FIREWALL_NAMES_APART);
  const char *peers = firewall->elements[0].reason->peers;
  g_assert_true(g_str_has_suffix(peers, " more"));
  g_assert_cmpuint(strlen(peers), <, 200);
}

/* -------------------------------------------------------------------------------------------------- formats -- */

static void test_log_group(void)
{
  g_autoptr(Fleet) fleet = fleet_plan(office);
  const HfTopologyNode *host = fleet_node(fleet, "vbr");
  for (HfFirewallFormat format = HF_FIREWALL_NFTABLES; format <= HF_FIREWALL_JSON; format++) {
    g_autoptr(GError) error = NULL;
    g_autofree char *text = hf_firewall_render(fleet->plan, host, format, 9, &error);
    if (format == HF_FIREWALL_NFTABLES)
      g_assert_nonnull(strstr(text, "\n    log group 9 snaplen 128 prefix \"holdfast-in\"\n"));
    else if (format == HF_FIREWALL_IPTABLES)
      g_assert_nonnull(strstr(text, "\n-A HOLDFAST-DROPPED -j NFLOG --nflog-group 9 "));
    else
      g_assert_true(text == NULL && hf_error_is(error, HF_ERROR_USAGE));
  }
}

static void test_unresolved(void)
{
  g_autoptr(Fleet) fleet = fleet_plan("[host vbr]\nroles = backup-server, backup-proxy\naddress = 10.0.0.1\n"
                                      "[external nas]\nroles = nfs-repository\naddress = 10.0.0.2\n");
  const HfTopologyNode *host = fleet_node(fleet, "vbr");
  g_assert_nonnull(fleet_unresolved(fleet, "nas", "mountd_port"));
  for (HfFirewallFormat format = HF_FIREWALL_NFTABLES; format <= HF_FIREWALL_JSON; format++) {
    g_autofree char *text = hf_firewall_render(fleet->plan, host, format, HF_FIREWALL_NO_LOG, NULL);
    g_assert_nonnull(strstr(text, "port mountd_port = "));
  }
  g_autoptr(HfFirewall) firewall = firewall_of(fleet, "vbr", HF_FIREWALL_NAMES_APART);
  g_assert_cmpuint(firewall->n_unresolved, >=, 1);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/firewall/range-text", test_range_text);
  g_test_add_func("/firewall/range-networks", test_range_networks);
  g_test_add_func("/firewall/span-ends", test_span_ends);
  g_test_add_func("/firewall/elements", test_elements);
  g_test_add_func("/firewall/overlaps", test_overlaps);
  g_test_add_func("/firewall/same-twice", test_same_twice);
  g_test_add_func("/firewall/alone", test_alone);
  g_test_add_func("/firewall/sets-apart", test_sets_apart);
  g_test_add_func("/firewall/sets-resolved", test_sets_resolved);
  g_test_add_func("/firewall/sets-of-nodes", test_sets_of_nodes);
  g_test_add_func("/firewall/set-ids", test_set_ids);
  g_test_add_func("/firewall/rows-text", test_rows_text);
  g_test_add_func("/firewall/plain", test_plain);
  g_test_add_func("/firewall/reasons", test_reasons);
  g_test_add_func("/firewall/many-names", test_many_names);
  g_test_add_func("/firewall/many-peers", test_many_peers);
  g_test_add_func("/firewall/log-group", test_log_group);
  g_test_add_func("/firewall/unresolved", test_unresolved);
  return g_test_run();
}
