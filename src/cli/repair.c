/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "engine/repair/repair.h"

#include "base/error.h"
#include "cli/open.h"
#include "crypto/crypto.h"

/* Puts back the keys that are missing; without them the repository may not even open. */
static gboolean import_keys(const HfOptions *options, HfCli *cli, guint *restored, GError **error)
{
  hf_autosecret HfBuffer text = HF_BUFFER_INIT;
  *restored = 0;
  if (options->keys == NULL)
    return TRUE;
  g_autoptr(HfStore) store = hf_cli_open_store(cli, options, options->repository, FALSE, error);
  g_autoptr(GError) problem = NULL;
  if (store == NULL || !hf_crypto_init(error) || !hf_secret_file_read(options->keys, &text, error))
    return FALSE;
  if (hf_keys_import(store, (const char *)text.data, text.length, restored, &problem))
    return TRUE;
  if (hf_error_is(problem, HF_ERROR_INVALID)) /* of the text that was given, not of the repository */
    return hf_fail(error, HF_ERROR_REFUSED, "'%s' is of no use: %s; give a text that 'holdfast key export' made",
                   options->keys, problem->message);
  g_propagate_error(error, g_steal_pointer(&problem));
  return FALSE;
}

static void print_result(HfCli *cli, const HfRepairResult *result, guint restored)
{
  if (restored > 0)
    hf_output_note(cli->output, "put back %u records of the keys\n", restored);
  g_autofree char *bytes = hf_format_size(result->mended_bytes);
  hf_output_note(cli->output,
                 "copied %" G_GUINT64_FORMAT " frames (%s) out of damaged packs, fetched %" G_GUINT64_FORMAT
                 " from the sibling, made %" G_GUINT64_FORMAT " parities and mirrors%s\n",
                 result->mended_frames, bytes, result->fetched_frames, result->made_parity,
                 result->made_index ? ", and the index" : "");
  if (result->lost_blobs)
    hf_output_text(cli->output, "lost: %" G_GUINT64_FORMAT " blobs; back up the same data again, what is found there "
                   "heals them\n", result->lost_blobs);
  hf_output_document(cli->output,
                     json_pack("{s:I, s:I, s:I, s:I, s:b, s:I, s:i}", "mended_frames",
                               (json_int_t)result->mended_frames, "mended_bytes", (json_int_t)result->mended_bytes,
                               "fetched_frames", (json_int_t)result->fetched_frames, "made_parity",
                               (json_int_t)result->made_parity, "made_index", (int)result->made_index, "lost_blobs",
                               (json_int_t)result->lost_blobs, "restored_keys", (int)restored));
}

gboolean hf_verb_repair(const HfOptions *options, HfCli *cli, GError **error)
{
  g_auto(HfRepairResult) result = { 0 };
  guint restored;
  if (!import_keys(options, cli, &restored, error))
    return FALSE;
  g_autoptr(HfRepo) repo = hf_cli_open_repository(cli, options, TRUE, error);
  g_autoptr(HfRepo) from = repo && options->from ? hf_cli_open_other(cli, options, options->from, NULL, error) : NULL;
  if (!repo || (options->from && !from) || !hf_repair(repo, from, &result, error))
    return FALSE;
  print_result(cli, &result, restored);
  if (result.lost_blobs)
    return hf_fail(error, HF_ERROR_DAMAGED, "not everything could be mended");
  return TRUE;
}
