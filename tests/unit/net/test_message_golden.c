/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Every message that parts of Holdfast send each other, as it went over the wire when it was written down. A program
 * of yesterday speaks with one of today by these bytes: where this test fails, a message changed its shape.
 *
 *   test_message_golden FILE [--write]      --write puts down what is, for messages that are new
 *
 * What may change (docs/protocol.md 4): new messages, methods, values of enums; fields at the end of a message, with
 * `since`. What was written down before must then still be taken, which the second test looks at.
 */
#include <string.h>

#include "base/buffer.h"
#include "fleet.h"
#include "messagefill.h"

static const char *golden_path;

static char *encode(const HfMessageKind *kind, gconstpointer message)
{
  GError *error = NULL;
  g_autoptr(GBytes) bytes = hf_message_encode(kind, message, &error);
  g_assert_no_error(error);
  return hf_hex(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
}

static void describe_methods(GString *out, const MessageService *service)
{
  for (guint number = 1; service->method_name != NULL && number <= G_MAXUINT16; number++)
    if (service->method_name(number) != NULL)
      g_string_append_printf(out, "%s method %u: %s\n", service->name, number, service->method_name(number));
}

static char *describe(void)
{
  GString *out = g_string_new(NULL);
  for (const MessageService *service = message_services; service->name != NULL; service++) {
    g_string_append_printf(out, "%s version %u: oldest %u\n", service->name, service->version, service->oldest);
    describe_methods(out, service);
    for (guint i = 0; service->kinds[i] != NULL; i++) {
      const HfMessageKind *kind = service->kinds[i];
      g_autofree gpointer message = g_malloc0(kind->size);
      message_fill(kind, message);
      g_autofree char *hex = encode(kind, message);
      g_string_append_printf(out, "%s: %s\n", kind->name, hex);
      hf_message_clear(kind, message);
    }
  }
  return g_string_free(out, FALSE);
}

static GStrv read_lines(void)
{
  g_autofree char *text = NULL;
  GError *error = NULL;
  g_file_get_contents(golden_path, &text, NULL, &error);
  g_assert_no_error(error);
  return g_strsplit(g_strchomp(text), "\n", -1);
}

/* Line by line, so that the first that differs is named. */
static void test_shape(void)
{
  g_autofree char *text = describe();
  g_auto(GStrv) now = g_strsplit(g_strchomp(text), "\n", -1), then = read_lines();
  g_assert_cmpuint(g_strv_length(then), >, 50);
  for (guint i = 0; now[i] != NULL && then[i] != NULL; i++)
    g_assert_cmpstr(now[i], ==, then[i]);
  g_assert_cmpuint(g_strv_length(now), ==, g_strv_length(then));
}

static const HfMessageKind *find_kind(const char *name)
{
  for (const MessageService *service = message_services; service->name != NULL; service++)
    for (guint i = 0; service->kinds[i] != NULL; i++)
      if (g_str_equal(service->kinds[i]->name, name))
        return service->kinds[i];
  return NULL;
}

/* What was written down is taken, and comes out again as it was: without a bit lost on the way. */
static void test_taken(void)
{
  g_auto(GStrv) lines = read_lines();
  guint taken = 0;
  for (guint i = 0; lines[i] != NULL; i++) {
    if (strstr(lines[i], " message '") == NULL)
      continue;
    g_auto(GStrv) parts = g_strsplit(lines[i], ": ", 2);
    const HfMessageKind *kind = find_kind(parts[0]);
    if (kind == NULL)
      g_error("%s is gone: what an older program sends would not be understood", parts[0]);
    gsize length = strlen(parts[1]) / 2;
    g_autofree guint8 *bytes = g_malloc(length + 1);
    g_autofree gpointer message = g_malloc0(kind->size);
    GError *error = NULL;
    g_assert_true(hf_unhex(parts[1], bytes, length));
    g_assert_true(hf_message_decode(kind, bytes, length, message, &error));
    g_assert_no_error(error);
    g_autofree char *again = encode(kind, message);
    g_assert_true(g_str_has_prefix(again, parts[1]));
    hf_message_clear(kind, message);
    taken++;
  }
  g_assert_cmpuint(taken, >, 50);
  g_test_message("%u messages", taken);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  if (argc < 2) {
    g_printerr("usage: %s FILE [--write]\n", argv[0]);
    return 2;
  }
  golden_path = argv[1];
  if (argc == 3 && g_str_equal(argv[2], "--write")) {
    g_autofree char *text = describe();
    return g_file_set_contents(golden_path, text, -1, NULL) ? 0 : 1;
  }
  g_test_add_func("/net/message-golden/shape", test_shape);
  g_test_add_func("/net/message-golden/taken", test_taken);
  return g_test_run();
}
