/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ways to delete, shorten, overwrite or make unreadable a locked point or another host's data, tried one after the
 * other on the repository service: below the store that honest visitors use, byte by byte. What is printed counts
 * them. */
#include <string.h>

#include "base/error.h"
#include "engine/prune/prune.h"
#include "net/messages/vault.h"
#include "repo/objects.h"
#include "siege.h"

static const guint32 rights_of[] = { 0,
                                     HF_TICKET_READ,
                                     HF_TICKET_WRITE,
                                     HF_TICKET_COPY,
                                     HF_TICKET_KEEP,
                                     HF_TICKET_KEYS };

/* Refused, and counted. */
static void refused(Siege *siege, gboolean done, const char *what)
{
  siege->attacks++;
  if (done)
    g_error("the service did it: %s", what);
}

static void tell(Siege *siege)
{
  g_test_message("%u attacks", siege->attacks);
}

/* ---- Names. ---- */

/* With every right but the needed one, and with that: nothing that is there goes or changes. */
static void test_objects(void)
{
  g_autoptr(Siege) siege = siege_new();
  static const char *const folders[] = { "ring/", "writers/", "keys/", "index/", "points/", "meta/", "mirror/",
                                         "data/", "parity/", "clock/" };
  for (gsize r = 0; r < G_N_ELEMENTS(rights_of); r++) {
    g_autoptr(Enemy) enemy = enemy_new(siege, 1, rights_of[r], 0);
    for (gsize f = 0; f < G_N_ELEMENTS(folders); f++) {
      g_autoptr(GPtrArray) names = siege_names(siege, folders[f]);
      for (guint i = 0; i < names->len; i++) {
        refused(siege, enemy_remove(enemy, names->pdata[i]), names->pdata[i]);
        refused(siege, enemy_put_text(enemy, names->pdata[i], "x"), names->pdata[i]);
      }
    }
    static const char *const single[] = { "config.0", "config.1", "config.2", "reserve" };
    for (gsize i = 0; i < G_N_ELEMENTS(single); i++) {
      refused(siege, enemy_remove(enemy, single[i]), single[i]);
      refused(siege, enemy_put_text(enemy, single[i], ""), single[i]);
    }
  }
  siege_stands(siege, "objects");
  tell(siege);
}

/* What only the service makes, under names that do not exist yet. */
static void test_new_names(void)
{
  g_autoptr(Siege) siege = siege_new();
  char point[HF_NAME_BYTES], gone[HF_NAME_BYTES];
  hf_name_point(point, &siege->points[0]);
  hf_name_tombstone(gone, &siege->points[0]);
  g_autofree char *fourth = g_strconcat(point, ".3", NULL), *bare = g_strdup(point);
  const char *const names[] = {
    gone, fourth, bare, "points/00000000000000000000000000000000.0", "points/00000000000000000000000000000000.gone",
    "index/ffffffffffffffffffffffffffffffff", "gc/mark.ffffffffffffffff", "gc/seal.ffffffffffffffff",
    "gc/lost.00000000000000000000000000000000", "gc/thin.0000000000000001", "damage/00000000000000000000000000000000",
    "data/ff/ffffffffffffffffffffffffffffffff", "meta/ff/ffffffffffffffffffffffffffffffff",
    "mirror/ff/ffffffffffffffffffffffffffffffff", "parity/ff/ffffffffffffffffffffffffffffffff",
    "clock/ffffffffffffffff", "clock/0000000000000000", "leases/x", "else", "lost+found/x",
  };
  for (gsize r = 0; r < G_N_ELEMENTS(rights_of); r++) {
    g_autoptr(Enemy) enemy = enemy_new(siege, 1, rights_of[r], 0);
    for (gsize i = 0; i < G_N_ELEMENTS(names); i++)
      refused(siege, enemy_put_text(enemy, names[i], "x"), names[i]);
  }
  siege_stands(siege, "new names");
  tell(siege);
}

