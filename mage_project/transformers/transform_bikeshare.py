from mage_project.utils.bikeshare import number, plain
from mage_project.utils.checks import assert_safe_preview
from mage_project.utils.steps import step
from mage_project.utils.variables import run_of
from nyc_taxi.pipelines.bikeshare import flow, preview

if "transformer" not in globals():
    from mage_ai.data_preparation.decorators import transformer
if "test" not in globals():
    from mage_ai.data_preparation.decorators import test


@transformer
def transform_bikeshare(data, *args, **variables):
    """dim_stations, fact_trips_daily and top_stations_daily; only the day's partitions are made anew.

    The SQL is in nyc_taxi/pipelines/bikeshare/sql.

    Outputs: the day's top stations; the ledger's rows.
    """
    day = flow.parse_day(data[1]["day"])
    with step("transform_bikeshare") as current:
        entries = flow.transform(day, run_of(variables))
        rows = preview.day_of_table("top_stations_daily", day).sort_values("position")
        return current.outputs(rows, {"day": str(day), "ledger": plain(entries)})


@test
def test_no_trip_is_lost(rows, reference, **variables):
    raw = number("SELECT COUNT(*) FROM {raw_trips} WHERE date = @day", reference["day"])
    counted = number("SELECT SUM(trips) FROM {fact_trips_daily} WHERE date = @day", reference["day"])
    assert counted == raw, f"fact_trips_daily counts {counted} trips of the day, raw_trips has {raw}."
    assert_safe_preview(rows)


@test
def test_every_station_is_there_once(rows, reference, **variables):
    stations = number("SELECT COUNT(DISTINCT station_id) FROM {dim_stations}", reference["day"])
    found = number("SELECT COUNT(*) FROM {dim_stations}", reference["day"])
    assert stations == found, f"dim_stations has {found} rows for {stations} stations."
