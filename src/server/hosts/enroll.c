/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Enrolment, the server's side (docs/fleet.md 5). */
#include <string.h>

#include "base/error.h"
#include "net/connect.h"
#include "ports/catalogue/catalogue.h"
#include "server/hosts/private.h"

#define CONNECT_MS (10 * 1000)
#define HANDSHAKE_MS 15000
#define CALL_MS 30000
#define AGAIN_US 300000

void hf_enrolled_clear(HfEnrolled *enrolled)
{
  g_clear_pointer(&enrolled->host, g_free);
  g_clear_pointer(&enrolled->name, g_free);
  g_clear_pointer(&enrolled->program, g_free);
  g_clear_pointer(&enrolled->certificate, g_free);
  g_clear_pointer(&enrolled->ssh_host_key, g_free);
}

/* Waits for the host to listen, where that was asked for. */
static int reach(HfHosts *hosts, const HfEnrollWish *wish, guint16 port, GError **error)
{
  gint64 end = g_get_monotonic_time() + wish->wait_seconds * G_TIME_SPAN_SECOND;
  for (;;) {
    g_autoptr(GError) why = NULL;
    int fd = hf_hosts_dial(hosts, wish->address, port, CONNECT_MS, &why);
    if (fd >= 0)
      return fd;
    if (g_get_monotonic_time() > end || hf_error_is(why, HF_ERROR_CANCELLED)) {
      g_propagate_prefixed_error(error, g_steal_pointer(&why), "is 'holdfast-agent enroll' running there? ");
      return -1;
    }
    g_usleep(AGAIN_US);
  }
}

/* Which host this machine is to be. Who it was before is our knowledge, never the machine's word. */
static char *choose_id(HfHosts *hosts, const HfEnrollWish *wish, const HfEnrollCandidate *candidate, GError **error)
{
  g_autofree char *known = hosts->ops.known != NULL ? hosts->ops.known(hosts->ops.user, &candidate->machine) : NULL;
  if (known != NULL && g_strcmp0(known, wish->replaces) != 0) {
    hf_fail(error, HF_ERROR_EXISTS,
            "the machine at '%s' is enrolled already as host '%s'; enrol that one again instead",
            wish->address, known);
    return NULL;
  }
  return wish->replaces != NULL ? g_strdup(wish->replaces) : g_uuid_string_random();
}

static gboolean fill_membership(HfHosts *hosts, const HfEnrolled *enrolled, HfEnrollMembership *given)
{
  HF_LOCK(&hosts->lock);
  given->host = g_strdup(enrolled->host);
  given->server = g_strdup(hosts->identity->uuid);
  given->certificate = g_strdup(enrolled->certificate);
  given->authority = g_strdup(hosts->identity->authority);
  given->server_certificate = g_strdup(hosts->identity->order_certificate);
  return TRUE;
}

static gboolean take(HfHosts *hosts, const HfEnrollWish *wish, HfRpc *rpc, HfEnrolled *enrolled, GError **error)
{
  g_auto(HfEnrollCandidate) candidate = { 0 };
  g_auto(HfEnrollMembership) given = { 0 };
  if (!hf_enroll_call_candidate(rpc, &candidate, CALL_MS, error))
    return FALSE;
  enrolled->host = choose_id(hosts, wish, &candidate, error);
  if (enrolled->host == NULL)
    return FALSE;
  enrolled->name = g_strdup(candidate.name);
  enrolled->program = g_strdup(candidate.program);
  enrolled->machine = candidate.machine;
  enrolled->transport_port = (guint16)candidate.transport_port;
  enrolled->certificate = hf_hosts_issue(hosts, enrolled->host, candidate.name, candidate.request, error);
  return enrolled->certificate != NULL && fill_membership(hosts, enrolled, &given) &&
         hf_enroll_call_join(rpc, &given, CALL_MS, error);
}

/* Takes over `fd`. */
static gboolean enroll(HfHosts *hosts, const HfEnrollWish *wish, int fd, const char *peer, HfEnrolled *enrolled,
                       GError **error)
{
  const HfRpcOptions options = { .service = HF_ENROLL_SERVICE, .version_low = HF_ENROLL_OLDEST,
                                 .version_high = HF_ENROLL_VERSION };
  g_autoptr(HfChannel) channel = hf_tls_connect_token(wish->token, fd, peer, HANDSHAKE_MS, error);
  HfRpc *rpc = channel != NULL ? hf_rpc_new(channel, &options, error) : NULL;
  gboolean done = rpc != NULL && take(hosts, wish, rpc, enrolled, error);
  hf_rpc_free(rpc);
  return done;
}

gboolean hf_hosts_enroll(HfHosts *hosts, const HfEnrollWish *wish, HfEnrolled *enrolled, GError **error)
{
  if (!hf_tls_token_valid(wish->token))
    return hf_fail(error, HF_ERROR_USAGE, "that is no token; 'holdfast-agent enroll' on the host prints one");
  guint16 port = wish->port != 0 ? wish->port : hf_port_service("installer")->first;
  g_autofree char *peer = g_strdup_printf("%s port %u", wish->address, port);
  int fd = reach(hosts, wish, port, error);
  if (fd < 0)
    return FALSE;
  int handle = hf_hosts_dialing(hosts, fd);
  gboolean done = enroll(hosts, wish, fd, peer, enrolled, error);
  hf_hosts_dialed(hosts, handle);
  return done;
}
