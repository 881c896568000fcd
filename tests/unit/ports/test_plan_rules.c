/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the pages state in words, rule by rule: the name of a test is that of its rule (data/ports/rules.tsv). Each
 * plans a fleet in which the rule counts, and one in which it does not.
 */
#include "fleet.h"

#define VBR "[host vbr]\nroles = backup-server\naddress = 10.0.0.1\n"
#define PROXY "[host proxy]\nroles = backup-proxy\naddress = 10.0.0.2\n"
#define REPO "[host repo]\nroles = backup-repository\naddress = 10.0.0.3\n"
#define MOUNT "[host mount]\nroles = mount-server\naddress = 10.0.0.4\n"
#define GATE "[host gate]\nroles = gateway-server\naddress = 10.0.0.5\n"
#define GIP "[host gip]\nroles = guest-interaction-proxy\naddress = 10.0.0.6\n"
#define ESX "[external esx]\nroles = esxi\naddress = 10.0.1.1\n"

static void expect_range(const Fleet *fleet, const char *from, const char *to, const char *what, guint first,
                         guint last)
{
  const HfPlanFlow *flow = fleet_flow(fleet, from, to, what);
  if (flow == NULL || flow->first != first || flow->last != last)
    g_error("%s from '%s' to '%s' is not %u-%u", what, from, to, first, last);
}

#define OPEN(fleet, from, to, what) g_assert_true(fleet_open(fleet, from, to, what))
#define CLOSED(fleet, from, to, what) g_assert_false(fleet_open(fleet, from, to, what))
#define ASKS(fleet, from, to, what, row) g_assert_true(fleet_asks(fleet, from, to, what, row))
#define SILENT(fleet, from, to, what, row) g_assert_false(fleet_asks(fleet, from, to, what, row))

/* A connection takes one port of the channels: all of them are open, on the side that listens only. */
static void test_r1(void)
{
  g_autoptr(Fleet) fleet = fleet_plan(VBR PROXY REPO GATE);
  expect_range(fleet, "proxy", "repo", "tcp 2500", 2500, 3300);
  expect_range(fleet, "vbr", "proxy", "tcp 2500", 2500, 3300);
  CLOSED(fleet, "repo", "proxy", "tcp 2500");
  CLOSED(fleet, "gate", "repo", "tcp 2500");
}

/* 6162 first, the channels where it cannot be reached. */
static void test_r2(void)
{
  g_autoptr(Fleet) fleet = fleet_plan(MOUNT REPO);
  const HfPlanFlow *first = fleet_flow(fleet, "mount", "repo", "tcp 6162"),
                   *range = fleet_flow(fleet, "mount", "repo", "tcp 3000");
  g_assert_cmpstr(first->rows[0].row->id, ==, "x1.8");
  g_assert_false(first->rows[0].fallback);
  g_assert_true(range->rows[0].fallback);
  g_assert_false(range->fallback); /* vPower wants the range by itself */
  g_autoptr(Fleet) none = fleet_plan("[fleet]\nfallback-ports = no\n" MOUNT REPO);
  g_autofree char *rows = fleet_rows(none, "mount", "repo", "tcp 3000");
  g_assert_cmpstr(rows, ==, "m61.7, m62.4");
}

/* One port on both systems. */
static void test_r3(void)
{
  g_autoptr(Fleet) linux_fleet = fleet_plan(VBR PROXY REPO);
  g_autoptr(Fleet) windows = fleet_plan("[fleet]\nos = windows\n" VBR PROXY REPO);
  fleet_expect(linux_fleet, "vbr", "proxy", "tcp 6162", "m5.6");
  fleet_expect(windows, "vbr", "proxy", "tcp 6162", "m5.3");
  fleet_expect(linux_fleet, "vbr", "repo", "tcp 6162", "m8.6");
  fleet_expect(windows, "vbr", "repo", "tcp 6162", "m8.3");
}

/* On Linux the port of the data mover may be another one, for all who reach it; on Windows not. */
static void test_r4(void)
{
  g_autoptr(Fleet) fleet = fleet_plan(VBR PROXY REPO "port transport = 7162\n");
  fleet_expect(fleet, "vbr", "repo", "tcp 7162", "m8.6");
  fleet_expect(fleet, "proxy", "repo", "tcp 7162", "m5.14");
  CLOSED(fleet, "proxy", "repo", "tcp 6162");
  OPEN(fleet, "vbr", "proxy", "tcp 6162");
  g_autoptr(GError) error = NULL;
  const char *text = REPO "os = windows\nport transport = 7162\n";
  g_assert_null(hf_topology_parse(text, strlen(text), "f", &error));
  g_assert_nonnull(strstr(error->message, "can be set only while 'to.os=linux' holds"));
}

