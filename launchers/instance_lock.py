"""Allow one Mage or Airflow per data directory: two schedulers on one database run everything twice.

The process that starts it holds a file lock, which the operating system releases when the process ends. Mage
must not outlive the lock, so a pipe between them ends Mage together with its starter. Airflow's processes
inherit the lock, and end with their starter too (launchers.leash).
"""

from __future__ import annotations

import fcntl
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nyc_taxi.errors import SettingsError
from nyc_taxi.files import open_lock

STARTER_FD = "TAXI_STARTER_FD"
"""File descriptor of a pipe whose other end Mage's starter holds; set by `launchers.mage.ui`."""


@contextmanager
def instance_lock(
    folder: Path,
    port: int,
    name: str = "Mage",
    remedy: str = "use it, stop it, or set MAGE_DATA_DIR to another folder",
) -> Iterator[int]:
    """Hold the lock of an existing folder; its file descriptor.

    Raises SettingsError that names the port of its holder and the remedy.
    """
    lock = folder / "ui.lock"
    try:
        opened = open_lock(lock)
    except OSError as error:
        raise SettingsError(
            f"{lock} cannot be written ({error.strerror}): set MAGE_DATA_DIR to a folder of your own."
        ) from None
    with opened as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            other = file.read().strip()
            raise SettingsError(
                f"{name} is already running on {folder}{other and f', at http://127.0.0.1:{other}'}: "
                f"{remedy}."
            ) from None
        file.truncate(0)
        file.write(str(port))
        file.flush()
        yield file.fileno()


def end_with_starter() -> None:
    """End this process and its group when the process that started it ends."""
    number = os.environ.pop(STARTER_FD, None)
    if number and os.getpgrp() == os.getpid():  # never a group of others
        threading.Thread(target=_watch, args=(int(number),), daemon=True).start()


def _watch(pipe: int) -> None:
    os.read(pipe, 1)  # returns once the other end is closed; nothing is ever written
    os.killpg(os.getpgrp(), signal.SIGKILL)  # a busy scheduler ignores SIGTERM
