/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/tasks/far.h"

#include <string.h>
#include <sys/resource.h>

#include "agent/tasks/busy.h"
#include "base/clock.h"
#include "base/error.h"

/* All are made at once, and the store says hello before they are there: round trips count. */
static GPtrArray *begin_links(HfWorker *worker, const HfWorkRepository *where, GError **error)
{
  g_autoptr(GPtrArray) channels = g_ptr_array_new_with_free_func((GDestroyNotify)hf_channel_free);
  if (where->links == 0 || where->links > HF_TASK_LINKS_MAX) {
    hf_fail(error, HF_ERROR_USAGE, "the order gives %u connections to '%s'", where->links, where->location);
    return NULL;
  }
  for (guint i = 0; i < where->links; i++) {
    HfChannel *channel = hf_worker_link_begin(worker, where->first_link + i, where->location, error);
    if (channel == NULL)
      return NULL;
    g_ptr_array_add(channels, channel);
  }
  return g_steal_pointer(&channels);
}

/* Of a store that cannot be opened: a link that was not made says more than that it was closed. */
static gboolean fail_open(HfWorker *worker, const HfWorkRepository *where, GError *why, GError **error)
{
  for (guint i = 0; i < where->links; i++) {
    g_autoptr(GError) cause = NULL;
    if (hf_worker_link_joined(worker, where->first_link + i, &cause))
      continue;
    g_clear_error(&why);
    why = g_steal_pointer(&cause);
    break;
  }
  g_propagate_error(error, why);
  return FALSE;
}

static HfStore *open_store(HfWorker *worker, const HfWorkRepository *where, HfThrottle *throttle, GError **error)
{
  GError *why = NULL;
  GPtrArray *channels = begin_links(worker, where, error);
  if (channels == NULL)
    return NULL;
  g_autofree char *cache = g_build_filename(hf_worker_state(worker), "index", NULL);
  HfServiceOptions options = { .location = where->location, .cache_folder = cache,
                               .cancel = hf_worker_cancel(worker), .throttle = throttle, .links = TRUE };
  HfStore *store = hf_service_store_new(channels, &options, &why);
  if (store == NULL)
    (void)fail_open(worker, where, why, error);
  return store;
}

static gboolean check_fingerprint(const HfRepo *repo, const HfWorkRepository *where, GError **error)
{
  static const HfShortId none = { { 0 } };
  if (hf_short_id_equal(&where->fingerprint, &none) || hf_short_id_equal(&where->fingerprint, &repo->fingerprint))
    return TRUE;
  return hf_fail(error, HF_ERROR_REFUSED,
                 "'%s' is another repository than the one that the server knows; rescan it if that is meant to be",
                 where->location);
}

HfFar *hf_far_open(HfWorker *worker, const HfWorkRepository *where, const HfWorkKey *key, HfThrottle *throttle,
                   GError **error)
{
  hf_busy_start();
  HfStore *store = open_store(worker, where, throttle, error);
  if (store == NULL)
    return NULL;
  g_autoptr(HfFar) far = g_new0(HfFar, 1);
  far->worker = worker;
  far->begun = hf_clock_monotonic_us();
  HfUnlock unlock = { .kind = HF_UNLOCK_KEY_FILE };
  if (key != NULL) {
    unlock.text = key->text;
    unlock.length = strlen(key->text);
  }
  HfRepoOptions repo_options = { .unlock = key != NULL ? &unlock : NULL,
                                 .report = hf_worker_report(worker),
                                 .cancel = hf_worker_cancel(worker) };
  far->repo = hf_repo_open(store, &repo_options, error);
  return far->repo != NULL && check_fingerprint(far->repo, where, error) ? g_steal_pointer(&far) : NULL;
}

void hf_far_free(HfFar *far)
{
  if (far == NULL)
    return;
  hf_worker_measure(far->worker, NULL, NULL);
  hf_repo_free(far->repo);
  g_free(far);
}

gboolean hf_far_key(HfWorker *worker, HfWorkKey *key, GError **error)
{
  HfView secret = hf_worker_secret(worker);
  return hf_work_key_decode_bytes(secret.data, secret.length, key, error);
}

gboolean hf_far_result(GBytes *encoded, GByteArray *out)
{
  if (encoded == NULL)
    return FALSE;
  g_byte_array_append(out, g_bytes_get_data(encoded, NULL), (guint)g_bytes_get_size(encoded));
  g_bytes_unref(encoded);
  return TRUE;
}

static guint64 processor_us(void)
{
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (guint64)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * G_USEC_PER_SEC +
    (guint64)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static GBytes *measure(gpointer user)
{
  const HfFar *far = user;
  g_auto(HfWorkFigures) figures = { 0 };
  hf_far_figures(far, &figures);
  if (far->other != NULL)
    hf_far_figures(far->other, &figures);
  return hf_work_figures_encode(&figures, NULL);
}

void hf_far_tell(HfFar *far, const HfFar *other)
{
  far->other = other;
  hf_worker_measure(far->worker, measure, far);
}

void hf_far_figures(const HfFar *far, HfWorkFigures *figures)
{
  HfServiceTraffic traffic = hf_service_traffic(far->repo->store);
  figures->duration = (guint64)(hf_clock_monotonic_us() - far->begun);
  figures->source = hf_busy_reading_us();
  figures->proxy = processor_us();
  figures->network += traffic.waited_us;
  figures->target += traffic.busy_us;
  figures->written = hf_busy_writing_us();
  figures->throttle += traffic.held_us;
  figures->sent += traffic.sent;
  figures->received += traffic.received;
}
