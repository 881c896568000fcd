/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The verb ports check. */
#include "ports/live/check.h"

#include "base/clock.h"
#include "base/error.h"
#include "cli/cli.h"
#include "cli/verbs.h"

typedef struct View {
  HfCli *cli;
  const HfTopologyNode *host;
  HfTable *table;
} View;

/* ---- one result ---- */

static char *who_answers(const HfProbeResult *probe)
{
  if (probe->certificate != NULL) {
    g_autofree char *until = hf_clock_format_utc(probe->certificate->until * G_GINT64_CONSTANT(1000000000));
    return g_strdup_printf("TLS %s, issued by %s, until %.10s", probe->certificate->subject,
                           probe->certificate->issuer, until);
  }
  if (probe->reason != NULL && probe->banner != NULL)
    return g_strdup_printf("%s: %s", probe->reason, probe->banner);
  if (probe->reason != NULL)
    return g_strdup(probe->reason);
  return g_strdup(probe->banner != NULL ? probe->banner : probe->application != NULL ? probe->application : "");
}

static void add_row(View *view, const HfCheckResult *result, const char *address, const char *rows)
{
  const char *transport = result->flow->transport == HF_PORT_TCP ? "tcp" : "udp";
  g_autofree char *single = g_strdup_printf("%s %u", transport, result->port);
  g_autofree char *range = hf_plan_ports_text(result->flow->first, result->flow->last);
  g_autofree char *port = result->probe->state == HF_PROBE_UNTRIED ? g_strdup_printf("%s %s", transport, range)
                                                                   : g_steal_pointer(&single);
  g_autofree char *who = who_answers(result->probe);
  const char *cells[] = { result->node->name, result->host_name != NULL ? result->host_name : address, port,
                          hf_probe_state_text(result->probe->state), who, rows };
  hf_table_add(view->table, cells);
}

static void print_certificate(HfOutput *output, const HfProbeCertificate *certificate)
{
  hf_line_name(output, "subject", certificate->subject);
  hf_line_name(output, "issuer", certificate->issuer);
  hf_line_time(output, "valid_from", certificate->from * G_GINT64_CONSTANT(1000000000));
  hf_line_time(output, "valid_until", certificate->until * G_GINT64_CONSTANT(1000000000));
}

static void print_json(View *view, const HfCheckResult *result, const char *address, const char *rows)
{
  HfOutput *output = view->cli->output;
  g_auto(GStrv) row_ids = g_strsplit(rows, ", ", -1);
  hf_line_begin(output);
  hf_line_text(output, "type", "result");
  hf_line_text(output, "from", view->host->name);
  hf_line_text(output, "to", result->node->name);
  hf_line_text(output, "set", result->name != NULL ? result->name->text : NULL);
  hf_line_text(output, "host_name", result->host_name);
  hf_line_text(output, "address", address);
  hf_line_text(output, "transport", result->flow->transport == HF_PORT_TCP ? "tcp" : "udp");
  hf_line_number(output, "port", result->port);
  hf_line_number(output, "first", result->flow->first);
  hf_line_number(output, "last", result->flow->last);
  hf_line_text(output, "state", hf_probe_state_text(result->probe->state));
  hf_line_flag(output, "good", result->good);
  hf_line_text(output, "application", result->probe->application);
  hf_line_text(output, "banner", result->probe->banner);
  hf_line_text(output, "reason", result->probe->reason);
  if (result->probe->certificate != NULL)
    print_certificate(output, result->probe->certificate);
  hf_line_real(output, "seconds", (double)result->probe->microseconds / 1e6);
  hf_line_list(output, "rows", (const char *const *)row_ids);
  hf_line_end(output);
}

static void show(const HfCheckResult *result, gpointer user)
{
  View *view = user;
  g_autofree char *rows = hf_plan_rows_text(result->flow->rows, result->flow->n_rows);
  g_autofree char *address = result->address != NULL ? hf_topology_address_text(result->address) : NULL;
  if (hf_output_is_json(view->cli->output))
    print_json(view, result, address, rows);
  else
    add_row(view, result, address, rows);
}

/* ---- all of them ---- */

static void print_summary(HfCli *cli, const HfCheckSummary *summary)
{
  hf_line_begin(cli->output);
  hf_line_text(cli->output, "type", "summary");
  for (guint state = 0; state <= HF_PROBE_WRONG; state++)
    hf_line_number(cli->output, hf_probe_state_text((HfProbeState)state), summary->results[state]);
  hf_line_number(cli->output, "bad", summary->bad);
  hf_line_number(cli->output, "tried", summary->tried);
  hf_line_number(cli->output, "scanned", summary->scanned);
  hf_line_number(cli->output, "left", summary->left);
  hf_line_end(cli->output);
  hf_output_note(cli->output,
                 "%" G_GUINT64_FORMAT " ports tried: %" G_GUINT64_FORMAT " open, %" G_GUINT64_FORMAT
                 " closed, %" G_GUINT64_FORMAT " filtered, %" G_GUINT64_FORMAT " silent, %" G_GUINT64_FORMAT
                 " wrong; %" G_GUINT64_FORMAT " could not be tried\n",
                 summary->tried, summary->results[HF_PROBE_OPEN],
                 summary->results[HF_PROBE_CLOSED] + summary->scanned, summary->results[HF_PROBE_FILTERED],
                 summary->results[HF_PROBE_SILENT], summary->results[HF_PROBE_WRONG],
                 summary->results[HF_PROBE_UNTRIED]);
}

static const HfTopologyNode *find_host(const HfOptions *options, HfCli *cli, const HfTopology *topology, GError **error)
{
  if (options->host == NULL)
    return hf_check_self(topology, error);
  const HfTopologyNode *host = hf_topology_find(topology, options->host, error);
  if (host != NULL && !hf_check_is_self(host))
    hf_report_warning(cli->report, host->name,
                      "this machine has none of its addresses; what is open from here need not be open from there");
  return host;
}

gboolean hf_verb_ports_check(const HfOptions *options, HfCli *cli, GError **error)
{
  static const HfColumn columns[] = { { .title = "TO" }, { .title = "ADDRESS" }, { .title = "PORT" },
                                      { .title = "STATE" }, { .title = "WHO ANSWERS", .shrink = TRUE },
                                      { .title = "ROWS", .shrink = TRUE } };
  g_autoptr(HfTopology) topology = hf_topology_load(options->topology, error);
  if (topology == NULL)
    return FALSE;
  const HfTopologyNode *host = find_host(options, cli, topology, error);
  if (host == NULL)
    return FALSE;
  g_autoptr(HfPlan) plan = hf_plan_new_for(topology, host);
  g_autoptr(HfTable) table = hf_table_new(columns, G_N_ELEMENTS(columns));
  const HfCheckOptions how = { .timeout_ms = (guint)options->timeout, .limit = options->max_ports,
                               .scan = (guint)options->scan, .paths = options->paths_only };
  View view = { .cli = cli, .host = host, .table = table };
  HfCheckSummary summary;
  if (!hf_check_run(plan, host, &how, cli->report, cli->cancel, show, &view, &summary, error))
    return FALSE;
  hf_output_table(cli->output, table);
  print_summary(cli, &summary);
  if (summary.bad > 0)
    hf_report_warning(cli->report, host->name, "%" G_GUINT64_FORMAT " planned ports do not answer as they should",
                      summary.bad);
  if (summary.left > 0)
    hf_report_warning(cli->report, host->name, "%" G_GUINT64_FORMAT " ports were left out; raise --max-ports",
                      summary.left);
  return hf_output_check(cli->output, error);
}
