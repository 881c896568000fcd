/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every topology of examples/ is read and planned, whole and host by host, and leaves nothing unresolved. */
#include "fleet.h"
#include "ports/plan/show.h"

/* What each example must have open, so that it shows what it is for. */
static const struct {
  const char *file, *from, *to, *what;
} expected[] = {
  { "all-in-one", "backup1", "app7", "tcp 22" },
  { "one-site", "proxy2", "repo3", "tcp 7162" },
  { "one-site", "gate1", "share1", "udp 20048" },
  { "one-site", "mount1", "db2", "tcp 6162" },
  { "two-sites", "wan-south", "wan-north", "tcp 6165" },
  { "two-sites", "backup-north", "backup-south", "tcp 8008" },
  { "two-sites", "proxy-north1", "proxy-south2", "tcp 2500" },
  { "cdp", "cdp-a1", "cdp-b2", "tcp 33033" },
  { "cdp", "sql3", "cdp-a2", "tcp 33032" },
  { "tape", "backup1", "tape1", "tcp 6166" },
  { "tape", "tape2", "homes", "udp 2049" },
  { "tape", "backup1", "tape2", "tcp 50000" },
  { "object-storage", "gate1", "minio", "tcp 9000" },
  { "object-storage", "proxy1", "blobs", "tcp 443" },
  { "object-storage", "archiver", "archive", "tcp 443" },
  { "object-storage", "backup1", "vault", "tcp 443" },
  { "staging", "staging1", "mount1", "tcp 3270" },
  { "staging", "console1", "documents", "tcp 8080" },
  { "windows-fleet", "vbr1", "proxy3", "tcp 445" },
  { "windows-fleet", "vbr1", "vmm1", "tcp 139" },
  { "windows-fleet", "vbr1", "db1", "tcp 50101" },
  { "windows-fleet", "admins", "vbr1", "tcp 3389" },
};

static Fleet *load(const char *name)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *path = g_strdup_printf("%s/%s.topology", EXAMPLES, name);
  Fleet *fleet = g_new0(Fleet, 1);
  fleet->topology = hf_topology_load(path, &error);
  g_assert_no_error(error);
  fleet->plan = hf_plan_new(fleet->topology);
  return fleet;
}

static void check_example(const char *name)
{
  g_autoptr(Fleet) fleet = load(name);
  g_assert_cmpuint(fleet->plan->n_flows, >, 0);
  for (guint i = 0; i < fleet->plan->n_unresolved; i++)
    g_error("%s: %s", name, fleet->plan->unresolved[i]->reason);
  for (guint i = 0; i < fleet->topology->n_nodes; i++) {
    HfPlanElements elements;
    HfPlanElement element;
    guint n = 0;
    hf_plan_elements(fleet->plan, fleet->topology->nodes[i], &elements);
    while (hf_plan_elements_next(&elements, &element))
      n++;
    if (n == 0)
      g_error("%s: nothing leads from or to '%s'", name, fleet->topology->nodes[i]->name);
  }
  g_autofree char *page = hf_plan_markdown(fleet->plan, NULL), *svg = hf_plan_svg(fleet->plan, NULL);
  g_assert_cmpstr(fleet->topology->title, !=, "");
  g_assert_true(g_utf8_validate(page, -1, NULL) && g_utf8_validate(svg, -1, NULL));
}

static void test_all(void)
{
  guint n = 0;
  g_autoptr(GDir) folder = g_dir_open(EXAMPLES, 0, NULL);
  g_assert_nonnull(folder);
  for (const char *file; (file = g_dir_read_name(folder)) != NULL;) {
    if (!g_str_has_suffix(file, ".topology"))
      continue;
    g_autofree char *name = g_strndup(file, strlen(file) - strlen(".topology"));
    check_example(name);
    n++;
  }
  g_assert_cmpuint(n, >=, 8);
}

static void test_purposes(void)
{
  for (guint i = 0; i < G_N_ELEMENTS(expected); i++) {
    g_autoptr(Fleet) fleet = load(expected[i].file);
    if (!fleet_open(fleet, expected[i].from, expected[i].to, expected[i].what))
      g_error("%s: %s is closed from '%s' to '%s'", expected[i].file, expected[i].what, expected[i].from,
              expected[i].to);
  }
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/ports/examples/all", test_all);
  g_test_add_func("/ports/examples/purposes", test_purposes);
  return g_test_run();
}
