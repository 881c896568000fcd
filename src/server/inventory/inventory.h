/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the server knows about: credentials, hosts, repositories, proxies, traffic rules, encryption passwords, jobs,
 * sessions and the catalogue of points, as typed rows over the database. Used by the REST nouns and by the job runner;
 * lists with paging are made by the REST layer over the same tables.
 *
 * Rules that hold for all of it:
 * - hf_inv_X_get gives a row by its id (HF_ERROR_NOT_FOUND, naming what is missing), hf_inv_X_load all of them in the
 *   order of their names. Rows own their strings; texts are never NULL but where the struct says so.
 * - hf_inv_X_create fills in `id` and `created` of the row it was given. hf_inv_X_change writes what the struct says an
 *   administrator may change and leaves the rest alone; figures and states have functions of their own, not audited.
 * - Values are checked: HF_ERROR_USAGE names the value. A name that is taken, a place that is in use, a thing that
 *   others need: HF_ERROR_EXISTS naming who holds it.
 * - Each change by an administrator is audited, old and new, in the same transaction; so is its refusal.
 * - Times: microseconds since 1970 UTC, 0 for "not yet" (NULL in the table). Booleans are gboolean, 0 and 1 in the
 *   table.
 *
 * Threads: any.
 */
#pragma once

#include "server/auth/auth.h"
#include "server/db/db.h"

typedef struct HfInventory {
  HfDb *db;
  HfSecrets *secrets;
} HfInventory; /* made by its user from two things that outlive it; nothing to free */

/* Words of the tables: 001_start.sql has all of them. */
#define HF_STATE_STARTING "Starting"
#define HF_STATE_WORKING "Working"
#define HF_STATE_STOPPING "Stopping"
#define HF_STATE_POSTPROCESSING "Postprocessing"
#define HF_STATE_WAITING_REPOSITORY "WaitingRepository"
#define HF_STATE_WAITING_SLOT "WaitingSlot"
#define HF_STATE_STOPPED "Stopped"
#define HF_RESULT_NONE "None"
#define HF_RESULT_SUCCESS "Success"
#define HF_RESULT_WARNING "Warning"
#define HF_RESULT_FAILED "Failed"
#define HF_LINE_NONE "None"
#define HF_LINE_SUCCEEDED "Succeeded"
#define HF_LINE_WARNING "Warning"
#define HF_LINE_FAILED "Failed"
#define HF_HOST_AVAILABLE "Available"
#define HF_HOST_UNAVAILABLE "Unavailable"
#define HF_JOB_RUNNING "Running"
#define HF_JOB_INACTIVE "Inactive"
#define HF_JOB_DISABLED "Disabled"
#define HF_JOB_STOPPING "Stopping"
#define HF_JOB_STARTING "Starting"
