/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/cli.h"

#define FORMAT_VERSION 1 /* docs/format.md */

gboolean hf_verb_version(const HfOptions *options, HfCli *cli, GError **error)
{
  (void)options;
  (void)error;
  hf_output_text(cli->output, "holdfast %s, repository format %d\n", HF_VERSION, FORMAT_VERSION);
  hf_output_document(cli->output, json_pack("{s:s, s:s, s:i}", "program", "holdfast", "version", HF_VERSION, "format",
                                            FORMAT_VERSION));
  return TRUE;
}
