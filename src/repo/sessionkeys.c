/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The keys of sessions and domains. */
#include <string.h>

#include "base/error.h"
#include "base/work.h"
#include "repo/keystate.h"

G_STATIC_ASSERT(sizeof(HfSessionSlot) == 264); /* no padding: slots are compared bytewise */

/* A session's keys. Never freed before the keyring. */
typedef struct OpenedSession {
  HfSessionSlot slot;
  gboolean has_data;
  HfKey data_key, meta_key;
} OpenedSession;

static void opened_free(gpointer opened)
{
  hf_wipe(opened, sizeof(OpenedSession));
  g_free(opened);
}

/* The whole slot counts: another writer could use our session's id. */
static gboolean slot_equal(gconstpointer a, gconstpointer b)
{
  return memcmp(a, b, sizeof(HfSessionSlot)) == 0;
}

GHashTable *hf_opened_sessions_new(void)
{
  return g_hash_table_new_full(hf_id_hash, slot_equal, NULL, opened_free);
}

/* ---- Domains. ---- */

/* The domain key that a writer's record holds for who can open the ring. */
static gboolean open_domain_key(HfKeyring *keyring, const HfWriter *writer, HfKey *key, GError **error)
{
  const HfGeneration *generation = hf_keyring_generation(keyring, writer->generation);
  if (generation == NULL || !generation->open)
    return hf_fail(error, HF_ERROR_PERMISSION,
                   "the key of domain %u is sealed to key generation %u, which this key slot "
                   "does not open; use another",
                   writer->domain, writer->generation);
  return hf_box_open(&generation->secret, writer->sealed_domain_key, sizeof writer->sealed_domain_key, key, error);
}

static gboolean find_domain_key(HfKeyring *keyring, guint32 domain, HfKey *key, GError **error)
{
  g_autoptr(GPtrArray) all = hf_writer_table_all(keyring->writers);
  for (guint i = 0; i < all->len; i++) {
    const HfEnrolled *enrolled = g_ptr_array_index(all, i);
    if (enrolled->writer.domain == domain)
      return open_domain_key(keyring, &enrolled->writer, key, error);
  }
  return hf_fail(error, HF_ERROR_PERMISSION, "no writer of domain %u is enrolled", domain);
}

static gboolean cached_domain_key(HfKeyring *keyring, guint32 domain, HfKey *key)
{
  HF_LOCK(&keyring->mutex);
  const HfKey *cached = g_hash_table_lookup(keyring->domains, GUINT_TO_POINTER(domain));
  if (cached != NULL)
    *key = *cached;
  return cached != NULL;
}

gboolean hf_keyring_domain_key(const HfKeyring *keyring, guint32 domain, HfKey *key, GError **error)
{
  HfKeyring *inner = (HfKeyring *)keyring; /* the cache only */
  if (domain == keyring->domain) {
    *key = keyring->domain_key;
    return TRUE;
  }
  if (keyring->access != HF_ACCESS_FULL)
    return hf_fail(error, HF_ERROR_PERMISSION, "a %s opens its own domain %u only, not domain %u",
                   keyring->pass != NULL ? "pass" : "credential", keyring->domain, domain);
  if (cached_domain_key(inner, domain, key))
    return TRUE;
  if (!find_domain_key(inner, domain, key, error))
    return FALSE;
  HF_LOCK(&inner->mutex);
  g_hash_table_insert(inner->domains, GUINT_TO_POINTER(domain), g_memdup2(key, sizeof *key));
  return TRUE;
}

/* ---- A new session. ---- */

static void session_keys(const HfKey *session_key, HfKey *data_key, HfKey *meta_key)
{
  hf_derive(session_key, "holdfast data", data_key);
  hf_derive(session_key, "holdfast meta", meta_key);
}

static gboolean check_enrolled(HfKeyring *keyring, GError **error)
{
  gboolean removed;
  const HfWriter *own = hf_writer_table_find(keyring->writers, &keyring->writer, &removed, NULL);
  if (own != NULL && !removed)
    return TRUE;
  return hf_fail(error, HF_ERROR_PERMISSION, "this host %s; enrol it anew with 'holdfast writer add'",
                 removed ? "was removed from the writers of the repository"
                         : "is not among the writers of the repository");
}

gboolean hf_keyring_new_session(const HfKeyring *keyring, const HfShortId *session, HfSessionSlot *slot,
                                HfKey *data_key, HfKey *meta_key, GError **error)
{
  const HfGeneration *newest = hf_keyring_newest(keyring);
  g_auto(HfKey) session_key;
  guint8 bytes[HF_SESSION_SLOT_BYTES], state_public[32];
  if (!check_enrolled((HfKeyring *)keyring, error))
    return FALSE;
  memset(slot, 0, sizeof *slot);
  slot->session = *session;
  slot->writer = keyring->writer;
  slot->domain = keyring->domain;
  slot->generation = newest->number;
  hf_random(session_key.b, sizeof session_key.b);
  session_keys(&session_key, data_key, meta_key);
  if (!hf_box_seal(newest->public_half, session_key.b, sizeof session_key.b, slot->sealed_key, error))
    return FALSE;
  if (keyring->has_state) {
    hf_box_public(&keyring->state_secret, state_public);
    if (!hf_box_seal(state_public, meta_key->b, sizeof meta_key->b, slot->sealed_meta_key, error))
      return FALSE;
  }
  hf_session_slot_encode(slot, &keyring->seed, bytes);
  return TRUE;
}

/* ---- A session found in the store. ---- */

