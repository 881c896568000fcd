/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The installer role: ends TLS for the server's connection. Who is not the server that enrolled this host gets no
 * further than the handshake; what the server says goes to the keeper as it is.
 */
#include "agent/installer.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/rights.h"
#include "agent/setup.h"
#include "base/error.h"
#include "base/work.h"
#include "net/connect.h"
#include "net/tls.h"

#define HANDSHAKE_MS (10 * 1000)
#define VISITORS_MAX 16u

typedef struct Installer {
  HfControl *control;
  HfTlsIdentity *identity;
  char *server; /* uuid */
  int listener;
  GMutex lock;
  guint visitors;
  GList *standing; /* HfChannel *: of the server's sessions */
} Installer;

typedef struct Visitor {
  Installer *installer;
  int fd;
  char *peer;
} Visitor;

/* ---- sessions ---- */

static void stand(Installer *installer, HfChannel *channel, gboolean begin)
{
  HF_LOCK(&installer->lock);
  if (begin)
    installer->standing = g_list_prepend(installer->standing, channel);
  else
    installer->standing = g_list_remove(installer->standing, channel);
}

static void relay(Installer *installer, HfChannel *far)
{
  int fd = -1;
  g_autoptr(GError) error = NULL;
  g_autoptr(HfChannel) near = NULL;
  if (!hf_channel_pair_fd(&near, &fd, &error)) {
    g_warning("%s", error->message);
    return;
  }
  gboolean sent = hf_control_send(installer->control, HF_CONTROL_CONNECTION, NULL, fd, &error);
  close(fd);
  if (!sent)
    return;
  stand(installer, far, TRUE);
  if (!hf_channel_relay(near, far, NULL, NULL, &error))
    g_debug("the server's session broke: %s", error->message);
  stand(installer, far, FALSE);
}

static void serve(const Visitor *visitor)
{
  Installer *installer = visitor->installer;
  g_autoptr(GError) error = NULL;
  g_autoptr(HfPeer) peer = NULL;
  const HfTlsExpect expect = { .kinds = HF_PEER_SERVER, .uuid = installer->server };
  g_autoptr(HfChannel) far =
    hf_tls_accept(installer->identity, visitor->fd, &expect, visitor->peer, HANDSHAKE_MS, &peer, &error);
  if (far != NULL)
    relay(installer, far);
  else
    g_warning("%s", error->message);
}

static gpointer visitor_thread(gpointer user)
{
  Visitor *visitor = user;
  Installer *installer = visitor->installer;
  serve(visitor);
  g_free(visitor->peer);
  g_free(visitor);
  HF_LOCK(&installer->lock);
  installer->visitors--;
  return NULL;
}

static gboolean take_place(Installer *installer)
{
  HF_LOCK(&installer->lock);
  if (installer->visitors >= VISITORS_MAX)
    return FALSE;
  installer->visitors++;
  return TRUE;
}

static gpointer listen_thread(gpointer user)
{
  Installer *installer = user;
  for (;;) {
    g_autoptr(GError) error = NULL;
    g_autofree char *peer = NULL;
    int fd = hf_net_accept(installer->listener, -1, &peer, &error);
    if (fd < 0 && hf_error_is(error, HF_ERROR_CANCELLED))
      return NULL;
    if (fd < 0 || !take_place(installer)) {
      if (fd >= 0)
        close(fd);
      g_usleep(100000);
      continue;
    }
    Visitor *visitor = g_new0(Visitor, 1);
    *visitor = (Visitor){ installer, fd, g_steal_pointer(&peer) };
    g_thread_unref(g_thread_new("hf-visitor", visitor_thread, visitor));
  }
}

/* ---- what the keeper says ---- */

static gboolean open_door(Installer *installer, const HfSettings *settings, GError **error)
{
  installer->listener = hf_net_listen(settings->address, settings->installer_port, error);
  if (installer->listener < 0)
    return FALSE;
  g_thread_unref(g_thread_new("hf-listen", listen_thread, installer));
  g_autoptr(HfBody) body = hf_body_new();
  hf_put_u16(body, hf_net_port(installer->listener));
  return hf_control_send(installer->control, HF_CONTROL_READY, body, -1, error);
}

/* A session that stands under a certificate which is void now ends; the server calls again with its new one. */
static void end_sessions(Installer *installer)
{
  HF_LOCK(&installer->lock);
  for (GList *item = installer->standing; item != NULL; item = item->next)
    hf_channel_shutdown(item->data);
}

static gboolean on_setup(Installer *installer, const GByteArray *body, GError **error)
{
  g_auto(HfFaceSetup) setup = { 0 };
  if (!hf_face_setup_get(body, &setup, error))
    return FALSE;
  const HfTlsSettings tls = { setup.identity->certificate, setup.identity->key, setup.identity->authority,
                              (const char *const *)setup.revoked };
  if (installer->identity != NULL) {
    g_autoptr(HfPeer) server = hf_pki_peer(setup.identity->server_certificate, NULL);
    if (server != NULL && g_strv_contains((const char *const *)setup.revoked, server->serial))
      end_sessions(installer);
    return hf_tls_identity_reload(installer->identity, &tls, error);
  }
  installer->identity = hf_tls_identity_new(&tls, error);
  installer->server = g_strdup(setup.identity->server);
  return installer->identity != NULL && hf_rights_drop(setup.settings->user, error) &&
         open_door(installer, setup.settings, error);
}

/* The process ends when this returns, and everything with it. */
gboolean hf_installer_run(HfControl *control, GError **error)
{
  Installer *installer = g_new0(Installer, 1);
  *installer = (Installer){ .control = control, .listener = -1 };
  for (;;) {
    g_autoptr(HfControlMessage) message = hf_control_receive(control, error);
    if (message == NULL)
      return *error == NULL;
    if (message->kind != HF_CONTROL_SETUP || !on_setup(installer, message->body, error))
      return FALSE;
  }
}
