/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "storage/service/service.h"

#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/work.h"
#include "storage/service/private.h"
#include "storage/service/terms.h"

#define FRAME_MAX (20u << 20)   /* a stored frame, and the ids of its blobs */
#define WINDOW (32u << 20)      /* 200 ms at 1.2 Gbit/s, each connection */
#define MEMORY_MAX (512u << 20)
#define HELLO_SECONDS 60u /* it is waited for while the connection is being made */
#define FETCH_BYTES (1u << 20)  /* long reads are cut, so that several are under way */
#define FETCHES 8u
#define CONTENT_MAX (64u << 20) /* objects that are put or read whole */

void hf_service_rpc_options(HfRpcOptions *options)
{
  options->service = HF_VAULT_SERVICE;
  options->version_low = HF_VAULT_OLDEST;
  options->version_high = HF_VAULT_VERSION;
  options->frame_max = FRAME_MAX;
  options->window = WINDOW;
  options->memory_max = MEMORY_MAX;
  options->hello_seconds = HELLO_SECONDS;
}

HfRpc *hf_service_rpc(HfServiceStore *service)
{
  guint turn = (guint)g_atomic_int_add(&service->next, 1);
  return service->connections->pdata[turn % service->connections->len];
}

static HfServiceStore *self(HfStore *store)
{
  return (HfServiceStore *)store;
}

/* ---- Reading. ---- */

HfCall *hf_service_ask_range(HfServiceStore *service, const char *name, guint64 offset, gsize length, GError **error)
{
  g_auto(HfVaultGet) get = { .name = g_strdup(name), .offset = offset, .length = (guint32)length };
  g_autoptr(GBytes) request = hf_vault_get_encode(&get, error);
  return request == NULL ? NULL : hf_rpc_begin(hf_service_rpc(service), HF_VAULT_METHOD_GET, request, error);
}

gboolean hf_service_take_range(HfServiceStore *service, HfCall *call, const char *name, void *bytes, gsize length,
                               GError **error)
{
  g_autoptr(GBytes) reply = hf_call_finish(call, error);
  if (reply == NULL)
    return FALSE;
  if (g_bytes_get_size(reply) != length)
    return hf_fail(error, HF_ERROR_INVALID, "the service of '%s' gave %zu bytes of '%s' where %zu were asked for",
                   service->store.location, g_bytes_get_size(reply), name, length);
  memcpy(bytes, g_bytes_get_data(reply, NULL), length);
  return TRUE;
}

HfServiceWait hf_service_wait_begin(const HfServiceStore *service)
{
  return (HfServiceWait){ .begun = hf_clock_monotonic_us(),
                          .held = service->throttle != NULL ? hf_throttle_held_us(service->throttle) : 0 };
}

void hf_service_wait_end(HfServiceStore *service, const HfServiceWait *wait)
{
  guint64 waited = (guint64)(hf_clock_monotonic_us() - wait->begun);
  guint64 held = service->throttle != NULL ? hf_throttle_held_us(service->throttle) - wait->held : 0;
  held = MIN(held, waited);
  HF_LOCK(&service->lock);
  service->held_us += held;
  service->waited_us += waited - held;
}

gboolean hf_service_fetch(HfServiceStore *service, const char *name, guint64 offset, void *bytes, gsize length,
                          GError **error)
{
  HfCall *calls[FETCHES] = { NULL };
  HfServiceWait wait = hf_service_wait_begin(service);
  gsize asked = 0, taken = 0;
  gboolean good = TRUE;
  for (guint turn = 0; good && taken < length;) {
    while (good && asked < length && asked - taken < (gsize)FETCHES * FETCH_BYTES) {
      gsize part = MIN(length - asked, FETCH_BYTES);
      calls[asked / FETCH_BYTES % FETCHES] = hf_service_ask_range(service, name, offset + asked, part, error);
      good = calls[asked / FETCH_BYTES % FETCHES] != NULL;
      asked += part;
    }
    gsize part = MIN(length - taken, FETCH_BYTES);
    HfCall **call = &calls[turn++ % FETCHES];
    good = good && hf_service_take_range(service, *call, name, (guint8 *)bytes + taken, part, error);
    g_clear_pointer(call, hf_call_free);
    taken += part;
  }
  for (guint i = 0; i < FETCHES; i++)
    hf_call_free(calls[i]);
  hf_service_wait_end(service, &wait);
  return good;
}

