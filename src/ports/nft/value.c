/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fields and values of the expressions of nftables. */
#include <arpa/inet.h>
#include <netdb.h>
#include <string.h>

#include "ports/nft/model.h"

#define FLAGS 0xff

HfNftClass hf_nft_class(HfNftField field)
{
  switch (field) {
    case HF_NFT_SADDR4:
    case HF_NFT_DADDR4:
      return HF_NFT_CLASS_ADDRESS4;
    case HF_NFT_SADDR6:
    case HF_NFT_DADDR6:
      return HF_NFT_CLASS_ADDRESS6;
    case HF_NFT_PROTOCOL:
    case HF_NFT_PROTOCOL4:
    case HF_NFT_PROTOCOL6:
      return HF_NFT_CLASS_PROTOCOL;
    case HF_NFT_TCP_SPORT:
    case HF_NFT_TCP_DPORT:
    case HF_NFT_UDP_SPORT:
    case HF_NFT_UDP_DPORT:
    case HF_NFT_TH_SPORT:
    case HF_NFT_TH_DPORT:
      return HF_NFT_CLASS_PORT;
    case HF_NFT_TCP_FLAGS:
      return HF_NFT_CLASS_FLAGS;
    case HF_NFT_STATE:
      return HF_NFT_CLASS_STATE;
    case HF_NFT_FAMILY:
      return HF_NFT_CLASS_FAMILY;
    case HF_NFT_IN_INTERFACE:
    case HF_NFT_OUT_INTERFACE:
      return HF_NFT_CLASS_INTERFACE;
    default:
      return HF_NFT_CLASS_OTHER;
  }
}

HfNftClass hf_nft_type_class(const char *type)
{
  static const struct {
    const char *type;
    HfNftClass class;
  } classes[] = {
    { "ipv4_addr", HF_NFT_CLASS_ADDRESS4 },  { "ipv6_addr", HF_NFT_CLASS_ADDRESS6 },
    { "inet_proto", HF_NFT_CLASS_PROTOCOL }, { "inet_service", HF_NFT_CLASS_PORT },
    { "ct_state", HF_NFT_CLASS_STATE },      { "nf_proto", HF_NFT_CLASS_FAMILY },
    { "ifname", HF_NFT_CLASS_INTERFACE },    { "iface_index", HF_NFT_CLASS_INTERFACE },
  };
  for (guint i = 0; i < G_N_ELEMENTS(classes); i++)
    if (g_strcmp0(type, classes[i].type) == 0)
      return classes[i].class;
  return HF_NFT_CLASS_OTHER;
}

/* ---- fields ---- */

static HfNftField payload_field(const char *protocol, const char *field)
{
  static const struct {
    const char *protocol, *field;
    HfNftField found;
  } fields[] = {
    { "ip", "saddr", HF_NFT_SADDR4 },       { "ip", "daddr", HF_NFT_DADDR4 },
    { "ip", "protocol", HF_NFT_PROTOCOL4 }, { "ip6", "saddr", HF_NFT_SADDR6 },
    { "ip6", "daddr", HF_NFT_DADDR6 },      { "ip6", "nexthdr", HF_NFT_PROTOCOL6 },
    { "tcp", "sport", HF_NFT_TCP_SPORT },   { "tcp", "dport", HF_NFT_TCP_DPORT },
    { "tcp", "flags", HF_NFT_TCP_FLAGS },   { "udp", "sport", HF_NFT_UDP_SPORT },
    { "udp", "dport", HF_NFT_UDP_DPORT },   { "th", "sport", HF_NFT_TH_SPORT },
    { "th", "dport", HF_NFT_TH_DPORT },
  };
  static const char *const others[] = { "icmp",    "icmpv6", "igmp", "esp", "ah", "comp",
                                        "udplite", "dccp",   "sctp", NULL };
  for (guint i = 0; i < G_N_ELEMENTS(fields); i++)
    if (g_strcmp0(protocol, fields[i].protocol) == 0 && g_strcmp0(field, fields[i].field) == 0)
      return fields[i].found;
  return protocol != NULL && g_strv_contains(others, protocol) ? HF_NFT_NEVER : HF_NFT_UNKNOWN;
}

