/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ports/nft/nftables.h"

#include <arpa/inet.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"

/* ---- rulesets, written with ' for " ---- */

#define CHAINS \
  "{'metainfo': {'version': '1.0.6'}}, {'table': {'family': 'inet', 'name': 't', 'handle': 1}}," \
  "{'chain': {'family': 'inet', 'table': 't', 'name': 'in', 'type': 'filter', 'hook': 'input', 'policy': 'drop'}}," \
  "{'chain': {'family': 'inet', 'table': 't', 'name': 'out', 'type': 'filter', 'hook': 'output', 'policy': 'accept'}}," \
  "{'chain': {'family': 'inet', 'table': 't', 'name': 'sub'}}," \
  "{'set': {'family': 'inet', 'table': 't', 'name': 'ports', 'type': 'inet_service', 'elem': [80, {'range': [90, 99]}]}}," \
  "{'set': {'family': 'inet', 'table': 't', 'name': 'triples', 'type': ['ipv4_addr', 'inet_proto', 'inet_service']," \
  " 'elem': [{'elem': {'val': {'concat': ['10.0.0.1', 'tcp', 22]}, 'comment': 'm1.1', 'counter': {'packets': 3, 'bytes': " \
  "9}}}, {'elem': {'val': {'concat': [{'prefix': {'addr': '10.0.1.0', 'len': 24}}, 'udp', {'range': [2500, 3300]}]}, " \
  "'counter': {'packets': 0, 'bytes': 0}}}, {'elem': {'val': {'concat': [{'range': ['10.0.2.5', '10.0.2.9']}, 'tcp', " \
  "443]}, 'counter': {'packets': 0, 'bytes': 0}}}]}}," \
  "{'set': {'family': 'inet', 'table': 't', 'name': 'marks', 'type': 'mark', 'elem': [1]}}," \
  "{'map': {'family': 'inet', 'table': 't', 'name': 'verdicts', 'type': 'inet_service', 'map': 'verdict', " \
  "'elem': [[22, {'accept': null}], [23, {'jump': {'target': 'sub'}}], [24, {'drop': null}]]}}"
#define RULE(chain, handle, statements) \
  "{'rule': {'family': 'inet', 'table': 't', 'chain': '" chain "', 'handle': " handle ", 'expr': [" statements "]}}"
#define MATCH(op, left, right) "{'match': {'op': '" op "', 'left': " left ", 'right': " right "}}"
#define PAYLOAD(protocol, field) "{'payload': {'protocol': '" protocol "', 'field': '" field "'}}"
#define META(key) "{'meta': {'key': '" key "'}}"
#define ACCEPT "{'accept': null}"
#define DROP "{'drop': null}"
#define STATE "{'ct': {'key': 'state'}}"
#define SSH MATCH("==", PAYLOAD("tcp", "dport"), "22")
#define TRIPLES \
  MATCH("==", "{'concat': [" PAYLOAD("ip", "saddr") ", " META("l4proto") ", " PAYLOAD("th", "dport") "]}", "'@triples'")

static HfNftRuleset *parse(const char *items)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *text = g_strdup_printf("{'nftables': [%s]}", items);
  HfNftRuleset *ruleset = hf_nft_parse(g_strdelimit(text, "'", '"'), strlen(text), &error);
  g_assert_no_error(error);
  return ruleset;
}

/* "10.0.0.1 tcp 22": from there to us, or from us to there. */
static HfNftVerdict fate(const HfNftRuleset *ruleset, HfPlanDirection direction, const char *what, const char **by)
{
  g_auto(GStrv) words = g_strsplit(what, " ", 3);
  HfNftPacket packet = { .direction = direction, .transport = HF_PORT_TCP };
  packet.family = strchr(words[0], ':') != NULL ? AF_INET6 : AF_INET;
  g_assert_cmpint(inet_pton(packet.family, words[0], packet.peer), ==, 1);
  if (g_str_equal(words[1], "udp"))
    packet.transport = HF_PORT_UDP;
  packet.port = (guint16)g_ascii_strtoull(words[2], NULL, 10);
  return hf_nft_evaluate(ruleset, &packet, by);
}

