"""Any sequence of faults ends with a file that the server had."""

import os
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from nyc_taxi.errors import SourceUnreachable
from tests.support.published_months import CSV, bring, left_in, sha256
from tests.support.servers import Fault, FaultyServer, serve

SEQUENCES = int(os.environ.get("FAULT_SEQUENCES", "25"))
NAME = "green_tripdata_2020-04.csv"
SIZE = len(CSV)

FAULTS: dict[str, Callable[[int], Fault]] = {
    "cut": lambda at: Fault(cut=at),
    "cut, ranges ignored": lambda at: Fault(cut=at, full=True),
    "cut, conditions ignored": lambda at: Fault(cut=at, heedless=True),
    "reset": lambda at: Fault(reset=at),
    "busy": lambda at: Fault(status=503),
    "other bytes": lambda at: Fault(cut=at, change_to=CSV.replace(b"2,", b"1,")),
    "fewer bytes": lambda at: Fault(cut=at, change_to=CSV[:9000]),
    "more bytes": lambda at: Fault(cut=at, change_to=CSV * 2),
}


@pytest.fixture(scope="module")
def lasting_server() -> Iterator[FaultyServer]:
    with serve() as running:
        yield running


def test_whatever_happens_the_file_is_a_version_that_was_served(
    lasting_server: FaultyServer,
    tmp_path_factory: pytest.TempPathFactory,
    capsys: pytest.CaptureFixture[str],
) -> None:
    count: Counter[str] = Counter()

    @given(plan=st.lists(st.tuples(st.sampled_from(sorted(FAULTS)), st.integers(0, SIZE)), max_size=6))
    @hypothesis_settings(max_examples=SEQUENCES)
    def download(plan: list[tuple[str, int]]) -> None:
        workspace = tmp_path_factory.mktemp("faults")
        url = lasting_server.put(f"/{NAME}", CSV)
        lasting_server.plan = [FAULTS[name](at) for name, at in plan]
        for _ in range(3):  # of three attempts each: enough for six faults
            try:
                file = bring(url, workspace)
                break
            except SourceUnreachable:
                count["given up"] += 1
                assert NAME not in left_in(workspace)
        versions = [(version.data, version.etag) for version in lasting_server.versions]
        assert (file.path.read_bytes(), file.etag) in versions
        assert file.sha256 == sha256(file.path.read_bytes())
        count["faults"] += len(plan) - len(lasting_server.plan)
        count["files"] += 1

    download()
    with capsys.disabled():
        print(  # noqa: T201
            f"\nsource: {count['files']} files, {count['faults']} faults,"
            f" {count['given up']} runs given up, 0 wrong"
        )
