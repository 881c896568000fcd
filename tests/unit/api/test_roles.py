#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every operation is asked by every role and by nobody; who may do what is written down here once more, by hand.

    test_roles.py SERVE [postgresql]"""
import re
import unittest

import restcase

# What a role may beyond looking: parts of paths, by method. Everything else that is no GET is the administrator's.
RUN = re.compile(r"POST .*(/jobs/\{\}/(start|stop|retry)|/(sessions|tasks)/\{\}/stop|/backups/runHealthcheck)$")
SWITCH = re.compile(r"POST .*(/jobs|/proxies)/\{\}/(enable|disable)$")
RESTORE = re.compile(r"POST .*(/restore/flr(/\{\}/unmount)?|/flr/\{\}/(browse|search(/\{\}/browse)?|restore)|/mounts/\{\}/search)$")
ELSEWHERE = re.compile(r"POST .*/flr/\{\}/restoreTo$")
RESCAN = re.compile(r"POST .*/rescan$")
OPEN = re.compile(r"(GET .*/(serverInfo|serverTime|serverCertificate|apiVersions)|GET .*(swagger|openapi).*|"
                  r"POST /api/oauth2/token)$")
OWN = re.compile(r"(POST /api/oauth2/logout|.* /api/v1/holdfast/self(/password)?)$")
AUDIT = re.compile(r"GET /api/v1/holdfast/(accounts(/\{\})?|audit|hosts/\{\}/logs)$")
MOUNTS = re.compile(r"GET /api/v1/backupBrowser/.*$")


class Roles(restcase.Case):
    def operations(self):
        for path, operations in self.document().document["paths"].items():
            for method in operations:
                yield method.upper(), path, f"{method.upper()} {re.sub(r'{[^}]*}', '{}', path)}"

    def refused(self, client, method, path):
        address = re.sub(r"\{name\}", "v1.3-rev1", path)
        address = re.sub(r"\{\w+\}", restcase.NO_ID, address)
        answer = self.ask(client, method, address, body={} if method in ("POST", "PUT") else None)
        return answer.status

    def check(self, name, allowed, refusal):
        client = self.client(name)
        wrong = []
        for method, path, line in self.operations():
            if line == "POST /api/oauth2/logout":
                continue  # ends the client
            status = self.refused(client, method, path)
            if (status == refusal) == allowed(line):
                wrong.append(f"{name}: {line} gave {status}")
        self.assertEqual(wrong, [])

    @staticmethod
    def looks(line):
        return line.startswith("GET ") and not AUDIT.match(line) and not MOUNTS.match(line)

    def free(self, line):
        return bool(OPEN.match(line) or OWN.match(line))

    def test_viewer(self):
        self.check("viewer", lambda line: self.free(line) or self.looks(line), 403)

    def test_restore_operator(self):
        self.check("restore", lambda line: self.free(line) or self.looks(line) or bool(
            RESTORE.match(line) or MOUNTS.match(line)), 403)

    def test_operator(self):
        self.check("operator", lambda line: self.free(line) or self.looks(line) or bool(
            RUN.match(line) or SWITCH.match(line) or RESCAN.match(line) or RESTORE.match(line) or MOUNTS.match(line) or
            ELSEWHERE.match(line)), 403)

    def test_administrator(self):
        self.check("admin", lambda line: True, 403)

    def test_nobody(self):
        self.check(None, lambda line: bool(OPEN.match(line)) or line == "GET /metrics", 401)

    def test_refusals_are_in_the_trail(self):
        viewer = self.client("viewer")
        self.assertEqual(viewer.post(f"/api/v1/jobs/{restcase.NO_ID}/start").status, 403)
        lines = self.client().get("/api/v1/holdfast/audit", accountFilter="viewer", actionFilter="start").json["data"]
        self.assertNotEqual(lines[0]["result"], "ok")
        self.assertEqual(lines[0]["objectId"], restcase.NO_ID)


if __name__ == "__main__":
    unittest.main()