static void expect_in(const char *rules, const char *what, HfNftVerdict verdict)
{
  g_autofree char *items = g_strconcat(CHAINS, rules[0] != '\0' ? ", " : "", rules, NULL);
  g_autoptr(HfNftRuleset) ruleset = parse(items);
  if (fate(ruleset, HF_PLAN_IN, what, NULL) != verdict)
    g_error("%s fares otherwise with %s", what, rules);
}

#define ONE(statements) RULE("in", "7", statements)

static void test_policy(void)
{
  const char *by;
  g_autoptr(HfNftRuleset) ruleset = parse(CHAINS);
  g_assert_cmpint(fate(ruleset, HF_PLAN_IN, "10.0.0.1 tcp 22", &by), ==, HF_NFT_DROP);
  g_assert_cmpstr(by, ==, "inet t in, policy");
  g_assert_cmpint(fate(ruleset, HF_PLAN_OUT, "10.0.0.1 tcp 22", &by), ==, HF_NFT_ACCEPT);
  g_assert_cmpstr(by, ==, "inet t out, policy");
  g_autoptr(HfNftRuleset) none = parse("");
  g_assert_cmpint(fate(none, HF_PLAN_IN, "::1 udp 5", &by), ==, HF_NFT_ACCEPT);
  g_assert_null(by);
  g_assert_true(hf_nft_has_chain(ruleset, HF_PLAN_IN, AF_INET6));
  g_assert_false(hf_nft_has_chain(none, HF_PLAN_IN, AF_INET));
}

