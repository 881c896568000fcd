/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From sections to nodes: names, addresses, sites, roles, peers. */
#include <string.h>
#include <sys/socket.h>

#include "base/buffer.h"
#include "base/nearest.h"
#include "ports/topology/read.h"

/* ---------------------------------------------------------------------------------------------------- roles -- */

/* TRUE when the file names a role whose wider one is `wide`. */
static gboolean names_narrower(const guint8 *named, const HfPortRole *wide)
{
  guint n;
  const HfPortRole *roles = hf_port_roles(&n);
  for (guint i = 0; i < n; i++)
    if (named[i] && &roles[i] != wide && hf_port_role_is(&roles[i], wide))
      return TRUE;
  return FALSE;
}

/* Adds wider roles, and assumed narrower ones where none is named. */
static void close_roles(HfTopologyProfile *profile)
{
  guint n;
  const HfPortRole *all = hf_port_roles(&n);
  guint8 *roles = (guint8 *)profile->roles;
  memcpy(roles, profile->named_roles, n);
  for (gboolean more = TRUE; more;) {
    more = FALSE;
    for (guint i = 0; i < n; i++) {
      const HfPortRole *wide = all[i].is;
      if (wide == NULL || roles[i] == roles[wide->index] ||
          (!roles[i] && (!all[i].assumed || names_narrower(profile->named_roles, wide))))
        continue;
      roles[i] = roles[wide->index] = TRUE;
      more = TRUE;
    }
  }
}

static gboolean finish_profile(HfMaker *maker, HfSection *section, GError **error)
{
  guint n;
  hf_port_roles(&n);
  HfTopologyProfile *profile = section->profile;
  profile->settings = hf_maker_keep(maker, section->settings, &profile->n_settings);
  profile->values = hf_maker_keep(maker, section->values, &profile->n_values);
  profile->names = hf_maker_keep(maker, section->names, &profile->n_names);
  if (section->kind == HF_SECTION_FLEET)
    return TRUE;
  close_roles(profile);
  gboolean any = FALSE;
  for (guint i = 0; i < n; i++)
    if (profile->roles[i])
      any = maker->fleet_roles[i] = TRUE;
  return any || hf_maker_fail(maker, section->place, error, "this section has no roles; write 'roles = ...'");
}

/* ------------------------------------------------------------------------------------------------ addresses -- */

/* An entry of "address": one, a network, or a range for as many nodes. */
typedef struct AddressEntry {
  HfTopologyAddress first;
  gboolean counts; /* one up for each node of the section */
} AddressEntry;

static gboolean check_address(const HfMaker *maker, const HfWord *word, const char *text, gboolean external,
                              HfTopologyAddress *address, GError **error)
{
  if (!hf_address_scan(text, TRUE, address)) {
    gboolean letters = FALSE;
    for (const char *at = text; *at != '\0'; at++)
      letters = letters || g_ascii_isalpha(*at);
    return hf_maker_fail(maker, word->place, error, "'%s' is no address%s", text,
                         letters && strchr(text, ':') == NULL ? "; host names are given by 'name ='" : "");
  }
  const char *flaw = hf_address_flaw(address);
  if (flaw != NULL)
    return hf_maker_fail(maker, word->place, error, "address '%s' %s", text, flaw);
  if (!external && !hf_address_is_single(address)) {
    g_autofree char *bare = g_strndup(text, strcspn(text, "/"));
    return hf_maker_fail(maker, word->place, error, "a host has single addresses; write '%s'%s", bare,
                         "; networks belong to [site NAME] and [external NAME]");
  }
  HfTopologyAddress cut = *address;
  hf_address_cut(&cut, cut.prefix);
  if (hf_topology_address_compare(&cut, address) != 0) {
    g_autofree char *right = hf_topology_address_text(&cut);
    return hf_maker_fail(maker, word->place, error, "'%s' has bits outside of its network; write '%s'", text, right);
  }
  return TRUE;
}

static gboolean check_network_name(const HfMaker *maker, const HfWord *word, const char *name, GError **error)
{
  HfRange range = { 0 };
  gboolean good = hf_range_parse(maker, (HfWord){ name, word->place }, &range, error);
  if (good && range.numbered)
    good = hf_maker_fail(maker, word->place, error, "'%s' is a range; a network has one name", name);
  hf_range_clear(&range);
  return good;
}

