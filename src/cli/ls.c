/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "cli/look.h"

typedef struct Listing {
  HfCli *cli;
  HfLook *look;
  HfTree *tree;
  gboolean long_format;
  GHashTable *users, *groups; /* number -> name: nobody asks the system for each file */
  guint64 damaged;
} Listing;

static const char *name_of(GHashTable *known, guint32 number, char *(*find)(guint32 number))
{
  char *name = g_hash_table_lookup(known, GUINT_TO_POINTER(number));
  if (name == NULL) {
    name = find(number);
    g_hash_table_insert(known, GUINT_TO_POINTER(number), name);
  }
  return name;
}

static void print_json(Listing *listing, const char *path, const HfTreeNode *node)
{
  HfOutput *output = listing->cli->output;
  const HfEntry *entry = &node->entry;
  gboolean saved = !node->is_virtual && !hf_tree_node_is_disk(node);
  hf_line_begin(output);
  hf_line_name(output, "path", path);
  hf_line_text(output, "type", hf_look_type(node));
  if (saved) {
    hf_line_number(output, "mode", entry->mode & 07777);
    hf_line_number(output, "uid", entry->uid);
    hf_line_number(output, "gid", entry->gid);
    hf_line_name(output, "user", name_of(listing->users, entry->uid, hf_look_user));
    hf_line_name(output, "group", name_of(listing->groups, entry->gid, hf_look_group));
    hf_line_time(output, "mtime", entry->mtime_sec * G_GINT64_CONSTANT(1000000000) + entry->mtime_nsec);
  }
  if (S_ISREG(entry->mode) || hf_tree_node_is_disk(node))
    hf_line_number(output, "size", entry->size);
  if (S_ISLNK(entry->mode)) {
    g_autofree char *target = hf_look_target(node);
    hf_line_name(output, "target", target);
  }
  hf_line_end(output);
}

static void print_text(Listing *listing, const char *path, const HfTreeNode *node)
{
  HfOutput *output = listing->cli->output;
  g_autofree char *shown = hf_printable(path, -1);
  if (!listing->long_format) {
    hf_output_text(output, "%s\n", shown);
    return;
  }
  char mode[11], time[32];
  gboolean saved = !node->is_virtual && !hf_tree_node_is_disk(node);
  hf_look_mode(node, mode);
  hf_look_time(node, time);
  const char *user = saved ? name_of(listing->users, node->entry.uid, hf_look_user) : "";
  const char *group = saved ? name_of(listing->groups, node->entry.gid, hf_look_group) : "";
  hf_output_text(output, "%s %-8s %-8s %12" G_GUINT64_FORMAT " %-19s %s", mode, user, group, node->entry.size, time,
                 shown);
  if (S_ISLNK(node->entry.mode)) {
    g_autofree char *target = hf_look_target(node), *shown_target = hf_printable(target, -1);
    hf_output_text(output, " -> %s", shown_target);
  }
  hf_output_text(output, "\n");
}

static gboolean print_node(Listing *listing, const char *path, const HfTreeNode *node, GError **error)
{
  if (hf_output_is_json(listing->cli->output))
    print_json(listing, path, node);
  else
    print_text(listing, path, node);
  return hf_output_check(listing->cli->output, error) && !hf_cancelled(listing->cli->cancel, error);
}

/* Takes `problem`. */
static gboolean pass_damage(Listing *listing, const char *path, GError *problem, GError **error)
{
  if (!hf_error_is(problem, HF_ERROR_DAMAGED) && !hf_error_is(problem, HF_ERROR_INVALID)) {
    g_propagate_error(error, problem);
    return FALSE;
  }
  hf_report_warning(listing->cli->report, path, "cannot be listed whole: %s", problem->message);
  g_error_free(problem);
  listing->damaged++;
  return TRUE;
}

/* Everything below a folder, or what is right in it. */
static gboolean list_below(Listing *listing, const HfTreeNode *folder, const char *path, gboolean recursive,
                           GError **error)
{
  g_autoptr(HfTreeWalk) walk = hf_tree_walk_new(listing->look->browser, listing->tree, folder, path);
  for (;;) {
    HfTreeNode node;
    GError *problem = NULL;
    gboolean found = hf_tree_walk_next(walk, &node, &problem);
    if (!found && problem == NULL)
      return TRUE;
    const char *at = hf_tree_walk_path(walk);
    if (found ? !print_node(listing, at, &node, error) : !pass_damage(listing, at, problem, error))
      return FALSE;
    if (!recursive)
      hf_tree_walk_skip(walk);
  }
}

static gboolean list_roots(Listing *listing, gboolean recursive, GError **error)
{
  for (guint i = 0; i < hf_tree_root_count(listing->tree); i++) {
    HfTreeNode root;
    hf_tree_root(listing->tree, i, &root);
    g_autofree char *path = g_strndup((const char *)root.entry.name.data, root.entry.name.length);
    if (!print_node(listing, path, &root, error) || (recursive && !list_below(listing, &root, path, TRUE, error)))
      return FALSE;
  }
  return TRUE;
}

static gboolean list(Listing *listing, const HfOptions *options, GError **error)
{
  if (options->path == NULL)
    return list_roots(listing, options->recursive, error);
  g_autoptr(HfTreeNode) node = hf_tree_lookup(listing->look->browser, listing->tree, options->path, error);
  if (node == NULL)
    return FALSE;
  if (!hf_tree_node_is_folder(node))
    return print_node(listing, options->path, node, error);
  return list_below(listing, node, options->path, options->recursive, error);
}

gboolean hf_verb_ls(const HfOptions *options, HfCli *cli, GError **error)
{
  g_auto(HfLook) look = { 0 };
  if (!hf_look_open(cli, options, &look, error))
    return FALSE;
  g_autoptr(HfTree) tree = hf_look_tree(&look, options->point, error);
  if (tree == NULL)
    return FALSE;
  Listing listing = { .cli = cli, .look = &look, .tree = tree, .long_format = options->long_format };
  listing.users = g_hash_table_new_full(NULL, NULL, NULL, g_free);
  listing.groups = g_hash_table_new_full(NULL, NULL, NULL, g_free);
  gboolean good = list(&listing, options, error) && hf_look_whole(listing.damaged, error);
  g_hash_table_unref(listing.users);
  g_hash_table_unref(listing.groups);
  return good;
}
