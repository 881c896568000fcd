/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repolab.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "storage/local/local.h"
#include "storage/wrap/pass.h"

const HfUnlock lab_no_key = { .kind = HF_UNLOCK_NONE };

/* ---- The folder. ---- */

static void note_warning(gpointer user, const char *path, const char *message)
{
  Lab *lab = user;
  g_mutex_lock(&lab->mutex);
  g_ptr_array_add(lab->warnings, g_strdup_printf("%s: %s", path == NULL ? "" : path, message));
  g_mutex_unlock(&lab->mutex);
}

static void note_item(gpointer user, const char *path, const char *what)
{
  Lab *lab = user;
  g_mutex_lock(&lab->mutex);
  g_ptr_array_add(lab->items, g_strdup_printf("%s: %s", path, what));
  g_mutex_unlock(&lab->mutex);
}

Lab *lab_new(void)
{
  static const HfReportOps ops = { .warning = note_warning, .item = note_item };
  Lab *lab = g_new0(Lab, 1);
  /* In memory where possible: the faults below make thousands of repositories. */
  gboolean in_memory = g_getenv("TMPDIR") == NULL && g_access("/dev/shm", W_OK) == 0;
  lab->folder = g_build_filename(in_memory ? "/dev/shm" : g_get_tmp_dir(), "holdfast-XXXXXX", NULL);
  g_assert_nonnull(g_mkdtemp(lab->folder));
  g_mutex_init(&lab->mutex);
  lab->warnings = g_ptr_array_new_with_free_func(g_free);
  lab->items = g_ptr_array_new_with_free_func(g_free);
  lab->report = hf_report_new(&ops, lab);
  return lab;
}

static void remove_tree(const char *path)
{
  GDir *dir = g_dir_open(path, 0, NULL);
  const char *name;
  while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
    g_autofree char *child = g_build_filename(path, name, NULL);
    remove_tree(child);
  }
  if (dir != NULL)
    g_dir_close(dir);
  g_remove(path);
}

void lab_free(Lab *lab)
{
  remove_tree(lab->folder);
  hf_report_free(lab->report);
  g_ptr_array_unref(lab->warnings);
  g_ptr_array_unref(lab->items);
  g_mutex_clear(&lab->mutex);
  g_free(lab->folder);
  g_free(lab);
}

static gboolean any_has(const GPtrArray *lines, const char *text)
{
  for (guint i = 0; i < lines->len; i++)
    if (strstr(g_ptr_array_index(lines, i), text) != NULL)
      return TRUE;
  return FALSE;
}

gboolean lab_warned(Lab *lab, const char *text)
{
  return any_has(lab->warnings, text);
}

gboolean lab_noted(Lab *lab, const char *text)
{
  return any_has(lab->items, text);
}

void lab_forget_report(Lab *lab)
{
  g_ptr_array_set_size(lab->warnings, 0);
  g_ptr_array_set_size(lab->items, 0);
}

/* ---- The store that calls the test. ---- */

typedef struct Hooked {
  HfPass pass;
  Hook hook;
  gpointer user;
} Hooked;

static gboolean struck(HfStore *store, gboolean before, HookOp op, const char *name, GError **error)
{
  Hooked *hooked = (Hooked *)store;
  int code = hooked->hook(before, op, name, hooked->user);
  if (code != 0)
    hf_fail(error, (HfErrorCode)code, "a fault struck '%s'", name);
  return code != 0;
}

static HfPut *hooked_begin(HfStore *store, const char *name, GError **error)
{
  return hf_pass_put_new(store, name, sizeof(HfPassPut), error);
}

static gboolean hooked_commit(HfPut *put, GError **error)
{
  return !struck(put->store, TRUE, HOOK_PUT, put->name, error) && hf_pass_put_commit(put, error) &&
    !struck(put->store, FALSE, HOOK_PUT, put->name, error);
}

static gboolean hooked_get(HfStore *store, const char *name, guint64 offset, void *bytes, gsize length, GError **error)
{
  return !struck(store, TRUE, HOOK_GET, name, error) && hf_pass_get(store, name, offset, bytes, length, error) &&
    !struck(store, FALSE, HOOK_GET, name, error);
}

