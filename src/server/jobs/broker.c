/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The state is all tasks with what they were told; `next_locked` says what is to be done next, one step at a time. */
#include "server/jobs/broker.h"

#include <string.h>

#include "base/error.h"
#include "base/work.h"

#define ENDLESS G_MAXUINT64
#define JOIN_SECONDS 10
#define RETRY_FIRST_SECONDS 2u
#define RETRY_MOST_SECONDS 60u
#define RULES_AGAIN_SECONDS 5

/* One limit while it is shared out. */
typedef struct Pool {
  guint64 left;
  guint members; /* that have no share yet */
} Pool;

typedef enum TaskState {
  TASK_NEW,     /* somebody waits to learn its rate */
  TASK_UNKNOWN, /* it runs, at whatever rate */
  TASK_TOLD,    /* `told` is what it knows */
} TaskState;

typedef struct Task {
  char *id, *host, *source, *target, *repository;
  guint64 repository_rate; /* 0: no limit */
  TaskState state;
  gboolean decided;
  char *rule, *rule_name;  /* that limits it, or NULL */
  guint64 rule_rate;
  guint64 told, share;     /* ENDLESS: no limit */
  guint64 noted;           /* what people know */
  char *noted_rule;
  gboolean deaf;           /* could not be told */
  guint retry_seconds;
  gint64 retry_at;         /* monotonic */
  Pool *pools[2];          /* while limits are shared out; NULL: none */
} Task;

struct HfBroker {
  HfBrokerOps ops;
  GThread *thread;
  GMutex lock; /* guards what follows */
  GCond changed;
  gboolean ending;
  gboolean dirty;    /* the thread has something to look at */
  gint64 reload_at;  /* monotonic: rules are read then; -1: not before they change */
  gint64 boundary;   /* the next moment at which a window opens or closes; -1: none */
  GPtrArray *rules;  /* of HfTrafficRow* */
  GHashTable *tasks; /* id -> Task, boxed: the thread holds what it is at */
};

static void task_clear(gpointer data)
{
  Task *task = data;
  g_free(task->id);
  g_free(task->host);
  g_free(task->source);
  g_free(task->target);
  g_free(task->repository);
  g_free(task->rule);
  g_free(task->rule_name);
  g_free(task->noted_rule);
}

static void task_unref(gpointer task)
{
  g_rc_box_release_full(task, task_clear);
}

static void rouse_locked(HfBroker *broker)
{
  broker->dirty = TRUE;
  g_cond_broadcast(&broker->changed);
}

/* ---- Deciding: which rule, how much, until when. ---- */

static gint64 now_us(const HfBroker *broker)
{
  return broker->ops.now != NULL ? broker->ops.now(broker->ops.user) : hf_db_now();
}

static void decide_locked(const HfBroker *broker, Task *task, GTimeZone *zone)
{
  const HfTrafficRow *rule = NULL;
  gint64 limit = 0;
  if (task->source != NULL && task->target != NULL)
    limit = hf_traffic_limit(broker->rules, task->source, task->target, zone, now_us(broker), &rule);
  g_clear_pointer(&task->rule, g_free);
  g_clear_pointer(&task->rule_name, g_free);
  if (limit > 0 && rule != NULL) {
    task->rule = g_strdup(rule->id);
    task->rule_name = g_strdup(rule->name);
  }
  task->rule_rate = (guint64)limit;
  task->decided = TRUE;
}

static gint64 find_boundary_locked(const HfBroker *broker, GTimeZone *zone)
{
  gint64 first = -1;
  for (guint i = 0; i < broker->rules->len; i++) {
    const HfTrafficRow *rule = broker->rules->pdata[i];
    g_autoptr(HfWindow) window =
      rule->throttling && rule->window_enabled ? hf_window_parse(rule->windows, NULL) : NULL;
    gint64 change = window != NULL ? hf_window_next_change(window, zone, now_us(broker)) : -1;
    if (change >= 0 && (first < 0 || change < first))
      first = change;
  }
  return first;
}

static void decide_all_locked(HfBroker *broker, gboolean anew)
{
  GHashTableIter iter;
  gpointer item;
  g_autoptr(GTimeZone) zone =
    broker->ops.zone != NULL ? g_time_zone_ref(broker->ops.zone) : g_time_zone_new_local();
  g_hash_table_iter_init(&iter, broker->tasks);
  while (g_hash_table_iter_next(&iter, NULL, &item))
    if (anew || !((Task *)item)->decided)
      decide_locked(broker, item, zone);
  if (anew)
    broker->boundary = find_boundary_locked(broker, zone);
}

