/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/enroll.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/sys.h"
#include "base/work.h"
#include "net/connect.h"
#include "net/messages/enroll.h"
#include "net/rpc.h"
#include "net/tls.h"

#define MARK "enrolling"
#define TOKENS "enrolment"
#define HANDSHAKE_MS (10 * 1000)
#define SESSION_MS 60000
#define PORT_SECONDS 15 /* for the keeper to leave the port */

typedef struct Enrolment {
  const HfSettings *settings;
  const char *token;
  char *token_name;
  char *request, *key; /* of this host, made for this enrolment */
  char *host;          /* uuid from before, or "" */
  GMutex lock;
  HfMembership *joined;
} Enrolment;

/* ---- the mark ---- */

static char *mark_path(const char *state)
{
  return g_build_filename(state, MARK, NULL);
}

gboolean hf_enroll_waits(const char *state)
{
  g_autofree char *path = mark_path(state);
  hf_autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
  return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0;
}

static int take_mark(const char *state, GError **error)
{
  g_autofree char *path = mark_path(state);
  hf_autofd int fd = hf_open(AT_FDCWD, path, O_RDWR | O_CREAT, 0600, error);
  if (fd < 0)
    return -1;
  if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
    hf_fail(error, HF_ERROR_BUSY, "an enrolment of this host waits already");
    return -1;
  }
  /* The keeper looks when something changes in the folder: now that the lock is held. */
  g_autofree char *changed = g_strdup_printf("%s.changed", path);
  close(g_creat(changed, 0600));
  g_unlink(changed);
  return hf_steal_fd(&fd);
}

static void drop_mark(const char *state, int fd)
{
  g_autofree char *path = mark_path(state);
  close(fd);
  g_unlink(path);
}

/* ---- tokens that were tried ---- */

static GKeyFile *load_tokens(const Enrolment *enrolment)
{
  GKeyFile *file = g_key_file_new();
  g_autofree char *path = g_build_filename(enrolment->settings->state, TOKENS, NULL);
  g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, NULL);
  return file;
}

static guint failures_of(const Enrolment *enrolment)
{
  g_autoptr(GKeyFile) file = load_tokens(enrolment);
  return (guint)CLAMP(g_key_file_get_integer(file, enrolment->token_name, "failures", NULL), 0, 1000);
}

static gboolean set_failures(const Enrolment *enrolment, guint failures, GError **error)
{
  gsize length;
  g_autoptr(GKeyFile) file = load_tokens(enrolment);
  g_key_file_set_integer(file, enrolment->token_name, "failures", (int)failures);
  g_autofree char *text = g_key_file_to_data(file, &length, NULL);
  return hf_state_write(enrolment->settings->state, TOKENS, text, length, error);
}

static gboolean is_void(const Enrolment *enrolment, GError **error)
{
  return failures_of(enrolment) >= HF_ENROLL_FAILURES &&
         !hf_fail(error, HF_ERROR_PASSWORD,
                  "the token is void: it was used, or wrong tokens came %u times; make another",
                  HF_ENROLL_FAILURES);
}

/* ---- what the server calls ---- */

/* What stays the same when this agent is enrolled again: so that the server sees it. */
static void machine_of(const HfSettings *settings, HfId *machine)
{
  g_autofree char *id = NULL;
  if (!g_file_get_contents("/etc/machine-id", &id, NULL, NULL))
    id = g_strdup(g_get_host_name());
  g_autofree char *text = g_strjoin("\n", "holdfast machine", g_strstrip(id), settings->state, NULL);
  hf_sha256(text, strlen(text), machine->b);
}