/* "first-last" for the nodes of a section with numbers. */
static gboolean parse_counting(const HfMaker *maker, const HfSection *section, const HfWord *word, const char *text,
                               AddressEntry *entry, GError **error)
{
  g_auto(GStrv) ends = g_strsplit(text, "-", 2);
  gboolean external = section->kind == HF_SECTION_EXTERNAL;
  HfTopologyAddress last;
  if (ends[1] == NULL) {
    if (!check_address(maker, word, text, external, &entry->first, error))
      return FALSE;
    if (hf_address_is_single(&entry->first) && section->range.count > 1)
      return hf_maker_fail(maker, word->place, error, "%u nodes cannot share address '%s'; write first-last",
                           section->range.count, text);
    return TRUE;
  }
  if (!check_address(maker, word, ends[0], FALSE, &entry->first, error) ||
      !check_address(maker, word, ends[1], FALSE, &last, error))
    return FALSE;
  guint64 count = hf_address_distance(&entry->first, &last);
  if (count != section->range.count) {
    HfTopologyAddress right = entry->first;
    hf_address_step(&right, section->range.count - 1);
    g_autofree char *end = hf_topology_address_text(&right);
    return hf_maker_fail(maker, word->place, error,
                         "the range '%s' has %" G_GUINT64_FORMAT
                         " addresses for %u nodes; from '%s' on it ends with '%s'",
                         text, count, section->range.count, ends[0], end);
  }
  entry->counts = TRUE;
  return TRUE;
}

/* "10.0.0.1", "10.0.0.1 lan", "10.0.0.1-10.0.0.9 lan". */
static gboolean parse_entry(HfMaker *maker, const HfSection *section, const HfWord *word, AddressEntry *entry,
                            GError **error)
{
  gsize length = strcspn(word->text, " \t");
  g_autofree char *text = g_strndup(word->text, length);
  const char *network = word->text + length + strspn(word->text + length, " \t");
  *entry = (AddressEntry){ 0 };
  if (!parse_counting(maker, section, word, text, entry, error))
    return FALSE;
  if (*network == '\0')
    return TRUE;
  if (!check_network_name(maker, word, network, error))
    return FALSE;
  entry->first.network = hf_maker_text(maker, network);
  return TRUE;
}

static gboolean parse_entries(HfMaker *maker, const HfSection *section, GArray *entries, GError **error)
{
  maker->n_addresses += (guint64)section->address_words->len * section->range.count;
  if (maker->n_addresses > HF_TOPOLOGY_MAX_ADDRESSES)
    return hf_maker_fail(maker, section->place, error, "more than %u addresses of all nodes",
                         HF_TOPOLOGY_MAX_ADDRESSES);
  for (guint i = 0; i < section->address_words->len; i++) {
    AddressEntry entry;
    const HfWord *word = section->address_words->pdata[i];
    if (!parse_entry(maker, section, word, &entry, error))
      return FALSE;
    for (guint j = 0; j < entries->len; j++)
      if (hf_topology_address_compare(&g_array_index(entries, AddressEntry, j).first, &entry.first) == 0)
        return hf_maker_fail(maker, word->place, error, "address '%s' stands twice", word->text);
    g_array_append_val(entries, entry);
  }
  return TRUE;
}

/* ----------------------------------------------------------------------------------------------- host names -- */

static gboolean parse_names(HfMaker *maker, const HfSection *section, GArray *ranges, GError **error)
{
  maker->n_names += (guint64)section->name_words->len * section->range.count;
  if (maker->n_names > HF_TOPOLOGY_MAX_ADDRESSES)
    return hf_maker_fail(maker, section->place, error, "more than %u host names of all nodes",
                         HF_TOPOLOGY_MAX_ADDRESSES);
  for (guint i = 0; i < section->name_words->len; i++) {
    const HfWord *word = section->name_words->pdata[i];
    HfRange range;
    HfTopologyAddress address;
    if (hf_address_scan(word->text, TRUE, &address))
      return hf_maker_fail(maker, word->place, error, "'%s' is an address; give it by 'address ='", word->text);
    if (strchr(word->text, '*') != NULL)
      return hf_maker_fail(maker, word->place, error, "'%s' is a wildcard; only 'names ENDPOINT = ...' takes these",
                           word->text);
    gboolean good = hf_range_parse(maker, *word, &range, error);
    g_array_append_val(ranges, range);
    if (!good)
      return FALSE;
    if (range.count != section->range.count)
      return hf_maker_fail(maker, word->place, error, "'%s' is %u names for %u nodes; write as many in its brackets",
                           word->text, range.count, section->range.count);
  }
  return TRUE;
}