static HfNftField meta_field(const char *key)
{
  static const struct {
    const char *key;
    HfNftField found;
  } fields[] = {
    { "l4proto", HF_NFT_PROTOCOL },     { "nfproto", HF_NFT_FAMILY },       { "protocol", HF_NFT_FAMILY },
    { "iifname", HF_NFT_IN_INTERFACE }, { "iif", HF_NFT_IN_INTERFACE },     { "oifname", HF_NFT_OUT_INTERFACE },
    { "oif", HF_NFT_OUT_INTERFACE },
  };
  for (guint i = 0; i < G_N_ELEMENTS(fields); i++)
    if (g_strcmp0(key, fields[i].key) == 0)
      return fields[i].found;
  return HF_NFT_UNKNOWN;
}

static const char *text_of(const json_t *object, const char *key)
{
  return json_string_value(json_object_get(object, key));
}

/* A bit, or several: "syn", ["syn", "ack"], {"|": ["syn", "ack"]}, 2. FALSE when it is none of these. */
static gboolean flag_bits(const json_t *value, guint *bits)
{
  static const char *const names[] = { "fin", "syn", "rst", "psh", "ack", "urg", "ecn", "cwr" };
  const json_t *list = json_is_object(value) ? json_object_get(value, "|") : value;
  if (json_is_integer(value)) {
    *bits |= (guint)json_integer_value(value) & FLAGS;
    return TRUE;
  }
  if (json_is_array(list)) {
    for (gsize i = 0; i < json_array_size(list); i++)
      if (!flag_bits(json_array_get(list, i), bits))
        return FALSE;
    return TRUE;
  }
  for (guint i = 0; json_is_string(value) && i < G_N_ELEMENTS(names); i++)
    if (g_str_equal(json_string_value(value), names[i])) {
      *bits |= 1u << i;
      return TRUE;
    }
  return FALSE;
}

static HfNftField masked_field(const json_t *operands, guint *flags_mask)
{
  guint mask = 0, inner;
  if (json_array_size(operands) != 2 ||
      hf_nft_field(json_array_get(operands, 0), &inner) != HF_NFT_TCP_FLAGS ||
      !flag_bits(json_array_get(operands, 1), &mask))
    return HF_NFT_UNKNOWN;
  *flags_mask = mask;
  return HF_NFT_TCP_FLAGS;
}

HfNftField hf_nft_field(const json_t *expression, guint *flags_mask)
{
  const json_t *payload = json_object_get(expression, "payload"), *meta = json_object_get(expression, "meta");
  const json_t *ct = json_object_get(expression, "ct"), *masked = json_object_get(expression, "&");
  *flags_mask = FLAGS;
  if (payload != NULL)
    return payload_field(text_of(payload, "protocol"), text_of(payload, "field"));
  if (meta != NULL)
    return meta_field(text_of(meta, "key"));
  if (ct != NULL)
    return g_strcmp0(text_of(ct, "key"), "state") == 0 ? HF_NFT_STATE : HF_NFT_UNKNOWN;
  return masked != NULL ? masked_field(masked, flags_mask) : HF_NFT_UNKNOWN;
}

/* ---- values ---- */

void hf_nft_number_span(guint64 first, guint64 last, HfNftSpan *span)
{
  guint64 low = GUINT64_TO_BE(first), high = GUINT64_TO_BE(last);
  *span = (HfNftSpan){ 0 };
  memcpy(span->first + 8, &low, sizeof low);
  memcpy(span->last + 8, &high, sizeof high);
}

void hf_nft_any_span(HfNftSpan *span)
{
  memset(span->first, 0, sizeof span->first);
  memset(span->last, 0xff, sizeof span->last);
}

