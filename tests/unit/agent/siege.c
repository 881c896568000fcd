/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "siege.h"

#include <string.h>

#include "base/error.h"
#include "engine/restore/restore.h"
#include "fixture.h"
#include "net/messages/vault.h"
#include "repo/index.h"
#include "repo/objects.h"
#include "storage/local/local.h"

/* ---- The repository. ---- */

static char *make_source(VaultLab *lab, guint host)
{
  g_autofree char *name = g_strdup_printf("source-%u", host);
  char *folder = vault_lab_path(lab, name);
  g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
  for (guint i = 0; i < 6; i++) {
    guint8 bytes[20000];
    g_autofree char *file = g_strdup_printf("%s/file-%u", folder, i);
    for (gsize k = 0; k < sizeof bytes; k++)
      bytes[k] = (guint8)((k * k * (i + 3) + k * 7 + host * 101) >> 3);
    g_assert_true(g_file_set_contents(file, (const char *)bytes, sizeof bytes, NULL));
  }
  return folder;
}

Siege *siege_new(void)
{
  Siege *siege = g_new0(Siege, 1);
  siege->lab = vault_lab_new();
  vault_lab_init(siege->lab);
  for (guint host = 0; host < 2; host++) {
    HfBackupResult result;
    g_autoptr(GError) error = NULL;
    siege->credentials[host] = vault_lab_writer(siege->lab, host == 0 ? "host" : "other", &siege->writers[host]);
    siege->sources[host] = make_source(siege->lab, host);
    vault_lab_backup(siege->lab, siege->credentials[host], &siege->writers[host], SIEGE_LOCK, siege->sources[host],
                     &result, &error);
    g_assert_no_error(error);
    siege->points[host] = result.point;
  }
  vault_lab_join(siege->lab);
  g_autofree char *path = vault_lab_path(siege->lab, "repo");
  siege->local = hf_local_open(path, FALSE, NULL);
  g_assert_nonnull(siege->local);
  return siege;
}

void siege_free(Siege *siege)
{
  hf_store_free(siege->local);
  vault_lab_free(siege->lab);
  for (guint host = 0; host < 2; host++) {
    g_free(siege->sources[host]);
    g_free(siege->credentials[host]);
  }
  g_free(siege);
}

/* ---- Does it stand? ---- */

static void assert_restored(Siege *siege, HfRepo *repo, guint host, const char *attack)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *out = vault_lab_path(siege->lab, "out");
  g_assert_true(hf_repo_load_index(repo, NULL));
  g_autoptr(GPtrArray) points = hf_points_load(repo, NULL, &error);
  g_assert_no_error(error);
  const HfPointInfo *info = NULL;
  for (guint i = 0; i < points->len; i++)
    if (hf_short_id_equal(&((HfPointInfo *)points->pdata[i])->point.id, &siege->points[host]))
      info = points->pdata[i];
  if (info == NULL)
    g_error("%s: the point of host %u is gone", attack, host);
  g_assert_cmpuint(info->point.lock, >=, SIEGE_LOCK);
  g_auto(HfRestoreResult) result = { 0 };
  HfRestoreOptions options = { .target = out };
  if (!hf_restore(repo, info, &options, &result, &error) || result.damaged + result.failed > 0)
    g_error("%s: the point of host %u does not come back: %s, %" G_GUINT64_FORMAT " damaged", attack, host,
            error != NULL ? error->message : "", (guint64)(result.damaged + result.failed));
  g_autofree char *base = g_path_get_basename(siege->sources[host]), *restored = g_build_filename(out, base, NULL);
  const char *argv[] = { "diff", "-r", siege->sources[host], restored, NULL };
  int status;
  g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, &status, NULL));
  if (status != 0)
    g_error("%s: the point of host %u came back otherwise", attack, host);
  hf_fixture_remove(out);
}

static void assert_opens(Siege *siege, const char *attack)
{
  g_autoptr(HfRepo) owner = vault_lab_owner(siege->lab, HF_TICKET_KEYS | HF_TICKET_READ);
  for (guint host = 0; host < 2; host++) {
    g_autoptr(GError) error = NULL;
    assert_restored(siege, owner, host, attack);
    g_autoptr(GArray) slots = hf_service_slots(owner->store, host + 1, &error);
    g_assert_no_error(error);
    g_autofree char *pass = hf_keyring_make_pass(owner->keys, host + 1, slots, &error);
    g_assert_no_error(error);
    VaultTicket ticket = { .rights = HF_TICKET_READ };
    g_autoptr(HfRepo) reader = vault_lab_open(siege->lab, &ticket, pass, &error);
    g_assert_no_error(error);
    assert_restored(siege, reader, host, attack);
  }
}

