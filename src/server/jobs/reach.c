/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ways to repositories: tickets, doors that this server opens itself, and the keys that others get. */
#include <string.h>

#include "base/error.h"
#include "base/work.h"
#include "server/jobs/state.h"
#include "storage/service/service.h"
#include "storage/service/terms.h"

#define TICKET_SECONDS 300u /* without a connection; a task that waits for a slot has no ticket yet */
#define DAY_SECONDS 86400u
#define WRITER_NAMES 100u

char *hf_jobs_location(HfJobs *jobs, const HfRepositoryRow *repository)
{
  g_autoptr(HfHostRow) host = hf_inv_host_get(jobs->inv, repository->host_id, NULL);
  return g_strdup_printf("%s:%s", host != NULL ? host->name : repository->host_id, repository->path);
}

void hf_jobs_describe(HfJobs *jobs, const HfRepositoryRow *repository, guint first_link, guint links,
                      HfWorkRepository *out)
{
  out->location = hf_jobs_location(jobs, repository);
  out->first_link = first_link;
  out->links = links;
  if (*repository->fingerprint != '\0')
    hf_unhex(repository->fingerprint, out->fingerprint.b, sizeof out->fingerprint.b);
}

/* ---- Ways. ---- */

gboolean hf_jobs_way_open(HfJobs *jobs, HfJobsWay *way, const HfRepositoryRow *repository, const char *peer_id,
                          guint32 rights, const HfShortId *writer, guint streams, guint patience, gboolean create,
                          GError **error)
{
  HfRepositoryTerms terms = { .create = create, .lock = (guint64)repository->immutable_days * DAY_SECONDS };
  g_auto(HfJobsRoute) route = { 0 };
  *way = (HfJobsWay){ .jobs = jobs, .host_id = g_strdup(repository->host_id) };
  if (peer_id != NULL)
    hf_jobs_route(jobs, peer_id, repository->host_id, &route);
  way->preferred = g_steal_pointer(&route.preferred);
  hf_random(way->ticket.id.b, sizeof way->ticket.id.b);
  hf_random(way->ticket.token.b, sizeof way->ticket.token.b);
  way->ticket.peer_id = peer_id;
  way->ticket.path = repository->path;
  way->ticket.rights = rights;
  if (writer != NULL)
    way->ticket.writer = *writer;
  way->ticket.seconds = TICKET_SECONDS + patience;
  way->ticket.streams = streams;
  way->ticket.terms = hf_repository_terms_encode(&terms);
  gboolean open = jobs->parts.hosts.ticket(jobs->parts.hosts.user, way->host_id, &way->ticket, &way->open, error);
  g_clear_pointer(&way->ticket.terms, g_bytes_unref);
  if (!open)
    g_clear_pointer(&way->host_id, g_free);
  return open;
}

/* A server that ends leaves tickets in place: the tasks that show them go on. */
static gboolean is_ending(HfJobs *jobs)
{
  HF_LOCK(&jobs->lock);
  return jobs->ending;
}

void hf_jobs_way_close(HfJobsWay *way)
{
  if (way->host_id != NULL && !is_ending(way->jobs))
    way->jobs->parts.hosts.ticket_close(way->jobs->parts.hosts.user, way->host_id, &way->ticket.id);
  g_free(way->host_id);
  g_free(way->preferred);
  hf_wipe(way, sizeof *way);
}

void hf_jobs_way_links(const HfJobsWay *way, const char *role, HfJobLink *links)
{
  for (guint i = 0; i < way->ticket.streams; i++)
    links[i] = (HfJobLink){ .host_id = way->host_id, .token = way->ticket.token,
                            .transport_port = way->open.transport_port,
                            .channel_port = i < way->open.ports ? way->open.channel_ports[i] : 0, .role = role,
                            .preferred = way->preferred };
}

/* ---- Doors. ---- */

void hf_jobs_doors_break(HfJobs *jobs)
{
  for (const GList *item = jobs->opening; item != NULL; item = item->next) {
    const GPtrArray *channels = item->data;
    for (guint i = 0; i < channels->len; i++)
      hf_channel_shutdown(channels->pdata[i]);
  }
}

static void open_begins(HfJobs *jobs, GPtrArray *channels)
{
  HF_LOCK(&jobs->lock);
  jobs->opening = g_list_prepend(jobs->opening, channels);
  if (jobs->ending)
    hf_jobs_doors_break(jobs);
}

static void open_ends(HfJobs *jobs, GPtrArray *channels)
{
  HF_LOCK(&jobs->lock);
  jobs->opening = g_list_remove(jobs->opening, channels);
}

