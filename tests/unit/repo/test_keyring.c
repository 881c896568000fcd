/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Opening and making: every way in, and every way in which a store could lie about keys. */
#include <string.h>

#include "base/error.h"
#include "repo/keystate.h"
#include "repo/objects.h"
#include "repolab.h"

#define PASSWORD "correct horse"

static void read_config(Lab *lab, HfConfig *config)
{
  g_autoptr(GBytes) record = lab_get(lab, "config.0");
  g_assert_true(hf_config_decode(record, config, NULL));
}

static HfKeyring *try_open(Lab *lab, const HfUnlock *unlock, GError **error)
{
  g_autoptr(HfStore) store = lab_store(lab);
  HfConfig config;
  read_config(lab, &config);
  return hf_keyring_open(store, &config, unlock, error);
}

static HfKeyring *open_ok(Lab *lab, const HfUnlock *unlock)
{
  g_autoptr(GError) error = NULL;
  HfKeyring *keyring = try_open(lab, unlock, &error);
  g_assert_no_error(error);
  return keyring;
}

static void expect_fail(Lab *lab, const HfUnlock *unlock, int code, const char *text)
{
  g_autoptr(GError) error = NULL;
  g_assert_null(try_open(lab, unlock, &error));
  g_assert_error(error, HF_ERROR, code);
  if (strstr(error->message, text) == NULL)
    g_error("'%s' is not in: %s", text, error->message);
}

/* ---- Ways in. ---- */

