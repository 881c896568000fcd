/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/control.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"

typedef struct Pair {
  HfControl *a, *b;
} Pair;

static Pair pair_new(void)
{
  int fd = -1;
  g_autoptr(GError) error = NULL;
  Pair pair = { .a = hf_control_new_pair(&fd, &error) };
  g_assert_no_error(error);
  pair.b = hf_control_new(fd);
  return pair;
}

static void pair_free(Pair *pair)
{
  hf_control_free(pair->a);
  hf_control_free(pair->b);
}

static void test_messages(void)
{
  Pair pair = pair_new();
  g_autoptr(GError) error = NULL;
  g_autoptr(HfBody) body = hf_body_new();
  int pipes[2];
  hf_put_text(body, "hello");
  g_assert_cmpint(pipe(pipes), ==, 0);
  g_assert_true(hf_control_send(pair.a, HF_CONTROL_LINE, body, -1, &error));
  g_assert_true(hf_control_send(pair.a, HF_CONTROL_LINK, NULL, pipes[1], &error));
  close(pipes[1]);
  g_autoptr(HfControlMessage) first = hf_control_receive(pair.b, &error), second = hf_control_receive(pair.b, &error);
  HfReader reader = hf_reader(first->body->data, first->body->len);
  g_autofree char *text = hf_get_text(&reader, 100);
  g_assert_cmpint(first->kind, ==, HF_CONTROL_LINE);
  g_assert_cmpint(first->fd, ==, -1);
  g_assert_cmpstr(text, ==, "hello");
  g_assert_cmpuint(second->body->len, ==, 0);
  g_assert_cmpint(second->fd, >=, 0);
  /* It is the pipe. */
  char byte = 0;
  g_assert_cmpint(write(second->fd, "x", 1), ==, 1);
  g_assert_cmpint(read(pipes[0], &byte, 1), ==, 1);
  close(pipes[0]);
  pair_free(&pair);
}

static gpointer send_large(gpointer user)
{
  g_autoptr(HfBody) body = hf_body_new();
  g_byte_array_set_size(body, 2 << 20);
  memset(body->data, 7, body->len);
  hf_control_send(user, HF_CONTROL_TASK, body, -1, NULL);
  return NULL;
}

/* Without waiting, a message comes together in as many steps as it takes. */
static void test_poll(void)
{
  static const guint8 pieces[] = { 3, 0, 0, 0, HF_CONTROL_LINE, 0, 0, 0, 'a', 'b', 'c' };
  Pair pair = pair_new();
  g_autoptr(GError) error = NULL;
  g_autoptr(HfControlMessage) message = NULL;
  for (gsize i = 0; i < sizeof pieces; i++) {
    g_assert_cmpint(hf_control_poll(pair.b, &message, &error), ==, HF_CONTROL_MORE);
    g_assert_cmpint(write(hf_control_fd(pair.a), &pieces[i], 1), ==, 1);
  }
  g_assert_cmpint(hf_control_poll(pair.b, &message, &error), ==, HF_CONTROL_MESSAGE);
  g_assert_cmpmem(message->body->data, (int)message->body->len, "abc", 3);
  g_clear_pointer(&message, hf_control_message_free);
  GThread *thread = g_thread_new("send", send_large, pair.a);
  message = hf_control_receive(pair.b, &error);
  g_assert_cmpuint(message->body->len, ==, 2 << 20);
  g_thread_join(thread);
  g_clear_pointer(&message, hf_control_message_free);
  hf_control_shutdown(pair.a);
  g_assert_cmpint(hf_control_poll(pair.b, &message, &error), ==, HF_CONTROL_END);
  g_assert_no_error(error);
  g_assert_null(hf_control_receive(pair.b, &error));
  g_assert_no_error(error);
  g_assert_false(hf_control_send(pair.b, HF_CONTROL_LINE, NULL, -1, &error));
  g_assert_nonnull(error);
  pair_free(&pair);
}

/* What a face that was taken over could send. */
static void test_nonsense(void)
{
  static const guint8 headers[][8] = { { 0, 0, 0, 0x7f, 1, 0, 0, 0 }, { 0, 0, 0, 0, 1, 2, 0, 0 }, { 0, 0, 0, 0, 1, 0, 1, 0 } };
  for (guint i = 0; i < G_N_ELEMENTS(headers); i++) {
    Pair pair = pair_new();
    g_autoptr(GError) error = NULL;
    HfControlMessage *message = NULL;
    g_assert_cmpint(write(hf_control_fd(pair.a), headers[i], 8), ==, 8);
    g_assert_cmpint(hf_control_poll(pair.b, &message, &error), ==, HF_CONTROL_END);
    g_assert_error(error, HF_ERROR, HF_ERROR_INVALID);
    pair_free(&pair);
  }
  /* A descriptor was announced and did not come; one came that was not. */
  Pair pair = pair_new();
  static const guint8 header[8] = { 0, 0, 0, 0, 3, 1, 0, 0 };
  g_assert_cmpint(write(hf_control_fd(pair.a), header, 8), ==, 8);
  g_autoptr(HfControlMessage) message = hf_control_receive(pair.b, NULL);
  g_assert_cmpint(message->fd, ==, -1);
  pair_free(&pair);
}

static void test_too_long(void)
{
  Pair pair = pair_new();
  g_autoptr(GError) error = NULL;
  g_autoptr(HfBody) body = hf_body_new();
  g_byte_array_set_size(body, HF_CONTROL_BODY_MAX + 1);
  g_assert_false(hf_control_send(pair.a, HF_CONTROL_TASK, body, -1, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_INVALID);
  pair_free(&pair);
}

static void test_errors(void)
{
  g_autoptr(HfBody) body = hf_body_new();
  g_autoptr(GError) in = g_error_new(HF_ERROR, HF_ERROR_BUSY, "busy '%s'", "x"), out = NULL;
  g_autoptr(GError) foreign = g_error_new(G_FILE_ERROR, 3, "strange");
  hf_put_error(body, in);
  hf_put_error(body, NULL);
  hf_put_error(body, foreign);
  HfReader reader = hf_reader(body->data, body->len);
  g_assert_false(hf_get_error(&reader, &out));
  g_assert_error(out, HF_ERROR, HF_ERROR_BUSY);
  g_assert_cmpstr(out->message, ==, "busy 'x'");
  g_clear_error(&out);
  g_assert_true(hf_get_error(&reader, &out));
  g_assert_false(hf_get_error(&reader, &out));
  g_assert_error(out, HF_ERROR, HF_ERROR_FAILED);
  g_clear_error(&out);
  g_assert_false(hf_get_error(&reader, &out));
  g_assert_error(out, HF_ERROR, HF_ERROR_INVALID);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/agent/control/messages", test_messages);
  g_test_add_func("/agent/control/poll", test_poll);
  g_test_add_func("/agent/control/nonsense", test_nonsense);
  g_test_add_func("/agent/control/too-long", test_too_long);
  g_test_add_func("/agent/control/errors", test_errors);
  return g_test_run();
}
