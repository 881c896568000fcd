/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/keeper/keeper.h"

#include <errno.h>
#include <glib-unix.h>
#include <glib/gstdio.h>
#include <jansson.h>
#include <malloc.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/keeper/carry.h"
#include "agent/keeper/face.h"
#include "agent/keeper/holding.h"
#include "agent/keeper/repositories.h"
#include "agent/keeper/service.h"
#include "agent/keeper/tasks.h"
#include "agent/keeper/upgrade.h"
#include "agent/enroll.h"
#include "base/clock.h"
#include "base/error.h"
#include "net/pki.h"

#define LOOK_MS 300u /* after a change of the state folder */
#define LATER_MS 1500u
#define POLL_SECONDS 3u /* where changes cannot be watched, or are not made */
#define END_SECONDS 40u /* for tasks to leave a checkpoint */

/* ---- telling ---- */

void hf_keeper_note(HfKeeper *keeper, const char *format, ...)
{
  va_list arguments;
  va_start(arguments, format);
  g_autofree char *text = g_strdup_vprintf(format, arguments);
  va_end(arguments);
  g_message("%s", text);
  hf_events_add(keeper->events, HF_EVENT_NOTE, 0, "", g_bytes_new(text, strlen(text)));
}

static json_t *roles_document(const HfInstallerStatus *status)
{
  json_t *roles = json_array();
  for (guint i = 0; i < status->n_roles; i++) {
    const HfInstallerRole *role = &status->roles[i];
    json_array_append_new(roles, json_pack("{s:s, s:b, s:i, s:i, s:i}", "role", role->name, "running", role->running,
                                           "pid", (int)role->pid, "port", (int)role->port, "starts",
                                           (int)role->starts));
  }
  return roles;
}

static json_t *tasks_document(const HfInstallerStatus *status)
{
  json_t *tasks = json_array();
  for (guint i = 0; i < status->n_tasks; i++) {
    const HfInstallerTask *task = &status->tasks[i];
    json_array_append_new(tasks, json_pack("{s:s, s:s, s:i}", "task", task->name, "kind", task->kind, "pid",
                                           (int)task->pid));
  }
  return tasks;
}

void hf_keeper_write_status(HfKeeper *keeper)
{
  g_auto(HfInstallerStatus) status = { 0 };
  if (keeper->installer != NULL)
    hf_face_describe(keeper->installer, hf_installer_status_add_roles(&status));
  if (keeper->transport != NULL)
    hf_face_describe(keeper->transport, hf_installer_status_add_roles(&status));
  if (keeper->tasks != NULL)
    hf_tasks_describe(keeper->tasks, &status);
  json_t *document = json_pack("{s:i, s:o, s:o}", "pid", (int)getpid(), "roles", roles_document(&status), "tasks",
                               tasks_document(&status));
  if (keeper->holding != NULL)
    json_object_set_new(document, "immutable", hf_holding_describe(keeper->holding));
  char *text = json_dumps(document, JSON_COMPACT);
  g_autofree char *path = g_build_filename(keeper->settings->runtime, "status", NULL);
  g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0644, NULL);
  json_decref(document);
  free(text);
}

/* What systemd is told (sd_notify): "READY=1". */
static void notify(const char *text)
{
  const char *path = g_getenv("NOTIFY_SOCKET");
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  if (path == NULL || *path == '\0' || strlen(path) >= sizeof address.sun_path)
    return;
  memcpy(address.sun_path, path, strlen(path));
  if (*path == '@')
    address.sun_path[0] = '\0';
  hf_autofd int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  socklen_t length = (socklen_t)(G_STRUCT_OFFSET(struct sockaddr_un, sun_path) + strlen(path));
  if (fd >= 0 && sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&address, length) < 0)
    g_warning("cannot notify the service manager: %s", g_strerror(errno));
}

/* ---- faces ---- */