static void test_r5(void)
{
  g_autoptr(Fleet) fleet =
    fleet_plan(GIP "[host g]\nroles = mssql-guest\nguest-components = persistent\nos = windows\naddress = 10.0.0.9\n"
                   "[host l]\nroles = guest\nguest-components = persistent\naddress = 10.0.0.10\n");
  g_assert_false(fleet_flow(fleet, "gip", "g", "tcp 6160")->fallback);
  g_assert_true(fleet_flow(fleet, "gip", "g", "tcp 11731")->fallback);
  OPEN(fleet, "gip", "l", "tcp 6160");
  CLOSED(fleet, "gip", "l", "tcp 11731");
}

/* The NFS server mounts from 1058 on where the backup server is, else from 1063; ports step up when taken. */
static void test_r6(void)
{
  g_autoptr(Fleet) fleet =
    fleet_plan(ESX MOUNT "[host vbr]\nroles = backup-server, mount-server\naddress = 10.0.0.1\n");
  for (guint udp = 0; udp < 2; udp++) {
    expect_range(fleet, "esx", "vbr", udp ? "udp 1058" : "tcp 1058", 1058, 1067);
    expect_range(fleet, "esx", "mount", udp ? "udp 1063" : "tcp 1063", 1063, 1072);
    expect_range(fleet, "esx", "mount", udp ? "udp 2049" : "tcp 2049", 2049, 2058);
    expect_range(fleet, "esx", "mount", udp ? "udp 111" : "tcp 111", 111, 111);
  }
  CLOSED(fleet, "esx", "mount", "tcp 1058");
}

/* Services of NFS that move: closed until somebody pins them. */
static void test_r7(void)
{
  g_autoptr(Fleet) fleet =
    fleet_plan(PROXY "[external nfs]\nroles = nfs-repository\nport mountd_port = 4001\naddress = 10.0.1.2\n");
  OPEN(fleet, "proxy", "nfs", "udp 4001");
  g_assert_cmpint(fleet_unresolved(fleet, "nfs", "statd_port")->cause, ==, HF_PLAN_NO_PORT);
  g_assert_nonnull(fleet_unresolved(fleet, "nfs", "lockd_port"));
  g_assert_null(fleet_unresolved(fleet, "nfs", "mountd_port"));
  g_autoptr(Fleet) domain = fleet_plan(GATE "[external dd]\nroles = data-domain\nport 2052 = 2053\nport 2049 = 2050\n"
                                            "address = 10.0.1.3\n");
  OPEN(domain, "gate", "dd", "tcp 2053");
  OPEN(domain, "gate", "dd", "tcp 2050");
  CLOSED(domain, "gate", "dd", "tcp 2052");
}

static void test_r8(void)
{
  g_autoptr(Fleet) fleet =
    fleet_plan(VBR PROXY "[external vc]\nroles = vcenter\nport 443 = 8443\naddress = 10.0.1.2\n"
                         "[external ec2]\nroles = ec2-restore-appliance\nport redirector = 8444\naddress = 10.0.1.3\n"
                         "[external az]\nroles = azure-restore-appliance\nport ssh = 2222\naddress = 10.0.1.4\n"
                         "[host c]\nroles = console\naddress = 10.0.0.9\n"
                         "[external plain]\nroles = mail-server\naddress = 10.0.1.5\n"
                         "[external tls]\nroles = mail-server\nencryption = tls\naddress = 10.0.1.6\n"
                         "[external own]\nroles = mail-server\nport mail_port = 2525\naddress = 10.0.1.7\n");
  OPEN(fleet, "proxy", "vc", "tcp 8443");
  OPEN(fleet, "vbr", "vc", "tcp 8443");
  CLOSED(fleet, "vbr", "vc", "tcp 443");
  OPEN(fleet, "vbr", "ec2", "tcp 8444");
  OPEN(fleet, "vbr", "az", "tcp 2222");
  OPEN(fleet, "c", "plain", "tcp 25");
  CLOSED(fleet, "c", "plain", "tcp 587");
  OPEN(fleet, "c", "tls", "tcp 587");
  CLOSED(fleet, "c", "tls", "tcp 25");
  OPEN(fleet, "c", "own", "tcp 2525");
  OPEN(fleet, "c", "own", "tcp 443"); /* cannot be changed */
}

static void test_r9(void)
{
  g_autoptr(Fleet) fleet = fleet_plan(MOUNT PROXY "[external st]\nroles = staging-server\naddress = 10.0.1.2\n"
                                                  "[external vm]\nroles = restored-vm\naddress = 10.0.1.3\n"
                                                  "[external ia]\nroles = azure-instant-appliance\naddress = 10.0.1.4\n"
                                                  "[external array]\nroles = pure-flasharray\naddress = 10.0.1.5\n");
  expect_range(fleet, "st", "mount", "tcp 3260", 3260, 3270);
  expect_range(fleet, "vm", "ia", "tcp 3260", 3260, 3262);
  OPEN(fleet, "vm", "ia", "tcp 9555");
  expect_range(fleet, "proxy", "array", "tcp 3260", 3260, 3260);
}

