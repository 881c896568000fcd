/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "agent/builtin.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/sys.h"
#include "net/messages/installer.h"

#define TAR_BLOCK 512u
#define JOURNAL_MAX (64u << 20)

/* A ustar header; sizes and times are octal text. */
static void fill_header(guint8 header[TAR_BLOCK], const char *name, gsize length, gint64 now)
{
  char number[16];
  guint sum = 0;
  memset(header, 0, TAR_BLOCK);
  g_strlcpy((char *)header, name, 100);
  memcpy(header + 100, "0000644", 8);
  memcpy(header + 108, "0000000", 8);
  memcpy(header + 116, "0000000", 8);
  g_snprintf(number, sizeof number, "%011" G_GINT64_MODIFIER "o", (guint64)length);
  memcpy(header + 124, number, 12);
  g_snprintf(number, sizeof number, "%011" G_GINT64_MODIFIER "o", (guint64)now);
  memcpy(header + 136, number, 12);
  memset(header + 148, ' ', 8);
  header[156] = '0';
  memcpy(header + 257, "ustar\00000", 8);
  for (guint i = 0; i < TAR_BLOCK; i++)
    sum += header[i];
  g_snprintf(number, sizeof number, "%06o", sum);
  memcpy(header + 148, number, 7);
}

static gboolean send_file(HfChannel *out, const char *name, const char *bytes, gsize length, GError **error)
{
  static const guint8 zeros[TAR_BLOCK];
  guint8 header[TAR_BLOCK];
  fill_header(header, name, length, hf_clock_real_ns() / 1000000000);
  const struct iovec parts[] = { { header, sizeof header },
                                 { (void *)bytes, length },
                                 { (void *)zeros, (TAR_BLOCK - length % TAR_BLOCK) % TAR_BLOCK } };
  return hf_channel_write(out, parts, G_N_ELEMENTS(parts), error);
}

/* A file that is not there is left out. */
static gboolean send_path(HfChannel *out, const char *folder, const char *name, GError **error)
{
  g_autofree char *path = g_build_filename(folder, name, NULL), *bytes = NULL;
  gsize length;
  return !g_file_get_contents(path, &bytes, &length, NULL) || send_file(out, name, bytes, length, error);
}

static gboolean send_journal(HfChannel *out, gint64 since, GError **error)
{
  int status = 1;
  g_autofree char *said = NULL, *from = g_strdup_printf("@%" G_GINT64_FORMAT, since);
  const char *const arguments[] = { "journalctl", "--unit", "holdfast-agent", "--since", from, "--no-pager", "--output",
                                    "short-iso-precise", NULL };
  if (!g_spawn_sync("/", (char **)arguments, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, &said,
                    NULL, &status, NULL) ||
      status != 0)
    return TRUE;
  return send_file(out, "journal.txt", said, MIN(strlen(said), JOURNAL_MAX), error);
}

static gboolean run_logs(HfWorker *worker, GByteArray *result G_GNUC_UNUSED, GError **error)
{
  static const guint8 end[2 * TAR_BLOCK];
  HfView view = hf_worker_task(worker);
  g_auto(HfInstallerLogsTask) task = { 0 };
  if (!hf_installer_logs_task_decode_bytes(view.data, view.length, &task, error))
    return FALSE;
  g_autofree char *folder = g_build_filename(hf_worker_state(worker), "..", "log", NULL);
  g_autoptr(HfChannel) out = hf_worker_link(worker, 0, NULL, error);
  return out != NULL && send_path(out, folder, "agent.log.1", error) && send_path(out, folder, "agent.log", error) &&
         send_journal(out, task.since, error) && hf_channel_send(out, end, sizeof end, error) &&
         hf_channel_end(out, error);
}

const HfTaskKind hf_task_logs = { "logs", run_logs };
