/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/keeper/carry.h"

#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>

#include "agent/keeper/face.h"
#include "agent/keeper/holding.h"
#include "agent/keeper/repositories.h"
#include "agent/keeper/service.h"
#include "agent/keeper/tasks.h"
#include "agent/keeper/upgrade.h"
#include "base/clock.h"
#include "base/error.h"
#include "net/pki.h"
#include "storage/service/terms.h"

#define ANSWER_MS 500 /* for an answer to be on its way */
#define SERVER_TICKET (G_GUINT64_CONSTANT(1) << 63) /* in references: not of a task's link */

typedef struct Act {
  HfKeeper *keeper;
  HfAsk *ask;
  const HfInstallerOrder *order;
} Act;

static void answer(const Act *act, GBytes *bytes, GError *error)
{
  hf_ask_done(act->ask, bytes, error);
}

/* ---- tickets ---- */

/* For how long files of this repository may be made immutable. Terms that are not understood the service refuses. */
static void note_lock(HfKeeper *keeper, const HfInstallerTicket *ticket)
{
  HfRepositoryTerms terms;
  if (hf_repository_terms_decode(ticket->terms, &terms, NULL) && terms.lock > 0)
    hf_holding_lock(keeper->holding, ticket->repository, terms.lock);
}

static void act_ticket(const Act *act)
{
  GError *error = NULL;
  g_auto(HfInstallerTicket) ticket = { 0 };
  if (!hf_installer_ticket_decode(act->order->body, &ticket, &error)) {
    answer(act, NULL, error);
    return;
  }
  g_autoptr(HfBody) body = hf_body_new();
  hf_put_u64(body, act->order->number | SERVER_TICKET);
  hf_put_bytes(body, g_bytes_get_data(act->order->body, NULL), g_bytes_get_size(act->order->body));
  if (ticket.kind != HF_INSTALLER_TICKET_KIND_REPOSITORY || ticket.repository[0] != '/') {
    answer(act, NULL, g_error_new(HF_ERROR, HF_ERROR_INVALID, "a ticket names no repository of this host"));
  } else if (!hf_repositories_add(act->keeper->settings->state, ticket.repository, &error)) {
    answer(act, NULL, error);
  } else if (!hf_face_ready(act->keeper->transport) ||
             !hf_face_send(act->keeper->transport, HF_CONTROL_TICKET, body, -1)) {
    answer(act, NULL, g_error_new(HF_ERROR, HF_ERROR_BUSY, "the transport role of this host does not run"));
  } else {
    note_lock(act->keeper, &ticket);
    g_hash_table_insert(act->keeper->tickets, g_memdup2(&act->order->number, sizeof(guint64)), hf_ask_ref(act->ask));
  }
}

static void ticket_open(HfKeeper *keeper, guint64 number, HfReader *reader)
{
  GError *error = NULL;
  GBytes *bytes = NULL;
  g_auto(HfInstallerTicketOpen) open = { .transport_port = keeper->settings->transport_port };
  HfAsk *ask = g_hash_table_lookup(keeper->tickets, &number);
  if (ask == NULL)
    return;
  if (hf_get_error(reader, &error)) {
    guint count = hf_get_count(reader, 2);
    for (guint i = 0; i < count; i++)
      hf_installer_ticket_open_add_ports(&open, hf_get_u16(reader));
    bytes = hf_installer_ticket_open_encode(&open, &error);
  }
  hf_ask_done(ask, bytes, error);
  g_hash_table_remove(keeper->tickets, &number);
}

void hf_carry_message(HfKeeper *keeper, HfControlMessage *message)
{
  HfReader reader = hf_reader(message->body->data, message->body->len);
  guint64 ref = hf_get_u64(&reader);
  if (message->kind == HF_CONTROL_HOLD)
    hf_holding_request(keeper->holding, message->body);
  else if (message->kind == HF_CONTROL_TICKET_OPEN && (ref & SERVER_TICKET) != 0)
    ticket_open(keeper, ref & ~SERVER_TICKET, &reader);
  else if (!hf_tasks_message(keeper->tasks, message))
    g_warning("the transport role sends what nobody asked for");
}

