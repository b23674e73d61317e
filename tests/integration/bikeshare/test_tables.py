"""tables.yaml, and what is said of one that is wrong."""

import pytest
import yaml

from nyc_taxi.errors import SettingsError
from nyc_taxi.pipelines.bikeshare.checks import checks
from nyc_taxi.pipelines.bikeshare.derived import DERIVED
from nyc_taxi.settings import PROJECT
from tests.support.bikeshare import configured

OWN = PROJECT / "nyc_taxi/pipelines/bikeshare/tables.yaml"


@pytest.fixture
def written(nothing, tmp_path, monkeypatch):
    """A tables.yaml of the test's own, changed by a function."""

    def write(change):
        plain = yaml.safe_load(OWN.read_text())
        text = change(plain["tables"])
        path = tmp_path / "tables.yaml"
        path.write_text(text if isinstance(text, str) else yaml.safe_dump(plain))
        monkeypatch.setenv("TAXI_BIKESHARE_TABLES", str(path))

    return write


def test_every_table_and_column_is_described():
    for table in configured().tables:
        assert table.description
        for column in table.columns:
            assert column.description.endswith("."), column.name
    for derived in DERIVED:
        assert derived.table.description.endswith(".")
        for column in derived.table.columns:
            assert column.description.endswith("."), column.name


def test_every_check_is_on_a_table_and_says_why():
    names = {table.name for table in configured().tables}
    for check in checks():
        assert check.table in names
        assert check.why.endswith(".")


def test_a_table_of_ones_own_is_read(written):
    written(
        lambda tables: tables.update(
            docks={
                "from": "mysql",
                "key": "dock_id",
                "description": "Docks.",
                "columns": [{"name": "dock_id", "type": "int32", "required": True}],
            }
        )
    )
    assert "docks" in [table.name for table in configured().tables]
    assert configured().table("docks").raw_name == "raw_docks"


def _of(table, **changes):
    return lambda tables: tables[table].update(changes)


def _column(**changes):
    return lambda tables: tables["stations"]["columns"][1].update(changes)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            _of("stations", **{"from": "oracle"}),
            "table stations: from 'oracle' is none of mysql, bucket, daily",
        ),
        (_of("stations", key="nme"), "its key 'nme' is not one of its required columns"),
        (_of("stations", key="name"), "its key 'name' is not one of its required columns"),
        (_of("regions", object=""), "a table from the bucket needs `object`"),
        (_column(type="text"), "table stations, column name: type 'text' is none of int16"),
        (_column(name="na`me; DROP"), "column 'na`me; DROP': use lower-case letters"),
        (_column(name="date"), "the name `date` is reserved"),
        (_column(size=3), "does not describe tables"),
        (lambda tables: tables.pop("trips"), "lacks the table trips"),
        (lambda tables: "tables: [", "is not valid YAML"),
        (lambda tables: "none: 1", "does not describe tables"),
    ],
)
def test_what_is_wrong_is_named(written, change, says):
    written(change)
    with pytest.raises(SettingsError, match=says):
        _ = configured().tables


def test_a_file_that_is_not_there_is_named(nothing, monkeypatch):
    monkeypatch.setenv("TAXI_BIKESHARE_TABLES", "/no/such/file.yaml")
    with pytest.raises(
        SettingsError, match=r"/no/such/file.yaml: cannot be read .* set TAXI_BIKESHARE_TABLES"
    ):
        _ = configured().tables


def test_an_unknown_table_is_named_with_those_there_are():
    with pytest.raises(SettingsError, match=r"has no table 'bikes'; it has stations, regions, trips"):
        configured().table("bikes")
