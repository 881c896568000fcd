/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "engine/backup/reading.h"

#include <string.h>

/* What was there of one whose reading has ended with the backup. */
typedef struct Left {
  char *path;
  HfEntry entry;
} Left;

void hf_reading_left_free(gpointer left)
{
  g_free(((Left *)left)->path);
  g_free(left);
}

void hf_reading_begin(HfBackupState *state, HfReading *reading, char *path)
{
  reading->path = path;
  HF_LOCK(&state->lock);
  g_ptr_array_add(state->readings, reading);
}

static gboolean describe(HfReading *reading, HfBackupWorker *worker, char *path, HfEntry *entry, gboolean *any,
                         GError **error)
{
  HfView name = { (const guint8 *)path, strlen(path) };
  *entry = (HfEntry){ 0 };
  *any = FALSE;
  if (!hf_path_valid(name))
    return TRUE;
  if (!reading->part(reading, worker, entry, any, error))
    return FALSE;
  entry->name = name;
  entry->flags = HF_ENTRY_INCOMPLETE;
  return TRUE;
}

void hf_reading_end(HfBackupWorker *worker, HfReading *reading)
{
  HfBackupState *state = worker->state;
  Left left = { .path = g_steal_pointer(&reading->path) };
  gboolean any = FALSE;
  /* What cannot be kept is only stored again. */
  gboolean keep = hf_cancelled(state->repo->cancel, NULL) &&
    describe(reading, worker, left.path, &left.entry, &any, NULL) && any;
  HF_LOCK(&state->lock);
  g_ptr_array_remove_fast(state->readings, reading);
  if (keep)
    g_ptr_array_add(state->left, g_memdup2(&left, sizeof left));
  else
    g_free(left.path);
}

gboolean hf_reading_parts(HfBackupWorker *worker, GArray *entries, GError **error)
{
  HfBackupState *state = worker->state;
  for (guint i = 0; i < state->left->len; i++)
    g_array_append_val(entries, ((const Left *)state->left->pdata[i])->entry);
  for (guint i = 0; i < state->readings->len; i++) {
    HfReading *reading = state->readings->pdata[i];
    HfEntry entry;
    gboolean any;
    if (!describe(reading, worker, reading->path, &entry, &any, error))
      return FALSE;
    if (any)
      g_array_append_val(entries, entry);
  }
  return TRUE;
}
