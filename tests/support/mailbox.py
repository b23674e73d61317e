"""A mail server on the loopback that keeps what it takes: as much of SMTP as a client needs."""

from __future__ import annotations

import email
import email.policy
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from socketserver import StreamRequestHandler, ThreadingTCPServer


@dataclass
class Mailbox:
    """What a server has taken."""

    environment: dict[str, str]
    """Leads Airflow to the server."""
    mails: list[EmailMessage] = field(default_factory=list)


@contextmanager
def mailbox() -> Iterator[Mailbox]:
    """Run a server that takes mail for anybody."""
    mails: list[EmailMessage] = []

    class Session(StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 ready\r\n")
            for line in self.rfile:
                command = line.strip().upper()
                if command == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    mails.append(self._mail())
                self.wfile.write(b"221 bye\r\n" if command == b"QUIT" else b"250 ok\r\n")

        def _mail(self) -> EmailMessage:
            lines = iter(self.rfile.readline, b".\r\n")
            data = b"".join(line.removeprefix(b".") for line in lines)
            return email.message_from_bytes(data, policy=email.policy.default)

    with ThreadingTCPServer(("127.0.0.1", 0), Session) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        connection = {
            "conn_type": "smtp",
            "host": "127.0.0.1",
            "port": server.server_address[1],
            "extra": {"disable_tls": True, "disable_ssl": True},
        }
        environment = {
            "AIRFLOW_CONN_SMTP_DEFAULT": json.dumps(connection),
            "TAXI_ALERT_EMAIL": "on-call@example.com",
        }
        yield Mailbox(environment, mails)
        server.shutdown()
