/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/error.h"
#include "cli/look.h"

#define PART_BYTES (256u << 10)

gboolean hf_verb_cat(const HfOptions *options, HfCli *cli, GError **error)
{
  g_auto(HfLook) look = { 0 };
  if (!hf_look_open(cli, options, &look, error))
    return FALSE;
  g_autoptr(HfTree) tree = hf_look_tree(&look, options->point, error);
  g_autoptr(HfTreeNode) node = tree != NULL ? hf_tree_lookup(look.browser, tree, options->path, error) : NULL;
  g_autoptr(HfTreeFile) file = node != NULL ? hf_tree_file_open(look.browser, tree, node, error) : NULL;
  if (file == NULL)
    return FALSE;
  g_autofree guint8 *part = g_malloc(PART_BYTES);
  gssize got;
  for (guint64 at = 0; (got = hf_tree_file_read(file, at, part, PART_BYTES, error)) > 0; at += (guint64)got) {
    hf_output_bytes(cli->output, part, (gsize)got);
    if (!hf_output_check(cli->output, error) || hf_cancelled(cli->cancel, error))
      return FALSE;
  }
  return got == 0;
}