/* Ports that Windows hands out are open only where its own firewall does not see to them. */
static void test_r10(void)
{
  g_autoptr(Fleet) fleet = fleet_plan(VBR "[host t1]\nroles = tape-server\nos = windows\naddress = 10.0.0.9\n"
                                          "[host t2]\nroles = tape-server\nos = windows\nwindows-firewall = custom\n"
                                          "address = 10.0.0.10\n"
                                          "[host h]\nroles = helper-host\naddress = 10.0.0.11\n");
  CLOSED(fleet, "vbr", "t1", "tcp 49152");
  expect_range(fleet, "vbr", "t2", "tcp 49152", 49152, 65535);
  expect_range(fleet, "vbr", "h", "tcp 32768", 32768, 60999);
}

/* The port is set on the other system; that of NDMP data is not in the catalogue. */
static void test_r11(void)
{
  g_autoptr(Fleet) fleet =
    fleet_plan(GATE "[external s3]\nroles = s3-compatible\naddress = 10.0.1.2\n"
                    "[external own]\nroles = ibm-cos\nport object_storage_port = 9000\naddress = 10.0.1.3\n"
                    "[external ndmp]\nroles = ndmp-server\naddress = 10.0.1.4\n");
  g_assert_nonnull(fleet_unresolved(fleet, "s3", "object_storage_port"));
  CLOSED(fleet, "gate", "s3", "tcp 443");
  OPEN(fleet, "gate", "own", "tcp 9000");
  OPEN(fleet, "gate", "ndmp", "tcp 10000");
}

static void test_r12(void)
{
  g_autoptr(Fleet) fleet =
    fleet_plan("[fleet]\nos = windows\n" VBR "[host p]\nroles = backup-proxy\naddress = 10.0.0.9\n"
               "[host old]\nroles = backup-proxy\nsmb1 = yes\naddress = 10.0.0.10\n"
               "[host kit]\nroles = backup-proxy\nsmb1 = yes\ndeployment-kit = yes\naddress = 10.0.0.11\n"
               "[host lin]\nroles = backup-proxy\nos = linux\naddress = 10.0.0.12\n");
  OPEN(fleet, "vbr", "p", "tcp 445");
  OPEN(fleet, "vbr", "p", "tcp 135");
  CLOSED(fleet, "vbr", "p", "tcp 137");
  CLOSED(fleet, "vbr", "p", "tcp 139");
  OPEN(fleet, "vbr", "old", "tcp 137");
  OPEN(fleet, "vbr", "old", "tcp 139");
  CLOSED(fleet, "vbr", "kit", "tcp 445");
  CLOSED(fleet, "vbr", "kit", "tcp 139");
  OPEN(fleet, "vbr", "kit", "tcp 6160");
  CLOSED(fleet, "vbr", "lin", "tcp 445");
}

static void test_r13(void)
{
  g_autoptr(Fleet) fleet = fleet_plan(
    GIP "[host g]\nroles = guest\nos = windows\naddress = 10.0.0.9\n"
        "[host n]\nroles = guest\nos = windows\nnetworkless = vsphere\naddress = 10.0.0.10\n"
        "[host ps]\nroles = postgresql-guest\nnetworkless = powershell-direct\naddress = 10.0.0.11\n"
        "[host pv]\nroles = postgresql-guest\nnetworkless = vsphere\naddress = 10.0.0.12\n"
        "[host q]\nroles = mssql-guest\nos = windows\nnetworkless = powershell-direct\naddress = 10.0.0.13\n");
  OPEN(fleet, "gip", "g", "tcp 445");
  OPEN(fleet, "gip", "g", "tcp 6173");
  CLOSED(fleet, "gip", "n", "tcp 445");
  CLOSED(fleet, "gip", "n", "tcp 6173");
  SILENT(fleet, "gip", "q", "tcp 2500", "m52.2");
  /* PowerShell Direct is for other guests than those with PostgreSQL. */
  ASKS(fleet, "gip", "ps", "tcp 22", "m54.1");
  CLOSED(fleet, "gip", "pv", "tcp 22");
  CLOSED(fleet, "gip", "pv", "tcp 2500");
}

static void test_r14(void)
{
  g_autoptr(Fleet) fleet = fleet_plan(
    GIP "[host run]\nroles = guest\naddress = 10.0.0.9\n"
        "[host stay]\nroles = guest\nguest-components = persistent\naddress = 10.0.0.10\n"
        "[host agent]\nroles = guest\nguest-components = persistent\nguest-control = agent\naddress = 10.0.0.11\n"
        "[host win]\nroles = guest\nguest-components = persistent\nos = windows\naddress = 10.0.0.12\n");
  OPEN(fleet, "gip", "run", "tcp 22");
  CLOSED(fleet, "gip", "run", "tcp 6160");
  OPEN(fleet, "gip", "stay", "tcp 6160");
  CLOSED(fleet, "gip", "stay", "tcp 22");
  CLOSED(fleet, "gip", "stay", "tcp 6162");
  OPEN(fleet, "gip", "agent", "tcp 6162");
  OPEN(fleet, "gip", "win", "tcp 6173");
  CLOSED(fleet, "gip", "win", "tcp 445");
}

