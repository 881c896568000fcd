/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Opening and making a keyring. */
#include "repo/keyring.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/work.h"
#include "repo/keystate.h"
#include "repo/objects.h"

static void generation_free(gpointer generation)
{
  hf_wipe(generation, sizeof(HfGeneration));
  g_free(generation);
}

static void key_free(gpointer key)
{
  hf_key_clear(key);
  g_free(key);
}

static HfKeyring *keyring_new(const HfConfig *config, HfAccess access)
{
  HfKeyring *keyring = g_new0(HfKeyring, 1);
  keyring->access = access;
  keyring->family = config->family;
  memcpy(keyring->admin_public, config->admin_public, sizeof keyring->admin_public);
  keyring->writers = hf_writer_table_new(config->admin_public);
  g_mutex_init(&keyring->mutex);
  keyring->generations = g_ptr_array_new_with_free_func(generation_free);
  keyring->domains = g_hash_table_new_full(NULL, NULL, NULL, key_free);
  keyring->sessions = hf_opened_sessions_new();
  keyring->complaints = g_ptr_array_new_with_free_func(g_free);
  return keyring;
}

void hf_keyring_free(HfKeyring *keyring)
{
  if (keyring == NULL)
    return;
  g_ptr_array_unref(keyring->generations);
  g_hash_table_unref(keyring->domains);
  g_hash_table_unref(keyring->sessions);
  g_ptr_array_unref(keyring->complaints);
  g_clear_pointer(&keyring->pass, g_hash_table_unref);
  hf_writer_table_free(keyring->writers);
  g_mutex_clear(&keyring->mutex);
  hf_wipe(keyring, sizeof *keyring);
  g_free(keyring);
}

/* ---- The ring. The caller holds the mutex, or is alone. ---- */

static HfGeneration *find_generation(const HfKeyring *keyring, guint32 number)
{
  for (guint i = 0; i < keyring->generations->len; i++) {
    HfGeneration *generation = g_ptr_array_index(keyring->generations, i);
    if (generation->number == number)
      return generation;
  }
  return NULL;
}

static gint compare_generations(gconstpointer a, gconstpointer b)
{
  const HfGeneration *left = *(HfGeneration *const *)a, *right = *(HfGeneration *const *)b;
  return left->number < right->number ? -1 : left->number > right->number;
}

static void add_generation(HfKeyring *keyring, guint32 number, const guint8 public_half[32], const HfKey *secret)
{
  HfGeneration *generation = g_new0(HfGeneration, 1);
  generation->number = number;
  if (secret != NULL) {
    generation->open = TRUE;
    generation->secret = *secret;
    hf_box_public(secret, generation->public_half);
  } else {
    g_assert(public_half != NULL);
    memcpy(generation->public_half, public_half, sizeof generation->public_half);
  }
  g_ptr_array_add(keyring->generations, generation);
  g_ptr_array_sort(keyring->generations, compare_generations);
}

static gboolean fail_swapped(const char *what, GError **error)
{
  return hf_fail(error, HF_ERROR_DAMAGED,
                 "%s does not fit the keys of this repository: somebody has swapped it; keep the "
                 "repository as it is and restore its keys from an export",
                 what);
}

/* Takes in a ring record that the admin key signed (K1). */
static gboolean take_ring(HfKeyring *keyring, const HfRing *ring, const char *base, GError **error)
{
  const HfGeneration *known = find_generation(keyring, ring->generation);
  if (known != NULL)
    return memcmp(known->public_half, ring->public_half, sizeof ring->public_half) == 0 || fail_swapped(base, error);
  for (guint i = 0; keyring->has_slot && i < ring->shares->len; i++) {
    const HfRingShare *share = &g_array_index(ring->shares, HfRingShare, i);
    if (!hf_short_id_equal(&share->slot, &keyring->slot))
      continue;
    g_auto(HfKey) secret;
    guint8 public_half[32];
    if (!hf_box_open(&keyring->slot_secret, share->sealed, sizeof share->sealed, &secret, error))
      return FALSE;
    hf_box_public(&secret, public_half);
    if (memcmp(public_half, ring->public_half, sizeof public_half) != 0)
      return fail_swapped(base, error);
    add_generation(keyring, ring->generation, NULL, &secret);
    return TRUE;
  }
  add_generation(keyring, ring->generation, ring->public_half, NULL);
  return TRUE;
}