static gboolean hooked_size(HfStore *store, const char *name, guint64 *size, GError **error)
{
  return !struck(store, TRUE, HOOK_SIZE, name, error) && hf_pass_size(store, name, size, error) &&
    !struck(store, FALSE, HOOK_SIZE, name, error);
}

static gboolean hooked_list(HfStore *store, const char *prefix, HfStoreListFunc func, gpointer user, GError **error)
{
  return !struck(store, TRUE, HOOK_LIST, prefix, error) && hf_pass_list(store, prefix, func, user, error) &&
    !struck(store, FALSE, HOOK_LIST, prefix, error);
}

static gboolean hooked_remove(HfStore *store, const char *name, GError **error)
{
  return !struck(store, TRUE, HOOK_REMOVE, name, error) && hf_pass_remove(store, name, error) &&
    !struck(store, FALSE, HOOK_REMOVE, name, error);
}

static const HfStoreOps hooked_ops = {
  .put_begin = hooked_begin,
  .put_write = hf_pass_put_write,
  .put_read = hf_pass_put_read,
  .put_commit = hooked_commit,
  .put_free = hf_pass_put_free,
  .get = hooked_get,
  .size = hooked_size,
  .list = hooked_list,
  .remove = hooked_remove,
  .free = hf_pass_free,
  .usage = hf_pass_usage,
};

HfStore *lab_store(Lab *lab)
{
  g_autoptr(GError) error = NULL;
  HfStore *store = hf_local_open(lab->folder, FALSE, &error);
  g_assert_no_error(error);
  return store;
}

HfStore *lab_hooked(Lab *lab, Hook hook, gpointer user)
{
  Hooked *hooked = g_new0(Hooked, 1);
  hooked->hook = hook;
  hooked->user = user;
  hf_pass_init(&hooked->pass, &hooked_ops, lab_store(lab));
  return &hooked->pass.store;
}

int fault_hook(gboolean before, HookOp op, const char *name, gpointer user)
{
  Fault *fault = user;
  (void)op;
  (void)name;
  if (before)
    fault->calls++;
  gboolean due =
      fault->strike != 0 && (fault->calls == fault->strike || (fault->persist && fault->calls > fault->strike));
  return due && before != fault->after ? fault->code : 0;
}

/* ---- Repositories. ---- */

HfUnlock lab_text(HfUnlockKind kind, const char *text)
{
  return (HfUnlock){ kind, text, strlen(text) };
}

char *lab_init(Lab *lab, const HfUnlock *unlock)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(HfStore) store = lab_store(lab);
  HfConfig config = { 0 };
  char *made = NULL;
  hf_config_defaults(&config);
  hf_repo_create(store, &config, unlock, &made, &error);
  g_assert_no_error(error);
  return made;
}

Lab *lab_with_repo(void)
{
  Lab *lab = lab_new();
  g_assert_null(lab_init(lab, &lab_no_key));
  return lab;
}

HfRepo *lab_open(Lab *lab, HfStore *store, const HfUnlock *unlock)
{
  g_autoptr(GError) error = NULL;
  HfRepoOptions options = { .unlock = unlock, .report = lab->report };
  HfRepo *repo = hf_repo_open(store != NULL ? store : lab_store(lab), &options, &error);
  g_assert_no_error(error);
  return repo;
}

HfRepo *lab_open_full(Lab *lab)
{
  return lab_open(lab, NULL, &lab_no_key);
}

HfRepo *lab_open_read_only(Lab *lab)
{
  g_autoptr(GError) error = NULL;
  HfRepoOptions options = { .unlock = &lab_no_key, .report = lab->report, .read_only = TRUE };
  HfRepo *repo = hf_repo_open(lab_store(lab), &options, &error);
  g_assert_no_error(error);
  return repo;
}

/* ---- Objects as files. ---- */

static char *path_of(Lab *lab, const char *name)
{
  return g_build_filename(lab->folder, name, NULL);
}

gboolean lab_has(Lab *lab, const char *name)
{
  g_autofree char *path = path_of(lab, name);
  return g_file_test(path, G_FILE_TEST_EXISTS);
}

GPtrArray *lab_names(Lab *lab, const char *prefix)
{
  g_autoptr(HfStore) store = lab_store(lab);
  GPtrArray *names = hf_store_list_names(store, prefix, NULL);
  g_assert_nonnull(names);
  return names;
}

