/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/keeper/holding.h"

#include <pwd.h>
#include <unistd.h>

#include "agent/keeper/face.h"
#include "agent/keeper/hold.h"
#include "base/error.h"
#include "base/work.h"

#define LOOK_US (60 * G_USEC_PER_SEC)
#define END_US (5 * G_USEC_PER_SEC)
#define JOBS_MAX 256

typedef enum JobKind { JOB_HOLD, JOB_LOCK, JOB_STOP, JOB_END } JobKind;

typedef struct Job {
  JobKind kind;
  HfHoldRequest request;
} Job;

struct HfHolding {
  HfKeeper *keeper;
  char *state;
  uid_t user;
  GAsyncQueue *jobs;
  GThread *thread;
  GMutex lock; /* of what follows */
  GCond over;
  gboolean ended;
  json_t *shown;
  GPtrArray *answers; /* of GByteArray: to be sent by the main thread */
  guint idle;
};

/* ---- The thread. ---- */

static void add_repository(const char *path, guint files, const char *says, gpointer user)
{
  json_t *row = json_pack("{s:s, s:i}", "path", path, "files", (int)files);
  if (says != NULL)
    json_object_set_new(row, "problem", json_string(says));
  json_array_append_new(user, row);
}

static gboolean tell(gpointer user)
{
  HfHolding *holding = user;
  g_mutex_lock(&holding->lock);
  g_autoptr(GPtrArray) answers = g_steal_pointer(&holding->answers);
  holding->answers = g_ptr_array_new_with_free_func((GDestroyNotify)hf_body_free);
  holding->idle = 0;
  g_mutex_unlock(&holding->lock);
  for (guint i = 0; i < answers->len; i++)
    hf_face_send(holding->keeper->transport, HF_CONTROL_HELD, answers->pdata[i], -1);
  hf_keeper_write_status(holding->keeper);
  return G_SOURCE_REMOVE;
}

/* Hands `answer` (or NULL) and what is shown to the main thread. */
static void tell_later(HfHolding *holding, GByteArray *answer, json_t *shown)
{
  HF_LOCK(&holding->lock);
  json_decref(holding->shown);
  holding->shown = shown;
  if (answer != NULL)
    g_ptr_array_add(holding->answers, answer);
  if (holding->idle == 0)
    holding->idle = g_idle_add(tell, holding);
}

static json_t *describe(HfHolds *holds, const GError *unable)
{
  json_t *rows = json_array();
  if (holds != NULL)
    hf_holds_each(holds, add_repository, rows);
  json_t *shown = json_pack("{s:b, s:o}", "able", holds != NULL, "repositories", rows);
  if (unable != NULL)
    json_object_set_new(shown, "reason", json_string(unable->message));
  return shown;
}

static GByteArray *hold(HfHolds *holds, const HfHoldRequest *request, const GError *unable)
{
  g_autoptr(GError) error = NULL;
  guint refused = 0;
  GByteArray *answer = hf_body_new();
  if (holds == NULL)
    error = g_error_copy(unable);
  else
    hf_holds_hold(holds, request, &refused, &error);
  hf_hold_answer_put(answer, request->number, refused, error);
  return answer;
}

/* Does it; FALSE: the last. *answer becomes what is to be sent, or NULL. */
static gboolean carry_out(HfHolds *holds, Job *job, const GError *unable, GByteArray **answer)
{
  g_autoptr(GError) error = NULL;
  JobKind kind = job->kind;
  if (kind == JOB_HOLD)
    *answer = hold(holds, &job->request, unable);
  else if (kind == JOB_STOP && holds != NULL)
    hf_holds_stop(holds);
  else if (kind == JOB_LOCK && holds != NULL &&
           !hf_holds_lock(holds, job->request.repository, job->request.seconds, &error))
    g_warning("%s", error->message);
  hf_hold_request_clear(&job->request);
  g_free(job);
  return kind != JOB_END;
}

