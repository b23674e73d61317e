"""`trips`: the whole month, in any block and scratchpad."""

from __future__ import annotations

import importlib

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from mage_project.utils import trips
from mage_project.utils.references import month_of
from nyc_taxi.errors import SchemaError, SettingsError, TaxiError

VARIABLES = {"service": "green", "month": "2020-04", "source": "sample:3000:1", "destinations": "duckdb"}

BLOCKS = {
    "download_trips": "data_loaders",
    "clean_trips": "transformers",
    "derive_trips": "transformers",
    "trips_to_parquet": "transformers",
    "trips_to_warehouse": "data_exporters",
}


@pytest.fixture
def outputs(here):
    """Each block's output; the month's scratch files are gone when the last one is done."""
    last, outputs = [], {}
    for name, folder in BLOCKS.items():
        module = importlib.import_module(f"mage_project.{folder}.{name}")
        function = getattr(module, "derive_trips_of_month" if name == "derive_trips" else name)
        outputs[name] = function(*last, **VARIABLES)
        last = [outputs[name]]
        if name == "derive_trips":
            outputs["staged"] = trips(outputs["clean_trips"]), trips(last[0], "arrow")
    return outputs


def test_every_block_gives_the_whole_month(outputs):
    count = month_of(outputs["clean_trips"]).trips
    assert len(outputs["clean_trips"]) == 1000 < count
    expected = trips("green", "2020-04", generated=True)
    assert len(expected) == count
    staged, arrow = outputs["staged"]
    pd.testing.assert_frame_equal(staged, expected)
    assert arrow.num_rows == count
    for name in ("clean_trips", "derive_trips", "trips_to_parquet", "trips_to_warehouse"):
        pd.testing.assert_frame_equal(trips(outputs[name]), expected)
    filtered = outputs["clean_trips"][outputs["clean_trips"]["trip_distance"] > 3]
    assert len(trips(filtered)) == count, "the reference survives a filter of the sample"


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        ("pandas", pd.DataFrame),
        ("polars", pl.DataFrame),
        ("arrow", pa.Table),
        ("duckdb", duckdb.DuckDBPyRelation),
        ("batches", pa.RecordBatchReader),
    ],
)
def test_forms(outputs, form, kind):
    for result in (
        trips(outputs["trips_to_parquet"], form),
        trips(outputs["clean_trips"], as_=form, columns=["fare_amount"]),
        trips("green", "2020-04", form, generated=True),
    ):
        assert isinstance(result, kind)


def test_columns_filters_and_errors(outputs):
    data = outputs["trips_to_parquet"]
    far = trips(data, columns=["trip_distance"], filters=[("trip_distance", ">", 5)])
    assert list(far) == ["trip_distance"]
    assert far["trip_distance"].min() > 5
    with pytest.raises(SchemaError, match="'fare' does not exist"):
        trips(data, columns=["fare"])
    with pytest.raises(SettingsError, match="'2020-05' is none of arrow, pandas"):
        trips(data, "2020-05")
    with pytest.raises(TaxiError, match="refers to no trips: use the output of clean_trips"):
        trips(outputs["download_trips"])
    with pytest.raises(TaxiError, match="carries no reference"):
        trips(pd.DataFrame())
    with pytest.raises(TaxiError, match="green 2019-01 is not in the workspace"):
        trips("green", "2019-01")
