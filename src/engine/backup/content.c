/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "engine/backup/content.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/sys.h"
#include "engine/backup/lists.h"
#include "engine/backup/reading.h"

#define EXTRAS_INLINE_MAX 4096u
#define RACY_NS (2 * G_GINT64_CONSTANT(1000000000))
#define PARALLEL_MINIMUM (16u << 20) /* files from this size on are chunked by all workers */
#define SECOND_NS G_GINT64_CONSTANT(1000000000)

char *hf_place_path(const HfFilePlace *place)
{
  return g_str_has_suffix(place->folder, "/") ? g_strconcat(place->folder, place->name, NULL)
                                              : g_strconcat(place->folder, "/", place->name, NULL);
}

void hf_warn_place(HfBackupWorker *worker, const HfFilePlace *place, const char *message)
{
  g_autofree char *path = hf_place_path(place);
  hf_report_warning(worker->state->report, path, "%s", message);
}

gboolean hf_content_racy(const HfEntry *entry)
{
  return entry->ctime_sec * SECOND_NS + entry->ctime_nsec > hf_clock_real_ns() - RACY_NS;
}

gboolean hf_content_extras(HfBackupWorker *worker, HfEntry *entry, GError **error)
{
  entry->flags &= (guint8)~(HF_ENTRY_EXTRAS | HF_ENTRY_EXTRAS_BLOB);
  entry->extras = (HfView){ worker->extras->data, worker->extras->len };
  if (worker->extras->len == 0)
    return TRUE;
  if (worker->extras->len <= EXTRAS_INLINE_MAX) {
    entry->flags |= HF_ENTRY_EXTRAS;
    return TRUE;
  }
  entry->flags |= HF_ENTRY_EXTRAS_BLOB;
  entry->extras = (HfView){ NULL, 0 };
  return hf_blob_write(worker->writer, HF_BLOB_DATA, NULL, 0, worker->extras->data, worker->extras->len,
                       &entry->extras_ref, NULL, error);
}

/* ---- Small files. ---- */

/* A read error of the source is a warning and leaves the file out; *got is -1 then. */
static void read_some(HfBackupWorker *worker, const HfFilePlace *place, int fd, void *bytes, gsize length,
                      guint64 offset, gssize *got)
{
  g_autoptr(GError) problem = NULL;
  *got = hf_pread_full(fd, bytes, length, (goffset)offset, place->name, &problem);
  if (*got < 0)
    hf_warn_place(worker, place, problem->message);
}

static gboolean read_inline(HfBackupWorker *worker, const HfFilePlace *place, int fd, HfEntry *entry, GByteArray *tail,
                            HfReadResult *result)
{
  guint at = tail->len;
  gssize got;
  g_byte_array_set_size(tail, at + (guint)entry->size);
  read_some(worker, place, fd, tail->data + at, entry->size, 0, &got);
  g_byte_array_set_size(tail, at + (guint)MAX(got, 0));
  if (got < 0) {
    *result = HF_READ_SKIPPED;
    return TRUE;
  }
  entry->size = (guint64)got;
  entry->content = got ? HF_CONTENT_INLINE : HF_CONTENT_NONE;
  *result = got ? HF_READ_INLINE : HF_READ_DONE;
  return TRUE;
}

gboolean hf_content_read_again(const HfFilePlace *place, const HfEntry *entry, GByteArray *tail)
{
  hf_autofd int fd = hf_source_file_open(place->dir, place->name, NULL);
  guint at = tail->len;
  if (fd < 0)
    return FALSE;
  g_byte_array_set_size(tail, at + (guint)entry->size);
  gssize got = hf_pread_full(fd, tail->data + at, entry->size, 0, place->name, NULL);
  if (got == (gssize)entry->size)
    return TRUE;
  g_byte_array_set_size(tail, at);
  return FALSE;
}

static gboolean read_one_blob(HfBackupWorker *worker, const HfFilePlace *place, int fd, HfEntry *entry,
                              HfReadResult *result, GError **error)
{
  gssize got;
  void *room = hf_blob_room(worker->writer, entry->size, error);
  if (!room)
    return FALSE;
  read_some(worker, place, fd, room, entry->size, 0, &got);
  *result = got < 0 ? HF_READ_SKIPPED : HF_READ_DONE;
  if (got < 0)
    return TRUE;
  entry->size = (guint64)got;
  entry->content = got ? HF_CONTENT_BLOB : HF_CONTENT_NONE;
  return got == 0 ||
         hf_blob_write(worker->writer, HF_BLOB_DATA, NULL, 0, room, (gsize)got, &entry->ref, NULL, error);
}

