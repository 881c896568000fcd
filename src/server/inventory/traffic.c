/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "server/inventory/traffic.h"

#include <gio/gio.h>
#include <string.h>

#include "base/error.h"
#include "server/inventory/record.h"

#define R HfTrafficRow
static const HfField fields[] = {
  HF_FIELD(R, id, TEXT),
  HF_FIELD(R, position, NUMBER),
  HF_FIELD(R, name, TEXT),
  HF_FIELD(R, source_first, TEXT),
  HF_FIELD(R, source_last, TEXT),
  HF_FIELD(R, target_first, TEXT),
  HF_FIELD(R, target_last, TEXT),
  HF_FIELD(R, encryption, FLAG),
  HF_FIELD(R, throttling, FLAG),
  HF_FIELD(R, throttling_value, NUMBER),
  HF_FIELD(R, throttling_unit, TEXT),
  HF_FIELD(R, window_enabled, FLAG),
  HF_FIELD(R, windows, TEXT),
};
#undef R
static const HfTable table = {"traffic_rules", "traffic rule", sizeof(HfTrafficRow), fields, G_N_ELEMENTS(fields)};

static const struct {
  const char *name;
  gint64 bytes; /* a second */
} units[] = {{"MbitPerSec", 125000}, {"KbytePerSec", 1024}, {"MbytePerSec", 1024 * 1024}};

void hf_traffic_free(HfTrafficRow *row)
{
  hf_record_free(&table, row);
}

GPtrArray *hf_inv_traffic_load(const HfInventory *inv, GError **error)
{
  return hf_record_read_all(inv->db, &table, "ORDER BY position, id", HF_DB_NONE, (GDestroyNotify)hf_traffic_free,
                            error);
}

/* ---- addresses ---- */

/* An IPv4 address that came in an IPv6 socket counts as the IPv4 address. NULL when it is none. */
static GInetAddress *address_of(const char *text)
{
  if (text == NULL)
    return NULL;
  return g_inet_address_new_from_string(g_ascii_strncasecmp(text, "::ffff:", 7) == 0 && strchr(text, '.') != NULL
                                            ? text + 7
                                            : text);
}

/* Less than 0, 0, more than 0; both of one family. */
static int compare(GInetAddress *a, GInetAddress *b)
{
  return memcmp(g_inet_address_to_bytes(a), g_inet_address_to_bytes(b), g_inet_address_get_native_size(a));
}

static gboolean in_range(const char *first, const char *last, const char *text)
{
  g_autoptr(GInetAddress) low = address_of(first);
  g_autoptr(GInetAddress) high = address_of(last);
  g_autoptr(GInetAddress) address = address_of(text);
  if (low == NULL || high == NULL || address == NULL ||
      g_inet_address_get_family(low) != g_inet_address_get_family(address) ||
      g_inet_address_get_family(high) != g_inet_address_get_family(address))
    return FALSE;
  return compare(low, address) <= 0 && compare(address, high) <= 0;
}

static gboolean check_range(const char *rule, const char *first, const char *last, GError **error)
{
  g_autoptr(GInetAddress) low = address_of(first);
  g_autoptr(GInetAddress) high = address_of(last);
  if (low == NULL || high == NULL)
    return hf_fail(error, HF_ERROR_USAGE, "traffic rule '%s': '%s' is no IP address", rule,
                   low == NULL ? (first != NULL ? first : "") : (last != NULL ? last : ""));
  if (g_inet_address_get_family(low) != g_inet_address_get_family(high) || compare(low, high) > 0)
    return hf_fail(error, HF_ERROR_USAGE, "traffic rule '%s': '%s' to '%s' is no range of addresses", rule, first,
                   last);
  return TRUE;
}

gboolean hf_network_holds(const char *const *networks, const char *address)
{
  g_autoptr(GInetAddress) wanted = address_of(address);
  if (wanted == NULL)
    return FALSE;
  for (; *networks != NULL; networks++) {
    g_autoptr(GInetAddressMask) mask = g_inet_address_mask_new_from_string(*networks, NULL);
    if (mask != NULL && g_inet_address_mask_matches(mask, wanted))
      return TRUE;
  }
  return FALSE;
}

/* ---- what the rules say ---- */

static gint64 unit_bytes(const char *name)
{
  for (gsize i = 0; i < G_N_ELEMENTS(units); i++)
    if (g_strcmp0(units[i].name, name) == 0)
      return units[i].bytes;
  return 0;
}

static gboolean fits(const HfTrafficRow *row, const char *source, const char *target)
{
  return (in_range(row->source_first, row->source_last, source) &&
          in_range(row->target_first, row->target_last, target)) ||
         (in_range(row->source_first, row->source_last, target) &&
          in_range(row->target_first, row->target_last, source));
}

static gboolean holds_now(const HfTrafficRow *row, GTimeZone *zone, gint64 time)
{
  if (!row->window_enabled)
    return TRUE;
  g_autoptr(HfWindow) window = hf_window_parse(row->windows, NULL);
  return window == NULL || hf_window_open(window, zone, time);
}

gint64 hf_traffic_limit(GPtrArray *rules, const char *source, const char *target, GTimeZone *zone, gint64 time,
                        const HfTrafficRow **rule)
{
  if (rule != NULL)
    *rule = NULL;
  for (guint i = 0; i < rules->len; i++) {
    const HfTrafficRow *row = g_ptr_array_index(rules, i);
    if (!fits(row, source, target))
      continue;
    if (rule != NULL)
      *rule = row;
    return row->throttling && holds_now(row, zone, time) ? row->throttling_value * unit_bytes(row->throttling_unit) : 0;
  }
  return 0;
}

/* ---- changing them ---- */

