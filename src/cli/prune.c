/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "engine/prune/prune.h"

#include "cli/open.h"

static void print_result(HfCli *cli, const HfPruneResult *result, gboolean dry_run)
{
  g_autofree char *swept = hf_format_size(result->swept_bytes), *waiting = hf_format_size(result->waiting_bytes);
  g_autofree char *rewritten = hf_format_size(result->rewritten_bytes);
  if (result->other_at_work)
    hf_output_note(cli->output, "another prune is at work; it does what is to be done\n");
  hf_output_note(cli->output, "%s %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " packs (%s), %s %" G_GUINT64_FORMAT
                 " (%s live)\n", dry_run ? "would remove" : "removed", result->swept_packs, result->packs, swept,
                 dry_run ? "would rewrite" : "rewrote", result->rewritten_packs, rewritten);
  if (result->waiting_packs)
    hf_output_note(cli->output,
                   "%" G_GUINT64_FORMAT " more packs (%s) are marked and go with a later prune, once %u running "
                   "operations have ended\n",
                   result->waiting_packs, waiting, result->sessions_waited_for);
  if (result->held_packs) {
    g_autofree char *held = hf_format_size(result->held_bytes);
    hf_output_note(cli->output, "%" G_GUINT64_FORMAT " more packs (%s) are immutable files until their locks have "
                   "ended, and go with a prune after that\n", result->held_packs, held);
  }
  hf_output_document(
    cli->output,
    json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:i, s:b, s:I, s:I}", "dry_run", (int)dry_run,
              "packs", (json_int_t)result->packs, "pack_bytes", (json_int_t)result->pack_bytes, "removed_packs",
              (json_int_t)result->swept_packs, "removed_bytes", (json_int_t)result->swept_bytes, "waiting_packs",
              (json_int_t)result->waiting_packs, "waiting_bytes", (json_int_t)result->waiting_bytes, "rewritten_packs",
              (json_int_t)result->rewritten_packs, "rewritten_bytes", (json_int_t)result->rewritten_bytes,
              "thin_frames", (json_int_t)result->thin_frames, "sessions_waited_for", (int)result->sessions_waited_for,
              "other_at_work", (int)result->other_at_work, "held_packs", (json_int_t)result->held_packs, "held_bytes",
              (json_int_t)result->held_bytes));
}

gboolean hf_verb_prune(const HfOptions *options, HfCli *cli, GError **error)
{
  g_autoptr(HfRepo) repo = hf_cli_open_unasked(cli, options, error);
  HfPruneOptions prune = { .dry_run = options->dry_run, .patience_seconds = HF_PRUNE_PATIENCE };
  HfPruneResult result;
  if (!repo || !hf_prune(repo, &prune, &result, error))
    return FALSE;
  print_result(cli, &result, options->dry_run);
  return TRUE;
}
