/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/error.h"
#include "cli/open.h"
#include "codec/codec.h"

static gboolean fill_config(const HfOptions *options, HfConfig *config, GError **error)
{
  HfCodec codec;
  int level;
  hf_config_defaults(config);
  config->block_size = (guint32)options->block_size;
  config->parity = (guint8)options->parity;
  if (!hf_codec_parse(options->compression, &codec, &level, error))
    return FALSE;
  config->codec = (guint8)codec;
  config->level = (guint8)level;
  return TRUE;
}

static void print_made(const HfOptions *options, HfCli *cli, const char *paper)
{
  hf_output_note(cli->output, "made repository '%s'\n", options->repository);
  if (paper) {
    hf_output_text(
      cli->output,
      "\nPaper key: it opens the repository when the password is lost. Print it, or write it down, and keep\n"
      "it away from this machine; it is not shown again.\n\n%s\n",
      paper);
  } else if (options->encryption == HF_ENCRYPTION_CHOICE_NONE) {
    hf_output_note(cli->output, "without encryption: whoever reads the folder reads the backups\n");
  }
  hf_output_document(cli->output, json_pack("{s:s, s:s*}", "repository", options->repository, "paper_key", paper));
}

static gboolean init_like(const HfOptions *options, HfCli *cli, HfStore *store, GError **error)
{
  HfKeySource source = hf_key_source(options);
  g_autoptr(HfRepo) like = hf_cli_open_other(cli, options, options->like, &source, error);
  if (!like || !hf_repo_create_like(store, like, error))
    return FALSE;
  print_made(options, cli, NULL);
  return TRUE;
}

gboolean hf_verb_init(const HfOptions *options, HfCli *cli, GError **error)
{
  HfConfig config;
  g_auto(HfCredentials) credentials = { 0 };
  char *paper = NULL;
  if (!fill_config(options, &config, error))
    return FALSE;
  g_autoptr(HfStore) store = hf_cli_open_store(cli, options, options->repository, TRUE, error);
  if (!store)
    return FALSE;
  if (options->like)
    return init_like(options, cli, store, error);
  HfKeySource source = hf_key_source(options);
  if (options->encryption != HF_ENCRYPTION_CHOICE_NONE &&
      !hf_credentials_get(&source, options->repository, TRUE, cli->cancel, &credentials, error))
    return FALSE;
  if (!hf_repo_create(store, &config, &credentials.unlock, &paper, error))
    return FALSE;
  print_made(options, cli, paper);
  if (paper)
    hf_wipe(paper, strlen(paper));
  g_free(paper);
  return TRUE;
}
