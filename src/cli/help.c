/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/help.h"

#include "cli/cli.h"
#include "cli/parse.h"
#include "cli/verbs.h"

const char *hf_help_text(char *const *topic, GError **error)
{
  return hf_program_topic(&hf_program, topic, error);
}

gboolean hf_verb_help(const HfOptions *options, HfCli *cli, GError **error)
{
  const char *text = hf_help_text(options->topic, error);
  if (text == NULL)
    return FALSE;
  g_autofree char *topic = g_strjoinv(" ", options->topic);
  hf_output_text(cli->output, "%s", text);
  if (*topic == '\0')
    hf_output_document(cli->output, json_pack("{s:s, s:s}", "program", "holdfast", "help", text));
  else
    hf_output_document(cli->output, json_pack("{s:s, s:s}", "verb", topic, "help", text));
  return TRUE;
}