static gboolean fetch_planned(HfServiceStore *service, const char *name, guint64 offset, void *bytes, gsize length,
                              GError **error)
{
  g_autoptr(HfCall) call = hf_planned_take(service->planned, service, name, offset, length);
  if (call == NULL)
    return hf_service_fetch(service, name, offset, bytes, length, error);
  HfServiceWait wait = hf_service_wait_begin(service);
  gboolean taken = hf_service_take_range(service, call, name, bytes, length, error);
  hf_service_wait_end(service, &wait);
  return taken;
}

static gboolean too_short(HfStore *store, const char *name, GError **error)
{
  return hf_fail(error, HF_ERROR_DAMAGED, "object '%s' of '%s' is shorter than it should be", name, store->location);
}

/* A connection that is gone says nothing about what is stored. The engine takes HF_ERROR_IO for an object that cannot
 * be read, would look for others in its place, and say in the end that all are damaged. Takes `why` over. */
static gboolean fail_read(HfServiceStore *service, const char *name, GError *why, GError **error)
{
  gboolean gone = FALSE;
  if (hf_error_is(why, HF_ERROR_NOT_FOUND))
    hf_ahead_missing(service->ahead, name);
  for (guint i = 0; i < service->connections->len; i++)
    gone = gone || hf_rpc_closed(service->connections->pdata[i], NULL);
  if (gone && hf_error_is(why, HF_ERROR_IO))
    why->code = HF_ERROR_FAILED;
  g_propagate_error(error, why);
  return FALSE;
}

static gboolean get(HfServiceStore *service, const char *name, guint64 offset, void *bytes, gsize length,
                    GError **error)
{
  g_autoptr(GBytes) small = hf_smalls_find(service->smalls, name);
  gboolean here = FALSE;
  if (small != NULL) {
    gsize size;
    const guint8 *content = g_bytes_get_data(small, &size);
    if (offset > size || length > size - offset)
      return too_short(&service->store, name, error);
    memcpy(bytes, content + offset, length);
    return TRUE;
  }
  if (g_str_has_prefix(name, "index/") &&
      !hf_run_cache_read(service->runs, service, name, offset, bytes, length, &here, error))
    return FALSE;
  return here || hf_blocks_read(service->blocks, service, name, offset, bytes, length) ||
    fetch_planned(service, name, offset, bytes, length, error);
}

static gboolean service_get(HfStore *store, const char *name, guint64 offset, void *bytes, gsize length,
                            GError **error)
{
  GError *why = NULL;
  return get(self(store), name, offset, bytes, length, &why) || fail_read(self(store), name, why, error);
}

static void service_will_read(HfStore *store, const HfStoreRange *ranges, guint count)
{
  HfServiceStore *service = self(store);
  hf_planned_add(service->planned, service, ranges, count);
}

static gboolean service_size(HfStore *store, const char *name, guint64 *size, GError **error)
{
  HfServiceStore *service = self(store);
  g_autoptr(GBytes) small = hf_smalls_find(service->smalls, name);
  if (small != NULL) {
    *size = g_bytes_get_size(small);
    return TRUE;
  }
  if (hf_run_cache_size(service->runs, name, size))
    return TRUE;
  g_auto(HfVaultName) request = { .name = g_strdup(name) };
  g_auto(HfVaultSize) reply = { 0 };
  GError *why = NULL;
  if (!hf_vault_call_size(hf_service_rpc(service), &request, &reply, -1, &why))
    return fail_read(service, name, why, error);
  *size = reply.size;
  return TRUE;
}

/* ---- Listing. ---- */

static gboolean take_listing(HfServiceStore *service, GBytes *piece, HfStoreListFunc func, gpointer user,
                             GError **error)
{
  g_auto(HfVaultListing) listing = { 0 };
  if (!hf_vault_listing_decode(piece, &listing, error))
    return FALSE;
  for (guint i = 0; i < listing.n_entries; i++) {
    const HfVaultEntry *entry = &listing.entries[i];
    if (!hf_store_name_valid(entry->name))
      return hf_fail(error, HF_ERROR_INVALID, "the service of '%s' lists a name that no object can have",
                     service->store.location);
    if (entry->content != NULL && g_bytes_get_size(entry->content) == entry->size)
      hf_smalls_add(service->smalls, entry->name, entry->content);
    if (g_str_has_prefix(entry->name, "index/"))
      hf_run_cache_note(service->runs, entry->name, entry->size);
    if (g_str_has_prefix(entry->name, "meta/"))
      hf_blocks_note(service->blocks, entry->name, entry->size);
    if (func != NULL && !func(entry->name, entry->size, user, error))
      return FALSE;
  }
  return TRUE;
}

