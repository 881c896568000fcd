/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading and forgetting points; malicious writers and damaged copies. */
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "repo/keystate.h"
#include "repo/objects.h"
#include "repo/pointstate.h"
#include "repolab.h"

#define DAY_NS (86400 * G_GINT64_CONSTANT(1000000000))

static guint count_names(Lab *lab, const char *prefix)
{
  g_autoptr(GPtrArray) names = lab_names(lab, prefix);
  return names->len;
}

static GPtrArray *load(HfRepo *repo, guint *damaged)
{
  g_autoptr(GError) error = NULL;
  GPtrArray *points = hf_points_load(repo, damaged, &error);
  g_assert_no_error(error);
  return points;
}

static HfPointInfo *nth(const GPtrArray *points, guint n)
{
  g_assert_cmpuint(points->len, >, n);
  return g_ptr_array_index(points, n);
}

/* A point by `keys`, changed before and after it is signed. */
typedef void (*Change)(HfPoint *point);

static HfShortId put_point(Lab *lab, const HfKeyring *keys, Change before, Change after, const HfKey *seed)
{
  HfKey data_key, meta_key;
  HfShortId session;
  g_auto(HfPoint) point = { 0 };
  g_autoptr(HfPointDetails) details = lab_details("forged");
  g_autoptr(GByteArray) plain = g_byte_array_new(), clear = g_byte_array_new();
  hf_random(session.b, sizeof session.b);
  g_assert_true(hf_keyring_new_session(keys, &session, &point.slot, &data_key, &meta_key, NULL));
  point.session = session;
  point.writer = point.slot.writer;
  point.domain = point.slot.domain;
  point.sequence = 100;
  point.time = hf_clock_real_ns();
  hf_random(point.nonce, sizeof point.nonce);
  if (before != NULL)
    before(&point);
  g_autoptr(HfAead) aead = hf_aead_new(&meta_key);
  hf_point_details_encode(details, plain);
  hf_point_clear_part(&point, TRUE, clear);
  guint8 *sealed = g_malloc(plain->len + HF_TAG_BYTES);
  g_assert_true(hf_aead_seal(aead, point.nonce, clear->data, clear->len, plain->data, plain->len, sealed, NULL));
  if (point.sealed == NULL)
    point.sealed = g_bytes_new_take(sealed, plain->len + HF_TAG_BYTES);
  else
    g_free(sealed);
  hf_point_sign(&point, seed != NULL ? seed : hf_keyring_seed(keys));
  if (after != NULL)
    after(&point);
  char base[HF_NAME_BYTES];
  hf_name_point(base, &point.id);
  g_autoptr(GBytes) record = hf_point_encode(&point);
  lab_put_triple(lab, base, record);
  return point.id;
}

static void test_order(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  g_autoptr(HfRepo) repo = lab_open_full(lab);
  guint damaged = 7;
  g_autoptr(GPtrArray) none = load(repo, &damaged);
  g_assert_cmpuint(none->len, ==, 0);
  g_assert_cmpuint(damaged, ==, 0);
  HfPointInfo a = { .point = { .sequence = 1, .time = 5 } }, b = { .point = { .sequence = 2, .time = 1 } };
  HfPointInfo c = { .point = { .sequence = 2, .time = 2 } },
              d = { .point = { .sequence = 2, .time = 2, .id = { { 1 } } } };
  HfPointInfo *order[] = { &a, &b, &c, &d };
  for (guint i = 0; i < 4; i++)
    for (guint j = 0; j < 4; j++) {
      gint found = hf_point_info_compare(&order[i], &order[j]);
      g_assert_true((found < 0) == (i < j) && (found > 0) == (i > j));
    }
}

static void test_keyless(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  g_autoptr(HfRepo) repo = lab_open_full(lab), keyless = lab_open(lab, NULL, NULL);
  lab_commit(repo, "one");
  g_autoptr(GPtrArray) points = load(keyless, NULL);
  g_assert_true(nth(points, 0)->known_signer);
  g_assert_null(nth(points, 0)->details);
  g_assert_cmpuint(lab->warnings->len, ==, 0);
}

