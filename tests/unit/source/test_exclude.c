/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <fnmatch.h>
#include <string.h>

#include "base/error.h"
#include "fixture.h"
#include "source/tree.h"

static gboolean matches(const char *pattern, const char *path, gboolean folder)
{
  g_autoptr(HfExclude) exclude = hf_exclude_new();
  g_autoptr(GError) error = NULL;
  hf_exclude_add(exclude, pattern, &error);
  g_assert_no_error(error);
  return hf_exclude_match(exclude, path, folder);
}

static void test_table(void)
{
  static const struct { const char *pattern, *path; gboolean folder, expected; } rows[] = {
    { "*/*", "/a", FALSE, FALSE },                { "*/*", "/a/b", FALSE, TRUE },
    { "*.o", "/a/b/c.o", FALSE, TRUE },           { "*.o", "/a/b.o/c", FALSE, FALSE },
    { "*.o", "/.o", FALSE, TRUE },                { "core", "/core", FALSE, TRUE },
    { "core", "/a/core", FALSE, TRUE },           { "core", "/a/score", FALSE, FALSE },
    { "core", "/a/cores", FALSE, FALSE },         { "core", "/core/x", FALSE, FALSE },
    { "b/c", "/a/b/c", FALSE, TRUE },             { "b/c", "/a/xb/c", FALSE, FALSE },
    { "b/c", "/b/c/d", FALSE, FALSE },            { "/a", "/a", TRUE, TRUE },
    { "/a", "/b/a", TRUE, FALSE },                { "/a/*", "/a/b", FALSE, TRUE },
    { "/a/*", "/a/b/c", FALSE, FALSE },           { "/a/**", "/a/b/c", FALSE, TRUE },
    { "/a/**", "/a", TRUE, FALSE },               { "/a/**/z", "/a/z", FALSE, TRUE },
    { "/a/**/z", "/a/b/c/z", FALSE, TRUE },       { "/a/**/z", "/a/bz", FALSE, FALSE },
    { "/a/**/**/z", "/a/z", FALSE, TRUE },        { "a**z", "/x/a/b/z", FALSE, TRUE },
    { "**/z", "/z", FALSE, TRUE },                { "**", "/x", FALSE, TRUE },
    { "/**/z", "/z", FALSE, TRUE },               { "/**/z", "/a/b/z", FALSE, TRUE },
    { "cache/", "/a/cache", TRUE, TRUE },         { "cache/", "/a/cache", FALSE, FALSE },
    { "cache//", "/a/cache", TRUE, TRUE },        { "?", "/a/b", FALSE, TRUE },
    { "/a?b", "/a/b", FALSE, FALSE },             { "a?", "/a\xff", FALSE, TRUE },
    { "[a-c]x", "/bx", FALSE, TRUE },             { "[a-c]x", "/dx", FALSE, FALSE },
    { "[!a-c]x", "/dx", FALSE, TRUE },            { "[^a-c]x", "/bx", FALSE, FALSE },
    { "/a[!x]b", "/a/b", FALSE, FALSE },          { "[]]", "/]", FALSE, TRUE },
    { "[!]]", "/]", FALSE, FALSE },               { "[a-]", "/-", FALSE, TRUE },
    { "[\\]]", "/]", FALSE, TRUE },               { "[[]", "/[", FALSE, TRUE },
    { "\\*", "/*", FALSE, TRUE },                 { "\\*", "/a", FALSE, FALSE },
    { "\\!x", "/!x", FALSE, TRUE },               { "\\#x", "/#x", FALSE, TRUE },
    { "a\\\\b", "/a\\b", FALSE, TRUE },           { "a b ", "/a b ", FALSE, TRUE },
    { "/home/*/.cache/", "/home/ada/.cache", TRUE, TRUE },
    { "/x/**/*.tmp", "/x/y/z/a.b.tmp", FALSE, TRUE },
    { "/x/**/a*b*c", "/x/a/b/abbc/ac", FALSE, FALSE },
    { "/x/**/a*b*c", "/x/a/b/acc/abxbc", FALSE, TRUE },
    { "\xff*", "/\xff\xfe", FALSE, TRUE },
  };
  for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
    if (matches(rows[i].pattern, rows[i].path, rows[i].folder) != rows[i].expected)
      g_error("'%s' and '%s': not %d", rows[i].pattern, rows[i].path, rows[i].expected);
}

