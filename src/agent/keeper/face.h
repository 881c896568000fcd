/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Faces: the processes that have the network. A face that ends is started again, at once. One that dies again and
 * again within 5 seconds of its start is given a pause: from the second such death on 250 milliseconds, then twice as
 * long each time, 30 seconds at most.
 *
 * Threads: the keeper's main thread.
 */
#pragma once

#include "agent/keeper/keeper.h"

typedef struct HfFaceOps {
  void (*message)(HfKeeper *keeper, HfControlMessage *message);
  void (*gone)(HfKeeper *keeper); /* it died: what it was asked is lost */
  void (*ready)(HfKeeper *keeper); /* it has just been started, and listens; NULL: nothing is to be done then */
} HfFaceOps;

/* `role` and `ops` are static. Starts it. */
HfFace *hf_face_new(HfKeeper *keeper, const char *role, const HfFaceOps *ops);
void hf_face_free(HfFace *face);

gboolean hf_face_ready(const HfFace *face);
gboolean hf_face_send(HfFace *face, HfControlKind kind, const GByteArray *body, int fd);
void hf_face_setup(HfFace *face);
/* As the server ordered. */
void hf_face_act(HfFace *face, HfInstallerRoleAct act);
/* Fills `role`, which is zeros. */
void hf_face_describe(const HfFace *face, HfInstallerRole *role);
