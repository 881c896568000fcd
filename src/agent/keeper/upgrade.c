/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/keeper/upgrade.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/keeper/tasks.h"
#include "base/error.h"
#include "base/work.h"

#define SIZE_MAX_BYTES (1u << 30)
#define BLOCK (64u << 10)

struct HfUpgrade {
  HfKeeper *keeper;
  GMutex lock;
  char *path;                    /* of the file as it comes */
  HfInstallerUpgradeOrder order; /* size 0: none */
  gboolean receiving, pending;
};

HfUpgrade *hf_upgrade_new(HfKeeper *keeper)
{
  HfUpgrade *upgrade = g_new0(HfUpgrade, 1);
  upgrade->keeper = keeper;
  g_mutex_init(&upgrade->lock);
  upgrade->path = g_build_filename(keeper->settings->state, "upgrade.deb", NULL);
  return upgrade;
}

void hf_upgrade_free(HfUpgrade *upgrade)
{
  if (upgrade == NULL)
    return;
  hf_installer_upgrade_order_clear(&upgrade->order);
  g_mutex_clear(&upgrade->lock);
  g_free(upgrade->path);
  g_free(upgrade);
}

gboolean hf_upgrade_begin(HfUpgrade *upgrade, const HfInstallerUpgradeOrder *order, guint64 *have, GError **error)
{
  struct stat status;
  HF_LOCK(&upgrade->lock);
  if (upgrade->receiving || upgrade->pending)
    return hf_fail(error, HF_ERROR_BUSY, "an upgrade of this host is under way already");
  if (order->size == 0 || order->size > SIZE_MAX_BYTES)
    return hf_fail(error, HF_ERROR_INVALID, "the size of the file is out of bounds");
  if (order->package && geteuid() != 0)
    return hf_fail(error, HF_ERROR_PERMISSION, "the agent of this host is not root and cannot install packages; send "
                   "the program itself");
  gboolean same = hf_id_equal(&order->digest, &upgrade->order.digest) && order->size == upgrade->order.size;
  *have = same && g_stat(upgrade->path, &status) == 0 && (guint64)status.st_size <= order->size
            ? (guint64)status.st_size : 0;
  hf_installer_upgrade_order_clear(&upgrade->order);
  upgrade->order = (HfInstallerUpgradeOrder){ .program = g_strdup(order->program), .size = order->size,
                                              .digest = order->digest, .package = order->package };
  if (*have == 0)
    g_unlink(upgrade->path);
  return TRUE;
}

static gboolean receive_into(HfUpgrade *upgrade, int fd, HfCall *call, GError **error)
{
  off_t length = hf_sys->lseek(fd, 0, SEEK_END);
  gboolean end = FALSE;
  while (!end) {
    g_autoptr(GBytes) piece = hf_call_receive(call, &end, error);
    if (piece == NULL && !end)
      return FALSE;
    if (piece == NULL)
      break;
    length += (off_t)g_bytes_get_size(piece);
    if ((guint64)length > upgrade->order.size)
      return hf_fail(error, HF_ERROR_INVALID, "more bytes came than the order names");
    if (!hf_write_all(fd, g_bytes_get_data(piece, NULL), g_bytes_get_size(piece), upgrade->path, error))
      return FALSE;
  }
  if ((guint64)length < upgrade->order.size)
    return hf_fail(error, HF_ERROR_INVALID, "the file is not whole: %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT
                   " bytes came; order the upgrade again to go on", (guint64)length, upgrade->order.size);
  return hf_sys->fsync(fd) == 0 || hf_fail_errno(error, errno, "cannot sync '%s'", upgrade->path);
}

static gboolean digest_is_right(HfUpgrade *upgrade, int fd, GError **error)
{
  guint8 digest[HF_ID_BYTES];
  gsize length = sizeof digest;
  g_autofree guint8 *block = g_malloc(BLOCK);
  g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
  for (guint64 at = 0; at < upgrade->order.size;) {
    gssize got = hf_pread_full(fd, block, BLOCK, (goffset)at, upgrade->path, error);
    if (got <= 0)
      return got < 0 ? FALSE : hf_fail(error, HF_ERROR_IO, "'%s' became shorter", upgrade->path);
    g_checksum_update(sum, block, got);
    at += (guint64)got;
  }
  g_checksum_get_digest(sum, digest, &length);
  if (memcmp(digest, upgrade->order.digest.b, sizeof digest) == 0)
    return TRUE;
  g_unlink(upgrade->path);
  return hf_fail(error, HF_ERROR_REFUSED, "the file is not the one that was ordered");
}

static void schedule(HfKeeper *keeper, HfAsk *ask, gpointer data G_GNUC_UNUSED)
{
  hf_keeper_note(keeper, "the file of the upgrade is here; it is installed when no task runs");
  hf_ask_done(ask, NULL, NULL);
  hf_keeper_maybe_end(keeper);
}

static gboolean receive(HfUpgrade *upgrade, HfCall *call, GError **error)
{
  hf_autofd int fd = hf_open(AT_FDCWD, upgrade->path, O_RDWR | O_CREAT | O_NOFOLLOW, 0700, error);
  return fd >= 0 && receive_into(upgrade, fd, call, error) && digest_is_right(upgrade, fd, error);
}

