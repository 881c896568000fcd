/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A folder store in a temporary folder. */
#pragma once

#include "storage/local/local.h"

typedef struct Fixture {
  char *folder; /* of the test */
  char *path;   /* folder/store */
  HfStore *store;
} Fixture;

/* Makes the folder and opens a new store in it. */
void fixture_open(Fixture *fixture);
/* Closes the store and removes all below the folder. */
void fixture_close(Fixture *fixture);
/* path/name; caller frees. */
char *fixture_path(Fixture *fixture, const char *name);
/* Names of all files and folders below the store, whatever they are, sorted and joined by ' '; caller frees. */
char *fixture_tree(Fixture *fixture);
/* Removes a file or a folder with all that is in it. */
void remove_tree(const char *path);

void put_text(HfStore *store, const char *name, const char *text);
/* The object has this text. */
void expect_text(HfStore *store, const char *name, const char *text);
/* Getting it fails with `code`. */
void expect_get_fails(HfStore *store, const char *name, int code);
