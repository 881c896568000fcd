/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/tasks/freeze.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/sys.h"
#include "base/work.h"

#define SOCKET_FD 3 /* of the guardian; those of the file systems follow */
#define FROZEN_MAX 64u
#define LATE_MS 5000 /* on top of the deadline, for an answer that comes at it */

/* What the guardian says. */
typedef struct Word {
  gint32 kind;     /* FROZEN, REFUSED, THAWED (as told), LATE (at the deadline) */
  gint32 number;   /* REFUSED: errno */
  guint64 skipped; /* FROZEN: bits of those whose file systems cannot be frozen. REFUSED: which, as an index */
} Word;
enum { FROZEN = 1, REFUSED, THAWED, LATE };

struct HfFreeze {
  pid_t guardian;
  int socket;
  int fds[FROZEN_MAX];
  guint count;
  guint64 skipped; /* bits: cannot be frozen */
  gint64 until;    /* hf_thaw_clock_ms */
  char *note;      /* path */
  int note_fd;     /* locked: shared with the guardian */
  GThread *watcher;
  GMutex lock; /* guards what follows */
  gboolean lost, thawed;
};

/* ---- The guardian: between fork and _exit, only calls that are safe there. ---- */

static void say(gint32 kind, gint32 number, guint64 skipped)
{
  const Word word = { kind, number, skipped };
  if (send(SOCKET_FD, &word, sizeof word, MSG_NOSIGNAL) < 0)
    return; /* the worker is gone, and needs no word */
}

static void thaw_all(guint count)
{
  for (guint i = count; i-- > 0;)
    ioctl(SOCKET_FD + 1 + (int)i, FITHAW, 0);
}

static void refuse(gint32 number, guint index, const char *note)
{
  thaw_all(index);
  unlink(note);
  say(REFUSED, number, index);
  _exit(0);
}

/* The descriptors to where they are expected, above all others first; the note, which is locked as long as it is open
 * here, comes last. The rest is closed. */
static gboolean arrange(const HfFreeze *freeze, int socket)
{
  const int high = 512;
  if (socket >= high || dup2(socket, high) < 0)
    return FALSE;
  for (guint i = 0; i <= freeze->count; i++) {
    const int fd = i < freeze->count ? freeze->fds[i] : freeze->note_fd;
    if (fd >= high || dup2(fd, high + 1 + (int)i) < 0)
      return FALSE;
  }
  for (guint i = 0; i <= freeze->count + 1; i++)
    if (dup2(high + (int)i, SOCKET_FD + (int)i) < 0)
      return FALSE;
  return close_range(SOCKET_FD + 2 + freeze->count, ~0U, 0) == 0;
}

static void guard(const HfFreeze *freeze, int socket)
{
  int adjust = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  ssize_t hardened = adjust < 0 ? 0 : write(adjust, "-1000", 5);
  (void)hardened; /* one that can be killed when memory is short is seen to as well */
  setsid();
  prctl(PR_SET_NAME, "hf-guardian", 0, 0, 0);
  if (!arrange(freeze, socket))
    _exit(1);
  guint64 skipped = 0;
  for (guint i = 0; i < freeze->count; i++) {
    if (ioctl(SOCKET_FD + 1 + (int)i, FIFREEZE, 0) == 0)
      continue;
    if (errno != EOPNOTSUPP && errno != ENOTTY)
      refuse(errno, i, freeze->note);
    skipped |= G_GUINT64_CONSTANT(1) << i;
  }
  say(FROZEN, 0, skipped);
  struct pollfd wait = { .fd = SOCKET_FD, .events = POLLIN };
  int told = 0;
  gint64 left;
  while (told <= 0 && (left = freeze->until - hf_thaw_clock_ms()) > 0)
    told = poll(&wait, 1, (int)left);
  thaw_all(freeze->count);
  unlink(freeze->note);
  say(told > 0 ? THAWED : LATE, 0, 0);
  _exit(0);
}

/* ---- The worker. ---- */

static void thaw_here(const HfFreeze *freeze)
{
  int failed[FROZEN_MAX];
  hf_thaw_all(freeze->fds, freeze->count, failed);
  for (guint i = 0; i < freeze->count; i++)
    if (failed[i] != 0 && failed[i] != EINVAL && (freeze->skipped >> i & 1) == 0)
      g_warning("cannot thaw a file system: %s; run 'fsfreeze -u'", g_strerror(failed[i]));
}

/* The guardian's word, when it comes before its time is over; else FALSE, and it has been thawed here. */
static gboolean hear(const HfFreeze *freeze, Word *word, gboolean *late)
{
  struct pollfd wait = { .fd = freeze->socket, .events = POLLIN };
  const gint64 left = freeze->until + LATE_MS - hf_thaw_clock_ms();
  *late = HF_AGAIN(poll(&wait, 1, (int)MAX(left, 0))) == 0;
  if (!*late && HF_AGAIN(recv(freeze->socket, word, sizeof *word, MSG_WAITALL)) == (ssize_t)sizeof *word)
    return TRUE;
  thaw_here(freeze);
  return FALSE;
}