static void test_matches(void)
{
  static const struct {
    const char *rule, *what;
    HfNftVerdict verdict;
  } cases[] = {
    { ONE(ACCEPT), "10.0.0.1 tcp 1", HF_NFT_ACCEPT },
    { ONE(SSH ", " ACCEPT), "10.0.0.1 tcp 22", HF_NFT_ACCEPT },
    { ONE(SSH ", " ACCEPT), "10.0.0.1 tcp 23", HF_NFT_DROP },
    { ONE(SSH ", " ACCEPT), "10.0.0.1 udp 22", HF_NFT_DROP },
    { ONE(SSH ", " ACCEPT), "2001:db8::1 tcp 22", HF_NFT_ACCEPT },
    { ONE(MATCH("!=", PAYLOAD("tcp", "dport"), "22") ", " ACCEPT), "10.0.0.1 tcp 23", HF_NFT_ACCEPT },
    { ONE(MATCH("!=", PAYLOAD("tcp", "dport"), "22") ", " ACCEPT), "10.0.0.1 tcp 22", HF_NFT_DROP },
    { ONE(MATCH("!=", PAYLOAD("tcp", "dport"), "22") ", " ACCEPT), "10.0.0.1 udp 23", HF_NFT_DROP },
    { ONE(MATCH("==", PAYLOAD("th", "dport"), "{'range': [5, 7]}") ", " ACCEPT), "10.0.0.1 udp 7", HF_NFT_ACCEPT },
    { ONE(MATCH("==", PAYLOAD("th", "dport"), "{'range': [5, 7]}") ", " ACCEPT), "10.0.0.1 udp 8", HF_NFT_DROP },
    { ONE(MATCH("<", PAYLOAD("udp", "dport"), "8") ", " ACCEPT), "10.0.0.1 udp 7", HF_NFT_ACCEPT },
    { ONE(MATCH("<", PAYLOAD("udp", "dport"), "8") ", " ACCEPT), "10.0.0.1 udp 8", HF_NFT_DROP },
    { ONE(MATCH(">=", PAYLOAD("udp", "dport"), "8") ", " ACCEPT), "10.0.0.1 udp 8", HF_NFT_ACCEPT },
    { ONE(MATCH(">", PAYLOAD("udp", "dport"), "65535") ", " ACCEPT), "10.0.0.1 udp 65535", HF_NFT_DROP },
    { ONE(MATCH("<", META("mark"), "8") ", " ACCEPT), "10.0.0.1 udp 8", HF_NFT_UNSURE },
    { ONE(MATCH("==", PAYLOAD("tcp", "dport"), "'@ports'") ", " ACCEPT), "10.0.0.1 tcp 95", HF_NFT_ACCEPT },
    { ONE(MATCH("==", PAYLOAD("tcp", "dport"), "'@ports'") ", " ACCEPT), "10.0.0.1 tcp 81", HF_NFT_DROP },
    { ONE(MATCH("==", PAYLOAD("tcp", "dport"), "'@none'") ", " ACCEPT), "10.0.0.1 tcp 81", HF_NFT_UNSURE },
    { ONE(MATCH("==", META("mark"), "'@marks'") ", " ACCEPT), "10.0.0.1 tcp 81", HF_NFT_UNSURE },
    { ONE(TRIPLES ", " ACCEPT), "10.0.0.1 tcp 22", HF_NFT_ACCEPT },
    { ONE(TRIPLES ", " ACCEPT), "10.0.0.1 udp 22", HF_NFT_DROP },
    { ONE(TRIPLES ", " ACCEPT), "10.0.1.255 udp 3300", HF_NFT_ACCEPT },
    { ONE(TRIPLES ", " ACCEPT), "10.0.2.0 udp 3300", HF_NFT_DROP },
    { ONE(TRIPLES ", " ACCEPT), "10.0.2.9 tcp 443", HF_NFT_ACCEPT },
    { ONE(TRIPLES ", " ACCEPT), "10.0.2.10 tcp 443", HF_NFT_DROP },
    { ONE(TRIPLES ", " ACCEPT), "2001:db8::1 tcp 22", HF_NFT_DROP },
    { ONE(MATCH("==", PAYLOAD("ip6", "saddr"), "{'prefix': {'addr': '2001:db8::', 'len': 32}}") ", " ACCEPT),
      "2001:db8:5::1 tcp 1", HF_NFT_ACCEPT },
    { ONE(MATCH("==", PAYLOAD("ip6", "saddr"), "{'prefix': {'addr': '2001:db8::', 'len': 32}}") ", " ACCEPT),
      "2001:db9::1 tcp 1", HF_NFT_DROP },
    { ONE(MATCH("==", PAYLOAD("ip", "saddr"), "{'set': ['1.2.3.4', {'prefix': {'addr': '5.0.0.0', 'len': 8}}]}") ", "
      ACCEPT), "5.9.9.9 tcp 1", HF_NFT_ACCEPT },
    { ONE(MATCH("==", PAYLOAD("ip", "daddr"), "'1.2.3.4'") ", " ACCEPT), "5.9.9.9 tcp 1", HF_NFT_UNSURE },
    { ONE(MATCH("==", PAYLOAD("ip", "daddr"), "{'prefix': {'addr': '0.0.0.0', 'len': 0}}") ", " ACCEPT),
      "5.9.9.9 tcp 1", HF_NFT_ACCEPT },
    { ONE(MATCH("==", PAYLOAD("ip", "protocol"), "'udp'") ", " ACCEPT), "10.0.0.1 udp 1", HF_NFT_ACCEPT },
    { ONE(MATCH("==", PAYLOAD("ip", "protocol"), "17") ", " ACCEPT), "10.0.0.1 udp 1", HF_NFT_ACCEPT },
    { ONE(MATCH("==", PAYLOAD("ip", "protocol"), "'udp'") ", " ACCEPT), "2001:db8::1 udp 1", HF_NFT_DROP },
    { ONE(MATCH("==", PAYLOAD("ip6", "nexthdr"), "'udp'") ", " ACCEPT), "2001:db8::1 udp 1", HF_NFT_ACCEPT },
    { ONE(MATCH("==", META("nfproto"), "'ipv6'") ", " ACCEPT), "2001:db8::1 udp 1", HF_NFT_ACCEPT },
    { ONE(MATCH("==", META("nfproto"), "'ipv6'") ", " ACCEPT), "10.0.0.1 udp 1", HF_NFT_DROP },
    { ONE(MATCH("==", META("l4proto"), "{'set': ['tcp', 'udp']}") ", " ACCEPT), "10.0.0.1 udp 1", HF_NFT_ACCEPT },
    { ONE(MATCH("==", META("l4proto"), "'icmp'") ", " ACCEPT), "10.0.0.1 udp 1", HF_NFT_DROP },
    { ONE(MATCH("==", META("l4proto"), "'no such'") ", " ACCEPT), "10.0.0.1 udp 1", HF_NFT_UNSURE },
    { ONE(MATCH("==", PAYLOAD("icmpv6", "type"), "'echo-request'") ", " ACCEPT), "2001:db8::1 udp 1", HF_NFT_DROP },
    { ONE(MATCH("==", PAYLOAD("ip", "ttl"), "64") ", " ACCEPT), "10.0.0.1 udp 1", HF_NFT_UNSURE },
    { ONE(MATCH("==", PAYLOAD("tcp", "sport"), "{'range': [1024, 65535]}") ", " ACCEPT), "10.0.0.1 tcp 1",
      HF_NFT_ACCEPT },
    { ONE(MATCH("==", PAYLOAD("tcp", "sport"), "20") ", " ACCEPT), "10.0.0.1 tcp 1", HF_NFT_DROP },
    { ONE(MATCH("==", PAYLOAD("tcp", "sport"), "4000") ", " ACCEPT), "10.0.0.1 tcp 1", HF_NFT_UNSURE },
    { ONE(MATCH("in", STATE, "['established', 'related']") ", " ACCEPT), "10.0.0.1 tcp 1", HF_NFT_DROP },
    { ONE(MATCH("in", STATE, "'new'") ", " ACCEPT), "10.0.0.1 tcp 1", HF_NFT_ACCEPT },
    { ONE(MATCH("!=", STATE, "'new'") ", " ACCEPT), "10.0.0.1 tcp 1", HF_NFT_DROP },
    { ONE(MATCH("==", META("iifname"), "'lo'") ", " ACCEPT), "10.0.0.1 tcp 1", HF_NFT_DROP },
    { ONE(MATCH("!=", META("iif"), "'lo'") ", " ACCEPT), "10.0.0.1 tcp 1", HF_NFT_ACCEPT },
    { ONE(MATCH("==", META("iifname"), "'eth0'") ", " ACCEPT), "10.0.0.1 tcp 1", HF_NFT_UNSURE },
    { ONE(MATCH("!=", META("oifname"), "'lo'") ", " ACCEPT), "10.0.0.1 tcp 1", HF_NFT_DROP },
    { ONE(MATCH("==", "{'&': [" PAYLOAD("tcp", "flags") ", ['syn', 'ack']]}", "'syn'") ", " ACCEPT), "10.0.0.1 tcp 1",
      HF_NFT_ACCEPT },
    { ONE(MATCH("==", "{'&': [" PAYLOAD("tcp", "flags") ", {'|': ['fin', 'syn']}]}", "0") ", " ACCEPT),
      "10.0.0.1 tcp 1", HF_NFT_DROP },
    { ONE(MATCH("in", PAYLOAD("tcp", "flags"), "['syn', 'rst']") ", " ACCEPT), "10.0.0.1 tcp 1", HF_NFT_ACCEPT },
    { ONE(MATCH("in", PAYLOAD("tcp", "flags"), "'ack'") ", " ACCEPT), "10.0.0.1 tcp 1", HF_NFT_DROP },
    { ONE(MATCH("in", PAYLOAD("tcp", "flags"), "'syn'") ", " ACCEPT), "10.0.0.1 udp 1", HF_NFT_DROP },
    { ONE(MATCH("~", PAYLOAD("tcp", "dport"), "1") ", " ACCEPT), "10.0.0.1 tcp 1", HF_NFT_UNSURE },
    { ONE("{'xt': {'type': 'match', 'name': 'multiport'}}, " ACCEPT), "10.0.0.1 tcp 1", HF_NFT_UNSURE },
    { ONE("{'limit': {'rate': 3, 'per': 'second'}}, " ACCEPT), "10.0.0.1 tcp 1", HF_NFT_ACCEPT },
    { ONE("{'limit': {'rate': 3, 'per': 'second', 'inv': true}}, " ACCEPT), "10.0.0.1 tcp 1", HF_NFT_DROP },
    { ONE("{'log': {'group': 5}}, {'counter': 'named'}, " ACCEPT), "10.0.0.1 tcp 1", HF_NFT_ACCEPT },
    { ONE("{'queue': null}"), "10.0.0.1 tcp 1", HF_NFT_UNSURE },
    { ONE("{}, " ACCEPT), "10.0.0.1 tcp 1", HF_NFT_UNSURE },
  };
  for (guint i = 0; i < G_N_ELEMENTS(cases); i++)
    expect_in(cases[i].rule, cases[i].what, cases[i].verdict);
}

