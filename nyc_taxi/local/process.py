"""Locks and ports of the embedded servers: at most one server per folder.

`lock` in the folder is held while a process starts or stops the server; `alive` is locked by the server's
processes, in any container, and unlocked once all have ended.
"""

from __future__ import annotations

import contextlib
import fcntl
import random
import socket
from collections.abc import Iterator
from pathlib import Path

from nyc_taxi.files import open_lock

HOST = "127.0.0.1"

PORTS = range(20000, 30000)
"""Ports below the ephemeral range of operating systems, so that a server can keep its port."""


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock for starting or stopping the folder's server."""
    folder.mkdir(parents=True, exist_ok=True)
    with open_lock(folder / "lock") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def ever_started(folder: Path) -> bool:
    """Return whether a server was ever started in the folder."""
    return (folder / "lock").exists()


@contextlib.contextmanager
def life(folder: Path) -> Iterator[int]:
    """Yield a file descriptor for a new server to inherit, which keeps `alive` locked while it runs."""
    with open_lock(folder / "alive") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def alive(folder: Path) -> bool:
    """Return whether the folder's server is running, starting or stopping."""
    with open_lock(folder / "alive") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def is_free(port: int) -> bool:
    """Return whether a server can listen on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_port(last: int | None = None) -> int:
    """Return a free port, preferably that of the last start."""
    if last and is_free(last):
        return last
    return next(port for port in random.sample(PORTS, len(PORTS)) if is_free(port))
