/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/vault/visit.h"

#include <string.h>

#include "agent/vault/private.h"
#include "base/clock.h"
#include "base/error.h"
#include "repo/objects.h"

#define SENDERS_MAX 64u
#define UNRESOLVED_MAX (1u << 20) /* more than can be under way over 64 connections */

static struct {
  GMutex lock;
  GHashTable *visits; /* by id of the ticket */
} all;

/* ---- Life. ---- */

static void stack_free(gpointer data)
{
  HfVisitPacker *stack = data;
  hf_packer_free(stack->packer);
  g_hash_table_unref(stack->sessions);
  g_free(stack);
}

static void visit_free(HfVisit *visit)
{
  g_ptr_array_unref(visit->packers);
  hf_visit_end_sessions(visit);
  g_hash_table_unref(visit->sessions);
  g_hash_table_unref(visit->fresh);
  g_hash_table_unref(visit->unresolved);
  g_hash_table_unref(visit->senders);
  g_clear_error(&visit->failed);
  g_clear_error(&visit->missing);
  g_cond_clear(&visit->taken);
  g_mutex_clear(&visit->lock);
  g_free(visit);
}

static HfVisit *visit_new(const HfTicket *ticket, const HfRepositoryTerms *terms, HfDepot *depot)
{
  HfVisit *visit = g_new0(HfVisit, 1);
  visit->ticket = ticket->id;
  visit->writer = ticket->writer;
  visit->rights = ticket->rights;
  visit->terms = *terms;
  visit->depot = depot;
  g_mutex_init(&visit->lock);
  g_cond_init(&visit->taken);
  visit->senders = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
  visit->packers = g_ptr_array_new_with_free_func(stack_free);
  visit->sessions = g_hash_table_new_full(hf_id_hash, hf_short_id_equal_func, g_free, NULL);
  visit->fresh = g_hash_table_new_full(hf_id_hash, hf_visit_blob_equal, g_free, NULL);
  visit->unresolved = g_hash_table_new_full(hf_id_hash, hf_visit_blob_equal, g_free, NULL);
  return visit;
}

HfVisit *hf_visit_join(const HfTicket *ticket, GError **error)
{
  HfRepositoryTerms terms;
  if (!hf_repository_terms_decode(ticket->terms, &terms, error))
    return NULL;
  HF_LOCK(&all.lock);
  if (all.visits == NULL)
    all.visits = g_hash_table_new(hf_id_hash, hf_short_id_equal_func);
  HfVisit *visit = g_hash_table_lookup(all.visits, &ticket->id);
  if (visit != NULL) {
    visit->connections++;
    return visit;
  }
  HfDepot *depot = hf_depot_open(ticket->repository, terms.create && (ticket->rights & HF_TICKET_KEYS), error);
  if (depot == NULL)
    return NULL;
  visit = visit_new(ticket, &terms, depot);
  visit->connections = 1;
  g_hash_table_insert(all.visits, &visit->ticket, visit);
  return visit;
}

void hf_visit_leave(HfVisit *visit)
{
  g_autoptr(GError) parted =
    g_error_new(HF_ERROR, HF_ERROR_IO, "a connection of this task broke before all that it sent was here");
  g_mutex_lock(&all.lock);
  gboolean last = --visit->connections == 0;
  if (last)
    g_hash_table_remove(all.visits, &visit->ticket);
  else
    hf_visit_miss(visit, parted); /* with the lock of all: else another could leave, and free it */
  g_mutex_unlock(&all.lock);
  if (last)
    visit_free(visit);
}

HfDepot *hf_visit_depot(HfVisit *visit)
{
  return visit->depot;
}

guint32 hf_visit_rights(const HfVisit *visit)
{
  return visit->rights;
}

gboolean hf_visit_need(const HfVisit *visit, guint32 rights, const char *what, GError **error)
{
  return (visit->rights & rights) != 0 ||
    hf_fail(error, HF_ERROR_PERMISSION, "the ticket of this connection does not allow %s", what);
}

/* ---- Frames. ---- */

gboolean hf_visit_blob_equal(gconstpointer a, gconstpointer b)
{
  const HfVisitBlob *x = a, *y = b;
  return x->domain == y->domain && memcmp(&x->id, &y->id, sizeof x->id) == 0;
}

