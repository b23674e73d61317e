"""One server per folder: locks and ports, shared by the embedded servers.

The folder contains `lock`, held while a process starts or stops the server, and `alive`, locked by the
server's own process: if it is free, the server has ended, in whatever container it ran.
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
"""Below the ephemeral ports of operating systems, so that a server can keep its port."""


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock for starting or stopping the folder's server."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def ever_started(folder: Path) -> bool:
    """Whether a server was ever started in the folder."""
    return (folder / "lock").exists()


@contextlib.contextmanager
def life(folder: Path) -> Iterator[int]:
    """The file descriptor that a new server must inherit: while it lives, the folder's server is `alive`."""
    with (folder / "alive").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def alive(folder: Path) -> bool:
    """Whether the folder's server runs; also while it starts or stops."""
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
    """A port to listen on: that of the last start, if it is free."""
    if last and is_free(last):
        return last
    return next(port for port in random.sample(PORTS, len(PORTS)) if is_free(port))