/* ---- Large files: a window slides over the file, chunks go to whoever is free. ---- */

typedef struct ChunkJob {
  HfBackupJob job; /* first */
  gint references;
  gint taken;      /* atomic: who sets it to 1 stores the chunk */
  guint8 *bytes;
  gsize length;
  GMutex lock;
  GCond ended;
  gboolean done;
  HfId id;
  GError *problem;
} ChunkJob;

static void chunk_unref(ChunkJob *chunk)
{
  if (!g_atomic_int_dec_and_test(&chunk->references))
    return;
  g_free(chunk->bytes);
  g_mutex_clear(&chunk->lock);
  g_cond_clear(&chunk->ended);
  g_clear_error(&chunk->problem);
  g_free(chunk);
}

static void chunk_store(ChunkJob *chunk, HfBackupWorker *worker)
{
  GError *problem = NULL;
  HfId id;
  gboolean good =
    hf_blob_write(worker->writer, HF_BLOB_DATA, NULL, 0, chunk->bytes, chunk->length, &id, NULL, &problem);
  g_mutex_lock(&chunk->lock);
  if (good)
    chunk->id = id;
  chunk->problem = problem;
  chunk->done = TRUE;
  g_cond_broadcast(&chunk->ended);
  g_mutex_unlock(&chunk->lock);
}

static gboolean chunk_run(HfBackupJob *job, HfBackupWorker *worker, GError **error)
{
  ChunkJob *chunk = (ChunkJob *)job;
  (void)error; /* the reader of the file passes it on */
  if (g_atomic_int_compare_and_exchange(&chunk->taken, 0, 1)) {
    hf_gate_enter(&worker->state->gate);
    chunk_store(chunk, worker);
    hf_gate_leave(&worker->state->gate);
  }
  chunk_unref(chunk);
  return TRUE;
}

static void chunk_drop(HfBackupJob *job)
{
  chunk_unref((ChunkJob *)job);
}

typedef struct BigFile {
  HfReading reading; /* first */
  const HfEntry *entry;
  HfBackupWorker *worker;
  HfListBuilder *list;
  GQueue chunks; /* of ChunkJob*, in the order of the file */
  guint items;
  gboolean holes, parallel;
  HfId only;     /* the ref of the first item */
} BigFile;

static gboolean add_item(BigFile *file, const HfListItem *item, GError **error)
{
  if (file->items++ == 0)
    file->only = item->ref;
  file->holes = file->holes || item->hole;
  return hf_list_builder_add(file->list, item, error);
}

/* Takes the oldest chunk off the queue: stores it here when nobody has begun it, else waits for it. */
static gboolean finish_chunk(BigFile *file, GError **error)
{
  HfBackupState *state = file->worker->state;
  ChunkJob *chunk = g_queue_pop_head(&file->chunks);
  if (g_atomic_int_compare_and_exchange(&chunk->taken, 0, 1)) {
    chunk_store(chunk, file->worker);
  } else {
    hf_gate_leave(&state->gate); /* whoever holds the chunk may have to pass the gate first */
    g_mutex_lock(&chunk->lock);
    while (!chunk->done)
      g_cond_wait(&chunk->ended, &chunk->lock);
    g_mutex_unlock(&chunk->lock);
    hf_gate_enter(&state->gate);
  }
  HfListItem item = { .length = chunk->length, .ref = chunk->id };
  gboolean good = !chunk->problem;
  if (!good)
    g_propagate_error(error, g_steal_pointer(&chunk->problem));
  chunk_unref(chunk);
  return good && add_item(file, &item, error);
}

