/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <sys/stat.h>

#include "walk.h"

static gboolean decode(const guint8 *bytes, gsize length, GError **error)
{
  return walk_page(bytes, length, FALSE, error);
}

static gboolean decode_roots(const guint8 *bytes, gsize length, GError **error)
{
  return walk_page(bytes, length, TRUE, error);
}

/* ---- A page with one entry of each kind ---- */

#define VIEW(text) { (const guint8 *)(text), sizeof(text) - 1 }

typedef struct EntryRow {
  const char *golden;
  HfEntry entry;
  guint8 ref, extras_ref; /* values of their bytes; 0: none */
} EntryRow;

static const EntryRow rows[] = {
  { "01 'a' a48302 00 e807 00 d00f 05 d00f 00 9a01 0a 01",
    { .name = VIEW("a"),
      .mode = S_IFREG | 0644,
      .uid = 1000,
      .mtime_sec = 1000,
      .mtime_nsec = 5,
      .ctime_sec = 1000,
      .inode = 77,
      .size = 10,
      .content = HF_CONTENT_INLINE },
    0,
    0 },
  { "01 'b' ed8301 10 00 00 13 ff93ebdc03 00 00 01 04",
    { .name = VIEW("b"),
      .mode = S_IFDIR | 0755,
      .flags = HF_ENTRY_INCOMPLETE,
      .mtime_sec = 990,
      .mtime_nsec = 999999999,
      .ctime_sec = 1000,
      .inode = 76,
      .content = HF_CONTENT_PAGE },
    1,
    0 },
  { "01 'c' a48302 06 ffffffff0f ffffffff0f 00 00 00 00 00 8110 a846 02 0b 01 09 'user.a' 00 'xy'",
    { .name = VIEW("c"),
      .mode = S_IFREG | 0644,
      .flags = HF_ENTRY_EXTRAS | HF_ENTRY_HARD_LINK,
      .uid = G_MAXUINT32,
      .gid = G_MAXUINT32,
      .mtime_sec = 990,
      .ctime_sec = 1000,
      .inode = 76,
      .device = 2049,
      .size = 9000,
      .content = HF_CONTENT_BLOB,
      .extras = VIEW("\x01\x09user.a\0xy") },
    2,
    0 },
  { "01 'd' a48302 01 00 00 00 00 00 00 02 ffffffffffffffff7f 03",
    { .name = VIEW("d"),
      .mode = S_IFREG | 0644,
      .flags = HF_ENTRY_RACY,
      .mtime_sec = 990,
      .ctime_sec = 1000,
      .inode = 77,
      .size = G_MAXINT64,
      .content = HF_CONTENT_LIST },
    3,
    0 },
  { "01 'e' ffc302 00 00 00 00 00 00 00 00 01 'a'",
    { .name = VIEW("e"),
      .mode = S_IFLNK | 0777,
      .mtime_sec = 990,
      .ctime_sec = 1000,
      .inode = 77,
      .target = VIEW("a") },
    0,
    0 },
  { "01 'f' b643 00 00 00 00 00 00 00 00 01 03",
    { .name = VIEW("f"),
      .mode = S_IFCHR | 0666,
      .mtime_sec = 990,
      .ctime_sec = 1000,
      .inode = 77,
      .major = 1,
      .minor = 3 },
    0,
    0 },
  { "01 'g' b0c301 00 00 00 00 00 00 00 00 08 ac02",
    { .name = VIEW("g"),
      .mode = S_IFBLK | 0660,
      .mtime_sec = 990,
      .ctime_sec = 1000,
      .inode = 77,
      .major = 8,
      .minor = 300 },
    0,
    0 },
  { "01 'h' a423 00 00 00 00 00 00 00 00",
    { .name = VIEW("h"), .mode = S_IFIFO | 0644, .mtime_sec = 990, .ctime_sec = 1000, .inode = 77 },
    0,
    0 },
  { "01 'i' ed8303 00 00 00 00 00 00 00 00",
    { .name = VIEW("i"), .mode = S_IFSOCK | 0755, .mtime_sec = 990, .ctime_sec = 1000, .inode = 77 },
    0,
    0 },
  { "01 'j' ed8301 08 00 00 00 00 00 00 00 00",
    { .name = VIEW("j"),
      .mode = S_IFDIR | 0755,
      .flags = HF_ENTRY_EXTRAS_BLOB,
      .mtime_sec = 990,
      .ctime_sec = 1000,
      .inode = 77 },
    0,
    4 },
  { "02 'ja' ed8302 08 00 00 00 00 00 00 00 01 02",
    { .name = VIEW("ja"),
      .mode = S_IFREG | 0755,
      .flags = HF_ENTRY_EXTRAS_BLOB,
      .mtime_sec = 990,
      .ctime_sec = 1000,
      .inode = 77,
      .size = 1,
      .content = HF_CONTENT_BLOB },
    5,
    6 },
  { "02 'jb' a48302 00 00 00 00 00 00 00 00 00 00",
    { .name = VIEW("jb"), .mode = S_IFREG | 0644, .mtime_sec = 990, .ctime_sec = 1000, .inode = 77 },
    0,
    0 },
  { "02 6aff a48302 10 00 00 00 00 00 00 00 a846 00",
    { .name = VIEW("j\xff"),
      .mode = S_IFREG | 0644,
      .flags = HF_ENTRY_INCOMPLETE,
      .mtime_sec = 990,
      .ctime_sec = 1000,
      .inode = 77,
      .size = 9000 },
    0,
    0 },
  /* Times and numbers as far apart as can be. */
  { "01 'k' a423 00 00 00 c4f0ffffffffffffff01 00 aef0ffffffffffffff01 00 9b01",
    { .name = VIEW("k"),
      .mode = S_IFIFO | 0644,
      .mtime_sec = G_MININT64,
      .ctime_sec = G_MAXINT64,
      .inode = G_MAXUINT64 },
    0,
    0 },
  { "01 'l' a423 00 00 00 01 00 02 00 02",
    { .name = VIEW("l"), .mode = S_IFIFO | 0644, .mtime_sec = G_MAXINT64, .ctime_sec = G_MININT64, .inode = 0 },
    0,
    0 },
  { "01 'm' a48302 00 00 00 01 00 02 00 00 05 01",
    { .name = VIEW("m"),
      .mode = S_IFREG | 0644,
      .mtime_sec = G_MAXINT64 - 1,
      .ctime_sec = G_MININT64 + 1,
      .inode = 0,
      .size = 5,
      .content = HF_CONTENT_INLINE },
    0,
    0 },
};
#define ROW_REFS 7

