/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "format/repository.h"
#include "testing.h"

#define KEY_LINE "holdfast key file 1\n"
#define KEY_LINES \
  "SE9MREZBU1QBAA8AUAAAABEREREREREREREREREREREiIiIiIiIiIiIiIiIiIiIi\n" \
  "MzMzMzMzMzMzMzMzMzMzM0RERERERERERERERERERERERERERERERERERERERERE\n" \
  "PUNTXGvVcTBFC4UyXo274o6mJWb7Nl0PTMvkFknNtKA=\n"
#define CREDENTIAL \
  "holdfast credential 1\n" \
  "SE9MREZBU1QBABAAzQAAABEREREREREREREREREREREiIiIiIiIiIiIiIiIiIiIi\n" \
  "IiIiIiIiIiIiIiIiIiIiIjMzMzMzMzMzMzMzMzMzMzNERERERERERERERERERERE\n" \
  "RERERERERERERERERERERAcAAABVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVV\n" \
  "VVVVVWZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmCAAAAHd3d3d3d3d3\n" \
  "d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3BGhvc3Q/XX4xoGJlc/CayvOKjayZELEh\n" \
  "gUSgRqAXMP4kA3PaGg==\n"
#define PAPER \
  "AAAQE AYEAU DAOCA JBIFQ\nYDIOB 4IBCE QTCQK RMFYY\nDENBW HA5DY PSAIJ CEMSC\nKJRHF AUSUK ZMFUX C6TN5"

/* What the texts hold. */
static void make(HfKeyFile *file, HfCredential *credential)
{
  fill(&file->family, 0x11, sizeof file->family);
  fill(&file->fingerprint, 0x22, sizeof file->fingerprint);
  fill(&file->slot, 0x33, sizeof file->slot);
  fill(&file->secret, 0x44, sizeof file->secret);
  fill(&credential->family, 0x11, sizeof credential->family);
  fill(credential->admin_public, 0x22, sizeof credential->admin_public);
  fill(&credential->writer, 0x33, sizeof credential->writer);
  fill(&credential->seed, 0x44, sizeof credential->seed);
  credential->domain = 7;
  fill(&credential->domain_key, 0x55, sizeof credential->domain_key);
  fill(&credential->state_secret, 0x66, sizeof credential->state_secret);
  credential->generation = 8;
  fill(credential->ring_public, 0x77, sizeof credential->ring_public);
  credential->name = g_strdup("host");
}

static void assert_text_refused(const char *text, gssize length, HfErrorCode code)
{
  HfKeyFile file;
  HfCredential credential;
  gboolean is_credential;
  GError *error = NULL;
  gsize count = length < 0 ? strlen(text) : (gsize)length;
  g_autofree char *copy = g_memdup2(text, count);
  g_assert_false(hf_key_text_decode(copy, count, &file, &credential, &is_credential, &error));
  g_assert_error(error, HF_ERROR, (gint)code);
  g_clear_error(&error);
  g_assert_true(hf_bytes_all_zero(&file.secret, sizeof file.secret));
  g_assert_true(hf_bytes_all_zero(&credential, sizeof credential));
}

static void test_key_file(void)
{
  HfKeyFile file, decoded;
  HfCredential credential, none;
  gboolean is_credential = TRUE;
  GError *error = NULL;
  make(&file, &credential);
  g_autofree char *text = hf_key_file_encode(&file);
  g_assert_cmpstr(text, ==, KEY_LINE KEY_LINES);
  g_assert_true(hf_key_text_decode(text, strlen(text), &decoded, &none, &is_credential, &error));
  g_assert_no_error(error);
  g_assert_false(is_credential);
  assert_bytes(&decoded, sizeof decoded, &file, sizeof file);
  hf_credential_clear(&credential);
  g_assert_null(credential.name);
}

