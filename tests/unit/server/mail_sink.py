#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mail server that keeps what it gets: mail_sink.py FOLDER PORT [CERTIFICATE KEY]. With a certificate it asks for
STARTTLS and the login u, p. Each mail becomes FOLDER/mail.N; lines "ready" and "stopped" go to standard output."""
import itertools
import pathlib
import signal
import ssl
import sys

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

FOLDER, PORT, *TLS = sys.argv[1:]
NUMBERS = itertools.count(1)


class Keep:
    async def handle_DATA(self, server, session, envelope):
        head = f"X-From: {envelope.mail_from}\nX-To: {','.join(envelope.rcpt_tos)}\nX-Tls: {session.ssl is not None}\n"
        draft = pathlib.Path(FOLDER) / "draft"
        draft.write_bytes(head.encode() + envelope.content)
        draft.rename(pathlib.Path(FOLDER) / f"mail.{next(NUMBERS)}")
        return "250 kept"


def judge(server, session, envelope, mechanism, data):
    return AuthResult(success=data.login == b"u" and data.password == b"p", handled=True)


def main():
    options = {}
    if TLS:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*TLS)
        options = {"tls_context": context, "require_starttls": True, "authenticator": judge, "auth_required": True,
                   "auth_require_tls": True}
    controller = Controller(Keep(), hostname="127.0.0.1", port=int(PORT), **options)
    controller.start()
    print("ready", flush=True)
    signal.sigwait([signal.SIGTERM, signal.SIGINT])
    controller.stop()


if __name__ == "__main__":
    main()
