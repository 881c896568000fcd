/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "treelab.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/error.h"
#include "engine/backup/backup.h"
#include "fixture.h"
#include "repo/objects.h"
#include "storage/local/local.h"

/* ---- The repository. ---- */

static void note_warning(gpointer user, const char *path, const char *message)
{
  TreeLab *lab = user;
  HF_LOCK(&lab->lock);
  g_ptr_array_add(lab->warnings, g_strdup_printf("%s: %s", path != NULL ? path : "", message));
}

static void note_progress(gpointer user, const HfProgress *progress, gboolean last)
{
  TreeLab *lab = user;
  (void)last;
  if (lab->cancel_at > 0 && progress->bytes_done >= lab->cancel_at)
    hf_cancel_set(&lab->cancel);
}

static void open_repository(TreeLab *lab)
{
  g_autofree char *path = tree_lab_path(lab, "repo");
  g_autoptr(GError) error = NULL;
  const HfUnlock unlock = { .kind = HF_UNLOCK_NONE };
  char *made = NULL;
  HfConfig config = { 0 };
  hf_config_defaults(&config);
  config.chunk_minimum = 4096;
  config.chunk_average = 16384;
  config.chunk_maximum = 65536;
  config.frame_target = 65536;
  config.meta_frame_target = 16384;
  config.pack_target = 512 << 10;
  config.meta_pack_target = 256 << 10;
  config.block_size = 256 << 10;
  config.parity = 0;
  HfStore *store = hf_local_open(path, TRUE, &error);
  g_assert_no_error(error);
  hf_repo_create(store, &config, &unlock, &made, &error);
  g_assert_no_error(error);
  g_free(made);
  HfRepoOptions options = { .unlock = &unlock, .report = lab->report, .cancel = &lab->cancel };
  lab->repo = hf_repo_open(store, &options, &error);
  g_assert_no_error(error);
}

TreeLab *tree_lab_new(void)
{
  static const HfReportOps ops = { .warning = note_warning, .progress = note_progress };
  TreeLab *lab = g_new0(TreeLab, 1);
  g_autoptr(GError) error = NULL;
  hf_crypto_init(&error);
  g_assert_no_error(error);
  gboolean in_memory = g_getenv("TMPDIR") == NULL && g_access("/dev/shm", W_OK) == 0;
  lab->folder = g_build_filename(in_memory ? "/dev/shm" : g_get_tmp_dir(), "holdfast-XXXXXX", NULL);
  g_assert_nonnull(g_mkdtemp(lab->folder));
  g_mutex_init(&lab->lock);
  lab->warnings = g_ptr_array_new_with_free_func(g_free);
  lab->report = hf_report_new(&ops, lab);
  open_repository(lab);
  return lab;
}

void tree_lab_free(TreeLab *lab)
{
  hf_repo_free(lab->repo);
  hf_report_free(lab->report);
  hf_fixture_remove(lab->folder);
  g_ptr_array_unref(lab->warnings);
  g_mutex_clear(&lab->lock);
  g_free(lab->folder);
  g_free(lab);
}

char *tree_lab_path(TreeLab *lab, const char *name)
{
  return g_build_filename(lab->folder, name, NULL);
}

void tree_lab_file(TreeLab *lab, const char *name, const void *bytes, gsize length)
{
  g_autofree char *path = tree_lab_path(lab, name), *folder = g_path_get_dirname(path);
  g_autoptr(GError) error = NULL;
  g_assert_cmpint(g_mkdir_with_parents(folder, 0755), ==, 0);
  g_file_set_contents(path, bytes, (gssize)length, &error);
  g_assert_no_error(error);
}

void tree_lab_text(TreeLab *lab, const char *name, const char *text)
{
  tree_lab_file(lab, name, text, strlen(text));
}

void tree_lab_holds(TreeLab *lab, const char *name, const char *text)
{
  g_autofree char *path = tree_lab_path(lab, name), *found = NULL;
  struct stat status;
  if (text == NULL) {
    g_assert_cmpint(lstat(path, &status), <, 0);
    return;
  }
  g_assert_true(g_file_get_contents(path, &found, NULL, NULL));
  g_assert_cmpstr(found, ==, text);
}

