/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Plans as lines, markdown, graphs and pictures. */
#include "ports/plan/show.h"

#include "fleet.h"

#define SMALL                                                                                                          \
  "[fleet]\ntitle = A <small> fleet\n"                                                                                 \
  "[host vbr]\nroles = backup-server\naddress = 10.0.0.1\n"                                                            \
  "[host repo[1-3]]\nroles = backup-repository, mount-server\naddress = 10.0.0.11-10.0.0.13\n"                         \
  "[external dns]\nroles = dns-server, domain-controller\naddress = 10.0.0.2\n"                                        \
  "[external bucket]\nroles = amazon-s3\nconnection = gateway\n"

/* "from > to | ports | rows" of a line. Caller frees. */
static char *line_text(const HfPlanLine *line)
{
  return g_strdup_printf("%s > %s | %s | %s%s", line->from, line->to, line->ports, line->rows,
                         line->fallback ? " fallback" : "");
}

static gboolean has_line(const GPtrArray *lines, const char *expected)
{
  for (guint i = 0; i < lines->len; i++) {
    g_autofree char *text = line_text(lines->pdata[i]);
    if (strcmp(text, expected) == 0)
      return TRUE;
  }
  return FALSE;
}

static void test_ports(void)
{
  HfPlanPorts *ports = hf_plan_ports_new();
  hf_plan_ports_add(ports, HF_PORT_TCP, 3000, 3100);
  hf_plan_ports_add(ports, HF_PORT_TCP, 22, 22);
  hf_plan_ports_add(ports, HF_PORT_TCP, 23, 23);
  hf_plan_ports_add(ports, HF_PORT_TCP, 3101, 3200);
  hf_plan_ports_add(ports, HF_PORT_TCP, 3050, 3060);
  hf_plan_ports_add(ports, HF_PORT_TCP, 22, 22);
  hf_plan_ports_add(ports, HF_PORT_UDP, 53, 53);
  g_autofree char *both = hf_plan_ports_finish(ports);
  g_assert_cmpstr(both, ==, "tcp 22, 23, 3000-3200; udp 53");
  ports = hf_plan_ports_new();
  hf_plan_ports_add(ports, HF_PORT_UDP, 53, 53);
  g_autofree char *udp = hf_plan_ports_finish(ports);
  g_assert_cmpstr(udp, ==, "udp 53");
}

static void test_lines(void)
{
  g_autoptr(Fleet) fleet = fleet_plan(SMALL);
  g_autoptr(GPtrArray) lines = hf_plan_lines(fleet->plan, NULL);
  g_assert_true(has_line(lines, "vbr > dns | tcp+udp 139, 445 | m2.45"));
  g_assert_true(has_line(lines, "vbr > dns | tcp 636, 3268, 3269 | m2.43"));
  g_assert_true(has_line(lines, "repo[1-3] > repo[1-3] | tcp 6162 | x1.8, m57.2"));
  g_assert_true(has_line(lines, "vbr > *.amazonaws.com (bucket) | tcp 443 | m18.3"));
  g_autoptr(GPtrArray) own = hf_plan_lines(fleet->plan, fleet_node(fleet, "repo2"));
  g_assert_true(has_line(own, "repo2 > repo1, repo3 | tcp 6162 | x1.8, m57.2"));
  g_assert_true(has_line(own, "repo1, repo3 > repo2 | tcp 6162 | x1.8, m57.2"));
  g_assert_true(has_line(own, "vbr > repo2 | tcp 22 | m8.4"));
  g_assert_false(has_line(own, "vbr > dns | tcp 636, 3268, 3269 | m2.43"));
  for (guint i = 1; i < own->len; i++)
    g_assert_cmpint(((HfPlanLine *)own->pdata[i])->direction, >=, ((HfPlanLine *)own->pdata[i - 1])->direction);
  for (guint i = 0; i < lines->len; i++) {
    const HfPlanLine *line = lines->pdata[i];
    if (strcmp(line->rows, "m8.5, m57.8, m61.1") == 0)
      g_assert_true(g_str_has_suffix(line->purpose, " (and 2 more)"));
  }
}

static void test_fallback_line(void)
{
  g_autoptr(Fleet) fleet = fleet_plan("[host c]\nroles = console\naddress = 10.0.0.1\n"
                                      "[host m]\nroles = mount-server\naddress = 10.0.0.2\n");
  g_autoptr(GPtrArray) lines = hf_plan_lines(fleet->plan, NULL);
  g_assert_true(has_line(lines, "c > m | tcp 2500-3300 | m3.1 fallback"));
  g_assert_true(has_line(lines, "c > m | tcp 6162 | m3.1"));
  g_autofree char *page = hf_plan_markdown(fleet->plan, NULL);
  g_assert_nonnull(strstr(page, "(only when the first port cannot be reached) |"));
  g_assert_true(g_str_has_prefix(page, "# Ports of the fleet\n"));
}