#define VMAP(data) "{'vmap': {'key': " PAYLOAD("tcp", "dport") ", 'data': " data "}}"
#define JUMP "{'jump': {'target': 'sub'}}"
#define GOTO "{'goto': {'target': 'sub'}}"
#define MARKED MATCH("==", META("mark"), "1")

static void test_flow(void)
{
  static const struct {
    const char *rules, *what;
    HfNftVerdict verdict;
  } cases[] = {
    { RULE("in", "1", DROP) "," RULE("in", "2", ACCEPT), "10.0.0.1 tcp 1", HF_NFT_DROP },
    { RULE("in", "1", JUMP) "," RULE("sub", "2", ACCEPT), "10.0.0.1 tcp 1", HF_NFT_ACCEPT },
    { RULE("in", "1", JUMP) "," RULE("in", "2", ACCEPT), "10.0.0.1 tcp 1", HF_NFT_ACCEPT },
    { RULE("in", "1", JUMP) "," RULE("in", "2", ACCEPT) "," RULE("sub", "3", "{'return': null}") ","
      RULE("sub", "4", DROP), "10.0.0.1 tcp 1", HF_NFT_ACCEPT },
    { RULE("in", "1", GOTO) "," RULE("in", "2", ACCEPT), "10.0.0.1 tcp 1", HF_NFT_DROP },
    { RULE("in", "1", GOTO) "," RULE("sub", "2", ACCEPT), "10.0.0.1 tcp 1", HF_NFT_ACCEPT },
    { RULE("in", "1", "{'return': null}") "," RULE("in", "2", ACCEPT), "10.0.0.1 tcp 1", HF_NFT_DROP },
    { RULE("in", "1", "{'continue': null}") "," RULE("in", "2", ACCEPT), "10.0.0.1 tcp 1", HF_NFT_ACCEPT },
    { RULE("in", "1", "{'jump': {'target': 'none'}}"), "10.0.0.1 tcp 1", HF_NFT_UNSURE },
    { RULE("in", "1", JUMP) "," RULE("sub", "2", JUMP), "10.0.0.1 tcp 1", HF_NFT_UNSURE },
    { RULE("in", "1", JUMP) "," RULE("sub", "2", JUMP) "," RULE("sub", "3", JUMP) "," RULE("sub", "4", JUMP) ","
      RULE("sub", "5", JUMP) "," RULE("sub", "6", JUMP), "10.0.0.1 tcp 1", HF_NFT_UNSURE }, /* ends, all the same */
    { RULE("in", "1", VMAP("'@verdicts'")), "10.0.0.1 tcp 22", HF_NFT_ACCEPT },
    { RULE("in", "1", VMAP("'@verdicts'")) "," RULE("sub", "2", ACCEPT), "10.0.0.1 tcp 23", HF_NFT_ACCEPT },
    { RULE("in", "1", VMAP("'@verdicts'")) "," RULE("in", "2", ACCEPT), "10.0.0.1 tcp 24", HF_NFT_DROP },
    { RULE("in", "1", VMAP("'@verdicts'")) "," RULE("in", "2", ACCEPT), "10.0.0.1 tcp 25", HF_NFT_ACCEPT },
    { RULE("in", "1", VMAP("'@verdicts'")) "," RULE("in", "2", ACCEPT), "10.0.0.1 udp 24", HF_NFT_ACCEPT },
    { RULE("in", "1", VMAP("{'set': [[1, {'accept': null}], [2, {'drop': null}]]}")), "10.0.0.1 tcp 1", HF_NFT_ACCEPT },
    { RULE("in", "1", VMAP("'@none'")), "10.0.0.1 tcp 1", HF_NFT_UNSURE },
    { RULE("in", "1", VMAP("{'set': [[1, {'strange': null}]]}")), "10.0.0.1 tcp 1", HF_NFT_UNSURE },
    { RULE("in", "1", MARKED ", " DROP) "," RULE("in", "2", ACCEPT), "10.0.0.1 tcp 1", HF_NFT_UNSURE },
    { RULE("in", "1", MARKED ", " DROP) "," RULE("in", "2", DROP), "10.0.0.1 tcp 1", HF_NFT_DROP },
    { RULE("in", "1", MARKED ", " ACCEPT) "," RULE("in", "2", ACCEPT), "10.0.0.1 tcp 1", HF_NFT_ACCEPT },
    { RULE("in", "1", MARKED ", {'return': null}") "," RULE("in", "2", ACCEPT), "10.0.0.1 tcp 1", HF_NFT_UNSURE },
    { RULE("in", "1", MARKED ", " JUMP) "," RULE("sub", "2", ACCEPT), "10.0.0.1 tcp 1", HF_NFT_UNSURE },
    { RULE("in", "1", MARKED ", " SSH ", " ACCEPT), "10.0.0.1 tcp 1", HF_NFT_DROP },
    { RULE("none", "1", ACCEPT), "10.0.0.1 tcp 1", HF_NFT_DROP },
    /* What another chain at the same hook says counts as well, also one that comes before routing. */
    { RULE("in", "1", ACCEPT) ",{'chain': {'family': 'ip', 'table': 'f', 'name': 'pre', 'type': 'filter', 'hook': "
      "'prerouting', 'policy': 'drop'}}", "10.0.0.1 tcp 1", HF_NFT_DROP },
    { RULE("in", "1", ACCEPT) ",{'chain': {'family': 'ip', 'table': 'f', 'name': 'pre', 'type': 'filter', 'hook': "
      "'prerouting', 'policy': 'drop'}}", "2001:db8::1 tcp 1", HF_NFT_ACCEPT },
    { RULE("in", "1", ACCEPT) ",{'chain': {'family': 'ip', 'table': 'n', 'name': 'pre', 'type': 'nat', 'hook': "
      "'prerouting', 'policy': 'drop'}}", "10.0.0.1 tcp 1", HF_NFT_ACCEPT },
  };
  for (guint i = 0; i < G_N_ELEMENTS(cases); i++)
    expect_in(cases[i].rules, cases[i].what, cases[i].verdict);
}