static HfStore *connect_store(HfJobs *jobs, const HfJobsWay *way, const HfRepositoryRow *repository, HfCancel *cancel,
                              GError **error)
{
  g_autoptr(GPtrArray) channels = g_ptr_array_new_with_free_func((GDestroyNotify)hf_channel_free);
  for (guint i = 0; i < way->ticket.streams; i++) {
    HfChannel *channel =
      jobs->parts.hosts.connect(jobs->parts.hosts.user, way->host_id, &way->ticket.token, &way->open, i, error);
    if (channel == NULL)
      return NULL;
    g_ptr_array_add(channels, channel);
  }
  g_autofree char *location = hf_jobs_location(jobs, repository);
  g_autofree char *cache = g_build_filename(jobs->parts.state_folder, "index", NULL);
  HfServiceOptions options = { .location = location, .cache_folder = cache,
                               .cancel = cancel != NULL ? cancel : &jobs->cancel };
  open_begins(jobs, channels);
  HfStore *store = hf_service_store_new(g_ptr_array_ref(channels), &options, error);
  open_ends(jobs, channels);
  return store;
}

static HfJobsDoor *door_new(HfJobs *jobs, const HfRepositoryRow *repository, guint32 rights, gboolean create,
                            HfCancel *cancel, GError **error)
{
  g_autoptr(HfJobsDoor) door = g_new0(HfJobsDoor, 1);
  if (!hf_jobs_way_open(jobs, &door->way, repository, NULL, rights, NULL, 1, 0, create, error))
    return NULL;
  door->store = connect_store(jobs, &door->way, repository, cancel, error);
  return door->store != NULL ? g_steal_pointer(&door) : NULL;
}

HfJobsDoor *hf_jobs_door_store(HfJobs *jobs, const HfRepositoryRow *repository, guint32 rights, gboolean create,
                               GError **error)
{
  return door_new(jobs, repository, rights, create, NULL, error);
}

HfJobsDoor *hf_jobs_door_open(HfJobs *jobs, const HfRepositoryRow *repository, guint32 rights, HfReport *report,
                              HfCancel *cancel, GError **error)
{
  if (repository->encryption_password_id == NULL) {
    hf_fail(error, HF_ERROR_USAGE, "repository '%s' has no password in this server; give it one", repository->name);
    return NULL;
  }
  g_autoptr(HfSecret) password =
    hf_inv_encryption_password_secret(jobs->inv, repository->encryption_password_id, error);
  if (password == NULL)
    return NULL;
  g_autoptr(HfJobsDoor) door = door_new(jobs, repository, rights, FALSE, cancel, error);
  if (door == NULL)
    return NULL;
  HfUnlock unlock = { .kind = HF_UNLOCK_PASSWORD, .text = password, .length = strlen(password) };
  HfRepoOptions options = { .unlock = &unlock, .report = report, .cancel = cancel };
  door->repo = hf_repo_open(g_steal_pointer(&door->store), &options, error);
  return door->repo != NULL ? g_steal_pointer(&door) : NULL;
}

void hf_jobs_door_free(HfJobsDoor *door)
{
  if (door == NULL)
    return;
  hf_repo_free(door->repo);
  hf_store_free(door->store);
  hf_jobs_way_close(&door->way);
  g_free(door);
}

/* ---- Writers. ---- */

static gboolean same_family(const HfRepositoryRow *a, const HfRepositoryRow *b)
{
  return *a->fingerprint != '\0' && g_str_equal(a->fingerprint, b->fingerprint);
}

/* Siblings share their keys, so they share their writers: else two of them would give one domain to two hosts, and
 * points could not be copied between them. So the records of all siblings are brought here first, and the new one is
 * taken to all of them. */
static gboolean share_writers(HfJobs *jobs, const HfRepositoryRow *repository, HfJobsDoor *door, gboolean there,
                              GError **error)
{
  g_autoptr(GPtrArray) rows = hf_inv_repositories_load(jobs->inv, error);
  for (guint i = 0; rows != NULL && i < rows->len; i++) {
    const HfRepositoryRow *row = rows->pdata[i];
    if (g_str_equal(row->id, repository->id) || !same_family(row, repository))
      continue;
    g_autoptr(HfJobsDoor) other = hf_jobs_door_store(jobs, row, HF_TICKET_KEYS, FALSE, error);
    if (other == NULL ||
        !(there ? hf_keyring_clone(door->repo->store, other->store, error)
                : hf_keyring_clone(other->store, door->repo->store, error)))
      return FALSE;
  }
  return rows != NULL && hf_keyring_reload(door->repo->keys, door->repo->store, error);
}