/* `lock` is released while rules are read. */
static void load_rules_locked(HfBroker *broker)
{
  g_autoptr(GError) why = NULL;
  broker->reload_at = -1;
  g_mutex_unlock(&broker->lock);
  GPtrArray *rules = broker->ops.rules(broker->ops.user, &why);
  g_mutex_lock(&broker->lock);
  if (rules == NULL) {
    g_warning("traffic rules stay as they were: %s", why->message);
    if (broker->reload_at < 0)
      broker->reload_at = g_get_monotonic_time() + RULES_AGAIN_SECONDS * G_USEC_PER_SEC;
    return;
  }
  g_ptr_array_unref(broker->rules);
  broker->rules = rules;
  decide_all_locked(broker, TRUE);
}

static void refresh_locked(HfBroker *broker)
{
  if (broker->reload_at >= 0 && broker->reload_at <= g_get_monotonic_time())
    load_rules_locked(broker);
  decide_all_locked(broker, broker->boundary >= 0 && broker->boundary <= now_us(broker));
}

/* ---- Sharing. ---- */

static Pool *pool_of(GHashTable *pools, const char *kind, const char *id, guint64 rate)
{
  if (rate == 0)
    return NULL;
  g_autofree char *key = g_strconcat(kind, id, NULL);
  Pool *pool = g_hash_table_lookup(pools, key);
  if (pool == NULL) {
    pool = g_new0(Pool, 1);
    pool->left = rate;
    g_hash_table_insert(pools, g_steal_pointer(&key), pool);
  }
  pool->members++;
  return pool;
}

/* It gets `share`, which its limits have no more. */
static void settle_share(Task *task, guint64 share)
{
  task->share = share;
  for (guint i = 0; i < G_N_ELEMENTS(task->pools); i++) {
    Pool *pool = task->pools[i];
    task->pools[i] = NULL;
    if (pool == NULL)
      continue;
    pool->members--;
    pool->left -= MIN(pool->left, share);
  }
}

/* The limit that is used up first while all rates grow together; NULL when nobody is left below any. */
static const Pool *tightest(GHashTable *pools)
{
  const Pool *found = NULL;
  GHashTableIter iter;
  gpointer item;
  g_hash_table_iter_init(&iter, pools);
  while (g_hash_table_iter_next(&iter, NULL, &item)) {
    const Pool *pool = item;
    if (pool->members > 0 && (found == NULL || pool->left / pool->members < found->left / found->members))
      found = pool;
  }
  return found;
}

static void share_out(GPtrArray *tasks)
{
  g_autoptr(GHashTable) pools = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
  const Pool *pool;
  for (guint i = 0; i < tasks->len; i++) {
    Task *task = tasks->pdata[i];
    task->share = ENDLESS;
    task->pools[0] = pool_of(pools, "rule:", task->rule, task->rule_rate);
    task->pools[1] = pool_of(pools, "repository:", task->repository, task->repository_rate);
  }
  for (guint i = 0; i < tasks->len; i++) {
    Task *task = tasks->pdata[i];
    if (task->deaf && task->state == TASK_TOLD)
      settle_share(task, task->told);
  }
  while ((pool = tightest(pools)) != NULL) {
    guint64 share = MAX(pool->left / pool->members, HF_BROKER_LEAST);
    for (guint i = 0; i < tasks->len; i++) {
      Task *task = tasks->pdata[i];
      if (task->pools[0] == pool || task->pools[1] == pool)
        settle_share(task, share);
    }
  }
}

/* ---- One step after the other. ---- */

static gboolean is_to_be_lowered(const Task *task)
{
  return !task->deaf && (task->state == TASK_UNKNOWN || (task->state == TASK_TOLD && task->share < task->told));
}

static gboolean is_to_be_raised(const Task *task)
{
  return !task->deaf && task->state == TASK_TOLD && task->share > task->told;
}

static Task *find_task(const GPtrArray *tasks, gboolean (*is)(const Task *task))
{
  for (guint i = 0; i < tasks->len; i++)
    if (is(tasks->pdata[i]))
      return tasks->pdata[i];
  return NULL;
}

/* Room has been made: those who wait may begin. */
static void admit_locked(HfBroker *broker, const GPtrArray *tasks)
{
  for (guint i = 0; i < tasks->len; i++) {
    Task *task = tasks->pdata[i];
    if (task->state != TASK_NEW)
      continue;
    task->state = TASK_TOLD;
    task->told = task->share;
    g_cond_broadcast(&broker->changed);
  }
}

/* All tasks, borrowed. Those whose time it is are tried again. */
static GPtrArray *list_locked(HfBroker *broker)
{
  gint64 now = g_get_monotonic_time();
  GHashTableIter iter;
  gpointer item;
  GPtrArray *tasks = g_ptr_array_new();
  g_hash_table_iter_init(&iter, broker->tasks);
  while (g_hash_table_iter_next(&iter, NULL, &item)) {
    Task *task = item;
    task->deaf = task->deaf && task->retry_at > now;
    g_ptr_array_add(tasks, task);
  }
  return tasks;
}

