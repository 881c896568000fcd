/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The rates of a store, as `holdfast benchmark --storage` prints them. */
#include "base/clock.h"
#include "storage/conform.h"
#include "storage/scratch.h"

#define SMALL (4 * 1024)
#define LARGE (64 * 1024 * 1024)
#define PIECE (1024 * 1024)
#define MOST_SMALL 100000
#define MOST_LARGE 4

typedef struct Measure {
  HfScratch scratch;
  HfStore *store;
  double seconds;
  const guint8 *bytes; /* PIECE bytes that do not compress */
  gint64 end_us;       /* of the line being measured */
  guint threads;
  gint next;           /* atomic: the number of the next object */
  gint small, large;   /* objects there are */
  guint64 *operations; /* one a thread */
} Measure;

static gboolean time_is_up(const Measure *measure)
{
  return hf_clock_monotonic_us() >= measure->end_us;
}

static char *small_name(Measure *measure, gint number)
{
  return hf_scratch_name(&measure->scratch, "small/%02x/%d", number % 16, number);
}

/* Runs `func` for the time of one line, and fills in that line. At least one operation a thread is made. */
static gboolean run_line(Measure *measure, HfStoreRates *rates, const char *what, guint threads, gsize unit,
                         HfScratchFunc func, GError **error)
{
  guint64 operations[HF_SCRATCH_THREADS] = { 0 };
  gint64 begin = hf_clock_monotonic_us();
  measure->threads = threads;
  measure->operations = operations;
  measure->end_us = begin + (gint64)(measure->seconds * 1e6);
  if (!hf_scratch_run(threads, func, measure, error))
    return FALSE;
  HfStoreRate *row = &rates->rows[rates->count++];
  *row = (HfStoreRate){ .what = what, .threads = threads };
  row->seconds = (double)(hf_clock_monotonic_us() - begin) / 1e6;
  for (guint i = 0; i < threads; i++)
    row->operations += operations[i];
  row->bytes = row->operations * unit;
  return TRUE;
}

static gboolean put_small(guint number, gpointer user, GError **error)
{
  Measure *measure = user;
  do {
    gint next = g_atomic_int_add(&measure->next, 1);
    g_autofree char *name = small_name(measure, next);
    if (!hf_store_put(measure->store, name, measure->bytes, SMALL, error))
      return FALSE;
    measure->operations[number]++;
    if (next >= MOST_SMALL)
      break;
  } while (!time_is_up(measure));
  return TRUE;
}

static gboolean get_small(guint number, gpointer user, GError **error)
{
  Measure *measure = user;
  HfScratch numbers = { .random = number * G_GUINT64_CONSTANT(1000003) };
  guint8 bytes[SMALL];
  do {
    g_autofree char *name = small_name(measure, (gint)hf_scratch_random(&numbers, (guint64)measure->small));
    if (!hf_store_get(measure->store, name, 0, bytes, SMALL, error))
      return FALSE;
    measure->operations[number]++;
  } while (!time_is_up(measure));
  return TRUE;
}

static gboolean put_large(guint number, gpointer user, GError **error)
{
  Measure *measure = user;
  struct iovec vector = { (void *)measure->bytes, PIECE };
  do {
    g_autofree char *name = hf_scratch_name(&measure->scratch, "large/%d", measure->large);
    g_autoptr(HfPut) put = hf_put_begin(measure->store, name, error);
    if (put == NULL)
      return FALSE;
    for (int i = 0; i < LARGE / PIECE; i++)
      if (!hf_put_write(put, &vector, 1, error))
        return FALSE;
    if (!hf_put_commit(put, error))
      return FALSE;
    measure->operations[number]++;
  } while (++measure->large < MOST_LARGE && !time_is_up(measure));
  return TRUE;
}

