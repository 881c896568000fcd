/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "target/block/signature.h"

#include <blkid.h>

#include "base/error.h"

/* The first of file systems and members of volumes or arrays (whatever their checksums say) and of partition tables. */
static gboolean probe(blkid_probe probed, const char *path, char **name, GError **error)
{
  const char *found = NULL;
  blkid_probe_enable_superblocks(probed, TRUE);
  blkid_probe_set_superblocks_flags(probed, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_BADCSUM);
  blkid_probe_enable_partitions(probed, TRUE);
  int result = blkid_do_probe(probed); /* 0: found, 1: nothing */
  if (result < 0)
    return hf_fail(error, HF_ERROR_IO, "cannot look for what '%s' holds", path);
  if (result > 0)
    return TRUE;
  if (blkid_probe_lookup_value(probed, "TYPE", &found, NULL) != 0 &&
      blkid_probe_lookup_value(probed, "PTTYPE", &found, NULL) != 0)
    found = "unknown";
  *name = g_strdup(found);
  return TRUE;
}

gboolean hf_signature_find(int fd, const char *path, char **name, GError **error)
{
  *name = NULL;
  blkid_probe probed = blkid_new_probe();
  gboolean good = probed != NULL && blkid_probe_set_device(probed, fd, 0, 0) == 0
                    ? probe(probed, path, name, error)
                    : hf_fail(error, HF_ERROR_IO, "cannot look for what '%s' holds", path);
  blkid_free_probe(probed);
  return good;
}
