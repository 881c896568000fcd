/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The keeper's book as a file: a book of yesterday is read by a keeper of today, and what rot leaves of one is read
 * as far as it is whole.
 *
 *   test_holdbook FILE [--write]      --write puts down the book as it is written now
 */
#include <glib/gstdio.h>
#include <string.h>

#include "agent/keeper/holdbook.h"
#include "base/buffer.h"
#include "crypto/crypto.h"

#define REPOSITORY "/srv/back \\ups/\xc3\xa4\n"
#define DAY 86400u

static const char *golden_path;

/* ---- A folder with one book. ---- */

typedef struct Lab {
  char *folder, *file, *clock;
} Lab;

static Lab *lab_new(void)
{
  HfId hash;
  Lab *lab = g_new0(Lab, 1);
  hf_sha256(REPOSITORY, strlen(REPOSITORY), hash.b);
  g_autofree char *name = hf_hex(hash.b, HF_SHORT_ID_BYTES);
  lab->folder = g_dir_make_tmp("holdfast-holdbook-XXXXXX", NULL);
  lab->file = g_build_filename(lab->folder, name, NULL);
  lab->clock = g_strconcat(lab->file, ".clock", NULL);
  return lab;
}

static void lab_free(Lab *lab)
{
  g_unlink(lab->file);
  g_unlink(lab->clock);
  g_assert_cmpint(g_rmdir(lab->folder), ==, 0);
  g_free(lab->folder);
  g_free(lab->file);
  g_free(lab->clock);
  g_free(lab);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Lab, lab_free)

static HfHoldBook *open_book(const Lab *lab)
{
  g_autoptr(GError) error = NULL;
  HfHoldBook *book = hf_hold_book_open(lab->folder, REPOSITORY, &error);
  g_assert_no_error(error);
  return book;
}

static GString *get_file(const char *path)
{
  char *text;
  gsize length;
  g_autoptr(GError) error = NULL;
  g_file_get_contents(path, &text, &length, &error);
  g_assert_no_error(error);
  GString *whole = g_string_new_len(text, (gssize)length);
  g_free(text);
  return whole;
}

static void set_file(const char *path, const GString *bytes)
{
  g_assert_true(g_file_set_contents(path, bytes->str, (gssize)bytes->len, NULL));
}

static void put(HfHoldBook *book, guint64 inode, guint64 until, const char *name)
{
  g_autoptr(GError) error = NULL;
  const HfHold hold = { .inode = inode, .until = until, .name = (char *)name };
  g_assert_true(hf_hold_book_put(book, &hold, 1, &error));
  g_assert_no_error(error);
}

static void assert_hold(const HfHoldBook *book, guint64 inode, guint64 until, const char *name)
{
  const HfHold *hold = hf_hold_book_find(book, inode);
  g_assert_nonnull(hold);
  g_assert_cmpuint(hold->until, ==, until);
  g_assert_cmpstr(hold->name, ==, name);
}

/* ---- Golden lines. ---- */

#define CLOCK_DIGEST "ce94042d95bc42aa" /* of "74565" */

/* One line of each kind, in this order; the clock shows 0x12345. */
static void write_story(const Lab *lab)
{
  const guint64 gone = 11;
  g_autoptr(GString) clock = g_string_new("74565 " CLOCK_DIGEST "\n");
  set_file(lab->clock, clock);
  g_autoptr(HfHoldBook) book = open_book(lab);
  g_assert_true(hf_hold_book_set_lock(book, 30 * DAY, NULL));
  g_assert_true(hf_hold_book_set_complete(book, NULL));
  put(book, 10, 2 * DAY, "data/00/00112233445566778899aabbccddeeff");
  put(book, gone, 3 * DAY, "points/gone");
  put(book, G_MAXUINT64, G_MAXUINT64, "keys/a \"b\" \\c\xff");
  g_assert_true(hf_hold_book_drop(book, &gone, 1, NULL));
  put(book, 10, 4 * DAY, "data/00/00112233445566778899aabbccddeeff");
}

