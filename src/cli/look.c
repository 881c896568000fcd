/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/look.h"

#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/error.h"

#define CACHE_BYTES (16u << 20)

gboolean hf_look_open(HfCli *cli, const HfOptions *options, HfLook *look, GError **error)
{
  look->repo = hf_cli_open_repository(cli, options, TRUE, error);
  if (look->repo == NULL)
    return FALSE;
  look->session = hf_session_open(look->repo, HF_PURPOSE_READ, error);
  if (look->session == NULL || !hf_repo_load_index(look->repo, error))
    return FALSE;
  look->points = hf_points_load(look->repo, NULL, error);
  if (look->points == NULL)
    return FALSE;
  look->cache = hf_blob_cache_new(look->repo, CACHE_BYTES);
  look->browser = hf_browser_new(look->repo, look->cache);
  return TRUE;
}

void hf_look_clear(HfLook *look)
{
  g_clear_pointer(&look->browser, hf_browser_free);
  g_clear_pointer(&look->cache, hf_blob_cache_free);
  g_clear_pointer(&look->points, g_ptr_array_unref);
  g_clear_pointer(&look->session, hf_session_free);
  g_clear_pointer(&look->repo, hf_repo_free);
}

HfTree *hf_look_tree(HfLook *look, const char *point, GError **error)
{
  const HfPointInfo *info = hf_points_resolve(look->points, point, error);
  return info != NULL ? hf_tree_open(look->browser, &info->point, error) : NULL;
}

gboolean hf_look_whole(guint64 damaged, GError **error)
{
  return damaged == 0 ||
    hf_fail(error, HF_ERROR_DAMAGED, "the listing is not whole: %" G_GUINT64_FORMAT
            " times something could not be read; run 'holdfast repair'", damaged);
}

const char *hf_look_type(const HfTreeNode *node)
{
  switch (node->entry.mode & S_IFMT) {
  case S_IFREG:
    return "file";
  case S_IFDIR:
    return "folder";
  case S_IFLNK:
    return "symlink";
  case S_IFCHR:
    return "character-device";
  case S_IFBLK:
    return "block-device";
  case S_IFIFO:
    return "fifo";
  case S_IFSOCK:
    return "socket";
  default:
    return "disk";
  }
}

static char type_letter(guint32 mode)
{
  switch (mode & S_IFMT) {
  case S_IFREG:
    return '-';
  case S_IFDIR:
    return 'd';
  case S_IFLNK:
    return 'l';
  case S_IFCHR:
    return 'c';
  case S_IFBLK:
    return 'b';
  case S_IFIFO:
    return 'p';
  case S_IFSOCK:
    return 's';
  default:
    return 'D';
  }
}

void hf_look_mode(const HfTreeNode *node, char out[11])
{
  guint32 mode = node->entry.mode;
  g_strlcpy(out, "??????????", 11);
  out[0] = type_letter(mode);
  if (node->is_virtual || hf_tree_node_is_disk(node))
    return;
  for (guint i = 0; i < 9; i++)
    out[1 + i] = mode >> (8 - i) & 1 ? "rwx"[i % 3] : '-';
  if (mode & S_ISUID)
    out[3] = mode & S_IXUSR ? 's' : 'S';
  if (mode & S_ISGID)
    out[6] = mode & S_IXGRP ? 's' : 'S';
  if (mode & S_ISVTX)
    out[9] = mode & S_IXOTH ? 't' : 'T';
}

void hf_look_time(const HfTreeNode *node, char out[32])
{
  time_t seconds = (time_t)node->entry.mtime_sec;
  struct tm parts;
  out[0] = '\0';
  if (!node->is_virtual && !hf_tree_node_is_disk(node) && localtime_r(&seconds, &parts) != NULL)
    strftime(out, 32, "%Y-%m-%d %H:%M:%S", &parts);
}

char *hf_look_user(guint32 uid)
{
  const struct passwd *known = getpwuid(uid);
  return known != NULL ? g_strdup(known->pw_name) : g_strdup_printf("%u", uid);
}

char *hf_look_group(guint32 gid)
{
  const struct group *known = getgrgid(gid);
  return known != NULL ? g_strdup(known->gr_name) : g_strdup_printf("%u", gid);
}

char *hf_look_target(const HfTreeNode *node)
{
  return g_strndup((const char *)node->entry.target.data, node->entry.target.length);
}
