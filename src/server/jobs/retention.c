/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a job's rules let go of, by the service's sequence and time; the service itself deletes. */
#include <string.h>

#include "base/buffer.h"
#include "base/error.h"
#include "server/jobs/state.h"
#include "storage/service/service.h"

#define DAY_NS (G_GINT64_CONSTANT(86400) * 1000000000)

static HfKeepRules make_rules(const HfJobConfig *config)
{
  return (HfKeepRules){ .last = config->keep_points,
                        .weekly = config->keep_weekly,
                        .monthly = config->keep_monthly,
                        .yearly = config->keep_yearly,
                        .within_ns = (gint64)config->keep_days * DAY_NS };
}

/* Only points of this job: others have rules of their own. */
static GPtrArray *of_job(const GPtrArray *points, const char *job_id)
{
  GPtrArray *chosen = g_ptr_array_new();
  for (guint i = 0; i < points->len; i++)
    if (hf_jobs_is_of(points->pdata[i], job_id))
      g_ptr_array_add(chosen, points->pdata[i]);
  return chosen;
}

static gboolean forget(HfJobsRun *run, HfJobsDoor *door, const HfRepositoryRow *repository, const GArray *ids,
                       GError **error)
{
  guint forgotten = 0;
  HfServicePruned pruned;
  g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
  if (!hf_service_forget(door->repo->store, ids, &forgotten, error))
    return FALSE;
  for (guint i = 0; i < ids->len; i++) {
    const HfShortId *id = &g_array_index(ids, HfShortId, i);
    g_ptr_array_add(names, hf_hex(id->b, sizeof id->b));
  }
  g_ptr_array_add(names, NULL);
  if (!hf_inv_points_forget(run->jobs->inv, repository->id, (const char *const *)names->pdata, error) ||
      !hf_service_prune(door->repo->store, FALSE, NULL, &pruned, error))
    return FALSE;
  g_autofree char *bytes = hf_format_size(pruned.swept_bytes + pruned.rewritten_bytes);
  hf_run_log(run, HF_LINE_SUCCEEDED, "Retention: %u restore points removed, %s given back", forgotten, bytes);
  if (pruned.held_packs > 0) {
    g_autofree char *held = hf_format_size(pruned.held_bytes);
    hf_run_log(run, HF_LINE_SUCCEEDED, "Retention: %" G_GUINT64_FORMAT " packs (%s) are immutable files yet; they are "
               "given back later", pruned.held_packs, held);
  }
  return TRUE;
}

/* Which points the rules for weeks, months and years keep, each asked alone and locks left aside. */
static gboolean note_periods(HfJobsRun *run, const HfRepositoryRow *repository, const HfJobConfig *config,
                             GPtrArray *chosen, GError **error)
{
  const struct {
    HfInvPeriod period;
    HfKeepRules rules;
    const char *reason;
  } rules[] = {
    { HF_INV_PERIOD_WEEKLY, { .weekly = config->keep_weekly }, "weekly" },
    { HF_INV_PERIOD_MONTHLY, { .monthly = config->keep_monthly }, "monthly" },
    { HF_INV_PERIOD_YEARLY, { .yearly = config->keep_yearly }, "yearly" },
  };
  g_autoptr(GPtrArray) ids = g_ptr_array_new_with_free_func(g_free);
  g_autofree guint *periods = g_new0(guint, chosen->len + 1);
  for (guint i = 0; i < G_N_ELEMENTS(rules); i++) {
    g_autoptr(GArray) decisions = hf_points_apply_rules(chosen, &rules[i].rules, NULL, TRUE);
    for (guint d = 0; d < decisions->len; d++) {
      const HfKeepDecision *decision = &g_array_index(decisions, HfKeepDecision, d);
      if (i == 0)
        g_ptr_array_add(ids, hf_hex(decision->info->point.id.b, sizeof decision->info->point.id.b));
      if (g_strcmp0(decision->reason, rules[i].reason) == 0)
        periods[d] |= rules[i].period;
    }
  }
  return hf_inv_points_periods(run->jobs->inv, repository->id, (const char *const *)ids->pdata, periods, ids->len,
                               error);
}

gboolean hf_jobs_retain(HfJobsRun *run, HfJobsDoor *door, const HfRepositoryRow *repository, const HfJobConfig *config,
                        const GPtrArray *points, const char *job_id, GError **error)
{
  HfKeepRules rules = make_rules(config);
  g_autoptr(GPtrArray) chosen = of_job(points, job_id);
  for (guint i = 0; i < chosen->len; i++)
    ((HfPointInfo *)chosen->pdata[i])->locked = FALSE;
  if (!note_periods(run, repository, config, chosen, error))
    return FALSE;
  if (hf_keep_rules_empty(&rules))
    return TRUE;
  /* Locks end by the service's clock, and it refuses what is locked: here they are only passed over. */
  guint64 now = hf_service_visit(door->repo->store).seconds;
  for (guint i = 0; i < chosen->len; i++) {
    HfPointInfo *info = chosen->pdata[i];
    info->locked = info->point.lock > now;
  }
  g_autoptr(GArray) decisions = hf_points_apply_rules(chosen, &rules, NULL, FALSE);
  g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(HfShortId));
  for (guint i = 0; i < decisions->len; i++) {
    const HfKeepDecision *decision = &g_array_index(decisions, HfKeepDecision, i);
    if (!decision->keep)
      g_array_append_val(ids, decision->info->point.id);
  }
  return ids->len == 0 || forget(run, door, repository, ids, error);
}
