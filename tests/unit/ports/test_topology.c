/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading topologies: what they mean, and where each mistake is told. */
#include "fleet.h"

#include <glib/gstdio.h>
#include <unistd.h>

/* ------------------------------------------------------------------------------------------------- mistakes -- */

/* A text, and how the message about it begins. "|" is the end of a line. */
typedef struct Mistake {
  const char *text, *message;
} Mistake;

#define HOST "[host a]|roles = backup-server|"

static const Mistake mistakes[] = {
  /* Lines. */
  { "", "f:1:1: there is no host; begin with [host NAME]" },
  { "roles = guest", "f:1:1: 'roles' stands before the first heading" },
  { "[host a", "f:1:8: a ']' is missing" },
  { "  [host a  # x", "f:1:10: a ']' is missing" },
  { "[]", "f:1:1: the heading is empty" },
  { "[ ]", "f:1:1: the heading is empty" },
  { "[hots a]", "f:1:2: unknown section 'hots'; did you mean 'host'?" },
  { "[machine a]", "f:1:2: unknown section 'machine'; there are [fleet]" },
  { "[host]", "f:1:2: the section has no name; write [host NAME]" },
  { "[site]", "f:1:2: the section has no name; write [site NAME]" },
  { "[fleet x]", "f:1:8: [fleet] has no name; write 'title = ...'" },
  { "[fleet]|[fleet]", "f:2:2: [fleet] stands in line 1 already" },
  { HOST "site: x", "f:3:1: this is neither a [heading] nor 'key = value'; write '='" },
  { HOST "  hello", "f:3:3: this is neither a [heading] nor 'key = value'" },
  { HOST " = 3", "f:3:2: there is no key before the '='" },
  { HOST "os =", "f:3:4: 'os' has no value" },
  { HOST "os = # linux", "f:3:4: 'os' has no value" },
  { HOST "os = \"linux\"", "f:3:6: values stand without quotes" },
  { "[host a]|roles = guest,, console", "f:2:15: nothing stands before the comma" },
  { "[host a]|roles = guest,", "f:2:15: nothing stands before the end" },
  { HOST "os = linux, windows", "f:3:13: 'os' has one value" },
  { "# \xc3\xa4\xc3\xb6|x\xff", "f:2:2: this is not UTF-8" },
  { "[host \xc3\xa4\xc3\xb6]|\x01", "f:1:7: '\xc3\xa4\xc3\xb6' is no name" },
  { HOST "# \xc3\xa4\x01", "f:3:4: a control character" },
  /* Names. */
  { "[host a b]", "f:1:7: 'a b' is no name" },
  { "[host -a]", "f:1:7: name '-a' must begin with a letter or a digit" },
  { "[host a/b]", "f:1:7: 'a/b' is no name" },
  { "[host a[]]", "f:1:7: 'a[]' has no range of numbers" },
  { "[host a[1]]", "f:1:7: 'a[1]' has no range of numbers" },
  { "[host a[1-1234567890]]", "f:1:7: 'a[1-1234567890]' has no range" },
  { "[host a[x-y]]", "f:1:7: 'a[x-y]' has no range of numbers" },
  { "[host a[9-1]]", "f:1:7: the range of 'a[9-1]' runs backwards" },
  { "[host a[1-2][1-2]]", "f:1:7: 'a[1-2][1-2]' is no name" },
  { "[host a[1-200000]]", "f:1:7: 'a[1-200000]' is more than the 100000 nodes" },
  { "[host a[1-100000]]|roles = guest|[host b]|roles = guest", "f:3:2: more than 100000 hosts" },
  { "[host a123456789012345678901234567890123456789012345678901234567890123]", "f:1:7: name 'a12345" },
  { HOST "[external a]|roles = esxi", "f:3:2: 'a' stands in the section of line 1 already" },
  { "[host a[1-3]]|roles = guest|[host a2]|roles = guest", "f:3:2: 'a2' stands in the section of line 1 already" },
  { "[site x]|[site x]", "f:2:7: site 'x' stands in line 1 already" },
  { "[site x[1-2]]", "f:1:7: 'x[1-2]' is a range; each site has" },
  { "[site x y]", "f:1:7: 'x y' is no name" },
  /* Keys. */
  { HOST "rolse = guest", "f:3:1: unknown key 'rolse'; did you mean 'roles'?" },
  { HOST "ip = 10.0.0.1", "f:3:1: unknown key 'ip'; did you mean 'address'?" },
  { HOST "Hostname = a", "f:3:1: unknown key 'Hostname'; did you mean 'name'?" },
  { HOST "networkles = no", "f:3:1: unknown key 'networkles'; did you mean 'networkless'?" },
  { HOST "console = yes", "f:3:1: unknown key 'console'" },
  { HOST "tape-server = yes", "f:3:1: 'tape-server' is a role; write 'roles = tape-server'" },
  { HOST "zebra = 3", "f:3:1: unknown key 'zebra'; docs/topology.md lists the keys" },
  { HOST "os = linux|os = windows", "f:4:1: 'os' stands in line 3 of this section already" },
  { HOST "site = x|site = y", "f:4:1: 'site' stands in line 3 of this section already" },
  { HOST "networks = 10.0.0.0/8", "f:3:1: 'networks' cannot stand here; it is for [site NAME]" },
  { HOST "title = x", "f:3:1: 'title' cannot stand here; it is for [fleet]" },
  { "[fleet]|roles = guest", "f:2:1: 'roles' cannot stand here; it is for [host NAME] and [external NAME]" },
  { HOST "roles x = guest", "f:3:7: nothing stands between 'roles' and '='" },
  { HOST "os x = linux", "f:3:4: nothing stands between 'os' and '='" },
  { HOST "peers = none", "f:3:1: write 'peers ROLE = ...'" },
  { HOST "port = 3", "f:3:1: write 'port KEY = ...'" },
  { HOST "fallback-ports = maybe", "f:3:18: 'fallback-ports' is 'yes' or 'no'" },
  { HOST "open-ports = 0", "f:3:14: 'open-ports' is how many" },
  { HOST "open-ports = 101", "f:3:14: 'open-ports' is how many" },
  /* Roles. */
  { "[host a]|roles = guest, bakup-proxy", "f:2:16: unknown role 'bakup-proxy'; did you mean 'backup-proxy'?" },
  { "[host a]|roles = Backup Servr", "f:2:9: unknown role 'Backup Servr'; did you mean 'backup-server'?" },
  { "[host a]|roles = quux", "f:2:9: unknown role 'quux'; 'holdfast ports roles' lists them" },
  { "[host a]|roles = guest, console, guest", "f:2:25: role 'guest' stands twice" },
  { "[external a]|roles = backup-proxy", "f:2:9: role 'backup-proxy' is a part of the backup system; write [host" },
  { "[host a]|os = linux", "f:1:2: this section has no roles" },
  /* Conditions. */
  { HOST "os = win", "f:3:6: 'win' is no answer to 'os' (" },
  { HOST "os = win", "the answers are windows, linux" },
  { HOST "cdp = yes", "f:3:1: 'cdp' has one answer for the whole fleet; put it into [fleet]" },
  { "[site x]|os = linux", "f:2:1: 'os' is no key of a site" },
  { HOST "gateway = gate1", "write 'peers gateway-server = ...'" },
  /* Addresses. */
  { HOST "address = 10.0.0.256", "f:3:11: '10.0.0.256' is no address" },
  { HOST "address = web1", "f:3:11: 'web1' is no address; host names are given by 'name ='" },
  { HOST "address = 10.0.0.1, 010.0.0.2", "f:3:21: '010.0.0.2' is no address" },
  { HOST "address = 10.0.0.1/24", "f:3:11: a host has single addresses; write '10.0.0.1'" },
  { HOST "address = 10.0.0.1/33", "f:3:11: '10.0.0.1/33' is no address" },
  { "[external e]|roles = esxi|address = 10.0.0.1/24", "f:3:11: '10.0.0.1/24' has bits outside of its network; write "
                                                       "'10.0.0.0/24'" },
  { HOST "address = 127.0.0.1", "f:3:11: address '127.0.0.1' is the machine itself" },
  { HOST "address = ::1", "f:3:11: address '::1' is the machine itself" },
  { HOST "address = 0.0.0.0", "f:3:11: address '0.0.0.0' is no address of a machine" },
  { HOST "address = ff02::1", "f:3:11: address 'ff02::1' is a multicast address" },
  { HOST "address = fe80::1", "f:3:11: address 'fe80::1' counts on one link only" },
  { HOST "address = ::ffff:10.0.0.1", "f:3:11: address '::ffff:10.0.0.1' is an IPv4 address in disguise" },
  { HOST "address = 10.0.0.1, 10.0.0.1", "f:3:21: address '10.0.0.1' stands twice" },
  { HOST "address = 10.0.0.1 -x", "f:3:11: name '-x' must begin" },
  { HOST "address = 10.0.0.1 net[1-2]", "f:3:11: 'net[1-2]' is a range; a network has one name" },
  { HOST "address = 10.0.0.1|[host b]|roles = guest|address = 10.0.0.1",
    "f:4:2: address '10.0.0.1' of 'b' is that of 'a' too (line 1)" },
  { "[host a[1-3]]|roles = guest|address = 10.0.0.1", "f:3:11: 3 nodes cannot share address '10.0.0.1'" },
  { "[host a[1-3]]|roles = guest|address = 10.0.0.1-10.0.0.4",
    "f:3:11: the range '10.0.0.1-10.0.0.4' has 4 addresses for 3 nodes; from '10.0.0.1' on it ends with '10.0.0.3'" },
  { "[host a[1-3]]|roles = guest|address = 10.0.0.9-10.0.0.4",
    "f:3:11: the range '10.0.0.9-10.0.0.4' has 0 addresses" },
  { "[host a[1-3]]|roles = guest|address = 10.0.0.9-::4", "f:3:11: the range '10.0.0.9-::4' has 0 addresses" },
  { "[host a[1-3]]|roles = guest|address = 2001:db8::1-2001:db9::",
    "f:3:11: the range '2001:db8::1-2001:db9::' has 4294967295 addresses" },
  { HOST "address = 10.0.0.1-10.0.0.2", "f:3:11: the range '10.0.0.1-10.0.0.2' has 2 addresses for 1 nodes" },
  { HOST "address = 10.0.0.1-x", "f:3:11: 'x' is no address" },
  { HOST "name = 10.0.0.1", "f:3:8: '10.0.0.1' is an address; give it by 'address ='" },
  { HOST "name = *.example.org", "f:3:8: '*.example.org' is a wildcard" },
  { HOST "name = a[1-2].example.org", "f:3:8: 'a[1-2].example.org' is 2 names for 1 nodes" },
  { HOST "name = a b", "f:3:8: 'a b' is no name" },
  /* Sites. */
  { "[site x]|networks = 10.0.0.0/33", "f:2:12: '10.0.0.0/33' is no address or network" },
  { "[site x]|networks = 10.0.0.0/8, 10.1.0.0/8", "f:2:24: '10.1.0.0/8' has bits outside of its network; write "
                                                  "'10.0.0.0/8'" },
  { "[site x]|networks = 10.0.0.0/8|" HOST, "f:3:2: 'a' has no site, and none of its addresses" },
  { "[site x]|networks = 10.0.0.0/8|" HOST "site = y", "f:5:8: unknown site 'y'; write a section [site y]" },
  { "[site north]|networks = 10.0.0.0/8|" HOST "site = nroth", "f:5:8: unknown site 'nroth'; did you mean 'north'?" },
  { "[site x]|networks = 10.0.0.0/8|[site y]|networks = 10.1.0.0/16|" HOST "address = 10.1.0.1",
    "f:5:2: 'a' has addresses in site 'x' and in site 'y'" },
  /* Peers. */
  { HOST "peers gatewy-server = none", "f:3:7: unknown role 'gatewy-server'; did you mean 'gateway-server'?" },
  { HOST "peers gateway-server = b", "f:3:24: there is no host or external 'b'" },
  { HOST "peers gateway-server = gate|[host gate1]|roles = gateway-server",
    "f:3:24: there is no host or external 'gate'; did you mean 'gate1'?" },
  { HOST "peers gateway-server = a", "f:3:24: 'a' has not the role 'gateway-server'; add it in line 1" },
  { HOST "peers gateway-server = none, a", "f:3:24: 'none' stands alone" },
  { HOST "peers gateway-server = a b", "f:3:24: 'a b' is no name" },
  { HOST "peers gateway-server = none|peers gateway-server = none", "f:4:1: 'peers gateway-server' stands in line 3" },
  { "[host g[1-100000]]|roles = gateway-server|peers gateway-server = g[1-100000], g[1-100000], g[1-100000], "
    "g[1-100000], g[1-100000], g[1-100000], g[1-100000], g[1-100000], g[1-100000], g[1-100000], g1",
    "f:3:154: more than 1000000 peers in all" },
  /* Ports. */
  { HOST "port transprot = 1", "f:3:6: unknown port 'transprot'; did you mean 'transport'?" },
  { HOST "port zzz = 1", "f:3:6: unknown port 'zzz'; give a service, a number, a row" },
  { HOST "port m9.9999 = 1", "f:3:6: unknown port 'm9.9999'" },
  { HOST "port m5.6#2 = 1", "f:3:6: row 'm5.6' has 1 ports; '#2' is none of them" },
  { HOST "port m5.6#x = 1", "f:3:6: row 'm5.6' has 1 ports; '#x' is none of them" },
  { HOST "port x1.2 = 1", "f:3:6: row 'x1.2' has several ports; say which by 'x1.2#1' to 'x1.2#2'" },
  { HOST "port web = 0", "f:3:12: '0' is no port" },
  { HOST "port web = 65536", "f:3:12: '65536' is no port" },
  { HOST "port web = https", "f:3:12: 'https' is no port" },
  { HOST "port web = /tcp", "f:3:12: '/tcp' is no port" },
  { HOST "port web = -", "f:3:12: '-' is no port" },
  { HOST "port web = 1-x", "f:3:12: '1-x' is no port" },
  { HOST "port web = 9-3", "f:3:12: the range '9-3' runs backwards" },
  { HOST "port web = 9/sctp", "f:3:12: '/tcp' or '/udp' may stand behind a port, not '/sctp'" },
  { HOST "port web = 8443", "f:3:6: port 'web' of 'a' is fixed: row" },
  { HOST "port tape = 7166", "f:3:6: no row leads to port 'tape' of 'a'" },
  { HOST "port m45.5 = 7166", "f:3:6: row 'm45.5' does not lead to 'a'; it leads to tape-server" },
  { "[host p]|roles = backup-proxy|os = windows|port transport = 7162",
    "f:4:6: port 'transport' of 'p' can be set only while 'to.os=linux' holds (row m5.6)" },
  { "[fleet]|port transport = 7162", "f:2:6: [fleet] sets symbolic and unknown ports only" },
  { "[external m]|roles = mail-server|port x1.6#4 = 8443", "f:3:6: port 'x1.6#4' of 'm' is fixed: row x1.6" },
  { "[external m]|roles = mail-server|port x1.6#3 = 26", "f:3:6: this port has a name; write 'port mail_port = ...'" },
  { "[external n]|roles = nfs-repository|port mountd_port = 1/tcp|[host a]|roles = guest|port mountd_port = 2",
    "f:6:6: no row leads to port 'mountd_port' of 'a'" },
  { "[external v]|roles = lab-vm|port application_port = 389", "f:3:6: the page does not say over which protocol" },
  { "[external m]|roles = mail-server|port mail_port = 26/udp", "f:3:6: row 'x1.6' is for tcp only" },
  { "[external u]|roles = update-mirror|port m2.25 = 8080", "f:3:6: port 'm2.25#1' of 'u' is fixed" },
  { "[host v]|roles = vpower-server|port vpower-nfs = 2048-2060", "f:3:6: port 'vpower-nfs' of 'v' is fixed" },
  { "[host v]|roles = vpower-server|port vpower-nfs = 2049, 2050", "f:3:6: port 'vpower-nfs' of 'v' is fixed" },
  /* Values, names, wishes. */
  { HOST "value storage-acount = x", "f:3:7: no host name of the catalogue has a placeholder 'storage-acount'; did you "
                                     "mean 'storage-account'?" },
  { HOST "value zzz = x", "f:3:7: no host name of the catalogue has a placeholder 'zzz'" },
  { HOST "value storage-account = a b", "f:3:25: 'a b' is no part of a host name" },
  { HOST "value storage-account = *.x", "f:3:25: '*.x' is no part of a host name" },
  { HOST "value storage-account = 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17", "f:3:64: more than 16 values" },
  { HOST "names *.amazonaws.de = 1.2.3.4", "f:3:7: no row of the catalogue leads to '*.amazonaws.de'; did you mean" },
  { HOST "names zzz = 1.2.3.4", "f:3:7: no row of the catalogue leads to 'zzz'" },
  { HOST "names *.amazonaws.com = 1.2.3.4/8", "f:3:25: '1.2.3.4/8' has bits outside of its network" },
  { HOST "names *.amazonaws.com = a..b", "f:3:25: 'a..b' is no address, network or host name" },
  { HOST "names *.amazonaws.com = x_-, -x", "f:3:30: '-x' is no address, network or host name" },
  { HOST "want = m1.150", "f:3:8: there is no row 'm1.150'" },
  { HOST "want = m1.15, m1.1", "f:3:15: row 'm1.1' is not optional" },
};

