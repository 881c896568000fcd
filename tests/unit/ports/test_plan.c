/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Plans: groups, what flows between them, what stays unresolved, what one host gets. */
#include "fleet.h"

static void expect_text(char *found, const char *expected)
{
  g_assert_cmpstr(found, ==, expected);
  g_free(found);
}

/* --------------------------------------------------------------------------------------------------- groups -- */

static void test_groups(void)
{
  g_autoptr(Fleet) fleet = fleet_plan("[host a1]\nroles = guest\naddress = 10.0.0.1\n"
                                      "[host a2]\nroles = guest\naddress = 10.0.0.2\n"
                                      "[host b]\nroles = guest\nos = windows\naddress = 10.0.0.3\n"
                                      "[host a3]\nroles = guest\naddress = 10.0.0.4\n"
                                      "[host six]\nroles = guest\naddress = 2001:db8::1\n"
                                      "[host named]\nroles = guest\nname = named.example.org\n"
                                      "[host z[08-11]]\nroles = guest, console\naddress = 10.0.1.1-10.0.1.4\n"
                                      "[host x1y]\nroles = guest, console\naddress = 10.0.2.1\n"
                                      "[host x2y]\nroles = guest, console\naddress = 10.0.2.2\n"
                                      "[host x3z]\nroles = guest, console\naddress = 10.0.2.3\n");
  static const char *const titles[] = { "a[1-3]", "b", "six", "named", "z[08-11], x[1-2]y, x3z" };
  g_assert_cmpuint(fleet->plan->n_groups, ==, G_N_ELEMENTS(titles));
  for (guint i = 0; i < G_N_ELEMENTS(titles); i++)
    g_assert_cmpstr(fleet->plan->groups[i]->title, ==, titles[i]);
  g_assert_true(hf_plan_group(fleet->plan, fleet_node(fleet, "a3")) == fleet->plan->groups[0]);
  g_assert_cmpuint(fleet->plan->groups[0]->n_nodes, ==, 3);
}

/* What may make nodes that are otherwise alike differ. */
static void test_apart(void)
{
  static const char *const lines[] = {
    "os = windows",
    "port mountd_port = 4000",
    "port mountd_port = 4000/tcp",
    "open-ports = 3",
    "want = all",
    "fallback-ports = no",
    "peers gateway-server = none",
    "peers gateway-server = g",
    "value storage-account = a",
    "value storage-account = b",
    "names *.ss2.us = 10.9.0.1",
    "names *.ss2.us = x.org",
    "names *.ss2.us = 10.9.0.2",
    "port m9.1#2 = 2049",
    "port nfs = 2049",
    "roles = amazon-s3",
  };
  GString *text = g_string_new("[host g]\nroles = gateway-server\n"
                               "[external plain]\nroles = nfs-repository\n[external same]\nroles = nfs-repository\n");
  guint groups = 2;
  for (guint i = 0; i < G_N_ELEMENTS(lines); i++) {
    if (strstr(lines[i], "m9.1") != NULL || strstr(lines[i], "nfs =") != NULL)
      continue; /* fixed */
    g_string_append_printf(text, "[external n%u]\nroles = nfs-repository\n%s\n", i, lines[i]);
    groups++;
  }
  g_autoptr(Fleet) fleet = fleet_plan(text->str);
  g_assert_cmpuint(fleet->plan->n_groups, ==, groups);
  g_string_free(text, TRUE);
}

/* ---------------------------------------------------------------------------------------------------- flows -- */

#define SMALL                                                                                                          \
  "[host vbr]\nroles = backup-server\naddress = 10.0.0.1\n"                                                            \
  "[host proxy[1-3]]\nroles = backup-proxy\naddress = 10.0.0.11-10.0.0.13\n"                                           \
  "[host repo]\nroles = backup-repository, mount-server\naddress = 10.0.0.21\n"