static gboolean fail_ticket(gpointer key G_GNUC_UNUSED, gpointer ask, gpointer user G_GNUC_UNUSED)
{
  hf_ask_done(ask, NULL, g_error_new(HF_ERROR, HF_ERROR_IO, "the transport role of this host has ended"));
  return TRUE;
}

void hf_carry_transport_gone(HfKeeper *keeper)
{
  g_hash_table_foreach_remove(keeper->tickets, fail_ticket, NULL);
  hf_tasks_transport_gone(keeper->tasks);
  hf_holding_stop(keeper->holding);
}

static void act_ticket_close(const Act *act)
{
  GError *error = NULL;
  g_auto(HfInstallerTicketName) name = { 0 };
  if (hf_installer_ticket_name_decode(act->order->body, &name, &error)) {
    g_autoptr(HfBody) body = hf_body_new();
    hf_put_raw(body, &name.id, sizeof name.id);
    hf_face_send(act->keeper->transport, HF_CONTROL_TICKET_CLOSE, body, -1);
  }
  answer(act, NULL, error);
}

/* ---- tasks and roles ---- */

static void act_task(const Act *act)
{
  GError *error = NULL;
  g_auto(HfInstallerTaskOrder) order = { 0 };
  if (hf_upgrade_pending(act->keeper->upgrade))
    hf_fail(&error, HF_ERROR_BUSY, "the agent of this host is about to be upgraded; try again in a minute");
  if (error == NULL && hf_installer_task_order_decode(act->order->body, &order, &error))
    hf_tasks_start(act->keeper->tasks, act->order->number, &order, act->ask);
  else
    answer(act, NULL, error);
}

static void act_cancel(const Act *act)
{
  GError *error = NULL;
  g_auto(HfInstallerTaskName) name = { 0 };
  if (hf_installer_task_name_decode(act->order->body, &name, &error))
    hf_tasks_cancel(act->keeper->tasks, name.name, &error);
  answer(act, NULL, error);
}

static void act_rate(const Act *act)
{
  GError *error = NULL;
  g_auto(HfInstallerTaskRate) rate = { 0 };
  if (hf_installer_task_rate_decode(act->order->body, &rate, &error))
    hf_tasks_set_rate(act->keeper->tasks, rate.name, rate.rate, &error);
  answer(act, NULL, error);
}

static gboolean restart_installer(gpointer user)
{
  HfKeeper *keeper = user;
  if (keeper->installer != NULL)
    hf_face_act(keeper->installer, HF_INSTALLER_ROLE_ACT_RESTART);
  return G_SOURCE_REMOVE;
}

static void act_role(const Act *act)
{
  GError *error = NULL;
  g_auto(HfInstallerRoleOrder) order = { 0 };
  if (hf_installer_role_order_decode(act->order->body, &order, &error)) {
    if (strcmp(order.role, "transport") == 0)
      hf_face_act(act->keeper->transport, order.act);
    else if (strcmp(order.role, "installer") == 0 && order.act != HF_INSTALLER_ROLE_ACT_STOP)
      g_timeout_add(ANSWER_MS, restart_installer, act->keeper); /* it carries the answer to this */
    else
      hf_fail(&error, HF_ERROR_NOT_FOUND, "this host has no role '%s' that could be told so", order.role);
  }
  answer(act, NULL, error);
}

typedef struct SpaceQuestion {
  HfAsk *ask;
  char *path;
} SpaceQuestion;