gboolean tree_lab_warned(TreeLab *lab, const char *text)
{
  HF_LOCK(&lab->lock);
  for (guint i = 0; i < lab->warnings->len; i++)
    if (strstr(lab->warnings->pdata[i], text) != NULL)
      return TRUE;
  for (guint i = 0; i < lab->warnings->len; i++)
    g_test_message("warned: %s", (char *)lab->warnings->pdata[i]);
  return FALSE;
}

guint tree_lab_warnings(TreeLab *lab)
{
  HF_LOCK(&lab->lock);
  for (guint i = 0; i < lab->warnings->len; i++)
    g_test_message("warned: %s", (char *)lab->warnings->pdata[i]);
  return lab->warnings->len;
}

void tree_lab_forget(TreeLab *lab)
{
  HF_LOCK(&lab->lock);
  g_ptr_array_set_size(lab->warnings, 0);
}

/* ---- Points by backup. ---- */

HfPointInfo *tree_lab_newest(TreeLab *lab)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GPtrArray) points = hf_points_load(lab->repo, NULL, &error);
  g_assert_no_error(error);
  g_assert_cmpuint(points->len, >, 0);
  g_ptr_array_set_free_func(points, NULL);
  for (guint i = 0; i + 1 < points->len; i++)
    hf_point_info_free(points->pdata[i]);
  return points->pdata[points->len - 1];
}

static HfPointInfo *back_up(TreeLab *lab, GPtrArray *paths, gboolean disks)
{
  g_autoptr(GError) error = NULL;
  HfBackupOptions options = { .name = "lab", .paths = paths, .disks = disks, .codec = -1, .rescan = TRUE };
  HfBackupResult result;
  hf_backup(lab->repo, &options, &result, &error);
  g_assert_no_error(error);
  return tree_lab_newest(lab);
}

HfPointInfo *tree_lab_backup(TreeLab *lab, const char *path)
{
  g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
  g_ptr_array_add(paths, tree_lab_path(lab, path));
  return back_up(lab, paths, FALSE);
}

HfPointInfo *tree_lab_backup_disk(TreeLab *lab, const char *path)
{
  g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
  g_ptr_array_add(paths, tree_lab_path(lab, path));
  return back_up(lab, paths, TRUE);
}

/* ---- Points by hand. ---- */

void maker_begin(Maker *maker, TreeLab *lab)
{
  g_autoptr(GError) error = NULL;
  maker->lab = lab;
  maker->session = hf_session_open(lab->repo, HF_PURPOSE_BACKUP, &error);
  g_assert_no_error(error);
  if (lab->repo->index == NULL)
    hf_repo_load_index(lab->repo, &error);
  else
    hf_index_refresh(lab->repo->index, &error);
  g_assert_no_error(error);
  maker->store = hf_blob_store_new(maker->session, lab->repo, -1, 0, &error);
  g_assert_no_error(error);
  maker->writer = hf_blob_writer_new(maker->store);
}

HfId maker_blob(Maker *maker, HfBlobType type, const HfId *refs, guint ref_count, const void *payload, gsize length)
{
  g_autoptr(GError) error = NULL;
  HfId id;
  hf_blob_write(maker->writer, type, refs, ref_count, payload, length, &id, NULL, &error);
  g_assert_no_error(error);
  return id;
}

HfId maker_text(Maker *maker, const char *text)
{
  return maker_blob(maker, HF_BLOB_DATA, NULL, 0, text, strlen(text));
}

HfId maker_block(Maker *maker, const void *bytes, gsize length)
{
  g_autoptr(GError) error = NULL;
  HfId id;
  hf_block_write(maker->writer, bytes, length, &id, NULL, &error);
  g_assert_no_error(error);
  return id;
}

HfId maker_lost(void)
{
  HfId id;
  hf_random(id.b, sizeof id.b);
  return id;
}

