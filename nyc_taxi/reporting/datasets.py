"""Read the current version of months: trips, quarantine and quality as Arrow, pandas, polars or DuckDB.

`nyc_taxi.read_trips` and its siblings are these functions. They read Parquet files of the workspace or the
lake, and of these only the columns and row groups that a call asks for.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyarrow.fs import LocalFileSystem

from nyc_taxi.errors import SchemaError, SettingsError, first_line
from nyc_taxi.extras import require_extra
from nyc_taxi.model.months import Service
from nyc_taxi.model.references import CleanMonth, MonthFiles
from nyc_taxi.reporting.current_months import Months, files_of, select_months
from nyc_taxi.settings import Settings, load_settings
from nyc_taxi.transform.judged import judged_batches, trips_schema
from nyc_taxi.transform.rule_checks import load_rules

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    import polars as pl

Filters = Any
"""A `pyarrow.compute.Expression`, tuples as `pyarrow.parquet.filters_to_expression` takes them, or None."""
Form = Literal["arrow", "pandas", "polars", "duckdb", "batches"]


def read_trips(
    service: str,
    months: Months = None,
    *,
    columns: Sequence[str] | None = None,
    filters: Filters = None,
    as_: Form = "arrow",
    generated: bool = False,
    settings: Settings | None = None,
) -> Any:
    """Read the trips of a service's months, each in its current version.

    `months` is one month (`"2020-04"`), a range with both ends (`"2020-01:2020-06"`), several months, or None
    for all that are loaded. The result has the columns of the files, and `month` as a date (its first day).

    - `columns`: names of the columns to read.
    - `filters`: a `pyarrow.compute` expression, or tuples such as `[("trip_distance", ">", 20)]`.
    - `as_`: the form of the result: `"arrow"` (a `pyarrow.Table`), `"pandas"`, `"polars"`, `"duckdb"` (a
      relation, which reads when it is queried) or `"batches"` (a `pyarrow.RecordBatchReader`, for more than
      fits into memory).
    - `generated`: include generated months. Without it, they are read only where they are named, with a
      warning.
    - `settings`: by default those of the environment. Of a lake in a bucket, the months are copied to the
      workspace first.

    Raises TaxiError for a month that is not loaded and SchemaError for an unknown column.
    """
    files = select_months(Service.parse(service), months, generated, settings or load_settings())
    return _read("trips", files, columns, filters, as_)


def read_quarantine(
    service: str,
    months: Months = None,
    *,
    columns: Sequence[str] | None = None,
    filters: Filters = None,
    as_: Form = "arrow",
    generated: bool = False,
    settings: Settings | None = None,
) -> Any:
    """Read the rows that are not trips, with their reasons; parameters as of `read_trips`."""
    files = select_months(Service.parse(service), months, generated, settings or load_settings())
    return _read("quarantine", files, columns, filters, as_)


def read_quality(
    service: str,
    months: Months = None,
    *,
    columns: Sequence[str] | None = None,
    filters: Filters = None,
    as_: Form = "arrow",
    generated: bool = False,
    settings: Settings | None = None,
) -> Any:
    """Read the quality measures of months; parameters as of `read_trips`."""
    files = select_months(Service.parse(service), months, generated, settings or load_settings())
    return _read("quality", files, columns, filters, as_)


def read_month_trips(
    month: CleanMonth,
    *,
    columns: Sequence[str] | None = None,
    filters: Filters = None,
    as_: Form = "arrow",
    settings: Settings,
) -> Any:
    """Read the trips of one version of a month, staged on this machine or Parquet; otherwise as `read_trips`.

    Of a staged month the result is in memory, whatever its form. Raises TaxiError when the version is gone.
    """
    if not month.is_staged:
        return _read("trips", [files_of(month, settings)], columns, filters, as_)
    batches = judged_batches(month, load_rules(settings.rules, month.service))
    first_day = pa.scalar(month.month.first_day)
    schema = trips_schema(month).append(pa.field("month", pa.date32()))
    dated = (
        pa.RecordBatch.from_arrays([*trips.columns, pa.repeat(first_day, len(trips))], schema=schema)
        for trips, _ in batches
    )
    columns, expression = _checked(schema, columns, filters, as_)
    rows = ds.Scanner.from_batches(dated, schema=schema, columns=columns, filter=expression).to_table()
    return _FORMS[as_](ds.InMemoryDataset(rows), None)


def to_pandas(table: pa.Table) -> pd.DataFrame:
    """A data frame whose integers stay integers where values are missing."""
    require_extra("pandas", "A pandas data frame")
    import pandas as pd

    nullable = {pa.int16(): pd.Int16Dtype(), pa.int32(): pd.Int32Dtype(), pa.int64(): pd.Int64Dtype()}
    frame: pd.DataFrame = table.to_pandas(types_mapper=nullable.get)
    return frame


def _read(
    kind: str, files: list[MonthFiles], columns: Sequence[str] | None, filters: Filters, form: Form
) -> Any:
    dataset = _dataset(kind, files)
    columns, expression = _checked(dataset.schema, columns, filters, form)
    return _FORMS[form](dataset if expression is None else dataset.filter(expression), columns)


def _checked(
    schema: pa.Schema, columns: Sequence[str] | None, filters: Filters, form: Form
) -> tuple[list[str] | None, pc.Expression | None]:
    """What a call asks for; raises SettingsError or SchemaError for what the schema does not have."""
    if form not in _FORMS:
        raise SettingsError(f"as_={form!r} is not known: use one of {', '.join(_FORMS)}.")
    if columns is not None:
        columns = [columns] if isinstance(columns, str) else list(columns)
        _check_columns(columns, schema)
    return columns, None if filters is None else _expression(filters, schema)


def _dataset(kind: str, files: list[MonthFiles]) -> ds.Dataset:
    """One data set of several files; each file's month is a partition, so that a filter on it skips files."""
    paths = [str(each.folder / f"{kind}.parquet") for each in files]
    schemas = [pq.read_schema(path).remove_metadata() for path in paths]
    try:
        month = pa.schema([("month", pa.date32())])
        schema = pa.unify_schemas([*schemas, month], promote_options="permissive")
    except pa.ArrowTypeError as error:
        raise SchemaError(
            f"{', '.join(map(str, files))}: a column has types that do not fit together"
            f" ({first_line(error)}); read months of one type at a time, or load them again with one"
            " transform."
        ) from None
    parquet, disk = ds.ParquetFileFormat(), LocalFileSystem()
    fragments = [
        parquet.make_fragment(path, disk, pc.field("month") == pa.scalar(each.month.first_day))
        for path, each in zip(paths, files, strict=True)
    ]
    return ds.FileSystemDataset(fragments, schema, parquet, disk)


