/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fakedisk.h"

#include <string.h>

#include "base/error.h"
#include "base/work.h"
#include "fixture.h"

#define PAGE 4096u

static GPtrArray *all_fakes; /* of FakeDisk* */

typedef struct OpenFake {
  HfDisk disk; /* first */
  FakeDisk *fake;
} OpenFake;

/* ---- The table. ---- */

FakeDisk *fake_disk_new(const char *path, guint64 size)
{
  FakeDisk *fake = g_new0(FakeDisk, 1);
  fake->path = g_strdup(path);
  fake->size = size;
  fake->sector_size = 512;
  fake->ranges = g_array_new(FALSE, FALSE, sizeof(FakeRange));
  fake->extents = g_array_new(FALSE, FALSE, sizeof(FakeExtent));
  fake->bad_extent = G_MAXUINT64;
  g_mutex_init(&fake->lock);
  if (all_fakes == NULL)
    all_fakes = g_ptr_array_new();
  g_ptr_array_add(all_fakes, fake);
  return fake;
}

void fake_disk_free(FakeDisk *fake)
{
  g_ptr_array_remove(all_fakes, fake);
  g_array_unref(fake->ranges);
  g_array_unref(fake->extents);
  g_mutex_clear(&fake->lock);
  g_free(fake->since);
  g_free(fake->path);
  g_free(fake);
}

void fake_disk_noise(FakeDisk *fake, guint64 offset, guint64 length, guint64 seed)
{
  FakeRange range = { offset, length, seed };
  g_array_append_val(fake->ranges, range);
}

void fake_disk_extent(FakeDisk *fake, guint64 length, HfExtentKind kind)
{
  FakeExtent extent = { 0, length, kind };
  if (fake->extents->len > 0) {
    const FakeExtent *last = &g_array_index(fake->extents, FakeExtent, fake->extents->len - 1);
    extent.offset = last->offset + last->length;
  }
  g_array_append_val(fake->extents, extent);
}

static void lay_range(const FakeRange *range, guint64 offset, guint8 *bytes, gsize length)
{
  guint64 from = MAX(offset, range->offset), to = MIN(offset + length, range->offset + range->length);
  while (from < to) {
    guint8 page[PAGE];
    guint64 number = from / PAGE;
    gsize inside = (gsize)(from % PAGE), part = (gsize)MIN(to - from, PAGE - inside);
    hf_fixture_noise(page, PAGE, range->seed * 1000003 + number);
    memcpy(bytes + (from - offset), page + inside, part);
    from += part;
  }
}

void fake_disk_bytes(const FakeDisk *fake, guint64 offset, guint8 *bytes, gsize length)
{
  memset(bytes, 0, length);
  for (guint i = 0; i < fake->ranges->len; i++)
    lay_range(&g_array_index(fake->ranges, FakeRange, i), offset, bytes, length);
}

void fake_disk_reset(FakeDisk *fake)
{
  g_array_set_size(fake->extents, 0);
  fake->bytes_read = fake->longest_read = 0;
  fake->opened = 0;
  g_clear_pointer(&fake->since, g_free);
}

/* ---- The driver. ---- */

static gboolean fake_extent(HfDisk *disk, guint64 offset, HfExtentKind *kind, guint64 *length, GError **error)
{
  const FakeDisk *fake = ((OpenFake *)disk)->fake;
  *kind = HF_EXTENT_DATA;
  *length = fake->size - offset;
  if (offset == fake->bad_extent)
    return hf_fail(error, HF_ERROR_IO, "the extent is bad");
  for (guint i = 0; i < fake->extents->len; i++) {
    const FakeExtent *extent = &g_array_index(fake->extents, FakeExtent, i);
    if (offset >= extent->offset + extent->length)
      continue;
    *kind = extent->kind;
    *length = MIN(extent->offset + extent->length, fake->size) - offset;
    break;
  }
  return TRUE;
}

static gboolean fake_read(HfDisk *disk, guint64 offset, void *bytes, gsize length, GError **error)
{
  FakeDisk *fake = ((OpenFake *)disk)->fake;
  g_assert_cmpuint(offset + length, <=, fake->size);
  HF_LOCK(&fake->lock);
  fake->bytes_read += length;
  fake->longest_read = MAX(fake->longest_read, length);
  if (fake->bad_times != 0 && offset < fake->bad_offset + fake->bad_length && offset + length > fake->bad_offset) {
    fake->bad_times -= fake->bad_times > 0 ? 1 : 0;
    return hf_fail(error, (HfErrorCode)fake->bad_code, "the medium is bad");
  }
  fake_disk_bytes(fake, offset, bytes, length);
  return TRUE;
}

static gboolean fake_changed(HfDisk *disk)
{
  return ((OpenFake *)disk)->fake->changed;
}

static GBytes *fake_cookie(HfDisk *disk)
{
  const FakeDisk *fake = ((OpenFake *)disk)->fake;
  return fake->cookie != NULL ? g_bytes_new(fake->cookie, strlen(fake->cookie)) : NULL;
}

static const HfDiskOps fake_ops = { .extent = fake_extent, .read = fake_read, .changed = fake_changed,
                                    .cookie = fake_cookie };

HfDisk *hf_disk_open(const char *path, GBytes *since, GError **error)
{
  for (guint i = 0; i < all_fakes->len; i++) {
    FakeDisk *fake = all_fakes->pdata[i];
    if (strcmp(fake->path, path) != 0)
      continue;
    OpenFake *open = g_new0(OpenFake, 1);
    open->disk = (HfDisk){ .ops = &fake_ops, .path = g_strdup(path), .size = fake->size,
                           .sector_size = fake->sector_size, .in_use = fake->in_use };
    open->disk.use = fake->in_use ? g_strdup("used by a test") : NULL;
    open->fake = fake;
    fake->opened++;
    g_free(fake->since);
    fake->since = since != NULL ? g_strndup(g_bytes_get_data(since, NULL), g_bytes_get_size(since)) : NULL;
    return &open->disk;
  }
  hf_fail(error, HF_ERROR_NOT_FOUND, "there is no disk '%s'", path);
  return NULL;
}

void hf_disk_free(HfDisk *disk)
{
  if (disk == NULL)
    return;
  g_free(disk->path);
  g_free(disk->use);
  g_free(disk);
}