static void assert_same(const HfEntry *found, const EntryRow *row)
{
  const HfEntry *wanted = &row->entry;
  assert_bytes(found->name.data, found->name.length, wanted->name.data, wanted->name.length);
  g_assert_cmpuint(found->mode, ==, wanted->mode);
  g_assert_cmpuint(found->uid, ==, wanted->uid);
  g_assert_cmpuint(found->gid, ==, wanted->gid);
  g_assert_cmpuint(found->flags, ==, wanted->flags);
  g_assert_cmpuint(found->content, ==, wanted->content);
  g_assert_cmpint(found->mtime_sec, ==, wanted->mtime_sec);
  g_assert_cmpint(found->ctime_sec, ==, wanted->ctime_sec);
  g_assert_cmpuint(found->mtime_nsec, ==, wanted->mtime_nsec);
  g_assert_cmpuint(found->inode, ==, wanted->inode);
  g_assert_cmpuint(found->device, ==, wanted->device);
  g_assert_cmpuint(found->size, ==, wanted->size);
  assert_bytes(found->target.data, found->target.length, wanted->target.data, wanted->target.length);
  g_assert_cmpuint(found->major, ==, wanted->major);
  g_assert_cmpuint(found->minor, ==, wanted->minor);
  assert_bytes(found->extras.data, found->extras.length, wanted->extras.data, wanted->extras.length);
  g_assert_cmpuint(found->ref.b[31], ==, row->ref);
  g_assert_cmpuint(found->extras_ref.b[31], ==, row->extras_ref);
}

