/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Key files, credentials and paper keys: secrets as text. Everything that is taken on the way from the secret to the
 * text and back is wiped here; what is given out is the caller's to wipe.
 */
#include "base/error.h"
#include "format/repository.h"

#define KEY_FILE_LINE "holdfast key file 1"
#define CREDENTIAL_LINE "holdfast credential 1"
#define PASS_LINE "holdfast pass 1"
#define LINE_CHARACTERS 64u
#define TEXT_MAX (64u << 10)
#define CREDENTIAL_FIXED_BYTES 200u
#define PASS_TEXT_MAX (64u << 20)
#define PASS_FIXED_BYTES 84u
#define PASS_SESSION_BYTES (HF_SHORT_ID_BYTES + 2 * HF_KEY_BYTES)

#define PAPER_BYTES 50u
#define PAPER_CHARACTERS 80u
#define PAPER_GROUP 5u
#define PAPER_GROUPS_A_LINE 4u

static void wipe_and_free(gpointer bytes, gsize length)
{
  hf_wipe(bytes, length);
  g_free(bytes);
}

void hf_credential_clear(HfCredential *credential)
{
  g_free(credential->name);
  hf_wipe(credential, sizeof *credential);
}

/* Wraps and wipes `body`, and writes the record as lines of base64 below `first_line`. */
static char *to_text(const char *first_line, HfRecordKind kind, GByteArray *body)
{
  GBytes *record = hf_record_wrap(kind, body->data, body->len);
  hf_wipe(body->data, body->len);
  g_byte_array_unref(body);
  gsize length;
  gpointer bytes = g_bytes_unref_to_data(record, &length);
  char *encoded = g_base64_encode(bytes, length);
  wipe_and_free(bytes, length);
  gsize characters = strlen(encoded), lines = (characters + LINE_CHARACTERS - 1) / LINE_CHARACTERS;
  char *text = g_malloc(strlen(first_line) + 1 + characters + lines + 1);
  char *at = g_stpcpy(g_stpcpy(text, first_line), "\n");
  for (gsize i = 0; i < characters; i += LINE_CHARACTERS) {
    gsize part = MIN(LINE_CHARACTERS, characters - i);
    memcpy(at, encoded + i, part);
    at += part;
    *at++ = '\n';
  }
  *at = '\0';
  wipe_and_free(encoded, characters);
  return text;
}

char *hf_key_file_encode(const HfKeyFile *file)
{
  GByteArray *body = g_byte_array_sized_new(3 * HF_SHORT_ID_BYTES + HF_KEY_BYTES);
  hf_put_raw(body, file->family.b, HF_SHORT_ID_BYTES);
  hf_put_raw(body, file->fingerprint.b, HF_SHORT_ID_BYTES);
  hf_put_raw(body, file->slot.b, HF_SHORT_ID_BYTES);
  hf_put_raw(body, file->secret.b, HF_KEY_BYTES);
  return to_text(KEY_FILE_LINE, HF_RECORD_KEY_FILE, body);
}

char *hf_credential_encode(const HfCredential *credential)
{
  gsize name = credential->name != NULL ? strlen(credential->name) : 0;
  GByteArray *body = g_byte_array_sized_new((guint)(CREDENTIAL_FIXED_BYTES + HF_VARINT_BYTES + name));
  hf_put_raw(body, credential->family.b, HF_SHORT_ID_BYTES);
  hf_put_raw(body, credential->admin_public, sizeof credential->admin_public);
  hf_put_raw(body, credential->writer.b, HF_SHORT_ID_BYTES);
  hf_put_raw(body, credential->seed.b, HF_KEY_BYTES);
  hf_put_u32(body, credential->domain);
  hf_put_raw(body, credential->domain_key.b, HF_KEY_BYTES);
  hf_put_raw(body, credential->state_secret.b, HF_KEY_BYTES);
  hf_put_u32(body, credential->generation);
  hf_put_raw(body, credential->ring_public, sizeof credential->ring_public);
  hf_put_text(body, credential->name);
  return to_text(CREDENTIAL_LINE, HF_RECORD_CREDENTIAL, body);
}

