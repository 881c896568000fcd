#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Input that nobody sends who means well, and many clients at once: the server answers, and goes on.

    test_hostile.py SERVE [postgresql]"""
import http.client
import json
import random
import socket
import ssl
import threading
import time
import unittest

import restcase

MIB = 1 << 20
NASTY = ["'", "\"", "' OR '1'='1", "1; DROP TABLE sessions --", "%00", "\u202e", "../../etc/passwd", "\\", "?", "*" * 500,
         "-1", "9" * 40, "NaN", "{}", "[]", "\U0001f600", "%", "_", "a" * 4000]


class Start(unittest.TestCase):
    def test_addresses(self):
        for address in ("", "::1", "127.0.0.1"):
            server = restcase.Server(restcase.PROGRAM, ADDRESS=address)
            host = "::1" if address == "::1" else "127.0.0.1"
            with socket.create_connection((host, server.port), timeout=10):
                pass
            server.close()

    def test_starts_that_fail(self):
        with socket.socket() as used:
            used.bind(("127.0.0.1", 0))
            used.listen()
            for environment in ({"PORT": str(used.getsockname()[1])}, {"ADDRESS": "192.0.2.1"}, {"ADDRESS": "nowhere"}):
                with self.assertRaises(RuntimeError):
                    restcase.Server(restcase.PROGRAM, **environment)


class Hostile(restcase.Case):
    def alive(self):
        self.assertEqual(self.client().get("/api/v1/sessions").json["pagination"]["total"] >= 3, True)

    def raw(self, data, wait=True):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=10) as plain:
            with context.wrap_socket(plain) as tls:
                try:
                    tls.sendall(data)
                    return tls.recv(65536) if wait else b""
                except OSError:
                    return b""

    def test_bodies_that_are_too_large(self):
        client = self.client()
        self.assertEqual(client.post("/api/v1/jobs", "x" * (MIB - 10)).status, 400)
        answer = self.client().ask("POST", "/api/v1/jobs", body=b"", headers={"Content-Length": str(MIB + 1)})
        self.assertEqual((answer.status, answer.json["errorCode"]), (413, "UnexpectedContent"))
        chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        answer = self.raw(b"POST /api/v1/jobs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 20 +
                          b"0\r\n\r\n")
        self.assertTrue(answer.startswith(b"HTTP/1.1 413"), answer[:100])
        self.alive()

    def test_no_account_no_body(self):
        """A body is not looked at before the account is."""
        client = self.client(None)
        self.assertEqual(client.post("/api/v1/jobs", "{").status, 401)

    def test_requests_that_are_none(self):
        for data in (b"\0" * 1000, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"A" * 100000,
                     b"GET /api/v1/sessions HTTP/1.1\r\n" + b"X: y\r\n" * 20000 + b"\r\n",
                     b"POST /api/v1/jobs HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
                     b"POST /api/v1/jobs HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
                     b"GET /%zz/%00/%ff HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /api/v1/sessions?%00=%ff HTTP/1.1\r\nHost: x\r\n\r\n"):
            self.raw(data)
        self.raw(b"POST /api/v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf", wait=False)
        self.alive()

    def test_parameters(self):
        client = self.client()
        parameters = ["skip", "limit", "orderColumn", "orderAsc", "nameFilter", "createdAfterFilter", "typeFilter",
                      "stateFilter", "resultFilter", "jobIdFilter", "usnAfterFilter"]
        for name in parameters:
            for value in NASTY:
                answer = client.get("/api/v1/sessions", **{name: value})
                self.assertIn(answer.status, (200, 400), f"{name}={value[:40]}: {answer.body[:200]}")
                self.document().check("GET", "/api/v1/sessions", answer)
        many = [("nameFilter", "x")] * 300
        self.assertEqual(client.ask("GET", "/api/v1/sessions", query=many).status, 400)
        self.assertEqual(client.ask("GET", "/api/v1/sessions", query=[("resultFilter", "None")] * 200).status, 400)
        self.alive()

    def test_bodies(self):
        """Values of every kind in every field of some bodies, by chance with a seed."""
        client, chance = self.client(), random.Random(9419)
        values = NASTY + [None, True, -1, 2**63, 1.5, [], {}, [None], {"a": None}, [[[]]], "", NASTY]
        schemas = self.document().document["components"]["schemas"]

        def build(name, depth=0):
            schema = schemas[name]
            if "oneOf" in schema:
                name = chance.choice(schema["oneOf"])["$ref"].rsplit("/", 1)[1]
                schema = schemas[name]
            body = {}
            for key, field in schema.get("properties", {}).items():
                reference = field.get("$ref", field.get("items", {}).get("$ref", "")).rsplit("/", 1)[-1]
                if chance.random() < 0.15:
                    body[key] = chance.choice(values)
                elif "enum" in schemas.get(reference, {}):
                    body[key] = chance.choice(schemas[reference]["enum"])
                elif reference and depth < 6:
                    body[key] = build(reference, depth + 1)
                elif "enum" in field:
                    body[key] = chance.choice(field["enum"])
                else:
                    body[key] = {"integer": 5, "boolean": True, "array": ["/x"]}.get(field.get("type"), "x")
                if field.get("type") == "array" and isinstance(body[key], dict):
                    body[key] = [body[key]]
            return body

        for path, operations in self.document().document["paths"].items():
            for method, operation in operations.items():
                content = operation.get("requestBody", {}).get("content", {}).get("application/json")
                if content is None or "/self/" in path or "/accounts" in path:
                    continue
                name = content["schema"]["$ref"].rsplit("/", 1)[1]
                address = path.replace("{id}", restcase.NO_ID).replace("{sessionId}", restcase.NO_ID)
                for _ in range(12):
                    answer = client.ask(method.upper(), address, build(name))
                    self.assertLess(answer.status, 502, f"{method} {path}")
                    self.assertNotEqual(answer.status, 500, f"{method} {path}: {answer.body[:300]}")
                    self.document().check(method.upper(), path.replace("{id}", "x").replace("{sessionId}", "x"), answer)
        self.alive()

    def test_deep_json(self):
        client = self.client()
        for body in ("[" * 100000, '{"a":' * 50000, '{"name":"' + "\\u0000" + '"}', '"\ud800"'.encode("utf-8", "surrogatepass"),
                     b"\xff\xfe{}"):
            self.assertEqual(client.post("/api/v1/jobs", body).status, 400)
        self.alive()

    def test_slow_clients_hold_up_nobody(self):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        held = []
        for _ in range(40):
            tls = context.wrap_socket(socket.create_connection(("127.0.0.1", self.server.port), timeout=10))
            tls.sendall(b"POST /api/v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nh")
            held.append(tls)
        begun = time.monotonic()
        self.alive()
        self.assertLess(time.monotonic() - begun, 5)
        for tls in held:
            tls.close()

    def test_stopping_while_clients_ask(self):
        """What was begun is answered or refused; the server ends, and in good order."""
        server = restcase.Server(restcase.PROGRAM)
        ended, problems = threading.Event(), []

        def work():
            client = restcase.Client(server)
            try:
                while not ended.is_set():
                    status = client.get("/api/v1/sessions").status if client.token else client.login().status
                    if status not in (200, 503):
                        problems.append(status)
            except (OSError, http.client.HTTPException):
                pass  # the port is closed
            client.close()

        threads = [threading.Thread(target=work) for _ in range(16)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        server.close()
        ended.set()
        for thread in threads:
            thread.join(70)
        self.assertEqual(problems, [])

    def test_64_clients(self):
        job = self.client().get("/api/v1/jobs", nameFilter="idle").json["data"][0]["id"]
        problems, counts = [], [0] * 64

        def work(number):
            try:
                client = restcase.Client(self.server)
                name = restcase.ROLES[number % 4]
                if client.login(name).status != 200:
                    raise RuntimeError("no login")
                for turn in range(15):
                    path = ("/api/v1/sessions", "/api/v1/jobs/states", "/api/v1/restorePoints",
                            "/api/v1/taskSessions")[(number + turn) % 4]
                    answer = client.get(path, limit=50)
                    json.loads(answer.body)
                    if answer.status != 200:
                        raise RuntimeError(f"{path}: {answer.status}")
                    counts[number] += 1
                    if name == "operator":
                        status = client.post(f"/api/v1/jobs/{job}/{('disable', 'enable')[turn % 2]}").status
                        if status != 204:
                            raise RuntimeError(f"switch: {status}")
                client.close()
            except Exception as problem:  # told by the test's own thread
                problems.append(f"{number}: {problem!r}")

        threads = [threading.Thread(target=work, args=(number,)) for number in range(64)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        self.assertEqual(problems, [])
        self.assertEqual(sum(counts), 64 * 15)


if __name__ == "__main__":
    unittest.main()