static void test_merging(void)
{
  g_autoptr(Fleet) fleet = fleet_plan(SMALL);
  /* One port that several rows ask for is one flow. */
  fleet_expect(fleet, "vbr", "repo", "tcp 6160", "m8.5, m57.8, m61.1");
  fleet_expect(fleet, "vbr", "repo", "tcp 6162", "m8.6, m57.9");
  fleet_expect(fleet, "proxy1", "proxy2", "tcp 2500", "m5.13");
  fleet_expect(fleet, "repo", "vbr", "tcp 443", "m1.8, m57.1");
  g_assert_false(fleet_open(fleet, "repo", "repo", "tcp 6162"));
  g_assert_false(fleet_open(fleet, "vbr", "proxy1", "tcp 9401"));
  const HfPlanFlow *flow = fleet_flow(fleet, "proxy1", "proxy2", "tcp 3300");
  g_assert_cmpuint(hf_plan_flow_pairs(flow), ==, 6);
  g_assert_cmpuint(flow->first, ==, 2500);
  g_assert_cmpuint(flow->last, ==, 3300);
  g_assert_false(flow->fallback);
  for (guint i = 0; i < fleet->plan->n_flows; i++)
    g_assert_cmpuint(fleet->plan->flows[i]->index, ==, i);
}

/* Ranges that overlap are cut: each piece lists the rows of all that cover it. */
static void test_overlap(void)
{
  g_autoptr(Fleet) fleet =
    fleet_plan("[host vbr]\nroles = backup-server\naddress = 10.0.0.1\n"
               "[host m]\nroles = mount-server\naddress = 10.0.0.2\n"
               "[host h]\nroles = helper-host, tape-server\nwindows-firewall = custom\naddress = 10.0.0.3\n"
               "[external v]\nroles = lab-vm\naddress = 10.0.0.9\n"
               "port application_port = 100-200/tcp, 150-250/tcp, 251/tcp, 300/tcp, 100/udp\n");
  /* 32768-60999 and 49152-65535 */
  const HfPlanFlow *low = fleet_flow(fleet, "vbr", "h", "tcp 40000"),
                   *both = fleet_flow(fleet, "vbr", "h", "tcp 50000"),
                   *high = fleet_flow(fleet, "vbr", "h", "tcp 65535");
  g_assert_cmpuint(low->first, ==, 32768);
  g_assert_cmpuint(low->last, ==, 49151);
  g_assert_cmpuint(both->first, ==, 49152);
  g_assert_cmpuint(both->last, ==, 60999);
  g_assert_cmpuint(high->first, ==, 61000);
  fleet_expect(fleet, "vbr", "h", "tcp 40000", "m59.6");
  fleet_expect(fleet, "vbr", "h", "tcp 50000", "m45.6, m59.6");
  fleet_expect(fleet, "vbr", "h", "tcp 65535", "m45.6");
  fleet_expect(fleet, "m", "h", "tcp 50000", "m59.9");
  /* Pieces of the same rows that touch become one again. */
  const HfPlanFlow *probe = fleet_flow(fleet, "vbr", "v", "tcp 120");
  g_assert_cmpuint(probe->first, ==, 100);
  g_assert_cmpuint(probe->last, ==, 251);
  g_assert_true(fleet_open(fleet, "vbr", "v", "tcp 300"));
  g_assert_true(fleet_open(fleet, "vbr", "v", "udp 100"));
  g_assert_false(fleet_open(fleet, "vbr", "v", "udp 101"));
  g_assert_false(fleet_open(fleet, "vbr", "v", "tcp 260"));
}

static void test_fallback(void)
{
  g_autoptr(Fleet) fleet = fleet_plan("[host c]\nroles = console\naddress = 10.0.0.1\n"
                                      "[host m]\nroles = mount-server\naddress = 10.0.0.2\n"
                                      "[host n]\nroles = mount-server\nfallback-ports = no\naddress = 10.0.0.3\n");
  g_assert_false(fleet_flow(fleet, "c", "m", "tcp 6162")->fallback);
  g_assert_true(fleet_flow(fleet, "c", "m", "tcp 2500")->fallback);
  g_assert_true(fleet_flow(fleet, "c", "m", "tcp 2500")->rows[0].fallback);
  g_assert_true(fleet_open(fleet, "c", "n", "tcp 6162"));
  g_assert_false(fleet_open(fleet, "c", "n", "tcp 2500"));
  g_autoptr(Fleet) closed = fleet_plan("[fleet]\nfallback-ports = no\n[host c]\nroles = console\naddress = 10.0.0.1\n"
                                       "[host m]\nroles = mount-server\naddress = 10.0.0.2\n"
                                       "[host n]\nroles = mount-server\nfallback-ports = yes\naddress = 10.0.0.3\n");
  g_assert_false(fleet_open(closed, "c", "m", "tcp 2500"));
  g_assert_true(fleet_open(closed, "c", "n", "tcp 2500"));
}

