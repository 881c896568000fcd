/* SPDX-License-Identifier: GPL-3.0-or-later */
/* TLS between members of a fleet: who is taken, who is refused, and what both sides are told. */
#include "net/tls.h"

#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "crypto/crypto.h"
#include "fleet.h"

#define DAY 86400

/* Both identities and both sides of a connection from a source to a keeper. */
typedef struct Pair {
  Authority authority;
  Member source, keeper;
  HfTlsIdentity *a, *b;
  Side near, far;
} Pair;

static void pair_begin(Pair *pair)
{
  pair->authority = authority_new("fleet");
  pair->source = member_new(&pair->authority, HF_PEER_HOST, UUID_SOURCE, "transport");
  pair->keeper = member_new(&pair->authority, HF_PEER_HOST, UUID_KEEPER, "transport");
  pair->a = member_identity(&pair->authority, &pair->source);
  pair->b = member_identity(&pair->authority, &pair->keeper);
  pair->near = (Side){ .expect = { .kinds = HF_PEER_HOST, .uuid = UUID_KEEPER, .role = "transport" } };
  pair->far = (Side){ .expect = { .kinds = HF_PEER_HOST, .uuid = NULL, .role = "transport" } };
}

static void pair_run(Pair *pair)
{
  pair->near.identity = pair->a;
  pair->far.identity = pair->b;
  tcp_pair(&pair->near.fd, &pair->far.fd);
  side_accept(&pair->far);
  side_connect(&pair->near);
  side_join(&pair->far);
}

static void pair_end(Pair *pair)
{
  side_clear(&pair->near);
  side_clear(&pair->far);
  hf_tls_identity_unref(pair->a);
  hf_tls_identity_unref(pair->b);
  member_clear(&pair->source);
  member_clear(&pair->keeper);
  authority_clear(&pair->authority);
}

/* Another certificate for the source. */
static void pair_source(Pair *pair, const Authority *authority, const HfPkiGrant *grant)
{
  member_clear(&pair->source);
  hf_tls_identity_unref(pair->a);
  pair->source = member_of_grant(authority, grant);
  pair->a = member_identity(authority, &pair->source);
}

static gint64 now(void)
{
  return hf_clock_real_ns() / 1000000000;
}

static void test_good(void)
{
  Pair pair;
  char text[6] = "";
  pair_begin(&pair);
  pair_run(&pair);
  g_assert_no_error(pair.near.error);
  g_assert_no_error(pair.far.error);
  g_assert_cmpstr(pair.near.peer->uuid, ==, UUID_KEEPER);
  g_assert_cmpstr(pair.far.peer->uuid, ==, UUID_SOURCE);
  g_assert_cmpint(pair.far.peer->kind, ==, HF_PEER_HOST);
  g_assert_true(hf_peer_has_role(pair.far.peer, "transport"));
  g_autofree char *print = hf_pki_fingerprint(pair.source.certificate, NULL);
  g_assert_cmpstr(pair.far.peer->fingerprint, ==, print);
  g_autoptr(HfPeer) own = hf_tls_identity_peer(pair.a);
  g_assert_cmpstr(own->serial, ==, pair.far.peer->serial);

  g_assert_true(hf_channel_send(pair.near.channel, "hello", 5, NULL));
  g_assert_true(hf_channel_read(pair.far.channel, text, 5, NULL));
  g_assert_cmpstr(text, ==, "hello");
  HfChannelBytes bytes = hf_channel_bytes(pair.near.channel);
  g_assert_cmpuint(bytes.written, ==, 5);
  g_assert_cmpuint(bytes.wire_written, >, 500);
  g_assert_cmpuint(bytes.wire_read, >, 500);
  HfChannelBytes far = hf_channel_bytes(pair.far.channel);
  g_assert_cmpuint(far.read, ==, 5);
  g_assert_cmpuint(far.wire_read, ==, bytes.wire_written);

  g_assert_true(hf_channel_end(pair.near.channel, NULL));
  g_assert_cmpint(hf_channel_read_some(pair.far.channel, text, 5, NULL), ==, 0);
  g_assert_true(hf_channel_send(pair.far.channel, "back", 4, NULL));
  g_assert_true(hf_channel_read(pair.near.channel, text, 4, NULL));
  pair_end(&pair);
}

static void say_hello(GByteArray *first, gpointer user)
{
  g_byte_array_append(first, user, (guint)strlen(user));
}

