/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Others' sessions: who is dead, who is fenced, what is cleared away. */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "repo/objects.h"
#include "repo/points.h"
#include "repo/sessionstate.h"
#include "repolab.h"

#define BEAT_MS "20"
#define DAY_NS (86400 * G_GINT64_CONSTANT(1000000000))

static guint count_names(Lab *lab, const char *prefix)
{
  g_autoptr(GPtrArray) names = lab_names(lab, prefix);
  return names->len;
}

static void put_part(Lab *lab, const HfShortId *session, const char *part, GBytes *record)
{
  char name[HF_NAME_BYTES];
  hf_name_session(name, session, part);
  lab_put(lab, name, record != NULL ? g_bytes_get_data(record, NULL) : "",
          record != NULL ? g_bytes_get_size(record) : 0);
}

static gboolean has_part(Lab *lab, const HfShortId *session, const char *part)
{
  char name[HF_NAME_BYTES];
  hf_name_session(name, session, part);
  return lab_has(lab, name);
}

/* The open record of a session of this process; `change` makes it somebody else's. */
typedef void (*Change)(HfSessionOpen *open);

static HfShortId make_session(Lab *lab, Change change)
{
  HfSessionOpen open = { .purpose = HF_PURPOSE_READ, .started = 1 };
  hf_process_identity(&open);
  hf_random(open.id.b, sizeof open.id.b);
  if (change != NULL)
    change(&open);
  g_autoptr(GBytes) record = hf_session_open_encode(&open);
  put_part(lab, &open.id, "open", record);
  return open.id;
}

static void put_outcome(Lab *lab, const HfShortId *session, HfOutcomeState state, GBytes *point)
{
  g_autoptr(GBytes) record = hf_outcome_encode(state, point);
  put_part(lab, session, "outcome", record);
}

static void other_boot(HfSessionOpen *open)
{
  open->boot.b[0] ^= 1;
}

static void other_namespace(HfSessionOpen *open)
{
  open->pid_namespace++;
}

static void other_start(HfSessionOpen *open)
{
  open->pid_start--;
}

static void no_pid(HfSessionOpen *open)
{
  open->pid = 0;
}

static void huge_pid(HfSessionOpen *open)
{
  open->pid = 0xffffffff;
}

static void unused_pid(HfSessionOpen *open)
{
  open->pid = 0x7ffffffe;
}

/* ---- Processes. ---- */

static void test_identity(void)
{
  HfSessionOpen a = { 0 }, b = { 0 };
  hf_process_identity(&a);
  hf_process_identity(&b);
  g_assert_cmpmem(&a, sizeof a, &b, sizeof b);
  g_assert_cmpuint(a.pid, ==, (guint)getpid());
  g_assert_cmpuint(a.pid_start, >, 0);
  g_assert_cmpuint(a.pid_namespace, >, 0);
  HfShortId zeros = { { 0 } };
  g_assert_false(hf_short_id_equal(&a.boot, &zeros));
  g_assert_false(hf_process_is_gone(&a));
  b = a;
  other_start(&b);
  g_assert_true(hf_process_is_gone(&b));
  b = a;
  unused_pid(&b);
  g_assert_true(hf_process_is_gone(&b));
  /* Of these we know nothing. */
  static const Change unknown[] = { other_boot, other_namespace, no_pid, huge_pid };
  for (guint i = 0; i < G_N_ELEMENTS(unknown); i++) {
    b = a;
    unknown[i](&b);
    unused_pid(&b);
    if (i >= 2)
      unknown[i](&b);
    g_assert_false(hf_process_is_gone(&b));
  }
}

/* A child that ended and was not waited for is gone, too. */
static void test_zombie(void)
{
  int pipes[2];
  g_assert_cmpint(pipe(pipes), ==, 0);
  pid_t pid = fork();
  if (pid == 0) {
    HfSessionOpen open = { 0 };
    hf_process_identity(&open);
    _exit(write(pipes[1], &open, sizeof open) == sizeof open ? 0 : 1);
  }
  HfSessionOpen open;
  g_assert_cmpint(read(pipes[0], &open, sizeof open), ==, sizeof open);
  close(pipes[0]);
  close(pipes[1]);
  g_assert_cmpuint(open.pid, ==, (guint)pid);
  gboolean gone = FALSE;
  for (guint i = 0; i < 500 && !gone; i++) {
    g_usleep(2000);
    gone = hf_process_is_gone(&open);
  }
  g_assert_true(gone);
  g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
  g_assert_true(hf_process_is_gone(&open));
}

/* ---- Listing. ---- */

