/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Generated messages: golden bytes, limits, versions, every cut and every flipped bit. */
#include "net/message.h"

#include <string.h>

#include "base/buffer.h"
#include "fleet.h"
#include "net/messages/sample.h"

/* One of everything. */
static void fill(HfSampleAll *all)
{
  HfId id;
  memset(id.b, 0x22, sizeof id.b);
  *all = (HfSampleAll){ .small = 7, .port = 6000, .count = 70000, .size = 1ull << 40, .time = -5, .ready = TRUE,
                        .color = HF_SAMPLE_COLOR_RED, .has_maybe_size = TRUE, .maybe_size = 300,
                        .has_maybe_id = TRUE, .maybe_id = id, .has_extra = TRUE, .extra = 9 };
  memset(all->short_id.b, 0x11, sizeof all->short_id.b);
  all->id = id;
  memset(all->token.b, 0x33, sizeof all->token.b);
  all->name = g_strdup("n\xc3\xa4me");
  all->blob = g_bytes_new("\0\1", 2);
  all->inner = (HfSampleInner){ .number = 5, .label = g_strdup("in"), .later = 6 };
  all->maybe_name = g_strdup("maybe");
  all->maybe_blob = g_bytes_new("b", 1);
  all->maybe_inner = g_new0(HfSampleInner, 1);
  all->maybe_inner->number = 8;
  for (guint i = 0; i < 5; i++)
    hf_sample_all_add_sizes(all, i * 1000);
  hf_sample_all_add_ids(all, &id);
  hf_sample_all_add_ids(all, &id);
  hf_sample_all_add_colors(all, HF_SAMPLE_COLOR_DARK_BLUE);
  hf_sample_all_add_names(all, "one");
  hf_sample_all_add_names(all, "");
  hf_sample_all_add_names(all, "three");
  g_autoptr(GBytes) blob = g_bytes_new("xyz", 3);
  hf_sample_all_add_blobs(all, blob);
  hf_sample_all_add_inners(all)->number = 1;
  HfSampleInner *last = hf_sample_all_add_inners(all);
  last->label = g_strdup("last");
  all->password = g_strdup("secret");
  all->key = hf_message_secret("key", 3);
  all->note = g_strdup("note");
}

static const char golden[] =
  "07" "f02e" "f0a204" "808080808020" "09" "01" "056ec3a46d65" "020001"
  "11111111111111111111111111111111"
  "2222222222222222222222222222222222222222222222222222222222222222"
  "03" "05" "05" "02696e" "06" "01" "ac02"
  "01" "2222222222222222222222222222222222222222222222222222222222222222"
  "01" "056d61796265" "01" "0162" "01" "03" "08" "00" "00"
  "05" "00" "e807" "d00f" "b817" "a01f"
  "02" "2222222222222222222222222222222222222222222222222222222222222222"
  "2222222222222222222222222222222222222222222222222222222222222222"
  "01" "c801" "03" "036f6e65" "00" "057468726565" "01" "0378797a"
  "02" "03" "01" "00" "00" "07" "00" "046c617374" "00"
  "06736563726574" "036b6579" "33333333333333333333333333333333" "046e6f7465" "01" "09";

static GBytes *encode(const HfSampleAll *all)
{
  GError *error = NULL;
  GBytes *bytes = hf_sample_all_encode(all, &error);
  g_assert_no_error(error);
  return bytes;
}

static void test_golden(void)
{
  g_auto(HfSampleAll) all = { 0 }, again = { 0 };
  GError *error = NULL;
  fill(&all);
  g_autoptr(GBytes) bytes = encode(&all);
  gsize length;
  const guint8 *data = g_bytes_get_data(bytes, &length);
  g_autofree char *hex = hf_hex(data, length);
  g_assert_cmpstr(hex, ==, golden);

  g_assert_true(hf_sample_all_decode(bytes, &again, &error));
  g_assert_no_error(error);
  g_assert_cmpstr(again.name, ==, "n\xc3\xa4me");
  g_assert_cmpint(again.time, ==, -5);
  g_assert_cmpint(again.color, ==, HF_SAMPLE_COLOR_RED);
  g_assert_cmpuint(again.maybe_inner->number, ==, 8);
  g_assert_cmpuint(again.n_sizes, ==, 5);
  g_assert_cmpuint(again.sizes[4], ==, 4000);
  g_assert_cmpstr(again.names[2], ==, "three");
  g_assert_null(again.names[3]);
  g_assert_cmpstr(again.inners[1].label, ==, "last");
  g_assert_cmpstr(again.password, ==, "secret");
  g_assert_true(g_bytes_equal(again.key, all.key));
  g_autoptr(GBytes) twice = encode(&again);
  g_assert_true(g_bytes_equal(bytes, twice));

  /* Lists that were decoded can grow. */
  for (guint i = 0; i < 3; i++)
    hf_sample_all_add_sizes(&again, 5000 + i);
  hf_sample_all_add_names(&again, "four");
  g_autoptr(GBytes) more = encode(&again);
  g_auto(HfSampleAll) third = { 0 };
  g_assert_true(hf_sample_all_decode(more, &third, &error));
  g_assert_cmpuint(third.sizes[7], ==, 5002);
  g_assert_cmpstr(third.names[3], ==, "four");
}

