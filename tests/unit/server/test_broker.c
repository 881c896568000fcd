/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The broker of traffic over hosts that only keep what they are told, and check at each step that no limit is passed. */
#include <string.h>

#include "base/error.h"
#include "server/jobs/broker.h"

#define ENDLESS G_MAXUINT64
#define MEGA 1000000u

/* ---- A world: rules, a clock, and hosts that know rates. ---- */

typedef struct Known {
  guint64 rate; /* ENDLESS: no limit */
  guint number; /* of times it was told */
} Known;

typedef struct World {
  GMutex lock;
  GPtrArray *rules; /* of HfTrafficRow* */
  GHashTable *known; /* task -> Known */
  GHashTable *deaf; /* hosts that do not answer */
  gint64 now;
  guint tells, loads, notes;
  guint64 limit; /* of all tasks together, checked at each telling; 0: not */
  guint64 most;  /* that all tasks had at a time */
  gboolean broken;
  char *last_note;
  HfBroker *broker;
} World;

static void rule_free(gpointer rule)
{
  hf_traffic_free(rule);
}

static HfTrafficRow *rule_copy(const HfTrafficRow *row)
{
  HfTrafficRow *copy = g_new0(HfTrafficRow, 1);
  *copy = *row;
  copy->id = g_strdup(row->id);
  copy->name = g_strdup(row->name);
  copy->source_first = g_strdup(row->source_first);
  copy->source_last = g_strdup(row->source_last);
  copy->target_first = g_strdup(row->target_first);
  copy->target_last = g_strdup(row->target_last);
  copy->throttling_unit = g_strdup(row->throttling_unit);
  copy->windows = g_strdup(row->windows);
  return copy;
}

static GPtrArray *world_rules(gpointer user, GError **error)
{
  World *world = user;
  g_autoptr(GMutexLocker) hold = g_mutex_locker_new(&world->lock);
  world->loads++;
  if (world->broken) {
    hf_fail(error, HF_ERROR_IO, "the database is gone");
    return NULL;
  }
  GPtrArray *copies = g_ptr_array_new_with_free_func(rule_free);
  for (guint i = 0; i < world->rules->len; i++)
    g_ptr_array_add(copies, rule_copy(world->rules->pdata[i]));
  return copies;
}

static void set_known(World *world, const char *task, guint64 rate)
{
  Known *known = g_hash_table_lookup(world->known, task);
  if (known == NULL)
    g_hash_table_insert(world->known, g_strdup(task), known = g_new0(Known, 1));
  known->rate = rate == 0 ? ENDLESS : rate;
  known->number++;
  guint64 sum = 0;
  GHashTableIter iter;
  gpointer item;
  g_hash_table_iter_init(&iter, world->known);
  while (g_hash_table_iter_next(&iter, NULL, &item))
    sum += ((Known *)item)->rate == ENDLESS ? 0 : ((Known *)item)->rate;
  world->most = MAX(world->most, sum);
  if (world->limit > 0)
    g_assert_cmpuint(sum, <=, world->limit);
}

static gboolean world_tell(gpointer user, const char *host, const char *task, guint64 rate, GError **error)
{
  World *world = user;
  g_autoptr(GMutexLocker) hold = g_mutex_locker_new(&world->lock);
  world->tells++;
  if (g_hash_table_contains(world->deaf, host))
    return hf_fail(error, HF_ERROR_IO, "host '%s' does not answer", host);
  if (!g_hash_table_contains(world->known, task))
    return hf_fail(error, HF_ERROR_NOT_FOUND, "there is no task '%s'", task);
  set_known(world, task, rate);
  return TRUE;
}

static void world_note(gpointer user, const char *task, const char *rule, guint64 rate)
{
  World *world = user;
  g_autoptr(GMutexLocker) hold = g_mutex_locker_new(&world->lock);
  world->notes++;
  g_free(world->last_note);
  world->last_note = g_strdup_printf("%s %s %" G_GUINT64_FORMAT, task, rule != NULL ? rule : "-", rate);
}

static gint64 world_now(gpointer user)
{
  World *world = user;
  g_autoptr(GMutexLocker) hold = g_mutex_locker_new(&world->lock);
  return world->now + (world->now == 0 ? 0 : g_get_monotonic_time());
}