/* A ring object that rotted away is only complained about; one that is whole but not signed by the admin key is the
 * work of a liar. */
static gboolean load_ring(HfKeyring *keyring, HfStore *store, const char *base, guint32 number, GError **error)
{
  g_autoptr(GError) why = NULL;
  g_autoptr(GBytes) record = hf_triple_get(store, base, HF_RECORD_RING, NULL, &why);
  if (record == NULL && hf_error_is(why, HF_ERROR_DAMAGED)) {
    g_ptr_array_add(keyring->complaints, g_strdup(why->message));
    return TRUE;
  }
  if (record == NULL) {
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
  }
  g_auto(HfRing) ring = { 0 };
  if (!hf_ring_decode(record, keyring->admin_public, &ring, &why)) {
    hf_fail(error, HF_ERROR_DAMAGED, "'%s' cannot be trusted: %s", base, why->message);
    return FALSE;
  }
  return ring.generation == number ? take_ring(keyring, &ring, base, error) : fail_swapped(base, error);
}

static gboolean load_rings(HfKeyring *keyring, HfStore *store, gboolean again, GError **error)
{
  g_autoptr(GPtrArray) bases = hf_triple_list(store, "ring/", error);
  if (bases == NULL)
    return FALSE;
  HF_LOCK(&keyring->mutex);
  for (guint i = 0; i < bases->len; i++) {
    const char *base = g_ptr_array_index(bases, i), *digits = base + strlen("ring/");
    char *end;
    guint64 number = g_ascii_strtoull(digits, &end, 16);
    if (strlen(digits) != 8 || *end != '\0' || (again && find_generation(keyring, (guint32)number) != NULL))
      continue;
    if (!load_ring(keyring, store, base, (guint32)number, error))
      return FALSE;
  }
  return TRUE;
}

gboolean hf_keyring_reload(HfKeyring *keyring, HfStore *store, GError **error)
{
  g_autoptr(GPtrArray) complaints = g_ptr_array_new_with_free_func(g_free);
  gboolean loaded = load_rings(keyring, store, TRUE, error) &&
    hf_writer_table_load(keyring->writers, store, complaints, error);
  HF_LOCK(&keyring->mutex);
  g_ptr_array_extend_and_steal(keyring->complaints, g_steal_pointer(&complaints));
  return loaded;
}

void hf_keyring_add_generation(HfKeyring *keyring, guint32 number, const HfKey *secret)
{
  HF_LOCK(&keyring->mutex);
  add_generation(keyring, number, NULL, secret);
}

const HfGeneration *hf_keyring_generation(const HfKeyring *keyring, guint32 number)
{
  HF_LOCK((GMutex *)&keyring->mutex);
  return find_generation(keyring, number);
}

const HfGeneration *hf_keyring_newest(const HfKeyring *keyring)
{
  HF_LOCK((GMutex *)&keyring->mutex);
  return g_ptr_array_index(keyring->generations, keyring->generations->len - 1);
}

void hf_keyring_report(HfKeyring *keyring, HfReport *report)
{
  HF_LOCK(&keyring->mutex);
  for (guint i = 0; i < keyring->complaints->len; i++)
    hf_report_warning(report, NULL, "%s", (const char *)g_ptr_array_index(keyring->complaints, i));
  g_ptr_array_set_size(keyring->complaints, 0);
}

/* ---- Opening by a slot. ---- */

