/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The gate of a backup: workers are inside while they change the tree being built; who takes a checkpoint closes it,
 * waits until all have stepped out, and has the tree for himself.
 */
#pragma once

#include <glib.h>

typedef struct HfGate {
  GMutex mutex;
  GCond changed;
  guint inside;
  gint closed; /* atomic hint, truth under the mutex */
} HfGate;

void hf_gate_init(HfGate *gate);
void hf_gate_clear(HfGate *gate);
/* Blocks while closed. */
void hf_gate_enter(HfGate *gate);
void hf_gate_leave(HfGate *gate);
/* Steps out and in again when someone wants to close; costs one atomic read otherwise. */
void hf_gate_yield(HfGate *gate);
/* Returns when nobody is inside. */
void hf_gate_close(HfGate *gate);
void hf_gate_open(HfGate *gate);
