/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/error.h"
#include "base/sys.h"
#include "base/sysfault.h"
#include "fixture.h"
#include "source/tree.h"

#define BLOCK 65536u /* more than a block of any file system under test */

/* A file of blocks as `kinds` says: 'd' data, 'h' hole; `rest` bytes of hole at the end. */
static int make_file(const char *kinds, guint rest)
{
  g_autofree guint8 *bytes = g_malloc(BLOCK);
  int fd = open("file", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  off_t at = 0;
  g_assert_cmpint(fd, >=, 0);
  hf_fixture_noise(bytes, BLOCK, 1);
  for (; *kinds != '\0'; kinds++, at += BLOCK)
    if (*kinds == 'd')
      g_assert_cmpint(pwrite(fd, bytes, BLOCK, at), ==, BLOCK);
  g_assert_cmpint(ftruncate(fd, at + rest), ==, 0);
  return fd;
}

/* The runs of [from, end) as text: "d65536 h1 ". */
static char *runs_of(int fd, guint64 from, guint64 end)
{
  GString *text = g_string_new(NULL);
  g_autoptr(GError) error = NULL;
  gboolean hole;
  guint64 length;
  for (; hf_source_next_run(fd, from, end, &hole, &length, &error); from += length) {
    g_assert_cmpuint(length, >, 0);
    g_string_append_printf(text, "%c%" G_GUINT64_FORMAT " ", hole ? 'h' : 'd', length);
  }
  g_assert_no_error(error);
  g_assert_cmpuint(length, ==, 0);
  return g_string_free(text, FALSE);
}

static void test_runs(void)
{
  static const struct { const char *kinds; guint rest; guint64 from, end; const char *expected; } rows[] = {
    { "", 0, 0, 0, "" },
    { "d", 0, 0, BLOCK, "d65536 " },
    { "h", 0, 0, BLOCK, "h65536 " },
    { "", 1, 0, 1, "h1 " },
    { "dh", 5, 0, 2 * BLOCK + 5, "d65536 h65541 " },
    { "hdhhd", 0, 0, 5 * BLOCK, "h65536 d65536 h131072 d65536 " },
    { "hdhhd", 0, 0, BLOCK + 10, "h65536 d10 " },             /* not beyond the end that was asked for */
    { "hdhhd", 0, BLOCK + 4096, 3 * BLOCK, "d61440 h65536 " },
    { "hdhhd", 0, 10, 100, "h90 " },
    { "dd", 0, 0, 9 * BLOCK, "d131072 " },                    /* shorter than it was */
    { "dh", 0, 0, 9 * BLOCK, "d65536 h65536 " },
    { "d", 0, BLOCK, 2 * BLOCK, "" },
    { "d", 0, 5 * BLOCK, 9 * BLOCK, "" },
    { "d", 0, 7, 7, "" },
  };
  for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
    hf_autofd int fd = make_file(rows[i].kinds, rows[i].rest);
    g_autofree char *found = runs_of(fd, rows[i].from, rows[i].end);
    g_assert_cmpstr(found, ==, rows[i].expected);
  }
}

/* The first lseek of a run gives `errnum`; what comes of it. */
static gboolean run_with_fault(int fd, guint nth, int errnum, gboolean *hole, guint64 *length, GError **error)
{
  HfSysFault fault = { .nth = nth, .function = "lseek", .errnum = errnum };
  g_assert_true(hf_sys_fault_install(&fault, NULL));
  gboolean found = hf_source_next_run(fd, 10, 100, hole, length, error);
  g_assert_cmpuint(hf_sys_fault_hits(), ==, 1);
  hf_sys_fault_remove();
  return found;
}

static void test_faults(void)
{
  hf_autofd int data = make_file("d", 0);
  gboolean hole;
  guint64 length;
  g_autoptr(GError) error = NULL;
  /* a file system that knows no holes */
  g_assert_true(run_with_fault(data, 1, EINVAL, &hole, &length, &error));
  g_assert_no_error(error);
  g_assert_false(hole);
  g_assert_cmpuint(length, ==, 90);
  /* it became shorter between the two calls */
  g_assert_false(run_with_fault(data, 2, ENXIO, &hole, &length, &error));
  g_assert_no_error(error);
  g_assert_cmpuint(length, ==, 0);

  hf_autofd int holes = make_file("h", 0);
  const struct { int fd; guint nth; } rows[] = { { data, 1 }, { data, 2 }, { holes, 2 } };
  for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(GError) problem = NULL;
    g_assert_false(run_with_fault(rows[i].fd, rows[i].nth, EIO, &hole, &length, &problem));
    g_assert_error(problem, HF_ERROR, HF_ERROR_IO);
    g_assert_cmpuint(length, ==, 0);
  }
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  hf_scratch_enter();
  g_test_add_func("/runs/kinds", test_runs);
  g_test_add_func("/runs/faults", test_faults);
  int result = g_test_run();
  hf_scratch_leave();
  return result;
}
