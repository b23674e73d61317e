"""A user's function applied to a month: what it may do, and how everything else is refused."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nyc_taxi.errors import TransformError
from nyc_taxi.model.months import Service
from nyc_taxi.model.references import CleanMonth, MonthFiles
from nyc_taxi.transform.derive import derive_month
from nyc_taxi.transform.parquet import write_month
from nyc_taxi.transform.user.source import load_transform
from nyc_taxi.transform.version import month_version
from tests.support.builders import cleaned, green_csv, project_rules
from tests.support.transforms import write_transform

ROWS = 1000
"""Enough for several batches: the first block of a CSV has 64 kB, about 430 rows."""

RULES = project_rules(Service.GREEN)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> CleanMonth:
    """Several batches: row 3 is of another month, 5 does not parse, 7 has no passengers, 9 no count."""
    folder = tmp_path_factory.mktemp("clean")
    rows: list[dict[str, str]] = [
        {"trip_distance": str(number % 10), "tip_amount": str(number), "New Fee": "x"}
        for number in range(ROWS)
    ]
    rows[2]["lpep_pickup_datetime"] = "2009-01-01 00:00:00"
    rows[4]["fare_amount"] = "many"
    rows[6]["passenger_count"] = "0"
    rows[8]["passenger_count"] = ""
    return cleaned(green_csv(folder / "green.csv", rows), folder / "scratch", RULES)


@pytest.fixture
def derive(clean: CleanMonth, tmp_path: Path) -> Callable[..., CleanMonth]:
    """Applies a function with this body."""

    def apply(body: str, annotation: str = "") -> CleanMonth:
        transform = load_transform(write_transform(tmp_path / "derive_trips.py", body, annotation))
        assert transform
        return derive_month(clean, RULES, transform)

    return apply


def written(month: CleanMonth, folder: Path) -> tuple[MonthFiles, pa.Table, pa.Table]:
    files = write_month(month, RULES, folder / "files")
    return files, pq.read_table(files.trips_path), pq.read_table(files.quarantine_path)


PANDAS = """
trips = trips[trips["trip_distance"] > 0]
trips["minutes"] = (trips["dropoff_datetime"] - trips["pickup_datetime"]).dt.total_seconds() / 60
trips["pickup_date"] = trips["pickup_datetime"].dt.date
trips["solo"] = trips["passenger_count"] == 1
return trips
"""
POLARS = """
return trips.filter(pl.col("trip_distance") > 0).with_columns(
    minutes=(pl.col("dropoff_datetime") - pl.col("pickup_datetime")).dt.total_seconds() / 60,
    pickup_date=pl.col("pickup_datetime").dt.date(),
    solo=pl.col("passenger_count") == 1,
)
"""
ARROW = """
trips = trips.filter(pc.greater(trips["trip_distance"], 0))
seconds = pc.seconds_between(trips["pickup_datetime"], trips["dropoff_datetime"])
trips = trips.append_column("minutes", pc.divide(seconds.cast("float64"), 60))
trips = trips.append_column("pickup_date", trips["pickup_datetime"].cast("date32"))
return trips.append_column("solo", pc.equal(trips["passenger_count"], 1))
"""


@pytest.mark.parametrize(
    ("body", "annotation"),
    [
        (PANDAS, ""),
        (PANDAS, "pd.DataFrame"),
        (POLARS, "pl.DataFrame"),
        (ARROW, "pa.RecordBatch"),
        (ARROW, "pa.Table"),
        (ARROW, "'pa.Table'"),
    ],
)
def test_columns_and_dropped_trips_are_the_same_with_every_library(
    derive: Callable[..., CleanMonth], clean: CleanMonth, tmp_path: Path, body: str, annotation: str
) -> None:
    month = derive(body, annotation)
    assert month.derived_columns == ["minutes", "pickup_date", "solo"]
    dropped = clean.trips - month.trips
    assert month.quarantined == {**clean.quarantined, "derive_trips": dropped}
    assert 90 < dropped <= 100
    assert month.trips + month.rows_quarantined == month.rows_in == ROWS
    files, trips, quarantine = written(month, tmp_path)
    assert trips.column_names[-4:] == ["new_fee", *month.derived_columns]
    assert [str(kind) for kind in trips.schema.types[-3:]] == ["double", "date32[day]", "bool"]
    for row in trips.slice(0, 5).to_pylist():
        seconds = (row["dropoff_datetime"] - row["pickup_datetime"]).total_seconds()
        assert row["minutes"] == pytest.approx(seconds / 60)
        assert row["pickup_date"] == dt.date(2020, 4, 10)
        assert row["solo"] is (row["passenger_count"] == 1)
    assert min(trips["trip_distance"].to_pylist()) > 0
    assert None in trips["solo"].to_pylist()  # where passenger_count is missing
    rows_dropped = [row for row in quarantine.to_pylist() if row["reasons"] == ["derive_trips"]]
    assert len(rows_dropped) == dropped
    assert rows_dropped[0]["source_row"] == 1
    assert rows_dropped[0]["detail"] == "Dropped by the transform derive_trips()."
    assert '"trip_distance": 0.0' in rows_dropped[0]["raw"]
    assert "minutes" not in rows_dropped[0]["raw"]
    assert files.objects["trips.parquet"].sha256


def test_it_is_another_version_and_all_else_stays_as_it_was(
    derive: Callable[..., CleanMonth], clean: CleanMonth, tmp_path: Path
) -> None:
    _, before, _ = written(clean, tmp_path / "before")
    month = derive("trips['double_tip'] = trips['tip_amount'] * 2\nreturn trips")
    files, after, _ = written(month, tmp_path)
    assert month.version != clean.version == month_version(clean.source, RULES)
    assert (
        month.version
        == derive("# comment\ntrips['double_tip'] = trips['tip_amount'] * 2\nreturn trips").version
    )
    assert month.version != derive("trips['double_tip'] = trips['tip_amount'] * 3\nreturn trips").version
    assert after.drop_columns("double_tip").equals(before)
    assert (month.trips, month.quarantined, month.flagged) == (clean.trips, clean.quarantined, clean.flagged)
    description = after.schema.field("double_tip").metadata[b"description"]
    assert description == b"Added by the transform derive_trips()."
    quality = pq.read_table(files.quality_path).to_pylist()
    assert {"measure": "derived_column", "subject": "double_tip", "value": None} in quality


def test_flags_of_dropped_trips_are_not_counted(derive: Callable[..., CleanMonth], clean: CleanMonth) -> None:
    month = derive("return trips[trips['passenger_count'].fillna(1) > 0]")
    assert clean.flagged["no_passengers"] == 1
    assert "no_passengers" not in month.flagged
    assert month.quarantined["derive_trips"] == 1


def test_a_function_may_drop_everything(derive: Callable[..., CleanMonth], tmp_path: Path) -> None:
    month = derive("return trips[:0]")
    assert month.trips == 0
    _, trips, quarantine = written(month, tmp_path)
    assert (len(trips), len(quarantine)) == (0, ROWS)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("pd.array([1] * n, 'Int8')", "int64"),
        ("np.uint32(7)", "int64"),
        ("np.float32(0.5)", "double"),
        ("'text'", "string"),
        ("pd.Categorical(['a'] * n)", "string"),
        ("pd.Categorical([1] * (n - 1) + [None])", "int64"),
        ("True", "bool"),
        ("pd.Timestamp('2020-01-01 00:00:00.123456789')", "timestamp[us]"),
        ("datetime.date(2020, 1, 1)", "date32[day]"),
        ("pd.NaT", "timestamp[us]"),
        ("pd.NA", None),
        ("None", None),
        ("np.nan", "double"),
    ],
)
def test_types_are_few_and_wide(
    derive: Callable[..., CleanMonth], tmp_path: Path, value: str, kind: str | None
) -> None:
    _, trips, _ = written(derive(f"n = len(trips)\ntrips['mine'] = {value}\nreturn trips"), tmp_path)
    if kind is None:  # a column without a value in the whole month has no type: it is left out
        assert "mine" not in trips.column_names
    else:
        assert str(trips.schema.field("mine").type) == kind


def test_a_column_may_be_empty_in_some_batches(derive: Callable[..., CleanMonth], tmp_path: Path) -> None:
    body = """
    first = trips["source_row"].iloc[0] == 1
    trips["late"] = None if first else "yes"
    trips["early"] = "yes" if first else None
    return trips
    """
    month = derive(body)
    assert month.derived_columns == ["late", "early"]
    _, trips, _ = written(month, tmp_path)
    late, early = (trips[name].to_pylist() for name in ("late", "early"))
    assert (late[0], late[-1], early[0], early[-1]) == (None, "yes", "yes", None)
    assert all((one is None) != (other is None) for one, other in zip(late, early, strict=True))


def test_a_merge_and_a_new_index_keep_the_trips(derive: Callable[..., CleanMonth], tmp_path: Path) -> None:
    body = """
    names = pd.DataFrame({"payment_type": pd.array([1, 2], "Int16"), "paid_by": ["card", "cash"]})
    return trips.merge(names, how="left").reset_index(drop=True)
    """
    _, trips, _ = written(derive(body), tmp_path)
    assert set(trips["paid_by"].to_pylist()) == {"card"}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("trips['x'] = 1", "returns nothing instead of a pandas.DataFrame; end it with `return trips`"),
        ("return trips['fare_amount']", "returns a pandas.Series instead of a pandas.DataFrame"),
        ("return trips.drop(columns='fare_amount')", "removes or renames the column fare_amount; keep it"),
        ("return trips.drop(columns='new_fee')", "removes or renames the column new_fee"),
        ("return trips.rename(columns={'fare_amount': 'fare'})", "removes or renames the column fare_amount"),
        ("return trips.drop(columns='source_row')", "removes or renames the column source_row"),
        ("trips['fare_amount'] = 0.0\nreturn trips", "changes values of the column fare_amount; add"),
        (
            "trips.loc[trips.index[3], 'tip_amount'] += 1\nreturn trips",
            "changes values of the column tip_amount",
        ),
        ("trips['new_fee'] = trips['new_fee'] + '!'\nreturn trips", "changes values of the column new_fee"),
        (
            "trips['passenger_count'] = trips['passenger_count'].astype('Int64')\nreturn trips",
            "changes the type of passenger_count from Int16 to Int64",
        ),
        ("return trips[::-1]", "returns the trips in another order; end it with a sort by source_row"),
        ("return pd.concat([trips, trips])", "returns trips more than once"),
        ("return pd.concat([trips, trips]).sort_values('source_row')", "returns trips more than once"),
        ("trips['source_row'] += 5000\nreturn trips", "returns rows that it was not given"),
        (
            "trips['source_row'] = pd.array([None] * len(trips), 'Int64')\nreturn trips",
            "rows that it was not",
        ),
        (
            "trips['x'] = np.random.random(len(trips))\nreturn trips",
            "returns something else when it is called",
        ),
        (
            "return trips[np.random.random(len(trips)) > 0.5]",
            "returns something else when it is called again",
        ),
        ("trips['Fare'] = 1\nreturn trips", "adds a column 'Fare'; begin its name with a lower-case letter"),
        ("trips['a b'] = 1\nreturn trips", "adds a column 'a b'; begin its name"),
        ("trips['x' * 64] = 1\nreturn trips", "at most 63"),
        (
            "trips['month'] = 1\nreturn trips",
            "adds a column month, a name that is reserved for the tables' own columns",
        ),
        (
            "trips['flags'] = 'x'\nreturn trips",
            "adds a column flags, a name that is reserved for the tables' own columns",
        ),
        ("trips['source_version'] = 'x'\nreturn trips", "adds a column source_version, a name that"),
        ("trips['ctid'] = 1\nreturn trips", "adds a column ctid, a name that"),
        ("trips[3] = 1\nreturn trips", "returns a column 3 whose name is not text but a builtins.int"),
        (
            "trips.insert(0, 'fare_amount', 1, allow_duplicates=True)\nreturn trips",
            "a column 'fare_amount' twice",
        ),
        (
            "trips['x'] = trips['dropoff_datetime'] - trips['pickup_datetime']\nreturn trips",
            "adds a column x of type duration[us], which not all destinations support; turn it into a number",
        ),
        (
            "trips['x'] = trips['pickup_datetime'].dt.tz_localize('UTC')\nreturn trips",
            "which not all destinations support; remove the time zone",
        ),
        (
            "trips['x'] = [[1]] * len(trips)\nreturn trips",
            "which not all destinations support; turn it into text",
        ),
        ("trips['x'] = b'1'\nreturn trips", "of type binary, which not all destinations support"),
        (
            "trips['x'] = ([1, 'a'] * len(trips))[:len(trips)]\nreturn trips",
            "whose values have no common type (",
        ),
        (
            "trips['x'] = np.uint64(2**64 - 1)\nreturn trips",
            "adds a column x whose values do not fit int64 (",
        ),
    ],
)
def test_what_cannot_be_loaded_is_refused_in_one_sentence(
    derive: Callable[..., CleanMonth], clean: CleanMonth, tmp_path: Path, body: str, message: str
) -> None:
    before = sorted(clean.folder.iterdir())
    with pytest.raises(TransformError, match=re.escape(message)) as refusal:
        derive(body)
    text = str(refusal.value)
    assert text.startswith(f"{tmp_path / 'derive_trips.py'}, line 13: derive_trips() ")
    assert text.endswith("(the trips from row 1 of green 2020-04 on).")
    assert "\n" not in text
    assert sorted(clean.folder.iterdir()) == before


LATER = "later = trips['source_row'].iloc[0] > 1"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            f"{LATER}\ntrips['x'] = 'a' if later else 1\nreturn trips",
            "adds the column x as string, but as int64",
        ),
        (
            f"{LATER}\ntrips['x'] = 1.5 if later else 1\nreturn trips",
            "adds the column x as double, but as int64",
        ),
        (f"{LATER}\nreturn trips.assign(x=1) if later else trips.assign(y=1)", "does not add the column y"),
        (
            f"{LATER}\nreturn trips.assign(x=1, y=1) if later else trips.assign(x=1)",
            "adds the column y, unlike",
        ),
    ],
)
def test_batches_that_do_not_fit_each_other_are_refused_with_the_row(
    derive: Callable[..., CleanMonth], body: str, message: str
) -> None:
    with pytest.raises(TransformError, match=re.escape(message)) as refusal:
        derive(body)
    assert re.search(r"\(the trips from row [2-9]\d\d of green 2020-04 on\)\.$", str(refusal.value))


def test_an_error_names_file_line_and_batch(derive: Callable[..., CleanMonth], tmp_path: Path) -> None:
    body = f"{LATER}\nif later:\n    trips['x'] = trips['fare']\nreturn trips"
    with pytest.raises(TransformError, match=r"row [2-9]\d\d on \(KeyError: 'fare'\)\.$") as refusal:
        derive(body)
    assert str(refusal.value).startswith(f"{tmp_path / 'derive_trips.py'}, line 16: derive_trips() fails for")
    with pytest.raises(TransformError, match=r"line 14: .* from row 1 on \(SystemExit: 2\)\.$"):
        derive("raise SystemExit(2)")


@pytest.mark.parametrize("annotation", ["list", "pl.LazyFrame", "pd.Series"])
def test_another_annotation_is_refused(derive: Callable[..., CleanMonth], annotation: str) -> None:
    message = (
        r"annotate trips with pandas\.DataFrame, polars\.DataFrame, pyarrow\.RecordBatch or pyarrow\.Table\.$"
    )
    with pytest.raises(TransformError, match=message):
        derive("return trips[:1]", annotation)
    with pytest.raises(TransformError, match=r"line 13: .* fails \(NameError"):
        derive("return trips[:1]", "'unknown.DataFrame'")


def test_a_lazy_frame_is_refused(derive: Callable[..., CleanMonth]) -> None:
    with pytest.raises(TransformError, match=r"returns a polars\.LazyFrame instead of a polars\.DataFrame"):
        derive("return trips.lazy()", "pl.DataFrame")


def test_a_rule_of_the_same_name_is_refused(clean: CleanMonth, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("@each_batch\ndef outside_month(trips):\n    return trips[:1]\n")
    transform = load_transform(path)
    assert transform
    with pytest.raises(
        TransformError, match=r"outside_month\(\) has the name of a rule; rename one of them\.$"
    ):
        derive_month(clean, RULES, transform)
