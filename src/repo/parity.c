/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Parity (format.md 6). With S stripes, cell c belongs to stripe c mod S: the pack is k rows of S cells, one after the
 * other in the file, and each parity row is S cells, too. So parity is made of whole rows, in one pass over the pack.
 */
#include "repo/parity.h"

#include <isa-l/erasure_code.h>
#include <string.h>

#include "base/error.h"
#include "repo/objects.h"

#define PARITY_CELLS 4u
#define DATA_CELLS_MAX 80u
#define TABLE_BYTES 32u /* of ISA-L, for one coefficient */
#define READ_BYTES (32u * HF_CELL_BYTES)
#define SUM_BYTES 8u
#define SUM_CHECK_AT (HF_PARITY_SUMS_A_PAGE * SUM_BYTES)

/* Rows of the matrix, for the parity cells `which`, as ISA-L wants them. */
static void make_tables(guint data_cells, const guint *which, guint count, guint8 *tables)
{
  guint8 matrix[PARITY_CELLS * DATA_CELLS_MAX];
  for (guint r = 0; r < count; r++)
    for (guint i = 0; i < data_cells; i++)
      matrix[r * data_cells + i] = gf_inv((guint8)((data_cells + which[r]) ^ i));
  ec_init_tables((int)data_cells, (int)count, matrix, tables);
}

static guint64 sums_offset(guint64 number)
{
  return number / HF_PARITY_SUMS_A_PAGE * HF_CELL_BYTES + number % HF_PARITY_SUMS_A_PAGE * SUM_BYTES;
}

static gsize cells_offset(const HfParityHead *head)
{
  return HF_PARITY_HEAD_BYTES + (gsize)hf_parity_sums_length(head);
}

static gsize cells_length(const HfParityHead *head)
{
  return (gsize)head->parity_cells * head->stripes * HF_CELL_BYTES;
}

/* ---- Making. ---- */

/* One read of the pack: sums of its cells, and its share of the parity rows. */
static void take_in(const HfParityHead *head, guint8 *tables, guint64 at, guint8 *data, gsize length, guint8 *sums,
                    guint8 *parity)
{
  for (gsize i = 0; i < length; i += HF_CELL_BYTES)
    hf_store_be64(sums + sums_offset((at + i) / HF_CELL_BYTES), hf_xxh64(data + i, HF_CELL_BYTES));
  gsize row_length = (gsize)head->stripes * HF_CELL_BYTES;
  while (length > 0) {
    gsize row = (gsize)(at / row_length), from = (gsize)(at % row_length), part = MIN(length, row_length - from);
    guint8 *out[PARITY_CELLS];
    for (guint j = 0; j < PARITY_CELLS; j++)
      out[j] = parity + j * row_length + from;
    ec_encode_data_update((int)part, head->data_cells, (int)PARITY_CELLS, (int)row, tables, data, out);
    data += part;
    at += part;
    length -= part;
  }
}

/* Sums of the parity cells, and the checks of the pages of sums. */
static void finish_sums(const HfParityHead *head, const guint8 *parity, guint8 *sums)
{
  guint64 first = hf_parity_cells(head);
  for (gsize i = 0; i < cells_length(head); i += HF_CELL_BYTES)
    hf_store_be64(sums + sums_offset(first + i / HF_CELL_BYTES), hf_xxh64(parity + i, HF_CELL_BYTES));
  for (guint64 i = 0; i < hf_parity_sums_length(head); i += HF_CELL_BYTES)
    hf_store_be64(sums + i + SUM_CHECK_AT, hf_xxh64(sums + i, SUM_CHECK_AT));
}

