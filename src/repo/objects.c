/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/objects.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "format/record.h"


/* ---- Names. ---- */

static void name_with_id(char out[HF_NAME_BYTES], const char *folder, const HfShortId *id)
{
  g_autofree char *hex = hf_hex(id->b, sizeof id->b);
  snprintf(out, HF_NAME_BYTES, "%s/%s", folder, hex);
}

static void name_spread(char out[HF_NAME_BYTES], const char *folder, const HfShortId *id)
{
  char below[16];
  snprintf(below, sizeof below, "%s/%02x", folder, id->b[0]);
  name_with_id(out, below, id);
}

void hf_name_pack(char out[HF_NAME_BYTES], HfPackKind kind, const HfShortId *pack)
{
  name_spread(out, kind == HF_PACK_META ? "meta" : "data", pack);
}

void hf_name_parity(char out[HF_NAME_BYTES], const HfShortId *pack)
{
  name_spread(out, "parity", pack);
}

void hf_name_mirror(char out[HF_NAME_BYTES], const HfShortId *pack)
{
  name_spread(out, "mirror", pack);
}

void hf_name_run(char out[HF_NAME_BYTES], const HfShortId *run)
{
  name_with_id(out, "index", run);
}

void hf_name_slot(char out[HF_NAME_BYTES], const HfShortId *slot)
{
  name_with_id(out, "keys", slot);
}

void hf_name_ring(char out[HF_NAME_BYTES], guint32 generation)
{
  snprintf(out, HF_NAME_BYTES, "ring/%08x", generation);
}

void hf_name_writer(char out[HF_NAME_BYTES], const HfShortId *writer)
{
  name_with_id(out, "writers", writer);
}

void hf_name_point(char out[HF_NAME_BYTES], const HfShortId *point)
{
  name_with_id(out, "points", point);
}

void hf_name_tombstone(char out[HF_NAME_BYTES], const HfShortId *point)
{
  g_autofree char *hex = hf_hex(point->b, sizeof point->b);
  snprintf(out, HF_NAME_BYTES, "points/%s.gone", hex);
}

void hf_name_session(char out[HF_NAME_BYTES], const HfShortId *session, const char *part)
{
  g_autofree char *hex = hf_hex(session->b, sizeof session->b);
  snprintf(out, HF_NAME_BYTES, "sessions/%s/%s", hex, part);
}

gboolean hf_name_short_id(const char *name, HfShortId *id)
{
  const char *slash = strrchr(name, '/');
  const char *leaf = slash != NULL ? slash + 1 : name;
  gsize length = strcspn(leaf, ".");
  if (length != 2 * sizeof id->b)
    return FALSE;
  g_autofree char *hex = g_strndup(leaf, length);
  return hf_unhex(hex, id->b, sizeof id->b);
}

gboolean hf_object_exists(HfStore *store, const char *name, gboolean *exists, GError **error)
{
  guint64 size;
  g_autoptr(GError) why = NULL;
  *exists = hf_store_size(store, name, &size, &why);
  if (*exists || hf_error_is(why, HF_ERROR_NOT_FOUND))
    return TRUE;
  g_propagate_error(error, g_steal_pointer(&why));
  return FALSE;
}

gboolean hf_object_remove(HfStore *store, const char *name, GError **error)
{
  g_autoptr(GError) why = NULL;
  if (hf_store_remove(store, name, &why) || hf_error_is(why, HF_ERROR_NOT_FOUND))
    return TRUE;
  g_propagate_error(error, g_steal_pointer(&why));
  return FALSE;
}

/* ---- Objects that exist three times. ---- */

/* What reading a copy gave; of several failures the one further down says most. */
typedef enum CopyState {
  COPY_GOOD,
  COPY_MISSING,
  COPY_BAD,     /* there, and its bytes are wrong */
  COPY_NEWER,   /* whole, but of a newer version */
  COPY_UNKNOWN, /* could not be read: the store's fault, perhaps for now only */
} CopyState;

typedef struct Triple {
  CopyState state[HF_COPIES];
  GBytes *record[HF_COPIES]; /* of good copies */
  CopyState worst;
  GError *why;            /* of the worst copy */
} Triple;

