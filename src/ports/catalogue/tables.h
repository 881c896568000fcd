/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The tables that spec/gen-ports.py makes from data/ports/ (catalogue.gen.c); catalogue.h gives them out. */
#pragma once

#include "ports/catalogue/catalogue.h"

extern const HfPortSection hf_port_sections_table[];
extern const guint hf_port_n_sections;
extern const HfPortTable hf_port_tables_table[];
extern const guint hf_port_n_tables;
extern const HfPortRole hf_port_roles_table[];
extern const guint hf_port_n_roles;
extern const HfPortCondition hf_port_conditions_table[];
extern const guint hf_port_n_conditions;
extern const HfPortService hf_port_services_table[];
extern const guint hf_port_n_services;
extern const HfPortMark hf_port_marks_table[];
extern const guint hf_port_n_marks;
extern const HfPortRule hf_port_rules_table[];
extern const guint hf_port_n_rules;
extern const HfPortRow hf_port_rows_table[];
extern const guint hf_port_n_rows;
