/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Writes the starting corpora of the fuzz targets, made by the encoders:  make_corpus FOLDER
 * Each target says in its first lines what its input is. The same files come out every time.
 */
#include <sys/stat.h>

#include "codec/codec.h"
#include "format/index.h"
#include "format/point.h"
#include "format/repository.h"
#include "format/tree.h"
#include "messagefill.h"

static const char *root;
static const HfKey seed = { { 9, 8, 7 } };

static void save(const char *target, const char *name, const void *bytes, gsize length)
{
  g_autofree char *folder = g_build_filename(root, target, NULL), *path = g_build_filename(folder, name, NULL);
  GError *error = NULL;
  g_mkdir_with_parents(folder, 0755);
  if (!g_file_set_contents(path, length > 0 ? bytes : "", (gssize)length, &error))
    g_error("%s", error->message);
}

static void save_array(const char *target, const char *name, GByteArray *bytes)
{
  save(target, name, bytes->data, bytes->len);
  g_byte_array_unref(bytes);
}

/* With `prefix` before it. */
static void save_after(const char *target, const char *name, const void *prefix, gsize prefix_length, const void *bytes,
                       gsize length)
{
  GByteArray *whole = g_byte_array_new();
  hf_put_raw(whole, prefix, prefix_length);
  hf_put_raw(whole, bytes, length);
  save_array(target, name, whole);
}

/* The body of `record` without the `tail` bytes at its end; frees `record`. */
static void save_body(const char *target, const char *name, GBytes *record, gsize tail)
{
  gsize length;
  const guint8 *bytes = g_bytes_get_data(record, &length);
  save(target, name, bytes + 16, length - HF_RECORD_ENVELOPE_BYTES - tail);
  g_bytes_unref(record);
}

/* Bytes that follow from `start`, each one more than the one before. */
static void count_up(void *out, guint8 start, gsize length)
{
  for (gsize i = 0; i < length; i++)
    ((guint8 *)out)[i] = (guint8)(start + i);
}

/* ---- Records of the repository ---- */

static void make_config(void)
{
  HfConfig config = { .created = 1 };
  hf_config_defaults(&config);
  count_up(&config.repository, 1, sizeof config.repository);
  hf_sign_public(&seed, config.admin_public);
  save_body("config", "defaults", hf_config_encode(&config, &seed), HF_SIGNATURE_BYTES);
  config.codec = 0;
  config.level = 0;
  config.parity = 0;
  config.block_size = 256 << 10;
  save_body("config", "small", hf_config_encode(&config, &seed), HF_SIGNATURE_BYTES);
  g_autoptr(GBytes) record = hf_config_encode(&config, &seed);
  save("record", "config", g_bytes_get_data(record, NULL), g_bytes_get_size(record) - 32);
}

static void make_slots(void)
{
  HfBundleItem items[4] = { { .kind = HF_BUNDLE_RING, .number = 1 }, { .kind = HF_BUNDLE_ADMIN },
                            { .kind = HF_BUNDLE_OWNER }, { .kind = HF_BUNDLE_DOMAIN } };
  for (guint8 i = 0; i < 4; i++)
    count_up(&items[i].secret, i, HF_KEY_BYTES);
  GByteArray *bundle = g_byte_array_new();
  hf_bundle_encode(items, 4, bundle);
  HfSlot slot = { .way = HF_SLOT_PASSWORD, .passes = 3, .memory_kib = 65536, .created = -5, .label = (char *)"laptop" };
  slot.bundle = g_bytes_new(bundle->data, bundle->len);
  save_body("slot", "password", hf_slot_encode(&slot, &seed), HF_SIGNATURE_BYTES);
  slot.way = HF_SLOT_KEY_FILE;
  slot.passes = slot.memory_kib = 0;
  save_body("slot", "key-file", hf_slot_encode(&slot, &seed), HF_SIGNATURE_BYTES);
  g_bytes_unref(slot.bundle);
  save_array("bundle", "four", bundle);
  save("bundle", "none", "\0", 1);
  save("notice", "hidden", "\0abcdefghijklmnop\1\0\0\0\0\0\0\0", 25);
  save("notice", "removed", "\1abcdefghijklmnop\1\0\0\0\0\0\0\0", 25);
  save("notice", "tombstone", "\2abcdefghijklmnop\1\0\0\0\0\0\0\0", 25);
}

