/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The catalogue against what is known of the two pages: how many tables and rows they have and where, how ports are
 * spelled on them, and the digest of all that is printed, which an independent reader of the pages gave. */
#include "ports/catalogue/catalogue.h"

#include <string.h>

#define ROWS 449
#define TABLES 71
/* SHA-256 of page, section, table, row, from, to, protocol and port of every row, apart by tabs, a row a line. */
#define PRINTED_DIGEST "320b71a727f61498bb0e5733a0e925da16207db5c9e7f23c1d7c79968c9fa783"

static const HfPortRow *row_of(const char *id)
{
  const HfPortRow *row = hf_port_row_find(id);
  g_assert_nonnull(row);
  return row;
}

static gboolean is_marked(const HfPortRow *row, const char *mark)
{
  for (guint i = 0; row->marks[i] != NULL; i++)
    if (g_str_equal(row->marks[i]->id, mark))
      return TRUE;
  return FALSE;
}

/* Rows in each table, in the order of the pages, with the line of the page where the table's header stands. */
static void test_tables(void)
{
  static const guint lines[TABLES] = { 21,  36,  56,  113, 123, 143, 167, 185, 223, 239, 250, 260, 268, 277, 284,
                                       293, 302, 313, 326, 343, 357, 384, 392, 400, 409, 418, 425, 435, 445, 473,
                                       480, 487, 494, 501, 508, 515, 522, 529, 536, 543, 551, 568, 596, 607, 615,
                                       623, 639, 655, 665, 672, 684, 702, 714, 726, 741, 753, 773, 814, 829, 840,
                                       854, 868, 882, 896, 906, 916, 925, 932, 939, 946, 958 };
  static const guint counts[TABLES] = { 8, 15, 46, 3, 13, 14, 9, 14, 9,  4,  3, 3, 4, 2, 4, 4, 4,  6, 10, 7, 8, 3, 3, 4,
                                        4, 2,  5,  5, 3,  2,  2, 2,  2,  2,  2, 2, 2, 2, 2, 3, 3,  23, 6, 1, 1, 9, 9, 3,
                                        2, 5,  4,  7, 7,  10, 5, 13, 13, 10, 6, 9, 9, 7, 7, 3, 3,  2,  2, 2, 2, 7, 17 };
  guint n, n_rows, place = 0;
  const HfPortTable *tables = hf_port_tables(&n);
  const HfPortRow *rows = hf_port_rows(&n_rows);
  g_assert_cmpuint(n, ==, TABLES);
  g_assert_cmpuint(n_rows, ==, ROWS);
  for (guint i = 0; i < n; i++) {
    g_assert_cmpuint(tables[i].index, ==, i);
    g_assert_cmpuint(tables[i].line, ==, lines[i]);
    g_assert_cmpuint(tables[i].n_rows, ==, counts[i]);
    for (guint j = 0; j < counts[i]; j++, place++) {
      g_assert_true(rows[place].table == &tables[i]);
      g_assert_cmpuint(rows[place].number, ==, j + 1);
      g_assert_cmpuint(rows[place].index, ==, place);
      g_assert_cmpuint(rows[place].line, >, lines[i]);
    }
  }
}

