/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Key slots. A bundle is sealed to the public half of its slot, which is no secret: anybody could seal another. So it
 * ends with a code that only who knows the slot's secret can make (format.md 2.3), and what it holds can vouch for the
 * admin key.
 */
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/work.h"
#include "repo/keystate.h"
#include "repo/objects.h"

#define ARGON_PASSES 3u
#define ARGON_MEMORY_KIB (64u << 10)
#define CODE_BYTES 32u

/* ---- Reading. ---- */

static void slot_state_free(gpointer pointer)
{
  HfSlotState *state = pointer;
  hf_slot_clear(&state->slot);
  g_free(state);
}

/* The mark counts only when the admin key signed it: a store cannot hide a slot. */
static gboolean is_hidden(HfStore *store, const char *base, const guint8 admin_public[32], const HfShortId *slot)
{
  g_autofree char *mark = g_strconcat(base, ".hidden", NULL);
  g_autoptr(GBytes) record = hf_triple_get(store, mark, HF_RECORD_SLOT_HIDDEN, NULL, NULL);
  HfShortId named;
  gint64 time;
  return record != NULL && hf_notice_decode(record, HF_RECORD_SLOT_HIDDEN, admin_public, &named, &time, NULL) &&
    hf_short_id_equal(&named, slot);
}

static gboolean read_slot(HfStore *store, const char *base, const guint8 admin_public[32], HfSlotState *state,
                          GError **error)
{
  g_autoptr(GBytes) record = hf_triple_get(store, base, HF_RECORD_SLOT, NULL, error);
  if (record == NULL || !hf_slot_decode(record, admin_public, &state->slot, error))
    return FALSE;
  if (hf_short_id_equal(&state->slot.id, &state->id))
    return TRUE;
  hf_slot_clear(&state->slot);
  return hf_fail(error, HF_ERROR_DAMAGED, "key slot '%s' holds another slot", base);
}

static gint compare_slots(gconstpointer a, gconstpointer b)
{
  const HfSlotState *left = *(HfSlotState *const *)a, *right = *(HfSlotState *const *)b;
  if (left->usable != right->usable)
    return left->usable ? -1 : 1;
  if (left->slot.created != right->slot.created)
    return left->slot.created < right->slot.created ? -1 : 1;
  return memcmp(&left->id, &right->id, sizeof left->id);
}

GPtrArray *hf_slots_load(HfStore *store, const guint8 admin_public[32], GPtrArray *complaints, GError **error)
{
  g_autoptr(GPtrArray) bases = hf_triple_list(store, "keys/", error);
  if (bases == NULL)
    return NULL;
  g_autoptr(GPtrArray) slots = g_ptr_array_new_with_free_func(slot_state_free);
  for (guint i = 0; i < bases->len; i++) {
    const char *base = g_ptr_array_index(bases, i);
    HfShortId id;
    if (g_str_has_suffix(base, ".hidden") || !hf_name_short_id(base, &id))
      continue;
    HfSlotState *state = g_new0(HfSlotState, 1);
    g_autoptr(GError) why = NULL;
    state->id = id;
    g_ptr_array_add(slots, state);
    state->usable = read_slot(store, base, admin_public, state, &why);
    if (!state->usable && complaints != NULL)
      g_ptr_array_add(complaints, g_strdup_printf("key slot '%s' cannot be used: %s", base, why->message));
    state->hidden = is_hidden(store, base, admin_public, &id);
  }
  g_ptr_array_sort(slots, compare_slots);
  return g_steal_pointer(&slots);
}

char *hf_slots_describe(const GPtrArray *slots)
{
  guint count[HF_SLOT_KEY_FILE + 1] = { 0 };
  for (guint i = 0; i < slots->len; i++) {
    const HfSlotState *state = g_ptr_array_index(slots, i);
    if (state->usable && !state->hidden)
      count[state->slot.way]++;
  }
  if (count[HF_SLOT_NONE] > 0)
    return g_strdup("without a password (it is not encrypted)");
  if (count[HF_SLOT_PASSWORD] > 0 && count[HF_SLOT_KEY_FILE] > 0)
    return g_strdup("with a password, a key file or a paper key");
  if (count[HF_SLOT_PASSWORD] > 0)
    return g_strdup("with a password");
  return g_strdup(count[HF_SLOT_KEY_FILE] > 0 ? "with a key file or a paper key" : "in no way that can be read");
}