static void test_mistakes(void)
{
  for (guint i = 0; i < G_N_ELEMENTS(mistakes); i++) {
    g_autoptr(GError) error = NULL;
    g_autofree char *text = g_strdelimit(g_strdup(mistakes[i].text), "|", '\n');
    g_autoptr(HfTopology) topology = hf_topology_parse(text, strlen(text), "f", &error);
    if (topology != NULL || strstr(error->message, mistakes[i].message) == NULL)
      g_test_fail_printf("'%s' gives '%s' and not '%s'", mistakes[i].text,
                         topology != NULL ? "a topology" : error->message, mistakes[i].message);
    g_assert_true(topology != NULL || hf_error_is(error, HF_ERROR_USAGE));
  }
}

static void expect_refused(const char *text, gsize length, const char *message)
{
  g_autoptr(GError) error = NULL;
  g_assert_null(hf_topology_parse(text, length, "f", &error));
  if (strstr(error->message, message) == NULL)
    g_error("'%s' and not '%s'", error->message, message);
}

static void test_sizes(void)
{
  g_autofree char *large = g_strnfill(HF_TOPOLOGY_MAX_BYTES + 1, '\n');
  expect_refused(large, HF_TOPOLOGY_MAX_BYTES + 1, "topology 'f' has more than 4 MiB");
  g_autofree char *line = g_strnfill(HF_TOPOLOGY_MAX_LINE + 1, '#');
  expect_refused(line, HF_TOPOLOGY_MAX_LINE + 1, "f:1:1: the line has more than 4096 bytes");
  expect_refused("# a\0b", 5, "f:1:4: a byte 0 stands here");
  GString *text = g_string_new("[host a]\nroles = guest\nwant = m1");
  for (guint i = 0; i < HF_TOPOLOGY_MAX_ITEMS; i++)
    g_string_append(text, ",m1");
  expect_refused(text->str, text->len, "f:3:3008: the list has more than 1000 items");
  g_string_assign(text, "");
  for (guint i = 0; i <= HF_TOPOLOGY_MAX_SITES; i++)
    g_string_append_printf(text, "[site s%u]\n", i);
  expect_refused(text->str, text->len, "f:1001:7: more than 1000 sites");
  g_string_assign(text, "[site s]\n");
  for (guint i = 0; i <= HF_TOPOLOGY_MAX_NETWORKS; i++)
    g_string_append_printf(text, "networks = 10.%u.%u.0/24\n", i / 256, i % 256);
  expect_refused(text->str, text->len, "f:2002:12: more than 2000 networks of sites");
  g_string_assign(text, "[host a[1-100000]]\nroles = guest\n");
  for (guint i = 0; i < 5; i++)
    g_string_append_printf(text, "name = a[1-100000].x%u\n", i);
  expect_refused(text->str, text->len, "f:1:2: more than 400000 host names");
  g_string_assign(text, "[host a[1-100000]]\nroles = guest\n");
  for (guint i = 0; i < 5; i++)
    g_string_append_printf(text, "address = 10.%u.0.0-10.%u.134.159\n", 2 * i, 2 * i + 1);
  expect_refused(text->str, text->len, "f:1:2: more than 400000 addresses");
  g_string_free(text, TRUE);
}

