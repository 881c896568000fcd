/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The key verbs: list, add, hide, rotate. */
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "repo/keystate.h"
#include "repo/objects.h"

#define TRIES 100

void hf_slot_info_free(HfSlotInfo *info)
{
  g_free(info->label);
  g_free(info);
}

GPtrArray *hf_keys_list(HfStore *store, const HfConfig *config, HfKeyring *keyring, GError **error)
{
  g_autoptr(GPtrArray) slots = hf_slots_load(store, config->admin_public, NULL, error);
  if (slots == NULL)
    return NULL;
  GPtrArray *infos = g_ptr_array_new_with_free_func((GDestroyNotify)hf_slot_info_free);
  for (guint i = 0; i < slots->len; i++) {
    const HfSlotState *state = g_ptr_array_index(slots, i);
    HfSlotInfo *info = g_new0(HfSlotInfo, 1);
    info->id = state->id;
    info->way = state->slot.way;
    info->hidden = state->hidden;
    info->current = keyring != NULL && keyring->has_slot && hf_short_id_equal(&state->id, &keyring->slot);
    info->created = state->slot.created;
    info->label = g_strdup(state->usable ? state->slot.label : "(damaged)");
    g_ptr_array_add(infos, info);
  }
  return infos;
}

static gboolean label_valid(const char *label, GError **error)
{
  if (label == NULL || (strlen(label) < HF_TEXT_MAX && g_utf8_validate(label, -1, NULL)))
    return TRUE;
  return hf_fail(error, HF_ERROR_USAGE, "the label of a key must be UTF-8 text of less than %u bytes", HF_TEXT_MAX);
}

/* Makes a slot, and looks whether a generation came up meanwhile that it lacks: *complete is FALSE then, and the slot
 * is gone again. */
static gboolean try_add(HfStore *store, HfKeyring *keyring, const HfNewSlot *new_slot, char **made, HfShortId *slot,
                        gboolean *complete, GError **error)
{
  guint32 newest = hf_keyring_newest(keyring)->number;
  char base[HF_NAME_BYTES];
  if (!hf_slot_make(store, keyring, new_slot, made, slot, NULL, error))
    return FALSE;
  gboolean looked = hf_keyring_reload(keyring, store, error);
  *complete = looked && hf_keyring_newest(keyring)->number == newest;
  if (*complete)
    return TRUE;
  if (*made != NULL)
    hf_wipe(*made, strlen(*made));
  g_clear_pointer(made, g_free);
  hf_name_slot(base, slot);
  return hf_triple_remove(store, base, looked ? error : NULL) && looked;
}

static gboolean fail_busy(GError **error)
{
  return hf_fail(error, HF_ERROR_BUSY, "others change the keys at the same time; try again");
}

gboolean hf_keys_add(HfStore *store, const HfConfig *config, HfKeyring *keyring, const HfUnlock *unlock,
                     const char *label, char **made, HfShortId *slot, GError **error)
{
  HfNewSlot new_slot = { .kind = unlock->kind, .password = unlock->text, .length = unlock->length, .label = label };
  gboolean complete = FALSE;
  (void)config;
  *made = NULL;
  if (!hf_keyring_need_admin(keyring, "adding a key", error) || !label_valid(label, error))
    return FALSE;
  if (unlock->kind == HF_UNLOCK_NONE)
    return hf_fail(error, HF_ERROR_USAGE,
                   "a key that everybody knows cannot be added; give a password or ask for a key "
                   "file");
  if (!hf_keyring_reload(keyring, store, error))
    return FALSE;
  for (guint i = 0; i < TRIES && !complete; i++)
    if (!try_add(store, keyring, &new_slot, made, slot, &complete, error))
      return FALSE;
  return complete || fail_busy(error);
}

/* ---- Hiding. ---- */

static gboolean is_visible(const HfSlotState *state)
{
  return state->usable && !state->hidden;
}

static guint count_visible(const GPtrArray *slots)
{
  guint count = 0;
  for (guint i = 0; i < slots->len; i++)
    count += is_visible(g_ptr_array_index(slots, i));
  return count;
}

static const HfSlotState *find_slot(const GPtrArray *slots, const HfShortId *id)
{
  for (guint i = 0; i < slots->len; i++) {
    const HfSlotState *state = g_ptr_array_index(slots, i);
    if (hf_short_id_equal(&state->id, id))
      return state;
  }
  return NULL;
}

static gboolean fail_last(GError **error)
{
  return hf_fail(error, HF_ERROR_REFUSED, "this is the last key that opens the repository; add another first");
}