/* What nobody needs is marked by one prune and swept by the next. */
static void prune(Siege *siege)
{
  for (guint i = 0; i < 2; i++) {
    VaultTicket ticket = { .rights = HF_TICKET_KEEP };
    HfServicePruned pruned;
    g_autoptr(GError) error = NULL;
    g_autoptr(HfStore) store = vault_lab_store(siege->lab, &ticket, 1, &error);
    g_assert_no_error(error);
    hf_service_prune(store, FALSE, NULL, &pruned, &error);
    g_assert_no_error(error);
  }
}

void siege_stands(Siege *siege, const char *attack)
{
  siege_count(siege, 1);
  assert_opens(siege, attack);
  prune(siege);
  assert_opens(siege, attack);
}

void siege_count(Siege *siege, guint attacks)
{
  siege->attacks += attacks;
}

/* ---- What there is to attack. ---- */

GPtrArray *siege_names(Siege *siege, const char *prefix)
{
  GPtrArray *names = hf_store_list_names(siege->local, prefix, NULL);
  g_assert_nonnull(names);
  return names;
}

GArray *siege_ids(Siege *siege, guint host, HfPackKind kind)
{
  g_autoptr(GPtrArray) names = siege_names(siege, kind == HF_PACK_DATA ? "data/" : "meta/");
  GArray *ids = g_array_new(FALSE, FALSE, sizeof(HfId));
  for (guint i = 0; i < names->len; i++) {
    g_auto(HfPackInfo) info = { 0 };
    HfShortId id;
    hf_pack_info_init(&info);
    g_assert_true(hf_unhex(strrchr(names->pdata[i], '/') + 1, id.b, sizeof id.b));
    g_assert_true(hf_pack_read_info(siege->local, kind, &id, &info, NULL));
    if (info.domain == host + 1)
      g_array_append_vals(ids, info.ids->data, info.ids->len);
  }
  g_assert_cmpuint(ids->len, >, 0);
  return ids;
}

GBytes *siege_point(Siege *siege, guint host)
{
  char base[HF_NAME_BYTES];
  hf_name_point(base, &siege->points[host]);
  GBytes *record = hf_triple_get(siege->local, base, HF_RECORD_POINT, NULL, NULL);
  g_assert_nonnull(record);
  return record;
}

/* ---- Enemies. ---- */

Enemy *enemy_new(Siege *siege, guint host, guint32 rights, guint64 lock)
{
  Enemy *enemy = g_new0(Enemy, 1);
  g_autoptr(GError) error = NULL;
  VaultTicket wanted = { .rights = rights, .writer = siege->writers[host], .lock = lock };
  g_autoptr(HfTicket) ticket = vault_lab_ticket(siege->lab, &wanted);
  enemy->siege = siege;
  enemy->host = host;
  enemy->channel = vault_lab_connect(siege->lab, ticket);
  enemy->thread = siege->lab->threads->pdata[siege->lab->threads->len - 1];
  HfRpcOptions options = { 0 };
  hf_service_rpc_options(&options);
  enemy->rpc = hf_rpc_new(enemy->channel, &options, &error);
  g_assert_no_error(error);
  g_autofree char *path = vault_lab_path(siege->lab, "repo");
  HfUnlock unlock = { .kind = HF_UNLOCK_KEY_FILE, .text = siege->credentials[host],
                      .length = strlen(siege->credentials[host]) };
  HfRepoOptions repo_options = { .unlock = &unlock, .read_only = TRUE };
  enemy->repo = hf_repo_open(hf_local_open(path, FALSE, NULL), &repo_options, &error);
  g_assert_no_error(error);
  enemy_new_session(enemy);
  return enemy;
}

void enemy_free(Enemy *enemy)
{
  hf_rpc_free(enemy->rpc);
  hf_channel_free(enemy->channel);
  hf_repo_free(enemy->repo);
  g_ptr_array_remove(enemy->siege->lab->threads, enemy->thread);
  g_thread_join(enemy->thread);
  g_free(enemy);
}

void enemy_new_session(Enemy *enemy)
{
  hf_random(enemy->session.b, sizeof enemy->session.b);
  g_assert_true(hf_keyring_new_session(enemy->repo->keys, &enemy->session, &enemy->slot, &enemy->data_key,
                                       &enemy->meta_key, NULL));
}

void enemy_open(Enemy *enemy)
{
  HfSessionOpen open = { .id = enemy->session, .purpose = HF_PURPOSE_BACKUP, .has_slot = TRUE, .slot = enemy->slot,
                         .writer = enemy->slot.writer, .domain = enemy->slot.domain };
  g_autoptr(GBytes) record = hf_session_open_encode(&open);
  g_autofree char *name = enemy_name(enemy, "open");
  g_assert_true(enemy_put(enemy, name, record));
}

char *enemy_name(Enemy *enemy, const char *part)
{
  char name[HF_NAME_BYTES];
  hf_name_session(name, &enemy->session, part);
  return g_strdup(name);
}

