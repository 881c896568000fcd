/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the verbs about ports share: names from the command line, and rules of the catalogue as tables and as JSON. */
#pragma once

#include "cli/cli.h"
#include "ports/catalogue/catalogue.h"

/* By the words that the catalogue's own functions take; HF_ERROR_USAGE with the nearest one when there is none. */
const HfPortRole *hf_cli_port_role(const char *name, GError **error);
const HfPortService *hf_cli_port_service(const char *id, GError **error);
/* "condition=value" */
gboolean hf_cli_port_condition(const char *text, const HfPortCondition **condition, guint *value, GError **error);
/* A section, or a title of tables: sets one of the two members of `filter`. */
gboolean hf_cli_port_section(const char *name, HfPortFilter *filter, GError **error);

/* One rule as 'ports list' prints it with --json. Caller owns. */
json_t *hf_cli_port_row_json(const HfPortRow *row);
/* The same for many: a list of const HfPortRow *. Caller owns. */
json_t *hf_cli_port_rows_json(const GPtrArray *rows);
/* Prints them for people. */
void hf_cli_port_rows_table(HfOutput *output, const GPtrArray *rows);
