/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What each key of a topology means. */
#include <string.h>

#include "base/nearest.h"
#include "ports/topology/read.h"

#define MAX_VALUES 16 /* of a placeholder */

enum {
  IN_FLEET = 1 << HF_SECTION_FLEET,
  IN_SITE = 1 << HF_SECTION_SITE,
  IN_HOST = 1 << HF_SECTION_HOST,
  IN_EXTERNAL = 1 << HF_SECTION_EXTERNAL,
  IN_NODES = IN_HOST | IN_EXTERNAL,
};

typedef gboolean (*Handler)(HfMaker *maker, HfSection *section, const HfLine *line, GError **error);

static gboolean fail(const HfMaker *maker, const HfWord *word, GError **error, const char *format, ...)
  G_GNUC_PRINTF(4, 5);
static gboolean fail(const HfMaker *maker, const HfWord *word, GError **error, const char *format, ...)
{
  va_list arguments;
  va_start(arguments, format);
  g_autofree char *message = g_strdup_vprintf(format, arguments);
  va_end(arguments);
  return hf_maker_fail(maker, word->place, error, "%s", message);
}

/* -------------------------------------------------------------------------------------------- plain values -- */

static gboolean read_title(HfMaker *maker, HfSection *section, const HfLine *line, GError **error)
{
  (void)section;
  (void)error;
  maker->topology.title = line->value.text;
  return TRUE;
}

static gboolean read_site(HfMaker *maker, HfSection *section, const HfLine *line, GError **error)
{
  (void)maker;
  (void)error;
  section->site_word = line->value; /* sites may stand further down */
  return TRUE;
}

static gboolean read_fallback_ports(HfMaker *maker, HfSection *section, const HfLine *line, GError **error)
{
  gboolean yes = strcmp(line->value.text, "yes") == 0;
  if (!yes && strcmp(line->value.text, "no") != 0)
    return fail(maker, &line->value, error, "'fallback-ports' is 'yes' or 'no'");
  section->profile->fallback = yes ? HF_TOPOLOGY_YES : HF_TOPOLOGY_NO;
  return TRUE;
}

static gboolean read_open_ports(HfMaker *maker, HfSection *section, const HfLine *line, GError **error)
{
  guint64 count;
  if (!g_ascii_string_to_unsigned(line->value.text, 10, 1, 100, &count, NULL))
    return fail(maker, &line->value, error,
                "'open-ports' is how many ports are opened from the first one on, 1 to 100");
  section->profile->open_ports = (guint)count;
  return TRUE;
}

/* ---------------------------------------------------------------------------------------------------- lists -- */

static gboolean keep_words(GPtrArray *kept, const HfLine *line)
{
  for (guint i = 0; i < line->items->len; i++)
    g_ptr_array_add(kept, g_memdup2(line->items->pdata[i], sizeof(HfWord)));
  return TRUE;
}

static gboolean read_address(HfMaker *maker, HfSection *section, const HfLine *line, GError **error)
{
  (void)maker;
  (void)error;
  return keep_words(section->address_words, line);
}

static gboolean read_name(HfMaker *maker, HfSection *section, const HfLine *line, GError **error)
{
  (void)maker;
  (void)error;
  return keep_words(section->name_words, line);
}

/* One network or address; says what is wrong with it. */
static gboolean parse_network(HfMaker *maker, const HfWord *word, HfTopologyAddress *address, GError **error)
{
  if (hf_topology_address_parse(word->text, TRUE, address))
    return TRUE;
  if (!hf_address_scan(word->text, TRUE, address))
    return fail(maker, word, error, "'%s' is no address or network; write 192.0.2.0/24 or 2001:db8::/64", word->text);
  hf_address_cut(address, address->prefix);
  g_autofree char *right = hf_topology_address_text(address);
  return fail(maker, word, error, "'%s' has bits outside of its network; write '%s'", word->text, right);
}

