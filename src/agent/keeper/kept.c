/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/keeper/kept.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

#include "agent/state.h"
#include "agent/worker.h"
#include "base/buffer.h"
#include "base/error.h"

#define SUFFIX ".result"

void hf_kept_task_clear(HfKeptTask *kept)
{
  g_clear_pointer(&kept->name, g_free);
  g_clear_pointer(&kept->kind, g_free);
  g_clear_pointer(&kept->result, g_bytes_unref);
}

static void kept_free(gpointer item)
{
  hf_kept_task_clear(item);
  g_free(item);
}

static gboolean write_task(const char *folder, const char *name, const HfKeptTask *kept, GBytes *result, GError **error)
{
  g_autoptr(GByteArray) body = g_byte_array_new();
  hf_put_u64(body, kept->number);
  hf_put_text(body, kept->name);
  hf_put_text(body, kept->kind);
  hf_put_i64(body, kept->started);
  if (result != NULL)
    hf_put_bytes(body, g_bytes_get_data(result, NULL), g_bytes_get_size(result));
  return hf_state_write(folder, name, body->data, body->len, error);
}

static char *file_name(guint64 number, const char *suffix)
{
  return g_strdup_printf("%" G_GUINT64_FORMAT "%s", number, suffix);
}

static gboolean remove_file(const char *folder, guint64 number, const char *suffix, GError **error)
{
  g_autofree char *name = file_name(number, suffix);
  g_autofree char *path = g_build_filename(folder, name, NULL);
  return g_unlink(path) == 0 || errno == ENOENT || hf_fail_errno(error, errno, "cannot remove '%s'", path);
}

gboolean hf_kept_task_begin(const char *folder, const HfKeptTask *kept, GError **error)
{
  g_autofree char *name = file_name(kept->number, "");
  return write_task(folder, name, kept, NULL, error);
}

gboolean hf_kept_task_finish(const char *folder, const HfKeptTask *kept, GBytes *result, GError **error)
{
  g_autofree char *name = file_name(kept->number, SUFFIX);
  return write_task(folder, name, kept, result, error) && remove_file(folder, kept->number, "", error);
}

gboolean hf_kept_task_remove(const char *folder, guint64 number, GError **error)
{
  return remove_file(folder, number, "", error) && remove_file(folder, number, SUFFIX, error);
}

static HfKeptTask *load(const char *folder, const char *name, GError **error)
{
  g_autoptr(GBytes) bytes = hf_state_read(folder, name, error);
  if (bytes == NULL)
    return NULL;
  gboolean has_result = g_str_has_suffix(name, SUFFIX);
  HfReader reader = hf_reader(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
  HfKeptTask *kept = g_new0(HfKeptTask, 1);
  kept->number = hf_get_u64(&reader);
  kept->name = hf_get_text(&reader, HF_TEXT_MAX);
  kept->kind = hf_get_text(&reader, HF_TEXT_MAX);
  kept->started = hf_get_i64(&reader);
  if (has_result) {
    HfView view = hf_get_bytes(&reader, HF_TASK_RESULT_MAX + HF_TEXT_MAX);
    kept->result = g_bytes_new(view.data, view.length);
  }
  if (hf_reader_done(&reader, name, error))
    return kept;
  kept_free(kept);
  return NULL;
}

static int by_number(gconstpointer a, gconstpointer b)
{
  const HfKeptTask *one = *(HfKeptTask *const *)a, *other = *(HfKeptTask *const *)b;
  return one->number < other->number ? -1 : one->number > other->number;
}

/* A result goes before the file of the run that it ended, where a keeper was killed between the two. */
static void drop_ended(GPtrArray *found)
{
  for (guint i = 0; i + 1 < found->len;) {
    const HfKeptTask *one = found->pdata[i], *other = found->pdata[i + 1];
    if (one->number == other->number)
      g_ptr_array_remove_index(found, one->result == NULL ? i : i + 1);
    else
      i++;
  }
}

GPtrArray *hf_kept_tasks_load(const char *folder, GError **error)
{
  g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(kept_free);
  if (!hf_state_folder(folder, error))
    return NULL;
  GDir *dir = g_dir_open(folder, 0, error);
  if (dir == NULL)
    return NULL;
  for (const char *name = g_dir_read_name(dir); name != NULL; name = g_dir_read_name(dir)) {
    g_autoptr(GError) why = NULL;
    gsize digits = strspn(name, "0123456789");
    if (digits == 0 || (name[digits] != '\0' && strcmp(name + digits, SUFFIX) != 0))
      continue;
    HfKeptTask *kept = load(folder, name, &why);
    if (kept != NULL)
      g_ptr_array_add(found, kept);
    else
      g_warning("a task of an earlier run is lost: %s", why->message);
  }
  g_dir_close(dir);
  g_ptr_array_sort(found, by_number);
  drop_ended(found);
  return g_steal_pointer(&found);
}
