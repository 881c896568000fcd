/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What saves round trips, and must not change what is true: flushes that overtake frames, listings that come unasked,
 * reads that were announced, and packs read in blocks. */
#include <string.h>

#include "base/error.h"
#include "base/sys.h"
#include "net/messages/vault.h"
#include "repo/objects.h"
#include "repo/session.h"
#include "siege.h"

#define SENDER 7u

/* ---- Flushes that overtake frames. ---- */

static HfCall *begin_sink(Enemy *enemy)
{
  g_auto(HfVaultSink) sink = { .kind = HF_PACK_DATA, .domain = enemy->slot.domain, .slots = enemy_slots(enemy),
                               .sender = SENDER };
  g_autoptr(GBytes) request = hf_vault_sink_encode(&sink, NULL);
  HfCall *call = hf_rpc_begin(enemy->rpc, HF_VAULT_METHOD_SINK, request, NULL);
  g_assert_nonnull(call);
  return call;
}

static void send_frame(Enemy *enemy, HfCall *call, guint number, gboolean bad)
{
  HfId id = { { (guint8)number, 0xa5 } };
  g_autoptr(Frame) frame = frame_new(enemy, HF_PACK_DATA, &id, 1, NULL);
  frame->header.digest[0] ^= bad ? 1 : 0;
  g_autoptr(GBytes) piece = frame_piece(frame);
  struct iovec part = { (void *)g_bytes_get_data(piece, NULL), g_bytes_get_size(piece) };
  g_assert_true(hf_call_send(call, &part, 1, NULL));
}

typedef struct Flusher {
  Enemy *enemy;
  guint64 frames;
  gint done; /* atomic */
  gboolean good;
  GError *error;
} Flusher;

static gpointer flush_main(gpointer data)
{
  Flusher *flusher = data;
  g_auto(HfVaultFlush) request = { .sender = SENDER, .frames = flusher->frames };
  g_auto(HfVaultFlushed) reply = { 0 };
  flusher->good = hf_vault_call_flush(flusher->enemy->rpc, &request, &reply, -1, &flusher->error);
  g_atomic_int_set(&flusher->done, TRUE);
  return NULL;
}

/* A flush that names two frames is not answered when one has come. */
static void test_flush_waits(void)
{
  g_autoptr(Siege) siege = siege_new();
  g_autoptr(Enemy) enemy = enemy_new(siege, 1, HF_TICKET_WRITE, 0);
  enemy_open(enemy);
  g_autoptr(HfCall) sink = begin_sink(enemy);
  Flusher flusher = { .enemy = enemy, .frames = 2 };
  send_frame(enemy, sink, 1, FALSE);
  GThread *thread = g_thread_new("flush", flush_main, &flusher);
  g_usleep(G_USEC_PER_SEC / 2);
  g_assert_false(g_atomic_int_get(&flusher.done));
  send_frame(enemy, sink, 2, FALSE);
  g_thread_join(thread);
  g_assert_no_error(flusher.error);
  g_assert_true(flusher.good);
  /* The call is still open, and its frames are durable. */
  g_autoptr(GArray) ids = siege_ids(siege, 1, HF_PACK_DATA);
  guint found = 0;
  for (guint i = 0; i < ids->len; i++)
    found += g_array_index(ids, HfId, i).b[1] == 0xa5 && g_array_index(ids, HfId, i).b[2] == 0 ? 1 : 0;
  g_assert_cmpuint(found, ==, 2);
  g_autoptr(GBytes) reply = hf_call_finish(sink, NULL);
  g_assert_nonnull(reply);
}