static gboolean read_networks(HfMaker *maker, HfSection *section, const HfLine *line, GError **error)
{
  for (guint i = 0; i < line->items->len; i++) {
    const HfWord *word = line->items->pdata[i];
    HfTopologyAddress address;
    if (!parse_network(maker, word, &address, error))
      return FALSE;
    if (++maker->n_networks > HF_TOPOLOGY_MAX_NETWORKS)
      return fail(maker, word, error, "more than %u networks of sites", HF_TOPOLOGY_MAX_NETWORKS);
    g_array_append_val(section->networks, address);
  }
  section->site->networks = hf_maker_keep(maker, section->networks, &section->site->n_networks);
  return TRUE;
}

static gboolean read_roles(HfMaker *maker, HfSection *section, const HfLine *line, GError **error)
{
  guint8 *named = (guint8 *)section->profile->named_roles;
  for (guint i = 0; i < line->items->len; i++) {
    const HfWord *word = line->items->pdata[i];
    const HfPortRole *role = hf_port_role_find(word->text);
    if (role == NULL) {
      g_autofree char *hint = hf_maker_role_hint(word->text);
      return fail(maker, word, error, "unknown role '%s'%s", word->text, hint);
    }
    if (named[role->index])
      return fail(maker, word, error, "role '%s' stands twice", role->id);
    if (section->kind == HF_SECTION_EXTERNAL && role->kind == HF_PORT_KIND_HOLDFAST && !role->external)
      return fail(maker, word, error,
                  "role '%s' is a part of the backup system; write [host ...] in the place of "
                  "[external ...]",
                  role->id);
    named[role->index] = TRUE;
  }
  return TRUE;
}

static gboolean want_one(HfMaker *maker, HfTopologyProfile *profile, const HfWord *word, GError **error)
{
  guint n_rows;
  const HfPortRow *rows = hf_port_rows(&n_rows);
  guint8 *wanted = (guint8 *)profile->wanted;
  gboolean all = strcmp(word->text, "all") == 0, known = FALSE;
  for (guint i = 0; i < n_rows; i++) {
    gboolean exact = strcmp(rows[i].id, word->text) == 0;
    if (exact && rows[i].need != HF_PORT_OPTIONAL)
      return fail(maker, word, error, "row '%s' is not optional; its conditions decide about it", rows[i].id);
    if (exact || all || strcmp(rows[i].table->id, word->text) == 0) {
      wanted[i] = TRUE;
      known = TRUE;
    }
  }
  return known ||
         fail(maker, word, error, "there is no row '%s'; give rows as m1.15, tables as m1, or all", word->text);
}

static gboolean read_want(HfMaker *maker, HfSection *section, const HfLine *line, GError **error)
{
  for (guint i = 0; i < line->items->len; i++)
    if (!want_one(maker, section->profile, line->items->pdata[i], error))
      return FALSE;
  return TRUE;
}

static gboolean read_peers(HfMaker *maker, HfSection *section, const HfLine *line, GError **error)
{
  const HfPortRole *role = hf_port_role_find(line->argument.text);
  if (role == NULL) {
    g_autofree char *hint = hf_maker_role_hint(line->argument.text);
    return fail(maker, &line->argument, error, "unknown role '%s'%s", line->argument.text, hint);
  }
  HfPeersWords *peers = g_new0(HfPeersWords, 1);
  peers->role = role;
  peers->place = line->key.place;
  peers->words = g_ptr_array_new_with_free_func(g_free);
  g_ptr_array_add(section->peers_words, peers);
  return keep_words(peers->words, line);
}

/* ------------------------------------------------------------------------------------ values and named sets -- */

/* A host name, or a wildcard that stands for whole labels. Lower case; NULL when it is none. */
static const char *host_name(HfMaker *maker, const char *text)
{
  g_autofree char *lower = g_ascii_strdown(text, -1);
  const char *at = g_str_has_prefix(lower, "*.") ? lower + 2 : lower;
  gboolean good = *at != '\0' && strlen(at) <= 253;
  for (const char *c = at; *c != '\0' && good; c++) {
    gboolean first = c == at || c[-1] == '.';
    good = g_ascii_isalnum(*c) || *c == '_' || (!first && (*c == '-' || (*c == '.' && c[1] != '\0')));
  }
  return good ? hf_maker_text(maker, lower) : NULL;
}