static gboolean decode_key_file(HfView body, HfKeyFile *file, GError **error)
{
  HfReader reader = hf_reader(body.data, body.length);
  hf_get_raw(&reader, file->family.b, HF_SHORT_ID_BYTES);
  hf_get_raw(&reader, file->fingerprint.b, HF_SHORT_ID_BYTES);
  hf_get_raw(&reader, file->slot.b, HF_SHORT_ID_BYTES);
  hf_get_raw(&reader, file->secret.b, HF_KEY_BYTES);
  if (hf_reader_done(&reader, "the key file", error))
    return TRUE;
  hf_key_clear(&file->secret);
  return FALSE;
}

static gboolean decode_credential(HfView body, HfCredential *credential, GError **error)
{
  HfReader reader = hf_reader(body.data, body.length);
  hf_get_raw(&reader, credential->family.b, HF_SHORT_ID_BYTES);
  hf_get_raw(&reader, credential->admin_public, sizeof credential->admin_public);
  hf_get_raw(&reader, credential->writer.b, HF_SHORT_ID_BYTES);
  hf_get_raw(&reader, credential->seed.b, HF_KEY_BYTES);
  credential->domain = hf_get_u32(&reader);
  hf_get_raw(&reader, credential->domain_key.b, HF_KEY_BYTES);
  hf_get_raw(&reader, credential->state_secret.b, HF_KEY_BYTES);
  credential->generation = hf_get_u32(&reader);
  hf_get_raw(&reader, credential->ring_public, sizeof credential->ring_public);
  credential->name = hf_get_text(&reader, HF_TEXT_MAX);
  if (hf_reader_done(&reader, "the credential", error))
    return TRUE;
  hf_credential_clear(credential);
  return FALSE;
}

/* Moves past `line` and its end; FALSE when `reader` holds something else. */
static gboolean take_line(HfReader *reader, const char *line)
{
  gsize length = strlen(line);
  if (hf_reader_left(reader) <= length || memcmp(reader->next, line, length) != 0 ||
      !g_ascii_isspace((char)reader->next[length]))
    return FALSE;
  reader->next += length;
  return TRUE;
}

gboolean hf_credential_is_text(const char *text, gsize length)
{
  HfReader reader = hf_reader(text, length);
  return take_line(&reader, CREDENTIAL_LINE);
}

/* The bytes of base64 text in which white space does not count; NULL when it is not base64. The caller wipes. */
static guint8 *from_base64(HfView text, gsize *length)
{
  char *packed = g_malloc(text.length + 1);
  gsize count = 0, padding = 0;
  gboolean valid = TRUE;
  for (gsize i = 0; i < text.length; i++) {
    char c = (char)text.data[i];
    if (g_ascii_isspace(c))
      continue;
    valid = valid && (c == '=' || (padding == 0 && (g_ascii_isalnum(c) || c == '+' || c == '/')));
    padding += c == '=';
    packed[count++] = c;
  }
  packed[count] = '\0';
  guint8 *bytes = valid && count > 0 && count % 4 == 0 && padding <= 2 ? g_base64_decode(packed, length) : NULL;
  wipe_and_free(packed, text.length + 1);
  return bytes;
}

gboolean hf_key_text_decode(const char *text, gsize length, HfKeyFile *file, HfCredential *credential,
                            gboolean *is_credential, GError **error)
{
  HfReader reader = hf_reader(text, length);
  HfView body;
  memset(file, 0, sizeof *file);
  memset(credential, 0, sizeof *credential);
  if (length > TEXT_MAX)
    return hf_fail(error, HF_ERROR_INVALID, "the key file is too long to be one");
  *is_credential = take_line(&reader, CREDENTIAL_LINE);
  if (!*is_credential && !take_line(&reader, KEY_FILE_LINE))
    return hf_fail(error, HF_ERROR_INVALID, "this is not a holdfast key file or credential");
  gsize count = 0;
  guint8 *record = from_base64(hf_get_view(&reader, hf_reader_left(&reader)), &count);
  if (record == NULL)
    return hf_fail(error, HF_ERROR_INVALID, "the key file is malformed: what follows its first line is not base64");
  gboolean done = *is_credential
    ? hf_record_open(record, count, HF_RECORD_CREDENTIAL, "the credential", &body, error) &&
      decode_credential(body, credential, error)
    : hf_record_open(record, count, HF_RECORD_KEY_FILE, "the key file", &body, error) &&
      decode_key_file(body, file, error);
  wipe_and_free(record, count);
  return done;
}