static void test_out(void)
{
  g_autoptr(HfNftRuleset) ruleset = parse(
    CHAINS "," RULE("out", "1", MATCH("==", PAYLOAD("ip", "daddr"), "'10.0.0.1'") ", " DROP) ","
    RULE("out", "2", MATCH("==", META("oifname"), "'lo'") ", " DROP));
  const char *by;
  g_assert_cmpint(fate(ruleset, HF_PLAN_OUT, "10.0.0.1 tcp 22", &by), ==, HF_NFT_DROP);
  g_assert_cmpstr(by, ==, "inet t out, handle 1");
  g_assert_cmpint(fate(ruleset, HF_PLAN_OUT, "10.0.0.2 tcp 22", NULL), ==, HF_NFT_ACCEPT);
}

/* ---- boxes ---- */

/* Inbound boxes as text: "10.0.0.1-10.0.0.1 tcp 22-22 (place; comment; packets)". */
static char *boxes_text(const HfNftRuleset *ruleset)
{
  gboolean whole;
  g_autoptr(GArray) boxes = hf_nft_boxes(ruleset, &whole);
  GString *text = g_string_new(NULL);
  g_assert_true(whole);
  for (guint i = 0; i < boxes->len; i++) {
    const HfNftBox *box = &g_array_index(boxes, HfNftBox, i);
    g_autofree char *peer = hf_firewall_range_text(&box->peer);
    if (box->direction == HF_PLAN_OUT || box->peer.family == AF_INET6)
      continue;
    g_string_append_printf(text, "%s %s %u-%u (%s", peer, hf_port_transports_text(box->transport), box->first, box->last,
                           box->place);
    g_string_append_printf(text, "%s%s", box->comment != NULL ? "; " : "", box->comment != NULL ? box->comment : "");
    g_string_append_printf(text, box->counted ? "; %u)\n" : ")\n", (guint)box->packets);
  }
  return g_string_free(text, FALSE);
}

