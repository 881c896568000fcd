/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Frames as a host sends them that was taken over: lies about what they are, and garbage under ids that its own locked
 * points, or another host's, need. */
#include <string.h>

#include "base/error.h"
#include "repo/objects.h"
#include "siege.h"

static void refused(Siege *siege, gboolean done, const char *what)
{
  siege->attacks++;
  if (done)
    g_error("the service did it: %s", what);
}

static HfId some_id(guint number)
{
  HfId id;
  memset(id.b, 0xa5, sizeof id.b);
  memcpy(id.b, &number, sizeof number);
  return id;
}

/* Sends, flushes, and lets the visit end. */
static gboolean send_piece(Siege *siege, guint8 kind, guint32 domain, GBytes *piece)
{
  g_autoptr(Enemy) enemy = enemy_new(siege, 1, HF_TICKET_WRITE, 0);
  enemy_open(enemy);
  g_autoptr(GBytes) slots = enemy_slots(enemy);
  GBytes *pieces[] = { piece };
  return enemy_sink(enemy, kind, domain, slots, pieces, 1) && enemy_flush(enemy);
}

/* ---- Lies about a frame. ---- */

typedef void (*ChangeFrame)(Frame *frame);

static void lie_digest(Frame *frame)
{
  frame->header.digest[3] ^= 1;
}

static void lie_kind(Frame *frame)
{
  frame->header.kind = HF_FRAME_ROW;
}

static void lie_no_kind(Frame *frame)
{
  frame->header.kind = 0;
}

static void lie_great_kind(Frame *frame)
{
  frame->header.kind = 255;
}

static void fewer_ids(Frame *frame)
{
  g_array_set_size(frame->ids, frame->ids->len - 1);
}

static void no_ids(Frame *frame)
{
  g_array_set_size(frame->ids, 0);
}

static void more_ids(Frame *frame)
{
  HfId id = some_id(99);
  g_array_append_val(frame->ids, id);
}

static void most_ids(Frame *frame)
{
  g_array_set_size(frame->ids, 65535);
}

static void no_bytes(Frame *frame)
{
  frame->length = 0;
}

static void one_byte_less(Frame *frame)
{
  frame->length--;
}

static void header_only(Frame *frame)
{
  frame->length = HF_FRAME_PREFIX_BYTES;
}

static void bad_check(Frame *frame)
{
  frame->stored[HF_FRAME_HEADER_BYTES] ^= 1;
}

static void bad_magic(Frame *frame)
{
  frame->stored[0] ^= 1;
}

static void take_digest(Frame *frame)
{
  hf_xxh128(frame->stored, frame->length, frame->header.digest);
}

static void bad_check_right_digest(Frame *frame)
{
  bad_check(frame);
  take_digest(frame);
}

static void shorter_right_digest(Frame *frame)
{
  frame->length -= 3;
  take_digest(frame);
}

static void great_count(Frame *frame)
{
  memset(frame->stored + 6, 0xff, 2);
  take_digest(frame);
}

static void test_lies(void)
{
  g_autoptr(Siege) siege = siege_new();
  static const struct {
    const char *name;
    ChangeFrame change;
  } attacks[] = {
    { "digest", lie_digest }, { "kind", lie_kind }, { "no kind", lie_no_kind }, { "great kind", lie_great_kind },
    { "fewer ids", fewer_ids }, { "no ids", no_ids }, { "more ids", more_ids }, { "most ids", most_ids },
    { "no bytes", no_bytes }, { "one byte less", one_byte_less }, { "header only", header_only },
    { "bad check", bad_check }, { "bad magic", bad_magic }, { "bad check, right digest", bad_check_right_digest },
    { "shorter, right digest", shorter_right_digest }, { "great count", great_count },
  };
  for (HfPackKind kind = HF_PACK_DATA; kind <= HF_PACK_META; kind++)
    for (gsize i = 0; i < G_N_ELEMENTS(attacks); i++) {
      g_autoptr(Enemy) enemy = enemy_new(siege, 1, HF_TICKET_WRITE, 0);
      HfId ids[] = { some_id(1), some_id(2), some_id(3) };
      enemy_open(enemy);
      g_autoptr(Frame) frame = frame_new(enemy, kind, ids, G_N_ELEMENTS(ids), NULL);
      attacks[i].change(frame);
      refused(siege, enemy_frame(enemy, kind, frame) && enemy_flush(enemy), attacks[i].name);
      /* Nothing is committed after a loss. */
      g_auto(HfPoint) point = { 0 };
      g_autoptr(GArray) own = siege_ids(siege, 1, HF_PACK_META);
      enemy_point(enemy, &g_array_index(own, HfId, 0), &point);
      g_autoptr(GBytes) record = enemy_sign(enemy, &point);
      if (frame->ids->len > 0 && frame->length > 0) /* else it was refused before it could be lost */
        refused(siege, enemy_outcome(enemy, HF_OUTCOME_COMMITTED, record), "commit after a loss");
    }
  siege_stands(siege, "lies");
  g_test_message("%u attacks", siege->attacks);
}