static void triple_clear(Triple *triple)
{
  for (guint i = 0; i < HF_COPIES; i++)
    g_clear_pointer(&triple->record[i], g_bytes_unref);
  g_clear_error(&triple->why);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Triple, triple_clear)

void hf_name_copy(char out[HF_NAME_BYTES], const char *base, guint copy)
{
  g_snprintf(out, HF_NAME_BYTES, "%s.%u", base, copy);
}

static CopyState state_of_error(const GError *error)
{
  if (hf_error_is(error, HF_ERROR_NOT_FOUND))
    return COPY_MISSING;
  if (hf_error_is(error, HF_ERROR_DAMAGED) || hf_error_is(error, HF_ERROR_INVALID))
    return COPY_BAD;
  return COPY_UNKNOWN;
}

static CopyState check_copy(const char *name, guint kind, GBytes *record, GError **error)
{
  gsize length;
  const void *bytes = g_bytes_get_data(record, &length);
  g_autofree char *what = g_strdup_printf("object '%s'", name);
  g_autoptr(GError) why = NULL;
  HfView body;
  if (hf_record_open(bytes, length, (HfRecordKind)kind, what, &body, &why))
    return COPY_GOOD;
  gboolean other_format = hf_error_is(why, HF_ERROR_FORMAT);
  g_propagate_error(error, g_steal_pointer(&why));
  return other_format && length >= 8 && memcmp(bytes, "HOLDFAST", 8) == 0 ? COPY_NEWER : COPY_BAD;
}

static CopyState read_copy(HfStore *store, const char *name, guint kind, GBytes **record, GError **error)
{
  g_autoptr(GError) why = NULL;
  g_autoptr(GBytes) read = hf_store_get_all(store, name, HF_RECORD_BYTES_LIMIT, &why);
  if (read == NULL) {
    CopyState state = state_of_error(why);
    g_propagate_error(error, g_steal_pointer(&why));
    return state;
  }
  CopyState state = check_copy(name, kind, read, error);
  if (state == COPY_GOOD)
    *record = g_steal_pointer(&read);
  return state;
}

/* Reads the copies; with `all` FALSE only up to the first good one. Returns its number, or -1. */
static int triple_read(HfStore *store, const char *base, guint kind, gboolean all, Triple *triple)
{
  int good = -1;
  *triple = (Triple){ { COPY_MISSING, COPY_MISSING, COPY_MISSING }, { NULL }, COPY_GOOD, NULL };
  for (guint i = 0; i < HF_COPIES && (all || good < 0); i++) {
    char name[HF_NAME_BYTES];
    g_autoptr(GError) why = NULL;
    hf_name_copy(name, base, i);
    triple->state[i] = read_copy(store, name, kind, &triple->record[i], &why);
    if (triple->state[i] == COPY_GOOD && good < 0)
      good = (int)i;
    if (triple->state[i] > triple->worst) {
      triple->worst = triple->state[i];
      g_clear_error(&triple->why);
      triple->why = g_steal_pointer(&why);
    }
  }
  return good;
}

/* For a triple without any good copy. */
static gboolean fail_triple(const Triple *triple, HfStore *store, const char *base, GError **error)
{
  switch (triple->worst) {
  case COPY_MISSING:
    return hf_fail(error, HF_ERROR_NOT_FOUND, "there is no object '%s' in '%s'", base, store->location);
  case COPY_BAD:
    return hf_fail(error, HF_ERROR_DAMAGED, "all copies of '%s' in '%s' are damaged: %s", base, store->location,
                   triple->why->message);
  default:
    g_propagate_error(error, g_error_copy(triple->why));
    return FALSE;
  }
}

GBytes *hf_triple_get(HfStore *store, const char *base, guint kind, gboolean *healthy, GError **error)
{
  g_auto(Triple) triple;
  int good = triple_read(store, base, kind, healthy != NULL, &triple);
  if (good < 0) {
    fail_triple(&triple, store, base, error);
    return NULL;
  }
  if (healthy != NULL) {
    *healthy = TRUE;
    for (guint i = 0; i < HF_COPIES; i++)
      *healthy = *healthy && triple.record[i] != NULL && g_bytes_equal(triple.record[good], triple.record[i]);
  }
  return g_steal_pointer(&triple.record[good]);
}

/* A copy that is there already with these bytes was put by another who publishes the same, or by a try whose answer was
 * lost. */
