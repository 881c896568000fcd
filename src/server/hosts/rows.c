/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "server/hosts/rows.h"

#include <string.h>

static int answer(const HfPortCondition *condition, HfPortSubject subject G_GNUC_UNUSED, gpointer user G_GNUC_UNUSED)
{
  return strcmp(condition->id, "os") == 0 ? hf_port_condition_value(condition, "linux") : -1;
}

static gboolean counts(const HfPortRow *row)
{
  return row->need != HF_PORT_OPTIONAL && hf_port_when_holds(&row->when, answer, NULL);
}

/* The rows between two roles that name a service, and hold. */
static GPtrArray *select_rows(const char *from, const char *to, const char *service)
{
  const HfPortService *wanted = hf_port_service(service);
  const HfPortFilter filter = { .from = hf_port_role_find(from), .to = hf_port_role_find(to),
                                .service = wanted->own ? wanted : NULL, .port = wanted->own ? 0 : wanted->first };
  GPtrArray *rows = hf_port_select(&filter);
  for (guint i = rows->len; i > 0; i--)
    if (!counts(rows->pdata[i - 1]))
      g_ptr_array_remove_index(rows, i - 1);
  return rows;
}

static void add_ids(GString *text, const GPtrArray *rows)
{
  for (guint i = 0; i < rows->len; i++)
    g_string_append_printf(text, "%s%s", text->len > 0 ? "," : "", ((const HfPortRow *)rows->pdata[i])->id);
}

char *hf_rows_to(const char *from, const char *const *to, const char *service)
{
  g_autoptr(GString) text = g_string_new(NULL);
  for (; *to != NULL; to++) {
    g_autoptr(GPtrArray) rows = select_rows(from, *to, service);
    add_ids(text, rows);
  }
  return g_string_free(g_steal_pointer(&text), FALSE);
}

/* A row that names both ports speaks for both; those that name the range alone are for other work then. */
static void keep_fallbacks(GPtrArray *rows)
{
  gboolean any = FALSE;
  for (guint i = 0; i < rows->len; i++)
    any = any || ((const HfPortRow *)rows->pdata[i])->mode == HF_PORT_FALLBACK;
  for (guint i = rows->len; any && i > 0; i--)
    if (((const HfPortRow *)rows->pdata[i - 1])->mode != HF_PORT_FALLBACK)
      g_ptr_array_remove_index(rows, i - 1);
}

static char *data_rows(const char *from, const char *to, const char *service)
{
  g_autoptr(GString) text = g_string_new(NULL);
  g_autoptr(GPtrArray) rows = select_rows(from, to, service);
  keep_fallbacks(rows);
  add_ids(text, rows);
  return g_string_free(g_steal_pointer(&text), FALSE);
}

void hf_rows_data(const char *from, const char *to, HfRowsData *rows)
{
  rows->transport = data_rows(from, to, "transport");
  rows->channels = data_rows(from, to, "channels");
}

void hf_rows_data_clear(HfRowsData *rows)
{
  g_clear_pointer(&rows->transport, g_free);
  g_clear_pointer(&rows->channels, g_free);
}

char *hf_rows_data_text(const HfRowsData *rows)
{
  if (*rows->transport == '\0' || strcmp(rows->transport, rows->channels) == 0)
    return g_strdup(rows->channels);
  return g_strdup_printf("%s>%s", rows->transport, rows->channels);
}

const char *hf_rows_of_service(const char *service)
{
  return hf_port_service(service)->source->id;
}
