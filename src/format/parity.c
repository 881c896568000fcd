/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/error.h"
#include "format/pack.h"

#define MAGIC "HFpar1\n" /* and its NUL */
#define CHECKED_BYTES 40u
#define PARITY_CELLS 4u

guint64 hf_parity_cells(const HfParityHead *head)
{
  return (head->pack_length + HF_CELL_BYTES - 1) / HF_CELL_BYTES;
}

static guint64 parity_cells(const HfParityHead *head)
{
  return (guint64)head->parity_cells * head->stripes;
}

guint64 hf_parity_sums_length(const HfParityHead *head)
{
  guint64 sums = hf_parity_cells(head) + parity_cells(head);
  return (sums + HF_PARITY_SUMS_A_PAGE - 1) / HF_PARITY_SUMS_A_PAGE * HF_CELL_BYTES;
}

guint64 hf_parity_object_length(const HfParityHead *head)
{
  return 2 * (HF_PARITY_HEAD_BYTES + hf_parity_sums_length(head)) + parity_cells(head) * HF_CELL_BYTES;
}

void hf_parity_head_encode(const HfParityHead *head, guint8 out[HF_PARITY_HEAD_BYTES])
{
  memcpy(out, MAGIC, 8);
  memcpy(out + 8, head->pack.b, HF_SHORT_ID_BYTES);
  hf_store_u64(out + 24, head->pack_length);
  hf_store_u16(out + 32, head->data_cells);
  hf_store_u16(out + 34, head->parity_cells);
  hf_store_u32(out + 36, head->stripes);
  hf_store_be64(out + CHECKED_BYTES, hf_xxh64(out, CHECKED_BYTES));
}

gboolean hf_parity_head_decode(const void *bytes, gsize length, HfParityHead *head, GError **error)
{
  const guint8 *at = bytes;
  if (length < HF_PARITY_HEAD_BYTES)
    return hf_fail(error, HF_ERROR_DAMAGED, "the parity is cut short");
  if (hf_load_be64(at + CHECKED_BYTES) != hf_xxh64(at, CHECKED_BYTES))
    return hf_fail(error, HF_ERROR_DAMAGED, "the head of the parity does not match its check");
  memcpy(head->pack.b, at + 8, HF_SHORT_ID_BYTES);
  head->pack_length = hf_load_u64(at + 24);
  head->data_cells = hf_load_u16(at + 32);
  head->parity_cells = hf_load_u16(at + 34);
  head->stripes = hf_load_u32(at + 36);
  if (memcmp(at, MAGIC, 8) != 0 || head->pack_length == 0 || head->pack_length > G_MAXUINT32 ||
      (head->data_cells != 80 && head->data_cells != 40) || head->parity_cells != PARITY_CELLS ||
      head->stripes != (hf_parity_cells(head) + head->data_cells - 1) / head->data_cells)
    return hf_fail(error, HF_ERROR_INVALID, "the head of the parity is malformed");
  return TRUE;
}
