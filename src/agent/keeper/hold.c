/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/keeper/hold.h"

#include <dirent.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/keeper/holdbook.h"
#include "agent/keeper/repositories.h"
#include "agent/state.h"
#include "base/error.h"
#include "base/sys.h"

#define FOLDER "holds"
#define STEP 3600u /* ends are whole hours: what is lengthened by a little every few hours is not written each time */
#define DEPTH_MAX 8u
#define BATCH 1000u

typedef struct Place {
  HfHoldBook *book;
  char *says; /* NULL: all is well */
} Place;

struct HfHolds {
  char *state, *folder;
  uid_t user;
  GHashTable *places; /* path -> Place */
};

/* ---- Flags. ---- */

static int get_flags(int fd, int *flags)
{
  return ioctl(fd, FS_IOC_GETFLAGS, flags);
}

static int set_flags(int fd, int flags)
{
  return ioctl(fd, FS_IOC_SETFLAGS, &flags);
}

static gboolean may_set(void)
{
  struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
  struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };
  return syscall(SYS_capget, &header, data) == 0 &&
    (data[CAP_TO_INDEX(CAP_LINUX_IMMUTABLE)].effective & CAP_TO_MASK(CAP_LINUX_IMMUTABLE)) != 0;
}

HfHoldFlags hf_hold_flags = { get_flags, set_flags, may_set };

static gboolean is_unsupported(int errnum)
{
  return errnum == ENOTTY || errnum == EOPNOTSUPP || errnum == ENOSYS;
}

/* What fails here fails for each file of the file system, as a rule. */
static gboolean change_flag(int fd, const char *name, gboolean held, GError **error)
{
  int flags;
  if (hf_hold_flags.get(fd, &flags) < 0)
    return hf_fail(error, is_unsupported(errno) ? HF_ERROR_UNSUPPORTED : HF_ERROR_IO,
                   "cannot read the inode flags of '%s': %s", name, g_strerror(errno));
  int wanted = held ? flags | FS_IMMUTABLE_FL : flags & ~FS_IMMUTABLE_FL;
  if (wanted == flags || hf_hold_flags.set(fd, wanted) == 0)
    return TRUE;
  return hf_fail(error, is_unsupported(errno) ? HF_ERROR_UNSUPPORTED : HF_ERROR_IO,
                 "cannot change the immutable flag of '%s': %s", name, g_strerror(errno));
}

/* ---- Files. ---- */

/* Objects that are written once and go only when nobody needs them; what else there is comes and goes. */
static gboolean name_fits(const char *name)
{
  static const char *const folders[] = { "data/", "meta/", "parity/", "mirror/", "points/", "keys/", "ring/",
                                         "writers/", "config." };
  for (gsize i = 0; i < G_N_ELEMENTS(folders); i++)
    if (g_str_has_prefix(name, folders[i]))
      return TRUE;
  return FALSE;
}

/* -1 with errno. */
static int open_below(int root, const char *name, guint64 flags)
{
  struct open_how how = { .flags = flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
                          .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS };
  return (int)HF_AGAIN(syscall(SYS_openat2, root, name, &how, sizeof how));
}

/* -1: none that may be held. */
static int open_object(const HfHolds *holds, int root, const char *name, guint64 *inode)
{
  struct stat status;
  hf_autofd int fd = name_fits(name) ? open_below(root, name, O_RDONLY) : -1;
  if (fd < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || status.st_nlink != 1 ||
      status.st_uid != holds->user)
    return -1;
  *inode = status.st_ino;
  return hf_steal_fd(&fd);
}

/* A repository whose file system is not mounted is not one that lost its files. */
static int open_root(const char *path, GError **error)
{
  hf_autofd int root = hf_open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NONBLOCK, 0, error);
  struct stat status;
  if (root < 0)
    return -1;
  for (guint copy = 0; copy < 3; copy++) {
    g_autofree char *name = g_strdup_printf("config.%u", copy);
    if (fstatat(root, name, &status, AT_SYMLINK_NOFOLLOW) == 0)
      return hf_steal_fd(&root);
  }
  hf_fail(error, HF_ERROR_NOT_FOUND, "'%s' holds no repository now", path);
  return -1;
}

/* ---- Taking up what has the flag. ---- */