static void test_odd_names(void)
{
  g_autoptr(Siege) siege = siege_new();
  g_autofree char *longest = g_strnfill(200, 'a'), *longer = g_strnfill(5000, 'a');
  char point[HF_NAME_BYTES];
  hf_name_point(point, &siege->points[0]);
  g_autofree char *dotted = g_strdup_printf("sessions/../%s.0", point), *slashed = g_strdup_printf("/%s.0", point);
  g_autofree char *doubled = g_strdup_printf("points//%s.0", point + strlen("points/"));
  g_autofree char *ended = g_strdup_printf("%s.0/", point), *spaced = g_strdup_printf("%s.0 ", point);
  g_autofree char *folder = g_path_get_dirname(siege->sources[0]);
  g_autofree char *absolute = g_strdup_printf("%s/repo/%s.0", folder, point);
  const char *const names[] = {
    "", "/", ".", "..", "../repo/config.0", "./config.0", "config.0/", "config.0/x", "/config.0", "CONFIG.0", "config.",
    "config", "sessions", "sessions/", "sessions/x", "sessions/x/open", "sessions//open", "sessions/../config.0",
    "sessions/00000000000000000000000000000000", "sessions/00000000000000000000000000000000/",
    "sessions/00000000000000000000000000000000/../../config.0", "sessions/00000000000000000000000000000000.x/outcome",
    "sessions/0000000000000000000000000000000/outcome", "sessions/000000000000000000000000000000000/outcome",
    "sessions/0000000000000000000000000000000g/open", "points", "points/", "points/.", "points/..", "points/*",
    "points\\x", "points/\nx", "\x01", "%2e%2e/config.0", "..%2fconfig.0", "\xc3\xa4", "data", "data/..", "~", "-rf",
    dotted, slashed, doubled, ended, spaced, absolute, longest, longer,
  };
  static const guint32 every = HF_TICKET_READ | HF_TICKET_WRITE | HF_TICKET_COPY | HF_TICKET_KEEP;
  g_autoptr(Enemy) enemy = enemy_new(siege, 1, every, 0);
  for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
    refused(siege, enemy_put_text(enemy, names[i], "x"), names[i]);
    refused(siege, enemy_remove(enemy, names[i]), names[i]);
    refused(siege, enemy_read(enemy, names[i]), names[i]);
    enemy_list(enemy, names[i]);
  }
  /* Below the encoder: bytes that no text can be. */
  static const char *const raw[] = { "", "\x01", "\xff\xff\xff\xff", "\x08\0\0\0config.0", "\x09\0\0\0config.0\0",
                                     "\x0c\0\0\0points\0\0xx\xff\xff" };
  static const gsize lengths[] = { 0, 1, 4, 12, 13, 16 };
  for (gsize i = 0; i < G_N_ELEMENTS(raw); i++) {
    refused(siege, enemy_call(enemy, HF_VAULT_METHOD_REMOVE, raw[i], lengths[i]), "raw remove");
    refused(siege, enemy_call(enemy, HF_VAULT_METHOD_PUT, raw[i], lengths[i]), "raw put");
  }
  siege_stands(siege, "odd names");
  tell(siege);
}

/* Who may add keys puts garbage wherever he can: what opens now must open then. */
static void test_garbage_keys(void)
{
  g_autoptr(Siege) siege = siege_new();
  static const char *const names[] = {
    "config.3", "config.9", "config.x", "ring/00000001.0", "ring/00000001.1", "ring/00000001.2", "ring/ffffffff.0",
    "ring/x", "keys/00000000000000000000000000000000.0", "keys/00000000000000000000000000000000.hidden", "keys/x",
    "writers/00000000000000000000000000000000.0", "writers/00000000000000000000000000000000.removed", "writers/x",
    "reserve2", "reserve/x",
  };
  for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
    g_autoptr(Enemy) enemy = enemy_new(siege, 1, HF_TICKET_KEYS, 0);
    enemy_put_text(enemy, names[i], "garbage");
    g_clear_pointer(&enemy, enemy_free);
    siege_stands(siege, names[i]);
  }
  /* Notices about what is there, that nobody signed. */
  static const char *const folders[] = { "keys/", "writers/" };
  static const char *const ends[] = { ".hidden", ".removed", ".gone" };
  for (gsize f = 0; f < G_N_ELEMENTS(folders); f++)
    for (gsize e = 0; e < G_N_ELEMENTS(ends); e++) {
      g_autoptr(Enemy) enemy = enemy_new(siege, 1, HF_TICKET_KEYS, 0);
      g_autoptr(GPtrArray) there = siege_names(siege, folders[f]);
      for (guint i = 0; i < there->len; i++) {
        g_autofree char *base = g_strndup(there->pdata[i], strcspn(there->pdata[i], "."));
        g_autofree char *name = g_strconcat(base, ends[e], NULL);
        enemy_put_text(enemy, name, "garbage");
      }
      g_clear_pointer(&enemy, enemy_free);
      siege_stands(siege, ends[e]);
    }
  tell(siege);
}

