/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From the JSON of nft to the model of nft_model.h. */
#include <string.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/sys.h"
#include "ports/nft/model.h"

#define PIECE 65536

static void free_match(HfNftMatch *match)
{
  hf_nft_set_free(match->own);
  g_free(match->name);
}

static void clear_match(gpointer pointer)
{
  free_match(pointer);
}

static void free_rule(gpointer pointer)
{
  HfNftRule *rule = pointer;
  g_array_unref(rule->matches);
  hf_nft_action_clear(&rule->action);
  if (rule->map != NULL)
    free_match(rule->map);
  g_free(rule->map);
  g_free(rule->place);
  g_free(rule->comment);
  g_free(rule);
}

static void free_chain(gpointer pointer)
{
  HfNftChain *chain = pointer;
  g_ptr_array_unref(chain->rules);
  g_free(chain->family);
  g_free(chain->table);
  g_free(chain->name);
  g_free(chain->hook);
  g_free(chain->place);
  g_free(chain);
}

void hf_nft_free(HfNftRuleset *ruleset)
{
  if (ruleset == NULL)
    return;
  g_ptr_array_unref(ruleset->chains);
  g_hash_table_unref(ruleset->by_key);
  g_hash_table_unref(ruleset->sets);
  g_free(ruleset);
}

static char *key_of(const char *family, const char *table, const char *name)
{
  return g_strdup_printf("%s %s %s", family, table, name);
}

static const char *text_of(const json_t *object, const char *key)
{
  const char *text = json_string_value(json_object_get(object, key));
  return text != NULL ? text : "";
}

/* ---- rules ---- */

static guint read_fields(const json_t *expression, HfNftMatch *match)
{
  const json_t *parts = json_object_get(expression, "concat");
  guint mask;
  match->n_fields = 1;
  if (parts == NULL) {
    match->fields[0] = hf_nft_field(expression, &match->flags_mask);
    return 1;
  }
  if (json_array_size(parts) < 1 || json_array_size(parts) > HF_NFT_MAX_FIELDS) {
    match->odd = TRUE;
    return 1;
  }
  match->n_fields = (guint)json_array_size(parts);
  match->flags_mask = 0;
  for (guint i = 0; i < match->n_fields; i++) {
    match->fields[i] = hf_nft_field(json_array_get(parts, i), &mask);
    match->flags_mask |= mask;
  }
  return match->n_fields;
}

/* The values of one side; `map`: pairs with verdicts. */
static void read_values(HfNftMatch *match, const json_t *values, gboolean map)
{
  HfNftClass classes[HF_NFT_MAX_FIELDS];
  const char *name = json_string_value(values);
  const json_t *set = json_object_get(values, "set");
  if (name != NULL && name[0] == '@') {
    match->name = g_strdup(name + 1);
    return;
  }
  for (guint i = 0; i < match->n_fields; i++)
    classes[i] = hf_nft_class(match->fields[i]);
  match->own = hf_nft_set_new(match->n_fields);
  hf_nft_set_read(match->own, set != NULL ? set : values, classes, map);
}

/* "<", ">", "<=", ">=" as the span that they leave. */
static gboolean read_order(HfNftMatch *match, const char *op, const json_t *value)
{
  if (!json_is_integer(value) || match->n_fields != 1 || hf_nft_class(match->fields[0]) != HF_NFT_CLASS_PORT)
    return FALSE;
  gint64 number = json_integer_value(value), low = 0, high = G_MAXUINT16;
  if (op[0] == '<')
    high = op[1] == '=' ? number : number - 1;
  else
    low = op[1] == '=' ? number : number + 1;
  match->own = hf_nft_set_new(1);
  if (low <= high && low >= 0) {
    HfNftSpan span;
    hf_nft_number_span((guint64)low, (guint64)high, &span);
    hf_nft_set_add(match->own, &span);
  }
  return TRUE;
}

/* "tcp flags syn": any of the bits, of which a first packet has but one. */
static void any_flag(HfNftMatch *match)
{
  HfNftSet *set = match->own;
  guint bits = 0;
  for (guint i = 0; i < set->elements->len; i++)
    bits |= g_array_index(set->elements, HfNftElement, i).spans[0].first[15];
  g_array_set_size(set->elements, 0);
  match->flags_mask &= bits;
  HfNftSpan none;
  hf_nft_number_span(0, 0, &none);
  hf_nft_set_add(set, &none);
  match->inverted = !match->inverted;
}

