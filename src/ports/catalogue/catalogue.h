/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The port catalogue: every rule of the two pages that say which part of a backup system talks to which, over what
 * port, for what and under which conditions. It is written in data/ports/ (docs/port-catalogue.md tells its columns)
 * and generated into the program by spec/gen-ports.py.
 *
 * Everything here is constant and static: nothing is freed, all of it may be read by any thread at any time. Pointers
 * into it may be compared: a role, a condition, a service is one object in memory.
 *
 * INVARIANTS (the generator refuses data that breaks them)
 * 1. Rows stand in the order of the pages; `index` of a thing is its place in its table.
 * 2. `printed` texts are kept as the pages have them, mistakes included; a row with a mistake or a trap carries a mark.
 * 3. Numbers are 1 to 65535, first <= last. Every port number of the program comes from here (hf_port_service).
 * 4. What a row needs is: for each group of its ports, as `mode` of the group says, while `when` of the row holds and
 *    while `when` of the role, of the port and of the endpoint hold. An empty `when` always holds.
 */
#pragma once

#include <glib.h>

/* ---- conditions ---- */

typedef struct HfPortRole HfPortRole;

typedef enum HfPortScope {
  HF_PORT_SCOPE_FLEET, /* one answer for all hosts */
  HF_PORT_SCOPE_HOST,  /* an answer for each host */
} HfPortScope;

/* A question whose answer decides about rows: data/ports/conditions.tsv. */
typedef struct HfPortCondition {
  guint index;
  const char *id; /* "deployment-kit" */
  const char *title;
  HfPortScope scope;
  const char *const *values; /* the closed list of answers, ended by NULL */
  guint fallback;            /* place in `values` of the answer when nobody gives one */
  /* When not NULL, and nobody answers: the answer is `implied` while a host of the fleet has this role, or with
   * `implied_own` while the host itself has it. */
  const HfPortRole *implied_by;
  gboolean implied_own;
  guint implied;
} HfPortCondition;

/* Whose answer counts. FLEET for conditions of that scope, else one of the others. */
typedef enum HfPortSubject {
  HF_PORT_SUBJECT_FLEET,
  HF_PORT_SUBJECT_FROM,   /* the host that connects */
  HF_PORT_SUBJECT_TO,     /* the host that listens */
  HF_PORT_SUBJECT_SERVER, /* the backup server, whichever ends the row has */
} HfPortSubject;

typedef struct HfPortAtom {
  const HfPortCondition *condition;
  HfPortSubject subject;
  guint value;      /* place in condition->values */
  gboolean negated; /* holds for every answer but `value` */
} HfPortAtom;

/* Holds when one of its atoms does. */
typedef struct HfPortClause {
  const HfPortAtom *atoms;
  guint n_atoms;
} HfPortClause;

/* Holds when all of its clauses do; without any always. */
typedef struct HfPortWhen {
  const HfPortClause *clauses;
  guint n_clauses;
} HfPortWhen;

/* Gives the place in condition->values of the answer, or -1 for "nobody says": then condition->fallback counts
 * (implied_by is for the function to look at, which knows the hosts). */
typedef int (*HfPortAnswer)(const HfPortCondition *condition, HfPortSubject subject, gpointer user);

gboolean hf_port_when_holds(const HfPortWhen *when, HfPortAnswer answer, gpointer user);
/* As the data has it: "to.deployment-kit=no&networkless=no|os=linux" ('&' all, '|' any, '!=' not); "" when always.
 * Caller frees. */
char *hf_port_when_text(const HfPortWhen *when);
/* TRUE when an atom asks for `condition` and `value` satisfies it. */
gboolean hf_port_when_asks(const HfPortWhen *when, const HfPortCondition *condition, guint value);

/* ---- roles ---- */

/* What a role is. */
typedef enum HfPortKind {
  HF_PORT_KIND_HOLDFAST,   /* a part of the backup system: runs a service of Holdfast */
  HF_PORT_KIND_MANAGEMENT, /* machines of administrators, consoles, clients of the API */
  HF_PORT_KIND_HYPERVISOR,
  HF_PORT_KIND_STORAGE, /* arrays, filers, shares, appliances that keep backups */
  HF_PORT_KIND_CLOUD,
  HF_PORT_KIND_DIRECTORY,
  HF_PORT_KIND_DATABASE,
  HF_PORT_KIND_GUEST,       /* protected machines and what runs in them */
  HF_PORT_KIND_APPLICATION, /* servers that restores go to: web, mail boxes, directories */
  HF_PORT_KIND_MAIL,
  HF_PORT_KIND_NETWORK, /* names, time, logs, keys, revocation lists */
  HF_PORT_KIND_VENDOR,  /* services of the vendor of the original product */
} HfPortKind;

struct HfPortRole {
  guint index;
  const char *id; /* "backup-repository" */
  const char *title;
  HfPortKind kind;
  gboolean external; /* stands outside the fleet: names and addresses, no firewall of ours */
  /* The wider role that every holder of this one also has ("cdp-proxy-source" is "cdp-proxy"), or NULL. */
  const HfPortRole *is;
  /* With `is`: a holder of the wider role has this one too unless the topology says which it has. */
  gboolean assumed;
  const char *const *names; /* how the pages call it, spelling variants folded; ended by NULL */
};

