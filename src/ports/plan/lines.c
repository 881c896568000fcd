/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A plan as lines, and as a page of markdown. */
#include <string.h>

#include "ports/plan/show.h"

/* ---------------------------------------------------------------------------------------------------- ports -- */

typedef struct Span {
  guint transport, first, last;
} Span;

struct HfPlanPorts {
  GArray *spans; /* Span */
};

HfPlanPorts *hf_plan_ports_new(void)
{
  HfPlanPorts *ports = g_new0(HfPlanPorts, 1);
  ports->spans = g_array_new(FALSE, FALSE, sizeof(Span));
  return ports;
}

void hf_plan_ports_add(HfPlanPorts *ports, guint transport, guint16 first, guint16 last)
{
  Span span = { transport, first, last };
  g_array_append_val(ports->spans, span);
}

static int compare_spans(gconstpointer a, gconstpointer b)
{
  const Span *x = a, *y = b;
  return x->transport != y->transport ? (int)x->transport - (int)y->transport : (int)x->first - (int)y->first;
}

/* "443, 2500-3300" of one transport; neighbours and overlaps become one. */
static char *spans_text(const GArray *spans, guint transport)
{
  GString *text = g_string_new(NULL);
  for (guint i = 0; i < spans->len; i++) {
    Span span = g_array_index(spans, Span, i);
    if (span.transport != transport)
      continue;
    for (; i + 1 < spans->len; i++) {
      const Span *next = &g_array_index(spans, Span, i + 1);
      gboolean joins = next->transport == transport && next->first <= span.last + (span.first < span.last ? 1 : 0);
      if (!joins)
        break;
      span.last = MAX(span.last, next->last);
    }
    g_autofree char *ports = hf_plan_ports_text((guint16)span.first, (guint16)span.last);
    g_string_append_printf(text, "%s%s", text->len > 0 ? ", " : "", ports);
  }
  return g_string_free(text, FALSE);
}

char *hf_plan_ports_finish(HfPlanPorts *ports)
{
  g_array_sort(ports->spans, compare_spans);
  g_autofree char *tcp = spans_text(ports->spans, HF_PORT_TCP), *udp = spans_text(ports->spans, HF_PORT_UDP);
  g_array_unref(ports->spans);
  g_free(ports);
  if (strcmp(tcp, udp) == 0)
    return g_strdup_printf("tcp+udp %s", tcp);
  if (*udp == '\0' || *tcp == '\0')
    return g_strdup_printf("%s %s", *udp == '\0' ? "tcp" : "udp", *udp == '\0' ? tcp : udp);
  return g_strdup_printf("tcp %s; udp %s", tcp, udp);
}

/* ---------------------------------------------------------------------------------------------------- lines -- */

static void line_free(gpointer data)
{
  HfPlanLine *line = data;
  g_free(line->from);
  g_free(line->to);
  g_free(line->ports);
  g_free(line->rows);
  g_free(line->purpose);
  g_free(line);
}

/* All but `host`. Caller frees. */
static char *others_text(const HfPlanPeers *peers, const HfTopologyNode *host)
{
  g_autoptr(GPtrArray) nodes = g_ptr_array_new();
  HfPlanNodes walk;
  hf_plan_nodes(peers, host, &walk);
  for (const HfTopologyNode *node; (node = hf_plan_nodes_next(&walk)) != NULL;)
    g_ptr_array_add(nodes, (gpointer)node);
  g_autofree char *names = hf_plan_nodes_text(nodes);
  return peers->name != NULL ? g_strdup_printf("%s (%s)", peers->name->text, names) : g_steal_pointer(&names);
}

static char *purpose_text(const HfPlanFlow *flow)
{
  guint more = 0;
  for (guint i = 1; i < flow->n_rows; i++)
    if (strcmp(flow->rows[i].row->purpose, flow->rows[i - 1].row->purpose) != 0)
      more++;
  const char *purpose = flow->rows[0].row->purpose;
  return more == 0 ? g_strdup(purpose) : g_strdup_printf("%s (and %u more)", purpose, more);
}

/* Lines while ports are still added to them. */
typedef struct Writer {
  GPtrArray *lines;
  GPtrArray *ports;  /* HfPlanPorts * of each */
  GHashTable *known; /* ends and rows -> number of the line + 1 */
} Writer;

