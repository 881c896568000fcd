/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/buffer.h"
#include "cli/open.h"
#include "cli/speed.h"
#include "crypto/crypto.h"
#include "storage/conform.h"

#define SECONDS_A_LINE 0.4

static char *format_rate(double bytes_per_second)
{
  g_autofree char *size = hf_format_size((guint64)bytes_per_second);
  return g_strconcat(size, "/s", NULL);
}

static void print_speed(const HfSpeed *speed, gpointer user)
{
  HfCli *cli = user;
  g_autofree char *rate = format_rate(speed->bytes_per_second);
  hf_output_text(cli->output, "%-30s %3u %s  %12s\n", speed->what, speed->threads,
                 speed->threads == 1 ? "thread " : "threads", rate);
  hf_line_begin(cli->output);
  hf_line_text(cli->output, "measure", speed->what);
  hf_line_number(cli->output, "threads", speed->threads);
  hf_line_real(cli->output, "bytes_per_second", speed->bytes_per_second);
  hf_line_end(cli->output);
}

static void print_check(const char *check, gboolean passed, const char *detail, gpointer user)
{
  HfCli *cli = user;
  const char *verdict = !passed ? "FAILED" : detail == NULL ? "ok" : "left out";
  hf_output_text(cli->output, "%-8s  %s%s%s\n", verdict, check, detail == NULL ? "" : ": ",
                 detail == NULL ? "" : detail);
  hf_line_begin(cli->output);
  hf_line_text(cli->output, "check", check);
  hf_line_flag(cli->output, "passed", passed);
  hf_line_text(cli->output, "message", detail);
  hf_line_end(cli->output);
}

static void print_rate(const HfStoreRate *row, HfCli *cli)
{
  double seconds = MAX(row->seconds, 1e-6);
  g_autofree char *rate = format_rate((double)row->bytes / seconds);
  hf_output_text(cli->output, "%-30s %3u %s  %10.0f a second  %12s\n", row->what, row->threads,
                 row->threads == 1 ? "thread " : "threads", (double)row->operations / seconds,
                 row->bytes > 0 ? rate : "");
  hf_line_begin(cli->output);
  hf_line_text(cli->output, "measure", row->what);
  hf_line_number(cli->output, "threads", row->threads);
  hf_line_real(cli->output, "operations_per_second", (double)row->operations / seconds);
  hf_line_real(cli->output, "bytes_per_second", (double)row->bytes / seconds);
  hf_line_end(cli->output);
}

static gboolean benchmark_storage(const HfOptions *options, HfCli *cli, GError **error)
{
  g_autoptr(HfStore) store = hf_cli_open_store(cli, options, options->storage, TRUE, error);
  if (store == NULL || !hf_store_conform(store, print_check, cli, error))
    return FALSE;
  HfStoreRates rates = { 0 };
  if (!hf_store_measure(store, SECONDS_A_LINE, &rates, error))
    return FALSE;
  for (guint i = 0; i < rates.count; i++)
    print_rate(&rates.rows[i], cli);
  return TRUE;
}

gboolean hf_verb_benchmark(const HfOptions *options, HfCli *cli, GError **error)
{
  if (options->storage != NULL)
    return benchmark_storage(options, cli, error);
  return hf_crypto_init(error) && hf_speed_measure(SECONDS_A_LINE, cli->cancel, print_speed, cli, error);
}
