/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "server/hosts/hosts.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "net/connect.h"
#include "ports/catalogue/catalogue.h"
#include "server/hosts/private.h"
#include "server/hosts/rows.h"

#define CHANCE_US (10 * G_TIME_SPAN_SECOND) /* for a host that is away to be reached all the same */

/* ---- life ---- */

static HfTlsSettings tls_settings(const HfHosts *hosts, const HfServerIdentity *identity)
{
  return (HfTlsSettings){ identity->certificate, identity->key, identity->authority,
                          (const char *const *)hosts->revoked };
}

HfHosts *hf_hosts_new(const HfServerIdentity *identity, const HfHostsOps *ops, GError **error)
{
  HfHosts *hosts = g_new0(HfHosts, 1);
  g_mutex_init(&hosts->lock);
  hosts->ops = *ops;
  hosts->identity = hf_server_identity_copy(identity);
  hosts->revoked = g_new0(char *, 1);
  hosts->hosts = g_hash_table_new(g_str_hash, g_str_equal);
  hosts->dialing = g_array_new(FALSE, FALSE, sizeof(int));
  const HfTlsSettings settings = tls_settings(hosts, identity);
  hosts->tls = hf_tls_identity_new(&settings, error);
  if (hosts->tls != NULL)
    return hosts;
  hf_hosts_free(hosts);
  return NULL;
}

void hf_hosts_free(HfHosts *hosts)
{
  if (hosts == NULL)
    return;
  hf_hosts_break(hosts);
  g_mutex_lock(&hosts->lock);
  g_autoptr(GPtrArray) ids = g_ptr_array_new_with_free_func(g_free);
  GHashTableIter iter;
  gpointer id;
  g_hash_table_iter_init(&iter, hosts->hosts);
  while (g_hash_table_iter_next(&iter, &id, NULL))
    g_ptr_array_add(ids, g_strdup(id));
  g_mutex_unlock(&hosts->lock);
  for (guint i = 0; i < ids->len; i++)
    hf_hosts_remove(hosts, ids->pdata[i]);
  g_hash_table_unref(hosts->hosts);
  g_array_unref(hosts->dialing);
  hf_server_identity_free(hosts->identity);
  if (hosts->tls != NULL)
    hf_tls_identity_unref(hosts->tls);
  g_strfreev(hosts->revoked);
  g_mutex_clear(&hosts->lock);
  g_free(hosts);
}

gboolean hf_hosts_set_identity(HfHosts *hosts, const HfServerIdentity *identity, GError **error)
{
  HF_LOCK(&hosts->lock);
  const HfTlsSettings settings = tls_settings(hosts, identity);
  if (!hf_tls_identity_reload(hosts->tls, &settings, error))
    return FALSE;
  hf_server_identity_free(hosts->identity);
  hosts->identity = hf_server_identity_copy(identity);
  return TRUE;
}

/* ---- rows ---- */

void hf_host_log_rows(HfHost *host, const char *service, const char *peer)
{
  static const char *const any[] = { "backup-proxy", "backup-repository", "mount-server", NULL };
  const HfHostsOps *ops = &host->hosts->ops;
  const char *const *roles = ops->roles != NULL ? ops->roles(ops->user, host->id) : NULL;
  g_autofree char *rows = hf_rows_to("backup-server", roles != NULL ? roles : any, service);
  g_message("row %s: connected to %s", rows, peer);
}

/* ---- hosts ---- */

static HfHost *host_new(HfHosts *hosts, const char *id, const char *name, const char *address, guint16 port)
{
  HfHost *host = g_new0(HfHost, 1);
  host->hosts = hosts;
  host->references = 2; /* of the table, of the thread */
  host->id = g_strdup(id);
  host->name = g_strdup(name);
  host->address = g_strdup(address);
  host->port = port;
  host->away_since = g_get_monotonic_time();
  g_mutex_init(&host->telling);
  g_mutex_init(&host->ordering);
  g_mutex_init(&host->lock);
  g_cond_init(&host->changed);
  return host;
}

