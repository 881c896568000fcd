/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * hf_hold_book_open on what lies in the keeper's state. The first byte says what the rest is:
 *
 *   0 a book   1 the lines of one without their digests, which are put before them   2 the file of its clock
 *
 * Whatever it was: the book that is opened says the same when it is opened again and when it was written anew, and
 * what is put into it is found there.
 */
#include <glib/gstdio.h>
#include <unistd.h>

#include "agent/keeper/holdbook.h"
#include "base/buffer.h"
#include "crypto/crypto.h"
#include "fuzz.h"

#define REPOSITORY "/srv/repo"

static struct {
  char *folder, *file, *clock;
} world;

static void quiet(const char *domain G_GNUC_UNUSED, GLogLevelFlags level G_GNUC_UNUSED,
                  const char *message G_GNUC_UNUSED, gpointer user G_GNUC_UNUSED)
{
}

static void remove_world(void)
{
  g_unlink(world.file);
  g_unlink(world.clock);
  g_rmdir(world.folder);
}

static void make_world(void)
{
  HfId hash;
  if (world.folder != NULL)
    return;
  fuzz_begin();
  g_log_set_default_handler(quiet, NULL);
  world.folder = g_strdup(g_access("/dev/shm", W_OK) == 0 ? "/dev/shm/holdfast-XXXXXX" : "/tmp/holdfast-XXXXXX");
  g_assert_nonnull(g_mkdtemp(world.folder));
  hf_sha256(REPOSITORY, strlen(REPOSITORY), hash.b);
  g_autofree char *name = hf_hex(hash.b, HF_SHORT_ID_BYTES);
  world.file = g_build_filename(world.folder, name, NULL);
  world.clock = g_strconcat(world.file, ".clock", NULL);
  atexit(remove_world);
}

static void write_file(const char *path, const void *data, gsize size)
{
  g_unlink(path); /* what is not made anew keeps what it had beyond `size` */
  g_assert_true(g_file_set_contents_full(path, data, (gssize)size, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
}

static GString *read_book(void)
{
  char *text;
  gsize length;
  g_assert_true(g_file_get_contents(world.file, &text, &length, NULL));
  GString *book = g_string_new_len(text, (gssize)length);
  g_free(text);
  return book;
}

static void write_lines(const uint8_t *data, size_t size)
{
  g_autoptr(GString) book = g_string_new(NULL);
  for (size_t at = 0; at < size;) {
    const uint8_t *end = memchr(data + at, '\n', size - at);
    gsize length = end != NULL ? (gsize)(end - data) - at : size - at;
    g_string_append_printf(book, "%016" G_GINT64_MODIFIER "x ", hf_xxh64(data + at, length));
    g_string_append_len(book, (const char *)data + at, (gssize)length);
    g_string_append_c(book, '\n');
    at += length + 1;
  }
  write_file(world.file, book->str, book->len);
}

static HfHoldBook *open_book(void)
{
  GError *error = NULL;
  HfHoldBook *book = hf_hold_book_open(world.folder, REPOSITORY, &error);
  g_assert_no_error(error);
  g_assert_nonnull(book);
  return book;
}

/* `all`: its clock is at its end, so that everything in it is due. */
static void same(const HfHoldBook *all, const HfHoldBook *other)
{
  g_autoptr(GArray) due = hf_hold_book_due(all);
  g_assert_true(due->len == hf_hold_book_count(all) && due->len == hf_hold_book_count(other));
  g_assert_true(hf_hold_book_lock(all) == hf_hold_book_lock(other));
  for (guint i = 0; i < due->len; i++) {
    const HfHold *a = hf_hold_book_find(all, g_array_index(due, guint64, i));
    const HfHold *b = hf_hold_book_find(other, a->inode);
    g_assert_true(b != NULL && a->until == b->until);
    g_assert_cmpstr(a->name, ==, b->name);
  }
}

/* As when a line that nobody knows was appended: the book is written anew. */
static HfHoldBook *renew(void)
{
  g_autoptr(GString) book = read_book();
  g_string_append(book, "?\n");
  write_file(world.file, book->str, book->len);
  return open_book();
}

static void put_and_find(HfHoldBook *book)
{
  const HfHold hold = { .inode = 7, .until = G_MAXUINT64, .name = (char *)"data/a \"b\" \\" };
  GError *error = NULL;
  g_assert_true(hf_hold_book_put(book, &hold, 1, &error));
  g_assert_true(hf_hold_book_set_complete(book, &error));
  g_assert_no_error(error);
  g_autoptr(HfHoldBook) again = open_book();
  g_assert_true(hf_hold_book_find(again, 7) != NULL && hf_hold_book_find(again, 7)->until == G_MAXUINT64);
  g_assert_true(hf_hold_book_complete(again) && hf_hold_book_lock(again) == hf_hold_book_lock(book));
  same(again, book);
}

#define LAST_CLOCK "18446744073709551615 2cdb26265b4dc65e\n" /* with its digest */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  if (size == 0)
    return 0;
  make_world();
  g_unlink(world.file);
  g_unlink(world.clock);
  guint8 kind = *data++ % 3;
  size--;
  if (kind == 1)
    write_lines(data, size);
  else
    write_file(kind == 0 ? world.file : world.clock, data, size);
  g_autoptr(HfHoldBook) first = open_book(), second = open_book();
  g_assert_true(hf_hold_book_now(first) == hf_hold_book_now(second));
  g_assert_true(hf_hold_book_complete(first) == hf_hold_book_complete(second));
  write_file(world.clock, LAST_CLOCK, strlen(LAST_CLOCK));
  g_autoptr(HfHoldBook) all = open_book(), renewed = renew();
  same(all, first);
  same(all, second);
  same(all, renewed);
  g_assert_false(hf_hold_book_complete(renewed));
  g_autoptr(GString) before = read_book();
  g_autoptr(HfHoldBook) last = open_book();
  g_autoptr(GString) after = read_book();
  g_assert_true(g_string_equal(before, after));
  same(all, last);
  put_and_find(last);
  return 0;
}
