/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What each row asks for between each two groups. */
#include <stdlib.h>
#include <string.h>

#include "ports/plan/make.h"
#include "ports/topology/read.h"

/* A row between two groups. */
typedef struct Pair {
  HfPlanMaker *maker;
  const HfPortRow *row;
  const HfPlanGroup *from, *to;
  const HfGroupFacts *a, *b; /* of from and to */
} Pair;

/* Where a row leads to at the listening end. */
typedef struct Target {
  const HfPlanName *name; /* NULL: the addresses of the nodes */
  guint endpoint;         /* number of its text, for those */
} Target;

/* ----------------------------------------------------------------------------------------------- unresolved -- */

typedef struct HfOpen {
  HfPlanUnresolved out;
  GArray *from;    /* numbers of groups */
  GPtrArray *rows; /* HfPortRow * */
} HfOpen;

/* Takes `reason` and `key` over. */
static void leave_open(const Pair *pair, HfPlanCause cause, const HfPlanGroup *to, const char *what, char *reason,
                       char *key)
{
  HfPlanMaker *maker = pair->maker;
  g_autofree char *id = g_strdup_printf("%d %u %s", (int)cause, to->index, what);
  HfOpen *open = g_hash_table_lookup(maker->open, id);
  gboolean of_node = cause == HF_PLAN_NO_ADDRESS && pair->row == NULL;
  if (open == NULL) {
    open = g_new0(HfOpen, 1);
    open->from = g_array_new(FALSE, FALSE, sizeof(guint));
    open->rows = g_ptr_array_new();
    open->out = (HfPlanUnresolved){ .cause = cause,
                                    .to = to,
                                    .what = hf_plan_text(maker, what),
                                    .reason = hf_plan_text(maker, reason),
                                    .key = hf_plan_text(maker, key) };
    g_hash_table_insert(maker->open, g_steal_pointer(&id), open);
    g_ptr_array_add(maker->open_order, open);
  }
  g_free(reason);
  g_free(key);
  if (of_node)
    return;
  g_array_append_val(open->from, pair->from->index);
  if (open->rows->len == 0 || open->rows->pdata[open->rows->len - 1] != pair->row)
    g_ptr_array_add(open->rows, (gpointer)pair->row);
}

/* "[host node[1-500]]": where to write. Caller frees. */
static char *section_of(const HfPlanGroup *group)
{
  gboolean one = strstr(group->title, ", ") == NULL;
  return g_strdup_printf("[%s %s]", group->nodes[0]->profile->external ? "external" : "host",
                         one ? group->title : group->nodes[0]->name);
}

static void leave_port_open(const Pair *pair, const HfPortItem *item)
{
  g_autofree char *section = section_of(pair->to);
  const char *transport = pair->row->transports == 0 ? "/tcp" : "";
  leave_open(pair, HF_PLAN_NO_PORT, pair->to, item->name,
             g_strdup_printf("nobody says which port '%s' of '%s' is", item->name, pair->to->title),
             g_strdup_printf("port %s = NUMBER%s in %s", item->name, transport, section));
}

static void leave_node_open(const Pair *pair, const HfPlanGroup *group, guint families)
{
  if (families != 0)
    return;
  g_autofree char *section = section_of(group);
  Pair nobody = *pair;
  nobody.row = NULL;
  leave_open(&nobody, HF_PLAN_NO_ADDRESS, group, group->title,
             g_strdup_printf("'%s' has neither an address nor a host name", group->title),
             g_strdup_printf("address = ADDRESS in %s", section));
}

static void leave_family_open(const Pair *pair)
{
  guint a = pair->a->families & (HF_HAS_IPV4 | HF_HAS_IPV6), b = pair->b->families & (HF_HAS_IPV4 | HF_HAS_IPV6);
  if (a == 0 || b == 0 || (a & b) != 0)
    return;
  const char *family = a == HF_HAS_IPV4 ? "IPv4" : "IPv6";
  g_autofree char *section = section_of(pair->to);
  g_autofree char *what = g_strdup_printf("%s towards %s", family, pair->from->title);
  leave_open(pair, HF_PLAN_NO_FAMILY, pair->to, what,
             g_strdup_printf("'%s' and '%s' have no addresses of one family", pair->from->title, pair->to->title),
             g_strdup_printf("address = an %s address in %s", family, section));
}

