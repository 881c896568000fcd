/* SPDX-License-Identifier: GPL-3.0-or-later */
/* OpenSSL as an independent peer, at both ends: what it may and what it may not. And tokens that are played back. */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buffer.h"
#include "crypto/crypto.h"
#include "fleet.h"
#include "net/connect.h"

static char *folder;
static Authority authority;
static Member keeper, source;
static HfTlsIdentity *identity;

static char *save(const char *name, const char *text)
{
  char *path = g_build_filename(folder, name, NULL);
  g_assert_true(g_file_set_contents(path, text, -1, NULL));
  return path;
}

/* A running openssl; `in` feeds it. */
typedef struct Openssl {
  GPid pid;
  int in, out;
} Openssl;

static void openssl_start(Openssl *openssl, const char *command)
{
  g_auto(GStrv) arguments = NULL;
  GError *error = NULL;
  g_assert_true(g_shell_parse_argv(command, NULL, &arguments, NULL));
  g_assert_true(g_spawn_async_with_pipes(folder, arguments, NULL,
                                         G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDERR_TO_DEV_NULL,
                                         NULL, NULL, &openssl->pid, &openssl->in, &openssl->out, NULL, &error));
  g_assert_no_error(error);
}

static void openssl_stop(Openssl *openssl)
{
  close(openssl->in);
  close(openssl->out);
  (void)kill(openssl->pid, SIGTERM);
  g_assert_cmpint(waitpid(openssl->pid, NULL, 0), ==, openssl->pid);
}

static void feed(Openssl *openssl, const char *text, gsize length)
{
  g_assert_cmpint(write(openssl->in, text, length), ==, (gssize)length);
}

/* Accepts from `openssl s_client` with these options. */
static HfChannel *accept_client(Openssl *openssl, const char *options, const char *token, GError **error)
{
  int listener = hf_net_listen("127.0.0.1", 0, NULL);
  g_autofree char *command = g_strdup_printf("openssl s_client -quiet -no_ign_eof -connect 127.0.0.1:%u %s",
                                             hf_net_port(listener), options);
  openssl_start(openssl, command);
  int fd = hf_net_accept(listener, 20000, NULL, error);
  close(listener);
  g_assert_cmpint(fd, >=, 0);
  HfTlsExpect expect = { .kinds = HF_PEER_HOST, .uuid = UUID_SOURCE, .role = "transport" };
  if (token != NULL)
    return hf_tls_accept_token(token, fd, "openssl", 20000, error);
  return hf_tls_accept(identity, fd, &expect, "openssl", 20000, NULL, error);
}

#define CERTIFIED "-CAfile ca.pem -verify_return_error -cert source.pem -key source.key -alpn holdfast/1"

static void test_client(void)
{
  Openssl openssl;
  GError *error = NULL;
  char text[8] = "";
  HfChannel *channel = accept_client(&openssl, "-tls1_3 " CERTIFIED, NULL, &error);
  g_assert_no_error(error);
  feed(&openssl, "hello\n", 6);
  g_assert_true(hf_channel_read(channel, text, 6, &error));
  g_assert_cmpstr(text, ==, "hello\n");
  /* The byte that says it was checked, then what we send. */
  g_assert_true(hf_channel_send(channel, "back", 4, &error));
  char got[5];
  for (gsize at = 0; at < sizeof got;) {
    gssize some = read(openssl.out, got + at, sizeof got - at);
    g_assert_cmpint(some, >, 0);
    at += (gsize)some;
  }
  g_assert_cmpmem(got, 5, "\1back", 5);
  hf_channel_free(channel);
  openssl_stop(&openssl);
}

/* New keys while both directions are in use. */
static void test_key_update(void)
{
  Openssl openssl;
  GError *error = NULL;
  char text[8] = "";
  HfChannel *channel = accept_client(&openssl, "-tls1_3 " CERTIFIED, NULL, &error);
  g_assert_no_error(error);
  hf_channel_set_deadline(channel, 20000);
  for (guint i = 0; i < 5; i++) {
    feed(&openssl, "hello\n", 6);
    g_assert_true(hf_channel_read(channel, text, 6, &error));
    /* "K" at the start of a line: an update of both sides' keys. */
    feed(&openssl, "K\n", 2);
    struct pollfd entry = { .fd = hf_channel_fd(channel), .events = POLLIN };
    g_assert_cmpint(poll(&entry, 1, 20000), ==, 1); /* it has come: what follows is data again */
    feed(&openssl, "again\n", 6);
    g_assert_true(hf_channel_read(channel, text, 6, &error));
    g_assert_cmpstr(text, ==, "again\n");
    g_assert_true(hf_channel_send(channel, "back\n", 5, &error));
  }
  hf_channel_free(channel);
  openssl_stop(&openssl);
}

static void refuse_client(const char *options, const char *part)
{
  Openssl openssl;
  GError *error = NULL;
  g_assert_null(accept_client(&openssl, options, NULL, &error));
  assert_error(error, HF_ERROR_REFUSED, part);
  g_clear_error(&error);
  openssl_stop(&openssl);
}