/* `visit->lock` is held. */
static void add_fresh(HfVisit *visit, guint32 domain, const HfId *id)
{
  HfVisitBlob wanted = { .id = *id, .domain = domain };
  HfVisitBlob *blob = g_hash_table_lookup(visit->fresh, &wanted);
  if (blob == NULL) {
    blob = g_memdup2(&wanted, sizeof wanted);
    g_hash_table_add(visit->fresh, blob);
  }
  blob->copies++;
}

static void remove_fresh(HfVisit *visit, guint32 domain, const HfId *id)
{
  HfVisitBlob wanted = { .id = *id, .domain = domain };
  HfVisitBlob *blob = g_hash_table_lookup(visit->fresh, &wanted);
  if (blob != NULL && --blob->copies == 0)
    g_hash_table_remove(visit->fresh, &wanted);
}

static void add_blob(GHashTable *set, guint32 domain, const HfId *id)
{
  HfVisitBlob *blob = g_new0(HfVisitBlob, 1);
  blob->id = *id;
  blob->domain = domain;
  g_hash_table_add(set, blob);
}

/* A durable pack: from here on the index tells where its blobs are. */
static gboolean pack_done(const HfPackInfo *info, gpointer user, GError **error)
{
  HfVisit *visit = user;
  HfRepo *repo = hf_depot_repo(visit->depot, error);
  if (repo == NULL || !hf_index_add_pack(repo->index, info, error))
    return FALSE;
  HF_LOCK(&visit->lock);
  for (guint i = 0; i < info->ids->len; i++)
    remove_fresh(visit, info->domain, &g_array_index(info->ids, HfId, i));
  return TRUE;
}

/* A session under keys that nobody can open is of no use to anybody. */
gboolean hf_visit_check_generation(HfVisit *visit, guint32 generation, GError **error)
{
  char base[HF_NAME_BYTES], name[HF_NAME_BYTES];
  gboolean known = FALSE;
  hf_name_ring(base, generation);
  for (guint copy = 0; copy < HF_COPIES && !known; copy++) {
    hf_name_copy(name, base, copy);
    if (!hf_object_exists(hf_depot_store(visit->depot), name, &known, error))
      return FALSE;
  }
  return known || hf_fail(error, HF_ERROR_REFUSED, "a session is sealed to key generation %u, which there is not here",
                          generation);
}