static void test_golden(void)
{
  const HfId *refs = test_refs();
  HfPageWriter writer;
  g_autoptr(GString) golden = g_string_new("00 01");
  hf_page_begin(&writer, FALSE, &refs[0]);
  for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
    HfEntry entry = rows[i].entry;
    entry.ref = refs[rows[i].ref];
    entry.extras_ref = refs[rows[i].extras_ref];
    hf_page_add(&writer, &entry);
    g_string_append_printf(golden, " %s", rows[i].golden);
  }
  assert_array_parts(writer.payload, golden->str);
  g_assert_cmpuint(writer.entries, ==, G_N_ELEMENTS(rows));
  g_assert_cmpuint(writer.refs->len, ==, ROW_REFS);
  assert_bytes(writer.refs->data, ROW_REFS * sizeof(HfId), refs, ROW_REFS * sizeof(HfId));

  HfPageReader page;
  HfEntry entry;
  GError *error = NULL;
  g_assert_true(hf_page_open(&page, writer.payload->data, writer.payload->len, refs, ROW_REFS, FALSE, &error));
  g_assert_no_error(error);
  g_assert_cmpuint(page.level, ==, 0);
  g_assert_true(page.tail == &refs[0]);
  for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_assert_true(hf_page_next(&page, &entry, &error));
    g_assert_no_error(error);
    assert_same(&entry, &rows[i]);
    g_assert_cmpuint(entry.tail_offset, ==, i + 1 == G_N_ELEMENTS(rows) ? 10 : 0);
  }
  g_assert_false(hf_page_next(&page, &entry, &error));
  g_assert_no_error(error);
  g_assert_cmpuint(page.tail_length, ==, 15);
  hf_page_clear(&writer);
  g_assert_null(writer.payload);
}

/* The first eleven rows use all refs, so that no page that was cut short before their end passes. */
static void test_cut_short(void)
{
  g_autoptr(GString) golden = g_string_new("00 01");
  for (gsize i = 0; i < 11; i++)
    g_string_append_printf(golden, " %s", rows[i].golden);
  g_autoptr(GByteArray) whole = parts(golden->str);
  GError *error = NULL;
  g_assert_true(copied(whole->data, whole->len, ROW_REFS, decode, &error));
  g_assert_no_error(error);
  for (gsize length = 0; length < whole->len; length++) {
    g_assert_false(copied(whole->data, length, ROW_REFS, decode, &error));
    g_assert_error(error, HF_ERROR, HF_ERROR_INVALID);
    g_clear_error(&error);
  }
}

/* ---- Rules, each broken once. The first byte is the number of refs. ---- */

/* A fifo needs no more than names and numbers. */
#define AFTER_NAME " a423 00 00 00 00 00 00 00 00"
#define FIFO(name) name AFTER_NAME
#define FILE_HEAD "01 'a' a48302 00 00 00 00 00 00 00 00 "

static void test_heads(void)
{
  /* Cut short; no entry; a tail that is nobody's, that has no ref, that is no flag; a ref that is nobody's; a level too
   * many; a tail of a page of level 1. */
  static const char *const bad[] = {
    "00", "00 00", "00 00 00", "01 00 01 " FIFO("01 'a'"), "00 00 01 " FILE_HEAD "01 01", "01 00 02 " FILE_HEAD "01 01",
    "01 00 00 " FIFO("01 'a'"), "01 08 00 01 'a' 01", "02 01 01 01 'a' 01",
  };
  for (gsize i = 0; i < G_N_ELEMENTS(bad); i++)
    assert_refused(decode, bad[i]);
  assert_taken(decode, "00 00 00 " FIFO("01 'a'"));
  assert_taken(decode, "01 00 01 " FILE_HEAD "01 01");
  assert_refused(decode_roots, "01 01 00 02 '/a' 01");
}

