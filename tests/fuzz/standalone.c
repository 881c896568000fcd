/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Runs a fuzz target without libFuzzer: all files of a corpus, then mutations of them, the same each time for a seed.
 *
 *   fuzz_NAME CORPUS [--mutations N] [--seed S] [--only K]
 *
 * Mutation number K depends on the corpus, the seed and K alone: --only K runs it again by itself. Prints TAP.
 */
#include <glib.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LONGEST (64u << 10)
#define MOST_STEPS 6

static gint64 mutations = 10000, seed = 1, only = -1;
static const GOptionEntry options[] = {
  { "mutations", 0, 0, G_OPTION_ARG_INT64, &mutations, "how many mutations to run", "N" },
  { "seed", 0, 0, G_OPTION_ARG_INT64, &seed, "what they are drawn from", "S" },
  { "only", 0, 0, G_OPTION_ARG_INT64, &only, "run just this mutation", "K" },
  { NULL, 0, 0, 0, NULL, NULL, NULL },
};

/* What runs now, for who reads the report of a crash: a file of the corpus, or the number of a mutation. */
static const char *running_file;
static volatile gint64 running = -1;

static void say(const char *text)
{
  if (write(STDERR_FILENO, text, strlen(text)) < 0)
    _exit(1);
}

/* Only calls that a signal handler may use. */
static void tell(int number)
{
  char digits[24], *at = digits + sizeof digits - 1;
  *at = '\0';
  gint64 value = running;
  if (value < 0) {
    say("# died with the file ");
    say(running_file != NULL ? running_file : "(none)");
  } else {
    do
      *--at = (char)('0' + value % 10);
    while ((value /= 10) > 0);
    say("# died with mutation ");
    say(at);
  }
  say("\n");
  signal(number, SIG_DFL);
  raise(number);
}

/* splitmix64: any seed is as good as another. */
static guint64 draw(guint64 *state)
{
  guint64 z = *state += G_GUINT64_CONSTANT(0x9e3779b97f4a7c15);
  z = (z ^ z >> 30) * G_GUINT64_CONSTANT(0xbf58476d1ce4e5b9);
  z = (z ^ z >> 27) * G_GUINT64_CONSTANT(0x94d049bb133111eb);
  return z ^ z >> 31;
}

static gsize draw_below(guint64 *state, gsize limit)
{
  return (gsize)(draw(state) % limit);
}

/* A copy of exactly this length, so that a sanitizer sees one byte too much. */
static void run(const guint8 *bytes, gsize length)
{
  guint8 *copy = malloc(length);
  if (copy == NULL)
    abort();
  memcpy(copy, bytes, length);
  LLVMFuzzerTestOneInput(copy, length);
  free(copy);
}

static void insert(GByteArray *bytes, gsize at, const guint8 *what, gsize length)
{
  if (bytes->len + length > LONGEST)
    return;
  g_byte_array_set_size(bytes, bytes->len + (guint)length);
  memmove(bytes->data + at + length, bytes->data + at, bytes->len - length - at);
  memcpy(bytes->data + at, what, length);
}

static void overwrite(GByteArray *bytes, guint64 *state)
{
  static const guint8 edges[] = { 0x00, 0x01, 0x7f, 0x80, 0xff };
  gsize at = draw_below(state, bytes->len), length = 1 + draw_below(state, MIN(8, bytes->len - at));
  memset(bytes->data + at, edges[draw_below(state, sizeof edges)], length);
}

/* Puts a part of `other` somewhere. */
static void splice(GByteArray *bytes, GBytes *other, guint64 *state)
{
  gsize length;
  const guint8 *data = g_bytes_get_data(other, &length);
  if (length == 0)
    return;
  gsize from = draw_below(state, length), part = 1 + draw_below(state, length - from);
  insert(bytes, draw_below(state, bytes->len + (gsize)1), data + from, part);
}