static void close_open(gpointer data)
{
  HfOpen *open = data;
  g_array_unref(open->from);
  g_ptr_array_unref(open->rows);
  g_free(open);
}

static void finish_open(HfPlanMaker *maker)
{
  for (guint i = 0; i < maker->open_order->len; i++) {
    HfOpen *open = maker->open_order->pdata[i];
    HfPlanUnresolved *out = hf_plan_alloc(maker, sizeof *out, 1);
    const HfPortRow **rows = hf_plan_alloc(maker, sizeof *rows, open->rows->len);
    *out = open->out;
    if (open->from->len > 0)
      out->from = hf_plan_peers(maker, open->from, NULL);
    for (guint r = 0; r < open->rows->len; r++)
      rows[r] = open->rows->pdata[r];
    out->rows = rows;
    out->n_rows = open->rows->len;
    g_ptr_array_add(maker->unresolved, out);
  }
}

/* ----------------------------------------------------------------------------------------------- conditions -- */

static const guint8 *server_answers(const Pair *pair)
{
  const HfPlanMaker *maker = pair->maker;
  const HfTopologyNode *server = maker->server;
  const HfPortRole *role = maker->server_role;
  if (pair->a->profile->roles[role->index])
    return pair->a->answers;
  if (pair->b->profile->roles[role->index])
    return pair->b->answers;
  return server != NULL ? maker->facts[maker->group_of[server->index]].answers : maker->fleet_answers;
}

static int answer(const HfPortCondition *condition, HfPortSubject subject, gpointer user)
{
  const Pair *pair = user;
  switch (subject) {
  case HF_PORT_SUBJECT_FROM:
    return pair->a->answers[condition->index];
  case HF_PORT_SUBJECT_TO:
    return pair->b->answers[condition->index];
  case HF_PORT_SUBJECT_SERVER:
    return server_answers(pair)[condition->index];
  case HF_PORT_SUBJECT_FLEET:
  default:
    return pair->maker->fleet_answers[condition->index];
  }
}

static gboolean holds(const Pair *pair, const HfPortWhen *when)
{
  return hf_port_when_holds(when, answer, (gpointer)pair);
}

/* Whether "peers" of `facts` let it have to do with `other`, which takes part by `role`. */
static gboolean admits(const HfGroupFacts *facts, const HfGroupFacts *other, const HfPortRole *role)
{
  for (guint p = 0; p < facts->profile->n_peers; p++) {
    if (!hf_port_role_is(role, facts->profile->peers[p].role))
      continue;
    gboolean listed = FALSE;
    for (guint i = 0; i < other->n_lists && !listed; i++)
      listed = other->lists[i] == facts->own_lists[p];
    if (!listed)
      return FALSE;
  }
  return TRUE;
}

static gboolean sites_fit(const Pair *pair)
{
  const HfTopologySite *a = pair->a->node->site, *b = pair->b->node->site;
  switch (pair->row->pair) {
  case HF_PORT_PAIR_SAME_SITE:
    return a == b || a == NULL || b == NULL;
  case HF_PORT_PAIR_OTHER_SITE:
    return a != b && a != NULL && b != NULL;
  case HF_PORT_PAIR_ANY:
  default:
    return TRUE;
  }
}

static gboolean takes_part(const Pair *pair, const HfPortRoleUse *from, const HfPortRoleUse *to)
{
  gboolean itself = pair->from == pair->to && pair->from->n_nodes == 1;
  return !itself && sites_fit(pair) && admits(pair->a, pair->b, to->role) && admits(pair->b, pair->a, from->role) &&
         holds(pair, &pair->row->when) && holds(pair, &from->when) && holds(pair, &to->when);
}

/* -------------------------------------------------------------------------------------------------- targets -- */

static const HfTopologyValue *find_value(const HfTopologyProfile *profile, const char *placeholder)
{
  for (guint i = 0; i < profile->n_values; i++)
    if (strcmp(profile->values[i].placeholder, placeholder) == 0)
      return &profile->values[i];
  return NULL;
}