/* Pieces cut anywhere, and with lengths that lead out of them. */
static void test_pieces(void)
{
  g_autoptr(Siege) siege = siege_new();
  g_autoptr(Enemy) maker = enemy_new(siege, 1, HF_TICKET_WRITE, 0);
  HfId id = some_id(1);
  g_autoptr(Frame) frame = frame_new(maker, HF_PACK_DATA, &id, 1, NULL);
  g_autoptr(GBytes) piece = frame_piece(frame);
  gsize length;
  const guint8 *bytes = g_bytes_get_data(piece, &length);
  for (gsize at = 1; at < length; at += 3) {
    g_autoptr(GBytes) cut = g_bytes_new(bytes, at);
    refused(siege, send_piece(siege, HF_PACK_DATA, 2, cut), "a piece that was cut");
  }
  static const guint32 lies[] = { 0, 1, 0x7fffffff, 0xffffffff, 0xfffffffc };
  for (gsize i = 0; i < G_N_ELEMENTS(lies); i++) {
    g_autofree guint8 *lying = g_memdup2(bytes, length);
    guint32 value = GUINT32_TO_LE(lies[i]);
    memcpy(lying, &value, sizeof value);
    g_autoptr(GBytes) wrong = g_bytes_new(lying, length);
    refused(siege, send_piece(siege, HF_PACK_DATA, 2, wrong), "a length that leads out");
  }
  g_clear_pointer(&maker, enemy_free);
  siege_stands(siege, "pieces");
  g_test_message("%u attacks", siege->attacks);
}

/* ---- Sinks. ---- */

static void test_sinks(void)
{
  g_autoptr(Siege) siege = siege_new();
  static const guint8 kinds[] = { 0, 3, 4, 255 };
  static const guint32 domains[] = { 0, 1, 3, G_MAXUINT32 };
  static const guint32 rights[] = { 0, HF_TICKET_READ, HF_TICKET_KEEP, HF_TICKET_KEYS };
  g_autoptr(Enemy) enemy = enemy_new(siege, 1, HF_TICKET_WRITE, 0);
  enemy_open(enemy);
  g_autoptr(GBytes) good = enemy_slots(enemy), empty = g_bytes_new(NULL, 0);
  for (gsize i = 0; i < G_N_ELEMENTS(kinds); i++)
    refused(siege, enemy_sink(enemy, kinds[i], 2, good, NULL, 0), "a kind that is none");
  for (gsize i = 0; i < G_N_ELEMENTS(domains); i++)
    refused(siege, enemy_sink(enemy, HF_PACK_DATA, domains[i], good, NULL, 0), "another domain");
  refused(siege, enemy_sink(enemy, HF_PACK_DATA, 2, empty, NULL, 0), "no slots");
  for (gsize at = 1; at < HF_SESSION_SLOT_BYTES; at += 29) {
    g_autoptr(GBytes) cut = g_bytes_new_from_bytes(good, 0, at);
    g_autofree guint8 *turned = g_memdup2(g_bytes_get_data(good, NULL), HF_SESSION_SLOT_BYTES);
    turned[at] ^= 4;
    g_autoptr(GBytes) wrong = g_bytes_new(turned, HF_SESSION_SLOT_BYTES);
    refused(siege, enemy_sink(enemy, HF_PACK_DATA, 2, cut, NULL, 0), "slots that were cut");
    refused(siege, enemy_sink(enemy, HF_PACK_DATA, 2, wrong, NULL, 0), "slots with a bit turned");
  }
  /* The slot of a session that was never opened here, and that of another host. */
  g_autoptr(GBytes) record = siege_point(siege, 0);
  g_auto(HfPoint) point = { 0 };
  g_assert_true(hf_point_decode(record, &point, NULL));
  enemy->slot = point.slot;
  g_autoptr(GBytes) others = enemy_slots(enemy);
  refused(siege, enemy_sink(enemy, HF_PACK_DATA, 1, others, NULL, 0), "another's slot");
  refused(siege, enemy_sink(enemy, HF_PACK_DATA, 2, others, NULL, 0), "another's slot in one's own domain");
  enemy_new_session(enemy);
  g_autoptr(GBytes) unopened = enemy_slots(enemy);
  refused(siege, enemy_sink(enemy, HF_PACK_META, 2, unopened, NULL, 0), "a session that is not open");
  g_clear_pointer(&enemy, enemy_free);
  for (gsize r = 0; r < G_N_ELEMENTS(rights); r++) {
    g_autoptr(Enemy) other = enemy_new(siege, 1, rights[r], 0);
    g_autoptr(GBytes) slots = enemy_slots(other);
    refused(siege, enemy_sink(other, HF_PACK_DATA, 2, slots, NULL, 0), "a sink without the right");
  }
  siege_stands(siege, "sinks");
  g_test_message("%u attacks", siege->attacks);
}

