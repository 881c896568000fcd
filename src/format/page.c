/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Pages of level 0 and roots. Millions of entries go through hf_page_add and hf_page_next: the first makes room once
 * for an entry and then writes by pointer, the second allocates nothing.
 */
#include <sys/stat.h>

#include "base/error.h"
#include "format/tree.h"

#define FLAGS_KNOWN 0x1f
#define DISK_FLAGS (HF_ENTRY_RACY | HF_ENTRY_INCOMPLETE)
#define MODE_KNOWN 0177777u
#define NSEC_MAX 999999999u
#define SIZE_MAX_FILE ((guint64)G_MAXINT64)
/* What an entry takes besides its name, target and extras: fewer than 20 varints and bytes. */
#define ENTRY_FIXED_BYTES (20u * HF_VARINT_BYTES)

/* ---- Names ---- */

gboolean hf_name_valid(HfView name)
{
  if (name.length == 0 || name.length > HF_NAME_MAX)
    return FALSE;
  if (name.data[0] == '.' && (name.length == 1 || (name.length == 2 && name.data[1] == '.')))
    return FALSE;
  return memchr(name.data, '/', name.length) == NULL && memchr(name.data, '\0', name.length) == NULL;
}

gboolean hf_path_valid(HfView path)
{
  if (path.length == 0 || path.length > HF_PATH_MAX || path.data[0] != '/')
    return FALSE;
  if (path.length == 1)
    return TRUE;
  const guint8 *at = path.data, *end = path.data + path.length;
  while (at != end) {
    const guint8 *name = at + 1, *slash = memchr(name, '/', (gsize)(end - name));
    at = slash != NULL ? slash : end;
    if (!hf_name_valid((HfView){ name, (gsize)(at - name) }))
      return FALSE;
  }
  return TRUE;
}

