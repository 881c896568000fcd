/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A plan as a picture. Boxes stand in columns by what they are, and in bands by site. Every pair of boxes has one arrow
 * for each direction, with a number at both ends, its ports before the box that listens, and a line in the table below.
 * Where an arrow begins or ends is a spot of its own at the side of a box, so that numbers and ports never lie on each
 * other. All measures are in pixels of the picture.
 */
#include <stdlib.h>
#include <string.h>

#include "ports/plan/show.h"

#define MARGIN 24u
#define HEAD 86u /* over the first band: title, legend, heads of columns */
#define BOX_WIDTH 210u
#define GAP 320u     /* between columns */
#define BAND_GAP 18u /* between bands, and inside them around the boxes */
#define BOX_GAP 22u
#define LINE 15u        /* of text */
#define SPOT 17u        /* between the ends of arrows at a side */
#define BADGE 24u       /* a number: width */
#define TITLE_CHARS 27u /* of a line in a box */
#define ROLE_CHARS 31u
#define LABEL_CHARS 24u /* of the ports before a box */
#define MAX_LINES 5u    /* of a text in a box */
#define LETTER 6u       /* of the table's letters */
#define MIN_WIDTH 1000u

enum { LEFT, RIGHT, SIDES };

typedef struct Place {
  const HfPlanBox *box;
  GPtrArray *title, *roles; /* lines of text */
  guint spots[SIDES], used[SIDES];
  guint x, y, height, band;
} Place;

typedef struct Arrow {
  const HfPlanEdge *edge;
  guint number;
  guint from_side, to_side;
  guint from_y, to_y;
} Arrow;

typedef struct Picture {
  GString *out;
  const HfPlan *plan;
  HfPlanView *view;
  Place *places;
  Arrow *arrows;
  guint column_x[HF_PLAN_COLUMNS];
  gboolean column_used[HF_PLAN_COLUMNS];
  guint n_bands, *band_y, *band_height;
  guint width, height;
} Picture;

/* ----------------------------------------------------------------------------------------------------- text -- */

/* Lines of at most `limit` characters, broken after commas and spaces where there are some. At most `most` lines; the
 * last one then ends in "...". */
static GPtrArray *wrap(const char *text, guint limit, guint most)
{
  GPtrArray *lines = g_ptr_array_new_with_free_func(g_free);
  while (*text != '\0') {
    const char *end = text, *good = NULL;
    guint n = 0;
    for (; *end != '\0' && n < limit; n++, end = g_utf8_next_char(end))
      if (*end == ' ' && n > 0)
        good = end;
    if (*end != '\0' && *end != ' ' && good != NULL)
      end = good;
    gboolean cut = lines->len + 1 == most && *end != '\0';
    g_autofree char *line = g_strndup(text, (gsize)(end - text));
    g_ptr_array_add(lines, cut ? g_strdup_printf("%s ...", g_strchomp(line)) : g_steal_pointer(&line));
    if (cut)
      break;
    text = end + strspn(end, " ");
  }
  return lines;
}

/* The ports as they stand before a box: without "tcp", and cut after a comma. Caller frees. */
static char *label_text(const char *ports)
{
  const char *text = g_str_has_prefix(ports, "tcp ") ? ports + 4 : ports;
  if (strlen(text) <= LABEL_CHARS)
    return g_strdup(text);
  gsize end = LABEL_CHARS - 4;
  while (end > 0 && text[end] != ',' && text[end] != ';')
    end--;
  return g_strdup_printf("%.*s, ...", (int)end, text);
}

static void add_text(Picture *picture, const char *class, const char *anchor, guint x, guint y, const char *text)
{
  g_autofree char *safe = g_markup_escape_text(text, -1);
  g_string_append_printf(picture->out, "<text class=\"%s\" text-anchor=\"%s\" x=\"%u\" y=\"%u\">%s</text>\n", class,
                         anchor, x, y, safe);
}

/* --------------------------------------------------------------------------------------------------- layout -- */

static guint band_of(const Picture *picture, const HfPlanBox *box)
{
  return box->site != NULL ? box->site->index : picture->plan->topology->n_sites;
}

static void choose_sides(Picture *picture)
{
  for (guint i = 0; i < picture->view->edges->len; i++) {
    Arrow *arrow = &picture->arrows[i];
    *arrow = (Arrow){ .edge = picture->view->edges->pdata[i], .number = i + 1 };
    Place *from = &picture->places[arrow->edge->from], *to = &picture->places[arrow->edge->to];
    arrow->from_side = to->box->column >= from->box->column ? RIGHT : LEFT;
    arrow->to_side = to->box->column > from->box->column ? LEFT : RIGHT;
    from->spots[arrow->from_side]++;
    to->spots[arrow->to_side]++;
  }
}

