"""The rows of a query: shown as a table, or written as CSV, JSON or Parquet.

DuckDB reads every result as it is shown or written, so that memory is bounded however many rows there are.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import duckdb
import pyarrow as pa
from isal import igzip

from nyc_taxi.errors import SettingsError, TaxiError
from nyc_taxi.schema.sql import literal

FORMATS = {
    "csv": "FORMAT csv, HEADER",
    "csv.gz": "FORMAT csv, HEADER, COMPRESSION none",
    "json": "FORMAT json, ARRAY true",
    "parquet": "FORMAT parquet, COMPRESSION zstd",
}
"""DuckDB's options of COPY by format, which is the ending of the file too; into a pipe it cannot compress."""

_unfinished: set[Path] = set()
"""Temporary files and folders of results that are being written."""


def parse_format(name: str, file: str = "") -> str:
    """The format that is named, else that of the file's ending; raises SettingsError for others."""
    form = name or next((each for each in FORMATS if file.endswith(f".{each}")), "")
    if form not in FORMATS:
        what = f"the format {name!r}" if name else f"the ending of {file}"
        raise SettingsError(f"{what} is not known: use one of {', '.join(FORMATS)}.")
    return form


@dataclass(frozen=True)
class Result:
    """The rows of a query, as the relation `result` of a connection; they can be read once."""

    connection: duckdb.DuckDBPyConnection
    folder: Path
    """A temporary folder, in which the connection may write."""

    def table(self, rows: int, width: int) -> tuple[str, bool]:
        """The first rows as a table that is at most so many characters wide, and whether there are more."""
        first = self.connection.sql(f"FROM result LIMIT {rows + 1}").to_arrow_table()
        shown = io.StringIO()
        with contextlib.closing(duckdb.connect()) as connection, contextlib.redirect_stdout(shown):
            duckdb.from_arrow(first.slice(0, rows), connection=connection).show(
                max_width=width, max_rows=rows
            )
        return shown.getvalue(), len(first) > rows

    def arrow(self) -> pa.Table:
        """All rows, in memory."""
        return self.connection.sql("FROM result").to_arrow_table()

    def write(self, form: str, path: Path) -> None:
        """Write all rows into a file, whole or not at all; a device or a named pipe gets them as they come.

        A symbolic link stays one: its target is replaced. Raises TaxiError.
        """
        path = Path(os.path.realpath(path))
        try:
            if path.exists() and not (path.is_file() or path.is_dir()):
                self._copy(form, lambda: path.open("wb"))
                return
            part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
            with _discarded(part):
                self._copy(form, lambda: part.open("xb"))
                part.replace(path)
        except OSError as error:
            raise TaxiError(f"{path}: cannot be written ({error.strerror}).") from None

    def print(self, form: str) -> None:
        """Write all rows to the standard output.

        Raises BrokenPipeError when nobody reads it any more, and TaxiError when it cannot be written.
        """
        sys.stdout.flush()
        try:
            # a file object of its own: at exit, Python would try again to write what sys.stdout could not
            self._copy(form, lambda: os.fdopen(os.dup(sys.stdout.fileno()), "wb"))
        except BrokenPipeError:
            raise
        except OSError as error:
            raise TaxiError(f"the standard output cannot be written ({error.strerror}).") from None

    def _copy(self, form: str, open_target: Callable[[], BinaryIO]) -> None:
        """COPY into a pipe and from there into the file, which DuckDB must neither open nor replace."""
        target = open_target()
        reading, writing = os.pipe()
        link = self.folder / uuid.uuid4().hex  # /dev/fd is outside the folders that DuckDB may use
        link.symlink_to(f"/dev/fd/{writing}")
        failure: duckdb.Error | None = None
        with ThreadPoolExecutor(1) as pool:
            copied = pool.submit(_copy_out, reading, target, form)
            try:
                self.connection.execute(
                    f"COPY (FROM result) TO {literal(str(link))} ({FORMATS[form]}, USE_TMP_FILE false)"
                )
            except duckdb.Error as error:
                failure = error
            finally:
                os.close(writing)
        copied.result()  # raises what has closed the pipe and so failed the COPY
        if failure:
            raise failure


def _copy_out(reading: int, target: BinaryIO, form: str) -> None:
    with os.fdopen(reading, "rb") as pipe, target:  # once the pipe is closed, DuckDB cannot write on
        if form == "csv.gz":
            with igzip.IGzipFile("", "wb", fileobj=target) as compressed:
                shutil.copyfileobj(pipe, compressed)
        else:
            shutil.copyfileobj(pipe, target)


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that is deleted at the end."""
    folder = Path(tempfile.mkdtemp(prefix="nyc-taxi-"))
    with _discarded(folder):
        yield folder


@contextlib.contextmanager
def _discarded(path: Path) -> Iterator[None]:
    _unfinished.add(path)
    try:
        yield
    finally:
        _discard(path)
        _unfinished.discard(path)


def _discard(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def discard_unfinished() -> None:
    """Delete temporary files and folders, for a process that ends at once."""
    for path in list(_unfinished):
        with contextlib.suppress(OSError):
            _discard(path)