/* ---- Sessions. ---- */

static void test_others_session(void)
{
  g_autoptr(Siege) siege = siege_new();
  g_autoptr(Enemy) honest = enemy_new(siege, 0, HF_TICKET_WRITE, SIEGE_LOCK);
  enemy_open(honest);
  g_autofree char *open = enemy_name(honest, "open"), *outcome = enemy_name(honest, "outcome");
  g_autofree char *beat = enemy_name(honest, "beat.1"), *checkpoint = enemy_name(honest, "checkpoint.1");
  const char *const parts[] = { open, outcome, beat, checkpoint };
  g_assert_true(enemy_put_text(honest, beat, ""));
  for (gsize r = 0; r < G_N_ELEMENTS(rights_of); r++) {
    g_autoptr(Enemy) enemy = enemy_new(siege, 1, rights_of[r], 0);
    enemy->session = honest->session;
    for (gsize i = 0; i < G_N_ELEMENTS(parts); i++) {
      refused(siege, enemy_remove(enemy, parts[i]), parts[i]);
      refused(siege, enemy_put_text(enemy, parts[i], ""), parts[i]);
    }
    for (HfOutcomeState state = HF_OUTCOME_COMMITTED; state <= HF_OUTCOME_ENDED; state++) {
      g_autoptr(GBytes) point = state == HF_OUTCOME_COMMITTED ? siege_point(siege, 1) : NULL;
      refused(siege, enemy_outcome(enemy, state, point), "another's outcome");
    }
  }
  /* It is still good for its own point. */
  g_autoptr(GArray) ids = siege_ids(siege, 0, HF_PACK_META);
  g_auto(HfPoint) point = { 0 };
  enemy_point(honest, &g_array_index(ids, HfId, 0), &point);
  g_autoptr(GBytes) record = enemy_sign(honest, &point);
  g_assert_true(enemy_outcome(honest, HF_OUTCOME_COMMITTED, record));
  tell(siege);
}

typedef void (*ChangeOpen)(Enemy *enemy, HfSessionOpen *open);

static void collects(Enemy *enemy G_GNUC_UNUSED, HfSessionOpen *open)
{
  open->purpose = HF_PURPOSE_COLLECT;
}

static void repairs(Enemy *enemy G_GNUC_UNUSED, HfSessionOpen *open)
{
  open->purpose = HF_PURPOSE_REPAIR;
}

static void has_no_purpose(Enemy *enemy G_GNUC_UNUSED, HfSessionOpen *open)
{
  open->purpose = 77;
}

static void is_about_another(Enemy *enemy G_GNUC_UNUSED, HfSessionOpen *open)
{
  open->id.b[0] ^= 1;
}

static void has_others_slot(Enemy *enemy, HfSessionOpen *open)
{
  g_autoptr(GBytes) record = siege_point(enemy->siege, 0);
  g_auto(HfPoint) point = { 0 };
  g_assert_true(hf_point_decode(record, &point, NULL));
  open->slot = point.slot;
}

static void sign_slot(Enemy *enemy, HfSessionOpen *open)
{
  guint8 bytes[HF_SESSION_SLOT_BYTES];
  hf_session_slot_encode(&open->slot, enemy_seed(enemy), bytes);
}

static void names_other_writer(Enemy *enemy, HfSessionOpen *open)
{
  open->slot.writer = open->writer = enemy->siege->writers[0];
  sign_slot(enemy, open);
}

static void names_other_domain(Enemy *enemy, HfSessionOpen *open)
{
  open->slot.domain = open->domain = 1;
  sign_slot(enemy, open);
}

static void names_no_domain(Enemy *enemy, HfSessionOpen *open)
{
  open->slot.domain = open->domain = G_MAXUINT32;
  sign_slot(enemy, open);
}

static void is_not_signed(Enemy *enemy G_GNUC_UNUSED, HfSessionOpen *open)
{
  open->slot.signature[5] ^= 1;
}

static void names_unknown_generation(Enemy *enemy, HfSessionOpen *open)
{
  open->slot.generation = 77;
  sign_slot(enemy, open);
}

static void is_of_another_session(Enemy *enemy, HfSessionOpen *open)
{
  open->slot.session.b[3] ^= 1;
  sign_slot(enemy, open);
}