int hf_name_compare(HfView a, HfView b)
{
  int order = memcmp(a.data, b.data, MIN(a.length, b.length));
  return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

/* ---- Writing ---- */

void hf_page_begin(HfPageWriter *writer, gboolean roots, const HfId *tail)
{
  *writer = (HfPageWriter){ .payload = g_byte_array_new(), .refs = g_array_new(FALSE, FALSE, sizeof(HfId)),
                            .roots = roots };
  const guint8 head[2] = { 0, tail != NULL };
  g_byte_array_append(writer->payload, head, sizeof head);
  if (tail != NULL)
    g_array_append_vals(writer->refs, tail, 1);
}

void hf_page_clear(HfPageWriter *writer)
{
  g_clear_pointer(&writer->payload, g_byte_array_unref);
  g_clear_pointer(&writer->refs, g_array_unref);
}

static guint8 *store_bytes(guint8 *at, HfView view)
{
  at = hf_store_varint(at, view.length);
  if (view.length > 0)
    memcpy(at, view.data, view.length);
  return at + view.length;
}

/* The difference modulo 2^64, so that no two times are too far apart. */
static guint8 *store_difference(guint8 *at, guint64 value, guint64 before)
{
  return hf_store_varint(at, hf_zigzag((gint64)(value - before)));
}

static guint8 *store_disk(guint8 *at, const HfEntry *entry)
{
  at = hf_store_varint(at, entry->size);
  hf_store_u32(at, entry->block_size);
  hf_store_u32(at + 4, entry->sector_size);
  at[8] = entry->content;
  return at + 9;
}

static guint8 *store_by_type(guint8 *at, const HfEntry *entry)
{
  switch (entry->mode & S_IFMT) {
  case S_IFREG:
    at = hf_store_varint(at, entry->size);
    *at++ = entry->content;
    break;
  case S_IFDIR:
    *at++ = entry->content;
    break;
  case S_IFLNK:
    at = store_bytes(at, entry->target);
    break;
  case S_IFCHR:
  case S_IFBLK:
    at = hf_store_varint(at, entry->major);
    at = hf_store_varint(at, entry->minor);
    break;
  default:
    break;
  }
  return at;
}

static guint8 *store_common(guint8 *at, HfPageWriter *writer, const HfEntry *entry)
{
  at = hf_store_varint(at, entry->uid);
  at = hf_store_varint(at, entry->gid);
  at = store_difference(at, (guint64)entry->mtime_sec, (guint64)writer->mtime_sec);
  at = hf_store_varint(at, entry->mtime_nsec);
  at = store_difference(at, (guint64)entry->ctime_sec, (guint64)writer->ctime_sec);
  at = hf_store_varint(at, entry->ctime_nsec);
  at = store_difference(at, entry->inode, writer->inode);
  writer->mtime_sec = entry->mtime_sec;
  writer->ctime_sec = entry->ctime_sec;
  writer->inode = entry->inode;
  if (entry->flags & HF_ENTRY_HARD_LINK)
    at = hf_store_varint(at, entry->device);
  return at;
}

static gboolean is_disk(const HfEntry *entry)
{
  return entry->mode == 0;
}

void hf_page_add(HfPageWriter *writer, const HfEntry *entry)
{
  GByteArray *payload = writer->payload;
  guint old = payload->len;
  gsize room = ENTRY_FIXED_BYTES + entry->name.length + entry->target.length + entry->extras.length;
  g_assert(room <= G_MAXUINT - old);
  g_byte_array_set_size(payload, old + (guint)room);
  guint8 *at = store_bytes(payload->data + old, entry->name);
  at = hf_store_varint(at, entry->mode);
  *at++ = entry->flags;
  if (is_disk(entry)) {
    at = store_disk(at, entry);
  } else {
    at = store_common(at, writer, entry);
    at = store_by_type(at, entry);
  }
  if (entry->flags & HF_ENTRY_EXTRAS)
    at = store_bytes(at, entry->extras);
  g_byte_array_set_size(payload, (guint)(at - payload->data));
  if (entry->content >= HF_CONTENT_BLOB)
    g_array_append_val(writer->refs, entry->ref);
  if (entry->flags & HF_ENTRY_EXTRAS_BLOB)
    g_array_append_val(writer->refs, entry->extras_ref);
  writer->entries++;
}

/* ---- Reading ---- */

gboolean hf_page_open(HfPageReader *page, const void *payload, gsize length, const HfId *refs, guint ref_count,
                      gboolean roots, GError **error)
{
  *page = (HfPageReader){ .reader = hf_reader(payload, length), .refs = refs, .ref_count = ref_count, .roots = roots };
  page->level = hf_get_u8(&page->reader);
  guint8 tail = hf_get_u8(&page->reader);
  page->start = page->reader.next - 2;
  if (page->reader.failed || hf_reader_left(&page->reader) == 0 || length > HF_PAYLOAD_MAX || ref_count > HF_REFS_MAX ||
      page->level > (roots ? 0 : HF_LEVEL_MAX) || tail > 1 || (tail == 1 && (page->level > 0 || ref_count == 0)))
    return hf_fail(error, HF_ERROR_INVALID, "the head of a directory page is malformed");
  if (tail == 1)
    page->tail = &refs[page->next_ref++];
  return TRUE;
}

static void take_ref(HfPageReader *page, HfId *ref)
{
  if (page->next_ref < page->ref_count)
    *ref = page->refs[page->next_ref++];
  else
    hf_reader_fail(&page->reader);
}

static gint64 get_difference(HfReader *reader, guint64 before)
{
  return (gint64)(before + (guint64)hf_get_zigzag(reader));
}

static void get_common(HfPageReader *page, HfEntry *entry)
{
  HfReader *reader = &page->reader;
  entry->uid = (guint32)hf_get_varint(reader, G_MAXUINT32);
  entry->gid = (guint32)hf_get_varint(reader, G_MAXUINT32);
  entry->mtime_sec = page->mtime_sec = get_difference(reader, (guint64)page->mtime_sec);
  entry->mtime_nsec = (guint32)hf_get_varint(reader, NSEC_MAX);
  entry->ctime_sec = page->ctime_sec = get_difference(reader, (guint64)page->ctime_sec);
  entry->ctime_nsec = (guint32)hf_get_varint(reader, NSEC_MAX);
  entry->inode = page->inode = (guint64)get_difference(reader, page->inode);
  if (entry->flags & HF_ENTRY_HARD_LINK)
    entry->device = hf_get_varint(reader, G_MAXUINT64);
}

static gboolean is_power_of_two(guint32 value)
{
  return value != 0 && (value & (value - 1)) == 0;
}

static gboolean disk_valid(const HfEntry *entry)
{
  guint32 block = entry->block_size, sector = entry->sector_size;
  return (entry->flags & ~DISK_FLAGS) == 0 && is_power_of_two(block) && block >= 1u << 18 && block <= 1u << 22 &&
    block != 1u << 21 && is_power_of_two(sector) && sector >= 512 && sector <= 65536 &&
    (entry->content == HF_CONTENT_NONE || (entry->content == HF_CONTENT_MAP && entry->size > 0));
}

static void get_disk(HfPageReader *page, HfEntry *entry)
{
  HfReader *reader = &page->reader;
  entry->size = hf_get_varint(reader, SIZE_MAX_FILE);
  entry->block_size = hf_get_u32(reader);
  entry->sector_size = hf_get_u32(reader);
  entry->content = hf_get_u8(reader);
  if (!disk_valid(entry))
    hf_reader_fail(reader);
}

static void get_file(HfPageReader *page, HfEntry *entry)
{
  HfReader *reader = &page->reader;
  entry->size = hf_get_varint(reader, SIZE_MAX_FILE);
  entry->content = hf_get_u8(reader);
  gboolean valid = entry->size > 0;
  switch (entry->content) {
  case HF_CONTENT_NONE:
    valid = entry->size == 0 || (entry->flags & HF_ENTRY_INCOMPLETE);
    break;
  case HF_CONTENT_INLINE:
    entry->tail_offset = page->tail_length;
    valid = valid && page->tail != NULL && entry->size <= HF_PAYLOAD_MAX - page->tail_length;
    if (valid)
      page->tail_length += entry->size;
    break;
  case HF_CONTENT_BLOB:
    valid = valid && entry->size <= HF_PAYLOAD_MAX;
    break;
  case HF_CONTENT_LIST:
    break;
  default:
    valid = FALSE;
  }
  if (!valid)
    hf_reader_fail(reader);
}

static void get_by_type(HfPageReader *page, HfEntry *entry)
{
  HfReader *reader = &page->reader;
  switch (entry->mode & S_IFMT) {
  case S_IFREG:
    get_file(page, entry);
    break;
  case S_IFDIR:
    entry->content = hf_get_u8(reader);
    if ((entry->content != HF_CONTENT_NONE && entry->content != HF_CONTENT_PAGE) || (entry->flags & HF_ENTRY_HARD_LINK))
      hf_reader_fail(reader);
    break;
  case S_IFLNK:
    entry->target = hf_get_bytes(reader, HF_SYMLINK_MAX);
    if (entry->target.length == 0 || memchr(entry->target.data, '\0', entry->target.length) != NULL)
      hf_reader_fail(reader);
    break;
  case S_IFCHR:
  case S_IFBLK:
    entry->major = (guint32)hf_get_varint(reader, G_MAXUINT32);
    entry->minor = (guint32)hf_get_varint(reader, G_MAXUINT32);
    break;
  case S_IFIFO:
  case S_IFSOCK:
    break;
  default:
    hf_reader_fail(reader);
  }
}

static void get_extras(HfPageReader *page, HfEntry *entry)
{
  if (entry->flags & HF_ENTRY_EXTRAS) {
    entry->extras = hf_get_bytes(&page->reader, HF_PAYLOAD_MAX);
    if (entry->extras.length == 0 || (entry->flags & HF_ENTRY_EXTRAS_BLOB) || !hf_extras_valid(entry->extras))
      hf_reader_fail(&page->reader);
  }
  if (entry->flags & HF_ENTRY_EXTRAS_BLOB)
    take_ref(page, &entry->extras_ref);
}

/* What ends a page: nothing is left of the payload, nor of the refs, and a tail is somebody's. */
static gboolean finish(const HfPageReader *page, GError **error)
{
  if (page->reader.failed || page->next_ref != page->ref_count || (page->tail != NULL && page->tail_length == 0))
    return hf_fail(error, HF_ERROR_INVALID, "a directory page is malformed");
  return FALSE;
}

/* Whether a page may go on with one more entry. Roots are never cut. */
static gboolean has_room(const HfPageReader *page)
{
  return page->roots ||
    (page->entries < HF_PAGE_ENTRIES_MAX && (gsize)(page->reader.end - page->start) <= HF_PAGE_BYTES_MAX);
}

gboolean hf_page_next(HfPageReader *page, HfEntry *entry, GError **error)
{
  HfReader *reader = &page->reader;
  if (hf_reader_left(reader) == 0)
    return finish(page, error);
  memset(entry, 0, sizeof *entry);
  entry->name = hf_get_bytes(reader, page->roots ? HF_PATH_MAX : HF_NAME_MAX);
  entry->mode = (guint32)hf_get_varint(reader, MODE_KNOWN);
  entry->flags = hf_get_u8(reader);
  if (!(page->roots ? hf_path_valid(entry->name) : hf_name_valid(entry->name)) || (entry->flags & ~FLAGS_KNOWN) ||
      (page->entries > 0 && hf_name_compare(page->last_name, entry->name) >= 0) || !has_room(page))
    hf_reader_fail(reader);
  if (page->roots && is_disk(entry)) {
    get_disk(page, entry);
  } else {
    get_common(page, entry);
    get_by_type(page, entry);
  }
  if (entry->content >= HF_CONTENT_BLOB)
    take_ref(page, &entry->ref);
  get_extras(page, entry);
  if (reader->failed)
    return finish(page, error);
  page->last_name = entry->name;
  page->entries++;
  return TRUE;
}