/* A host sees the names of its own points, not of others'. */
static void test_credential(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  g_autoptr(HfRepo) repo = lab_open_full(lab);
  g_autoptr(GError) error = NULL;
  g_autofree char *text = hf_writers_add(repo->store, &repo->config, repo->keys, "web", &error);
  HfUnlock unlock = lab_text(HF_UNLOCK_KEY_FILE, text);
  g_autoptr(HfRepo) early = lab_open_full(lab), web = lab_open(lab, NULL, &unlock);
  lab_commit(repo, "secret");
  lab_commit(web, "mine");
  g_autoptr(GPtrArray) as_web = load(web, NULL), as_owner = load(early, NULL);
  g_assert_null(nth(as_web, 0)->details);
  g_assert_cmpstr(nth(as_web, 1)->details->name, ==, "mine");
  g_assert_cmpstr(nth(as_owner, 0)->details->name, ==, "secret");
  g_assert_cmpstr(nth(as_owner, 1)->details->name, ==, "mine");
  g_assert_true(nth(as_owner, 1)->known_signer && nth(as_web, 0)->known_signer);
  g_assert_cmpuint(lab->warnings->len, ==, 0);
}

/* Enrolled after we opened: loading looks again. */
static void test_enrolled_later(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  g_autoptr(HfRepo) repo = lab_open_full(lab), early = lab_open_full(lab);
  g_autofree char *text = hf_writers_add(repo->store, &repo->config, repo->keys, "web", NULL);
  HfUnlock unlock = lab_text(HF_UNLOCK_KEY_FILE, text);
  g_autoptr(HfRepo) web = lab_open(lab, NULL, &unlock);
  lab_commit(web, "mine");
  g_autoptr(GPtrArray) points = load(early, NULL);
  g_assert_true(nth(points, 0)->known_signer);
  g_assert_cmpstr(nth(points, 0)->details->name, ==, "mine");
}

static void set_old(HfPoint *point)
{
  point->time -= 30 * DAY_NS;
}

static void test_removed_writer(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  g_autoptr(HfRepo) repo = lab_open_full(lab);
  g_autofree char *text = hf_writers_add(repo->store, &repo->config, repo->keys, "web", NULL);
  HfUnlock unlock = lab_text(HF_UNLOCK_KEY_FILE, text);
  g_autoptr(HfRepo) web = lab_open(lab, NULL, &unlock);
  HfShortId good = lab_commit(web, "mine");
  g_assert_true(hf_writers_remove(repo->store, &repo->config, repo->keys, hf_keyring_writer_id(web->keys), 0, NULL));
  HfShortId late = put_point(lab, web->keys, NULL, NULL, NULL),
            backdated = put_point(lab, web->keys, set_old, NULL, NULL);
  g_autoptr(GPtrArray) points = load(repo, NULL);
  g_assert_cmpuint(points->len, ==, 3);
  for (guint i = 0; i < 3; i++) {
    const HfPointInfo *info = nth(points, i);
    g_assert_true(info->removed_signer);
    g_assert_true(info->known_signer == !hf_short_id_equal(&info->point.id, &late));
  }
  g_assert_true(hf_short_id_equal(&nth(points, 0)->point.id, &good));
  (void)backdated;
}

static void set_ahead(HfPoint *point)
{
  point->time += DAY_NS / 24;
}

static void set_future(HfPoint *point)
{
  point->time += DAY_NS + DAY_NS / 24;
}

/* The clock of who stamps the points is an hour ahead. */
static void test_removed_behind(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  g_autoptr(HfRepo) repo = lab_open_full(lab);
  g_autofree char *text = hf_writers_add(repo->store, &repo->config, repo->keys, "web", NULL);
  HfUnlock unlock = lab_text(HF_UNLOCK_KEY_FILE, text);
  g_autoptr(HfRepo) web = lab_open(lab, NULL, &unlock);
  put_point(lab, web->keys, NULL, NULL, NULL);
  put_point(lab, web->keys, set_ahead, NULL, NULL);
  HfShortId liar = put_point(lab, web->keys, set_future, NULL, NULL);
  const HfShortId *writer = hf_keyring_writer_id(web->keys);
  gint64 last;
  g_assert_true(hf_points_last_time(repo, writer, &last, NULL));
  g_assert_true(hf_writers_remove(repo->store, &repo->config, repo->keys, writer, last, NULL));
  HfShortId late = put_point(lab, web->keys, set_ahead, NULL, NULL);
  g_autoptr(GPtrArray) points = load(repo, NULL);
  g_assert_cmpuint(points->len, ==, 4);
  for (guint i = 0; i < points->len; i++) {
    const HfPointInfo *info = nth(points, i);
    gboolean unknown = hf_short_id_equal(&info->point.id, &late) || hf_short_id_equal(&info->point.id, &liar);
    g_assert_true(info->known_signer == !unknown);
  }
}

