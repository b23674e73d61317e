"""The block derive_trips: what is edited in it is what a run loads, in Mage as on the command line."""

from __future__ import annotations

import importlib
import importlib.util

import pandas as pd
import pytest

from mage_project.utils.references import month_of, reference_of
from mage_project.utils.transforms import derive_month
from nyc_taxi.errors import TaxiError, TransformError
from nyc_taxi.load.registry import open_destination
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.references import CleanMonth
from nyc_taxi.pipelines.trips.clean import clean, derive
from nyc_taxi.pipelines.trips.download import download
from nyc_taxi.pipelines.trips.refine import to_parquet
from nyc_taxi.settings import PROJECT, load_settings
from tests.support.blocks import output_with, parts
from tests.support.mage import copy_project, environment_of, running
from tests.support.postgres_probe import session

BLOCK = PROJECT / "mage_project" / "transformers" / "derive_trips.py"
VARIABLES = {"service": "green", "month": "2020-04", "source": "sample:300:1"}
GREEN, APRIL = Service.GREEN, Month(2020, 4)

MINUTES = """\
    trips = trips[trips["passenger_count"] > 0]
    trips["minutes"] = (trips["dropoff_datetime"] - trips["pickup_datetime"]).dt.total_seconds() / 60
    return trips


@transformer
"""


def edited(text=MINUTES):
    """The shipped block with another function."""
    shipped = BLOCK.read_text()
    assert shipped.count("    return trips\n\n\n@transformer\n") == 1
    return shipped.replace("    return trips\n\n\n@transformer\n", text)


def block(folder, name, path=None):
    """A block as a module; of a file elsewhere if one is given."""
    name = f"mage_project.{folder}.{name}"
    if path is None:
        return importlib.import_module(name)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def cleaned(here):
    source = block("data_loaders", "download_trips").download_trips(**VARIABLES)
    return block("transformers", "clean_trips").clean_trips(source, **VARIABLES)


@pytest.fixture
def save(tmp_path, monkeypatch):
    """Saves the block with a function; the module as Mage would run it."""
    path = tmp_path / "derive_trips.py"
    monkeypatch.setenv("TAXI_TRANSFORM", str(path))

    def save(content):
        path.write_text(content)
        return block("transformers", "derive_trips", path)

    return save


def check(module, rows, reference):
    for name in ("test_every_row_is_a_trip_or_in_quarantine", "test_preview_is_what_is_loaded"):
        getattr(module, name)(output_with(rows, reference), **VARIABLES)


def test_the_shipped_block_hands_the_month_on(cleaned):
    module = block("transformers", "derive_trips")
    rows, reference = parts(module.derive_trips_of_month(cleaned, **VARIABLES))
    assert reference == reference_of(cleaned)
    pd.testing.assert_frame_equal(rows, cleaned)
    check(module, rows, reference)


def test_the_preview_is_of_the_trips_that_are_written(cleaned, save):
    module = save(edited())
    rows, reference = parts(module.derive_trips_of_month(cleaned, **VARIABLES))
    check(module, rows, reference)
    month = CleanMonth.from_dict(reference)
    dropped = month.quarantined["derive_trips"]
    assert 0 < dropped == month_of(cleaned).trips - month.trips
    written = block("transformers", "trips_to_parquet").trips_to_parquet(rows, **VARIABLES)
    pd.testing.assert_frame_equal(written, rows)
    assert (rows["reasons"] == "derive_trips").sum() > 0
    rows = rows[rows["reasons"] == ""]
    assert len(rows) == month_of(written).trips
    assert (rows["passenger_count"] > 0).all()
    expected = (rows["dropoff_datetime"] - rows["pickup_datetime"]).dt.total_seconds() / 60
    pd.testing.assert_series_equal(rows["minutes"], expected, check_names=False)


def test_an_edit_that_is_not_saved_is_refused(cleaned, save):
    module = save(edited())
    for other in (BLOCK.read_text(), edited(MINUTES.replace("/ 60", "/ 61"))):
        (load_settings().transform).write_text(other)
        with pytest.raises(
            TransformError, match=r"derive_trips\.py: contains a different function than the block; save"
        ):
            module.derive_trips_of_month(cleaned, **VARIABLES)


def test_an_edit_of_the_projects_own_block_that_is_not_saved_is_refused(cleaned):
    def derive_trips(trips):
        return trips[:1]

    with pytest.raises(TransformError, match=r"^\S+derive_trips\.py: the block has unsaved edits; save it"):
        derive_month(derive_trips, cleaned, VARIABLES)


def test_the_shipped_block_applies_the_file_that_the_settings_name(cleaned, save):
    save(edited())
    derived = block("transformers", "derive_trips").derive_trips_of_month(cleaned, **VARIABLES)
    assert month_of(derived).derived_columns == ["minutes"]


def test_an_edit_after_the_block_has_run_is_refused_until_it_runs_again(cleaned, save):
    output = save(edited()).derive_trips_of_month(cleaned, **VARIABLES)
    module = save(edited(MINUTES.replace("/ 60", "/ 3600")))
    write = block("transformers", "trips_to_parquet").trips_to_parquet
    with pytest.raises(TaxiError, match="has changed since the month was cleaned"):
        write(output, **VARIABLES)
    rows = write(module.derive_trips_of_month(cleaned, **VARIABLES), **VARIABLES)
    assert rows["minutes"].max() < 24 < output["minutes"].max()


