/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Prune, verify, repair, copy over real points: what is alive, and what goes. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sys.h"
#include "engine/copy/copy.h"
#include "engine/prune/collect.h"
#include "engine/repair/repair.h"
#include "engine/verify/rehearse.h"
#include "engine/verify/verify.h"
#include "repo/live.h"
#include "repo/objects.h"
#include "repo/recopy.h"
#include "storage/local/local.h"
#include "treelab.h"

static void noise(TreeLab *lab, const char *name, gsize length)
{
  g_autofree guint8 *bytes = g_malloc(length);
  hf_random(bytes, length);
  tree_lab_file(lab, name, bytes, length);
}

static void fill(TreeLab *lab, const char *folder, guint files)
{
  for (guint i = 0; i < files; i++) {
    g_autofree char *name = g_strdup_printf("%s/file%u", folder, i);
    noise(lab, name, 9000);
  }
}

static gboolean verify(TreeLab *lab, gboolean content, HfVerifyResult *result)
{
  GError *error = NULL;
  HfVerifyOptions options = { .content = content, .sample = 100 };
  hf_verify(lab->repo, &options, result, &error);
  g_assert_no_error(error);
  return hf_verify_result_good(result);
}

static void assert_good(TreeLab *lab)
{
  g_auto(HfVerifyResult) stored = { 0 }, content = { 0 };
  g_assert_true(verify(lab, FALSE, &stored));
  g_assert_true(verify(lab, TRUE, &content));
}

static GPtrArray *objects(TreeLab *lab, const char *folder)
{
  GPtrArray *names = hf_store_list_names(lab->repo->store, folder, NULL);
  g_assert_nonnull(names);
  return names;
}

/* Changes one byte of the object, also for who has its file open. */
static void spoil(TreeLab *lab, const char *object, gsize at)
{
  g_autofree char *in_repo = g_strconcat("repo/", object, NULL), *path = tree_lab_path(lab, in_repo);
  char *bytes;
  gsize length;
  g_assert_true(g_file_get_contents(path, &bytes, &length, NULL));
  g_assert_cmpint(chmod(path, 0600), ==, 0);
  hf_autofd int fd = open(path, O_WRONLY);
  bytes[at % length] ^= 8;
  g_assert_cmpint(pwrite(fd, bytes + at % length, 1, (off_t)(at % length)), ==, 1);
  g_free(bytes);
}

static void test_prune(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  fill(lab, "tree/a", 120);
  g_autoptr(HfPointInfo) first = tree_lab_backup(lab, "tree");
  g_autofree char *path = tree_lab_path(lab, "tree/a");
  for (guint i = 0; i < 90; i++) { /* a part of each frame goes, and some frames altogether */
    g_autofree char *name = g_strdup_printf("tree/a/file%u", i);
    noise(lab, name, 9001);
  }
  g_autoptr(HfPointInfo) second = tree_lab_backup(lab, "tree");
  HfPruneResult nothing = tree_lab_prune(lab->repo);
  g_assert_cmpuint(nothing.swept_packs, ==, 0);
  tree_lab_forget_point(lab->repo, first);
  HfPruneOptions dry = { .dry_run = TRUE };
  HfPruneResult would;
  g_assert_true(hf_prune(lab->repo, &dry, &would, NULL));
  g_assert_cmpuint(would.swept_packs, >, 0);
  HfPruneResult done = tree_lab_prune(lab->repo);
  g_assert_cmpuint(done.swept_packs, ==, would.swept_packs);
  g_assert_cmpuint(done.swept_bytes, >, 300000);
  g_assert_cmpuint(done.rewritten_packs, ==, would.rewritten_packs);
  assert_good(lab);
  HfPruneResult again = tree_lab_prune(lab->repo);
  g_assert_cmpuint(again.swept_packs, ==, 0);
  tree_lab_forget_point(lab->repo, second);
  tree_lab_prune(lab->repo);
  g_autoptr(GPtrArray) data = objects(lab, "data/"), meta = objects(lab, "meta/");
  g_assert_cmpuint(data->len + meta->len, ==, 0);
}

/* ---- Marks. ---- */

/* Two points of which the first is forgotten, a reader, and a prune that has to wait for him. */
static HfSession *wait_for_reader(TreeLab *lab)
{
  fill(lab, "tree/a", 60);
  g_autoptr(HfPointInfo) first = tree_lab_backup(lab, "tree");
  g_autofree char *path = tree_lab_path(lab, "tree/a");
  fill(lab, "tree/a", 60);
  g_autoptr(HfPointInfo) second = tree_lab_backup(lab, "tree");
  tree_lab_forget_point(lab->repo, first);
  HfSession *reader = hf_session_open(lab->repo, HF_PURPOSE_READ, NULL);
  g_assert_nonnull(reader);
  HfPruneResult result = tree_lab_prune(lab->repo);
  g_assert_cmpuint(result.waiting_packs, >, 0);
  g_assert_cmpuint(result.swept_packs, ==, 0);
  return reader;
}