gboolean hf_parity_make(HfStore *store, const HfShortId *pack, guint64 length, guint percent, HfParityRead read,
                        gpointer source, guint64 *bytes, GError **error)
{
  static const guint all[PARITY_CELLS] = { 0, 1, 2, 3 };
  HfParityHead head = {
    .pack = *pack, .pack_length = length, .data_cells = percent == 5 ? 80 : 40, .parity_cells = PARITY_CELLS
  };
  head.stripes = (guint32)((hf_parity_cells(&head) + head.data_cells - 1) / head.data_cells);
  gsize total = (gsize)hf_parity_object_length(&head);
  g_autofree guint8 *object = g_try_malloc0(total);
  g_autofree guint8 *data = g_malloc(READ_BYTES);
  if (object == NULL)
    return hf_fail(error, HF_ERROR_FAILED, "out of memory: parity needs %zu bytes", total);
  guint8 tables[PARITY_CELLS * DATA_CELLS_MAX * TABLE_BYTES];
  make_tables(head.data_cells, all, PARITY_CELLS, tables);
  guint8 *sums = object + HF_PARITY_HEAD_BYTES, *parity = object + cells_offset(&head);
  for (guint64 at = 0; at < length; at += READ_BYTES) {
    gsize part = (gsize)MIN(length - at, READ_BYTES);
    if (!read(source, at, data, part, error))
      return FALSE;
    gsize whole = (part + HF_CELL_BYTES - 1) / HF_CELL_BYTES * HF_CELL_BYTES;
    memset(data + part, 0, whole - part);
    take_in(&head, tables, at, data, whole, sums, parity);
  }
  finish_sums(&head, parity, sums);
  hf_parity_head_encode(&head, object);
  memcpy(parity + cells_length(&head), sums, (gsize)hf_parity_sums_length(&head));
  memcpy(object + total - HF_PARITY_HEAD_BYTES, object, HF_PARITY_HEAD_BYTES);
  char name[HF_NAME_BYTES];
  hf_name_parity(name, pack);
  *bytes = total;
  return hf_store_put(store, name, object, total, error);
}

/* ---- Checking. ---- */

typedef struct Check {
  HfStore *store;
  char pack_name[HF_NAME_BYTES], parity_name[HF_NAME_BYTES];
  guint64 pack_size, parity_size; /* as they are now */
  HfParityHead head;
  guint8 *object;           /* the parity object at its full length */
  const guint8 **sum_pages; /* a good copy of each page of sums; NULL: none */
  guint8 *bad;              /* a flag for each data cell, then for each parity cell */
  HfParityResult *result;
} Check;

static void check_clear(Check *check)
{
  g_free(check->object);
  g_free(check->sum_pages);
  g_free(check->bad);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Check, check_clear)

/* Damage is what parity is for; anything else (no permission, cancelled) ends the check. */
static gboolean is_damage(const GError *why)
{
  return hf_error_is(why, HF_ERROR_IO) || hf_error_is(why, HF_ERROR_DAMAGED) || hf_error_is(why, HF_ERROR_NOT_FOUND);
}

/* Reads what can be read; what cannot be read, or lies beyond `size`, becomes zeros: the sums tell whether that is
 * right. */
static gboolean read_what_is(HfStore *store, const char *name, guint64 size, guint64 at, guint8 *out, gsize length,
                             GError **error)
{
  gsize there = at >= size ? 0 : (gsize)MIN(length, size - at);
  memset(out + there, 0, length - there);
  if (there == 0)
    return TRUE;
  g_autoptr(GError) why = NULL;
  if (hf_store_get(store, name, at, out, there, &why))
    return TRUE;
  if (!is_damage(why)) {
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
  }
  if (there <= HF_CELL_BYTES) {
    memset(out, 0, there);
    return TRUE;
  }
  for (gsize i = 0; i < there; i += HF_CELL_BYTES)
    if (!read_what_is(store, name, size, at + i, out + i, MIN(there - i, HF_CELL_BYTES), error))
      return FALSE;
  return TRUE;
}

static gboolean head_at(Check *check, guint64 at, const HfShortId *pack, HfParityHead *head, GError **error)
{
  guint8 bytes[HF_PARITY_HEAD_BYTES];
  return read_what_is(check->store, check->parity_name, check->parity_size, at, bytes, sizeof bytes, error) &&
         hf_parity_head_decode(bytes, sizeof bytes, head, NULL) && hf_short_id_equal(&head->pack, pack);
}