static void test_sections(void)
{
  static const struct {
    const char *title;
    guint tables, rows;
  } expected[] = {
    { "Ports", 1, 8 },
    { "Backup Server", 2, 61 },
    { "Backup & Replication Console", 1, 3 },
    { "Veeam Infrastructure Appliance", 1, 13 },
    { "Backup Proxy", 1, 14 },
    { "Off-Host Backup Proxy", 1, 9 },
    { "Gateway Server", 1, 14 },
    { "Backup Repositories", 13, 68 },
    { "Storage Systems", 20, 55 },
    { "Unstructured Data Backup Components", 4, 31 },
    { "Tape Server", 1, 9 },
    { "WAN Accelerator", 1, 9 },
    { "Guest Processing Components", 4, 14 },
    { "Log Shipping Components", 4, 29 },
    { "CDP Components", 1, 13 },
    { "Universal CDP Components", 1, 13 },
    { "Recovery Components", 14, 86 },
  };
  guint n, n_tables;
  const HfPortSection *sections = hf_port_sections(&n);
  const HfPortTable *tables = hf_port_tables(&n_tables);
  g_assert_cmpuint(n, ==, G_N_ELEMENTS(expected));
  for (guint i = 0; i < n; i++) {
    guint found = 0, rows = 0;
    for (guint j = 0; j < n_tables; j++)
      if (tables[j].section == &sections[i]) {
        found++;
        rows += tables[j].n_rows;
      }
    g_assert_cmpstr(sections[i].title, ==, expected[i].title);
    g_assert_cmpstr(sections[i].page, ==, i == 0 ? "explorer" : "main");
    g_assert_cmpuint(found, ==, expected[i].tables);
    g_assert_cmpuint(rows, ==, expected[i].rows);
  }
}

static void test_digest(void)
{
  guint n;
  const HfPortRow *rows = hf_port_rows(&n);
  g_autoptr(GString) text = g_string_new(NULL);
  for (guint i = 0; i < n; i++)
    g_string_append_printf(text, "%s\t%s\t%u\t%u\t%s\t%s\t%s\t%s\n", rows[i].table->section->page,
                           rows[i].table->section->title, rows[i].table->number, rows[i].number, rows[i].printed.from,
                           rows[i].printed.to, rows[i].printed.protocol, rows[i].printed.port);
  g_autofree char *digest = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)text->str, text->len);
  g_assert_cmpstr(digest, ==, PRINTED_DIGEST);
}

/* A row with four cells says From or To, and nothing tells which: in these it is From. Read the other way, they come
 * out with their ends swapped. */
static void test_rows_that_carry_to(void)
{
  static const char *const ids[] = { "m1.3",  "m1.4",  "m1.5",  "m1.6",  "m1.7",  "m1.9",  "m1.10",  "m1.11",
                                     "m1.12", "m1.13", "m1.14", "m1.15", "m4.13", "m7.10", "m7.11", "m7.13" };
  guint n, marked = 0;
  const HfPortRow *rows = hf_port_rows(&n);
  for (guint i = 0; i < n; i++)
    marked += is_marked(&rows[i], "to-carried");
  g_assert_cmpuint(marked, ==, G_N_ELEMENTS(ids));
  for (guint i = 0; i < G_N_ELEMENTS(ids); i++) {
    const HfPortRow *row = row_of(ids[i]);
    g_assert_true(is_marked(row, "to-carried"));
    g_assert_cmpstr(row->printed.to, ==,
                    ids[i][1] == '1'   ? "Backup server"
                      : ids[i][1] == '4' ? "Veeam Infrastructure Appliance"
                                         : "Gateway server");
  }
  g_assert_cmpstr(row_of("m4.13")->printed.from, ==, "Management client PC (remote access)");
  g_assert_cmpstr(row_of("m7.14")->printed.from, ==, "VM Guest OS");
}

