/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Points that leave their repository: frame by frame into a sibling behind a service, and opened with a pass. */
#include <string.h>

#include "agent/vault/slots.h"
#include "base/error.h"
#include "base/sys.h"
#include "engine/copy/copy.h"
#include "engine/prune/prune.h"
#include "engine/restore/restore.h"
#include "fixture.h"
#include "repo/objects.h"
#include "siege.h"
#include "storage/local/local.h"

#define FILES 600u
#define FOLDERS 30u
#define LARGE (2u << 20)

static void write_file(VaultLab *lab, guint number, guint32 seed, gsize length)
{
  g_autofree char *name = g_strdup_printf("source/%02u/a-file-with-a-long-name-%u", number % FOLDERS, number);
  vault_lab_noise(lab, name, seed, length);
}

static GPtrArray *names_of(HfStore *store, const char *const *prefixes)
{
  GPtrArray *all = g_ptr_array_new_with_free_func(g_free);
  for (; *prefixes != NULL; prefixes++) {
    g_autoptr(GPtrArray) names = hf_store_list_names(store, *prefixes, NULL);
    g_assert_nonnull(names);
    for (guint i = 0; i < names->len; i++)
      g_ptr_array_add(all, g_strdup(names->pdata[i]));
  }
  return all;
}

/* ---- Copies. ---- */

/* A sibling in a folder of its own, opened by who may only write. */
static HfRepo *open_sibling(VaultLab *lab, const char *credential)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *path = vault_lab_path(lab, "sibling");
  HfStore *store = hf_local_open(path, TRUE, &error);
  g_assert_no_error(error);
  HfUnlock unlock = { .kind = HF_UNLOCK_KEY_FILE, .text = credential, .length = strlen(credential) };
  HfRepoOptions options = { .unlock = &unlock, .report = lab->report };
  HfRepo *repo = hf_repo_open(store, &options, &error);
  g_assert_no_error(error);
  return repo;
}

static void make_sibling(VaultLab *lab)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(HfRepo) owner = vault_lab_owner(lab, HF_TICKET_KEYS | HF_TICKET_READ);
  g_autofree char *path = vault_lab_path(lab, "sibling");
  HfStore *store = hf_local_open(path, TRUE, &error);
  g_assert_no_error(error);
  hf_repo_create_like(store, owner, &error);
  g_assert_no_error(error);
  hf_store_free(store);
}

static void back_up(HfRepo *repo, const char *source)
{
  g_autoptr(GError) error = NULL;
  HfBackupResult result;
  g_autoptr(GPtrArray) paths = g_ptr_array_new();
  g_ptr_array_add(paths, (gpointer)source);
  HfBackupOptions options = { .name = "source", .paths = paths, .codec = -1 };
  hf_backup(repo, &options, &result, &error);
  g_assert_no_error(error);
}

static void forget_oldest(HfRepo *repo)
{
  g_autoptr(GPtrArray) points = hf_points_load(repo, NULL, NULL);
  g_assert_true(hf_points_forget(repo, points->pdata[0], NULL));
}

static gboolean copy_points(VaultLab *lab, HfRepo *from, GPtrArray *points, GError **error)
{
  HfCopyResult result;
  VaultTicket ticket = { .rights = HF_TICKET_READ | HF_TICKET_COPY };
  g_autoptr(HfRepo) to = vault_lab_open(lab, &ticket, NULL, NULL);
  g_assert_nonnull(to);
  gboolean good = hf_copy(from, to, points, &result, error);
  g_assert_cmpuint(good ? result.points + result.points_there : points->len, ==, points->len);
  return good;
}

static void copy_all(VaultLab *lab, HfRepo *from)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GPtrArray) points = hf_points_load(from, NULL, NULL);
  copy_points(lab, from, points, &error);
  g_assert_no_error(error);
}

