/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The key verbs, and export and import. */
#include <string.h>

#include "base/error.h"
#include "repo/keystate.h"
#include "repo/objects.h"
#include "repolab.h"

static const HfUnlock new_file = { .kind = HF_UNLOCK_KEY_FILE };

static void read_config(Lab *lab, HfConfig *config)
{
  g_autoptr(GBytes) record = lab_get(lab, "config.0");
  g_assert_true(hf_config_decode(record, config, NULL));
}

static HfKeyring *open_with(Lab *lab, const HfUnlock *unlock, GError **error)
{
  g_autoptr(HfStore) store = lab_store(lab);
  HfConfig config;
  read_config(lab, &config);
  return hf_keyring_open(store, &config, unlock, error);
}

/* A repository, a store of it and its keyring. */
typedef struct Scene {
  Lab *lab;
  Fault fault;
  HfStore *store;
  HfConfig config;
  HfKeyring *keyring;
} Scene;

static void scene_open(Scene *scene)
{
  *scene = (Scene){ .lab = lab_with_repo(), .fault = { .code = HF_ERROR_IO } };
  scene->store = lab_hooked(scene->lab, fault_hook, &scene->fault);
  read_config(scene->lab, &scene->config);
  scene->keyring = open_with(scene->lab, &lab_no_key, NULL);
  g_assert_nonnull(scene->keyring);
}

static void scene_close(Scene *scene)
{
  hf_keyring_free(scene->keyring);
  hf_store_free(scene->store);
  lab_free(scene->lab);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Scene, scene_close)

static char *add_file(Scene *scene, HfShortId *slot)
{
  g_autoptr(GError) error = NULL;
  char *made;
  hf_keys_add(scene->store, &scene->config, scene->keyring, &new_file, "more", &made, slot, &error);
  g_assert_no_error(error);
  return made;
}

static guint32 rotate(Scene *scene)
{
  g_autoptr(GError) error = NULL;
  guint32 generation;
  hf_keys_rotate(scene->store, &scene->config, scene->keyring, &generation, &error);
  g_assert_no_error(error);
  return generation;
}

/* A session of `writer` can be read by `reader`. */
static void expect_reads(HfKeyring *reader, HfKeyring *writer)
{
  g_autoptr(GError) error = NULL;
  HfShortId session;
  HfSessionSlot slot;
  HfKey data_key, meta_key;
  const HfKey *data, *meta;
  hf_random(session.b, sizeof session.b);
  g_assert_true(hf_keyring_new_session(writer, &session, &slot, &data_key, &meta_key, &error));
  hf_keyring_open_slot(reader, &slot, &data, &meta, &error);
  g_assert_no_error(error);
  g_assert_cmpmem(data, sizeof *data, &data_key, sizeof data_key);
}