static void test_credential(void)
{
  HfKeyFile file, none;
  HfCredential credential, decoded;
  gboolean is_credential = FALSE;
  GError *error = NULL;
  make(&file, &credential);
  g_autofree char *text = hf_credential_encode(&credential);
  g_assert_cmpstr(text, ==, CREDENTIAL);
  g_assert_true(hf_key_text_decode(text, strlen(text), &none, &decoded, &is_credential, &error));
  g_assert_no_error(error);
  g_assert_true(is_credential);
  g_assert_cmpstr(decoded.name, ==, "host");
  g_autofree char *again = hf_credential_encode(&decoded);
  g_assert_cmpstr(again, ==, text);
  hf_credential_clear(&decoded);
  g_clear_pointer(&credential.name, g_free);
  g_autofree char *nameless = hf_credential_encode(&credential);
  g_assert_true(hf_key_text_decode(nameless, strlen(nameless), &none, &decoded, &is_credential, &error));
  g_assert_no_error(error);
  g_assert_cmpstr(decoded.name, ==, "");
  hf_credential_clear(&decoded);
  hf_credential_clear(&credential);
}

/* White space below the first line does not count. */
static void test_white_space(void)
{
  static const char *const texts[] = {
    "holdfast key file 1\r\n" KEY_LINES, KEY_LINE "\n \t" KEY_LINES "\r\n\n",
    KEY_LINE "SE9M REZBU1QBAA8AUAAAABEREREREREREREREREREREiIiIiIiIiIiIiIiIiIiIiMzMzMzMzMzMzMzMzMzMzM0RERERERERERERE"
    "RERERERERERERERERERERERERERE\r\nPUNTXGvVcTBFC4UyXo274o6mJWb7Nl0PTMvkFknNtKA=",
  };
  for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
    HfKeyFile file;
    HfCredential credential;
    gboolean is_credential;
    GError *error = NULL;
    g_assert_true(hf_key_text_decode(texts[i], strlen(texts[i]), &file, &credential, &is_credential, &error));
    g_assert_no_error(error);
    g_assert_false(is_credential);
    assert_parts(file.secret.b, sizeof file.secret.b, "44*32");
  }
}

/* A record of `kind` as the text of a key file. */
static char *text_of(const char *line, HfRecordKind kind, const char *body)
{
  g_autoptr(GByteArray) bytes = parts(body);
  g_autoptr(GBytes) record = hf_record_wrap(kind, bytes->data, bytes->len);
  g_autofree char *encoded = g_base64_encode(g_bytes_get_data(record, NULL), g_bytes_get_size(record));
  return g_strconcat(line, encoded, "\n", NULL);
}

static void test_refused_texts(void)
{
  static const char *const invalid[] = {
    "", "holdfast key file 1", "holdfast key file 2\n" KEY_LINES, "holdfast key file 11\n" KEY_LINES, KEY_LINES,
    KEY_LINE, KEY_LINE "\n\n", KEY_LINE "=", KEY_LINE "====", KEY_LINE "AAA", KEY_LINE "A===", KEY_LINE "AA=A",
    KEY_LINE "AAA*", KEY_LINE "AAAA\x80", KEY_LINE "AAA-",
  };
  for (gsize i = 0; i < G_N_ELEMENTS(invalid); i++)
    assert_text_refused(invalid[i], -1, HF_ERROR_INVALID);
  g_autofree char *long_text = g_strnfill((64 << 10) + 1, '\n');
  memcpy(long_text, KEY_LINE, strlen(KEY_LINE));
  assert_text_refused(long_text, -1, HF_ERROR_INVALID);
  /* A NUL is neither base64 nor white space. */
  g_autofree char *nul = g_strdup(KEY_LINE KEY_LINES);
  nul[strlen(KEY_LINE) + 5] = '\0';
  assert_text_refused(nul, strlen(KEY_LINE KEY_LINES), HF_ERROR_INVALID);
  assert_text_refused(KEY_LINE "AAAA", -1, HF_ERROR_FORMAT);
  g_autofree char *flipped = g_strdup(KEY_LINE KEY_LINES);
  flipped[strlen(KEY_LINE) + 70] = 'Z';
  assert_text_refused(flipped, -1, HF_ERROR_DAMAGED);
}