void hf_host_unref(HfHost *host)
{
  g_mutex_lock(&host->hosts->lock);
  gboolean last = --host->references == 0;
  g_mutex_unlock(&host->hosts->lock);
  if (!last)
    return;
  g_free(host->id);
  g_free(host->name);
  g_free(host->address);
  g_free(host->why);
  g_free(host->reached);
  g_mutex_clear(&host->telling);
  g_mutex_clear(&host->ordering);
  g_mutex_clear(&host->lock);
  g_cond_clear(&host->changed);
  g_free(host);
}

HfHost *hf_host_ref(HfHosts *hosts, const char *id, GError **error)
{
  HF_LOCK(&hosts->lock);
  HfHost *host = g_hash_table_lookup(hosts->hosts, id);
  if (host != NULL)
    host->references++;
  else
    hf_fail(error, HF_ERROR_NOT_FOUND, "host '%s' is not managed by this server", id);
  return host;
}

/* A host that is called already is called at its new place from now on. */
static void move(HfHost *host, const char *address, guint16 port)
{
  HF_LOCK(&host->lock);
  if (strcmp(host->address, address) == 0 && host->port == port)
    return;
  g_free(host->address);
  g_clear_pointer(&host->reached, g_free);
  host->address = g_strdup(address);
  host->port = port;
  host->nudged = TRUE;
  if (host->channel != NULL)
    hf_channel_shutdown(host->channel);
  g_cond_broadcast(&host->changed);
}

void hf_hosts_add(HfHosts *hosts, const char *id, const char *name, const char *address, guint16 port)
{
  guint16 where = port != 0 ? port : hf_port_service("installer")->first;
  HF_LOCK(&hosts->lock);
  HfHost *host = g_hash_table_lookup(hosts->hosts, id);
  if (host != NULL) {
    move(host, address, where);
    return;
  }
  if (hf_cancelled(&hosts->broken, NULL))
    return;
  host = host_new(hosts, id, name, address, where);
  g_hash_table_insert(hosts->hosts, host->id, host);
  host->thread = g_thread_new("hf-host", hf_host_thread, host);
}

static void let_go(HfHost *host)
{
  HF_LOCK(&host->lock);
  host->removed = TRUE;
  if (host->channel != NULL)
    hf_channel_shutdown(host->channel);
  g_cond_broadcast(&host->changed);
}

void hf_hosts_remove(HfHosts *hosts, const char *id)
{
  g_mutex_lock(&hosts->lock);
  HfHost *host = g_hash_table_lookup(hosts->hosts, id);
  if (host != NULL)
    g_hash_table_remove(hosts->hosts, id);
  g_mutex_unlock(&hosts->lock);
  if (host == NULL)
    return;
  let_go(host);
  g_thread_join(host->thread);
  hf_host_unref(host);
}

void hf_hosts_nudge(HfHosts *hosts, const char *id)
{
  g_autoptr(HfHost) host = hf_host_ref(hosts, id, NULL);
  if (host == NULL)
    return;
  HF_LOCK(&host->lock);
  host->nudged = TRUE;
  g_cond_broadcast(&host->changed);
}

gboolean hf_hosts_wait(HfHosts *hosts, const char *id, int timeout_ms, GError **error)
{
  gint64 now = g_get_monotonic_time(), patience = (gint64)timeout_ms * 1000;
  g_autoptr(HfHost) host = hf_host_ref(hosts, id, error);
  if (host == NULL)
    return FALSE;
  HF_LOCK(&host->lock);
  gint64 end = MAX(host->away_since + patience, now + MIN(patience, CHANCE_US));
  if (!host->available) {
    host->nudged = TRUE;
    g_cond_broadcast(&host->changed);
  }
  while (!host->available && !host->removed && g_cond_wait_until(&host->changed, &host->lock, end))
    continue;
  return host->available || hf_fail(error, HF_ERROR_IO, "host '%s' does not answer: %s", host->name,
                                    host->why != NULL ? host->why : "it was not reached yet");
}

