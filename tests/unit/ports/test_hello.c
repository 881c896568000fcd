/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ports/live/hello.h"

#include <string.h>

#include "ports/catalogue/catalogue.h"

#define SAYS(literal) (const guint8 *)(literal), sizeof(literal) - 1

/* An answer of each, as real servers give it. */
static const struct {
  const char *application;
  guint transport;
  const guint8 *answer;
  gsize length;
} answers[] = {
  { "ssh", HF_PORT_TCP, SAYS("SSH-2.0-OpenSSH_9.2p1\r\n") },
  { "smtp", HF_PORT_TCP, SAYS("220 mail ESMTP\r\n") },
  { "submission", HF_PORT_TCP, SAYS("220-mail\r\n") },
  { "ftp", HF_PORT_TCP, SAYS("220 ready\r\n") },
  { "http", HF_PORT_TCP, SAYS("HTTP/1.1 400 Bad Request\r\n") },
  { "postgresql", HF_PORT_TCP, SAYS("S") },
  { "postgresql", HF_PORT_TCP, SAYS("N") },
  { "postgresql", HF_PORT_TCP, SAYS("E\0\0\0\x40unsupported") },
  { "ldap", HF_PORT_TCP, SAYS("\x30\x0c\2\1\1\x61\7\x0a\1\0\4\0\4\0") },
  { "ldap", HF_PORT_TCP, SAYS("\x30\x84\0\0\0\x10\2\1\1\x61\x84\0\0\0\7\x0a\1\0\4\0\4\0") },
  { "global-catalog", HF_PORT_TCP, SAYS("\x30\x0c\2\1\1\x61\7\x0a\1\x31\4\0\4\0") },
  { "smb", HF_PORT_TCP, SAYS("\0\0\0\xf8\xfeSMB\x40\0") },
  { "smb", HF_PORT_TCP, SAYS("\0\0\0\x55\xffSMB\x72\0") },
  { "iscsi", HF_PORT_TCP, SAYS("\x23\x87\0\0") },
  { "ndmp", HF_PORT_TCP, SAYS("\x80\0\0\x24\0\0\0\1\x65\0\0\0\0\0\0\0\0\0\5\2\0\0\0\0") },
  { "rdp", HF_PORT_TCP, SAYS("\3\0\0\x13\x0e\xd0\0\0\x12\x34\0\2\0\x08\0\2\0\0\0") },
  { "mssql", HF_PORT_TCP, SAYS("\4\1\0\x30\0\0\1\0") },
  { "mssql-browser", HF_PORT_UDP, SAYS("\5\x10\0ServerName") },
  { "dns", HF_PORT_UDP, SAYS("hf\x80\5\0\1\0\0\0\0\0\0") },
  { "dns", HF_PORT_TCP, SAYS("\0\x11hf\x80\5\0\1\0\0\0\0\0\0") },
  { "nfs", HF_PORT_UDP, SAYS("hold\0\0\0\1\0\0\0\0") },
  { "nfs", HF_PORT_TCP, SAYS("\x80\0\0\x18hold\0\0\0\1\0\0\0\0") },
  { "portmap", HF_PORT_TCP, SAYS("\x80\0\0\x18hold\0\0\0\1\0\0\0\1") },
  { "mountd", HF_PORT_UDP, SAYS("hold\0\0\0\1\0\0\0\0") },
  { "statd", HF_PORT_UDP, SAYS("hold\0\0\0\1\0\0\0\0") },
  { "lockd", HF_PORT_TCP, SAYS("\x80\0\0\x18hold\0\0\0\1\0\0\0\0") },
};

/* Cut anywhere, a right answer is never wrong: more is asked for. */
static void test_right(void)
{
  for (guint i = 0; i < G_N_ELEMENTS(answers); i++) {
    const HfHello *hello = hf_hello_find(answers[i].application, answers[i].transport);
    g_assert_nonnull(hello);
    g_assert_cmpstr(hello->application, ==, answers[i].application);
    g_assert_cmpint(hello->judge(answers[i].answer, answers[i].length), ==, HF_HELLO_RIGHT);
    for (gsize length = 0; answers[i].transport == HF_PORT_TCP && length < answers[i].length; length++)
      g_assert_cmpint(hello->judge(answers[i].answer, length), !=, HF_HELLO_WRONG);
    if (answers[i].transport == HF_PORT_TCP)
      g_assert_cmpint(hello->judge(answers[i].answer, 0), ==, HF_HELLO_MORE);
  }
}

