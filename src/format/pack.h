/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Packs, key slots of sessions, parity objects on disk (format.md 5, 6). */
#pragma once

#include "format/frame.h"

#define HF_SESSION_SLOT_BYTES 296u
typedef struct HfSessionSlot {
  HfShortId session, writer;
  guint32 domain, generation;
  guint8 sealed_key[HF_KEY_BYTES + HF_SEAL_BYTES], sealed_meta_key[HF_KEY_BYTES + HF_SEAL_BYTES];
  guint8 signature[HF_SIGNATURE_BYTES];
} HfSessionSlot;
/* encode signs when `seed` is given, else it writes slot->signature. */
void hf_session_slot_encode(HfSessionSlot *slot, const HfKey *seed, guint8 out[HF_SESSION_SLOT_BYTES]);
/* FALSE when the zeros of the layout are none. The signature is not checked. */
gboolean hf_session_slot_decode(const guint8 bytes[HF_SESSION_SLOT_BYTES], HfSessionSlot *slot);
void hf_put_session_slot(GByteArray *out, const HfSessionSlot *slot); /* with slot->signature */
void hf_get_session_slot(HfReader *reader, HfSessionSlot *slot);
gboolean hf_session_slot_verify(const HfSessionSlot *slot, const guint8 writer_public[32]);

typedef enum HfPackKind { HF_PACK_DATA = 1, HF_PACK_META = 2 } HfPackKind;

typedef struct HfPackFrame {
  guint32 offset; /* from the start of the pack */
  guint32 stored_length;
  guint8 kind;
  guint16 blobs;
  guint32 first_blob; /* position in ids */
  guint8 digest[16];
} HfPackFrame;

/* What head, directory and trailer tell. Zero-initialise; hf_pack_info_clear frees the arrays. */
typedef struct HfPackInfo {
  HfShortId id;
  guint8 kind; /* HfPackKind */
  guint32 domain;
  guint64 length;  /* of the whole pack */
  GArray *slots;   /* of HfSessionSlot */
  GArray *frames;  /* of HfPackFrame */
  GArray *ids;     /* of HfId */
} HfPackInfo;
void hf_pack_info_init(HfPackInfo *info);
void hf_pack_info_clear(HfPackInfo *info);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HfPackInfo, hf_pack_info_clear)

#define HF_PACK_HEAD_FIXED 32u /* before the slots */
#define HF_PACK_TRAILER_BYTES 64u
#define HF_PACK_SLOTS_MAX 4096u
gsize hf_pack_head_length(guint slots);
void hf_pack_head_encode(const HfPackInfo *info, GByteArray *out);
/* Number of bytes of the head, from its first HF_PACK_HEAD_FIXED bytes. */
gboolean hf_pack_head_peek(const void *bytes, gsize length, gsize *head_length, GError **error);
/* Fills id, kind, domain and slots. `bytes` may hold more than the head. */
gboolean hf_pack_head_decode(const void *bytes, gsize length, HfPackInfo *info, GError **error);
/* Directory and trailer; `offset` is where the directory begins. Of a frame, stored_length, kind, blobs and digest
 * count. */
void hf_pack_end_encode(const HfPackInfo *info, guint64 offset, GByteArray *out);
/* From the last HF_PACK_TRAILER_BYTES bytes of a pack. */
gboolean hf_pack_trailer_decode(const void *bytes, gsize length, HfShortId *pack, guint64 *offset,
                                guint64 *directory_length, guint8 digest[16], GError **error);
/* Checks the digest, fills slots, frames (with offsets counted up from the head) and ids, in place of what they held;
 * info->length and info->kind must be set. The frames must end where the directory begins. HF_ERROR_DAMAGED for a wrong
 * digest, HF_ERROR_INVALID for broken rules. */
gboolean hf_pack_directory_decode(const void *bytes, gsize length, guint64 offset, const guint8 digest[16],
                                  HfPackInfo *info, GError **error);

#define HF_CELL_BYTES 4096u
#define HF_PARITY_HEAD_BYTES 48u
#define HF_PARITY_SUMS_A_PAGE 511u
typedef struct HfParityHead {
  HfShortId pack;
  guint64 pack_length;
  guint16 data_cells, parity_cells; /* k, m */
  guint32 stripes;
} HfParityHead;
void hf_parity_head_encode(const HfParityHead *head, guint8 out[HF_PARITY_HEAD_BYTES]);
/* Checks k, m, S and the lengths against each other. */
gboolean hf_parity_head_decode(const void *bytes, gsize length, HfParityHead *head, GError **error);
/* Where things lie in the parity object. */
guint64 hf_parity_cells(const HfParityHead *head);      /* N: data cells of the pack */
guint64 hf_parity_sums_length(const HfParityHead *head);
guint64 hf_parity_object_length(const HfParityHead *head);