static void test_empty(void)
{
  g_auto(HfSampleAll) all = { 0 }, again = { 0 };
  GError *error = NULL;
  g_autoptr(GBytes) bytes = encode(&all);
  g_assert_true(hf_sample_all_decode(bytes, &again, &error));
  g_assert_cmpstr(again.name, ==, "");
  g_assert_cmpuint(g_bytes_get_size(again.blob), ==, 0);
  g_assert_null(again.maybe_name);
  g_assert_null(again.maybe_inner);
  g_assert_false(again.has_maybe_size);
  g_assert_null(again.names);
  /* Cleared twice, and with nothing inside. */
  hf_sample_all_clear(&again);
  hf_sample_all_clear(&again);
  g_assert_true(hf_bytes_all_zero(&again, sizeof again));
}

/* Every cut is refused, but where an older version ended; nothing is left behind. */
static void test_cuts(void)
{
  g_auto(HfSampleAll) all = { 0 };
  fill(&all);
  g_autoptr(GBytes) bytes = encode(&all);
  gsize length;
  const guint8 *data = g_bytes_get_data(bytes, &length);
  guint taken = 0;
  for (gsize cut = 0; cut < length; cut++) {
    g_autofree guint8 *copy = g_memdup2(data, cut);
    g_auto(HfSampleAll) part = { 0 };
    GError *error = NULL;
    if (hf_sample_all_decode_bytes(copy, cut, &part, &error)) {
      taken++;
      g_assert_cmpstr(part.note, ==, cut == length - 2 ? "note" : "");
      g_assert_false(part.has_extra);
    } else {
      assert_error(error, HF_ERROR_INVALID, "sample message 'All' is malformed");
      g_clear_error(&error);
      g_assert_true(hf_bytes_all_zero(&part, sizeof part));
    }
  }
  g_assert_cmpuint(taken, ==, 2);
}

/* What a flipped bit makes is refused, or encodes to the same bytes. */
static void test_bits(void)
{
  g_auto(HfSampleAll) all = { 0 };
  fill(&all);
  g_autoptr(GBytes) bytes = encode(&all);
  gsize length;
  const guint8 *data = g_bytes_get_data(bytes, &length);
  for (gsize bit = 0; bit < length * 8; bit++) {
    g_autofree guint8 *copy = g_memdup2(data, length);
    g_auto(HfSampleAll) other = { 0 };
    copy[bit / 8] ^= (guint8)(1 << bit % 8);
    if (!hf_sample_all_decode_bytes(copy, length, &other, NULL))
      continue;
    g_autoptr(GBytes) again = encode(&other);
    gsize kept;
    const guint8 *kept_data = g_bytes_get_data(again, &kept);
    /* A length that shrank an inner struct leaves bytes behind that are skipped there. */
    if (kept == length)
      g_assert_cmpint(memcmp(kept_data, copy, length), ==, 0);
  }
}

/* A newer sender: more fields at the end, here and inside. */
static void test_newer(void)
{
  const guint8 newer[] = { 5, 2, 'i', 'n', 6, 99, 98, 97 };
  g_auto(HfSampleInner) inner = { 0 };
  g_assert_true(hf_sample_inner_decode_bytes(newer, sizeof newer, &inner, NULL));
  g_assert_cmpuint(inner.later, ==, 6);
  hf_sample_inner_clear(&inner);
  /* An older one. */
  g_assert_true(hf_sample_inner_decode_bytes(newer, 4, &inner, NULL));
  g_assert_cmpstr(inner.label, ==, "in");
  g_assert_cmpuint(inner.later, ==, 0);
}

static void refuse(const HfSampleAll *all, const char *part)
{
  GError *error = NULL;
  g_assert_null(hf_sample_all_encode(all, &error));
  assert_error(error, HF_ERROR_USAGE, part);
  g_clear_error(&error);
}

static void test_limits(void)
{
  g_auto(HfSampleAll) all = { 0 };
  all.name = g_strnfill(65, 'x');
  refuse(&all, "'name' has 65 bytes; at most 64");
  g_free(all.name);
  all.name = g_strdup("\xff");
  refuse(&all, "'name' is not UTF-8");
  g_clear_pointer(&all.name, g_free);
  all.maybe_blob = g_bytes_new_take(g_malloc0(65), 65);
  refuse(&all, "'maybe_blob' has 65 bytes");
  g_clear_pointer(&all.maybe_blob, g_bytes_unref);
  all.color = (HfSampleColor)1;
  refuse(&all, "'color' has no value 1");
  all.color = HF_SAMPLE_COLOR_NONE;
  for (guint i = 0; i < 9; i++)
    hf_sample_all_add_sizes(&all, i);
  refuse(&all, "'sizes' has 9 elements; at most 8");
  all.n_sizes = 8;
  all.inner.label = g_strnfill(17, 'x');
  refuse(&all, "'label' has 17 bytes");
  g_clear_pointer(&all.inner.label, g_free);
  hf_sample_all_add_names(&all, "\xfe");
  refuse(&all, "'names' is not UTF-8");
}

