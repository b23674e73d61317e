"""Lines of a CSV file: opened whatever its compression, counted in fields, fitted to the header."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import BinaryIO, cast


def open_csv(path: Path) -> BinaryIO:
    """The text of a CSV or gzipped CSV file as bytes."""
    with path.open("rb") as stream:
        gzipped = stream.read(2) == b"\x1f\x8b"
    if not gzipped:
        return path.open("rb")
    from isal import igzip_threaded

    return cast(BinaryIO, igzip_threaded.open(path, "rb", threads=1))


def whole_lines(block: bytes) -> list[bytes]:
    """The lines that hold anything, without their ends: the rows, in order."""
    return [line for raw in block.split(b"\n") if (line := raw.rstrip(b"\r"))]


def count_fields(line: bytes) -> int:
    """How many fields a line has."""
    if b'"' not in line:
        return line.count(b",") + 1
    return len(next(csv.reader([line.decode(errors="replace")]), []))


def fit(line: bytes, header_width: int, width: int) -> tuple[bytes, str]:
    """The line with exactly `width` fields (at least the header's), or what is wrong with it."""
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return b"", "the line is not UTF-8 text"
    if b"\0" in line:
        return b"", "the line holds a NUL byte"
    if line.count(b'"') % 2:
        return b"", "a quote is opened and never closed"
    found = count_fields(line)
    if found < header_width:
        return b"", f"the row has {found} fields, the header {header_width}"
    if found > header_width:
        values = next(csv.reader([text]))
        if any(value.strip() for value in values[header_width:]):
            return b"", f"the row has {found} fields with values, the header {header_width}"
    while found > width:  # the ones behind the header's are empty
        line, found = line[: line.rindex(b",")], found - 1
    return line + b"," * (width - found), ""


def as_text(line: bytes) -> str:
    """A line as text that any database takes: no NUL, no bytes that are not UTF-8."""
    return line.decode("utf-8", "backslashreplace").replace("\0", "\\x00")
