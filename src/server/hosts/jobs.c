/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the job runner asks of hosts (server/jobs/hosts.h). */
#include <string.h>

#include "base/error.h"
#include "server/hosts/private.h"
#include "server/hosts/rows.h"

/* A host that is away for a moment, or was not called yet since this server began, is worth waiting for. */
static gboolean wait_for_host(HfHosts *hosts, const char *id, GError **error)
{
  return hf_hosts_wait(hosts, id, HF_JOB_LOST_SECONDS * 1000, error);
}

static gboolean ticket(gpointer user, const char *id, const HfJobTicket *given, HfJobTicketOpen *open, GError **error)
{
  HfHosts *hosts = user;
  g_auto(HfInstallerTicketOpen) opened = { 0 };
  g_auto(HfInstallerTicket) out = {
    .id = given->id, .kind = HF_INSTALLER_TICKET_KIND_REPOSITORY, .peer_is_server = given->peer_id == NULL,
    .seconds = given->seconds, .streams = given->streams, .channels = MIN(given->streams, HF_JOB_STREAMS_MAX),
    .repository = g_strdup(given->path), .rights = given->rights, .writer = given->writer,
  };
  out.terms = given->terms != NULL ? g_bytes_ref(given->terms) : g_bytes_new(NULL, 0);
  g_mutex_lock(&hosts->lock);
  out.peer = g_strdup(given->peer_id != NULL ? given->peer_id : hosts->identity->uuid);
  g_mutex_unlock(&hosts->lock);
  hf_sha256(given->token.b, sizeof given->token.b, out.token_hash.b);
  g_autoptr(GBytes) body = wait_for_host(hosts, id, error) ? hf_installer_ticket_encode(&out, error) : NULL;
  g_autoptr(GBytes) answer = body != NULL ? hf_hosts_order(hosts, id, HF_INSTALLER_ACT_TICKET, body, error) : NULL;
  if (answer == NULL || !hf_installer_ticket_open_decode(answer, &opened, error))
    return FALSE;
  *open = (HfJobTicketOpen){ .transport_port = (guint16)opened.transport_port };
  for (open->ports = 0; open->ports < MIN(opened.n_ports, HF_JOB_STREAMS_MAX); open->ports++)
    open->channel_ports[open->ports] = (guint16)opened.ports[open->ports];
  return TRUE;
}

static void ticket_close(gpointer user, const char *id, const HfShortId *name)
{
  const HfInstallerTicketName out = { .id = *name };
  g_autoptr(GBytes) body = hf_installer_ticket_name_encode(&out, NULL);
  g_autoptr(GBytes) answer = hf_hosts_order(user, id, HF_INSTALLER_ACT_TICKET_CLOSE, body, NULL);
}

/* The port that no row names is never tried. To itself a host needs none. */
static void set_ways(HfInstallerLink *link, const HfJobLink *given, gboolean itself)
{
  g_auto(HfRowsData) rows = { 0 };
  link->transport_port = given->transport_port;
  link->channel_port = given->channel_port;
  if (itself || given->role == NULL) {
    link->row = g_strdup("");
    return;
  }
  hf_rows_data(given->role, "backup-repository", &rows);
  link->row = hf_rows_data_text(&rows);
  if (*rows.transport == '\0')
    link->transport_port = 0;
  if (*rows.channels == '\0')
    link->channel_port = 0;
}

static gboolean add_link(HfHosts *hosts, const char *id, HfInstallerTaskOrder *order, const HfJobLink *given,
                         GError **error)
{
  g_autoptr(HfHost) far = hf_host_ref(hosts, given->host_id, error);
  if (far == NULL)
    return FALSE;
  HfInstallerLink *link = hf_installer_task_order_add_links(order);
  link->way = HF_INSTALLER_WAY_OUT;
  link->peer = g_strdup(given->host_id);
  link->token = given->token;
  link->preferred = g_strdup(given->preferred != NULL ? given->preferred : "");
  set_ways(link, given, strcmp(given->host_id, id) == 0);
  HF_LOCK(&far->lock);
  link->address = g_strdup(far->reached != NULL ? far->reached : far->address);
  return TRUE;
}

static gboolean order_task(gpointer user, const char *id, const char *name, const char *kind, GBytes *task,
                           GBytes *secret, const HfJobLink *links, guint count, GError **error)
{
  g_auto(HfInstallerTaskStarted) started = { 0 };
  g_auto(HfInstallerTaskOrder) order = { .name = g_strdup(name), .kind = g_strdup(kind) };
  order.task = task != NULL ? g_bytes_ref(task) : g_bytes_new(NULL, 0);
  order.secret = secret != NULL ? g_bytes_ref(secret) : g_bytes_new(NULL, 0);
  for (guint i = 0; i < count; i++)
    if (!add_link(user, id, &order, &links[i], error))
      return FALSE;
  return wait_for_host(user, id, error) && hf_hosts_run(user, id, &order, &started, error);
}

static gboolean cancel(gpointer user, const char *id, const char *name, GError **error)
{
  return hf_hosts_cancel(user, id, name, error);
}

static gboolean set_rate(gpointer user, const char *id, const char *name, guint64 rate, GError **error)
{
  /* A server that begins takes up tasks before it calls hosts: that is not a host without the task. */
  g_autoptr(HfHost) host = hf_host_ref(user, id, NULL);
  if (host == NULL)
    return hf_fail(error, HF_ERROR_IO, "host '%s' is not called yet; it is told when it answers", id);
  return hf_hosts_set_rate(user, id, name, rate, error);
}

static char *address_of(gpointer user, const char *id)
{
  g_autoptr(HfHost) host = hf_host_ref(user, id, NULL);
  if (host == NULL)
    return NULL;
  HF_LOCK(&host->lock);
  return g_strdup(host->reached);
}

static HfChannel *connect_repository(gpointer user, const char *id, const HfId *token, const HfJobTicketOpen *open,
                                     guint index, GError **error)
{
  return hf_hosts_connect(user, id, token, open->transport_port, index < open->ports ? open->channel_ports[index] : 0,
                          error);
}

static GPtrArray *tasks(gpointer user, const char *id, GError **error)
{
  g_auto(HfInstallerStatus) status = { 0 };
  if (!hf_hosts_status(user, id, &status, error))
    return NULL;
  GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
  for (guint i = 0; i < status.n_tasks; i++)
    g_ptr_array_add(names, g_strdup(status.tasks[i].name));
  return names;
}

void hf_hosts_for_jobs(HfHosts *hosts, HfJobHosts *table)
{
  *table = (HfJobHosts){
    .user = hosts, .ticket = ticket, .ticket_close = ticket_close, .order = order_task, .cancel = cancel,
    .set_rate = set_rate,
    .address = address_of, .connect = connect_repository, .tasks = tasks,
  };
}