static void on_installer(HfKeeper *keeper, HfControlMessage *message)
{
  if (message->kind == HF_CONTROL_CONNECTION && message->fd >= 0)
    hf_service_connect(keeper->service, hf_steal_fd(&message->fd));
  else
    g_warning("the installer role sends what nobody asked for");
}

static void installer_gone(HfKeeper *keeper)
{
  hf_service_disconnect(keeper->service);
}

/* Who was killed has left sessions behind. */
static void transport_ready(HfKeeper *keeper)
{
  g_autoptr(HfBody) body = hf_body_new();
  g_autoptr(GError) error = NULL;
  g_auto(GStrv) repositories = hf_repositories_list(keeper->settings->state, &error);
  if (repositories == NULL) {
    hf_keeper_note(keeper, "cannot tell which repositories this host serves: %s", error->message);
    return;
  }
  hf_put_varint(body, g_strv_length(repositories));
  for (guint i = 0; repositories[i] != NULL; i++)
    hf_put_text(body, repositories[i]);
  hf_face_send(keeper->transport, HF_CONTROL_REPOSITORIES, body, -1);
}

static const HfFaceOps installer_ops = { on_installer, installer_gone, NULL };
static const HfFaceOps transport_ops = { hf_carry_message, hf_carry_transport_gone, transport_ready };

void hf_keeper_setup_faces(HfKeeper *keeper)
{
  hf_face_setup(keeper->installer);
  hf_face_setup(keeper->transport);
}

/* ---- enrolled or not ---- */

static void leave(HfKeeper *keeper)
{
  hf_tasks_cancel_all(keeper->tasks);
  hf_service_disconnect(keeper->service);
  g_clear_pointer(&keeper->installer, hf_face_free);
  g_clear_pointer(&keeper->transport, hf_face_free);
  hf_carry_transport_gone(keeper);
  g_clear_pointer(&keeper->identity, hf_membership_free);
  hf_keeper_write_status(keeper);
}

static void join(HfKeeper *keeper, HfMembership *identity)
{
  keeper->identity = identity;
  g_message("this is host %s of server %s", identity->host, identity->server);
  keeper->installer = hf_face_new(keeper, "installer", &installer_ops);
  keeper->transport = hf_face_new(keeper, "transport", &transport_ops);
  hf_keeper_write_status(keeper);
}

static gboolean same_identity(const HfMembership *a, const HfMembership *b)
{
  return a != NULL && b != NULL && strcmp(a->host, b->host) == 0 && strcmp(a->server, b->server) == 0 &&
         strcmp(a->certificate, b->certificate) == 0 && strcmp(a->authority, b->authority) == 0;
}

static gboolean on_wait(gpointer user)
{
  HfKeeper *keeper = user;
  keeper->wait_timer = 0;
  hf_keeper_look(keeper);
  return G_SOURCE_REMOVE;
}

void hf_keeper_look(HfKeeper *keeper)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(HfMembership) identity = NULL;
  if (keeper->ending)
    return;
  /* An enrolment that is killed lets go of its mark and changes nothing in the folder. */
  gboolean waits = hf_enroll_waits(keeper->settings->state);
  if (waits && keeper->wait_timer == 0)
    keeper->wait_timer = g_timeout_add_seconds(POLL_SECONDS, on_wait, keeper);
  if (!waits)
    identity = hf_membership_load(keeper->settings->state, &error);
  if (error != NULL && !hf_error_is(error, HF_ERROR_NOT_FOUND))
    g_warning("%s", error->message);
  if (same_identity(identity, keeper->identity))
    return;
  if (keeper->identity != NULL) {
    g_message("this host obeys its server no more");
    leave(keeper);
  }
  if (identity != NULL)
    join(keeper, g_steal_pointer(&identity));
  else
    g_message("this host is not enrolled: waiting for 'holdfast-agent enroll'");
}

static gboolean on_look(gpointer user)
{
  HfKeeper *keeper = user;
  keeper->look_timer = 0;
  hf_keeper_look(keeper);
  return G_SOURCE_REMOVE;
}