static gboolean check_rule(const HfTrafficRow *row, GError **error)
{
  const char *const words[] = {units[0].name, units[1].name, units[2].name, NULL};
  if (!hf_inv_check_name("traffic rule", row->name, error) ||
      !check_range(row->name, row->source_first, row->source_last, error) ||
      !check_range(row->name, row->target_first, row->target_last, error))
    return FALSE;
  if (row->throttling && (!hf_inv_check_word("the unit of the limit", row->throttling_unit, words, error) ||
                          !hf_inv_check_range("the limit", row->throttling_value, 1, 1000000000, error)))
    return FALSE;
  g_autoptr(HfWindow) window = hf_window_parse(row->windows, error);
  return window != NULL;
}

typedef struct Replacement {
  const HfActor *actor;
  GPtrArray *rules;
  const char *const *networks;
} Replacement;

static gboolean insert_networks(HfDbLink *link, const char *const *networks, GError **error)
{
  for (gint64 i = 0; networks != NULL && networks[i] != NULL; i++) {
    g_autoptr(GInetAddressMask) mask = g_inet_address_mask_new_from_string(networks[i], NULL);
    if (mask == NULL)
      return hf_fail(error, HF_ERROR_USAGE, "'%s' is no network; write it as address/prefix", networks[i]);
    g_autofree char *id = hf_db_new_id();
    if (!hf_db_exec(link, "INSERT INTO preferred_networks (id, position, network) VALUES (?, ?, ?)",
                    HF_DB_VALUES(HF_DB_TEXT(id), HF_DB_INT(i), HF_DB_TEXT(networks[i])), NULL, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean audit_rule(HfDbLink *link, const HfActor *actor, const HfTrafficRow *row, const char *before,
                           const char *after, GError **error)
{
  if (g_strcmp0(before, after) == 0)
    return TRUE;
  HfAudit line = {.action = before == NULL ? "create" : after == NULL ? "delete" : "change",
                  .object_kind = table.name, .object_id = row->id, .object_name = row->name, .old_value = before,
                  .new_value = after};
  return hf_audit_write(link, actor, &line, error);
}

static gboolean contains(GPtrArray *rules, const char *id)
{
  for (guint i = 0; i < rules->len; i++)
    if (strcmp(((HfTrafficRow *)g_ptr_array_index(rules, i))->id, id) == 0)
      return TRUE;
  return FALSE;
}

/* Old rows by id, as JSON, and an audit line for those that are not among the new ones. */
static GHashTable *old_rules(HfDbLink *link, const Replacement *replacement, GError **error)
{
  g_autoptr(GHashTable) before = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
  g_autoptr(GPtrArray) old = hf_record_load(link, &table, "ORDER BY position", HF_DB_NONE,
                                            (GDestroyNotify)hf_traffic_free, error);
  if (old == NULL)
    return NULL;
  for (guint i = 0; i < old->len; i++) {
    HfTrafficRow *row = g_ptr_array_index(old, i);
    char *json = hf_audit_row(link, table.name, row->id, error);
    if (json == NULL)
      return NULL;
    g_hash_table_insert(before, g_strdup(row->id), json);
    if (!contains(replacement->rules, row->id) && !audit_rule(link, replacement->actor, row, json, NULL, error))
      return NULL;
  }
  return g_steal_pointer(&before);
}

static gboolean replace(HfDbLink *link, gpointer user, GError **error)
{
  const Replacement *replacement = user;
  g_autoptr(GHashTable) before = old_rules(link, replacement, error);
  if (before == NULL || !hf_db_exec(link, "DELETE FROM traffic_rules", HF_DB_NONE, NULL, error) ||
      !hf_db_exec(link, "DELETE FROM preferred_networks", HF_DB_NONE, NULL, error) ||
      !insert_networks(link, replacement->networks, error))
    return FALSE;
  for (guint i = 0; i < replacement->rules->len; i++) {
    HfTrafficRow *row = g_ptr_array_index(replacement->rules, i);
    row->position = i;
    if (!check_rule(row, error) || !hf_record_insert(link, &table, row, error))
      return FALSE;
    g_autofree char *after = hf_audit_row(link, table.name, row->id, error);
    if (after == NULL ||
        !audit_rule(link, replacement->actor, row, g_hash_table_lookup(before, row->id), after, error))
      return FALSE;
  }
  return TRUE;
}

gboolean hf_inv_traffic_replace(const HfInventory *inv, const HfActor *actor, GPtrArray *rules,
                                const char *const *networks, GError **error)
{
  for (guint i = 0; i < rules->len; i++) {
    HfTrafficRow *row = g_ptr_array_index(rules, i);
    if (row->id == NULL)
      row->id = hf_db_new_id();
  }
  Replacement replacement = {actor, rules, networks};
  g_autoptr(GError) problem = NULL;
  if (hf_db_write(inv->db, replace, &replacement, &problem))
    return TRUE;
  HfAudit line = {.action = "change", .object_kind = table.name, .object_id = "", .object_name = "",
                  .refused = problem};
  hf_audit_note(inv->db, actor, &line, NULL);
  g_propagate_error(error, g_steal_pointer(&problem));
  return FALSE;
}

char **hf_inv_preferred_networks(const HfInventory *inv, GError **error)
{
  g_autoptr(HfDbLink) link = hf_db_read(inv->db, error);
  g_autoptr(HfDbRows) rows =
      link == NULL ? NULL
                   : hf_db_query(link, "SELECT network FROM preferred_networks ORDER BY position", HF_DB_NONE, error);
  if (rows == NULL)
    return NULL;
  g_autoptr(GStrvBuilder) networks = g_strv_builder_new();
  while (hf_db_next(rows, error))
    g_strv_builder_add(networks, hf_db_text(rows, 0));
  return hf_db_failed(rows) ? NULL : g_strv_builder_end(networks);
}