static gboolean find_head(Check *check, const HfShortId *pack, GError **error)
{
  HfParityHead other;
  g_autoptr(GError) why = NULL;
  if (head_at(check, 0, pack, &check->head, &why)) {
    guint64 last = hf_parity_object_length(&check->head) - HF_PARITY_HEAD_BYTES;
    check->result->bad_parity += !head_at(check, last, pack, &other, &why);
  } else if (why == NULL && check->parity_size > HF_PARITY_HEAD_BYTES &&
             head_at(check, check->parity_size - HF_PARITY_HEAD_BYTES, pack, &check->head, &why)) {
    check->result->bad_parity++;
  } else if (why == NULL) {
    return hf_fail(error, HF_ERROR_DAMAGED, "both heads of '%s' are damaged; a second repository can repair the pack",
                   check->parity_name);
  }
  if (why != NULL) {
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
  }
  return TRUE;
}

static gboolean page_good(const guint8 *page)
{
  return hf_load_be64(page + SUM_CHECK_AT) == hf_xxh64(page, SUM_CHECK_AT);
}

static void choose_sums(Check *check)
{
  gsize length = (gsize)hf_parity_sums_length(&check->head);
  const guint8 *first = check->object + HF_PARITY_HEAD_BYTES;
  const guint8 *second = check->object + cells_offset(&check->head) + cells_length(&check->head);
  check->sum_pages = g_new0(const guint8 *, length / HF_CELL_BYTES);
  for (gsize at = 0; at < length; at += HF_CELL_BYTES) {
    gboolean good[2] = { page_good(first + at), page_good(second + at) };
    check->sum_pages[at / HF_CELL_BYTES] = good[0] ? first + at : good[1] ? second + at : NULL;
    check->result->bad_parity += !good[0] + !good[1];
  }
}

/* A cell whose sum is lost is taken for good: what is mended must match its digests anyway. */
static gboolean cell_good(const Check *check, guint64 number, const guint8 *cell)
{
  const guint8 *page = check->sum_pages[number / HF_PARITY_SUMS_A_PAGE];
  return page == NULL ||
         hf_load_be64(page + number % HF_PARITY_SUMS_A_PAGE * SUM_BYTES) == hf_xxh64(cell, HF_CELL_BYTES);
}

static gboolean load_parity(Check *check, GError **error)
{
  gsize length = (gsize)hf_parity_object_length(&check->head);
  check->object = g_try_malloc(length);
  if (check->object == NULL)
    return hf_fail(error, HF_ERROR_FAILED, "out of memory: '%s' needs %zu bytes", check->parity_name, length);
  for (gsize at = 0; at < length; at += READ_BYTES)
    if (!read_what_is(check->store, check->parity_name, check->parity_size, at, check->object + at,
                      MIN(length - at, READ_BYTES), error))
      return FALSE;
  choose_sums(check);
  guint64 cells = hf_parity_cells(&check->head), parity_cells = cells_length(&check->head) / HF_CELL_BYTES;
  check->bad = g_malloc0((gsize)(cells + parity_cells));
  const guint8 *cell = check->object + cells_offset(&check->head);
  for (guint64 i = 0; i < parity_cells; i++, cell += HF_CELL_BYTES)
    if (!cell_good(check, cells + i, cell)) {
      check->bad[cells + i] = TRUE;
      check->result->bad_parity++;
    }
  if (check->parity_size > length)
    check->result->bad_parity++;
  return TRUE;
}