static gboolean add_chunk(BigFile *file, const guint8 *bytes, gsize length, GError **error)
{
  HfBackupWorker *worker = file->worker;
  HfListItem item = { .length = length };
  if (!file->parallel)
    return hf_blob_write(worker->writer, HF_BLOB_DATA, NULL, 0, bytes, length, &item.ref, NULL, error) &&
           add_item(file, &item, error);
  ChunkJob *chunk = g_new0(ChunkJob, 1);
  chunk->job = (HfBackupJob){ chunk_run, chunk_drop };
  chunk->references = 2;
  chunk->bytes = g_memdup2(bytes, length);
  chunk->length = length;
  g_mutex_init(&chunk->lock);
  g_cond_init(&chunk->ended);
  g_queue_push_tail(&file->chunks, chunk);
  hf_pool_push_front(worker->state->pool, chunk);
  while (file->chunks.length > worker->state->threads)
    if (!finish_chunk(file, error))
      return FALSE;
  return TRUE;
}

static gboolean drain_chunks(BigFile *file, GError **error)
{
  while (file->chunks.length)
    if (!finish_chunk(file, error))
      return FALSE;
  return TRUE;
}

/* Cuts [from, end) of the file; *reached is where the file ended when it is shorter now. *got -1: unreadable, warned.
 */
static gboolean cut_run(BigFile *file, const HfFilePlace *place, int fd, guint64 from, guint64 end, guint64 *reached,
                        gssize *got, GError **error)
{
  HfBackupWorker *worker = file->worker;
  const HfCutter *cutter = &worker->state->cutter;
  gsize window = (gsize)cutter->maximum * 2, held = 0, used = 0;
  if (!hf_buffer_reserve(&worker->window, window, error))
    return FALSE;
  guint8 *bytes = worker->window.data;
  *got = 0;
  while (from < end || used < held) {
    if (held - used < cutter->maximum && from < end) {
      memmove(bytes, bytes + used, held - used);
      held -= used;
      used = 0;
      read_some(worker, place, fd, bytes + held, MIN(window - held, end - from), from, got);
      if (*got < 0)
        return TRUE;
      held += (gsize)*got;
      from += (guint64)*got;
      if (*got == 0)
        end = from;
      if (held == 0)
        break;
      hf_report_add(worker->state->report, 0, (guint64)*got, 0);
      worker->reported += (guint64)*got;
    }
    gsize length = hf_cutter_next(cutter, bytes + used, held - used);
    if (!add_chunk(file, bytes + used, length, error))
      return FALSE;
    used += length;
    hf_gate_yield(&worker->state->gate);
    if (hf_cancelled(worker->state->repo->cancel, error))
      return FALSE;
  }
  *reached = from;
  return TRUE;
}

static gboolean cut_file(BigFile *file, const HfFilePlace *place, int fd, gboolean sparse, guint64 size,
                         guint64 *reached, gssize *got, GError **error)
{
  guint64 at = 0;
  *reached = 0;
  while (at < size) {
    gboolean hole = FALSE;
    guint64 length = size - at;
    g_autoptr(GError) problem = NULL;
    if (sparse && !hf_source_next_run(fd, at, size, &hole, &length, &problem) && problem) {
      hf_warn_place(file->worker, place, problem->message);
      *got = -1;
      return TRUE;
    }
    if (length == 0)
      return TRUE; /* it became shorter */
    if (hole) {
      HfListItem item = { .length = length, .hole = TRUE };
      if (!drain_chunks(file, error) || !add_item(file, &item, error))
        return FALSE;
      *reached = at + length;
    } else if (!cut_run(file, place, fd, at, at + length, reached, got, error)) {
      return FALSE;
    }
    if (*got < 0 || *reached < at + length)
      return drain_chunks(file, error);
    at += length;
  }
  return drain_chunks(file, error);
}

static gboolean file_part(HfReading *reading, HfBackupWorker *worker, HfEntry *entry, gboolean *any, GError **error)
{
  const BigFile *file = (const BigFile *)reading;
  *any = file->items > 0;
  if (!*any)
    return TRUE;
  *entry = *file->entry;
  entry->size = hf_list_builder_length(file->list);
  entry->content = HF_CONTENT_LIST;
  entry->extras = (HfView){ NULL, 0 };
  return hf_list_builder_part(file->list, worker->writer, &entry->ref, error);
}

