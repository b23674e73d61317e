"""Any sequence of faults on the way to a bucket leaves a month that is whole, or known not to be."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from nyc_taxi.errors import DestinationUnreachable
from nyc_taxi.transform.refined import RefinedMonth
from tests.integration.load.test_objects import APRIL, GREEN, RUN, check_holds
from tests.support.builders import month_files
from tests.support.clouds import Cloud, gcs_cloud, s3_cloud
from tests.support.wsgi import Fault, answers, cut, damage, lose_answer

SEQUENCES = int(os.environ.get("FAULT_SEQUENCES", "8"))

FAULTS: dict[str, Fault] = {
    "cut": cut,
    "answer lost": lose_answer,
    "bytes damaged": damage,
    "429": answers(429),
    "500": answers(500),
    "503": answers(503),
}

plans = st.lists(st.tuples(st.sampled_from(sorted(FAULTS)), st.integers(0, 12)), max_size=6)
"""Faults, each after so many requests that pass."""


@pytest.fixture(scope="module", params=[gcs_cloud, s3_cloud], ids=["gcs", "s3"])
def cloud(request: pytest.FixtureRequest, quick_module: None) -> Iterator[Cloud]:
    with request.param() as bucket:
        yield bucket


def test_whatever_happens_a_recorded_month_is_whole(
    cloud: Cloud, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path_factory.mktemp("months")
    versions = {name: month_files(folder, name, trips=trips) for name, trips in [("v1", 20), ("v2", 9)]}
    count: Counter[str] = Counter()

    @given(st.lists(st.tuples(st.sampled_from(["v1", "v2"]), plans), min_size=1, max_size=3))
    @hypothesis_settings(max_examples=SEQUENCES)
    def load(loads: list[tuple[str, list[tuple[str, int]]]]) -> None:
        destination = cloud.destination()
        for version, plan in loads:
            for name, passing in plan:
                cloud.faulty.next(FAULTS[name], skip=passing)
            try:
                destination.replace_month(RefinedMonth.of(versions[version]), RUN)
            except DestinationUnreachable:
                count["given up"] += 1
            count["faults"] += cloud.faulty.forget()
            count["loads"] += 1
            entry = destination.ledger_entry(GREEN, APRIL)
            if entry is not None:
                check_holds(cloud, versions[entry.version])
        destination.replace_month(RefinedMonth.of(versions[version]), RUN)
        check_holds(cloud, versions[version])

    load()
    with capsys.disabled():
        print(  # noqa: T201
            f"\n{type(cloud).__name__}: {count['loads']} loads, {count['faults']} faults,"
            f" {count['given up']} given up, 0 wrong"
        )