/* The task whose host is to be told its share next; NULL: all is well (invariant 1). */
static Task *next_locked(HfBroker *broker)
{
  g_autoptr(GPtrArray) tasks = list_locked(broker);
  share_out(tasks);
  Task *task = find_task(tasks, is_to_be_lowered);
  if (task != NULL)
    return task;
  admit_locked(broker, tasks);
  return find_task(tasks, is_to_be_raised);
}

static void note_failure_locked(HfBroker *broker, Task *task, const GError *why)
{
  if (task->state == TASK_UNKNOWN && hf_error_is(why, HF_ERROR_NOT_FOUND)) {
    if (g_hash_table_lookup(broker->tasks, task->id) == task)
      g_hash_table_remove(broker->tasks, task->id);
    return;
  }
  task->retry_seconds = CLAMP(task->retry_seconds * 2, RETRY_FIRST_SECONDS, RETRY_MOST_SECONDS);
  task->retry_at = g_get_monotonic_time() + task->retry_seconds * G_USEC_PER_SEC;
  task->deaf = TRUE;
  g_debug("task %s was not told its rate: %s", task->id, why->message);
}

/* Is it worth a line? Another rule, or half as much again. */
static gboolean is_news(const Task *task)
{
  return g_strcmp0(task->rule_name, task->noted_rule) != 0 || (task->told == ENDLESS) != (task->noted == ENDLESS) ||
    task->told / 3 > task->noted / 2 || task->noted / 3 > task->told / 2;
}

/* `lock` is released meanwhile; the caller holds the task. */
static void note_locked(HfBroker *broker, Task *task)
{
  if (!is_news(task) || broker->ops.note == NULL)
    return;
  g_free(task->noted_rule);
  task->noted_rule = g_strdup(task->rule_name);
  task->noted = task->told;
  g_autofree char *rule = g_strdup(task->rule_name);
  guint64 rate = task->told == ENDLESS ? 0 : task->told;
  g_mutex_unlock(&broker->lock);
  broker->ops.note(broker->ops.user, task->id, rule, rate);
  g_mutex_lock(&broker->lock);
}

/* `lock` is released meanwhile. */
static void tell_locked(HfBroker *broker, Task *found)
{
  g_autoptr(GError) why = NULL;
  Task *task = g_rc_box_acquire(found);
  guint64 share = task->share;
  g_mutex_unlock(&broker->lock);
  gboolean told = broker->ops.tell(broker->ops.user, task->host, task->id, share == ENDLESS ? 0 : share, &why);
  g_mutex_lock(&broker->lock);
  if (told) {
    task->state = TASK_TOLD;
    task->told = share;
    task->retry_seconds = 0;
    note_locked(broker, task);
  } else {
    note_failure_locked(broker, task, why);
  }
  task_unref(task);
}

/* Until something happens, a host is tried again, rules are read again, or a window opens or closes. */
static void wait_locked(HfBroker *broker)
{
  gint64 now = g_get_monotonic_time(), until = broker->reload_at;
  GHashTableIter iter;
  gpointer item;
  g_hash_table_iter_init(&iter, broker->tasks);
  while (g_hash_table_iter_next(&iter, NULL, &item)) {
    const Task *task = item;
    if (task->deaf && (until < 0 || task->retry_at < until))
      until = task->retry_at;
  }
  if (broker->boundary >= 0 && g_hash_table_size(broker->tasks) > 0) {
    gint64 left = CLAMP(broker->boundary - now_us(broker), 0, HF_BROKER_LOOK_SECONDS * G_USEC_PER_SEC);
    until = until < 0 ? now + left : MIN(until, now + left);
  }
  if (until < 0)
    g_cond_wait(&broker->changed, &broker->lock);
  else
    (void)g_cond_wait_until(&broker->changed, &broker->lock, until);
}

static gpointer broker_main(gpointer data)
{
  HfBroker *broker = data;
  g_mutex_lock(&broker->lock);
  while (!broker->ending) {
    broker->dirty = FALSE;
    refresh_locked(broker);
    Task *task = next_locked(broker);
    if (task != NULL)
      tell_locked(broker, task);
    else if (!broker->dirty && !broker->ending)
      wait_locked(broker);
  }
  g_mutex_unlock(&broker->lock);
  return NULL;
}

/* ---- Life. ---- */