/* Reads the pack, into `whole` (as many bytes as all cells have) when it is given, and flags bad cells. */
static gboolean scan_pack(Check *check, guint8 *whole, GError **error)
{
  g_autofree guint8 *scratch = whole == NULL ? g_malloc(READ_BYTES) : NULL;
  guint64 length = hf_parity_cells(&check->head) * HF_CELL_BYTES, size = MIN(check->pack_size, check->head.pack_length);
  check->result->bad_cells = 0;
  for (guint64 at = 0; at < length; at += READ_BYTES) {
    guint8 *into = whole == NULL ? scratch : whole + at;
    gsize part = (gsize)MIN(length - at, READ_BYTES);
    if (!read_what_is(check->store, check->pack_name, size, at, into, part, error))
      return FALSE;
    for (gsize i = 0; i < part; i += HF_CELL_BYTES) {
      guint64 number = (at + i) / HF_CELL_BYTES;
      check->bad[number] = !cell_good(check, number, into + i);
      check->result->bad_cells += check->bad[number];
    }
  }
  return TRUE;
}

/* ---- Mending. ---- */

static guint64 surplus_cells(const Check *check)
{
  guint64 surplus = check->pack_size > check->head.pack_length ? check->pack_size - check->head.pack_length : 0;
  return (surplus + HF_CELL_BYTES - 1) / HF_CELL_BYTES;
}

/* The numbers of the missing data cells and of as many good parity cells; FALSE when these do not suffice. */
static gboolean choose_cells(const Check *check, guint32 stripe, guint lost[PARITY_CELLS], guint use[PARITY_CELLS],
                             guint *count)
{
  guint64 cells = hf_parity_cells(&check->head);
  guint found = 0;
  *count = 0;
  for (guint i = 0; i < check->head.data_cells; i++) {
    guint64 number = (guint64)i * check->head.stripes + stripe;
    if (number >= cells || !check->bad[number])
      continue;
    if (*count == PARITY_CELLS)
      return FALSE;
    lost[(*count)++] = i;
  }
  for (guint j = 0; j < PARITY_CELLS && found < *count; j++)
    if (!check->bad[cells + (guint64)j * check->head.stripes + stripe])
      use[found++] = j;
  return found == *count;
}

/* Solves for the lost cells: what the good cells lack to the parity cells is a sum of the lost ones. */
static gboolean mend_stripe(Check *check, guint8 *whole, guint32 stripe)
{
  static guint8 zeros[HF_CELL_BYTES];
  const HfParityHead *head = &check->head;
  guint lost[PARITY_CELLS], use[PARITY_CELLS], count;
  if (!choose_cells(check, stripe, lost, use, &count))
    return FALSE;
  if (count == 0)
    return TRUE;
  guint8 tables[PARITY_CELLS * DATA_CELLS_MAX * TABLE_BYTES], lack[PARITY_CELLS][HF_CELL_BYTES];
  guint8 *in[DATA_CELLS_MAX], *lacking[PARITY_CELLS], *out[PARITY_CELLS];
  guint64 cells = hf_parity_cells(head);
  for (guint i = 0; i < head->data_cells; i++) {
    guint64 number = (guint64)i * head->stripes + stripe;
    in[i] = number < cells && !check->bad[number] ? whole + number * HF_CELL_BYTES : zeros;
  }
  guint8 square[PARITY_CELLS * PARITY_CELLS], inverse[PARITY_CELLS * PARITY_CELLS];
  for (guint r = 0; r < count; r++) {
    lacking[r] = lack[r];
    out[r] = whole + ((guint64)lost[r] * head->stripes + stripe) * HF_CELL_BYTES;
    for (guint c = 0; c < count; c++)
      square[r * count + c] = gf_inv((guint8)((head->data_cells + use[r]) ^ lost[c]));
  }
  make_tables(head->data_cells, use, count, tables);
  ec_encode_data(HF_CELL_BYTES, head->data_cells, (int)count, tables, in, lacking);
  for (guint r = 0; r < count; r++) {
    const guint8 *cell = check->object + cells_offset(head) + ((gsize)use[r] * head->stripes + stripe) * HF_CELL_BYTES;
    for (gsize i = 0; i < HF_CELL_BYTES; i++)
      lack[r][i] ^= cell[i];
  }
  gf_invert_matrix(square, inverse, (int)count); /* never singular: a part of a Cauchy matrix */
  ec_init_tables((int)count, (int)count, inverse, tables);
  ec_encode_data(HF_CELL_BYTES, (int)count, (int)count, tables, lacking, out);
  for (guint r = 0; r < count; r++)
    if (!cell_good(check, (guint64)lost[r] * head->stripes + stripe, out[r]))
      return FALSE;
  check->result->mended_cells += count;
  return TRUE;
}

