/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the keeper makes immutable, for whom, and until when; its book, crash after crash. */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/keeper/hold.h"
#include "agent/keeper/holdbook.h"
#include "agent/keeper/repositories.h"
#include "base/error.h"
#include "base/sys.h"

#define DAY 86400u
#define HOUR 3600u

/* ---- A file system with flags, by inode. ---- */

static GHashTable *flagged;
static int flag_error; /* what setting answers */
static gboolean allowed = TRUE;
static guint sets;

static guint64 inode_of(int fd)
{
  struct stat status;
  g_assert_cmpint(fstat(fd, &status), ==, 0);
  return status.st_ino;
}

static int fake_get(int fd, int *flags)
{
  guint64 inode = inode_of(fd);
  if (flag_error == ENOTTY) {
    errno = ENOTTY;
    return -1;
  }
  *flags = g_hash_table_contains(flagged, &inode) ? FS_IMMUTABLE_FL | FS_NODUMP_FL : FS_NODUMP_FL;
  return 0;
}

static int fake_set(int fd, int flags)
{
  guint64 inode = inode_of(fd);
  sets++;
  g_assert_true((flags & FS_NODUMP_FL) != 0); /* other flags stay as they are */
  if (flag_error != 0) {
    errno = flag_error;
    return -1;
  }
  if (flags & FS_IMMUTABLE_FL)
    g_hash_table_add(flagged, g_memdup2(&inode, sizeof inode));
  else
    g_hash_table_remove(flagged, &inode);
  return 0;
}

static gboolean fake_may(void)
{
  return allowed;
}

/* ---- A repository and a keeper's state. ---- */

typedef struct Lab {
  char *folder, *state, *repo;
  HfHolds *holds;
} Lab;

static char *lab_file(Lab *lab, const char *name)
{
  char *path = g_build_filename(lab->repo, name, NULL);
  g_autofree char *folder = g_path_get_dirname(path);
  g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
  g_assert_true(g_file_set_contents(path, name, -1, NULL));
  return path;
}

static void make_file(Lab *lab, const char *name)
{
  g_free(lab_file(lab, name));
}

/* Who may be the service's user: this process, which must not count as root. */
static uid_t service(void)
{
  return geteuid() == 0 ? 12345 : geteuid();
}

static void give(const char *path)
{
  if (geteuid() == 0)
    g_assert_cmpint(lchown(path, service(), (gid_t)-1), ==, 0);
}

static void make_object(Lab *lab, const char *name)
{
  g_autofree char *path = lab_file(lab, name);
  give(path);
}

static Lab *lab_new(void)
{
  g_autoptr(GError) error = NULL;
  Lab *lab = g_new0(Lab, 1);
  lab->folder = g_dir_make_tmp("holdfast-hold-XXXXXX", NULL);
  lab->state = g_build_filename(lab->folder, "state", NULL);
  lab->repo = g_build_filename(lab->folder, "repo", NULL);
  g_assert_cmpint(g_mkdir(lab->state, 0700), ==, 0);
  g_assert_cmpint(g_mkdir(lab->repo, 0700), ==, 0);
  make_object(lab, "config.0");
  g_assert_true(hf_repositories_add(lab->state, lab->repo, &error));
  flagged = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
  flag_error = 0;
  lab->holds = hf_holds_new(lab->state, service(), &error);
  g_assert_no_error(error);
  return lab;
}

static void remove_folder(const char *folder)
{
  const char *const words[] = { "rm", "-rf", "--", folder, NULL };
  g_spawn_sync(NULL, (char **)words, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL);
}

static void lab_free(Lab *lab)
{
  hf_holds_free(lab->holds);
  remove_folder(lab->folder);
  g_free(lab->folder);
  g_free(lab->state);
  g_free(lab->repo);
  g_free(lab);
  g_clear_pointer(&flagged, g_hash_table_unref);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Lab, lab_free)

/* As after a kill: nothing is said to the old one. */
static void restart(Lab *lab)
{
  g_autoptr(GError) error = NULL;
  hf_holds_free(lab->holds);
  lab->holds = hf_holds_new(lab->state, service(), &error);
  g_assert_no_error(error);
}

