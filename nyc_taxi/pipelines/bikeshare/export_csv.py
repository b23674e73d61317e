r"""Read the CSV that Cloud SQL for MySQL exports, which is not the CSV that other programs read.

Cloud SQL has the server write it: `SELECT ... INTO OUTFILE ... FIELDS TERMINATED BY ',' OPTIONALLY
ENCLOSED BY '"' ESCAPED BY '"' LINES TERMINATED BY '\n'`, in UTF-8 and without a header. The escape
character is the quote unless the export asks for another (`--escape=5C`, the backslash, which Google
recommends: https://cloud.google.com/sql/docs/mysql/import-export/import-export-csv). What the server
writes with escape character E (MySQL's sql/query_result.cc, Query_result_export::send_data):

- NULL is E and N, never in quotes: `"N` by default, `\N` with --escape=5C. This is the trap: other
  readers take the quote for the beginning of a text and swallow the fields behind it
  (https://github.com/googleapis/google-api-nodejs-client/issues/719).
- Texts and dates stand in quotes, numbers do not.
- In a text E precedes E itself, the quote, a line feed and, written as the digit 0, a NUL byte. All
  else is as it is: commas, carriage returns, tabs.

With E the quote, a quote before a line feed may end a text that ends its row, or be in its midst: such a
file can only be read when its last column is a number. And a text that begins with N may look like a NULL
and the fields behind it: a row that can be read in both ways is refused rather than guessed at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

from nyc_taxi.errors import NotTripData, SchemaError
from nyc_taxi.pipelines.bikeshare.tables import RawTable

QUOTE = "22"
"""The default escape character, as `gcloud sql export csv --escape` names it."""

BLOCK = 1 << 20
"""Bytes read at a time."""
LONGEST_ROW = 64 << 20
"""Bytes after which what has no end is not taken for a row: MySQL sends no larger one by default."""

_INSTEAD = "export the table with --escape=5C and set TAXI_BIKESHARE_ESCAPE=5C"

_NUMBERS = ("int16", "int32", "int64", "float64")


def export_rows(file: BinaryIO, table: RawTable, escape: str, what: str) -> Iterator[list[str | None]]:
    """The rows of an export, each value as text or None; `what` names the file in errors.

    Raises SchemaError where the columns are not those of the table, or a row may mean two things.
    """
    if escape == QUOTE and table.columns[-1].type not in _NUMBERS:
        raise SchemaError(
            f"{what}: its last column {table.columns[-1].name} is text, whose end is ambiguous in an export"
            f" with the quote as escape character: {_INSTEAD}."
        )
    usual, other = (_row(table, escape, null_first) for null_first in (True, False))
    unescape = _unescape(escape)
    number, buffer = 0, b""
    at_end = False
    while not at_end:
        block = file.read(BLOCK)
        at_end = not block
        buffer += block
        offset = 0
        while row := usual.match(buffer, offset):
            number += 1
            if escape == QUOTE and other.match(buffer, offset).groups() != row.groups():  # type: ignore[union-attr]
                raise SchemaError(f"{what}: row {number} is ambiguous: {_shown(row[0])}; {_INSTEAD}.")
            yield [_value(field, unescape, what, number) for field in row.groups()]
            offset = row.end()
        buffer = buffer[offset:]
        if len(buffer) > LONGEST_ROW:
            break
    if buffer:
        names = ", ".join(column.name for column in table.columns)
        raise SchemaError(
            f"{what}: row {number + 1} is not {names} as Cloud SQL"
            f" exports them with escape character {escape} (TAXI_BIKESHARE_ESCAPE): {_shown(buffer)}."
        )


def _row(table: RawTable, escape: str, null_first: bool) -> re.Pattern[bytes]:
    """A whole row, a group a field; `null_first` says what is tried first where a field may be both."""
    null = rb'"N' if escape == QUOTE else rb"\\N"
    in_text = rb'(?:[^"\n\0]|""|"\n|"0)' if escape == QUOTE else rb'(?:[^"\\\n\0]|\\["\\\n0])'
    text, number = rb'"' + in_text + rb'*+"', rb'[^",\\\n]*+'
    fields = []
    for column in table.columns:
        kinds = [number, null] if column.type in _NUMBERS else [null, text] if null_first else [text, null]
        fields.append(rb"(" + rb"|".join(kinds) + rb")")
    return re.compile(rb",".join(fields) + rb"\n")


def _unescape(escape: str) -> re.Pattern[bytes]:
    return re.compile(rb'"(["\n0])' if escape == QUOTE else rb'\\(["\\\n0])')


def _value(field: bytes, unescape: re.Pattern[bytes], what: str, number: int) -> str | None:
    if field in (b'"N', rb"\N"):
        return None
    if field.startswith(b'"'):
        field = unescape.sub(lambda match: b"\0" if match[1] == b"0" else match[1], field[1:-1])
    try:
        return field.decode("utf-8")
    except UnicodeDecodeError:
        raise NotTripData(f"{what}: row {number} is not UTF-8: {_shown(field)}.") from None


def _shown(data: bytes) -> str:
    text = data[:80].decode("utf-8", "replace")
    return repr(text if len(data) <= 80 else text + "...")
