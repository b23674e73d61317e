"""What one fetch after another does while everything works, against werkzeug's own answers."""

import json
import os
import shutil
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response
from werkzeug.exceptions import RequestedRangeNotSatisfiable

from nyc_taxi.errors import NotPublished, SourceError
from nyc_taxi.extract.transfer import Part, Version
from nyc_taxi.model.references import SourceFile
from tests.support.published_months import APRIL, CSV, CSV_GZ, GREEN, bring, folder, left_in, sha256

NAME = "green_tripdata_2020-04.csv.gz"


class Site:
    """A werkzeug server of one file: conditional, with ranges."""

    def __init__(self, httpserver: HTTPServer) -> None:
        self.data = CSV_GZ
        self.etag: str | None = "v1"
        self.extra: dict[str, str] = {}
        self.requests: list[Request] = []
        self.answers: list[int] = []
        self.url = httpserver.url_for(f"/green/{NAME}")
        httpserver.expect_request(f"/green/{NAME}").respond_with_handler(self.answer)

    def answer(self, request: Request) -> Response:
        self.requests.append(request)
        response = Response(self.data, headers=self.extra)
        response.headers["Last-Modified"] = "Wed, 01 Jul 2020 10:00:00 GMT"
        if self.etag:
            response.set_etag(self.etag)
        try:
            response.make_conditional(request, accept_ranges=True, complete_length=len(self.data))
        except RequestedRangeNotSatisfiable as error:
            self.answers.append(error.code)
            raise
        self.answers.append(response.status_code)
        return response


@pytest.fixture
def site(httpserver: HTTPServer) -> Site:
    httpserver.clear()
    return Site(httpserver)


def test_a_month_lands_with_its_sidecar_beside_it(site: Site, tmp_path: Path) -> None:
    file = bring(site.url, tmp_path)
    assert file == SourceFile(
        GREEN,
        APRIL,
        name=NAME,
        url=site.url,
        sha256=sha256(CSV_GZ),
        size=len(CSV_GZ),
        etag='"v1"',
        last_modified="Wed, 01 Jul 2020 10:00:00 GMT",
    )
    assert file.path == folder(tmp_path) / NAME
    assert file.path.read_bytes() == CSV_GZ
    assert left_in(tmp_path) == [NAME, f"{NAME}.json"]
    sidecar = json.loads((folder(tmp_path) / f"{NAME}.json").read_text())
    names = ("url", "etag", "last_modified", "size", "sha256")
    assert {name: sidecar[name] for name in names} == {name: getattr(file, name) for name in names}
    assert sidecar["fetched_at"].endswith("+00:00")


def test_an_unchanged_month_is_not_fetched_again(site: Site, tmp_path: Path) -> None:
    first = bring(site.url, tmp_path)
    assert bring(site.url, tmp_path) == first
    assert site.answers == [200, 304]
    assert site.requests[1].headers["If-None-Match"] == '"v1"'


def test_without_an_etag_the_date_decides(site: Site, tmp_path: Path) -> None:
    site.etag = None
    assert bring(site.url, tmp_path) == bring(site.url, tmp_path)
    assert site.answers == [200, 304]


def test_a_republished_month_takes_the_old_ones_place(site: Site, tmp_path: Path) -> None:
    old = bring(site.url, tmp_path)
    site.data, site.etag = CSV, "v2"
    new = bring(site.url, tmp_path)
    assert (new.path, new.etag, new.sha256) == (old.path, '"v2"', sha256(CSV))
    assert new.path.read_bytes() == CSV
    assert left_in(tmp_path) == [NAME, f"{NAME}.json"]


def test_bytes_are_kept_as_they_are_sent(site: Site, tmp_path: Path) -> None:
    site.extra = {"Content-Encoding": "gzip"}
    assert bring(site.url, tmp_path).path.read_bytes() == CSV_GZ
    assert site.requests[0].headers["Accept-Encoding"] == "identity"


def started(site: Site, workspace: Path, size: int, etag: str | None = '"v1"') -> None:
    """Leave the workspace as an interrupted download of `size` bytes does."""
    folder(workspace).mkdir(parents=True)
    part = Part(folder(workspace) / NAME)
    part.begin(Version(site.url, etag, "Wed, 01 Jul 2020 10:00:00 GMT", len(CSV_GZ)))
    part.path.write_bytes((CSV_GZ + b"more")[:size])


@pytest.mark.parametrize(
    ("size", "headers", "answers"),
    [
        (1000, {"Range": "bytes=1000-", "If-Range": '"v1"'}, [206]),
        (len(CSV_GZ) - 1, {"Range": f"bytes={len(CSV_GZ) - 1}-", "If-Range": '"v1"'}, [206]),
        (len(CSV_GZ), {"If-None-Match": '"v1"'}, [304]),  # complete, and still current
        (len(CSV_GZ) + 1, {}, [200]),
        (0, {}, [200]),
    ],
)
def test_a_part_is_continued(
    site: Site, tmp_path: Path, size: int, headers: dict[str, str], answers: list[int]
) -> None:
    started(site, tmp_path, size)
    assert bring(site.url, tmp_path).path.read_bytes() == CSV_GZ
    assert site.answers == answers
    request_headers = site.requests[0].headers
    conditions = ("Range", "If-Range", "If-None-Match")
    assert {name: request_headers[name] for name in conditions if name in request_headers} == headers
    assert left_in(tmp_path) == [NAME, f"{NAME}.json"]


