/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the parts of hf_target_apply share. */
#pragma once

#include <sys/stat.h>

#include "target/tree.h"

#define HF_PROC_FD_BYTES 32

typedef struct HfApply {
  int fd;        /* of the entry, for anything; with O_PATH when `path` */
  gboolean path; /* then what O_PATH does not allow goes through `proc` */
  char proc[HF_PROC_FD_BYTES];
  const HfEntry *entry;
  HfView extras; /* valid */
  HfReport *report;
  const char *shown;
  guint32 flags, project; /* out of extras, 0 where absent */
  gboolean known;         /* what it has at first: */
  struct statx found;
  gboolean locks;         /* immutable or append are to be changed at the end */
} HfApply;

/* Finds flags and project id in the extras. */
void hf_apply_read_extras(HfApply *apply);
/* Project id, and all flags but immutable and append; sets `locks`. */
void hf_apply_flags(HfApply *apply);
/* Immutable and append: the last of all. */
void hf_apply_last_flags(const HfApply *apply);
