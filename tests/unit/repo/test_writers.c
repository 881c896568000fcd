/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Write-only credentials and trust domains. */
#include <string.h>

#include "base/error.h"
#include "repo/keystate.h"
#include "repo/objects.h"
#include "repolab.h"

static HfConfig read_config(Lab *lab)
{
  HfConfig config;
  g_autoptr(GBytes) record = lab_get(lab, "config.0");
  g_assert_true(hf_config_decode(record, &config, NULL));
  return config;
}

static HfKeyring *open_with(Lab *lab, const HfUnlock *unlock, GError **error)
{
  g_autoptr(HfStore) store = lab_store(lab);
  HfConfig config = read_config(lab);
  return hf_keyring_open(store, &config, unlock, error);
}

static HfKeyring *open_text(Lab *lab, const char *text)
{
  g_autoptr(GError) error = NULL;
  HfUnlock unlock = lab_text(HF_UNLOCK_KEY_FILE, text);
  HfKeyring *keyring = open_with(lab, &unlock, &error);
  g_assert_no_error(error);
  return keyring;
}

static char *enrol(Lab *lab, HfKeyring *keyring, const char *name)
{
  g_autoptr(HfStore) store = lab_store(lab);
  g_autoptr(GError) error = NULL;
  HfConfig config = read_config(lab);
  char *text = hf_writers_add(store, &config, keyring, name, &error);
  g_assert_no_error(error);
  return text;
}

static HfCredential decode(const char *text)
{
  HfKeyFile file;
  HfCredential credential;
  gboolean is_credential;
  g_assert_true(hf_key_text_decode(text, strlen(text), &file, &credential, &is_credential, NULL));
  g_assert_true(is_credential);
  return credential;
}