const HfKey *enemy_seed(Enemy *enemy)
{
  return hf_keyring_seed(enemy->repo->keys);
}

/* ---- Calls. ---- */

gboolean enemy_call(Enemy *enemy, guint method, const void *request, gsize length)
{
  g_autoptr(GBytes) bytes = g_bytes_new(request, length);
  g_autoptr(GBytes) reply = hf_rpc_call(enemy->rpc, method, bytes, -1, NULL);
  return reply != NULL;
}

/* A name as it is: also one that the store would not let out. */
static GBytes *encode_name(const char *name)
{
  g_auto(HfVaultName) request = { .name = g_strdup(name) };
  return hf_vault_name_encode(&request, NULL);
}

gboolean enemy_put(Enemy *enemy, const char *name, GBytes *content)
{
  g_autoptr(GBytes) request = encode_name(name);
  if (request == NULL)
    return FALSE;
  g_autoptr(HfCall) call = hf_rpc_begin(enemy->rpc, HF_VAULT_METHOD_PUT, request, NULL);
  g_assert_nonnull(call);
  struct iovec part = { (void *)g_bytes_get_data(content, NULL), g_bytes_get_size(content) };
  if (part.iov_len > 0)
    hf_call_send(call, &part, 1, NULL);
  g_autoptr(GBytes) reply = hf_call_finish(call, NULL);
  return reply != NULL;
}

gboolean enemy_put_text(Enemy *enemy, const char *name, const char *content)
{
  g_autoptr(GBytes) bytes = g_bytes_new(content, strlen(content));
  return enemy_put(enemy, name, bytes);
}

static gboolean call_bytes(Enemy *enemy, guint method, GBytes *request)
{
  g_autoptr(GBytes) reply = request == NULL ? NULL : hf_rpc_call(enemy->rpc, method, request, -1, NULL);
  return reply != NULL;
}

gboolean enemy_remove(Enemy *enemy, const char *name)
{
  g_autoptr(GBytes) request = encode_name(name);
  return call_bytes(enemy, HF_VAULT_METHOD_REMOVE, request);
}

gboolean enemy_read(Enemy *enemy, const char *name)
{
  g_auto(HfVaultGet) get = { .name = g_strdup(name), .length = 1 };
  g_autoptr(GBytes) request = hf_vault_get_encode(&get, NULL);
  return call_bytes(enemy, HF_VAULT_METHOD_GET, request);
}

gboolean enemy_list(Enemy *enemy, const char *prefix)
{
  g_auto(HfVaultList) list = { .prefix = g_strdup(prefix), .content_max = 1000 };
  g_autoptr(GBytes) request = hf_vault_list_encode(&list, NULL);
  return call_bytes(enemy, HF_VAULT_METHOD_LIST, request);
}

gboolean enemy_flush(Enemy *enemy)
{
  return enemy_call(enemy, HF_VAULT_METHOD_FLUSH, NULL, 0);
}

gboolean enemy_forget(Enemy *enemy, const HfShortId *points, guint count)
{
  g_auto(HfVaultForget) forget = { 0 };
  for (guint i = 0; i < count; i++)
    hf_vault_forget_add_points(&forget, &points[i]);
  g_autoptr(GBytes) request = hf_vault_forget_encode(&forget, NULL);
  return call_bytes(enemy, HF_VAULT_METHOD_FORGET, request);
}

gboolean enemy_prune(Enemy *enemy)
{
  g_auto(HfVaultPrune) prune_now = { 0 };
  g_autoptr(GBytes) request = hf_vault_prune_encode(&prune_now, NULL);
  return call_bytes(enemy, HF_VAULT_METHOD_PRUNE, request);
}

gboolean enemy_outcome(Enemy *enemy, HfOutcomeState state, GBytes *point)
{
  g_autoptr(GBytes) record = hf_outcome_encode(state, point);
  g_autofree char *name = enemy_name(enemy, "outcome");
  return enemy_put(enemy, name, record);
}

/* ---- Frames. ---- */

