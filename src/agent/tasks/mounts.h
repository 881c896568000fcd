/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which file systems lie on a disk or behind a path, and which of them must not be frozen. */
#pragma once

#include "agent/thaw.h"

/* The file system that `path` lies in; NULL with an error when it cannot be looked at. Free with hf_frozen_free. */
HfFrozen *hf_mounts_of_path(const char *path, GError **error);

/* Adds the file systems (HfFrozen*, each once) that are mounted from the device or image `path`: from itself, its
 * partitions, what is built upon them (device mapper, RAID) and loop devices over them. Those that are read-only as a
 * whole are left out: nothing writes to them. */
void hf_mounts_of_disk(const char *path, GPtrArray *places);

/* Why `place` must not be frozen: one of `needed` (paths, ended by NULL; those that do not exist do not count) lies in
 * it, or in an image that lies in it, or where that cannot be told (overlay). NULL: it may be. Caller frees. */
char *hf_mounts_refusal(const HfFrozen *place, const char *const *needed);

/* Puts `places` (of HfFrozen*) into the order of freezing: what lies in an image in another one comes before that one,
 * as freezing writes. They are thawed the other way round. */
void hf_mounts_order(GPtrArray *places);