static void make_ring(void)
{
  HfRing ring = { .generation = 2, .created = 7, .shares = g_array_new(FALSE, TRUE, sizeof(HfRingShare)) };
  save_body("ring", "empty", hf_ring_encode(&ring, &seed), HF_SIGNATURE_BYTES);
  g_array_set_size(ring.shares, 2);
  save_body("ring", "two", hf_ring_encode(&ring, &seed), HF_SIGNATURE_BYTES);
  hf_ring_clear(&ring);
  HfWriter writer = { .domain = 3, .generation = 2, .created = 7, .name = (char *)"db\xc3\xa9" };
  save_body("writer", "named", hf_writer_encode(&writer, &seed), HF_SIGNATURE_BYTES);
}

static void make_key_texts(void)
{
  HfKeyFile file = { 0 };
  HfCredential credential = { .domain = 3, .generation = 2, .name = (char *)"host" };
  count_up(&file, 1, sizeof file);
  count_up(&credential.seed, 4, sizeof credential.seed);
  g_autofree char *key = hf_key_file_encode(&file), *granted = hf_credential_encode(&credential);
  g_autofree char *paper = hf_paper_key_encode(&file.slot, &file.secret);
  save("key_text", "key-file", key, strlen(key));
  save("key_text", "credential", granted, strlen(granted));
  save_after("key_text", "key-file-body", "\0", 1, &file, sizeof file);
  guint8 body[206] = { 1 };
  count_up(body + 1, 0, 200);
  memcpy(body + 201, "\4host", 5);
  save("key_text", "credential-body", body, sizeof body);
  save("paper_key", "text", paper, strlen(paper));
  save("paper_key", "bytes", &file.slot, sizeof file.slot + sizeof file.secret);
}

/* ---- Frames and packs ---- */

static void make_frames(void)
{
  static const guint32 counts[2] = { 2, 1 };
  static const HfGroupItem data[2] = { { HF_BLOB_DATA, 3 }, { HF_BLOB_DATA, 300 } }, meta[2] = { { HF_BLOB_PAGE, 5 },
                                                                                                { HF_BLOB_LIST, 0 } };
  HfId refs[3];
  HfRowPiece pieces[2] = { { .stored_length = 0 }, { .stored_length = 21 } };
  guint8 prefix[HF_FRAME_PREFIX_BYTES], row[72];
  HfFrameHeader header = { .kind = HF_FRAME_GROUP, .codec = 2, .count = 2, .plain_length = 100, .sealed_length = 50 };
  count_up(refs, 1, sizeof refs);
  GByteArray *clear = g_byte_array_new();
  hf_group_refs_encode(counts, 2, refs, clear);
  hf_frame_encode(&header, NULL, prefix);
  save("frame", "group", prefix, sizeof prefix);
  header.clear_length = clear->len;
  hf_frame_encode(&header, clear->data, prefix);
  save_after("frame", "group-refs", prefix, sizeof prefix, clear->data, clear->len);
  save_after("group_refs", "two", "\2", 2, clear->data, clear->len);
  save("group_refs", "none", "\2", 2);
  g_byte_array_unref(clear);
  hf_row_encode(pieces, 2, row);
  header = (HfFrameHeader){ .kind = HF_FRAME_ROW, .codec = 2, .count = 2, .plain_length = HF_PIECE_BYTES + 5,
                            .clear_length = sizeof row, .sealed_length = 21 };
  hf_frame_encode(&header, row, prefix);
  save_after("frame", "row", prefix, sizeof prefix, row, sizeof row);
  save_after("row", "two", "\2\4\0\2", 4, row, sizeof row);
  for (guint i = 0; i < 2; i++) {
    GByteArray *plain = g_byte_array_new();
    hf_put_u16(plain, 2);
    hf_group_table_encode(i == 0 ? data : meta, 2, plain);
    hf_put_zeros(plain, i == 0 ? 303 : 5);
    save_array("group_table", i == 0 ? "data" : "meta", plain);
  }
}