static const HfTopologyNames *find_names(const HfTopologyProfile *profile, const char *endpoint)
{
  for (guint i = 0; i < profile->n_names; i++)
    if (g_ascii_strcasecmp(profile->names[i].endpoint, endpoint) == 0)
      return &profile->names[i];
  return NULL;
}

static guint number_endpoint(HfPlanMaker *maker, const char *text)
{
  guint number = GPOINTER_TO_UINT(g_hash_table_lookup(maker->endpoint_numbers, text));
  if (number != 0)
    return number;
  const char *kept = hf_plan_text(maker, text);
  number = maker->endpoints->len;
  g_ptr_array_add(maker->endpoints, (gpointer)kept);
  g_hash_table_insert(maker->endpoint_numbers, (gpointer)kept, GUINT_TO_POINTER(number));
  return number;
}

/* The set that `text` is at the listening group of `pair`. */
static const HfPlanName *name_at(const Pair *pair, const char *text, const HfTopologyNames *fill)
{
  HfPlanMaker *maker = pair->maker;
  g_autofree char *id = g_strdup_printf("%u %s", pair->to->index, text);
  HfPlanName *name = g_hash_table_lookup(maker->names_by_key, id);
  if (name != NULL)
    return name;
  HfTopologyAddress *address = hf_plan_alloc(maker, sizeof *address, 1);
  const char **texts = hf_plan_alloc(maker, sizeof *texts, 2);
  name = hf_plan_alloc(maker, sizeof *name, 1);
  *name = (HfPlanName){ .index = maker->names->len, .text = hf_plan_text(maker, text), .addresses = address };
  if (fill != NULL) {
    name->addresses = fill->addresses;
    name->n_addresses = fill->n_addresses;
  } else if (hf_topology_address_parse(text, FALSE, address)) {
    name->n_addresses = 1;
  } else if (*text != '*') {
    texts[0] = name->text;
  }
  name->texts = fill != NULL ? fill->texts : texts;
  g_ptr_array_add(maker->names, name);
  g_hash_table_insert(maker->names_by_key, g_steal_pointer(&id), name);
  return name;
}

static void add_target(const Pair *pair, const HfPortEndpoint *endpoint, const char *text, GArray *targets)
{
  const HfTopologyNames *fill = find_names(pair->b->profile, endpoint->host);
  if (fill == NULL)
    fill = find_names(pair->maker->plan.topology->fleet, endpoint->host);
  Target target = { 0 };
  if (fill == NULL && pair->b->families != 0)
    target.endpoint = number_endpoint(pair->maker, text);
  else
    target.name = name_at(pair, text, fill);
  g_array_append_val(targets, target);
  if (target.name == NULL || target.name->n_addresses > 0 || target.name->texts[0] != NULL)
    return;
  g_autofree char *section = section_of(pair->to);
  leave_open(pair, HF_PLAN_NO_ADDRESS, pair->to, text,
             g_strdup_printf("nobody says what '%s' stands for at '%s'", text, pair->to->title),
             g_strdup_printf("names %s = ADDRESS, NETWORK or HOST NAME in %s", endpoint->host, section));
}

/* All that the endpoint stands for: one text, or one for each value of its placeholder. */
static void add_endpoint(const Pair *pair, const HfPortEndpoint *endpoint, GArray *targets)
{
  if (endpoint->placeholder == NULL) {
    add_target(pair, endpoint, endpoint->host, targets);
    return;
  }
  const HfTopologyValue *value = find_value(pair->b->profile, endpoint->placeholder);
  if (value == NULL)
    value = find_value(pair->maker->plan.topology->fleet, endpoint->placeholder);
  if (value == NULL) {
    g_autofree char *section = section_of(pair->to);
    leave_open(pair, HF_PLAN_NO_VALUE, pair->to, endpoint->placeholder,
               g_strdup_printf("nobody says what <%s> is at '%s'", endpoint->placeholder, pair->to->title),
               g_strdup_printf("value %s = TEXT in %s", endpoint->placeholder, section));
    return;
  }
  g_autofree char *mark = g_strdup_printf("<%s>", endpoint->placeholder);
  for (guint i = 0; value->texts[i] != NULL; i++) {
    g_auto(GStrv) parts = g_strsplit(endpoint->host, mark, -1);
    g_autofree char *text = g_strjoinv(value->texts[i], parts);
    add_target(pair, endpoint, text, targets);
  }
}