static gpointer work(gpointer user)
{
  HfHolding *holding = user;
  g_autoptr(GError) unable = NULL;
  HfHolds *holds = hf_holds_new(holding->state, holding->user, &unable);
  gint64 look = g_get_monotonic_time();
  gboolean goes_on = TRUE;
  if (unable != NULL)
    g_message("files of locked points are not made immutable: %s", unable->message);
  while (goes_on) {
    GByteArray *answer = NULL;
    if (holds != NULL && g_get_monotonic_time() >= look) {
      hf_holds_look(holds);
      look = g_get_monotonic_time() + LOOK_US;
    }
    tell_later(holding, NULL, describe(holds, unable));
    Job *job = g_async_queue_timeout_pop(holding->jobs, LOOK_US);
    goes_on = job == NULL || carry_out(holds, job, unable, &answer);
    if (answer != NULL)
      tell_later(holding, answer, describe(holds, unable));
  }
  if (holds != NULL)
    hf_holds_look(holds);
  hf_holds_free(holds);
  HF_LOCK(&holding->lock);
  holding->ended = TRUE;
  g_cond_signal(&holding->over);
  return NULL;
}

/* ---- The main thread. ---- */

HfHolding *hf_holding_new(HfKeeper *keeper)
{
  HfHolding *holding = g_new0(HfHolding, 1);
  const struct passwd *user = geteuid() == 0 ? getpwnam(keeper->settings->user) : NULL;
  holding->keeper = keeper;
  holding->state = g_strdup(keeper->settings->state);
  holding->user = user != NULL ? user->pw_uid : geteuid();
  holding->jobs = g_async_queue_new();
  holding->answers = g_ptr_array_new_with_free_func((GDestroyNotify)hf_body_free);
  holding->shown = json_object();
  g_mutex_init(&holding->lock);
  g_cond_init(&holding->over);
  holding->thread = g_thread_new("hf-holding", work, holding);
  return holding;
}

static void push(HfHolding *holding, Job *job)
{
  g_async_queue_push(holding->jobs, job);
}

/* A thread that a file system keeps is left to the end of the process. */
void hf_holding_free(HfHolding *holding)
{
  gint64 until = g_get_monotonic_time() + END_US;
  if (holding == NULL)
    return;
  Job *job = g_new0(Job, 1);
  job->kind = JOB_END;
  push(holding, job);
  g_mutex_lock(&holding->lock);
  while (!holding->ended && g_cond_wait_until(&holding->over, &holding->lock, until))
    continue;
  gboolean ended = holding->ended;
  if (holding->idle != 0)
    g_source_remove(holding->idle);
  g_mutex_unlock(&holding->lock);
  if (!ended)
    return;
  g_thread_join(holding->thread);
  g_async_queue_unref(holding->jobs);
  g_ptr_array_unref(holding->answers);
  json_decref(holding->shown);
  g_mutex_clear(&holding->lock);
  g_cond_clear(&holding->over);
  g_free(holding->state);
  g_free(holding);
}

/* Who asks waits for each answer: so many at a time are none of ours. */
void hf_holding_request(HfHolding *holding, const GByteArray *body)
{
  g_autoptr(GError) error = NULL;
  Job *job = g_new0(Job, 1);
  if (g_async_queue_length(holding->jobs) < JOBS_MAX && hf_hold_request_get(body, &job->request, &error)) {
    push(holding, job);
    return;
  }
  g_warning("the transport role asks for what cannot be held: %s",
            error != NULL ? error->message : "too much at a time");
  hf_hold_request_clear(&job->request);
  g_free(job);
}

void hf_holding_lock(HfHolding *holding, const char *repository, guint64 seconds)
{
  Job *job = g_new0(Job, 1);
  *job = (Job){ .kind = JOB_LOCK, .request = { .seconds = seconds, .repository = g_strdup(repository) } };
  push(holding, job);
}

void hf_holding_stop(HfHolding *holding)
{
  Job *job = g_new0(Job, 1);
  job->kind = JOB_STOP;
  push(holding, job);
}

json_t *hf_holding_describe(HfHolding *holding)
{
  HF_LOCK(&holding->lock);
  return json_deep_copy(holding->shown);
}
