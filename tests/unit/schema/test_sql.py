"""The canonical columns as SQL text; what Postgres makes of it is tested with the destination."""

import pyarrow as pa
import pytest

from nyc_taxi.model.months import Service
from nyc_taxi.schema import Column, service_columns
from nyc_taxi.schema.arrow import ARROW_TYPES
from nyc_taxi.schema.sql import MONTH, POSTGRES_TYPES, comment, literal, postgres_table, postgres_type, quoted


def test_every_canonical_type_has_one_in_postgres() -> None:
    assert POSTGRES_TYPES.keys() == {*ARROW_TYPES, "instant"}
    assert {name: postgres_type(kind) for name, kind in ARROW_TYPES.items()}.items() <= POSTGRES_TYPES.items()
    as_parquet_has_it = pa.list_(pa.field("element", pa.string()))
    assert postgres_type(as_parquet_has_it) == "text[]"
    assert postgres_type(pa.duration("s")) is None


def test_names_and_texts_cannot_end_their_quotes() -> None:
    assert quoted('a "b"') == '"a ""b"""'
    assert literal("the taxi's") == "'the taxi''s'"


def test_a_table_with_its_comments() -> None:
    fare = Column("fare", "float64", "The rider's fare.", unit="US dollars")
    assert postgres_table("t", "All.", [fare], [MONTH], "PARTITION BY LIST (month)") == (
        'CREATE TABLE "t" (\n'
        '    "month" date NOT NULL,\n'
        '    "fare" double precision\n'
        ") PARTITION BY LIST (month);\n"
        "COMMENT ON TABLE \"t\" IS 'All.';\n"
        'COMMENT ON COLUMN "t"."month" IS \'Month of the file, as its first day.\';\n'
        "COMMENT ON COLUMN \"t\".\"fare\" IS 'The rider''s fare. Unit: US dollars.';\n"
    )


@pytest.mark.parametrize("service", Service)
def test_comments_say_unit_and_codes(service: Service) -> None:
    for column in service_columns(service):
        text = comment(column)
        assert column.description in text
        assert column.unit in text
        assert all(f"{code} = {means}" in text for code, means in column.meaning.items())
