/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The calls of spec/messages/vault.toml, answered from a visit. What a name or number may be was checked by the
 * decoder, what it may do is checked by the visit. */
#include <string.h>

#include "agent/vault/slots.h"
#include "agent/vault/vault.h"
#include "agent/vault/visit.h"
#include "base/error.h"
#include "engine/prune/prune.h"
#include "engine/verify/verify.h"
#include "net/messages/vault.h"
#include "storage/service/service.h"

#define GET_MAX (16u << 20)
#define CONTENT_MAX 65536u
#define OBJECT_MAX (64u << 20)
#define LISTING_BYTES (1u << 20)
#define LISTING_ENTRIES 4096u
#define FRAMES_WAIT_US (G_USEC_PER_SEC / 5) /* then it is looked whether anybody still waits */

typedef struct Service {
  HfVisit *visit;
  HfCancel *cancel;
  const GError *unusable; /* why there is no visit */
} Service;

static HfStore *store_of(const Service *service)
{
  return hf_depot_store(hf_visit_depot(service->visit));
}

/* ---- Listings. ---- */

typedef struct Lister {
  const Service *service;
  HfCall *call;
  HfVaultListing listing;
  gsize bytes;
  guint32 content_max;
} Lister;

static gboolean send_listing(Lister *lister, GError **error)
{
  if (lister->listing.n_entries == 0)
    return TRUE;
  g_autoptr(GBytes) piece = hf_vault_listing_encode(&lister->listing, error);
  hf_vault_listing_clear(&lister->listing);
  memset(&lister->listing, 0, sizeof lister->listing);
  lister->bytes = 0;
  if (piece == NULL)
    return FALSE;
  struct iovec part = { (void *)g_bytes_get_data(piece, NULL), g_bytes_get_size(piece) };
  return hf_call_send(lister->call, &part, 1, error);
}

/* What has been removed meanwhile, or may not be read, is listed without its content. */
static gboolean list_one(const char *name, guint64 size, gpointer user, GError **error)
{
  Lister *lister = user;
  HfVaultEntry *entry = hf_vault_listing_add_entries(&lister->listing);
  entry->name = g_strdup(name);
  entry->size = size;
  if (size <= lister->content_max && hf_visit_may_read(lister->service->visit, name, NULL))
    entry->content = hf_store_get_all(store_of(lister->service), name, CONTENT_MAX, NULL);
  lister->bytes += strlen(name) + 16 + (entry->content != NULL ? g_bytes_get_size(entry->content) : 0);
  return (lister->bytes < LISTING_BYTES && lister->listing.n_entries < LISTING_ENTRIES) ||
    send_listing(lister, error);
}

static gboolean list(const Service *service, HfCall *call, const char *prefix, guint32 content_max, GError **error)
{
  Lister lister = { .service = service, .call = call, .content_max = MIN(content_max, CONTENT_MAX) };
  gboolean done = hf_store_list(store_of(service), prefix, list_one, &lister, error) && send_listing(&lister, error);
  hf_vault_listing_clear(&lister.listing);
  return done;
}

static gboolean serve_list(HfCall *call, gpointer user, GBytes **reply G_GNUC_UNUSED, GError **error)
{
  g_auto(HfVaultList) request = { 0 };
  return hf_vault_list_decode(hf_call_request(call), &request, error) &&
    list(user, call, request.prefix, request.content_max, error);
}

static gboolean list_configs(const Service *service, HfCall *call, gboolean *kept, GError **error)
{
  Lister lister = { .service = service, .call = call, .content_max = CONTENT_MAX };
  for (guint copy = 0; copy < 3; copy++) {
    guint64 size;
    g_autofree char *name = g_strdup_printf("config.%u", copy);
    if (!hf_store_size(store_of(service), name, &size, NULL))
      continue;
    *kept = TRUE;
    if (!list_one(name, size, &lister, error))
      return FALSE;
  }
  gboolean sent = send_listing(&lister, error);
  hf_vault_listing_clear(&lister.listing);
  return sent;
}

