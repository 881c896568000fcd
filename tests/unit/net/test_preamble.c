/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The first bytes of a data connection: ticket, answer, and what is neither. */
#include "net/preamble.h"

#include <string.h>

#include "fleet.h"

typedef struct Called {
  HfChannel *channel;
  const GError *refusal;
  guint8 token[32];
  guint16 port;
  GError *error;
} Called;

static gpointer run_called(gpointer data)
{
  Called *called = data;
  if (hf_preamble_read(called->channel, called->token, &called->port, &called->error))
    (void)hf_preamble_answer(called->channel, called->refusal, &called->error);
  return NULL;
}

static gboolean run(const GError *refusal, GError **error)
{
  HfChannel *caller;
  Called called = { .refusal = refusal };
  guint8 token[32];
  memset(token, 7, sizeof token);
  g_assert_true(hf_channel_pair(&caller, &called.channel, NULL));
  GThread *thread = g_thread_new("called", run_called, &called);
  gboolean done = hf_preamble_show(caller, token, 2600, error);
  g_thread_join(thread);
  g_assert_no_error(called.error);
  g_assert_cmpint(memcmp(called.token, token, sizeof token), ==, 0);
  g_assert_cmpuint(called.port, ==, 2600);
  hf_channel_free(caller);
  hf_channel_free(called.channel);
  return done;
}

static void test_answers(void)
{
  GError *error = NULL;
  g_autoptr(GError) refusal = g_error_new_literal(HF_ERROR, HF_ERROR_REFUSED, "the ticket is void; start again");
  g_assert_true(run(NULL, &error));
  g_assert_no_error(error);
  g_assert_false(run(refusal, &error));
  assert_error(error, HF_ERROR_REFUSED, "the ticket is void; start again");
  g_clear_error(&error);
  /* One that is not ours, and very long. */
  g_autofree char *large = g_strnfill(9000, 'x');
  g_autoptr(GError) foreign = g_error_new_literal(G_FILE_ERROR, 1, large);
  g_assert_false(run(foreign, &error));
  assert_error(error, HF_ERROR_FAILED, "xxxx");
  g_clear_error(&error);
}

/* A called side that gets these bytes refuses them. */
static void refuse_caller(const void *bytes, gsize length)
{
  HfChannel *caller;
  Called called = { 0 };
  g_assert_true(hf_channel_pair(&caller, &called.channel, NULL));
  g_assert_true(hf_channel_send(caller, bytes, length, NULL));
  g_assert_true(hf_channel_end(caller, NULL));
  (void)run_called(&called);
  g_assert_nonnull(called.error);
  g_clear_error(&called.error);
  hf_channel_free(caller);
  hf_channel_free(called.channel);
}

/* A caller that gets these bytes as an answer fails: with the code of the error. */
static int refuse_answer(const void *bytes, gsize length)
{
  HfChannel *caller, *called;
  g_autoptr(GError) error = NULL;
  const guint8 token[32] = { 1 };
  g_assert_true(hf_channel_pair(&caller, &called, NULL));
  g_assert_true(hf_channel_send(called, bytes, length, NULL));
  g_assert_true(hf_channel_end(called, NULL));
  g_assert_false(hf_preamble_show(caller, token, 0, &error));
  g_assert_nonnull(error);
  hf_channel_free(caller);
  hf_channel_free(called);
  return error->code;
}

static void test_malformed(void)
{
  static const guint8 zeros[64];
  guint8 answer[64] = { 0xff, 0xff, 0xff, 0xff };
  refuse_caller("HFT1", 4);
  refuse_caller(zeros, 40);
  refuse_answer("", 0);
  refuse_answer(answer, 64);
  const guint8 cut[] = { 9, 0, 0, 0, 1 }, empty[] = { 0, 0, 0, 0 }, odd[] = { 2, 0, 0, 0, 1, 3 };
  const guint8 more[] = { 2, 0, 0, 0, 0, 5 };
  refuse_answer(cut, sizeof cut);
  refuse_answer(empty, sizeof empty);
  refuse_answer(odd, sizeof odd);
  refuse_answer(more, sizeof more);
}

