/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The tree of everything (tests/harness/fixture.h) is read through the source and written through the target, on each
 * file system that the machine has; other tools must then see no difference (tests/harness/compare_trees.py).
 */
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/sys.h"
#include "fixture.h"
#include "source/tree.h"
#include "target/tree.h"

static const char *compare_trees;
static char *place_above;

/* ---- A copy: a backup and a restore without a repository between them. ---- */

typedef struct Copy {
  HfReport *report;
  GHashTable *links; /* inode -> path in the copy; all on one file system */
  int target_root;
  guint entries;
} Copy;

static void warn(gpointer user, const char *path, const char *message)
{
  g_ptr_array_add(user, g_strdup_printf("%s: %s", path, message));
}

static void copy_content(int from, int to, guint64 size)
{
  g_autofree char *bytes = g_malloc(1 << 20);
  g_autoptr(GError) error = NULL;
  guint64 at = 0, length;
  gboolean hole;
  /* First: a file system that keeps room behind what is appended (XFS) would fill holes with it. */
  g_assert_cmpint(ftruncate(to, (off_t)size), ==, 0);
  while (hf_source_next_run(from, at, size, &hole, &length, &error)) {
    for (guint64 done = 0; !hole && done < length;) {
      gssize got = hf_pread_full(from, bytes, MIN(length - done, 1 << 20), (goffset)(at + done), "from", &error);
      g_assert_no_error(error);
      g_assert_cmpint(got, >, 0);
      hf_pwrite_all(to, bytes, (gsize)got, (goffset)(at + done), "to", &error);
      g_assert_no_error(error);
      done += (guint64)got;
    }
    at += length;
  }
  g_assert_no_error(error);
  g_assert_cmpuint(at, ==, size);
}

static void copy_names(Copy *copy, HfSourceDir *dir, int target, const char *path);

/* Whether the entry is a further name of a file that was copied already, and is one now. */
static gboolean copy_link(Copy *copy, const HfEntry *entry, int target, const char *path)
{
  g_autoptr(GError) error = NULL;
  if (!(entry->flags & HF_ENTRY_HARD_LINK))
    return FALSE;
  const char *known = g_hash_table_lookup(copy->links, &entry->inode);
  if (known == NULL) {
    g_hash_table_insert(copy->links, g_memdup2(&entry->inode, sizeof entry->inode), g_strdup(path));
    return FALSE;
  }
  g_autofree char *folder = g_path_get_dirname(known), *old = g_path_get_basename(known);
  hf_autofd int parent = hf_open(copy->target_root, folder, O_RDONLY | O_DIRECTORY, 0, &error);
  g_assert_no_error(error);
  hf_target_link(parent, old, target, (const char *)entry->name.data, HF_OVERWRITE_REFUSE, &error);
  g_assert_no_error(error);
  return TRUE;
}

static void copy_entry(Copy *copy, HfSourceDir *dir, const char *name, int target, const char *path)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GByteArray) scratch = g_byte_array_new(), extras = g_byte_array_new();
  hf_autofd int from = -1, to = -1;
  HfEntry entry;
  HfSourceStat status;
  copy->entries++;
  hf_source_stat(dir, name, &entry, &status, scratch, &error);
  g_assert_no_error(error);
  if (copy_link(copy, &entry, target, path))
    return;
  if (S_ISREG(entry.mode)) {
    from = hf_source_file_open(dir, name, &error);
    g_assert_no_error(error);
  }
  hf_source_extras(dir, name, from, entry.mode, extras, copy->report, path, &error);
  g_assert_no_error(error);
  g_assert_true(hf_extras_valid((HfView){ extras->data, extras->len }));

  g_autofree char *beside = NULL;
  if (S_ISREG(entry.mode))
    to = hf_target_file(target, name, HF_OVERWRITE_REFUSE, &beside, &error);
  else if (S_ISDIR(entry.mode))
    to = hf_target_folder(target, name, HF_OVERWRITE_REFUSE, &error);
  else
    hf_target_special(target, name, &entry, HF_OVERWRITE_REFUSE, &error);
  g_assert_no_error(error);
  if (to >= 0)
    hf_target_prepare(to, (HfView){ extras->data, extras->len });
  if (S_ISREG(entry.mode))
    copy_content(from, to, entry.size);
  if (S_ISDIR(entry.mode)) {
    g_autoptr(HfSourceDir) child = hf_source_dir_open(dir, name, &error);
    g_assert_no_error(error);
    copy_names(copy, child, to, path);
  }
  hf_target_apply(target, name, to, &entry, (HfView){ extras->data, extras->len }, copy->report, path, &error);
  g_assert_no_error(error);
}