typedef struct Search {
  const HfHolds *holds;
  HfHoldBook *book;
  GPtrArray *names; /* owns the names of `found` */
  GArray *found;    /* of HfHold: not in the book, or there under another name */
  guint64 until;
} Search;

static gboolean flush(Search *search, GError **error)
{
  gboolean put = hf_hold_book_put(search->book, (const HfHold *)(void *)search->found->data, search->found->len, error);
  g_array_set_size(search->found, 0);
  g_ptr_array_set_size(search->names, 0);
  return put;
}

static gboolean meet_file(Search *search, int folder, const char *leaf, const char *name, GError **error)
{
  struct statx status;
  if (statx(folder, leaf, AT_SYMLINK_NOFOLLOW, STATX_TYPE | STATX_UID | STATX_INO, &status) < 0 ||
      !S_ISREG(status.stx_mode) || status.stx_uid != search->holds->user)
    return TRUE;
  hf_autofd int fd = open_below(folder, leaf, O_RDONLY);
  int flags = 0;
  if (fd < 0 || hf_hold_flags.get(fd, &flags) < 0 || (flags & FS_IMMUTABLE_FL) == 0)
    return TRUE;
  const HfHold *known = hf_hold_book_find(search->book, status.stx_ino);
  if (known != NULL && strcmp(known->name, name) == 0)
    return TRUE;
  char *kept = g_strdup(name);
  HfHold hold = { .inode = status.stx_ino, .until = known != NULL ? known->until : search->until, .name = kept };
  g_ptr_array_add(search->names, kept);
  g_array_append_val(search->found, hold);
  return search->found->len < BATCH || flush(search, error);
}

static gboolean search_folder(Search *search, int fd, const char *path, guint depth, GError **error)
{
  DIR *folder = fdopendir(fd);
  if (folder == NULL) {
    close(fd);
    return hf_fail_errno(error, errno, "cannot list '%s'", path);
  }
  gboolean done = TRUE;
  for (const struct dirent *entry; done && (entry = readdir(folder)) != NULL;) {
    const char *leaf = entry->d_name;
    if (strcmp(leaf, ".") == 0 || strcmp(leaf, "..") == 0)
      continue;
    g_autofree char *name = *path == '\0' ? g_strdup(leaf) : g_strconcat(path, "/", leaf, NULL);
    int below = depth < DEPTH_MAX ? open_below(dirfd(folder), leaf, O_RDONLY | O_DIRECTORY) : -1;
    done = below >= 0 ? search_folder(search, below, name, depth + 1, error)
                      : meet_file(search, dirfd(folder), leaf, name, error);
  }
  closedir(folder);
  return done;
}

static guint64 end_of(const HfHoldBook *book, guint64 seconds)
{
  return (hf_hold_book_now(book) + seconds + STEP - 1) / STEP * STEP;
}

static guint64 longest(const HfHoldBook *book)
{
  guint64 lock = hf_hold_book_lock(book);
  return (lock > 0 ? lock : HF_HOLD_LOCK) + HF_HOLD_MARGIN;
}

static gboolean take_up(const HfHolds *holds, HfHoldBook *book, int root, GError **error)
{
  g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
  g_autoptr(GArray) found = g_array_new(FALSE, FALSE, sizeof(HfHold));
  Search search = { holds, book, names, found, end_of(book, longest(book)) };
  int fd = hf_open(root, ".", O_RDONLY | O_DIRECTORY, 0, error);
  return fd >= 0 && search_folder(&search, fd, "", 0, error) && flush(&search, error);
}

/* ---- Places. ---- */

static void place_free(gpointer data)
{
  Place *place = data;
  hf_hold_book_free(place->book);
  g_free(place->says);
  g_free(place);
}

/* Said once, and again when it is something else. */
static void say(Place *place, const GError *error)
{
  if (error != NULL && g_strcmp0(place->says, error->message) != 0)
    g_warning("repository '%s': %s", hf_hold_book_path(place->book), error->message);
  g_free(place->says);
  place->says = error != NULL ? g_strdup(error->message) : NULL;
}

