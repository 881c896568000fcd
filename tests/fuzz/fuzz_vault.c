/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The repository service and a visitor who calls it in any order. Two hosts have a locked point each in a small
 * repository in memory; the input says what the ticket allows and what the visitor does with it: calls of his own
 * making, and objects, frames and points that are sealed and signed rightly but for what the input changes in them,
 * over up to three connections.
 *
 * Whatever he does, what the locked points need must stay as it was, byte for byte, and new objects may be there only
 * in the folders that the rights of the ticket allow.
 */
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"
#include "net/messages/vault.h"
#include "siege.h"
#include "storage/local/local.h"

#define SESSIONS 3u
#define CONNECTIONS 3u
#define STEPS 40u
#define LONG_VERBS 2u
#define WRITERS (HF_TICKET_WRITE | HF_TICKET_COPY)

typedef struct Session {
  HfShortId id;
  HfSessionSlot slot;
  HfKey data_key, meta_key;
} Session;

/* Made once. */
static struct {
  Siege *siege;
  Enemy makers[2];
  Session sessions[2][SESSIONS];
  GHashTable *files; /* name to GBytes */
  GPtrArray *names;  /* of them, sorted */
  GArray *ids[2][2]; /* by host and kind */
} world;

/* One run. */
typedef struct Run {
  HfReader in;
  guint host;
  guint32 rights;
  HfTicket *ticket;
  Enemy *enemy;
  HfChannel *channels[CONNECTIONS];
  HfRpc *rpcs[CONNECTIONS];
  guint current, long_verbs;
} Run;

/* ---- The world. ---- */

