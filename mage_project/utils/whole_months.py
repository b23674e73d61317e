"""The whole month behind the sample that a block shows: `from mage_project.utils import trips`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import pandas as pd

from mage_project.utils.references import month_of
from nyc_taxi.errors import SettingsError
from nyc_taxi.model.references import MonthFiles
from nyc_taxi.pipelines.trips.clean import staged
from nyc_taxi.pipelines.trips.refine import fetch_month
from nyc_taxi.reporting import datasets
from nyc_taxi.reporting.datasets import Filters, Form, Months
from nyc_taxi.settings import load_settings


def trips(
    data: pd.DataFrame | str,
    months: Months = None,
    as_: Form = "pandas",
    *,
    columns: Sequence[str] | None = None,
    filters: Filters = None,
    generated: bool = False,
) -> Any:
    """All trips of a month: of the one that a block's data frame refers to, or of a service's months.

    - `trips(data)`: the month of an upstream block, in exactly the version that the block refers to, whether
      it is loaded yet or not.
    - `trips(data, "polars")` or `trips(data, as_="polars")`: in another form than pandas, one of `"polars"`,
      `"arrow"`, `"duckdb"` (a relation) and `"batches"`.
    - `trips("green", "2020-04")`, `trips("green", "2020-01:2020-06", "duckdb")`: loaded months.

    `columns`, `filters` and `generated` are those of `nyc_taxi.read_trips`, and so are errors. For a month
    that does not fit into memory choose columns, filter, or use a DuckDB relation.
    """
    if not isinstance(data, str):
        month, settings = month_of(data), load_settings()
        month = fetch_month(month, settings) if isinstance(month, MonthFiles) else staged(month, settings)
        return datasets.read_month_trips(
            month, columns=columns, filters=filters, as_=_form(months, as_), settings=settings
        )
    return datasets.read_trips(data, months, columns=columns, filters=filters, as_=as_, generated=generated)


def _form(second: Any, as_: Form) -> Form:
    """The form of `trips(data, "polars")`; a data frame refers to one month, so no other may be named."""
    if second is None:
        return as_
    if second in get_args(Form):
        form: Form = second
        return form
    raise SettingsError(
        f"{second!r} is none of {', '.join(get_args(Form))}: the data frame itself says which month to read."
    )
