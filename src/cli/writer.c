/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The verbs writer list, add and remove. */
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "cli/open.h"
#include "cli/secretfile.h"
#include "repo/points.h"

#define LEAST_PREFIX 4 /* digits of an id */
#define SHOWN_DIGITS 8

static void print_writer(HfCli *cli, HfTable *table, const HfWriterInfo *info)
{
  g_autofree char *id = hf_hex(info->id.b, sizeof info->id.b), *created = hf_clock_format_local(info->created);
  g_autofree char *shown = g_strndup(id, SHOWN_DIGITS), *domain = g_strdup_printf("%u", info->domain);
  const char *state = info->owner ? "owner" : info->removed != 0 ? "removed" : "";
  const char *cells[] = { shown, info->name, domain, created, state };
  hf_table_add(table, cells);
  hf_line_begin(cli->output);
  hf_line_text(cli->output, "writer", id);
  hf_line_name(cli->output, "name", info->name);
  hf_line_number(cli->output, "domain", info->domain);
  hf_line_time(cli->output, "created", info->created);
  hf_line_flag(cli->output, "owner", info->owner);
  hf_line_flag(cli->output, "removed", info->removed != 0);
  hf_line_end(cli->output);
}

gboolean hf_verb_writer_list(const HfOptions *options, HfCli *cli, GError **error)
{
  static const HfColumn columns[] = { { .title = "WRITER" }, { .title = "NAME", .shrink = TRUE },
                                      { .title = "DOMAIN", .right = TRUE }, { .title = "CREATED" },
                                      { .title = "STATE" } };
  g_autoptr(HfRepo) repo = hf_cli_open_repository(cli, options, TRUE, error);
  if (repo == NULL)
    return FALSE;
  g_autoptr(GPtrArray) writers = hf_writers_list(repo->keys, error);
  if (writers == NULL)
    return FALSE;
  g_autoptr(HfTable) table = hf_table_new(columns, G_N_ELEMENTS(columns));
  for (guint i = 0; i < writers->len; i++)
    print_writer(cli, table, writers->pdata[i]);
  hf_output_table(cli->output, table);
  return TRUE;
}

/* The enrolled writer of that name; names are unique among those that were not removed. Borrowed; NULL: none. */
static const HfWriterInfo *find_name(const GPtrArray *writers, const char *name)
{
  for (guint i = 0; i < writers->len; i++) {
    const HfWriterInfo *info = writers->pdata[i];
    if (info->removed == 0 && g_str_equal(info->name, name))
      return info;
  }
  return NULL;
}

/* The enrolled writer of that name, or else the one whose id starts so. Borrowed. */
static const HfWriterInfo *find_writer(const GPtrArray *writers, const char *wanted, GError **error)
{
  const HfWriterInfo *found = find_name(writers, wanted);
  if (found != NULL)
    return found;
  for (guint i = 0; i < writers->len && strlen(wanted) >= LEAST_PREFIX; i++) {
    const HfWriterInfo *info = writers->pdata[i];
    g_autofree char *id = hf_hex(info->id.b, sizeof info->id.b);
    if (info->removed != 0 || !g_str_has_prefix(id, wanted))
      continue;
    if (found != NULL) {
      hf_fail(error, HF_ERROR_USAGE, "more than one writer starts with '%s'; write more digits", wanted);
      return NULL;
    }
    found = info;
  }
  if (found == NULL)
    hf_fail(error, HF_ERROR_NOT_FOUND, "there is no writer '%s'; 'holdfast writer list' shows them", wanted);
  return found;
}

static void print_enrolled(const HfOptions *options, HfCli *cli, const HfWriterInfo *info)
{
  g_autofree char *id = hf_hex(info->id.b, sizeof info->id.b);
  hf_output_note(cli->output, "enrolled '%s'; bring '%s' to that host and use it there with --key-file\n", info->name,
                 options->to);
  json_t *document = json_pack("{s:s, s:s, s:i}", "writer", id, "name", info->name, "domain", (int)info->domain);
  hf_json_set_name(document, "credential", options->to);
  hf_output_document(cli->output, document);
}

gboolean hf_verb_writer_add(const HfOptions *options, HfCli *cli, GError **error)
{
  g_autoptr(HfRepo) repo = hf_cli_open_repository(cli, options, TRUE, error);
  if (repo == NULL)
    return FALSE;
  /* The file is made first, so that no writer is enrolled whose credential cannot be kept. */
  g_auto(HfSecretFile) file = HF_SECRET_FILE_INIT;
  if (!hf_secret_file_create(&file, options->to, error))
    return FALSE;
  hf_autosecrettext char *text = hf_writers_add(repo->store, &repo->config, repo->keys, options->writer, error);
  if (text == NULL || !hf_secret_file_finish(&file, text, error))
    return FALSE;
  g_autoptr(GPtrArray) writers = hf_writers_list(repo->keys, error);
  const HfWriterInfo *info = writers == NULL ? NULL : find_writer(writers, options->writer, error);
  if (info == NULL)
    return FALSE;
  print_enrolled(options, cli, info);
  return TRUE;
}

gboolean hf_verb_writer_remove(const HfOptions *options, HfCli *cli, GError **error)
{
  g_autoptr(HfRepo) repo = hf_cli_open_repository(cli, options, TRUE, error);
  if (repo == NULL)
    return FALSE;
  g_autoptr(GPtrArray) writers = hf_writers_list(repo->keys, error);
  const HfWriterInfo *info = writers == NULL ? NULL : find_writer(writers, options->writer, error);
  gint64 last;
  if (info == NULL || !hf_points_last_time(repo, &info->id, &last, error) ||
      !hf_writers_remove(repo->store, &repo->config, repo->keys, &info->id, last, error))
    return FALSE;
  g_autofree char *id = hf_hex(info->id.b, sizeof info->id.b);
  hf_output_note(cli->output, "removed '%s'; what it wrote stays readable\n", info->name);
  hf_output_document(cli->output, json_pack("{s:s, s:s}", "writer", id, "name", info->name));
  return TRUE;
}
