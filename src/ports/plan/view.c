/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A plan as boxes and edges between them, and these as a graph for dot. */
#include <string.h>

#include "ports/plan/make.h"
#include "ports/plan/show.h"

const char *const hf_plan_columns[HF_PLAN_COLUMNS] = {
  "Administrators", "Backup server", "Parts of the backup system", "Protected systems", "Storage", "Services",
};

/* ---------------------------------------------------------------------------------------------------- boxes -- */

static guint column_of_kind(HfPortKind kind)
{
  switch (kind) {
  case HF_PORT_KIND_MANAGEMENT:
    return 0;
  case HF_PORT_KIND_HOLDFAST:
    return 2;
  case HF_PORT_KIND_HYPERVISOR:
  case HF_PORT_KIND_GUEST:
  case HF_PORT_KIND_APPLICATION:
    return 3;
  case HF_PORT_KIND_STORAGE:
  case HF_PORT_KIND_CLOUD:
    return 4;
  case HF_PORT_KIND_DIRECTORY:
  case HF_PORT_KIND_DATABASE:
  case HF_PORT_KIND_MAIL:
  case HF_PORT_KIND_NETWORK:
  case HF_PORT_KIND_VENDOR:
  default:
    return 5;
  }
}

/* Where most would look for it: as a server, as a part, else by the first of its roles. */
static guint column_of(const HfTopologyNode *node)
{
  guint n, column = HF_PLAN_COLUMNS;
  const HfPortRole *roles = hf_port_roles(&n);
  if (hf_topology_has_role(node, hf_port_role_find("backup-server")))
    return 1;
  for (guint i = 0; i < n; i++)
    if (node->profile->named_roles[i] && (column == HF_PLAN_COLUMNS || roles[i].kind == HF_PORT_KIND_HOLDFAST))
      column = column_of_kind(roles[i].kind);
  return column;
}

static char *roles_text(const HfTopologyNode *node)
{
  guint n;
  const HfPortRole *roles = hf_port_roles(&n);
  GString *text = g_string_new(NULL);
  for (guint i = 0; i < n; i++)
    if (node->profile->named_roles[i])
      g_string_append_printf(text, "%s%s", text->len > 0 ? ", " : "", roles[i].title);
  return g_string_free(text, FALSE);
}

static HfPlanBox *box_new(const GPtrArray *nodes)
{
  const HfTopologyNode *node = nodes->pdata[0];
  HfPlanBox *box = g_new0(HfPlanBox, 1);
  box->title = hf_plan_nodes_text(nodes);
  box->roles = roles_text(node);
  box->n_nodes = nodes->len;
  box->column = column_of(node);
  box->external = node->profile->external;
  box->site = node->site;
  return box;
}

static void box_free(gpointer data)
{
  HfPlanBox *box = data;
  g_free(box->title);
  g_free(box->roles);
  g_free(box);
}

static void edge_free(gpointer data)
{
  HfPlanEdge *edge = data;
  g_free(edge->ports);
  g_free(edge->rows);
  g_free(edge);
}

/* ----------------------------------------------------------------------------------------------------- view -- */

typedef struct Viewer {
  HfPlanView *view;
  const HfTopologyNode *host; /* or NULL */
  guint *box_of;              /* by group: place + 1, 0: not seen yet */
  guint own;                  /* the same of the host itself */
  GHashTable *known;          /* from << 32 | to -> place + 1 of the edge */
  GPtrArray *ports;           /* HfPlanPorts * of each edge */
  GPtrArray *rows;            /* GHashTable of HfPortRow *, of each edge */
} Viewer;

static guint own_box(Viewer *viewer)
{
  if (viewer->own == 0) {
    g_autoptr(GPtrArray) nodes = g_ptr_array_new();
    g_ptr_array_add(nodes, (gpointer)viewer->host);
    HfPlanBox *box = box_new(nodes);
    box->own = TRUE;
    g_ptr_array_add(viewer->view->boxes, box);
    viewer->own = viewer->view->boxes->len;
  }
  return viewer->own - 1;
}

/* The box of a group without the host. FALSE when nobody is left. */
static gboolean group_box(Viewer *viewer, const HfPlanGroup *group, guint *box)
{
  if (viewer->box_of[group->index] == 0) {
    g_autoptr(GPtrArray) nodes = g_ptr_array_new();
    for (guint i = 0; i < group->n_nodes; i++)
      if (group->nodes[i] != viewer->host)
        g_ptr_array_add(nodes, (gpointer)group->nodes[i]);
    if (nodes->len == 0)
      return FALSE;
    g_ptr_array_add(viewer->view->boxes, box_new(nodes));
    viewer->box_of[group->index] = viewer->view->boxes->len;
  }
  *box = viewer->box_of[group->index] - 1;
  return TRUE;
}

static void add_edge(Viewer *viewer, guint from, guint to, const HfPlanFlow *flow)
{
  guint64 id = (guint64)from << 32 | to;
  guint number = GPOINTER_TO_UINT(g_hash_table_lookup(viewer->known, &id));
  if (number == 0) {
    HfPlanEdge *edge = g_new0(HfPlanEdge, 1);
    edge->from = from;
    edge->to = to;
    g_ptr_array_add(viewer->view->edges, edge);
    g_ptr_array_add(viewer->ports, hf_plan_ports_new());
    g_ptr_array_add(viewer->rows, g_hash_table_new(NULL, NULL));
    number = viewer->view->edges->len;
    g_hash_table_insert(viewer->known, g_memdup2(&id, sizeof id), GUINT_TO_POINTER(number));
  }
  hf_plan_ports_add(viewer->ports->pdata[number - 1], flow->transport, flow->first, flow->last);
  for (guint i = 0; i < flow->n_rows; i++)
    g_hash_table_add(viewer->rows->pdata[number - 1], (gpointer)flow->rows[i].row);
}

