"""The trips that SQL finds in the lake's files are those that the pipeline loads."""

from __future__ import annotations

import pytest
from google.cloud.bigquery import Table

from nyc_taxi.errors import SettingsError
from nyc_taxi.lake.object_store.gcs.config import GcsConfig
from nyc_taxi.load.warehouse.bigquery import elt
from nyc_taxi.load.warehouse.bigquery.config import BigQueryConfig
from nyc_taxi.local.samples import write
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.run import Run
from nyc_taxi.transform.refined import RefinedMonth
from tests.support.builders import parquet_month, source_file

GREEN = Service.GREEN


@pytest.mark.parametrize("is_real", [False, pytest.param(True, marks=pytest.mark.real)])
def test_sql_finds_the_trips_that_the_rules_find(bigquery, tmp_path, request, is_real):
    """The emulator has no external tables: views stand for them."""
    if is_real:
        month = "2020-03"
        folder = request.getfixturevalue("real_data") / "nyc-tlc-data" / "green"
        path = folder / f"green_tripdata_{month}.csv.gz"
    else:
        month = bigquery.month()
        path = tmp_path / f"green_tripdata_{month}.csv.gz"
        write(GREEN, Month.parse(month), path, 2_000)
    files = parquet_month(source_file(path, GREEN, month), tmp_path / "scratch")
    bigquery.destination().replace_month(RefinedMonth.of(files), Run("elt", "cli"))
    for name in ("trips", "quarantine"):
        bigquery.ask(
            f"CREATE OR REPLACE VIEW lake_{name}_green AS"
            f" SELECT * REPLACE (FORMAT_DATE('%Y-%m', month) AS month) FROM {name}_green"
        )
    bigquery.ask(elt.trips_view(GREEN, elt.qualified_dataset(bigquery.target)))
    query = f"SELECT source_row, total_amount FROM %s WHERE month = '{month}-01' ORDER BY source_row"
    rows = bigquery.ask(query % "elt_trips_green")
    assert rows == bigquery.ask(query % "trips_green")
    assert len(rows) == files.trips < files.rows_in


def test_tables_over_the_lake_are_typed_as_the_schema_and_partitioned_by_month():
    config = BigQueryConfig("taxi", bucket=GcsConfig("trips", prefix="nyc"))
    tables = elt.external_tables(GREEN, config)
    assert list(tables) == ["lake_trips_green", "lake_quarantine_green"]
    external = tables["lake_trips_green"]["externalDataConfiguration"]
    assert external["sourceUris"] == ["gs://trips/nyc/trips/service=green/*"]
    assert external["hivePartitioningOptions"] == {
        "mode": "CUSTOM",
        "sourceUriPrefix": "gs://trips/nyc/trips/service=green/{month:STRING}",
    }
    types = {field["name"]: (field["type"], field["mode"]) for field in external["schema"]["fields"]}
    assert types["pickup_datetime"] == ("DATETIME", "NULLABLE")
    assert types["flags"] == ("STRING", "REPEATED")
    assert "month" not in types
    table = Table.from_api_repr(
        {
            **tables["lake_quarantine_green"],
            "tableReference": {"projectId": "p", "datasetId": "taxi", "tableId": "lake_quarantine_green"},
        }
    )
    read = table.external_data_configuration
    assert (read.source_format, read.parquet_options.enable_list_inference) == ("PARQUET", True)
    assert read.hive_partitioning.mode == "CUSTOM"
    with pytest.raises(SettingsError, match="GCS_BUCKET is not set"):
        elt.external_tables(GREEN, BigQueryConfig("taxi"))