/* NULL when there is none. */
static char *only_mark(TreeLab *lab)
{
  g_autoptr(GPtrArray) names = objects(lab, "gc/");
  char *mark = NULL;
  for (guint i = 0; i < names->len; i++)
    if (g_str_has_prefix(names->pdata[i], "gc/mark.")) {
      g_assert_null(mark);
      mark = g_strdup(names->pdata[i]);
    }
  return mark;
}

/* G6: verify finds a mark that is damaged, or whose seal is; backups go on, and the next prune looks anew at what it
 * named. */
static void test_damaged_mark(void)
{
  for (guint round = 0; round < 2; round++) {
    g_autoptr(TreeLab) lab = tree_lab_new();
    HfSession *reader = wait_for_reader(lab);
    g_autofree char *mark = only_mark(lab), *seal = g_strdup_printf("gc/seal.%s", strrchr(mark, '.') + 1);
    spoil(lab, round == 0 ? mark : seal, 40);
    g_auto(HfVerifyResult) found = { 0 }, mended = { 0 };
    if (round == 0) {
      verify(lab, FALSE, &found);
      g_assert_cmpuint(found.bad_objects, ==, 1);
      g_assert_true(tree_lab_warned(lab, "'holdfast prune' looks at it anew"));
    }
    HfPruneOptions dry = { .dry_run = TRUE };
    HfPruneResult result;
    g_assert_true(hf_prune(lab->repo, &dry, &result, NULL));
    g_autofree char *still = only_mark(lab);
    g_assert_cmpstr(still, ==, mark);
    g_autoptr(HfPointInfo) third = tree_lab_backup(lab, "tree");
    result = tree_lab_prune(lab->repo);
    g_assert_cmpuint(result.waiting_packs, >, 0);
    g_autofree char *anew = only_mark(lab);
    g_assert_cmpstr(anew, !=, mark);
    verify(lab, FALSE, &mended);
    g_assert_cmpuint(mended.bad_objects, ==, 0);
    hf_session_free(reader);
    result = tree_lab_prune(lab->repo);
    g_assert_cmpuint(result.swept_packs, >, 0);
    assert_good(lab);
  }
}

/* A collector was killed after it had made the seal void, or had lost the number to another: its mark stays behind, and
 * would keep what it names from being used and from being removed. */
static void test_idle_mark(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  fill(lab, "tree/a", 60);
  g_autoptr(HfPointInfo) first = tree_lab_backup(lab, "tree");
  for (guint round = 0; round < 2; round++) {
    g_autoptr(GPtrArray) packs = objects(lab, "data/");
    HfSeal seal = { .sealed = round == 1 };
    HfMark mark;
    HfShortId id;
    hf_mark_init(&mark);
    mark.generation = 7 + round;
    hf_random(&mark.collector, sizeof mark.collector);
    g_assert_true(hf_name_short_id(packs->pdata[0], &id));
    g_array_append_val(mark.packs, id);
    g_autoptr(GBytes) sealed = hf_seal_encode(&seal), marked = hf_mark_encode(&mark);
    g_autofree char *seal_name = g_strdup_printf("gc/seal.%016u", 7 + round);
    g_autofree char *mark_name = g_strdup_printf("gc/mark.%016u", 7 + round);
    hf_mark_clear(&mark);
    g_assert_true(hf_store_put(lab->repo->store, seal_name, g_bytes_get_data(sealed, NULL), g_bytes_get_size(sealed),
                               NULL));
    g_assert_true(hf_store_put(lab->repo->store, mark_name, g_bytes_get_data(marked, NULL), g_bytes_get_size(marked),
                               NULL));
    HfPruneResult result = tree_lab_prune(lab->repo);
    g_assert_cmpuint(result.swept_packs, ==, 0);
    g_autofree char *left = only_mark(lab);
    g_assert_null(left);
    g_autoptr(HfPointInfo) next = tree_lab_backup(lab, "tree");
    g_autoptr(GPtrArray) after = objects(lab, "data/");
    g_assert_cmpuint(after->len, ==, packs->len); /* what it named counts as stored again */
  }
  assert_good(lab);
}

static struct {
  const HfSys *real;
  TreeLab *lab;
} sleeper;

static guint count_packs(TreeLab *lab)
{
  g_autoptr(GPtrArray) data = objects(lab, "data/"), meta = objects(lab, "meta/");
  return data->len + meta->len;
}

