/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What workers do: one file a kind of task. Messages and results are those of spec/messages/work.toml. */
#pragma once

#include "agent/worker.h"

extern const HfTaskKind hf_task_backup;  /* Backup, Key -> BackupDone */
extern const HfTaskKind hf_task_restore; /* Restore, Key -> RestoreDone */
extern const HfTaskKind hf_task_copy;    /* Copy -> CopyDone */
