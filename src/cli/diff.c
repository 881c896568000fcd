/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <sys/stat.h>

#include "base/error.h"
#include "cli/look.h"

typedef struct Changes {
  HfCli *cli;
  guint64 counts[5]; /* by HfTreeChange */
} Changes;

static const struct {
  const char *name;
  char sign;
} kinds[] = {
  [HF_TREE_ADDED] = { "added", '+' },     [HF_TREE_REMOVED] = { "removed", '-' },
  [HF_TREE_CONTENT] = { "content", 'M' }, [HF_TREE_METADATA] = { "metadata", 'm' },
  [HF_TREE_TYPE] = { "type", 'T' },
};

static void print_size(HfOutput *output, const char *key, const HfTreeNode *node)
{
  if (node != NULL && (S_ISREG(node->entry.mode) || hf_tree_node_is_disk(node)))
    hf_line_number(output, key, node->entry.size);
}

static gboolean print_change(const char *path, HfTreeChange change, const HfTreeNode *before, const HfTreeNode *after,
                             gpointer user, GError **error)
{
  Changes *changes = user;
  HfOutput *output = changes->cli->output;
  const HfTreeNode *there = after != NULL ? after : before;
  if (there->is_virtual)
    return TRUE; /* only on the way to a root */
  changes->counts[change]++;
  if (hf_output_is_json(output)) {
    hf_line_begin(output);
    hf_line_text(output, "change", kinds[change].name);
    hf_line_name(output, "path", path);
    print_size(output, "old_size", before);
    print_size(output, "new_size", after);
    hf_line_end(output);
  } else {
    g_autofree char *shown = hf_printable(path, -1);
    hf_output_text(output, "%c %s%s\n", kinds[change].sign, shown, hf_tree_node_is_folder(there) ? "/" : "");
  }
  return hf_output_check(output, error);
}

gboolean hf_verb_diff(const HfOptions *options, HfCli *cli, GError **error)
{
  g_auto(HfLook) look = { 0 };
  guint64 damaged = 0;
  if (!hf_look_open(cli, options, &look, error))
    return FALSE;
  g_autoptr(HfTree) before = hf_look_tree(&look, options->point, error);
  g_autoptr(HfTree) after = before != NULL ? hf_look_tree(&look, options->other_point, error) : NULL;
  Changes changes = { .cli = cli };
  if (after == NULL || !hf_tree_diff(look.browser, before, after, print_change, &changes, &damaged, error))
    return FALSE;
  hf_output_note(cli->output,
                 "%" G_GUINT64_FORMAT " added, %" G_GUINT64_FORMAT " removed, %" G_GUINT64_FORMAT
                 " with other content, %" G_GUINT64_FORMAT " with other metadata, %" G_GUINT64_FORMAT
                 " of another type\n",
                 changes.counts[HF_TREE_ADDED], changes.counts[HF_TREE_REMOVED], changes.counts[HF_TREE_CONTENT],
                 changes.counts[HF_TREE_METADATA], changes.counts[HF_TREE_TYPE]);
  return hf_look_whole(damaged, error);
}
