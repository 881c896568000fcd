/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Contents of regular files: inline, one blob, or a list of chunks and holes (format.md 7.3). */
#pragma once

#include "engine/backup/tree.h"

/* Where a file is, for reading and for messages. */
typedef struct HfFilePlace {
  HfSourceDir *dir;
  const char *name;
  const char *folder; /* path of dir */
} HfFilePlace;

/* Warns about the file with its whole path. */
void hf_warn_place(HfBackupWorker *worker, const HfFilePlace *place, const char *message);
/* "FOLDER/NAME"; caller frees. */
char *hf_place_path(const HfFilePlace *place);

typedef enum HfReadResult {
  HF_READ_DONE,    /* content, size and extras of the entry are filled in */
  HF_READ_INLINE,  /* the bytes were appended to `tail`; content is INLINE */
  HF_READ_SKIPPED, /* warned about: leave the file out */
} HfReadResult;

/* Reads the file: content into the repository, extended attributes into worker->extras (entry->extras views them or
 * extras_ref names their blob). Sets the racy and incomplete flags. FALSE only for errors that end the backup. */
gboolean hf_content_read(HfBackupWorker *worker, const HfFilePlace *place, HfEntry *entry, const HfSourceStat *status,
                         GByteArray *tail, HfReadResult *result, GError **error);
/* Reads exactly entry->size bytes of a small file again, appending to `tail`; FALSE in *good when it is not so long
 * now. */
gboolean hf_content_read_again(const HfFilePlace *place, const HfEntry *entry, GByteArray *tail);
/* Puts the extras found so far where they belong: into the entry, or into a blob when they are long. */
gboolean hf_content_extras(HfBackupWorker *worker, HfEntry *entry, GError **error);

/* Is anything of an old entry's content absent (index I2)? */
gboolean hf_content_absent(HfBackupWorker *worker, const HfEntry *old, gboolean *absent, GError **error);
/* Ctime not safely older than now (the clock of file systems ticks in steps of up to 2 s). */
gboolean hf_content_racy(const HfEntry *entry);