HfBroker *hf_broker_new(const HfBrokerOps *ops)
{
  HfBroker *broker = g_new0(HfBroker, 1);
  broker->ops = *ops;
  g_mutex_init(&broker->lock);
  g_cond_init(&broker->changed);
  broker->rules = g_ptr_array_new_with_free_func((GDestroyNotify)hf_traffic_free);
  broker->boundary = -1;
  broker->reload_at = -1;
  broker->tasks = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, task_unref);
  broker->thread = g_thread_new("broker", broker_main, broker);
  return broker;
}

void hf_broker_freeze(HfBroker *broker)
{
  HF_LOCK(&broker->lock);
  broker->ending = TRUE;
  g_cond_broadcast(&broker->changed);
}

void hf_broker_end(HfBroker *broker)
{
  if (broker == NULL)
    return;
  hf_broker_freeze(broker);
  g_mutex_lock(&broker->lock);
  GThread *thread = g_steal_pointer(&broker->thread);
  g_mutex_unlock(&broker->lock);
  if (thread != NULL)
    g_thread_join(thread);
}

void hf_broker_free(HfBroker *broker)
{
  if (broker == NULL)
    return;
  hf_broker_end(broker);
  g_ptr_array_unref(broker->rules);
  g_hash_table_unref(broker->tasks);
  g_mutex_clear(&broker->lock);
  g_cond_clear(&broker->changed);
  g_free(broker);
}

/* ---- Tasks. ---- */

static Task *add_locked(HfBroker *broker, const HfBrokerTask *given, TaskState state)
{
  Task *task = g_rc_box_new0(Task);
  task->id = g_strdup(given->id);
  task->host = g_strdup(given->host_id);
  task->source = g_strdup(given->source);
  task->target = g_strdup(given->target);
  task->repository = g_strdup(given->repository_id);
  task->state = state;
  task->told = task->noted = ENDLESS;
  /* Rules are read with the first task, and from then on when they change. */
  if (g_hash_table_size(broker->tasks) == 0)
    broker->reload_at = 0;
  g_hash_table_replace(broker->tasks, task->id, task);
  GHashTableIter iter;
  gpointer item;
  g_hash_table_iter_init(&iter, broker->tasks);
  while (g_hash_table_iter_next(&iter, NULL, &item))
    if (g_strcmp0(((Task *)item)->repository, given->repository_id) == 0)
      ((Task *)item)->repository_rate = given->repository_rate;
  rouse_locked(broker);
  return task;
}

guint64 hf_broker_join(HfBroker *broker, const HfBrokerTask *given)
{
  gint64 until = g_get_monotonic_time() + JOIN_SECONDS * G_USEC_PER_SEC;
  g_mutex_lock(&broker->lock);
  Task *task = g_rc_box_acquire(add_locked(broker, given, TASK_NEW));
  while (task->state == TASK_NEW && !broker->ending && g_cond_wait_until(&broker->changed, &broker->lock, until))
    continue;
  if (task->state == TASK_NEW) {
    task->state = TASK_TOLD;
    task->told = HF_BROKER_LEAST;
    rouse_locked(broker);
  }
  note_locked(broker, task);
  guint64 rate = task->told == ENDLESS ? 0 : task->told;
  task_unref(task);
  g_mutex_unlock(&broker->lock);
  return rate;
}

void hf_broker_join_running(HfBroker *broker, const HfBrokerTask *given)
{
  HF_LOCK(&broker->lock);
  add_locked(broker, given, TASK_UNKNOWN);
}

void hf_broker_leave(HfBroker *broker, const char *id)
{
  HF_LOCK(&broker->lock);
  if (!broker->ending && g_hash_table_remove(broker->tasks, id))
    rouse_locked(broker);
}

void hf_broker_changed(HfBroker *broker)
{
  HF_LOCK(&broker->lock);
  broker->reload_at = 0;
  rouse_locked(broker);
}

void hf_broker_host(HfBroker *broker, const char *host_id)
{
  GHashTableIter iter;
  gpointer item;
  HF_LOCK(&broker->lock);
  g_hash_table_iter_init(&iter, broker->tasks);
  while (g_hash_table_iter_next(&iter, NULL, &item)) {
    Task *task = item;
    if (!task->deaf || !g_str_equal(task->host, host_id))
      continue;
    task->retry_at = 0;
    task->retry_seconds = 0;
    rouse_locked(broker);
  }
}

/* ---- Looking. ---- */

gboolean hf_broker_look(HfBroker *broker, const char *id, guint64 *rate, char **rule)
{
  HF_LOCK(&broker->lock);
  const Task *task = g_hash_table_lookup(broker->tasks, id);
  if (task == NULL || task->state != TASK_TOLD)
    return FALSE;
  *rate = task->told == ENDLESS ? 0 : task->told;
  *rule = g_strdup(task->rule_name);
  return TRUE;
}
