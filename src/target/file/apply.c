/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Metadata of a restored entry. The order is not free:
 *
 * 1. The owner comes first: a change of owner clears the setuid and setgid bits and security.capability.
 * 2. Then extended attributes: what stands on the entry and is not the point's (a default ACL that it inherited) is
 *    taken off, the point's are set, the access ACL among them.
 * 3. Then the mode, which agrees with the mask of the access ACL. A setuid or setgid bit is never given to a file
 *    whose owner or group could not be set: it would lend somebody else's rights.
 * 4. Then project id and inode flags, then times, which nothing after them changes.
 * 5. Immutable and append come last: they forbid all of the above.
 *
 * What is changed is the inode that was opened, of the kind that the entry names, whatever happens to its name
 * meanwhile.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/error.h"
#include "base/sys.h"
#include "target/file/apply_private.h"

#define SPECIAL_BITS ((mode_t)(S_ISUID | S_ISGID))

/* ---- Owner. ---- */

static gboolean get_status(const HfApply *apply, struct statx *found)
{
  return HF_AGAIN(hf_sys->statx(apply->fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, found)) == 0;
}

static gboolean set_owner(const HfApply *apply, uid_t uid, gid_t gid)
{
  return fchownat(apply->fd, "", uid, gid, AT_EMPTY_PATH) == 0;
}

/* Returns the special bits that the mode may have. */
static mode_t apply_owner(const HfApply *apply)
{
  const HfEntry *entry = apply->entry;
  struct statx found;
  mode_t bits = SPECIAL_BITS;
  /* What was just made has the right owner already, most times. */
  if (apply->known && apply->found.stx_uid == entry->uid && apply->found.stx_gid == entry->gid)
    return bits;
  if (set_owner(apply, entry->uid, entry->gid))
    return bits;
  int errnum = errno;
  (void)set_owner(apply, (uid_t)-1, entry->gid); /* a user may give a file to a group of his */
  gboolean known = get_status(apply, &found);
  if (!known || found.stx_uid != entry->uid)
    bits &= ~(mode_t)S_ISUID;
  if (!known || found.stx_gid != entry->gid)
    bits &= ~(mode_t)S_ISGID;
  hf_report_warning(apply->report, apply->shown, "the owner %u:%u cannot be set: %s%s", entry->uid, entry->gid,
                    g_strerror(errnum),
                    (entry->mode & SPECIAL_BITS & ~bits) != 0 ? "; so its setuid or setgid bit is left out" : "");
  return bits;
}

/* ---- Extended attributes. ---- */

static ssize_t list_attributes(const HfApply *apply, char *names, gsize length)
{
  return apply->path ? listxattr(apply->proc, names, length) : flistxattr(apply->fd, names, length);
}

static int set_attribute(const HfApply *apply, const char *name, const void *value, gsize length)
{
  return apply->path ? setxattr(apply->proc, name, value, length, 0) : fsetxattr(apply->fd, name, value, length, 0);
}

static int remove_attribute(const HfApply *apply, const char *name)
{
  return apply->path ? removexattr(apply->proc, name) : fremovexattr(apply->fd, name);
}

/* Labels that the running system's own policy gives to every file: without one in the point, its one stays. */
static gboolean is_label(const char *name)
{
  static const char *const labels[] = { "security.selinux", "security.SMACK64", "security.apparmor", "security.ima",
                                        "security.evm" };
  for (guint i = 0; i < G_N_ELEMENTS(labels); i++)
    if (g_str_has_prefix(name, labels[i]))
      return TRUE;
  return FALSE;
}

static gboolean has_attribute(HfView extras, const char *name)
{
  HfReader reader = hf_reader(extras.data, extras.length);
  guint64 tag;
  HfView value;
  while (hf_extras_next(&reader, &tag, &value, NULL))
    if (tag == HF_EXTRA_XATTR && strcmp((const char *)value.data, name) == 0)
      return TRUE;
  return FALSE;
}

static void remove_others(const HfApply *apply)
{
  char few[1024];
  g_autofree char *many = NULL;
  const char *names = few;
  ssize_t length = list_attributes(apply, few, sizeof few);
  if (length < 0 && errno == ERANGE) {
    names = many = g_malloc(XATTR_LIST_MAX);
    length = list_attributes(apply, many, XATTR_LIST_MAX);
  }
  for (const char *name = names; name - names < length; name += strlen(name) + 1)
    if (!has_attribute(apply->extras, name) && !is_label(name) && remove_attribute(apply, name) < 0 && errno != ENODATA)
      hf_report_warning(apply->report, apply->shown, "the extended attribute '%s' is not in the point, and cannot be "
                        "removed: %s", name, g_strerror(errno));
}

