/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/points.h"

#include "base/clock.h"
#include "base/error.h"
#include "cli/open.h"

static gboolean has_tag(const HfPointDetails *details, const char *tag)
{
  for (guint i = 0; details != NULL && i < details->tags->len; i++)
    if (g_str_equal(details->tags->pdata[i], tag))
      return TRUE;
  return FALSE;
}

static gboolean is_wanted(const HfPointInfo *info, const HfOptions *options)
{
  if (options->name != NULL && (info->details == NULL || !g_str_equal(info->details->name, options->name)))
    return FALSE;
  for (guint i = 0; options->tags[i] != NULL; i++)
    if (!has_tag(info->details, options->tags[i]))
      return FALSE;
  return TRUE;
}

/* What a look at the table should not miss; caller frees. */
static char *describe(const HfPointInfo *info)
{
  g_autoptr(GPtrArray) words = g_ptr_array_new();
  for (guint i = 0; info->details != NULL && i < info->details->tags->len; i++)
    g_ptr_array_add(words, info->details->tags->pdata[i]);
  if (!info->known_signer)
    g_ptr_array_add(words, (gpointer) "(unknown signer)");
  if (info->future)
    g_ptr_array_add(words, (gpointer) "(from the future)");
  if (info->point.flags & HF_POINT_LIVE)
    g_ptr_array_add(words, (gpointer) "(live)");
  if (info->point.flags & HF_POINT_WARNINGS)
    g_ptr_array_add(words, (gpointer) "(warnings)");
  g_ptr_array_add(words, NULL);
  return g_strjoinv(" ", (char **)words->pdata);
}

static void add_row(HfTable *table, const HfPointInfo *info)
{
  char id[33];
  const HfPointDetails *details = info->details;
  hf_point_short_name(info, id);
  g_autofree char *time = hf_clock_format_local(info->point.time), *words = describe(info);
  g_autofree char *files = g_strdup_printf("%" G_GUINT64_FORMAT, details != NULL ? details->files : 0);
  g_autofree char *size = hf_format_size(details != NULL ? details->bytes : 0);
  g_autofree char *fresh = hf_format_size(details != NULL ? details->stored_bytes : 0);
  const char *cells[] = { id, time, details != NULL ? details->name : "?", details != NULL ? details->host : "?", files,
                          size, fresh, words };
  hf_table_add(table, cells);
}

static const char *const *tag_list(const HfPointDetails *details, GPtrArray *tags)
{
  for (guint i = 0; i < details->tags->len; i++)
    g_ptr_array_add(tags, details->tags->pdata[i]);
  g_ptr_array_add(tags, NULL);
  return (const char *const *)tags->pdata;
}

/* Paths need not be UTF-8: here they are for showing. */
static const char *const *root_list(const HfPointDetails *details, GPtrArray *roots)
{
  for (guint i = 0; i < details->roots->len; i++) {
    const HfPointRoot *root = details->roots->pdata[i];
    gsize length;
    const char *path = g_bytes_get_data(root->path, &length);
    g_ptr_array_add(roots, g_utf8_make_valid(path, (gssize)length));
  }
  g_ptr_array_add(roots, NULL);
  return (const char *const *)roots->pdata;
}

static void print_details(HfOutput *output, const HfPointDetails *details)
{
  g_autoptr(GPtrArray) tags = g_ptr_array_new(), roots = g_ptr_array_new_with_free_func(g_free);
  hf_line_name(output, "name", details->name);
  hf_line_name(output, "host", details->host);
  hf_line_name(output, "user", details->user);
  hf_line_list(output, "tags", tag_list(details, tags));
  hf_line_list(output, "roots", root_list(details, roots));
  hf_line_time(output, "started", details->started);
  hf_line_time(output, "ended", details->ended);
  hf_line_number(output, "files", details->files);
  hf_line_number(output, "directories", details->directories);
  hf_line_number(output, "bytes", details->bytes);
  hf_line_number(output, "new_bytes", details->new_bytes);
  hf_line_number(output, "stored_bytes", details->stored_bytes);
  hf_line_number(output, "warnings", details->warnings);
}

static void print_json(HfOutput *output, const HfPointInfo *info)
{
  g_autofree char *id = hf_hex(info->point.id.b, sizeof info->point.id.b);
  hf_line_begin(output);
  hf_line_text(output, "point", id);
  hf_line_time(output, "time", info->point.time);
  if (info->details != NULL)
    print_details(output, info->details);
  hf_line_flag(output, "live", (info->point.flags & HF_POINT_LIVE) != 0);
  hf_line_flag(output, "future", info->future);
  hf_line_text(output, "signer", info->known_signer ? "known" : "unknown");
  hf_line_end(output);
}

gboolean hf_verb_points(const HfOptions *options, HfCli *cli, GError **error)
{
  static const HfColumn columns[] = { { .title = "ID" }, { .title = "TIME" }, { .title = "NAME", .shrink = TRUE },
                                      { .title = "HOST", .shrink = TRUE }, { .title = "FILES", .right = TRUE },
                                      { .title = "SIZE", .right = TRUE }, { .title = "STORED", .right = TRUE },
                                      { .title = "TAGS", .shrink = TRUE } };
  g_autoptr(HfRepo) repo = hf_cli_open_repository(cli, options, TRUE, error);
  if (repo == NULL)
    return FALSE;
  guint damaged, shown = 0;
  g_autoptr(GPtrArray) points = hf_points_load(repo, &damaged, error);
  if (points == NULL)
    return FALSE;
  g_autoptr(HfTable) table = hf_table_new(columns, G_N_ELEMENTS(columns));
  for (guint i = 0; i < points->len; i++) {
    const HfPointInfo *info = points->pdata[i];
    if (!is_wanted(info, options))
      continue;
    shown++;
    if (hf_output_is_json(cli->output))
      print_json(cli->output, info);
    else
      add_row(table, info);
  }
  if (shown > 0)
    hf_output_table(cli->output, table);
  else
    hf_output_note(cli->output, "there are no points\n");
  return damaged == 0 ||
    hf_fail(error, HF_ERROR_DAMAGED, "%u points cannot be read; run 'holdfast repair'", damaged);
}
