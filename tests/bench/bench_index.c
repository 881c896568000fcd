/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The index at size: makes runs of N blobs in all below FOLDER (an empty one), opens the index, and measures memory,
 * look-ups a second and pages read.  usage: bench_index FOLDER N   -> one JSON object
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "repo/index.h"
#include "repo/indexrun.h"
#include "repo/objects.h"
#include "storage/local/local.h"

#define RUNS 4u
#define PACKS 4096u
#define LOOKUPS 400000u
#define CACHE_BYTES (4u << 20) /* of pages: repo/index.h I4 */

static guint64 page_reads;

/* Blob number `i` of `n`: ids spread evenly, so that they come out sorted. */
static void make_id(guint64 i, guint64 n, HfId *id)
{
  guint64 step = G_MAXUINT64 / n, number[2] = { i, n };
  guint8 digest[32];
  hf_sha256(number, sizeof number, digest);
  memcpy(id->b, digest, sizeof digest);
  hf_store_be64(id->b, i * step + hf_load_u64(digest) % step);
}

static gboolean make_run(HfStore *store, guint64 n, guint run, const HfIndexPack *packs, GError **error)
{
  g_autoptr(HfRunWriter) writer = hf_run_writer_new(store, n / RUNS + 1, error);
  if (!writer)
    return FALSE;
  for (guint64 i = run; i < n; i += RUNS) {
    HfId id;
    HfIndexEntry entry = { .pack = (guint32)(i % PACKS), .offset = (guint32)(i / PACKS % 60000) * 1000 + 500,
                           .stored_length = 1000, .blob = (guint16)(i % 50) };
    make_id(i, n, &id);
    memcpy(entry.key, id.b, sizeof entry.key);
    if (!hf_run_writer_add(writer, &entry, error))
      return FALSE;
  }
  g_autofree char *name = hf_run_writer_finish(writer, packs, PACKS, NULL, 0, error);
  return name != NULL;
}

static gboolean make_index(HfStore *store, guint64 n, GError **error)
{
  g_autofree HfIndexPack *packs = g_new0(HfIndexPack, PACKS);
  for (guint i = 0; i < PACKS; i++) {
    char name[HF_NAME_BYTES];
    packs[i] = (HfIndexPack){ .kind = HF_PACK_DATA, .domain = 1, .length = 64 << 20 };
    hf_random(&packs[i].id, sizeof packs[i].id);
    hf_name_pack(name, HF_PACK_DATA, &packs[i].id);
    if (!hf_store_put(store, name, "", 0, error))
      return FALSE;
  }
  for (guint run = 0; run < RUNS; run++)
    if (!make_run(store, n, run, packs, error))
      return FALSE;
  return TRUE;
}

/* Kilobytes of anonymous memory of this process. */
static guint64 anonymous_kib(void)
{
  g_autofree char *text = NULL;
  if (!g_file_get_contents("/proc/self/smaps_rollup", &text, NULL, NULL))
    return 0;
  const char *line = strstr(text, "\nAnonymous:");
  return line ? g_ascii_strtoull(line + strlen("\nAnonymous:") + strspn(line + strlen("\nAnonymous:"), " "), NULL, 10)
              : 0;
}

static gboolean (*plain_get)(HfStore *, const char *, guint64, void *, gsize, GError **);

static gboolean counting_get(HfStore *store, const char *name, guint64 offset, void *bytes, gsize length,
                             GError **error)
{
  page_reads++;
  return plain_get(store, name, offset, bytes, length, error);
}

static double look_up(HfIndex *index, guint64 n, gboolean present, guint64 *hits)
{
  guint64 state = 88172645463325252u;
  gint64 begun = hf_clock_monotonic_us();
  for (guint i = 0; i < LOOKUPS; i++) {
    HfId id;
    HfLocation location;
    gboolean found = FALSE;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    make_id(state % n, n, &id);
    if (!present)
      id.b[9] ^= 0x55; /* what the filters look at */
    if (hf_index_find(index, 1, &id, 0, &found, &location, NULL))
      *hits += found;
  }
  return (double)(hf_clock_monotonic_us() - begun) / G_USEC_PER_SEC;
}

static gboolean measure(const char *folder, guint64 n, GError **error)
{
  guint64 hits = 0, ghosts = 0;
  g_autoptr(HfStore) store = hf_store_open(folder, TRUE, error);
  if (!store || !make_index(store, n, error))
    return FALSE;
  HfStoreOps counting = *store->ops;
  plain_get = counting.get;
  counting.get = counting_get;
  store->ops = &counting;
  guint64 before = anonymous_kib();
  gint64 begun = hf_clock_monotonic_us();
  g_autoptr(HfIndex) index = hf_index_open(store, NULL, error);
  if (!index)
    return FALSE;
  double opening = (double)(hf_clock_monotonic_us() - begun) / G_USEC_PER_SEC;
  page_reads = 0;
  double present = look_up(index, n, TRUE, &hits);
  guint64 present_reads = page_reads;
  page_reads = 0;
  double absent = look_up(index, n, FALSE, &ghosts);
  guint64 memory = (anonymous_kib() - before) * 1024;
  printf("{\"blobs\": %" G_GUINT64_FORMAT ", \"runs\": %u, \"open_seconds\": %.2f, \"anon_bytes\": %" G_GUINT64_FORMAT
         ", \"cache_bytes\": %u, \"found\": %" G_GUINT64_FORMAT ", \"lookups\": %u, \"page_reads\": %" G_GUINT64_FORMAT
         ", \"seconds\": %.3f, \"absent_page_reads\": %" G_GUINT64_FORMAT
         ", \"absent_seconds\": %.3f, \"wrong\": %" G_GUINT64_FORMAT "}\n",
         n, hf_index_runs(index), opening, memory, CACHE_BYTES, hits, LOOKUPS, present_reads, present, page_reads,
         absent, ghosts);
  return TRUE;
}

int main(int argc, char **argv)
{
  g_autoptr(GError) error = NULL;
  if (argc != 3) {
    fprintf(stderr, "usage: bench_index FOLDER BLOBS\n");
    return 2;
  }
  hf_local_register();
  if (hf_crypto_init(&error) && measure(argv[1], g_ascii_strtoull(argv[2], NULL, 10), &error))
    return 0;
  fprintf(stderr, "bench_index: %s\n", error->message);
  return 1;
}
