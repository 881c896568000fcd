/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Carrying out orders: for each act (spec/messages/installer.toml) what the keeper does. Main thread. */
#pragma once

#include "agent/keeper/keeper.h"

/* An HfAskFunc: `data` is the request (GBytes, a SignedOrder); the answer is that of the act. */
void hf_carry_out(HfKeeper *keeper, HfAsk *ask, gpointer data);

/* What the transport face says about tickets of the server; the rest goes to the tasks. */
void hf_carry_message(HfKeeper *keeper, HfControlMessage *message);
/* The transport face died: who waits for a ticket is told. */
void hf_carry_transport_gone(HfKeeper *keeper);