static void world_open(World *world, GTimeZone *zone)
{
  memset(world, 0, sizeof *world);
  g_mutex_init(&world->lock);
  world->rules = g_ptr_array_new_with_free_func(rule_free);
  world->known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
  world->deaf = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  const HfBrokerOps ops = { .user = world, .rules = world_rules, .tell = world_tell, .note = world_note,
                            .now = world_now, .zone = zone };
  world->broker = hf_broker_new(&ops);
}

static void world_close(World *world)
{
  hf_broker_free(world->broker);
  g_ptr_array_unref(world->rules);
  g_hash_table_unref(world->known);
  g_hash_table_unref(world->deaf);
  g_free(world->last_note);
  g_mutex_clear(&world->lock);
}

/* A rule between two ranges of addresses, in bytes a second (of whole KiB); `windows` NULL: always. */
static void add_rule(World *world, const char *name, const char *source[2], const char *target[2], guint64 rate,
                     const char *windows)
{
  HfTrafficRow *row = g_new0(HfTrafficRow, 1);
  row->id = g_uuid_string_random();
  row->name = g_strdup(name);
  row->source_first = g_strdup(source[0]);
  row->source_last = g_strdup(source[1]);
  row->target_first = g_strdup(target[0]);
  row->target_last = g_strdup(target[1]);
  row->throttling = rate > 0;
  row->throttling_value = (gint64)(rate / 1024);
  row->throttling_unit = g_strdup("KbytePerSec");
  row->window_enabled = windows != NULL;
  row->windows = g_strdup(windows != NULL ? windows : "{}");
  g_autoptr(GMutexLocker) hold = g_mutex_locker_new(&world->lock);
  g_ptr_array_add(world->rules, row);
}

static const char *near[2] = { "10.1.0.0", "10.1.255.255" }, *far[2] = { "10.2.0.0", "10.2.255.255" };

static void clear_rules(World *world)
{
  g_autoptr(GMutexLocker) hold = g_mutex_locker_new(&world->lock);
  g_ptr_array_set_size(world->rules, 0);
}

static guint64 join_at(World *world, const char *id, const char *source, const char *target, const char *repository,
                       guint64 repository_rate)
{
  const HfBrokerTask task = { id, id, source, target, repository, repository_rate };
  guint64 rate = hf_broker_join(world->broker, &task);
  g_autoptr(GMutexLocker) hold = g_mutex_locker_new(&world->lock);
  set_known(world, id, rate);
  return rate;
}

static guint64 join(World *world, const char *id)
{
  return join_at(world, id, "10.1.0.9", "10.2.0.9", "r", 0);
}

static void leave(World *world, const char *id)
{
  g_mutex_lock(&world->lock);
  g_hash_table_remove(world->known, id);
  g_mutex_unlock(&world->lock);
  hf_broker_leave(world->broker, id);
}

static guint64 knows(World *world, const char *id)
{
  g_autoptr(GMutexLocker) hold = g_mutex_locker_new(&world->lock);
  const Known *known = g_hash_table_lookup(world->known, id);
  g_assert_nonnull(known);
  return known->rate == ENDLESS ? 0 : known->rate;
}

/* The broker's thread tells at any moment. */
static guint tells_of(World *world)
{
  g_autoptr(GMutexLocker) hold = g_mutex_locker_new(&world->lock);
  return world->tells;
}

static guint64 most_of(World *world)
{
  g_autoptr(GMutexLocker) hold = g_mutex_locker_new(&world->lock);
  return world->most;
}

static void limit_to(World *world, guint64 limit)
{
  g_autoptr(GMutexLocker) hold = g_mutex_locker_new(&world->lock);
  world->limit = limit;
}

/* Until the task knows that rate. */
static void await(World *world, const char *id, guint64 rate)
{
  for (guint i = 0; i < 10000 && knows(world, id) != rate; i++)
    g_usleep(1000);
  g_assert_cmpuint(knows(world, id), ==, rate);
}

/* ---- Shares. ---- */

