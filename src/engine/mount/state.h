/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Private to engine/mount: what one mount is made of. Everything here is thread-safe. */
#pragma once

#include "base/work.h"
#include "engine/browse/browse.h"
#include "export/tree.h"
#include "repo/session.h"
#include "vdisk/vdisk.h"

typedef struct HfMount HfMount;

/* ---- points.c: the points that are shown. ---- */

/* An array that is not changed any more. */
typedef struct HfShared {
  gint references; /* atomic */
  GPtrArray *all;
} HfShared;
/* Takes the array over. */
HfShared *hf_shared_new(GPtrArray *all);
HfShared *hf_shared_ref(HfShared *shared);
void hf_shared_unref(HfShared *shared);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfShared, hf_shared_unref)

typedef struct HfShownPoint {
  gint references;         /* atomic */
  HfShared *infos;         /* keeps `info`; NULL: somebody else does */
  const HfPointInfo *info;
  char *folder;            /* the folder of its name; NULL: it stands below ids/ only */
  char *name;              /* in that folder */
  char *id;                /* all digits */
  GMutex lock;             /* guards: */
  HfTree *tree;            /* opened when first needed */
} HfShownPoint;

HfShownPoint *hf_shown_point_ref(HfShownPoint *point);
void hf_shown_point_unref(HfShownPoint *point);
/* Its tree, which lives as long as the point. */
HfTree *hf_shown_point_tree(HfShownPoint *point, HfBrowser *browser, GError **error);
/* How a name is written as the name of a folder; NULL when that is too long. Caller frees. */
char *hf_folder_name(const char *name);

/* For a new mount: reads all points, or takes this one. */
gboolean hf_mount_first_look(HfMount *mount, GError **error);
void hf_mount_show_one(HfMount *mount, const HfPointInfo *info);
/* The points as they were when looked at last (less than a second ago, where the store could be read), oldest first.
 * Of HfShownPoint*; unref it. */
HfShared *hf_mount_points(HfMount *mount);
/* The newest point in a folder, or NULL. */
HfShownPoint *hf_newest_in(const GPtrArray *points, const char *folder);

/* ---- items.c: entries that the server holds on to. ---- */

typedef enum HfItemKind { HF_ITEM_TOP, HF_ITEM_IDS, HF_ITEM_NAME, HF_ITEM_LATEST, HF_ITEM_TREE } HfItemKind;

typedef struct HfItemKey {
  HfExportItem *folder; /* held; NULL: the top of all */
  const char *name;
} HfItemKey;

struct HfExportItem {
  HfItemKey key;
  HfItemKind kind;
  guint64 inode;
  HfShownPoint *point;  /* TREE: held */
  gboolean is_folder;
  guint64 references;   /* this and below: under the lock of the items */
  HfTreeNode *node;     /* TREE: of folders and tops always; of others it goes when it was not used for long */
  GList link;           /* among those nodes, in the order of use */
  gint64 blocks;        /* disks: one more than st_blocks; 0: not known yet */
  HfVdisk *vdisk;       /* shared by those who have it open */
  guint vdisk_users;
  char text[];          /* the name */
};

typedef struct HfItems {
  GMutex lock;
  GHashTable *all;      /* of HfExportItem, by key */
  GQueue nodes;         /* of HfExportItem: nodes that may go; the one used last comes first */
} HfItems;

void hf_items_init(HfItems *items);
/* Also frees what the server still held. */
void hf_items_clear(HfItems *items);
/* A reference to what is known under this name, or NULL. */
HfExportItem *hf_item_get(HfMount *mount, HfExportItem *folder, const char *name);
/* The same, made when it is not known. `node` (TREE) is copied. */
HfExportItem *hf_item_make(HfMount *mount, HfExportItem *folder, const char *name, HfItemKind kind, HfShownPoint *point,
                           const HfTreeNode *node);