static void test_markdown(void)
{
  g_autoptr(Fleet) fleet = fleet_plan(SMALL);
  g_autofree char *page = hf_plan_markdown(fleet->plan, NULL);
  g_assert_true(g_str_has_prefix(page, "# Ports of A <small> fleet\n"));
  g_assert_nonnull(strstr(page, "\n| vbr | repo\\[1-3\\] | tcp 22 | m8.4 | "));
  g_assert_nonnull(strstr(page, "\n| vbr | \\*.amazonaws.com (bucket) | tcp 443 | m18.3 | "));
  g_assert_nonnull(strstr(page, "\n## Unresolved\n"));
  g_autofree char *own = hf_plan_markdown(fleet->plan, fleet_node(fleet, "repo2"));
  g_assert_true(g_str_has_prefix(own, "# Ports of repo2, A <small> fleet\n"));
  g_assert_nonnull(strstr(own, "\n## It connects\n\n| from | to |"));
  g_assert_nonnull(strstr(own, "\n## It listens\n\n| from | to |"));
  g_assert_null(strstr(own, "\n## Unresolved\n"));
}

static void test_dot(void)
{
  g_autoptr(Fleet) fleet =
    fleet_plan("[site north]\n[host vbr]\nroles = backup-server\nsite = north\naddress = 10.0.0.1\n"
               "[external dns]\nroles = dns-server\naddress = 10.0.0.2\n");
  g_autofree char *graph = hf_plan_dot(fleet->plan, NULL);
  g_assert_cmpstr(graph, ==,
                  "digraph ports {\n  rankdir=LR;\n  node [shape=box];\n"
                  "  subgraph \"cluster_north\" {\n    label=\"north\";\n"
                  "    b0 [label=\"vbr\\nBackup server\"];\n  }\n"
                  "    b1 [label=\"dns\\nDNS server\", style=dashed];\n"
                  "  b0 -> b1 [label=\"udp 53\", tooltip=\"m2.29\"];\n}\n");
  g_autofree char *own = hf_plan_dot(fleet->plan, fleet_node(fleet, "vbr"));
  g_assert_nonnull(strstr(own, "b0 [label=\"vbr\\nBackup server\", penwidth=3];"));
}

static void test_view(void)
{
  g_autoptr(Fleet) fleet = fleet_plan(SMALL "[host pc]\nroles = console\naddress = 10.0.0.9\n"
                                            "[host sql]\nroles = mssql-database\naddress = 10.0.0.10\n"
                                            "[host vm]\nroles = guest\naddress = 10.0.0.14\n"
                                            "[host alone]\nroles = ndmp-server\naddress = 10.0.0.15\n");
  static const struct {
    const char *title;
    guint column;
  } expected[] = { { "vbr", 1 }, { "repo[1-3]", 2 }, { "dns", 5 }, { "bucket", 4 },
                   { "pc", 0 },  { "sql", 5 },       { "vm", 3 } };
  g_autoptr(HfPlanView) view = hf_plan_view(fleet->plan, NULL);
  g_assert_cmpuint(view->boxes->len, ==, G_N_ELEMENTS(expected)); /* nothing leads to the one that is left out */
  for (guint i = 0; i < G_N_ELEMENTS(expected); i++) {
    gboolean found = FALSE;
    for (guint b = 0; b < view->boxes->len; b++) {
      const HfPlanBox *box = view->boxes->pdata[b];
      found = found || (strcmp(box->title, expected[i].title) == 0 && box->column == expected[i].column);
    }
    g_assert_true(found);
  }
  for (guint i = 0; i < view->edges->len; i++)
    for (guint j = 0; j < i; j++) {
      const HfPlanEdge *a = view->edges->pdata[i], *b = view->edges->pdata[j];
      g_assert_false(a->from == b->from && a->to == b->to);
    }
  g_autoptr(HfPlanView) own = hf_plan_view(fleet->plan, fleet_node(fleet, "repo2"));
  guint hosts = 0;
  for (guint b = 0; b < own->boxes->len; b++) {
    const HfPlanBox *box = own->boxes->pdata[b];
    hosts += box->own ? 1 : 0;
    g_assert_true(box->own == (strcmp(box->title, "repo2") == 0));
  }
  g_assert_cmpuint(hosts, ==, 1);
}

/* ------------------------------------------------------------------------------------------------- pictures -- */

/* A rectangle of the picture, and of which class. */
typedef struct Rect {
  char *class;
  gint64 x, y, width, height;
} Rect;

typedef struct Seen {
  GArray *rects; /* Rect */
  gint64 width, height;
} Seen;

static gint64 number_of(const char **names, const char **values, const char *name)
{
  for (guint i = 0; names[i] != NULL; i++)
    if (strcmp(names[i], name) == 0)
      return g_ascii_strtoll(values[i], NULL, 10);
  return 0;
}