static gboolean has_flag(Lab *lab, const char *name)
{
  g_autofree char *path = g_build_filename(lab->repo, name, NULL);
  struct stat status;
  g_assert_cmpint(stat(path, &status), ==, 0);
  guint64 inode = status.st_ino;
  return g_hash_table_contains(flagged, &inode);
}

static gboolean try_hold(Lab *lab, const char *path, guint64 seconds, const char *const *names, guint *refused,
                         GError **error)
{
  g_auto(HfHoldRequest) request = { .seconds = seconds, .repository = g_strdup(path),
                                    .names = g_ptr_array_new_with_free_func(g_free) };
  for (guint i = 0; names[i] != NULL; i++)
    g_ptr_array_add(request.names, g_strdup(names[i]));
  return hf_holds_hold(lab->holds, &request, refused, error);
}

static guint hold(Lab *lab, guint64 seconds, const char *name)
{
  g_autoptr(GError) error = NULL;
  const char *names[] = { name, NULL };
  guint refused;
  g_assert_true(try_hold(lab, lab->repo, seconds, names, &refused, &error));
  g_assert_no_error(error);
  return refused;
}

static void set_clock(const char *path, guint64 seconds)
{
  guint8 digest[HF_ID_BYTES];
  g_autofree char *number = g_strdup_printf("%" G_GUINT64_FORMAT, seconds);
  hf_sha256(number, strlen(number), digest);
  g_autofree char *hex = hf_hex(digest, 8), *text = g_strdup_printf("%s %s\n", number, hex);
  g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

/* The book's clock, as if so much time had passed: root could do so, and nobody else. */
static void pass(Lab *lab, guint64 seconds)
{
  g_autofree char *folder = g_build_filename(lab->state, "holds", NULL);
  g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
  guint found = 0;
  hf_holds_look(lab->holds);
  for (const char *name; (name = g_dir_read_name(dir)) != NULL;) {
    if (!g_str_has_suffix(name, ".clock"))
      continue;
    g_autofree char *path = g_build_filename(folder, name, NULL), *before = NULL;
    g_assert_true(g_file_get_contents(path, &before, NULL, NULL));
    set_clock(path, g_ascii_strtoull(before, NULL, 10) + seconds);
    found++;
  }
  if (found == 0) { /* it has not counted a second yet */
    g_autoptr(GDir) again = g_dir_open(folder, 0, NULL);
    for (const char *name; (name = g_dir_read_name(again)) != NULL;) {
      g_autofree char *leaf = g_strconcat(name, ".clock", NULL), *path = g_build_filename(folder, leaf, NULL);
      set_clock(path, seconds);
      break;
    }
  }
  restart(lab);
  hf_holds_look(lab->holds);
}

static void order_lock(Lab *lab, guint64 seconds)
{
  g_autoptr(GError) error = NULL;
  g_assert_true(hf_holds_lock(lab->holds, lab->repo, seconds, &error));
  g_assert_no_error(error);
}

#define PACK "data/00/00112233445566778899aabbccddeeff"
#define OTHER "meta/10/10112233445566778899aabbccddeeff"

/* ---- What is held, and until when. ---- */

static void test_term(void)
{
  g_autoptr(Lab) lab = lab_new();
  make_object(lab, PACK);
  order_lock(lab, 3 * DAY);
  g_assert_cmpuint(hold(lab, DAY, PACK), ==, 0);
  g_assert_true(has_flag(lab, PACK));
  pass(lab, DAY - 60);
  g_assert_true(has_flag(lab, PACK));
  pass(lab, HOUR + 120);
  g_assert_false(has_flag(lab, PACK));
}

static void test_longer_and_shorter(void)
{
  g_autoptr(Lab) lab = lab_new();
  make_object(lab, PACK);
  make_object(lab, OTHER);
  order_lock(lab, 3 * DAY);
  hold(lab, DAY, PACK);
  hold(lab, 3 * DAY, PACK);
  hold(lab, 1, PACK);
  hold(lab, 0, PACK);
  hold(lab, G_MAXUINT64, OTHER); /* for as long as the server ordered, and no longer */
  order_lock(lab, DAY);          /* does not shorten it */
  pass(lab, 3 * DAY - 60);
  g_assert_true(has_flag(lab, PACK));
  g_assert_true(has_flag(lab, OTHER));
  pass(lab, HOUR + 120);
  g_assert_false(has_flag(lab, PACK));
  pass(lab, HF_HOLD_MARGIN);
  g_assert_false(has_flag(lab, OTHER));
}

/* Where the only book's clock is kept; there need be none yet. */
static char *clock_of(const char *folder)
{
  g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
  const char *name = g_dir_read_name(dir);
  g_autofree char *leaf = g_strconcat(name, g_str_has_suffix(name, ".clock") ? "" : ".clock", NULL);
  return g_build_filename(folder, leaf, NULL);
}

/* Wall time is asked by nobody; the clock runs from the first request until the service ends. */
static void test_clock(void)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *folder = g_dir_make_tmp("holdfast-hold-XXXXXX", NULL);
  HfHoldBook *book = hf_hold_book_open(folder, "/repo", &error);
  g_assert_no_error(error);
  g_assert_false(hf_hold_book_complete(book));
  g_assert_true(hf_hold_book_set_complete(book, &error));
  g_usleep(1100000);
  g_assert_cmpuint(hf_hold_book_now(book), ==, 0);
  hf_hold_book_run(book, TRUE);
  g_usleep(1100000);
  hf_hold_book_run(book, TRUE);
  guint64 reached = hf_hold_book_now(book);
  g_assert_cmpuint(reached, >=, 1);
  hf_hold_book_run(book, FALSE);
  g_usleep(1100000);
  g_assert_cmpuint(hf_hold_book_now(book), ==, reached);
  g_assert_true(hf_hold_book_keep_clock(book, &error));
  HfHold hold = { .inode = 7, .until = 9, .name = (char *)"data/x" };
  g_assert_true(hf_hold_book_put(book, &hold, 1, &error));
  hf_hold_book_free(book);
  /* The clock's file is lost, or rolled back: the book remembers. */
  g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
  for (const char *name; (name = g_dir_read_name(dir)) != NULL;)
    if (g_str_has_suffix(name, ".clock")) {
      g_autofree char *path = g_build_filename(folder, name, NULL);
      g_assert_cmpint(g_unlink(path), ==, 0);
    }
  book = hf_hold_book_open(folder, "/repo", &error);
  g_assert_true(hf_hold_book_complete(book));
  g_assert_cmpuint(hf_hold_book_now(book), ==, reached);
  g_assert_cmpuint(hf_hold_book_find(book, 7)->until, ==, 9);
  hf_hold_book_free(book);
  /* Rot in it, which would move it far ahead: it counts for nothing. */
  g_autofree char *clock = clock_of(folder);
  set_clock(clock, reached + 5);
  book = hf_hold_book_open(folder, "/repo", &error);
  g_assert_cmpuint(hf_hold_book_now(book), ==, reached + 5);
  hf_hold_book_free(book);
  const char *rotten[] = { "9", "-1", "99999999999\n", "" };
  for (guint i = 0; i < G_N_ELEMENTS(rotten); i++) {
    g_autofree char *whole = NULL, *text = NULL;
    set_clock(clock, reached + 5);
    g_assert_true(g_file_get_contents(clock, &whole, NULL, NULL));
    text = i == 0 ? g_strconcat(rotten[i], whole, NULL) : g_strdup(rotten[i]);
    g_assert_true(g_file_set_contents(clock, text, -1, NULL));
    book = hf_hold_book_open(folder, "/repo", &error);
    g_assert_cmpuint(hf_hold_book_now(book), ==, reached);
    hf_hold_book_free(book);
  }
  remove_folder(folder);
}

