/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the keeper and the process that runs scripts (agent/tasks/hooks.h) say to each other. */
#pragma once

#include "agent/control.h"

/* In the environment of all that a script starts: the name of the task. */
#define HF_HOOKS_MARK "HOLDFAST_TASK"

/* What the keeper tells (HF_CONTROL_SCRIPTS). */
typedef struct HfHooksOrder {
  char *task;    /* its name */
  char *kind;    /* of the task */
  char *outcome; /* "": run those before; else those after, with this outcome */
  GBytes *order; /* the task's message */
} HfHooksOrder;
void hf_hooks_order_put(GByteArray *body, const HfHooksOrder *order);
gboolean hf_hooks_order_get(const GByteArray *body, HfHooksOrder *order, GError **error);
void hf_hooks_order_clear(HfHooksOrder *order);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HfHooksOrder, hf_hooks_order_clear)