static void test_shares(void)
{
  World world;
  world_open(&world, NULL);
  add_rule(&world, "far", near, far, 1024 * 1024, NULL);
  limit_to(&world, 1024 * 1024);
  g_assert_cmpuint(join(&world, "a"), ==, 1024 * 1024);
  g_assert_cmpuint(join(&world, "b"), ==, 512 * 1024);
  g_assert_cmpuint(knows(&world, "a"), ==, 512 * 1024); /* before the other began */
  g_assert_cmpuint(join_at(&world, "c", "10.2.0.1", "10.1.0.1", "r", 0), ==, 1024 * 1024 / 3); /* the other way */
  g_assert_cmpuint(knows(&world, "b"), ==, 1024 * 1024 / 3);

  /* Those whom it does not concern. */
  limit_to(&world, 0);
  g_assert_cmpuint(join_at(&world, "x", "10.3.0.1", "10.2.0.9", "r", 0), ==, 0);
  g_assert_cmpuint(join_at(&world, "local", NULL, NULL, "r", 0), ==, 0);
  g_assert_cmpuint(join_at(&world, "name", "web1.example.org", "10.2.0.9", "r", 0), ==, 0);
  leave(&world, "x");
  leave(&world, "local");
  leave(&world, "name");
  leave(&world, "nobody");

  guint64 rate;
  g_autofree char *rule = NULL;
  g_assert_true(hf_broker_look(world.broker, "a", &rate, &rule));
  g_assert_cmpuint(rate, ==, 1024 * 1024 / 3);
  g_assert_cmpstr(rule, ==, "far");
  g_assert_false(hf_broker_look(world.broker, "x", &rate, &rule));

  /* The rest is had by who is left. */
  leave(&world, "c");
  await(&world, "a", 512 * 1024);
  await(&world, "b", 512 * 1024);
  leave(&world, "a");
  await(&world, "b", 1024 * 1024);

  /* A rule that goes, comes, and changes while a task runs. */
  clear_rules(&world);
  hf_broker_changed(world.broker);
  await(&world, "b", 0);
  add_rule(&world, "slow", near, far, 2048, NULL);
  hf_broker_changed(world.broker);
  await(&world, "b", HF_BROKER_LEAST);
  guint tells = tells_of(&world);
  hf_broker_changed(world.broker);
  g_assert_cmpuint(join_at(&world, "x", "10.3.0.1", "10.2.0.9", "r", 0), ==, 0);
  g_usleep(20000);
  g_assert_cmpuint(tells_of(&world), ==, tells); /* nobody is told what he knows */
  world_close(&world);
}

/* What a task cannot have because of its repository is had by the others; repositories have one limit for all. */
static void test_two_limits(void)
{
  World world;
  world_open(&world, NULL);
  add_rule(&world, "far", near, far, 9 * 1024 * 1024, NULL);
  g_assert_cmpuint(join_at(&world, "a", "10.1.0.1", "10.2.0.1", "small", MEGA), ==, MEGA);
  g_assert_cmpuint(join_at(&world, "b", "10.1.0.2", "10.2.0.1", "small", MEGA), ==, MEGA / 2);
  g_assert_cmpuint(join_at(&world, "c", "10.1.0.3", "10.2.0.2", "large", 0), ==, 9 * 1024 * 1024 - MEGA);
  /* Its limit is of all tasks, as whoever joined last found it. */
  g_assert_cmpuint(join_at(&world, "d", NULL, NULL, "small", 3 * MEGA), ==, MEGA);
  await(&world, "a", MEGA);
  await(&world, "b", MEGA);
  await(&world, "c", 9 * 1024 * 1024 - 2 * MEGA);
  world_close(&world);
}

/* Many tasks come and go, on many threads and under three rules: at no moment does anybody have too much. */
typedef struct Crowd {
  World *world;
  guint first;
} Crowd;

static gpointer crowd_main(gpointer data)
{
  const Crowd *crowd = data;
  for (guint round = 0; round < 12; round++) {
    g_autofree char *id = g_strdup_printf("task-%u", crowd->first + round % 3);
    g_assert_cmpuint(join(crowd->world, id), >, 0);
    g_usleep(500);
    leave(crowd->world, id);
  }
  return NULL;
}