/* A frame that was refused never comes: the flush fails instead of waiting for it, and so do all after it. */
static void test_flush_refused(void)
{
  g_autoptr(Siege) siege = siege_new();
  g_autoptr(Enemy) enemy = enemy_new(siege, 1, HF_TICKET_WRITE, 0);
  enemy_open(enemy);
  g_autoptr(HfCall) sink = begin_sink(enemy);
  Flusher flusher = { .enemy = enemy, .frames = 2 };
  send_frame(enemy, sink, 1, FALSE);
  GThread *thread = g_thread_new("flush", flush_main, &flusher);
  send_frame(enemy, sink, 2, TRUE);
  g_thread_join(thread);
  g_assert_false(flusher.good);
  g_assert_nonnull(flusher.error);
  g_clear_error(&flusher.error);
  flush_main(&flusher);
  g_assert_false(flusher.good);
  g_clear_error(&flusher.error);
}

/* A sink that was cancelled holds up no flush: what came by it before is taken. */
static void test_flush_cancelled(void)
{
  g_autoptr(Siege) siege = siege_new();
  g_autoptr(Enemy) enemy = enemy_new(siege, 1, HF_TICKET_WRITE, 0);
  enemy_open(enemy);
  HfCall *first = begin_sink(enemy);
  send_frame(enemy, first, 1, FALSE);
  hf_call_free(first);
  g_autoptr(HfCall) second = begin_sink(enemy);
  Flusher flusher = { .enemy = enemy, .frames = 2 };
  GThread *thread = g_thread_new("flush", flush_main, &flusher);
  g_usleep(G_USEC_PER_SEC / 5);
  g_assert_false(g_atomic_int_get(&flusher.done));
  send_frame(enemy, second, 2, FALSE);
  g_thread_join(thread);
  g_assert_no_error(flusher.error);
  g_assert_true(flusher.good);
}