static void test_open(void)
{
  g_autoptr(Siege) siege = siege_new();
  static const struct {
    const char *name;
    ChangeOpen change;
  } attacks[] = {
    { "collects", collects }, { "repairs", repairs }, { "has no purpose", has_no_purpose },
    { "is about another", is_about_another }, { "has another's slot", has_others_slot },
    { "names another writer", names_other_writer }, { "names another domain", names_other_domain },
    { "names no domain", names_no_domain }, { "is not signed", is_not_signed },
    { "names an unknown generation", names_unknown_generation }, { "is of another session", is_of_another_session },
  };
  g_autoptr(Enemy) enemy = enemy_new(siege, 1, HF_TICKET_WRITE, 0);
  for (gsize i = 0; i < G_N_ELEMENTS(attacks); i++) {
    enemy_new_session(enemy);
    HfSessionOpen open = { .id = enemy->session, .purpose = HF_PURPOSE_BACKUP, .has_slot = TRUE, .slot = enemy->slot,
                           .writer = enemy->slot.writer, .domain = enemy->slot.domain };
    attacks[i].change(enemy, &open);
    g_autoptr(GBytes) record = hf_session_open_encode(&open);
    g_autofree char *name = enemy_name(enemy, "open");
    refused(siege, enemy_put(enemy, name, record), attacks[i].name);
  }
  /* Cut anywhere. */
  enemy_new_session(enemy);
  HfSessionOpen open = { .id = enemy->session, .purpose = HF_PURPOSE_BACKUP, .has_slot = TRUE, .slot = enemy->slot,
                         .writer = enemy->slot.writer, .domain = enemy->slot.domain };
  g_autoptr(GBytes) record = hf_session_open_encode(&open);
  g_autofree char *name = enemy_name(enemy, "open");
  for (gsize length = 0; length < g_bytes_get_size(record); length += 7) {
    g_autoptr(GBytes) cut = g_bytes_new_from_bytes(record, 0, length);
    refused(siege, enemy_put(enemy, name, cut), "a session that was cut");
  }
  g_clear_pointer(&enemy, enemy_free);
  siege_stands(siege, "sessions");
  tell(siege);
}

/* ---- Points. ---- */

typedef void (*ChangePoint)(Enemy *enemy, HfPoint *point);

static void by_another(Enemy *enemy, HfPoint *point)
{
  point->writer = enemy->siege->writers[0];
}

static void of_another_domain(Enemy *enemy G_GNUC_UNUSED, HfPoint *point)
{
  point->domain = 1;
}

static void of_another_session(Enemy *enemy G_GNUC_UNUSED, HfPoint *point)
{
  point->session.b[0] ^= 1;
}

static void without_roots(Enemy *enemy G_GNUC_UNUSED, HfPoint *point)
{
  memset(point->roots.b, 0x55, sizeof point->roots.b);
}

static void with_others_roots(Enemy *enemy, HfPoint *point)
{
  g_autoptr(GArray) ids = siege_ids(enemy->siege, 0, HF_PACK_META);
  point->roots = g_array_index(ids, HfId, 0);
}

static void by_nobody(Enemy *enemy G_GNUC_UNUSED, HfPoint *point)
{
  hf_random(point->writer.b, sizeof point->writer.b);
}

