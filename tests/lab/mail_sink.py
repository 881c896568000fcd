# SPDX-License-Identifier: GPL-3.0-or-later
"""A mail server that keeps what it gets: mail_sink.py FOLDER PORT [CERTIFICATE KEY]. With a certificate it takes mail only
after STARTTLS. Each mail becomes FOLDER/N."""
import itertools
import pathlib
import signal
import ssl
import sys

from aiosmtpd.controller import Controller

FOLDER, PORT, *TLS = sys.argv[1:]
NUMBERS = itertools.count(1)


class Keep:
    async def handle_DATA(self, _server, _session, envelope):
        draft = pathlib.Path(FOLDER) / 'draft'
        draft.write_bytes(envelope.content)
        draft.rename(pathlib.Path(FOLDER) / str(next(NUMBERS)))
        return '250 kept'


def main():
    options = {}
    if TLS:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*TLS)
        options = {'tls_context': context, 'require_starttls': True}
    controller = Controller(Keep(), hostname='0.0.0.0', port=int(PORT), **options)
    controller.start()
    signal.sigwait([signal.SIGTERM, signal.SIGINT])
    controller.stop()


if __name__ == '__main__':
    main()