static void expect_boxes(const char *rules, const char *text)
{
  g_autofree char *items = g_strconcat(CHAINS, ", ", rules, NULL);
  g_autoptr(HfNftRuleset) ruleset = parse(items);
  g_autofree char *found = boxes_text(ruleset);
  g_assert_cmpstr(found, ==, text);
}

static void test_boxes(void)
{
  expect_boxes(ONE(SSH ", {'counter': {'packets': 4, 'bytes': 8}}, " ACCEPT),
               "0.0.0.0/0 tcp 22-22 (inet t in, handle 7; 4)\n");
  expect_boxes(ONE(TRIPLES ", " ACCEPT), "10.0.0.1 tcp 22-22 (inet t set triples; m1.1; 3)\n"
                                         "10.0.2.5-10.0.2.9 tcp 443-443 (inet t set triples; 0)\n"
                                         "10.0.1.0/24 udp 2500-3300 (inet t set triples; 0)\n");
  expect_boxes(ONE(SSH ", " TRIPLES ", " ACCEPT), "10.0.0.1 tcp 22-22 (inet t set triples; m1.1; 3)\n");
  expect_boxes(ONE(MATCH("==", META("iifname"), "'lo'") ", " ACCEPT), "");
  expect_boxes(ONE(MATCH("in", STATE, "'established'") ", " ACCEPT), "");
  expect_boxes(RULE("in", "1", SSH ", " JUMP) "," RULE("sub", "2", MATCH("==", PAYLOAD("ip", "saddr"), "'10.0.0.1'") ", "
               ACCEPT), "10.0.0.1 tcp 22-22 (inet t sub, handle 2)\n");
  expect_boxes(ONE(VMAP("'@verdicts'")), "0.0.0.0/0 tcp 22-22 (inet t set verdicts)\n");
  expect_boxes(ONE(SSH ", " MATCH("!=", PAYLOAD("ip", "saddr"), "'10.0.0.1'") ", " ACCEPT),
               "0.0.0.0/0 tcp 22-22 (inet t in, handle 7)\n");
  expect_boxes(ONE(MATCH("==", PAYLOAD("tcp", "dport"), "'@none'") ", " ACCEPT),
               "0.0.0.0/0 tcp 1-65535 (inet t in, handle 7)\n");
}