static void apply_attributes(const HfApply *apply)
{
  HfReader reader = hf_reader(apply->extras.data, apply->extras.length);
  guint64 tag;
  HfView value;
  remove_others(apply);
  while (hf_extras_next(&reader, &tag, &value, NULL)) {
    const char *name = (const char *)value.data;
    if (tag != HF_EXTRA_XATTR)
      break;
    gsize skip = strlen(name) + 1;
    if (set_attribute(apply, name, value.data + skip, value.length - skip) < 0)
      hf_report_warning(apply->report, apply->shown, "the extended attribute '%s' cannot be set: %s", name,
                        g_strerror(errno));
  }
}

/* ---- Mode and times. ---- */

static void apply_mode(const HfApply *apply, mode_t special)
{
  mode_t mode = apply->entry->mode & (07777 & (special | ~SPECIAL_BITS));
  struct statx found;
  if (S_ISLNK(apply->entry->mode))
    return;
  if ((apply->path ? chmod(apply->proc, mode) : fchmod(apply->fd, mode)) < 0)
    hf_report_warning(apply->report, apply->shown, "the mode %04o cannot be set: %s", mode, g_strerror(errno));
  else if ((mode & S_ISGID) != 0 && get_status(apply, &found) && (found.stx_mode & S_ISGID) == 0)
    /* the kernel says nothing when it leaves the bit out */
    hf_report_warning(apply->report, apply->shown, "its setgid bit is left out: you are no member of group %u",
                      apply->entry->gid);
}

static void apply_times(const HfApply *apply)
{
  const HfEntry *entry = apply->entry;
  const struct timespec times[2] = { { 0, UTIME_OMIT }, { entry->mtime_sec, entry->mtime_nsec } };
  struct statx found;
  int set = apply->path ? utimensat(AT_FDCWD, apply->proc, times, 0) : futimens(apply->fd, times);
  if (set < 0) {
    hf_report_warning(apply->report, apply->shown, "its time cannot be set: %s", g_strerror(errno));
    return;
  }
  /* A file system that keeps only some years takes the nearest time in silence. */
  gboolean usual = entry->mtime_sec >= 0 && entry->mtime_sec <= G_MAXINT32;
  if (!usual && get_status(apply, &found) && found.stx_mtime.tv_sec != entry->mtime_sec)
    hf_report_warning(apply->report, apply->shown, "its time is beyond what this file system can keep");
}

/* ---- All together. ---- */

/* Regular files and folders are opened for reading where that is allowed, all else, which might act on being opened,
 * with O_PATH. */
static int open_entry(int parent, const char *name, HfApply *apply)
{
  guint32 mode = apply->entry->mode;
  int fd = -1, flags = O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC;
  apply->path = FALSE;
  if (S_ISREG(mode) || S_ISDIR(mode))
    fd = HF_AGAIN(hf_sys->openat(parent, name, S_ISDIR(mode) ? flags | O_DIRECTORY : flags, 0));
  if (fd >= 0)
    return fd;
  apply->path = TRUE;
  return HF_AGAIN(hf_sys->openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0));
}

static gboolean open_checked(HfApply *apply, int parent, const char *name, int *own, GError **error)
{
  g_autofree char *shown = hf_printable(name, -1);
  if (strchr(name, '/') != NULL)
    return hf_fail(error, HF_ERROR_INVALID, "'%s' cannot be the name of an entry", shown);
  *own = open_entry(parent, name, apply);
  apply->fd = *own;
  apply->known = *own >= 0 && get_status(apply, &apply->found);
  if (!apply->known)
    return hf_fail_errno(error, errno, "cannot open '%s' to give it its metadata", shown);
  if (((apply->found.stx_mode ^ apply->entry->mode) & S_IFMT) != 0)
    return hf_fail(error, HF_ERROR_REFUSED, "'%s' was replaced by something of another kind meanwhile", shown);
  return TRUE;
}

gboolean hf_target_apply(int parent, const char *name, int fd, const HfEntry *entry, HfView extras, HfReport *report,
                         const char *shown_path, GError **error)
{
  HfApply apply = { .fd = fd, .entry = entry, .extras = extras, .report = report, .shown = shown_path };
  hf_autofd int own = -1;
  if (!hf_extras_valid(extras))
    return hf_fail(error, HF_ERROR_INVALID, "the extras of an entry are malformed");
  if (fd < 0 && !open_checked(&apply, parent, name, &own, error))
    return FALSE;
  if (fd >= 0)
    apply.known = get_status(&apply, &apply.found);
  g_snprintf(apply.proc, sizeof apply.proc, "/proc/self/fd/%d", apply.fd);
  hf_apply_read_extras(&apply);

  mode_t special = apply_owner(&apply);
  apply_attributes(&apply);
  apply_mode(&apply, special);
  hf_apply_flags(&apply);
  apply_times(&apply);
  hf_apply_last_flags(&apply);
  return TRUE;
}
