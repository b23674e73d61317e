"""The database file: opened by one process at a time to write, or by several to read."""

from __future__ import annotations

import contextlib
import logging
import math
import random
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import duckdb

from nyc_taxi.errors import DestinationError, LockTimeout, one_line
from nyc_taxi.files import keep_others_out
from nyc_taxi.load.warehouse.duckdb.config import DuckDbConfig

log = logging.getLogger(__name__)

MEMORY_LIMIT = "512MB"
"""What DuckDB may hold before it writes to disk; its default is 80% of the machine's memory."""

LOAD_MEMORY_LIMIT = "192MB"
"""The same while it loads: a row group as wide as a file may be takes that much."""

_gave_up: dict[Path, float] = {}
"""When waiting for a file ended in vain: a run opens it several times, and waits for it once."""

_turn = threading.Lock()
"""Connections of one process share one instance of the file, which takes no others beside a writer's."""


@contextlib.contextmanager
def opened(config: DuckDbConfig, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that closes at the end, undoing what was not committed.

    Waits while other processes have the file open in a way that excludes ours. Raises
    LockTimeout when they keep it for longer than its patience, DestinationError
    when the file cannot be made or used or DuckDB refuses what is asked.
    """
    started = time.monotonic()
    waits = started - _gave_up.get(config.file, -math.inf) > config.patience
    deadline = started + config.patience if waits else started
    if not _turn.acquire(timeout=config.patience):
        raise _kept(config.file, "this process")
    try:
        with (
            _translate_errors(config.file),
            contextlib.closing(_connect(config, read_only, deadline)) as connection,
        ):
            connection.execute("SET TimeZone = 'UTC'")
            yield connection
    finally:
        _turn.release()


def _connect(config: DuckDbConfig, read_only: bool, deadline: float) -> duckdb.DuckDBPyConnection:
    file = config.file
    options: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": MEMORY_LIMIT,
        "threads": config.threads,
        "preserve_insertion_order": False,  # half the work, smaller files; source_row has the order
        "autoinstall_known_extensions": False,  # nothing is fetched from the network
    }
    if not read_only and not file.exists():
        _create(file)
    pause, waiting = 0.05, False
    while True:
        try:
            connection = duckdb.connect(file, read_only=read_only, config=options)
            _gave_up.pop(file, None)
            return connection
        except duckdb.IOException as error:
            if "Could not set lock" not in str(error):
                raise
            if time.monotonic() > deadline:
                _gave_up[file] = time.monotonic()
                raise _kept(file, _holder(error)) from None
            if not waiting:
                log.info(
                    "%s is open in %s: waiting for it, for at most %.0f s.",
                    file,
                    _holder(error),
                    config.patience,
                )
                waiting = True
        time.sleep(pause * random.uniform(0.5, 1.5))  # apart, so that each gets its turn
        pause = min(pause * 1.5, 1.0)


def _create(file: Path) -> None:
    """Make an empty database that has its name only when it is whole: DuckDB refuses half a file for ever."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DestinationError(
            f"{file.parent} cannot be created ({error.strerror}): set DUCKDB_DATABASE."
        ) from None
    new = file.with_name(f".{file.name}.{uuid.uuid4().hex[:8]}")
    try:
        duckdb.connect(new).close()
        keep_others_out(new)  # DuckDB locks the file for those who read it, which holds up loads
        with contextlib.suppress(OSError):  # another run was first, or the disk knows no links
            file.hardlink_to(new)
    finally:
        new.unlink(missing_ok=True)


def _holder(error: Exception) -> str:
    """Which process has the file: DuckDB says `Conflicting lock is held in /usr/bin/x (PID 12)`."""
    _, separator, rest = str(error).partition("is held in ")
    return rest.partition(". ")[0].strip() if separator else "another process"


def _kept(file: Path, holder: str) -> LockTimeout:
    return LockTimeout(
        f"{file} is locked by {holder}: close it there (read-only connections lock it, too) and try again."
    )


@contextlib.contextmanager
def _translate_errors(file: Path) -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        message = one_line(str(error).split("\n\n")[0])
        if "No space left" in message:
            advice = "the disk is full: free some space and run the month again"
        elif isinstance(error, duckdb.IOException):
            advice = f"it cannot be used ({message}): set DUCKDB_DATABASE to a writable DuckDB file"
        else:
            advice = f"DuckDB refused ({message})"
        raise DestinationError(f"{file}: {advice}.") from error