def test_a_weak_etag_is_no_ground_for_a_range(site: Site, tmp_path: Path) -> None:
    started(site, tmp_path, 1000, etag='W/"v1"')
    site.extra, site.etag = {"ETag": 'W/"v1"'}, None
    bring(site.url, tmp_path)
    assert site.requests[0].headers["If-Range"] == "Wed, 01 Jul 2020 10:00:00 GMT"
    assert site.answers == [206]


@pytest.mark.parametrize("size", [1000, len(CSV_GZ)])
def test_a_part_of_another_version_is_not_continued(site: Site, tmp_path: Path, size: int) -> None:
    started(site, tmp_path, size, etag='"v0"')
    assert bring(site.url, tmp_path).path.read_bytes() == CSV_GZ
    assert site.answers == [200]


def test_a_part_longer_than_the_file_now_is_thrown_away(site: Site, tmp_path: Path) -> None:
    started(site, tmp_path, len(CSV_GZ) - 1)
    site.data = short = CSV[:100]  # the same ETag on fewer bytes: a careless server
    assert bring(site.url, tmp_path).path.read_bytes() == short
    assert site.answers == [416, 200]


def test_a_part_from_elsewhere_is_not_continued(site: Site, tmp_path: Path) -> None:
    started(site, tmp_path, 1000)
    note = folder(tmp_path) / f"{NAME}.part.json"
    note.write_text(note.read_text().replace(site.url, "http://other.test/x"))
    bring(site.url, tmp_path)
    assert "Range" not in site.requests[0].headers


def test_a_part_whose_note_is_unreadable_is_thrown_away(site: Site, tmp_path: Path) -> None:
    started(site, tmp_path, 1000)
    (folder(tmp_path) / f"{NAME}.part.json").write_text("{")
    bring(site.url, tmp_path)
    assert "Range" not in site.requests[0].headers


@pytest.mark.parametrize("what", ["removed", "unreadable", "of another url", "changed file", "removed file"])
def test_a_file_without_a_matching_sidecar_is_not_trusted(site: Site, tmp_path: Path, what: str) -> None:
    file = bring(site.url, tmp_path)
    note = file.path.with_name(f"{NAME}.json")
    match what:
        case "removed":
            note.unlink()
        case "unreadable":
            note.write_text('{"url": ')
        case "of another url":
            note.write_text(note.read_text().replace(site.url, "http://other.test/x"))
        case "changed file":
            file.path.write_bytes(CSV_GZ[:-1] + b"?")
        case "removed file":
            file.path.unlink()
    assert bring(site.url, tmp_path).path.read_bytes() == CSV_GZ
    assert site.answers == [200, 200]


def test_a_copied_workspace_is_recognised_by_its_bytes(site: Site, tmp_path: Path) -> None:
    bring(site.url, tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "two", copy_function=shutil.copyfile)
    assert bring(site.url, tmp_path / "two").path.read_bytes() == CSV_GZ
    assert site.answers == [200, 304]


def test_redirects_are_followed(site: Site, httpserver: HTTPServer, tmp_path: Path) -> None:
    httpserver.expect_request("/moved.csv.gz").respond_with_data(
        status=302, headers={"Location": f"{site.url}?sig=secret"}
    )
    file = bring(httpserver.url_for("/moved.csv.gz"), tmp_path)
    assert file.url == httpserver.url_for("/moved.csv.gz")
    assert file.sha256 == sha256(CSV_GZ)


@pytest.mark.parametrize("target", ["file:///etc/hostname", "/loop.csv"])
def test_redirects_that_lead_nowhere(httpserver: HTTPServer, tmp_path: Path, target: str) -> None:
    httpserver.expect_request("/loop.csv").respond_with_data(status=302, headers={"Location": target})
    with pytest.raises(SourceError, match="is not a usable URL"):
        bring(httpserver.url_for("/loop.csv"), tmp_path)
    assert left_in(tmp_path) == []


def test_credentials_are_sent_and_not_recorded(site: Site, tmp_path: Path) -> None:
    file = bring(site.url.replace("http://", "http://me:secret@") + "?sig=secret", tmp_path)
    assert site.requests[0].authorization is not None
    assert site.requests[0].args["sig"] == "secret"
    assert file.url == site.url
    assert not [path for path in folder(tmp_path).glob("*.json") if "secret" in path.read_text()]


def test_progress_counts_up_to_the_whole(site: Site, tmp_path: Path) -> None:
    for _ in ("fetched", "unchanged"):
        seen: list[tuple[int, int | None]] = []
        bring(site.url, tmp_path, lambda done, size, seen=seen: seen.append((done, size)))  # type: ignore[misc]
        assert seen == sorted(seen)
        assert seen[-1] == (len(CSV_GZ), len(CSV_GZ))


def test_a_month_that_is_not_there(site: Site, httpserver: HTTPServer, tmp_path: Path) -> None:
    httpserver.expect_request("/none.csv").respond_with_data(status=404)
    with pytest.raises(NotPublished, match=r"green 2020-04 does not exist.*/none\.csv"):
        bring(httpserver.url_for("/none.csv"), tmp_path)
    assert left_in(tmp_path) == []


def test_a_workspace_that_cannot_be_used(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SourceError, match="TAXI_WORKSPACE"):
        bring(site.url, tmp_path / "file")


def test_names_of_files_stay_inside_the_folder(httpserver: HTTPServer, tmp_path: Path) -> None:
    url = httpserver.url_for("/%2e%2e%2f%2e%2e%2f.x%00y.csv")
    httpserver.expect_request("/../../.x\0y.csv").respond_with_data(CSV)
    assert os.listdir(tmp_path) == []  # noqa: PTH208
    file = bring(url, tmp_path)
    assert file.path.parent == folder(tmp_path)
