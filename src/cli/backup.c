/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "engine/backup/backup.h"

#include "base/clock.h"
#include "base/error.h"
#include "cli/open.h"

static GPtrArray *list_of(char **texts)
{
  GPtrArray *list = g_ptr_array_new();
  for (guint i = 0; texts[i]; i++)
    g_ptr_array_add(list, texts[i]);
  return list;
}

static HfExclude *read_exclude(const HfOptions *options, GError **error)
{
  g_autoptr(HfExclude) exclude = hf_exclude_new();
  for (guint i = 0; options->exclude_from[i]; i++)
    if (!hf_exclude_add_file(exclude, options->exclude_from[i], error))
      return NULL;
  for (guint i = 0; options->exclude[i]; i++)
    if (!hf_exclude_add(exclude, options->exclude[i], error))
      return NULL;
  return g_steal_pointer(&exclude);
}

static void print_result(HfCli *cli, const HfBackupResult *result, gint64 microseconds)
{
  g_autofree char *id = hf_hex(result->point.b, sizeof result->point.b);
  g_autofree char *bytes = hf_format_size(result->bytes), *fresh = hf_format_size(result->new_bytes);
  g_autofree char *stored = hf_format_size(result->stored_bytes), *parity = hf_format_size(result->parity_bytes);
  double seconds = (double)microseconds / G_USEC_PER_SEC;
  if (result->resumed)
    hf_output_note(cli->output, "resumed an interrupted backup\n");
  hf_output_note(cli->output, "point %.8s: %" G_GUINT64_FORMAT " files, %" G_GUINT64_FORMAT " folders, %s in %.1f s\n",
                 id, result->files, result->directories, bytes, seconds);
  hf_output_note(cli->output, "new: %s, stored as %s, and %s of parity; %" G_GUINT64_FORMAT " files unchanged\n", fresh,
                 stored, parity, result->files_unchanged);
  hf_output_document(
    cli->output,
    json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:f}", "type", "summary", "point", id, "files",
              (json_int_t)result->files, "directories", (json_int_t)result->directories, "bytes",
              (json_int_t)result->bytes, "files_unchanged", (json_int_t)result->files_unchanged, "new_bytes",
              (json_int_t)result->new_bytes, "stored_bytes", (json_int_t)result->stored_bytes, "parity_bytes",
              (json_int_t)result->parity_bytes, "warnings", (json_int_t)result->warnings, "resumed",
              (int)result->resumed, "seconds", seconds));
}

gboolean hf_verb_backup(const HfOptions *options, HfCli *cli, GError **error)
{
  g_autoptr(HfExclude) exclude = read_exclude(options, error);
  if (!exclude)
    return FALSE;
  g_autoptr(HfRepo) repo = hf_cli_open_repository(cli, options, TRUE, error);
  if (!repo)
    return FALSE;
  g_autoptr(GPtrArray) paths = list_of(options->paths), tags = list_of(options->tags);
  g_autoptr(GPtrArray) allow_empty = list_of(options->allow_empty);
  HfBackupOptions backup = {
    .name = options->name, .tags = tags, .paths = paths, .disks = options->disk, .live = options->live,
    .exclude = options->exclude[0] || options->exclude_from[0] ? exclude : NULL,
    .one_file_system = options->one_file_system, .rescan = options->rescan, .allow_empty = allow_empty, .codec = -1,
  };
  HfBackupResult result;
  gint64 begun = hf_clock_monotonic_us();
  if (!hf_backup(repo, &backup, &result, error))
    return FALSE;
  print_result(cli, &result, hf_clock_monotonic_us() - begun);
  return TRUE;
}
