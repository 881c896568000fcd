/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who may do what: slots, ring, bundle, writers (format.md 2.3 and 3). An HfKeyring is what one way in opened. It is
 * read-only after opening (hf_keyring_reload aside) and safe for all threads; secrets are wiped by hf_keyring_free.
 *
 * Invariants
 *  K1 Nothing signed by the admin key is used before its signature was checked against the admin public key that the
 *     bundle (password, key file) or the credential vouches for: a swapped public half is HF_ERROR_DAMAGED.
 *  K2 Slots, rings and writers are only ever added; hidden and removed are notices beside them.
 */
#pragma once

#include "base/report.h"
#include "format/pack.h"
#include "format/repository.h"
#include "storage/store.h"

typedef enum HfAccess {
  HF_ACCESS_NONE,  /* no key: stored bytes only */
  HF_ACCESS_WRITE, /* write-only credential: own domain, own metadata */
  HF_ACCESS_READ,  /* pass: sessions of one domain, and nothing to write with */
  HF_ACCESS_FULL,  /* password, key file, or encryption none */
} HfAccess;

/* How the user proves himself. `text` is a password (kind PASSWORD), the text of a key file, credential or pass
 * (KEY_FILE), a paper key (PAPER). NONE tries the open slot of encryption "none". The bytes are borrowed. */
typedef enum HfUnlockKind { HF_UNLOCK_NONE, HF_UNLOCK_PASSWORD, HF_UNLOCK_KEY_FILE, HF_UNLOCK_PAPER } HfUnlockKind;
typedef struct HfUnlock {
  HfUnlockKind kind;
  const char *text;
  gsize length;
} HfUnlock;

typedef struct HfKeyring HfKeyring;

/* Opens the keyring: HF_ERROR_PASSWORD when no slot opens (says which ways in exist). */
HfKeyring *hf_keyring_open(HfStore *store, const HfConfig *config, const HfUnlock *unlock, GError **error);
void hf_keyring_free(HfKeyring *keyring);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfKeyring, hf_keyring_free)

/* Takes in the ring generations and writers that are new in the store. Thread-safe. */
gboolean hf_keyring_reload(HfKeyring *keyring, HfStore *store, GError **error);

/* Makes all keys of a new repository of config->family: fills config->admin_public, writes ring/0, the owner's writer
 * and one slot. With unlock NONE that is all; with PASSWORD and `made` given also a paper key slot, whose text *made
 * becomes; with KEY_FILE (`text` is ignored) *made becomes the text of the new key file. The caller wipes and frees
 * *made. The config itself is written by the caller, last: hf_keyring_sign_config. */
HfKeyring *hf_keyring_create(HfStore *store, HfConfig *config, const HfUnlock *unlock, char **made, GError **error);
/* Copies keys, ring and writers of `from` (same family) that `store` does not have, byte for byte. What is there stays
 * as it is: a mark that a writer was removed or a key hidden may be of another time in each. */
gboolean hf_keyring_clone(HfStore *from, HfStore *store, GError **error);
/* The config record signed by the admin key; needs HF_ACCESS_FULL. */
GBytes *hf_keyring_sign_config(const HfKeyring *keyring, const HfConfig *config, GError **error);

HfAccess hf_keyring_access(const HfKeyring *keyring);
/* The writer that this keyring writes as: the owner, or the credential's. */
const HfShortId *hf_keyring_writer_id(const HfKeyring *keyring);
guint32 hf_keyring_domain(const HfKeyring *keyring);
/* Signs as that writer. */
const HfKey *hf_keyring_seed(const HfKeyring *keyring);
/* The domain's key: HF_ERROR_PERMISSION when this keyring does not hold it. */
gboolean hf_keyring_domain_key(const HfKeyring *keyring, guint32 domain, HfKey *key, GError **error);

/* A new session's slot: draws KS, seals it to the newest generation (and K_meta to the own state key of a credential),
 * signs. data_key and meta_key are K_data and K_meta. */