/* A file system that does not answer must not hold up the keeper. */
static gpointer space_thread(gpointer user)
{
  SpaceQuestion *question = user;
  GError *error = NULL;
  GBytes *bytes = NULL;
  struct statvfs status;
  if (statvfs(question->path, &status) < 0) {
    hf_fail_errno(&error, errno, "cannot ask for the space of '%s'", question->path);
  } else {
    guint64 unit = status.f_frsize;
    HfInstallerSpace space = { .total = status.f_blocks * unit, .free = status.f_bavail * unit,
                               .used = (status.f_blocks - status.f_bfree) * unit, .filesystem = status.f_fsid };
    bytes = hf_installer_space_encode(&space, &error);
  }
  hf_ask_done(question->ask, bytes, error);
  hf_ask_unref(question->ask);
  g_free(question->path);
  g_free(question);
  return NULL;
}

static void act_space(const Act *act)
{
  GError *error = NULL;
  g_auto(HfInstallerPath) path = { 0 };
  if (!hf_installer_path_decode(act->order->body, &path, &error)) {
    answer(act, NULL, error);
    return;
  }
  SpaceQuestion *question = g_new0(SpaceQuestion, 1);
  *question = (SpaceQuestion){ hf_ask_ref(act->ask), g_strdup(path.path) };
  g_thread_unref(g_thread_new("hf-space", space_thread, question));
}

/* ---- certificates ---- */

static void act_request(const Act *act)
{
  GError *error = NULL;
  GBytes *bytes = NULL;
  g_autoptr(HfPkiKey) key = NULL;
  g_auto(HfInstallerRequest) request = { 0 };
  if (hf_pki_new_request(g_get_host_name(), &request.request, &key, &error)) {
    hf_pki_key_free(act->keeper->pending_key);
    act->keeper->pending_key = g_steal_pointer(&key);
    bytes = hf_installer_request_encode(&request, &error);
  }
  answer(act, bytes, error);
}

static void replace(char **text, const char *with)
{
  if (*with == '\0')
    return;
  g_free(*text);
  *text = g_strdup(with);
}

/* What is put in place of the identity: checked as a whole, so that nothing can lock the server out. */
static HfMembership *renewed(HfKeeper *keeper, const HfInstallerCertificate *given, GError **error)
{
  gint64 now = hf_clock_real_ns() / 1000000000;
  g_autoptr(HfMembership) identity = hf_membership_copy(keeper->identity);
  if (*given->certificate != '\0') {
    if (keeper->pending_key == NULL) {
      hf_fail(error, HF_ERROR_REFUSED, "no certificate was asked for since the agent started; ask again");
      return NULL;
    }
    hf_pki_key_free(identity->key);
    identity->key = g_strdup(keeper->pending_key);
  }
  replace(&identity->certificate, given->certificate);
  replace(&identity->authority, given->authority);
  replace(&identity->server_certificate, given->server_certificate);
  if (!hf_pki_check(identity->certificate, identity->key, identity->authority, now, error) ||
      !hf_pki_check(identity->server_certificate, NULL, identity->authority, now, error))
    return NULL;
  g_autoptr(HfPeer) own = hf_pki_peer(identity->certificate, error);
  g_autoptr(HfPeer) server = own != NULL ? hf_pki_peer(identity->server_certificate, error) : NULL;
  if (server == NULL)
    return NULL;
  if (strcmp(own->uuid, identity->host) != 0 || strcmp(server->uuid, identity->server) != 0) {
    hf_fail(error, HF_ERROR_REFUSED, "the certificates are not those of this host and its server");
    return NULL;
  }
  return g_steal_pointer(&identity);
}

static void act_certificate(const Act *act)
{
  GError *error = NULL;
  HfKeeper *keeper = act->keeper;
  g_auto(HfInstallerCertificate) given = { 0 };
  g_autoptr(HfMembership) identity = NULL;
  if (hf_installer_certificate_decode(act->order->body, &given, &error))
    identity = renewed(keeper, &given, &error);
  if (identity != NULL && hf_membership_save(keeper->settings->state, identity, &error)) {
    hf_membership_free(keeper->identity);
    keeper->identity = g_steal_pointer(&identity);
    g_clear_pointer(&keeper->pending_key, hf_pki_key_free);
    hf_keeper_setup_faces(keeper);
    hf_keeper_note(keeper, "the certificate of this host was renewed");
  }
  answer(act, NULL, error);
}