/* Every way in which the pages write a port, how often, and what it means. */
static void test_spellings(void)
{
  static const struct {
    const char *row, *printed, *ports;
    HfPortMode mode;
    guint rows;
  } spellings[] = {
    { "x1.2", "80, 443 (according to SharePoint application settings)", "80,443", HF_PORT_ALL, 1 },
    { "x1.3", "1433 or another port", "1433|?sql_port", HF_PORT_ANY, 1 },
    { "x1.6", "25, 587 or another port, 443", "25{to.encryption!=tls}|587{to.encryption!=plain}|?mail_port,443",
      HF_PORT_ALL, 1 },
    { "m66.1", "1433, 1434 and other", "1433,1434,?sql_ports", HF_PORT_ALL, 1 },
    { "m18.9", "Depends on device configuration", "?object_storage_port", HF_PORT_ALL, 3 },
    { "m62.2", "\xe2\x80\x94", "?application_port", HF_PORT_ALL, 2 },
    { "m9.2", "mountd_port", "$mountd_port", HF_PORT_ALL, 1 },
    { "m9.3", "statd_port", "$statd_port", HF_PORT_ALL, 1 },
    { "m9.4", "lockd_port", "$lockd_port", HF_PORT_ALL, 1 },
    { "m61.4", "1058+ or 1063+", "1058+{to.on-backup-server=yes}|1063+{to.on-backup-server=no}", HF_PORT_ANY, 1 },
    { "m61.5", "2049+", "2049+", HF_PORT_ALL, 1 },
    { "x1.8", "6162 or 2500 to 3300", "6162>2500-3300", HF_PORT_FALLBACK, 10 },
    { "m3.1", "6162, 2500 to 3300", "6162>2500-3300", HF_PORT_FALLBACK, 10 },
    { "m50.3", "6160, 11731", "6160>11731", HF_PORT_FALLBACK, 4 },
    { "m2.25", "443 or 80", "443{to.mirror-scheme=https}|80{to.mirror-scheme=http}", HF_PORT_ANY, 2 },
    { "m2.28", "80 or 443", "80{to.crl-scheme=http}|443{to.crl-scheme=https}", HF_PORT_ANY, 1 },
    { "x1.7", "3260 to 3270", "3260-3270", HF_PORT_ALL, 1 },
    { "m70.16", "3260-3262", "3260-3262", HF_PORT_ALL, 1 },
    { "m7.14", "2500-3300", "2500-3300", HF_PORT_ALL, 1 },
    { "m2.15", "49152 to 65535", "49152-65535", HF_PORT_ALL, 3 },
    { "m59.6", "32768 to 60999", "32768-60999", HF_PORT_ALL, 2 },
    { "m41.23", "137-139, 443, 445, 6170", "137-139,443,445,6170", HF_PORT_ALL, 1 },
    { "m42.4", "2500 to 3300, 6160, 6162", "2500-3300,6160,6162", HF_PORT_ALL, 1 },
    { "m2.6", "445, 135, 137, 139", "445,135,137!{to.smb1=yes},139!{to.smb1=yes}", HF_PORT_ALL, 10 },
    { "m47.1", "445, 135", "445,135", HF_PORT_ALL, 4 },
    { "m2.43", "636, 3268, 3269", "636,3268,3269", HF_PORT_ALL, 3 },
    { "m2.45", "445, 139", "445,139", HF_PORT_ALL, 2 },
    { "m9.1", "111, 2049", "111,2049", HF_PORT_ALL, 9 },
    { "m26.3", "111, 2049, 635", "111,2049,635", HF_PORT_ALL, 2 },
    { "m28.2", "111, 2049, 20048", "111,2049,20048", HF_PORT_ALL, 1 },
    { "m24.4", "4420, 8009", "4420,8009", HF_PORT_ALL, 1 },
    { "m41.8", "80, 443", "80,443", HF_PORT_ALL, 2 },
  };
  guint n, others = 0;
  const HfPortRow *rows = hf_port_rows(&n);
  for (guint i = 0; i < G_N_ELEMENTS(spellings); i++) {
    guint found = 0;
    const HfPortRow *row = row_of(spellings[i].row);
    g_autofree char *ports = hf_port_row_ports_text(row);
    g_assert_cmpstr(row->printed.port, ==, spellings[i].printed);
    g_assert_cmpstr(ports, ==, spellings[i].ports);
    g_assert_cmpint(row->mode, ==, spellings[i].mode);
    for (guint j = 0; j < n; j++)
      if (g_str_equal(rows[j].printed.port, spellings[i].printed)) {
        g_assert_cmpint(rows[j].mode, ==, row->mode);
        g_assert_cmpuint(rows[j].n_items, ==, row->n_items);
        found++;
      }
    g_assert_cmpuint(found, ==, spellings[i].rows);
    others += found;
  }
  /* All the rest is one number, or the range of the data channels. */
  for (guint j = 0; j < n; j++) {
    const HfPortItem *item = rows[j].items;
    g_autofree char *ports = hf_port_row_ports_text(&rows[j]);
    if (rows[j].n_items == 1 && item->kind == HF_PORT_NUMBER && g_str_equal(ports, rows[j].printed.port))
      others++;
    if (rows[j].n_items == 1 && g_str_equal(rows[j].printed.port, "2500 to 3300") && g_str_equal(ports, "2500-3300"))
      others++;
  }
  g_assert_cmpuint(others, ==, ROWS);
}