static void see(GMarkupParseContext *context, const char *element, const char **names, const char **values,
                gpointer user, GError **error)
{
  Seen *seen = user;
  (void)context;
  (void)error;
  if (strcmp(element, "svg") == 0) {
    seen->width = number_of(names, values, "width");
    seen->height = number_of(names, values, "height");
  }
  if (strcmp(element, "rect") != 0)
    return;
  Rect rect = { NULL, number_of(names, values, "x"), number_of(names, values, "y"), number_of(names, values, "width"),
                number_of(names, values, "height") };
  for (guint i = 0; names[i] != NULL; i++)
    if (strcmp(names[i], "class") == 0)
      rect.class = g_strdup(values[i]);
  g_array_append_val(seen->rects, rect);
}

static void rect_clear(gpointer rect)
{
  g_free(((Rect *)rect)->class);
}

static gboolean overlap(const Rect *a, const Rect *b)
{
  return a->x < b->x + b->width && b->x < a->x + a->width && a->y < b->y + b->height && b->y < a->y + a->height;
}

/* Well-formed; boxes and numbers lie in the picture and not on each other. */
static void check_picture(const char *svg, guint n_boxes, guint n_edges)
{
  static const GMarkupParser parser = { .start_element = see };
  g_autoptr(GError) error = NULL;
  Seen seen = { g_array_new(FALSE, FALSE, sizeof(Rect)), 0, 0 };
  g_array_set_clear_func(seen.rects, rect_clear);
  GMarkupParseContext *context = g_markup_parse_context_new(&parser, 0, &seen, NULL);
  g_markup_parse_context_parse(context, svg, -1, &error);
  g_assert_no_error(error);
  g_assert_true(g_markup_parse_context_end_parse(context, &error));
  g_markup_parse_context_free(context);
  guint boxes = 0, numbers = 0;
  for (guint i = 0; i < seen.rects->len; i++) {
    const Rect *a = &g_array_index(seen.rects, Rect, i);
    gboolean box = g_str_has_prefix(a->class, "box"), number = a->class[0] == 'f' && a->height == 14;
    g_assert_cmpint(a->x, >=, 0);
    g_assert_cmpint(a->x + a->width, <=, seen.width);
    g_assert_cmpint(a->y + a->height, <=, seen.height);
    boxes += box ? 1 : 0;
    numbers += number ? 1 : 0;
    for (guint j = 0; j < i && (box || number); j++) {
      const Rect *b = &g_array_index(seen.rects, Rect, j);
      gboolean solid = g_str_has_prefix(b->class, "box") || (b->class[0] == 'f' && b->height == 14);
      g_assert_false(solid && overlap(a, b));
    }
  }
  g_assert_cmpuint(boxes, ==, n_boxes);
  g_assert_cmpuint(numbers, ==, 3 * n_edges); /* at both ends, and in the table */
  g_array_unref(seen.rects);
}

static void check_both(const char *text, const char *host)
{
  g_autoptr(Fleet) fleet = fleet_plan(text);
  const HfTopologyNode *node = host != NULL ? fleet_node(fleet, host) : NULL;
  g_autoptr(HfPlanView) view = hf_plan_view(fleet->plan, node);
  g_autofree char *svg = hf_plan_svg(fleet->plan, node);
  check_picture(svg, view->boxes->len, view->edges->len);
}

static void test_svg(void)
{
  check_both(SMALL, NULL);
  check_both(SMALL, "repo2");
  check_both(SMALL, "dns");
  check_both("[host a]\nroles = guest\n", NULL);
  check_both(
    "[site north]\nnetworks = 10.1.0.0/16\n[site south]\nnetworks = 10.2.0.0/16\n"
    "[host vbr]\nroles = backup-server\naddress = 10.1.0.1\n"
    "[host w1]\nroles = wan-accelerator\naddress = 10.1.0.2\n"
    "[host w2]\nroles = wan-accelerator\naddress = 10.2.0.2\n"
    "[host a-name-without-any-place-to-break-it-that-is-as-long-as-a-name1]\nroles = backup-proxy, tape-server, "
    "mount-server, gateway-server, cache-repository, archive-repository\naddress = 10.2.0.3\n",
    NULL);
  g_autoptr(Fleet) fleet = fleet_plan(SMALL);
  g_autofree char *svg = hf_plan_svg(fleet->plan, fleet_node(fleet, "vbr"));
  g_assert_nonnull(strstr(svg, "A &lt;small&gt; fleet: vbr"));
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/ports/show/ports", test_ports);
  g_test_add_func("/ports/show/lines", test_lines);
  g_test_add_func("/ports/show/fallback-line", test_fallback_line);
  g_test_add_func("/ports/show/markdown", test_markdown);
  g_test_add_func("/ports/show/dot", test_dot);
  g_test_add_func("/ports/show/view", test_view);
  g_test_add_func("/ports/show/svg", test_svg);
  return g_test_run();
}