static void act_revoke(const Act *act)
{
  GError *error = NULL;
  g_auto(HfInstallerRevoked) revoked = { 0 };
  if (hf_installer_revoked_decode(act->order->body, &revoked, &error)) {
    char **serials = g_new0(char *, revoked.n_serials + 1);
    for (guint i = 0; i < revoked.n_serials; i++)
      serials[i] = g_strdup(revoked.serials[i]);
    g_autofree char *text = g_strjoinv("\n", serials);
    if (hf_state_write(act->keeper->settings->state, "revoked", text, strlen(text), &error)) {
      g_strfreev(act->keeper->revoked);
      act->keeper->revoked = g_steal_pointer(&serials);
      hf_keeper_setup_faces(act->keeper);
    }
    g_strfreev(serials);
  }
  answer(act, NULL, error);
}

/* The keeper sees that the identity is gone when the answer is on its way. */
static void act_forget(const Act *act)
{
  GError *error = NULL;
  hf_membership_remove(act->keeper->settings->state, &error);
  hf_keeper_look_later(act->keeper);
  answer(act, NULL, error);
}

static void act_upgrade(const Act *act)
{
  GError *error = NULL;
  GBytes *bytes = NULL;
  g_auto(HfInstallerUpgradeOrder) order = { 0 };
  g_auto(HfInstallerUpgradeStart) start = { 0 };
  if (hf_installer_upgrade_order_decode(act->order->body, &order, &error) &&
      hf_upgrade_begin(act->keeper->upgrade, &order, &start.have, &error))
    bytes = hf_installer_upgrade_start_encode(&start, &error);
  answer(act, bytes, error);
}

/* ---- all ---- */

static void (*const acts[])(const Act *act) = {
  [HF_INSTALLER_ACT_TASK] = act_task,
  [HF_INSTALLER_ACT_CANCEL] = act_cancel,
  [HF_INSTALLER_ACT_TICKET] = act_ticket,
  [HF_INSTALLER_ACT_TICKET_CLOSE] = act_ticket_close,
  [HF_INSTALLER_ACT_ROLE] = act_role,
  [HF_INSTALLER_ACT_UPGRADE] = act_upgrade,
  [HF_INSTALLER_ACT_CERTIFICATE] = act_certificate,
  [HF_INSTALLER_ACT_REVOKE] = act_revoke,
  [HF_INSTALLER_ACT_FORGET] = act_forget,
  [HF_INSTALLER_ACT_SPACE] = act_space,
  [HF_INSTALLER_ACT_REQUEST] = act_request,
  [HF_INSTALLER_ACT_RATE] = act_rate,
};

void hf_carry_out(HfKeeper *keeper, HfAsk *ask, gpointer data)
{
  GError *error = NULL;
  g_auto(HfInstallerSignedOrder) given = { 0 };
  g_auto(HfInstallerOrder) order = { 0 };
  if (keeper->identity == NULL)
    hf_fail(&error, HF_ERROR_REFUSED, "this host is not enrolled any more");
  if (error == NULL && hf_installer_signed_order_decode(data, &given, &error) &&
      !hf_order_take(keeper->book, keeper->identity, hf_clock_real_ns(), &given, &order, &error))
    hf_keeper_note(keeper, "an order was refused: %s", error->message);
  void (*func)(const Act *act) = (guint)order.act < G_N_ELEMENTS(acts) ? acts[order.act] : NULL;
  if (error == NULL && func == NULL)
    hf_fail(&error, HF_ERROR_UNSUPPORTED, "this agent does not know orders of kind %d; upgrade it", (int)order.act);
  const Act act = { keeper, ask, &order };
  if (error != NULL || func == NULL)
    answer(&act, NULL, error);
  else
    func(&act);
}
