/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The verbs key list, add, hide, change, rotate and export. */
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "cli/open.h"
#include "cli/secretfile.h"

#define LEAST_PREFIX 4 /* digits of an id */
#define SHOWN_DIGITS 8

enum { WAY_NONE, WAY_PASSWORD, WAY_KEY_FILE }; /* docs/format.md 3.2 */

static const char *way_name(guint8 way)
{
  return way == WAY_NONE ? "none" : way == WAY_PASSWORD ? "password" : "key-file";
}

static void print_slot(HfCli *cli, HfTable *table, const HfSlotInfo *info)
{
  g_autofree char *id = hf_hex(info->id.b, sizeof info->id.b), *created = hf_clock_format_local(info->created);
  g_autofree char *shown = g_strndup(id, SHOWN_DIGITS);
  const char *cells[] = { shown, way_name(info->way), created, info->hidden ? "hidden" : "", info->label };
  hf_table_add(table, cells);
  hf_line_begin(cli->output);
  hf_line_text(cli->output, "slot", id);
  hf_line_text(cli->output, "way", way_name(info->way));
  hf_line_name(cli->output, "label", info->label);
  hf_line_time(cli->output, "created", info->created);
  hf_line_flag(cli->output, "hidden", info->hidden);
  hf_line_end(cli->output);
}

gboolean hf_verb_key_list(const HfOptions *options, HfCli *cli, GError **error)
{
  static const HfColumn columns[] = { { .title = "SLOT" }, { .title = "WAY" }, { .title = "CREATED" },
                                      { .title = "STATE" }, { .title = "LABEL", .shrink = TRUE } };
  g_autoptr(HfRepo) repo = hf_cli_open_repository(cli, options, FALSE, error);
  if (repo == NULL)
    return FALSE;
  g_autoptr(GPtrArray) slots = hf_keys_list(repo->store, &repo->config, NULL, error);
  if (slots == NULL)
    return FALSE;
  g_autoptr(HfTable) table = hf_table_new(columns, G_N_ELEMENTS(columns));
  for (guint i = 0; i < slots->len; i++)
    print_slot(cli, table, slots->pdata[i]);
  hf_output_table(cli->output, table);
  return TRUE;
}

/* ---- add ---- */

/* Adds a password: from the options, or asked for twice. */
static gboolean add_password(const HfOptions *options, HfCli *cli, HfRepo *repo, const char *label, HfShortId *slot,
                             GError **error)
{
  HfKeySource source = hf_key_source_new(options);
  g_auto(HfCredentials) credentials = { 0 };
  char *made = NULL;
  return hf_credentials_get(&source, options->repository, TRUE, cli->cancel, &credentials, error) &&
         hf_keys_add(repo->store, &repo->config, repo->keys, &credentials.unlock, label, &made, slot, error);
}

/* Adds a key file. The file is made first, so that no key is added that cannot be kept. */
static gboolean add_key_file(const HfOptions *options, HfRepo *repo, HfShortId *slot, GError **error)
{
  g_auto(HfSecretFile) file = HF_SECRET_FILE_INIT;
  HfUnlock unlock = { .kind = HF_UNLOCK_KEY_FILE };
  hf_autosecrettext char *text = NULL;
  return hf_secret_file_create(&file, options->new_key_file, error) &&
         hf_keys_add(repo->store, &repo->config, repo->keys, &unlock, options->label, &text, slot, error) &&
         hf_secret_file_finish(&file, text, error);
}

static gboolean add_paper(const HfOptions *options, HfRepo *repo, char **text, HfShortId *slot, GError **error)
{
  HfUnlock unlock = { .kind = HF_UNLOCK_PAPER };
  return hf_keys_add(repo->store, &repo->config, repo->keys, &unlock, options->label, text, slot, error);
}

static void print_added(const HfOptions *options, HfCli *cli, const HfShortId *slot, const char *paper)
{
  g_autofree char *id = hf_hex(slot->b, sizeof slot->b);
  gboolean password = paper == NULL && options->new_key_file == NULL;
  hf_output_note(cli->output, "added slot %.*s\n", SHOWN_DIGITS, id);
  if (paper != NULL)
    hf_output_text(cli->output, "%s\n", paper);
  if (options->new_key_file != NULL)
    hf_output_note(cli->output, "the key file is '%s'; whoever reads it opens the repository\n", options->new_key_file);
  hf_output_document(cli->output,
                     json_pack("{s:s, s:s, s:s*, s:s*}", "slot", id, "way", password ? "password" : "key-file", "label",
                               options->label, "paper_key", paper));
}

gboolean hf_verb_key_add(const HfOptions *options, HfCli *cli, GError **error)
{
  HfShortId slot;
  hf_autosecrettext char *paper = NULL;
  g_autoptr(HfRepo) repo = hf_cli_open_repository(cli, options, TRUE, error);
  if (repo == NULL)
    return FALSE;
  gboolean added = options->paper                ? add_paper(options, repo, &paper, &slot, error) :
                   options->new_key_file != NULL ? add_key_file(options, repo, &slot, error) :
                                                   add_password(options, cli, repo, options->label, &slot, error);
  if (added)
    print_added(options, cli, &slot, paper);
  return added;
}

