/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a child of the keeper gives up. */
#pragma once

#include <glib.h>

/* Gives up root: becomes `user` with its groups, without capabilities and without a way back. Nothing for who is not
 * root. HF_ERROR_PERMISSION when it did not work: then the process must end. */
gboolean hf_rights_drop(const char *user, GError **error);

/* The keeper is the parent, and this process ends with it: by the kernel, at once. (A keeper that died before this was
 * said is found by the control socket, which has ended.) To be said again after each change of user. */
gboolean hf_rights_end_with_keeper(void);