static void assert_whole(VaultLab *lab)
{
  g_autoptr(GError) error = NULL;
  VaultTicket ticket = { .rights = HF_TICKET_KEEP };
  g_autoptr(HfStore) store = vault_lab_store(lab, &ticket, 1, &error);
  g_assert_no_error(error);
  HfServiceVerified verified;
  hf_service_verify(store, 100, lab->report, &verified, &error);
  g_assert_no_error(error);
  g_assert_true(verified.good);
  g_assert_cmpuint(verified.missing_blobs, ==, 0);
}

/* What was forgotten and swept leaves metadata in frames that later points need as well: it is copied with them, and
 * what it names is not there any more. */
static void test_dead_in_frames(void)
{
  g_autoptr(VaultLab) lab = vault_lab_new();
  HfShortId writer;
  vault_lab_init(lab);
  g_autofree char *credential = vault_lab_writer(lab, "host", &writer), *source = vault_lab_path(lab, "source");
  make_sibling(lab);
  for (guint i = 0; i < FILES; i++)
    write_file(lab, i, i, i % 100 == 0 && i > 0 && i < 400 ? LARGE : 5000);
  for (guint round = 1; round < 4; round++) {
    g_autoptr(HfRepo) repo = open_sibling(lab, credential);
    back_up(repo, source);
    write_file(lab, 100 * round, 10000 * round, LARGE);
  }
  g_autoptr(HfRepo) repo = open_sibling(lab, credential);
  for (guint left = 2; left > 0; left--) {
    HfPruneOptions options = { 0 };
    HfPruneResult pruned;
    forget_oldest(repo);
    g_assert_true(hf_prune(repo, &options, &pruned, NULL));
    g_assert_cmpuint(pruned.swept_packs, >, 0);
    copy_all(lab, repo);
    assert_whole(lab);
  }
}

/* What a writer made before it was removed is still copied; what is dated later is not. */
static void test_removed_writer(void)
{
  g_autoptr(VaultLab) lab = vault_lab_new();
  g_autoptr(GError) error = NULL;
  HfShortId writer;
  vault_lab_init(lab);
  g_autofree char *credential = vault_lab_writer(lab, "host", &writer), *source = vault_lab_path(lab, "source");
  make_sibling(lab);
  g_autoptr(HfRepo) repo = open_sibling(lab, credential);
  write_file(lab, 1, 1, 5000);
  back_up(repo, source);
  g_autoptr(HfRepo) owner = vault_lab_owner(lab, HF_TICKET_KEYS | HF_TICKET_READ);
  hf_writers_remove(owner->store, &owner->config, owner->keys, &writer, 0, &error);
  g_assert_no_error(error);
  copy_all(lab, repo);
  assert_whole(lab);
  /* The sibling does not know yet. */
  write_file(lab, 2, 2, 5000);
  back_up(repo, source);
  g_autoptr(GPtrArray) points = hf_points_load(repo, NULL, NULL);
  g_assert_cmpuint(points->len, ==, 2);
  g_assert_false(copy_points(lab, repo, points, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_PERMISSION);
}

/* ---- Copies that lack something. ---- */

static HfId some_id(guint number)
{
  HfId id;
  memset(id.b, 0x5a, sizeof id.b);
  memcpy(id.b, &number, sizeof number);
  return id;
}

static Enemy *begin_copy(Siege *siege)
{
  Enemy *enemy = enemy_new(siege, 1, HF_TICKET_COPY, 0);
  HfSessionOpen copies = { .id = enemy->session, .purpose = HF_PURPOSE_COPY };
  g_autoptr(GBytes) copying = hf_session_open_encode(&copies);
  g_autofree char *name = enemy_name(enemy, "open");
  g_assert_true(enemy_put(enemy, name, copying));
  return enemy;
}

static gboolean commit_copy(Enemy *enemy, const HfId *root)
{
  g_auto(HfPoint) point = { 0 };
  enemy_point(enemy, root, &point);
  g_autoptr(GBytes) record = enemy_sign(enemy, &point);
  return enemy_outcome(enemy, HF_OUTCOME_COMMITTED, record);
}

/* Of two blobs of a frame one names what nobody has; also among so many that the service does not keep them all. */
static void test_lacking(void)
{
  g_autoptr(Siege) siege = siege_new();
  for (guint many = 0; many < 2; many++) {
    g_autoptr(Enemy) enemy = begin_copy(siege);
    HfId ids[2] = { some_id(1 + 2 * many), some_id(2 + 2 * many) };
    g_autoptr(GArray) refs = g_array_new(FALSE, FALSE, sizeof(HfId));
    HfId nowhere = some_id(100);
    g_array_append_val(refs, nowhere);
    g_autoptr(Frame) frame = frame_new(enemy, HF_PACK_META, ids, 2, refs);
    g_assert_true(enemy_frame(enemy, HF_PACK_META, frame));
    for (guint i = 0; many && i < 40; i++) {
      g_array_set_size(refs, HF_REFS_MAX);
      for (guint k = 0; k < HF_REFS_MAX; k++)
        g_array_index(refs, HfId, k) = some_id(100000 + i * HF_REFS_MAX + k);
      HfId id = some_id(1000 + i);
      g_autoptr(Frame) large = frame_new(enemy, HF_PACK_META, &id, 1, refs);
      g_assert_true(enemy_frame(enemy, HF_PACK_META, large));
    }
    g_assert_true(commit_copy(enemy, &ids[1]));
    g_assert_false(commit_copy(enemy, &ids[0]));
  }
}

/* ---- Passes. ---- */

static char *make_pass(VaultLab *lab, guint32 domain)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(HfRepo) repo = vault_lab_owner(lab, HF_TICKET_KEYS | HF_TICKET_READ);
  g_autoptr(GArray) slots = hf_service_slots(repo->store, domain, &error);
  g_assert_no_error(error);
  char *pass = hf_keyring_make_pass(repo->keys, domain, slots, &error);
  g_assert_no_error(error);
  return pass;
}