gboolean hf_upgrade_receive(HfUpgrade *upgrade, HfCall *call, GError **error)
{
  g_mutex_lock(&upgrade->lock);
  gboolean awaited = upgrade->order.size > 0 && !upgrade->receiving && !upgrade->pending;
  upgrade->receiving = upgrade->receiving || awaited;
  g_mutex_unlock(&upgrade->lock);
  if (!awaited)
    return hf_fail(error, HF_ERROR_REFUSED, "no file is awaited; order an upgrade first");
  gboolean done = receive(upgrade, call, error);
  g_mutex_lock(&upgrade->lock);
  upgrade->receiving = FALSE;
  upgrade->pending = done;
  g_mutex_unlock(&upgrade->lock);
  if (!done)
    return FALSE;
  g_autoptr(GBytes) nothing = hf_keeper_ask(upgrade->keeper, schedule, NULL, NULL, error);
  return nothing != NULL;
}

gboolean hf_upgrade_pending(HfUpgrade *upgrade)
{
  HF_LOCK(&upgrade->lock);
  return upgrade->pending;
}

/* ---- installing ---- */

/* `said` may be NULL: what it printed; caller frees. */
static gboolean run(const char *const *arguments, char **said, GError **error)
{
  int status = 0;
  g_autofree char *complaint = NULL;
  g_autoptr(GError) why = NULL;
  if (g_spawn_sync("/", (char **)arguments, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, said, &complaint, &status, &why) &&
      g_spawn_check_wait_status(status, &why))
    return TRUE;
  g_autofree char *words = g_utf8_make_valid(complaint != NULL ? g_strchomp(complaint) : "", -1);
  return hf_fail(error, HF_ERROR_FAILED, "'%s' failed: %s%s%s", arguments[0], why->message, *words != '\0' ? ": " : "",
                 words);
}

/* A program that does not start, or is another one, must not take the place of this. */
static gboolean try_program(const char *program, const char *version, GError **error)
{
  g_autofree char *said = NULL, *wanted = g_strdup_printf("holdfast-agent %s\n", version);
  const char *const arguments[] = { program, "version", NULL };
  if (!run(arguments, &said, error))
    return FALSE;
  return strcmp(said, wanted) == 0 || hf_fail(error, HF_ERROR_REFUSED, "the file is not holdfast-agent %s", version);
}

/* Below systemd the package's scripts start this service anew, and would end their own installation with it: that goes
 * on apart from the service, and by itself. By apt, as a new version may need a new library. */
static gboolean goes_apart(const HfUpgrade *upgrade)
{
  return upgrade->order.package && g_file_test("/run/systemd/system", G_FILE_TEST_IS_DIR);
}

static gboolean install_package(const HfUpgrade *upgrade, GError **error)
{
  static const char *const apart[] = { "systemd-run", "--quiet", "--collect", NULL };
  const char *const install[] = { "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "--yes", "--quiet",
                                  "--reinstall", "--allow-downgrades", "--no-install-recommends", "-o",
                                  "Dpkg::Options::=--force-confold", upgrade->path, NULL };
  g_autoptr(GPtrArray) words = g_ptr_array_new();
  for (guint i = 0; goes_apart(upgrade) && apart[i] != NULL; i++)
    g_ptr_array_add(words, (gpointer)apart[i]);
  for (guint i = 0; i < G_N_ELEMENTS(install); i++)
    g_ptr_array_add(words, (gpointer)install[i]);
  return run((const char *const *)words->pdata, NULL, error);
}

static gboolean install_program(const HfUpgrade *upgrade, GError **error)
{
  const char *program = upgrade->keeper->program;
  g_autofree char *beside = g_strdup_printf("%s.new", program);
  g_autoptr(GMappedFile) file = g_mapped_file_new(upgrade->path, FALSE, error);
  if (file == NULL || !g_file_set_contents_full(beside, g_mapped_file_get_contents(file),
                                                (gssize)g_mapped_file_get_length(file), G_FILE_SET_CONTENTS_DURABLE,
                                                0755, error))
    return FALSE;
  if (g_chmod(beside, 0755) == 0 && try_program(beside, upgrade->order.program, error) &&
      g_rename(beside, program) == 0)
    return TRUE;
  if (error != NULL && *error == NULL)
    hf_fail_errno(error, errno, "cannot replace '%s'", program);
  g_unlink(beside);
  return FALSE;
}

void hf_upgrade_install(HfUpgrade *upgrade)
{
  g_autoptr(GError) error = NULL;
  gboolean done = upgrade->order.package ? install_package(upgrade, &error) : install_program(upgrade, &error);
  gboolean apart = done && goes_apart(upgrade);
  if (!apart)
    g_unlink(upgrade->path);
  g_mutex_lock(&upgrade->lock);
  upgrade->pending = FALSE;
  g_mutex_unlock(&upgrade->lock);
  if (apart) {
    hf_keeper_note(upgrade->keeper, "the package of %s is being installed; it starts this service anew",
                   upgrade->order.program);
  } else if (done) {
    hf_keeper_note(upgrade->keeper, "upgraded to %s", upgrade->order.program);
    hf_keeper_end(upgrade->keeper, TRUE);
  } else {
    hf_keeper_note(upgrade->keeper, "the upgrade to %s failed: %s", upgrade->order.program, error->message);
  }
  upgrade->order.size = 0;
}
