/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Lists and rows straight from the tables: the one place where SQL is put together, of fragments of the declarations
 * and of placeholders. What clients send is only ever bound.
 */
#include <math.h>
#include <string.h>

#include "api/call.h"

#define VALUES_MAX 64 /* bound values of one query */

typedef struct Query {
  GString *where;
  HfDbValue values[VALUES_MAX];
  guint n_values;
  GPtrArray *texts; /* what values point to */
} Query;

static void query_clear(Query *query)
{
  if (query->where != NULL)
    g_string_free(query->where, TRUE);
  if (query->texts != NULL)
    g_ptr_array_unref(query->texts);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Query, query_clear)

static void query_begin(Query *query, const HfApiView *view)
{
  *query = (Query){ .where = g_string_new(" WHERE "), .texts = g_ptr_array_new_with_free_func(g_free) };
  g_string_append(query->where, view->where != NULL ? view->where : "1 = 1");
}

static gboolean bind(Query *query, HfDbValue value, GError **error)
{
  if (query->n_values == VALUES_MAX)
    return hf_fail(error, HF_ERROR_USAGE, "the query has more than %d values", VALUES_MAX);
  query->values[query->n_values++] = value;
  return TRUE;
}

static gboolean bind_text(Query *query, char *text, GError **error)
{
  g_ptr_array_add(query->texts, text);
  return bind(query, HF_DB_TEXT(text), error);
}

/* `column` is a column, or a condition with its own '?'. */
static gboolean bind_equal(Query *query, const char *column, const char *value, GError **error)
{
  g_string_append(g_string_append(query->where, " AND "), column);
  if (strchr(column, '?') == NULL)
    g_string_append(query->where, " = ?");
  return bind_text(query, g_strdup(value), error);
}

/* ---- Filters ---- */

/* '*' is any run of characters; what LIKE itself takes for a sign is meant as it stands. */
static char *like_pattern(const char *value)
{
  GString *pattern = g_string_new(NULL);
  for (; *value != '\0'; value++) {
    if (strchr("%_\\", *value) != NULL)
      g_string_append_c(pattern, '\\');
    g_string_append_c(pattern, *value == '*' ? '%' : g_ascii_tolower(*value));
  }
  return g_string_free(pattern, FALSE);
}

static gboolean refuse(const HfApiParameter *parameter, const char *value, GError **error)
{
  return hf_fail(error, HF_ERROR_USAGE, "parameter '%s' cannot be '%.40s'", parameter->name, value);
}

static gboolean bind_member(Query *query, const HfApiParameter *parameter, const char *stored, guint n, GError **error)
{
  if (parameter->filter == HF_API_FILTER_HOLDS) {
    g_string_append_printf(query->where, "%s%s LIKE ?", n > 0 ? " OR " : "", parameter->column);
    return bind_text(query, g_strdup_printf("%%\"%s\"%%", stored), error);
  }
  g_string_append(query->where, n > 0 ? ", ?" : "?");
  return bind(query, HF_DB_TEXT(stored), error);
}

/* Old spellings may stand for several stored words. */
static gboolean bind_members(Query *query, const HfApiParameter *parameter, const char *value, guint *n, GError **error)
{
  guint before = *n;
  for (guint i = 0; i < parameter->members->n_members; i++) {
    const HfApiMember *member = &parameter->members->members[i];
    gboolean fits = FALSE;
    for (guint era = 0; era < HF_API_ERAS; era++)
      fits = fits || g_ascii_strcasecmp(member->spelled[era], value) == 0;
    if (!fits)
      continue;
    if (!bind_member(query, parameter, member->stored, (*n)++, error))
      return FALSE;
  }
  return *n > before || refuse(parameter, value, error);
}

static gboolean parse_bool(const char *value, gboolean *result)
{
  *result = g_ascii_strcasecmp(value, "true") == 0 || strcmp(value, "1") == 0;
  return *result || g_ascii_strcasecmp(value, "false") == 0 || strcmp(value, "0") == 0;
}