/* Takes what the bundle holds. */
static gboolean take_bundle(HfKeyring *keyring, const GArray *items, GError **error)
{
  gboolean admin = FALSE, owner = FALSE, domain = FALSE;
  for (guint i = 0; i < items->len; i++) {
    const HfBundleItem *item = &g_array_index(items, HfBundleItem, i);
    if (item->kind == HF_BUNDLE_ADMIN) {
      keyring->admin_seed = item->secret;
      admin = TRUE;
    } else if (item->kind == HF_BUNDLE_OWNER) {
      keyring->seed = item->secret;
      owner = TRUE;
    } else if (item->kind == HF_BUNDLE_DOMAIN && item->number == 0) {
      keyring->domain_key = item->secret;
      domain = TRUE;
    } else if (item->kind == HF_BUNDLE_RING && find_generation(keyring, item->number) == NULL) {
      add_generation(keyring, item->number, NULL, &item->secret);
    }
  }
  if (!admin || !owner || !domain || keyring->generations->len == 0)
    return hf_fail(error, HF_ERROR_INVALID, "a key slot opened, but keys are missing in it");
  guint8 public_half[32];
  hf_sign_public(&keyring->admin_seed, public_half);
  return memcmp(public_half, keyring->admin_public, sizeof public_half) == 0 ||
    fail_swapped("the admin key of the config", error);
}

/* Finds the writer whose key is our seed's. */
static gboolean find_owner(HfKeyring *keyring, GError **error)
{
  guint8 public_key[32];
  g_autoptr(GPtrArray) all = hf_writer_table_all(keyring->writers);
  hf_sign_public(&keyring->seed, public_key);
  for (guint i = 0; i < all->len; i++) {
    const HfEnrolled *enrolled = g_ptr_array_index(all, i);
    if (enrolled->writer.domain == 0 && memcmp(enrolled->writer.public_key, public_key, sizeof public_key) == 0) {
      keyring->writer = enrolled->writer.id;
      return TRUE;
    }
  }
  return hf_fail(error, HF_ERROR_DAMAGED,
                 "the record of the repository's owner below 'writers/' is missing or damaged; put "
                 "it back from an export of the keys with 'holdfast repair --keys'");
}

static HfKeyring *open_slot(HfStore *store, const HfConfig *config, const HfSlot *slot, const HfKey *secret,
                            GError **error)
{
  g_autoptr(GArray) items = hf_slot_open_bundle(slot, secret, error);
  if (items == NULL)
    return NULL;
  g_autoptr(HfKeyring) keyring = keyring_new(config, HF_ACCESS_FULL);
  keyring->has_slot = TRUE;
  keyring->slot = slot->id;
  keyring->slot_secret = *secret;
  if (!take_bundle(keyring, items, error) || !load_rings(keyring, store, FALSE, error) ||
      !hf_writer_table_load(keyring->writers, store, keyring->complaints, error) || !find_owner(keyring, error))
    return NULL;
  return g_steal_pointer(&keyring);
}

static gboolean fits(const HfSlot *slot, const HfKey *secret)
{
  guint8 public_half[32];
  hf_box_public(secret, public_half);
  return memcmp(public_half, slot->public_half, sizeof public_half) == 0;
}

/* What failing means: the way in may be there and damaged. */
static gboolean fail_locked(const GPtrArray *slots, HfStore *store, const char *what, GError **error)
{
  guint damaged = 0;
  for (guint i = 0; i < slots->len; i++)
    damaged += !((const HfSlotState *)g_ptr_array_index(slots, i))->usable;
  if (damaged == slots->len)
    return hf_fail(
      error, HF_ERROR_DAMAGED,
      "cannot unlock '%s': no key slot of it can be used: all are missing, damaged or "
      "not signed by the key in its config; put the keys back from an export with 'holdfast repair --keys'",
      store->location);
  g_autofree char *ways = hf_slots_describe(slots);
  return hf_fail(error, HF_ERROR_PASSWORD, "cannot unlock '%s': %s; it opens %s%s", store->location, what, ways,
                 damaged > 0 ? ", and a key slot of it is damaged" : "");
}

static HfKeyring *open_with_password(HfStore *store, const HfConfig *config, const HfUnlock *unlock,
                                     const GPtrArray *slots, GError **error)
{
  guint tried = 0;
  for (guint i = 0; i < slots->len; i++) {
    const HfSlotState *state = g_ptr_array_index(slots, i);
    g_auto(HfKey) secret;
    if (!state->usable || state->hidden || state->slot.way != HF_SLOT_PASSWORD)
      continue;
    if (!hf_slot_password_secret(&state->slot, unlock->text, unlock->length, &secret, error))
      return NULL;
    if (fits(&state->slot, &secret))
      return open_slot(store, config, &state->slot, &secret, error);
    tried++;
  }
  fail_locked(slots, store, tried > 0 ? "wrong password" : "no password opens it", error);
  return NULL;
}

