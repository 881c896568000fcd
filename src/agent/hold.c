/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/hold.h"

#include <limits.h>

#include "base/error.h"
#include "base/work.h"

#define NAME_MAX_BYTES 200u
#define PATIENCE_US (60 * G_TIME_SPAN_SECOND)

/* ---- Bodies. ---- */

void hf_hold_request_put(GByteArray *body, const HfHoldRequest *request)
{
  hf_put_u64(body, request->number);
  hf_put_u64(body, request->seconds);
  hf_put_text(body, request->repository);
  hf_put_varint(body, request->names->len);
  for (guint i = 0; i < request->names->len; i++)
    hf_put_text(body, request->names->pdata[i]);
}

gboolean hf_hold_request_get(const GByteArray *body, HfHoldRequest *request, GError **error)
{
  HfReader reader = hf_reader(body->data, body->len);
  request->number = hf_get_u64(&reader);
  request->seconds = hf_get_u64(&reader);
  request->repository = hf_get_text(&reader, PATH_MAX);
  request->names = g_ptr_array_new_with_free_func(g_free);
  guint count = hf_get_count(&reader, 1);
  for (guint i = 0; i < MIN(count, HF_HOLD_NAMES); i++)
    g_ptr_array_add(request->names, hf_get_text(&reader, NAME_MAX_BYTES));
  return hf_reader_done(&reader, "what is to be held", error);
}

void hf_hold_request_clear(HfHoldRequest *request)
{
  g_free(request->repository);
  g_clear_pointer(&request->names, g_ptr_array_unref);
}

void hf_hold_answer_put(GByteArray *body, guint64 number, guint refused, const GError *error)
{
  hf_put_u64(body, number);
  hf_put_u32(body, refused);
  hf_put_error(body, error);
}

/* ---- Asking. ---- */

typedef struct Question {
  gboolean answered;
  guint refused;
  GError *error;
} Question;

static struct {
  GMutex lock;
  GCond answered;
  HfControl *control; /* NULL: nobody to ask */
  guint64 last;
  GHashTable *open; /* number -> Question, on the stack of who asks */
} desk;

void hf_hold_begin(HfControl *control)
{
  HF_LOCK(&desk.lock);
  desk.control = control;
  if (desk.open == NULL)
    desk.open = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
}

void hf_hold_end(void)
{
  HF_LOCK(&desk.lock);
  desk.control = NULL;
  g_cond_broadcast(&desk.answered);
}

void hf_hold_answered(const GByteArray *body)
{
  HfReader reader = hf_reader(body->data, body->len);
  guint64 number = hf_get_u64(&reader);
  guint refused = hf_get_u32(&reader);
  HF_LOCK(&desk.lock);
  Question *question = desk.open != NULL ? g_hash_table_lookup(desk.open, &number) : NULL;
  if (question == NULL || question->answered)
    return;
  question->answered = TRUE;
  question->refused = refused;
  hf_get_error(&reader, &question->error);
  g_cond_broadcast(&desk.answered);
}

/* NULL: nobody to ask. */
static HfControl *open_question(HfHoldRequest *request, Question *question)
{
  HF_LOCK(&desk.lock);
  if (desk.control == NULL)
    return NULL;
  request->number = ++desk.last;
  g_hash_table_insert(desk.open, g_memdup2(&request->number, sizeof(guint64)), question);
  return desk.control;
}

static void close_question(const HfHoldRequest *request, const Question *question, gboolean wait)
{
  gint64 until = g_get_monotonic_time() + PATIENCE_US;
  HF_LOCK(&desk.lock);
  while (wait && !question->answered && desk.control != NULL &&
         g_cond_wait_until(&desk.answered, &desk.lock, until))
    continue;
  g_hash_table_remove(desk.open, &request->number);
}

static gboolean ask(HfHoldRequest *request, Question *question, GError **error)
{
  g_autoptr(HfBody) body = hf_body_new();
  HfControl *control = open_question(request, question);
  if (control == NULL)
    return hf_fail(error, HF_ERROR_IO, "there is no keeper to make files immutable");
  hf_hold_request_put(body, request);
  gboolean sent = hf_control_send(control, HF_CONTROL_HOLD, body, -1, error);
  close_question(request, question, sent);
  return sent && (question->answered ||
                  hf_fail(error, HF_ERROR_IO, "the keeper did not say whether files are immutable now"));
}

gboolean hf_hold_ask(const char *repository, guint64 seconds, const GPtrArray *names, guint *refused, GError **error)
{
  Question question = { 0 };
  HfHoldRequest request = { .seconds = seconds, .repository = (char *)repository, .names = (GPtrArray *)names };
  *refused = 0;
  if (!ask(&request, &question, error))
    return FALSE;
  *refused = question.refused;
  if (question.error == NULL)
    return TRUE;
  g_propagate_error(error, question.error);
  return FALSE;
}