#define DESKS(more)                                                                                                    \
  "[host vbr]\nroles = backup-server\nos = windows\naddress = 10.0.0.1\n"                                              \
  "[external pc]\nroles = management-pc\naddress = 10.0.0.2\n" more                                                    \
  "[external pc2]\nroles = management-pc\naddress = 10.0.0.3\n"                                                        \
  "[external vendor]\nroles = notification-server\naddress = 10.0.0.4\n"

static void test_optional(void)
{
  g_autoptr(Fleet) nobody = fleet_plan(DESKS(""));
  g_assert_false(fleet_open(nobody, "pc", "vbr", "tcp 3389"));
  g_assert_cmpuint(nobody->plan->n_optional, ==, 2);
  g_assert_cmpstr(nobody->plan->optional[0]->row->id, ==, "m1.15");
  g_assert_cmpuint(nobody->plan->optional[0]->from->n_nodes, ==, 2);
  g_assert_cmpuint(nobody->plan->optional[0]->to->n_nodes, ==, 1);
  g_autoptr(Fleet) some = fleet_plan(DESKS("want = m1.15\n"));
  g_assert_true(fleet_open(some, "pc", "vbr", "tcp 3389"));
  g_assert_true(fleet_flow(some, "pc", "vbr", "tcp 3389")->rows[0].optional);
  g_assert_false(fleet_open(some, "pc2", "vbr", "tcp 3389"));
  g_assert_cmpuint(some->plan->n_optional, ==, 2);
  g_autoptr(Fleet) first = fleet_plan("[fleet]\nwant = m1\n" DESKS(""));
  g_assert_true(fleet_open(first, "pc2", "vbr", "tcp 3389"));
  g_assert_false(fleet_open(first, "vbr", "vendor", "tcp 443"));
  g_autoptr(Fleet) every = fleet_plan("[fleet]\nwant = all\n" DESKS(""));
  g_assert_true(fleet_open(every, "vbr", "vendor", "tcp 443"));
  g_assert_cmpuint(every->plan->n_optional, ==, 0);
}

static void test_peers(void)
{
  g_autoptr(Fleet) fleet =
    fleet_plan("[host vbr]\nroles = backup-server\naddress = 10.0.0.1\n"
               "[host p[1-3]]\nroles = backup-proxy\naddress = 10.0.0.11-10.0.0.13\n"
               "[host q]\nroles = backup-proxy\npeers backup-repository = r2\naddress = 10.0.0.14\n"
               "[host r1]\nroles = backup-repository\naddress = 10.0.0.21\n"
               "[host r2]\nroles = backup-repository\npeers backup-proxy = p2, q\n"
               "address = 10.0.0.22\n");
  g_assert_true(fleet_open(fleet, "p1", "r1", "tcp 6162"));
  g_assert_false(fleet_open(fleet, "p1", "r2", "tcp 6162"));
  g_assert_true(fleet_open(fleet, "p2", "r2", "tcp 6162"));
  g_assert_false(fleet_open(fleet, "p3", "r2", "tcp 6162"));
  g_assert_true(fleet_open(fleet, "q", "r2", "tcp 6162"));
  g_assert_false(fleet_open(fleet, "q", "r1", "tcp 6162"));
  g_assert_true(fleet_open(fleet, "vbr", "r2", "tcp 6160"));
  g_assert_cmpstr(hf_plan_group(fleet->plan, fleet_node(fleet, "p1"))->title, ==, "p1, p3");
  /* A list of the wider role counts for the narrower ones. */
  g_autoptr(Fleet) wide = fleet_plan("[host s]\nroles = cdp-proxy-source\npeers cdp-proxy = t1\naddress = 10.0.0.1\n"
                                     "[host t[1-2]]\nroles = cdp-proxy-target\naddress = 10.0.0.2-10.0.0.3\n");
  g_assert_true(fleet_open(wide, "s", "t1", "tcp 33033"));
  g_assert_false(fleet_open(wide, "s", "t2", "tcp 33033"));
}