/* After its first pack the collector sleeps, and is taken for dead. */
static int remove_and_sleep(int dirfd, const char *path, int flags)
{
  int done = sleeper.real->unlinkat(dirfd, path, flags);
  if (!g_str_has_prefix(path, "data/") && !g_str_has_prefix(path, "meta/"))
    return done;
  g_autoptr(GPtrArray) parts = objects(sleeper.lab, "sessions/");
  for (guint i = 0; i < parts->len; i++)
    if (g_str_has_suffix(parts->pdata[i], "/open")) {
      g_autofree char *in_repo = g_strconcat("repo/", parts->pdata[i], NULL);
      g_autofree char *open = tree_lab_path(sleeper.lab, in_repo);
      g_assert_cmpint(unlink(open), ==, 0);
    }
  return done;
}

/* G6 */
static void test_sleeping_collector(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  HfSession *reader = wait_for_reader(lab);
  hf_session_free(reader);
  guint before = count_packs(lab);
  g_autoptr(GError) error = NULL;
  HfPruneOptions options = { 0 };
  HfPruneResult result;
  HfSys table = *hf_sys;
  sleeper.real = hf_sys;
  sleeper.lab = lab;
  table.unlinkat = remove_and_sleep;
  hf_sys = &table;
  g_assert_false(hf_prune(lab->repo, &options, &result, &error));
  hf_sys = sleeper.real;
  assert_code(error, HF_ERROR_FENCED);
  g_assert_cmpuint(count_packs(lab), ==, before - 1);
  result = tree_lab_prune(lab->repo);
  g_assert_cmpuint(count_packs(lab), <, before - 1);
  assert_good(lab);
}

/* ---- Points that come and go beside verify. ---- */

static struct {
  const HfSys *real;
  char *away, *copy; /* paths: `away` is renamed to `copy` once somebody has missed it */
  HfRepo *repo;
  HfPointInfo *going; /* forgotten when its first copy is looked at */
  GThread *thread;    /* whose looks count */
} beside;

static int look_beside(int dirfd, const char *path, struct stat *status, int flags)
{
  if (beside.thread == g_thread_self() && beside.going != NULL && g_str_has_prefix(path, "points/") &&
      g_str_has_suffix(path, ".0"))
    tree_lab_forget_point(beside.repo, g_steal_pointer(&beside.going));
  int done = beside.real->fstatat(dirfd, path, status, flags);
  int code = errno;
  if (done < 0 && beside.away != NULL && g_str_has_suffix(beside.copy, path)) {
    g_assert_cmpint(rename(beside.away, beside.copy), ==, 0);
    beside.away = NULL;
  }
  errno = code;
  return done;
}

static guint64 bad_objects(TreeLab *lab)
{
  g_auto(HfVerifyResult) result = { 0 };
  verify(lab, FALSE, &result);
  return result.bad_objects;
}

/* A copy that is put there a moment later, and a point that is forgotten meanwhile, are no damage. One that stays away
 * is. */
static void test_verify_beside(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  fill(lab, "tree/a", 3);
  g_autoptr(HfPointInfo) first = tree_lab_backup(lab, "tree");
  fill(lab, "tree/a", 3);
  g_autoptr(HfPointInfo) second = tree_lab_backup(lab, "tree");
  g_autofree char *away = tree_lab_path(lab, "away"), *hex = hf_hex(second->point.id.b, sizeof second->point.id.b);
  g_autofree char *in_repo = g_strdup_printf("repo/points/%s.2", hex), *copy = tree_lab_path(lab, in_repo);
  HfSys table = *hf_sys;
  beside.real = hf_sys;
  beside.repo = lab->repo;
  beside.thread = g_thread_self();
  table.fstatat = look_beside;
  hf_sys = &table;
  beside.copy = copy;
  beside.away = away;
  g_assert_cmpint(rename(copy, away), ==, 0);
  g_assert_cmpuint(bad_objects(lab), ==, 0);
  g_assert_null(beside.away);
  beside.going = first;
  g_assert_cmpuint(bad_objects(lab), ==, 0);
  g_assert_null(beside.going);
  hf_sys = beside.real;
  g_assert_cmpint(rename(copy, away), ==, 0);
  g_assert_cmpuint(bad_objects(lab), ==, 1);
}

