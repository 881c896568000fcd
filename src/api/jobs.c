/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Jobs: made, changed, switched, run. */
#include <string.h>

#include "api/call.h"
#include "api/jobs_map.h"
#include "api/routes.gen.h"

gboolean hf_api_emit_job(HfApiCall *call, const HfApiRow *row, GError **error)
{
  return hf_api_job_to_out(&call->out, hf_api_row_text(row, 0), hf_api_row_text(row, 1), hf_api_row_text(row, 2),
                           hf_api_row_text(row, 3), error);
}

/* How far the last run is, or was. A run that goes on has lasted until now. */
gboolean hf_api_emit_job_progress(HfApiCall *call, const HfApiRow *row, GError **error)
{
  (void)error;
  HfApiOut *out = &call->out;
  char text[HF_API_TIME_BYTES];
  if (hf_api_row_null(row, 0))
    return TRUE;
  gboolean goes_on = hf_api_row_null(row, 1);
  call->of_now = call->of_now || goes_on;
  gint64 end = goes_on ? call->now : hf_api_row_int(row, 1);
  gint64 duration = MAX(end - hf_api_row_int(row, 0), 0);
  const char *bottleneck = hf_api_row_text(row, 6);
  hf_api_duration_text(duration, text);
  hf_api_out_key(out, "sessionProgress");
  hf_api_out_open(out, '{');
  hf_api_out_pair(out, "duration", text);
  hf_api_out_key(out, "processingRate");
  hf_api_out_rate(out, hf_api_row_int(row, 2) / MAX(duration / G_USEC_PER_SEC, 1));
  hf_api_out_pair(out, "bottleneck",
                  hf_api_enum_spelled(&hf_api_enum_ESessionBottleneckType,
                                      bottleneck != NULL ? bottleneck : "NotDefined", call->era));
  hf_api_out_pair_int(out, "processedSize", hf_api_row_int(row, 2));
  hf_api_out_pair_int(out, "readSize", hf_api_row_int(row, 3));
  hf_api_out_pair_int(out, "transferredSize", hf_api_row_int(row, 4));
  hf_api_out_pair_int(out, "progressPercent", hf_api_row_int(row, 5));
  hf_api_out_close(out, '}');
  return TRUE;
}

static void tell_change(HfApiCall *call, const char *id)
{
  const HfApiActions *actions = call->api->settings.actions;
  if (actions->jobs_changed != NULL)
    actions->jobs_changed(actions->data, id);
}

static gboolean answer_changed(HfApiCall *call, const char *id, GError **error)
{
  tell_change(call, id);
  return hf_api_answer_row(call, &hf_api_view_job, id, error);
}

gboolean hf_api_job_create(HfApiCall *call, GError **error)
{
  g_autoptr(HfJobRow) row = g_new0(HfJobRow, 1);
  g_autoptr(GPtrArray) hosts = g_ptr_array_new_with_free_func(g_free);
  if (!hf_api_job_from_body(call, call->body, row, hosts, error))
    return FALSE;
  g_ptr_array_add(hosts, NULL);
  row->disabled = hf_api_bool_at(call->body, "isDisabled", FALSE);
  return hf_inv_job_create(hf_api_inventory(call), call->actor, row, (const char *const *)hosts->pdata, error) &&
         answer_changed(call, row->id, error);
}

gboolean hf_api_job_change(HfApiCall *call, GError **error)
{
  g_autoptr(HfJobRow) row = hf_inv_job_get(hf_api_inventory(call), call->params[0], error);
  g_autoptr(GPtrArray) hosts = g_ptr_array_new_with_free_func(g_free);
  if (row == NULL)
    return FALSE;
  if (strcmp(row->type, hf_api_text_at(call->body, "type")) != 0)
    return hf_fail(error, HF_ERROR_USAGE, "the type of job '%s' cannot be changed; make another job", row->name);
  if (!hf_api_job_from_body(call, call->body, row, hosts, error))
    return FALSE;
  g_ptr_array_add(hosts, NULL);
  if (!hf_inv_job_change(hf_api_inventory(call), call->actor, row, (const char *const *)hosts->pdata, error))
    return FALSE;
  gboolean disabled = hf_api_bool_at(call->body, "isDisabled", row->disabled);
  if (disabled != row->disabled &&
      !hf_inv_job_switch(hf_api_inventory(call), call->actor, row->id, disabled, error))
    return FALSE;
  return answer_changed(call, row->id, error);
}