static void test_none(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  g_autoptr(HfKeyring) keyring = open_ok(lab, &lab_no_key);
  HfKey key;
  g_autoptr(GError) error = NULL;
  g_assert_cmpint(hf_keyring_access(keyring), ==, HF_ACCESS_FULL);
  g_assert_cmpuint(hf_keyring_domain(keyring), ==, 0);
  g_assert_nonnull(hf_keyring_seed(keyring));
  g_assert_true(hf_keyring_domain_key(keyring, 0, &key, &error));
  g_assert_false(hf_keyring_domain_key(keyring, 1, &key, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_PERMISSION);
  gboolean removed;
  g_assert_nonnull(hf_keyring_find_writer(keyring, hf_keyring_writer_id(keyring), &removed));
  g_assert_false(removed);
  HfUnlock password = lab_text(HF_UNLOCK_PASSWORD, PASSWORD);
  expect_fail(lab, &password, HF_ERROR_PASSWORD, "no password opens it; it opens without a password");
  hf_keyring_free(NULL);
}

static void test_password_and_paper(void)
{
  g_autoptr(Lab) lab = lab_new();
  HfUnlock password = lab_text(HF_UNLOCK_PASSWORD, PASSWORD), wrong = lab_text(HF_UNLOCK_PASSWORD, "correct house");
  g_autofree char *paper = lab_init(lab, &password);
  g_assert_nonnull(paper);
  g_autoptr(HfKeyring) by_password = open_ok(lab, &password);
  g_autoptr(HfStore) store = lab_store(lab);
  HfConfig config;
  read_config(lab, &config);
  g_autoptr(GPtrArray) slots = hf_keys_list(store, &config, by_password, NULL);
  g_assert_cmpuint(slots->len, ==, 2);
  const HfSlotInfo *first = g_ptr_array_index(slots, 0), *second = g_ptr_array_index(slots, 1);
  g_assert_true(first->current && !second->current);
  g_assert_cmpint(first->way, ==, HF_SLOT_PASSWORD);
  g_assert_cmpint(second->way, ==, HF_SLOT_KEY_FILE);
  g_assert_cmpstr(second->label, ==, "paper key");
  /* What a thief finds costs him 64 MiB and three passes a try. */
  g_autoptr(GPtrArray) states = hf_slots_load(store, config.admin_public, NULL, NULL);
  const HfSlotState *state = g_ptr_array_index(states, 0);
  g_assert_cmpuint(state->slot.memory_kib, ==, 65536);
  g_assert_cmpuint(state->slot.passes, ==, 3);

  HfUnlock on_paper = lab_text(HF_UNLOCK_PAPER, paper);
  g_autoptr(HfKeyring) by_paper = open_ok(lab, &on_paper);
  g_assert_true(hf_short_id_equal(hf_keyring_writer_id(by_paper), hf_keyring_writer_id(by_password)));
  g_autofree char *low = g_ascii_strdown(paper, -1);
  HfUnlock in_low = lab_text(HF_UNLOCK_PAPER, low);
  g_autoptr(HfKeyring) by_low G_GNUC_UNUSED = open_ok(lab, &in_low);

  expect_fail(lab, &wrong, HF_ERROR_PASSWORD, "wrong password; it opens with a password, a key file or a paper key");
  expect_fail(lab, &lab_no_key, HF_ERROR_PASSWORD, "it is encrypted; it opens with a password");
  paper[0] = paper[0] == 'A' ? 'B' : 'A';
  expect_fail(lab, &on_paper, HF_ERROR_INVALID, "does not match its check");
}

static void test_key_file(void)
{
  g_autoptr(Lab) lab = lab_new();
  HfUnlock none = { .kind = HF_UNLOCK_KEY_FILE };
  g_autofree char *text = lab_init(lab, &none);
  HfUnlock unlock = lab_text(HF_UNLOCK_KEY_FILE, text);
  g_autoptr(HfKeyring) keyring G_GNUC_UNUSED = open_ok(lab, &unlock);
  expect_fail(lab, &lab_no_key, HF_ERROR_PASSWORD, "it opens with a key file or a paper key");
  HfUnlock garbage = lab_text(HF_UNLOCK_KEY_FILE, "garbage");
  expect_fail(lab, &garbage, HF_ERROR_INVALID, "not a holdfast key file");

  g_autoptr(Lab) other = lab_new();
  g_autofree char *other_text = lab_init(other, &none);
  HfUnlock foreign = lab_text(HF_UNLOCK_KEY_FILE, other_text);
  expect_fail(lab, &foreign, HF_ERROR_PASSWORD, "belongs to another repository");

  /* The right file, another secret in it. */
  HfKeyFile file;
  HfCredential credential;
  gboolean is_credential;
  g_assert_true(hf_key_text_decode(text, strlen(text), &file, &credential, &is_credential, NULL));
  file.secret.b[5] ^= 1;
  g_autofree char *changed = hf_key_file_encode(&file);
  HfUnlock bad = lab_text(HF_UNLOCK_KEY_FILE, changed);
  expect_fail(lab, &bad, HF_ERROR_PASSWORD, "this key does not fit its slot");
  file.slot.b[5] ^= 1;
  g_autofree char *elsewhere = hf_key_file_encode(&file);
  bad = lab_text(HF_UNLOCK_KEY_FILE, elsewhere);
  expect_fail(lab, &bad, HF_ERROR_PASSWORD, "the key slot of this key is not in it");
  file.fingerprint.b[0] ^= 1;
  g_autofree char *swapped = hf_key_file_encode(&file);
  bad = lab_text(HF_UNLOCK_KEY_FILE, swapped);
  expect_fail(lab, &bad, HF_ERROR_DAMAGED, "the admin key of the config does not fit");
}

static void test_create_refuses(void)
{
  g_autoptr(Lab) lab = lab_new();
  g_autoptr(HfStore) store = lab_store(lab);
  g_autoptr(GError) error = NULL;
  HfConfig config = { 0 };
  HfUnlock paper = { .kind = HF_UNLOCK_PAPER }, file = { .kind = HF_UNLOCK_KEY_FILE };
  HfUnlock empty = { .kind = HF_UNLOCK_PASSWORD, .text = "", .length = 0 };
  char *made;
  g_assert_null(hf_keyring_create(store, &config, &paper, &made, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_USAGE);
  g_clear_error(&error);
  g_assert_null(hf_keyring_create(store, &config, &file, NULL, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_USAGE);
  g_clear_error(&error);
  g_assert_null(hf_keyring_create(store, &config, &empty, &made, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_USAGE);
  g_assert_null(made);
}

/* ---- Passes. ---- */

/* A pass opens the sessions that it was made for, of its domain, and writes nothing. */
static void test_pass(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  g_autoptr(HfKeyring) owner = open_ok(lab, &lab_no_key);
  g_autoptr(GArray) slots = g_array_new(FALSE, FALSE, sizeof(HfSessionSlot));
  HfShortId session = { { 1 } }, later = { { 2 } };
  HfSessionSlot slot, other;
  HfKey data, meta;
  const HfKey *data_key, *meta_key;
  g_autoptr(GError) error = NULL;
  g_assert_true(hf_keyring_new_session(owner, &session, &slot, &data, &meta, NULL));
  g_assert_true(hf_keyring_new_session(owner, &later, &other, &data, &meta, NULL));
  g_array_append_val(slots, slot);
  g_autofree char *text = hf_keyring_make_pass(owner, 0, slots, NULL);
  HfUnlock unlock = lab_text(HF_UNLOCK_KEY_FILE, text);
  g_autoptr(HfKeyring) pass = open_ok(lab, &unlock);
  g_assert_cmpint(hf_keyring_access(pass), ==, HF_ACCESS_READ);
  g_assert_true(hf_keyring_open_slot(pass, &slot, &data_key, &meta_key, NULL));
  g_assert_nonnull(data_key);
  g_assert_false(hf_keyring_open_slot(pass, &other, &data_key, &meta_key, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_PERMISSION);
  g_clear_error(&error);
  HfKey key;
  g_assert_true(hf_keyring_domain_key(pass, 0, &key, NULL));
  g_assert_false(hf_keyring_domain_key(pass, 1, &key, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_PERMISSION);
  g_clear_error(&error);
  g_assert_false(hf_keyring_new_session(pass, &session, &slot, &data, &meta, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_PERMISSION);
  g_clear_error(&error);
  g_assert_null(hf_keyring_make_pass(pass, 0, slots, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_PERMISSION);

  /* Cut off, of another repository. */
  g_autofree char *cut = g_strndup(text, strlen(text) - 80);
  HfUnlock bad = lab_text(HF_UNLOCK_KEY_FILE, cut);
  expect_fail(lab, &bad, HF_ERROR_INVALID, "malformed");
  g_autoptr(Lab) foreign = lab_with_repo();
  expect_fail(foreign, &unlock, HF_ERROR_PASSWORD, "belongs to another repository");
}

/* ---- Lies about slots. ---- */

typedef struct Slot {
  char *base;
  HfSlot slot;
} Slot;

static HfSlot read_slot(Lab *lab, char **base)
{
  g_autofree char *name = lab_name(lab, "keys/", 0);
  g_autoptr(GBytes) record = lab_get(lab, name);
  HfSlot slot;
  g_assert_true(hf_slot_decode(record, NULL, &slot, NULL));
  *base = g_strndup(name, strlen(name) - 2);
  return slot;
}

static void write_slot(Lab *lab, const char *base, const HfSlot *slot, const HfKey *admin)
{
  g_autoptr(GBytes) record = hf_slot_encode(slot, admin);
  lab_put_triple(lab, base, record);
}

/* Changed by somebody who cannot sign. */
static void test_tampered_slot(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  g_autofree char *base = NULL;
  g_auto(HfSlot) slot = read_slot(lab, &base);
  HfKey other;
  hf_random(other.b, sizeof other.b);
  slot.public_half[3] ^= 1;
  write_slot(lab, base, &slot, &other);
  expect_fail(lab, &lab_no_key, HF_ERROR_DAMAGED, "no key slot of it can be used");
  /* A second one, under a name that is not its own. */
  g_autoptr(Lab) moved = lab_with_repo();
  g_autofree char *moved_base = NULL;
  g_auto(HfSlot) moved_slot G_GNUC_UNUSED = read_slot(moved, &moved_base);
  g_autofree char *from = g_strdup_printf("%s.0", moved_base);
  g_autoptr(GBytes) record = lab_get(moved, from);
  lab_drop_all(moved, "keys/");
  lab_put_triple(moved, "keys/00000000000000000000000000000000", record);
  expect_fail(moved, &lab_no_key, HF_ERROR_DAMAGED, "no key slot of it can be used");
}

static void test_damaged_slots(void)
{
  g_autoptr(Lab) lab = lab_new();
  HfUnlock file = { .kind = HF_UNLOCK_KEY_FILE };
  g_autofree char *text = lab_init(lab, &file);
  HfUnlock unlock = lab_text(HF_UNLOCK_KEY_FILE, text), wrong = lab_text(HF_UNLOCK_PASSWORD, "x");
  g_autoptr(HfKeyring) keyring = open_ok(lab, &unlock);
  g_autoptr(HfStore) store = lab_store(lab);
  g_autoptr(GError) error = NULL;
  HfConfig config;
  char *made = NULL;
  HfShortId second;
  read_config(lab, &config);
  g_assert_true(hf_keys_add(store, &config, keyring, &file, "second", &made, &second, &error));
  g_assert_no_error(error);
  /* The first one rots away: its key no longer opens, the other does, with a complaint. */
  g_autofree char *base G_GNUC_UNUSED = NULL;
  for (guint i = 0; i < 6; i++) {
    g_autofree char *name = lab_name(lab, "keys/", i);
    HfShortId id;
    hf_name_short_id(name, &id);
    if (!hf_short_id_equal(&id, &second))
      lab_flip(lab, name, 40);
  }
  expect_fail(lab, &unlock, HF_ERROR_DAMAGED, "the key slot of this key is damaged");
  expect_fail(lab, &wrong, HF_ERROR_PASSWORD, "and a key slot of it is damaged");
  HfUnlock other = lab_text(HF_UNLOCK_KEY_FILE, made);
  g_autoptr(HfKeyring) by_other = open_ok(lab, &other);
  hf_keyring_report(by_other, lab->report);
  g_assert_true(lab_warned(lab, "cannot be used: all copies"));
  g_autoptr(GPtrArray) infos = hf_keys_list(store, &config, NULL, &error);
  g_assert_cmpuint(infos->len, ==, 2);
  g_assert_cmpstr(((HfSlotInfo *)g_ptr_array_index(infos, 1))->label, ==, "(damaged)");
  g_free(made);
}

/* A store that knows the public half seals a bundle of its own keys to it, and signs everything by its own admin
 * key. */
static void test_forged_bundle(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  g_autoptr(HfKeyring) keyring G_GNUC_UNUSED = open_ok(lab, &lab_no_key);
  g_autofree char *base = NULL;
  g_auto(HfSlot) slot = read_slot(lab, &base);
  HfBundleItem items[] = { { .kind = HF_BUNDLE_ADMIN }, { .kind = HF_BUNDLE_OWNER }, { .kind = HF_BUNDLE_DOMAIN },
                           { .kind = HF_BUNDLE_RING } };
  g_autoptr(GByteArray) plain = g_byte_array_new();
  guint8 zeros[32] = { 0 };
  for (guint i = 0; i < 4; i++)
    hf_random(items[i].secret.b, 32);
  hf_bundle_encode(items, 4, plain);
  g_byte_array_append(plain, zeros, sizeof zeros);
  gsize length = plain->len + HF_SEAL_BYTES;
  guint8 *sealed = g_malloc(length);
  g_assert_true(hf_box_seal(slot.public_half, plain->data, plain->len, sealed, NULL));
  g_bytes_unref(slot.bundle);
  slot.bundle = g_bytes_new_take(sealed, length);
  HfConfig config;
  read_config(lab, &config);
  hf_sign_public(&items[0].secret, config.admin_public);
  g_autoptr(GBytes) record = hf_config_encode(&config, &items[0].secret);
  lab_put_triple(lab, "config", record);
  write_slot(lab, base, &slot, &items[0].secret);
  expect_fail(lab, &lab_no_key, HF_ERROR_DAMAGED, "made by somebody who does not know its key");
}

/* Puts a bundle that is genuine in all but its items. */
static void put_bundle(Lab *lab, const HfBundleItem *items, guint count, gsize cut)
{
  g_autoptr(HfKeyring) keyring = open_ok(lab, &lab_no_key);
  g_autofree char *base = NULL;
  g_auto(HfSlot) slot = read_slot(lab, &base);
  HfKey secret = { 0 }, key;
  guint8 code[32];
  g_autoptr(GByteArray) plain = g_byte_array_new();
  hf_bundle_encode(items, count, plain);
  g_byte_array_set_size(plain, (guint)(plain->len - cut));
  hf_derive(&secret, "holdfast bundle", &key);
  g_autoptr(HfHasher) hasher = hf_hasher_new(&key);
  hf_hasher_update(hasher, slot.id.b, sizeof slot.id.b);
  hf_hasher_update(hasher, plain->data, plain->len);
  hf_hasher_final(hasher, code);
  g_byte_array_append(plain, code, sizeof code);
  gsize length = plain->len + HF_SEAL_BYTES;
  guint8 *sealed = g_malloc(length);
  g_assert_true(hf_box_seal(slot.public_half, plain->data, plain->len, sealed, NULL));
  g_bytes_unref(slot.bundle);
  slot.bundle = g_bytes_new_take(sealed, length);
  write_slot(lab, base, &slot, &keyring->admin_seed);
}

static void test_odd_bundles(void)
{
  HfBundleItem items[4] = { { .kind = HF_BUNDLE_OWNER }, { .kind = HF_BUNDLE_DOMAIN }, { .kind = HF_BUNDLE_RING },
                            { .kind = HF_BUNDLE_ADMIN } };
  g_autoptr(Lab) incomplete = lab_with_repo();
  put_bundle(incomplete, items, 3, 0);
  expect_fail(incomplete, &lab_no_key, HF_ERROR_INVALID, "keys are missing in it");
  /* Another admin key than the config's. */
  g_autoptr(Lab) other = lab_with_repo();
  put_bundle(other, items, 4, 0);
  expect_fail(other, &lab_no_key, HF_ERROR_DAMAGED, "the admin key of the config does not fit");
  g_autoptr(Lab) cut = lab_with_repo();
  put_bundle(cut, items, 4, 3);
  expect_fail(cut, &lab_no_key, HF_ERROR_INVALID, "malformed");
  /* Too short for its code, and sealed to another. */
  g_autoptr(Lab) tiny = lab_with_repo();
  g_autoptr(HfKeyring) keyring = open_ok(tiny, &lab_no_key);
  g_autofree char *base = NULL;
  g_auto(HfSlot) slot = read_slot(tiny, &base);
  g_autoptr(GBytes) whole = g_steal_pointer(&slot.bundle);
  slot.bundle = g_bytes_new(g_bytes_get_data(whole, NULL), HF_SEAL_BYTES + 5);
  write_slot(tiny, base, &slot, &keyring->admin_seed);
  expect_fail(tiny, &lab_no_key, HF_ERROR_INVALID, "too short");
  g_bytes_unref(slot.bundle);
  slot.bundle = g_bytes_new(g_bytes_get_data(whole, NULL), g_bytes_get_size(whole) - 1);
  write_slot(tiny, base, &slot, &keyring->admin_seed);
  expect_fail(tiny, &lab_no_key, HF_ERROR_DAMAGED, "sealed box");
}

/* The config is swapped for one of another admin key. */
static void test_swapped_config(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  HfConfig config;
  HfKey other;
  read_config(lab, &config);
  hf_random(other.b, sizeof other.b);
  hf_sign_public(&other, config.admin_public);
  g_autoptr(GBytes) record = hf_config_encode(&config, &other);
  lab_put_triple(lab, "config", record);
  expect_fail(lab, &lab_no_key, HF_ERROR_DAMAGED, "not signed by the key in its config");
  /* The slots signed anew, too: the bundle still vouches for the right admin key. */
  g_autofree char *base = NULL;
  g_auto(HfSlot) slot = read_slot(lab, &base);
  write_slot(lab, base, &slot, &other);
  expect_fail(lab, &lab_no_key, HF_ERROR_DAMAGED, "the admin key of the config does not fit");
}

static void test_hidden_mark_by_stranger(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  g_autofree char *base = NULL;
  g_auto(HfSlot) slot = read_slot(lab, &base);
  HfKey other;
  hf_random(other.b, sizeof other.b);
  g_autofree char *mark = g_strdup_printf("%s.hidden", base);
  g_autoptr(GBytes) record = hf_notice_encode(HF_RECORD_SLOT_HIDDEN, &slot.id, 5, &other);
  lab_put_triple(lab, mark, record);
  g_autoptr(HfKeyring) keyring G_GNUC_UNUSED = open_ok(lab, &lab_no_key);
}

/* ---- Lies about the ring. ---- */

static void put_ring(Lab *lab, const char *base, guint32 generation, const HfKey *secret, const HfKey *admin,
                     const HfRingShare *share)
{
  g_auto(HfRing) ring = { .generation = generation };
  hf_box_public(secret, ring.public_half);
  ring.shares = g_array_new(FALSE, FALSE, sizeof(HfRingShare));
  if (share != NULL)
    g_array_append_vals(ring.shares, share, 1);
  g_autoptr(GBytes) record = hf_ring_encode(&ring, admin);
  lab_put_triple(lab, base, record);
}

static void test_ring(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  g_autoptr(HfKeyring) keyring = open_ok(lab, &lab_no_key);
  HfKey secret, other;
  HfRingShare share = { .slot = keyring->slot }, foreign = { { { 0 } }, { 0 } };
  guint8 slot_public[32];
  hf_random(secret.b, sizeof secret.b);
  hf_random(other.b, sizeof other.b);
  hf_box_public(&keyring->slot_secret, slot_public);

  put_ring(lab, "ring/00000001", 1, &secret, &other, NULL);
  expect_fail(lab, &lab_no_key, HF_ERROR_DAMAGED, "'ring/00000001' cannot be trusted");
  put_ring(lab, "ring/00000001", 2, &secret, &keyring->admin_seed, NULL);
  expect_fail(lab, &lab_no_key, HF_ERROR_DAMAGED, "ring/00000001 does not fit");
  put_ring(lab, "ring/00000001", 1, &secret, &keyring->admin_seed, &share);
  expect_fail(lab, &lab_no_key, HF_ERROR_DAMAGED, "sealed box");
  g_assert_true(hf_box_seal(slot_public, other.b, sizeof other.b, share.sealed, NULL));
  put_ring(lab, "ring/00000001", 1, &secret, &keyring->admin_seed, &share);
  expect_fail(lab, &lab_no_key, HF_ERROR_DAMAGED, "ring/00000001 does not fit");

  /* A generation that is not for this slot can be sealed to, but not opened. */
  put_ring(lab, "ring/00000001", 1, &secret, &keyring->admin_seed, &foreign);
  g_autoptr(HfKeyring) closed = open_ok(lab, &lab_no_key);
  g_assert_false(hf_keyring_newest(closed)->open);
  HfShortId session = { { 1 } };
  HfSessionSlot slot;
  HfKey data_key, meta_key;
  const HfKey *data, *meta;
  g_autoptr(GError) error = NULL;
  g_assert_true(hf_keyring_new_session(closed, &session, &slot, &data_key, &meta_key, &error));
  g_assert_cmpuint(slot.generation, ==, 1);
  g_assert_false(hf_keyring_open_slot(closed, &slot, &data, &meta, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_PERMISSION);
  g_clear_error(&error);

  g_assert_true(hf_box_seal(slot_public, secret.b, sizeof secret.b, share.sealed, NULL));
  put_ring(lab, "ring/00000001", 1, &secret, &keyring->admin_seed, &share);
  g_autoptr(HfKeyring) opened = open_ok(lab, &lab_no_key);
  g_assert_true(hf_keyring_newest(opened)->open);
  g_assert_true(hf_keyring_open_slot(opened, &slot, &data, &meta, &error));
  g_assert_cmpmem(data, sizeof *data, &data_key, sizeof data_key);
  g_assert_cmpmem(meta, sizeof *meta, &meta_key, sizeof meta_key);

  /* The public half of a generation that the bundle knows. */
  put_ring(lab, "ring/00000000", 0, &secret, &keyring->admin_seed, NULL);
  expect_fail(lab, &lab_no_key, HF_ERROR_DAMAGED, "ring/00000000 does not fit");
}

static void test_ring_rot(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  for (guint i = 0; i < 3; i++) {
    g_autofree char *name = g_strdup_printf("ring/00000000.%u", i);
    lab_flip(lab, name, 30);
  }
  lab_put(lab, "ring/xyz.0", "", 0);
  lab_put(lab, "ring/0000000g.0", "", 0);
  g_autoptr(HfKeyring) keyring = open_ok(lab, &lab_no_key);
  hf_keyring_report(keyring, lab->report);
  g_assert_true(lab_warned(lab, "all copies of 'ring/00000000'"));
  lab_forget_report(lab);
  hf_keyring_report(keyring, lab->report);
  g_assert_cmpuint(lab->warnings->len, ==, 0);
  g_assert_null(hf_keyring_generation(keyring, 7));
}

/* ---- Writers. ---- */

static void test_owner_lost(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  lab_drop_all(lab, "writers/");
  expect_fail(lab, &lab_no_key, HF_ERROR_DAMAGED, "the record of the repository's owner");
}

/* ---- Sessions. ---- */

static gpointer open_in_thread(gpointer user)
{
  gpointer *arguments = user;
  const HfKey *data = NULL, *meta;
  g_assert_true(hf_keyring_open_slot(arguments[0], arguments[1], &data, &meta, NULL));
  return (gpointer)data;
}

static void test_session_slots(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  g_autoptr(HfKeyring) keyring = open_ok(lab, &lab_no_key), other = open_ok(lab, &lab_no_key);
  g_autoptr(GError) error = NULL;
  HfShortId session = { { 1 } };
  HfSessionSlot slot, bad;
  HfKey data_key, meta_key;
  const HfKey *data, *meta;
  guint8 bytes[HF_SESSION_SLOT_BYTES];
  g_assert_true(hf_keyring_new_session(keyring, &session, &slot, &data_key, &meta_key, &error));
  gpointer arguments[] = { other, &slot };
  GThread *threads[4];
  for (guint i = 0; i < 4; i++)
    threads[i] = g_thread_new("open", open_in_thread, arguments);
  const HfKey *first = g_thread_join(threads[0]);
  for (guint i = 1; i < 4; i++)
    g_assert_true(g_thread_join(threads[i]) == first);
  g_assert_cmpmem(first, sizeof *first, &data_key, sizeof data_key);
  g_assert_true(hf_keyring_open_slot(other, &slot, &data, &meta, &error));
  g_assert_true(data == first);
  g_assert_cmpmem(meta, sizeof *meta, &meta_key, sizeof meta_key);

  bad = slot;
  bad.sealed_key[5] ^= 1;
  g_assert_false(hf_keyring_open_slot(other, &bad, &data, &meta, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_DAMAGED);
  g_clear_error(&error);
  hf_session_slot_encode(&bad, hf_keyring_seed(keyring), bytes); /* signed by the right writer, but garbage */
  g_assert_false(hf_keyring_open_slot(other, &bad, &data, &meta, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_DAMAGED);
  g_clear_error(&error);
  bad = slot;
  bad.writer.b[0] ^= 1;
  g_assert_false(hf_keyring_open_slot(other, &bad, &data, &meta, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_DAMAGED);
  g_clear_error(&error);
  bad = slot;
  bad.domain = 3;
  hf_session_slot_encode(&bad, hf_keyring_seed(keyring), bytes);
  g_assert_false(hf_keyring_open_slot(other, &bad, &data, &meta, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_DAMAGED);
  g_clear_error(&error);
  bad = slot;
  bad.generation = 9;
  hf_session_slot_encode(&bad, hf_keyring_seed(keyring), bytes);
  g_assert_false(hf_keyring_open_slot(other, &bad, &data, &meta, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_PERMISSION);
}

/* ---- Faults: whichever call of the store fails, making and opening fail cleanly or succeed. ---- */

static void test_create_faults(void)
{
  guint failed = 0, strike = 1;
  for (gboolean more = TRUE; more; strike++) {
    g_autoptr(Lab) lab = lab_new();
    Fault fault = { .strike = strike, .code = HF_ERROR_IO };
    g_autoptr(HfStore) store = lab_hooked(lab, fault_hook, &fault);
    g_autoptr(GError) error = NULL;
    HfConfig config = { 0 };
    HfUnlock file = { .kind = HF_UNLOCK_KEY_FILE };
    g_autofree char *made = NULL;
    hf_config_defaults(&config);
    gboolean done = hf_repo_create(store, &config, &file, &made, &error);
    g_assert_true(done == (error == NULL) && done == (made != NULL));
    /* The place can be used again. */
    g_autoptr(GPtrArray) names = lab_names(lab, "");
    g_assert_true(done || names->len == 0);
    failed += !done;
    more = fault.calls >= strike;
  }
  g_assert_cmpuint(failed, >, 10);
}

static void test_open_faults(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  HfConfig config;
  read_config(lab, &config);
  guint failed = 0, strike = 1;
  for (gboolean more = TRUE; more; strike++) {
    Fault fault = { .strike = strike, .code = HF_ERROR_IO, .persist = TRUE };
    g_autoptr(HfStore) store = lab_hooked(lab, fault_hook, &fault);
    g_autoptr(GError) error = NULL;
    g_autoptr(HfKeyring) keyring = hf_keyring_open(store, &config, &lab_no_key, &error);
    g_assert_true((keyring != NULL) == (error == NULL));
    failed += keyring == NULL;
    more = fault.calls >= strike;
  }
  g_assert_cmpuint(failed, >, 5);
}

static void test_reload_faults(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  Fault fault = { .code = HF_ERROR_IO };
  g_autoptr(HfStore) store = lab_hooked(lab, fault_hook, &fault);
  g_autoptr(HfKeyring) keyring = open_ok(lab, &lab_no_key);
  g_autoptr(GError) error = NULL;
  for (guint i = 1; i <= 2; i++) {
    fault.strike = fault.calls + i;
    g_assert_false(hf_keyring_reload(keyring, store, &error));
    g_assert_error(error, HF_ERROR, HF_ERROR_IO);
    g_clear_error(&error);
  }
  g_assert_true(hf_keyring_reload(keyring, store, &error));
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_assert_true(hf_crypto_init(NULL));
  g_test_add_func("/keyring/none", test_none);
  g_test_add_func("/keyring/password-and-paper", test_password_and_paper);
  g_test_add_func("/keyring/key-file", test_key_file);
  g_test_add_func("/keyring/pass", test_pass);
  g_test_add_func("/keyring/create-refuses", test_create_refuses);
  g_test_add_func("/keyring/tampered-slot", test_tampered_slot);
  g_test_add_func("/keyring/damaged-slots", test_damaged_slots);
  g_test_add_func("/keyring/forged-bundle", test_forged_bundle);
  g_test_add_func("/keyring/odd-bundles", test_odd_bundles);
  g_test_add_func("/keyring/swapped-config", test_swapped_config);
  g_test_add_func("/keyring/hidden-mark-by-stranger", test_hidden_mark_by_stranger);
  g_test_add_func("/keyring/ring", test_ring);
  g_test_add_func("/keyring/ring-rot", test_ring_rot);
  g_test_add_func("/keyring/owner-lost", test_owner_lost);
  g_test_add_func("/keyring/session-slots", test_session_slots);
  g_test_add_func("/keyring/create-faults", test_create_faults);
  g_test_add_func("/keyring/open-faults", test_open_faults);
  g_test_add_func("/keyring/reload-faults", test_reload_faults);
  return g_test_run();
}