/* A slot of encryption "none": its secret is no secret. */
static HfKeyring *open_without_key(HfStore *store, const HfConfig *config, const GPtrArray *slots, GError **error)
{
  g_auto(HfKey) secret = { 0 };
  for (guint i = 0; i < slots->len; i++) {
    const HfSlotState *state = g_ptr_array_index(slots, i);
    if (state->usable && !state->hidden && state->slot.way == HF_SLOT_NONE && fits(&state->slot, &secret))
      return open_slot(store, config, &state->slot, &secret, error);
  }
  fail_locked(slots, store, "it is encrypted", error);
  return NULL;
}

static HfKeyring *open_with_secret(HfStore *store, const HfConfig *config, const GPtrArray *slots,
                                   const HfShortId *slot, const HfKey *secret, GError **error)
{
  const char *what = "the key slot of this key is not in it";
  gboolean damaged = FALSE;
  for (guint i = 0; i < slots->len; i++) {
    const HfSlotState *state = g_ptr_array_index(slots, i);
    if (!hf_short_id_equal(&state->id, slot))
      continue;
    if (state->usable && !state->hidden && fits(&state->slot, secret))
      return open_slot(store, config, &state->slot, secret, error);
    damaged = !state->usable;
    what = state->hidden ? "the key slot of this key was hidden" : "this key does not fit its slot";
  }
  if (damaged)
    hf_fail(error, HF_ERROR_DAMAGED,
            "cannot unlock '%s': the key slot of this key is damaged; try another key, or put the "
            "keys back from an export with 'holdfast repair --keys'",
            store->location);
  else
    fail_locked(slots, store, what, error);
  return NULL;
}

static gboolean check_family(const HfConfig *config, HfStore *store, const HfShortId *family, GError **error)
{
  return hf_short_id_equal(&config->family, family) ||
    hf_fail(error, HF_ERROR_PASSWORD, "cannot unlock '%s': this key belongs to another repository", store->location);
}

static HfKeyring *open_with_key_file(HfStore *store, const HfConfig *config, const HfKeyFile *file,
                                     const GPtrArray *slots, GError **error)
{
  HfShortId fingerprint;
  hf_fingerprint(&config->family, config->admin_public, &fingerprint);
  if (!check_family(config, store, &file->family, error))
    return NULL;
  if (!hf_short_id_equal(&file->fingerprint, &fingerprint)) {
    fail_swapped("the admin key of the config", error);
    return NULL;
  }
  return open_with_secret(store, config, slots, &file->slot, &file->secret, error);
}

/* ---- Opening by a write-only credential. ---- */

/* Our own record, when it is there, must say what the credential says. */
static gboolean check_own_record(HfKeyring *keyring, GError **error)
{
  guint8 public_key[32], state_public[32];
  const HfWriter *own = hf_writer_table_find(keyring->writers, &keyring->writer, NULL, NULL);
  if (own == NULL)
    return TRUE;
  hf_sign_public(&keyring->seed, public_key);
  hf_box_public(&keyring->state_secret, state_public);
  return (memcmp(own->public_key, public_key, sizeof public_key) == 0 && own->domain == keyring->domain &&
          memcmp(own->state_public, state_public, sizeof state_public) == 0) ||
    fail_swapped("the record of this host's writer", error);
}

static HfKeyring *open_with_credential(HfStore *store, const HfConfig *config, const HfCredential *credential,
                                       GError **error)
{
  if (!check_family(config, store, &credential->family, error))
    return NULL;
  if (memcmp(credential->admin_public, config->admin_public, sizeof credential->admin_public) != 0) {
    fail_swapped("the admin key of the config", error);
    return NULL;
  }
  g_autoptr(HfKeyring) keyring = keyring_new(config, HF_ACCESS_WRITE);
  keyring->writer = credential->writer;
  keyring->seed = credential->seed;
  keyring->domain = credential->domain;
  keyring->domain_key = credential->domain_key;
  keyring->has_state = TRUE;
  keyring->state_secret = credential->state_secret;
  add_generation(keyring, credential->generation, credential->ring_public, NULL);
  if (!load_rings(keyring, store, FALSE, error) ||
      !hf_writer_table_load(keyring->writers, store, keyring->complaints, error) || !check_own_record(keyring, error))
    return NULL;
  return g_steal_pointer(&keyring);
}