/* Many small packs become few; thin frames are listed, written anew, and die. */
static void test_small_and_thin(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  for (guint i = 0; i < 14; i++) {
    g_autofree char *name = g_strdup_printf("tree/file%u", i);
    noise(lab, name, 3000);
    HfPointInfo *info = tree_lab_backup(lab, "tree");
    hf_point_info_free(info);
  }
  g_autoptr(GPtrArray) before = objects(lab, "data/");
  HfPruneResult joined = tree_lab_prune(lab->repo);
  g_autoptr(GPtrArray) after = objects(lab, "data/");
  g_assert_cmpuint(joined.rewritten_packs, >=, 10);
  g_assert_cmpuint(after->len, <, before->len);
  assert_good(lab);

  fill(lab, "tree/many", 40);
  g_autoptr(HfPointInfo) full = tree_lab_backup(lab, "tree");
  for (guint i = 0; i < 40; i++) {
    g_autofree char *name = g_strdup_printf("tree/many/file%u", i);
    if (i % 4)
      noise(lab, name, 9002);
  }
  g_autoptr(HfPointInfo) rest = tree_lab_backup(lab, "tree");
  tree_lab_forget_point(lab->repo, full);
  g_assert_cmpuint(tree_lab_prune(lab->repo).thin_frames, >, 0);
  g_autoptr(HfPointInfo) healed = tree_lab_backup(lab, "tree");
  tree_lab_forget_point(lab->repo, rest);
  tree_lab_prune(lab->repo);
  assert_good(lab);
}

static guint64 bytes_of(TreeLab *lab, const char *folder)
{
  g_autoptr(GPtrArray) names = objects(lab, folder);
  guint64 sum = 0, size;
  for (guint i = 0; i < names->len; i++) {
    g_assert_true(hf_store_size(lab->repo->store, names->pdata[i], &size, NULL));
    sum += size;
  }
  return sum;
}

/* Every frame loses about half of what is in it. */
static TreeLab *half_dead(void)
{
  TreeLab *lab = tree_lab_new();
  for (guint round = 0; round < 2; round++) {
    for (guint i = 0; i < 120; i++) {
      g_autofree char *name = g_strdup_printf("tree/file%u", i);
      if (round == 0 || i % 2)
        noise(lab, name, 9000 + round);
    }
    HfPointInfo *info = tree_lab_backup(lab, "tree");
    if (round == 0)
      tree_lab_forget_point(lab->repo, info);
    hf_point_info_free(info);
  }
  return lab;
}

static HfRepo *open_keyless(TreeLab *lab)
{
  g_autofree char *path = tree_lab_path(lab, "repo");
  HfRepoOptions options = { .report = lab->report };
  HfRepo *repo = hf_repo_open(hf_local_open(path, FALSE, NULL), &options, NULL);
  g_assert_nonnull(repo);
  return repo;
}

/* With keys what lives in frames that are half dead is sealed anew; without, these frames stay as they are. */
static void test_reseal(void)
{
  g_autoptr(TreeLab) with = half_dead(), without = half_dead();
  g_autoptr(HfRepo) keyless = open_keyless(without);
  HfPruneOptions options = { 0 };
  HfPruneResult result;
  GError *error = NULL;
  guint64 before = bytes_of(with, "data/");
  g_assert_cmpuint(before, >, 1500000); /* 180 files */
  HfPruneResult done = tree_lab_prune(with->repo);
  g_assert_cmpuint(done.rewritten_packs, >, 0);
  g_assert_cmpuint(bytes_of(with, "data/"), <, before * 80 / 100);
  g_assert_cmpuint(bytes_of(with, "data/"), >, 120 * 9000);
  assert_good(with);
  g_assert_cmpuint(tree_lab_prune(with->repo).rewritten_packs, ==, 0); /* it does not go round in circles */

  hf_prune(keyless, &options, &result, &error);
  g_assert_no_error(error);
  g_assert_cmpuint(bytes_of(without, "data/"), >, before * 80 / 100);
  assert_good(without);
}

/* What cannot be opened stays where it is. */
static void test_reseal_damaged(void)
{
  g_autoptr(TreeLab) lab = half_dead();
  g_autoptr(GPtrArray) data = objects(lab, "data/");
  guint64 size = 0;
  const char *first = NULL;
  for (guint i = 0; i < data->len; i++) { /* the one with most in it */
    guint64 other;
    g_assert_true(hf_store_size(lab->repo->store, data->pdata[i], &other, NULL));
    if (other > size) {
      first = data->pdata[i];
      size = other;
    }
  }
  for (guint64 at = 1000; at < size / 2; at += 3000) /* not its directory, which stands at the end */
    spoil(lab, first, at);
  tree_lab_forget(lab);
  tree_lab_prune(lab->repo);
  g_assert_true(tree_lab_warned(lab, "damaged") || tree_lab_warned(lab, "repair"));
  g_autoptr(GPtrArray) after = objects(lab, "data/");
  gboolean stays = FALSE;
  for (guint i = 0; i < after->len; i++)
    stays = stays || g_str_equal(after->pdata[i], first);
  g_assert_true(stays);
}

