/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where rulesets come from: a file, or nft itself. */
#include <string.h>
#include <sys/wait.h>

#include "base/error.h"
#include "ports/nft/nftables.h"
#include "ports/topology/textfile.h"

HfNftRuleset *hf_nft_load(const char *path, GError **error)
{
  g_autofree char *text = NULL;
  gsize length;
  if (!hf_text_load(path, HF_NFT_MAX_BYTES, &text, &length, error))
    return NULL;
  HfNftRuleset *ruleset = hf_nft_parse(text, length, error);
  if (ruleset == NULL)
    g_prefix_error(error, "'%s': ", path);
  return ruleset;
}

HfNftRuleset *hf_nft_live(GError **error)
{
  /* nft is for the administrator, whose PATH a plain user need not have. */
  static const char *const places[] = { "nft", "/usr/sbin/nft", "/sbin/nft" };
  g_autofree char *out = NULL, *err = NULL, *program = NULL;
  g_autoptr(GError) cause = NULL;
  int status;
  for (guint i = 0; program == NULL && i < G_N_ELEMENTS(places); i++)
    program = g_find_program_in_path(places[i]);
  if (program == NULL) {
    hf_fail(error, HF_ERROR_NOT_FOUND, "there is no 'nft' here; install nftables, or give --ruleset FILE");
    return NULL;
  }
  char *command[] = { program, (char *)"-j", (char *)"list", (char *)"ruleset", NULL };
  if (!g_spawn_sync(NULL, command, NULL, G_SPAWN_DEFAULT, NULL, NULL, &out, &err, &status, &cause)) {
    hf_fail(error, HF_ERROR_FAILED, "cannot run '%s': %s", program, cause->message);
    return NULL;
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    g_strdelimit(g_strstrip(err), "\n", ' ');
    gboolean refused = strstr(err, "not permitted") != NULL;
    hf_fail(error, refused ? HF_ERROR_PERMISSION : HF_ERROR_FAILED, "'%s' cannot list the rules: %s%s", program, err,
            refused ? "; become root, or give --ruleset FILE" : "");
    return NULL;
  }
  return hf_nft_parse(out, strlen(out), error);
}