static gboolean serve_visit(HfCall *call, gpointer user, GBytes **reply, GError **error)
{
  const Service *service = user;
  gboolean kept = FALSE;
  if (!list_configs(service, call, &kept, error))
    return FALSE;
  const char *const *folders = hf_service_visit_folders(hf_visit_rights(service->visit));
  for (; kept && *folders != NULL; folders++)
    if (!list(service, call, *folders, hf_service_brings_content(*folders) ? CONTENT_MAX : 0, error))
      return FALSE;
  g_auto(HfVaultVisit) answer = { .rights = hf_visit_rights(service->visit), .kept = kept };
  answer.seconds = hf_depot_seconds(hf_visit_depot(service->visit));
  *reply = hf_vault_visit_encode(&answer, error);
  return *reply != NULL;
}

/* ---- Objects. ---- */

static gboolean serve_get(HfCall *call, gpointer user, GBytes **reply, GError **error)
{
  const Service *service = user;
  g_auto(HfVaultGet) request = { 0 };
  if (!hf_vault_get_decode(hf_call_request(call), &request, error) ||
      !hf_visit_may_read(service->visit, request.name, error))
    return FALSE;
  if (request.length > GET_MAX)
    return hf_fail(error, HF_ERROR_INVALID, "at most %u bytes can be read at once", GET_MAX);
  g_autofree guint8 *bytes = g_try_malloc(MAX(request.length, 1));
  if (bytes == NULL)
    return hf_fail(error, HF_ERROR_FAILED, "out of memory");
  if (!hf_store_get(store_of(service), request.name, request.offset, bytes, request.length, error))
    return FALSE;
  *reply = g_bytes_new_take(g_steal_pointer(&bytes), request.length);
  return TRUE;
}

static gboolean serve_size(HfCall *call, gpointer user, GBytes **reply, GError **error)
{
  const Service *service = user;
  g_auto(HfVaultName) request = { 0 };
  g_auto(HfVaultSize) answer = { 0 };
  if (!hf_vault_name_decode(hf_call_request(call), &request, error) ||
      !hf_visit_may_read(service->visit, request.name, error) ||
      !hf_store_size(store_of(service), request.name, &answer.size, error))
    return FALSE;
  *reply = hf_vault_size_encode(&answer, error);
  return *reply != NULL;
}

static GBytes *receive_object(HfCall *call, GError **error)
{
  g_autoptr(GByteArray) content = g_byte_array_new();
  gboolean end = FALSE;
  for (;;) {
    gsize length;
    g_autoptr(GBytes) piece = hf_call_receive(call, &end, error);
    if (piece == NULL)
      return end ? g_byte_array_free_to_bytes(g_steal_pointer(&content)) : NULL;
    gconstpointer bytes = g_bytes_get_data(piece, &length);
    if (length > OBJECT_MAX - content->len) {
      hf_fail(error, HF_ERROR_INVALID, "an object of more than %u bytes cannot be put", OBJECT_MAX);
      return NULL;
    }
    g_byte_array_append(content, bytes, (guint)length);
  }
}

/* What a session begins with, so that it need not ask: its `open` is there by now. */
static gboolean send_session_folders(const Service *service, HfCall *call, GError **error)
{
  for (guint i = 0; hf_service_session_folders[i] != NULL; i++)
    if (!list(service, call, hf_service_session_folders[i],
              hf_service_brings_content(hf_service_session_folders[i]) ? CONTENT_MAX : 0, error))
      return FALSE;
  HfVaultListing last = { 0 };
  g_autoptr(GBytes) piece = hf_vault_listing_encode(&last, error);
  struct iovec part = { 0 };
  if (piece != NULL)
    part.iov_base = (void *)g_bytes_get_data(piece, &part.iov_len);
  return piece != NULL && hf_call_send(call, &part, 1, error);
}

