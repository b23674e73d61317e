"""Detect a file's format from its bytes: trip data in one of three formats, or something else."""

from __future__ import annotations

import gzip
import os
import re
from pathlib import Path
from typing import Literal

from isal import igzip, isal_zlib

from nyc_taxi.errors import NotTripData
from nyc_taxi.files import CHUNK

Format = Literal["parquet", "csv.gz", "csv"]

_HEAD = 64 * 1024
"""Bytes to examine: longer than any header, or the blank lines above an HTML page."""

MAX_GZIP_RATIO = 100
"""Bytes that a byte of gzip becomes; of TLC's files 5 to 10."""

_ANY_RATIO = 16 << 20
"""Decompressed bytes whose ratio does not matter."""

MAX_FOOTER_BYTES = 8 << 20
"""Bytes of a Parquet file's footer, which Arrow reads as a whole; TLC's have some kilobytes."""

# Other content of downloads: pattern at the start, description, advice.
_NOT_TRIP_DATA = (
    (rb"\s*$", "an empty file", "download the file again"),
    (
        rb"(?is)\s*<.*<(html|head|body)|\s*<(!doctype )?html",
        "an HTML page",
        "open the URL in a browser (it is probably an error or login page) and use the file's own URL",
    ),
    (
        rb"\s*<",
        "an XML error from a storage server",
        "check that the month is published and that the URL is right",
    ),
    (
        rb"version https://git-lfs",
        "a git LFS pointer instead of the file",
        "run `git lfs pull` where it was cloned, or use the file's download URL",
    ),
    (rb"PK\x03\x04", "a zip archive", "unpack it and use the folder as the source"),
    (rb"\s*[{\[]", "JSON, probably an error from a server", "check the URL"),
    (rb"PAR1|\x1f\x8b", "a file that is compressed twice", "decompress it once"),
    (
        rb"\xff\xfe|\xfe\xff|[\t -~]\x00[\t -~]\x00|\x00[\t -~]\x00[\t -~]",
        "text in UTF-16",
        "save it as UTF-8 (in spreadsheets: CSV UTF-8)",
    ),
    (rb'[\w "]*(;[\w "]*)+\r?(\n|$)', "text with `;` between the fields", "write it with commas"),
    (rb'[\w "]*(\t[\w "]*)+\r?(\n|$)', "text with tabs between the fields", "write it with commas"),
    (
        rb"[^\n]{60000}",
        "text with a first line of more than 60,000 bytes",
        "use a trip file as TLC publishes it",
    ),
    (
        rb"(?s).*\x00|[^\n,]*(\n|$)",
        "neither Parquet nor CSV, plain or gzipped",
        "use a trip file as TLC publishes it",
    ),
)


def detect_format(path: Path, name: str | None = None) -> Format:
    """Return the format according to the first bytes, regardless of the file's name.

    Raises NotTripData with the file (`name`, by default its path) and its actual content.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith(b"\x1f\x8b"):
        return "csv.gz"
    _refuse_other_data(head, name or str(path))
    return "csv"


def verify(path: Path, name: str) -> Format:
    """Detect the format and check that the file is complete.

    Decompresses gzip to the end, which checks CRC and length; reads both magic numbers and the footer
    of Parquet; plain CSV has nothing to check. Raises NotTripData.
    """
    file_format = detect_format(path, name)
    if file_format == "csv.gz":
        _check_gzip(path, name)
    elif file_format == "parquet":
        _check_parquet(path, name)
    return file_format


def _refuse_other_data(head: bytes, name: str) -> None:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")
    for pattern, what, advice in _NOT_TRIP_DATA:
        if re.match(pattern, text):
            code = re.search(rb"<Code>(\w+)</Code>", text)
            detail = f" ({code[1].decode()})" if code else ""
            raise NotTripData(f"{name}: is {what}{detail}, not trip data; {advice}.")


def _check_gzip(path: Path, name: str) -> None:
    try:
        with igzip.open(path, "rb") as file:
            _refuse_other_data(file.read(_HEAD), f"{name} (decompressed)")
            most = max(_ANY_RATIO, path.stat().st_size * MAX_GZIP_RATIO)
            while file.read(CHUNK):
                if file.tell() > most:
                    raise NotTripData(
                        f"{name}: has more than {MAX_GZIP_RATIO} bytes of text for each byte of gzip: it is"
                        " nothing but repetition; use a trip file as TLC publishes it."
                    )
    except EOFError:
        raise NotTripData(f"{name}: is a truncated gzip file; download the file again.") from None
    except (gzip.BadGzipFile, isal_zlib.IsalError) as error:  # type: ignore[misc]  # the stub declares an instance
        raise NotTripData(f"{name}: is a damaged gzip file ({error}); download the file again.") from None


def _check_parquet(path: Path, name: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 8))
        length, magic = file.read(4), file.read()
        if magic != b"PAR1":
            raise NotTripData(f"{name}: is a truncated Parquet file; download the file again.")
    if (size := int.from_bytes(length, "little")) > MAX_FOOTER_BYTES:
        raise NotTripData(
            f"{name}: has a footer of {size >> 20:,} MB, and at most {MAX_FOOTER_BYTES >> 20} MB are read;"
            " write it in larger row groups."
        )
    try:
        pq.read_metadata(path)
    except (pa.ArrowException, OSError) as error:
        detail = " ".join(str(error).split())
        raise NotTripData(f"{name}: is a damaged Parquet file ({detail}); download the file again.") from None
