/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "server/auth/secrets.h"

#include <string.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/sys.h"
#include "crypto/crypto.h"

#define VERSION 1
#define HEAD (1 + HF_NONCE_BYTES)
#define HEX (2 * HF_KEY_BYTES)

struct HfSecrets {
  GMutex mutex; /* guards the context */
  HfAead *aead;
};

static gboolean read_key(int fd, const char *path, HfKey *key, GError **error)
{
  struct stat status;
  char text[HEX + 2];
  if (hf_sys->fstatat(fd, "", &status, AT_EMPTY_PATH) != 0)
    return hf_fail_errno(error, errno, "cannot read key file '%s'", path);
  if ((status.st_mode & 077) != 0)
    return hf_fail(error, HF_ERROR_PERMISSION, "others may read the key file '%s'; chmod 600 it, and take new "
                                               "passwords "
                   "if somebody has", path);
  gssize got = hf_read_full(fd, text, sizeof text, path, error);
  if (got < 0)
    return FALSE;
  gboolean good = got >= HEX && (got == HEX || text[HEX] == '\n') && got <= HEX + 1;
  if (good) {
    text[HEX] = '\0';
    good = hf_unhex(text, key->b, sizeof key->b);
  }
  hf_wipe(text, sizeof text);
  return good || hf_fail(error, HF_ERROR_INVALID, "'%s' is no key file: it holds %d hex digits", path, HEX);
}

/* Written under another name and linked to its own: a file that is there is whole. */
static gboolean make_key(const char *path, GError **error)
{
  g_auto(HfKey) key;
  hf_random(key.b, sizeof key.b);
  g_autofree char *draft = g_strdup_printf("%s.%08x", path, g_random_int());
  g_autofree char *folder = g_path_get_dirname(path);
  char *hex = hf_hex(key.b, sizeof key.b);
  hf_autofd int fd = hf_open(AT_FDCWD, draft, O_WRONLY | O_CREAT | O_EXCL, 0600, error);
  gboolean good = fd >= 0 && hf_write_all(fd, hex, HEX, path, error) && hf_write_all(fd, "\n", 1, path, error) &&
                  (HF_AGAIN(hf_sys->fsync(fd)) == 0 || hf_fail_errno(error, errno, "cannot save '%s'", path));
  hf_wipe(hex, HEX);
  g_free(hex);
  if (good && hf_sys->linkat(AT_FDCWD, draft, AT_FDCWD, path, 0) != 0 && errno != EEXIST)
    good = hf_fail_errno(error, errno, "cannot make key file '%s'", path);
  if (fd >= 0)
    hf_sys->unlinkat(AT_FDCWD, draft, 0);
  hf_autofd int parent = good ? hf_open(AT_FDCWD, folder, O_RDONLY | O_DIRECTORY, 0, error) : -1;
  return good && parent >= 0 &&
         (HF_AGAIN(hf_sys->fsync(parent)) == 0 || hf_fail_errno(error, errno, "cannot save '%s'", path));
}

HfSecrets *hf_secrets_open(const char *path, gboolean make, GError **error)
{
  g_auto(HfKey) key;
  memset(&key, 0, sizeof key);
  hf_autofd int fd = HF_AGAIN(hf_sys->openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0));
  if (fd < 0 && errno == ENOENT && make) {
    if (!make_key(path, error))
      return NULL;
    fd = HF_AGAIN(hf_sys->openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0));
  }
  if (fd < 0) {
    hf_fail_errno(error, errno, "cannot open key file '%s'", path);
    return NULL;
  }
  if (!read_key(fd, path, &key, error))
    return NULL;
  HfSecrets *secrets = g_new0(HfSecrets, 1);
  g_mutex_init(&secrets->mutex);
  secrets->aead = hf_aead_new(&key);
  return secrets;
}

void hf_secrets_free(HfSecrets *secrets)
{
  if (secrets == NULL)
    return;
  hf_aead_free(secrets->aead);
  g_mutex_clear(&secrets->mutex);
  g_free(secrets);
}

static char *extra_of(const char *place, const char *id)
{
  return g_strdup_printf("holdfast vault %d %s:%s", VERSION, place, id);
}

GBytes *hf_secrets_seal(HfSecrets *secrets, const char *place, const char *id, gconstpointer secret, gsize length,
                        GError **error)
{
  g_autofree char *extra = extra_of(place, id);
  gsize size = HEAD + length + HF_TAG_BYTES;
  guint8 *out = g_malloc(size);
  out[0] = VERSION;
  hf_random(out + 1, HF_NONCE_BYTES);
  g_mutex_lock(&secrets->mutex);
  gboolean good = hf_aead_seal(secrets->aead, out + 1, extra, strlen(extra), length > 0 ? secret : "", length,
                               out + HEAD, error);
  g_mutex_unlock(&secrets->mutex);
  if (good)
    return g_bytes_new_take(out, size);
  g_free(out);
  return NULL;
}

char *hf_secrets_unseal(HfSecrets *secrets, const char *place, const char *id, GBytes *sealed, gsize *length,
                        GError **error)
{
  gsize size;
  const guint8 *bytes = g_bytes_get_data(sealed, &size);
  g_autofree char *extra = extra_of(place, id);
  g_autoptr(GError) problem = NULL;
  if (size >= HEAD + HF_TAG_BYTES && bytes[0] == VERSION) {
    char *secret = g_malloc0(size - HEAD - HF_TAG_BYTES + 1);
    g_mutex_lock(&secrets->mutex);
    gboolean good = hf_aead_open(secrets->aead, bytes + 1, extra, strlen(extra), bytes + HEAD, size - HEAD, secret,
                                 &problem);
    g_mutex_unlock(&secrets->mutex);
    if (good) {
      if (length != NULL)
        *length = size - HEAD - HF_TAG_BYTES;
      return secret;
    }
    g_free(secret);
  }
  hf_fail(error, HF_ERROR_DAMAGED, "the secret %s of '%s' does not open; was the key file replaced? give the secret "
                                   "anew",
          place, id);
  return NULL;
}

void hf_secret_free(char *secret)
{
  if (secret != NULL)
    hf_wipe(secret, strlen(secret));
  g_free(secret);
}
