/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Plans against an evaluator that knows no groups: it takes two nodes and asks every row, from the contract of the
 * catalogue and docs/topology.md alone. For random fleets, one of them with 1,000 hosts, both must agree on every pair
 * of nodes, port and row, and on what is unresolved.
 */
#include "fleet.h"

#define MAX_ROWS 512
#define WORDS (MAX_ROWS / 64)

/* What a row wants between two nodes. `set` is the text of a named set; NULL: the nodes' own addresses. */
typedef struct Want {
  guint row, transport, first, last;
  char *set;
} Want;

/* A pair while it is evaluated. */
typedef struct Pair {
  const HfTopology *topology;
  const HfTopologyNode *from, *to;
  GArray *wants;          /* Want */
  GHashTable *unresolved; /* "cause node what" of the whole fleet */
} Pair;

static void want_clear(gpointer data)
{
  g_free(((Want *)data)->set);
}

/* ----------------------------------------------------------------------------------------- the simple evaluator -- */

static int answer(const HfPortCondition *condition, HfPortSubject subject, gpointer user)
{
  const Pair *pair = user;
  const HfTopologyNode *whose = subject == HF_PORT_SUBJECT_FROM ? pair->from
                                : subject == HF_PORT_SUBJECT_TO ? pair->to
                                : subject == HF_PORT_SUBJECT_SERVER
                                  ? hf_topology_server(pair->topology, pair->from, pair->to)
                                  : NULL;
  return (int)hf_topology_answer(pair->topology, whose, condition);
}

static gboolean holds(Pair *pair, const HfPortWhen *when)
{
  return hf_port_when_holds(when, answer, pair);
}

static gboolean lists(const HfTopologyNode *node, const HfTopologyNode *other, const HfPortRole *role)
{
  for (guint i = 0; i < node->profile->n_peers; i++) {
    const HfTopologyPeers *peers = &node->profile->peers[i];
    gboolean listed = !hf_port_role_is(role, peers->role);
    for (guint n = 0; n < peers->n_nodes; n++)
      listed = listed || peers->nodes[n] == other;
    if (!listed)
      return FALSE;
  }
  return TRUE;
}

static gboolean fits(Pair *pair, const HfPortRow *row)
{
  gboolean sites = pair->from->site != NULL && pair->to->site != NULL;
  gboolean same = !sites || pair->from->site == pair->to->site, other = sites && pair->from->site != pair->to->site;
  if (!holds(pair, &row->when) || (row->pair == HF_PORT_PAIR_SAME_SITE && !same) ||
      (row->pair == HF_PORT_PAIR_OTHER_SITE && !other))
    return FALSE;
  for (guint f = 0; f < row->n_from; f++)
    for (guint t = 0; t < row->n_to; t++)
      if (hf_topology_has_role(pair->from, row->from[f].role) && hf_topology_has_role(pair->to, row->to[t].role) &&
          holds(pair, &row->from[f].when) && holds(pair, &row->to[t].when) &&
          lists(pair->from, pair->to, row->to[t].role) && lists(pair->to, pair->from, row->from[f].role))
        return TRUE;
  return FALSE;
}

static void leave(Pair *pair, HfPlanCause cause, const HfTopologyNode *node, const char *what)
{
  g_hash_table_add(pair->unresolved, g_strdup_printf("%d %s %s", (int)cause, node->name, what));
}

static const HfTopologyValue *value_of(const HfTopologyProfile *profile, const char *name)
{
  for (guint i = 0; i < profile->n_values; i++)
    if (strcmp(profile->values[i].placeholder, name) == 0)
      return &profile->values[i];
  return NULL;
}

static gboolean is_filled(const HfTopologyProfile *profile, const char *endpoint)
{
  for (guint i = 0; i < profile->n_names; i++)
    if (g_ascii_strcasecmp(profile->names[i].endpoint, endpoint) == 0)
      return TRUE;
  return FALSE;
}

static void add_set(Pair *pair, const HfPortEndpoint *endpoint, const char *text, GPtrArray *sets)
{
  gboolean filled = is_filled(pair->to->profile, endpoint->host) || is_filled(pair->topology->fleet, endpoint->host);
  gboolean own = !filled && (pair->to->n_addresses > 0 || pair->to->dns[0] != NULL);
  if (!filled && !own && *text == '*')
    leave(pair, HF_PLAN_NO_ADDRESS, pair->to, text);
  g_ptr_array_add(sets, own ? NULL : g_strdup(text));
}