/* Who signed must be enrolled for the domain, or be ourselves; removed or not: old sessions stay readable. */
static gboolean check_slot(HfKeyring *keyring, const HfSessionSlot *slot, GError **error)
{
  guint8 public_key[32];
  guint32 domain = keyring->domain;
  const HfWriter *writer = hf_writer_table_find(keyring->writers, &slot->writer, NULL, NULL);
  if (writer != NULL) {
    memcpy(public_key, writer->public_key, sizeof public_key);
    domain = writer->domain;
  } else if (hf_short_id_equal(&slot->writer, &keyring->writer)) {
    hf_sign_public(&keyring->seed, public_key);
  } else {
    return hf_fail(error, HF_ERROR_DAMAGED, "a session's key slot is by a writer who is not enrolled");
  }
  if (!hf_session_slot_verify(slot, public_key))
    return hf_fail(error, HF_ERROR_DAMAGED, "a session's key slot is not signed by the writer that it names");
  if (slot->domain != domain)
    return hf_fail(error, HF_ERROR_DAMAGED, "a session's key slot is of domain %u, its writer of domain %u",
                   slot->domain, domain);
  return TRUE;
}

static gboolean open_by_ring(HfKeyring *keyring, OpenedSession *opened, GError **error)
{
  const HfGeneration *generation = hf_keyring_generation(keyring, opened->slot.generation);
  g_auto(HfKey) session_key;
  if (generation == NULL || !generation->open)
    return hf_fail(error, HF_ERROR_PERMISSION, "a session is sealed to key generation %u, which this key slot does not "
                   "open; use another", opened->slot.generation);
  if (!hf_box_open(&generation->secret, opened->slot.sealed_key, sizeof opened->slot.sealed_key, &session_key, error))
    return FALSE;
  session_keys(&session_key, &opened->data_key, &opened->meta_key);
  opened->has_data = TRUE;
  return TRUE;
}

static gboolean open_by_state(HfKeyring *keyring, OpenedSession *opened, GError **error)
{
  if (!hf_short_id_equal(&opened->slot.writer, &keyring->writer))
    return hf_fail(error, HF_ERROR_PERMISSION, "a credential cannot read what others wrote");
  return hf_box_open(&keyring->state_secret, opened->slot.sealed_meta_key, sizeof opened->slot.sealed_meta_key,
                     &opened->meta_key, error);
}

static gboolean open_by_pass(HfKeyring *keyring, OpenedSession *opened, GError **error)
{
  const HfDomainPassSession *session = g_hash_table_lookup(keyring->pass, &opened->slot.session);
  if (session == NULL || opened->slot.domain != keyring->domain)
    return hf_fail(error, HF_ERROR_PERMISSION, "this pass does not open that session; ask for a new one");
  opened->data_key = session->data_key;
  opened->meta_key = session->meta_key;
  opened->has_data = TRUE;
  return TRUE;
}

static OpenedSession *find_opened(HfKeyring *keyring, const HfSessionSlot *slot)
{
  HF_LOCK(&keyring->mutex);
  return g_hash_table_lookup(keyring->sessions, slot);
}

/* Two threads may have opened the same slot: the first one's keys stay. */
static const OpenedSession *keep_opened(HfKeyring *keyring, OpenedSession *opened)
{
  HF_LOCK(&keyring->mutex);
  OpenedSession *there = g_hash_table_lookup(keyring->sessions, &opened->slot);
  if (there != NULL) {
    opened_free(opened);
    return there;
  }
  g_hash_table_insert(keyring->sessions, &opened->slot, opened);
  return opened;
}

gboolean hf_keyring_open_slot(HfKeyring *keyring, const HfSessionSlot *slot, const HfKey **data_key,
                              const HfKey **meta_key, GError **error)
{
  const OpenedSession *found = find_opened(keyring, slot);
  if (found == NULL) {
    if (!check_slot(keyring, slot, error))
      return FALSE;
    OpenedSession *opened = g_new0(OpenedSession, 1);
    opened->slot = *slot;
    if (!(keyring->access == HF_ACCESS_FULL ? open_by_ring
          : keyring->pass != NULL           ? open_by_pass
                                            : open_by_state)(keyring, opened, error)) {
      opened_free(opened);
      return FALSE;
    }
    found = keep_opened(keyring, opened);
  }
  *data_key = found->has_data ? &found->data_key : NULL;
  *meta_key = &found->meta_key;
  return TRUE;
}

/* ---- Passes. ---- */

char *hf_keyring_make_pass(HfKeyring *keyring, guint32 domain, const GArray *slots, GError **error)
{
  g_auto(HfDomainPass) pass = { 0 };
  if (!hf_keyring_need_admin(keyring, "making a pass", error))
    return NULL;
  hf_domain_pass_init(&pass);
  pass.family = keyring->family;
  memcpy(pass.admin_public, keyring->admin_public, sizeof pass.admin_public);
  pass.domain = domain;
  if (!hf_keyring_domain_key(keyring, domain, &pass.domain_key, error))
    return NULL;
  for (guint i = 0; i < slots->len; i++) {
    const HfSessionSlot *slot = &g_array_index(slots, HfSessionSlot, i);
    const HfKey *data_key, *meta_key;
    if (slot->domain != domain || !hf_keyring_open_slot(keyring, slot, &data_key, &meta_key, NULL) || data_key == NULL)
      continue;
    HfDomainPassSession session = { .session = slot->session, .data_key = *data_key, .meta_key = *meta_key };
    g_array_append_val(pass.sessions, session);
    hf_wipe(&session, sizeof session);
  }
  return hf_domain_pass_encode(&pass);
}
