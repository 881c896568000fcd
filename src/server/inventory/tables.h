/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tables that files of the folder besides their own ask for. */
#pragma once

#include "server/inventory/record.h"

extern const HfTable hf_table_hosts, hf_table_repositories, hf_table_jobs, hf_table_sessions, hf_table_tasks;