/* ---- Opening by a pass. ---- */

static void pass_session_free(gpointer session)
{
  hf_wipe(session, sizeof(HfDomainPassSession));
  g_free(session);
}

static HfKeyring *open_with_pass(HfStore *store, const HfConfig *config, const HfUnlock *unlock, GError **error)
{
  g_auto(HfDomainPass) pass = { 0 };
  if (!hf_domain_pass_decode(unlock->text, unlock->length, &pass, error) ||
      !check_family(config, store, &pass.family, error))
    return NULL;
  if (memcmp(pass.admin_public, config->admin_public, sizeof pass.admin_public) != 0) {
    fail_swapped("the admin key of the config", error);
    return NULL;
  }
  g_autoptr(HfKeyring) keyring = keyring_new(config, HF_ACCESS_READ);
  keyring->domain = pass.domain;
  keyring->domain_key = pass.domain_key;
  keyring->pass = g_hash_table_new_full(hf_id_hash, hf_short_id_equal_func, NULL, pass_session_free);
  for (guint i = 0; i < pass.sessions->len; i++) {
    HfDomainPassSession *session = g_memdup2(&g_array_index(pass.sessions, HfDomainPassSession, i), sizeof *session);
    g_hash_table_replace(keyring->pass, &session->session, session);
  }
  if (!load_rings(keyring, store, FALSE, error) ||
      !hf_writer_table_load(keyring->writers, store, keyring->complaints, error))
    return NULL;
  return g_steal_pointer(&keyring);
}

/* By a key file, or, with `slots` NULL, by a credential: that needs none, and may not be able to read them. */
static HfKeyring *open_with_text(HfStore *store, const HfConfig *config, const HfUnlock *unlock, const GPtrArray *slots,
                                 GError **error)
{
  HfKeyFile file;
  HfCredential credential;
  gboolean is_credential;
  HfKeyring *keyring = NULL;
  if (!hf_key_text_decode(unlock->text, unlock->length, &file, &credential, &is_credential, error))
    return NULL;
  if (slots == NULL)
    keyring = open_with_credential(store, config, &credential, error);
  else
    keyring = open_with_key_file(store, config, &file, slots, error);
  hf_wipe(&file, sizeof file);
  hf_credential_clear(&credential);
  return keyring;
}

static HfKeyring *open_with_paper(HfStore *store, const HfConfig *config, const HfUnlock *unlock,
                                  const GPtrArray *slots, GError **error)
{
  HfShortId slot;
  g_auto(HfKey) secret = { 0 };
  char *text = g_strndup(unlock->text, unlock->length);
  gboolean read = hf_paper_key_decode(text, &slot, &secret, error);
  hf_wipe(text, unlock->length);
  g_free(text);
  return read ? open_with_secret(store, config, slots, &slot, &secret, error) : NULL;
}

HfKeyring *hf_keyring_open(HfStore *store, const HfConfig *config, const HfUnlock *unlock, GError **error)
{
  if (unlock->kind == HF_UNLOCK_KEY_FILE && hf_domain_pass_is_text(unlock->text, unlock->length))
    return open_with_pass(store, config, unlock, error);
  if (unlock->kind == HF_UNLOCK_KEY_FILE && hf_credential_is_text(unlock->text, unlock->length))
    return open_with_text(store, config, unlock, NULL, error);
  g_autoptr(GPtrArray) complaints = g_ptr_array_new_with_free_func(g_free);
  g_autoptr(GPtrArray) slots = hf_slots_load(store, config->admin_public, complaints, error);
  HfKeyring *keyring = NULL;
  if (slots == NULL)
    return NULL;
  switch (unlock->kind) {
  case HF_UNLOCK_NONE:
    keyring = open_without_key(store, config, slots, error);
    break;
  case HF_UNLOCK_PASSWORD:
    keyring = open_with_password(store, config, unlock, slots, error);
    break;
  case HF_UNLOCK_KEY_FILE:
    keyring = open_with_text(store, config, unlock, slots, error);
    break;
  case HF_UNLOCK_PAPER:
    keyring = open_with_paper(store, config, unlock, slots, error);
    break;
  }
  if (keyring != NULL)
    g_ptr_array_extend_and_steal(keyring->complaints, g_steal_pointer(&complaints));
  return keyring;
}