/* ------------------------------------------------------------------------------------------------- meanings -- */

static void test_layout(void)
{
  g_autoptr(HfTopology) topology = fleet_read("\xef\xbb\xbf# written on another system\r\n"
                                              "[fleet]\r\n\ttitle = A, B#1 # and C\r\n\r\n"
                                              "  [ host   a ]  # comment\n"
                                              "roles=guest,\tConsole \n"
                                              "roles = rest-client");
  g_assert_cmpstr(topology->title, ==, "A, B#1");
  g_assert_cmpuint(topology->n_nodes, ==, 1);
  const HfTopologyNode *node = topology->nodes[0];
  g_assert_cmpstr(node->name, ==, "a");
  g_assert_cmpuint(node->profile->place.line, ==, 5);
  g_assert_cmpuint(node->profile->place.column, ==, 5);
  g_assert_true(hf_topology_has_role(node, hf_port_role_find("guest")));
  g_assert_true(hf_topology_has_role(node, hf_port_role_find("console")));
  g_assert_true(hf_topology_has_role(node, hf_port_role_find("rest-client")));
  g_assert_false(hf_topology_has_role(node, hf_port_role_find("backup-server")));
}

static void test_ranges(void)
{
  g_autoptr(HfTopology) topology = fleet_read("[host n[08-11]x]\n"
                                              "roles = guest\n"
                                              "address = 10.0.0.254-10.0.1.1 lan, 2001:db8::ffff-2001:db8::1:2\n"
                                              "name = N[1-4].Example.ORG\n");
  static const char *const names[] = { "n08x", "n09x", "n10x", "n11x" };
  static const char *const first[] = { "10.0.0.254", "10.0.0.255", "10.0.1.0", "10.0.1.1" };
  static const char *const second[] = { "2001:db8::ffff", "2001:db8::1:0", "2001:db8::1:1", "2001:db8::1:2" };
  g_assert_cmpuint(topology->n_nodes, ==, 4);
  g_assert_cmpuint(topology->n_profiles, ==, 1);
  for (guint i = 0; i < 4; i++) {
    const HfTopologyNode *node = topology->nodes[i];
    g_autofree char *a = hf_topology_address_text(&node->addresses[0]);
    g_autofree char *b = hf_topology_address_text(&node->addresses[1]);
    g_autofree char *dns = g_strdup_printf("n%u.example.org", i + 1);
    g_assert_cmpstr(node->name, ==, names[i]);
    g_assert_cmpstr(a, ==, first[i]);
    g_assert_cmpstr(b, ==, second[i]);
    g_assert_cmpstr(node->addresses[0].network, ==, "lan");
    g_assert_null(node->addresses[1].network);
    g_assert_cmpstr(node->dns[0], ==, dns);
    g_assert_null(node->dns[1]);
    g_assert_true(node->profile == topology->profiles[0]);
  }
}