/* All pieces are taken before the first name is handed on: `func` may call the store, and must not hold up the rest. */
static GPtrArray *receive_all(HfCall *call, GError **error)
{
  g_autoptr(GPtrArray) pieces = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
  gboolean end = FALSE;
  for (GBytes *piece; (piece = hf_call_receive(call, &end, error)) != NULL;)
    g_ptr_array_add(pieces, piece);
  return end ? g_steal_pointer(&pieces) : NULL;
}

static HfCall *ask_list(HfServiceStore *service, const char *prefix, GError **error)
{
  g_auto(HfVaultList) list = { .prefix = g_strdup(prefix),
                               .content_max = hf_service_brings_content(prefix) ? HF_SERVICE_CONTENT_MAX : 0 };
  g_autoptr(GBytes) request = hf_vault_list_encode(&list, error);
  return request == NULL ? NULL : hf_rpc_begin(hf_service_rpc(service), HF_VAULT_METHOD_LIST, request, error);
}

/* Long listings are used once; the others are read by several parts of the engine, one soon after the other. */
static gboolean is_short(const char *prefix)
{
  return hf_service_brings_content(prefix) || g_str_equal(prefix, "sessions/");
}

static GPtrArray *get_listing(HfServiceStore *service, const char *prefix, GError **error)
{
  GPtrArray *pieces = hf_ahead_take(service->ahead, prefix);
  if (pieces != NULL)
    return pieces;
  g_autoptr(HfCall) call = ask_list(service, prefix, error);
  g_autoptr(GPtrArray) received = call == NULL ? NULL : receive_all(call, error);
  g_autoptr(GBytes) reply = received == NULL ? NULL : hf_call_finish(call, error);
  return reply == NULL ? NULL : g_steal_pointer(&received);
}

static gboolean service_list(HfStore *store, const char *prefix, HfStoreListFunc func, gpointer user, GError **error)
{
  HfServiceStore *service = self(store);
  g_autoptr(GPtrArray) pieces = get_listing(service, prefix, error);
  for (guint i = 0; pieces != NULL && i < pieces->len; i++)
    if (!take_listing(service, pieces->pdata[i], func, user, error))
      return FALSE;
  return pieces != NULL;
}

/* They come with the answer to a visit. */
const char *const *hf_service_visit_folders(guint32 rights)
{
  static const char *const rings[] = { "ring/", "writers/", NULL };
  static const char *const all[] = { "ring/", "writers/", "keys/", "points/", "sessions/", NULL };
  return (rights & HF_TICKET_WRITE) != 0 ? rings : all;
}

/* They come with the answer to a session's `open`, so they cost no round trip of their own. They are listed in this
 * order, which is that of loading an index: runs, marks, packs. Were packs listed before marks, one that was listed and
 * swept with its mark right after would seem to be stored for good. */
const char *const hf_service_session_folders[] = { "index/",  "gc/",       "data/", "meta/",    "mirror/", "damage/",
                                                   "points/", "sessions/", "ring/", "writers/", NULL };

/* Keeps listings that came unasked: each piece is of one folder. */
static void keep_listings(HfServiceStore *service, const GPtrArray *pieces, const char *const *folders)
{
  g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free); /* of the first entry of each piece */
  for (guint i = 0; i < pieces->len; i++) {
    g_auto(HfVaultListing) listing = { 0 };
    gboolean any = hf_vault_listing_decode(pieces->pdata[i], &listing, NULL) && listing.n_entries > 0;
    g_ptr_array_add(names, g_strdup(any ? listing.entries[0].name : ""));
  }
  for (; *folders != NULL; folders++) {
    g_autoptr(GPtrArray) own = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    for (guint i = 0; i < pieces->len; i++)
      if (g_str_has_prefix(names->pdata[i], *folders))
        g_ptr_array_add(own, g_bytes_ref(pieces->pdata[i]));
    hf_ahead_keep(service->ahead, *folders, own, !is_short(*folders));
  }
}

/* The last piece of listings that come with the answer to something else is an empty one: all is there. */
static gboolean is_whole(const GPtrArray *pieces)
{
  g_auto(HfVaultListing) listing = { 0 };
  return pieces->len > 0 && hf_vault_listing_decode(pieces->pdata[pieces->len - 1], &listing, NULL) &&
    listing.n_entries == 0;
}

/* ---- Writing. An object is kept in memory until its commit: what is put here is small. ---- */

typedef struct ServicePut {
  HfPut put;
  GByteArray *content;
} ServicePut;

