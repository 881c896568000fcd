/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/keeper/holdbook.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "agent/state.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/sys.h"
#include "crypto/crypto.h"

#define DIGEST_DIGITS 16u /* of a line, and of the clock */
#define SURPLUS 1000u /* lines that no longer count, and as many as do, before a book is written anew */

struct HfHoldBook {
  char *folder, *file, *clock_file, *path;
  GHashTable *holds; /* of HfHold, by inode */
  guint64 lock;
  guint lines;         /* in the file */
  int fd;              /* appended to; -1 until then */
  gboolean complete;
  gboolean torn;       /* it may end in lines that are not in force, or in a part of one */
  guint64 start, kept; /* seconds that were counted before `since`; that are in the clock's file */
  gint64 since;        /* monotonic microseconds; 0: the clock stands */
};

/* ---- The clock. ---- */

guint64 hf_hold_book_now(const HfHoldBook *book)
{
  gint64 ran = book->since == 0 ? 0 : hf_clock_monotonic_us() - book->since;
  return book->start + (guint64)(MAX(ran, 0) / G_USEC_PER_SEC);
}

void hf_hold_book_run(HfHoldBook *book, gboolean running)
{
  if (running == (book->since != 0))
    return;
  book->start = hf_hold_book_now(book);
  book->since = running ? hf_clock_monotonic_us() : 0;
}

/* The seconds and a digest of them: a clock that rot moved ahead would let go of everything. */
static char *clock_text(guint64 seconds)
{
  guint8 digest[HF_ID_BYTES];
  g_autofree char *number = g_strdup_printf("%" G_GUINT64_FORMAT, seconds);
  hf_sha256(number, strlen(number), digest);
  g_autofree char *hex = hf_hex(digest, DIGEST_DIGITS / 2);
  return g_strdup_printf("%s %s\n", number, hex);
}

gboolean hf_hold_book_keep_clock(HfHoldBook *book, GError **error)
{
  guint64 now = hf_hold_book_now(book);
  if (now == book->kept)
    return TRUE;
  g_autofree char *text = clock_text(now);
  if (!hf_state_write(book->folder, book->clock_file, text, strlen(text), error))
    return FALSE;
  book->kept = now;
  return TRUE;
}