static void measure_box(Place *place)
{
  place->title = wrap(place->box->title, TITLE_CHARS, MAX_LINES);
  place->roles = wrap(place->box->roles, ROLE_CHARS, MAX_LINES);
  guint lines = place->title->len + place->roles->len + (place->box->n_nodes > 1 ? 1 : 0);
  guint spots = MAX(place->spots[LEFT], place->spots[RIGHT]);
  place->height = MAX(lines * LINE + 16, spots * SPOT + 10);
}

static void place_columns(Picture *picture)
{
  guint x = MARGIN + BAND_GAP, last = 0, tail = BAND_GAP;
  for (guint i = 0; i < picture->view->boxes->len; i++) {
    picture->column_used[picture->places[i].box->column] = TRUE;
    last = MAX(last, picture->places[i].box->column);
  }
  for (guint i = 0; i < picture->view->boxes->len; i++)
    if (picture->places[i].box->column == last && picture->places[i].spots[RIGHT] > 0)
      tail = GAP;
  for (guint c = 0; c < HF_PLAN_COLUMNS; c++)
    if (picture->column_used[c]) {
      picture->column_x[c] = x;
      x += BOX_WIDTH + GAP;
    }
  picture->width = MAX(x - GAP + tail + MARGIN, MIN_WIDTH);
}

/* One column of one band, from `top` on; gives its height. */
static guint place_column(Picture *picture, guint band, guint column, guint top)
{
  guint y = top;
  for (guint i = 0; i < picture->view->boxes->len; i++) {
    Place *place = &picture->places[i];
    if (place->band != band || place->box->column != column)
      continue;
    place->x = picture->column_x[column];
    place->y = y;
    y += place->height + BOX_GAP;
  }
  return y > top ? y - BOX_GAP - top : 0;
}

static void place_boxes(Picture *picture)
{
  guint y = HEAD + MARGIN;
  picture->n_bands = picture->plan->topology->n_sites + 1;
  picture->band_y = g_new0(guint, picture->n_bands);
  picture->band_height = g_new0(guint, picture->n_bands);
  for (guint i = 0; i < picture->view->boxes->len; i++) {
    picture->places[i].band = band_of(picture, picture->places[i].box);
    measure_box(&picture->places[i]);
  }
  for (guint band = 0; band < picture->n_bands; band++) {
    guint height = 0;
    for (guint column = 0; column < HF_PLAN_COLUMNS; column++)
      height = MAX(height, place_column(picture, band, column, y + BAND_GAP + LINE));
    picture->band_y[band] = y;
    picture->band_height[band] = height > 0 ? height + 2 * BAND_GAP + LINE : 0;
    y += height > 0 ? picture->band_height[band] + BAND_GAP : 0;
  }
  picture->height = y;
}

/* An end of an arrow, to be given a spot. */
typedef struct End {
  Arrow *arrow;
  gboolean target;
  guint far; /* where the other box is: near ones from above to below, and arrows of one pair together */
} End;

static int compare_ends(gconstpointer a, gconstpointer b)
{
  const End *x = a, *y = b;
  if (x->far != y->far)
    return x->far < y->far ? -1 : 1;
  return (int)x->arrow->number - (int)y->arrow->number;
}

static void give_spots(Picture *picture, guint number, guint side)
{
  Place *place = &picture->places[number];
  g_autoptr(GArray) ends = g_array_new(FALSE, FALSE, sizeof(End));
  for (guint i = 0; i < picture->view->edges->len; i++) {
    Arrow *arrow = &picture->arrows[i];
    const Place *from = &picture->places[arrow->edge->from], *to = &picture->places[arrow->edge->to];
    End end = { .arrow = arrow, .target = FALSE, .far = to->y + to->height / 2 };
    if (arrow->edge->from == number && arrow->from_side == side)
      g_array_append_val(ends, end);
    end = (End){ .arrow = arrow, .target = TRUE, .far = from->y + from->height / 2 };
    if (arrow->edge->to == number && arrow->to_side == side)
      g_array_append_val(ends, end);
  }
  g_array_sort(ends, compare_ends);
  guint top = place->y + (place->height - (ends->len > 0 ? ends->len - 1 : 0) * SPOT) / 2;
  for (guint i = 0; i < ends->len; i++) {
    const End *end = &g_array_index(ends, End, i);
    *(end->target ? &end->arrow->to_y : &end->arrow->from_y) = top + i * SPOT;
  }
}