static void test_many(void)
{
  const guint64 limit = 100 * 1024 * 1024;
  World world;
  Crowd crowds[8];
  GThread *threads[8];
  world_open(&world, NULL);
  add_rule(&world, "v6", (const char *[]){ "2001:db8:1::", "2001:db8:1:ffff::" },
           (const char *[]){ "2001:db8:2::", "2001:db8:2:ffff::" }, MEGA, NULL);
  add_rule(&world, "far", near, far, 100 * 1024 * 1024, NULL);
  limit_to(&world, limit);
  for (guint i = 0; i < 100; i++) {
    g_autofree char *id = g_strdup_printf("stays-%u", i);
    join(&world, id);
  }
  g_assert_cmpuint(knows(&world, "stays-0"), ==, 1024 * 1024);
  for (guint i = 0; i < G_N_ELEMENTS(threads); i++) {
    crowds[i] = (Crowd){ &world, i * 10 };
    threads[i] = g_thread_new("crowd", crowd_main, &crowds[i]);
  }
  for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
    g_thread_join(threads[i]);
  await(&world, "stays-0", 1024 * 1024);
  await(&world, "stays-99", 1024 * 1024);
  g_assert_cmpuint(most_of(&world), <=, limit);
  g_assert_cmpuint(most_of(&world), >=, limit - 1024);
  world_close(&world);
}

static void test_version_6(void)
{
  World world;
  world_open(&world, NULL);
  add_rule(&world, "v6", (const char *[]){ "2001:db8:1::", "2001:db8:1:ffff:ffff:ffff:ffff:ffff" },
           (const char *[]){ "2001:db8:2::", "2001:db8:2:ffff:ffff:ffff:ffff:ffff" }, 1024 * 1024, NULL);
  g_assert_cmpuint(join_at(&world, "a", "2001:db8:1::7", "2001:db8:2::7", "r", 0), ==, 1024 * 1024);
  g_assert_cmpuint(join_at(&world, "b", "2001:db8:3::7", "2001:db8:2::7", "r", 0), ==, 0);
  g_assert_cmpuint(join_at(&world, "c", "10.1.0.1", "10.2.0.1", "r", 0), ==, 0);
  world_close(&world);
}

/* ---- Windows. ---- */

/* Microseconds since 1970 of a moment in a zone. */
static gint64 moment(GTimeZone *zone, int year, int month, int day, int hour, int minute, double second)
{
  g_autoptr(GDateTime) time = g_date_time_new(zone, year, month, day, hour, minute, second);
  return g_date_time_to_unix(time) * G_USEC_PER_SEC + g_date_time_get_microsecond(time);
}

static void set_clock(World *world, gint64 now)
{
  g_autoptr(GMutexLocker) hold = g_mutex_locker_new(&world->lock);
  world->now = now - g_get_monotonic_time();
}

#define DAY(name, hours) "{\"day\": \"" name "\", \"hours\": \"" hours "\"}"
#define ALL_DAYS(h)                                                                                             \
  "{\"days\": [" DAY("Monday", h) "," DAY("Tuesday", h) "," DAY("Wednesday", h) "," DAY("Thursday", h) ","      \
  DAY("Friday", h) "," DAY("Saturday", h) "," DAY("Sunday", h) "]}"
#define NIGHT ALL_DAYS("1,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1,1") /* 22 to 2 */

/* A window that opens at 22 and closes at 2, in Kathmandu (a zone of quarters): at its time, by the zone's clock, and
 * over midnight without a word. */
static void test_window(void)
{
  World world;
  g_autoptr(GTimeZone) zone = g_time_zone_new_identifier("Asia/Kathmandu");
  g_assert_nonnull(zone);
  world_open(&world, zone);
  add_rule(&world, "night", near, far, 1024 * 1024, NIGHT);
  set_clock(&world, moment(zone, 2026, 11, 20, 21, 59, 59.6));
  g_assert_cmpuint(join(&world, "a"), ==, 0);
  await(&world, "a", 1024 * 1024); /* by itself, at 22:00 */
  g_assert_cmpint(world_now(&world), >=, moment(zone, 2026, 11, 20, 22, 0, 0));
  g_assert_cmpint(world_now(&world), <=, moment(zone, 2026, 11, 20, 22, 0, 8));
  guint tells = tells_of(&world);
  set_clock(&world, moment(zone, 2026, 11, 20, 23, 59, 59.9));
  hf_broker_changed(world.broker);
  g_usleep(300000);
  g_assert_cmpint(world_now(&world), >=, moment(zone, 2026, 11, 21, 0, 0, 0));
  g_assert_cmpuint(knows(&world, "a"), ==, 1024 * 1024);
  g_assert_cmpuint(tells_of(&world), ==, tells);
  set_clock(&world, moment(zone, 2026, 11, 21, 1, 59, 59.7));
  hf_broker_changed(world.broker);
  await(&world, "a", 0);
  g_assert_cmpint(world_now(&world), >=, moment(zone, 2026, 11, 21, 2, 0, 0));
  world_close(&world);
}