/* What is said at once arrives as the first bytes; of who is refused nobody reads it, and the reason comes out. */
static void test_say(void)
{
  Pair pair;
  char text[6] = "", word[] = "hello";
  pair_begin(&pair);
  pair.near.expect.say = say_hello;
  pair.near.expect.user = word;
  pair_run(&pair);
  g_assert_no_error(pair.near.error);
  g_assert_true(hf_channel_send(pair.near.channel, "after", 5, NULL));
  g_assert_true(hf_channel_read(pair.far.channel, text, 5, NULL));
  g_assert_cmpstr(text, ==, "hello");
  g_assert_true(hf_channel_read(pair.far.channel, text, 5, NULL));
  g_assert_cmpstr(text, ==, "after");
  pair_end(&pair);

  pair_begin(&pair);
  pair.near.expect.say = say_hello;
  pair.near.expect.user = word;
  pair.far.expect.uuid = UUID_KEEPER;
  pair_run(&pair);
  assert_error(pair.near.error, HF_ERROR_REFUSED, "expects another host");
  assert_error(pair.far.error, HF_ERROR_REFUSED, UUID_SOURCE);
  pair_end(&pair);
}

static void test_server(void)
{
  Pair pair;
  pair_begin(&pair);
  HfPkiGrant grant = { .kind = HF_PEER_SERVER, .uuid = UUID_SERVER };
  pair_source(&pair, &pair.authority, &grant);
  pair.far.expect = (HfTlsExpect){ .kinds = HF_PEER_SERVER, .uuid = UUID_SERVER };
  pair_run(&pair);
  g_assert_no_error(pair.far.error);
  g_assert_cmpint(pair.far.peer->kind, ==, HF_PEER_SERVER);
  pair_end(&pair);

  /* Roles are asked of hosts only. */
  pair_begin(&pair);
  pair_source(&pair, &pair.authority, &grant);
  pair.far.expect.kinds = HF_PEER_SERVER | HF_PEER_HOST;
  pair_run(&pair);
  g_assert_no_error(pair.far.error);
  pair_end(&pair);
}

/* Runs; the far side must refuse with `far`, and the near side must be told `near`. */
static void refused(Pair *pair, const char *far, const char *near)
{
  pair_run(pair);
  g_assert_null(pair->near.channel);
  g_assert_null(pair->far.channel);
  g_assert_null(pair->far.peer);
  assert_error(pair->far.error, HF_ERROR_REFUSED, far);
  assert_error(pair->near.error, HF_ERROR_REFUSED, near);
  pair_end(pair);
}

static void test_other_authority(void)
{
  Pair pair;
  pair_begin(&pair);
  g_auto(Authority) other = authority_new("fleet");
  HfPkiGrant grant = { .kind = HF_PEER_HOST, .uuid = UUID_SOURCE };
  pair_source(&pair, &other, &grant);
  /* The client sees it first: the far side's certificate is not of its authority. */
  pair_run(&pair);
  assert_error(pair.near.error, HF_ERROR_REFUSED, "issued by another authority");
  assert_error(pair.far.error, HF_ERROR_REFUSED, "belongs to another system");
  pair_end(&pair);

  /* A client that believes both: the far side refuses. */
  pair_begin(&pair);
  pair_source(&pair, &other, &grant);
  HfTlsSettings settings = { pair.source.certificate, pair.source.key, other.certificate, NULL };
  g_autofree char *both = g_strconcat(other.certificate, pair.authority.certificate, NULL);
  settings.ca = both;
  GError *error = NULL;
  g_assert_true(hf_tls_identity_reload(pair.a, &settings, &error));
  g_assert_no_error(error);
  refused(&pair, "issued by another authority", "belongs to another system");
}

static void test_times(void)
{
  Pair pair;
  pair_begin(&pair);
  HfPkiGrant grant = { .kind = HF_PEER_HOST, .uuid = UUID_SOURCE, .not_before = now() - 100 * DAY };
  pair_source(&pair, &pair.authority, &grant);
  refused(&pair, "expired at", "it has expired; check the clocks");

  pair_begin(&pair);
  grant.not_before = now() + DAY;
  pair_source(&pair, &pair.authority, &grant);
  refused(&pair, "valid only from", "see its log");
}