void hf_keeper_look_later(HfKeeper *keeper)
{
  if (keeper->look_timer != 0)
    g_source_remove(keeper->look_timer);
  keeper->look_timer = g_timeout_add(LATER_MS, on_look, keeper);
}

static gboolean on_change(int fd, GIOCondition condition G_GNUC_UNUSED, gpointer user)
{
  HfKeeper *keeper = user;
  char events[4096];
  while (read(fd, events, sizeof events) > 0)
    continue;
  if (keeper->look_timer == 0)
    keeper->look_timer = g_timeout_add(LOOK_MS, on_look, keeper);
  return G_SOURCE_CONTINUE;
}

/* ---- end ---- */

void hf_keeper_maybe_end(HfKeeper *keeper)
{
  if (keeper->tasks == NULL || hf_tasks_running(keeper->tasks) > 0)
    return;
  if (keeper->ending)
    g_main_loop_quit(keeper->loop);
  else if (hf_upgrade_pending(keeper->upgrade))
    hf_upgrade_install(keeper->upgrade);
}

static gboolean on_end_patience_over(gpointer user)
{
  HfKeeper *keeper = user;
  g_main_loop_quit(keeper->loop);
  return G_SOURCE_REMOVE;
}

void hf_keeper_end(HfKeeper *keeper, gboolean again)
{
  if (keeper->ending)
    return;
  notify("STOPPING=1");
  keeper->ending = TRUE;
  keeper->again = again;
  g_message("ending%s", again ? ", to start anew" : "");
  hf_tasks_cancel_all(keeper->tasks);
  g_timeout_add_seconds(END_SECONDS, on_end_patience_over, keeper);
  hf_keeper_maybe_end(keeper);
}

static gboolean on_signal(gpointer user)
{
  hf_keeper_end(user, FALSE);
  return G_SOURCE_CONTINUE;
}

/* ---- begin ---- */

static char **load_revoked(const char *folder)
{
  g_autoptr(GBytes) bytes = hf_state_read(folder, "revoked", NULL);
  if (bytes == NULL || g_bytes_get_size(bytes) == 0)
    return g_new0(char *, 1);
  g_autofree char *text = g_strndup(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
  return g_strsplit(text, "\n", 0);
}

static gboolean take_lock(HfKeeper *keeper, GError **error)
{
  g_autofree char *path = g_build_filename(keeper->settings->state, "lock", NULL);
  keeper->lock = hf_open(AT_FDCWD, path, O_RDWR | O_CREAT, 0600, error);
  if (keeper->lock < 0)
    return FALSE;
  if (flock(keeper->lock, LOCK_EX | LOCK_NB) == 0)
    return TRUE;
  return hf_fail(error, HF_ERROR_BUSY, "an agent runs with the state '%s' already", keeper->settings->state);
}

/* Faces lock the ports that they use there. */
static gboolean make_ports_folder(const HfSettings *settings, GError **error)
{
  g_autofree char *path = g_build_filename(settings->runtime, "ports", NULL);
  const struct passwd *user = geteuid() == 0 ? getpwnam(settings->user) : NULL;
  if (g_mkdir_with_parents(path, 0700) < 0 || (user != NULL && chown(path, user->pw_uid, user->pw_gid) < 0))
    return hf_fail_errno(error, errno, "cannot make folder '%s'", path);
  return TRUE;
}

static gboolean make_folders(HfKeeper *keeper, GError **error)
{
  const HfSettings *settings = keeper->settings;
  if (!hf_state_folder(settings->state, error))
    return FALSE;
  if (g_mkdir_with_parents(settings->runtime, 0755) < 0)
    return hf_fail_errno(error, errno, "cannot make folder '%s'", settings->runtime);
  return take_lock(keeper, error) && make_ports_folder(settings, error);
}

static gboolean on_poll(gpointer user)
{
  HfKeeper *keeper = user;
  if (keeper->look_timer == 0)
    hf_keeper_look(keeper);
  return G_SOURCE_CONTINUE;
}

/* Inotify's instances may all be taken by others: a host is not to stand without an agent for that. */
static void watch_state(HfKeeper *keeper)
{
  const char *state = keeper->settings->state;
  keeper->watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (keeper->watch >= 0 && inotify_add_watch(keeper->watch, state, IN_MOVED_TO | IN_DELETE | IN_CREATE) >= 0) {
    g_unix_fd_add(keeper->watch, G_IO_IN, on_change, keeper);
    return;
  }
  g_warning("cannot watch '%s': %s; it is looked at every %u seconds instead (fs.inotify.max_user_instances and "
            "max_user_watches are the limits)", state, g_strerror(errno), POLL_SECONDS);
  g_timeout_add_seconds(POLL_SECONDS, on_poll, keeper);
}

static gboolean begin(HfKeeper *keeper, GError **error)
{
  if (!hf_crypto_init(error) || !make_folders(keeper, error))
    return FALSE;
  keeper->events = hf_events_new();
  keeper->revoked = load_revoked(keeper->settings->state);
  keeper->tickets = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, (GDestroyNotify)hf_ask_unref);
  keeper->upgrade = hf_upgrade_new(keeper);
  keeper->service = hf_service_new(keeper);
  keeper->holding = hf_holding_new(keeper);
  keeper->book = hf_order_book_new(keeper->settings->state, error);
  keeper->tasks = keeper->book != NULL ? hf_tasks_new(keeper, error) : NULL;
  if (keeper->tasks == NULL)
    return FALSE;
  watch_state(keeper);
  g_unix_signal_add(SIGTERM, on_signal, keeper);
  g_unix_signal_add(SIGINT, on_signal, keeper);
  return TRUE;
}

