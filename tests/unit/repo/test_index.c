/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/index.h"

#include <string.h>

#include "base/error.h"
#include "repo/indexstate.h"
#include "repo/keeper.h"
#include "repo/objects.h"
#include "repolab.h"

static HfId make_id(guint64 number)
{
  HfId id;
  hf_sha256(&number, sizeof number, id.b);
  return id;
}

/* A pack of `frames` frames of `blobs` blobs each, their numbers rising from `first`. */
static void make_info(HfPackInfo *info, HfPackKind kind, guint32 domain, guint frames, guint blobs, guint64 first)
{
  hf_pack_info_init(info);
  HfSessionSlot slot = { .domain = domain };
  hf_random(&info->id, sizeof info->id);
  g_array_append_val(info->slots, slot);
  info->kind = (guint8)kind;
  info->domain = domain;
  guint32 offset = (guint32)hf_pack_head_length(1);
  for (guint f = 0; f < frames; f++) {
    HfPackFrame frame = { .offset = offset, .stored_length = 100, .kind = HF_FRAME_GROUP, .blobs = (guint16)blobs,
                          .first_blob = info->ids->len };
    offset += frame.stored_length;
    g_array_append_val(info->frames, frame);
    for (guint b = 0; b < blobs; b++) {
      HfId id = make_id(first++);
      g_array_append_val(info->ids, id);
    }
  }
  info->length = offset;
}

/* Writes the pack; the frames' bytes are zeros, which no directory minds. */
static void put_pack(HfStore *store, HfPackInfo *info)
{
  g_autoptr(GByteArray) bytes = g_byte_array_new();
  char name[HF_NAME_BYTES];
  hf_pack_head_encode(info, bytes);
  guint64 offset = bytes->len + info->frames->len * 100;
  g_byte_array_set_size(bytes, (guint)offset);
  memset(bytes->data + hf_pack_head_length(1), 0, info->frames->len * 100);
  hf_pack_end_encode(info, offset, bytes);
  info->length = bytes->len;
  hf_name_pack(name, info->kind, &info->id);
  g_assert_true(hf_store_put(store, name, bytes->data, bytes->len, NULL));
}

static gboolean claims(HfIndex *index, guint32 domain, guint64 number)
{
  HfId id = make_id(number);
  gboolean claimed;
  g_assert_true(hf_index_claim(index, domain, &id, &claimed, NULL));
  return claimed;
}

static gboolean finds(HfIndex *index, guint32 domain, guint64 number, guint attempt, HfLocation *location)
{
  HfId id = make_id(number);
  HfLocation ignored;
  gboolean found;
  GError *error = NULL;
  g_assert_true(hf_index_find(index, domain, &id, attempt, &found, location ? location : &ignored, &error));
  g_assert_no_error(error);
  return found;
}

static HfIndex *open_index(Lab *lab, HfStore *store)
{
  GError *error = NULL;
  HfIndex *index = hf_index_open(store, lab->report, &error);
  g_assert_no_error(error);
  return index;
}

/* A pack in the store and in the index, as a finished packer leaves it. */
static HfShortId add_pack(HfStore *store, HfIndex *index, guint frames, guint blobs, guint64 first)
{
  g_auto(HfPackInfo) info;
  make_info(&info, HF_PACK_DATA, 1, frames, blobs, first);
  put_pack(store, &info);
  g_assert_true(hf_index_add_pack(index, &info, NULL));
  return info.id;
}

static void test_claim(void)
{
  g_autoptr(Lab) lab = lab_new();
  g_autoptr(HfStore) store = lab_store(lab);
  g_autoptr(HfIndex) index = open_index(lab, store);
  HfLocation location;
  g_assert_true(claims(index, 1, 7));
  g_assert_false(claims(index, 1, 7));
  g_assert_true(claims(index, 2, 7)); /* domains never meet */
  g_assert_false(finds(index, 1, 7, 0, NULL));
  HfShortId pack = add_pack(store, index, 2, 3, 5); /* numbers 5 to 10 */
  g_assert_false(claims(index, 1, 7));
  g_assert_true(finds(index, 1, 7, 0, &location));
  g_assert_true(hf_short_id_equal(&location.pack, &pack));
  g_assert_cmpuint(location.offset, ==, hf_pack_head_length(1));
  g_assert_cmpuint(location.blob, ==, 2);
  g_assert_cmpuint(location.stored_length, ==, 100);
  g_assert_cmpint(location.kind, ==, HF_PACK_DATA);
  g_assert_true(finds(index, 1, 8, 0, &location));
  g_assert_cmpuint(location.offset, ==, hf_pack_head_length(1) + 100);
  g_assert_cmpuint(location.blob, ==, 0);
  g_assert_false(finds(index, 1, 7, 1, NULL));
  g_assert_false(finds(index, 2, 8, 0, NULL));
  g_assert_false(finds(index, 1, 11, 0, NULL));
  g_assert_cmpuint(hf_index_entries(index), ==, 6);
  /* Who claimed 7 of domain 2 and 50 fails: they are anybody's again; what is durable is not. */
  g_assert_true(claims(index, 1, 50));
  hf_index_drop_claims(index);
  g_assert_true(claims(index, 1, 50));
  g_assert_true(claims(index, 2, 7));
  g_assert_false(claims(index, 1, 7));
  g_assert_true(finds(index, 1, 8, 0, NULL));
}