/* A list that says to be longer than it may be, or than its bytes are. */
static void test_counts(void)
{
  g_auto(HfSampleAll) all = { 0 }, other = { 0 };
  g_autoptr(GBytes) bytes = encode(&all);
  gsize length;
  const guint8 *data = g_bytes_get_data(bytes, &length);
  /* The first list, sizes, stands behind the plain and the optional ones. */
  gsize at = 6 + 2 + 16 + 32 + 1 + 1 + 3 + 5;
  g_autofree guint8 *copy = g_memdup2(data, length);
  g_assert_cmpuint(copy[at], ==, 0);
  copy[at] = 200;
  g_assert_false(hf_sample_all_decode_bytes(copy, length, &other, NULL));
  copy[at] = 9;
  g_assert_false(hf_sample_all_decode_bytes(copy, length, &other, NULL));
}

static void test_methods(void)
{
  g_assert_cmpstr(HF_SAMPLE_SERVICE, ==, "sample");
  g_assert_cmpuint(HF_SAMPLE_VERSION, ==, 2);
  g_assert_cmpuint(HF_SAMPLE_OLDEST, ==, 1);
  g_assert_cmpstr(hf_sample_method_name(HF_SAMPLE_METHOD_ADD_UP), ==, "add-up");
  g_assert_cmpstr(hf_sample_method_name(7), ==, "stream");
  g_assert_null(hf_sample_method_name(3));
}

/* ---- The stubs, over a connection ---- */

static gboolean add_up(HfCall *call, gpointer user G_GNUC_UNUSED, GBytes **reply, GError **error)
{
  g_auto(HfSampleAll) all = { 0 };
  HfSampleSum sum = { 0 };
  if (!hf_sample_all_decode(hf_call_request(call), &all, error))
    return FALSE;
  for (guint i = 0; i < all.n_sizes; i++)
    sum.value += all.sizes[i];
  if (all.small == 1) {
    *reply = g_bytes_new("\xff", 1); /* no Sum */
    return TRUE;
  }
  *reply = hf_sample_sum_encode(&sum, error);
  return *reply != NULL;
}

static gboolean nothing(HfCall *call G_GNUC_UNUSED, gpointer user G_GNUC_UNUSED, GBytes **reply G_GNUC_UNUSED,
                        GError **error G_GNUC_UNUSED)
{
  return TRUE;
}

static const HfRpcMethod methods[] = {
  { HF_SAMPLE_METHOD_ADD_UP, "add-up", add_up, 0 },
  { HF_SAMPLE_METHOD_NOTHING, "nothing", nothing, 0 },
  { 0 },
};

static const HfRpcOptions options = { .service = HF_SAMPLE_SERVICE, .version_low = HF_SAMPLE_OLDEST,
                                      .version_high = HF_SAMPLE_VERSION, .methods = methods };

static gpointer open_far(gpointer channel)
{
  return hf_rpc_new(channel, &options, NULL);
}

static void test_stubs(void)
{
  HfChannel *a, *b;
  GError *error = NULL;
  g_assert_true(hf_channel_pair(&a, &b, NULL));
  GThread *thread = g_thread_new("far", open_far, b);
  HfRpc *near = hf_rpc_new(a, &options, NULL), *far = g_thread_join(thread);
  g_auto(HfSampleAll) all = { 0 };
  HfSampleSum sum = { 0 };
  fill(&all);
  g_assert_true(hf_sample_call_add_up(near, &all, &sum, -1, &error));
  g_assert_cmpuint(sum.value, ==, 10000);
  g_assert_true(hf_sample_call_nothing(near, -1, &error));
  all.small = 1;
  g_assert_false(hf_sample_call_add_up(near, &all, &sum, -1, &error));
  assert_error(error, HF_ERROR_INVALID, "'Sum' is malformed");
  g_clear_error(&error);
  all.color = (HfSampleColor)77;
  g_assert_false(hf_sample_call_add_up(near, &all, &sum, -1, &error));
  assert_error(error, HF_ERROR_USAGE, "no value 77");
  g_clear_error(&error);
  hf_rpc_close(near);
  g_assert_false(hf_sample_call_nothing(near, -1, NULL));
  hf_rpc_free(near);
  hf_rpc_free(far);
  hf_channel_free(a);
  hf_channel_free(b);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/net/message/golden", test_golden);
  g_test_add_func("/net/message/empty", test_empty);
  g_test_add_func("/net/message/cuts", test_cuts);
  g_test_add_func("/net/message/bits", test_bits);
  g_test_add_func("/net/message/newer", test_newer);
  g_test_add_func("/net/message/limits", test_limits);
  g_test_add_func("/net/message/counts", test_counts);
  g_test_add_func("/net/message/methods", test_methods);
  g_test_add_func("/net/message/stubs", test_stubs);
  return g_test_run();
}