/* The writer of the host in a sibling, if any: its credential is good here too. */
static HfWriterRow *sibling_writer(HfJobs *jobs, const char *host_id, const HfRepositoryRow *repository)
{
  g_autoptr(GPtrArray) rows = hf_inv_repositories_load(jobs->inv, NULL);
  for (guint i = 0; rows != NULL && i < rows->len; i++) {
    const HfRepositoryRow *row = rows->pdata[i];
    HfWriterRow *found = same_family(row, repository) ? hf_inv_writer_get(jobs->inv, host_id, row->id, NULL) : NULL;
    if (found != NULL)
      return found;
  }
  return NULL;
}

static gboolean keep_writer(HfJobs *jobs, const char *host_id, const HfRepositoryRow *repository, HfJobsDoor *door,
                            const char *credential, GError **error)
{
  HfUnlock unlock = { .kind = HF_UNLOCK_KEY_FILE, .text = credential, .length = strlen(credential) };
  g_autoptr(HfKeyring) keys = hf_keyring_open(door->repo->store, &door->repo->config, &unlock, error);
  if (keys == NULL)
    return FALSE;
  const HfShortId *id = hf_keyring_writer_id(keys);
  g_autoptr(HfWriterRow) row = g_new0(HfWriterRow, 1);
  row->host_id = g_strdup(host_id);
  row->repository_id = g_strdup(repository->id);
  row->writer = hf_hex(id->b, sizeof id->b);
  row->domain = g_strdup_printf("%u", hf_keyring_domain(keys));
  return hf_inv_writer_add(jobs->inv, &hf_actor_server, row, credential, strlen(credential), error);
}

/* The name may be taken: by a server that ended before it had put the credential down, or that had the repository
 * before. Nobody can tell whether that writer is still in use, and its credential is not ours. */
static char *add_writer(HfJobsDoor *door, const char *host, GError **error)
{
  for (guint number = 1;; number++) {
    g_autoptr(GError) why = NULL;
    g_autofree char *name = number == 1 ? g_strdup(host) : g_strdup_printf("%s %u", host, number);
    char *credential = hf_writers_add(door->repo->store, &door->repo->config, door->repo->keys, name, &why);
    if (credential != NULL)
      return credential;
    if (number == WRITER_NAMES || !hf_error_is(why, HF_ERROR_EXISTS)) {
      g_propagate_error(error, g_steal_pointer(&why));
      return NULL;
    }
  }
}

static gboolean make_writer(HfJobs *jobs, const char *host_id, const HfRepositoryRow *repository, GError **error)
{
  g_autoptr(HfHostRow) host = hf_inv_host_get(jobs->inv, host_id, error);
  g_autoptr(HfJobsDoor) door =
    host == NULL ? NULL : hf_jobs_door_open(jobs, repository, HF_TICKET_KEYS, NULL, NULL, error);
  if (door == NULL || !share_writers(jobs, repository, door, FALSE, error))
    return FALSE;
  g_autoptr(HfWriterRow) sibling = sibling_writer(jobs, host_id, repository);
  g_autoptr(HfSecret) credential = sibling != NULL
    ? hf_inv_writer_credential(jobs->inv, sibling, NULL, error)
    : add_writer(door, host->name, error);
  return credential != NULL && share_writers(jobs, repository, door, TRUE, error) &&
    keep_writer(jobs, host_id, repository, door, credential, error);
}

char *hf_jobs_writer(HfJobs *jobs, const char *host_id, const HfRepositoryRow *repository, HfShortId *writer,
                     GError **error)
{
  HF_LOCK(&jobs->writers);
  g_autoptr(HfWriterRow) row = hf_inv_writer_get(jobs->inv, host_id, repository->id, NULL);
  if (row == NULL) {
    if (!make_writer(jobs, host_id, repository, error))
      return NULL;
    row = hf_inv_writer_get(jobs->inv, host_id, repository->id, error);
  }
  if (row == NULL)
    return NULL;
  if (!hf_unhex(row->writer, writer->b, sizeof writer->b)) {
    hf_fail(error, HF_ERROR_DAMAGED, "the writer of this host in repository '%s' is damaged in the database",
            repository->name);
    return NULL;
  }
  return hf_inv_writer_credential(jobs->inv, row, NULL, error);
}

/* ---- Writers of hosts that are gone. ---- */

/* A writer in a repository and its siblings. The doors of those that cannot be told are NULL. */
typedef struct Leaving {
  HfJobs *jobs;
  HfJobsRun *run;
  const HfWriterRow *row;
  HfShortId writer;
  GPtrArray *repositories, *doors; /* HfRepositoryRow* (borrowed), HfJobsDoor*: the same length */
  gboolean stays;                  /* in one of them */
} Leaving;

static void warn_stays(Leaving *leaving, guint at, const GError *why)
{
  const HfRepositoryRow *repository = leaving->repositories->pdata[at];
  leaving->stays = TRUE;
  hf_run_log(leaving->run, HF_LINE_WARNING, "Writer %s of this host stays enrolled in repository '%s': %s; run "
             "'holdfast writer remove' on it", leaving->row->writer, repository->name, why->message);
}