static void test_last_wins(void)
{
  static const char *const rules[] = { "*.log", "!important.log", "/a/important.log", "!/a/b/*", "x/" };
  g_autoptr(HfExclude) exclude = hf_exclude_new();
  g_assert_false(hf_exclude_match(NULL, "/a", FALSE));
  g_assert_false(hf_exclude_match(exclude, "/a", FALSE));
  for (guint i = 0; i < G_N_ELEMENTS(rules); i++)
    g_assert_true(hf_exclude_add(exclude, rules[i], NULL));
  g_assert_true(hf_exclude_match(exclude, "/x.log", FALSE));
  g_assert_false(hf_exclude_match(exclude, "/important.log", FALSE));
  g_assert_true(hf_exclude_match(exclude, "/a/important.log", FALSE));
  g_assert_false(hf_exclude_match(exclude, "/a/b/y.log", FALSE));
  g_assert_true(hf_exclude_match(exclude, "/a/b/x", TRUE));
  g_assert_false(hf_exclude_match(exclude, "/a/b/x", FALSE));
  hf_exclude_free(NULL);
}

/* A pattern of `length` pieces; its classes are such as fnmatch reads alike. */
static char *random_pattern(guint length, gboolean double_stars)
{
  static const char *const pieces[] = { "a", "b", "/", "*", "?", "[ab]", "[!a]", "[a-c]", "\\*", "c", "a", "/",
                                        "**", "**/" };
  GString *text = g_string_new(NULL);
  for (guint i = 0; i < length; i++) {
    gboolean star = g_str_has_suffix(text->str, "*");
    const char *piece;
    do /* without double stars none may come about by two pieces either */
      piece = pieces[g_test_rand_int_range(0, double_stars ? 14 : 12)];
    while (star && !double_stars && piece[0] == '*');
    g_string_append(text, piece);
  }
  while (g_str_has_suffix(text->str, "/")) /* would mean folders */
    g_string_truncate(text, text->len - 1);
  if (text->len == 0)
    g_string_append_c(text, 'a');
  return g_string_free(text, FALSE);
}

static char *random_path(guint length)
{
  static const char bytes[] = "aaabbcd//*";
  GString *text = g_string_new("/");
  for (guint i = 0; i < length; i++)
    g_string_append_c(text, bytes[g_test_rand_int_range(0, sizeof bytes - 1)]);
  return g_string_free(text, FALSE);
}