static void test_names(void)
{
  static const char *const bad[] = {
    "00", "01 '.'", "02 '..'", "01 '/'", "03 'a/b'", "02 6100", "8002 61*256",
  };
  static const char *const good[] = { "01 'a'", "03 '...'", "02 '.a'", "03 '..a'", "ff01 61*255", "01 ff", "01 0a" };
  for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
    g_autofree char *text = g_strdup_printf("00 00 00 %s" AFTER_NAME, bad[i]);
    assert_refused(decode, text);
  }
  for (gsize i = 0; i < G_N_ELEMENTS(good); i++) {
    g_autofree char *text = g_strdup_printf("00 00 00 %s" AFTER_NAME, good[i]);
    assert_taken(decode, text);
  }
}

static void test_order(void)
{
  assert_taken(decode, "00 00 00 " FIFO("01 'a'") FIFO(" 02 'aa'") FIFO(" 01 'b'") FIFO(" 01 80"));
  assert_refused(decode, "00 00 00 " FIFO("01 'a'") FIFO(" 01 'a'"));
  assert_refused(decode, "00 00 00 " FIFO("01 'b'") FIFO(" 01 'a'"));
  assert_refused(decode, "00 00 00 " FIFO("02 'aa'") FIFO(" 01 'a'"));
  assert_refused(decode, "00 00 00 " FIFO("01 80") FIFO(" 01 'a'"));
}

static void test_values(void)
{
  static const char *const bad[] = {
    /* mode: no type, unknown type, more than 16 bits */
    "00 00 00 01 'a' a403 00 00 00 00 00 00 00 00", "00 00 00 01 'a' 80e001 00 00 00 00 00 00 00 00",
    "00 00 00 01 'a' 808004 00 00 00 00 00 00 00 00", "00 00 00 01 'a' 00 00 00 00 00 00 00 00 00",
    /* flags 5, 6, 7 */
    "00 00 00 01 'a' a423 20 00 00 00 00 00 00 00", "00 00 00 01 'a' a423 40 00 00 00 00 00 00 00",
    "00 00 00 01 'a' a423 80 00 00 00 00 00 00 00",
    /* uid, gid of more than 32 bits */
    "00 00 00 01 'a' a423 00 8080808010 00 00 00 00 00 00", "00 00 00 01 'a' a423 00 00 8080808010 00 00 00 00 00",
    /* nanoseconds of a second */
    "00 00 00 01 'a' a423 00 00 00 00 8094ebdc03 00 00 00", "00 00 00 01 'a' a423 00 00 00 00 00 00 8094ebdc03 00",
    /* longer varints than needed */
    "00 00 00 8100 'a' a423 00 00 00 00 00 00 00 00", "00 00 00 01 'a' a423 00 00 00 8000 00 00 00 00",
    /* devices of more than 32 bits */
    "00 00 00 01 'a' b643 00 00 00 00 00 00 00 00 8080808010 00",
    "00 00 00 01 'a' b643 00 00 00 00 00 00 00 00 00 8080808010",
    /* symlinks: empty, too long, with NUL */
    "00 00 00 01 'a' ffc302 00 00 00 00 00 00 00 00 00", "00 00 00 01 'a' ffc302 00 00 00 00 00 00 00 00 8020 61*4096",
    "00 00 00 01 'a' ffc302 00 00 00 00 00 00 00 00 02 6100",
    /* a hard link that is a directory */
    "00 00 00 01 'a' ed8301 04 00 00 00 00 00 00 00 00 00",
  };
  for (gsize i = 0; i < G_N_ELEMENTS(bad); i++)
    assert_refused(decode, bad[i]);
  assert_taken(decode, "00 00 00 01 'a' ffc302 00 00 00 00 00 00 00 00 ff1f 61*4095");
  assert_taken(decode, "00 00 00 01 'a' a423 04 00 00 00 00 00 00 00 ff*9 01");
}