static void test_add(void)
{
  g_auto(Scene) scene;
  g_autoptr(GError) error = NULL;
  HfShortId slot;
  char *made;
  scene_open(&scene);
  HfUnlock password = lab_text(HF_UNLOCK_PASSWORD, "second");
  g_assert_true(hf_keys_add(scene.store, &scene.config, scene.keyring, &password, NULL, &made, &slot, &error));
  g_assert_null(made);
  g_autoptr(HfKeyring) by_password = open_with(scene.lab, &password, &error);
  g_assert_no_error(error);
  expect_reads(by_password, scene.keyring);
  HfUnlock paper = { .kind = HF_UNLOCK_PAPER };
  g_assert_true(hf_keys_add(scene.store, &scene.config, by_password, &paper, NULL, &made, &slot, &error));
  HfUnlock on_paper = lab_text(HF_UNLOCK_PAPER, made);
  g_autoptr(HfKeyring) by_paper = open_with(scene.lab, &on_paper, &error);
  g_assert_no_error(error);
  expect_reads(scene.keyring, by_paper);
  g_free(made);
  g_autoptr(GPtrArray) infos = hf_keys_list(scene.store, &scene.config, by_paper, &error);
  g_assert_cmpuint(infos->len, ==, 3);
  g_assert_true(((HfSlotInfo *)g_ptr_array_index(infos, 2))->current);

  g_assert_false(hf_keys_add(scene.store, &scene.config, scene.keyring, &lab_no_key, NULL, &made, &slot, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_USAGE);
  g_clear_error(&error);
  g_assert_false(hf_keys_add(scene.store, &scene.config, scene.keyring, &new_file, "\xff", &made, &slot, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_USAGE);
  g_clear_error(&error);
  g_assert_false(hf_keys_add(scene.store, &scene.config, NULL, &new_file, NULL, &made, &slot, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_PERMISSION);
}

/* A credential can do none of it. */
static void test_credential_refused(void)
{
  g_auto(Scene) scene;
  g_autoptr(GError) error = NULL;
  HfShortId slot = { { 0 } };
  guint32 generation;
  char *made;
  scene_open(&scene);
  g_autofree char *text = hf_writers_add(scene.store, &scene.config, scene.keyring, "web", &error);
  HfUnlock unlock = lab_text(HF_UNLOCK_KEY_FILE, text);
  g_autoptr(HfKeyring) web = open_with(scene.lab, &unlock, &error);
  g_assert_no_error(error);
  g_assert_cmpint(hf_keyring_access(web), ==, HF_ACCESS_WRITE);
  g_autofree char *before = lab_digest(scene.lab);
  for (guint i = 0; i < 7; i++) {
    gboolean done = FALSE;
    if (i == 0)
      done = hf_keys_add(scene.store, &scene.config, web, &new_file, NULL, &made, &slot, &error);
    else if (i == 1)
      done = hf_keys_hide(scene.store, &scene.config, web, &slot, &error);
    else if (i == 2)
      done = hf_keys_rotate(scene.store, &scene.config, web, &generation, &error);
    else if (i == 3)
      done = hf_writers_add(scene.store, &scene.config, web, "x", &error) != NULL;
    else if (i == 4)
      done = hf_writers_remove(scene.store, &scene.config, web, &slot, 0, &error);
    else if (i == 5)
      done = hf_writers_list(web, &error) != NULL;
    else
      done = hf_keyring_sign_config(web, &scene.config, &error) != NULL;
    g_assert_false(done);
    g_assert_error(error, HF_ERROR, HF_ERROR_PERMISSION);
    g_clear_error(&error);
  }
  g_autofree char *after = lab_digest(scene.lab);
  g_assert_cmpstr(before, ==, after);
  g_autoptr(GPtrArray) infos = hf_keys_list(scene.store, &scene.config, web, &error);
  g_assert_cmpuint(infos->len, ==, 1);
}

static void test_rotate(void)
{
  g_auto(Scene) scene;
  g_autoptr(GError) error = NULL;
  HfShortId slot;
  scene_open(&scene);
  g_autofree char *text = add_file(&scene, &slot);
  HfUnlock file = lab_text(HF_UNLOCK_KEY_FILE, text);
  g_autoptr(HfKeyring) before = open_with(scene.lab, &file, &error);
  g_assert_cmpuint(rotate(&scene), ==, 1);
  g_assert_cmpuint(rotate(&scene), ==, 2);
  /* Slots from before the rotation open what is sealed since, and the other way round. */
  g_autoptr(HfKeyring) by_file = open_with(scene.lab, &file, &error),
                       by_none = open_with(scene.lab, &lab_no_key, &error);
  g_assert_no_error(error);
  g_assert_cmpuint(hf_keyring_newest(by_file)->number, ==, 2);
  expect_reads(by_file, scene.keyring);
  expect_reads(by_none, scene.keyring);
  expect_reads(by_none, before);
  expect_reads(scene.keyring, before);
  /* Who opened before sees nothing of it until it looks again. */
  g_assert_cmpuint(hf_keyring_newest(before)->number, ==, 0);
  g_assert_true(hf_keyring_reload(before, scene.store, &error));
  g_assert_cmpuint(hf_keyring_newest(before)->number, ==, 2);
  expect_reads(before, scene.keyring);
  /* A slot made now opens all of them. */
  g_autofree char *late_text = add_file(&scene, &slot);
  HfUnlock late = lab_text(HF_UNLOCK_KEY_FILE, late_text);
  g_autoptr(HfKeyring) by_late = open_with(scene.lab, &late, &error);
  for (guint32 i = 0; i < 3; i++)
    g_assert_true(hf_keyring_generation(by_late, i)->open);
}

static void test_hide(void)
{
  g_auto(Scene) scene;
  g_autoptr(GError) error = NULL;
  HfShortId slot, unknown = { { 9 } };
  scene_open(&scene);
  g_autoptr(GPtrArray) infos = hf_keys_list(scene.store, &scene.config, scene.keyring, &error);
  HfShortId first = ((HfSlotInfo *)g_ptr_array_index(infos, 0))->id;
  g_assert_false(hf_keys_hide(scene.store, &scene.config, scene.keyring, &first, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_REFUSED);
  g_clear_error(&error);
  g_assert_false(hf_keys_hide(scene.store, &scene.config, scene.keyring, &unknown, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_NOT_FOUND);
  g_clear_error(&error);
  g_autofree char *text = add_file(&scene, &slot);
  HfUnlock file = lab_text(HF_UNLOCK_KEY_FILE, text);
  g_assert_true(hf_keys_hide(scene.store, &scene.config, scene.keyring, &slot, &error));
  g_assert_false(hf_keys_hide(scene.store, &scene.config, scene.keyring, &slot, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_EXISTS);
  g_clear_error(&error);
  g_assert_null(open_with(scene.lab, &file, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_PASSWORD);
  g_assert_nonnull(strstr(error->message, "was hidden"));
  g_clear_error(&error);
  g_assert_false(hf_keys_hide(scene.store, &scene.config, scene.keyring, &first, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_REFUSED);
  g_clear_error(&error);
  g_autoptr(GPtrArray) after = hf_keys_list(scene.store, &scene.config, scene.keyring, &error);
  g_assert_true(((HfSlotInfo *)g_ptr_array_index(after, 1))->hidden);

  /* A hidden slot gets no new generation. */
  guint32 generation = rotate(&scene);
  g_autofree char *name = g_strdup_printf("ring/%08x.0", generation);
  g_autoptr(GBytes) record = lab_get(scene.lab, name);
  g_auto(HfRing) ring = { 0 };
  g_assert_true(hf_ring_decode(record, scene.config.admin_public, &ring, &error));
  g_assert_cmpuint(ring.shares->len, ==, 1);
  g_assert_true(hf_short_id_equal(&g_array_index(ring.shares, HfRingShare, 0).slot, &first));
}

/* ---- Races: another does something right after the N-th call. ---- */

typedef struct Race {
  Lab *lab;
  const char *prefix; /* strikes after the first put below it that ends in ".2" */
  void (*act)(Lab *lab, HfKeyring *keyring);
  HfKeyring *keyring;
  guint times;
} Race;

static int race_hook(gboolean before, HookOp op, const char *name, gpointer user)
{
  Race *race = user;
  if (before || op != HOOK_PUT || race->times == 0 || !g_str_has_prefix(name, race->prefix) ||
      !g_str_has_suffix(name, ".2"))
    return 0;
  race->times--;
  race->act(race->lab, race->keyring);
  return 0;
}

static void rotate_meanwhile(Lab *lab, HfKeyring *keyring)
{
  g_autoptr(HfStore) store = lab_store(lab);
  HfConfig config;
  guint32 generation;
  read_config(lab, &config);
  g_assert_true(hf_keys_rotate(store, &config, keyring, &generation, NULL));
}

static void add_meanwhile(Lab *lab, HfKeyring *keyring)
{
  g_autoptr(HfStore) store = lab_store(lab);
  HfConfig config;
  HfShortId slot;
  g_autofree char *made = NULL;
  read_config(lab, &config);
  g_assert_true(hf_keys_add(store, &config, keyring, &new_file, "meanwhile", &made, &slot, NULL));
}

static void hide_rest_meanwhile(Lab *lab, HfKeyring *keyring)
{
  g_autoptr(HfStore) store = lab_store(lab);
  HfConfig config;
  read_config(lab, &config);
  g_autoptr(GPtrArray) slots = hf_slots_load(store, config.admin_public, NULL, NULL);
  for (guint i = 0; i < slots->len; i++) {
    const HfSlotState *state = g_ptr_array_index(slots, i);
    char base[HF_NAME_BYTES];
    hf_name_slot(base, &state->id);
    g_autofree char *mark = g_strconcat(base, ".hidden", NULL);
    g_autoptr(GBytes) record = hf_notice_encode(HF_RECORD_SLOT_HIDDEN, &state->id, 1, &keyring->admin_seed);
    if (!state->hidden)
      lab_put_triple(lab, mark, record);
  }
}

static void test_add_while_rotating(void)
{
  g_auto(Scene) scene;
  g_autoptr(GError) error = NULL;
  scene_open(&scene);
  g_autoptr(HfKeyring) other = open_with(scene.lab, &lab_no_key, &error);
  Race race = { scene.lab, "keys/", rotate_meanwhile, other, 2 };
  g_autoptr(HfStore) store = lab_hooked(scene.lab, race_hook, &race);
  g_autofree char *made = NULL;
  HfShortId slot;
  g_assert_true(hf_keys_add(store, &scene.config, scene.keyring, &new_file, NULL, &made, &slot, &error));
  g_assert_cmpuint(race.times, ==, 0);
  HfUnlock file = lab_text(HF_UNLOCK_KEY_FILE, made);
  g_autoptr(HfKeyring) by_file = open_with(scene.lab, &file, &error);
  for (guint32 i = 0; i < 3; i++)
    g_assert_true(hf_keyring_generation(by_file, i)->open);
  g_autoptr(GPtrArray) infos = hf_keys_list(store, &scene.config, scene.keyring, &error);
  g_assert_cmpuint(infos->len, ==, 2);
  /* It does not go on for ever. */
  race.times = 1000;
  char *more;
  g_assert_false(hf_keys_add(store, &scene.config, scene.keyring, &new_file, NULL, &more, &slot, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_BUSY);
  g_assert_null(more);
}

static void test_rotate_while_adding(void)
{
  g_auto(Scene) scene;
  g_autoptr(GError) error = NULL;
  guint32 generation;
  scene_open(&scene);
  g_autoptr(HfKeyring) other = open_with(scene.lab, &lab_no_key, &error);
  Race race = { scene.lab, "ring/", add_meanwhile, other, 1 };
  g_autoptr(HfStore) store = lab_hooked(scene.lab, race_hook, &race);
  g_assert_true(hf_keys_rotate(store, &scene.config, scene.keyring, &generation, &error));
  g_assert_cmpuint(generation, ==, 2);
}

static void test_hide_while_hiding(void)
{
  g_auto(Scene) scene;
  g_autoptr(GError) error = NULL;
  HfShortId slot;
  scene_open(&scene);
  g_autofree char *text = add_file(&scene, &slot);
  Race race = { scene.lab, "keys/", hide_rest_meanwhile, scene.keyring, 1 };
  g_autoptr(HfStore) store = lab_hooked(scene.lab, race_hook, &race);
  g_assert_false(hf_keys_hide(store, &scene.config, scene.keyring, &slot, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_REFUSED);
  HfUnlock file = lab_text(HF_UNLOCK_KEY_FILE, text);
  g_clear_error(&error);
  g_autoptr(HfKeyring) opened G_GNUC_UNUSED = open_with(scene.lab, &file, &error);
  g_assert_no_error(error);
}

typedef struct Rotator {
  Lab *lab;
  guint32 generations[5];
} Rotator;

static gpointer rotate_often(gpointer user)
{
  Rotator *rotator = user;
  g_autoptr(HfStore) store = lab_store(rotator->lab);
  g_autoptr(HfKeyring) keyring = open_with(rotator->lab, &lab_no_key, NULL);
  HfConfig config;
  read_config(rotator->lab, &config);
  for (guint i = 0; i < G_N_ELEMENTS(rotator->generations); i++)
    g_assert_true(hf_keys_rotate(store, &config, keyring, &rotator->generations[i], NULL));
  return NULL;
}

/* Nobody overwrites another's generation. */
static void test_rotate_race(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  Rotator rotators[3];
  GThread *threads[3];
  gboolean seen[64] = { FALSE };
  for (guint i = 0; i < 3; i++) {
    rotators[i].lab = lab;
    threads[i] = g_thread_new("rotate", rotate_often, &rotators[i]);
  }
  for (guint i = 0; i < 3; i++)
    g_thread_join(threads[i]);
  for (guint i = 0; i < 3; i++)
    for (guint j = 0; j < G_N_ELEMENTS(rotators[i].generations); j++) {
      g_assert_cmpuint(rotators[i].generations[j], <, 64);
      g_assert_false(seen[rotators[i].generations[j]]);
      seen[rotators[i].generations[j]] = TRUE;
    }
  g_autoptr(GError) error = NULL;
  g_autoptr(HfKeyring) keyring = open_with(lab, &lab_no_key, &error);
  g_assert_no_error(error);
  for (guint32 i = 0; i < 16; i++)
    g_assert_true(hf_keyring_generation(keyring, i)->open);
}

/* ---- Every call of the store fails once. ---- */

typedef gboolean (*Verb)(Scene *scene, GError **error);

static gboolean verb_add(Scene *scene, GError **error)
{
  g_autofree char *made = NULL;
  HfShortId slot;
  return hf_keys_add(scene->store, &scene->config, scene->keyring, &new_file, NULL, &made, &slot, error);
}

static gboolean verb_hide(Scene *scene, GError **error)
{
  g_autoptr(GPtrArray) infos = hf_keys_list(scene->store, &scene->config, scene->keyring, error);
  return infos != NULL &&
    hf_keys_hide(scene->store, &scene->config, scene->keyring, &((HfSlotInfo *)g_ptr_array_index(infos, 0))->id, error);
}

static gboolean verb_rotate(Scene *scene, GError **error)
{
  guint32 generation;
  return hf_keys_rotate(scene->store, &scene->config, scene->keyring, &generation, error);
}

static gboolean verb_enrol(Scene *scene, GError **error)
{
  g_autofree char *text = hf_writers_add(scene->store, &scene->config, scene->keyring, "web", error);
  return text != NULL;
}

static gboolean verb_remove(Scene *scene, GError **error)
{
  g_autoptr(GPtrArray) infos = hf_writers_list(scene->keyring, error);
  return hf_writers_remove(scene->store, &scene->config, scene->keyring,
                           &((HfWriterInfo *)g_ptr_array_index(infos, 1))->id, 0, error);
}

static gboolean verb_export(Scene *scene, GError **error)
{
  g_autofree char *text = hf_keys_export(scene->store, error);
  return text != NULL;
}

static gboolean verb_clone(Scene *scene, GError **error)
{
  g_autoptr(Lab) target = lab_new();
  g_autoptr(HfStore) store = lab_store(target);
  return hf_keyring_clone(scene->store, store, error);
}

static void test_faults(void)
{
  static const Verb verbs[] = { verb_add, verb_hide, verb_rotate, verb_enrol, verb_remove, verb_export, verb_clone };
  for (guint i = 0; i < G_N_ELEMENTS(verbs); i++) {
    guint failed = 0;
    gboolean more = TRUE;
    for (guint strike = 1; more; strike++) {
      g_auto(Scene) scene;
      g_autoptr(GError) error = NULL;
      HfShortId slot;
      scene_open(&scene);
      g_autofree char *text = add_file(&scene, &slot);
      if (verbs[i] == verb_remove)
        g_free(hf_writers_add(scene.store, &scene.config, scene.keyring, "x", NULL));
      scene.fault = (Fault){ .strike = strike, .code = HF_ERROR_IO };
      gboolean done = verbs[i](&scene, &error);
      g_assert_true(done == (error == NULL));
      failed += !done;
      more = scene.fault.calls >= strike;
      scene.fault.strike = 0;
      /* Whatever was left half done, the repository opens, and all is mended. */
      HfUnlock file = lab_text(HF_UNLOCK_KEY_FILE, text);
      g_autoptr(HfRepo) repo = lab_open(scene.lab, NULL, &file);
      g_autoptr(HfKeyring) by_file = open_with(scene.lab, &file, NULL);
      expect_reads(by_file, repo->keys);
      g_assert_true(hf_keyring_reload(scene.keyring, scene.store, NULL));
      expect_reads(by_file, scene.keyring);
    }
    g_assert_cmpuint(failed, >=, 3);
  }
}

/* ---- Export and import. ---- */

static void test_export(void)
{
  g_auto(Scene) scene;
  g_autoptr(GError) error = NULL;
  HfShortId slot;
  guint restored;
  scene_open(&scene);
  g_autofree char *file_text = add_file(&scene, &slot);
  g_autofree char *credential G_GNUC_UNUSED = hf_writers_add(scene.store, &scene.config, scene.keyring, "web", &error);
  rotate(&scene);
  g_autofree char *before = lab_digest(scene.lab);
  g_autofree char *text = hf_keys_export(scene.store, &error);
  g_assert_no_error(error);
  g_assert_true(g_str_has_prefix(text, "holdfast keys 1\n"));
  g_assert_true(hf_keys_import(scene.store, text, strlen(text), &restored, &error));
  g_assert_cmpuint(restored, ==, 0);

  static const char *const folders[] = { "keys/", "ring/", "writers/" };
  for (guint i = 0; i < G_N_ELEMENTS(folders); i++)
    lab_drop_all(scene.lab, folders[i]);
  for (guint i = 0; i < 3; i++) {
    g_autofree char *name = g_strdup_printf("config.%u", i);
    lab_flip(scene.lab, name, 60);
  }
  g_assert_true(hf_keys_import(scene.store, text, strlen(text), &restored, &error));
  g_assert_no_error(error);
  g_assert_cmpuint(restored, ==, 2 + 2 + 2 + 1);
  g_autofree char *after = lab_digest(scene.lab);
  g_assert_cmpstr(before, ==, after);
  HfUnlock file = lab_text(HF_UNLOCK_KEY_FILE, file_text);
  g_autoptr(HfKeyring) opened G_GNUC_UNUSED = open_with(scene.lab, &file, &error);
  g_assert_no_error(error);

  /* Into an empty store: the keys of a repository that lost all but its packs. */
  g_autoptr(Lab) empty = lab_new();
  g_autoptr(HfStore) empty_store = lab_store(empty);
  g_assert_true(hf_keys_import(empty_store, text, strlen(text), &restored, &error));
  g_assert_cmpuint(restored, ==, 7);
  g_autoptr(HfRepo) repo = lab_open_full(empty);

  /* Into a sibling: its own config stays. */
  g_autoptr(Lab) sibling = lab_new();
  g_autoptr(HfStore) sibling_store = lab_store(sibling);
  g_assert_true(hf_repo_create_like(sibling_store, repo, &error));
  lab_drop_all(sibling, "keys/");
  g_assert_true(hf_keys_import(sibling_store, text, strlen(text), &restored, &error));
  g_assert_cmpuint(restored, ==, 2);
  HfConfig config;
  read_config(sibling, &config);
  g_assert_false(hf_short_id_equal(&config.repository, &scene.config.repository));

  /* Into a stranger: refused. */
  g_autoptr(Lab) stranger = lab_with_repo();
  g_autoptr(HfStore) stranger_store = lab_store(stranger);
  g_assert_false(hf_keys_import(stranger_store, text, strlen(text), &restored, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_REFUSED);
}

static char *wrap_export(const char *base, GBytes *record)
{
  g_autoptr(GByteArray) body = g_byte_array_new();
  guint8 digest[32];
  hf_put_varint(body, 1);
  hf_put_text(body, base);
  hf_put_bytes(body, g_bytes_get_data(record, NULL), g_bytes_get_size(record));
  hf_sha256(body->data, body->len, digest);
  hf_put_raw(body, digest, sizeof digest);
  g_autofree char *encoded = g_base64_encode(body->data, body->len);
  return g_strdup_printf("holdfast keys 1\n%s\n", encoded);
}

static void expect_no_import(Lab *lab, const char *text, int code)
{
  g_autoptr(HfStore) store = lab_store(lab);
  g_autoptr(GError) error = NULL;
  guint restored;
  g_autofree char *before = lab_digest(lab);
  g_assert_false(hf_keys_import(store, text, strlen(text), &restored, &error));
  g_assert_error(error, HF_ERROR, code);
  g_autofree char *after = lab_digest(lab);
  g_assert_cmpstr(before, ==, after);
}

static void test_bad_exports(void)
{
  g_auto(Scene) scene;
  scene_open(&scene);
  g_autoptr(GBytes) config = lab_get(scene.lab, "config.0"), ring = lab_get(scene.lab, "ring/00000000.0");
  g_autofree char *text = hf_keys_export(scene.store, NULL);
  expect_no_import(scene.lab, "", HF_ERROR_INVALID);
  expect_no_import(scene.lab, "holdfast keys 1\n", HF_ERROR_INVALID);
  expect_no_import(scene.lab, "holdfast keys 1\nAAAA", HF_ERROR_INVALID);
  g_autofree char *cut = g_strndup(text, strlen(text) - 90);
  expect_no_import(scene.lab, cut, HF_ERROR_INVALID);
  /* Whole, but not what it should be. */
  g_autofree char *elsewhere = wrap_export("data/x", config);
  expect_no_import(scene.lab, elsewhere, HF_ERROR_INVALID);
  g_autofree char *long_name = wrap_export("ring/000000001", ring);
  expect_no_import(scene.lab, long_name, HF_ERROR_INVALID);
  g_autofree char *escape = wrap_export("keys/../../x", ring);
  expect_no_import(scene.lab, escape, HF_ERROR_INVALID);
  g_autofree char *other_kind = wrap_export("config", ring);
  expect_no_import(scene.lab, other_kind, HF_ERROR_INVALID);
  g_autofree char *no_config = wrap_export("ring/00000000", ring);
  expect_no_import(scene.lab, no_config, HF_ERROR_INVALID);
}

/* What is damaged is left out, but not the config. */
static void test_export_damaged(void)
{
  g_auto(Scene) scene;
  g_autoptr(GError) error = NULL;
  scene_open(&scene);
  for (guint i = 0; i < 3; i++) {
    g_autofree char *name = g_strdup_printf("ring/00000000.%u", i);
    lab_flip(scene.lab, name, 60);
  }
  g_autofree char *text = hf_keys_export(scene.store, &error);
  g_assert_no_error(error);
  g_assert_nonnull(text);
  g_autoptr(Lab) target = lab_new();
  g_autoptr(HfStore) store = lab_store(target);
  g_assert_false(hf_keyring_clone(scene.store, store, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_DAMAGED);
  g_clear_error(&error);
  for (guint i = 0; i < 3; i++) {
    g_autofree char *name = g_strdup_printf("config.%u", i);
    lab_flip(scene.lab, name, 60);
  }
  g_assert_null(hf_keys_export(scene.store, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_DAMAGED);
}

/* Each call of an import fails once: it either is done or is not, and the next try does the rest. */
static void test_import_faults(void)
{
  g_auto(Scene) scene;
  scene_open(&scene);
  g_autofree char *text = hf_keys_export(scene.store, NULL), *before = lab_digest(scene.lab);
  gboolean more = TRUE;
  for (guint strike = 1; more; strike++) {
    g_autoptr(GError) error = NULL;
    guint restored;
    lab_drop_all(scene.lab, "ring/");
    for (guint i = 0; i < 6; i++) {
      g_autofree char *name = i < 3 ? lab_name(scene.lab, "keys/", i) : g_strdup_printf("config.%u", i - 3);
      lab_flip(scene.lab, name, 60);
    }
    scene.fault = (Fault){ .strike = strike, .code = HF_ERROR_IO };
    gboolean done = hf_keys_import(scene.store, text, strlen(text), &restored, &error);
    g_assert_true(done == (error == NULL));
    more = scene.fault.calls >= strike;
    scene.fault.strike = 0;
    g_assert_true(hf_keys_import(scene.store, text, strlen(text), &restored, NULL));
    g_autoptr(HfRepo) repo G_GNUC_UNUSED = lab_open_full(scene.lab);
    g_autofree char *after = lab_digest(scene.lab);
    g_assert_cmpstr(before, ==, after);
  }
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_assert_true(hf_crypto_init(NULL));
  g_test_add_func("/keys/add", test_add);
  g_test_add_func("/keys/credential-refused", test_credential_refused);
  g_test_add_func("/keys/rotate", test_rotate);
  g_test_add_func("/keys/hide", test_hide);
  g_test_add_func("/keys/add-while-rotating", test_add_while_rotating);
  g_test_add_func("/keys/rotate-while-adding", test_rotate_while_adding);
  g_test_add_func("/keys/hide-while-hiding", test_hide_while_hiding);
  g_test_add_func("/keys/rotate-race", test_rotate_race);
  g_test_add_func("/keys/faults", test_faults);
  g_test_add_func("/keys/export", test_export);
  g_test_add_func("/keys/bad-exports", test_bad_exports);
  g_test_add_func("/keys/export-damaged", test_export_damaged);
  g_test_add_func("/keys/import-faults", test_import_faults);
  return g_test_run();
}
