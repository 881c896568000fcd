/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A plan for people: as lines, as a page of markdown, as a graph, as a picture. Each of them shows the whole fleet, or
 * with a host what this host opens and what others open to it.
 */
#pragma once

#include <glib.h>

#include "ports/plan/plan.h"

/* Flows between the same ends for the same reasons. */
typedef struct HfPlanLine {
  char *from, *to;           /* names of nodes and ranges of them; a named set with its owner behind */
  char *ports;               /* "tcp 443, 2500-3300; udp 53" */
  char *rows;                /* "m2.17, m4.3" */
  char *purpose;             /* of the first row, and how many more there are */
  gboolean fallback;         /* only when others cannot be reached */
  HfPlanDirection direction; /* with a host */
} HfPlanLine;

/* HfPlanLine *, in the order of the flows; `host` may be NULL. Caller unrefs, which frees the lines. */
GPtrArray *hf_plan_lines(const HfPlan *plan, const HfTopologyNode *host);

/* Each gives a whole document; caller frees. */
char *hf_plan_markdown(const HfPlan *plan, const HfTopologyNode *host);
char *hf_plan_dot(const HfPlan *plan, const HfTopologyNode *host);
char *hf_plan_svg(const HfPlan *plan, const HfTopologyNode *host);

/* ---- What graph and picture share. ---- */

typedef struct HfPlanBox {
  char *title; /* "vbr1", "node[1-500]" */
  char *roles; /* titles of roles, apart by ", " */
  guint n_nodes;
  guint column;               /* 0 to HF_PLAN_COLUMNS - 1 */
  gboolean external, own;     /* own: the host that the view is about */
  const HfTopologySite *site; /* or NULL */
} HfPlanBox;

#define HF_PLAN_COLUMNS 6
extern const char *const hf_plan_columns[HF_PLAN_COLUMNS]; /* titles */

typedef struct HfPlanEdge {
  guint from, to; /* places in boxes */
  char *ports, *rows;
} HfPlanEdge;

typedef struct HfPlanView {
  GPtrArray *boxes; /* HfPlanBox *: those that take part */
  GPtrArray *edges; /* HfPlanEdge *: one for each pair of boxes and direction */
} HfPlanView;

HfPlanView *hf_plan_view(const HfPlan *plan, const HfTopologyNode *host);
void hf_plan_view_free(HfPlanView *view);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfPlanView, hf_plan_view_free)

/* Sorted ports, as in HfPlanLine.ports. */
typedef struct HfPlanPorts HfPlanPorts;
HfPlanPorts *hf_plan_ports_new(void);
void hf_plan_ports_add(HfPlanPorts *ports, guint transport, guint16 first, guint16 last);
/* Frees `ports`; caller frees the text. */
char *hf_plan_ports_finish(HfPlanPorts *ports);
