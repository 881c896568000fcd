/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which rows of the port catalogue the connections of the fleet belong to: what logs name, and what decides which ports
 * may be tried. Hosts of the fleet run Linux; of all other questions the usual answers count.
 */
#pragma once

#include "ports/catalogue/catalogue.h"

/*
 * Ids of the rows by which a holder of role `from` reaches a service of a holder of one of the roles `to` (ended by
 * NULL), in page order, apart by commas; "" when none does. Caller frees.
 */
char *hf_rows_to(const char *from, const char *const *to, const char *service);

/* The two ways of a data connection. */
typedef struct HfRowsData {
  char *transport; /* rows that name the transport port; "": it must not be tried */
  char *channels;  /* rows that name the range; "": it must not be tried */
} HfRowsData;
void hf_rows_data(const char *from, const char *to, HfRowsData *rows);
void hf_rows_data_clear(HfRowsData *rows);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HfRowsData, hf_rows_data_clear)
/* "m5.14>m8.8": rows of the transport port, and those of the range where they are others. Caller frees. */
char *hf_rows_data_text(const HfRowsData *rows);

/* The row that the port of a service comes from. */
const char *hf_rows_of_service(const char *service);