/* ---- all hosts ---- */

static GPtrArray *all_hosts(HfHosts *hosts)
{
  GHashTableIter iter;
  gpointer item;
  GPtrArray *found = g_ptr_array_new_with_free_func((GDestroyNotify)hf_host_unref);
  HF_LOCK(&hosts->lock);
  g_hash_table_iter_init(&iter, hosts->hosts);
  while (g_hash_table_iter_next(&iter, NULL, &item)) {
    ((HfHost *)item)->references++;
    g_ptr_array_add(found, item);
  }
  return found;
}

void hf_hosts_break(HfHosts *hosts)
{
  g_mutex_lock(&hosts->lock);
  hf_cancel_set(&hosts->broken);
  for (guint i = 0; i < hosts->dialing->len; i++)
    (void)shutdown(g_array_index(hosts->dialing, int, i), SHUT_RDWR);
  g_mutex_unlock(&hosts->lock);
  g_autoptr(GPtrArray) all = all_hosts(hosts);
  for (guint i = 0; i < all->len; i++)
    let_go(all->pdata[i]);
}

void hf_hosts_tell_again(HfHosts *hosts)
{
  g_autoptr(GPtrArray) all = all_hosts(hosts);
  for (guint i = 0; i < all->len; i++)
    hf_host_tell_again(all->pdata[i]);
}

/* ---- connections that are being made ---- */

int hf_hosts_dial(HfHosts *hosts, const char *address, guint16 port, int timeout_ms, GError **error)
{
  return hf_net_connect_or_cancel(address, port, timeout_ms, &hosts->broken, error);
}

int hf_hosts_dialing(HfHosts *hosts, int fd)
{
  int handle = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  HF_LOCK(&hosts->lock);
  if (hf_cancelled(&hosts->broken, NULL))
    (void)shutdown(fd, SHUT_RDWR);
  if (handle >= 0)
    g_array_append_val(hosts->dialing, handle);
  return handle;
}

void hf_hosts_dialed(HfHosts *hosts, int handle)
{
  if (handle < 0)
    return;
  HF_LOCK(&hosts->lock);
  for (guint i = 0; i < hosts->dialing->len; i++)
    if (g_array_index(hosts->dialing, int, i) == handle) {
      g_array_remove_index_fast(hosts->dialing, i);
      break;
    }
  close(handle);
}

static gboolean is_available(HfHost *host)
{
  HF_LOCK(&host->lock);
  return host->available;
}

void hf_hosts_set_revoked(HfHosts *hosts, const char *const *serials)
{
  g_mutex_lock(&hosts->lock);
  g_strfreev(hosts->revoked);
  hosts->revoked = g_strdupv((char **)serials);
  hf_tls_identity_set_revoked(hosts->tls, serials);
  g_mutex_unlock(&hosts->lock);
  g_autoptr(GPtrArray) all = all_hosts(hosts);
  for (guint i = 0; i < all->len; i++) {
    g_autoptr(GError) error = NULL;
    HfHost *host = all->pdata[i];
    if (is_available(host) && !hf_host_send_revoked(host, &error))
      g_warning("host '%s' was not told what is revoked: %s", host->name, error->message);
  }
}

guint hf_hosts_renew(HfHosts *hosts, gboolean every)
{
  guint renewed = 0;
  g_autoptr(GPtrArray) all = all_hosts(hosts);
  for (guint i = 0; i < all->len; i++) {
    g_autoptr(GError) error = NULL;
    HfHost *host = all->pdata[i];
    if (!is_available(host) || (!every && !hf_host_renew_is_due(host)))
      continue;
    if (hf_host_renew(host, &error))
      renewed++;
    else
      g_warning("the certificate of host '%s' was not renewed: %s", host->name, error->message);
  }
  return renewed;
}
