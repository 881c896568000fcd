/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Certificates: what is issued, what is refused, signatures, tokens. test_openssl.c asks another program. */
#include "net/pki.h"

#include <string.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "crypto/crypto.h"
#include "fleet.h"

#define DAY 86400

static gint64 now(void)
{
  return hf_clock_real_ns() / 1000000000;
}

static void test_issue(void)
{
  g_auto(Authority) authority = authority_new("The Fleet");
  const char *const roles[] = { "transport", "installer", NULL };
  const char *const names[] = { "backup.example.org", "192.0.2.7", "2001:db8::7", NULL };
  HfPkiGrant grant = { .kind = HF_PEER_HOST, .uuid = UUID_SOURCE, .name = "web-1", .roles = roles, .names = names };
  g_auto(Member) member = member_of_grant(&authority, &grant);
  GError *error = NULL;
  g_autoptr(HfPeer) peer = hf_pki_peer(member.certificate, &error);
  g_assert_no_error(error);
  g_assert_cmpint(peer->kind, ==, HF_PEER_HOST);
  g_assert_cmpstr(peer->uuid, ==, UUID_SOURCE);
  g_assert_cmpstr(peer->name, ==, "web-1");
  g_assert_true(hf_peer_has_role(peer, "transport"));
  g_assert_true(hf_peer_has_role(peer, "installer"));
  g_assert_false(hf_peer_has_role(peer, "mount"));
  g_assert_cmpuint(strlen(peer->serial), ==, 32);
  g_assert_cmpuint(strlen(peer->fingerprint), ==, 64);
  g_assert_cmpint(peer->not_after - peer->not_before, ==, HF_PKI_DAYS * DAY);
  g_assert_cmpint(peer->not_before, <=, now());
  g_autoptr(HfPeer) copy = hf_peer_copy(peer);
  g_assert_cmpstr(copy->serial, ==, peer->serial);
  g_assert_cmpstr(copy->roles[1], ==, "installer");

  g_assert_false(hf_pki_renew_due(peer, now()));
  g_assert_false(hf_pki_renew_due(peer, now() + 59 * DAY));
  g_assert_true(hf_pki_renew_due(peer, now() + 60 * DAY));
  g_assert_true(hf_pki_check(member.certificate, member.key, authority.certificate, now(), &error));
  g_assert_false(hf_pki_check(member.certificate, NULL, authority.certificate, now() + 91 * DAY, &error));
  assert_error(error, HF_ERROR_INVALID, "expired");
  g_clear_error(&error);
  g_assert_false(hf_pki_check(member.certificate, NULL, authority.certificate, now() - DAY, &error));
  assert_error(error, HF_ERROR_INVALID, "not valid yet");
  g_clear_error(&error);
  g_assert_false(hf_pki_check(member.certificate, authority.key, authority.certificate, now(), &error));
  assert_error(error, HF_ERROR_INVALID, "not that of the certificate");
  g_clear_error(&error);
  g_assert_false(hf_pki_check(member.certificate, "no key", authority.certificate, now(), &error));
  assert_error(error, HF_ERROR_INVALID, "cannot read a private key");
  g_clear_error(&error);
  g_assert_false(hf_pki_check(member.certificate, NULL, "no authority", now(), &error));
  assert_error(error, HF_ERROR_INVALID, "authority's certificate");
  g_clear_error(&error);

  /* Serials differ. */
  g_auto(Member) second = member_of_grant(&authority, &grant);
  g_autoptr(HfPeer) other = hf_pki_peer(second.certificate, &error);
  g_assert_cmpstr(other->serial, !=, peer->serial);
}

static void refuse_grant(const HfPkiGrant *grant, const char *part)
{
  g_auto(Authority) authority = authority_new("fleet");
  g_autofree char *request = NULL, *key = NULL;
  GError *error = NULL;
  g_assert_true(hf_pki_new_request("x", &request, &key, NULL));
  g_assert_null(hf_pki_issue(authority.certificate, authority.key, request, grant, &error));
  assert_error(error, HF_ERROR_USAGE, part);
  g_clear_error(&error);
  hf_pki_key_free(g_steal_pointer(&key));
}

static void test_grants(void)
{
  const char *const bad[] = { "Transport", NULL }, *const good[] = { "transport", NULL };
  refuse_grant(&(HfPkiGrant){ .uuid = UUID_SOURCE }, "for a host or for a server");
  refuse_grant(&(HfPkiGrant){ .kind = HF_PEER_HOST }, "'' is no id");
  refuse_grant(&(HfPkiGrant){ .kind = HF_PEER_HOST, .uuid = "x" }, "'x' is no id");
  refuse_grant(&(HfPkiGrant){ .kind = HF_PEER_HOST, .uuid = "ABCDEF00-0000-4000-8000-000000000001" }, "is no id");
  refuse_grant(&(HfPkiGrant){ .kind = HF_PEER_HOST, .uuid = UUID_SOURCE, .roles = bad }, "'Transport' is no role");
  refuse_grant(&(HfPkiGrant){ .kind = HF_PEER_SERVER, .uuid = UUID_SOURCE, .roles = good }, "is no role");
}