static void test_cuts(void)
{
  g_autoptr(HfNftRuleset) ruleset = parse(CHAINS "," ONE(TRIPLES ", " ACCEPT));
  HfNftCuts cuts;
  static const guint32 ports[] = { 0, 22, 23, 443, 444, 2500, 3301 };
  hf_nft_cuts(ruleset, &cuts);
  g_assert_cmpuint(cuts.ports->len, ==, G_N_ELEMENTS(ports));
  for (guint i = 0; i < G_N_ELEMENTS(ports); i++)
    g_assert_cmpuint(g_array_index(cuts.ports, guint32, i), ==, ports[i]);
  /* 0.0.0.0, 10.0.0.1, .2, 10.0.1.0, 10.0.2.0, 10.0.2.5, 10.0.2.10 */
  g_assert_cmpuint(cuts.addresses[0]->len, ==, 7);
  g_assert_cmpuint(cuts.addresses[1]->len, ==, 1);
  hf_nft_cuts_clear(&cuts);
}

/* ---- where they come from ---- */

static void test_mistakes(void)
{
  static const char *const wrong[] = { "", "{", "[]", "{\"nftables\": 5}", "table inet t {" };
  for (guint i = 0; i < G_N_ELEMENTS(wrong); i++) {
    g_autoptr(GError) error = NULL;
    g_assert_null(hf_nft_parse(wrong[i], strlen(wrong[i]), &error));
    g_assert_true(hf_error_is(error, HF_ERROR_INVALID));
  }
}

