/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <glib/gstdio.h>
#include <string.h>

#include "place.h"
#include "server/auth/auth.h"
#include "server/auth/password.h"

#define MEMORY_KIB 64 /* enough for a test */
#define MEMBER(json, text) g_assert_nonnull(strstr(json, text))

static HfAuth *open_auth(TestPlace *place)
{
  test_open(place);
  return hf_auth_new(place->db, NULL, MEMORY_KIB);
}

static char *make_account(HfAuth *auth, const char *name, HfRole role)
{
  GError *error = NULL;
  char *id = NULL;
  hf_account_create(auth, &test_actor, name, "for a test", "good password", role, &id, &error);
  g_assert_no_error(error);
  return id;
}

/* ---- roles ---- */

static void test_roles(void)
{
  static const struct {
    HfAction action;
    gboolean allowed[4]; /* viewer, restore operator, operator, administrator */
  } table[] = {
    {HF_ACTION_VIEW, {1, 1, 1, 1}},    {HF_ACTION_AUDIT, {0, 0, 0, 1}},     {HF_ACTION_RUN, {0, 0, 1, 1}},
    {HF_ACTION_SWITCH, {0, 0, 1, 1}},  {HF_ACTION_RESTORE, {0, 1, 1, 1}},   {HF_ACTION_RESTORE_ELSEWHERE, {0, 0, 1, 1}},
    {HF_ACTION_RESCAN, {0, 0, 1, 1}},  {HF_ACTION_CONFIGURE, {0, 0, 0, 1}}, {HF_ACTION_DELETE, {0, 0, 0, 1}},
    {HF_ACTION_ACCOUNTS, {0, 0, 0, 1}},
  };
  GError *error = NULL;
  HfRole role = HF_ROLE_VIEWER;
  for (gsize i = 0; i < G_N_ELEMENTS(table); i++)
    for (guint k = 0; k < 4; k++)
      g_assert_cmpint(hf_role_allows((HfRole)k, table[i].action), ==, table[i].allowed[k]);
  for (guint k = 0; k < 4; k++) {
    g_assert_true(hf_role_parse(hf_role_name((HfRole)k), &role, &error));
    g_assert_cmpint(role, ==, k);
  }
  g_assert_false(hf_role_parse("root", &role, &error));
  test_refused(&error, HF_ERROR_USAGE, "root");
  HfActor viewer = {"x", "vera", "", HF_ROLE_VIEWER};
  g_assert_false(hf_actor_may(&viewer, HF_ACTION_RUN, &error));
  test_refused(&error, HF_ERROR_PERMISSION, "'vera' (viewer) may not start and stop jobs");
  g_assert_true(hf_actor_may(&hf_actor_server, HF_ACTION_ACCOUNTS, &error));
}

/* ---- sealed secrets ---- */