static void test_requests(void)
{
  g_auto(Authority) authority = authority_new("fleet");
  HfPkiGrant grant = { .kind = HF_PEER_HOST, .uuid = UUID_SOURCE };
  g_autofree char *request = NULL;
  g_autoptr(HfPkiKey) key = NULL;
  GError *error = NULL;
  g_assert_true(hf_pki_new_request("x", &request, &key, NULL));
  g_assert_null(hf_pki_issue(authority.certificate, authority.key, "nothing", &grant, &error));
  assert_error(error, HF_ERROR_INVALID, "request is malformed");
  g_clear_error(&error);
  g_assert_null(hf_pki_issue("nothing", authority.key, request, &grant, &error));
  assert_error(error, HF_ERROR_INVALID, "authority's certificate");
  g_clear_error(&error);
  g_assert_null(hf_pki_issue(authority.certificate, "nothing", request, &grant, &error));
  assert_error(error, HF_ERROR_INVALID, "authority's key");
  g_clear_error(&error);

  /* A request that was changed: the signature of its own key no longer holds. */
  gsize length;
  char *begin = strstr(request, "-----\n") + 6, *end = strstr(begin, "-----END");
  g_autofree char *text = g_strndup(begin, (gsize)(end - begin));
  g_autofree guchar *der = g_base64_decode(text, &length);
  der[40] ^= 1;
  g_autofree char *changed = g_base64_encode(der, length);
  g_autofree char *pem = g_strdup_printf("-----BEGIN NEW CERTIFICATE REQUEST-----\n%s\n"
                                         "-----END NEW CERTIFICATE REQUEST-----\n", changed);
  g_assert_null(hf_pki_issue(authority.certificate, authority.key, pem, &grant, &error));
  assert_error(error, HF_ERROR_INVALID, "request is malformed");
  g_clear_error(&error);
  g_assert_null(hf_pki_peer("nothing", &error));
  assert_error(error, HF_ERROR_INVALID, "cannot read a certificate");
  g_clear_error(&error);
  g_assert_null(hf_pki_fingerprint("nothing", NULL));
  hf_pki_key_free(NULL);
  hf_peer_free(NULL);
}

static void test_signatures(void)
{
  g_auto(Authority) authority = authority_new("fleet"), other = authority_new("other");
  g_auto(Member) server = member_new(&authority, HF_PEER_SERVER, UUID_SERVER, NULL);
  g_auto(Member) host = member_new(&authority, HF_PEER_HOST, UUID_SOURCE, NULL);
  GError *error = NULL;
  g_autoptr(HfPeer) who = NULL;
  g_autoptr(GBytes) signature = hf_pki_sign(server.key, "order 1", "bytes", 5, &error);
  g_assert_no_error(error);
  g_assert_true(hf_pki_verify(server.certificate, authority.certificate, now(), "order 1", "bytes", 5, signature, &who,
                              &error));
  g_assert_cmpstr(who->uuid, ==, UUID_SERVER);
  g_assert_true(hf_pki_verify(server.certificate, authority.certificate, 0, "order 1", "bytes", 5, signature, NULL,
                              &error));

  const struct {
    const char *certificate, *ca, *label, *bytes;
    gint64 at;
    const char *part;
  } wrong[] = {
    { server.certificate, authority.certificate, "order 2", "bytes", 0, "over these bytes" },
    { server.certificate, authority.certificate, "order 1", "bytez", 0, "over these bytes" },
    { server.certificate, authority.certificate, "order 1", "bytes", now() + 100 * DAY, "expired" },
    { server.certificate, other.certificate, "order 1", "bytes", 0, "not issued by" },
    { host.certificate, authority.certificate, "order 1", "bytes", 0, "is not the server" },
    { authority.certificate, authority.certificate, "order 1", "bytes", 0, "names no host" },
    { "nothing", authority.certificate, "order 1", "bytes", 0, "cannot read" },
  };
  for (guint i = 0; i < G_N_ELEMENTS(wrong); i++) {
    g_assert_false(hf_pki_verify(wrong[i].certificate, wrong[i].ca, wrong[i].at, wrong[i].label, wrong[i].bytes, 5,
                                 signature, NULL, &error));
    assert_error(error, HF_ERROR_REFUSED, wrong[i].part);
    g_clear_error(&error);
  }
  g_autoptr(GBytes) empty = g_bytes_new(NULL, 0);
  g_assert_false(hf_pki_verify(server.certificate, authority.certificate, 0, "order 1", "bytes", 5, empty, NULL, NULL));
  g_assert_null(hf_pki_sign("nothing", "order 1", "", 0, &error));
  assert_error(error, HF_ERROR_INVALID, "key to sign with");
  g_clear_error(&error);
}

static void test_tokens(void)
{
  g_autofree char *token = hf_tls_token_new();
  g_autofree char *name = hf_tls_token_name(token), *none = hf_tls_token_name("x");
  g_assert_cmpuint(strlen(token), ==, 39);
  g_assert_true(hf_tls_token_valid(token));
  g_assert_cmpuint(strlen(name), ==, 16);
  g_assert_cmpstr(none, ==, "");
  g_assert_false(hf_tls_token_valid(""));
  g_assert_false(hf_tls_token_valid("AAAA"));
  g_assert_false(hf_tls_token_valid("AAAA-AAAA-AAAA-AAAA-AAAA-AAAA-AAAA-AAA1"));
  g_assert_true(hf_tls_token_valid("aaaa aaaa aaaa aaaa aaaa aaaa aaaa aaa2"));
  g_assert_false(hf_tls_token_valid("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
  hf_tls_token_free(g_steal_pointer(&token));
  hf_tls_token_free(NULL);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_assert_true(hf_crypto_init(NULL));
  g_test_add_func("/net/pki/issue", test_issue);
  g_test_add_func("/net/pki/grants", test_grants);
  g_test_add_func("/net/pki/requests", test_requests);
  g_test_add_func("/net/pki/signatures", test_signatures);
  g_test_add_func("/net/pki/tokens", test_tokens);
  return g_test_run();
}