static void test_contents(void)
{
  /* The content stands last; the number of refs first. */
  static const char *const bad[] = {
    "00 00 00 " FILE_HEAD "05 00", "00 00 00 " FILE_HEAD "05 01", "01 00 01 " FILE_HEAD "00 01",
    "01 00 00 " FILE_HEAD "00 02", "01 00 00 " FILE_HEAD "00 03", "01 00 00 " FILE_HEAD "05 04",
    "01 00 00 " FILE_HEAD "05 05", "01 00 00 " FILE_HEAD "05 06", "01 00 00 " FILE_HEAD "81808004 02",
    "01 00 00 " FILE_HEAD "80*9 01 03", "01 00 01 " FILE_HEAD "81808004 01", "01 00 01 " FILE_HEAD "00 00",
    "00 00 00 " FILE_HEAD "05 02", "00 00 00 " FILE_HEAD "05 03", "02 00 00 " FILE_HEAD "05 02",
    "01 00 00 " FILE_HEAD "00 00",
    "01 00 00 01 'a' ed8301 00 00 00 00 00 00 00 00 02", "01 00 00 01 'a' ed8301 00 00 00 00 00 00 00 00 01",
    "00 00 00 01 'a' ed8301 00 00 00 00 00 00 00 00 04",
    /* two files that are longer than a tail together */
    "01 00 01 " FILE_HEAD "80808004 01 01 'b' a48302 00 00 00 00 00 00 00 00 01 01",
  };
  for (gsize i = 0; i < G_N_ELEMENTS(bad); i++)
    assert_refused(decode, bad[i]);
  assert_taken(decode, "01 00 00 " FILE_HEAD "80808004 02");
  assert_taken(decode, "01 00 01 " FILE_HEAD "80808004 01");
  assert_taken(decode, "01 00 00 " FILE_HEAD "ffffffffffffffff7f 03");
}

static void test_extras(void)
{
  static const char *const bad[] = {
    "00 00 00 01 'a' a423 02 00 00 00 00 00 00 00",
    "00 00 00 01 'a' a423 02 00 00 00 00 00 00 00 00",
    "00 00 00 01 'a' a423 02 00 00 00 00 00 00 00 01 02",
    "00 00 00 01 'a' a423 02 00 00 00 00 00 00 00 07 02 04 01020304",
    "01 00 00 01 'a' a423 0a 00 00 00 00 00 00 00 06 02 04 01020304",
    "00 00 00 01 'a' a423 08 00 00 00 00 00 00 00",
    "00 00 00 01 'a' a423 02 00 00 00 00 00 00 00 0c 03 04 01020304 02 04 01020304",
  };
  for (gsize i = 0; i < G_N_ELEMENTS(bad); i++)
    assert_refused(decode, bad[i]);
  assert_taken(decode, "00 00 00 01 'a' a423 02 00 00 00 00 00 00 00 06 02 04 01020304");
  assert_taken(decode, "01 00 00 01 'a' a423 08 00 00 00 00 00 00 00");
}

/* `count` fifos; names of four hex digits, then `padding` bytes. */
static GByteArray *many(guint count, guint padding)
{
  HfPageWriter writer;
  g_autofree char *fill_text = g_strnfill(padding, 'x');
  hf_page_begin(&writer, FALSE, NULL);
  for (guint i = 0; i < count; i++) {
    g_autofree char *name = g_strdup_printf("%04x%s", i, fill_text);
    HfEntry entry = { .name = { (const guint8 *)name, strlen(name) }, .mode = S_IFIFO | 0644 };
    hf_page_add(&writer, &entry);
  }
  GByteArray *payload = g_byte_array_ref(writer.payload);
  hf_page_clear(&writer);
  return payload;
}