static void test_revoked(void)
{
  Pair pair;
  pair_begin(&pair);
  g_autoptr(HfPeer) source = hf_pki_peer(pair.source.certificate, NULL);
  const char *const revoked[] = { "00", source->serial, NULL };
  hf_tls_identity_set_revoked(pair.b, revoked);
  refused(&pair, "was revoked; enrol", "it was revoked");

  /* The client's own list. */
  pair_begin(&pair);
  g_autoptr(HfPeer) keeper = hf_pki_peer(pair.keeper.certificate, NULL);
  const char *const list[] = { keeper->serial, NULL };
  HfTlsSettings settings = { pair.source.certificate, pair.source.key, pair.authority.certificate, list };
  g_assert_true(hf_tls_identity_reload(pair.a, &settings, NULL));
  pair_run(&pair);
  assert_error(pair.near.error, HF_ERROR_REFUSED, "was revoked; enrol");
  assert_error(pair.far.error, HF_ERROR_REFUSED, "it was revoked");
  pair_end(&pair);
}

static void test_expected(void)
{
  Pair pair;
  pair_begin(&pair);
  pair.far.expect.role = "installer";
  refused(&pair, "does not have the role 'installer'", "expects another host, or another role");

  pair_begin(&pair);
  pair.far.expect.uuid = UUID_SERVER;
  refused(&pair, "not of '" UUID_SERVER "'", "expects another host");

  pair_begin(&pair);
  pair.far.expect.kinds = HF_PEER_SERVER;
  refused(&pair, "but the server is expected", "expects another host");

  pair_begin(&pair);
  pair.near.expect.uuid = UUID_SOURCE;
  pair_run(&pair);
  assert_error(pair.near.error, HF_ERROR_REFUSED, "not of '" UUID_SOURCE "'");
  assert_error(pair.far.error, HF_ERROR_REFUSED, "expects another host");
  pair_end(&pair);
}

/* A certificate of the authority that names nobody. */
static void test_nameless(void)
{
  g_auto(Authority) authority = authority_new("fleet");
  GError *error = NULL;
  HfTlsSettings settings = { authority.certificate, authority.key, authority.certificate, NULL };
  g_assert_null(hf_tls_identity_new(&settings, &error));
  assert_error(error, HF_ERROR_INVALID, "names no host");
  g_clear_error(&error);
}

static void test_identity(void)
{
  g_auto(Authority) authority = authority_new("fleet"), other = authority_new("other");
  g_auto(Member) a = member_new(&authority, HF_PEER_HOST, UUID_SOURCE, NULL);
  g_auto(Member) b = member_new(&authority, HF_PEER_HOST, UUID_KEEPER, NULL);
  GError *error = NULL;
  HfTlsSettings settings = { a.certificate, b.key, authority.certificate, NULL };
  g_assert_null(hf_tls_identity_new(&settings, &error));
  assert_error(error, HF_ERROR_INVALID, "not that of the certificate");
  g_clear_error(&error);
  settings = (HfTlsSettings){ a.certificate, a.key, other.certificate, NULL };
  g_assert_null(hf_tls_identity_new(&settings, &error));
  assert_error(error, HF_ERROR_INVALID, "not issued by");
  g_clear_error(&error);

  /* A reload that fails leaves the old. */
  g_autoptr(HfTlsIdentity) identity = member_identity(&authority, &a);
  g_assert_false(hf_tls_identity_reload(identity, &settings, NULL));
  settings = (HfTlsSettings){ b.certificate, b.key, authority.certificate, NULL };
  g_assert_true(hf_tls_identity_reload(identity, &settings, NULL));
  g_autoptr(HfPeer) own = hf_tls_identity_peer(identity);
  g_assert_cmpstr(own->uuid, ==, UUID_KEEPER);
  HfTlsIdentity *again = hf_tls_identity_ref(identity);
  hf_tls_identity_unref(again);
}

/* ---- Tokens ---- */

static void test_token(void)
{
  g_autofree char *token = hf_tls_token_new(), *other = hf_tls_token_new();
  g_autofree char *small = g_ascii_strdown(token, -1);
  char text[3] = "";
  g_auto(Side) near = { .token = small }, far = { .token = token };
  g_assert_cmpstr(token, !=, other);
  tcp_pair(&near.fd, &far.fd);
  side_accept(&far);
  side_connect(&near);
  side_join(&far);
  g_assert_no_error(near.error);
  g_assert_no_error(far.error);
  g_assert_true(hf_channel_send(far.channel, "ok", 2, NULL));
  g_assert_true(hf_channel_read(near.channel, text, 2, NULL));
  g_assert_cmpstr(text, ==, "ok");
}

