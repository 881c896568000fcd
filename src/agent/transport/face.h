/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The transport role: the face that data go through. */
#pragma once

#include "agent/worker.h"

/* Returns when the keeper closes the control socket. */
gboolean hf_transport_run(HfControl *control, const HfAgentParts *parts, GError **error);
