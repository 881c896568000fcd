/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inside of the reader of topologies: only *.c of this folder include this. */
#pragma once

#include <glib.h>

#include "base/error.h"
#include "ports/topology/topology.h"

/* ---- address.c ---- */

/* As hf_topology_address_parse, without a look at the bits after the prefix. */
gboolean hf_address_scan(const char *text, gboolean networks, HfTopologyAddress *address);
/* Clears the bits after `prefix`. */
void hf_address_cut(HfTopologyAddress *address, guint prefix);
gboolean hf_address_is_single(const HfTopologyAddress *address);
/* Goes `count` addresses up. */
void hf_address_step(HfTopologyAddress *address, guint count);
/* How many addresses stand from first to last; 0 when last is before first or of the other family. */
guint64 hf_address_distance(const HfTopologyAddress *first, const HfTopologyAddress *last);
/* Why it can be no address of a machine ("is the machine itself"), or NULL. */
const char *hf_address_flaw(const HfTopologyAddress *address);

/* ---- topologyread.c ---- */

typedef enum HfSectionKind {
  HF_SECTION_NONE,
  HF_SECTION_FLEET,
  HF_SECTION_SITE,
  HF_SECTION_HOST,
  HF_SECTION_EXTERNAL,
} HfSectionKind;

/* A word of the file; `text` lives as long as the topology. */
typedef struct HfWord {
  const char *text;
  HfTopologyPlace place;
} HfWord;

/* "node[1-500].example": prefix, suffix, and the numbers between. */
typedef struct HfRange {
  char *prefix, *suffix;
  guint first, count; /* count 1 and no digits for a plain name */
  guint width;        /* digits to pad to */
  gboolean numbered;
} HfRange;

typedef struct HfPending HfPending; /* what is looked at when all sections are known */

typedef struct HfSection {
  HfSectionKind kind;
  HfTopologyPlace place;
  HfRange range;                         /* of hosts and externals */
  HfTopologyProfile *profile;            /* NULL for sites */
  HfTopologySite *site;                  /* of sites */
  GHashTable *seen;                      /* key as written -> line + 1 of its first use */
  GPtrArray *address_words, *name_words; /* HfWord *, of hosts and externals */
  GArray *networks;                      /* HfTopologyAddress, of sites */
  HfWord site_word;                      /* "site = "; text NULL without */
  GArray *settings, *values, *names;     /* HfTopologySetting, HfTopologyValue, HfTopologyNames */
  GPtrArray *peers_words;                /* HfPeersWords * */
} HfSection;

typedef struct HfPeersWords {
  const HfPortRole *role;
  GPtrArray *words; /* HfWord * */
  HfTopologyPlace place;
} HfPeersWords;

/* A topology while it is made, and what owns its memory afterwards. */
typedef struct HfMaker {
  HfTopology topology; /* first: a HfTopology * is a HfMaker * */
  GStringChunk *strings;
  GPtrArray *owned; /* memory to g_free */
  char *file;
  GHashTable *nodes_by_name; /* name -> HfTopologyNode * */
  GHashTable *sites_by_name; /* name -> HfTopologySite * */
  GPtrArray *sections;       /* HfSection *: gone after reading */
  GPtrArray *sites, *profiles, *nodes;
  gboolean *fleet_roles; /* by role: some node has it */
  guint64 n_addresses, n_names, n_networks, n_peers;
} HfMaker;

/* Sets HF_ERROR_USAGE "file:line:column: message" and returns FALSE. */
gboolean hf_maker_fail(const HfMaker *maker, HfTopologyPlace place, GError **error, const char *format, ...)
  G_GNUC_PRINTF(4, 5);
/* Zeroed memory for `count` things of `size` bytes that lives as long as the topology; never NULL. */
gpointer hf_maker_alloc(HfMaker *maker, gsize size, gsize count);
/* A copy of the bytes of an array (NULL: of none) that lives as long as the topology. */
gpointer hf_maker_keep(HfMaker *maker, const GArray *array, guint *n);
const char *hf_maker_text(HfMaker *maker, const char *text);
/* "; did you mean 'x'?" for the nearest of `candidates` (ended by NULL), or "". Caller frees. */
char *hf_maker_hint(const char *word, const char *const *candidates);
char *hf_maker_role_hint(const char *word);

/* ---- topologyrange.c ---- */

/* FALSE with an error for a word that is neither a name nor a range of names. */
gboolean hf_range_parse(const HfMaker *maker, HfWord word, HfRange *range, GError **error);
void hf_range_clear(HfRange *range);
/* Name number `i`; caller frees. */
char *hf_range_name(const HfRange *range, guint i);

/* ---- topologykeys.c ---- */

/* One line "key argument = items". */
typedef struct HfLine {
  HfWord key, argument; /* argument.text NULL without one */
  HfWord value;         /* all of it */
  GPtrArray *items;     /* HfWord *: the value, apart by commas */
} HfLine;
gboolean hf_maker_key(HfMaker *maker, HfSection *section, const HfLine *line, GError **error);

/* ---- topologyports.c ---- */

/* "port KEY = ..." in `section`. */
gboolean hf_maker_port(HfMaker *maker, HfSection *section, const HfLine *line, GError **error);
/* Judges the settings of a node (NULL: of [fleet]), whose roles are known: they must concern it, and may be set. */
gboolean hf_maker_check_settings(HfMaker *maker, const HfTopologyNode *node, GError **error);

/* ---- topologynodes.c ---- */

/* When all sections are read: nodes, sites of nodes, peers. */
gboolean hf_maker_finish(HfMaker *maker, GError **error);