static void test_server_answers(void)
{
  /* "server." asks the backup server, though neither end is one. */
  g_autoptr(Fleet) first = fleet_plan("[host a]\nroles = backup-server\nos = windows\naddress = 10.0.0.1\n"
                                      "[host b]\nroles = file-server, backup-proxy\naddress = 10.0.0.2\n");
  g_autoptr(Fleet) second =
    fleet_plan("[host a]\nroles = backup-server\naddress = 10.0.0.1\n"
               "[host b]\nroles = file-server, backup-proxy\nos = windows\naddress = 10.0.0.2\n");
  g_assert_true(fleet_asks(first, "a", "b", "tcp 6210", "m41.3"));
  g_assert_false(fleet_asks(second, "a", "b", "tcp 6210", "m41.3"));
}

/* ------------------------------------------------------------------------------------------------- settings -- */

static void test_settings(void)
{
  g_autoptr(Fleet) fleet =
    fleet_plan("[host vbr]\nroles = backup-server\naddress = 10.0.0.1\n"
               "[host p]\nroles = backup-proxy\nport transport = 7162\naddress = 10.0.0.2\n"
               "[host r]\nroles = backup-repository\nport m8.6 = 7163, 7164\naddress = 10.0.0.3\n"
               "[external v]\nroles = vcenter\nport 443 = 8443\naddress = 10.0.0.4\n"
               "[host c]\nroles = console\naddress = 10.0.0.5\n"
               "[external m]\nroles = mail-server\nport mail_port = 2525\naddress = 10.0.0.6\n"
               "[external m2]\nroles = mail-server\naddress = 10.0.0.7\nencryption = both\n"
               "[external st]\nroles = staging-server\naddress = 10.0.0.8\n"
               "[external st2]\nroles = staging-server\nport x1.3 = 1433\naddress = 10.0.0.9\n"
               "[external sp]\nroles = sharepoint-server\nport x1.2#2 = 8443\naddress = 10.0.0.10\n"
               "[external mirror]\nroles = update-mirror\nport m2.25 = 80\naddress = 10.0.0.11\nname = up.example.org\n"
               "value localmirrorrepository.domain = up.example.org\n"
               "[host app]\nroles = infrastructure-appliance\naddress = 10.0.0.12\n");
  /* A service counts in every row that leads to it, a row only in itself. */
  fleet_expect(fleet, "vbr", "p", "tcp 7162", "m5.6");
  g_assert_true(fleet_flow(fleet, "vbr", "p", "tcp 7162")->rows[0].set);
  g_assert_false(fleet_open(fleet, "vbr", "p", "tcp 6162"));
  fleet_expect(fleet, "vbr", "r", "tcp 7163", "m8.6");
  fleet_expect(fleet, "vbr", "r", "tcp 7164", "m8.6");
  g_assert_false(fleet_open(fleet, "vbr", "r", "tcp 6162"));
  fleet_expect(fleet, "p", "r", "tcp 6162", "m5.14");
  g_assert_true(fleet_open(fleet, "vbr", "v", "tcp 8443"));
  g_assert_true(fleet_open(fleet, "p", "v", "tcp 8443"));
  g_assert_false(fleet_open(fleet, "p", "v", "tcp 443"));
  /* One of several: the one that is given a number, else the first whose condition holds. */
  g_assert_true(fleet_open(fleet, "c", "m", "tcp 2525"));
  g_assert_false(fleet_open(fleet, "c", "m", "tcp 25"));
  g_assert_true(fleet_open(fleet, "c", "m", "tcp 443"));
  g_assert_true(fleet_open(fleet, "c", "m2", "tcp 25"));
  g_assert_false(fleet_open(fleet, "c", "m2", "tcp 587"));
  g_assert_true(fleet_open(fleet, "c", "st", "tcp 1433"));
  g_assert_null(fleet_unresolved(fleet, "st", "sql_port"));
  g_assert_true(fleet_open(fleet, "c", "sp", "tcp 80"));
  g_assert_true(fleet_open(fleet, "c", "sp", "tcp 8443"));
  g_assert_false(fleet_open(fleet, "c", "sp", "tcp 443"));
  g_assert_true(fleet_open(fleet, "app", "mirror", "tcp 443")); /* m4.2: the setting is of m2.25 */
}

