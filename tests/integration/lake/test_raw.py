"""Raw files in a lake of any kind: stored once, found by what was published, fetched by any worker."""

from __future__ import annotations

import dataclasses
import errno
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nyc_taxi.errors import NotInLake
from nyc_taxi.extract.candidates import Published
from nyc_taxi.lake.folder_store import FolderStore
from nyc_taxi.lake.layout import raw_folder
from nyc_taxi.lake.raw import RawFiles
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.references import SourceFile
from nyc_taxi.retry import DEFAULT_RETRY
from tests.support.builders import source_file
from tests.support.lakes import Lakes, lake, shared_lake  # noqa: F401
from tests.support.wsgi import Pause, cut, lose_answer

GREEN, APRIL = Service.GREEN, Month(2020, 4)
NAME = "green_tripdata_2020-04.csv"
URL = f"https://example.org/{NAME}"


def published(folder: Path, data: bytes, etag: str = '"1"', url: str = URL, name: str = NAME) -> SourceFile:
    """A file as a download leaves it."""
    path = folder / etag.strip('"') / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return dataclasses.replace(source_file(path), url=url, etag=etag)


def carried(file: SourceFile) -> SourceFile:
    """As it travels to another worker."""
    return SourceFile.from_dict(json.loads(json.dumps(file.to_dict())))


def test_a_file_lies_under_its_sha256_with_a_note_on_where_it_came_from(lake: Lakes, tmp_path: Path) -> None:  # noqa: F811
    file = published(tmp_path, b"VendorID\n1\n")
    added = lake.raw().add(file)
    folder = f"raw/service=green/month=2020-04/sha256={file.sha256[:12]}/"
    assert raw_folder(GREEN, APRIL, file.sha256) == folder
    assert added.uri.endswith(f"{folder}{NAME}")
    assert lake.store().keys("raw/") == [f"{folder}{NAME}", f"{folder}source.json"]
    [raw] = lake.raw().held(GREEN, APRIL)
    assert (raw.name, raw.sha256, raw.size, raw.place) == (NAME, file.sha256, 11, None)
    assert [(each.url, each.etag) for each in raw.publications] == [(URL, '"1"')]
    assert lake.raw().held() == lake.raw().held(GREEN) == [raw]
    assert lake.raw().held(Service.YELLOW) == []


def test_any_worker_fetches_it_by_reference(lake: Lakes, tmp_path: Path) -> None:  # noqa: F811
    reference = carried(lake.raw("one").add(published(tmp_path, b"VendorID\n1\n")))
    assert reference.local is None
    fetched = lake.raw("two").fetch(reference)
    assert fetched.path.read_bytes() == b"VendorID\n1\n"
    assert fetched.path.name == NAME
    assert lake.raw("two").fetch(reference).path == fetched.path


def test_a_reference_without_an_address_is_found_by_its_sha256(lake: Lakes, tmp_path: Path) -> None:  # noqa: F811
    reference = carried(lake.raw("one").add(published(tmp_path, b"VendorID\n1\n")))
    bare = dataclasses.replace(reference, uri="", tag=None)
    assert lake.raw("two").fetch(bare).path.read_bytes() == b"VendorID\n1\n"


def test_a_copy_that_is_damaged_is_fetched_again(shared_lake: Lakes, tmp_path: Path) -> None:  # noqa: F811
    raw = shared_lake.raw("two")
    reference = carried(shared_lake.raw("one").add(published(tmp_path, b"VendorID\n1\n")))
    raw.fetch(reference).path.write_bytes(b"VendorID\n2\n")
    assert raw.fetch(reference).path.read_bytes() == b"VendorID\n1\n"


def test_what_the_lake_does_not_hold(lake: Lakes, tmp_path: Path) -> None:  # noqa: F811
    file = carried(published(tmp_path, b"VendorID\n1\n"))
    with pytest.raises(NotInLake, match=r"green 2020-04: the lake no longer holds green_tripdata"):
        lake.raw().fetch(file)
    with pytest.raises(NotInLake, match="holds no file of green 2020-04: load it from another source"):
        lake.raw().latest(GREEN, APRIL)
    assert lake.raw().find(GREEN, APRIL, Published(URL, '"1"', None, None)) is None
    assert lake.raw().held() == []


def test_a_publication_is_found_by_url_and_validators(lake: Lakes, tmp_path: Path) -> None:  # noqa: F811
    file = lake.raw().add(published(tmp_path, b"VendorID\n1\n"))

    def find(url: str, etag: str | None, last_modified: str | None = None) -> SourceFile | None:
        return lake.raw().find(GREEN, APRIL, Published(url, etag, last_modified, None))

    assert find(URL, '"1"') == carried(file)
    assert find(URL, '"2"') is None
    assert find("https://example.org/other", '"1"') is None
    assert find(URL, None) is None
    assert find(URL, '"1"', "Wed, 01 Jul 2020 10:00:00 GMT") is None


