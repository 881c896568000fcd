/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/clock.h"
#include "storage/wrap/pass.h"
#include "storage/wrap/wrap.h"

#define SMALLEST_BURST (64 * 1024)

typedef struct Bucket {
  guint64 rate;  /* bytes a second; 0: no bound */
  GMutex mutex;  /* guards what follows */
  double tokens; /* below 0: bytes promised to calls that are still waiting */
  gint64 filled_us;
} Bucket;

typedef struct Throttle {
  HfPass pass;
  Bucket write, read;
} Throttle;

static void bucket_init(Bucket *bucket, guint64 rate)
{
  g_mutex_init(&bucket->mutex);
  bucket->rate = rate;
  bucket->tokens = (double)rate;
  bucket->filled_us = hf_clock_monotonic_us();
}

/* Waits until `length` bytes may pass. Callers queue up behind each other by driving the bucket below zero. */
static void bucket_take(Bucket *bucket, gsize length)
{
  double rate = (double)bucket->rate;
  g_mutex_lock(&bucket->mutex);
  gint64 now = hf_clock_monotonic_us();
  bucket->tokens = MIN(rate, bucket->tokens + (double)(now - bucket->filled_us) * rate / 1e6);
  bucket->filled_us = now;
  bucket->tokens -= (double)length;
  double missing = -bucket->tokens;
  g_mutex_unlock(&bucket->mutex);
  if (missing > 0)
    g_usleep((gulong)(missing * 1e6 / rate));
}

static gsize burst(const Bucket *bucket)
{
  return (gsize)MAX(bucket->rate / 4, SMALLEST_BURST);
}

static gboolean write_cut(HfPut *put, const struct iovec *piece, Bucket *bucket, GError **error)
{
  for (gsize at = 0; at < piece->iov_len;) {
    struct iovec part = { (guint8 *)piece->iov_base + at, MIN(piece->iov_len - at, burst(bucket)) };
    bucket_take(bucket, part.iov_len);
    if (!hf_pass_put_write(put, &part, 1, error))
      return FALSE;
    at += part.iov_len;
  }
  return TRUE;
}

static gboolean throttle_put_write(HfPut *put, const struct iovec *vector, int count, GError **error)
{
  Bucket *bucket = &((Throttle *)put->store)->write;
  gsize length = 0;
  for (int i = 0; i < count; i++)
    length += vector[i].iov_len;
  if (bucket->rate == 0 || length <= burst(bucket)) {
    if (bucket->rate > 0)
      bucket_take(bucket, length);
    return hf_pass_put_write(put, vector, count, error);
  }
  for (int i = 0; i < count; i++)
    if (!write_cut(put, &vector[i], bucket, error))
      return FALSE;
  return TRUE;
}

static gboolean throttle_get(HfStore *store, const char *name, guint64 offset, void *bytes, gsize length,
                             GError **error)
{
  Bucket *bucket = &((Throttle *)store)->read;
  if (bucket->rate == 0)
    return hf_pass_get(store, name, offset, bytes, length, error);
  for (gsize at = 0; at < length;) {
    gsize part = MIN(length - at, burst(bucket));
    bucket_take(bucket, part);
    if (!hf_pass_get(store, name, offset + at, (guint8 *)bytes + at, part, error))
      return FALSE;
    at += part;
  }
  return TRUE;
}

static void throttle_free(HfStore *store)
{
  Throttle *throttle = (Throttle *)store;
  g_mutex_clear(&throttle->write.mutex);
  g_mutex_clear(&throttle->read.mutex);
  hf_pass_free(store);
}

static const HfStoreOps throttle_ops = {
  .put_begin = hf_pass_put_begin,
  .put_write = throttle_put_write,
  .put_read = hf_pass_put_read,
  .put_commit = hf_pass_put_commit,
  .put_free = hf_pass_put_free,
  .get = throttle_get,
  .size = hf_pass_size,
  .list = hf_pass_list,
  .remove = hf_pass_remove,
  .free = throttle_free,
  .usage = hf_pass_usage,
  .held = hf_pass_held,
  .sink_open = hf_pass_sink_open,
};

HfStore *hf_wrap_throttle(HfStore *inner, guint64 write_rate, guint64 read_rate)
{
  Throttle *throttle = g_new0(Throttle, 1);
  hf_pass_init(&throttle->pass, &throttle_ops, inner);
  bucket_init(&throttle->write, write_rate);
  bucket_init(&throttle->read, read_rate);
  return &throttle->pass.store;
}