/* ---- Garbage under ids that are needed. ---- */

/* One visit that sends `copies` frames of garbage which claim the ids; committed, when that is taken, with a point. */
static void poison(Siege *siege, HfPackKind kind, const GArray *ids, guint copies, guint32 generation, gboolean commit)
{
  g_autoptr(Enemy) enemy = enemy_new(siege, 1, HF_TICKET_WRITE, 0);
  if (generation != 0) {
    guint8 bytes[HF_SESSION_SLOT_BYTES];
    enemy->slot.generation = generation;
    hf_session_slot_encode(&enemy->slot, enemy_seed(enemy), bytes);
  }
  HfSessionOpen open = { .id = enemy->session, .purpose = HF_PURPOSE_BACKUP, .has_slot = TRUE, .slot = enemy->slot,
                         .writer = enemy->slot.writer, .domain = enemy->slot.domain };
  g_autoptr(GBytes) opened = hf_session_open_encode(&open);
  g_autofree char *name = enemy_name(enemy, "open");
  enemy_put(enemy, name, opened);
  for (guint i = 0; i < copies; i++) {
    g_autoptr(Frame) frame = frame_new(enemy, kind, (const HfId *)(void *)ids->data, ids->len, NULL);
    enemy_frame(enemy, kind, frame);
    if (i % 3 == 0)
      enemy_flush(enemy);
  }
  enemy_flush(enemy);
  if (!commit)
    return;
  g_autoptr(GArray) own = siege_ids(siege, 1, HF_PACK_META);
  g_auto(HfPoint) point = { 0 };
  enemy_point(enemy, &g_array_index(own, HfId, 0), &point);
  g_autoptr(GBytes) record = enemy_sign(enemy, &point);
  enemy_outcome(enemy, HF_OUTCOME_COMMITTED, record);
}

static void test_poison(void)
{
  static const struct {
    const char *name;
    HfPackKind kind;
    guint copies;
    guint32 generation;
    gboolean commit;
  } attacks[] = {
    { "data once", HF_PACK_DATA, 1, 0, FALSE },
    { "metadata once", HF_PACK_META, 1, 0, FALSE },
    { "data, and a point", HF_PACK_DATA, 1, 0, TRUE },
    { "metadata, and a point", HF_PACK_META, 1, 0, TRUE },
    { "data forty times", HF_PACK_DATA, 40, 0, FALSE },
    { "metadata forty times", HF_PACK_META, 40, 0, TRUE },
    { "data under keys that nobody has", HF_PACK_DATA, 1, 77, FALSE },
    { "metadata under keys that nobody has", HF_PACK_META, 1, 77, FALSE },
  };
  guint count = 0;
  for (gsize i = 0; i < G_N_ELEMENTS(attacks); i++) {
    g_autoptr(Siege) siege = siege_new();
    g_autoptr(GArray) data = siege_ids(siege, 1, HF_PACK_DATA), meta = siege_ids(siege, 1, HF_PACK_META);
    g_autoptr(GArray) others = siege_ids(siege, 0, attacks[i].kind);
    const GArray *ids = attacks[i].kind == HF_PACK_DATA ? data : meta;
    poison(siege, attacks[i].kind, ids, attacks[i].copies, attacks[i].generation, attacks[i].commit);
    poison(siege, attacks[i].kind, others, attacks[i].copies, attacks[i].generation, attacks[i].commit);
    siege_stands(siege, attacks[i].name);
    count += siege->attacks;
  }
  g_test_message("%u attacks", count);
}

