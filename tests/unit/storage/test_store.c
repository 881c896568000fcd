/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "storage/store.h"

#include <string.h>

#include "base/error.h"
#include "memstore.h"

static void test_names(void)
{
  static const char *const good[] = { "a", "0", "-", "_", "a.", "a..b", "a/b", "config.0", "data/00/0f1e", "x/y/z.w" };
  static const char *const bad[] = { "", "/", "/a", "a/", "a//b", ".", "..", ".a", "a/.", "a/.b", "a/../b", "A", "a b",
                                     "a:b", "a\\b", "a\n", "\xff", "a*" };
  for (gsize i = 0; i < G_N_ELEMENTS(good); i++)
    g_assert_true(hf_store_name_valid(good[i]));
  for (gsize i = 0; i < G_N_ELEMENTS(bad); i++)
    g_assert_false(hf_store_name_valid(bad[i]));
  g_autofree char *longest = g_strnfill(200, 'a'), *longer = g_strnfill(201, 'a');
  g_assert_true(hf_store_name_valid(longest));
  g_assert_false(hf_store_name_valid(longer));
}

static void test_name_keeps(void)
{
  g_assert_true(hf_store_name_keeps("config.0"));
  g_assert_true(hf_store_name_keeps("data/00/sessions"));
  g_assert_true(hf_store_name_keeps("sessions"));
  g_assert_false(hf_store_name_keeps("sessions/a/outcome"));
  g_assert_false(hf_store_name_keeps("leases/b"));
}

/* ---- Opening. ---- */

static char *opened;

static HfStore *open_here(const char *where, gboolean create, GError **error)
{
  g_free(opened);
  opened = g_strdup_printf("%s%s", where, create ? "+" : "");
  hf_fail(error, HF_ERROR_BUSY, "not here");
  return NULL;
}