static void test_full(void)
{
  g_autoptr(GByteArray) full = many(1024, 0), over = many(1025, 0);
  GError *error = NULL;
  g_assert_true(copied(full->data, full->len, 0, decode, &error));
  g_assert_no_error(error);
  g_assert_false(copied(over->data, over->len, 0, decode, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_INVALID);
  g_clear_error(&error);
  /* Seven entries of 64 KiB and a few bytes each stay below 512 KiB, eight do not. */
  g_autoptr(GString) text = g_string_new("00 00 00");
  for (guint i = 0; i < 7; i++)
    g_string_append_printf(text, " 01 %02x a423 02 00 00 00 00 00 00 00 868004 01 828004 6100 00*65536", 'a' + i);
  assert_taken(decode, text->str);
  g_string_append(text, " 01 'h' a423 02 00 00 00 00 00 00 00 868004 01 828004 6100 00*65536");
  assert_refused(decode, text->str);
}

static void test_limits(void)
{
  HfPageReader page;
  GError *error = NULL;
  g_autoptr(GByteArray) longest = parts("00 00 00*8388606"), longer = parts("00 00 00*8388607");
  g_autofree HfId *refs = g_new0(HfId, HF_REFS_MAX + 1);
  g_assert_true(hf_page_open(&page, longest->data, longest->len, refs, HF_REFS_MAX, FALSE, &error));
  g_assert_no_error(error);
  g_assert_false(hf_page_open(&page, longer->data, longer->len, refs, HF_REFS_MAX, FALSE, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_INVALID);
  g_clear_error(&error);
  g_assert_false(hf_page_open(&page, longest->data, longest->len, refs, HF_REFS_MAX + 1, FALSE, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_INVALID);
  g_clear_error(&error);
}

/* ---- Roots ---- */

#define DISK " 00 00 8080808010 00001000 00020000 "

static void test_roots(void)
{
  const HfId *refs = test_refs();
  HfEntry root = { .name = VIEW("/"), .mode = S_IFDIR | 0755, .mtime_sec = 7, .ctime_sec = 8, .inode = 9,
                   .content = HF_CONTENT_PAGE, .ref = refs[0] };
  HfEntry disk = { .name = VIEW("/dev/sda"),
                   .size = G_GUINT64_CONSTANT(1) << 32,
                   .block_size = 1 << 20,
                   .sector_size = 512,
                   .content = HF_CONTENT_MAP,
                   .ref = refs[1] };
  HfEntry zero = { .name = VIEW("/dev/sdb"), .flags = HF_ENTRY_RACY | HF_ENTRY_INCOMPLETE, .block_size = 1 << 18,
                   .sector_size = 4096 };
  HfEntry after = { .name = VIEW("/etc"), .mode = S_IFDIR | 0755, .mtime_sec = 7, .ctime_sec = 8, .inode = 10,
                    .content = HF_CONTENT_NONE };
  const HfEntry *const all[] = { &root, &disk, &zero, &after };
  HfPageWriter writer;
  hf_page_begin(&writer, TRUE, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS(all); i++)
    hf_page_add(&writer, all[i]);
  assert_array_parts(
    writer.payload,
    "00 00 01 '/' ed8301 00 00 00 0e 00 10 00 12 04 08 '/dev/sda' 00 00 8080808010 00001000 00020000 05 "
    "08 '/dev/sdb' 00 11 00 00000400 00100000 00 04 '/etc' ed8301 00 00 00 00 00 00 00 02 00");
  HfPageReader page;
  HfEntry entry;
  GError *error = NULL;
  g_assert_true(hf_page_open(&page, writer.payload->data, writer.payload->len, refs, 2, TRUE, &error));
  for (gsize i = 0; i < G_N_ELEMENTS(all); i++) {
    g_assert_true(hf_page_next(&page, &entry, &error));
    g_assert_no_error(error);
    assert_bytes(entry.name.data, entry.name.length, all[i]->name.data, all[i]->name.length);
    g_assert_cmpuint(entry.size, ==, all[i]->size);
    g_assert_cmpuint(entry.block_size, ==, all[i]->block_size);
    g_assert_cmpuint(entry.sector_size, ==, all[i]->sector_size);
    g_assert_cmpuint(entry.content, ==, all[i]->content);
    g_assert_cmpuint(entry.inode, ==, all[i]->inode);
    g_assert_cmpint(entry.ctime_sec, ==, all[i]->ctime_sec);
    g_assert_true(hf_id_equal(&entry.ref, &all[i]->ref));
  }
  g_assert_false(hf_page_next(&page, &entry, &error));
  g_assert_no_error(error);
  hf_page_clear(&writer);
}

static void test_bad_roots(void)
{
  static const char *const bad[] = {
    "00 00 00 " FIFO("01 'a'"),
    "00 00 00 " FIFO("00"),
    "00 00 00 " FIFO("02 '//'"),
    "00 00 00 " FIFO("03 '/a/'"),
    "00 00 00 " FIFO("04 '/a//'"),
    "00 00 00 " FIFO("02 '/.'"),
    "00 00 00 " FIFO("05 '/../a'"),
    "00 00 00 " FIFO("05 '/a/..'"),
    "00 00 00 " FIFO("04 2f610062"),
    "00 00 00 " FIFO("8102 2f 61*256"),
    "00 00 00 " FIFO("808004 2f61*32768"),
    "00 00 00 " FIFO("02 '/a'") FIFO(" 02 '/a'"),
    /* disks: flags, block and sector sizes, contents */
    "00 00 00 02 '/a' 00 02 00 00001000 00020000 00 06 02 04 01020304",
    "00 00 00 02 '/a' 00 04 00 00001000 00020000 00",
    "01 00 00 02 '/a' 00 08 00 00001000 00020000 00",
    "00 00 00 02 '/a' 00 20 00 00001000 00020000 00",
    "00 00 00 02 '/a' 00 00 00 00002000 00020000 00",
    "00 00 00 02 '/a' 00 00 00 00000200 00020000 00",
    "00 00 00 02 '/a' 00 00 00 00008000 00020000 00",
    "00 00 00 02 '/a' 00 00 00 01001000 00020000 00",
    "00 00 00 02 '/a' 00 00 00 00000000 00020000 00",
    "00 00 00 02 '/a' 00 00 00 00001000 00010000 00",
    "00 00 00 02 '/a' 00 00 00 00001000 00000200 00",
    "00 00 00 02 '/a' 00 00 00 00001000 01020000 00",
    "00 00 00 02 '/a' 00 00 00 00001000 00000000 00",
    "01 00 00 02 '/a' 00 00 00 00001000 00020000 05",
    "00 00 00 02 '/a' 00 00 01 00001000 00020000 05",
    "01 00 00 02 '/a' 00 00 01 00001000 00020000 02",
    "01 00 00 02 '/a' 00 00 01 00001000 00020000 04",
    "00 00 00 02 '/a' 00 00 80*9 01 00001000 00020000 00",
  };
  for (gsize i = 0; i < G_N_ELEMENTS(bad); i++)
    assert_refused(decode_roots, bad[i]);
  static const char *const good[] = {
    "00 00 00 " FIFO("01 '/'"), "00 00 00 " FIFO("04 '/a/b'"), "00 00 00 " FIFO("8002 2f 61*255"),
    "00 00 00 " FIFO("feff03 2f61*32767"), "01 00 00 02 '/a'" DISK "05", "00 00 00 02 '/a'" DISK "00",
    "00 00 00 02 '/a' 00 00 00 00004000 00000100 00", "00 00 00 02 '/a' 00 00 00 00000800 00020000 00",
  };
  for (gsize i = 0; i < G_N_ELEMENTS(good); i++)
    assert_taken(decode_roots, good[i]);
  /* A disk is none in a directory. */
  assert_refused(decode, "00 00 00 01 'a'" DISK "00");
}

/* Roots are never cut. */
static void test_many_roots(void)
{
  g_autoptr(GString) text = g_string_new("00 00 00");
  for (guint i = 0; i < 1100; i++)
    g_string_append_printf(text, " 05 2f '%04x' a423 02 00 00 00 00 00 00 00 8302 01 8002 6100 00*254", i);
  assert_taken(decode_roots, text->str);
}

int main(int argc, char **argv)
{
  test_begin(&argc, &argv);
  g_test_add_func("/page/golden", test_golden);
  g_test_add_func("/page/cut-short", test_cut_short);
  g_test_add_func("/page/heads", test_heads);
  g_test_add_func("/page/names", test_names);
  g_test_add_func("/page/order", test_order);
  g_test_add_func("/page/values", test_values);
  g_test_add_func("/page/contents", test_contents);
  g_test_add_func("/page/extras", test_extras);
  g_test_add_func("/page/full", test_full);
  g_test_add_func("/page/limits", test_limits);
  g_test_add_func("/page/roots", test_roots);
  g_test_add_func("/page/bad-roots", test_bad_roots);
  g_test_add_func("/page/many-roots", test_many_roots);
  return g_test_run();
}