/* What fnmatch says: of the whole path, or of each end of it that begins a part. */
static gboolean by_fnmatch(const char *pattern, const char *path)
{
  if (pattern[0] == '/')
    return fnmatch(pattern, path, FNM_PATHNAME) == 0;
  for (const char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/'))
    if (fnmatch(pattern, slash + 1, FNM_PATHNAME) == 0)
      return TRUE;
  return FALSE;
}

static void test_like_fnmatch(void)
{
  guint hits = 0;
  for (guint i = 0; i < 60000; i++) {
    g_autofree char *pattern = random_pattern((guint)g_test_rand_int_range(1, 9), FALSE);
    g_autofree char *path = random_path((guint)g_test_rand_int_range(0, 12));
    gboolean expected = by_fnmatch(pattern, path);
    hits += expected;
    if (matches(pattern, path, FALSE) != expected)
      g_error("'%s' and '%s': fnmatch says %d", pattern, path, expected);
  }
  g_assert_cmpuint(hits, >, 1000);
}

/* The language with double stars, by trying everything. `start`: the pattern's place begins a part. */
static gboolean by_trying(const char *pattern, const char *path, gboolean start)
{
  if (*pattern == '\0')
    return *path == '\0';
  if (pattern[0] == '*' && pattern[1] == '*') {
    gsize stars = strspn(pattern, "*");
    if (start && pattern[stars] == '/') {
      if (by_trying(pattern + stars + 1, path, TRUE))
        return TRUE;
      for (const char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/'))
        if (by_trying(pattern + stars + 1, slash + 1, TRUE))
          return TRUE;
      return FALSE;
    }
    for (const char *at = path;; at++) {
      if (by_trying(pattern + stars, at, FALSE))
        return TRUE;
      if (*at == '\0')
        return FALSE;
    }
  }
  if (*pattern == '*')
    return by_trying(pattern + 1, path, FALSE) ||
           (*path != '\0' && *path != '/' && by_trying(pattern, path + 1, FALSE));
  if (*path == '\0')
    return FALSE;
  if (*pattern == '?')
    return *path != '/' && by_trying(pattern + 1, path + 1, FALSE);
  if (*pattern == '[') {
    const char *end = strchr(pattern, ']');
    g_autofree char *one = g_strndup(pattern, (gsize)(end - pattern) + 1);
    const char byte[2] = { *path, '\0' };
    return fnmatch(one, byte, FNM_PATHNAME) == 0 && by_trying(end + 1, path + 1, FALSE);
  }
  if (*pattern == '\\')
    pattern++;
  return *pattern == *path && by_trying(pattern + 1, path + 1, *pattern == '/');
}

static void test_double_stars(void)
{
  guint hits = 0;
  for (guint i = 0; i < 60000; i++) {
    g_autofree char *pattern = random_pattern((guint)g_test_rand_int_range(1, 9), TRUE);
    g_autofree char *path = random_path((guint)g_test_rand_int_range(0, 12));
    g_autofree char *whole = pattern[0] == '/' ? g_strdup(pattern) : g_strconcat("**/", pattern, NULL);
    gboolean expected = by_trying(whole, pattern[0] == '/' ? path : path + 1, TRUE);
    hits += expected;
    if (matches(pattern, path, FALSE) != expected)
      g_error("'%s' and '%s': should be %d", pattern, path, expected);
  }
  g_assert_cmpuint(hits, >, 1000);
}

/* Would take longer than the universe if every star were tried with every other. */
static void test_time(void)
{
  GString *pattern = g_string_new("/"), *path = g_string_new("/");
  for (guint i = 0; i < 200; i++)
    g_string_append(pattern, i % 2 != 0 ? "a**" : "a*");
  g_string_append(pattern, "b");
  for (guint i = 0; i < 5000; i++)
    g_string_append_c(path, 'a');
  g_assert_false(matches(pattern->str, path->str, FALSE));
  g_string_free(pattern, TRUE);
  g_string_free(path, TRUE);
}

static void test_errors(void)
{
  static const struct { const char *pattern, *says; } rows[] = {
    { "", "names nothing" },       { "/", "names nothing" },  { "!", "names nothing" },    { "!/", "names nothing" },
    { "a\\", "backslash" },        { "a[b", "without its" },  { "a[", "without its" },     { "a[]", "without its" },
    { "a[b-", "without its" },     { "a[b\\", "without its" }, { "[[:alpha:]]", "'[:'" },  { "[[=a=]]", "'[='" },
  };
  g_autoptr(HfExclude) exclude = hf_exclude_new();
  for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(GError) error = NULL;
    g_assert_false(hf_exclude_add(exclude, rows[i].pattern, &error));
    g_assert_error(error, HF_ERROR, HF_ERROR_USAGE);
    g_assert_nonnull(strstr(error->message, rows[i].says));
  }
  g_autofree char *longest = g_strnfill(70000, 'a');
  g_assert_false(hf_exclude_add(exclude, longest, NULL));
  g_assert_false(hf_exclude_match(exclude, "/a", FALSE));
}

static void write_file(const char *name, const char *bytes, gssize length)
{
  g_assert_true(g_file_set_contents(name, bytes, length, NULL));
}

static void test_file(void)
{
  g_autoptr(HfExclude) exclude = hf_exclude_new();
  g_autoptr(GError) error = NULL;
  hf_scratch_enter();
  write_file("good", "# a comment\n\n*.o\n \n\\#x\n!keep.o", -1);
  write_file("empty", "", 0);
  write_file("bad", "a\nb\nc[\n", -1);
  write_file("zero", "a\0b\n", 4);
  hf_exclude_add_file(exclude, "good", &error);
  g_assert_no_error(error);
  hf_exclude_add_file(exclude, "empty", &error);
  g_assert_no_error(error);
  g_assert_true(hf_exclude_match(exclude, "/a.o", FALSE));
  g_assert_true(hf_exclude_match(exclude, "/#x", FALSE));
  g_assert_true(hf_exclude_match(exclude, "/ ", FALSE));
  g_assert_false(hf_exclude_match(exclude, "/keep.o", FALSE));
  g_assert_false(hf_exclude_match(exclude, "/# a comment", FALSE));

  static const struct { const char *name, *says; } rows[] = {
    { "bad", "line 3 of 'bad'" }, { "zero", "zero byte" }, { "none", "cannot read the patterns in 'none'" } };
  for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(GError) problem = NULL;
    g_assert_false(hf_exclude_add_file(exclude, rows[i].name, &problem));
    g_assert_error(problem, HF_ERROR, HF_ERROR_USAGE);
    g_assert_nonnull(strstr(problem->message, rows[i].says));
  }
  hf_scratch_leave();
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/exclude/table", test_table);
  g_test_add_func("/exclude/last-wins", test_last_wins);
  g_test_add_func("/exclude/like-fnmatch", test_like_fnmatch);
  g_test_add_func("/exclude/double-stars", test_double_stars);
  g_test_add_func("/exclude/time", test_time);
  g_test_add_func("/exclude/errors", test_errors);
  g_test_add_func("/exclude/file", test_file);
  return g_test_run();
}