static void test_domains(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  g_autoptr(HfKeyring) owner = open_with(lab, &lab_no_key, NULL);
  g_autofree char *web_text = enrol(lab, owner, "web"), *db_text = enrol(lab, owner, "db");
  g_autoptr(HfKeyring) web = open_text(lab, web_text), db = open_text(lab, db_text);
  g_autoptr(GError) error = NULL;
  HfKey key, other;
  g_assert_cmpint(hf_keyring_access(web), ==, HF_ACCESS_WRITE);
  g_assert_cmpuint(hf_keyring_domain(web), ==, 1);
  g_assert_cmpuint(hf_keyring_domain(db), ==, 2);
  g_assert_true(hf_keyring_domain_key(web, 1, &key, &error));
  for (guint i = 0; i < 2; i++) {
    g_assert_true(hf_keyring_domain_key(owner, 1, &other, &error));
    g_assert_cmpmem(&key, sizeof key, &other, sizeof other);
  }
  g_assert_true(hf_keyring_domain_key(owner, 2, &other, &error));
  g_assert_cmpint(memcmp(&key, &other, sizeof key), !=, 0);
  g_assert_false(hf_keyring_domain_key(web, 2, &other, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_PERMISSION);
  g_clear_error(&error);
  g_assert_false(hf_keyring_domain_key(web, 0, &other, &error));
  g_clear_error(&error);

  /* What web writes, the owner reads; web itself only the metadata of its own; db nothing. */
  HfShortId session = { { 4 } };
  HfSessionSlot slot, owners;
  HfKey data_key, meta_key, unused;
  const HfKey *data, *meta;
  g_assert_true(hf_keyring_new_session(web, &session, &slot, &data_key, &meta_key, &error));
  g_assert_true(hf_keyring_open_slot(owner, &slot, &data, &meta, &error));
  g_assert_cmpmem(data, sizeof *data, &data_key, sizeof data_key);
  g_assert_cmpmem(meta, sizeof *meta, &meta_key, sizeof meta_key);
  g_assert_true(hf_keyring_open_slot(web, &slot, &data, &meta, &error));
  g_assert_null(data);
  g_assert_cmpmem(meta, sizeof *meta, &meta_key, sizeof meta_key);
  g_assert_false(hf_keyring_open_slot(db, &slot, &data, &meta, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_PERMISSION);
  g_clear_error(&error);
  g_assert_true(hf_keyring_new_session(owner, &session, &owners, &unused, &unused, &error));
  g_assert_false(hf_keyring_open_slot(web, &owners, &data, &meta, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_PERMISSION);
  g_clear_error(&error);

  /* The state part changed by who cannot make it. */
  guint8 bytes[HF_SESSION_SLOT_BYTES];
  slot.sealed_meta_key[0] ^= 1;
  hf_session_slot_encode(&slot, hf_keyring_seed(web), bytes);
  g_assert_false(hf_keyring_open_slot(web, &slot, &data, &meta, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_DAMAGED);
}

static void test_list(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  g_autoptr(HfKeyring) owner = open_with(lab, &lab_no_key, NULL);
  g_autofree char *text G_GNUC_UNUSED = enrol(lab, owner, "web");
  g_autoptr(GError) error = NULL;
  g_autoptr(GPtrArray) infos = hf_writers_list(owner, &error);
  g_assert_cmpuint(infos->len, ==, 2);
  const HfWriterInfo *first = g_ptr_array_index(infos, 0), *second = g_ptr_array_index(infos, 1);
  g_assert_true(first->owner && !second->owner);
  g_assert_cmpstr(second->name, ==, "web");
  g_assert_cmpuint(second->domain, ==, 1);
  g_assert_cmpint(second->removed, ==, 0);
  g_assert_cmpint(second->created, >, 0);
}

static void test_names(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  g_autoptr(HfStore) store = lab_store(lab);
  g_autoptr(HfKeyring) owner = open_with(lab, &lab_no_key, NULL);
  HfConfig config = read_config(lab);
  g_autofree char *long_name = g_strnfill(256, 'x'), *longest = g_strnfill(255, 'x');
  const char *bad[] = { "", "a\nb", "\xff", long_name };
  for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
    g_autoptr(GError) error = NULL;
    g_assert_null(hf_writers_add(store, &config, owner, bad[i], &error));
    g_assert_error(error, HF_ERROR, HF_ERROR_USAGE);
  }
  g_autofree char *text G_GNUC_UNUSED = enrol(lab, owner, longest);
  g_autoptr(GError) error = NULL;
  g_assert_null(hf_writers_add(store, &config, owner, longest, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_EXISTS);
}

static void test_remove(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  g_autoptr(HfStore) store = lab_store(lab);
  g_autoptr(HfKeyring) owner = open_with(lab, &lab_no_key, NULL);
  HfConfig config = read_config(lab);
  g_autofree char *text = enrol(lab, owner, "web");
  g_autoptr(HfKeyring) web = open_text(lab, text);
  g_autoptr(GError) error = NULL;
  HfShortId unknown = { { 0 } }, id = *hf_keyring_writer_id(web), session = { { 1 } };
  HfSessionSlot slot, again;
  HfKey data_key, meta_key;
  const HfKey *data, *meta;
  gboolean removed;
  g_assert_true(hf_keyring_new_session(web, &session, &slot, &data_key, &meta_key, &error));
  g_assert_false(hf_writers_remove(store, &config, owner, &unknown, 0, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_NOT_FOUND);
  g_clear_error(&error);
  g_assert_false(hf_writers_remove(store, &config, owner, hf_keyring_writer_id(owner), 0, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_REFUSED);
  g_clear_error(&error);
  g_assert_true(hf_writers_remove(store, &config, owner, &id, 0, &error));
  g_assert_false(hf_writers_remove(store, &config, owner, &id, 0, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_EXISTS);
  g_clear_error(&error);

  g_assert_null(hf_keyring_find_writer(owner, &id, NULL));
  g_assert_nonnull(hf_keyring_find_writer(owner, &id, &removed));
  g_assert_true(removed);
  g_assert_null(hf_keyring_find_writer(owner, &unknown, &removed));
  g_assert_false(removed);
  g_autoptr(GPtrArray) infos = hf_writers_list(owner, &error);
  g_assert_cmpint(((HfWriterInfo *)g_ptr_array_index(infos, 1))->removed, >, 0);
  /* Old sessions stay readable; new ones cannot be made. */
  g_assert_true(hf_keyring_open_slot(owner, &slot, &data, &meta, &error));
  g_assert_true(hf_keyring_reload(web, store, &error));
  g_assert_false(hf_keyring_new_session(web, &session, &again, &data_key, &meta_key, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_PERMISSION);
  g_assert_nonnull(strstr(error->message, "was removed"));
  g_clear_error(&error);
  /* The name is free again, the domain is not. */
  g_autofree char *second = enrol(lab, owner, "web");
  g_auto(HfCredential) credential = decode(second);
  g_assert_cmpuint(credential.domain, ==, 2);
  /* Its record is lost: it is no writer any more. */
  g_autoptr(HfKeyring) renewed = open_text(lab, second);
  char base[HF_NAME_BYTES];
  hf_name_writer(base, hf_keyring_writer_id(renewed));
  g_assert_true(hf_triple_remove(store, base, &error));
  g_autoptr(HfKeyring) lost = open_text(lab, second);
  g_assert_false(hf_keyring_new_session(lost, &session, &again, &data_key, &meta_key, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_PERMISSION);
  g_assert_nonnull(strstr(error->message, "is not among the writers"));
  g_clear_error(&error);
  /* Own sessions are known by our own key. */
  g_assert_true(hf_keyring_new_session(renewed, &session, &again, &data_key, &meta_key, &error));
  g_assert_true(hf_keyring_open_slot(lost, &again, &data, &meta, &error));
}

static void clone_keys(HfStore *from, HfStore *store)
{
  g_autoptr(GError) error = NULL;
  hf_keyring_clone(from, store, &error);
  g_assert_no_error(error);
}

static gboolean is_removed(HfKeyring *keyring, HfStore *store, const HfShortId *id)
{
  gboolean removed;
  g_assert_true(hf_keyring_reload(keyring, store, NULL));
  g_assert_nonnull(hf_keyring_find_writer(keyring, id, &removed));
  return removed;
}

/* Each sibling may have been told at another time that a writer is removed. */
static void test_removed_twice(void)
{
  g_autoptr(Lab) lab = lab_with_repo(), other = lab_new();
  g_autoptr(HfStore) store = lab_store(lab), sibling = lab_store(other);
  HfConfig config = read_config(lab);
  g_autoptr(HfKeyring) owner = open_with(lab, &lab_no_key, NULL);
  HfShortId ids[2];
  char base[HF_NAME_BYTES], name[HF_NAME_BYTES];
  for (guint i = 0; i < 2; i++) {
    g_autofree char *text = enrol(lab, owner, i == 0 ? "web" : "mail");
    g_autoptr(HfKeyring) keyring = open_text(lab, text);
    ids[i] = *hf_keyring_writer_id(keyring);
  }
  clone_keys(store, sibling);
  g_autoptr(HfKeyring) same = hf_keyring_open(sibling, &config, &lab_no_key, NULL);
  g_assert_nonnull(same);
  g_assert_true(hf_writers_remove(store, &config, owner, &ids[0], 0, NULL));
  g_assert_true(hf_writers_remove(sibling, &config, same, &ids[0], 0, NULL));
  g_assert_true(hf_writers_remove(store, &config, owner, &ids[1], 0, NULL));
  g_autofree char *before = lab_digest(lab);
  clone_keys(sibling, store);
  g_autofree char *after = lab_digest(lab);
  g_assert_cmpstr(after, ==, before);
  g_assert_false(is_removed(same, sibling, &ids[1]));
  clone_keys(store, sibling);
  g_assert_true(is_removed(same, sibling, &ids[0]));
  g_assert_true(is_removed(same, sibling, &ids[1]));
  /* A copy is not made up from the other's mark. */
  hf_name_writer(base, &ids[0]);
  g_autofree char *mark = g_strconcat(base, ".removed", NULL);
  hf_name_copy(name, mark, 1);
  g_assert_true(hf_store_remove(sibling, name, NULL));
  clone_keys(store, sibling);
  gboolean there;
  g_assert_true(hf_object_exists(sibling, name, &there, NULL));
  g_assert_false(there);
  g_assert_true(is_removed(same, sibling, &ids[0]));
}

static void expect_refused(Lab *lab, const HfCredential *credential, int code)
{
  g_autofree char *text = hf_credential_encode(credential);
  HfUnlock unlock = lab_text(HF_UNLOCK_KEY_FILE, text);
  g_autoptr(GError) error = NULL;
  g_assert_null(open_with(lab, &unlock, &error));
  g_assert_error(error, HF_ERROR, code);
}

static void test_pins(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  g_autoptr(HfStore) store = lab_store(lab);
  g_autoptr(HfKeyring) owner = open_with(lab, &lab_no_key, NULL);
  HfConfig config = read_config(lab);
  g_autofree char *text = enrol(lab, owner, "web");
  g_auto(HfCredential) credential = decode(text), changed = decode(text);
  g_autoptr(GError) error = NULL;
  changed.family.b[0] ^= 1;
  expect_refused(lab, &changed, HF_ERROR_PASSWORD);
  changed.family = credential.family;
  changed.admin_public[0] ^= 1;
  expect_refused(lab, &changed, HF_ERROR_DAMAGED);
  changed.admin_public[0] ^= 1;
  changed.ring_public[0] ^= 1;
  expect_refused(lab, &changed, HF_ERROR_DAMAGED);
  changed.ring_public[0] ^= 1;
  changed.seed.b[0] ^= 1;
  expect_refused(lab, &changed, HF_ERROR_DAMAGED);
  changed.seed.b[0] ^= 1;
  changed.domain++;
  expect_refused(lab, &changed, HF_ERROR_DAMAGED);
  changed.domain--;
  changed.state_secret.b[5] ^= 1;
  expect_refused(lab, &changed, HF_ERROR_DAMAGED);

  /* A newer generation counts, because the admin key signed it; the store cannot take it back below the pinned one. */
  guint32 generation;
  HfSessionSlot slot;
  HfShortId session = { { 1 } };
  HfKey data_key, meta_key;
  g_assert_true(hf_keys_rotate(store, &config, owner, &generation, &error));
  g_autoptr(HfKeyring) web = open_text(lab, text);
  g_assert_true(hf_keyring_new_session(web, &session, &slot, &data_key, &meta_key, &error));
  g_assert_cmpuint(slot.generation, ==, 1);
  g_autofree char *late = enrol(lab, owner, "late");
  lab_drop_all(lab, "ring/");
  g_autoptr(HfKeyring) pinned = open_text(lab, late);
  g_assert_true(hf_keyring_new_session(pinned, &session, &slot, &data_key, &meta_key, &error));
  g_assert_cmpuint(slot.generation, ==, 1);
}

/* A record of a writer that the admin key did not sign, a mark by a stranger, records under wrong names. */
static void test_forged_records(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  g_autoptr(HfKeyring) owner = open_with(lab, &lab_no_key, NULL);
  HfKey stranger;
  hf_random(stranger.b, sizeof stranger.b);
  g_autofree char *text = enrol(lab, owner, "web");
  g_auto(HfCredential) credential = decode(text);
  char base[HF_NAME_BYTES];
  HfWriter writer = { .id = { { 7 } }, .domain = 5, .name = (char *)"liar" };
  hf_name_writer(base, &writer.id);
  g_autoptr(GBytes) forged = hf_writer_encode(&writer, &stranger);
  lab_put_triple(lab, base, forged);
  writer.id.b[0] = 8;
  g_autoptr(GBytes) elsewhere = hf_writer_encode(&writer, &owner->admin_seed);
  writer.id.b[0] = 9;
  hf_name_writer(base, &writer.id);
  lab_put_triple(lab, base, elsewhere);
  g_autoptr(GBytes) mark = hf_notice_encode(HF_RECORD_WRITER_REMOVED, &credential.writer, 1, &stranger);
  hf_name_writer(base, &credential.writer);
  g_autofree char *removed = g_strconcat(base, ".removed", NULL);
  lab_put_triple(lab, removed, mark);
  g_autoptr(GBytes) other_mark = hf_notice_encode(HF_RECORD_WRITER_REMOVED, &credential.writer, 1, &owner->admin_seed);
  hf_name_writer(base, hf_keyring_writer_id(owner));
  g_autofree char *owner_removed = g_strconcat(base, ".removed", NULL);
  lab_put_triple(lab, owner_removed, other_mark);
  lab_put(lab, "writers/nonsense.0", "", 0);
  lab_put(lab, "writers/11111111111111111111111111111111.removed.0", "", 0);

  g_autoptr(HfKeyring) again = open_with(lab, &lab_no_key, NULL);
  hf_keyring_report(again, lab->report);
  g_assert_cmpuint(lab->warnings->len, ==, 4);
  g_assert_true(lab_warned(lab, "holds another writer"));
  g_assert_true(lab_warned(lab, "is about another writer"));
  g_autoptr(GPtrArray) infos = hf_writers_list(again, NULL);
  g_assert_cmpuint(infos->len, ==, 2);
  g_assert_nonnull(hf_keyring_find_writer(again, &credential.writer, NULL));
  /* Told once, not at every look. */
  g_autoptr(HfStore) store = lab_store(lab);
  lab_forget_report(lab);
  g_assert_true(hf_keyring_reload(again, store, NULL));
  hf_keyring_report(again, lab->report);
  g_assert_cmpuint(lab->warnings->len, ==, 0);
}

/* The domain key of a writer that was sealed to a generation which this slot does not open, or was changed. */
static void test_closed_domain(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  g_autoptr(HfKeyring) owner = open_with(lab, &lab_no_key, NULL);
  HfWriter writer = { .id = { { 7 } }, .domain = 5, .name = (char *)"odd", .generation = 3 };
  HfWriter changed = { .id = { { 8 } }, .domain = 6, .name = (char *)"changed", .generation = 0 };
  char base[HF_NAME_BYTES];
  g_autoptr(GBytes) record = hf_writer_encode(&writer, &owner->admin_seed);
  g_autoptr(GBytes) other = hf_writer_encode(&changed, &owner->admin_seed);
  hf_name_writer(base, &writer.id);
  lab_put_triple(lab, base, record);
  hf_name_writer(base, &changed.id);
  lab_put_triple(lab, base, other);
  g_autoptr(HfKeyring) again = open_with(lab, &lab_no_key, NULL);
  g_autoptr(GError) error = NULL;
  HfKey key;
  g_assert_false(hf_keyring_domain_key(again, 5, &key, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_PERMISSION);
  g_clear_error(&error);
  g_assert_false(hf_keyring_domain_key(again, 6, &key, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_DAMAGED);
}

/* ---- Two enrol at once. ---- */

typedef struct Race {
  Lab *lab;
  guint times;
} Race;

static int enrol_meanwhile(gboolean before, HookOp op, const char *name, gpointer user)
{
  Race *race = user;
  if (!before || op != HOOK_PUT || race->times == 0 || !g_str_has_prefix(name, "writers/") ||
      !g_str_has_suffix(name, ".0"))
    return 0;
  g_autoptr(HfKeyring) other = open_with(race->lab, &lab_no_key, NULL);
  g_autofree char *who = g_strdup_printf("other%u", race->times--);
  g_free(enrol(race->lab, other, who));
  return 0;
}

static void test_same_domain(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  Race race = { lab, 1 };
  g_autoptr(HfStore) store = lab_hooked(lab, enrol_meanwhile, &race);
  g_autoptr(HfKeyring) owner = open_with(lab, &lab_no_key, NULL);
  HfConfig config = read_config(lab);
  g_autoptr(GError) error = NULL;
  g_autofree char *text = hf_writers_add(store, &config, owner, "web", &error);
  g_assert_no_error(error);
  g_auto(HfCredential) credential = decode(text);
  g_assert_cmpuint(credential.domain, >=, 2);
  g_autoptr(GPtrArray) names = lab_names(lab, "writers/");
  g_assert_cmpuint(names->len, ==, 9);
  g_autoptr(GPtrArray) infos = hf_writers_list(owner, &error);
  g_assert_cmpuint(infos->len, ==, 3);
}

static gpointer enrol_often(gpointer user)
{
  Lab *lab = user;
  g_autoptr(HfKeyring) keyring = open_with(lab, &lab_no_key, NULL);
  for (guint i = 0; i < 5; i++) {
    g_autofree char *name = g_strdup_printf("%p-%u", (void *)g_thread_self(), i);
    g_free(enrol(lab, keyring, name));
  }
  return NULL;
}

static void test_enrol_race(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  GThread *threads[4];
  for (guint i = 0; i < 4; i++)
    threads[i] = g_thread_new("enrol", enrol_often, lab);
  for (guint i = 0; i < 4; i++)
    g_thread_join(threads[i]);
  g_autoptr(HfKeyring) owner = open_with(lab, &lab_no_key, NULL);
  g_autoptr(GPtrArray) infos = hf_writers_list(owner, NULL);
  g_assert_cmpuint(infos->len, ==, 21);
  g_autoptr(GHashTable) domains = g_hash_table_new(NULL, NULL);
  for (guint i = 0; i < infos->len; i++)
    g_assert_true(g_hash_table_add(domains, GUINT_TO_POINTER(((HfWriterInfo *)g_ptr_array_index(infos, i))->domain)));
}

/* The other is always there first. */
static int collide(gboolean before, HookOp op, const char *name, gpointer user)
{
  Lab *lab = user;
  if (before || op != HOOK_PUT || !g_str_has_prefix(name, "writers/") || !g_str_has_suffix(name, ".2"))
    return 0;
  g_autoptr(HfKeyring) owner = open_with(lab, &lab_no_key, NULL);
  g_autoptr(GBytes) record = lab_get(lab, name);
  g_auto(HfWriter) writer = { 0 };
  char base[HF_NAME_BYTES];
  g_assert_true(hf_writer_decode(record, owner->admin_public, &writer, NULL));
  hf_random(writer.id.b, sizeof writer.id.b);
  hf_name_writer(base, &writer.id);
  g_autoptr(GBytes) twin = hf_writer_encode(&writer, &owner->admin_seed);
  lab_put_triple(lab, base, twin);
  return 0;
}

static void test_no_end(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  g_autoptr(HfStore) store = lab_hooked(lab, collide, lab);
  g_autoptr(HfKeyring) owner = open_with(lab, &lab_no_key, NULL);
  HfConfig config = read_config(lab);
  g_autoptr(GError) error = NULL;
  g_assert_null(hf_writers_add(store, &config, owner, "web", &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_BUSY);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_assert_true(hf_crypto_init(NULL));
  g_test_add_func("/writers/domains", test_domains);
  g_test_add_func("/writers/list", test_list);
  g_test_add_func("/writers/names", test_names);
  g_test_add_func("/writers/remove", test_remove);
  g_test_add_func("/writers/removed-twice", test_removed_twice);
  g_test_add_func("/writers/pins", test_pins);
  g_test_add_func("/writers/forged-records", test_forged_records);
  g_test_add_func("/writers/closed-domain", test_closed_domain);
  g_test_add_func("/writers/same-domain", test_same_domain);
  g_test_add_func("/writers/enrol-race", test_enrol_race);
  g_test_add_func("/writers/no-end", test_no_end);
  return g_test_run();
}