/* Hears the guardian's last word, or its death. */
static gpointer watch(gpointer data)
{
  HfFreeze *freeze = data;
  Word word = { 0 };
  gboolean late;
  const gboolean held = hear(freeze, &word, &late) && word.kind == THAWED;
  HF_LOCK(&freeze->lock);
  freeze->lost = !held;
  freeze->thawed = TRUE;
  return NULL;
}

/* One that somebody stopped goes on; who guards still takes the closed socket for our death. */
static void dismiss(HfFreeze *freeze)
{
  hf_close_ptr(&freeze->socket);
  if (freeze->guardian <= 0)
    return;
  kill(freeze->guardian, SIGCONT);
  HF_AGAIN(waitpid(freeze->guardian, NULL, 0));
}

static void freeze_free(HfFreeze *freeze)
{
  dismiss(freeze);
  for (guint i = 0; i < freeze->count; i++)
    hf_close_ptr(&freeze->fds[i]);
  if (freeze->note != NULL)
    unlink(freeze->note);
  hf_close_ptr(&freeze->note_fd);
  g_free(freeze->note);
  g_mutex_clear(&freeze->lock);
  g_free(freeze);
}

static gboolean start_guardian(HfFreeze *freeze, GError **error)
{
  int pair[2];
  sigset_t all, before;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
    return hf_fail_errno(error, errno, "cannot make a socket pair");
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  freeze->guardian = fork();
  if (freeze->guardian == 0)
    guard(freeze, pair[1]);
  const int why = errno;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  close(pair[1]);
  freeze->socket = pair[0];
  return freeze->guardian > 0 || hf_fail_errno(error, why, "cannot start a process");
}

static gboolean fail_refused(const Word *word, const GPtrArray *places, GError **error)
{
  const guint64 index = word->skipped < places->len ? word->skipped : 0;
  const char *mount = ((const HfFrozen *)places->pdata[index])->mount;
  if (word->number == EBUSY)
    return hf_fail(error, HF_ERROR_BUSY, "'%s' is frozen by somebody else", mount);
  return hf_fail_errno(error, word->number, "cannot freeze '%s'", mount);
}

static gboolean wait_frozen(HfFreeze *freeze, const GPtrArray *places, guint seconds, GError **error)
{
  Word word = { 0 };
  gboolean late;
  if (!hear(freeze, &word, &late))
    return late ? hf_fail(error, HF_ERROR_FAILED, "freezing took longer than %u seconds", seconds)
                : hf_fail(error, HF_ERROR_FAILED, "the process that freezes was killed");
  if (word.kind != FROZEN)
    return fail_refused(&word, places, error);
  freeze->skipped = word.skipped;
  return TRUE;
}

/* What can be written out before, is: while it is frozen everybody waits for that. */
static gboolean open_all(HfFreeze *freeze, const GPtrArray *places, GError **error)
{
  if (places->len == 0 || places->len > FROZEN_MAX)
    return hf_fail(error, HF_ERROR_USAGE, "%u file systems cannot be frozen", places->len);
  for (; freeze->count < places->len; freeze->count++) {
    int fd = hf_frozen_open(places->pdata[freeze->count], error);
    if (fd < 0)
      return FALSE;
    freeze->fds[freeze->count] = fd;
    if (hf_sys->syncfs(fd) != 0) {
      freeze->count++;
      return hf_fail_errno(error, errno, "cannot sync '%s'",
                           ((const HfFrozen *)places->pdata[freeze->count - 1])->mount);
    }
  }
  return TRUE;
}

HfFreeze *hf_freeze_begin(const char *folder, const GPtrArray *places, guint seconds, GError **error)
{
  HfFreeze *freeze = g_new0(HfFreeze, 1);
  freeze->socket = freeze->note_fd = -1;
  g_mutex_init(&freeze->lock);
  if (open_all(freeze, places, error)) {
    freeze->until = hf_thaw_clock_ms() + (gint64)MIN(seconds, HF_FREEZE_SECONDS_MAX) * 1000;
    freeze->note = hf_thaw_note(folder, places, freeze->until, &freeze->note_fd, error);
  }
  if (freeze->note != NULL && start_guardian(freeze, error) && wait_frozen(freeze, places, seconds, error)) {
    freeze->watcher = g_thread_new("hf-freeze", watch, freeze);
    return freeze;
  }
  freeze_free(freeze);
  return NULL;
}

gboolean hf_freeze_has(const HfFreeze *freeze, guint index)
{
  return freeze != NULL && index < freeze->count && (freeze->skipped >> index & 1) == 0;
}

gboolean hf_freeze_held(HfFreeze *freeze)
{
  if (freeze == NULL)
    return FALSE;
  HF_LOCK(&freeze->lock);
  return !freeze->lost && !freeze->thawed;
}

gboolean hf_freeze_end(HfFreeze *freeze)
{
  if (freeze == NULL)
    return FALSE;
  const char word = 1;
  /* One that is gone has been noticed, or will be at once; one that was stopped goes on. */
  kill(freeze->guardian, SIGCONT);
  if (send(freeze->socket, &word, 1, MSG_NOSIGNAL) < 0)
    g_debug("the guardian is gone: %s", g_strerror(errno));
  g_thread_join(g_steal_pointer(&freeze->watcher));
  const gboolean held = !freeze->lost;
  freeze_free(freeze);
  return held;
}