static void test_secrets(void)
{
  GError *error = NULL;
  gsize length = 0;
  g_autofree char *folder = g_dir_make_tmp("holdfast-secrets-XXXXXX", NULL);
  g_autofree char *path = g_build_filename(folder, "seal.key", NULL);
  g_assert_null(hf_secrets_open(path, FALSE, &error));
  test_refused(&error, HF_ERROR_NOT_FOUND, "seal.key");
  g_autoptr(HfSecrets) secrets = hf_secrets_open(path, TRUE, &error);
  g_assert_no_error(error);
  GStatBuf status;
  g_assert_cmpint(g_stat(path, &status), ==, 0);
  g_assert_cmpint(status.st_mode & 0777, ==, 0600);

  g_autoptr(GBytes) sealed = hf_secrets_seal(secrets, "a.b", "1", "secret", 6, &error);
  g_autoptr(GBytes) again = hf_secrets_seal(secrets, "a.b", "1", "secret", 6, &error);
  g_autoptr(GBytes) empty = hf_secrets_seal(secrets, "a.b", "1", "", 0, &error);
  g_assert_false(g_bytes_equal(sealed, again));
  g_autoptr(HfSecrets) other = hf_secrets_open(path, TRUE, &error); /* the same file */
  g_autoptr(HfSecret) secret = hf_secrets_unseal(other, "a.b", "1", sealed, &length, &error);
  g_assert_cmpstr(secret, ==, "secret");
  g_assert_cmpuint(length, ==, 6);
  g_autoptr(HfSecret) nothing = hf_secrets_unseal(secrets, "a.b", "1", empty, &length, &error);
  g_assert_cmpstr(nothing, ==, "");
  g_assert_null(hf_secrets_unseal(secrets, "a.b", "2", sealed, NULL, &error));
  test_refused(&error, HF_ERROR_DAMAGED, "a.b");
  g_assert_null(hf_secrets_unseal(secrets, "a.c", "1", sealed, NULL, &error));
  test_refused(&error, HF_ERROR_DAMAGED, "a.c");
  g_autoptr(GBytes) cut = g_bytes_new_from_bytes(sealed, 0, 20);
  g_assert_null(hf_secrets_unseal(secrets, "a.b", "1", cut, NULL, &error));
  test_refused(&error, HF_ERROR_DAMAGED, "a.b");

  g_assert_cmpint(g_chmod(path, 0640), ==, 0);
  g_assert_null(hf_secrets_open(path, TRUE, &error));
  test_refused(&error, HF_ERROR_PERMISSION, "chmod 600");
  g_assert_true(g_file_set_contents_full(path, "zz\n", -1, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
  g_assert_cmpint(g_chmod(path, 0600), ==, 0);
  g_assert_null(hf_secrets_open(path, TRUE, &error));
  test_refused(&error, HF_ERROR_INVALID, "no key file");
  g_autofree char *nowhere = g_build_filename(folder, "none", "seal.key", NULL);
  g_assert_null(hf_secrets_open(nowhere, TRUE, &error));
  test_refused(&error, HF_ERROR_NOT_FOUND, "seal.key");
  g_unlink(path);
  g_assert_cmpint(g_rmdir(folder), ==, 0); /* nothing else was left */
  hf_secrets_free(NULL);
  hf_secret_free(NULL);
}

/* ---- hashes ---- */

static void test_password_hash(void)
{
  GError *error = NULL;
  gboolean same = FALSE;
  g_autofree char *hash = hf_password_hash("tree house", MEMORY_KIB, &error);
  g_autofree char *other = hf_password_hash("tree house", MEMORY_KIB, &error);
  g_assert_cmpstr(hash, !=, other);
  g_assert_true(g_str_has_prefix(hash, "argon2id$3$64$"));
  g_assert_true(hf_password_check("tree house", hash, &same, &error) && same);
  g_assert_true(hf_password_check("tree hous", hash, &same, &error) && !same);
  static const char *const broken[] = {"", "x", "argon2id$3$64$00", "argon2id$3$64$00$00", "argon2id$0$64$00$00",
                                       "argon2id$3$99999999$00$00", "bcrypt$3$64$00$00"};
  for (gsize i = 0; i < G_N_ELEMENTS(broken); i++) {
    g_assert_false(hf_password_check("x", broken[i], &same, &error));
    test_refused(&error, HF_ERROR_DAMAGED, "hash");
  }
  g_assert_null(hf_password_hash("x", 1, &error));
  test_refused(&error, HF_ERROR_INVALID, "costs");
}

/* ---- accounts ---- */

static void test_first_account(TestPlace *place)
{
  GError *error = NULL;
  g_autoptr(HfAuth) auth = open_auth(place);
  g_autoptr(HfSecret) password = NULL;
  g_assert_true(hf_auth_first_account(auth, &password, &error));
  g_assert_cmpuint(strlen(password), ==, 20);
  g_autoptr(HfTokenPair) pair = hf_auth_login(auth, "Admin", password, "192.0.2.7", FALSE, &error);
  g_assert_no_error(error);
  g_assert_cmpstr(pair->account, ==, "admin");
  g_assert_cmpint(pair->role, ==, HF_ROLE_ADMINISTRATOR);
  g_autoptr(HfSecret) second = NULL;
  g_assert_true(hf_auth_first_account(auth, &second, &error));
  g_assert_null(second);
}

static void test_accounts(TestPlace *place)
{
  GError *error = NULL;
  g_autoptr(HfAuth) auth = open_auth(place);
  g_autofree char *ann = make_account(auth, "ann", HF_ROLE_ADMINISTRATOR);
  g_autofree char *bob = make_account(auth, "bob", HF_ROLE_OPERATOR);
  static const char *const names[] = {"", " x", "x ", "a:b", "a\nb", "\xff",
                                      "0123456789012345678901234567890123456789012345678901234567890123456789"};
  for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
    g_assert_false(hf_account_create(auth, &test_actor, names[i], NULL, "good password", HF_ROLE_VIEWER, NULL, &error));
    test_refused(&error, HF_ERROR_USAGE, "name of an account");
  }
  g_assert_false(hf_account_create(auth, &test_actor, "carl", NULL, "short", HF_ROLE_VIEWER, NULL, &error));
  test_refused(&error, HF_ERROR_USAGE, "8 to 1024");
  g_assert_false(hf_account_create(auth, &test_actor, "BOB", NULL, "good password", HF_ROLE_VIEWER, NULL, &error));
  test_refused(&error, HF_ERROR_EXISTS, "'bob'");

  g_autoptr(GPtrArray) all = hf_accounts_load(auth, &error);
  g_assert_cmpuint(all->len, ==, 2);
  g_assert_cmpstr(((HfAccountRow *)all->pdata[1])->name, ==, "bob");
  g_autoptr(HfAccountRow) found = hf_account_get(auth, "Bob", &error);
  g_assert_cmpstr(found->id, ==, bob);
  g_assert_null(hf_account_get(auth, "nobody", &error));
  test_refused(&error, HF_ERROR_NOT_FOUND, "nobody");

  /* The last administrator stays. */
  g_assert_false(hf_account_delete(auth, &test_actor, ann, &error));
  test_refused(&error, HF_ERROR_REFUSED, "last administrator");
  g_assert_false(hf_account_change(auth, &test_actor, ann, "", HF_ROLE_OPERATOR, FALSE, &error));
  test_refused(&error, HF_ERROR_REFUSED, "last administrator");
  g_assert_false(hf_account_change(auth, &test_actor, ann, "", HF_ROLE_ADMINISTRATOR, TRUE, &error));
  test_refused(&error, HF_ERROR_REFUSED, "last administrator");
  g_assert_true(hf_account_change(auth, &test_actor, bob, "chief", HF_ROLE_ADMINISTRATOR, FALSE, &error));
  g_assert_true(hf_account_delete(auth, &test_actor, ann, &error));
  g_assert_false(hf_account_delete(auth, &test_actor, ann, &error));
  test_refused(&error, HF_ERROR_NOT_FOUND, ann);

  /* The trail: old and new, no hash, refusals too. */
  g_autofree char *change = test_text(place->db, "SELECT old_value || '|' || new_value FROM audit WHERE action = "
                                                 "'change' "
                                                 "AND result = 'ok'");
  MEMBER(change, "\"role\":\"operator\"");
  MEMBER(change, "\"role\":\"administrator\"");
  MEMBER(change, "\"password_hash\":\"(secret)\"");
  g_assert_null(strstr(change, "argon2id"));
  g_assert_cmpint(test_number(place->db, "SELECT COUNT(*) FROM audit WHERE result LIKE '%last administrator%'"), ==, 3);
  g_autofree char *who = test_text(place->db, "SELECT account || ' ' || address || ' ' || object_name FROM audit "
                                              "WHERE action = 'delete' AND result = 'ok'");
  g_assert_cmpstr(who, ==, "tester 192.0.2.1 ann");
}

/* ---- tokens ---- */

static void test_tokens(TestPlace *place)
{
  GError *error = NULL;
  g_autoptr(HfAuth) auth = open_auth(place);
  g_autofree char *id = make_account(auth, "ann", HF_ROLE_OPERATOR);
  g_autoptr(HfTokenPair) pair = hf_auth_login(auth, "ann", "good password", "192.0.2.7", FALSE, &error);
  g_assert_no_error(error);
  g_assert_cmpuint(strlen(pair->access), ==, 43);
  g_assert_cmpint(pair->access_expires - pair->issued, ==, 15 * 60 * G_GINT64_CONSTANT(1000000));
  g_assert_cmpint(pair->refresh_expires - pair->issued, ==, 14 * 86400 * G_GINT64_CONSTANT(1000000));
  g_autoptr(HfWho) who = hf_auth_check(auth, pair->access, "192.0.2.8", &error);
  g_assert_no_error(error);
  g_assert_cmpstr(who->actor.account, ==, "ann");
  g_assert_cmpstr(who->actor.address, ==, "192.0.2.8");
  g_assert_cmpint(who->actor.role, ==, HF_ROLE_OPERATOR);
  g_assert_null(hf_auth_check(auth, pair->refresh, "", &error)); /* the other half is none */
  test_refused(&error, HF_ERROR_PERMISSION, "not known");
  g_assert_null(hf_auth_refresh(auth, pair->access, "", &error));
  test_refused(&error, HF_ERROR_PERMISSION, "not known");

  g_autoptr(HfTokenPair) next = hf_auth_refresh(auth, pair->refresh, "192.0.2.7", &error);
  g_assert_no_error(error);
  g_assert_cmpstr(next->access, !=, pair->access);
  g_autoptr(HfWho) still = hf_auth_check(auth, pair->access, "", &error);
  g_assert_nonnull(still);

  /* Invariant 3: the old one again revokes all. */
  g_assert_null(hf_auth_refresh(auth, pair->refresh, "203.0.113.9", &error));
  test_refused(&error, HF_ERROR_PERMISSION, "used before");
  g_assert_null(hf_auth_check(auth, next->access, "", &error));
  test_refused(&error, HF_ERROR_PERMISSION, "revoked");
  g_assert_null(hf_auth_refresh(auth, next->refresh, "", &error));
  test_refused(&error, HF_ERROR_PERMISSION, "revoked");
  g_assert_cmpint(test_number(place->db, "SELECT COUNT(*) FROM audit WHERE action = 'refresh' AND "
                                         "address = '203.0.113.9'"), ==, 1);
}

static void test_logout(TestPlace *place)
{
  GError *error = NULL;
  g_autoptr(HfAuth) auth = open_auth(place);
  g_autofree char *id = make_account(auth, "ann", HF_ROLE_OPERATOR);
  g_autoptr(HfTokenPair) one = hf_auth_login(auth, "ann", "good password", "", FALSE, &error);
  g_autoptr(HfTokenPair) two = hf_auth_login(auth, "ann", "good password", "", TRUE, &error);
  g_assert_cmpint(two->refresh_expires - two->issued, ==, 3600 * G_GINT64_CONSTANT(1000000));
  g_autoptr(HfTokenPair) later = hf_auth_refresh(auth, two->refresh, "", &error);
  g_assert_cmpint(later->refresh_expires - later->issued, ==, 3600 * G_GINT64_CONSTANT(1000000));
  g_assert_true(hf_auth_logout(auth, one->access, &error));
  g_assert_null(hf_auth_check(auth, one->access, "", &error));
  test_refused(&error, HF_ERROR_PERMISSION, "revoked");
  g_assert_null(hf_auth_refresh(auth, one->refresh, "", &error));
  test_refused(&error, HF_ERROR_PERMISSION, "revoked");
  g_assert_false(hf_auth_logout(auth, "nonsense", &error));
  test_refused(&error, HF_ERROR_PERMISSION, "not known");
  g_autoptr(HfWho) other = hf_auth_check(auth, later->access, "", &error); /* the other login goes on */
  g_assert_nonnull(other);

  /* A new password and a disabled account end the rest. */
  g_assert_true(hf_account_set_password(auth, &test_actor, id, "another password", &error));
  g_assert_null(hf_auth_check(auth, later->access, "", &error));
  test_refused(&error, HF_ERROR_PERMISSION, "revoked");
  g_autoptr(HfTokenPair) three = hf_auth_login(auth, "ann", "another password", "", FALSE, &error);
  g_assert_no_error(error);
  g_assert_true(hf_account_change(auth, &test_actor, id, "", HF_ROLE_OPERATOR, TRUE, &error));
  g_assert_null(hf_auth_check(auth, three->access, "", &error));
  test_refused(&error, HF_ERROR_PERMISSION, "revoked");
  g_assert_null(hf_auth_login(auth, "ann", "another password", "", FALSE, &error));
  test_refused(&error, HF_ERROR_PASSWORD, "wrong name or password");
  g_assert_false(hf_account_set_password(auth, &test_actor, id, "short", &error));
  test_refused(&error, HF_ERROR_USAGE, "8 to 1024");
  /* Nothing in the table is a token. */
  g_assert_cmpint(test_number(place->db, "SELECT COUNT(*) FROM tokens"), ==, 4);
}

static void test_expiry(TestPlace *place)
{
  GError *error = NULL;
  test_open(place);
  HfAuthTimes times = {1, 1, 1};
  g_autoptr(HfAuth) auth = hf_auth_new(place->db, &times, MEMORY_KIB);
  g_autofree char *id = make_account(auth, "ann", HF_ROLE_VIEWER);
  g_autoptr(HfTokenPair) pair = hf_auth_login(auth, "ann", "good password", "", FALSE, &error);
  g_usleep(10);
  g_assert_null(hf_auth_check(auth, pair->access, "", &error));
  test_refused(&error, HF_ERROR_CANCELLED, "expired");
  g_assert_null(hf_auth_refresh(auth, pair->refresh, "", &error));
  test_refused(&error, HF_ERROR_PERMISSION, "expired");
  g_assert_true(hf_auth_sweep(auth, &error)); /* a day later only */
  g_assert_cmpint(test_number(place->db, "SELECT COUNT(*) FROM tokens"), ==, 1);
  test_exec(place->db, "UPDATE tokens SET refresh_expires = 1");
  g_assert_true(hf_auth_sweep(auth, &error));
  g_assert_cmpint(test_number(place->db, "SELECT COUNT(*) FROM tokens"), ==, 0);
}

/* ---- slowed logins ---- */

static void test_slowed(TestPlace *place)
{
  GError *error = NULL;
  g_autoptr(HfAuth) auth = open_auth(place);
  g_autofree char *id = make_account(auth, "ann", HF_ROLE_VIEWER);
  for (guint i = 0; i < 5; i++) {
    g_assert_null(hf_auth_login(auth, "ann", "wrong password", "192.0.2.7", FALSE, &error));
    test_refused(&error, HF_ERROR_PASSWORD, "wrong name or password");
  }
  /* Not even the right one is tried now. */
  g_assert_null(hf_auth_login(auth, "ann", "good password", "192.0.2.8", FALSE, &error));
  test_refused(&error, HF_ERROR_BUSY, "wait");
  g_assert_cmpint(test_number(place->db, "SELECT COUNT(*) FROM audit WHERE action = 'login'"), ==, 6);
  g_assert_null(hf_auth_login(auth, "ann", "good password", "192.0.2.8", FALSE, &error));
  test_refused(&error, HF_ERROR_BUSY, "wait");
  /* A flood does not fill the trail. */
  g_assert_cmpint(test_number(place->db, "SELECT COUNT(*) FROM audit WHERE action = 'login'"), ==, 6);
  g_usleep(1100000);
  g_autoptr(HfTokenPair) pair = hf_auth_login(auth, "ann", "good password", "192.0.2.8", FALSE, &error);
  g_assert_no_error(error);
  g_autoptr(HfAccountRow) account = hf_account_get(auth, id, &error);
  g_assert_cmpint(account->failed_logins, ==, 0);
  g_assert_cmpint(account->last_login, >, 0);

  /* Waits double, up to half a minute. */
  test_exec(place->db, "UPDATE accounts SET failed_logins = 30");
  g_assert_null(hf_auth_login(auth, "ann", "wrong password", "192.0.2.8", FALSE, &error));
  test_refused(&error, HF_ERROR_PASSWORD, "wrong");
  g_clear_pointer(&account, hf_account_free);
  account = hf_account_get(auth, id, &error);
  g_assert_cmpint(account->locked_until - hf_db_now(), <=, 30 * G_USEC_PER_SEC);
  g_assert_cmpint(account->locked_until - hf_db_now(), >, 25 * G_USEC_PER_SEC);
  /* A new password lifts it. */
  g_assert_true(hf_account_set_password(auth, &test_actor, id, "another password", &error));
  g_autoptr(HfTokenPair) again = hf_auth_login(auth, "ann", "another password", "192.0.2.8", FALSE, &error);
  g_assert_no_error(error);
}

/* An address that tries one name after the other. */
static void test_slowed_address(TestPlace *place)
{
  GError *error = NULL;
  g_autoptr(HfAuth) auth = open_auth(place);
  g_autofree char *id = make_account(auth, "ann", HF_ROLE_VIEWER);
  for (guint i = 0; i < 20; i++) {
    g_autofree char *name = g_strdup_printf("guess%u", i);
    g_assert_null(hf_auth_login(auth, name, "wrong password", "203.0.113.1", FALSE, &error));
    test_refused(&error, HF_ERROR_PASSWORD, "wrong name or password");
  }
  g_assert_null(hf_auth_login(auth, "ann", "good password", "203.0.113.1", FALSE, &error));
  test_refused(&error, HF_ERROR_BUSY, "wait");
  g_autoptr(HfTokenPair) pair = hf_auth_login(auth, "ann", "good password", "192.0.2.7", FALSE, &error);
  g_assert_no_error(error); /* from elsewhere it goes on */
  test_exec(place->db, "UPDATE login_addresses SET last_failure = 1");
  g_assert_true(hf_auth_sweep(auth, &error));
  g_assert_cmpint(test_number(place->db, "SELECT COUNT(*) FROM login_addresses"), ==, 0);
}

/* Nobody learns from the waits which names are accounts. */
static void test_slowed_unknown(TestPlace *place)
{
  GError *error = NULL;
  g_autoptr(HfAuth) auth = open_auth(place);
  g_autofree char *id = make_account(auth, "ann", HF_ROLE_VIEWER);
  static const char *const names[] = {"ann", "ben", "Ben"};
  for (guint k = 0; k < 2; k++)
    for (guint i = 0; i < 5; i++) {
      g_autofree char *address = g_strdup_printf("203.0.113.%u", i);
      g_assert_null(hf_auth_login(auth, names[k], "wrong password", address, FALSE, &error));
      test_refused(&error, HF_ERROR_PASSWORD, "wrong name or password");
    }
  for (guint k = 0; k < 3; k++) {
    g_assert_null(hf_auth_login(auth, names[k], "wrong password", "203.0.113.9", FALSE, &error));
    test_refused(&error, HF_ERROR_BUSY, "wait");
  }
  /* The trail does not keep what a stranger sends instead of a name. */
  g_autofree char *long_name = g_strnfill(100000, 'x');
  g_assert_null(hf_auth_login(auth, long_name, "wrong password", "192.0.2.9", FALSE, &error));
  test_refused(&error, HF_ERROR_PASSWORD, "wrong");
  g_assert_cmpint(test_number(place->db, "SELECT MAX(LENGTH(account) + LENGTH(object_name)) FROM audit"), <, 200);
  g_assert_cmpint(test_number(place->db, "SELECT MAX(LENGTH(address)) FROM login_addresses"), <, 100);
}

/* Who has a whole network of IPv6 is one address. */
static void test_slowed_network(TestPlace *place)
{
  GError *error = NULL;
  g_autoptr(HfAuth) auth = open_auth(place);
  for (guint i = 0; i < 20; i++) {
    g_autofree char *name = g_strdup_printf("guess%u", i), *address = g_strdup_printf("2001:db8:1:2:%x::1", i);
    g_assert_null(hf_auth_login(auth, name, "wrong password", address, FALSE, &error));
    test_refused(&error, HF_ERROR_PASSWORD, "wrong name or password");
  }
  g_assert_null(hf_auth_login(auth, "guess20", "wrong password", "2001:db8:1:2:ffff::", FALSE, &error));
  test_refused(&error, HF_ERROR_BUSY, "wait");
  g_assert_null(hf_auth_login(auth, "guess20", "wrong password", "2001:db8:1:3::1", FALSE, &error));
  test_refused(&error, HF_ERROR_PASSWORD, "wrong");
}

/* A stranger who keeps an account slowed does not keep its owner out of where he has logged in before. */
static void test_slowed_by_stranger(TestPlace *place)
{
  GError *error = NULL;
  g_autoptr(HfAuth) auth = open_auth(place);
  g_autofree char *id = make_account(auth, "ann", HF_ROLE_VIEWER);
  g_autoptr(HfTokenPair) pair = hf_auth_login(auth, "ann", "good password", "192.0.2.7", FALSE, &error);
  g_assert_no_error(error);
  test_exec(place->db, "UPDATE accounts SET failed_logins = 30");
  g_assert_null(hf_auth_login(auth, "ann", "wrong password", "203.0.113.1", FALSE, &error));
  test_refused(&error, HF_ERROR_PASSWORD, "wrong");
  g_assert_null(hf_auth_login(auth, "ann", "good password", "192.0.2.7", FALSE, &error));
  test_refused(&error, HF_ERROR_BUSY, "wait"); /* for two seconds at most */
  g_usleep(2200000);
  g_assert_null(hf_auth_login(auth, "ann", "good password", "203.0.113.1", FALSE, &error));
  test_refused(&error, HF_ERROR_BUSY, "wait");
  g_autoptr(HfTokenPair) again = hf_auth_login(auth, "ann", "good password", "192.0.2.7", FALSE, &error);
  g_assert_no_error(error);
}

typedef struct Attack {
  HfAuth *auth;
  gint tried; /* atomic: answers other than "wait" */
} Attack;

static gpointer attack(gpointer user)
{
  Attack *work = user;
  for (guint i = 0; i < 10; i++) {
    GError *error = NULL;
    g_assert_null(hf_auth_login(work->auth, "ann", "wrong password", "203.0.113.1", FALSE, &error));
    if (!g_error_matches(error, HF_ERROR, HF_ERROR_BUSY))
      g_atomic_int_inc(&work->tried);
    g_clear_error(&error);
  }
  return NULL;
}

/* Many at once get hardly more tries than one after the other. */
static void test_parallel_attack(TestPlace *place)
{
  g_autoptr(HfAuth) auth = open_auth(place);
  g_autofree char *id = make_account(auth, "ann", HF_ROLE_VIEWER);
  Attack work = {auth, 0};
  GThread *threads[8];
  for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
    threads[i] = g_thread_new("attack", attack, &work);
  for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
    g_thread_join(threads[i]);
  g_assert_cmpint(work.tried, <=, 10);
}

/* ---- audit ---- */

static void test_audit(TestPlace *place)
{
  GError *error = NULL;
  test_open(place);
  HfAudit line = {.action = "start", .object_kind = "jobs", .object_id = "1", .object_name = "nightly"};
  g_assert_true(hf_audit_note(place->db, &test_actor, &line, &error));
  g_autofree char *row = test_text(place->db, "SELECT account || action || object_name || result FROM audit");
  g_assert_cmpstr(row, ==, "testerstartnightlyok");
  g_assert_true(hf_audit_sweep(place->db, 1, &error));
  g_assert_cmpint(test_number(place->db, "SELECT COUNT(*) FROM audit"), ==, 1);
  g_assert_true(hf_audit_sweep(place->db, G_MAXINT64, &error));
  g_assert_cmpint(test_number(place->db, "SELECT COUNT(*) FROM audit"), ==, 0);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/server/auth/roles", test_roles);
  g_test_add_func("/server/auth/secrets", test_secrets);
  g_test_add_func("/server/auth/password-hash", test_password_hash);
  test_add("/server/auth/first-account", test_first_account);
  test_add("/server/auth/accounts", test_accounts);
  test_add("/server/auth/tokens", test_tokens);
  test_add("/server/auth/logout", test_logout);
  test_add("/server/auth/expiry", test_expiry);
  test_add("/server/auth/slowed", test_slowed);
  test_add("/server/auth/slowed-address", test_slowed_address);
  test_add("/server/auth/slowed-unknown", test_slowed_unknown);
  test_add("/server/auth/slowed-network", test_slowed_network);
  test_add("/server/auth/slowed-by-stranger", test_slowed_by_stranger);
  test_add("/server/auth/parallel-attack", test_parallel_attack);
  test_add("/server/auth/audit", test_audit);
  return test_run();
}
