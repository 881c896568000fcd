/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Orders to hosts, and what is made of them. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/sys.h"
#include "net/connect.h"
#include "net/preamble.h"
#include "server/hosts/private.h"
#include "server/hosts/rows.h"

#define LABEL "holdfast order 1"
#define ORDER_SECONDS 120 /* how long an order may be under way */
#define SECOND_NS G_GINT64_CONSTANT(1000000000)
#define LINK_SECONDS 60u
#define FIRST_MS 3000 /* for the transport port, before the channel port is tried */
#define CALL_MS (10 * 1000)
#define LIST_MS 60000
#define BLOCK (256u << 10)

/* ---- signing ---- */

static GBytes *sign(HfHost *host, const HfInstallerOrder *order, GError **error)
{
  HfHosts *hosts = host->hosts;
  g_auto(HfInstallerSignedOrder) out = { .order = hf_installer_order_encode(order, error) };
  if (out.order == NULL)
    return NULL;
  gsize length;
  const void *bytes = g_bytes_get_data(out.order, &length);
  g_mutex_lock(&hosts->lock);
  out.signature = hf_pki_sign(hosts->identity->order_key, LABEL, bytes, length, error);
  g_mutex_unlock(&hosts->lock);
  return out.signature != NULL ? hf_installer_signed_order_encode(&out, error) : NULL;
}

static GBytes *next_order(HfHost *host, HfInstallerAct act, GBytes *body, GError **error)
{
  g_auto(HfInstallerOrder) order = { .host = g_strdup(host->id), .act = act };
  order.body = body != NULL ? g_bytes_ref(body) : g_bytes_new(NULL, 0);
  g_mutex_lock(&host->lock);
  order.number = ++host->order;
  order.until = hf_clock_real_ns() + host->clock_ahead + ORDER_SECONDS * SECOND_NS;
  g_mutex_unlock(&host->lock);
  return sign(host, &order, error);
}

GBytes *hf_host_order(HfHost *host, HfInstallerAct act, GBytes *body, GError **error)
{
  HF_LOCK(&host->ordering);
  HfRpc *rpc = hf_host_enter(host, error);
  if (rpc == NULL)
    return NULL;
  GBytes *answer = NULL;
  g_autoptr(GBytes) request = next_order(host, act, body, error);
  g_autoptr(GBytes) reply =
    request != NULL ? hf_rpc_call(rpc, HF_INSTALLER_METHOD_ORDER, request, HF_HOST_CALL_MS, error) : NULL;
  if (reply != NULL) {
    g_auto(HfInstallerAnswer) given = { 0 };
    if (hf_installer_answer_decode(reply, &given, error))
      answer = g_bytes_ref(given.body);
  }
  hf_host_leave(host);
  return answer;
}

GBytes *hf_hosts_order(HfHosts *hosts, const char *id, HfInstallerAct act, GBytes *body, GError **error)
{
  g_autoptr(HfHost) host = hf_host_ref(hosts, id, error);
  return host != NULL ? hf_host_order(host, act, body, error) : NULL;
}

/* An order without an answer; `body` (NULL: encoding it failed) is taken over. */
static gboolean order_only(HfHosts *hosts, const char *id, HfInstallerAct act, GBytes *body, GError **error)
{
  g_autoptr(GBytes) held = body;
  g_autoptr(GBytes) answer = held != NULL ? hf_hosts_order(hosts, id, act, held, error) : NULL;
  return answer != NULL;
}

/* ---- certificates ---- */

char *hf_hosts_issue(HfHosts *hosts, const char *host, const char *name, const char *request, GError **error)
{
  static const char *const roles[] = { "installer", "transport", NULL };
  const HfPkiGrant grant = { .kind = HF_PEER_HOST, .uuid = host, .name = name, .roles = roles };
  g_mutex_lock(&hosts->lock);
  g_autofree char *certificate =
    hf_pki_issue(hosts->identity->authority, hosts->identity->authority_key, request, &grant, error);
  g_mutex_unlock(&hosts->lock);
  if (certificate == NULL ||
      (hosts->ops.issued != NULL && !hosts->ops.issued(hosts->ops.user, host, certificate, error)))
    return NULL;
  return g_steal_pointer(&certificate);
}