static gboolean serve_put(HfCall *call, gpointer user, GBytes **reply G_GNUC_UNUSED, GError **error)
{
  const Service *service = user;
  g_auto(HfVaultName) request = { 0 };
  if (!hf_vault_name_decode(hf_call_request(call), &request, error))
    return FALSE;
  g_autoptr(GBytes) content = receive_object(call, error);
  if (content == NULL || !hf_visit_put(service->visit, request.name, content, error))
    return FALSE;
  return !g_str_has_prefix(request.name, "sessions/") || !g_str_has_suffix(request.name, "/open") ||
    send_session_folders(service, call, error);
}

static gboolean serve_remove(HfCall *call, gpointer user, GBytes **reply G_GNUC_UNUSED, GError **error)
{
  const Service *service = user;
  g_auto(HfVaultName) request = { 0 };
  return hf_vault_name_decode(hf_call_request(call), &request, error) &&
    hf_visit_remove(service->visit, request.name, error);
}

static gboolean serve_usage(HfCall *call G_GNUC_UNUSED, gpointer user, GBytes **reply, GError **error)
{
  HfStoreUsage usage;
  if (!hf_store_usage(store_of(user), &usage, error))
    return FALSE;
  HfVaultUsage answer = { .total = usage.bytes_total, .free = usage.bytes_free };
  *reply = hf_vault_usage_encode(&answer, error);
  return *reply != NULL;
}

/* ---- Frames. ---- */

typedef struct Sink {
  HfVisit *visit;
  HfPacker *packer;
  HfPackKind kind;
  guint32 domain;
  guint64 sender;
} Sink;

static GArray *decode_slots(GBytes *bytes, GError **error)
{
  gsize length;
  const guint8 *data = g_bytes_get_data(bytes, &length);
  g_autoptr(GArray) slots = g_array_new(FALSE, FALSE, sizeof(HfSessionSlot));
  for (gsize at = 0; at < length; at += HF_SESSION_SLOT_BYTES) {
    HfSessionSlot slot;
    if (length - at < HF_SESSION_SLOT_BYTES || !hf_session_slot_decode(data + at, &slot)) {
      hf_fail(error, HF_ERROR_INVALID, "the key slots of a sink are malformed");
      return NULL;
    }
    g_array_append_val(slots, slot);
  }
  return g_steal_pointer(&slots);
}

static gboolean take_frame(const Sink *sink, GBytes *piece, GError **error)
{
  gsize length;
  const guint8 *bytes = g_bytes_get_data(piece, &length);
  HfReader reader = hf_reader(bytes, length);
  guint32 header_length = hf_get_u32(&reader);
  g_auto(HfVaultFrame) header = { 0 };
  if (length < sizeof header_length || header_length > length - sizeof header_length)
    return hf_fail(error, HF_ERROR_INVALID, "a frame came without its header");
  if (!hf_vault_frame_decode_bytes(bytes + sizeof header_length, header_length, &header, error))
    return FALSE;
  const guint8 *stored = bytes + sizeof header_length + header_length;
  gsize stored_length = length - sizeof header_length - header_length;
  if (stored_length == 0 || stored_length > HF_FRAME_STORED_MAX || header.n_ids == 0)
    return hf_fail(error, HF_ERROR_INVALID, "a frame of %zu bytes and %u blobs cannot be", stored_length,
                   header.n_ids);
  HfPackFrame frame = { .stored_length = (guint32)stored_length, .kind = header.kind,
                        .blobs = (guint16)header.n_ids };
  memcpy(frame.digest, header.digest.b, sizeof frame.digest);
  return hf_visit_frame(sink->visit, sink->packer, sink->domain, sink->kind, &frame, stored, header.ids, error);
}