static void test_token_wrong(void)
{
  g_autofree char *token = hf_tls_token_new(), *other = hf_tls_token_new();
  g_auto(Side) near = { .token = other }, far = { .token = token };
  tcp_pair(&near.fd, &far.fd);
  side_accept(&far);
  side_connect(&near);
  side_join(&far);
  assert_error(near.error, HF_ERROR_PASSWORD, "make a new token");
  assert_error(far.error, HF_ERROR_PASSWORD, "another enrolment token");
  g_assert_true(hf_tls_error_is_wrong_token(far.error));

  /* What is no token at all. */
  g_auto(Side) third = { .token = "short" };
  int unused;
  tcp_pair(&third.fd, &unused);
  side_connect(&third);
  assert_error(third.error, HF_ERROR_USAGE, "no enrolment token");
  close(unused);
}

/* A side that takes tokens only refuses certificates, and the other way round. */
static void test_token_mixed(void)
{
  Pair pair;
  g_autofree char *token = hf_tls_token_new();
  pair_begin(&pair);
  pair.far.token = token;
  pair_run(&pair);
  g_assert_nonnull(pair.far.error);
  g_assert_nonnull(pair.near.error);
  g_assert_false(hf_tls_error_is_wrong_token(pair.far.error));
  pair_end(&pair);

  pair_begin(&pair);
  pair.near.token = token;
  pair_run(&pair);
  g_assert_nonnull(pair.far.error);
  g_assert_nonnull(pair.near.error);
  g_assert_false(hf_tls_error_is_wrong_token(pair.far.error));
  pair_end(&pair);
}

static void test_either(void)
{
  Pair pair;
  g_autofree char *token = hf_tls_token_new(), *other = hf_tls_token_new();
  /* By certificate. */
  pair_begin(&pair);
  pair.far.token = token;
  pair.far.either = TRUE;
  pair_run(&pair);
  g_assert_no_error(pair.far.error);
  g_assert_no_error(pair.near.error);
  g_assert_false(pair.far.by_token);
  g_assert_cmpstr(pair.far.peer->uuid, ==, UUID_SOURCE);
  pair_end(&pair);
  /* By token. */
  pair_begin(&pair);
  pair.far.token = pair.near.token = token;
  pair.far.either = TRUE;
  pair_run(&pair);
  g_assert_no_error(pair.far.error);
  g_assert_true(pair.far.by_token);
  g_assert_null(pair.far.peer);
  pair_end(&pair);
  /* By a wrong one. */
  pair_begin(&pair);
  pair.far.token = token;
  pair.near.token = other;
  pair.far.either = TRUE;
  pair_run(&pair);
  g_assert_true(hf_tls_error_is_wrong_token(pair.far.error));
  g_assert_nonnull(pair.near.error);
  pair_end(&pair);
  /* Nobody is awaited. */
  pair_begin(&pair);
  pair.near.token = token;
  pair.far.either = TRUE;
  pair_run(&pair);
  g_assert_nonnull(pair.far.error);
  g_assert_false(hf_tls_error_is_wrong_token(pair.far.error));
  g_assert_nonnull(pair.near.error);
  pair_end(&pair);
}

/* ---- Broken connections ---- */

static void test_silent(void)
{
  g_auto(Authority) authority = authority_new("fleet");
  g_auto(Member) member = member_new(&authority, HF_PEER_HOST, UUID_SOURCE, NULL);
  g_autoptr(HfTlsIdentity) identity = member_identity(&authority, &member);
  g_auto(Side) near = { .identity = identity, .expect = { .kinds = HF_PEER_HOST }, .timeout_ms = 50 };
  int silent;
  tcp_pair(&near.fd, &silent);
  side_connect(&near);
  assert_error(near.error, HF_ERROR_IO, "in time");
  close(silent);
}

static void test_garbage(void)
{
  g_auto(Authority) authority = authority_new("fleet");
  g_auto(Member) member = member_new(&authority, HF_PEER_HOST, UUID_SOURCE, NULL);
  g_autoptr(HfTlsIdentity) identity = member_identity(&authority, &member);
  g_auto(Side) far = { .identity = identity, .expect = { .kinds = HF_PEER_HOST } };
  int near;
  tcp_pair(&near, &far.fd);
  g_assert_cmpint(write(near, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 28), ==, 28);
  side_accept(&far);
  side_join(&far);
  assert_error(far.error, HF_ERROR_REFUSED, "handshake");
  close(near);

  /* Closed at once. */
  g_auto(Side) second = { .identity = identity, .expect = { .kinds = HF_PEER_HOST } };
  tcp_pair(&near, &second.fd);
  close(near);
  side_accept(&second);
  side_join(&second);
  g_assert_nonnull(second.error);
}

