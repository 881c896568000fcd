/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One request on its way to its answer, and what the nouns use to make it. A call belongs to one thread.
 *
 * Handlers write JSON to `call->out` and return TRUE, or an error and FALSE: then what they wrote is thrown away. The
 * status is the declared one unless a handler sets another.
 */
#pragma once

#include <jansson.h>

#include "api/actions.h"
#include "api/api.h"
#include "api/check.h"
#include "api/model.h"
#include "api/out.h"
#include "api/query.h"
#include "api/value.h"
#include "base/error.h"
#include "server/inventory/inventory.h"

#define HF_API_BODY_MAX (1u << 20)

struct HfApi {
  HfApiSettings settings;
  HfInventory inventory;
  char *name, *server_id;
  char *certificate;
  int port;
  gint64 started; /* microseconds since 1970 */
  struct HfApiDaemon *daemon; /* http.c */
};

/* What came over the wire. */
typedef struct HfApiRequest {
  const char *method;
  const char *target;        /* path and query as sent */
  const char *version;       /* header x-api-version, or NULL */
  const char *authorization; /* header, or NULL */
  const char *content_type;  /* header, or NULL */
  const char *peer;          /* address of the caller */
  gboolean loopback;
  const char *body;
  gsize length;
} HfApiRequest;

struct HfApiCall {
  HfApi *api;
  const HfApiRequest *request;
  const HfApiRoute *route;
  guint era;
  gint64 now;      /* whole seconds, as the database keeps times: what the answer takes for the time */
  gboolean of_now; /* the answer depends on it */
  HfApiPath path;
  const char *params[HF_API_MAX_PARAMS]; /* ids of the path, checked and in lower case; `name` as it is */
  GPtrArray *query;
  json_t *body; /* checked against the declared schema; NULL when the route reads none */
  HfWho *who;   /* NULL: the route asks for no account */
  const HfActor *actor;
  /* the answer */
  guint status;
  HfApiOut out;
  const char *content_type;
  char *allow;     /* header Allow of a 405 */
  gboolean secret; /* wipe it once it was sent */
};

/* ---- Core (call.c) ---- */
/* Carries out a request. Always gives an answer: status, out, content_type. */
void hf_api_call_run(HfApiCall *call, HfApi *api, const HfApiRequest *request);
/* Makes the answer one that says why not. */
void hf_api_call_refuse(HfApiCall *call, guint status, const char *code, const char *message);
void hf_api_call_clear(HfApiCall *call);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HfApiCall, hf_api_call_clear)

/* ---- For nouns ---- */
const HfInventory *hf_api_inventory(HfApiCall *call);
HfApiActor hf_api_actor(HfApiCall *call);

/* A parameter of the query, or NULL. */
const char *hf_api_parameter(HfApiCall *call, const char *name);
/* Parameters that are declared bool were checked. */
gboolean hf_api_parameter_bool(HfApiCall *call, const char *name, gboolean otherwise);

/* HF_ERROR_UNSUPPORTED when the action is not there. */
#define HF_API_NEED(call, member, error) \
  ((call)->api->settings.actions->member != NULL || \
   hf_fail((error), HF_ERROR_UNSUPPORTED, "this server has no '%s'", #member))

/* The answer is the row of a view with this id. */
gboolean hf_api_answer_row(HfApiCall *call, const HfApiView *view, const char *id, GError **error);
/* The answer is a session, which was just started. Takes `session`. */
gboolean hf_api_answer_session(HfApiCall *call, char *session, GError **error);
/* The answer is a session that was over at once: what clients get who expect a change to take time. */
gboolean hf_api_answer_done(HfApiCall *call, const char *name, const char *resource_id, GError **error);
/* The answer is an empty object. */
gboolean hf_api_answer_empty(HfApiCall *call);

/* A fact of a record: its value as text, which is converted to the declared kind. */
typedef struct HfApiFact {
  const char *name;
  const char *value; /* NULL: left out */
} HfApiFact;
gboolean hf_api_answer_record(HfApiCall *call, const HfApiView *record, const HfApiFact *facts, guint n_facts);

/* skip and limit of the query: HF_ERROR_USAGE. */
#define HF_API_PAGE 200
#define HF_API_PAGE_MAX (10 * 1000)
typedef struct HfApiPage {
  gint64 skip, limit; /* limit as asked for: 0 is all */
  gint64 most;        /* rows of this answer at most */
} HfApiPage;
gboolean hf_api_page_parse(HfApiCall *call, HfApiPage *page, GError **error);
/* "pagination": {...} */
void hf_api_page_write(HfApiCall *call, const HfApiPage *page, gint64 total, gint64 count);

/* ---- Queries (view.c) ---- */
/* Columns of the row that an emit function gets: those that its view declares for it, from 0. */
const char *hf_api_row_text(const HfApiRow *row, guint column);
gint64 hf_api_row_int(const HfApiRow *row, guint column);
gboolean hf_api_row_null(const HfApiRow *row, guint column);

/* HF_ERROR_NOT_FOUND when the view has no row with this id. */
gboolean hf_api_exists(HfApiCall *call, const HfApiView *view, const char *id, GError **error);
/* Rows of a view whose key is `id`, where `filter` is `word` (NULL: all), as elements of a list that is open. */
gboolean hf_api_write_below(HfApiCall *call, const HfApiView *view, const char *id, const char *filter,
                            const char *word, const char *order, const HfApiPage *page, gint64 *total, GError **error);
/* What routes without a handler do. */
gboolean hf_api_list(HfApiCall *call, GError **error);
gboolean hf_api_get(HfApiCall *call, GError **error);