/* An error is one, whatever its code: none is 0, which would be no failure to who looks at codes alone. */
static void test_codes(void)
{
  const guint8 none[] = { 3, 0, 0, 0, 1, 0, 0 }, unknown[] = { 4, 0, 0, 0, 1, 0xe7, 7, 0 };
  const guint8 refused[] = { 3, 0, 0, 0, 1, HF_ERROR_REFUSED, 0 };
  g_assert_cmpint(refuse_answer(none, sizeof none), ==, HF_ERROR_FAILED);
  g_assert_cmpint(refuse_answer(unknown, sizeof unknown), ==, HF_ERROR_FAILED);
  g_assert_cmpint(refuse_answer(refused, sizeof refused), ==, HF_ERROR_REFUSED);
}

/* Bytes as docs/protocol.md has them, both ways. */
static void test_golden(void)
{
  HfChannel *caller, *called;
  guint8 bytes[64], expected[40] = "HFT1";
  const guint8 token[32] = { 1, 2, 3 }, good[] = { 1, 0, 0, 0, 0 };
  const guint8 refused[] = { 5, 0, 0, 0, 1, HF_ERROR_REFUSED, 2, 'n', 'o' };
  g_autoptr(GError) refusal = g_error_new_literal(HF_ERROR, HF_ERROR_REFUSED, "no");
  memcpy(expected + 4, token, sizeof token);
  expected[36] = 2600 & 0xff;
  expected[37] = 2600 >> 8;
  g_assert_true(hf_channel_pair(&caller, &called, NULL));
  g_assert_true(hf_preamble_answer(called, NULL, NULL) && hf_preamble_answer(called, refusal, NULL));
  g_assert_true(hf_preamble_show(caller, token, 2600, NULL));
  g_assert_true(hf_channel_read(called, bytes, sizeof expected, NULL));
  g_assert_cmpmem(bytes, sizeof expected, expected, sizeof expected);
  g_assert_true(hf_channel_read(caller, bytes, sizeof refused, NULL));
  g_assert_cmpmem(bytes, sizeof refused, refused, sizeof refused);
  g_assert_true(hf_preamble_answer(called, NULL, NULL));
  g_assert_true(hf_channel_read(caller, bytes, sizeof good, NULL));
  g_assert_cmpmem(bytes, sizeof good, good, sizeof good);
  hf_channel_free(caller);
  hf_channel_free(called);
}

/* Ticket and what comes after it in one writing. */
static void test_at_once(void)
{
  HfChannel *caller, *called;
  guint8 token[32] = { 9, 8, 7 }, read[32], word[5];
  guint16 port;
  g_autoptr(GByteArray) out = g_byte_array_new();
  hf_preamble_put(out, token, 2601);
  g_byte_array_append(out, (const guint8 *)"hello", 5);
  g_assert_true(hf_channel_pair(&caller, &called, NULL));
  g_assert_true(hf_channel_send(caller, out->data, out->len, NULL));
  g_assert_true(hf_preamble_read(called, read, &port, NULL));
  g_assert_cmpmem(read, sizeof read, token, sizeof token);
  g_assert_cmpuint(port, ==, 2601);
  g_assert_true(hf_preamble_answer(called, NULL, NULL));
  g_assert_true(hf_preamble_hear(caller, NULL));
  g_assert_true(hf_channel_read(called, word, sizeof word, NULL));
  g_assert_cmpmem(word, sizeof word, "hello", 5);
  hf_channel_free(caller);
  hf_channel_free(called);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/net/preamble/codes", test_codes);
  g_test_add_func("/net/preamble/golden", test_golden);
  g_test_add_func("/net/preamble/at-once", test_at_once);
  g_test_add_func("/net/preamble/answers", test_answers);
  g_test_add_func("/net/preamble/malformed", test_malformed);
  return g_test_run();
}
