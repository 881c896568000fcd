/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "engine/restore/restore.h"

#include "base/clock.h"
#include "base/error.h"
#include "cli/fleet.h"
#include "cli/open.h"

static void print_result(HfCli *cli, const HfPointInfo *info, const char *target, const HfRestoreResult *result,
                         double seconds)
{
  g_autofree char *id = hf_hex(info->point.id.b, sizeof info->point.id.b), *bytes = hf_format_size(result->bytes);
  hf_output_note(cli->output,
                 "point %.8s: %" G_GUINT64_FORMAT " files, %" G_GUINT64_FORMAT
                 " folders, %s restored to '%s' in %.1f s\n",
                 id, result->files, result->directories, bytes, target, seconds);
  if (!hf_output_is_json(cli->output))
    return;
  json_t *document = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:f}", "type", "summary", "point", id, "files",
                               (json_int_t)result->files, "directories", (json_int_t)result->directories, "bytes",
                               (json_int_t)result->bytes, "warnings", (json_int_t)result->warnings, "damaged",
                               (json_int_t)result->damaged, "failed", (json_int_t)result->failed, "seconds", seconds);
  json_t *missing = json_array();
  for (guint i = 0; result->missing != NULL && i < result->missing->len; i++) {
    json_t *item = json_object();
    hf_json_set_name(item, "path", result->missing->pdata[i]);
    json_array_append_new(missing, item);
  }
  json_object_set_new(document, "missing", missing);
  hf_output_document(cli->output, document);
}

static gboolean restore_files(HfRepo *repo, const HfPointInfo *info, const HfOptions *options, HfRestoreResult *result,
                              GError **error)
{
  g_autoptr(GPtrArray) paths = g_ptr_array_new();
  for (guint i = 0; options->paths[i] != NULL; i++)
    g_ptr_array_add(paths, options->paths[i]);
  HfRestoreOptions restore = {
    .target = options->to, .paths = paths, .overwrite = options->overwrite, .full_path = options->full_path,
  };
  return hf_restore(repo, info, &restore, result, error);
}

static gboolean restore_disk(HfRepo *repo, const HfPointInfo *info, const HfOptions *options, HfRestoreResult *result,
                             GError **error)
{
  if (options->paths[0] != NULL && options->paths[1] != NULL)
    return hf_fail(error, HF_ERROR_USAGE, "only one disk can be restored with --disk-to");
  HfRestoreDiskOptions restore = {
    .target = options->disk_to, .path = options->paths[0], .overwrite = options->overwrite,
  };
  return hf_restore_disk(repo, info, &restore, result, error);
}

/* TRUE when `value` was said on the command line and not by the variable that stands for it. */
static gboolean was_said(const char *value, const char *variable)
{
  return value != NULL && g_strcmp0(value, g_getenv(variable)) != 0;
}

/* A repository that is named is opened here, unless a server is named more plainly: on the command line. */
static gboolean by_server(const HfOptions *options)
{
  return options->repository == NULL || (was_said(options->server, "HOLDFAST_SERVER") &&
                                         !was_said(options->repository, "HOLDFAST_REPOSITORY"));
}

static gboolean check_local(const HfOptions *options, GError **error)
{
  if (was_said(options->server, "HOLDFAST_SERVER"))
    return hf_fail(error, HF_ERROR_USAGE, "'--repository' and '--server' exclude each other; leave one out");
  if (options->only[0] != NULL || options->target != NULL || options->job != NULL || options->follow)
    return hf_fail(error, HF_ERROR_USAGE, "'--path', '--target', '--job' and '--follow' are for a restore by a server; "
                   "leave them out, or leave out '--repository' and HOLDFAST_REPOSITORY");
  return options->to != NULL || options->disk_to != NULL ||
         hf_fail(error, HF_ERROR_USAGE, "'restore' needs '--to' or '--disk-to'");
}

gboolean hf_verb_restore(const HfOptions *options, HfCli *cli, GError **error)
{
  if (by_server(options))
    return hf_fleet_restore(options, cli, error);
  if (!check_local(options, error))
    return FALSE;
  g_autoptr(HfRepo) repo = hf_cli_open_repository(cli, options, TRUE, error);
  if (repo == NULL)
    return FALSE;
  g_autoptr(GPtrArray) points = hf_points_load(repo, NULL, error);
  const HfPointInfo *info = points != NULL ? hf_points_resolve(points, options->point, error) : NULL;
  if (info == NULL)
    return FALSE;
  g_auto(HfRestoreResult) result = { 0 };
  const char *target = options->to != NULL ? options->to : options->disk_to;
  gint64 begun = hf_clock_monotonic_us();
  if (!(options->to != NULL ? restore_files : restore_disk)(repo, info, options, &result, error))
    return FALSE;
  print_result(cli, info, target, &result, (double)(hf_clock_monotonic_us() - begun) / G_USEC_PER_SEC);
  return result.damaged == 0 ||
         hf_fail(error, HF_ERROR_DAMAGED,
                 "%" G_GUINT64_FORMAT
                 " files or folders cannot be given back whole; each is named above; try 'holdfast repair'",
                 result.damaged);
}