static void test_protocols(void)
{
  static const struct {
    const char *printed;
    guint transports, rows;
  } expected[] = {
    { "TCP", HF_PORT_TCP, 410 },
    { "TCP, UDP", HF_PORT_TCP | HF_PORT_UDP, 18 },
    { "UDP", HF_PORT_UDP, 7 },
    { "UDP, TCP", HF_PORT_TCP | HF_PORT_UDP, 6 },
    { "TCP UDP", HF_PORT_TCP | HF_PORT_UDP, 3 },
    { "\xe2\x80\x94", 0, 2 },
    { "TCP, UDP, LDAP", HF_PORT_TCP | HF_PORT_UDP, 1 },
    { "TLS", HF_PORT_TCP, 1 },
    { "NDMP", HF_PORT_TCP, 1 },
  };
  guint n, all = 0;
  const HfPortRow *rows = hf_port_rows(&n);
  for (guint i = 0; i < G_N_ELEMENTS(expected); i++) {
    guint found = 0;
    for (guint j = 0; j < n; j++)
      if (g_str_equal(rows[j].printed.protocol, expected[i].printed)) {
        g_assert_cmpuint(rows[j].transports, ==, expected[i].transports);
        found++;
      }
    g_assert_cmpuint(found, ==, expected[i].rows);
    all += found;
  }
  g_assert_cmpuint(all, ==, ROWS);
}

static void test_oddities(void)
{
  static const struct {
    const char *mark;
    guint rows;
    const char *one;
  } expected[] = {
    { "both-directions", 4, "m1.12" },     { "comma-missing", 3, "m61.4" },      { "condition-differs", 2, "m5.8" },
    { "direction-doubtful", 3, "m42.6" },  { "direction-inferred", 5, "m7.14" }, { "endpoints-elsewhere", 0, "m17.2" },
    { "endpoints-swapped", 2, "m70.13" },  { "list-means-fallback", 14, "m3.1" }, { "missing-protocol", 2, "m63.2" },
    { "name-variant", 0, "m66.1" },        { "not-mirrored", 2, "m4.3" },        { "not-transport", 3, "m44.1" },
    { "notes-carried", 4, "m2.42" },       { "notes-slip", 5, "m70.12" },        { "order-unusual", 6, "m4.9" },
    { "protocol-carried", 2, "m2.34" },    { "range-hyphen", 3, "m41.23" },      { "repeated", 34, "m57.1" },
    { "restated", 1, "m9.2" },             { "to-carried", 16, "m1.3" },
  };
  guint n, n_marks;
  const HfPortRow *rows = hf_port_rows(&n);
  hf_port_marks(&n_marks);
  g_assert_cmpuint(n_marks, ==, G_N_ELEMENTS(expected));
  for (guint i = 0; i < n_marks; i++) {
    guint found = 0;
    for (guint j = 0; j < n; j++)
      found += is_marked(&rows[j], expected[i].mark);
    if (expected[i].rows != 0)
      g_assert_cmpuint(found, ==, expected[i].rows);
    g_assert_true(is_marked(row_of(expected[i].one), expected[i].mark));
  }
}

/* ---- The program has what the data has. ---- */

static char *joined_marks(const HfPortRow *row)
{
  g_autoptr(GPtrArray) words = g_ptr_array_new();
  for (guint i = 0; row->marks[i] != NULL; i++)
    g_ptr_array_add(words, (gpointer)row->marks[i]->id);
  g_ptr_array_add(words, NULL);
  return g_strjoinv(",", (char **)words->pdata);
}

