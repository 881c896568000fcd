/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The verbs traffic list, add and remove. The interface has the rules as one list, which is replaced as a whole. */
#include <arpa/inet.h>
#include <string.h>

#include "base/buffer.h"
#include "base/error.h"
#include "cli/fleet.h"
#include "cli/fleet_network.h"

#define RULES "/api/v1/trafficRules"
#define KILOBYTE 1024u /* of the interface's KbytePerSec */

/* "5.0 MiB/s"; an unknown unit is shown as it is. Caller frees. */
static char *limit_of(json_t *rule)
{
  static const struct {
    const char *name;
    guint64 bytes;
  } units[] = { { "KbytePerSec", KILOBYTE }, { "MbytePerSec", 1024u * KILOBYTE },
                { "MbitPerSec", 125000 },    { "MbitPerSpec", 125000 } };
  const char *unit = hf_json_text(rule, "throttlingUnit");
  json_int_t value = json_integer_value(hf_json_at(rule, "throttlingValue"));
  for (guint i = 0; i < G_N_ELEMENTS(units); i++) {
    if (g_strcmp0(units[i].name, unit) != 0)
      continue;
    g_autofree char *size = hf_format_size((guint64)MAX(value, 0) * units[i].bytes);
    return g_strconcat(size, "/s", NULL);
  }
  return g_strdup_printf("%" JSON_INTEGER_FORMAT " %s", value, unit != NULL ? unit : "");
}

/* The rule for people: one text for each network and for the limit. */
static json_t *shown(json_t *rule)
{
  json_t *row = json_deep_copy(rule);
  const char *ends[][3] = { { "source", "sourceIPStart", "sourceIPEnd" },
                            { "target", "targetIPStart", "targetIPEnd" } };
  for (guint i = 0; i < G_N_ELEMENTS(ends); i++) {
    const char *first = hf_json_text(rule, ends[i][1]), *last = hf_json_text(rule, ends[i][2]);
    if (first == NULL || last == NULL)
      continue;
    g_autofree char *text = g_str_equal(first, last) ? g_strdup(first) : g_strdup_printf("%s-%s", first, last);
    json_object_set_new(row, ends[i][0], json_string(text));
  }
  if (hf_json_flag(rule, "throttlingEnabled")) {
    g_autofree char *limit = limit_of(rule);
    json_object_set_new(row, "limit", json_string(limit));
  }
  return row;
}

static void note_networks(HfCli *cli, json_t *preferred)
{
  json_t *network;
  size_t index;
  if (!hf_json_flag(preferred, "isEnabled"))
    return;
  json_array_foreach(hf_json_at(preferred, "networks"), index, network)
  {
    const char *text = hf_json_text(network, "cidrNotation");
    hf_output_note(cli->output, index == 0 ? "preferred networks: %s" : ", %s", text != NULL ? text : "");
  }
  hf_output_note(cli->output, "\n");
}

gboolean hf_verb_traffic_list(const HfOptions *options, HfCli *cli, GError **error)
{
  static const HfFleetColumn columns[] = {
    { { .title = "ID" }, "id", HF_CELL_ID },
    { { .title = "NAME", .shrink = TRUE }, "name", HF_CELL_TEXT },
    { { .title = "SOURCE", .shrink = TRUE }, "source", HF_CELL_TEXT },
    { { .title = "TARGET", .shrink = TRUE }, "target", HF_CELL_TEXT },
    { { .title = "LIMIT" }, "limit", HF_CELL_TEXT },
    { { .title = "AT HOURS" }, "throttlingWindowEnabled", HF_CELL_FLAG },
  };
  g_auto(HfFleet) fleet = { 0 };
  if (!hf_fleet_open(&fleet, options, cli, error))
    return FALSE;
  hf_autojson json_t *all = hf_fleet_get(&fleet, RULES, error), *rows = json_array();
  if (all == NULL)
    return FALSE;
  json_t *rule;
  size_t index;
  if (hf_output_is_json(cli->output)) {
    hf_output_document(cli->output, json_incref(all));
    return TRUE;
  }
  json_array_foreach(json_object_get(all, "trafficRules"), index, rule)
  {
    json_array_append_new(rows, shown(rule));
  }
  hf_fleet_print_rows(cli, rows, columns, G_N_ELEMENTS(columns), "there are no traffic rules: nothing is slowed");
  note_networks(cli, hf_json_at(all, "preferredNetworks"));
  return TRUE;
}

/* The rules, always with a list in them; NULL with an error. */
static json_t *get_rules(HfFleet *fleet, GError **error)
{
  json_t *all = hf_fleet_get(fleet, RULES, error);
  if (all != NULL && !json_is_array(json_object_get(all, "trafficRules")))
    json_object_set_new(all, "trafficRules", json_array());
  return all;
}

