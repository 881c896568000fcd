/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>

/* What a device says that it holds: "ext4", "LVM2_member", "gpt", ...; *name is NULL when it is blank, else the
 * caller's. HF_ERROR_IO when it cannot be read. */
gboolean hf_signature_find(int fd, const char *path, char **name, GError **error);