static gboolean on_candidate(HfCall *call G_GNUC_UNUSED, gpointer user, GBytes **reply, GError **error)
{
  const Enrolment *enrolment = user;
  g_auto(HfEnrollCandidate) candidate = {
    .request = g_strdup(enrolment->request), .name = g_strdup(g_get_host_name()), .program = g_strdup(HF_VERSION),
    .host = g_strdup(enrolment->host), .transport_port = enrolment->settings->transport_port,
  };
  machine_of(enrolment->settings, &candidate.machine);
  *reply = hf_enroll_candidate_encode(&candidate, error);
  return *reply != NULL;
}

static gboolean holds_together(const HfMembership *identity, GError **error)
{
  gint64 now = hf_clock_real_ns() / 1000000000;
  if (!hf_pki_check(identity->certificate, identity->key, identity->authority, now, error) ||
      !hf_pki_check(identity->server_certificate, NULL, identity->authority, now, error))
    return FALSE;
  g_autoptr(HfPeer) own = hf_pki_peer(identity->certificate, error);
  g_autoptr(HfPeer) server = own != NULL ? hf_pki_peer(identity->server_certificate, error) : NULL;
  if (server == NULL)
    return FALSE;
  if (own->kind == HF_PEER_HOST && strcmp(own->uuid, identity->host) == 0 && server->kind == HF_PEER_SERVER &&
      strcmp(server->uuid, identity->server) == 0)
    return TRUE;
  return hf_fail(error, HF_ERROR_INVALID, "the certificates do not name this host and its server");
}

static gboolean on_join(HfCall *call, gpointer user, GBytes **reply G_GNUC_UNUSED, GError **error)
{
  Enrolment *enrolment = user;
  g_auto(HfEnrollMembership) given = { 0 };
  if (!hf_enroll_membership_decode(hf_call_request(call), &given, error))
    return FALSE;
  g_autoptr(HfMembership) identity = g_new0(HfMembership, 1);
  identity->host = g_strdup(given.host);
  identity->server = g_strdup(given.server);
  identity->key = g_strdup(enrolment->key);
  identity->certificate = g_strdup(given.certificate);
  identity->authority = g_strdup(given.authority);
  identity->server_certificate = g_strdup(given.server_certificate);
  if (!holds_together(identity, error))
    return FALSE;
  HF_LOCK(&enrolment->lock);
  if (enrolment->joined != NULL)
    return hf_fail(error, HF_ERROR_EXISTS, "this host has just been enrolled");
  if (!set_failures(enrolment, HF_ENROLL_FAILURES, error) ||
      !hf_membership_save(enrolment->settings->state, identity, error))
    return FALSE;
  enrolment->joined = g_steal_pointer(&identity);
  return TRUE;
}

static const HfRpcMethod methods[] = {
  { HF_ENROLL_METHOD_CANDIDATE, "candidate", on_candidate, 0 },
  { HF_ENROLL_METHOD_JOIN, "join", on_join, 0 },
  { 0, NULL, NULL, 0 },
};

static void serve(Enrolment *enrolment, HfChannel *channel)
{
  g_autoptr(GError) error = NULL;
  const HfRpcOptions options = {
    .service = HF_ENROLL_SERVICE, .version_low = HF_ENROLL_OLDEST, .version_high = HF_ENROLL_VERSION,
    .methods = methods, .user = enrolment,
  };
  g_autoptr(HfRpc) rpc = hf_rpc_new(channel, &options, &error);
  if (rpc == NULL)
    g_warning("%s", error->message);
  else
    hf_rpc_wait_closed(rpc, SESSION_MS);
}

/* ---- who comes ---- */

static void count_failure(Enrolment *enrolment, const char *peer)
{
  g_autoptr(GError) error = NULL;
  guint failures = failures_of(enrolment) + 1;
  g_warning("%s does not know the token (%u of %u)", peer, failures, HF_ENROLL_FAILURES);
  if (!set_failures(enrolment, failures, &error))
    g_warning("%s", error->message);
}