static void clear_range(gpointer range)
{
  hf_range_clear(range);
}

/* ---------------------------------------------------------------------------------------------------- sites -- */

static const HfTopologySite *fail_site(const HfMaker *maker, HfTopologyPlace place, GError **error, char *message)
{
  hf_maker_fail(maker, place, error, "%s", message);
  g_free(message);
  return NULL;
}

static const HfTopologySite *named_site(const HfMaker *maker, const HfWord *word, GError **error)
{
  const HfTopologySite *site = g_hash_table_lookup(maker->sites_by_name, word->text);
  if (site != NULL)
    return site;
  g_autoptr(HfNearest) nearest = hf_nearest_new(word->text);
  for (guint i = 0; i < maker->sites->len; i++)
    hf_nearest_offer(nearest, ((const HfTopologySite *)maker->sites->pdata[i])->name);
  const char *found = hf_nearest_result(nearest);
  return fail_site(maker, word->place, error,
                   found != NULL
                     ? g_strdup_printf("unknown site '%s'; did you mean '%s'?", word->text, found)
                     : g_strdup_printf("unknown site '%s'; write a section [site %s]", word->text, word->text));
}

static gboolean lies_in(const HfTopologyNode *node, const HfTopologySite *site)
{
  for (guint i = 0; i < site->n_networks; i++)
    for (guint a = 0; a < node->n_addresses; a++)
      if (hf_topology_address_within(&node->addresses[a], &site->networks[i]))
        return TRUE;
  return FALSE;
}

/* The site of a node that names none: by its addresses. Externals may be in none, and count as near to all when they
 * are in several. */
static gboolean find_site(const HfMaker *maker, HfTopologyNode *node, GError **error)
{
  const HfTopologySite *first = NULL, *second = NULL;
  for (guint s = 0; s < maker->sites->len && second == NULL; s++) {
    const HfTopologySite *site = maker->sites->pdata[s];
    if (lies_in(node, site))
      *(first == NULL ? &first : &second) = site;
  }
  node->site = second == NULL ? first : NULL;
  if (node->site != NULL || node->profile->external || maker->sites->len == 0)
    return TRUE;
  if (first != NULL)
    return hf_maker_fail(maker, node->profile->place, error,
                         "'%s' has addresses in site '%s' and in site '%s'; write 'site = ...'", node->name,
                         first->name, second->name);
  return hf_maker_fail(maker, node->profile->place, error,
                       "'%s' has no site, and none of its addresses lies in the networks of one; write 'site = ...'",
                       node->name);
}

/* ---------------------------------------------------------------------------------------------------- nodes -- */

/* What a section says about each of its nodes. */
typedef struct Cast {
  HfSection *section;
  GArray *entries; /* AddressEntry */
  GArray *names;   /* HfRange */
  const HfTopologySite *site;
} Cast;

static gboolean add_node(HfMaker *maker, const Cast *cast, guint i, GError **error)
{
  HfTopologyNode *node = hf_maker_alloc(maker, sizeof *node, 1);
  HfTopologyAddress *addresses = hf_maker_alloc(maker, sizeof *addresses, cast->entries->len);
  const char **dns = hf_maker_alloc(maker, sizeof *dns, cast->names->len + 1);
  g_autofree char *name = hf_range_name(&cast->section->range, i);
  *node = (HfTopologyNode){ .index = maker->nodes->len,
                            .name = hf_maker_text(maker, name),
                            .profile = cast->section->profile,
                            .site = cast->site,
                            .addresses = addresses,
                            .n_addresses = cast->entries->len,
                            .dns = dns };
  const HfTopologyNode *other = g_hash_table_lookup(maker->nodes_by_name, name);
  if (other != NULL)
    return hf_maker_fail(maker, cast->section->place, error, "'%s' stands in the section of line %u already", name,
                         other->profile->place.line);
  for (guint a = 0; a < cast->entries->len; a++) {
    const AddressEntry *entry = &g_array_index(cast->entries, AddressEntry, a);
    addresses[a] = entry->first;
    if (entry->counts)
      hf_address_step(&addresses[a], i);
  }
  for (guint d = 0; d < cast->names->len; d++) {
    g_autofree char *host = hf_range_name(&g_array_index(cast->names, HfRange, d), i);
    g_autofree char *lower = g_ascii_strdown(host, -1);
    dns[d] = hf_maker_text(maker, lower);
  }
  g_ptr_array_add(maker->nodes, node);
  g_hash_table_insert(maker->nodes_by_name, (gpointer)node->name, node);
  return node->site != NULL || find_site(maker, node, error);
}

