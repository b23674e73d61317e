"""File helpers: locking, checksums, atomic replacement."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO

log = logging.getLogger(__name__)

CHUNK = 1 << 20
"""Bytes per read."""


_OTHERS = 0o007
"""The bits of a file's mode for users that are neither its owner nor in its group."""


def keep_others_out(path: Path) -> None:
    """Deny others access to a file of this user."""
    status = path.stat()
    if status.st_uid == os.geteuid() and status.st_mode & _OTHERS:
        path.chmod(status.st_mode & 0o777 & ~_OTHERS)


def open_lock(path: Path) -> IO[str]:
    """Open the file of a lock for reading and appending, creating it if necessary.

    It is closed to others: whoever may read a file may also lock it for ever. Raises OSError if it is a
    symbolic link, which would let another user choose a file whose mode and content change.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    descriptor = os.open(path, flags, 0o666 & ~_OTHERS)
    keep_others_out(path)
    return os.fdopen(descriptor, "a+")


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold an exclusive lock on the folder, creating it if necessary and waiting for other processes.

    The operating system releases the lock when the process ends.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open_lock(folder / ".lock") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("%s: another process is fetching this month; waiting for it.", folder)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def digest(path: Path, algorithm: str) -> str:
    """Return a file's checksum in hex; `algorithm` is `crc32c` or a name from hashlib."""
    if algorithm == "crc32c":
        import google_crc32c

        crc = 0
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                crc = google_crc32c.extend(crc, chunk)
        return f"{crc:08x}"
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, whose file replaces it on success and is removed on failure.

    For what can be made again: unlike `replace`, a power failure may lose it.
    """
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def replace(temporary: Path, target: Path) -> None:
    """Move `temporary` to `target` atomically and durably."""
    _sync(temporary)
    temporary.replace(target)
    _sync(target.parent)


def write(path: Path, text: str) -> None:
    """Write a small file atomically."""
    temporary = path.with_name(f"{path.name}.new")
    temporary.write_text(text, encoding="utf-8")
    replace(temporary, path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
