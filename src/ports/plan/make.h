/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Inside of the planner: only *.c of this folder include this.
 *
 * A plan is made in three steps. Nodes that are alike become groups (plangroup.c). Every row is asked about every pair
 * of groups (planrows.c), which gives claims: "this row wants these ports between these two". Claims on the same pair
 * are cut where they overlap and put together again, over pairs too, to flows (planflow.c).
 */
#pragma once

#include <glib.h>

#include "ports/plan/plan.h"

/* What a group knows besides what it gives out. */
typedef struct HfGroupFacts {
  const HfTopologyNode *node; /* one for all */
  const HfTopologyProfile *profile;
  guint8 *answers; /* by condition */
  guint families;  /* HF_HAS_* of all its nodes alike */
  guint *lists;    /* numbers of the lists of peers that have its nodes, ascending */
  guint n_lists;
  const guint *own_lists; /* number of the list of each of profile->peers */
} HfGroupFacts;

enum {
  HF_HAS_IPV4 = 1 << 0,
  HF_HAS_IPV6 = 1 << 1,
  HF_HAS_NAME = 1 << 2,
};

/* One row wants one port or range of one transport. */
typedef struct HfClaim {
  guint16 first, last;
  guint8 transport;
  guint row;       /* number of the HfPlanRow among all that can be */
  guint endpoints; /* number of the text of the endpoint that it leads to, 0: none */
} HfClaim;

typedef struct HfPlanMaker {
  HfPlan plan; /* first: a HfPlan * is a HfPlanMaker * */
  GPtrArray *owned;
  GStringChunk *strings;
  GPtrArray *groups, *peers, *names, *flows, *unresolved, *optional;
  HfGroupFacts *facts;     /* by group */
  GPtrArray **by_role;     /* HfPlanGroup * that have the role */
  guint *group_of;         /* by node */
  const HfPlanGroup *only; /* plan what this group takes part in only; NULL: all */
  const HfPortRole *server_role;
  const HfTopologyNode *server; /* the first of the file, or NULL */
  GHashTable *peers_by_key;     /* bytes of the group numbers and the name -> HfPlanPeers * */
  guint *item_offset;           /* by row: number of its first item among all; one more at the end */
  guint8 *fleet_answers;        /* by condition */
  /* While it is made. */
  GHashTable *cells;        /* guint64 of from, to and name -> GArray of HfClaim */
  GHashTable *names_by_key; /* text -> HfPlanName * */
  GPtrArray *endpoints;     /* texts by number; 0 is NULL */
  GHashTable *endpoint_numbers;
  GHashTable *open; /* text -> HfOpen *: what will be unresolved */
  GPtrArray *open_order;
} HfPlanMaker;

gpointer hf_plan_alloc(HfPlanMaker *maker, gsize size, gsize count);
const char *hf_plan_text(HfPlanMaker *maker, const char *text);

/* For GHashTable: of pairs of numbers in a guint64. That of GLib looks at the lower half only. */
static inline guint hf_plan_pair_hash(gconstpointer key)
{
  guint64 mixed = *(const guint64 *)key * G_GUINT64_CONSTANT(0x9e3779b97f4a7c15);
  return (guint)(mixed >> 32);
}

/* plangroup.c */
void hf_plan_make_groups(HfPlanMaker *maker);
/* The set of these groups (guint, any order, repeats allowed). */
const HfPlanPeers *hf_plan_peers(HfPlanMaker *maker, GArray *groups, const HfPlanName *name);

/* planrows.c */
void hf_plan_make_claims(HfPlanMaker *maker);

/* planflow.c */
/* The row that number `row` of a claim stands for. */
HfPlanRow hf_plan_row(const HfPlanMaker *maker, guint row);
void hf_plan_make_flows(HfPlanMaker *maker);
/* Pairs of numbers (first << 32 | second), as few "all of these with all of those" as it takes when first numbers with
 * the same seconds go together. Sorts `pairs`; `each` may change the arrays that it gets. */
typedef void (*HfPlanRectangle)(GArray *froms, GArray *tos, gpointer user);
void hf_plan_rectangles(GArray *pairs, HfPlanRectangle each, gpointer user);
