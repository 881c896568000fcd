/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What servers of file trees (fuse/) show: an interface that is implemented above them, by who has a tree. Read-only.
 *
 * An item is what stands under one name in one folder. References to one item are one pointer as long as one of them is
 * held, so a server may use it as its handle. What lies below a folder whose lifetime is HF_EXPORT_FOREVER never
 * changes.
 *
 * Threads: all functions may be called from any thread, several at once; only what is said to be in one hand is not.
 * Names and paths are bytes without NUL. Errors: HF_ERROR_PERMISSION, HF_ERROR_NOT_FOUND, HF_ERROR_USAGE (not that
 * kind of item), else what is stored cannot be read: whoever implements this has warned about it by then.
 */
#pragma once

#include <glib.h>
#include <sys/stat.h>

#define HF_EXPORT_FOREVER G_MAXUINT

typedef struct HfExport HfExport;
typedef struct HfExportItem HfExportItem;
typedef struct HfExportList HfExportList;
typedef struct HfExportFile HfExportFile;

typedef struct HfExportEntry {
  const char *name;
  struct stat status; /* as `status` gives it */
  HfExportItem *item; /* a reference for who takes the entry, when items were asked for; else NULL */
} HfExportEntry;
/* FALSE: there is no room; the entry is not taken. */
typedef gboolean (*HfExportEntryFunc)(const HfExportEntry *entry, guint64 position, gpointer user);

typedef struct HfExportOps {
  /* ---- Items. ---- */
  /* The topmost folder; borrowed, it lives as long as the export. */
  HfExportItem *(*top)(HfExport *export);
  /* The entry `name` of a folder, as a new reference; NULL with error unset when there is none. */
  HfExportItem *(*lookup)(HfExport *export, HfExportItem *folder, const char *name, GError **error);
  /* Gives back `count` references. */
  void (*unref)(HfExport *export, HfExportItem *item, guint64 count);
  /* For how many seconds the item's attributes, what it holds and what it does not hold may be remembered. */
  guint (*lifetime)(HfExport *export, HfExportItem *item);
  /* All members but st_dev. Names of one file have one st_ino, and files that have several a st_nlink above 1. */
  gboolean (*status)(HfExport *export, HfExportItem *item, struct stat *status, GError **error);
  char *(*read_link)(HfExport *export, HfExportItem *item, GError **error);
  /* Appends the encoded extras (format/tree.h): extended attributes, inode flags, project. */
  gboolean (*extras)(HfExport *export, HfExportItem *item, GByteArray *extras, GError **error);

  /* ---- Folders. ---- */
  HfExportList *(*list_open)(HfExport *export, HfExportItem *folder, GError **error);
  /* Gives entry number `position` (from 0) and on to `func`, until it says no or the end. What a damaged page held is
   * left out; the error comes at the end, each time that is asked for. One hand at a time. */
  gboolean (*list_read)(HfExport *export, HfExportList *list, guint64 position, gboolean items, HfExportEntryFunc func,
                        gpointer user, GError **error);
  void (*list_close)(HfExport *export, HfExportList *list);

  /* ---- Regular files. ---- */
  HfExportFile *(*open)(HfExport *export, HfExportItem *item, GError **error);
  /* Fewer than `length` bytes at the end only; -1 on error. */
  gssize (*read)(HfExport *export, HfExportFile *file, guint64 offset, void *bytes, gsize length, GError **error);
  /* The extent at `offset`, below the size: a hole or not, and its length. */
  gboolean (*extent)(HfExport *export, HfExportFile *file, guint64 offset, gboolean *hole, guint64 *length,
                     GError **error);
  guint64 (*size)(HfExport *export, HfExportFile *file);
  void (*close)(HfExport *export, HfExportFile *file);
} HfExportOps;

/* Whoever implements it has this as the first member of his own struct. */
struct HfExport {
  const HfExportOps *ops;
};