/* ---- What is not held. ---- */

static void test_hostile(void)
{
  g_autoptr(Lab) lab = lab_new();
  g_autoptr(GError) error = NULL;
  guint refused;
  g_autofree char *outside = g_build_filename(lab->folder, "secret", NULL);
  g_autofree char *beside = g_build_filename(lab->folder, "other", NULL);
  g_assert_true(g_file_set_contents(outside, "x", 1, NULL));
  give(outside);
  make_object(lab, "index/00112233445566778899aabbccddeeff");
  make_object(lab, "sessions/00112233445566778899aabbccddeeff/open");
  make_object(lab, "clock/0000000000000001");
  make_object(lab, "gc/mark.0000000000000001");
  make_object(lab, PACK);
  g_autofree char *link = g_build_filename(lab->repo, "data/link", NULL);
  g_autofree char *twin = g_build_filename(lab->repo, "data/twin", NULL);
  g_autofree char *folder = g_build_filename(lab->repo, "meta", NULL);
  g_autofree char *pipe_path = g_build_filename(lab->repo, "data/pipe", NULL);
  make_object(lab, "data/first");
  g_autofree char *first = g_build_filename(lab->repo, "data/first", NULL);
  g_assert_cmpint(symlink(outside, link), ==, 0);
  g_assert_cmpint(linkat(AT_FDCWD, first, AT_FDCWD, twin, 0), ==, 0);
  g_assert_cmpint(symlink(lab->folder, folder), ==, 0);
  g_assert_cmpint(mkfifo(pipe_path, 0600), ==, 0);
  give(pipe_path);
  const char *const names[] = { "../secret", "data/../../secret", "/etc/passwd", "data/link", "data/twin", "data/first",
                                "meta/secret", "data/pipe", "data/00", "data", "", ".", "..", "data/none",
                                "index/00112233445566778899aabbccddeeff", "clock/0000000000000001",
                                "gc/mark.0000000000000001", "sessions/00112233445566778899aabbccddeeff/open", NULL };
  g_assert_true(try_hold(lab, lab->repo, DAY, names, &refused, &error));
  g_assert_no_error(error);
  g_assert_cmpuint(refused, ==, g_strv_length((char **)names));
  g_assert_cmpuint(g_hash_table_size(flagged), ==, 0);

  if (geteuid() == 0) {
    make_file(lab, "data/roots"); /* of another user than the service's */
    g_assert_cmpuint(hold(lab, DAY, "data/roots"), ==, 1);
  }
  /* No repository, though its folder is there; nor by another spelling. */
  const char *const good[] = { PACK, NULL };
  g_autofree char *spelt = g_strconcat(lab->repo, "/.", NULL);
  const char *const paths[] = { beside, spelt, "", "/", NULL };
  for (guint i = 0; paths[i] != NULL; i++) {
    g_assert_false(try_hold(lab, paths[i], DAY, good, &refused, &error));
    g_assert_error(error, HF_ERROR, HF_ERROR_REFUSED);
    g_clear_error(&error);
  }
  g_assert_cmpuint(hold(lab, DAY, PACK), ==, 0);
}