static void add_flow(Writer *writer, const HfPlanFlow *flow, const HfTopologyNode *host, HfPlanDirection direction)
{
  g_autofree char *rows = hf_plan_rows_text(flow->rows, flow->n_rows);
  g_autofree char *id =
    g_strdup_printf("%d %u %u %d %s", (int)direction, flow->from->index, flow->to->index, flow->fallback, rows);
  guint number = GPOINTER_TO_UINT(g_hash_table_lookup(writer->known, id));
  if (number == 0) {
    gboolean out = host != NULL && direction == HF_PLAN_OUT, in = host != NULL && direction == HF_PLAN_IN;
    HfPlanLine *line = g_new0(HfPlanLine, 1);
    line->from = out ? g_strdup(host->name) : others_text(flow->from, host);
    line->to = in ? g_strdup(host->name) : others_text(flow->to, host);
    line->rows = g_steal_pointer(&rows);
    line->purpose = purpose_text(flow);
    line->fallback = flow->fallback;
    line->direction = direction;
    g_ptr_array_add(writer->lines, line);
    g_ptr_array_add(writer->ports, hf_plan_ports_new());
    number = writer->lines->len;
    g_hash_table_insert(writer->known, g_steal_pointer(&id), GUINT_TO_POINTER(number));
  }
  hf_plan_ports_add(writer->ports->pdata[number - 1], flow->transport, flow->first, flow->last);
}

GPtrArray *hf_plan_lines(const HfPlan *plan, const HfTopologyNode *host)
{
  g_autoptr(GPtrArray) ports = g_ptr_array_new();
  g_autoptr(GHashTable) known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  Writer writer = { g_ptr_array_new_with_free_func(line_free), ports, known };
  for (guint i = 0; host == NULL && i < plan->n_flows; i++)
    add_flow(&writer, plan->flows[i], NULL, HF_PLAN_OUT);
  HfPlanElements elements;
  HfPlanElement element;
  if (host != NULL)
    hf_plan_elements(plan, host, &elements);
  while (host != NULL && hf_plan_elements_next(&elements, &element))
    add_flow(&writer, element.flow, host, element.direction);
  for (guint i = 0; i < ports->len; i++)
    ((HfPlanLine *)writer.lines->pdata[i])->ports = hf_plan_ports_finish(ports->pdata[i]);
  return writer.lines;
}

/* ------------------------------------------------------------------------------------------------- markdown -- */

/* Markdown takes some characters for its own. */
static void add_cell(GString *page, const char *text)
{
  g_string_append(page, "| ");
  for (; *text != '\0'; text++) {
    if (strchr("|*_<>\\[]`", *text) != NULL)
      g_string_append_c(page, '\\');
    g_string_append_c(page, *text);
  }
  g_string_append_c(page, ' ');
}

static void add_lines(GString *page, const GPtrArray *lines, HfPlanDirection direction)
{
  g_string_append(page, "| from | to | ports | rows | what for |\n| --- | --- | --- | --- | --- |\n");
  for (guint i = 0; i < lines->len; i++) {
    const HfPlanLine *line = lines->pdata[i];
    if (line->direction != direction)
      continue;
    add_cell(page, line->from);
    add_cell(page, line->to);
    add_cell(page, line->ports);
    add_cell(page, line->rows);
    add_cell(page, line->purpose);
    g_string_append(page, line->fallback ? "(only when the first port cannot be reached) |\n" : "|\n");
  }
}

static void add_unresolved(GString *page, const HfPlan *plan, const HfTopologyNode *host)
{
  g_autoptr(GPtrArray) found = host != NULL ? hf_plan_unresolved_of(plan, host) : g_ptr_array_new();
  for (guint i = 0; host == NULL && i < plan->n_unresolved; i++)
    g_ptr_array_add(found, (gpointer)plan->unresolved[i]);
  if (found->len > 0)
    g_string_append(page, "\n## Unresolved\n\nThis is not open until the topology says more.\n\n"
                          "| what | write |\n| --- | --- |\n");
  for (guint i = 0; i < found->len; i++) {
    const HfPlanUnresolved *unresolved = found->pdata[i];
    add_cell(page, unresolved->reason);
    add_cell(page, unresolved->key);
    g_string_append(page, "|\n");
  }
}

char *hf_plan_markdown(const HfPlan *plan, const HfTopologyNode *host)
{
  const char *title = plan->topology->title;
  g_autoptr(GPtrArray) lines = hf_plan_lines(plan, host);
  GString *page = g_string_new(NULL);
  g_string_append_printf(page, "# Ports of %s%s%s\n",
                         host != NULL     ? host->name
                         : *title != '\0' ? title
                                          : "the fleet",
                         host != NULL && *title != '\0' ? ", " : "", host != NULL ? title : "");
  if (host == NULL) {
    g_string_append_c(page, '\n');
    add_lines(page, lines, HF_PLAN_OUT);
  } else {
    g_string_append(page, "\n## It connects\n\n");
    add_lines(page, lines, HF_PLAN_OUT);
    g_string_append(page, "\n## It listens\n\n");
    add_lines(page, lines, HF_PLAN_IN);
  }
  add_unresolved(page, plan, host);
  return g_string_free(page, FALSE);
}