static void assert_story(const HfHoldBook *book)
{
  g_assert_cmpuint(hf_hold_book_now(book), ==, 0x12345);
  g_assert_cmpuint(hf_hold_book_lock(book), ==, 30 * DAY);
  g_assert_cmpuint(hf_hold_book_count(book), ==, 2);
  assert_hold(book, 10, 4 * DAY, "data/00/00112233445566778899aabbccddeeff");
  assert_hold(book, G_MAXUINT64, G_MAXUINT64, "keys/a \"b\" \\c\xff");
}

static void test_written(void)
{
  g_autoptr(Lab) lab = lab_new();
  write_story(lab);
  g_autoptr(GString) now = get_file(lab->file), then = get_file(golden_path);
  g_assert_cmpstr(now->str, ==, then->str);
}

/* Without its clock, which it remembers; and nothing in it is written anew. */
static void test_taken(void)
{
  g_autoptr(Lab) lab = lab_new();
  g_autoptr(GString) golden = get_file(golden_path);
  set_file(lab->file, golden);
  g_autoptr(HfHoldBook) book = open_book(lab);
  g_assert_true(hf_hold_book_complete(book));
  assert_story(book);
  g_autoptr(GString) after = get_file(lab->file);
  g_assert_true(g_string_equal(after, golden));
}

/* ---- Rot. ---- */

/* Whichever byte turns: all that the other lines say is taken, and the book no longer says that it has everything. */
static void test_flipped(void)
{
  g_autoptr(Lab) lab = lab_new();
  g_autoptr(GString) golden = get_file(golden_path);
  for (gsize at = 0; at < golden->len; at += 7) {
    g_autoptr(GString) rotten = g_string_new_len(golden->str, (gssize)golden->len);
    rotten->str[at] ^= 1;
    set_file(lab->file, rotten);
    g_autoptr(HfHoldBook) book = open_book(lab);
    g_assert_false(hf_hold_book_complete(book));
    g_assert_nonnull(hf_hold_book_find(book, 10));
  }
}

/* Zeros where a file grew and its bytes did not come before the power went, and what was put after them. */
static void test_zeros(void)
{
  g_autoptr(Lab) lab = lab_new();
  g_autoptr(GString) bytes = get_file(golden_path);
  for (guint i = 0; i < 100; i++)
    g_string_append_c(bytes, '\0');
  set_file(lab->file, bytes);
  HfHoldBook *book = open_book(lab);
  g_assert_false(hf_hold_book_complete(book));
  assert_story(book);
  put(book, 12, DAY, "data/after");
  hf_hold_book_free(book);
  book = open_book(lab);
  assert_hold(book, 12, DAY, "data/after");
  hf_hold_book_free(book);
}

/* A block of zeros in the midst hides the lines that it covers, and no other. */
static void test_hole(void)
{
  g_autoptr(Lab) lab = lab_new();
  g_autoptr(GString) bytes = get_file(golden_path);
  char *gone = strstr(bytes->str, "5a331f0883dbab4d"), *next = strchr(gone, '\n') + 1;
  memset(gone, 0, (gsize)(next - gone));
  set_file(lab->file, bytes);
  g_autoptr(HfHoldBook) book = open_book(lab);
  g_assert_false(hf_hold_book_complete(book));
  assert_story(book);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_assert_true(hf_crypto_init(NULL));
  if (argc < 2) {
    g_printerr("usage: %s FILE [--write]\n", argv[0]);
    return 2;
  }
  golden_path = argv[1];
  if (argc == 3 && g_str_equal(argv[2], "--write")) {
    g_autoptr(Lab) lab = lab_new();
    write_story(lab);
    g_autoptr(GString) book = get_file(lab->file);
    set_file(golden_path, book);
    return 0;
  }
  g_test_add_func("/agent/holdbook/written", test_written);
  g_test_add_func("/agent/holdbook/taken", test_taken);
  g_test_add_func("/agent/holdbook/flipped", test_flipped);
  g_test_add_func("/agent/holdbook/zeros", test_zeros);
  g_test_add_func("/agent/holdbook/hole", test_hole);
  return g_test_run();
}
