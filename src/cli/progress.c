/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/progress.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "cli/output.h"

#define RATE_MEMORY_SECONDS 4.0 /* how far back the rate remembers */
#define BAR_CELLS 20
#define JSON_INTERVAL_US G_USEC_PER_SEC
#define ERASE_LINE "\r\033[K"

struct HfProgressView {
  FILE *stream;
  HfProgressMode mode;
  gboolean verbose;
  HfOutput *json;
  gint64 start_us, last_us, next_json_us; /* monotonic */
  guint64 last_bytes;
  double rate;      /* bytes a second, smoothed */
  gboolean on_line; /* the bar stands on the terminal's last line */
};

HfProgressView *hf_progress_new(FILE *stream, HfProgressMode mode, gboolean verbose)
{
  HfProgressView *view = g_new0(HfProgressView, 1);
  view->stream = stream;
  view->mode = mode;
  view->verbose = verbose;
  view->json = hf_output_new(stream, HF_OUTPUT_JSON);
  view->start_us = view->last_us = view->next_json_us = hf_clock_monotonic_us();
  return view;
}

void hf_progress_free(HfProgressView *view)
{
  if (view == NULL)
    return;
  hf_output_free(view->json);
  g_free(view);
}

static void erase_bar(HfProgressView *view)
{
  if (view->on_line)
    fputs(ERASE_LINE, view->stream);
  view->on_line = FALSE;
}

void hf_progress_hide(HfProgressView *view)
{
  gboolean shown = view->on_line;
  erase_bar(view);
  if (shown)
    fflush(view->stream);
}

static void show_warning(gpointer user, const char *path, const char *message)
{
  HfProgressView *view = user;
  if (view->mode == HF_PROGRESS_JSON) {
    hf_line_begin(view->json);
    hf_line_text(view->json, "type", "warning");
    hf_line_name(view->json, "path", path);
    hf_line_text(view->json, "message", message);
    hf_line_end(view->json);
  } else {
    g_autofree char *shown = path == NULL ? NULL : hf_printable(path, -1), *said = hf_printable_lines(message);
    erase_bar(view);
    if (shown != NULL)
      fprintf(view->stream, "warning: '%s': %s\n", shown, said);
    else
      fprintf(view->stream, "warning: %s\n", said);
  }
  fflush(view->stream);
}

static void show_item(gpointer user, const char *path, const char *what)
{
  HfProgressView *view = user;
  if (!view->verbose)
    return;
  if (view->mode == HF_PROGRESS_JSON) {
    hf_line_begin(view->json);
    hf_line_text(view->json, "type", "item");
    hf_line_name(view->json, "path", path);
    hf_line_text(view->json, "what", what);
    hf_line_end(view->json);
    return;
  }
  g_autofree char *shown = hf_printable(path, -1);
  erase_bar(view);
  fprintf(view->stream, "%s %s\n", what, shown);
}

static void show_json(HfProgressView *view, const HfProgress *progress, double seconds)
{
  hf_line_begin(view->json);
  hf_line_text(view->json, "type", "progress");
  hf_line_number(view->json, "files_done", progress->files_done);
  hf_line_number(view->json, "bytes_done", progress->bytes_done);
  if (progress->files_total > 0 || progress->bytes_total > 0) {
    hf_line_number(view->json, "files_total", progress->files_total);
    hf_line_number(view->json, "bytes_total", progress->bytes_total);
  }
  hf_line_number(view->json, "stored_bytes", progress->stored_bytes);
  hf_line_real(view->json, "seconds", seconds);
  hf_line_end(view->json);
  fflush(view->stream);
}

/* The rate of the last seconds: each new piece weighs as much as its share of the memory. */
static void update_rate(HfProgressView *view, const HfProgress *progress, gint64 now)
{
  double passed = (double)(now - view->last_us) / G_USEC_PER_SEC;
  if (passed <= 0)
    return;
  double latest = (double)(progress->bytes_done - view->last_bytes) / passed;
  double weight = view->rate > 0 ? passed / (passed + RATE_MEMORY_SECONDS) : 1.0;
  view->rate += (latest - view->rate) * weight;
  view->last_us = now;
  view->last_bytes = progress->bytes_done;
}

static void append_bar(GString *line, const HfProgress *progress)
{
  double done = MIN(1.0, (double)progress->bytes_done / (double)progress->bytes_total);
  guint cells = (guint)(done * BAR_CELLS);
  g_string_append_c(line, '[');
  for (guint i = 0; i < BAR_CELLS; i++)
    g_string_append_c(line, i < cells ? '=' : i == cells ? '>' : ' ');
  g_string_append_printf(line, "] %3u%%  ", (guint)(done * 100));
}

static void append_duration(GString *line, double seconds)
{
  guint64 whole = (guint64)seconds;
  if (whole >= 3600)
    g_string_append_printf(line, "%u:%02u:%02u", (guint)(whole / 3600), (guint)(whole / 60 % 60), (guint)(whole % 60));
  else
    g_string_append_printf(line, "%u:%02u", (guint)(whole / 60), (guint)(whole % 60));
}

char *hf_progress_line(const HfProgress *progress, double rate, double seconds, gsize width)
{
  GString *line = g_string_new(NULL);
  g_autofree char *done = hf_format_size(progress->bytes_done);
  g_autofree char *speed = hf_format_size((guint64)rate);
  gboolean known = progress->bytes_total > 0;
  if (known && width >= 60)
    append_bar(line, progress);
  g_string_append(line, done);
  if (known) {
    g_autofree char *total = hf_format_size(progress->bytes_total);
    g_string_append_printf(line, " of %s", total);
  }
  g_string_append_printf(line, "  %s/s  ", speed);
  guint64 left = known ? progress->bytes_total - MIN(progress->bytes_total, progress->bytes_done) : 0;
  if (left > 0 && rate >= 1 && (double)left / rate < 100 * 3600) {
    append_duration(line, (double)left / rate);
    g_string_append(line, " left");
  } else {
    append_duration(line, seconds);
  }
  if (progress->files_done > 0 || progress->files_total > 0)
    g_string_append_printf(line, "  %" G_GUINT64_FORMAT " files", progress->files_done);
  if (line->len > width)
    g_string_truncate(line, width);
  return g_string_free(line, FALSE);
}

static void show_progress(gpointer user, const HfProgress *progress, gboolean last)
{
  HfProgressView *view = user;
  gint64 now = hf_clock_monotonic_us();
  double seconds = (double)(now - view->start_us) / G_USEC_PER_SEC;
  update_rate(view, progress, now);
  if (view->mode == HF_PROGRESS_JSON) {
    gboolean nothing = progress->files_done == 0 && progress->bytes_done == 0 && progress->stored_bytes == 0;
    if (last ? nothing : now < view->next_json_us)
      return;
    view->next_json_us = now + JSON_INTERVAL_US;
    show_json(view, progress, seconds);
  } else if (view->mode == HF_PROGRESS_BAR) {
    erase_bar(view);
    if (!last) {
      gsize width = hf_terminal_width(view->stream);
      /* The last column stays free: some terminals go to the next line when it is filled. */
      g_autofree char *line = hf_progress_line(progress, view->rate, seconds, width == G_MAXSIZE ? 79 : width - 1);
      fputs(line, view->stream);
      view->on_line = TRUE;
    }
    fflush(view->stream);
  }
}

HfReport *hf_progress_report(HfProgressView *view)
{
  static const HfReportOps ops = { .warning = show_warning, .progress = show_progress, .item = show_item };
  return hf_report_new(&ops, view);
}
