/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "cli/look.h"

#define IDS_SHOWN 8u

typedef struct Finding {
  HfCli *cli;
  GPtrArray *infos; /* of HfPointInfo*, borrowed: of each tree */
  GString *last;    /* the path printed last */
} Finding;

static void print_json(const Finding *finding, const char *path, const HfTreeVersion *version)
{
  HfOutput *output = finding->cli->output;
  const HfEntry *entry = &version->node.entry;
  g_autoptr(GPtrArray) ids = g_ptr_array_new_with_free_func(g_free);
  for (guint i = 0; i < finding->infos->len; i++) {
    const HfPointInfo *info = finding->infos->pdata[i];
    if (hf_tree_version_has(version, i))
      g_ptr_array_add(ids, hf_hex(info->point.id.b, sizeof info->point.id.b));
  }
  g_ptr_array_add(ids, NULL);
  hf_line_begin(output);
  hf_line_name(output, "path", path);
  hf_line_text(output, "type", hf_look_type(&version->node));
  if (S_ISREG(entry->mode) || entry->mode == 0)
    hf_line_number(output, "size", entry->size);
  if (entry->mode != 0)
    hf_line_time(output, "mtime", entry->mtime_sec * G_GINT64_CONSTANT(1000000000) + entry->mtime_nsec);
  hf_line_list(output, "points", (const char *const *)ids->pdata);
  hf_line_end(output);
}

static char *list_ids(const Finding *finding, const HfTreeVersion *version)
{
  GString *text = g_string_new(NULL);
  guint count = 0;
  for (guint i = 0; i < finding->infos->len; i++) {
    char id[33];
    if (!hf_tree_version_has(version, i) || ++count > IDS_SHOWN)
      continue;
    hf_point_short_name(finding->infos->pdata[i], id);
    g_string_append_printf(text, "%s%s", count > 1 ? ", " : "", id);
  }
  if (count > IDS_SHOWN)
    g_string_append_printf(text, " and %u more", count - IDS_SHOWN);
  return g_string_free(text, FALSE);
}

static void print_text(Finding *finding, const char *path, const HfTreeVersion *version)
{
  char time[32];
  if (!g_str_equal(finding->last->str, path)) {
    g_autofree char *shown = hf_printable(path, -1);
    hf_output_text(finding->cli->output, "%s\n", shown);
    g_string_assign(finding->last, path);
  }
  hf_look_time(&version->node, time);
  g_autofree char *ids = list_ids(finding, version);
  hf_output_text(finding->cli->output, "  %-8s %-19s %12" G_GUINT64_FORMAT "  in %s\n", hf_look_type(&version->node),
                 time, version->node.entry.size, ids);
}

static gboolean print_version(const char *path, const HfTreeVersion *version, gpointer user, GError **error)
{
  Finding *finding = user;
  if (hf_output_is_json(finding->cli->output))
    print_json(finding, path, version);
  else
    print_text(finding, path, version);
  return hf_output_check(finding->cli->output, error);
}

/* Trees of the points that are to be searched; what cannot be opened is warned about. */
static gboolean open_trees(HfLook *look, const HfOptions *options, GPtrArray *infos, GPtrArray *trees,
                           guint64 *damaged, GError **error)
{
  for (guint i = 0; i < look->points->len; i++) {
    HfPointInfo *info = look->points->pdata[i];
    g_autoptr(GError) problem = NULL;
    if (options->name != NULL && (info->details == NULL || !g_str_equal(info->details->name, options->name)))
      continue;
    HfTree *tree = hf_tree_open(look->browser, &info->point, &problem);
    if (tree != NULL) {
      g_ptr_array_add(infos, info);
      g_ptr_array_add(trees, tree);
    } else if (hf_error_is(problem, HF_ERROR_DAMAGED) || hf_error_is(problem, HF_ERROR_INVALID)) {
      char id[33];
      hf_point_short_name(info, id);
      hf_report_warning(look->repo->report, NULL, "point '%s' cannot be searched: %s", id, problem->message);
      ++*damaged;
    } else {
      g_propagate_error(error, g_steal_pointer(&problem));
      return FALSE;
    }
  }
  return TRUE;
}

gboolean hf_verb_find(const HfOptions *options, HfCli *cli, GError **error)
{
  g_auto(HfLook) look = { 0 };
  guint64 damaged = 0;
  if (!hf_look_open(cli, options, &look, error))
    return FALSE;
  g_autoptr(GPtrArray) infos = g_ptr_array_new();
  g_autoptr(GPtrArray) trees = g_ptr_array_new_with_free_func((GDestroyNotify)hf_tree_free);
  if (!open_trees(&look, options, infos, trees, &damaged, error))
    return FALSE;
  Finding finding = { .cli = cli, .infos = infos, .last = g_string_new(NULL) };
  gboolean good = hf_tree_find(look.browser, (HfTree *const *)(void *)trees->pdata, trees->len, options->pattern,
                               print_version, &finding, &damaged, error);
  g_string_free(finding.last, TRUE);
  return good && hf_look_whole(damaged, error);
}