static gboolean read_big(HfBackupWorker *worker, const HfFilePlace *place, int fd, HfEntry *entry, gboolean sparse,
                         HfReadResult *result, GError **error)
{
  g_autoptr(HfListBuilder) list = hf_list_builder_new(worker->writer);
  BigFile file = { .reading.part = file_part, .entry = entry, .worker = worker, .list = list,
                   .parallel = entry->size >= PARALLEL_MINIMUM };
  guint64 reached;
  gssize got = 0;
  g_queue_init(&file.chunks);
  hf_reading_begin(worker->state, &file.reading, hf_place_path(place));
  gboolean good = cut_file(&file, place, fd, sparse, entry->size, &reached, &got, error);
  hf_reading_end(worker, &file.reading);
  while (file.chunks.length) { /* only after a failure: each is stored by its holder or not at all */
    ChunkJob *chunk = g_queue_pop_head(&file.chunks);
    (void)g_atomic_int_compare_and_exchange(&chunk->taken, 0, 1);
    chunk_unref(chunk);
  }
  if (!good)
    return FALSE;
  *result = got < 0 ? HF_READ_SKIPPED : HF_READ_DONE;
  if (got < 0)
    return TRUE;
  entry->size = reached;
  entry->content = file.items == 0                  ? HF_CONTENT_NONE
                   : file.items == 1 && !file.holes ? HF_CONTENT_BLOB
                                                    : HF_CONTENT_LIST;
  if (entry->content == HF_CONTENT_BLOB)
    entry->ref = file.only;
  return entry->content != HF_CONTENT_LIST || hf_list_builder_finish(list, &entry->ref, error);
}

/* ---- Hard links: a file with several names is read once. ---- */

typedef struct Link {
  guint64 device, inode, size;
  gint64 ctime_sec;
  guint32 ctime_nsec;
  guint8 content;
  HfId ref;
} Link;

static guint link_hash(gconstpointer key)
{
  const Link *link = key;
  return (guint)(link->inode * 2654435761u ^ link->device);
}

static gboolean link_equal(gconstpointer a, gconstpointer b)
{
  const Link *x = a, *y = b;
  return x->inode == y->inode && x->device == y->device && x->size == y->size && x->ctime_sec == y->ctime_sec &&
         x->ctime_nsec == y->ctime_nsec;
}

static Link link_key(const HfEntry *entry)
{
  return (Link){ .device = entry->device, .inode = entry->inode, .size = entry->size, .ctime_sec = entry->ctime_sec,
                 .ctime_nsec = entry->ctime_nsec };
}

static gboolean known_link(HfBackupState *state, HfEntry *entry)
{
  Link key = link_key(entry);
  if (!(entry->flags & HF_ENTRY_HARD_LINK))
    return FALSE;
  g_mutex_lock(&state->lock);
  const Link *link = state->links ? g_hash_table_lookup(state->links, &key) : NULL;
  if (link) {
    entry->content = link->content;
    entry->ref = link->ref;
  }
  g_mutex_unlock(&state->lock);
  return link != NULL;
}

static void note_link(HfBackupState *state, const HfEntry *entry)
{
  if (!(entry->flags & HF_ENTRY_HARD_LINK) || (entry->content != HF_CONTENT_BLOB && entry->content != HF_CONTENT_LIST))
    return;
  Link link = link_key(entry);
  link.content = entry->content;
  link.ref = entry->ref;
  g_mutex_lock(&state->lock);
  if (!state->links)
    state->links = g_hash_table_new_full(link_hash, link_equal, g_free, NULL);
  g_hash_table_add(state->links, g_memdup2(&link, sizeof link));
  g_mutex_unlock(&state->lock);
}

/* ---- All together. ---- */

/* Did it change while it was read? Then it is kept as read, flagged, and warned about. */
static void check_unchanged(HfBackupWorker *worker, const HfFilePlace *place, int fd, HfEntry *entry, guint64 size)
{
  struct statx now;
  gboolean same = HF_AGAIN(hf_sys->statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &now)) == 0 &&
                  now.stx_size == size && entry->size == size && now.stx_mtime.tv_sec == entry->mtime_sec &&
                  now.stx_mtime.tv_nsec == entry->mtime_nsec;
  if (same)
    return;
  entry->flags |= HF_ENTRY_INCOMPLETE;
  hf_warn_place(worker, place, "changed while it was read; what was read is kept");
}