/* "8-18" as a list of 24 hours, all seven days. */
static gboolean put_hours(const char *text, json_t *rule, GError **error)
{
  static const char *const days[] = { "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday" };
  g_auto(GStrv) ends = g_strsplit(text, "-", 2);
  guint64 from, to;
  if (g_strv_length(ends) != 2)
    return hf_fail(error, HF_ERROR_USAGE, "'%s' of '--hours' is no span of hours; write it as in 8-18", text);
  if (!hf_parse_number("--hours", ends[0], 0, 23, &from, error) ||
      !hf_parse_number("--hours", ends[1], 1, 24, &to, error))
    return FALSE;
  GString *hours = g_string_new(NULL);
  for (guint64 hour = 0; hour < 24; hour++) {
    gboolean within = from < to ? hour >= from && hour < to : hour >= from || hour < to;
    g_string_append_printf(hours, "%s%d", hour > 0 ? "," : "", within);
  }
  json_t *list = json_array();
  for (guint i = 0; i < G_N_ELEMENTS(days); i++)
    json_array_append_new(list, json_pack("{s:s, s:s}", "day", days[i], "hours", hours->str));
  g_string_free(hours, TRUE);
  hf_json_put(rule, "throttlingWindowEnabled", json_true());
  hf_json_put(rule, "throttlingWindowOptions.days", list);
  return TRUE;
}

static gboolean put_network(json_t *rule, const char *side, const char *text, GError **error)
{
  g_autofree char *first = NULL, *last = NULL;
  g_autofree char *first_key = g_strconcat(side, "IPStart", NULL), *last_key = g_strconcat(side, "IPEnd", NULL);
  if (!hf_fleet_network(text, &first, &last, error))
    return FALSE;
  hf_json_put(rule, first_key, json_string(first));
  hf_json_put(rule, last_key, json_string(last));
  return TRUE;
}

gboolean hf_verb_traffic_add(const HfOptions *options, HfCli *cli, GError **error)
{
  g_auto(HfFleet) fleet = { 0 };
  hf_autojson json_t *rule = json_pack("{s:s, s:b, s:b}", "name", options->new_name, "encryptionEnabled", TRUE,
                                       "throttlingEnabled", TRUE),
                     *answer = NULL;
  if (rule == NULL)
    return hf_fail(error, HF_ERROR_USAGE, "the name of the rule is not UTF-8");
  hf_json_put(rule, "throttlingUnit", json_string("KbytePerSec"));
  hf_json_put(rule, "throttlingValue", json_integer((json_int_t)(options->limit / KILOBYTE)));
  if (!put_network(rule, "source", options->source, error) || !put_network(rule, "target", options->target, error) ||
      (options->hours != NULL && !put_hours(options->hours, rule, error)) ||
      !hf_fleet_open(&fleet, options, cli, error))
    return FALSE;
  hf_autojson json_t *all = get_rules(&fleet, error);
  if (all == NULL)
    return FALSE;
  json_array_append(json_object_get(all, "trafficRules"), rule);
  if (!hf_fleet_ask(&fleet, "PUT", RULES, json_incref(all), &answer, error))
    return FALSE;
  hf_output_note(cli->output, "added traffic rule '%s'\n", options->new_name);
  hf_output_document(cli->output, json_incref(answer));
  return TRUE;
}

gboolean hf_verb_traffic_remove(const HfOptions *options, HfCli *cli, GError **error)
{
  g_auto(HfFleet) fleet = { 0 };
  hf_autojson json_t *answer = NULL;
  if (!hf_fleet_open(&fleet, options, cli, error))
    return FALSE;
  hf_autojson json_t *all = get_rules(&fleet, error);
  if (all == NULL)
    return FALSE;
  json_t *rules = json_object_get(all, "trafficRules");
  guint found = 0;
  for (gsize i = json_array_size(rules); i-- > 0;) {
    json_t *rule = json_array_get(rules, i);
    gboolean named = g_strcmp0(hf_json_text(rule, "name"), options->name) == 0;
    if (!named && !hf_fleet_is_start_of(options->name, hf_json_text(rule, "id")))
      continue;
    json_array_remove(rules, i);
    found++;
  }
  if (found == 0)
    return hf_fail(error, HF_ERROR_NOT_FOUND, "there is no traffic rule '%s'; 'holdfast traffic list' lists them",
                   options->name);
  if (found > 1)
    return hf_fail(error, HF_ERROR_USAGE, "'%s' means %u traffic rules; give the id of one: 'holdfast traffic list'",
                   options->name, found);
  if (!hf_fleet_ask(&fleet, "PUT", RULES, json_incref(all), &answer, error))
    return FALSE;
  hf_output_note(cli->output, "removed traffic rule '%s'\n", options->name);
  hf_output_document(cli->output, json_incref(answer));
  return TRUE;
}
