/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/help.h"

#include "base/error.h"
#include "cli/cli.h"
#include "cli/parse.h"
#include "cli/verbs.h"

const char *hf_help_text(char *const *topic, GError **error)
{
  if (topic[0] == NULL)
    return hf_program_help;
  int group = hf_verb_group_find(topic[0]);
  if (group >= 0 && topic[1] == NULL)
    return hf_verb_group_specs[group].help;
  HfVerb verb;
  guint used;
  if (!hf_verb_lookup(topic, &verb, &used, error))
    return NULL;
  if (topic[used] != NULL) {
    hf_fail(error, HF_ERROR_USAGE, "'%s' is one word too many; 'holdfast help' lists the verbs", topic[used]);
    return NULL;
  }
  return hf_verb_specs[verb].help;
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