static gboolean open_sink(const Service *service, HfCall *call, Sink *sink, GError **error)
{
  g_auto(HfVaultSink) request = { 0 };
  if (!hf_vault_sink_decode(hf_call_request(call), &request, error))
    return FALSE;
  if (request.kind != HF_PACK_DATA && request.kind != HF_PACK_META)
    return hf_fail(error, HF_ERROR_INVALID, "there are no packs of kind %u", request.kind);
  g_autoptr(GArray) slots = decode_slots(request.slots, error);
  if (slots == NULL)
    return FALSE;
  *sink = (Sink){ .visit = service->visit, .kind = request.kind, .domain = request.domain, .sender = request.sender };
  sink->packer = hf_visit_packer(service->visit, sink->kind, sink->domain, (const HfSessionSlot *)(void *)slots->data,
                                 slots->len, error);
  return sink->packer != NULL;
}

static gboolean take_frames(const Sink *sink, HfCall *call, GError **error)
{
  for (gboolean end = FALSE;;) {
    g_autoptr(GBytes) piece = hf_call_receive(call, &end, error);
    if (piece == NULL)
      return end;
    if (!take_frame(sink, piece, error) || !hf_visit_count(sink->visit, sink->sender, error))
      return FALSE;
  }
}

/* Who flushes must not wait for frames that were refused. A visitor who cancels has no more to send by this call; all
 * that he sent before that was taken. */
static gboolean serve_sink(HfCall *call, gpointer user, GBytes **reply G_GNUC_UNUSED, GError **error)
{
  const Service *service = user;
  Sink sink = { 0 };
  g_autoptr(GError) why = NULL;
  if (open_sink(service, call, &sink, &why) && take_frames(&sink, call, &why))
    return TRUE;
  if (!hf_error_is(why, HF_ERROR_CANCELLED) || !hf_call_cancelled(call))
    hf_visit_miss(service->visit, why);
  g_propagate_error(error, g_steal_pointer(&why));
  return FALSE;
}

static gboolean wait_for_frames(const Service *service, HfCall *call, const HfVaultFlush *flush, GError **error)
{
  while (!hf_call_cancelled(call)) {
    gboolean all;
    if (!hf_visit_await(service->visit, flush->sender, flush->frames, FRAMES_WAIT_US, &all, error))
      return FALSE;
    if (all)
      return TRUE;
  }
  return hf_fail(error, HF_ERROR_CANCELLED, "nobody waits for the flush any more");
}

static gboolean serve_flush(HfCall *call, gpointer user, GBytes **reply, GError **error)
{
  const Service *service = user;
  HfVisitTotals totals;
  g_auto(HfVaultFlush) request = { 0 };
  if (!hf_vault_flush_decode(hf_call_request(call), &request, error) ||
      !wait_for_frames(service, call, &request, error) || !hf_visit_flush(service->visit, &totals, error))
    return FALSE;
  HfVaultFlushed answer = { .data = totals.data.pack_bytes, .data_second = totals.data.second_bytes,
                            .meta = totals.meta.pack_bytes, .meta_second = totals.meta.second_bytes,
                            .busy = totals.busy_us };
  *reply = hf_vault_flushed_encode(&answer, error);
  return *reply != NULL;
}

/* ---- Verbs. ---- */

static gboolean serve_forget(HfCall *call, gpointer user, GBytes **reply, GError **error)
{
  const Service *service = user;
  g_auto(HfVaultForget) request = { 0 };
  HfVaultForgotten answer = { 0 };
  g_autoptr(GArray) points = g_array_new(FALSE, FALSE, sizeof(HfShortId));
  if (!hf_vault_forget_decode(hf_call_request(call), &request, error) ||
      !hf_visit_need(service->visit, HF_TICKET_KEEP, "forgetting points", error))
    return FALSE;
  g_array_append_vals(points, request.points, request.n_points);
  if (!hf_depot_forget(hf_visit_depot(service->visit), points, &answer.points, error))
    return FALSE;
  *reply = hf_vault_forgotten_encode(&answer, error);
  return *reply != NULL;
}