/* ---- hide and change ---- */

/* The one slot whose id starts with `prefix`; borrowed from `slots`. */
static const HfSlotInfo *find_slot(const GPtrArray *slots, const char *prefix, GError **error)
{
  const HfSlotInfo *found = NULL;
  for (guint i = 0; i < slots->len && strlen(prefix) >= LEAST_PREFIX; i++) {
    const HfSlotInfo *info = slots->pdata[i];
    g_autofree char *id = hf_hex(info->id.b, sizeof info->id.b);
    if (!g_str_has_prefix(id, prefix))
      continue;
    if (found != NULL) {
      hf_fail(error, HF_ERROR_USAGE, "more than one slot starts with '%s'; write more digits", prefix);
      return NULL;
    }
    found = info;
  }
  if (found == NULL)
    hf_fail(error, HF_ERROR_NOT_FOUND,
            "there is no slot '%s'; 'holdfast key list' shows them, and %d digits are the least", prefix, LEAST_PREFIX);
  return found;
}

gboolean hf_verb_key_hide(const HfOptions *options, HfCli *cli, GError **error)
{
  g_autoptr(HfRepo) repo = hf_cli_open_repository(cli, options, TRUE, error);
  if (repo == NULL)
    return FALSE;
  g_autoptr(GPtrArray) slots = hf_keys_list(repo->store, &repo->config, repo->keys, error);
  const HfSlotInfo *slot = slots == NULL ? NULL : find_slot(slots, options->slot, error);
  if (slot == NULL || !hf_keys_hide(repo->store, &repo->config, repo->keys, &slot->id, error))
    return FALSE;
  g_autofree char *id = hf_hex(slot->id.b, sizeof slot->id.b);
  hf_output_note(cli->output, "hid slot %.*s; run 'holdfast key rotate' to lock it out of what comes\n", SHOWN_DIGITS,
                 id);
  hf_output_document(cli->output, json_pack("{s:s, s:b}", "slot", id, "hidden", 1));
  return TRUE;
}

static const HfSlotInfo *current_password(const GPtrArray *slots, GError **error)
{
  for (guint i = 0; i < slots->len; i++) {
    const HfSlotInfo *info = slots->pdata[i];
    if (info->current && info->way == WAY_PASSWORD)
      return info;
  }
  hf_fail(error, HF_ERROR_USAGE,
          "the repository was not opened with a password; use 'holdfast key add' and 'holdfast key hide'");
  return NULL;
}

gboolean hf_verb_key_change(const HfOptions *options, HfCli *cli, GError **error)
{
  HfShortId added;
  g_autoptr(HfRepo) repo = hf_cli_open_repository(cli, options, TRUE, error);
  if (repo == NULL)
    return FALSE;
  g_autoptr(GPtrArray) slots = hf_keys_list(repo->store, &repo->config, repo->keys, error);
  const HfSlotInfo *old = slots == NULL ? NULL : current_password(slots, error);
  if (old == NULL || !add_password(options, cli, repo, old->label, &added, error) ||
      !hf_keys_hide(repo->store, &repo->config, repo->keys, &old->id, error))
    return FALSE;
  g_autofree char *id = hf_hex(added.b, sizeof added.b), *hidden = hf_hex(old->id.b, sizeof old->id.b);
  hf_output_note(cli->output, "the new password opens slot %.*s; slot %.*s is hidden\n", SHOWN_DIGITS, id, SHOWN_DIGITS,
                 hidden);
  hf_output_document(cli->output, json_pack("{s:s, s:s}", "slot", id, "hidden_slot", hidden));
  return TRUE;
}

/* ---- rotate and export ---- */

gboolean hf_verb_key_rotate(const HfOptions *options, HfCli *cli, GError **error)
{
  guint32 generation;
  g_autoptr(HfRepo) repo = hf_cli_open_repository(cli, options, TRUE, error);
  if (repo == NULL || !hf_keys_rotate(repo->store, &repo->config, repo->keys, &generation, error))
    return FALSE;
  hf_output_note(cli->output, "generation %u seals everything that is stored from now on\n", generation);
  hf_output_document(cli->output, json_pack("{s:i}", "generation", (int)generation));
  return TRUE;
}

gboolean hf_verb_key_export(const HfOptions *options, HfCli *cli, GError **error)
{
  g_autoptr(HfRepo) repo = hf_cli_open_repository(cli, options, FALSE, error);
  if (repo == NULL)
    return FALSE;
  g_autofree char *text = hf_keys_export(repo->store, error);
  if (text == NULL)
    return FALSE;
  if (options->to == NULL) {
    hf_output_text(cli->output, "%s", text);
    hf_output_document(cli->output, json_pack("{s:s}", "keys", text));
    return TRUE;
  }
  g_auto(HfSecretFile) file = HF_SECRET_FILE_INIT;
  if (!hf_secret_file_create(&file, options->to, error) || !hf_secret_file_finish(&file, text, error))
    return FALSE;
  json_t *document = json_object();
  hf_json_set_name(document, "file", options->to);
  hf_output_document(cli->output, document);
  return TRUE;
}
