"""Figures as text, and all of TLC's history from one month."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import history, report
from benchmarks.figures import Figure
from nyc_taxi.errors import TaxiError

PAGE = """\
# Speed
<!-- begin figures: by make bench -->
old
<!-- end figures -->
between
<!-- begin history -->
<!-- end history -->
the end
"""


def test_sections_are_renewed_and_all_else_is_left_alone(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    for _ in range(2):
        report.write_into(page, {"figures": r"| 1 \1 |", "history": "hours"})
    assert page.read_text() == PAGE.replace("old\n", "\n| 1 \\1 |\n\n").replace(
        "history -->\n<!-- end history", "history -->\n\nhours\n\n<!-- end history"
    )


def test_a_page_without_the_place_is_left_alone(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    with pytest.raises(TaxiError, match="has no section machines"):
        report.write_into(page, {"figures": "new", "machines": "new"})
    assert page.read_text() == PAGE


def test_the_projects_page_has_both_places(tmp_path):
    page = tmp_path / "page.md"
    page.write_bytes(report.PAGE.read_bytes())
    report.write_into(page, {"figures": "new figures", "history": "new history"})
    assert "new figures" in page.read_text()


def test_rows_say_what_failed_and_how_others_stand_against_ours():
    ours = Figure("taxi_run", "ours", "Postgres", 1000, 3, 2.0, 3.0, 200.0, {"clean": 0.5})
    slower = Figure("course_script", "script", "Postgres", 100, 1, 8.0, 7.0, 150.0)
    failed = Figure("polars_adbc", "polars", "Postgres", 1000, 0, failure="rows in Postgres: 1 instead of 2")
    assert report.rows({figure.name: figure for figure in (ours, slower, failed)}) == [
        ["ours", "3", "2.00", "3.00", "200", "1", "clean 0.5"],
        ["script (100 rows)", "1", "8.00", "7.00", "150", "40", ""],
        ["polars", "0", "failed", "", "", "", "rows in Postgres: 1 instead of 2"],
    ]


def test_history_grows_with_the_rows():
    sizes = history.Sizes(rows=1000, parquet=2**20, logical=2**21)
    reckoned = history.reckon(rows=10_000_000, seconds=36.0, sizes=sizes)
    assert reckoned.hours == pytest.approx(history.ROWS / 1e9)  # 36 s for 10 million: an hour a billion
    assert reckoned.hours_side_by_side == pytest.approx(reckoned.hours / history.MACHINES)
    assert reckoned.parquet_gib == pytest.approx(history.ROWS / 1000 / 1024)
    assert reckoned.logical_gib == pytest.approx(2 * reckoned.parquet_gib)
    assert reckoned.scan_dollars == pytest.approx(reckoned.logical_gib / 1024 * 6.25)


def test_logical_bytes_are_counted_as_bigquery_does(tmp_path):
    table = pa.table(
        {
            "number": pa.array([1, None, 3], pa.int32()),
            "time": pa.array([1, 2, 3], pa.timestamp("us")),
            "text": ["N", None, "long"],
            "flags": pa.array([["ab"], [], None], pa.list_(pa.string())),
            "yes": [True, False, None],
        }
    )
    pq.write_table(table, tmp_path / "trips.parquet")
    number, time, text, flags, yes = 16, 24, (2 + 1) + (2 + 4), 2 + 2, 2
    assert history.logical_bytes(tmp_path / "trips.parquet") == number + time + text + flags + yes


def test_the_speed_on_more_cores_is_estimated_from_one_and_all():
    figures = {
        "one_core": Figure("one_core", "ours", "Postgres", 1000, 3, 8.0),
        "taxi_run": Figure("taxi_run", "ours", "Postgres", 1000, 3, 5.0),
    }
    assert report.scaling(figures, 2) == (  # 2 s alone on one core, and 6 s that share cores
        "`taxi run` and its server take 8.00 s on one core and 5.00 s on 2, 1.60x as fast."
        " By Amdahl's law, it would take 3.50 s on 4."
    )
    assert report.scaling({"taxi_run": figures["taxi_run"]}, 2) == ""
