/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How the repository service asks the keeper to make files of a repository immutable (agent/keeper/hold.h says what the
 * keeper does): HF_CONTROL_HOLD from the transport role to the keeper, HF_CONTROL_HELD back.
 *
 * Threads: any.
 */
#pragma once

#include "agent/control.h"

#define HF_HOLD_NAMES 200u /* of a request */

typedef struct HfHoldRequest {
  guint64 number;
  guint64 seconds;  /* from when the keeper takes it up */
  char *repository; /* its path, as the ticket named it */
  GPtrArray *names; /* of char *, objects of the store; owned */
} HfHoldRequest;
void hf_hold_request_put(GByteArray *body, const HfHoldRequest *request);
/* What it found belongs to the caller also after an error. */
gboolean hf_hold_request_get(const GByteArray *body, HfHoldRequest *request, GError **error);
void hf_hold_request_clear(HfHoldRequest *request);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HfHoldRequest, hf_hold_request_clear)

void hf_hold_answer_put(GByteArray *body, guint64 number, guint refused, const GError *error);

/* ---- The transport role's side. One for the process. ---- */
void hf_hold_begin(HfControl *control);
/* Who waits is told that nobody answers. */
void hf_hold_end(void);
void hf_hold_answered(const GByteArray *body);
/* Asks and waits, a minute at most. `names`: at most HF_HOLD_NAMES of char *, borrowed. *refused: how many of them the
 * keeper did not hold. HF_ERROR_UNSUPPORTED: it cannot there. */
gboolean hf_hold_ask(const char *repository, guint64 seconds, const GPtrArray *names, guint *refused, GError **error);