/* Nor do those that were under way on a connection that is gone. */
static void test_flush_parted(void)
{
  g_autoptr(Siege) siege = siege_new();
  VaultTicket wanted = { .rights = HF_TICKET_WRITE, .writer = siege->writers[1] };
  g_autoptr(HfTicket) ticket = vault_lab_ticket(siege->lab, &wanted);
  g_autoptr(GError) error = NULL;
  gboolean here = TRUE;
  HfVisit *first = hf_visit_join(ticket, NULL), *second = hf_visit_join(ticket, NULL);
  g_assert_true(first == second);
  g_assert_true(hf_visit_count(first, SENDER, NULL));
  g_assert_true(hf_visit_await(first, SENDER, 1, 0, &here, NULL) && here);
  g_assert_true(hf_visit_await(first, SENDER, 2, 1000, &here, NULL) && !here);
  g_assert_true(hf_visit_await(first, SENDER + 1, 0, 0, &here, NULL) && here);
  hf_visit_leave(second);
  g_assert_true(hf_visit_await(first, SENDER, 1, 0, &here, NULL) && here);
  g_assert_false(hf_visit_await(first, SENDER, 2, G_USEC_PER_SEC, &here, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_IO);
  g_clear_error(&error);
  /* Counting takes memory, so it is bounded. */
  for (guint64 sender = 100; sender < 163; sender++)
    g_assert_true(hf_visit_count(first, sender, NULL));
  g_assert_false(hf_visit_count(first, 163, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_REFUSED);
  g_assert_true(hf_visit_count(first, SENDER, NULL));
  hf_visit_leave(first);
}

static void add_frames(Enemy *enemy, HfSink *sink, guint first, guint count)
{
  for (guint i = first; i < first + count; i++) {
    HfId id = { { (guint8)i, 0xa5, (guint8)(i >> 8) } };
    g_autoptr(Frame) frame = frame_new(enemy, HF_PACK_DATA, &id, 1, NULL);
    struct iovec part = { frame->stored, frame->length };
    g_assert_true(hf_sink_add(sink, &frame->header, &part, 1, &id, NULL));
  }
}

/* What a store has flushed is in the folder when the flush returns, over however many connections it went, also after a
 * sink that was freed with frames of which nobody knows how far they came. */
static void test_flush_store(void)
{
  g_autoptr(Siege) siege = siege_new();
  g_autoptr(Enemy) enemy = enemy_new(siege, 1, HF_TICKET_WRITE, 0); /* for its keys */
  VaultTicket ticket = { .rights = HF_TICKET_WRITE, .writer = siege->writers[1] };
  g_autoptr(HfStore) store = vault_lab_store(siege->lab, &ticket, 4, NULL);
  HfSessionOpen open = { .id = enemy->session, .purpose = HF_PURPOSE_BACKUP, .has_slot = TRUE, .slot = enemy->slot,
                         .writer = enemy->slot.writer, .domain = enemy->slot.domain };
  g_autoptr(GBytes) record = hf_session_open_encode(&open);
  g_autofree char *name = enemy_name(enemy, "open");
  g_assert_true(hf_store_put(store, name, g_bytes_get_data(record, NULL), g_bytes_get_size(record), NULL));
  HfSinkOptions options = { HF_PACK_DATA, enemy->slot.domain, &enemy->slot, 1 };
  HfSink *dropped = hf_sink_open(store, &options, NULL);
  add_frames(enemy, dropped, 1000, 50);
  hf_sink_free(dropped);
  g_autoptr(HfSink) sink = hf_sink_open(store, &options, NULL);
  for (guint turn = 0; turn < 10; turn++) {
    g_autoptr(GError) error = NULL;
    guint found = 0;
    add_frames(enemy, sink, turn * 40, 40);
    g_assert_true(hf_sink_flush(sink, NULL, &error));
    g_assert_no_error(error);
    g_autoptr(GArray) ids = siege_ids(siege, 1, HF_PACK_DATA);
    for (guint i = 0; i < ids->len; i++) {
      const HfId *id = &g_array_index(ids, HfId, i);
      found += id->b[1] == 0xa5 && id->b[0] + 256u * id->b[2] < 1000 && id->b[3] == 0 && id->b[4] == 0 ? 1 : 0;
    }
    g_assert_cmpuint(found, ==, (turn + 1) * 40);
  }
}

/* ---- Reading. ---- */

static HfStore *reader(Siege *siege)
{
  VaultTicket ticket = { .rights = HF_TICKET_READ };
  g_autoptr(GError) error = NULL;
  HfStore *store = vault_lab_store(siege->lab, &ticket, 3, &error);
  g_assert_no_error(error);
  return store;
}

typedef struct Object {
  char *name;
  GBytes *bytes; /* as the folder has it */
} Object;

static void object_clear(gpointer data)
{
  Object *object = data;
  g_free(object->name);
  g_bytes_unref(object->bytes);
}

static GArray *objects(Siege *siege, const char *prefix)
{
  g_autoptr(GPtrArray) names = siege_names(siege, prefix);
  GArray *found = g_array_new(FALSE, FALSE, sizeof(Object));
  g_array_set_clear_func(found, object_clear);
  for (guint i = 0; i < names->len; i++) {
    Object object = { g_strdup(names->pdata[i]), hf_store_get_all(siege->local, names->pdata[i], 64u << 20, NULL) };
    g_assert_nonnull(object.bytes);
    g_array_append_val(found, object);
  }
  g_assert_cmpuint(found->len, >, 0);
  return found;
}

static void assert_range(HfStore *store, const Object *object, guint64 offset, gsize length)
{
  g_autofree guint8 *bytes = g_malloc0(length + 1);
  g_autoptr(GError) error = NULL;
  g_assert_true(hf_store_get(store, object->name, offset, bytes, length, &error));
  g_assert_no_error(error);
  g_assert_cmpint(memcmp(bytes, (const guint8 *)g_bytes_get_data(object->bytes, NULL) + offset, length), ==, 0);
}

static HfStoreRange some_range(const Object *object)
{
  gsize size = g_bytes_get_size(object->bytes);
  guint64 offset = (guint64)g_test_rand_int_range(0, (gint32)size);
  return (HfStoreRange){ object->name, offset, (gsize)g_test_rand_int_range(0, (gint32)(size - offset) + 1) };
}

/* What was announced and what was not, in any order, some of it twice, some of it never. */
static void test_announced(void)
{
  g_autoptr(Siege) siege = siege_new();
  g_autoptr(GArray) packs = objects(siege, "data/");
  g_autoptr(HfStore) store = reader(siege);
  for (guint turn = 0; turn < 6; turn++) {
    HfStoreRange ranges[40];
    const Object *of[G_N_ELEMENTS(ranges)];
    for (guint i = 0; i < G_N_ELEMENTS(ranges); i++) {
      of[i] = &g_array_index(packs, Object, (guint)g_test_rand_int_range(0, (gint32)packs->len));
      ranges[i] = some_range(of[i]);
    }
    hf_store_will_read(store, ranges, G_N_ELEMENTS(ranges));
    hf_store_will_read(store, ranges, 3);
    for (guint i = 0; i < G_N_ELEMENTS(ranges); i++) {
      guint k = (i * 7 + turn) % G_N_ELEMENTS(ranges);
      if (k % 5 == 4)
        continue;
      assert_range(store, of[k], ranges[k].offset, ranges[k].length);
      if (k % 3 == 0)
        assert_range(store, of[k], ranges[k].offset, ranges[k].length);
    }
  }
}

/* What is not there is announced in vain, and missed by who reads it. */
static void test_announced_missing(void)
{
  g_autoptr(Siege) siege = siege_new();
  g_autoptr(GArray) packs = objects(siege, "data/");
  g_autoptr(HfStore) store = reader(siege);
  g_autoptr(GError) error = NULL;
  const Object *pack = &g_array_index(packs, Object, 0);
  gsize size = g_bytes_get_size(pack->bytes);
  guint8 bytes[16];
  char missing[HF_NAME_BYTES];
  HfShortId nobody = { { 0x77 } };
  hf_name_pack(missing, HF_PACK_DATA, &nobody);
  HfStoreRange ranges[] = { { missing, 0, 16 }, { pack->name, size - 8, 16 }, { pack->name, 0, 16 } };
  hf_store_will_read(store, ranges, G_N_ELEMENTS(ranges));
  g_assert_false(hf_store_get(store, missing, 0, bytes, 16, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_NOT_FOUND);
  g_clear_error(&error);
  g_assert_false(hf_store_get(store, pack->name, size - 8, bytes, 16, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_DAMAGED);
  assert_range(store, pack, 0, 16);
}

static gboolean nothing(const char *name G_GNUC_UNUSED, guint64 size G_GNUC_UNUSED, gpointer user G_GNUC_UNUSED,
                        GError **error G_GNUC_UNUSED)
{
  return TRUE;
}

/* Metadata packs in blocks, once their lengths are known, and as they were before. */
static void test_blocks(void)
{
  g_autoptr(Siege) siege = siege_new();
  g_autoptr(GArray) packs = objects(siege, "meta/");
  g_autoptr(HfStore) store = reader(siege);
  g_autoptr(GError) error = NULL;
  for (guint turn = 0; turn < 2; turn++) {
    for (guint i = 0; i < 200; i++) {
      const Object *pack = &g_array_index(packs, Object, (guint)g_test_rand_int_range(0, (gint32)packs->len));
      HfStoreRange range = some_range(pack);
      assert_range(store, pack, range.offset, range.length);
    }
    const Object *first = &g_array_index(packs, Object, 0);
    guint8 bytes[16];
    g_assert_false(hf_store_get(store, first->name, g_bytes_get_size(first->bytes) - 8, bytes, 16, &error));
    g_assert_error(error, HF_ERROR, HF_ERROR_DAMAGED);
    g_clear_error(&error);
    g_assert_false(hf_store_get(store, first->name, 1u << 30, bytes, 16, &error));
    g_clear_error(&error);
    g_assert_true(hf_store_list(store, "meta/", nothing, NULL, NULL));
  }
}

/* ---- Listings. ---- */

/* The answer to a session's `open` brings all folders, and an empty listing last; other objects bring nothing. */
static void test_open_brings_folders(void)
{
  g_autoptr(Siege) siege = siege_new();
  g_autoptr(Enemy) enemy = enemy_new(siege, 1, HF_TICKET_WRITE, 0);
  HfSessionOpen open = { .id = enemy->session, .purpose = HF_PURPOSE_BACKUP, .has_slot = TRUE, .slot = enemy->slot,
                         .writer = enemy->slot.writer, .domain = enemy->slot.domain };
  g_autoptr(GBytes) content = hf_session_open_encode(&open);
  g_auto(HfVaultName) name = { .name = enemy_name(enemy, "open") };
  g_autoptr(GBytes) request = hf_vault_name_encode(&name, NULL);
  g_autoptr(HfCall) call = hf_rpc_begin(enemy->rpc, HF_VAULT_METHOD_PUT, request, NULL);
  struct iovec part = { (void *)g_bytes_get_data(content, NULL), g_bytes_get_size(content) };
  g_assert_true(hf_call_send(call, &part, 1, NULL) && hf_call_end(call, NULL));
  g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  gboolean end = FALSE, last = FALSE;
  for (;;) {
    g_autoptr(GBytes) piece = hf_call_receive(call, &end, NULL);
    if (piece == NULL)
      break;
    g_auto(HfVaultListing) listing = { 0 };
    g_assert_false(last);
    g_assert_true(hf_vault_listing_decode(piece, &listing, NULL));
    last = listing.n_entries == 0;
    for (guint i = 0; i < listing.n_entries; i++)
      g_hash_table_add(names, g_strdup(listing.entries[i].name));
  }
  g_assert_true(end && last);
  g_autoptr(GBytes) reply = hf_call_finish(call, NULL);
  g_assert_nonnull(reply);
  for (guint i = 0; hf_service_session_folders[i] != NULL; i++) {
    g_autoptr(GPtrArray) there = siege_names(siege, hf_service_session_folders[i]);
    for (guint k = 0; k < there->len; k++)
      g_assert_true(g_hash_table_remove(names, there->pdata[k]));
  }
  g_assert_cmpuint(g_hash_table_size(names), ==, 0);
}

/* ---- A sweep while a session begins. ---- */

#define MARK "gc/mark.0000000000000001"

/* As a collector does it: the packs first, the mark after them, before call number `calls` of the local store. That
 * call may be one of a visit that ends while the test goes on: the lock is held until all is swept. */
static struct {
  const HfSys *real;
  HfStore *store;
  GPtrArray *names; /* of packs and mirrors */
  GMutex lock;
  gint calls; /* atomic, changed under lock; 0: not set */
} sweep;

static void sweep_now(void)
{
  for (guint i = 0; i < sweep.names->len; i++)
    g_assert_true(hf_store_remove(sweep.store, sweep.names->pdata[i], NULL));
  g_assert_true(hf_store_remove(sweep.store, MARK, NULL));
}

static int sweep_and_open(int dirfd, const char *path, int flags, mode_t mode)
{
  /* The sweep's own calls find 0, and ask for no lock. */
  if (g_atomic_int_get(&sweep.calls) > 0) {
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&sweep.lock);
    gint left = g_atomic_int_get(&sweep.calls);
    g_atomic_int_set(&sweep.calls, MAX(left - 1, 0));
    if (left == 1)
      sweep_now();
  }
  return sweep.real->openat(dirfd, path, flags, mode);
}

/* Sets the call before which is swept (0: none any more); waits for a sweep that has begun. Returns what was set and
 * not reached yet, 0 when it was swept. */
static gint sweep_set(gint calls)
{
  g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&sweep.lock);
  gint left = g_atomic_int_get(&sweep.calls);
  g_atomic_int_set(&sweep.calls, calls);
  return left;
}

/* A mark of all packs, and of `more` that there are not. */
static GBytes *mark_packs(const GPtrArray *names, guint more)
{
  HfMark mark;
  hf_mark_init(&mark);
  for (guint i = 0; i < names->len + more; i++) {
    HfShortId id;
    hf_random(&id, sizeof id);
    g_assert_true(i >= names->len || hf_name_short_id(names->pdata[i], &id));
    g_array_append_val(mark.packs, id);
  }
  GBytes *record = hf_mark_encode(&mark);
  hf_mark_clear(&mark);
  return record;
}

static void put_bytes(HfStore *store, const char *name, GBytes *bytes)
{
  gboolean there;
  g_assert_true(hf_object_exists(store, name, &there, NULL));
  if (!there)
    g_assert_true(hf_store_put(store, name, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), NULL));
}

/* A session that begins at this moment must not take anything for stored that is swept. */
static void begin_session(Siege *siege, const HfPackInfo *info)
{
  VaultTicket ticket = { .rights = HF_TICKET_WRITE, .writer = siege->writers[0] };
  g_autoptr(HfRepo) repo = vault_lab_open(siege->lab, &ticket, siege->credentials[0], NULL);
  g_assert_nonnull(repo);
  g_autoptr(HfSession) session = hf_session_open(repo, HF_PURPOSE_BACKUP, NULL);
  g_assert_nonnull(session);
  g_assert_true(hf_repo_load_index(repo, NULL));
  for (guint i = 0; i < info->ids->len; i++) {
    gboolean claimed;
    g_assert_true(hf_index_claim(repo->index, info->domain, &g_array_index(info->ids, HfId, i), &claimed, NULL));
    g_assert_true(claimed);
  }
}

static void sweep_everywhere(guint more)
{
  g_autoptr(Siege) siege = siege_new();
  g_autoptr(GPtrArray) data = siege_names(siege, "data/"), meta = siege_names(siege, "meta/");
  g_autoptr(GPtrArray) contents = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
  g_auto(HfPackInfo) info;
  HfShortId first;
  hf_pack_info_init(&info);
  g_assert_true(hf_name_short_id(data->pdata[0], &first));
  g_assert_true(hf_pack_read_info(siege->local, HF_PACK_DATA, &first, &info, NULL));
  g_autoptr(GBytes) mark = mark_packs(data, more);
  for (guint i = 0; i < data->len; i++)
    g_ptr_array_add(contents, hf_store_get_all(siege->local, data->pdata[i], 64 << 20, NULL));
  sweep.store = siege->local;
  sweep.names = data;
  gboolean swept = TRUE;
  for (gint at = 1; swept; at++) {
    for (guint i = 0; i < data->len; i++)
      put_bytes(siege->local, data->pdata[i], contents->pdata[i]);
    put_bytes(siege->local, MARK, mark);
    sweep_set(at);
    begin_session(siege, &info);
    swept = sweep_set(0) == 0;
    g_assert_true(swept || at > 10);
  }
  g_assert_true(hf_store_remove(siege->local, MARK, NULL));
}

/* What a mark has condemned before the session began is swept at any moment while the session asks what is stored. The
 * second mark is too large to come with its listing. */
static void test_swept_meanwhile(void)
{
  HfSys table = *hf_sys;
  sweep.real = hf_sys;
  table.openat = sweep_and_open;
  hf_sys = &table;
  sweep_everywhere(0);
  sweep_everywhere(6000);
  hf_sys = sweep.real;
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/trips/flush-waits", test_flush_waits);
  g_test_add_func("/trips/flush-refused", test_flush_refused);
  g_test_add_func("/trips/flush-cancelled", test_flush_cancelled);
  g_test_add_func("/trips/flush-parted", test_flush_parted);
  g_test_add_func("/trips/flush-store", test_flush_store);
  g_test_add_func("/trips/announced", test_announced);
  g_test_add_func("/trips/announced-missing", test_announced_missing);
  g_test_add_func("/trips/blocks", test_blocks);
  g_test_add_func("/trips/open-brings-folders", test_open_brings_folders);
  g_test_add_func("/trips/swept-meanwhile", test_swept_meanwhile);
  return g_test_run();
}
