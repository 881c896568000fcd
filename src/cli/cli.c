/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/cli.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/error.h"
#include "cli/help.h"
#include "cli/parse.h"
#include "cli/progress.h"
#include "storage/local/local.h"

typedef gboolean (*VerbFunc)(const HfOptions *options, HfCli *cli, GError **error);

static const VerbFunc verbs[HF_VERBS] = {
  [HF_VERB_ACCOUNT_ADD] = hf_verb_account_add,
  [HF_VERB_ACCOUNT_CHANGE] = hf_verb_account_change,
  [HF_VERB_ACCOUNT_LIST] = hf_verb_account_list,
  [HF_VERB_ACCOUNT_PASSWORD] = hf_verb_account_password,
  [HF_VERB_ACCOUNT_REMOVE] = hf_verb_account_remove,
  [HF_VERB_AUDIT] = hf_verb_audit,
  [HF_VERB_BACKUP] = hf_verb_backup,
  [HF_VERB_BENCHMARK] = hf_verb_benchmark,
  [HF_VERB_CAT] = hf_verb_cat,
  [HF_VERB_COPY] = hf_verb_copy,
  [HF_VERB_CREDENTIAL_ADD] = hf_verb_credential_add,
  [HF_VERB_CREDENTIAL_CHANGE] = hf_verb_credential_change,
  [HF_VERB_CREDENTIAL_LIST] = hf_verb_credential_list,
  [HF_VERB_CREDENTIAL_REMOVE] = hf_verb_credential_remove,
  [HF_VERB_DIFF] = hf_verb_diff,
  [HF_VERB_FIND] = hf_verb_find,
  [HF_VERB_FORGET] = hf_verb_forget,
  [HF_VERB_HELP] = hf_verb_help,
  [HF_VERB_HOST_ADD] = hf_verb_host_add,
  [HF_VERB_HOST_LIST] = hf_verb_host_list,
  [HF_VERB_HOST_LOGS] = hf_verb_host_logs,
  [HF_VERB_HOST_REMOVE] = hf_verb_host_remove,
  [HF_VERB_HOST_RESCAN] = hf_verb_host_rescan,
  [HF_VERB_HOST_RESTART] = hf_verb_host_restart,
  [HF_VERB_HOST_SHOW] = hf_verb_host_show,
  [HF_VERB_HOST_START] = hf_verb_host_start,
  [HF_VERB_HOST_STOP] = hf_verb_host_stop,
  [HF_VERB_HOST_UPGRADE] = hf_verb_host_upgrade,
  [HF_VERB_INIT] = hf_verb_init,
  [HF_VERB_JOB_CHANGE] = hf_verb_job_change,
  [HF_VERB_JOB_CREATE] = hf_verb_job_create,
  [HF_VERB_JOB_DISABLE] = hf_verb_job_disable,
  [HF_VERB_JOB_ENABLE] = hf_verb_job_enable,
  [HF_VERB_JOB_LIST] = hf_verb_job_list,
  [HF_VERB_JOB_REMOVE] = hf_verb_job_remove,
  [HF_VERB_JOB_RETRY] = hf_verb_job_retry,
  [HF_VERB_JOB_SHOW] = hf_verb_job_show,
  [HF_VERB_JOB_START] = hf_verb_job_start,
  [HF_VERB_JOB_STOP] = hf_verb_job_stop,
  [HF_VERB_KEY_ADD] = hf_verb_key_add,
  [HF_VERB_KEY_CHANGE] = hf_verb_key_change,
  [HF_VERB_KEY_EXPORT] = hf_verb_key_export,
  [HF_VERB_KEY_HIDE] = hf_verb_key_hide,
  [HF_VERB_KEY_LIST] = hf_verb_key_list,
  [HF_VERB_KEY_ROTATE] = hf_verb_key_rotate,
  [HF_VERB_LOGIN] = hf_verb_login,
  [HF_VERB_LOGOUT] = hf_verb_logout,
  [HF_VERB_LS] = hf_verb_ls,
  [HF_VERB_MOUNT] = hf_verb_mount,
  [HF_VERB_NOTIFICATION_MAIL] = hf_verb_notification_mail,
  [HF_VERB_NOTIFICATION_SHOW] = hf_verb_notification_show,
  [HF_VERB_NOTIFICATION_SYSLOG] = hf_verb_notification_syslog,
  [HF_VERB_NOTIFICATION_TEST] = hf_verb_notification_test,
  [HF_VERB_POINTS] = hf_verb_points,
  [HF_VERB_POINT_LIST] = hf_verb_point_list,
  [HF_VERB_POINT_LS] = hf_verb_point_ls,
  [HF_VERB_PORTS_AUDIT] = hf_verb_ports_audit,
  [HF_VERB_PORTS_CHECK] = hf_verb_ports_check,
  [HF_VERB_PORTS_DIFF] = hf_verb_ports_diff,
  [HF_VERB_PORTS_EXPLAIN] = hf_verb_ports_explain,
  [HF_VERB_PORTS_FIREWALL] = hf_verb_ports_firewall,
  [HF_VERB_PORTS_LIST] = hf_verb_ports_list,
  [HF_VERB_PORTS_PLAN] = hf_verb_ports_plan,
  [HF_VERB_PORTS_ROLES] = hf_verb_ports_roles,
  [HF_VERB_PROXY_ADD] = hf_verb_proxy_add,
  [HF_VERB_PROXY_CHANGE] = hf_verb_proxy_change,
  [HF_VERB_PROXY_LIST] = hf_verb_proxy_list,
  [HF_VERB_PROXY_REMOVE] = hf_verb_proxy_remove,
  [HF_VERB_PRUNE] = hf_verb_prune,
  [HF_VERB_REBUILD] = hf_verb_rebuild,
  [HF_VERB_REPAIR] = hf_verb_repair,
  [HF_VERB_REPOSITORY_ADD] = hf_verb_repository_add,
  [HF_VERB_REPOSITORY_CHANGE] = hf_verb_repository_change,
  [HF_VERB_REPOSITORY_LIST] = hf_verb_repository_list,
  [HF_VERB_REPOSITORY_REMOVE] = hf_verb_repository_remove,
  [HF_VERB_REPOSITORY_RESCAN] = hf_verb_repository_rescan,
  [HF_VERB_REPOSITORY_SHOW] = hf_verb_repository_show,
  [HF_VERB_RESTORE] = hf_verb_restore,
  [HF_VERB_SESSION_FOLLOW] = hf_verb_session_follow,
  [HF_VERB_SESSION_LIST] = hf_verb_session_list,
  [HF_VERB_SESSION_SHOW] = hf_verb_session_show,
  [HF_VERB_SESSION_STOP] = hf_verb_session_stop,
  [HF_VERB_STATS] = hf_verb_stats,
  [HF_VERB_TRAFFIC_ADD] = hf_verb_traffic_add,
  [HF_VERB_TRAFFIC_LIST] = hf_verb_traffic_list,
  [HF_VERB_TRAFFIC_REMOVE] = hf_verb_traffic_remove,
  [HF_VERB_VERIFY] = hf_verb_verify,
  [HF_VERB_VERSION] = hf_verb_version,
  [HF_VERB_WHOAMI] = hf_verb_whoami,
  [HF_VERB_WRITER_ADD] = hf_verb_writer_add,
  [HF_VERB_WRITER_LIST] = hf_verb_writer_list,
  [HF_VERB_WRITER_REMOVE] = hf_verb_writer_remove,
};