static void make_slot(HfSessionSlot *slot)
{
  guint8 bytes[HF_SESSION_SLOT_BYTES];
  count_up(slot, 1, sizeof *slot);
  slot->domain = 3;
  slot->generation = 1;
  hf_session_slot_encode(slot, &seed, bytes);
}

static void make_pack(const char *name, guint8 kind)
{
  g_auto(HfPackInfo) info;
  HfSessionSlot slot;
  hf_pack_info_init(&info);
  make_slot(&slot);
  info.kind = kind;
  info.domain = 3;
  g_array_append_val(info.slots, slot);
  HfPackFrame frames[2] = { { .stored_length = 500, .kind = HF_FRAME_GROUP, .blobs = 2 },
                            { .stored_length = 70, .kind = HF_FRAME_GROUP, .blobs = 1 } };
  if (kind == HF_PACK_DATA)
    frames[1].kind = HF_FRAME_ROW;
  g_array_append_vals(info.frames, frames, 2);
  g_array_set_size(info.ids, 3);
  count_up(info.ids->data, 1, 3 * sizeof(HfId));
  GByteArray *head = g_byte_array_new(), *end = g_byte_array_new();
  hf_pack_head_encode(&info, head);
  hf_pack_end_encode(&info, head->len + 570, end);
  gsize directory = end->len - HF_PACK_TRAILER_BYTES;
  save("pack_trailer", name, end->data + directory, HF_PACK_TRAILER_BYTES);
  guint8 prefix[5] = { kind };
  save_after("pack_directory", name, prefix, sizeof prefix, end->data, directory);
  hf_store_u32(prefix + 1, (guint32)head->len + 570);
  g_autofree char *placed = g_strconcat(name, "-placed", NULL);
  save_after("pack_directory", placed, prefix, sizeof prefix, end->data, directory);
  save_array("pack_head", name, head);
  g_byte_array_unref(end);
}

static void make_packs(void)
{
  HfSessionSlot slot;
  guint8 bytes[HF_SESSION_SLOT_BYTES], parity[HF_PARITY_HEAD_BYTES];
  make_slot(&slot);
  hf_session_slot_encode(&slot, NULL, bytes);
  save("session_slot", "signed", bytes, sizeof bytes);
  make_pack("data", HF_PACK_DATA);
  make_pack("meta", HF_PACK_META);
  HfParityHead head = { .pack_length = 64 << 20, .data_cells = 80, .parity_cells = 4, .stripes = 205 };
  hf_parity_head_encode(&head, parity);
  save("parity_head", "five", parity, sizeof parity);
  head.data_cells = 40;
  head.stripes = 410;
  hf_parity_head_encode(&head, parity);
  save("parity_head", "ten", parity, sizeof parity);
}

/* ---- Payloads. Refs do not matter here: targets have their own. ---- */

#define VIEW(text) { (const guint8 *)(text), sizeof(text) - 1 }
#define FLAG_REF (HF_ENTRY_EXTRAS_BLOB | HF_ENTRY_INCOMPLETE)

static const HfEntry entries[] = {
  { .name = VIEW("bin"),
    .mode = S_IFDIR | 0755,
    .mtime_sec = 1000,
    .ctime_sec = 1001,
    .inode = 2,
    .content = HF_CONTENT_PAGE },
  { .name = VIEW("chr"),
    .mode = S_IFCHR | 0600,
    .mtime_sec = 900,
    .ctime_sec = 1001,
    .inode = 9,
    .major = 1,
    .minor = 3 },
  { .name = VIEW("data"),
    .mode = S_IFREG | 0644,
    .flags = HF_ENTRY_RACY,
    .uid = 1000,
    .gid = 1000,
    .mtime_nsec = 12345,
    .size = 5000000,
    .content = HF_CONTENT_LIST },
  { .name = VIEW("empty"), .mode = S_IFREG | 0644 },
  { .name = VIEW("hard"),
    .mode = S_IFREG | 0644,
    .flags = HF_ENTRY_HARD_LINK | HF_ENTRY_EXTRAS,
    .device = 2049,
    .size = 700,
    .content = HF_CONTENT_BLOB,
    .extras = VIEW("\x01\x09user.a\0xy\x02\x04\x10\0\0\0") },
  { .name = VIEW("link"), .mode = S_IFLNK | 0777, .target = VIEW("../hard") },
  { .name = VIEW("odd\xff"), .mode = S_IFDIR | 0700, .flags = FLAG_REF },
  { .name = VIEW("pipe"), .mode = S_IFIFO | 0600, .ctime_sec = G_MININT64 },
  { .name = VIEW("small"), .mode = S_IFREG | 0600, .size = 30, .content = HF_CONTENT_INLINE },
  { .name = VIEW("sock"), .mode = S_IFSOCK | 0600 },
  { .name = VIEW("vda"), .mode = S_IFBLK | 0660, .major = 254 },
};

