/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "points.h"

/* ---- Open ---- */

#define OPEN_HEAD "11*16 01 22*16 07000000 99*16 39300000 0800000000000000 0700000000000000 0807060504030201"
#define OPEN_BODY OPEN_HEAD " a802 " TEST_SLOT
#define OPEN_GOLDEN \
  "'HOLDFAST' 0100 0700 7b010000 " OPEN_BODY " 27623e9b9e31a24110ee74eb38480a27c7909ca921bc59b209fb5133d6a014ec"
#define READER_BODY "11*16 04 22*16 07000000 99*16 39300000 0800000000000000 0700000000000000 0807060504030201 00"
#define READER_GOLDEN \
  "'HOLDFAST' 0100 0700 52000000 " READER_BODY " 2f7cc155d9b10c693a78e2ed5e2990922ff81563619c595d70cb5c9f50dcc25a"

static gboolean decode_open(const guint8 *bytes, gsize length, GError **error)
{
  HfSessionOpen open;
  g_autoptr(GBytes) record = hf_record_wrap(HF_RECORD_SESSION, bytes, length);
  return hf_session_open_decode(record, &open, error);
}

static void make_open(HfSessionOpen *open)
{
  memset(open, 0, sizeof *open);
  make_slot(&open->slot);
  open->has_slot = TRUE;
  open->id = open->slot.session;
  open->writer = open->slot.writer;
  open->domain = 7;
  open->purpose = HF_PURPOSE_BACKUP;
  fill(&open->boot, 0x99, sizeof open->boot);
  open->pid = 12345;
  open->pid_start = 8;
  open->pid_namespace = 7;
  open->started = 0x0102030405060708;
}

static void test_open(void)
{
  HfSessionOpen open, decoded;
  GError *error = NULL;
  make_open(&open);
  g_autoptr(GBytes) record = hf_session_open_encode(&open);
  assert_g_bytes_parts(record, OPEN_GOLDEN);
  g_assert_true(hf_session_open_decode(record, &decoded, &error));
  g_assert_no_error(error);
  g_assert_true(decoded.has_slot);
  g_assert_cmpuint(decoded.pid, ==, 12345);
  g_autoptr(GBytes) again = hf_session_open_encode(&decoded);
  g_assert_true(g_bytes_equal(record, again));
  open.has_slot = FALSE;
  open.purpose = HF_PURPOSE_READ;
  g_autoptr(GBytes) reader = hf_session_open_encode(&open);
  assert_g_bytes_parts(reader, READER_GOLDEN);
  g_assert_true(hf_session_open_decode(reader, &decoded, &error));
  g_assert_no_error(error);
  g_assert_false(decoded.has_slot);
}

static void test_bad_open(void)
{
  assert_exact_length(decode_open, OPEN_BODY, HF_ERROR_INVALID);
  assert_exact_length(decode_open, READER_BODY, HF_ERROR_INVALID);
  assert_patch_refused(decode_open, READER_BODY, 16, "00");
  assert_patch_refused(decode_open, READER_BODY, 16, "06");
  assert_patch_taken(decode_open, READER_BODY, 16, "05");
  assert_patch_refused(decode_open, OPEN_BODY, 0, "10");
  assert_patch_refused(decode_open, OPEN_BODY, 17, "10");
  assert_patch_refused(decode_open, OPEN_BODY, 33, "06");
  assert_patch_refused(decode_open, OPEN_BODY, 83 + 200, "01");
  assert_refused(decode_open, OPEN_HEAD " a702 " TEST_SLOT);
  assert_refused(decode_open, OPEN_HEAD " a902 " TEST_SLOT " 00");
  assert_refused(decode_open, OPEN_HEAD " 01 00");
  HfSessionOpen open;
  g_autoptr(GBytes) kind = hf_record_wrap(HF_RECORD_MARK, "", 0);
  g_assert_false(hf_session_open_decode(kind, &open, NULL));
}

/* ---- Outcome ---- */

#define COMMITTED_BODY "01 ba04 " TEST_POINT_RECORD
#define COMMITTED_GOLDEN \
  "'HOLDFAST' 0100 0900 3d020000 " COMMITTED_BODY " ea64e871588ea08d236ce96db4b741edc64244832aead18475118bd23ca8f03d"
#define FENCED_GOLDEN                                                                                                  \
  "'HOLDFAST' 0100 0900 02000000 02 00 bc1385fb3588e3e8c53949b8114e9fe5f6c3ec85c59e62dca56ffa8e27e59399"

static gboolean decode_outcome(const guint8 *bytes, gsize length, GError **error)
{
  HfOutcomeState state;
  g_autoptr(GBytes) point = NULL;
  g_autoptr(GBytes) record = hf_record_wrap(HF_RECORD_OUTCOME, bytes, length);
  gboolean done = hf_outcome_decode(record, &state, &point, error);
  g_assert_true(done || point == NULL);
  return done;
}