def test_the_same_bytes_published_again_are_not_stored_again(lake: Lakes, tmp_path: Path) -> None:  # noqa: F811
    first = lake.raw().add(published(tmp_path, b"VendorID\n1\n"))
    again = lake.raw().add(published(tmp_path, b"VendorID\n1\n", '"2"', "https://elsewhere/x.csv", "x.csv"))
    assert again.uri == first.uri
    assert len(lake.store().keys("raw/")) == 2
    [raw] = lake.raw().held()
    assert [each.etag for each in raw.publications] == ['"1"', '"2"']
    lake.raw().add(published(tmp_path, b"VendorID\n1\n"))
    assert lake.raw().held() == [raw]


def test_the_latest_and_any_other(lake: Lakes, tmp_path: Path) -> None:  # noqa: F811
    one, two = (published(tmp_path, data, etag) for data, etag in ((b"a\n1\n", '"1"'), (b"a\n2\n", '"2"')))
    lake.raw().add(one)
    lake.raw().add(two)
    assert lake.raw().latest(GREEN, APRIL).sha256 == two.sha256
    assert lake.raw().latest(GREEN, APRIL, one.sha256[:5]).sha256 == one.sha256
    assert lake.raw().latest(GREEN, APRIL, urls={URL}).etag == '"2"'
    with pytest.raises(NotInLake):
        lake.raw().latest(GREEN, APRIL, urls={"https://elsewhere"})


def test_many_workers_store_one_file(lake: Lakes, tmp_path: Path) -> None:  # noqa: F811
    files = [published(tmp_path, b"VendorID\n1\n", f'"{number % 2}"') for number in range(6)]
    with ThreadPoolExecutor(6) as pool:
        added = list(pool.map(lambda file: lake.raw().add(file), files))
    assert len({(file.uri, file.tag) for file in added}) == 1
    [raw] = lake.raw().held()
    assert {each.etag for each in raw.publications} == {'"0"', '"1"'}


@pytest.mark.parametrize("at", [NAME, "source.json"])
def test_a_worker_that_is_overtaken(shared_lake: Lakes, tmp_path: Path, at: str) -> None:  # noqa: F811
    """Two workers have downloaded the same file; one is held before it stores an object."""
    cloud, file = shared_lake.cloud, published(tmp_path, b"VendorID\n1\n")
    assert cloud is not None
    pause = Pause()
    cloud.faulty.next(pause, cloud.write, at)
    with ThreadPoolExecutor(1) as pool:
        adding = pool.submit(shared_lake.raw("slow").add, file)
        assert pause.reached.wait(30)
        first = shared_lake.raw("fast").add(file)
        pause.go_on.set()
        assert adding.result(30) == first
    assert len(shared_lake.store().keys("raw/")) == 2
    assert len(shared_lake.raw().held()) == 1


@pytest.mark.parametrize("at", [NAME, "source.json"])
@pytest.mark.parametrize("fault", [lose_answer, cut], ids=["answer lost", "cut"])
def test_a_connection_that_breaks(shared_lake: Lakes, tmp_path: Path, at: str, fault) -> None:  # noqa: F811
    cloud = shared_lake.cloud
    assert cloud is not None
    cloud.faulty.next(fault, cloud.write, at)
    cloud.faulty.next(cut, "GET", at)
    added = shared_lake.raw("one").add(published(tmp_path, b"VendorID\n1\n"))
    assert shared_lake.raw("two").fetch(carried(added)).path.read_bytes() == b"VendorID\n1\n"


def test_a_large_file_arrives_whole(shared_lake: Lakes, tmp_path: Path) -> None:  # noqa: F811
    data = b"VendorID\n" + b"1\n" * (5 << 20)
    added = shared_lake.raw("one").add(published(tmp_path, data))
    assert shared_lake.raw("two").fetch(carried(added)).path.read_bytes() == data


def test_a_local_lake_shares_the_file_with_the_download(tmp_path: Path, quick: None) -> None:
    local = Lakes(tmp_path, None)
    file = published(tmp_path, b"VendorID\n1\n")
    fetched = local.raw().fetch(carried(local.raw().add(file)))
    assert fetched.path != file.path
    assert fetched.path.samefile(file.path)


def test_a_file_that_cannot_be_linked_is_used_where_it_lies(
    tmp_path: Path,
    quick: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is on another disk, or somebody else's."""
    local = Lakes(tmp_path / "workspace", None)
    file = published(tmp_path, b"VendorID\n1\n")

    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    added = carried(local.raw().add(file))
    assert added.uri == str(file.path)
    assert local.raw().fetch(added).path == file.path
    assert local.raw().latest(GREEN, APRIL) == added
    file.path.write_bytes(b"VendorID\n2\n")
    with pytest.raises(NotInLake):
        local.raw().fetch(added)


def test_a_damaged_raw_file_of_a_local_lake_is_found_and_replaced(tmp_path: Path) -> None:
    raw = RawFiles(FolderStore(tmp_path / "lake"), tmp_path / "lake", DEFAULT_RETRY)
    added = raw.add(published(tmp_path, b"VendorID\n1\n"))
    [held] = raw.held()
    assert raw.find_damage(held) is None
    stored = tmp_path / "lake" / added.uri
    stored.unlink()
    stored.write_bytes(b"VendorID\n2\n")
    assert "lacks raw/service=green/month=2020-04/" in str(raw.find_damage(held))
    raw.add(published(tmp_path, b"VendorID\n1\n"))
    assert raw.find_damage(held) is None
