"""One server a folder: what embedded servers that keep their data in a folder have in common.

In the folder lie `lock`, held while a process starts or stops the server, and `alive`, locked by the
server's own process: free means that it is gone, however it ended and in whatever container it ran.
"""

from __future__ import annotations

import contextlib
import fcntl
import random
import socket
from collections.abc import Iterator
from pathlib import Path

HOST = "127.0.0.1"

PORTS = range(20000, 30000)
"""Below the ports that systems lend to outgoing connections, so that a kept port stays free."""


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Be the only process that starts or stops the folder's server; waits for its turn."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def ever_asked_for(folder: Path) -> bool:
    """Whether a server was ever started in the folder."""
    return (folder / "lock").exists()


@contextlib.contextmanager
def life(folder: Path) -> Iterator[int]:
    """The file descriptor that a new server must inherit: while it lives, the folder's server is `alive`."""
    with (folder / "alive").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def alive(folder: Path) -> bool:
    """Whether the folder's server is there, be it only starting or ending."""
    with (folder / "alive").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def is_free(port: int) -> bool:
    """Whether a server can listen on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers themselves bind
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_port(last: int | None = None) -> int:
    """A port to listen on: that of the last start when it is free."""
    if last and is_free(last):
        return last
    return next(port for port in random.sample(PORTS, len(PORTS)) if is_free(port))