static void mutate(GByteArray *bytes, const GPtrArray *corpus, guint64 *state)
{
  if (bytes->len == 0) {
    splice(bytes, g_ptr_array_index(corpus, draw_below(state, corpus->len)), state);
    return;
  }
  gsize at = draw_below(state, bytes->len), rest = bytes->len - at;
  guint8 byte = (guint8)draw(state);
  switch (draw_below(state, 8)) {
  case 0:
    bytes->data[at] ^= (guint8)(1u << (byte & 7));
    break;
  case 1:
    bytes->data[at] = byte;
    break;
  case 2:
    bytes->data[at] = (guint8)(bytes->data[at] + (byte & 1 ? 1 : -1));
    break;
  case 3:
    overwrite(bytes, state);
    break;
  case 4:
    insert(bytes, at, &byte, 1);
    break;
  case 5:
    g_byte_array_remove_range(bytes, (guint)at, (guint)(1 + draw_below(state, MIN(rest, 16))));
    break;
  case 6:
    splice(bytes, g_ptr_array_index(corpus, draw_below(state, corpus->len)), state);
    break;
  default:
    if (byte < 32)
      g_byte_array_set_size(bytes, (guint)at);
    else
      bytes->data[at] = (guint8)(byte & 1 ? bytes->data[at] << 1 : bytes->data[at] >> 1);
  }
}

static void run_mutation(const GPtrArray *corpus, gint64 number)
{
  guint64 state = (guint64)seed;
  state = draw(&state) ^ (guint64)number;
  GBytes *start = g_ptr_array_index(corpus, draw_below(&state, corpus->len));
  g_autoptr(GByteArray) bytes = g_byte_array_new();
  g_byte_array_append(bytes, g_bytes_get_data(start, NULL), (guint)g_bytes_get_size(start));
  for (gsize steps = 1 + draw_below(&state, MOST_STEPS); steps > 0; steps--)
    mutate(bytes, corpus, &state);
  running = number;
  run(bytes->data, bytes->len);
}

static int by_name(gconstpointer a, gconstpointer b)
{
  return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The files of `folder`, by name, so that mutations are the same everywhere. */
static GPtrArray *read_corpus(const char *folder, GPtrArray *names)
{
  GPtrArray *corpus = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
  g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
  for (const char *name; dir != NULL && (name = g_dir_read_name(dir)) != NULL;)
    g_ptr_array_add(names, g_build_filename(folder, name, NULL));
  g_ptr_array_sort(names, by_name);
  for (guint i = 0; i < names->len; i++) {
    char *contents;
    gsize length;
    if (g_file_get_contents(g_ptr_array_index(names, i), &contents, &length, NULL))
      g_ptr_array_add(corpus, g_bytes_new_take(contents, length));
  }
  return corpus;
}

static void run_corpus(const GPtrArray *corpus, const GPtrArray *names)
{
  for (guint i = 0; i < corpus->len; i++) {
    GBytes *bytes = g_ptr_array_index(corpus, i);
    running_file = g_ptr_array_index(names, i);
    run(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
  }
  run((const guint8 *)"", 0);
}

int main(int argc, char **argv)
{
  g_autoptr(GOptionContext) context = g_option_context_new("CORPUS");
  g_option_context_add_main_entries(context, options, NULL);
  if (!g_option_context_parse(context, &argc, &argv, NULL) || argc != 2) {
    g_printerr("usage: %s CORPUS [--mutations N] [--seed S] [--only K]\n", argv[0]);
    return 2;
  }
  g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
  g_autoptr(GPtrArray) corpus = read_corpus(argv[1], names);
  if (corpus->len == 0 || corpus->len != names->len) {
    g_printerr("%s: no corpus in '%s', or a file of it cannot be read\n", argv[0], argv[1]);
    return 1;
  }
  signal(SIGABRT, tell);
  signal(SIGSEGV, tell);
  signal(SIGBUS, tell);
  if (only >= 0) {
    run_mutation(corpus, only);
    return 0;
  }
  g_print("1..2\n");
  run_corpus(corpus, names);
  g_print("ok 1 - %u files of the corpus\n", corpus->len);
  for (gint64 i = 0; i < mutations; i++)
    run_mutation(corpus, i);
  g_print("ok 2 - %" G_GINT64_FORMAT " mutations, seed %" G_GINT64_FORMAT "\n", mutations, seed);
  return 0;
}