def _check_columns(columns: Iterable[str], schema: pa.Schema) -> None:
    for name in columns:
        if name not in schema.names:
            similar = difflib.get_close_matches(name, schema.names, n=3, cutoff=0.4)
            hint = f"did you mean {' or '.join(similar)}?" if similar else "see docs/data-dictionary.md."
            raise SchemaError(f"the column {name!r} does not exist; {hint}")


def _expression(filters: Filters, schema: pa.Schema) -> pc.Expression:
    """The filters as an expression; raises SchemaError unless it fits the columns."""
    try:
        expression = filters if isinstance(filters, pc.Expression) else pq.filters_to_expression(filters)
        ds.Scanner.from_batches([], schema=schema, filter=expression)
    except (pa.ArrowException, ValueError, TypeError) as error:
        message = first_line(error)
        unknown = re.search(r"No match for FieldRef\.Name\(([^)]*)\)", message)
        if unknown:
            _check_columns([unknown[1]], schema)
        raise SchemaError(
            f"filters do not fit the columns: {message}; compare each column with a value of its own type."
        ) from None
    return expression


def _to_batches(dataset: ds.Dataset, columns: list[str] | None) -> pa.RecordBatchReader:
    return dataset.scanner(columns=columns, batch_readahead=4, fragment_readahead=1).to_reader()


def _to_table(dataset: ds.Dataset, columns: list[str] | None) -> pa.Table:
    return dataset.to_table(columns=columns)


def _to_pandas(dataset: ds.Dataset, columns: list[str] | None) -> pd.DataFrame:
    return to_pandas(_to_table(dataset, columns))


def _to_polars(dataset: ds.Dataset, columns: list[str] | None) -> pl.DataFrame:
    require_extra("polars", "A polars data frame")
    import polars as pl

    frame = pl.from_arrow(_to_table(dataset, columns))
    assert isinstance(frame, pl.DataFrame)
    return frame


def _to_duckdb(dataset: ds.Dataset, columns: list[str] | None) -> duckdb.DuckDBPyRelation:
    import duckdb

    relation = duckdb.from_arrow(dataset)
    return relation.project(", ".join(f'"{name}"' for name in columns)) if columns else relation


_FORMS = {
    "arrow": _to_table,
    "pandas": _to_pandas,
    "polars": _to_polars,
    "duckdb": _to_duckdb,
    "batches": _to_batches,
}