static void test_r15(void)
{
  g_autoptr(Fleet) fleet =
    fleet_plan(VBR PROXY GIP ESX "[external aws]\nroles = esxi\nvmware-cloud-on-aws = yes\naddress = 10.0.1.2\n"
                                 "[external under]\nroles = esxi\nvcenter-connection = yes\naddress = 10.0.1.3\n"
                                 "[external old]\nroles = esxi\nvcenter-connection = yes\nvsphere-before-6.5 = yes\n"
                                 "address = 10.0.1.4\n");
  OPEN(fleet, "vbr", "esx", "tcp 443");
  OPEN(fleet, "vbr", "esx", "tcp 902");
  CLOSED(fleet, "vbr", "aws", "tcp 443");
  CLOSED(fleet, "vbr", "aws", "tcp 902");
  CLOSED(fleet, "proxy", "aws", "tcp 902");
  OPEN(fleet, "proxy", "esx", "tcp 443");
  CLOSED(fleet, "proxy", "under", "tcp 443");
  OPEN(fleet, "proxy", "under", "tcp 902");
  OPEN(fleet, "gip", "under", "tcp 443"); /* newer ones need it for web services */
  CLOSED(fleet, "gip", "old", "tcp 443");
  OPEN(fleet, "gip", "esx", "tcp 443");
}

/* A web proxy cannot stand between: the way leads straight there. */
static void test_r16(void)
{
  g_autoptr(Fleet) fleet = fleet_plan(VBR "[external vc]\nroles = vcenter\naddress = 10.0.1.2\n"
                                          "[external cd]\nroles = cloud-director\naddress = 10.0.1.3\n"
                                          "[host web]\nroles = lab-internet-proxy\naddress = 10.0.0.9\n");
  OPEN(fleet, "vbr", "vc", "tcp 443");
  OPEN(fleet, "vbr", "cd", "tcp 443");
  CLOSED(fleet, "vbr", "web", "tcp 8080");
}

/* The backup server is the gateway of what names none. */
static void test_r17(void)
{
  g_autoptr(Fleet) none = fleet_plan(VBR "[external s]\nroles = storeonce\naddress = 10.0.1.2\n");
  OPEN(none, "vbr", "s", "tcp 9387");
  g_autoptr(Fleet) named =
    fleet_plan(VBR GATE "[external s]\nroles = storeonce\naddress = 10.0.1.2\n"
                        "[external t]\nroles = storeonce\npeers gateway-server = none\naddress = 10.0.1.3\n"
                        "[external u]\nroles = storeonce\ngateway = none\naddress = 10.0.1.4\n"
                        "[external arc]\nroles = ec2-archive-appliance\naddress = 10.0.1.5\n");
  OPEN(named, "gate", "s", "tcp 9387");
  CLOSED(named, "vbr", "s", "tcp 9387");
  OPEN(named, "vbr", "t", "tcp 9387");
  CLOSED(named, "gate", "t", "tcp 9387");
  OPEN(named, "vbr", "u", "tcp 9387");
  CLOSED(named, "gate", "u", "tcp 9387");
  OPEN(named, "gate", "arc", "tcp 443");
}

/* A gateway writes to a share only where one is named; proxies do anyway. */
static void test_r18(void)
{
  g_autoptr(Fleet) fleet =
    fleet_plan(VBR PROXY GATE "[external n]\nroles = nfs-repository\naddress = 10.0.1.2\n"
                              "[external m]\nroles = smb-repository\ngateway = none\naddress = 10.0.1.3\n");
  OPEN(fleet, "gate", "n", "udp 2049");
  OPEN(fleet, "proxy", "n", "tcp 111");
  CLOSED(fleet, "gate", "m", "tcp 445");
  OPEN(fleet, "proxy", "m", "tcp 445");
  CLOSED(fleet, "vbr", "n", "tcp 2049");
}

#define WAN                                                                                                            \
  "[site n]\nnetworks = 10.1.0.0/16\n[site s]\nnetworks = 10.2.0.0/16\n"                                               \
  "[host vbr]\nroles = backup-server\naddress = 10.1.0.1\n"                                                            \
  "[host wn1]\nroles = wan-accelerator\naddress = 10.1.0.2\n"                                                          \
  "[host wn2]\nroles = wan-accelerator\naddress = 10.1.0.3\n"                                                          \
  "[host ws]\nroles = wan-accelerator\naddress = 10.2.0.2\n"                                                           \
  "[host rn]\nroles = source-repository\naddress = 10.1.0.4\n"                                                         \
  "[host rs]\nroles = target-repository\naddress = 10.2.0.4\n"

