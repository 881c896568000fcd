#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of docs/rest.md section 2 that clients rely on, one test each.

    test_wire.py SERVE [postgresql]"""
import datetime
import http.client
import socket
import ssl
import time
import unittest
import uuid
import warnings

import restcase
from restcase import NO_ID

VERSIONS = ["1.0-rev1", "1.0-rev2", "1.1-rev0", "1.1-rev1", "1.1-rev2", "1.2-rev0", "1.2-rev1", "1.3-rev0", "1.3-rev1",
            "1.3-rev2"]


class Wire(restcase.Case):
    def test_01_tls_and_keep_alive(self):
        client = self.client()
        first = client.connection.sock
        for _ in range(20):
            self.assertEqual(client.get("/api/v1/sessions").status, 200)
        self.assertIs(client.connection.sock, first)
        self.assertIn(first.version(), ("TLSv1.2", "TLSv1.3"))
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # that they are old is the point
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
        with socket.create_connection(("127.0.0.1", self.server.port)) as plain, self.assertRaises((ssl.SSLError, OSError)):
            context.wrap_socket(plain)
        plain = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=10)
        with self.assertRaises((http.client.HTTPException, OSError)):
            plain.request("GET", "/api/v1/serverTime")
            plain.getresponse()
        plain.close()

    def test_02_token(self):
        client = self.client(None)
        for grant in ("password", "Password", "PASSWORD"):
            answer = client.ask("POST", "/api/oauth2/token", form=(
                f"grant_type={grant}&username=admin&password=admin-password&use_short_term_refresh=false&unknown=1"
                "&vbr_token="))
            self.assertEqual(answer.status, 200, answer.body)
        pair = answer.json
        self.assertEqual(set(pair), {"access_token", "token_type", "refresh_token", "expires_in", ".issued", ".expires"})
        self.assertEqual(pair["token_type"], "bearer")
        self.assertIsInstance(pair["expires_in"], int)
        lasts = datetime.datetime.fromisoformat(pair[".expires"]) - datetime.datetime.fromisoformat(pair[".issued"])
        self.assertEqual(lasts.total_seconds(), pair["expires_in"])
        answer = client.ask("POST", "/api/oauth2/token", form={
            "grant_type": "Refresh_token", "refresh_token": pair["refresh_token"]})
        self.assertEqual(answer.status, 200)
        client.token = answer.json["access_token"]
        self.assertEqual(client.get("/api/v1/jobs").status, 200)
        for form, status in (({"grant_type": "password", "username": "admin", "password": "wrong"}, 401),
                             ({"grant_type": "password", "username": "nobody", "password": "wrong"}, 401),
                             ({"grant_type": "password", "username": "admin"}, 400),
                             ({"grant_type": "refresh_token", "refresh_token": "nonsense"}, 401),
                             ({"grant_type": "refresh_token"}, 400),
                             ({"grant_type": "authorization_code", "code": "x"}, 400),
                             ({"grant_type": "vbr_token", "vbr_token": "x"}, 400),
                             ({"grant_type": "magic"}, 400), ({}, 400)):
            answer = client.ask("POST", "/api/oauth2/token", form=form)
            self.assertEqual(answer.status, status, f"{form}: {answer.body}")
            self.assertTrue(answer.json["message"])
        self.assertEqual(client.ask("POST", "/api/oauth2/token", {
            "grant_type": "password", "username": "admin", "password": "admin-password"}).status, 200)

    def test_02_passwords_that_are_not_escaped(self):
        admin = self.client()
        self.ask(admin, "POST", "/api/v1/holdfast/accounts", {
            "name": "loose", "role": "viewer", "password": "per%cent/and:more=signs!"}, status=201)
        client = self.client(None)
        answer = client.ask("POST", "/api/oauth2/token",
                            form="grant_type=password&username=loose&password=per%cent/and:more=signs!")
        self.assertEqual(answer.status, 200, answer.body)

    def test_02_a_refresh_token_works_once(self):
        client = self.client(None)
        pair = client.login("operator").json
        form = {"grant_type": "refresh_token", "refresh_token": pair["refresh_token"]}
        self.assertEqual(client.ask("POST", "/api/oauth2/token", form=form).status, 200)
        self.assertEqual(client.ask("POST", "/api/oauth2/token", form=form).status, 401)

    def test_03_logout(self):
        client = self.client()
        answer = client.post("/api/oauth2/logout")
        self.assertEqual((answer.status, answer.json), (200, {}))
        self.assertEqual(client.get("/api/v1/jobs").status, 401)

    def test_04_versions(self):
        client = self.client()
        for version in VERSIONS + [None]:
            client.version = version
            self.assertEqual(client.get("/api/v1/sessions").status, 200, version)
        for version in ("2.0-rev0", "1.3", "", "x" * 300):
            answer = client.ask("GET", "/api/v1/sessions", headers={"x-api-version": version})
            self.assertEqual((answer.status, answer.json["errorCode"]), (400, "UnexpectedContent"))
        client.version = None
        self.assertEqual(client.get("/api/v1/holdfast/apiVersions").json["versions"], VERSIONS)

    def test_05_spellings(self):
        status, session, job = {}, {}, {}
        for version in VERSIONS:
            client = self.client(version=version)
            status[version] = client.get("/api/v1/jobs/states").json["data"][0]["status"]
            session[version] = client.get("/api/v1/sessions", jobIdFilter=self.job_id()).json["data"][0]["sessionType"]
            job[version] = client.get("/api/v1/jobs").json["data"][0]["type"]
            for path in ("/api/v1/jobs", "/api/v1/sessions", "/api/v1/jobs/states", "/api/v1/taskSessions"):
                self.document(version).check("GET", path, client.get(path))
        self.assertEqual({v for v in VERSIONS if status[v] == "Inactive"}, {"1.3-rev1", "1.3-rev2"})
        self.assertEqual({status[v] for v in VERSIONS[:8]}, {"inactive"})
        self.assertEqual({session[v] for v in VERSIONS[:5]}, {"Job"})
        self.assertEqual({session[v] for v in VERSIONS[5:]}, {"BackupJob"})
        self.assertEqual({job[v] for v in VERSIONS[:5]}, {"Backup"})
        self.assertEqual({job[v] for v in VERSIONS[7:]}, {"LinuxAgentBackup"})
        old = self.client(version="1.1-rev0")
        self.assertGreater(old.get("/api/v1/sessions", typeFilter="Job").json["pagination"]["total"], 0)
        self.assertEqual(old.get("/api/v1/objectRestorePoints").json, old.get("/api/v1/restorePoints").json)

    def job_id(self):
        return self.client().get("/api/v1/jobs", nameFilter="nightly").json["data"][0]["id"]

    def test_06_paths(self):
        client = self.client()
        for path in ("/api/v1/cloudcredentials", "/API/V1/SESSIONS/", "/api/v1/objectrestorepoints?nameFilter=x",
                     "//api//v1//jobs///", "/api/v1/backupinfrastructure/REPOSITORIES/states/"):
            self.assertEqual(client.get(path).status, 200, path)
        session = client.get("/api/v1/sessions").json["data"][0]["id"]
        self.assertEqual(client.get(f"/api/v1/Sessions/{session.upper()}").json["id"], session)
        for path in ("/api/v1", "/api/v1/none", "/", "/api/v1/sessions/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5"):
            answer = client.get(path)
            self.assertEqual((answer.status, answer.json["errorCode"]), (404, "InvalidURI"), path)

    def test_07_lists(self):
        client = self.client()
        whole = client.get("/api/v1/holdfast/audit", limit=0).json
        page = whole["pagination"]
        self.assertEqual((page["total"], page["count"], page["skip"]), (len(whole["data"]), len(whole["data"]), 0))
        got, skip = [], 0
        while True:
            part = client.get("/api/v1/holdfast/audit", skip=skip, limit=3, timeBeforeFilter=whole["data"][0]["time"]).json
            got += part["data"]
            skip += part["pagination"]["count"]
            if part["pagination"]["count"] == 0 or skip >= part["pagination"]["total"]:
                break
        self.assertEqual([row["id"] for row in got], [row["id"] for row in whole["data"]])
        for limit in (1, 100, 200, 500, 1000, 100000):
            self.assertEqual(client.get("/api/v1/sessions", limit=limit).status, 200)
        for query in ({"limit": "x"}, {"skip": "1.5"}, {"orderColumn": "Shoe"}, {"orderAsc": "maybe"},
                      {"createdAfterFilter": "yesterday"}, {"jobIdFilter": "x"}, {"resultFilter": "Great"}):
            self.assertEqual(client.get("/api/v1/sessions", **query).status, 400, query)

    def test_07_order_and_filters(self):
        client = self.client()
        for column in ("CreationTime", "creationtime"):
            rows = [row["creationTime"] for row in client.get("/api/v1/sessions", orderColumn=column, orderAsc="true")
                    .json["data"]]
            self.assertEqual(rows, sorted(rows))
        newest = client.get("/api/v1/sessions", orderColumn="CreationTime", orderAsc="false", limit=1).json["data"]
        self.assertEqual(newest[0]["creationTime"], rows[-1])
        middle = rows[len(rows) // 2]
        after = client.get("/api/v1/sessions", createdAfterFilter=middle).json["data"]
        self.assertEqual(len(after), len([row for row in rows if row >= middle]))
        loose = client.get("/api/v1/sessions?createdAfterFilter=" + middle).json["data"]  # '+' as it stands
        self.assertEqual(len(loose), len(after))
        utc = client.get("/api/v1/sessions", createdAfterFilter="2000-01-01T00:00:00Z").json
        self.assertEqual(utc["pagination"]["total"], len(rows))
        self.assertEqual(client.get("/api/v1/sessions", nameFilter="night*").json["pagination"]["total"], 3)
        self.assertEqual(client.get("/api/v1/sessions", nameFilter="*GHTL*").json["pagination"]["total"], 3)
        self.assertEqual(client.get("/api/v1/sessions", nameFilter="night").json["pagination"]["total"], 0)
        self.assertEqual(client.get("/api/v1/sessions", nameFilter="%").json["pagination"]["total"], 0)
        both = client.get("/api/v1/sessions", resultFilter=["Success", "Failed"]).json["pagination"]["total"]
        self.assertEqual(client.get("/api/v1/sessions", resultFilter="Success,Failed").json["pagination"]["total"], both)
        self.assertEqual(client.get("/api/v1/sessions", resultFilter="Failed").json["pagination"]["total"], 0)
        self.assertEqual(client.get("/api/v1/sessions", jobIdFilter=NO_ID).json["data"], [])
        self.assertEqual(client.get("/api/v1/sessions", nameFilter="", unknown="x", limit="").status, 200)

    def test_08_never_null(self):
        client = self.client()
        for path in self.document().document["paths"]:
            if "{" not in path and "get" in self.document().document["paths"][path] and path != "/metrics":
                restcase.no_nulls(client.get(path).json, path)

    def test_09_errors(self):
        client = self.client()
        for method, path, body, status, code in (
                ("GET", "/api/v1/none", None, 404, "InvalidURI"),
                ("GET", f"/api/v1/jobs/{NO_ID}", None, 404, "NotFound"),
                ("GET", "/api/v1/jobs/none", None, 404, "NotFound"),
                ("POST", "/api/v1/jobs", {}, 400, "UnexpectedContent"),
                ("POST", "/api/v1/jobs", "{", 400, "UnexpectedContent"),
                ("POST", "/api/v1/jobs", "[]", 400, "UnexpectedContent"),
                ("POST", "/api/v1/jobs", "null", 400, "UnexpectedContent"),
                ("PATCH", "/api/v1/jobs", None, 405, "MethodNotAllowed")):
            answer = client.ask(method, path, body)
            self.assertEqual((answer.status, answer.json["errorCode"]), (status, code), answer.body)
            self.document().check(method, path, answer)
        self.assertEqual(answer.headers["Allow"], "GET, POST")
        answer = client.get(f"/api/v1/jobs/{NO_ID}")
        self.assertEqual(answer.json["resourceId"], NO_ID)
        for token in (None, "nonsense", "x" * 5000):
            client.token = token
            answer = client.get("/api/v1/jobs")
            self.assertEqual((answer.status, answer.json["errorCode"]), (401, "InvalidToken"))
            self.assertEqual(answer.headers["WWW-Authenticate"], "Bearer")

    def test_10_statuses(self):
        client = self.client()
        job = self.job_id()
        session = self.ask(client, "POST", f"/api/v1/jobs/{job}/start", {"performActiveFull": "false"}, status=201).json
        self.assertEqual(session["state"], "Working")
        self.ask(client, "POST", f"/api/v1/jobs/{job}/stop", {"gracefulStop": False}, status=201)
        answer = self.ask(client, "POST", f"/api/v1/sessions/{session['id']}/stop", status=200)
        self.assertEqual(answer.json, {})
        for way in ("disable", "enable"):
            answer = self.ask(client, "POST", f"/api/v1/jobs/{job}/{way}", status=204)
            self.assertEqual(answer.body, "")

    def test_11_sloppy_input(self):
        client = self.client()
        body = {"TYPE": "linux", "username": "sloppy", "description": None, "password": "p", "SSHPort": "2200",
                "elevateToRoot": "True", "authenticationtype": "password", "unknown": {"deep": [None]}}
        made = self.ask(client, "POST", "/api/v1/credentials", body, status=201).json
        self.assertEqual((made["SSHPort"], made["elevateToRoot"], made["description"]), (2200, True, ""))
        answer = client.ask("POST", "/api/v1/encryptionPasswords", "\ufeff{\"password\": \"p\", \"hint\": \"h\"}".encode())
        self.assertEqual(answer.status, 201, answer.body)

    def test_12_times(self):
        client = self.client()
        for row in client.get("/api/v1/sessions").json["data"]:
            self.assertRegex(row["creationTime"], restcase.TIME)
            datetime.datetime.fromisoformat(row["creationTime"])
        now = datetime.datetime.fromisoformat(client.get("/api/v1/serverTime").json["serverTime"])
        self.assertLess(abs(now.timestamp() - time.time()), 5)

    def test_13_ids(self):
        client = self.client()
        for path in ("sessions", "jobs", "jobs/states", "backups", "backupObjects", "restorePoints", "credentials",
                     "backupInfrastructure/managedServers", "backupInfrastructure/repositories"):
            for row in client.get("/api/v1/" + path).json["data"]:
                uuid.UUID(row["id"])
        for row in client.get("/api/v1/backupInfrastructure/managedServers").json["data"]:
            self.assertEqual(row["credentialsId"], NO_ID)


class ShortTokens(restcase.Case):
    environment = {"ACCESS_SECONDS": "1"}

    def test_an_expired_token(self):
        client = self.client()
        self.wait(lambda: client.get("/api/v1/jobs").status == 401)
        answer = client.get("/api/v1/jobs")
        self.assertEqual((answer.status, answer.json["errorCode"]), (401, "ExpiredToken"))


if __name__ == "__main__":
    unittest.main()