static void save_page(const char *target, const char *name, HfPageWriter *writer)
{
  const guint8 refs = (guint8)writer->refs->len;
  save_after(target, name, &refs, 1, writer->payload->data, writer->payload->len);
  hf_page_clear(writer);
}

static void make_pages(void)
{
  const HfId tail = { { 1 } };
  HfPageWriter writer;
  hf_page_begin(&writer, FALSE, &tail);
  for (gsize i = 0; i < G_N_ELEMENTS(entries); i++)
    hf_page_add(&writer, &entries[i]);
  save_page("page", "all", &writer);
  for (gsize i = 0; i < G_N_ELEMENTS(entries); i++) {
    g_autofree char *name = g_strndup((const char *)entries[i].name.data, 3);
    hf_page_begin(&writer, FALSE, entries[i].content == HF_CONTENT_INLINE ? &tail : NULL);
    hf_page_add(&writer, &entries[i]);
    save_page("page", name, &writer);
  }
  static const HfEntry roots[] = {
    { .name = VIEW("/"), .mode = S_IFDIR | 0755, .mtime_sec = 7, .content = HF_CONTENT_PAGE },
    { .name = VIEW("/dev/sda"), .size = 1 << 30, .block_size = 1 << 20, .sector_size = 512, .content = HF_CONTENT_MAP },
    { .name = VIEW("/dev/sdb"), .block_size = 256 << 10, .sector_size = 4096, .flags = HF_ENTRY_INCOMPLETE },
    { .name = VIEW("/home/a"), .mode = S_IFREG | 0644, .size = 10, .content = HF_CONTENT_INLINE },
  };
  hf_page_begin(&writer, TRUE, &tail);
  for (gsize i = 0; i < G_N_ELEMENTS(roots); i++)
    hf_page_add(&writer, &roots[i]);
  save_page("roots", "mixed", &writer);
  hf_page_begin(&writer, TRUE, NULL);
  hf_page_add(&writer, &roots[1]);
  save_page("roots", "disk", &writer);
}

static void make_nodes(void)
{
  static const HfNodeItem items[3] = { { .last_name = VIEW("b"), .entries = 1 },
                                       { .last_name = VIEW("bc"), .entries = 300 },
                                       { .last_name = VIEW("z\xff"), .entries = 1 << 20 } };
  for (guint8 level = 1; level <= 2; level++) {
    GByteArray *payload = g_byte_array_new();
    g_autoptr(GArray) refs = g_array_new(FALSE, FALSE, sizeof(HfId));
    hf_put_u8(payload, 3);
    hf_node_begin(payload, level);
    for (guint i = 0; i < 3; i++)
      hf_node_add(payload, refs, &items[i]);
    save_array("node", level == 1 ? "one" : "two", payload);
  }
}

static void make_lists(void)
{
  for (guint8 level = 0; level <= 1; level++) {
    GByteArray *payload = g_byte_array_new();
    g_autoptr(GArray) refs = g_array_new(FALSE, FALSE, sizeof(HfId));
    hf_put_u8(payload, level == 0 ? 3 : 5);
    hf_list_begin(payload, level);
    for (guint i = 0; i < 5; i++) {
      const HfListItem item = { .length = 1000000 + i, .hole = level == 0 && i % 2 };
      hf_list_add(payload, refs, level, &item);
    }
    save_array("list", level == 0 ? "chunks" : "lists", payload);
  }
}

