"""At most one Mage a data directory: two schedulers on one database run everything twice.

Whoever starts one holds a lock for life, which the system takes back however that process ends. So that
no Mage goes on without its lock, it ends with the one who started it: a pipe between them says when.
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

STARTER_FD = "TAXI_STARTER_FD"
"""Number of an open pipe whose other end the starter of Mage holds; set by `launchers.mage.ui`."""


@contextmanager
def instance_lock(folder: Path, port: int) -> Iterator[None]:
    """Be the only one with a Mage on the folder, which is there; SettingsError names the other's port."""
    lock = folder / "ui.lock"
    try:
        lock.touch()
    except OSError as error:
        raise SettingsError(
            f"{lock} cannot be written to ({error.strerror}): set MAGE_DATA_DIR to a folder of yours."
        ) from None
    with lock.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            where = file.read().strip()
            raise SettingsError(
                f"a Mage on {folder} is there already{where and f', at http://127.0.0.1:{where}'}: "
                "use it, stop it, or set MAGE_DATA_DIR to another folder."
            ) from None
        file.truncate(0)
        file.write(str(port))
        file.flush()
        yield


def end_with_starter() -> None:
    """See to it that this process and those of its group end when the one who started them is gone."""
    number = os.environ.pop(STARTER_FD, None)
    if number and os.getpgrp() == os.getpid():  # never a group that others are in
        threading.Thread(target=_watch, args=(int(number),), daemon=True).start()


def _watch(pipe: int) -> None:
    os.read(pipe, 1)  # nothing is ever written: it returns when the other end is closed
    os.killpg(os.getpgrp(), signal.SIGKILL)  # a scheduler at work is deaf to less