static gboolean check_slots(HfVisit *visit, guint32 domain, const HfSessionSlot *slots, guint count, GError **error)
{
  HfWriterTable *writers = hf_depot_writers(visit->depot, error);
  if (writers == NULL)
    return FALSE;
  gboolean copies = (visit->rights & HF_TICKET_COPY) != 0;
  for (guint i = 0; i < count; i++) {
    const HfWriter *writer = copies ? hf_writer_table_find(writers, &slots[i].writer, NULL, NULL)
                                    : hf_keeper_signer(writers, &slots[i].writer, domain, error);
    if (writer == NULL)
      return copies ? hf_fail(error, HF_ERROR_PERMISSION, "frames are by a writer who is not enrolled here") : FALSE;
    if (slots[i].domain != domain || !hf_session_slot_verify(&slots[i], writer->public_key))
      return hf_fail(error, HF_ERROR_REFUSED, "a session's key slot is not signed by the writer that it names");
    if (!copies && (!hf_short_id_equal(&slots[i].writer, &visit->writer) ||
                    !g_hash_table_contains(visit->sessions, &slots[i].session)))
      return hf_fail(error, HF_ERROR_PERMISSION, "frames are of another writer or session than this connection's");
    if (!hf_visit_check_generation(visit, slots[i].generation, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean has_slots(const HfVisitPacker *stack, const HfSessionSlot *slots, guint count)
{
  for (guint i = 0; i < count; i++)
    if (!g_hash_table_contains(stack->sessions, &slots[i].session))
      return FALSE;
  return TRUE;
}

static HfVisitPacker *find_packer(HfVisit *visit, HfPackKind kind, guint32 domain, const HfSessionSlot *slots,
                                  guint count)
{
  for (guint i = 0; i < visit->packers->len; i++) {
    HfVisitPacker *stack = visit->packers->pdata[i];
    if (stack->kind == kind && stack->domain == domain && has_slots(stack, slots, count))
      return stack;
  }
  return NULL;
}

static gboolean packs_session(HfVisit *visit, const HfPacker *packer, const HfShortId *session)
{
  HF_LOCK(&visit->lock);
  for (guint i = 0; i < visit->packers->len; i++) {
    const HfVisitPacker *stack = visit->packers->pdata[i];
    if (stack->packer == packer)
      return g_hash_table_contains(stack->sessions, session);
  }
  return FALSE;
}

HfPacker *hf_visit_packer(HfVisit *visit, HfPackKind kind, guint32 domain, const HfSessionSlot *slots, guint count,
                          GError **error)
{
  HfRepo *repo = hf_depot_repo(visit->depot, error);
  if (repo == NULL || !hf_visit_need(visit, HF_TICKET_WRITE | HF_TICKET_COPY, "writing", error))
    return NULL;
  HF_LOCK(&visit->lock);
  HfVisitPacker *stack = count > 0 ? find_packer(visit, kind, domain, slots, count) : NULL;
  if (stack != NULL)
    return stack->packer;
  if (count == 0)
    hf_fail(error, HF_ERROR_INVALID, "frames come without the key slot of their session");
  if (count == 0 || !check_slots(visit, domain, slots, count, error))
    return NULL;
  HfPackerOptions options = {
    .kind = kind,
    .domain = domain,
    .target = kind == HF_PACK_DATA ? repo->config.pack_target : repo->config.meta_pack_target,
    .parity = repo->config.parity,
    .slots = slots,
    .slot_count = count,
    .done = pack_done,
    .user = visit,
  };
  stack = g_new0(HfVisitPacker, 1);
  stack->kind = kind;
  stack->domain = domain;
  stack->packer = hf_packer_new(repo->store, &options);
  stack->sessions = g_hash_table_new_full(hf_id_hash, hf_short_id_equal_func, g_free, NULL);
  for (guint i = 0; i < count; i++)
    g_hash_table_add(stack->sessions, g_memdup2(&slots[i].session, sizeof slots[i].session));
  g_ptr_array_add(visit->packers, stack);
  return stack->packer;
}

/* V7: what is stored by now is taken off the list when it is long. `visit->lock` is held. */
static gboolean make_room(HfVisit *visit, HfRepo *repo, GError **error)
{
  GHashTableIter iter;
  gpointer key;
  if (g_hash_table_size(visit->unresolved) < UNRESOLVED_MAX)
    return TRUE;
  g_hash_table_iter_init(&iter, visit->unresolved);
  while (g_hash_table_iter_next(&iter, &key, NULL)) {
    const HfVisitBlob *blob = key;
    HfLocation location;
    gboolean found;
    if (!hf_index_find(repo->index, blob->domain, &blob->id, 0, &found, &location, error))
      return FALSE;
    if (found)
      g_hash_table_iter_remove(&iter);
  }
  if (g_hash_table_size(visit->unresolved) < UNRESOLVED_MAX / 2)
    return TRUE;
  if (visit->rights & HF_TICKET_COPY) {
    g_hash_table_remove_all(visit->unresolved);
    visit->unsure = TRUE;
    return TRUE;
  }
  return hf_fail(error, HF_ERROR_REFUSED, "metadata came with more than %u refs that lead nowhere", UNRESOLVED_MAX / 2);
}

/* Refs that are neither stored nor here yet may still be on their way: it is asked again before anything is committed.
 * */
static gboolean note_refs(HfVisit *visit, HfRepo *repo, guint32 domain, const HfFrameHeader *header, const void *stored,
                          GError **error)
{
  const HfId *refs;
  HfView clear = { (const guint8 *)stored + HF_FRAME_PREFIX_BYTES, header->clear_length };
  g_autofree guint32 *counts = g_new0(guint32, header->count);
  gsize total = 0;
  if (!hf_group_refs_decode(clear, header->count, counts, &refs, error))
    return FALSE;
  for (guint i = 0; i < header->count; i++)
    total += counts[i];
  for (gsize i = 0; i < total; i++) {
    HfVisitBlob blob = { .id = refs[i], .domain = domain };
    HfLocation location;
    gboolean here, found = FALSE;
    g_mutex_lock(&visit->lock);
    here = g_hash_table_contains(visit->fresh, &blob);
    g_mutex_unlock(&visit->lock);
    if (!here && !hf_index_find(repo->index, domain, &refs[i], 0, &found, &location, error))
      return FALSE;
    if (here || found)
      continue;
    HF_LOCK(&visit->lock);
    if (!make_room(visit, repo, error))
      return FALSE;
    add_blob(visit->unresolved, domain, &refs[i]);
  }
  return TRUE;
}

static gboolean check_frame(HfVisit *visit, const HfPacker *packer, HfRepo *repo, guint32 domain, HfPackKind kind,
                            const HfPackFrame *frame, const void *stored, GError **error)
{
  HfFrameHeader header;
  if (!hf_frame_decode(stored, frame->stored_length, &header, error) ||
      !hf_frame_check(stored, frame->stored_length, &header, error))
    return FALSE;
  if (hf_frame_stored(&header) != frame->stored_length || header.kind != frame->kind ||
      (header.kind == HF_FRAME_GROUP && header.count != frame->blobs) ||
      (header.kind == HF_FRAME_ROW && frame->blobs != 1))
    return hf_fail(error, HF_ERROR_INVALID, "a frame is not what its sender says that it is");
  if (!packs_session(visit, packer, &header.session))
    return hf_fail(error, HF_ERROR_INVALID, "a frame is of a session whose key slot its sender did not give");
  if (kind == HF_PACK_DATA)
    return TRUE;
  return header.kind == HF_FRAME_GROUP ? note_refs(visit, repo, domain, &header, stored, error)
                                       : hf_fail(error, HF_ERROR_INVALID, "a row cannot be metadata");
}

/* V6 */
static gboolean check_copies(HfVisit *visit, HfRepo *repo, guint32 domain, const HfId *ids, guint count, GError **error)
{
  for (guint i = 0; i < count; i++) {
    HfVisitBlob wanted = { .id = ids[i], .domain = domain };
    HfLocation location;
    g_mutex_lock(&visit->lock);
    const HfVisitBlob *blob = g_hash_table_lookup(visit->fresh, &wanted);
    guint copies = blob == NULL ? 0 : blob->copies;
    g_mutex_unlock(&visit->lock);
    gboolean many = copies >= HF_VISIT_COPIES;
    if (!many && !hf_index_find(repo->index, domain, &ids[i], HF_VISIT_COPIES - 1 - copies, &many, &location, error))
      return FALSE;
    if (many && (copies >= HF_VISIT_COPIES || location.standing == HF_STANDING_GOOD)) {
      g_autofree char *hex = hf_hex(ids[i].b, sizeof ids[i].b);
      return hf_fail(error, HF_ERROR_REFUSED, "blob '%s' is stored %u times already; verify this repository with its "
                     "password", hex, HF_VISIT_COPIES);
    }
  }
  return TRUE;
}

static gboolean fail(HfVisit *visit, GError *why, GError **error)
{
  HF_LOCK(&visit->lock);
  if (visit->failed == NULL)
    visit->failed = g_error_copy(why);
  g_propagate_error(error, why);
  return FALSE;
}

static gboolean take_frame(HfVisit *visit, HfPacker *packer, guint32 domain, HfPackKind kind, const HfPackFrame *frame,
                           const void *stored, const HfId *ids, GError **error)
{
  GError *why = NULL;
  HfRepo *repo = hf_depot_repo(visit->depot, error);
  if (repo == NULL)
    return FALSE;
  if (!check_frame(visit, packer, repo, domain, kind, frame, stored, &why) ||
      !check_copies(visit, repo, domain, ids, frame->blobs, &why))
    return fail(visit, why, error);
  g_mutex_lock(&visit->lock);
  for (guint i = 0; i < frame->blobs; i++)
    add_fresh(visit, domain, &ids[i]);
  g_mutex_unlock(&visit->lock);
  return hf_packer_add_stored(packer, frame, stored, ids, &why) || fail(visit, why, error);
}

gboolean hf_visit_frame(HfVisit *visit, HfPacker *packer, guint32 domain, HfPackKind kind, const HfPackFrame *frame,
                        const void *stored, const HfId *ids, GError **error)
{
  gint64 begun = hf_clock_monotonic_us();
  gboolean taken = take_frame(visit, packer, domain, kind, frame, stored, ids, error);
  HF_LOCK(&visit->lock);
  visit->busy_us += (guint64)(hf_clock_monotonic_us() - begun);
  return taken;
}

/* ---- Counting. ---- */

gboolean hf_visit_count(HfVisit *visit, guint64 sender, GError **error)
{
  HF_LOCK(&visit->lock);
  guint64 *frames = g_hash_table_lookup(visit->senders, &sender);
  if (frames == NULL && g_hash_table_size(visit->senders) == SENDERS_MAX)
    return hf_fail(error, HF_ERROR_REFUSED, "more than %u senders use one ticket", SENDERS_MAX);
  if (frames == NULL) {
    frames = g_new0(guint64, 1);
    g_hash_table_insert(visit->senders, g_memdup2(&sender, sizeof sender), frames);
  }
  ++*frames;
  g_cond_broadcast(&visit->taken);
  return TRUE;
}

void hf_visit_miss(HfVisit *visit, const GError *why)
{
  HF_LOCK(&visit->lock);
  if (visit->missing == NULL)
    visit->missing = g_error_copy(why);
  g_cond_broadcast(&visit->taken);
}

gboolean hf_visit_await(HfVisit *visit, guint64 sender, guint64 frames, gint64 patience_us,
                        gboolean *here, GError **error)
{
  gint64 until = g_get_monotonic_time() + patience_us;
  HF_LOCK(&visit->lock);
  for (;;) {
    const guint64 *taken = g_hash_table_lookup(visit->senders, &sender);
    *here = frames == 0 || (taken != NULL && *taken >= frames);
    if (*here)
      return TRUE;
    if (visit->missing != NULL) {
      g_propagate_error(error, g_error_copy(visit->missing));
      return FALSE;
    }
    if (!g_cond_wait_until(&visit->taken, &visit->lock, until))
      return TRUE;
  }
}

/* ---- Settling. ---- */

static gboolean check_unresolved(HfVisit *visit, HfRepo *repo, GError **error)
{
  HF_LOCK(&visit->lock);
  GHashTableIter iter;
  gpointer key;
  g_hash_table_iter_init(&iter, visit->unresolved);
  while (g_hash_table_iter_next(&iter, &key, NULL)) {
    const HfVisitBlob *blob = key;
    if (!hf_keeper_resolves(repo, blob->domain, &blob->id, error))
      return FALSE;
    g_hash_table_iter_remove(&iter);
  }
  return TRUE;
}

gboolean hf_visit_flush(HfVisit *visit, HfVisitTotals *totals, GError **error)
{
  GError *why = NULL;
  HfRepo *repo = hf_depot_repo(visit->depot, error);
  *totals = (HfVisitTotals){ 0 };
  if (repo == NULL)
    return FALSE;
  g_mutex_lock(&visit->lock);
  g_autoptr(GPtrArray) packers = g_ptr_array_new(); /* borrowed: packers live as long as the visit */
  g_ptr_array_extend(packers, visit->packers, NULL, NULL);
  why = visit->failed != NULL ? g_error_copy(visit->failed) : NULL;
  totals->busy_us = visit->busy_us;
  g_mutex_unlock(&visit->lock);
  for (guint i = 0; i < packers->len && why == NULL; i++) {
    guint64 pack, second;
    const HfVisitPacker *stack = packers->pdata[i];
    HfSinkTotals *kind = stack->kind == HF_PACK_DATA ? &totals->data : &totals->meta;
    if (!hf_packer_flush(stack->packer, &why))
      break;
    hf_packer_totals(stack->packer, &pack, &second);
    kind->pack_bytes += pack;
    kind->second_bytes += second;
  }
  if (why != NULL || !hf_index_flush(repo->index, TRUE, &why))
    return fail(visit, why, error);
  return TRUE;
}

static gboolean is_unsure(HfVisit *visit)
{
  HF_LOCK(&visit->lock);
  return visit->unsure;
}

gboolean hf_visit_settle(HfVisit *visit, const HfPoint *point, GError **error)
{
  GError *why = NULL;
  HfVisitTotals totals;
  HfRepo *repo = hf_depot_repo(visit->depot, error);
  if (repo == NULL || !hf_visit_flush(visit, &totals, error))
    return FALSE;
  gboolean good = !is_unsure(visit) && check_unresolved(visit, repo, &why);
  if (!good && point != NULL && (visit->rights & HF_TICKET_COPY)) {
    g_clear_error(&why);
    good = hf_keeper_resolves_below(repo, point->domain, &point->roots, &why);
  }
  return good || fail(visit, why, error);
}
