/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "restorelab.h"

#include <string.h>

#include "fixture.h"

gboolean lab_restore(TreeLab *lab, const HfPointInfo *info, const char *paths, const char *how, HfRestoreResult *result,
                     GError **error)
{
  g_autofree char *out = tree_lab_path(lab, "out");
  g_auto(GStrv) words = g_strsplit(paths != NULL ? paths : "", " ", -1);
  g_autoptr(GPtrArray) list = g_ptr_array_new();
  for (guint i = 0; words[i] != NULL && words[i][0] != '\0'; i++)
    g_ptr_array_add(list, words[i]);
  HfRestoreOptions options = { .target = out, .paths = paths != NULL ? list : NULL };
  options.overwrite = how != NULL && strchr(how, 'o') != NULL;
  options.keep = how != NULL && strchr(how, 'k') != NULL;
  options.full_path = how != NULL && strchr(how, 'f') != NULL;
  return hf_restore(lab->repo, info, &options, result, error);
}

void lab_restore_well(TreeLab *lab, const HfPointInfo *info, const char *paths, const char *how)
{
  g_auto(HfRestoreResult) result = { 0 };
  g_autoptr(GError) error = NULL;
  lab_restore(lab, info, paths, how, &result, &error);
  g_assert_no_error(error);
  g_assert_cmpuint(tree_lab_warnings(lab), ==, 0);
  g_assert_cmpuint(result.damaged + result.failed + result.missing->len, ==, 0);
}

void lab_restore_badly(TreeLab *lab, const HfPointInfo *info, guint64 damaged, guint64 failed, guint64 files)
{
  g_auto(HfRestoreResult) result = { 0 };
  g_autoptr(GError) error = NULL;
  tree_lab_forget(lab);
  lab_restore(lab, info, NULL, "o", &result, &error);
  g_assert_no_error(error);
  tree_lab_warnings(lab);
  g_assert_cmpuint(result.damaged, ==, damaged);
  g_assert_cmpuint(result.failed, ==, failed);
  g_assert_cmpuint(result.files, ==, files);
  g_assert_cmpuint(result.missing->len, ==, damaged + failed);
}

void lab_assert_out(TreeLab *lab, const char *wanted)
{
  g_autofree char *out = tree_lab_path(lab, "out"), *found = NULL;
  g_autofree char *command =
    g_strdup_printf("sh -c \"cd %s && find . -mindepth 1 | sed s,^./,, | LC_ALL=C sort\"", out);
  g_autoptr(GError) error = NULL;
  g_spawn_command_line_sync(command, &found, NULL, NULL, &error);
  g_assert_no_error(error);
  g_strdelimit(g_strchomp(found), "\n", ' ');
  g_assert_cmpstr(found, ==, wanted);
}

void lab_clear_out(TreeLab *lab)
{
  g_autofree char *out = tree_lab_path(lab, "out");
  hf_fixture_remove(out);
}