static void test_client_refused(void)
{
  refuse_client("-tls1_2 " CERTIFIED, "does not speak TLS 1.3");
  refuse_client("-tls1_1 -cipher ALL:@SECLEVEL=0 " CERTIFIED, "does not speak TLS 1.3");
  refuse_client("-tls1_3 -CAfile ca.pem -alpn holdfast/1", "without a certificate");
  refuse_client("-tls1_3 -CAfile ca.pem -cert source.pem -key source.key", "does not speak the protocol");
  refuse_client("-tls1_3 -CAfile ca.pem -cert source.pem -key source.key -alpn h2", "handshake");
  refuse_client("-tls1_3 -CAfile ca.pem -cert alone.pem -key alone.key -alpn holdfast/1", "another authority");
  refuse_client("-tls1_3 -CAfile ca.pem -cert child.pem -key child.key -cert_chain source.pem -alpn holdfast/1",
                "is refused");
}

static char *token_hex(const char *token)
{
  g_autoptr(GString) text = g_string_new(token);
  guint8 bytes[64] = "holdfast enrolment key", digest[32];
  (void)g_string_replace(text, "-", "", 0);
  memcpy(bytes + 23, text->str, 32);
  hf_sha256(bytes, 55, digest);
  return hf_hex(digest, sizeof digest);
}

static void test_token(void)
{
  Openssl openssl;
  GError *error = NULL;
  char text[8] = "";
  g_autofree char *token = hf_tls_token_new(), *other = hf_tls_token_new();
  g_autofree char *right = token_hex(token), *wrong = token_hex(other);
  g_autofree char *good = g_strdup_printf("-tls1_3 -alpn holdfast/1 -psk_identity holdfast-enrolment-1 -psk %s", right);
  g_autofree char *bad = g_strdup_printf("-tls1_3 -alpn holdfast/1 -psk_identity holdfast-enrolment-1 -psk %s", wrong);
  g_autofree char *name = g_strdup_printf("-tls1_3 -alpn holdfast/1 -psk_identity somebody -psk %s", right);
  HfChannel *channel = accept_client(&openssl, good, token, &error);
  g_assert_no_error(error);
  feed(&openssl, "hello\n", 6);
  g_assert_true(hf_channel_read(channel, text, 6, &error));
  g_assert_cmpstr(text, ==, "hello\n");
  hf_channel_free(channel);
  openssl_stop(&openssl);

  g_assert_null(accept_client(&openssl, bad, token, &error));
  assert_error(error, HF_ERROR_PASSWORD, "another enrolment token");
  g_clear_error(&error);
  openssl_stop(&openssl);
  g_assert_null(accept_client(&openssl, name, token, &error));
  assert_error(error, HF_ERROR_PASSWORD, "another enrolment token");
  g_clear_error(&error);
  openssl_stop(&openssl);
  g_assert_null(accept_client(&openssl, "-tls1_3 " CERTIFIED, token, &error));
  assert_error(error, HF_ERROR_REFUSED, "");
  g_clear_error(&error);
  openssl_stop(&openssl);
}

/* Connects to `openssl s_server` with these options. */
static HfChannel *connect_server(Openssl *openssl, const char *options, GError **error)
{
  GString *line = g_string_new(NULL);
  g_autofree char *command = g_strdup_printf("openssl s_server -accept 127.0.0.1:0 %s", options);
  char letter;
  openssl_start(openssl, command);
  while (strstr(line->str, "ACCEPT 127.0.0.1:") == NULL || line->str[line->len - 1] != '\n') {
    g_assert_cmpint(read(openssl->out, &letter, 1), ==, 1);
    g_string_append_c(line, letter);
  }
  guint16 port = (guint16)atoi(strstr(line->str, "127.0.0.1:") + 10);
  g_string_free(line, TRUE);
  feed(openssl, "\1hello\n", 7);
  int fd = hf_net_connect("127.0.0.1", port, 20000, error);
  g_assert_cmpint(fd, >=, 0);
  HfTlsExpect expect = { .kinds = HF_PEER_HOST, .uuid = UUID_SOURCE, .role = "transport" };
  return hf_tls_connect(identity, fd, &expect, "openssl", 5000, NULL, error);
}

static void test_server(void)
{
  Openssl openssl;
  GError *error = NULL;
  char text[8] = "";
  const char *good = "-tls1_3 -CAfile ca.pem -Verify 2 -verify_return_error -cert source.pem -key source.key "
                     "-alpn holdfast/1";
  HfChannel *channel = connect_server(&openssl, good, &error);
  g_assert_no_error(error);
  g_assert_true(hf_channel_read(channel, text, 6, &error));
  g_assert_cmpstr(text, ==, "hello\n");
  hf_channel_free(channel);
  openssl_stop(&openssl);

  const struct {
    const char *options, *part;
  } wrong[] = {
    { "-tls1_2 -CAfile ca.pem -Verify 2 -cert source.pem -key source.key -alpn holdfast/1", "does not speak TLS 1.3" },
    { "-tls1_3 -CAfile ca.pem -Verify 2 -cert source.pem -key source.key", "does not speak the protocol" },
    { "-tls1_3 -CAfile ca.pem -Verify 2 -cert alone.pem -key alone.key -alpn holdfast/1", "another authority" },
    { "-tls1_3 -CAfile alone.pem -Verify 2 -verify_return_error -cert source.pem -key source.key -alpn holdfast/1",
      "refuses this side" },
  };
  for (guint i = 0; i < G_N_ELEMENTS(wrong); i++) {
    g_assert_null(connect_server(&openssl, wrong[i].options, &error));
    assert_error(error, HF_ERROR_REFUSED, wrong[i].part);
    g_clear_error(&error);
    openssl_stop(&openssl);
  }
}