gboolean hf_host_renew(HfHost *host, GError **error)
{
  g_auto(HfInstallerRequest) request = { 0 };
  g_auto(HfInstallerCertificate) given = { .authority = g_strdup(""), .server_certificate = g_strdup("") };
  g_autoptr(GBytes) asked = hf_host_order(host, HF_INSTALLER_ACT_REQUEST, NULL, error);
  if (asked == NULL || !hf_installer_request_decode(asked, &request, error))
    return FALSE;
  given.certificate = hf_hosts_issue(host->hosts, host->id, host->name, request.request, error);
  g_autoptr(HfPeer) peer = given.certificate != NULL ? hf_pki_peer(given.certificate, error) : NULL;
  g_autoptr(GBytes) body = peer != NULL ? hf_installer_certificate_encode(&given, error) : NULL;
  g_autoptr(GBytes) done = body != NULL ? hf_host_order(host, HF_INSTALLER_ACT_CERTIFICATE, body, error) : NULL;
  if (done == NULL)
    return FALSE;
  HF_LOCK(&host->lock);
  host->certificate_until = peer->not_after;
  return TRUE;
}

gboolean hf_host_send_revoked(HfHost *host, GError **error)
{
  g_auto(HfInstallerRevoked) revoked = { 0 };
  g_mutex_lock(&host->hosts->lock);
  for (char **serial = host->hosts->revoked; *serial != NULL; serial++)
    hf_installer_revoked_add_serials(&revoked, *serial);
  g_mutex_unlock(&host->hosts->lock);
  g_autoptr(GBytes) body = hf_installer_revoked_encode(&revoked, error);
  g_autoptr(GBytes) answer = body != NULL ? hf_host_order(host, HF_INSTALLER_ACT_REVOKE, body, error) : NULL;
  return answer != NULL;
}

/* ---- calls ---- */

gboolean hf_hosts_status(HfHosts *hosts, const char *id, HfInstallerStatus *status, GError **error)
{
  g_autoptr(HfHost) host = hf_host_ref(hosts, id, error);
  HfRpc *rpc = host != NULL ? hf_host_enter(host, error) : NULL;
  if (rpc == NULL)
    return FALSE;
  gboolean done = hf_installer_call_status(rpc, status, HF_HOST_CALL_MS, error);
  hf_host_leave(host);
  return done;
}

gboolean hf_hosts_run(HfHosts *hosts, const char *id, const HfInstallerTaskOrder *order,
                      HfInstallerTaskStarted *started,
                      GError **error)
{
  g_autoptr(GBytes) body = hf_installer_task_order_encode(order, error);
  g_autoptr(GBytes) answer = body != NULL ? hf_hosts_order(hosts, id, HF_INSTALLER_ACT_TASK, body, error) : NULL;
  return answer != NULL && hf_installer_task_started_decode(answer, started, error);
}

gboolean hf_hosts_cancel(HfHosts *hosts, const char *id, const char *task, GError **error)
{
  const HfInstallerTaskName name = { .name = (char *)task };
  return order_only(hosts, id, HF_INSTALLER_ACT_CANCEL, hf_installer_task_name_encode(&name, error), error);
}

gboolean hf_hosts_set_rate(HfHosts *hosts, const char *id, const char *task, guint64 rate, GError **error)
{
  const HfInstallerTaskRate told = { .name = (char *)task, .rate = rate };
  return order_only(hosts, id, HF_INSTALLER_ACT_RATE, hf_installer_task_rate_encode(&told, error), error);
}