gboolean hf_keys_hide(HfStore *store, const HfConfig *config, HfKeyring *keyring, const HfShortId *slot, GError **error)
{
  char base[HF_NAME_BYTES];
  (void)config;
  if (!hf_keyring_need_admin(keyring, "hiding a key", error))
    return FALSE;
  g_autoptr(GPtrArray) slots = hf_slots_load(store, keyring->admin_public, NULL, error);
  if (slots == NULL)
    return FALSE;
  const HfSlotState *state = find_slot(slots, slot);
  if (state == NULL)
    return hf_fail(error, HF_ERROR_NOT_FOUND, "there is no such key slot; see 'holdfast key list'");
  if (state->hidden)
    return hf_fail(error, HF_ERROR_EXISTS, "this key slot was hidden before");
  if (count_visible(slots) <= (is_visible(state) ? 1u : 0u))
    return fail_last(error);
  g_autoptr(GBytes) record = hf_notice_encode(HF_RECORD_SLOT_HIDDEN, slot, hf_clock_real_ns(), &keyring->admin_seed);
  hf_name_slot(base, slot);
  g_autofree char *mark = g_strconcat(base, ".hidden", NULL);
  if (!hf_triple_put(store, mark, record, error))
    return FALSE;
  /* Another may have hidden the other slots at the same time. */
  g_autoptr(GPtrArray) left = hf_slots_load(store, keyring->admin_public, NULL, error);
  if (left == NULL)
    return FALSE;
  if (count_visible(left) > 0)
    return TRUE;
  return hf_triple_remove(store, mark, error) && fail_last(error);
}

/* ---- Rotating. ---- */

static gboolean add_share(HfRing *ring, const HfSlotState *state, const HfKey *secret, GError **error)
{
  HfRingShare share = { .slot = state->id };
  if (!hf_box_seal(state->slot.public_half, secret->b, sizeof secret->b, share.sealed, error))
    return FALSE;
  g_array_append_val(ring->shares, share);
  return TRUE;
}

gboolean hf_ring_make(HfStore *store, HfKeyring *keyring, guint32 number, const GPtrArray *slots, GError **error)
{
  g_auto(HfRing) ring = { .generation = number, .created = hf_clock_real_ns() };
  g_auto(HfKey) secret;
  char base[HF_NAME_BYTES];
  hf_random(secret.b, sizeof secret.b);
  hf_box_public(&secret, ring.public_half);
  ring.shares = g_array_new(FALSE, FALSE, sizeof(HfRingShare));
  for (guint i = 0; slots != NULL && i < slots->len; i++) {
    const HfSlotState *state = g_ptr_array_index(slots, i);
    if (is_visible(state) && !add_share(&ring, state, &secret, error))
      return FALSE;
  }
  g_autoptr(GBytes) record = hf_ring_encode(&ring, &keyring->admin_seed);
  hf_name_ring(base, number);
  if (!hf_triple_put(store, base, record, error))
    return FALSE;
  hf_keyring_add_generation(keyring, number, &secret);
  return TRUE;
}

/* Every slot that is visible now was so before: it has its share of the new generation. */
static gboolean slots_unchanged(const GPtrArray *before, const GPtrArray *after)
{
  for (guint i = 0; i < after->len; i++) {
    const HfSlotState *state = g_ptr_array_index(after, i);
    const HfSlotState *old = find_slot(before, &state->id);
    if (is_visible(state) && (old == NULL || !is_visible(old)))
      return FALSE;
  }
  return TRUE;
}

/* One generation more. *complete is FALSE when another took the number, or when a slot came up meanwhile. */
static gboolean try_rotate(HfStore *store, HfKeyring *keyring, guint32 *generation, gboolean *complete, GError **error)
{
  g_autoptr(GError) why = NULL;
  *complete = FALSE;
  if (!hf_keyring_reload(keyring, store, error))
    return FALSE;
  g_autoptr(GPtrArray) before = hf_slots_load(store, keyring->admin_public, NULL, error);
  if (before == NULL)
    return FALSE;
  *generation = hf_keyring_newest(keyring)->number + 1;
  if (!hf_ring_make(store, keyring, *generation, before, &why)) {
    if (hf_error_is(why, HF_ERROR_EXISTS))
      return TRUE;
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
  }
  g_autoptr(GPtrArray) after = hf_slots_load(store, keyring->admin_public, NULL, error);
  *complete = after != NULL && slots_unchanged(before, after);
  return after != NULL;
}

gboolean hf_keys_rotate(HfStore *store, const HfConfig *config, HfKeyring *keyring, guint32 *generation, GError **error)
{
  gboolean complete = FALSE;
  (void)config;
  if (!hf_keyring_need_admin(keyring, "rotating the keys", error))
    return FALSE;
  for (guint i = 0; i < TRIES && !complete; i++)
    if (!try_rotate(store, keyring, generation, &complete, error))
      return FALSE;
  return complete || fail_busy(error);
}