static void test_running_session(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  fill(lab, "tree", 20);
  g_autoptr(HfPointInfo) info = tree_lab_backup(lab, "tree");
  fill(lab, "tree", 20);
  g_autoptr(HfPointInfo) other = tree_lab_backup(lab, "tree");
  HfSession *reader = hf_session_open(lab->repo, HF_PURPOSE_READ, NULL);
  g_assert_nonnull(reader);
  tree_lab_forget_point(lab->repo, info);
  HfPruneResult waiting = tree_lab_prune(lab->repo);
  g_assert_cmpuint(waiting.swept_packs, ==, 0);
  g_assert_cmpuint(waiting.waiting_packs, >, 0);
  g_assert_cmpuint(waiting.sessions_waited_for, ==, 1);
  hf_session_free(reader);
  g_assert_cmpuint(tree_lab_prune(lab->repo).swept_packs, >=, waiting.waiting_packs);
  HfSession *collector = hf_session_open(lab->repo, HF_PURPOSE_COLLECT, NULL);
  g_assert_true(tree_lab_prune(lab->repo).other_at_work);
  hf_session_free(collector);
  assert_good(lab);
}

static void put_record(TreeLab *lab, const char *name, GBytes *record)
{
  GError *error = NULL;
  gsize length;
  const void *bytes = g_bytes_get_data(record, &length);
  hf_store_put(lab->repo->store, name, bytes, length, &error);
  g_assert_no_error(error);
  g_bytes_unref(record);
}

static GArray *pack_ids(TreeLab *lab)
{
  static const char *const folders[] = { "data/", "meta/" };
  GArray *ids = g_array_new(FALSE, FALSE, sizeof(HfShortId));
  for (guint i = 0; i < G_N_ELEMENTS(folders); i++) {
    g_autoptr(GPtrArray) names = objects(lab, folders[i]);
    for (guint k = 0; k < names->len; k++) {
      HfShortId id;
      g_assert_true(hf_name_short_id(names->pdata[k], &id));
      g_array_append_val(ids, id);
    }
  }
  return ids;
}

/* A sealed mark of `packs` that waits for `session`: somebody has walked both points, and found all of it elsewhere. */
static void condemn(TreeLab *lab, const GArray *packs, const HfPointInfo *one, const HfPointInfo *two,
                    const HfSession *session)
{
  HfMark mark;
  hf_mark_init(&mark);
  mark.generation = 1;
  hf_random(mark.collector.b, sizeof mark.collector.b);
  g_array_append_val(mark.points, one->point.id);
  g_array_append_val(mark.points, two->point.id);
  g_array_append_vals(mark.sessions, hf_session_id(session), 1);
  g_array_append_vals(mark.packs, packs->data, packs->len);
  put_record(lab, "gc/mark.0000000000000001", hf_mark_encode(&mark));
  HfSeal seal = { .sealed = TRUE, .collector = mark.collector };
  put_record(lab, "gc/seal.0000000000000001", hf_seal_encode(&seal));
  hf_mark_clear(&mark);
}

/* All frames of packs that are not in `but`. */
static void note_frames(TreeLab *lab, const GArray *but, HfRecordKind kind, const char *name)
{
  g_autoptr(GArray) places = g_array_new(FALSE, FALSE, sizeof(HfPlace));
  g_assert_true(lab->repo->index ? hf_index_refresh(lab->repo->index, NULL) : hf_repo_load_index(lab->repo, NULL));
  g_autoptr(GArray) packs = hf_index_packs(lab->repo->index);
  for (guint i = 0; i < packs->len; i++) {
    const HfPackState *state = &g_array_index(packs, HfPackState, i);
    g_auto(HfPackInfo) info;
    hf_pack_info_init(&info);
    if (hf_short_ids_have(but, &state->pack.id))
      continue;
    g_assert_true(hf_pack_read_info(lab->repo->store, state->pack.kind, &state->pack.id, &info, NULL));
    for (guint f = 0; f < info.frames->len; f++) {
      HfPlace place = { state->pack.id, g_array_index(info.frames, HfPackFrame, f).offset };
      g_array_append_val(places, place);
    }
  }
  put_record(lab, name, hf_places_encode(kind, places));
}

/* Everything is stored twice: in packs that are condemned, but not yet swept, and in frames that count as thin, or as
 * damaged. A walk that took the condemned copy for the live one would condemn the other one, too. Which of the two an
 * index names first depends on the names of its runs, so it is tried several times. */