gboolean hf_api_job_delete(HfApiCall *call, GError **error)
{
  if (!hf_inv_job_delete(hf_api_inventory(call), call->actor, call->params[0], error))
    return FALSE;
  tell_change(call, call->params[0]);
  return TRUE;
}

static gboolean switch_job(HfApiCall *call, gboolean disabled, GError **error)
{
  if (!hf_inv_job_switch(hf_api_inventory(call), call->actor, call->params[0], disabled, error))
    return FALSE;
  tell_change(call, call->params[0]);
  return TRUE;
}

gboolean hf_api_job_enable(HfApiCall *call, GError **error)
{
  return switch_job(call, FALSE, error);
}

gboolean hf_api_job_disable(HfApiCall *call, GError **error)
{
  return switch_job(call, TRUE, error);
}

#define CLONES 100

/* "x_clone1", "x_clone2"...: the first name that is free. */
static char *free_name(HfApiCall *call, const char *name, GError **error)
{
  for (guint n = 1; n <= CLONES; n++) {
    g_autoptr(GError) missing = NULL;
    g_autofree char *wanted = g_strdup_printf("%s_clone%u", name, n);
    g_autoptr(HfJobRow) taken = hf_inv_job_find(hf_api_inventory(call), wanted, &missing);
    if (taken == NULL && hf_error_is(missing, HF_ERROR_NOT_FOUND))
      return g_steal_pointer(&wanted);
    if (taken == NULL) {
      g_propagate_error(error, g_steal_pointer(&missing));
      return NULL;
    }
  }
  hf_fail(error, HF_ERROR_EXISTS, "job '%s' has %d clones already; rename some", name, CLONES);
  return NULL;
}

gboolean hf_api_job_clone(HfApiCall *call, GError **error)
{
  g_autoptr(HfJobRow) row = hf_inv_job_get(hf_api_inventory(call), call->params[0], error);
  g_auto(GStrv) hosts = row == NULL ? NULL : hf_inv_job_hosts(hf_api_inventory(call), row->id, error);
  char *name = hosts == NULL ? NULL : free_name(call, row->name, error);
  if (name == NULL)
    return FALSE;
  g_free(row->name);
  row->name = name;
  g_clear_pointer(&row->id, g_free); /* a row of its own, that never ran */
  g_clear_pointer(&row->last_session_id, g_free);
  row->last_run = row->next_run = row->retries = 0;
  row->disabled = TRUE;
  return hf_inv_job_create(hf_api_inventory(call), call->actor, row, (const char *const *)hosts, error) &&
         answer_changed(call, row->id, error);
}

/* ---- Runs ---- */

gboolean hf_api_job_start(HfApiCall *call, GError **error)
{
  char *session = NULL;
  HfApiActor by = hf_api_actor(call);
  const HfApiActions *actions = call->api->settings.actions;
  gboolean full = hf_api_bool_at(call->body, "performActiveFull", FALSE);
  return hf_api_exists(call, &hf_api_view_job, call->params[0], error) && HF_API_NEED(call, job_start, error) &&
         actions->job_start(actions->data, &by, call->params[0], full, &session, error) &&
         hf_api_answer_session(call, session, error);
}

gboolean hf_api_job_stop(HfApiCall *call, GError **error)
{
  char *session = NULL;
  HfApiActor by = hf_api_actor(call);
  const HfApiActions *actions = call->api->settings.actions;
  gboolean graceful = hf_api_bool_at(call->body, "gracefulStop", FALSE);
  return hf_api_exists(call, &hf_api_view_job, call->params[0], error) && HF_API_NEED(call, job_stop, error) &&
         actions->job_stop(actions->data, &by, call->params[0], graceful, &session, error) &&
         hf_api_answer_session(call, session, error);
}

gboolean hf_api_job_retry(HfApiCall *call, GError **error)
{
  char *session = NULL;
  HfApiActor by = hf_api_actor(call);
  const HfApiActions *actions = call->api->settings.actions;
  return hf_api_exists(call, &hf_api_view_job, call->params[0], error) && HF_API_NEED(call, job_retry, error) &&
         actions->job_retry(actions->data, &by, call->params[0], &session, error) &&
         hf_api_answer_session(call, session, error);
}