gboolean hf_keyring_new_session(const HfKeyring *keyring, const HfShortId *session, HfSessionSlot *slot,
                                HfKey *data_key, HfKey *meta_key, GError **error);
/* Opens a slot found in a pack or point (cached by session id). The writer's signature and its domain are checked:
 * HF_ERROR_DAMAGED when wrong. With a write-only credential only K_meta of own sessions comes out: *data_key is NULL
 * then, HF_ERROR_PERMISSION for others' sessions. The keys live as long as the keyring. */
gboolean hf_keyring_open_slot(HfKeyring *keyring, const HfSessionSlot *slot, const HfKey **data_key,
                              const HfKey **meta_key, GError **error);

/* The text of a pass for the sessions of `slots` (of HfSessionSlot; those of other domains, and those that do not open,
 * are left out). Needs HF_ACCESS_FULL; the caller wipes and frees. */
char *hf_keyring_make_pass(HfKeyring *keyring, guint32 domain, const GArray *slots, GError **error);

/* The record of an enrolled writer, NULL when it is not enrolled. *removed tells whether it was removed since; with
 * `removed` NULL a removed writer counts as not enrolled. Borrowed; valid as long as the keyring, also after a
 * reload. */
const HfWriter *hf_keyring_find_writer(HfKeyring *keyring, const HfShortId *writer, gboolean *removed);

/* ---- key list|add|hide|change|rotate|export; all but list need HF_ACCESS_FULL. ---- */
typedef struct HfSlotInfo {
  HfShortId id;
  guint8 way;
  gboolean hidden, current; /* current: the one that was used to open */
  gint64 created;
  char *label;
} HfSlotInfo;
void hf_slot_info_free(HfSlotInfo *info);
GPtrArray *hf_keys_list(HfStore *store, const HfConfig *config, HfKeyring *keyring, GError **error);
/* Adds a way in. For PASSWORD the bytes are the password. For KEY_FILE and PAPER `text` is ignored and *made becomes
 * the text to keep (caller wipes and frees). */
gboolean hf_keys_add(HfStore *store, const HfConfig *config, HfKeyring *keyring, const HfUnlock *unlock,
                     const char *label, char **made, HfShortId *slot, GError **error);
/* Refuses (HF_ERROR_REFUSED) to hide the last visible slot. */
gboolean hf_keys_hide(HfStore *store, const HfConfig *config, HfKeyring *keyring, const HfShortId *slot,
                      GError **error);
/* A new ring generation, sealed to all visible slots. */
gboolean hf_keys_rotate(HfStore *store, const HfConfig *config, HfKeyring *keyring, guint32 *generation,
                        GError **error);
/* All key objects, config and writers in one text (still locked), to be kept elsewhere; import puts back what is
 * missing. */
char *hf_keys_export(HfStore *store, GError **error);
gboolean hf_keys_import(HfStore *store, const char *text, gsize length, guint *restored, GError **error);

/* ---- writer list|add|remove; need HF_ACCESS_FULL. ---- */
typedef struct HfWriterInfo {
  HfShortId id;
  guint32 domain;
  char *name;
  gint64 created, removed; /* removed: when; 0 when enrolled */
  gboolean owner;
} HfWriterInfo;
void hf_writer_info_free(HfWriterInfo *info);
GPtrArray *hf_writers_list(HfKeyring *keyring, GError **error);
/* Enrols a host in a new domain; the credential's text is the caller's (wipe, free). */
char *hf_writers_add(HfStore *store, const HfConfig *config, HfKeyring *keyring, const char *name, GError **error);
/* As of now, or of `earliest` when that is later (hf_points_last_time). */
gboolean hf_writers_remove(HfStore *store, const HfConfig *config, HfKeyring *keyring, const HfShortId *writer,
                           gint64 earliest, GError **error);