static void test_condemned_is_not_kept(gconstpointer user)
{
  HfRecordKind kind = (HfRecordKind)GPOINTER_TO_UINT(user);
  for (guint round = 0; round < 5; round++) {
    g_autoptr(TreeLab) lab = tree_lab_new();
    fill(lab, "tree", 20);
    g_autoptr(HfPointInfo) first = tree_lab_backup(lab, "tree");
    g_autoptr(GArray) packs = pack_ids(lab);
    note_frames(lab, NULL, HF_RECORD_THIN, "gc/thin.0000000000000000");
    g_autoptr(HfPointInfo) second = tree_lab_backup(lab, "tree");
    HfSession *reader = hf_session_open(lab->repo, HF_PURPOSE_READ, NULL);
    condemn(lab, packs, first, second, reader);
    note_frames(lab, packs, kind, kind == HF_RECORD_THIN ? "gc/thin.0000000000000001" : "damage/1");
    HfPruneResult waiting = tree_lab_prune(lab->repo);
    g_assert_cmpuint(waiting.waiting_packs, ==, packs->len);
    hf_session_free(reader);
    HfPruneResult swept = tree_lab_prune(lab->repo);
    g_assert_cmpuint(swept.swept_packs, >=, packs->len);
    tree_lab_prune(lab->repo);
    assert_good(lab);
  }
}

static void count_loss(const HfId *id, gpointer user)
{
  (void)id;
  ++*(guint *)user;
}

static void test_fails_closed(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  GError *error = NULL;
  HfPruneOptions options = { 0 };
  HfPruneResult result;
  guint losses = 0;
  fill(lab, "tree", 30);
  g_autoptr(HfPointInfo) info = tree_lab_backup(lab, "tree");
  g_autoptr(GPtrArray) meta = objects(lab, "meta/");
  spoil(lab, meta->pdata[0], 400);
  g_assert_true(hf_repo_load_index(lab->repo, NULL));
  g_autoptr(HfLive) live = hf_live_new(lab->repo, NULL);
  g_assert_false(hf_live_walk(live, info->point.domain, &info->point.roots, NULL, NULL, &error));
  assert_code(error, HF_ERROR_DAMAGED);
  g_clear_error(&error);
  hf_live_reset(live);
  g_assert_true(hf_live_walk(live, info->point.domain, &info->point.roots, count_loss, &losses, NULL));
  g_assert_cmpuint(losses, >, 0);
  g_assert_false(hf_prune(lab->repo, &options, &result, &error));
  assert_code(error, HF_ERROR_DAMAGED);
  g_clear_error(&error);

  /* Once repair has recorded the loss, the walk passes over it. */
  g_auto(HfRepairResult) repaired = { 0 };
  g_assert_true(hf_repair(lab->repo, NULL, &repaired, &error));
  g_assert_no_error(error);
  g_assert_cmpuint(repaired.lost_blobs, >, 0);
  tree_lab_prune(lab->repo);
}

static HfRepo *make_other(TreeLab *lab, const char *name, gboolean like)
{
  g_autofree char *path = tree_lab_path(lab, name);
  GError *error = NULL;
  HfUnlock unlock = { .kind = HF_UNLOCK_NONE };
  HfRepoOptions options = { .unlock = &unlock, .report = lab->report };
  HfStore *store = hf_local_open(path, TRUE, &error);
  if (like) {
    hf_repo_create_like(store, lab->repo, &error);
  } else {
    HfConfig config = lab->repo->config;
    char *paper = NULL;
    hf_repo_create(store, &config, &unlock, &paper, &error);
  }
  g_assert_no_error(error);
  HfRepo *repo = hf_repo_open(store, &options, &error);
  g_assert_no_error(error);
  return repo;
}

static void assert_other_good(HfRepo *repo, guint points)
{
  g_auto(HfVerifyResult) result = { 0 };
  HfVerifyOptions options = { .content = TRUE, .sample = 100 };
  GError *error = NULL;
  hf_verify(repo, &options, &result, &error);
  g_assert_no_error(error);
  g_assert_true(hf_verify_result_good(&result));
  g_autoptr(GPtrArray) all = hf_points_load(repo, NULL, NULL);
  g_assert_cmpuint(all->len, ==, points);
  HfRehearseResult rehearsed;
  g_assert_true(hf_rehearse(repo, all, NULL, &rehearsed, &error));
  g_assert_no_error(error);
  g_assert_cmpuint(rehearsed.different, ==, 0);
  g_assert_cmpuint(rehearsed.points, ==, points);
}