static HfPut *service_put_begin(HfStore *store G_GNUC_UNUSED, const char *name G_GNUC_UNUSED,
                                GError **error G_GNUC_UNUSED)
{
  ServicePut *put = g_new0(ServicePut, 1);
  put->content = g_byte_array_new();
  return &put->put;
}

static gboolean service_put_write(HfPut *base, const struct iovec *vector, int count, GError **error)
{
  ServicePut *put = (ServicePut *)base;
  for (int i = 0; i < count; i++) {
    if (vector[i].iov_len > CONTENT_MAX - put->content->len)
      return hf_fail(error, HF_ERROR_UNSUPPORTED, "'%s' is too large to be put through a repository service",
                     base->name);
    g_byte_array_append(put->content, vector[i].iov_base, (guint)vector[i].iov_len);
  }
  return TRUE;
}

static gboolean service_put_read(HfPut *base, guint64 offset, void *bytes, gsize length, GError **error G_GNUC_UNUSED)
{
  memcpy(bytes, ((ServicePut *)base)->content->data + offset, length);
  return TRUE;
}

static gboolean service_put_commit(HfPut *base, GError **error)
{
  ServicePut *put = (ServicePut *)base;
  HfServiceStore *service = self(base->store);
  hf_ahead_forget(service->ahead, base->name);
  g_auto(HfVaultName) name = { .name = g_strdup(base->name) };
  g_autoptr(GBytes) request = hf_vault_name_encode(&name, error);
  HfRpc *rpc = hf_service_rpc(service);
  g_autoptr(HfCall) call = request == NULL ? NULL : hf_rpc_begin(rpc, HF_VAULT_METHOD_PUT, request, error);
  if (call == NULL)
    return FALSE;
  for (gsize at = 0; at < put->content->len;) {
    struct iovec part = { put->content->data + at, MIN(put->content->len - at, hf_rpc_piece_max(rpc)) };
    if (!hf_call_send(call, &part, 1, error))
      return FALSE;
    at += part.iov_len;
  }
  if (!hf_call_end(call, error))
    return FALSE;
  g_autoptr(GPtrArray) pieces = receive_all(call, error);
  g_autoptr(GBytes) reply = pieces == NULL ? NULL : hf_call_finish(call, error);
  /* They were listed when the object was there: the marks are those that this session has to know (session.h E2). */
  if (reply != NULL && is_whole(pieces))
    keep_listings(service, pieces, hf_service_session_folders);
  return reply != NULL;
}

static void service_put_free(HfPut *base)
{
  ServicePut *put = (ServicePut *)base;
  if (put->content->len > 0)
    hf_wipe(put->content->data, put->content->len); /* key slots pass here */
  g_byte_array_unref(put->content);
  g_free(put);
}

static gboolean service_remove(HfStore *store, const char *name, GError **error)
{
  HfServiceStore *service = self(store);
  g_auto(HfVaultName) request = { .name = g_strdup(name) };
  hf_smalls_remove(service->smalls, name);
  hf_ahead_forget(service->ahead, name);
  return hf_vault_call_remove(hf_service_rpc(service), &request, -1, error);
}

static gboolean service_usage(HfStore *store, HfStoreUsage *usage, GError **error)
{
  g_auto(HfVaultUsage) reply = { 0 };
  if (!hf_vault_call_usage(hf_service_rpc(self(store)), &reply, -1, error))
    return FALSE;
  *usage = (HfStoreUsage){ reply.total, reply.free };
  return TRUE;
}

/* ---- Opening. ---- */

static void service_free(HfStore *store)
{
  HfServiceStore *service = self(store);
  hf_ahead_free(service->ahead);
  hf_planned_free(service->planned);
  /* Each end takes a round trip: all at once. */
  for (guint i = 0; i < service->connections->len; i++)
    hf_rpc_close(service->connections->pdata[i]);
  g_ptr_array_unref(service->connections);
  g_ptr_array_unref(service->channels);
  hf_throttle_unref(service->throttle);
  g_ptr_array_unref(service->sinks);
  hf_smalls_free(service->smalls);
  hf_run_cache_free(service->runs);
  hf_blocks_free(service->blocks);
  g_mutex_clear(&service->lock);
  g_free(service);
}

static const HfStoreOps service_ops = {
  .put_begin = service_put_begin,
  .put_write = service_put_write,
  .put_read = service_put_read,
  .put_commit = service_put_commit,
  .put_free = service_put_free,
  .get = service_get,
  .size = service_size,
  .list = service_list,
  .remove = service_remove,
  .free = service_free,
  .usage = service_usage,
  .will_read = service_will_read,
  .sink_open = hf_service_sink_open,
  .sink_add = hf_service_sink_add,
  .sink_flush = hf_service_sink_flush,
  .sink_free = hf_service_sink_free,
};

