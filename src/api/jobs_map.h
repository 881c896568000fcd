/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Between what clients send of a job and what is kept of it (docs/rest.md section 7). Pure, but for names of hosts. */
#pragma once

#include <jansson.h>

#include "api/call.h"
#include "server/inventory/jobs.h"

/* Fills name, description, type, high_priority, repository, config, schedule, objects_count of `row` from a checked
 * body, and `hosts` with the ids it names. HF_ERROR_USAGE when the body asks for nothing that can be done. */
gboolean hf_api_job_from_body(HfApiCall *call, json_t *body, HfJobRow *row, GPtrArray *hosts, GError **error);

/* The parts of a job that its columns do not have, as members of an object that is open. */
gboolean hf_api_job_to_out(HfApiOut *out, const char *type, const char *config, const char *schedule,
                           const char *repository_id, GError **error);