static gboolean named_number(const char *text, HfNftClass class, guint64 *number)
{
  static const struct {
    HfNftClass class;
    const char *name;
    guint64 number;
  } names[] = {
    { HF_NFT_CLASS_STATE, "invalid", 1 },    { HF_NFT_CLASS_STATE, "established", 2 },
    { HF_NFT_CLASS_STATE, "related", 4 },    { HF_NFT_CLASS_STATE, "new", 8 },
    { HF_NFT_CLASS_STATE, "untracked", 64 }, { HF_NFT_CLASS_FAMILY, "ipv4", AF_INET },
    { HF_NFT_CLASS_FAMILY, "ip", AF_INET },  { HF_NFT_CLASS_FAMILY, "ipv6", AF_INET6 },
    { HF_NFT_CLASS_FAMILY, "ip6", AF_INET6 }, { HF_NFT_CLASS_INTERFACE, "lo", 0 },
  };
  for (guint i = 0; i < G_N_ELEMENTS(names); i++)
    if (names[i].class == class && g_str_equal(names[i].name, text)) {
      *number = names[i].number;
      return TRUE;
    }
  if (class == HF_NFT_CLASS_INTERFACE) {
    *number = 1;
    return TRUE;
  }
  const struct protoent *protocol = class == HF_NFT_CLASS_PROTOCOL ? getprotobyname(text) : NULL;
  *number = protocol != NULL ? (guint64)protocol->p_proto : 0;
  return protocol != NULL;
}

static gboolean address_bytes(const char *text, HfNftClass class, guint8 *bytes)
{
  memset(bytes, 0, 16);
  return class == HF_NFT_CLASS_ADDRESS4 ? inet_pton(AF_INET, text, bytes + 12) == 1
                                        : inet_pton(AF_INET6, text, bytes) == 1;
}

static gboolean single_span(const json_t *value, HfNftClass class, HfNftSpan *span)
{
  guint64 number;
  guint bits = 0;
  if (class == HF_NFT_CLASS_FLAGS) {
    gboolean right = flag_bits(value, &bits);
    hf_nft_number_span(bits, bits, span);
    return right;
  }
  if (json_is_integer(value)) {
    if (class == HF_NFT_CLASS_ADDRESS4 || class == HF_NFT_CLASS_ADDRESS6 || json_integer_value(value) < 0)
      return FALSE;
    hf_nft_number_span((guint64)json_integer_value(value), (guint64)json_integer_value(value), span);
    return TRUE;
  }
  const char *text = json_string_value(value);
  if (text == NULL)
    return FALSE;
  if (class == HF_NFT_CLASS_ADDRESS4 || class == HF_NFT_CLASS_ADDRESS6) {
    if (!address_bytes(text, class, span->first))
      return FALSE;
    memcpy(span->last, span->first, sizeof span->last);
    return TRUE;
  }
  if (!named_number(text, class, &number))
    return FALSE;
  hf_nft_number_span(number, number, span);
  return TRUE;
}

static gboolean prefix_span(const json_t *prefix, HfNftClass class, HfNftSpan *span)
{
  json_int_t length = json_integer_value(json_object_get(prefix, "len"));
  guint start = class == HF_NFT_CLASS_ADDRESS4 ? 96 : 0;
  if ((class != HF_NFT_CLASS_ADDRESS4 && class != HF_NFT_CLASS_ADDRESS6) || length < 0 || length > 128 - start ||
      !single_span(json_object_get(prefix, "addr"), class, span))
    return FALSE;
  for (guint bit = start + (guint)length; bit < 128; bit++) {
    span->first[bit / 8] &= (guint8) ~(0x80 >> bit % 8);
    span->last[bit / 8] |= (guint8)(0x80 >> bit % 8);
  }
  return TRUE;
}

gboolean hf_nft_span(const json_t *value, HfNftClass class, HfNftSpan *span)
{
  const json_t *range = json_object_get(value, "range"), *prefix = json_object_get(value, "prefix");
  HfNftSpan last;
  if (class == HF_NFT_CLASS_OTHER)
    return FALSE;
  if (prefix != NULL)
    return prefix_span(prefix, class, span);
  if (range != NULL) {
    if (json_array_size(range) != 2 || !single_span(json_array_get(range, 0), class, span) ||
        !single_span(json_array_get(range, 1), class, &last))
      return FALSE;
    memcpy(span->last, last.last, sizeof span->last);
    return TRUE;
  }
  if (json_is_string(value) && g_str_equal(json_string_value(value), "*")) {
    hf_nft_any_span(span);
    return TRUE;
  }
  return single_span(value, class, span);
}