gboolean hf_hosts_role(HfHosts *hosts, const char *id, const char *role, HfInstallerRoleAct act, GError **error)
{
  const HfInstallerRoleOrder order = { .role = (char *)role, .act = act };
  return order_only(hosts, id, HF_INSTALLER_ACT_ROLE, hf_installer_role_order_encode(&order, error), error);
}

gboolean hf_hosts_forget(HfHosts *hosts, const char *id, GError **error)
{
  if (!order_only(hosts, id, HF_INSTALLER_ACT_FORGET, g_bytes_new(NULL, 0), error))
    return FALSE;
  hf_hosts_remove(hosts, id);
  return TRUE;
}

/* ---- tasks that are waited for ---- */

static void watch(HfHost *host, HfWaiter *waiter, gboolean begin)
{
  HF_LOCK(&host->lock);
  if (begin)
    host->waiters = g_list_prepend(host->waiters, waiter);
  else
    host->waiters = g_list_remove(host->waiters, waiter);
}

static gboolean await(HfHost *host, const HfWaiter *waiter, int timeout_ms, GError **error)
{
  gint64 end = g_get_monotonic_time() + (gint64)timeout_ms * 1000;
  HF_LOCK(&host->lock);
  while (!waiter->done && !host->removed && g_cond_wait_until(&host->changed, &host->lock, end))
    continue;
  if (!waiter->done)
    return hf_fail(error, HF_ERROR_IO, "host '%s' did not end task '%s' in time", host->name, waiter->task);
  if (waiter->result->code == 0)
    return TRUE;
  return hf_fail(error, (HfErrorCode)waiter->result->code, "%s", waiter->result->message);
}

static gboolean do_task(HfHost *host, const HfInstallerTaskOrder *order, int timeout_ms, HfInstallerResult *result,
                        GError **error)
{
  g_auto(HfInstallerTaskStarted) started = { 0 };
  HfWaiter waiter = { .task = order->name, .result = result };
  watch(host, &waiter, TRUE);
  gboolean done = hf_hosts_run(host->hosts, host->id, order, &started, error) &&
                  await(host, &waiter, timeout_ms, error);
  watch(host, &waiter, FALSE);
  return done;
}

gboolean hf_hosts_do(HfHosts *hosts, const char *id, const HfInstallerTaskOrder *order, int timeout_ms,
                     HfInstallerResult *result, GError **error)
{
  g_autoptr(HfHost) host = hf_host_ref(hosts, id, error);
  return host != NULL && do_task(host, order, timeout_ms, result, error);
}

gboolean hf_hosts_list(HfHosts *hosts, const char *id, const HfInstallerListTask *task, HfInstallerList *list,
                       GError **error)
{
  g_auto(HfInstallerResult) result = { 0 };
  g_auto(HfInstallerTaskOrder) order = { .name = g_uuid_string_random(), .kind = g_strdup("list") };
  order.task = hf_installer_list_task_encode(task, error);
  order.secret = g_bytes_new(NULL, 0);
  return order.task != NULL && hf_hosts_do(hosts, id, &order, LIST_MS, &result, error) &&
         hf_installer_list_decode(result.result, list, error);
}

/* ---- connections ---- */

static int dial(HfHosts *hosts, const char *address, guint16 transport_port, guint16 channel_port,
                gboolean *by_channel, GError **error)
{
  g_autoptr(GError) first = NULL;
  *by_channel = FALSE;
  int fd = transport_port != 0 ? hf_hosts_dial(hosts, address, transport_port, FIRST_MS, &first) : -1;
  if (fd >= 0)
    return fd;
  *by_channel = TRUE;
  if (channel_port != 0)
    return hf_hosts_dial(hosts, address, channel_port, CALL_MS, error);
  if (first != NULL)
    g_propagate_error(error, g_steal_pointer(&first));
  else
    hf_fail(error, HF_ERROR_INVALID, "there is no port of '%s' to call", address);
  return -1;
}