static void test_files(void)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *path = g_build_filename(g_get_tmp_dir(), "holdfast-ruleset-XXXXXX", NULL);
  int fd = g_mkstemp(path);
  g_assert_cmpint(write(fd, "{\"nftables\": []}", 16), ==, 16);
  close(fd);
  g_autoptr(HfNftRuleset) ruleset = hf_nft_load(path, &error);
  g_assert_no_error(error);
  g_assert_false(hf_nft_has_chain(ruleset, HF_PLAN_IN, AF_INET));
  g_assert_true(g_file_set_contents(path, "no", -1, NULL));
  g_assert_null(hf_nft_load(path, &error));
  g_assert_nonnull(strstr(error->message, path));
  g_unlink(path);
  g_clear_error(&error);
  g_assert_null(hf_nft_load(path, &error));
  g_assert_true(hf_error_is(error, HF_ERROR_NOT_FOUND));
}

/* An nft of our own in a folder that PATH names. */
static HfNftRuleset *live_with(const char *script, GError **error)
{
  g_autofree char *folder = g_dir_make_tmp("holdfast-nft-XXXXXX", NULL), *path = g_build_filename(folder, "nft", NULL);
  g_autofree char *before = g_strdup(g_getenv("PATH"));
  g_assert_true(g_file_set_contents_full(path, script, -1, G_FILE_SET_CONTENTS_NONE, 0755, NULL));
  g_setenv("PATH", folder, TRUE);
  HfNftRuleset *ruleset = hf_nft_live(error);
  g_setenv("PATH", before, TRUE);
  g_unlink(path);
  g_rmdir(folder);
  return ruleset;
}

static void test_live(void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(HfNftRuleset) ruleset = live_with("#!/bin/sh\ntest \"$*\" = \"-j list ruleset\" && echo '{\"nftables\": []}'\n",
                                              &error);
  g_assert_no_error(error);
  g_assert_nonnull(ruleset);
  g_assert_null(live_with("#!/bin/sh\necho 'Operation not permitted (you must be root)' >&2\nexit 1\n", &error));
  g_assert_true(hf_error_is(error, HF_ERROR_PERMISSION));
  g_clear_error(&error);
  g_assert_null(live_with("#!/bin/sh\necho 'broken' >&2\nexit 1\n", &error));
  g_assert_true(hf_error_is(error, HF_ERROR_FAILED));
  g_clear_error(&error);
  g_assert_null(live_with("#!/no/such/interpreter\n", &error));
  g_assert_true(hf_error_is(error, HF_ERROR_FAILED));
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/nftables/policy", test_policy);
  g_test_add_func("/nftables/matches", test_matches);
  g_test_add_func("/nftables/flow", test_flow);
  g_test_add_func("/nftables/out", test_out);
  g_test_add_func("/nftables/boxes", test_boxes);
  g_test_add_func("/nftables/cuts", test_cuts);
  g_test_add_func("/nftables/mistakes", test_mistakes);
  g_test_add_func("/nftables/files", test_files);
  g_test_add_func("/nftables/live", test_live);
  return g_test_run();
}
