/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "vaultlab.h"

#include <glib/gstdio.h>
#include <string.h>

#include "agent/vault/vault.h"
#include "base/error.h"
#include "fixture.h"
#include "storage/local/local.h"

static void note_warning(gpointer user, const char *path, const char *message)
{
  VaultLab *lab = user;
  HF_LOCK(&lab->lock);
  g_ptr_array_add(lab->warnings, g_strdup_printf("%s: %s", path != NULL ? path : "", message));
}

VaultLab *vault_lab_new(void)
{
  static const HfReportOps ops = { .warning = note_warning };
  VaultLab *lab = g_new0(VaultLab, 1);
  g_autoptr(GError) error = NULL;
  hf_crypto_init(&error);
  g_assert_no_error(error);
  hf_local_register();
  gboolean in_memory = g_getenv("TMPDIR") == NULL && g_access("/dev/shm", W_OK) == 0;
  lab->folder = g_build_filename(in_memory ? "/dev/shm" : g_get_tmp_dir(), "holdfast-XXXXXX", NULL);
  g_assert_nonnull(g_mkdtemp(lab->folder));
  g_mutex_init(&lab->lock);
  lab->warnings = g_ptr_array_new_with_free_func(g_free);
  lab->threads = g_ptr_array_new();
  lab->report = hf_report_new(&ops, lab);
  return lab;
}

void vault_lab_free(VaultLab *lab)
{
  vault_lab_join(lab);
  hf_depots_close();
  g_ptr_array_unref(lab->threads);
  hf_report_free(lab->report);
  hf_fixture_remove(lab->folder);
  g_ptr_array_unref(lab->warnings);
  g_mutex_clear(&lab->lock);
  g_free(lab->folder);
  g_free(lab);
}

char *vault_lab_path(VaultLab *lab, const char *name)
{
  return g_build_filename(lab->folder, name, NULL);
}

void vault_lab_noise(VaultLab *lab, const char *name, guint32 seed, gsize length)
{
  g_autofree char *path = vault_lab_path(lab, name), *folder = g_path_get_dirname(path);
  g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
  g_autofree guint8 *bytes = g_malloc(length);
  for (gsize i = 0; i < length; i++)
    bytes[i] = (guint8)g_rand_int(rand);
  g_mkdir_with_parents(folder, 0700);
  g_assert_true(g_file_set_contents(path, (const char *)bytes, (gssize)length, NULL));
}

/* ---- Services. ---- */

typedef struct Service {
  VaultLab *lab;
  HfChannel *channel;
  HfTicket *ticket;
} Service;

static gpointer serve(gpointer data)
{
  Service *service = data;
  g_autoptr(GError) why = NULL;
  /* How it ended is what the visitor's errors are about. */
  hf_vault_serve(service->channel, service->ticket, "visitor", &service->lab->cancel, &why);
  hf_channel_free(service->channel);
  hf_ticket_free(service->ticket);
  g_free(service);
  return NULL;
}

HfTicket *vault_lab_ticket(VaultLab *lab, const VaultTicket *wanted)
{
  HfTicket *ticket = hf_ticket_new();
  HfRepositoryTerms terms = { .create = wanted->create, .lock = wanted->lock };
  hf_random(ticket->id.b, sizeof ticket->id.b);
  ticket->kind = HF_TICKET_REPOSITORY;
  ticket->repository = vault_lab_path(lab, "repo");
  ticket->rights = wanted->rights;
  ticket->writer = wanted->writer;
  g_clear_pointer(&ticket->terms, g_bytes_unref);
  ticket->terms = hf_repository_terms_encode(&terms);
  return ticket;
}

HfChannel *vault_lab_connect(VaultLab *lab, const HfTicket *ticket)
{
  HfChannel *ours;
  Service *service = g_new0(Service, 1);
  service->lab = lab;
  g_assert_true(hf_channel_pair(&ours, &service->channel, NULL));
  service->ticket = hf_ticket_copy(ticket);
  g_ptr_array_add(lab->threads, g_thread_new("service", serve, service));
  return ours;
}