/* ---- Passes. ---- */

void hf_domain_pass_init(HfDomainPass *pass)
{
  memset(pass, 0, sizeof *pass);
  pass->sessions = g_array_new(FALSE, TRUE, sizeof(HfDomainPassSession));
}

void hf_domain_pass_clear(HfDomainPass *pass)
{
  if (pass->sessions != NULL) {
    hf_wipe(pass->sessions->data, pass->sessions->len * sizeof(HfDomainPassSession));
    g_array_unref(pass->sessions);
  }
  hf_wipe(pass, sizeof *pass);
}

char *hf_domain_pass_encode(const HfDomainPass *pass)
{
  GByteArray *body =
    g_byte_array_sized_new(PASS_FIXED_BYTES + HF_VARINT_BYTES + pass->sessions->len * PASS_SESSION_BYTES);
  hf_put_raw(body, pass->family.b, HF_SHORT_ID_BYTES);
  hf_put_raw(body, pass->admin_public, sizeof pass->admin_public);
  hf_put_u32(body, pass->domain);
  hf_put_raw(body, pass->domain_key.b, HF_KEY_BYTES);
  hf_put_varint(body, pass->sessions->len);
  for (guint i = 0; i < pass->sessions->len; i++) {
    const HfDomainPassSession *session = &g_array_index(pass->sessions, HfDomainPassSession, i);
    hf_put_raw(body, session->session.b, HF_SHORT_ID_BYTES);
    hf_put_raw(body, session->data_key.b, HF_KEY_BYTES);
    hf_put_raw(body, session->meta_key.b, HF_KEY_BYTES);
  }
  return to_text(PASS_LINE, HF_RECORD_PASS, body);
}

gboolean hf_domain_pass_is_text(const char *text, gsize length)
{
  HfReader reader = hf_reader(text, length);
  return take_line(&reader, PASS_LINE);
}

static gboolean decode_pass(HfView body, HfDomainPass *pass, GError **error)
{
  HfReader reader = hf_reader(body.data, body.length);
  hf_get_raw(&reader, pass->family.b, HF_SHORT_ID_BYTES);
  hf_get_raw(&reader, pass->admin_public, sizeof pass->admin_public);
  pass->domain = hf_get_u32(&reader);
  hf_get_raw(&reader, pass->domain_key.b, HF_KEY_BYTES);
  guint64 count = hf_get_varint(&reader, PASS_TEXT_MAX);
  if (count == hf_reader_left(&reader) / PASS_SESSION_BYTES)
    g_array_set_size(pass->sessions, (guint)count);
  for (guint i = 0; i < pass->sessions->len; i++) {
    HfDomainPassSession *session = &g_array_index(pass->sessions, HfDomainPassSession, i);
    hf_get_raw(&reader, session->session.b, HF_SHORT_ID_BYTES);
    hf_get_raw(&reader, session->data_key.b, HF_KEY_BYTES);
    hf_get_raw(&reader, session->meta_key.b, HF_KEY_BYTES);
  }
  if (!hf_reader_done(&reader, "the pass", error))
    return FALSE;
  return count == pass->sessions->len || hf_fail(error, HF_ERROR_INVALID, "the pass is cut off");
}

