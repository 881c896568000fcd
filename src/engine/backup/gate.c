/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "engine/backup/gate.h"

void hf_gate_init(HfGate *gate)
{
  *gate = (HfGate){ 0 };
  g_mutex_init(&gate->mutex);
  g_cond_init(&gate->changed);
}

void hf_gate_clear(HfGate *gate)
{
  g_mutex_clear(&gate->mutex);
  g_cond_clear(&gate->changed);
}

void hf_gate_enter(HfGate *gate)
{
  g_mutex_lock(&gate->mutex);
  while (g_atomic_int_get(&gate->closed))
    g_cond_wait(&gate->changed, &gate->mutex);
  gate->inside++;
  g_mutex_unlock(&gate->mutex);
}

void hf_gate_leave(HfGate *gate)
{
  g_mutex_lock(&gate->mutex);
  gate->inside--;
  g_cond_broadcast(&gate->changed);
  g_mutex_unlock(&gate->mutex);
}

void hf_gate_yield(HfGate *gate)
{
  if (!g_atomic_int_get(&gate->closed))
    return;
  hf_gate_leave(gate);
  hf_gate_enter(gate);
}

void hf_gate_close(HfGate *gate)
{
  g_mutex_lock(&gate->mutex);
  while (g_atomic_int_get(&gate->closed))
    g_cond_wait(&gate->changed, &gate->mutex);
  g_atomic_int_set(&gate->closed, 1);
  while (gate->inside)
    g_cond_wait(&gate->changed, &gate->mutex);
  g_mutex_unlock(&gate->mutex);
}

void hf_gate_open(HfGate *gate)
{
  g_mutex_lock(&gate->mutex);
  g_atomic_int_set(&gate->closed, 0);
  g_cond_broadcast(&gate->changed);
  g_mutex_unlock(&gate->mutex);
}