static void clear(HfKeeper *keeper)
{
  g_clear_pointer(&keeper->installer, hf_face_free);
  g_clear_pointer(&keeper->transport, hf_face_free);
  g_clear_pointer(&keeper->holding, hf_holding_free);
  hf_events_close(keeper->events);
  hf_service_free(keeper->service);
  hf_tasks_free(keeper->tasks);
  hf_upgrade_free(keeper->upgrade);
  hf_order_book_free(keeper->book);
  g_clear_pointer(&keeper->tickets, g_hash_table_unref);
  hf_events_free(keeper->events);
  hf_membership_free(keeper->identity);
  g_strfreev(keeper->revoked);
  hf_pki_key_free(keeper->pending_key);
  if (keeper->watch > 0)
    close(keeper->watch);
  if (keeper->lock > 0)
    close(keeper->lock);
  g_main_loop_unref(keeper->loop);
}

static void start_anew(const HfKeeper *keeper)
{
  execv(keeper->program, keeper->arguments);
  g_warning("cannot start '%s' anew: %s", keeper->program, g_strerror(errno));
}

int hf_keeper_run(HfSettings *settings, const HfAgentParts *parts, char **arguments)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *program = g_file_read_link("/proc/self/exe", NULL);
  HfKeeper keeper = { .settings = settings, .parts = parts, .program = program, .arguments = arguments };
  mallopt(M_ARENA_MAX, 2);
  mallopt(M_TRIM_THRESHOLD, 128 << 10);
  signal(SIGPIPE, SIG_IGN);
  keeper.loop = g_main_loop_new(NULL, FALSE);
  keeper.started = hf_clock_monotonic_us();
  gboolean begun = begin(&keeper, &error);
  if (begun) {
    hf_keeper_look(&keeper);
    notify("READY=1");
    g_main_loop_run(keeper.loop);
  } else {
    g_printerr("holdfast-agent: %s\n", error->message);
  }
  keeper.ending = TRUE;
  if (keeper.events != NULL)
    clear(&keeper);
  if (keeper.again)
    start_anew(&keeper);
  return begun ? 0 : hf_error_exit_code(error);
}