static void find_targets(const Pair *pair, GArray *targets)
{
  g_array_set_size(targets, 0);
  for (guint i = 0; i < pair->row->n_endpoints; i++)
    if (holds(pair, &pair->row->endpoints[i].when))
      add_endpoint(pair, &pair->row->endpoints[i], targets);
  if (pair->row->n_endpoints > 0)
    return;
  Target itself = { 0 };
  g_array_append_val(targets, itself);
  leave_node_open(pair, pair->to, pair->b->families);
}

/* ---------------------------------------------------------------------------------------------------- ports -- */

typedef struct Asker {
  const Pair *pair;
  const GArray *targets;
} Asker;

static void claim(const Asker *asker, const HfPortItem *item, const HfTopologyPort *port, gboolean fallback,
                  gboolean set)
{
  const Pair *pair = asker->pair;
  HfPlanMaker *maker = pair->maker;
  guint number = maker->item_offset[pair->row->index] + (guint)(item - pair->row->items);
  gboolean optional = pair->row->need == HF_PORT_OPTIONAL;
  HfClaim wanted = { .first = port->first,
                     .last = port->last,
                     .row = number * 8 + (fallback ? 1 : 0) + (optional ? 2 : 0) + (set ? 4 : 0) };
  for (guint t = 0; t < asker->targets->len; t++) {
    const Target *target = &g_array_index(asker->targets, Target, t);
    guint64 key = (guint64)pair->from->index << 44 | (guint64)pair->to->index << 24 |
                  (target->name != NULL ? target->name->index + 1 : 0);
    GArray *cell = g_hash_table_lookup(maker->cells, &key);
    if (cell == NULL) {
      cell = g_array_new(FALSE, FALSE, sizeof(HfClaim));
      g_hash_table_insert(maker->cells, g_memdup2(&key, sizeof key), cell);
    }
    wanted.endpoints = target->endpoint;
    for (guint transport = HF_PORT_TCP; transport <= HF_PORT_UDP; transport <<= 1)
      if (port->transports & transport) {
        wanted.transport = (guint8)transport;
        g_array_append_val(cell, wanted);
      }
  }
}

/* What the topology says about one port of the row; NULL: nothing. `choice`: only what stands for the group of ports as
 * a whole, which is a setting of this row or of a name in it. */
static const HfTopologySetting *find_setting(const Pair *pair, const HfPortItem *item, gboolean choice)
{
  const HfTopologyProfile *profiles[] = { pair->b->profile, pair->maker->plan.topology->fleet };
  const HfTopologySetting *found = NULL;
  for (guint p = 0; p < G_N_ELEMENTS(profiles); p++)
    for (guint i = 0; i < profiles[p]->n_settings; i++) {
      const HfTopologySetting *setting = &profiles[p]->settings[i];
      if (setting->row == pair->row && &pair->row->items[setting->item] == item)
        return setting; /* the row itself comes first */
      gboolean named = setting->name != NULL && g_strcmp0(setting->name, item->name) == 0;
      gboolean served = setting->service != NULL && setting->service == item->service;
      gboolean numbered =
        setting->number != 0 && item->service == NULL && item->kind == HF_PORT_NUMBER && item->first == setting->number;
      if (found == NULL && (named || (!choice && (served || numbered))))
        found = setting;
    }
  return found;
}

static guint open_ports(const Pair *pair)
{
  guint count = pair->b->profile->open_ports;
  if (count == 0)
    count = pair->maker->plan.topology->fleet->open_ports;
  return count > 0 ? count : HF_TOPOLOGY_OPEN_PORTS;
}