static void test_commit(void)
{
  g_autoptr(Siege) siege = siege_new();
  static const struct {
    const char *name;
    ChangePoint change;
  } attacks[] = {
    { "by another", by_another }, { "of another domain", of_another_domain },
    { "of another session", of_another_session }, { "without roots", without_roots },
    { "with another's roots", with_others_roots }, { "by nobody", by_nobody },
  };
  g_autoptr(GArray) ids = siege_ids(siege, 1, HF_PACK_META);
  const HfId *roots = &g_array_index(ids, HfId, 0);
  for (gsize r = 0; r < G_N_ELEMENTS(rights_of); r++)
    for (gsize i = 0; i < G_N_ELEMENTS(attacks); i++) {
      if (rights_of[r] == HF_TICKET_COPY)
        continue; /* may bring points of others: below */
      g_autoptr(Enemy) enemy = enemy_new(siege, 1, rights_of[r], 0);
      g_auto(HfPoint) point = { 0 };
      if (rights_of[r] == HF_TICKET_WRITE)
        enemy_open(enemy);
      enemy_point(enemy, roots, &point);
      attacks[i].change(enemy, &point);
      g_autoptr(GBytes) record = enemy_sign(enemy, &point);
      refused(siege, enemy_outcome(enemy, HF_OUTCOME_COMMITTED, record), attacks[i].name);
    }
  siege_stands(siege, "commits");
  /* A good one, cut anywhere, or with a bit turned. */
  g_autoptr(Enemy) enemy = enemy_new(siege, 1, HF_TICKET_WRITE, 0);
  g_auto(HfPoint) point = { 0 };
  enemy_open(enemy);
  enemy_point(enemy, roots, &point);
  g_autoptr(GBytes) record = enemy_sign(enemy, &point), outcome = hf_outcome_encode(HF_OUTCOME_COMMITTED, record);
  g_autofree char *name = enemy_name(enemy, "outcome");
  for (gsize at = 0; at < g_bytes_get_size(outcome); at += 5) {
    g_autoptr(GBytes) cut = g_bytes_new_from_bytes(outcome, 0, at);
    g_autofree guint8 *turned = g_memdup2(g_bytes_get_data(outcome, NULL), g_bytes_get_size(outcome));
    turned[at] ^= 0x10;
    g_autoptr(GBytes) wrong = g_bytes_new(turned, g_bytes_get_size(outcome));
    refused(siege, enemy_put(enemy, name, cut), "an outcome that was cut");
    refused(siege, enemy_put(enemy, name, wrong), "an outcome with a bit turned");
  }
  /* The point with no lock and any stamp: the service's stamp counts. Twice is refused. */
  point.sequence = G_MAXUINT64;
  point.time = G_MAXINT64;
  point.lock = 0;
  g_autoptr(GBytes) stamped = hf_point_encode(&point);
  g_assert_true(enemy_outcome(enemy, HF_OUTCOME_COMMITTED, stamped));
  refused(siege, enemy_outcome(enemy, HF_OUTCOME_COMMITTED, stamped), "commit twice");
  refused(siege, enemy_outcome(enemy, HF_OUTCOME_ENDED, NULL), "end after a commit");
  g_clear_pointer(&enemy, enemy_free);
  siege_stands(siege, "a liar's stamp");
  tell(siege);
}

/* A locked point committed once more, under a ticket without a lock, by its writer or by who copies. */
static void test_commit_again(void)
{
  g_autoptr(Siege) siege = siege_new();
  for (guint host = 0; host < 2; host++) {
    g_autoptr(GBytes) record = siege_point(siege, host);
    g_auto(HfPoint) point = { 0 };
    g_assert_true(hf_point_decode(record, &point, NULL));
    point.lock = 0;
    point.sequence = 1;
    g_autoptr(GBytes) unlocked = hf_point_encode(&point);
    /* Under the session that made it. */
    g_autoptr(Enemy) enemy = enemy_new(siege, 1, HF_TICKET_WRITE, 0);
    enemy->session = point.session;
    g_autofree char *open_name = enemy_name(enemy, "open");
    HfSessionOpen open = { .id = point.session, .purpose = HF_PURPOSE_BACKUP, .has_slot = TRUE, .slot = point.slot,
                           .writer = point.writer, .domain = point.domain };
    g_autoptr(GBytes) opened = hf_session_open_encode(&open);
    enemy_put(enemy, open_name, opened);
    enemy_outcome(enemy, HF_OUTCOME_COMMITTED, unlocked);
    g_clear_pointer(&enemy, enemy_free);
    siege_stands(siege, "committed again by its writer");
    enemy = enemy_new(siege, 1, HF_TICKET_COPY, 0);
    HfSessionOpen copies = { .id = enemy->session, .purpose = HF_PURPOSE_COPY };
    g_autoptr(GBytes) copying = hf_session_open_encode(&copies);
    g_autofree char *copy_name = enemy_name(enemy, "open");
    g_assert_true(enemy_put(enemy, copy_name, copying));
    enemy_outcome(enemy, HF_OUTCOME_COMMITTED, unlocked);
    g_clear_pointer(&enemy, enemy_free);
    siege_stands(siege, "committed again by who copies");
  }
  tell(siege);
}

