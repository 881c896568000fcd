/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Hard links. The first entry of an inode becomes a file in a folder of the target (".holdfast-links-..."), named after
 * device and inode; once it is whole, every name of it, met before or after, becomes a link to that. At the end the
 * folder is removed. So what is remembered of an inode is in the file system, and only those being restored are in
 * memory.
 *
 * Where links cannot be made (another file system below the target, none at all) a name becomes a copy, with a warning.
 */
#pragma once

#include <glib.h>

#include "format/tree.h"

typedef struct HfRestoreWorker HfRestoreWorker;
typedef struct HfRestoreFolder HfRestoreFolder;
typedef struct HfRestoreFile HfRestoreFile;
typedef struct HfTreeNode HfTreeNode;
typedef struct HfLink HfLink;

typedef struct HfLinks {
  GMutex lock;
  GHashTable *open;        /* of HfLink*: being restored */
  HfRestoreFolder *folder; /* made with the first link */
  gboolean any_damaged, broken; /* broken: there can be no folder */
  GPtrArray *locked;       /* of HfLockedName*: names that get their immutable or append flag at the end */
} HfLinks;

void hf_links_init(HfLinks *links);
void hf_links_clear(HfLinks *links);

/* Takes one more name (a node with HF_ENTRY_HARD_LINK) in. *file is a new file to be planned, or NULL when the inode is
 * known. FALSE: the folder of links cannot be made: plan the name by itself. Walker only. */
gboolean hf_links_add(HfRestoreWorker *worker, HfRestoreFolder *folder, const char *name, const HfTreeNode *node,
                      const char *shown, HfRestoreFile **file);
/* The file is in place (whole, or damaged): gives it its names. Or it is not (dropped, failed): forgets them. */
void hf_links_settle(HfRestoreWorker *worker, HfRestoreFile *file, gboolean in_place, gboolean damaged);
/* Removes the folder of links; nothing is being restored any more. */
void hf_links_end(HfRestoreWorker *worker);