static char *joined_rules(const HfPortRow *row)
{
  g_autoptr(GPtrArray) words = g_ptr_array_new();
  for (guint i = 0; row->rules[i] != NULL; i++)
    g_ptr_array_add(words, (gpointer)row->rules[i]->id);
  g_ptr_array_add(words, NULL);
  return g_strjoinv(",", (char **)words->pdata);
}

/* One word where all ports have the same, else one a port. */
static char *joined_items(const HfPortRow *row, gboolean services)
{
  g_autoptr(GPtrArray) words = g_ptr_array_new();
  gboolean same = TRUE;
  for (guint i = 0; i < row->n_items; i++) {
    const HfPortService *service = row->items[i].service;
    const char *word = services ? (service != NULL ? service->id : NULL) : row->items[i].application;
    g_ptr_array_add(words, (gpointer)(word != NULL ? word : "-"));
    same = same && g_str_equal(words->pdata[i], words->pdata[0]);
  }
  if (same)
    g_ptr_array_set_size(words, 1);
  g_ptr_array_add(words, NULL);
  return g_strjoinv(",", (char **)words->pdata);
}

static void check_cell(const HfPortRow *row, const char *text, const char *cell)
{
  if (!g_str_equal(text[0] != '\0' ? text : "-", cell))
    g_error("row %s: the program has '%s' where the data has '%s'", row->id, text, cell);
}

static void check_owned(const HfPortRow *row, char *text, const char *cell)
{
  check_cell(row, text, cell);
  g_free(text);
}

static void check_row(const HfPortRow *row, char **cells)
{
  g_assert_cmpuint(g_strv_length(cells), ==, 25);
  check_cell(row, row->table->section->page, cells[0]);
  check_cell(row, row->table->section->title, cells[1]);
  check_owned(row, g_strdup_printf("%u", row->table->number), cells[2]);
  check_owned(row, g_strdup_printf("%u", row->number), cells[3]);
  check_cell(row, row->printed.from, cells[4]);
  check_cell(row, row->printed.to, cells[5]);
  check_cell(row, row->printed.protocol, cells[6]);
  check_cell(row, row->printed.port, cells[7]);
  check_owned(row, g_strdup_printf("%u", row->line), cells[8]);
  check_cell(row, row->heading != NULL ? row->heading : "", cells[9]);
  check_owned(row, hf_port_uses_text(row->from, row->n_from), cells[10]);
  check_owned(row, hf_port_uses_text(row->to, row->n_to), cells[11]);
  check_cell(row, row->transports != 0 ? hf_port_transports_text(row->transports) : "", cells[12]);
  check_owned(row, joined_items(row, FALSE), cells[13]);
  check_cell(row, hf_port_mode_text(row->mode), cells[14]);
  check_owned(row, hf_port_row_ports_text(row), cells[15]);
  check_owned(row, joined_items(row, TRUE), cells[16]);
  check_owned(row, hf_port_endpoints_text(row), cells[17]);
  check_cell(row, hf_port_need_text(row->need), cells[18]);
  check_cell(row, hf_port_pair_text(row->pair), cells[20]);
  check_cell(row, row->customisable ? "yes" : "no", cells[21]);
  check_owned(row, joined_marks(row), cells[22]);
  check_owned(row, joined_rules(row), cells[23]);
  check_cell(row, row->purpose, cells[24]);
  /* The conditions of the table come first. */
  g_autofree char *when = hf_port_when_text(&row->when);
  g_assert_true(g_str_has_suffix(when, g_str_equal(cells[19], "-") ? "" : cells[19]));
}

/* The lines of a table below its columns; caller frees. */
static char **data_lines(const char *name, char **text, guint *n_lines)
{
  g_autofree char *path = g_build_filename(PORTS_DATA, name, NULL);
  g_assert_true(g_file_get_contents(path, text, NULL, NULL));
  char **lines = g_strsplit(*text, "\n", -1);
  guint top = 0;
  while (lines[top][0] == '#')
    top++;
  *n_lines = g_strv_length(lines) - top - 2;
  char **below = g_strdupv(lines + top + 1);
  g_strfreev(lines);
  return below;
}