/* When two of the copies of a locked point are lost, it is not what was committed again that heals them. */
static void test_commit_over_lost_copies(void)
{
  g_autoptr(Siege) siege = siege_new();
  g_autoptr(GBytes) record = siege_point(siege, 1);
  g_auto(HfPoint) point = { 0 };
  char base[HF_NAME_BYTES], name[HF_NAME_BYTES];
  g_assert_true(hf_point_decode(record, &point, NULL));
  point.lock = 0;
  g_autoptr(GBytes) unlocked = hf_point_encode(&point);
  hf_name_point(base, &point.id);
  for (guint copy = 0; copy < 2; copy++) {
    hf_name_copy(name, base, copy);
    g_assert_true(hf_store_remove(siege->local, name, NULL));
  }
  g_autoptr(Enemy) enemy = enemy_new(siege, 1, HF_TICKET_COPY, 0);
  HfSessionOpen copies = { .id = enemy->session, .purpose = HF_PURPOSE_COPY };
  g_autoptr(GBytes) copying = hf_session_open_encode(&copies);
  g_autofree char *copy_name = enemy_name(enemy, "open");
  g_assert_true(enemy_put(enemy, copy_name, copying));
  enemy_outcome(enemy, HF_OUTCOME_COMMITTED, unlocked);
  g_clear_pointer(&enemy, enemy_free);
  siege_stands(siege, "committed again over lost copies");
  tell(siege);
}

static void test_checkpoints(void)
{
  g_autoptr(Siege) siege = siege_new();
  g_autoptr(GArray) own = siege_ids(siege, 1, HF_PACK_META), others = siege_ids(siege, 0, HF_PACK_META);
  g_autoptr(Enemy) enemy = enemy_new(siege, 1, HF_TICKET_WRITE, 0);
  enemy_open(enemy);
  g_autofree char *name = enemy_name(enemy, "checkpoint.1"), *odd = enemy_name(enemy, "checkpoint./../open");
  HfCheckpoint good = { .source = { { 1 } }, .writer = enemy->slot.writer, .domain = enemy->slot.domain,
                        .roots = g_array_index(own, HfId, 0), .time = 1, .slot = enemy->slot };
  HfCheckpoint nowhere = good, foreign = good, by_other = good, other_domain = good;
  memset(nowhere.roots.b, 7, sizeof nowhere.roots.b);
  foreign.roots = g_array_index(others, HfId, 0);
  by_other.writer = siege->writers[0];
  other_domain.domain = 1;
  const HfCheckpoint *const wrong[] = { &nowhere, &foreign, &by_other, &other_domain };
  static const char *const what[] = { "to nowhere", "to another's", "by another", "of another domain" };
  for (gsize i = 0; i < G_N_ELEMENTS(wrong); i++) {
    g_autoptr(GBytes) record = hf_checkpoint_encode(wrong[i], enemy_seed(enemy));
    refused(siege, enemy_put(enemy, name, record), what[i]);
  }
  g_autoptr(GBytes) record = hf_checkpoint_encode(&good, enemy_seed(enemy));
  refused(siege, enemy_put(enemy, odd, record), "an odd name");
  for (gsize at = 0; at < g_bytes_get_size(record); at += 11) {
    g_autoptr(GBytes) cut = g_bytes_new_from_bytes(record, 0, at);
    refused(siege, enemy_put(enemy, name, cut), "a checkpoint that was cut");
  }
  g_assert_false(enemy_outcome(enemy, HF_OUTCOME_FENCED, NULL));
  g_clear_pointer(&enemy, enemy_free);
  siege_stands(siege, "checkpoints");
  tell(siege);
}

/* ---- Deletion, clocks, keys. ---- */

static void test_forget(void)
{
  g_autoptr(Siege) siege = siege_new();
  HfShortId many[300];
  for (gsize i = 0; i < G_N_ELEMENTS(many); i++)
    many[i] = siege->points[i % 2];
  for (gsize r = 0; r < G_N_ELEMENTS(rights_of); r++) {
    g_autoptr(Enemy) enemy = enemy_new(siege, 1, rights_of[r], 0);
    refused(siege, enemy_forget(enemy, &siege->points[0], 1), "forget another's");
    refused(siege, enemy_forget(enemy, &siege->points[1], 1), "forget one's own");
    refused(siege, enemy_forget(enemy, siege->points, 2), "forget both");
    refused(siege, enemy_forget(enemy, many, G_N_ELEMENTS(many)), "forget again and again");
    if (rights_of[r] != HF_TICKET_KEEP)
      refused(siege, enemy_prune(enemy), "prune");
  }
  siege_stands(siege, "forget");
  static const char *const times[] = { "315360000", "-315360000", "7000000000", "86401" };
  for (gsize i = 0; i < G_N_ELEMENTS(times); i++) {
    g_setenv("HOLDFAST_TEST_TIME", times[i], TRUE);
    for (guint again = 0; again < 2; again++) {
      g_autoptr(Enemy) enemy = enemy_new(siege, 1, HF_TICKET_KEEP, 0);
      refused(siege, enemy_forget(enemy, siege->points, 2), "forget at another time");
      enemy_prune(enemy);
      g_clear_pointer(&enemy, enemy_free);
      vault_lab_join(siege->lab);
      hf_depots_close(); /* the service starts anew at that time */
    }
    siege_stands(siege, times[i]);
    g_unsetenv("HOLDFAST_TEST_TIME");
    siege_stands(siege, "and back");
  }
  tell(siege);
}