static void test_runs(void)
{
  g_autoptr(Lab) lab = lab_new();
  g_autoptr(HfStore) store = lab_store(lab);
  g_autoptr(HfIndex) index = open_index(lab, store);
  add_pack(store, index, 1, 200, 0);
  g_assert_true(claims(index, 1, 999));
  g_assert_true(hf_index_flush(index, TRUE, NULL));
  g_assert_true(hf_index_flush(index, TRUE, NULL)); /* nothing new: nothing written */
  g_assert_cmpuint(hf_index_runs(index), ==, 1);
  g_assert_false(claims(index, 1, 999)); /* what is only claimed stays */
  for (guint64 i = 0; i < 200; i++)
    g_assert_true(finds(index, 1, i, 0, NULL));
  g_autoptr(HfIndex) again = open_index(lab, store);
  for (guint64 i = 0; i < 200; i++) {
    g_assert_true(finds(again, 1, i, 0, NULL));
    g_assert_false(claims(again, 1, i));
    g_assert_false(finds(again, 9, i, 0, NULL));
  }
  g_assert_true(claims(again, 1, 999));
  g_assert_cmpuint(lab->warnings->len, ==, 0);
}

static void test_many_runs(void)
{
  g_autoptr(Lab) lab = lab_new();
  g_autoptr(HfStore) store = lab_store(lab);
  g_autoptr(HfIndex) index = open_index(lab, store);
  guint64 next = 0;
  for (guint i = 0; i < 30; i++) {
    guint blobs = 1 + (i * 37) % 300;
    add_pack(store, index, 1, blobs, next);
    next += blobs;
    g_assert_true(hf_index_flush(index, TRUE, NULL));
    g_assert_cmpuint(hf_index_runs(index), <=, 4);
  }
  for (guint64 i = 0; i < next; i++)
    g_assert_true(finds(index, 1, i, 0, NULL));
  g_assert_cmpuint(hf_index_entries(index), ==, next);
  g_autoptr(GPtrArray) runs = lab_names(lab, "index/");
  g_assert_cmpuint(runs->len, ==, hf_index_runs(index));
}

static void test_bounded(void)
{
  g_autoptr(Lab) lab = lab_new();
  g_autoptr(HfStore) store = lab_store(lab);
  g_autoptr(HfIndex) index = open_index(lab, store);
  guint64 total = 3 * HF_INDEX_TABLE_MAX;
  for (guint64 first = 0; first < total; first += 65536)
    add_pack(store, index, 2, 32768, first);
  g_assert_cmpuint(hf_index_entries(index), ==, total);
  g_assert_cmpuint(hf_index_runs(index), >=, 1);
  g_assert_cmpuint(index->table.durable, <, HF_INDEX_TABLE_MAX);
  g_assert_true(hf_index_flush(index, TRUE, NULL));
  guint64 fixed = HF_INDEX_CACHE_PAGES * (guint64)HF_INDEX_PAGE_BYTES + (1u << 20);
  g_assert_cmpuint(hf_index_memory(index), <=, 2 * total + fixed);
  for (guint64 i = 0; i < total; i += 997)
    g_assert_true(finds(index, 1, i, 0, NULL));
  for (guint64 i = total; i < total + 2000; i++)
    g_assert_false(finds(index, 1, i, 0, NULL));
}

static void test_packs_decide(void)
{
  g_autoptr(Lab) lab = lab_new();
  g_autoptr(HfStore) store = lab_store(lab);
  g_autoptr(HfIndex) index = open_index(lab, store);
  char name[HF_NAME_BYTES];
  HfShortId one = add_pack(store, index, 1, 10, 0);
  add_pack(store, index, 1, 10, 5); /* 5 to 9 twice */
  g_assert_true(hf_index_flush(index, TRUE, NULL));
  g_assert_true(finds(index, 1, 6, 1, NULL));
  hf_name_pack(name, HF_PACK_DATA, &one);
  lab_drop(lab, name);
  g_assert_true(hf_index_refresh(index, NULL));
  g_assert_false(finds(index, 1, 0, 0, NULL));
  g_assert_true(finds(index, 1, 6, 0, NULL));
  g_assert_false(finds(index, 1, 6, 1, NULL));
  g_assert_true(claims(index, 1, 0));
  g_autoptr(HfIndex) again = open_index(lab, store);
  g_assert_false(finds(again, 1, 0, 0, NULL));
  g_assert_true(finds(again, 1, 6, 0, NULL));
  g_assert_true(hf_index_compact(again, NULL));
  g_assert_cmpuint(hf_index_entries(again), ==, 10);
  g_autoptr(GArray) packs = hf_index_packs(again);
  g_assert_cmpuint(packs->len, ==, 1);
}

