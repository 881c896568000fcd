/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "storage/conform.h"

#include <string.h>

#include "base/error.h"
#include "storage/scratch.h"

#define KIB 1024
#define MIB (1024 * KIB)
#define SEED 1

typedef struct Conform {
  HfScratch scratch;
  HfStore *store;
  HfStore *second; /* another handle of the same location; the store itself when it could not be opened */
  GError *no_second;
} Conform;

/* ---- What is expected. ---- */

/* A call that has to fail with `code`: `why` is what it failed with (taken), NULL when it succeeded. */
static gboolean expect_error(GError *why, HfErrorCode code, const char *what, GError **error)
{
  g_autoptr(GError) taken = why;
  if (taken == NULL)
    return hf_fail(error, HF_ERROR_FAILED, "%s succeeded and should have failed with '%s'", what,
                   hf_error_code_name(code));
  return hf_error_is(taken, code) ||
         hf_fail(error, HF_ERROR_FAILED, "%s should have failed with '%s' and not with: %s", what,
                 hf_error_code_name(code), taken->message);
}

static gboolean expect_get_error(HfStore *store, const char *name, guint64 offset, gsize length, HfErrorCode code,
                                 GError **error)
{
  GError *why = NULL;
  g_autofree guint8 *bytes = g_malloc(MAX(length, 1));
  g_autofree char *what = g_strdup_printf("reading %" G_GSIZE_FORMAT " bytes at %" G_GUINT64_FORMAT " of '%s'", length,
                                          offset, name);
  hf_store_get(store, name, offset, bytes, length, &why);
  return expect_error(why, code, what, error);
}

static gboolean add_once(const char *name, guint64 size, gpointer user, GError **error)
{
  guint64 *kept = g_new(guint64, 1);
  *kept = size;
  return g_hash_table_insert(user, g_strdup(name), kept) ||
         hf_fail(error, HF_ERROR_FAILED, "'%s' was listed twice", name);
}

/* Names below `prefix` with their sizes; NULL on error. */
static GHashTable *list(HfStore *store, const char *prefix, GError **error)
{
  g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
  return hf_store_list(store, prefix, add_once, names, error) ? g_steal_pointer(&names) : NULL;
}

/* Whether listing the scratch prefix shows `name`. */
static gboolean expect_listed(Conform *conform, HfStore *store, const char *name, gboolean expected, GError **error)
{
  g_autoptr(GHashTable) names = list(store, conform->scratch.prefix, error);
  if (names == NULL)
    return FALSE;
  return g_hash_table_contains(names, name) == expected ||
         hf_fail(error, HF_ERROR_FAILED, expected ? "'%s' is not listed" : "'%s' is listed", name);
}

/* The object is in no way there. */
static gboolean expect_missing(Conform *conform, HfStore *store, const char *name, GError **error)
{
  GError *why = NULL;
  guint64 size;
  hf_store_size(store, name, &size, &why);
  return expect_error(why, HF_ERROR_NOT_FOUND, "asking for the size of what is not there", error) &&
         expect_get_error(store, name, 0, 1, HF_ERROR_NOT_FOUND, error) &&
         expect_get_error(store, name, 0, 0, HF_ERROR_NOT_FOUND, error) &&
         expect_listed(conform, store, name, FALSE, error);
}

/* The object is there in all ways, with `size` bytes of content. */
static gboolean expect_object(HfStore *store, const char *name, guint64 size, guint64 seed, GError **error)
{
  guint64 found;
  if (!hf_store_size(store, name, &found, error))
    return FALSE;
  if (found != size)
    return hf_fail(error, HF_ERROR_FAILED, "'%s' has %" G_GUINT64_FORMAT " bytes and not %" G_GUINT64_FORMAT, name,
                   found, size);
  for (guint64 at = 0; at < size; at += MIB)
    if (!hf_content_get(store, name, at, (gsize)MIN(size - at, MIB), seed, error))
      return FALSE;
  return expect_get_error(store, name, size, 1, HF_ERROR_DAMAGED, error);
}