static void ask_number(const Asker *asker, const HfPortItem *item, HfTopologyPort port, gboolean fallback, gboolean set)
{
  const Pair *pair = asker->pair;
  guint transports = pair->row->transports;
  if (port.transports == 0)
    port.transports = transports;
  else if (transports != 0)
    port.transports &= transports;
  if (port.transports != 0) {
    claim(asker, item, &port, fallback, set);
    return;
  }
  g_autofree char *section = section_of(pair->to);
  g_autofree char *what = hf_plan_ports_text(port.first, port.last);
  leave_open(pair, HF_PLAN_NO_TRANSPORT, pair->to, what,
             g_strdup_printf("nobody says whether port %s of '%s' is for TCP or UDP", what, pair->to->title),
             g_strdup_printf("port %s = %s/tcp in %s", pair->row->id, what, section));
}

static void ask_item(const Asker *asker, const HfPortItem *item, gboolean fallback)
{
  const HfTopologySetting *setting = find_setting(asker->pair, item, FALSE);
  for (guint i = 0; setting != NULL && i < setting->n_ports; i++)
    ask_number(asker, item, setting->ports[i], fallback, TRUE);
  if (setting != NULL)
    return;
  HfTopologyPort port = { .first = item->first, .last = item->last };
  switch (item->kind) {
  case HF_PORT_OPEN:
    port.last = (guint16)MIN(65535, item->first + open_ports(asker->pair) - 1);
    break;
  case HF_PORT_SYMBOL:
  case HF_PORT_UNKNOWN:
    leave_port_open(asker->pair, item);
    return;
  case HF_PORT_NUMBER:
  case HF_PORT_RANGE:
  default:
    break;
  }
  ask_number(asker, item, port, fallback, FALSE);
}

/* The one of the items that counts: what the topology says, else the first with a number, else the first. NULL when
 * the conditions of none hold. */
static const HfPortItem *choose(const Pair *pair, const HfPortItem *items, guint n)
{
  for (guint i = 0; i < n; i++)
    if (find_setting(pair, &items[i], TRUE) != NULL)
      return &items[i];
  const HfPortItem *unknown = NULL;
  for (guint i = 0; i < n; i++) {
    if (!holds(pair, &items[i].when))
      continue;
    if (items[i].name == NULL)
      return &items[i];
    if (unknown == NULL)
      unknown = &items[i];
  }
  return unknown;
}

static gboolean fallback_is_open(const Pair *pair)
{
  HfTopologyChoice choice = pair->b->profile->fallback;
  if (choice == HF_TOPOLOGY_UNSAID)
    choice = pair->maker->plan.topology->fleet->fallback;
  return choice != HF_TOPOLOGY_NO;
}

/* One group of ports of the row. */
static void ask_group(const Asker *asker, const HfPortItem *items, guint n)
{
  const Pair *pair = asker->pair;
  if (items[0].mode == HF_PORT_ANY) {
    const HfPortItem *item = choose(pair, items, n);
    if (item != NULL)
      ask_item(asker, item, FALSE);
    return;
  }
  for (guint i = 0, asked = 0; i < n; i++) {
    gboolean fallback = asked > 0 && items[0].mode == HF_PORT_FALLBACK;
    if (!holds(pair, &items[i].when) || (fallback && !fallback_is_open(pair)))
      continue;
    ask_item(asker, &items[i], fallback);
    asked++;
  }
}

static void ask_pair(const Pair *pair, GArray *targets)
{
  const HfPortRow *row = pair->row;
  Asker asker = { pair, targets };
  find_targets(pair, targets);
  leave_node_open(pair, pair->from, pair->a->families);
  if (row->n_endpoints == 0)
    leave_family_open(pair);
  for (guint i = 0, n; i < row->n_items; i += n) {
    for (n = 1; i + n < row->n_items && row->items[i + n].group == row->items[i].group; n++)
      ;
    ask_group(&asker, &row->items[i], n);
  }
}

/* ----------------------------------------------------------------------------------------------------- rows -- */

static int compare_pairs(gconstpointer a, gconstpointer b)
{
  guint64 x = *(const guint64 *)a, y = *(const guint64 *)b;
  return (x > y) - (x < y);
}

static void set_pair(Pair *pair, const HfPlanGroup *from, const HfPlanGroup *to)
{
  pair->from = from;
  pair->to = to;
  pair->a = &pair->maker->facts[from->index];
  pair->b = &pair->maker->facts[to->index];
}