static gboolean bind_value(Query *query, const HfApiParameter *parameter, const char *value, GError **error)
{
  char id[37];
  gint64 number;
  gboolean truth;
  switch (parameter->kind) {
  case HF_API_UUID:
    return hf_api_uuid_parse(value, id) ? bind_text(query, g_strdup(id), error) : refuse(parameter, value, error);
  case HF_API_TIME:
    return hf_api_time_parse(value, &number) ? bind(query, HF_DB_INT(number), error) : refuse(parameter, value, error);
  case HF_API_BOOL:
    return parse_bool(value, &truth) ? bind(query, HF_DB_INT(truth), error) : refuse(parameter, value, error);
  case HF_API_INT:
    return g_ascii_string_to_signed(value, 10, G_MININT64, G_MAXINT64, &number, NULL)
             ? bind(query, HF_DB_INT(number), error)
             : refuse(parameter, value, error);
  default:
    return bind_text(query, parameter->filter == HF_API_FILTER_LIKE ? like_pattern(value) : g_strdup(value), error);
  }
}

/* Values of one parameter: an enumeration may also be a list with commas. */
static gboolean filter_members(Query *query, const HfApiParameter *parameter, GPtrArray *values, GError **error)
{
  guint n = 0;
  gboolean holds = parameter->filter == HF_API_FILTER_HOLDS;
  g_string_append_printf(query->where, " AND %s%s", holds ? "" : parameter->column, holds ? "(" : " IN (");
  for (guint i = 0; i < values->len; i++) {
    g_auto(GStrv) words = g_strsplit(values->pdata[i], ",", -1);
    for (guint w = 0; words[w] != NULL; w++)
      if (!bind_members(query, parameter, g_strstrip(words[w]), &n, error))
        return FALSE;
  }
  g_string_append_c(query->where, ')');
  return TRUE;
}

static gboolean filter_values(Query *query, const HfApiParameter *parameter, GPtrArray *values, GError **error)
{
  static const char *const forms[] = {
    [HF_API_FILTER_EQUAL] = "%s = ?",
    [HF_API_FILTER_LIKE] = "LOWER(%s) LIKE ? ESCAPE '\\'",
    [HF_API_FILTER_LEAST] = "%s >= ?",
    [HF_API_FILTER_MOST] = "%s <= ?",
  };
  g_auto(GStrv) parts = g_strsplit(forms[parameter->filter], "%s", 2);
  for (guint i = 0; i < values->len; i++) {
    g_string_append(query->where, i == 0 ? " AND (" : " OR ");
    g_string_append(g_string_append(g_string_append(query->where, parts[0]), parameter->column), parts[1]);
    if (!bind_value(query, parameter, values->pdata[i], error))
      return FALSE;
  }
  g_string_append_c(query->where, ')');
  return TRUE;
}

/* Bytes of "12.5": at least 12.45 and below 12.55, so that what was shown rounded is found; one byte at the least. */
static gboolean bind_gib(Query *query, const HfApiParameter *parameter, const char *value, GError **error)
{
  gsize whole = strspn(value, "0123456789"), point = value[whole] == '.';
  gsize digits = point ? strspn(value + whole + 1, "0123456789") : 0;
  if (whole == 0 || whole > 9 || digits > 15 || value[whole + point + digits] != '\0')
    return refuse(parameter, value, error);
  double bytes = g_ascii_strtod(value, NULL) * (1 << 30);
  double half = MAX((1 << 29) / pow(10, (double)digits), 0.5);
  return bind(query, HF_DB_INT((gint64)ceil(bytes - half)), error) &&
    bind(query, HF_DB_INT((gint64)ceil(bytes + half)), error);
}

static gboolean filter_gib(Query *query, const HfApiParameter *parameter, GPtrArray *values, GError **error)
{
  for (guint i = 0; i < values->len; i++) {
    g_string_append_printf(query->where, " %s (%s >= ? AND %s < ?)", i == 0 ? "AND (" : "OR", parameter->column,
                           parameter->column);
    if (!bind_gib(query, parameter, values->pdata[i], error))
      return FALSE;
  }
  g_string_append_c(query->where, ')');
  return TRUE;
}

