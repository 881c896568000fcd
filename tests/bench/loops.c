/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The honest limit of a backup on this machine: bare loops on all cores, without index, metadata or repository.
 *
 *   bench_loops a TREE           reads every file, hashes it (SHA-256), joins files to groups of 1 MiB,
 *                                compresses each group (zstd 3) and seals it (AES-256-GCM)
 *   bench_loops b TREE OUTPUT    also decompresses and compares each group before it is sealed, and writes the
 *                                sealed groups to OUTPUT
 *
 * TREE may be one file, for instance a disk image: it is cut into pieces, and pieces that are holes are skipped.
 * Walking and planning are done before the clock starts, contexts and buffers are kept for the life of a thread.
 * Prints one JSON object. Any error ends the program: a limit measured on half of the data is no limit.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "files.h"

enum {
  GROUP_SIZE = 1 << 20,  /* a group is closed when it reaches this many bytes */
  LARGE_FILE = 512 << 10,  /* a larger file is cut into groups of its own */
  GROUP_MAX = GROUP_SIZE + LARGE_FILE,
  HASH_SIZE = 32,
  KEY_SIZE = 32,
  NONCE_SIZE = 12,
  TAG_SIZE = 16,
  LEVEL = 3
};

/* Either `n_files` whole files from `first` on, or (n_files is 1) `length` bytes of one file from `offset` on. */
typedef struct {
  guint first;
  guint n_files;
  guint64 offset;
  gsize length;
} Group;

typedef struct {
  BenchFiles *files;
  GArray *groups;
  gboolean compare;
  int output;  /* -1 when nothing is written */
  gint next_group;  /* atomic */
  gsize output_end;  /* atomic */
} Plan;

typedef struct {
  Plan *plan;
  gnutls_hash_hd_t hash;
  gnutls_aead_cipher_hd_t cipher;
  ZSTD_CCtx *compressor;
  ZSTD_DCtx *decompressor;
  guint8 *plain;
  guint8 *packed;
  guint8 *sealed;
  guint8 *again;
  gsize packed_max;
  guint8 digest[HASH_SIZE];  /* of all files, by exclusive or: equal trees give equal digests in any order */
  guint64 bytes_in;
  guint64 bytes_out;
} Worker;

static void
check(gboolean ok, const char *what)
{
  if (ok)
    return;
  fprintf(stderr, "bench_loops: cannot %s: %s\n", what, errno != 0 ? g_strerror(errno) : "library error");
  exit(1);
}

static void
plan_large(Plan *plan, guint index, const BenchFile *file)
{
  int fd = openat(plan->files->root, file->path, O_RDONLY | O_CLOEXEC);
  check(fd >= 0, file->path);
  for (guint64 at = 0; at < file->size; at += GROUP_SIZE) {
    gsize length = MIN(GROUP_SIZE, file->size - at);
    off_t data = lseek(fd, (off_t)at, SEEK_DATA);
    if (data < 0 || (guint64)data >= at + length)
      continue;
    Group group = {index, 1, at, length};
    g_array_append_val(plan->groups, group);
  }
  close(fd);
}

static void
plan_groups(Plan *plan)
{
  Group open = {0};

  for (guint i = 0; i < plan->files->list->len; i++) {
    const BenchFile *file = &g_array_index(plan->files->list, BenchFile, i);
    gboolean large = file->size > LARGE_FILE;
    if (open.n_files > 0 && (large || open.length >= GROUP_SIZE)) {
      g_array_append_val(plan->groups, open);
      open = (Group){0};
    }
    if (large) {
      plan_large(plan, i, file);
      continue;
    }
    if (open.n_files == 0)
      open.first = i;
    open.n_files++;
    open.length += file->size;
  }
  if (open.n_files > 0)
    g_array_append_val(plan->groups, open);
}