/* A connection that is cut is told from one that was ended. */
static void test_cut(void)
{
  HfChannel *near, *far;
  char byte;
  GError *error = NULL;
  tls_pair(&near, &far);
  hf_channel_shutdown(near);
  g_assert_cmpint(hf_channel_read_some(far, &byte, 1, &error), ==, -1);
  assert_error(error, HF_ERROR_IO, "cut");
  g_clear_error(&error);
  g_assert_cmpint(hf_channel_read_some(near, &byte, 1, &error), ==, -1);
  assert_error(error, HF_ERROR_CANCELLED, "closed here");
  g_clear_error(&error);
  hf_channel_free(near);
  hf_channel_free(far);
}

/* ---- Bulk, both ways at once ---- */

#define BULK_BYTES (24u << 20)

static gpointer send_bulk(gpointer data)
{
  HfChannel *channel = data;
  g_autofree guint8 *bytes = g_malloc(BULK_BYTES);
  for (guint i = 0; i < BULK_BYTES; i++)
    bytes[i] = (guint8)(i * 7 + (i >> 9));
  /* Odd parts: headers, short pieces, pieces around a record. */
  const gsize cuts[] = { 12, 16384, 1, 16383, 16385, 100000, 5, 300001 };
  for (gsize at = 0, n = 0; at < BULK_BYTES;) {
    struct iovec parts[3];
    int count = 0;
    for (; count < 3 && at < BULK_BYTES; count++, n++) {
      gsize length = MIN(cuts[n % G_N_ELEMENTS(cuts)], BULK_BYTES - at);
      parts[count] = (struct iovec){ bytes + at, length };
      at += length;
    }
    g_assert_true(hf_channel_write(channel, parts, count, NULL));
  }
  return NULL;
}

static void receive_bulk(HfChannel *channel)
{
  g_autofree guint8 *bytes = g_malloc(BULK_BYTES);
  g_assert_true(hf_channel_read(channel, bytes, BULK_BYTES, NULL));
  for (guint i = 0; i < BULK_BYTES; i++) {
    if (bytes[i] != (guint8)(i * 7 + (i >> 9)))
      g_error("byte %u is wrong", i);
  }
}

static gpointer receive_thread(gpointer data)
{
  receive_bulk(data);
  return NULL;
}

static void test_bulk(void)
{
  HfChannel *near, *far;
  tls_pair(&near, &far);
  GThread *a = g_thread_new("a", send_bulk, near), *b = g_thread_new("b", send_bulk, far);
  GThread *c = g_thread_new("c", receive_thread, far);
  receive_bulk(near);
  g_thread_join(a);
  g_thread_join(b);
  g_thread_join(c);
  HfChannelBytes bytes = hf_channel_bytes(near);
  g_assert_cmpuint(bytes.written, ==, BULK_BYTES);
  g_assert_cmpuint(bytes.read, ==, BULK_BYTES);
  g_assert_cmpuint(bytes.wire_read, >, BULK_BYTES);
  g_assert_cmpuint(bytes.wire_read, <, BULK_BYTES + BULK_BYTES / 100);
  hf_channel_free(near);
  hf_channel_free(far);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_assert_true(hf_crypto_init(NULL));
  g_test_add_func("/net/tls/good", test_good);
  g_test_add_func("/net/tls/say", test_say);
  g_test_add_func("/net/tls/server", test_server);
  g_test_add_func("/net/tls/other-authority", test_other_authority);
  g_test_add_func("/net/tls/times", test_times);
  g_test_add_func("/net/tls/revoked", test_revoked);
  g_test_add_func("/net/tls/expected", test_expected);
  g_test_add_func("/net/tls/nameless", test_nameless);
  g_test_add_func("/net/tls/identity", test_identity);
  g_test_add_func("/net/tls/token", test_token);
  g_test_add_func("/net/tls/token-wrong", test_token_wrong);
  g_test_add_func("/net/tls/token-mixed", test_token_mixed);
  g_test_add_func("/net/tls/either", test_either);
  g_test_add_func("/net/tls/silent", test_silent);
  g_test_add_func("/net/tls/garbage", test_garbage);
  g_test_add_func("/net/tls/cut", test_cut);
  g_test_add_func("/net/tls/bulk", test_bulk);
  return g_test_run();
}
