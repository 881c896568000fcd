#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of the REST interface with 200 hosts and 10,000 sessions in the database, 64 clients at once.

    rest.py SERVE CLIENT [DATABASE]      (DATABASE: postgresql://... of an empty database; a new SQLite file when missing)"""
import pathlib
import subprocess
import sys
import tempfile

CLIENTS, ROUNDS = 64, 20


def main():
    serve, client, *database = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="holdfast-rest-") as folder:
        folder = pathlib.Path(folder)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", folder / "key.pem", "-out", folder / "cert.pem", "-days", "2", "-subj", "/CN=localhost"],
                       check=True, capture_output=True)
        where = database[0] if database else folder / "db"
        with subprocess.Popen([serve, where, folder / "cert.pem", folder / "key.pem", "many"], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True) as server:
            port = server.stdout.readline().strip()
            done = subprocess.run([client, port, str(CLIENTS), str(ROUNDS)], check=False)
            server.stdin.close()
            return server.wait() or done.returncode


if __name__ == "__main__":
    sys.exit(main())