/* NULL in the list: the addresses of the node. */
static GPtrArray *sets_of(Pair *pair, const HfPortRow *row)
{
  GPtrArray *sets = g_ptr_array_new_with_free_func(g_free);
  if (row->n_endpoints == 0)
    g_ptr_array_add(sets, NULL);
  for (guint i = 0; i < row->n_endpoints; i++) {
    const HfPortEndpoint *endpoint = &row->endpoints[i];
    if (!holds(pair, &endpoint->when))
      continue;
    if (endpoint->placeholder == NULL) {
      add_set(pair, endpoint, endpoint->host, sets);
      continue;
    }
    const HfTopologyValue *value = value_of(pair->to->profile, endpoint->placeholder);
    value = value != NULL ? value : value_of(pair->topology->fleet, endpoint->placeholder);
    if (value == NULL)
      leave(pair, HF_PLAN_NO_VALUE, pair->to, endpoint->placeholder);
    for (guint v = 0; value != NULL && value->texts[v] != NULL; v++) {
      g_autoptr(GString) text = g_string_new(endpoint->host);
      g_autofree char *mark = g_strdup_printf("<%s>", endpoint->placeholder);
      g_string_replace(text, mark, value->texts[v], 0);
      add_set(pair, endpoint, text->str, sets);
    }
  }
  return sets;
}

static void want(Pair *pair, const HfPortRow *row, const GPtrArray *sets, guint transports, guint first, guint last)
{
  for (guint s = 0; s < sets->len; s++)
    for (guint transport = 1; transport <= 2; transport++)
      if (transports & transport) {
        Want new = { row->index, transport, first, last, g_strdup(sets->pdata[s]) };
        g_array_append_val(pair->wants, new);
      }
}

/* Only service and name settings are made by the fleets of this test. */
static const HfTopologySetting *setting_of(const Pair *pair, const HfPortItem *item)
{
  for (guint i = 0; i < pair->to->profile->n_settings; i++) {
    const HfTopologySetting *setting = &pair->to->profile->settings[i];
    if ((setting->name != NULL && g_strcmp0(setting->name, item->name) == 0) ||
        (setting->service != NULL && setting->service == item->service))
      return setting;
  }
  return NULL;
}

static void want_item(Pair *pair, const HfPortRow *row, const GPtrArray *sets, const HfPortItem *item)
{
  const HfTopologySetting *setting = setting_of(pair, item);
  guint open = pair->to->profile->open_ports;
  if (setting != NULL)
    for (guint i = 0; i < setting->n_ports; i++)
      want(pair, row, sets, setting->ports[i].transports != 0 ? setting->ports[i].transports : row->transports,
           setting->ports[i].first, setting->ports[i].last);
  else if (item->name != NULL)
    leave(pair, HF_PLAN_NO_PORT, pair->to, item->name);
  else
    want(pair, row, sets, row->transports, item->first,
         item->kind == HF_PORT_OPEN ? item->first + (open != 0 ? open : 10) - 1 : item->last);
}

static void want_any(Pair *pair, const HfPortRow *row, const GPtrArray *sets, guint group)
{
  const HfPortItem *chosen = NULL;
  for (guint i = 0; i < row->n_items && chosen == NULL; i++)
    if (row->items[i].group == group && row->items[i].name != NULL && setting_of(pair, &row->items[i]) != NULL)
      chosen = &row->items[i];
  for (guint unknown = 0; unknown < 2; unknown++)
    for (guint i = 0; i < row->n_items && chosen == NULL; i++)
      if (row->items[i].group == group && (row->items[i].name != NULL) == unknown && holds(pair, &row->items[i].when))
        chosen = &row->items[i];
  if (chosen != NULL)
    want_item(pair, row, sets, chosen);
}

static void ask_row(Pair *pair, const HfPortRow *row)
{
  const HfTopologyProfile *fleet = pair->topology->fleet, *to = pair->to->profile;
  gboolean wanted = fleet->wanted[row->index] || pair->from->profile->wanted[row->index] || to->wanted[row->index];
  if (!fits(pair, row) || (row->need == HF_PORT_OPTIONAL && !wanted))
    return;
  g_autoptr(GPtrArray) sets = sets_of(pair, row);
  guint primary = G_MAXUINT; /* the group whose first port stands */
  for (guint i = 0; i < row->n_items; i++) {
    const HfPortItem *item = &row->items[i];
    gboolean begins = i == 0 || item->group != row->items[i - 1].group;
    if (item->mode == HF_PORT_ANY) {
      if (begins)
        want_any(pair, row, sets, item->group);
    } else if (holds(pair, &item->when)) {
      gboolean second = primary == item->group;
      primary = item->group;
      if (!second || item->mode == HF_PORT_ALL || to->fallback != HF_TOPOLOGY_NO)
        want_item(pair, row, sets, item);
    }
  }
}

