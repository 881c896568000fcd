/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The records of a repository: config, slots, ring, writers, key files (format.md 3). encode gives the whole record
 * (envelope included); decode takes a whole record. Structs own their strings and arrays: hf_*_clear.
 */
#pragma once

#include "format/record.h"

typedef struct HfConfig {
  HfShortId repository, family;
  guint8 admin_public[32];
  gint64 created;
  guint64 features_read, features_write;
  guint8 id_algorithm, cipher, codec, level, parity;
  guint32 block_size, chunk_minimum, chunk_average, chunk_maximum, inline_limit, frame_target, meta_frame_target,
    pack_target, meta_pack_target;
} HfConfig;
/* Fills the parameters (not ids and keys) with the defaults of version 1. */
void hf_config_defaults(HfConfig *config);
GBytes *hf_config_encode(const HfConfig *config, const HfKey *admin_seed);
/* Checks the signature by the key inside, the ranges of all values, and that features_read is known (HF_ERROR_FORMAT).
 * A bit in features_write is not refused: who wants to write asks hf_config_writable. */
gboolean hf_config_decode(GBytes *record, HfConfig *config, GError **error);
/* HF_ERROR_FORMAT when a newer version asked programs that do not know it not to write. */
gboolean hf_config_writable(const HfConfig *config, GError **error);
/* format.md 2.3 */
void hf_fingerprint(const HfShortId *family, const guint8 admin_public[32], HfShortId *fingerprint);

typedef enum HfSlotWay { HF_SLOT_NONE = 0, HF_SLOT_PASSWORD = 1, HF_SLOT_KEY_FILE = 2 } HfSlotWay;
typedef struct HfSlot {
  HfShortId id;
  guint8 way;
  guint32 passes, memory_kib;
  guint8 salt[16], public_half[32];
  gint64 created;
  char *label;
  GBytes *bundle; /* sealed */
} HfSlot;
void hf_slot_clear(HfSlot *slot);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HfSlot, hf_slot_clear)
GBytes *hf_slot_encode(const HfSlot *slot, const HfKey *admin_seed);
/* admin_public NULL: the signature is not checked (before the config could be trusted). */
gboolean hf_slot_decode(GBytes *record, const guint8 admin_public[32], HfSlot *slot, GError **error);

/* Secrets that a slot opens. `items` is an array of HfBundleItem. */
typedef enum HfBundleKind {
  HF_BUNDLE_RING = 1, HF_BUNDLE_ADMIN = 2, HF_BUNDLE_OWNER = 3, HF_BUNDLE_DOMAIN = 4,
} HfBundleKind;
typedef struct HfBundleItem {
  guint8 kind;
  guint32 number;
  HfKey secret;
} HfBundleItem;
/* Both work on plain bytes that the caller wipes. decode appends to `items` (GArray of HfBundleItem). */
void hf_bundle_encode(const HfBundleItem *items, guint count, GByteArray *plain);
gboolean hf_bundle_decode(const void *plain, gsize length, GArray *items, GError **error);

/* Records of one short id and one time: hidden slot, removed writer (signed), tombstone (not signed: seed NULL). */
GBytes *hf_notice_encode(HfRecordKind kind, const HfShortId *id, gint64 time, const HfKey *admin_seed);
gboolean hf_notice_decode(GBytes *record, HfRecordKind kind, const guint8 admin_public[32], HfShortId *id, gint64 *time,
                          GError **error);

typedef struct HfRingShare {
  HfShortId slot;
  guint8 sealed[HF_KEY_BYTES + HF_SEAL_BYTES];
} HfRingShare;
typedef struct HfRing {
  guint32 generation;
  guint8 public_half[32];
  gint64 created;
  GArray *shares; /* of HfRingShare */
} HfRing;
void hf_ring_clear(HfRing *ring);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HfRing, hf_ring_clear)
GBytes *hf_ring_encode(const HfRing *ring, const HfKey *admin_seed);
gboolean hf_ring_decode(GBytes *record, const guint8 admin_public[32], HfRing *ring, GError **error);

typedef struct HfWriter {
  HfShortId id;
  guint8 public_key[32];
  guint32 domain;
  guint8 state_public[32]; /* zeros: none */
  guint32 generation;
  guint8 sealed_domain_key[HF_KEY_BYTES + HF_SEAL_BYTES];
  gint64 created;
  char *name;
} HfWriter;
void hf_writer_clear(HfWriter *writer);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HfWriter, hf_writer_clear)
GBytes *hf_writer_encode(const HfWriter *writer, const HfKey *admin_seed);
gboolean hf_writer_decode(GBytes *record, const guint8 admin_public[32], HfWriter *writer, GError **error);

typedef struct HfKeyFile {
  HfShortId family, fingerprint, slot;
  HfKey secret;
} HfKeyFile;
typedef struct HfCredential {
  HfShortId family, writer;
  guint8 admin_public[32];
  HfKey seed, domain_key, state_secret;
  guint32 domain, generation;
  guint8 ring_public[32];
  char *name;
} HfCredential;
void hf_credential_clear(HfCredential *credential); /* wipes */
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HfCredential, hf_credential_clear)
/* Text of a key file (format.md 3.7); the caller wipes and frees. */
char *hf_key_file_encode(const HfKeyFile *file);
char *hf_credential_encode(const HfCredential *credential);
gboolean hf_credential_is_text(const char *text, gsize length);
/* Reads either kind: *is_credential tells which of the two was filled. Secrets in `text` are the caller's to wipe. */
gboolean hf_key_text_decode(const char *text, gsize length, HfKeyFile *file, HfCredential *credential,
                            gboolean *is_credential, GError **error);

/* A pass: what reads one domain as it is now, and nothing else. For who restores and is not trusted with a key. */
typedef struct HfDomainPassSession {
  HfShortId session;
  HfKey data_key, meta_key;
} HfDomainPassSession;
typedef struct HfDomainPass {
  HfShortId family;
  guint8 admin_public[32];
  guint32 domain;
  HfKey domain_key;
  GArray *sessions; /* of HfDomainPassSession; wiped by hf_domain_pass_clear */
} HfDomainPass;
void hf_domain_pass_init(HfDomainPass *pass);
void hf_domain_pass_clear(HfDomainPass *pass); /* wipes */
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HfDomainPass, hf_domain_pass_clear)
/* Text of a pass (format.md 3.7); the caller wipes and frees. */
char *hf_domain_pass_encode(const HfDomainPass *pass);
gboolean hf_domain_pass_is_text(const char *text, gsize length);
gboolean hf_domain_pass_decode(const char *text, gsize length, HfDomainPass *pass, GError **error);

char *hf_paper_key_encode(const HfShortId *slot, const HfKey *secret);
/* Ignores case, spaces, dashes and line ends; HF_ERROR_INVALID names the first group that cannot be right, if known. */
gboolean hf_paper_key_decode(const char *text, HfShortId *slot, HfKey *secret, GError **error);