static gboolean read_bytes(HfBackupWorker *worker, const HfFilePlace *place, int fd, HfEntry *entry,
                           const HfSourceStat *status, GByteArray *tail, HfReadResult *result, GError **error)
{
  *result = HF_READ_DONE;
  gboolean sparse = status->blocks * 512 < entry->size;
  if (entry->size <= worker->state->repo->config.inline_limit)
    return read_inline(worker, place, fd, entry, tail, result);
  if (known_link(worker->state, entry))
    return TRUE;
  if (entry->size <= worker->state->repo->config.chunk_minimum && !sparse)
    return read_one_blob(worker, place, fd, entry, result, error);
  return read_big(worker, place, fd, entry, sparse, result, error);
}

gboolean hf_content_read(HfBackupWorker *worker, const HfFilePlace *place, HfEntry *entry, const HfSourceStat *status,
                         GByteArray *tail, HfReadResult *result, GError **error)
{
  g_autoptr(GError) problem = NULL;
  guint64 size = entry->size;
  *result = HF_READ_SKIPPED;
  entry->content = HF_CONTENT_NONE;
  hf_autofd int fd = hf_source_file_open(place->dir, place->name, &problem);
  if (fd < 0) {
    hf_warn_place(worker, place,
                  hf_error_is(problem, HF_ERROR_NOT_FOUND) ? "vanished before it was read" : problem->message);
    return TRUE;
  }
  if (hf_content_racy(entry))
    entry->flags |= HF_ENTRY_RACY;
  if (size == 0)
    *result = HF_READ_DONE;
  else if (!read_bytes(worker, place, fd, entry, status, tail, result, error))
    return FALSE;
  if (*result == HF_READ_SKIPPED)
    return TRUE;
  check_unchanged(worker, place, fd, entry, size);
  note_link(worker->state, entry);

  g_autofree char *path = hf_place_path(place);
  g_byte_array_set_size(worker->extras, 0);
  if (!hf_source_extras(place->dir, place->name, fd, entry->mode, worker->extras, worker->state->report, path,
                        &problem)) {
    hf_warn_place(worker, place, problem->message);
    g_byte_array_set_size(worker->extras, 0);
  }
  return hf_content_extras(worker, entry, error);
}

/* ---- Absent contents. ---- */

static gboolean list_absent(HfBackupWorker *worker, const HfId *id, gboolean *absent, GError **error)
{
  g_auto(HfBlob) blob = { 0 };
  g_autoptr(GError) problem = NULL;
  HfListReader list;
  HfListItem item;
  if (!hf_blob_read(worker->reader, id, HF_BLOB_LIST, &blob, &problem) ||
      !hf_list_open(&list, blob.payload, blob.length, blob.refs, blob.ref_count, &problem)) {
    *absent = TRUE; /* unreadable: to be written anew */
    return TRUE;
  }
  guint32 domain = hf_keyring_domain(worker->state->repo->keys);
  while (!*absent && hf_list_next(&list, &item, &problem)) {
    if (item.hole)
      continue;
    if (!hf_index_is_absent(worker->state->repo->index, domain, &item.ref, absent, error) ||
        (!*absent && list.level > 0 && !list_absent(worker, &item.ref, absent, error)))
      return FALSE;
  }
  *absent = *absent || problem != NULL;
  return TRUE;
}

gboolean hf_content_absent(HfBackupWorker *worker, const HfEntry *old, gboolean *absent, GError **error)
{
  HfIndex *index = worker->state->repo->index;
  guint32 domain = hf_keyring_domain(worker->state->repo->keys);
  *absent = FALSE;
  if (!hf_index_has_absent(index))
    return TRUE;
  if ((old->flags & HF_ENTRY_EXTRAS_BLOB) && !hf_index_is_absent(index, domain, &old->extras_ref, absent, error))
    return FALSE;
  if (*absent || (old->content != HF_CONTENT_BLOB && old->content != HF_CONTENT_LIST))
    return TRUE;
  if (!hf_index_is_absent(index, domain, &old->ref, absent, error))
    return FALSE;
  return *absent || old->content != HF_CONTENT_LIST || list_absent(worker, &old->ref, absent, error);
}