static void test_clock(void)
{
  g_autoptr(Siege) siege = siege_new();
  for (guint i = 0; i < 3; i++) {
    g_autoptr(GPtrArray) names = siege_names(siege, "clock/");
    for (guint n = 0; n < names->len; n++)
      hf_store_remove(siege->local, names->pdata[n], NULL);
    if (i == 1)
      g_assert_true(hf_store_put(siege->local, "clock/x", NULL, 0, NULL));
    vault_lab_join(siege->lab);
    hf_depots_close();
    g_autoptr(Enemy) enemy = enemy_new(siege, 1, HF_TICKET_KEEP, 0);
    refused(siege, enemy_forget(enemy, siege->points, 2), "forget without a clock");
    g_clear_pointer(&enemy, enemy_free);
    siege_stands(siege, "clock");
  }
  tell(siege);
}

/* An administrator's password lets in who hides ways in, rotates keys and removes writers. */
static void test_keys(void)
{
  g_autoptr(Siege) siege = siege_new();
  g_autoptr(GError) error = NULL;
  for (guint turn = 0; turn < 3; turn++) {
    g_autoptr(HfRepo) owner = vault_lab_owner(siege->lab, HF_TICKET_KEYS | HF_TICKET_READ);
    guint32 generation;
    g_autoptr(GPtrArray) slots = hf_keys_list(owner->store, &owner->config, owner->keys, &error);
    g_assert_no_error(error);
    for (guint i = 0; turn == 0 && i < slots->len; i++) {
      const HfSlotInfo *slot = slots->pdata[i];
      if (!slot->current)
        hf_keys_hide(owner->store, &owner->config, owner->keys, &slot->id, NULL);
    }
    if (turn == 1) {
      hf_keys_rotate(owner->store, &owner->config, owner->keys, &generation, &error);
      g_assert_no_error(error);
    }
    for (guint host = 0; turn == 2 && host < 2; host++) {
      hf_writers_remove(owner->store, &owner->config, owner->keys, &siege->writers[host], 0, &error);
      g_assert_no_error(error);
    }
    g_clear_pointer(&owner, hf_repo_free);
    g_autoptr(Enemy) enemy = turn == 0 ? enemy_new(siege, 1, HF_TICKET_KEEP, 0) : NULL;
    if (enemy != NULL)
      refused(siege, enemy_forget(enemy, siege->points, 2), "forget after keys were hidden");
    g_clear_pointer(&enemy, enemy_free);
    VaultTicket keep = { .rights = HF_TICKET_KEEP };
    g_autoptr(HfStore) store = vault_lab_store(siege->lab, &keep, 1, NULL);
    g_autoptr(GArray) both = g_array_new(FALSE, FALSE, sizeof(HfShortId));
    guint forgotten;
    g_array_append_vals(both, siege->points, 2);
    refused(siege, hf_service_forget(store, both, &forgotten, NULL), "forget after keys were changed");
    hf_store_free(g_steal_pointer(&store));
  }
  tell(siege);
}

/* A session whose service was killed does not stay until somebody prunes. */
static void test_abandoned(void)
{
  g_autoptr(Siege) siege = siege_new();
  g_autofree char *name = NULL;
  gboolean there = TRUE;
  g_setenv("HOLDFAST_TEST_BEAT_MS", "100", TRUE);
  g_autoptr(Enemy) enemy = enemy_new(siege, 1, HF_TICKET_WRITE, 0);
  HfSessionOpen open = { .id = enemy->session, .purpose = HF_PURPOSE_BACKUP };
  g_autoptr(GBytes) record = hf_session_open_encode(&open);
  name = enemy_name(enemy, "open");
  g_assert_true(hf_store_put(siege->local, name, g_bytes_get_data(record, NULL), g_bytes_get_size(record), NULL));
  g_clear_pointer(&enemy, enemy_free);
  vault_lab_join(siege->lab);
  hf_depots_close();
  enemy = enemy_new(siege, 1, HF_TICKET_KEEP, 0);
  enemy_forget(enemy, siege->points, 1);
  for (guint i = 0; i < 100 && there; i++) {
    g_usleep(G_USEC_PER_SEC / 10);
    g_assert_true(hf_object_exists(siege->local, name, &there, NULL));
  }
  g_assert_false(there);
  g_unsetenv("HOLDFAST_TEST_BEAT_MS");
}

