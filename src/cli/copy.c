/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "engine/copy/copy.h"

#include "base/error.h"
#include "cli/open.h"

static GPtrArray *choose_points(const HfOptions *options, GPtrArray *points, GError **error)
{
  g_autoptr(GPtrArray) chosen = g_ptr_array_new();
  g_autoptr(GHashTable) wanted = g_hash_table_new(NULL, NULL);
  for (guint i = 0; options->points[i]; i++) {
    HfPointInfo *info = hf_points_resolve(points, options->points[i], error);
    if (!info)
      return NULL;
    g_hash_table_add(wanted, info);
  }
  for (guint i = 0; i < points->len; i++) /* oldest first, as they are listed */
    if (!options->points[0] || g_hash_table_contains(wanted, points->pdata[i]))
      g_ptr_array_add(chosen, points->pdata[i]);
  return g_steal_pointer(&chosen);
}

static void print_result(HfCli *cli, const HfCopyResult *result)
{
  g_autofree char *bytes = hf_format_size(result->bytes + result->new_bytes);
  hf_output_note(cli->output, "copied %u points (%s); %u were there already\n", result->points, bytes,
                 result->points_there);
  hf_output_document(cli->output, json_pack("{s:i, s:i, s:I, s:I, s:I, s:I}", "points", (int)result->points,
                                            "points_there", (int)result->points_there, "frames",
                                            (json_int_t)result->frames, "bytes", (json_int_t)result->bytes, "blobs",
                                            (json_int_t)result->blobs, "new_bytes", (json_int_t)result->new_bytes));
}

/* Siblings are copied without keys; keys are asked for when names of points must be read, or the target is a
 * stranger. */
static gboolean open_both(HfCli *cli, const HfOptions *options, HfRepo **from, HfRepo **to, GError **error)
{
  HfKeySource target = hf_key_source_to(options);
  *from = hf_cli_open_other(cli, options, options->repository, NULL, error);
  *to = *from ? hf_cli_open_other(cli, options, options->to, NULL, error) : NULL;
  if (!*to)
    return FALSE;
  gboolean siblings = hf_short_id_equal(&(*to)->config.family, &(*from)->config.family);
  if (!siblings || options->points[0]) {
    hf_repo_free(*from);
    *from = hf_cli_open_repository(cli, options, TRUE, error);
  }
  if (*from && !siblings) {
    hf_repo_free(*to);
    *to = hf_cli_open_other(cli, options, options->to, &target, error);
  }
  return *from && *to;
}

gboolean hf_verb_copy(const HfOptions *options, HfCli *cli, GError **error)
{
  HfCopyResult result;
  g_autoptr(HfRepo) from = NULL, to = NULL;
  if (!open_both(cli, options, &from, &to, error))
    return FALSE;
  g_autoptr(GPtrArray) points = hf_points_load(from, NULL, error);
  g_autoptr(GPtrArray) chosen = points ? choose_points(options, points, error) : NULL;
  if (!chosen || !hf_copy(from, to, chosen, &result, error))
    return FALSE;
  print_result(cli, &result);
  return TRUE;
}