static gboolean has(const HfTopology *topology, const char *node, const char *role)
{
  return hf_topology_has_role(hf_topology_node(topology, node), hf_port_role_find(role));
}

static void test_roles(void)
{
  g_autoptr(HfTopology) topology = fleet_read("[host cdp]\nroles = cdp-proxy\n"
                                              "[host sender]\nroles = cdp-proxy-source\n"
                                              "[host sender2]\nroles = cdp-proxy, cdp-proxy-source\n"
                                              "[host standby]\nroles = standby-backup-server\n"
                                              "[host single]\nroles = Backup Server\n"
                                              "[host sql]\nroles = mssql-guest\n"
                                              "[external s3]\nroles = s3-sosapi\n");
  g_assert_true(has(topology, "cdp", "cdp-proxy-source"));
  g_assert_true(has(topology, "cdp", "cdp-proxy-target"));
  g_assert_true(has(topology, "sender", "cdp-proxy"));
  g_assert_true(has(topology, "sender", "cdp-proxy-source"));
  g_assert_false(has(topology, "sender", "cdp-proxy-target"));
  g_assert_false(has(topology, "sender2", "cdp-proxy-target"));
  g_assert_true(has(topology, "standby", "backup-server"));
  g_assert_false(has(topology, "standby", "primary-backup-server"));
  g_assert_true(has(topology, "single", "primary-backup-server"));
  g_assert_false(has(topology, "single", "standby-backup-server"));
  g_assert_true(has(topology, "sql", "guest"));
  g_assert_true(has(topology, "s3", "s3-compatible"));
  g_assert_true(has(topology, "s3", "object-storage"));
}

