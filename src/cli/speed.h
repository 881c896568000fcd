/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How fast this machine does what every backup and restore consists of. */
#pragma once

#include "base/work.h"

typedef struct HfSpeed {
  const char *what; /* static, as in "compress with zstd 3" */
  guint threads;
  double bytes_per_second; /* of plain bytes, all threads together */
} HfSpeed;

/* Called once a line, from the calling thread. */
typedef void (*HfSpeedFunc)(const HfSpeed *speed, gpointer user);

/* Measures each kind of work with one thread and with one a processor, about `seconds` for each line. */
gboolean hf_speed_measure(double seconds, HfCancel *cancel, HfSpeedFunc func, gpointer user, GError **error);