/* Accelerators talk from site to site, and with the repository of their own site. */
static void test_r19(void)
{
  g_autoptr(Fleet) fleet = fleet_plan(WAN);
  OPEN(fleet, "wn1", "ws", "tcp 6164");
  OPEN(fleet, "ws", "wn2", "tcp 6165");
  CLOSED(fleet, "wn1", "wn2", "tcp 6165");
  CLOSED(fleet, "wn2", "wn1", "tcp 6164");
  ASKS(fleet, "wn1", "rn", "tcp 2500", "m46.6");
  ASKS(fleet, "ws", "rs", "tcp 2500", "m46.5");
  CLOSED(fleet, "wn1", "rs", "tcp 2500");
  CLOSED(fleet, "ws", "rn", "tcp 2500");
  CLOSED(fleet, "vbr", "ws", "tcp 6220");
  g_autoptr(Fleet) provider = fleet_plan("[fleet]\ncloud-connect = yes\n" WAN);
  OPEN(provider, "vbr", "ws", "tcp 6220");
  g_autoptr(Fleet) unused = fleet_plan("[fleet]\nwan-accelerators = no\n" WAN);
  CLOSED(unused, "wn1", "ws", "tcp 6165");
  CLOSED(unused, "vbr", "wn1", "tcp 6164");
  /* Copies without accelerators go from repository to repository. */
  ASKS(unused, "rn", "rs", "tcp 2500", "m8.9");
}

static void test_r20(void)
{
  const char *guests = REPO "[host q]\nroles = mssql-guest\nos = windows\naddress = 10.0.0.9\n"
                            "[host far]\nroles = mssql-guest\nos = windows\ndirect-to-repository = no\n"
                            "address = 10.0.0.10\n";
  g_autofree char *shipped =
    g_strconcat(guests, "[host ship]\nroles = log-shipping-server\naddress = 10.0.0.11\n", NULL);
  g_autoptr(Fleet) without = fleet_plan(guests), with = fleet_plan(shipped);
  OPEN(without, "q", "repo", "tcp 6162");
  CLOSED(without, "far", "repo", "tcp 6162");
  CLOSED(with, "q", "repo", "tcp 6162");
  OPEN(with, "q", "ship", "tcp 6162");
  g_assert_true(fleet_flow(with, "q", "ship", "tcp 2500")->fallback);
  OPEN(with, "ship", "repo", "tcp 6162");
  g_autoptr(Fleet) direct =
    fleet_plan(VBR "[host h1]\nroles = hyperv\nos = windows\nlog-transfer = powershell-direct\naddress = 10.0.0.12\n"
                   "[host h2]\nroles = hyperv\nos = windows\naddress = 10.0.0.13\n");
  ASKS(direct, "h1", "vbr", "tcp 6162", "m51.4");
  ASKS(direct, "vbr", "h1", "tcp 6162", "m51.6");
  CLOSED(direct, "h2", "vbr", "tcp 6162");
  SILENT(direct, "vbr", "h2", "tcp 6162", "m51.6");
}

static void test_r21(void)
{
  g_autoptr(Fleet) fleet = fleet_plan(VBR MOUNT ESX "[host far]\nroles = console\naddress = 10.0.0.9\n"
                                                    "[host near]\nroles = console\nremote-console = no\n"
                                                    "address = 10.0.0.10\n");
  OPEN(fleet, "vbr", "esx", "tcp 902");
  OPEN(fleet, "mount", "vbr", "tcp 9401");
  OPEN(fleet, "far", "mount", "tcp 6162");
  CLOSED(fleet, "near", "mount", "tcp 6162");
  /* A console on the mount server itself needs no rule. */
  g_autoptr(Fleet) same = fleet_plan(VBR "[host m]\nroles = mount-server, console\naddress = 10.0.0.9\n");
  CLOSED(same, "m", "m", "tcp 6162");
}

static void test_r22(void)
{
  g_autoptr(Fleet) pair =
    fleet_plan("[host a]\nroles = primary-backup-server, postgresql-database\naddress = 10.0.0.1\n"
               "[host b]\nroles = standby-backup-server, postgresql-database\naddress = 10.0.0.2\n");
  OPEN(pair, "a", "b", "tcp 8008");
  OPEN(pair, "a", "b", "tcp 8500");
  CLOSED(pair, "b", "a", "tcp 8008");
  OPEN(pair, "a", "b", "tcp 5432");
  OPEN(pair, "b", "a", "tcp 5432");
  g_autoptr(Fleet) two = fleet_plan("[host a]\nroles = backup-server\naddress = 10.0.0.1\n"
                                    "[host b]\nroles = backup-server\naddress = 10.0.0.2\n");
  CLOSED(two, "a", "b", "tcp 8008");
}