/* The answer of `node` (NULL: of the fleet). */
static const char *answer(const HfTopology *topology, const char *node, const char *id)
{
  const HfPortCondition *condition = hf_port_condition_find(id);
  const HfTopologyNode *whose = node != NULL ? hf_topology_node(topology, node) : NULL;
  return condition->values[hf_topology_answer(topology, whose, condition)];
}

static void test_answers(void)
{
  g_autoptr(HfTopology) topology = fleet_read("[fleet]\nos = windows\nwan-accelerators = no\n"
                                              "[host a]\nroles = backup-server, gateway-server\nos = linux\n"
                                              "[host b]\nroles = wan-accelerator\n"
                                              "[external s1]\nroles = amazon-s3\n"
                                              "[external s2]\nroles = s3-compatible\npeers gateway-server = none\n"
                                              "[external s3]\nroles = s3-compatible\npeers gateway-server = a\n"
                                              "[external s4]\nroles = s3-compatible\ngateway = none\n");
  g_assert_cmpstr(answer(topology, "a", "os"), ==, "linux");
  g_assert_cmpstr(answer(topology, "b", "os"), ==, "windows");
  g_assert_cmpstr(answer(topology, NULL, "os"), ==, "windows");
  g_assert_cmpstr(answer(topology, NULL, "wan-accelerators"), ==, "no");
  g_assert_cmpstr(answer(topology, NULL, "object-storage"), ==, "yes");
  g_assert_cmpstr(answer(topology, NULL, "cdp"), ==, "no");
  g_assert_cmpstr(answer(topology, "a", "on-backup-server"), ==, "yes");
  g_assert_cmpstr(answer(topology, "b", "on-backup-server"), ==, "no");
  g_assert_cmpstr(answer(topology, NULL, "on-backup-server"), ==, "no");
  g_assert_cmpstr(answer(topology, "s1", "gateway"), ==, "named");
  g_assert_cmpstr(answer(topology, "s2", "gateway"), ==, "none");
  g_assert_cmpstr(answer(topology, "s3", "gateway"), ==, "named");
  g_assert_cmpstr(answer(topology, "s4", "gateway"), ==, "none");
}