static void copy_names(Copy *copy, HfSourceDir *dir, int target, const char *path)
{
  for (guint i = 0; i < hf_source_dir_count(dir); i++) {
    const char *name = hf_source_dir_name(dir, i);
    g_autofree char *below = path != NULL ? g_strconcat(path, "/", name, NULL) : g_strdup(name);
    copy_entry(copy, dir, name, target, below);
  }
}

/* Returns the number of entries; warnings come to `warnings`. */
static guint copy_tree(const char *from, const char *to, GPtrArray *warnings)
{
  static const HfReportOps ops = { .warning = warn };
  g_autoptr(GError) error = NULL;
  g_autoptr(HfReport) report = hf_report_new(&ops, warnings);
  g_autoptr(GHashTable) links = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
  g_autoptr(HfSourceDir) dir = hf_source_dir_open(NULL, from, &error);
  g_assert_no_error(error);
  hf_autofd int root = hf_target_folder(AT_FDCWD, to, HF_OVERWRITE_REFUSE, &error);
  g_assert_no_error(error);
  Copy copy = { report, links, root, 0 };
  copy_names(&copy, dir, root, NULL);

  g_autoptr(GByteArray) extras = g_byte_array_new();
  HfEntry entry;
  HfSourceStat status;
  hf_source_stat_path(from, &entry, &status, extras, &error);
  g_assert_no_error(error);
  hf_source_extras(dir, ".", hf_source_dir_fd(dir), entry.mode, extras, report, from, &error);
  g_assert_no_error(error);
  hf_target_apply(root, ".", root, &entry, (HfView){ extras->data, extras->len }, report, to, &error);
  g_assert_no_error(error);
  return copy.entries;
}

/* ---- The tests. ---- */

static int compare(const char *a, const char *b, gboolean show)
{
  const char *const arguments[] = { "python3", compare_trees, "--top", a, b, NULL };
  g_autofree char *said = NULL, *errors = NULL;
  g_autoptr(GError) error = NULL;
  int status = 0;
  g_spawn_sync(NULL, (char **)arguments, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &said, &errors, &status, &error);
  g_assert_no_error(error);
  if (show && status != 0)
    g_printerr("%s%s", said, errors);
  return status;
}

/* The place becomes the working folder: a target folder is one part of a path. */
static char *enter_place(const char *kind)
{
  char *place = place_above != NULL ? hf_place_mount(kind, 512, place_above) : NULL;
  if (place == NULL)
    g_test_skip(place_above == NULL ? "only root can mount" : "this machine does not have the file system");
  else
    g_assert_cmpint(chdir(place), ==, 0);
  return place;
}

static void test_whole(gconstpointer kind)
{
  g_autoptr(GString) left_out = g_string_new(NULL);
  g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
  char *place = enter_place(kind);
  if (place == NULL)
    return;
  hf_fixture_make("a", left_out);
  g_test_message("left out: %s", left_out->str);
  guint entries = copy_tree("a", "b", warnings);
  g_assert_cmpuint(entries, >, 3000);
  for (guint i = 0; i < warnings->len; i++)
    g_printerr("warning: %s\n", (char *)warnings->pdata[i]);
  g_assert_cmpuint(warnings->len, ==, 0);
  g_assert_cmpint(compare("a", "b", TRUE), ==, 0);

  /* And the judge does see one difference. */
  g_assert_cmpint(truncate("b/contents/4096 bytes", 4095), ==, 0);
  g_assert_cmpint(compare("a", "b", FALSE), !=, 0);
  g_assert_cmpint(chdir("/"), ==, 0);
  hf_place_unmount(place);
}

int main(int argc, char **argv)
{
  static const char *const kinds[] = { "tmpfs", "ext4", "xfs", "btrfs" };
  g_test_init(&argc, &argv, NULL);
  if (argc != 2)
    g_error("usage: test_fidelity COMPARE_TREES");
  compare_trees = argv[1];
  if (hf_place_private())
    place_above = g_dir_make_tmp("hf-fidelity-XXXXXX", NULL);
  for (guint i = 0; i < G_N_ELEMENTS(kinds); i++) {
    g_autofree char *name = g_strconcat("/fidelity/", kinds[i], NULL);
    g_test_add_data_func(name, kinds[i], test_whole);
  }
  int result = g_test_run();
  if (place_above != NULL)
    g_rmdir(place_above);
  g_free(place_above);
  return result;
}
