/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "engine/mount/mount.h"

#include "engine/mount/state.h"
#include "export/fuse/fuse.h"

gboolean hf_mount(HfRepo *repo, const HfMountOptions *options, GError **error)
{
  g_autoptr(HfMount) mount = hf_mount_new(repo, options->point, error);
  if (mount == NULL)
    return FALSE;
  HfFuseOptions fuse = { .place = options->place, .source = repo->store->location, .cancel = repo->cancel,
                         .mounted = options->mounted, .user = options->user };
  return hf_fuse_serve(&mount->export, &fuse, error);
}