/* A role at one end of a row: hosts of it take part while `when` holds. */
typedef struct HfPortRoleUse {
  const HfPortRole *role;
  HfPortWhen when;
} HfPortRoleUse;

/* TRUE when a holder of `role` is one of `wanted` by its definition: equal, or `is` leads there. */
gboolean hf_port_role_is(const HfPortRole *role, const HfPortRole *wanted);

/* ---- services ---- */

/* A service and the port the catalogue gives it: one of Holdfast, or one of other systems that Holdfast calls. */
typedef struct HfPortService {
  guint index;
  const char *id; /* "transport" */
  const char *title;
  gboolean own; /* a service of Holdfast: ports of rows name it */
  guint16 first, last;                  /* equal but for ranges */
  gboolean open_end;                    /* the first free port from `first` on */
  guint transports;                     /* HF_PORT_TCP, HF_PORT_UDP */
  const struct HfPortService *fallback; /* used when the port cannot be reached, or NULL */
  const struct HfPortRow *source;       /* the row that the port comes from */
} HfPortService;

/* The service of that id. Ends the program for an id that is not in data/ports/services.tsv: ids are written in the
 * source, and a test of each user sees them. */
const HfPortService *hf_port_service(const char *id);
/* The same for ids from outside: NULL when there is none. */
const HfPortService *hf_port_service_find(const char *id);

/* ---- rows ---- */

enum {
  HF_PORT_TCP = 1 << 0,
  HF_PORT_UDP = 1 << 1,
};

typedef enum HfPortItemKind {
  HF_PORT_NUMBER, /* first == last */
  HF_PORT_RANGE,  /* first to last */
  HF_PORT_OPEN,   /* "N+": the first free port from `first` on; last == 65535 */
  HF_PORT_SYMBOL, /* a named port of another system: `name` is what the topology gives a number for */
  HF_PORT_UNKNOWN, /* the page gives no number ("depends on device", "another port"): `name` as above */
} HfPortItemKind;

typedef enum HfPortMode {
  HF_PORT_ALL,      /* of a group: it has one item. Of a row: all of its groups */
  HF_PORT_ANY,      /* one of the items: the first whose `when` holds and that nobody overrides */
  HF_PORT_FALLBACK, /* the first item; where it cannot be reached, one port of the others */
} HfPortMode;

typedef struct HfPortItem {
  HfPortItemKind kind;
  guint16 first, last; /* 0 for symbols and unknown ones */
  const char *name;    /* of symbols and unknown ones: "mountd_port"; else NULL */
  guint group;         /* from 0; items of one group stand together. All groups of a row are needed */
  HfPortMode mode;     /* how the items of the group are meant */
  gboolean legacy;     /* only old systems need it; `when` says which */
  HfPortWhen when;
  const char *application;      /* "ssh", "https", "nfs"...: closed list; NULL: none that is known */
  const HfPortService *service; /* an own one, or NULL */
} HfPortItem;

typedef enum HfPortEndpointKind {
  HF_PORT_ENDPOINT_NAME,        /* "login.windows.net" */
  HF_PORT_ENDPOINT_WILDCARD,    /* "*.amazonaws.com" */
  HF_PORT_ENDPOINT_PLACEHOLDER, /* "<storage-account>.blob.core.windows.net": the topology gives the value */
  HF_PORT_ENDPOINT_ADDRESS,     /* "169.254.169.254" */
} HfPortEndpointKind;

/* Where the listening end is, for what stands outside the fleet. */
typedef struct HfPortEndpoint {
  HfPortEndpointKind kind;
  const char *text;        /* as the page has it: with scheme and path, if any */
  const char *host;        /* without them */
  const char *placeholder; /* the name between < and >, or NULL */
  HfPortWhen when;         /* regions */
} HfPortEndpoint;

typedef enum HfPortNeed {
  HF_PORT_REQUIRED,    /* whenever both ends are there */
  HF_PORT_CONDITIONAL, /* while `when` holds; not needed otherwise */
  HF_PORT_OPTIONAL,    /* `when` may hold, and still everything works without it */
} HfPortNeed;

/* Between which hosts of the two roles. A host never needs a rule towards itself. */
typedef enum HfPortPair {
  HF_PORT_PAIR_ANY,
  HF_PORT_PAIR_SAME_SITE,
  HF_PORT_PAIR_OTHER_SITE,
} HfPortPair;

/* An oddity of the pages: data/ports/marks.tsv. */
typedef struct HfPortMark {
  const char *id;
  const char *title;
} HfPortMark;

/* What a page states in words and a row expresses: data/ports/rules.tsv. */
typedef struct HfPortRule {
  const char *id; /* "R12" */
  const char *title;
} HfPortRule;

typedef struct HfPortSection {
  guint index;
  const char *id; /* "backup-repositories" */
  const char *page;  /* "explorer" or "main" */
  const char *title; /* as printed */
} HfPortSection;

