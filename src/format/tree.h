/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Payloads of metadata blobs: pages and their entries, roots, lists, disk maps (format.md 7). Builders append to a
 * payload and collect refs; iterators walk a payload and its refs together, so that refs are used up in order. Strings
 * and extras of an entry are views into the payload.
 */
#pragma once

#include "format/blob.h"

#define HF_NAME_MAX 255u
#define HF_PATH_MAX 65535u
#define HF_SYMLINK_MAX 4095u
#define HF_PAGE_ENTRIES_MAX 1024u
#define HF_PAGE_FULL_BYTES (256u << 10) /* what a writer cuts a page after (format.md 7.4) */
#define HF_PAGE_BYTES_MAX (512u << 10)  /* no payload of a page is longer than that, but roots */
#define HF_LEVEL_MAX 7u                 /* of pages and lists */

/* Whether `name` may be the name of an entry of a directory, `path` that of a root or disk. */
gboolean hf_name_valid(HfView name);
gboolean hf_path_valid(HfView path);
/* Bytewise; negative, 0 or positive. */
int hf_name_compare(HfView a, HfView b);

typedef enum HfEntryFlag {
  HF_ENTRY_RACY = 1 << 0, HF_ENTRY_EXTRAS = 1 << 1, HF_ENTRY_HARD_LINK = 1 << 2, HF_ENTRY_EXTRAS_BLOB = 1 << 3,
  HF_ENTRY_INCOMPLETE = 1 << 4,
} HfEntryFlag;

typedef enum HfContent {
  HF_CONTENT_NONE = 0,   /* empty file or directory, disk of zeros */
  HF_CONTENT_INLINE = 1, /* in the tail of the page */
  HF_CONTENT_BLOB = 2, HF_CONTENT_LIST = 3, HF_CONTENT_PAGE = 4, HF_CONTENT_MAP = 5,
} HfContent;

/* One entry of a directory, a root, or (mode 0) a disk. */
typedef struct HfEntry {
  HfView name;
  guint32 mode, uid, gid;
  guint8 flags, content;
  gint64 mtime_sec, ctime_sec;
  guint32 mtime_nsec, ctime_nsec;
  guint64 inode, device; /* device only with HF_ENTRY_HARD_LINK */
  guint64 size;          /* regular files and disks */
  HfView target;         /* symlinks */
  guint32 major, minor;  /* devices */
  guint32 block_size, sector_size; /* disks */
  HfView extras;         /* encoded extras (hf_extras_*), with HF_ENTRY_EXTRAS */
  HfId extras_ref;       /* with HF_ENTRY_EXTRAS_BLOB */
  HfId ref;              /* with content BLOB, LIST, PAGE, MAP */
  guint64 tail_offset;   /* read only: where an inline file begins in the tail */
} HfEntry;

/* ---- Writing a page of level 0, or roots. ---- */
typedef struct HfPageWriter {
  GByteArray *payload;
  GArray *refs; /* of HfId */
  guint entries;
  gboolean roots;
  gint64 mtime_sec, ctime_sec; /* of the entry before */
  guint64 inode;
} HfPageWriter;
/* Makes an empty page; what `writer` held before is forgotten, not freed. `tail` is the tail blob or NULL; it must be
 * known before the first entry. */
void hf_page_begin(HfPageWriter *writer, gboolean roots, const HfId *tail);
/* Entries come in the order of their names and keep the rules of the format: nothing is checked here. */
void hf_page_add(HfPageWriter *writer, const HfEntry *entry);
void hf_page_clear(HfPageWriter *writer);

/* ---- Reading a page of level 0, or roots. Checks every rule of the format, order of names included. ---- */
typedef struct HfPageReader {
  HfReader reader;
  const HfId *refs;
  guint ref_count, next_ref;
  gboolean roots;
  guint8 level;
  const HfId *tail; /* NULL: none */
  guint64 tail_length;  /* of the entries read so far; at the end, of the whole tail */
  const guint8 *start;
  guint entries;        /* read so far */
  guint64 below;        /* level 1 and up: entries below those read so far */
  gint64 mtime_sec, ctime_sec;
  guint64 inode;
  HfView last_name;
} HfPageReader;
/* `level` tells how to go on: pages of level 1 and up are read with hf_node_next. Views of entries point into
 * `payload`, which with `refs` must outlive the reader. */
gboolean hf_page_open(HfPageReader *page, const void *payload, gsize length, const HfId *refs, guint ref_count,
                      gboolean roots, GError **error);
/* FALSE at the end (error unset) or on malformed input (error set). */
gboolean hf_page_next(HfPageReader *page, HfEntry *entry, GError **error);

/* ---- Pages of level 1 and up. ---- */
typedef struct HfNodeItem {
  HfView last_name;
  guint64 entries;
  HfId ref;
} HfNodeItem;
void hf_node_begin(GByteArray *payload, guint8 level);
void hf_node_add(GByteArray *payload, GArray *refs, const HfNodeItem *item);
gboolean hf_node_next(HfPageReader *page, HfNodeItem *item, GError **error); /* after hf_page_open, level >= 1 */

/* ---- Extras. Writing: tags must rise, and so the names of extended attributes (whose bytes are name, NUL, value). */
typedef enum HfExtra { HF_EXTRA_XATTR = 1, HF_EXTRA_INODE_FLAGS = 2, HF_EXTRA_PROJECT = 3 } HfExtra;
void hf_extras_add(GByteArray *extras, HfExtra tag, const void *value, gsize length);
/* FALSE at the end (error unset) or on malformed input (error set); tags, their order and values are checked. */
gboolean hf_extras_next(HfReader *extras, guint64 *tag, HfView *value, GError **error);
/* Whether `extras` can be read to the end. */
gboolean hf_extras_valid(HfView extras);

/* ---- Lists of a file. ---- */
typedef struct HfListItem {
  guint64 length; /* bytes of the file covered */
  gboolean hole;
  HfId ref;
} HfListItem;
void hf_list_begin(GByteArray *payload, guint8 level);
void hf_list_add(GByteArray *payload, GArray *refs, guint8 level, const HfListItem *item);
typedef struct HfListReader {
  HfReader reader;
  const HfId *refs;
  guint ref_count, next_ref, items;
  guint8 level;
  guint64 covered; /* bytes of the file covered by the items read so far */
} HfListReader;
gboolean hf_list_open(HfListReader *list, const void *payload, gsize length, const HfId *refs, guint ref_count,
                      GError **error);
/* FALSE at the end (error unset) or on malformed input (error set). */
gboolean hf_list_next(HfListReader *list, HfListItem *item, GError **error);

/* ---- Disk maps. ---- */
#define HF_MAP_FANOUT 1024u
#define HF_MAP_LEVEL_MAX 6u
/* `present` has `count` flags (0, 1); refs stand in order for the set ones. */
void hf_map_encode(guint8 level, const guint8 *present, guint count, GByteArray *payload);
/* `index` (HF_MAP_FANOUT entries, caller's) becomes the ref number of each child, or -1 for zeros. */
gboolean hf_map_decode(const void *payload, gsize length, guint ref_count, guint8 *level, guint *count, gint32 *index,
                       GError **error);
/* The level of the topmost map of a disk of `blocks` blocks (0: up to 1,024). */
guint8 hf_map_level(guint64 blocks);
