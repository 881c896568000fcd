/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/nearest.h"

#include <string.h>

#define LONGEST 40 /* longer words are nobody's slip */

struct HfNearest {
  const char *word, *found;
  gsize slips; /* of `found` */
};

HfNearest *hf_nearest_new(const char *word)
{
  HfNearest *nearest = g_new0(HfNearest, 1);
  nearest->word = word;
  nearest->slips = G_MAXSIZE;
  return nearest;
}

/* Optimal string alignment distance of two words of at most LONGEST bytes. */
static gsize slips_between(const char *a, const char *b)
{
  gsize rows = strlen(a), columns = strlen(b);
  gsize table[LONGEST + 1][LONGEST + 1];
  for (gsize i = 0; i <= rows; i++)
    table[i][0] = i;
  for (gsize j = 0; j <= columns; j++)
    table[0][j] = j;
  for (gsize i = 1; i <= rows; i++)
    for (gsize j = 1; j <= columns; j++) {
      gsize other = table[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      gsize best = MIN(other, MIN(table[i - 1][j], table[i][j - 1]) + 1);
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        best = MIN(best, table[i - 2][j - 2] + 1);
      table[i][j] = best;
    }
  return table[rows][columns];
}

void hf_nearest_offer(HfNearest *nearest, const char *candidate)
{
  gsize length = strlen(nearest->word), candidate_length = strlen(candidate);
  if (length > LONGEST || candidate_length > LONGEST)
    return;
  gsize slips = slips_between(nearest->word, candidate);
  gboolean begun_alike = length >= 3 && strncmp(nearest->word, candidate, length) == 0;
  if (begun_alike)
    slips = MIN(slips, 1);
  if (slips * 3 <= candidate_length + 1 && slips < nearest->slips) {
    nearest->slips = slips;
    nearest->found = candidate;
  }
}

const char *hf_nearest_result(const HfNearest *nearest)
{
  return nearest->found;
}

void hf_nearest_free(HfNearest *nearest)
{
  g_free(nearest);
}