/* The night on which clocks go back in Berlin has the hour from 2 to 3 twice: closed both times. */
static void test_clock_change(void)
{
  World world;
  g_autoptr(GTimeZone) zone = g_time_zone_new_identifier("Europe/Berlin");
  world_open(&world, zone);
  add_rule(&world, "night", near, far, 1024 * 1024, NIGHT);
  gint64 two = moment(zone, 2026, 10, 25, 1, 59, 59.8);
  set_clock(&world, two);
  g_assert_cmpuint(join(&world, "a"), ==, 1024 * 1024);
  await(&world, "a", 0);
  guint tells = tells_of(&world);
  set_clock(&world, two + G_GINT64_CONSTANT(3600) * G_USEC_PER_SEC); /* 2:59:59.8 of the first, then 2:00 again */
  hf_broker_changed(world.broker);
  g_usleep(400000);
  g_assert_cmpuint(tells_of(&world), ==, tells);
  world_close(&world);
}

/* ---- Hosts that do not answer. ---- */

static void set_deaf(World *world, const char *host, gboolean deaf)
{
  g_autoptr(GMutexLocker) hold = g_mutex_locker_new(&world->lock);
  if (deaf)
    g_hash_table_add(world->deaf, g_strdup(host));
  else
    g_hash_table_remove(world->deaf, host);
}

static void test_deaf(void)
{
  World world;
  world_open(&world, NULL);
  add_rule(&world, "far", near, far, 1024 * 1024, NULL);
  limit_to(&world, 1024 * 1024);
  g_assert_cmpuint(join(&world, "a"), ==, 1024 * 1024);
  g_assert_cmpuint(join(&world, "b"), ==, 512 * 1024);
  set_deaf(&world, "a", TRUE);
  /* It keeps its half; the others share the other one. */
  g_assert_cmpuint(join(&world, "c"), ==, 256 * 1024);
  g_assert_cmpuint(knows(&world, "a"), ==, 512 * 1024);
  g_assert_cmpuint(knows(&world, "b"), ==, 256 * 1024);
  /* Once it answers, all is evened out, at once. */
  set_deaf(&world, "a", FALSE);
  hf_broker_host(world.broker, "b"); /* nobody's matter */
  gint64 begun = g_get_monotonic_time();
  hf_broker_host(world.broker, "a");
  await(&world, "b", 1024 * 1024 / 3);
  g_assert_cmpint(g_get_monotonic_time() - begun, <, G_USEC_PER_SEC);
  g_assert_cmpuint(knows(&world, "a"), ==, 1024 * 1024 / 3);
  /* Tried again by itself. */
  set_deaf(&world, "b", TRUE);
  leave(&world, "a");
  await(&world, "c", 1024 * 1024 - 1024 * 1024 / 3);
  set_deaf(&world, "b", FALSE);
  await(&world, "b", 512 * 1024);
  world_close(&world);
}

/* A server that comes back: tasks that run are told, those that ended meanwhile are not counted. */
static void test_running(void)
{
  World world;
  world_open(&world, NULL);
  add_rule(&world, "far", near, far, 1024 * 1024, NULL);
  const HfBrokerTask one = { "one", "one", "10.1.0.1", "10.2.0.1", "r", 0 },
                     away = { "away", "away", "10.1.0.1", "10.2.0.1", "r", 0 },
                     over = { "over", "over", "10.1.0.1", "10.2.0.1", "r", 0 };
  g_mutex_lock(&world.lock);
  set_known(&world, "one", 0);
  set_known(&world, "away", 0);
  g_mutex_unlock(&world.lock);
  set_deaf(&world, "away", TRUE);
  hf_broker_join_running(world.broker, &one);
  hf_broker_join_running(world.broker, &away);
  hf_broker_join_running(world.broker, &over);
  await(&world, "one", 512 * 1024);
  guint64 rate;
  g_autofree char *rule = NULL;
  g_assert_false(hf_broker_look(world.broker, "away", &rate, &rule));
  set_deaf(&world, "away", FALSE);
  hf_broker_host(world.broker, "away");
  await(&world, "away", 512 * 1024);
  world_close(&world);
}