HfExportItem *hf_item_ref(HfMount *mount, HfExportItem *item);
void hf_item_unref(HfMount *mount, HfExportItem *item, guint64 count);
/* A copy of the node of a TREE item, read again when it is not in memory. */
HfTreeNode *hf_item_node(HfMount *mount, HfExportItem *item, GError **error);
/* The inode number that entry `node` of a folder has. */
guint64 hf_item_inode(const HfExportItem *folder, const HfTreeNode *node);
/* Where it stands in its point, for messages. Caller frees. */
char *hf_item_path(const HfExportItem *item);

/* ---- workers.c: what one call reads with. ---- */

typedef struct HfMountWorker {
  HfBrowser *browser;
  guint64 file;        /* the serial number of whose content is in hand; 0: none */
  HfTreeFile *content;
} HfMountWorker;

/* Takes one that nobody uses, if there is any the one that has the content of file number `file` in hand (0: any). */
HfMountWorker *hf_worker_take(HfMount *mount, guint64 file);
void hf_worker_give(HfMount *mount, HfMountWorker *worker);
/* The file is being closed. */
void hf_workers_forget(HfMount *mount, guint64 file);
void hf_workers_clear(HfMount *mount);

/* ---- files.c and lists.c: the export's functions. ---- */
HfExportFile *hf_mount_open(HfExport *export, HfExportItem *item, GError **error);
gssize hf_mount_read(HfExport *export, HfExportFile *file, guint64 offset, void *bytes, gsize length, GError **error);
gboolean hf_mount_extent(HfExport *export, HfExportFile *file, guint64 offset, gboolean *hole, guint64 *length,
                         GError **error);
guint64 hf_mount_size(HfExport *export, HfExportFile *file);
void hf_mount_close(HfExport *export, HfExportFile *file);
/* The st_blocks of a disk: for what is not zeros, or more. */
gint64 hf_mount_blocks(HfMount *mount, HfExportItem *item, const HfTreeNode *node);

HfExportList *hf_mount_list_open(HfExport *export, HfExportItem *folder, GError **error);
gboolean hf_mount_list_read(HfExport *export, HfExportList *list, guint64 position, gboolean items,
                            HfExportEntryFunc func, gpointer user, GError **error);
void hf_mount_list_close(HfExport *export, HfExportList *list);

/* ---- tree.c: the mount as an export. ---- */

struct HfMount {
  HfExport export;         /* first */
  HfRepo *repo;            /* borrowed */
  HfBlobCache *cache;
  HfExportItem *top;
  HfItems items;
  GMutex lock;             /* guards everything below */
  HfSession *session;
  gint64 looked;           /* at the store, by the monotonic clock; 0: never */
  HfShared *points;        /* of HfShownPoint* */
  GQueue workers;          /* of HfMountWorker*: not in use; the one used last comes first */
  GHashTable *files, *lists; /* sets of those that are open */
  guint64 last_file;       /* serial number; they are never used again, unlike addresses */
  GHashTable *warned;      /* set of inode numbers that were warned about */
  GMutex looking;          /* held by who looks at the store; taken before `lock` */
};

/* Opens a session and reads the points; `point` NULL: all. */
HfMount *hf_mount_new(HfRepo *repo, const HfPointInfo *point, GError **error);
void hf_mount_free(HfMount *mount);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfMount, hf_mount_free)
/* Warns once that something of `item` cannot be read. */
void hf_mount_warn(HfMount *mount, const HfExportItem *item, const GError *error);
gboolean hf_mount_status(HfExport *export, HfExportItem *item, struct stat *status, GError **error);
/* Without the true st_blocks of disks. */
void hf_node_status(const HfTreeNode *node, const HfShownPoint *point, guint64 inode, struct stat *status);
static inline gint64 hf_blocks_of(guint64 bytes)
{
  return (gint64)((bytes + 511) / 512);
}
HfExportItem *hf_mount_lookup(HfExport *export, HfExportItem *folder, const char *name, GError **error);