static gboolean has_placeholder(const char *name)
{
  guint n_rows;
  const HfPortRow *rows = hf_port_rows(&n_rows);
  for (guint i = 0; i < n_rows; i++)
    for (guint e = 0; e < rows[i].n_endpoints; e++)
      if (g_strcmp0(rows[i].endpoints[e].placeholder, name) == 0)
        return TRUE;
  return FALSE;
}

/* The nearest of all placeholders, or of all endpoints. Caller frees. */
static char *endpoint_hint(const char *word, gboolean placeholders)
{
  guint n_rows;
  const HfPortRow *rows = hf_port_rows(&n_rows);
  g_autoptr(HfNearest) nearest = hf_nearest_new(word);
  for (guint i = 0; i < n_rows; i++)
    for (guint e = 0; e < rows[i].n_endpoints; e++) {
      const HfPortEndpoint *endpoint = &rows[i].endpoints[e];
      const char *candidate = placeholders ? endpoint->placeholder : endpoint->host;
      if (candidate != NULL)
        hf_nearest_offer(nearest, candidate);
    }
  const char *found = hf_nearest_result(nearest);
  return found != NULL ? g_strdup_printf("; did you mean '%s'?", found) : g_strdup("");
}

static gboolean read_value(HfMaker *maker, HfSection *section, const HfLine *line, GError **error)
{
  const char *name = line->argument.text;
  g_autofree char *bare = *name == '<' && g_str_has_suffix(name, ">") ? g_strndup(name + 1, strlen(name) - 2) : NULL;
  if (bare != NULL)
    name = bare;
  if (!has_placeholder(name)) {
    g_autofree char *hint = endpoint_hint(name, TRUE);
    return fail(maker, &line->argument, error, "no host name of the catalogue has a placeholder '%s'%s", name, hint);
  }
  if (line->items->len > MAX_VALUES)
    return fail(maker, line->items->pdata[MAX_VALUES], error, "more than %d values", MAX_VALUES);
  HfTopologyValue value = { .placeholder = hf_maker_text(maker, name), .place = line->key.place };
  const char **texts = hf_maker_alloc(maker, sizeof *texts, line->items->len + 1);
  for (guint i = 0; i < line->items->len; i++) {
    const HfWord *word = line->items->pdata[i];
    HfTopologyAddress address;
    if (hf_topology_address_parse(word->text, FALSE, &address))
      texts[i] = word->text;
    else if ((texts[i] = host_name(maker, word->text)) == NULL || *texts[i] == '*')
      return fail(maker, word, error, "'%s' is no part of a host name", word->text);
  }
  value.texts = texts;
  g_array_append_val(section->values, value);
  return TRUE;
}

static gboolean has_endpoint(const char *name)
{
  guint n_rows;
  const HfPortRow *rows = hf_port_rows(&n_rows);
  for (guint i = 0; i < n_rows; i++)
    for (guint e = 0; e < rows[i].n_endpoints; e++)
      if (g_ascii_strcasecmp(rows[i].endpoints[e].host, name) == 0)
        return TRUE;
  return FALSE;
}

static gboolean read_names(HfMaker *maker, HfSection *section, const HfLine *line, GError **error)
{
  g_autofree char *lower = g_ascii_strdown(line->argument.text, -1);
  g_autoptr(GArray) addresses = g_array_new(FALSE, FALSE, sizeof(HfTopologyAddress));
  HfTopologyNames names = { .endpoint = hf_maker_text(maker, lower), .place = line->key.place };
  if (!has_endpoint(lower)) {
    g_autofree char *hint = endpoint_hint(lower, FALSE);
    return fail(maker, &line->argument, error, "no row of the catalogue leads to '%s'%s", lower, hint);
  }
  const char **texts = hf_maker_alloc(maker, sizeof *texts, line->items->len + 1);
  guint n_texts = 0;
  for (guint i = 0; i < line->items->len; i++) {
    const HfWord *word = line->items->pdata[i];
    HfTopologyAddress address;
    if (hf_address_scan(word->text, TRUE, &address)) {
      if (!parse_network(maker, word, &address, error))
        return FALSE;
      g_array_append_val(addresses, address);
    } else if ((texts[n_texts++] = host_name(maker, word->text)) == NULL)
      return fail(maker, word, error, "'%s' is no address, network or host name", word->text);
  }
  names.addresses = hf_maker_keep(maker, addresses, &names.n_addresses);
  names.texts = texts;
  g_array_append_val(section->names, names);
  return TRUE;
}

