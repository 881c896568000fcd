/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Between the runner and its broker: which addresses a task's data take, and what it may have of them. */
#include <jansson.h>

#include "base/buffer.h"
#include "base/error.h"
#include "server/jobs/state.h"

/* ---- Addresses. ---- */

/* The first address of the host that lies in the network; caller frees, NULL: none. */
static char *address_in(const HfHostRow *host, const char *network)
{
  const char *const networks[] = { network, NULL };
  json_t *list = json_loads(host->networks, 0, NULL), *item;
  char *found = NULL;
  size_t index;
  json_array_foreach(list, index, item)
  {
    const char *address = json_string_value(item);
    if (found == NULL && address != NULL && hf_network_holds(networks, address))
      found = g_strdup(address);
  }
  json_decref(list);
  return found;
}

/* By which others call it: what answered when it was called last. Of one with a name that was not called since this
 * server began, the first that it told of. */
static char *ordinary_address(HfJobs *jobs, const HfHostRow *host)
{
  const HfJobHosts *hosts = &jobs->parts.hosts;
  char *address = hosts->address(hosts->user, host->id);
  if (address == NULL && !g_hostname_is_ip_address(host->address))
    address = address_in(host, "0.0.0.0/0");
  return address != NULL ? address : g_strdup(host->address);
}

void hf_jobs_route_clear(HfJobsRoute *route)
{
  g_clear_pointer(&route->source, g_free);
  g_clear_pointer(&route->target, g_free);
  g_clear_pointer(&route->preferred, g_free);
}

/* A network in which both are comes before one to which the caller has to be routed. */
static void prefer(HfJobsRoute *route, char **networks, const HfHostRow *from, const HfHostRow *to)
{
  for (guint both = 2; both-- > 0 && route->preferred == NULL;)
    for (char **network = networks; *network != NULL && route->preferred == NULL; network++) {
      g_autofree char *near = address_in(from, *network), *far = address_in(to, *network);
      if (far == NULL || (both == 1 && near == NULL))
        continue;
      route->preferred = g_steal_pointer(&far);
      if (near != NULL) {
        g_free(route->source);
        route->source = g_steal_pointer(&near);
      }
    }
}

void hf_jobs_route(HfJobs *jobs, const char *from_id, const char *to_id, HfJobsRoute *route)
{
  *route = (HfJobsRoute){ 0 };
  if (g_str_equal(from_id, to_id))
    return;
  g_autoptr(HfHostRow) from = hf_inv_host_get(jobs->inv, from_id, NULL);
  g_autoptr(HfHostRow) to = hf_inv_host_get(jobs->inv, to_id, NULL);
  g_auto(GStrv) networks = hf_inv_preferred_networks(jobs->inv, NULL);
  if (from == NULL || to == NULL)
    return;
  route->source = ordinary_address(jobs, from);
  route->target = ordinary_address(jobs, to);
  if (networks != NULL)
    prefer(route, networks, from, to);
  if (route->preferred == NULL)
    return;
  if (g_str_equal(route->preferred, route->target)) {
    g_clear_pointer(&route->preferred, g_free); /* it is called anyway */
    return;
  }
  g_free(route->target);
  route->target = g_strdup(route->preferred);
}

/* ---- What the broker asks. ---- */

static GPtrArray *load_rules(gpointer user, GError **error)
{
  const HfJobs *jobs = user;
  return hf_inv_traffic_load(jobs->inv, error);
}

static gboolean tell(gpointer user, const char *host_id, const char *task, guint64 rate, GError **error)
{
  const HfJobs *jobs = user;
  return jobs->parts.hosts.set_rate(jobs->parts.hosts.user, host_id, task, rate, error);
}

static void note(gpointer user, const char *task, const char *rule, guint64 rate)
{
  const HfJobs *jobs = user;
  g_autofree char *size = hf_format_size(rate);
  g_autofree char *line = rate == 0 ? g_strdup("Traffic is not limited any more")
    : rule == NULL ? g_strdup_printf("The repository's limit leaves %s a second to this task", size)
                   : g_strdup_printf("Traffic rule '%s' leaves %s a second to this task", rule, size);
  hf_inv_log(jobs->inv, task, HF_LINE_NONE, line, NULL, NULL, NULL);
}

HfBroker *hf_jobs_broker_new(HfJobs *jobs)
{
  const HfBrokerOps ops = { .user = jobs, .rules = load_rules, .tell = tell, .note = note };
  return hf_broker_new(&ops);
}

void hf_jobs_traffic_changed(HfJobs *jobs)
{
  hf_broker_changed(jobs->broker);
}

/* ---- Tasks. ---- */

guint64 hf_jobs_limit(HfJobs *jobs, const char *task_id, const char *host_id, const HfRepositoryRow *repository,
                      gboolean running)
{
  g_auto(HfJobsRoute) route = { 0 };
  hf_jobs_route(jobs, host_id, repository->host_id, &route);
  const HfBrokerTask task = { .id = task_id, .host_id = host_id, .source = route.source, .target = route.target,
                              .repository_id = repository->id,
                              .repository_rate = (guint64)repository->rate_limit };
  if (!running)
    return hf_broker_join(jobs->broker, &task);
  hf_broker_join_running(jobs->broker, &task);
  return 0;
}

void hf_jobs_limit_running(HfJobs *jobs, const char *session_id)
{
  g_autoptr(GPtrArray) rows = hf_inv_tasks_of(jobs->inv, session_id, NULL);
  for (guint i = 0; rows != NULL && i < rows->len; i++) {
    const HfTaskRow *row = rows->pdata[i];
    g_autoptr(HfRepositoryRow) repository = row->ended == 0 && row->host_id != NULL && row->repository_id != NULL
      ? hf_inv_repository_get(jobs->inv, row->repository_id, NULL)
      : NULL;
    if (repository != NULL && g_str_equal(row->state, HF_STATE_WORKING))
      hf_jobs_limit(jobs, row->id, row->host_id, repository, TRUE);
  }
}
