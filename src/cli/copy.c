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
  hf_output_note(cli->output, "copied %u points (%s); %u were there already\n", result->points, bytes, result->points_there);
  hf_output_document(cli->output, json_pack("{s:i, s:i, s:I, s:I, s:I, s:I}", "points", (int)result->points,
                                            "points_there", (int)result->points_there, "frames",
                                            (json_int_t)result->frames, "bytes", (json_int_t)result->bytes, "blobs",
                                            (json_int_t)result->blobs, "new_bytes", (json_int_t)result->new_bytes));
}

/* Siblings are copied without keys: the target is opened without first, and with them only when it is a stranger. */
static HfRepo *open_target(HfCli *cli, const HfOptions *options, const HfRepo *from, GError **error)
{
  HfRepo *to = hf_cli_open_other(cli, options, options->to, NULL, error);
  if (!to || hf_short_id_equal(&to->config.family, &from->config.family))
    return to;
  hf_repo_free(to);
  HfKeySource source = hf_key_source_to(options);
  return hf_cli_open_other(cli, options, options->to, &source, error);
}

gboolean hf_verb_copy(const HfOptions *options, HfCli *cli, GError **error)
{
  HfCopyResult result;
  g_autoptr(HfRepo) from = hf_cli_open_repository(cli, options, TRUE, error);
  g_autoptr(HfRepo) to = from ? open_target(cli, options, from, error) : NULL;
  g_autoptr(GPtrArray) points = to ? hf_points_load(from, NULL, error) : NULL;
  g_autoptr(GPtrArray) chosen = points ? choose_points(options, points, error) : NULL;
  if (!chosen || !hf_copy(from, to, chosen, &result, error))
    return FALSE;
  print_result(cli, &result);
  return TRUE;
}
