/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "engine/mount/mount.h"

#include <unistd.h>

#include "base/error.h"
#include "cli/open.h"

typedef struct Announcement {
  HfCli *cli;
  const char *place;
} Announcement;

/* Said at once: who started us waits for it. */
static void announce(gpointer user)
{
  const Announcement *announcement = user;
  HfOutput *output = announcement->cli->output;
  hf_output_note(output, "mounted at '%s'; '%s %s' or Ctrl-C ends it\n", announcement->place,
                 geteuid() == 0 ? "umount" : "fusermount3 -u", announcement->place);
  hf_line_begin(output);
  hf_line_name(output, "mounted", announcement->place);
  hf_line_end(output);
  hf_output_finish(output, NULL);
}

gboolean hf_verb_mount(const HfOptions *options, HfCli *cli, GError **error)
{
  g_autoptr(GPtrArray) points = NULL;
  const HfPointInfo *info = NULL;
  g_autoptr(HfRepo) repo = hf_cli_open_repository(cli, options, TRUE, error);
  if (repo == NULL)
    return FALSE;
  if (options->point != NULL) {
    points = hf_points_load(repo, NULL, error);
    info = points != NULL ? hf_points_resolve(points, options->point, error) : NULL;
    if (info == NULL)
      return FALSE;
  }
  Announcement announcement = { cli, options->directory };
  HfMountOptions mount = { .place = options->directory, .point = info, .mounted = announce, .user = &announcement };
  return hf_mount(repo, &mount, error);
}
