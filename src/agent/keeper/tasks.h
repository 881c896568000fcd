/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Tasks: a worker process each, their links, and what becomes of them (keeper.h, invariant 3).
 *
 *   ordered --> file written --> worker runs --> ended --> links parted --> result written, told --> taken: forgotten
 *                    \--- keeper killed --------------------------------> result "failed" at the next start
 *
 * The number of a task is that of its order: no other task of this host ever has it.
 *
 * Threads: the keeper's main thread.
 */
#pragma once

#include "agent/keeper/keeper.h"

#define HF_TASKS_MAX 256u /* at a time */

/* Reads what an earlier keeper left behind. */
HfTasks *hf_tasks_new(HfKeeper *keeper, GError **error);
/* Kills what runs. */
void hf_tasks_free(HfTasks *tasks);

/* Starts the task of order `number`; the answer of `ask` is a TaskStarted. */
void hf_tasks_start(HfTasks *tasks, guint64 number, const HfInstallerTaskOrder *order, HfAsk *ask);
/* HF_ERROR_NOT_FOUND when there is none of that name; one that has ended already is well. */
gboolean hf_tasks_cancel(HfTasks *tasks, const char *name, GError **error);
/* Bytes a second that the task may have on the wire from now on; 0: no limit. As for hf_tasks_cancel. */
gboolean hf_tasks_set_rate(HfTasks *tasks, const char *name, guint64 rate, GError **error);
void hf_tasks_cancel_all(HfTasks *tasks);
guint hf_tasks_running(const HfTasks *tasks);
/* The server has the result of this task. */
void hf_tasks_taken(HfTasks *tasks, guint64 task);
/* Adds all tasks to `status`. */
void hf_tasks_describe(const HfTasks *tasks, HfInstallerStatus *status);

/* What the transport face says about links (HF_CONTROL_TICKET_OPEN, _JOINED, _PARTED); FALSE when it is about none. */
gboolean hf_tasks_message(HfTasks *tasks, HfControlMessage *message);
/* The transport face died: what was asked of it fails. */
void hf_tasks_transport_gone(HfTasks *tasks);