/* -------------------------------------------------------------------------------------------------- drawing -- */

static void draw_style(Picture *picture)
{
  g_string_append_printf(
    picture->out,
    "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %u %u\" width=\"%u\" height=\"%u\" "
    "font-family=\"system-ui, 'DejaVu Sans', Helvetica, Arial, sans-serif\">\n<style>\n"
    "svg { background: #ffffff }\n"
    ".page { fill: #ffffff } .band { fill: #f3f5f8; stroke: #d5dbe3 } .box { fill: #ffffff; stroke: #5b6776 }\n"
    ".external { stroke-dasharray: 5 3 } .own { stroke-width: 3 }\n"
    "text { fill: #1b232d; font-size: 11px } .title { font-size: 18px; font-weight: 600 }\n"
    ".name { font-size: 12px; font-weight: 600 } .faint { fill: #56616e } .head { font-size: 13px; font-weight: 600 }\n"
    ".number { fill: #ffffff; font-size: 10px; font-weight: 600 }\n"
    ".label { font-size: 10px; stroke: #f3f5f8; stroke-width: 3px; paint-order: stroke; stroke-linejoin: round }\n"
    ".rule { stroke: #d5dbe3 } .arrow { fill: none; stroke-width: 1.3 }\n"
    ".c0 { stroke: #8a4fae } .f0 { fill: #8a4fae } .c1 { stroke: #1764b0 } .f1 { fill: #1764b0 }\n"
    ".c2 { stroke: #22752f } .f2 { fill: #22752f } .c3 { stroke: #a4530a } .f3 { fill: #a4530a }\n"
    ".c4 { stroke: #a8263e } .f4 { fill: #a8263e } .c5 { stroke: #5d6470 } .f5 { fill: #5d6470 }\n"
    "@media (prefers-color-scheme: dark) {\n"
    "svg { background: #12161b } .page { fill: #12161b } .band { fill: #1a2027; stroke: #343d49 }\n"
    ".box { fill: #222a33; stroke: #8a97a6 } text { fill: #e4e9ef } .faint { fill: #a4afbc }\n"
    ".number { fill: #12161b } .label { stroke: #1a2027 } .rule { stroke: #343d49 }\n"
    ".c0 { stroke: #c79be6 } .f0 { fill: #c79be6 } .c1 { stroke: #7db8f5 } .f1 { fill: #7db8f5 }\n"
    ".c2 { stroke: #7fce8b } .f2 { fill: #7fce8b } .c3 { stroke: #f0aa6a } .f3 { fill: #f0aa6a }\n"
    ".c4 { stroke: #f28c9f } .f4 { fill: #f28c9f } .c5 { stroke: #b3bcc8 } .f5 { fill: #b3bcc8 }\n"
    "}\n</style>\n<rect class=\"page\" width=\"%u\" height=\"%u\"/>\n",
    picture->width, picture->height, picture->width, picture->height, picture->width, picture->height);
}

static void draw_head(Picture *picture, const HfTopologyNode *host)
{
  const char *title = *picture->plan->topology->title != '\0' ? picture->plan->topology->title : "Ports of the fleet";
  g_autofree char *whole = host != NULL ? g_strdup_printf("%s: %s", title, host->name) : g_strdup(title);
  add_text(picture, "title", "start", MARGIN, MARGIN + 14, whole);
  add_text(picture, "faint", "start", MARGIN, MARGIN + 36,
           "An arrow leads from who connects to who listens, and has the colour of the column that it comes from.");
  add_text(picture, "faint", "start", MARGIN, MARGIN + 36 + LINE,
           "Before who listens stand the ports (TCP unless it says udp); the numbers are those of the table below. "
           "A dashed border: outside the fleet.");
  for (guint c = 0; c < HF_PLAN_COLUMNS; c++)
    if (picture->column_used[c])
      add_text(picture, "head", "start", picture->column_x[c], HEAD + MARGIN - 8, hf_plan_columns[c]);
}