typedef struct HfPortTable {
  guint index;
  const HfPortSection *section;
  guint number;     /* on its page, from 1 */
  const char *id;   /* "m2": the page's letter and the number */
  const char *title; /* as printed: the heading over the table, or that of the section */
  guint line;       /* of the page, where its header stands */
  guint n_rows;
} HfPortTable;

typedef struct HfPortRow {
  guint index;
  const char *id; /* "m2.17": table and number in it; what logs, comments and reports name a row by */
  const HfPortTable *table;
  guint number; /* in the table, from 1 */
  guint line;   /* in the page */
  /* As printed: cells that the page leaves out because they repeat are filled in, escapes of markdown are taken away,
   * white space is folded. */
  struct {
    const char *from, *to, *protocol, *port;
  } printed;
  const char *heading; /* the sub-heading in the table that it stands under, or NULL */
  const HfPortRoleUse *from, *to;
  guint n_from, n_to; /* at least 1 */
  guint transports;   /* HF_PORT_TCP and HF_PORT_UDP; 0: the page does not say */
  HfPortMode mode;    /* of the row: ALL unless it has one group only, whose mode it is then */
  const HfPortItem *items;
  guint n_items; /* at least 1 */
  const HfPortEndpoint *endpoints;
  guint n_endpoints;
  HfPortNeed need;
  HfPortWhen when; /* conditions of its table included */
  HfPortPair pair;
  gboolean customisable; /* the page says that the port can be set to another one */
  const HfPortMark *const *marks; /* ended by NULL; so is `rules` */
  const HfPortRule *const *rules;
  const char *purpose; /* in our own words */
} HfPortRow;

/* ---- tables ---- */

const HfPortRow *hf_port_rows(guint *n_rows);
const HfPortTable *hf_port_tables(guint *n_tables);
const HfPortSection *hf_port_sections(guint *n_sections);
const HfPortRole *hf_port_roles(guint *n_roles);
const HfPortCondition *hf_port_conditions(guint *n_conditions);
const HfPortService *hf_port_services(guint *n_services);
const HfPortMark *hf_port_marks(guint *n_marks);
const HfPortRule *hf_port_rules(guint *n_rules);

/* By id; NULL when there is none. */
const HfPortRow *hf_port_row_find(const char *id);
const HfPortCondition *hf_port_condition_find(const char *id);
/* The place of `value` in condition->values, or -1. */
int hf_port_condition_value(const HfPortCondition *condition, const char *value);
/* By id, or by a name that the pages use, upper or lower case, white space folded: the first role of that name, or NULL
 * when there is none. */
const HfPortRole *hf_port_role_find(const char *name);
/* By id or title, upper or lower case; NULL when there is none. */
const HfPortSection *hf_port_section_find(const char *name);
/* By title, upper or lower case: the first table that has it, or NULL. Other tables may have it too. */
const HfPortTable *hf_port_table_find(const char *name);

/* ---- look up ---- */

/* What rows must have; members that are NULL or 0 ask for nothing. */
typedef struct HfPortFilter {
  /* Rows that concern a holder of the role: of the role itself, of a wider one, of a narrower one that is assumed; for
   * roles that no row has, of all narrower ones. `either`: at one of the ends. */
  const HfPortRole *from, *to, *either;
  guint16 port;                /* one of its ports, or in one of its ranges */
  const HfPortSection *section;
  const char *table_title; /* of one of the tables: all that have it */
  const HfPortService *service;
  const HfPortCondition *condition; /* the row, a role, port or endpoint of it asks for it, */
  guint value;                      /* and this answer satisfies it */
} HfPortFilter;

gboolean hf_port_row_matches(const HfPortRow *row, const HfPortFilter *filter);
/* The rows that match, in page order: const HfPortRow *. Caller unrefs the array. */
GPtrArray *hf_port_select(const HfPortFilter *filter);
/* TRUE when the item can be `port`: equal, in its range, or for open ends from the first to the first + 9. */
gboolean hf_port_item_has(const HfPortItem *item, guint16 port);

/* ---- texts ---- */
/* Normal forms, the same as in the data. Caller frees. */

char *hf_port_item_text(const HfPortItem *item);      /* "6162", "2500-3300", "2049+", "$mountd_port", "?sql_port" */
char *hf_port_row_ports_text(const HfPortRow *row);   /* "445,135", "443|80" any, "6162>2500-3300" with fallback */
char *hf_port_uses_text(const HfPortRoleUse *uses, guint n_uses); /* "gateway-server,backup-server{to.gateway=none}" */
char *hf_port_endpoints_text(const HfPortRow *row);  /* apart by spaces; "" when there are none */
const char *hf_port_transports_text(guint transports); /* "tcp", "udp", "tcp,udp" or "unknown"; static */
const char *hf_port_mode_text(HfPortMode mode);        /* "all", "any", "fallback"; static, as the next ones */
const char *hf_port_need_text(HfPortNeed need);
const char *hf_port_pair_text(HfPortPair pair);
const char *hf_port_kind_text(HfPortKind kind);
