r"""Read the CSV dialect of Cloud SQL exports from MySQL, which other CSV readers misread.

Cloud SQL runs `SELECT ... INTO OUTFILE ... FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '"'
ESCAPED BY '"' LINES TERMINATED BY '\n'`, in UTF-8 and without a header. The default escape character is the
quote; Google recommends the backslash (`--escape=5C`:
https://cloud.google.com/sql/docs/mysql/import-export/import-export-csv). With escape character E the server
writes (MySQL's sql/query_result.cc, Query_result_export::send_data):

- NULL as E and N, never quoted: `"N` by default, `\N` with --escape=5C. Other readers take the quote of
  `"N` for the start of a text and swallow the following fields
  (https://github.com/googleapis/google-api-nodejs-client/issues/719).
- Texts and dates in quotes, numbers without.
- In texts, E before E itself, the quote, a line feed and a NUL byte, which becomes the digit 0. All other
  characters are unchanged: commas, carriage returns, tabs.

If E is the quote, a quote before a line feed may either end the row or be part of a text, so such a file
can only be read if its last column is a number. A text that begins with N may also look like a NULL followed
by more fields; a row with two readings is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

from nyc_taxi.errors import NotTripData, SchemaError
from nyc_taxi.pipelines.bikeshare.tables import RawTable

QUOTE = "22"
"""The default escape character, in the hex notation of `gcloud sql export csv --escape`."""

BLOCK = 1 << 20
"""Bytes per read."""
LONGEST_ROW = 64 << 20
"""Maximum bytes of a row; MySQL's default maximum."""

_INSTEAD = "export the table with --escape=5C and set TAXI_BIKESHARE_ESCAPE=5C"

_NUMBERS = ("int16", "int32", "int64", "float64")


def export_rows(file: BinaryIO, table: RawTable, escape: str, what: str) -> Iterator[list[str | None]]:
    """Yield the rows of an export, each value as text or None; `what` names the file in errors.

    Raises SchemaError if the columns do not match the table, or if a row is ambiguous.
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
    """Return the pattern of a row, one group per field; `null_first` prefers NULL in ambiguous fields."""
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
