"""Lines of a CSV file: opened whatever its compression, counted in fields, fitted to the header."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import BinaryIO, cast

from nyc_taxi.transform.read.convert import NULL_TEXTS


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


def split_line(text: str) -> list[str] | None:
    """A line's fields; None when a quote is opened and never closed."""
    if '"' not in text:
        return text.split(",")
    lines = csv.reader([text, ""])  # with an open quote the field goes on in the second line
    try:
        values = next(lines)
    except csv.Error:  # a field longer than csv takes
        return None
    return values if lines.line_num == 1 else None


def fit(line: bytes, header_width: int, width: int) -> tuple[bytes, str]:
    """The line with exactly `width` fields (at least the header's), or what is wrong with it."""
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return b"", "the line is not UTF-8 text"
    if "\0" in text:
        return b"", "the line holds a NUL byte"
    if "\r" in text:
        return b"", "the line holds a carriage return"
    values = split_line(text)
    if values is None:
        return b"", "a quote is opened and never closed"
    count = len(values)
    if count < header_width:
        return b"", f"the row has {count} fields, the header {header_width}"
    if any(value.strip() not in NULL_TEXTS for value in values[header_width:]):
        return b"", f"the row has {count} fields with values, the header {header_width}"
    while count > width:  # the ones behind the header's are empty
        line, count = line[: line.rindex(b",")], count - 1
    return line + b"," * (width - count), ""


def as_text(line: bytes) -> str:
    """A line as text that any database takes: no NUL, no bytes that are not UTF-8."""
    return line.decode("utf-8", "backslashreplace").replace("\0", "\\x00")
