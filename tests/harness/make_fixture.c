/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * make_fixture FOLDER           makes the tree of fixture.h there; prints what could not be made
 * make_fixture --remove FOLDER  removes such a tree
 */
#include <stdio.h>
#include <string.h>

#include "fixture.h"

int main(int argc, char **argv)
{
  if (argc == 3 && strcmp(argv[1], "--remove") == 0) {
    hf_fixture_remove(argv[2]);
    return 0;
  }
  if (argc != 2) {
    fprintf(stderr, "usage: make_fixture [--remove] FOLDER\n");
    return 2;
  }
  g_autoptr(GString) left_out = g_string_new(NULL);
  hf_fixture_make(argv[1], left_out);
  fputs(left_out->str, stdout);
  return 0;
}