/* Tells the caller of a long verb what happens. A caller that is gone hears nothing. */
typedef struct Teller {
  HfCall *call;
} Teller;

static void tell(const Teller *teller, HfVaultNote *note)
{
  g_autoptr(GBytes) piece = hf_vault_note_encode(note, NULL);
  if (piece == NULL)
    return;
  struct iovec part = { (void *)g_bytes_get_data(piece, NULL), g_bytes_get_size(piece) };
  hf_call_send(teller->call, &part, 1, NULL);
}

static void tell_warning(gpointer user, const char *path, const char *message)
{
  g_autofree char *text = path == NULL ? g_strdup(message) : g_strdup_printf("%s: %s", path, message);
  g_autofree char *shown = g_utf8_make_valid(text, MIN((gssize)strlen(text), 8000));
  HfVaultNote note = { .warning = shown };
  tell(user, &note);
}

static void tell_progress(gpointer user, const HfProgress *progress, gboolean last G_GNUC_UNUSED)
{
  HfVaultNote note = { .done = progress->bytes_done, .total = progress->bytes_total };
  tell(user, &note);
}

static const HfReportOps teller_ops = { .warning = tell_warning, .progress = tell_progress };

static gboolean serve_prune(HfCall *call, gpointer user, GBytes **reply, GError **error)
{
  const Service *service = user;
  g_auto(HfVaultPrune) request = { 0 };
  if (!hf_vault_prune_decode(hf_call_request(call), &request, error) ||
      !hf_visit_need(service->visit, HF_TICKET_KEEP, "pruning", error))
    return FALSE;
  Teller teller = { call };
  g_autoptr(HfReport) report = hf_report_new(&teller_ops, &teller);
  g_autoptr(HfRepo) repo = hf_depot_reopen(hf_visit_depot(service->visit), report, service->cancel, error);
  HfPruneOptions options = { .dry_run = request.dry_run };
  HfPruneResult result = { 0 };
  if (repo == NULL || !hf_prune(repo, &options, &result, error))
    return FALSE;
  hf_depot_rewritten(hf_visit_depot(service->visit));
  HfVaultPruned answer = {
    .packs = result.packs, .bytes = result.pack_bytes, .swept_packs = result.swept_packs,
    .swept_bytes = result.swept_bytes, .waiting_packs = result.waiting_packs, .waiting_bytes = result.waiting_bytes,
    .rewritten_bytes = result.rewritten_bytes, .other_at_work = result.other_at_work,
    .held_packs = result.held_packs, .held_bytes = result.held_bytes,
  };
  *reply = hf_vault_pruned_encode(&answer, error);
  return *reply != NULL;
}

static gboolean serve_verify(HfCall *call, gpointer user, GBytes **reply, GError **error)
{
  const Service *service = user;
  g_auto(HfVaultVerify) request = { 0 };
  if (!hf_vault_verify_decode(hf_call_request(call), &request, error) ||
      !hf_visit_need(service->visit, HF_TICKET_KEEP | HF_TICKET_READ, "verifying", error))
    return FALSE;
  Teller teller = { call };
  g_autoptr(HfReport) report = hf_report_new(&teller_ops, &teller);
  g_autoptr(HfRepo) repo = hf_depot_reopen(hf_visit_depot(service->visit), report, service->cancel, error);
  HfVerifyOptions options = { .sample = CLAMP(request.sample, 1, 100) };
  g_auto(HfVerifyResult) result = { 0 };
  if (repo == NULL || !hf_verify(repo, &options, &result, error))
    return FALSE;
  HfVaultVerified answer = {
    .objects = result.objects, .frames = result.frames, .bytes = result.bytes, .bad_objects = result.bad_objects,
    .bad_parity = result.bad_parity, .bad_packs = result.bad_packs, .bad_frames = result.bad_frames,
    .missing_blobs = result.missing_blobs, .good = hf_verify_result_good(&result),
  };
  *reply = hf_vault_verified_encode(&answer, error);
  return *reply != NULL;
}