/* One that cannot be read counts from 0, and from what the lines of the book say. */
static void load_clock(HfHoldBook *book)
{
  g_autoptr(GBytes) bytes = hf_state_read(book->folder, book->clock_file, NULL);
  if (bytes == NULL)
    return;
  g_autofree char *text = g_strndup(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
  guint64 seconds = g_ascii_strtoull(text, NULL, 10);
  g_autofree char *right = clock_text(seconds);
  if (g_str_equal(text, right))
    book->start = book->kept = seconds;
}

/* ---- Lines. ---- */

static void hold_free(gpointer data)
{
  HfHold *hold = data;
  g_free(hold->name);
  g_free(hold);
}

static void add_line(GString *out, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void add_line(GString *out, const char *format, ...)
{
  va_list arguments;
  va_start(arguments, format);
  g_autofree char *content = g_strdup_vprintf(format, arguments);
  va_end(arguments);
  g_string_append_printf(out, "%016" G_GINT64_MODIFIER "x %s\n", hf_xxh64(content, strlen(content)), content);
}

#define HEX "%" G_GINT64_MODIFIER "x"

static void add_repository(const HfHoldBook *book, GString *out)
{
  g_autofree char *escaped = g_strescape(book->path, NULL);
  add_line(out, "R " HEX " %s", hf_hold_book_now(book), escaped);
}

static void add_lock(const HfHoldBook *book, GString *out)
{
  add_line(out, "L " HEX " " HEX, hf_hold_book_now(book), book->lock);
}

static void add_hold(const HfHoldBook *book, GString *out, const HfHold *hold)
{
  g_autofree char *escaped = g_strescape(hold->name, NULL);
  add_line(out, "H " HEX " " HEX " " HEX " %s", hf_hold_book_now(book), hold->until, hold->inode, escaped);
}

static void add_complete(const HfHoldBook *book, GString *out)
{
  add_line(out, "C " HEX, hf_hold_book_now(book));
}

static gboolean get_number(char **at, guint64 *number)
{
  char *end;
  if (**at != ' ')
    return FALSE;
  *number = g_ascii_strtoull(*at + 1, &end, 16);
  gboolean found = end > *at + 1;
  *at = end;
  return found;
}

static void keep_hold(HfHoldBook *book, guint64 inode, guint64 until, const char *name)
{
  HfHold *hold = g_new0(HfHold, 1);
  *hold = (HfHold){ .inode = inode, .until = until, .name = g_strdup(name) };
  g_hash_table_replace(book->holds, &hold->inode, hold);
}

/* What follows the digest, which was right: a line of another version counts for nothing. */
static gboolean take_content(HfHoldBook *book, char *content)
{
  guint64 clock, first, second;
  char *at = content + 1;
  if (*content == '\0' || !get_number(&at, &clock))
    return FALSE;
  book->start = MAX(book->start, clock);
  book->complete = book->complete || *content == 'C';
  if (*content == 'R' || *content == 'C')
    return TRUE;
  if (!get_number(&at, &first))
    return FALSE;
  if (*content == 'L') {
    book->lock = MAX(book->lock, first);
  } else if (*content == 'D') {
    g_hash_table_remove(book->holds, &first);
  } else if (*content == 'H' && get_number(&at, &second) && *at == ' ') {
    g_autofree char *name = g_strcompress(at + 1);
    keep_hold(book, second, first, name);
  } else {
    return FALSE;
  }
  return TRUE;
}

static gboolean take_line(HfHoldBook *book, char *line)
{
  char *end;
  guint64 digest = g_ascii_strtoull(line, &end, 16);
  return end == line + DIGEST_DIGITS && *end == ' ' && hf_xxh64(end + 1, strlen(end + 1)) == digest &&
    take_content(book, end + 1);
}

/* ---- The file. ---- */

/* Everything anew, as it is now. */
static gboolean write_all(HfHoldBook *book, GError **error)
{
  GHashTableIter iter;
  gpointer hold;
  g_autoptr(GString) text = g_string_new(NULL);
  add_repository(book, text);
  if (book->lock > 0)
    add_lock(book, text);
  if (book->complete)
    add_complete(book, text);
  g_hash_table_iter_init(&iter, book->holds);
  while (g_hash_table_iter_next(&iter, NULL, &hold))
    add_hold(book, text, hold);
  hf_close_ptr(&book->fd);
  if (!hf_state_write(book->folder, book->file, text->str, text->len, error))
    return FALSE;
  /* What is appended from here on must not be lost with the name. */
  hf_autofd int folder = hf_open(AT_FDCWD, book->folder, O_RDONLY | O_DIRECTORY, 0, error);
  if (folder < 0)
    return FALSE;
  if (HF_AGAIN(hf_sys->fsync(folder)) < 0)
    return hf_fail_errno(error, errno, "cannot sync '%s'", book->folder);
  book->lines = g_hash_table_size(book->holds) + 3;
  book->torn = FALSE;
  return TRUE;
}

/* What did not become durable is cut off again, or written over before anything comes after it. */
static gboolean append(HfHoldBook *book, const GString *text, guint lines, GError **error)
{
  g_autofree char *path = g_build_filename(book->folder, book->file, NULL);
  if (book->torn && !write_all(book, error))
    return FALSE;
  if (book->fd < 0)
    book->fd = hf_open(AT_FDCWD, path, O_WRONLY | O_APPEND, 0, error);
  if (book->fd < 0)
    return FALSE;
  off_t end = HF_AGAIN(hf_sys->lseek(book->fd, 0, SEEK_END));
  if (end >= 0 && hf_write_all(book->fd, text->str, text->len, path, error)) {
    if (HF_AGAIN(hf_sys->fdatasync(book->fd)) == 0) {
      book->lines += lines;
      return TRUE;
    }
    hf_fail_errno(error, errno, "cannot sync '%s'", path);
  } else if (end < 0) {
    hf_fail_errno(error, errno, "cannot write '%s'", path);
  }
  book->torn = end < 0 || HF_AGAIN(hf_sys->ftruncate(book->fd, end)) < 0;
  return FALSE;
}

/* Without what ends it: zeros do, too, as a crash may leave blocks of them before lines that are whole. */
static gsize line_length(const char *at, gsize left)
{
  gsize length = 0;
  while (length < left && at[length] != '\n' && at[length] != '\0')
    length++;
  return length;
}

static gboolean load(HfHoldBook *book, GError **error)
{
  g_autoptr(GError) why = NULL;
  g_autoptr(GBytes) bytes = hf_state_read(book->folder, book->file, &why);
  gboolean sound = TRUE;
  if (bytes == NULL && !hf_error_is(why, HF_ERROR_NOT_FOUND)) {
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
  }
  if (bytes == NULL)
    return write_all(book, error);
  gsize left;
  const char *at = g_bytes_get_data(bytes, &left);
  for (gsize length; left > 0; at += length, left -= length) {
    length = line_length(at, left);
    gboolean whole = length < left && at[length] == '\n';
    g_autofree char *line = g_strndup(at, length);
    sound = whole && take_line(book, line) && sound;
    length += length < left ? 1 : 0;
    book->lines++;
  }
  book->complete = book->complete && sound;
  return (sound && book->lines > 0) || write_all(book, error);
}

HfHoldBook *hf_hold_book_open(const char *folder, const char *path, GError **error)
{
  HfId hash;
  g_autoptr(HfHoldBook) book = g_new0(HfHoldBook, 1);
  hf_sha256(path, strlen(path), hash.b);
  book->folder = g_strdup(folder);
  book->file = hf_hex(hash.b, HF_SHORT_ID_BYTES);
  book->clock_file = g_strconcat(book->file, ".clock", NULL);
  book->path = g_strdup(path);
  book->holds = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, hold_free);
  book->fd = -1;
  load_clock(book);
  return load(book, error) ? g_steal_pointer(&book) : NULL;
}

void hf_hold_book_free(HfHoldBook *book)
{
  if (book == NULL)
    return;
  hf_close_ptr(&book->fd);
  g_hash_table_unref(book->holds);
  g_free(book->folder);
  g_free(book->file);
  g_free(book->clock_file);
  g_free(book->path);
  g_free(book);
}

/* ---- What stands in it. ---- */

const char *hf_hold_book_path(const HfHoldBook *book)
{
  return book->path;
}

gboolean hf_hold_book_complete(const HfHoldBook *book)
{
  return book->complete;
}

gboolean hf_hold_book_set_complete(HfHoldBook *book, GError **error)
{
  g_autoptr(GString) text = g_string_new(NULL);
  add_complete(book, text);
  book->complete = append(book, text, 1, error);
  return book->complete;
}

guint64 hf_hold_book_lock(const HfHoldBook *book)
{
  return book->lock;
}

gboolean hf_hold_book_set_lock(HfHoldBook *book, guint64 seconds, GError **error)
{
  guint64 before = book->lock;
  if (seconds <= before)
    return TRUE;
  g_autoptr(GString) text = g_string_new(NULL);
  book->lock = seconds;
  add_lock(book, text);
  if (append(book, text, 1, error))
    return TRUE;
  book->lock = before;
  return FALSE;
}

guint hf_hold_book_count(const HfHoldBook *book)
{
  return g_hash_table_size(book->holds);
}

const HfHold *hf_hold_book_find(const HfHoldBook *book, guint64 inode)
{
  return g_hash_table_lookup(book->holds, &inode);
}

static gboolean changes(const HfHoldBook *book, const HfHold *hold)
{
  const HfHold *before = hf_hold_book_find(book, hold->inode);
  return before == NULL || hold->until > before->until || strcmp(hold->name, before->name) != 0;
}

gboolean hf_hold_book_put(HfHoldBook *book, const HfHold *holds, guint count, GError **error)
{
  guint lines = 0, more = 0;
  g_autoptr(GString) text = g_string_new(NULL);
  for (guint i = 0; i < count; i++) {
    const HfHold *before = hf_hold_book_find(book, holds[i].inode);
    HfHold now = holds[i];
    if (!changes(book, &now))
      continue;
    now.until = MAX(now.until, before != NULL ? before->until : 0);
    add_hold(book, text, &now);
    more += before == NULL ? 1 : 0;
    lines++;
  }
  if (more > HF_HOLDS_MAX - MIN(hf_hold_book_count(book), HF_HOLDS_MAX))
    return hf_fail(error, HF_ERROR_REFUSED, "no more than %u files of '%s' can be made immutable", HF_HOLDS_MAX,
                   book->path);
  if (lines > 0 && !append(book, text, lines, error))
    return FALSE;
  for (guint i = 0; i < count; i++) {
    const HfHold *before = hf_hold_book_find(book, holds[i].inode);
    keep_hold(book, holds[i].inode, MAX(holds[i].until, before != NULL ? before->until : 0), holds[i].name);
  }
  /* A book that cannot be written anew now is only longer than it must be. */
  if (book->lines > 2 * hf_hold_book_count(book) + SURPLUS)
    write_all(book, NULL);
  return TRUE;
}

gboolean hf_hold_book_drop(HfHoldBook *book, const guint64 *inodes, guint count, GError **error)
{
  g_autoptr(GString) text = g_string_new(NULL);
  for (guint i = 0; i < count; i++)
    add_line(text, "D " HEX " " HEX, hf_hold_book_now(book), inodes[i]);
  if (count > 0 && !append(book, text, count, error))
    return FALSE;
  for (guint i = 0; i < count; i++)
    g_hash_table_remove(book->holds, &inodes[i]);
  return TRUE;
}

GArray *hf_hold_book_due(const HfHoldBook *book)
{
  GHashTableIter iter;
  gpointer data;
  guint64 now = hf_hold_book_now(book);
  GArray *due = g_array_new(FALSE, FALSE, sizeof(guint64));
  g_hash_table_iter_init(&iter, book->holds);
  while (g_hash_table_iter_next(&iter, NULL, &data)) {
    const HfHold *hold = data;
    if (hold->until <= now)
      g_array_append_val(due, hold->inode);
  }
  return due;
}