/* ---- The checks. Each makes objects below a folder of its own. ---- */

static gboolean check_second(Conform *conform, GError **error)
{
  if (conform->no_second == NULL)
    return TRUE;
  g_propagate_error(error, g_error_copy(conform->no_second));
  return FALSE;
}

static gboolean check_missing(Conform *conform, GError **error)
{
  GError *why = NULL;
  g_autofree char *name = hf_scratch_name(&conform->scratch, "missing/object");
  if (!expect_missing(conform, conform->store, name, error))
    return FALSE;
  hf_store_remove(conform->store, name, &why);
  return expect_error(why, HF_ERROR_NOT_FOUND, "removing what is not there", error);
}

static gboolean check_sizes(Conform *conform, GError **error)
{
  static const guint64 sizes[] = { 0, 1, 2, 511, 4095, 4096, 4097, 65535, 65536, 65537, MIB + 13 };
  for (gsize i = 0; i < G_N_ELEMENTS(sizes); i++) {
    g_autofree char *name = hf_scratch_name(&conform->scratch, "sizes/%" G_GUINT64_FORMAT, sizes[i]);
    if (!hf_content_put(conform->store, name, sizes[i], SEED + i, 10007, error) ||
        !expect_object(conform->store, name, sizes[i], SEED + i, error))
      return FALSE;
    g_autoptr(GBytes) all = hf_store_get_all(conform->store, name, 2 * MIB, error);
    if (all == NULL)
      return FALSE;
    if (g_bytes_get_size(all) != sizes[i])
      return hf_fail(error, HF_ERROR_FAILED, "'%s' was read with a wrong length", name);
  }
  return TRUE;
}

static gboolean check_large(Conform *conform, GError **error)
{
  g_autofree char *name = hf_scratch_name(&conform->scratch, "large/object");
  return hf_content_put(conform->store, name, 64 * MIB, SEED, MIB - 4099, error) &&
         expect_object(conform->store, name, 64 * MIB, SEED, error);
}

static gboolean check_ranges(Conform *conform, GError **error)
{
  const guint64 size = 300007;
  HfStore *store = conform->store;
  g_autofree char *name = hf_scratch_name(&conform->scratch, "ranges/object");
  if (!hf_content_put(store, name, size, SEED, 65536, error))
    return FALSE;
  for (int i = 0; i < 200; i++) {
    guint64 offset = hf_scratch_random(&conform->scratch, size);
    gsize length = (gsize)hf_scratch_random(&conform->scratch, size - offset + 1);
    if (!hf_content_get(store, name, offset, length, SEED, error))
      return FALSE;
  }
  return hf_content_get(store, name, 0, size, SEED, error) && hf_content_get(store, name, size, 0, SEED, error) &&
         expect_get_error(store, name, size, 1, HF_ERROR_DAMAGED, error) &&
         expect_get_error(store, name, size - 1, 2, HF_ERROR_DAMAGED, error) &&
         expect_get_error(store, name, 0, size + 1, HF_ERROR_DAMAGED, error) &&
         expect_get_error(store, name, size + 1, 0, HF_ERROR_DAMAGED, error) &&
         expect_get_error(store, name, G_GUINT64_CONSTANT(1) << 40, 1, HF_ERROR_DAMAGED, error) &&
         expect_get_error(store, name, G_MAXINT64, 16, HF_ERROR_DAMAGED, error) &&
         expect_get_error(store, name, G_MAXUINT64, 16, HF_ERROR_DAMAGED, error) &&
         hf_content_get(store, name, size - 7, 7, SEED, error);
}

static gboolean check_limit(Conform *conform, GError **error)
{
  GError *why = NULL;
  g_autofree char *name = hf_scratch_name(&conform->scratch, "limit/object");
  if (!hf_content_put(conform->store, name, 1000, SEED, 1000, error))
    return FALSE;
  g_autoptr(GBytes) fits = hf_store_get_all(conform->store, name, 1000, error);
  if (fits == NULL)
    return FALSE;
  g_autoptr(GBytes) over = hf_store_get_all(conform->store, name, 999, &why);
  if (over != NULL)
    return hf_fail(error, HF_ERROR_FAILED, "'%s' was read although it is larger than allowed", name);
  return expect_error(why, HF_ERROR_INVALID, "reading an object above the limit", error);
}

