/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fixture.h"

#include <glib/gstdio.h>
#include <string.h>

#include "base/error.h"

void fixture_open(Fixture *fixture)
{
  g_autoptr(GError) error = NULL;
  fixture->folder = g_dir_make_tmp("holdfast-local-XXXXXX", &error);
  g_assert_no_error(error);
  fixture->path = g_build_filename(fixture->folder, "store", NULL);
  fixture->store = hf_local_open(fixture->path, TRUE, &error);
  g_assert_no_error(error);
}

void remove_tree(const char *path)
{
  g_autoptr(GDir) dir = g_file_test(path, G_FILE_TEST_IS_SYMLINK) ? NULL : g_dir_open(path, 0, NULL);
  const char *name;
  while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
    g_autofree char *below = g_build_filename(path, name, NULL);
    remove_tree(below);
  }
  g_assert_cmpint(g_remove(path), ==, 0);
}

void fixture_close(Fixture *fixture)
{
  hf_store_free(fixture->store);
  remove_tree(fixture->folder);
  g_free(fixture->folder);
  g_free(fixture->path);
}

char *fixture_path(Fixture *fixture, const char *name)
{
  return g_build_filename(fixture->path, name, NULL);
}

static void collect(GPtrArray *names, const char *path, const char *shown)
{
  g_autoptr(GDir) dir = g_file_test(path, G_FILE_TEST_IS_SYMLINK) ? NULL : g_dir_open(path, 0, NULL);
  const char *name;
  while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
    g_autofree char *below = g_build_filename(path, name, NULL);
    char *below_shown = *shown == '\0' ? g_strdup(name) : g_build_filename(shown, name, NULL);
    g_ptr_array_add(names, below_shown);
    collect(names, below, below_shown);
  }
}

static gint compare(gconstpointer a, gconstpointer b)
{
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

char *fixture_tree(Fixture *fixture)
{
  g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
  collect(names, fixture->path, "");
  g_ptr_array_sort(names, compare);
  g_ptr_array_add(names, NULL);
  return g_strjoinv(" ", (char **)names->pdata);
}

void put_text(HfStore *store, const char *name, const char *text)
{
  g_autoptr(GError) error = NULL;
  hf_store_put(store, name, text, strlen(text), &error);
  g_assert_no_error(error);
}

void expect_text(HfStore *store, const char *name, const char *text)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GBytes) bytes = hf_store_get_all(store, name, 1 << 20, &error);
  g_assert_no_error(error);
  g_autoptr(GBytes) expected = g_bytes_new(text, strlen(text));
  g_assert_true(g_bytes_equal(bytes, expected));
}

void expect_get_fails(HfStore *store, const char *name, int code)
{
  g_autoptr(GError) error = NULL;
  char byte;
  g_assert_false(hf_store_get(store, name, 0, &byte, 1, &error));
  g_assert_error(error, HF_ERROR, code);
}