static void draw_bands(Picture *picture)
{
  for (guint band = 0; band < picture->n_bands; band++) {
    gboolean site = band < picture->plan->topology->n_sites;
    if (picture->band_height[band] == 0)
      continue;
    g_string_append_printf(picture->out,
                           "<rect class=\"band\" x=\"%u\" y=\"%u\" width=\"%u\" height=\"%u\" rx=\"8\"/>\n", MARGIN,
                           picture->band_y[band], picture->width - 2 * MARGIN, picture->band_height[band]);
    g_autofree char *name =
      site ? g_strdup_printf("Site %s", picture->plan->topology->sites[band]->name) : g_strdup("Outside of all sites");
    if (picture->n_bands > 1)
      add_text(picture, "faint", "start", MARGIN + 8, picture->band_y[band] + LINE, name);
  }
}

static void draw_box(Picture *picture, const Place *place)
{
  const HfPlanBox *box = place->box;
  guint x = place->x + 10, y = place->y + 6 + LINE - 3;
  g_string_append_printf(picture->out,
                         "<rect class=\"box%s%s\" x=\"%u\" y=\"%u\" width=\"%u\" height=\"%u\" rx=\"5\"/>\n"
                         "<rect class=\"f%u\" x=\"%u\" y=\"%u\" width=\"4\" height=\"%u\" rx=\"2\"/>\n",
                         box->external ? " external" : "", box->own ? " own" : "", place->x, place->y, BOX_WIDTH,
                         place->height, box->column, place->x + 2, place->y + 4, place->height - 8);
  for (guint i = 0; i < place->title->len; i++, y += LINE)
    add_text(picture, "name", "start", x, y, place->title->pdata[i]);
  if (box->n_nodes > 1) {
    g_autofree char *count = g_strdup_printf("%u %s", box->n_nodes, box->external ? "systems" : "hosts");
    add_text(picture, "faint", "start", x, y, count);
    y += LINE;
  }
  for (guint i = 0; i < place->roles->len; i++, y += LINE)
    add_text(picture, "faint", "start", x, y, place->roles->pdata[i]);
}

static void draw_badge(Picture *picture, guint column, guint x, guint y, guint number)
{
  g_autofree char *text = g_strdup_printf("%u", number);
  g_string_append_printf(picture->out, "<rect class=\"f%u\" x=\"%u\" y=\"%u\" width=\"%u\" height=\"14\" rx=\"7\"/>\n",
                         column, x, y - 7, BADGE);
  add_text(picture, "number", "middle", x + BADGE / 2, y + 4, text);
}

/* From the number at one box to the number at the other, and the head between number and box. */
static void draw_arrow(Picture *picture, const Arrow *arrow)
{
  const Place *from = &picture->places[arrow->edge->from], *to = &picture->places[arrow->edge->to];
  guint column = from->box->column, head = 8;
  gboolean out_right = arrow->from_side == RIGHT, in_left = arrow->to_side == LEFT;
  guint x1 = out_right ? from->x + BOX_WIDTH + BADGE : from->x - BADGE;
  guint tip = in_left ? to->x : to->x + BOX_WIDTH;
  guint x2 = in_left ? tip - head - BADGE : tip + head + BADGE;
  guint bend = from->box->column == to->box->column ? 60 : 110;
  guint bend1 = out_right ? x1 + bend : x1 - bend, bend2 = in_left ? x2 - bend : x2 + bend;
  g_string_append_printf(picture->out, "<path class=\"arrow c%u\" d=\"M%u %u C%u %u %u %u %u %u\"/>\n", column, x1,
                         arrow->from_y, bend1, arrow->from_y, bend2, arrow->to_y, x2, arrow->to_y);
  g_string_append_printf(picture->out, "<path class=\"f%u\" d=\"M%u %u L%u %u L%u %u Z\"/>\n", column, tip, arrow->to_y,
                         in_left ? tip - head : tip + head, arrow->to_y - 4, in_left ? tip - head : tip + head,
                         arrow->to_y + 4);
}

static void draw_ends(Picture *picture, const Arrow *arrow)
{
  const Place *from = &picture->places[arrow->edge->from], *to = &picture->places[arrow->edge->to];
  guint column = from->box->column, head = 8;
  gboolean in_left = arrow->to_side == LEFT;
  g_autofree char *label = label_text(arrow->edge->ports);
  guint x = in_left ? to->x - head - BADGE : to->x + BOX_WIDTH + head;
  draw_badge(picture, column, arrow->from_side == RIGHT ? from->x + BOX_WIDTH : from->x - BADGE, arrow->from_y,
             arrow->number);
  draw_badge(picture, column, x, arrow->to_y, arrow->number);
  add_text(picture, "label", in_left ? "end" : "start", in_left ? x - 4 : x + BADGE + 4, arrow->to_y - 3, label);
}