/* ---- Opening. ---- */

gboolean hf_slot_password_secret(const HfSlot *slot, const char *password, gsize length, HfKey *secret, GError **error)
{
  return hf_password_key(password, length, slot->salt, slot->passes, slot->memory_kib, secret, error);
}

static void wipe_item(gpointer item)
{
  hf_wipe(item, sizeof(HfBundleItem));
}

/* Room for `count` from the start: growing would leave copies of secrets behind. */
static GArray *new_items(guint count)
{
  GArray *items = g_array_sized_new(FALSE, FALSE, sizeof(HfBundleItem), count);
  g_array_set_clear_func(items, wipe_item);
  return items;
}

/* The code at the end of a bundle. */
static void bundle_code(const HfKey *secret, const HfShortId *slot, const void *plain, gsize length,
                        guint8 code[CODE_BYTES])
{
  g_auto(HfKey) key;
  hf_derive(secret, "holdfast bundle", &key);
  g_autoptr(HfHasher) hasher = hf_hasher_new(&key);
  hf_hasher_update(hasher, slot->b, sizeof slot->b);
  hf_hasher_update(hasher, plain, length);
  hf_hasher_final(hasher, code);
}

GArray *hf_slot_open_bundle(const HfSlot *slot, const HfKey *secret, GError **error)
{
  gsize sealed;
  const void *bytes = g_bytes_get_data(slot->bundle, &sealed);
  guint8 code[CODE_BYTES];
  if (sealed < HF_SEAL_BYTES + CODE_BYTES) {
    hf_fail(error, HF_ERROR_INVALID, "the bundle of key slot '%s' is too short", slot->label);
    return NULL;
  }
  gsize length = sealed - HF_SEAL_BYTES - CODE_BYTES;
  g_auto(HfBuffer) plain = HF_BUFFER_INIT;
  g_autoptr(GArray) items = new_items((guint)(length / (1 + 4 + HF_KEY_BYTES)) + 1);
  gboolean opened = hf_buffer_resize(&plain, length + CODE_BYTES, error) &&
    hf_box_open(secret, bytes, sealed, plain.data, error);
  if (opened) {
    bundle_code(secret, &slot->id, plain.data, length, code);
    opened = memcmp(code, plain.data + length, CODE_BYTES) == 0
      ? hf_bundle_decode(plain.data, length, items, error)
      : hf_fail(error, HF_ERROR_DAMAGED, "the bundle of key slot '%s' was made by somebody who does not know its key; "
                "somebody has changed the repository", slot->label);
  }
  hf_buffer_wipe(&plain);
  return opened ? g_steal_pointer(&items) : NULL;
}

/* ---- Making. ---- */

static void add_item(GArray *items, HfBundleKind kind, guint32 number, const HfKey *secret)
{
  HfBundleItem item = { .kind = (guint8)kind, .number = number, .secret = *secret };
  g_array_append_val(items, item);
  hf_key_clear(&item.secret);
}

static GArray *held_items(HfKeyring *keyring)
{
  HF_LOCK(&keyring->mutex);
  GArray *items = new_items(keyring->generations->len + 3);
  for (guint i = 0; i < keyring->generations->len; i++) {
    const HfGeneration *generation = g_ptr_array_index(keyring->generations, i);
    if (generation->open)
      add_item(items, HF_BUNDLE_RING, generation->number, &generation->secret);
  }
  add_item(items, HF_BUNDLE_ADMIN, 0, &keyring->admin_seed);
  add_item(items, HF_BUNDLE_OWNER, 0, &keyring->seed);
  add_item(items, HF_BUNDLE_DOMAIN, keyring->domain, &keyring->domain_key);
  return items;
}

