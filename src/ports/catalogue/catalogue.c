/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ports/catalogue/catalogue.h"

#include "ports/catalogue/tables.h"

#define OPEN_END_PORTS 10 /* that an open end stands for, where nothing says how many */

/* ---- tables ---- */

const HfPortRow *hf_port_rows(guint *n_rows)
{
  *n_rows = hf_port_n_rows;
  return hf_port_rows_table;
}

const HfPortTable *hf_port_tables(guint *n_tables)
{
  *n_tables = hf_port_n_tables;
  return hf_port_tables_table;
}

const HfPortSection *hf_port_sections(guint *n_sections)
{
  *n_sections = hf_port_n_sections;
  return hf_port_sections_table;
}

const HfPortRole *hf_port_roles(guint *n_roles)
{
  *n_roles = hf_port_n_roles;
  return hf_port_roles_table;
}

const HfPortCondition *hf_port_conditions(guint *n_conditions)
{
  *n_conditions = hf_port_n_conditions;
  return hf_port_conditions_table;
}

const HfPortService *hf_port_services(guint *n_services)
{
  *n_services = hf_port_n_services;
  return hf_port_services_table;
}

const HfPortMark *hf_port_marks(guint *n_marks)
{
  *n_marks = hf_port_n_marks;
  return hf_port_marks_table;
}

const HfPortRule *hf_port_rules(guint *n_rules)
{
  *n_rules = hf_port_n_rules;
  return hf_port_rules_table;
}

/* ---- by name ---- */

/* Steps over white space; TRUE when there was some. */
static gboolean skip_space(const char **text)
{
  const char *start = *text;
  while (g_ascii_isspace(**text))
    (*text)++;
  return *text != start;
}

/* Case and white space do not count. */
static gboolean is_same_name(const char *a, const char *b)
{
  skip_space(&a);
  skip_space(&b);
  while (*a != '\0' && *b != '\0') {
    gboolean gap_a = skip_space(&a), gap_b = skip_space(&b);
    if (gap_a != gap_b && *a != '\0' && *b != '\0')
      return FALSE;
    if (g_ascii_tolower(*a) != g_ascii_tolower(*b))
      return FALSE;
    if (*a != '\0') {
      a++;
      b++;
    }
  }
  skip_space(&a);
  skip_space(&b);
  return *a == '\0' && *b == '\0';
}

const HfPortRow *hf_port_row_find(const char *id)
{
  for (guint i = 0; i < hf_port_n_rows; i++)
    if (g_str_equal(hf_port_rows_table[i].id, id))
      return &hf_port_rows_table[i];
  return NULL;
}

const HfPortCondition *hf_port_condition_find(const char *id)
{
  for (guint i = 0; i < hf_port_n_conditions; i++)
    if (g_str_equal(hf_port_conditions_table[i].id, id))
      return &hf_port_conditions_table[i];
  return NULL;
}

int hf_port_condition_value(const HfPortCondition *condition, const char *value)
{
  for (int i = 0; condition->values[i] != NULL; i++)
    if (g_str_equal(condition->values[i], value))
      return i;
  return -1;
}

static gboolean has_name(const HfPortRole *role, const char *name)
{
  for (guint i = 0; role->names[i] != NULL; i++)
    if (is_same_name(role->names[i], name))
      return TRUE;
  return FALSE;
}

const HfPortRole *hf_port_role_find(const char *name)
{
  for (guint i = 0; i < hf_port_n_roles; i++)
    if (is_same_name(hf_port_roles_table[i].id, name))
      return &hf_port_roles_table[i];
  for (guint i = 0; i < hf_port_n_roles; i++)
    if (has_name(&hf_port_roles_table[i], name))
      return &hf_port_roles_table[i];
  return NULL;
}

const HfPortSection *hf_port_section_find(const char *name)
{
  for (guint i = 0; i < hf_port_n_sections; i++) {
    const HfPortSection *section = &hf_port_sections_table[i];
    if (is_same_name(section->id, name) || is_same_name(section->title, name))
      return section;
  }
  return NULL;
}

const HfPortTable *hf_port_table_find(const char *name)
{
  for (guint i = 0; i < hf_port_n_tables; i++)
    if (is_same_name(hf_port_tables_table[i].title, name))
      return &hf_port_tables_table[i];
  return NULL;
}

const HfPortService *hf_port_service_find(const char *id)
{
  for (guint i = 0; i < hf_port_n_services; i++)
    if (g_str_equal(hf_port_services_table[i].id, id))
      return &hf_port_services_table[i];
  return NULL;
}

const HfPortService *hf_port_service(const char *id)
{
  const HfPortService *service = hf_port_service_find(id);
  if (service == NULL)
    g_error("bug: service '%s' is not in data/ports/services.tsv", id);
  return service;
}

/* ---- conditions ---- */

static gboolean atom_holds(const HfPortAtom *atom, HfPortAnswer answer, gpointer user)
{
  int value = answer(atom->condition, atom->subject, user);
  if (value < 0)
    value = (int)atom->condition->fallback;
  return (value == (int)atom->value) != atom->negated;
}