/* ---- Liars. ---- */

static void set_greatest(HfPoint *point)
{
  point->sequence = G_MAXUINT64;
}

static void set_garbage(HfPoint *point)
{
  point->sealed = g_bytes_new("this is no sealed part at all", 29);
}

static void set_other_domain(HfPoint *point)
{
  point->domain = point->slot.domain = 9;
}

static void test_future(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  g_autoptr(HfRepo) repo = lab_open_full(lab);
  put_point(lab, repo->keys, set_future, set_greatest, NULL);
  g_autoptr(GPtrArray) points = load(repo, NULL);
  g_assert_true(nth(points, 0)->future && nth(points, 0)->known_signer);
  g_assert_true(lab_warned(lab, "more than a day in the future"));
  /* It does not push the sequence of others up. */
  lab_commit(repo, "one");
  g_autoptr(GPtrArray) more = load(repo, NULL);
  g_assert_cmpuint(nth(more, 0)->point.sequence, ==, 1);
}

static void test_greatest_sequence(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  g_autoptr(HfRepo) repo = lab_open_full(lab);
  put_point(lab, repo->keys, NULL, set_greatest, NULL);
  lab_commit(repo, "one");
  lab_commit(repo, "two");
  g_autoptr(GPtrArray) points = load(repo, NULL);
  g_assert_cmpstr(nth(points, 2)->details->name, ==, "two");
  g_assert_cmpuint(nth(points, 2)->point.sequence, ==, G_MAXUINT64);
}

static void test_unknown_signers(void)
{
  g_autoptr(Lab) lab = lab_with_repo(), stranger_lab = lab_with_repo();
  g_autoptr(HfRepo) repo = lab_open_full(lab), stranger = lab_open_full(stranger_lab);
  HfKey other;
  hf_random(other.b, sizeof other.b);
  put_point(lab, stranger->keys, NULL, NULL, NULL);
  g_autoptr(GPtrArray) points = load(repo, NULL);
  g_assert_false(nth(points, 0)->known_signer);
  g_assert_null(nth(points, 0)->details);
  g_assert_cmpuint(lab->warnings->len, ==, 0);
  /* In another's name. */
  put_point(lab, repo->keys, NULL, NULL, &other);
  g_autoptr(GPtrArray) forged = load(repo, NULL);
  g_assert_cmpuint(forged->len, ==, 2);
  g_assert_true(!nth(forged, 0)->known_signer && !nth(forged, 1)->known_signer);
  g_assert_true(lab_warned(lab, "not signed by the writer that it names"));
  /* In another domain. */
  put_point(lab, repo->keys, set_other_domain, NULL, NULL);
  g_autoptr(GPtrArray) elsewhere = load(repo, NULL);
  g_assert_cmpuint(elsewhere->len, ==, 3);
  for (guint i = 0; i < 3; i++)
    g_assert_false(nth(elsewhere, i)->known_signer);
}

static void test_garbage_details(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  g_autoptr(HfRepo) repo = lab_open_full(lab);
  put_point(lab, repo->keys, set_garbage, NULL, NULL);
  g_autoptr(GPtrArray) points = load(repo, NULL);
  g_assert_true(nth(points, 0)->known_signer);
  g_assert_null(nth(points, 0)->details);
  g_assert_cmpuint(lab->warnings->len, ==, 1);
}

/* ---- Damage. ---- */

