/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Rules of traffic: read and replaced as a whole. */
#include <arpa/inet.h>
#include <string.h>

#include "api/call.h"
#include "api/routes.gen.h"
#include "server/inventory/traffic.h"

#define STREAMS_SETTING "streams"
#define STREAMS 5

static gint64 setting_int(HfDbLink *link, const char *name, gint64 otherwise)
{
  g_autofree char *text = hf_db_setting(link, name, NULL);
  return text == NULL ? otherwise : g_ascii_strtoll(text, NULL, 10);
}

/* ---- Reading ---- */

static void write_rule(HfApiOut *out, const HfTrafficRow *row, guint era)
{
  hf_api_out_open(out, '{');
  hf_api_out_pair(out, "id", row->id);
  hf_api_out_pair(out, "name", row->name);
  hf_api_out_pair(out, "sourceIPStart", row->source_first);
  hf_api_out_pair(out, "sourceIPEnd", row->source_last);
  hf_api_out_pair(out, "targetIPStart", row->target_first);
  hf_api_out_pair(out, "targetIPEnd", row->target_last);
  hf_api_out_pair_bool(out, "encryptionEnabled", row->encryption);
  hf_api_out_pair_bool(out, "throttlingEnabled", row->throttling);
  hf_api_out_pair(out, "throttlingUnit", hf_api_enum_spelled(&hf_api_enum_ESpeedUnit, row->throttling_unit, era));
  hf_api_out_pair_int(out, "throttlingValue", row->throttling_value);
  hf_api_out_pair_bool(out, "throttlingWindowEnabled", row->window_enabled);
  if (row->windows != NULL && row->windows[0] == '{' && strstr(row->windows, "\"days\"") != NULL) {
    hf_api_out_key(out, "throttlingWindowOptions");
    hf_api_out_raw(out, row->windows);
  }
  hf_api_out_close(out, '}');
}

static void write_networks(HfApiOut *out, char **networks, gboolean enabled)
{
  hf_api_out_key(out, "preferredNetworks");
  hf_api_out_open(out, '{');
  hf_api_out_pair_bool(out, "isEnabled", enabled);
  hf_api_out_key(out, "networks");
  hf_api_out_open(out, '[');
  for (guint i = 0; networks[i] != NULL; i++) {
    hf_api_out_open(out, '{');
    hf_api_out_pair(out, "cidrNotation", networks[i]);
    hf_api_out_close(out, '}');
  }
  hf_api_out_close(out, ']');
  hf_api_out_close(out, '}');
}

gboolean hf_api_traffic_get(HfApiCall *call, GError **error)
{
  HfApiOut *out = &call->out;
  g_autoptr(GPtrArray) rules = hf_inv_traffic_load(hf_api_inventory(call), error);
  g_auto(GStrv) networks = rules == NULL ? NULL : hf_inv_preferred_networks(hf_api_inventory(call), error);
  g_autoptr(HfDbLink) link = networks == NULL ? NULL : hf_db_read(call->api->settings.db, error);
  if (link == NULL)
    return FALSE;
  gint64 streams = setting_int(link, STREAMS_SETTING, STREAMS);
  hf_api_out_open(out, '{');
  hf_api_out_pair_bool(out, "useMultipleStreamsPerJob", streams > 1);
  hf_api_out_pair_int(out, "uploadStreamsCount", streams);
  hf_api_out_key(out, "trafficRules");
  hf_api_out_open(out, '[');
  for (guint i = 0; i < rules->len; i++)
    write_rule(out, rules->pdata[i], call->era);
  hf_api_out_close(out, ']');
  write_networks(out, networks, networks[0] != NULL);
  hf_api_out_close(out, '}');
  return TRUE;
}

/* ---- Replacing ---- */

static char *text_of(json_t *object, const char *name, const char *otherwise)
{
  const char *text = hf_api_text_at(object, name);
  return g_strdup(text != NULL ? text : otherwise);
}

