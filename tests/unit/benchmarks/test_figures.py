"""Figures from runs, and targets from figures."""

from dataclasses import replace

import pytest

from benchmarks.figures import TARGETS, Figure, summarise
from benchmarks.measure import Measured


def figure(name, seconds, rows=1000, memory=300.0, failure=""):
    return Figure(name, name, "Postgres", rows, 3, seconds, seconds, memory, failure=failure)


def figures(**seconds):
    return {name: figure(name, value) for name, value in seconds.items()}


def outcomes(measured):
    return {outcome.title: outcome for outcome in (target.outcome(measured) for target in TARGETS)}


def test_the_median_of_rounds_and_the_greatest_peak_are_taken():
    runs = [
        Measured(wall, cpu, memory, {"clean": wall / 2, "other": 1.0})
        for wall, cpu, memory in [(4.0, 7.0, 100.0), (2.0, 3.0, 120.0), (9.0, 8.0, 110.0)]
    ]
    figures = summarise(figure("a", 0.0), runs, ("clean", "missing"), "")
    assert (figures.seconds, figures.cpu, figures.memory, figures.steps) == (4.0, 7.0, 120.0, {"clean": 2.0})


def test_a_limit_takes_the_time_of_its_step_alone():
    runs = [Measured(5.0, 1.0, 50.0, {"copy": seconds}) for seconds in (1.0, 3.0, 2.0)]
    assert summarise(figure("copy", 0.0), runs, (), "copy").seconds == 2.0


@pytest.mark.parametrize(
    ("says", "name", "bound"),
    [
        ("faster than the course script", "course_script", 30),
        ("faster than Mage's exporter", "mage_exporter", 5.5),
        ("faster than dlt", "dlt_parquet", 2),
        ("faster than polars", "polars_adbc", 1),
    ],
)
def test_another_must_take_so_many_times_as_long(says, name, bound):
    at_bound = outcomes(figures(taxi_run=2.0, **{name: 2.0 * bound}))[says]
    assert (at_bound.measured, at_bound.verdict) == (f"{bound}x", "met")
    assert outcomes(figures(taxi_run=2.0, **{name: 1.9 * bound}))[says].verdict == "not met"


def test_everything_may_take_less_than_twice_as_long_as_the_servers_copy():
    says = "everything, against the server's binary COPY alone"
    assert outcomes(figures(taxi_run=3.5, server_copy=2.0))[says].verdict == "met"
    worse = outcomes(figures(taxi_run=4.2, server_copy=2.0))[says]
    assert (worse.goal, worse.measured, worse.verdict) == ("at most 1.75x", "2.1x", "not met")


def test_what_a_pipeline_takes_beyond_the_command_is_a_difference():
    says = "Mage pipeline, beyond taxi run"
    assert outcomes(figures(taxi_run=4.0, mage_pipeline=6.0))[says].verdict == "met"
    worse = outcomes(figures(taxi_run=4.0, mage_pipeline=8.5))[says]
    assert (worse.goal, worse.measured, worse.verdict) == ("at most 2 s", "4.5 s", "not met")


def test_uploads_are_compared_without_the_start_of_python():
    says = "Parquet to the bucket, against Google's client, loading alone"
    measured = {
        "ours_gcs": replace(figure("ours_gcs", 9.0), steps={"load": 1.2}),
        "gcs_client": replace(figure("gcs_client", 2.0), steps={"load": 1.0}),
    }
    assert (outcomes(measured)[says].measured, outcomes(measured)[says].verdict) == ("1.2x", "met")


def test_a_month_of_another_size_is_compared_row_by_row():
    measured = figures(taxi_run=2.0) | {"course_script": figure("course_script", 10.0, rows=100)}
    assert outcomes(measured)["faster than the course script"].measured == "50x"


def test_memory_and_growth():
    measured = {
        "taxi_run": figure("taxi_run", 2.0, memory=349.0),
        "large": figure("large", 11.1, rows=9000, memory=381.0),
    }
    verdicts = {says: outcome.verdict for says, outcome in outcomes(measured).items()}
    assert verdicts["peak memory, the month"] == "met"
    assert verdicts["peak memory, the large month"] == "not met"
    assert verdicts["time of the large month, against the month"] == "not met"


def test_what_did_not_run_or_failed_is_not_measured():
    measured = figures(taxi_run=2.0) | {
        "dlt_parquet": figure("dlt_parquet", 9.0, failure="rows: 1 instead of 2")
    }
    verdicts = outcomes(measured)
    assert verdicts["faster than dlt"].verdict == "not measured"
    assert verdicts["faster than polars"].verdict == "not measured"
    assert verdicts["peak memory, the month"].verdict == "met"