static void test_r23(void)
{
  g_autoptr(Fleet) fleet = fleet_plan(VBR MOUNT "[external l]\nroles = license-server\naddress = 10.0.1.2\n");
  OPEN(fleet, "vbr", "l", "tcp 443");
  OPEN(fleet, "vbr", "l", "tcp 80");
  CLOSED(fleet, "mount", "l", "tcp 443");
}

static void test_r24(void)
{
  g_autoptr(Fleet) fleet = fleet_plan(VBR "[host app]\nroles = infrastructure-appliance\naddress = 10.0.0.9\n"
                                          "[external dns]\nroles = dns-server\naddress = 10.0.1.2\n");
  fleet_expect(fleet, "vbr", "dns", "udp 53", "m2.29");
  fleet_expect(fleet, "app", "dns", "udp 53", "m4.7");
  CLOSED(fleet, "vbr", "dns", "tcp 53");
}

static void test_r25(void)
{
  g_autoptr(Fleet) fleet =
    fleet_plan("[fleet]\nfile-shares = yes\n" VBR PROXY
               "[external a]\nroles = netapp-ontap\nchanged-file-tracking = yes\naddress = 10.0.1.2\n"
               "[external b]\nroles = netapp-ontap\naddress = 10.0.1.3\n");
  ASKS(fleet, "proxy", "a", "tcp 443", "m41.8");
  CLOSED(fleet, "proxy", "b", "tcp 443");
  SILENT(fleet, "vbr", "proxy", "tcp 6210", "m41.3");
  g_autoptr(Fleet) windows = fleet_plan(
    "[fleet]\nfile-shares = yes\n[host vbr]\nroles = backup-server\nos = windows\naddress = 10.0.0.1\n" PROXY);
  ASKS(windows, "vbr", "proxy", "tcp 6210", "m41.3");
}

/* Where to ask for revoked certificates stands in them, and the topology says it. */
static void test_r26(void)
{
  g_autoptr(Fleet) fleet =
    fleet_plan(VBR GATE "[external c1]\nroles = crl-server\naddress = 10.0.1.2\n"
                        "[external c2]\nroles = crl-server\ncrl-scheme = https\naddress = 10.0.1.3\n"
                        "[external s]\nroles = amazon-s3\nnames *.amazonaws.com = 10.0.1.4\n"
                        "names *.amazontrust.com = 10.0.1.5\n"
                        "[external b]\nroles = azure-blob\nvalue storage-account = a\naddress = 10.0.1.6\n");
  OPEN(fleet, "vbr", "c1", "tcp 80");
  CLOSED(fleet, "vbr", "c1", "tcp 443");
  OPEN(fleet, "vbr", "c2", "tcp 443");
  CLOSED(fleet, "vbr", "c2", "tcp 80");
  g_assert_cmpstr(fleet_flow(fleet, "gate", "s", "tcp 80")->to->name->text, ==, "*.amazontrust.com");
  g_assert_cmpint(fleet_unresolved(fleet, "b", "certificate-endpoints")->cause, ==, HF_PLAN_NO_VALUE);
}

static void test_r27(void)
{
  g_autoptr(Fleet) fleet =
    fleet_plan(VBR "appliance = yes\n" GATE "[external b]\nroles = azure-blob\nvalue storage-account = acme\n"
                   "[external v]\nroles = data-cloud-vault\n"
                   "[external m]\nroles = update-mirror\n"
                   "value localmirrorrepository.domain = mirror.example.org\n");
  const HfPlanFlow *blob = fleet_flow(fleet, "gate", "b", "tcp 443");
  g_assert_nonnull(strstr("acme.blob.core.windows.net acme.blob.storage.azure.net", blob->to->name->text));
  g_assert_cmpint(fleet_unresolved(fleet, "v", "storage-account")->cause, ==, HF_PLAN_NO_VALUE);
  CLOSED(fleet, "gate", "v", "tcp 443");
  g_assert_cmpstr(fleet_flow(fleet, "vbr", "m", "tcp 443")->to->name->text, ==, "mirror.example.org");
  CLOSED(fleet, "vbr", "m", "tcp 80");
}

static void test_r28(void)
{
  g_autoptr(Fleet) fleet =
    fleet_plan("[fleet]\nvalue storage-account = acme\nvalue certificate-endpoints = o.example.org\n" GATE
               "[external g]\nroles = amazon-s3\n[external v]\nroles = amazon-s3\nregion = government\n"
               "[external c]\nroles = amazon-s3\nregion = china\n"
               "[external az]\nroles = azure-blob\nregion = china\n");
  g_assert_cmpstr(fleet_flow(fleet, "gate", "g", "tcp 443")->to->name->text, ==, "*.amazonaws.com");
  g_assert_cmpstr(fleet_flow(fleet, "gate", "v", "tcp 443")->to->name->text, ==, "*.amazonaws.com");
  g_assert_cmpstr(fleet_flow(fleet, "gate", "c", "tcp 443")->to->name->text, ==, "*.amazonaws.com.cn");
  g_assert_cmpstr(fleet_flow(fleet, "gate", "az", "tcp 443")->to->name->text, ==, "acme.blob.core.chinacloudapi.cn");
}