/* ---- The end, and rules that cannot be read. ---- */

static void test_frozen(void)
{
  World world;
  world_open(&world, NULL);
  add_rule(&world, "far", near, far, 1024 * 1024, NULL);
  join(&world, "a");
  join(&world, "b");
  hf_broker_end(world.broker);
  guint tells = tells_of(&world);
  hf_broker_leave(world.broker, "a");
  hf_broker_changed(world.broker);
  g_usleep(20000);
  g_assert_cmpuint(tells_of(&world), ==, tells);
  g_assert_cmpuint(knows(&world, "b"), ==, 512 * 1024);
  const HfBrokerTask late = { "late", "late", "10.1.0.1", "10.2.0.1", "r", 0 };
  g_assert_cmpuint(hf_broker_join(world.broker, &late), ==, HF_BROKER_LEAST);
  hf_broker_end(world.broker);
  world_close(&world);
  hf_broker_end(NULL);
  hf_broker_free(NULL);
}

static void test_rules_lost(void)
{
  World world;
  world_open(&world, NULL);
  add_rule(&world, "far", near, far, 1024 * 1024, NULL);
  g_assert_cmpuint(join(&world, "a"), ==, 1024 * 1024);
  g_test_expect_message(NULL, G_LOG_LEVEL_WARNING, "*stay as they were*the database is gone*");
  g_mutex_lock(&world.lock);
  world.broken = TRUE;
  guint loads = world.loads;
  g_mutex_unlock(&world.lock);
  hf_broker_changed(world.broker);
  g_assert_cmpuint(join(&world, "b"), ==, 512 * 1024);
  for (guint i = 0; i < 1000 && world.loads == loads; i++)
    g_usleep(1000);
  clear_rules(&world);
  g_mutex_lock(&world.lock);
  world.broken = FALSE;
  g_mutex_unlock(&world.lock);
  await(&world, "b", 0); /* read again by itself */
  g_test_assert_expected_messages();
  world_close(&world);
}

/* People hear of another rule and of much other rates, not of every little change. */
static void test_notes(void)
{
  World world;
  world_open(&world, NULL);
  add_rule(&world, "far", near, far, 1200 * 1024, NULL);
  join(&world, "a");
  g_assert_cmpuint(world.notes, ==, 1);
  g_assert_cmpstr(world.last_note, ==, "a far 1228800");
  join(&world, "b");
  g_assert_cmpuint(world.notes, ==, 3);
  join(&world, "c"); /* half to a third: its own line only, once more for who had less than two thirds */
  g_assert_cmpstr(world.last_note, ==, "c far 409600");
  guint notes = world.notes;
  join(&world, "d");
  g_assert_cmpuint(world.notes, <=, notes + 3);
  leave(&world, "b");
  leave(&world, "c");
  leave(&world, "d");
  clear_rules(&world);
  hf_broker_changed(world.broker);
  await(&world, "a", 0);
  for (guint i = 0; i < 1000 && g_strcmp0(world.last_note, "a - 0") != 0; i++)
    g_usleep(1000);
  g_assert_cmpstr(world.last_note, ==, "a - 0");
  world_close(&world);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/server/broker/shares", test_shares);
  g_test_add_func("/server/broker/two-limits", test_two_limits);
  g_test_add_func("/server/broker/many", test_many);
  g_test_add_func("/server/broker/version-6", test_version_6);
  g_test_add_func("/server/broker/window", test_window);
  g_test_add_func("/server/broker/clock-change", test_clock_change);
  g_test_add_func("/server/broker/deaf", test_deaf);
  g_test_add_func("/server/broker/running", test_running);
  g_test_add_func("/server/broker/frozen", test_frozen);
  g_test_add_func("/server/broker/rules-lost", test_rules_lost);
  g_test_add_func("/server/broker/notes", test_notes);
  return g_test_run();
}