static void read_match(const json_t *json, HfNftMatch *match)
{
  const char *op = text_of(json, "op");
  const json_t *right = json_object_get(json, "right");
  read_fields(json_object_get(json, "left"), match);
  if (op[0] == '<' || op[0] == '>') {
    match->odd = match->odd || !read_order(match, op, right);
    return;
  }
  match->inverted = g_str_equal(op, "!=");
  if (!match->inverted && !g_str_equal(op, "==") && !g_str_equal(op, "in"))
    match->odd = TRUE;
  if (right == NULL || match->odd) {
    match->odd = TRUE;
    return;
  }
  read_values(match, right, FALSE);
  if (g_str_equal(op, "in") && match->fields[0] == HF_NFT_TCP_FLAGS && match->own != NULL)
    any_flag(match);
}

/* Statements that change nothing about whether a packet passes. */
static gboolean is_neutral(const char *name)
{
  static const char *const neutral[] = { "counter", "log",     "limit",  "set",       "map", "mangle", "notrack",
                                         "meter",   "ct helper", "tproxy", "masquerade", "dup", "comment", NULL };
  return g_strv_contains(neutral, name);
}

static void add_odd(HfNftRule *rule)
{
  HfNftMatch match = { .n_fields = 1, .odd = TRUE };
  g_array_append_val(rule->matches, match);
}

static void read_statement(HfNftRule *rule, const json_t *statement)
{
  const char *name = json_object_iter_key(json_object_iter((json_t *)statement));
  const json_t *body = name != NULL ? json_object_get(statement, name) : NULL;
  if (name == NULL) {
    add_odd(rule);
  } else if (g_str_equal(name, "match")) {
    HfNftMatch match = { 0 };
    read_match(body, &match);
    g_array_append_val(rule->matches, match);
  } else if (g_str_equal(name, "vmap") && rule->map == NULL) {
    rule->map = g_new0(HfNftMatch, 1);
    read_fields(json_object_get(body, "key"), rule->map);
    read_values(rule->map, json_object_get(body, "data"), TRUE);
  } else if (g_str_equal(name, "limit") && json_is_true(json_object_get(body, "inv"))) {
    HfNftMatch never = { .fields = { HF_NFT_NEVER }, .n_fields = 1, .own = hf_nft_set_new(1) };
    g_array_append_val(rule->matches, never); /* over the limit: a single packet is not */
  } else if (g_str_equal(name, "counter")) {
    rule->counted = json_is_object(body);
    rule->packets = (guint64)json_integer_value(json_object_get(body, "packets"));
  } else if (!is_neutral(name) && !hf_nft_action_read(statement, &rule->action)) {
    add_odd(rule);
  }
}

static void read_rule(HfNftRuleset *ruleset, const json_t *json)
{
  g_autofree char *key = key_of(text_of(json, "family"), text_of(json, "table"), text_of(json, "chain"));
  HfNftChain *chain = g_hash_table_lookup(ruleset->by_key, key);
  if (chain == NULL)
    return;
  HfNftRule *rule = g_new0(HfNftRule, 1);
  rule->matches = g_array_new(FALSE, TRUE, sizeof(HfNftMatch));
  g_array_set_clear_func(rule->matches, clear_match);
  rule->place = g_strdup_printf("%s, handle %" JSON_INTEGER_FORMAT, key,
                                json_integer_value(json_object_get(json, "handle")));
  rule->comment = g_strdup(json_string_value(json_object_get(json, "comment")));
  const json_t *statements = json_object_get(json, "expr");
  for (gsize i = 0; i < json_array_size(statements); i++)
    read_statement(rule, json_array_get(statements, i));
  g_ptr_array_add(chain->rules, rule);
}

/* ---- chains and sets ---- */

static void read_chain(HfNftRuleset *ruleset, const json_t *json)
{
  HfNftChain *chain = g_new0(HfNftChain, 1);
  chain->family = g_strdup(text_of(json, "family"));
  chain->table = g_strdup(text_of(json, "table"));
  chain->name = g_strdup(text_of(json, "name"));
  chain->hook = g_strdup(json_string_value(json_object_get(json, "hook")));
  chain->filter = g_str_equal(text_of(json, "type"), "filter");
  chain->drop = g_str_equal(text_of(json, "policy"), "drop");
  chain->rules = g_ptr_array_new_with_free_func(free_rule);
  chain->place = g_strdup_printf("%s %s %s, policy", chain->family, chain->table, chain->name);
  g_ptr_array_add(ruleset->chains, chain);
  g_hash_table_insert(ruleset->by_key, key_of(chain->family, chain->table, chain->name), chain);
}

