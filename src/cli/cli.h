/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The frame of the command line: from words to a verb, from an error to an exit code. */
#pragma once

#include "base/report.h"
#include "base/work.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/verbs.h"

/* What a verb works with; all borrowed. */
struct HfCli {
  HfOutput *output; /* standard output: results */
  HfReport *report; /* standard error: progress and warnings */
  HfProgressView *progress; /* what the report shows itself in */
  HfCancel *cancel; /* set by SIGINT and SIGTERM */
};

/*
 * Runs the command line and returns the exit code (spec/options.toml). The first SIGINT or SIGTERM cancels what runs,
 * so that it ends in order; a second one ends the process at once with 128 + signal. SIGPIPE is ignored: a reader that
 * goes away ends the verb as a cancel does.
 */
int hf_cli_main(int argc, char **argv);

/* The same without signals, for `arguments` ended by NULL, into two streams. */
int hf_cli_run(char *const *arguments, FILE *out, FILE *err, HfCancel *cancel);
