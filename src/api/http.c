/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A request's life: the daemon's thread gathers it (headers, body) in a Transfer, suspends the connection and pushes
 * the Transfer to the workers. A worker runs the call and resumes the connection; the daemon's thread, called again for
 * the same Transfer, sends what the call holds. No thread ever waits for another: slow queries hold up nobody's bytes.
 *
 * INVARIANTS
 * 1. A Transfer belongs to the daemon's thread, but between suspend and resume to one worker.
 * 2. hf_api_daemon_stop lets the workers end before the daemon is stopped: no connection is suspended then.
 */
#include "api/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "crypto/crypto.h"

#define THREADS 4u
#define WORKERS 8u
#define SLOW_WORKERS 8u /* for routes that are declared slow: a flood of logins holds up nobody else */
#define CONNECTIONS 512u
#define IDLE_SECONDS 60u
#define HEADER_BYTES (32u * 1024u)
#define WAITING_MAX 1024u                    /* requests that wait for a worker: more are refused */
#define HELD_MAX (32u * HF_API_BODY_MAX)     /* of all bodies at a time, whoever sends them */
#define DRAIN_MAX (16u * HF_API_BODY_MAX) /* of a body that is too large: who sends more is cut off */

struct HfApiDaemon {
  HfApi *api;
  struct MHD_Daemon *daemon;
  GThreadPool *workers, *slow;
  GMutex lock;
  gboolean stopping; /* under lock, as is every push */
  gsize held;        /* bytes of bodies; under lock */
};

typedef struct Transfer {
  HfApiDaemon *daemon;
  struct MHD_Connection *connection;
  char *target;
  GByteArray *body;
  gsize drained; /* bytes beyond the limit that were thrown away */
  gboolean begun, answered;
  gboolean crowded; /* other bodies fill the room there is: this one was thrown away */
  char peer[INET6_ADDRSTRLEN];
  HfApiRequest request;
  HfApiCall call;
} Transfer;

/* Takes `more` bytes of the room that all bodies have together. */
static gboolean hold(HfApiDaemon *daemon, gsize more)
{
  g_mutex_lock(&daemon->lock);
  gboolean fits = daemon->held + more <= HELD_MAX;
  if (fits)
    daemon->held += more;
  g_mutex_unlock(&daemon->lock);
  return fits;
}

static void let_go(HfApiDaemon *daemon, gsize bytes)
{
  g_mutex_lock(&daemon->lock);
  daemon->held -= bytes;
  g_mutex_unlock(&daemon->lock);
}

static void transfer_free(Transfer *transfer)
{
  hf_api_call_clear(&transfer->call);
  if (transfer->body != NULL) {
    let_go(transfer->daemon, transfer->body->len);
    hf_wipe(transfer->body->data, transfer->body->len);
    g_byte_array_unref(transfer->body);
  }
  g_free(transfer->target);
  g_free(transfer);
}

/* ---- The daemon's thread ---- */

/* The library's first word about a request: its target as it was sent. */
static void *on_target(void *data, const char *target, struct MHD_Connection *connection)
{
  Transfer *transfer = g_new0(Transfer, 1);
  transfer->daemon = data;
  transfer->connection = connection;
  transfer->target = g_strdup(target);
  return transfer;
}

static void on_end(void *data, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode code)
{
  (void)data, (void)connection, (void)code;
  if (*state != NULL)
    transfer_free(*state);
  *state = NULL;
}

static void read_peer(Transfer *transfer)
{
  const union MHD_ConnectionInfo *info =
    MHD_get_connection_info(transfer->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
  const struct sockaddr *address = info == NULL ? NULL : info->client_addr;
  if (address != NULL && address->sa_family == AF_INET) {
    const struct in_addr *v4 = &((const struct sockaddr_in *)(const void *)address)->sin_addr;
    inet_ntop(AF_INET, v4, transfer->peer, sizeof transfer->peer);
    transfer->request.loopback = ntohl(v4->s_addr) >> 24 == 127;
  } else if (address != NULL && address->sa_family == AF_INET6) {
    const struct in6_addr *v6 = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
    gboolean mapped = IN6_IS_ADDR_V4MAPPED(v6);
    if (mapped)
      inet_ntop(AF_INET, &v6->s6_addr[12], transfer->peer, sizeof transfer->peer);
    else
      inet_ntop(AF_INET6, v6, transfer->peer, sizeof transfer->peer);
    transfer->request.loopback = mapped ? v6->s6_addr[12] == 127 : IN6_IS_ADDR_LOOPBACK(v6);
  }
}

static void begin(Transfer *transfer, const char *method)
{
  struct MHD_Connection *connection = transfer->connection;
  transfer->begun = TRUE;
  transfer->body = g_byte_array_new();
  read_peer(transfer);
  HfApiRequest *request = &transfer->request;
  request->method = method;
  request->target = transfer->target;
  request->peer = transfer->peer;
  request->version = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "x-api-version");
  request->authorization = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Authorization");
  request->content_type = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Type");
}