static void add_pair(Pair *pair, const HfPlanGroup *from, const HfPlanGroup *to, const HfPortRoleUse *use_from,
                     const HfPortRoleUse *use_to, GArray *pairs)
{
  guint64 number = (guint64)from->index << 32 | to->index;
  set_pair(pair, from, to);
  if (takes_part(pair, use_from, use_to))
    g_array_append_val(pairs, number);
}

/* Adds the pairs of groups that take part by these two roles (of one group only, where one only is planned):
 * from << 32 | to. */
static void add_pairs(Pair *pair, const HfPortRoleUse *from, const HfPortRoleUse *to, GArray *pairs)
{
  HfPlanMaker *maker = pair->maker;
  const GPtrArray *froms = maker->by_role[from->role->index], *tos = maker->by_role[to->role->index];
  gboolean listens = maker->only != NULL && maker->facts[maker->only->index].profile->roles[to->role->index];
  for (guint i = 0; i < froms->len; i++) {
    gboolean whole = maker->only == NULL || froms->pdata[i] == maker->only;
    for (guint j = 0; whole && j < tos->len; j++)
      add_pair(pair, froms->pdata[i], tos->pdata[j], from, to, pairs);
    if (!whole && listens)
      add_pair(pair, froms->pdata[i], maker->only, from, to, pairs);
  }
}

static gboolean is_wanted(const Pair *pair)
{
  guint row = pair->row->index;
  return pair->row->need != HF_PORT_OPTIONAL || pair->maker->plan.topology->fleet->wanted[row] ||
         pair->a->profile->wanted[row] || pair->b->profile->wanted[row];
}

static void add_optional(const Pair *pair, GArray *froms, GArray *tos)
{
  HfPlanMaker *maker = pair->maker;
  if (froms->len == 0)
    return;
  HfPlanOptional *optional = hf_plan_alloc(maker, sizeof *optional, 1);
  *optional = (HfPlanOptional){ pair->row, hf_plan_peers(maker, froms, NULL), hf_plan_peers(maker, tos, NULL) };
  g_ptr_array_add(maker->optional, optional);
}

static void ask_row(HfPlanMaker *maker, const HfPortRow *row, GArray *pairs, GArray *targets)
{
  Pair pair = { .maker = maker, .row = row };
  g_autoptr(GArray) froms = g_array_new(FALSE, FALSE, sizeof(guint));
  g_autoptr(GArray) tos = g_array_new(FALSE, FALSE, sizeof(guint));
  g_array_set_size(pairs, 0);
  for (guint f = 0; f < row->n_from; f++)
    for (guint t = 0; t < row->n_to; t++)
      add_pairs(&pair, &row->from[f], &row->to[t], pairs);
  g_array_sort(pairs, compare_pairs);
  for (guint i = 0; i < pairs->len; i++) {
    guint64 number = g_array_index(pairs, guint64, i);
    if (i > 0 && number == g_array_index(pairs, guint64, i - 1))
      continue;
    set_pair(&pair, maker->groups->pdata[number >> 32], maker->groups->pdata[number & 0xffffffff]);
    if (is_wanted(&pair)) {
      ask_pair(&pair, targets);
    } else {
      g_array_append_val(froms, pair.from->index);
      g_array_append_val(tos, pair.to->index);
    }
  }
  add_optional(&pair, froms, tos);
}

void hf_plan_make_claims(HfPlanMaker *maker)
{
  guint n_rows;
  const HfPortRow *rows = hf_port_rows(&n_rows);
  g_autoptr(GArray) pairs = g_array_new(FALSE, FALSE, sizeof(guint64));
  g_autoptr(GArray) targets = g_array_new(FALSE, FALSE, sizeof(Target));
  maker->open = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  maker->open_order = g_ptr_array_new_with_free_func(close_open);
  for (guint i = 0; i < n_rows; i++)
    ask_row(maker, &rows[i], pairs, targets);
  finish_open(maker);
  g_hash_table_unref(maker->open);
  g_ptr_array_unref(maker->open_order);
}
