/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inside of nftables: the ruleset as nft_parse.c reads it, for nft_evaluate.c and nft_boxes.c. Constant once read. */
#pragma once

#include <jansson.h>

#include "ports/nft/nftables.h"

#define HF_NFT_MAX_FIELDS 5 /* of a concatenation */

/* What a match looks at. */
typedef enum HfNftField {
  HF_NFT_UNKNOWN, /* something that is not understood */
  HF_NFT_NEVER,   /* of a protocol that is neither TCP nor UDP: no packet here has it */
  HF_NFT_SADDR4,
  HF_NFT_DADDR4,
  HF_NFT_SADDR6,
  HF_NFT_DADDR6,
  HF_NFT_PROTOCOL,  /* number of the transport protocol */
  HF_NFT_PROTOCOL4, /* the same, of IPv4 only */
  HF_NFT_PROTOCOL6,
  HF_NFT_TCP_SPORT,
  HF_NFT_TCP_DPORT,
  HF_NFT_UDP_SPORT,
  HF_NFT_UDP_DPORT,
  HF_NFT_TH_SPORT, /* of whatever transport */
  HF_NFT_TH_DPORT,
  HF_NFT_TCP_FLAGS,
  HF_NFT_STATE,  /* of connection tracking */
  HF_NFT_FAMILY, /* NFPROTO_IPV4, NFPROTO_IPV6 */
  HF_NFT_IN_INTERFACE,
  HF_NFT_OUT_INTERFACE,
} HfNftField;

/* What its values are. */
typedef enum HfNftClass {
  HF_NFT_CLASS_OTHER,
  HF_NFT_CLASS_ADDRESS4,
  HF_NFT_CLASS_ADDRESS6,
  HF_NFT_CLASS_PROTOCOL,
  HF_NFT_CLASS_PORT,
  HF_NFT_CLASS_FLAGS,
  HF_NFT_CLASS_STATE,
  HF_NFT_CLASS_FAMILY,
  HF_NFT_CLASS_INTERFACE, /* 0: the loopback; 1: another one */
} HfNftClass;

/* Values from first to last, as numbers of 128 bits, in network order. */
typedef struct HfNftSpan {
  guint8 first[16], last[16];
} HfNftSpan;

typedef enum HfNftKind {
  HF_NFT_NO_VERDICT, /* goes on */
  HF_NFT_TO_ACCEPT,
  HF_NFT_TO_DROP,
  HF_NFT_TO_RETURN,
  HF_NFT_TO_JUMP,
  HF_NFT_TO_GOTO,
  HF_NFT_TO_UNKNOWN, /* queue, and what is not understood */
} HfNftKind;

typedef struct HfNftChain HfNftChain;

typedef struct HfNftAction {
  HfNftKind kind;
  char *target;            /* of jumps */
  const HfNftChain *chain; /* the same, once all is read; NULL when there is none */
} HfNftAction;

/* A member of a set: a span for each field; of a verdict map with what follows. */
typedef struct HfNftElement {
  HfNftSpan spans[HF_NFT_MAX_FIELDS];
  HfNftAction action;
  char *comment;
  gboolean counted;
  guint64 packets;
} HfNftElement;

typedef struct HfNftSet {
  guint n_fields;
  GArray *elements; /* HfNftElement by value; once finished by the first of their first field */
  GArray *reach;    /* HfNftSpan: `last` is the greatest last of the first field up to this element */
  gboolean odd;     /* it has members that were not understood */
  char *place;      /* "inet holdfast set in_ipv4"; NULL for sets without a name */
} HfNftSet;

typedef struct HfNftMatch {
  HfNftField fields[HF_NFT_MAX_FIELDS];
  guint n_fields;
  guint flags_mask; /* of HF_NFT_TCP_FLAGS: bits that are looked at */
  gboolean inverted;
  gboolean odd; /* not understood: may match or not */
  HfNftSet *own; /* of a set without a name */
  char *name;    /* else its name */
  const HfNftSet *set; /* one of both, once all is read; NULL: there is none */
} HfNftMatch;

typedef struct HfNftRule {
  GArray *matches; /* HfNftMatch by value */
  HfNftAction action;
  HfNftMatch *map; /* of a verdict map, else NULL; `action` is none then */
  char *place, *comment;
  gboolean counted;
  guint64 packets;
} HfNftRule;

struct HfNftChain {
  char *family, *table, *name;
  char *hook;      /* NULL: no base chain */
  gboolean filter; /* its type is filter */
  gboolean drop;   /* its policy */
  char *place;     /* "inet holdfast input, policy" */
  GPtrArray *rules; /* HfNftRule * */
};

struct HfNftRuleset {
  GPtrArray *chains;  /* HfNftChain *, in the order of the text */
  GHashTable *by_key; /* "family table name" to HfNftChain *, borrowed */
  GHashTable *sets;   /* "family table name" to HfNftSet * */
};

/* ---- nft_value.c ---- */

HfNftClass hf_nft_class(HfNftField field);
/* The class of a set's type: "ipv4_addr"; OTHER for what is not known. */
HfNftClass hf_nft_type_class(const char *type);
/* The field that an expression reads. `flags_mask` is set for HF_NFT_TCP_FLAGS. */
HfNftField hf_nft_field(const json_t *expression, guint *flags_mask);
/* One value, prefix, range or wildcard. FALSE when it is not understood. */
gboolean hf_nft_span(const json_t *value, HfNftClass class, HfNftSpan *span);
void hf_nft_number_span(guint64 first, guint64 last, HfNftSpan *span);
/* All values of a class. */
void hf_nft_any_span(HfNftSpan *span);

/* ---- nft_set.c ---- */

HfNftSet *hf_nft_set_new(guint n_fields);
void hf_nft_set_free(HfNftSet *set);
void hf_nft_action_clear(HfNftAction *action);
/* {"accept": null}, {"jump": {"target": ...}}; FALSE when it is no verdict. */
gboolean hf_nft_action_read(const json_t *statement, HfNftAction *action);
/* Adds the members that a JSON array or single value holds; with `map` they are pairs of value and verdict. */
void hf_nft_set_read(HfNftSet *set, const json_t *members, const HfNftClass *classes, gboolean map);
/* Adds one span for sets of one field. */
void hf_nft_set_add(HfNftSet *set, const HfNftSpan *span);
/* Sorts, once all members are there. */
void hf_nft_set_finish(HfNftSet *set);
/* The members that can have something of `span` in their first field: those from `from` to before `to`. */
void hf_nft_set_near(const HfNftSet *set, const HfNftSpan *span, guint *from, guint *to);

/* ---- nft_evaluate.c ---- */

typedef enum HfNftTruth {
  HF_NFT_NO,
  HF_NFT_MAYBE,
  HF_NFT_YES,
} HfNftTruth;

/* What the packet has in the field. FALSE: it has none, and no match of it holds. */
gboolean hf_nft_packet_span(const HfNftPacket *packet, HfNftField field, guint flags_mask, HfNftSpan *span);
/* Whether the base chain sees first packets of the direction and family. */
gboolean hf_nft_chain_sees(const HfNftChain *chain, HfPlanDirection direction, int family);
