/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "storage/wrap/pass.h"
#include "storage/wrap/wrap.h"

#define FIRST_WAIT_US (100 * 1000)
#define LONGEST_WAIT_US (5000 * 1000)
#define CANCEL_POLL_US (20 * 1000)
#define COMPARE_BYTES (256 * 1024)

typedef struct Retry {
  HfPass pass;
  guint tries;
  HfCancel *cancel;
} Retry;

typedef struct RetryPut {
  HfPassPut pass;
  gboolean uncertain; /* a commit failed in a way that leaves open whether the object is there */
} RetryPut;

/* ---- Waiting. ---- */

static gboolean wait_us(HfCancel *cancel, gint64 duration, GError **error)
{
  gint64 end = hf_clock_monotonic_us() + duration;
  for (gint64 left = duration; left > 0; left = end - hf_clock_monotonic_us()) {
    if (hf_cancelled(cancel, error))
      return FALSE;
    g_usleep((gulong)MIN(left, CANCEL_POLL_US));
  }
  return TRUE;
}

/* After the call number `tried` failed with `why`, which is taken: TRUE when it is to be tried again, now. */
static gboolean try_again(Retry *retry, guint tried, GError *why, GError **error)
{
  if (hf_error_is(why, HF_ERROR_IO) && tried < retry->tries) {
    g_error_free(why);
    gint64 duration = (gint64)FIRST_WAIT_US << MIN(tried - 1, 16);
    return wait_us(retry->cancel, MIN(duration, LONGEST_WAIT_US), error);
  }
  if (tried > 1)
    g_prefix_error(&why, "tried %u times: ", tried);
  g_propagate_error(error, why);
  return FALSE;
}

/* ---- Writing. ---- */

static HfPut *retry_put_begin(HfStore *store, const char *name, GError **error)
{
  for (guint tried = 1;; tried++) {
    GError *why = NULL;
    HfPut *put = hf_pass_put_new(store, name, sizeof(RetryPut), &why);
    if (put != NULL || !try_again((Retry *)store, tried, why, error))
      return put;
  }
}

static gboolean retry_put_read(HfPut *put, guint64 offset, void *bytes, gsize length, GError **error)
{
  for (guint tried = 1;; tried++) {
    GError *why = NULL;
    if (hf_pass_put_read(put, offset, bytes, length, &why))
      return TRUE;
    if (!try_again((Retry *)put->store, tried, why, error))
      return FALSE;
  }
}

/* Whether the object that is there holds the bytes of this put. A failure says that this could not be found out. */
static gboolean compare(HfPut *put, gboolean *same, GError **error)
{
  HfStore *inner = hf_pass_inner(put->store);
  guint64 size;
  *same = FALSE;
  if (!hf_store_size(inner, put->name, &size, error))
    return FALSE;
  if (size != put->length)
    return TRUE;
  g_autofree guint8 *ours = g_malloc(COMPARE_BYTES);
  g_autofree guint8 *theirs = g_malloc(COMPARE_BYTES);
  for (guint64 at = 0; at < size; at += COMPARE_BYTES) {
    gsize length = (gsize)MIN(size - at, COMPARE_BYTES);
    if (!hf_pass_put_read(put, at, ours, length, error) || !hf_store_get(inner, put->name, at, theirs, length, error))
      return FALSE;
    if (memcmp(ours, theirs, length) != 0)
      return TRUE;
  }
  *same = TRUE;
  return TRUE;
}

static gboolean commit_once(RetryPut *put, GError **error)
{
  HfPut *base = &put->pass.put;
  g_autoptr(GError) why = NULL;
  if (hf_pass_put_commit(base, &why))
    return TRUE;
  if (hf_error_is(why, HF_ERROR_IO))
    put->uncertain = TRUE;
  else if (hf_error_is(why, HF_ERROR_EXISTS) && put->uncertain) {
    gboolean same;
    if (!compare(base, &same, error))
      return FALSE;
    if (same)
      return TRUE;
  }
  g_propagate_error(error, g_steal_pointer(&why));
  return FALSE;
}