/* ------------------------------------------------------------------------------------------------ comparison -- */

/* The rows that want this port, as bits. */
static void rows_wanting(const GArray *wants, const char *set, guint transport, guint port, guint64 *bits)
{
  memset(bits, 0, WORDS * sizeof *bits);
  for (guint i = 0; i < wants->len; i++) {
    const Want *one = &g_array_index(wants, Want, i);
    if (one->transport == transport && one->first <= port && one->last >= port && g_strcmp0(one->set, set) == 0)
      bits[one->row / 64] |= G_GUINT64_CONSTANT(1) << one->row % 64;
  }
}

static const char *set_of(const HfPlanFlow *flow)
{
  return flow->to->name != NULL ? flow->to->name->text : NULL;
}

/* The same of the flows of two groups. Fails when a port is in two of them. */
static void rows_planned(const GPtrArray *flows, const char *set, guint transport, guint port, guint64 *bits)
{
  guint found = 0;
  memset(bits, 0, WORDS * sizeof *bits);
  for (guint i = 0; flows != NULL && i < flows->len; i++) {
    const HfPlanFlow *flow = flows->pdata[i];
    if (flow->transport != transport || flow->first > port || flow->last < port || g_strcmp0(set_of(flow), set) != 0)
      continue;
    found++;
    for (guint r = 0; r < flow->n_rows; r++)
      bits[flow->rows[r].row->index / 64] |= G_GUINT64_CONSTANT(1) << flow->rows[r].row->index % 64;
  }
  g_assert_cmpuint(found, <=, 1);
}

static void same_rows(const Pair *pair, const GPtrArray *flows, const char *set, guint transport, guint port)
{
  guint64 wanted[WORDS], planned[WORDS];
  guint n_rows;
  const HfPortRow *rows = hf_port_rows(&n_rows);
  rows_wanting(pair->wants, set, transport, port, wanted);
  rows_planned(flows, set, transport, port, planned);
  for (guint r = 0; r < n_rows; r++) {
    gboolean a = (wanted[r / 64] >> r % 64) & 1, b = (planned[r / 64] >> r % 64) & 1;
    if (a != b)
      g_error("%s -> %s, set '%s', transport %u, port %u: row %s is %s by the plan", pair->from->name, pair->to->name,
              set != NULL ? set : "", transport, port, rows[r].id, b ? "added" : "left out");
  }
}

/* At every place where something begins or ends, and beside it. */
static void same_pair(const Pair *pair, const GPtrArray *flows)
{
  for (guint i = 0; i < pair->wants->len; i++) {
    const Want *one = &g_array_index(pair->wants, Want, i);
    same_rows(pair, flows, one->set, one->transport, one->first);
    same_rows(pair, flows, one->set, one->transport, one->last);
    same_rows(pair, flows, one->set, one->transport, one->last + 1);
  }
  for (guint i = 0; flows != NULL && i < flows->len; i++) {
    const HfPlanFlow *flow = flows->pdata[i];
    same_rows(pair, flows, set_of(flow), flow->transport, flow->first);
    same_rows(pair, flows, set_of(flow), flow->transport, flow->first - 1u);
    same_rows(pair, flows, set_of(flow), flow->transport, flow->last);
  }
}

/* The flows of every two groups: from << 32 | to. */
static GHashTable *flows_by_groups(const HfPlan *plan)
{
  GHashTable *cells = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, (GDestroyNotify)g_ptr_array_unref);
  for (guint i = 0; i < plan->n_flows; i++)
    for (guint f = 0; f < plan->flows[i]->from->n_groups; f++)
      for (guint t = 0; t < plan->flows[i]->to->n_groups; t++) {
        guint64 id = (guint64)plan->flows[i]->from->groups[f]->index << 32 | plan->flows[i]->to->groups[t]->index;
        GPtrArray *flows = g_hash_table_lookup(cells, &id);
        if (flows == NULL)
          g_hash_table_insert(cells, g_memdup2(&id, sizeof id), flows = g_ptr_array_new());
        g_ptr_array_add(flows, (gpointer)plan->flows[i]);
      }
  return cells;
}

