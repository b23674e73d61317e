"""The tables of a warehouse follow from the canonical columns."""

import dataclasses
import re

import pyarrow as pa
import pytest

from nyc_taxi.errors import SchemaError
from nyc_taxi.load.views.definitions import VIEWS, views
from nyc_taxi.load.warehouse.duckdb.tables import DIALECT
from nyc_taxi.model.ledger import LedgerEntry
from nyc_taxi.model.months import Service
from nyc_taxi.schema.arrow import ARROW_TYPES
from nyc_taxi.schema.tables import BIGQUERY_TYPES, DUCKDB_TYPES, LEDGER, all_tables, file_types, missing


def test_the_ledger_has_what_is_recorded_and_an_id():
    assert [column.name for column in LEDGER] == ["id", *(f.name for f in dataclasses.fields(LedgerEntry))]


@pytest.mark.parametrize("types", [BIGQUERY_TYPES, DUCKDB_TYPES])
def test_every_column_has_a_type(types: dict[str, str]):
    assert ARROW_TYPES.keys() <= types.keys()
    assert all(column.type in types for table in all_tables() for column in (*table.keys, *table.columns))


def test_no_table_has_a_column_twice():
    for table in all_tables():
        names = [column.name for column in (*table.keys, *table.columns)]
        assert len(names) == len(set(names)), table.name


def test_a_type_that_no_table_holds_is_named():
    schema = pa.schema([pa.field("a", pa.int64()), pa.field("odd", pa.decimal128(9, 2))])
    with pytest.raises(SchemaError, match=r"x\.parquet: the column odd has type decimal128\(9, 2\)"):
        file_types(schema, DUCKDB_TYPES, "x.parquet")


def test_missing_columns_and_clashes():
    assert missing({"a": "DATE", "b": "DOUBLE"}, {"a": "DATE", "c": "DATE"}, "t") == {"b": "DOUBLE"}
    with pytest.raises(SchemaError, match="t: the column a is DATE, but DOUBLE in the month"):
        missing({"a": "DOUBLE"}, {"a": "DATE"}, "t")


def test_views_say_what_they_are_and_name_tables_as_they_are_told():
    by_name = {view.name: view for view in views(lambda name: f"<{name}>", DIALECT)}
    assert tuple(by_name) == (*VIEWS, *(f"all_rows_{service}" for service in Service))
    assert "<trips_yellow>" in by_name["taxi_trips"].query
    assert by_name["ledger_current"].description == "The load in force of each service and month."
    assert not any(re.search(r"{\w", view.query) or view.query.startswith("--") for view in by_name.values())