static void
read_exactly(int root, const BenchFile *file, guint64 offset, guint8 *to, gsize length)
{
  int fd = openat(root, file->path, O_RDONLY | O_CLOEXEC);
  check(fd >= 0, file->path);
  while (length > 0) {
    ssize_t n = pread(fd, to, length, (off_t)offset);
    check(n > 0, file->path);
    to += n;
    offset += (guint64)n;
    length -= (gsize)n;
  }
  close(fd);
}

static void
hash_add(Worker *worker, const guint8 *data, gsize length)
{
  guint8 digest[HASH_SIZE];

  check(gnutls_hash(worker->hash, data, length) == 0, "hash");
  gnutls_hash_output(worker->hash, digest);
  for (guint i = 0; i < HASH_SIZE; i++)
    worker->digest[i] ^= digest[i];
}

static void
read_group(Worker *worker, const Group *group)
{
  BenchFiles *files = worker->plan->files;
  gsize at = 0;

  for (guint i = 0; i < group->n_files; i++) {
    const BenchFile *file = &g_array_index(files->list, BenchFile, group->first + i);
    gsize length = group->n_files == 1 ? group->length : file->size;
    read_exactly(files->root, file, group->offset, worker->plain + at, length);
    hash_add(worker, worker->plain + at, length);
    at += length;
  }
}

static void
seal_group(Worker *worker, const Group *group, guint number)
{
  gsize sealed_length = worker->packed_max + TAG_SIZE;
  guint8 nonce[NONCE_SIZE] = {0};
  gsize packed_length;

  packed_length = ZSTD_compress2(worker->compressor, worker->packed, worker->packed_max, worker->plain, group->length);
  check(!ZSTD_isError(packed_length), "compress");
  if (worker->plan->compare) {
    gsize n = ZSTD_decompressDCtx(worker->decompressor, worker->again, GROUP_MAX, worker->packed, packed_length);
    check(n == group->length && memcmp(worker->again, worker->plain, n) == 0, "get back what was compressed");
  }
  memcpy(nonce, &number, sizeof number);
  check(gnutls_aead_cipher_encrypt(worker->cipher, nonce, sizeof nonce, NULL, 0, TAG_SIZE, worker->packed,
                                   packed_length, worker->sealed, &sealed_length) == 0, "seal");
  worker->bytes_in += group->length;
  worker->bytes_out += sealed_length;
}

static void
write_group(Worker *worker, gsize length)
{
  gsize at = g_atomic_pointer_add(&worker->plan->output_end, (gssize)length);

  for (gsize done = 0; done < length;) {
    ssize_t n = pwrite(worker->plan->output, worker->sealed + done, length - done, (off_t)(at + done));
    check(n > 0, "write the output");
    done += (gsize)n;
  }
}

static gpointer
work(gpointer data)
{
  Worker *worker = data;
  Plan *plan = worker->plan;

  for (;;) {
    guint number = (guint)g_atomic_int_add(&plan->next_group, 1);
    if (number >= plan->groups->len)
      return NULL;
    const Group *group = &g_array_index(plan->groups, Group, number);
    guint64 before = worker->bytes_out;
    read_group(worker, group);
    seal_group(worker, group, number);
    if (plan->output >= 0)
      write_group(worker, worker->bytes_out - before);
  }
}

static void
worker_init(Worker *worker, Plan *plan)
{
  guint8 key_bytes[KEY_SIZE];
  gnutls_datum_t key = {key_bytes, sizeof key_bytes};

  worker->plan = plan;
  worker->packed_max = ZSTD_compressBound(GROUP_MAX);
  worker->plain = g_malloc(GROUP_MAX);
  worker->again = g_malloc(GROUP_MAX);
  worker->packed = g_malloc(worker->packed_max);
  worker->sealed = g_malloc(worker->packed_max + TAG_SIZE);
  worker->compressor = ZSTD_createCCtx();
  worker->decompressor = ZSTD_createDCtx();
  ZSTD_CCtx_setParameter(worker->compressor, ZSTD_c_compressionLevel, LEVEL);
  check(gnutls_rnd(GNUTLS_RND_KEY, key_bytes, sizeof key_bytes) == 0, "make a key");
  check(gnutls_hash_init(&worker->hash, GNUTLS_DIG_SHA256) == 0, "start the hash");
  check(gnutls_aead_cipher_init(&worker->cipher, GNUTLS_CIPHER_AES_256_GCM, &key) == 0, "start the cipher");
}