static gboolean add_filter(Query *query, HfApiCall *call, const HfApiParameter *parameter, GError **error)
{
  g_autoptr(GPtrArray) values = g_ptr_array_new();
  for (guint i = 0; i < call->query->len; i++) {
    const HfApiPair *pair = call->query->pdata[i];
    if (*pair->value != '\0' && g_ascii_strcasecmp(pair->name, parameter->name) == 0)
      g_ptr_array_add(values, pair->value);
  }
  if (values->len == 0 || parameter->filter == HF_API_FILTER_IGNORE)
    return TRUE;
  if (!parameter->array)
    g_ptr_array_remove_range(values, 0, values->len - 1); /* the last counts */
  if (parameter->filter == HF_API_FILTER_NONE) {
    g_string_append(query->where, " AND 1 = 0");
    return TRUE;
  }
  if (parameter->filter == HF_API_FILTER_GIB)
    return filter_gib(query, parameter, values, error);
  if (parameter->kind == HF_API_ENUM)
    return filter_members(query, parameter, values, error);
  return filter_values(query, parameter, values, error);
}

/* ---- Order ---- */

/* "column ASC, id ASC": ids make the order of equal rows the same on every page. NULL: an error. */
static char *order_of(HfApiCall *call, GError **error)
{
  const HfApiRoute *route = call->route;
  const HfApiOrder *order = &route->orders[0];
  const char *name = hf_api_parameter(call, "orderColumn");
  gboolean descending = name == NULL && route->descending;
  if (name != NULL) {
    order = NULL;
    for (guint i = 0; i < route->n_orders && order == NULL; i++)
      if (g_ascii_strcasecmp(route->orders[i].name, name) == 0)
        order = &route->orders[i];
    if (order == NULL) {
      hf_fail(error, HF_ERROR_USAGE, "this list has no order column '%.40s'", name);
      return NULL;
    }
  }
  const char *ascending = hf_api_parameter(call, "orderAsc");
  if (ascending != NULL && *ascending != '\0') {
    if (!parse_bool(ascending, &descending)) {
      hf_fail(error, HF_ERROR_USAGE, "parameter 'orderAsc' must be true or false");
      return NULL;
    }
    descending = !descending;
  }
  const char *way = descending ? "DESC" : "ASC";
  return g_strdup_printf("%s %s, %s %s", order->sql, way, route->view->key, way);
}

/* ---- Rows ---- */

struct HfApiRow {
  HfDbRows *rows;
  guint first; /* column of the emit function's first */
};

const char *hf_api_row_text(const HfApiRow *row, guint column)
{
  return hf_db_text(row->rows, row->first + column);
}

gint64 hf_api_row_int(const HfApiRow *row, guint column)
{
  return hf_db_int(row->rows, row->first + column);
}

gboolean hf_api_row_null(const HfApiRow *row, guint column)
{
  return hf_db_is_null(row->rows, row->first + column);
}

static void write_value(HfApiCall *call, const HfApiColumn *column, HfDbRows *rows, guint at)
{
  HfApiOut *out = &call->out;
  char text[HF_API_TIME_BYTES];
  switch (column->kind) {
  case HF_API_BOOL:
    hf_api_out_bool(out, hf_db_int(rows, at) != 0);
    break;
  case HF_API_INT:
    hf_api_out_int(out, hf_db_int(rows, at));
    break;
  case HF_API_DOUBLE:
    hf_api_out_double(out, (double)hf_db_int(rows, at));
    break;
  case HF_API_GIB:
    hf_api_out_double(out, (double)hf_db_int(rows, at) / (1 << 30));
    break;
  case HF_API_TIME:
    hf_api_out_time(out, hf_db_int(rows, at));
    break;
  case HF_API_RATE:
    hf_api_out_rate(out, hf_db_int(rows, at));
    break;
  case HF_API_DURATION:
    hf_api_duration_text(hf_db_int(rows, at), text);
    hf_api_out_text(out, text);
    break;
  case HF_API_RAW:
    hf_api_out_raw(out, hf_db_text(rows, at));
    break;
  case HF_API_ENUM:
    hf_api_out_text(out, hf_api_enum_spelled(column->members, hf_db_text(rows, at), call->era));
    break;
  case HF_API_TEXT:
  case HF_API_UUID:
  case HF_API_CLOCK:
  case HF_API_OBJECT:
    hf_api_out_text(out, hf_db_text(rows, at));
    break;
  }
}

/* Objects that are open inside the row's: names of one column's path but its last. */
typedef struct Nest {
  const char *open[4];
  guint depth;
} Nest;