#define DISKS(fleet, more)                                                                                             \
  fleet "[host m]\nroles = vpower-server\n" more "address = 10.0.0.1\n"                                                \
        "[external e]\nroles = esxi\naddress = 10.0.0.2\n"

static void test_open_ports(void)
{
  g_autoptr(Fleet) ten = fleet_plan(DISKS("", ""));
  g_autoptr(Fleet) two = fleet_plan(DISKS("[fleet]\nopen-ports = 5\n", "open-ports = 2\n"));
  g_autoptr(Fleet) five = fleet_plan(DISKS("[fleet]\nopen-ports = 5\n", ""));
  g_autoptr(Fleet) set = fleet_plan(DISKS("", "port vpower-nfs = 2050-2051\n"));
  g_assert_cmpuint(fleet_flow(ten, "e", "m", "udp 2049")->last, ==, 2058);
  g_assert_cmpuint(fleet_flow(ten, "e", "m", "tcp 1063")->last, ==, 1072);
  g_assert_cmpuint(fleet_flow(two, "e", "m", "tcp 2049")->last, ==, 2050);
  g_assert_cmpuint(fleet_flow(five, "e", "m", "tcp 2049")->last, ==, 2053);
  g_assert_cmpuint(fleet_flow(set, "e", "m", "tcp 2050")->first, ==, 2050);
  g_assert_cmpuint(fleet_flow(set, "e", "m", "tcp 2050")->last, ==, 2051);
  g_assert_false(fleet_open(set, "e", "m", "tcp 2049"));
}

/* ------------------------------------------------------------------------------------------------- unresolved -- */

static void test_unresolved(void)
{
  g_autoptr(Fleet) fleet =
    fleet_plan("[host p[1-2]]\nroles = backup-proxy\naddress = 10.0.0.1-10.0.0.2\n"
               "[external n]\nroles = nfs-repository\naddress = 10.0.0.3\nport mountd_port = 4000\n"
               "[host vbr]\nroles = backup-server\naddress = 10.0.0.4\n"
               "[external lab]\nroles = lab-vm\naddress = 10.0.0.5\n"
               "[external s[1-2]]\nroles = amazon-s3\nconnection = direct\n"
               "[external b]\nroles = azure-blob\nconnection = direct\naddress = 10.0.0.6\n"
               "[external six]\nroles = kms-server\naddress = 2001:db8::1\n"
               "[external bare]\nroles = syslog-server\n");
  const HfPlanUnresolved *statd = fleet_unresolved(fleet, "n", "statd_port");
  g_assert_cmpint(statd->cause, ==, HF_PLAN_NO_PORT);
  g_assert_cmpuint(statd->from->n_nodes, ==, 2);
  g_assert_cmpuint(statd->n_rows, ==, 1);
  g_assert_cmpstr(statd->rows[0]->id, ==, "m9.3");
  g_assert_cmpstr(statd->reason, ==, "nobody says which port 'statd_port' of 'n' is");
  g_assert_cmpstr(statd->key, ==, "port statd_port = NUMBER in [external n]");
  g_assert_null(fleet_unresolved(fleet, "n", "mountd_port"));
  g_assert_true(fleet_open(fleet, "p1", "n", "udp 4000"));
  const HfPlanUnresolved *probe = fleet_unresolved(fleet, "lab", "application_port");
  g_assert_cmpint(probe->cause, ==, HF_PLAN_NO_PORT);
  g_assert_cmpuint(probe->n_rows, ==, 2);
  g_assert_cmpstr(probe->key, ==, "port application_port = NUMBER/tcp in [external lab]");
  /* A wildcard that nobody fills: planned, with no member. */
  const HfPlanUnresolved *set = fleet_unresolved(fleet, "s1", "*.amazonaws.com");
  g_assert_cmpint(set->cause, ==, HF_PLAN_NO_ADDRESS);
  g_assert_cmpstr(set->key, ==, "names *.amazonaws.com = ADDRESS, NETWORK or HOST NAME in [external s[1-2]]");
  const HfPlanFlow *flow = fleet_flow(fleet, "p1", "s1", "tcp 443");
  g_assert_cmpstr(flow->to->name->text, ==, "*.amazonaws.com");
  g_assert_cmpuint(flow->to->name->n_addresses, ==, 0);
  g_assert_null(flow->to->name->texts[0]);
  /* A placeholder: no flow at all, though the external has an address. */
  const HfPlanUnresolved *value = fleet_unresolved(fleet, "b", "storage-account");
  g_assert_cmpint(value->cause, ==, HF_PLAN_NO_VALUE);
  g_assert_cmpstr(value->key, ==, "value storage-account = TEXT in [external b]");
  g_assert_false(fleet_open(fleet, "p1", "b", "tcp 443"));
  g_assert_nonnull(fleet_unresolved(fleet, "b", "certificate-endpoints"));
  const HfPlanUnresolved *family = fleet_unresolved(fleet, "six", "IPv4 towards vbr");
  g_assert_cmpint(family->cause, ==, HF_PLAN_NO_FAMILY);
  g_assert_true(fleet_open(fleet, "vbr", "six", "tcp 5696"));
  const HfPlanUnresolved *bare = fleet_unresolved(fleet, "bare", "bare");
  g_assert_cmpint(bare->cause, ==, HF_PLAN_NO_ADDRESS);
  g_assert_null(bare->from);
  g_assert_cmpuint(bare->n_rows, ==, 0);
  for (guint i = 0; i < fleet->plan->n_unresolved; i++)
    g_assert_nonnull(hf_plan_cause_text(fleet->plan->unresolved[i]->cause));
  g_autoptr(GPtrArray) of_proxy = hf_plan_unresolved_of(fleet->plan, fleet_node(fleet, "p1"));
  g_autoptr(GPtrArray) of_bare = hf_plan_unresolved_of(fleet->plan, fleet_node(fleet, "bare"));
  g_assert_cmpuint(of_proxy->len, ==, 6);
  g_assert_cmpuint(of_bare->len, ==, 1);
}