static HfTrafficRow *rule_of(json_t *body, guint position)
{
  HfTrafficRow *row = g_new0(HfTrafficRow, 1);
  row->id = text_of(body, "id", NULL);
  row->position = position;
  row->name = text_of(body, "name", "");
  row->source_first = text_of(body, "sourceIPStart", "");
  row->source_last = text_of(body, "sourceIPEnd", "");
  row->target_first = text_of(body, "targetIPStart", "");
  row->target_last = text_of(body, "targetIPEnd", "");
  row->encryption = hf_api_bool_at(body, "encryptionEnabled", FALSE);
  row->throttling = hf_api_bool_at(body, "throttlingEnabled", FALSE);
  row->throttling_value = hf_api_int_at(body, "throttlingValue", 0);
  row->throttling_unit = text_of(body, "throttlingUnit", "MbytePerSec");
  row->window_enabled = hf_api_bool_at(body, "throttlingWindowEnabled", FALSE);
  json_t *windows = hf_api_at(body, "throttlingWindowOptions");
  row->windows = windows == NULL ? g_strdup("{}") : json_dumps(windows, JSON_COMPACT);
  return row;
}

/* "10.0.0.0" and "255.0.0.0" as "10.0.0.0/8". */
static char *with_mask(const char *address, const char *mask)
{
  struct in_addr bits;
  if (mask == NULL || strchr(address, '/') != NULL || inet_pton(AF_INET, mask, &bits) != 1)
    return g_strdup(address);
  return g_strdup_printf("%s/%d", address, __builtin_popcount(bits.s_addr));
}

static char **networks_of(json_t *body)
{
  g_autoptr(GPtrArray) networks = g_ptr_array_new();
  json_t *list = hf_api_at(body, "preferredNetworks.networks"), *item;
  size_t index;
  if (hf_api_bool_at(body, "preferredNetworks.isEnabled", FALSE))
    json_array_foreach(list, index, item)
    {
      const char *cidr = hf_api_text_at(item, "cidrNotation"), *address = hf_api_text_at(item, "ipAddress");
      if (cidr != NULL)
        g_ptr_array_add(networks, g_strdup(cidr));
      else if (address != NULL)
        g_ptr_array_add(networks, with_mask(address, hf_api_text_at(item, "subnetMask")));
    }
  g_ptr_array_add(networks, NULL);
  return (char **)g_ptr_array_free(g_steal_pointer(&networks), FALSE);
}

static gboolean save_streams(HfDbLink *link, gpointer user, GError **error)
{
  return hf_db_set_setting(link, STREAMS_SETTING, user, error);
}

gboolean hf_api_traffic_put(HfApiCall *call, GError **error)
{
  const HfApiActions *actions = call->api->settings.actions;
  g_autoptr(GPtrArray) rules = g_ptr_array_new_with_free_func((GDestroyNotify)hf_traffic_free);
  json_t *list = hf_api_at(call->body, "trafficRules"), *item;
  size_t index;
  json_array_foreach(list, index, item)
  {
    g_ptr_array_add(rules, rule_of(item, (guint)index));
  }
  g_auto(GStrv) networks = networks_of(call->body);
  if (!hf_inv_traffic_replace(hf_api_inventory(call), call->actor, rules, (const char *const *)networks, error))
    return FALSE;
  gboolean several = hf_api_bool_at(call->body, "useMultipleStreamsPerJob", TRUE);
  g_autofree char *streams = g_strdup_printf(
    "%" G_GINT64_FORMAT, several ? hf_api_int_at(call->body, "uploadStreamsCount", STREAMS) : 1);
  if (!hf_db_write(call->api->settings.db, save_streams, streams, error))
    return FALSE;
  if (actions->traffic_changed != NULL)
    actions->traffic_changed(actions->data);
  return hf_api_traffic_get(call, error);
}