static void test_settings(void)
{
  g_autoptr(HfTopology) topology =
    fleet_read("[fleet]\nport statd_port = 4001\n"
               "[host a]\nroles = backup-repository, vpower-server\n"
               "port transport = 7162\nport m8.6 = 7163\nport vpower-nfs = 2049-2052\nopen-ports = 3\n"
               "fallback-ports = no\nwant = m57.5, m1\nvalue <storage-account> = Acme, 192.0.2.9\n"
               "[external v]\nroles = vcenter\nport https = 8443\n"
               "[external lab]\nroles = lab-vm\nport application_port = 389/tcp, 53/udp\n"
               "names *.AmazonAWS.com = 192.0.2.0/24, X.example.org\n");
  const HfTopologyProfile *a = hf_topology_node(topology, "a")->profile;
  g_assert_cmpuint(a->n_settings, ==, 3);
  g_assert_true(a->settings[0].service == hf_port_service("transport"));
  g_assert_cmpuint(a->settings[0].ports[0].first, ==, 7162);
  g_assert_true(a->settings[1].row == hf_port_row_find("m8.6"));
  g_assert_cmpuint(a->settings[2].ports[0].last, ==, 2052);
  g_assert_cmpuint(a->open_ports, ==, 3);
  g_assert_cmpint(a->fallback, ==, HF_TOPOLOGY_NO);
  g_assert_true(a->wanted[hf_port_row_find("m57.5")->index]);
  g_assert_true(a->wanted[hf_port_row_find("m1.15")->index]);
  g_assert_false(a->wanted[hf_port_row_find("m2.39")->index]);
  g_assert_cmpstr(a->values[0].placeholder, ==, "storage-account");
  g_assert_cmpstr(a->values[0].texts[0], ==, "acme");
  g_assert_cmpstr(a->values[0].texts[1], ==, "192.0.2.9");
  g_assert_cmpstr(topology->fleet->settings[0].name, ==, "statd_port");
  const HfTopologyProfile *v = hf_topology_node(topology, "v")->profile;
  g_assert_cmpuint(v->settings[0].number, ==, 443);
  const HfTopologyProfile *lab = hf_topology_node(topology, "lab")->profile;
  g_assert_cmpuint(lab->settings[0].n_ports, ==, 2);
  g_assert_cmpuint(lab->settings[0].ports[0].transports, ==, HF_PORT_TCP);
  g_assert_cmpuint(lab->settings[0].ports[1].transports, ==, HF_PORT_UDP);
  g_assert_cmpstr(lab->names[0].endpoint, ==, "*.amazonaws.com");
  g_assert_cmpuint(lab->names[0].addresses[0].prefix, ==, 24);
  g_assert_cmpstr(lab->names[0].texts[0], ==, "x.example.org");
}