static void test_refused_records(void)
{
  static const struct {
    const char *line;
    HfRecordKind kind;
    const char *body;
  } bad[] = {
    { KEY_LINE, HF_RECORD_KEY_FILE, "11*79" },
    { KEY_LINE, HF_RECORD_KEY_FILE, "11*81" },
    { KEY_LINE, HF_RECORD_CREDENTIAL, "11*200 00" },
    { "holdfast credential 1\n", HF_RECORD_KEY_FILE, "11*80" },
    { "holdfast credential 1\n", HF_RECORD_CREDENTIAL, "11*200" },
    { "holdfast credential 1\n", HF_RECORD_CREDENTIAL, "11*200 01 'ab'" },
    { "holdfast credential 1\n", HF_RECORD_CREDENTIAL, "11*200 01 ff" },
  };
  for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
    g_autofree char *text = text_of(bad[i].line, bad[i].kind, bad[i].body);
    assert_text_refused(text, -1, HF_ERROR_INVALID);
  }
}

static void test_paper(void)
{
  HfShortId slot, decoded_slot;
  HfKey secret, decoded;
  GError *error = NULL;
  for (guint8 i = 0; i < 16; i++)
    slot.b[i] = i;
  for (guint8 i = 0; i < 32; i++)
    secret.b[i] = (guint8)(16 + i);
  g_autofree char *text = hf_paper_key_encode(&slot, &secret);
  g_assert_cmpstr(text, ==, PAPER);
  g_autofree char *lower = g_ascii_strdown(PAPER, -1);
  g_autofree char *dashes = g_strdelimit(g_strdup(PAPER), " \n", '-');
  g_auto(GStrv) groups = g_strsplit_set(PAPER, " \n", -1);
  g_autofree char *bare = g_strjoinv("", groups);
  g_autofree char *spaced = g_strconcat(" \r\n", PAPER, "\r\n\t ", NULL);
  const char *const same[] = { text, lower, dashes, bare, spaced };
  for (gsize i = 0; i < G_N_ELEMENTS(same); i++) {
    g_assert_true(hf_paper_key_decode(same[i], &decoded_slot, &decoded, &error));
    g_assert_no_error(error);
    g_assert_true(hf_short_id_equal(&slot, &decoded_slot));
    assert_bytes(&decoded, sizeof decoded, &secret, sizeof secret);
  }
}

static void test_bad_paper(void)
{
  static const struct {
    gsize at; /* where `with` stands instead */
    char with;
    const char *says;
  } rows[] = {
    { 0, '1', "group 1 of" }, { 6, '0', "group 2 of" }, { 94, '8', "group 16 of" }, { 12, '\x07', "holds '?'" },
    { 3, 'R', "mistyped" }, { 50, 'B', "mistyped" }, { 93, 'A', "mistyped" }, { 93, '\0', "ends in group 16" },
    { 12, '\0', "ends in group 3" }, { 0, '\0', "ends in group 1" },
  };
  HfShortId slot;
  HfKey secret;
  for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(GError) error = NULL;
    g_autofree char *text = g_strdup(PAPER);
    text[rows[i].at] = rows[i].with;
    g_assert_false(hf_paper_key_decode(text, &slot, &secret, &error));
    g_assert_error(error, HF_ERROR, HF_ERROR_INVALID);
    g_assert_nonnull(strstr(error->message, rows[i].says));
  }
  g_autoptr(GError) error = NULL;
  g_assert_false(hf_paper_key_decode(PAPER " A", &slot, &secret, &error));
  g_assert_error(error, HF_ERROR, HF_ERROR_INVALID);
  g_assert_nonnull(strstr(error->message, "too long"));
}

int main(int argc, char **argv)
{
  test_begin(&argc, &argv);
  g_test_add_func("/keyfile/key-file", test_key_file);
  g_test_add_func("/keyfile/credential", test_credential);
  g_test_add_func("/keyfile/white-space", test_white_space);
  g_test_add_func("/keyfile/refused-texts", test_refused_texts);
  g_test_add_func("/keyfile/refused-records", test_refused_records);
  g_test_add_func("/keyfile/paper", test_paper);
  g_test_add_func("/keyfile/bad-paper", test_bad_paper);
  return g_test_run();
}