static void read_set(HfNftRuleset *ruleset, const json_t *json, gboolean map)
{
  HfNftClass classes[HF_NFT_MAX_FIELDS] = { HF_NFT_CLASS_OTHER };
  const json_t *type = json_object_get(json, "type");
  guint n = json_is_array(type) ? (guint)MIN(json_array_size(type), HF_NFT_MAX_FIELDS) : 1;
  char *key = key_of(text_of(json, "family"), text_of(json, "table"), text_of(json, "name"));
  HfNftSet *set = hf_nft_set_new(MAX(n, 1));
  for (guint i = 0; i < set->n_fields; i++)
    classes[i] = hf_nft_type_class(json_string_value(json_is_array(type) ? json_array_get(type, i) : type));
  set->place = g_strdup_printf("%s %s set %s", text_of(json, "family"), text_of(json, "table"), text_of(json, "name"));
  const json_t *members = json_object_get(json, "elem");
  if (members != NULL)
    hf_nft_set_read(set, members, classes, map && g_str_equal(text_of(json, "map"), "verdict"));
  hf_nft_set_finish(set);
  g_hash_table_insert(ruleset->sets, key, set);
}

/* ---- names become pointers ---- */

static void link_action(HfNftRuleset *ruleset, const HfNftChain *chain, HfNftAction *action)
{
  if (action->kind != HF_NFT_TO_JUMP && action->kind != HF_NFT_TO_GOTO)
    return;
  g_autofree char *key = key_of(chain->family, chain->table, action->target != NULL ? action->target : "");
  action->chain = g_hash_table_lookup(ruleset->by_key, key);
}

static void link_match(HfNftRuleset *ruleset, const HfNftChain *chain, HfNftMatch *match)
{
  if (match->own != NULL)
    hf_nft_set_finish(match->own);
  match->set = match->own;
  if (match->name != NULL) {
    g_autofree char *key = key_of(chain->family, chain->table, match->name);
    match->set = g_hash_table_lookup(ruleset->sets, key);
  }
  if (match->set == NULL || match->set->n_fields != match->n_fields)
    match->odd = TRUE;
}

static void link_rule(HfNftRuleset *ruleset, const HfNftChain *chain, HfNftRule *rule)
{
  link_action(ruleset, chain, &rule->action);
  for (guint i = 0; i < rule->matches->len; i++)
    link_match(ruleset, chain, &g_array_index(rule->matches, HfNftMatch, i));
  if (rule->map == NULL)
    return;
  link_match(ruleset, chain, rule->map);
  for (guint i = 0; !rule->map->odd && i < rule->map->set->elements->len; i++)
    link_action(ruleset, chain, &g_array_index(rule->map->set->elements, HfNftElement, i).action);
}

static void read_items(HfNftRuleset *ruleset, const json_t *items)
{
  for (gsize i = 0; i < json_array_size(items); i++) {
    const json_t *item = json_array_get(items, i);
    const json_t *chain = json_object_get(item, "chain"), *set = json_object_get(item, "set");
    const json_t *map = json_object_get(item, "map");
    if (chain != NULL)
      read_chain(ruleset, chain);
    else if (set != NULL || map != NULL)
      read_set(ruleset, set != NULL ? set : map, map != NULL);
  }
  for (gsize i = 0; i < json_array_size(items); i++) {
    const json_t *rule = json_object_get(json_array_get(items, i), "rule");
    if (rule != NULL)
      read_rule(ruleset, rule);
  }
  for (guint i = 0; i < ruleset->chains->len; i++) {
    const HfNftChain *chain = ruleset->chains->pdata[i];
    for (guint j = 0; j < chain->rules->len; j++)
      link_rule(ruleset, chain, chain->rules->pdata[j]);
  }
}

static void free_set(gpointer set)
{
  hf_nft_set_free(set);
}

HfNftRuleset *hf_nft_parse(const char *text, gsize length, GError **error)
{
  json_error_t problem;
  json_t *root = json_loadb(text, length, 0, &problem);
  const json_t *items = json_object_get(root, "nftables");
  if (!json_is_array(items)) {
    if (root == NULL)
      hf_fail(error, HF_ERROR_INVALID,
              "not a ruleset of nftables: line %d: %s; it is what 'nft -j list ruleset' prints", problem.line,
              problem.text);
    else
      hf_fail(error, HF_ERROR_INVALID, "not a ruleset of nftables: it has no member 'nftables'");
    json_decref(root);
    return NULL;
  }
  HfNftRuleset *ruleset = g_new0(HfNftRuleset, 1);
  ruleset->chains = g_ptr_array_new_with_free_func(free_chain);
  ruleset->by_key = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  ruleset->sets = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_set);
  read_items(ruleset, items);
  json_decref(root);
  return ruleset;
}