static void test_damaged(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  g_autoptr(HfRepo) repo = lab_open_full(lab);
  HfShortId id = lab_commit(repo, "one"), other = lab_commit(repo, "two");
  char base[HF_NAME_BYTES], other_base[HF_NAME_BYTES];
  guint damaged;
  hf_name_point(base, &id);
  hf_name_point(other_base, &other);
  g_autofree char *hex = hf_hex(id.b, sizeof id.b);
  for (guint i = 0; i < 3; i++) {
    g_autofree char *name = g_strdup_printf("%s.%u", base, i);
    g_autoptr(GPtrArray) still = load(repo, &damaged);
    g_assert_cmpuint(still->len, ==, 2);
    lab_flip(lab, name, 77);
  }
  g_autoptr(GPtrArray) points = load(repo, &damaged);
  g_assert_cmpuint(points->len, ==, 1);
  g_assert_cmpuint(damaged, ==, 1);
  g_assert_true(lab_warned(lab, hex));
  /* A whole record under another's name is none. */
  g_autofree char *name = g_strdup_printf("%s.0", other_base);
  g_autoptr(GBytes) record = lab_get(lab, name);
  lab_put_triple(lab, base, record);
  g_autoptr(GPtrArray) moved = load(repo, &damaged);
  g_assert_cmpuint(moved->len, ==, 1);
  g_assert_cmpuint(damaged, ==, 1);
  g_assert_true(lab_warned(lab, "holds another point"));
  /* A record that breaks the rules of its format. */
  g_autoptr(GBytes) odd = hf_record_wrap(HF_RECORD_POINT, "odd", 3);
  lab_put_triple(lab, base, odd);
  g_autoptr(GPtrArray) broken G_GNUC_UNUSED = load(repo, &damaged);
  g_assert_cmpuint(damaged, ==, 1);
  lab_put(lab, "points/nonsense.0", "", 0);
  g_autoptr(GPtrArray) last = load(repo, &damaged);
  g_assert_cmpuint(last->len, ==, 1);
}

/* ---- Forgetting. ---- */