static void make_maps(void)
{
  guint8 present[HF_MAP_FANOUT];
  for (guint i = 0; i < HF_MAP_FANOUT; i++)
    present[i] = i % 3 == 0;
  for (guint count = 10; count <= HF_MAP_FANOUT; count += HF_MAP_FANOUT - 10) {
    GByteArray *payload = g_byte_array_new();
    hf_put_u16(payload, (guint16)((count + 2) / 3));
    hf_map_encode(count == 10 ? 0 : 1, present, count, payload);
    save_array("map", count == 10 ? "ten" : "full", payload);
  }
}

static void make_extras(void)
{
  GByteArray *extras = g_byte_array_new();
  hf_extras_add(extras, HF_EXTRA_XATTR, "security.capability\0\1\0\0\2", 24);
  hf_extras_add(extras, HF_EXTRA_XATTR, "user.a\0x", 8);
  hf_extras_add(extras, HF_EXTRA_INODE_FLAGS, "\x10\0\0\0", 4);
  hf_extras_add(extras, HF_EXTRA_PROJECT, "\7\0\0\0", 4);
  save_array("extras", "all", extras);
}

/* ---- Index, points, sessions, deletion ---- */

static void make_index(void)
{
  HfIndexEntry run[3] = { { .pack = 1, .offset = 336, .stored_length = 500 },
                          { .pack = 1, .offset = 336, .stored_length = 500, .blob = 1 },
                          { .pack = 2, .offset = 836, .stored_length = 70 } };
  HfIndexFoot foot = { .entries = 3, .pages = 1, .packs = 3, .filter_bytes = 64, .supersedes = 1 };
  const HfIndexPack pack = { .kind = HF_PACK_META, .domain = 3, .length = 1000 };
  guint8 page[HF_INDEX_PAGE_BYTES], bytes[HF_INDEX_PACK_BYTES + 48];
  for (guint8 i = 0; i < 3; i++)
    count_up(run[i].key, (guint8)(20 * i), sizeof run[i].key);
  hf_index_page_encode(run, 3, page);
  save_after("index_page", "three", "\3", 1, page, 3 * 32);
  save("index_page", "whole", page, sizeof page);
  count_up(foot.superseded, 5, sizeof foot.superseded[0]);
  hf_index_foot_encode(&foot, page);
  save("index_foot", "one", page, 86);
  count_up(bytes, 1, sizeof bytes);
  hf_index_pack_encode(&pack, bytes);
  save("index_pack", "meta", bytes, sizeof bytes);
}

static HfPointDetails *make_details(void)
{
  HfPointDetails *details = hf_point_details_new();
  details->name = g_strdup("home");
  details->host = g_strdup("host");
  details->user = g_strdup("root");
  details->program = g_strdup("holdfast");
  g_ptr_array_add(details->tags, g_strdup("weekly"));
  g_ptr_array_add(details->roots, hf_point_root_new("/home", 5, 1));
  HfPointRoot *disk = hf_point_root_new("/dev/sda", 8, 2);
  disk->cookie = g_bytes_new("cookie", 6);
  g_ptr_array_add(details->roots, disk);
  return details;
}

static void make_points(void)
{
  g_autoptr(HfPointDetails) details = make_details();
  g_auto(HfPoint) point = { .flags = HF_POINT_WARNINGS, .sequence = 4, .time = 5, .lock = 6 };
  GByteArray *plain = g_byte_array_new();
  hf_point_details_encode(details, plain);
  make_slot(&point.slot);
  point.session = point.slot.session;
  point.writer = point.slot.writer;
  point.domain = point.slot.domain;
  point.sealed = g_bytes_new(plain->data, plain->len);
  hf_point_sign(&point, &seed);
  save_array("point_details", "two-roots", plain);
  g_autoptr(GBytes) record = hf_point_encode(&point);
  gsize length;
  const guint8 *bytes = g_bytes_get_data(record, &length);
  save_after("point", "signed", "\1", 1, bytes + 16, length - HF_RECORD_ENVELOPE_BYTES);
  save_after("outcome", "committed-body", "\1", 1, bytes + 16, length - HF_RECORD_ENVELOPE_BYTES);
  save_body("outcome", "committed", hf_outcome_encode(HF_OUTCOME_COMMITTED, record), 0);
  save_body("outcome", "fenced", hf_outcome_encode(HF_OUTCOME_FENCED, NULL), 0);
  HfCheckpoint checkpoint = { .writer = point.writer, .domain = point.domain, .slot = point.slot, .time = 9 };
  save_body("checkpoint", "signed", hf_checkpoint_encode(&checkpoint, &seed), HF_SIGNATURE_BYTES);
  HfSessionOpen open = { .id = point.session, .writer = point.writer, .domain = point.domain, .has_slot = TRUE,
                         .slot = point.slot, .purpose = HF_PURPOSE_BACKUP, .pid = 77 };
  save_body("session_open", "backup", hf_session_open_encode(&open), 0);
  open.has_slot = FALSE;
  open.purpose = HF_PURPOSE_READ;
  save_body("session_open", "read", hf_session_open_encode(&open), 0);
}