static void nest_to(HfApiOut *out, Nest *nest, const char *const path[4])
{
  guint same = 0, length = 0;
  while (length < 4 && path[length] != NULL)
    length++;
  while (same < nest->depth && same + 1 < length && strcmp(nest->open[same], path[same]) == 0)
    same++;
  for (; nest->depth > same; nest->depth--)
    hf_api_out_close(out, '}');
  for (; nest->depth + 1 < length; nest->depth++) {
    nest->open[nest->depth] = path[nest->depth];
    hf_api_out_key(out, path[nest->depth]);
    hf_api_out_open(out, '{');
  }
  if (length > 0)
    hf_api_out_key(out, path[length - 1]);
}

static const char *const nest_none[4];

static gboolean write_row(HfApiCall *call, const HfApiView *view, HfDbRows *rows, GError **error)
{
  Nest nest = { .depth = 0 };
  hf_api_out_open(&call->out, '{');
  for (guint i = 0; i < view->n_columns; i++) {
    if (hf_db_is_null(rows, i))
      continue;
    nest_to(&call->out, &nest, view->columns[i].path);
    write_value(call, &view->columns[i], rows, i);
  }
  nest_to(&call->out, &nest, nest_none);
  HfApiRow row = { rows, view->n_columns };
  if (view->emit != NULL && !view->emit(call, &row, error))
    return FALSE;
  hf_api_out_close(&call->out, '}');
  return TRUE;
}

/* "SELECT" and the columns, without "FROM". */
static GString *select_columns(const HfApiView *view)
{
  GString *sql = g_string_new("SELECT ");
  for (guint i = 0; i < view->n_columns; i++)
    g_string_append(g_string_append(sql, i > 0 ? ", " : ""), view->columns[i].sql);
  for (guint i = 0; i < view->n_extra; i++)
    g_string_append(g_string_append(sql, ", "), view->extra[i]);
  return sql;
}

/* ---- Lists ---- */

static gboolean parent_exists(HfApiCall *call, HfDbLink *link, GError **error)
{
  const HfApiView *parent = call->route->parent;
  if (parent == NULL)
    return TRUE;
  gint64 n = 0;
  g_autofree char *sql = g_strdup_printf("SELECT COUNT(*) FROM %s WHERE %s = ?", parent->from, parent->key);
  if (!hf_db_query_int(link, sql, HF_DB_VALUES(HF_DB_TEXT(call->params[0])), &n, error))
    return FALSE;
  return n > 0 || hf_fail(error, HF_ERROR_NOT_FOUND, "there is no %s '%s'", parent->name, call->params[0]);
}

/* A page of a view: its rows, and how many there are in all. */
typedef struct Page {
  const HfApiView *view;
  const char *order; /* "s.name ASC, s.id ASC" */
  const HfApiPage *page;
  gint64 total, count;
} Page;

/* A page that is not full is the last one: how many there are is known then. */
static gboolean count_rows(HfDbLink *link, const Query *query, Page *page, GError **error)
{
  page->total = page->page->skip + page->count;
  if (page->count < page->page->most && (page->count > 0 || page->page->skip == 0))
    return TRUE;
  g_autofree char *sql = g_strconcat("SELECT COUNT(*) FROM ", page->view->from, query->where->str, NULL);
  return hf_db_count(link, sql, query->values, query->n_values, &page->total, error);
}

static gboolean write_rows(HfApiCall *call, HfDbRows *rows, Page *page, GError **error)
{
  g_autoptr(GError) failed = NULL;
  const HfApiView *view = page->view;
  for (page->count = 0; hf_db_next(rows, &failed); page->count++)
    if (!write_row(call, view, rows, error))
      return FALSE;
  if (failed == NULL)
    return TRUE;
  g_propagate_error(error, g_steal_pointer(&failed));
  return FALSE;
}

/* A page as it is remembered: this, then its rows as they were written. */
typedef struct PageHead {
  gint64 total, count;
  gint64 now; /* true for this second only; 0: as long as the database stays */
} PageHead;