char *lab_name(Lab *lab, const char *prefix, guint at)
{
  g_autoptr(GPtrArray) names = lab_names(lab, prefix);
  g_assert_cmpuint(names->len, >, at);
  return g_strdup(g_ptr_array_index(names, at));
}

void lab_drop(Lab *lab, const char *name)
{
  g_autofree char *path = path_of(lab, name);
  g_assert_cmpint(g_remove(path), ==, 0);
}

void lab_drop_all(Lab *lab, const char *prefix)
{
  g_autoptr(GPtrArray) names = lab_names(lab, prefix);
  for (guint i = 0; i < names->len; i++)
    lab_drop(lab, g_ptr_array_index(names, i));
}

GBytes *lab_get(Lab *lab, const char *name)
{
  g_autofree char *path = path_of(lab, name);
  g_autoptr(GError) error = NULL;
  char *bytes;
  gsize length;
  g_file_get_contents(path, &bytes, &length, &error);
  g_assert_no_error(error);
  return g_bytes_new_take(bytes, length);
}

void lab_put(Lab *lab, const char *name, const void *bytes, gsize length)
{
  g_autofree char *path = path_of(lab, name), *folder = g_path_get_dirname(path);
  g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
  g_remove(path);
  g_assert_true(g_file_set_contents(path, bytes, (gssize)length, NULL));
}

void lab_put_triple(Lab *lab, const char *base, GBytes *record)
{
  for (guint i = 0; i < 3; i++) {
    g_autofree char *name = g_strdup_printf("%s.%u", base, i);
    lab_put(lab, name, g_bytes_get_data(record, NULL), g_bytes_get_size(record));
  }
}

void lab_flip(Lab *lab, const char *name, gsize offset)
{
  g_autoptr(GBytes) bytes = lab_get(lab, name);
  gsize length = g_bytes_get_size(bytes);
  g_autofree guint8 *copy = g_memdup2(g_bytes_get_data(bytes, NULL), length);
  g_assert_cmpuint(offset, <, length);
  copy[offset] ^= 0x10;
  lab_put(lab, name, copy, length);
}

void lab_cut(Lab *lab, const char *name, gsize length)
{
  g_autoptr(GBytes) bytes = lab_get(lab, name);
  g_assert_cmpuint(length, <, g_bytes_get_size(bytes));
  lab_put(lab, name, g_bytes_get_data(bytes, NULL), length);
}

char *lab_digest(Lab *lab)
{
  g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
  g_autoptr(GPtrArray) names = lab_names(lab, "");
  for (guint i = 0; i < names->len; i++) {
    g_autoptr(GBytes) bytes = lab_get(lab, g_ptr_array_index(names, i));
    g_checksum_update(sum, g_ptr_array_index(names, i), -1);
    g_checksum_update(sum, g_bytes_get_data(bytes, NULL), (gssize)g_bytes_get_size(bytes));
  }
  return g_strdup(g_checksum_get_string(sum));
}

/* ---- Points. ---- */

HfPointDetails *lab_details(const char *name)
{
  HfPointDetails *details = hf_point_details_new();
  details->name = g_strdup(name);
  details->host = g_strdup("host");
  details->user = g_strdup("user");
  details->program = g_strdup("test");
  g_ptr_array_add(details->tags, g_strdup("tag"));
  g_ptr_array_add(details->roots, hf_point_root_new("/data", 5, 1));
  return details;
}

void lab_fill(HfPoint *point, HfRepo *repo)
{
  memset(point, 0, sizeof *point);
  point->domain = hf_keyring_domain(repo->keys);
  hf_random(point->roots.b, sizeof point->roots.b);
  memset(point->source.b, 7, sizeof point->source.b);
}

gboolean lab_try_commit(HfSession *session, HfRepo *repo, const char *name, HfShortId *id, GError **error)
{
  g_auto(HfPoint) point;
  g_autoptr(HfPointDetails) details = lab_details(name);
  lab_fill(&point, repo);
  gboolean done = hf_session_commit(session, &point, details, error);
  if (id != NULL)
    *id = point.id;
  return done;
}

HfShortId lab_commit(HfRepo *repo, const char *name)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(HfSession) session = hf_session_open(repo, HF_PURPOSE_BACKUP, &error);
  HfShortId id;
  g_assert_no_error(error);
  lab_try_commit(session, repo, name, &id, &error);
  g_assert_no_error(error);
  return id;
}