/* By node: the rows at whose one end it may stand. */
static guint64 *row_bits(const HfTopology *topology, gboolean from)
{
  guint n_rows;
  const HfPortRow *rows = hf_port_rows(&n_rows);
  g_assert_cmpuint(n_rows, <=, MAX_ROWS);
  guint64 *bits = g_new0(guint64, (gsize)topology->n_nodes * WORDS);
  for (guint n = 0; n < topology->n_nodes; n++)
    for (guint r = 0; r < n_rows; r++)
      for (guint u = 0; u < (from ? rows[r].n_from : rows[r].n_to); u++)
        if (hf_topology_has_role(topology->nodes[n], (from ? rows[r].from : rows[r].to)[u].role))
          bits[(gsize)n * WORDS + r / 64] |= G_GUINT64_CONSTANT(1) << r % 64;
  return bits;
}

/* What the plan leaves open, by node, as the evaluator says it. */
static void same_unresolved(const HfPlan *plan, GHashTable *expected)
{
  guint found = 0;
  for (guint i = 0; i < plan->n_unresolved; i++) {
    const HfPlanUnresolved *unresolved = plan->unresolved[i];
    gboolean node = unresolved->cause == HF_PLAN_NO_ADDRESS && unresolved->n_rows == 0;
    if (unresolved->cause == HF_PLAN_NO_FAMILY || node)
      continue;
    for (guint n = 0; n < unresolved->to->n_nodes; n++) {
      g_autofree char *key =
        g_strdup_printf("%d %s %s", (int)unresolved->cause, unresolved->to->nodes[n]->name, unresolved->what);
      if (!g_hash_table_contains(expected, key))
        g_error("the plan leaves '%s' open", key);
      found++;
    }
  }
  g_assert_cmpuint(found, ==, g_hash_table_size(expected));
}

/* Gives how many pairs have something open. */
static guint compare(const HfTopology *topology)
{
  g_autoptr(HfPlan) plan = hf_plan_new(topology);
  g_autoptr(GHashTable) cells = flows_by_groups(plan);
  g_autofree guint64 *froms = row_bits(topology, TRUE), *tos = row_bits(topology, FALSE);
  g_autoptr(GHashTable) unresolved = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  guint n_rows, busy = 0;
  const HfPortRow *rows = hf_port_rows(&n_rows);
  for (guint a = 0; a < topology->n_nodes; a++)
    for (guint b = 0; b < topology->n_nodes; b++) {
      Pair pair = { topology, topology->nodes[a], topology->nodes[b], NULL, unresolved };
      guint64 id = (guint64)hf_plan_group(plan, pair.from)->index << 32 | hf_plan_group(plan, pair.to)->index;
      if (a == b)
        continue;
      g_autoptr(GArray) wants = g_array_new(FALSE, FALSE, sizeof(Want));
      g_array_set_clear_func(wants, want_clear);
      pair.wants = wants;
      for (guint w = 0; w < WORDS; w++)
        for (guint64 bits = froms[a * WORDS + w] & tos[b * WORDS + w]; bits != 0; bits &= bits - 1)
          ask_row(&pair, &rows[w * 64 + (guint)__builtin_ctzll(bits)]);
      same_pair(&pair, g_hash_table_lookup(cells, &id));
      busy += wants->len > 0 ? 1 : 0;
    }
  same_unresolved(plan, unresolved);
  return busy;
}

/* ---------------------------------------------------------------------------------------------- random fleets -- */

/* Some roles that a section of its kind may have. */
static char *random_roles(gboolean external)
{
  guint n_roles;
  const HfPortRole *roles = hf_port_roles(&n_roles);
  GString *text = g_string_new(NULL);
  g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
  for (guint n = (guint)g_test_rand_int_range(1, 5); n > 0; n--) {
    const HfPortRole *role = &roles[g_test_rand_int_range(0, (gint32)n_roles)];
    gboolean fits_in = !external || role->external || role->kind != HF_PORT_KIND_HOLDFAST;
    if ((external && !fits_in) || !g_hash_table_add(seen, (gpointer)role))
      n++;
    else
      g_string_append_printf(text, "%s%s", text->len > 0 ? ", " : "", role->id);
  }
  return g_string_free(text, FALSE);
}