/* ---- Who cannot. ---- */

static void note_place(const char *path G_GNUC_UNUSED, guint files G_GNUC_UNUSED, const char *says, gpointer user)
{
  g_free(*(char **)user);
  *(char **)user = g_strdup(says);
}

static void test_unable(void)
{
  g_autoptr(Lab) lab = lab_new();
  g_autoptr(GError) error = NULL;
  g_autofree char *says = NULL;
  guint refused;
  const char *const names[] = { PACK, NULL };
  make_object(lab, PACK);
  order_lock(lab, DAY);
  const int answers[] = { ENOTTY, EOPNOTSUPP, EPERM };
  for (guint i = 0; i < G_N_ELEMENTS(answers); i++) {
    flag_error = answers[i];
    g_test_expect_message(NULL, G_LOG_LEVEL_WARNING, "*flag*");
    g_assert_false(try_hold(lab, lab->repo, DAY, names, &refused, &error));
    g_test_assert_expected_messages();
    g_assert_true(hf_error_is(error, answers[i] == EPERM ? HF_ERROR_IO : HF_ERROR_UNSUPPORTED));
    g_clear_error(&error);
    g_assert_false(try_hold(lab, lab->repo, DAY, names, &refused, NULL)); /* said once */
    hf_holds_each(lab->holds, note_place, &says);
    g_assert_nonnull(says);
  }
  flag_error = 0;
  hold(lab, DAY, PACK);
  hf_holds_each(lab->holds, note_place, &says);
  g_assert_null(says);
  g_assert_null(hf_holds_new(lab->state, 0, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_UNSUPPORTED);
  g_clear_error(&error);
  allowed = FALSE;
  g_assert_null(hf_holds_new(lab->state, service(), &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_UNSUPPORTED);
  allowed = TRUE;
}

/* ---- What was lost. ---- */

static char *book_path(Lab *lab)
{
  g_autofree char *folder = g_build_filename(lab->state, "holds", NULL);
  g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
  for (const char *name; (name = g_dir_read_name(dir)) != NULL;)
    if (!g_str_has_suffix(name, ".clock"))
      return g_build_filename(folder, name, NULL);
  g_assert_not_reached();
}

/* Without its book a file keeps the flag for one lock more, and loses it then. */
static void test_lost_book(void)
{
  g_autoptr(Lab) lab = lab_new();
  make_object(lab, PACK);
  hold(lab, DAY, PACK);
  g_autofree char *book = book_path(lab);
  g_assert_cmpint(g_unlink(book), ==, 0);
  restart(lab);
  pass(lab, HF_HOLD_LOCK - HOUR);
  g_assert_true(has_flag(lab, PACK));
  pass(lab, HF_HOLD_MARGIN + 2 * HOUR);
  g_assert_false(has_flag(lab, PACK));
}

/* While its folder was not mounted, and the keeper began once more before it was. */
static void test_lost_unmounted(void)
{
  g_autoptr(Lab) lab = lab_new();
  make_object(lab, PACK);
  hold(lab, DAY, PACK);
  g_autofree char *book = book_path(lab), *away = g_build_filename(lab->folder, "away", NULL);
  g_assert_cmpint(g_unlink(book), ==, 0);
  g_assert_cmpint(g_rename(lab->repo, away), ==, 0);
  restart(lab);
  hf_holds_look(lab->holds);
  restart(lab);
  g_assert_cmpint(g_rename(away, lab->repo), ==, 0);
  pass(lab, HF_HOLD_LOCK - HOUR);
  g_assert_true(has_flag(lab, PACK));
  pass(lab, HF_HOLD_MARGIN + 2 * HOUR);
  g_assert_false(has_flag(lab, PACK));
}

/* Rot in a line: what is not known any more is taken up, what is known stays as it was. */
static void test_rotten_book(void)
{
  g_autoptr(Lab) lab = lab_new();
  char *text;
  gsize length;
  make_object(lab, PACK);
  make_object(lab, OTHER);
  order_lock(lab, 2 * DAY);
  hold(lab, DAY, PACK);
  hold(lab, DAY, OTHER);
  g_autofree char *book = book_path(lab);
  g_assert_true(g_file_get_contents(book, &text, &length, NULL));
  char *name = strstr(text, OTHER);
  *name ^= 1;
  g_assert_true(g_file_set_contents(book, text, (gssize)length, NULL));
  g_free(text);
  restart(lab);
  pass(lab, DAY + 2 * HOUR);
  g_assert_false(has_flag(lab, PACK));
  g_assert_true(has_flag(lab, OTHER));
  pass(lab, DAY + 2 * HOUR);
  g_assert_false(has_flag(lab, OTHER));
}

static void test_moved(void)
{
  g_autoptr(Lab) lab = lab_new();
  make_object(lab, PACK);
  make_object(lab, OTHER);
  order_lock(lab, DAY);
  hold(lab, DAY, PACK);
  hold(lab, DAY, OTHER);
  g_autofree char *from = g_build_filename(lab->repo, "data", NULL), *to = g_build_filename(lab->repo, "away", NULL);
  g_assert_cmpint(g_rename(from, to), ==, 0);
  g_autofree char *gone = g_build_filename(lab->repo, OTHER, NULL);
  g_assert_cmpint(g_unlink(gone), ==, 0); /* by root, after chattr -i */
  pass(lab, DAY + 2 * HOUR);
  g_assert_false(has_flag(lab, "away/00/00112233445566778899aabbccddeeff"));
  sets = 0;
  pass(lab, HOUR);
  g_assert_cmpuint(sets, ==, 0); /* nothing is left to do */
}

/* An unmounted file system: nothing is forgotten. */
static void test_unmounted(void)
{
  g_autoptr(Lab) lab = lab_new();
  make_object(lab, PACK);
  order_lock(lab, DAY);
  hold(lab, DAY, PACK);
  g_autofree char *away = g_build_filename(lab->folder, "away", NULL);
  g_assert_cmpint(g_rename(lab->repo, away), ==, 0);
  g_assert_cmpint(g_mkdir(lab->repo, 0700), ==, 0);
  g_test_expect_message(NULL, G_LOG_LEVEL_WARNING, "*holds no repository now*");
  pass(lab, DAY + 2 * HOUR);
  g_test_assert_expected_messages();
  g_assert_cmpint(g_rmdir(lab->repo), ==, 0);
  g_assert_cmpint(g_rename(away, lab->repo), ==, 0);
  g_assert_true(has_flag(lab, PACK));
  hf_holds_look(lab->holds);
  g_assert_false(has_flag(lab, PACK));
}

/* ---- Crashes. ---- */

static gint64 left; /* calls of these kinds until the crash; then everything fails */

static gboolean fails(void)
{
  if (--left >= 0)
    return FALSE;
  errno = EIO;
  return TRUE;
}

static const HfSys *real;

static ssize_t crash_write(int fd, const void *bytes, size_t length)
{
  if (!fails())
    return real->write(fd, bytes, length);
  if (left == -1 && length > 1) /* torn */
    g_assert_cmpint(real->write(fd, bytes, length / 2), ==, (gssize)(length / 2));
  errno = EIO;
  return -1;
}

static int crash_fdatasync(int fd)
{
  return fails() ? -1 : real->fdatasync(fd);
}

static int crash_ftruncate(int fd, off_t length)
{
  return fails() ? -1 : real->ftruncate(fd, length);
}

static int crash_get(int fd, int *flags)
{
  return fake_get(fd, flags);
}

static int crash_set(int fd, int flags)
{
  return fails() ? -1 : fake_set(fd, flags);
}

/* Whatever is cut short: no file has the flag without standing in the book, and after the time none has it. */
static void test_crash(void)
{
  g_log_set_always_fatal(G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL); /* it says what it cannot do */
  gboolean through = FALSE;
  for (gint64 at = 0; !through; at++) {
    g_autoptr(Lab) lab = lab_new();
    HfSys table = *real;
    g_autoptr(GError) error = NULL;
    guint refused;
    const char *const names[] = { PACK, OTHER, NULL };
    make_object(lab, PACK);
    make_object(lab, OTHER);
    order_lock(lab, DAY);
    table.write = crash_write;
    table.fdatasync = crash_fdatasync;
    table.ftruncate = crash_ftruncate;
    hf_sys = &table;
    hf_hold_flags = (HfHoldFlags){ crash_get, crash_set, fake_may };
    left = at;
    through = try_hold(lab, lab->repo, DAY, names, &refused, &error);
    hf_sys = real;
    hf_hold_flags = (HfHoldFlags){ fake_get, fake_set, fake_may };
    restart(lab);
    guint held = (has_flag(lab, PACK) ? 1 : 0) + (has_flag(lab, OTHER) ? 1 : 0);
    g_assert_cmpuint(held, ==, g_hash_table_size(flagged));
    g_assert_true(!through || held == 2);
    pass(lab, DAY - 60);
    g_assert_cmpuint(g_hash_table_size(flagged), ==, held); /* nothing is let go early */
    pass(lab, 3 * HOUR);
    g_assert_cmpuint(g_hash_table_size(flagged), ==, 0);
    g_assert_cmpint(at, <, 50);
  }
}

/* What was torn and could not be cut off does not spoil what comes after it. */
static void test_torn(void)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *folder = g_dir_make_tmp("holdfast-hold-XXXXXX", NULL);
  HfSys table = *real;
  HfHold first = { .inode = 7, .until = 9, .name = (char *)"data/x" }, second = { 8, 10, (char *)"data/y" };
  HfHoldBook *book = hf_hold_book_open(folder, "/repo", &error);
  g_assert_true(hf_hold_book_set_complete(book, &error));
  table.write = crash_write;
  table.ftruncate = crash_ftruncate;
  hf_sys = &table;
  left = 0;
  g_assert_false(hf_hold_book_put(book, &first, 1, NULL));
  hf_sys = real;
  g_assert_true(hf_hold_book_put(book, &second, 1, &error));
  hf_hold_book_free(book);
  book = hf_hold_book_open(folder, "/repo", &error);
  g_assert_true(hf_hold_book_complete(book));
  g_assert_nonnull(hf_hold_book_find(book, 8));
  g_assert_null(hf_hold_book_find(book, 7));
  hf_hold_book_free(book);
  remove_folder(folder);
}

/* The same while they are let go. */
static void test_crash_letting_go(void)
{
  for (gint64 at = 0; at < 8; at++) {
    g_autoptr(Lab) lab = lab_new();
    HfSys table = *real;
    make_object(lab, PACK);
    make_object(lab, OTHER);
    order_lock(lab, DAY);
    hold(lab, DAY, PACK);
    hold(lab, DAY, OTHER);
    table.write = crash_write;
    table.fdatasync = crash_fdatasync;
    table.ftruncate = crash_ftruncate;
    pass(lab, DAY - 60);
    left = at;
    hf_sys = &table;
    hf_hold_flags = (HfHoldFlags){ crash_get, crash_set, fake_may };
    pass(lab, 3 * HOUR);
    hf_sys = real;
    hf_hold_flags = (HfHoldFlags){ fake_get, fake_set, fake_may };
    pass(lab, 0);
    g_assert_cmpuint(g_hash_table_size(flagged), ==, 0);
  }
}

/* Many requests do not make the book longer for ever. */
static void test_compaction(void)
{
  g_autoptr(Lab) lab = lab_new();
  struct stat status;
  make_object(lab, PACK);
  order_lock(lab, 9999 * (guint64)DAY);
  for (guint i = 1; i <= 1100; i++)
    hold(lab, i * (guint64)HOUR, PACK);
  g_autofree char *book = book_path(lab);
  g_assert_cmpint(g_stat(book, &status), ==, 0);
  g_assert_cmpint(status.st_size, <, 30000);
  restart(lab);
  pass(lab, 1099 * (guint64)HOUR);
  g_assert_true(has_flag(lab, PACK));
  pass(lab, 2 * HOUR);
  g_assert_false(has_flag(lab, PACK));
}

/* ---- Messages. ---- */

static void test_messages(void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(HfBody) body = hf_body_new();
  g_auto(HfHoldRequest) put = { 7, 86400, g_strdup("/srv/repo"), g_ptr_array_new_with_free_func(g_free) };
  g_auto(HfHoldRequest) got = { 0 }, many = { 0 };
  g_ptr_array_add(put.names, g_strdup("data/x"));
  g_ptr_array_add(put.names, g_strdup("meta/y"));
  hf_hold_request_put(body, &put);
  g_assert_true(hf_hold_request_get(body, &got, &error));
  g_assert_cmpuint(got.number, ==, 7);
  g_assert_cmpuint(got.seconds, ==, 86400);
  g_assert_cmpstr(got.repository, ==, "/srv/repo");
  g_assert_cmpuint(got.names->len, ==, 2);
  g_assert_cmpstr(got.names->pdata[1], ==, "meta/y");
  for (guint cut = 0; cut < body->len; cut++) {
    g_auto(HfHoldRequest) part = { 0 };
    g_autoptr(HfBody) less = hf_body_new();
    g_byte_array_append(less, body->data, cut);
    g_assert_false(hf_hold_request_get(less, &part, NULL));
  }
  while (put.names->len <= HF_HOLD_NAMES)
    g_ptr_array_add(put.names, g_strdup("data/z"));
  g_byte_array_set_size(body, 0);
  hf_hold_request_put(body, &put);
  g_assert_false(hf_hold_request_get(body, &many, &error));
  g_clear_error(&error);
  guint refused;
  g_assert_false(hf_hold_ask("/srv/repo", 1, put.names, &refused, &error)); /* nobody is there */
  g_assert_error(error, HF_ERROR, HF_ERROR_IO);
}

static gpointer answer(gpointer user)
{
  HfControl *keeper = user;
  for (guint i = 0; i < 2; i++) {
    g_autoptr(HfControlMessage) message = hf_control_receive(keeper, NULL);
    g_auto(HfHoldRequest) request = { 0 };
    g_autoptr(GError) why = i == 0 ? NULL : g_error_new(HF_ERROR, HF_ERROR_UNSUPPORTED, "not here");
    g_autoptr(HfBody) body = hf_body_new();
    g_assert_nonnull(message);
    g_assert_cmpint(message->kind, ==, HF_CONTROL_HOLD);
    g_assert_true(hf_hold_request_get(message->body, &request, NULL));
    hf_hold_answer_put(body, request.number + 100, 9, NULL); /* nobody asked that */
    hf_hold_answered(body);
    g_byte_array_set_size(body, 0);
    hf_hold_answer_put(body, request.number, 3, why);
    hf_hold_answered(body);
    hf_hold_answered(body);
  }
  g_autoptr(HfControlMessage) last = hf_control_receive(keeper, NULL);
  g_assert_nonnull(last);
  hf_hold_end();
  return NULL;
}

static void test_asking(void)
{
  g_autoptr(GError) error = NULL;
  int far = -1;
  guint refused;
  g_autoptr(HfControl) control = hf_control_new_pair(&far, &error);
  g_autoptr(HfControl) keeper = hf_control_new(far);
  g_autoptr(GPtrArray) names = g_ptr_array_new();
  hf_hold_begin(control);
  GThread *thread = g_thread_new("keeper", answer, keeper);
  g_assert_true(hf_hold_ask("/srv/repo", 1, names, &refused, &error));
  g_assert_cmpuint(refused, ==, 3);
  g_assert_false(hf_hold_ask("/srv/repo", 1, names, &refused, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_UNSUPPORTED);
  g_clear_error(&error);
  g_assert_false(hf_hold_ask("/srv/repo", 1, names, &refused, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_IO);
  g_thread_join(thread);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  real = hf_sys;
  hf_hold_flags = (HfHoldFlags){ fake_get, fake_set, fake_may };
  g_test_add_func("/hold/term", test_term);
  g_test_add_func("/hold/longer-and-shorter", test_longer_and_shorter);
  g_test_add_func("/hold/clock", test_clock);
  g_test_add_func("/hold/hostile", test_hostile);
  g_test_add_func("/hold/unable", test_unable);
  g_test_add_func("/hold/lost-book", test_lost_book);
  g_test_add_func("/hold/lost-unmounted", test_lost_unmounted);
  g_test_add_func("/hold/rotten-book", test_rotten_book);
  g_test_add_func("/hold/moved", test_moved);
  g_test_add_func("/hold/unmounted", test_unmounted);
  g_test_add_func("/hold/crash", test_crash);
  g_test_add_func("/hold/torn", test_torn);
  g_test_add_func("/hold/crash-letting-go", test_crash_letting_go);
  g_test_add_func("/hold/compaction", test_compaction);
  g_test_add_func("/hold/messages", test_messages);
  g_test_add_func("/hold/asking", test_asking);
  return g_test_run();
}
