/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Deleting backups, and checking them. */
#include <string.h>

#include "api/call.h"
#include "api/routes.gen.h"

gboolean hf_api_backup_delete(HfApiCall *call, GError **error)
{
  char *session = NULL;
  HfApiActor by = hf_api_actor(call);
  const HfApiActions *actions = call->api->settings.actions;
  const char *object = call->route->n_names > 1 ? call->params[1] : NULL;
  return hf_api_exists(call, &hf_api_view_backup, call->params[0], error) &&
         (object == NULL || hf_api_exists(call, &hf_api_view_backup_object, object, error)) &&
         HF_API_NEED(call, backup_delete, error) &&
         actions->backup_delete(actions->data, &by, call->params[0], object, &session, error) &&
         hf_api_answer_session(call, session, error);
}

/* The list's ids, ended by NULL; those of things that are not there are refused. */
static const char **ids_of(HfApiCall *call, const char *name, const HfApiView *view, GError **error)
{
  json_t *list = hf_api_at(call->body, name), *item;
  size_t index;
  g_autofree const char **ids = g_new0(const char *, json_array_size(list) + 1);
  json_array_foreach(list, index, item)
  {
    ids[index] = json_string_value(item);
    if (!hf_api_exists(call, view, ids[index], error))
      return NULL;
  }
  return g_steal_pointer(&ids);
}

static gboolean answer_sessions(HfApiCall *call, GPtrArray *sessions, GError **error)
{
  hf_api_out_open(&call->out, '{');
  hf_api_out_key(&call->out, "data");
  hf_api_out_open(&call->out, '[');
  for (guint i = 0; i < sessions->len; i++)
    if (!hf_api_answer_row(call, &hf_api_view_session, sessions->pdata[i], error))
      return FALSE;
  hf_api_out_close(&call->out, ']');
  HfApiPage page = { 0, sessions->len, sessions->len };
  hf_api_page_write(call, &page, sessions->len, sessions->len);
  hf_api_out_close(&call->out, '}');
  return TRUE;
}

gboolean hf_api_backup_check(HfApiCall *call, GError **error)
{
  HfApiActor by = hf_api_actor(call);
  const HfApiActions *actions = call->api->settings.actions;
  g_autoptr(GPtrArray) sessions = g_ptr_array_new_with_free_func(g_free);
  g_autofree const char **backups = ids_of(call, "backupIds", &hf_api_view_backup, error);
  g_autofree const char **jobs = backups == NULL ? NULL : ids_of(call, "jobIds", &hf_api_view_job, error);
  if (jobs == NULL)
    return FALSE;
  if (backups[0] == NULL && jobs[0] == NULL)
    return hf_fail(error, HF_ERROR_USAGE, "'backupIds' or 'jobIds' is needed");
  return HF_API_NEED(call, health_check, error) &&
         actions->health_check(actions->data, &by, backups, jobs, hf_api_bool_at(call->body, "isRepair", FALSE),
                               sessions, error) &&
         answer_sessions(call, sessions, error);
}