/* --------------------------------------------------------------------------------------------- conditions -- */

static gboolean read_condition(HfMaker *maker, HfSection *section, const HfPortCondition *condition, const HfLine *line,
                               GError **error)
{
  int value = hf_port_condition_value(condition, line->value.text);
  if (section->kind == HF_SECTION_SITE)
    return fail(maker, &line->key, error, "'%s' is no key of a site; put it into [fleet] or a host", condition->id);
  if (section->kind != HF_SECTION_FLEET && condition->scope == HF_PORT_SCOPE_FLEET)
    return fail(maker, &line->key, error, "'%s' has one answer for the whole fleet; put it into [fleet]",
                condition->id);
  if (line->argument.text != NULL)
    return fail(maker, &line->argument, error, "nothing stands between '%s' and '='", condition->id);
  if (line->items->len > 1)
    return fail(maker, line->items->pdata[1], error, "'%s' has one value", condition->id);
  if (value >= 0) {
    ((gint16 *)section->profile->answers)[condition->index] = (gint16)value;
    return TRUE;
  }
  g_autofree char *answers = g_strjoinv(", ", (char **)condition->values);
  g_autofree char *more = condition->implied_by != NULL && !condition->implied_own
                            ? g_strdup_printf("; to name who it is, write 'peers %s = ...'", condition->implied_by->id)
                            : g_strdup("");
  return fail(maker, &line->value, error, "'%s' is no answer to '%s' (%s); the answers are %s%s", line->value.text,
              condition->id, condition->title, answers, more);
}

/* --------------------------------------------------------------------------------------------------- keys -- */

static const struct {
  const char *key;
  guint sections;       /* where it may stand */
  const char *argument; /* what stands between the key and '=', or NULL */
  gboolean single;      /* has one value, in one line */
  Handler read;
} keys[] = {
  { "title", IN_FLEET, NULL, TRUE, read_title },
  { "networks", IN_SITE, NULL, FALSE, read_networks },
  { "roles", IN_NODES, NULL, FALSE, read_roles },
  { "address", IN_NODES, NULL, FALSE, read_address },
  { "name", IN_NODES, NULL, FALSE, read_name },
  { "site", IN_NODES, NULL, TRUE, read_site },
  { "peers", IN_NODES, "ROLE", FALSE, read_peers },
  { "port", IN_NODES | IN_FLEET, "KEY", FALSE, hf_maker_port },
  { "value", IN_NODES | IN_FLEET, "PLACEHOLDER", FALSE, read_value },
  { "names", IN_NODES | IN_FLEET, "ENDPOINT", FALSE, read_names },
  { "want", IN_NODES | IN_FLEET, NULL, FALSE, read_want },
  { "fallback-ports", IN_NODES | IN_FLEET, NULL, TRUE, read_fallback_ports },
  { "open-ports", IN_NODES | IN_FLEET, NULL, TRUE, read_open_ports },
};

/* Words that people write, and the keys that they mean. */
static const struct {
  const char *word, *key;
} habits[] = {
  { "ip", "address" },    { "ips", "address" },     { "addresses", "address" }, { "ipv4", "address" },
  { "ipv6", "address" },  { "role", "roles" },      { "hostname", "name" },     { "fqdn", "name" },
  { "dns", "name" },      { "subnet", "networks" }, { "cidr", "networks" },     { "network", "networks" },
  { "location", "site" }, { "service", "port" },    { "placeholder", "value" }, { "description", "title" },
  { "optional", "want" }, { "uses", "peers" },      { "connects", "peers" },    { "endpoint", "names" },
};