static void test_uncovered(void)
{
  g_autoptr(Lab) lab = lab_new();
  g_autoptr(HfStore) store = lab_store(lab);
  g_auto(HfPackInfo) data, meta, bad;
  char name[HF_NAME_BYTES];
  make_info(&data, HF_PACK_DATA, 1, 1, 5, 0);
  make_info(&meta, HF_PACK_META, 1, 1, 5, 10);
  make_info(&bad, HF_PACK_DATA, 1, 1, 5, 20);
  put_pack(store, &data);
  put_pack(store, &meta);
  put_pack(store, &bad);
  hf_name_pack(name, HF_PACK_META, &meta.id);
  g_autoptr(GBytes) bytes = lab_get(lab, name);
  lab_drop(lab, name); /* only its mirror is left */
  hf_name_mirror(name, &meta.id);
  lab_put(lab, name, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
  hf_name_pack(name, HF_PACK_DATA, &bad.id);
  lab_flip(lab, name, bad.length - 70); /* its directory */
  g_autoptr(HfIndex) index = open_index(lab, store);
  g_assert_true(finds(index, 1, 3, 0, NULL));
  g_assert_true(finds(index, 1, 13, 0, NULL));
  g_assert_false(finds(index, 1, 23, 0, NULL));
  g_assert_true(lab_warned(lab, "holdfast repair"));
  g_assert_true(claims(index, 1, 23));
  g_assert_false(claims(index, 1, 3));
  g_assert_true(claims(index, 1, 13)); /* a second copy is wanted of what has only the mirror */
  HfLocation location;
  g_assert_true(finds(index, 1, 13, 0, &location));
  g_assert_cmpint(location.standing, ==, HF_STANDING_THIN);
  g_assert_cmpint(location.kind, ==, HF_PACK_META);
  g_assert_true(hf_index_flush(index, TRUE, NULL)); /* the next one finds a run */
  g_autoptr(HfIndex) again = open_index(lab, store);
  g_assert_cmpuint(hf_index_runs(again), ==, 1);
  g_assert_true(finds(again, 1, 3, 0, NULL));
  /* The pack is back: it counts. */
  hf_name_pack(name, HF_PACK_META, &meta.id);
  lab_put(lab, name, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
  g_assert_true(claims(again, 1, 14));
  hf_index_drop_claims(again);
  g_assert_true(hf_index_refresh(again, NULL));
  g_assert_false(claims(again, 1, 14));
}

static int no_puts(gboolean before, HookOp op, const char *name, gpointer user)
{
  (void)name;
  (void)user;
  return before && op == HOOK_PUT ? HF_ERROR_PERMISSION : 0;
}

/* All runs of a large repository are lost: some are written while the directories are read (I4), and those count. A
 * store that cannot be written does without. */
static void test_lost(void)
{
  g_autoptr(Lab) lab = lab_new();
  g_autoptr(HfStore) store = lab_store(lab), closed = lab_hooked(lab, no_puts, NULL);
  guint64 total = 5 * HF_INDEX_TABLE_MAX;
  for (guint64 first = 0; first < total; first += 65536) {
    g_auto(HfPackInfo) info;
    make_info(&info, HF_PACK_DATA, 1, 2, 32768, first);
    put_pack(store, &info);
  }
  g_autoptr(HfIndex) without = open_index(lab, closed), index = open_index(lab, store);
  g_assert_cmpuint(hf_index_runs(without), ==, 0);
  g_assert_cmpuint(hf_index_runs(index), ==, 1);
  for (guint round = 0; round < 2; round++) {
    g_assert_cmpuint(hf_index_entries(index), ==, total);
    g_assert_cmpuint(hf_index_entries(without), ==, total);
    for (guint64 i = 0; i < total; i += 997) {
      g_assert_true(finds(index, 1, i, 0, NULL));
      g_assert_false(finds(index, 1, i, 1, NULL));
      g_assert_true(finds(without, 1, i, 0, NULL));
    }
    g_assert_true(hf_index_refresh(index, NULL));
  }
}

static void put_places(Lab *lab, HfRecordKind kind, const char *name, const HfShortId *pack, guint32 offset)
{
  g_autoptr(GArray) places = g_array_new(FALSE, FALSE, sizeof(HfPlace));
  HfPlace place = { *pack, offset };
  g_array_append_val(places, place);
  g_autoptr(GBytes) record = hf_places_encode(kind, places);
  lab_put(lab, name, g_bytes_get_data(record, NULL), g_bytes_get_size(record));
}

#define MARK "gc/mark.0000000000000001"

static void put_mark(Lab *lab, const HfShortId *condemned)
{
  HfMark mark;
  hf_mark_init(&mark);
  g_array_append_vals(mark.packs, condemned, 1);
  g_autoptr(GBytes) record = hf_mark_encode(&mark);
  hf_mark_clear(&mark);
  lab_put(lab, MARK, g_bytes_get_data(record, NULL), g_bytes_get_size(record));
}

static void test_absent(void)
{
  g_autoptr(Lab) lab = lab_new();
  g_autoptr(HfStore) store = lab_store(lab);
  g_autoptr(HfIndex) index = open_index(lab, store);
  HfShortId thin = add_pack(store, index, 2, 5, 0), damaged = add_pack(store, index, 2, 5, 20);
  HfShortId whole = add_pack(store, index, 2, 5, 40), condemned = add_pack(store, index, 2, 5, 60);
  guint32 first = (guint32)hf_pack_head_length(1);
  HfId id = make_id(0);
  gboolean absent;
  g_assert_true(hf_index_flush(index, TRUE, NULL));
  g_assert_false(hf_index_has_absent(index));
  g_assert_true(hf_index_is_absent(index, 1, &id, &absent, NULL));
  g_assert_false(absent);

  put_places(lab, HF_RECORD_THIN, "gc/thin.0000000000000001", &thin, first);
  put_places(lab, HF_RECORD_DAMAGE, "damage/00", &damaged, first + 100);
  put_places(lab, HF_RECORD_DAMAGE, "damage/01", &whole, HF_PLACE_WHOLE_PACK);
  lab_put(lab, "damage/02", "rubbish", 7);
  put_mark(lab, &condemned);
  g_assert_true(hf_index_refresh(index, NULL));
  g_assert_true(lab_warned(lab, "passed over"));
  g_assert_true(hf_index_has_absent(index));
  g_assert_true(hf_index_is_absent(index, 1, &id, &absent, NULL));
  g_assert_true(absent);
  for (guint64 i = 0; i < 10; i++) {
    g_assert_true(finds(index, 1, i, 0, NULL)); /* all can still be read */
    g_assert_true(finds(index, 1, 20 + i, 0, NULL));
    g_assert_cmpint(claims(index, 1, i), ==, i < 5);
    g_assert_cmpint(claims(index, 1, 20 + i), ==, i >= 5);
    g_assert_true(claims(index, 1, 40 + i));
    g_assert_true(claims(index, 1, 60 + i));
  }
  g_assert_true(hf_index_is_absent(index, 1, &id, &absent, NULL));
  g_assert_false(absent); /* claimed meanwhile */

  g_autoptr(HfIndex) again = open_index(lab, store); /* which knew none of these packs */
  for (guint64 i = 0; i < 10; i++) {
    g_assert_cmpint(claims(again, 1, i), ==, i < 5);
    g_assert_cmpint(claims(again, 1, 20 + i), ==, i >= 5);
    g_assert_true(claims(again, 1, 40 + i));
    g_assert_true(claims(again, 1, 60 + i));
  }

  /* What is stored anew counts, and comes first. */
  HfLocation location;
  HfShortId fresh = add_pack(store, index, 1, 5, 0);
  g_assert_false(claims(index, 1, 0));
  g_assert_true(finds(index, 1, 0, 0, &location));
  g_assert_true(hf_short_id_equal(&location.pack, &fresh));
  g_assert_true(finds(index, 1, 0, 1, &location));
  g_assert_true(hf_short_id_equal(&location.pack, &thin));
}

/* The same blob in four places: who deletes counts on the first two standings only. */
static void test_standing(void)
{
  g_autoptr(Lab) lab = lab_new();
  g_autoptr(HfStore) store = lab_store(lab);
  g_autoptr(HfIndex) index = open_index(lab, store);
  HfShortId packs[4];
  for (guint i = 0; i < G_N_ELEMENTS(packs); i++) {
    guint place = i * 3 % 4; /* not in the order in which they are to come */
    packs[place] = add_pack(store, index, 1, 5, 0);
    g_assert_true(hf_index_flush(index, FALSE, NULL));
  }
  put_places(lab, HF_RECORD_THIN, "gc/thin.0000000000000001", &packs[1], (guint32)hf_pack_head_length(1));
  put_mark(lab, &packs[2]);
  put_places(lab, HF_RECORD_DAMAGE, "damage/00", &packs[3], HF_PLACE_WHOLE_PACK);
  g_assert_true(hf_index_refresh(index, NULL));
  for (guint i = 0; i < G_N_ELEMENTS(packs); i++) {
    HfLocation location;
    g_assert_true(finds(index, 1, 3, i, &location));
    g_assert_cmpuint(location.standing, ==, i);
    g_assert_true(hf_short_id_equal(&location.pack, &packs[i]));
  }
  g_assert_false(finds(index, 1, 3, 4, NULL));
}

typedef struct Sweeper {
  Lab *lab;
  HfShortId pack;
  gint lists; /* the sweep comes before this one; the first is 1 */
} Sweeper;

/* As a collector does it: the packs first, the mark after them. */
static int sweep_before(gboolean before, HookOp op, const char *name, gpointer user)
{
  Sweeper *sweeper = user;
  char pack[HF_NAME_BYTES];
  (void)name;
  if (!before || op != HOOK_LIST || --sweeper->lists != 0)
    return 0;
  hf_name_pack(pack, HF_PACK_DATA, &sweeper->pack);
  lab_drop(sweeper->lab, pack);
  lab_drop(sweeper->lab, MARK);
  return 0;
}

/* A condemned pack is swept while the index is loaded, before each of its listings in turn: never may it count as
 * stored afterwards. */
static void test_swept_while_loading(void)
{
  gint more = 1;
  for (gint at = 1; more > 0; at++) {
    g_autoptr(Lab) lab = lab_new();
    Sweeper sweeper = { .lab = lab };
    g_autoptr(HfStore) plain = lab_store(lab), store = lab_hooked(lab, sweep_before, &sweeper);
    g_autoptr(HfIndex) maker = open_index(lab, plain);
    sweeper.pack = add_pack(plain, maker, 1, 5, 0);
    g_assert_true(hf_index_flush(maker, FALSE, NULL));
    put_mark(lab, &sweeper.pack);
    sweeper.lists = at;
    g_autoptr(HfIndex) index = open_index(lab, store);
    more = sweeper.lists <= 0;
    g_assert_true(claims(index, 1, 3));
    g_assert_true(more || at > 3);
  }
}

typedef struct Finisher {
  HfStore *plain;
  HfIndex *index;
  gint calls; /* the pack is finished before this one; the first is 1 */
  gint made;  /* blobs 1000 times this and the four after it */
} Finisher;

/* Another thread finishes a pack at this moment. */
static int finish_before(gboolean before, HookOp op, const char *name, gpointer user)
{
  Finisher *finisher = user;
  (void)op;
  (void)name;
  if (!finisher->index || !before || --finisher->calls != 0)
    return 0;
  add_pack(finisher->plain, finisher->index, 1, 5, 1000 * (guint64)finisher->made);
  return 0;
}

/* I7: a pack is finished while the index is read anew, before each call of the store in turn. It is there afterwards,
 * and stays there when the runs are put together. */
static void test_finished_while_loading(void)
{
  gboolean more = TRUE;
  for (gint at = 1; more; at++) {
    g_autoptr(Lab) lab = lab_new();
    Finisher finisher = { .made = at };
    g_autoptr(HfStore) plain = lab_store(lab), store = lab_hooked(lab, finish_before, &finisher);
    g_autoptr(HfIndex) index = open_index(lab, store);
    for (guint64 i = 0; i < 6; i++) {
      add_pack(plain, index, 1, 5, i * 5);
      g_assert_true(hf_index_flush(index, FALSE, NULL));
    }
    finisher.plain = plain;
    finisher.index = index;
    finisher.calls = at;
    g_assert_true(hf_index_refresh(index, NULL));
    more = finisher.calls <= 0;
    finisher.index = NULL;
    g_assert_cmpint(finds(index, 1, 1000 * (guint64)at, 0, NULL), ==, more);
    g_assert_true(hf_index_flush(index, TRUE, NULL));
    g_assert_true(hf_index_compact(index, NULL));
    g_assert_cmpint(finds(index, 1, 1000 * (guint64)at, 0, NULL), ==, more);
    g_autoptr(HfIndex) late = open_index(lab, plain);
    for (guint64 i = 0; i < 30; i++)
      g_assert_true(finds(late, 1, i, 0, NULL));
    g_assert_cmpint(finds(late, 1, 1000 * (guint64)at, 0, NULL), ==, more);
    g_assert_cmpint(at, <, 200);
    g_assert_true(more || at > 10);
  }
}

typedef struct Looker {
  HfIndex *index; /* NULL: nothing is looked for yet */
  guint looks;
} Looker;

static int look_up(gboolean before, HookOp op, const char *name, gpointer user)
{
  Looker *looker = user;
  (void)before;
  (void)op;
  (void)name;
  if (looker->index) {
    looker->looks++;
    g_assert_true(finds(looker->index, 1, 3, 0, NULL));
  }
  return 0;
}

/* I7: another process has moved a blob into a pack that no run names, and has put the runs together. At every moment of
 * the load that takes notice of it the blob is found. */
static void test_shown_at_once(void)
{
  g_autoptr(Lab) lab = lab_new();
  Looker looker = { 0 };
  g_autoptr(HfStore) plain = lab_store(lab), store = lab_hooked(lab, look_up, &looker);
  g_autoptr(HfIndex) other = open_index(lab, plain);
  HfShortId old = add_pack(plain, other, 1, 5, 0);
  char name[HF_NAME_BYTES];
  g_assert_true(hf_index_flush(other, FALSE, NULL));
  g_autoptr(HfIndex) index = open_index(lab, store);
  g_assert_true(finds(index, 1, 3, 0, NULL)); /* its page is in the cache from here on */
  add_pack(plain, other, 1, 5, 50);
  g_assert_true(hf_index_compact(other, NULL));
  add_pack(plain, other, 1, 5, 0);
  hf_name_pack(name, HF_PACK_DATA, &old);
  lab_drop(lab, name);
  looker.index = index;
  g_assert_true(hf_index_refresh(index, NULL));
  looker.index = NULL;
  g_assert_cmpuint(looker.looks, >, 10);
  g_assert_true(finds(index, 1, 3, 0, NULL));
  g_assert_true(finds(index, 1, 53, 0, NULL));
}

static int compact_after_list(gboolean before, HookOp op, const char *name, gpointer user)
{
  HfIndex **other = user;
  if (before || op != HOOK_LIST || !g_str_equal(name, "index/") || *other == NULL)
    return 0;
  HfIndex *once = g_steal_pointer(other);
  g_assert_true(hf_index_compact(once, NULL));
  return 0;
}

/* All runs that were listed are gone when they are opened, and who reads through a service has no directories to make up
 * for them. */
static void test_merged_while_loading(void)
{
  g_autoptr(Lab) lab = lab_new();
  g_autoptr(HfStore) plain = lab_store(lab);
  g_autoptr(HfIndex) other = open_index(lab, plain);
  HfIndex *once = other;
  g_autoptr(HfStore) store = lab_hooked(lab, compact_after_list, &once);
  store->features |= HF_STORE_KEPT;
  for (guint64 i = 0; i < 3; i++) {
    add_pack(plain, other, 1, 5, i * 5);
    g_assert_true(hf_index_flush(other, FALSE, NULL));
  }
  g_autoptr(HfIndex) index = open_index(lab, store);
  g_assert_null(once);
  g_assert_cmpuint(hf_index_runs(index), ==, 1);
  for (guint64 i = 0; i < 15; i++)
    g_assert_true(finds(index, 1, i, 0, NULL));
}

static int no_marks(gboolean before, HookOp op, const char *name, gpointer user)
{
  const gboolean *struck = user;
  return *struck && before && op == HOOK_GET && g_str_has_prefix(name, "gc/mark.") ? HF_ERROR_IO : 0;
}

/* I8: a mark cannot be read just now. Who reads goes on, who stores must not rely on anything. */
static void test_unread_mark(void)
{
  g_autoptr(Lab) lab = lab_new();
  gboolean struck = TRUE, absent, claimed;
  g_autoptr(HfStore) plain = lab_store(lab), store = lab_hooked(lab, no_marks, &struck);
  g_autoptr(HfIndex) maker = open_index(lab, plain);
  HfShortId pack = add_pack(plain, maker, 1, 5, 0);
  put_mark(lab, &pack);
  g_autoptr(HfIndex) index = open_index(lab, store);
  g_autoptr(GError) error = NULL;
  HfId id = make_id(3);
  g_assert_true(finds(index, 1, 3, 0, NULL));
  g_assert_false(hf_index_claim(index, 1, &id, &claimed, &error));
  g_assert_true(hf_error_is(error, HF_ERROR_FAILED));
  g_assert_nonnull(strstr(error->message, MARK));
  g_assert_false(hf_index_is_absent(index, 1, &id, &absent, NULL));
  struck = FALSE;
  g_assert_true(hf_index_refresh(index, NULL));
  g_assert_true(claims(index, 1, 3));
  /* Damaged for everybody: it condemns nothing any more. */
  lab_flip(lab, MARK, 30);
  g_assert_true(hf_index_refresh(index, NULL));
  g_assert_false(claims(index, 1, 4));
}

typedef struct Waiter {
  HfIndex *index; /* NULL: nobody is to wait */
  GThread *thread;
} Waiter;

static gpointer find_anew(gpointer data)
{
  HfId id = make_id(3);
  HfLocation location;
  gboolean found;
  g_assert_true(hf_index_find_anew(data, 1, &id, &found, &location, NULL));
  return GINT_TO_POINTER(found);
}

/* The sleep lets the other come to where he waits. */
static int wait_beside(gboolean before, HookOp op, const char *name, gpointer user)
{
  Waiter *waiter = user;
  if (!before || op != HOOK_LIST || !g_str_equal(name, "index/") || waiter->index == NULL)
    return 0;
  waiter->thread = g_thread_new("waiter", find_anew, g_steal_pointer(&waiter->index));
  g_usleep(G_USEC_PER_SEC / 5);
  return 0;
}

/* Two miss a blob at once: one of them reads the index anew, and both find it. */
static void test_missing_for_two(void)
{
  g_autoptr(Lab) lab = lab_new();
  Waiter waiter = { 0 };
  g_autoptr(HfStore) plain = lab_store(lab), store = lab_hooked(lab, wait_beside, &waiter);
  g_autoptr(HfIndex) index = open_index(lab, store), other = open_index(lab, plain);
  add_pack(plain, other, 1, 5, 0);
  waiter.index = index;
  g_assert_nonnull(find_anew(index));
  g_assert_nonnull(waiter.thread);
  g_assert_nonnull(g_thread_join(waiter.thread));
}

static int dawdle(gboolean before, HookOp op, const char *name, gpointer user)
{
  (void)user;
  if (before && op == HOOK_LIST && g_str_equal(name, "index/"))
    g_usleep(G_USEC_PER_SEC / 5);
  return 0;
}

/* Two sweeps, one right after the other, each move what is needed next. Only what is lost is not looked for so often. */
static void test_missing_twice(void)
{
  g_autoptr(Lab) lab = lab_new();
  g_autoptr(HfStore) plain = lab_store(lab), store = lab_hooked(lab, dawdle, NULL);
  g_autoptr(HfIndex) index = open_index(lab, store), other = open_index(lab, plain);
  HfId lost = make_id(99), late = make_id(13);
  HfLocation location;
  gboolean found;
  for (guint64 i = 0; i < 2; i++) {
    HfId id = make_id(3 + 5 * i);
    add_pack(plain, other, 1, 5, 5 * i);
    g_assert_true(hf_index_find_anew(index, 1, &id, &found, &location, NULL));
    g_assert_true(found);
  }
  g_assert_true(hf_index_find_anew(index, 1, &lost, &found, &location, NULL));
  g_assert_false(found);
  guint loads = index->generation;
  add_pack(plain, other, 1, 5, 10);
  g_assert_true(hf_index_find_anew(index, 1, &late, &found, &location, NULL));
  g_assert_true(found == (index->generation != loads)); /* it is loaded only on a machine that stood still meanwhile */
}

/* Who keeps a repository asks anew before he refuses: a visitor is told what the store holds, also what another process
 * has put there since. */
static void test_keeper_asks_anew(void)
{
  g_autoptr(Lab) lab = lab_new();
  g_autoptr(HfStore) store = lab_store(lab);
  g_autoptr(HfIndex) index = open_index(lab, store), other = open_index(lab, store);
  HfRepo repo = { .store = store, .index = index };
  HfId near = make_id(3), nowhere = make_id(9), damaged = make_id(23);
  GError *error = NULL;
  add_pack(store, other, 1, 5, 0);
  HfShortId bad = add_pack(store, other, 1, 5, 20);
  put_places(lab, HF_RECORD_DAMAGE, "damage/00", &bad, HF_PLACE_WHOLE_PACK);
  g_assert_true(hf_keeper_resolves(&repo, 1, &near, &error));
  g_assert_no_error(error);
  g_assert_false(hf_keeper_resolves(&repo, 2, &near, NULL));
  g_assert_false(hf_keeper_resolves(&repo, 1, &damaged, NULL));
  g_assert_false(hf_keeper_resolves(&repo, 1, &nowhere, &error));
  g_assert_true(hf_error_is(error, HF_ERROR_REFUSED));
  g_clear_error(&error);
}

static void test_damaged_run(void)
{
  g_autoptr(Lab) lab = lab_new();
  g_autoptr(HfStore) store = lab_store(lab);
  g_autoptr(HfIndex) index = open_index(lab, store);
  add_pack(store, index, 1, 500, 0);
  g_assert_true(hf_index_flush(index, TRUE, NULL));
  g_autofree char *name = lab_name(lab, "index/", 0);
  g_autoptr(GBytes) good = lab_get(lab, name);
  gsize size = g_bytes_get_size(good);
  /* A page is found out when it is read, tables and foot when the run is opened. */
  gsize places[] = { 10, 4096 + 50, size - 4096 - 10, size - 4090, size - 3 };
  for (guint i = 0; i < G_N_ELEMENTS(places); i++) {
    lab_flip(lab, name, places[i]);
    g_autoptr(HfIndex) again = open_index(lab, store);
    for (guint64 b = 0; b < 500; b++)
      g_assert_true(finds(again, 1, b, 0, NULL));
    g_assert_true(lab_warned(lab, "directories"));
    g_assert_true(hf_index_flush(again, TRUE, NULL)); /* a run that is whole stands in its place */
    lab_forget_report(lab);
    g_autoptr(HfIndex) later = open_index(lab, store);
    for (guint64 b = 0; b < 500; b++)
      g_assert_true(finds(later, 1, b, 0, NULL));
    g_assert_cmpint(lab_warned(lab, "directories"), ==, i >= 2);
    lab_drop_all(lab, "index/");
    lab_forget_report(lab);
    lab_put(lab, name, g_bytes_get_data(good, NULL), size);
  }
  lab_cut(lab, name, 100);
  g_autoptr(HfIndex) cut = open_index(lab, store);
  g_assert_true(finds(cut, 1, 3, 0, NULL));
}

static void test_merged_away(void)
{
  g_autoptr(Lab) lab = lab_new();
  g_autoptr(HfStore) store = lab_store(lab);
  g_autoptr(HfIndex) index = open_index(lab, store);
  add_pack(store, index, 1, 300, 0);
  g_assert_true(hf_index_flush(index, TRUE, NULL));
  g_autoptr(HfIndex) reader = open_index(lab, store);
  add_pack(store, index, 1, 300, 300);
  g_assert_true(hf_index_compact(index, NULL));
  g_assert_cmpuint(hf_index_runs(index), ==, 1);
  g_autoptr(HfStore) other = lab_store(lab); /* the reader's store may still hold the old file open */
  for (guint64 i = 0; i < 600; i++)
    g_assert_true(finds(index, 1, i, 0, NULL));
  g_assert_true(hf_index_refresh(reader, NULL));
  for (guint64 i = 0; i < 300; i++)
    g_assert_true(finds(reader, 1, i, 0, NULL));
  g_autoptr(HfIndex) late = open_index(lab, other);
  g_assert_cmpuint(hf_index_entries(late), ==, 600);
}

/* A crash between the new run and the removal of the old ones leaves both: the old ones are passed over. */
static void test_superseded(void)
{
  g_autoptr(Lab) lab = lab_new();
  g_autoptr(HfStore) store = lab_store(lab);
  g_autoptr(HfIndex) index = open_index(lab, store);
  add_pack(store, index, 1, 100, 0);
  g_assert_true(hf_index_flush(index, FALSE, NULL));
  g_autofree char *old = lab_name(lab, "index/", 0);
  g_autoptr(GBytes) bytes = lab_get(lab, old);
  add_pack(store, index, 1, 100, 100);
  g_assert_true(hf_index_compact(index, NULL));
  g_assert_false(lab_has(lab, old));
  lab_put(lab, old, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
  g_autoptr(HfIndex) again = open_index(lab, store);
  g_assert_cmpuint(hf_index_runs(again), ==, 1);
  g_assert_cmpuint(hf_index_entries(again), ==, 200);
}

static void test_rebuild(void)
{
  g_autoptr(Lab) lab = lab_new();
  g_autoptr(HfStore) store = lab_store(lab);
  guint64 packs, blobs;
  {
    g_autoptr(HfIndex) index = open_index(lab, store);
    add_pack(store, index, 1, 100, 0);
    g_assert_true(hf_index_flush(index, TRUE, NULL));
    add_pack(store, index, 1, 50, 100);
  }
  g_assert_true(hf_index_rebuild(store, lab->report, &packs, &blobs, NULL));
  g_assert_cmpuint(packs, ==, 2);
  g_assert_cmpuint(blobs, ==, 150);
  g_autoptr(HfIndex) again = open_index(lab, store);
  for (guint64 i = 0; i < 150; i++)
    g_assert_true(finds(again, 1, i, 0, NULL));
}

/* Every call of the store fails once, in turn: no crash, an error that is set, and after it all is as before. */
static int fail_nth(gboolean before, HookOp op, const char *name, gpointer user)
{
  gint *left = user;
  (void)op;
  (void)name;
  return before && --*left == 0 ? HF_ERROR_IO : 0;
}

static void test_failures(void)
{
  for (gint nth = 1; nth < 200; nth++) {
    g_autoptr(Lab) lab = lab_new();
    g_autoptr(HfStore) plain = lab_store(lab);
    gint left = G_MAXINT;
    g_autoptr(HfStore) store = lab_hooked(lab, fail_nth, &left);
    g_autoptr(GError) error = NULL;
    {
      g_autoptr(HfIndex) index = open_index(lab, plain);
      for (guint i = 0; i < 6; i++) {
        add_pack(plain, index, 1, 20, i * 20);
        g_assert_true(hf_index_flush(index, FALSE, NULL));
      }
    }
    left = nth;
    g_autoptr(HfIndex) index = hf_index_open(store, lab->report, &error);
    gboolean done = index && hf_index_flush(index, TRUE, &error) && hf_index_compact(index, &error);
    g_assert_true(done == (error == NULL));
    gboolean struck = left <= 0;
    left = G_MAXINT;
    g_autoptr(HfIndex) again = open_index(lab, plain);
    for (guint64 i = 0; i < 120; i++)
      g_assert_true(finds(again, 1, i, 0, NULL));
    if (!struck) {
      g_assert_cmpint(nth, >, 10);
      return;
    }
  }
  g_assert_not_reached();
}

typedef struct Race {
  HfIndex *index;
  guint64 won;
} Race;

static gpointer claim_all(gpointer data)
{
  Race *race = data;
  for (guint64 i = 0; i < 20000; i++)
    race->won += claims(race->index, 1, i);
  return NULL;
}

static void test_race(void)
{
  g_autoptr(Lab) lab = lab_new();
  g_autoptr(HfStore) store = lab_store(lab);
  g_autoptr(HfIndex) index = open_index(lab, store);
  Race races[4];
  GThread *threads[4];
  guint64 won = 0;
  for (guint i = 0; i < 4; i++) {
    races[i] = (Race){ index, 0 };
    threads[i] = g_thread_new("claim", claim_all, &races[i]);
  }
  for (guint i = 0; i < 4; i++) {
    g_thread_join(threads[i]);
    won += races[i].won;
  }
  g_assert_cmpuint(won, ==, 20000);
}

/* ---- Many at work on one folder. ---- */

typedef struct Worker {
  HfStore *store;
  HfIndex *index;
  guint number;
} Worker;

#define ROUNDS 60u

/* I7: what one thread has finished it finds from then on, whatever the others do with the index. */
static gpointer pack_and_find(gpointer data)
{
  const Worker *worker = data;
  guint64 base = 1000000 * (worker->number + 1);
  for (guint i = 0; i < ROUNDS; i++) {
    add_pack(worker->store, worker->index, 1, 5, base + i * 5);
    for (guint64 b = base; b < base + (i + 1) * 5; b++)
      g_assert_true(finds(worker->index, 1, b, 0, NULL));
    if (i % 3 == worker->number % 3)
      g_assert_true(hf_index_flush(worker->index, TRUE, NULL));
  }
  return NULL;
}

static gpointer refresh_all(gpointer data)
{
  const Worker *worker = data;
  for (guint i = 0; i < ROUNDS / 2; i++)
    g_assert_true(hf_index_refresh(worker->index, NULL));
  return NULL;
}

/* As a collector in another process. */
static gpointer compact_all(gpointer data)
{
  const Worker *worker = data;
  for (guint i = 0; i < ROUNDS / 6; i++)
    g_assert_true(hf_index_compact(worker->index, NULL));
  return NULL;
}

static void test_many_at_work(void)
{
  g_autoptr(Lab) lab = lab_new();
  g_autoptr(HfStore) store = lab_store(lab), far_store = lab_store(lab);
  g_autoptr(HfIndex) index = open_index(lab, store), far_index = open_index(lab, far_store);
  Worker packers[3], far_one = { far_store, far_index, 0 };
  GThread *threads[5];
  for (guint i = 0; i < 3; i++) {
    packers[i] = (Worker){ store, index, i };
    threads[i] = g_thread_new("pack", pack_and_find, &packers[i]);
  }
  threads[3] = g_thread_new("refresh", refresh_all, &packers[0]);
  threads[4] = g_thread_new("compact", compact_all, &far_one);
  for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
    g_thread_join(threads[i]);
  g_autoptr(HfIndex) late = open_index(lab, store);
  for (guint n = 0; n < 3; n++)
    for (guint64 b = 0; b < ROUNDS * 5; b++)
      g_assert_true(finds(late, 1, 1000000 * (guint64)(n + 1) + b, 0, NULL));
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_assert_true(hf_crypto_init(NULL));
  g_test_add_func("/index/claim", test_claim);
  g_test_add_func("/index/runs", test_runs);
  g_test_add_func("/index/many-runs", test_many_runs);
  g_test_add_func("/index/bounded", test_bounded);
  g_test_add_func("/index/packs-decide", test_packs_decide);
  g_test_add_func("/index/uncovered", test_uncovered);
  g_test_add_func("/index/lost", test_lost);
  g_test_add_func("/index/absent", test_absent);
  g_test_add_func("/index/standing", test_standing);
  g_test_add_func("/index/swept-while-loading", test_swept_while_loading);
  g_test_add_func("/index/finished-while-loading", test_finished_while_loading);
  g_test_add_func("/index/shown-at-once", test_shown_at_once);
  g_test_add_func("/index/merged-while-loading", test_merged_while_loading);
  g_test_add_func("/index/unread-mark", test_unread_mark);
  g_test_add_func("/index/missing-for-two", test_missing_for_two);
  g_test_add_func("/index/missing-twice", test_missing_twice);
  g_test_add_func("/index/keeper-asks-anew", test_keeper_asks_anew);
  g_test_add_func("/index/damaged-run", test_damaged_run);
  g_test_add_func("/index/merged-away", test_merged_away);
  g_test_add_func("/index/superseded", test_superseded);
  g_test_add_func("/index/rebuild", test_rebuild);
  g_test_add_func("/index/failures", test_failures);
  g_test_add_func("/index/race", test_race);
  g_test_add_func("/index/many-at-work", test_many_at_work);
  return g_test_run();
}