static const HfSessionInfo *find_info(const GPtrArray *infos, const HfShortId *id)
{
  for (guint i = 0; i < infos->len; i++)
    if (hf_short_id_equal(&((HfSessionInfo *)g_ptr_array_index(infos, i))->open.id, id))
      return g_ptr_array_index(infos, i);
  g_assert_not_reached();
}

static void test_list(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  g_autoptr(HfRepo) repo = lab_open_full(lab);
  g_autoptr(GError) error = NULL;
  HfShortId alive = make_session(lab, NULL), dead = make_session(lab, other_start), far = make_session(lab, other_boot);
  HfShortId damaged = make_session(lab, NULL), nothing = { { 0xee } };
  put_part(lab, &far, "beat.7", NULL);
  put_part(lab, &far, "beat.11", NULL);
  put_part(lab, &far, "checkpoint.3", NULL);
  put_part(lab, &nothing, "beat.1", NULL);
  put_part(lab, &nothing, "unknown", NULL);
  put_outcome(lab, &dead, HF_OUTCOME_ENDED, NULL);
  put_part(lab, &alive, "outcome", NULL);
  char name[HF_NAME_BYTES];
  hf_name_session(name, &damaged, "open");
  lab_flip(lab, name, 20);
  lab_put(lab, "sessions/nonsense/open", "", 0);
  lab_put(lab, "sessions/stray", "", 0);

  g_autoptr(GPtrArray) infos = hf_sessions_list(repo, NULL, &error);
  g_assert_no_error(error);
  g_assert_cmpuint(infos->len, ==, 5);
  const HfSessionInfo *info = find_info(infos, &alive);
  g_assert_true(info->opened && info->has_outcome && !info->dead_here);
  g_assert_cmpint(info->state, ==, 0);
  info = find_info(infos, &dead);
  g_assert_true(info->dead_here);
  g_assert_cmpint(info->state, ==, HF_OUTCOME_ENDED);
  info = find_info(infos, &far);
  g_assert_true(!info->dead_here && !info->has_checkpoint);
  g_assert_cmpuint(info->beat, ==, 11);
  info = find_info(infos, &damaged);
  /* It may be at work all the same. */
  g_assert_true(info->opened && !info->dead_here);
  g_assert_cmpuint(info->open.purpose, ==, 0);
  info = find_info(infos, &nothing);
  g_assert_true(!info->opened && !info->has_outcome);
  g_assert_cmpuint(info->beat, ==, 1);

  Fault fault = { .strike = 0, .code = HF_ERROR_IO };
  g_autoptr(HfRepo) failing = lab_open(lab, lab_hooked(lab, fault_hook, &fault), NULL);
  fault.strike = fault.calls + 1;
  g_assert_null(hf_sessions_list(failing, NULL, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_IO);
}

/* ---- Settling. ---- */

static GArray *ids_of(const HfShortId *ids, guint count)
{
  GArray *array = g_array_new(FALSE, FALSE, sizeof(HfShortId));
  g_array_append_vals(array, ids, count);
  return array;
}

static HfOutcomeState state_of(Lab *lab, const HfShortId *session)
{
  HfOutcomeState state;
  g_autoptr(GBytes) point = NULL;
  char name[HF_NAME_BYTES];
  hf_name_session(name, session, "outcome");
  if (!lab_has(lab, name))
    return (HfOutcomeState)0;
  g_autoptr(GBytes) record = lab_get(lab, name);
  g_assert_true(hf_outcome_decode(record, &state, &point, NULL));
  return state;
}

static void test_settle(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  g_autoptr(HfRepo) repo = lab_open_full(lab);
  g_autoptr(GError) error = NULL;
  HfShortId sessions[] = {
    make_session(lab, NULL),        /* alive */
    make_session(lab, other_start), /* dead */
    make_session(lab, other_boot),  /* far, and silent */
    make_session(lab, NULL),        /* ended */
    { { 1 } },                      /* gone */
    { { 2 } },                      /* leftovers of a fenced one */
    make_session(lab, other_start), /* its open object is damaged: only beats tell */
  };
  put_outcome(lab, &sessions[3], HF_OUTCOME_ENDED, NULL);
  put_part(lab, &sessions[5], "beat.4", NULL);
  char name[HF_NAME_BYTES];
  hf_name_session(name, &sessions[6], "open");
  lab_flip(lab, name, 20);
  g_autoptr(GArray) ids = ids_of(sessions, G_N_ELEMENTS(sessions));
  g_assert_true(hf_sessions_settle(repo, ids, 0, &error));
  g_assert_cmpuint(ids->len, ==, 3);
  g_assert_cmpint(state_of(lab, &sessions[1]), ==, HF_OUTCOME_FENCED);
  g_assert_cmpint(state_of(lab, &sessions[0]), ==, 0);
  g_assert_cmpint(state_of(lab, &sessions[2]), ==, 0);
  g_assert_cmpint(state_of(lab, &sessions[6]), ==, 0);
  /* With patience the silent ones are dead: also the one whose process lives, but does not beat. */
  g_assert_true(hf_sessions_settle(repo, ids, 5, &error));
  g_assert_cmpuint(ids->len, ==, 0);
  g_assert_cmpint(state_of(lab, &sessions[0]), ==, HF_OUTCOME_FENCED);
  g_assert_cmpint(state_of(lab, &sessions[2]), ==, HF_OUTCOME_FENCED);
  g_assert_cmpint(state_of(lab, &sessions[6]), ==, HF_OUTCOME_FENCED);
}

/* Who beats is at work, however long one watches. */
static void test_settle_beating(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  g_autoptr(HfRepo) repo = lab_open_full(lab);
  g_autoptr(GError) error = NULL;
  g_setenv("HOLDFAST_TEST_BEAT_MS", "300", TRUE);
  g_autoptr(HfSession) session = hf_session_open(repo, HF_PURPOSE_BACKUP, &error);
  g_autoptr(GArray) ids = ids_of(hf_session_id(session), 1);
  g_assert_true(hf_sessions_settle(repo, ids, 2, &error));
  g_assert_cmpuint(ids->len, ==, 1);
  g_assert_true(hf_session_check(session, &error));
  g_setenv("HOLDFAST_TEST_BEAT_MS", BEAT_MS, TRUE);
}

static void test_settle_ends(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  HfCancel cancel = { 0 };
  HfRepoOptions options = { .report = lab->report, .cancel = &cancel };
  g_autoptr(GError) error = NULL;
  g_autoptr(HfRepo) repo = hf_repo_open(lab_store(lab), &options, &error);
  HfShortId session = make_session(lab, NULL);
  g_autoptr(GArray) ids = ids_of(&session, 1);
  hf_cancel_set(&cancel);
  g_assert_false(hf_sessions_settle(repo, ids, 60, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_CANCELLED);
}

/* A fence that meets an outcome obeys it; one that cannot be put is an error. */
static int outcome_first(gboolean before, HookOp op, const char *name, gpointer user)
{
  Lab *lab = user;
  if (before && op == HOOK_PUT && strstr(name, "/outcome") != NULL) {
    g_autoptr(GBytes) ended = hf_outcome_encode(HF_OUTCOME_ENDED, NULL);
    lab_put(lab, name, g_bytes_get_data(ended, NULL), g_bytes_get_size(ended));
  }
  return 0;
}

static void test_settle_second(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  g_autoptr(HfRepo) repo = lab_open(lab, lab_hooked(lab, outcome_first, lab), NULL);
  g_autoptr(GError) error = NULL;
  HfShortId session = make_session(lab, other_start);
  g_autoptr(GArray) ids = ids_of(&session, 1);
  g_assert_true(hf_sessions_settle(repo, ids, 0, &error));
  g_assert_cmpuint(ids->len, ==, 0);
  g_assert_cmpint(state_of(lab, &session), ==, HF_OUTCOME_ENDED);
}

static void test_settle_faults(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  Fault fault = { .code = HF_ERROR_IO };
  g_autoptr(HfRepo) repo = lab_open(lab, lab_hooked(lab, fault_hook, &fault), NULL);
  guint failed = 0;
  gboolean more = TRUE;
  for (guint strike = 1; more; strike++) {
    HfShortId sessions[] = { make_session(lab, other_start), make_session(lab, other_start) };
    g_autoptr(GArray) ids = ids_of(sessions, 2);
    g_autoptr(GError) error = NULL;
    guint start = fault.calls;
    fault.strike = start + strike;
    gboolean done = hf_sessions_settle(repo, ids, 0, &error);
    g_assert_true(done == (error == NULL));
    failed += !done;
    more = fault.calls >= start + strike;
    /* What is no longer named is decided. */
    for (guint i = 0; i < 2; i++) {
      gboolean named = FALSE;
      for (guint j = 0; j < ids->len; j++)
        named = named || hf_short_id_equal(&g_array_index(ids, HfShortId, j), &sessions[i]);
      g_assert_true(named || state_of(lab, &sessions[i]) == HF_OUTCOME_FENCED);
    }
  }
  g_assert_cmpuint(failed, >=, 2);
}

/* ---- Tidying. ---- */

static HfShortId make_checkpointed(Lab *lab, HfRepo *repo, gint64 time, HfOutcomeState state)
{
  HfShortId id = make_session(lab, NULL);
  HfKey data_key, meta_key;
  HfCheckpoint checkpoint = { .writer = *hf_keyring_writer_id(repo->keys), .time = time };
  memset(checkpoint.source.b, 7, sizeof checkpoint.source.b);
  g_assert_true(hf_keyring_new_session(repo->keys, &id, &checkpoint.slot, &data_key, &meta_key, NULL));
  g_autoptr(GBytes) record = hf_checkpoint_encode(&checkpoint, hf_keyring_seed(repo->keys));
  put_part(lab, &id, "checkpoint.1", record);
  put_part(lab, &id, "beat.3", NULL);
  if (state != 0)
    put_outcome(lab, &id, state, NULL);
  return id;
}

static gboolean is_gone(Lab *lab, const HfShortId *session)
{
  char folder[HF_NAME_BYTES];
  hf_name_session(folder, session, "");
  return count_names(lab, folder) == 0;
}

static void test_tidy(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  g_autoptr(HfRepo) repo = lab_open_full(lab);
  g_autoptr(GError) error = NULL;
  gint64 now = hf_clock_real_ns();
  HfShortId working = make_session(lab, other_start), fenced = make_session(lab, NULL), ended = make_session(lab, NULL);
  HfShortId leftovers = { { 3 } }, stale = { { 4 } };
  HfShortId young = make_checkpointed(lab, repo, now - 6 * DAY_NS, HF_OUTCOME_FENCED);
  HfShortId old = make_checkpointed(lab, repo, now - 8 * DAY_NS, HF_OUTCOME_FENCED);
  HfShortId ahead = make_checkpointed(lab, repo, now + 8 * DAY_NS, HF_OUTCOME_ENDED);
  HfShortId undecided = make_checkpointed(lab, repo, now - 80 * DAY_NS, (HfOutcomeState)0);
  HfShortId unreadable = make_session(lab, NULL);
  put_outcome(lab, &fenced, HF_OUTCOME_FENCED, NULL);
  put_outcome(lab, &ended, HF_OUTCOME_ENDED, NULL);
  put_part(lab, &leftovers, "beat.9", NULL);
  put_part(lab, &leftovers, "checkpoint.2", NULL);
  put_outcome(lab, &stale, HF_OUTCOME_FENCED, NULL);
  put_part(lab, &unreadable, "outcome", NULL);
  g_assert_true(hf_sessions_tidy(repo, &error));
  g_assert_no_error(error);
  const HfShortId *gone[] = { &fenced, &ended, &leftovers, &stale, &old, &ahead, &unreadable };
  for (guint i = 0; i < G_N_ELEMENTS(gone); i++)
    g_assert_true(is_gone(lab, gone[i]));
  g_assert_true(lab_warned(lab, "is damaged; a point that it committed just before is lost"));
  g_assert_true(has_part(lab, &working, "open"));
  g_assert_true(has_part(lab, &undecided, "checkpoint.1"));
  g_assert_true(has_part(lab, &young, "checkpoint.1") && has_part(lab, &young, "open") &&
                has_part(lab, &young, "outcome"));
  /* A point of the source ends the wait, another's does not. */
  g_assert_true(hf_sessions_tidy(repo, &error));
  g_assert_false(is_gone(lab, &young));
  lab_commit(repo, "one");
  g_assert_true(hf_sessions_tidy(repo, &error));
  g_assert_true(is_gone(lab, &young));
}

/* The record of a point that this session could have committed. */
static GBytes *make_point(Lab *lab, HfRepo *repo, HfShortId *session)
{
  HfKey data_key, meta_key;
  g_auto(HfPoint) point;
  *session = make_session(lab, other_start);
  lab_fill(&point, repo);
  g_assert_true(hf_keyring_new_session(repo->keys, session, &point.slot, &data_key, &meta_key, NULL));
  point.session = point.slot.session;
  point.writer = point.slot.writer;
  point.sealed = g_bytes_new("0123456789abcdefg", 17);
  point.sequence = 5;
  point.time = hf_clock_real_ns();
  hf_point_sign(&point, hf_keyring_seed(repo->keys));
  return hf_point_encode(&point);
}

static void test_finish(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  g_autoptr(HfRepo) repo = lab_open_full(lab);
  g_autoptr(GError) error = NULL;
  HfShortId sessions[3];
  for (guint i = 0; i < 3; i++) {
    g_autoptr(GBytes) point = make_point(lab, repo, &sessions[i]);
    put_outcome(lab, &sessions[i], HF_OUTCOME_COMMITTED, point);
  }
  char name[HF_NAME_BYTES];
  hf_name_session(name, &sessions[2], "open");
  lab_drop(lab, name);
  /* Two count; the third was made after its session was cleared away. */
  guint damaged;
  g_autoptr(GPtrArray) before = hf_points_load(repo, &damaged, &error);
  g_assert_cmpuint(before->len, ==, 2);
  g_assert_cmpuint(damaged, ==, 0);
  g_assert_true(hf_sessions_tidy(repo, &error));
  g_autoptr(GPtrArray) after = hf_points_load(repo, NULL, &error);
  g_assert_cmpuint(after->len, ==, 2);
  g_assert_cmpuint(count_names(lab, "points/"), ==, 6);
  g_assert_cmpuint(count_names(lab, "sessions/"), ==, 0);
  g_autoptr(GBytes) more = make_point(lab, repo, &sessions[0]);
  put_outcome(lab, &sessions[0], HF_OUTCOME_COMMITTED, more);
  g_autoptr(HfRepo) opened G_GNUC_UNUSED = lab_open_full(lab);
  g_assert_cmpuint(count_names(lab, "points/"), ==, 9);
  g_assert_cmpuint(count_names(lab, "sessions/"), ==, 0);
}

static void test_damaged_outcome(void)
{
  g_autoptr(Lab) lab = lab_with_repo();
  g_autoptr(HfRepo) repo = lab_open_full(lab);
  g_autoptr(GError) error = NULL;
  HfShortId session;
  char name[HF_NAME_BYTES];
  g_autoptr(GBytes) point = make_point(lab, repo, &session);
  put_outcome(lab, &session, HF_OUTCOME_COMMITTED, point);
  hf_name_session(name, &session, "outcome");
  lab_flip(lab, name, 100);
  lab_forget_report(lab);
  g_autoptr(HfRepo) opened = lab_open_full(lab);
  g_assert_true(lab_warned(lab, "is damaged"));
  lab_forget_report(lab);
  g_autoptr(GPtrArray) points = hf_points_load(opened, NULL, &error);
  g_assert_cmpuint(points->len, ==, 0);
  g_assert_true(lab_warned(lab, "is damaged"));
}

/* Every call fails once: the next one tidies the rest. */
static void test_tidy_faults(void)
{
  guint failed = 0;
  gboolean more = TRUE;
  for (guint strike = 1; more; strike++) {
    g_autoptr(Lab) lab = lab_with_repo();
    Fault fault = { .code = HF_ERROR_IO };
    g_autoptr(HfRepo) repo = lab_open(lab, lab_hooked(lab, fault_hook, &fault), &lab_no_key);
    g_autoptr(GError) error = NULL;
    HfShortId session, fenced = make_session(lab, NULL);
    g_autoptr(GBytes) point = make_point(lab, repo, &session);
    put_outcome(lab, &session, HF_OUTCOME_COMMITTED, point);
    put_outcome(lab, &fenced, HF_OUTCOME_FENCED, NULL);
    make_checkpointed(lab, repo, hf_clock_real_ns(), HF_OUTCOME_FENCED);
    guint start = fault.calls;
    fault.strike = start + strike;
    gboolean done = hf_sessions_tidy(repo, &error);
    g_assert_true(done == (error == NULL));
    failed += !done;
    more = fault.calls >= start + strike;
    fault.strike = 0;
    g_assert_true(hf_sessions_tidy(repo, &error));
    g_clear_error(&error);
    g_autoptr(GPtrArray) points = hf_points_load(repo, NULL, &error);
    g_assert_cmpuint(points->len, ==, 1);
    g_assert_cmpuint(count_names(lab, "points/"), ==, 3);
  }
  g_assert_cmpuint(failed, >, 10);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_assert_true(hf_crypto_init(NULL));
  g_setenv("HOLDFAST_TEST_BEAT_MS", BEAT_MS, TRUE);
  g_test_add_func("/sessions/identity", test_identity);
  g_test_add_func("/sessions/zombie", test_zombie);
  g_test_add_func("/sessions/list", test_list);
  g_test_add_func("/sessions/settle", test_settle);
  g_test_add_func("/sessions/settle-beating", test_settle_beating);
  g_test_add_func("/sessions/settle-ends", test_settle_ends);
  g_test_add_func("/sessions/settle-second", test_settle_second);
  g_test_add_func("/sessions/settle-faults", test_settle_faults);
  g_test_add_func("/sessions/tidy", test_tidy);
  g_test_add_func("/sessions/finish", test_finish);
  g_test_add_func("/sessions/damaged-outcome", test_damaged_outcome);
  g_test_add_func("/sessions/tidy-faults", test_tidy_faults);
  return g_test_run();
}
