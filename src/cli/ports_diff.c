/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The verb ports diff. */
#include "cli/cli.h"
#include "cli/verbs.h"
#include "ports/plan/plan.h"

/* Prints the names of nodes in which the topologies differ. */
static void print_nodes(HfCli *cli, const GPtrArray *names, const char *change, const char *sign)
{
  for (guint i = 0; i < names->len; i++) {
    hf_line_begin(cli->output);
    hf_line_text(cli->output, "type", "node");
    hf_line_text(cli->output, "change", change);
    hf_line_text(cli->output, "node", names->pdata[i]);
    hf_line_end(cli->output);
    hf_output_text(cli->output, "%s %s: %s\n", sign, (const char *)names->pdata[i], change);
  }
}

/* "node[1-500], other" for names of nodes of `topology`. Caller frees. */
static char *short_names(const HfTopology *topology, const char *const *names)
{
  g_autoptr(GPtrArray) nodes = g_ptr_array_new();
  for (; *names != NULL; names++)
    g_ptr_array_add(nodes, (gpointer)hf_topology_node(topology, *names));
  return hf_plan_nodes_text(nodes);
}

static void print_change(HfCli *cli, const HfTopology *topology, const HfPlanChange *change)
{
  g_autofree char *from = short_names(topology, change->from), *to = short_names(topology, change->to);
  g_autofree char *rows = hf_plan_rows_text(change->rows, change->n_rows);
  g_autofree char *ports = hf_plan_ports_text(change->first, change->last);
  const char *transport = change->transport == HF_PORT_TCP ? "tcp" : "udp";
  g_auto(GStrv) row_ids = g_strsplit(rows, ", ", -1);
  hf_line_begin(cli->output);
  hf_line_text(cli->output, "type", "flow");
  hf_line_text(cli->output, "change", change->opened ? "opened" : "closed");
  hf_line_list(cli->output, "from", change->from);
  hf_line_list(cli->output, "to", change->to);
  hf_line_text(cli->output, "set", change->name);
  hf_line_text(cli->output, "transport", transport);
  hf_line_number(cli->output, "first", change->first);
  hf_line_number(cli->output, "last", change->last);
  hf_line_list(cli->output, "rows", (const char *const *)row_ids);
  hf_line_end(cli->output);
  hf_output_text(cli->output, "%s %s -> %s%s%s %s %s (%s)\n", change->opened ? "+" : "-", from,
                 change->name != NULL ? change->name : "", change->name != NULL ? " at " : "", to, transport, ports,
                 rows);
}

static void print_diff(HfCli *cli, const HfPlan *before, const HfPlan *after, const HfPlanDiff *diff)
{
  guint opened = 0;
  print_nodes(cli, diff->added, "added", "+");
  print_nodes(cli, diff->removed, "removed", "-");
  print_nodes(cli, diff->moved, "other addresses", "M");
  print_nodes(cli, diff->refilled, "other members of the set", "M");
  for (guint i = 0; i < diff->changes->len; i++) {
    const HfPlanChange *change = diff->changes->pdata[i];
    print_change(cli, change->opened ? after->topology : before->topology, change);
    opened += change->opened ? 1 : 0;
  }
  hf_line_begin(cli->output);
  hf_line_text(cli->output, "type", "summary");
  hf_line_number(cli->output, "opened", opened);
  hf_line_number(cli->output, "closed", diff->changes->len - opened);
  hf_line_end(cli->output);
  hf_output_note(cli->output, "%u opened, %u closed\n", opened, diff->changes->len - opened);
}

gboolean hf_verb_ports_diff(const HfOptions *options, HfCli *cli, GError **error)
{
  g_autoptr(HfTopology) old = hf_topology_load(options->topology, error);
  g_autoptr(HfTopology) new = old != NULL ? hf_topology_load(options->other_topology, error) : NULL;
  if (new == NULL)
    return FALSE;
  g_autoptr(HfPlan) before = hf_plan_new(old), after = hf_plan_new(new);
  g_autoptr(HfPlanDiff) diff = hf_plan_diff(before, after);
  print_diff(cli, before, after, diff);
  guint others = diff->moved->len + diff->refilled->len;
  if (diff->changes->len + others > 0)
    hf_report_warning(cli->report, options->other_topology, "the firewalls of this fleet change; render them anew");
  return hf_output_check(cli->output, error);
}
