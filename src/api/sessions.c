/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Logs of sessions, and stopping them. */
#include "api/call.h"
#include "api/routes.gen.h"

static gboolean answer_log(HfApiCall *call, const HfApiView *owner, GError **error)
{
  gint64 total = 0;
  HfApiPage page;
  const char *status = hf_api_parameter(call, "statusFilter"), *word = NULL;
  if (status != NULL && *status != '\0') {
    word = hf_api_enum_stored(&hf_api_enum_ETaskLogRecordStatus, status);
    if (word == NULL)
      return hf_fail(error, HF_ERROR_USAGE, "parameter 'statusFilter' cannot be '%.40s'", status);
  }
  if (!hf_api_exists(call, owner, call->params[0], error) || !hf_api_page_parse(call, &page, error))
    return FALSE;
  if (hf_api_parameter(call, "limit") == NULL)
    page.most = HF_API_PAGE_MAX; /* a log is asked for as a whole */
  hf_api_out_open(&call->out, '{');
  hf_api_out_key(&call->out, "records");
  hf_api_out_open(&call->out, '[');
  if (!hf_api_write_below(call, &hf_api_view_log_line, call->params[0], "l.status", word, "l.seq", &page, &total,
                          error))
    return FALSE;
  hf_api_out_close(&call->out, ']');
  hf_api_out_pair_int(&call->out, "totalRecords", total);
  hf_api_out_close(&call->out, '}');
  return TRUE;
}

gboolean hf_api_session_logs(HfApiCall *call, GError **error)
{
  return answer_log(call, &hf_api_view_session, error);
}

gboolean hf_api_task_session_logs(HfApiCall *call, GError **error)
{
  return answer_log(call, &hf_api_view_task_session, error);
}

gboolean hf_api_session_stop(HfApiCall *call, GError **error)
{
  HfApiActor by = hf_api_actor(call);
  const HfApiActions *actions = call->api->settings.actions;
  return hf_api_exists(call, &hf_api_view_session, call->params[0], error) && HF_API_NEED(call, session_stop, error) &&
         actions->session_stop(actions->data, &by, call->params[0], FALSE, error) && hf_api_answer_empty(call);
}