/* What one says, no other takes for its own, but for those that greet alike. */
static void test_wrong(void)
{
  static const char *const alike[] = { "smtp submission ftp", "ldap global-catalog",
                                       "nfs portmap mountd statd lockd", NULL };
  for (guint i = 0; i < G_N_ELEMENTS(answers); i++)
    for (guint j = 0; j < G_N_ELEMENTS(answers); j++) {
      gboolean same = g_str_equal(answers[i].application, answers[j].application);
      for (guint k = 0; alike[k] != NULL; k++)
        same = same || (strstr(alike[k], answers[i].application) != NULL &&
                        strstr(alike[k], answers[j].application) != NULL);
      if (same || answers[i].transport != answers[j].transport)
        continue;
      const HfHello *hello = hf_hello_find(answers[i].application, answers[i].transport);
      g_assert_cmpint(hello->judge(answers[j].answer, answers[j].length), !=, HF_HELLO_RIGHT);
    }
}

static void test_time(void)
{
  guint8 answer[48] = { 0x24 };
  const HfHello *hello = hf_hello_find("ntp", HF_PORT_UDP);
  g_assert_cmpuint(hello->length, ==, 48);
  g_assert_cmpint(hello->judge(answer, sizeof answer), ==, HF_HELLO_RIGHT);
  g_assert_cmpint(hello->judge(answer, 47), ==, HF_HELLO_WRONG);
  answer[0] = 0x23;
  g_assert_cmpint(hello->judge(answer, sizeof answer), ==, HF_HELLO_WRONG);
}

/* Lengths that stand in the hellos themselves. */
static void test_lengths(void)
{
  const HfHello *smb = hf_hello_find("smb", HF_PORT_TCP), *iscsi = hf_hello_find("iscsi", HF_PORT_TCP);
  const HfHello *ldap = hf_hello_find("ldap", HF_PORT_TCP), *rdp = hf_hello_find("rdp", HF_PORT_TCP);
  const HfHello *mssql = hf_hello_find("mssql", HF_PORT_TCP), *dns = hf_hello_find("dns", HF_PORT_TCP);
  const HfHello *nfs = hf_hello_find("nfs", HF_PORT_TCP), *database = hf_hello_find("postgresql", HF_PORT_TCP);
  g_assert_cmpuint(smb->bytes[3] + 4u, ==, smb->length);
  g_assert_cmpuint(48u + (iscsi->bytes[7] + 3u) / 4 * 4, ==, iscsi->length);
  g_assert_cmpuint(ldap->bytes[1] + 2u, ==, ldap->length);
  g_assert_cmpuint(rdp->bytes[3], ==, rdp->length);
  g_assert_cmpuint(mssql->bytes[3], ==, mssql->length);
  g_assert_cmpuint(dns->bytes[1] + 2u, ==, dns->length);
  g_assert_cmpuint(nfs->bytes[3] + 4u, ==, nfs->length);
  g_assert_cmpuint(hf_hello_find("nfs", HF_PORT_UDP)->length + 4, ==, nfs->length);
  g_assert_cmpuint(database->bytes[3], ==, database->length);
}

static void test_unknown(void)
{
  g_assert_null(hf_hello_find("holdfast", HF_PORT_TCP));
  g_assert_null(hf_hello_find("", HF_PORT_TCP));
  g_assert_null(hf_hello_find(NULL, HF_PORT_TCP));
  g_assert_null(hf_hello_find("ssh", HF_PORT_UDP));
  g_assert_true(hf_hello_find("https", HF_PORT_TCP)->tls);
}

/* Any bytes are judged without harm; each judgement sees memory of just its length, for the sanitizer. */
static void test_any_bytes(void)
{
  g_autoptr(GRand) rand = g_rand_new_with_seed(7);
  for (guint i = 0; i < G_N_ELEMENTS(answers); i++) {
    const HfHello *hello = hf_hello_find(answers[i].application, answers[i].transport);
    for (guint round = 0; round < 3000; round++) {
      gsize length = (gsize)g_rand_int_range(rand, 0, 64);
      g_autofree guint8 *bytes = g_malloc(MAX(length, 1));
      for (gsize j = 0; j < length; j++)
        bytes[j] = (guint8)g_rand_int(rand);
      if (length > 0 && round % 2 == 0)
        memcpy(bytes, answers[i].answer, MIN(length, answers[i].length / 2));
      HfHelloVerdict verdict = hello->judge(bytes, length);
      g_assert_true(verdict == HF_HELLO_MORE || verdict == HF_HELLO_RIGHT || verdict == HF_HELLO_WRONG);
    }
  }
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/hello/right", test_right);
  g_test_add_func("/hello/wrong", test_wrong);
  g_test_add_func("/hello/time", test_time);
  g_test_add_func("/hello/lengths", test_lengths);
  g_test_add_func("/hello/unknown", test_unknown);
  g_test_add_func("/hello/any-bytes", test_any_bytes);
  return g_test_run();
}
