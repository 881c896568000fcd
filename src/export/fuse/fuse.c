/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "export/fuse/fuse.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/sys.h"
#include "export/fuse/requests.h"

#define MORE_THREADS 2u   /* than processors: some wait for the storage */
#define MOST_THREADS 16u
#define LOOK_MS 200       /* how often it is asked whether we were cancelled */

typedef struct Server {
  struct fuse_session *session;
  int wake;       /* an eventfd: readable once all is to end */
  GMutex waiting; /* held by the thread that waits for the next request */
  gint ended;     /* atomic: threads that have ended */
} Server;

/* ---- Serving. ---- */

static void end_all(Server *server)
{
  const guint64 one = 1;
  if (write(server->wake, &one, sizeof one) < 0)
    fuse_session_exit(server->session); /* cannot be: the counter is far from full */
}

/* The next request into `buffer`; FALSE when all is to end. */
static gboolean receive(Server *server, struct fuse_buf *buffer)
{
  HF_LOCK(&server->waiting);
  for (;;) {
    struct pollfd waits[2] = { { .fd = fuse_session_fd(server->session), .events = POLLIN },
                               { .fd = server->wake, .events = POLLIN } };
    if (poll(waits, G_N_ELEMENTS(waits), -1) < 0 && errno != EINTR)
      return FALSE;
    if (waits[1].revents != 0 || fuse_session_exited(server->session))
      return FALSE;
    int got = fuse_session_receive_buf(server->session, buffer);
    if (got > 0)
      return TRUE;
    if (got != -EINTR && got != -EAGAIN)
      return FALSE; /* unmounted */
  }
}

static gpointer serve(gpointer data)
{
  Server *server = data;
  struct fuse_buf buffer = { 0 };
  while (receive(server, &buffer))
    fuse_session_process_buf(server->session, &buffer);
  free(buffer.mem); /* malloc'ed by libfuse */
  g_atomic_int_inc(&server->ended);
  end_all(server);
  return NULL;
}

static guint count_threads(const HfFuseOptions *options)
{
  return options->threads > 0 ? options->threads : MIN(hf_processors() + MORE_THREADS, MOST_THREADS);
}

static void run(Server *server, const HfFuseOptions *options)
{
  guint count = count_threads(options);
  g_autofree GThread **threads = g_new(GThread *, count);
  for (guint i = 0; i < count; i++)
    threads[i] = g_thread_new("fuse", serve, server);
  if (options->mounted != NULL)
    options->mounted(options->user);
  while (!hf_cancelled(options->cancel, NULL) && g_atomic_int_get(&server->ended) == 0)
    poll(NULL, 0, LOOK_MS); /* a signal ends it at once */
  end_all(server);
  for (guint i = 0; i < count; i++)
    g_thread_join(threads[i]);
}

/* ---- Mounting. ---- */

static gboolean fail_place(const char *place, int errnum, GError **error)
{
  if (errnum == ENOTCONN)
    return hf_fail(error, HF_ERROR_REFUSED, "'%s' is a mount whose server has ended; run 'umount %s' first", place,
                   place);
  return hf_fail_errno(error, errnum, "cannot mount at '%s'", place);
}

static gboolean check_place(const char *place, GError **error)
{
  struct stat status;
  if (hf_sys->fstatat(AT_FDCWD, place, &status, 0) != 0)
    return fail_place(place, errno, error);
  if (!S_ISDIR(status.st_mode))
    return hf_fail(error, HF_ERROR_USAGE, "cannot mount at '%s': it is not a folder", place);
  hf_autofd int fd = hf_sys->openat(AT_FDCWD, place, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  if (fd < 0)
    return fail_place(place, errno, error);
  g_autoptr(GDir) dir = g_dir_open(place, 0, NULL);
  return dir == NULL || g_dir_read_name(dir) == NULL ||
         hf_fail(error, HF_ERROR_REFUSED, "cannot mount at '%s': it is not empty; choose an empty folder", place);
}

/* What libfuse says goes into the error of the thread that called it. */
static GPrivate last_words = G_PRIVATE_INIT(g_free);

static void G_GNUC_PRINTF(2, 0) note_words(enum fuse_log_level level, const char *format, va_list arguments)
{
  (void)level;
  g_autofree char *text = g_strdup_vprintf(format, arguments);
  g_private_replace(&last_words, g_strdup(g_strstrip(text)));
}

static gboolean fail_mount(const char *place, GError **error)
{
  const char *words = g_private_get(&last_words);
  return hf_fail(error, HF_ERROR_UNSUPPORTED, "cannot mount at '%s': %s; this needs the kernel's FUSE (/dev/fuse), and "
                 "fusermount3 for who is not root", place, words != NULL ? words : "FUSE does not answer");
}

static struct fuse_session *make_session(HfExport *export, const HfFuseOptions *options)
{
  struct fuse_args arguments = FUSE_ARGS_INIT(0, NULL);
  char *all = NULL;
  g_autofree char *source = g_strdup_printf("fsname=%s", options->source);
  fuse_opt_add_arg(&arguments, "holdfast");
  fuse_opt_add_opt(&all, "ro");
  fuse_opt_add_opt(&all, "subtype=holdfast");
  fuse_opt_add_opt_escaped(&all, source);
  fuse_opt_add_arg(&arguments, "-o");
  fuse_opt_add_arg(&arguments, all);
  struct fuse_session *session = fuse_session_new(&arguments, &hf_fuse_requests, sizeof hf_fuse_requests, export);
  fuse_opt_free_args(&arguments);
  free(all);
  return session;
}

static gboolean serve_session(Server *server, const HfFuseOptions *options, GError **error)
{
  if (fuse_session_mount(server->session, options->place) != 0)
    return fail_mount(options->place, error);
  int fd = fuse_session_fd(server->session), flags = fcntl(fd, F_GETFL);
  if (flags >= 0)
    fcntl(fd, F_SETFL, flags | O_NONBLOCK); /* a request may be withdrawn between poll and read */
  run(server, options);
  fuse_session_unmount(server->session);
  return TRUE;
}

gboolean hf_fuse_serve(HfExport *export, const HfFuseOptions *options, GError **error)
{
  Server server = { .wake = -1 };
  if (!check_place(options->place, error))
    return FALSE;
  server.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (server.wake < 0)
    return hf_fail_errno(error, errno, "cannot serve '%s'", options->place);
  fuse_set_log_func(note_words);
  server.session = make_session(export, options);
  g_mutex_init(&server.waiting);
  gboolean good = server.session != NULL ? serve_session(&server, options, error) : fail_mount(options->place, error);
  if (server.session != NULL)
    fuse_session_destroy(server.session);
  g_mutex_clear(&server.waiting);
  close(server.wake);
  return good;
}