static void test_sites(void)
{
  g_autoptr(HfTopology) topology = fleet_read("[host a]\nroles = guest\naddress = 10.1.0.1\n"
                                              "[host b]\nroles = guest\naddress = 10.1.0.2\nsite = south\n"
                                              "[host c]\nroles = guest\naddress = 2001:db8:2::1\n"
                                              "[external d]\nroles = esxi\naddress = 10.1.0.0/24, 10.2.0.0/24\n"
                                              "[external e]\nroles = esxi\naddress = 10.9.0.1\n"
                                              "[external f]\nroles = esxi\naddress = 10.2.0.9\n"
                                              "[site north]\nnetworks = 10.1.0.0/16\n"
                                              "[site south]\nnetworks = 10.2.0.0/16\nnetworks = 2001:db8:2::/48\n");
  g_assert_cmpstr(hf_topology_node(topology, "a")->site->name, ==, "north");
  g_assert_cmpstr(hf_topology_node(topology, "b")->site->name, ==, "south");
  g_assert_cmpstr(hf_topology_node(topology, "c")->site->name, ==, "south");
  g_assert_null(hf_topology_node(topology, "d")->site);
  g_assert_null(hf_topology_node(topology, "e")->site);
  g_assert_cmpstr(hf_topology_node(topology, "f")->site->name, ==, "south");
  g_assert_cmpuint(topology->n_sites, ==, 2);
  g_assert_cmpuint(topology->sites[1]->n_networks, ==, 2);
}

static void test_peers(void)
{
  g_autoptr(HfTopology) topology = fleet_read("[host g[1-4]]\nroles = gateway-server\n"
                                              "[external s]\nroles = amazon-s3\npeers gateway-server = g4, g[1-2], g1\n"
                                              "peers Backup proxy = none\n");
  const HfTopologyProfile *profile = hf_topology_node(topology, "s")->profile;
  g_assert_cmpuint(profile->n_peers, ==, 2);
  g_assert_cmpuint(profile->peers[0].n_nodes, ==, 3);
  g_assert_cmpstr(profile->peers[0].nodes[0]->name, ==, "g1");
  g_assert_cmpstr(profile->peers[0].nodes[2]->name, ==, "g4");
  g_assert_cmpuint(profile->peers[1].n_nodes, ==, 0);
}

static void test_find(void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(HfTopology) topology = fleet_read("[host web1]\nroles = guest\naddress = 10.0.0.1\nname = www.example.org\n"
                                              "[external dns]\nroles = dns-server\naddress = 10.0.0.2\n");
  const HfTopologyNode *web = topology->nodes[0], *dns = topology->nodes[1];
  g_assert_true(hf_topology_find(topology, "web1", NULL) == web);
  g_assert_true(hf_topology_find(topology, "10.0.0.1", NULL) == web);
  g_assert_true(hf_topology_find(topology, "WWW.example.org", NULL) == web);
  g_assert_true(hf_topology_find(topology, "10.0.0.2", NULL) == dns);
  g_assert_true(hf_topology_find_host(topology, "web1", NULL) == web);
  g_assert_null(hf_topology_find(topology, "wbe1", &error));
  g_assert_true(hf_error_is(error, HF_ERROR_NOT_FOUND));
  g_assert_cmpstr(error->message, ==, "the topology has no host 'wbe1'; did you mean 'web1'?");
  g_clear_error(&error);
  g_assert_null(hf_topology_find_host(topology, "zebra", &error));
  g_assert_cmpstr(error->message, ==, "the topology has no host 'zebra'");
  g_clear_error(&error);
  g_assert_null(hf_topology_find_host(topology, "dns", &error));
  g_assert_true(hf_error_is(error, HF_ERROR_USAGE));
  g_assert_nonnull(strstr(error->message, "'dns' is an external system"));
}

static void test_server(void)
{
  g_autoptr(HfTopology) none = fleet_read("[host a]\nroles = guest\n");
  g_assert_null(hf_topology_server(none, none->nodes[0], none->nodes[0]));
  g_autoptr(HfTopology) topology = fleet_read("[host p]\nroles = guest\n[host a]\nroles = backup-server\n"
                                              "[host b]\nroles = standby-backup-server\n");
  const HfTopologyNode *p = topology->nodes[0], *a = topology->nodes[1], *b = topology->nodes[2];
  g_assert_true(hf_topology_server(topology, p, p) == a);
  g_assert_true(hf_topology_server(topology, p, b) == b);
  g_assert_true(hf_topology_server(topology, b, a) == b);
}

static void test_addresses(void)
{
  HfTopologyAddress a, b;
  g_assert_true(hf_topology_address_parse("10.1.0.0/16", TRUE, &a));
  g_assert_true(hf_topology_address_parse("10.1.2.3", FALSE, &b));
  g_assert_true(hf_topology_address_within(&b, &a));
  g_assert_false(hf_topology_address_within(&a, &b));
  g_assert_cmpint(hf_topology_address_compare(&a, &b), <, 0);
  g_assert_cmpint(hf_topology_address_compare(&b, &a), >, 0);
  g_assert_cmpint(hf_topology_address_compare(&a, &a), ==, 0);
  g_assert_true(hf_topology_address_parse("2001:db8::/33", TRUE, &b));
  g_assert_cmpint(hf_topology_address_compare(&a, &b), <, 0);
  g_assert_cmpint(hf_topology_address_compare(&b, &a), >, 0);
  g_assert_false(hf_topology_address_within(&b, &a));
  g_assert_false(hf_topology_address_parse("10.1.0.0/16", FALSE, &a));
  g_assert_false(hf_topology_address_parse("10.1.0.1/16", TRUE, &a));
  g_assert_false(hf_topology_address_parse("10.1.0.1/", TRUE, &a));
  g_assert_false(hf_topology_address_parse("2001:db8:8000::/32", TRUE, &a) && a.prefix != 32);
  g_assert_true(hf_topology_address_parse("0.0.0.0/0", TRUE, &a));
  g_autofree char *text = hf_topology_address_text(&a);
  g_assert_cmpstr(text, ==, "0.0.0.0/0");
}

