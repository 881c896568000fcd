/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/clock.h"
#include "base/error.h"
#include "cli/open.h"
#include "repo/points.h"

static gboolean read_rules(const HfOptions *options, HfKeepRules *rules, GError **error)
{
  *rules = (HfKeepRules){ .last = (guint)options->keep_last, .hourly = (guint)options->keep_hourly,
                          .daily = (guint)options->keep_daily, .weekly = (guint)options->keep_weekly,
                          .monthly = (guint)options->keep_monthly, .yearly = (guint)options->keep_yearly };
  return !options->keep_within || hf_keep_parse_within(options->keep_within, &rules->within_ns, error);
}

static gboolean same_name(const HfPointInfo *a, const HfPointInfo *b)
{
  return hf_short_id_equal(&a->point.source, &b->point.source) && hf_short_id_equal(&a->point.writer, &b->point.writer);
}

/* A point that is named is forgotten, but not the last one of its name. */
static gboolean decide_named(const HfOptions *options, GPtrArray *points, GArray *decisions, GError **error)
{
  g_autoptr(GHashTable) chosen = g_hash_table_new(NULL, NULL);
  for (guint i = 0; options->points[i]; i++) {
    HfPointInfo *info = hf_points_resolve(points, options->points[i], error);
    if (!info)
      return FALSE;
    if (g_hash_table_add(chosen, info)) {
      HfKeepDecision decision = { info, FALSE, "named" };
      g_array_append_val(decisions, decision);
    }
  }
  for (guint i = 0; !options->all && i < decisions->len; i++) {
    const HfPointInfo *info = g_array_index(decisions, HfKeepDecision, i).info;
    gboolean other = FALSE;
    for (guint k = 0; !other && k < points->len; k++)
      other = !g_hash_table_contains(chosen, points->pdata[k]) && same_name(points->pdata[k], info);
    char id[33];
    hf_point_short_name(info, id);
    if (!other)
      return hf_fail(error, HF_ERROR_REFUSED, "'%s' is the last point of '%s'; to forget it all the same, add --all",
                     id, info->details ? info->details->name : "its source");
  }
  return TRUE;
}

static void print_decision(HfCli *cli, const HfKeepDecision *decision, HfTable *table)
{
  char id[33];
  hf_point_short_name(decision->info, id);
  const HfPointDetails *details = decision->info->details;
  g_autofree char *time = hf_clock_format_local(decision->info->point.time);
  const char *cells[] = { decision->keep ? "keep" : "forget", id, details ? details->name : "", time,
                          decision->reason };
  hf_table_add(table, cells);
  g_autofree char *whole = hf_hex(decision->info->point.id.b, sizeof decision->info->point.id.b);
  hf_line_begin(cli->output);
  hf_line_text(cli->output, "point", whole);
  hf_line_name(cli->output, "name", details ? details->name : NULL);
  hf_line_time(cli->output, "time", decision->info->point.time);
  hf_line_flag(cli->output, "keep", decision->keep);
  hf_line_text(cli->output, "reason", decision->reason);
  hf_line_end(cli->output);
}

static gboolean carry_out(const HfOptions *options, HfCli *cli, HfRepo *repo, const GArray *decisions, GError **error)
{
  static const HfColumn columns[] = { { .title = "" }, { .title = "point" }, { .title = "name", .shrink = TRUE },
                                      { .title = "time" }, { .title = "because" } };
  g_autoptr(HfTable) table = hf_table_new(columns, G_N_ELEMENTS(columns));
  guint forgotten = 0;
  for (guint i = 0; i < decisions->len; i++) {
    const HfKeepDecision *decision = &g_array_index(decisions, HfKeepDecision, i);
    if (hf_cancelled(cli->cancel, error))
      return FALSE;
    if (!decision->keep && !options->dry_run && !hf_points_forget(repo, decision->info, error))
      return FALSE;
    forgotten += !decision->keep;
    print_decision(cli, decision, table);
  }
  hf_output_table(cli->output, table);
  hf_output_note(cli->output, "%s %u of %u points%s\n", options->dry_run ? "would forget" : "forgot", forgotten,
                 decisions->len, options->dry_run ? "" : "; 'holdfast prune' gives back the space");
  return TRUE;
}

gboolean hf_verb_forget(const HfOptions *options, HfCli *cli, GError **error)
{
  HfKeepRules rules;
  if (!read_rules(options, &rules, error))
    return FALSE;
  gboolean named = options->points[0] != NULL;
  if (named != hf_keep_rules_empty(&rules))
    return hf_fail(error, HF_ERROR_USAGE, "forget needs either points or a rule such as --keep-daily 7");
  g_autoptr(HfRepo) repo = hf_cli_open_repository(cli, options, TRUE, error);
  g_autoptr(GPtrArray) points = repo ? hf_points_load(repo, NULL, error) : NULL;
  if (!points)
    return FALSE;
  g_autoptr(GArray) decisions = NULL;
  if (named) {
    decisions = g_array_new(FALSE, FALSE, sizeof(HfKeepDecision));
    if (!decide_named(options, points, decisions, error))
      return FALSE;
  } else {
    decisions = hf_points_apply_rules(points, &rules, options->name, options->all);
  }
  return carry_out(options, cli, repo, decisions, error);
}