static int by_name(gconstpointer a, gconstpointer b)
{
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *repo_path(const char *name)
{
  return g_build_filename(world.siege->lab->folder, "repo", name, NULL);
}

typedef void (*FileFunc)(const char *name, gboolean folder, gpointer user);

/* Files first, then the folder that they are in. */
static void walk(const char *name, FileFunc func, gpointer user)
{
  g_autofree char *path = repo_path(name);
  GDir *dir = g_dir_open(path, 0, NULL);
  g_assert_nonnull(dir);
  for (const char *entry; (entry = g_dir_read_name(dir)) != NULL;) {
    g_autofree char *inner = *name == '\0' ? g_strdup(entry) : g_strconcat(name, "/", entry, NULL);
    g_autofree char *inner_path = repo_path(inner);
    gboolean folder = g_file_test(inner_path, G_FILE_TEST_IS_DIR);
    if (folder)
      walk(inner, func, user);
    func(inner, folder, user);
  }
  g_dir_close(dir);
}

static GBytes *read_file(const char *name)
{
  char *bytes;
  gsize length;
  g_autofree char *path = repo_path(name);
  return g_file_get_contents(path, &bytes, &length, NULL) ? g_bytes_new_take(bytes, length) : NULL;
}

static void write_file(const char *name, GBytes *bytes)
{
  g_autofree char *path = repo_path(name), *folder = g_path_get_dirname(path);
  g_mkdir_with_parents(folder, 0700);
  g_unlink(path);
  g_assert_true(g_file_set_contents_full(path, g_bytes_get_data(bytes, NULL), (gssize)g_bytes_get_size(bytes),
                                         G_FILE_SET_CONTENTS_NONE, 0600, NULL));
}

static void keep_file(const char *name, gboolean folder, gpointer user G_GNUC_UNUSED)
{
  if (folder)
    return;
  g_hash_table_insert(world.files, g_strdup(name), read_file(name));
  g_ptr_array_add(world.names, g_strdup(name));
}

static void make_maker(guint host)
{
  Enemy *maker = &world.makers[host];
  g_autoptr(GError) error = NULL;
  const char *text = world.siege->credentials[host];
  HfUnlock unlock = { .kind = HF_UNLOCK_KEY_FILE, .text = text, .length = strlen(text) };
  HfRepoOptions options = { .unlock = &unlock, .read_only = TRUE };
  g_autofree char *path = repo_path("");
  maker->siege = world.siege;
  maker->host = host;
  maker->repo = hf_repo_open(hf_local_open(path, FALSE, NULL), &options, &error);
  g_assert_no_error(error);
  for (guint i = 0; i < SESSIONS; i++) {
    enemy_new_session(maker);
    world.sessions[host][i] = (Session){ maker->session, maker->slot, maker->data_key, maker->meta_key };
  }
}

static void quiet(const char *domain G_GNUC_UNUSED, GLogLevelFlags level G_GNUC_UNUSED,
                  const char *message G_GNUC_UNUSED, gpointer user G_GNUC_UNUSED)
{
}

static void end_world(void)
{
  for (guint host = 0; host < 2; host++)
    hf_repo_free(world.makers[host].repo);
  siege_free(world.siege);
}

static void make_world(void)
{
  if (world.siege != NULL)
    return;
  fuzz_begin();
  g_setenv("HOLDFAST_TEST_BEAT_MS", "20", TRUE);
  g_log_set_default_handler(quiet, NULL);
  world.siege = siege_new();
  world.files = g_hash_table_new(g_str_hash, g_str_equal);
  world.names = g_ptr_array_new();
  for (guint host = 0; host < 2; host++) {
    make_maker(host);
    world.ids[host][0] = siege_ids(world.siege, host, HF_PACK_DATA);
    world.ids[host][1] = siege_ids(world.siege, host, HF_PACK_META);
  }
  hf_depots_close();
  walk("", keep_file, NULL);
  g_ptr_array_sort(world.names, by_name);
  atexit(end_world);
}

/* ---- What the input says. ---- */

static guint8 pick(Run *run)
{
  return hf_get_u8(&run->in);
}

static gboolean over(const Run *run)
{
  return run->in.failed || hf_reader_left(&run->in) == 0;
}

static GBytes *pick_bytes(Run *run)
{
  gsize length = pick(run);
  if (length == 255)
    length = hf_get_u16(&run->in);
  length = MIN(length, hf_reader_left(&run->in));
  HfView view = hf_get_view(&run->in, length);
  return g_bytes_new(view.data, view.length);
}

static const Session *pick_session(Run *run)
{
  const Session *session = &world.sessions[run->host][pick(run) % SESSIONS];
  run->enemy->session = session->id;
  run->enemy->slot = session->slot;
  run->enemy->data_key = session->data_key;
  run->enemy->meta_key = session->meta_key;
  return session;
}

/* Turns a few bits, or none. */
static GBytes *spoil(Run *run, GBytes *bytes)
{
  guint8 how = pick(run);
  gsize length = g_bytes_get_size(bytes);
  if (how < 128 || length == 0)
    return g_bytes_ref(bytes);
  guint8 *copy = g_memdup2(g_bytes_get_data(bytes, NULL), length);
  for (guint i = 0; i <= (how & 3u); i++)
    copy[hf_get_u16(&run->in) % length] ^= pick(run);
  if ((how & 4) != 0)
    length = hf_get_u16(&run->in) % length;
  return g_bytes_new_take(copy, length);
}

static char *pick_name(Run *run)
{
  static const char *const parts[] = { "open", "outcome", "checkpoint.1", "checkpoint.2", "beat.1", "beat.2", "", "x" };
  guint8 how = pick(run);
  if (how < 100)
    return g_strdup(g_ptr_array_index(world.names, hf_get_u16(&run->in) % world.names->len));
  if (how < 200) {
    pick_session(run);
    return enemy_name(run->enemy, parts[how % G_N_ELEMENTS(parts)]);
  }
  g_autoptr(GBytes) raw = pick_bytes(run);
  gsize length = g_bytes_get_size(raw);
  g_autofree char *text = length == 0 ? g_strdup("") : g_strndup(g_bytes_get_data(raw, NULL), length);
  g_autofree char *cut = g_utf8_make_valid(text, MIN((gssize)strlen(text), 60));
  if (how < 230)
    return g_strdup(cut);
  /* Beside what is there. */
  return g_strconcat(g_ptr_array_index(world.names, how % world.names->len), cut, NULL);
}

static HfId pick_id(Run *run, guint kind)
{
  guint8 how = pick(run), number = pick(run);
  const GArray *ids = world.ids[how < 64 ? run->host : 1 - run->host][how < 128 ? kind : 1 - kind];
  HfId id;
  if (how < 160)
    return g_array_index(ids, HfId, number % ids->len);
  memset(id.b, number, sizeof id.b);
  return id;
}

/* ---- Objects. ---- */

static void put(Run *run, const char *name, GBytes *content)
{
  g_autoptr(GBytes) spoilt = spoil(run, content);
  enemy_put(run->enemy, name, spoilt);
}

static void step_open(Run *run)
{
  const Session *session = pick_session(run);
  guint8 how = pick(run);
  HfSessionOpen open = { .id = session->id, .purpose = HF_PURPOSE_BACKUP, .has_slot = (how & 2) == 0,
                         .slot = session->slot, .writer = session->slot.writer, .domain = session->slot.domain };
  if ((how & 1) != 0)
    open.purpose = pick(run);
  if ((how & 4) != 0)
    open.slot = world.sessions[1 - run->host][0].slot;
  if ((how & 8) != 0)
    open.pid = (guint32)getpid();
  g_autoptr(GBytes) record = hf_session_open_encode(&open);
  g_autofree char *name = enemy_name(run->enemy, "open");
  put(run, name, record);
}

static GBytes *make_point(Run *run)
{
  g_auto(HfPoint) point = { 0 };
  HfId roots = pick_id(run, 1);
  guint8 how = pick(run);
  enemy_point(run->enemy, &roots, &point);
  if ((how & 1) != 0)
    point.domain = pick(run);
  if ((how & 2) != 0)
    point.session = world.sessions[run->host][pick(run) % SESSIONS].id;
  if ((how & 4) != 0)
    point.slot = world.sessions[1 - run->host][0].slot;
  if ((how & 8) != 0)
    point.id = world.siege->points[pick(run) & 1];
  if ((how & 16) != 0)
    point.lock = point.sequence = hf_get_u64(&run->in);
  return (how & 32) != 0 ? siege_point(world.siege, how >> 6 & 1) : enemy_sign(run->enemy, &point);
}

static void step_outcome(Run *run)
{
  pick_session(run);
  guint8 state = pick(run);
  g_autoptr(GBytes) point = state < 200 ? make_point(run) : NULL;
  g_autoptr(GBytes) record =
    point != NULL ? hf_outcome_encode(HF_OUTCOME_COMMITTED, point) : hf_outcome_encode(state & 3, NULL);
  g_autofree char *name = enemy_name(run->enemy, "outcome");
  put(run, name, record);
}

static void step_checkpoint(Run *run)
{
  const Session *session = pick_session(run);
  HfCheckpoint checkpoint = { .writer = session->slot.writer, .domain = session->slot.domain, .slot = session->slot };
  checkpoint.roots = pick_id(run, 1);
  checkpoint.source.b[0] = pick(run);
  g_autoptr(GBytes) record = hf_checkpoint_encode(&checkpoint, enemy_seed(run->enemy));
  g_autofree char *part = g_strdup_printf("checkpoint.%u", pick(run) & 3);
  g_autofree char *name = enemy_name(run->enemy, part);
  put(run, name, record);
}

static void step_put(Run *run)
{
  g_autofree char *name = pick_name(run);
  guint8 how = pick(run);
  g_autoptr(GBytes) content = NULL;
  if (how < 128)
    content = pick_bytes(run);
  else
    content = g_bytes_ref(
      g_hash_table_lookup(world.files, g_ptr_array_index(world.names, hf_get_u16(&run->in) % world.names->len)));
  put(run, name, content);
}

static void step_remove(Run *run)
{
  g_autofree char *name = pick_name(run);
  enemy_remove(run->enemy, name);
}

static void step_get(Run *run)
{
  g_auto(HfVaultGet) get = { .name = pick_name(run), .offset = pick(run), .length = hf_get_u16(&run->in) };
  if (pick(run) >= 200) {
    get.offset = hf_get_u64(&run->in);
    get.length = hf_get_u32(&run->in);
  }
  g_autoptr(GBytes) request = hf_vault_get_encode(&get, NULL);
  if (request != NULL)
    enemy_call(run->enemy, HF_VAULT_METHOD_GET, g_bytes_get_data(request, NULL), g_bytes_get_size(request));
}

static void step_list(Run *run)
{
  g_autofree char *name = pick_name(run);
  gsize length = strlen(name) * pick(run) / 255;
  name[length] = '\0';
  if (g_utf8_validate(name, -1, NULL))
    enemy_list(run->enemy, name);
}

/* ---- Frames. ---- */

static GBytes *make_slots(Run *run)
{
  g_autoptr(GByteArray) out = g_byte_array_new();
  guint8 which = pick(run);
  for (guint i = 0; i < 2 * SESSIONS; i++)
    if ((which >> i & 1) != 0)
      hf_put_session_slot(out, &world.sessions[(run->host + i / SESSIONS) % 2][i % SESSIONS].slot);
  g_autoptr(GBytes) slots = g_byte_array_free_to_bytes(g_steal_pointer(&out));
  return spoil(run, slots);
}

static void lie(Run *run, Frame *frame, guint8 how)
{
  if ((how & 1) != 0 && frame->length > 0)
    frame->stored[hf_get_u16(&run->in) % frame->length] ^= pick(run);
  if ((how & 2) != 0)
    frame->length = hf_get_u16(&run->in) % (frame->length + 1);
  if ((how & 4) != 0)
    frame->header.kind = pick(run);
  if ((how & 8) != 0)
    g_array_set_size(frame->ids, pick(run));
  if ((how & 16) != 0)
    hf_xxh128(frame->stored, frame->length, frame->header.digest);
}

static GBytes *make_frame(Run *run, guint kind)
{
  HfId ids[8];
  g_autoptr(GArray) refs = g_array_new(FALSE, FALSE, sizeof(HfId));
  pick_session(run);
  guint8 counts = pick(run), how = pick(run);
  guint count = 1 + (counts & 7), n_refs = kind == 1 ? counts >> 4 : 0;
  for (guint i = 0; i < count; i++)
    ids[i] = pick_id(run, kind);
  for (guint i = 0; i < n_refs; i++) {
    HfId ref = pick_id(run, i & 1);
    g_array_append_val(refs, ref);
  }
  g_autoptr(Frame) frame = frame_new(run->enemy, kind == 0 ? HF_PACK_DATA : HF_PACK_META, ids, count, refs);
  if (how >= 128)
    lie(run, frame, how);
  return frame_piece(frame);
}

/* Frames one after the other; the call may be left without waiting for its end. */
static void step_sink(Run *run)
{
  guint8 how = pick(run);
  guint kind = how & 1;
  g_auto(HfVaultSink) sink = { .kind = (guint8)(kind == 0 ? HF_PACK_DATA : HF_PACK_META) };
  sink.domain = world.sessions[run->host][0].slot.domain;
  if (how >= 240)
    sink.kind = pick(run);
  if ((how & 2) != 0)
    sink.domain = pick(run);
  sink.slots = make_slots(run);
  g_autoptr(GBytes) request = hf_vault_sink_encode(&sink, NULL);
  g_autoptr(HfCall) call = request == NULL ? NULL : hf_rpc_begin(run->enemy->rpc, HF_VAULT_METHOD_SINK, request, NULL);
  if (call == NULL)
    return;
  for (guint i = 0; i < (how >> 2 & 7u) && !over(run); i++) {
    g_autoptr(GBytes) frame = make_frame(run, pick(run) < 240 ? kind : 1 - kind), piece = spoil(run, frame);
    struct iovec part = { (void *)g_bytes_get_data(piece, NULL), g_bytes_get_size(piece) };
    if (part.iov_len > 0)
      hf_call_send(call, &part, 1, NULL);
  }
  GBytes *reply = (how & 32) == 0 ? hf_call_finish(call, NULL) : NULL;
  g_clear_pointer(&reply, g_bytes_unref);
}

/* ---- Verbs. ---- */

static void step_forget(Run *run)
{
  HfShortId points[3] = { world.siege->points[0], world.siege->points[1] };
  points[2].b[0] = pick(run);
  enemy_forget(run->enemy, points + pick(run) % 3, 1);
}

static void step_long(Run *run)
{
  guint8 how = pick(run);
  if (run->long_verbs++ >= LONG_VERBS)
    return;
  if (how < 128)
    enemy_prune(run->enemy);
  else
    enemy_call(run->enemy, HF_VAULT_METHOD_VERIFY, "\x64", 1);
}

static void step_raw(Run *run)
{
  guint8 method = pick(run);
  g_autoptr(GBytes) request = pick_bytes(run);
  if (method == HF_VAULT_METHOD_PRUNE || method == HF_VAULT_METHOD_VERIFY)
    run->long_verbs++;
  if (run->long_verbs <= LONG_VERBS)
    enemy_call(run->enemy, method, g_bytes_get_data(request, NULL), g_bytes_get_size(request));
}

static void step_plain(Run *run)
{
  static const guint8 methods[] = { HF_VAULT_METHOD_VISIT, HF_VAULT_METHOD_USAGE, HF_VAULT_METHOD_FLUSH,
                                    HF_VAULT_METHOD_FLUSH };
  enemy_call(run->enemy, methods[pick(run) % G_N_ELEMENTS(methods)], NULL, 0);
}

static void step_slots(Run *run)
{
  g_auto(HfVaultSlots) slots = { .domain = pick(run) };
  g_autoptr(GBytes) request = hf_vault_slots_encode(&slots, NULL);
  enemy_call(run->enemy, HF_VAULT_METHOD_SLOTS, g_bytes_get_data(request, NULL), g_bytes_get_size(request));
}

/* ---- Connections. ---- */

static void hang_up(Run *run, guint number)
{
  g_clear_pointer(&run->rpcs[number], hf_rpc_free);
  g_clear_pointer(&run->channels[number], hf_channel_free);
}

static void call_up(Run *run, guint number)
{
  g_autoptr(GError) error = NULL;
  HfRpcOptions options = { 0 };
  run->current = number;
  if (run->rpcs[number] == NULL) {
    hf_service_rpc_options(&options);
    run->channels[number] = vault_lab_connect(world.siege->lab, run->ticket);
    run->rpcs[number] = hf_rpc_new(run->channels[number], &options, &error);
    g_assert_no_error(error);
  }
  run->enemy->rpc = run->rpcs[number];
  run->enemy->channel = run->channels[number];
}

static void step_connection(Run *run)
{
  guint8 how = pick(run);
  if (how >= 192)
    hang_up(run, how % CONNECTIONS);
  call_up(run, how < 192 ? how % CONNECTIONS : run->current);
}

/* ---- Did it hold? ---- */

static gboolean is_in(const char *name, const char *const *folders)
{
  for (; *folders != NULL; folders++)
    if (g_str_has_prefix(name, *folders))
      return TRUE;
  return FALSE;
}

/* What the service writes for itself. */
static gboolean is_of_service(const char *name)
{
  static const char *const folders[] = { "index/", "gc/", "damage/", "sessions/", "clock", NULL };
  return is_in(name, folders);
}

static void check_new(const Run *run, const char *name)
{
  static const char *const packs[] = { "data/", "meta/", "mirror/", "parity/", NULL };
  static const char *const keys[] = { "config.", "ring/", "writers/", "keys/", "reserve", NULL };
  guint32 needed = is_in(name, packs) ? WRITERS | HF_TICKET_KEEP : is_in(name, keys) ? HF_TICKET_KEYS : WRITERS;
  if ((run->rights & needed) == 0)
    g_error("'%s' is new, with rights %u", name, run->rights);
}

static void check_file(const char *name, gboolean folder, gpointer user)
{
  const Run *run = user;
  g_autofree char *path = repo_path(name);
  GBytes *then = g_hash_table_lookup(world.files, name);
  if (folder) {
    g_rmdir(path); /* when it is empty */
    return;
  }
  if (then == NULL && !is_of_service(name))
    check_new(run, name);
  if (then == NULL) {
    g_unlink(path);
    return;
  }
  g_autoptr(GBytes) now = read_file(name);
  if (g_bytes_equal(now, then))
    return;
  if (!is_of_service(name))
    g_error("'%s' was changed, with rights %u", name, run->rights);
  write_file(name, then);
}

/* Looks at every file, and makes all as it was. */
static void check_all(Run *run)
{
  walk("", check_file, run);
  for (guint i = 0; i < world.names->len; i++) {
    const char *name = g_ptr_array_index(world.names, i);
    g_autofree char *path = repo_path(name);
    if (g_access(path, F_OK) == 0)
      continue;
    if (!is_of_service(name))
      g_error("'%s' is gone, with rights %u", name, run->rights);
    write_file(name, g_hash_table_lookup(world.files, name));
  }
}

/* ---- The run. ---- */

static void begin(Run *run)
{
  guint8 rights = pick(run), how = pick(run);
  run->host = how & 1;
  run->rights = rights & 31;
  run->enemy = &world.makers[run->host];
  VaultTicket wanted = { .rights = run->rights, .writer = world.siege->writers[run->host], .create = (how & 2) != 0,
                         .lock = (how & 4) != 0 ? hf_get_u64(&run->in) : 0 };
  run->ticket = vault_lab_ticket(world.siege->lab, &wanted);
  call_up(run, 0);
}

static void end(Run *run)
{
  for (guint i = 0; i < CONNECTIONS; i++)
    hang_up(run, i);
  vault_lab_join(world.siege->lab);
  hf_depots_close();
  hf_ticket_free(run->ticket);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static void (*const steps[])(Run *run) = {
    step_open, step_sink, step_plain, step_outcome, step_checkpoint, step_put, step_remove, step_get,
    step_list, step_forget, step_long, step_raw, step_slots, step_connection, step_sink, step_open,
  };
  make_world();
  Run run = { .in = hf_reader(data, size) };
  begin(&run);
  for (guint i = 0; i < STEPS && !over(&run); i++)
    steps[pick(&run) % G_N_ELEMENTS(steps)](&run);
  end(&run);
  check_all(&run);
  return 0;
}