/* Data under the ids of metadata, and metadata under those of data. */
static void test_poison_crosswise(void)
{
  g_autoptr(Siege) siege = siege_new();
  g_autoptr(GArray) data = siege_ids(siege, 1, HF_PACK_DATA), meta = siege_ids(siege, 1, HF_PACK_META);
  poison(siege, HF_PACK_DATA, meta, 1, 0, TRUE);
  siege_stands(siege, "data as metadata");
  poison(siege, HF_PACK_META, data, 1, 0, TRUE);
  siege_stands(siege, "metadata as data");
  g_test_message("%u attacks", siege->attacks);
}

/* Metadata whose refs lead nowhere: no point or checkpoint is taken, and memory is bounded. */
static void test_dangling(void)
{
  g_autoptr(Siege) siege = siege_new();
  g_autoptr(Enemy) enemy = enemy_new(siege, 1, HF_TICKET_WRITE, 0);
  g_autoptr(GArray) refs = g_array_new(FALSE, FALSE, sizeof(HfId));
  HfId root = some_id(1), nowhere = some_id(2);
  g_array_append_val(refs, nowhere);
  enemy_open(enemy);
  g_autoptr(Frame) frame = frame_new(enemy, HF_PACK_META, &root, 1, refs);
  g_assert_true(enemy_frame(enemy, HF_PACK_META, frame));
  g_auto(HfPoint) point = { 0 };
  enemy_point(enemy, &root, &point);
  g_autoptr(GBytes) record = enemy_sign(enemy, &point);
  refused(siege, enemy_outcome(enemy, HF_OUTCOME_COMMITTED, record), "a point that leads nowhere");
  HfCheckpoint checkpoint = { .writer = enemy->slot.writer, .domain = 2, .roots = root, .slot = enemy->slot };
  g_autoptr(GBytes) saved = hf_checkpoint_encode(&checkpoint, enemy_seed(enemy));
  g_autofree char *name = enemy_name(enemy, "checkpoint.1");
  refused(siege, enemy_put(enemy, name, saved), "a checkpoint that leads nowhere");
  g_clear_pointer(&enemy, enemy_free);
  siege_stands(siege, "dangling");

  enemy = enemy_new(siege, 1, HF_TICKET_WRITE, 0);
  enemy_open(enemy);
  gboolean taken = TRUE;
  for (guint i = 0; i < 40 && taken; i++) {
    g_array_set_size(refs, HF_REFS_MAX);
    for (guint k = 0; k < HF_REFS_MAX; k++)
      g_array_index(refs, HfId, k) = some_id(1000 + i * HF_REFS_MAX + k);
    HfId id = some_id(100 + i);
    g_autoptr(Frame) large = frame_new(enemy, HF_PACK_META, &id, 1, refs);
    taken = enemy_frame(enemy, HF_PACK_META, large);
  }
  refused(siege, taken, "millions of refs to nowhere");
  g_clear_pointer(&enemy, enemy_free);
  siege_stands(siege, "refs to nowhere");
  g_test_message("%u attacks", siege->attacks);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/frames/lies", test_lies);
  g_test_add_func("/frames/pieces", test_pieces);
  g_test_add_func("/frames/sinks", test_sinks);
  g_test_add_func("/frames/poison", test_poison);
  g_test_add_func("/frames/poison-crosswise", test_poison_crosswise);
  g_test_add_func("/frames/dangling", test_dangling);
  return g_test_run();
}