/* A run that finds nothing new stores no frame. */
static void test_pass_without_frames(void)
{
  static const char *const packs[] = { "data/", "meta/", NULL };
  g_autoptr(VaultLab) lab = vault_lab_new();
  g_autoptr(GError) error = NULL;
  HfShortId writer;
  HfBackupResult result;
  vault_lab_init(lab);
  g_autofree char *credential = vault_lab_writer(lab, "host", &writer), *source = vault_lab_path(lab, "source");
  g_autofree char *path = vault_lab_path(lab, "repo");
  g_autoptr(HfStore) local = hf_local_open(path, FALSE, &error);
  g_assert_no_error(error);
  write_file(lab, 1, 1, 5000);
  guint stored = 0;
  for (guint run = 0; run < 2; run++) {
    vault_lab_backup(lab, credential, &writer, 0, source, &result, &error);
    g_assert_no_error(error);
    g_autoptr(GPtrArray) names = names_of(local, packs);
    g_assert_true(run == 0 || names->len == stored);
    stored = names->len;
  }
  g_autofree char *pass = make_pass(lab, 1);
  VaultTicket ticket = { .rights = HF_TICKET_READ };
  g_autoptr(HfRepo) repo = vault_lab_open(lab, &ticket, pass, &error);
  g_assert_no_error(error);
  g_autoptr(GPtrArray) points = hf_points_load(repo, NULL, &error);
  g_assert_no_error(error);
  g_assert_cmpuint(points->len, ==, 2);
  for (guint i = 0; i < 2; i++)
    g_assert_nonnull(((HfPointInfo *)points->pdata[i])->details);
}

/* When the head of a pack is opened, a collector has just moved all. */
static struct {
  const HfSys *real;
  HfStore *store;
  GPtrArray *old, *names, *contents; /* `old` NULL: done, or not yet */
} move;

static gboolean is_to_go(const char *path)
{
  for (guint i = 0; move.old != NULL && i < move.old->len; i++)
    if (g_str_has_suffix(path, strrchr(move.old->pdata[i], '/')))
      return TRUE;
  return FALSE;
}

