/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A folder as a store: one file an object, the name as its path. On local file systems, and on whatever is mounted
 * (NFS, SMB) as long as it has either hard links or renames that do not replace.
 *
 * Files have mode 0400 and are never changed, folders 0700. Folders left empty by a removal are removed. Symbolic links
 * are neither written through nor listed: bind-mount a folder that shall lie elsewhere. Names that are no object names
 * are left alone, except ".tmp-*" files older than a day: a listing removes these (they are left by writers that were
 * killed, on file systems without O_TMPFILE).
 */
#pragma once

#include "storage/store.h"

/* Registers the driver as "file". */
void hf_local_register(void);

/* Opens the folder `path`; with `create` it is made when missing, but not its parent. */
HfStore *hf_local_open(const char *path, gboolean create, GError **error);