/* Invariant 3. What cannot be searched now (it is not mounted) is searched when it can be. */
static void search(const HfHolds *holds, Place *place)
{
  g_autoptr(GError) why = NULL;
  if (hf_hold_book_complete(place->book))
    return;
  hf_autofd int root = open_root(hf_hold_book_path(place->book), &why);
  if (root >= 0 && take_up(holds, place->book, root, &why))
    hf_hold_book_set_complete(place->book, &why);
  if (root >= 0)
    say(place, why);
}

static Place *open_place(HfHolds *holds, const char *path, GError **error)
{
  g_autoptr(HfHoldBook) book = hf_hold_book_open(holds->folder, path, error);
  if (book == NULL)
    return NULL;
  Place *place = g_new0(Place, 1);
  place->book = g_steal_pointer(&book);
  g_hash_table_insert(holds->places, g_strdup(path), place);
  search(holds, place);
  return place;
}

static Place *find_place(HfHolds *holds, const char *path, GError **error)
{
  Place *place = g_hash_table_lookup(holds->places, path);
  if (place != NULL)
    return place;
  g_auto(GStrv) known = hf_repositories_list(holds->state, error);
  if (known == NULL)
    return NULL;
  if (g_strv_contains((const char *const *)known, path))
    return open_place(holds, path, error);
  hf_fail(error, HF_ERROR_REFUSED, "'%s' is no repository of this host", path);
  return NULL;
}

HfHolds *hf_holds_new(const char *state, uid_t user, GError **error)
{
  if (user == 0) {
    hf_fail(error, HF_ERROR_UNSUPPORTED, "the network roles run as root, against whom the immutable flag is no bar");
    return NULL;
  }
  if (!hf_hold_flags.may()) {
    hf_fail(error, HF_ERROR_UNSUPPORTED, "this process has no right to set the immutable flag");
    return NULL;
  }
  g_autofree char *folder = g_build_filename(state, FOLDER, NULL);
  g_auto(GStrv) known = hf_state_folder(folder, error) ? hf_repositories_list(state, error) : NULL;
  if (known == NULL)
    return NULL;
  HfHolds *holds = g_new0(HfHolds, 1);
  *holds = (HfHolds){ g_strdup(state), g_steal_pointer(&folder), user, NULL };
  holds->places = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, place_free);
  for (char **path = known; *path != NULL; path++) {
    g_autoptr(GError) why = NULL;
    if (open_place(holds, *path, &why) == NULL)
      g_warning("repository '%s': %s", *path, why->message);
  }
  return holds;
}

void hf_holds_free(HfHolds *holds)
{
  if (holds == NULL)
    return;
  g_hash_table_unref(holds->places);
  g_free(holds->state);
  g_free(holds->folder);
  g_free(holds);
}

void hf_holds_stop(HfHolds *holds)
{
  GHashTableIter iter;
  gpointer data;
  g_hash_table_iter_init(&iter, holds->places);
  while (g_hash_table_iter_next(&iter, NULL, &data))
    hf_hold_book_run(((Place *)data)->book, FALSE);
}

gboolean hf_holds_lock(HfHolds *holds, const char *path, guint64 seconds, GError **error)
{
  Place *place = find_place(holds, path, error);
  return place != NULL && hf_hold_book_set_lock(place->book, seconds, error);
}

/* ---- Holding. ---- */

static void close_all(GArray *fds)
{
  for (guint i = 0; i < fds->len; i++)
    close(g_array_index(fds, int, i));
  g_array_unref(fds);
}
typedef GArray Fds;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Fds, close_all)

/* In the book first, then the flag. */
static gboolean hold_files(Place *place, const GArray *fds, const GArray *wanted, GError **error)
{
  int flags;
  if (fds->len == 0)
    return TRUE;
  if (hf_hold_flags.get(g_array_index(fds, int, 0), &flags) < 0 && is_unsupported(errno))
    return hf_fail(error, HF_ERROR_UNSUPPORTED, "its file system has no immutable flag");
  if (!hf_hold_book_put(place->book, (const HfHold *)(const void *)wanted->data, wanted->len, error))
    return FALSE;
  for (guint i = 0; i < fds->len; i++)
    if (!change_flag(g_array_index(fds, int, i), g_array_index(wanted, HfHold, i).name, TRUE, error))
      return FALSE;
  return TRUE;
}

