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

log = logging.getLogger(__name__)

CHUNK = 1 << 20
"""Bytes per read."""


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold an exclusive lock on the folder, creating it if necessary and waiting for other processes.

    The operating system releases the lock when the process ends.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("ab") as file:
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