/* By the rules of hf_topology_address_used: "+" for each address of `node` that is used towards `peer`, else "-". */
static void expect_used(const HfTopology *topology, const char *node, const char *peer, const char *used)
{
  const HfTopologyNode *a = hf_topology_node(topology, node), *b = hf_topology_node(topology, peer);
  g_autofree char *found = g_strnfill(a->n_addresses, '-');
  for (guint i = 0; i < a->n_addresses; i++)
    if (hf_topology_address_used(a, &a->addresses[i], b))
      found[i] = '+';
  g_assert_cmpstr(found, ==, used);
}

static void test_networks(void)
{
  g_autoptr(HfTopology) topology =
    fleet_read("[host a]\nroles = guest\naddress = 10.1.0.1 lan, 10.2.0.1 store, 10.3.0.1, 2001:db8::1 store\n"
               "[host b]\nroles = guest\naddress = 10.1.0.2 lan\n"
               "[host c]\nroles = guest\naddress = 10.4.0.2 other\n"
               "[host d]\nroles = guest\naddress = 10.5.0.2\n"
               "[host e]\nroles = guest\naddress = 2001:db8::5 store, 10.2.0.5 store\n"
               "[host f]\nroles = guest\n");
  expect_used(topology, "a", "b", "+---");
  expect_used(topology, "a", "c", "+++-");
  expect_used(topology, "a", "d", "+++-");
  expect_used(topology, "a", "e", "-+-+");
  expect_used(topology, "a", "f", "++++");
  expect_used(topology, "b", "a", "+");
  expect_used(topology, "f", "a", "");
}

static void test_load(void)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *path = g_build_filename(g_get_tmp_dir(), "hf-topology-XXXXXX", NULL);
  int fd = g_mkstemp(path);
  g_assert_cmpint(fd, >=, 0);
  g_assert_cmpint(write(fd, "[host a]\nroles = guest\n", 23), ==, 23);
  g_autoptr(HfTopology) topology = hf_topology_load(path, &error);
  g_assert_no_error(error);
  g_assert_cmpuint(topology->n_nodes, ==, 1);
  int saved = dup(STDIN_FILENO);
  g_assert_cmpint(dup2(fd, STDIN_FILENO), ==, STDIN_FILENO);
  g_assert_cmpint(lseek(fd, 0, SEEK_SET), ==, 0);
  g_assert_true(g_file_set_contents(path, "[host a]\nroles = x\n", -1, NULL));
  g_autoptr(HfTopology) standard = hf_topology_load("-", &error);
  g_assert_no_error(error); /* the old file, which is still open */
  g_assert_cmpuint(standard->n_nodes, ==, 1);
  close(STDIN_FILENO);
  g_assert_null(hf_topology_load("-", &error));
  g_assert_nonnull(strstr(error->message, "cannot read standard input"));
  g_clear_error(&error);
  g_assert_cmpint(dup2(saved, STDIN_FILENO), ==, STDIN_FILENO);
  close(saved);
  close(fd);
  g_assert_null(hf_topology_load(path, &error));
  g_assert_true(g_str_has_prefix(error->message, path));
  g_assert_nonnull(strstr(error->message, ":2:9: unknown role 'x'"));
  g_clear_error(&error);
  g_unlink(path);
  g_assert_null(hf_topology_load(path, &error));
  g_assert_true(hf_error_is(error, HF_ERROR_NOT_FOUND));
  g_clear_error(&error);
  g_assert_null(hf_topology_load(g_get_tmp_dir(), &error));
  g_assert_nonnull(error);
}

/* A condition that is called like a key could never be answered. */
static void test_keys_are_free(void)
{
  static const char *const keys[] = { "title", "networks", "roles", "address", "name",           "site",      "peers",
                                      "port",  "value",    "names", "want",    "fallback-ports", "open-ports" };
  for (guint i = 0; i < G_N_ELEMENTS(keys); i++)
    g_assert_null(hf_port_condition_find(keys[i]));
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/ports/topology/mistakes", test_mistakes);
  g_test_add_func("/ports/topology/sizes", test_sizes);
  g_test_add_func("/ports/topology/layout", test_layout);
  g_test_add_func("/ports/topology/ranges", test_ranges);
  g_test_add_func("/ports/topology/roles", test_roles);
  g_test_add_func("/ports/topology/answers", test_answers);
  g_test_add_func("/ports/topology/settings", test_settings);
  g_test_add_func("/ports/topology/sites", test_sites);
  g_test_add_func("/ports/topology/peers", test_peers);
  g_test_add_func("/ports/topology/find", test_find);
  g_test_add_func("/ports/topology/server", test_server);
  g_test_add_func("/ports/topology/addresses", test_addresses);
  g_test_add_func("/ports/topology/networks", test_networks);
  g_test_add_func("/ports/topology/load", test_load);
  g_test_add_func("/ports/topology/keys-are-free", test_keys_are_free);
  return g_test_run();
}
