/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/log.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/work.h"

#define LOG_MAX (4 << 20)
#define PROGRAM "holdfast-agent: "
#define WARNING "warning: "

static GMutex lock;
static char *folder; /* NULL: no file */
static gboolean as_json;

static void write_file(const char *line)
{
  struct stat status;
  g_autofree char *path = g_build_filename(folder, "agent.log", NULL);
  if (g_stat(path, &status) == 0 && status.st_size > LOG_MAX) {
    g_autofree char *old = g_build_filename(folder, "agent.log.1", NULL);
    g_rename(path, old);
  }
  int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0)
    return;
  /* A log that cannot be written stops nothing. */
  if (write(fd, line, strlen(line)) < 0)
    fputs("holdfast-agent: the log cannot be written\n", stderr);
  close(fd);
}

static const char *level_name(GLogLevelFlags level)
{
  if (level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL))
    return "error";
  return level & G_LOG_LEVEL_WARNING ? "warning" : "info";
}

static const char *behind(const char *line, const char *prefix)
{
  return g_str_has_prefix(line, prefix) ? line + strlen(prefix) : line;
}

static GLogWriterOutput write_line(GLogLevelFlags level, const GLogField *fields, gsize n_fields,
                                   gpointer user G_GNUC_UNUSED)
{
  const char *message = "";
  for (gsize i = 0; i < n_fields; i++)
    if (strcmp(fields[i].key, "MESSAGE") == 0)
      message = fields[i].value;
  if (level & G_LOG_LEVEL_DEBUG)
    return G_LOG_WRITER_HANDLED;
  HF_LOCK(&lock);
  if (as_json) {
    json_t *object = json_pack("{s:s, s:s}", "level", level_name(level), "message", message);
    char *text = object != NULL ? json_dumps(object, JSON_COMPACT) : NULL;
    fprintf(stderr, "%s\n", text != NULL ? text : "{}");
    free(text);
    json_decref(object);
  } else {
    fprintf(stderr, PROGRAM "%s%s\n", level & G_LOG_LEVEL_WARNING ? WARNING : "", message);
  }
  if (folder != NULL) {
    g_autofree char *time = hf_clock_format_utc(hf_clock_real_ns());
    g_autofree char *line = g_strdup_printf("%s %s %s\n", time, level_name(level), message);
    write_file(line);
  }
  return G_LOG_WRITER_HANDLED;
}

void hf_log_open(gboolean json)
{
  as_json = json;
  g_log_set_writer_func(write_line, NULL, NULL);
}

void hf_log_child(const char *line)
{
  const char *text = behind(line, PROGRAM);
  if (g_str_has_prefix(text, WARNING))
    g_warning("%s", behind(text, WARNING));
  else
    g_message("%s", text);
}

void hf_log_keep(const char *state)
{
  HF_LOCK(&lock);
  g_free(folder);
  folder = g_build_filename(state, "log", NULL);
  g_mkdir_with_parents(folder, 0700);
}
