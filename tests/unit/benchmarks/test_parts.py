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