static void test_r29(void)
{
  g_autoptr(Fleet) fleet = fleet_plan(VBR "[external dc]\nroles = lab-application\nport application_port = 389/tcp\n"
                                          "address = 10.0.1.2\n"
                                          "[external web]\nroles = lab-application\naddress = 10.0.1.3\n");
  fleet_expect(fleet, "vbr", "dc", "tcp 389", "m62.2, m63.2");
  CLOSED(fleet, "vbr", "dc", "udp 389");
  g_assert_cmpuint(fleet_unresolved(fleet, "web", "application_port")->n_rows, ==, 2);
}

static void test_r30(void)
{
  g_autoptr(Fleet) fleet =
    fleet_plan(VBR "[host w]\nroles = guest-interaction-proxy\nos = windows\naddress = 10.0.0.9\n"
                   "[host k]\nroles = guest-interaction-proxy\ndeployment-kit = yes\naddress = 10.0.0.10\n"
                   "[host l]\nroles = guest-interaction-proxy\naddress = 10.0.0.11\n");
  OPEN(fleet, "vbr", "w", "tcp 445");
  OPEN(fleet, "vbr", "w", "tcp 135");
  OPEN(fleet, "vbr", "k", "tcp 6160");
  CLOSED(fleet, "vbr", "k", "tcp 22");
  OPEN(fleet, "vbr", "l", "tcp 22");
  CLOSED(fleet, "vbr", "l", "tcp 445");
  OPEN(fleet, "vbr", "l", "tcp 6190");
}

/* A server in a separated network is reached by the ports of its web application only. */
static void test_r32(void)
{
  g_autoptr(Fleet) fleet = fleet_plan(VBR MOUNT "[host c]\nroles = console\naddress = 10.0.0.9\n"
                                                "[external dmz]\nroles = sharepoint-server\naddress = 192.0.2.1\n"
                                                "[external st]\nroles = staging-server\naddress = 10.0.1.2\n");
  const HfPlanGroup *dmz = hf_plan_group(fleet->plan, fleet_node(fleet, "dmz"));
  guint flows = 0;
  for (guint i = 0; i < fleet->plan->n_flows; i++) {
    g_assert_false(hf_plan_peers_have(fleet->plan->flows[i]->from, dmz));
    flows += hf_plan_peers_have(fleet->plan->flows[i]->to, dmz) ? 1 : 0;
  }
  g_assert_cmpuint(flows, ==, 2);
  OPEN(fleet, "c", "dmz", "tcp 80");
  OPEN(fleet, "c", "dmz", "tcp 443");
  OPEN(fleet, "c", "st", "udp 389");
  OPEN(fleet, "c", "st", "tcp 445");
}

static void test_r33(void)
{
  g_autoptr(Fleet) fleet = fleet_plan(VBR "[host a]\nroles = infrastructure-appliance\naddress = 10.0.0.9\n");
  fleet_expect(fleet, "a", "vbr", "tcp 443", "m4.3");
  fleet_expect(fleet, "vbr", "a", "tcp 443", "m4.12");
  CLOSED(fleet, "vbr", "a", "tcp 6160"); /* more ports come with the roles it has besides */
}

/* Nobody calls the appliance: both sides call out to queues. */
static void test_r34(void)
{
  g_autoptr(Fleet) fleet =
    fleet_plan(VBR "[external q]\nroles = azure-queues\nvalue storage-account = acme\naddress = 192.0.2.1\n"
                   "[external a]\nroles = azure-instant-appliance\naddress = 192.0.2.2\n"
                   "[external meta]\nroles = azure-metadata\n");
  OPEN(fleet, "vbr", "q", "tcp 443");
  OPEN(fleet, "a", "q", "tcp 443");
  for (guint i = 0; i < fleet->plan->n_flows; i++)
    g_assert_false(hf_plan_peers_have(fleet->plan->flows[i]->to, hf_plan_group(fleet->plan, fleet_node(fleet, "a"))));
  g_assert_cmpstr(fleet_flow(fleet, "a", "meta", "tcp 80")->to->name->text, ==, "169.254.169.254");
}

static void test_r35(void)
{
  g_autoptr(Fleet) fleet =
    fleet_plan(VBR REPO "[host win]\nroles = backup-repository\nos = windows\naddress = 10.0.0.9\n");
  OPEN(fleet, "vbr", "repo", "tcp 22");
  fleet_expect(fleet, "vbr", "repo", "tcp 2500", "m8.7");
  CLOSED(fleet, "vbr", "win", "tcp 22");
  CLOSED(fleet, "vbr", "win", "tcp 2500");
  OPEN(fleet, "repo", "win", "tcp 2500");
}