static void remember_page(HfApiCall *call, HfDbLink *link, GBytes *key, const Page *page, gsize begun)
{
  PageHead head = { page->total, page->count, call->of_now ? call->now : 0 };
  g_autoptr(GByteArray) kept = g_byte_array_sized_new((guint)(sizeof head + call->out.text->len - begun));
  g_byte_array_append(kept, (const guint8 *)&head, sizeof head);
  g_byte_array_append(kept, (const guint8 *)call->out.text->str + begun, (guint)(call->out.text->len - begun));
  g_autoptr(GBytes) value = g_byte_array_free_to_bytes(g_steal_pointer(&kept));
  hf_db_remember(link, key, value);
}

static gboolean recall_page(HfApiCall *call, HfDbLink *link, GBytes *key, Page *page)
{
  gsize size;
  PageHead head;
  g_autoptr(GBytes) kept = hf_db_recall(link, key);
  if (kept == NULL)
    return FALSE;
  const char *bytes = g_bytes_get_data(kept, &size);
  memcpy(&head, bytes, sizeof head);
  if (head.now != 0 && head.now != call->now)
    return FALSE;
  g_string_append_len(call->out.text, bytes + sizeof head, (gssize)(size - sizeof head));
  page->total = head.total;
  page->count = head.count;
  call->out.comma = head.count > 0;
  return TRUE;
}

/* Writes the page's rows as elements of a list that was just opened. */
static gboolean write_page(HfApiCall *call, HfDbLink *link, const Query *query, Page *page, GError **error)
{
  const HfApiView *view = page->view;
  guint n = query->n_values;
  gsize begun = call->out.text->len;
  g_autoptr(GString) sql = select_columns(view);
  g_string_append_printf(sql, " FROM %s", view->from);
  if (*view->late != '\0')
    g_string_append_printf(sql, "%s WHERE %s IN (SELECT %s FROM %s%s ORDER BY %s LIMIT ? OFFSET ?) ORDER BY %s",
                           view->late, view->key, view->key, view->from, query->where->str, page->order, page->order);
  else
    g_string_append_printf(sql, "%s ORDER BY %s LIMIT ? OFFSET ?", query->where->str, page->order);
  HfDbValue values[VALUES_MAX + 2];
  memcpy(values, query->values, n * sizeof *values);
  values[n] = HF_DB_INT(page->page->most);
  values[n + 1] = HF_DB_INT(page->page->skip);
  /* Versions spell words in their own way, and views name the same columns so. */
  g_autofree char *asked = g_strdup_printf("%u %s %s", call->era, view->name, sql->str);
  g_autoptr(GBytes) key = hf_db_key(asked, values, n + 2);
  if (recall_page(call, link, key, page))
    return TRUE;
  g_autoptr(HfDbRows) rows = hf_db_query(link, sql->str, values, n + 2, error);
  if (rows == NULL || !write_rows(call, rows, page, error) || !count_rows(link, query, page, error))
    return FALSE;
  remember_page(call, link, key, page, begun);
  return TRUE;
}

gboolean hf_api_exists(HfApiCall *call, const HfApiView *view, const char *id, GError **error)
{
  gint64 n = 0;
  g_autoptr(HfDbLink) link = hf_db_read(call->api->settings.db, error);
  g_autofree char *sql = g_strdup_printf("SELECT COUNT(*) FROM %s WHERE %s = ?", view->from, view->key);
  if (link == NULL || !hf_db_query_int(link, sql, HF_DB_VALUES(HF_DB_TEXT(id)), &n, error))
    return FALSE;
  return n > 0 || hf_fail(error, HF_ERROR_NOT_FOUND, "there is no %s '%s'", view->name, id);
}

gboolean hf_api_write_below(HfApiCall *call, const HfApiView *view, const char *id, const char *filter,
                            const char *word, const char *order, const HfApiPage *page, gint64 *total, GError **error)
{
  g_auto(Query) query = { 0 };
  Page rows = { .view = view, .order = order, .page = page };
  query_begin(&query, view);
  if (!bind_equal(&query, view->key, id, error) || (word != NULL && !bind_equal(&query, filter, word, error)))
    return FALSE;
  g_autoptr(HfDbLink) link = hf_db_read(call->api->settings.db, error);
  if (link == NULL || !write_page(call, link, &query, &rows, error))
    return FALSE;
  *total = rows.total;
  return TRUE;
}