static gboolean fail_unknown(HfMaker *maker, const HfSection *section, const HfLine *line, GError **error)
{
  guint n;
  const HfPortCondition *conditions = hf_port_conditions(&n);
  for (guint i = 0; i < G_N_ELEMENTS(habits); i++)
    if (g_ascii_strcasecmp(habits[i].word, line->key.text) == 0)
      return fail(maker, &line->key, error, "unknown key '%s'; did you mean '%s'?", line->key.text, habits[i].key);
  g_autofree char *lower = g_ascii_strdown(line->key.text, -1);
  g_autoptr(HfNearest) nearest = hf_nearest_new(lower);
  for (guint i = 0; i < G_N_ELEMENTS(keys); i++)
    if (keys[i].sections & (1u << section->kind))
      hf_nearest_offer(nearest, keys[i].key);
  for (guint i = 0; i < n && section->kind != HF_SECTION_SITE; i++)
    hf_nearest_offer(nearest, conditions[i].id);
  const char *found = hf_nearest_result(nearest);
  if (found != NULL)
    return fail(maker, &line->key, error, "unknown key '%s'; did you mean '%s'?", line->key.text, found);
  if (hf_port_role_find(line->key.text) != NULL)
    return fail(maker, &line->key, error, "'%s' is a role; write 'roles = %s'", line->key.text, line->key.text);
  return fail(maker, &line->key, error, "unknown key '%s'; docs/topology.md lists the keys", line->key.text);
}

/* Counts the key as seen; FALSE with an error when it may stand once only. */
static gboolean check_first(HfMaker *maker, HfSection *section, const HfLine *line, gboolean single, GError **error)
{
  g_autofree char *whole = g_strjoin(" ", line->key.text, line->argument.text, NULL);
  guint before = GPOINTER_TO_UINT(g_hash_table_lookup(section->seen, whole));
  if (single && before != 0)
    return fail(maker, &line->key, error, "'%s' stands in line %u of this section already", whole, before);
  if (before == 0)
    g_hash_table_insert(section->seen, g_steal_pointer(&whole), GUINT_TO_POINTER(line->key.place.line));
  return TRUE;
}

gboolean hf_maker_key(HfMaker *maker, HfSection *section, const HfLine *line, GError **error)
{
  guint k = 0;
  while (k < G_N_ELEMENTS(keys) && strcmp(keys[k].key, line->key.text) != 0)
    k++;
  const HfPortCondition *condition = k < G_N_ELEMENTS(keys) ? NULL : hf_port_condition_find(line->key.text);
  if (condition != NULL)
    return check_first(maker, section, line, TRUE, error) && read_condition(maker, section, condition, line, error);
  if (k == G_N_ELEMENTS(keys))
    return fail_unknown(maker, section, line, error);
  if (!(keys[k].sections & (1u << section->kind)))
    return fail(maker, &line->key, error, "'%s' cannot stand here; it is for %s", keys[k].key,
                keys[k].sections == IN_SITE    ? "[site NAME]; addresses of machines are 'address'"
                : keys[k].sections == IN_FLEET ? "[fleet]"
                                               : "[host NAME] and [external NAME]");
  if (keys[k].argument == NULL && line->argument.text != NULL)
    return fail(maker, &line->argument, error, "nothing stands between '%s' and '='", keys[k].key);
  if (keys[k].argument != NULL && line->argument.text == NULL)
    return fail(maker, &line->key, error, "write '%s %s = ...'", keys[k].key, keys[k].argument);
  /* Ports, values, sets and peers are given whole, in one line for each key and argument. */
  gboolean single = keys[k].single || keys[k].argument != NULL;
  if (keys[k].single && line->items->len > 1 && keys[k].read != read_title)
    return fail(maker, line->items->pdata[1], error, "'%s' has one value", keys[k].key);
  return check_first(maker, section, line, single, error) && keys[k].read(maker, section, line, error);
}