static void expect_opened(const char *location, gboolean create, const char *expected)
{
  g_autoptr(GError) error = NULL;
  g_clear_pointer(&opened, g_free);
  g_assert_null(hf_store_open(location, create, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_BUSY);
  g_assert_cmpstr(opened, ==, expected);
}

static void test_open(void)
{
  g_autoptr(GError) error = NULL;
  g_assert_null(hf_store_open("/srv/backup", FALSE, &error)); /* nothing is registered as "file" yet */
  g_assert_error(error, HF_ERROR, HF_ERROR_USAGE);
  hf_store_register("file", open_here);
  hf_store_register("test", open_here);
  expect_opened("/srv/backup", FALSE, "/srv/backup");
  expect_opened("backup", TRUE, "backup+");
  expect_opened("./a:b", FALSE, "./a:b");
  expect_opened("dir/test:b", FALSE, "dir/test:b");
  expect_opened("test:bucket/path:x", TRUE, "bucket/path:x+");
  g_clear_error(&error);
  g_assert_null(hf_store_open("gopher:x", FALSE, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_USAGE);
  g_assert_nonnull(strstr(error->message, "'gopher'"));
  g_clear_pointer(&opened, g_free);
}

static void test_location(void)
{
  hf_store_register("twice", open_here);
  hf_store_register("twice", open_here); /* replaced, not added: or the table would be full soon */
  for (int i = 0; i < 40; i++)
    mem_register();
  g_autoptr(HfStore) store = mem_open("place");
  g_assert_cmpstr(store->location, ==, "mem:place");
}

static void test_too_many_drivers(void)
{
  if (g_test_subprocess()) {
    for (int i = 0; i < 40; i++)
      hf_store_register(g_strdup_printf("s%d", i), open_here);
    return;
  }
  g_test_trap_subprocess(NULL, 0, 0);
  g_test_trap_assert_failed();
  g_test_trap_assert_stderr("*storage drivers*");
}

static void test_free_nothing(void)
{
  hf_store_free(NULL);
  hf_put_free(NULL);
}

/* ---- Puts. ---- */

static gboolean write_text(HfPut *put, const char *text, GError **error)
{
  struct iovec vector[3] = { { (char *)text, 1 }, { NULL, 0 }, { (char *)text + 1, strlen(text) - 1 } };
  return hf_put_write(put, vector, 3, error);
}

static void test_put(void)
{
  g_autoptr(HfStore) store = mem_open("put");
  g_autoptr(GError) error = NULL;
  g_autoptr(HfPut) put = hf_put_begin(store, "a/b", &error);
  g_assert_no_error(error);
  g_assert_cmpstr(put->name, ==, "a/b");
  g_assert_true(write_text(put, "hello ", &error));
  g_assert_true(hf_put_write(put, NULL, 0, &error));
  g_assert_true(write_text(put, "world", &error));
  g_assert_cmpuint(put->length, ==, 11);
  char back[11];
  g_assert_true(hf_put_read(put, 0, back, 11, &error));
  g_assert_cmpmem(back, 11, "hello world", 11);
  g_assert_true(hf_put_read(put, 11, back, 0, &error));
  g_assert_true(hf_put_commit(put, &error));
  g_assert_no_error(error);
  /* Done is done. */
  g_assert_false(write_text(put, "more", &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_FAILED);
  g_clear_error(&error);
  g_assert_false(hf_put_commit(put, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_FAILED);
  g_clear_error(&error);
  g_autoptr(GBytes) bytes = hf_store_get_all(store, "a/b", 11, &error);
  g_assert_cmpuint(g_bytes_get_size(bytes), ==, 11);
  g_assert_cmpmem(g_bytes_get_data(bytes, NULL), 11, "hello world", 11);
}

static void test_put_read_range(void)
{
  g_autoptr(HfStore) store = mem_open("put");
  g_autoptr(HfPut) put = hf_put_begin(store, "a", NULL);
  g_assert_true(write_text(put, "hello", NULL));
  static const struct {
    guint64 offset;
    gsize length;
  } wrong[] = { { 0, 6 }, { 5, 1 }, { 6, 0 }, { G_MAXUINT64, 2 }, { 1, G_MAXSIZE } };
  for (gsize i = 0; i < G_N_ELEMENTS(wrong); i++) {
    g_autoptr(GError) error = NULL;
    char back[8];
    g_assert_false(hf_put_read(put, wrong[i].offset, back, wrong[i].length, &error));
    g_assert_error(error, HF_ERROR, HF_ERROR_FAILED);
  }
  g_assert_true(hf_put_commit(put, NULL)); /* such a failure changes nothing */
}

static void test_put_exists(void)
{
  g_autoptr(HfStore) store = mem_open("put");
  g_autoptr(GError) error = NULL;
  char back[3];
  g_assert_true(hf_store_put(store, "a", "one", 3, &error));
  g_assert_false(hf_store_put(store, "a", "two", 3, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_EXISTS);
  g_clear_error(&error);
  g_autoptr(HfPut) put = hf_put_begin(store, "a", &error);
  g_assert_true(write_text(put, "two", &error));
  g_assert_false(hf_put_commit(put, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_EXISTS);
  g_clear_error(&error);
  g_assert_true(hf_put_read(put, 0, back, 3, &error));
  g_assert_cmpmem(back, 3, "two", 3);
  g_assert_true(hf_store_remove(store, "a", &error));
  g_assert_true(hf_put_commit(put, &error)); /* may be tried again */
}

/* After a commit that failed for another cause the put is of no use. */
static void test_put_broken(void)
{
  g_autoptr(HfStore) store = mem_open("put");
  g_autoptr(GError) error = NULL;
  g_autofree char *much = g_malloc0(3 << 20);
  struct iovec vector = { much, 3 << 20 };
  char back;
  mem_lie(store, MEM_LOSES_LARGE);
  g_autoptr(HfPut) put = hf_put_begin(store, "a", &error);
  g_assert_true(hf_put_write(put, &vector, 1, &error));
  g_assert_false(hf_put_commit(put, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_NO_SPACE);
  g_clear_error(&error);
  g_assert_false(hf_put_commit(put, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_FAILED);
  g_clear_error(&error);
  g_assert_false(hf_put_read(put, 0, &back, 1, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_FAILED);
}

/* ---- Names and ranges never reach a driver when they are wrong. ---- */

static gboolean never(const char *name G_GNUC_UNUSED, guint64 size G_GNUC_UNUSED, gpointer user G_GNUC_UNUSED,
                      GError **error G_GNUC_UNUSED)
{
  g_assert_not_reached();
}

static void test_bad_names(void)
{
  g_autoptr(HfStore) store = mem_open("names");
  g_autoptr(GError) error = NULL;
  char byte;
  guint64 size;
  g_assert_null(hf_put_begin(store, "A\n", &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_INVALID);
  g_assert_nonnull(strstr(error->message, "'A\\n'"));
  g_clear_error(&error);
  g_assert_false(hf_store_get(store, "../x", 0, &byte, 1, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_INVALID);
  g_clear_error(&error);
  g_assert_false(hf_store_size(store, "../x", &size, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_INVALID);
  g_clear_error(&error);
  g_assert_false(hf_store_remove(store, "../x", &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_INVALID);
  static const char *const prefixes[] = { "a", "/", "../", "a//", "A/", "a/b" };
  for (gsize i = 0; i < G_N_ELEMENTS(prefixes); i++) {
    g_clear_error(&error);
    g_assert_false(hf_store_list(store, prefixes[i], never, NULL, &error));
    g_assert_error(error, HF_ERROR, HF_ERROR_INVALID);
  }
  g_assert_null(hf_store_list_names(store, "a", NULL));
}

static void test_ranges(void)
{
  g_autoptr(HfStore) store = mem_open("ranges");
  g_assert_true(hf_store_put(store, "a", "hello", 5, NULL));
  char bytes[16];
  g_assert_true(hf_store_get(store, "a", 5, bytes, 0, NULL));
  g_assert_true(hf_store_get(store, "a", 1, bytes, 3, NULL));
  g_assert_cmpmem(bytes, 3, "ell", 3);
  static const struct {
    guint64 offset;
    gsize length;
  } wrong[] = { { 6, 0 }, { 5, 1 }, { G_MAXUINT64, 0 }, { G_MAXUINT64, 1 }, { G_MAXINT64, 1 }, { 1, G_MAXSIZE } };
  for (gsize i = 0; i < G_N_ELEMENTS(wrong); i++) {
    g_autoptr(GError) error = NULL;
    g_assert_false(hf_store_get(store, "a", wrong[i].offset, bytes, wrong[i].length, &error));
    g_assert_error(error, HF_ERROR, HF_ERROR_DAMAGED);
  }
  g_autoptr(GError) error = NULL;
  g_assert_false(hf_store_get(store, "b", 0, bytes, 0, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_NOT_FOUND);
}

static void test_get_all(void)
{
  g_autoptr(HfStore) store = mem_open("all");
  g_autoptr(GError) error = NULL;
  g_assert_true(hf_store_put(store, "empty", NULL, 0, &error));
  g_assert_true(hf_store_put(store, "five", "12345", 5, &error));
  g_autoptr(GBytes) empty = hf_store_get_all(store, "empty", 0, &error);
  g_assert_no_error(error);
  g_assert_cmpuint(g_bytes_get_size(empty), ==, 0);
  g_assert_null(hf_store_get_all(store, "five", 4, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_INVALID);
  g_clear_error(&error);
  g_assert_null(hf_store_get_all(store, "none", 4, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_NOT_FOUND);
}

/* ---- A driver that lies about sizes must not bring the process down. ---- */

static gboolean huge_size(HfStore *store G_GNUC_UNUSED, const char *name G_GNUC_UNUSED, guint64 *size,
                          GError **error G_GNUC_UNUSED)
{
  *size = G_MAXSIZE / 2;
  return TRUE;
}

static gboolean shrunk_get(HfStore *store G_GNUC_UNUSED, const char *name, guint64 offset G_GNUC_UNUSED,
                           void *bytes G_GNUC_UNUSED, gsize length G_GNUC_UNUSED, GError **error)
{
  return hf_fail(error, HF_ERROR_DAMAGED, "'%s' shrank", name);
}

static gboolean small_size(HfStore *store G_GNUC_UNUSED, const char *name G_GNUC_UNUSED, guint64 *size,
                           GError **error G_GNUC_UNUSED)
{
  *size = 10;
  return TRUE;
}

static void test_get_all_fails(void)
{
  g_autoptr(GError) error = NULL;
  HfStoreOps ops = { .size = huge_size, .get = shrunk_get };
  HfStore store = { .ops = &ops, .location = (char *)"nowhere" };
  g_assert_null(hf_store_get_all(&store, "a", G_MAXSIZE, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_FAILED);
  g_clear_error(&error);
  ops.size = small_size;
  g_assert_null(hf_store_get_all(&store, "a", G_MAXSIZE, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_DAMAGED);
}

static void test_usage(void)
{
  HfStoreUsage usage = { 7, 7 };
  HfStoreOps silent = { .usage = NULL };
  HfStore store = { .ops = &silent };
  g_assert_true(hf_store_usage(&store, &usage, NULL));
  g_assert_cmpuint(usage.bytes_total + usage.bytes_free, ==, 0);
  g_autoptr(HfStore) mem = mem_open("usage");
  g_assert_true(hf_store_usage(mem, &usage, NULL));
  g_assert_cmpuint(usage.bytes_free, ==, 500);
}

static void test_list_names(void)
{
  g_autoptr(HfStore) store = mem_open("sorted");
  static const char *const names[] = { "points/c", "points/a", "point", "points/b/z", "points/b/a" };
  for (gsize i = 0; i < G_N_ELEMENTS(names); i++)
    g_assert_true(hf_store_put(store, names[i], names[i], i, NULL));
  g_autoptr(GPtrArray) listed = hf_store_list_names(store, "points/", NULL);
  g_assert_cmpuint(listed->len, ==, 4);
  g_assert_cmpstr(g_ptr_array_index(listed, 0), ==, "points/a");
  g_assert_cmpstr(g_ptr_array_index(listed, 1), ==, "points/b/a");
  g_assert_cmpstr(g_ptr_array_index(listed, 2), ==, "points/b/z");
  g_assert_cmpstr(g_ptr_array_index(listed, 3), ==, "points/c");
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/storage/store/names", test_names);
  g_test_add_func("/storage/store/name-keeps", test_name_keeps);
  g_test_add_func("/storage/store/open", test_open);
  g_test_add_func("/storage/store/location", test_location);
  g_test_add_func("/storage/store/too-many-drivers", test_too_many_drivers);
  g_test_add_func("/storage/store/free-nothing", test_free_nothing);
  g_test_add_func("/storage/store/put", test_put);
  g_test_add_func("/storage/store/put-read-range", test_put_read_range);
  g_test_add_func("/storage/store/put-exists", test_put_exists);
  g_test_add_func("/storage/store/put-broken", test_put_broken);
  g_test_add_func("/storage/store/bad-names", test_bad_names);
  g_test_add_func("/storage/store/ranges", test_ranges);
  g_test_add_func("/storage/store/get-all", test_get_all);
  g_test_add_func("/storage/store/get-all-fails", test_get_all_fails);
  g_test_add_func("/storage/store/usage", test_usage);
  g_test_add_func("/storage/store/list-names", test_list_names);
  return g_test_run();
}