/* ---- What a good side sent, sent again to another handshake with the same token ---- */

typedef struct Tap {
  int from, to;
  GByteArray *bytes;
} Tap;

static gpointer run_tap(gpointer data)
{
  Tap *tap = data;
  guint8 some[4096];
  HfChannel *from = hf_channel_new(dup(tap->from), "from"), *to = hf_channel_new(dup(tap->to), "to");
  gssize got;
  while ((got = hf_channel_read_some(from, some, sizeof some, NULL)) > 0) {
    g_byte_array_append(tap->bytes, some, (guint)got);
    if (!hf_channel_send(to, some, (gsize)got, NULL))
      break;
  }
  (void)shutdown(tap->to, SHUT_RDWR);
  hf_channel_free(from);
  hf_channel_free(to);
  return NULL;
}

static void test_replay(void)
{
  g_autofree char *token = hf_tls_token_new();
  g_auto(Side) near = { .token = token }, far = { .token = token };
  int a, b;
  tcp_pair(&near.fd, &a);
  tcp_pair(&b, &far.fd);
  Tap there = { a, b, g_byte_array_new() }, back = { b, a, g_byte_array_new() };
  GThread *one = g_thread_new("there", run_tap, &there), *two = g_thread_new("back", run_tap, &back);
  side_accept(&far);
  side_connect(&near);
  side_join(&far);
  g_assert_no_error(near.error);
  g_assert_no_error(far.error);
  g_assert_true(hf_channel_send(near.channel, "enrol me", 8, NULL));
  char text[9] = "";
  g_assert_true(hf_channel_read(far.channel, text, 8, NULL));
  hf_channel_shutdown(near.channel);
  hf_channel_shutdown(far.channel);
  g_thread_join(one);
  g_thread_join(two);
  close(a);
  close(b);

  g_auto(Side) again = { .token = token, .timeout_ms = 3000 };
  int raw;
  tcp_pair(&raw, &again.fd);
  g_autoptr(HfChannel) replay = hf_channel_new(raw, "replay");
  side_accept(&again);
  g_assert_true(hf_channel_send(replay, there.bytes->data, there.bytes->len, NULL));
  side_join(&again);
  g_assert_null(again.channel);
  g_assert_nonnull(again.error);
  g_byte_array_unref(there.bytes);
  g_byte_array_unref(back.bytes);
}

static void save_members(void)
{
  HfPkiGrant grant = { .kind = HF_PEER_HOST, .uuid = UUID_SOURCE };
  g_auto(Authority) other = authority_new("other");
  g_auto(Member) alone = member_of_grant(&other, &grant);
  /* Issued by a host: hosts are no authorities. */
  Authority host = { source.certificate, source.key };
  g_auto(Member) child = member_of_grant(&host, &grant);
  const struct {
    const char *name, *text;
  } files[] = {
    { "ca.pem", authority.certificate }, { "source.pem", source.certificate }, { "source.key", source.key },
    { "alone.pem", alone.certificate },  { "alone.key", alone.key },           { "child.pem", child.certificate },
    { "child.key", child.key },
  };
  for (guint i = 0; i < G_N_ELEMENTS(files); i++)
    g_free(save(files[i].name, files[i].text));
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_assert_true(hf_crypto_init(NULL));
  (void)signal(SIGPIPE, SIG_IGN);
  folder = g_dir_make_tmp("holdfast-tls-XXXXXX", NULL);
  authority = authority_new("fleet");
  keeper = member_new(&authority, HF_PEER_HOST, UUID_KEEPER, "transport");
  source = member_new(&authority, HF_PEER_HOST, UUID_SOURCE, "transport");
  identity = member_identity(&authority, &keeper);
  save_members();
  g_test_add_func("/net/openssl/client", test_client);
  g_test_add_func("/net/openssl/key-update", test_key_update);
  g_test_add_func("/net/openssl/client-refused", test_client_refused);
  g_test_add_func("/net/openssl/token", test_token);
  g_test_add_func("/net/openssl/server", test_server);
  g_test_add_func("/net/openssl/replay", test_replay);
  int result = g_test_run();
  hf_tls_identity_unref(identity);
  member_clear(&keeper);
  member_clear(&source);
  authority_clear(&authority);
  char *arguments[] = { (char *)"rm", (char *)"-rf", (char *)"--", folder, NULL };
  (void)g_spawn_sync(NULL, arguments, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL);
  g_free(folder);
  return result;
}
