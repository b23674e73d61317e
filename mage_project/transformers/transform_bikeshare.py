from mage_project.utils.bikeshare import number
from mage_project.utils.checks import assert_safe_preview
from mage_project.utils.references import reference_of
from mage_project.utils.steps import step
from mage_project.utils.variables import run_context
from nyc_taxi.pipelines.bikeshare import flow
from nyc_taxi.reporting import bikeshare_preview

if "transformer" not in globals():
    from mage_ai.data_preparation.decorators import transformer
if "test" not in globals():
    from mage_ai.data_preparation.decorators import test


@transformer
def transform_bikeshare(data, *args, **variables):
    """Derive dim_stations, fact_trips_daily and top_stations_daily; replaces the day's partitions only.

    The SQL is in nyc_taxi/pipelines/bikeshare/sql.

    Returns the day's top stations.
    """
    day = flow.parse_day(reference_of(data)["day"])
    with step("transform_bikeshare") as current:
        config = flow.load_config()
        entries = flow.transform(config, day, run_context(variables).run)
        rows = bikeshare_preview.day_of_table(config, "top_stations_daily", day).sort_values("position")
        return current.output(rows, {"day": str(day), "ledger": [entry.to_dict() for entry in entries]})


@test
def test_no_trip_is_lost(rows, *args, **variables):
    reference = reference_of(rows)
    raw = number("SELECT COUNT(*) FROM {raw_trips} WHERE date = @day", reference["day"])
    counted = number("SELECT SUM(trips) FROM {fact_trips_daily} WHERE date = @day", reference["day"])
    assert counted == raw, f"fact_trips_daily counts {counted} trips of the day, raw_trips has {raw}."
    assert_safe_preview(rows)


@test
def test_stations_are_distinct(rows, *args, **variables):
    reference = reference_of(rows)
    stations = number("SELECT COUNT(DISTINCT station_id) FROM {dim_stations}", reference["day"])
    rows_in_table = number("SELECT COUNT(*) FROM {dim_stations}", reference["day"])
    assert stations == rows_in_table, f"dim_stations has {rows_in_table} rows for {stations} stations."