static void make_marks(void)
{
  HfMark mark;
  HfSeal sealed = { .sealed = TRUE };
  const HfPlace place = { .offset = 336 }, whole = { .offset = HF_PLACE_WHOLE_PACK };
  g_autoptr(GArray) places = g_array_new(FALSE, FALSE, sizeof(HfPlace));
  hf_mark_init(&mark);
  mark.generation = 3;
  save_body("mark", "empty", hf_mark_encode(&mark), 0);
  g_array_set_size(mark.packs, 2);
  count_up(mark.packs->data, 1, 2 * sizeof(HfShortId));
  save_body("mark", "packs", hf_mark_encode(&mark), 0);
  hf_mark_clear(&mark);
  save_body("seal", "sealed", hf_seal_encode(&sealed), 0);
  sealed.sealed = FALSE;
  save_body("seal", "void", hf_seal_encode(&sealed), 0);
  g_array_append_val(places, place);
  g_array_append_val(places, whole);
  save_body("places", "two", hf_places_encode(HF_RECORD_THIN, places), 0);
  g_autoptr(GArray) ids = g_array_new(FALSE, TRUE, sizeof(HfId));
  g_array_set_size(ids, 2);
  save_body("lost", "two", hf_lost_encode(ids), 0);
}

static void make_codec(void)
{
  g_autoptr(HfCodecContext) context = hf_codec_new();
  guint8 plain[600], packed[1024];
  for (guint i = 0; i < sizeof plain; i++)
    plain[i] = (guint8)(i * i >> 6);
  for (HfCodec codec = HF_CODEC_NONE; codec <= HF_CODEC_ZSTD; codec++) {
    const guint8 prefix[3] = { (guint8)codec, sizeof plain & 0xff, sizeof plain >> 8 };
    gssize length = hf_compress(context, codec, 3, plain, sizeof plain, packed, sizeof packed, NULL);
    save_after("codec", hf_codec_name(codec), prefix, sizeof prefix, length > 0 ? packed : plain,
               length > 0 ? (gsize)length : sizeof plain);
  }
}

/* ---- The fleet ---- */

static void make_messages(void)
{
  guint8 number = 0;
  for (const MessageService *service = message_services; service->name != NULL; service++)
    for (guint i = 0; service->kinds[i] != NULL; i++, number++) {
      const HfMessageKind *kind = service->kinds[i];
      g_autofree gpointer message = g_malloc0(kind->size);
      message_fill(kind, message);
      g_autoptr(GBytes) bytes = hf_message_encode(kind, message, NULL);
      g_autofree char *name = g_strdup_printf("%s-%u", service->name, i);
      save_after("messages", name, &number, 1, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
      hf_message_clear(kind, message);
    }
}

int main(int argc, char **argv)
{
  if (argc != 2 || !hf_crypto_init(NULL)) {
    g_printerr("usage: %s FOLDER\n", argv[0]);
    return 2;
  }
  root = argv[1];
  make_config();
  make_slots();
  make_ring();
  make_key_texts();
  make_frames();
  make_packs();
  make_pages();
  make_nodes();
  make_lists();
  make_maps();
  make_extras();
  make_index();
  make_points();
  make_marks();
  make_codec();
  make_messages();
  return 0;
}
