# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the interface share: the program under test, a client that is as plain as can be, and a validator
that holds every answer against the document that the server itself shows."""
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.parse
import warnings

import jsonschema

NEWEST = "1.3-rev1"
NO_ID = "00000000-0000-0000-0000-000000000000"
TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00$")
UUID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
ROLES = ("admin", "operator", "restore", "viewer")


WORDS = sys.argv[1:]
del sys.argv[1:]
PROGRAM = WORDS[0]


class Postgresql:
    """A real PostgreSQL server over a folder of its own, as the user who may run one."""

    def __init__(self):
        programs = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))
        if not programs:
            raise unittest.SkipTest("no PostgreSQL server is installed")
        self.programs, self.databases = programs[-1], 0
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-pg-"))
        self.wrap = []
        if os.getuid() == 0:
            shutil.chown(self.folder, "postgres")
            self.wrap = ["runuser", "-u", "postgres", "--"]
        self.folder.chmod(0o700)
        self.run("initdb", "-D", self.folder / "data", "-A", "trust", "-U", "postgres", "--no-sync")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process = subprocess.Popen(
            [*self.wrap, self.programs / "postgres", "-D", self.folder / "data", "-p", str(self.port), "-h", "127.0.0.1",
             "-k", self.folder, "-c", "fsync=off"], stderr=subprocess.DEVNULL)
        Case.wait(lambda: self.run("pg_isready", "-h", "127.0.0.1", "-p", self.port, check=False).returncode == 0, 60)

    def run(self, name, *words, check=True):
        return subprocess.run([*self.wrap, self.programs / name, *map(str, words)], check=check, capture_output=True)

    def new(self):
        self.databases += 1
        name = f"test{self.databases}"
        self.run("createdb", "-h", "127.0.0.1", "-p", self.port, "-U", "postgres", name)
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"

    def close(self):
        # runuser hands no signal on: the server is told by its own pid
        pid = int((self.folder / "data" / "postmaster.pid").read_text(encoding="ascii").splitlines()[0])
        os.kill(pid, signal.SIGINT)
        self.process.wait(timeout=30)
        shutil.rmtree(self.folder, ignore_errors=True)


postgresql = None


def database(folder):
    """Where a new database is to be: a file, or on the one PostgreSQL server of this program."""
    global postgresql
    if "postgresql" not in WORDS:
        return folder / "db"
    if postgresql is None:
        postgresql = Postgresql()
        unittest.addModuleCleanup(postgresql.close)
    return postgresql.new()


def certificate(folder):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                    folder / "key.pem", "-out", folder / "cert.pem", "-days", "2", "-subj", "/CN=localhost"],
                   check=True, capture_output=True)


class Server:
    """The program under test over a new database."""

    def __init__(self, program, rows="few", **environment):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-rest-"))
        certificate(self.folder)
        self.process = subprocess.Popen(
            [program, database(self.folder), self.folder / "cert.pem", self.folder / "key.pem", rows], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(os.environ, **environment))
        line = self.process.stdout.readline()
        if not line:
            self.process.wait(timeout=30)
            self.process.stdin.close()
            self.process.stdout.close()
            shutil.rmtree(self.folder, ignore_errors=True)
            raise RuntimeError("the server did not start")
        self.port = int(line)

    def close(self):
        self.process.stdin.close()
        try:
            code = self.process.wait(timeout=30)
        finally:
            self.process.kill()
            self.process.stdout.close()
            shutil.rmtree(self.folder, ignore_errors=True)
        if code != 0:
            raise RuntimeError(f"the server ended by {code}")


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)


class Client:
    """One connection that is kept alive."""

    def __init__(self, server, version=NEWEST):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=context, timeout=60)
        self.version, self.token = version, None

    def ask(self, method, path, body=None, query=None, headers=None, form=None):
        head = {"x-api-version": self.version} if self.version else {}
        if self.token:
            head["Authorization"] = "Bearer " + self.token
        if form is not None:
            body = form if isinstance(form, str) else urllib.parse.urlencode(form)
            head["Content-Type"] = "application/x-www-form-urlencoded"
        elif body is not None:
            body = body if isinstance(body, (str, bytes)) else json.dumps(body)
            head["Content-Type"] = "application/json"
        head.update(headers or {})
        if query:
            path += "?" + urllib.parse.urlencode(query, doseq=True)
        self.connection.request(method, path, body=body, headers=head)
        response = self.connection.getresponse()
        return Answer(response.status, response.headers, response.read().decode())

    def get(self, path, **query):
        return self.ask("GET", path, query=query)

    def post(self, path, body=None, **more):
        return self.ask("POST", path, body, **more)

    def login(self, name="admin", password=None):
        answer = self.ask("POST", "/api/oauth2/token", form={
            "grant_type": "password", "username": name, "password": password or f"{name}-password"})
        if answer.status == 200:
            self.token = answer.json["access_token"]
        return answer

    def close(self):
        self.connection.close()


class Document:
    """The server's own description, made strict: objects have no members that it does not name."""

    def __init__(self, document):
        self.document = document
        self.paths = [(self._pattern(path), path, operations) for path, operations in document["paths"].items()]
        self.paths.sort(key=lambda row: row[1].count("{"))
        for schema in document["components"]["schemas"].values():
            if "properties" in schema:
                schema["additionalProperties"] = False
        self.checker = jsonschema.FormatChecker(formats=())
        self.checker.checks("uuid")(lambda text: not isinstance(text, str) or bool(UUID.match(text)))
        self.checker.checks("date-time")(lambda text: not isinstance(text, str) or bool(TIME.match(text)))

    @staticmethod
    def _pattern(path):
        return re.compile("^" + re.sub(r"\{\w+\}", "[^/]+", path) + "$", re.IGNORECASE)

    def operation(self, method, path):
        for pattern, documented, operations in self.paths:
            if pattern.match(path) and method.lower() in operations:
                return documented, operations[method.lower()]
        return None, None

    def check(self, method, path, answer):
        """Raises when the answer is not what the document promises."""
        _, operation = self.operation(method, path.split("?")[0])
        error = operation is None or answer.status >= 400
        schema = {"$ref": "#/components/schemas/Error"}
        if not error:
            if str(answer.status) not in operation["responses"]:
                raise AssertionError(f"{method} {path}: status {answer.status} is not documented")
            content = operation["responses"][str(answer.status)].get("content")
            if content is None:
                if answer.body:
                    raise AssertionError(f"{method} {path}: a body where none is documented")
                return
            if "application/json" not in content:
                return
            schema = content["application/json"]["schema"]
            if schema.get("format") == "binary":
                return
        value = json.loads(answer.body)
        no_nulls(value, f"{method} {path}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # newer ones have another way beside it
            resolver = jsonschema.RefResolver("", self.document)
        jsonschema.Draft4Validator(schema, resolver=resolver, format_checker=self.checker).validate(value)


def no_nulls(value, where):
    if value is None:
        raise AssertionError(f"{where}: null")
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        no_nulls(inner, where)


class Case(unittest.TestCase):
    """A server for each class, with a client of each role."""

    environment = {}

    @classmethod
    def setUpClass(cls):
        cls.server = Server(PROGRAM, **cls.environment)
        cls.addClassCleanup(cls.server.close)
        cls.documents = {}

    def client(self, name="admin", version=NEWEST):
        client = Client(self.server, version)
        self.addCleanup(client.close)
        if name:
            self.assertEqual(client.login(name).status, 200)
        return client

    def document(self, version=NEWEST):
        if version not in self.documents:
            self.documents[version] = Document(self.client(None).get(f"/swagger/v{version}/swagger.json").json)
        return self.documents[version]

    def ask(self, client, method, path, body=None, status=None, **more):
        """Asks, holds the answer against the document, and gives it."""
        answer = client.ask(method, path, body, **more)
        if status is not None:
            self.assertEqual(answer.status, status, f"{method} {path}: {answer.body[:400]}")
        self.document(client.version or NEWEST).check(method, path, answer)
        return answer

    def first(self, client, path):
        return self.ask(client, "GET", path, status=200).json["data"][0]

    @staticmethod
    def wait(condition, seconds=10):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise AssertionError("waited in vain")
            time.sleep(0.02)

