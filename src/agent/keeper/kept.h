/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The files of tasks in the state folder: NUMBER while a task runs, NUMBER.result from its end until the server took
 * the result. Who finds NUMBER alone finds a task whose keeper was killed.
 */
#pragma once

#include <glib.h>

typedef struct HfKeptTask {
  guint64 number;
  char *name, *kind;
  gint64 started; /* ns since 1970 */
  GBytes *result; /* NULL: none */
} HfKeptTask;
void hf_kept_task_clear(HfKeptTask *kept);

gboolean hf_kept_task_begin(const char *folder, const HfKeptTask *kept, GError **error);
gboolean hf_kept_task_finish(const char *folder, const HfKeptTask *kept, GBytes *result, GError **error);
gboolean hf_kept_task_remove(const char *folder, guint64 number, GError **error);
/* All of them by number (HfKeptTask *), after making the folder where it is missing. Files that cannot be read are
 * named by a warning and left alone. */
GPtrArray *hf_kept_tasks_load(const char *folder, GError **error);
