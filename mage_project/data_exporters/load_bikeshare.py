from mage_project.utils.bikeshare import number, plain, waiting_of
from mage_project.utils.checks import assert_safe_preview
from mage_project.utils.steps import step
from mage_project.utils.variables import run_of
from nyc_taxi.pipelines.bikeshare import flow, preview

if "data_exporter" not in globals():
    from mage_ai.data_preparation.decorators import data_exporter
if "test" not in globals():
    from mage_ai.data_preparation.decorators import test


@data_exporter
def load_bikeshare(data, *args, **variables):
    """The day's trips, as soon as they are in the bucket, and its stations and regions into the raw tables.

    All of the day or nothing; nothing is loaded when the tables hold these very objects already.

    Outputs: the first trips; the ledger's rows.
    """
    day = flow.parse_day(data[1]["day"])
    with step("load_bikeshare") as current:
        flow.wait_for_day(day, *waiting_of(variables))
        entries = flow.load(day, run_of(variables))
        rows = preview.day_of_table("raw_trips", day)
        return current.outputs(rows, {"day": str(day), "ledger": plain(entries)})


@test
def test_tables_hold_what_the_ledger_says(rows, reference, **variables):
    said = {entry["table_name"]: entry["row_count"] for entry in reference["ledger"]}
    for table in ("raw_stations", "raw_trips"):
        found = number(f"SELECT COUNT(*) FROM {{{table}}} WHERE date = @day", reference["day"])
        assert found == said[table], f"{table} has {found} rows of the day, the ledger says {said[table]}."
    assert_safe_preview(rows)


@test
def test_no_trip_is_there_twice(rows, reference, **variables):
    extra = number(
        "SELECT COUNT(*) - COUNT(DISTINCT trip_id) FROM {raw_trips} WHERE date = @day", reference["day"]
    )
    assert extra == 0, f"{extra} trips of the day repeat the trip_id of another."