static gboolean get_large(guint number, gpointer user, GError **error)
{
  Measure *measure = user;
  g_autofree guint8 *bytes = g_malloc(PIECE);
  for (guint64 at = 0; at == 0 || !time_is_up(measure); at++) {
    guint64 object = at / (LARGE / PIECE) % (guint64)measure->large;
    g_autofree char *name = hf_scratch_name(&measure->scratch, "large/%" G_GUINT64_FORMAT, object);
    if (!hf_store_get(measure->store, name, at % (LARGE / PIECE) * PIECE, bytes, PIECE, error))
      return FALSE;
    measure->operations[number]++;
  }
  return TRUE;
}

static gboolean get_pieces(guint number, gpointer user, GError **error)
{
  Measure *measure = user;
  HfScratch numbers = { .random = number * G_GUINT64_CONSTANT(1000003) };
  guint8 bytes[SMALL];
  do {
    guint64 object = hf_scratch_random(&numbers, (guint64)measure->large);
    g_autofree char *name = hf_scratch_name(&measure->scratch, "large/%" G_GUINT64_FORMAT, object);
    guint64 offset = hf_scratch_random(&numbers, LARGE / SMALL) * SMALL;
    if (!hf_store_get(measure->store, name, offset, bytes, SMALL, error))
      return FALSE;
    measure->operations[number]++;
  } while (!time_is_up(measure));
  return TRUE;
}

static gboolean count_one(const char *name G_GNUC_UNUSED, guint64 size G_GNUC_UNUSED, gpointer user,
                          GError **error G_GNUC_UNUSED)
{
  ++*(guint64 *)user;
  return TRUE;
}

static gboolean list_small(guint number, gpointer user, GError **error)
{
  Measure *measure = user;
  g_autofree char *prefix = hf_scratch_name(&measure->scratch, "small/");
  do {
    if (!hf_store_list(measure->store, prefix, count_one, &measure->operations[number], error))
      return FALSE;
  } while (!time_is_up(measure));
  return TRUE;
}

/* All of them, however long it takes: they have to go anyway. */
static gboolean remove_small(guint number, gpointer user, GError **error)
{
  Measure *measure = user;
  for (gint next = (gint)number; next < measure->small; next += (gint)measure->threads) {
    g_autofree char *name = small_name(measure, next);
    if (!hf_store_remove(measure->store, name, error))
      return FALSE;
    measure->operations[number]++;
  }
  return TRUE;
}

static gboolean run_lines(Measure *measure, HfStoreRates *rates, GError **error)
{
  if (!run_line(measure, rates, "put 4 KiB", 1, SMALL, put_small, error) ||
      !run_line(measure, rates, "put 4 KiB", HF_SCRATCH_THREADS, SMALL, put_small, error))
    return FALSE;
  measure->small = measure->next;
  return run_line(measure, rates, "get 4 KiB", HF_SCRATCH_THREADS, SMALL, get_small, error) &&
         run_line(measure, rates, "put 64 MiB", 1, LARGE, put_large, error) &&
         run_line(measure, rates, "get 1 MiB of 64 MiB in order", 1, PIECE, get_large, error) &&
         run_line(measure, rates, "get 4 KiB of 64 MiB at random", HF_SCRATCH_THREADS, SMALL, get_pieces, error) &&
         run_line(measure, rates, "list", 1, 0, list_small, error) &&
         run_line(measure, rates, "remove", HF_SCRATCH_THREADS, 0, remove_small, error);
}

gboolean hf_store_measure(HfStore *store, double seconds, HfStoreRates *rates, GError **error)
{
  Measure measure = { .store = store, .seconds = seconds };
  g_autofree guint8 *bytes = g_malloc(PIECE);
  *rates = (HfStoreRates){ .count = 0 };
  hf_scratch_init(&measure.scratch, store);
  hf_content_fill(measure.scratch.random, 0, bytes, PIECE);
  measure.bytes = bytes;
  gboolean measured = run_lines(&measure, rates, error);
  gboolean cleaned = hf_scratch_clean(&measure.scratch, measured ? error : NULL);
  hf_scratch_clear(&measure.scratch);
  return measured && cleaned;
}
