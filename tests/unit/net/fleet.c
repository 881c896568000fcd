/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fleet.h"

#include <string.h>
#include <unistd.h>

#include "net/connect.h"

#define SECONDS_20 20000

Authority authority_new(const char *name)
{
  Authority authority = { NULL, NULL };
  GError *error = NULL;
  (void)hf_pki_new_ca(name, &authority.certificate, &authority.key, &error);
  g_assert_no_error(error);
  return authority;
}

void authority_clear(Authority *authority)
{
  g_free(authority->certificate);
  hf_pki_key_free(authority->key);
}

Member member_of_grant(const Authority *authority, const HfPkiGrant *grant)
{
  Member member = { NULL, NULL };
  g_autofree char *request = NULL;
  GError *error = NULL;
  (void)hf_pki_new_request("whoever", &request, &member.key, &error);
  g_assert_no_error(error);
  member.certificate = hf_pki_issue(authority->certificate, authority->key, request, grant, &error);
  g_assert_no_error(error);
  return member;
}

Member member_new(const Authority *authority, HfPeerKind kind, const char *uuid, const char *role)
{
  const char *const roles[] = { role, NULL };
  HfPkiGrant grant = { .kind = kind, .uuid = uuid, .name = "member", .roles = roles };
  return member_of_grant(authority, &grant);
}

void member_clear(Member *member)
{
  g_free(member->certificate);
  hf_pki_key_free(member->key);
}

HfTlsIdentity *member_identity(const Authority *authority, const Member *member)
{
  HfTlsSettings settings = { member->certificate, member->key, authority->certificate, NULL };
  GError *error = NULL;
  HfTlsIdentity *identity = hf_tls_identity_new(&settings, &error);
  g_assert_no_error(error);
  return identity;
}

void tcp_pair(int *a, int *b)
{
  GError *error = NULL;
  int listener = hf_net_listen("127.0.0.1", 0, &error);
  g_assert_no_error(error);
  *a = hf_net_connect("127.0.0.1", hf_net_port(listener), SECONDS_20, &error);
  g_assert_no_error(error);
  *b = hf_net_accept(listener, SECONDS_20, NULL, &error);
  g_assert_no_error(error);
  close(listener);
}

static gpointer run_accept(gpointer data)
{
  Side *side = data;
  int timeout = side->timeout_ms != 0 ? side->timeout_ms : SECONDS_20;
  if (side->either)
    side->channel = hf_tls_accept_either(side->identity, side->token, side->fd, &side->expect, NULL, timeout,
                                         &side->by_token, &side->peer, &side->error);
  else if (side->token != NULL)
    side->channel = hf_tls_accept_token(side->token, side->fd, NULL, timeout, &side->error);
  else
    side->channel = hf_tls_accept(side->identity, side->fd, &side->expect, NULL, timeout, &side->peer, &side->error);
  return NULL;
}

void side_accept(Side *side)
{
  side->thread = g_thread_new("accept", run_accept, side);
}

void side_connect(Side *side)
{
  int timeout = side->timeout_ms != 0 ? side->timeout_ms : SECONDS_20;
  if (side->token != NULL)
    side->channel = hf_tls_connect_token(side->token, side->fd, NULL, timeout, &side->error);
  else
    side->channel = hf_tls_connect(side->identity, side->fd, &side->expect, NULL, timeout, &side->peer, &side->error);
}

void side_join(Side *side)
{
  g_thread_join(g_steal_pointer(&side->thread));
}

void side_clear(Side *side)
{
  if (side->thread != NULL)
    side_join(side);
  g_clear_pointer(&side->channel, hf_channel_free);
  g_clear_pointer(&side->peer, hf_peer_free);
  g_clear_error(&side->error);
}

void tls_pair(HfChannel **client, HfChannel **server)
{
  g_auto(Authority) authority = authority_new("fleet");
  g_auto(Member) source = member_new(&authority, HF_PEER_HOST, UUID_SOURCE, "transport");
  g_auto(Member) keeper = member_new(&authority, HF_PEER_HOST, UUID_KEEPER, "transport");
  g_autoptr(HfTlsIdentity) a = member_identity(&authority, &source);
  g_autoptr(HfTlsIdentity) b = member_identity(&authority, &keeper);
  g_auto(Side) near = { .identity = a, .expect = { .kinds = HF_PEER_HOST, .uuid = UUID_KEEPER, .role = "transport" } };
  g_auto(Side) far = { .identity = b, .expect = { .kinds = HF_PEER_HOST, .uuid = UUID_SOURCE, .role = "transport" } };
  tcp_pair(&near.fd, &far.fd);
  side_accept(&far);
  side_connect(&near);
  side_join(&far);
  g_assert_no_error(near.error);
  g_assert_no_error(far.error);
  *client = g_steal_pointer(&near.channel);
  *server = g_steal_pointer(&far.channel);
}

void assert_error_at(const GError *error, int code, const char *part, const char *file, int line)
{
  if (error == NULL)
    g_error("%s:%d: there is no error", file, line);
  if (!hf_error_is(error, code) || strstr(error->message, part) == NULL)
    g_error("%s:%d: code %d \"%s\", not %d \"...%s...\"", file, line, error->code, error->message, code, part);
}
