import random
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyc_taxi.errors import SchemaError
from nyc_taxi.model.months import Month, Service
from nyc_taxi.schema import (
    FLAG_COLUMNS,
    LINEAGE_COLUMNS,
    Column,
    map_header,
    normalise,
    service_columns,
    trip_columns,
)
from nyc_taxi.schema.arrow import ARROW_TYPES, arrow_schema

ALIASES = [
    (service, column, name)
    for service in Service
    for column in service_columns(service)
    for name in column.names
]


def header(service: Service) -> list[str]:
    """A header with every canonical name."""
    return [column.name for column in service_columns(service)]


@pytest.mark.parametrize(
    ("service", "column", "name"), [pytest.param(*alias, id=f"{alias[0]}-{alias[2]}") for alias in ALIASES]
)
def test_every_name_a_column_ever_had_finds_it(service: Service, column: Column, name: str) -> None:
    names = [name if own == column.name else own for own in header(service)]
    mapping = map_header(service, names, "f.csv")
    assert mapping.columns[column.name] == (name,)
    assert (mapping.unknown, mapping.absent) == ({}, ())


@pytest.mark.parametrize("service", Service)
def test_no_name_belongs_to_two_columns(service: Service) -> None:
    names = [name for column in service_columns(service) for name in column.names]
    assert len(names) == len(set(names))
    assert all(normalise(name) == name for name in names)


@pytest.mark.parametrize("service", Service)
def test_columns_say_what_they_are(service: Service) -> None:
    for column in service_columns(service):
        assert column.type in ARROW_TYPES
        assert column.description.endswith(".")
        assert column.since is not None
        assert column.since >= service.first_month
        values = pa.array(list(column.codes.values()), ARROW_TYPES[column.type])
        assert None not in values.to_pylist()
        assert all(code == code.upper() for code in column.codes)
    order = [column.name for column in service_columns(service)]
    assert order.index("pickup_datetime") < order.index("pickup_location_id")


def test_all_services_share_names_and_types() -> None:
    types: dict[str, str] = {}
    for service in Service:
        for column in service_columns(service):
            assert types.setdefault(column.name, column.type) == column.type


def test_trips_have_address_and_verdict_behind_their_columns() -> None:
    schema = arrow_schema(trip_columns(Service.GREEN), [pa.field("new_fee", pa.float64())])
    assert schema.names == [
        *header(Service.GREEN),
        *(c.name for c in (*LINEAGE_COLUMNS, *FLAG_COLUMNS)),
        "new_fee",
    ]
    assert schema.field("flags").type == pa.list_(pa.string())
    assert schema.field("pickup_datetime").type == pa.timestamp("us")


@given(st.sampled_from(list(Service)), st.randoms())
def test_order_case_and_padding_of_a_header_make_no_difference(
    service: Service, chance: random.Random
) -> None:
    columns = list(service_columns(service))
    chance.shuffle(columns)
    written = {}
    for column in columns:
        cased = "".join(
            chance.choice((letter.lower(), letter.upper())) for letter in chance.choice(column.names)
        )
        before, between, after = (
            chance.choice(("", " ", "\t")),
            chance.choice("_ -"),
            chance.choice(("", "  ")),
        )
        written[column.name] = before + cased.replace("_", between) + after
    mapping = map_header(service, list(written.values()), "f.csv")
    assert mapping.columns == {canonical: (own,) for canonical, own in written.items()}
    assert (mapping.unknown, mapping.absent) == ({}, ())


@pytest.mark.parametrize("service", Service)
def test_a_missing_required_column_is_named(service: Service) -> None:
    for column in service_columns(service):
        names = [name for name in header(service) if name != column.name]
        if column.required:
            looked_for = ", ".join(column.names)
            message = rf"^f\.csv: .* {column.name} is missing \(looked for {looked_for}\).* {service} file\?$"
            with pytest.raises(SchemaError, match=message):
                map_header(service, names, "f.csv")
        else:
            assert map_header(service, names, "f.csv").absent == (column.name,)


def test_a_doubled_column_is_refused_however_it_is_written() -> None:
    with pytest.raises(SchemaError, match=r"^f\.csv: the header has the column 'Fare amount' twice\.$"):
        map_header(Service.GREEN, [*header(Service.GREEN), " Fare amount "], "f.csv")


def test_unknown_columns_are_kept_and_named() -> None:
    own = ["New-Fee ", "flags", "Month", "month_start", "", "  ", "ctid", "2nd fee", "Long Name " * 7]
    mapping = map_header(Service.GREEN, [*header(Service.GREEN), *own], "f.csv")
    last = len(header(Service.GREEN))
    assert mapping.unknown == {
        "new_fee": "New-Fee ",
        "ctid_in_file": "ctid",  # which all tables in Postgres have
        "_2nd_fee": "2nd fee",  # BigQuery takes no digit first
        "long_name_long_name_long_name_long_name_long_name_long_07e3a8b3": "Long Name "
        * 7,  # Postgres takes 63
        "flags_in_file": "flags",  # what our tables and rules call otherwise
        "month_in_file": "Month",
        "month_start_in_file": "month_start",
        f"unnamed_{last + 5}": "",
        f"unnamed_{last + 6}": "  ",
    }


def test_names_that_a_table_cannot_tell_apart_are_refused() -> None:
    with pytest.raises(SchemaError, match=r"^f\.csv: the header has the column 'ctid_in_file' twice\.$"):
        map_header(Service.GREEN, [*header(Service.GREEN), "ctid", "ctid_in_file"], "f.csv")


def test_two_names_of_one_column_are_both_kept_the_better_one_first() -> None:
    names = ["Dispatching_base_number", "Dispatching_base_num", "Pickup_DateTime"]
    random.Random(1).shuffle(names)
    mapping = map_header(Service.FHV, names, "f.csv")
    assert mapping.columns["dispatching_base_num"] == ("Dispatching_base_num", "Dispatching_base_number")


def test_columns_of_another_service_do_not_pass_for_this_one() -> None:
    with pytest.raises(SchemaError, match="is this a yellow file"):
        map_header(Service.YELLOW, ["lpep_pickup_datetime", "lpep_dropoff_datetime", "fare_amount"], "f.csv")


@pytest.mark.real
def test_the_header_of_every_csv_that_tlc_published(real_data: Path) -> None:
    files = sorted((real_data / "headers").glob("*_tripdata_*.csv"))
    assert len(files) > 300
    for path in files:
        service, month = path.stem.split("_tripdata_")
        names = (
            path.read_text(encoding="utf-8-sig").split("\n", 1)[0].replace('"', "").rstrip("\r").split(",")
        )
        mapping = map_header(Service(service), names, path.name)
        assert mapping.unknown == {}, path.name
        for column in service_columns(Service(service)):
            assert column.since is not None
            if column.name in mapping.columns:
                assert column.since <= Month.parse(month), (path.name, column.name)