/* The other way round: who connects has IPv6 only, or no address; and hosts that stand in a row of sections. */
static void test_unresolved_ends(void)
{
  g_autoptr(Fleet) fleet = fleet_plan("[host vbr]\nroles = backup-server\naddress = 2001:db8::1\n"
                                      "[host t1]\nroles = tape-server\naddress = 10.0.0.1\n"
                                      "[host t9]\nroles = tape-server\naddress = 10.0.0.9\n"
                                      "[host pc]\nroles = console\n");
  const HfPlanUnresolved *family = fleet_unresolved(fleet, "t1", "IPv6 towards vbr");
  g_assert_cmpstr(family->key, ==, "address = an IPv6 address in [host t1]");
  g_assert_cmpstr(family->reason, ==, "'vbr' and 't1, t9' have no addresses of one family");
  g_assert_nonnull(fleet_unresolved(fleet, "vbr", "IPv4 towards t1, t9"));
  const HfPlanUnresolved *pc = fleet_unresolved(fleet, "pc", "pc");
  g_assert_cmpstr(pc->reason, ==, "'pc' has neither an address nor a host name");
}

static void test_named_sets(void)
{
  g_autoptr(Fleet) fleet =
    fleet_plan("[fleet]\nvalue certificate-endpoints = ocsp.example.org, 192.0.2.80\n"
               "names *.amazontrust.com = ocsp.amazontrust.com\n"
               "[host p]\nroles = backup-proxy\naddress = 10.0.0.1\n"
               "[host vbr]\nroles = backup-server\naddress = 10.0.0.2\n"
               "[external s]\nroles = amazon-s3\nconnection = direct\naddress = 192.0.2.1\n"
               "names *.amazonaws.com = 52.0.0.0/8, 52.1.0.0/16, s3.example.org\n"
               "[external t]\nroles = amazon-s3\nconnection = direct\naddress = 192.0.2.2\nregion = china\n"
               "[external b]\nroles = azure-blob\nconnection = direct\nvalue storage-account = one, two\n"
               "[external meta]\nroles = azure-metadata\n"
               "[external appliance]\nroles = azure-instant-appliance\naddress = 192.0.2.9\n");
  const HfTopologyNode *p = fleet_node(fleet, "p");
  const HfPlanFlow *filled = fleet_flow(fleet, "p", "s", "tcp 443");
  g_autoptr(GArray) addresses = hf_plan_addresses(filled->to, p);
  g_autoptr(GPtrArray) names = hf_plan_host_names(filled->to, p);
  g_assert_cmpuint(addresses->len, ==, 1); /* the smaller network lies in the larger one */
  expect_text(hf_topology_address_text(&g_array_index(addresses, HfTopologyAddress, 0)), "52.0.0.0/8");
  g_assert_cmpuint(names->len, ==, 1);
  g_assert_cmpstr(names->pdata[0], ==, "s3.example.org");
  expect_text(hf_plan_peers_text(filled->to), "*.amazonaws.com (s)");
  /* The fleet's set counts where the external has none of its own. */
  g_assert_cmpstr(fleet_flow(fleet, "p", "s", "tcp 80")->to->name->texts[0], ==, "ocsp.amazontrust.com");
  /* Without a set, the addresses of the external stand for the endpoint, of the region's. */
  const HfPlanFlow *own = fleet_flow(fleet, "p", "t", "tcp 443");
  g_assert_null(own->to->name);
  g_assert_cmpstr(own->endpoints[0], ==, "*.amazonaws.com.cn");
  g_assert_null(own->endpoints[1]);
  /* Placeholders: a set for each value and endpoint; a host name and an address are their own members. */
  guint blobs = 0, members = 0;
  for (guint i = 0; i < fleet->plan->n_flows; i++) {
    const HfPlanFlow *flow = fleet->plan->flows[i];
    if (flow->to->name == NULL || flow->to->groups[0]->nodes[0] != fleet_node(fleet, "b") ||
        !hf_plan_peers_have(flow->from, hf_plan_group(fleet->plan, p)))
      continue;
    blobs++;
    members += flow->to->name->n_addresses + (flow->to->name->texts[0] != NULL ? 1 : 0);
  }
  g_assert_cmpuint(blobs, ==, 6);
  g_assert_cmpuint(members, ==, 6);
  const HfPlanFlow *meta = fleet_flow(fleet, "appliance", "meta", "tcp 80");
  expect_text(hf_topology_address_text(&meta->to->name->addresses[0]), "169.254.169.254");
  g_assert_null(fleet_unresolved(fleet, "meta", "169.254.169.254"));
}