static gboolean add_nodes(HfMaker *maker, HfSection *section, GError **error)
{
  g_autoptr(GArray) entries = g_array_new(FALSE, FALSE, sizeof(AddressEntry));
  g_autoptr(GArray) names = g_array_new(FALSE, FALSE, sizeof(HfRange));
  g_array_set_clear_func(names, clear_range);
  Cast cast = { .section = section, .entries = entries, .names = names };
  if (maker->nodes->len + section->range.count > HF_TOPOLOGY_MAX_NODES)
    return hf_maker_fail(maker, section->place, error, "more than %u hosts and externals", HF_TOPOLOGY_MAX_NODES);
  if (!parse_entries(maker, section, entries, error) || !parse_names(maker, section, names, error))
    return FALSE;
  if (section->site_word.text != NULL && (cast.site = named_site(maker, &section->site_word, error)) == NULL)
    return FALSE;
  for (guint i = 0; i < section->range.count; i++)
    if (!add_node(maker, &cast, i, error))
      return FALSE;
  return TRUE;
}

static guint address_hash(gconstpointer key)
{
  const HfTopologyAddress *address = key;
  guint hash = address->prefix;
  for (guint i = 0; i < sizeof address->bytes; i++)
    hash = hash * 31 + address->bytes[i];
  return hash;
}

static gboolean address_equal(gconstpointer a, gconstpointer b)
{
  return hf_topology_address_compare(a, b) == 0;
}

/* Networks of externals may be the same: a machine is in many. */
static gboolean check_addresses(const HfMaker *maker, GError **error)
{
  g_autoptr(GHashTable) seen = g_hash_table_new(address_hash, address_equal);
  for (guint n = 0; n < maker->nodes->len; n++) {
    const HfTopologyNode *node = maker->nodes->pdata[n];
    for (guint a = 0; a < node->n_addresses; a++) {
      const HfTopologyAddress *address = &node->addresses[a];
      const HfTopologyNode *other = g_hash_table_lookup(seen, address);
      if (other != NULL) {
        g_autofree char *text = hf_topology_address_text(address);
        return hf_maker_fail(
          maker, node->profile->place, error,
          "address '%s' of '%s' is that of '%s' too (line %u); one machine is one section with all its "
          "roles",
          text, node->name, other->name, other->profile->place.line);
      }
      if (hf_address_is_single(address))
        g_hash_table_insert(seen, (gpointer)address, (gpointer)node);
    }
  }
  return TRUE;
}

/* ---------------------------------------------------------------------------------------------------- peers -- */

static gboolean fail_peer(const HfMaker *maker, const HfWord *word, const char *name, GError **error)
{
  g_autoptr(HfNearest) nearest = hf_nearest_new(name);
  for (guint i = 0; i < maker->nodes->len; i++)
    hf_nearest_offer(nearest, ((const HfTopologyNode *)maker->nodes->pdata[i])->name);
  const char *found = hf_nearest_result(nearest);
  return hf_maker_fail(maker, word->place, error,
                       found != NULL ? "there is no host or external '%s'; did you mean '%s'?"
                                     : "there is no host or external '%s'",
                       name, found);
}

/* Marks the nodes that one word names. */
static gboolean mark_peers(HfMaker *maker, const HfPortRole *role, const HfWord *word, const HfRange *range,
                           guint8 *marks, GError **error)
{
  maker->n_peers += range->count;
  if (maker->n_peers > HF_TOPOLOGY_MAX_PEERS)
    return hf_maker_fail(maker, word->place, error, "more than %u peers in all", HF_TOPOLOGY_MAX_PEERS);
  for (guint i = 0; i < range->count; i++) {
    g_autofree char *name = hf_range_name(range, i);
    const HfTopologyNode *node = g_hash_table_lookup(maker->nodes_by_name, name);
    if (node == NULL)
      return fail_peer(maker, word, name, error);
    if (!hf_topology_has_role(node, role))
      return hf_maker_fail(maker, word->place, error, "'%s' has not the role '%s'; add it in line %u, or name another",
                           name, role->id, node->profile->place.line);
    marks[node->index] = TRUE;
  }
  return TRUE;
}

