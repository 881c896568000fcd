/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which objects a visitor may read, create and remove (V1 to V3). Objects are made of what was decoded and found right,
 * never of what a name promises.
 *
 *   folder                         read          create                                remove
 *   config, ring, writers          all           KEYS                                  none
 *   keys, reserve                  not WRITE     KEYS                                  none
 *   index, gc, damage, points      all           none (the service does)               none
 *   meta, mirror                   all           none: frames come through packers     none
 *   data, parity                   not WRITE     likewise                              none
 *   sessions/OWN                   all           open, beats, checkpoints, outcome     all
 *   clock, anything else           none          none                                  none
 *
 * "not WRITE": a ticket that allows writing and nothing else does not need them, so a host that was taken over cannot
 * fetch them to try passwords on.
 */
#include <string.h>

#include "agent/vault/private.h"
#include "base/error.h"
#include "base/work.h"
#include "repo/objects.h"
#include "repo/sessionstate.h"

#define READERS (HF_TICKET_READ | HF_TICKET_COPY | HF_TICKET_KEEP | HF_TICKET_KEYS)

typedef struct Folder {
  const char *prefix;
  guint32 readers, writers; /* rights of which one is needed; 0: nobody */
} Folder;

#define EVERYBODY (READERS | HF_TICKET_WRITE)
static const Folder folders[] = {
  { "config.", EVERYBODY, HF_TICKET_KEYS }, { "ring/", EVERYBODY, HF_TICKET_KEYS },
  { "writers/", EVERYBODY, HF_TICKET_KEYS }, { "keys/", READERS, HF_TICKET_KEYS },
  { "reserve", READERS, HF_TICKET_KEYS },    { "index/", EVERYBODY, 0 },
  { "gc/", EVERYBODY, 0 },                   { "damage/", EVERYBODY, 0 },
  { "points/", EVERYBODY, 0 },               { "meta/", EVERYBODY, 0 },
  { "mirror/", EVERYBODY, 0 },               { "data/", READERS, 0 },
  { "parity/", READERS, 0 },                 { "sessions/", EVERYBODY, EVERYBODY },
};

static const Folder *find_folder(const char *name)
{
  for (gsize i = 0; i < G_N_ELEMENTS(folders); i++)
    if (g_str_has_prefix(name, folders[i].prefix))
      return &folders[i];
  return NULL;
}

static gboolean refuse(const char *name, const char *what, GError **error)
{
  return hf_fail(error, HF_ERROR_PERMISSION, "the ticket of this connection does not allow to %s '%s'", what, name);
}

gboolean hf_visit_may_read(const HfVisit *visit, const char *name, GError **error)
{
  const Folder *folder = find_folder(name);
  return (folder != NULL && (folder->readers & visit->rights) != 0) || refuse(name, "read", error);
}

/* ---- Sessions. ---- */

/* "sessions/ID/PART": its id and part. */
static gboolean session_name(const char *name, HfShortId *id, const char **part)
{
  const char *hex = name + strlen("sessions/");
  const char *slash = strchr(hex, '/');
  if (slash == NULL || slash - hex != 2 * HF_SHORT_ID_BYTES)
    return FALSE;
  g_autofree char *text = g_strndup(name, (gsize)(slash - name));
  *part = slash + 1;
  return hf_name_short_id(text, id);
}

static gboolean is_own(HfVisit *visit, const HfShortId *session)
{
  HF_LOCK(&visit->lock);
  return g_hash_table_contains(visit->sessions, session);
}

static gboolean check_purpose(const HfVisit *visit, const HfSessionOpen *open, GError **error)
{
  guint32 needed = open->purpose == HF_PURPOSE_READ     ? READERS
                   : open->purpose == HF_PURPOSE_BACKUP ? HF_TICKET_WRITE
                   : open->purpose == HF_PURPOSE_COPY   ? HF_TICKET_WRITE | HF_TICKET_COPY
                                                        : 0;
  return (visit->rights & needed) != 0 ||
    hf_fail(error, HF_ERROR_PERMISSION, "the ticket of this connection does not allow a session of this purpose");
}

/* A slot must be the ticket's writer's, in his domain. */
static gboolean check_slot(HfVisit *visit, const HfSessionOpen *open, GError **error)
{
  if (!open->has_slot)
    return TRUE;
  HfWriterTable *writers = hf_depot_writers(visit->depot, error);
  const HfWriter *writer =
    writers != NULL ? hf_keeper_signer(writers, &open->slot.writer, open->slot.domain, error) : NULL;
  if (writer == NULL)
    return FALSE;
  if (!hf_short_id_equal(&open->slot.writer, &visit->writer) && !(visit->rights & HF_TICKET_COPY))
    return hf_fail(error, HF_ERROR_PERMISSION, "the session is of another writer than this connection is for");
  if (!hf_session_slot_verify(&open->slot, writer->public_key))
    return hf_fail(error, HF_ERROR_REFUSED, "the session's key slot is not signed by the writer that it names");
  return hf_visit_check_generation(visit, open->slot.generation, error);
}

static gboolean put_open(HfVisit *visit, const char *name, const HfShortId *id, GBytes *content, GError **error)
{
  HfSessionOpen open;
  if (!hf_session_open_decode(content, &open, error))
    return FALSE;
  if (!hf_short_id_equal(&open.id, id))
    return hf_fail(error, HF_ERROR_INVALID, "'%s' is about another session", name);
  if (!check_purpose(visit, &open, error) || !check_slot(visit, &open, error) ||
      !hf_store_put(hf_depot_store(visit->depot), name, g_bytes_get_data(content, NULL), g_bytes_get_size(content),
                    error))
    return FALSE;
  g_mutex_lock(&visit->lock);
  g_hash_table_add(visit->sessions, g_memdup2(id, sizeof *id));
  g_mutex_unlock(&visit->lock);
  hf_keeper_note_session(hf_depot_store(visit->depot), id);
  /* What is stored is told by the index that the visitor reads now; marks made from here on wait for this session. */
  return hf_depot_refresh(visit->depot, error);
}