/* ---- Requests that are none. ---- */

static void test_requests(void)
{
  g_autoptr(Siege) siege = siege_new();
  g_autoptr(GRand) rand = g_rand_new_with_seed(4);
  static const guint32 every = HF_TICKET_READ | HF_TICKET_WRITE | HF_TICKET_COPY | HF_TICKET_KEEP | HF_TICKET_KEYS;
  g_autoptr(Enemy) enemy = enemy_new(siege, 1, every, 0);
  for (guint i = 0; i < 400; i++) {
    guint8 bytes[600];
    gsize length = (gsize)g_rand_int_range(rand, 0, sizeof bytes);
    for (gsize k = 0; k < length; k++)
      bytes[k] = g_rand_int_range(rand, 0, 3) == 0 ? 0xff : (guint8)g_rand_int(rand);
    guint method = (guint)g_rand_int_range(rand, 0, 18);
    if (method != HF_VAULT_METHOD_PRUNE && method != HF_VAULT_METHOD_VERIFY)
      enemy_call(enemy, method, bytes, length);
    siege_count(siege, 1);
  }
  static const guint8 huge[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f };
  for (guint method = 0; method < 20; method++)
    refused(siege, enemy_call(enemy, method, huge, sizeof huge) && method != HF_VAULT_METHOD_VISIT &&
                     method != HF_VAULT_METHOD_USAGE && method != HF_VAULT_METHOD_FLUSH,
            "huge lengths");
  g_clear_pointer(&enemy, enemy_free);
  siege_stands(siege, "requests");
  tell(siege);
}

static void test_terms(void)
{
  g_autoptr(Siege) siege = siege_new();
  static const guint8 terms[][12] = { { 2 }, { 1, 2 }, { 1, 0xff }, { 0 }, { 1, 0, 0xff } };
  static const gsize lengths[] = { 10, 10, 10, 10, 9, 0, 1, 11 };
  for (gsize i = 0; i < G_N_ELEMENTS(lengths); i++) {
    VaultTicket wanted = { .rights = HF_TICKET_WRITE | HF_TICKET_KEEP };
    g_autoptr(HfTicket) ticket = vault_lab_ticket(siege->lab, &wanted);
    g_bytes_unref(ticket->terms);
    ticket->terms = g_bytes_new(terms[i % G_N_ELEMENTS(terms)], lengths[i]);
    HfChannel *channel = vault_lab_connect(siege->lab, ticket);
    HfRpcOptions options = { .hello_seconds = 2 };
    hf_service_rpc_options(&options);
    HfRpc *rpc = hf_rpc_new(channel, &options, NULL);
    g_autoptr(GBytes) reply = rpc == NULL ? NULL : hf_rpc_call(rpc, HF_VAULT_METHOD_VISIT, NULL, 5000, NULL);
    refused(siege, reply != NULL, "terms that are none");
    hf_rpc_free(rpc);
    hf_channel_free(channel);
  }
  siege_stands(siege, "terms");
  tell(siege);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/attacks/objects", test_objects);
  g_test_add_func("/attacks/new-names", test_new_names);
  g_test_add_func("/attacks/odd-names", test_odd_names);
  g_test_add_func("/attacks/garbage-keys", test_garbage_keys);
  g_test_add_func("/attacks/others-session", test_others_session);
  g_test_add_func("/attacks/open", test_open);
  g_test_add_func("/attacks/commit", test_commit);
  g_test_add_func("/attacks/commit-again", test_commit_again);
  g_test_add_func("/attacks/commit-over-lost-copies", test_commit_over_lost_copies);
  g_test_add_func("/attacks/checkpoints", test_checkpoints);
  g_test_add_func("/attacks/forget", test_forget);
  g_test_add_func("/attacks/clock", test_clock);
  g_test_add_func("/attacks/keys", test_keys);
  g_test_add_func("/attacks/abandoned", test_abandoned);
  g_test_add_func("/attacks/requests", test_requests);
  g_test_add_func("/attacks/terms", test_terms);
  return g_test_run();
}
