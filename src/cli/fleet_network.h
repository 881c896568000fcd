/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Networks as people write them, for traffic rules. */
#pragma once

#include <glib.h>

/* "10.0.0.0/8", "10.0.0.1-10.0.0.9", "fd00::/8" or one address, as first and last address; both freed by the caller.
 * HF_ERROR_USAGE. */
gboolean hf_fleet_network(const char *text, char **first, char **last, GError **error);