/* ------------------------------------------------------------------------------------------------- one host -- */

static void test_elements(void)
{
  g_autoptr(Fleet) fleet = fleet_plan(SMALL);
  const HfTopologyNode *proxy = fleet_node(fleet, "proxy2");
  HfPlanElements elements;
  HfPlanElement element;
  guint out = 0, in = 0, siblings = 0;
  hf_plan_elements(fleet->plan, proxy, &elements);
  while (hf_plan_elements_next(&elements, &element)) {
    HfPlanNodes nodes;
    g_assert_true(element.direction == HF_PLAN_OUT || out > 0);
    *(element.direction == HF_PLAN_OUT ? &out : &in) += 1;
    hf_plan_nodes(element.peers, proxy, &nodes);
    for (const HfTopologyNode *node; (node = hf_plan_nodes_next(&nodes)) != NULL;) {
      g_assert_true(node != proxy);
      siblings += g_str_has_prefix(node->name, "proxy") ? 1 : 0;
    }
  }
  g_assert_cmpuint(siblings, ==, 4); /* two peers, there and back */
  g_assert_cmpuint(out, ==, 4);      /* server; repository twice; proxies */
  g_assert_cmpuint(in, ==, 6);       /* 22, 2500-3300, 6160, 6162, 6210 of the server; proxies */
  g_autoptr(Fleet) alone = fleet_plan("[host p]\nroles = backup-proxy, backup-repository\naddress = 10.0.0.1\n");
  hf_plan_elements(alone->plan, fleet_node(alone, "p"), &elements);
  g_assert_false(hf_plan_elements_next(&elements, &element));
  g_assert_cmpuint(alone->plan->n_flows, ==, 0);
}

/* A flow whose one end is a single host that is also at the other end. */
static void test_itself_is_left_out(void)
{
  g_autoptr(Fleet) fleet = fleet_plan("[host vbr]\nroles = backup-server, backup-proxy\naddress = 10.0.0.1\n"
                                      "[host p]\nroles = backup-proxy\naddress = 10.0.0.2\n");
  HfPlanElements elements;
  HfPlanElement element;
  hf_plan_elements(fleet->plan, fleet_node(fleet, "vbr"), &elements);
  while (hf_plan_elements_next(&elements, &element)) {
    HfPlanNodes nodes;
    hf_plan_nodes(element.peers, fleet_node(fleet, "vbr"), &nodes);
    g_assert_cmpstr(hf_plan_nodes_next(&nodes)->name, ==, "p");
    g_assert_null(hf_plan_nodes_next(&nodes));
  }
}