static void test_round_trip(void)
{
  guint n, n_lines;
  const HfPortRow *rows = hf_port_rows(&n);
  g_autofree char *text = NULL;
  g_auto(GStrv) lines = data_lines("rows.tsv", &text, &n_lines);
  g_assert_cmpuint(n_lines, ==, n);
  for (guint i = 0; i < n; i++) {
    g_auto(GStrv) cells = g_strsplit(lines[i], "\t", -1);
    check_row(&rows[i], cells);
    g_assert_true(hf_port_row_find(rows[i].id) == &rows[i]);
  }
}

static void test_round_trip_of_conditions_and_roles(void)
{
  guint n, n_lines;
  const HfPortCondition *conditions = hf_port_conditions(&n);
  g_autofree char *text = NULL, *other = NULL;
  g_auto(GStrv) lines = data_lines("conditions.tsv", &text, &n_lines);
  g_assert_cmpuint(n_lines, ==, n);
  for (guint i = 0; i < n; i++) {
    const HfPortCondition *condition = &conditions[i];
    g_auto(GStrv) cells = g_strsplit(lines[i], "\t", -1);
    g_autofree char *values = g_strjoinv(",", (char **)condition->values);
    g_autofree char *implied = condition->implied_by == NULL
      ? g_strdup("-")
      : g_strdup_printf("%s%c%s", condition->values[condition->implied], condition->implied_own ? '@' : ':',
                        condition->implied_by->id);
    g_assert_cmpstr(condition->id, ==, cells[0]);
    g_assert_cmpstr(condition->title, ==, cells[1]);
    g_assert_cmpstr(condition->scope == HF_PORT_SCOPE_FLEET ? "fleet" : "host", ==, cells[2]);
    g_assert_cmpstr(values, ==, cells[3]);
    g_assert_cmpstr(condition->values[condition->fallback], ==, cells[4]);
    g_assert_cmpstr(implied, ==, cells[5]);
  }
  const HfPortRole *roles = hf_port_roles(&n);
  g_auto(GStrv) role_lines = data_lines("roles.tsv", &other, &n_lines);
  g_assert_cmpuint(n_lines, ==, n);
  for (guint i = 0; i < n; i++) {
    const HfPortRole *role = &roles[i];
    g_auto(GStrv) cells = g_strsplit(role_lines[i], "\t", -1);
    g_autofree char *names = g_strjoinv(";", (char **)role->names);
    g_assert_cmpstr(role->id, ==, cells[0]);
    g_assert_cmpstr(role->title, ==, cells[1]);
    g_assert_cmpstr(hf_port_kind_text(role->kind), ==, cells[2]);
    g_assert_cmpstr(role->external ? "yes" : "no", ==, cells[3]);
    g_assert_cmpstr(role->is != NULL ? role->is->id : "-", ==, cells[4]);
    g_assert_cmpstr(role->assumed ? "yes" : "no", ==, cells[5]);
    g_assert_cmpstr(names[0] != '\0' ? names : "-", ==, cells[6]);
  }
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/ports/data/tables", test_tables);
  g_test_add_func("/ports/data/sections", test_sections);
  g_test_add_func("/ports/data/digest", test_digest);
  g_test_add_func("/ports/data/rows-that-carry-to", test_rows_that_carry_to);
  g_test_add_func("/ports/data/spellings", test_spellings);
  g_test_add_func("/ports/data/protocols", test_protocols);
  g_test_add_func("/ports/data/oddities", test_oddities);
  g_test_add_func("/ports/data/round-trip", test_round_trip);
  g_test_add_func("/ports/data/round-trip-of-conditions-and-roles", test_round_trip_of_conditions_and_roles);
  return g_test_run();
}
