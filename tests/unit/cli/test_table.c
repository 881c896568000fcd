/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <fcntl.h>
#include <pty.h>
#include <string.h>
#include <unistd.h>

#include "capture.h"
#include "cli/output.h"

static const HfColumn columns[] = { { "id", FALSE, FALSE }, { "size", TRUE, FALSE }, { "name", FALSE, TRUE },
                                    { "tags", FALSE, TRUE } };

static HfTable *sample_table(void)
{
  HfTable *table = hf_table_new(columns, G_N_ELEMENTS(columns));
  hf_table_add(table, (const char *[]){ "3f09", "1.5 GiB", "a name that is rather long", "nightly,kept,good" });
  hf_table_add(table, (const char *[]){ "a001", "7 B", "\xe6\x97\xa5\xe6\x9c\xac", NULL });
  return table;
}

static void test_wide(void)
{
  g_autoptr(HfTable) table = sample_table();
  g_autofree char *text = hf_table_format(table, G_MAXSIZE);
  g_assert_cmpstr(text, ==,
                  "id       size  name                        tags\n"
                  "3f09  1.5 GiB  a name that is rather long  nightly,kept,good\n"
                  "a001      7 B  \xe6\x97\xa5\xe6\x9c\xac                        \n");
  hf_table_free(NULL);
}

static void test_narrow(void)
{
  g_autoptr(HfTable) table = sample_table();
  g_autofree char *text = hf_table_format(table, 50);
  g_assert_cmpstr(text, ==,
                  "id       size  name              tags\n"
                  "3f09  1.5 GiB  a name that i...  nightly,kept,good\n"
                  "a001      7 B  \xe6\x97\xa5\xe6\x9c\xac              \n");
  for (gsize width = 31; width < 80; width++) {
    g_autofree char *fitted = hf_table_format(table, width);
    g_auto(GStrv) lines = g_strsplit(fitted, "\n", 0);
    for (guint i = 0; lines[i] != NULL; i++)
      g_assert_cmpuint(hf_text_width(lines[i]), <=, MAX(width, 35));
  }
}

/* A wide character that would be cut in half leaves its column free. */
static void test_cut_wide(void)
{
  static const HfColumn two[] = { { "a", FALSE, TRUE }, { "b", FALSE, FALSE } };
  g_autoptr(HfTable) table = hf_table_new(two, 2);
  const char *days = "\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5";
  hf_table_add(table, (const char *[]){ days, "x" });
  g_autofree char *text = hf_table_format(table, 11);
  g_assert_cmpstr(text, ==, "a         b\n\xe6\x97\xa5\xe6\x97\xa5...   x\n");
}

static void test_hostile_cells(void)
{
  static const HfColumn one[] = { { "n", FALSE, FALSE } };
  g_autoptr(HfTable) table = hf_table_new(one, 1);
  hf_table_add(table, (const char *[]){ "a\n\x1b[31m\xff" });
  g_autofree char *text = hf_table_format(table, G_MAXSIZE);
  g_assert_cmpstr(text, ==, "n\na\\x0a\\x1b[31m\\xff\n");
}

static void test_terminal(void)
{
  int master, slave;
  struct winsize size = { .ws_col = 40, .ws_row = 10 };
  g_assert_cmpint(openpty(&master, &slave, NULL, NULL, &size), ==, 0);
  FILE *stream = fdopen(slave, "w");
  g_assert_cmpuint(hf_terminal_width(stream), ==, 40);
  fclose(stream);
  close(master);
  FILE *null = fopen("/dev/null", "w");
  g_assert_cmpuint(hf_terminal_width(null), ==, G_MAXSIZE);
  fclose(null);
}

static void test_printed(void)
{
  g_autoptr(HfTable) table = sample_table();
  g_autofree char *expected = hf_table_format(table, G_MAXSIZE);
  g_autoptr(Capture) capture = capture_new();
  g_autoptr(HfOutput) text = hf_output_new(capture->stream, HF_OUTPUT_TEXT);
  hf_output_table(text, table);
  g_assert_cmpstr(capture_text(capture), ==, expected);
  g_autoptr(HfOutput) json = hf_output_new(capture->stream, HF_OUTPUT_JSON);
  hf_output_table(json, table);
  g_assert_cmpint(ftell(capture->stream), ==, 0);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/cli/table/wide", test_wide);
  g_test_add_func("/cli/table/narrow", test_narrow);
  g_test_add_func("/cli/table/cut-wide", test_cut_wide);
  g_test_add_func("/cli/table/hostile-cells", test_hostile_cells);
  g_test_add_func("/cli/table/terminal", test_terminal);
  g_test_add_func("/cli/table/printed", test_printed);
  return g_test_run();
}