/* Answers to a third of the questions of this scope. */
static void add_answers(GString *text, HfPortScope scope)
{
  guint n;
  const HfPortCondition *conditions = hf_port_conditions(&n);
  for (guint i = 0; i < n; i++) {
    const HfPortCondition *condition = &conditions[i];
    guint values = g_strv_length((char **)condition->values);
    if (condition->scope == scope && g_test_rand_int_range(0, 3) == 0)
      g_string_append_printf(text, "%s = %s\n", condition->id,
                             condition->values[g_test_rand_int_range(0, (gint32)values)]);
  }
}

static void add_some(GString *text, const char *line, guint one_of)
{
  if (g_test_rand_int_range(0, (gint32)one_of) == 0)
    g_string_append(text, line);
}

/* `first` to `first + count - 1` of one family, or no address. */
static void add_address(GString *text, guint first, guint count)
{
  guint last = first + count - 1;
  switch (g_test_rand_int_range(0, 6)) {
  case 0:
    break;
  case 1:
    g_string_append_printf(text, "address = 2001:db8::%x-2001:db8::%x\n", first, last);
    break;
  default:
    g_string_append_printf(text, "address = 10.0.%u.%u-10.0.%u.%u\n", first / 256, first % 256, last / 256, last % 256);
  }
}

/* The rolls of peers are of all nodes with the role, so the file is read twice: without them, and with. */
static void add_section(GString *text, guint number, guint *next, guint count, guint n_gates)
{
  gboolean external = g_test_rand_int_range(0, 3) == 0;
  g_autofree char *roles = random_roles(external);
  g_string_append_printf(text, "[%s n%u-[1-%u]]\nroles = %s\n", external ? "external" : "host", number, count, roles);
  add_address(text, *next, count);
  *next += count;
  add_answers(text, HF_PORT_SCOPE_HOST);
  g_string_append_printf(text, "site = %s\n", g_test_rand_bit() ? "north" : "south");
  add_some(text, "want = all\n", 4);
  add_some(text, "want = m1, m2\n", 4);
  add_some(text, "fallback-ports = no\n", 5);
  add_some(text, "open-ports = 2\n", 5);
  add_some(text, "value storage-account = one, 192.0.2.77\n", 2);
  add_some(text, "names *.amazonaws.com = 198.51.100.0/24\n", 2);
  add_some(text, "peers gateway-server = none\n", 9);
  if (g_test_rand_int_range(0, 9) == 0)
    g_string_append_printf(text, "peers backup-repository = gate%d\n", g_test_rand_int_range(1, (gint32)n_gates + 1));
}

static HfTopology *random_fleet(guint nodes, guint most)
{
  g_autoptr(GString) text = g_string_new("[site north]\n[site south]\n[fleet]\n");
  guint next = 1;
  add_answers(text, HF_PORT_SCOPE_FLEET);
  add_some(text, "value certificate-endpoints = ocsp.example.org\n", 2);
  add_some(text, "names repository.veeam.com = 203.0.113.0/24, mirror.example.org\n", 2);
  g_string_append(text,
                  "[host vbr]\nroles = backup-server\nsite = north\naddress = 10.9.0.1\n"
                  "[host gate[1-4]]\nroles = gateway-server, backup-repository, backup-proxy\nsite = south\n"
                  "os = linux\nport transport = 7162\naddress = 10.9.0.2-10.9.0.5\n"
                  "[external nfs]\nroles = nfs-repository\nport mountd_port = 4000/udp\nport statd_port = 1-9, 5-20\n"
                  "[external lab]\nroles = lab-vm\nport application_port = 389/tcp, 53/udp, 380-400/tcp\n");
  for (guint section = 0; next < nodes; section++)
    add_section(text, section, &next, (guint)g_test_rand_int_range(1, (gint32)most), 4);
  return fleet_read(text->str);
}

static void test_random(void)
{
  guint busy = 0;
  for (guint i = 0; i < 30; i++) {
    g_autoptr(HfTopology) topology = random_fleet(60, 4);
    busy += compare(topology);
  }
  g_assert_cmpuint(busy, >, 1000);
}

static void test_thousand(void)
{
  g_autoptr(HfTopology) topology = random_fleet(1000, 20);
  g_assert_cmpuint(topology->n_nodes, >=, 1000);
  g_assert_cmpuint(compare(topology), >, 10000);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/ports/plan/pairs/random", test_random);
  g_test_add_func("/ports/plan/pairs/thousand", test_thousand);
  return g_test_run();
}