static int move_and_open(int dirfd, const char *path, int flags, mode_t mode)
{
  if (is_to_go(path)) {
    GPtrArray *old = g_steal_pointer(&move.old);
    for (guint i = 0; i < move.names->len; i++)
      g_assert_true(hf_store_put(move.store, move.names->pdata[i], g_bytes_get_data(move.contents->pdata[i], NULL),
                                 g_bytes_get_size(move.contents->pdata[i]), NULL));
    for (guint i = 0; i < old->len; i++)
      g_assert_true(hf_store_remove(move.store, old->pdata[i], NULL));
  }
  return move.real->openat(dirfd, path, flags, mode);
}

static HfShortId newest_session(VaultLab *lab)
{
  g_autoptr(HfRepo) repo = vault_lab_owner(lab, HF_TICKET_KEEP);
  g_autoptr(GPtrArray) points = hf_points_load(repo, NULL, NULL);
  return ((HfPointInfo *)points->pdata[points->len - 1])->point.session;
}

static void test_pass_while_swept(void)
{
  static const char *const packs[] = { "data/", "meta/", "mirror/", NULL }, *const points[] = { "points/", NULL };
  g_autoptr(VaultLab) lab = vault_lab_new();
  g_autoptr(GError) error = NULL;
  HfShortId writer;
  HfBackupResult result;
  vault_lab_init(lab);
  g_autofree char *credential = vault_lab_writer(lab, "host", &writer), *source = vault_lab_path(lab, "source");
  g_autofree char *path = vault_lab_path(lab, "repo");
  g_autoptr(HfStore) local = hf_local_open(path, FALSE, &error);
  g_autoptr(GPtrArray) old = NULL, all = NULL, contents = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
  for (guint run = 0; run < 2; run++) {
    write_file(lab, run, run, 5000);
    vault_lab_backup(lab, credential, &writer, 0, source, &result, &error);
    g_assert_no_error(error);
    all = names_of(local, packs);
    if (run == 0)
      old = g_steal_pointer(&all);
  }
  HfShortId second = newest_session(lab);
  vault_lab_join(lab);
  /* What the second stored takes the place of what the first did; points, which bring slots of their own, are gone. */
  for (guint i = all->len; i-- > 0;)
    if (g_ptr_array_find_with_equal_func(old, all->pdata[i], g_str_equal, NULL))
      g_ptr_array_remove_index(all, i);
  g_assert_cmpuint(all->len, >, 0);
  for (guint i = 0; i < all->len; i++) {
    g_ptr_array_add(contents, hf_store_get_all(local, all->pdata[i], 64 << 20, NULL));
    g_assert_true(hf_store_remove(local, all->pdata[i], NULL));
  }
  g_autoptr(GPtrArray) listed = names_of(local, points);
  for (guint i = 0; i < listed->len; i++)
    g_assert_true(hf_store_remove(local, listed->pdata[i], NULL));
  HfDepot *depot = hf_depot_open(path, FALSE, &error);
  g_assert_no_error(error);
  HfSessionSlot slot;
  HfSys table = *hf_sys;
  move.real = hf_sys;
  move.store = local;
  move.old = old;
  move.names = all;
  move.contents = contents;
  table.openat = move_and_open;
  hf_sys = &table;
  g_autoptr(GByteArray) slots = hf_vault_slots(depot, 1, &error);
  hf_sys = move.real;
  g_assert_null(move.old);
  g_assert_no_error(error);
  g_assert_cmpuint(slots->len, ==, HF_SESSION_SLOT_BYTES);
  g_assert_true(hf_session_slot_decode(slots->data, &slot));
  g_assert_true(hf_short_id_equal(&slot.session, &second));
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/copy/dead-in-frames", test_dead_in_frames);
  g_test_add_func("/copy/removed-writer", test_removed_writer);
  g_test_add_func("/copy/lacking", test_lacking);
  g_test_add_func("/pass/without-frames", test_pass_without_frames);
  g_test_add_func("/pass/while-swept", test_pass_while_swept);
  return g_test_run();
}