static HfId store_page(Maker *maker, HfBlobType type, const HfEntry *entries, guint count, const HfId *tail)
{
  HfPageWriter page;
  hf_page_begin(&page, type == HF_BLOB_ROOTS, tail);
  for (guint i = 0; i < count; i++)
    hf_page_add(&page, &entries[i]);
  HfId id = maker_blob(maker, type, (const HfId *)(void *)page.refs->data, page.refs->len, page.payload->data,
                       page.payload->len);
  hf_page_clear(&page);
  return id;
}

HfId maker_page(Maker *maker, const HfEntry *entries, guint count, const HfId *tail)
{
  return store_page(maker, HF_BLOB_PAGE, entries, count, tail);
}

HfId maker_node(Maker *maker, guint8 level, const HfNodeItem *items, guint count)
{
  g_autoptr(GByteArray) payload = g_byte_array_new();
  g_autoptr(GArray) refs = g_array_new(FALSE, FALSE, sizeof(HfId));
  hf_node_begin(payload, level);
  for (guint i = 0; i < count; i++)
    hf_node_add(payload, refs, &items[i]);
  return maker_blob(maker, HF_BLOB_PAGE, (const HfId *)(void *)refs->data, refs->len, payload->data, payload->len);
}

HfId maker_list(Maker *maker, guint8 level, const HfListItem *items, guint count)
{
  g_autoptr(GByteArray) payload = g_byte_array_new();
  g_autoptr(GArray) refs = g_array_new(FALSE, FALSE, sizeof(HfId));
  hf_list_begin(payload, level);
  for (guint i = 0; i < count; i++)
    hf_list_add(payload, refs, level, &items[i]);
  return maker_blob(maker, HF_BLOB_LIST, (const HfId *)(void *)refs->data, refs->len, payload->data, payload->len);
}

HfId maker_map(Maker *maker, guint8 level, const HfId *refs, guint count)
{
  static const HfId none;
  guint8 present[HF_MAP_FANOUT];
  g_autoptr(GByteArray) payload = g_byte_array_new();
  g_autoptr(GArray) used = g_array_new(FALSE, FALSE, sizeof(HfId));
  for (guint i = 0; i < count; i++) {
    present[i] = refs != NULL && !hf_id_equal(&refs[i], &none);
    if (present[i])
      g_array_append_val(used, refs[i]);
  }
  hf_map_encode(level, present, count, payload);
  return maker_blob(maker, HF_BLOB_MAP, (const HfId *)(void *)used->data, used->len, payload->data, payload->len);
}

HfPointInfo *maker_commit(Maker *maker, const HfEntry *roots, guint count, const HfId *tail)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(HfPointDetails) details = hf_point_details_new();
  g_auto(HfPoint) point = { .domain = hf_keyring_domain(maker->lab->repo->keys) };
  HfKeyring *keys = maker->lab->repo->keys;
  g_auto(HfKey) key;
  point.roots = store_page(maker, HF_BLOB_ROOTS, roots, count, tail);
  g_assert_true(hf_keyring_domain_key(keys, point.domain, &key, NULL));
  g_autoptr(HfIdentity) identity = hf_identity_new(&key);
  hf_identity_source(identity, "lab", &point.source);
  details->name = g_strdup("lab");
  details->host = g_strdup("host");
  details->user = g_strdup("user");
  details->program = g_strdup("test");
  g_assert_true(hf_blob_writer_flush(maker->writer, &error));
  g_assert_true(hf_blob_store_flush(maker->store, &error));
  hf_session_commit(maker->session, &point, details, &error);
  g_assert_no_error(error);
  hf_blob_writer_free(maker->writer);
  hf_blob_store_free(maker->store);
  hf_session_free(maker->session);
  return tree_lab_newest(maker->lab);
}

/* ---- What is done to points. ---- */

void tree_lab_forget_point(HfRepo *repo, HfPointInfo *info)
{
  GError *error = NULL;
  hf_points_forget(repo, info, &error);
  g_assert_no_error(error);
}