static void receive(Enrolment *enrolment, int fd, const char *peer)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(HfChannel) channel = hf_tls_accept_token(enrolment->token, fd, peer, HANDSHAKE_MS, &error);
  if (channel != NULL)
    serve(enrolment, channel);
  else if (hf_tls_error_is_wrong_token(error))
    count_failure(enrolment, peer);
  else
    g_warning("%s", error->message);
}

static int listen_soon(const HfSettings *settings, GError **error)
{
  gint64 end = g_get_monotonic_time() + PORT_SECONDS * G_TIME_SPAN_SECOND;
  for (;;) {
    g_autoptr(GError) why = NULL;
    int fd = hf_net_listen(settings->address, settings->installer_port, &why);
    if (fd >= 0)
      return fd;
    if (!hf_error_is(why, HF_ERROR_EXISTS) || g_get_monotonic_time() > end) {
      g_propagate_error(error, g_steal_pointer(&why));
      return -1;
    }
    g_usleep(200000);
  }
}

static gboolean wait_for_server(Enrolment *enrolment, guint seconds, HfEnrollReady ready, gpointer user, GError **error)
{
  gint64 end = g_get_monotonic_time() + (gint64)seconds * G_TIME_SPAN_SECOND;
  hf_autofd int listener = listen_soon(enrolment->settings, error);
  if (listener < 0)
    return FALSE;
  ready(hf_net_port(listener), user);
  while (enrolment->joined == NULL) {
    gint64 left = (end - g_get_monotonic_time()) / 1000;
    g_autofree char *peer = NULL;
    if (left <= 0)
      return hf_fail(error, HF_ERROR_IO, "no server enrolled this host within %u seconds; run 'holdfast-agent enroll' "
                     "again", seconds);
    if (is_void(enrolment, error))
      return FALSE;
    int fd = hf_net_accept(listener, (int)MIN(left, G_MAXINT), &peer, NULL);
    if (fd >= 0)
      receive(enrolment, fd, peer);
  }
  return TRUE;
}

/* ---- the whole ---- */

static gboolean prepare(Enrolment *enrolment, gboolean again, GError **error)
{
  const char *state = enrolment->settings->state;
  g_autoptr(GError) why = NULL;
  if (!hf_tls_token_valid(enrolment->token))
    return hf_fail(error, HF_ERROR_USAGE,
                   "that is no token; tokens are made by 'holdfast-agent enroll' or by the server");
  if (!hf_crypto_init(error) || !hf_state_folder(state, error))
    return FALSE;
  g_autoptr(HfMembership) before = hf_membership_load(state, &why);
  if (before != NULL && !again)
    return hf_fail(error, HF_ERROR_EXISTS, "this host is enrolled with server '%s'; add --again to leave that one",
                   before->server);
  enrolment->host = g_strdup(before != NULL ? before->host : "");
  enrolment->token_name = hf_tls_token_name(enrolment->token);
  return !is_void(enrolment, error) &&
         hf_pki_new_request(g_get_host_name(), &enrolment->request, &enrolment->key, error);
}

static void clear(Enrolment *enrolment)
{
  g_free(enrolment->token_name);
  g_free(enrolment->request);
  g_free(enrolment->host);
  hf_pki_key_free(enrolment->key);
  hf_membership_free(enrolment->joined);
  g_mutex_clear(&enrolment->lock);
}

HfMembership *hf_enroll(const HfSettings *settings, const char *token, gboolean again, guint seconds,
                        HfEnrollReady ready,
                      gpointer user, GError **error)
{
  Enrolment enrolment = { .settings = settings, .token = token };
  HfMembership *identity = NULL;
  g_mutex_init(&enrolment.lock);
  int mark = -1;
  if (prepare(&enrolment, again, error) && (mark = take_mark(settings->state, error)) >= 0 &&
      wait_for_server(&enrolment, seconds, ready, user, error))
    identity = g_steal_pointer(&enrolment.joined);
  if (mark >= 0)
    drop_mark(settings->state, mark);
  clear(&enrolment);
  return identity;
}