static gboolean finish_list(HfMaker *maker, const HfPeersWords *words, HfTopologyPeers *peers, GError **error)
{
  g_autofree guint8 *marks = g_malloc0(MAX(maker->nodes->len, 1));
  const HfWord *first = words->words->pdata[0];
  gboolean none = strcmp(first->text, "none") == 0;
  *peers = (HfTopologyPeers){ .role = words->role, .place = words->place };
  if (none && words->words->len > 1)
    return hf_maker_fail(maker, first->place, error, "'none' stands alone");
  for (guint i = 0; i < words->words->len && !none; i++) {
    const HfWord *word = words->words->pdata[i];
    HfRange range = { 0 };
    gboolean good =
      hf_range_parse(maker, *word, &range, error) && mark_peers(maker, words->role, word, &range, marks, error);
    hf_range_clear(&range);
    if (!good)
      return FALSE;
  }
  for (guint i = 0; i < maker->nodes->len; i++)
    peers->n_nodes += marks[i];
  const HfTopologyNode **nodes = hf_maker_alloc(maker, sizeof *nodes, peers->n_nodes);
  peers->nodes = nodes;
  for (guint i = 0; i < maker->nodes->len; i++)
    if (marks[i])
      *nodes++ = maker->nodes->pdata[i];
  return TRUE;
}

static gboolean finish_peers(HfMaker *maker, HfSection *section, GError **error)
{
  HfTopologyPeers *peers = hf_maker_alloc(maker, sizeof *peers, section->peers_words->len);
  section->profile->peers = peers;
  section->profile->n_peers = section->peers_words->len;
  for (guint i = 0; i < section->peers_words->len; i++)
    if (!finish_list(maker, section->peers_words->pdata[i], &peers[i], error))
      return FALSE;
  return TRUE;
}

/* ---------------------------------------------------------------------------------------------------- whole -- */

static gboolean is_of_nodes(const HfSection *section)
{
  return section->profile != NULL && section->kind != HF_SECTION_FLEET;
}

static void publish(HfMaker *maker)
{
  HfTopology *topology = &maker->topology;
  topology->sites = (const HfTopologySite *const *)maker->sites->pdata;
  topology->n_sites = maker->sites->len;
  topology->profiles = (const HfTopologyProfile *const *)maker->profiles->pdata;
  topology->n_profiles = maker->profiles->len;
  topology->nodes = (const HfTopologyNode *const *)maker->nodes->pdata;
  topology->n_nodes = maker->nodes->len;
}

gboolean hf_maker_finish(HfMaker *maker, GError **error)
{
  guint n_nodes = 0;
  for (guint i = 0; i < maker->sections->len; i++) {
    HfSection *section = maker->sections->pdata[i];
    if (section->profile != NULL && !finish_profile(maker, section, error))
      return FALSE;
    if (is_of_nodes(section) && !add_nodes(maker, section, error))
      return FALSE;
  }
  publish(maker);
  if (maker->nodes->len == 0)
    return hf_maker_fail(maker, (HfTopologyPlace){ 1, 1 }, error, "there is no host; begin with [host NAME]");
  if (!check_addresses(maker, error))
    return FALSE;
  for (guint i = 0; i < maker->sections->len; i++) {
    HfSection *section = maker->sections->pdata[i];
    if (is_of_nodes(section) && !finish_peers(maker, section, error))
      return FALSE;
  }
  /* Last, because conditions count, and the answers to them look at peers. */
  if (!hf_maker_check_settings(maker, NULL, error))
    return FALSE;
  for (guint i = 0; i < maker->sections->len; i++) {
    const HfSection *section = maker->sections->pdata[i];
    if (!is_of_nodes(section))
      continue;
    if (!hf_maker_check_settings(maker, maker->nodes->pdata[n_nodes], error))
      return FALSE;
    n_nodes += section->range.count;
  }
  return TRUE;
}