/* Everything that the pack says of itself: so a mended pack is right even where sums were lost. */
static gboolean pack_is_whole(const guint8 *bytes, const HfParityHead *head)
{
  g_auto(HfPackInfo) info = { 0 };
  hf_pack_info_init(&info);
  HfShortId id;
  guint64 offset, length;
  guint8 digest[16];
  gsize size = (gsize)head->pack_length;
  info.length = size;
  if (size < HF_PACK_HEAD_FIXED + HF_PACK_TRAILER_BYTES || !hf_pack_head_decode(bytes, size, &info, NULL) ||
      !hf_short_id_equal(&info.id, &head->pack) ||
      !hf_pack_trailer_decode(bytes + size - HF_PACK_TRAILER_BYTES, HF_PACK_TRAILER_BYTES, &id, &offset, &length,
                              digest, NULL) ||
      !hf_short_id_equal(&id, &head->pack) || offset + length + HF_PACK_TRAILER_BYTES != size ||
      !hf_pack_directory_decode(bytes + offset, (gsize)length, offset, digest, &info, NULL))
    return FALSE;
  for (guint i = 0; i < info.frames->len; i++) {
    const HfPackFrame *frame = &g_array_index(info.frames, HfPackFrame, i);
    hf_xxh128(bytes + frame->offset, frame->stored_length, digest);
    if (memcmp(digest, frame->digest, sizeof digest) != 0)
      return FALSE;
  }
  return TRUE;
}

static gboolean mend_pack(Check *check, GError **error)
{
  gsize length = (gsize)(hf_parity_cells(&check->head) * HF_CELL_BYTES);
  g_autofree guint8 *whole = g_try_malloc(length);
  if (whole == NULL)
    return hf_fail(error, HF_ERROR_FAILED, "out of memory: mending '%s' needs %zu bytes", check->pack_name, length);
  if (!scan_pack(check, whole, error))
    return FALSE;
  gboolean all = TRUE;
  for (guint32 stripe = 0; stripe < check->head.stripes; stripe++)
    all = mend_stripe(check, whole, stripe) && all;
  if (all && pack_is_whole(whole, &check->head))
    check->result->mended = g_bytes_new_take(g_steal_pointer(&whole), (gsize)check->head.pack_length);
  return TRUE;
}

void hf_parity_result_clear(HfParityResult *result)
{
  g_clear_pointer(&result->mended, g_bytes_unref);
  memset(result, 0, sizeof *result);
}

gboolean hf_parity_check(HfStore *store, const HfShortId *pack, gboolean mend, HfParityResult *result, GError **error)
{
  g_auto(Check) check = { .store = store, .result = result };
  memset(result, 0, sizeof *result);
  hf_name_pack(check.pack_name, HF_PACK_DATA, pack);
  hf_name_parity(check.parity_name, pack);
  if (!hf_store_size(store, check.parity_name, &check.parity_size, error))
    return FALSE;
  g_autoptr(GError) why = NULL;
  if (!hf_store_size(store, check.pack_name, &check.pack_size, &why) && !hf_error_is(why, HF_ERROR_NOT_FOUND)) {
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
  }
  if (!find_head(&check, pack, error) || !load_parity(&check, error) || !scan_pack(&check, NULL, error))
    return FALSE;
  guint64 surplus = surplus_cells(&check);
  if (mend && result->bad_cells + surplus > 0 && !mend_pack(&check, error))
    return FALSE;
  result->cells = hf_parity_cells(&check.head);
  result->bad_cells += surplus;
  if (result->mended != NULL)
    result->mended_cells += surplus;
  return TRUE;
}