static void test_outcome(void)
{
  g_auto(HfPoint) point;
  HfOutcomeState state;
  GError *error = NULL;
  make_point(&point);
  hf_point_sign(&point, &test_seed);
  g_autoptr(GBytes) inside = hf_point_encode(&point), found = NULL, none = NULL;
  g_autoptr(GBytes) committed = hf_outcome_encode(HF_OUTCOME_COMMITTED, inside);
  assert_g_bytes_parts(committed, COMMITTED_GOLDEN);
  g_assert_true(hf_outcome_decode(committed, &state, &found, &error));
  g_assert_no_error(error);
  g_assert_cmpint(state, ==, HF_OUTCOME_COMMITTED);
  g_assert_true(g_bytes_equal(found, inside));
  g_autoptr(GBytes) fenced = hf_outcome_encode(HF_OUTCOME_FENCED, NULL);
  assert_g_bytes_parts(fenced, FENCED_GOLDEN);
  g_assert_true(hf_outcome_decode(fenced, &state, &none, &error));
  g_assert_no_error(error);
  g_assert_cmpint(state, ==, HF_OUTCOME_FENCED);
  g_assert_null(none);
}

static void test_bad_outcome(void)
{
  assert_exact_length(decode_outcome, "03 00", HF_ERROR_INVALID);
  assert_exact_length(decode_outcome, COMMITTED_BODY, HF_ERROR_INVALID);
  assert_refused(decode_outcome, "00 00");
  assert_refused(decode_outcome, "04 00");
  assert_refused(decode_outcome, "01 00");
  assert_refused(decode_outcome, "02 ba04 " TEST_POINT_RECORD);
  /* A point that is none, one that is damaged, another record. */
  g_autoptr(GByteArray) flipped = patched(COMMITTED_BODY, 40, "fe");
  assert_refused_as(decode_outcome, flipped->data, flipped->len, HF_ERROR_DAMAGED);
  g_autoptr(GByteArray) words = parts("01 03 'abc'");
  assert_refused_as(decode_outcome, words->data, words->len, HF_ERROR_FORMAT);
  assert_refused(decode_outcome, "01 32 " FENCED_GOLDEN);
  HfOutcomeState state;
  GBytes *point;
  g_autoptr(GBytes) kind = hf_record_wrap(HF_RECORD_MARK, "", 0);
  g_assert_false(hf_outcome_decode(kind, &state, &point, NULL));
}

/* ---- Checkpoint ---- */

#define CHECKPOINT_BODY "55*16 07000000 22*16 66*32 0807060504030201 " TEST_SLOT
#define CHECKPOINT_GOLDEN \
  "'HOLDFAST' 0100 0800 b4010000 " CHECKPOINT_BODY \
  " efd5bc0d13086bfa672abb5afdde3479a49532860e8771b27de42325ed7cb6d8" \
  "1b50a4ed4d9df8fd1d268486f6c1466bae7cd74171603f0293f08fc86172aa04" \
  " 603ee0fa547f23f209f38d3134345d4066d7ccc5cdb659457a0a347a75f7f23f"

static gboolean decode_checkpoint(const guint8 *bytes, gsize length, GError **error)
{
  HfCheckpoint checkpoint;
  g_autoptr(GBytes) record = unsigned_record(HF_RECORD_CHECKPOINT, bytes, length);
  return hf_checkpoint_decode(record, NULL, &checkpoint, error);
}

static void test_checkpoint(void)
{
  HfCheckpoint checkpoint = { .domain = 7, .time = 0x0102030405060708 }, decoded;
  guint8 public_half[32];
  GError *error = NULL;
  make_slot(&checkpoint.slot);
  checkpoint.writer = checkpoint.slot.writer;
  fill(&checkpoint.source, 0x55, sizeof checkpoint.source);
  fill(&checkpoint.roots, 0x66, sizeof checkpoint.roots);
  g_autoptr(GBytes) record = hf_checkpoint_encode(&checkpoint, &test_seed);
  assert_g_bytes_parts(record, CHECKPOINT_GOLDEN);
  hf_sign_public(&test_seed, public_half);
  g_assert_true(hf_checkpoint_decode(record, public_half, &decoded, &error));
  g_assert_no_error(error);
  g_autoptr(GBytes) again = hf_checkpoint_encode(&decoded, &test_seed);
  g_assert_true(g_bytes_equal(record, again));
  public_half[0] ^= 1;
  g_assert_false(hf_checkpoint_decode(record, public_half, &decoded, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_DAMAGED);
  g_clear_error(&error);
}

static void test_bad_checkpoint(void)
{
  assert_exact_length(decode_checkpoint, CHECKPOINT_BODY, HF_ERROR_INVALID);
  assert_patch_refused(decode_checkpoint, CHECKPOINT_BODY, 16, "06");
  assert_patch_refused(decode_checkpoint, CHECKPOINT_BODY, 20, "21");
  assert_patch_refused(decode_checkpoint, CHECKPOINT_BODY, 76 + 231, "01");
}

int main(int argc, char **argv)
{
  test_begin(&argc, &argv);
  g_test_add_func("/session/open", test_open);
  g_test_add_func("/session/bad-open", test_bad_open);
  g_test_add_func("/session/outcome", test_outcome);
  g_test_add_func("/session/bad-outcome", test_bad_outcome);
  g_test_add_func("/session/checkpoint", test_checkpoint);
  g_test_add_func("/session/bad-checkpoint", test_bad_checkpoint);
  return g_test_run();
}