static void free_secret(void *text)
{
  hf_wipe(text, strlen(text));
  g_free(text);
}

static void add_headers(struct MHD_Response *response, const HfApiCall *call)
{
  MHD_add_response_header(response, "Content-Type", call->content_type);
  MHD_add_response_header(response, "Cache-Control", "no-store");
  MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
  if (call->allow != NULL)
    MHD_add_response_header(response, "Allow", call->allow);
  if (call->status == 401)
    MHD_add_response_header(response, "WWW-Authenticate", "Bearer");
}

/* Gives the library what the call holds; the text goes over to it. */
static enum MHD_Result send_answer(Transfer *transfer)
{
  HfApiCall *call = &transfer->call;
  gsize length = call->status == 204 ? 0 : call->out.text->len;
  char *text = g_string_free(g_steal_pointer(&call->out.text), FALSE);
  struct MHD_Response *response;
  if (call->secret)
    response = MHD_create_response_from_buffer_with_free_callback(length, text, free_secret);
  else
    response = MHD_create_response_from_buffer_with_free_callback(length, text, g_free);
  if (response == NULL)
    return MHD_NO;
  add_headers(response, call);
  enum MHD_Result result = MHD_queue_response(transfer->connection, call->status, response);
  MHD_destroy_response(response);
  return result;
}

static enum MHD_Result refuse(Transfer *transfer, guint status, const char *code, const char *message)
{
  transfer->answered = TRUE;
  hf_api_call_refuse(&transfer->call, status, code, message);
  return send_answer(transfer);
}

static gboolean too_large(Transfer *transfer)
{
  const char *length = MHD_lookup_connection_value(transfer->connection, MHD_HEADER_KIND, "Content-Length");
  return length != NULL && g_ascii_strtoull(length, NULL, 10) > HF_API_BODY_MAX;
}

static enum MHD_Result take_body(Transfer *transfer, const char *bytes, size_t *length)
{
  if (transfer->body->len + *length > HF_API_BODY_MAX)
    transfer->drained += *length;
  else if (!transfer->crowded && hold(transfer->daemon, *length))
    g_byte_array_append(transfer->body, (const guint8 *)bytes, (guint)*length);
  else
    transfer->crowded = TRUE;
  *length = 0;
  return transfer->drained > DRAIN_MAX ? MHD_NO : MHD_YES;
}

static GThreadPool *pool_for(HfApiDaemon *daemon, const HfApiRequest *request)
{
  g_auto(HfApiPath) path = { 0 };
  g_autofree char *allowed = NULL, *target = g_strndup(request->target, strcspn(request->target, "?"));
  const HfApiRoute *route =
    hf_api_path_parse(target, &path) ? hf_api_route_find(request->method, &path, &allowed) : NULL;
  return route != NULL && route->slow ? daemon->slow : daemon->workers;
}

static enum MHD_Result hand_over(Transfer *transfer)
{
  HfApiDaemon *daemon = transfer->daemon;
  GThreadPool *pool = pool_for(daemon, &transfer->request);
  if (transfer->drained > 0)
    return refuse(transfer, 413, "UnexpectedContent", "the body is larger than 1 MiB");
  transfer->request.body = (const char *)transfer->body->data;
  transfer->request.length = transfer->body->len;
  g_mutex_lock(&daemon->lock);
  gboolean takes = !daemon->stopping && !transfer->crowded && g_thread_pool_unprocessed(pool) < WAITING_MAX;
  if (takes) {
    transfer->answered = TRUE;
    MHD_suspend_connection(transfer->connection);
    g_thread_pool_push(pool, transfer, NULL);
  }
  g_mutex_unlock(&daemon->lock);
  if (takes)
    return MHD_YES;
  return refuse(transfer, 503, "ServiceUnavailable", "the server is too busy, or stops; try again soon");
}

static enum MHD_Result on_request(void *data, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *bytes, size_t *length, void **state)
{
  (void)data, (void)connection, (void)url, (void)version;
  Transfer *transfer = *state;
  if (!transfer->begun) {
    begin(transfer, method);
    return too_large(transfer) ? refuse(transfer, 413, "UnexpectedContent", "the body is larger than 1 MiB") : MHD_YES;
  }
  if (*length > 0)
    return take_body(transfer, bytes, length);
  return transfer->answered ? send_answer(transfer) : hand_over(transfer);
}

/* ---- Workers ---- */

static void work(gpointer item, gpointer data)
{
  HfApiDaemon *daemon = data;
  Transfer *transfer = item;
  hf_api_call_run(&transfer->call, daemon->api, &transfer->request);
  MHD_resume_connection(transfer->connection);
}

