/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "storage/scratch.h"

#include <string.h>

#include "base/error.h"

static guint64 mix(guint64 value)
{
  value += G_GUINT64_CONSTANT(0x9e3779b97f4a7c15);
  value = (value ^ (value >> 30)) * G_GUINT64_CONSTANT(0xbf58476d1ce4e5b9);
  value = (value ^ (value >> 27)) * G_GUINT64_CONSTANT(0x94d049bb133111eb);
  return value ^ (value >> 31);
}

/* ---- Names. ---- */

void hf_scratch_init(HfScratch *scratch, HfStore *store)
{
  scratch->store = store;
  scratch->random = ((guint64)g_random_int() << 32) | g_random_int();
  scratch->prefix = g_strdup_printf("conform/%016" G_GINT64_MODIFIER "x/", scratch->random);
}

gboolean hf_scratch_clean(HfScratch *scratch, GError **error)
{
  g_autoptr(GPtrArray) names = hf_store_list_names(scratch->store, scratch->prefix, error);
  if (names == NULL)
    return FALSE;
  for (guint i = 0; i < names->len; i++)
    if (!hf_store_remove(scratch->store, g_ptr_array_index(names, i), error))
      return FALSE;
  return TRUE;
}

void hf_scratch_clear(HfScratch *scratch)
{
  g_clear_pointer(&scratch->prefix, g_free);
}

char *hf_scratch_name(HfScratch *scratch, const char *format, ...)
{
  va_list arguments;
  va_start(arguments, format);
  g_autofree char *rest = g_strdup_vprintf(format, arguments);
  va_end(arguments);
  return g_strconcat(scratch->prefix, rest, NULL);
}

guint64 hf_scratch_random(HfScratch *scratch, guint64 bound)
{
  return mix(scratch->random++) % bound;
}

/* ---- Contents: the 8 bytes at offset 8 i are mix(seed + i). ---- */

void hf_content_fill(guint64 seed, guint64 offset, guint8 *bytes, gsize length)
{
  gsize done = 0;
  while (done < length) {
    guint64 word = mix(seed + (offset + done) / 8);
    gsize skip = (gsize)((offset + done) % 8);
    gsize part = MIN(8 - skip, length - done);
    memcpy(bytes + done, (const guint8 *)&word + skip, part);
    done += part;
    for (; done + 8 <= length; done += 8) {
      word = mix(seed + (offset + done) / 8);
      memcpy(bytes + done, &word, 8);
    }
  }
}

gboolean hf_content_check(guint64 seed, guint64 offset, const guint8 *bytes, gsize length, const char *what,
                          GError **error)
{
  guint8 expected[4096];
  for (gsize done = 0; done < length;) {
    gsize part = MIN(sizeof expected, length - done);
    hf_content_fill(seed, offset + done, expected, part);
    for (gsize i = 0; memcmp(bytes + done, expected, part) != 0 && i < part; i++)
      if (bytes[done + i] != expected[i])
        return hf_fail(error, HF_ERROR_FAILED, "'%s' has a wrong byte at %" G_GUINT64_FORMAT, what, offset + done + i);
    done += part;
  }
  return TRUE;
}

gboolean hf_content_put(HfStore *store, const char *name, guint64 size, guint64 seed, gsize piece, GError **error)
{
  g_autoptr(HfPut) put = hf_put_begin(store, name, error);
  if (put == NULL)
    return FALSE;
  g_autofree guint8 *bytes = g_malloc(piece);
  for (guint64 done = 0; done < size;) {
    gsize length = (gsize)MIN(size - done, piece);
    hf_content_fill(seed, done, bytes, length);
    /* Two parts, so that a driver sees vectors. */
    struct iovec vector[2] = { { bytes, length / 3 }, { bytes + length / 3, length - length / 3 } };
    if (!hf_put_write(put, vector, 2, error))
      return FALSE;
    done += length;
  }
  return hf_put_commit(put, error);
}

gboolean hf_content_get(HfStore *store, const char *name, guint64 offset, gsize length, guint64 seed, GError **error)
{
  g_autofree guint8 *bytes = g_malloc(MAX(length, 1));
  return hf_store_get(store, name, offset, bytes, length, error) &&
         hf_content_check(seed, offset, bytes, length, name, error);
}

/* ---- Threads. ---- */

typedef struct Task {
  GThread *thread;
  guint number;
  HfScratchFunc func;
  gpointer user;
  GError *error;
} Task;

static gpointer run_task(gpointer data)
{
  Task *task = data;
  task->func(task->number, task->user, &task->error);
  return NULL;
}

gboolean hf_scratch_run(guint threads, HfScratchFunc func, gpointer user, GError **error)
{
  g_autofree Task *tasks = g_new0(Task, threads);
  for (guint i = 0; i < threads; i++) {
    tasks[i] = (Task){ .number = i, .func = func, .user = user };
    tasks[i].thread = g_thread_new("scratch", run_task, &tasks[i]);
  }
  GError *first = NULL;
  for (guint i = 0; i < threads; i++) {
    g_thread_join(tasks[i].thread);
    if (first == NULL)
      first = tasks[i].error;
    else
      g_clear_error(&tasks[i].error);
  }
  if (first != NULL)
    g_propagate_error(error, first);
  return first == NULL;
}