static gboolean put_copy(HfStore *store, const char *name, GBytes *record, GError **error)
{
  gsize length;
  const void *bytes = g_bytes_get_data(record, &length);
  g_autoptr(GError) why = NULL;
  if (hf_store_put(store, name, bytes, length, &why))
    return TRUE;
  if (hf_error_is(why, HF_ERROR_EXISTS)) {
    g_autoptr(GBytes) there = hf_store_get_all(store, name, HF_RECORD_BYTES_LIMIT, NULL);
    if (there != NULL && g_bytes_equal(there, record))
      return TRUE;
  }
  g_propagate_error(error, g_steal_pointer(&why));
  return FALSE;
}

gboolean hf_triple_put(HfStore *store, const char *base, GBytes *record, GError **error)
{
  for (guint i = 0; i < HF_COPIES; i++) {
    char name[HF_NAME_BYTES];
    hf_name_copy(name, base, i);
    if (!put_copy(store, name, record, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean heal_copy(HfStore *store, const char *name, CopyState state, GBytes *good, GError **error)
{
  if (state != COPY_MISSING && !hf_object_remove(store, name, error))
    return FALSE;
  return put_copy(store, name, good, error);
}

/* Copies that are all right by themselves and yet differ: nobody but a liar makes these. */
static gboolean copies_differ(const Triple *triple, int good)
{
  for (guint i = 0; i < HF_COPIES; i++)
    if (triple->record[i] != NULL && !g_bytes_equal(triple->record[good], triple->record[i]))
      return TRUE;
  return FALSE;
}

void hf_triple_heal(HfStore *store, const char *base, guint kind, HfReport *report)
{
  g_auto(Triple) triple;
  int good = triple_read(store, base, kind, TRUE, &triple);
  g_autoptr(GError) why = NULL;
  if (good < 0) {
    if (!fail_triple(&triple, store, base, &why) && !hf_error_is(why, HF_ERROR_NOT_FOUND))
      hf_report_warning(report, base, "%s", why->message);
    return;
  }
  if (copies_differ(&triple, good)) {
    hf_report_warning(report, base,
                      "the copies of '%s' differ though each is whole; somebody has put a false one there", base);
    return;
  }
  for (guint i = 0; i < HF_COPIES; i++) {
    char name[HF_NAME_BYTES];
    if (triple.state[i] == COPY_GOOD || triple.state[i] == COPY_NEWER)
      continue;
    hf_name_copy(name, base, i);
    gboolean healed = heal_copy(store, name, triple.state[i], triple.record[good], NULL);
    /* A copy that is missing may be about to be written by who makes the object: no reason for a warning. */
    if (triple.state[i] == COPY_MISSING)
      hf_report_item(report, name, healed ? "missing copy written anew" : "missing copy");
    else
      hf_report_warning(report, name, healed ? "this copy was damaged; it was written anew from another"
                                             : "this copy is damaged; another is used");
  }
}

gboolean hf_triple_remove(HfStore *store, const char *base, GError **error)
{
  for (guint i = 0; i < HF_COPIES; i++) {
    char name[HF_NAME_BYTES];
    hf_name_copy(name, base, i);
    if (!hf_object_remove(store, name, error))
      return FALSE;
  }
  return TRUE;
}

GPtrArray *hf_triple_list(HfStore *store, const char *folder, GError **error)
{
  g_autoptr(GPtrArray) names = hf_store_list_names(store, folder, error);
  if (names == NULL)
    return NULL;
  g_autoptr(GPtrArray) bases = g_ptr_array_new_with_free_func(g_free);
  for (guint i = 0; i < names->len; i++) {
    const char *name = g_ptr_array_index(names, i);
    gsize length = strlen(name);
    if (length < 3 || name[length - 2] != '.' || strchr("012", name[length - 1]) == NULL)
      continue;
    const char *last = bases->len > 0 ? g_ptr_array_index(bases, bases->len - 1) : NULL;
    /* Sorted: the copies of one base follow each other. */
    if (last == NULL || strlen(last) != length - 2 || strncmp(last, name, length - 2) != 0)
      g_ptr_array_add(bases, g_strndup(name, length - 2));
  }
  return g_steal_pointer(&bases);
}
