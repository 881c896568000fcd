/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/open.h"

gboolean hf_verb_rebuild(const HfOptions *options, HfCli *cli, GError **error)
{
  guint64 packs, blobs;
  g_autoptr(HfRepo) repo = hf_cli_open_repository(cli, options, FALSE, error);
  if (!repo || !hf_index_rebuild(repo->store, cli->report, &packs, &blobs, error))
    return FALSE;
  hf_output_note(cli->output, "made the index anew: %" G_GUINT64_FORMAT " blobs in %" G_GUINT64_FORMAT " packs\n",
                 blobs, packs);
  hf_output_document(cli->output, json_pack("{s:I, s:I}", "packs", (json_int_t)packs, "blobs", (json_int_t)blobs));
  return TRUE;
}