/* ---------------------------------------------------------------------------------------------------- table -- */

enum { CELL_NUMBER, CELL_FROM, CELL_TO, CELL_PORTS, CELL_ROWS, CELLS };

/* Lines of each cell of the table's line for `arrow`; gives how many lines the longest has. */
static guint wrap_cells(const Picture *picture, const Arrow *arrow, const guint *widths, GPtrArray **cells)
{
  g_autofree char *number = g_strdup_printf("%u", arrow->number);
  const char *texts[CELLS] = { number, picture->places[arrow->edge->from].box->title,
                               picture->places[arrow->edge->to].box->title, arrow->edge->ports, arrow->edge->rows };
  guint most = 1;
  for (guint c = 0; c < CELLS; c++) {
    cells[c] = wrap(texts[c], widths[c] / LETTER - 2, MAX_LINES);
    most = MAX(most, cells[c]->len);
  }
  return most;
}

/* Appends the table to `body` and gives the height of the picture with it. */
static guint draw_table(Picture *picture)
{
  static const char *const heads[CELLS] = { "", "Connects", "Listens", "Ports", "Rows of the catalogue" };
  guint rest = picture->width - 2 * MARGIN - 40, y = picture->height + LINE, x = MARGIN;
  guint widths[CELLS] = { 40, rest / 5, rest / 5, rest / 4, rest - 2 * (rest / 5) - rest / 4 };
  for (guint c = 0; c < CELLS; x += widths[c++])
    add_text(picture, "head", "start", x, y, heads[c]);
  for (guint i = 0; i < picture->view->edges->len; i++) {
    GPtrArray *cells[CELLS];
    const Arrow *arrow = &picture->arrows[i];
    guint lines = wrap_cells(picture, arrow, widths, cells);
    y += 7;
    g_string_append_printf(picture->out, "<path class=\"rule\" d=\"M%u %u H%u\"/>\n", MARGIN, y,
                           picture->width - MARGIN);
    y += LINE;
    draw_badge(picture, picture->places[arrow->edge->from].box->column, MARGIN, y - 4, arrow->number);
    x = MARGIN + widths[CELL_NUMBER];
    for (guint c = CELL_FROM; c < CELLS; x += widths[c++])
      for (guint l = 0; l < cells[c]->len; l++)
        add_text(picture, c == CELL_ROWS ? "faint" : "cell", "start", x, y + l * LINE, cells[c]->pdata[l]);
    for (guint c = 0; c < CELLS; c++)
      g_ptr_array_unref(cells[c]);
    y += (lines - 1) * LINE;
  }
  return y + MARGIN;
}

char *hf_plan_svg(const HfPlan *plan, const HfTopologyNode *host)
{
  g_autoptr(HfPlanView) view = hf_plan_view(plan, host);
  Picture picture = { .plan = plan, .view = view };
  picture.places = g_new0(Place, MAX(view->boxes->len, 1));
  picture.arrows = g_new0(Arrow, MAX(view->edges->len, 1));
  for (guint i = 0; i < view->boxes->len; i++)
    picture.places[i].box = view->boxes->pdata[i];
  choose_sides(&picture);
  place_columns(&picture);
  place_boxes(&picture);
  for (guint i = 0; i < view->boxes->len; i++)
    for (guint side = 0; side < SIDES; side++)
      give_spots(&picture, i, side);
  GString *body = picture.out = g_string_new(NULL);
  draw_head(&picture, host);
  draw_bands(&picture);
  for (guint i = 0; i < view->edges->len; i++)
    draw_arrow(&picture, &picture.arrows[i]);
  for (guint i = 0; i < view->boxes->len; i++)
    draw_box(&picture, &picture.places[i]);
  for (guint i = 0; i < view->edges->len; i++)
    draw_ends(&picture, &picture.arrows[i]);
  picture.height = draw_table(&picture);
  picture.out = g_string_new(NULL);
  draw_style(&picture);
  g_string_append_len(picture.out, body->str, (gssize)body->len);
  g_string_append(picture.out, "</svg>\n");
  g_string_free(body, TRUE);
  for (guint i = 0; i < view->boxes->len; i++) {
    g_ptr_array_unref(picture.places[i].title);
    g_ptr_array_unref(picture.places[i].roles);
  }
  g_free(picture.places);
  g_free(picture.arrows);
  g_free(picture.band_y);
  g_free(picture.band_height);
  return g_string_free(picture.out, FALSE);
}
