/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Addresses of many host names at once, within a time: the system's own way of looking them up cannot be hurried. */
#pragma once

#include <glib.h>

#include "ports/topology/topology.h"

typedef struct HfResolver HfResolver;

/* Looks all names up (ended by NULL) and returns after `timeout_ms` at the latest. Look-ups that go on then end by
 * themselves, unheard. */
HfResolver *hf_resolver_new(const char *const *names, guint timeout_ms);
/* The addresses of one of the names: HfTopologyAddress by value, borrowed; empty, with a static `reason`, when it has
 * none. */
const GArray *hf_resolver_get(const HfResolver *resolver, const char *name, const char **reason);
void hf_resolver_free(HfResolver *resolver);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfResolver, hf_resolver_free)
