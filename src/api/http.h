/* SPDX-License-Identifier: GPL-3.0-or-later */
/* HTTPS around hf_api_call_run: libmicrohttpd moves the bytes (4 threads, epoll), `workers` threads answer. */
#pragma once

#include "api/call.h"

typedef struct HfApiDaemon HfApiDaemon;
/* Listens on `api->port` (as HfApiSettings has it) and sets it to the port that it got. */
HfApiDaemon *hf_api_daemon_start(HfApi *api, GError **error);
void hf_api_daemon_stop(HfApiDaemon *daemon);