/* ---- Start and stop ---- */

/* All addresses: IPv6 and IPv4 on one socket, or IPv4 alone where there is no IPv6. */
static int open_socket(const char *address, gboolean *v6)
{
  struct in6_addr ignored;
  *v6 = address == NULL || inet_pton(AF_INET6, address, &ignored) == 1;
  int fd = socket(*v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd >= 0 || address != NULL)
    return fd;
  *v6 = FALSE;
  return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static gboolean bind_socket(int fd, gboolean v6, const char *address, int *port)
{
  const int on = 1, off = 0;
  union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
  } name = { 0 };
  socklen_t length = v6 ? sizeof name.v6 : sizeof name.v4;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (v6) {
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    name.v6.sin6_family = AF_INET6;
    name.v6.sin6_port = htons((guint16)*port);
    if (address != NULL)
      inet_pton(AF_INET6, address, &name.v6.sin6_addr);
  } else {
    name.v4.sin_family = AF_INET;
    name.v4.sin_port = htons((guint16)*port);
    if (address != NULL && inet_pton(AF_INET, address, &name.v4.sin_addr) != 1) {
      errno = EINVAL;
      return FALSE;
    }
  }
  if (bind(fd, &name.any, length) != 0 || listen(fd, 256) != 0 || getsockname(fd, &name.any, &length) != 0)
    return FALSE;
  *port = ntohs(v6 ? name.v6.sin6_port : name.v4.sin_port);
  return TRUE;
}

static int listen_on(const char *address, int *port, GError **error)
{
  gboolean v6;
  int wanted = *port;
  int fd = open_socket(address, &v6);
  if (fd >= 0 && bind_socket(fd, v6, address, port))
    return fd;
  hf_fail_errno(error, errno, "cannot listen on port %d of '%s'", wanted, address != NULL ? address : "all addresses");
  if (fd >= 0)
    close(fd);
  return -1;
}

static void G_GNUC_PRINTF(2, 0) on_log(void *data, const char *format, va_list arguments)
{
  (void)data;
  g_logv("holdfast-http", G_LOG_LEVEL_DEBUG, format, arguments);
}

static struct MHD_Daemon *start_library(HfApiDaemon *daemon, int fd)
{
  const HfApiSettings *settings = &daemon->api->settings;
  guint connections = settings->connections > 0 ? settings->connections : CONNECTIONS;
  return MHD_start_daemon(
    MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_TLS | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL,
    on_request, daemon, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
    MHD_OPTION_URI_LOG_CALLBACK, on_target, daemon, MHD_OPTION_NOTIFY_COMPLETED, on_end, NULL,
    MHD_OPTION_THREAD_POOL_SIZE, THREADS,
    MHD_OPTION_CONNECTION_LIMIT, MAX(connections, THREADS), MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SECONDS,
    MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEADER_BYTES, MHD_OPTION_HTTPS_MEM_CERT, settings->certificate,
    MHD_OPTION_HTTPS_MEM_KEY, settings->key, MHD_OPTION_HTTPS_PRIORITIES,
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA:-SHA1:%SERVER_PRECEDENCE", MHD_OPTION_END);
}

HfApiDaemon *hf_api_daemon_start(HfApi *api, GError **error)
{
  int fd = listen_on(api->settings.address, &api->port, error);
  if (fd < 0)
    return NULL;
  HfApiDaemon *daemon = g_new0(HfApiDaemon, 1);
  daemon->api = api;
  g_mutex_init(&daemon->lock);
  daemon->workers = g_thread_pool_new(work, daemon, (int)(api->settings.workers > 0 ? api->settings.workers : WORKERS),
                                      FALSE, NULL);
  daemon->slow = g_thread_pool_new(work, daemon, SLOW_WORKERS, FALSE, NULL);
  daemon->daemon = start_library(daemon, fd);
  if (daemon->daemon != NULL)
    return daemon;
  hf_fail(error, HF_ERROR_FAILED, "cannot serve port %d; is its certificate and key right?", api->port);
  g_thread_pool_free(daemon->workers, TRUE, TRUE);
  g_thread_pool_free(daemon->slow, TRUE, TRUE);
  close(fd);
  g_mutex_clear(&daemon->lock);
  g_free(daemon);
  return NULL;
}

void hf_api_daemon_stop(HfApiDaemon *daemon)
{
  g_mutex_lock(&daemon->lock);
  daemon->stopping = TRUE;
  g_mutex_unlock(&daemon->lock);
  int fd = MHD_quiesce_daemon(daemon->daemon);
  g_thread_pool_free(daemon->workers, FALSE, TRUE);
  g_thread_pool_free(daemon->slow, FALSE, TRUE);
  MHD_stop_daemon(daemon->daemon);
  if (fd >= 0)
    close(fd);
  g_mutex_clear(&daemon->lock);
  g_free(daemon);
}