HfStore *vault_lab_store(VaultLab *lab, const VaultTicket *wanted, guint connections, GError **error)
{
  g_autoptr(HfTicket) ticket = vault_lab_ticket(lab, wanted);
  GPtrArray *channels = g_ptr_array_new_with_free_func((GDestroyNotify)hf_channel_free);
  for (guint i = 0; i < connections; i++)
    g_ptr_array_add(channels, vault_lab_connect(lab, ticket));
  HfServiceOptions options = { .location = "lab:/repo" };
  return hf_service_store_new(channels, &options, error);
}

void vault_lab_join(VaultLab *lab)
{
  for (guint i = 0; i < lab->threads->len; i++)
    g_thread_join(lab->threads->pdata[i]);
  g_ptr_array_set_size(lab->threads, 0);
}

HfRepo *vault_lab_open(VaultLab *lab, const VaultTicket *ticket, const char *text, GError **error)
{
  HfStore *store = vault_lab_store(lab, ticket, 4, error);
  HfUnlock unlock = { .kind = HF_UNLOCK_KEY_FILE, .text = text, .length = text != NULL ? strlen(text) : 0 };
  HfRepoOptions options = { .unlock = text != NULL ? &unlock : NULL, .report = lab->report };
  return store == NULL ? NULL : hf_repo_open(store, &options, error);
}

/* ---- The repository. ---- */

void vault_lab_init(VaultLab *lab)
{
  g_autoptr(GError) error = NULL;
  VaultTicket ticket = { .rights = HF_TICKET_KEYS, .create = TRUE };
  g_autoptr(HfStore) store = vault_lab_store(lab, &ticket, 1, &error);
  g_assert_no_error(error);
  g_assert_false(hf_service_visit(store).kept);
  HfUnlock unlock = { .kind = HF_UNLOCK_PASSWORD, .text = VAULT_LAB_PASSWORD, .length = strlen(VAULT_LAB_PASSWORD) };
  HfConfig config = { 0 };
  hf_config_defaults(&config);
  config.chunk_minimum = 4096;
  config.chunk_average = 16384;
  config.chunk_maximum = 65536;
  config.frame_target = 65536;
  config.meta_frame_target = 16384;
  config.pack_target = 512 << 10;
  config.meta_pack_target = 256 << 10;
  config.parity = 10;
  g_autofree char *paper = NULL;
  hf_repo_create(store, &config, &unlock, &paper, &error);
  g_assert_no_error(error);
}

HfRepo *vault_lab_owner(VaultLab *lab, guint32 rights)
{
  g_autoptr(GError) error = NULL;
  VaultTicket ticket = { .rights = rights };
  HfStore *store = vault_lab_store(lab, &ticket, 1, &error);
  g_assert_no_error(error);
  HfUnlock unlock = { .kind = HF_UNLOCK_PASSWORD, .text = VAULT_LAB_PASSWORD, .length = strlen(VAULT_LAB_PASSWORD) };
  HfRepoOptions options = { .unlock = &unlock, .report = lab->report };
  HfRepo *repo = hf_repo_open(store, &options, &error);
  g_assert_no_error(error);
  return repo;
}

char *vault_lab_writer(VaultLab *lab, const char *name, HfShortId *id)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(HfRepo) repo = vault_lab_owner(lab, HF_TICKET_KEYS);
  char *text = hf_writers_add(repo->store, &repo->config, repo->keys, name, &error);
  g_assert_no_error(error);
  HfUnlock unlock = { .kind = HF_UNLOCK_KEY_FILE, .text = text, .length = strlen(text) };
  g_autoptr(HfKeyring) keys = hf_keyring_open(repo->store, &repo->config, &unlock, &error);
  g_assert_no_error(error);
  *id = *hf_keyring_writer_id(keys);
  return text;
}

gboolean vault_lab_backup(VaultLab *lab, const char *credential, const HfShortId *writer, guint64 lock,
                          const char *path, HfBackupResult *result, GError **error)
{
  VaultTicket ticket = { .rights = HF_TICKET_WRITE, .writer = *writer, .lock = lock };
  g_autoptr(HfRepo) repo = vault_lab_open(lab, &ticket, credential, error);
  g_autoptr(GPtrArray) paths = g_ptr_array_new();
  g_ptr_array_add(paths, (gpointer)path);
  HfBackupOptions options = { .name = "source", .paths = paths, .codec = -1 };
  return repo != NULL && hf_backup(repo, &options, result, error);
}