static void add_flow(Viewer *viewer, const HfPlanFlow *flow)
{
  for (guint f = 0; f < flow->from->n_groups; f++)
    for (guint t = 0; t < flow->to->n_groups; t++) {
      guint from, to;
      gboolean alone = flow->from->groups[f] == flow->to->groups[t] && flow->from->groups[f]->n_nodes == 1;
      if (!alone && group_box(viewer, flow->from->groups[f], &from) && group_box(viewer, flow->to->groups[t], &to))
        add_edge(viewer, from, to, flow);
    }
}

static void add_element(Viewer *viewer, const HfPlanElement *element)
{
  for (guint i = 0; i < element->peers->n_groups; i++) {
    guint own = own_box(viewer), peer;
    if (!group_box(viewer, element->peers->groups[i], &peer))
      continue;
    if (element->direction == HF_PLAN_OUT)
      add_edge(viewer, own, peer, element->flow);
    else
      add_edge(viewer, peer, own, element->flow);
  }
}

static char *rows_text(GHashTable *rows)
{
  guint n;
  const HfPortRow *all = hf_port_rows(&n);
  GString *text = g_string_new(NULL);
  for (guint i = 0; i < n; i++)
    if (g_hash_table_contains(rows, &all[i]))
      g_string_append_printf(text, "%s%s", text->len > 0 ? ", " : "", all[i].id);
  return g_string_free(text, FALSE);
}

HfPlanView *hf_plan_view(const HfPlan *plan, const HfTopologyNode *host)
{
  Viewer viewer = { .view = g_new0(HfPlanView, 1), .host = host };
  viewer.view->boxes = g_ptr_array_new_with_free_func(box_free);
  viewer.view->edges = g_ptr_array_new_with_free_func(edge_free);
  viewer.box_of = g_new0(guint, MAX(plan->n_groups, 1));
  viewer.known = g_hash_table_new_full(hf_plan_pair_hash, g_int64_equal, g_free, NULL);
  viewer.ports = g_ptr_array_new();
  viewer.rows = g_ptr_array_new_with_free_func((GDestroyNotify)g_hash_table_unref);
  HfPlanElements elements;
  HfPlanElement element;
  if (host != NULL) {
    hf_plan_elements(plan, host, &elements);
    while (hf_plan_elements_next(&elements, &element))
      add_element(&viewer, &element);
  }
  for (guint i = 0; host == NULL && i < plan->n_flows; i++)
    add_flow(&viewer, plan->flows[i]);
  for (guint i = 0; i < viewer.view->edges->len; i++) {
    HfPlanEdge *edge = viewer.view->edges->pdata[i];
    edge->ports = hf_plan_ports_finish(viewer.ports->pdata[i]);
    edge->rows = rows_text(viewer.rows->pdata[i]);
  }
  g_free(viewer.box_of);
  g_hash_table_unref(viewer.known);
  g_ptr_array_unref(viewer.ports);
  g_ptr_array_unref(viewer.rows);
  return viewer.view;
}

void hf_plan_view_free(HfPlanView *view)
{
  if (view == NULL)
    return;
  g_ptr_array_unref(view->boxes);
  g_ptr_array_unref(view->edges);
  g_free(view);
}

/* ------------------------------------------------------------------------------------------------------ dot -- */

static void add_quoted(GString *graph, const char *text)
{
  for (; *text != '\0'; text++) {
    if (*text == '"' || *text == '\\')
      g_string_append_c(graph, '\\');
    g_string_append_c(graph, *text);
  }
}

static void add_box(GString *graph, const HfPlanBox *box, guint number)
{
  g_string_append_printf(graph, "    b%u [label=\"", number);
  add_quoted(graph, box->title);
  g_string_append(graph, "\\n");
  add_quoted(graph, box->roles);
  g_string_append_printf(graph, "\"%s%s];\n", box->external ? ", style=dashed" : "", box->own ? ", penwidth=3" : "");
}

static void add_site(GString *graph, const HfPlanView *view, const HfTopologySite *site)
{
  gboolean begun = FALSE;
  for (guint i = 0; i < view->boxes->len; i++) {
    const HfPlanBox *box = view->boxes->pdata[i];
    if (box->site != site)
      continue;
    if (!begun && site != NULL)
      g_string_append_printf(graph, "  subgraph \"cluster_%s\" {\n    label=\"%s\";\n", site->name, site->name);
    begun = TRUE;
    add_box(graph, box, i);
  }
  if (begun && site != NULL)
    g_string_append(graph, "  }\n");
}

char *hf_plan_dot(const HfPlan *plan, const HfTopologyNode *host)
{
  g_autoptr(HfPlanView) view = hf_plan_view(plan, host);
  GString *graph = g_string_new("digraph ports {\n  rankdir=LR;\n  node [shape=box];\n");
  for (guint i = 0; i < plan->topology->n_sites; i++)
    add_site(graph, view, plan->topology->sites[i]);
  add_site(graph, view, NULL);
  for (guint i = 0; i < view->edges->len; i++) {
    const HfPlanEdge *edge = view->edges->pdata[i];
    g_string_append_printf(graph, "  b%u -> b%u [label=\"%s\", tooltip=\"%s\"];\n", edge->from, edge->to, edge->ports,
                           edge->rows);
  }
  g_string_append(graph, "}\n");
  return g_string_free(graph, FALSE);
}
