"""Where the time of a month goes: every part is measured."""

import benchmarks.parts
from nyc_taxi.local import samples
from nyc_taxi.model.months import Month, Service


def test_every_part_of_the_client_is_measured(workspace, tmp_path):
    path = tmp_path / "yellow_tripdata_2021-01.csv.gz"
    samples.write(Service.YELLOW, Month(2021, 1), path, rows=2000)
    parts = benchmarks.parts.client(path, tmp_path)
    first, *_, last = parts
    assert (first, last) == ("start of Python, imports", "encoding for COPY")
    assert len(parts) == 10
    assert all(0 <= seconds < 60 for seconds in parts.values())


def test_the_least_time_is_that_of_busy_cores():
    assert benchmarks.parts.least(
        {"parse": 2.0, "rules": 1.0}, {"server: COPY": 2.0, "server: index": 0.5}, 2
    ) == (
        "These are 3.0 s of the client and 2.5 s of the server: with 2 cores busy from start to end a run"
        " takes at least 2.8 s."
    )