static void print_error(FILE *err, gboolean json, const GError *error)
{
  if (!json) {
    g_autofree char *shown = hf_printable_lines(error->message);
    fprintf(err, "holdfast: %s\n", shown);
    return;
  }
  g_autoptr(HfOutput) output = hf_output_new(err, HF_OUTPUT_JSON);
  hf_line_begin(output);
  hf_line_text(output, "type", "error");
  hf_line_text(output, "code", hf_error_code_name(error->domain == HF_ERROR ? error->code : HF_ERROR_FAILED));
  hf_line_text(output, "message", error->message);
  hf_line_number(output, "exit", (guint64)hf_error_exit_code(error));
  hf_line_end(output);
}

static HfProgressMode progress_mode(const HfOptions *options, FILE *err)
{
  if (options->json)
    return HF_PROGRESS_JSON;
  return !options->quiet && isatty(fileno(err)) ? HF_PROGRESS_BAR : HF_PROGRESS_NONE;
}

static HfOutputMode output_mode(const HfOptions *options)
{
  return options->json ? HF_OUTPUT_JSON : options->quiet ? HF_OUTPUT_QUIET : HF_OUTPUT_TEXT;
}

static int run_verb(const HfOptions *options, FILE *out, FILE *err, HfCancel *cancel)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(HfOutput) output = hf_output_new(out, output_mode(options));
  g_autoptr(HfProgressView) view = hf_progress_new(err, progress_mode(options, err), options->verbose);
  g_autoptr(HfReport) report = hf_progress_report(view);
  HfCli cli = { .output = output, .report = report, .progress = view, .cancel = cancel };
  gboolean done = verbs[options->verb](options, &cli, &error);
  hf_report_finish(report);
  /* What the verb says goes before what the stream says, but a result that could not be printed is not done. */
  if (!hf_output_finish(output, done ? &error : NULL))
    done = FALSE;
  if (!done) {
    /* Who reads "| head" has seen enough and needs no message. */
    if (!hf_output_reader_gone(output))
      print_error(err, options->json, error);
    return hf_error_exit_code(error);
  }
  return hf_report_warnings(report) > 0 ? 3 : 0;
}

static gboolean wants_json(char *const *arguments)
{
  return g_strv_contains((const char *const *)arguments, "--json");
}

int hf_cli_run(char *const *arguments, FILE *out, FILE *err, HfCancel *cancel)
{
  g_autoptr(GError) error = NULL;
  hf_local_register();
  if (arguments[0] == NULL) {
    fputs(hf_program_help, err);
    return 2;
  }
  g_autoptr(HfOptions) options = hf_options_parse(arguments, &error);
  if (options != NULL && options->help) {
    fputs(hf_verb_specs[options->verb].help, out);
    return 0;
  }
  if (options != NULL)
    return run_verb(options, out, err, cancel);
  print_error(err, wants_json(arguments), error);
  return hf_error_exit_code(error);
}

/* ---- signals ---- */

static HfCancel signal_cancel;

static void on_signal(int number)
{
  if (hf_cancelled(&signal_cancel, NULL))
    _exit(128 + number);
  hf_cancel_set(&signal_cancel);
}

static void install_signals(void)
{
  /* No SA_RESTART: a read of the terminal ends at once. */
  struct sigaction cancel = { .sa_handler = on_signal }, ignore = { .sa_handler = SIG_IGN };
  sigaction(SIGINT, &cancel, NULL);
  sigaction(SIGTERM, &cancel, NULL);
  sigaction(SIGPIPE, &ignore, NULL);
}

int hf_cli_main(int argc, char **argv)
{
  install_signals();
  return hf_cli_run(argv + MIN(argc, 1), stdout, stderr, &signal_cancel);
}