gboolean hf_api_list(HfApiCall *call, GError **error)
{
  const HfApiRoute *route = call->route;
  HfApiPage page;
  g_auto(Query) query = { 0 };
  if (!hf_api_page_parse(call, &page, error))
    return FALSE;
  g_autofree char *order = order_of(call, error);
  if (order == NULL)
    return FALSE;
  query_begin(&query, route->view);
  if (route->scope != NULL && !bind_equal(&query, route->scope, call->params[0], error))
    return FALSE;
  for (guint i = 0; i < route->n_parameters; i++)
    if (!add_filter(&query, call, &route->parameters[i], error))
      return FALSE;
  Page rows = { .view = route->view, .order = order, .page = &page };
  g_autoptr(HfDbLink) link = hf_db_read(call->api->settings.db, error);
  if (link == NULL || !parent_exists(call, link, error))
    return FALSE;
  hf_api_out_open(&call->out, '{');
  hf_api_out_key(&call->out, "data");
  hf_api_out_open(&call->out, '[');
  if (!write_page(call, link, &query, &rows, error))
    return FALSE;
  hf_api_out_close(&call->out, ']');
  hf_api_page_write(call, &page, rows.total, rows.count);
  hf_api_out_close(&call->out, '}');
  return TRUE;
}

/* ---- One row ---- */

static gboolean one_row(HfApiCall *call, const HfApiView *view, const char *scope, const char *scope_id, const char *id,
                        GError **error)
{
  g_auto(Query) query = { 0 };
  query_begin(&query, view);
  if (scope != NULL && !bind_equal(&query, scope, scope_id, error))
    return FALSE;
  if (!bind_equal(&query, view->key, id, error))
    return FALSE;
  g_autoptr(HfDbLink) link = hf_db_read(call->api->settings.db, error);
  if (link == NULL)
    return FALSE;
  g_autoptr(GString) sql = select_columns(view);
  g_string_append_printf(sql, " FROM %s%s%s", view->from, view->late, query.where->str);
  g_autoptr(HfDbRows) rows = hf_db_query(link, sql->str, query.values, query.n_values, error);
  if (rows == NULL)
    return FALSE;
  g_autoptr(GError) failed = NULL;
  if (hf_db_next(rows, &failed))
    return write_row(call, view, rows, error);
  if (failed == NULL)
    return hf_fail(error, HF_ERROR_NOT_FOUND, "there is no %s '%s'", view->name, id);
  g_propagate_error(error, g_steal_pointer(&failed));
  return FALSE;
}

gboolean hf_api_answer_row(HfApiCall *call, const HfApiView *view, const char *id, GError **error)
{
  return one_row(call, view, NULL, NULL, id, error);
}

gboolean hf_api_get(HfApiCall *call, GError **error)
{
  const HfApiRoute *route = call->route;
  return one_row(call, route->view, route->n_names > 1 ? route->scope : NULL, call->params[0],
                 call->params[route->n_names - 1], error);
}

/* ---- Records ---- */

static const char *fact_of(const HfApiFact *facts, guint n_facts, const char *name)
{
  if (*name == '=')
    return name + 1;
  for (guint i = 0; i < n_facts; i++)
    if (strcmp(facts[i].name, name) == 0)
      return facts[i].value;
  g_error("no fact '%s'", name);
}

gboolean hf_api_answer_record(HfApiCall *call, const HfApiView *record, const HfApiFact *facts, guint n_facts)
{
  HfApiOut *out = &call->out;
  Nest nest = { .depth = 0 };
  hf_api_out_open(out, '{');
  for (guint i = 0; i < record->n_columns; i++) {
    const HfApiColumn *column = &record->columns[i];
    const char *value = fact_of(facts, n_facts, column->sql);
    if (value == NULL)
      continue;
    nest_to(out, &nest, column->path);
    if (*column->sql == '=' || column->kind == HF_API_RAW || column->kind == HF_API_BOOL ||
        column->kind == HF_API_INT || column->kind == HF_API_DOUBLE)
      hf_api_out_raw(out, value);
    else if (column->kind == HF_API_TIME)
      hf_api_out_time(out, g_ascii_strtoll(value, NULL, 10));
    else if (column->kind == HF_API_ENUM)
      hf_api_out_text(out, hf_api_enum_spelled(column->members, value, call->era));
    else
      hf_api_out_text(out, value);
  }
  nest_to(out, &nest, nest_none);
  hf_api_out_close(out, '}');
  return TRUE;
}