gboolean hf_domain_pass_decode(const char *text, gsize length, HfDomainPass *pass, GError **error)
{
  HfReader reader = hf_reader(text, length);
  HfView body;
  gsize count = 0;
  hf_domain_pass_init(pass);
  if (length > PASS_TEXT_MAX || !take_line(&reader, PASS_LINE))
    return hf_fail(error, HF_ERROR_INVALID, "this is not a holdfast pass");
  guint8 *record = from_base64(hf_get_view(&reader, hf_reader_left(&reader)), &count);
  if (record == NULL)
    return hf_fail(error, HF_ERROR_INVALID, "the pass is malformed: what follows its first line is not base64");
  gboolean done = hf_record_open(record, count, HF_RECORD_PASS, "the pass", &body, error) &&
    decode_pass(body, pass, error);
  wipe_and_free(record, count);
  return done;
}

/* ---- Paper keys. ---- */

static const char base32[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

char *hf_paper_key_encode(const HfShortId *slot, const HfKey *secret)
{
  guint8 bytes[PAPER_BYTES], digest[32];
  memcpy(bytes, slot->b, HF_SHORT_ID_BYTES);
  memcpy(bytes + HF_SHORT_ID_BYTES, secret->b, HF_KEY_BYTES);
  hf_sha256(bytes, PAPER_BYTES - 2, digest);
  memcpy(bytes + PAPER_BYTES - 2, digest, 2);
  char *text = g_malloc(PAPER_CHARACTERS + PAPER_CHARACTERS / PAPER_GROUP);
  char *at = text;
  for (guint i = 0; i < PAPER_CHARACTERS; i++) {
    if (i > 0 && i % PAPER_GROUP == 0)
      *at++ = i % (PAPER_GROUP * PAPER_GROUPS_A_LINE) == 0 ? '\n' : ' ';
    /* Five bits, from bit 5 * i on; the highest of a byte first. */
    guint bit = 5 * i, byte = bit / 8;
    guint pair = (guint)bytes[byte] << 8 | (byte + 1 < PAPER_BYTES ? bytes[byte + 1] : 0);
    *at++ = base32[pair >> (11 - bit % 8) & 31];
  }
  *at = '\0';
  hf_wipe(bytes, sizeof bytes);
  return text;
}

/* Fills `bytes` from the characters of `text`. */
static gboolean from_base32(const char *text, guint8 bytes[PAPER_BYTES], GError **error)
{
  guint count = 0;
  memset(bytes, 0, PAPER_BYTES);
  for (; *text != '\0'; text++) {
    if (g_ascii_isspace(*text) || *text == '-')
      continue;
    const char *found = strchr(base32, g_ascii_toupper(*text));
    if (found == NULL)
      return hf_fail(error, HF_ERROR_INVALID,
                     "group %u of the paper key holds '%c'; only letters and the digits 2 to 7 occur in it",
                     count / PAPER_GROUP + 1, g_ascii_isprint(*text) ? *text : '?');
    if (count == PAPER_CHARACTERS)
      return hf_fail(error, HF_ERROR_INVALID, "the paper key is too long; it has 16 groups of five characters");
    guint bit = 5 * count++, byte = bit / 8, value = (guint)(found - base32) << (11 - bit % 8);
    bytes[byte] |= (guint8)(value >> 8);
    if (byte + 1 < PAPER_BYTES)
      bytes[byte + 1] |= (guint8)value;
  }
  if (count < PAPER_CHARACTERS)
    return hf_fail(error, HF_ERROR_INVALID, "the paper key ends in group %u; it has 16 groups of five characters",
                   count / PAPER_GROUP + 1);
  return TRUE;
}

gboolean hf_paper_key_decode(const char *text, HfShortId *slot, HfKey *secret, GError **error)
{
  guint8 bytes[PAPER_BYTES], digest[32];
  gboolean done = from_base32(text, bytes, error);
  if (done) {
    hf_sha256(bytes, PAPER_BYTES - 2, digest);
    if (memcmp(digest, bytes + PAPER_BYTES - 2, 2) == 0) {
      memcpy(slot->b, bytes, HF_SHORT_ID_BYTES);
      memcpy(secret->b, bytes + HF_SHORT_ID_BYTES, HF_KEY_BYTES);
    } else {
      done = hf_fail(error, HF_ERROR_INVALID, "the paper key does not match its check; a character was mistyped");
    }
  }
  hf_wipe(bytes, sizeof bytes);
  return done;
}
