/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The verb ports audit. */
#include "ports/live/audit.h"

#include <arpa/inet.h>

#include "base/error.h"
#include "cli/cli.h"
#include "cli/verbs.h"

/* "m2.17, m4.3"; caller frees. */
static char *rows_text(const HfFirewallReason *reason)
{
  GString *text = g_string_new(NULL);
  for (guint i = 0; reason != NULL && i < reason->n_rows; i++)
    g_string_append_printf(text, "%s%s", i > 0 ? ", " : "", reason->rows[i]->id);
  return g_string_free(text, FALSE);
}

/* Whom it is about: addresses of the peer, or where the socket is. Caller frees. */
static char *peer_text(const HfAuditFinding *finding)
{
  if (finding->peer.family != 0)
    return hf_firewall_range_text(&finding->peer);
  if (finding->socket == NULL)
    return g_strdup("");
  if (finding->socket->address.prefix == 0)
    return g_strdup("all addresses");
  return hf_topology_address_text(&finding->socket->address);
}

/* Where in the ruleset, or which program. Caller frees. */
static char *place_text(const HfAuditFinding *finding)
{
  const HfSocket *found = finding->socket;
  if (found != NULL)
    return g_strdup_printf("%s (user %u)", found->program != NULL ? found->program : "a program", found->uid);
  if (finding->place == NULL)
    return g_strdup(finding->reason != NULL ? finding->reason->peers : "");
  if (finding->comment == NULL)
    return g_strdup(finding->place);
  return g_strdup_printf("%s: %s", finding->place, finding->comment);
}

static void add_row(HfTable *table, const HfAuditFinding *finding)
{
  g_autofree char *ports = hf_plan_ports_text(finding->first, finding->last);
  g_autofree char *port = g_strdup_printf("%s %s", hf_port_transports_text(finding->transport), ports);
  g_autofree char *peer = peer_text(finding), *place = place_text(finding), *rows = rows_text(finding->reason);
  const char *cells[] = { hf_audit_kind_text(finding->kind), finding->direction == HF_PLAN_IN ? "in" : "out", peer,
                          port, place, rows };
  hf_table_add(table, cells);
}

static void print_socket(HfOutput *output, const HfSocket *found)
{
  hf_line_text(output, "program", found->program);
  hf_line_number(output, "uid", found->uid);
}

static void print_json(HfOutput *output, const HfAuditFinding *finding)
{
  g_autofree char *rows = rows_text(finding->reason), *peer = peer_text(finding);
  g_auto(GStrv) row_ids = g_strsplit(rows, ", ", -1);
  hf_line_begin(output);
  hf_line_text(output, "type", "finding");
  hf_line_text(output, "kind", hf_audit_kind_text(finding->kind));
  hf_line_text(output, "direction", finding->direction == HF_PLAN_IN ? "in" : "out");
  hf_line_text(output, finding->socket != NULL ? "address" : "peer", *peer != '\0' ? peer : NULL);
  hf_line_text(output, "transport", hf_port_transports_text(finding->transport));
  hf_line_number(output, "first", finding->first);
  hf_line_number(output, "last", finding->last);
  hf_line_text(output, "place", finding->place);
  hf_line_name(output, "comment", finding->comment);
  if (finding->socket != NULL)
    print_socket(output, finding->socket);
  hf_line_list(output, "rows", (const char *const *)row_ids);
  hf_line_end(output);
}

static void print_findings(HfCli *cli, const HfAudit *audit)
{
  static const HfColumn columns[] = { { .title = "FINDING" }, { .title = "WAY" }, { .title = "PEER" },
                                      { .title = "PORT" }, { .title = "WHERE", .shrink = TRUE },
                                      { .title = "ROWS", .shrink = TRUE } };
  g_autoptr(HfTable) table = hf_table_new(columns, G_N_ELEMENTS(columns));
  for (guint i = 0; i < audit->findings->len; i++) {
    const HfAuditFinding *finding = &g_array_index(audit->findings, HfAuditFinding, i);
    if (hf_output_is_json(cli->output))
      print_json(cli->output, finding);
    else
      add_row(table, finding);
  }
  if (audit->findings->len > 0)
    hf_output_table(cli->output, table);
}

static void print_summary(HfCli *cli, const HfAudit *audit)
{
  hf_line_begin(cli->output);
  hf_line_text(cli->output, "type", "summary");
  hf_line_number(cli->output, "elements", audit->elements);
  for (guint kind = 0; kind <= HF_AUDIT_NO_SERVICE; kind++)
    hf_line_number(cli->output, hf_audit_kind_text((HfAuditKind)kind), audit->counts[kind]);
  hf_line_end(cli->output);
  hf_output_note(cli->output, "%u planned elements: %u missing, %u surplus, %u unsure, %u unused; sockets: %u stray, "
                 "%u planned services do not listen\n",
                 audit->elements, audit->counts[HF_AUDIT_MISSING], audit->counts[HF_AUDIT_SURPLUS],
                 audit->counts[HF_AUDIT_UNSURE], audit->counts[HF_AUDIT_UNUSED], audit->counts[HF_AUDIT_STRAY],
                 audit->counts[HF_AUDIT_NO_SERVICE]);
}

/* A file that is given stands for this machine; when only one is, only that is compared. */
static gboolean read_state(const HfOptions *options, HfNftRuleset **ruleset, GArray **sockets, GError **error)
{
  gboolean live = options->ruleset == NULL && options->sockets == NULL;
  if (options->ruleset != NULL)
    *ruleset = hf_nft_load(options->ruleset, error);
  else if (live)
    *ruleset = hf_nft_live(error);
  if (*ruleset == NULL && (live || options->ruleset != NULL))
    return FALSE;
  if (options->sockets != NULL)
    *sockets = hf_sockets_load(options->sockets, error);
  else if (live)
    *sockets = hf_sockets_live(error);
  return *sockets != NULL || (!live && options->sockets == NULL);
}

static gboolean audit_host(const HfOptions *options, HfCli *cli, const HfTopologyNode *host, const HfPlan *plan,
                           GError **error)
{
  g_autoptr(HfNftRuleset) ruleset = NULL;
  g_autoptr(GArray) sockets = NULL;
  if (!read_state(options, &ruleset, &sockets, error))
    return FALSE;
  g_autoptr(HfFirewall) firewall = hf_firewall_new(plan, host, HF_FIREWALL_NAMES_APART);
  g_autoptr(HfAudit) audit = hf_audit_new(firewall, ruleset, sockets);
  print_findings(cli, audit);
  print_summary(cli, audit);
  if (!audit->whole)
    hf_report_warning(cli->report, host->name, "the ruleset is too large to look for all that is surplus");
  if (audit->findings->len > audit->counts[HF_AUDIT_UNUSED])
    hf_report_warning(cli->report, host->name, "it is not as planned");
  return hf_output_check(cli->output, error);
}

gboolean hf_verb_ports_audit(const HfOptions *options, HfCli *cli, GError **error)
{
  g_autoptr(HfTopology) topology = hf_topology_load(options->topology, error);
  if (topology == NULL)
    return FALSE;
  const HfTopologyNode *host = hf_topology_find_host(topology, options->host, error);
  if (host == NULL)
    return FALSE;
  g_autoptr(HfPlan) plan = hf_plan_new_for(topology, host);
  return audit_host(options, cli, host, plan, error);
}
