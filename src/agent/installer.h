/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The installer role: the face that the server calls. */
#pragma once

#include "agent/control.h"

/* Returns when the keeper closes the control socket. */
gboolean hf_installer_run(HfControl *control, GError **error);