static void test_r36(void)
{
#define AZURE                                                                                                          \
  VBR "[external disks]\nroles = azure-restore-storage\nvalue storage-account = acme\naddress = 192.0.2.1\n"           \
      "[external helper]\nroles = azure-restore-appliance\naddress = 192.0.2.2\n"
  g_autoptr(Fleet) both = fleet_plan(AZURE);
  g_autoptr(Fleet) windows = fleet_plan("[fleet]\nazure-restore = windows\n" AZURE);
  g_autoptr(Fleet) other = fleet_plan("[fleet]\nazure-restore = linux\n" AZURE);
  OPEN(both, "vbr", "disks", "tcp 443");
  OPEN(both, "vbr", "helper", "tcp 22");
  OPEN(windows, "vbr", "disks", "tcp 443");
  CLOSED(windows, "vbr", "helper", "tcp 22");
  CLOSED(other, "vbr", "disks", "tcp 443");
  OPEN(other, "vbr", "helper", "tcp 22");
}

static void test_r37(void)
{
  g_autoptr(Fleet) fleet = fleet_plan(VBR "[host old]\nroles = cache-repository\naddress = 10.0.0.9\n"
                                          "[host new]\nroles = cache-repository\naddress = 10.0.0.10\n");
  fleet_expect(fleet, "vbr", "new", "tcp 2500", "m42.4");
  fleet_expect(fleet, "vbr", "old", "tcp 6160", "m42.4");
  fleet_expect(fleet, "vbr", "old", "tcp 6162", "m42.4");
  g_assert_false(fleet_flow(fleet, "vbr", "old", "tcp 2500")->fallback); /* all of them, not one */
  CLOSED(fleet, "old", "new", "tcp 2500");
}

/* Some appliances are written to from a gateway, others run the data mover. */
static void test_r38(void)
{
  g_autoptr(Fleet) fleet = fleet_plan(VBR PROXY GATE "[external dd]\nroles = data-domain\naddress = 10.0.1.2\n"
                                                     "[external eg]\nroles = exagrid\naddress = 10.0.1.3\n");
  OPEN(fleet, "gate", "dd", "tcp 2049");
  CLOSED(fleet, "vbr", "dd", "tcp 2049");
  CLOSED(fleet, "vbr", "dd", "tcp 6162");
  OPEN(fleet, "vbr", "eg", "tcp 22");
  OPEN(fleet, "vbr", "eg", "tcp 6160");
  OPEN(fleet, "proxy", "eg", "tcp 6162");
  g_assert_true(fleet_flow(fleet, "proxy", "eg", "tcp 2500")->fallback);
  CLOSED(fleet, "gate", "eg", "tcp 6162");
}

static const struct {
  const char *rule;
  void (*test)(void);
} rules[] = {
  { "R1", test_r1 },   { "R2", test_r2 },   { "R3", test_r3 },   { "R4", test_r4 },   { "R5", test_r5 },
  { "R6", test_r6 },   { "R7", test_r7 },   { "R8", test_r8 },   { "R9", test_r9 },   { "R10", test_r10 },
  { "R11", test_r11 }, { "R12", test_r12 }, { "R13", test_r13 }, { "R14", test_r14 }, { "R15", test_r15 },
  { "R16", test_r16 }, { "R17", test_r17 }, { "R18", test_r18 }, { "R19", test_r19 }, { "R20", test_r20 },
  { "R21", test_r21 }, { "R22", test_r22 }, { "R23", test_r23 }, { "R24", test_r24 }, { "R25", test_r25 },
  { "R26", test_r26 }, { "R27", test_r27 }, { "R28", test_r28 }, { "R29", test_r29 }, { "R30", test_r30 },
  { "R32", test_r32 }, { "R33", test_r33 }, { "R34", test_r34 }, { "R35", test_r35 }, { "R36", test_r36 },
  { "R37", test_r37 }, { "R38", test_r38 },
};

/* No row of the catalogue expresses a rule that is not tested here. (R31 asks that rules of firewalls be made at all.)
 */
static void test_every_rule(void)
{
  guint n_rows;
  const HfPortRow *rows = hf_port_rows(&n_rows);
  for (guint i = 0; i < n_rows; i++)
    for (guint r = 0; rows[i].rules[r] != NULL; r++) {
      gboolean tested = FALSE;
      for (guint t = 0; t < G_N_ELEMENTS(rules); t++)
        tested = tested || strcmp(rules[t].rule, rows[i].rules[r]->id) == 0;
      if (!tested)
        g_error("rule %s of row %s is not tested", rows[i].rules[r]->id, rows[i].id);
    }
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS(rules); i++) {
    g_autofree char *path = g_strdup_printf("/ports/plan/%s", rules[i].rule);
    g_test_add_func(path, rules[i].test);
  }
  g_test_add_func("/ports/plan/every-rule", test_every_rule);
  return g_test_run();
}
