from mage_project.utils.bikeshare import number, waiting_of
from mage_project.utils.checks import assert_safe_preview
from mage_project.utils.references import reference_of
from mage_project.utils.steps import step
from mage_project.utils.variables import run_context
from nyc_taxi.pipelines.bikeshare import flow
from nyc_taxi.reporting import bikeshare_preview

if "data_exporter" not in globals():
    from mage_ai.data_preparation.decorators import data_exporter
if "test" not in globals():
    from mage_ai.data_preparation.decorators import test


@data_exporter
def load_bikeshare(data, *args, **variables):
    """Wait for the day's trips in the bucket, and load trips, stations and regions into the raw tables.

    The day is loaded completely or not at all; objects that are already loaded are skipped.

    Returns the first trips.
    """
    day = flow.parse_day(reference_of(data)["day"])
    with step("load_bikeshare") as current:
        config = flow.load_config()
        flow.wait_for_day(config, day, *waiting_of(variables))
        entries = flow.load(config, day, run_context(variables).run)
        rows = bikeshare_preview.day_of_table(config, "raw_trips", day)
        return current.output(rows, {"day": str(day), "ledger": [entry.to_dict() for entry in entries]})


@test
def test_tables_hold_what_the_ledger_says(rows, *args, **variables):
    reference = reference_of(rows)
    expected = {entry["table_name"]: entry["row_count"] for entry in reference["ledger"]}
    for table in ("raw_stations", "raw_trips"):
        count = number(f"SELECT COUNT(*) FROM {{{table}}} WHERE date = @day", reference["day"])
        assert count == expected[table], (
            f"{table} has {count} rows of the day, the ledger says {expected[table]}."
        )
    assert_safe_preview(rows)


@test
def test_trips_are_distinct(rows, *args, **variables):
    query = "SELECT COUNT(*) - COUNT(DISTINCT trip_id) FROM {raw_trips} WHERE date = @day"
    extra = number(query, reference_of(rows)["day"])
    assert extra == 0, f"{extra} trips of the day repeat the trip_id of another."