gboolean hf_port_when_holds(const HfPortWhen *when, HfPortAnswer answer, gpointer user)
{
  for (guint i = 0; i < when->n_clauses; i++) {
    const HfPortClause *clause = &when->clauses[i];
    gboolean holds = FALSE;
    for (guint j = 0; j < clause->n_atoms && !holds; j++)
      holds = atom_holds(&clause->atoms[j], answer, user);
    if (!holds)
      return FALSE;
  }
  return TRUE;
}

gboolean hf_port_when_asks(const HfPortWhen *when, const HfPortCondition *condition, guint value)
{
  for (guint i = 0; i < when->n_clauses; i++)
    for (guint j = 0; j < when->clauses[i].n_atoms; j++) {
      const HfPortAtom *atom = &when->clauses[i].atoms[j];
      if (atom->condition == condition && (atom->value == value) != atom->negated)
        return TRUE;
    }
  return FALSE;
}

/* ---- look up ---- */

gboolean hf_port_role_is(const HfPortRole *role, const HfPortRole *wanted)
{
  for (; role != NULL; role = role->is)
    if (role == wanted)
      return TRUE;
  return FALSE;
}

/* TRUE when a holder of `wide` is taken to have `narrow`: each step down is assumed. */
static gboolean is_assumed(const HfPortRole *narrow, const HfPortRole *wide)
{
  for (; narrow != wide; narrow = narrow->is)
    if (narrow == NULL || !narrow->assumed)
      return FALSE;
  return TRUE;
}

static gboolean uses_concern(const HfPortRoleUse *uses, guint n_uses, const HfPortRole *wanted)
{
  gboolean abstract = wanted->names[0] == NULL;
  for (guint i = 0; i < n_uses; i++) {
    const HfPortRole *role = uses[i].role;
    if (hf_port_role_is(wanted, role) || is_assumed(role, wanted) || (abstract && hf_port_role_is(role, wanted)))
      return TRUE;
  }
  return FALSE;
}

static gboolean uses_ask(const HfPortRoleUse *uses, guint n_uses, const HfPortCondition *condition, guint value)
{
  for (guint i = 0; i < n_uses; i++)
    if (hf_port_when_asks(&uses[i].when, condition, value))
      return TRUE;
  return FALSE;
}

static gboolean row_asks(const HfPortRow *row, const HfPortCondition *condition, guint value)
{
  if (hf_port_when_asks(&row->when, condition, value) || uses_ask(row->from, row->n_from, condition, value) ||
      uses_ask(row->to, row->n_to, condition, value))
    return TRUE;
  for (guint i = 0; i < row->n_items; i++)
    if (hf_port_when_asks(&row->items[i].when, condition, value))
      return TRUE;
  for (guint i = 0; i < row->n_endpoints; i++)
    if (hf_port_when_asks(&row->endpoints[i].when, condition, value))
      return TRUE;
  return FALSE;
}

gboolean hf_port_item_has(const HfPortItem *item, guint16 port)
{
  if (item->kind == HF_PORT_OPEN)
    return port >= item->first && port < item->first + OPEN_END_PORTS;
  return item->first != 0 && port >= item->first && port <= item->last;
}

static gboolean row_has_port(const HfPortRow *row, guint16 port)
{
  for (guint i = 0; i < row->n_items; i++)
    if (hf_port_item_has(&row->items[i], port))
      return TRUE;
  return FALSE;
}

static gboolean row_has_service(const HfPortRow *row, const HfPortService *service)
{
  for (guint i = 0; i < row->n_items; i++)
    if (row->items[i].service == service)
      return TRUE;
  return FALSE;
}

gboolean hf_port_row_matches(const HfPortRow *row, const HfPortFilter *filter)
{
  if (filter->from != NULL && !uses_concern(row->from, row->n_from, filter->from))
    return FALSE;
  if (filter->to != NULL && !uses_concern(row->to, row->n_to, filter->to))
    return FALSE;
  if (filter->either != NULL && !uses_concern(row->from, row->n_from, filter->either) &&
      !uses_concern(row->to, row->n_to, filter->either))
    return FALSE;
  if (filter->port != 0 && !row_has_port(row, filter->port))
    return FALSE;
  if (filter->section != NULL && row->table->section != filter->section)
    return FALSE;
  if (filter->table_title != NULL && !is_same_name(row->table->title, filter->table_title))
    return FALSE;
  if (filter->service != NULL && !row_has_service(row, filter->service))
    return FALSE;
  return filter->condition == NULL || row_asks(row, filter->condition, filter->value);
}

GPtrArray *hf_port_select(const HfPortFilter *filter)
{
  GPtrArray *found = g_ptr_array_new();
  for (guint i = 0; i < hf_port_n_rows; i++)
    if (hf_port_row_matches(&hf_port_rows_table[i], filter))
      g_ptr_array_add(found, (gpointer)&hf_port_rows_table[i]);
  return found;
}