typedef struct Shown {
  const HfId *token;
  guint16 port;
} Shown;

static void show_ticket(GByteArray *first, gpointer user)
{
  const Shown *shown = user;
  hf_preamble_put(first, shown->token->b, shown->port);
}

/* Takes over `fd`. */
static HfChannel *show_token(HfHost *host, int fd, const char *peer, const HfId *token, guint16 port, GError **error)
{
  Shown shown = { token, port };
  const HfTlsExpect expect = { .kinds = HF_PEER_HOST, .uuid = host->id, .role = "transport", .say = show_ticket,
                               .user = &shown };
  g_autoptr(HfChannel) channel = hf_tls_connect(host->hosts->tls, fd, &expect, peer, CALL_MS, NULL, error);
  if (channel == NULL)
    return NULL;
  hf_channel_set_deadline(channel, CALL_MS);
  if (!hf_preamble_hear(channel, error))
    return NULL;
  hf_channel_set_deadline(channel, -1);
  return g_steal_pointer(&channel);
}

static HfChannel *connect_to(HfHost *host, const HfId *token, guint16 transport_port, guint16 channel_port,
                             GError **error)
{
  gboolean by_channel;
  g_mutex_lock(&host->lock);
  g_autofree char *address = g_strdup(host->address);
  g_mutex_unlock(&host->lock);
  int fd = dial(host->hosts, address, transport_port, channel_port, &by_channel, error);
  if (fd < 0)
    return NULL;
  const guint port = by_channel ? channel_port : transport_port;
  g_autofree char *peer = g_strdup_printf("host %s (%s port %u)", host->name, address, port);
  int handle = hf_hosts_dialing(host->hosts, fd);
  g_autoptr(HfChannel) channel = show_token(host, fd, peer, token, by_channel ? 0 : channel_port, error);
  hf_hosts_dialed(host->hosts, handle);
  if (channel == NULL)
    return NULL;
  if (transport_port == 0) {
    hf_host_log_rows(host, "channels", peer);
  } else {
    static const char *const repository[] = { "backup-repository", NULL };
    g_autofree char *rows = hf_rows_to("backup-server", repository, by_channel ? "channels" : "transport");
    g_message("row %s: connected to %s", rows, peer);
  }
  return g_steal_pointer(&channel);
}

HfChannel *hf_hosts_connect(HfHosts *hosts, const char *id, const HfId *token, guint16 transport_port,
                            guint16 channel_port, GError **error)
{
  g_autoptr(HfHost) host = hf_host_ref(hosts, id, error);
  return host != NULL ? connect_to(host, token, transport_port, channel_port, error) : NULL;
}

/* ---- logs ---- */

static gboolean copy_to_file(HfChannel *channel, int fd, const char *path, GError **error)
{
  g_autofree guint8 *block = g_malloc(BLOCK);
  for (;;) {
    gssize got = hf_channel_read_some(channel, block, BLOCK, error);
    if (got <= 0)
      return got == 0;
    if (!hf_write_all(fd, block, (gsize)got, path, error))
      return FALSE;
  }
}

static gboolean order_logs(HfHost *host, gint64 since, const HfId *token, guint16 *port, GError **error)
{
  const HfInstallerLogsTask task = { .since = since };
  g_auto(HfInstallerTaskStarted) started = { 0 };
  g_auto(HfInstallerTaskOrder) order = { .name = g_uuid_string_random(), .kind = g_strdup("logs") };
  order.task = hf_installer_logs_task_encode(&task, error);
  order.secret = g_bytes_new(NULL, 0);
  HfInstallerLink *link = hf_installer_task_order_add_links(&order);
  link->way = HF_INSTALLER_WAY_IN;
  g_mutex_lock(&host->hosts->lock);
  link->peer = g_strdup(host->hosts->identity->uuid);
  g_mutex_unlock(&host->hosts->lock);
  link->peer_is_server = TRUE;
  link->address = g_strdup("");
  link->preferred = g_strdup("");
  link->row = g_strdup("");
  link->seconds = LINK_SECONDS;
  hf_sha256(token->b, sizeof token->b, link->token.b);
  if (order.task == NULL || !hf_hosts_run(host->hosts, host->id, &order, &started, error))
    return FALSE;
  *port = started.n_ports == 1 ? (guint16)started.ports[0] : 0;
  return *port != 0 || hf_fail(error, HF_ERROR_FAILED, "host '%s' opened no port for its logs", host->name);
}

