/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A repository for the tests of writer and reader: a store in memory, a true index, and a session and keyring of a few
 * lines that stand before those of src/repo in the link order, so that a test decides what a slot opens to.
 */
#pragma once

#include "frametest.h"
#include "labstore.h"
#include "repo/objects.h"
#include "repo/reader.h"
#include "repo/writer.h"

#define FAKE_DOMAIN 6u

typedef struct FakeRepo {
  HfRepo repo;
  HfKeyring *keyring; /* also when repo.keys is NULL */
  GPtrArray *sessions;
  HfReport *report;
  guint warnings;
  char *last_warning;
  /* What the store was asked for. */
  guint gets;
  gsize bytes_got;
  /* The call that is to fail: `op` on names with `prefix`, from the `nth` on, with `code`. */
  LabOp fail_op;
  const char *fail_prefix;
  gint fail_nth;
  int fail_code;
} FakeRepo;

/* Small frames and packs, so that a test has several: see fakerepo.c. */
void fake_init(FakeRepo *fake, guint parity);
void fake_clear(FakeRepo *fake);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(FakeRepo, fake_clear)
/* The fault strikes from the `nth` call on (1 is the next). FAKE_ANY_OP: at any call. */
#define FAKE_ANY_OP ((LabOp)99)
void fake_fail(FakeRepo *fake, LabOp op, const char *prefix, int nth, int code);
/* Opens the index anew: what is found is in the store. */
void fake_reload(FakeRepo *fake);
/* A session with keys of its own; lives as long as the repository. */
HfSession *fake_session(FakeRepo *fake);
/* The keyring fails to open slots with this code; 0: it does not. HF_ERROR_PASSWORD: it gives no data key, as a
 * write-only credential. */
void fake_keyring_fails(FakeRepo *fake, int code);
void fake_session_set_domain(HfSession *session, guint32 domain);
HfIdentity *fake_identity(void);