def test_an_edit_is_undone_after_its_month_was_written(here, save):
    """Which removes what clean_trips staged; a month that was never written without the edit."""
    variables = {**VARIABLES, "source": "sample:300:7"}
    module = save(edited())
    source = block("data_loaders", "download_trips").download_trips(**variables)
    cleaned = block("transformers", "clean_trips").clean_trips(source, **variables)
    derived = module.derive_trips_of_month(cleaned, **variables)
    block("transformers", "trips_to_parquet").trips_to_parquet(derived, **variables)
    undone = save(BLOCK.read_text()).derive_trips_of_month(cleaned, **variables)
    pd.testing.assert_frame_equal(undone, cleaned)


def test_an_edit_of_a_block_that_cannot_reach_the_tables_is_refused(cleaned):
    module = block("transformers", "clean_trips")
    for changed in (cleaned.assign(minutes=1), cleaned[cleaned["trip_distance"] > 1]):
        with pytest.raises(
            AssertionError, match="are loaded: change trips in the block derive_trips instead"
        ):
            module.test_preview_has_the_canonical_columns(changed, **VARIABLES)


def test_a_block_between_the_projects_own_cannot_change_rows_in_vain(cleaned):
    """Its edit would be shown, and not be loaded."""
    next_block = block("transformers", "derive_trips").derive_trips_of_month
    for changed in (
        cleaned.assign(minutes=1),
        cleaned[cleaned["trip_distance"] > 1],
        cleaned.rename(columns=str.upper),
        cleaned.assign(fare_amount=cleaned["fare_amount"] + 1),
    ):
        with pytest.raises(TaxiError, match=r"is not loaded: add columns and drop trips in .* derive_trips"):
            next_block(changed, **VARIABLES)
    with pytest.raises(TaxiError, match="carries no reference to a month"):
        next_block(pd.DataFrame(cleaned.to_numpy()), **VARIABLES)


@pytest.mark.mage
@pytest.mark.slow
def test_an_edit_on_mages_page_is_loaded_as_on_the_command_line(environment, here, tmp_path, monkeypatch):
    """As the page saves a block: by its API. Then a run, the undo, and a run again."""
    project = copy_project(tmp_path)
    path = project / "transformers" / "derive_trips.py"
    shipped = path.read_text()
    variables = {**VARIABLES, "destinations": "postgres,duckdb"}

    def save(mage, content):
        pipeline = mage.call("GET", "/pipelines/taxi_trips?includes_content=true")["pipeline"]
        [block] = [block for block in pipeline["blocks"] if block["uuid"] == "derive_trips"]
        block["content"] = content
        mage.call("PUT", "/pipelines/taxi_trips?update_content=true", pipeline=pipeline)
        assert path.read_text() == content

    def load(mage):
        done = mage.ended(mage.start(mage.triggers()["new file"], **variables))
        assert done["status"] == "completed", mage.log(done["id"])
        entries = [
            open_destination(name, load_settings()).ledger_entry(GREEN, APRIL)
            for name in ("postgres", "duckdb")
        ]
        assert len({(entry.version, entry.rows_loaded, entry.run_id) for entry in entries}) == 1
        return entries[0]

    with running(project, environment_of(project, environment)) as mage:
        before = load(mage)
        save(mage, edited())
        after = load(mage)
        assert after.version != before.version
        assert after.rows_loaded < before.rows_loaded
        assert after.rows_in == after.rows_loaded + after.rows_quarantined == 300
        with session_of(environment) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT count(*), count(minutes), min(passenger_count) FROM trips_green")
            assert cursor.fetchall() == [(after.rows_loaded, after.rows_loaded, 1)]
        through_mage = checksums()

        # the same file through the command line's steps, elsewhere
        with monkeypatch.context() as patch:
            patch.setenv("TAXI_TRANSFORM", str(path))
            patch.setenv("TAXI_WORKSPACE", str(tmp_path / "workspace"))
            settings = load_settings()
            source = download(GREEN, APRIL, VARIABLES["source"], settings)
            files = to_parquet(derive(clean(source, settings), settings), settings)
        assert files.version == after.version
        assert _sha256(files) == through_mage[after.version]

        save(mage, shipped)
        undone = load(mage)
        assert (undone.version, undone.rows_loaded) == (before.version, before.rows_loaded)


def session_of(environment):
    from nyc_taxi.load.postgres.config import PostgresConfig

    return session(PostgresConfig.from_settings(load_settings()))


def checksums():
    """The SHA-256 of the month's files by version."""
    from nyc_taxi.lake.versions import read_month
    from nyc_taxi.lake.workspace import Workspace

    folders = Workspace(load_settings().workspace).month_folder(GREEN, APRIL).glob("version=*")
    return {files.version: _sha256(files) for files in map(read_month, folders) if files}


def _sha256(files):
    return {name: known.sha256 for name, known in files.objects.items()}