static gboolean check_names(Conform *conform, GError **error)
{
  static const char *const good[] = {
    "names/0123456789abcdefghijklmnopqrstuvwxyz._-", "names/-", "names/_x", "names/x.", "names/x..y", "names/a.b/c.d",
    "names/d/e/e/p/e/r/a/n/d/d/e/e/p/e/r",
  };
  static const char *const bad[] = {
    "", ".", "..", ".x", "/x", "x/", "x//y", "x/.y", "x/..", "../x", "X", "x y", "x\n", "x:y", "\xc3\xa4",
  };
  for (gsize i = 0; i < G_N_ELEMENTS(good); i++) {
    g_autofree char *name = hf_scratch_name(&conform->scratch, "%s", good[i]);
    if (!hf_content_put(conform->store, name, 10 + i, i, 100, error) ||
        !expect_object(conform->second, name, 10 + i, i, error) ||
        !expect_listed(conform, conform->store, name, TRUE, error))
      return FALSE;
  }
  for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
    GError *why = NULL;
    hf_store_put(conform->store, bad[i], "x", 1, &why);
    if (!expect_error(why, HF_ERROR_INVALID, "creating an object with a forbidden name", error) ||
        !expect_get_error(conform->store, bad[i], 0, 1, HF_ERROR_INVALID, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean check_long_names(Conform *conform, GError **error)
{
  GError *why = NULL;
  g_autofree char *filler = g_strnfill(200 - strlen(conform->scratch.prefix), 'n');
  g_autofree char *longest = g_strconcat(conform->scratch.prefix, filler, NULL);
  g_autofree char *longer = g_strconcat(longest, "n", NULL);
  if (!hf_content_put(conform->store, longest, 5, SEED, 100, error) ||
      !expect_object(conform->second, longest, 5, SEED, error) ||
      !expect_listed(conform, conform->store, longest, TRUE, error))
    return FALSE;
  hf_store_put(conform->store, longer, "x", 1, &why);
  return expect_error(why, HF_ERROR_INVALID, "creating an object with a name of 201 bytes", error);
}

/* S1, and what a put lets its writer read back. */
static gboolean check_abort(Conform *conform, GError **error)
{
  guint8 bytes[50000], back[1000];
  g_autofree char *name = hf_scratch_name(&conform->scratch, "abort/object");
  hf_content_fill(SEED, 0, bytes, sizeof bytes);
  struct iovec vector = { bytes, sizeof bytes };
  {
    GError *why = NULL;
    g_autoptr(HfPut) put = hf_put_begin(conform->store, name, error);
    if (put == NULL || !hf_put_write(put, &vector, 1, error) || !hf_put_write(put, &vector, 1, error) ||
        !expect_missing(conform, conform->store, name, error) ||
        !expect_missing(conform, conform->second, name, error) || !hf_put_read(put, 54000, back, 1000, error) ||
        !hf_content_check(SEED, 4000, back, sizeof back, "what was read back", error))
      return FALSE;
    hf_put_read(put, 99500, back, 1000, &why);
    if (!expect_error(why, HF_ERROR_FAILED, "reading back more than was written", error))
      return FALSE;
  }
  return expect_missing(conform, conform->store, name, error) &&
         expect_missing(conform, conform->second, name, error) &&
         hf_content_put(conform->store, name, 77, SEED, 100, error) &&
         expect_object(conform->second, name, 77, SEED, error);
}

/* S3 between two handles: the second commit finds the name taken, stays readable, and changes nothing. */
static gboolean check_exclusive(Conform *conform, GError **error)
{
  guint8 bytes[9] = "unlucky", back[7];
  struct iovec vector = { bytes, 7 };
  HfStore *handles[] = { conform->store, conform->second };
  for (gsize i = 0; i < G_N_ELEMENTS(handles); i++) {
    GError *why = NULL;
    g_autofree char *name = hf_scratch_name(&conform->scratch, "exclusive/%d", (int)i);
    g_autoptr(HfPut) late = hf_put_begin(handles[i], name, error);
    if (late == NULL || !hf_put_write(late, &vector, 1, error) ||
        !hf_content_put(conform->store, name, 4000, SEED, 4000, error))
      return FALSE;
    hf_put_commit(late, &why);
    if (!expect_error(why, HF_ERROR_EXISTS, "creating an object that exists", error) ||
        !hf_put_read(late, 0, back, 7, error) || !expect_object(conform->store, name, 4000, SEED, error))
      return FALSE;
    if (memcmp(bytes, back, 7) != 0)
      return hf_fail(error, HF_ERROR_FAILED, "what was read back after a lost race is wrong");
  }
  return TRUE;
}

typedef struct Race {
  Conform *conform;
  const char *name;
  gint ready, winners, winner;
} Race;

static gboolean race(guint number, gpointer user, GError **error)
{
  Race *race = user;
  HfStore *store = number % 2 == 0 ? race->conform->store : race->conform->second;
  guint8 bytes[3000];
  hf_content_fill(number, 0, bytes, sizeof bytes);
  struct iovec vector = { bytes, 1000 + number };
  g_autoptr(HfPut) put = hf_put_begin(store, race->name, error);
  gboolean prepared = put != NULL && hf_put_write(put, &vector, 1, error);
  g_atomic_int_inc(&race->ready);
  while (g_atomic_int_get(&race->ready) < HF_SCRATCH_THREADS)
    g_thread_yield();
  if (!prepared)
    return FALSE;
  g_autoptr(GError) why = NULL;
  if (hf_put_commit(put, &why)) {
    g_atomic_int_inc(&race->winners);
    g_atomic_int_set(&race->winner, (gint)number);
    return TRUE;
  }
  return expect_error(g_steal_pointer(&why), HF_ERROR_EXISTS, "losing the race for a name", error);
}

static gboolean check_races(Conform *conform, GError **error)
{
  for (int round = 0; round < 16; round++) {
    g_autofree char *name = hf_scratch_name(&conform->scratch, "races/%d", round);
    Race shared = { .conform = conform, .name = name };
    if (!hf_scratch_run(HF_SCRATCH_THREADS, race, &shared, error))
      return FALSE;
    if (shared.winners != 1)
      return hf_fail(error, HF_ERROR_FAILED, "%d threads created '%s'", shared.winners, name);
    if (!expect_object(conform->store, name, 1000 + (guint64)shared.winner, (guint64)shared.winner, error))
      return FALSE;
  }
  return TRUE;
}

/* S4 from one handle to the other and back. */
static gboolean check_read_after_write(Conform *conform, GError **error)
{
  for (guint i = 0; i < 40; i++) {
    HfStore *writer = i % 2 == 0 ? conform->store : conform->second;
    HfStore *reader = i % 2 == 0 ? conform->second : conform->store;
    g_autofree char *name = hf_scratch_name(&conform->scratch, "seen/%u/object", i / 4);
    g_autofree char *full = g_strdup_printf("%s-%u", name, i);
    if (!hf_content_put(writer, full, 100 + i, i, 1000, error) || !expect_object(reader, full, 100 + i, i, error) ||
        !expect_listed(conform, reader, full, TRUE, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean expect_count(HfStore *store, HfScratch *scratch, const char *folder, guint expected, GError **error)
{
  g_autofree char *prefix = hf_scratch_name(scratch, "%s", folder);
  g_autoptr(GHashTable) names = list(store, prefix, error);
  if (names == NULL)
    return FALSE;
  GHashTableIter iter;
  gpointer name;
  g_hash_table_iter_init(&iter, names);
  while (g_hash_table_iter_next(&iter, &name, NULL))
    if (!g_str_has_prefix(name, prefix))
      return hf_fail(error, HF_ERROR_FAILED, "'%s' was listed below '%s'", (char *)name, prefix);
  guint count = g_hash_table_size(names);
  return count == expected ||
         hf_fail(error, HF_ERROR_FAILED, "%u objects are listed below '%s' and not %u", count, prefix, expected);
}

static gboolean stop_at_once(const char *name G_GNUC_UNUSED, guint64 size G_GNUC_UNUSED, gpointer user, GError **error)
{
  ++*(guint *)user;
  return hf_fail(error, HF_ERROR_BUSY, "enough");
}

static gboolean check_listing(Conform *conform, GError **error)
{
  static const char *const leaves[] = { "a", "ab/x", "a-b", "b/c/d", "b/c/e", "b/cd" };
  static const struct {
    const char *folder;
    guint count;
  } rows[] = { { "listing/", 6 },   { "listing/a/", 0 },  { "listing/ab/", 1 },     { "listing/b/", 3 },
               { "listing/b/c/", 2 }, { "listing/b/cd/", 0 }, { "listing/missing/", 0 }, { "list/", 0 } };
  for (gsize i = 0; i < G_N_ELEMENTS(leaves); i++) {
    g_autofree char *name = hf_scratch_name(&conform->scratch, "listing/%s", leaves[i]);
    if (!hf_content_put(conform->store, name, i, SEED, 10, error))
      return FALSE;
  }
  for (gsize i = 0; i < G_N_ELEMENTS(rows); i++)
    if (!expect_count(conform->store, &conform->scratch, rows[i].folder, rows[i].count, error))
      return FALSE;
  GError *why = NULL;
  guint calls = 0;
  hf_store_list(conform->store, conform->scratch.prefix, stop_at_once, &calls, &why);
  if (!expect_error(why, HF_ERROR_BUSY, "a listing that its caller stopped", error))
    return FALSE;
  if (calls != 1)
    return hf_fail(error, HF_ERROR_FAILED, "a listing that its caller stopped went on");
  why = NULL;
  hf_store_list(conform->store, "listing", stop_at_once, &calls, &why);
  return expect_error(why, HF_ERROR_INVALID, "listing what is not a folder", error);
}

static gboolean put_many(guint number, gpointer user, GError **error)
{
  Conform *conform = user;
  for (guint i = 0; i < 40; i++) {
    g_autofree char *name = hf_scratch_name(&conform->scratch, "many/%02x/%u", i % 16, number * 1000 + i);
    if (!hf_content_put(conform->store, name, number * 1000 + i, number, 5000, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean check_many(Conform *conform, GError **error)
{
  if (!hf_scratch_run(HF_SCRATCH_THREADS, put_many, conform, error) ||
      !expect_count(conform->store, &conform->scratch, "many/", 40 * HF_SCRATCH_THREADS, error))
    return FALSE;
  g_autofree char *prefix = hf_scratch_name(&conform->scratch, "many/");
  g_autoptr(GHashTable) names = list(conform->second, prefix, error);
  if (names == NULL)
    return FALSE;
  GHashTableIter iter;
  gpointer name, size;
  g_hash_table_iter_init(&iter, names);
  while (g_hash_table_iter_next(&iter, &name, &size)) {
    guint64 expected = g_ascii_strtoull(strrchr(name, '/') + 1, NULL, 10);
    if (*(guint64 *)size != expected)
      return hf_fail(error, HF_ERROR_FAILED, "'%s' was listed with %" G_GUINT64_FORMAT " bytes", (char *)name,
                     *(guint64 *)size);
    if (!expect_object(conform->second, name, expected, expected / 1000, error))
      return FALSE;
  }
  return TRUE;
}

typedef struct Reading {
  Conform *conform;
  const char *name;
  gint reads, missed;
} Reading;

#define READING_BYTES 500000

static gboolean read_ranges(Reading *reading, guint number, guint count, gboolean *missing, GError **error)
{
  HfScratch numbers = { .random = number };
  HfStore *store = number % 2 == 0 ? reading->conform->store : reading->conform->second;
  *missing = FALSE;
  for (guint i = 0; i < count && !*missing; i++) {
    g_autoptr(GError) why = NULL;
    guint64 offset = hf_scratch_random(&numbers, READING_BYTES - 20000);
    gsize length = 1 + (gsize)hf_scratch_random(&numbers, 20000);
    gboolean read = hf_content_get(store, reading->name, offset, length, SEED, &why);
    *missing = hf_error_is(why, HF_ERROR_NOT_FOUND);
    if (!read && !*missing) {
      g_propagate_error(error, g_steal_pointer(&why));
      return FALSE;
    }
    g_atomic_int_inc(&reading->reads);
  }
  return TRUE;
}

static gboolean read_many(guint number, gpointer user, GError **error)
{
  Reading *reading = user;
  gboolean missing;
  if (!read_ranges(reading, number, 100, &missing, error))
    return FALSE;
  return !missing || hf_fail(error, HF_ERROR_FAILED, "'%s' was not found while it is there", reading->name);
}

static gboolean check_parallel_reads(Conform *conform, GError **error)
{
  g_autofree char *name = hf_scratch_name(&conform->scratch, "parallel/object");
  Reading reading = { .conform = conform, .name = name };
  return hf_content_put(conform->store, name, READING_BYTES, SEED, 65536, error) &&
         hf_scratch_run(HF_SCRATCH_THREADS, read_many, &reading, error);
}

/* Thread 0 removes the object while the others read it. */
static gboolean read_or_remove(guint number, gpointer user, GError **error)
{
  Reading *reading = user;
  gboolean missing;
  if (number > 0)
    return read_ranges(reading, number, 200, &missing, error);
  while (g_atomic_int_get(&reading->reads) < 50)
    g_thread_yield();
  return hf_store_remove(reading->conform->store, reading->name, error);
}

static gboolean check_remove_while_reading(Conform *conform, GError **error)
{
  for (int round = 0; round < 4; round++) {
    g_autofree char *name = hf_scratch_name(&conform->scratch, "reading/%d", round);
    Reading reading = { .conform = conform, .name = name };
    if (!hf_content_put(conform->store, name, READING_BYTES, SEED, 65536, error) ||
        !hf_scratch_run(4, read_or_remove, &reading, error) || !expect_missing(conform, conform->store, name, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean check_remove(Conform *conform, GError **error)
{
  g_autofree char *name = hf_scratch_name(&conform->scratch, "remove/object");
  for (int round = 0; round < 3; round++) {
    GError *why = NULL;
    if (!hf_content_put(conform->store, name, 1234, SEED, 1234, error) ||
        !expect_object(conform->store, name, 1234, SEED, error) ||
        !expect_object(conform->second, name, 1234, SEED, error) || !hf_store_remove(conform->store, name, error) ||
        !expect_missing(conform, conform->store, name, error))
      return FALSE;
    hf_store_remove(conform->second, name, &why);
    if (!expect_error(why, HF_ERROR_NOT_FOUND, "removing an object twice", error))
      return FALSE;
  }
  return TRUE;
}

static gboolean remove_listed(const char *name, guint64 size G_GNUC_UNUSED, gpointer user, GError **error)
{
  return hf_store_remove(user, name, error);
}

static gboolean check_remove_while_listing(Conform *conform, GError **error)
{
  for (guint i = 0; i < 60; i++) {
    g_autofree char *name = hf_scratch_name(&conform->scratch, "unlist/%u/%u", i % 3, i);
    if (!hf_content_put(conform->store, name, 1, SEED, 1, error))
      return FALSE;
  }
  g_autofree char *prefix = hf_scratch_name(&conform->scratch, "unlist/");
  return hf_store_list(conform->store, prefix, remove_listed, conform->store, error) &&
         expect_count(conform->second, &conform->scratch, "unlist/", 0, error);
}

/* Folders come and go with their last object: that must never hit somebody else's put. */
static gboolean come_and_go(guint number, gpointer user, GError **error)
{
  Conform *conform = user;
  HfStore *store = number % 2 == 0 ? conform->store : conform->second;
  for (guint i = 0; i < 40; i++) {
    g_autofree char *name = hf_scratch_name(&conform->scratch, "come/and/go/%u", number);
    if (!hf_content_put(store, name, 10, number, 10, error) || !expect_object(store, name, 10, number, error) ||
        !hf_store_remove(store, name, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean check_come_and_go(Conform *conform, GError **error)
{
  return hf_scratch_run(HF_SCRATCH_THREADS, come_and_go, conform, error) &&
         expect_count(conform->store, &conform->scratch, "come/", 0, error);
}

static gboolean check_usage(Conform *conform, GError **error)
{
  HfStoreUsage usage;
  if (!hf_store_usage(conform->store, &usage, error))
    return FALSE;
  return usage.bytes_free <= usage.bytes_total ||
         hf_fail(error, HF_ERROR_FAILED, "the store has more free bytes than bytes");
}

/* Last: nothing of all this stays. */
static gboolean check_clean(Conform *conform, GError **error)
{
  return hf_scratch_clean(&conform->scratch, error) && expect_count(conform->store, &conform->scratch, "", 0, error) &&
         expect_count(conform->second, &conform->scratch, "", 0, error);
}

/* ---- The suite. ---- */

static const struct {
  const char *name;
  gboolean (*run)(Conform *conform, GError **error);
  guint needs; /* HfStoreFeature bits */
} checks[] = {
  { "a second handle opens", check_second, 0 },
  { "what is missing is not found", check_missing, 0 },
  { "objects of all sizes", check_sizes, 0 },
  { "a large object", check_large, 0 },
  { "ranges, also outside of the object", check_ranges, 0 },
  { "the limit of a whole read", check_limit, 0 },
  { "names", check_names, 0 },
  { "the longest name", check_long_names, 0 },
  { "an abort leaves nothing", check_abort, 0 },
  { "creation is exclusive", check_exclusive, HF_STORE_EXCLUSIVE },
  { "creation is exclusive among threads", check_races, HF_STORE_EXCLUSIVE },
  { "read after write", check_read_after_write, 0 },
  { "listings", check_listing, 0 },
  { "many objects by many threads", check_many, 0 },
  { "parallel reads", check_parallel_reads, 0 },
  { "removal while being read", check_remove_while_reading, 0 },
  { "removal", check_remove, 0 },
  { "removal while being listed", check_remove_while_listing, 0 },
  { "folders come and go", check_come_and_go, 0 },
  { "free space", check_usage, 0 },
  { "nothing is left behind", check_clean, 0 },
};

static void no_report(const char *check G_GNUC_UNUSED, gboolean passed G_GNUC_UNUSED,
                      const char *detail G_GNUC_UNUSED, gpointer user G_GNUC_UNUSED)
{
}

gboolean hf_store_conform(HfStore *store, HfStoreConformReport report, gpointer user, GError **error)
{
  Conform conform = { .store = store };
  g_autoptr(GError) first = NULL;
  report = report != NULL ? report : no_report;
  hf_scratch_init(&conform.scratch, store);
  g_autoptr(HfStore) second = hf_store_open(store->location, FALSE, &conform.no_second);
  conform.second = second != NULL ? second : store;
  for (gsize i = 0; i < G_N_ELEMENTS(checks); i++) {
    if ((store->features & checks[i].needs) != checks[i].needs) {
      report(checks[i].name, TRUE, "left out: the store does not promise it", user);
      continue;
    }
    g_autoptr(GError) why = NULL;
    gboolean passed = checks[i].run(&conform, &why);
    report(checks[i].name, passed, passed ? NULL : why->message, user);
    if (!passed && first == NULL)
      hf_fail(&first, HF_ERROR_FAILED, "storage '%s' does not keep the promise '%s': %s", store->location,
              checks[i].name, why->message);
  }
  g_clear_error(&conform.no_second);
  hf_scratch_clear(&conform.scratch);
  if (first == NULL)
    return TRUE;
  g_propagate_error(error, g_steal_pointer(&first));
  return FALSE;
}