gboolean hf_holds_hold(HfHolds *holds, const HfHoldRequest *request, guint *refused, GError **error)
{
  g_autoptr(GError) why = NULL;
  *refused = 0;
  Place *place = find_place(holds, request->repository, error);
  hf_autofd int root = place != NULL ? open_root(request->repository, error) : -1;
  if (root < 0)
    return FALSE;
  hf_hold_book_run(place->book, TRUE);
  guint64 until = end_of(place->book, MIN(request->seconds, longest(place->book)));
  g_autoptr(GArray) wanted = g_array_new(FALSE, FALSE, sizeof(HfHold));
  g_autoptr(Fds) fds = g_array_new(FALSE, FALSE, sizeof(int));
  for (guint i = 0; i < request->names->len; i++) {
    HfHold hold = { .until = until, .name = request->names->pdata[i] };
    int fd = open_object(holds, root, hold.name, &hold.inode);
    if (fd < 0) {
      ++*refused;
      continue;
    }
    g_array_append_val(fds, fd);
    g_array_append_val(wanted, hold);
  }
  gboolean held = hold_files(place, fds, wanted, &why);
  say(place, why);
  if (why != NULL)
    g_propagate_error(error, g_steal_pointer(&why));
  return held;
}

/* ---- Letting go. ---- */

/* *found FALSE: it is not where the book says. */
static gboolean let_go(HfHoldBook *book, int root, guint64 inode, gboolean *found, GError **error)
{
  struct stat status;
  const char *name = hf_hold_book_find(book, inode)->name;
  hf_autofd int fd = open_below(root, name, O_RDONLY);
  *found = fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_ino == inode;
  return !*found || change_flag(fd, name, FALSE, error);
}

/* Those of `due` that were found; the others become `lost`. */
static gboolean let_go_all(HfHoldBook *book, int root, const GArray *due, GArray *lost, GError **error)
{
  g_autoptr(GArray) gone = g_array_new(FALSE, FALSE, sizeof(guint64));
  gboolean well = TRUE;
  for (guint i = 0; well && i < due->len; i++) {
    gboolean found;
    guint64 inode = g_array_index(due, guint64, i);
    well = let_go(book, root, inode, &found, error);
    if (well)
      g_array_append_val(found ? gone : lost, inode);
  }
  return hf_hold_book_drop(book, (const guint64 *)(void *)gone->data, gone->len, well ? error : NULL) && well;
}

/* What was moved is searched for; what is nowhere was removed by somebody who took the flag away himself. */
static gboolean look_at(const HfHolds *holds, Place *place, GError **error)
{
  g_autoptr(GArray) due = hf_hold_book_due(place->book);
  g_autoptr(GArray) lost = g_array_new(FALSE, FALSE, sizeof(guint64));
  g_autoptr(GArray) nowhere = g_array_new(FALSE, FALSE, sizeof(guint64));
  if (due->len == 0)
    return TRUE;
  hf_autofd int root = open_root(hf_hold_book_path(place->book), error);
  if (root < 0 || !let_go_all(place->book, root, due, lost, error))
    return FALSE;
  if (lost->len == 0)
    return TRUE;
  return take_up(holds, place->book, root, error) && let_go_all(place->book, root, lost, nowhere, error) &&
    hf_hold_book_drop(place->book, (const guint64 *)(void *)nowhere->data, nowhere->len, error);
}

void hf_holds_look(HfHolds *holds)
{
  GHashTableIter iter;
  gpointer data;
  g_hash_table_iter_init(&iter, holds->places);
  while (g_hash_table_iter_next(&iter, NULL, &data)) {
    Place *place = data;
    g_autoptr(GError) problem = NULL;
    search(holds, place);
    if (!hf_hold_book_keep_clock(place->book, &problem) || !look_at(holds, place, &problem))
      say(place, problem);
  }
}

void hf_holds_each(HfHolds *holds, HfHoldsFunc func, gpointer user)
{
  GHashTableIter iter;
  gpointer data;
  g_hash_table_iter_init(&iter, holds->places);
  while (g_hash_table_iter_next(&iter, NULL, &data)) {
    const Place *place = data;
    guint files = hf_hold_book_count(place->book);
    if (files > 0 || place->says != NULL || hf_hold_book_lock(place->book) > 0)
      func(hf_hold_book_path(place->book), files, place->says, user);
  }
}