static gboolean seal_bundle(HfKeyring *keyring, HfSlot *slot, const HfKey *secret, GError **error)
{
  g_autoptr(GArray) items = held_items(keyring);
  g_autoptr(GByteArray) plain =
      g_byte_array_sized_new(HF_VARINT_BYTES + items->len * (1 + 4 + HF_KEY_BYTES) + CODE_BYTES);
  guint8 code[CODE_BYTES];
  hf_bundle_encode((const HfBundleItem *)(gpointer)items->data, items->len, plain);
  bundle_code(secret, &slot->id, plain->data, plain->len, code);
  g_byte_array_append(plain, code, sizeof code);
  gsize sealed = plain->len + HF_SEAL_BYTES;
  guint8 *bytes = g_malloc(sealed);
  gboolean done = hf_box_seal(slot->public_half, plain->data, plain->len, bytes, error);
  slot->bundle = g_bytes_new_take(bytes, sealed);
  hf_wipe(plain->data, plain->len);
  return done;
}

/* Fills way, costs and salt and gives the secret. */
static gboolean draw_secret(const HfNewSlot *new_slot, HfSlot *slot, HfKey *secret, GError **error)
{
  switch (new_slot->kind) {
  case HF_UNLOCK_NONE:
    slot->way = HF_SLOT_NONE;
    memset(secret, 0, sizeof *secret);
    return TRUE;
  case HF_UNLOCK_PASSWORD:
    if (new_slot->length == 0)
      return hf_fail(error, HF_ERROR_USAGE, "the password is empty; give another");
    slot->way = HF_SLOT_PASSWORD;
    slot->passes = ARGON_PASSES;
    slot->memory_kib = ARGON_MEMORY_KIB;
    hf_random(slot->salt, sizeof slot->salt);
    return hf_slot_password_secret(slot, new_slot->password, new_slot->length, secret, error);
  default:
    slot->way = HF_SLOT_KEY_FILE;
    hf_random(secret->b, sizeof secret->b);
    return TRUE;
  }
}

static char *secret_text(const HfKeyring *keyring, HfUnlockKind kind, const HfShortId *slot, const HfKey *secret)
{
  if (kind == HF_UNLOCK_PAPER)
    return hf_paper_key_encode(slot, secret);
  if (kind != HF_UNLOCK_KEY_FILE)
    return NULL;
  HfKeyFile file = { .family = keyring->family, .slot = *slot, .secret = *secret };
  hf_fingerprint(&keyring->family, keyring->admin_public, &file.fingerprint);
  char *text = hf_key_file_encode(&file);
  hf_key_clear(&file.secret);
  return text;
}

static const char *default_label(HfUnlockKind kind)
{
  static const char *const labels[] = {
    [HF_UNLOCK_NONE] = "not encrypted",
    [HF_UNLOCK_PASSWORD] = "password",
    [HF_UNLOCK_KEY_FILE] = "key file",
    [HF_UNLOCK_PAPER] = "paper key",
  };
  return labels[kind];
}

gboolean hf_slot_make(HfStore *store, HfKeyring *keyring, const HfNewSlot *new_slot, char **made, HfShortId *id,
                      HfKey *secret, GError **error)
{
  g_auto(HfSlot) slot = { .created = hf_clock_real_ns() };
  g_auto(HfKey) drawn = { 0 };
  char base[HF_NAME_BYTES];
  hf_random(slot.id.b, sizeof slot.id.b);
  slot.label = g_strdup(new_slot->label != NULL ? new_slot->label : default_label(new_slot->kind));
  if (!draw_secret(new_slot, &slot, &drawn, error))
    return FALSE;
  hf_box_public(&drawn, slot.public_half);
  if (!seal_bundle(keyring, &slot, &drawn, error))
    return FALSE;
  g_autoptr(GBytes) record = hf_slot_encode(&slot, &keyring->admin_seed);
  hf_name_slot(base, &slot.id);
  if (!hf_triple_put(store, base, record, error))
    return FALSE;
  if (made != NULL)
    *made = secret_text(keyring, new_slot->kind, &slot.id, &drawn);
  if (secret != NULL)
    *secret = drawn;
  *id = slot.id;
  return TRUE;
}
