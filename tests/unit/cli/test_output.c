/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/output.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "capture.h"

static void test_modes(void)
{
  static const HfOutputMode modes[] = { HF_OUTPUT_TEXT, HF_OUTPUT_QUIET, HF_OUTPUT_JSON };
  static const char *const expected[] = { "7 points\n1 note\nbytes", "7 points\nbytes",
                                          "{\"n\":7}\n{\"k\":\"v\"}\nbytes" };
  for (gsize i = 0; i < G_N_ELEMENTS(modes); i++) {
    g_autoptr(Capture) capture = capture_new();
    g_autoptr(HfOutput) output = hf_output_new(capture->stream, modes[i]);
    g_assert_true(hf_output_is_json(output) == (modes[i] == HF_OUTPUT_JSON));
    hf_output_text(output, "%d points\n", 7);
    hf_output_note(output, "%d note\n", 1);
    hf_output_document(output, json_pack("{s:i}", "n", 7));
    hf_line_begin(output);
    hf_line_text(output, "k", "v");
    hf_line_end(output);
    hf_output_bytes(output, "bytes", 5);
    g_assert_true(hf_output_finish(output, NULL));
    g_assert_cmpstr(capture_text(capture), ==, expected[i]);
  }
  hf_output_free(NULL);
}

static void test_line(void)
{
  static const char *const tags[] = { "a", "b\xff", NULL };
  static const char *const none[] = { NULL };
  g_autoptr(Capture) capture = capture_new();
  g_autoptr(HfOutput) output = hf_output_new(capture->stream, HF_OUTPUT_JSON);
  for (int round = 0; round < 2; round++) {
    hf_line_begin(output);
    hf_line_text(output, "text", "q\" b\\ n\n \x01 \xc3\xa4");
    hf_line_text(output, "absent", NULL);
    hf_line_name(output, "gone", NULL);
    hf_line_number(output, "most", G_MAXUINT64);
    hf_line_real(output, "real", 1.5);
    hf_line_flag(output, "yes", TRUE);
    hf_line_flag(output, "no", FALSE);
    hf_line_time(output, "time", G_GINT64_CONSTANT(1500000000000000001));
    hf_line_list(output, "tags", tags);
    hf_line_list(output, "none", none);
    hf_line_end(output);
    g_assert_cmpstr(capture_text(capture), ==,
                    "{\"text\":\"q\\\" b\\\\ n\\u000a \\u0001 \xc3\xa4\",\"most\":18446744073709551615,\"real\":1.500,"
                    "\"yes\":true,\"no\":false,\"time\":\"2017-07-14T02:40:00.000000001Z\","
                    "\"tags\":[\"a\",\"b\xef\xbf\xbd\"],\"none\":[]}\n");
  }
}

/* Names and messages come from other machines: none of them speaks to the terminal. */
static void test_terminal(void)
{
  g_autoptr(Capture) capture = capture_new();
  g_autoptr(HfOutput) output = hf_output_new(capture->stream, HF_OUTPUT_TEXT);
  hf_output_text(output, "a\t'%s'\n", "x\x1b]0;owned\x07y");
  hf_output_note(output, "b '%s'\n", "\xc2\x9b" "2J\xe2\x80\xae\x7f\xff");
  g_assert_cmpstr(capture_text(capture), ==,
                  "a\t'x\\x1b]0;owned\\x07y'\nb '\\xc2\\x9b2J\\xe2\\x80\\xae\\x7f\\xff'\n");
  g_autoptr(Capture) second = capture_new();
  g_autoptr(HfOutput) json = hf_output_new(second->stream, HF_OUTPUT_JSON);
  hf_line_begin(json);
  hf_line_text(json, "k", "\x1b\x7f\xc2\x9b");
  hf_line_end(json);
  hf_output_document(json, json_pack("{s:s}", "k", "\x1b\x7f\xc2\x9b\xc3\xa4"));
  g_assert_cmpstr(capture_text(second), ==,
                  "{\"k\":\"\\u001b\\u007f\\u009b\"}\n{\"k\":\"\\u001B\\u007f\\u009b\xc3\xa4\"}\n");
}

/* The rule for names: lossy text, and the true bytes only where text loses some. */
static void test_names(void)
{
  static const char *const names[] = { "plain", "\xc3\xa4\xe2\x82\xac", "bad\xff\xfename", "\xc3" };
  static const gboolean valid[] = { TRUE, TRUE, FALSE, FALSE };
  for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
    g_autoptr(Capture) capture = capture_new();
    g_autoptr(HfOutput) output = hf_output_new(capture->stream, HF_OUTPUT_JSON);
    hf_line_begin(output);
    hf_line_name(output, "path", names[i]);
    hf_line_end(output);
    json_t *document = json_object();
    hf_json_set_name(document, "path", names[i]);
    json_t *line = json_loads(capture_text(capture), 0, NULL);
    g_assert_nonnull(line);
    g_assert_true(json_equal(line, document));
    json_t *bytes = json_object_get(line, "path_bytes");
    g_assert_true((bytes == NULL) == valid[i]);
    if (valid[i]) {
      g_assert_cmpstr(json_string_value(json_object_get(line, "path")), ==, names[i]);
    } else {
      gsize length;
      g_autofree guchar *decoded = g_base64_decode(json_string_value(bytes), &length);
      g_assert_cmpmem(decoded, (int)length, names[i], (int)strlen(names[i]));
    }
    json_decref(line);
    json_decref(document);
  }
}

static void test_full(void)
{
  g_autoptr(GError) error = NULL;
  FILE *full = fopen("/dev/full", "w");
  g_autoptr(HfOutput) output = hf_output_new(full, HF_OUTPUT_TEXT);
  hf_output_text(output, "hello\n");
  g_assert_true(hf_output_check(output, NULL));
  g_assert_false(hf_output_finish(output, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_NO_SPACE);
  g_assert_false(hf_output_reader_gone(output));
  /* The failure sticks. */
  hf_output_text(output, "again\n");
  g_assert_false(hf_output_check(output, NULL));
  fclose(full);
}

static void test_reader_gone(void)
{
  g_autoptr(GError) error = NULL;
  int ends[2];
  signal(SIGPIPE, SIG_IGN);
  g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
  close(ends[0]);
  FILE *stream = fdopen(ends[1], "w");
  setvbuf(stream, NULL, _IONBF, 0);
  g_autoptr(HfOutput) output = hf_output_new(stream, HF_OUTPUT_TEXT);
  hf_output_text(output, "hello\n");
  g_assert_false(hf_output_check(output, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_CANCELLED);
  g_assert_true(hf_output_reader_gone(output));
  fclose(stream);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/cli/output/modes", test_modes);
  g_test_add_func("/cli/output/line", test_line);
  g_test_add_func("/cli/output/terminal", test_terminal);
  g_test_add_func("/cli/output/names", test_names);
  g_test_add_func("/cli/output/full", test_full);
  g_test_add_func("/cli/output/reader-gone", test_reader_gone);
  return g_test_run();
}