static gboolean put_checkpoint(HfVisit *visit, const char *name, GBytes *content, GError **error)
{
  HfCheckpoint checkpoint;
  HfRepo *repo = hf_depot_repo(visit->depot, error);
  HfWriterTable *writers = repo != NULL ? hf_depot_writers(visit->depot, error) : NULL;
  if (writers == NULL || !hf_checkpoint_decode(content, NULL, &checkpoint, error))
    return FALSE;
  const HfWriter *writer = hf_keeper_signer(writers, &checkpoint.writer, checkpoint.domain, error);
  if (writer == NULL || !hf_checkpoint_decode(content, writer->public_key, &checkpoint, error))
    return FALSE;
  if (!hf_short_id_equal(&checkpoint.writer, &visit->writer))
    return hf_fail(error, HF_ERROR_PERMISSION, "the checkpoint is of another writer than this connection is for");
  return hf_visit_settle(visit, NULL, error) &&
    hf_keeper_resolves(repo, checkpoint.domain, &checkpoint.roots, error) &&
    hf_store_put(repo->store, name, g_bytes_get_data(content, NULL), g_bytes_get_size(content), error);
}

/* Once it is over, or was found dead and cleared away, nothing of a session comes back. */
static gboolean check_open(HfVisit *visit, const HfShortId *id, GError **error)
{
  char name[HF_NAME_BYTES];
  gboolean open;
  hf_name_session(name, id, "open");
  return hf_object_exists(hf_depot_store(visit->depot), name, &open, error) &&
    (open || hf_fail(error, HF_ERROR_FENCED, "this session has ended"));
}

static gboolean put_outcome(HfVisit *visit, const char *name, const HfShortId *id, GBytes *content, GError **error)
{
  HfOutcomeState state;
  g_autoptr(GBytes) point = NULL;
  if (!hf_outcome_decode(content, &state, &point, error))
    return FALSE;
  if (state == HF_OUTCOME_FENCED)
    return refuse(name, "fence", error);
  if (state != HF_OUTCOME_COMMITTED)
    return check_open(visit, id, error) &&
      hf_store_put(hf_depot_store(visit->depot), name, g_bytes_get_data(content, NULL),
                        g_bytes_get_size(content), error);
  g_auto(HfPoint) committed = { 0 };
  HfKeeperTerms terms = { .lock = visit->terms.lock,
                          .copies = (visit->rights & HF_TICKET_COPY) != 0,
                          .writer = visit->writer };
  /* Nothing is listed before all that came is durable and leads somewhere, whatever the visitor did before. */
  return hf_visit_need(visit, HF_TICKET_WRITE | HF_TICKET_COPY, "committing", error) &&
    hf_point_decode(point, &committed, error) && hf_visit_settle(visit, &committed, error) &&
    hf_depot_commit(visit->depot, &terms, id, point, error);
}

static gboolean put_session(HfVisit *visit, const char *name, GBytes *content, GError **error)
{
  HfShortId id;
  const char *part;
  if (!session_name(name, &id, &part))
    return refuse(name, "create", error);
  if (g_str_equal(part, "open"))
    return put_open(visit, name, &id, content, error);
  if (!is_own(visit, &id))
    return refuse(name, "create", error);
  if (g_str_equal(part, "outcome"))
    return put_outcome(visit, name, &id, content, error);
  if (g_str_has_prefix(part, "checkpoint."))
    return put_checkpoint(visit, name, content, error);
  if (!g_str_has_prefix(part, "beat.") || g_bytes_get_size(content) != 0)
    return refuse(name, "create", error);
  return hf_store_put(hf_depot_store(visit->depot), name, NULL, 0, error);
}

void hf_visit_end_sessions(HfVisit *visit)
{
  GHashTableIter iter;
  gpointer key;
  HfRepo *repo = hf_depot_repo(visit->depot, NULL);
  g_hash_table_iter_init(&iter, visit->sessions);
  while (repo != NULL && g_hash_table_iter_next(&iter, &key, NULL))
    hf_keeper_end_session(repo, key, NULL); /* else the next service does */
}

/* ---- Objects. ---- */

gboolean hf_visit_put(HfVisit *visit, const char *name, GBytes *content, GError **error)
{
  const Folder *folder = find_folder(name);
  if (folder == NULL || (folder->writers & visit->rights) == 0)
    return refuse(name, "create", error);
  if (g_str_has_prefix(name, "sessions/"))
    return put_session(visit, name, content, error);
  return hf_store_put(hf_depot_store(visit->depot), name, g_bytes_get_data(content, NULL), g_bytes_get_size(content),
                      error);
}

gboolean hf_visit_remove(HfVisit *visit, const char *name, GError **error)
{
  HfShortId id;
  const char *part;
  if (!g_str_has_prefix(name, "sessions/") || !session_name(name, &id, &part) || !is_own(visit, &id))
    return refuse(name, "remove", error);
  /* Without its `open` a session is over: the rest goes with it, which saves the visitor a round trip for each. */
  if (g_str_equal(part, "open"))
    return hf_session_remove(hf_depot_store(visit->depot), &id, error);
  return hf_store_remove(hf_depot_store(visit->depot), name, error);
}