static gboolean serve_slots(HfCall *call, gpointer user, GBytes **reply G_GNUC_UNUSED, GError **error)
{
  const Service *service = user;
  g_auto(HfVaultSlots) request = { 0 };
  if (!hf_vault_slots_decode(hf_call_request(call), &request, error) ||
      !hf_visit_need(service->visit, HF_TICKET_READ | HF_TICKET_KEYS, "reading key slots", error))
    return FALSE;
  g_autoptr(GByteArray) slots = hf_vault_slots(hf_visit_depot(service->visit), request.domain, error);
  if (slots == NULL)
    return FALSE;
  guint step = LISTING_BYTES / HF_SESSION_SLOT_BYTES * HF_SESSION_SLOT_BYTES;
  for (guint at = 0; at < slots->len; at += step) {
    struct iovec part = { slots->data + at, MIN(slots->len - at, step) };
    if (!hf_call_send(call, &part, 1, error))
      return FALSE;
  }
  return TRUE;
}

/* ---- The connection. ---- */

static const HfRpcMethod methods[] = {
  { HF_VAULT_METHOD_VISIT, "visit", serve_visit, 0 },   { HF_VAULT_METHOD_LIST, "list", serve_list, 0 },
  { HF_VAULT_METHOD_GET, "get", serve_get, 0 },         { HF_VAULT_METHOD_SIZE, "size", serve_size, 0 },
  { HF_VAULT_METHOD_PUT, "put", serve_put, 0 },         { HF_VAULT_METHOD_REMOVE, "remove", serve_remove, 0 },
  { HF_VAULT_METHOD_USAGE, "usage", serve_usage, 0 },   { HF_VAULT_METHOD_SINK, "sink", serve_sink, 0 },
  { HF_VAULT_METHOD_FLUSH, "flush", serve_flush, 0 },   { HF_VAULT_METHOD_FORGET, "forget", serve_forget, 0 },
  { HF_VAULT_METHOD_PRUNE, "prune", serve_prune, 0 },   { HF_VAULT_METHOD_VERIFY, "verify", serve_verify, 0 },
  { HF_VAULT_METHOD_SLOTS, "slots", serve_slots, 0 },   { 0 },
};

/* Where the folder cannot be used the visitor is told so by his first call, instead of finding a connection cut. */
static gboolean refuse_visit(HfCall *call G_GNUC_UNUSED, gpointer user, GBytes **reply G_GNUC_UNUSED, GError **error)
{
  g_propagate_error(error, g_error_copy(((const Service *)user)->unusable));
  return FALSE;
}

static const HfRpcMethod refusals[] = { { HF_VAULT_METHOD_VISIT, "visit", refuse_visit, 0 }, { 0 } };

gboolean hf_vault_serve(HfChannel *channel, const HfTicket *ticket, const char *peer G_GNUC_UNUSED, HfCancel *cancel,
                        GError **error)
{
  g_autoptr(GError) unusable = NULL;
  g_autoptr(HfVisit) visit = hf_visit_join(ticket, &unusable);
  Service service = { .visit = visit, .cancel = cancel, .unusable = unusable };
  HfRpcOptions options = { .methods = visit != NULL ? methods : refusals, .user = &service, .cancel = cancel };
  hf_service_rpc_options(&options);
  HfRpc *rpc = hf_rpc_new(channel, &options, error);
  if (rpc == NULL)
    return FALSE;
  while (!hf_rpc_wait_closed(rpc, 1000) && !hf_cancelled(cancel, NULL))
    ;
  g_autoptr(GError) reason = NULL;
  gboolean ended = hf_rpc_closed(rpc, &reason);
  hf_rpc_free(rpc);
  if (ended && reason != NULL) {
    g_propagate_error(error, g_steal_pointer(&reason));
    return FALSE;
  }
  return TRUE;
}