/* A plan for one host says of this host what the whole plan says. */
static void test_one_host(void)
{
  g_autoptr(Fleet) fleet = fleet_plan(SMALL "[external s]\nroles = s3-compatible\nconnection = direct\n");
  for (guint n = 0; n < fleet->topology->n_nodes; n++) {
    const HfTopologyNode *host = fleet->topology->nodes[n];
    g_autoptr(HfPlan) one = hf_plan_new_for(fleet->topology, host);
    HfPlanElements whole, own;
    HfPlanElement a, b;
    hf_plan_elements(fleet->plan, host, &whole);
    hf_plan_elements(one, host, &own);
    while (hf_plan_elements_next(&whole, &a)) {
      g_assert_true(hf_plan_elements_next(&own, &b));
      g_autofree char *rows = hf_plan_rows_text(a.flow->rows, a.flow->n_rows);
      g_autofree char *own_rows = hf_plan_rows_text(b.flow->rows, b.flow->n_rows);
      g_assert_cmpstr(rows, ==, own_rows);
      g_assert_true(a.direction == b.direction && a.flow->first == b.flow->first && a.flow->last == b.flow->last);
    }
    g_assert_false(hf_plan_elements_next(&own, &b));
    g_assert_cmpuint(one->n_flows, <, fleet->plan->n_flows);
    g_autoptr(GPtrArray) left = hf_plan_unresolved_of(fleet->plan, host), own_left = hf_plan_unresolved_of(one, host);
    g_assert_cmpuint(left->len, ==, own_left->len);
  }
}

static void test_addresses(void)
{
  g_autoptr(Fleet) fleet =
    fleet_plan("[host vbr]\nroles = backup-server\naddress = 10.0.0.1 lan, 2001:db8::1 lan\n"
               "[host p[1-2]]\nroles = backup-proxy\naddress = 10.0.0.11-10.0.0.12 lan, 10.9.0.11-10.9.0.12 store\n"
               "[host n]\nroles = backup-proxy\nname = n.example.org\n");
  const HfTopologyNode *vbr = fleet_node(fleet, "vbr");
  g_autoptr(GArray) addresses = hf_plan_addresses(fleet_flow(fleet, "vbr", "p1", "tcp 22")->to, vbr);
  g_autoptr(GPtrArray) names = hf_plan_host_names(fleet_flow(fleet, "vbr", "n", "tcp 22")->to, vbr);
  g_assert_cmpuint(addresses->len, ==, 2);
  expect_text(hf_topology_address_text(&g_array_index(addresses, HfTopologyAddress, 1)), "10.0.0.12");
  g_assert_cmpuint(names->len, ==, 1);
  g_assert_cmpstr(names->pdata[0], ==, "n.example.org");
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/ports/plan/groups", test_groups);
  g_test_add_func("/ports/plan/apart", test_apart);
  g_test_add_func("/ports/plan/merging", test_merging);
  g_test_add_func("/ports/plan/overlap", test_overlap);
  g_test_add_func("/ports/plan/fallback", test_fallback);
  g_test_add_func("/ports/plan/optional", test_optional);
  g_test_add_func("/ports/plan/peers", test_peers);
  g_test_add_func("/ports/plan/server-answers", test_server_answers);
  g_test_add_func("/ports/plan/settings", test_settings);
  g_test_add_func("/ports/plan/open-ports", test_open_ports);
  g_test_add_func("/ports/plan/unresolved", test_unresolved);
  g_test_add_func("/ports/plan/unresolved-ends", test_unresolved_ends);
  g_test_add_func("/ports/plan/named-sets", test_named_sets);
  g_test_add_func("/ports/plan/elements", test_elements);
  g_test_add_func("/ports/plan/itself-is-left-out", test_itself_is_left_out);
  g_test_add_func("/ports/plan/one-host", test_one_host);
  g_test_add_func("/ports/plan/addresses", test_addresses);
  return g_test_run();
}