/* The hello of each connection is a round trip: all at once. */
typedef struct Greeting {
  HfChannel *channel;
  HfRpcOptions options;
  GThread *thread;
  HfRpc *rpc;
  GError *why;
} Greeting;

static gpointer greet(gpointer data)
{
  Greeting *greeting = data;
  greeting->rpc = hf_rpc_new(greeting->channel, &greeting->options, &greeting->why);
  return NULL;
}

static gboolean connect_all(HfServiceStore *service, const HfServiceOptions *options, GError **error)
{
  guint count = service->channels->len;
  HfRpcOptions rpc_options = { .cancel = options->cancel, .hasty = options->links };
  g_autofree Greeting *greetings = g_new0(Greeting, count);
  hf_service_rpc_options(&rpc_options);
  for (guint i = 0; i < count; i++) {
    greetings[i] = (Greeting){ .channel = service->channels->pdata[i], .options = rpc_options };
    greetings[i].options.first_method = i == 0 ? HF_VAULT_METHOD_VISIT : 0;
    greetings[i].thread = g_thread_new("hello", greet, &greetings[i]);
  }
  gboolean good = TRUE;
  for (guint i = 0; i < count; i++) {
    g_thread_join(greetings[i].thread);
    if (greetings[i].rpc != NULL)
      g_ptr_array_add(service->connections, greetings[i].rpc);
    else if (good)
      g_propagate_error(error, g_steal_pointer(&greetings[i].why));
    good = good && greetings[i].rpc != NULL;
    g_clear_error(&greetings[i].why);
  }
  return good;
}

static gboolean visit(HfServiceStore *service, GError **error)
{
  g_auto(HfVaultVisit) answer = { 0 };
  g_autoptr(HfCall) call = hf_rpc_first(service->connections->pdata[0]);
  g_autoptr(GPtrArray) pieces = receive_all(call, error);
  g_autoptr(GBytes) reply = pieces == NULL ? NULL : hf_call_finish(call, error);
  if (reply == NULL || !hf_vault_visit_decode(reply, &answer, error))
    return FALSE;
  for (guint i = 0; i < pieces->len; i++)
    if (!take_listing(service, pieces->pdata[i], NULL, NULL, error))
      return FALSE;
  if (answer.kept)
    keep_listings(service, pieces, hf_service_visit_folders(answer.rights));
  service->visit = (HfServiceVisit){ answer.rights, answer.kept, answer.seconds };
  return TRUE;
}

HfStore *hf_service_store_new(GPtrArray *channels, const HfServiceOptions *options, GError **error)
{
  HfServiceStore *service = g_new0(HfServiceStore, 1);
  service->store.ops = &service_ops;
  service->store.features = HF_STORE_EXCLUSIVE | HF_STORE_KEPT;
  service->store.location = g_strdup(options->location);
  service->channels = channels;
  service->throttle = options->throttle != NULL ? hf_throttle_ref(options->throttle) : NULL;
  for (guint i = 0; i < channels->len; i++)
    hf_channel_set_throttle(channels->pdata[i], service->throttle);
  service->connections = g_ptr_array_new_with_free_func((GDestroyNotify)hf_rpc_free);
  service->sinks = g_ptr_array_new();
  hf_random(&service->sender, sizeof service->sender);
  service->smalls = hf_smalls_new();
  service->ahead = hf_ahead_new();
  service->planned = hf_planned_new();
  service->blocks = hf_blocks_new();
  service->runs = hf_run_cache_new(options->cache_folder);
  g_mutex_init(&service->lock);
  if (connect_all(service, options, error) && visit(service, error))
    return &service->store;
  hf_store_free(&service->store);
  return NULL;
}

HfServiceVisit hf_service_visit(HfStore *store)
{
  return self(store)->visit;
}

HfServiceTraffic hf_service_traffic(HfStore *store)
{
  HfServiceStore *service = self(store);
  HfServiceTraffic traffic = { 0 };
  for (guint i = 0; i < service->channels->len; i++) {
    HfChannelBytes bytes = hf_channel_bytes(service->channels->pdata[i]);
    traffic.sent += bytes.wire_written;
    traffic.received += bytes.wire_read;
  }
  HF_LOCK(&service->lock);
  traffic.waited_us = service->waited_us;
  traffic.held_us = service->held_us;
  traffic.busy_us = service->busy_us;
  return traffic;
}
