/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files behind keyring.h share: keyring.c (open, create), keys.c (the key verbs), slots.c (key slots in the
 * store), sessionkeys.c, writers.c (who is enrolled), export.c. */
#pragma once

#include "repo/keyring.h"
#include "repo/writers.h"

/* One ring generation. Never freed or changed before the keyring is freed. */
typedef struct HfGeneration {
  guint32 number;
  guint8 public_half[32];
  gboolean open; /* `secret` is known */
  HfKey secret;
} HfGeneration;

struct HfKeyring {
  /* Set when opening, then read only. */
  HfAccess access;
  HfShortId family;
  guint8 admin_public[32];
  HfKey admin_seed;  /* FULL */
  gboolean has_slot; /* FULL: the way in that was used */
  HfShortId slot;
  HfKey slot_secret;
  HfShortId writer;
  HfKey seed;
  guint32 domain;
  HfKey domain_key;
  gboolean has_state; /* WRITE */
  HfKey state_secret;
  GHashTable *pass; /* READ: HfShortId (in the value) to HfDomainPassSession; else NULL */
  HfWriterTable *writers;

  GMutex mutex; /* guards what follows */
  GPtrArray *generations; /* of HfGeneration, ascending */
  GHashTable *domains;    /* domain number to HfKey */
  GHashTable *sessions;   /* HfSessionSlot to its keys (sessionkeys.c) */
  GPtrArray *complaints;  /* char*: what could not be used when loading */
};

/* HF_ERROR_PERMISSION unless the keyring holds the admin key. */
gboolean hf_keyring_need_admin(const HfKeyring *keyring, const char *what, GError **error);
/* The generation, or NULL; hf_keyring_newest is never NULL. */
const HfGeneration *hf_keyring_generation(const HfKeyring *keyring, guint32 number);
const HfGeneration *hf_keyring_newest(const HfKeyring *keyring);
/* A generation that this process made. */
void hf_keyring_add_generation(HfKeyring *keyring, guint32 number, const HfKey *secret);
GHashTable *hf_opened_sessions_new(void);
/* Warns about what could not be used since the last call. */
void hf_keyring_report(HfKeyring *keyring, HfReport *report);

/* Heals all key objects and the config (export.c, which knows them all). */
void hf_keyring_heal(HfStore *store, HfReport *report);

/* ---- Slots (slots.c). ---- */
/* A slot as it stands in the store. Signatures were checked against the admin key given. */
typedef struct HfSlotState {
  HfShortId id;
  gboolean usable; /* `slot` could be read and is signed */
  HfSlot slot;
  gboolean hidden;
} HfSlotState;
/* Of HfSlotState*, by time of creation, unusable ones last; freed with the array. */
GPtrArray *hf_slots_load(HfStore *store, const guint8 admin_public[32], GPtrArray *complaints, GError **error);
/* "a password and a key file": the visible ways in. */
char *hf_slots_describe(const GPtrArray *slots);
/* The secret of a slot opened by a password. */
gboolean hf_slot_password_secret(const HfSlot *slot, const char *password, gsize length, HfKey *secret, GError **error);
/* Opens the bundle: an array of HfBundleItem that wipes itself. HF_ERROR_DAMAGED when it was not made by who knew
 * `secret`. */
GArray *hf_slot_open_bundle(const HfSlot *slot, const HfKey *secret, GError **error);

typedef struct HfNewSlot {
  HfUnlockKind kind; /* NONE, PASSWORD, KEY_FILE or PAPER */
  const char *password;
  gsize length;
  const char *label;
} HfNewSlot;
/* Makes a slot that opens all that the keyring holds and puts it into the store. *made (may be NULL for NONE and
 * PASSWORD) becomes the text of the key file or paper key. `secret` (may be NULL) becomes the slot's. */
gboolean hf_slot_make(HfStore *store, HfKeyring *keyring, const HfNewSlot *new_slot, char **made, HfShortId *id,
                      HfKey *secret, GError **error);

/* ---- Writers (writers.c). ---- */
/* Puts a writer's record: its domain key is sealed to the newest generation. */
gboolean hf_writer_enrol(HfStore *store, HfKeyring *keyring, HfWriter *writer, const HfKey *domain_key, GError **error);
/* The ring generation `number`, new, sealed to `slots` (of HfSlotState*, may be NULL): to the visible ones. */
gboolean hf_ring_make(HfStore *store, HfKeyring *keyring, guint32 number, const GPtrArray *slots, GError **error);
