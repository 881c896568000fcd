/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which files of a repository the keeper has made immutable, and until when: a book in the keeper's state for each
 * repository, and the clock by which its times count.
 *
 * INVARIANTS
 * 1. What was put is on the disk when the put returns.
 * 2. A time only grows, until the file is dropped.
 * 3. The clock counts seconds for which it was let run, and nothing else: it never goes back, and no clock of the host
 *    moves it. Where it was lost it goes on from what the book has seen of it.
 * 4. What a crash or rot leaves of a book is read as far as it is whole. Then, as in a book that is new, it stands in
 *    it that there may be files with the flag that it does not know, until the folder was searched.
 *
 *   holds/ID.clock    seconds. ID: of the repository's path
 *   holds/ID          lines, each "DIGEST CONTENT", DIGEST the XXH3 of CONTENT:
 *                       R CLOCK PATH               which repository
 *                       L CLOCK SECONDS            the longest lock that the server ordered for it
 *                       H CLOCK UNTIL INODE NAME   a file, held from before it has the flag
 *                       D CLOCK INODE              it has the flag no more
 *                       C CLOCK                    the folder was searched: the book is complete from here on
 *                     PATH and NAME escaped; numbers hexadecimal
 *
 * Threads: one at a time.
 */
#pragma once

#include <glib.h>

#define HF_HOLDS_MAX (1u << 20) /* files of a repository */

typedef struct HfHold {
  guint64 inode; /* first: hashed by it */
  guint64 until;
  char *name; /* below the repository */
} HfHold;

typedef struct HfHoldBook HfHoldBook;
/* The book of the repository at `path`, begun when there is none; `folder` exists. */
HfHoldBook *hf_hold_book_open(const char *folder, const char *path, GError **error);
void hf_hold_book_free(HfHoldBook *book);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfHoldBook, hf_hold_book_free)
const char *hf_hold_book_path(const HfHoldBook *book);
gboolean hf_hold_book_complete(const HfHoldBook *book);
/* The folder was searched. */
gboolean hf_hold_book_set_complete(HfHoldBook *book, GError **error);

/* ---- The clock: stands until it is let run. ---- */
void hf_hold_book_run(HfHoldBook *book, gboolean running);
guint64 hf_hold_book_now(const HfHoldBook *book);
/* Puts down what was reached. */
gboolean hf_hold_book_keep_clock(HfHoldBook *book, GError **error);

/* ---- What stands in it. ---- */
guint64 hf_hold_book_lock(const HfHoldBook *book); /* 0: none was ordered */
gboolean hf_hold_book_set_lock(HfHoldBook *book, guint64 seconds, GError **error);
guint hf_hold_book_count(const HfHoldBook *book);
const HfHold *hf_hold_book_find(const HfHoldBook *book, guint64 inode);

/* Puts these (HfHold) down: none that would change nothing is written, nothing gets shorter. HF_ERROR_REFUSED when
 * there would be more than HF_HOLDS_MAX: then none was put. */
gboolean hf_hold_book_put(HfHoldBook *book, const HfHold *holds, guint count, GError **error);
gboolean hf_hold_book_drop(HfHoldBook *book, const guint64 *inodes, guint count, GError **error);
/* The inodes of those whose time has come (guint64), by the clock. */
GArray *hf_hold_book_due(const HfHoldBook *book);