static void open_family(Leaving *leaving, const GPtrArray *all)
{
  const HfRepositoryRow *home = NULL;
  for (guint i = 0; i < all->len && home == NULL; i++)
    if (g_str_equal(((const HfRepositoryRow *)all->pdata[i])->id, leaving->row->repository_id))
      home = all->pdata[i];
  for (guint i = 0; home != NULL && i < all->len; i++) {
    g_autoptr(GError) why = NULL;
    HfRepositoryRow *repository = all->pdata[i];
    if (repository != home && !same_family(repository, home))
      continue;
    HfJobsDoor *door =
      hf_jobs_door_open(leaving->jobs, repository, HF_TICKET_READ | HF_TICKET_KEYS, NULL, NULL, &why);
    g_ptr_array_add(leaving->repositories, repository);
    g_ptr_array_add(leaving->doors, door);
    if (door == NULL)
      warn_stays(leaving, leaving->doors->len - 1, why);
  }
}

static void close_door(Leaving *leaving, guint at, const GError *why)
{
  warn_stays(leaving, at, why);
  hf_jobs_door_free(leaving->doors->pdata[at]);
  leaving->doors->pdata[at] = NULL;
}

/* The newest point in any of them counts: a copy of it must be taken by all. */
static gint64 last_time(Leaving *leaving)
{
  gint64 last = 0;
  for (guint i = 0; i < leaving->doors->len; i++) {
    const HfJobsDoor *door = leaving->doors->pdata[i];
    g_autoptr(GError) why = NULL;
    gint64 time = 0;
    if (door != NULL && !hf_points_last_time(door->repo, &leaving->writer, &time, &why))
      close_door(leaving, i, why);
    last = MAX(last, time);
  }
  return last;
}

static void remove_from_all(Leaving *leaving, gint64 last)
{
  HF_LOCK(&leaving->jobs->writers);
  for (guint i = 0; i < leaving->doors->len; i++) {
    const HfJobsDoor *door = leaving->doors->pdata[i];
    g_autoptr(GError) why = NULL;
    if (door != NULL &&
        !hf_writers_remove(door->repo->store, &door->repo->config, door->repo->keys, &leaving->writer, last, &why) &&
        !hf_error_is(why, HF_ERROR_EXISTS) && !hf_error_is(why, HF_ERROR_NOT_FOUND))
      warn_stays(leaving, i, why);
  }
}

static gboolean remove_writer(HfJobs *jobs, HfJobsRun *run, const HfWriterRow *row, const GPtrArray *all)
{
  g_autoptr(GPtrArray) repositories = g_ptr_array_new();
  g_autoptr(GPtrArray) doors = g_ptr_array_new_with_free_func((GDestroyNotify)hf_jobs_door_free);
  Leaving leaving = { .jobs = jobs, .run = run, .row = row, .repositories = repositories, .doors = doors };
  if (!hf_unhex(row->writer, leaving.writer.b, sizeof leaving.writer.b)) {
    hf_run_log(run, HF_LINE_WARNING, "Writer '%s' of this host is damaged in the database and stays enrolled",
               row->writer);
    return FALSE;
  }
  open_family(&leaving, all);
  remove_from_all(&leaving, last_time(&leaving));
  return !leaving.stays;
}

gboolean hf_jobs_writers_remove(HfJobs *jobs, HfJobsRun *run, const GPtrArray *rows)
{
  gboolean good = TRUE;
  g_autoptr(GError) why = NULL;
  g_autoptr(GPtrArray) all = hf_inv_repositories_load(jobs->inv, &why);
  g_autoptr(GHashTable) done = g_hash_table_new(g_str_hash, g_str_equal);
  /* Siblings share a writer, and have a row each. */
  for (guint i = 0; all != NULL && i < rows->len; i++)
    if (g_hash_table_add(done, ((HfWriterRow *)rows->pdata[i])->writer))
      good = remove_writer(jobs, run, rows->pdata[i], all) && good;
  if (all == NULL)
    hf_run_log(run, HF_LINE_WARNING, "The writers of this host stay enrolled: %s", why->message);
  return good && all != NULL;
}

/* ---- Passes. ---- */

char *hf_jobs_pass(HfJobs *jobs, const HfRepositoryRow *repository, guint32 domain, GError **error)
{
  g_autoptr(HfJobsDoor) door =
    hf_jobs_door_open(jobs, repository, HF_TICKET_READ | HF_TICKET_KEYS, NULL, NULL, error);
  g_autoptr(GArray) slots = door == NULL ? NULL : hf_service_slots(door->repo->store, domain, error);
  return slots == NULL ? NULL : hf_keyring_make_pass(door->repo->keys, domain, slots, error);
}
