"""The first rows of the flow's files and tables, as dataframes that any page can show."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nyc_taxi.pipelines.bikeshare.config import BikeshareConfig
from nyc_taxi.pipelines.bikeshare.warehouse import open_warehouse
from nyc_taxi.reporting import preview

if TYPE_CHECKING:
    import pandas as pd


def file(path: Path | str, rows: int = preview.ROWS) -> pd.DataFrame:
    """The first rows of a Parquet file."""
    frame: pd.DataFrame = preview.head(Path(path), rows).to_pandas()
    return frame


def day_of_table(config: BikeshareConfig, name: str, day: dt.date, rows: int = preview.ROWS) -> pd.DataFrame:
    """The first rows of a table's day."""
    import pandas as pd

    warehouse = open_warehouse(config)
    records: list[dict[str, Any]] = warehouse.rows(
        f"SELECT * FROM {warehouse.qualified(name)} WHERE date = @day LIMIT {rows}", {"day": day}
    )
    return pd.DataFrame(records)