gboolean hf_hosts_collect_logs(HfHosts *hosts, const char *id, gint64 since, const char *path, GError **error)
{
  guint16 port;
  HfId token;
  g_autoptr(HfHost) host = hf_host_ref(hosts, id, error);
  if (host == NULL)
    return FALSE;
  hf_random(&token, sizeof token);
  hf_autofd int fd = hf_open(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0600, error);
  if (fd < 0 || !order_logs(host, since, &token, &port, error))
    return FALSE;
  g_autoptr(HfChannel) channel = connect_to(host, &token, 0, port, error);
  hf_wipe(&token, sizeof token);
  return channel != NULL && copy_to_file(channel, fd, path, error);
}

/* ---- upgrades ---- */

static gboolean describe_file(int fd, const char *path, HfInstallerUpgradeOrder *order, GError **error)
{
  gsize length = sizeof order->digest;
  g_autofree guint8 *block = g_malloc(BLOCK);
  g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
  for (;;) {
    gssize got = hf_read_full(fd, block, BLOCK, path, error);
    if (got < 0)
      return FALSE;
    if (got == 0)
      break;
    g_checksum_update(sum, block, got);
    order->size += (guint64)got;
  }
  g_checksum_get_digest(sum, order->digest.b, &length);
  return TRUE;
}

static gboolean send_file(HfRpc *rpc, int fd, const char *path, guint64 from, GError **error)
{
  g_autofree guint8 *block = g_malloc(BLOCK);
  g_autoptr(HfCall) call = hf_rpc_begin(rpc, HF_INSTALLER_METHOD_UPLOAD, NULL, error);
  if (call == NULL)
    return FALSE;
  for (guint64 at = from;;) {
    gssize got = hf_pread_full(fd, block, BLOCK, (goffset)at, path, error);
    const struct iovec part = { block, got > 0 ? (gsize)got : 0 };
    if (got < 0)
      return FALSE;
    if (got == 0)
      break;
    if (!hf_call_send(call, &part, 1, error))
      return FALSE;
    at += (guint64)got;
  }
  g_autoptr(GBytes) reply = hf_call_finish(call, error);
  return reply != NULL;
}

gboolean hf_hosts_upgrade(HfHosts *hosts, const char *id, const char *path, const char *program, gboolean package,
                          GError **error)
{
  g_auto(HfInstallerUpgradeOrder) order = { .program = g_strdup(program), .package = package };
  g_auto(HfInstallerUpgradeStart) start = { 0 };
  hf_autofd int fd = hf_open(AT_FDCWD, path, O_RDONLY, 0, error);
  if (fd < 0 || !describe_file(fd, path, &order, error))
    return FALSE;
  g_autoptr(GBytes) body = hf_installer_upgrade_order_encode(&order, error);
  g_autoptr(GBytes) answer = body != NULL ? hf_hosts_order(hosts, id, HF_INSTALLER_ACT_UPGRADE, body, error) : NULL;
  if (answer == NULL || !hf_installer_upgrade_start_decode(answer, &start, error))
    return FALSE;
  g_autoptr(HfHost) host = hf_host_ref(hosts, id, error);
  HfRpc *rpc = host != NULL ? hf_host_enter(host, error) : NULL;
  if (rpc == NULL)
    return FALSE;
  gboolean sent = send_file(rpc, fd, path, start.have, error);
  hf_host_leave(host);
  return sent;
}