static void test_forget(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  g_autoptr(HfRepo) repo = lab_open_full(lab), read_only = lab_open_read_only(lab), keyless = lab_open(lab, NULL, NULL);
  g_autoptr(GError) error = NULL;
  lab_commit(repo, "one");
  lab_commit(repo, "two");
  g_autoptr(GPtrArray) points = load(repo, NULL);
  g_assert_false(hf_points_forget(read_only, nth(points, 0), &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_PERMISSION);
  g_clear_error(&error);
  nth(points, 0)->point.lock = 5;
  g_assert_false(hf_points_forget(repo, nth(points, 0), &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_REFUSED);
  g_clear_error(&error);
  nth(points, 0)->point.lock = 0;
  g_autofree char *copy_name = lab_name(lab, "points/", 0);
  g_autoptr(GBytes) copy = lab_get(lab, copy_name);
  g_assert_true(hf_points_forget(keyless, nth(points, 0), &error));
  g_assert_true(hf_points_forget(repo, nth(points, 0), &error));
  g_autoptr(GPtrArray) left = load(repo, NULL);
  g_assert_cmpuint(left->len, ==, 1);
  g_assert_cmpstr(nth(left, 0)->details->name, ==, "two");
  g_assert_true(hf_points_forget(repo, nth(left, 0), &error));
  g_assert_cmpuint(count_names(lab, "points/"), ==, 2);
  /* A copy that comes back (a power loss, a late healer) does not bring the point back, and goes with the next
   * opening. */
  lab_put(lab, copy_name, g_bytes_get_data(copy, NULL), g_bytes_get_size(copy));
  g_autoptr(GPtrArray) none = load(repo, NULL);
  g_assert_cmpuint(none->len, ==, 0);
  g_autoptr(HfRepo) opened G_GNUC_UNUSED = lab_open_full(lab);
  g_assert_cmpuint(count_names(lab, "points/"), ==, 2);
}

/* Copies that cannot be removed: the point is forgotten all the same. */
static int fail_removing(gboolean before, HookOp op, const char *name, gpointer user)
{
  (void)name;
  (void)user;
  return before && op == HOOK_REMOVE ? HF_ERROR_IO : 0;
}

static void test_forget_half(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  g_autoptr(HfRepo) repo = lab_open_full(lab),
                    failing = lab_open(lab, lab_hooked(lab, fail_removing, NULL), &lab_no_key);
  g_autoptr(GError) error = NULL;
  lab_commit(repo, "one");
  g_autoptr(GPtrArray) points = load(failing, NULL);
  g_assert_true(hf_points_forget(failing, nth(points, 0), &error));
  g_assert_true(lab_warned(lab, "not all of its copies are removed"));
  g_assert_cmpuint(count_names(lab, "points/"), ==, 4);
  g_autoptr(GPtrArray) none = load(failing, NULL);
  g_assert_cmpuint(none->len, ==, 0);
}

/* Healing and forgetting at once. */
typedef struct Race {
  Lab *lab;
  gboolean done;
} Race;

static int forget_meanwhile(gboolean before, HookOp op, const char *name, gpointer user)
{
  Race *race = user;
  if (race->done || !before || op != HOOK_PUT || !g_str_has_prefix(name, "points/"))
    return 0;
  race->done = TRUE;
  g_autoptr(HfRepo) repo = lab_open_read_only(race->lab);
  g_autoptr(GPtrArray) points = load(repo, NULL);
  repo->read_only = FALSE;
  g_assert_true(hf_points_forget(repo, nth(points, 0), NULL));
  return 0;
}

static void test_heal_while_forgetting(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  {
    g_autoptr(HfRepo) repo = lab_open_full(lab);
    lab_commit(repo, "one");
  }
  g_autofree char *name = lab_name(lab, "points/", 1);
  lab_drop(lab, name);
  Race race = { lab, FALSE };
  g_autoptr(HfRepo) repo = lab_open(lab, lab_hooked(lab, forget_meanwhile, &race), &lab_no_key);
  g_assert_true(race.done);
  g_assert_cmpuint(count_names(lab, "points/"), ==, 1);
  g_autoptr(GPtrArray) points = load(repo, NULL);
  g_assert_cmpuint(points->len, ==, 0);
}

/* Removed between the listing and the reading. */
static int drop_meanwhile(gboolean before, HookOp op, const char *name, gpointer user)
{
  Race *race = user;
  if (race->done || before || op != HOOK_LIST || !g_str_equal(name, "points/"))
    return 0;
  race->done = TRUE;
  lab_drop_all(race->lab, "points/");
  return 0;
}

static void test_gone_meanwhile(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  Race race = { lab, TRUE };
  g_autoptr(HfRepo) repo = lab_open(lab, lab_hooked(lab, drop_meanwhile, &race), &lab_no_key);
  lab_commit(repo, "one");
  race.done = FALSE;
  guint damaged;
  g_autoptr(GPtrArray) points = load(repo, &damaged);
  g_assert_cmpuint(points->len, ==, 0);
  g_assert_cmpuint(damaged, ==, 0);
}

static void test_faults(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  Fault fault = { .code = HF_ERROR_IO, .persist = TRUE };
  g_autoptr(HfRepo) repo = lab_open(lab, lab_hooked(lab, fault_hook, &fault), &lab_no_key);
  g_autoptr(HfRepo) keyless = lab_open(lab, lab_hooked(lab, fault_hook, &fault), NULL);
  lab_commit(repo, "one");
  HfRepo *repos[] = { repo, keyless };
  guint failed = 0;
  for (guint i = 0; i < 2; i++) {
    gboolean more = TRUE;
    for (guint strike = 1; more; strike++) {
      g_autoptr(GError) error = NULL;
      guint start = fault.calls;
      fault.strike = start + strike;
      g_autoptr(GPtrArray) points = hf_points_load(repos[i], NULL, &error);
      g_assert_true((points != NULL) == (error == NULL));
      g_assert_true(points == NULL || points->len == 1);
      failed += points == NULL;
      more = fault.calls >= start + strike;
      fault.strike = 0;
    }
  }
  g_assert_cmpuint(failed, >, 6);
  g_autoptr(GPtrArray) points = load(repo, NULL);
  g_autoptr(GError) error = NULL;
  fault.strike = fault.calls + 1;
  g_assert_false(hf_points_forget(repo, nth(points, 0), &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_IO);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_assert_true(hf_crypto_init(NULL));
  g_test_add_func("/points/order", test_order);
  g_test_add_func("/points/keyless", test_keyless);
  g_test_add_func("/points/credential", test_credential);
  g_test_add_func("/points/enrolled-later", test_enrolled_later);
  g_test_add_func("/points/removed-writer", test_removed_writer);
  g_test_add_func("/points/future", test_future);
  g_test_add_func("/points/greatest-sequence", test_greatest_sequence);
  g_test_add_func("/points/removed-behind", test_removed_behind);
  g_test_add_func("/points/unknown-signers", test_unknown_signers);
  g_test_add_func("/points/garbage-details", test_garbage_details);
  g_test_add_func("/points/damaged", test_damaged);
  g_test_add_func("/points/forget", test_forget);
  g_test_add_func("/points/forget-half", test_forget_half);
  g_test_add_func("/points/heal-while-forgetting", test_heal_while_forgetting);
  g_test_add_func("/points/gone-meanwhile", test_gone_meanwhile);
  g_test_add_func("/points/faults", test_faults);
  return g_test_run();
}
