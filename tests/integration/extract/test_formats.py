import gzip
from pathlib import Path

import pytest

from nyc_taxi.errors import NotTripData
from nyc_taxi.extract.formats import detect_format, verify
from tests.support.published_months import CSV, CSV_GZ, bring, left_in, parquet
from tests.support.servers import FaultyServer

HTML = b"\n\n\n<!DOCTYPE html>\n<html><body>404</body></html>"
XML = b'<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code></Error>'
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4c5ca\nsize 3\n"
PARQUET = parquet()

WHOLE = {
    "parquet": ("parquet", PARQUET),
    "gzip": ("csv.gz", CSV_GZ),
    "gzip in several members": ("csv.gz", CSV_GZ + CSV_GZ),
    "csv": ("csv", CSV),
    "csv with a byte order mark": ("csv", b"\xef\xbb\xbf" + CSV),
    "csv with quoted names": ("csv", b'"Pickup_date","base"\n'),
}
BROKEN = {
    "HTML": (HTML, "is an HTML page"),
    "HTML without a doctype": (b"<!-- x -->\n<HTML>", "is an HTML page"),
    "XML": (XML, r"is an XML error from a storage server \(AccessDenied\)"),
    "LFS": (LFS, "is a git LFS pointer"),
    "JSON": (b'{"message": "Not Found", "status": 404}', "is JSON"),
    "plain text": (b"404: Not Found", "is neither Parquet nor CSV"),
    "zip": (b"PK\x03\x04\x14\x00,,", "is a zip archive"),
    "UTF-16": ("a,b\n1,2\n".encode("utf-16"), "is text in UTF-16"),
    "UTF-16 without a byte order mark": ("a,b\n1,2\n".encode("utf-16-be"), "is text in UTF-16"),
    "semicolons": (CSV.replace(b",", b";"), "is text with `;` between the fields"),
    "semicolons after a byte order mark": (b"\xef\xbb\xbf" + CSV.replace(b",", b";"), "is text with `;`"),
    "tabs": (CSV.replace(b",", b"\t"), "is text with tabs between the fields"),
    "semicolons in gzip": (gzip.compress(CSV.replace(b",", b";")), r"\(decompressed\): is text with `;`"),
    "one long line": (b"a," * 40_000, "is text with a first line of more than 60,000 bytes"),
    "empty": (b"", "is an empty file"),
    "blank": (b"\r\n\r\n", "is an empty file"),
    "cut gzip": (CSV_GZ[:-1000], "is a truncated gzip file"),
    "gzip cut in its trailer": (CSV_GZ[:-3], "is a truncated gzip file"),
    "cut Parquet": (PARQUET[:-9], "is a truncated Parquet file"),
    "gzip with a changed byte": (
        CSV_GZ[:3000] + bytes([CSV_GZ[3000] ^ 1]) + CSV_GZ[3001:],
        "is a damaged gzip file",
    ),
    "gzip with another length": (CSV_GZ[:-4] + b"\x01\x02\x03\x04", "is a damaged gzip file"),
    "Parquet without a footer": (b"PAR1" + bytes(100) + b"PAR1", "is a damaged Parquet file"),
    "Parquet with a huge footer": (PARQUET[:-8] + b"\0\0\0\1PAR1", "has a footer of 16 MB, and at most 8 MB"),
    "repetition in gzip": (
        gzip.compress(CSV + b"1,2,3,4\n" * 2_500_000),
        "has more than 100 bytes of text for each byte of gzip",
    ),
    "HTML in gzip": (gzip.compress(HTML), r"\(decompressed\): is an HTML page"),
    "gzip in gzip": (gzip.compress(CSV_GZ), "compressed twice"),
    "Parquet in gzip": (gzip.compress(PARQUET), "compressed twice"),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_the_format_comes_from_the_bytes(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "trips.xlsx"
    path.write_bytes(WHOLE[kind][1])
    assert detect_format(path) == verify(path, "trips") == WHOLE[kind][0]


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_download_is_named_and_nothing_of_it_stays(
    tmp_path: Path, server: FaultyServer, kind: str
) -> None:
    data, what = BROKEN[kind]
    url = server.put("/green_tripdata_2020-04.csv.gz", data)
    with pytest.raises(NotTripData, match=f"^{url}.*{what}.*; .*\\.$"):
        bring(url, tmp_path)
    assert left_in(tmp_path) == []
    assert len(server.requests) == 1


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_local_file_is_named_and_stays_as_it_is(tmp_path: Path, kind: str) -> None:
    data, what = BROKEN[kind]
    path = tmp_path / "mine.csv"
    path.write_bytes(data)
    for _ in range(2):  # that it is broken is not forgotten
        with pytest.raises(NotTripData, match=f"^{path}.*{what}"):
            bring(str(path), tmp_path / "workspace")
    assert path.read_bytes() == data
    assert left_in(tmp_path / "workspace") == []


def test_a_broken_new_version_leaves_the_old_one(tmp_path: Path, server: FaultyServer) -> None:
    url = server.put("/a.csv.gz", CSV_GZ)
    good = bring(url, tmp_path)
    server.put("/a.csv.gz", HTML, etag='"2"', last_modified=None)
    with pytest.raises(NotTripData):
        bring(url, tmp_path)
    assert good.path.read_bytes() == CSV_GZ
    server.put("/a.csv.gz", CSV_GZ)
    sent = server.sent
    assert bring(url, tmp_path) == good
    assert server.sent == sent


@pytest.mark.real
class TestRealFiles:
    REASONS = {  # noqa: RUF012
        "git_lfs_pointer.csv": "LFS",
        "html_page.csv.gz": "HTML",
        "s3_access_denied.csv": "XML",
        "s3_access_denied.parquet": "XML",
        "truncated.csv.gz": "truncated gzip",
        "truncated.parquet": "truncated Parquet",
    }

    def test_broken_files(self, real_data: Path, tmp_path: Path, server: FaultyServer) -> None:
        for path in sorted((real_data / "broken").iterdir()):
            url = server.put(f"/{path.name}", path.read_bytes())
            workspace = tmp_path / path.name
            if path.name == "spreadsheet_mangled_dates.csv":
                assert detect_format(bring(url, workspace).path) == "csv"  # the reader's to refuse
                continue
            for source in (url, str(path)):
                with pytest.raises(NotTripData, match=self.REASONS[path.name]):
                    bring(source, workspace)
            assert left_in(workspace) == []

    def test_whole_files(self, real_data: Path) -> None:
        wholes = [path for path in real_data.rglob("*_tripdata_*") if path.parent.name != "broken"]
        assert len(wholes) > 10
        for path in wholes:
            assert path.name.endswith(verify(path, path.name))
