"""The pipeline zone_lookup, as Mage runs it."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pandas as pd
import psycopg2
import pytest

from mage_project.utils.references import with_reference
from nyc_taxi.errors import TaxiError
from nyc_taxi.local import postgres
from nyc_taxi.settings import PROJECT

pytestmark = [pytest.mark.mage, pytest.mark.filterwarnings("ignore")]  # Mage warns of much


def test_zones_are_loaded_by_their_own_pipeline(
    here: None, environment: dict[str, str], mage_postgres: postgres.Server, tmp_path: Path
) -> None:
    from mage_ai.data_preparation.models.pipeline import Pipeline

    zones = tmp_path / "zones.csv"
    zones.write_text(
        '"LocationID","Borough","Zone","service_zone"\n'
        '1,"EWR","Newark Airport","EWR"\n264,"Unknown","NA","N/A"\n'
    )
    pipeline = Pipeline.get("zone_lookup", repo_path=str(PROJECT / "mage_project"))
    variables = {"source": str(zones), "destinations": "postgres"}
    pipeline.execute_sync(global_vars=variables, run_tests=True, update_status=False)
    loaded = psycopg2.connect(mage_postgres.url, dbname=environment["POSTGRES_DBNAME"])
    with contextlib.closing(loaded) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT location_id, zone FROM taxi.zones ORDER BY 1")
        assert cursor.fetchall() == [(1, "Newark Airport"), (264, "NA")]


@pytest.mark.parametrize(
    "reference",
    [{"source": "", "zones": 265}, {"service": "green"}],
    ids=["of an earlier version", "of a month"],
)
def test_an_input_that_names_no_file_of_zones_is_refused(reference: dict[str, object]) -> None:
    import mage_project.data_exporters.zones_to_destinations as block

    rows = with_reference(pd.DataFrame({"location_id": [1]}), reference)
    with pytest.raises(
        TaxiError, match="no list of zones: connect the block download_zones, or run it again"
    ):
        block.zones_to_destinations(rows, destinations="duckdb")