Frame *frame_new(Enemy *enemy, HfPackKind kind, const HfId *ids, guint count, const GArray *refs)
{
  Frame *frame = g_new0(Frame, 1);
  HfSealed sealed = { 0 };
  hf_sealed_init(&sealed);
  g_autoptr(HfSealer) sealer =
    hf_sealer_new(&enemy->session, &enemy->data_key, &enemy->meta_key, HF_CODEC_NONE, 0);
  g_autofree HfGroupItem *items = g_new0(HfGroupItem, count);
  g_autofree guint32 *counts = g_new0(guint32, count);
  g_autofree guint8 *payloads = g_malloc0(count);
  for (guint i = 0; i < count; i++)
    items[i] = (HfGroupItem){ kind == HF_PACK_DATA ? HF_BLOB_DATA : HF_BLOB_LIST, 1 };
  counts[0] = refs == NULL ? 0 : refs->len;
  HfGroup group = { .items = items, .ref_counts = counts, .blobs = count, .payloads = payloads,
                    .payload_bytes = count, .refs = refs == NULL ? NULL : (const HfId *)(void *)refs->data };
  g_autoptr(GError) error = NULL;
  hf_seal_group(sealer, kind == HF_PACK_META, &group, &sealed, &error);
  g_assert_no_error(error);
  g_autoptr(GByteArray) stored = g_byte_array_new();
  g_byte_array_append(stored, sealed.prefix, sizeof sealed.prefix);
  g_byte_array_append(stored, sealed.clear->data, sealed.clear->len);
  g_byte_array_append(stored, sealed.body.data, (guint)sealed.body.length);
  frame->header = (HfPackFrame){ .stored_length = sealed.stored_length, .kind = HF_FRAME_GROUP,
                                 .blobs = (guint16)count };
  memcpy(frame->header.digest, sealed.digest, sizeof sealed.digest);
  hf_sealed_clear(&sealed);
  frame->length = stored->len;
  frame->stored = g_byte_array_free(g_steal_pointer(&stored), FALSE);
  frame->ids = g_array_new(FALSE, FALSE, sizeof(HfId));
  g_array_append_vals(frame->ids, ids, count);
  return frame;
}

void frame_free(Frame *frame)
{
  g_array_unref(frame->ids);
  g_free(frame->stored);
  g_free(frame);
}

GBytes *frame_piece(const Frame *frame)
{
  g_auto(HfVaultFrame) header = { .kind = frame->header.kind };
  memcpy(header.digest.b, frame->header.digest, sizeof header.digest.b);
  for (guint i = 0; i < frame->ids->len; i++)
    hf_vault_frame_add_ids(&header, &g_array_index(frame->ids, HfId, i));
  g_autoptr(GBytes) encoded = hf_vault_frame_encode(&header, NULL);
  g_autoptr(GByteArray) piece = g_byte_array_new();
  hf_put_u32(piece, (guint32)g_bytes_get_size(encoded));
  g_byte_array_append(piece, g_bytes_get_data(encoded, NULL), (guint)g_bytes_get_size(encoded));
  g_byte_array_append(piece, frame->stored, (guint)frame->length);
  return g_byte_array_free_to_bytes(g_steal_pointer(&piece));
}

GBytes *enemy_slots(Enemy *enemy)
{
  g_autoptr(GByteArray) out = g_byte_array_new();
  hf_put_session_slot(out, &enemy->slot);
  return g_byte_array_free_to_bytes(g_steal_pointer(&out));
}

gboolean enemy_sink(Enemy *enemy, guint8 kind, guint32 domain, GBytes *slots, GBytes *const *pieces, guint count)
{
  g_auto(HfVaultSink) sink = { .kind = kind, .domain = domain, .slots = g_bytes_ref(slots) };
  g_autoptr(GBytes) request = hf_vault_sink_encode(&sink, NULL);
  g_autoptr(HfCall) call = hf_rpc_begin(enemy->rpc, HF_VAULT_METHOD_SINK, request, NULL);
  g_assert_nonnull(call);
  for (guint i = 0; i < count; i++) {
    struct iovec part = { (void *)g_bytes_get_data(pieces[i], NULL), g_bytes_get_size(pieces[i]) };
    hf_call_send(call, &part, 1, NULL);
  }
  g_autoptr(GBytes) reply = hf_call_finish(call, NULL);
  return reply != NULL;
}

gboolean enemy_frame(Enemy *enemy, HfPackKind kind, const Frame *frame)
{
  g_autoptr(GBytes) slots = enemy_slots(enemy), piece = frame_piece(frame);
  GBytes *pieces[] = { piece };
  return enemy_sink(enemy, (guint8)kind, enemy->slot.domain, slots, pieces, 1);
}

/* ---- Points. ---- */

void enemy_point(Enemy *enemy, const HfId *roots, HfPoint *point)
{
  memset(point, 0, sizeof *point);
  point->session = enemy->session;
  point->writer = enemy->slot.writer;
  point->slot = enemy->slot;
  point->domain = enemy->slot.domain;
  point->roots = *roots;
  point->sequence = 1;
  point->time = 1;
  hf_random(point->source.b, sizeof point->source.b);
  hf_random(point->nonce, sizeof point->nonce);
  guint8 sealed[64];
  hf_random(sealed, sizeof sealed);
  point->sealed = g_bytes_new(sealed, sizeof sealed);
}

GBytes *enemy_sign(Enemy *enemy, HfPoint *point)
{
  hf_point_sign(point, enemy_seed(enemy));
  return hf_point_encode(point);
}