HfPruneResult tree_lab_prune(HfRepo *repo)
{
  GError *error = NULL;
  HfPruneOptions options = { 0 };
  HfPruneResult result;
  hf_prune(repo, &options, &result, &error);
  g_assert_no_error(error);
  return result;
}

HfShortId tree_lab_far_session(HfStore *store)
{
  HfSessionOpen open = { .purpose = HF_PURPOSE_READ, .pid = 5, .pid_namespace = 7, .started = hf_clock_real_ns() };
  char name[HF_NAME_BYTES];
  hf_random(open.id.b, sizeof open.id.b);
  hf_random(open.boot.b, sizeof open.boot.b);
  g_autoptr(GBytes) record = hf_session_open_encode(&open);
  hf_name_session(name, &open.id, "open");
  g_assert_true(hf_store_put(store, name, g_bytes_get_data(record, NULL), g_bytes_get_size(record), NULL));
  hf_name_session(name, &open.id, "beat.1");
  g_assert_true(hf_store_put(store, name, NULL, 0, NULL));
  return open.id;
}

/* ---- Asserting. ---- */

void assert_bytes(const void *found, gsize found_length, const void *wanted, gsize length)
{
  g_assert_cmpuint(found_length, ==, length);
  g_assert_true(length == 0 || memcmp(found, wanted, length) == 0);
}

void assert_code(const GError *error, HfErrorCode code)
{
  g_assert_error(error, HF_ERROR, (gint)code);
}

/* ---- Entries. ---- */

HfView view_of(const char *text)
{
  return (HfView){ (const guint8 *)text, strlen(text) };
}

static HfEntry entry_of(const char *name, guint32 mode)
{
  return (HfEntry){ .name = view_of(name), .mode = mode, .mtime_sec = 1700000000, .mtime_nsec = 123456789,
                    .ctime_sec = 1700000001, .inode = g_str_hash(name), .uid = (guint32)getuid(),
                    .gid = (guint32)getgid() };
}

HfEntry folder_entry(const char *name, const HfId *page)
{
  HfEntry entry = entry_of(name, S_IFDIR | 0755);
  entry.content = page != NULL ? HF_CONTENT_PAGE : HF_CONTENT_NONE;
  if (page != NULL)
    entry.ref = *page;
  return entry;
}

HfEntry file_entry(const char *name, HfContent content, guint64 size, const HfId *ref)
{
  HfEntry entry = entry_of(name, S_IFREG | 0644);
  entry.content = (guint8)content;
  entry.size = size;
  if (ref != NULL)
    entry.ref = *ref;
  return entry;
}

HfEntry symlink_entry(const char *name, const char *target)
{
  HfEntry entry = entry_of(name, S_IFLNK | 0777);
  entry.target = view_of(target);
  return entry;
}

HfEntry disk_entry(const char *path, guint64 size, const HfId *map)
{
  HfEntry entry = { .name = view_of(path), .size = size, .block_size = 256 << 10, .sector_size = 512 };
  entry.content = map != NULL ? HF_CONTENT_MAP : HF_CONTENT_NONE;
  if (map != NULL)
    entry.ref = *map;
  return entry;
}

/* ---- Looking. ---- */

void eyes_open(Eyes *eyes, TreeLab *lab, const HfPointInfo *info)
{
  g_autoptr(GError) error = NULL;
  if (lab->repo->index == NULL)
    hf_repo_load_index(lab->repo, &error);
  else
    hf_index_refresh(lab->repo->index, &error);
  g_assert_no_error(error);
  eyes->cache = hf_blob_cache_new(lab->repo, 4 << 20);
  eyes->browser = hf_browser_new(lab->repo, eyes->cache);
  eyes->tree = hf_tree_open(eyes->browser, &info->point, &error);
  g_assert_no_error(error);
}

void eyes_close(Eyes *eyes)
{
  hf_tree_free(eyes->tree);
  hf_browser_free(eyes->browser);
  hf_blob_cache_free(eyes->cache);
}
