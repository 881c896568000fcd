/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Private to export/fuse: the answers to the kernel's requests. Their user data is the HfExport. */
#pragma once

#define FUSE_USE_VERSION 312

#include <fuse_lowlevel.h>

#include "export/tree.h"

extern const struct fuse_lowlevel_ops hf_fuse_requests;