static void
worker_clear(Worker *worker)
{
  gnutls_aead_cipher_deinit(worker->cipher);
  gnutls_hash_deinit(worker->hash, NULL);
  ZSTD_freeDCtx(worker->decompressor);
  ZSTD_freeCCtx(worker->compressor);
  g_free(worker->sealed);
  g_free(worker->packed);
  g_free(worker->again);
  g_free(worker->plain);
}

/* Processor time of this process so far, user and system, in seconds. */
static double
cpu_seconds(void)
{
  struct rusage usage;

  check(getrusage(RUSAGE_SELF, &usage) == 0, "read the processor time");
  return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
         + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / G_USEC_PER_SEC;
}

static void
run(Plan *plan, const char *name)
{
  guint n_threads = g_get_num_processors();
  g_autofree Worker *workers = g_new0(Worker, n_threads);
  g_autofree GThread **threads = g_new0(GThread *, n_threads);
  guint8 digest[HASH_SIZE] = {0};
  guint64 bytes_in = 0, bytes_out = 0;
  gint64 start, end;

  for (guint i = 0; i < n_threads; i++)
    worker_init(&workers[i], plan);
  double cpu = cpu_seconds();
  start = g_get_monotonic_time();
  for (guint i = 0; i < n_threads; i++)
    threads[i] = g_thread_new("loop", work, &workers[i]);
  for (guint i = 0; i < n_threads; i++)
    g_thread_join(threads[i]);
  end = g_get_monotonic_time();
  cpu = cpu_seconds() - cpu;
  for (guint i = 0; i < n_threads; i++) {
    bytes_in += workers[i].bytes_in;
    bytes_out += workers[i].bytes_out;
    for (guint k = 0; k < HASH_SIZE; k++)
      digest[k] ^= workers[i].digest[k];
    worker_clear(&workers[i]);
  }
  printf("{\"loop\": \"%s\", \"threads\": %u, \"seconds\": %.3f, \"cpu_seconds\": %.3f, \"files\": %u, "
         "\"groups\": %u, \"bytes_in\": %" G_GUINT64_FORMAT ", \"bytes_out\": %" G_GUINT64_FORMAT ", \"digest\": \"",
         name, n_threads, (double)(end - start) / G_USEC_PER_SEC, cpu, plan->files->list->len, plan->groups->len,
         bytes_in, bytes_out);
  for (guint k = 0; k < HASH_SIZE; k++)
    printf("%02x", digest[k]);
  printf("\"}\n");
}

int
main(int argc, char **argv)
{
  Plan plan = {.output = -1};
  gboolean is_b = argc == 4 && strcmp(argv[1], "b") == 0;

  if (!is_b && !(argc == 3 && strcmp(argv[1], "a") == 0)) {
    fprintf(stderr, "usage: bench_loops a TREE | b TREE OUTPUT\n");
    return 2;
  }
  plan.files = bench_files_new(argv[2]);
  check(plan.files != NULL, argv[2]);
  plan.groups = g_array_new(FALSE, FALSE, sizeof(Group));
  plan.compare = is_b;
  plan_groups(&plan);
  if (is_b) {
    plan.output = open(argv[3], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    check(plan.output >= 0, argv[3]);
  }
  run(&plan, argv[1]);
  check(plan.output < 0 || close(plan.output) == 0, "close the output");
  g_array_unref(plan.groups);
  bench_files_free(plan.files);
  return 0;
}