/* ---- Making. ---- */

static gboolean make_owner(HfStore *store, HfKeyring *keyring, GError **error)
{
  HfWriter owner = { .created = hf_clock_real_ns(), .name = (char *)"owner" };
  hf_random(owner.id.b, sizeof owner.id.b);
  hf_sign_public(&keyring->seed, owner.public_key);
  keyring->writer = owner.id;
  return hf_writer_enrol(store, keyring, &owner, &keyring->domain_key, error);
}

static gboolean make_slots(HfStore *store, HfKeyring *keyring, const HfUnlock *unlock, char **made, GError **error)
{
  HfNewSlot first = { .kind = unlock->kind, .password = unlock->text, .length = unlock->length };
  HfNewSlot paper = { .kind = HF_UNLOCK_PAPER };
  gboolean key_file = unlock->kind == HF_UNLOCK_KEY_FILE;
  gboolean with_paper = made != NULL && unlock->kind == HF_UNLOCK_PASSWORD;
  HfShortId other;
  keyring->has_slot = TRUE;
  return hf_slot_make(store, keyring, &first, key_file ? made : NULL, &keyring->slot, &keyring->slot_secret, error) &&
    (!with_paper || hf_slot_make(store, keyring, &paper, made, &other, NULL, error));
}

HfKeyring *hf_keyring_create(HfStore *store, HfConfig *config, const HfUnlock *unlock, char **made, GError **error)
{
  g_auto(HfKey) admin_seed;
  if (unlock->kind == HF_UNLOCK_PAPER || (unlock->kind == HF_UNLOCK_KEY_FILE && made == NULL)) {
    hf_fail(error, HF_ERROR_USAGE,
            "a new repository is locked with a password, with a key file that is to be kept, or not");
    return NULL;
  }
  hf_random(admin_seed.b, sizeof admin_seed.b);
  hf_sign_public(&admin_seed, config->admin_public);
  g_autoptr(HfKeyring) keyring = keyring_new(config, HF_ACCESS_FULL);
  keyring->admin_seed = admin_seed;
  hf_random(keyring->seed.b, sizeof keyring->seed.b);
  hf_random(keyring->domain_key.b, sizeof keyring->domain_key.b);
  if (made != NULL)
    *made = NULL;
  if (!hf_ring_make(store, keyring, 0, NULL, error) || !make_owner(store, keyring, error) ||
      !make_slots(store, keyring, unlock, made, error))
    return NULL;
  return g_steal_pointer(&keyring);
}

/* ---- What it holds. ---- */

GBytes *hf_keyring_sign_config(const HfKeyring *keyring, const HfConfig *config, GError **error)
{
  return hf_keyring_need_admin(keyring, "signing the config", error) ? hf_config_encode(config, &keyring->admin_seed)
                                                                     : NULL;
}

gboolean hf_keyring_need_admin(const HfKeyring *keyring, const char *what, GError **error)
{
  return (keyring != NULL && keyring->access == HF_ACCESS_FULL) ||
      hf_fail(error, HF_ERROR_PERMISSION, "%s needs the password or a key file of the repository, not a credential",
              what);
}

HfAccess hf_keyring_access(const HfKeyring *keyring)
{
  return keyring->access;
}

const HfShortId *hf_keyring_writer_id(const HfKeyring *keyring)
{
  return &keyring->writer;
}

guint32 hf_keyring_domain(const HfKeyring *keyring)
{
  return keyring->domain;
}

const HfKey *hf_keyring_seed(const HfKeyring *keyring)
{
  return &keyring->seed;
}

const HfWriter *hf_keyring_find_writer(HfKeyring *keyring, const HfShortId *writer, gboolean *removed)
{
  gboolean is_removed;
  const HfWriter *found = hf_writer_table_find(keyring->writers, writer, &is_removed, NULL);
  if (removed != NULL)
    *removed = is_removed;
  return removed == NULL && is_removed ? NULL : found;
}