static gboolean retry_put_commit(HfPut *put, GError **error)
{
  for (guint tried = 1;; tried++) {
    GError *why = NULL;
    if (commit_once((RetryPut *)put, &why))
      return TRUE;
    if (!try_again((Retry *)put->store, tried, why, error))
      return FALSE;
  }
}

/* ---- Reading. ---- */

static gboolean retry_get(HfStore *store, const char *name, guint64 offset, void *bytes, gsize length, GError **error)
{
  for (guint tried = 1;; tried++) {
    GError *why = NULL;
    if (hf_pass_get(store, name, offset, bytes, length, &why))
      return TRUE;
    if (!try_again((Retry *)store, tried, why, error))
      return FALSE;
  }
}

static gboolean retry_size(HfStore *store, const char *name, guint64 *size, GError **error)
{
  for (guint tried = 1;; tried++) {
    GError *why = NULL;
    if (hf_pass_size(store, name, size, &why))
      return TRUE;
    if (!try_again((Retry *)store, tried, why, error))
      return FALSE;
  }
}

static gboolean retry_usage(HfStore *store, HfStoreUsage *usage, GError **error)
{
  for (guint tried = 1;; tried++) {
    GError *why = NULL;
    if (hf_pass_usage(store, usage, &why))
      return TRUE;
    if (!try_again((Retry *)store, tried, why, error))
      return FALSE;
  }
}

typedef struct Listing {
  GStringChunk *names;
  GArray *items;
} Listing;

typedef struct ListItem {
  const char *name;
  guint64 size;
} ListItem;

static gboolean collect(const char *name, guint64 size, gpointer user, GError **error G_GNUC_UNUSED)
{
  Listing *listing = user;
  ListItem item = { g_string_chunk_insert(listing->names, name), size };
  g_array_append_val(listing->items, item);
  return TRUE;
}

static gboolean collect_all(HfStore *store, const char *prefix, Listing *listing, GError **error)
{
  for (guint tried = 1;; tried++) {
    GError *why = NULL;
    if (hf_pass_list(store, prefix, collect, listing, &why))
      return TRUE;
    g_string_chunk_clear(listing->names);
    g_array_set_size(listing->items, 0);
    if (!try_again((Retry *)store, tried, why, error))
      return FALSE;
  }
}

/* Collects first, so that a listing that broke off and began anew hands no name on twice. */
static gboolean retry_list(HfStore *store, const char *prefix, HfStoreListFunc func, gpointer user, GError **error)
{
  g_autoptr(GStringChunk) names = g_string_chunk_new(4096);
  g_autoptr(GArray) items = g_array_new(FALSE, FALSE, sizeof(ListItem));
  Listing listing = { names, items };
  if (!collect_all(store, prefix, &listing, error))
    return FALSE;
  for (guint i = 0; i < items->len; i++) {
    const ListItem *item = &g_array_index(items, ListItem, i);
    if (!func(item->name, item->size, user, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean retry_remove(HfStore *store, const char *name, GError **error)
{
  for (guint tried = 1;; tried++) {
    GError *why = NULL;
    if (hf_pass_remove(store, name, &why))
      return TRUE;
    if (tried > 1 && hf_error_is(why, HF_ERROR_NOT_FOUND)) {
      g_error_free(why);
      return TRUE;
    }
    if (!try_again((Retry *)store, tried, why, error))
      return FALSE;
  }
}

static const HfStoreOps retry_ops = {
  .put_begin = retry_put_begin,
  .put_write = hf_pass_put_write,
  .put_read = retry_put_read,
  .put_commit = retry_put_commit,
  .put_free = hf_pass_put_free,
  .get = retry_get,
  .size = retry_size,
  .list = retry_list,
  .remove = retry_remove,
  .free = hf_pass_free,
  .usage = retry_usage,
  .held = hf_pass_held,
  .sink_open = hf_pass_sink_open,
};

HfStore *hf_wrap_retry(HfStore *inner, guint tries, HfCancel *cancel)
{
  Retry *retry = g_new0(Retry, 1);
  hf_pass_init(&retry->pass, &retry_ops, inner);
  retry->tries = tries;
  retry->cancel = cancel;
  return &retry->pass.store;
}