static void test_copy(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  HfCopyResult result;
  GError *error = NULL;
  fill(lab, "tree", 30);
  noise(lab, "tree/large", 700000);
  g_autofree guint8 *zeros = g_malloc0(300000);
  tree_lab_file(lab, "tree/zeros", zeros, 300000);
  g_autoptr(HfPointInfo) first = tree_lab_backup(lab, "tree");
  fill(lab, "tree", 3);
  g_autoptr(HfPointInfo) second = tree_lab_backup(lab, "tree");
  noise(lab, "disk", 900 << 10);
  g_autoptr(HfPointInfo) third = tree_lab_backup_disk(lab, "disk");
  g_autoptr(GPtrArray) points = hf_points_load(lab->repo, NULL, NULL);
  for (guint like = 0; like < 2; like++) {
    g_autoptr(HfRepo) other = make_other(lab, like ? "sibling" : "stranger", like != 0);
    g_assert_true(hf_copy(lab->repo, other, points, &result, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(result.points, ==, 3);
    g_assert_true(hf_copy(lab->repo, other, points, &result, &error));
    g_assert_cmpuint(result.points, ==, 0);
    g_assert_cmpuint(result.points_there, ==, 3);
    assert_other_good(other, 3);
  }
  g_assert_false(hf_copy(lab->repo, lab->repo, points, &result, &error));
  assert_code(error, HF_ERROR_USAGE);
  g_clear_error(&error);
}

/* Each kind of object is spoiled in turn; what a sibling has comes back from there. */
static void test_repair(void)
{
  static const char *const folders[] = { "data/", "meta/", "index/", "points/", "keys/" };
  g_autoptr(TreeLab) lab = tree_lab_new();
  HfCopyResult copied;
  fill(lab, "tree", 60);
  noise(lab, "tree/large", 700000);
  g_autoptr(HfPointInfo) info = tree_lab_backup(lab, "tree");
  g_autoptr(GPtrArray) points = hf_points_load(lab->repo, NULL, NULL);
  g_autoptr(HfRepo) sibling = make_other(lab, "sibling", TRUE);
  g_assert_true(hf_copy(lab->repo, sibling, points, &copied, NULL));
  for (guint i = 0; i < G_N_ELEMENTS(folders); i++)
    for (guint where = 0; where < 3; where++) {
      GError *error = NULL;
      g_autoptr(GPtrArray) names = objects(lab, folders[i]);
      g_auto(HfVerifyResult) found = { 0 };
      g_auto(HfRepairResult) repaired = { 0 };
      const char *name = names->pdata[where % names->len];
      guint64 size;
      g_assert_true(hf_store_size(lab->repo->store, name, &size, NULL));
      gsize places[] = { 10, size / 2, size - 10 };
      spoil(lab, name, places[where]);
      verify(lab, TRUE, &found);
      g_assert_cmpuint(found.bad_frames + found.bad_packs + found.bad_objects + found.missing_blobs, >, 0);
      g_assert_true(hf_repair(lab->repo, sibling, &repaired, &error));
      g_assert_no_error(error);
      g_assert_cmpuint(repaired.lost_blobs, ==, 0);
      assert_good(lab);
      tree_lab_prune(lab->repo);
      assert_good(lab);
    }
}

static char *largest(TreeLab *lab, const char *folder)
{
  g_autoptr(GPtrArray) names = objects(lab, folder);
  guint best = 0;
  guint64 most = 0, size;
  for (guint i = 0; i < names->len; i++) {
    g_assert_true(hf_store_size(lab->repo->store, names->pdata[i], &size, NULL));
    best = size > most ? i : best;
    most = MAX(most, size);
  }
  return g_strdup(names->pdata[best]);
}

/* Leaves so many bytes, or drops as many from the end when the number is negative. */
static void cut(TreeLab *lab, const char *object, gint left)
{
  g_autofree char *in_repo = g_strconcat("repo/", object, NULL), *path = tree_lab_path(lab, in_repo), *bytes = NULL;
  gsize length;
  g_assert_true(g_file_get_contents(path, &bytes, &length, NULL));
  g_assert_true(g_file_set_contents(path, bytes, left < 0 ? (gssize)length + left : left, NULL));
}

/* The end of a pack is gone, and with it the directory; there is no parity. What its frames hold is found by opening
 * them; a bad spot between them costs one frame. */
static void test_repair_by_scan(void)
{
  static const struct {
    const char *folder;
    gint left;
    guint spoiled; /* at which byte, 0: none */
    guint lost;    /* blobs, at most */
    gboolean any;  /* something is mended */
  } cases[] = { { "data/", -100, 0, 0, TRUE }, { "meta/", -100, 0, 0, TRUE }, { "data/", 300000, 0, 20, TRUE },
                { "data/", -100, 100000, 8, TRUE }, { "data/", 200, 0, 60, FALSE } };
  for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
    g_autoptr(TreeLab) lab = tree_lab_new();
    g_auto(HfRepairResult) repaired = { 0 };
    g_auto(HfVerifyResult) found = { 0 };
    GError *error = NULL;
    fill(lab, "tree", 40);
    noise(lab, "tree/large", 100000);
    noise(lab, "disk", 600 << 10);
    g_autoptr(HfPointInfo) files = tree_lab_backup(lab, "tree"), disk = tree_lab_backup_disk(lab, "disk");
    g_autofree char *name = largest(lab, cases[i].folder);
    cut(lab, name, cases[i].left);
    if (cases[i].spoiled)
      spoil(lab, name, cases[i].spoiled);
    g_assert_false(verify(lab, TRUE, &found));
    hf_repair(lab->repo, NULL, &repaired, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(repaired.lost_blobs, <=, cases[i].lost);
    g_assert_true((repaired.lost_blobs > 0) == (cases[i].lost > 0));
    g_assert_true((repaired.mended_frames > 0) == cases[i].any);
    tree_lab_prune(lab->repo);
    if (cases[i].lost == 0)
      assert_good(lab);
  }
}

static void test_recopy_refuses(void)
{
  g_autoptr(TreeLab) lab = tree_lab_new();
  fill(lab, "tree", 30);
  g_autoptr(HfPointInfo) info = tree_lab_backup(lab, "tree");
  g_autoptr(GPtrArray) data = objects(lab, "data/");
  HfRecopySource source = { .kind = HF_PACK_DATA, .domain = info->point.domain, .slots = 1 };
  HfRecopy recopy = { .from = lab->repo->store, .to = lab->repo };
  g_assert_true(hf_name_short_id(data->pdata[0], &source.pack));
  g_assert_true(hf_repo_load_index(lab->repo, NULL));
  spoil(lab, data->pdata[0], 1000);
  tree_lab_forget(lab);
  g_assert_true(hf_recopy(&recopy, &source, 1, NULL));
  g_assert_false(source.done);
  g_assert_true(tree_lab_warned(lab, "damaged"));
  g_autoptr(GBytes) rubbish = g_bytes_new_static("rubbish", 7);
  g_auto(HfPackInfo) pack;
  hf_pack_info_init(&pack);
  g_assert_false(hf_pack_bytes_info(rubbish, &pack, NULL));
}

/* Nobody is waited for who is here, or who beats; who is silent on another machine is ended. */
static void test_far_sessions(void)
{
  g_setenv("HOLDFAST_TEST_BEAT_MS", "100", TRUE);
  g_autoptr(TreeLab) lab = tree_lab_new();
  g_autoptr(GError) error = NULL;
  HfPruneOptions options = { .patience_seconds = HF_PRUNE_PATIENCE };
  HfPruneResult result;
  g_autoptr(HfSession) here = hf_session_open(lab->repo, HF_PURPOSE_READ, &error);
  tree_lab_far_session(lab->repo->store);
  tree_lab_prune(lab->repo);
  g_autoptr(GPtrArray) before = hf_sessions_list(lab->repo, NULL, NULL);
  g_assert_cmpuint(before->len, ==, 2);
  gint64 begun = g_get_monotonic_time();
  hf_prune(lab->repo, &options, &result, &error);
  g_assert_no_error(error);
  g_assert_cmpint(g_get_monotonic_time() - begun, <, 10 * G_USEC_PER_SEC);
  g_autoptr(GPtrArray) after = hf_sessions_list(lab->repo, NULL, NULL);
  g_assert_cmpuint(after->len, ==, 1);
  g_assert_true(hf_session_check(here, &error));
  g_unsetenv("HOLDFAST_TEST_BEAT_MS");
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_assert_true(hf_crypto_init(NULL));
  g_test_add_func("/keeping/prune", test_prune);
  g_test_add_func("/keeping/far-sessions", test_far_sessions);
  g_test_add_func("/keeping/damaged-mark", test_damaged_mark);
  g_test_add_func("/keeping/idle-mark", test_idle_mark);
  g_test_add_func("/keeping/sleeping-collector", test_sleeping_collector);
  g_test_add_func("/keeping/verify-beside", test_verify_beside);
  g_test_add_func("/keeping/small-and-thin", test_small_and_thin);
  g_test_add_func("/keeping/reseal", test_reseal);
  g_test_add_func("/keeping/reseal-damaged", test_reseal_damaged);
  g_test_add_func("/keeping/running-session", test_running_session);
  g_test_add_data_func("/keeping/condemned-and-thin", GUINT_TO_POINTER(HF_RECORD_THIN), test_condemned_is_not_kept);
  g_test_add_data_func("/keeping/condemned-and-damaged", GUINT_TO_POINTER(HF_RECORD_DAMAGE),
                       test_condemned_is_not_kept);
  g_test_add_func("/keeping/fails-closed", test_fails_closed);
  g_test_add_func("/keeping/copy", test_copy);
  g_test_add_func("/keeping/repair", test_repair);
  g_test_add_func("/keeping/repair-by-scan", test_repair_by_scan);
  g_test_add_func("/keeping/recopy-refuses", test_recopy_refuses);
  return g_test_run();
}
