/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What spec/api/ declares, as tables: routes, request bodies, enumerations, and the queries that lists come from.
 * spec/gen-api.py writes them; nothing here is ever changed at run time, so any thread may read.
 *
 * Enumerations have two names for each member: the one that is stored (and that this program's code uses), and the one
 * that clients see, which depends on the version that they speak. "Era" is the number of a set of spellings.
 */
#pragma once

#include <glib.h>

#include "server/auth/auth.h"

#define HF_API_ERAS 4       /* of spellings: up to 1.1, 1.2, 1.3-rev0, later */
#define HF_API_MAX_PARAMS 4 /* placeholders in a path */

typedef enum HfApiKind {
  HF_API_TEXT,
  HF_API_UUID,
  HF_API_BOOL,
  HF_API_INT,    /* 64 bits */
  HF_API_DOUBLE,
  HF_API_TIME,   /* RFC 3339; microseconds since 1970 in the program */
  HF_API_CLOCK,  /* "HH:MM[:SS]" */
  HF_API_ENUM,
  HF_API_OBJECT, /* with a schema, or any object when it has none */
  /* output only: */
  HF_API_RAW,      /* the column is JSON already */
  HF_API_GIB,      /* bytes, shown as a number of 2^30 */
  HF_API_RATE,     /* bytes a second, shown as text with a unit */
  HF_API_DURATION, /* microseconds, shown as "HH:MM:SS" */
} HfApiKind;

typedef struct HfApiMember {
  const char *stored;
  const char *spelled[HF_API_ERAS];
} HfApiMember;

typedef struct HfApiEnum {
  const char *name;
  guint n_members;
  const HfApiMember *members;
} HfApiEnum;

typedef struct HfApiSchema HfApiSchema;

typedef struct HfApiField {
  const char *name;
  HfApiKind kind;
  gboolean array;
  gboolean required;
  const HfApiEnum *members;   /* HF_API_ENUM */
  const HfApiSchema *schema;  /* HF_API_OBJECT */
  gint64 min, max;            /* numbers: value; text: bytes; both 0: the usual limits */
} HfApiField;

/* Which further fields an object has when its selector says so. */
typedef struct HfApiCase {
  const char *value; /* as stored */
  const HfApiSchema *schema;
} HfApiCase;

struct HfApiSchema {
  const char *name;
  guint n_fields;
  const HfApiField *fields;
  const char *selector; /* field that chooses the case, or NULL */
  guint n_cases;
  const HfApiCase *cases;
};

typedef enum HfApiFilterKind {
  HF_API_FILTER_EQUAL,
  HF_API_FILTER_LIKE,  /* text with '*' for any run of characters, without regard to case */
  HF_API_FILTER_LEAST, /* column >= value */
  HF_API_FILTER_MOST,  /* column <= value */
  HF_API_FILTER_GIB,   /* a column of bytes is this number of 2^30, to the digits after the point that are given */
  HF_API_FILTER_HOLDS, /* a column that is a JSON list of members has this one */
  HF_API_FILTER_NONE,  /* accepted, selects nothing: a property that no row here has */
  HF_API_FILTER_IGNORE,
} HfApiFilterKind;

typedef struct HfApiParameter {
  const char *name; /* in the query, as documented; compared without regard to case */
  HfApiKind kind;
  gboolean array; /* may be given several times */
  gboolean required;
  const HfApiEnum *members;
  HfApiFilterKind filter;
  const char *column; /* SQL expression, or NULL: the handler reads it */
} HfApiParameter;

typedef struct HfApiColumn {
  const char *path[4]; /* names from the outermost object to the field; the rest NULL */
  HfApiKind kind;
  const HfApiEnum *members;
  const char *sql; /* expression; in records: the name of a fact, or "=" and JSON */
} HfApiColumn;

typedef struct HfApiCall HfApiCall;
typedef struct HfApiRow HfApiRow;
typedef gboolean (*HfApiHandler)(HfApiCall *call, GError **error);
/* Writes what a table cannot say about a row: called after its columns, inside its object. */
typedef gboolean (*HfApiEmit)(HfApiCall *call, const HfApiRow *row, GError **error);

/* A row of some query as a JSON object. */
typedef struct HfApiView {
  const char *name;
  const char *from; /* FROM clause; NULL: a record, whose values are facts */
  const char *late; /* joins that only columns need, made for the rows of a page alone; "" for none */
  const char *where; /* condition that always holds, or NULL */
  const char *key;  /* column of the id */
  guint n_columns;
  const HfApiColumn *columns;
  HfApiEmit emit; /* or NULL */
  guint n_extra;  /* columns for it, after the others */
  const char *const *extra;
} HfApiView;

typedef struct HfApiOrder {
  const char *name;
  const char *sql;
} HfApiOrder;

/* Who may ask. */
typedef enum HfApiRight {
  HF_API_NOBODY,   /* no account is asked for */
  HF_API_ANYBODY,  /* any account */
  HF_API_ALLOWED,  /* an account whose role allows the action */
  HF_API_LOOPBACK, /* as HF_API_ALLOWED; who calls from this machine needs no account */
} HfApiRight;

typedef struct HfApiRoute {
  const char *method;
  const char *path; /* as documented */
  guint n_segments;
  const char *const *segments; /* lower case; NULL where a parameter stands */
  guint n_names;
  const char *names[HF_API_MAX_PARAMS];
  const char *operation; /* name in the document */
  HfApiRight right;
  HfAction action;         /* HF_API_ALLOWED, HF_API_LOOPBACK */
  const char *audit;       /* what the trail calls it; NULL: who carries it out writes the line, or nobody has to */
  const char *audit_kind;  /* table of the thing */
  guint status;
  const HfApiView *view;   /* of a list or of what is got by id */
  const char *scope;       /* lists below a thing: column that equals the first parameter of the path */
  const HfApiView *parent; /* that thing, which must exist */
  gboolean list;
  guint n_orders;
  const HfApiOrder *orders; /* the first is the usual one */
  gboolean descending;      /* the usual direction */
  guint n_parameters;
  const HfApiParameter *parameters;
  const HfApiSchema *body; /* NULL: none is read */
  gboolean body_optional;
  gboolean form;           /* body is form-encoded */
  gboolean slow;           /* may take seconds (a password is hashed, a host is asked): has threads of its own */
  HfApiHandler handler;    /* NULL: list or get of the view */
} HfApiRoute;

typedef struct HfApiVersion {
  const char *name; /* "1.3-rev1" */
  guint era;
} HfApiVersion;

extern const HfApiRoute hf_api_routes[];
extern const guint hf_api_n_routes;
extern const HfApiVersion hf_api_versions[]; /* oldest first */
extern const guint hf_api_n_versions;
/* The document of each era, with one "@VERSION@" to be replaced. */
extern const char *const hf_api_documents[HF_API_ERAS];
